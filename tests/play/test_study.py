"""What a page shows is what the library computes: the same bits as ``run``, ``value_and_grad`` and ``train_step``."""

import base64
from pathlib import Path

import numpy as np
import pytest

import funcnet as fn
from funcnet.layers.base import Context
from funcnet.play.settings import changed, first
from funcnet.play.study import study
from funcnet.play.surface import surface

HERE = Path()


def experiment(**changes):
    """A small experiment with some fields changed."""
    given = {
        "data": fn.data.Moons(rows=60, split=fn.data.Split(test=0.25)),
        "model": fn.serial(fn.Dense(3), fn.Tanh(), fn.Dense(2)),
        "loss": fn.losses.SoftmaxCrossEntropy(),
        "optimizer": fn.optim.Adam(fn.optim.Cosine(0.02)),
        "training": fn.Training(epochs=3, batch_size=8),
        "metrics": (fn.metrics.Accuracy(),),
    }
    return fn.Experiment(**{**given, **changes})


def sine(**changes):
    model = fn.serial(fn.Dense(4), fn.Dropout(0.3), fn.Relu(), fn.Dense(1))
    given = {"data": fn.data.Sine(rows=40), "model": model, "loss": fn.losses.MeanSquaredError(), "metrics": ()}
    return experiment(**given, **changes)


CASES = {
    "softmax": experiment(),
    "dropped remainder": experiment(training=fn.Training(steps=11, batch_size=7, remainder="drop")),
    "full batch": experiment(training=fn.Training(steps=4, batch_size="full"), dtype="float64"),
    "noise": sine(),
    "float64": sine(training=fn.Training(epochs=2), dtype="float64", seed=3),
    "batch norm": experiment(model=fn.serial(fn.Dense(3), fn.BatchNorm(), fn.Relu(), fn.Dense(2))),
    "average": experiment(optimizer=fn.optim.chain(fn.optim.SGD(0.1), fn.optim.EMA(0.9))),
    "four inputs": experiment(
        data=fn.data.Iris(scale="standard"), model=fn.serial(fn.Dense(5), fn.Tanh(), fn.Dense(3))
    ),
    "from the page": changed(first(), "loss", "mean_squared_error", HERE),
}


@pytest.mark.parametrize("case", CASES)
def test_the_steps_are_those_of_run(case):
    spec = CASES[case]
    if spec.training.steps == 2000:
        spec = fn.from_json(fn.to_json(spec).replace('"steps": 2000', '"steps": 7'))
    shown = study(spec, HERE)
    ts = shown.start
    while ts.step < shown.total:
        ts, _ = shown.after(ts)
    run = fn.run(spec)
    assert ts.step == run.train_state.step
    ours, theirs = fn.tree.flatten(ts.params), fn.tree.flatten(run.train_state.params)
    assert all(np.array_equal(ours[path], leaf) for path, leaf in theirs.items())
    params = spec.optimizer.eval_params(ts.params, ts.opt_state)
    assert shown.scores(params, ts)["train"] == run.metrics["train"]


@pytest.mark.parametrize("case", CASES)
def test_a_trace_is_a_step(case):
    """Values, cotangents, gradients and loss, bit for bit; and the gradients are sums of x · dy."""
    spec = CASES[case]
    shown = study(spec, HERE)
    ts, _ = shown.after(shown.start)
    rows, batch = shown.batch(ts.step)
    values, cotangents, grads, loss = shown.trace(ts, batch)
    context = Context(True, ts.key.fold("step", ts.step, "shard", 0))
    expected = fn.value_and_grad(spec.model, spec.loss)(ts.params, ts.state, *batch, context)
    assert loss == expected[0] == shown.after(ts)[1]
    flat = fn.tree.flatten(grads)
    assert flat.keys() == fn.tree.flatten(ts.params).keys()
    assert all(np.array_equal(flat[path], leaf) for path, leaf in fn.tree.flatten(expected[2]).items())
    assert np.array_equal(batch[0], shown.data.train.x[rows])
    x = batch[0]
    for stage in shown.stages[1:]:
        dy = cotangents[stage.dense]
        assert np.allclose(flat[f"{stage.dense}/weight"], x.T @ dy, rtol=1e-4, atol=1e-6)
        assert np.allclose(flat[f"{stage.dense}/bias"], dy.sum(axis=0), rtol=1e-4, atol=1e-6)
        x = values[next(reversed(stage.layers))]


def test_frames_are_json_with_every_unit():
    shown = study(experiment(), HERE)
    frame, about = shown.frame(shown.start), shown.about()
    assert [stage["units"] for stage in about["stages"]] == [2, 3, 2]
    assert [len(stage["pictures"]) for stage in frame["units"]] == [2, 3, 2]
    assert list(frame["values"]) == ["dense_0", "tanh_0", "dense_1"]
    assert frame["cotangents"].keys() == frame["values"].keys()
    assert frame["params"].keys() == frame["after"].keys() == frame["grads"].keys()
    assert about["classes"] == ["upper", "lower"]
    assert about["inputs"] == ["x1", "x2"]
    assert frame["problem"] is None


def test_a_step_that_fails_has_its_values_and_says_why():
    shown = study(experiment(optimizer=fn.optim.SGD(1e38), dtype="float32"), HERE)
    ts, last = shown.start, None
    for _ in range(5):
        frame = shown.frame(ts)
        if frame["problem"]:
            last = frame
            break
        ts, _ = shown.after(ts)
    assert last is not None
    assert last["after"] is None
    assert "is not finite" in last["problem"]


REFUSED = {
    "a residual": (
        {"model": fn.serial(fn.Dense(2), fn.Residual(fn.Dense(2)))},
        ".model.layers[1]: Residual has layers inside; play draws a serial of Dense layers and of layers that keep the "
        "number of units, such as Tanh",
    ),
    "one layer": ({"model": fn.Dense(2)}, ".model: expected a serial, got Dense"),
    "no dense layer": ({"model": fn.serial(fn.Tanh())}, ".model: expected 1 to 8 Dense layers, got 0"),
    "many units": (
        {"model": fn.serial(fn.Dense(65), fn.Dense(2))},
        ".model.layers[0]: has 65 units, and a column at most 64; make it smaller",
    ),
    "half of them": (
        {"model": fn.serial(fn.Dense(4), fn.Glu(), fn.Dense(2))},
        ".model.layers[1]: Glu makes the shape (2,) of (4,)",
    ),
    "many inputs": (
        {"data": fn.data.Digits(), "model": fn.serial(fn.Dense(10))},
        ".data: expected 1 to 16 inputs for each row, so that each has a place in the page, got the shape (64,); see a "
        "larger network with funcnet report",
    ),
    "a training of another kind": (
        {"training": fn.Training(steps=1, shards=2, class_weight="balanced")},
        ".training.class_weight: play shows a training without it; leave class_weight out",
    ),
    "a plateau": (
        {"optimizer": fn.optim.chain(fn.optim.SGD(0.1), fn.optim.ReduceOnPlateau(monitor="loss"))},
        ".optimizer: play has no history that ReduceOnPlateau can follow",
    ),
    "a large batch": (
        {"data": fn.data.Moons(rows=600), "training": fn.Training(steps=1, batch_size="full")},
        ".training.batch_size: play shows every row of a batch, at most 512, got 600",
    ),
    "a model that does not fit": ({"model": fn.serial(fn.Dense(1))}, "expected"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_shown_is_refused(case):
    changes, message = REFUSED[case]
    with pytest.raises(fn.FuncnetError) as caught:
        study(experiment(**changes), HERE)
    assert message in str(caught.value)


def test_of_several_inputs_two_vary_and_the_others_are_at_their_means():
    found = study(CASES["four inputs"], HERE)
    x, about = found.data.train.x, found.about()
    assert about["inputs"] == ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    assert about["surface"]["axes"] == [2, 3]  # those whose means differ most between the classes
    other = surface(found.data, (3, 1))
    assert other.about()["axes"] == [3, 1]
    points = other.points
    np.testing.assert_array_equal(points[:, [0, 2]], np.broadcast_to(np.mean(x, axis=0)[[0, 2]], (len(points), 2)))
    assert np.ptp(points[:, 3]) > np.ptp(x[:, 3])
    assert other.limits[:2] == (points[0, 3] - (points[1, 3] - points[0, 3]) / 2, other.limits[1])
    drawn = found.frame(found.start, other)
    logits = fn.predict(found.experiment.model, found.start.params, found.start.state, points)
    labels = np.frombuffer(base64.b64decode(drawn["picture"]["labels"]), np.uint8)
    np.testing.assert_array_equal(labels, np.argmax(logits, axis=1))
    first = found.frame(found.start)
    assert first["picture"] != drawn["picture"]
    assert {name: first[name] for name in ("loss", "values", "grads")} == {
        name: drawn[name] for name in ("loss", "values", "grads")
    }
