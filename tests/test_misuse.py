"""What people write by mistake, from Python and in JSON, and what is said; or it simply works."""

import json

import numpy as np
import pytest

import funcnet as fn
from funcnet import losses, metrics, optim

NET = fn.serial(fn.Dense(4), fn.Dropout(0.5), fn.Dense(3))
PARAMS, STATE = NET.init(fn.Key(0), (3,))
X, Y = fn.Key(1).normal((12, 3), np.float32), np.arange(12) % 3
SOFTMAX, MSE = losses.SoftmaxCrossEntropy(), losses.MeanSquaredError()
HOW = {"loss": SOFTMAX, "optimizer": optim.Adam(), "key": 0, "steps": 1}
SQUARE = fn.Key(2).normal((5, 5))


class Tensor:
    """Like a tensor of another library that needs gradients."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")


SAID = {
    "a context of None": (lambda: NET.apply(PARAMS, STATE, X, None), "expected a context, fn.EVAL or fn.Context("),
    "a tensor that needs gradients": (
        lambda: fn.predict(NET, PARAMS, STATE, Tensor()),
        "expected an array, got a Tensor that cannot be read as one: Can't call numpy()",
    ),
    "a dtype that is none": (lambda: NET.init(fn.Key(0), (3,), "x"), "expected a float dtype, such as np.float32, got"),
    "a dtype of integers": (lambda: NET.init(fn.Key(0), (3,), int), "expected a float dtype, such as np.float32, got"),
    "JSON of no spec": (lambda: fn.to_json(3), "to_json: expected a spec, such as fn.Dense(3), got 3"),
    "the hash of no spec": (lambda: fn.spec_hash("x"), "to_json: expected a spec, such as fn.Dense(3), got"),
    "a summary of no network": (lambda: fn.summary(3, (2,)), "expected a network, such as fn.serial("),
    "a diagram of no network": (lambda: fn.diagram("x", (2,)), "expected a network, such as fn.serial("),
    "a pattern that is no text": (lambda: fn.tree.at(PARAMS, 3), "expected a path or pattern, such as '*/bias', got 3"),
    "a selection by no text": (lambda: fn.tree.select(PARAMS, None), "expected a path or pattern, such as '*/bias'"),
    "a negative count": (lambda: fn.Key(0).bits(-1), "expected a shape of lengths of 0 or more, got (-1,)"),
    "a shape that is none": (lambda: fn.Key(0).normal("x"), "expected a shape, such as (3, 2), or a number of draws"),
    "no network": (lambda: fn.train_step(None, SOFTMAX, optim.Adam()), "expected a network, such as"),
    "no loss": (lambda: fn.train_step(NET, None, optim.Adam()), "expected a loss, such as"),
    "a class of a loss": (lambda: fn.value_and_grad(NET, losses.MeanSquaredError), "expected a loss, such as"),
    "no path": (lambda: fn.load(None), "expected a path, such as 'net.npz', got None"),
    "no folder": (lambda: fn.load_run(None), "expected the folder of a run, such as"),
    "callbacks by name": (
        lambda: fn.fit(NET, X, Y, callbacks="x", **HOW),
        "expected callbacks with init() and update(",
    ),
    "a start of another network": (
        lambda: fn.fit(NET, X, Y, start=({"a": np.ones(2)}, {}), **HOW),
        "the starting values do not fit the network for inputs of shape (3,):",
    ),
    "a target that would broadcast": (
        lambda: MSE.apply(SQUARE, SQUARE[0]),
        "MeanSquaredError: expected a target of the prediction's shape (5, 5), got (5,)",
    ),
    "a metric that would broadcast": (lambda: metrics.RMSE()(SQUARE, SQUARE[0]), "RMSE: expected a target of the"),
    "text as a prediction": (lambda: MSE.apply([["a"]], [[1.0]]), "expected an array of real numbers, got <U1"),
    "rows of several lengths": (lambda: MSE.apply([[1.0], [1.0, 2.0]], SQUARE), "expected rows of one length, got"),
    "a masked prediction": (
        lambda: MSE.apply(np.ma.masked_greater(SQUARE, 1), SQUARE),
        "expected an array without masked entries, got",
    ),
    "masked labels": (
        lambda: metrics.Accuracy()(np.eye(3), np.ma.masked_greater(np.arange(3), 1)),
        "expected an array without masked entries, got 1 of them",
    ),
    "an activation of a Dense": (
        lambda: fn.Dense(3, activation="relu"),
        "Dense has no argument 'activation'; it is a separate layer: fn.serial(fn.Dense(64), fn.Relu())",
    ),
    "a short name of a rate": (lambda: optim.SGD(lr=0.1), "SGD has no argument 'lr'; it is learning_rate"),
    "a field with a letter less": (lambda: fn.Dense(unit=3), "Dense has no argument 'unit', did you mean 'units'?"),
    "no units": (lambda: fn.Dense(), "Dense(units, use_bias, weight_init, bias_init): missing 1 required positional"),
    "an argument too many": (lambda: fn.Relu(3), "Relu(): takes 1 positional argument but 2 were given"),
    "a name for a layer": (lambda: fn.Dense(3, name="a"), "Dense has no argument 'name'; names are given where layers"),
    "integers for floats": (
        lambda: fn.fit(NET, np.ones((50, 3), int), np.zeros(50, int), **HOW),
        "dense_0 (Dense): expected floating-point input, got int64; convert it, such as x.astype(np.float32)",
    ),
    "a monitor of Keras": (
        lambda: fn.fit(NET, X, Y, validation=0.5, callbacks=[fn.EarlyStopping("val_loss")], **HOW),
        "EarlyStopping: there is no 'val_loss' to monitor, did you mean 'validation/loss'?",
    ),
    "a name of Keras": (lambda: fn.Sequential, "module 'funcnet' has no attribute 'Sequential', did you mean 'serial'"),
    "a name of PyTorch": (lambda: fn.Linear, "module 'funcnet' has no attribute 'Linear', did you mean 'Dense'?"),
    "a short name of a loss": (lambda: losses.MSE, "module 'funcnet.losses' has no attribute 'MSE', did you mean"),
    "an optimizer at the top": (lambda: fn.Adam, "module 'funcnet' has no attribute 'Adam', did you mean fn.optim."),
}


@pytest.mark.parametrize("name", SAID)
def test_a_mistake_in_python_is_said(name):
    call, message = SAID[name]
    with pytest.raises((fn.FuncnetError, AttributeError)) as caught:
        call()
    assert str(caught.value).removeprefix("the network (Serial): ").startswith(message)


WORKS = {
    "lists for a loss": lambda: MSE.apply(SQUARE.tolist(), SQUARE.T.tolist())[0],
    "a matrix for a loss": lambda: MSE.apply(SQUARE.view(np.matrix), SQUARE.T.view(np.matrix))[0],
    "lists for a metric": lambda: metrics.RMSE()(SQUARE.tolist(), SQUARE.T.tolist()) ** 2,
    "a matrix for a metric": lambda: metrics.RMSE()(SQUARE.view(np.matrix), SQUARE.T) ** 2,
    "an array without masked entries": lambda: MSE.apply(np.ma.masked_array(SQUARE), SQUARE.T)[0],
}


@pytest.mark.parametrize("name", WORKS)
def test_what_is_like_an_array_is_one(name):
    assert float(WORKS[name]()) == pytest.approx(float(np.mean((SQUARE - SQUARE.T) ** 2)), rel=1e-12)


def test_the_gradient_of_a_matrix_is_that_of_its_array():
    plain = MSE.vjp(MSE.apply(SQUARE, SQUARE.T)[1])
    matrix = MSE.vjp(MSE.apply(SQUARE.view(np.matrix), SQUARE.T)[1])
    assert type(matrix) is np.ndarray
    np.testing.assert_array_equal(matrix, plain)


IN_JSON = {
    "a layer of PyTorch": ("linear", "$.model: unknown layer 'linear', did you mean 'dense'?"),
    "a layer in capitals": ("ReLU", "$.model: unknown layer 'ReLU', did you mean 'relu'?"),
    "a layer with a suffix": ("lstm_layer", "$.model: unknown layer 'lstm_layer', did you mean 'lstm'?"),
    "a layer with a letter less": ("dens", "$.model: unknown layer 'dens', did you mean 'dense'?"),
    "a missing field": ("dense", "$.model.units: missing; 'dense' needs"),
    "a wrong field": ({"type": "dense", "unit": 3}, "$.model.unit: unknown field of 'dense', did you mean 'units'?"),
    "a wrong type": ({"type": "dense", "units": "3"}, "$.model.units: "),
    "a number out of range": (
        {"type": "dropout", "rate": 1.5},
        "$.model.rate: must be at least 0 and below 1, got 1.5",
    ),
    "a layer of one's own": ("acme.unheard", "$.model: unknown layer 'acme.unheard'; import the module"),
}


@pytest.mark.parametrize("name", IN_JSON)
def test_a_mistake_in_json_is_said(name):
    model, message = IN_JSON[name]
    with pytest.raises(fn.SpecError) as caught:
        fn.from_json(json.dumps({"version": 1, "model": model}))
    assert str(caught.value).startswith(message)
