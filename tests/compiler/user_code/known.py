"""What stand-ins answer: what is known of an array before its values are."""

# Code as users write it, which linters would write otherwise.
# ruff: noqa: B905

from __future__ import annotations

import copy
import functools
import numbers
import operator
import pickle
import weakref

import numpy as np

from tests.compiler.user_code.rows import SCALAR, XY, X, either, recorded

recorded(
    X,
    isinstance_ndarray=lambda x: x * 2.0 if isinstance(x, np.ndarray) else x,
    isinstance_not_list=lambda x: x if isinstance(x, list | tuple | dict) else x * 3.0,
    shape_ndim_size_len=lambda x: x * x.shape[0] * x.ndim / x.size + len(x),
    np_shape_ndim_size=lambda x: x * np.shape(x)[1] + np.ndim(x) - np.size(x) + np.size(x, 0),
    dtype_of_x=lambda x: x + np.finfo(x.dtype).eps if x.dtype == np.float64 else x * 0,
    issubdtype=lambda x: x * 2 if np.issubdtype(x.dtype, np.floating) else x * 0,
    branch_on_shape=lambda x: x @ x.T if x.shape[0] < x.shape[1] else x.T @ x,
    is_none=lambda x: x * 2 if x is not None else 0.0,
    iterate_rows=lambda x: sum(row * i for i, row in enumerate(x)),
    unpack_rows=lambda x: (lambda a, b, c, d: a + b * c - d)(*x),
    zip_rows=lambda x: [a * b for a, b in zip(x, x[::-1])],
    reduce_rows=lambda x: functools.reduce(np.maximum, list(x)),
    sum_of_rows=lambda x: sum(x),
    ones_of_shape=lambda x: np.ones(x.shape) + x + np.eye(*x.shape) * np.arange(x.shape[1]),
    to_its_dtype=lambda x: np.zeros(3, x.dtype) + x.sum(),
    equal_arrays_elementwise=lambda x: (x == x[::-1]).sum(axis=0) + (x != 0.0).sum(),
)
either(
    X,
    type_is_ndarray=lambda x: x * 2.0 if type(x) is np.ndarray else x,
    class_is_ndarray=lambda x: x * 2.0 if x.__class__ is np.ndarray else x,
    type_name=lambda x: x * 2.0 if type(x).__name__ == "ndarray" else x,
    type_in_a_table=lambda x: {np.ndarray: x * 2.0}.get(type(x), x),
    isinstance_scalar_of_a_sum=lambda x: x * 2.0 if isinstance(x.sum(), np.ndarray) else x,
    isinstance_float_of_a_sum=lambda x: x * 2.0 if isinstance(x.sum(), float) else x,
    isscalar_of_a_sum=lambda x: x * 2.0 if np.isscalar(x.sum()) else x,
    isinstance_generic=lambda x: x * 2.0 if isinstance(x.max(), np.generic) else x,
    isinstance_number=lambda x: x * 2.0 if isinstance(x.mean(), numbers.Number) else x,
    hasattr_toarray=lambda x: x.toarray() if hasattr(x, "toarray") else x * 2.0,
    getattr_default=lambda x: x * getattr(x, "scale", 2.0),
    hasattr_dtype=lambda x: x * 2.0 if hasattr(x, "dtype") and hasattr(x, "__len__") else x,
    is_itself=lambda x: x * 2.0 if np.asanyarray(x) is x else x,
    nbytes=lambda x: x * x.nbytes + x.itemsize,
    flags=lambda x: x * 2.0 if x.flags.c_contiguous else x,
    base_is_none=lambda x: x * 2.0 if (x * 1).base is None else x,
    strides=lambda x: x * x.strides[0],
    callable_x=lambda x: x * 2.0 if callable(x) else x,
    copy_copy=lambda x: copy.copy(x) * 2.0,
    copy_deepcopy=lambda x: copy.deepcopy(x) * 2.0,
    pickled=lambda x: pickle.loads(pickle.dumps(x)) * 2.0,
    reversed_rows=lambda x: [row * 2 for row in reversed(x)],
    iterator_over=lambda x: next(iter(x)) * 2.0,
    in_a_list_by_identity=lambda x: x * 2.0 if any(y is x for y in [x, 1]) else x,
    iscomplexobj=lambda x: x if not np.iscomplexobj(x) else x * 0,
    isrealobj=lambda x: x if np.isrealobj(x) else x * 0,
    result_type=lambda x: x.astype(np.result_type(x, np.float32)),
    can_cast=lambda x: x * 2 if np.can_cast(x.dtype, np.float32) else x,
    min_scalar_type=lambda x: x * 2 if np.min_scalar_type(x) == np.float64 else x,
    weak_reference=lambda x: weakref.ref(x)() * 2.0,
    shares_memory=lambda x: x * 2 if np.shares_memory(x, x[0]) else x,
    may_share_memory=lambda x: x * 2 if np.may_share_memory(x, x * 1) else x * 3,
    isfortran=lambda x: x * 2 if np.isfortran(x) else x * 3,
)


@either((*XY[:2], lambda: (XY[0][0].copy(),) * 2, lambda: (XY[1][0].copy(),) * 2))
def two_arguments_that_are_one(x, y):
    return x * 2.0 if x is y else x + y


@either(SCALAR)
def array_without_axes(x):
    return x * 2.0 if isinstance(x, np.ndarray) else x


either(
    SCALAR,
    array_without_axes_index=lambda x: x[()] * 2.0,
    array_without_axes_len=lambda x: len(x),
    array_without_axes_iterated=lambda x: list(x),
    array_without_axes_in_place=lambda x: operator.iadd(x * 1.0, 1.0),
    array_without_axes_item=lambda x: x.item() * 2,
)
