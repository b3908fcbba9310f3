"""Trees: parameters as nested plain dicts of arrays, and the few functions everybody needs on them.

Values (inputs, outputs, cotangents) nest in the same way and may also hold tuples; ``map`` and
``leaves`` take both. A path joins the keys with ``/``: ``"head/dense_0/weight"``.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import numpy as np

from funcnet.errors import PathError, did_you_mean
from funcnet.key import Array

Tree = dict[str, Any]
T = TypeVar("T")


def map(f: Callable[..., Any], tree: Any, *rest: Any) -> Any:
    """Apply ``f`` leaf by leaf to trees of equal structure.

    Raises   PathError naming the first path at which a tree differs
    """
    return _map(f, tree, rest, "")


def _map(f: Callable[..., Any], tree: Any, rest: tuple[Any, ...], path: str) -> Any:
    if isinstance(tree, dict):
        for other in rest:
            if not isinstance(other, dict) or other.keys() != tree.keys():
                found = sorted(other) if isinstance(other, dict) else type(other).__name__
                raise PathError(
                    f"trees differ at {path or 'the root'!r}: expected the entries {sorted(tree)}, "
                    f"got {found}; give trees of equal structure"
                )
        return {
            name: _map(f, node, tuple(other[name] for other in rest), f"{path}/{name}" if path else name)
            for name, node in tree.items()
        }
    if isinstance(tree, tuple):
        for other in rest:
            if not isinstance(other, tuple) or len(other) != len(tree):
                raise PathError(f"trees differ at {path or 'the root'!r}: expected a tuple of {len(tree)}")
        return tuple(_map(f, node, tuple(other[i] for other in rest), path) for i, node in enumerate(tree))
    for other in rest:
        if isinstance(other, dict | tuple):
            raise PathError(f"trees differ at {path or 'the root'!r}: expected a leaf, got a {type(other).__name__}")
    return f(tree, *rest)


def leaves(tree: Any) -> list[Any]:
    """The leaves of a tree or value, in order; an absent one (``None``) is left out."""
    if isinstance(tree, dict):
        return [leaf for node in tree.values() for leaf in leaves(node)]
    if isinstance(tree, tuple):
        return [leaf for node in tree for leaf in leaves(node)]
    return [] if tree is None else [tree]


def leaves_of(tree: Any, kind: type[T]) -> list[T]:
    """The leaves of a tree whose leaves are of one class, a tuple class perhaps."""
    if isinstance(tree, kind):
        return [tree]
    return [leaf for node in tree.values() for leaf in leaves_of(node, kind)]


def _walk(tree: Tree, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, node in tree.items():
        if isinstance(node, dict):
            yield from _walk(node, f"{prefix}{name}/")
        else:
            yield prefix + name, node


def flatten(tree: Tree) -> dict[str, Any]:
    """``{"path/to/leaf": array}``, in the tree's own order.

    >>> list(fn.tree.flatten({"body": {"weight": np.zeros(2)}, "head": np.ones(1)}))
    ['body/weight', 'head']
    """
    return dict(_walk(tree))


def unflatten(flat: Mapping[str, Any]) -> Tree:
    """The nested tree of a flat one: the inverse of ``flatten``.

    Raises   PathError where one path runs through another's leaf
    """
    tree: Tree = {}
    for path, leaf in flat.items():
        *above, name = path.split("/")
        node = tree
        for step in above:
            node = node.setdefault(step, {})
            if not isinstance(node, dict):
                raise PathError(f"{path!r} runs through {step!r}, which is a leaf itself")
        if name in node:
            raise PathError(f"{path!r} is both a leaf and the beginning of other paths")
        node[name] = leaf
    return tree


class Ravel(NamedTuple):
    """A tree as one vector, and the way back."""

    vector: Array
    unravel: Callable[[Array], Tree]


def ravel(tree: Tree) -> Ravel:
    """All leaves as one vector, ordered by path, so that equal trees ravel alike however built."""
    flat = flatten(tree)
    paths = sorted(flat)
    shapes = [np.shape(flat[path]) for path in paths]
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
        return unflatten({path: parts[path] for path in flat})

    return Ravel(vector, unravel)


@lru_cache(256)
def matching(patterns: tuple[str, ...], paths: tuple[str, ...]) -> frozenset[str]:
    """The paths that some glob matches: ``*`` any run (``/`` too), ``?`` one character, ``[ab]`` a set."""
    globs = [re.compile(fnmatch.translate(pattern)) for pattern in patterns]
    return frozenset(path for path in paths if any(glob.fullmatch(path) for glob in globs))


def matched(patterns: tuple[str, ...], paths: Iterable[str], layer: str = "") -> tuple[str, ...]:
    """The paths that some glob matches, in order; each must match one.

    Raises   PathError with the nearest path
    """
    every = tuple(paths)
    for pattern in patterns:
        if not matching((pattern,), every):
            raise unmatched(pattern, every, layer)
    found = matching(patterns, every)
    return tuple(path for path in every if path in found)


def unmatched(pattern: str, paths: Iterable[str], layer: str = "") -> PathError:
    """The error of a pattern that matches none of the paths."""
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
        """The leaf itself, or a tree of them for a pattern with several."""
        flat = flatten(self.tree)
        return flat[self.paths[0]] if len(self.paths) == 1 else unflatten({path: flat[path] for path in self.paths})

    def set(self, value: Any) -> Tree:
        """A new tree with ``value`` at every matching path; its shape must be the leaf's."""
        return self.apply(lambda leaf: _like(value, leaf))

    def apply(self, f: Callable[[Any], Any]) -> Tree:
        """A new tree with ``f(leaf)`` at every matching path."""
        flat = flatten(self.tree)
        return unflatten({**flat, **{path: f(flat[path]) for path in self.paths}})


def _like(value: Any, leaf: Any) -> Any:
    new = np.asarray(value, dtype=np.asarray(leaf).dtype)
    if new.shape != np.shape(leaf):
        raise PathError(f"expected a value of shape {np.shape(leaf)}, got {new.shape}")
    return new


def at(tree: Tree, pattern: str) -> At:
    """``at(params, "head/weight").set(value)``: a new tree with one leaf, or a pattern's, replaced.

    Raises   PathError for a path or pattern that matches nothing

    >>> params = {"head": {"bias": np.zeros(2)}}
    >>> fn.tree.at(params, "head/bias").set(np.ones(2))["head"]["bias"].tolist()
    [1.0, 1.0]
    """
    return At(tree, matched((pattern,), flatten(tree)))


def ordered(like: Any, tree: Any) -> Any:
    """A tree with the keys of each dict in the order of another's; a dict of other keys stays as it is."""
    if isinstance(tree, dict) and isinstance(like, dict) and tree.keys() == like.keys():
        return {name: ordered(node, tree[name]) for name, node in like.items()}
    if isinstance(tree, tuple) and isinstance(like, tuple) and len(tree) == len(like):
        return tuple(ordered(a, b) for a, b in zip(like, tree, strict=True))
    return tree


def by_path(tree: Tree) -> list[Any]:
    """The leaves in the order of their paths, which is the same however the tree was built."""
    return [leaf for _, leaf in sorted(flatten(tree).items(), key=lambda item: item[0])]


def add(a: Any, b: Any) -> Any:
    """Sum of two cotangents of one value; ``None`` counts as zero."""
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
