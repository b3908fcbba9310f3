"""Record what PyTorch and optax compute, for tests that need neither of them.

    python tests/golden/make_golden.py

writes ``layers.npz``, ``losses.npz`` and ``optimizers.npz`` beside this file, in an environment with
torch 2.13.0 (CPU), optax 0.2.8, jax 0.10.2 and numpy 2.4.6; each archive names them in ``versions``.
Members are called ``<case>/<what>``; they are float64, labels int64. Inputs of layers and losses are
numbers that float32 holds exactly, so that a run in float32 starts from the same values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import archive
import jax  # type: ignore[import-not-found]
import numpy as np
import numpy.typing as npt
import optax  # type: ignore[import-not-found]
import torch  # type: ignore[import-not-found]
import torch.nn.functional as F  # type: ignore[import-not-found]

jax.config.update("jax_enable_x64", True)
torch.set_num_threads(1)

Array = npt.NDArray[Any]
Arrays = dict[str, Array]
VERSIONS = ", ".join(f"{library.__name__} {library.__version__}" for library in (torch, optax, jax, np))


def single(values: Any) -> Array:
    """float64 numbers that float32 holds exactly"""
    return np.asarray(values, np.float32).astype(np.float64)


def normal(seed: int, *shape: int, mean: float = 0.0, std: float = 1.0) -> Array:
    return single(mean + std * np.random.RandomState(seed).standard_normal(shape))


def uniform(seed: int, *shape: int, low: float = 0.0, high: float = 1.0) -> Array:
    return single(np.random.RandomState(seed).uniform(low, high, shape))


def leaf(value: Array) -> Any:
    return torch.tensor(value, dtype=torch.float64, requires_grad=True)


def under(prefix: str, arrays: Mapping[str, Array]) -> Arrays:
    return {f"{prefix}/{name}": np.asarray(array) for name, array in arrays.items()}


def save(name: str, arrays: Arrays) -> None:
    archive.save(Path(__file__).with_name(f"{name}.npz"), arrays, VERSIONS)


# Layers: parameters are in our layout, (in, out), and turned to PyTorch's inside the graph, so that
# the gradients come back in ours.


def dense(x: Any, params: Mapping[str, Any], prefix: str = "") -> Any:
    return F.linear(x, params[f"{prefix}weight"].T, params.get(f"{prefix}bias"))


def batch_norm(
    x: Any, params: Mapping[str, Any], state: Mapping[str, Any], *, train: bool, keep: float = 0.7, prefix: str = ""
) -> Any:
    """Channels last, on PyTorch's channels first; ``state`` is updated in place, as PyTorch does."""
    return F.batch_norm(
        x.movedim(-1, 1),
        state[f"{prefix}running_mean"],
        state[f"{prefix}running_var"],
        params.get(f"{prefix}scale"),
        params.get(f"{prefix}bias"),
        train,
        1.0 - keep,
        1e-3,
    ).movedim(1, -1)


def run_layer(
    name: str,
    forward: Callable[..., Any],
    x: Array,
    params: Mapping[str, Array] | None = None,
    state: Mapping[str, Array] | None = None,
) -> Arrays:
    """One case: ``forward(x, params, state)`` with tensors in place of the arrays."""
    params, state = params or {}, state or {}
    tensor_x, tensors = leaf(x), {path: leaf(value) for path, value in params.items()}
    buffers = {path: torch.tensor(value) for path, value in state.items()}
    y = forward(tensor_x, tensors, buffers)
    dy = normal(100, *y.shape)
    y.backward(torch.tensor(dy))
    return under(
        name,
        {
            "x": x,
            "y": y.detach().numpy(),
            "dy": dy,
            "dx": tensor_x.grad.numpy(),
            **under("params", params),
            **under("dparams", {path: tensor.grad.numpy() for path, tensor in tensors.items()}),
            **under("state", state),
            **under("new_state", {path: buffer.numpy() for path, buffer in buffers.items()}),
        },
    )


def layers() -> Iterator[Arrays]:
    weight, bias = normal(1, 4, 3), normal(2, 3)
    yield run_layer("dense", lambda x, p, s: dense(x, p), normal(3, 6, 4), {"weight": weight, "bias": bias})
    yield run_layer("dense_no_bias", lambda x, p, s: dense(x, p), normal(4, 6, 4), {"weight": weight})
    yield run_layer("dense_3d", lambda x, p, s: dense(x, p), normal(5, 2, 5, 4), {"weight": weight, "bias": bias})
    yield run_layer("dense_3d_no_bias", lambda x, p, s: dense(x, p), normal(6, 2, 5, 4), {"weight": weight})

    # a kink at 0, the tails, and values between
    edges = single([0.0, 1e-6, -1e-6, 0.84, 0.85, -1.24, 1.26, -2.8, 2.9, -6.0, 8.6, 30.0, -30.0, 100.0])
    x = np.concatenate([edges, normal(7, 26, std=2.0)]).reshape(8, 5)
    activations: dict[str, Callable[[Any], Any]] = {
        "relu": F.relu,
        "leaky_relu": lambda x: F.leaky_relu(x, 0.2),
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        "gelu": F.gelu,
        "gelu_approximate": lambda x: F.gelu(x, approximate="tanh"),
    }
    for name, function in activations.items():
        yield run_layer(name, lambda x, p, s, f=function: f(x), x)
    rows = normal(8, 2, 4, 5, std=3.0)
    rows[0, 0], rows[1, 2] = [1e4, -1e4, 0.0, 1e4, -1e4], [-1e4, 1e4, 1e4 - 2.0, 0.0, 5.0]
    yield run_layer("softmax", lambda x, p, s: F.softmax(x, -1), rows)
    yield run_layer("log_softmax", lambda x, p, s: F.log_softmax(x, -1), rows)

    affine = {"scale": normal(9, 3, mean=1.0, std=0.3), "bias": normal(10, 3)}
    running = {"running_mean": normal(11, 3), "running_var": uniform(12, 3, low=0.5, high=2.0)}
    images = normal(13, 3, 4, 2, 3, mean=1.5, std=2.0)
    for mode, train in (("train", True), ("eval", False)):

        def normalized(x: Any, p: Any, s: Any, train: bool = train) -> Any:
            return batch_norm(x, p, s, train=train)

        yield run_layer(f"batch_norm_{mode}", normalized, normal(14, 7, 3, mean=-1.0), affine, running)
        yield run_layer(f"batch_norm_3d_{mode}", normalized, normal(15, 3, 4, 3), affine, running)
        yield run_layer(f"batch_norm_4d_{mode}", normalized, images, affine, running)
        yield run_layer(f"batch_norm_no_scale_{mode}", normalized, images, {"bias": affine["bias"]}, running)
        yield run_layer(f"batch_norm_no_bias_{mode}", normalized, images, {"scale": affine["scale"]}, running)
    yield run_layer(
        "batch_norm_two_rows_train", lambda x, p, s: batch_norm(x, p, s, train=True), normal(16, 2, 3), affine, running
    )

    inner = {"dense_0/weight": normal(17, 4, 5, std=0.5), "dense_0/bias": normal(18, 5)}
    yield run_layer(
        "residual",
        lambda x, p, s: torch.tanh(dense(x, p, "dense_0/")) + x,
        normal(19, 6, 5),
        {"dense_0/weight": normal(20, 5, 5, std=0.5), "dense_0/bias": normal(21, 5)},
    )
    yield run_layer(
        "residual_projection",
        lambda x, p, s: torch.tanh(dense(x, p, "dense_0/")) + dense(x, p, "projection/"),
        normal(22, 6, 4),
        {**inner, "projection/weight": normal(23, 4, 5), "projection/bias": normal(24, 5)},
    )

    def network(x: Any, p: Any, s: Any, train: bool) -> Any:
        hidden = batch_norm(dense(x, p, "dense_0/"), p, s, train=train, prefix="batch_norm_0/")
        return dense(F.relu(hidden), p, "dense_1/")

    net = {
        **inner,
        "batch_norm_0/scale": normal(25, 5, mean=1.0, std=0.3),
        "batch_norm_0/bias": normal(26, 5),
        "dense_1/weight": normal(27, 5, 3),
        "dense_1/bias": normal(28, 3),
    }
    net_state = {
        "batch_norm_0/running_mean": normal(29, 5),
        "batch_norm_0/running_var": uniform(30, 5, low=0.5, high=2.0),
    }
    yield run_layer("network_train", lambda x, p, s: network(x, p, s, True), normal(31, 9, 4), net, net_state)
    yield run_layer("network_eval", lambda x, p, s: network(x, p, s, False), normal(31, 9, 4), net, net_state)


# Losses: each is given by its terms, which PyTorch returns for reduction="none".


def run_loss(
    name: str,
    terms: Callable[[Any, Any], Any],
    prediction: Array,
    target: Array,
    weight: Array | None = None,
    *,
    reduction: str = "mean",
    finish: Callable[[Any], Any] = lambda value: value,
) -> Arrays:
    """One case: ``finish`` of the sum or (weighted) mean of the terms."""
    p = leaf(prediction)
    each = terms(p, torch.tensor(target))
    if weight is None:
        w = torch.ones_like(each)
    else:
        w = torch.tensor(weight).reshape(*weight.shape, *(1,) * (each.ndim - weight.ndim)).expand(each.shape)
    total = (w * each).sum()
    value = finish(total / w.sum() if reduction == "mean" else total)
    value.backward()
    arrays = {"prediction": prediction, "target": target, "value": value.detach().numpy(), "gradient": p.grad.numpy()}
    return under(name, arrays if weight is None else {**arrays, "weight": weight})


def cross_entropy(logits: Any, target: Any, **options: Any) -> Any:
    """Rows of terms; PyTorch wants the classes on axis 1."""
    target = target if target.dtype == torch.int64 else target.movedim(-1, 1)
    return F.cross_entropy(logits.movedim(-1, 1), target, reduction="none", **options)


def losses() -> Iterator[Arrays]:
    p, t = normal(1, 6, 4), normal(2, 6, 4)
    t[0, 0] = p[0, 0]  # an error of exactly 0
    p[1, 1], t[1, 1] = 1.0, 0.5
    sample = uniform(3, 6)
    sample[2] = 0.0
    weights = {"": None, "_sample_weight": sample, "_term_weight": uniform(4, 6, 4)}

    def square(p: Any, t: Any) -> Any:
        return F.mse_loss(p, t, reduction="none")

    for suffix, weight in weights.items():
        yield run_loss(f"mean_squared_error{suffix}", square, p, t, weight)
        yield run_loss(f"half_mean_squared_error{suffix}", square, p, t, weight, finish=lambda v: 0.5 * v)
        yield run_loss(f"root_mean_squared_error{suffix}", square, p, t, weight, finish=torch.sqrt)
        yield run_loss(f"sum_squared_error{suffix}", square, p, t, weight, reduction="sum")
        yield run_loss(
            f"half_sum_squared_error{suffix}", square, p, t, weight, reduction="sum", finish=lambda v: 0.5 * v
        )
        yield run_loss(f"mean_absolute_error{suffix}", lambda p, t: F.l1_loss(p, t, reduction="none"), p, t, weight)
        yield run_loss(f"huber{suffix}", lambda p, t: F.huber_loss(p, t, reduction="none", delta=0.7), p, t, weight)
        yield run_loss(f"huber_delta_1{suffix}", lambda p, t: F.huber_loss(p, t, reduction="none"), 2.0 * p, t, weight)
    # PyTorch's own reductions, which the terms above stand for
    yield run_loss("mean_squared_error_own_mean", lambda p, t: F.mse_loss(p, t)[None], p, t)
    yield run_loss("sum_squared_error_own_sum", lambda p, t: F.mse_loss(p, t, reduction="sum")[None], p, t)
    yield run_loss("mean_squared_error_3d", square, normal(5, 2, 3, 4), normal(6, 2, 3, 4), uniform(7, 2))
    yield run_loss("mean_squared_error_column", lambda p, t: square(p[:, 0], t), normal(8, 5, 1), normal(9, 5))
    yield run_loss("mean_squared_error_row", lambda p, t: square(p, t[:, 0]), normal(8, 5), normal(9, 5, 1))

    q, b = uniform(10, 6, 4, low=0.02, high=0.98), uniform(11, 6, 4)
    b[:3] = (b[:3] > 0.5) * 1.0
    clipped_q = single([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 1e-14, 1e-30]])
    clipped_b = single([[0.0, 1.0, 0.0, 1.0], [0.5, 0.25, 1.0, 0.75]])
    edge_q = single([[1.0 - 2.0**-24, 1.0 - 2.0**-24, 2.0**-24], [1e-9, 1e-6, 0.5]])
    edge_b = single([[0.0, 1.0, 0.0], [1.0, 0.25, 0.5]])

    def binary(p: Any, t: Any) -> Any:
        return F.binary_cross_entropy(p, t, reduction="none")

    def binary_logits(z: Any, t: Any) -> Any:
        return F.binary_cross_entropy_with_logits(z, t, reduction="none")

    edge_z = single([[0.0, -0.0, 1e4, -1e4], [30.0, -30.0, 1e4, -1e4], [90.0, -90.0, 12.0, -12.0]])
    edge_t = single([[0.0, 1.0, 0.0, 1.0], [0.5, 0.25, 1.0, 0.0], [0.5, 1.0, 0.0, 1.0]])
    z = normal(12, 6, 4, std=3.0)
    for suffix, weight in weights.items():
        yield run_loss(f"binary_cross_entropy{suffix}", binary, q, b, weight)
        yield run_loss(f"sigmoid_cross_entropy{suffix}", binary_logits, z, b, weight)
    yield run_loss("binary_cross_entropy_clipped", binary, clipped_q, clipped_b)
    yield run_loss("binary_cross_entropy_edges", binary, edge_q, edge_b)
    yield run_loss("sigmoid_cross_entropy_edges", binary_logits, edge_z, edge_t)
    yield run_loss("binary_cross_entropy_own_mean", lambda p, t: F.binary_cross_entropy(p, t)[None], q, b)
    yield run_loss(
        "sigmoid_cross_entropy_column",
        lambda z, t: binary_logits(z[:, 0], t),
        normal(13, 5, 1),
        single([0, 1, 1, 0, 1]),
    )

    logits, labels = normal(14, 8, 5, std=2.0), np.random.RandomState(15).randint(0, 5, 8)
    logits[0], labels[0] = [1e4, -1e4, 0.0, 3.0, 1e4], 2
    logits[1], labels[1] = [0.0, -1e4, 1e4, 3.0, 0.0], 2
    steps, step_labels = normal(16, 4, 6, 5, std=2.0), np.random.RandomState(17).randint(0, 5, (4, 6))
    raw = np.random.RandomState(18).gamma(1.0, size=(8, 5))
    soft = single(raw / raw.sum(axis=-1, keepdims=True))
    mask = (np.random.RandomState(19).uniform(size=(4, 6)) > 0.4) * 1.0
    maps, map_labels = normal(25, 2, 3, 4, 5, std=2.0), np.random.RandomState(26).randint(0, 5, (2, 3, 4))
    step_soft = single(np.random.RandomState(20).dirichlet(np.ones(5), (4, 6)))
    for suffix, options in (("", {}), ("_smoothing", {"label_smoothing": 0.1})):

        def rows(z: Any, t: Any, options: Any = options) -> Any:
            return cross_entropy(z, t, **options)

        yield run_loss(f"softmax_cross_entropy_labels{suffix}", rows, logits, labels)
        yield run_loss(f"softmax_cross_entropy_labels_weight{suffix}", rows, logits, labels, uniform(21, 8))
        yield run_loss(f"softmax_cross_entropy_probabilities{suffix}", rows, logits[2:], soft[2:])
        yield run_loss(f"softmax_cross_entropy_not_normalized{suffix}", rows, logits[2:], 0.5 * soft[2:] + 0.125)
        yield run_loss(
            f"softmax_cross_entropy_probabilities_weight{suffix}", rows, logits[2:], soft[2:], uniform(22, 6)
        )
        yield run_loss(f"softmax_cross_entropy_steps{suffix}", rows, steps, step_labels)
        yield run_loss(f"softmax_cross_entropy_steps_sample_weight{suffix}", rows, steps, step_labels, uniform(23, 4))
        yield run_loss(f"softmax_cross_entropy_steps_mask{suffix}", rows, steps, step_labels, mask)
        yield run_loss(f"softmax_cross_entropy_steps_probabilities{suffix}", rows, steps, step_soft)

        def own_mean(z: Any, t: Any, options: Any = options) -> Any:
            return F.cross_entropy(z.movedim(-1, 1), t, ignore_index=-100, **options)[None]

        for name, z, t in (("labels", logits, labels), ("steps", steps, step_labels), ("maps", maps, map_labels)):
            ignored = np.where(np.random.RandomState(24).uniform(size=t.shape) < 0.4, -100, t)
            yield run_loss(f"softmax_cross_entropy_{name}_ignored{suffix}", own_mean, z, ignored)
    yield run_loss(
        "softmax_cross_entropy_own_mean", lambda z, t: F.cross_entropy(z, t, label_smoothing=0.1)[None], logits, labels
    )


# Optimizers: 300 steps on a quadratic with noisy gradients, g_t = curvature (p - centre) + noise_t.

STEPS = 300
KEPT = (1, 2, 3, 10, 100, 300)
SHAPES = {"weight": (4, 3), "bias": (3,)}
PROBLEM: dict[str, Arrays] = {
    "start": {name: normal(i, *shape) for i, (name, shape) in enumerate(SHAPES.items())},
    "centre": {name: normal(10 + i, *shape) for i, (name, shape) in enumerate(SHAPES.items())},
    "curvature": {name: uniform(20 + i, *shape, low=0.1) for i, (name, shape) in enumerate(SHAPES.items())},
    "noise": {name: normal(30 + i, STEPS, *shape, std=0.5) for i, (name, shape) in enumerate(SHAPES.items())},
}


def gradients(params: Mapping[str, Array], step: int) -> Arrays:
    centre, curvature, noise = PROBLEM["centre"], PROBLEM["curvature"], PROBLEM["noise"]
    return {name: curvature[name] * (params[name] - centre[name]) + noise[name][step] for name in SHAPES}


def kept(name: str, trajectory: list[Arrays]) -> Arrays:
    return under(name, {leaf: np.stack([trajectory[step - 1][leaf] for step in KEPT]) for leaf in SHAPES})


def run_torch(name: str, make: Callable[[list[Any]], Any], schedule: Callable[[Any], Any] | None = None) -> Arrays:
    params = {path: leaf(value) for path, value in PROBLEM["start"].items()}
    optimizer = make(list(params.values()))
    scheduler = schedule(optimizer) if schedule else None
    trajectory = []
    for step in range(STEPS):
        values = {path: tensor.detach().numpy().copy() for path, tensor in params.items()}
        for path, gradient in gradients(values, step).items():
            params[path].grad = torch.tensor(gradient)
        optimizer.step()
        if scheduler:
            scheduler.step()
        trajectory.append({path: tensor.detach().numpy().copy() for path, tensor in params.items()})
    return kept(f"torch/{name}", trajectory)


def run_optax(name: str, optimizer: Any) -> Arrays:
    params = {path: jax.numpy.asarray(value) for path, value in PROBLEM["start"].items()}
    state = optimizer.init(params)
    trajectory = []
    for step in range(STEPS):
        values = {path: np.asarray(value) for path, value in params.items()}
        updates, state = optimizer.update(gradients(values, step), state, params)
        params = optax.apply_updates(params, updates)
        trajectory.append({path: np.asarray(value) for path, value in params.items()})
    return kept(f"optax/{name}", trajectory)


def wide(schedule: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The schedule in float64; from optax's own int32 count it would be computed in float32."""
    return lambda step: schedule(jax.numpy.asarray(step, jax.numpy.int64))


def optimizers() -> Iterator[Arrays]:
    yield {f"problem/{what}/{path}": value for what, leaves in PROBLEM.items() for path, value in leaves.items()}
    yield {"problem/kept": np.array(KEPT)}
    unusual = {"lr": 3e-2, "betas": (0.7, 0.95), "eps": 1e-3}
    optim = torch.optim
    yield run_torch("sgd", lambda p: optim.SGD(p, 0.05))
    yield run_torch("sgd_momentum", lambda p: optim.SGD(p, 0.05, momentum=0.8))
    yield run_torch("sgd_nesterov", lambda p: optim.SGD(p, 0.05, momentum=0.8, nesterov=True))
    yield run_torch("adam", lambda p: optim.Adam(p))
    yield run_torch("adam_unusual", lambda p: optim.Adam(p, **unusual))
    yield run_torch("adamw", lambda p: optim.AdamW(p))
    yield run_torch("adamw_unusual", lambda p: optim.AdamW(p, **unusual, weight_decay=0.2))
    yield run_torch("rmsprop", lambda p: optim.RMSprop(p))
    yield run_torch("rmsprop_unusual", lambda p: optim.RMSprop(p, 3e-2, alpha=0.8, eps=1e-3))
    yield run_torch("rmsprop_centered", lambda p: optim.RMSprop(p, 1e-2, alpha=0.9, eps=1e-3, centered=True))
    yield run_torch("rmsprop_momentum", lambda p: optim.RMSprop(p, 1e-2, alpha=0.9, momentum=0.6))
    yield run_torch(
        "rmsprop_centered_momentum",
        lambda p: optim.RMSprop(p, 1e-2, alpha=0.9, eps=1e-3, centered=True, momentum=0.6),
    )
    step_lr, cosine_lr = optim.lr_scheduler.StepLR, optim.lr_scheduler.CosineAnnealingLR
    yield run_torch("sgd_momentum_step", lambda p: optim.SGD(p, 0.1, momentum=0.8), lambda o: step_lr(o, 40, gamma=0.5))
    yield run_torch("adamw_step", lambda p: optim.AdamW(p, 0.1, weight_decay=0.2), lambda o: step_lr(o, 90))
    yield run_torch("adam_cosine", lambda p: optim.Adam(p, 0.1), lambda o: cosine_lr(o, STEPS, eta_min=0.01))

    warmup = wide(optax.warmup_cosine_decay_schedule(0.0, 0.1, 50, 250, 0.01))
    yield run_optax("sgd", optax.sgd(0.05))
    yield run_optax("sgd_momentum", optax.sgd(0.05, momentum=0.8))
    yield run_optax("sgd_nesterov", optax.sgd(0.05, momentum=0.8, nesterov=True))
    yield run_optax("adam", optax.adam(1e-3))
    yield run_optax("adam_unusual", optax.adam(3e-2, b1=0.7, b2=0.95, eps=1e-3))
    yield run_optax("adamw", optax.adamw(1e-3, weight_decay=0.01))
    yield run_optax("adamw_unusual", optax.adamw(3e-2, b1=0.7, b2=0.95, eps=1e-3, weight_decay=0.2))
    rms = {"decay": 0.9, "eps": 1e-3, "eps_in_sqrt": False}
    yield run_optax("rmsprop", optax.rmsprop(1e-2, **rms))
    yield run_optax("rmsprop_centered", optax.rmsprop(1e-2, **rms, centered=True))
    yield run_optax("rmsprop_momentum", optax.rmsprop(1e-2, **rms, momentum=0.6))
    yield run_optax("sgd_momentum_warmup_cosine", optax.sgd(warmup, momentum=0.8))
    clip = optax.clip_by_global_norm(2.5)  # some gradients are longer and some are not
    yield run_optax("clip_sgd", optax.chain(clip, optax.sgd(0.05)))
    yield run_optax("clip_adamw_warmup_cosine", optax.chain(clip, optax.adamw(warmup, weight_decay=0.2)))

    yield {"schedules/torch/step": rates(lambda o: step_lr(o, 40, gamma=0.5))}
    yield {"schedules/torch/step_default": rates(lambda o: step_lr(o, 90))}
    yield {"schedules/torch/cosine": rates(lambda o: cosine_lr(o, STEPS))}
    yield {"schedules/torch/cosine_end": rates(lambda o: cosine_lr(o, STEPS, eta_min=0.01))}
    steps = np.arange(STEPS + 1)
    for name, schedule in {
        "cosine": optax.cosine_decay_schedule(0.1, 250, alpha=0.1),
        "warmup_cosine": warmup,
        "warmup_cosine_no_end": optax.warmup_cosine_decay_schedule(0.0, 0.1, 50, 250),
        "warmup_cosine_no_warmup": optax.warmup_cosine_decay_schedule(0.0, 0.1, 0, 250, 0.01),
    }.items():
        yield {f"schedules/optax/{name}": np.array([float(schedule(step)) for step in steps])}


def rates(schedule: Callable[[Any], Any]) -> Array:
    """The learning rate of updates 0 … STEPS, starting at 0.1."""
    optimizer = torch.optim.SGD([leaf(np.zeros(1))], 0.1)
    scheduler, found = schedule(optimizer), []
    for _ in range(STEPS + 1):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return np.array(found)


def collect(parts: Iterator[Arrays]) -> Arrays:
    """All parts as one dict; two cases of one name are a mistake."""
    whole: Arrays = {}
    for part in parts:
        assert not whole.keys() & part.keys(), sorted(part)
        whole |= part
    return whole


if __name__ == "__main__":
    save("layers", collect(layers()))
    save("losses", collect(losses()))
    save("optimizers", collect(optimizers()))
