"""Python numbers among the arguments: a rate, a step, a count."""

# Code as users write it, which linters would write otherwise.
# ruff: noqa: SIM300, UP031

from __future__ import annotations

import functools
import itertools
import math
import numbers
import operator

import numpy as np

import funcnet as fn
from tests.compiler.user_code.rows import (
    BYTES,
    INTS,
    NO_LINE,
    RATES,
    SINGLE_RATES,
    SINGLE_STEPS,
    STEPS,
    X,
    beside,
    either,
    falls_back,
    recorded,
)

recorded(
    RATES,
    rate_arithmetic=lambda x, rate: x * rate + (1.0 - rate) * x / (rate + 2.0) - x * -rate,
    rate_powers=lambda x, rate: x * rate**2 + x * 0.9**rate + x * rate**0.5,
    rate_floor_mod=lambda x, rate: x * (rate // 0.3) + x * (rate % 0.3) + x * (7.0 // rate) + x * (7.0 % rate),
    rate_unary=lambda x, rate: x * +rate + x * abs(-rate),
    rate_result=lambda x, rate: (rate * 2, rate, -rate, 3),
    rate_isinstance=lambda x, rate: x * 2.0 if isinstance(rate, float) and not isinstance(rate, int) else x,
    rate_isinstance_union=lambda x, rate: x * rate if isinstance(rate, int | float) else x,
    rate_not_none=lambda x, rate: x if rate is None else x * rate,
    rate_augmented=lambda x, rate: (lambda r: r * x)(functools.reduce(operator.iadd, [rate, 1.0, 2])),
)
recorded(
    STEPS,
    step_arithmetic=lambda x, n: x * n + x / (n + 1) - n * 3 + (n - 1) * x,
    step_floor_mod=lambda x, n: x * (n // 2) + x * (n % 3) + 7 // (n + 1) + 7 % (n + 1),
    step_square=lambda x, n: x * n**2,
    step_decay=lambda x, n: x * 0.9**n + x / (1.0 - 0.9 ** (n + 1)),
    step_unary=lambda x, n: x * -n + x * abs(-n) + x * +n,
    step_result=lambda x, n: (n + 1, n / 2, n // 2, n % 2),
    step_isinstance=lambda x, n: x * 2.0 if isinstance(n, int) and not isinstance(n, float) else x,
    step_adam=lambda x, n: x * (1 - 0.999 ** (n + 1)) ** 0.5 / (1 - 0.9 ** (n + 1)),
    step_divides=lambda x, n: x * (1 / n),
    step_modulo_by_it=lambda x, n: x * (5 % n),
)
recorded(
    SINGLE_RATES,
    single_times_rate=lambda x, rate: x * rate + rate,
    single_minus_rate_grad=lambda x, rate: x - rate * (2.0 * x),
    single_sum_times_rate=lambda x, rate: x.sum() * rate,
    single_where_rate=lambda x, rate: np.where(x > rate, x, rate),
    single_maximum_rate=lambda x, rate: np.maximum(x, rate) + np.clip(x, -rate, rate),
)
recorded(SINGLE_STEPS, single_times_step=lambda x, n: x * n + n, single_over_step=lambda x, n: x / (n + 1))
falls_back(
    STEPS,
    step_equals=lambda x, step: x * 10 if step == 0 else x,
    step_not_equal=lambda x, step: x if step != 0 else x * 10,
    step_equals_reflected=lambda x, step: x * 10 if 0 == step else x,
    step_in_tuple=lambda x, step: x * 10 if step in (0, 1) else x,
    step_in_set=lambda x, step: x * 10 if step in {0, 1} else x,
    step_as_key=lambda x, step: x * {0: 1.0, 1: 2.0, 3: 5.0}[step],
    step_get=lambda x, step: x * {0: 7.0}.get(step, 1.0),
    step_set_member=lambda x, step: x * len({step, 0}),
    step_dict_made=lambda x, step: {step: x},
    step_hash=lambda x, step: x * (hash(step) + 1),
    step_less=lambda x, step: x * 10 if step < 2 else x,
    step_truth=lambda x, step: x if step else -x,
    step_not=lambda x, step: -x if not step else x,
    step_modulo_is_zero=lambda x, step: x * 10 if step % 2 == 0 else x,
    step_max=lambda x, step: x / max(step, 1),
    step_min=lambda x, step: x * min(1.0, step / 2),
    step_range=lambda x, step: sum((x for _ in range(step)), x),
    step_index_list=lambda x, step: x * [1.0, 2.0, 3.0, 4.0][step],
    step_repeats_list=lambda x, step: x * len([1.0] * (step + 1)),
    step_int=lambda x, step: x * int(step),
    step_float=lambda x, step: x * float(step),
    step_str=lambda x, step: {str(step): x},
    step_format=lambda x, step: {f"layer_{step}": x},
    step_percent=lambda x, step: {"layer_%d" % step: x},
    step_repr=lambda x, step: {repr(step): x},
    step_index_method=lambda x, step: "abc"[: step % 2],
    step_arange=lambda x, step: np.arange(step + 1) * x.sum(),
    step_zeros=lambda x, step: np.zeros(step + 1) + x.sum(),
    step_math=lambda x, step: x * math.cos(math.pi * step / 10),
    step_list_index=lambda x, step: x * [3, 1, 0].index(step),
    step_list_count=lambda x, step: x * [3, 1, 1, 0].count(step),
    step_sorted=lambda x, step: x * sorted([2, step])[0],
    step_equals_another=lambda x, step: x * 10 if step + 1 == 1 else x,
    step_tuple_equals=lambda x, step: x * 10 if (step, 1) == (0, 1) else x,
    step_list_equals=lambda x, step: x * 10 if [step] == [0] else x,
    step_dict_equals=lambda x, step: x * 10 if {"n": step} == {"n": 0} else x,
    step_table_of_arrays=lambda x, step: x * np.arange(5.0)[step],
    step_bool_sum=lambda x, step: x * sum(step >= boundary for boundary in (1, 2)),
    step_np_float32=lambda x, step: x * np.float32(step),
    step_np_array=lambda x, step: x * np.array(step),
)
falls_back(
    RATES,
    rate_equals=lambda x, rate: x * 10 if rate == 0.5 else x,
    rate_equals_default=lambda x, rate: x if rate in (0.0, 0.5) else x * rate,
    rate_if_not=lambda x, rate: x if not rate else x * rate,
    rate_greater=lambda x, rate: x * rate if rate > 0.3 else x,
    rate_format=lambda x, rate: f"{rate:.1f}",
    rate_int=lambda x, rate: x * int(rate * 10),
    rate_math_exp=lambda x, rate: x * math.exp(-rate),
    rate_isclose=lambda x, rate: x if math.isclose(rate, 0.5) else -x,
)


@functools.lru_cache
def window(n):
    return np.hanning(n + 3)[1]


@functools.lru_cache
def grid_of(n):
    return np.linspace(0.0, 1.0, n)


@falls_back(STEPS, NO_LINE)
def number_to_a_cached_function(x, n):
    return x * window(n)  # at fault


@falls_back(STEPS)
def recursion(x, n):
    return x if n == 0 else recursion(x * 2, n - 1)  # at fault


@falls_back(STEPS)
def match_step(x, step):
    match step:
        case 0:  # at fault
            return x * 10
        case _:
            return x


@falls_back(STEPS)
def countdown(x, n):
    while n > 0:  # at fault
        x, n = x * 2, n - 1
    return x


either(
    STEPS,
    step_round=lambda x, n: x * round(n / 2),
    step_divmod=lambda x, n: x * divmod(n, 2)[1],
    step_bits=lambda x, n: x * ((n << 1) | 1) + (n & 1),
    step_bit_length=lambda x, n: x * n.bit_length(),
    step_real=lambda x, n: x * n.real,
    step_invert=lambda x, n: x * ~n,
    step_negative_power=lambda x, n: x * (n + 1) ** -1,
    step_power_of_two=lambda x, n: 2**n,
    step_power_mod=lambda x, n: x * pow(3, n, 5),
    step_axis=lambda x, n: x[:, 0:4].sum(axis=n % 2),
    step_keepdims=lambda x, n: x.sum(axis=0, keepdims=n),
    step_indexes=lambda x, n: x[n],
    step_slices=lambda x, n: x[n:],
    step_rolls=lambda x, n: np.roll(x, n),
    step_reshapes=lambda x, n: x.reshape(n - 5, -1),
    step_repeats=lambda x, n: np.repeat(x, n + 1, axis=0),
    step_to_power=lambda x, n: np.abs(x) ** n,
    step_np_sqrt=lambda x, n: x * np.sqrt(n),
    step_np_cos=lambda x, n: x * (0.5 * (1 + np.cos(np.pi * n / 10))),
    step_isscalar=lambda x, n: x * 2 if np.isscalar(n) else x,
    step_np_ndim=lambda x, n: x * 2 if np.ndim(n) == 0 else x,
    step_np_asarray=lambda x, n: np.asarray(n) * x,
    step_np_full=lambda x, n: np.full(x.shape, n) + x,
    step_np_full_like=lambda x, n: np.full_like(x, n) + x,
    step_np_int64=lambda x, n: x * np.int64(n),
    step_type_is_int=lambda x, n: x * 2 if type(n) is int else x,
    step_isinstance_number=lambda x, n: x * 2 if isinstance(n, numbers.Number) else x,
    step_isinstance_integral=lambda x, n: x * 2 if isinstance(n, numbers.Integral) else x,
    step_isinstance_numpy=lambda x, n: x * 2 if isinstance(n, int | np.integer) else x,
    step_operator_index=lambda x, n: x * operator.index(n),
    step_np_where=lambda x, n: np.where(n > 1, x, -x),
    step_np_equal=lambda x, n: np.where(np.equal(n, 0), x, -x),
    step_against_array=lambda x, n: np.where(np.arange(5) < n, x, 0.0),
    step_fills_a_list=lambda x, n: np.array([n, 2 * n]) * x.sum(),
    step_linspace=lambda x, n: np.linspace(0, n, 5) * x,
    step_key=lambda x, n: fn.Key(n).normal(x.shape) * x,
    step_number_op=lambda x, n: x * fn.ops.scalar(lambda k: 1.0 if k == 0 else 0.5, n),
    step_id=lambda x, n: x * 2 if id(n) == id(n) else x,
    step_itertools=lambda x, n: sum(itertools.islice(itertools.count(1.0), n), x),
)
either(
    RATES,
    rate_is_integer=lambda x, rate: x * 2 if rate.is_integer() else x,
    rate_hex=lambda x, rate: rate.hex(),
    rate_conjugate=lambda x, rate: x * rate.conjugate(),
    rate_round=lambda x, rate: x * round(rate, 1),
    rate_np_exp=lambda x, rate: x * np.exp(-rate),
    rate_np_sqrt=lambda x, rate: x * np.sqrt(rate),
    rate_np_maximum=lambda x, rate: x * np.maximum(rate, 0.3),
    rate_np_full=lambda x, rate: np.full(x.shape, rate) * x,
    rate_np_array=lambda x, rate: np.array([rate, 1.0]) * x.sum(),
    rate_np_float32=lambda x, rate: x * np.float32(rate),
    rate_negative_root=lambda x, rate: (0.3 - rate) ** 0.5,
    rate_power_of_array=lambda x, rate: np.abs(x) ** rate,
    rate_times_list=lambda x, rate: rate * [1.0],
    rate_isinstance_np_floating=lambda x, rate: x * 2 if isinstance(rate, float | np.floating) else x,
    rate_trunc=lambda x, rate: x * math.trunc(rate * 10),
)
either(
    SINGLE_RATES,
    single_np_sqrt_of_rate=lambda x, rate: x * np.sqrt(rate),
    single_np_exp_of_rate=lambda x, rate: x * np.exp(-rate),
    single_power_rate=lambda x, rate: np.abs(x) ** rate,
    single_full_of_rate=lambda x, rate: np.full(x.shape, rate) * x,
    single_array_of_rate=lambda x, rate: np.array(rate) * x,
    single_arange_of_rate=lambda x, rate: np.arange(5) * rate + x,
    single_fmod_rate=lambda x, rate: np.fmod(x, rate) + x % rate + x // rate,
)
either(beside(X, 3, -1, 0), power_of_a_negative_count=lambda x, n: 2**n, root_of_a_count=lambda x, n: n**0.5)
either(beside(X, 3, 2**62, 2**70), huge_count=lambda x, n: x * n, huge_count_squared=lambda x, n: n**2)
either(
    beside(X, 0.5, math.inf, math.nan), infinite_rate=lambda x, r: x * r, rate_overflows=lambda x, r: (r * 1e300) ** 2
)
either(beside(INTS, 2, -3, 300), integers_times_count=lambda x, n: x * n, integers_times_square=lambda x, n: x * (n**2))
either(beside(BYTES, 2, 100, 300), bytes_plus_count=lambda x, n: x + n, bytes_over_count=lambda x, n: x / n)
either(beside(X, 2, 2.0, True), int_float_and_bool=lambda x, n: x.astype(np.int64) * n)
either(beside(X, True, False, True), flag=lambda x, flag: x if flag else -x, flag_times=lambda x, flag: x * flag)
either(beside(X, "relu", "none", "relu"), mode=lambda x, mode: np.maximum(x, 0) if mode == "relu" else x)
either(beside(X, None, 2.0, None), optional=lambda x, scale: x if scale is None else x * scale)
either(beside(X, 1j, 2j, 1 + 1j), complex_number=lambda x, z: (x * z).real)
either(beside(X, np.float32(2), np.float32(3), np.float32(4)), numpy_scalar=lambda x, s: x.astype(np.float32) * s)
either(
    beside(X, np.float64(2), np.float64(0), np.float64(-1)),
    numpy_scalar_is_a_float=lambda x, s: x * s if isinstance(s, float) else x,
    numpy_scalar_compared=lambda x, s: x * 10 if s == 0.0 else x,
    numpy_scalar_is_generic=lambda x, s: x * s if isinstance(s, np.generic) else x,
    numpy_scalar_divided=lambda x, s: 1.0 / s,
    numpy_scalar_item=lambda x, s: x * s.item(),
)
either(
    beside(X, np.int64(2), np.int64(0), np.int64(1)), numpy_index=lambda x, i: x[i], numpy_axis=lambda x, i: x[i:].sum()
)
