"""The difference between two specs, and the transfer of params from one network to another."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from funcnet import tree
from funcnet.combinators.serial import Serial
from funcnet.errors import PathError
from funcnet.inputs import instance
from funcnet.layers.base import Layer, Params, State
from funcnet.networks.surgery import is_named, join_path, walk
from funcnet.shapes import Shape
from funcnet.spec.base import Spec
from funcnet.spec.class_fields import fields
from funcnet.spec.fields import FrozenDict
from funcnet.spec.names import automatic_names
from funcnet.spec.registry import own_tag


class Transfer(NamedTuple):
    """Values for a network, and the origin of each leaf."""

    values: Any
    """Params, or state, or the pair of both, as the target was given"""
    taken: dict[str, str]
    """{path: path in the source}"""
    reshaped: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]
    """{path: (shape here, shape in the source)}, left as they were"""
    missing: list[str]
    """Paths that the source does not have, left as they were"""
    unused: list[str]
    """Paths of the source that were not used"""

    def __repr__(self) -> str:
        counts = [f"{name} {len(getattr(self, name))}" for name in ("taken", "reshaped", "missing", "unused")]
        return f"Transfer({', '.join(counts)})"

    def __str__(self) -> str:
        lines = [f"taken     {path}" + (f"  from {old}" if old != path else "") for path, old in self.taken.items()]
        lines += [f"reshaped  {path}  {here}, not {there}: left" for path, (here, there) in self.reshaped.items()]
        lines += [f"missing   {path}: left" for path in self.missing]
        lines += [f"unused    {path}" for path in self.unused]
        return "\n".join(lines)


def transfer(
    source: Params | tuple[Params, State],
    target: Params | tuple[Params, State],
    paths: Mapping[str, str] | None = None,
    nets: tuple[Layer, Layer] | None = None,
) -> Transfer:
    """The target's params and state with every leaf of equal path and shape taken from a source.

    Source and target are pairs ``(params, state)``, as from ``net.init`` and ``fn.load``; or one half of each, where
    the other is empty.
    With ``nets``, the source's network and the target's, leaves of the same layer are taken also where an edit moved
    it to another path, as ``diff`` tells.

    ``paths`` maps globs of the target's paths to the source's, with one ``*`` in each: ``{"encoder/*": "body/*"}``;
    the first that matches counts, and a path without a match is the same in both. The arguments are not changed; the
    result has new arrays, in the target's dtypes.
    Raises   PathError for a pair of patterns without one ``*`` in each or none, or a pattern that matches nothing

    >>> small, large = fn.serial(fn.Dense(4), head=fn.Dense(2)), fn.serial(fn.Dense(4), head=fn.Dense(3))
    >>> found = fn.transfer(small.init(fn.Key(0), (5,)), large.init(fn.Key(1), (5,)))
    >>> list(found.taken), list(found.reshaped)
    (['dense_0/weight', 'dense_0/bias'], ['head/weight', 'head/bias'])
    >>> params, state = found.values
    """
    if isinstance(target, tuple):
        return _both(source, target, paths, nets)
    for tree_ in (source, target):
        instance(tree_, dict, "params, a dict of arrays", "net.init(fn.Key(0), in_shape)[0]")
    assert isinstance(source, dict)
    for pattern, place in (paths or {}).items():
        if pattern.count("*") > 1 or pattern.count("*") != place.count("*"):
            raise PathError(f"expected one * in each of {pattern!r} and {place!r}, or none")
    given, wanted = tree.flatten(source), tree.flatten(target)
    for pattern in paths or {}:
        if not any(_renamed(path, {pattern: ""}) is not path for path in wanted):
            raise tree.unmatched(pattern, wanted)
    before = {} if nets is None else origins(*nets, wanted)
    values, taken, reshaped, missing = {}, {}, {}, []
    for path, leaf in wanted.items():
        old = _renamed(path, paths or {})
        old = before.get(path, old) if old == path else old
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


def _both(
    source: Any, target: tuple[Params, State], paths: Mapping[str, str] | None, nets: tuple[Layer, Layer] | None
) -> Transfer:
    """``transfer`` of params and state together; their paths differ."""
    for pair in (source, target):
        fits = isinstance(pair, tuple) and len(pair) == 2 and all(isinstance(part, dict) for part in pair)
        instance(pair if fits else None, tuple, "the pair (params, state)", "net.init(fn.Key(0), in_shape)")
    given, wanted = (tree.unflatten({**tree.flatten(one), **tree.flatten(two)}) for one, two in (source, target))
    found = transfer(given, wanted, paths, nets)
    flat = tree.flatten(found.values)
    values = tuple(tree.unflatten({path: flat[path] for path in tree.flatten(part)}) for part in target)
    return found._replace(values=values)


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
    """Paths, in the second network, of params that the first has with the same shape"""
    reshaped: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]
    appear: dict[str, tuple[int, ...]]
    vanish: dict[str, tuple[int, ...]]
    moved: dict[str, str] = {}
    """{path in the second network: path in the first} of params of the same layer at another path"""

    def __bool__(self) -> bool:
        return bool(self.changes)

    def __str__(self) -> str:
        if not self.changes:
            return "no difference"
        lines = [str(change) for change in self.changes]
        count = len(self.survive) + len(self.reshaped) + len(self.vanish)
        if count or self.appear:
            lines.append(f"params: {len(self.survive)} of {count} survive")
            lines += [f"> {path}: from {old}" for path, old in self.moved.items()]
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
    before = origins(a, b, new)
    kept = {path: before[path] for path in new if before[path] in old}
    return Difference(
        changes,
        [path for path, was in kept.items() if old[was] == new[path]],
        {path: (old[was], new[path]) for path, was in kept.items() if old[was] != new[path]},
        {path: shape for path, shape in new.items() if path not in kept},
        {path: shape for path, shape in old.items() if path not in kept.values()},
        {path: was for path, was in kept.items() if was != path},
    )


# ----- which layer is which ------------------------------------------------------------------------------------


def origins(a: Layer, b: Layer, paths: Iterable[str]) -> dict[str, str]:
    """The paths in ``a`` of params of ``b``: those of the same layer, or else the same path.

    A path that belongs to another layer in ``a`` becomes one that ``a`` does not have.
    """
    layers = dict(_aligned(a, b, "", ""))
    claimed, every = set(layers.values()), {path for path, _ in walk(b)}
    found = {}
    for path in paths:
        owner, leaf = path.rpartition("/")[::2]
        while owner and owner not in every:
            above, _, name = owner.rpartition("/")
            owner, leaf = above, f"{name}/{leaf}"
        if owner in layers:
            found[path] = join_path(layers[owner], leaf)
        else:
            found[path] = f"{path} of another layer" if owner in claimed else path
    return found


def _aligned(a: Layer, b: Layer, old: str, new: str) -> Iterator[tuple[str, str]]:
    """Pairs of paths of layers, in ``b`` and in ``a``, that are the same layer."""
    yield new, old
    for name, child in b.children.items():
        if child == a:  # a became a part of b
            yield from _aligned(a, child, old, join_path(new, name))
            return
    for name, child in a.children.items():
        if child == b:
            yield from _aligned(child, b, join_path(old, name), new)
            return
    for was, now in align(_children(a), _children(b)):
        if was is not None and now is not None:
            yield from _aligned(a.children[was], b.children[now], join_path(old, was), join_path(new, now))


def _children(layer: Layer) -> list[tuple[str, Spec, bool]]:
    """The children of a layer: name, spec, and whether the name is automatic."""
    items = tuple(layer.children.items())
    named = zip(items, automatic_names(items), strict=True)
    return [(name, child, name == automatic and type(layer) is Serial) for (name, child), automatic in named]


def align(a: list[tuple[str, Any, bool]], b: list[tuple[str, Any, bool]]) -> list[tuple[str | None, str | None]]:
    """Pairs of names of the same item in two sequences, in order; None for an item that the other lacks.

    Given names are the same item; among automatic names equal items, then items of one class between them, then
    those of one name. ``align(b, a)`` has the same pairs, turned.
    """
    turned = repr(b) < repr(a)  # a choice among equally good pairs must not depend on which side is which
    pairs = {i: j for j, i in _pairing(b, a).items()} if turned else _pairing(a, b)
    found: list[tuple[str | None, str | None]] = [
        (name, b[pairs[i]][0] if i in pairs else None) for i, (name, _, _) in enumerate(a)
    ]
    return found + [(None, name) for j, (name, _, _) in enumerate(b) if j not in pairs.values()]


def _pairing(a: list[tuple[str, Any, bool]], b: list[tuple[str, Any, bool]]) -> dict[int, int]:
    """``{place in a: place in b}`` of the same items."""
    first, second = ([(None, item) if automatic else (name, None) for name, item, automatic in side] for side in (a, b))
    blocks = difflib.SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks()
    pairs = {block.a + i: block.b + i for block in blocks for i in range(block.size)}
    by_name = {name: j for j, (name, _, _) in enumerate(b)}
    for i, (name, _, automatic) in enumerate(a):  # given names count wherever they stand
        if not automatic and name in by_name and not b[by_name[name]][2]:
            pairs[i] = by_name[name]

    def of_one_class(i: int, j: int) -> bool:
        return type(a[i][1]) is type(b[j][1]) and a[i][2] and b[j][2]

    def of_one_name(i: int, j: int) -> bool:
        return a[i][0] == b[j][0]

    for same in (of_one_class, of_one_name):
        for i in range(len(a)):
            low = max((pairs[k] for k in range(i) if k in pairs), default=-1)
            high = min((pairs[k] for k in range(i + 1, len(a)) if k in pairs), default=len(b))
            free = next((j for j in range(low + 1, high) if j not in pairs.values() and same(i, j)), None)
            if i not in pairs and free is not None:
                pairs[i] = free
    return pairs


def _compare(path: str, a: Any, b: Any) -> Iterator[Change]:
    if isinstance(a, Spec) and isinstance(b, Spec) and type(a) is type(b):
        for field in fields(type(a)):
            yield from _compare(f"{path}.{field.name}", getattr(a, field.name), getattr(b, field.name))
    elif _keyed(a) is not None and _keyed(b) is not None:
        old, new = _keyed(a) or {}, _keyed(b) or {}
        pairs = _pairs(old, new, in_order=not isinstance(a, FrozenDict))
        for was, name in pairs:
            if name is None:
                yield Change(f"{path}[{was}]", "removed", old[was], None)
            elif was is None:
                yield Change(f"{path}[{name}]", "added", None, new[name])
            else:
                yield from _compare(f"{path}[{name}]", old[was], new[name])
        both = [name for was, name in pairs if was is not None and name is not None]
        if not isinstance(a, FrozenDict) and both != [name for name in new if name in both]:
            yield Change(path, "changed", tuple(old), tuple(new))
    elif a != b:
        yield Change(path, "changed", a, b)


def _pairs(old: dict[Any, Any], new: dict[Any, Any], in_order: bool) -> list[tuple[Any, Any]]:
    """Keys of the same item in two collections."""
    if not in_order or not all(isinstance(key, str) for key in (*old, *new)):
        keys = [*old, *(key for key in new if key not in old)]
        return [(key if key in old else None, key if key in new else None) for key in keys]
    sides = []
    for items in (old, new):
        automatic = automatic_names(tuple(items.items()))
        sides.append(
            [(name, item, name == other) for (name, item), other in zip(items.items(), automatic, strict=True)]
        )
    return align(*sides)


def _keyed(value: Any) -> dict[Any, Any] | None:
    """The items of a collection of specs by name, or by place; None for anything else."""
    if isinstance(value, FrozenDict):
        return dict(value)
    if isinstance(value, tuple) and value and all(is_named(item) for item in value):
        return dict(value)
    if isinstance(value, tuple) and any(isinstance(item, Spec) for item in value):
        return dict(enumerate(value))
    return {} if value == () else None
