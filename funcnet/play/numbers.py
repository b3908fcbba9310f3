"""Answers as JSON: arrays as exact numbers in base64, and pictures in one byte for each cell."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np

from funcnet.key import Array

MIDDLE = 127.0
"""The byte of 0 in a picture of values on both sides of it"""


def packed(array: Any) -> dict[str, Any]:
    """``{"type", "shape", "data"}``: every bit of an array of floats, and integers of 32 bits; little-endian."""
    array = np.asarray(array)
    kind = f"<f{max(array.dtype.itemsize, 4)}" if array.dtype.kind == "f" else "<i4"
    raw = np.ascontiguousarray(array.astype(kind)).tobytes()
    return {"type": kind[1:], "shape": list(array.shape), "data": base64.b64encode(raw).decode()}


def picture(values: Array, low: float, high: float) -> str:
    """Values as bytes in base64: 0 for ``low`` and less, 255 for ``high`` and more; NaN is 0."""
    part = np.nan_to_num((np.asarray(values, np.float64) - low) / (high - low), posinf=1.0, neginf=0.0)
    return base64.b64encode(np.round(255.0 * np.clip(part, 0.0, 1.0)).astype(np.uint8).tobytes()).decode()


def signed(values: Array, scale: float) -> str:
    """Values from -scale to scale as the bytes 0 to 254, and 0 as ``MIDDLE``."""
    part = np.nan_to_num(np.asarray(values, np.float64) / scale, posinf=1.0, neginf=-1.0)
    return base64.b64encode(np.round(MIDDLE + MIDDLE * np.clip(part, -1.0, 1.0)).astype(np.uint8).tobytes()).decode()


def encoded(answer: Any) -> bytes:
    """JSON without NaN, which a browser refuses: a number that is not finite becomes a text."""
    return json.dumps(finite(answer), allow_nan=False, separators=(",", ":")).encode()


def finite(value: Any) -> Any:
    """A copy with the texts ``nan``, ``inf`` and ``-inf`` for numbers that are not finite."""
    if isinstance(value, dict):
        return {name: finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return str(value) if isinstance(value, float) and not -1e999 < value < 1e999 else value
