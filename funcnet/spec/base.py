"""Specs: immutable data that compares by value, hashes, pickles and round-trips through JSON.

A spec class derives from a kind (``Layer``, ``Loss``, ``Optimizer``, …) and has the decorator ``frozen``;
``register`` lets it be written to files. The annotations of its fields are the schema: the same walk
checks a constructor's arguments and decodes a JSON document, and it reports every problem at once.
A file can only name registered classes; it never imports user code.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import attrs
import numpy as np

from funcnet.errors import Problem, SpecError
from funcnet.hints import no_attribute, not_called
from funcnet.spec.arguments import explained
from funcnet.spec.class_fields import fields
from funcnet.spec.convert import MISSING, convert
from funcnet.spec.equality import is_hashable
from funcnet.spec.fields import FrozenDict, T, frozen
from funcnet.spec.registry import (
    EARLIER as _EARLIER,
    REGISTRY as _REGISTRY,
    Tagged,
    is_kind,
    is_spec,
    tags,
)
from funcnet.spec.wording import quote

__all__ = [
    "MAX_DEPTH",
    "MAX_NODES",
    "Spec",
    "evolve",
    "fields",
    "is_kind",
    "is_spec",
    "nested",
    "parts_of",
    "quote",
    "rebuild",
    "register",
    "specs_in",
    "tags",
]

MAX_DEPTH = 64  # specs inside specs; deeper ones overflow Python's stack in hash, repr and pickle
MAX_NODES = 100_000  # specs in one spec, each as often as it runs in a Repeat


@frozen
class Spec(Tagged):
    """Base of every spec: its fields are checked and normalised at construction.

    Raises   SpecError listing every field of the wrong type or out of range
    """

    times_field: ClassVar[str | None] = None
    """The field that says how many times the specs inside count, such as ``times`` of a Repeat"""

    def __attrs_post_init__(self) -> None:
        cls = type(self)
        if "__attrs_attrs__" not in cls.__dict__:
            raise SpecError(
                [Problem("", "decorate the class with @frozen; without it new fields are ignored by == and JSON")],
                root=cls.__name__,
            )
        problems: list[Problem] = []
        depth, inside = 1, 0
        for name, hint, _, constraint, compared, unwritable in fields(cls):
            value = convert(hint, getattr(self, name), f".{name}", problems)
            if unwritable and compared and not is_hashable(value):
                instead = "a tuple of numbers" if isinstance(value, np.ndarray | list) else "an immutable value"
                message = f"specs never change: expected {instead}, got a {type(value).__name__}"
                problems.append(Problem(f".{name}", message))
            if constraint and value is not MISSING:
                problems.extend(constraint.problems(f".{name}", value))
            object.__setattr__(self, name, value)
            for inner in specs_in(value):
                depth = max(depth, 1 + inner.__dict__.get("_depth", 1))
                inside += inner.__dict__.get("_nodes", 1)
        if depth > MAX_DEPTH:
            problems.append(Problem("", f"specs are nested {depth} deep; the limit is {MAX_DEPTH}"))
        times = getattr(self, self.times_field) if self.times_field and not problems else 1
        nodes = 1 + times * inside
        if nodes > MAX_NODES:
            path, many = ("", "") if times == 1 else (f".{self.times_field}", f", {times} times the {inside} inside")
            problems.append(Problem(path, f"holds {nodes} specs{many}; the limit is {MAX_NODES}"))
        if not problems:
            problems.extend(self.validate())
        if problems:
            raise SpecError(problems, root=cls.__name__)
        object.__setattr__(self, "_depth", depth)
        object.__setattr__(self, "_nodes", nodes)

    if not TYPE_CHECKING:  # for type checkers a spec has the attributes of its class, and is no function
        __getattr__ = no_attribute("spec")

        def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
            raise not_called(self)

    def _repr_html_(self) -> str:
        from funcnet.spec.outline import outline  # it imports this module

        return outline(self)

    def validate(self) -> Iterator[Problem]:
        """Problems beyond the types and ranges of the fields; subclasses yield them."""
        return iter(())


def register(
    tag: str, was: Sequence[str] = (), renamed: Mapping[str, str] = FrozenDict({})
) -> Callable[[type[T]], type[T]]:
    """Class decorator that gives a spec class its tag in JSON: ``@fn.register("acme.gated")``.

    Library tags have no dot, user tags have one. A tag is unique within its kind. Files keep their meaning when names
    change: ``was`` lists the class's earlier tags, ``renamed`` maps earlier names of fields to those of today.
    Raises   SpecError for a tag that is taken or malformed, or a class that is not a frozen spec
    """

    if not isinstance(tag, str):
        message = "expected a tag in parentheses: @fn.register('yours.name')"
        raise SpecError([Problem("", message)], root="register")

    def decorate(cls: type[T]) -> type[T]:
        def refuse(message: str) -> SpecError:
            return SpecError([Problem("", message)], root=f"register({tag!r})")

        if not (isinstance(cls, type) and issubclass(cls, Spec)):
            raise refuse("expected a class derived from fn.Layer, fn.losses.Loss, fn.optim.Optimizer, …")
        if "__attrs_attrs__" not in cls.__dict__:
            raise refuse(f"{cls.__name__} needs @attrs.frozen below @fn.register; without it new fields are ignored")
        own = cls.__module__.partition(".")[0] == "funcnet"
        if not all(part.isidentifier() for part in tag.split(".")) or (not own and "." not in tag):
            raise refuse("expected a tag with a dot between two names, such as 'acme.gated'")
        for each in (tag, *((was,) if isinstance(was, str) else was)):
            taken = _REGISTRY.get((cls.kind, each)) or _EARLIER.get((cls.kind, each))
            if taken and (taken.__module__, taken.__qualname__) != (cls.__module__, cls.__qualname__):
                which = f"this {cls.kind} tag" if each == tag else f"the {cls.kind} tag {each!r}"
                raise refuse(f"{which} is taken by {taken.__module__}.{taken.__qualname__}")
        names = [field.name for field in attrs.fields(cls)]  # type: ignore[arg-type]
        for name in names:
            if name in ("type", "name"):
                raise refuse(f"a field cannot be called {name!r}: specs in JSON use that key")
        for old, new in renamed.items():
            if new not in names or old in names:
                raise refuse(f"renamed maps earlier names to the fields {', '.join(names)}, got {old!r}: {new!r}")
        cls.__init__ = explained(cls, cls.__init__)  # type: ignore[method-assign]
        cls.tag = tag
        cls._renamed = FrozenDict(renamed)
        if not own:  # the tests look at the library's
            with contextlib.suppress(NameError):  # a field of the class's own type, looked at with its first spec
                fields(cls)
        for each in (was,) if isinstance(was, str) else was:
            _REGISTRY.pop((cls.kind, each), None)
            _EARLIER[cls.kind, each] = cls
        _REGISTRY[cls.kind, tag] = cls
        return cls

    return decorate


def specs_in(value: Any) -> Iterator[Spec]:
    """The specs directly inside a field's value."""
    if isinstance(value, Spec):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from specs_in(item)
    elif isinstance(value, FrozenDict):
        for item in value.values():
            yield from specs_in(item)


def parts_of(spec: Spec) -> Iterator[Spec]:
    """The specs directly inside a spec, in the order of its fields."""
    for field in fields(type(spec)):
        yield from specs_in(getattr(spec, field.name))


def nested(spec: Spec) -> Iterator[Spec]:
    """A spec and all specs inside it, each before those inside it."""
    yield spec
    for part in parts_of(spec):
        yield from nested(part)


def evolve(spec: T, **changes: Any) -> T:
    """A copy of a spec with some fields changed."""
    changed: T = attrs.evolve(spec, **changes)  # type: ignore[misc]
    return changed


def rebuild(value: Any, change: Callable[[Spec], Spec]) -> Any:
    """A copy of a spec with ``change`` applied to every spec inside it, innermost first."""
    if isinstance(value, Spec):
        inner = {field.name: rebuild(getattr(value, field.name), change) for field in fields(type(value))}
        changed = {name: new for name, new in inner.items() if new is not getattr(value, name)}
        return change(evolve(value, **changed) if changed else value)
    if isinstance(value, tuple):
        items = tuple(rebuild(item, change) for item in value)
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    if isinstance(value, FrozenDict):
        return FrozenDict({name: rebuild(item, change) for name, item in value.items()})
    return value
