"""Structures of arguments: dicts, lists, named tuples, objects, keywords, keys."""

# Code as users write it, which linters would write otherwise.
# ruff: noqa: RUF005, RUF015

from __future__ import annotations

import collections
import copy
import dataclasses
import functools
import math
import operator
import pickle
import types
from typing import Any, NamedTuple

import attrs
import numpy as np

import funcnet as fn
from tests.compiler.user_code.rows import KEYS, LISTS, PARAMS, XY, With, X, beside, either, recorded


class Pair(NamedTuple):
    left: Any
    right: Any


@dataclasses.dataclass
class Config:
    rate: float
    table: Any = None


@dataclasses.dataclass(frozen=True)
class FrozenConfig:
    rate: float


@attrs.define
class Holder:
    array: Any


class Bunch(dict):
    """A dict whose entries are attributes."""

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


recorded(
    PARAMS,
    dict_items=lambda p: {name: value * 2 for name, value in p.items()},
    dict_sum=lambda p: p["w"] * 2 + p["b"],
    dict_merged=lambda p: {**p, "c": p["b"] * 2} | {"d": p["w"].sum()},
    dict_len=lambda p: p["w"] * len(p) + sum(value.sum() for value in p.values()),
    dict_names=lambda p: p["w"] * 2 if "w" in p and "v" not in p else p["b"],
    dict_get=lambda p: p.get("v", p["b"]) * 2,
    tree_map=lambda p: fn.tree.map(lambda leaf: leaf * 2, p),
    tree_ravel=lambda p: fn.tree.ravel(p)[0] * 2,
    dict_itself=lambda p: p,
    dict_int_keys=lambda p: {0: p["w"], 1: p["b"] * 2},
    dict_unpacked=lambda p: (lambda w, b: w + b)(**p),
)
either(
    PARAMS,
    dict_entry_added=lambda p: (p.update(c=p["b"] * 2), p["w"] * 2)[1],
    dict_entry_replaced=lambda p: (p.__setitem__("w", p["w"] * 2), p["w"])[1],
    dict_entry_popped=lambda p: p.pop("w") * 2 + len(p),
    dict_cleared=lambda p: (p["w"] * 2, p.clear())[0],
    dict_set_default=lambda p: p.setdefault("c", p["w"] * 2),
    dict_copied=lambda p: copy.copy(p)["w"] * 2,
    dict_deep_copied=lambda p: copy.deepcopy(p)["w"] * 2,
    dict_views=lambda p: p.values(),
    dict_type=lambda p: p["w"] * 2 if type(p) is dict else p["w"],
    dict_reversed=lambda p: list(reversed(p.items()))[0][1] * 2,
    dict_missing=lambda p: p["nothing"],
    dict_identity=lambda p: p["w"] * 2 if p is p.copy() else p["w"],
)
either(
    LISTS,
    list_reversed=lambda pair: pair[::-1],
    list_sum=lambda pair: sum(pair),
    list_appended=lambda pair: (pair.append(pair[0] * 2), pair[0] * len(pair))[1],
    list_replaced=lambda pair: (operator.setitem(pair, 0, pair[1] * 2), pair[0])[1],
    list_popped=lambda pair: pair.pop() + len(pair),
    list_in_place_sum=lambda pair: functools.reduce(operator.iadd, pair),
    list_cleared=lambda pair: (pair[0] * 2, pair.clear())[0],
    list_itself=lambda pair: pair,
    list_stacked=lambda pair: np.stack(pair) * 2,
    list_concatenated=lambda pair: np.concatenate(pair),
    list_array=lambda pair: np.array(pair) * 2,
    list_index=lambda pair: pair.index(pair[0]),
    list_plus=lambda pair: pair + [pair[0] * 2],
)
either(
    tuple((collections.OrderedDict(b=a, a=b),) for a, b in XY),
    ordered_itself=lambda d: d,
    ordered_copy=lambda d: collections.OrderedDict((name, value * 2) for name, value in d.items()),
    ordered_moved=lambda d: (d.move_to_end("b"), d)[1],
)
either(
    tuple((collections.defaultdict(lambda: 2.0, w=x),) for (x,) in X),
    default_dict=lambda d: d["w"] * d["missing"],
    default_dict_result=lambda d: collections.defaultdict(list, {"w": [d["w"] * 2]}),
)
either(tuple((Bunch(w=x, b=2.0),) for (x,) in X), bunch=lambda p: p.w * p.b, bunch_result=lambda p: Bunch(y=p.w * 2))
either(
    tuple((Pair(a, b),) for a, b in XY),
    named_tuple=lambda p: p.left * 2 + p.right,
    named_result=lambda p: Pair(p.right, p.left * 2),
)
either(
    tuple((Pair(a, b),) for a, b in XY),
    named_replaced=lambda p: p._replace(left=p.left * 2),
    named_dict=lambda p: p._asdict(),
)
either(beside(X, Config(0.5), Config(2.0), Config(-1.0)), dataclass_argument=lambda x, config: x * config.rate)
either(beside(X, Config(1.0, X[1][0]), Config(1.0, X[2][0])), dataclass_of_arrays=lambda x, config: x * config.table)
either(beside(X, FrozenConfig(0.5), FrozenConfig(2.0)), frozen_dataclass_argument=lambda x, config: x * config.rate)
either(
    beside(X, *(types.SimpleNamespace(rate=r) for r in (0.5, 2.0, -1.0))),
    namespace_argument=lambda x, config: x * config.rate,
)
either(
    beside(X, *(types.SimpleNamespace(rate=r) for r in (0.5, 2.0, -1.0))),
    namespace_written=lambda x, c: (setattr(c, "rate", 7.0), x * c.rate)[1],
)
either(beside(X, Holder(X[1][0]), Holder(X[2][0])), attrs_argument=lambda x, holder: x * holder.array)
either(beside(X, {1, 2}, {1}, {2, 3}), set_argument=lambda x, chosen: x * len(chosen))
either(beside(X, range(2), range(4), range(1)), range_argument=lambda x, r: x * sum(r))
either(beside(X, slice(0, 2), slice(1, 3)), slice_argument=lambda x, s: x[s])
either(beside(X, np.float32, np.float64), dtype_argument=lambda x, dtype: x.astype(dtype))
either(beside(X, np.tanh, np.sin, np.cos), function_argument=lambda x, f: f(x) * 2)
either(beside(X, [1.0, 2.0, 3.0, 4.0, 5.0], [0.0, 1.0, 0.0, 1.0, 0.0]), list_of_floats=lambda x, w: x * np.array(w))
either(beside(X, [1, 2], [3, 0]), list_of_axes=lambda x, order: x[order[0]] if order else x)
either(beside(X, (1, 0), (0, 1)), tuple_of_axes=lambda x, axes: np.transpose(x, axes))
either(beside(X, b"a", b"b"), bytes_argument=lambda x, key: x * key[0])
either(beside(X, ..., ...), ellipsis_argument=lambda x, e: x[e] * 2)
either(beside(X, math.nan, 2.0), nan_argument=lambda x, c: x * c if c == c else x)
either(
    beside(X, {"mode": "relu", "n": 2}, {"mode": "none", "n": 3}),
    options=lambda x, o: x * o["n"] if o["mode"] == "relu" else x,
)


class Counting:
    """A configuration that counts how often it is read."""

    def __init__(self):
        self.reads = 0

    @property
    def rate(self):
        self.reads += 1
        return float(self.reads)


either(tuple(lambda x=x: (x, Counting()) for (x,) in X), property_that_counts=lambda x, c: x * c.rate * c.rate)


def keywords_of(arguments: Any, **changing: Any) -> Any:
    return tuple(
        With(*args, **{name: values[i] for name, values in changing.items()}) for i, args in enumerate(arguments)
    )


@either(keywords_of(X, axis=(1, 1, 1)))
def keyword_axis(x, axis=0):
    return x.sum(axis)


@either(keywords_of(X, scale=(2.0, 3.0, 0.0), shift=(1.0, 0.0, 2.0)))
def keyword_numbers(x, scale=1.0, *, shift=0.5):
    return x * scale + shift


@either(keywords_of(X, y=tuple(x for (x,) in X[::-1])))
def keyword_array(x, y=None):
    return x if y is None else x + y


@either((With(X[0][0], a=1.0), With(X[1][0], b=2.0), With(X[2][0], a=3.0)))
def keywords_of_any_name(x, **rest):
    return x * rest.get("a", 10.0) + len(rest)


@either((*X, With(X[0][0], 5.0), With(X[1][0], scale=7.0)))
def default_argument(x, scale=2.0):
    return x * scale


@either(X)
def default_array(x, table=np.arange(5.0)):  # noqa: B008
    return x * table


@either((With(XY[0][0]), With(*XY[1]), With(*XY[2])))
def any_number_of_arrays(*arrays):
    return sum(arrays) / len(arrays)


@either((With(X[0][0], nothing=1), With(X[1][0], nothing=2)))
def unexpected_keyword(x):
    return x


@either((With(), With(*XY[0])))
def wrong_number_of_arguments(x):
    return x


recorded(
    beside(X, *(fn.Context(True, fn.Key(i)) for i in range(3))), context=lambda x, ctx: x + ctx.key.normal(x.shape)
)
recorded(
    KEYS,
    key_normal=lambda key, x: x + key.normal(x.shape),
    key_dropout=lambda key, x: x * fn.ops.bernoulli(key.fold("drop"), 0.5, x.shape),
    key_folds=lambda key, x: [key.fold(i).uniform((3,)) for i in range(3)],
    key_result=lambda key, x: (key.fold("next"), x * 2),
    key_isinstance=lambda key, x: x * 2 if isinstance(key, fn.Key) else x,
    key_integers=lambda key, x: key.integers(5, (3,)) + key.permutation(3),
)
either(
    KEYS,
    key_equals=lambda key, x: x * 2 if key == fn.Key(1) else x,
    key_differs_from_folded=lambda key, x: x * 2 if key != key.fold("a") else x,
    key_text=lambda key, x: str(key),
    key_hash=lambda key, x: x * (hash(key) % 7),
    key_in_dict=lambda key, x: {fn.Key(0): x, fn.Key(1): x * 2}.get(key, x * 3),
    key_shuffles=lambda key, x: x[key.permutation(4)],
    key_seeds_numpy=lambda key, x: x + np.random.default_rng(int(key.bits((), np.uint32))).normal(size=x.shape),
    key_number=lambda key, x: x if key.uniform(()) > 0.5 else -x,
    key_attributes=lambda key, x: len(vars(key) if hasattr(key, "__dict__") else ()) * x,
    key_folds_number=lambda key, x: key.fold("a", 3).normal((2,)) * x.sum(),
    key_copy=lambda key, x: copy.copy(key).normal((2,)),
    key_pickled=lambda key, x: pickle.loads(pickle.dumps(key)).normal((2,)),
)
