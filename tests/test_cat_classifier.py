"""The cat classifier against the loop that people write: z = W a + b, relu, sigmoid, and the way back."""

import json
from pathlib import Path

import numpy as np
import pytest

import funcnet as fn
from funcnet.data import CatImages

SPECS = Path(__file__).parents[1] / "specs"
SIBLINGS = ("cat_classifier", "cat_classifier_momentum", "cat_classifier_adam", "cat_classifier_sgd")
DENSE = ("dense_0", "dense_1", "dense_2", "dense_3")
RELU = ("relu_0", "relu_1", "relu_2")


def parts(name):
    """The model, loss, optimizer and training of a spec."""
    tree = json.loads((SPECS / f"{name}.json").read_text(encoding="utf-8"))
    kinds = ("model", "loss", "optimizer", "training")
    return [fn.from_json({"version": tree["version"], kind: tree[kind]}) for kind in kinds]


def flat(table, part, dtype):
    """Images of one part as the specs prepare them: flattened, divided by 255."""
    rows = table.part == part
    return (table.x[rows].reshape(rows.sum(), -1) / 255.0).astype(dtype), table.y[rows]


def test_siblings_differ_in_optimizer_and_training_alone():
    specs = [json.loads((SPECS / f"{name}.json").read_text(encoding="utf-8")) for name in SIBLINGS]
    for spec in specs[1:]:
        assert {field for field in spec if spec[field] != specs[0][field]} == {"optimizer", "training"}
    assert specs[0]["data"] == {"type": "cat_images", "flatten": True, "divide": 255}
    assert [spec["training"]["batch_size"] for spec in specs] == ["full", 64, 64, 1]
    assert specs[0]["optimizer"] == {"type": "sgd", "learning_rate": 0.0075}


def test_the_network_is_12288_20_7_5_1_from_he_normal_weights():
    net, loss, _, _ = parts("cat_classifier")
    params, state = net.init(fn.Key(0), (12288,))
    assert loss == fn.losses.BinaryCrossEntropy()
    assert [layer.tag for layer in net.children.values()] == ["dense", "relu"] * 3 + ["dense", "sigmoid"]
    assert [params[name]["weight"].shape for name in DENSE] == [(12288, 20), (20, 7), (7, 5), (5, 1)]
    assert all(not params[name]["bias"].any() for name in DENSE)
    assert params["dense_0"]["weight"].std() == pytest.approx(np.sqrt(2.0 / 12288.0), rel=0.01)
    assert state == {}


# ----- the loop, written out; a column for each image -----------------------------------------------------------


def relu(z):
    return np.maximum(z, 0.0)


def forward(weights, biases, x):
    """z and a of every layer."""
    zs, activations, a = [], [x], x
    for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        z = weight @ a + bias
        a = 1.0 / (1.0 + np.exp(-z)) if i == len(weights) - 1 else relu(z)
        zs.append(z)
        activations.append(a)
    return zs, activations


def cost(a, y):
    m = y.shape[1]
    return -np.sum(y * np.log(a) + (1.0 - y) * np.log(1.0 - a)) / m


def backward(weights, zs, activations, y):
    """dA, dZ, dW and db of every layer."""
    m, last = y.shape[1], len(weights) - 1
    a = activations[-1]
    da = -(y / a - (1.0 - y) / (1.0 - a))
    found = []
    for i in range(last, -1, -1):
        dz = da * a * (1.0 - a) if i == last else da * (zs[i] > 0.0)
        dw = dz @ activations[i].T / m
        db = np.sum(dz, axis=1, keepdims=True) / m
        found.insert(0, (da, dz, dw, db))
        da = weights[i].T @ dz
    return found


def close(found, expected):
    """Equal to 1e-9 of the largest entry."""
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-9 * np.abs(expected).max()


@pytest.fixture(scope="module")
def images():
    return CatImages().table(Path(), fn.Key(0).fold("data"))


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "plain"])
def test_five_steps_agree_with_the_written_out_loop(images, compiled):
    net, loss, opt, _ = parts("cat_classifier")
    x, y = (array[:40] for array in flat(images, 0, np.float64))
    m, rate = len(y), opt.learning_rate
    ts = fn.train_state(net, opt, fn.Key(0), (12288,), np.float64)
    step = fn.train_step(net, loss, opt, compile=compiled)
    weights = [ts.params[name]["weight"].T.copy() for name in DENSE]
    biases = [ts.params[name]["bias"][:, None].copy() for name in DENSE]
    columns, row = x.T, y[None].astype(float)
    costs = []
    for _ in range(5):
        zs, activations = forward(weights, biases, columns)
        found = backward(weights, zs, activations, row)

        prediction = fn.predict(net, ts.params, ts.state, x)
        _, residuals = loss.apply(prediction, y)
        trace = fn.backprop_trace(net, ts.params, ts.state, x, loss.vjp(residuals))
        assert list(trace) == ["dense_0", "relu_0", "dense_1", "relu_1", "dense_2", "relu_2", "dense_3", "sigmoid_0"]
        for i, name in enumerate(DENSE):
            da, dz, dw, db = found[i]
            output, cotangent, gradients = trace[name]
            close(output, zs[i].T)
            close(cotangent, dz.T / m)  # the loop's dA and dZ are those of the sum, before its mean
            close(gradients["weight"], dw.T)
            close(gradients["bias"], db[:, 0])
            output, cotangent, gradients = trace[(*RELU, "sigmoid_0")[i]]
            close(output, activations[i + 1].T)
            close(cotangent, da.T / m)
            assert gradients == {}

        ts, metrics = step(ts, (x, y))
        costs.append(cost(activations[-1], row))
        close(np.array(metrics["loss"]), costs[-1])
        for i, (_, _, dw, db) in enumerate(found):
            weights[i] = weights[i] - rate * dw
            biases[i] = biases[i] - rate * db
            close(ts.params[DENSE[i]]["weight"], weights[i].T)
            close(ts.params[DENSE[i]]["bias"], biases[i][:, 0])
    assert len(set(costs)) == 5
    assert all((z > 0.0).any() for z in zs[:-1])  # no layer was dead, where anything would agree


# ----- what is learnt ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_network_tells_rings_that_a_linear_classifier_does_not(images):
    net, loss, opt, training = parts("cat_classifier_momentum")
    train, test = flat(images, 0, np.float32), flat(images, 2, np.float32)
    accuracy = (fn.metrics.Accuracy(),)

    def score(net, loss, opt, **how):
        ts = fn.fit(net, train, loss=loss, optimizer=opt, key=fn.Key(0), **how).train_state
        return [fn.evaluate(net, loss, ts.params, ts.state, part, accuracy)["accuracy"] for part in (train, test)]

    deep = score(net, loss, opt, epochs=training.epochs, batch_size=training.batch_size)
    assert deep[1] >= 0.9
    # logistic regression: it learns its training part by heart, and nothing else
    linear = score(
        fn.serial(fn.Dense(1)), fn.losses.SigmoidCrossEntropy(), fn.optim.Adam(1e-3), epochs=200, batch_size=64
    )
    assert linear[0] >= 0.9
    assert linear[1] < 0.7
