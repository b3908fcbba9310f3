"""Hidden state that the function itself changes: counters, caches, running means."""

from __future__ import annotations

import collections
import functools
import itertools
import types
from typing import Any

import numpy as np

from tests.compiler.user_code.hidden import Model
from tests.compiler.user_code.rows import EITHER, FALLS_BACK, X, made

CALLS = 0
BEST: Any = None


def set_global(name: str, value: Any) -> None:
    globals()[name] = value


@made(FALLS_BACK, X)
def counter_global():
    set_global("CALLS", 0)

    def f(x):
        global CALLS
        CALLS += 1
        return x * CALLS

    return f


@made(FALLS_BACK, X)
def counter_nonlocal():
    n = 0

    def f(x):
        nonlocal n
        n += 1
        return x * n

    return f


@made(FALLS_BACK, X)
def counter_attribute():
    return Model().counted


@made(FALLS_BACK, X)
def counter_in_a_dict():
    state = {"n": 0}

    def f(x):
        state["n"] += 1
        return x * state["n"]

    return f


@made(FALLS_BACK, X)
def counter_in_a_list():
    calls = []

    def f(x):
        calls.append(1)
        return x * len(calls)

    return f


@made(FALLS_BACK, X)
def counter_function_attribute():
    def f(x):
        f.calls += 1
        return x * f.calls

    f.calls = 0
    return f


@made(FALLS_BACK, X)
def counter_iterator():
    counter = itertools.count(1)
    return lambda x: x * next(counter)


@made(FALLS_BACK, X)
def counter_generator():
    def rates():
        n = 1.0
        while True:
            yield n
            n += 1.0

    source = rates()
    return lambda x: x * next(source)


@made(FALLS_BACK, X)
def counter_collections():
    seen = collections.Counter()

    def f(x):
        seen["calls"] += 1
        return x * seen["calls"]

    return f


@made(FALLS_BACK, X)
def counter_in_a_helper():
    state = {"n": 0}

    def tick():
        state["n"] = state["n"] + 1
        return state["n"]

    return lambda x: x * tick()


@made(FALLS_BACK, X)
def counter_array():
    n = np.zeros(())

    def f(x):
        n[()] += 1
        return x * n

    return f


@made(FALLS_BACK, X)
def popped_from_a_list():
    rates = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    return lambda x: x * rates.pop()


@made(FALLS_BACK, X)
def first_batch_kept():
    cache = {}

    def f(x):
        if "mean" not in cache:
            cache["mean"] = x.mean(axis=0) * 1.0
        return x - cache["mean"]

    return f


@made(FALLS_BACK, X)
def last_batch_kept():
    state = {"last": np.zeros((4, 5))}

    def f(x):
        change = x - state["last"]
        state["last"] = x * 1.0
        return change

    return f


@made(FALLS_BACK, X)
def running_mean():
    mean = np.zeros(5)

    def f(x):
        mean[:] = 0.9 * mean + 0.1 * x.mean(axis=0)
        return x - mean

    return f


@made(FALLS_BACK, X)
def running_mean_rebound():
    mean = np.zeros(5)

    def f(x):
        nonlocal mean
        mean = 0.9 * mean + 0.1 * x.mean(axis=0)
        return x - mean

    return f


@made(FALLS_BACK, X)
def running_mean_attribute():
    model = types.SimpleNamespace(mean=np.zeros(5))

    def f(x):
        model.mean = 0.9 * model.mean + 0.1 * x.mean(axis=0)
        return x - model.mean

    return f


@made(FALLS_BACK, X)
def lazily_made_global():
    set_global("BEST", None)

    def f(x):
        global BEST
        if BEST is None:
            BEST = np.arange(5.0)
        return x * BEST

    return f


@made(FALLS_BACK, X)
def logged_to_a_list():
    log = []

    def f(x):
        log.append(x.sum())
        return x * 2, [float(value) for value in log]

    return f


@made(EITHER, X)
def logged_shapes():
    log = []

    def f(x):
        log.append(x.shape)
        return x * 2

    return f


@made(EITHER, X)
def cached_property():
    return Model().cached


@made(EITHER, X)
def cached_by_shape():
    @functools.lru_cache
    def ramp(n):
        return np.linspace(0.0, 1.0, n)

    return lambda x: x * ramp(x.shape[1])


@made(EITHER, X)
def set_default_by_shape():
    cache = {}
    return lambda x: x * cache.setdefault(x.shape, np.arange(5.0))


@made(EITHER, X)
def memoised_by_hand():
    cache = {}

    def ramp(n):
        if n not in cache:
            cache[n] = np.linspace(0.0, 1.0, n)
        return cache[n]

    return lambda x: x * ramp(x.shape[1])
