"""A conv net, an LSTM, a transformer block and an ensemble: training steps and predictions in several libraries.

    taskset -c 0 env OMP_NUM_THREADS=1 python tests/benchmarks/layers.py [name …]

with PyTorch, JAX, optax and Flax installed (extra ``bench``). Every library has a turn in each of several rounds; a
figure is the median over rounds of the median step of a turn, in milliseconds. Weights differ, work does not.
The kernel of NumPy's BLAS is printed first: an environment variable (OPENBLAS_CORETYPE) may have chosen another than
the processor's own.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from torch import nn
from torch.nn import functional as F

import funcnet as fn
from funcnet import losses, optim, tree
from funcnet.training.threads import blas

torch.set_num_threads(1)
RATE, ROUNDS, TURN = 1e-6, 7, 1.0
Step = Callable[[], Any]
rng = np.random.default_rng(0)


def ours(net: fn.Layer, loss: Any, x: Any, y: Any) -> tuple[Step, Step]:
    """A training step with Adam, and a prediction."""
    opt = optim.Adam(RATE)
    ts = fn.train_state(net, opt, fn.Key(0), tree.map(lambda a: a.shape[1:], x))
    step = fn.train_step(net, loss, opt)

    def train() -> None:
        nonlocal ts
        ts, _ = step(ts, (x, y))

    start = ts
    return train, lambda: fn.predict(net, start.params, start.state, x)


def torchs(net: Any, loss: Any, x: Any, y: Any) -> tuple[Step, Step]:
    """Eager, the optimizer as it comes."""
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    opt = torch.optim.Adam(net.parameters(), lr=RATE)

    def train() -> None:
        opt.zero_grad()
        loss(net(x), y).backward()
        opt.step()

    def predict() -> None:
        with torch.inference_mode():
            net(x)

    return train, predict


def jaxs(net: Any, loss: Any, x: Any, y: Any) -> tuple[Step, Step]:
    """The whole step jitted."""
    x, y = jnp.asarray(x), jnp.asarray(y)
    params = net.init(jax.random.key(0), x)
    opt = optax.adam(RATE)
    state = opt.init(params)

    @jax.jit
    def whole(params: Any, state: Any) -> Any:
        value, grads = jax.value_and_grad(lambda p: loss(net.apply(p, x), y))(params)
        updates, state = opt.update(grads, state)
        return optax.apply_updates(params, updates), state, value

    forward, first = jax.jit(net.apply), params

    def train() -> None:
        nonlocal params, state
        params, state, value = whole(params, state)
        value.block_until_ready()

    return train, lambda: forward(first, x).block_until_ready()


def cross_entropy(z: Any, y: Any) -> Any:
    return optax.softmax_cross_entropy_with_integer_labels(z, y).mean()


def mean_squares(p: Any, y: Any) -> Any:
    return ((p - y) ** 2).mean()


# ----- conv net: 28x28, 1 -> 32 -> 64, two poolings, dense 128, batch 64 --------------------------------------


class FlaxConv(linen.Module):
    @linen.compact
    def __call__(self, x: Any) -> Any:
        for filters in (32, 64):
            x = linen.max_pool(linen.relu(linen.Conv(filters, (3, 3))(x)), (2, 2), (2, 2))
        return linen.Dense(10)(linen.relu(linen.Dense(128)(x.reshape(len(x), -1))))


def conv_net() -> dict[str, Callable[[], tuple[Step, Step]]]:
    x, y = rng.standard_normal((64, 28, 28, 1), np.float32), rng.integers(0, 10, 64)
    net = fn.serial(
        *(fn.Conv2D(32, 3), fn.Relu(), fn.MaxPool2D(2), fn.Conv2D(64, 3), fn.Relu(), fn.MaxPool2D(2)),
        *(fn.Flatten(), fn.Dense(128), fn.Relu(), fn.Dense(10)),
    )
    theirs = nn.Sequential(
        *(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU()),
        *(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10)),
    )
    first = np.ascontiguousarray(np.moveaxis(x, -1, 1))
    return {
        "funcnet": lambda: ours(net, losses.SoftmaxCrossEntropy(), x, y),
        "torch": lambda: torchs(theirs, F.cross_entropy, first, y),
        "jax": lambda: jaxs(FlaxConv(), cross_entropy, x, y),
    }


# ----- LSTM: length 64, 32 -> 128, batch 32 -----------------------------------------------------------------------


class TorchLSTM(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(32, 128, batch_first=True), nn.Linear(128, 10)

    def forward(self, x: Any) -> Any:
        return self.head(self.lstm(x)[0][:, -1])


class FlaxLSTM(linen.Module):
    @linen.compact
    def __call__(self, x: Any) -> Any:
        return linen.Dense(10)(linen.RNN(linen.OptimizedLSTMCell(128))(x)[:, -1])


def lstm() -> dict[str, Callable[[], tuple[Step, Step]]]:
    x, y = rng.standard_normal((32, 64, 32), np.float32), rng.integers(0, 10, 32)
    net = fn.serial(fn.LSTM(128, return_sequences=False), fn.Dense(10))
    return {
        "funcnet": lambda: ours(net, losses.SoftmaxCrossEntropy(), x, y),
        "torch": lambda: torchs(TorchLSTM(), F.cross_entropy, x, y),
        "jax": lambda: jaxs(FlaxLSTM(), cross_entropy, x, y),
    }


# ----- transformer block: width 128, 4 heads, length 64, batch 16 ---------------------------------------------------


class TorchBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(128), nn.LayerNorm(128)
        self.qkv, self.out = nn.Linear(128, 384), nn.Linear(128, 128)
        self.up, self.down = nn.Linear(128, 512), nn.Linear(512, 128)

    def forward(self, x: Any) -> Any:
        q, k, v = self.qkv(self.norm_1(x)).view(*x.shape[:2], 3, 4, 32).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(x.shape))
        return x + self.down(F.gelu(self.up(self.norm_2(x))))


class FlaxBlock(linen.Module):
    @linen.compact
    def __call__(self, x: Any) -> Any:
        mask = linen.make_causal_mask(x[..., 0])
        x = x + linen.MultiHeadDotProductAttention(4)(linen.LayerNorm()(x), mask=mask)
        return x + linen.Dense(128)(linen.gelu(linen.Dense(512)(linen.LayerNorm()(x)), approximate=False))


def transformer() -> dict[str, Callable[[], tuple[Step, Step]]]:
    x, y = (rng.standard_normal((16, 64, 128), np.float32) for _ in range(2))
    net = fn.transformer_block(128, 4, causal=True)
    return {
        "funcnet": lambda: ours(net, losses.MeanSquaredError(), x, y),
        "torch": lambda: torchs(TorchBlock(), F.mse_loss, x, y),
        "jax": lambda: jaxs(FlaxBlock(), mean_squares, x, y),
    }


# ----- 256 networks of 4-16-2, batch 32 -----------------------------------------------------------------------------


class FlaxMember(linen.Module):
    @linen.compact
    def __call__(self, x: Any) -> Any:
        return linen.Dense(2)(linen.tanh(linen.Dense(16)(x)))


def ensemble() -> dict[str, Callable[[], tuple[Step, Step]]]:
    x, y = rng.standard_normal((32, 4), np.float32), rng.standard_normal((32, 2), np.float32)
    member = fn.serial(fn.Dense(16), fn.Tanh(), fn.Dense(2))

    def loop() -> tuple[Step, Step]:
        steps = [ours(member, losses.MeanSquaredError(), x, y) for _ in range(256)]
        return (lambda: [train() for train, _ in steps]), (lambda: [predict() for _, predict in steps])

    many = linen.vmap(
        FlaxMember, in_axes=None, out_axes=1, variable_axes={"params": 0}, split_rngs={"params": True}, axis_size=256
    )
    return {
        "funcnet": lambda: ours(fn.Ensemble(member, 256), losses.EachMember(losses.MeanSquaredError()), x, y),
        "one by one": loop,
        "jax": lambda: jaxs(many(), lambda p, t: ((p - t[:, None]) ** 2).mean((0, 2)).sum(), x, y),
    }


def turn(call: Step) -> float:
    """The median of the steps that fit into a turn, in milliseconds."""
    times, end = [], time.perf_counter() + TURN
    while time.perf_counter() < end or len(times) < 3:
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return 1e3 * statistics.median(times)


def main() -> None:
    everything = {"conv net": conv_net, "lstm": lstm, "transformer": transformer, "ensemble": ensemble}
    kernel = (blas() or {}).get("kernel")
    print(f"NumPy {np.__version__}, BLAS kernel {kernel}; torch {torch.__version__}, jax {jax.__version__}")
    for name in sys.argv[1:] or everything:
        built = {library: build() for library, build in everything[name]().items()}
        for i, what in enumerate(("train", "predict")):
            calls = {library: pair[i] for library, pair in built.items()}
            rounds = [{library: turn(call) for library, call in calls.items()} for _ in range(ROUNDS + 1)][1:]
            own = [one["funcnet"] for one in rounds]
            figures = []
            for library in calls:
                ratio = statistics.median(one[library] / mine for one, mine in zip(rounds, own, strict=True))
                figures.append(f"{library} {statistics.median(one[library] for one in rounds):.2f} ms ({ratio:.2f})")
            print(f"{name}, {what}: {', '.join(figures)}", flush=True)


if __name__ == "__main__":
    main()
