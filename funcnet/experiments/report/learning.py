"""How a run learnt: its curves, and the distributions of weights, outputs and gradients at moments of the training."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from funcnet.experiments.folder import DISTRIBUTIONS
from funcnet.experiments.report.counted import plural
from funcnet.experiments.result import Run
from funcnet.files import read_bytes
from funcnet.training.distributions import LEVELS
from funcnet.views import page
from funcnet.views.curves import curve_panels
from funcnet.views.fans import Fan, common_axis, fan_svg
from funcnet.views.page import Section
from funcnet.views.svg import short, xml

MOST_FANS, MANY = 24, 16
"""The most pictures of a kind, and the most of weights that biases and scales are among"""
MOST_PANELS = 24
"""The most curves"""
LARGEST = 2**24
"""The most bytes of the lines that are read"""
MOST_LINES, LONGEST = 100, 1000
"""The most lines, and letters of a path, of a file that ``Distributions`` has written"""
VANISHING, EXPLODING = 1e-4, 1e4
"""Medians of gradients, as a share of the largest and the least of all layers, that are worth a sentence"""
COLOURS = {"weights": "#0072b2", "outputs": "#007a5e", "gradients": "#a0478f"}
ABOUT = {
    "outputs": (
        "Outputs of the layers",
        "On the same few rows at every moment. A unit that is 0 for all of them is dead.",
    ),
    "gradients": (
        "Gradients",
        "Their magnitudes, on one scale of powers of ten. A layer far below the others hardly learns.",
    ),
    "weights": ("Weights", "On one scale."),
}
KEY = (
    "The line is the median. The bands reach from a quarter to three quarters of the values, from 5 % to 95 %, and "
    "from the least to the largest."
)


def curves(run: Run) -> Section | None:
    """The curves of a run."""
    panels = curve_panels(run.history)
    if not panels:
        return None
    steps, rows = run.train_state.step, run.history
    seconds = rows[-1].get("seconds") if rows else None
    took = f" in {short(float(seconds), 3)} s" if isinstance(seconds, int | float) else ""
    about = f"{plural(steps, 'step')}{took}."
    if any("validation/loss" in row for row in rows):
        about += " A ring marks the best value on the validation part."
    if len(panels) > MOST_PANELS:
        about += f" These are the first {MOST_PANELS} of {len(panels)} curves; history.csv has all."
    drawn = [
        page.picture(one, "Curves over the epochs; the last and the best values are written above them")
        for one in panels[:MOST_PANELS]
    ]
    return Section("learning", "How it learnt", about, [f'<div class="panels">{"".join(drawn)}</div>'])


def distributions(folder: Path) -> Section | None:
    """The fans of a run; None for a run without them."""
    lines = read_lines(folder)
    if len(lines) < 2:
        return None
    fans = {kind: fans_of(lines, kind) for kind in COLOURS}
    last = float(lines[-1]["step"])
    parts = [page.paragraph(one, "note") for one in findings(lines)]
    parts.append(page.paragraph(KEY, "about"))
    for kind, (title, about) in ABOUT.items():
        chosen = _shown(fans[kind], kind)
        if not chosen:
            continue
        axis = None if kind == "outputs" else common_axis(list(chosen.values()), log=kind == "gradients")
        drawn = []
        for path, fan in chosen.items():
            figure = _figure(kind, lines[-1][kind].get(path))
            picture = fan_svg(fan, axis or common_axis([fan]), COLOURS[kind], last)
            caption = f"<b>{page.name(path, breaks=True)}</b>{xml(figure)}"
            drawn.append(page.picture(picture, f"{path}: {figure}", caption))
        left = len(fans[kind]) - len(chosen)
        more = f" {left} smaller ones are left out." if left else ""
        parts.append(
            f'<h3>{title}</h3>{page.paragraph(about + more, "about")}<div class="small">{"".join(drawn)}</div>'
        )
    first, last_step = lines[0]["step"], lines[-1]["step"]
    about = (
        f"Weights, outputs and gradients of each layer at {len(lines)} moments, from step {first:,} to {last_step:,}."
    )
    return Section("inside", "Inside, while it learnt", about, parts)


def read_lines(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run that have the form of ``Distributions``; none of a file that is missing or damaged."""
    try:
        lines = [json.loads(line) for line in read_bytes(folder / DISTRIBUTIONS, LARGEST).decode().splitlines()]
    except (OSError, ValueError, RecursionError):
        return []
    return [line for line in lines if is_line(line)] if len(lines) <= MOST_LINES else []


def is_number(value: Any) -> bool:
    """Whether a value is None, a float, or an integer that a float can hold."""
    return value is None or type(value) is float or (type(value) is int and abs(value) < 2**63)


def is_line(line: Any) -> bool:
    """Whether a line is one that ``Distributions`` may have written."""

    def fits(kind: str, length: int) -> bool:
        found = line.get(kind)
        return isinstance(found, dict) and all(
            len(path) <= LONGEST and isinstance(row, list) and len(row) == length and all(map(is_number, row))
            for path, row in found.items()
        )

    step = line.get("step") if isinstance(line, dict) else None
    whole = type(step) is int and 0 <= step < 2**63
    return whole and all(fits(kind, len(LEVELS) + (kind == "outputs")) for kind in COLOURS)


def fans_of(lines: Sequence[dict[str, Any]], kind: str) -> dict[str, Fan]:
    """The fan of each path."""
    found = {}
    for path in lines[-1][kind]:
        there = [line for line in lines if path in line[kind]]
        rows = [[math.nan if v is None else float(v) for v in line[kind][path][: len(LEVELS)]] for line in there]
        found[path] = Fan(path, [line["step"] for line in there], np.array(rows))
    return found


def _shown(fans: dict[str, Fan], kind: str) -> dict[str, Fan]:
    """As many as fit: weights before biases and scales, else evenly spaced."""
    chosen = list(fans)
    if len(chosen) > MANY and kind != "outputs":
        chosen = [path for path in chosen if path.rpartition("/")[2] not in ("bias", "scale", "shift")] or chosen
    if len(chosen) > MOST_FANS:
        chosen = [chosen[i * len(chosen) // MOST_FANS] for i in range(MOST_FANS)]
    return {path: fans[path] for path in chosen}


def _figure(kind: str, row: Sequence[float | None] | None) -> str:
    """The figures of a path at the last moment."""
    if row is None:
        return ""
    low, middle, high = (("?" if v is None else short(v, 2)) for v in (row[0], row[3], row[6]))
    if kind == "gradients":
        return f"median {middle}, largest {high}"
    share = row[len(LEVELS)] if kind == "outputs" else 0.0
    dead = f", {short(100.0 * share, 2)} % dead" if share else ""
    return f"{low} to {high}{dead}"


def findings(lines: Sequence[dict[str, Any]]) -> list[str]:
    """Where values die, vanish, explode or are not finite, in sentences."""
    said = []
    last = lines[-1]
    dying = {path: row[-1] for path, row in last["outputs"].items() if row[-1]}
    if dying:
        path, share = max(dying.items(), key=lambda pair: pair[1])
        if share >= 0.1:
            said.append(
                f"{short(100.0 * share, 3)} % of the units of {path} are dead at the end: 0 for all rows looked at."
            )
    medians = {path: row[3] for path, row in last["gradients"].items() if row[3] and not path.endswith("bias")}
    if len(medians) > 1:
        least, most = min(medians, key=_of(medians)), max(medians, key=_of(medians))
        if medians[least] < VANISHING * medians[most]:
            ratio = short(medians[least] / medians[most], 2)
            said.append(
                f"The gradient of {least} is {ratio} times that of {most} at the end: it has nearly vanished there."
            )
    broken = next(
        ((line["step"], path) for line in lines for kind in COLOURS for path, row in line[kind].items() if None in row),
        None,
    )
    if broken is not None:
        said.append(f"At step {broken[0]:,}, {broken[1]} has numbers that are not finite.")
    else:
        first = lines[0]["weights"]
        sizes = {path: (_largest(first.get(path, row)), _largest(row)) for path, row in last["weights"].items()}
        grown = [path for path, (a, b) in sizes.items() if a and b > EXPLODING * a]
        if grown:
            said.append(f"The largest weight of {grown[0]} has grown more than {EXPLODING:,.0f} times.")
    return said


def _largest(row: Sequence[float]) -> float:
    """The largest magnitude of a line's numbers."""
    return max(abs(row[0]), abs(row[6]))


def _of(values: dict[str, float]) -> Callable[[str], float]:
    return lambda name: values[name]
