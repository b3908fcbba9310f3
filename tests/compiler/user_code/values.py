"""Values that are asked for while there are none; a refusal sticks, whatever the code does with the exception."""

# Code as users write it, which linters would write otherwise.
# ruff: noqa: C420, E722, SIM107, UP031

from __future__ import annotations

import collections
import contextlib
import logging
import math
import statistics

import numpy as np

from tests.compiler.user_code.rows import LABELS, NO_LINE, STEPS, X, either, falls_back

falls_back(
    X,
    float_of_sum=lambda x: x * float(x.sum()),
    int_of_max=lambda x: x * int(x.max()),
    bool_of_any=lambda x: x * bool((x > 2.0).any()),
    complex_of_sum=lambda x: x * complex(x.sum()).real,
    item=lambda x: x * x.sum().item(),
    tolist=lambda x: np.array(x.tolist()) * 2,
    if_sum=lambda x: x if x.sum() > 0 else -x,
    if_any=lambda x: x if (x > 2.5).any() else -x,
    if_not=lambda x: -x if not (x > -3.0).all() else x,
    if_nan=lambda x: np.zeros(2) if np.isnan(x).any() else x,
    and_or=lambda x: (x.sum() > 0 and x) or -x,
    chained_comparison=lambda x: x if 0 < x.sum() < 100 else -x,
    builtin_max=lambda x: x * max(x.sum(), 0.0),
    builtin_min_of_rows=lambda x: min(row.sum() for row in x),
    builtin_any=lambda x: x if any(row.sum() < 0 for row in x) else -x,
    builtin_all=lambda x: x if all(x.sum(axis=0) > 0) else -x,
    builtin_sorted=lambda x: sorted([x[0, 0], x[1, 1], x[2, 2]]),
    range_of_value=lambda x: sum((x for _ in range(int(abs(x.sum())))), x),
    math_exp=lambda x: x * math.exp(x[0, 0]),
    math_sqrt=lambda x: x * math.sqrt(abs(x.sum())),
    math_isfinite=lambda x: x if math.isfinite(x.sum()) else -x,
    math_fsum=lambda x: x * math.fsum(x[0]),
    in_array=lambda x: x * 2 if x.shape[0] + 0.5 in x else x,
    as_array=lambda x: np.asarray(x) * 2.0,
    as_array_of_dtype=lambda x: np.asarray(x, np.float32) * 2.0,
    array_of_array=lambda x: np.array(x) * 2.0,
    array_of_scalars=lambda x: np.array([x.sum(), x.max()]),
    mean_of_list=lambda x: np.mean([x.sum(), x.max()]),
    asfarray_contiguous=lambda x: np.ascontiguousarray(x.T) * 2.0,
    np_float32_of_sum=lambda x: np.float32(x.sum()) * x,
    np_c=lambda x: np.c_[x, x],
    np_r=lambda x: np.r_[x, x],
    formatted=lambda x: f"{x.sum():.3f}",
    formatted_percent=lambda x: "%.3f" % x.sum(),
    str_of=lambda x: str(x.sum()),
    repr_of=lambda x: repr(x),
    array2string=lambda x: np.array2string(x),
    allclose=lambda x: x if np.allclose(x, x * 1.001) else -x,
    array_equal=lambda x: x * 2 if np.array_equal(x, np.abs(x)) else x,
    as_shape=lambda x: np.ones(int(abs(x[0, 0])) + 1) * x.sum(),
    as_index_of_a_list=lambda x: ["a", "b", "c", "d"][np.argmax(x[:, 0])],
    as_slice=lambda x: x[: np.argmax(x[:, 0]) + 1],
    table_by_values=lambda x: np.arange(10.0)[(x > 0).astype(int)],
    frozen_in_bytes=lambda x: np.frombuffer(x.tobytes()) * 2,
)
falls_back(
    LABELS,
    one_hot_of_eye=lambda labels: np.eye(4)[labels],
    list_by_label=lambda labels: [("cat", "dog", "cow", "pig")[i] for i in labels],
    bincount=lambda labels: np.bincount(labels),
    bincount_minlength=lambda labels: np.bincount(labels, minlength=4),
    counter=lambda labels: collections.Counter(labels.tolist())[0],
    set_of_labels=lambda labels: len(set(labels)),
    dict_of_labels=lambda labels: {i: 2 for i in labels},
)


falls_back(X, NO_LINE, statistics_mean=lambda x: x * statistics.fmean(x[0]))


@falls_back(X)
def newton(x):
    y = np.abs(x) + 1.0
    while np.max(np.abs(y * y - np.abs(x))) > 1e-3:  # at fault
        y = 0.5 * (y + np.abs(x) / y)
    return y


@falls_back(X)
def clip_by_norm(x):
    norm = np.sqrt((x * x).sum())
    if norm > 5.0:  # at fault
        x = x * (5.0 / norm)
    return x


@falls_back(X)
def early_exit(x):
    total = 0.0
    for row in x:
        if row[0] < 0:  # at fault
            break
        total = total + row.sum()
    return total


@falls_back(X)
def asserted(x):
    assert (x > -1.0).all(), "a value below -1"  # at fault
    return x * 2


@falls_back(X)
def raises_by_value(x):
    if np.min(x) < -2.0:  # at fault
        raise ValueError("too small")
    return np.sqrt(x + 2.0)


@falls_back(X)
def matched(x):
    match np.sign(x.sum()):
        case 1.0:  # at fault
            return x
        case _:
            return -x


@falls_back(X)
def printed(x):
    print(end=str(x.sum())[:0])  # at fault
    return x * 2


@falls_back(X)
def bisected(x):
    low, high = 0.0, 10.0
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if np.mean(np.abs(x)) > middle else (low, middle)  # at fault
    return x / low


@either(X)
def logged(x):
    logging.getLogger("funcnet.user_code").debug("the sum is %s", x.sum())
    return x * 2


@either(X)
def printed_shape(x):
    print(end=str(x.shape)[:0])
    return x * 2


# A refusal sticks, whatever the code does with the exception.


@falls_back(X)
def swallowed(x):
    try:
        scale = float(x.sum())  # at fault
    except Exception:
        scale = 1.0
    return x * scale


@falls_back(X)
def swallowed_bare(x):
    try:
        positive = bool(x.sum() > 0)  # at fault
    except:
        positive = True
    return x if positive else -x


@falls_back(X)
def swallowed_type_error(x):
    try:
        return x * int(x.sum())  # at fault
    except (TypeError, ValueError, AttributeError, RuntimeError):
        return x


@falls_back(X)
def suppressed(x):
    scale = 1.0
    with contextlib.suppress(BaseException):
        scale = x.max().item()  # at fault
    return x * scale


@falls_back(X)
def swallowed_in_finally(x):
    try:
        return x * float(x.sum())  # at fault
    finally:
        return x * 2.0  # noqa: B012


@falls_back(X)
def swallowed_by_a_helper(x):
    def number(value, default):
        try:
            return float(value)  # at fault
        except Exception:
            return default

    return x * number(x.sum(), 1.0)


@falls_back(STEPS)
def swallowed_number(x, step):
    try:
        return x * (2.0 if step == 0 else 3.0)  # at fault
    except Exception:
        return x


@falls_back(STEPS)
def swallowed_key_error(x, step):
    try:
        return x * {0: 1.0, 1: 5.0}[step]  # at fault
    except KeyError:
        return x


@either(X)
def sort_with_refusing_key(x):
    try:
        return sorted(x, key=lambda row: -row.sum())[0]
    except Exception:
        return x[0]
