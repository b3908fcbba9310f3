"""Embedding and attention against PyTorch: outputs and gradients recorded in ``tests/golden/attention.npz``."""

import numpy as np
import pytest

import funcnet as fn
from funcnet.layers import attention_kernels
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


@pytest.mark.parametrize(("large", "block"), [(1024, 2**17), (3, 40), (3, 1), (1024, 1)])
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("name", CASES)
def test_layer_agrees_with_pytorch(monkeypatch, name, dtype, large, block):
    """With all weights kept, and with weights made again, in pieces down to one query of one sample."""
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


def test_long_sequences_need_memory_for_their_length_alone():
    q = fn.Key(0).normal((1, 3000, 1, 2), np.float32)
    y, whole = attention_kernels.attend(q, q, q, None, None, None, 0.7, True, 1.0)
    assert whole is None
    dq, dk, dv, _ = attention_kernels.attend_vjp(y, y, q, q, q, None, None, None, None, 0.7, True, 1.0)
    kept, p = attention_kernels.attend(q[:, :1000], q[:, :1000], q[:, :1000], None, None, None, 0.7, True, 1.0)
    np.testing.assert_allclose(y[:, :1000], kept, rtol=1e-4, atol=1e-5)
    assert p.shape == (1, 1, 1, 1000, 1000)
    assert all(np.isfinite(part).all() for part in (dq, dk, dv))


def test_a_query_without_any_key_gives_zeros():
    x = fn.Key(1).normal((2, 3, 4))
    mask = np.array([[True, True, False], [False, False, False]])
    y, _, residuals = fn.DotProductAttention().apply({}, {}, (x, x, x, mask), fn.EVAL)
    np.testing.assert_array_equal(y[1], 0.0)
    _, dx = fn.DotProductAttention().vjp({}, residuals, np.ones_like(y))
    assert all(np.isfinite(part).all() for part in dx[:3])
    assert all(not part[1].any() for part in dx[:3])
