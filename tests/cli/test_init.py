"""``funcnet init``: what it says of a file, the spec it writes, and that the spec trains to a decent score."""

import csv
import json
import os
from functools import partial

import numpy as np
import pytest

import funcnet as fn
from funcnet.data import seen, sniff
from tests.cli import ROOT, called, funcnet, together

SOURCES = {
    "iris": fn.data.Iris,
    "wine": fn.data.Wine,
    "breast_cancer": fn.data.BreastCancer,
    "diabetes": fn.data.Diabetes,
}


def write(path, header, rows, delimiter=","):
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([header, *rows])


def bundled(folder, name):
    """A bundled set as a CSV file, its classes by name."""
    source = SOURCES[name]
    with np.load(ROOT / "funcnet" / "data" / f"{name}.npz") as members:
        x, y = members["x"], members["y"]
    labels = [source.classes[label] for label in y] if source.classes else [f"{value:g}" for value in y]
    rows = [[*(f"{v:.6g}" for v in row), label] for row, label in zip(x, labels, strict=True)]
    write(folder / f"{name}.csv", [*source.features, "target"], rows)


def customers(folder):
    """Six hundred customers, some of whom leave: names, ids, dates, gaps of two kinds, categories, a constant."""
    rows = []
    for i, u in enumerate(fn.Key(0).uniform((600, 9)).tolist()):
        plan = "basic" if u[0] < 0.5 else "plus" if u[0] < 0.8 else "premium"
        calls, minutes = int(u[1] ** 2 * 9), round(400 * u[2], 1)
        leaves = 0.6 * calls + 1.5 * (plan == "basic") - minutes / 100 + u[3] > 2.4
        age = "" if u[4] < 0.06 else 18 + int(1000 * u[4]) % 62
        income = "n/a" if u[5] < 0.08 else int(200 + 700 * u[5]) * 100
        since = f"20{18 + int(6 * u[6])}-{1 + int(12 * u[7]):02d}-{1 + int(28 * u[8]):02d}"
        rows.append(
            [10000 + 7 * i, f"Ann Lee {i}", since, age, plan, income, minutes, calls, "EUR", "yes" if leaves else "no"]
        )
    header = ["customer_id", "name", "since", "age", "plan", "income", "minutes", "calls", "currency", "leaves"]
    write(folder / "customers.csv", header, rows, ";")


SAID = """\
customers.csv: 600 rows, 10 columns, separated by a semicolon, with a header

column       kind            distinct  missing  example
-----------  --------------  --------  -------  ----------
customer_id  left out             600        0  10000
name         left out             600        0  Ann Lee 0
since        date                 522        0  2022-08-05
age          number                62       36  50
plan         category               3        0  basic
income       number               372       58  75000
minutes      number               549        0  156.0
calls        number                 9        0  0
currency     left out               1        0  EUR
leaves       target, labels         2        0  no

target    'leaves', the last column; --target NAME takes another: labels, no (480), yes (120)
left out  'customer_id' is an id: whole numbers that all differ
          'name' holds texts that nearly all differ, such as names or ids
          'currency' is always 'EUR'
dates     'since' becomes its year, month and weekday
missing   94 values, which become the median of their column, or a category of their own
split     train 420, validation 60, test 120 rows, all classes in proportion
model     27 features -> 64 -> 64 -> 2 units, 8 members that share the hidden layers; 150 epochs in batches of 128, \
or fewer by the loss of the validation part

written   customers.json
next      funcnet train customers.json
"""
SPEC = """\
{
  "version": 1,
  "data": {
    "type": "csv",
    "split": {"validation": 0.1, "test": 0.2, "stratify": true},
    "impute": "median",
    "scale": "standard",
    "path": "customers.csv",
    "target": "leaves",
    "inputs": ["since", "age", "plan", "income", "minutes", "calls"],
    "categorical": ["plan"],
    "missing": ["", "NA", "N/A", "na", "NaN", "nan", "null", "NULL", "?", "n/a"],
    "delimiter": ";",
    "dates": ["since"]
  },
  "model": {
    "type": "serial",
    "layers": [
      {
        "type": "ensemble",
        "name": "views",
        "layer": {"type": "scale", "scale_init": {"type": "normal"}},
        "members": 8
      },
      {"type": "dense", "units": 64},
      {"type": "relu"},
      {"type": "dense", "units": 64},
      {"type": "relu"},
      {
        "type": "ensemble",
        "name": "head",
        "layer": {"type": "dense", "units": 2},
        "members": 8,
        "own_inputs": true
      }
    ]
  },
  "loss": {"type": "each_member", "loss": {"type": "softmax_cross_entropy"}},
  "metrics": [{"type": "accuracy"}, {"type": "log_loss"}, {"type": "roc_auc"}],
  "optimizer": {
    "type": "chain",
    "steps": [{"type": "adamw", "learning_rate": 0.005, "weight_decay": 0.1}, {"type": "ema", "decay": 0.99}]
  },
  "training": {"epochs": 150, "batch_size": 128, "early_stopping": {"patience": 37}}
}
"""


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """Files that get their specs, and the trainings of these."""
    folder = tmp_path_factory.mktemp("init")
    customers(folder)
    for name in SOURCES:
        bundled(folder, name)
    names = ["customers", *SOURCES]
    said = together({name: partial(funcnet, folder, "init", f"{name}.csv") for name in names})
    trained = together({name: partial(funcnet, folder, "train", f"{name}.json", "--json") for name in names})
    return folder, said, trained


def test_what_is_found_is_said(begun):
    assert begun[1]["customers"] == (0, SAID, "")


def test_the_spec_is_written_beside_the_file(begun):
    assert (begun[0] / "customers.json").read_text(encoding="utf-8") == SPEC


@pytest.mark.parametrize(
    ("name", "metric", "least"),
    [
        ("iris", "accuracy", 0.9),
        ("wine", "accuracy", 0.94),
        ("breast_cancer", "accuracy", 0.95),
        ("diabetes", "r2", 0.4),
        ("customers", "roc_auc", 0.9),
    ],
)
def test_the_spec_trains_to_a_decent_score(begun, name, metric, least):
    said, trained = begun[1][name], begun[2][name]
    assert (said.status, said.err) == (0, "")
    assert (trained.status, trained.err) == (0, "")
    assert json.loads(trained.out)["metrics"]["test"][metric] >= least


def test_a_run_knows_the_labels_and_predicts_them(begun):
    run = fn.load_run(begun[0] / "runs" / "iris-1")
    labels = run.predict_label(run.experiment.data.read(begun[0] / "iris.csv", fn.data.Iris.features))
    assert np.mean(labels == np.repeat(fn.data.Iris.classes, 50)) > 0.93


# ----- what can be asked for ------------------------------------------------------------------------------------------

FEW = "size,grade\n" + "".join(f"{i * i % 37},{i % 3}\n" for i in range(60))


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("asked")
    (folder / "few.csv").write_text(FEW, encoding="utf-8")
    (folder / "some data").mkdir()
    (folder / "some data" / "few.csv").write_text(FEW, encoding="utf-8")
    (folder / "other").mkdir()
    (folder / "kept.json").write_text("mine", encoding="utf-8")
    (folder / "kept.csv").write_text(FEW, encoding="utf-8")
    (folder / "old.csv").write_text(FEW, encoding="utf-8")
    (folder / "old.json").write_text("mine", encoding="utf-8")
    (folder / "data.json").write_text(FEW, encoding="utf-8")
    (folder / "one.csv").write_text("a\n1\n2\n", encoding="utf-8")
    (folder / "none.csv").write_text("1,2\n3,4.5\n5,6.5\n", encoding="utf-8")
    (folder / "rare.csv").write_text(FEW + "5,a\n6,a\n", encoding="utf-8")
    write(folder / "wide.csv", [f"x{i}" for i in range(50)], [[i * j % 41 / 2 for j in range(50)] for i in range(40)])
    init = partial(called, folder, "init")
    return folder, {
        "few": init("few.csv"),
        "values": init("few.csv", "--task", "values", "--out", "values.json"),
        "labels": init("few.csv", "--task", "labels", "--out", "labels.json"),
        "first": init("few.csv", "--target", "0", "--out", "first.json"),
        "spaces": init("some data/few.csv"),
        "above": init("some data/few.csv", "--out", "above.json"),
        "aside": init("few.csv", "--out", "other/few.json"),
        "kept": init("kept.csv"),
        "force": init("old.csv", "--force"),
        "itself": init("data.json", "--force"),
        "json": init("few.csv", "--out", "as.json", "--json"),
        "json error": init("few.csv", "--out", "x.json", "--target", "grad", "--json"),
        "missing": init("no.csv"),
        "folder": init("."),
        "one": init("one.csv"),
        "none": init("none.csv"),
        "rare": init("rare.csv"),
        "wide": init("wide.csv"),
        "nowhere": init("one.csv", "--task", "numbers"),
    }


def test_a_guess_says_how_to_have_it_otherwise(asked):
    folder, results = asked
    target = (
        "target    'grade', the last column; --target NAME takes another: labels, 0 (20), 1 (20), 2 (20); "
        "--task values takes them as numbers"
    )
    assert target in results["few"].out.split("\n")
    assert fn.load_spec(folder / "few.json").loss == fn.losses.EachMember(fn.losses.SoftmaxCrossEntropy())
    assert "target    'grade', the last column; --target NAME takes another: values" in results["values"].out
    assert fn.load_spec(folder / "values.json").loss == fn.losses.EachMember(fn.losses.MeanSquaredError())
    assert target.removesuffix("; --task values takes them as numbers") in results["labels"].out.split("\n")
    assert "target    'size': values" in results["first"].out
    assert fn.load_spec(folder / "first.json").data.target == "size"


def test_the_spec_names_the_data_from_its_own_folder(asked):
    folder, results = asked
    place = os.path.join("some data", "few.json")
    assert results["spaces"].out.endswith(f'\nwritten   {place}\nnext      funcnet train "{place}"\n')
    assert fn.load_spec(folder / "some data" / "few.json").data.path == "few.csv"
    assert results["above"].out.endswith("\nwritten   above.json\nnext      funcnet train above.json\n")
    assert fn.load_spec(folder / "above.json").data.path == "some data/few.csv"


ERRORS = {
    "aside": "other/few.json: a spec names files in its own folder or below, and few.csv is not there; "
    "put the spec beside the data, or the data beside the spec",
    "kept": "kept.json: already exists; --force overwrites it, --out writes elsewhere",
    "itself": "data.json: is the data itself; give the spec another name with --out",
    "missing": "no.csv: there is no such file",
    "folder": ".: cannot be read: Is a directory",
    "one": "one.csv: has only one column, 'a'; expected at least one to learn from and one to predict, "
    "separated by a comma, semicolon, tab or bar",
}


@pytest.mark.parametrize("name", ERRORS)
def test_mistakes(asked, name):
    assert asked[1][name] == (1, "", f"funcnet: {ERRORS[name]}\n")


def test_an_unknown_task(asked):
    status, out, err = asked[1]["nowhere"]
    assert (status, out) == (2, "")
    assert "argument --task: invalid choice: 'numbers'" in err


def test_a_spec_is_written_over_by_force_alone(asked):
    folder, results = asked
    assert (folder / "kept.json").read_text(encoding="utf-8") == "mine"
    assert results["force"].status == 0
    assert fn.load_spec(folder / "old.json").data.path == "old.csv"
    assert (folder / "data.json").read_text(encoding="utf-8") == FEW
    assert sorted(path.name for path in (folder / "other").iterdir()) == []


def test_json(asked):
    folder, results = asked
    assert (results["json"].status, results["json"].err) == (0, "")
    assert json.loads(results["json"].out) == {
        "spec": "as.json",
        "rows": {"train": 42, "validation": 6, "test": 12},
        "delimiter": ",",
        "header": True,
        "target": "grade",
        "classes": {"0": 20, "1": 20, "2": 20},
        "columns": [
            {"name": "size", "kind": "number", "distinct": 19, "missing": 0, "example": "0", "reason": ""},
            {"name": "grade", "kind": "labels", "distinct": 3, "missing": 0, "example": "0", "reason": ""},
        ],
        "features": 1,
        "next": "funcnet train as.json",
    }
    assert (folder / "as.json").read_bytes() == (folder / "few.json").read_bytes()


def test_json_error(asked):
    expected = "few.csv: has no column 'grad' (target), did you mean 'grade'?; it has size, grade"
    status, out, err = asked[1]["json error"]
    assert (status, out) == (1, "")
    assert json.loads(err) == {"error": "DataError", "message": expected}


def test_a_handful_of_rows_trains_on_all_of_them(asked):
    folder, results = asked
    assert "split     none: 3 rows are too few to hold any out\n" in results["none"].out
    spec = fn.load_spec(folder / "none.json")
    assert (spec.data.split, spec.data.header, spec.data.target) == (None, False, "column_1")
    assert fn.run(spec, base=folder).metrics["train"]["r2"] > 0.9


def test_a_class_that_cannot_be_in_every_part_is_named(asked):
    lines = asked[1]["rare"].out.split("\n")
    at = lines.index("split     train 44, validation 6, test 12 rows, all classes in proportion")
    assert lines[at + 1 : at + 3] == [
        "          a: too few rows to be in every part",
        'classes   very unequal; for a better balanced_accuracy and worse probabilities: class_weight "balanced"',
    ]


def test_a_wide_table_is_cut(asked):
    lines = asked[1]["wide"].out.split("\n")
    assert [line.split()[0] for line in lines[4:46]] == [*(f"x{i}" for i in range(40)), "x49", "and"]
    assert lines[45] == "and 9 more columns; --json prints all"


def test_columns_of_plain_numbers_are_read_once(tmp_path, monkeypatch):
    """The time of a wide table is that of its reading: no number is matched with the forms of other countries."""
    names = [f"x{i}" for i in range(500)]
    rows = [[*(f"{(7 * i + j) % 11 - 5}.{j}" for i in range(500)), "ab"[j % 2]] for j in range(24)]
    write(tmp_path / "wide.csv", [*names, "y"], rows)
    calls = {"split_mark": 0, "read_number": 0, "day_of": 0}
    for name in calls:
        before = getattr(seen, name)

        def counted(*given, name=name, before=before):
            calls[name] += 1
            return before(*given)

        monkeypatch.setattr(seen, name, counted)
    found = sniff.look(tmp_path / "wide.csv")
    assert {column.kind for column in found.columns[:-1]} == {"number"}
    assert sum(calls.values()) < 2_000  # of 12 000 numbers; those are of the header and of the labels
