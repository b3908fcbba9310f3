"""Folds by groups and in the order of time: the properties, and the sizes, of scikit-learn's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.model_selection import GroupKFold, TimeSeriesSplit

import funcnet as fn
from funcnet.data import Columns, Split
from funcnet.experiments.folds import group_folds, time_folds

KEY = fn.Key(3)
DRAWN = KEY.integers(11, (97,))
SKEWED = np.array(["a"] * 50 + ["b"] * 30 + ["c", "d", "e", "f"] * 5)


@pytest.mark.parametrize("groups", [DRAWN, SKEWED, np.arange(20)], ids=["drawn", "skewed", "single"])
@pytest.mark.parametrize("folds", [2, 3, 5])
def test_groups_stay_together_in_folds_of_the_sizes_of_group_k_fold(groups: Any, folds: int) -> None:
    found = group_folds(groups, folds, KEY)
    assert np.sort(np.concatenate(found)).tolist() == list(range(len(groups)))
    members = [set(groups[rows].tolist()) for rows in found]
    assert sum(map(len, members)) == len(set(groups.tolist()))
    wanted = [len(test) for _, test in GroupKFold(folds).split(groups, groups=groups)]
    assert sorted(map(len, found)) == sorted(wanted)
    again = group_folds(groups, folds, KEY)
    assert all(np.array_equal(one, other) for one, other in zip(found, again, strict=True))


def test_groups_of_one_size_are_drawn() -> None:
    groups = np.arange(24) // 2
    assert len({tuple(group_folds(groups, 3, KEY.fold(i))[0].tolist()) for i in range(5)}) > 1


@pytest.mark.parametrize("rows", [6, 17, 100])
def test_folds_in_time_are_those_of_time_series_split(rows: int) -> None:
    for folds in (2, 5):
        wanted = TimeSeriesSplit(folds).split(np.arange(rows))
        for (kept, test), (kept_there, test_there) in zip(time_folds(np.arange(rows), folds), wanted, strict=True):
            assert kept.tolist() == kept_there.tolist()
            assert test.tolist() == test_there.tolist()


def test_folds_in_time_follow_an_order() -> None:
    order = KEY.permutation(40)
    when = np.argsort(order)
    for kept, test in time_folds(order, 4):
        assert when[kept].max() < when[test].min()
        assert kept.tolist() == sorted(kept.tolist())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: group_folds(np.array([1, 1, 2]), 3, KEY), "expected at most as many folds as groups, 2, got 3"),
        (lambda: time_folds(np.arange(5), 5), "expected at least 6 rows for 5 folds in time, got 5"),
    ],
)
def test_too_few_rows(call: Any, message: str) -> None:
    with pytest.raises(fn.DataError) as caught:
        call()
    assert str(caught.value) == message


# ----- in an experiment

ROWS = 48
TABLE: dict[str, Any] = {
    "x": [i * 29 % 31 / 8 for i in range(ROWS)],
    "who": [f"p{i * 5 % 12}" for i in range(ROWS)],
    "day": [f"2024-{1 + i * 7 % 12:02d}-{1 + i // 12:02d}" for i in range(ROWS)],
    "y": [i * 29 % 31 / 4 + 1.0 for i in range(ROWS)],
}


def cross_validated(split: Split, **how: Any) -> fn.CrossValidation:
    experiment = fn.Experiment(
        data=Columns("y", inputs=("x",), split=split),
        model=fn.Dense(1),
        loss=fn.losses.MeanSquaredError(),
        optimizer=fn.optim.Adam(0.05),
        training=fn.Training(epochs=2),
    )
    return fn.cross_validate(experiment, TABLE, **how)


@pytest.mark.parametrize("validation", [0.0, 0.25])
def test_an_experiment_keeps_its_groups_together(validation: float) -> None:
    found = cross_validated(Split(validation=validation, test=0.2, group="who"), folds=4, repeats=2)
    people = np.array(TABLE["who"])
    for repeat in (found.held_out[:4], found.held_out[4:]):
        assert np.sort(np.concatenate(repeat)).tolist() == list(range(ROWS))
        assert sum(len(set(people[rows].tolist())) for rows in repeat) == len(set(people.tolist()))


@pytest.mark.parametrize("validation", [0.0, 0.25])
def test_an_experiment_in_time_trains_on_the_past(validation: float, monkeypatch: pytest.MonkeyPatch) -> None:
    import funcnet.experiments.cross_validation as module

    parts, given = [], module.prepared

    def kept(source: Any, table: Any, classes: Any, chosen: Any, *more: Any) -> Any:
        parts.append(chosen)
        return given(source, table, classes, chosen, *more)

    monkeypatch.setattr(module, "prepared", kept)
    found = cross_validated(Split(validation=validation, test=0.2, time="day"), folds=3, predictions=True)
    days = np.array(TABLE["day"], "M8[D]")
    assert len(parts) == 3
    for train, inner, test in parts:
        assert days[train].max() <= days[[*inner, *test]].min()
        assert len(inner) == round(validation * (len(train) + len(inner)))
        assert not len(inner) or days[inner].max() <= days[test].min()
    assert isinstance(found.predictions, np.ndarray)
    first = np.argsort(days, kind="stable")[: ROWS // 4]
    assert np.flatnonzero(np.isnan(found.predictions[:, 0])).tolist() == sorted(first.tolist())


def test_whole_numbers_that_are_values_are_not_classes() -> None:
    """Each is there once, and a class needs a row for each fold."""
    table = {"x": TABLE["x"], "y": [3 * i for i in range(ROWS)]}
    experiment = fn.Experiment(
        data=Columns("y"),
        model=fn.Dense(1),
        loss=fn.losses.MeanSquaredError(),
        optimizer=fn.optim.Adam(0.05),
        training=fn.Training(epochs=1),
    )
    assert [len(rows) for rows in fn.cross_validate(experiment, table, folds=5).held_out] == [10, 10, 10, 9, 9]
