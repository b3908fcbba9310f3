"""The part of a deployed program that turns outputs into answers: labels, probabilities, and values in units."""

from __future__ import annotations

import math

import numpy as np

from funcnet.codegen import inference_template as deployed
from funcnet.codegen.constants import Constants, code, rows_text
from funcnet.codegen.library_source import ascii_text
from funcnet.data.preprocess import Preprocess
from funcnet.data.scaling import SCALES, shift_and_factor
from funcnet.losses.base import Loss, classifies
from funcnet.shapes import Shape, for_outputs


class Answers:
    """The predictions of a network with a loss, ``shape`` each; the constants that they need are added."""

    def __init__(self, loss: Loss, preprocess: Preprocess, shape: Shape, constants: Constants) -> None:
        self.loss, self.preprocess, self.out_shape, self.constants = loss, preprocess, shape, constants
        self.classes: list[str] | None = preprocess["classes"]

    @property
    def one(self) -> bool:
        """Whether the network gives one number per row, rather than one per class."""
        return self.out_shape == () or self.out_shape[-1] == 1

    @property
    def exclusive(self) -> bool:
        """Whether each row belongs to exactly one class."""
        return classifies(self.loss) and (self.one or not self.loss.independent)

    @property
    def labelled(self) -> bool:
        """Whether predictions have labels."""
        return self.exclusive or self.multilabel or (self.classes is not None and self.one)

    @property
    def multilabel(self) -> bool:
        """Whether the outputs are several labels, each present or absent."""
        return self.loss.independent and not self.one

    @property
    def link_name(self) -> str:
        return "probabilities" if self.loss.probabilities else "link"

    def text(self) -> str:
        """The shape and meaning of predict's result."""
        shape = rows_text(self.out_shape)
        what = "probability" if self.loss.probabilities else "score"
        if not classifies(self.loss):
            units = " in the units of the data" if self.preprocess.get("targets") else ""
            return f"{shape}: the predicted value{'' if self.one else 's'}{units}"
        if self.one:
            known = f" {self.classes[1]!r}" if self.classes and len(self.classes) == 2 else " 1"
            return f"{shape}: the {what} of class{ascii_text(known)}"
        if self.multilabel:
            return f"{shape}: the {what} of each label"
        return f"{shape}: the {what} of each class{', in the order of CLASSES' if self.classes else ''}"

    def predict(self, linked: bool) -> str:
        """The functions that predict: for raw rows, and for prepared ones."""
        what = self.text()
        result = f"{self.link_name}(y)" if linked else "y"
        scaler = self.preprocess.get("targets")
        text = f"The predictions for raw rows, {what}"
        template = deployed.PREDICT
        if scaler is None:
            return template.substitute(what=text, result=result)
        shift, factor = shift_and_factor(scaler)
        shift, factor = (for_outputs(part, self.out_shape) for part in (shift, factor))
        parts = zip(SCALES[scaler["scale"]], (shift, factor), strict=True)
        names = [self.constants.array(f"TARGET_{name.upper()}", np.asarray(part)) for name, part in parts]
        start = f"y = {result}\n    return " if linked else "return "
        restored = f"{start}(y * {names[1]} + {names[0]}).astype(y.dtype)"
        return template.substitute(what=text, result="").replace("    return \n", f"    {restored}\n")

    def labels(self) -> str:
        """The functions that give labels."""
        least = f"{self.loss.threshold:g}"
        chosen, rule_ = "np.argmax(p, axis=-1)", "the first of the likeliest"
        if self.one:
            column = "p" if self.out_shape == () else "p[..., 0]"
            chosen, rule_ = f"({column} >= {least}).astype(np.int64)", f"the second from {least} up"
        if self.multilabel:
            chosen, rule_ = f"(p >= {least}).astype(np.int64)", f"1 from {least} up"
        if self.classes is not None:
            chosen = f"np.array(CLASSES)[{chosen}]"
        shape = rows_text(self.out_shape if self.multilabel else self.out_shape[:-1])
        what, of_result = "The likeliest class", "The class of each row"
        if self.multilabel:
            what, of_result = "Each label", "Each label of each row"
        return deployed.LABELS.substitute(what=what, shape=shape, of_result=of_result, rule=rule_, chosen=chosen)

    def columns(self) -> tuple[str, str]:
        """The body of the function that makes the columns of predictions, and the form of their JSON."""
        outputs = math.prod(self.out_shape)
        values = "p" if len(self.out_shape) == 1 else f"p.reshape(len(p), {outputs})"
        labels, form, lines = "", "values", []
        targets = [str(name) for name in self.preprocess.get("outputs") or ["prediction"]]
        if self.exclusive and len(self.out_shape) <= 1 and (self.loss.probabilities or not self.one):
            count = 2 if self.one else outputs
            known = self.classes or targets
            names = known if len(known) == count else [str(i) for i in range(count)]
            labels, form, values = "classes_of(p)", "label", "p"
            if self.classes is None and names == targets:  # each output is the probability of a target
                labels = f"np.array({code(names)})[{labels}]"
            if self.one:
                column = "p[:, None]" if self.out_shape == () else "p"
                lines.append(f"    both = np.concatenate([1.0 - {column}, {column}], axis=1)  # both classes")
                values = "both"
        else:
            given = self.loss.outputs(targets)
            names = given if len(given) == outputs else [f"prediction_{i}" for i in range(outputs)]
            if self.multilabel:
                flat = "" if len(self.out_shape) == 1 else f".reshape(len(p), {outputs})"
                head = [*(f"label_{name}" for name in names), *names]
                lines.append(f"    labels = classes_of(p){flat}.T.astype(str).tolist()")
                lines.append(f"    return {code(head)}, labels, number_columns({values})")
                return "\n".join(lines), "labels"
            labels = "classes_of(p)" if self.labelled and len(self.out_shape) <= 1 else ""
        named = "*CLASSES" if names == self.classes else code(names)[1:-1]
        head_text = f'["label", {named}]' if labels else f"[{named}]"
        labels = f"[{labels}.astype(str).tolist()]" if labels else "[]"
        lines.append(f"    return {head_text}, {labels}, number_columns({values})")
        return "\n".join(lines), form
