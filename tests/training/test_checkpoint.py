"""What a checkpoint holds: the history as columns, and nothing but what a run writes."""

import hashlib
import json
import math

import numpy as np
import pytest

import funcnet as fn
from funcnet.files import npz_bytes, read_npz
from funcnet.training import checkpoint
from funcnet.training.history import Columns, unpacked
from tests.fuzz import checkpoints
from tests.training.test_resume import crashed, experiment, outcome

ROWS = [
    {"step": 1, "epoch": 0.5, "loss": 0.1 + 0.2, "learning_rate": 1e-3, "seconds": 1e-9},
    {"step": 2, "epoch": 1, "loss": math.inf, "learning_rate": None, "seconds": 2.0, "accuracy": 1.0},
    {"step": 3, "epoch": 1.5, "loss": -0.0, "learning_rate": np.float32(0.1), "seconds": 3.0},
]


def test_columns_give_the_rows_back_with_their_types():
    packed = Columns().packed(ROWS)
    again = unpacked(**packed)
    assert again == ROWS
    assert [list(row) for row in again] == [list(row) for row in ROWS]
    assert [type(row["epoch"]) for row in again] == [float, int, float]
    assert math.copysign(1.0, again[2]["loss"]) == -1.0
    assert math.isnan(unpacked(**Columns().packed([{"loss": math.nan}]))[0]["loss"])
    assert unpacked(**Columns().packed([])) == []


def test_columns_that_grow_are_those_of_the_whole():
    rows = [{"step": i, "loss": i / 7} | ({"accuracy": 1 / (i + 1)} if i % 3 == 2 else {}) for i in range(300)]
    columns = Columns()
    for count in (1, 2, 3, 150, 149, 300, 10):  # before a step there is a row less than after it
        assert unpacked(**columns.packed(rows[:count])) == rows[:count]


@pytest.mark.parametrize("value", ["x", True, [1.0], np.zeros(1)])
def test_a_figure_that_is_not_a_number(value):
    with pytest.raises(fn.CheckpointError) as error:
        Columns().packed([{"loss": value}])
    assert str(error.value) == f"history: loss: expected a number, got a {type(value).__name__}"


@pytest.mark.parametrize(
    "changes",
    [
        {"names": ["step", "step"]},
        {"names": [1, 2]},
        {"values": np.zeros((2, 1))},
        {"values": np.zeros((2, 2), np.float32)},
        {"kinds": np.full((2, 2), 4, np.uint8)},
        {"values": np.full((2, 2), np.inf)},
    ],
)
def test_columns_that_no_history_has(changes):
    with pytest.raises(ValueError, match="the history"):
        unpacked(
            **({"names": ["step", "epoch"], "values": np.ones((2, 2)), "kinds": np.ones((2, 2), np.uint8)} | changes)
        )


def test_a_row_takes_little_room(tmp_path):
    folder = crashed(experiment(), tmp_path / "run", 9)
    before = checkpoint.newest(folder / "checkpoints").snapshot
    rows = [{**ROWS[0], "validation/loss": 0.5, "step": i} for i in range(10_000)]
    sizes = []
    for count in (0, 10_000):
        snapshot = type(before)(before.train_state, rows[:count], before.callbacks, before.recent, before.seconds)
        sizes.append(len(checkpoint.content(checkpoint.Saved(snapshot, {}))))
    assert sizes[1] - sizes[0] < 60 * 10_000


def test_a_later_checkpoint_adds_only_new_rows(monkeypatch, tmp_path):
    added = []
    monkeypatch.setattr(
        Columns, "_add", lambda self, row, add=Columns._add: (added.append(row["step"]), add(self, row))
    )
    fn.run(experiment(checkpoint=fn.Checkpoint(every_steps=1, keep_best=1)), tmp_path / "run")
    assert len(added) == len(set(added))


def deep(kind, levels):
    """A value nested in lists, as a checkpoint holds it."""
    node = {"list": []}
    for _ in range(levels):
        node = {kind: {"a": node} if kind == "dict" else [node]}
    return node


def forged(path, change):
    """A checkpoint with another meta, under the digest that it has then."""
    members = read_npz(path)
    meta = json.loads(members["meta"].tobytes())
    change(meta)
    content = npz_bytes(members | {"meta": np.frombuffer(json.dumps(meta).encode(), np.uint8)})
    path.unlink()
    path = path.with_name(f"{path.name.partition('-')[0]}-{hashlib.sha256(content).hexdigest()}.npz")
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 3}, "its format is 3, and this funcnet reads up to 2"),
        ({"step": "8"}, "step is not as a run writes it"),
        ({"recent": {"list": [1.0, 2.0]}}, "recent is not as a run writes it"),
        ({"callbacks": {"list": [1]}}, "callbacks is not as a run writes it"),
        ({"params": {"dict": {"a": 3}}}, "params is not as a run writes it"),
        ({"facts": {"dict": {"value": "x"}}}, "facts is not as a run writes it"),
        ({"seconds": {"set": []}}, "unknown kind of value 'set'"),
        ({"key": "zz"}, "non-hexadecimal number found in fromhex() arg at position 0"),
        ({"seconds": 10**400}, "seconds is not as a run writes it"),
        ({"recent": {"tuple": [10**400, 1.0]}}, "recent is not as a run writes it"),
        ({"step": 2**63}, "step is not as a run writes it"),
        ({"facts": {"dict": {"versions": {"array": "params/dense_0/bias"}}}}, "facts is not as a run writes it"),
        ({"params": deep("dict", 257)}, "values are nested too deep; the limit is 256"),
        ({"callbacks": deep("list", 257)}, "values are nested too deep; the limit is 256"),
    ],
)
def test_forged_under_a_right_digest(tmp_path, caplog, change, message):
    folder = crashed(experiment(), tmp_path / "run", 9)
    path = forged(checkpoint.listed(folder / "checkpoints")[0], lambda meta: meta.update(change))
    with pytest.raises(fn.CheckpointError) as error:
        checkpoint.read(path)
    assert str(error.value) == f"{path}: is not a checkpoint of this funcnet ({message})"
    fn.run(experiment(), folder, resume=True)
    fn.run(experiment(), tmp_path / "whole")
    assert caplog.messages == [f"{error.value}; trying the checkpoint before it"]
    assert outcome(folder) == outcome(tmp_path / "whole")


def test_brackets_without_end(tmp_path):
    folder = crashed(experiment(), tmp_path / "run", 9)
    path = checkpoint.listed(folder / "checkpoints")[0]
    for meta in (np.frombuffer(b"[" * 100_000, np.uint8), np.array("[" * 100_000)):
        content = npz_bytes({"meta": meta})
        path = path.with_name(f"{path.name.partition('-')[0]}-{hashlib.sha256(content).hexdigest()}.npz")
        path.write_bytes(content)
        with pytest.raises(fn.CheckpointError, match="is not a checkpoint of this funcnet"):
            checkpoint.read(path)


def test_a_callback_state_that_it_did_not_make(tmp_path):
    spec = experiment(early_stopping=fn.EarlyStopping(patience=9))
    folder = crashed(spec, tmp_path / "run", 9)
    for path in checkpoint.listed(folder / "checkpoints"):
        forged(
            path, lambda meta: meta.update(callbacks={"list": [{"tuple": ["EarlyStopping", {"dict": {"best": "x"}}]}]})
        )
    with pytest.raises(fn.CheckpointError) as error:
        fn.run(spec, folder, resume=True)
    newest = checkpoint.listed(folder / "checkpoints")[0]
    assert str(error.value) == (
        f"the checkpoint's state of EarlyStopping is not one that it made. The run had gone on from {newest}; if that "
        "is to blame, delete it and continue with --resume"
    )


@pytest.mark.parametrize(("name", "value"), [("since", 10**4000), ("since", -1), ("step", 2**63), ("step", True)])
def test_counts_of_a_callback_that_are_none(name, value):
    state = fn.EarlyStopping().init()
    ts = fn.train_state(fn.Dense(1), fn.optim.SGD(0.1), fn.Key(0), (1,))
    assert fn.EarlyStopping().fits(state, ts)
    assert not fn.EarlyStopping().fits(state | {name: value}, ts)
    assert not fn.JsonLines().fits({"offset": value}, ts)


def test_facts_without_a_digest_of_the_data(tmp_path):
    folder = crashed(experiment(), tmp_path / "run", 9)
    for path in checkpoint.listed(folder / "checkpoints"):
        forged(path, lambda meta: meta["facts"]["dict"].pop("data"))
    with pytest.raises(fn.CheckpointError) as error:
        fn.run(experiment(), folder, resume=True)
    assert str(error.value) == f"{folder / 'checkpoints'}: the data has changed since the run began"


def test_a_spec_that_has_changed_since_the_run_began(tmp_path):
    folder = crashed(experiment(), tmp_path / "run", 9)
    text = (folder / "spec.json").read_text(encoding="utf-8").replace('"rate": 0.3', '"rate": 0.4')
    (folder / "spec.json").write_text(text, encoding="utf-8")
    with pytest.raises(fn.CheckpointError) as error:
        fn.run(fn.load_spec(folder / "spec.json"), folder, resume=True)
    assert str(error.value) == f"{folder / 'spec.json'}: has changed since the run began"


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 6))])
def test_forged_checkpoints_end_in_no_foreign_error(tmp_path, seed):
    counts = checkpoints.attempts(tmp_path, 25, seed)
    assert counts["refused"] > 2
    assert counts["went on"] > 2
