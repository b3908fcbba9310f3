"""Tables on a shelf: the same bits as in memory, whatever is done with them."""

import errno
import io
import os
import tempfile
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import funcnet as fn
from funcnet import tree
from funcnet.data import lazy_array, preprocess, shelf
from funcnet.data.lazy_array import Stream
from funcnet.data.preparation import prepare
from funcnet.data.shelf import Column, Rows, Shelf, Texts, Turned
from funcnet.data.sources import gathering, grid
from funcnet.experiments.digests import data_digest

ROWS = 600
INPUTS = ("size", "age", "city", "grade", "born")
HEAD = "size,age,city,grade,born,weight,day,shop,sold,price,red,big"


def table(path: Path, seed: int = 0, rows: int = ROWS) -> str:
    """A table with all kinds of columns, some values of which are missing; its name."""
    rng = np.random.default_rng(seed)
    cities, grades = ["Oslo", "Rome", "", "Reykjavik", "Bern"], ["low", "mid", "high"]
    lines = [HEAD]
    for i in range(rows):
        size, age = rng.normal(), int(rng.integers(90))
        born = date(1950, 1, 1) + timedelta(int(rng.integers(20_000)))
        cells = ["NA" if i % 37 == 5 else f"{size:.12f}", "" if i % 41 == 7 else age, cities[rng.integers(5)]]
        cells += [grades[rng.integers(3)], "" if i % 53 == 9 else f"{born}", f"{rng.uniform(0.5, 2.0):.3f}"]
        cells += [f"{datetime(2020, 1, 1) + timedelta(minutes=int(rng.integers(10**6)))}", f"shop {rng.integers(40)}"]
        cells += ["yes" if size + rng.normal() > 0 else "no", f"{3.0 * size + age:.3f}"]
        cells += ["y" if age > 40 else "n", int(size > 0.3)]
        lines.append(",".join(map(str, cells)))
    path.write_text("\n".join(lines) + "\n")
    return path.name


CASES: dict[str, dict[str, Any]] = {
    "labels": {"scale": "standard", "split": fn.data.Split(validation=0.2, test=0.2, stratify=True)},
    "mean": {"impute": "mean", "scale": "minmax", "split": fn.data.Split(test=0.3)},
    "most frequent": {"impute": "most_frequent", "scale": "robust", "divide": 3.0},
    "a number": {"impute": 7.0},
    "weights": {"weight": "weight", "scale": "robust"},
    "groups": {"split": fn.data.Split(validation=0.2, test=0.2, group="shop")},
    "time": {"split": fn.data.Split(validation=0.2, test=0.2, time="day"), "scale": "standard"},
    "order": {"split": fn.data.Split(test=0.2, time="price")},
    "blocks": {"block": 16, "scale": "standard"},
    "bootstrap": {"split": fn.data.Split(bootstrap=ROWS)},
    "another file": {"split": fn.data.Split(validation=0.1, given={"test": {"path": "more.csv"}})},
    "values": {"target": "price", "target_scale": "standard", "scale": "standard"},
    "several values": {"target": ("price", "weight"), "target_scale": "robust"},
    "several labels": {"target": ("red", "big")},
}


def experiment(changes: dict[str, Any], **training: Any) -> fn.Experiment:
    fields = {"target": "sold", "impute": "median", **changes}
    source = fn.data.Csv(
        path="table.csv",
        inputs=INPUTS,
        categorical=("city",),
        ordinal={"grade": ("low", "mid", "high")},
        dates=("born",),
        **fields,
    )
    several = 2 if isinstance(fields["target"], tuple) else 1
    values = fields["target"] in ("price", ("price", "weight"))
    loss: Any = fn.losses.MeanSquaredError() if values else fn.losses.SoftmaxCrossEntropy()
    loss = loss if values or several == 1 else fn.losses.SigmoidCrossEntropy()
    units = several if values or several == 2 else 2
    return fn.Experiment(
        data=source,
        model=fn.serial(fn.Dense(8), fn.Relu(), fn.Dense(units)),
        loss=loss,
        optimizer=fn.optim.Adam(0.01),
        metrics=(fn.metrics.RMSE(),) if values else (fn.metrics.Accuracy(),),
        training=fn.Training(epochs=2, batch_size=32, **training),
    )


@pytest.fixture
def small(monkeypatch: Any) -> Callable[[], None]:
    """Lower the sizes, so that a table of some hundred rows is a large one, and its blocks are of some rows."""

    def lower() -> None:
        monkeypatch.setattr(shelf, "ROOM", 3000)
        monkeypatch.setattr(gathering, "HELD", 3000)
        monkeypatch.setattr(gathering, "WRITTEN", 2000)
        monkeypatch.setattr(grid, "AT_ONCE", 1500)
        monkeypatch.setattr(shelf, "MAPPED", 4096)
        monkeypatch.setattr(preprocess, "BLOCK", 64)

    return lower


def facts(run: fn.Run) -> Any:
    history = [{name: value for name, value in row.items() if name != "seconds"} for row in run.history]
    return history, run.metrics, run.preprocess, run.train_state.step


@pytest.mark.parametrize("case", CASES)
def test_a_run_has_the_bits_of_one_in_memory(tmp_path: Path, monkeypatch: Any, small: Any, case: str) -> None:
    table(tmp_path / "table.csv")
    table(tmp_path / "more.csv", 1, 80)
    spec = experiment(CASES[case], **({"class_weight": "balanced"} if case == "labels" else {}))
    monkeypatch.setattr(lazy_array, "NUMBERS", 5000)  # of a chunk in which statistics are summed, in memory too
    data = prepare(spec.data, fn.Key(0), tmp_path)
    run = fn.run(spec, base=tmp_path)
    small()
    shelved = prepare(spec.data, fn.Key(0), tmp_path)
    assert not isinstance(data.train.x, Stream)
    assert isinstance(shelved.train.x, Stream)
    assert data_digest(shelved) == data_digest(data)
    assert (shelved.preprocess, shelved.found, shelved.texts) == (data.preprocess, data.found, data.texts)
    again = fn.run(spec, base=tmp_path)
    assert facts(again) == facts(run)
    for path, leaf in tree.flatten(run.params).items():
        np.testing.assert_array_equal(tree.flatten(again.params)[path], leaf, err_msg=path)
    scores = again.evaluate(tmp_path / "table.csv")
    assert isinstance(again.dataset(tmp_path / "table.csv").x, Stream)
    monkeypatch.undo()
    assert run.evaluate(tmp_path / "table.csv") == scores


def test_a_run_folder_and_cross_validation_too(tmp_path: Path, small: Any) -> None:
    table(tmp_path / "table.csv")
    spec = experiment(CASES["labels"])
    run, scores = fn.run(spec, tmp_path / "a", base=tmp_path), fn.cross_validate(spec, folds=3, base=tmp_path).scores
    small()
    again = fn.run(spec, tmp_path / "b", base=tmp_path)
    assert facts(fn.load_run(tmp_path / "b")) == facts(fn.load_run(tmp_path / "a"))
    assert facts(again) == facts(run)
    assert fn.cross_validate(spec, folds=3, base=tmp_path).scores == scores
    assert str(fn.importance(again, base=tmp_path, repeats=2)) == str(fn.importance(run, base=tmp_path, repeats=2))


def test_rows_in_memory_stay_there(small: Any) -> None:
    small()
    values = np.arange(2000.0)
    data = prepare(fn.data.Columns("y"), fn.Key(0), data={"x": values, "y": 2.0 * values})
    assert isinstance(data.train.x, np.ndarray)


def test_errors_are_those_of_a_table_in_memory(tmp_path: Path, small: Any) -> None:
    text = Path(tmp_path / table(tmp_path / "table.csv")).read_text().splitlines()
    wrong = {
        "sold": (text[500].replace(",yes,", ",,").replace(",no,", ",,"), CASES["labels"]),
        "size": (text[500].replace(text[500].split(",")[0], "tall", 1), {}),
        "weight": (text[500].replace(text[500].split(",")[5], "heavy", 1), CASES["weights"]),
        "day": (text[500].replace(text[500].split(",")[6], "Monday", 1), CASES["time"]),
        "red": (text[500].replace(",y,", ",perhaps,").replace(",n,", ",perhaps,"), CASES["several labels"]),
    }
    for column, (line, changes) in wrong.items():
        (tmp_path / "table.csv").write_text("\n".join([*text[:500], line, *text[501:]]) + "\n")
        with pytest.raises(fn.DataError, match=f"line 501, column '{column}': ") as error:
            prepare(experiment(changes).data, fn.Key(0), tmp_path)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(gathering, "HELD", 3000)
            patch.setattr(grid, "AT_ONCE", 1500)
            with pytest.raises(fn.DataError) as shelved:
                prepare(experiment(changes).data, fn.Key(0), tmp_path)
        assert str(shelved.value) == str(error.value)


class Full(io.RawIOBase):
    """A file on a full disk."""

    def seek(self, *at: int) -> int:
        return 0

    def write(self, data: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_one_error_that_names_the_variable(tmp_path: Path, monkeypatch: Any, small: Any) -> None:
    table(tmp_path / "table.csv")
    small()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda buffering: Full())
    with pytest.raises(fn.DataError) as error:
        fn.run(experiment({}), base=tmp_path)
    assert str(error.value) == (
        f"{tmp_path}: has no room for this table, 0 MB so far (No space left on device); set the environment variable "
        "TMPDIR to a folder on a larger disk"
    )


@pytest.mark.skipif(
    os.name == "nt", reason="Windows deletes a temporary file when it is closed, and shows it till then"
)
def test_the_files_have_no_name(tmp_path: Path, monkeypatch: Any, small: Any) -> None:
    table(tmp_path / "table.csv")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    small()
    data = prepare(experiment({}).data, fn.Key(0), tmp_path)
    assert isinstance(data.train.x, Stream)
    assert os.listdir(tmp_path / "temporary") == []


# ----- the parts of a shelf ------------------------------------------------------------------------------------------


def test_columns_read_like_arrays() -> None:
    own = Shelf()
    numbers, texts = Column(own, np.float64), Texts(own)
    values, words = np.arange(10.0), np.array(["b", "", "a", "b", "ä", "", "c", "b", "a", "x"])
    values[3] = np.nan
    for begin, end in ((0, 4), (4, 5), (5, 10)):
        numbers.add(values[begin:end])
        texts.add(words[begin:end])
    for rows in (slice(None), slice(2, 7), slice(4, 5), slice(9, 20), slice(7, 3), slice(1, None, 3), np.array([8, 0])):
        np.testing.assert_array_equal(numbers[rows], values[rows])
        np.testing.assert_array_equal(texts[rows], words[rows])
    assert (numbers[4], texts[4]) == (4.0, "ä")
    assert (numbers.missing, texts.missing, len(numbers), len(texts)) == (1, 2, 10, 10)
    assert texts.known.tolist() == ["b", "", "a", "ä", "c", "x"]


def test_rows_are_read_in_any_order(monkeypatch: Any) -> None:
    monkeypatch.setattr(shelf, "MAPPED", 64)
    x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    rows = Rows((50, 3), np.float32)
    rows[0:20], rows[20:50] = x[:20], x[20:]
    stream = rows.stream()
    assert (stream.shape, stream.dtype.name, len(stream)) == ((50, 3), "float32", 50)
    for at in (slice(None), slice(7, 31), np.array([49, 0, 7, 7, 3]), np.random.default_rng(1).permutation(50)):
        np.testing.assert_array_equal(stream[at], x[at])
    chosen = np.random.default_rng(2).permutation(50)[:20]
    np.testing.assert_array_equal(stream.select(chosen)[3:9], x[chosen[3:9]])


@pytest.mark.parametrize("size", [0, 10**9])
def test_turned_rows_are_read_by_column(monkeypatch: Any, size: int) -> None:
    monkeypatch.setattr(shelf, "ROOM", 2000)
    x = np.random.default_rng(0).normal(size=(50, 2, 3))
    turned = Turned(size)
    for begin, end in ((0, 7), (7, 50)):
        turned.add(x[begin:end])
    np.testing.assert_array_equal(np.concatenate(list(turned.columns())), x.reshape(50, 6).T)
    assert turned.shape == (2, 3)
