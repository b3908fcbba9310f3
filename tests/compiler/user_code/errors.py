"""Errors, control flow by them, and programs of unusual size."""

from __future__ import annotations

import functools
import threading
import types
import warnings

import numpy as np

import funcnet as fn
from tests.compiler.user_code.rows import NO_LINE, STEPS, ZEROS_AMONG, X, either, falls_back, recorded


@falls_back(ZEROS_AMONG, NO_LINE)
def divide_or_zero(x):
    with np.errstate(divide="raise", invalid="raise"):
        try:
            return 1.0 / x
        except FloatingPointError:
            return np.zeros_like(x)


@falls_back(ZEROS_AMONG, NO_LINE)
def log_raises(x):
    with np.errstate(all="raise"):
        return np.log(x)


@either(ZEROS_AMONG)
def divide_ignored(x):
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(x == 0, 0.0, 1.0 / x)


@either(ZEROS_AMONG)
def warnings_as_errors(x):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return 1.0 / x
        except RuntimeWarning:
            return np.zeros_like(x)


@either(ZEROS_AMONG)
def warnings_counted(x):
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        y = 1.0 / x
    return y, len(heard)


@either(ZEROS_AMONG)
def error_callback(x):
    count = []
    with np.errstate(divide="call", call=lambda *_: count.append(1)):
        y = 1.0 / x
    return y * (1 + len(count))


@either(ZEROS_AMONG)
def error_state_set(x):
    old = np.seterr(divide="ignore")
    try:
        return 1.0 / x
    finally:
        np.seterr(**old)


@either(X)
def shape_error_caught(x):
    try:
        return x @ x
    except ValueError:
        return x @ x.T


@either(X)
def attribute_error_caught(x):
    try:
        x = x.values
    except AttributeError:
        x = x * 2
    return x


@either(X)
def index_error_caught(x):
    total, i = 0.0, 0
    try:
        while True:
            total = total + x[i].sum()
            i += 1
    except IndexError:
        return total


@either(X)
def type_error_caught(x):
    try:
        return x + "text"
    except TypeError:
        return x * 2


@either(STEPS)
def zero_division_caught(x, n):
    try:
        return x * (1 / n)
    except ZeroDivisionError:
        return x


@either(STEPS)
def overflow_caught(x, n):
    try:
        return x * 1e200**n
    except OverflowError:
        return x


@recorded(X)
def shape_checked(x):
    if x.ndim != 2 or x.shape[1] != 5:
        raise ValueError(f"expected (n, 5), got {x.shape}")
    return x * 2


@either(X)
def always_raises(x):
    raise KeyError(x.shape)


@either(X)
def raises_library_error(x):
    raise fn.ShapeError("too wide")


@either(X)
def raises_trace_error_itself(x):
    raise fn.TraceError("the user's own")


@either(X)
def missing_name(x):
    return x * nothing_of_this_name  # noqa: F821


@either(X)
def exits(x):
    raise StopIteration


@either(X)
def deep_recursion(x):
    def down(y, n):
        return y if n == 0 else down(y + 1.0, n - 1)

    return down(x, 200)


@either(X)
def long_chain(x):
    for _ in range(1200):
        x = x + 0.001
    return x


@either(X)
def long_chain_of_dicts(x):
    state = {"a": x, "b": x * 2}
    for _ in range(300):
        state = {"a": state["b"] * 0.999 + 0.1, "b": state["a"] * 0.999}
    return state


@either(X)
def many_reversals(x):
    y = x * 1.0
    for _ in range(500):
        y = y[::-1]
    return y + 1.0


@either(X)
def deep_result(x):
    result = x * 2
    for _ in range(150):
        result = [result]
    return result


@either(X)
def many_results(x):
    return [x * i for i in range(300)]


@either(X)
def unused_work(x):
    np.linalg.norm(x)
    np.argmax(x, axis=1)
    return x * 2


@either(X)
def unused_error(x):
    _ = x[0] @ x[:, 0] if x.shape[0] == x.shape[1] else None
    return x * 2


@either(X)
def subexpressions_shared(x):
    a, b = np.exp(x) * 2.0, np.exp(x) * 2.0
    return a + b, a is b


@either(X)
def walrus_and_comprehension(x):
    return [y * 2 for row in x if (y := row + 1) is not None and row.shape == (5,)]


@either(X)
def decorated(x):
    def twice(f):
        @functools.wraps(f)
        def call(*args):
            return f(f(*args))

        return call

    return twice(lambda y: np.tanh(y) * 2)(x)


@either(X)
def class_made_inside(x):
    class Scaler:
        def __init__(self, factor):
            self.factor = factor

        def __call__(self, y):
            return y * self.factor

    return Scaler(x.max(axis=0))(x)


@either(X)
def local_state(x):
    history, best = [], {"value": None}
    for _ in range(3):
        x = np.tanh(x) * 1.1
        history.append(x.mean())
        best["value"] = x
    return best["value"], np.stack(history)


@either(X)
def local_object_written(x):
    model = types.SimpleNamespace(w=x * 2, steps=0)
    for _ in range(3):
        model.w = model.w - 0.1 * model.w
        model.steps += 1
    return model.w * model.steps


@either(X)
def thread_inside(x):
    found = []
    thread = threading.Thread(target=lambda: found.append(np.exp(x)))
    thread.start()
    thread.join()
    return found[0] if found else None
