"""Embedding and attention against PyTorch: outputs and gradients recorded in ``tests/golden/attention.npz``."""

import tracemalloc

import numpy as np
import pytest

import funcnet as fn
from funcnet.layers import attention_kernels
from funcnet.networks.decoding import one_step
from tests.golden import TOLERANCES, assert_agrees, cast, in_order, load_golden

GOLDEN = load_golden("attention")
ROTARY = fn.RotaryPositions()

CASES: dict[str, fn.Layer] = {
    "embedding": fn.Embedding(5, 4),
    "embedding_padding": fn.Embedding(5, 4, padding_index=2),
    "rotary": ROTARY,
    "rotary_interleaved": fn.RotaryPositions(base=100.0, interleaved=True),
    "rotary_part": fn.RotaryPositions(features=4),
    "attention": fn.DotProductAttention(),
    "attention_scale": fn.DotProductAttention(scale=1.7),
    "attention_mask": fn.DotProductAttention(),
    "attention_bias": fn.DotProductAttention(),
    "attention_causal": fn.DotProductAttention(causal=True),
    "attention_large": fn.DotProductAttention(causal=True),
    "attention_grouped": fn.DotProductAttention(),
    "attention_grouped_bias": fn.DotProductAttention(),
    "multi_head": fn.MultiHeadAttention(2),
    "multi_head_causal": fn.MultiHeadAttention(4, causal=True),
    "multi_head_rotary": fn.MultiHeadAttention(2, rotary=ROTARY),
    "multi_head_grouped": fn.MultiHeadAttention(4, key_value_heads=2, head_features=3, use_bias=False),
    "multi_head_cross": fn.MultiHeadAttention(2, cross=True),
    "multi_head_masked": fn.MultiHeadAttention(2, cross=True),
}


def test_every_recorded_case_is_run():
    assert sorted(GOLDEN) == sorted(CASES)


@pytest.mark.parametrize(("large", "block"), [(1024, 2**17), (3, 40), (3, 1), (1024, 1), (1, 40), (1, 6), (1, 1)])
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("name", CASES)
def test_layer_agrees_with_pytorch(monkeypatch, name, dtype, large, block):
    """With all weights kept, in pieces down to one query of one sample, and in tiles down to one score."""
    monkeypatch.setattr(attention_kernels, "LARGE", large)
    monkeypatch.setattr(attention_kernels, "BLOCK", block)
    layer, case = CASES[name], cast(GOLDEN[name], dtype)
    x, dy, params = in_order(case["x"]), case["dy"], case.get("params", {})
    masked = name == "multi_head_masked"  # PyTorch masks the keys alone, so queries are real wherever they come from
    y, _, residuals = layer.apply(params, {}, (x[0], x) if masked else x, fn.EVAL)
    dparams, dx = layer.vjp(params, residuals, dy)
    if masked:
        dx = (dx[0] + dx[1][0], None)
    numbered = lambda value: {str(i): a for i, a in enumerate(value) if a is not None}  # noqa: E731
    expected = {"y": case["y"], "dparams": case.get("dparams", {})}
    actual = {"y": y, "dparams": dparams}
    wanted = in_order(GOLDEN[name]["dx"])
    if dx is not None:
        expected |= {"dx": numbered(wanted) if isinstance(wanted, tuple) else wanted}
        actual |= {"dx": numbered(dx) if isinstance(dx, tuple) else dx}
    rtol, atol = TOLERANCES[dtype]
    if name == "attention_large":  # its softmax is 0 or 1 to rounding
        atol *= 1e3
    assert_agrees(actual, expected, rtol=rtol, atol=10 * atol)
    assert {array.dtype for array in fn.tree.leaves(actual)} == {np.dtype(dtype)}


def plain(q, k, v, dy, mask=None, bias=None, keep=None, causal=False):
    """Attention by its formula, all scores at once: the output and the gradients of q, k, v and the bias."""
    groups = q.shape[2] // k.shape[2]
    q, dy = (x.swapaxes(1, 2) for x in (q, dy))
    keys, values = (np.repeat(x, groups, axis=2).swapaxes(1, 2) for x in (k, v))
    s = 0.3 * q @ keys.swapaxes(2, 3)
    s = s if bias is None else s + bias
    seen = np.ones(s.shape, bool) if mask is None else np.broadcast_to(mask[:, None, None, :], s.shape)
    s = np.where(np.tril(seen) if causal else seen, s, -np.inf)
    e = np.exp(s - np.max(s, axis=-1, keepdims=True, initial=-1e30))
    p = e / np.maximum(e.sum(axis=-1, keepdims=True), 1e-30)
    left = 1.0 if keep is None else 2.0 * keep
    dp = dy @ values.swapaxes(2, 3) * left
    ds = p * (dp - np.sum(p * dp, axis=-1, keepdims=True))
    together = lambda x: x.swapaxes(1, 2).reshape(*k.shape[:3], groups, -1).sum(axis=3)  # noqa: E731
    dk, dv = together(0.3 * ds.swapaxes(2, 3) @ q), together((p * left).swapaxes(2, 3) @ dy)
    dbias = None if bias is None else ds.sum(axis=1, keepdims=True) if bias.shape[1] == 1 else ds
    return ((p * left) @ values).swapaxes(1, 2), 0.3 * (ds @ keys).swapaxes(1, 2), dk, dv, dbias


def drawn(batch, queries, keys, heads, shared, features=3, dtype=np.float64):
    """Queries, keys, values and a cotangent of the output."""
    shapes = [(queries, heads), (keys, shared), (keys, shared), (queries, heads)]
    return [fn.Key(i).normal((batch, *shape, features), dtype) for i, shape in enumerate(shapes)]


def both(q, k, v, dy, mask=None, bias=None, keep=None, causal=False):
    """What the kernels give: the output, the gradients, and what is kept between them."""
    y, kept = attention_kernels.attend(q, k, v, mask, bias, keep, 0.3, causal, 2.0)
    return (y, *attention_kernels.attend_vjp(dy, y, q, k, v, kept, mask, bias, keep, 0.3, causal, 2.0)), kept


LONG = attention_kernels.LARGE


SIZES = [(LONG, LONG), (LONG + 1, LONG), (LONG + 1, LONG + 1), (3, LONG**2 // 2), (1100, 260), (260, 1100)]
EXTRAS = {
    "nothing": lambda shape: {},
    "mask": lambda shape: {"mask": fn.Key(5).uniform((shape[0], shape[3])) < 0.7},
    "bias": lambda shape: {"bias": fn.Key(5).normal(shape)},
    "shared bias": lambda shape: {"bias": fn.Key(5).normal((shape[0], 1, *shape[2:]))},
    "dropout": lambda shape: {"keep": fn.Key(5).uniform(shape) < 0.5},
}


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    ("queries", "keys", "extra"), [(*size, "mask") for size in SIZES] + [(LONG + 1, LONG + 1, name) for name in EXTRAS]
)
def test_long_sequences_agree_with_the_formula(queries, keys, extra, causal):
    """On both sides of the size from which scores are not kept, with more queries than keys, and with fewer."""
    q, k, v, dy = drawn(2, queries, keys, 4, 2)
    options = EXTRAS[extra]((2, 4, queries, keys))
    found, _ = both(q, k, v, dy, causal=causal, **options)
    for actual, expected in zip(found, plain(q, k, v, dy, causal=causal, **options), strict=True):
        if expected is not None:
            np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-11)


def kept_of(words, q, k, causal, mask=None):
    """The booleans that the tiles draw, as one array; true where no tile is."""
    (batch, queries, heads, _), (keys, shared) = q.shape, k.shape[1:3]
    whole = np.ones((batch, shared, heads // shared, queries, keys), bool)
    ks, number = attention_kernels.by_head(k, 1), 0
    for samples, some, rows, parts in attention_kernels.tiles(ks, heads // shared, queries, mask, causal):
        for columns in parts:
            place = (samples, some, slice(None), rows, columns)
            whole[place] = attention_kernels.tile_kept(words, place, number, whole[place].shape, 2.0)
            number += 1
    return whole.reshape(batch, heads, queries, keys)


@pytest.mark.parametrize("causal", [False, True])
def test_what_dropout_keeps_of_tiles_is_drawn_twice_alike(monkeypatch, causal):
    monkeypatch.setattr(attention_kernels, "LARGE", 4)
    monkeypatch.setattr(attention_kernels, "BLOCK", 128)
    q, k, v, dy = drawn(3, 33, 33, 4, 2)
    words, mask = fn.Key(7).bits(3), np.arange(33) < np.array([[33], [9], [0]])
    keep = kept_of(words, q, k, causal, mask)
    real = keep[0, :, np.tri(33, dtype=bool)] if causal else keep[0]
    assert real.mean() == pytest.approx(0.5, abs=0.05)
    assert len(np.unique(keep[:1].reshape(4 * 33, 33)[:, :8], axis=0)) > 80  # no tile repeats another
    found, _ = both(q, k, v, dy, mask=mask, keep=words, causal=causal)
    for actual, expected in zip(found, plain(q, k, v, dy, mask, None, keep, causal), strict=True):
        if expected is not None:
            np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-11)


def test_memory_of_dropout_is_linear():
    layer = fn.MultiHeadAttention(4, dropout=0.1)
    params, _ = layer.init(fn.Key(0), (2048, 8))
    x = fn.Key(1).normal((1, 2048, 8), np.float32)
    tracemalloc.start()
    _, _, residuals = layer.apply(params, {}, x, fn.Context(True, fn.Key(2)))
    layer.vjp(params, residuals, x)
    taken = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    assert taken < 5.0  # booleans of all weights would be 17 MB, and the bits that they are drawn from 34


@pytest.mark.parametrize("length", [2049, 4096, pytest.param(16384, marks=pytest.mark.slow)])
def test_rows_of_very_long_sequences_agree_with_the_formula(length):
    """Each query sees the keys up to itself, so some queries can be computed alone; the last keys serve few queries."""
    q, k, v, dy = drawn(1, length, length, 2, 1, dtype=np.float32)
    (y, dq, dk, dv, _), kept = both(q, k, v, dy, causal=True)
    assert kept.shape == (1, 1, 2, length, 2)  # linear memory
    for i in (0, 255, 256, length // 2, length - 1):
        row = slice(i, i + 1)
        exact = plain(q[:, row].astype(float), k[:, : i + 1].astype(float), v[:, : i + 1], dy[:, row])
        np.testing.assert_allclose(y[:, row], exact[0], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(dq[:, row], exact[1], rtol=1e-3, atol=1e-5)
    last = length - 3  # its query and the two after it
    parts = [plain(q[:, [i]], k[:, : i + 1], v[:, : i + 1], dy[:, [i]]) for i in range(last, length)]
    for found, j in ((dk, 2), (dv, 3)):
        exact = sum(part[j][:, last].astype(float) for part in parts)
        np.testing.assert_allclose(found[:, last], exact, rtol=1e-3, atol=1e-7)


def test_tiles_that_are_masked_do_not_hide_small_scores():
    """The scores after a tile without real keys are far below 0, where exp gives 0."""
    q, k, v, dy = drawn(2, 700, 800, 1, 1)
    q, k = q * 0.0 + 10.0, k * 0.01 - 100.0
    mask = np.broadcast_to(np.arange(800) >= 600, (2, 800)).copy()
    mask[1, :10] = True  # so the first tile is skipped for neither sample
    for actual, expected in zip(both(q, k, v, dy, mask)[0][:4], plain(q, k, v, dy, mask)[:4], strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-8, atol=1e-11)
    assert np.abs(both(q, k, v, dy, mask)[0][0][0]).min() > 0.0


def test_long_sequences_without_any_key_give_zeros():
    q, k, v, dy = drawn(2, 600, 600, 2, 2, dtype=np.float32)
    mask = np.zeros((2, 600), bool)
    mask[0, 300:] = True  # under causality, the first 300 queries see no key; those of sample 1 never do
    y, dq, dk, dv, _ = both(q, k, v, dy, mask, causal=True)[0]
    for part in (y, dq):
        assert not part[0, :300].any()
        assert part[0, 301:].all()
    assert all(not part[1].any() for part in (y, dq, dk, dv))
    assert all(not part[0, :300].any() for part in (dk, dv))


@pytest.mark.parametrize("layer", [fn.MultiHeadAttention(2, causal=True), fn.MultiHeadAttention(2)], ids=str)
def test_padding_of_nan_in_long_sequences_is_harmless_in_a_compiled_step(layer):
    net, opt = fn.serial(layer, fn.SequencePool()), fn.optim.SGD(0.1)
    mask = np.broadcast_to(np.arange(700) < 650, (2, 700))
    x = fn.Key(1).normal((2, 700, 4), np.float32)
    x[:, 650:] = np.nan
    y = fn.Key(2).normal((2, 4), np.float32)
    ts = fn.train_state(net, opt, fn.Key(0), ((700, 4), (700,)))
    compiled, plainly = (
        fn.train_step(net, fn.losses.MeanSquaredError(), opt, compile=compile)(ts, ((x, mask), y))
        for compile in (True, False)
    )
    assert compiled[0] == plainly[0]
    short = fn.train_state(net, opt, fn.Key(0), (650, 4))
    alone, _ = fn.train_step(net, fn.losses.MeanSquaredError(), opt)(short, (x[:, :650], y))
    for path, leaf in fn.tree.flatten(compiled[0].params).items():
        np.testing.assert_allclose(leaf, fn.tree.flatten(alone.params)[path], rtol=1e-4, atol=1e-5)


def test_long_sequences_step_by_step():
    layer, cache = fn.MultiHeadAttention(2, causal=True), None
    params, state = layer.init(fn.Key(0), (600, 4), np.float64)
    x = fn.Key(1).normal((1, 600, 4))
    whole = fn.predict(layer, params, state, x)
    for i in range(600):
        y, cache = one_step(layer, params, state, x[:, i : i + 1], cache, i)
        np.testing.assert_allclose(y, whole[:, i : i + 1], rtol=1e-10, atol=1e-12)


def test_a_query_without_any_key_gives_zeros():
    x = fn.Key(1).normal((2, 3, 4))
    mask = np.array([[True, True, False], [False, False, False]])
    y, _, residuals = fn.DotProductAttention().apply({}, {}, (x, x, x, mask), fn.EVAL)
    np.testing.assert_array_equal(y[1], 0.0)
    _, dx = fn.DotProductAttention().vjp({}, residuals, np.ones_like(y))
    assert all(np.isfinite(part).all() for part in dx[:3])
    assert all(not part[1].any() for part in dx[:3])
