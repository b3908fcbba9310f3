"""A network as a diagram, in SVG and in Mermaid."""

from __future__ import annotations

from html import escape
from itertools import pairwise
from pathlib import Path

from funcnet.combinators.residual import SHORTCUT
from funcnet.combinators.serial import Serial
from funcnet.errors import FuncnetError
from funcnet.files import write_bytes
from funcnet.hints import explained
from funcnet.inputs import instance
from funcnet.layers.base import Layer
from funcnet.shapes import Shape, shape_text
from funcnet.views.diagram_entries import Entry, Form, entries, form
from funcnet.views.diagram_layout import (
    ARROW,
    GAP,
    PAD,
    SMALL_LETTER,
    STYLE,
    Block,
    block,
    line,
    text,
)


class Diagram:
    """A network as SVG and as Mermaid text; notebooks show the SVG."""

    def __init__(self, net: Layer, in_shape: Shape) -> None:
        self.root = entries(net, in_shape)
        self.in_shape = in_shape

    @property
    def block(self) -> Block:
        """The layout of the diagram."""
        return block(self.root, top=True)

    @property
    def svg(self) -> str:
        """The diagram in SVG."""
        drawn = self.block
        names = f"input {shape_text(self.in_shape)}", f"output {shape_text(self.root.out_shape)}"
        (x, y), (end_x, end_y) = drawn.enters, drawn.leaves
        half = max(map(len, names)) * SMALL_LETTER / 2
        left = PAD + max(0.0, half - min(x, end_x))
        width = left + max(drawn.width, x + half, end_x + half) + PAD
        top, height = PAD + GAP, drawn.height + 2 * PAD + 2 * GAP
        size = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
        bottom = top + end_y
        return "".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" {size}>',
                STYLE,
                ARROW,
                f'<rect width="{width:g}" height="{height:g}" fill="#ffffff"/>',
                text(left + x, 16, names[0]),
                line((left + x, GAP), (left + x, top + y), arrow=drawn.solid),
                *drawn.svg(left, top),
                line((left + end_x, bottom), (left + end_x, bottom + 16)),
                text(left + end_x, bottom + 28, names[1]),
                "</svg>\n",
            ]
        )

    def inside(self, title: str) -> str:
        """The SVG without its styles, for a page that has those of ``svg.diagram``; ``title`` is what it is read as."""
        start = f'<svg class="diagram" role="img" aria-label="{escape(title)}" '
        return self.svg.replace(STYLE, f"<title>{escape(title)}</title>").replace("<svg ", start, 1)

    def _repr_svg_(self) -> str:
        return self.svg

    @property
    def mermaid(self) -> str:
        """The diagram as a flowchart in Mermaid."""
        writer = _Mermaid(self.root)
        writer.node("input", f"input {shape_text(self.in_shape)}")
        entry, leave = writer.flow(self.root, "  ")
        writer.node("output", f"output {shape_text(self.root.out_shape)}")
        writer.edges += [*(("input", one) for one in entry), *((one, "output") for one in leave)]
        lines = ["flowchart TD", *writer.lines, *(f"  {a} --> {b}" for a, b in dict.fromkeys(writer.edges))]
        return "\n".join(lines) + "\n"

    def __str__(self) -> str:
        return self.mermaid

    def save(self, path: str | Path) -> None:
        """Write the SVG to an ``.svg`` file, or the Mermaid text to an ``.mmd`` file.

        Raises   FuncnetError for another extension
        """
        path = Path(path)
        if path.suffix not in (".svg", ".mmd"):
            raise FuncnetError(f"expected a file that ends in .svg or .mmd, got {path.name!r}")
        write_bytes(path, (self.svg if path.suffix == ".svg" else self.mermaid).encode())


class _Mermaid:
    def __init__(self, root: Entry) -> None:
        self.root = root
        self.lines: list[str] = []
        self.edges: list[tuple[str, str]] = []
        self.count = 0

    def node(self, name: str, *text: str, indent: str = "  ") -> None:
        label = "<br/>".join(escape(part).replace('"', "#quot;") for part in text)
        self.lines.append(f'{indent}{name}["{label}"]')

    def fresh(self) -> str:
        self.count += 1
        return f"n{self.count}"

    def flow(self, entry: Entry, indent: str) -> tuple[list[str], list[str]]:
        """Write a layer, and return the nodes where the flow enters and leaves it."""
        if not entry.children:
            name = self.fresh()
            self.node(name, *entry.label(), indent=indent)
            return [name], [name]
        how, frame = form(entry.layer), entry is not self.root or not isinstance(entry.layer, Serial)
        if frame:
            self.lines.append(f'{indent}subgraph s{self.fresh()} ["{escape(entry.title)}"]')
        inner = indent + "  " * frame
        ends = self.inside(entry, how, inner)
        if frame:
            self.lines.append(f"{indent}end")
        return ends

    def inside(self, entry: Entry, how: Form, indent: str) -> tuple[list[str], list[str]]:
        if how.kind == "graph":
            return self.graph(entry, how, indent)
        flows = {name: self.flow(child, indent) for name, child in entry.children.items()}
        if how.kind == "row":
            return [n for a, _ in flows.values() for n in a], [n for _, b in flows.values() for n in b]
        if how.kind == "shortcut":
            start, plus = self.fresh(), self.fresh()
            self.lines += [f"{indent}{start}(( ))", f'{indent}{plus}(("+"))']
            for a, b in flows.values():
                self.edges += [*((start, one) for one in a), *((one, plus) for one in b)]
            if SHORTCUT not in flows:
                self.edges.append((start, plus))
            return [start], [plus]
        steps = list(flows.values())
        for (_, before), (after, _) in pairwise(steps):
            self.edges += [(a, b) for a in before for b in after]
        return (steps[0][0], steps[-1][1]) if steps else ([], [])

    def graph(self, entry: Entry, how: Form, indent: str) -> tuple[list[str], list[str]]:
        leave: dict[str, list[str]] = {}
        for name in how.inputs:
            leave[name] = [self.fresh()]
            self.node(leave[name][0], name, indent=indent)
        starts = [one for name in how.inputs for one in leave[name]]
        for name, sources in how.sources.items():
            enter, leave[name] = self.flow(entry.children[name], indent)
            self.edges += [(a, b) for source in sources for a in leave[source] for b in enter]
        if len(how.outputs) == 1:
            return starts, leave[how.outputs[0]]
        ends = []
        for name in how.outputs:
            ends.append(self.fresh())
            self.node(ends[-1], f"output: {name}", indent=indent)
            self.edges += [(one, ends[-1]) for one in leave[name]]
        return starts, ends


@explained
def diagram(net: Layer, in_shape: Shape) -> Diagram:
    """A diagram of a network: ``.svg``, ``.mermaid``, ``.save("net.svg")``; notebooks show it.

    A long sequence continues in another column; a Graph is drawn by levels, with long edges around the boxes.
    Raises   ShapeError for a network that does not fit the shape
    """
    instance(net, Layer, "a network", "fn.serial(fn.Dense(10))")
    return Diagram(net, in_shape)
