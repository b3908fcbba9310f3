"""Random arguments: arrays in every layout and with every kind of value, numbers, and keys."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

import funcnet as fn
from tests.compiler.comparison import placed

FLOATS, WHOLE = ("float32", "float64", "float16"), ("int64", "int32", "uint8", "int8")


def strides(r: random.Random, shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Strides of some layout: rows or columns first, axes in any order, gaps, negative steps, repetitions."""
    style = r.choice(("rows", "rows", "rows", "columns", "permuted", "gaps", "reversed", "repeated", "all"))
    axes = list(range(len(shape)))
    if style == "rows" or style in ("gaps", "reversed", "repeated"):
        axes.reverse()
    elif style in ("permuted", "all"):
        r.shuffle(axes)
    found, step = [0] * len(shape), itemsize
    for axis in axes:
        if style in ("gaps", "all"):
            step *= r.choice((1, 1, 2, 3))
        found[axis] = step * (-1 if style in ("reversed", "all") and r.random() < 0.5 else 1)
        step *= max(shape[axis], 1)
        if style in ("gaps", "all"):
            step += itemsize * r.choice((0, 0, 1, 2))
    if style == "repeated" or (style == "all" and r.random() < 0.2):
        found = [0 if r.random() < 0.5 else stride for stride in found]
    if r.random() < 0.3:  # of an axis of length 1 they mean nothing
        found = [
            r.choice((0, itemsize, -itemsize, 1000 * itemsize)) if n == 1 else stride
            for n, stride in zip(shape, found, strict=True)
        ]
    return tuple(found)


def values(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any], style: str) -> Any:
    """Entries for an array."""
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        low, high = (info.min, info.max) if style == "special" else (max(info.min, -5), 6)
        return rng.integers(low, high, shape, dtype, endpoint=style == "special")
    info = np.finfo(dtype)
    x = rng.normal(size=shape)
    if style == "whole":
        return np.round(2.0 * x)
    if style == "positive":
        return np.abs(x) + 0.1
    if style in ("zeros", "special"):
        special = [0.0, -0.0, 1.0, -1.0]
        if style == "special":
            tiny, largest = float(info.smallest_subnormal), float(info.max)
            special += [np.nan, np.inf, -np.inf, -0.0, 3 * tiny, -tiny, float(info.tiny), largest, -largest, 1e4]
        return np.where(rng.random(shape) < (0.9 if style == "zeros" else 0.4), rng.choice(special, shape), x)
    return x


STYLES = ("normal", "normal", "normal", "whole", "positive", "zeros", "special")


def shapes(r: random.Random, large: bool) -> list[tuple[int, ...]]:
    """Shapes that fit one another in many ways."""
    if large:
        n, m, k = (r.choice((48, 64, 100, 128, 200, 257, 300)) for _ in range(3))
        if r.random() < 0.3:
            n = r.choice((700, 1000, 2048))
        b = r.choice((2, 5, 16))
        some = [
            (n, m),
            (m, k),
            (n, m),
            (m, n),
            (n, 1),
            (1, m),
            (m,),
            (n,),
            (k,),
            (),
            (b, 32, 48),
            (b, 48, 20),
            (48, 33),
        ]
    else:
        n, m, k, b = (r.choice((1, 2, 3, 4, 5, 6, 8)) for _ in range(4))
        if r.random() < 0.06:
            n = 0
        if r.random() < 0.15:
            k = r.choice((9, 17, 33))
        some = [(n, m), (m, k), (n, m), (n, n), (m,), (n,), (n, 1), (1, m), (b, n, m), (b, m, k), (1,), (1, 1), ()]
        some += [(b, 1, n, m), (1, m, 1)] if r.random() < 0.3 else []
    return r.sample(some, r.randint(1, 4))


def arguments(r: random.Random, large: bool) -> list[Callable[[np.random.Generator, bool], Any]]:
    """Makers of arguments: ``(rng, anew) -> value``, where ``anew`` asks for another layout."""
    makers: list[Callable[[np.random.Generator, bool], Any]] = []
    main = r.choice(FLOATS[: 2 if large else 3])
    for shape in shapes(r, large):
        dtype = np.dtype(main if r.random() < 0.6 else r.choice((*FLOATS, *WHOLE, "bool")))
        how, style = strides(r, shape, dtype.itemsize), r.choice(STYLES[: 5 if large and r.random() < 0.8 else 7])

        def array(rng: np.random.Generator, anew: bool, shape=shape, dtype=dtype, how=how, style=style) -> Any:
            x = placed(shape, dtype, strides(r, shape, dtype.itemsize) if anew else how)
            x[...] = values(rng, shape, dtype, style)
            return x

        makers.append(array)
    for _ in range(r.choice((0, 1, 1, 2))):
        whole = r.random() < 0.4
        pool = (0, 1, 2, 3, -1, 7, 32) if whole else (0.5, -0.0, 1e-3, 2.0, -1.5, 1e300, float("nan"), 3.25)
        makers.append(lambda rng, anew, pool=pool: pool[rng.integers(len(pool))])
    if r.random() < 0.4:
        makers.append(lambda rng, anew: fn.Key(int(rng.integers(1000))))
    if r.random() < 0.1:
        makers.append(lambda rng, anew: np.float32(rng.normal()))
    return makers


def named(args: Iterable[Any]) -> dict[str, Any]:
    """Arguments by name: x for arrays, n for numbers, k for keys."""
    letter = {float: "n", int: "n", fn.Key: "k"}
    return {f"{letter.get(type(value), 'x')}{i}": value for i, value in enumerate(args)}
