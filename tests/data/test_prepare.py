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
    assert np.bincount(y[parts.validation]).tolist() == [18] * 10  # of 17.4 to 18.3 rows, in all 180 of 179.7
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
    ("sizes", "test", "total"),
    [
        ([5] * 200, 0.1, 100),
        ([2] * 100, 0.2, 40),
        ([4] * 1000, 0.1, 400),
        ([5] * 50, 0.3, 75),
        ([13] * 10, 0.1, 13),
    ],
    ids=lambda value: f"{len(value)} of {value[0]}" if isinstance(value, list) else None,
)
def test_stratified_parts_have_their_fraction_of_all_rows(sizes, test, total):
    """The share of each class, too, up to a row."""
    y = np.repeat(np.arange(len(sizes)), sizes)
    for split in (data.Split(test=test, stratify=True), data.Split(validation=test, test=test, stratify=True)):
        parts = split.parts(y, KEY)
        assert whole(parts) == list(range(len(y)))
        assert {len(part) for part in parts[1:] if len(part)} == {total}
        for part in parts[2:]:
            counts = np.bincount(y[part], minlength=len(sizes))
            assert np.all(np.abs(counts - test * np.array(sizes)) < 1)
        assert all(np.array_equal(*pair) for pair in zip(parts, split.parts(y, KEY), strict=True))
    other = data.Split(test=test, stratify=True).parts(y, fn.Key(6)).test
    assert np.any(np.bincount(y[other], minlength=len(sizes)) != counts)  # ties are drawn


def test_a_class_keeps_a_row_to_train_on_where_the_totals_allow_it():
    y = np.repeat(np.arange(40), 2)
    parts = data.Split(validation=0.2, test=0.2, stratify=True).parts(y, KEY)
    assert list(map(len, parts)) == [48, 16, 16]
    assert len(set(y[parts.train].tolist())) == 40
    y = np.concatenate([np.arange(20), np.full(30, 20)])  # classes of one row
    parts = data.Split(test=0.2, stratify=True).parts(y, KEY)
    assert set(y[parts.test].tolist()) == {20}
    assert list(map(len, parts)) == [40, 0, 10]


def test_stratified_parts_are_those_of_funcnet_0_1_where_its_totals_were_right():
    parts = data.Split(validation=0.1, test=0.3, stratify=True).parts(LABELS, KEY)
    first = [part[:5].tolist() for part in parts]
    assert first == [[103, 122, 74, 75, 94], [127, 83, 18, 190, 158], [168, 3, 108, 166, 90]]


# ----- by group, by time, by file ---------------------------------------------------------------------------


def test_rows_of_a_group_stay_together():
    groups = np.array(list("abcdefghij"))[np.arange(200) % 10]
    split = data.Split(group="who", validation=0.2, test=0.3)
    parts = split.parts(LABELS, KEY, {"who": groups})
    assert whole(parts) == list(range(200))
    assert [len(set(groups[part])) for part in parts] == [5, 2, 3]
    assert [len(part) for part in parts] == [100, 40, 60]
    for one in range(3):
        assert not set(groups[parts[one]]) & set(groups[parts[one - 1]])
    numbered = split.parts(LABELS, KEY, {"who": np.arange(200) % 10})
    assert [part.tolist() for part in numbered] == [part.tolist() for part in parts]
    other = split.parts(LABELS, fn.Key(6), {"who": groups})
    assert set(groups[other.test]) != set(groups[parts.test])


def test_fractions_are_of_groups_not_of_rows():
    groups = np.repeat([0, 1, 2, 3], [97, 1, 1, 1])
    parts = data.Split(group="g", test=0.25).parts(np.zeros(100), KEY, {"g": groups})
    assert len(set(groups[parts.test])) == 1
    assert len(set(groups[parts.train])) == 3


TO_THE_NANOSECOND = [
    "2024-03-01", "2023-12", "2024-02-29", "2024-02-28T23:59:59.5", "2024-03-01T10:00:00.000000002",
    "2024-03-01 10:00:00,000000001", "2024-03-01T10:00:00", "2024-03-01 09:05",
]  # fmt: skip
WITH_ZONES = [
    "2024-01-01T10:00Z", "2024-01-01T10:00+02:00", "2024-01-01T10:30+01:00", "2024-01-01T03:01-0600",
    "2024-01-02T10:00-01:00", "2024-01-02T10:59Z", "2024-01-02T10:00Z", "2024-01-01T23:00Z",
]  # fmt: skip


@pytest.mark.parametrize(
    ("times", "order"),
    [
        (None, [0, 1, 2, 3, 4, 5, 6, 7]),
        ([3.5, -1, 9, 2, 8, 0, 7, 1], [1, 5, 7, 3, 0, 6, 4, 2]),
        ([1, 1, 0, 0, 1, 1, 0, 0], [2, 3, 6, 7, 0, 1, 4, 5]),  # rows of one time keep their order
        (["10", "-1", "9.5", "2", "3e2", "99", "98", "97"], [1, 3, 2, 0, 7, 6, 5, 4]),
        ([f"2024-0{m}-1{m}" for m in (4, 1, 3, 2, 8, 7, 6, 5)], [1, 3, 2, 0, 7, 6, 5, 4]),
        (TO_THE_NANOSECOND, [1, 3, 2, 0, 7, 6, 5, 4]),
        (["10:00", "00:00", "09:05:01", "09:05", "23:00", "22:59:59.5", "22:59:59", "11:00"], [1, 3, 2, 0, 7, 6, 5, 4]),
        (WITH_ZONES, [1, 3, 2, 0, 7, 6, 5, 4]),
        (np.array([f"2024-0{m}-1{m}" for m in (4, 1, 3, 2, 8, 7, 6, 5)], "datetime64[D]"), [1, 3, 2, 0, 7, 6, 5, 4]),
    ],
    ids=["as-they-stand", "numbers", "ties", "texts", "dates", "to the nanosecond", "times", "zones", "datetime64"],
)
def test_the_last_rows_in_time_are_held_out(times, order):
    columns = {} if times is None else {"when": np.array(times)}
    for key in (KEY, fn.Key(6)):  # nothing is drawn
        parts = data.Split(time=times is None or "when", validation=0.25, test=0.25).parts(np.zeros(8), key, columns)
        assert [part.tolist() for part in parts] == [order[:4], order[4:6], order[6:]]


D_M_Y = [f"{1 + i % 28}/{1 + i // 28}/2024" for i in range(200)]


@pytest.mark.parametrize(
    ("times", "row", "problem"),
    [
        (D_M_Y, 0, "a number, or an ISO date or time, got '1/1/2024'"),
        (["10:00", "9:05"], 1, "a number, or an ISO date or time, got '9:05'"),
        (["2024-05-31", ""], 1, "a number, or an ISO date or time, got ''"),
        (["2024-05-31", "2024-02-30"], 1, "a number, or an ISO date or time, got '2024-02-30'"),
        (["09:05+14:00", "09:05+24:60"], 1, "a number, or an ISO date or time, got '09:05+24:60'"),
        (["2024-05-31T09:60"], 0, "a number, or an ISO date or time, got '2024-05-31T09:60'"),
        (["1", "nan"], 1, "a number, or an ISO date or time, got 'nan'"),
        (["monday", "1"], 0, "a number, or an ISO date or time, got 'monday'"),
        (["2024-05-31", "10:00"], 1, "a date as in the rows before, got the time '10:00'"),
        (["2024-05-31T10:00Z", "2024-05-31T10:00"], 1, "a date with a time zone as in the rows before, got the date "
         "'2024-05-31T10:00'"),
        (["20240531", "2024-06-01"], 1, "a number as in the rows before, got the date '2024-06-01'"),
        (np.array(["2024-05-31", "NaT"], "datetime64[D]"), 1, "a date, got NaT"),
    ],
)  # fmt: skip
def test_texts_that_are_no_times(times, row, problem):
    with pytest.raises(fn.DataError) as error:
        data.Split(time="when", test=0.5).parts(np.zeros(len(times)), KEY, {"when": np.array(times)})
    assert str(error.value) == (
        f"split.time: 'when', row {row}: expected {problem}; write all rows like 2024-05-31, 2024-05-31T09:05 or "
        "09:05, or put them in order and set split.time to true"
    )


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"grupp": np.zeros(4)}, "split.group: the source has no column 'group', did you mean 'grupp'?; it has grupp"),
        ({"a": np.zeros(4), "b": np.zeros(4)}, "split.group: the source has no column 'group'; it has a, b"),
        ({}, "split.group: the source has no column 'group'; it has no named columns"),
        ({"group": np.zeros(4)}, "split.train: gets no rows out of 4; use more data or other fractions"),
    ],
    ids=["near", "far", "none", "one-group"],
)
def test_columns_that_do_not_divide(columns, expected):
    with pytest.raises(fn.DataError) as error:
        data.Split(group="group", test=0.6).parts(np.zeros(4), KEY, columns)
    assert str(error.value) == expected


def test_given_parts_are_neither_drawn_nor_trained_on():
    part = np.array([0, 2, 0, 1, 0, 2, 0, 0])
    parts = data.Split(validation=0.4).parts(np.zeros(8), KEY, {}, part)
    assert parts.test.tolist() == [1, 5]
    assert (len(parts.train), len(parts.validation)) == (3, 3)  # two of five, and the one that was given
    assert 3 in parts.validation.tolist()
    assert whole(parts) == list(range(8))
    columns = {"g": np.array([5, 5, 6, 6, 7, 7, 8, 9])}
    parts = data.Split(group="g", validation=0.2).parts(np.zeros(8), KEY, columns, part)
    assert parts.test.tolist() == [1, 5]
    assert (len(parts.train), len(parts.validation)) == (4, 2)
    parts = data.Split(time="g", validation=0.2).parts(np.zeros(8), KEY, columns, part)
    assert [found.tolist() for found in parts] == [[0, 2, 4, 6], [7, 3], [1, 5]]
    parts = data.Split(stratify=True, validation=0.4).parts(np.array([0, 9, 1, 9, 0, 9, 1, 1]), KEY, {}, part)
    assert whole(parts) == list(range(8))


def test_parts_in_files_of_their_own(tmp_path):
    for name, begin, rows in (("train", 0, 6), ("held", 100, 2), ("last", 200, 3)):
        x = np.arange(begin, begin + rows, dtype=float)[:, None]
        np.savez(tmp_path / f"{name}.npz", x=x, labels=np.arange(rows) % 2, w=np.full(rows, begin + 1.0))
        np.save(tmp_path / f"{name}_x.npy", x)
        np.save(tmp_path / f"{name}_y.npy", np.arange(rows) % 2)
    given = {"test": {"path": "last.npz"}, "validation": {"path": "held.npz"}}
    source = data.Npz(path="train.npz", y="labels", weight="w", scale="minmax", split=data.Split(given=given))
    found = prepare(source, KEY, tmp_path, np.float64)
    assert sorted(found.train.x.ravel().tolist()) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    assert found.validation.x.ravel().tolist() == pytest.approx([20, 20.2])
    assert found.test.x.ravel().tolist() == pytest.approx([40, 40.2, 40.4])
    assert found.test.weight.tolist() == [201.0, 201.0, 201.0]
    assert found.found["rows"] == {"train": 6, "validation": 2, "test": 3}
    for stream in (False, True):
        files = data.Npy(
            x="train_x.npy",
            y="train_y.npy",
            stream=stream,
            split=data.Split(validation=1 / 3, given={"test": {"x": "last_x.npy", "y": "last_y.npy"}}),
        )
        found = prepare(files, KEY, tmp_path)
        assert found.found["rows"] == {"train": 4, "validation": 2, "test": 3}
        assert found.test.x[:].ravel().tolist() == [200.0, 201.0, 202.0]
        assert found.test.y.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (np.zeros((2, 3)), [0, 1], "Npz: expected inputs of one shape in all files, got (1,) and (3,)"),
        (np.zeros((2, 1)), [[0], [1]], "Npz: expected targets of one shape in all files, got () and (1,)"),
        (np.zeros((2, 1)), [0], "Npz: expected as many targets as inputs, at least one, got (2, 1) and (1,)"),
    ],
)
def test_files_that_do_not_fit_together(tmp_path, x, y, expected):
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 1)), y=[0, 1])
    np.savez(tmp_path / "b.npz", x=x, y=y)
    source = data.Npz(path="a.npz", split=data.Split(given={"test": {"path": "b.npz"}}))
    with pytest.raises(fn.DataError) as error:
        prepare(source, KEY, tmp_path)
    assert str(error.value) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"stratify": True, "group": "g", "test": 0.1}, "Split.group: does not go with stratify; choose one"),
        ({"group": "g", "time": "t", "test": 0.1}, "Split.time: does not go with group; choose one"),
        ({"group": "g"}, "Split.group: divides nothing; give a fraction for validation or test"),
        ({"time": True}, "Split.time: divides nothing; give a fraction for validation or test"),
        ({"given": {"tset": {"path": "a"}}}, "Split.given.tset: expected validation or test, did you mean 'test'?"),
        ({"given": {"train": {"path": "a"}}}, "Split.given.train: expected validation or test"),
        ({"given": {"test": {}}}, 'Split.given.test: expected the fields that differ, such as {"path": "test.csv"}'),
        (
            {"given": {"test": {"path": "a"}}, "test": 0.1},
            "Split.test: is already in a separate file; leave out the fraction or given.test",
        ),
    ],
)
def test_splits_by_columns_and_files_that_contradict_themselves(fields, expected):
    with pytest.raises(fn.SpecError) as error:
        data.Split(**fields)
    assert str(error.value) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"validation": 0.5, "test": 0.5},
            "Split.test: must leave rows to train on, got validation 0.5, test 0.5",
        ),
        (
            {"bootstrap": 3, "test": 0.1},
            "Split.bootstrap: already divides the rows; leave out the other fields",
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


def test_rows_that_are_too_many_here_and_too_few_there(tmp_path):
    """Together the files would have as many targets as inputs, each beside another's."""
    np.savez(tmp_path / "a.npz", x=np.zeros((3, 1)), y=[0, 1])
    np.savez(tmp_path / "b.npz", x=np.zeros((1, 1)), y=[0, 1])
    source = data.Npz(path="a.npz", split=data.Split(given={"test": {"path": "b.npz"}}))
    with pytest.raises(fn.DataError) as error:
        prepare(source, KEY, tmp_path)
    assert str(error.value) == "Npz: expected as many targets as inputs, at least one, got (3, 1) and (2,)"


# ----- preparation --------------------------------------------------------------------------------------


def arrays(x, y, **fields):
    return data.Arrays(x=np.asarray(x, float), y=np.asarray(y), **fields)


X = np.array([[float(i * j % 7), 100.0 * i, 3.0] for i, j in zip(range(1, 21), range(3, 23), strict=True)])
Y = np.arange(20) % 2


def test_prepare_is_public_and_stays_what_it_is():
    importlib.import_module("funcnet.experiments.run")  # which uses it, from wherever it stands
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
