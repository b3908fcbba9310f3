"""Who hears of the calls of a network's layers: listeners, and callers that make the calls themselves."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from funcnet.layers.base import Layer


class Call(NamedTuple):
    """One call of a layer's ``out_shape``, ``init``, ``apply`` or ``vjp``, as reported to a listener."""

    method: str
    path: str
    layer: Layer
    args: tuple[Any, ...]
    result: Any
    depth: int


class Caller(Protocol):
    """The interface of a caller, which makes the calls of ``reach``."""

    def call(self, name: str, layer: Layer, method: str, args: tuple[Any, ...]) -> Any:
        """The method's result."""


LISTENER: ContextVar[Caller | None] = ContextVar("listener", default=None)
"""Who makes the calls of ``reach``, if it is not ``reach`` itself"""


class _Listener:
    def __init__(self, notify: Callable[[Call], None]) -> None:
        self.notify = notify
        self.names: list[str] = []

    def call(self, name: str, layer: Layer, method: str, args: tuple[Any, ...]) -> Any:
        self.names.append(name)
        try:
            result = getattr(layer, method)(*args)
            self.notify(Call(method, path_of(self.names), layer, args, result, len(self.names) - 1))
            return result
        finally:
            self.names.pop()


def path_of(names: Sequence[str]) -> str:
    """The path of a layer from the names of its ancestors and itself; the names of the root and wrappers are empty."""
    return "/".join(filter(None, names))


def listen(notify: Callable[[Call], None]) -> contextlib.AbstractContextManager[None]:
    """Report every call through ``reach`` inside the block to ``notify``."""
    return listen_with(_Listener(notify))


@contextlib.contextmanager
def listen_with(caller: Caller) -> Iterator[None]:
    """Let ``caller`` make every call through ``reach`` inside the block."""
    token = LISTENER.set(caller)
    try:
        yield
    finally:
        LISTENER.reset(token)


@contextlib.contextmanager
def listen_between(caller: Any) -> Iterator[None]:
    """As ``listen_with``, for a caller that passes every call on to the previous one, ``caller.outer``."""
    caller.outer = LISTENER.get()
    with listen_with(caller):
        yield


def listening() -> bool:
    """Whether there is a listener, which needs every call of a layer."""
    return LISTENER.get() is not None
