"""Functions of NumPy that are recorded by handlers give what NumPy gives, or its errors."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.compiler.test_standins import fault

A = np.arange(24.0).reshape(2, 3, 4)[:, ::-1]
AXES = (0, 1, 2, -1, -3)
CALLS: dict[str, list[Callable[[Any], Any]]] = {
    "moveaxis": [
        lambda a, s=s, d=d: np.moveaxis(a, s, d)
        for n in (1, 2, 3)
        for s, d in itertools.product(itertools.permutations(AXES, n), repeat=2)
        if n < 3 or s[0] == 1
    ],
    "transpose": [lambda a, p=p: np.transpose(a, p) for p in itertools.permutations(AXES, 3)],
    "swapaxes": [lambda a, p=p: np.swapaxes(a, *p) for p in itertools.product((*AXES, 3), repeat=2)],
    "expand_dims": [lambda a, p=p: np.expand_dims(a, p) for p in (*AXES, 3, -4, 4, (0, 1), (3, 0), (0, 0), (-1, 1))],
    "squeeze": [lambda a, p=p: np.squeeze(a[:, None, :1], p) for p in (None, *AXES, (1, 2), (0, 1), ())],
    "stack": [lambda a, p=p: np.stack((a, a * 2.0, A), p) for p in (*AXES, 3, -4, 4)],
    "concatenate": [lambda a, p=p: np.concatenate((a, a * 2.0, A), p) for p in (None, *AXES, 3)],
    "split": [
        lambda a, i=i, p=p: np.split(a, i, p) for p in (*AXES, 3) for i in (1, 2, 3, 4, [1], [1, 1, 2], [0, 9], [-1])
    ],
    "reshape": [lambda a, p=p: np.reshape(a, p) for p in (24, -1, (4, -1), (-1, -1), (2, 12), (5, 5), (1, 24, 1), ())],
    "broadcast_to": [lambda a, p=p: np.broadcast_to(a[:, :1], p) for p in ((2, 3, 4), (5, 2, 1, 4), (2, 4), 4)],
    "clip": [
        lambda a, low=low, high=high: np.clip(a, low, high)
        for low in (None, 2, 2.5, -0.0, np.nan, A)
        for high in (None, 9, 1.0, np.inf, A)
    ],
    "ravel": [lambda a: np.ravel(a), lambda a: np.ravel(a.T), lambda a: np.ravel(a, "F"), lambda a: a.flatten()],
    "like": [
        lambda a, f=f, d=d: f(a.T, dtype=d) for f in (np.zeros_like, np.ones_like) for d in (None, np.float32, bool)
    ],
    "full_like": [lambda a, v=v: np.full_like(a.T, v) for v in (1, 2.5, True, np.nan)],
    "size": [lambda a, p=p: np.size(a, p) for p in (None, *AXES, 3)],
    "mean": [
        lambda a, p=p, k=k, d=d: np.mean(a.astype(d), axis=p, keepdims=k)
        for p in (None, *AXES, (0, 2), (), (0, 0), 3)
        for k in (False, True)
        for d in (np.float16, np.float32, np.float64, np.int32)
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_every_call(name: str) -> None:
    faults = [(f.__defaults__, text) for f in CALLS[name] if (text := fault(f, A))]
    assert not faults, faults[:5]


def test_a_mean_of_halves_adds_in_single_precision() -> None:
    assert not fault(lambda a: np.mean(a, axis=0), np.full((4000, 2), 0.3, np.float16))
