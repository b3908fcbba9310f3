"""Trees: parameters as nested plain dicts of arrays, and the functions on them.

Values (inputs, outputs, cotangents) nest in the same way and may also hold tuples. ``map``, ``leaves`` and the
functions made of them take both, named tuples, and a TrainState, whose arrays are its leaves. A path joins the keys
with ``/``: ``"head/dense_0/weight"``.
"""

from __future__ import annotations

import builtins
import fnmatch
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import numpy as np

from funcnet.errors import PathError
from funcnet.hints import did_you_mean
from funcnet.key import Array

Tree = dict[str, Any]
T = TypeVar("T")


def map(f: Callable[..., Any], tree: Any, *rest: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """Apply ``f`` leaf by leaf to trees of equal structure; ``is_leaf(node)`` says which other nodes are leaves.

    Raises   PathError naming the first path where a tree differs
    """
    return _map(f, tree, rest, "", is_leaf, False)


def map_with_path(f: Callable[..., Any], tree: Any, *rest: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """``map`` with the leaf's path as the first argument: ``f(path, leaf)``; the steps of tuples are numbers.

    >>> fn.tree.map_with_path(lambda path, leaf: path, {"head": {"bias": 1, "weight": 2}})
    {'head': {'bias': 'head/bias', 'weight': 'head/weight'}}
    """
    return _map(f, tree, rest, "", is_leaf, True)


def _parts(node: Any) -> list[tuple[str, Any]] | None:
    """The parts of a node by name; None for a leaf. Of a record, such as a TrainState, the parts with arrays."""
    if isinstance(node, dict):
        return list(node.items())
    if isinstance(node, tuple):
        return list(zip(getattr(node, "_fields", None) or [str(i) for i in range(len(node))], node, strict=True))
    names = type(node).__dict__.get("__parts__")
    if names is None:
        return None
    return [(name, getattr(node, name)) for name in names if isinstance(getattr(node, name), dict | tuple | np.ndarray)]


def _with_parts(node: Any, parts: list[Any]) -> Any:
    """A node of the same kind with other parts."""
    if isinstance(node, dict):
        return dict(zip(node, parts, strict=True))
    if isinstance(node, tuple):
        return type(node)(*parts) if hasattr(node, "_fields") else tuple(parts)
    new = {name: part for (name, _), part in zip(_parts(node) or (), parts, strict=True)}
    return type(node)(*(new.get(name, getattr(node, name)) for name in vars(type(node))["__parts__"]))


def _map(
    f: Callable[..., Any],
    tree: Any,
    rest: tuple[Any, ...],
    path: str,
    is_leaf: Callable[[Any], bool] | None,
    with_path: bool,
) -> Any:
    leaf = is_leaf is not None and is_leaf(tree)
    if isinstance(tree, dict) and not leaf:
        for other in rest:
            if not isinstance(other, dict) or other.keys() != tree.keys():
                found = sorted(other) if isinstance(other, dict) else type(other).__name__
                raise PathError(
                    f"trees differ at {path or 'the root'!r}: expected the entries {sorted(tree)}, "
                    f"got {found}; give trees of equal structure"
                )
        return {
            name: _map(
                f, node, tuple(other[name] for other in rest), f"{path}/{name}" if path else name, is_leaf, with_path
            )
            for name, node in tree.items()
        }
    parts = None if leaf or type(tree) is np.ndarray else _parts(tree)
    if parts is not None:
        others = [_parts(other) or [] for other in rest]
        for other, found in zip(rest, others, strict=True):
            if isinstance(tree, tuple) is not isinstance(other, tuple) or len(found) != len(parts):
                kind = "tuple" if isinstance(tree, tuple) else type(tree).__name__
                raise PathError(f"trees differ at {path or 'the root'!r}: expected a {kind} of {len(parts)}")
        inner = [
            _map(f, node, tuple(o[i][1] for o in others), f"{path}/{name}" if path else name, is_leaf, with_path)
            for i, (name, node) in enumerate(parts)
        ]
        return _with_parts(tree, inner)
    for other in rest:
        if isinstance(other, dict | tuple) and not (is_leaf is not None and is_leaf(other)):
            raise PathError(f"trees differ at {path or 'the root'!r}: expected a leaf, got a {type(other).__name__}")
    return f(path, tree, *rest) if with_path else f(tree, *rest)


def leaves(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list[Any]:
    """The leaves of a tree or value, in order, without absent ones (``None``)."""
    if is_leaf is not None and is_leaf(tree):
        return [tree]
    if isinstance(tree, dict):
        return [leaf for node in tree.values() for leaf in leaves(node, is_leaf)]
    if tree is None or type(tree) is np.ndarray:
        return [] if tree is None else [tree]
    parts = _parts(tree)
    return [tree] if parts is None else [leaf for _, node in parts for leaf in leaves(node, is_leaf)]


def reduce(f: Callable[[Any, Any], Any], tree: Any, initial: Any) -> Any:
    """``f(… f(f(initial, first), second) …, last)`` over the leaves in order.

    >>> fn.tree.reduce(lambda total, leaf: total + leaf.size, {"a": np.zeros(3), "b": np.ones((2, 2))}, 0)
    7
    """
    return functools.reduce(f, leaves(tree), initial)


def all(tree: Any) -> bool:
    """Whether every leaf is true, each entry of an array."""
    return builtins.all(bool(np.all(leaf)) for leaf in leaves(tree))


def equal(a: Any, b: Any) -> bool:
    """Whether two trees have the same structure, and leaves of the same shapes, dtypes and values; NaN equals NaN."""
    try:
        return all(map(_same, a, b))
    except PathError:
        return False


def _same(a: Any, b: Any) -> bool:
    if not isinstance(a, np.ndarray | np.generic) or not isinstance(b, np.ndarray | np.generic):
        return bool(type(a) is type(b) and a == b)
    return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")


def brief(tree: Any) -> str:
    """``4 arrays of 65 numbers, float32``"""
    arrays = [np.asarray(leaf) for leaf in leaves(tree)]
    if not arrays:
        return "none"
    types = ", ".join(sorted({array.dtype.name for array in arrays}))
    count = sum(array.size for array in arrays)
    return f"{len(arrays)} array{'s' * (len(arrays) > 1)} of {count:,} number{'s' * (count != 1)}, {types}"


def norm(tree: Any) -> Any:
    """The Euclidean norm of all leaves as one vector.

    >>> float(fn.tree.norm({"a": np.array([3.0]), "b": np.array([[4.0]])}))
    5.0
    """
    largest = reduce(lambda most, leaf: np.maximum(most, np.max(np.abs(leaf), initial=0.0)), tree, 0.0)
    scale = np.where((largest > 0.0) & np.isfinite(largest), largest, 1.0)  # so that squares do not overflow
    return scale * np.sqrt(reduce(lambda total, leaf: total + np.sum(np.abs(leaf / scale) ** 2), tree, 0.0))


def stack(trees: Sequence[Any]) -> Any:
    """One tree whose leaves are the leaves of all trees, stacked on a leading axis.

    Raises   PathError for trees of different structure
    """
    if not trees:
        raise PathError("expected one tree or more to stack, got none")
    return map(lambda *leaves: np.stack(leaves), *trees)


def unstack(tree: Any) -> list[Any]:
    """The trees whose ``stack`` this is.

    Raises   PathError for leaves without one leading axis of one length
    """
    counts = {np.shape(leaf)[:1] for leaf in leaves(tree)}
    if len(counts) != 1 or counts == {()}:
        raise PathError(f"expected leaves with one leading axis of one length, got {sorted(counts) or 'no leaves'}")
    ((count,),) = counts
    return [map(lambda leaf: leaf[i], tree) for i in range(count)]


def transpose(trees: Any) -> Any:
    """A dict or tuple of trees of equal structure as one tree of dicts or tuples.

    >>> fn.tree.transpose({"mean": {"w": 1}, "std": {"w": 2}})
    {'w': {'mean': 1, 'std': 2}}
    """
    if not isinstance(trees, dict | tuple) or not trees:
        raise PathError(f"expected a dict or tuple of trees, got {trees!r:.60}")
    first, *others = [part for _, part in _parts(trees) or ()]
    return map(lambda *leaves: _with_parts(trees, list(leaves)), first, *others)


def leaves_of(tree: Any, kind: type[T]) -> list[T]:
    """The leaves of a tree with leaves of one class, which may be a tuple class."""
    if isinstance(tree, kind):
        return [tree]
    return [leaf for node in tree.values() for leaf in leaves_of(node, kind)]


def _walk(tree: Tree, prefix: str, keep_empty: bool) -> Iterator[tuple[str, Any]]:
    for name, node in tree.items():
        if isinstance(node, dict) and (node or not keep_empty):
            yield from _walk(node, f"{prefix}{name}/", keep_empty)
        else:
            yield prefix + name, node


def flatten(tree: Tree, keep_empty: bool = False) -> dict[str, Any]:
    """``{"path/to/leaf": array}``, in the tree's own order; with ``keep_empty`` an empty dict is a leaf too.

    >>> list(fn.tree.flatten({"body": {"weight": np.zeros(2)}, "head": np.ones(1)}))
    ['body/weight', 'head']
    """
    return dict(_walk(tree, "", keep_empty))


def unflatten(flat: Mapping[str, Any]) -> Tree:
    """The nested tree of a flat one: the inverse of ``flatten``, with ``keep_empty`` also of trees with empty dicts.

    Raises   PathError if one path runs through the leaf of another
    """
    tree: Tree = {}
    for path, leaf in flat.items():
        *above, name = path.split("/")
        node = tree
        for step in above:
            node = node.setdefault(step, {})
            if not isinstance(node, dict):
                raise PathError(f"{path!r} runs through {step!r}, which is a leaf")
        if name in node:
            raise PathError(f"{path!r} is both a leaf and the beginning of other paths")
        node[name] = leaf
    return tree


class Ravel(NamedTuple):
    """A tree as one vector, and the inverse function."""

    vector: Array
    unravel: Callable[[Array], Tree]


def ravel(tree: Tree) -> Ravel:
    """All leaves as one vector, ordered by path, so that the order of dict entries does not matter.

    ``unravel`` gives leaves of the vector's dtype; of a tree with several dtypes, each leaf has its own.
    """
    flat = flatten(tree)
    paths = sorted(flat)
    shapes = [np.shape(flat[path]) for path in paths]
    dtypes = [getattr(flat[path], "dtype", None) for path in paths]
    mixed = len(set(dtypes)) > 1
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes]).tolist()
    vector = np.concatenate([np.ravel(flat[path]) for path in paths]) if paths else np.zeros(0)

    def unravel(vector: Array) -> Tree:
        total = ends[-1] if ends else 0
        if vector.shape != (total,):
            raise PathError(f"expected a vector of {total} numbers, got shape {vector.shape}")
        starts = [0, *ends][:-1]
        parts = {
            path: vector[start:end].reshape(shape)
            for path, shape, start, end in zip(paths, shapes, starts, ends, strict=True)
        }
        if mixed:
            parts = {path: parts[path].astype(dtype) for path, dtype in zip(paths, dtypes, strict=True)}
        return unflatten({path: parts[path] for path in flat})

    return Ravel(vector, unravel)


@lru_cache(256)
def matching(patterns: tuple[str, ...], paths: tuple[str, ...]) -> frozenset[str]:
    """The paths that match a glob: ``*`` matches any text (``/`` too), ``?`` one character, ``[ab]`` a set."""
    globs = [re.compile(fnmatch.translate(pattern)) for pattern in patterns]
    return frozenset(path for path in paths if any(glob.fullmatch(path) for glob in globs))


def matched(patterns: tuple[str, ...], paths: Iterable[str], layer: str = "") -> tuple[str, ...]:
    """The paths that match a glob, in order; every glob must match one.

    Raises   PathError with the nearest path
    """
    every = tuple(paths)
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise PathError(f"expected a path or pattern, such as '*/bias', got {pattern!r:.60}", layer=layer)
        if not matching((pattern,), every):
            raise unmatched(pattern, every, layer)
    found = matching(patterns, every)
    return tuple(path for path in every if path in found)


def unmatched(pattern: str, paths: Iterable[str], layer: str = "") -> PathError:
    """The error for a pattern that matches none of the paths."""
    named = [path for path in paths if path]
    there = ", ".join(named) or "no paths"
    return PathError(f"{pattern!r} matches none of: {there}{did_you_mean(pattern, named)}", layer=layer)


def select(tree: Tree, pattern: str) -> Tree:
    """The subtree whose whole paths match a glob; ``*`` crosses ``/``: ``"*/bias"``.

    Raises   PathError for a pattern that matches nothing
    """
    flat = flatten(tree)
    return unflatten({path: flat[path] for path in matched((pattern,), flat)})


class At(NamedTuple):
    """Leaves of a tree, to read or replace; made by ``at``."""

    tree: Tree
    paths: tuple[str, ...]

    def get(self) -> Any:
        """The leaf, or a tree of the leaves if the pattern matches several."""
        flat = flatten(self.tree)
        return flat[self.paths[0]] if len(self.paths) == 1 else unflatten({path: flat[path] for path in self.paths})

    def set(self, value: Any) -> Tree:
        """A new tree with ``value`` at every matching path, broadcast to the leaf's shape."""
        return self.apply(lambda leaf: _like(value, leaf))

    def apply(self, f: Callable[[Any], Any]) -> Tree:
        """A new tree with ``f(leaf)`` at every matching path."""
        flat = flatten(self.tree)
        return unflatten({**flat, **{path: f(flat[path]) for path in self.paths}})


def _like(value: Any, leaf: Any) -> Any:
    new = value if hasattr(value, "astype") else np.asarray(value)
    try:
        new = np.broadcast_to(new, np.shape(leaf))
    except ValueError:
        raise PathError(f"expected a value of shape {np.shape(leaf)}, got {np.shape(value)}") from None
    dtype = getattr(leaf, "dtype", None)
    dtype = np.asarray(leaf).dtype if dtype is None else dtype
    if new.dtype.kind in "fc" and dtype.kind in "iub":
        raise PathError(f"expected a value that {dtype} holds, got {new.dtype}; round it first")
    return new.astype(dtype)


def at(tree: Tree, pattern: str) -> At:
    """``at(params, "head/weight").set(value)``: a new tree with one leaf, or a pattern's, replaced.

    Raises   PathError for a path or pattern that matches nothing

    >>> params = {"head": {"bias": np.zeros(2)}}
    >>> fn.tree.at(params, "head/bias").set(np.ones(2))["head"]["bias"].tolist()
    [1.0, 1.0]
    """
    return At(tree, matched((pattern,), flatten(tree)))


def ordered(like: Any, tree: Any) -> Any:
    """A tree with the keys of each dict in the order of ``like``; a dict with other keys is unchanged."""
    if isinstance(tree, dict) and isinstance(like, dict) and tree.keys() == like.keys():
        return {name: ordered(node, tree[name]) for name, node in like.items()}
    if isinstance(tree, tuple) and isinstance(like, tuple) and len(tree) == len(like):
        return tuple(ordered(a, b) for a, b in zip(like, tree, strict=True))
    return tree


def by_path(tree: Tree) -> list[Any]:
    """The leaves in the order of their paths, whatever the order of dict entries."""
    return [leaf for _, leaf in sorted(flatten(tree).items(), key=lambda item: item[0])]


def add(a: Any, b: Any) -> Any:
    """The sum of two cotangents of one value; ``None`` counts as zero."""
    if a is None or b is None:
        return b if a is None else a
    if isinstance(a, dict):
        return {name: add(node, b[name]) for name, node in a.items()}
    if isinstance(a, tuple):
        return tuple(add(x, y) for x, y in zip(a, b, strict=True))
    return a + b


def zeros_like(tree: Any) -> Any:
    """A tree of zeros of the same structure, shapes and dtypes."""
    return map(np.zeros_like, tree)
