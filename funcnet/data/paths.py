"""Where the files of a spec may lie: in its own folder, unless the user says otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from funcnet.errors import DataError

_outside: ContextVar[bool] = ContextVar("outside", default=False)


@contextmanager
def outside(allowed: bool = True) -> Iterator[None]:
    """Within it, specs may name files that lie outside their folder."""
    token = _outside.set(allowed)
    try:
        yield
    finally:
        _outside.reset(token)


def inside(base: Path, path: str) -> Path:
    """A path of a spec, which is relative to ``base`` and must not lead out of it, by a link neither.

    Raises   DataError for a path outside, unless ``outside`` allows it
    """
    whole = base / path
    if not _outside.get():
        try:
            real = whole.resolve()
        except (OSError, RuntimeError, ValueError) as error:  # a circle of links, or a name that no file can have
            raise DataError(f"{whole}: cannot be a file: {error}") from None
        if not real.is_relative_to(base.resolve()):
            raise DataError(
                f"{path}: lies outside the spec's folder {base.resolve()}; copy it there, or allow it if you trust the "
                "spec: --allow-outside, in Python allow_outside=True"
            )
    return whole
