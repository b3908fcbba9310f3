"""The registry: spec classes by their kind and tag. ``register`` of ``base`` fills it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from funcnet.originals import Replaceable
from funcnet.spec.fields import FrozenDict
from funcnet.spec.kinds import load

if TYPE_CHECKING:
    from funcnet.spec.base import Spec


REGISTRY: dict[tuple[str, str], type[Spec]] = {}
EARLIER: dict[tuple[str, str], type[Spec]] = {}
"""The classes by the tags of earlier versions"""


class Tagged(metaclass=Replaceable):
    """Base of ``Spec``: what the registry and the conversion of values know of a spec class."""

    kind: ClassVar[str] = "spec"
    tag: ClassVar[str | None] = None
    _renamed: ClassVar[Mapping[str, str]] = FrozenDict({})


def is_spec(hint: Any) -> bool:
    """Whether a field's type is a class of specs."""
    return isinstance(hint, type) and issubclass(hint, Tagged)


def is_kind(cls: type[Spec]) -> bool:
    """Whether a field of this type admits several classes, so that its nodes need a ``type``."""
    return own_tag(cls) is None


def own_tag(cls: type[Spec]) -> str | None:
    """The tag of the class itself; an inherited tag belongs to its base."""
    tag: str | None = cls.__dict__.get("tag")
    return tag


def lookup(kind: str, tag: str) -> type[Spec] | None:
    """The class of a tag; the library's modules are imported when one of their tags is looked up."""
    if (kind, tag) not in REGISTRY:
        load(kind, tag)
    if (kind, tag) not in REGISTRY and (kind, tag) not in EARLIER:
        load(kind, None)
    return REGISTRY.get((kind, tag)) or EARLIER.get((kind, tag))


def tags(kind: str) -> dict[str, type[Spec]]:
    """Every registered tag of a kind, with all of the library's tags loaded."""
    load(kind, None)
    return {tag: cls for (of, tag), cls in sorted(REGISTRY.items()) if of == kind}


def stem(cls: type[Spec]) -> str:
    """The prefix of a class's automatic child names: the last part of its tag."""
    return (cls.tag or cls.kind).rpartition(".")[2]


def about(cls: type[Spec]) -> str:
    """The first paragraph of a class's docstring on one line, without its markup."""
    return (inspect.getdoc(cls) or "").partition("\n\n")[0].replace("\n", " ").replace("``", "").rstrip(".")
