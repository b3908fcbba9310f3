"""Whole runs: the same bits again, the folder that stays, and what is refused before any work is done."""

import contextlib
import csv
import gc
import hashlib
import io
import json
import os
import re
import shutil
import sys
import tempfile
import xml.etree.ElementTree as ET
from importlib.metadata import version
from pathlib import Path

import attrs
import numpy as np
import pytest

import funcnet as fn
import funcnet.experiments.run as run_module
from funcnet import data, initializers, losses, metrics, optim, tree
from funcnet.data import prepare
from funcnet.experiments.experiment import InitialNpz as Initial
from funcnet.experiments.origin import stamp
from funcnet.spec.codec import to_dict

FILES = [
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
SMALL = fn.Experiment(
    seed=7,
    data=data.Iris(split=data.Split(validation=0.2, test=0.2, stratify=True), scale="standard"),
    model=fn.serial(fn.Dense(8), fn.BatchNorm(), fn.Relu(), fn.Dropout(0.1), head=fn.Dense(3)),
    loss=losses.SoftmaxCrossEntropy(),
    metrics=(metrics.Accuracy(), metrics.LogLoss()),
    optimizer=optim.chain(optim.ClipByGlobalNorm(1.0), optim.Adam(optim.Cosine(0.02))),
    training=fn.Training(epochs=3, batch_size=30, log_every=2),
)
LINE = fn.Experiment(
    data=data.Arrays(x=[[1.0, 2.0], [3.0, 5.0], [2.0, -1.0]], y=[1.0, 2.0, 3.0]),
    model=fn.Dense(1),
    loss=losses.MeanSquaredError(),
    optimizer=optim.SGD(0.01),
    training=fn.Training(epochs=2, batch_size="full"),
)


def change(experiment, **fields):
    return attrs.evolve(experiment, **fields)


def flat(run):
    """Params and state by path."""
    return tree.flatten({"params": run.train_state.params, "state": run.train_state.state})


def same(one, other):
    """Whether two flat trees agree bit for bit."""
    return one.keys() == other.keys() and all(
        one[path].dtype == other[path].dtype and one[path].tobytes() == other[path].tobytes() for path in one
    )


def without_seconds(history):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in history]


def read_json(path):
    def refuse(word):
        raise AssertionError(f"{word} in {path.name}")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def files(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def no_training(monkeypatch):
    monkeypatch.setattr(run_module, "fit", lambda *_, **__: pytest.fail("training started"))


@pytest.fixture
def no_reading(monkeypatch):
    for source in (data.Digits, data.Iris, data.Arrays, data.Npz):
        monkeypatch.setattr(source, "table", lambda *_: pytest.fail("the data was read"))


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """One run with everything in it, and its folder; tests only read."""
    folder = tmp_path_factory.mktemp("run") / "small-1"
    return fn.run(SMALL, folder), folder


# ----- the same run again -----------------------------------------------------------------------------------


def test_the_same_experiment_gives_the_same_bits(done):
    first, _ = done
    again = fn.run(SMALL)
    assert same(flat(first), flat(again))
    assert without_seconds(first.history) == without_seconds(again.history)
    assert first.metrics == again.metrics
    assert first.preprocess == again.preprocess
    assert (first.train_state.step, first.stopped) == (again.train_state.step, again.stopped) == (9, None)


def test_another_seed_gives_another_run(done):
    other = fn.run(change(SMALL, seed=8))
    assert not same(flat(done[0]), flat(other))
    assert done[0].metrics != other.metrics


def test_run_learns_and_scores_each_part():
    run = fn.run(change(SMALL, training=fn.Training(epochs=40)))
    assert list(run.metrics) == ["train", "validation", "test"]
    for scores in run.metrics.values():
        assert list(scores) == ["loss", "accuracy", "log_loss"]
        assert scores["accuracy"] > 0.85
        assert scores["loss"] == pytest.approx(scores["log_loss"], rel=1e-5)


def test_scores_are_those_of_the_final_weights_over_whole_parts(done):
    run, _ = done
    prepared = prepare(SMALL.data, fn.Key(7))
    for name, part in (("train", prepared.train), ("validation", prepared.validation), ("test", prepared.test)):
        logits = fn.predict(SMALL.model, run.train_state.params, run.train_state.state, part.x).astype(float)
        z = logits - logits.max(axis=1, keepdims=True)
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        right = p[np.arange(len(part.y)), part.y]
        assert run.metrics[name]["loss"] == pytest.approx(-np.log(right).mean(), rel=1e-5)
        assert run.metrics[name]["accuracy"] == (p.argmax(axis=1) == part.y).mean()


def test_run_is_what_its_loop_says():
    """Two full-batch steps of ``w ← w - η ∂L/∂w`` for a mean of squares."""
    run = fn.run(change(LINE, dtype="float64"))
    x, y = np.array(LINE.data.x), np.array(LINE.data.y)[:, None]
    params, _ = LINE.model.init(fn.Key(0).fold("train").fold("init"), (2,), np.float64)
    w, b, expected = params["weight"], params["bias"], []
    for _ in range(2):
        error = x @ w + b - y
        expected.append((error**2).mean())
        w, b = w - 0.01 * 2 / 3 * x.T @ error, b - 0.01 * 2 / 3 * error.sum(axis=0)
    assert run.train_state.params["weight"] == pytest.approx(w, rel=1e-12)
    assert run.train_state.params["bias"] == pytest.approx(b, rel=1e-12)
    assert [row["loss"] for row in run.history] == pytest.approx(expected, rel=1e-12)
    assert run.metrics == {"train": {"loss": pytest.approx(((x @ w + b - y) ** 2).mean(), rel=1e-12)}}


# ----- the folder -----------------------------------------------------------------------------------------


def test_folder_has_exactly_these_files(done):
    assert files(done[1]) == FILES


def test_spec_json_has_every_default_filled_in(done):
    document = read_json(done[1] / "spec.json")
    assert fn.load_spec(done[1] / "spec.json") == SMALL
    assert document == {**to_dict(SMALL, fill=True), "funcnet": fn.__version__}
    assert list(document)[:2] == ["version", "funcnet"]
    assert list(document)[2:] == ["seed", "dtype", "data", "model", "loss", "metrics", "optimizer", "training"]
    assert document["data"] == {
        "type": "iris",
        "split": {
            "validation": 0.2,
            "test": 0.2,
            "stratify": True,
            "group": None,
            "time": False,
            "given": {},
            "bootstrap": None,
        },
        "impute": None,
        "flatten": False,
        "divide": None,
        "scale": "standard",
        "target_scale": None,
        "block": None,
    }
    assert document["model"]["layers"][0] == {
        "type": "dense",
        "name": "dense_0",
        "units": 8,
        "use_bias": True,
        "weight_init": {"type": "glorot_uniform"},
        "bias_init": {"type": "zeros"},
    }
    assert document["optimizer"]["steps"][1]["learning_rate"] == {
        "type": "cosine",
        "peak": 0.02,
        "total_steps": None,
        "end": 0.0,
    }
    assert document["training"] == {
        "epochs": 3,
        "steps": None,
        "batch_size": 30,
        "remainder": "keep",
        "shards": 1,
        "class_weight": None,
        "calibrate": False,
        "augment": [],
        "early_stopping": None,
        "checkpoint": None,
        "callbacks": [],
        "log_every": 2,
        "initial": None,
        "threads": None,
    }


def sha(arrays):
    total = hashlib.sha256()
    for path in sorted(arrays):
        array = arrays[path]
        total.update(f"{path} {array.dtype.str} {array.shape}\n".encode() + array.tobytes())
    return total.hexdigest()


def test_run_json_says_where_with_what_and_which(done):
    run, folder = done
    facts = read_json(folder / "run.json")
    assert list(facts) == [
        "base",
        "stamp",
        "step",
        "stopped",
        "key",
        "found",
        "data",
        "weights",
        "versions",
        "platform",
        "threads",
        "blas",
        "files",
    ]
    assert facts["base"] == str(Path.cwd())
    assert facts["stamp"] == stamp(folder, facts["base"])
    assert (facts["step"], facts["stopped"]) == (9, None)
    assert facts["key"] == fn.Key(7).fold("train").digest.hex()
    assert facts["found"] == {
        "rows": {"train": 90, "validation": 30, "test": 30},
        "input": [4],
        "classes": {"setosa": 50, "versicolor": 50, "virginica": 50},
    }
    parts = prepare(SMALL.data, fn.Key(7)).parts_by_name()
    arrays = {f"{name}/{field}": getattr(part, field) for name, part in parts.items() for field in ("x", "y")}
    assert facts["data"] == sha(arrays)
    assert facts["weights"] == sha(flat(run))
    for name in ("spec.json", "preprocess.json", "metrics.json"):
        assert facts["files"].pop(name) == hashlib.sha256((folder / name).read_bytes()).hexdigest()
    lines = (folder / "history.csv").read_text(encoding="utf-8").splitlines()
    figures = "\n".join([lines[0], *(line.rpartition(",")[0] for line in lines[1:])])  # without the clock
    assert facts["files"].pop("history.csv") == hashlib.sha256(figures.encode()).hexdigest()
    kept = {name: value for name, value in facts.items() if name not in ("base", "stamp", "files")}
    assert facts["files"] == {"run.json": hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()}
    assert facts["versions"] == {
        "funcnet": fn.__version__,
        "numpy": np.__version__,
        "attrs": version("attrs"),
        "python": ".".join(map(str, sys.version_info[:3])),
    }
    assert facts["threads"]["cores"] == os.cpu_count()
    assert facts["blas"]["name"]


def test_weights_npz_has_a_member_for_each_leaf_and_the_spec(done):
    run, folder = done
    with np.load(folder / "weights.npz", allow_pickle=False) as archive:
        members = {name: archive[name] for name in archive.files}
    assert sorted(members) == [
        "params/batch_norm_0/bias",
        "params/batch_norm_0/scale",
        "params/dense_0/bias",
        "params/dense_0/weight",
        "params/head/bias",
        "params/head/weight",
        "spec",
        "state/batch_norm_0/running_mean",
        "state/batch_norm_0/running_var",
    ]
    assert fn.from_json(str(members.pop("spec"))) == SMALL.model
    assert same(members, flat(run))


def test_preprocess_json_has_what_the_training_part_gave(done):
    preprocess = read_json(done[1] / "preprocess.json")
    raw = data.Iris().table(Path(), fn.Key(0)).x
    train = raw[prepare(SMALL.data, fn.Key(7)).parts.train]
    assert list(preprocess) == ["inputs", "classes", "shape", "range"]
    assert preprocess["shape"] == [4]
    assert preprocess["range"] == {"low": train.min(axis=0).tolist(), "high": train.max(axis=0).tolist()}
    assert preprocess["classes"] == ["setosa", "versicolor", "virginica"]
    assert preprocess["inputs"]["scale"] == "standard"
    assert preprocess["inputs"]["mean"] == pytest.approx(train.mean(axis=0).tolist(), rel=1e-12)
    assert preprocess["inputs"]["deviation"] == pytest.approx(train.std(axis=0).tolist(), rel=1e-12)


def test_history_csv_has_the_contracts_columns(done):
    run, folder = done
    text = (folder / "history.csv").read_text(encoding="utf-8")
    assert text.split("\n")[0] == (
        "step,epoch,loss,validation/loss,accuracy,validation/accuracy,log_loss,validation/log_loss,"
        "learning_rate,seconds"
    )
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["step"], row["epoch"]) for row in rows] == [
        ("2", "0.6666666666666666"),
        ("3", "1"),
        ("4", "1.3333333333333333"),
        ("6", "2"),
        ("8", "2.6666666666666665"),
        ("9", "3"),
    ]
    for row, kept in zip(rows, run.history, strict=True):
        assert {name: float(value) for name, value in row.items() if value} == kept
        assert bool(row["accuracy"]) == (row["epoch"] in "123")
    schedule = attrs.evolve(SMALL.optimizer.steps[1][1].learning_rate, total_steps=9)
    assert [float(row["learning_rate"]) for row in rows] == [schedule(int(row["step"]) - 1) for row in rows]
    seconds = [float(row["seconds"]) for row in rows]
    assert seconds == sorted(seconds)


def test_history_without_validation_and_metrics(tmp_path):
    fn.run(LINE, tmp_path / "out")
    lines = (tmp_path / "out" / "history.csv").read_text(encoding="utf-8").split("\n")
    assert lines[0] == "step,epoch,loss,learning_rate,seconds"
    assert [line.split(",")[:2] for line in lines[1:3]] == [["1", "1"], ["2", "2"]]
    assert lines[3:] == [""]


def test_metrics_json_has_the_scores_by_part(done):
    run, folder = done
    scores = read_json(folder / "metrics.json")
    assert scores == run.metrics
    assert [(part, list(of)) for part, of in scores.items()] == [
        (part, ["loss", "accuracy", "log_loss"]) for part in ("train", "validation", "test")
    ]


def test_curves_svg_is_a_picture(done):
    root = ET.fromstring((done[1] / "curves.svg").read_text(encoding="utf-8"))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.find("{http://www.w3.org/2000/svg}title").text == "small-1"
    titles = [group.find("{http://www.w3.org/2000/svg}title").text for group in root.iter() if group.tag.endswith("}g")]
    assert titles == ["loss", "accuracy", "log_loss", "learning rate"]


def test_files_are_readable_by_others(done):
    """As any new file: the temporary ones that they were begin as their owner's alone."""
    if os.name != "posix":
        pytest.skip("permissions of this kind are POSIX's")
    umask = os.umask(0)
    os.umask(umask)
    assert {path.stat().st_mode & 0o777 for path in done[1].iterdir()} == {0o666 & ~umask}


# ----- a run from its folder ---------------------------------------------------------------------------------


def test_load_run_gives_the_run_back(done):
    run, folder = done
    for place in (folder, str(folder)):
        loaded = fn.load_run(place)
        assert same(flat(loaded), flat(run))
        assert loaded.train_state.step == 9
        assert loaded.train_state.key == run.train_state.key
        assert loaded.train_state.opt_state == {}
        assert loaded.history == run.history
        assert loaded.metrics == run.metrics
        assert loaded.experiment == run.experiment == SMALL
        assert loaded.preprocess == run.preprocess
        assert loaded.stopped is None


def test_loaded_weights_score_the_same(done):
    run, folder = done
    loaded = fn.load_run(folder)
    test = prepare(loaded.experiment.data, fn.Key(7)).test
    scores = fn.evaluate(
        loaded.experiment.model,
        loaded.experiment.loss,
        loaded.train_state.params,
        loaded.train_state.state,
        test,
        loaded.experiment.metrics,
    )
    assert scores == run.metrics["test"]


def test_load_run_of_no_run(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "weights.npz").write_bytes(b"")
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "spec.json").write_text("{}")
    for name, what in (
        ("nowhere", "there is no such run folder"),
        ("empty", "is not a run folder"),
        ("foreign", "is not a run folder"),
        ("half", "holds an unfinished run"),
    ):
        with pytest.raises(fn.CheckpointError) as error:
            fn.load_run(tmp_path / name)
        expected = "" if name == "nowhere" else "; expected the file metrics.json"
        assert str(error.value) == f"{tmp_path / name}: {what}{expected}"


@pytest.fixture
def copy(done, tmp_path):
    """A copy of the run that a test may damage."""
    return Path(shutil.copytree(done[1], tmp_path / "copy"))


WRONG = {  # file to contents that it cannot have
    "spec.json": [None, b"", b"{", b"[]", b"\xff", b'{"version": 1, "model": "relu"}', b'{"version": 2}'],
    "run.json": [None, b"", b"{", b"[]", b"null", b"\xff", b"{}", b"[" * 100_000],
    "weights.npz": [None, b"", b"text"],
    "preprocess.json": [None, b"", b"{", b"\xff", b"[" * 100_000],
    "history.csv": [None, b"\xff", b"step,loss\n1,a\n", b"step\n1,2,3\n", b"step\n" + b"1" * 200_000],
    "metrics.json": [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000],
}


@pytest.mark.parametrize(
    ("name", "content"),
    [(name, content) for name, contents in WRONG.items() for content in contents],
    ids=lambda value: value if isinstance(value, str) else repr(value)[:20],
)
def test_a_damaged_run_says_which_file(copy, name, content):
    (copy / name).unlink()
    if content is not None:
        (copy / name).write_bytes(content)
    with pytest.raises(fn.CheckpointError) as error:
        fn.load_run(copy)
    assert str(copy) in str(error.value)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_altered_weights_are_noticed(copy):
    with np.load(copy / "weights.npz") as archive:
        members = {name: archive[name] for name in archive.files}
    members["params/head/bias"] = members["params/head/bias"] + np.float32(1e-3)
    np.savez(copy / "weights.npz", **members)
    fn.load(copy / "weights.npz")  # a whole file, of other numbers
    with pytest.raises(fn.CheckpointError) as error:
        fn.load_run(copy)
    assert str(error.value) == f"{copy}: weights.npz has changed since the run wrote it"


def test_weights_of_another_run_are_noticed(copy, tmp_path):
    fn.run(change(SMALL, seed=8), tmp_path / "other")
    shutil.copy(tmp_path / "other" / "weights.npz", copy)
    with pytest.raises(fn.CheckpointError) as error:
        fn.load_run(copy)
    assert str(error.value) == f"{copy}: weights.npz has changed since the run wrote it"


# ----- save and load -----------------------------------------------------------------------------------------

NETS = {
    "one layer": (fn.Dense(3), (4,)),
    "without leaves": (fn.serial(fn.Relu()), (4,)),
    "nested": (
        fn.serial(
            fn.Dense(4),
            fn.Residual(fn.serial(fn.Dense(4), fn.BatchNorm(), fn.Tanh())),
            fork=fn.branch(left=fn.Dense(2), right=fn.BatchNorm()),
            join=fn.Concat(),
        ),
        (4,),
    ),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NETS)
def test_save_and_load_round_trip(tmp_path, name, dtype):
    net, in_shape = NETS[name]
    params, state = net.init(fn.Key(1), in_shape, dtype)
    for path in (tmp_path / "net.npz", str(tmp_path / "without suffix")):
        fn.save(path, net, params, state)
        loaded_net, loaded_params, loaded_state = fn.load(path)
        assert loaded_net == net
        assert same(tree.flatten(loaded_params), tree.flatten(params))
        assert same(tree.flatten(loaded_state), tree.flatten(state))
    assert files(tmp_path) == ["net.npz", "without suffix"]


def test_save_replaces_a_file_whole_or_not_at_all(tmp_path, monkeypatch):
    net, in_shape = NETS["one layer"]
    params, state = net.init(fn.Key(1), in_shape)
    fn.save(tmp_path / "net.npz", net, params, state)
    before = (tmp_path / "net.npz").read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(fn.CheckpointError) as error:
        fn.save(tmp_path / "net.npz", net, tree.zeros_like(params), state)
    assert str(error.value) == (
        f"{tmp_path / 'net.npz'}: cannot be written (No space left on device); "
        "choose a writable folder, or free some space"
    )
    assert files(tmp_path) == ["net.npz"]
    assert (tmp_path / "net.npz").read_bytes() == before


def test_save_into_no_folder(tmp_path):
    with pytest.raises(fn.CheckpointError) as error:
        fn.save(tmp_path / "a" / "net.npz", fn.Relu(), {}, {})
    assert str(error.value) == (
        f"{tmp_path / 'a' / 'net.npz'}: cannot be written (No such file or directory); "
        "choose a writable folder, or free some space"
    )


def bare():
    return fn.layer(
        lambda key, in_shape, dtype: ({}, {}),
        lambda params, state, x, ctx: (2.0 * x, state, None),
        lambda params, residuals, dy: ({}, 2.0 * dy),
        lambda in_shape: in_shape,
    )


def test_save_of_bare_functions_is_refused(tmp_path):
    with pytest.raises(fn.SpecError) as error:
        fn.save(tmp_path / "net.npz", bare(), {}, {})
    assert str(error.value) == (
        "FunctionLayer: is made of bare functions, which JSON cannot hold; write a class with @fn.register('your.tag')"
    )
    assert files(tmp_path) == []


@pytest.fixture
def saved(tmp_path):
    """A file, and its content."""
    net, in_shape = NETS["nested"]
    fn.save(tmp_path / "net.npz", net, *net.init(fn.Key(1), in_shape))
    return tmp_path / "net.npz", (tmp_path / "net.npz").read_bytes()


def refused(path, collect=True):
    """The message of a file that does not load."""
    with pytest.raises(fn.CheckpointError) as error:
        fn.load(path)
    if collect:
        gc.collect()  # an archive left open would be told of here
    return str(error.value)


def test_load_of_what_is_no_file_of_ours(tmp_path):
    path = tmp_path / "net.npz"
    assert refused(path) == f"{path}: there is no such file"
    for content in (b"", b"text", b"\x93NUMPY", b"PK\x03\x04"):
        path.write_bytes(content)
        assert refused(path).startswith(f"{path}: not a whole .npz archive of numbers (")
    np.save(tmp_path / "single.npy", np.zeros(3))
    assert (
        refused(tmp_path / "single.npy") == f"{tmp_path / 'single.npy'}: expected an .npz archive, got a single array"
    )


def test_load_without_a_spec(tmp_path):
    path = tmp_path / "net.npz"
    expected = f"{path}: expected a member 'spec' with the network's JSON; was it written by fn.save?"
    for members in ({}, {"params/weight": np.zeros(3)}, {"spec": np.zeros(3)}, {"spec": np.array(["a", "b"])}):
        np.savez(path, **members)
        assert refused(path) == expected


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ('{"version": 1, "loss": "huber"}', "expected the spec of a network, got one of loss"),
        ('{"version": 2, "model": "relu"}', "its spec cannot be read: $.version: expected up to 1, which this "),
        ('{"version": 1, "model": "rellu"}', "its spec cannot be read: $.model: unknown layer 'rellu', did you mean"),
        ("{", "its spec cannot be read: $: not JSON: Expecting property name enclosed in double quotes at line 1"),
    ],
    ids=["loss", "newer", "unknown", "no-json"],
)
def test_load_with_a_spec_that_is_no_network(tmp_path, spec, expected):
    np.savez(tmp_path / "net.npz", spec=np.array(spec))
    assert refused(tmp_path / "net.npz").startswith(f"{tmp_path / 'net.npz'}: {expected}")


def test_load_of_paths_that_contradict_each_other(tmp_path):
    np.savez(tmp_path / "net.npz", **{"spec": np.array(fn.to_json(fn.Relu())), "params/a": 1.0, "params/a/b": 2.0})
    assert refused(tmp_path / "net.npz").startswith(f"{tmp_path / 'net.npz'}: ")


def test_load_of_every_truncation_is_refused(saved):
    path, content = saved
    for size in range(0, len(content), max(1, len(content) // 60)):
        path.write_bytes(content[:size])
        assert refused(path, collect=False).startswith(f"{path}: ")
    gc.collect()


def test_load_never_gives_altered_numbers(saved):
    path, content = saved
    with np.load(path) as archive:
        members = {name: archive[name] for name in archive.files}
    for at in range(0, len(content), max(1, len(content) // 400)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :])
        with contextlib.suppress(fn.CheckpointError):
            net, params, state = fn.load(path)
            found = tree.flatten({"params": params, "state": state})
            assert net == NETS["nested"][0]
            assert all(np.array_equal(array, members[name]) for name, array in found.items())
    gc.collect()


# ----- given starting values -----------------------------------------------------------------------------------


def initial(folder, **members):
    np.savez(folder / "start.npz", **{name.replace("__", "/"): value for name, value in members.items()})
    return folder / "start.npz"


FROM_FILE = change(LINE, training=fn.Training(steps=1, batch_size="full", initial=Initial("start.npz")))


def test_training_starts_from_given_values(tmp_path):
    initial(tmp_path, params__weight=np.array([[0.5], [-0.25]]), params__bias=np.array([1.0]), other=np.zeros(9))
    run = fn.run(change(FROM_FILE, optimizer=optim.SGD(0.0)), base=tmp_path)
    assert run.train_state.params["weight"].tolist() == [[0.5], [-0.25]]
    assert run.train_state.params["bias"].tolist() == [1.0]
    assert run.train_state.params["weight"].dtype == np.float32
    errors = np.array([1.0 - 1.0, 1.25 - 2.0, 2.25 - 3.0])
    assert run.history[0]["loss"] == pytest.approx((errors**2).mean(), rel=1e-6)


def test_training_goes_on_from_the_weights_of_a_run(tmp_path):
    first = fn.run(SMALL, tmp_path / "first")
    again = change(SMALL, optimizer=optim.SGD(0.0), training=fn.Training(steps=1, initial=Initial("first/weights.npz")))
    run = fn.run(again, base=tmp_path)
    assert same(tree.flatten(run.train_state.params), tree.flatten(first.train_state.params))
    moved = run.train_state.state["batch_norm_0"]["running_mean"]
    kept = first.train_state.state["batch_norm_0"]["running_mean"]
    assert np.abs(moved - kept).max() > 0.0  # the state went on too, from where it was
    x = prepare(SMALL.data, fn.Key(7)).train.x
    dense = first.train_state.params["dense_0"]
    order = fn.Key(7).fold("train").fold("epoch", 0).permutation(90)[:32]
    batch = (x[order] @ dense["weight"] + dense["bias"]).mean(axis=0)
    assert moved == pytest.approx(0.9 * kept + 0.1 * batch, abs=1e-5)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        (
            {"params__weight": np.zeros((3, 1)), "params__bias": np.zeros(1)},
            "  weight: expected param of shape (2, 1), got (3, 1)\n",
        ),
        (
            {"params__weight": np.zeros((2, 1)), "params__other__bias": np.zeros(4)},
            "  bias: expected param of shape (1,), got none\n  other/bias: expected no such param, got shape (4,)\n",
        ),
        (
            {"weight": np.zeros((2, 1))},
            "  weight: expected param of shape (2, 1), got none\n  bias: expected param of shape (1,), got none\n",
        ),
    ],
    ids=["shape", "names", "no-params"],
)
def test_starting_values_that_do_not_fit(tmp_path, no_training, members, expected):
    initial(tmp_path, **members)
    with pytest.raises(fn.ShapeError) as error:
        fn.run(FROM_FILE, tmp_path / "out", base=tmp_path)
    assert str(error.value) == (
        "the starting values do not fit the network for inputs of shape (2,):\n"
        f"{expected}"
        "give the params and state of this network"
    )
    assert not (tmp_path / "out").exists()


def test_starting_values_that_are_no_numbers(tmp_path, no_training):
    initial(tmp_path, params__weight=np.array([["a"], ["b"]]), params__bias=np.zeros(1))
    with pytest.raises(fn.FuncnetError):
        fn.run(FROM_FILE, base=tmp_path)


def test_starting_values_from_no_file(tmp_path, no_training):
    with pytest.raises(fn.CheckpointError) as error:
        fn.run(FROM_FILE, tmp_path / "out", base=tmp_path)
    assert str(error.value) == f"{tmp_path / 'start.npz'}: there is no such file"
    (tmp_path / "start.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(fn.CheckpointError) as error:
        fn.run(FROM_FILE, tmp_path / "out", base=tmp_path)
    assert str(error.value).startswith(f"{tmp_path / 'start.npz'}: not a whole .npz archive of numbers (")
    assert not (tmp_path / "out").exists()


# ----- not finite --------------------------------------------------------------------------------------------

ADVICE = "Lower the learning rate, clip gradients (ClipByGlobalNorm), or look at the data"


def test_a_loss_that_overflows_keeps_the_last_good_state(tmp_path):
    folder = tmp_path / "out"
    with pytest.raises(fn.NonFiniteError) as error:
        fn.run(change(LINE, optimizer=optim.SGD(1e25)), folder)
    assert str(error.value) == (
        "step 1: a loss or gradient is not finite; it arose first in the loss itself (MeanSquaredError). "
        f"{ADVICE}. The last good state is in {folder}"
    )
    assert files(folder) == FILES
    run = fn.load_run(folder)
    assert (run.train_state.step, run.stopped) == (1, "not finite")
    assert same(tree.flatten(run.train_state.params), tree.flatten(error.value.fit.train_state.params))
    assert all(np.isfinite(leaf).all() for leaf in tree.leaves(run.train_state.params))
    assert [row["step"] for row in run.history] == [1]
    assert read_json(folder / "metrics.json") == {"train": {"loss": None}}


def test_an_update_that_overflows_keeps_the_state_before_it(tmp_path):
    """Also in the last step of all, after which no loss would tell."""
    folder = tmp_path / "out"
    with pytest.raises(fn.NonFiniteError) as error:
        fn.run(change(LINE, optimizer=optim.SGD(1e39), training=fn.Training(steps=1)), folder)
    assert str(error.value).startswith("step 0: ")
    assert str(error.value).endswith(f"{ADVICE}. The last good state is in {folder}")
    run = fn.load_run(folder)
    start, _ = LINE.model.init(fn.Key(0).fold("train").fold("init"), (2,))
    assert same(tree.flatten(run.train_state.params), tree.flatten(start))
    assert (run.train_state.step, run.history) == (0, [])
    assert (folder / "history.csv").read_text(encoding="utf-8") == "step,epoch,loss,learning_rate,seconds\n"


def test_starting_values_that_are_not_finite(tmp_path):
    initial(tmp_path, params__weight=np.array([[np.nan], [0.0]]), params__bias=np.zeros(1))
    with pytest.raises(fn.NonFiniteError) as error:
        fn.run(FROM_FILE, base=tmp_path)
    assert str(error.value) == (f"step 0: a loss or gradient is not finite; it arose first in params weight. {ADVICE}")


# ----- before any data is read ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (
            fn.serial(fn.Dense(8), fn.Reshape((3,)), fn.Dense(3)),
            "reshape_0 (Reshape): expected an input of 3 entries for shape (3,), got shape (8,) of 8; "
            "change one of them",
        ),
        (
            fn.serial(body=fn.Residual(fn.serial(fn.Dense(4), fn.Dense(3)))),
            "body (Residual): expected the layer to give the shortcut's shape (4,), got (3,); "
            "change the layer, or give a projection=Dense(…) to that shape",
        ),
        (
            fn.serial(fn.Dense(8), fn.Concat()),
            "concat_0 (Concat): expected a tuple of inputs, got one of shape (8,); "
            "put a Branch before it, or pass a tuple",
        ),
        (
            fn.Dense(2**40),
            "the network: needs 5497558138880 parameters; the limit is 2147483648: make some size in the spec smaller",
        ),
        (
            fn.serial(body=fn.serial(fn.Dense(2**20), fn.Dense(2**20))),
            "the network: needs 1099517919232 parameters; the limit is 2147483648: make some size in the spec smaller",
        ),
    ],
    ids=["reshape", "residual", "concat", "parameters", "parameters-together"],
)
def test_layers_that_do_not_fit_are_reported_before_data_is_read(tmp_path, no_reading, model, expected):
    with pytest.raises(fn.ShapeError) as error:
        fn.run(change(SMALL, model=model), tmp_path / "out")
    assert str(error.value) == expected
    assert files(tmp_path) == []


def test_layers_that_do_not_fit_a_file_are_reported_from_its_header(tmp_path, no_reading):
    np.savez(tmp_path / "set.npz", x=np.zeros((5, 4)), y=np.zeros(5, int))
    with pytest.raises(fn.ShapeError) as error:
        fn.run(change(SMALL, data=data.Npz(path="set.npz"), model=fn.Reshape((3,))), base=tmp_path)
    assert str(error.value) == (
        "Reshape: expected an input of 3 entries for shape (3,), got shape (4,) of 4; change one of them"
    )


def test_one_feature_without_its_axis(tmp_path, no_reading):
    np.savez(tmp_path / "set.npz", x=np.zeros(5), y=np.zeros(5, int))
    with pytest.raises(fn.ShapeError) as error:
        fn.run(change(SMALL, data=data.Npz(path="set.npz"), model=fn.Dense(3)), base=tmp_path)
    assert str(error.value) == (
        "Dense: expected an input with at least 1 axis after the batch axis, got shape (); "
        "give each sample an axis of features, also for a single one"
    )


@pytest.mark.parametrize(
    ("fields", "kind", "expected"),
    [
        (
            {"loss": losses.MeanSquaredError()},
            fn.ShapeError,
            r"MeanSquaredError: expected a target of the prediction's shape \(90, 3\), got \(90,\); "
            r"give the last layer one unit for one value, or for labels of classes use SoftmaxCrossEntropy "
            r"\(in the training part\)",
        ),
        (
            {"model": fn.Dense(2)},
            fn.ShapeError,
            r"SoftmaxCrossEntropy: expected 3 units, one for each class, got 2; the data has 3 classes, "
            r"'setosa', 'versicolor', 'virginica': change the units of the last layer",
        ),
        (
            {"metrics": (metrics.R2(),)},
            fn.ShapeError,
            r"R2: expected a target of the prediction's shape \(90, 3\), got \(90,\); "
            r"reshape one of them, or change the last layer's units \(in the training part\)",
        ),
        (
            {"data": data.Iris(split=data.Split(test=0.001))},
            fn.DataError,
            r"split.test: gets no rows out of 150; use more data or other fractions",
        ),
    ],
    ids=["loss", "labels", "metric", "split"],
)
def test_targets_that_do_not_fit_are_reported_before_training(tmp_path, no_training, fields, kind, expected):
    with pytest.raises(kind) as error:
        fn.run(change(SMALL, **fields), tmp_path / "out")
    assert re.fullmatch(expected, str(error.value))
    assert files(tmp_path) == []


def test_a_model_of_several_outputs_has_no_loss_here(tmp_path, no_training):
    with pytest.raises(fn.ShapeError) as error:
        fn.run(change(SMALL, model=fn.branch(fn.Dense(3), fn.Relu())), tmp_path / "out")
    assert "((3,), (4,))" in str(error.value)
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"training": fn.Training(epochs=1, batch_size=1)},
            "batch_norm_0 (BatchNorm): expected at least 2 values per feature in a training batch, got 1; "
            "use a larger batch, or a batch size that leaves no remainder of one",
        ),
        (
            {"training": fn.Training(epochs=1, batch_size=89)},
            "batch_norm_0 (BatchNorm): expected at least 2 values per feature in a training batch, got 1; "
            "use a larger batch, or a batch size that leaves no remainder of one "
            "(the last batch of an epoch has 1 of 89 rows; remainder='drop' leaves it out)",
        ),
        (
            {"optimizer": optim.SGD(optim.WarmupCosine(0.1, warmup_steps=500))},
            "WarmupCosine.total_steps: must exceed warmup_steps, 500, got 9",
        ),
    ],
    ids=["batch-of-one", "remainder-of-one", "warmup"],
)
def test_mistakes_that_only_training_finds_leave_no_half_run(tmp_path, fields, expected):
    """So that the command, corrected, runs again with the same folder."""
    with pytest.raises(fn.FuncnetError) as error:
        fn.run(change(SMALL, **fields), tmp_path / "out")
    assert str(error.value) == expected
    assert files(tmp_path) == []


# ----- the output folder -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("spec.json", "metrics.json", "holds a finished run already; choose another --out, or delete it first"),
        ("spec.json", None, "holds an unfinished run; continue with --resume, or choose another --out"),
        ("notes.txt", None, "is not empty; choose a new folder for --out"),
    ],
    ids=["finished", "half", "other"],
)
def test_a_folder_that_is_taken(tmp_path, no_reading, no_training, name, content, expected):
    out = tmp_path / "out"
    out.mkdir()
    for file in filter(None, (name, content)):
        (out / file).write_text("{}")
    before = files(out)
    with pytest.raises(fn.CheckpointError) as error:
        fn.run(SMALL, out)
    assert str(error.value) == f"{out}: {expected}"
    assert files(out) == before


def test_a_finished_run_is_never_touched(done):
    before = {path.name: path.read_bytes() for path in done[1].iterdir()}
    with pytest.raises(fn.CheckpointError):
        fn.run(change(SMALL, seed=9), done[1])
    assert {path.name: path.read_bytes() for path in done[1].iterdir()} == before


def test_a_file_where_the_folder_should_be(tmp_path, no_reading, no_training):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(fn.CheckpointError) as error:
        fn.run(SMALL, tmp_path / "out")
    assert str(error.value) == f"{tmp_path / 'out'}: expected a folder, got a file; choose another --out"
    assert (tmp_path / "out").read_text() == "mine"


def test_a_folder_below_a_file(tmp_path, no_training):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(fn.CheckpointError) as error:
        fn.run(SMALL, tmp_path / "file" / "out")
    assert str(error.value) == (
        f"{tmp_path / 'file' / 'out'}: cannot be created (Not a directory); choose another --out"
    )


def test_a_folder_whose_name_is_too_long(tmp_path, no_training):
    out = tmp_path / ("a" * 300)
    with pytest.raises(fn.CheckpointError) as error:
        fn.run(SMALL, out)
    assert str(error.value) == f"{out}: cannot be created (File name too long); choose another --out"


def test_a_folder_that_somebody_takes_meanwhile(tmp_path, no_training, monkeypatch):
    """Two runs started at once find the same free number; one of them must give way."""
    out, read = tmp_path / "out", data.Iris.table

    def table(self, base, key):
        out.mkdir()
        (out / "spec.json").write_text("{}")
        return read(self, base, key)

    monkeypatch.setattr(data.Iris, "table", table)
    with pytest.raises(fn.CheckpointError):
        fn.run(SMALL, out)
    assert (out / "spec.json").read_text() == "{}"


@pytest.fixture
def closed():
    """A folder for somebody without special rights, with one inside that only others may look into."""
    if os.name != "posix":
        pytest.skip("permissions of this kind are POSIX's")
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    for name, mode in (("unwritable", 0o555), ("unreadable", 0o000), ("unlisted", 0o333)):
        (folder / name).mkdir()
        (folder / name).chmod(mode)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)  # nobody
    try:
        yield folder
    finally:
        if root:
            os.seteuid(0)
        for path in folder.iterdir():
            path.chmod(0o755)
        shutil.rmtree(folder)


@pytest.mark.parametrize("name", ["unwritable", "unwritable/out", "unreadable", "unreadable/out", "unlisted"])
def test_a_folder_without_permission(closed, no_training, name):
    drawn = attrs.evolve(
        SMALL, data=data.Moons(rows=60), model=fn.Dense(2)
    )  # nobody may not be let into the package's folder either
    with pytest.raises(fn.CheckpointError) as error:
        fn.run(drawn, closed / name)
    assert str(error.value).startswith(str(closed / name))
    assert "Permission denied" in str(error.value)


@pytest.mark.parametrize("read", [fn.load_run, fn.load])
def test_reading_without_permission(closed, read):
    with pytest.raises(fn.CheckpointError) as error:
        read(closed / "unreadable" / "run")
    assert str(error.value).startswith(str(closed / "unreadable" / "run"))


def test_a_model_that_no_file_can_hold_is_refused_before_training(tmp_path, no_training):
    with pytest.raises(fn.SpecError) as error:
        fn.run(change(SMALL, model=fn.serial(bare(), fn.Dense(3))), tmp_path / "out")
    assert str(error.value) == (
        "FunctionLayer: is made of bare functions, which JSON cannot hold; write a class with @fn.register('your.tag')"
    )
    assert files(tmp_path) == []


def test_a_model_that_no_file_can_hold_runs_without_a_folder():
    plain = change(LINE, model=fn.serial(d=fn.Dense(1, weight_init=initializers.Ones())))
    doubled = change(plain, model=fn.serial(bare(), d=fn.Dense(1, weight_init=initializers.Constant(0.5))))
    assert fn.run(doubled).history[0]["loss"] == pytest.approx(fn.run(plain).history[0]["loss"], rel=1e-6)


# ----- in between --------------------------------------------------------------------------------------------


def test_callbacks_watch_and_stop(tmp_path):
    class Stop:
        def init(self):
            return []

        def update(self, seen, event):
            seen = [*seen, (event.step, event.total_steps, event.row is not None)]
            self.seen = seen
            return seen, event.step == 4

    stop = Stop()
    run = fn.run(SMALL, tmp_path / "out", callbacks=[stop])
    assert stop.seen == [(1, 9, False), (2, 9, True), (3, 9, True), (4, 9, True)]
    assert (run.train_state.step, run.stopped) == (4, "Stop")
    assert fn.load_run(tmp_path / "out").stopped == "Stop"
    assert files(tmp_path / "out") == FILES


def test_interrupt_keeps_what_was_learnt(tmp_path):
    class Interrupt:
        def init(self):
            return None

        def update(self, state, event):
            if event.step == 5:
                raise KeyboardInterrupt
            return None, False

    run = fn.run(SMALL, tmp_path / "out", callbacks=[Interrupt()])
    assert (run.train_state.step, run.stopped) == (5, "interrupted")
    assert [row["step"] for row in run.history] == [2, 3, 4]
    loaded = fn.load_run(tmp_path / "out")
    assert same(flat(loaded), flat(run))
    assert loaded.stopped == "interrupted"


# ----- answers for raw inputs ----------------------------------------------------------------------------


def test_predict_scales_as_training_did_and_gives_probabilities(done):
    run, folder = done
    source = data.Iris()
    x, y = source.table(Path(), fn.Key(0))[:2]
    for from_where in (run, fn.load_run(folder)):
        probabilities = from_where.predict(x)
        assert probabilities.shape == (150, 3)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-6)
        parts = prepare(SMALL.data, fn.Key(7)).parts
        right = probabilities.argmax(axis=1) == y
        assert right[parts.test].mean() == run.metrics["test"]["accuracy"]
    raw = fn.predict(run.experiment.model, run.train_state.params, run.train_state.state, x)
    assert not np.allclose(
        run.experiment.loss.link(raw), probabilities, atol=0.1
    )  # what forgetting to scale would give
    with pytest.raises(fn.DataError) as caught:
        run.predict(x[:, :3])
    assert str(caught.value) == "predict: expected inputs of shape (4,) in each row, got (3,)"
    with pytest.raises(fn.DataError) as caught:
        run.predict(x[0])
    assert str(caught.value) == (
        "predict: expected a batch of samples, got one sample of shape (4,); give it a batch axis: x[None]"
    )
    with pytest.raises(fn.DataError) as caught:
        run.predict([[5.0, 3.0, 1.0, np.nan]])
    assert str(caught.value) == "predict: expected finite inputs, got nan in row 0, column 3; remove or fill it"


# ----- nothing is lost -----------------------------------------------------------------------------------


def test_a_metric_that_fails_late_does_not_cost_the_run(tmp_path):
    """A line through 0 and 1 leaves the range of probabilities as it learns, and log-loss with it."""
    experiment = attrs.evolve(
        SMALL,
        data=data.Moons(rows=200, split=data.Split(test=0.2)),
        model=fn.serial(fn.Dense(1, weight_init=initializers.Zeros(), bias_init=initializers.Constant(0.5))),
        loss=losses.MeanSquaredError(),
        metrics=(metrics.LogLoss(),),
        optimizer=optim.SGD(0.05),
        training=fn.Training(epochs=300, batch_size="full"),
    )
    with pytest.raises(fn.DataError) as caught:
        fn.run(experiment, tmp_path / "out")
    assert str(caught.value).startswith("LogLoss: expected probabilities between 0 and 1, got -")
    assert str(caught.value).endswith(f"The last good state is in {tmp_path / 'out'}")
    kept = fn.load_run(tmp_path / "out")
    assert kept.train_state.step == caught.value.fit.train_state.step > 1
    assert ("train" in kept.metrics, kept.stopped) == (False, "an error")  # what cannot be scored is left out
    assert len(kept.history) == kept.train_state.step - 1


class Late:
    """A callback that breaks at the end of the second epoch."""

    def init(self):
        return 0

    def update(self, state, event):
        if event.row is not None and state == 1:
            raise RuntimeError("broken")
        return state + (event.row is not None), False


def test_a_callback_that_breaks_does_not_cost_the_run(tmp_path):
    with pytest.raises(RuntimeError, match="broken"):
        fn.run(change(SMALL, training=fn.Training(epochs=3)), tmp_path / "out", callbacks=[Late()])
    kept = fn.load_run(tmp_path / "out")
    assert (len(kept.history), kept.stopped) == (2, "an error")
    with pytest.raises(fn.FuncnetError, match="expected a list of callbacks"):
        fn.run(SMALL, tmp_path / "other", callbacks=Late())
    assert not (tmp_path / "other").exists()


@fn.register("test_run.averaged")
@attrs.frozen
class Averaged(optim.Adam):
    """Adam that evaluates the mean of all params so far."""

    def init(self, params):
        return {**super().init(params), "sum": tree.zeros_like(params)}

    def update(self, grads, opt_state, params, value=None):
        kept = opt_state["sum"]
        updates, opt_state = super().update(grads, {k: v for k, v in opt_state.items() if k != "sum"}, params, value)
        new = tree.map(np.add, params, updates)
        return updates, {**opt_state, "sum": tree.map(np.add, kept, new)}

    def eval_params(self, params, opt_state):
        return tree.map(lambda total: total / np.float32(opt_state["step"]), opt_state["sum"])


def test_an_average_is_what_is_saved_and_predicts(tmp_path):
    run = fn.run(attrs.evolve(SMALL, optimizer=Averaged(0.01)), tmp_path / "out")
    again = fn.load_run(tmp_path / "out")
    x = data.Iris().table(Path(), fn.Key(0)).x
    np.testing.assert_array_equal(again.predict(x), run.predict(x))
    assert not np.array_equal(*(tree.flatten(p)["dense_0/weight"] for p in (run.params, run.train_state.params)))
