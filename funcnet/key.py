"""Randomness as a value: immutable keys, folded by path and step, never split in sequence."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from functools import cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import numpy.typing as npt

from funcnet.errors import FuncnetError
from funcnet.hints import no_attribute
from funcnet.originals import Replaceable

Array = npt.NDArray[Any]
Word = str | int
_DIGEST = 24  # bytes: three 64-bit words, the whole state of an SFC64 generator
_BLOCK = 2**15  # draws at once, so that their float64 stages stay in cache and need no memory of the result's size


def _encode(word: Word) -> bytes:
    """Unique bytes for a word: a letter for the type, the length, the content."""
    if isinstance(word, str):
        text = word.encode()
        return b"s%d:%b" % (len(text), text)
    if isinstance(word, bool | np.bool_) or not hasattr(word, "__index__"):
        raise FuncnetError(f"expected a string or an integer to fold into a key, got {word!r}")
    return b"i%d:" % operator.index(word)


def _digest(seed: int | bytes) -> bytes:
    if isinstance(seed, bytes):
        if len(seed) != _DIGEST:
            raise FuncnetError(f"expected a key digest of {_DIGEST} bytes, got {len(seed)}")
        return seed
    return blake2b(b"funcnet" + _encode(seed), digest_size=_DIGEST).digest()


@attrs.frozen
class Key(metaclass=Replaceable):
    """A source of random numbers as a value: the same key always gives the same draws.

    ``Key(7)`` starts from an integer (or from the ``digest`` of another key). ``fold`` derives an
    independent key from words, so every layer, epoch and step has its own key without a counter:
    ``key.fold("dense_0", "weight")``, ``key.fold("step", 12)``. Folding words one by one or
    together gives the same key.

    Source   BLAKE2b (RFC 7693) for folding; SFC64 (Doty-Humphrey, PractRand) for the stream.
             Draws are computed from NumPy's raw integer stream, the only part of its random
             module that stays the same across versions.

    >>> key = fn.Key(7)
    >>> key.fold("dense_0", "weight") == key.fold("dense_0").fold("weight")
    True
    >>> bool((key.normal((2, 3)) == fn.Key(7).normal((2, 3))).all())
    True
    """

    digest: bytes = attrs.field(converter=_digest, repr=lambda digest: digest.hex())

    if not TYPE_CHECKING:
        __getattr__ = no_attribute("Key")

    def fold(self, *words: Word) -> Key:
        """The key at a path below this one; words are strings or integers."""
        digest = self.digest
        for word in words:
            digest = blake2b(_encode(word), digest_size=_DIGEST, key=digest).digest()
        return Key(digest)

    def bits(self, shape: int | tuple[int, ...] = (), dtype: npt.DTypeLike = np.uint64) -> Array:
        """Uniform unsigned integers of any width, uint8 to uint64."""
        dtype, shape = _dtype(dtype), _shape(shape)
        count = math.prod(shape)
        words = _stream(self.digest).random_raw(-(-count * dtype.itemsize // 8))
        return words.view(dtype)[:count].reshape(shape)

    def uniform(
        self,
        shape: int | tuple[int, ...] = (),
        dtype: npt.DTypeLike = np.float64,
        low: float = 0.0,
        high: float = 1.0,
    ) -> Array:
        """Uniform floats in [low, high): the same numbers in every dtype, up to rounding."""
        floats, stream = np.empty(_shape(shape), _dtype(dtype)), _stream(self.digest)
        below, flat = np.nextafter(floats.dtype.type(high), floats.dtype.type(low)), floats.reshape(-1)
        for start in range(0, flat.size, _BLOCK):
            part = flat[start : start + _BLOCK]
            part[...] = low + (high - low) * _unit(stream, part.size)
            np.minimum(part, below, out=part)
        return floats

    def normal(self, shape: int | tuple[int, ...] = (), dtype: npt.DTypeLike = np.float64) -> Array:
        """Standard normal floats, by the Box-Muller transform (1958) in float64."""
        floats = np.empty(_shape(shape), _dtype(dtype))
        stream = Normals(self, floats.size)
        for start, *parts in stream.blocks(floats.reshape(-1)):
            for part, drawn in zip(parts, stream.block(start), strict=True):
                part[...] = drawn[: part.size]
        return floats

    def permutation(self, n: int) -> Array:
        """The integers 0 … n-1 in random order."""
        words = self.bits(n)
        low = np.uint64(max(words.size - 1, 1).bit_length())
        packed = words >> low << low  # with the position in place of the low bits, so that a sort of numbers is enough
        packed |= np.arange(words.size, dtype=np.uint64)
        packed.sort()
        high = packed >> low
        if np.any(high[1:] == high[:-1]):  # the low bits, and after them the positions, decide
            return np.argsort(words, kind="stable")
        return (packed & ((np.uint64(1) << low) - np.uint64(1))).astype(np.intp)

    def integers(self, high: int, shape: int | tuple[int, ...] = ()) -> Array:
        """Integers in 0 … high-1, drawn with replacement."""
        return np.asarray(self.uniform(shape) * high).astype(np.int64)


class Normals:
    """The ``count`` standard normal floats of a key, block by block; the memory of a block is all that they need."""

    def __init__(self, key: Key, count: int) -> None:
        self.half, self.drawn = -(-count // 2), 0
        self.u = self.v = _stream(key.digest)
        if self.half > _BLOCK:  # the second half of the stream, from another stream that skips the first
            self.v = _stream(key.digest)
            self.v.random_raw(self.half, output=False)

    def blocks(self, flat: Array) -> Iterator[tuple[int, Array, Array]]:
        """The start of each block, and the two parts of a vector that its draws fill; the second may be one shorter."""
        for start in range(0, self.half, _BLOCK):
            cosines, sines = (flat[at : at + min(_BLOCK, self.half - start)] for at in (start, self.half + start))
            yield start, cosines, sines

    def block(self, start: int) -> tuple[Array, Array]:
        """The draws of a block by the Box-Muller transform, after those of earlier blocks or instead of them."""
        size = min(_BLOCK, self.half - start)
        for stream in (self.u, self.v) if start > self.drawn else ():
            stream.random_raw(start - self.drawn, output=False)
        self.drawn = start + size
        radius = np.sqrt(-2.0 * np.log1p(-_unit(self.u, size)))
        angle = 2.0 * np.pi * _unit(self.v, size)
        return radius * np.cos(angle), radius * np.sin(angle)


def _dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    try:
        return np.dtype(dtype)
    except TypeError:
        message = f"expected a dtype, such as np.float32, got {dtype!r:.60}; several lengths are a tuple: shape=(3, 4)"
        raise FuncnetError(message) from None


def _shape(shape: int | tuple[int, ...]) -> tuple[int, ...]:
    try:
        found = tuple(map(operator.index, shape if isinstance(shape, tuple | list) else (shape,)))
    except TypeError:
        raise FuncnetError(f"expected a shape, such as (3, 2), or a number of draws, got {shape!r:.60}") from None
    if any(n < 0 for n in found):
        raise FuncnetError(f"expected a shape of lengths of 0 or more, got {found}")
    return found


@cache
def _seed_class() -> tuple[type, type]:
    """SFC64 and a seed sequence that passes a digest to it unchanged; created on the first draw."""
    from numpy.random import SFC64
    from numpy.random.bit_generator import ISeedSequence

    class Digest(ISeedSequence):  # 1.4 µs per stream; NumPy's SeedSequence takes 9
        def __init__(self, digest: bytes) -> None:
            self.words = np.frombuffer(digest, "<u8").astype(np.uint64)

        def generate_state(self, n_words: int, dtype: Any = np.uint32) -> Array:
            return self.words

    return SFC64, Digest


def _stream(digest: bytes) -> Any:
    sfc64, seed = _seed_class()
    return sfc64(seed(digest))


def _unit(stream: Any, count: int) -> Array:
    """The next floats of a stream, uniform in [0, 1)."""
    return (stream.random_raw(count) >> np.uint64(11)).astype(np.float64) * 2.0**-53
