"""The operations of random programs, as Python text with gaps.

``{a}`` is the operand; ``{b}`` and ``{c}`` are others, most of them of a shape that broadcasts with it; ``{mm}`` fits
behind ``@``; ``{mask}``, ``{int}``, ``{key}`` and ``{num}`` are of that kind. The other gaps are plain text that suits
the operand. What raises is drawn again, so a gap need not always fit.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np


def words(text: str) -> list[str]:
    return text.split()


ONE = words(
    "negative abs exp log tanh sin cos sqrt square log1p expm1 sign reciprocal floor ceil rint isnan isfinite positive "
    "cbrt arctan exp2 log2 logical_not invert trunc fabs sinh arcsinh conjugate"
)
TWO = words(
    "add subtract multiply divide maximum minimum fmax fmin power arctan2 hypot floor_divide remainder fmod logaddexp "
    "greater less equal not_equal less_equal greater_equal logical_and logical_or logical_xor bitwise_and bitwise_or "
    "nextafter heaviside float_power"
)
REDUCTIONS = words("sum mean max min prod any all var std amax ptp sum mean max sum")
METHODS = words("sum mean max min prod any all var std")
OPERATORS = words("+ - * / + - * / // % < > <= >= == != & | ^")
NUMBERS = ("0.5", "2", "-1.0", "0", "0.0", "-0.0", "1", "3", "1e-3", "-2", "1.5", "True", "np.float32(1.5)")
EXPONENTS = ("2", "0.5", "-1", "3", "0", "1", "2.0", "-1.0", "0.0", "1.5", "-2", "-0.5", "True", "np.float32(2)")
BOUNDS = ("None", "-0.0", "0.0", "-1", "0", "-0.5", "0.5", "1", "2.0", "{num}", "{b}", "np.inf", "np.nan")
FLOATS = ("np.float32", "np.float64", "np.float32", "np.float64", "np.float16", "np.bool_")

# weight, templates
OPERATIONS: dict[str, tuple[float, tuple[str, ...]]] = {
    "unary": (6, ("np.{one}({a})",)),
    "binary": (6, ("np.{two}({a}, {b})", "np.{two}({a}, {num})", "np.{two}({num}, {a})", "np.{two}({b}, {a})")),
    "operator": (6, ("{a} {operator} {b}", "{a} {operator} {num}", "{num} {operator} {a}", "-{a}", "+{a}", "~{a}")),
    "power": (2, ("{a} ** {exponent}", "np.power({a}, {exponent})", "2 ** {a}", "{a} ** {number}", "{mask} ** 2")),
    "where": (
        3,
        (
            "np.where({mask}, {a}, {b})",
            "np.where({a} > {num}, {a}, {num})",
            "np.where({mask}, {a}, 0)",
            "np.where({a} > 0, 1.0, {b})",
            "np.where({mask}, 1, 0)",
            "np.where({a}, {b}, {c})",
        ),
    ),
    "clip": (
        2,
        (
            "np.clip({a}, {bound}, {bound})",
            "{a}.clip({bound}, {bound})",
            "np.clip({a}, min={bound})",
            "np.clip({a}, a_min={bound}, a_max={bound})",
            "np.maximum({a}, 0.0)",
            "np.minimum({a}, -0.0)",
        ),
    ),
    "reduce": (
        8,
        (
            "np.{reduction}({a}, axis={axis}, keepdims={keep})",
            "np.{reduction}({a}, axis={axis}, keepdims={keep})",
            "np.{reduction}({a}, {axis})",
            "np.{reduction}({a})",
            "{a}.{method}({axis})",
            "{a}.{method}(axis={axis}, keepdims={keep})",
            "{a}.{method}()",
            "np.sum({a}, axis={axis}, dtype={dtype})",
            "np.mean({a}, axis={axis}, dtype={dtype})",
            "np.add.reduce({a}, axis={axis}, keepdims={keep})",
            "np.maximum.reduce({a}, axis={axis})",
            "np.max({a}, axis={axis}, initial=0)",
            "np.sum({a}, axis={axis}, where={a} > 0)",
            "np.count_nonzero({a}, axis={axis})",
            "np.nansum({a}, axis={axis})",
            "np.linalg.norm({a}, axis={ax})",
            "(2.0 * {a}.T).sum(axis={ax})",
            "np.tanh({a}.T).mean(axis={axis})",
            "np.var(np.swapaxes({a}, 0, -1) * 1.0, axis={ax}, keepdims=True)",
            "{a} - np.max({a}, axis={ax}, keepdims=True)",
            "{a} / np.sum(np.exp({a}), axis={ax}, keepdims={keep})",
        ),
    ),
    "arg": (1.5, ("np.{arg}({a}, axis={axis})", "{a}.{arg}({axis})", "np.{arg}({a}, axis={ax}, keepdims={keep})")),
    "scan": (
        1,
        (
            "np.cumsum({a}, axis={axis})",
            "np.cumprod({a}, axis={ax})",
            "np.diff({a}, axis={ax})",
            "np.add.accumulate({a}, axis={ax})",
        ),
    ),
    "matmul": (
        6,
        (
            "{a} @ {mm}",
            "{a} @ {mm}",
            "np.matmul({a}, {mm})",
            "np.dot({a}, {mm})",
            "{a}.dot({mm})",
            "{a} @ {a}.T",
            "{a}.T @ {a}",
            "(2 * {a}) @ (2 * {a}).T",
            "({a} + {b}).T @ ({a} + {b})",
            "{a} @ np.swapaxes({a}, -1, -2)",
            "np.dot({a}.ravel(), {a}.ravel())",
            "np.vdot({a}, {a})",
            "np.inner({a}, {a})",
            "{a}[:1] @ {mm}",
            "{a} @ {mm}[..., :1]",
            "{a}[:, ::-1] @ {mm}",
            "{a}[::2] @ {mm}",
            "{a}[..., ::2] @ {mm}[..., ::2, :]",
            "{a}[..., None, :] @ {mm}",
            "{a}[None] @ {mm}",
            "np.outer({a}[..., 0], {a}.reshape(-1)[:40])",
            "np.tensordot({a}, {a}, axes={a}.ndim)",
            "np.tensordot({a}, {mm}, axes=1)",
        ),
    ),
    "einsum": (
        2,
        (
            'np.einsum("ij,kj->ik", {a}, {a})',
            'np.einsum("ij,jk->ik", {a}, {mm})',
            'np.einsum("ij->ji", {a})',
            'np.einsum("ii->i", {a}[: {a}.shape[1], : {a}.shape[0]])',
            'np.einsum("...i,...i", {a}, {b})',
            'np.einsum("...i,...i->...", {a}, {a})',
            'np.einsum("...ij->...ji", {a})',
            'np.einsum("ij->", {a})',
            'np.einsum("i...,i...->i...", {a}, {b})',
            'np.einsum("bij,bjk->bik", {a}, {mm}, optimize=True)',
        ),
    ),
    "transpose": (
        5,
        (
            "np.transpose({a})",
            "{a}.T",
            "np.transpose({a}, {order})",
            "{a}.transpose({order})",
            "np.swapaxes({a}, {ax}, {ax})",
            "{a}.swapaxes({ax}, {ax})",
            "np.moveaxis({a}, {ax}, {ax})",
            "np.rollaxis({a}, {ax})",
            "np.matrix_transpose({a})",
        ),
    ),
    "reshape": (
        5,
        (
            "np.reshape({a}, {shape})",
            "{a}.reshape({shape})",
            "{a}.reshape(*{shape})",
            "{a}.reshape(-1)",
            "np.ravel({a})",
            "{a}.ravel()",
            "{a}.flatten()",
            "np.transpose({a}).reshape({shape})",
            "{a}[..., ::2].reshape(-1)",
        ),
    ),
    "fortran": (
        0.5,
        ('np.reshape({a}, {shape}, "F")', 'np.ravel({a}, "F")', '{a}.reshape({shape}, order="F")', '{a}.ravel("F")'),
    ),
    "axes": (
        3,
        (
            "np.expand_dims({a}, {ax})",
            "np.expand_dims({a}, (0, -1))",
            "np.squeeze({a})",
            "{a}.squeeze()",
            "np.squeeze({a}, axis={ax})",
            "np.broadcast_to({a}, (2, *{a}.shape))",
            "np.broadcast_to({a}, np.broadcast_shapes({a}.shape, {b}.shape))",
            "np.broadcast_arrays({a}, {b})[0]",
            "np.atleast_2d({a})",
            "{a}[None]",
            "{a}[..., None]",
        ),
    ),
    "index": (5, ("{a}[{index}]",)),
    "integers": (
        2,
        (
            "{a}[{list}]",
            "{a}[np.array({list})]",
            "{a}[..., {list}]",
            "np.take({a}, {list}, axis={axis})",
            "fn.ops.take({a}, {int} % {a}.shape[0])",
            "fn.ops.take({a}, np.argsort({a}, axis=0, kind='stable'))",
            "np.take_along_axis({a}, np.argsort({a}, axis={ax}, kind='stable'), axis={ax})",
            "fn.ops.scatter_add({a}, np.arange({a}.shape[0]) // 2, {a}.shape[0])",
            "fn.ops.scatter_add({a}.reshape(-1, 1), np.abs({int}.reshape(-1)) % 3, 3)",
        ),
    ),
    "join": (
        3,
        (
            "np.concatenate([{a}, {b}], axis={ax})",
            "np.concatenate(({a}, {a}), axis={ax})",
            "np.concatenate([{a}, {b}, {c}], axis=None)",
            "np.concatenate([{a}])",
            "np.stack([{a}, {a}], axis={ax})",
            "np.stack([{a}, {b}])",
            "np.vstack([{a}, {b}])",
            "np.hstack([{a}, {a}])",
            "np.stack([row * 2 for row in {a}])",
            "np.append({a}, {b})",
        ),
    ),
    "split": (
        2,
        (
            "np.split({a}, {sections}, axis={ax})[-1]",
            "np.split({a}, [1], axis={ax})[{end}]",
            "np.array_split({a}, 2, axis={ax})[{end}]",
            "np.concatenate(np.array_split({a}, 3))",
            "np.unstack({a})[{end}]",
            "np.hsplit({a}, 1)[0]",
            "np.split({a}, {sections})",
        ),
    ),
    "flip": (
        2,
        (
            "np.flip({a})",
            "np.flip({a}, axis={ax})",
            "np.fliplr({a})",
            "np.flipud({a})",
            "np.rot90({a})",
            "np.roll({a}, {small}, axis={axis})",
        ),
    ),
    "spread": (
        2,
        (
            "np.tile({a}, 2)",
            "np.repeat({a}, 2, axis={axis})",
            "np.pad({a}, {small})",
            'np.pad({a}, 1, mode="edge")',
            "np.diagonal({a})",
            "np.trace({a})",
            "np.triu({a})",
            "np.tril({a}, -1)",
            "np.diag({a})",
            "np.lib.stride_tricks.sliding_window_view({a}, 2, axis={ax})",
            "np.lib.stride_tricks.sliding_window_view({a}, 2, axis={ax}).sum(axis=-1)",
            "np.real({a})",
            "np.round({a}, 1)",
            "np.nan_to_num({a})",
        ),
    ),
    "sort": (
        1,
        (
            "np.sort({a}, axis={ax})",
            "np.argsort({a}, axis={ax})",
            "np.argsort({a}, axis=None, kind='stable')",
            "np.median({a}, axis={axis})",
        ),
    ),
    "astype": (
        3,
        (
            "{a}.astype({dtype})",
            "{a}.astype({a}.dtype)",
            "{a}.astype({dtype}, copy=False)",
            "np.astype({a}, {dtype})",
            "({a} > 0).astype(np.int32)",
            "np.where(np.abs({a}) < 100, np.abs({a}), 0).astype(np.uint8)",
            "{a}.copy()",
            "np.copy({a})",
        ),
    ),
    "like": (
        1.5,
        (
            "np.zeros_like({a})",
            "np.ones_like({a}, dtype={dtype})",
            "np.zeros_like({a}, np.int64)",
            "np.full_like({a}, {num})",
            "np.full_like({a}, 3)",
            "np.zeros({a}.shape, {a}.dtype) + {a}",
            "np.zeros_like({a}) + {b}",
        ),
    ),
    "constant": (
        1,
        (
            "np.arange({small} + 1.0).reshape(-1, 1)",
            "np.arange({a}.shape[-1])",
            "np.eye({a}.shape[0], dtype={a}.dtype)",
            "np.linspace(-1, 1, {a}.size).reshape({a}.shape[::-1]).T",
            "np.array([[1.5, -0.0], [0.0, 2.0]], np.float32)",
        ),
    ),
    "size": (0.5, ("{a} * {a}.shape[0]", "{a} / len({a})", "{a} + {a}.ndim", "{a} * np.size({a}, {ax})")),
    "number": (
        2.5,
        (
            "{number} * 2",
            "{number} + {number}",
            "1.0 / {number}",
            "{number} ** 2",
            "-{number}",
            "1 - {number}",
            "{number} - 0.5",
            "fn.ops.number(np.sum({a}))",
            "fn.ops.number(np.max({a}))",
            "fn.ops.scalar(math.atan, {number})",
            "fn.ops.norm({a}, {b})",
            "{a} * {number}",
            "{number} / {a}",
            "{a} - {number} * {number}",
            "np.full_like({a}, {number})",
            "fn.ops.settle({a}, {whole})",
        ),
    ),
    "key": (
        2,
        (
            "{key}.normal({size}, {dtype})",
            "{key}.uniform({size}, {dtype})",
            "{key}.uniform({a}.shape)",
            "{key}.bits({size}, np.uint8)",
            "{key}.fold({small})",
            '{key}.fold("step", 3)',
            "fn.ops.fold({key}, {whole})",
            "{key}.permutation(4)",
            "{key}.integers(5, {size})",
            "fn.ops.bernoulli({key}, 0.3, {a}.shape)",
        ),
    ),
    "ops": (
        1.5,
        (
            "fn.ops.erf({a})",
            "fn.ops.softmax({a})",
            "fn.ops.log_softmax({a})",
            "fn.ops.sigmoid({a})",
            "fn.ops.softplus({a})",
            "fn.ops.flush({a})",
            "fn.ops.norms({a}, {b})",
            "fn.ops.array({a})",
            'fn.ops.check(np.all({a} != 77), fn.DataError, "77")',
        ),
    ),
}

ERRORS = (
    "np.sum({a}, axis=5)",
    "np.concatenate([{a}, {a}], axis=5)",
    "np.transpose({a}, (0, 3))",
    "np.expand_dims({a}, 7)",
    "np.stack([{a}, {a}], axis=9)",
    "np.swapaxes({a}, 0, 6)",
    "np.moveaxis({a}, 0, 6)",
    "np.reshape({a}, (7, 11, 13))",
    "np.squeeze({a}, axis=4)",
    "{a}[99]",
    "{a}[..., 0, 0, 0, 0, 0, 0]",
    "{a} @ np.zeros((17, 2))",
    "{a} + np.zeros(19)",
    "np.split({a}, 23)",
    "np.broadcast_to({a}, (0, 3, 29))",
    "fn.ops.check(np.all({a} == 77), fn.DataError, 'not 77')",
    "{a}.astype('nonsense')",
)
"""Each of them raises in NumPy, whatever the operand"""

# ----- gaps -------------------------------------------------------------------------------------------------------


def gap(name: str, r: random.Random, a: Any) -> str:
    """Plain text for a gap, to suit the operand ``a``."""
    ndim = np.ndim(a)
    return GAPS[name](r, a, ndim)


def one_axis(r: random.Random, a: Any, ndim: int) -> str:
    return str(r.randrange(-ndim, ndim)) if ndim else "0"


def some_axes(r: random.Random, a: Any, ndim: int) -> str:
    if r.random() < 0.3 or not ndim:
        return "None"
    if r.random() < 0.6:
        return one_axis(r, a, ndim)
    axes = [axis - ndim * (r.random() < 0.3) for axis in r.sample(range(ndim), r.randint(0, ndim))]
    return f"({', '.join(map(str, axes))}{',' if len(axes) == 1 else ''})"


def order(r: random.Random, a: Any, ndim: int) -> str:
    axes = r.sample(range(ndim), ndim)
    if r.random() < 0.2:
        axes = [axis - ndim for axis in axes]
    return f"({', '.join(map(str, axes))}{',' if ndim == 1 else ''})"


def new_shape(r: random.Random, a: Any, ndim: int) -> str:
    left, axes = np.size(a), []
    while left > 1 and len(axes) < 3 and r.random() < 0.8:
        n = r.choice([d for d in range(1, min(left, 4096) + 1) if left % d == 0])
        axes.append(n)
        left //= n
    axes.append(left)
    r.shuffle(axes)
    if r.random() < 0.2:
        axes.insert(r.randint(0, len(axes)), 1)
    if r.random() < 0.3 and math.prod(axes):
        axes[r.randrange(len(axes))] = -1
    return f"({', '.join(map(str, axes))}{',' if len(axes) == 1 else ''})"


def basic_index(r: random.Random, a: Any, ndim: int) -> str:
    shape, items = np.shape(a), []
    for axis in range(r.randint(0, ndim)):
        n = shape[axis]
        items.append(
            r.choice(
                [":", ":", "1:", ":-1", "::2", "::-1", "1::2", "::-2", ":1", "0:0" if r.random() < 0.1 else ":2"]
                + ([str(r.randrange(-n, n))] if n else [])
            )
        )
    for _ in range(r.choice([0, 0, 0, 1, 2])):
        items.insert(r.randint(0, len(items)), "None")
    if r.random() < 0.25:
        items.insert(r.randint(0, len(items)), "...")
    return ", ".join(items) or "..."


def new_dtype(r: random.Random, a: Any, ndim: int) -> str:
    """Floats stay floats: what becomes of NaN and of large ones as integers is undefined."""
    whole = getattr(a, "dtype", np.dtype(float)).kind in "iub"
    return r.choice((*FLOATS, "np.int64", "np.int32", "np.uint8", "np.int8") if whole else FLOATS)


def integer_list(r: random.Random, a: Any, ndim: int) -> str:
    n = max(min(np.shape(a), default=1), 1)
    whole = [r.randrange(-n, n) for _ in range(r.choice([1, 2, 3, 4]))]
    return str(whole if r.random() < 0.8 else [whole, whole])


GAPS: dict[str, Callable[[random.Random, Any, int], str]] = {
    "one": lambda r, a, ndim: r.choice(ONE),
    "two": lambda r, a, ndim: r.choice(TWO),
    "reduction": lambda r, a, ndim: r.choice(REDUCTIONS),
    "method": lambda r, a, ndim: r.choice(METHODS),
    "arg": lambda r, a, ndim: r.choice(("argmax", "argmin")),
    "operator": lambda r, a, ndim: r.choice(OPERATORS),
    "exponent": lambda r, a, ndim: r.choice(EXPONENTS),
    "bound": lambda r, a, ndim: r.choice(BOUNDS),
    "dtype": new_dtype,
    "keep": lambda r, a, ndim: r.choice(("True", "True", "False", "1", "0", "np.True_")),
    "end": lambda r, a, ndim: r.choice(("0", "-1")),
    "small": lambda r, a, ndim: str(r.choice((0, 1, 2, 3))),
    "sections": lambda r, a, ndim: r.choice(("1", "2", "3")),
    "size": lambda r, a, ndim: r.choice(("()", "3", "(2, 3)", "(0,)", "(4, 1)")),
    "axis": some_axes,
    "ax": one_axis,
    "order": order,
    "shape": new_shape,
    "index": basic_index,
    "list": integer_list,
}
