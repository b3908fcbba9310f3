"""Where the boxes and lines of a network's picture go, and how they look as SVG."""

from __future__ import annotations

from collections.abc import Iterator
from functools import singledispatch
from html import escape
from itertools import pairwise
from typing import Any, NamedTuple

import attrs

from funcnet.combinators.bidirectional import Bidirectional
from funcnet.combinators.branch import Branch, Parallel
from funcnet.combinators.graph import Graph
from funcnet.combinators.residual import SHORTCUT, Residual
from funcnet.combinators.serial import Serial
from funcnet.layers.base import Call, Layer, count_parameters, listen, reach
from funcnet.shapes import Shape, shape_text
from funcnet.spec.base import Spec, fields

GAP, PAD, LINE, LETTER, TITLE = 22, 12, 15, 7.3, 18
COLUMN = 900
"""The least height from which a sequence goes on in another column"""
FAMILIES = {
    "dense": "#dce8f6", "convolution": "#e0f0da", "pooling": "#eef5e3", "normalization": "#f6edd9",
    "activations": "#f8e4e2", "noise": "#ececec", "recurrent": "#e9e0f5", "attention": "#d9efee",
    "embedding": "#dff0f5",    "shape": "#f1f1f1", "sequence": "#f1f1f1", "branch": "#f1f1f1",
}  # fmt: skip
STYLE = """<style>
text{font:12px ui-monospace,Menlo,Consolas,monospace;fill:#222}
.t{fill:#777;font-size:11px} .f{fill:none;stroke:#9a9a9a;stroke-dasharray:4 3} .b{stroke:#8a8a8a}
.e{fill:none;stroke:#808080;stroke-width:1.3}
</style>"""


ARROW = (
    '<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0,0 L8,4 L0,8 z" fill="#808080"/></marker></defs>'
)

# ----- what a combinator looks like ------------------------------------------------------------------------------


class Form(NamedTuple):
    """How the children of a layer are arranged: in a ``stack``, a ``row``, a ``shortcut``, or as a ``graph``."""

    kind: str
    sources: dict[str, tuple[str, ...]] = {}
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


@singledispatch
def form(layer: Layer) -> Form:
    """How to draw a combinator; by default its children one after another."""
    return Form("stack")


@form.register
def _(layer: Branch | Parallel | Bidirectional) -> Form:
    return Form("row")


@form.register
def _(layer: Residual) -> Form:
    return Form("shortcut")


@form.register
def _(layer: Graph) -> Form:
    sources = {name: layer.nodes[name][1] for name in layer.order}
    return Form("graph", sources, layer.inputs, layer.outputs)


class Entry(NamedTuple):
    """A layer in the picture: its place, and the shapes that go through it."""

    name: str
    path: str
    layer: Layer
    out_shape: Shape
    parameters: int
    children: dict[str, Entry]

    @property
    def title(self) -> str:
        """Its name, its class, and the fields that are set, other than layers and starting values."""
        kind = type(self.layer).__name__
        set_ = [f for f in fields(type(self.layer)) if not f.name.endswith("_init")]
        shown = [
            f"{f.name}={getattr(self.layer, f.name)}".replace("'", "")
            for f in set_
            if getattr(self.layer, f.name) != f.default and not _holds_specs(getattr(self.layer, f.name))
        ]
        what = f"{kind}({', '.join(shown)})" if shown or not self.children else kind
        what = what if len(what) <= 44 else what[:41] + "..."
        return f"{self.name}: {what}" if self.name else what

    def label(self) -> list[str]:
        """The lines of its box."""
        count = f", {self.parameters:,} params" if self.parameters else ""
        return [self.title, shape_text(self.out_shape) + count]


def _holds_specs(value: Any) -> bool:
    return isinstance(value, Spec) or (isinstance(value, tuple) and any(map(_holds_specs, value)))


def entries(net: Layer, in_shape: Shape) -> Entry:
    """The network with the shapes that its layers were heard to give."""
    heard: dict[tuple[str, int], tuple[Shape, Shape]] = {}

    def notify(call: Call) -> None:
        if call.method == "out_shape":
            heard[call.path, call.depth] = call.args[0], call.result

    with listen(notify):
        reach("", net, "out_shape", in_shape)

    def entry(name: str, path: str, layer: Layer, depth: int) -> Entry:
        given, out = heard.get((path, depth), (None, ()))
        children = {
            child: entry(child, "/".join(filter(None, (path, child))), inner, depth + 1)
            for child, inner in layer.children.items()
        }
        return Entry(
            name, path, layer, out, count_parameters(layer.leaves(given)) if given is not None else 0, children
        )

    return entry("", "", net, 0)


# ----- layout ------------------------------------------------------------------------------------------------------


@attrs.define
class Block:
    """A rectangle of drawing: what goes in comes at the middle of its top, what comes out leaves at its bottom."""

    width: float
    height: float
    parts: list[tuple[float, float, Block]] = attrs.field(factory=list)
    marks: list[str] = attrs.field(factory=list)
    box: Entry | None = None
    port: float | None = None

    @property
    def middle(self) -> float:
        """Where the flow enters and leaves."""
        return self.width / 2 if self.port is None else self.port

    def boxes(self, x: float = 0.0, y: float = 0.0) -> Iterator[tuple[float, float, float, float, Entry]]:
        """Every layer's box: left, top, width, height."""
        if self.box is not None:
            yield x, y, self.width, self.height, self.box
        for left, top, inner in self.parts:
            yield from inner.boxes(x + left, y + top)

    def svg(self, x: float = 0.0, y: float = 0.0) -> Iterator[str]:
        """The drawing, moved to a place."""
        if self.marks:
            yield f'<g transform="translate({x:g},{y:g})">{"".join(self.marks)}</g>'
        if self.box is not None:
            yield from _box(self.box, x, y, self.width, self.height)
        for left, top, inner in self.parts:
            yield from inner.svg(x + left, y + top)


def _box(entry: Entry, x: float, y: float, width: float, height: float) -> Iterator[str]:
    family = type(entry.layer).__module__.rpartition(".")[2]
    yield (
        f'<rect class="b" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="5" '
        f'fill="{FAMILIES.get(family, "#f6f6f6")}"><title>{escape(entry.path or "network")}</title></rect>'
    )
    for i, line in enumerate(entry.label()):
        kind = ' class="t"' if i else ""
        yield f'<text{kind} x="{x + width / 2:g}" y="{y + 16 + i * LINE:g}" text-anchor="middle">{escape(line)}</text>'


def line(*points: tuple[float, float], arrow: bool = True) -> str:
    """A polyline, with an arrow at its end."""
    tip = ' marker-end="url(#a)"' if arrow else ""
    return f'<polyline class="e" points="{" ".join(f"{x:g},{y:g}" for x, y in points)}"{tip}/>'


def block(entry: Entry, top: bool = False) -> Block:
    """The drawing of a layer."""
    if not entry.children:
        lines = entry.label()
        return Block(max(120.0, max(map(len, lines)) * LETTER + 20), 10.0 + LINE * len(lines), box=entry)
    inner = {"row": _row, "shortcut": _shortcut, "graph": _graph}.get(form(entry.layer).kind, _stack)(entry, top)
    if top and isinstance(entry.layer, Serial):
        return inner
    return _framed(entry, inner)


def _framed(entry: Entry, inner: Block) -> Block:
    width = max(inner.width, len(entry.title) * LETTER) + 2 * PAD
    left = (width - inner.width) / 2
    height = inner.height + 2 * PAD + TITLE
    port = left + inner.middle
    marks = [
        f'<rect class="f" x="0" y="0" width="{width:g}" height="{height:g}" rx="7"/>',
        f'<text class="t" x="8" y="14">{escape(entry.title)}</text>',
        line((port, 0), (port, PAD + TITLE)),
        line((port, height - PAD), (port, height), arrow=False),
    ]
    return Block(width, height, [(left, PAD + TITLE, inner)], marks, port=port)


def _stack(entry: Entry, top: bool = False) -> Block:
    blocks = [block(child) for child in entry.children.values()]
    columns, height = [[]], 0.0  # type: list[list[Block]], float
    whole_height = sum(one.height + GAP for one in blocks)
    limit = max(COLUMN, (whole_height * max(one.width for one in blocks)) ** 0.5)  # about as wide as tall
    for one in blocks:
        if top and columns[-1] and height + one.height > limit:
            columns.append([])
            height = 0.0
        columns[-1].append(one)
        height += one.height + GAP
    whole, left, previous = Block(0.0, 0.0), 0.0, None
    for column in columns:
        port = max(one.middle for one in column)
        width = port + max(one.width - one.middle for one in column)
        y = GAP if len(columns) > 1 else 0.0
        start = left + port
        if previous is not None:  # up through the gutter between two columns
            x, end = previous
            gutter = left - GAP
            whole.marks.append(
                line((x, end), (x, end + GAP / 2), (gutter, end + GAP / 2), (gutter, 6), (start, 6), (start, y))
            )
        for i, one in enumerate(column):
            whole.parts.append((start - one.middle, y, one))
            y += one.height
            if i + 1 < len(column):
                whole.marks.append(line((start, y), (start, y + GAP)))
                y += GAP
        previous = start, y
        whole.width, whole.height = left + width, max(whole.height, y + (GAP if len(columns) > 1 else 0))
        left += width + 2 * GAP
    if len(columns) == 1:
        whole.port = max(one.middle for one in blocks)
    return whole


def _row(entry: Entry, top: bool = False) -> Block:
    blocks = [block(child) for child in entry.children.values()]
    width = sum(one.width for one in blocks) + GAP * (len(blocks) - 1)
    height = max(one.height for one in blocks)
    whole, x = Block(width, height + 2 * GAP), 0.0
    for one in blocks:
        port = x + one.middle
        whole.parts.append((x, GAP, one))
        whole.marks += [
            line((width / 2, 0), (width / 2, 5), (port, 5), (port, GAP)),
            line(
                (port, GAP + one.height), (port, height + 2 * GAP - 5), (width / 2, height + 2 * GAP - 5), arrow=False
            ),
            line((width / 2, height + 2 * GAP - 5), (width / 2, height + 2 * GAP), arrow=False),
        ]
        x += one.width + GAP
    return whole


def _shortcut(entry: Entry, top: bool = False) -> Block:
    body = block(entry.children[""])
    side = entry.children.get(SHORTCUT)
    beside = None if side is None else block(side)
    extra = GAP if beside is None else beside.width + GAP
    height = max(body.height, 0.0 if beside is None else beside.height) + 2 * GAP + 14
    x, far = body.middle, body.width + (GAP / 2 if beside is None else GAP + beside.middle)
    plus = height - 12
    whole = Block(body.width + extra, height, [(0.0, GAP, body)], port=x)
    if beside is not None:
        whole.parts.append((body.width + GAP, GAP, beside))
    arc = [(x, 6.0), (far, 6.0)]
    down = [(far, plus), (x + 9, plus)]
    whole.marks = [
        line((x, 0), (x, GAP)),
        line((x, GAP + body.height), (x, plus - 9)),
        f'<circle class="e" cx="{x:g}" cy="{plus:g}" r="8"/>',
        f'<text class="t" x="{x:g}" y="{plus + 4:g}" text-anchor="middle">+</text>',
        line((x, plus + 8), (x, height), arrow=False),
    ]
    if beside is None:
        whole.marks.append(line(*arc, *down))
    else:
        whole.marks += [line(*arc, (far, GAP)), line((far, GAP + beside.height), *down)]
    return whole


def _graph(entry: Entry, top: bool = False) -> Block:
    how = form(entry.layer)
    level = dict.fromkeys(how.inputs, 0)
    for name, sources in how.sources.items():
        level[name] = 1 + max(level[source] for source in sources)
    bottom = max(level.values()) + 1
    edges = [(source, name) for name, sources in how.sources.items() for source in sources]
    edges += [(name, OUT) for name in how.outputs]
    level[OUT] = bottom
    blocks = {name: block(entry.children[name]) for name in how.sources}
    blocks |= {name: _port(name) for name in how.inputs} | {OUT: _port("output")}
    chains: list[list[str]] = []
    for n, (source, name) in enumerate(edges):  # a long edge runs through a gap of its own on every level
        chain = [source]
        for at in range(level[source] + 1, level[name]):
            gap = f"{n}|{at}"
            level[gap], blocks[gap] = at, Block(8.0, 0.0)
            chain.append(gap)
        chains.append([*chain, name])
    rows: list[list[str]] = [[name for name in level if level[name] == i] for i in range(bottom + 1)]
    links = [(a, b) for chain in chains for a, b in pairwise(chain)]
    _untangle(rows, links)
    widths = [sum(blocks[name].width for name in row) + GAP * (len(row) - 1) for row in rows]
    whole, y, at_x, at_y = Block(max(widths), 0.0), 0.0, {}, {}  # type: Block, float, dict[str, float], dict[str, tuple[float, float]]
    for row, width in zip(rows, widths, strict=True):
        x, tall = (whole.width - width) / 2, max(blocks[name].height for name in row)
        for name in row:
            one = blocks[name]
            if name in how.sources or name in (*how.inputs, OUT):
                whole.parts.append((x, y, one))
            at_x[name] = x + one.middle
            at_y[name] = (y, y + (one.height if "|" not in name else tall))
            x += one.width + GAP
        y += tall + 2 * GAP
    for chain in chains:
        points: list[tuple[float, float]] = []
        for i, name in enumerate(chain):
            points += [(at_x[name], at_y[name][0])] * (i > 0) + [(at_x[name], at_y[name][1])] * (i + 1 < len(chain))
        whole.marks.append(line(*points))
    whole.height = y - 2 * GAP
    return whole


OUT = "|out"


def _port(name: str) -> Block:
    width = len(name) * LETTER + 12
    text = f'<text class="t" x="{width / 2:g}" y="12" text-anchor="middle">{escape(name)}</text>'
    return Block(width, 16.0, marks=[text])


def _untangle(rows: list[list[str]], links: list[tuple[str, str]]) -> None:
    """Order each level by the mean place of its neighbours, a few times up and down."""
    for sweep in range(8):
        down = sweep % 2 == 0
        for i in range(1, len(rows)) if down else range(len(rows) - 2, -1, -1):
            other = rows[i - 1 if down else i + 1]
            place = {name: (j + 0.5) / len(other) for j, name in enumerate(other)}

            def mean(name: str, down: bool = down, place: dict[str, float] = place) -> float:
                ends = [(a, b) if down else (b, a) for a, b in links]
                near = [place[there] for there, here in ends if here == name and there in place]
                return sum(near) / len(near) if near else 0.5

            rows[i].sort(key=mean)
