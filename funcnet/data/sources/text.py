"""Text as sequences of characters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
from attrs import field

from funcnet.data.paths import inside
from funcnet.data.sources.base import Source, Table
from funcnet.errors import DataError, Problem
from funcnet.files import read_bytes
from funcnet.key import Array, Key
from funcnet.shapes import Shape
from funcnet.spec.base import register
from funcnet.spec.fields import frozen, positive

ALPHABET = "\n" + "".join(map(chr, range(32, 127)))
"""The line feed and the 95 printable characters of ASCII, in the order of their codes"""


@register("text")
@frozen
class Text(Source):
    """A text cut into pieces of ``length`` characters; the target of each character is the next one.

    ``path`` is a file in UTF-8, by default the language reference that comes with Python itself
    (``pydoc_data.topics``, about 460 000 characters; it differs slightly between versions). A character is
    its index in an alphabet of 96, the line feed and printable ASCII; all others are left out.
    Inputs (length,) integers, targets (length,) labels.
    Raises   DataError for a file that cannot be read, or is shorter than one piece
    """

    integers: ClassVar[bool] = True

    path: str | None = None
    length: int = field(default=64, validator=positive)

    def validate(self) -> Iterator[Problem]:
        for name in ("scale", "target_scale", "impute", "divide"):
            if getattr(self, name) is not None:
                yield Problem(f".{name}", f"characters have no {name}; leave it out")

    def in_shape(self, base: Path) -> Shape | None:
        return (self.length,)

    def table(self, base: Path, key: Key) -> Table:
        indices = encode(self.read(base))
        rows = (len(indices) - 1) // self.length
        if rows < 1:
            raise DataError(
                f"expected a text of at least {self.length + 1} characters, got {len(indices)}; give a shorter length",
                layer="Text",
            )
        x, y = (indices[start : start + rows * self.length].reshape(rows, self.length) for start in (0, 1))
        return Table(x, y, tuple(ALPHABET))

    def read(self, base: Path) -> str:
        """The whole text."""
        if self.path is None:
            from pydoc_data.topics import topics

            return "\n\n".join(topics[name].strip() for name in sorted(topics))
        path = inside(base, self.path)
        try:
            return read_bytes(path).decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path}: cannot be read as UTF-8 text: {error}", layer="Text") from None


def encode(text: str) -> Array:
    """The indices of a text's characters; characters outside the alphabet are left out."""
    known = {character: i for i, character in enumerate(ALPHABET)}
    return np.array([known[character] for character in text if character in known], np.int64)


def decode(indices: Iterable[int]) -> str:
    """The text of indices."""
    return "".join(ALPHABET[int(i)] for i in indices)
