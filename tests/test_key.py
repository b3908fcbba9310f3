"""Keys against their definition: BLAKE2b for folding, SFC64 for the stream, and laws of the draws.

Every number below is pinned: a key must give the same draws in every version, on every machine.
"""

import itertools
import math
import pickle
import tracemalloc
from hashlib import blake2b

import attrs
import numpy as np
import pytest

import funcnet as fn
from funcnet import FuncnetError, Key, initializers

KEY = Key(7)
SIGMAS = 5.0  # a correct draw misses one such bound with a probability of 6e-7; the keys are fixed
MASK = 2**64 - 1


def sfc64(digest, count):
    """Doty-Humphrey's generator in Python integers: state (a, b, c), a counter, twelve rounds of warm-up."""
    a, b, c = (int.from_bytes(digest[i : i + 8], "little") for i in (0, 8, 16))
    words = []
    for counter in range(1, count + 13):
        word = (a + b + counter) & MASK
        a, b = b ^ (b >> 11), (c + (c << 3)) & MASK
        c = (((c << 24) & MASK | c >> 40) + word) & MASK
        words.append(word)
    return words[12:]


# ----- folding


@pytest.mark.parametrize(
    ("key", "digest"),
    [
        (Key(7), "ec4c651cf39a6fcd552fde3b4ae26e48bb652cddaec3c154"),
        (Key(-1), "a0ac80b7b097f46ba69eeec98e00d072d32a834a83492251"),
        (Key(7).fold("dense_0", "weight"), "4fb76a34ee6ac4010cd6d62fbcc2b26cdf66600e99294a34"),
        (Key(7).fold("step", 12), "0065ab3ef1958fd8d9df7efcb5f4298d43aaf490a105fe39"),
    ],
)
def test_digests_never_change(key, digest):
    assert key.digest.hex() == digest


def test_folding_is_keyed_blake2b_of_typed_words():
    def once(digest, word):
        return blake2b(word, digest_size=24, key=digest).digest()

    start = blake2b(b"funcneti7:", digest_size=24).digest()
    assert Key(7).digest == start
    assert Key(7).fold("step", -12, "é").digest == once(once(once(start, b"s4:step"), b"i-12:"), b"s2:\xc3\xa9")


@pytest.mark.parametrize("words", [("a",), ("a", "b"), ("step", 12, "shard", 0), (0, 1, 2)])
def test_words_fold_one_by_one_as_together(words):
    key = KEY
    for word in words:
        key = key.fold(word)
    assert key == KEY.fold(*words)


def test_folding_by_nothing_changes_nothing():
    assert KEY.fold() == KEY


def test_different_words_give_different_keys():
    paths = [
        (),
        ("1",),
        (1,),
        (-1,),
        ("-1",),
        (0,),
        ("",),
        ("", ""),
        ("ab", "c"),
        ("a", "bc"),
        ("abc",),
        ("a", "b", "c"),
        ("s1:a",),
        ("i1:",),
        (11,),
        (1, 1),
        ("11",),
        ("1", "1"),
        (2**32,),
        (2**64,),
        (0, 1),
        (1, 0),
    ]
    assert len({KEY.fold(*path).digest for path in paths}) == len(paths)
    assert len({Key(seed) for seed in (*range(-50, 50), 2**31, 2**32, 2**64)}) == 103


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int32, np.int64, np.uint64])
def test_numpy_integers_are_integers_of_any_width(kind):
    assert KEY.fold(kind(12)) == KEY.fold(12)
    assert Key(kind(7)) == Key(7)


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        (True, "True"),
        (False, "False"),
        (np.True_, "np.True_"),
        (1.5, "1.5"),
        (1.0, "1.0"),
        (np.float64(2), "np.float64(2.0)"),
        (None, "None"),
        (b"a", "b'a'"),
        (("a", "b"), "('a', 'b')"),
    ],
)
def test_other_words_are_refused(word, shown):
    with pytest.raises(FuncnetError) as caught:
        KEY.fold("a", word)
    assert str(caught.value) == f"expected a string or an integer to fold into a key, got {shown}"


@pytest.mark.parametrize("seed", [True, 1.5, None])
def test_other_seeds_are_refused(seed):
    with pytest.raises(FuncnetError) as caught:
        Key(seed)
    assert str(caught.value) == f"expected a string or an integer to fold into a key, got {seed}"


def test_a_digest_makes_the_key_again():
    key = KEY.fold("a")
    assert Key(key.digest) == key
    with pytest.raises(FuncnetError) as caught:
        Key(b"short")
    assert str(caught.value) == "expected a key digest of 24 bytes, got 5"


# ----- values


def test_a_key_is_a_value():
    same, other = Key(7), Key(8)
    assert same == KEY
    assert hash(KEY) == hash(same)
    assert other != KEY
    assert {KEY: 1}[same] == 1
    assert pickle.loads(pickle.dumps(KEY.fold("a"))) == KEY.fold("a")
    assert repr(KEY) == f"Key(digest={KEY.digest.hex()})"


def test_a_key_never_changes():
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        KEY.digest = b"x" * 24
    before = KEY.digest
    KEY.fold("a"), KEY.normal(3), KEY.permutation(3)
    assert KEY.digest == before


def test_contexts_fold_by_the_name_of_the_child():
    ctx = fn.Context(train=True, key=KEY)
    assert ctx.child("head") == fn.Context(True, KEY.fold("head"))
    assert ctx.child("") is ctx
    assert fn.EVAL.child("head") is fn.EVAL


# ----- draws


def test_bits_are_the_words_of_sfc64():
    expected = sfc64(KEY.digest, 1000)
    assert expected[:4] == [0xFED0188EC287AC0B, 0xD9D88D9552C02442, 0xA8A4C32D938A2C4D, 0x209F4BB4B7FED712]
    assert KEY.bits(1000).tolist() == expected


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_narrow_bits_are_pieces_of_the_same_words(dtype):
    words = np.array(sfc64(KEY.digest, 16), "<u8")
    count = 16 * 8 // np.dtype(dtype).itemsize
    np.testing.assert_array_equal(KEY.bits(count, dtype), words.view(np.dtype(dtype).newbyteorder("<")))


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (np.uint8, [11, 172, 135, 194, 142]),
        (np.uint16, [44043, 49799, 6286, 65232, 9282]),
        (np.uint32, [3263671307, 4275050638, 1388323906, 3654847893, 2475306061]),
    ],
)
def test_bits_never_change(dtype, expected):
    assert KEY.bits(5, dtype).tolist() == expected


def test_uniform_never_changes():
    assert KEY.uniform(4).tolist() == [0.9953627918753499, 0.8509605874594404, 0.6587640749235467, 0.12743065988615432]
    assert KEY.uniform(4, np.float32).tolist() == [
        0.9953628182411194,
        0.8509606122970581,
        0.6587640643119812,
        0.12743066251277924,
    ]
    assert KEY.uniform(3, low=-2.0, high=3.0).tolist() == [2.9768139593767495, 2.2548029372972014, 1.2938203746177335]


def test_uniform_is_the_high_bits_as_a_fraction():
    words = sfc64(KEY.digest, 100)
    assert KEY.uniform(100).tolist() == [(word >> 11) / 2**53 for word in words]
    rounded = np.array([(word >> 11) / 2**53 for word in words], np.float32)
    np.testing.assert_array_equal(KEY.uniform(100, np.float32), rounded)


def test_permutation_and_integers_never_change():
    assert KEY.permutation(10).tolist() == [4, 3, 6, 9, 7, 2, 8, 1, 5, 0]
    assert KEY.integers(10, 8).tolist() == [9, 8, 6, 1, 0, 9, 4, 4]


def test_normal_never_changes():
    expected = [2.2824400732293406, 1.5801631019094053, 1.2037590734247001, 2.353243058916157, 1.1446281317539333]
    np.testing.assert_allclose(KEY.normal(5), expected, rtol=1e-12)


def test_normal_is_the_transform_of_box_and_muller():
    units = [(word >> 11) / 2**53 for word in sfc64(KEY.digest, 12)]
    pairs = list(zip(units[:6], units[6:], strict=True))
    cosines = [math.sqrt(-2.0 * math.log1p(-u)) * math.cos(2.0 * math.pi * v) for u, v in pairs]
    sines = [math.sqrt(-2.0 * math.log1p(-u)) * math.sin(2.0 * math.pi * v) for u, v in pairs]
    np.testing.assert_allclose(KEY.normal(12), cosines + sines, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(KEY.normal((1, 11)), [(cosines + sines)[:11]], rtol=1e-12, atol=1e-15)


SHAPES = [((), ()), (0, (0,)), (3, (3,)), ((0,), (0,)), ((2, 3), (2, 3)), ((2, 0, 3), (2, 0, 3)), ((1, 1), (1, 1))]
DRAWS = {
    **{f"bits-{dtype}": (lambda shape, dtype=dtype: KEY.bits(shape, dtype), dtype) for dtype in ("u1", "u2", "u4")},
    "bits": (KEY.bits, "u8"),
    "uniform": (KEY.uniform, "f8"),
    "uniform-f4": (lambda shape: KEY.uniform(shape, np.float32), "f4"),
    "uniform-f4-range": (lambda shape: KEY.uniform(shape, np.float32, -2.0, 5.0), "f4"),
    "normal": (KEY.normal, "f8"),
    "normal-f4": (lambda shape: KEY.normal(shape, np.float32), "f4"),
    "integers": (lambda shape: KEY.integers(9, shape), "i8"),
}


@pytest.mark.parametrize(("draw", "dtype"), DRAWS.values(), ids=DRAWS)
@pytest.mark.parametrize(("shape", "expected"), SHAPES, ids=str)
def test_shape_and_dtype_of_draws(draw, dtype, shape, expected):
    drawn = draw(shape)
    assert isinstance(drawn, np.ndarray)
    assert (drawn.shape, drawn.dtype) == (expected, np.dtype(dtype))


def test_shape_defaults_to_one_number():
    assert [d.shape for d in (KEY.bits(), KEY.uniform(), KEY.normal(), KEY.integers(5))] == [(), (), (), ()]


@pytest.mark.parametrize(("draw", "dtype"), DRAWS.values(), ids=DRAWS)
def test_draws_repeat_and_differ_between_keys(draw, dtype):
    first = draw((40,))
    np.testing.assert_array_equal(draw((40,)), first)
    np.testing.assert_array_equal(draw((5, 8)).ravel(), first)
    assert first.flags.writeable or first.base is None


def test_draws_of_folded_keys_are_uncorrelated():
    n = 20_000
    keys = [KEY, KEY.fold("a"), KEY.fold("b"), KEY.fold("a", "b"), KEY.fold(0), KEY.fold(1), Key(8)]
    for first, second in itertools.combinations([key.normal(n) for key in keys], 2):
        assert abs(np.mean(first * second)) < SIGMAS / math.sqrt(n)


def test_numpy_integers_count_and_shape_draws():
    n = np.int64(5)
    np.testing.assert_array_equal(KEY.permutation(n), KEY.permutation(5))
    np.testing.assert_array_equal(KEY.normal(n), KEY.normal(5))
    np.testing.assert_array_equal(KEY.uniform((n, 2)), KEY.uniform((5, 2)))


# ----- laws of the draws


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_moments_of_uniform(dtype):
    n, low, high = 100_000, -2.0, 3.0
    unit = KEY.uniform(n, dtype).astype(np.float64)
    assert unit.min() >= 0.0
    assert unit.max() < 1.0
    moments = [np.mean(unit**k) for k in range(1, 5)]
    for k, moment in enumerate(moments, 1):  # E u^k = 1/(k+1)
        variance = 1 / (2 * k + 1) - 1 / (k + 1) ** 2
        assert abs(moment - 1 / (k + 1)) < SIGMAS * math.sqrt(variance / n)
    spread = KEY.uniform(n, dtype, low, high).astype(np.float64)
    np.testing.assert_allclose(spread, low + (high - low) * unit, atol=1e-6)


@pytest.mark.parametrize("n", [100_000, 99_999])
def test_moments_of_normal(n):
    draws = KEY.normal(n)
    for k, (mean, square) in {1: (0, 1), 2: (1, 3), 3: (0, 15), 4: (3, 105), 6: (15, 10395)}.items():
        assert abs(np.mean(draws**k) - mean) < SIGMAS * math.sqrt((square - mean**2) / n)
    half = n // 2  # the two halves come of the same pairs of uniforms
    assert abs(np.mean(draws[:half] * draws[-half:])) < SIGMAS / math.sqrt(half)
    assert abs(np.mean((draws[:half] ** 2 - 1) * (draws[-half:] ** 2 - 1))) < SIGMAS * 2 / math.sqrt(half)
    within = np.mean(np.abs(draws) < 1.0)
    share = math.erf(math.sqrt(0.5))
    assert abs(within - share) < SIGMAS * math.sqrt(share * (1 - share) / n)


def test_every_bit_is_set_half_the_time():
    n = 40_000
    words = KEY.bits(n)
    for bit in range(64):
        assert abs(np.mean((words >> np.uint64(bit)) & np.uint64(1)) - 0.5) < SIGMAS * 0.5 / math.sqrt(n)


@pytest.mark.parametrize("n", [0, 1, 2, 10, 1000])
def test_a_permutation_is_one(n):
    order = KEY.permutation(n)
    assert order.dtype.kind == "i"
    assert sorted(order.tolist()) == list(range(n))


def test_every_permutation_is_as_likely():
    n = 6000
    counts = dict.fromkeys(itertools.permutations(range(3)), 0)
    for i in range(n):
        counts[tuple(KEY.fold(i).permutation(3).tolist())] += 1
    for count in counts.values():
        assert abs(count - n / 6) < SIGMAS * math.sqrt(n * (1 / 6) * (5 / 6))


def test_every_integer_is_as_likely():
    n, high = 60_000, 6
    counts = np.bincount(KEY.integers(high, n), minlength=high)
    assert len(counts) == high
    assert np.all(np.abs(counts - n / high) < SIGMAS * math.sqrt(n / high * (1 - 1 / high)))
    assert not KEY.integers(1, 100).any()


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [(np.float32, 1000.0, 1001.0), (np.float64, 2.0**40, 2.0**40 + 1.0), (np.float16, 0.0, 1.0)],
)
def test_uniform_stays_below_its_upper_end(dtype, low, high):
    """Rounding must not carry the largest draws onto ``high``: the interval is half open."""
    draws = KEY.uniform(1_000_000, dtype, low, high)
    assert draws.min() >= low
    assert draws.max() < high


# ----- large draws


@pytest.mark.parametrize("count", [2**16 - 1, 2**16, 2**16 + 1, 300_001])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_draws_are_those_of_the_whole_stream(count, dtype):
    """In blocks, the numbers are the formulas' of all bits at once."""
    unit = (KEY.bits(count) >> np.uint64(11)) * 2.0**-53
    floats = (-0.3 + 1.0 * unit).astype(dtype)
    np.testing.assert_array_equal(
        KEY.uniform((count,), dtype, -0.3, 0.7), np.minimum(floats, np.nextafter(dtype(0.7), dtype(0)))
    )
    half = -(-count // 2)
    bits = (KEY.bits(2 * half) >> np.uint64(11)) * 2.0**-53
    u, v = bits[:half], bits[half:]
    radius, angle = np.sqrt(-2.0 * np.log1p(-u)), 2.0 * np.pi * v
    whole = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count].astype(dtype)
    np.testing.assert_array_equal(KEY.normal((count,), dtype), whole)


@pytest.mark.parametrize(
    ("draw", "most"),
    [
        (lambda: KEY.normal((2**21,), np.float32), 1.3),
        (lambda: KEY.uniform((2**21,), np.float32), 1.3),
        (lambda: initializers.GlorotUniform()(KEY, (2**11, 2**10)), 1.3),
        (lambda: initializers.HeNormal()(KEY, (2**11, 2**10)), 1.3),
        (lambda: initializers.Normal(0.1, 1.0)(KEY, (2**11, 2**10)), 1.3),
    ],
)
def test_large_draws_need_the_memory_of_their_result(draw, most):
    draw()
    tracemalloc.start()
    try:
        size = draw().nbytes
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < most * size


@pytest.mark.parametrize("n", [0, 1, 2, 3, 1000, 2**16 + 1])
def test_a_permutation_is_the_order_of_the_bits(n):
    np.testing.assert_array_equal(KEY.permutation(n), np.argsort(KEY.bits(n), kind="stable"))


@pytest.mark.parametrize("words", [[7, 5, 7, 6], [2**63 + 3, 2**63, 2**63 + 1, 0], [5, 5, 5]])
def test_a_permutation_of_words_that_are_alike_is_stable(monkeypatch, words):
    monkeypatch.setattr(Key, "bits", lambda self, n: np.array(words, np.uint64))
    np.testing.assert_array_equal(KEY.permutation(len(words)), np.argsort(np.array(words, np.uint64), kind="stable"))
