"""Embedding, positions and attention: values written down, and the whole message of every mistake."""

import numpy as np
import pytest

import funcnet as fn
from funcnet import ops
from funcnet.layers.embedding import rotate, rotation, sinusoid


def test_equal_indices_add_up():
    layer, x = fn.Embedding(4, 2), np.array([[0, 2, 2], [2, 0, 3]])
    params = {"weight": np.arange(8.0).reshape(4, 2)}
    y, _, residuals = layer.apply(params, {}, x, fn.EVAL)
    np.testing.assert_array_equal(y, params["weight"][x])
    dparams, dx = layer.vjp(params, residuals, np.arange(12.0).reshape(2, 3, 2))
    np.testing.assert_array_equal(dparams["weight"], [[8, 10], [0, 0], [12, 15], [10, 11]])
    assert dx is None


def test_the_padding_index_gives_zeros_and_learns_nothing():
    layer, x = fn.Embedding(3, 2, padding_index=1), np.array([[1, 2, 1]])
    params, _ = layer.init(fn.Key(0), (3,))
    y, _, residuals = layer.apply(params, {}, x, fn.EVAL)
    assert not y[0, [0, 2]].any()
    assert not layer.vjp(params, residuals, np.ones_like(y))[0]["weight"][1].any()


@pytest.mark.parametrize("size", [3, 1000])
def test_scatter_add_is_a_loop(size):
    rng = np.random.default_rng(0)
    values, indices = rng.standard_normal((7, 5, 4)), rng.integers(0, size, (7, 5))
    table = np.zeros((size, 4))
    np.add.at(table, indices, values)
    np.testing.assert_allclose(ops.scatter_add(values, indices, size), table, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    ("x", "found"), [([[0, 3]], "3 in row 0, column 1"), ([[1, 1], [-1, 0]], "-1 in row 1, column 0")]
)
def test_an_index_out_of_range_is_named(x, found, compiled):
    net = fn.serial(fn.Embedding(3, 2))
    params, state = net.init(fn.Key(0), (2,))
    call = fn.compile(lambda p, x: net.apply(p, {}, x, fn.EVAL)[0]) if compiled else None
    with pytest.raises(fn.DataError) as caught:
        fn.predict(net, params, state, np.array(x)) if call is None else call(params, np.array(x))
    assert f"expected indices from 0 to 2, got {found}; " in str(caught.value)
    assert "make size larger, or check the encoding" in str(caught.value)


def test_float_indices_are_refused():
    net = fn.Embedding(3, 2)
    params, state = net.init(fn.Key(0), (2,))
    with pytest.raises(fn.ShapeError) as caught:
        fn.predict(net, params, state, np.zeros((1, 2)))
    assert str(caught.value) == (
        "Embedding: expected integer input, got float32; give whole numbers of an integer type"
    )


def test_a_mask_is_boolean():
    net = fn.serial(fn.MultiHeadAttention(1))
    params, state = net.init(fn.Key(0), ((3, 2), (3,)))
    with pytest.raises(fn.ShapeError) as caught:
        fn.predict(net, params, state, (np.zeros((1, 3, 2)), np.ones((1, 3))))
    assert "expected a boolean mask, True where real, got float32" in str(caught.value)


def test_sinusoids_as_published():
    table = sinusoid(np.arange(3.0), 5)
    for p in range(3):
        for i in range(5):
            angle = p / 10000.0 ** (2 * (i // 2) / 5)
            assert table[p, i] == pytest.approx(np.cos(angle) if i % 2 else np.sin(angle), abs=1e-15)


@pytest.mark.parametrize("interleaved", [False, True])
def test_products_of_turned_vectors_see_differences_of_positions(interleaved):
    q, k = fn.Key(0).normal((1, 8)), fn.Key(1).normal((1, 8))

    def score(i, j):
        turned = [rotate(v, *rotation(np.array([p]), 8, 100.0), interleaved) for v, p in ((q, i), (k, j))]
        return float(np.sum(turned[0] * turned[1]))

    assert score(5.0, 2.0) == pytest.approx(score(9.0, 6.0), rel=1e-12)
    assert score(5.0, 2.0) != pytest.approx(score(5.0, 3.0), rel=1e-3)


def test_causal_attention_sees_nothing_later():
    net = fn.serial(fn.MultiHeadAttention(2, causal=True), fn.MultiHeadAttention(1, causal=True))
    params, state = net.init(fn.Key(0), (6, 4), np.float64)
    x = fn.Key(1).normal((1, 6, 4))
    changed = x.copy()
    changed[:, 4:] += 1.0
    before, after = (fn.predict(net, params, state, value) for value in (x, changed))
    np.testing.assert_array_equal(before[:, :4], after[:, :4])
    assert not np.allclose(before[:, 4:], after[:, 4:])


def test_padding_does_not_reach_what_is_real():
    net = fn.MultiHeadAttention(2)
    params, state = net.init(fn.Key(0), (3, 4), np.float64)
    short = fn.Key(1).normal((2, 3, 4))
    padded = np.concatenate([short, 100.0 + fn.Key(2).normal((2, 2, 4))], axis=1)
    mask = np.broadcast_to(np.arange(5) < 3, (2, 5))
    y, _ = fn.predict(net, params, state, (padded, mask))
    np.testing.assert_allclose(y[:, :3], fn.predict(net, params, state, short), rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: fn.Embedding(0, 2), "Embedding.size: must be positive, got 0"),
        (lambda: fn.Embedding(3, 2, padding_index=3), "Embedding.padding_index: must be from 0 to 2, got 3"),
        (lambda: fn.MultiHeadAttention(4, key_value_heads=3), ".key_value_heads: must divide the 4 heads, got 3"),
        (lambda: fn.MultiHeadAttention(1, dropout=1.0), ".dropout: must be at least 0 and below 1, got 1.0"),
        (
            lambda: fn.MultiHeadAttention(1, causal=True, cross=True),
            "MultiHeadAttention.causal: orders the steps of one sequence; leave it out of cross attention",
        ),
        (lambda: fn.RotaryPositions(features=3), "RotaryPositions.features: must be even, two for each pair, got 3"),
        (lambda: fn.LearnedPositions(0), "LearnedPositions.length: must be positive, got 0"),
    ],
)  # fmt: skip
def test_fields_that_make_no_sense(make, message):
    with pytest.raises(fn.SpecError) as caught:
        make()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("layer", "in_shape", "message"),
    [
        (
            fn.MultiHeadAttention(3),
            (5, 4),
            "MultiHeadAttention: expected features divisible by 3 heads, got 4; change heads or head_features",
        ),
        (
            fn.MultiHeadAttention(2, cross=True),
            (5, 4),
            "MultiHeadAttention: expected the tuple (x, memory), got (5, 4)",
        ),
        (
            fn.MultiHeadAttention(2, additive_bias=True),
            ((5, 4), (5, 5)),
            "MultiHeadAttention: expected a bias (heads, queries, keys) = (2, 5, 5), got (5, 5)",
        ),
        (
            fn.MultiHeadAttention(2),
            ((5, 4), (4,)),
            "MultiHeadAttention: expected the pair of sequences (5, 4) and a mask (5,), True where real, "
            "got ((5, 4), (4,)); give the mask as (batch, time)",
        ),
        (
            fn.MultiHeadAttention(2, rotary=fn.RotaryPositions()),
            (5, 6),
            "RotaryPositions: expected an even number of features, 3 or more, got shape (1, 3); "
            "they are rotated in pairs",
        ),
        (
            fn.DotProductAttention(),
            ((2, 3), (4, 2), (4, 2)),
            "DotProductAttention: expected queries, keys and values of shapes (queries, n), (keys, n), (keys, m), all "
            "with heads before the features or all without, and optionally a mask (keys,) or a bias (queries, keys) "
            "or (heads, queries, keys), got ((2, 3), (4, 2), (4, 2))",
        ),
        (
            fn.LearnedPositions(4),
            (5, 2),
            "LearnedPositions: expected sequences of up to 4 steps, got 5; make length larger",
        ),
        (
            fn.SinusoidalPositions(),
            (5,),
            "SinusoidalPositions: expected sequences of shape (time, features), or the pair of one and its mask, "
            "got (5,)",
        ),
    ],
    ids=str,
)
def test_inputs_that_do_not_fit(layer, in_shape, message):
    with pytest.raises(fn.ShapeError) as caught:
        layer.out_shape(in_shape)
    assert str(caught.value) == message
