"""Images of rings and of other coloured shapes, to classify; drawn from a key."""

from __future__ import annotations

import numpy as np

from funcnet.key import Array, Key

SIDE = 64
CLASSES = ("non-ring", "ring")


def pictures(key: Key, count: int) -> tuple[Array, Array]:
    """Images (count, 64, 64, 3) uint8 and labels (count,): 1 for a ring, 0 for a disc, triangle, square or cross.

    Half of them, in random order, are rings. A shape is lighter than its background as often as darker, so both
    classes have the same mean image, a uniform grey, and a logistic regression has nothing to go by. The middle of a
    ring looks like its background: whether two places are alike is not a weighted sum of pixels, but a layer of ReLUs
    can compute it.
    """
    labels = key.fold("labels").permutation(count) % 2
    return np.stack([picture(key.fold("image", i), bool(label)) for i, label in enumerate(labels)]), labels


def picture(key: Key, ring: bool) -> Array:
    """One image (64, 64, 3) uint8: a shape near the middle with random size, rotation, colours, light and grain."""
    side = np.arange(SIDE) - (SIDE - 1) / 2
    down, across = np.meshgrid(side, side, indexing="ij")
    x0, y0 = key.fold("place").uniform(2, low=-3.0, high=3.0)
    radius = float(key.fold("radius").uniform(low=20.0, high=28.0))
    angle = key.fold("turn").uniform(high=2.0 * np.pi)
    c, s, x, y = np.cos(angle), np.sin(angle), across - x0, down - y0
    solid = (_disc, _triangle, _square, _cross)[int(key.fold("solid").integers(4))]
    outside = (_ring if ring else solid)(c * x + s * y, c * y - s * x, radius)
    cover = np.clip(0.5 - outside, 0.0, 1.0)[:, :, None]  # the outline covers its pixels only partly
    contrast = key.fold("contrast").uniform(low=0.3, high=0.5) * (1.0 if key.fold("lighter").bits() & 1 else -1.0)
    tints = key.fold("tint").uniform((2, 3), low=-0.15, high=0.15)
    ground, paint = 0.5 - contrast / 2.0 + tints[0], 0.5 + contrast / 2.0 + tints[1]
    slope = key.fold("light").uniform(2, low=-0.1, high=0.1) / SIDE
    light = (slope[0] * across + slope[1] * down)[:, :, None]
    grain = 0.2 * (key.fold("grain").bits((SIDE, SIDE, 3), np.uint8) / 255.0 - 0.5)
    image = ground + (paint - ground) * cover + light + grain
    return np.round(255.0 * np.clip(image, 0.0, 1.0)).astype(np.uint8)


# ----- how far a point is from an outline, in pixels, negative inside ----------------------------------------


def _disc(x: Array, y: Array, radius: float) -> Array:
    return np.hypot(x, y) - radius


def _ring(x: Array, y: Array, radius: float) -> Array:
    return np.abs(np.hypot(x, y) - 0.78 * radius) - 0.22 * radius


def _polygon(x: Array, y: Array, radius: float, corners: int) -> Array:
    angles = 2.0 * np.pi * np.arange(corners) / corners
    sides = [np.cos(angle) * x + np.sin(angle) * y for angle in angles]
    return np.asarray(np.max(sides, axis=0) - radius * np.cos(np.pi / corners))


def _triangle(x: Array, y: Array, radius: float) -> Array:
    return _polygon(x, y, radius, 3)


def _square(x: Array, y: Array, radius: float) -> Array:
    return _polygon(x, y, radius, 4)


def _cross(x: Array, y: Array, radius: float) -> Array:
    x, y, width = np.abs(x), np.abs(y), 0.4 * radius
    return np.minimum(np.maximum(x - radius, y - width), np.maximum(x - width, y - radius))
