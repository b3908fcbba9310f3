"""The places of a graph's blocks in its diagram: their order on each level, and their distances."""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from funcnet.views.diagram_layout import Block


def untangle(rows: list[list[str]], links: list[tuple[str, str]]) -> None:
    """Order each level by the mean place of the neighbours of its blocks, in a few sweeps down and up."""
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


def places(rows: list[list[str]], blocks: dict[str, Block], chains: list[list[str]], space: float) -> dict[str, float]:
    """The x of each block's middle, from 0 at the left: blocks below their sources, and long edges vertical.

    Two blocks of a level are at least ``space`` apart.
    In sweeps up and down, blocks move to the mean of their linked blocks without passing one another; the gaps of a
    long edge move to the outermost of them.
    """
    near: dict[str, list[str]] = {name: [] for name in blocks}
    for first, *between, last in chains:
        if not between:
            near[first].append(last)
            near[last].append(first)
    for first, *between, last in chains:  # blocks that are linked only by long edges
        for one, gap in ((first, between[:1]), (last, between[-1:])):
            near[one] += gap if not any(other in blocks and blocks[other].width for other in near[one]) else []
    x: dict[str, float] = {}
    for row in rows:
        at = 0.0
        for name in row:
            x[name] = at + blocks[name].middle
            at += blocks[name].width + space
        for name in row:
            x[name] -= (at - space) / 2
    for sweep in range(400):
        upright: dict[str, float] = {}
        before = dict(x)
        for _, *between, _ in chains:
            far = [x[gap] for gap in between]
            upright |= dict.fromkeys(between, max(far) if sum(far) >= 0 else min(far)) if between else {}
        for row in rows if sweep % 2 else reversed(rows):
            wanted = [
                (upright[name], 100.0)
                if name in upright
                else (sum(x[other] for other in near[name]) / len(near[name]) if near[name] else x[name], 1.0)
                for name in row
            ]
            least = [blocks[a].width - blocks[a].middle + space + blocks[b].middle for a, b in pairwise(row)]
            x |= dict(zip(row, _apart(wanted, least), strict=True))
        if max(abs(x[name] - before[name]) for name in x) < 0.005:
            break
    left = min(x[name] - one.middle for name, one in blocks.items())
    return {name: round(at - left, 1) for name, at in x.items()}


def _apart(wanted: list[tuple[float, float]], least: list[float]) -> list[float]:
    """The places closest to the wanted ones, by weighted least squares, that keep their order and minimum distances."""
    offsets = list(accumulate(least, initial=0.0))
    groups: list[tuple[float, float, int]] = []  # mean, weight, members
    for (place, weight), offset in zip(wanted, offsets, strict=True):
        mean, members = place - offset, 1
        while groups and groups[-1][0] > mean:
            before, its_weight, count = groups.pop()
            mean = (before * its_weight + mean * weight) / (its_weight + weight)
            weight, members = weight + its_weight, members + count
        groups.append((mean, weight, members))
    means = [mean for mean, _, members in groups for _ in range(members)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]
