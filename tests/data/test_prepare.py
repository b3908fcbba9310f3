"""Splits, and preprocessing that is fitted on the training part alone."""

import importlib

import numpy as np
import pytest

import funcnet as fn
from funcnet import data
from funcnet.data import prepare

KEY = fn.Key(5)
LABELS = np.repeat([0, 1, 2], [100, 60, 40])


def whole(parts):
    return np.sort(np.concatenate(parts)).tolist()


# ----- splits -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("split", "sizes"),
    [
        (data.Split(), (200, 0, 0)),
        (data.Split(validation=0.1), (180, 20, 0)),
        (data.Split(test=0.25), (150, 0, 50)),
        (data.Split(validation=0.1, test=0.2), (140, 20, 40)),
        (data.Split(validation=0.1, test=0.2, stratify=True), (140, 20, 40)),
    ],
    ids=repr,
)
def test_parts_have_their_fractions_and_are_a_division(split, sizes):
    parts = split.parts(LABELS, KEY)
    assert tuple(map(len, parts)) == sizes
    assert whole(parts) == list(range(200))


def test_parts_are_a_function_of_targets_and_key():
    for split in (data.Split(test=0.3), data.Split(test=0.3, stratify=True), data.Split(bootstrap=50)):
        first, again, other = (split.parts(LABELS, key) for key in (KEY, fn.Key(5), fn.Key(6)))
        for part, same in zip(first, again, strict=True):
            assert np.array_equal(part, same)
        assert not np.array_equal(first.train, other.train)


def test_random_parts_come_in_random_order():
    train, _, test = data.Split(test=0.5).parts(LABELS, KEY)
    for part in (train, test):
        assert abs(np.corrcoef(part, np.arange(100))[0, 1]) < 0.3


def test_stratified_parts_keep_the_proportions_of_every_class():
    parts = data.Split(validation=0.1, test=0.3, stratify=True).parts(LABELS, KEY)
    counts = [np.bincount(LABELS[part], minlength=3).tolist() for part in parts]
    assert counts == [[60, 36, 24], [10, 6, 4], [30, 18, 12]]
    order = LABELS[parts.train]
    assert abs(np.corrcoef(order, np.arange(len(order)))[0, 1]) < 0.3  # not class after class


def test_digits_stratified_have_every_class_alike(tmp_path):
    split = data.Split(validation=0.1, test=0.2, stratify=True)
    y = data.Digits().table(tmp_path, KEY).y
    parts = split.parts(y, KEY)
    counts = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert np.bincount(y[parts.test]).tolist() == [round(0.2 * n) for n in counts]
    assert np.bincount(y[parts.validation]).tolist() == [round(0.1 * n) for n in counts]
    assert whole(parts) == list(range(1797))


def test_bootstrap_draws_with_replacement_and_tests_on_what_was_never_drawn():
    train, validation, test = data.Split(bootstrap=300).parts(LABELS, KEY)
    assert (len(train), len(validation)) == (300, 0)
    assert set(train.tolist()) | set(test.tolist()) == set(range(200))
    assert not set(train.tolist()) & set(test.tolist())
    assert len(set(train.tolist())) < 300  # some came twice
    assert test.tolist() == sorted(set(test.tolist()))
    expected = 200 * (1 - 1 / 200) ** 300  # of rows that are never drawn
    assert abs(len(test) - expected) < 5 * np.sqrt(expected)


def test_bootstrap_draws_every_row_as_often():
    drawn = [data.Split(bootstrap=250).parts(LABELS, KEY.fold(i)).train for i in range(80)]
    counts = np.bincount(np.concatenate(drawn), minlength=200)
    assert np.abs(counts - 100).max() < 5 * 10  # five deviations of a Poisson count of 100


@pytest.mark.parametrize(
    ("split", "y", "expected"),
    [
        (
            data.Split(validation=0.1),
            np.arange(4),
            "split.validation: gets no rows out of 4; use more data or other fractions",
        ),
        (data.Split(test=0.1), np.arange(4), "split.test: gets no rows out of 4; use more data or other fractions"),
        (
            data.Split(validation=0.5, test=0.49),
            np.arange(2),
            "split.train: gets no rows out of 2; use more data or other fractions",
        ),
        (
            data.Split(test=0.5, stratify=True),
            np.linspace(0.0, 1.0, 4),
            "stratify: expected integer class labels, got float64 of shape (4,)",
        ),
        (
            data.Split(test=0.5, stratify=True),
            np.eye(4, dtype=int),
            "stratify: expected integer class labels, got int64 of shape (4, 4)",
        ),
    ],
    ids=["validation", "test", "train", "numbers", "one-hot"],
)
def test_splits_that_cannot_be_made(split, y, expected):
    with pytest.raises(fn.DataError) as error:
        split.parts(y, KEY)
    assert str(error.value) == expected


def test_bootstrap_that_leaves_nothing_to_test_on():
    with pytest.raises(fn.DataError):
        data.Split(bootstrap=500).parts(np.arange(3), KEY)


def test_booleans_are_labels_too():
    y = np.arange(20) % 4 == 0
    parts = data.Split(test=0.4, stratify=True).parts(y, KEY)
    assert [int(y[part].sum()) for part in parts] == [3, 0, 2]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"validation": 0.5, "test": 0.5},
            "Split.test: must leave rows to train on, got validation 0.5, test 0.5",
        ),
        (
            {"bootstrap": 3, "test": 0.1},
            "Split.bootstrap: is a division of its own; leave out validation, test and stratify",
        ),
        ({"test": 1.0}, "Split.test: must be at least 0 and below 1, got 1.0"),
        ({"validation": -0.1}, "Split.validation: must be at least 0 and below 1, got -0.1"),
        ({"bootstrap": 0}, "Split.bootstrap: must be positive, got 0"),
    ],
    ids=["all", "both", "one", "negative", "none"],
)
def test_splits_that_contradict_themselves(fields, expected):
    with pytest.raises(fn.SpecError) as error:
        data.Split(**fields)
    assert str(error.value) == expected


# ----- preparation --------------------------------------------------------------------------------------


def arrays(x, y, **fields):
    return data.Arrays(x=np.asarray(x, float), y=np.asarray(y), **fields)


X = np.array([[float(i * j % 7), 100.0 * i, 3.0] for i, j in zip(range(1, 21), range(3, 23), strict=True)])
Y = np.arange(20) % 2


def test_prepare_is_public_and_stays_what_it_is():
    importlib.import_module("funcnet.runs")  # which uses it, from wherever it stands
    assert callable(data.prepare)
    assert data.prepare is prepare


def test_without_split_all_rows_train_as_they_are():
    prepared = prepare(arrays(X, Y), KEY)
    assert np.array_equal(prepared.train.x, X.astype(np.float32))
    assert prepared.train.y.tolist() == Y.tolist()
    assert (prepared.train.x.dtype, prepared.train.y.dtype) == (np.float32, np.int64)
    assert prepared.validation is None
    assert prepared.test is None
    assert prepared.preprocess == {
        "inputs": None,
        "classes": None,
        "shape": [3],
        "range": {"low": X.min(axis=0).tolist(), "high": X.max(axis=0).tolist()},
    }


def test_parts_hold_the_rows_that_they_name():
    prepared = prepare(arrays(X, Y, split=data.Split(validation=0.2, test=0.3)), KEY, dtype=np.float64)
    for part, rows in zip((prepared.train, prepared.validation, prepared.test), prepared.parts, strict=True):
        assert np.array_equal(part.x, X[rows])
        assert np.array_equal(part.y, Y[rows])
        assert part.x.dtype == np.float64


@pytest.mark.parametrize("source", [data.Iris, data.Digits])
def test_standard_scale_gives_the_training_part_mean_0_and_deviation_1(source, tmp_path):
    raw = source().table(tmp_path, KEY).x.astype(float)
    prepared = prepare(source(scale="standard", split=data.Split(test=0.3, stratify=True)), KEY, tmp_path, np.float64)
    x, kept = prepared.train.x, raw[prepared.parts.train].std(axis=0) > 0
    assert x.mean(axis=0) == pytest.approx(0.0, abs=1e-12)
    assert x.std(axis=0)[kept] == pytest.approx(1.0, abs=1e-12)
    assert (x[:, ~kept] == 0.0).all()
    mean, deviation = raw[prepared.parts.train].mean(axis=0), raw[prepared.parts.train].std(axis=0)
    assert prepared.preprocess["inputs"]["scale"] == "standard"
    assert prepared.preprocess["inputs"]["mean"] == pytest.approx(mean.tolist(), abs=1e-12)
    assert prepared.preprocess["inputs"]["deviation"] == pytest.approx(np.where(kept, deviation, 1.0).tolist())
    expected = (raw[prepared.parts.test] - mean) / np.where(kept, deviation, 1.0)
    assert prepared.test.x == pytest.approx(expected, abs=1e-9)


def test_held_out_rows_do_not_reach_the_training_part():
    split = data.Split(validation=0.2, test=0.2)
    before = prepare(arrays(X, Y, split=split, scale="standard"), KEY)
    for held_out in (before.parts.validation, before.parts.test):
        changed = X.copy()
        changed[held_out] += 1000.0
        after = prepare(arrays(changed, Y, split=split, scale="standard"), KEY)
        assert np.array_equal(after.train.x, before.train.x)
        assert after.preprocess == before.preprocess
    changed = X.copy()
    changed[before.parts.train[0]] += 1000.0
    assert prepare(arrays(changed, Y, split=split, scale="standard"), KEY).preprocess != before.preprocess


@pytest.mark.parametrize("value", [0.0, 3.0, 0.1, 1 / 3, -1000.1, 1e-200, 1e100])
@pytest.mark.parametrize("rows", [3, 7, 10, 100])
def test_constant_columns_become_0_and_keep_their_scale(value, rows):
    x = np.stack([np.full(rows, value), np.arange(float(rows))], axis=1)
    prepared = prepare(arrays(x, np.zeros(rows, int), scale="standard"), KEY, dtype=np.float64)
    assert prepared.preprocess["inputs"]["deviation"][0] == 1.0
    assert prepared.train.x[:, 0] == pytest.approx(0.0, abs=1e-9 * max(1.0, abs(value)))


def test_a_constant_column_that_varies_in_the_test_part_stays_moderate():
    split = data.Split(test=0.5)
    x = np.stack([np.full(20, 1 / 3), np.arange(20.0)], axis=1)
    x[prepare(arrays(x, Y, split=split), KEY).parts.test, 0] += 0.1
    prepared = prepare(arrays(x, Y, split=split, scale="standard"), KEY, dtype=np.float64)
    assert prepared.train.x[:, 0] == pytest.approx(0.0, abs=1e-12)
    assert prepared.test.x[:, 0] == pytest.approx(0.1, abs=1e-12)


def test_nearly_constant_columns_are_scaled():
    x = np.stack([1.0 + 1e-9 * (np.arange(10) % 2), np.arange(10.0)], axis=1)
    prepared = prepare(arrays(x, np.zeros(10, int), scale="standard"), KEY, dtype=np.float64)
    assert np.abs(prepared.train.x[:, 0]) == pytest.approx(1.0, abs=1e-6)


def test_targets_keep_their_kind(tmp_path):
    for y, dtype in (
        (np.array([1, 0], np.uint8), np.int64),
        (np.array([True, False]), np.int64),
        (np.array([0.5, 1.5]), np.float32),
    ):
        np.savez(tmp_path / "set.npz", x=np.eye(2, dtype=np.int8), y=y)
        train = prepare(data.Npz(path="set.npz"), KEY, tmp_path).train
        assert (train.x.dtype, train.y.dtype) == (np.float32, dtype)
        assert train.y.tolist() == y.tolist()


def test_preprocess_holds_plain_json_values(tmp_path):
    preprocess = prepare(data.Iris(scale="standard"), KEY, tmp_path).preprocess
    assert preprocess["classes"] == ["setosa", "versicolor", "virginica"]
    assert [type(value) for value in preprocess["inputs"]["mean"]] == [float] * 4


# ----- data that cannot be used ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ([[1.0], [2.0]], [1.0, np.nan], "Npz: expected finite targets, got nan in row 1; remove or fill it"),
        ([1.0, -np.inf, 2.0], [1, 2, 3], "Npz: expected finite inputs, got -inf in row 1; remove or fill it"),
        (
            [[1.0], [2.0]],
            [1, 2, 3],
            "Npz: expected as many targets as inputs, at least one, got (2, 1) and (3,)",
        ),
        (np.zeros((0, 3)), [], "Npz: expected as many targets as inputs, at least one, got (0, 3) and (0,)"),
        (3.0, [1], "Npz: expected as many targets as inputs, at least one, got () and (1,)"),
        ([["a"], ["b"]], [0, 1], "Npz: expected numeric inputs, got <U1; encode them first"),
        ([[1.0], [2.0]], [1j, 2j], "Npz: expected numeric targets, got complex128; encode them first"),
        ([[1j], [2j]], [0, 1], "Npz: expected numeric inputs, got complex128; encode them first"),
    ],
    ids=["nan", "inf", "lengths", "no-rows", "one-number", "text", "complex-targets", "complex"],
)
def test_unusable_arrays(tmp_path, x, y, expected):
    np.savez(tmp_path / "set.npz", x=x, y=y)
    with pytest.raises(fn.DataError) as error:
        prepare(data.Npz(path="set.npz"), KEY, tmp_path)
    assert str(error.value) == expected


def test_nan_among_many_features_is_one_short_line_that_names_the_row(tmp_path):
    x = np.arange(784.0 * 5).reshape(5, 784)
    x[3, 500] = np.nan
    np.savez(tmp_path / "set.npz", x=x, y=np.zeros(5))
    with pytest.raises(fn.DataError) as error:
        prepare(data.Npz(path="set.npz"), KEY, tmp_path)
    assert "row 3" in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 200


def test_numbers_too_large_for_the_dtype_are_an_error_of_the_data(tmp_path):
    np.savez(tmp_path / "set.npz", x=[[1.0], [1e300]], y=[0, 1])
    assert prepare(data.Npz(path="set.npz"), KEY, tmp_path, np.float64).train.x.tolist() == [[1.0], [1e300]]
    with pytest.raises(fn.DataError) as error:
        prepare(data.Npz(path="set.npz"), KEY, tmp_path, np.float32)
    assert "row 1" in str(error.value)
