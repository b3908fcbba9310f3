"""Initializers against their formulas: bounds, moments, whole distributions, orthogonality, determinism.

Keys are fixed, so nothing here is random. Statistical tolerances are five standard errors: a correct
initializer would miss one with a probability of 6e-7.
"""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

import funcnet as fn
from funcnet import initializers
from funcnet.initializers import Initializer, fans

Array = npt.NDArray[np.float64]
Shape = tuple[int, ...]

KEY = fn.Key(20)
SIGMAS = 5.0
TAIL = math.erfc(SIGMAS / math.sqrt(2.0))

# As torch.nn.init counts them for the same weights in its own layout, (out, in, *window)
FANS: dict[Shape, tuple[int, int]] = {
    (300, 100): (300, 100),
    (100, 300): (100, 300),
    (5, 40, 60): (200, 300),
    (3, 3, 32, 64): (288, 576),
    (2, 3, 4, 6, 96): (144, 2304),
}

# Name to the standard deviation for given fans: those of xavier_* and kaiming_* of torch.nn.init, the
# latter with nonlinearity "relu" and, for LeCun's, "linear"
SCALED: dict[str, tuple[Initializer, Callable[[int, int], float]]] = {
    "glorot_uniform": (initializers.GlorotUniform(), lambda fan_in, fan_out: math.sqrt(2.0 / (fan_in + fan_out))),
    "glorot_normal": (initializers.GlorotNormal(), lambda fan_in, fan_out: math.sqrt(2.0 / (fan_in + fan_out))),
    "he_uniform": (initializers.HeUniform(), lambda fan_in, fan_out: math.sqrt(2.0 / fan_in)),
    "he_normal": (initializers.HeNormal(), lambda fan_in, fan_out: math.sqrt(2.0 / fan_in)),
    "lecun_uniform": (initializers.LecunUniform(), lambda fan_in, fan_out: math.sqrt(1.0 / fan_in)),
    "lecun_normal": (initializers.LecunNormal(), lambda fan_in, fan_out: math.sqrt(1.0 / fan_in)),
}
EVERY: dict[str, Initializer] = {
    **{name: initializer for name, (initializer, _) in SCALED.items()},
    "zeros": initializers.Zeros(),
    "ones": initializers.Ones(),
    "constant": initializers.Constant(0.3),
    "normal": initializers.Normal(std=0.3, mean=2.0),
    "uniform": initializers.Uniform(low=-0.5, high=1.5),
    "truncated_normal": initializers.TruncatedNormal(std=0.3),
    "orthogonal": initializers.Orthogonal(),
}
RANDOM = sorted(EVERY.keys() - {"zeros", "ones", "constant"})

# The law of (draw - mean) / std: its fourth moment, which sets the standard error of a variance, and
# its distribution function
_gauss = np.vectorize(lambda z: 0.5 * math.erfc(-z / math.sqrt(2.0)), otypes=[float])
LAWS: dict[str, tuple[float, Callable[[Array], Array]]] = {
    "normal": (3.0, _gauss),
    "uniform": (9.0 / 5.0, lambda z: np.clip(0.5 + z / math.sqrt(12.0), 0.0, 1.0)),
}


def assert_drawn_from(draws: Array, law: str, mean: float, std: float) -> None:
    """The draws have the law's mean, variance and distribution function."""
    fourth_moment, distribution = LAWS[law]
    z = np.sort((draws.astype(np.float64).ravel() - mean) / std)
    n = z.size
    assert abs(np.mean(z)) < SIGMAS / math.sqrt(n)
    assert abs(np.mean(z * z) - 1.0) < SIGMAS * math.sqrt((fourth_moment - 1.0) / n)
    # Kolmogorov's distance d exceeds this with probability 2 exp(-2 n d²) = TAIL
    expected = distribution(z)
    distance = max(np.max(np.arange(1, n + 1) / n - expected), np.max(expected - np.arange(n) / n))
    assert distance < math.sqrt(math.log(2.0 / TAIL) / (2.0 * n))


@pytest.mark.parametrize("shape", FANS, ids=str)
def test_fans_of_weights_count_the_window(shape: Shape) -> None:
    assert fans(shape) == FANS[shape]


@pytest.mark.parametrize(("shape", "expected"), [((), (1, 1)), ((7,), (7, 7))], ids=str)
def test_fans_of_scalars_and_vectors_are_their_length(shape: Shape, expected: tuple[int, int]) -> None:
    assert fans(shape) == expected


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", FANS, ids=str)
@pytest.mark.parametrize("name", SCALED)
def test_scaled_initializers_have_the_variance_of_their_fans(name: str, shape: Shape, dtype: type) -> None:
    initializer, std = SCALED[name]
    draws = initializer(KEY, shape, dtype)
    assert_drawn_from(draws, name.rpartition("_")[2], 0.0, std(*FANS[shape]))


@pytest.mark.parametrize("shape", FANS, ids=str)
@pytest.mark.parametrize("name", [name for name in SCALED if name.endswith("uniform")])
def test_scaled_uniform_fills_its_bounds(name: str, shape: Shape) -> None:
    """The bound is √3 standard deviations; n draws in [0, 1) all stay below 1 - c/n with probability exp(-c)."""
    initializer, std = SCALED[name]
    bound = math.sqrt(3.0) * std(*FANS[shape])
    draws = initializer(KEY, shape, np.float64)
    near = bound * (1.0 + 2.0 * math.log(TAIL) / draws.size)  # each side has half of the draws
    assert near < np.max(draws) <= bound
    assert near < np.max(-draws) <= bound


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_normal_has_its_mean_and_deviation(dtype: type) -> None:
    assert_drawn_from(initializers.Normal(std=0.3, mean=2.0)(KEY, (200, 101), dtype), "normal", 2.0, 0.3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_uniform_has_its_bounds(dtype: type) -> None:
    draws = initializers.Uniform(low=-0.5, high=1.5)(KEY, (200, 101), dtype)
    assert_drawn_from(draws, "uniform", 0.5, 2.0 / math.sqrt(12.0))
    assert -0.5 <= np.min(draws) < -0.49
    assert 1.49 < np.max(draws) < 1.5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_truncated_normal_is_the_normal_within_two_deviations(dtype: type) -> None:
    std, n = 0.3, 20_001
    inside, density = math.erf(math.sqrt(2.0)), math.exp(-2.0) / math.sqrt(2.0 * math.pi)
    # moments of z given |z| <= a, by parts: E z^k = (k - 1) E z^(k-2) - 2 a^(k-1) density(a) / inside
    variance = 1.0 - 2.0 * 2.0 * density / inside
    fourth = 3.0 * variance - 2.0 * 2.0**3 * density / inside
    assert math.sqrt(variance) == pytest.approx(0.87962566, abs=1e-8)

    z = np.sort(initializers.TruncatedNormal(std=std)(KEY, (n,), dtype).astype(np.float64) / std)
    assert np.max(np.abs(z)) <= 2.0 + 4.0 * np.finfo(dtype).eps
    assert np.unique(z[np.abs(z) > 1.99]).size == np.sum(np.abs(z) > 1.99) > 0, "redrawn, not clipped"
    assert abs(np.mean(z)) < SIGMAS * math.sqrt(variance / n)
    assert abs(np.mean(z * z) - variance) < SIGMAS * math.sqrt((fourth - variance**2) / n)
    expected = (_gauss(z) - _gauss(np.array(-2.0))) / inside
    assert np.max(np.abs(expected - (np.arange(n) + 0.5) / n)) < math.sqrt(math.log(2.0 / TAIL) / (2.0 * n))


@pytest.mark.parametrize("n", [0, 1, 2**16 - 1, 2**16 + 1, 150_001])
def test_truncated_normal_in_blocks_is_that_of_all_draws_at_once(n: int) -> None:
    draws = KEY.normal(n)
    for attempt in range(1, 20):
        np.copyto(draws, KEY.fold(attempt).normal(n), where=np.abs(draws) > 2.0)
    tracemalloc.start()
    found = initializers.TruncatedNormal(std=0.3)(KEY, (n,))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(found, (0.3 * draws).astype(np.float32))
    assert most < 2**23  # however many they are


@pytest.mark.parametrize(("dtype", "atol"), [(np.float32, 1e-6), (np.float64, 1e-13)])
@pytest.mark.parametrize("shape", [(8, 8), (12, 5), (5, 12), (3, 3, 2, 7), (2, 2, 20), (1, 6), (6, 1), (9,)], ids=str)
def test_orthogonal_has_orthonormal_rows_or_columns(shape: Shape, dtype: type, atol: float) -> None:
    for gain in (1.0, 0.5):
        weight = initializers.Orthogonal(gain=gain)(KEY, shape, dtype)
        assert weight.shape == shape
        matrix = weight.reshape(-1, shape[-1] if len(shape) > 1 else 1).astype(np.float64)
        product = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
        np.testing.assert_allclose(product, gain**2 * np.eye(len(product)), rtol=0.0, atol=atol)


def test_orthogonal_is_uniform_over_rotations_and_reflections() -> None:
    """Trace and determinant then have mean 0 and variance 1; a QR with the signs left as they come has not."""
    n = 1000
    draws = np.stack([initializers.Orthogonal()(KEY.fold(i), (4, 4), np.float64) for i in range(n)])
    for statistic in (np.trace(draws, axis1=1, axis2=2), np.linalg.det(draws)):
        assert abs(np.mean(statistic)) < SIGMAS / math.sqrt(n)
    for entry in np.moveaxis(draws.reshape(n, 16), 1, 0):  # each of mean 0 and variance 1/4
        assert abs(np.mean(entry)) < SIGMAS * 0.5 / math.sqrt(n)


@pytest.mark.parametrize(("name", "value"), [("zeros", 0.0), ("ones", 1.0), ("constant", 0.3)])
def test_constant_initializers_have_their_value(name: str, value: float) -> None:
    np.testing.assert_array_equal(EVERY[name](KEY, (2, 3), np.float64), np.full((2, 3), value))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(4,), (5, 3), (3, 3, 2, 4)], ids=str)
@pytest.mark.parametrize("name", EVERY)
def test_dtype_and_shape_are_those_asked_for(name: str, shape: Shape, dtype: type) -> None:
    draws = EVERY[name](KEY, shape, dtype)
    assert (draws.dtype, draws.shape) == (np.dtype(dtype), shape)
    assert EVERY[name](KEY, shape).dtype == np.float32


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", RANDOM)
def test_the_key_alone_decides_the_draws(name: str, dtype: type) -> None:
    draws = EVERY[name](fn.Key(3), (40, 30), dtype)
    np.testing.assert_array_equal(draws, EVERY[name](fn.Key(3), (40, 30), dtype))
    others = (EVERY[name](key, (40, 30), dtype) for key in (fn.Key(4), fn.Key(3).fold("weight"), fn.Key(3).fold(0)))
    assert all(not np.any(draws == other) for other in others)


@pytest.mark.parametrize("name", sorted(set(RANDOM) - {"orthogonal"}))
def test_draws_of_neighbouring_keys_and_entries_are_independent(name: str) -> None:
    """Correlations of n independent pairs have a standard error of 1/√n, those of their squares too."""
    n = 10_000
    first, second = (EVERY[name](key, (2, n), np.float64) for key in (KEY.fold(0), KEY.fold(1)))
    pairs = {"keys": (first[0], second[0]), "halves": (first[0], first[1]), "neighbours": (first[0, :-1], first[0, 1:])}
    for what, (x, y) in pairs.items():
        for power in (1, 2):
            u, v = ((draws - np.mean(draws)) ** power for draws in (x, y))
            assert abs(np.corrcoef(u, v)[0, 1]) < SIGMAS / math.sqrt(n - 1), (what, power)


def test_layers_draw_each_leaf_from_the_key_folded_by_its_path() -> None:
    params, _ = fn.serial(fn.Dense(64), fn.Relu(), head=fn.Dense(3, bias_init=initializers.Normal())).init(KEY, (32,))
    glorot = initializers.GlorotUniform()
    expected = {
        "dense_0/weight": glorot(KEY.fold("dense_0", "weight"), (32, 64)),
        "dense_0/bias": np.zeros(64, np.float32),
        "head/weight": glorot(KEY.fold("head").fold("weight"), (64, 3)),
        "head/bias": initializers.Normal()(KEY.fold("head", "bias"), (3,)),
    }
    flat = fn.tree.flatten(params)
    assert flat.keys() == expected.keys()
    for path, array in expected.items():
        np.testing.assert_array_equal(flat[path], array, err_msg=path)
