"""The printed file for readers: the gradients, the rule of the optimizer, the step, a demonstration, and helpers."""

from __future__ import annotations

import re
import textwrap
from typing import Any

from funcnet import tree
from funcnet.codegen.blocks import Blocks
from funcnet.codegen.defined import Defined
from funcnet.codegen.demonstration import Demonstration
from funcnet.codegen.functions import helper_text
from funcnet.codegen.idioms import idiomatic
from funcnet.codegen.library_source import ascii_text
from funcnet.codegen.lines import margins, narrow, tree_text
from funcnet.codegen.names import fresh, in_docstring
from funcnet.codegen.printer import LONGEST, RESERVED, Printer, called_functions, draws, structured
from funcnet.codegen.program import Program
from funcnet.codegen.taught import taught
from funcnet.codegen.update import Update
from funcnet.compiler.graph import Node, NodeGraph, leaves
from funcnet.compiler.kinds import CONST, INPUT
from funcnet.networks.surgery import walk
from funcnet.optim.transforms.chain import Chain


class Readable:
    """The texts of one file; ``teach`` leaves out what only keeps the bits: ``flush``, and the library's own draws."""

    def __init__(self, program: Program, teach: bool = False, start: dict[str, Any] | None = None) -> None:
        self.program, self.teach, self.start = program, teach, start or {}
        self.defined = Defined(teach)
        self.title = program.title

    def text(self) -> str:
        """The whole file."""
        program = self.program
        main = self.gradients()
        functions = [*self.blocks, main]
        if program.optimizer is not None:
            functions += self.step()
        given, back = self.arguments(functions[-1]), self.kept
        demonstration = Demonstration(program, self.title, given, back, self.defined, self.start)
        if demonstration.predicts:
            functions.append(self.prediction())
            demonstration.asked = self.arguments(functions[-1])
        ends = demonstration.text()
        tables = margins([(f"{name} = {text}", "") for name, text in self.defined.tables.values()], 0)
        helpers = [narrow(self.defined.kernels.get(name) or helper_text(name)) for name in self.defined.helpers]
        parts = [self.header(given, back) + "\nimport numpy as np" + ("\n\n" + "\n".join(tables) if tables else "")]
        parts += [*functions, *(["# ----- helpers " + "-" * 63] if helpers else []), *helpers, ends]
        return ascii_text("\n\n\n".join(parts)) + "\n"

    def arguments(self, function: str) -> list[str]:
        """The parameters of a printed function."""
        found = re.match(r"def \w+\(((?:.|\n)*?)\):", function)
        assert found is not None
        return [name.strip() for name in found[1].split(",") if name.strip()]

    # the gradients

    def gradients(self) -> str:
        """The function that computes the gradients, or the whole file's for a network without an optimizer."""
        program = self.program
        graph = idiomatic(program.gradients)
        if self.teach:
            graph = taught(graph)
        results = program.results if program.optimizer is None else ("loss", "state", "grads")
        names = program.places
        printer = Printer(
            graph,
            names,
            finals_of(graph, results),
            defined=self.defined,
            terms=self.terms(graph),
            loss=program.loss,
            labels=all(leaf.dtype.kind != "f" for leaf in tree.leaves(program.args.get("y", ()))),
            train=program.train,
        )
        self.blocks, self.names = [], set[str]()
        if isinstance(graph.outputs, tuple) and not any(isinstance(part, tuple) for part in graph.outputs[:3]):
            blocks = printer.blocks = Blocks(graph, program.net, self.defined, printer.finals, program.train)
            self.blocks, self.names = blocks.texts, set(blocks.functions.values())
            blocks.count(printer)
            printer.taken |= self.names
        printer.run()
        used = {arg for node in graph.nodes for arg in node.args} | set(leaves(graph.outputs))
        roots = {str(node.static).split("/")[0] for node in graph.inputs if node in used}
        given = [name for name in program.args if name in roots or (name == "params" and program.args[name])]
        back = []
        self.kept = []
        for name, part in zip(results, graph.outputs, strict=True):
            if name != "state" or part:
                back.append(tree_text(structured(part, printer)))
                self.kept.append(name)
        body = [*printer.lines, ("", ""), (f"return {', '.join(back)}", "")]
        if any(draws(text) for text, _ in body):
            given.append("rng")
        self.given = [name for name in given if not (self.teach and name in ("key", "step"))]
        title = "gradients" if program.loss is not None else "forward_backward"
        return self.function(title, self.given, self.purpose(title), body)

    def prediction(self) -> str:
        """The function that predicts."""
        graph = self.program.prediction()
        printer = Printer(graph, self.program.places, {}, defined=self.defined, train=False)
        printer.here = ("forward", "")
        printer.run()
        used = {arg for node in graph.nodes for arg in node.args}
        roots = {"x"} | {str(node.static).split("/")[0] for node in graph.inputs if node in used}
        given = [str(name) for name in ("params", "state", "x") if name in roots]
        body = [*printer.lines, (f"return {tree_text(structured(graph.outputs, printer))}", "")]
        return self.function("predict", given, "The output of the trained network.", body)

    def function(self, title: str, given: list[str], purpose: str, body: list[tuple[str, str]]) -> str:
        """A function as text."""
        while body and body[0] == ("", ""):
            body = body[1:]
        return narrow("\n".join([f"def {title}({', '.join(given)}):", f'    """{purpose}"""', *margins(body)]))

    def terms(self, graph: NodeGraph) -> dict[int, str]:
        """The number of terms that a loss is a mean over, as code; {} where the loss does not read the targets."""
        target = self.program.args.get("y")
        read = {arg.static for node in graph.nodes for arg in node.args if arg.kind is INPUT}
        if target is None or "y" not in read:
            return {}
        found = {int(target.size): "y.size"} if target.ndim else {}
        return found | {len(target): "len(y)"}

    def purpose(self, title: str) -> str:
        """The docstring of a printed function."""
        if title == "step":
            return f"One training step with {named(self.program.optimizer)}: the loss and the new values."
        loss = "The loss, the new state and the gradients." if "state" in self.kept else "The loss and its gradients."
        return loss if self.program.loss else "The output, and the gradients of sum(output * dy)."

    # the step

    def step(self) -> list[str]:
        """The rules of the optimizer, and the step that calls them."""
        program = self.program
        graph, blanks = program.update()
        update = Update(program, taught(graph, self.teach), blanks, self.defined, self.names)
        lines = update.write()
        params, state = update.results
        results = ["loss", *(["state"] if "state" in self.kept else []), "grads"]
        body = [(f"{', '.join(results)} = gradients({', '.join(self.given)})", ""), *lines]
        body += [(f"return {', '.join([*results[:-1], params, state])}", "")]
        self.kept = [*results[:-1], "params", "opt_state"]
        given = [name for name in program.args if name in self.given or name == "params"]
        given.insert(given.index("params") + 1 + ("state" in given), "opt_state")
        if any(draws(text) for text, _ in lines) or "rng" in self.given:
            given.append("rng")
        return [*update.functions, self.function("step", given, self.purpose("step"), body)]

    # the docstring

    def header(self, given: list[str], back: list[str]) -> str:
        """The docstring of the file: the network in one line, and its use."""
        program = self.program
        layers = [type(layer).__name__ for _, layer in walk(program.net) if not layer.children]
        said = f"{_shape(program.in_shape)} -> " + " -> ".join(folded(layers))
        extra = [type(program.plain_loss).__name__] if program.loss is not None else []
        extra += [named(program.optimizer)] if program.optimizer is not None else []
        wrapped = textwrap.fill(in_docstring(said + (f"; {', '.join(extra)}" if extra else "")), LONGEST - 3)
        rows = f"{program.batch} row{'s' * (program.batch != 1)}"
        trees = "params and opt_state" if program.optimizer else "params"
        about = f"{trees} are nested dicts of arrays, as in the library. A batch has {rows}.\n"
        call = f"    {', '.join(back)} = {self.title}({', '.join(given)})"
        return f'"""{wrapped}\n\n{call}\n\n{about}No argument is changed. Run the file to see it work.\n"""\n'


def finals_of(graph: NodeGraph, results: tuple[str, ...]) -> dict[Node, str]:
    """The names of the results: the loss, the new state by its path, gradients with ``d_`` before it."""
    finals: dict[Node, str] = {}
    taken = {*RESERVED, *called_functions(graph), *(str(node.static).split("/")[0] for node in graph.inputs)}
    for name, part in zip(results, graph.outputs, strict=True):
        for path, node in tree.flatten({name: part} if not isinstance(part, tuple) else {}).items():
            if not isinstance(node, Node) or node.kind in (INPUT, CONST) or node in finals:
                continue
            wanted = "_".join(path.split("/")[1:])
            if name == "loss":
                wanted = "loss"
            elif name in ("grads", "d_params"):
                wanted = "d_" + wanted
            elif name != "state":
                continue
            finals[node] = fresh(wanted, taken)
    return finals


def named(optimizer: Any) -> str:
    """The name of an optimizer, or those of a chain."""
    if isinstance(optimizer, Chain):
        return " and ".join(named(step) for _, step in optimizer.steps)
    return type(optimizer).__name__


def folded(names: list[str]) -> list[str]:
    """Names with a repeated run written once: ``A -> 3 x (B -> C) -> D``."""
    for size in range(len(names) // 2, 1, -1):
        for i in range(len(names) - 2 * size + 1):
            count = 1
            while names[i + count * size : i + (count + 1) * size] == names[i : i + size]:
                count += 1
            if count > 1:
                once = f"{count} x ({' -> '.join(folded(names[i : i + size]))})"
                return [*folded(names[:i]), once, *folded(names[i + count * size :])]
    return names


def _shape(shape: Any) -> str:
    return str(shape) if not isinstance(shape, dict) else ", ".join(f"{name} {inner}" for name, inner in shape.items())
