"""Augmentation: batches changed at random before each step, by pure functions of a key.

An augmentation takes a batch ``(x, y, weight)`` and a key, and returns a batch of the same shapes; the same key gives
the same batch. ``fit`` folds the step number into its key, so the draws depend on that number alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from attrs import field

from funcnet.errors import DataError, NotDefined, Problem, ShapeError
from funcnet.key import Array, Key
from funcnet.layers.limits import MAX_ENTRIES
from funcnet.shapes import shape_of
from funcnet.spec.base import Spec, register
from funcnet.spec.fields import Range, frozen, non_negative, positive

Batch = tuple[Any, Any, Array | None]
Fill = Literal["zero", "edge", "reflect", "wrap"]

probability = Range("from 0 to 1", lambda value: 0.0 <= value <= 1.0, minimum=0, maximum=1)


@frozen
class Augmentation(Spec):
    """Base of every augmentation: ``augmentation(batch, key) -> batch``, a pure function."""

    kind: ClassVar[str] = "augmentation"

    def __call__(self, batch: Batch, key: Key) -> Batch:
        """The augmented batch ``(x, y, weight)``."""
        raise NotDefined(f"{type(self).__name__} does not define __call__(batch, key)")


def augmented(steps: Sequence[Callable[[Batch, Key], Batch]], batch: Batch, key: Key) -> Batch:
    """A batch after several augmentations in turn; augmentation i draws from ``key.fold(i)``."""
    for i, step in enumerate(steps):
        batch = step(batch, key.fold(i))
    return batch


def floats(x: Any, owner: Spec, what: str = "inputs") -> Array:
    """The inputs or targets of a batch, which must be one array of floats.

    Raises   ShapeError for several arrays, DataError for integers
    """
    name = type(owner).__name__
    if not isinstance(x, np.ndarray):
        raise ShapeError(f"expected one array of {what}, got the shapes {shape_of(x)}; augment them apart", layer=name)
    if x.dtype.kind != "f":
        raise DataError(
            f"expected {what} as floats, got {x.dtype}; give floats, and scale pixels by 1 / 255", layer=name
        )
    return x


# ----- images and sequences ------------------------------------------------------------------------------------


@frozen
class Geometric(Augmentation):
    """Base of augmentations that move the entries of images (height, width, channels) or sequences (time, features).

    With ``targets`` the targets, images like the inputs, are moved in the same way.
    """

    targets: bool = field(default=False, kw_only=True)

    def moved(self, x: Array, key: Key) -> Array:
        """Inputs (batch, …, features), each sample moved independently."""
        raise NotDefined(f"{type(self).__name__} does not define moved(x, key)")

    def __call__(self, batch: Batch, key: Key) -> Batch:
        x, y, weight = batch
        x = floats(x, self)
        if self.targets:
            y = floats(y, self, "targets")
            if y.shape[:-1] != x.shape[:-1]:
                message = f"expected targets with the inputs' axes {x.shape[1:-1]}, got {y.shape[1:-1]}"
                raise ShapeError(f"{message}; leave out targets", layer=type(self).__name__)
            y = self.moved(y, key)
        return self.moved(x, key), y, weight


def spatial(x: Array, owner: Spec, axes: int | None = None) -> int:
    """The number of axes between the batch axis and the feature axis.

    Raises   ShapeError for inputs without such axes, or with a number other than ``axes``
    """
    found = x.ndim - 2
    if found < 1 or (axes is not None and found != axes):
        wanted = {
            None: "images (height, width, channels) or sequences (time, features)",
            2: "images (height, width, channels)",
        }
        what = wanted.get(axes, f"inputs of {axes} axes and features")
        advice = (
            "for plain features use Jitter or Mixup" if found < 1 else "a single channel needs an axis, of length 1"
        )
        raise ShapeError(f"expected {what}, got shape {x.shape[1:]}; {advice}", layer=type(owner).__name__)
    return found


def shifted(x: Array, axis: int, offsets: Array, fill: Fill) -> Array:
    """Sample i moved along an axis by ``offsets[i]`` places, towards its end if positive, then filled by ``fill``."""
    n = x.shape[axis]
    source = np.arange(n) - offsets[:, None]
    place = {
        "wrap": source % n,
        "reflect": (n - 1) - np.abs((n - 1) - source % max(1, 2 * (n - 1))),
    }.get(fill, np.clip(source, 0, n - 1))
    shape = (len(x), *(n if a == axis else 1 for a in range(1, x.ndim)))
    taken = np.take_along_axis(x, place.reshape(shape), axis)
    if fill == "zero":
        taken = np.where((source == place).reshape(shape), taken, np.zeros((), x.dtype))
    return taken


def offsets_of(most: int, rows: int, key: Key) -> Array:
    """A random integer from -most to most for each row."""
    return key.integers(2 * most + 1, (rows,)) - most


@register("random_crop")
@frozen
class RandomCrop(Geometric):
    """Random crops, in the old size, of images padded by ``padding`` on all sides.

    ``fill`` sets the padding: zeros, the nearest entry, or the image reflected at its edge or repeated.
    Input    (batch, height, width, channels), or (batch, time, features)
    Source   He et al. (2016), for images of 32×32 with a padding of 4
    """

    padding: int = field(validator=positive)
    fill: Fill = "zero"

    def moved(self, x: Array, key: Key) -> Array:
        for axis in range(1, 1 + spatial(x, self)):
            x = shifted(x, axis, offsets_of(self.padding, len(x), key.fold(axis)), self.fill)
        return x


@register("random_shift")
@frozen
class RandomShift(Geometric):
    """Random shifts of each sample by a whole number of places along each axis, at most ``most[i]`` along axis i.

    ``most`` has one number for each axis, or is one for all; ``fill`` sets the vacated places.
    So ``most=(0, 2)`` moves images to the left or right by up to two columns.
    Input    (batch, height, width, channels), or (batch, time, features)
    """

    most: int | tuple[int, ...] = field(validator=non_negative)
    fill: Fill = "edge"

    def moved(self, x: Array, key: Key) -> Array:
        count = spatial(x, self, None if isinstance(self.most, int) else len(self.most))
        most = (self.most,) * count if isinstance(self.most, int) else self.most
        for axis, far in enumerate(most, 1):
            x = shifted(x, axis, offsets_of(far, len(x), key.fold(axis)), self.fill) if far else x
        return x


@register("random_flip")
@frozen
class RandomFlip(Geometric):
    """Random flips of each image with a probability: horizontal, vertical, or both independently.

    Input    (batch, height, width, channels)
    """

    direction: Literal["horizontal", "vertical", "both"] = "horizontal"
    probability: float = field(default=0.5, validator=probability)

    def moved(self, x: Array, key: Key) -> Array:
        spatial(x, self, 2)
        for axis in {"horizontal": (2,), "vertical": (1,), "both": (1, 2)}[self.direction]:
            turned = key.fold(axis).uniform((len(x),)) < self.probability
            x = np.where(turned[:, None, None, None], np.flip(x, axis), x)
        return x


# ----- any features ----------------------------------------------------------------------------------------------


@register("jitter")
@frozen
class Jitter(Augmentation):
    """Normal noise with standard deviation ``deviation``, added to the scaled inputs.

    Input    (batch, …), any floats
    Source   Sietsma and Dow (1991); as a regulariser: Bishop (1995)
    """

    deviation: float = field(validator=non_negative)

    def __call__(self, batch: Batch, key: Key) -> Batch:
        x, y, weight = batch
        x = floats(x, self)
        return x + x.dtype.type(self.deviation) * key.normal(x.shape, x.dtype), y, weight


@register("mixup")
@frozen
class Mixup(Augmentation):
    """Each sample is mixed with another of its batch: ``x ← λ x + (1 - λ) x'``, targets and weights likewise.

    λ is drawn from Beta(alpha, alpha) for each sample, x' is the batch in random order. Float targets are mixed
    directly: values, probabilities, one-hot rows. Integer labels cannot be mixed; ``classes`` makes them one-hot
    rows of that many classes, and ``classes=1`` the numbers 0.0 and 1.0, for a network with one probability.
    Input    (batch, …), any floats
    Raises   DataError for labels without ``classes``, or outside them
    Source   Zhang et al. (2018), with λ per sample
    """

    alpha: float = field(default=0.2, validator=positive)
    classes: int | None = field(default=None, validator=positive)

    def validate(self) -> Iterator[Problem]:
        if self.classes is not None and self.classes > MAX_ENTRIES:
            yield Problem(".classes", f"makes targets of {self.classes} numbers; the limit is {MAX_ENTRIES}")

    def __call__(self, batch: Batch, key: Key) -> Batch:
        x, y, weight = batch
        x = floats(x, self)
        order, share = key.fold("order").permutation(len(x)), beta(self.alpha, len(x), key.fold("share"))

        def mixed(a: Array) -> Array:
            own = share.reshape(-1, *(1,) * (a.ndim - 1)).astype(a.dtype)
            return own * a + (1 - own) * a[order]

        return mixed(x), mixed(self.soft(y, x.dtype)), None if weight is None else mixed(weight.astype(np.float64))

    def soft(self, y: Any, dtype: Any) -> Array:
        """Targets as floats."""
        if not isinstance(y, np.ndarray) or y.dtype.kind == "f":
            return floats(y, self, "targets")
        if self.classes is None:
            raise DataError(
                f"expected targets as floats, got labels of {y.dtype}, which cannot be mixed; give the classes, "
                "Mixup(classes=10), or one-hot rows",
                layer="Mixup",
            )
        most = max(2, self.classes)
        if y.size and not 0 <= y.min() <= y.max() < most:
            wrong = y[(y < 0) | (y >= most)][0]
            advice = "leave out the rows whose label is ignored" if wrong < 0 else "give more classes"
            raise DataError(f"expected labels from 0 to {most - 1}, got {wrong}; {advice}", layer="Mixup")
        return y.astype(dtype) if self.classes == 1 else (y[..., None] == np.arange(self.classes)).astype(dtype)


def beta(alpha: float, count: int, key: Key) -> Array:
    """Draws from Beta(alpha, alpha): ``a / (a + b)`` of two gamma draws, in logarithms against underflow."""
    a, b = (log_gamma_draws(alpha, count, key.fold(i)) for i in (0, 1))
    share: Array = 1.0 / (1.0 + np.exp(np.clip(b - a, -700.0, 700.0)))
    return share


def log_gamma_draws(alpha: float, count: int, key: Key) -> Array:
    """Logarithms of draws from Gamma(alpha, 1), by rejection: Marsaglia and Tsang (2000)."""
    d = alpha + 1.0 - 1.0 / 3.0  # for Gamma(alpha + 1); the factor u^(1/alpha) turns it into Gamma(alpha)
    c = 1.0 / np.sqrt(9.0 * d)
    found = np.full(count, np.nan)
    attempt = 0
    while (waiting := np.isnan(found)).any():
        again = key.fold("attempt", attempt)
        z, u = again.fold("normal").normal(count), 1.0 - again.fold("uniform").uniform(count)
        v = np.maximum(1.0 + c * z, 1e-100) ** 3
        taken = waiting & (1.0 + c * z > 0.0) & (np.log(u) < 0.5 * z * z + d - d * v + d * np.log(v))
        found = np.where(taken, np.log(d * v), found)
        attempt += 1
    return found + np.log(1.0 - key.fold("factor").uniform(count)) / alpha
