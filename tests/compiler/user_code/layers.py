"""Layers of users in a training step, recorded or not."""

from __future__ import annotations

import dataclasses
import math
import types
from typing import Any, NamedTuple

import attrs
import numpy as np
import scipy.special
from attrs import field

import funcnet as fn
from tests.compiler.user_code.rows import EITHER, FALLS_BACK, NO_LINE, RECORDED
from tests.compiler.user_code.trained import APPLY, VJP, Setup, elementwise, own, trained


@trained(RECORDED)
def softsign():
    return elementwise(lambda x: x / (1.0 + np.abs(x)), lambda x: 1.0 / (1.0 + np.abs(x)) ** 2)


@trained(RECORDED)
def relu_by_where():
    return elementwise(lambda x: np.where(x > 0, x, 0.0), lambda x: x > 0)


@trained(RECORDED)
def gelu_by_tanh():
    def apply(params, state, x, ctx):
        t = np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3))
        return 0.5 * x * (1.0 + t), state, (x, t)

    def vjp(params, residuals, dy):
        x, t = residuals
        inner = math.sqrt(2.0 / math.pi) * (1.0 + 3 * 0.044715 * x**2)
        return {}, dy * (0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * inner)

    return own(apply, vjp)


@trained(RECORDED)
def residuals_in_a_dict():
    def apply(params, state, x, ctx):
        s = 1.0 / (1.0 + np.exp(-x))
        return x * s, state, {"x": x, "s": s, "shape": x.shape}

    def vjp(params, r, dy):
        return {}, dy * (r["s"] + r["x"] * r["s"] * (1.0 - r["s"]))

    return own(apply, vjp)


@trained(RECORDED)
def residuals_in_a_named_tuple():
    class Kept(NamedTuple):
        x: Any
        y: Any

    def apply(params, state, x, ctx):
        y = np.tanh(x)
        return y, state, Kept(x, y)

    return own(apply, lambda params, kept, dy: ({}, dy * (1.0 - kept.y**2)))


@trained(RECORDED)
def scale_and_shift():
    def init(key, in_shape, dtype=np.float32):
        return {"scale": np.ones(in_shape, dtype), "shift": np.zeros(in_shape, dtype)}, {}

    def apply(params, state, x, ctx):
        return x * params["scale"] + params["shift"], state, x

    def vjp(params, x, dy):
        return {"scale": np.sum(x * dy, axis=0), "shift": dy.sum(axis=0)}, dy * params["scale"]

    return own(apply, vjp, init)


@trained(RECORDED)
def running_mean_in_state():
    def init(key, in_shape, dtype=np.float32):
        return {}, {"mean": np.zeros(in_shape, dtype)}

    def apply(params, state, x, ctx):
        mean = 0.9 * state["mean"] + 0.1 * x.mean(axis=0) if ctx.train else state["mean"]
        return x - state["mean"], {"mean": mean}, None

    return own(apply, lambda params, _, dy: ({}, dy), init)


@trained(RECORDED)
def dropout_by_key():
    def apply(params, state, x, ctx):
        if not ctx.train:
            return x, state, None
        mask = (ctx.draw().uniform(x.shape, x.dtype) < 0.7) / np.float32(0.7)
        return x * mask, state, mask

    return own(apply, lambda params, mask, dy: ({}, dy if mask is None else dy * mask))


@trained(RECORDED)
def polynomial_features():
    def apply(params, state, x, ctx):
        return np.concatenate([x, x**2, x**3], axis=1), state, x

    def vjp(params, x, dy):
        a, b, c = np.split(dy, 3, axis=1)
        return {}, a + 2.0 * x * b + 3.0 * x**2 * c

    return own(apply, vjp, out_shape=lambda shape: (3 * shape[0],))


@trained(RECORDED)
def maxout():
    def apply(params, state, x, ctx):
        pairs = x.reshape(len(x), -1, 2)
        y = pairs.max(axis=2)
        return y, state, pairs == y[..., None]

    return own(
        apply, lambda p, won, dy: ({}, (won * dy[..., None]).reshape(len(dy), -1)), out_shape=lambda s: (s[0] // 2,)
    )


@trained(RECORDED)
def gated_halves():
    def apply(params, state, x, ctx):
        a, b = np.split(x, 2, axis=-1)
        gate = 1.0 / (1.0 + np.exp(-b))
        return a * gate, state, (a, gate)

    def vjp(params, residuals, dy):
        a, gate = residuals
        return {}, np.concatenate([dy * gate, dy * a * gate * (1.0 - gate)], axis=-1)

    return own(apply, vjp, out_shape=lambda s: (s[0] // 2,))


@trained(RECORDED)
def radial_basis():
    def init(key, in_shape, dtype=np.float32):
        return {"centers": key.normal((5, *in_shape), dtype)}, {}

    def apply(params, state, x, ctx):
        difference = x[:, None, :] - params["centers"][None]
        y = np.exp(-0.5 * np.sum(difference**2, axis=-1))
        return y, state, (difference, y)

    def vjp(params, residuals, dy):
        difference, y = residuals
        flow = (dy * y)[..., None] * difference
        return {"centers": flow.sum(axis=0)}, -flow.sum(axis=1)

    return own(apply, vjp, init, lambda s: (5,))


@trained(RECORDED)
def unit_length():
    def apply(params, state, x, ctx):
        length = np.sqrt(np.sum(x * x, axis=1, keepdims=True)) + 1e-6
        return x / length, state, (x / length, length)

    def vjp(params, residuals, dy):
        y, length = residuals
        return {}, (dy - y * np.sum(y * dy, axis=1, keepdims=True)) / length

    return own(apply, vjp)


@trained(RECORDED)
def reversed_features():
    return own(lambda p, s, x, c: (np.flip(x, 1), s, None), lambda p, _, dy: ({}, np.flip(dy, 1)))


@trained(RECORDED)
def rolled_features_with_views_kept():
    def apply(params, state, x, ctx):
        y = np.roll(x, 1, axis=1)
        return y * y, state, (y[:, ::-1], x.T)

    def vjp(params, residuals, dy):
        y, _ = residuals
        return {}, np.roll(2.0 * y[:, ::-1] * dy, -1, axis=1)

    return own(apply, vjp)


@trained(RECORDED)
def convolution_by_windows():
    def init(key, in_shape, dtype=np.float32):
        return {"kernel": key.normal((3,), dtype)}, {}

    def apply(params, state, x, ctx):
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((0, 0), (1, 1))), 3, axis=1)
        return np.einsum("nwk,k->nw", windows, params["kernel"]), state, windows

    def vjp(params, windows, dy):
        around_dy = np.lib.stride_tricks.sliding_window_view(np.pad(dy, ((0, 0), (1, 1))), 3, axis=1)
        return {"kernel": np.einsum("nwk,nw->k", windows, dy)}, np.einsum(
            "nwk,k->nw", around_dy, params["kernel"][::-1]
        )

    return own(apply, vjp, init)


@trained(RECORDED)
def checked_by_isinstance():
    def apply(params, state, x, ctx):
        if not isinstance(x, np.ndarray):
            raise TypeError("expected an array")
        return x * 2.0 if isinstance(x, np.ndarray) and x.dtype == np.float32 else x * 0.0, state, x

    return own(apply, lambda params, x, dy: ({}, dy * 2.0))


@trained(RECORDED)
def bias_with_a_table():
    table = np.linspace(-1.0, 1.0, 6, dtype=np.float32)
    return own(lambda p, s, x, c: (x + table, s, None), lambda p, _, dy: ({}, dy * 1.0))


@fn.register("user_code.swish")
@attrs.frozen
class Swish(fn.Layer):
    """``x · σ(βx)``"""

    beta: float = field(default=1.0)

    def out_shape(self, in_shape):
        return in_shape

    def apply(self, params, state, x, ctx):
        s = 1.0 / (1.0 + np.exp(-self.beta * x))
        return x * s, state, (x, s)

    def vjp(self, params, residuals, dy):
        x, s = residuals
        return {}, dy * (s + self.beta * x * s * (1.0 - s))


@fn.register("user_code.low_rank")
@attrs.frozen
class LowRank(fn.Layer):
    """``x + (x U) V``"""

    rank: int = 2

    def leaves(self, in_shape):
        normal = fn.initializers.Normal(0.3)
        return {"u": fn.Leaf((in_shape[0], self.rank), normal), "v": fn.Leaf((self.rank, in_shape[0]), normal)}

    def out_shape(self, in_shape):
        return in_shape

    def apply(self, params, state, x, ctx):
        h = x @ params["u"]
        return x + h @ params["v"], state, (x, h)

    def vjp(self, params, residuals, dy):
        x, h = residuals
        dh = dy @ params["v"].T
        return {"u": x.T @ dh, "v": h.T @ dy}, dy + dh @ params["u"].T


@fn.register("user_code.hard_relu")
@attrs.frozen
class HardRelu(fn.Layer):
    """A relu written in place."""

    factor: float = 2.0

    def out_shape(self, in_shape):
        return in_shape

    def apply(self, params, state, x, ctx):
        y = x * self.factor
        y[y < 0] = 0  # at fault
        return y, state, x

    def vjp(self, params, x, dy):
        return {}, self.factor * dy * (x > 0)


@trained(RECORDED)
def registered_swish():
    return Swish(1.5)


@trained(RECORDED)
def registered_low_rank():
    return fn.serial(fn.Dense(6), LowRank(), fn.Relu(), LowRank(3), fn.Dense(1))


@trained(RECORDED)
def registered_in_combinators():
    inner = fn.serial(LowRank(), Swish())
    return fn.serial(fn.Dense(6), fn.Residual(inner), fn.Repeat(LowRank(1), times=2), fn.Remat(Swish()), fn.Dense(1))


@trained(FALLS_BACK, "apply of HardRelu", NO_LINE)
def registered_in_place():
    return HardRelu()


@trained(FALLS_BACK, "apply of HardRelu", NO_LINE)
def registered_in_place_several():
    return fn.serial(fn.Dense(6), HardRelu(), fn.Dense(5), HardRelu(0.5), fn.Residual(HardRelu()), fn.Dense(1))


# Layers that run as they are.


@trained(FALLS_BACK, APPLY)
def relu_in_place():
    def apply(params, state, x, ctx):
        y = x * 1
        y[y < 0] = 0  # at fault
        return y, state, x

    return own(apply, lambda params, x, dy: ({}, dy * (x > 0)))


@trained(FALLS_BACK, APPLY)
def branch_on_a_sum():
    def apply(params, state, x, ctx):
        if x.sum() > 0:  # at fault
            return x, state, x
        return -x, state, x

    return own(apply, lambda params, x, dy: ({}, dy if x.sum() > 0 else -dy))


@trained(FALLS_BACK, APPLY)
def scaled_by_a_float():
    def apply(params, state, x, ctx):
        scale = 1.0 / (1.0 + float(np.abs(x).max()))  # at fault
        return x * scale, state, scale

    return own(apply, lambda params, scale, dy: ({}, dy * scale))


@trained(FALLS_BACK, APPLY)
def refusal_swallowed():
    def apply(params, state, x, ctx):
        try:
            scale = float(np.abs(x).max())  # at fault
        except Exception:
            scale = 1.0
        return x / scale, state, scale

    return own(apply, lambda params, scale, dy: ({}, dy / scale))


@trained(FALLS_BACK, VJP)
def clipped_in_vjp():
    def vjp(params, x, dy):
        norm = np.sqrt((dy * dy).sum())
        if norm > 0.1:  # at fault
            dy = dy * (0.1 / norm)
        return {}, dy * 2.0

    return own(lambda p, s, x, c: (x * 2.0, s, x), vjp)


@trained(FALLS_BACK, VJP)
def masked_in_vjp():
    def vjp(params, x, dy):
        dx = dy * 1.0
        dx[x < 0] = 0.0  # at fault
        return {}, dx

    return own(lambda p, s, x, c: (np.maximum(x, 0.0), s, x), vjp)


@trained(FALLS_BACK, VJP)
def scattered_in_vjp():
    def init(key, in_shape, dtype=np.float32):
        return {"table": key.normal((3, *in_shape), dtype)}, {}

    def apply(params, state, x, ctx):
        nearest = np.argmin(((x[:, None] - params["table"]) ** 2).sum(axis=2), axis=1)
        return x + fn.ops.take(params["table"], nearest), state, nearest

    def vjp(params, nearest, dy):
        table = np.zeros_like(params["table"])
        np.add.at(table, nearest, dy)  # at fault
        return {"table": table}, dy * 1.0

    return own(apply, vjp, init)


@trained(FALLS_BACK, APPLY)
def gathered_by_a_mask():
    def apply(params, state, x, ctx):
        mean = x[x > 0].mean() if x.size else 0.0  # at fault
        return x - mean, state, None

    return own(apply, lambda params, _, dy: ({}, dy * 1.0))


@trained(FALLS_BACK, APPLY)
def winners_take_all():
    def apply(params, state, x, ctx):
        mask = np.zeros(x.shape, x.dtype)
        np.put_along_axis(mask, np.argmax(x, axis=1)[:, None], 1.0, axis=1)  # at fault
        return x * mask, state, mask

    return own(apply, lambda params, mask, dy: ({}, dy * mask))


@trained(FALLS_BACK, APPLY)
def whitened():
    def apply(params, state, x, ctx):
        root = np.linalg.inv(x.T @ x / len(x) + np.eye(x.shape[1], dtype=x.dtype))  # at fault
        return x @ root, state, root

    return own(apply, lambda params, root, dy: ({}, dy @ root.T))


@trained(FALLS_BACK, APPLY)
def inverse_or_identity():
    def apply(params, state, x, ctx):
        try:
            root = np.linalg.inv(x.T @ x)  # at fault
        except np.linalg.LinAlgError:
            root = np.eye(x.shape[1], dtype=x.dtype)
        root = root / (1.0 + np.abs(root).sum())
        return x @ root, state, root

    return own(apply, lambda params, root, dy: ({}, dy @ root.T))


@trained(RECORDED)
def scipy_gelu():
    def apply(params, state, x, ctx):
        cdf = 0.5 * (1.0 + scipy.special.erf(x / np.float32(np.sqrt(2.0))))
        return x * cdf, state, (x, cdf)

    def vjp(params, residuals, dy):
        x, cdf = residuals
        return {}, dy * (cdf + x * np.exp(-0.5 * x * x) / np.float32(np.sqrt(2.0 * np.pi)))

    return own(apply, vjp)


@trained(FALLS_BACK, APPLY)
def vectorized():
    f = np.vectorize(lambda v: v if v > 0 else 0.1 * v, otypes=[np.float32])
    return own(
        lambda p, s, x, c: (f(x), s, x),  # at fault
        lambda p, x, dy: ({}, dy * np.where(x > 0, 1.0, 0.1).astype(np.float32)),
    )


@trained(FALLS_BACK, APPLY)
def converted_to_an_array():
    return own(lambda p, s, x, c: (np.asarray(x) * 2.0, s, None), lambda p, _, dy: ({}, dy * 2.0))


@trained(FALLS_BACK, APPLY)
def looped_rows():
    def apply(params, state, x, ctx):
        y = np.empty_like(x)
        for i in range(len(x)):
            y[i] = x[i] / (1.0 + np.abs(x[i]).sum())  # at fault
        return y, state, x

    return own(apply, lambda p, x, dy: ({}, dy / (1.0 + np.abs(x).sum(axis=1, keepdims=True))))


@trained(FALLS_BACK, APPLY)
def both_passes_in_place():
    def apply(params, state, x, ctx):
        y = x * 1
        y *= 0.5  # at fault
        return y, state, x

    def vjp(params, x, dy):
        dx = dy * 1
        dx *= 0.5
        return {}, dx

    return own(apply, vjp)


@trained(FALLS_BACK, APPLY)
def in_place_with_params_and_state():
    def init(key, in_shape, dtype=np.float32):
        return {"gain": np.ones(in_shape, dtype)}, {"mean": np.zeros(in_shape, dtype)}

    def apply(params, state, x, ctx):
        mean = state["mean"].copy()
        mean += 0.1 * x.mean(axis=0)  # at fault
        return (x - mean) * params["gain"], {"mean": mean}, x - mean

    def vjp(params, centred, dy):
        return {"gain": (centred * dy).sum(axis=0)}, dy * params["gain"]

    return own(apply, vjp, init)


@trained(FALLS_BACK, APPLY)
def state_handed_on_in_place():
    def init(key, in_shape, dtype=np.float32):
        return {}, {"mean": np.zeros(in_shape, dtype), "last": np.zeros(in_shape, dtype)}

    def apply(params, state, x, ctx):
        y = x * 1
        y -= state["mean"]  # at fault
        return y, {"mean": state["last"], "last": x.mean(axis=0)}, None

    return own(apply, lambda params, _, dy: ({}, dy), init)


@trained(FALLS_BACK, APPLY)
def views_returned_in_place():
    def apply(params, state, x, ctx):
        y = x * 1
        y[:, 0] = 0.0  # at fault
        return y[:, ::-1], state, (x[::-1], y)

    return own(
        apply, lambda params, kept, dy: ({}, dy[:, ::-1] * np.sign(kept[0][::-1] + 0.1) * np.sign(kept[1] + 0.1))
    )


@trained(EITHER)
def residual_in_a_dataclass():
    @dataclasses.dataclass
    class Kept:
        x: Any

    return own(lambda p, s, x, c: (np.tanh(x), s, Kept(x)), lambda p, kept, dy: ({}, dy * (1.0 - np.tanh(kept.x) ** 2)))


@trained(EITHER)
def residual_is_a_closure():
    def apply(params, state, x, ctx):
        y = np.tanh(x)
        return y, state, lambda dy: dy * (1.0 - y * y)

    return own(apply, lambda params, pull, dy: ({}, pull(dy)))


@trained(EITHER)
def residual_in_an_object():
    return own(
        lambda p, s, x, c: (x * x, s, types.SimpleNamespace(x=x)),
        lambda p, kept, dy: ({}, 2.0 * kept.x * dy),
    )


@trained(EITHER)
def residual_in_a_list():
    return own(lambda p, s, x, c: (x * x, s, [x, [x]]), lambda p, kept, dy: ({}, (kept[0] + kept[1][0]) * dy))


@trained(EITHER)
def residual_with_a_string():
    return own(
        lambda p, s, x, c: (np.tanh(x), s, ("tanh", np.tanh(x), 2, None, np.float32(3))),
        lambda p, kept, dy: ({}, dy * (1.0 - kept[1] ** kept[2]) * (1.0 if kept[0] == "tanh" else 0.0)),
    )


@trained(EITHER)
def residual_is_a_generator():
    return own(lambda p, s, x, c: (x * 2.0, s, (v for v in (x, 2.0))), lambda p, kept, dy: ({}, dy * list(kept)[1]))


# A layer that runs as it is and states another dtype or shape than it gives.


@trained(FALLS_BACK, APPLY, NO_LINE)
def gives_doubles():
    def apply(params, state, x, ctx):
        y = np.zeros(x.shape)
        y[:] = x  # at fault
        return y * 2.0, state, None

    return own(apply, lambda params, _, dy: ({}, dy * 2.0))


@trained(FALLS_BACK, APPLY, NO_LINE)
def gives_halves():
    def apply(params, state, x, ctx):
        y = x.astype(np.float16)
        y[y < 0] *= np.float16(0.1)  # at fault
        return y, state, x

    return own(apply, lambda params, x, dy: ({}, dy * np.where(x > 0, 1.0, 0.1)))


@trained(EITHER)
def gives_double_gradients():
    def vjp(params, x, dy):
        return {}, dy * np.array(2.0 if dy.sum() > 0 else 1.0)

    return own(lambda p, s, x, c: (x * 2.0, s, x), vjp)


@trained(EITHER)
def gives_double_params_gradients():
    def init(key, in_shape, dtype=np.float32):
        return {"gain": np.ones(in_shape, dtype)}, {}

    def vjp(params, x, dy):
        total = np.zeros(x.shape[1])
        for a, b in zip(x, dy, strict=True):
            total += a * b
        return {"gain": total}, dy * params["gain"]

    return own(lambda p, s, x, c: (x * p["gain"], s, x), vjp, init)


@trained(EITHER)
def gives_double_state():
    def init(key, in_shape, dtype=np.float32):
        return {}, {"mean": np.zeros(in_shape, dtype)}

    def apply(params, state, x, ctx):
        return x * 1.0, {"mean": state["mean"] * np.float64(0.9) + float(x.mean())}, None

    return own(apply, lambda params, _, dy: ({}, dy * 1.0), init)


@trained(EITHER)
def states_another_shape():
    def apply(params, state, x, ctx):
        y = x[:, :3] * 1.0
        y[0] = 0.0
        return y, state, x

    return Setup(fn.serial(fn.Dense(6), own(apply, lambda p, x, dy: ({}, np.pad(dy, ((0, 0), (0, 3))))), fn.Flatten()))


@trained(EITHER)
def states_another_shape_before_a_dense_layer():
    def apply(params, state, x, ctx):
        return (x[:, :3] if x.sum() > -1e9 else x), state, x

    return own(apply, lambda p, x, dy: ({}, np.pad(dy, ((0, 0), (0, 3)))))


@trained(EITHER)
def gives_a_list():
    return own(lambda p, s, x, c: (x.tolist(), s, None), lambda p, _, dy: ({}, dy))


@trained(EITHER)
def gives_another_batch_size():
    def apply(params, state, x, ctx):
        return (np.concatenate([x, x]) if x.sum() > -1e9 else x), state, None

    return own(apply, lambda p, _, dy: ({}, dy[: len(dy) // 2]))


@trained(EITHER)
def gives_too_few_values():
    return own(lambda p, s, x, c: (x, s), lambda p, _, dy: ({}, dy))


@trained(EITHER)
def raises_of_a_mistake():
    return own(lambda p, s, x, c: (x @ x[:2], s, None), lambda p, _, dy: ({}, dy))


@trained(EITHER)
def raises_by_value():
    def apply(params, state, x, ctx):
        if float(np.abs(x).max()) > 4.0:
            raise ValueError("too large")
        return x * 1.0, state, None

    return own(apply, lambda p, _, dy: ({}, dy))


@trained(EITHER)
def raises_in_vjp():
    return own(lambda p, s, x, c: (x * 1.0, s, None), lambda p, _, dy: ({}, dy.nothing_of_this_name))


@trained(EITHER)
def gives_infinity():
    return elementwise(lambda x: x / 0.0 * x, lambda x: x)


@trained(EITHER)
def gives_nan_in_place():
    def apply(params, state, x, ctx):
        y = x * 1
        y[0, 0] = np.nan
        return y, state, None

    return own(apply, lambda p, _, dy: ({}, dy))


@trained(EITHER)
def gradients_in_another_order():
    def init(key, in_shape, dtype=np.float32):
        return {"scale": key.normal((1,), dtype), "shift": key.normal(in_shape, dtype)}, {}

    def vjp(params, x, dy):
        return {"shift": dy.sum(axis=0), "scale": np.sum(x * dy).reshape(1)}, dy * params["scale"]

    return own(lambda p, s, x, c: (x * p["scale"] + p["shift"], s, x), vjp, init)


@trained(EITHER)
def gradient_is_the_cotangent():
    def init(key, in_shape, dtype=np.float32):
        return {"shift": np.zeros((6, 6), dtype)}, {}

    return own(lambda p, s, x, c: (x + p["shift"], s, None), lambda p, _, dy: ({"shift": dy}, dy), init)


@trained(EITHER)
def writes_into_its_input():
    def apply(params, state, x, ctx):
        x *= 0.5
        return x, state, x

    return own(apply, lambda p, x, dy: ({}, dy * 0.5))


@trained(EITHER)
def writes_into_its_cotangent():
    def vjp(params, x, dy):
        dy[x < 0] = 0.0
        return {}, dy

    return own(lambda p, s, x, c: (np.maximum(x, 0.0), s, x), vjp)


@trained(EITHER)
def writes_into_its_params():
    def init(key, in_shape, dtype=np.float32):
        return {"gain": np.ones(in_shape, dtype)}, {}

    def apply(params, state, x, ctx):
        params["gain"] *= 0.9
        return x * params["gain"], state, x

    return own(apply, lambda p, x, dy: ({"gain": (x * dy).sum(axis=0)}, dy * p["gain"]), init)


@trained(EITHER)
def state_dict_entry_set():
    def init(key, in_shape, dtype=np.float32):
        return {}, {"mean": np.zeros(in_shape, dtype)}

    def apply(params, state, x, ctx):
        state["mean"] = 0.5 * state["mean"] + x.mean(axis=0)
        return x - state["mean"], state, None

    return own(apply, lambda p, _, dy: ({}, dy), init)
