"""Small real data sets that come with the package; ``ORIGIN.md`` beside them says from where, and the licences."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
from attrs import field

from funcnet.data.sources import Source, Table
from funcnet.files import read_npz
from funcnet.key import Key
from funcnet.layer import Shape
from funcnet.spec import frozen, non_negative, register


def bundled(name: str, classes: tuple[str, ...]) -> Table:
    """The arrays x and y of a file in this package."""
    with as_file(files("funcnet.data") / f"{name}.npz") as path:
        members = read_npz(path)
    return Table(members["x"], members["y"], classes)


@register("digits")
@frozen
class Digits(Source):
    """1797 handwritten digits, 8×8 pixels of 0 to 16 in 64 columns, labels 0 to 9. Alpaydin and Kaynak (1998)."""

    def in_shape(self, base: Path) -> Shape | None:
        return (64,)

    def table(self, base: Path, key: Key) -> Table:
        return bundled("digits", tuple("0123456789"))


@register("noisy_digits")
@frozen
class NoisyDigits(Source):
    """The 1797 digits as images of 8×8×1 in 0 to 1: targets as they are, inputs with normal noise added to them."""

    deviation: float = field(default=0.4, validator=non_negative)

    def in_shape(self, base: Path) -> Shape | None:
        return (8, 8, 1)

    def table(self, base: Path, key: Key) -> Table:
        clean = np.asarray(bundled("digits", ()).x).reshape(-1, 8, 8, 1) / 16.0
        return Table(clean + self.deviation * key.normal(clean.shape), clean)


@register("iris")
@frozen
class Iris(Source):
    """150 irises of three species: length and width of sepals and petals in cm. Fisher (1936)."""

    def in_shape(self, base: Path) -> Shape | None:
        return (4,)

    def table(self, base: Path, key: Key) -> Table:
        return bundled("iris", ("setosa", "versicolor", "virginica"))
