"""Errors: each tells the place, the layer, the expected and the actual value, and what to do."""

from __future__ import annotations

import difflib
import importlib
import itertools
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

CONTROLS = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""What moves the cursor of a terminal, colours it or turns its lines around; line feeds and tabs may stay"""
HEAD, TAIL = 2500, 500
"""The characters that are kept of a longer line"""


def visible(text: str) -> str:
    """A text with its control characters as escapes, such as ``\\x1b``, which a terminal does not obey."""
    return CONTROLS.sub(lambda found: ascii(found[0])[1:-1], text)


def shorter(path: str) -> str:
    """A path in a document whose keys have at most 60 characters: of a longer one the beginning."""
    return re.sub(r"([^.\[\]]{57})[^.\[\]]{4,}", r"\1…", path)


def bounded(text: str) -> str:
    """A message whose lines have at most 3 000 characters: of a longer one the beginning and the end."""
    if len(text) <= HEAD + TAIL:
        return text
    lines = text.split("\n")
    return "\n".join(
        line if len(line) <= HEAD + TAIL else f"{line[:HEAD]} … {len(line) - HEAD - TAIL} characters … {line[-TAIL:]}"
        for line in lines
    )


class FuncnetError(Exception):
    """Base of every error that a user's mistake can cause.

    Each combinator on the way out prepends the name of the child that raised it, so that
    the message starts with the path of the layer: ``head/dense_1 (Dense): …``.
    """

    def __init__(self, message: str, *, layer: str = "", path: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message = visible(bounded(message))
        self.layer = layer
        self.path = path

    def locate(self, name: str, layer: str) -> None:
        """Record that the error was raised by the child ``name``, of the class ``layer``."""
        self.path = (name, *self.path) if name else self.path
        self.layer = self.layer or layer

    def __str__(self) -> str:
        path = "/".join(self.path)
        where = f"{path} ({self.layer})" if path and self.layer else path or self.layer
        return f"{where}: {self.message}" if where else self.message


class ArgumentError(FuncnetError, TypeError):
    """An argument that a function or a spec does not have, or lacks."""


class NotDefined(FuncnetError, TypeError):
    """A method that a base declares and that the class has not written."""


class ShapeError(FuncnetError):
    """Layers, inputs, targets or parameters whose shapes do not fit one another."""


class KeyRequired(FuncnetError):
    """A layer draws random numbers in training, but the context has no key."""


class PathError(FuncnetError):
    """A path or pattern that matches nothing in a tree, or trees of different structure."""


class NonFiniteError(FuncnetError):
    """A NaN or infinity, with the first layer where it arose, forward or backward."""


class CheckpointError(FuncnetError):
    """A weights file or run folder that cannot be read, written or trusted."""


class DataError(FuncnetError):
    """Data whose values cannot be used: labels out of range, unreadable files, no rows."""


class ExtraRequired(FuncnetError):
    """An optional dependency that is needed but not installed."""


class TraceError(FuncnetError):
    """A function contains an operation that cannot be recorded."""


class CompileWarning(UserWarning):
    """Code that runs uncompiled, slower than it could."""


class LawError(FuncnetError, AssertionError):
    """A layer, loss or optimizer that breaks one of the laws; raised by the ``check_*`` functions."""


class Problem(NamedTuple):
    """One mistake in a spec: its path (``.layers[0].units``) and a message."""

    path: str
    message: str


class SpecError(FuncnetError, ValueError):
    """A spec that cannot be built. ``.problems`` holds every mistake, not only the first."""

    shown = 20

    def __init__(self, problems: Sequence[Problem], root: str = "$") -> None:
        self.found = tuple(problems)
        self.root = root
        self.problems = tuple(bounded(f"{root}{shorter(path)}: {message}") for path, message in self.found)
        lines = self.problems[: self.shown]
        more = len(self.problems) - len(lines)
        super().__init__("\n".join([*lines, *([f"… and {more} more problems"] if more else [])]))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.found, self.root)


MOST_KNOWN, LONGEST = 1000, 200
"""Limits of the search for the nearest word: the number of known words, the length of the word"""


NAMES = {
    "adadelta": "adam", "affine": "dense", "bce": "binarycrossentropy", "bceloss": "binarycrossentropy",
    "bcewithlogits": "sigmoidcrossentropy", "bcewithlogitsloss": "sigmoidcrossentropy",
    "binarycrossentropywithlogits": "sigmoidcrossentropy", "categoricalcrossentropy": "softmaxcrossentropy",
    "crossentropy": "softmaxcrossentropy", "crossentropyloss": "softmaxcrossentropy", "fc": "dense",
    "fullyconnected": "dense", "l1": "meanabsoluteerror", "l1loss": "meanabsoluteerror", "linear": "dense",
    "logistic": "sigmoid", "mae": "meanabsoluteerror", "mse": "meansquarederror", "mseloss": "meansquarederror",
    "multiheadedattention": "multiheadattention", "nll": "negativeloglikelihood", "nllloss": "negativeloglikelihood",
    "sequential": "serial", "smoothl1": "huber", "smoothl1loss": "huber",
    "sparsecategoricalcrossentropy": "softmaxcrossentropy", "swish": "silu", "valloss": "validationloss",
    "vallosses": "validationloss", "valaccuracy": "validationaccuracy", "valacc": "validationaccuracy",
}  # fmt: skip
"""Names of other libraries, and those of the same things here, in plain letters"""


def plain(word: str) -> str:
    """The letters and digits of a name, in lower case: ``conv2d`` for Conv2D, conv_2d and conv-2d."""
    return re.sub(r"[\W_]+", "", word).lower()


def same_thing(word: str, known: Iterable[str]) -> str | None:
    """The known name that differs only in case and signs, or that means what another library's name does."""
    names = {plain(name): name for name in known}
    letters = plain(word)
    for meant in (letters, NAMES.get(letters), letters.removesuffix("layer"), letters.removesuffix("loss")):
        if meant in names:
            return names[meant]
    return None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``", did you mean 'dense'?"`` if a similar word is known, else an empty string."""
    some = list(itertools.islice(known, MOST_KNOWN))
    same = same_thing(word[:LONGEST], some)
    near = [same] if same else difflib.get_close_matches(word[:LONGEST], some, n=1, cutoff=0.6)
    return f", did you mean {near[0]!r}?" if near else ""


ARGUMENTS = {
    "activation": "it is a separate layer: fn.serial(fn.Dense(64), fn.Relu())",
    "callback": "it is callbacks=[…]",
    "class_weights": "it is class_weight",
    "criterion": "it is loss",
    "in_channels": "the shape of the input is given to init",
    "in_features": "the shape of the input is given to init",
    "input_dim": "the shape of the input is given to init",
    "input_shape": "the shape of the input is given to init",
    "kernel_initializer": "it is weight_init",
    "learning_rate": "it belongs to the optimizer: fn.optim.Adam(1e-3)",
    "lr": "it is learning_rate, of an optimizer: fn.optim.Adam(learning_rate=1e-3)",
    "max_iter": "it is epochs or steps",
    "name": "names are given where layers are joined: fn.serial(head=fn.Dense(10))",
    "opt": "it is optimizer",
    "out_channels": "it is filters",
    "out_features": "it is units",
    "params": "it is start=(params, state)",
    "patience": "it is early_stopping",
    "random_state": "it is key",
    "sample_weight": "it is part of the data: (x, y, weight)",
    "seed": "it is key",
    "shuffle": "it is not needed: rows are shuffled in every epoch",
    "validation_data": "it is validation=(x, y)",
    "validation_fraction": "it is validation=0.1",
    "validation_split": "it is validation=0.1",
    "verbose": "it is progress=True",
    "x": "it is part of the data: (x, y)",
    "y": "it is part of the data: (x, y)",
}
"""Arguments of other libraries, and what they are here"""


def no_argument(owner: str, name: str, known: Sequence[str]) -> ArgumentError:
    """The error for an argument that a function or a spec does not have, with the right one."""
    near = f"; {ARGUMENTS[name]}" if name in ARGUMENTS else did_you_mean(name, known)
    return ArgumentError(f"{owner} has no argument {name!r}{near} (it has {', '.join(known) or 'none'})")


def listed(names: Iterable[str], most: int = 20) -> str:
    """Names separated by commas, at most ``most`` of them."""
    every = list(names)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return (", ".join(every[:most]) or "none") + more


def place(at: tuple[int, ...]) -> str:
    """``row 3``, ``row 3, column 5``; ``its only number`` in an array without axes"""
    if not at:
        return "its only number"
    return f"row {at[0]}" + "".join(f", column {n}" for n in at[1:])


def require(module: str, extra: str, purpose: str) -> Any:
    """Import an optional dependency.

    Raises   ExtraRequired, naming the extra to install, if the module is not installed
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ExtraRequired(
            f"{purpose} needs {module}, which is not installed; "
            f'install it with: python -m pip install "funcnet[{extra}]"'
        ) from error
