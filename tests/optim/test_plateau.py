"""A plateau that follows a figure of the history: as PyTorch's, under every wrapper, through every interruption."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

import funcnet as fn
from funcnet import losses, optim
from funcnet.compiler import function
from funcnet.spec.fields import frozen
from funcnet.training.evaluate import evaluate
from tests.cli import funcnet as command

KEY = fn.Key(8)
NET = fn.serial(fn.Dense(5), fn.Tanh(), fn.Dense(3))
X, LABELS = KEY.fold("x").normal((20, 4), np.float32), KEY.fold("y").integers(3, (20,))
HELD_OUT = KEY.fold("vx").normal((9, 4), np.float32), KEY.fold("vy").integers(3, (9,))
SOFTMAX = losses.SoftmaxCrossEntropy()
PARAMS = {"w": np.ones(2)}


def fit(optimizer: Any, **options: Any) -> fn.Fit:
    how = {"loss": SOFTMAX, "key": KEY, "batch_size": 5, "validation": HELD_OUT, **options}
    return fn.fit(NET, (X, LABELS), optimizer=optimizer, **how)


# ----- values -------------------------------------------------------------------------------------------


def reference(
    values: Any, mode: str, factor: float, patience: int, threshold: float, cooldown: int, least: float
) -> list[float]:
    """The rates of torch.optim.lr_scheduler.ReduceLROnPlateau from 1, relative, line by line, for values above 0."""
    best, bad, waits, rate, rates = math.inf if mode == "min" else -math.inf, 0, 0, 1.0, []
    for value in values:
        better = value < best * (1.0 - threshold) if mode == "min" else value > best * (1.0 + threshold)
        if better:
            best, bad = value, 0
        else:
            bad += 1
        if waits > 0:
            waits -= 1
            bad = 0
        if bad > patience:
            rate, waits, bad = max(rate * factor, least), cooldown, 0
        rates.append(rate)
    return rates


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(
    ("patience", "threshold", "cooldown", "least"), [(0, 1e-4, 0, 0.0), (2, 0.02, 3, 0.0), (4, 0.0, 1, 0.2)]
)
def test_scales_are_those_of_pytorch(
    seed: int, mode: Any, patience: int, threshold: float, cooldown: int, least: float
) -> None:
    """Ours reduces at the patience, PyTorch's one mean later."""
    noise = KEY.fold("values", seed).uniform((80,))
    values = 1.0 + noise + np.exp(-np.arange(80) / 10) * (1.0 if mode == "min" else -1.0)
    rule = optim.ReduceOnPlateau(
        0.5, patience + 1, threshold, cooldown=cooldown, min_scale=least, monitor="a figure", mode=mode
    )
    state, scales = rule.init(PARAMS), []
    for value in values:
        state = rule.observe(state, {"a figure": value})
        updates, state = rule.update(PARAMS, state, PARAMS)
        scales.append(float(state["scale"]))
        assert updates["w"].tolist() == [scales[-1]] * 2
    assert scales == reference(values, mode, 0.5, patience, threshold, cooldown, least)
    assert len(set(scales)) >= 3


def test_the_mean_of_several_epochs_is_compared() -> None:
    rule = optim.ReduceOnPlateau(0.5, patience=1, rtol=0.0, every=2, monitor="validation/loss")
    state, scales = rule.init(PARAMS), []
    for value in (1.0, 3.0, 2.0, 1.9, 0.0, 3.9, math.nan, 0.0, 0.0, 0.0):
        state = rule.observe(state, {"validation/loss": value})
        scales.append(float(state["scale"]))
    assert scales == [1.0] * 5 + [0.5] * 2 + [0.25] * 3  # the means are 2, 1.95, 1.95, nan and 0
    assert (float(state["best"]), float(state["mean"]), int(state["seen"])) == (0.0, 0.0, 0)


@pytest.mark.parametrize(
    ("monitor", "best"),
    [
        ("loss", math.inf),
        ("validation/loss", math.inf),
        ("validation/rmse", math.inf),
        ("validation/accuracy", -math.inf),
    ],
)
def test_auto_knows_which_figures_should_rise(monitor: str, best: float) -> None:
    assert float(optim.ReduceOnPlateau(monitor=monitor).init(PARAMS)["best"]) == best


# ----- in training --------------------------------------------------------------------------------------

PLATEAU = optim.ReduceOnPlateau(0.5, patience=1, rtol=0.9, monitor="validation/loss")
WRAPPED: dict[str, optim.Optimizer] = {
    "chain": optim.chain(optim.SGD(0.4), PLATEAU),
    "chain in a chain": optim.chain(optim.ClipByGlobalNorm(9.0), optim.chain(optim.SGD(0.4), slow=PLATEAU)),
    "freeze": optim.Freeze(optim.chain(optim.SGD(0.4), PLATEAU), "dense_0/*"),
    "partition": optim.partition({"*bias": optim.chain(optim.SGD(0.4), PLATEAU), "*": optim.SGD(0.1)}),
    "lookahead": optim.Lookahead(optim.chain(optim.SGD(0.4), PLATEAU), every=2),
    "masked": optim.chain(optim.SGD(0.4), optim.Masked(PLATEAU, "*"), optim.EMA(0.5)),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_the_rate_of_the_history_is_reduced_under_every_wrapper(name: str) -> None:
    """The first epoch is the best: the second has no improvement, and the third the smaller rate."""
    optimizer = WRAPPED[name]
    assert fn.from_json(fn.to_json(optimizer)) == optimizer
    done = fit(optimizer, epochs=4)
    assert [row["learning_rate"] for row in done.history] == [0.4, 0.4, 0.2, 0.1]
    again = fit(optimizer, epochs=4, log_every=3)  # rows within an epoch are not counted
    assert again.train_state == done.train_state


@pytest.mark.parametrize("cut", [3, 4, 8, 10, 12])
@pytest.mark.parametrize("name", ["chain", "partition"])
def test_going_on_is_the_uninterrupted_run(name: str, cut: int) -> None:
    whole = fit(WRAPPED[name], epochs=4).train_state
    part = fit(WRAPPED[name], steps=cut)
    assert fit(WRAPPED[name], epochs=4, start=part).train_state == whole


class Interrupt:
    """Ctrl-C in a callback at the end of an epoch."""

    def init(self) -> None:
        return None

    def update(self, state: None, event: Any) -> tuple[None, bool]:
        if event.step == 8:
            raise KeyboardInterrupt
        return state, False


def test_ctrl_c_at_the_end_of_an_epoch_loses_no_row() -> None:
    whole, part = fit(WRAPPED["chain"], epochs=4), fit(WRAPPED["chain"], epochs=4, callbacks=[Interrupt()])
    assert fit(WRAPPED["chain"], epochs=4, start=part).train_state == whole.train_state


def test_a_loop_of_ones_own_reports_each_epoch() -> None:
    optimizer = WRAPPED["chain"]
    done = fit(optimizer, epochs=4)
    ts, step = fn.train_state(NET, optimizer, KEY, (4,)), fn.train_step(NET, SOFTMAX, optimizer)
    for epoch in range(4):
        order = KEY.fold("epoch", epoch).permutation(20)
        for begin in range(0, 20, 5):
            ts, _ = step(ts, (X[order[begin : begin + 5]], LABELS[order[begin : begin + 5]]))
        value = evaluate(NET, SOFTMAX, ts.params, ts.state, HELD_OUT)["loss"]
        opt_state = optimizer.observe(ts.opt_state, {"validation/loss": value})
        ts = fn.TrainState(ts.params, ts.state, opt_state, ts.key, ts.step)
    assert ts == done.train_state


def test_a_step_is_recorded_once(monkeypatch: Any) -> None:
    recorded, record = [], function.record
    monkeypatch.setattr(function, "record", lambda *args, **options: recorded.append(1) or record(*args, **options))
    counts = []
    for monitor in (None, "validation/loss"):
        recorded.clear()
        rule = optim.ReduceOnPlateau(0.125, patience=1, rtol=0.9, monitor=monitor)
        opt = optim.chain(once=optim.SGD(0.3), plateau=rule)  # no other test has recorded one with these names
        assert fit(opt, epochs=5).history[-1]["learning_rate"] < 0.1
        counts.append(len(recorded))
    assert counts[0] == counts[1] > 0


def test_swap_begins_anew_and_goes_on() -> None:
    part = fit(optim.SGD(0.4), epochs=2)
    done = fit(WRAPPED["chain"], epochs=6, start=fn.swap(part.train_state, WRAPPED["chain"]))
    assert [row["learning_rate"] for row in done.history] == [0.4, 0.4, 0.2, 0.1]
    scales = optim.current(WRAPPED["chain"], done.train_state.opt_state)
    assert scales == {"reduce_on_plateau_0/scale": 0.125}


EXPERIMENT = {
    "version": 1,
    "data": {"type": "iris", "split": {"validation": 0.3}, "scale": "standard"},
    "model": {"type": "serial", "layers": [{"type": "dense", "units": 3}]},
    "loss": "softmax_cross_entropy",
    "metrics": ["accuracy"],
    "optimizer": {
        "type": "chain",
        "steps": [
            {"type": "adam", "learning_rate": 0.5},
            {"type": "reduce_on_plateau", "monitor": "validation/accuracy", "patience": 1, "factor": 0.5},
        ],
    },
    "training": {"epochs": 6},
}


def test_a_spec_file_trains_with_it(tmp_path: Any) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(EXPERIMENT), encoding="utf-8")
    command(tmp_path, "train", str(tmp_path / "spec.json"), "--out", str(tmp_path / "run"), "--progress", "none")
    rows = fn.load_run(tmp_path / "run").history
    accuracies = [row["validation/accuracy"] for row in rows]
    expected = reference(accuracies, "max", 0.5, 0, 1e-4, 0, 0.0)
    assert [row["learning_rate"] for row in rows] == [0.5 * scale for scale in [1.0, *expected[:-1]]]
    assert expected[-2] < 1.0


# ----- refused ------------------------------------------------------------------------------------------

METRICS = "there are loss, accuracy, validation/loss, validation/accuracy"
REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "another library's name": (
        "val_loss",
        {},
        f"there is no 'val_loss' to monitor, did you mean 'validation/loss'?; {METRICS}",
    ),
    "a metric that is not given": (
        "validation/rmse",
        {},
        f"there is no 'validation/rmse' to monitor, did you mean 'validation/loss'?; {METRICS}",
    ),
    "no validation part": (
        "validation/loss",
        {"validation": None},
        "monitors 'validation/loss', but there is no validation part; give one: split.validation, or validation=…",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_monitor_that_no_row_has_is_refused_before_training(name: str) -> None:
    monitor, options, message = REFUSED[name]
    rule = optim.Freeze(optim.chain(optim.SGD(0.1), optim.ReduceOnPlateau(monitor=monitor)), "*bias")
    with pytest.raises(fn.FuncnetError) as caught:
        fit(rule, epochs=2, metrics=["accuracy"], **options)
    assert str(caught.value) == f"ReduceOnPlateau: {message}"
    assert not hasattr(caught.value, "fit")


@pytest.mark.parametrize(
    ("row", "got"),
    [
        ({"val_loss": 0.3, "step": 1}, "one of val_loss, step"),
        ({"validation/loss": "0.3"}, "{'validation/loss': '0.3'}"),
        (0.3, "0.3"),
    ],
)
def test_a_row_without_the_figure_is_refused(row: Any, got: str) -> None:
    optimizer = WRAPPED["chain"]
    with pytest.raises(fn.FuncnetError) as caught:
        optimizer.observe(optimizer.init(PARAMS), row)
    assert str(caught.value) == (
        f"ReduceOnPlateau: expected a row with a number for 'validation/loss', got {got}; "
        "call observe(opt_state, {'validation/loss': value})"
    )


@frozen
class Sealed(optim.Optimizer):
    """A wrapper without children."""

    rule: optim.Optimizer

    def init(self, params: Any) -> Any:
        return {"inner": self.rule.init(params)}

    def update(self, grads: Any, opt_state: Any, params: Any, value: Any = None) -> Any:
        updates, inner = self.rule.update(grads, opt_state["inner"], params, value)
        return updates, {"inner": inner}


def test_a_wrapper_that_keeps_the_row_to_itself_is_refused() -> None:
    with pytest.raises(fn.FuncnetError) as caught:
        fit(Sealed(WRAPPED["chain"]), epochs=1)
    assert str(caught.value) == (
        "Sealed: has a ReduceOnPlateau inside, which its observe does not reach; "
        "give it children, by the names of their states"
    )
    of_steps = optim.chain(optim.SGD(0.4), optim.ReduceOnPlateau(0.5))
    assert fit(Sealed(of_steps), epochs=1).history[0]["learning_rate"] == 0.4


def test_the_loss_of_the_step_is_not_maximised() -> None:
    with pytest.raises(fn.SpecError) as caught:
        optim.ReduceOnPlateau(mode="max")
    assert str(caught.value) == (
        "ReduceOnPlateau.mode: the loss of the step is minimised; give the monitor to maximise"
    )


@frozen
class Forgetful(optim.SGD):
    """Its state is another after an epoch."""

    def observe(self, opt_state: Any, row: Any) -> Any:
        return {"step": opt_state["step"], "seen": np.zeros(1)}


def test_a_state_of_another_form_is_refused() -> None:
    with pytest.raises(fn.ShapeError, match=r"seen: expected no such part"):
        fit(Forgetful(0.1), epochs=1)
