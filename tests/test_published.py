"""The hand-written networks that people learnt from, as specs: the published arithmetic, to the last digit given."""

import math
from pathlib import Path

import numpy as np
import pytest

import funcnet as fn
from funcnet.data.preparation import prepare
from funcnet.experiments.run import starting_state
from funcnet.spec.base import evolve

SPECS = Path(__file__).parents[1] / "specs"


def start(name, **changes):
    """An experiment of ``specs/``, its data, and its state at step 0."""
    experiment = evolve(fn.load_spec(SPECS / f"{name}.json"), **changes)
    key = fn.Key(experiment.seed)
    data = prepare(experiment.data, key, SPECS, experiment.dtype)
    return experiment, data, starting_state(experiment, key, data, SPECS)


# ----- 4-3-3-1: affine layers, squared error ---------------------------------------------------------

X = np.array([[1.0, 2.0, 3.0, 2.5]])
T = np.sin(X).mean(axis=1)


@pytest.fixture(scope="module")
def sine():
    return start("sine_4_3_3_1")


def test_sine_forward(sine):
    experiment, _, ts = sine
    y, _, _ = experiment.model.apply(ts.params, ts.state, X, fn.EVAL)
    trace = fn.backprop_trace(experiment.model, ts.params, ts.state, X, np.ones((1, 1)))
    np.testing.assert_allclose(trace["dense_0"][0], [[4.8, 1.21, 2.385]], atol=1e-12)
    np.testing.assert_allclose(trace["dense_1"][0], [[0.5031, -1.04185, -2.03875]], atol=1e-12)
    np.testing.assert_allclose(y, [[3.176794]], atol=1e-6)
    loss, _ = fn.losses.MeanSquaredError().apply(y, T)
    assert float(loss) == pytest.approx(6.523957, abs=1e-6)
    root, _ = fn.losses.RootMeanSquaredError().apply(y, T)
    assert float(root) == pytest.approx(2.554204, abs=1e-6)


def test_sine_gradient_of_the_output_layer(sine):
    experiment, _, ts = sine
    _, _, grads = fn.value_and_grad(experiment.model, experiment.loss)(ts.params, ts.state, X, T, fn.EVAL)
    np.testing.assert_allclose(grads["dense_2"]["weight"][:, 0], [2.570040, -5.322195, -10.414766], atol=1e-6)
    np.testing.assert_allclose(grads["dense_2"]["bias"], [5.108408], atol=1e-6)


def test_sine_one_step(sine):
    experiment, _, ts = sine
    after, metrics = fn.train_step(experiment.model, experiment.loss, experiment.optimizer)(ts, (X, T))
    assert metrics["loss"] == pytest.approx(6.523957, abs=1e-6)
    y = fn.predict(experiment.model, after.params, after.state, X)
    assert y.item() == pytest.approx(3.083593, abs=1e-6)
    assert (y.item() - T.item()) ** 2 == pytest.approx(6.056535, abs=1e-6)


def test_sine_all_thirty_one_derivatives(sine):
    """Entry by entry: a derivative is the sum, over the paths to the output, of the products along them."""
    experiment, _, ts = sine
    w1, w2, w3 = (ts.params[f"dense_{i}"]["weight"] for i in range(3))
    b1, b2 = (ts.params[f"dense_{i}"]["bias"] for i in range(2))
    x = X[0]
    h1 = [sum(x[i] * w1[i, j] for i in range(4)) + b1[j] for j in range(3)]
    h2 = [sum(h1[j] * w2[j, k] for j in range(3)) + b2[k] for k in range(3)]
    p = sum(h2[k] * w3[k, 0] for k in range(3)) + ts.params["dense_2"]["bias"][0]
    e = 2.0 * (p - T.item())
    expected = {"dense_2/bias": [e], "dense_2/weight": [[e * h2[k]] for k in range(3)]}
    d2 = [e * w3[k, 0] for k in range(3)]
    expected |= {"dense_1/bias": d2, "dense_1/weight": [[h1[j] * d2[k] for k in range(3)] for j in range(3)]}
    d1 = [sum(d2[k] * w2[j, k] for k in range(3)) for j in range(3)]
    expected |= {"dense_0/bias": d1, "dense_0/weight": [[x[i] * d1[j] for j in range(3)] for i in range(4)]}
    _, _, grads = fn.value_and_grad(experiment.model, experiment.loss)(ts.params, ts.state, X, T, fn.EVAL)
    flat = fn.tree.flatten(grads)
    assert sum(leaf.size for leaf in flat.values()) == 31
    assert flat.keys() == expected.keys()
    for path, values in expected.items():
        np.testing.assert_allclose(flat[path], values, rtol=1e-13, err_msg=path)


@pytest.mark.parametrize(
    ("word", "factor"),
    [
        ("mean_squared_error", 1.0),
        ("half_mean_squared_error", 0.5),
        ("sum_squared_error", 1.0),
        ("half_sum_squared_error", 0.5),
        ("root_mean_squared_error", 1.0 / (2.0 * 2.5542037)),  # d√u = du / (2√u)
    ],
)
def test_sine_losses_are_one_word_apart(sine, word, factor):
    experiment, _, ts = sine
    document = {"version": 1, "loss": word}
    f = fn.value_and_grad(experiment.model, fn.from_json(document))
    _, _, grads = f(ts.params, ts.state, X, T, fn.EVAL)
    assert grads["dense_2"]["bias"].item() == pytest.approx(5.108408 * factor, abs=1e-6)


@pytest.mark.slow
def test_sine_with_tanh_learns():
    run = fn.run(fn.load_spec(SPECS / "sine_tanh.json"))
    assert run.metrics["test"]["r2"] >= 0.95


# ----- the half-plane: one sigmoid unit, one sample at a time --------------------------------------------


def sigmoid(z):
    return 1.0 / (1.0 + math.exp(-z))


def drawn(data, ts):
    """The samples of the one epoch in the order in which training visits them."""
    order = ts.key.fold("epoch", 0).permutation(len(data.train.x))
    return data.train.x[order], data.train.y[order].astype(np.float64)


@pytest.fixture(scope="module")
def half_plane():
    experiment, data, ts = start("half_plane")
    return experiment, data, ts, fn.run(experiment)


def test_half_plane_learns(half_plane):
    _, data, ts, run = half_plane
    assert len(data.train.x) == 30_000
    assert len(data.test.x) + len(np.unique(data.parts.train)) == 40_000
    assert ts.params["dense_0"]["bias"].item() == 0.0
    assert run.metrics["test"]["accuracy"] >= 0.99


def test_half_plane_agrees_with_the_loop(half_plane):
    _, data, ts, run = half_plane
    w, b = ts.params["dense_0"]["weight"][:, 0].copy(), -ts.params["dense_0"]["bias"][0]
    rate = 0.001
    for x, t in zip(*drawn(data, ts), strict=True):
        y = sigmoid(w @ x - b)
        slope = y * (1.0 - y) * (t - y)
        w, b = w + rate * slope * x, b - rate * slope
    params = run.train_state.params["dense_0"]
    np.testing.assert_allclose(params["weight"][:, 0], w, rtol=1e-10)
    assert -params["bias"].item() == pytest.approx(b, rel=1e-10)


def test_half_plane_keeps_tiny_outputs(half_plane):
    experiment, *_ = half_plane
    params = {"dense_0": {"weight": np.array([[0.11213777], [1.67425498]]), "bias": np.array([-0.0001581])}}
    x = np.array([[-100.0, -99.0], [-100.0, -45.0], [95.0, -13.0], [64.0, -84.0]])
    y = fn.predict(experiment.model, params, {}, x)
    expected = [1.39636722e-77, 2.56722211e-38, 1.49260907e-05, 1.09327301e-58]
    np.testing.assert_allclose(y[:, 0], expected, rtol=1e-6)


def test_half_plane_saturated_start_stays():
    """A large weight vector that points the wrong way: y is 0 or 1 to rounding, y(1-y) is 0, nothing moves."""
    experiment, _, ts = start("half_plane", seed=5)
    w = ts.params["dense_0"]["weight"][:, 0]
    assert np.linalg.norm(w) > 3.0
    assert w[1] < 0.0
    run = fn.run(experiment)
    assert run.metrics["test"]["accuracy"] < 0.5


def deep_step(weights, biases, x, t, rate, *, update_first):
    """One sample through the published loop of several sigmoid layers, thresholds and all.

    ``update_first`` is the published order: a layer is updated, and then the error goes through its new weights.
    """
    outs = [x]
    for w, b in zip(weights, biases, strict=True):
        outs.append(np.array([sigmoid(z) for z in outs[-1] @ w - b]))
    weights, biases = list(weights), list(biases)
    back = t - outs[-1]
    for i in reversed(range(len(weights))):
        delta = back * outs[i + 1] * (1.0 - outs[i + 1])
        old = weights[i]
        weights[i], biases[i] = old + rate * np.outer(outs[i], delta), biases[i] - rate * delta
        back = (weights[i] if update_first else old) @ delta
    return weights, biases


def test_half_plane_deep_equals_propagating_first():
    experiment, data, ts = start("half_plane_2_4_3_1")
    step = fn.train_step(experiment.model, experiment.loss, experiment.optimizer)
    names = ["dense_0", "dense_1", "dense_2"]
    weights = [ts.params[name]["weight"] for name in names]
    biases = [-ts.params[name]["bias"] for name in names]
    samples = [(x, t) for x, t in zip(*drawn(data, ts), strict=True)][:500]
    published = weights, biases
    off = 0.0
    for x, t in samples:
        wrong, _ = deep_step(weights, biases, x, t, 0.1, update_first=True)
        new, biases = deep_step(weights, biases, x, t, 0.1, update_first=False)
        moved = np.linalg.norm(new[0] - weights[0])
        if moved > 1e-12:
            off = max(off, np.linalg.norm(wrong[0] - new[0]) / moved)
        np.testing.assert_array_equal(wrong[-1], new[-1])  # the output layer's step is the gradient in both
        weights = new
        published = deep_step(*published, x, t, 0.1, update_first=True)
        ts, _ = step(ts, (x[None], t[None]))
    for i, name in enumerate(names):
        np.testing.assert_allclose(ts.params[name]["weight"], weights[i], rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(-ts.params[name]["bias"], biases[i], rtol=1e-12, atol=1e-14)
    # how far the published order is off: its first layer's worst step, and where 500 steps of it lead
    apart = np.linalg.norm(published[0][0] - weights[0]) / np.linalg.norm(weights[0])
    assert off == pytest.approx(0.198, rel=0.01)
    assert apart == pytest.approx(0.0623, rel=0.01)


# ----- two layers, ReLU, summed squares --------------------------------------------------------------------


@pytest.mark.parametrize("steps", [40, pytest.param(500, marks=pytest.mark.slow)])
def test_two_layer_relu_agrees_with_the_loop(steps):
    experiment, data, ts = start("two_layer_relu")
    x, y = data.train.x, data.train.y
    assert (x.shape, y.shape) == ((64, 1000), (64, 10))
    w1, w2 = ts.params["dense_0"]["weight"], ts.params["dense_1"]["weight"]
    assert fn.tree.flatten(ts.params).keys() == {"dense_0/weight", "dense_1/weight"}
    losses = []
    for _ in range(steps):
        h = x @ w1
        relu = np.maximum(h, 0.0)
        p = relu @ w2
        losses.append(np.square(p - y).sum())
        dp = 2.0 * (p - y)
        dw2 = relu.T @ dp
        dh = (dp @ w2.T) * (h > 0.0)
        w1, w2 = w1 - 1e-6 * (x.T @ dh), w2 - 1e-6 * dw2
    assert experiment.training.steps == 500
    training = evolve(experiment.training, steps=steps)
    ours = [row["loss"] for row in fn.run(evolve(experiment, training=training)).history]
    assert len(ours) == steps
    np.testing.assert_allclose(ours[:100], losses[:100], rtol=1e-9)
    np.testing.assert_allclose(ours, losses, rtol=1e-6)
