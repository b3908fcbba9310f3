"""What of several runs can be compared: their questions, their data, and scores that mean the same."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from funcnet.experiments.result import Run
from funcnet.losses.base import classifies
from funcnet.networks.compare import diff
from funcnet.spec.base import evolve

PARTS = ("test", "validation", "train")
PREPARED = {"scale": None, "target_scale": None, "impute": None, "flatten": False, "divide": None, "block": None}
"""Fields of data that change how rows are prepared, not which rows they are"""
MOST_FIELDS = 4


class One(NamedTuple):
    """A run of several, by a name that no other has."""

    name: str
    run: Run
    facts: Mapping[str, Any]


def same_question(ones: Sequence[One]) -> bool:
    """Whether all runs answer the same question: of targets and classes with the same names.

    Without names, they are those of the same kind of source.
    """
    return len({_asked(one.run) for one in ones}) == 1


def _asked(run: Run) -> tuple[Any, ...]:
    names = tuple(run.preprocess.get("outputs") or ()), tuple(run.classes or ())
    return *names, "" if any(names) else run.experiment.data.tag, classifies(run.loss)


def same_loss(ones: Sequence[One]) -> bool:
    """Whether all runs minimise the same loss, of targets in the same scale, so that its values compare."""
    return len({one.run.experiment.loss for one in ones}) == 1 and len({_scale_of(one) for one in ones}) == 1


def _scale_of(one: One) -> str:
    return repr(one.run.preprocess.get("targets"))


def metric_of(one: One, name: str) -> Any:
    """The metric of a run with this name; None for the loss."""
    return next((metric for metric in one.run.experiment.metrics if metric.name == name), None)


def comparable(ones: Sequence[One], name: str) -> bool:
    """Whether a score means the same in all runs: it is the same loss, or a metric with the same fields."""
    return same_loss(ones) if name == "loss" else len({metric_of(one, name) for one in ones}) == 1


def shared(ones: Sequence[One]) -> tuple[str, list[str]] | None:
    """The last part that all runs are scored on, and the scores that all have."""
    part = next((part for part in PARTS if all(part in one.run.metrics for one in ones)), None)
    if part is None:
        return None
    first = ones[0].run.metrics[part]
    return part, [name for name in first if all(name in one.run.metrics[part] for one in ones)]


def is_higher_better(ones: Sequence[One], name: str) -> bool:
    """Whether more of a metric is better; of a loss, less is."""
    known = [metric_of(one, name) for one in ones]
    return next((bool(metric.higher_is_better) for metric in known if metric is not None), False)


def best_of(ones: Sequence[One], part: str, name: str) -> list[One]:
    """The runs with the best score, of which there may be several."""
    values = {one.name: one.run.metrics[part].get(name) for one in ones}
    known = [value for value in values.values() if value is not None and math.isfinite(value)]
    if not known:
        return []
    best = max(known) if is_higher_better(ones, name) else min(known)
    return [one for one in ones if values[one.name] == best]


def data_differs(ones: Sequence[One]) -> str | None:
    """How the data of the runs differs, in a sentence; None if all have the same."""
    if len({one.facts["data"] for one in ones}) == 1:
        return None
    first = ones[0].run.experiment
    others = [one.run.experiment for one in ones[1:]]
    fields = dict.fromkeys(change.path for other in others for change in diff(first.data, other.data).changes)
    rows = [evolve(one.run.experiment.data, **PREPARED) for one in ones]
    if len(set(rows)) > 1:
        return f"The runs differ in their data ({_listed(list(fields))}), so each may be scored on other rows."
    if len({one.run.experiment.seed for one in ones}) > 1:
        return (
            "The runs have different seeds, which choose the rows that are held out, so each may be scored on other "
            "rows."
        )
    if fields:
        return f"The runs prepare the same rows in different ways ({_listed(list(fields))})."
    if len({one.run.experiment.dtype for one in ones}) > 1:
        return "The runs compute the same rows in different float types."
    return "The data has changed between the runs, so each may be scored on other rows."


def _listed(paths: Sequence[str]) -> str:
    """The first of some fields, without the point before them."""
    names = [path.removeprefix(".") or "source" for path in paths]
    more = len(names) - MOST_FIELDS
    return ", ".join(names[:MOST_FIELDS]) + (f" and {more} more" if more > 0 else "")
