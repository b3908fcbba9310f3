"""How rows are divided into training, validation and test parts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, NamedTuple

import numpy as np
from attrs import field

from funcnet.errors import DataError, Problem
from funcnet.key import Array, Key
from funcnet.spec import Spec, fraction, frozen, positive, register


class Parts(NamedTuple):
    """Row numbers of each part."""

    train: Array
    validation: Array
    test: Array


@register("split")
@frozen
class Split(Spec):
    """Fractions of the rows, drawn at random, that are held out; the rest is the training part.

    With ``stratify`` every class is divided in these proportions. With ``bootstrap``, that many training
    rows are drawn with replacement and the rows never drawn are the test part.
    """

    kind: ClassVar[str] = "split"

    validation: float = field(default=0.0, validator=fraction)
    test: float = field(default=0.0, validator=fraction)
    stratify: bool = False
    bootstrap: int | None = field(default=None, validator=positive)

    def validate(self) -> Iterator[Problem]:
        if self.validation + self.test >= 1.0:
            yield Problem(".test", f"must leave rows to train on, got validation {self.validation}, test {self.test}")
        if self.bootstrap is not None and (self.validation or self.test or self.stratify):
            yield Problem(".bootstrap", "is a division of its own; leave out validation, test and stratify")

    def parts(self, y: Array, key: Key) -> Parts:
        """Row numbers, a pure function of the targets and the key.

        Raises   DataError when a part comes out empty, or for stratifying targets that are not labels
        """
        rows = len(y)
        if self.bootstrap is not None:
            drawn = key.integers(rows, (self.bootstrap,))
            left = np.setdiff1d(np.arange(rows), drawn)
            if len(left) == 0:
                raise DataError(
                    f"split.bootstrap: no rows out of {rows} remain to test on; draw fewer than {len(drawn)}"
                )
            return Parts(drawn, drawn[:0], left)
        if self.stratify:
            if y.ndim != 1 or y.dtype.kind not in "iub":
                raise DataError(f"stratify: expected integer class labels, got {y.dtype} of shape {y.shape}")
            order = key.permutation(rows)
            pieces = [self._cut(order[y[order] == label]) for label in np.unique(y)]
            parts = Parts(*(np.concatenate(same) for same in zip(*pieces, strict=True)))
            parts = Parts(*(part[key.fold("mix", i).permutation(len(part))] for i, part in enumerate(parts)))
        else:
            parts = self._cut(key.permutation(rows))
        for name, part in parts._asdict().items():
            if len(part) == 0 and (name == "train" or getattr(self, name) > 0):
                raise DataError(f"split.{name}: gets no rows out of {rows}; use more data or other fractions")
        return parts

    def _cut(self, order: Array) -> Parts:
        test = round(self.test * len(order))
        validation = round(self.validation * len(order))
        return Parts(order[test + validation :], order[test : test + validation], order[:test])
