"""What a run was asked and how well it answers: the question, the answer, and its scores beside the baselines."""

from __future__ import annotations

import math
from collections.abc import Sequence

from funcnet.data.preparation import Prepared
from funcnet.experiments.baseline import baseline_rows, of_members, remarks
from funcnet.experiments.report.answers import class_name
from funcnet.experiments.report.counted import Counted, counted
from funcnet.experiments.result import Run
from funcnet.losses.base import classifies
from funcnet.losses.combined import EachMember
from funcnet.shapes import shape_text
from funcnet.training.progress import number
from funcnet.views import page
from funcnet.views.pixels import is_image
from funcnet.views.svg import short, xml
from funcnet.views.table import Table

SHARES = ("accuracy", "balanced_accuracy")
"""Metrics that are shares of rows"""
FIRST = (*SHARES, "f1", "roc_auc", "rmse", "mae", "r2", "perplexity", "log_loss")
"""Metrics by which a run is judged at a glance, the first that it has"""
WORDS = {
    "rmse": "is the typical error, the root of the mean squared error,",
    "mae": "is the mean absolute error",
    "r2": "is R2, the share of the variance that is explained,",
    "balanced_accuracy": "of a class are answered right, averaged over the classes,",
}
MOST_NAMES = 6


def question(run: Run, data: Prepared | None, what: Counted | None = None) -> str:
    """What the network was asked, as HTML."""
    names, loss = _outputs(run), run.experiment.loss
    classes = [class_name(one) for one in run.classes or ()]
    y = None if data is None else data.train.y
    steps = f", at each of {y.shape[1]} steps" if y is not None and what is not None and what.steps is not None else ""
    if classes:
        several = f"{', '.join(map(page.name, classes[:-1]))} or {page.name(classes[-1])}"
        subject = page.name(names[0]) if len(names) == 1 else "it"
        if len(classes) > MOST_NAMES:
            of = f" of <em>{subject}</em>" if len(names) == 1 else ""
            return f"Which of {len(classes):,} classes{of} is it{steps}?"
        return f"Is {subject} {several}{steps}?"
    if loss.independent and len(names) > 1:
        return f"Which of these hold: {_listed([page.name(one) for one in names[:MOST_NAMES]], len(names))}?"
    if what is not None and what.several and y is not None:
        return f"Which of {y.shape[1]:,} labels hold?"
    if classifies(loss):
        return f"Is {page.name(names[0])} so?" if len(names) == 1 else f"Which class is it{steps}?"
    if names:
        labels = [page.name(one) for one in names[:MOST_NAMES]]
        return f"How large {'is' if len(names) == 1 else 'are'} {_listed(labels, len(names))}?"
    if y is not None and y.ndim > 1 and math.prod(y.shape[1:]) > 1:
        kind = "pixels" if is_image(y.shape[1:]) else "numbers"
        return f"Which {xml(shape_text(y.shape[1:]))} {kind} belong to the input?"
    return "How large is the target?"


def _outputs(run: Run) -> list[str]:
    return list(run.preprocess.get("outputs") or ())


def _listed(names: Sequence[str], count: int) -> str:
    if count > len(names):
        return f"{', '.join(names)} and {count - len(names)} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


# ----- the answer ----------------------------------------------------------------------------------------------------


def judged_by(run: Run) -> tuple[str, str] | None:
    """The part and the metric by which a run is judged; None for a run without scores."""
    if not run.metrics:
        return None
    part = list(run.metrics)[-1]
    scores = run.metrics[part]
    chosen = next((one for one in FIRST if one in scores), None)
    return part, chosen or next((one for one in scores if one != "loss"), "loss")


def figure(metric: str, value: float | None) -> str:
    """A score in words."""
    if value is None or math.isnan(value):
        return "not defined"
    if math.isinf(value):
        return "infinite"
    if metric not in SHARES:
        return short(value)
    digits = next((some for some in range(3, 10) if float(short(100.0 * value, some)) < 100.0), 3)
    return f"{short(100.0 * value, digits)} %"  # 100 % only where all rows are right


def answer(run: Run, what: Counted | None) -> str:
    """How well it answers, as HTML: one large figure, and what it is."""
    judged = judged_by(run)
    if judged is None:
        return page.paragraph("The run has no scores.", "answer")
    part, metric = judged
    score = run.metrics[part][metric]
    value = figure(metric, score)
    if score is None or not math.isfinite(score):
        return page.paragraph(f"The {metric} of {_rows(part, what)} is {value}.", "answer")
    return f'<p class="answer"><span class="figure">{xml(value)}</span> {xml(meaning(metric, part, what))}.</p>'


def meaning(metric: str, part: str, what: Counted | None) -> str:
    """What a score says of the rows of a part, if it is known what it counts."""
    rows = _rows(part, what)
    weighted = what is not None and what.weighted
    if metric == "accuracy":
        one = weighted or (what is not None and (what.steps or what.rows) == 1)
        verb = "is answered" if one else "are answered"
        if what is not None and what.several:
            verb = "has every label" if one else "have every label"
        return f"of {'the weight of ' if weighted else ''}{rows} {verb} right"
    words = WORDS.get(metric, f"is the {metric}")
    return f"{words} on {rows}{', by their weights' if weighted else ''}"


def _rows(part: str, what: Counted | None) -> str:
    return f"the {part} rows" if what is None else what.words(part)


def verdict(run: Run) -> list[str]:
    """What is to be said of the answer, in sentences of plain text."""
    judged = judged_by(run)
    if judged is None:
        return []
    part, _ = judged
    said = []
    if part == "train":
        said.append("These are the rows that it was trained on: none were held out, so new rows may be answered worse.")
    step, stopped = run.train_state.step, "" if run.stopped is None else class_name(run.stopped)
    if stopped in ("not finite", "an error"):
        said.append(f"Training failed ({stopped}) after step {step:,}; this is the last good state.")
    elif stopped == "interrupted":
        said.append(f"Training was interrupted after step {step:,}.")
    elif stopped:
        said.append(f"Training was ended by {stopped} after step {step:,}.")
    said += [
        f"{one[:1].upper()}{one[1:]}."
        for one in (*remarks(run.baseline, run.experiment, run.metrics), *of_members(run.experiment))
    ]
    if run.temperature is not None:
        heat = number(run.temperature)
        said.append(
            f"Its probabilities have the temperature {heat}, fitted on the validation part; its losses are without it."
        )
    return said


def compared(run: Run) -> str:
    """The score of the network and of the baselines as bars, as HTML; empty without baselines."""
    judged = judged_by(run)
    if judged is None or run.baseline is None or judged[0] not in run.baseline["linear"]:
        return ""
    part, metric = judged
    if metric == "loss" and isinstance(run.experiment.loss, EachMember):
        return ""  # that of members is not that of their mean answer
    found = [("network", run.metrics[part][metric]), ("linear model", run.baseline["linear"][part].get(metric))]
    found.append(("constant answer", run.baseline["constant"][part].get(metric)))
    known = [(name, value) for name, value in found if value is not None and math.isfinite(value)]
    rows = [(name, value, figure(metric, value), name == "network") for name, value in known]
    higher = {one.name: one.higher_is_better for one in run.experiment.metrics}.get(metric, False)
    about = f"{metric} of the {part} part; {'more' if higher else 'less'} is better"
    return page.paragraph(about, "about") + page.bars(rows, about)


def scores(run: Run) -> str:
    """The scores of all parts and baselines as a table, as HTML."""
    names = list(next(iter(run.metrics.values()), {}))
    if not names:
        return ""
    own = [[part, *(number(found[name]) for name in names)] for part, found in run.metrics.items()]
    beside = baseline_rows(run.baseline, names)
    kinds = [""] * len(own) + ["aside"] * len(beside)
    return page.table(
        Table(["part", *names], [*own, *beside]), "Scores by part" + (", the baselines below" if beside else ""), kinds
    )


def header(run: Run, folder: str, data: Prepared | None, notes: Sequence[str] = ()) -> str:
    """The top of the page; ``notes`` are further sentences about it."""
    judged = judged_by(run)
    parts = {} if data is None else data.parts_by_name()
    part = parts.get(judged[0]) if judged is not None else None
    what = None if part is None else counted(run, part)
    said = "".join(page.paragraph(one, "note") for one in [*verdict(run), *notes])
    return (
        f'<p class="name">{page.name(folder)}</p><h1>{question(run, data, what)}</h1>'
        f'<div class="lead"><div>{answer(run, what)}{compared(run)}{said}</div>{scores(run)}</div>'
    )
