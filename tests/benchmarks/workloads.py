"""The workloads of ``steps.py``, and each of them in every library.

A library is a pair of functions that import it. ``train(workload)`` gives ``step() -> loss``, which makes one step
on a batch that stays the same; ``predict(workload, rows)`` gives ``call() -> answer`` for one NumPy array. What a
library has no words for raises ``Unsupported``. All start from the same weights, so their first losses agree.
The rate is so small that they stay there: no step is dearer than another for saturated or subnormal numbers.

Flax is not here, as a Flax network of dense layers is the JAX step below; it joins with the first workload made of
layers (a conv net, an LSTM, a transformer).
"""

import inspect
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

RATE = 1e-6


class Unsupported(Exception):
    """A library has no words for a workload; the message says which are missing."""


class Workload(NamedTuple):
    """One training step: dense layers of these sizes, an activation between them, a loss, an optimizer."""

    sizes: tuple[int, ...]
    batch: int
    optimizer: str
    loss: str
    activation: str
    bias: bool = True

    @property
    def name(self) -> str:
        return "-".join(map(str, self.sizes)) + f" x{self.batch} {self.optimizer}"

    @property
    def layers(self) -> int:
        return len(self.sizes) - 1


WORKLOADS = (
    Workload((4, 3, 3, 1), 1, "sgd", "mean_squares", "tanh"),
    Workload((4, 3, 3, 1), 32, "adam", "mean_squares", "tanh"),
    Workload((64, 64, 10), 64, "adam", "cross_entropy", "relu"),
    Workload((784, 256, 128, 10), 128, "adam", "cross_entropy", "relu"),
    Workload((1000, 100, 10), 64, "sgd", "sum_squares", "relu", bias=False),
    Workload((1024, 2048, 2048, 10), 256, "adam", "cross_entropy", "relu"),
)
INFERENCE = WORKLOADS[2]


def data(w: Workload) -> tuple[np.ndarray, np.ndarray]:
    """A fixed batch: inputs, and labels or values."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((w.batch, w.sizes[0]), np.float32)
    if w.loss == "cross_entropy":
        return x, rng.integers(0, w.sizes[-1], w.batch)
    return x, rng.standard_normal((w.batch, w.sizes[-1]), np.float32)


def weights(w: Workload) -> list[tuple[np.ndarray, np.ndarray]]:
    """The (weight, bias) of every layer, the weight as (inputs, outputs); the biases are 0."""
    rng = np.random.default_rng(1)
    return [
        (rng.standard_normal((n, m), np.float32) * np.float32((2 / (n + m)) ** 0.5), np.zeros(m, np.float32))
        for n, m in pairwise(w.sizes)
    ]


def inputs(w: Workload, rows: int) -> np.ndarray:
    """What ``predict`` answers."""
    return data(w._replace(batch=rows))[0]


# ----- funcnet -----------------------------------------------------------------------------------------------


def funcnet_parts(w: Workload) -> tuple[Any, Any, Any, Any]:
    """The network, the loss, the optimizer and the state they start from."""
    import funcnet as fn

    activation = {"relu": fn.Relu, "tanh": fn.Tanh}[w.activation]
    layers = [layer for n in w.sizes[1:] for layer in (fn.Dense(n, use_bias=w.bias), activation())]
    net = fn.serial(*layers[:-1])
    loss = {
        "mean_squares": fn.losses.MeanSquaredError,
        "sum_squares": fn.losses.SumSquaredError,
        "cross_entropy": fn.losses.SoftmaxCrossEntropy,
    }[w.loss]()
    opt = {"sgd": fn.optim.SGD, "adam": fn.optim.Adam}[w.optimizer](RATE)
    params = fn.train_state(net, opt, fn.Key(0), w.sizes[:1]).params
    for i, (weight, bias) in enumerate(weights(w)):
        params[f"dense_{i}"] = {"weight": weight, "bias": bias} if w.bias else {"weight": weight}
    return net, loss, opt, fn.train_state(net, opt, fn.Key(0), w.sizes[:1], params=params)


def funcnet_train(w: Workload, **options: Any) -> Callable[[], Any]:
    """``fn.train_step`` as anyone would call it."""
    import funcnet as fn

    net, loss, opt, ts = funcnet_parts(w)
    make, batch = fn.train_step(net, loss, opt, **options), data(w)

    def step() -> float:
        nonlocal ts
        ts, metrics = make(ts, batch)
        return metrics["loss"]

    return step


def funcnet_plain_train(w: Workload) -> Callable[[], Any]:
    """``fn.train_step`` without compilation, where there is a choice."""
    import funcnet as fn

    if "compile" not in inspect.signature(fn.train_step).parameters:
        raise Unsupported("train_step has no argument compile, so there is one column of funcnet")
    return funcnet_train(w, compile=False)


def funcnet_predict(w: Workload, rows: int) -> Callable[[], Any]:
    import funcnet as fn

    net, _, _, ts = funcnet_parts(w)
    x = inputs(w, rows)
    return lambda: fn.predict(net, ts.params, ts.state, x)


# ----- the matrix products alone -----------------------------------------------------------------------------


def bare_train(w: Workload) -> Callable[[], Any]:
    """``x W`` forward, ``xT dy`` and, but for the first layer, ``dy WT`` backward, into arrays made before."""
    matrices = [weight for weight, _ in weights(w)]
    values = [data(w._replace(batch=w.batch, sizes=(n,), loss=""))[0] for n in w.sizes]
    outs, cotangents = [np.empty_like(v) for v in values], [np.empty_like(v) for v in values]
    gradients = [np.empty_like(m) for m in matrices]

    def step() -> None:
        for i in range(w.layers):
            np.matmul(values[i], matrices[i], out=outs[i + 1])
        for i in reversed(range(w.layers)):
            np.matmul(values[i].T, values[i + 1], out=gradients[i])
            if i:
                np.matmul(values[i + 1], matrices[i].T, out=cotangents[i])

    return step


# ----- PyTorch -----------------------------------------------------------------------------------------------


def torch_network(w: Workload) -> Any:
    import torch
    from torch import nn

    activation = {"relu": nn.ReLU, "tanh": nn.Tanh}[w.activation]
    layers = [layer for n, m in pairwise(w.sizes) for layer in (nn.Linear(n, m, bias=w.bias), activation())][:-1]
    with torch.no_grad():
        for layer, (weight, bias) in zip(layers[::2], weights(w), strict=True):
            layer.weight.copy_(torch.from_numpy(weight.T))
            if w.bias:
                layer.bias.copy_(torch.from_numpy(bias))
    return nn.Sequential(*layers)


def torch_train(w: Workload, **options: Any) -> Callable[[], Any]:
    """Eager, the optimizer as it comes (on a CPU that is a loop over the tensors)."""
    import torch
    from torch.nn import functional as F

    net = torch_network(w)
    x, y = map(torch.from_numpy, data(w))
    loss = {
        "mean_squares": F.mse_loss,
        "sum_squares": lambda p, t: F.mse_loss(p, t, reduction="sum"),
        "cross_entropy": F.cross_entropy,
    }[w.loss]
    opt = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[w.optimizer](net.parameters(), lr=RATE, **options)

    def step() -> Any:
        opt.zero_grad()
        value = loss(net(x), y)
        value.backward()
        opt.step()
        return value

    return step


def torch_fused_train(w: Workload) -> Callable[[], Any]:
    """Adam as one kernel."""
    if w.optimizer != "adam":
        raise Unsupported("fused is measured for Adam")
    return torch_train(w, fused=True)


def torch_predict(w: Workload, rows: int) -> Callable[[], Any]:
    import torch

    net, x = torch_network(w).eval(), inputs(w, rows)

    def call() -> np.ndarray:
        with torch.inference_mode():
            return net(torch.from_numpy(x)).numpy()

    return call


# ----- JAX ---------------------------------------------------------------------------------------------------


def jax_forward(w: Workload) -> Callable[[Any, Any], Any]:
    import jax

    activation = {"relu": jax.nn.relu, "tanh": jax.numpy.tanh}[w.activation]

    def forward(params: Any, x: Any) -> Any:
        for i, layer in enumerate(params):
            x = x @ layer["w"] + layer["b"] if w.bias else x @ layer["w"]
            x = x if i == w.layers - 1 else activation(x)
        return x

    return forward


def jax_params(w: Workload) -> Any:
    import jax

    return jax.device_put([{"w": weight, "b": bias} if w.bias else {"w": weight} for weight, bias in weights(w)])


def jax_train(w: Workload) -> Callable[[], Any]:
    """The whole step jitted, params and optimizer state donated, waited for at every step."""
    import jax
    import optax

    forward, params = jax_forward(w), jax_params(w)
    x, y = jax.device_put(data(w))
    opt = {"sgd": optax.sgd, "adam": optax.adam}[w.optimizer](RATE)
    state = opt.init(params)

    def loss(params: Any, x: Any, y: Any) -> Any:
        p = forward(params, x)
        if w.loss == "cross_entropy":
            return optax.softmax_cross_entropy_with_integer_labels(p, y).mean()
        return ((p - y) ** 2).mean() if w.loss == "mean_squares" else ((p - y) ** 2).sum()

    def whole(params: Any, state: Any, x: Any, y: Any) -> tuple[Any, Any, Any]:
        value, grads = jax.value_and_grad(loss)(params, x, y)
        updates, state = opt.update(grads, state, params)
        return optax.apply_updates(params, updates), state, value

    jitted = jax.jit(whole, donate_argnums=(0, 1))

    def step() -> Any:
        nonlocal params, state
        params, state, value = jitted(params, state, x, y)
        return value.block_until_ready()  # the outputs of one program are ready together

    return step


def jax_predict(w: Workload, rows: int) -> Callable[[], Any]:
    import jax

    forward, params, x = jax.jit(jax_forward(w)), jax_params(w), inputs(w, rows)
    return lambda: np.asarray(forward(params, x))


# ----- scikit-learn ------------------------------------------------------------------------------------------


def sklearn_network(w: Workload) -> tuple[Any, np.ndarray, np.ndarray]:
    """An MLP that has seen its data once, so that it has arrays, with the weights put into them."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    if not w.bias or w.loss == "sum_squares":
        raise Unsupported("an MLP has biases, and a mean for its loss")
    x, y = data(w)
    classifies = w.loss == "cross_entropy"
    mlp = (MLPClassifier if classifies else MLPRegressor)(
        hidden_layer_sizes=w.sizes[1:-1],
        activation=w.activation,
        solver=w.optimizer,
        alpha=0.0,
        batch_size=w.batch,
        learning_rate_init=RATE,
        momentum=0.0,
        nesterovs_momentum=False,
        shuffle=False,
        random_state=0,
    )
    y = y if classifies or w.sizes[-1] > 1 else y[:, 0]
    mlp.partial_fit(x, y, **({"classes": np.arange(w.sizes[-1])} if classifies else {}))
    for i, (weight, bias) in enumerate(weights(w)):
        mlp.coefs_[i][...], mlp.intercepts_[i][...] = weight, bias
    return mlp, x, y


def sklearn_train(w: Workload) -> Callable[[], Any]:
    """``partial_fit``, a batch to a call; the regressor's loss is half the mean square."""
    mlp, x, y = sklearn_network(w)
    factor = 2.0 if w.loss == "mean_squares" else 1.0
    return lambda: factor * mlp.partial_fit(x, y).loss_


def sklearn_predict(w: Workload, rows: int) -> Callable[[], Any]:
    """``predict``, which gives labels."""
    mlp, _, _ = sklearn_network(w)
    x = inputs(w, rows)
    return lambda: mlp.predict(x)


# ----- Thinc -------------------------------------------------------------------------------------------------


def thinc_tanh() -> Any:
    """Thinc has the function and its derivative, but not the layer."""
    from thinc.api import Model

    def forward(model: Any, x: Any, is_train: bool) -> tuple[Any, Callable[[Any], Any]]:
        y = model.ops.xp.tanh(x)
        return y, lambda dy: dy * model.ops.dtanh(y)

    return Model("tanh", forward)


def thinc_network(w: Workload) -> Any:
    from thinc.api import Linear, Relu, Softmax, chain

    if not w.bias:
        raise Unsupported("its layers have biases")
    hidden = [Relu(n, m) if w.activation == "relu" else Linear(n, m) for m, n in pairwise(w.sizes[:-1])]
    last = (Softmax if w.loss == "cross_entropy" else Linear)(w.sizes[-1], w.sizes[-2])
    between = [thinc_tanh()] if w.activation == "tanh" else []
    net = chain(*(part for layer in hidden for part in (layer, *between)), last)
    net.initialize()
    for layer, (weight, bias) in zip([*hidden, last], weights(w), strict=True):
        layer.set_param("W", np.ascontiguousarray(weight.T))
        layer.set_param("b", bias)
    return net


def thinc_train(w: Workload) -> Callable[[], Any]:
    """No averages and no clipping of gradients, which are Thinc's defaults; its loss is not the others' number."""
    from thinc.api import SGD, Adam, CategoricalCrossentropy, L2Distance

    net, (x, y) = thinc_network(w), data(w)
    opt = {"sgd": SGD, "adam": Adam}[w.optimizer](RATE, L2=0.0, grad_clip=0.0, use_averages=False)
    loss = CategoricalCrossentropy() if w.loss == "cross_entropy" else L2Distance()

    def step() -> None:
        p, backprop = net.begin_update(x)
        dp, _ = loss(p, y)
        backprop(dp)
        net.finish_update(opt)

    return step


def thinc_predict(w: Workload, rows: int) -> Callable[[], Any]:
    net, x = thinc_network(w), inputs(w, rows)
    return lambda: net.predict(x)


# ----- the table ---------------------------------------------------------------------------------------------


class Library(NamedTuple):
    """A column: the modules it needs, the first of which it is measured to import, and its two functions."""

    modules: tuple[str, ...]
    train: Callable[[Workload], Callable[[], Any]]
    predict: Callable[[Workload, int], Callable[[], Any]] | None = None


LIBRARIES = {
    "funcnet": Library(("funcnet",), funcnet_train, funcnet_predict),
    "funcnet-plain": Library(("funcnet",), funcnet_plain_train),
    "torch": Library(("torch",), torch_train, torch_predict),
    "torch-fused": Library(("torch",), torch_fused_train),
    "jax": Library(("jax", "optax"), jax_train, jax_predict),
    "sklearn": Library(("sklearn.neural_network",), sklearn_train, sklearn_predict),
    "thinc": Library(("thinc.api",), thinc_train, thinc_predict),
    "bare": Library((), bare_train),
}
