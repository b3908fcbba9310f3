"""What fields are made of: ranges, names and immutable mappings; and ``frozen``, the decorator of their classes."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar, dataclass_transform, get_args

import attrs

from funcnet.errors import Problem

if TYPE_CHECKING:
    from funcnet.spec.base import Spec

T = TypeVar("T")


NAMED = "named"


WORDS = "words"


Named = Annotated[tuple[tuple[str, T], ...], NAMED]
"""Field type of children: layers with unique names, given or automatic (``dense_0``)."""


Words = Annotated[tuple[str, ...], WORDS]
"""Field type of names; a bare string means a tuple of one."""


def named_base(hint: Any) -> type[Spec]:
    """``Layer`` of ``Named[Layer]``, which is ``Annotated[tuple[tuple[str, Layer], ...], NAMED]``."""
    base: type[Spec] = get_args(get_args(get_args(hint)[0])[0])[1]
    return base


class Range:
    """Constraint of a numeric field, for its check, its error text and its documentation.

    It is given as ``field(validator=positive)``; ``Spec`` applies it together with the type. ``keywords`` express it
    in JSON Schema: ``Range("positive", lambda value: value > 0, exclusiveMinimum=0)``.
    """

    def __init__(self, text: str, holds: Callable[[float], bool], **keywords: float) -> None:
        self.text, self.holds, self.keywords = text, holds, keywords

    def __call__(self, spec: Any, attribute: Any, value: Any) -> None:
        """Do nothing: ``Spec`` checks types first, then ranges, to report all problems together."""

    def problems(self, path: str, value: Any) -> Iterator[Problem]:
        if isinstance(value, tuple):
            for i, item in enumerate(value):
                yield from self.problems(f"{path}[{i}]", item)
        elif isinstance(value, int | float) and not self.holds(value):
            yield Problem(path, f"must be {self.text}, got {value!r}")
        elif hasattr(value, "samples"):  # a schedule, which may reach the edges
            edges = [self.keywords.get(f"exclusive{side}") for side in ("Minimum", "Maximum")]
            wrong = next((one for one in value.samples() if not self.holds(one) and one not in edges), None)
            if wrong is not None:
                yield Problem(path, f"must be {self.text}, got {wrong!r} from its {type(value).__name__}")


positive = Range("positive", lambda value: value > 0, exclusiveMinimum=0)


non_negative = Range("zero or more", lambda value: value >= 0, minimum=0)


fraction = Range("at least 0 and below 1", lambda value: 0 <= value < 1, minimum=0, exclusiveMaximum=1)


class FrozenDict(Mapping[str, T], Generic[T]):
    """An immutable, hashable mapping."""

    __slots__ = ("_items",)
    _items: Mapping[str, T]

    def __init__(self, items: Mapping[str, T]) -> None:
        object.__setattr__(self, "_items", types.MappingProxyType(dict(items)))

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a FrozenDict cannot be changed, got {name} = {value!r:.60}")

    def __reduce__(self) -> tuple[Any, ...]:
        return FrozenDict, (dict(self._items),)

    def __getitem__(self, name: str) -> T:
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return repr(dict(self._items))


@dataclass_transform(frozen_default=True, field_specifiers=(attrs.field,))
def frozen(cls: type[T]) -> type[T]:
    """The decorator of every spec class: a frozen ``attrs`` class."""
    return attrs.frozen(cls, slots=False)  # slots would build each class twice, at 0.2 ms each
