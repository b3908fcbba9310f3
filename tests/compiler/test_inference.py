"""The deployed program: in a process without the library, the answers of ``Run.predict`` to the last bit."""

import ast
import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import attrs
import numpy as np
import pytest

import funcnet as fn
from funcnet.cli import main
from funcnet.codegen.inference import inference
from funcnet.data.sources.base import Frame
from funcnet.files import npz_bytes
from tests.cli import ROOT
from tests.table import LAYERS, of_those

CHILD = """
import json, sys
sys.path.insert(0, ".")
import numpy as np
before = set(sys.modules)
import program
raw = json.load(open("raw.json")) if len(sys.argv) > 1 else np.load("raw.npy")
found = {"y": program.predict(raw)}
if hasattr(program, "labels"):
    found["labels"] = program.labels(raw)
np.savez("found.npz", **found)
loaded = {name.split(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)
assert loaded <= {"numpy", "program"} and "funcnet" not in sys.modules, loaded
"""
CSV = """age,colour,size,weight,outcome
41,red,small,1.5,yes
,blue,large,2.5,no
35,,small,?,yes
52,green,middle,0.25,no
23,red,large,-1e-3,yes
61,blue,-9,4,no
30,green,small,-9,yes
44,red,middle,2,no
"""
FRESH = """weight,colour,comment,age,size
1.25,red,"of interest, perhaps",33,large
,violet,,,small

2,blue,"two
lines",70,enormous
0.5,,x,18,-9
-9,red,,40,large
"""


def trained(folder: Path, data: Any, model: Any, loss: Any, **other: Any) -> fn.Run:
    """A run after a few steps."""
    settings = {"optimizer": fn.optim.Adam(0.01), "training": fn.Training(steps=12)} | other
    fn.run(fn.Experiment(data=data, model=model, loss=loss, **settings), out=folder / "run", base=folder)
    return fn.load_run(folder / "run")


def deployed(folder: Path, capsys: Any) -> Path:
    """The run's program, in a folder of its own."""
    place = folder / "elsewhere"
    place.mkdir()
    out = place / "program.py"
    assert main(["source", str(folder / "run"), "--inference", "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"written to {out} and {place / 'program.npz'}\n"
    assert sorted(path.name for path in place.iterdir()) == ["program.npz", "program.py"]
    return out


def asked(program: Path, raw: Any) -> dict[str, Any]:
    """What the program gives in an isolated process."""
    if isinstance(raw, dict):
        (program.parent / "raw.json").write_text(json.dumps(raw))
    else:
        np.save(program.parent / "raw.npy", raw)
    command = [sys.executable, "-I", "-c", CHILD, *(["table"] if isinstance(raw, dict) else [])]
    done = subprocess.run(command, cwd=program.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(program.parent / "found.npz") as archive:
        return dict(archive)


def called(program: Path, *args: str) -> tuple[int, str, str]:
    """The program as a command: its exit status and its streams."""
    command = [sys.executable, "-I", str(program), *args]
    done = subprocess.run(command, cwd=program.parent, capture_output=True, text=True, encoding="utf-8", check=False)
    return done.returncode, done.stdout, done.stderr


def space(program: Path) -> dict[str, Any]:
    """The names that the program defines."""
    names: dict[str, Any] = {"__name__": "program", "__file__": str(program)}
    exec(compile(program.read_text(encoding="utf-8"), str(program), "exec"), names)
    return names


def identical(a: Any, b: Any) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def table_of(answer: Any, head: list[str], labels: Any = None) -> str:
    """Answers as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    for i, row in enumerate(answer):
        writer.writerow([*([] if labels is None else [labels[i]]), *map(str, row)])
    return text.getvalue()


# ----- runs of every kind ------------------------------------------------------------------------------------


class Case(NamedTuple):
    """A run, and raw rows for it."""

    data: Any
    model: Any
    loss: Any
    raw: Any
    other: dict[str, Any] = {}


CROSS, SQUARES = fn.losses.SoftmaxCrossEntropy(), fn.losses.MeanSquaredError()
SPEC = {path.stem: path for path in (ROOT / "specs").glob("*.json")}
FLOWERS = fn.Key(1).normal((2500, 4)) + np.array([5.8, 3.0, 3.8, 1.2])
DIGITS = np.round(fn.Key(2).uniform((1100, 64)) * 16)
IRIS = fn.data.Iris(scale="standard")


def of_spec(name: str, raw: Any) -> Case:
    e = fn.load_spec(SPEC[name])
    return Case(e.data, e.model, e.loss, raw)


CASES = {
    "iris": Case(IRIS, fn.serial(fn.Dense(16), fn.Relu(), fn.Dropout(0.5), fn.Dense(3)), CROSS, FLOWERS),
    "iris_float64": Case(IRIS, fn.serial(fn.Dense(6), fn.Tanh(), fn.Dense(3)), CROSS, FLOWERS, {"dtype": "float64"}),
    "iris_one_row": Case(IRIS, fn.Dense(3), CROSS, FLOWERS[:1]),
    "iris_no_rows": Case(IRIS, fn.Dense(3), CROSS, FLOWERS[:0]),
    "iris_integers": Case(IRIS, fn.Dense(3), CROSS, np.arange(12).reshape(3, 4)),
    "iris_float32": Case(fn.data.Iris(divide=3.0), fn.Dense(3), CROSS, FLOWERS.astype(np.float32)),
    "diabetes": Case(
        fn.data.Diabetes(scale="robust", target_scale="standard"),
        fn.serial(fn.Dense(8), fn.Gelu(), fn.Dense(1)),
        SQUARES,
        fn.Key(3).normal((70, 10)) * 20 + 100,
    ),
    "two_classes": Case(
        fn.data.BreastCancer(scale="minmax"), fn.Dense(1), fn.losses.SigmoidCrossEntropy(), fn.Key(4).normal((50, 30))
    ),
    "digits_conv": of_spec("digits_conv", DIGITS),
    "digits_lstm": of_spec("digits_rows_lstm", DIGITS),
    "digits_unet": of_spec("digits_denoise_unet", fn.Key(5).uniform((5, 8, 8, 1))),
    "half_plane": of_spec("half_plane", fn.Key(6).uniform((20, 2)) * 100),
    "transformer": Case(
        fn.data.Text(length=12),
        fn.serial(
            fn.Embedding(96, 16),
            fn.Residual(fn.serial(fn.LayerNorm(), fn.MultiHeadAttention(2, causal=True, rotary=fn.RotaryPositions()))),
            fn.Dense(96),
        ),
        CROSS,
        fn.Key(7).integers(96, (9, 12)),
    ),
}


@pytest.mark.parametrize("name", of_those(CASES, ("iris", "diabetes", "two_classes", "half_plane")))
def test_a_process_without_the_library_gives_the_same(name, tmp_path, capsys):
    case = CASES[name]
    run = trained(tmp_path, case.data, case.model, case.loss, **case.other)
    program = deployed(tmp_path, capsys)
    found = asked(program, case.raw)
    assert identical(found["y"], run.predict(case.raw))
    labelled = case.loss.probabilities or run.classes is not None
    assert ("labels" in found) == labelled
    if labelled:
        assert identical(found["labels"], run.predict_label(case.raw))


@pytest.mark.parametrize(
    "name", of_those(("iris", "diabetes", "two_classes", "digits_unet", "half_plane"), ("iris", "two_classes"))
)
def test_the_command_prints_what_predict_prints(name, tmp_path, capsys):
    case = CASES[name]
    trained(tmp_path, case.data, case.model, case.loss, **case.other)
    program = deployed(tmp_path, capsys)
    np.save(program.parent / "rows.npy", case.raw)
    assert main(["predict", str(tmp_path / "run"), str(program.parent / "rows.npy")]) == 0
    assert called(program, "rows.npy") == (0, capsys.readouterr().out, "")


def test_values_that_are_missing_in_arrays(tmp_path, capsys):
    x = fn.Key(1).normal((40, 3))
    x[fn.Key(2).uniform((40, 3)) < 0.2] = np.nan
    np.savez(tmp_path / "own.npz", x=x, y=fn.Key(3).normal((40, 2)))
    data = fn.data.Npz("own.npz", impute="median", scale="standard", target_scale="minmax")
    run = trained(tmp_path, data, fn.Dense(2), SQUARES)
    program = deployed(tmp_path, capsys)
    assert identical(asked(program, x)["y"], run.predict(x))
    (program.parent / "rows.csv").write_text("a,b,c\n1,NA,2.5\n,-3,nan\n")
    rows = np.array([[1.0, np.nan, 2.5], [np.nan, -3.0, np.nan]])
    expected = table_of(run.predict(rows), ["prediction_0", "prediction_1"])
    assert called(program, "rows.csv") == (0, expected, "")


def test_large_scales_stand_in_the_archive(tmp_path, capsys):
    np.savez(tmp_path / "own.npz", x=fn.Key(1).bits((30, 5, 4, 3), np.uint8), y=np.arange(30) % 2)
    data = fn.data.Npz("own.npz", flatten=True, divide=255.0, scale="standard")
    run = trained(tmp_path, data, fn.serial(fn.Dense(4), fn.Relu(), fn.Dense(1)), fn.losses.SigmoidCrossEntropy())
    program = deployed(tmp_path, capsys)
    raw = fn.Key(2).bits((1030, 5, 4, 3), np.uint8)
    found = asked(program, raw)
    assert identical(found["y"], run.predict(raw))
    assert identical(found["labels"], run.predict_label(raw))
    assert '(x - WEIGHTS["prepare/mean"]) / WEIGHTS["prepare/deviation"]' in program.read_text()
    p = run.predict(raw)
    expected = table_of(np.concatenate([1.0 - p, p], axis=1), ["label", "0", "1"], run.predict_label(raw))
    assert called(program, "raw.npy") == (0, expected, "")


def test_outputs_that_do_not_exclude_one_another_are_labels(tmp_path, capsys):
    np.savez(tmp_path / "own.npz", x=fn.Key(1).normal((30, 2)), y=(fn.Key(2).uniform((30, 3)) > 0.5) * 1.0)
    run = trained(tmp_path, fn.data.Npz("own.npz"), fn.Dense(3), fn.losses.SigmoidCrossEntropy())
    program = deployed(tmp_path, capsys)
    raw = fn.Key(3).normal((8, 2)) * 30
    found = asked(program, raw)
    assert identical(found["y"], run.predict(raw))
    assert identical(found["labels"], run.predict_label(raw))
    assert found["labels"].shape == (8, 3)
    names = ["prediction_0", "prediction_1", "prediction_2"]
    head = [*(f"label_{name}" for name in names), *names]
    rows = zip(found["labels"].astype(str).tolist(), run.predict(raw).astype(str).tolist(), strict=True)
    expected = "".join(",".join(row) + "\n" for row in (head, *([*a, *b] for a, b in rows)))
    assert called(program, "raw.npy") == (0, expected, "")


def test_half_is_the_second_class(tmp_path, capsys):
    trained(tmp_path, fn.data.BreastCancer(), fn.Dense(1), fn.losses.SigmoidCrossEntropy())
    found = space(deployed(tmp_path, capsys))["classes_of"](np.array([[0.49], [0.5]]))
    assert found.tolist() == ["malignant", "benign"]


# ----- tables ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A run on a table with categories and missing values, and its program."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "shop.csv").write_text(CSV)
    data = fn.data.Csv(
        "shop.csv",
        "outcome",
        categorical=("colour",),
        ordinal={"size": ("small", "middle", "large")},
        missing=("", "?", "-9"),
        impute="median",
        scale="standard",
    )
    run = trained(folder, data, fn.serial(fn.Dense(5), fn.Tanh(), fn.Dense(2)), CROSS)
    (folder / "elsewhere").mkdir()
    program = folder / "elsewhere" / "program.py"
    assert main(["source", str(folder / "run"), "--inference", "--out", str(program)]) == 0
    return run, program


def test_a_table(shop, tmp_path, capsys):
    run, program = shop
    (tmp_path / "fresh.csv").write_text(FRESH)
    frame = run.experiment.data.read(tmp_path / "fresh.csv", [c["name"] for c in run.preprocess["columns"]])
    assert frame.rows == 5
    assert np.isnan(frame.columns["weight"]).tolist() == [False, True, False, False, True]
    y, labels = run.predict(frame), run.predict_label(frame)
    raw = {
        "age": [33, None, "70", 18.0, 40],
        "colour": ["red", "violet", " blue", None, "red"],
        "size": ["large", "small", "enormous", "-9", "large"],
        "weight": [1.25, "?", 2, "0.5", np.nan],
        "comment": ["", "", "", "", ""],
    }
    found = asked(program, raw)
    assert identical(found["y"], y)
    assert identical(found["labels"], labels)
    status, out, err = called(program, str(tmp_path / "fresh.csv"))
    unknown = "column {}: 1 rows of an unknown category, such as {}\n"
    said = unknown.format("'colour'", "'violet'") + unknown.format("'size'", "'enormous'")
    assert (status, out, err) == (0, table_of(y, ["label", "no", "yes"], labels), said)
    assert main(["predict", str(program.parents[1] / "run"), str(tmp_path / "fresh.csv")]) == 0
    assert capsys.readouterr().out == out
    assert called(program, str(tmp_path / "fresh.csv"), "--out", "answers.csv") == (0, "", said)
    assert (program.parent / "answers.csv").read_bytes() == out.encode()


def test_a_table_without_a_header_and_with_names_of_every_kind(tmp_path, capsys):
    lines = CSV.splitlines()[1:]
    (tmp_path / "shop.csv").write_text("\n".join(line.replace(",", ";") for line in lines))
    data = fn.data.Csv(
        "shop.csv", -1, categorical=("column_1", "column_2"), impute=0.0, delimiter=";", header=False, split=None
    )
    run = trained(tmp_path, data, fn.Dense(2), CROSS)
    program = deployed(tmp_path, capsys)
    for text in ("40;red;small;2\n", "40;red;small;2;yes\n"):
        (program.parent / "rows.csv").write_text(text)
        frame = data.read(program.parent / "rows.csv", [f"column_{i}" for i in range(4)])
        expected = table_of(run.predict(frame), ["label", "no", "yes"], run.predict_label(frame))
        assert called(program, "rows.csv") == (0, expected, "")


def test_columns_without_names_are_found_by_number(tmp_path, capsys):
    (tmp_path / "t.csv").write_text("1,2,7\n4,5,3\n2,2,1\n")
    data = fn.data.Csv("t.csv", 2, inputs=("column_1", "column_0"), header=False, scale="standard")
    run = trained(tmp_path, data, fn.Dense(1), SQUARES)
    program = deployed(tmp_path, capsys)
    (program.parent / "rows.csv").write_text("1,2\n4,5\n")
    frame = Frame({"column_1": np.array([2.0, 5.0]), "column_0": np.array([1.0, 4.0])}, np.arange(2))
    assert called(program, "rows.csv") == (0, table_of(run.predict(frame), ["column_2"]), "")


def test_names_that_are_no_plain_ascii(tmp_path, capsys):
    (tmp_path / "t.csv").write_text(
        '"größe ""x""",\'o\',klasse\n1,a\\b,"猫"\n2,"""""",it\'s "so"\n3,ü,"猫"\n4,a\\b,it\'s "so"\n',
        encoding="utf-8",
    )
    data = fn.data.Csv("t.csv", "klasse", categorical=("'o'",), scale="standard")
    run = trained(tmp_path, data, fn.Dense(2), CROSS)
    program = deployed(tmp_path, capsys)
    frame = data.read(tmp_path / "t.csv", ['größe "x"', "'o'"])
    expected = table_of(run.predict(frame), ["label", 'it\'s "so"', "猫"], run.predict_label(frame))
    assert called(program, str(tmp_path / "t.csv")) == (0, expected, "")


def test_several_values_under_their_names(tmp_path, capsys):
    (tmp_path / "t.csv").write_text("a,b,c\n1,2,3\n4,5,7\n2,2,9\n")
    data = fn.data.Csv("t.csv", ("c", "b"), target_scale="standard")
    run = trained(tmp_path, data, fn.Dense(2), SQUARES, dtype="float64")
    program = deployed(tmp_path, capsys)
    frame = Frame({"a": np.array([1.0, 4.0, 2.0])}, np.arange(3))
    assert called(program, str(tmp_path / "t.csv")) == (0, table_of(run.predict(frame), ["c", "b"]), "")
    assert identical(asked(program, {"a": [1, 4, 2]})["y"], run.predict(frame))


# ----- mistakes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("age,colour,size\n1,red,small\n", "has no column 'weight'; it has age, colour, size"),
        (
            "age,colour,size,weight\n1,red,small,2\n\n2,red,small,heavy\n",
            "line 4: column 'weight': expected a number, got 'heavy'",
        ),
        (
            'age,colour,size,weight\n1,"r\ne\nd",small,2\n2,"r\ned",small,heavy\n',
            "line 5: column 'weight': expected a number, got 'heavy'",
        ),
        ("age,colour,size,weight\n1_0,red,small,2\n", "line 2: column 'age': expected a number, got '1_0'"),
        ("age,colour,size,weight\n1,red,small,inf\n", "line 2: column 'weight': expected a number, got 'inf'"),
        ("age,colour,size,weight\n1,red,small\n", "line 2: expected 4 values, got 3"),
        ("age,colour,size,weight\n", "has no rows below its header"),
        ("age,age,colour,size,weight\n1,1,red,small,2\n", "two columns are called 'age'; rename one"),
        ("", "has no rows"),
        ('age,colour,size,weight\n1,"red,small,2\n', "line 2: cannot be read: unexpected end of data"),
        (b"age,colour,size,weight\n1,r\xe9d,small,2\n", "is not UTF-8 text"),
        (None, "No such file or directory"),
    ],
)
def test_files_that_cannot_be_answered(shop, tmp_path, text, message):
    _, program = shop
    file = tmp_path / "rows.csv"
    if text is not None:
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    said = "column 'colour': 2 rows of an unknown category, such as 'r\\ne\\nd'\n" if "r\ne\nd" in str(text) else ""
    assert called(program, str(file)) == (1, "", f"{said}{file}: {message}\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the device that is always full is Linux's")
def test_an_output_that_is_full(shop, tmp_path, monkeypatch):
    (tmp_path / "fresh.csv").write_text(FRESH)
    monkeypatch.setattr(sys, "argv", ["program", str(tmp_path / "fresh.csv"), "--out", "/dev/full"])
    assert space(shop[1])["main"]() == "/dev/full: No space left on device"


BODY = "1,red,small,2\n"


@pytest.mark.parametrize(
    "text",
    [
        BODY + "1,red,small\n",
        "1;red;small;2\n",
        BODY + '"1"2,red,small,2\n',
        '"\n1",red\n',
        f"{'1' * 200000},1,1,1\n",
        "",
        "\n \n",
    ],
)
def test_a_file_is_refused_in_the_words_of_the_library(shop, tmp_path, text):
    run, program = shop
    file = tmp_path / "rows.csv"
    file.write_text("age,colour,size,weight\n" + text)
    with pytest.raises(fn.DataError) as caught:
        run.experiment.data.read(file, ["age", "colour", "size", "weight"])
    assert called(program, str(file)) == (1, "", f"{caught.value}\n")


def test_a_value_that_is_missing_and_must_not_be(tmp_path, capsys):
    (tmp_path / "t.csv").write_text("a,b,c\n1,2,3\n4,5,7\n2,2,9\n")
    trained(tmp_path, fn.data.Csv("t.csv", "c"), fn.Dense(1), SQUARES)
    program = deployed(tmp_path, capsys)
    (program.parent / "rows.csv").write_text("b,a\n1,2\nNA,1\n")
    message = "rows.csv: line 3: column 'b': the value is missing; the training data had none missing here\n"
    assert called(program, "rows.csv") == (1, "", message)


def test_arrays_that_cannot_be_answered(tmp_path, capsys):
    trained(tmp_path, IRIS, fn.Dense(3), CROSS)
    program = deployed(tmp_path, capsys)
    named = "sepal_length,petal_width,petal_length,sepal_width,colour\n1,4,3,2,red\n"
    for text in (named, "1,2,3,4\n"):
        (program.parent / "rows.csv").write_text(text)
        _, out, err = called(program, "rows.csv")
        assert err == ""
        run = fn.load_run(tmp_path / "run")
        row = np.array([[1.0, 2.0, 3.0, 4.0]])
        expected = table_of(run.predict(row), ["label", *run.classes], run.predict_label(row))
        assert out == expected
    cases = {
        "sepal_length,sepal_width\n1,2\n": (
            "has no column 'petal_length', 'petal_width'; it has sepal_length, sepal_width"
        ),
        "1,2,3\n": "expected 4 columns of inputs, got 3",
        "sepal_length,sepal_width,petal_length,petal_width\n": "has no rows below its header",
        "1,2,3,4\n1,x,3,4\n": "line 2: column 'column_1': expected a number, got 'x'",
    }
    for text, message in cases.items():
        (program.parent / "rows.csv").write_text(text)
        assert called(program, "rows.csv") == (1, "", f"rows.csv: {message}\n")
    arrays = {
        "expected rows of shape (4,), got an array of shape (4,); give a single row as raw[None]": np.zeros(4),
        "expected rows of shape (4,), got an array of shape (2, 3)": np.zeros((2, 3)),
        "row 1: expected finite numbers, got NaN or infinity": np.array([[1, 2, 3, 4], [1, 2, np.nan, 4]]),
        "row 0: expected numbers that float32 can hold, and no NaN": np.full((1, 4), 1e300),
        "expected numbers, got an array of <U1": np.array([["a"] * 4]),
    }
    for message, array in arrays.items():
        np.save(program.parent / "rows.npy", array)
        assert called(program, "rows.npy") == (1, "", f"rows.npy: {message}\n")


def test_an_archive_of_another_program(tmp_path, capsys):
    trained(tmp_path, IRIS, fn.Dense(3), CROSS)
    program = deployed(tmp_path, capsys)
    archive = program.with_suffix(".npz")
    members = dict(np.load(archive))
    np.savez(archive, **(members | {"program": np.array("0")}))
    message = f"{archive}: is the archive of another program; write it and program.py together again\n"
    assert called(program, "rows.npy") == (1, "", message)
    archive.unlink()
    message = f"{archive}: there is no such file; put the archive of the weights beside program.py\n"
    assert called(program, "rows.npy") == (1, "", message)


@fn.register("test_inference.branching")
@attrs.frozen
class Branching(fn.Layer):
    """A layer that no recording can follow"""

    def out_shape(self, in_shape):
        return in_shape

    def apply(self, params, state, x, ctx):
        return (x if x.sum() > 0 else -x), state, None

    def vjp(self, params, residuals, dy):
        return {}, dy


@pytest.mark.filterwarnings("ignore::funcnet.CompileWarning")
def test_the_command_refuses(tmp_path, capsys):
    trained(tmp_path, IRIS, fn.serial(fn.Dense(3), Branching()), CROSS)
    run = str(tmp_path / "run")
    np.savez(tmp_path / "taken.npz", x=np.zeros(3))
    reason = (
        "cannot print the network, because a layer cannot be recorded: branching_0 (Branching): test_inference.py:"
        f"{inspect_line()} `return (x if x.sum() > 0 else -x), state, None`: branches on the value of an array, "
        "or turns it into a Python number while it is recorded, when arrays have no values yet; use "
        "np.where(condition, a, b), fn.ops.number(x) for a number, fn.ops.check(ok, error) for an error"
    )
    cases = [
        ([run, "--inference"], reason),
        ([run, "--inference", "--out", "model.txt"], "--out: expected a file that ends in .py, got model.txt"),
        (
            [run, "--inference", "--batch", "3"],
            "--batch: does not go with --inference, where the run decides; leave it out",
        ),
        (
            [run, "--inference", "--out", str(tmp_path / "taken.py")],
            f"{tmp_path / 'taken.npz'}: holds something other than a program's weights; choose another --out",
        ),
        (
            [run, "--inference", "--out", str(tmp_path / "run" / "weights.py")],
            f"{tmp_path / 'run' / 'weights.npz'}: holds something other than a program's weights; choose another --out",
        ),
        (
            [str(SPEC["digits_mlp"]), "--inference"],
            f"{SPEC['digits_mlp']}: is not a run folder but a spec; "
            f"funcnet train {SPEC['digits_mlp']} makes a run of it",
        ),
    ]
    for args, message in cases:
        assert main(["source", *args]) == 1
        assert capsys.readouterr().err == f"funcnet: {message}\n"
    assert not (tmp_path / "run" / "inference.py").exists()


def inspect_line() -> int:
    """The line on which the layer above branches."""
    import inspect

    source, first = inspect.getsourcelines(Branching)
    return first + next(i for i, line in enumerate(source) if "x.sum()" in line)


# ----- the file itself ---------------------------------------------------------------------------------------


def test_the_file_reads_well_and_is_the_same_each_time(tmp_path, capsys):
    trained(tmp_path, IRIS, fn.serial(fn.Dense(16), fn.Relu(), fn.Dense(3)), CROSS)
    assert main(["source", str(tmp_path / "run"), "--inference"]) == 0
    file = tmp_path / "run" / "inference.py"
    text = file.read_text()
    assert capsys.readouterr().out == f"written to {file} and {file.with_suffix('.npz')}\n"
    assert main(["source", str(tmp_path / "run"), "--inference"]) == 0
    assert file.read_text() == text
    module = ast.parse(text)
    defined = [node.name for node in module.body if isinstance(node, ast.FunctionDef)]
    assert [name for name in defined if name in ("prepare", "forward", "predict", "labels", "main")] == [
        "prepare", "forward", "predict", "labels", "main",
    ]  # fmt: skip
    assert all(ast.get_docstring(node) for node in module.body if isinstance(node, ast.FunctionDef | ast.ClassDef))
    imported = [node for node in ast.walk(module) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {ast.unparse(node).split()[1] for node in imported}
    used = {"argparse", "codecs", "collections.abc", "csv", "io", "itertools", "json", "os", "sys", "pathlib", "numpy"}
    assert names == used
    assert max(map(len, text.splitlines())) <= 120
    assert fn.spec_hash(fn.load_run(tmp_path / "run").experiment) in ast.get_docstring(module)
    start = text.index("def forward")
    assert (
        text[start : text.index("\n\n\n", start)]
        == '''def forward(weights, x):
    """The network in evaluation mode, on prepared rows: (rows, 4) -> (rows, 3)."""
    dense_0_weight = weights["dense_0/weight"]        # (4, 16)
    dense_0_bias = weights["dense_0/bias"]            # (16,)
    dense_1_weight = weights["dense_1/weight"]        # (16, 3)
    dense_1_bias = weights["dense_1/bias"]            # (3,)

    # dense_0 (Dense): y = x @ weight + bias
    dense_0 = x @ dense_0_weight + dense_0_bias       # (rows, 16)
    # relu_0 (Relu): y = max(x, 0)
    relu_0 = np.maximum(dense_0, 0.0)                 # (rows, 16)
    # dense_1 (Dense): y = x @ weight + bias
    dense_1 = relu_0 @ dense_1_weight + dense_1_bias  # (rows, 3)
    return dense_1'''
    )


ONE_ARRAY = [
    name
    for name, row in LAYERS.items()
    if isinstance(row.in_shape, tuple)
    and not name.startswith("function")  # whose spec no file can hold
    and all(isinstance(n, int) for n in (*row.in_shape, *row.layer.out_shape(row.in_shape)))
]


@pytest.mark.parametrize("name", ONE_ARRAY)
def test_every_layer_for_any_number_of_rows(name, tmp_path):
    row = LAYERS[name]
    params, state = row.layer.init(fn.Key(0), row.in_shape, np.float64)
    experiment = fn.Experiment(
        dtype="float64", data=IRIS, model=row.layer, loss=SQUARES, optimizer=fn.optim.SGD(0.1),
        training=fn.Training(epochs=1),
    )  # fmt: skip
    integers = row.input(fn.Key(1), 2).dtype.kind == "i"
    preprocess = {"inputs": None, "classes": None, "shape": list(row.in_shape)} | (
        {"integers": True} if integers else {}
    )
    program = inference(experiment, params, state, preprocess, row.in_shape, "program")
    (tmp_path / "program.npz").write_bytes(npz_bytes(program.members))
    (tmp_path / "program.py").write_text(program.text, encoding="utf-8")
    names = space(tmp_path / "program.py")
    for rows in (1, 4, 11):
        x = row.input(fn.Key(rows), rows)
        expected = np.asarray(row.layer.apply(params, state, x, fn.EVAL)[0])
        found = names["forward"](names["WEIGHTS"], x)
        assert identical(np.asarray(found), expected)
    assert len(ONE_ARRAY) > 150
