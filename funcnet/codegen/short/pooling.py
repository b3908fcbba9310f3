"""The maximum of squares side by side."""

from __future__ import annotations

from typing import Any

from funcnet.codegen.short.form import Simple

MAX_POOL = '''
def pool(x, size):
    """The largest of each square of entries, and the first position that has it."""
    n, rows, columns, channels = x.shape
    squares = x.reshape(n, rows // size, size, columns // size, size, channels).swapaxes(2, 3)
    squares = squares.reshape(n, rows // size, columns // size, size * size, channels)
    return np.max(squares, axis=3), np.argmax(squares, axis=3)
'''
MAX_POOL_VJP = '''
def pool_vjp(dy, position, size):
    """dy at the position of the largest, 0 elsewhere."""
    n, rows, columns, channels = dy.shape
    squares = dy[:, :, :, None] * (position[:, :, :, None] == np.arange(size * size)[:, None])
    squares = squares.reshape(n, rows, columns, size, size, channels).swapaxes(2, 3)
    return squares.reshape(n, rows * size, columns * size, channels)
'''


def _squares(axes: Any, lengths: Any) -> int | None:
    """The side of squares side by side that cover an image; None for other windows."""
    size = axes[0][0]
    fits = len(axes) == 2 and all(
        a[:4] == (size, size, 1, 0) and a[4] * size == n for a, n in zip(axes, lengths, strict=True)
    )
    return size if fits else None


def max_pool(nodes: list[Any], args: list[str]) -> Simple | None:
    """``max_pool``."""
    size = _squares(nodes[1], nodes[0].shape[1:-1])
    return None if size is None else Simple("pool", [args[0], str(size)], MAX_POOL)


def max_pool_vjp(nodes: list[Any], args: list[str]) -> Simple | None:
    """``max_pool_vjp``."""
    size = _squares(nodes[3], nodes[2])
    return None if size is None else Simple("pool_vjp", [*args[:2], str(size)], MAX_POOL_VJP)
