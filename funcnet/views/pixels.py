"""An array of pixels as a small PNG inside a page."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence

import numpy as np

from funcnet.key import Array

MOST = 48
"""The most pixels of a side, as many as a page shows of it; larger images are thinned out"""


def is_image(shape: Sequence[int]) -> bool:
    """Whether arrays of a shape are images: (height, width), or one or three colours of these."""
    sides = tuple(shape[:2])
    return len(shape) in (2, 3) and min(sides) >= 4 and (len(shape) == 2 or shape[2] in (1, 3))


def image_html(pixels: Array, low: float, high: float, words: str) -> str:
    """An image whose values from ``low`` to ``high`` are black to white; ``words`` are plain and tell what it shows."""
    levels = np.asarray(pixels, np.float64)
    step = -(-max(levels.shape[:2]) // MOST)
    levels = np.nan_to_num(levels[::step, ::step].reshape(*levels[::step, ::step].shape[:2], -1))
    span = high - low if high > low else 1.0
    grey = np.clip((levels - low) / span * 255.0, 0.0, 255.0).astype(np.uint8)
    height, width, colours = grey.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), grey.reshape(height, -1)], axis=1)
    head = struct.pack(">IIBBBBB", width, height, 8, 2 if colours == 3 else 0, 0, 0, 0)
    parts = (("IHDR", head), ("IDAT", zlib.compress(rows.tobytes(), 9)), ("IEND", b""))
    content = b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind.encode(), data) for kind, data in parts)
    text = base64.b64encode(content).decode()
    return f'<img alt="{words}" width="{width}" height="{height}" src="data:image/png;base64,{text}">'


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
