"""Repeated parts of a network, each printed once: a function for the forward pass and one for the backward pass.

Two parts are the same function if their statements are the same text, once the path of the part is left out.
"""

from __future__ import annotations

import copy
import re
import textwrap
from collections.abc import Callable
from typing import Any, NamedTuple

from funcnet import tree
from funcnet.codegen.block_names import function_name, short_names, shorter, without
from funcnet.codegen.captions import layer_caption
from funcnet.codegen.defined import Defined, Quoted, lookup
from funcnet.codegen.lines import margins, narrow, tree_text
from funcnet.codegen.names import fresh
from funcnet.codegen.printer import LONGEST, RESERVED, Printer, called_functions, draws, read, structured
from funcnet.compiler.graph import Node, NodeGraph, leaves
from funcnet.compiler.kind import ATOM, Text
from funcnet.compiler.kinds import CONST, INPUT, PROBE
from funcnet.key import Key
from funcnet.layers.base import Layer
from funcnet.networks.surgery import walk

SHORTEST = 8
"""The fewest statements of a function"""
LEAST = 3
"""The fewest lines that the function of a layer saves"""


class Part(NamedTuple):
    """The statements of one pass through one part of the network."""

    path: str
    section: str
    nodes: tuple[Node, ...]
    roots: tuple[str, ...]
    """Which of ``params`` and ``state`` it reads"""
    given: tuple[Node, ...]
    """Other values that it needs, but for those that its forward pass saves"""
    saved: tuple[Node, ...]
    """The values that the backward pass reads: results of the forward pass, arguments of the other"""
    results: tuple[Node, ...]
    leaves: dict[str, Node]
    """The new state, or the gradients of the params, by path"""
    text: tuple[str, ...]

    @property
    def code(self) -> tuple[str, ...]:
        """The text without the comments about shapes."""
        return tuple(re.sub(r" +# (\(.*\)|a number)$", "", line) for line in self.text)


class Blocks:
    """The parts of a graph that are functions."""

    def __init__(self, graph: NodeGraph, net: Layer, defined: Defined, finals: dict[Node, str], train: bool) -> None:
        self.graph, self.defined, self.finals, self.train = graph, defined, finals, train
        self.position = {node: i for i, node in enumerate(graph.nodes)}
        self.users: dict[Node, list[Node]] = {}
        for node in graph.nodes:
            for arg in node.args:
                self.users.setdefault(arg, []).append(node)
        self.outputs = set(leaves(graph.outputs))
        self.functions: dict[tuple[str, ...], str] = {}
        self.texts: list[str] = []
        self.last: dict[Node, Part] = {}
        self.inside: set[Node] = set()
        self.kept: dict[str, str] = {}
        self.entered: dict[str, str] = {}
        self.entered_in: dict[str, dict[str, str]] = {}
        self.inner: list[Part] = []
        groups = self.repeated(net)
        self.inner = self.layers(net, [path for paths in groups for path in paths[1:]])
        for number, paths in enumerate(groups):
            self.outline(paths, "block" if number == 0 else f"block_{number + 1}")
        for part in self.inner:
            if self.inside.isdisjoint(part.nodes):
                self.last[part.nodes[-1]] = part
                self.inside |= set(part.nodes)

    def repeated(self, net: Layer) -> list[list[str]]:
        """The paths of parts with the same layers, outermost first; those inside others are left out."""
        groups: dict[Any, list[str]] = {}
        for path, layer in walk(net):
            if layer.children and path:
                groups.setdefault(skeleton(layer), []).append(path)
        taken: list[str] = []
        found = []
        for paths in sorted(groups.values(), key=lambda paths: paths[0].count("/")):
            free = [path for path in dict.fromkeys(paths) if not any(f"{path}/".startswith(f"{t}/") for t in taken)]
            if len(free) > 1 and not any(f"{b}/".startswith(f"{a}/") for a in free for b in free if a != b):
                found.append(free)
                taken += free
        return found

    def layers(self, net: Layer, again: list[str]) -> list[Part]:
        """Parts of one layer each, for layers that are written so often that their functions save lines.

        What is inside the parts ``again``, the second and later of equal ones, is not written.
        """
        groups: dict[type, dict[str, None]] = {}
        for path, layer in walk(net):
            if path and not layer.children:
                groups.setdefault(type(layer), {})[path] = None
        found = []
        for kind, paths in groups.items():
            called = function_name(kind, self.functions.values())
            for section in ("forward", "backward"):
                same: dict[tuple[str, ...], list[Part]] = {}
                for path in paths:
                    part = self.part(path, section)
                    if part is not None:
                        same.setdefault(part.code, []).append(part)
                code, parts = max(same.items(), key=lambda item: len(item[1]), default=((), []))
                written = [part for part in parts if not any(f"{part.path}/".startswith(f"{at}/") for at in again)]
                if len(written) < 2 or (len(written) - 1) * (len(code) - 2) - 7 < LEAST:
                    continue
                name = called + "_vjp" * (section == "backward")
                self.functions[code] = name
                caption = layer_caption(dict(walk(net))[parts[0].path], self.train)[section == "backward"]
                self.texts.append(self.function(name, parts, f"{kind.__name__}: {caption}" if caption else ""))
                found += parts
        return found

    def outline(self, paths: list[str], name: str) -> None:
        """Make functions of parts with these paths."""
        for section in ("forward", "backward"):
            same: dict[tuple[str, ...], list[Part]] = {}
            for path in paths:
                part = self.part(path, section)
                if part is not None and len(part.text) >= SHORTEST:
                    same.setdefault(part.code, []).append(part)
            for code, parts in same.items():
                if len(parts) > 1:
                    called = name if section == "forward" else f"{name}_vjp"
                    while called in self.functions.values():
                        called += "_2"
                    self.functions[code] = called
                    self.texts.append(self.function(called, parts))
                    for part in parts:
                        self.last[part.nodes[-1]] = part
                        self.inside |= set(part.nodes)

    def part(self, path: str, section: str) -> Part | None:
        """One pass through one part; None if it is interleaved with others."""
        inside = [node for node in self.nodes(path, section) if node.kind not in (INPUT, CONST, PROBE)]
        own = set(inside)
        outer = [node for node in inside if node in self.outputs or set(self.users.get(node, ())) - own]
        early = [user for node in outer for user in self.users.get(node, ()) if user not in own]
        if not inside or any(node.effect for node in inside):
            return None
        if any(self.position[user] < self.position[inside[-1]] for user in early):
            return None
        needed = dict.fromkeys(arg for node in inside for arg in node.args if arg not in own and arg.kind is not CONST)
        fields = [arg for arg in needed if arg.kind is INPUT and str(arg.static).split("/")[0] in ("params", "state")]
        if any(not str(arg.static).partition("/")[2].startswith(f"{path}/") for arg in fields):
            return None
        roots = tuple(dict.fromkeys(str(arg.static).split("/")[0] for arg in fields))
        rest = [arg for arg in needed if arg not in fields]
        saved: tuple[Node, ...] = ()
        if section == "backward":
            saved = tuple(sorted(set(rest) & set(self.nodes(path, "forward")), key=self.position.__getitem__))
        given = tuple(arg for arg in rest if arg not in saved)
        found = self.leaves(path, section, own)
        results = tuple(n for n in outer if n not in found.values() or set(self.users.get(n, ())) - own)
        if section == "forward":
            backward = set(self.nodes(path, "backward"))
            saved = tuple(n for n in results if set(self.users.get(n, ())) & backward)
            results = tuple(n for n in results if set(self.users.get(n, ())) - own - backward or n in self.outputs)
        part = Part(path, section, tuple(inside), roots, given, saved, results, found, ())
        return part._replace(text=self.text(part))

    def nodes(self, path: str, section: str) -> list[Node]:
        """The nodes of one pass through a part, in order."""
        within = f"{path}/"
        return [n for n in self.graph.nodes if n.place.section == section and f"{n.place.path}/".startswith(within)]

    def leaves(self, path: str, section: str, own: set[Node]) -> dict[str, Node]:
        """The results of a pass that are leaves of the new state or of the gradients."""
        _, state, grads, *_ = self.graph.outputs
        whole = tree.flatten(state if section == "forward" else grads)
        inner = {at.removeprefix(f"{path}/"): node for at, node in whole.items() if at.startswith(f"{path}/")}
        return inner if inner and all(node in own for node in inner.values()) else {}

    def text(self, part: Part) -> tuple[str, ...]:
        """The lines of a part's function, without its path."""
        short = short_names(self.graph, part.path)
        moved: dict[Node, Node] = {}

        def inner(node: Node) -> Node:
            if node not in moved:
                args = tuple([moved.get(arg, arg) for arg in node.args])
                place = node.place._replace(path=without(node.place.path, part.path))
                made = Node(
                    node.kind, node.f, args, node.static, node.shape, node.dtype, place, node.strides, node.effect
                )
                made.name, made.hint = shorter(without(node.name, part.path), short), node.hint
                if node.kind is INPUT:
                    root, _, rest = str(node.static).partition("/")
                    made.static = f"{root}/{without(rest, part.path)}"
                moved[node] = made
            return moved[node]

        outside = (
            {arg for node in part.nodes for arg in node.args} - set(part.nodes) - set(part.given) - set(part.saved)
        )
        for node in outside:
            inner(node)
        given: dict[Node, str] = {}
        taken = {*RESERVED, *called_functions(self.graph), *self.functions.values()} - {"key"}
        for node in (*part.given, *(part.saved if part.section == "backward" else ())):
            begin = "key" if node.dtype is Key else "dy" if node.place.section == "backward" else "x"
            wanted = begin if node in part.given else inner(node).name
            given[inner(node)] = fresh(wanted or node.hint or "t", taken)
        nodes = [inner(node) for node in part.nodes]
        results = [inner(node) for node in (*part.results, *part.leaves.values(), *part.saved)]
        finals = {inner(node): fresh("y" if part.section == "forward" else "dx", taken) for node in part.results}
        sign = "d_" * (part.section == "backward")
        for at, node in part.leaves.items():
            if node in self.finals and inner(node) not in finals:
                finals[inner(node)] = fresh(sign + short.get(at, at), taken)
        inputs = [node for node in moved.values() if node.kind is INPUT and node not in given]
        graph = NodeGraph(nodes, inputs, results)
        printer = Printer(graph, {}, finals, given=given, defined=self.defined, train=self.train)
        printer.here = (part.section, "")
        printer.taken |= set(self.functions.values())
        self.within(part, inner, graph, printer)
        printer.run()
        head = [*part.roots, *(given[inner(node)] for node in part.given)]
        lines = [(", ".join([*head, *(["saved"] if part.saved and part.section == "backward" else [])]), "")]
        if part.saved and part.section == "backward":
            lines.append((unpacked([given[inner(node)] for node in part.saved]), ""))
        lines += printer.lines

        def text(node: Node) -> Quoted:
            return Quoted(printer.text(inner(node)).text)

        back = [repr(text(node)) for node in part.results]
        if part.leaves:
            results_by_path = tree.unflatten({at: inner(node) for at, node in part.leaves.items()})
            back.append(tree_text(structured(results_by_path, printer)))
        if part.section == "forward" and part.saved:
            back.append(tuple_text([repr(text(node)) for node in part.saved]))
        lines.append((f"return {', '.join(back)}", ""))
        if any(draws(line) for line, _ in lines):
            lines[0] = (", ".join(filter(None, (lines[0][0], "rng"))), "")
        return ("\n".join(margins(lines[:1], 0)), *margins(lines[1:]))

    def within(self, part: Part, inner: Callable[[Node], Node], graph: NodeGraph, printer: Printer) -> None:
        """Let a part's own function call those of the layers in it."""
        own = set(part.nodes)
        view = copy.copy(self)
        view.graph, view.last, view.inside, view.kept = graph, {}, set(), {}
        view.entered = self.entered_in.setdefault(part.path, {})
        for layer in self.inner:
            if layer.path != part.path and own.issuperset(layer.nodes):
                kept = {at: inner(node) for at, node in layer.leaves.items()}
                nodes, given, saved, results = (
                    tuple(map(inner, each)) for each in (layer.nodes, layer.given, layer.saved, layer.results)
                )
                made = Part(
                    without(layer.path, part.path), layer.section, nodes, layer.roots, given, saved, results, kept,
                    layer.text,
                )  # fmt: skip
                view.last[nodes[-1]] = made
                view.inside |= set(nodes)
        if view.last:
            printer.blocks = view
            view.count(printer)

    def function(self, name: str, parts: list[Part], says: str = "") -> str:
        """The function of parts; a shape that differs between them is left out."""
        part = parts[0]
        lines = [part.text[i] if len({p.text[i] for p in parts}) == 1 else line for i, line in enumerate(part.code)]
        says = says or f"The {part.section} pass of {part.path}, and of the parts like it."
        return narrow("\n".join([f"def {name}({lines[0]}):", f'    """{says}"""', *lines[1:]]))

    # calls

    def count(self, printer: Printer) -> None:
        """Count the uses of values in the program that calls the functions."""
        printer.uses = {}
        used = [arg for node in self.graph.nodes if node not in self.inside for arg in read(node)]
        used += [node for part in self.last.values() for node in part.given] + leaves(self.graph.outputs)
        used += [node for part in self.last.values() if part.section == "backward" for node in part.saved]
        for node in used:
            printer.uses[node] = printer.uses.get(node, 0) + 1

    def call(self, part: Part, printer: Printer) -> None:
        """The statement that calls a part's function."""
        base = part.path.replace("/", "_")
        args = [lookup(f"{root}/{part.path}") for root in part.roots]
        args += [printer.text(node).text for node in part.given]
        targets: list[str] = []
        entered = self.entered.get(part.path, "x") if part.section == "backward" else ""
        if part.section == "forward":
            arrays = [printer.text(node).text for node in part.given if node.is_array]
            self.entered[part.path] = arrays[0] if arrays else "x"
        for node in part.results:
            wanted = f"d_{entered}" if entered else base
            vague = part.section == "backward" and re.fullmatch(r"d_(x|t\d+)", wanted)
            name = printer.finals.get(node) or (printer.called(node) if vague else printer.unique(wanted))
            printer.texts[node] = Text(name, ATOM)
            targets.append(name)
        if part.leaves:
            name = printer.unique(f"grads_{base}" if part.section == "backward" else f"state_{base}")
            targets.append(name)
            printer.trees.append((name, part.leaves))
            for at, node in part.leaves.items():
                printer.texts.setdefault(node, Text(lookup(f"{name}/{at}"), ATOM))
        if part.saved and part.section == "forward":
            backward = next((p for p in self.last.values() if p.path == part.path and p.section == "backward"), None)
            if backward is not None and backward.saved == part.saved:
                targets.append(printer.unique(f"saved_{base}"))
                self.kept[part.path] = targets[-1]
            else:
                names = [printer.called(node) for node in part.saved]
                printer.texts |= {node: Text(name, ATOM) for node, name in zip(part.saved, names, strict=True)}
                targets.append(tuple_text(names))
        elif part.saved:
            args.append(self.kept.get(part.path) or tuple_text([printer.text(node).text for node in part.saved]))
        args += ["rng"] * (re.search(r"\brng$", part.text[0]) is not None)
        printer.lines.append((f"{', '.join(targets)} = {self.functions[part.code]}({', '.join(args)})", ""))


def tuple_text(texts: list[str]) -> str:
    """A tuple as code."""
    return f"({', '.join(texts)}{',' * (len(texts) == 1)})"


def unpacked(names: list[str]) -> str:
    """The statement that unpacks what the forward pass saved."""
    whole = f"{', '.join(names)}{',' * (len(names) == 1)}"
    if len(whole) < LONGEST - 14:
        return f"{whole} = saved"
    inner = textwrap.fill(f"{whole},", LONGEST - 8, initial_indent=" " * 8, subsequent_indent=" " * 8)
    return f"(\n{inner}\n    ) = saved"


def skeleton(layer: Layer) -> Any:
    """The classes of a layer and those inside it."""
    return type(layer).__name__, tuple((name, skeleton(child)) for name, child in layer.children.items())
