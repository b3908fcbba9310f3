"""Several runs beside one another on a page: scores, curves over each other, and how their specs differ."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from funcnet import tree
from funcnet.errors import one_line
from funcnet.experiments.report.comparable import (
    PARTS,
    One,
    best_of,
    comparable,
    data_differs,
    is_higher_better,
    same_loss,
    same_question,
    shared,
)
from funcnet.experiments.report.counted import plural
from funcnet.experiments.report.headline import FIRST, figure, question
from funcnet.experiments.result import Run
from funcnet.networks.compare import diff
from funcnet.spec.codec import spec_hash
from funcnet.training.progress import number
from funcnet.version import __version__
from funcnet.views import page
from funcnet.views.curves import overlaid_panels
from funcnet.views.page import Best, Section
from funcnet.views.roc import COLOURS, DASHES
from funcnet.views.svg import short, xml
from funcnet.views.table import Table

STYLES = [(colour, dash) for dash in DASHES for colour in COLOURS]
"""The colour and the dash of each run, of ten at most"""
MOST_CHANGES = 60
MOST_BARS, MOST_SPECS = 24, 24
"""The most runs that are drawn as bars, and whose specs are compared with the first"""


def comparison_html(runs: Sequence[tuple[Path, Run, Mapping[str, Any]]]) -> str:
    """The page of several runs, each with its folder and its ``run.json``."""
    names = [folder.resolve().name for folder, _, _ in runs]
    whole = len(set(names)) < len(names)
    ones = [
        One(one_line(str(folder) if whole else name), run, facts)
        for name, (folder, run, facts) in zip(names, runs, strict=True)
    ]
    sections = [scores(ones), curves(ones), specs(ones), facts_of(ones)]
    below = page.paragraph(f"Written by funcnet {__version__} from the folders of {len(ones)} runs.")
    shown = [one for one in sections if one is not None]
    return page.page(f"{len(ones)} runs compared", header(ones), shown, below)


def header(ones: Sequence[One]) -> str:
    """The question, and the run that answers best."""
    alike = same_question(ones)
    title = f"Which of {len(ones)} runs answers best?" if alike else f"{len(ones)} runs with different questions"
    above = f'<p class="name">{len(ones)} runs compared</p><h1>{title}</h1>'
    said = list(remarks(ones))
    found = shared(ones)
    metrics = [] if found is None else [name for name in found[1] if comparable(ones, name)]
    if not metrics:
        said.append("They have no score in common.")
    if found is not None and metrics and alike:
        part, metric = found[0], next((name for name in FIRST if name in metrics), metrics[-1])
        above += winners(ones, part, metric)
    return above + "".join(page.paragraph(one, "note") for one in said)


def remarks(ones: Sequence[One]) -> Iterator[str]:
    """What is to be known before scores are compared, in sentences."""
    if not same_question(ones):
        yield "The runs answer different questions, so no score says which is best."
    differs = data_differs(ones)
    if differs is not None:
        yield differs
    if len({one.run.experiment.loss for one in ones}) > 1:
        yield "The runs minimise different losses, which do not compare."
    elif not same_loss(ones):
        yield "The runs scale their targets differently, so their losses do not compare."
    found = shared(ones)
    if found is not None and found[0] != "test" and any("test" in one.run.metrics for one in ones):
        yield f"Some runs have no test part; they are compared on the {found[0]} part."


def winners(ones: Sequence[One], part: str, metric: str) -> str:
    """The best of the runs in words, and all of them as bars, as HTML; nothing if no score is finite."""
    best = best_of(ones, part, metric)
    if not best:
        return ""
    value = figure(metric, best[0].run.metrics[part][metric])
    names = " and ".join(page.name(one.name) for one in best[:3]) + (" and others" if len(best) > 3 else "")
    verb = "has" if len(best) == 1 else "have"
    words = f"{names} {verb} the best {xml(metric)} of the {part} part"
    values = [(one, one.run.metrics[part][metric]) for one in ones]
    bars = [
        (one.name, value, figure(metric, value), one in best)
        for one, value in values
        if value is not None and math.isfinite(value)
    ]
    higher = is_higher_better(ones, metric)
    about = f"{metric} of the {part} part; {'more' if higher else 'less'} is better"
    if len(bars) > MOST_BARS:
        bars = sorted(bars, key=lambda bar: -bar[1] if higher else bar[1])[:MOST_BARS]
        about += f"; the best {MOST_BARS}"
    return (
        f'<p class="answer"><span class="figure">{xml(value)}</span> {words}.</p>'
        f"{page.paragraph(about, 'about')}{page.bars(bars, about)}"
    )


def scores(ones: Sequence[One]) -> Section:
    """A table of scores for each part, a row for each run, the best in bold; of different losses there is no best."""
    parts = []
    for part in PARTS:
        there = [one for one in ones if part in one.run.metrics]
        metrics = list(dict.fromkeys(name for one in there for name in one.run.metrics[part]))
        if not there:
            continue
        having = {m: [one for one in there if m in one.run.metrics[part]] for m in metrics}
        best = {
            m: best_of(some, part, m) if len(some) > 1 and same_question(some) and comparable(some, m) else []
            for m, some in having.items()
        }
        rows = []
        for one in there:
            found = one.run.metrics[part]
            texts = [number(found[metric]) if metric in found else "" for metric in metrics]
            marked = [Best(text) if one in best[m] else text for m, text in zip(metrics, texts, strict=True)]
            rows.append([one.name, *marked])
        bold = ", the best in bold" if any(best.values()) else ""
        parts.append(page.table(Table(["run", *metrics], rows), f"Scores of the {part} part{bold}"))
    asked = ""
    if not same_question(ones):
        rows = [[one.name, page.Html(question(one.run, None))] for one in ones]
        asked = page.table(Table(["run", "question"], rows), "What each run answers")
    return Section("scores", "The scores", "", [asked, f'<div class="panels">{"".join(parts)}</div>'])


def curves(ones: Sequence[One]) -> Section | None:
    """The curves of all runs over one another; those of different losses are left out."""
    shown = list(ones)[: len(STYLES)]
    without = () if same_loss(ones) else ("loss", "validation/loss")
    histories = {
        one.name: [{k: v for k, v in row.items() if k not in without} for row in one.run.history] for one in shown
    }
    panels = overlaid_panels(histories, STYLES)
    if not panels:
        return None
    key = "".join(f"<li>{_swatch(*style)}{page.name(one.name)}</li>" for one, style in zip(shown, STYLES, strict=False))
    left = len(ones) - len(shown)
    about = f"The first {len(shown)} runs." if left else ""
    drawn = "".join(page.picture(one, "The curves of the runs over one another") for one in panels)
    return Section(
        "curves", "How they learnt", about, [f'<ul class="key">{key}</ul>', f'<div class="panels">{drawn}</div>']
    )


def _swatch(colour: str, dash: str) -> str:
    line = f'<path d="M0 4h26" stroke="{colour}" stroke-width="2.5"{dash}/>'
    return f'<svg class="swatch" width="26" height="8" viewBox="0 0 26 8" aria-hidden="true">{line}</svg>'


def specs(ones: Sequence[One]) -> Section:
    """How the spec of each run differs from that of the first."""
    first, parts = ones[0], []
    for one in ones[1 : MOST_SPECS + 1]:
        changes = diff(first.run.experiment, one.run.experiment).changes
        if not changes:
            parts.append(f"<h3>{page.name(one.name)}</h3>{page.paragraph('The same spec.')}")
            continue
        rows = [[change.path or ".", *_sides(change)] for change in changes[:MOST_CHANGES]]
        left = len(changes) - len(rows)
        more = (
            page.paragraph(f"{left} more differences are left out; funcnet diff prints all.", "about") if left else ""
        )
        caption = f"{one.name} against {first.name}: {plural(len(changes), 'difference')}"
        table = page.table(Table(["field", first.name, one.name], rows), caption)
        parts.append(f"<h3>{page.name(one.name)}</h3>{table}{more}")
    left = len(ones) - 1 - MOST_SPECS
    if left > 0:
        parts.append(page.paragraph(f"{left} more runs are left out; funcnet diff compares any two.", "about"))
    return Section("specs", "How the specs differ", f"Each against the first run, {first.name}.", parts)


def _sides(change: Any) -> tuple[str, str]:
    """The values of a field in both specs; a line of a minus for one that lacks it."""
    sides = str(change).partition(": ")[2].split(" -> ")
    if change.what == "changed" and len(sides) == 2:
        return sides[0], sides[1]
    return {"added": ("-", sides[0]), "removed": (sides[0], "-")}.get(change.what, (repr(change.old), repr(change.new)))


def facts_of(ones: Sequence[One]) -> Section:
    """Size, length, versions and hashes of each run."""
    rows = []
    for one in ones:
        seconds = one.run.history[-1].get("seconds") if one.run.history else None
        size = sum(leaf.size for leaf in tree.leaves(one.run.params))
        took = "" if seconds is None else short(float(seconds), 3)
        stopped = one.run.stopped or "its end"
        version = one.facts.get("versions", {}).get("funcnet", "")
        hashes = spec_hash(one.run.experiment)[:12], one.facts["data"][:12], one.facts["weights"][:12]
        rows.append([one.name, f"{size:,}", f"{one.run.train_state.step:,}", took, stopped, version, *hashes])
    columns = ["run", "params", "steps", "seconds", "ended by", "funcnet", "spec", "data", "weights"]
    return Section(
        "facts",
        "Size, time and hashes",
        "",
        [page.table(Table(columns, rows), "The beginnings of the SHA-256 of spec, data and weights")],
    )
