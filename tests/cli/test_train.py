"""``funcnet train`` as a user runs it: in processes of its own, whole streams and exit statuses compared."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from functools import partial

import numpy as np
import pytest

import funcnet as fn
from funcnet.cli import main
from funcnet.experiments.run import Terminated
from funcnet.spec.base import tags
from tests.cli import ROOT, SMALL, called, command, environment, funcnet, together

LOSSES = ", ".join(tag for tag in tags("loss") if "." not in tag)
FILES = [
    "baseline.json",
    "curves.svg",
    "distributions.jsonl",
    "history.csv",
    "metrics.json",
    "preprocess.json",
    "report.html",
    "run.json",
    "spec.json",
    "weights.npz",
]


def small(**changes):
    """The small spec with some of its parts replaced."""
    return json.dumps(json.loads(SMALL) | changes)


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def history(folder):
    with open(folder / "history.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def results_table(metrics, baseline):
    """The lines of the final table, from the figures in ``metrics.json`` and ``baseline.json``."""
    names = list(metrics["train"])
    kinds = {"constant answer": "constant", "linear model": "linear"}
    against = {
        f"{part}, {said}": baseline[kind][part] for part in metrics if part != "train" for said, kind in kinds.items()
    }
    rows = [[part, *(f"{scores[name]:.5g}" for name in names)] for part, scores in (metrics | against).items()]
    widths = [max(len(row[i]) for row in [["part", *names], *rows]) for i in range(len(names) + 1)]

    def line(cells):
        return "  ".join([cells[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True))])

    return [line(["part", *names]), "  ".join("-" * width for width in widths), *map(line, rows)]


def ending(folder, name, stopped=None):
    """The last lines of a run's output, from its files."""
    note = [f"stopped at {stopped}; the trained params are kept"] if stopped else []
    metrics, baseline = read_json(folder / "metrics.json"), read_json(folder / "baseline.json")
    linear, own = baseline["linear"]["test"], metrics["test"]
    better = [name for name in own if (own[name] < linear[name] if name == "accuracy" else own[name] > linear[name])]
    figures = ", ".join(f"{name} {linear[name]:.5g} against {own[name]:.5g}" for name in better)
    lost = f"the linear model is better than the network in {len(better)} of {len(own)} scores of the test part"
    said = ["", f"{lost}: {figures}"] if better else []
    return [
        "",
        *note,
        *results_table(metrics, baseline),
        *said,
        "",
        f"run     {name}",
        f"report  {os.path.join(name, 'report.html')}",
        f"curves  {os.path.join(name, 'curves.svg')}",
        "",
    ]


# ----- training -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Two epochs of the shipped digits, twice from one folder, and what each printed."""
    folder = tmp_path_factory.mktemp("digits")
    shutil.copy(ROOT / "specs" / "digits_mlp.json", folder)
    train = partial(funcnet, folder, "train", "digits_mlp.json", "--set", "training.epochs=2")
    return folder, [train(), train()]


def test_train_prints_the_history_and_the_scores(digits):
    folder, (first, _) = digits
    run = folder / "runs" / "digits_mlp-1"
    names = ["epoch", "loss", "accuracy", "validation/loss", "validation/accuracy"]
    widths = [max(10, len(name)) for name in names]
    rows = [[f"{float(row[name]):.5g}" for name in names] for row in history(run)]
    lines = ["  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in [names, *rows]]
    expected = [*lines, *ending(run, os.path.join("runs", "digits_mlp-1"))]
    assert first.err == ""
    assert first.status == 0
    assert first.out.split("\n") == expected
    assert [row["epoch"] for row in history(run)] == ["1", "2"]
    assert read_json(run / "metrics.json")["test"]["accuracy"] > 0.8


def test_train_leaves_whole_folders_under_the_next_free_number(digits):
    folder, (_, second) = digits
    runs = folder / "runs"
    assert files(runs) == ["digits_mlp-1", "digits_mlp-2"]
    assert files(runs / "digits_mlp-1") == files(runs / "digits_mlp-2") == FILES
    assert second.out.split("\n") == [
        *digits[1][0].out.split("\n")[:-4],
        f"run     {os.path.join('runs', 'digits_mlp-2')}",
        f"report  {os.path.join('runs', 'digits_mlp-2', 'report.html')}",
        f"curves  {os.path.join('runs', 'digits_mlp-2', 'curves.svg')}",
        "",
    ]


def test_train_gives_the_same_bits_again(digits):
    facts = [read_json(digits[0] / "runs" / f"digits_mlp-{n}" / "run.json") for n in (1, 2)]
    stamps = [one.pop("stamp") for one in facts]  # of the place, not of the run
    assert stamps[0] != stamps[1]
    assert facts[0] == facts[1]
    assert facts[0]["step"] == 80


def test_train_run_loads_in_python(digits):
    run = fn.load_run(digits[0] / "runs" / "digits_mlp-1")
    expected = fn.load_spec(ROOT / "specs" / "digits_mlp.json")
    assert run.experiment.model == expected.model
    assert (run.experiment.training.epochs, run.train_state.step) == (2, 80)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Small trainings of every kind, one folder for all."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "small.json").write_text(SMALL, encoding="utf-8")
    (folder / "marked.json").write_text(SMALL, encoding="utf-8-sig")
    (folder / "deep").mkdir()
    (folder / "empty").mkdir()
    (folder / "no_rich").mkdir()
    (folder / "no_rich" / "sitecustomize.py").write_text("import sys\nsys.modules['rich'] = None\n", encoding="utf-8")
    np.savez(folder / "deep" / "set.npz", x=np.eye(6), y=np.arange(6) % 3)
    (folder / "deep" / "npz.json").write_text(small(data={"type": "npz", "path": "set.npz"}), encoding="utf-8")
    train = partial(funcnet, folder, "train")
    no_rich = os.pathsep.join([str(folder / "no_rich"), str(ROOT)])
    return folder, together(
        {
            "out": partial(train, "small.json", "--out", "made/on/the/way"),
            "empty": partial(train, "marked.json", "--out", "empty", "--progress", "none"),
            "set": partial(
                train,
                *("small.json", "--out", "set"),
                *("--set", "model.layers[0].units=5"),
                *("--set", "loss.label_smoothing=0.25"),
                *("--set", 'optimizer={"type": "adam"}'),
                *("--set", "optimizer.learning_rate=0.02"),
                *("--set", 'model.layers[1]="tanh"'),
                *("--set", "training.epochs=null"),
                *("--set", "training.steps=7"),
                *("--set", "data.split.test=0.3"),
                *("--set", "dtype=float64"),
                *("--set", "seed=9"),
            ),
            "base": partial(train, "deep/npz.json", "--out", "base"),
            "json": partial(train, "small.json", "--out", "json", "--json"),
            "profile": partial(train, "small.json", "--out", "profile", "--profile", "--progress", "none"),
            "profile json": partial(train, "small.json", "--out", "profile-json", "--profile", "--json"),
            "log": partial(
                train,
                *("small.json", "--out", "log", "--set", "training.log_every=1", "--set", "training.epochs=2"),
            ),
            "rich": partial(train, "small.json", "--out", "rich", "--progress", "rich"),
            "rich-missing": partial(train, "small.json", "--out", "x", "--progress", "rich", PYTHONPATH=no_rich),
            "rich-missing-auto": partial(train, "small.json", "--out", "auto", PYTHONPATH=no_rich),
        }
    )


def test_out_makes_its_parents(trained):
    folder, results = trained
    run = folder / "made" / "on" / "the" / "way"
    assert (results["out"].status, results["out"].err) == (0, "")
    assert files(run) == FILES
    assert results["out"].out.endswith("\n".join(["", *ending(run, os.path.join("made", "on", "the", "way"))]))


def test_out_may_be_an_empty_folder_and_progress_none_prints_the_end_alone(trained):
    folder, results = trained
    assert (results["empty"].status, results["empty"].err) == (0, "")
    assert files(folder / "empty") == FILES
    assert results["empty"].out.split("\n") == ending(folder / "empty", "empty")


def test_set_changes_the_spec(trained):
    folder, results = trained
    assert (results["set"].status, results["set"].err) == (0, "")
    given = json.loads(SMALL)
    given |= {"seed": 9, "dtype": "float64", "optimizer": {"type": "adam", "learning_rate": 0.02}}
    given |= {"loss": {"type": "softmax_cross_entropy", "label_smoothing": 0.25}, "training": {"steps": 7}}
    given["data"]["split"]["test"] = 0.3
    given["model"]["layers"][:2] = [{"type": "dense", "units": 5}, "tanh"]
    assert fn.load_spec(folder / "set" / "spec.json") == fn.from_json(given)
    run = fn.load_run(folder / "set")
    assert run.train_state.step == 7
    assert run.train_state.params["dense_0"]["weight"].shape == (4, 5)
    assert run.train_state.params["dense_0"]["weight"].dtype == np.float64


def test_paths_in_a_spec_are_relative_to_it(trained):
    folder, results = trained
    assert (results["base"].status, results["base"].err) == (0, "")
    assert read_json(folder / "base" / "run.json")["base"] == str((folder / "deep").resolve())


def test_json_prints_one_object(trained):
    folder, results = trained
    assert (results["json"].status, results["json"].err) == (0, "")
    assert results["json"].out.count("\n") == 1
    assert json.loads(results["json"].out) == {
        "run": "json",
        "step": 9,
        "metrics": read_json(folder / "json" / "metrics.json"),
        "stopped": None,
        "baseline": read_json(folder / "json" / "baseline.json"),
    }


def test_profile_prints_where_the_time_of_a_step_went(trained):
    folder, results = trained
    assert (results["profile"].status, results["profile"].err) == (0, "")
    before = ending(folder / "profile", "profile")
    lines = results["profile"].out.split("\n")
    assert lines[: len(before)] == before
    title, header, rule, *rows, again, step, end = lines[len(before) :]
    assert re.fullmatch(r"microseconds of a step, batch of 32, mean of \d+ steps", title)
    assert header.split() == ["layer", "type", "forward", "backward", "update", "total", "%"]
    assert (rule, end) == (again, "")
    names = [["dense_0", "Dense"], ["relu_0", "Relu"], ["head", "Dense"], ["loss"], ["rest"]]
    cells = [row.split() for row in rows]
    assert [row[: len(name)] for row, name in zip(cells, names, strict=True)] == names
    for row in cells[:3]:
        forward, backward, update, total, _ = map(float, row[2:])
        assert forward > 0
        assert backward > 0
        assert (update > 0) == (row[0] != "relu_0")
        assert total == pytest.approx(forward + backward + update, abs=0.3)
    whole = [float(cell) for cell in step.split()[1:]]
    assert whole[-1] == 100.0
    assert whole[-2] == pytest.approx(sum(float(row[-2]) for row in cells), abs=0.5)
    assert sum(float(row[-1]) for row in cells) == pytest.approx(100, abs=0.5)


def test_profile_changes_nothing_of_the_run(trained):
    folder, _ = trained
    for name in ("profile", "profile-json"):
        assert files(folder / name) == FILES
        facts = [read_json(folder / run / "run.json") for run in (name, "json")]
        stamps = [one.pop("stamp") for one in facts]  # of the place, not of the run
        assert stamps[0] != stamps[1]
        assert facts[0] == facts[1]


def test_profile_in_json(trained):
    result = trained[1]["profile json"]
    assert (result.status, result.err) == (0, "")
    found = json.loads(result.out)["profile"]
    assert list(found) == ["batch", "steps", "unit", "layers", "loss", "rest", "step"]
    assert (found["batch"], found["unit"]) == (32, "us")
    assert [(layer["path"], layer["layer"]) for layer in found["layers"]] == [
        ("dense_0", "Dense"),
        ("relu_0", "Relu"),
        ("head", "Dense"),
    ]
    parts = sum(layer[part] for layer in found["layers"] for part in ("forward", "backward", "update"))
    assert found["step"] == pytest.approx(parts + found["loss"] + found["rest"])


def test_log_every_1_prints_one_line_a_step(trained):
    folder, results = trained
    assert (results["log"].status, results["log"].err) == (0, "")
    lines = results["log"].out.split("\n")
    assert lines[6:] == ending(folder / "log", "log")
    rows = history(folder / "log")
    logged = [line.split(" ") for line in lines[:6]]
    assert [int(step) for step, _ in logged] == [int(row["step"]) for row in rows] == [1, 2, 3, 4, 5, 6]
    for (_, loss), row in zip(logged, rows, strict=True):
        assert loss == f"{float(row['loss']):.10g}"


def test_rich_shows_a_bar(trained):
    pytest.importorskip("rich")  # the bar is an extra, and the tests run without it too
    folder, results = trained
    assert (results["rich"].status, results["rich"].err) == (0, "")
    assert "step 9/9 " in results["rich"].out
    assert "100%" in results["rich"].out
    assert results["rich"].out.endswith("\n".join(["", *ending(folder / "rich", "rich")]))


def test_rich_asked_for_and_not_installed(trained):
    folder, results = trained
    assert results["rich-missing"] == (
        1,
        "",
        "funcnet: --progress rich needs rich, which is not installed; "
        'install it with: python -m pip install "funcnet[cli]"\n',
    )
    assert not (folder / "x").exists()


def test_rich_not_installed_and_not_asked_for(trained):
    _, results = trained
    assert (results["rich-missing-auto"].status, results["rich-missing-auto"].err) == (0, "")
    assert results["rich-missing-auto"].out.replace("auto", "made/on/the/way") == results["out"].out.replace(
        os.sep, "/"
    )


# ----- a user's mistakes ----------------------------------------------------------------------------------

EXAMPLE = "such as optimizer.learning_rate=0.01 or model.layers[0].units=32"
LAYERS = json.loads(SMALL)["model"]["layers"]
SPECS = {  # file name to content and the whole message
    "text": (
        "epochs = 3",
        'text.json: not JSON: Expecting value at line 1, column 1; a spec begins with {, such as {"version": 1, …',
    ),
    "empty": ("", "empty.json: not JSON: Expecting value at line 1, column 1; it is empty"),
    "cut": ('{\n  "seed": ', "cut.json: not JSON: Expecting value at line 2, column 11"),
    "list": ("[]", "list.json: $: expected an object with the fields of a spec, got []"),
    "twice": ('{"seed": 1, "seed": 2}', "twice.json: the key 'seed' appears twice in one object"),
    "nan": ('{"seed": NaN}', "nan.json: NaN is not JSON; every number must be finite"),
    "brackets": ("[" * 100_000, "brackets.json: brackets are nested too deep; the limit is 256"),
    "large": (" " * 2**24 + "{}", "large.json: the file has 16777218 bytes; the limit is 16777216"),
    "newer": (
        small(version=2),
        "newer.json: $.version: expected up to 1, which this funcnet reads, got 2; upgrade funcnet",
    ),
    "tag": (
        small(model={"type": "serial", "layers": [{"type": "dens", "units": 3}]}),
        "tag.json: $.model.layers[0].type: unknown layer 'dens', did you mean 'dense'?",
    ),
    "bare": (small(loss="warp"), f"bare.json: $.loss: unknown loss 'warp'; there are {LOSSES}"),
    "field": (
        small(optimizer={"type": "sgd", "learning_rat": 0.1, "learning_rate": 0.1}),
        "field.json: $.optimizer.learning_rat: unknown field of 'sgd', did you mean 'learning_rate'?; "
        "it has learning_rate, momentum, nesterov",
    ),
    "fraction": (
        small(training={"epochs": 3.7}),
        "fraction.json: $.training.epochs: expected an integer or null, got 3.7",
    ),
    "string": (small(training={"epochs": "3"}), 'string.json: $.training.epochs: expected an integer or null, got "3"'),
    "boolean": (
        small(training={"epochs": True}),
        "boolean.json: $.training.epochs: expected an integer or null, got true",
    ),
    "range": (small(training={"epochs": 0}), "range.json: $.training.epochs: must be positive, got 0"),
    "length": (
        small(training={"epochs": 3, "steps": 3}),
        "length.json: $.training: expected either epochs or steps, got both",
    ),
    "model": ('{"version": 1, "model": "relu"}', None),
    "several": (
        small(
            seed=-1,
            dtype="float16",
            model={"type": "serial", "layers": [{"type": "dens"}, {"type": "dense"}, {"type": "dropout", "rate": 1.5}]},
            metrics=["acuracy"],
            epochs=4,
        ),
        "several.json: $.epochs: unknown field of 'experiment'; 'epochs' is a field of 'training'; "
        "it has seed, dtype, data, model, loss, metrics, optimizer, training\n"
        "several.json: $.seed: must be zero or more, got -1\n"
        'several.json: $.dtype: expected "float32" or "float64", got "float16", did you mean \'float64\'?\n'
        "several.json: $.model.layers[0].type: unknown layer 'dens', did you mean 'dense'?\n"
        "several.json: $.model.layers[1].units: missing; 'dense' needs an integer\n"
        "several.json: $.model.layers[2].rate: must be at least 0 and below 1, got 1.5\n"
        "several.json: $.metrics[0]: unknown metric 'acuracy', did you mean 'accuracy'?",
    ),
    "layers": (
        small(model={"type": "serial", "layers": [{"type": "reshape", "shape": [3]}, *LAYERS]}),
        "reshape_0 (Reshape): expected an input of 3 entries for shape (3,), got shape (4,) of 4; change one of them",
    ),
    "parameters": (
        small(model={"type": "dense", "units": 2**40}),
        "the network: needs 5497558138880 parameters; the limit is 2147483648: make some size in the spec smaller",
    ),
    "labels": (small(model={"type": "dense", "units": 2}), None),
    "targets": (
        small(loss="mean_squared_error"),
        "MeanSquaredError: expected a target of the prediction's shape (90, 3), got (90,); "
        "give the last layer one unit for one value, or for labels of classes use SoftmaxCrossEntropy "
        "(in the training part)",
    ),
    "initial": (
        small(training={"epochs": 3, "initial": {"type": "npz", "path": "nowhere.npz"}}),
        "nowhere.npz: there is no such file",
    ),
    "diverges": (
        small(
            loss="mean_squared_error",
            metrics=[],
            data={"type": "function", "target": "mean_sine", "rows": 20},
            model={"type": "dense", "units": 1},
            optimizer={"type": "sgd", "learning_rate": 1e25},
        ),
        "step 1: a loss or gradient is not finite; it arose first in the loss itself (MeanSquaredError). Lower the "
        "learning rate, clip gradients (ClipByGlobalNorm), or look at the data. The last good state is in diverges",
    ),
    "overflows": (
        small(
            loss="mean_squared_error",
            metrics=[],
            data={"type": "function", "target": "mean_sine", "rows": 20},
            model={"type": "dense", "units": 1},
            optimizer={"type": "sgd", "learning_rate": 1e39},
            training={"steps": 1},
        ),
        None,
    ),
    "too-many-rows": (small(data={"type": "normal_noise", "rows": 2**50, "inputs": 4, "outputs": 3}), None),
}
SETTINGS = {  # VALUE of --set to the whole message
    "training.epochs": f"--set training.epochs: expected PATH=VALUE, {EXAMPLE}",
    "=3": f"--set =3: expected PATH=VALUE, {EXAMPLE}",
    "training..epochs=3": f"--set training..epochs=3: expected PATH=VALUE, {EXAMPLE}",
    "model.layers[-1].units=3": f"--set model.layers[-1].units=3: expected PATH=VALUE, {EXAMPLE}",
    "optimiser.learning_rate=1": (
        "--set optimiser.learning_rate=1: the spec has no field 'optimiser', did you mean 'optimizer'?; "
        "it has version, seed, data, model, loss, metrics, optimizer, training"
    ),
    "model.layers[3].units=1": (
        "--set model.layers[3].units=1: there is no item [3] in .model.layers, which is a list of 3"
    ),
    "data.split[0]=1": "--set data.split[0]=1: there is no item [0] in .data.split, which is not a list",
    "seed.a=1": "--set seed.a=1: .seed has no fields",
    "model.layers[0].unit=5": (
        "small.json: $.model.layers[0].unit: unknown field of 'dense', did you mean 'units'?; "
        "it has units, use_bias, weight_init, bias_init"
    ),
    "model.layers[1].slope=1": "small.json: $.model.layers[1].slope: unknown field of 'relu'; it has no fields",
    "training.epochs=3.0": "small.json: $.training.epochs: expected an integer or null, got 3.0",
    "training.epochs=three": 'small.json: $.training.epochs: expected an integer or null, got "three"',
    "optimizer.learning_rate=NaN": "small.json: $.optimizer.learning_rate: expected a finite number, got nan",
    "loss=huberr": "small.json: $.loss: unknown loss 'huberr', did you mean 'huber'?",
}
DEEP = "seed=" + "[" * 100_000
REAL = ("brackets", "several", "diverges", "overflows", "too-many-rows")
"""Specs that are tried in processes of their own"""
FOLDERS = {  # --out to the whole message
    "small.json": "small.json: expected a folder, got a file; choose another --out",
    "finished": "finished: holds a finished run already; choose another --out, or delete it first",
    "half": "half: holds an unfinished run; continue with --resume, or choose another --out",
    "other": "other: is not empty; choose a new folder for --out",
    "small.json/inside": "small.json/inside: cannot be created (Not a directory); choose another --out",
    "a" * 300: f"{'a' * 300}: cannot be created (File name too long); choose another --out",
}


@pytest.fixture(scope="module")
def mistakes(tmp_path_factory):
    """Every mistake, made once; all of them in one folder. A few are made in processes of their own."""
    folder = tmp_path_factory.mktemp("mistakes")
    (folder / "small.json").write_text(SMALL, encoding="utf-8")
    (folder / "latin.json").write_bytes('{"größe": 1}'.encode("latin-1"))
    for name, (content, _) in SPECS.items():
        (folder / f"{name}.json").write_text(content, encoding="utf-8")
    for name in ("finished", "half", "other", "folder.json"):
        (folder / name).mkdir()
    for path in ("finished/metrics.json", "finished/spec.json", "half/spec.json", "other/notes.txt"):
        (folder / path).write_text("{}", encoding="utf-8")
    train, quiet = partial(funcnet, folder, "train"), ("--progress", "none")
    calls = {f"spec {name}": partial(train, f"{name}.json", "--out", name, *quiet) for name in REAL}
    calls["json"] = partial(train, "tag.json", "--json")
    calls["json overflows"] = partial(train, "overflows.json", "--json", "--out", "overflows-json")
    calls["usage"] = partial(train, "small.json", "--loud")
    calls["usage choice"] = partial(train, "small.json", "--progress", "loud")
    calls["usage nothing"] = partial(funcnet, folder, "show")
    calls["usage command"] = partial(funcnet, folder, "tran")
    calls[f"set {DEEP}"] = partial(train, "small.json", "--set", DEEP)
    results = together(calls)
    train = partial(called, folder, "train")
    results |= {f"spec {n}": train(f"{n}.json", "--out", n, *quiet) for n in SPECS if n not in REAL}
    results |= {f"spec {name}": train(f"{name}.json") for name in ("missing", "latin", "folder")}
    results |= {f"set {setting}": train("small.json", "--set", setting) for setting in SETTINGS}
    results |= {f"out {out}": train("small.json", "--out", out) for out in FOLDERS}
    return folder, results


@pytest.mark.parametrize("name", [name for name, (_, expected) in SPECS.items() if expected is not None])
def test_bad_spec_is_one_message(mistakes, name):
    expected = SPECS[name][1].split("\n")
    lines = [f"funcnet: {expected[0]}", *expected[1:], ""]
    assert mistakes[1][f"spec {name}"] == (1, "", "\n".join(lines))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("missing", "missing.json: there is no such file"),
        ("latin", "latin.json: the file is not UTF-8 text"),
        ("folder", "folder.json: is a folder; expected a spec, a file of JSON, or the folder of a run"),
        (
            "model",
            "model.json: $: expected an experiment (data, model, loss, optimizer, training), got a layer",
        ),
    ],
)
def test_spec_that_is_none(mistakes, name, expected):
    assert mistakes[1][f"spec {name}"] == (1, "", f"funcnet: {expected}\n")


@pytest.mark.parametrize("name", ["labels", "overflows", "too-many-rows"])
def test_mistakes_found_late_are_one_message_too(mistakes, name):
    result = mistakes[1][f"spec {name}"]
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith("funcnet: ")
    assert result.err.count("\n") == 1


def test_labels_out_of_range(mistakes):
    assert mistakes[1]["spec labels"].err == (
        "funcnet: SoftmaxCrossEntropy: expected 3 units, one for each class, got 2; the data has 3 classes, "
        "'setosa', 'versicolor', 'virginica': change the units of the last layer\n"
    )


@pytest.mark.parametrize("setting", SETTINGS)
def test_bad_setting_is_one_message(mistakes, setting):
    assert mistakes[1][f"set {setting}"] == (1, "", f"funcnet: {SETTINGS[setting]}\n")


def test_setting_of_nested_brackets_without_end(mistakes):
    result = mistakes[1][f"set {DEEP}"]
    assert (result.status, result.out) == (1, "")
    assert "Traceback" not in result.err


@pytest.mark.parametrize("out", FOLDERS, ids=lambda out: out[:20])
def test_folder_that_cannot_be_used(mistakes, out):
    expected = FOLDERS[out].replace("/", os.sep)
    assert mistakes[1][f"out {out}"] == (1, "", f"funcnet: {expected}\n")


def test_mistakes_leave_nothing_behind(mistakes):
    """But where training had begun: there the last good state stays."""
    folder, _ = mistakes
    left = {path.name for path in folder.iterdir() if path.is_dir()}
    assert left - {"diverges", "overflows", "overflows-json"} == {"finished", "half", "other", "folder.json"}
    assert files(folder / "diverges") == [name for name in FILES if name != "baseline.json"]  # of runs that ended


def test_a_diverging_run_keeps_finite_weights(mistakes):
    for name in ("diverges", "overflows"):
        run = fn.load_run(mistakes[0] / name)
        assert run.stopped == "not finite"
        assert all(np.isfinite(leaf).all() for leaf in fn.tree.leaves(run.train_state.params))


def test_json_error(mistakes):
    result = mistakes[1]["json"]
    assert (result.status, result.out) == (1, "")
    assert result.err.count("\n") == 1
    assert json.loads(result.err) == {"error": "SpecError", "message": SPECS["tag"][1]}


def test_json_never_prints_what_json_does_not_know(mistakes):
    def refuse(word):
        raise AssertionError(word)

    result = mistakes[1]["json overflows"]
    json.loads(result.out or result.err, parse_constant=refuse)
    assert result.status == 1


@pytest.mark.parametrize("name", ["usage", "usage choice", "usage nothing", "usage command"])
def test_usage_is_status_2(mistakes, name):
    result = mistakes[1][name]
    assert (result.status, result.out) == (2, "")
    assert result.err.startswith("usage: funcnet ")
    assert "error: " in result.err.split("\n")[-2]


# ----- narrow consoles --------------------------------------------------------------------------------------

ENCODINGS = ("gbk", "cp1252", "ascii")
NAME = "größe→⠋"


@pytest.fixture(scope="module")
def narrow(tmp_path_factory):
    folder = tmp_path_factory.mktemp("narrow")
    (folder / f"{NAME}.json").write_text(SMALL, encoding="utf-8")
    (folder / "bad.json").write_text(small(loss=NAME), encoding="utf-8")
    calls = {}
    for encoding in (*ENCODINGS, "utf-8"):
        out = ("--out", f"{NAME}-{encoding}")
        calls[encoding, "train"] = partial(funcnet, folder, "train", f"{NAME}.json", *out, encoding=encoding)
        calls[encoding, "error"] = partial(funcnet, folder, "train", "bad.json", encoding=encoding)
        rich = ("--out", f"rich-{encoding}", "--progress", "rich")
        calls[encoding, "rich"] = partial(funcnet, folder, "train", f"{NAME}.json", *rich, encoding=encoding)
    return folder, together(calls)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_narrow_console_shows_what_it_can(narrow, encoding):
    folder, results = narrow
    result, wide = results[encoding, "train"], results["utf-8", "train"]
    assert (result.status, result.err) == (0, "")
    expected = wide.out.replace(f"{NAME}-utf-8", f"{NAME}-{encoding}")
    assert result.out == expected.encode(encoding, "replace").decode(encoding)
    assert files(folder / f"{NAME}-{encoding}") == FILES


@pytest.mark.parametrize("encoding", [*ENCODINGS, "utf-8"])
def test_narrow_console_shows_errors(narrow, encoding):
    shown = f"funcnet: bad.json: $.loss: unknown loss '{NAME}'; there are {LOSSES}\n".encode(
        encoding, "replace"
    ).decode(encoding)
    assert narrow[1][encoding, "error"] == (1, "", shown)


@pytest.mark.parametrize("encoding", [*ENCODINGS, "utf-8"])
def test_narrow_console_shows_the_bar(narrow, encoding):
    pytest.importorskip("rich")  # the bar is an extra, and the tests run without it too
    result = narrow[1][encoding, "rich"]
    assert (result.status, result.err) == (0, "")
    assert "step 9/9 " in result.out


# ----- stopped from outside -----------------------------------------------------------------------------------


def start(folder, *more, stderr=subprocess.PIPE):
    """A training in a process of its own, to be stopped from outside."""
    (folder / "small.json").write_text(SMALL, encoding="utf-8")
    return subprocess.Popen(
        command("train", "small.json", "--out", "run", *more),
        cwd=folder,
        env=environment(PYTHONIOENCODING="utf-8"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        encoding="utf-8",
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # shells ignore it in what they put behind
    )


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process alone")
def test_interrupt_keeps_what_was_learnt(tmp_path):
    lines = []
    with start(tmp_path, "--set", "training.epochs=1000000", "--set", "training.log_every=1") as process:
        try:
            while len(lines) < 100:  # 33 epochs
                lines.append(process.stdout.readline())
            process.send_signal(signal.SIGINT)
            out, err = process.stdout.read(), process.stderr.read()  # communicate() would lose what is buffered
            process.wait(timeout=60)
        finally:
            process.kill()
    run, rest = tmp_path / "run", out.split("\n")
    step, end = read_json(run / "run.json")["step"], rest.index("")
    logged = [int(line.split(" ")[0]) for line in [*lines, *rest[:end]]]
    loaded = fn.load_run(run)
    assert (process.returncode, err) == (130, "")
    assert rest[end:] == ending(run, "run", f"step {step}: interrupted")
    assert files(run) == FILES
    assert (loaded.train_state.step, loaded.stopped) == (step, "interrupted")
    assert loaded.metrics["test"]["accuracy"] > 0.7
    assert loaded.metrics["test"]["loss"] < 0.6 < float(lines[0].split(" ")[1])
    for steps in (logged, [row["step"] for row in loaded.history]):  # the signal may fall between a step and its row
        assert steps in (list(range(1, step)), list(range(1, step + 1)))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no broken pipes of this kind")
@pytest.mark.parametrize("log_every", ["null", "1"])
def test_a_reader_that_leaves_does_not_cost_the_run(tmp_path, log_every):
    """As in ``funcnet train … | head -1``: the folder is whole, though nobody reads what is printed."""
    settings = ("--set", "training.epochs=200", "--set", f"training.log_every={log_every}")
    with open(tmp_path / "err", "w", encoding="utf-8") as err, start(tmp_path, *settings, stderr=err) as process:
        process.stdout.readline()
        process.stdout.close()
        process.wait(timeout=60)
    assert (tmp_path / "err").read_text(encoding="utf-8") == ""
    assert files(tmp_path / "run") == FILES


# ----- folders that several runs want ----------------------------------------------------------------------


def test_runs_at_once_take_folders_of_their_own(tmp_path):
    (tmp_path / "small.json").write_text(SMALL, encoding="utf-8")
    calls = {n: partial(funcnet, tmp_path, "train", "small.json", "--progress", "none") for n in range(4)}
    results = together(calls)
    assert [(result.status, result.err) for result in results.values()] == [(0, "")] * 4
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [f"small-{n}" for n in range(1, 5)]
    for n in range(1, 5):
        assert files(tmp_path / "runs" / f"small-{n}") == FILES


def test_a_run_folder_is_trained_again_from_inside_it_too(tmp_path):
    (tmp_path / "small.json").write_text(SMALL, encoding="utf-8")
    assert funcnet(tmp_path, "train", "small.json", "--out", "first", "--progress", "none").status == 0
    assert funcnet(tmp_path, "train", "first", "--progress", "none").status == 0
    assert funcnet(tmp_path / "first", "train", "spec.json", "--progress", "none").status == 0
    weights = [
        read_json(tmp_path / folder / "run.json")["weights"]
        for folder in ("first", "runs/first-1", "first/runs/first-1")
    ]
    assert len(set(weights)) == 1


def test_a_failed_run_leaves_no_number_behind(tmp_path):
    (tmp_path / "small.json").write_text(SMALL, encoding="utf-8")
    result = funcnet(tmp_path, "train", "small.json", "--set", 'metrics=["r2"]')
    assert (result.status, result.out) == (1, "")
    assert list((tmp_path / "runs").iterdir()) == []


def test_json_has_null_for_what_is_not_finite(tmp_path):
    (tmp_path / "small.json").write_text(SMALL, encoding="utf-8")
    settings = ("optimizer=sgd", "optimizer.learning_rate=1e37", "training.epochs=null", "training.steps=1")
    more = [word for setting in settings for word in ("--set", setting)]
    result = funcnet(tmp_path, "train", "small.json", "--json", *more)
    assert (result.status, result.err) == (0, "")
    facts = json.loads(result.out, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert facts["metrics"]["train"]["loss"] is None


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_run_is_shown_and_trained_again_from_its_folder(tmp_path):
    """What paths are relative to is written with the spec, before training."""
    x = np.arange(60.0).reshape(30, 2)
    np.savez(tmp_path / "mine.npz", x=x, y=np.arange(30) % 3)
    settings = ("--set", 'data={"type": "npz", "path": "mine.npz"}', "--set", "training.log_every=1")
    with start(tmp_path, *settings, "--set", "training.epochs=1000000") as process:
        process.stdout.readline()
        process.kill()
        process.stdout.read()
    left = {path.name for path in (tmp_path / "run").iterdir()} - {"distributions.jsonl"}  # begun by the first step
    assert left == {".lock", "run.json", "spec.json"}
    assert funcnet(tmp_path, "show", "run").status == 0
    again = funcnet(tmp_path, "train", "run", "--set", "training.epochs=1", "--out", "again", "--progress", "none")
    assert (again.status, again.err) == (0, "")


@pytest.mark.parametrize("progress", ["auto", "plain", "none"])
def test_standard_output_is_json_whatever_is_logged(tmp_path, progress):
    """The lines of the log and the warnings go to standard error."""
    text = SMALL.replace('{"epochs": 3}', '{"epochs": 3, "log_every": 2, "batch_size": 30}')
    (tmp_path / "iris.json").write_text(text.replace('"name": "head"}', '"name": "head"}, "softmax"'), encoding="utf-8")
    done = funcnet(tmp_path, "train", "iris.json", "--json", "--progress", progress, "--out", "run", LANG="C")
    assert done.status == 0
    assert json.loads(done.out)["step"] == 9
    lines = done.err.splitlines()
    assert lines[0].startswith("the last layer, Softmax, gives numbers from 0 to 1")
    assert [line.split()[0] for line in lines[1:]] == ["2", "4", "6", "8"]
    text = funcnet(tmp_path, "train", "iris.json", "--out", "plain", LANG="C")
    assert text.err.splitlines() == lines[:1]
    assert [line.split()[0] for line in text.out.splitlines()[:4]] == ["2", "4", "6", "8"]


def test_sigterm_before_the_first_step(tmp_path, monkeypatch, capsys):
    (tmp_path / "small.json").write_text(SMALL)
    call = ["train", str(tmp_path / "small.json"), "--out", str(tmp_path / "run"), "--progress", "none"]

    def terminated(*args):
        raise Terminated(tmp_path / "run")

    with monkeypatch.context() as early:
        early.setattr("funcnet.experiments.run.Saver", terminated)
        assert main(call) == 143
    assert capsys.readouterr().err == (
        f"funcnet: SIGTERM: no checkpoint is in {tmp_path / 'run'}; the same command with --resume starts again\n"
    )
    assert main([*call, "--resume"]) == 0
    assert fn.load_run(tmp_path / "run").train_state.step > 0


def test_a_stopped_run_says_which_params_it_has(tmp_path):
    (tmp_path / "small.json").write_text(SMALL, encoding="utf-8")
    for restore, kept in (("true", "the params with the best validation/loss"), ("false", "the trained params")):
        early = f'{{"monitor": "validation/loss", "patience": 1, "min_delta": 9.0, "restore_best": {restore}}}'
        result = called(
            tmp_path, "train", "small.json", "--progress", "none", "--set", f"training.early_stopping={early}"
        )
        assert result.out.splitlines()[1] == f"stopped at step 6: EarlyStopping; {kept} are kept"
