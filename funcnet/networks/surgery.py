"""Layers of a network, found and replaced by path."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from funcnet import tree
from funcnet.errors import FuncnetError, PathError
from funcnet.inputs import instance
from funcnet.layers.base import Layer
from funcnet.layers.calls import path_of
from funcnet.spec.base import Spec, evolve
from funcnet.spec.class_fields import fields
from funcnet.spec.fields import FrozenDict


def walk(layer: Layer, path: str = "") -> Iterator[tuple[str, Layer]]:
    """Every layer with its path, each before the layers inside it; a wrapper and its inner layer share a path."""
    yield path, layer
    for name, child in layer.children.items():
        yield from walk(child, join_path(path, name))


def join_path(path: str, name: str) -> str:
    """The path of a child; an empty name adds no segment."""
    return path_of((path, name))


Kind = type[Layer] | tuple[type[Layer], ...]


def select(net: Layer, pattern: str = "*", kind: Kind = Layer) -> dict[str, Layer]:
    """``{path: layer}`` of the layers of a kind whose whole path a glob matches.

    ``*`` also matches ``/``: ``fn.select(net, "encoder/*")``, ``fn.select(net, kind=fn.Dropout)``. Where a wrapper
    and its inner layer share a path, the outermost of the kind counts.
    Raises   PathError for a pattern that matches nothing; FuncnetError for a pattern that is not text, or a kind
             that is not a class of layers
    """
    instance(net, Layer, "a network", "fn.serial(fn.Dense(10))")
    instance(pattern, str, "a pattern of paths", "'encoder/*'")
    for one in kind if isinstance(kind, tuple) else (kind,):
        if not (isinstance(one, type) and issubclass(one, Layer)):
            raise FuncnetError(f"expected a class of layers, such as kind=fn.Dropout, got {one!r}")
    paths = tree.matched((pattern,), dict.fromkeys(path for path, _ in walk(net)))
    found: dict[str, Layer] = {}
    for path, layer in walk(net):
        if path in paths and isinstance(layer, kind):
            found.setdefault(path, layer)
    return found


def replace(net: Layer, pattern: str, new: Layer | Callable[[Layer], Layer], kind: Kind = Layer) -> Layer:
    """A network with every layer that a glob matches replaced: by ``new``, or by ``new(layer)``.

    All other layers keep their names, and so their initial params. Layers inside a replaced layer are not
    searched.
    Raises   PathError for a pattern that matches nothing, or layers that a combinator creates itself

    >>> net = fn.serial(fn.Dense(8), head=fn.Dense(10))
    >>> fn.replace(net, "head", fn.Dense(7)).children["head"] == fn.Dense(7)
    True
    """
    if not isinstance(new, Layer) and (not callable(new) or isinstance(new, type)):
        instance(new, Layer, "a layer, or a function of the old one", "fn.Dense(7)")
    chosen = set(select(net, pattern, kind))
    if not chosen:
        raise PathError(f"{pattern!r} matches no layer of the kind asked for")

    def rebuilt(layer: Layer, path: str) -> Layer:
        if path in chosen and isinstance(layer, kind):
            changed = new if isinstance(new, Layer) else new(layer)
            instance(changed, Layer, "a function that gives a layer", "lambda old: fn.Tanh()")
            return changed
        children = {name: rebuilt(child, join_path(path, name)) for name, child in layer.children.items()}
        if all(children[name] == child for name, child in layer.children.items()):
            return layer
        return with_children(layer, children, path)

    return rebuilt(net, "")


def with_children(layer: Layer, children: Mapping[str, Layer], path: str = "") -> Layer:
    """A combinator with other children, in whichever fields it holds them.

    Raises   PathError for children that it creates itself, such as the two directions of Bidirectional
    """
    old = layer.children
    waiting = list(old)

    def put(value: Any, name: str) -> Any:
        """A field's value with new layers for the old ones: by name, else the first child that is the same object."""
        if isinstance(value, Layer):
            same = [name] if name in waiting and old[name] == value else [n for n in waiting if old[n] is value]
            return children[waiting.pop(waiting.index(same[0]))] if same else value
        if isinstance(value, FrozenDict):
            return {key: put(item, key) for key, item in value.items()}
        if is_named(value):
            return value[0], put(value[1], value[0])
        return tuple(put(item, name) for item in value) if isinstance(value, tuple) else value

    changes = {field.name: put(getattr(layer, field.name), field.name) for field in fields(type(layer))}
    changed = evolve(layer, **changes)
    for name, child in changed.children.items():
        if child != children[name]:
            raise PathError(
                f"{join_path(path, name)!r} is made by {type(layer).__name__} itself; replace {path!r} instead"
            )
    return changed


def is_named(item: Any) -> bool:
    """Whether a field's value is a pair of a name and a spec."""
    return isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str) and isinstance(item[1], Spec)
