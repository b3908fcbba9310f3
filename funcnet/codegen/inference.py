"""Deployment: a trained network as one NumPy program that predicts for raw rows.

The weights are in an archive beside the program. Preprocessing, network, link and labels are those of
``Run.predict`` and ``Run.predict_label``, and so are the numbers.
"""

from __future__ import annotations

import hashlib
import json
import re
import textwrap
from typing import Any, NamedTuple

import numpy as np

from funcnet import tree
from funcnet.codegen import inference_template as deployed
from funcnet.codegen.any_batch import for_any_rows
from funcnet.codegen.constants import Constants, alike, assigned, rows_text
from funcnet.codegen.inference_answers import Answers
from funcnet.codegen.library_source import ascii_text, library_text
from funcnet.codegen.lines import margins, variables
from funcnet.codegen.names import quoted
from funcnet.codegen.printer import Printer, called_functions, helper_text
from funcnet.codegen.raw_rows import RawRows
from funcnet.compiler.graph import Node, NodeGraph, with_args
from funcnet.compiler.kinds import CONST, INPUT
from funcnet.compiler.record import section, trace
from funcnet.compiler.simplify import share, simplify
from funcnet.data.answer_texts import csv_text, eight_characters, json_text, number_columns, shortest_texts
from funcnet.data.lazy_array import in_batches
from funcnet.data.preprocess import Preprocess
from funcnet.data.sources.grid import AT_ONCE, csv_blocks, encoding_of, further_lines, lines_of, text_blocks
from funcnet.data.sources.rows import is_json, json_blocks, json_object, row_blocks
from funcnet.data.text_columns import columns_of
from funcnet.errors import FuncnetError, ShapeError, TraceError
from funcnet.experiments.experiment import Experiment
from funcnet.layers.base import EVAL, Params, State, apply_child, zeros_for
from funcnet.losses.base import Loss, answer_shape
from funcnet.losses.tempered import tempered
from funcnet.networks.surgery import walk
from funcnet.shapes import Shape, batched, is_shape, zeros_of
from funcnet.spec.codec import spec_hash
from funcnet.training.evaluate import rows_of_answer

SHORT = 16
"""Constants with more entries go into the archive"""


class Program(NamedTuple):
    """The text of a program and the members of its archive."""

    text: str
    members: dict[str, Any]


def inference(
    experiment: Experiment,
    params: Params,
    state: State,
    preprocess: Preprocess,
    in_shape: Shape,
    name: str,
    origin: str = "",
    temperature: float | None = None,
) -> Program:
    """The program of a run: ``name`` is its file name without the suffix, ``origin`` says where it comes from.

    ``in_shape`` is the shape of one raw input; it is ignored for tables, whose columns ``preprocess`` lists.
    ``temperature`` is that of a calibrated run.
    Raises   ShapeError for a network with several outputs; FuncnetError for a layer that cannot be recorded
    """
    return _Writer(experiment, params, state, preprocess, in_shape, name, origin, temperature).program()


class _Writer:
    def __init__(
        self,
        experiment: Experiment,
        params: Params,
        state: State,
        preprocess: Preprocess,
        in_shape: Shape,
        name: str,
        origin: str,
        temperature: float | None,
    ) -> None:
        self.experiment, self.preprocess = experiment, preprocess
        self.params, self.state = params, state
        self.name, self.origin = (re.sub(r"[^\w. '-]", "_", ascii_text(text)) for text in (name, origin))
        self.net, self.loss, self.temperature = experiment.model, tempered(experiment.loss, temperature), temperature
        self.dtype: Any = np.dtype(experiment.dtype)
        self.constants = Constants()
        self.members = self.constants.members
        self.raw = RawRows(experiment.data, preprocess, in_shape, self.dtype, self.constants)
        self.classes: list[str] | None = preprocess["classes"]
        self.in_shape = self.raw.in_shape
        self.net_shape = self.net.out_shape(self.in_shape)
        if not is_shape(self.net_shape):
            raise ShapeError(
                f"expected a network with one output, got the shapes {self.net_shape}; print it with fn.source"
            )
        out_shape = answer_shape(self.loss, self.net_shape, self.dtype)
        self.answers = Answers(self.loss, preprocess, out_shape, self.constants)
        self.helpers: dict[str, None] = {}
        self.keys: dict[str, str] = {}
        for root, part in (("params", params), ("state", state)):
            for path, leaf in tree.flatten(part).items():
                key = f"{root}/{path}" if path in self.members else path
                self.keys[f"{root}/{path}"], self.members[key] = key, np.asarray(leaf)

    # ----- the file ----------------------------------------------------------------------------------------------

    def program(self) -> Program:
        """The whole program."""
        if self.classes is not None:
            self.constants.lines.append(assigned("CLASSES", [str(name) for name in self.classes]))
        prepare = self.raw.prepare()
        forward = self.forward()
        link = self.link()
        answer = [self.answers.predict(bool(link)), *([self.answers.labels()] if self.answers.labelled else [])]
        command = [] if self.raw.integers else self.command()
        identity = self.identity()
        self.members["program"] = np.array(identity)
        modules = ["argparse", "codecs", "csv", "io", "itertools", "json", "os", "sys"] if command else []
        if command:
            self.constants.lines.append(f"AT_ONCE = {AT_ONCE}  # bytes of a file that are read at once")
        if self.raw.has_categories:
            modules = sorted([*modules, "logging", *(["re"] if self.raw.dates else [])])
        imported = [f"import {module}" for module in modules]
        imported += ["from collections.abc import Sequence"] if command or self.raw.columns else []
        imported += ["from datetime import date"] if self.raw.dates else []
        chunk = rows_of_answer(self.net, self.in_shape)
        head = [
            self.docstring(),
            "\n".join([*imported, "from pathlib import Path"]),
            "import numpy as np",
            "\n".join([f'PROGRAM = "{identity}"', *self.constants.lines, f"CHUNK = {chunk}  # rows per forward pass"]),
        ]
        blocks = [
            rule("raw rows"),
            deployed.BAD_VALUE,
            *prepare,
            rule("the network"),
            *(helper_text(name) for name in self.helpers),
            forward,
            *link,
            rule("the weights"),
            deployed.LOAD,
            "WEIGHTS = load()",
            rule("answers"),
            *answer,
        ]
        if command:
            blocks += [rule("the command"), *command, 'if __name__ == "__main__":\n    sys.exit(main())']
        text = "\n\n".join(head)
        for before, block in zip(["", *blocks], blocks, strict=False):
            text += ("\n\n" if before.startswith("# -----") else "\n\n\n") + block.strip("\n")
        return Program(text + "\n", self.members)

    def identity(self) -> str:
        """A digest of everything in the program."""
        said = [spec_hash(self.experiment), self.preprocess, *([] if self.temperature is None else [self.temperature])]
        total = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
        for path, array in sorted(self.members.items()):
            total.update(f"{path} {array.dtype.str} {array.shape}\n".encode() + np.ascontiguousarray(array).tobytes())
        return total.hexdigest()

    def docstring(self) -> str:
        """The docstring of the file: its contents and its use."""
        shape = self.in_shape if self.raw.columns else self.raw.shape
        layers = " -> ".join([str(shape), *map(kind_of, self.layers())])
        count = sum(leaf.size for leaf in tree.leaves(self.params))
        by = f"trained on {self.experiment.data.tag} data with {self.experiment.loss.tag}"
        what = f"{layers}; {by}; {count} parameters, {self.dtype.name}."
        uses = [(f"predict({self.argument})", self.answers.text())]
        if self.answers.labelled:
            what_labels = "each label of each row" if self.answers.multilabel else "the likeliest class of each row"
            uses.append((f"labels({self.argument})", what_labels))
        if not self.raw.integers:
            file = "rows.csv" if self.raw.columns else "rows.csv or rows.npy"
            uses.append((f"python {self.name}.py {file.split()[0]}", f"predicts for a file of rows{self.file_text()}"))
        width = max(len(use) for use, _ in uses)
        lines = [f"    {use.ljust(width)}   {meaning}" for use, meaning in uses]
        made = f"From {self.origin or 'a trained run'}, whose spec has the hash\n{spec_hash(self.experiment)}."
        body = "\n\n".join(
            [
                f"{self.name}: a trained network as one NumPy program; its weights are in {self.name}.npz.",
                textwrap.fill(what, 112),
                "\n".join(lines),
                f"{self.raw_text()}\n{made}",
            ]
        )
        return f'"""{ascii_text(body)}\n"""'

    @property
    def argument(self) -> str:
        return "table" if self.raw.columns else "raw"

    def layers(self) -> list[Any]:
        """The plain layers of the network, in order, without those that are the identity in evaluation."""
        return [
            layer for _, layer in walk(self.net) if not layer.children and kind_of(layer) not in ("Dropout", "Identity")
        ]

    def raw_text(self) -> str:
        if self.raw.columns:
            return "A table is a dict {name: values} of the columns in COLUMNS."
        shape = f"(rows, {', '.join(map(str, self.raw.shape))})" if self.raw.shape else "(rows,)"
        what = "indices from 0, as integers" if self.raw.integers else "the values of the data, not scaled"
        return f"Raw rows are an array {shape}: {what}."

    def file_text(self) -> str:
        return ": CSV, columns found by name" if self.raw.columns or self.raw.features else ": CSV, or .npy"

    # ----- the network -------------------------------------------------------------------------------------------

    def forward(self) -> str:
        """The network as a function of the weights and the inputs."""
        net = self.net

        def record(rows: int) -> NodeGraph:
            def program(params: Params, state: State, x: Any) -> Any:
                return apply_child("", net, params, state, x, EVAL)[0]

            inputs = zeros_for(net, self.in_shape, rows, self.dtype)
            graph = trace(program, (self.params, self.state, inputs), ("params", "state", "x"), strict=True)
            return share(simplify(graph.used()).used()).used()

        try:
            graph = self.tables(for_any_rows(record))
        except TraceError as error:
            raise FuncnetError(f"cannot print the network, because a layer cannot be recorded: {error}") from None
        shapes = f"{rows_text(self.in_shape)} -> {rows_text(self.net_shape)}"
        return self.function(
            "forward", "weights, x", f"The network in evaluation mode, on prepared rows: {shapes}.", graph
        )

    def tables(self, graph: NodeGraph) -> NodeGraph:
        """The graph with its large constants turned into inputs from the archive."""
        known: dict[Any, Node] = {}

        def change(node: Node, args: tuple[Node, ...]) -> Node:
            value = node.static
            if node.kind is not CONST or not isinstance(value, np.ndarray) or value.size <= SHORT:
                return with_args(node, args)
            if alike(value) or (value.ndim == 1 and np.array_equal(value, np.arange(len(value)))):
                return node
            identity = value.dtype, value.shape, value.strides, value.tobytes()
            if identity not in known:
                path = f"constant/{len(known)}"
                self.keys[f"params/{path}"], self.members[path] = path, value
                known[identity] = Node(INPUT, None, (), f"params/{path}", value.shape, value.dtype, node.place)
            return known[identity]

        changed = graph.rebuilt(change)
        return NodeGraph(changed.nodes, [*graph.inputs, *known.values()], changed.outputs)

    def link(self) -> list[str]:
        """The loss's link as a function of the network's output; empty if it is the identity."""
        loss: Loss = self.loss

        def record(rows: int) -> NodeGraph:
            def program(y: Any) -> Any:
                with section("forward"):
                    return loss.answer(y)

            y = zeros_of(batched(self.net_shape, rows), self.dtype)
            return share(simplify(trace(program, (y,), ("y",), strict=True).used()).used()).used()

        try:
            graph = for_any_rows(record)
        except TraceError as error:
            raise FuncnetError(f"cannot print the link of {type(loss).__name__}: {error}") from None
        if graph.outputs in graph.inputs:
            return []
        at = "" if self.temperature is None else f" at the temperature {self.temperature:.6g}"
        says = f"The link of {kind_of(self.experiment.loss)}{at}, applied to the network's output y."
        return [self.function(self.answers.link_name, "y", says, graph)]

    def function(self, name: str, arguments: str, says: str, graph: NodeGraph) -> str:
        """A recorded graph as a function."""
        names = variables([node.static for node in graph.inputs], {"rows", "weights", *called_functions(graph)})
        printer = Printer(graph, names, {})
        printer.taken |= {"rows", "weights"}
        printer.run()
        self.helpers |= printer.helpers
        used = {arg for node in graph.nodes for arg in node.args}
        unpacked = []
        for node in graph.inputs:
            if node in used and node.static in self.keys:
                unpacked.append((f"{names[node.static]} = weights[{quoted(self.keys[node.static])}]", str(node.shape)))
        lines = [line for line in printer.lines if not line[0].startswith("# ----- ")]
        while lines and lines[0] == ("", ""):
            lines = lines[1:]
        body = [*unpacked, *([("", "")] if unpacked and lines else []), *lines]
        body.append((f"return {printer.text(graph.outputs).text}", ""))
        if any(re.search(r"\brows\b", text) for text, _ in lines if not text.startswith("#")):
            body.insert(0, (f"rows = len({arguments.split(', ')[-1]})", ""))
        return "\n".join([f"def {name}({arguments}):", f'    """{says}"""', *margins(body)])

    # ----- the command -------------------------------------------------------------------------------------------

    def command(self) -> list[str]:
        """The functions of the command line."""
        readers = [
            library_text(encoding_of, lines_of, text_blocks, further_lines, columns_of, csv_blocks),
            library_text(is_json, json_object, json_blocks, row_blocks),
            *self.raw.readers(),
        ]
        says = "a CSV file with the columns of the training data, in any order"
        if not self.raw.columns:
            says = "an .npy file, or a CSV file of numbers"
        table, form = self.answers.columns()
        texts = form != "labels" or self.classes is not None
        warned = self.raw.has_categories
        main = deployed.MAIN.substitute(
            table=table,
            help=says,
            form=form,
            what="probabilities" if self.loss.probabilities else "scores",
            texts=texts,
            more=", counted" * warned,
            begin="    counted = {}\n" * warned,
            warned="            warn(counted)\n" * warned,
            end="    warn(counted)\n" * warned,
        )
        return [
            *readers,
            library_text(in_batches, number_columns, shortest_texts, eight_characters, csv_text, json_text),
            main,
        ]


def rule(title: str) -> str:
    """A heading of a section of the file."""
    return f"# ----- {title} {'-' * (100 - len(title))}"


def kind_of(layer: Any) -> str:
    """The name of a layer's class."""
    return type(layer).__name__
