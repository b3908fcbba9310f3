"""The difference between two specs, and the transfer of params from one network to another."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from funcnet import tree
from funcnet.errors import PathError
from funcnet.inputs import instance
from funcnet.layers.base import Layer, Params
from funcnet.networks.surgery import is_named
from funcnet.shapes import Shape
from funcnet.spec.base import Spec, fields, own_tag
from funcnet.spec.fields import FrozenDict


class Transfer(NamedTuple):
    """Values for a network, and the origin of each leaf."""

    values: Params
    taken: dict[str, str]
    """{path: path in the source}"""
    reshaped: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]
    """{path: (shape here, shape in the source)}, left as they were"""
    missing: list[str]
    """Paths that the source does not have, left as they were"""
    unused: list[str]
    """Paths of the source that were not used"""

    def __str__(self) -> str:
        lines = [f"taken     {path}" + (f"  from {old}" if old != path else "") for path, old in self.taken.items()]
        lines += [f"reshaped  {path}  {here}, not {there}: left" for path, (here, there) in self.reshaped.items()]
        lines += [f"missing   {path}: left" for path in self.missing]
        lines += [f"unused    {path}" for path in self.unused]
        return "\n".join(lines)


def transfer(source: Params, target: Params, paths: Mapping[str, str] | None = None) -> Transfer:
    """The target's params, or state, with every leaf of equal path and shape taken from a source.

    ``paths`` maps globs of the target's paths to the source's, with one ``*`` in each: ``{"encoder/*": "body/*"}``;
    the first that matches counts, and a path without a match is the same in both. The arguments are not changed; the
    result has new arrays, in the target's dtypes.
    Raises   PathError for a pair of patterns without one ``*`` in each or none, or a pattern that matches nothing
    """
    for tree_ in (source, target):
        instance(tree_, dict, "params, a dict of arrays", "net.init(fn.Key(0), in_shape)[0]")
    for pattern, place in (paths or {}).items():
        if pattern.count("*") > 1 or pattern.count("*") != place.count("*"):
            raise PathError(f"expected one * in each of {pattern!r} and {place!r}, or none")
    given, wanted = tree.flatten(source), tree.flatten(target)
    for pattern in paths or {}:
        if not any(_renamed(path, {pattern: ""}) is not path for path in wanted):
            raise tree.unmatched(pattern, wanted)
    values, taken, reshaped, missing = {}, {}, {}, []
    for path, leaf in wanted.items():
        old = _renamed(path, paths or {})
        leaf = np.asarray(leaf)
        values[path] = leaf.copy()
        if old not in given:
            missing.append(path)
        elif np.shape(given[old]) != leaf.shape:
            reshaped[path] = (leaf.shape, np.shape(given[old]))
        else:
            values[path] = np.array(given[old], leaf.dtype)
            taken[path] = old
    unused = [path for path in given if path not in taken.values()]
    return Transfer(tree.unflatten(values), taken, reshaped, missing, unused)


def _renamed(path: str, paths: Mapping[str, str]) -> str:
    for pattern, place in paths.items():
        found = re.fullmatch(re.escape(pattern).replace(r"\*", "(.*)"), path)
        if found:
            return place.replace("*", found.group(1)) if "*" in place else place
    return path


class Change(NamedTuple):
    """One field that differs, with its path and both values, None in a spec that lacks it."""

    path: str
    what: str
    """added, removed or changed"""
    old: Any
    new: Any

    def __str__(self) -> str:
        sign = {"added": "+", "removed": "-", "changed": "~"}[self.what]
        text = {"added": _text(self.new), "removed": _text(self.old)}.get(
            self.what, f"{_text(self.old)} -> {_text(self.new)}"
        )
        return f"{sign} {self.path or '.'}: {text}"


class Difference(NamedTuple):
    """The differences between two specs, and for networks between their params."""

    changes: list[Change]
    survive: list[str]
    """Paths of params with equal shapes in both"""
    reshaped: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]
    appear: dict[str, tuple[int, ...]]
    vanish: dict[str, tuple[int, ...]]

    def __bool__(self) -> bool:
        return bool(self.changes)

    def __str__(self) -> str:
        if not self.changes:
            return "no difference"
        lines = [str(change) for change in self.changes]
        count = len(self.survive) + len(self.reshaped) + len(self.vanish)
        if count or self.appear:
            lines.append(f"params: {len(self.survive)} of {count} survive")
            lines += [f"~ {path}: {old} -> {new}" for path, (old, new) in self.reshaped.items()]
            lines += [f"+ {path}: {shape}" for path, shape in self.appear.items()]
            lines += [f"- {path}: {shape}" for path, shape in self.vanish.items()]
        return "\n".join(lines)


def _text(value: Any) -> str:
    if isinstance(value, Spec):
        set_ = [f for f in fields(type(value)) if getattr(value, f.name) != f.default]
        inner = ", ".join(f"{f.name}={_text(getattr(value, f.name))}" for f in set_)
        text = f"{own_tag(type(value)) or type(value).__name__}({inner})"
    elif isinstance(value, tuple):
        text = f"[{', '.join(map(_text, value))}]"
    else:
        text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def diff(a: Spec, b: Spec, in_shape: Shape = None) -> Difference:
    """The differences between two specs, field by field; named layers and nodes are matched by name, not by place.

    For networks, and with the shape of one input, also which params keep their path and shape.

    >>> print(fn.diff(fn.serial(head=fn.Dense(10)), fn.serial(head=fn.Dense(7))))
    ~ .layers[head].units: 10 -> 7
    """
    for spec in (a, b):
        instance(spec, Spec, "a spec", "fn.serial(fn.Dense(10))")
    changes = list(_compare("", a, b))
    if in_shape is None or not (isinstance(a, Layer) and isinstance(b, Layer)):
        return Difference(changes, [], {}, {}, {})
    old, new = (
        {path: leaf.shape for path, leaf in tree.flatten(net.leaves(in_shape)).items() if leaf.kind == "param"}
        for net in (a, b)
    )
    return Difference(
        changes,
        [path for path in old if new.get(path) == old[path]],
        {path: (old[path], new[path]) for path in old if path in new and new[path] != old[path]},
        {path: shape for path, shape in new.items() if path not in old},
        {path: shape for path, shape in old.items() if path not in new},
    )


def _compare(path: str, a: Any, b: Any) -> Iterator[Change]:
    if isinstance(a, Spec) and isinstance(b, Spec) and type(a) is type(b):
        for field in fields(type(a)):
            yield from _compare(f"{path}.{field.name}", getattr(a, field.name), getattr(b, field.name))
    elif _keyed(a) is not None and _keyed(b) is not None:
        old, new = _keyed(a), _keyed(b)
        assert old is not None
        assert new is not None
        for name in [*old, *(name for name in new if name not in old)]:
            at = f"{path}[{name}]"
            if name not in new:
                yield Change(at, "removed", old[name], None)
            elif name not in old:
                yield Change(at, "added", None, new[name])
            else:
                yield from _compare(at, old[name], new[name])
        both = [name for name in old if name in new]
        if not isinstance(a, FrozenDict) and both != [name for name in new if name in old]:
            yield Change(path, "changed", tuple(old), tuple(new))
    elif a != b:
        yield Change(path, "changed", a, b)


def _keyed(value: Any) -> dict[Any, Any] | None:
    """The items of a collection of specs by name, or by place; None for anything else."""
    if isinstance(value, FrozenDict):
        return dict(value)
    if isinstance(value, tuple) and value and all(is_named(item) for item in value):
        return dict(value)
    if isinstance(value, tuple) and any(isinstance(item, Spec) for item in value):
        return dict(enumerate(value))
    return {} if value == () else None
