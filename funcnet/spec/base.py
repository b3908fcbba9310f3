"""Specs: immutable data that compares by value, hashes, pickles and round-trips through JSON.

A spec class derives from a kind (``Layer``, ``Loss``, ``Optimizer``, …) and has the decorator ``frozen``;
``register`` lets it be written to files. The annotations of its fields are the schema: the same walk
checks a constructor's arguments and decodes a JSON document, and it reports every problem at once.
A file can only name registered classes; it never imports user code.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import math
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Literal,
    NamedTuple,
    NoReturn,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import attrs
import numpy as np

from funcnet.errors import ArgumentError, Problem, SpecError
from funcnet.hints import argument_hint, did_you_mean, no_argument, no_attribute, not_called, same_thing
from funcnet.spec.fields import NAMED, WORDS, FrozenDict, Range, T, frozen
from funcnet.spec.kinds import KINDS, base_of, load

MAX_DEPTH = 64  # specs inside specs; deeper ones overflow Python's stack in hash, repr and pickle
MAX_NODES = 100_000  # specs in one spec, each as often as it runs in a Repeat
HINTS = 20  # mistakes of one document that get a suggestion; searching for one takes longer than reading
MAX_INTEGER = 2**53  # JSON readers in other languages lose digits beyond it


_REGISTRY: dict[tuple[str, str], type[Spec]] = {}
_EARLIER: dict[tuple[str, str], type[Spec]] = {}


# ----- fields ---------------------------------------------------------------------------------------


class _Field(NamedTuple):
    name: str
    hint: Any
    default: Any  # attrs.NOTHING for a required field
    range: Range | None
    compared: bool  # False for a field that attrs leaves out of ==
    unwritable: str  # why JSON cannot hold it


_FIELDS: dict[type[Spec], tuple[_Field, ...]] = {}


def fields(cls: type[Spec]) -> tuple[_Field, ...]:
    """The fields of a spec class with their resolved types."""
    if cls not in _FIELDS:
        found = tuple(_resolve(cls))
        if own_tag(cls) is not None:
            problems = [*_class_problems(cls, found)]
            if problems:
                raise SpecError(problems, root=cls.__name__)
        # attrs would not see that 1, 1.0 and True differ, nor fields that are left out of ==
        if "__eq__" not in vars(cls) or any(not field.compared or len(_numbers(field.hint)) > 1 for field in found):
            cls.__eq__, cls.__hash__ = _equal, _hash  # type: ignore[method-assign]
        _FIELDS[cls] = found
    return _FIELDS[cls]


def _class_problems(cls: Any, found: tuple[_Field, ...]) -> Iterator[Problem]:
    """Reasons why a class cannot be registered: its objects would not be values, or JSON could not hold them."""
    if "__eq__" not in cls.__dict__:
        yield Problem("", "leave out eq=False; specs are equal if all their fields are")
    for attribute in attrs.fields(cls):
        path = f".{attribute.name}"
        if not attribute.eq:
            yield Problem(path, "leave out eq=False; specs that differ in a field must not be equal")
        if not attribute.init or attribute.name.startswith("_"):
            yield Problem(path, "expected a field that the constructor takes by its name; make it a property otherwise")
    for field in found:
        if field.unwritable:
            yield Problem(f".{field.name}", field.unwritable)


def _unwritable(hint: Any) -> str:
    """Why JSON cannot hold the values of a field's type; empty if it can."""
    origin, args = get_origin(hint), get_args(hint)
    if hint in (int, float, bool, str, type(None)) or is_spec(hint) or origin is Literal:
        return ""
    if origin is Annotated and args[1] in (NAMED, WORDS):
        return ""
    if origin in (Union, types.UnionType):
        return next(filter(None, map(_unwritable, args)), "")
    if origin is tuple:
        return next(filter(None, (_unwritable(arg) for arg in args if arg is not ...)), "")
    if isinstance(origin, type) and issubclass(origin, Mapping) and args[0] is str:
        return _unwritable(args[1])
    instead = {list: "tuple[float, ...]", tuple: "tuple[float, ...]", dict: "Mapping[str, float]"}
    text = instead.get(origin or hint, "tuple[float, ...]" if hint is np.ndarray else "")
    name = hint.__name__ if isinstance(hint, type) and not origin else str(hint).replace("typing.", "")
    return (
        f"JSON cannot hold a field of the type {name}; expected numbers, texts, booleans, None, a Literal, specs, or "
        f"tuples and mappings of these" + (f", such as {text}" if text else "")
    )


def _numbers(hint: Any) -> set[Any]:
    """The number types that a field's type mentions; all of them for a type that admits anything."""
    origin, args = get_origin(hint), get_args(hint)
    if hint in (int, float, bool):
        return {hint}
    if hint in (str, type(None), Ellipsis) or is_spec(hint) or origin is Annotated:
        return set()
    if origin is Literal:
        return {type(arg) for arg in args} & {int, float, bool}
    if origin in (Union, types.UnionType, tuple) or (isinstance(origin, type) and issubclass(origin, Mapping)):
        return set().union(*map(_numbers, args))
    return {int, float, bool}


def exact(value: Any) -> Any:
    """A value for comparison together with its type, and with the sign of zero."""
    if isinstance(value, Spec):
        return value
    if type(value) is tuple:
        return tuple(map(exact, value))
    if type(value) is FrozenDict:
        return frozenset((name, exact(item)) for name, item in value.items())
    if not _is_hashable(value):
        return type(value), id(value)
    return type(value), value, math.copysign(1.0, value) if type(value) is float else 0


def _is_hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _equal(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    names = [field.name for field in fields(type(self))]
    return all(exact(getattr(self, name)) == exact(getattr(other, name)) for name in names)


def _hash(self: Any) -> int:
    return hash((type(self), *(exact(getattr(self, field.name)) for field in fields(type(self)))))


def _resolve(cls: Any) -> Iterator[_Field]:
    hints = get_type_hints(cls, include_extras=True)
    for attribute in attrs.fields(cls):
        default = attribute.default
        if hasattr(default, "factory"):  # an attrs.Factory, such as that of field(factory=tuple)
            default = default.factory()
        hint, ignored = hints[attribute.name], list[Problem]()
        converted = MISSING if default is attrs.NOTHING else convert(hint, default, "", ignored, decode=False)
        constraint = attribute.validator if isinstance(attribute.validator, Range) else None
        default = default if converted is MISSING else converted
        yield _Field(attribute.name, hint, default, constraint, bool(attribute.eq), _unwritable(hint))


# ----- the base class ---------------------------------------------------------------------------------


@frozen
class Spec:
    """Base of every spec: its fields are checked and normalised at construction.

    Raises   SpecError listing every field of the wrong type or out of range
    """

    kind: ClassVar[str] = "spec"
    tag: ClassVar[str | None] = None
    times_field: ClassVar[str | None] = None
    """The field that says how many times the specs inside count, such as ``times`` of a Repeat"""
    _renamed: ClassVar[Mapping[str, str]] = FrozenDict({})

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
            value = convert(hint, getattr(self, name), f".{name}", problems, decode=False)
            if unwritable and compared and not _is_hashable(value):
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


# ----- the registry ---------------------------------------------------------------------------------


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
        cls.__init__ = _explained(cls, cls.__init__)  # type: ignore[method-assign]
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


def _belongs_elsewhere(cls: type[Spec], field: Any, value: Any) -> bool:
    """Whether a first argument suits a later field; 2.0 for an integer is only the wrong kind of number."""
    rounded = isinstance(value, float) and value.is_integer() and admits(field.hint, int(value))
    return not rounded and any(admits(one.hint, value) for one in fields(cls)[1:])


def _explained(cls: type[Spec], init: Callable[..., None]) -> Callable[..., None]:
    """A constructor that says of a wrong argument what the right ones are."""

    @functools.wraps(init)
    def made(self: Any, *args: Any, **kwargs: Any) -> None:
        if (
            args and type(args[0]) is int and next((one.name for one in fields(cls)), "") == "eps"
        ):  # a number of features, as elsewhere
            message = (
                f"expected a small float, such as 1e-05, got the integer {args[0]}; it takes no number of features"
            )
            raise SpecError([Problem(".eps", message)], root=cls.__name__)
        try:
            init(self, *args, **kwargs)
        except SpecError as error:
            places = list(zip(fields(cls), args, strict=False))
            placed = {
                f".{field.name}": f"expected {describe(field.hint)}, got"
                for i, (field, value) in enumerate(places)
                if i or (field.default is not attrs.NOTHING and _belongs_elsewhere(cls, field, value))
            }
            names = [field.name for field in fields(cls)]
            if not any(message.startswith(placed.get(path, "\n")) for path, message in error.found):
                raise
            order = f"; the order is {cls.__name__}({', '.join(names)})"
            said = [problem._replace(message=problem.message + order) for problem in error.found]
            raise SpecError(said, root=cls.__name__) from None
        except TypeError as error:
            names = [field.name for field in attrs.fields(cls)]  # type: ignore[arg-type]
            unknown = [name for name in kwargs if name not in names]
            if unknown:
                raise no_argument(cls.__name__, unknown[0], names) from None
            if "__init__() " in str(error):
                wrong = str(error).partition("__init__() ")[2]
                raise ArgumentError(f"{cls.__name__}({', '.join(names)}): {wrong}") from None
            raise

    return made


def admits(hint: Any, value: Any) -> bool:
    """Whether a field's type admits a value."""
    problems: list[Problem] = []
    convert(hint, value, "", problems, decode=False)
    return not problems


def lookup(kind: str, tag: str) -> type[Spec] | None:
    """The class of a tag; the library's modules are imported when one of their tags is looked up."""
    if (kind, tag) not in _REGISTRY:
        load(kind, tag)
    if (kind, tag) not in _REGISTRY and (kind, tag) not in _EARLIER:
        load(kind, None)
    return _REGISTRY.get((kind, tag)) or _EARLIER.get((kind, tag))


def rule_of(rules: Mapping[type, T], cls: type, methods: str) -> T | None:
    """The rule for a class among rules by class. A class that overrides one of the methods does not inherit a rule."""
    for base in cls.__mro__[:-1]:
        if base in rules:
            return rules[base]
        if any(method in vars(base) for method in methods.split()):
            return None
    return None


def declares(cls: type, attribute: str, methods: str) -> bool:
    """Whether a class attribute is true of a class: no class that overrides one of the methods inherits it."""
    for base in cls.__mro__:
        if attribute in vars(base):
            return True
        if any(method in vars(base) for method in methods.split()):
            return False
    return False


def own_tag(cls: type[Spec]) -> str | None:
    """The tag of the class itself; an inherited tag belongs to its base."""
    tag: str | None = cls.__dict__.get("tag")
    return tag


def tags(kind: str) -> dict[str, type[Spec]]:
    """Every registered tag of a kind, with all of the library's tags loaded."""
    load(kind, None)
    return {tag: cls for (of, tag), cls in sorted(_REGISTRY.items()) if of == kind}


def stem(cls: type[Spec]) -> str:
    """The prefix of a class's automatic child names: the last part of its tag."""
    return (cls.tag or cls.kind).rpartition(".")[2]


def about(cls: type[Spec]) -> str:
    """The first paragraph of a class's docstring on one line, without its markup."""
    return (inspect.getdoc(cls) or "").partition("\n\n")[0].replace("\n", " ").replace("``", "").rstrip(".")


# ----- one walk for constructors and documents ------------------------------------------------------------


class _Missing:
    """The result of ``convert`` for a value with reported problems."""


MISSING = _Missing()


def quote(value: Any) -> str:
    """A value as JSON, shortened, for messages."""
    try:
        text = json.dumps(value) if isinstance(value, dict | list | str | bool | None) else repr(value)
    except (TypeError, ValueError, RecursionError):  # not JSON, circular, or an integer of thousands of digits
        text = _plain(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _plain(value: Any) -> str:
    try:
        return repr(value)
    except (ValueError, RecursionError):
        return f"a {type(value).__name__}"


def is_spec(hint: Any) -> bool:
    """Whether a field's type is a class of specs."""
    return isinstance(hint, type) and issubclass(hint, Spec)


def is_kind(cls: type[Spec]) -> bool:
    """Whether a field of this type admits several classes, so that its nodes need a ``type``."""
    return own_tag(cls) is None


def named_base(hint: Any) -> type[Spec]:
    """``Layer`` of ``Named[Layer]``, which is ``Annotated[tuple[tuple[str, Layer], ...], NAMED]``."""
    base: type[Spec] = get_args(get_args(get_args(hint)[0])[0])[1]
    return base


def describe(hint: Any) -> str:
    """A field's type in words, for messages: ``a number or a schedule``."""
    simple = {int: "an integer", float: "a number", bool: "true or false", str: "a string", type(None): "null"}
    if hint in simple:
        return simple[hint]
    if is_spec(hint):
        noun = {"data": "data source", "initial": "source of initial values"}.get(hint.kind, hint.kind)
        if not is_kind(hint) and hint.kind in KINDS and hint is not base_of(hint.kind):
            noun = hint.__name__  # the field admits only one class of its kind
        return f"{'an' if noun[0].lower() in 'aeio' else 'a'} {noun}"
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return f"a list of {named_base(hint).kind}s" if args[1] == NAMED else "a name or a list of names"
    if origin is Literal:
        return " or ".join(quote(value) for value in args)
    if origin in (Union, types.UnionType):
        return " or ".join(describe(arg) for arg in args)
    if origin is tuple and args[-1] is not ...:
        return f"a list of {len(args)} items"
    if origin is tuple:
        return f"a list, each item {describe(args[0])}"
    return "a mapping"


def convert(hint: Any, value: Any, path: str, problems: list[Problem], *, decode: bool) -> Any:
    """A field's value normalised to its type, or MISSING with the problems reported.

    With ``decode``, specs are tagged JSON nodes, otherwise spec objects.
    """
    origin, args = get_origin(hint), get_args(hint)
    if is_spec(hint):
        if isinstance(value, hint):
            return value
        if decode:
            return _decode(hint, value, path, problems)
        problems.append(Problem(path, f"expected {describe(hint)}, got {quote(value)}{_in_python(hint, value)}"))
        return MISSING
    elif hint is bool or hint is str:
        if isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value):
            problems.append(Problem(path, f"expected text that UTF-8 can encode, got {quote(value)}"))
            return MISSING
        if isinstance(value, hint):
            return value
    elif hint is type(None):
        if value is None:
            return value
    elif hint is int:
        if isinstance(value, int | np.integer) and not isinstance(value, bool):
            if abs(int(value)) > MAX_INTEGER:
                problems.append(Problem(path, f"integers go up to 2^53, got {quote(value)}"))
                return MISSING
            return int(value)
    elif hint is float:
        if isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
            with contextlib.suppress(OverflowError):
                value = float(value)
                if math.isfinite(value):
                    return value + 0.0  # -0.0 equals 0.0, so both must be written the same
            problems.append(Problem(path, f"expected a finite number, got {quote(value)}"))
            return MISSING
    elif origin is Literal:
        if any(type(value) is type(arg) and value == arg for arg in args):
            return value
        if isinstance(value, str):
            near = did_you_mean(value, [arg for arg in args if isinstance(arg, str)])
            problems.append(Problem(path, f"expected {describe(hint)}, got {quote(value)}{near}"))
            return MISSING
    elif origin in (Union, types.UnionType):
        return _convert_union(hint, value, path, problems, decode=decode)
    elif origin is Annotated and args[1] == WORDS:
        if isinstance(value, str | list | tuple):
            return convert(args[0], (value,) if isinstance(value, str) else value, path, problems, decode=decode)
    elif origin is Annotated and args[1] == NAMED:
        if isinstance(value, list | tuple):
            return _convert_named(named_base(hint), value, path, problems, decode=decode)
    elif origin is tuple:
        value = value.tolist() if isinstance(value, np.ndarray) else value
        if isinstance(value, list | tuple) and (args[-1] is ... or len(args) == len(value)):
            each = [args[0]] * len(value) if args[-1] is ... else args
            return _whole(
                tuple(
                    convert(inner, item, f"{path}[{i}]", problems, decode=decode)
                    for i, (inner, item) in enumerate(zip(each, value, strict=True))
                )
            )
    elif origin is not None and issubclass(origin, Mapping):
        if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
            items = {
                name: convert(args[1], item, f"{path}.{name}", problems, decode=decode) for name, item in value.items()
            }
            return MISSING if MISSING in items.values() else FrozenDict(items)
    elif isinstance(hint, type) or hint is Callable or origin is not None:  # only in specs that cannot be serialised
        return value
    problems.append(Problem(path, f"expected {describe(hint)}, got {quote(value)}"))
    return MISSING


def _in_python(base: type[Spec], value: Any) -> str:
    """How a class, the name of one, or a list is written as a spec in Python."""
    if isinstance(value, list) and value and all(isinstance(one, base) for one in value):
        return "; give them one by one, without the list"
    cls = value if isinstance(value, type) else None
    if isinstance(value, str):
        tag = same_thing(value, tags(base.kind))
        cls = None if tag is None else lookup(base.kind, tag)
    if cls is None or not issubclass(cls, base):
        return ""
    package = KINDS[base.kind].package.replace("funcnet", "fn") if base.kind in KINDS else "fn"
    needed = ["…"] if any(field.default is attrs.NOTHING for field in fields(cls)) else []
    return f"; write {package}.{cls.__name__}({', '.join(needed)})"


def _whole(items: tuple[Any, ...]) -> Any:
    return MISSING if any(item is MISSING for item in items) else items


def _convert_union(hint: Any, value: Any, path: str, problems: list[Problem], *, decode: bool) -> Any:
    nearest: list[Problem] = []
    for option in get_args(hint):
        found: list[Problem] = []
        converted = convert(option, value, path, found, decode=decode)
        if not found:
            return converted
        said_more = any(not problem.message.startswith("expected ") or problem.path != path for problem in found)
        if said_more and not nearest:  # the value has this option's form, with mistakes inside
            nearest = found
    problems.extend(nearest or [Problem(path, f"expected {describe(hint)}, got {quote(value)}")])
    return MISSING


def _convert_named(base: type[Spec], items: Any, path: str, problems: list[Problem], *, decode: bool) -> Any:
    """Children with names: a JSON node may hold ``name``; in Python an item may be a pair."""
    given: list[tuple[str | None, Any]] = []
    for i, item in enumerate(items):
        name = None
        if decode and isinstance(item, Mapping) and "name" in item:
            name, item = item["name"], {key: value for key, value in item.items() if key != "name"}
        elif not decode and isinstance(item, tuple) and len(item) == 2:
            name, item = item
        if name is not None and not _is_name(name):
            problems.append(
                Problem(f"{path}[{i}].name", f"expected a name of letters, digits and _, got {quote(name)}")
            )
            name = None
        given.append((name, convert(base, item, f"{path}[{i}]", problems, decode=decode)))
    if any(item is MISSING for _, item in given):
        return MISSING
    named = name_children(given)
    seen: dict[str, int] = {}
    for i, (name, _) in enumerate(named):
        if name in seen:
            problems.append(
                Problem(f"{path}[{i}].name", f"{name!r} is the name of item {seen[name]} too; names must differ")
            )
        seen.setdefault(name, i)
    return named


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and name.isidentifier() and name.isascii()


def automatic_names(items: Any) -> list[str]:
    """The automatic name of each child: its class's stem and a counter, ``dense_0``, ``dense_1``.

    The counter of a class counts only its unnamed children, so that inserting a named child
    does not change the names, and with them the initial weights, of the others.
    """
    counts: dict[str, int] = {}
    automatic = []
    for name, item in items:
        start = stem(type(item))
        automatic.append(f"{start}_{counts.get(start, 0)}")
        if name is None or name == automatic[-1]:
            counts[start] = counts.get(start, 0) + 1
    return automatic


def name_children(items: Any) -> tuple[tuple[str, Any], ...]:
    """Children with their given or automatic names."""
    return tuple(
        (name or automatic, item) for (name, item), automatic in zip(items, automatic_names(items), strict=True)
    )


def _decode(base: type[Spec], value: Any, path: str, problems: list[Problem]) -> Any:
    """The spec from a tagged node."""
    node = {"type": value} if isinstance(value, str) else value
    if not isinstance(node, Mapping):
        problems.append(Problem(path, f"expected {describe(base)}, got {quote(value)}"))
        return MISSING
    where = path if isinstance(value, str) else f"{path}.type"
    cls: type[Spec] | None = base
    if "type" in node:
        tag = node["type"]
        if not isinstance(tag, str):
            problems.append(Problem(where, f"expected the tag of {describe(base)}, got {quote(tag)}"))
            return MISSING
        cls = lookup(base.kind, tag)
        if cls is None:
            near = did_you_mean(tag, tags(base.kind)) if len(problems) < HINTS else ""
            if "." in tag:
                near = near or "; import the module that registers it first (on the command line: --import MODULE)"
            if len(problems) < HINTS:
                near = near or f"; there are {', '.join(tag for tag in tags(base.kind) if '.' not in tag)}"
            shown = repr(tag) if len(tag) <= 60 else repr(f"{tag[:57]}…")
            problems.append(Problem(where, f"unknown {base.kind} {shown}{near}"))
            return MISSING
        if not issubclass(cls, base):
            problems.append(Problem(where, f"expected {base.tag!r}, got {tag!r}"))
            return MISSING
    elif is_kind(base):
        known = ", ".join(tags(base.kind))
        problems.append(Problem(where, f"missing; expected the tag of this {base.kind}, one of {known}"))
        return MISSING
    assert cls is not None
    return decode_fields(cls, node, path, problems)


def _field_hint(key: str, known: Sequence[_Field]) -> str:
    """The field that an unknown key means: a similar one, or one of the same name inside another field."""
    for field in known:
        options = [one for one in (field.hint, *get_args(field.hint)) if is_spec(one) and not is_kind(one)]
        if any(key == inner.name for one in options for inner in fields(one)):
            return f"; {key!r} is a field of {field.name!r}"
    return argument_hint(key, [field.name for field in known], in_json=True)


def decode_fields(cls: type[Spec], node: Mapping[str, Any], path: str, problems: list[Problem]) -> Any:
    """The spec of a class from the fields of a JSON node, whose ``type`` is already read."""
    before = len(problems)
    known = fields(cls)
    names = [field.name for field in known]
    for old, new in cls._renamed.items() if cls._renamed else ():
        if old in node and new in node:
            problems.append(Problem(f"{path}.{old}", f"is the earlier name of {new!r}, which is given too"))
        node = {new if key == old else key: value for key, value in node.items()}
    for key in node:
        if key not in names and key != "type":
            allowed = f"it has {', '.join(names)}" if names else "it has no fields"
            near = _field_hint(key, known) if len(problems) < HINTS else ""
            problems.append(Problem(f"{path}.{key}", f"unknown field of {stem(cls)!r}{near}; {allowed}"))
    values = {}
    for name, hint, default, constraint, *_ in known:
        if name in node:
            value = convert(hint, node[name], f"{path}.{name}", problems, decode=True)
            if value is not MISSING:
                values[name] = value
                if constraint:
                    problems.extend(constraint.problems(f"{path}.{name}", value))
        elif default is attrs.NOTHING:
            problems.append(Problem(f"{path}.{name}", f"missing; {stem(cls)!r} needs {describe(hint)}"))
    if len(problems) > before:
        return MISSING
    try:
        return cls(**values)
    except SpecError as error:
        problems.extend(Problem(path + problem.path, problem.message) for problem in error.found)
        return MISSING
    except (TypeError, ValueError) as error:  # from an attrs validator, or the user's post-init
        problems.append(Problem(path, f"{cls.__name__} refuses these values: {error}"))
        return MISSING
