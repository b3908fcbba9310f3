"""Results: structures of arrays, and what hides them."""

# Code as users write it, which linters would write otherwise.
# ruff: noqa: B905

from __future__ import annotations

import collections
import functools
import time
import types

import numpy as np

import funcnet as fn
from tests.compiler.user_code.rows import NO_LINE, STEPS, X, either, falls_back, recorded
from tests.compiler.user_code.structures import Config, Holder, Pair

recorded(
    X,
    result_structure=lambda x: {"a": [x, (x * 2, None)], "b": {"c": x.sum()}, "n": 3, "s": "text"},
    result_named=lambda x: Pair(x * 2, x.sum()),
    result_shape_and_dtype=lambda x: (x.shape, x.dtype, len(x), x * 2),
    result_argument=lambda x: x,
    result_argument_twice=lambda x: (x, x),
    result_constant=lambda x: np.arange(3.0),
    result_nothing=lambda x: None,
    result_number=lambda x: 3.5,
    result_empty=lambda x: ({}, [], ()),
    result_list_of_rows=lambda x: [row * 2 for row in x],
    result_train_state=lambda x: fn.TrainState({"w": x * 2}, {}, {}, fn.Key(0), 0),
)
either(
    X,
    result_ordered=lambda x: collections.OrderedDict(b=x, a=x * 2),
    result_default_dict=lambda x: collections.defaultdict(list, a=[x * 2]),
    result_dict_values=lambda x: {"a": x * 2}.values(),
    result_constant_set=lambda x: {1, 2, 3},
    result_dtype_class=lambda x: x.dtype.type,
    result_partly_unknown=lambda x: (x * 2, np.random.default_rng),
    result_float_list=lambda x: [1.0, 2, True, None, "a", x * 2],
    result_tuple_subclass=lambda x: time.struct_time((*range(8), 0)),
    result_list_subclass=lambda x: type("Layers", (list,), {})([x * 2]),
    result_bool=lambda x: (x > 2.5).any(),
    result_class=lambda x: x.__class__,
    result_context=lambda x: fn.Context(True, None),
)
falls_back(
    X,
    NO_LINE,
    result_dataclass=lambda x: Config(1.0, x * 2),
    result_namespace=lambda x: types.SimpleNamespace(y=x * 2),
    result_attrs=lambda x: Holder(x * 2),
    result_closure=lambda x: lambda: x * 2,
    result_generator=lambda x: (row * 2 for row in x),
    result_map=lambda x: map(np.exp, x),
    result_zip=lambda x: zip(x, x * 2),
    result_partial=lambda x: functools.partial(np.add, x * 2),
    result_deque=lambda x: collections.deque([x * 2]),
    result_nested_dataclass=lambda x: {"a": [Config(1.0, x * 2)]},
    result_iterator=lambda x: iter([x * 2]),
    result_proxy=lambda x: types.MappingProxyType({"a": x * 2}),
    result_method=lambda x: (x * 2).sum,
)


@falls_back(X, NO_LINE)
def yielded(x):
    yield x * 2
    yield x.sum()


@falls_back(X, NO_LINE)
def result_object(x):
    class Result:
        def __init__(self, y):
            self.y = y

    return Result(x * 2)


@falls_back(STEPS, NO_LINE)
def result_object_of_number(x, step):
    return types.SimpleNamespace(step=step + 1)
