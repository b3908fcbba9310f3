"""The layout of a network's diagram, and its boxes and lines in SVG."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from itertools import pairwise

import attrs

from funcnet.combinators.residual import SHORTCUT
from funcnet.combinators.serial import Serial
from funcnet.views.diagram_entries import Entry, form
from funcnet.views.diagram_places import places, untangle

GAP, PAD, LINE, LETTER, SMALL_LETTER, TITLE = 22, 12, 15, 7.3, 6.7, 18
COLUMN = 900
"""Minimum height at which a sequence continues in another column"""
FAMILIES = {
    "dense": "#dce8f6", "convolution": "#e0f0da", "pooling": "#eef5e3", "resampling": "#eef5e3",
    "normalization": "#f6edd9", "activations": "#f8e4e2", "noise": "#ececec", "recurrent": "#e9e0f5",
    "attention": "#d9efee", "embedding": "#dff0f5", "shape": "#f1f1f1", "sequence": "#f1f1f1", "branch": "#f1f1f1",
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


@attrs.define
class Block:
    """A rectangle of the drawing; the flow enters at the middle of its top and leaves at its bottom.

    An arrow ends at the top of a ``solid`` block, and continues into any other. For a sequence in columns, ``end`` is
    the end of the last column.
    """

    width: float
    height: float
    parts: list[tuple[float, float, Block]] = attrs.field(factory=list)
    marks: list[str] = attrs.field(factory=list)
    box: Entry | None = None
    port: float | None = None
    solid: bool = False
    start: tuple[float, float] | None = None
    end: tuple[float, float] | None = None

    @property
    def middle(self) -> float:
        """The x at which the flow enters and leaves."""
        return self.width / 2 if self.port is None else self.port

    @property
    def enters(self) -> tuple[float, float]:
        """The point at which the flow enters."""
        return self.start or (self.middle, 0.0)

    @property
    def leaves(self) -> tuple[float, float]:
        """The point at which the flow leaves."""
        return self.end or (self.middle, self.height)

    def boxes(self, x: float = 0.0, y: float = 0.0) -> Iterator[tuple[float, float, float, float, Entry]]:
        """Every layer's box: left, top, width, height, and the layer."""
        if self.box is not None:
            yield x, y, self.width, self.height, self.box
        for left, top, inner in self.parts:
            yield from inner.boxes(x + left, y + top)

    def svg(self, x: float = 0.0, y: float = 0.0) -> Iterator[str]:
        """The drawing as SVG, with its top left corner at (x, y)."""
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


def text(x: float, y: float, words: str) -> str:
    """Small text, centred at x."""
    return f'<text class="t" x="{x:g}" y="{y:g}" text-anchor="middle">{escape(words)}</text>'


def line(*points: tuple[float, float], arrow: bool = True) -> str:
    """A polyline, with an optional arrow at its end."""
    tip = ' marker-end="url(#a)"' if arrow else ""
    return f'<polyline class="e" points="{" ".join(f"{x:g},{y:g}" for x, y in points)}"{tip}/>'


def curve(*points: tuple[float, float], arrow: bool = True) -> str:
    """A smooth line down from point to point, vertical at each of them, with an optional arrow at its end."""
    (x, y), *rest = points
    path = [f"M{x:g},{y:g}"]
    for to_x, to_y in rest:
        half = (y + to_y) / 2
        path.append(f"V{to_y:g}" if x == to_x else f"C{x:g},{half:g} {to_x:g},{half:g} {to_x:g},{to_y:g}")
        x, y = to_x, to_y
    tip = ' marker-end="url(#a)"' if arrow else ""
    return f'<path class="e" d="{"".join(path)}"{tip}/>'


def block(entry: Entry, top: bool = False) -> Block:
    """The drawing of a layer."""
    if not entry.children:
        lines = entry.label()
        width = max(120.0, max(map(len, lines)) * LETTER + 20)
        return Block(width, 10.0 + LINE * len(lines), box=entry, solid=True)
    inner = {"row": _row, "shortcut": _shortcut, "graph": _graph}.get(form(entry.layer).kind, _stack)(entry, top)
    if isinstance(entry.layer, Serial) and (top or not entry.name):  # a sequence inside a wrapper needs no frame
        return inner
    return _framed(entry, inner)


def _framed(entry: Entry, inner: Block) -> Block:
    """A frame around a drawing, with its title left of the line that enters."""
    title = 8 + len(entry.title) * SMALL_LETTER + 8
    left = max(PAD, title - inner.middle)
    width = max(left + inner.width, title) + PAD
    height = inner.height + 2 * PAD + TITLE
    port = left + inner.middle
    marks = [
        f'<rect class="f" x="0" y="0" width="{width:g}" height="{height:g}" rx="7"/>',
        f'<text class="t" x="8" y="14">{escape(entry.title)}</text>',
        line((port, 0), (port, PAD + TITLE), arrow=inner.solid),
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
    whole, left, previous = Block(0.0, 0.0, solid=blocks[0].solid), 0.0, None
    for column in columns:
        port = max(one.middle for one in column)
        width = port + max(one.width - one.middle for one in column)
        y = GAP if len(columns) > 1 else 0.0
        start = left + port
        if previous is None:
            whole.start = start, y
        else:  # up through the gutter between two columns
            x, end = previous
            gutter = left - GAP
            whole.marks.append(
                line(
                    *((x, end), (x, end + GAP / 2), (gutter, end + GAP / 2), (gutter, 6), (start, 6), (start, y)),
                    arrow=column[0].solid,
                )
            )
        for i, one in enumerate(column):
            whole.parts.append((start - one.middle, y, one))
            y += one.height
            if i + 1 < len(column):
                whole.marks.append(line((start, y), (start, y + GAP), arrow=column[i + 1].solid))
                y += GAP
        previous = whole.end = start, y
        whole.width, whole.height = left + width, max(whole.height, y + (GAP if len(columns) > 1 else 0))
        left += width + 2 * GAP
    if len(columns) == 1:
        whole.port = max(one.middle for one in blocks)
    return whole


def _row(entry: Entry, top: bool = False) -> Block:
    blocks = [block(child) for child in entry.children.values()]
    width = sum(one.width for one in blocks) + GAP * (len(blocks) - 1)
    height = max(one.height for one in blocks) + 2 * GAP
    whole, x, middle = Block(width, height), 0.0, width / 2
    for one in blocks:
        port = x + one.middle
        whole.parts.append((x, GAP, one))
        whole.marks += [
            line((middle, 0), (middle, 5), (port, 5), (port, GAP), arrow=one.solid),
            line((port, GAP + one.height), (port, height - 5), (middle, height - 5), (middle, height), arrow=False),
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
        line((x, 0), (x, GAP), arrow=body.solid),
        line((x, GAP + body.height), (x, plus - 9)),
        f'<circle class="e" cx="{x:g}" cy="{plus:g}" r="8"/>',
        text(x, plus + 4, "+"),
        line((x, plus + 8), (x, height), arrow=False),
    ]
    if beside is None:
        whole.marks.append(line(*arc, *down))
    else:
        whole.marks += [line(*arc, (far, GAP), arrow=beside.solid), line((far, GAP + beside.height), *down)]
    return whole


def _graph(entry: Entry, top: bool = False) -> Block:
    """A graph by levels: inputs, nodes below their sources, and outputs; long edges run beside the boxes."""
    how = form(entry.layer)
    level = dict.fromkeys(how.inputs, 0)
    for name, sources in how.sources.items():
        level[name] = 1 + max(level[source] for source in sources)
    edges = [(source, name) for name, sources in how.sources.items() for source in sources]
    ends = {f"|{name}": f"output: {name}" if len(how.outputs) > 1 else "output" for name in how.outputs}
    edges += [(name[1:], name) for name in ends]
    level |= dict.fromkeys(ends, max(level.values()) + 1)
    blocks = {name: block(entry.children[name]) for name in how.sources}
    blocks |= {name: _port(text) for name, text in [*((name, name) for name in how.inputs), *ends.items()]}
    chains: list[list[str]] = []
    for n, (source, name) in enumerate(edges):  # a long edge has a separate gap on every level
        between = [f"|{n}|{at}" for at in range(level[source] + 1, level[name])]
        level |= {gap: level[source] + 1 + i for i, gap in enumerate(between)}
        blocks |= {gap: Block(0.0, 0.0) for gap in between}
        chains.append([source, *between, name])
    rows: list[list[str]] = [[name for name in level if level[name] == i] for i in range(max(level.values()) + 1)]
    untangle(rows, [(a, b) for chain in chains for a, b in pairwise(chain)])
    x = places(rows, blocks, chains, GAP)
    tops, y = [], float(GAP)
    for row in rows:
        tops.append(y)
        y += max(blocks[name].height for name in row) + 2 * GAP
    height = y - GAP
    whole = Block(max(x[name] + one.width - one.middle for name, one in blocks.items()), height)
    whole.port = x[how.inputs[0]] if len(how.inputs) == 1 else whole.width / 2
    bottoms = [below - 2 * GAP for below in (*tops[1:], y)]
    for name, one in blocks.items():
        if one.width:
            whole.parts.append((x[name] - one.middle, tops[level[name]], one))
    for name in how.inputs:
        whole.marks.append(curve((whole.port, 0.0), (x[name], float(GAP))))
    arrivals = {
        name: sorted((x[chain[-2]], n) for n, chain in enumerate(chains) if chain[-1] == name) for name in blocks
    }
    for n, chain in enumerate(chains):
        first, *between, last = chain
        start = tops[level[first]] + blocks[first].height
        points = [(x[first], start), (x[first], bottoms[level[first]])]
        for gap in between:
            points += [(x[gap], tops[level[gap]]), (x[gap], bottoms[level[gap]])]
        target, order = blocks[last], arrivals[last]
        apart = min(18.0, (target.width - 16) / len(order)) if target.solid else 0.0
        aside = apart * (order.index((x[chain[-2]], n)) - (len(order) - 1) / 2)
        whole.marks.append(curve(*points, (x[last] + aside, tops[level[last]]), arrow=target.solid))
    for name in ends:
        bottom = tops[level[name]] + blocks[name].height
        whole.marks.append(curve((x[name], bottom), (whole.port, height), arrow=False))
    return whole


def _port(name: str) -> Block:
    width = len(name) * SMALL_LETTER + 14
    marks = [
        f'<rect class="f" style="stroke-dasharray:none" x="0" y="0" width="{width:g}" height="18" rx="9"/>',
        text(width / 2, 13, name),
    ]
    return Block(width, 18.0, marks=marks, solid=True)
