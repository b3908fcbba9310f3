"""Small real data sets that come with the package; ``ORIGIN.md`` beside them lists origins and licences."""

from __future__ import annotations

import csv
from importlib.resources import as_file, files
from pathlib import Path
from typing import ClassVar

import numpy as np
from attrs import field

from funcnet.data.sources.base import Source, Table
from funcnet.files import read_npz
from funcnet.key import Key
from funcnet.shapes import Shape
from funcnet.spec.base import register
from funcnet.spec.fields import frozen, non_negative


def bundled(name: str, classes: tuple[str, ...] | None) -> Table:
    """The arrays x and y of a file in this package."""
    with as_file(files("funcnet.data") / f"{name}.npz") as path:
        members = read_npz(path)
    return Table(members["x"], members["y"], classes)


@register("digits")
@frozen
class Digits(Source):
    """1797 handwritten digits, 8×8 pixels of 0 to 16 in 64 columns, labels 0 to 9. Alpaydin and Kaynak (1998)."""

    image = (8, 8)

    def in_shape(self, base: Path) -> Shape | None:
        return (64,)

    def table(self, base: Path, key: Key) -> Table:
        return bundled("digits", tuple("0123456789"))


@register("noisy_digits")
@frozen
class NoisyDigits(Source):
    """The 1797 digits as 8×8×1 images in [0, 1]: the targets clean, the inputs with normal noise added."""

    deviation: float = field(default=0.4, validator=non_negative)

    def in_shape(self, base: Path) -> Shape | None:
        return (8, 8, 1)

    def table(self, base: Path, key: Key) -> Table:
        clean = np.asarray(bundled("digits", ()).x).reshape(-1, 8, 8, 1) / 16.0
        return Table(clean + self.deviation * key.normal(clean.shape), clean)


@frozen
class Measurements(Source):
    """Base of the data sets with named measurements as columns."""

    file: ClassVar[str]
    features: ClassVar[tuple[str, ...]]
    classes: ClassVar[tuple[str, ...] | None] = None

    @property
    def feature_names(self) -> tuple[str, ...]:
        return self.features

    def in_shape(self, base: Path) -> Shape | None:
        return (len(self.features),)

    def table(self, base: Path, key: Key) -> Table:
        return bundled(self.file, self.classes)


@register("iris")
@frozen
class Iris(Measurements):
    """150 irises of three species: length and width of sepals and petals in cm. Fisher (1936)."""

    file = "iris"
    features = ("sepal_length", "sepal_width", "petal_length", "petal_width")
    classes = ("setosa", "versicolor", "virginica")


@register("wine")
@frozen
class Wine(Measurements):
    """178 wines of one region of Italy, of three cultivars: 13 chemical measurements. Aeberhard and Forina (1992)."""

    file = "wine"
    features = (
        "alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "total_phenols", "flavanoids",
        "nonflavanoid_phenols", "proanthocyanins", "color_intensity", "hue", "od280_od315_of_diluted_wines", "proline",
    )  # fmt: skip
    classes = ("cultivar_1", "cultivar_2", "cultivar_3")


NUCLEUS = (
    "radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity", "concave_points", "symmetry",
    "fractal_dimension",
)  # fmt: skip


@register("breast_cancer")
@frozen
class BreastCancer(Measurements):
    """569 breast tumours, 0 malignant, 1 benign: 10 measurements of cell nuclei. Street, Wolberg, Mangasarian (1993).

    Each measurement appears three times: its mean over the nuclei of an image, the standard error of that
    mean, and its worst, the mean of the three largest values.
    """

    file = "breast_cancer"
    features = tuple(f"{of}_{what}" for of in ("mean", "error", "worst") for what in NUCLEUS)
    classes = ("malignant", "benign")


@register("diabetes")
@frozen
class Diabetes(Measurements):
    """442 diabetes patients: 10 baseline measurements and disease progression a year later. Efron et al. (2004).

    All values are in their original units, unscaled; the target ranges from 25 to 346. The measurements are
    age in years, sex (1 or 2), body mass index, mean blood pressure, and of the blood serum: total
    cholesterol, LDL, HDL, total cholesterol / HDL, probably the log of triglycerides, and glucose.
    """

    file = "diabetes"
    features = ("age", "sex", "bmi", "bp", "tc", "ldl", "hdl", "tch", "ltg", "glu")


def penguins() -> dict[str, list[str | float | None]]:
    """344 penguins of three species on three islands, a table with missing values. Gorman, Williams, Fraser (2014).

    The columns are ``species``, ``island``, ``bill_length``, ``bill_depth`` and ``flipper_length`` in mm,
    ``body_mass`` in g, ``sex``, and the ``year`` of the measurement. None is a missing value.
    """
    text = (files("funcnet.data") / "penguins.csv").read_text(encoding="utf-8")
    header, *rows = csv.reader(text.splitlines())
    columns = dict(zip(header, zip(*rows, strict=True), strict=True))
    words = ("species", "island", "sex")
    return {
        name: [None if not value else value if name in words else float(value) for value in values]
        for name, values in columns.items()
    }
