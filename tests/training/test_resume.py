"""Runs that stop and go on: bit for bit what they would have been; checkpoints that are not whole; two at once."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import attrs
import numpy as np
import pytest

import funcnet as fn
from funcnet import data, losses, metrics, optim, tree
from funcnet.experiments.digests import digest
from funcnet.training import checkpoint
from funcnet.training.checkpoint import locked, newest, read
from tests.cli import ROOT, environment
from tests.folders import sign

DATA = data.Iris(split=data.Split(validation=0.2, test=0.2, stratify=True), scale="standard")


def experiment(**training):
    """A run in which everything that has a state is in play: dropout, running statistics, a schedule, momentum."""
    return fn.Experiment(
        seed=4,
        data=DATA,
        model=fn.serial(fn.Dense(12), fn.BatchNorm(), fn.Relu(), fn.Dropout(0.3), fn.Dense(3)),
        loss=losses.SoftmaxCrossEntropy(),
        metrics=(metrics.Accuracy(),),
        optimizer=optim.chain(optim.ClipByGlobalNorm(1.0), optim.AdamW(optim.WarmupCosine(0.02, warmup_steps=10))),
        training=fn.Training(
            **({"epochs": 6, "batch_size": 16, "checkpoint": fn.Checkpoint(every_steps=1)} | training)
        ),
    )


class StopAt:
    """Raises at a step, as a crash would, after the checkpoint of the step before."""

    def __init__(self, step):
        self.step = step

    def init(self):
        return None

    def update(self, state, event):
        if event.step == self.step:
            raise SystemExit(9)
        return None, False


def crashed(spec, folder, step):
    """The folder of a run that a crash ended in this step."""
    with pytest.raises(SystemExit):
        fn.run(spec, folder, callbacks=[StopAt(step)])
    return folder


def outcome(folder):
    """What a run left that depends on its arithmetic: weights, scores, and the history without its clock."""
    facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    lines = [line.rpartition(",")[0] for line in (folder / "history.csv").read_text(encoding="utf-8").splitlines()]
    return (
        facts["weights"],
        facts["step"],
        facts["stopped"],
        (folder / "metrics.json").read_text(encoding="utf-8"),
        lines,
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    fn.run(experiment(), folder)
    return folder


@pytest.mark.parametrize("step", [2, 6, 7, pytest.param(20, marks=pytest.mark.slow), 35, 36])
def test_a_run_goes_on_at_any_step_as_if_it_had_never_stopped(tmp_path, whole, step):
    folder = crashed(experiment(), tmp_path / "run", step)
    assert not (folder / "metrics.json").exists()
    fn.run(experiment(), folder, resume=True)
    assert outcome(folder) == outcome(whole)
    assert not [path for path in folder.rglob("*") if path.name.startswith(".")]


@pytest.mark.parametrize(
    "changes",
    [
        {"early_stopping": fn.EarlyStopping(patience=2), "epochs": 20},
        {"callbacks": (fn.TargetReached(0.9, "validation/accuracy"),), "epochs": 20},
        {"log_every": 5, "callbacks": (fn.JsonLines(), fn.Norms(every=7))},
        {"remainder": "drop", "batch_size": 20},
        {"checkpoint": fn.Checkpoint(every_epochs=2, keep_last=1, keep_best=2)},
        {"class_weight": "balanced", "batch_size": "full", "epochs": 12},
    ],
    ids=["early stopping", "target", "lines", "drop", "epochs", "full batch"],
)
def test_everything_that_watches_goes_on_too(tmp_path, changes):
    spec = experiment(**changes)
    fn.run(spec, tmp_path / "whole")
    steps = json.loads((tmp_path / "whole" / "run.json").read_text(encoding="utf-8"))["step"]
    for i, step in enumerate([steps // 3, steps - 2]):
        folder = crashed(spec, tmp_path / f"run{i}", step)
        fn.run(spec, folder, resume=True)
        assert outcome(folder) == outcome(tmp_path / "whole")
        for name in ("history.jsonl", "norms.jsonl"):
            if (tmp_path / "whole" / name).exists():
                texts = [(one / name).read_text(encoding="utf-8") for one in (folder, tmp_path / "whole")]
                lines = [[{**json.loads(line), "seconds": 0} for line in text.splitlines()] for text in texts]
                assert lines[0] == lines[1]


@pytest.mark.parametrize("step", [17, *(pytest.param(step, marks=pytest.mark.slow) for step in (5, 38, 60))])
def test_noise_averages_shards_and_plateaus_go_on_too(tmp_path, step):
    """Augmentation, gradients in shards, an average of the params, a plateau in the optimizer's state."""
    spec = attrs.evolve(
        experiment(augment=(data.Jitter(0.1),), shards=3, epochs=20, early_stopping=fn.EarlyStopping(patience=15)),
        optimizer=optim.chain(optim.Adam(0.05), optim.ReduceOnPlateau(0.5, patience=3), optim.EMA(0.95)),
    )
    fn.run(spec, tmp_path / "whole")
    folder = crashed(spec, tmp_path / "run", step)
    fn.run(spec, folder, resume=True)
    assert outcome(folder) == outcome(tmp_path / "whole")


@pytest.mark.parametrize("step", [6, 7, 17, pytest.param(36, marks=pytest.mark.slow)])
def test_a_plateau_of_the_validation_loss_goes_on_too(tmp_path, step):
    """Killed within an epoch, and at the end of one."""
    slower = optim.ReduceOnPlateau(0.5, patience=1, monitor="validation/loss")
    rule = optim.partition({"*weight": optim.chain(optim.Adam(0.5), slower), "*": optim.SGD(0.5)})
    spec = attrs.evolve(experiment(epochs=8), optimizer=rule)
    fn.run(spec, tmp_path / "whole")
    folder = crashed(spec, tmp_path / "run", step)
    fn.run(spec, folder, resume=True)
    assert outcome(folder) == outcome(tmp_path / "whole")
    rates = [row["learning_rate"] for row in fn.load_run(folder).history]
    assert rates[0] == 0.5
    assert rates[-1] < 0.5


def test_a_batch_larger_than_the_data_is_said(caplog):
    x = fn.Key(0).normal((8, 2))
    fn.fit(
        fn.Dense(1), (x, x[:, 0]), loss=losses.MeanSquaredError(), optimizer=optim.SGD(0.1), epochs=1, batch_size=64,
        key=fn.Key(0),
    )  # fmt: skip
    assert caplog.messages == ["batch_size 64 is more than the 8 rows to train on; every batch has all rows"]


def test_what_stopped_early_has_its_best_state(tmp_path):
    spec = experiment(early_stopping=fn.EarlyStopping("validation/loss", patience=4), epochs=60)
    run = fn.run(spec, tmp_path / "run")
    assert run.stopped == "EarlyStopping"
    scores = [row["validation/loss"] for row in run.history]
    best = int(np.argmin(scores))
    assert len(scores) == best + 1 + 4
    assert run.metrics["validation"]["loss"] == scores[best]
    kept = fn.run(experiment(early_stopping=fn.EarlyStopping(patience=4, restore_best=False), epochs=60))
    assert kept.metrics["validation"]["loss"] == scores[-1] != scores[best]


@pytest.mark.parametrize("ended", ["by its length", "by an error"])
def test_the_best_is_restored_whatever_ended_the_run(ended):
    net, key = fn.serial(fn.Dense(8), fn.Tanh(), fn.Dense(1)), fn.Key(0)
    x, y = key.fold("x").normal((60, 3)), key.fold("y").normal((60, 1))
    steps, stops = 300, [StopAt(280)] if ended == "by an error" else []
    early = fn.EarlyStopping("validation/loss", patience=1000)

    def fit():
        return fn.fit(
            net, (x[:30], y[:30]), loss=losses.MeanSquaredError(), optimizer=optim.Adam(0.05), steps=steps, key=key,
            validation=(x[30:], y[30:]), callbacks=[early, *stops],
        )  # fmt: skip

    if stops:
        stops[0].update = lambda state, event: (
            (_ for _ in ()).throw(ValueError("broken")) if event.step == 280 else (None, False)
        )
        with pytest.raises(ValueError) as error:
            fit()
        result = error.value.fit
    else:
        result = fit()
    scores = [row["validation/loss"] for row in result.history]
    ts = result.train_state
    found = fn.evaluate(net, losses.MeanSquaredError(), ts.params, ts.state, (x[30:], y[30:]))["loss"]
    assert found == min(scores) < scores[-1]


# ----- files that are not what was written ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A small checkpoint, as bytes, and its name."""
    spec = fn.Experiment(
        data=data.Arrays(x=[[0.0], [1.0]], y=[0.0, 1.0]), model=fn.Dense(1, use_bias=False),
        loss=losses.MeanSquaredError(), optimizer=optim.SGD(0.1),
        training=fn.Training(steps=5, batch_size="full", checkpoint=fn.Checkpoint(every_steps=1)),
    )  # fmt: skip
    folder = crashed(spec, tmp_path_factory.mktemp("small") / "run", 4)
    path = checkpoint.listed(folder / "checkpoints")[0]
    return path.name, path.read_bytes()


def damaged(written, every):
    """The bytes with one changed, cut short, with something behind, and with parts exchanged."""
    for i in range(0, len(written), every):
        yield f"byte {i}", written[:i] + bytes([written[i] ^ (1 << i % 8)]) + written[i + 1 :]
    for i in range(0, len(written), every):
        yield f"cut at {i}", written[:i]
    yield "junk", written + b"\0"
    half = len(written) // 2
    yield "halves", written[half:] + written[:half]


@pytest.mark.parametrize("every", [23, pytest.param(1, marks=pytest.mark.slow)])
def test_no_damage_goes_unseen(tmp_path, saved, every):
    name, written = saved
    path = tmp_path / name
    path.write_bytes(written)
    assert read(path).snapshot.train_state.step == 3
    tried = 0
    for what, content in damaged(written, every):
        path.write_bytes(content)
        with pytest.raises(fn.CheckpointError) as error:
            read(path)
        assert str(error.value) == f"{path}: was altered or cut short since it was written", what
        tried += 1
    assert tried == 2 * len(range(0, len(written), every)) + 2


def test_a_renamed_checkpoint(tmp_path, saved):
    name, written = saved
    path = tmp_path / f"0000000007-{name.partition('-')[2]}"
    path.write_bytes(written)
    with pytest.raises(fn.CheckpointError) as error:
        read(path)
    assert str(error.value) == f"{path}: is named for step 7, but holds step 3"
    other = tmp_path / "best.npz"
    other.write_bytes(written)
    with pytest.raises(fn.CheckpointError) as error:
        read(other)
    assert str(error.value) == f"{other}: is not a checkpoint; expected a name made of the step and a SHA-256"


def test_a_damaged_checkpoint_is_left_for_the_one_before(tmp_path, whole, caplog):
    folder = crashed(experiment(), tmp_path / "run", 20)
    last = checkpoint.listed(folder / "checkpoints")[0]
    last.write_bytes(last.read_bytes()[:-1])
    fn.run(experiment(), folder, resume=True)
    assert caplog.messages == [
        f"{last}: was altered or cut short since it was written; trying the checkpoint before it"
    ]
    assert outcome(folder) == outcome(whole)


def test_a_checkpoint_holds_every_bit(tmp_path):
    folder = crashed(experiment(), tmp_path / "run", 9)
    before = newest(folder / "checkpoints").snapshot
    path = checkpoint.write(tmp_path, checkpoint.Saved(before, {"a": [1, None]}))
    again = read(path)
    assert again.facts == {"a": [1, None]}
    ts, old = again.snapshot.train_state, before.train_state
    for part in ("params", "state", "opt_state"):
        assert digest(getattr(ts, part)) == digest(getattr(old, part))
        assert list(tree.flatten(getattr(ts, part))) == list(tree.flatten(getattr(old, part)))
    assert (ts.key, ts.step) == (old.key, 8)
    assert (again.snapshot.history, again.snapshot.recent) == (before.history, before.recent)
    assert ts.opt_state["adamw_0"]["step"].dtype == np.int64


def test_a_callback_whose_state_no_file_can_hold(tmp_path):
    class Odd(StopAt):
        def init(self):
            return object()

        def update(self, state, event):
            return state, False

    with pytest.raises(fn.CheckpointError) as error:
        fn.run(experiment(), tmp_path / "run", callbacks=[Odd(0)])
    assert str(error.value).startswith(
        "callbacks/0/1: expected a value that a checkpoint can hold (dict, list, number, text or array), got a object"
    )


# ----- which are kept, and where a run may go on -------------------------------------------------------------------


def test_the_last_and_the_best_are_kept(tmp_path):
    spec = experiment(checkpoint=fn.Checkpoint(every_epochs=1, keep_last=2, keep_best=2, monitor="validation/accuracy"))
    run = fn.run(spec, tmp_path / "run")
    kept = [read(path) for path in checkpoint.listed(tmp_path / "run" / "checkpoints")]
    steps = [one.snapshot.train_state.step for one in kept]
    assert steps[:2] == [36, 30]
    assert len(steps) <= 4
    best = max(row["validation/accuracy"] for row in run.history)
    assert max(one.facts["value"] for one in kept) == best


def test_a_finished_run_is_given_back(tmp_path, whole):
    shutil.copytree(whole, tmp_path / "run")
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    again = fn.run(experiment(), tmp_path / "run", resume=True)
    assert again.metrics == fn.load_run(whole).metrics
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before


def test_where_there_is_nothing_it_begins(tmp_path, whole):
    fn.run(experiment(), tmp_path / "run", resume=True)
    assert outcome(tmp_path / "run") == outcome(whole)
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "spec.json").touch()  # killed before a word was written
    fn.run(experiment(), tmp_path / "half", resume=True)
    assert outcome(tmp_path / "half") == outcome(whole)


def test_another_spec_is_refused_with_its_differences(tmp_path):
    folder = crashed(experiment(), tmp_path / "run", 5)
    with pytest.raises(fn.CheckpointError) as error:
        fn.run(experiment(epochs=13), folder, resume=True)
    assert str(error.value) == (
        f"{folder}: holds a run of another spec, with these differences:\n~ .training.epochs: 6 -> 13\n"
        "continue with that spec, or choose another --out"
    )


def test_other_data_is_refused(tmp_path):
    x = fn.Key(0).normal((40, 2))
    np.savez(tmp_path / "t.npz", x=x, y=x[:, 0])
    spec = fn.Experiment(
        data=data.Npz("t.npz"), model=fn.Dense(1), loss=losses.MeanSquaredError(), optimizer=optim.SGD(0.1),
        training=fn.Training(epochs=4, checkpoint=fn.Checkpoint(every_steps=1)),
    )  # fmt: skip
    with pytest.raises(SystemExit):
        fn.run(spec, tmp_path / "run", base=tmp_path, callbacks=[StopAt(4)])
    np.savez(tmp_path / "t.npz", x=x, y=x[:, 1])
    with pytest.raises(fn.CheckpointError) as error:
        fn.run(spec, tmp_path / "run", resume=True, base=tmp_path)
    assert str(error.value) == (f"{tmp_path / 'run' / 'checkpoints'}: the data has changed since the run began")


def test_another_build_is_warned_of(tmp_path, whole, caplog, monkeypatch):
    folder = crashed(experiment(), tmp_path / "run", 30)
    monkeypatch.setattr("funcnet.experiments.folder.platform.platform", lambda: "another")
    fn.run(experiment(), folder, resume=True)
    assert caplog.messages == [
        f"{folder / 'checkpoints'}: resuming with other platform than before; the last bits may differ"
    ]
    assert outcome(folder)[0] == outcome(whole)[0]


def test_two_runs_into_one_folder(tmp_path):
    folder = crashed(experiment(), tmp_path / "run", 5)
    with locked(folder), pytest.raises(fn.CheckpointError) as error:
        fn.run(experiment(), folder, resume=True)
    assert str(error.value) == (
        f"{folder}: another process is writing a run into it; wait for it, or choose another --out"
    )
    fn.run(experiment(), folder, resume=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"early_stopping": fn.EarlyStopping("validation/acuracy")},
            "EarlyStopping: there is no 'validation/acuracy' to monitor, did you mean 'validation/accuracy'?; "
            "there are loss, accuracy, validation/loss, validation/accuracy",
        ),
        (
            {"checkpoint": fn.Checkpoint(every_epochs=1, keep_best=1, monitor="acc")},
            "Checkpoint: there is no 'acc' to monitor, did you mean 'accuracy'?; "
            "there are loss, accuracy, validation/loss, validation/accuracy",
        ),
    ],
)
def test_monitors_that_are_not_there(tmp_path, changes, message):
    with pytest.raises(fn.FuncnetError) as error:
        fn.run(experiment(**changes), tmp_path / "run")
    assert str(error.value) == message
    assert not (tmp_path / "run").exists()


def test_monitoring_validation_without_it():
    x = fn.Key(0).normal((8, 2))
    with pytest.raises(fn.FuncnetError) as error:
        fn.fit(
            fn.Dense(1), (x, x[:, 0]), loss=losses.MeanSquaredError(), optimizer=optim.SGD(0.1), epochs=1,
            key=fn.Key(0), callbacks=[fn.EarlyStopping()],
        )  # fmt: skip
    assert str(error.value) == (
        "EarlyStopping: monitors 'validation/loss', but there is no validation part; "
        "give one: split.validation, or validation=…"
    )


def test_time_budget_counts_the_time_before():
    budget, state = fn.TimeBudget(10.0), {}
    event = fn.Event(1, 10, 0.5, 1.0, None, seconds=9.9)
    assert budget.update(state, event) == ({}, False)
    assert budget.update(state, fn.Event(1, 10, 0.5, 1.0, None, seconds=10.0)) == ({}, True)


# ----- signals and kills -------------------------------------------------------------------------------------------


def slow(tmp_path, epochs=150):
    """A spec that trains for some seconds, as a file."""
    fn.save_spec(tmp_path / "slow.json", experiment(epochs=epochs, checkpoint=fn.Checkpoint(every_steps=7)))
    return [sys.executable, "-m", "funcnet", "train", "slow.json", "--out", "run", "--resume", "--progress", "none"]


def started(command, cwd):
    return subprocess.Popen(
        command, cwd=cwd, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def wait_for(condition, seconds=60.0):
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.002)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGTERM that a process can answer")
def test_sigterm_writes_a_checkpoint_and_exits_with_143(tmp_path):
    command = slow(tmp_path)
    with started(command, tmp_path) as process:
        wait_for(lambda: list((tmp_path / "run").glob("checkpoints/0*")))
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    folder = os.path.join("run")
    assert process.returncode == 143
    assert err.decode() == f"funcnet: SIGTERM: a checkpoint is in {folder}; the same command with --resume goes on\n"
    reached = newest(tmp_path / "run" / "checkpoints").snapshot.train_state.step
    with started(command, tmp_path) as process:
        assert process.wait(timeout=120) == 0
    assert reached > 0
    fn.run(fn.load_spec(tmp_path / "slow.json"), tmp_path / "whole")
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGKILL")
def test_kills_at_random_moments_lose_nothing(tmp_path):
    """A reduced form of tests/benchmarks/kills.py, which does it 200 times."""
    sys.path.insert(0, str(ROOT / "tests" / "benchmarks"))
    try:
        import kills
    finally:
        sys.path.pop(0)
    assert kills.rounds(tmp_path, count=4, seed=3) >= 4


def test_weights_of_another_network_are_told_of_all_at_once(tmp_path, whole):
    shutil.copytree(whole, tmp_path / "run")
    net = fn.serial(fn.Dense(7), fn.BatchNorm(), fn.Relu(), fn.Dropout(0.3), fn.Dense(3))
    params, state = net.init(fn.Key(0), (4,))
    params["dense_1"]["bias"] = params["dense_1"]["bias"].astype(np.float64)
    fn.save(tmp_path / "run" / "weights.npz", net, params, state)
    sign(tmp_path / "run")
    with pytest.raises(fn.CheckpointError) as error:
        fn.load_run(tmp_path / "run")
    assert str(error.value) == f"{tmp_path / 'run'}: the weights do not fit the spec:\n  " + "\n  ".join(
        [
            "dense_0/weight: expected param of shape (4, 12), got (4, 7)",
            "dense_0/bias: expected param of shape (12,), got (7,)",
            "batch_norm_0/scale: expected param of shape (12,), got (7,)",
            "batch_norm_0/bias: expected param of shape (12,), got (7,)",
            "dense_1/weight: expected param of shape (12, 3), got (7, 3)",
            "batch_norm_0/running_mean: expected state of shape (12,), got (7,)",
            "batch_norm_0/running_var: expected state of shape (12,), got (7,)",
            "params/dense_1/bias: expected float32, got float64",
        ]
    )
