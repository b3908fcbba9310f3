"""Values that leave the library as the state of a moment: dicts, lists and arrays that cannot be changed."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from funcnet.errors import ArgumentError


class ReadOnlyDict(dict[str, Any]):
    """A dict that cannot be changed; ``dict(value)`` is a copy that can."""

    def _refuse(self, *args: Any, **named: Any) -> NoReturn:
        raise TypeError(f"a record of a run cannot be changed; change a copy, {type(self).__mro__[1].__name__}(value)")

    __setitem__ = __delitem__ = update = setdefault = pop = popitem = clear = __ior__ = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)


class ReadOnlyList(list[Any]):
    """A list that cannot be changed; ``list(value)`` is a copy that can."""

    _refuse = ReadOnlyDict._refuse
    __setitem__ = __delitem__ = append = extend = insert = remove = pop = clear = sort = reverse = _refuse
    __iadd__ = __imul__ = _refuse

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, str):
            raise ArgumentError(f"this is a list of rows; a column of it is [row[{at!r}] for row in rows]")
        return super().__getitem__(at)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (list(self),)


def read_only(value: Any) -> Any:
    """The value with read-only dicts and lists, and read-only views of its arrays."""
    if isinstance(value, dict):
        return ReadOnlyDict((name, read_only(part)) for name, part in value.items())
    if isinstance(value, list):
        return ReadOnlyList(map(read_only, value))
    if type(value) is tuple:
        return tuple(map(read_only, value))
    if isinstance(value, np.ndarray):
        view = value.view()
        view.flags.writeable = False
        return view
    return value
