"""Recurrent layers, their cells, both directions and pooling: values at the edges, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcnet as fn
from funcnet import initializers
from funcnet.spec.base import evolve
from tests.table import same

KEY = fn.Key(3)
DRAWN = {"bias_init": initializers.Normal(0.5), "recurrent_init": initializers.Normal(0.5)}
KINDS: dict[str, Any] = {
    "rnn": fn.RNN(3, **DRAWN),
    "rnn_relu": fn.RNN(3, activation="relu", **DRAWN),
    "lstm": fn.LSTM(3, **DRAWN),
    "gru": fn.GRU(3, **DRAWN),
    "gru_original": fn.GRU(3, reset_after=False, **DRAWN),
}
MASKS = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 0, 1, 1, 0], [1, 0, 1, 0, 1], [0, 0, 0, 0, 0]], bool)
X = KEY.fold("x").normal((5, 5, 2))


def made(layer: fn.Layer, in_shape: Any) -> Any:
    return layer.init(KEY, in_shape, np.float64)[0]


def ran(layer: fn.Layer, params: Any, x: Any) -> Any:
    return layer.apply(params, {}, x, fn.EVAL)[0]


def close(a: Any, b: Any, rtol: float = 1e-12) -> None:
    fn.tree.map(lambda u, v: np.testing.assert_allclose(u, v, rtol=rtol, atol=1e-14), a, b)


def sigmoid(x: float) -> float:
    return 1.0 / (1.0 + np.exp(-x))


# ----- by hand --------------------------------------------------------------------------------------------


def test_rnn_by_hand() -> None:
    params = {"weight": np.array([[2.0]]), "recurrent_weight": np.array([[0.5]]), "bias": np.array([-1.0])}
    x = np.array([[[1.0], [0.0], [-3.0]]])
    a = np.tanh(1.0)
    b = np.tanh(0.5 * a - 1.0)
    c = np.tanh(0.5 * b - 7.0)
    close(ran(fn.RNN(1), params, x), np.array([[[a], [b], [c]]]))
    np.testing.assert_array_equal(ran(fn.RNN(1, activation="relu"), params, x), [[[1.0], [0.0], [0.0]]])


def test_the_derivative_of_relu_at_0_is_0() -> None:
    params = {"weight": np.array([[1.0]]), "recurrent_weight": np.array([[1.0]]), "bias": np.array([0.0])}
    layer = fn.RNN(1, activation="relu")
    y, _, residuals = layer.apply(params, {}, np.zeros((1, 2, 1)), fn.EVAL)
    dparams, dx = layer.vjp(params, residuals, np.ones_like(y))
    assert not any(np.any(leaf) for leaf in fn.tree.leaves((dparams, dx)))


def test_lstm_by_hand() -> None:
    """The columns are the gates i, f, g, o."""
    params = {
        "weight": np.array([[1.0, -1.0, 0.5, 2.0]]),
        "recurrent_weight": np.array([[0.5, 1.0, -1.0, 0.25]]),
        "bias": np.array([0.1, 0.2, 0.3, -0.4]),
    }
    h, c = 0.0, 0.0
    expected = []
    for x in (1.0, -2.0):
        i, f = sigmoid(x + 0.5 * h + 0.1), sigmoid(-x + h + 0.2)
        g, o = np.tanh(0.5 * x - h + 0.3), sigmoid(2.0 * x + 0.25 * h - 0.4)
        c = f * c + i * g
        h = o * np.tanh(c)
        expected.append([h])
    close(ran(fn.LSTM(1), params, np.array([[[1.0], [-2.0]]])), np.array([expected]))


@pytest.mark.parametrize("after", [True, False])
def test_gru_by_hand(after: bool) -> None:
    """The columns are the gates r, z, n."""
    params = {
        "weight": np.array([[1.0, -1.0, 0.5]]),
        "recurrent_weight": np.array([[0.5, 1.0, -2.0]]),
        "bias": np.array([0.1, 0.2, 0.3]),
    } | ({"recurrent_bias": np.array([0.7])} if after else {})
    h, expected = 0.0, []
    for x in (1.0, -2.0, 0.5):
        r, z = sigmoid(x + 0.5 * h + 0.1), sigmoid(-x + h + 0.2)
        inner = r * (-2.0 * h + 0.7) if after else -2.0 * (r * h)
        h = (1.0 - z) * np.tanh(0.5 * x + 0.3 + inner) + z * h
        expected.append([h])
    close(ran(fn.GRU(1, reset_after=after), params, np.array([[[1.0], [-2.0], [0.5]]])), np.array([expected]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_far_from_0_gates_are_open_or_shut_and_nothing_overflows(kind: str, dtype: Any) -> None:
    layer = evolve(KINDS[kind], bias_init=initializers.Zeros())
    params, _ = layer.init(KEY, (2, 1), dtype)
    x = np.array([[[1e4], [-1e4]], [[-1e4], [1e4]]], dtype)
    with np.errstate(all="raise", under="ignore"):
        y, _, residuals = layer.apply(params, {}, x, fn.EVAL)
        dparams, dx = layer.vjp(params, residuals, np.ones_like(y))
    assert all(np.all(np.isfinite(leaf)) for leaf in fn.tree.leaves((y, dparams, dx)))
    assert kind == "rnn_relu" or np.all(np.abs(y) <= 1.0)


# ----- steps, directions, carries ---------------------------------------------------------------------------


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("use_bias", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_sequence_is_its_cell_at_every_real_step(kind: str, use_bias: bool, reverse: bool, masked: bool) -> None:
    layer = evolve(KINDS[kind], use_bias=use_bias, reverse=reverse, carry=True)
    cell = layer.cell
    pair = isinstance(cell, fn.LSTMCell)
    carry_shape = ((3,), (3,)) if pair else (3,)
    params = made(layer, ((5, 2), carry_shape))
    assert same(made(cell, ((2,), carry_shape)), params)
    start = tuple(KEY.fold("carry", i).normal((5, 3)) for i in range(2 if pair else 1))
    mask = MASKS if masked else np.ones_like(MASKS)
    expected, states = np.zeros((5, 5, 3)), [np.array(part) for part in start]
    for t in range(5)[:: -1 if reverse else 1]:
        y, new = ran(cell, params, (X[:, t], tuple(states) if pair else states[0]))
        real = mask[:, t, None]
        states = [np.where(real, a, b) for a, b in zip(new if pair else (new,), states, strict=True)]
        expected[:, t] = np.where(real, y, 0.0)
    end = tuple(states) if pair else states[0]
    y, last = ran(layer, params, ((X, mask) if masked else X, start if pair else start[0]))
    close((y[0] if masked else y, last), (expected, end))
    if masked:
        assert y[1] is mask
    short = evolve(layer, return_sequences=False)
    y, last = ran(short, params, ((X, mask) if masked else X, start if pair else start[0]))
    close((y, last), (states[0], end))


@pytest.mark.parametrize("kind", KINDS)
def test_a_sequence_in_two_parts_with_the_carry_between(kind: str) -> None:
    layer = evolve(KINDS[kind], carry=True)
    zeros = np.zeros((5, 3))
    start = (zeros, zeros) if kind == "lstm" else zeros
    params = made(KINDS[kind], (5, 2))
    whole, end = ran(layer, params, (X, start))
    first, between = ran(layer, params, (X[:, :2], start))
    second, last = ran(layer, params, (X[:, 2:], between))
    close((np.concatenate([first, second], axis=1), last), (whole, end))
    assert same(ran(KINDS[kind], params, X), whole)


@pytest.mark.parametrize("dtype", [np.int64, np.float32])
@pytest.mark.parametrize("kind", KINDS)
def test_a_carry_of_another_dtype_rounds_nothing(kind: str, dtype: type) -> None:
    """Nor does its cotangent; PyTorch refuses them."""
    layer = evolve(KINDS[kind], carry=True)
    params, given = made(KINDS[kind], (5, 2)), np.arange(15).reshape(5, 3) % 3
    results = []
    for part in (given.astype(dtype), given.astype(np.float64)):
        carry = (part, part) if kind == "lstm" else part
        y, _, residuals = layer.apply(params, {}, (X, carry), fn.EVAL)
        results.append((y, layer.vjp(params, residuals, (np.ones((5, 5, 3)), carry))))
    assert same(*results)
    assert {leaf.dtype for leaf in fn.tree.leaves(results[0])} == {np.dtype(np.float64)}


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_nothing(kind: str, reverse: bool) -> None:
    """What stands in padded steps does not matter, forward or backward, and gets no cotangent."""
    layer = evolve(KINDS[kind], reverse=reverse)
    params, dy = made(layer, (5, 2)), KEY.fold("dy").normal((5, 5, 3))
    backs = []
    for padding in (0.0, 100.0):
        x = np.where(MASKS[:, :, None], X, padding)
        (y, _), _, residuals = layer.apply(params, {}, (x, MASKS), fn.EVAL)
        backs.append((y, layer.vjp(params, residuals, (dy, None))))
    assert same(*backs)
    y, (_, (dx, dmask)) = backs[0]
    assert dmask is None
    assert not np.any(y[~MASKS])
    assert not np.any(dx[~MASKS])
    alone = layer.apply(params, {}, X[1:2, :3], fn.EVAL)
    close(alone[0], y[1:2, :3])
    close(layer.vjp(params, alone[2], dy[1:2, :3])[1], dx[1:2, :3])


@pytest.mark.parametrize("kind", KINDS)
def test_a_sequence_without_a_real_step_gives_its_first_carry(kind: str) -> None:
    layer, mask = evolve(KINDS[kind], return_sequences=False), np.zeros((5, 5), bool)
    params = made(layer, (5, 2))
    y, _, residuals = layer.apply(params, {}, (X, mask), fn.EVAL)
    np.testing.assert_array_equal(y, np.zeros((5, 3)))
    dparams, (dx, _) = layer.vjp(params, residuals, np.ones((5, 3)))
    assert not any(np.any(leaf) for leaf in fn.tree.leaves((dparams, dx)))


@pytest.mark.parametrize("kind", KINDS)
def test_absent_cotangents_count_as_zero(kind: str) -> None:
    pair = kind == "lstm"
    zeros = np.zeros((5, 3))
    for layer, x, out in (
        (evolve(KINDS[kind], carry=True), X, np.zeros((5, 5, 3))),
        (KINDS[kind].cell, X[:, 0], zeros),
    ):
        start = (zeros + 0.5, zeros - 0.5) if pair else zeros + 0.5
        params = made(KINDS[kind], (5, 2))
        _, _, residuals = layer.apply(params, {}, (x, start), fn.EVAL)
        given = KEY.fold("dc").normal((5, 3))
        whole = (zeros, given) if pair else given
        partly = (None, given) if pair else given
        assert same(layer.vjp(params, residuals, (None, partly)), layer.vjp(params, residuals, (out, whole)))
        nothing = layer.vjp(params, residuals, (None, None))
        assert same(nothing, layer.vjp(params, residuals, (out, (zeros, zeros) if pair else zeros)))
        assert same(layer.vjp(params, residuals, (out + 1.0, None))[1][0].shape, x.shape)


def test_stacking_is_serial() -> None:
    first, second = fn.LSTM(3), fn.LSTM(2, return_sequences=False)
    net = fn.serial(first, second)
    params = made(net, ((5, 2), (5,)))
    between = ran(first, params["lstm_0"], (X, MASKS))
    assert same(ran(net, params, (X, MASKS)), ran(second, params["lstm_1"], between))


@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("merge", ["concat", "sum"])
@pytest.mark.parametrize("kind", KINDS)
def test_both_directions_side_by_side(kind: str, merge: Any, masked: bool, short: bool) -> None:
    layer = evolve(KINDS[kind], return_sequences=not short)
    net = fn.Bidirectional(layer, merge=merge)
    x = (X, MASKS) if masked else X
    in_shape = ((5, 2), (5,)) if masked else (5, 2)
    params = made(net, in_shape)
    assert list(params) == ["forward", "backward"]
    parts = [
        ran(layer, params["forward"], x),
        ran(evolve(layer, reverse=True), params["backward"], x),
    ]
    pair = masked and not short
    a, b = (part[0] if pair else part for part in parts)
    expected = np.concatenate([a, b], axis=-1) if merge == "concat" else a + b
    y = ran(net, params, x)
    assert same(y[0] if pair else y, expected)
    assert not pair or y[1] is MASKS


# ----- pooling and lifting -----------------------------------------------------------------------------------


SEQUENCES = np.array([[[1.0], [5.0], [5.0], [2.0]], [[-3.0], [-1.0], [9.0], [-1.0]], [[7.0], [8.0], [9.0], [6.0]]])
REAL = np.array([[1, 1, 1, 1], [1, 1, 0, 1], [0, 0, 0, 0]], bool)
POOLED: dict[str, tuple[list[float], list[list[float]], list[float], list[list[float]]]] = {
    "last": (
        [2, -1, 6],
        [[0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 1]],
        [2, -1, 0],
        [[0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]],
    ),
    "mean": (
        [3.25, 1, 7.5],
        [[0.25] * 4] * 3,
        [3.25, -5 / 3, 0],
        [[0.25] * 4, [1 / 3, 1 / 3, 0, 1 / 3], [0, 0, 0, 0]],
    ),
    "max": (
        [5, 9, 9],
        [[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0]],
        [5, -1, 0],
        [[0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]],
    ),
}
"""By kind: what comes out and dy/dx, without the mask and with it"""


@pytest.mark.parametrize("by", POOLED)
def test_pooling_by_hand(by: Any) -> None:
    layer, (plain, slopes, masked, masked_slopes) = fn.SequencePool(by), POOLED[by]
    dy = np.array([[2.0], [3.0], [5.0]])
    for x, y, slope in ((SEQUENCES, plain, slopes), ((SEQUENCES, REAL), masked, masked_slopes)):
        got, _, residuals = layer.apply({}, {}, x, fn.EVAL)
        close(got, np.array(y)[:, None], rtol=1e-15)
        dx = layer.vjp({}, residuals, dy)[1]
        close(dx[0] if isinstance(dx, tuple) else dx, np.array(slope)[:, :, None] * dy[:, None], rtol=1e-15)
        assert not isinstance(dx, tuple) or dx[1] is None


@pytest.mark.parametrize("by", POOLED)
def test_pooling_does_not_read_padding(by: Any) -> None:
    wild = np.where(REAL[:, :, None], SEQUENCES, np.nan)
    assert same(ran(fn.SequencePool(by), {}, (wild, REAL)), ran(fn.SequencePool(by), {}, (SEQUENCES, REAL)))


def test_the_last_real_step_need_not_be_the_last_before_padding() -> None:
    x, mask = np.arange(4.0).reshape(1, 4, 1), np.array([[1, 0, 1, 0]], bool)
    np.testing.assert_array_equal(ran(fn.SequencePool("last"), {}, (x, mask)), [[2.0]])


def test_pooling_the_last_step_of_a_recurrent_layer_is_its_last_step() -> None:
    params = made(fn.GRU(3), (5, 2))
    pooled = ran(fn.serial(gru=fn.GRU(3), pool=fn.SequencePool("last")), {"gru": params}, (X, MASKS))
    close(pooled, ran(fn.GRU(3, return_sequences=False), params, (X, MASKS)))


def test_on_sequence_passes_the_mask_by() -> None:
    net = fn.serial(fn.OnSequence(fn.Dense(3)), fn.SequencePool())
    params = made(net, ((5, 2), (5,)))
    assert list(params) == ["on_sequence_0"]
    assert list(params["on_sequence_0"]) == ["weight", "bias"]
    layer, own = fn.OnSequence(fn.Dense(3)), params["on_sequence_0"]
    y, mask = ran(layer, own, (X, MASKS))
    plain = ran(fn.Dense(3), own, X)
    assert same(y, np.where(MASKS[..., None], plain, 0.0))
    assert mask is MASKS
    assert same(ran(layer, own, X), plain)


# ----- what is refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"])
def test_units_are_positive(kind: str) -> None:
    with pytest.raises(fn.SpecError) as caught:
        getattr(fn, kind)(0)
    assert str(caught.value) == f"{kind}.units: must be positive, got 0"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: fn.RNN(2, activation="tan"),
            'RNN.activation: expected "tanh" or "relu", got "tan", did you mean \'tanh\'?',
        ),
        (
            lambda: fn.SequencePool("first"),
            'SequencePool.by: expected "last" or "mean" or "max", got "first"',
        ),
        (
            lambda: fn.Bidirectional(fn.GRU(2), merge="product"),
            'Bidirectional.merge: expected "concat" or "sum", got "product"',
        ),
        (lambda: fn.Bidirectional(fn.Dense(2)), "Bidirectional.layer: expected RNN, LSTM or GRU, got Dense"),
        (lambda: fn.Bidirectional(fn.LSTMCell(2)), "Bidirectional.layer: expected RNN, LSTM or GRU, got LSTMCell"),
        (
            lambda: fn.Bidirectional(fn.LSTM(2, carry=True)),
            "Bidirectional.layer: expected a layer without carry, since each direction has its own",
        ),
        (
            lambda: fn.Bidirectional(fn.LSTM(2, reverse=True)),
            "Bidirectional.layer: expected a layer that runs forward; the backward one is made from it",
        ),
    ],
)
def test_a_spec_that_makes_no_sense_is_refused(make: Any, message: str) -> None:
    with pytest.raises(fn.SpecError) as caught:
        make()
    assert str(caught.value) == message


FORM = "expected sequences of shape (time, features), or the pair of one and its mask, got"
BAD_SHAPES: dict[str, tuple[fn.Layer, Any, str]] = {
    "no features": (fn.LSTM(2), (5,), f"LSTM: {FORM} (5,)"),
    "images": (fn.GRU(2), (5, 4, 3), f"GRU: {FORM} (5, 4, 3)"),
    "no steps": (fn.RNN(2), (0, 3), f"RNN: {FORM} (0, 3)"),
    "a dict": (fn.RNN(2), {"a": (5, 3)}, f"RNN: {FORM} {{'a': (5, 3)}}"),
    "a mask of other length": (
        fn.LSTM(2),
        ((5, 3), (4,)),
        "LSTM: expected the pair of sequences (5, 3) and a mask (5,), True where real, got ((5, 3), (4,)); "
        "give the mask as (batch, time)",
    ),
    "three parts": (
        fn.SequencePool(),
        ((5, 3), (5,), (5,)),
        "SequencePool: expected the pair of sequences (5, 3) and a mask (5,), True where real, "
        "got ((5, 3), (5,), (5,)); give the mask as (batch, time)",
    ),
    "a vector to pool": (fn.SequencePool("max"), (5,), f"SequencePool: {FORM} (5,)"),
    "no carry": (
        fn.LSTM(2, carry=True),
        (5, 3),
        "LSTM: expected the pair of a sequence and a carry ((2,), (2,)), got (5, 3); "
        "give (x, carry), or leave out carry",
    ),
    "a single carry": (
        fn.LSTM(2, carry=True),
        ((5, 3), (2,)),
        "LSTM: expected the pair of a sequence and a carry ((2,), (2,)), got ((5, 3), (2,)); "
        "give (x, carry), or leave out carry",
    ),
    "a mask in place of the carry": (
        fn.GRU(2, carry=True),
        ((5, 3), (5,)),
        "GRU: expected the pair of a sequence and a carry (2,), got ((5, 3), (5,)); "
        "give (x, carry), or leave out carry",
    ),
    "a cell without carry": (
        fn.RNNCell(2),
        (3,),
        "RNNCell: expected the pair of an input (features,) and a carry (2,), got (3,); give (x, carry)",
    ),
    "a cell on a sequence": (
        fn.GRUCell(2),
        ((5, 3), (2,)),
        "GRUCell: expected the pair of an input (features,) and a carry (2,), got ((5, 3), (2,)); give (x, carry)",
    ),
    "a cell with half its carry": (
        fn.LSTMCell(2),
        ((3,), (2,)),
        "LSTMCell: expected the pair of an input (features,) and a carry ((2,), (2,)), got ((3,), (2,)); "
        "give (x, carry)",
    ),
    "both directions of a vector": (fn.Bidirectional(fn.GRU(2)), (5,), f"forward (GRU): {FORM} (5,)"),
    "a layer that drops the steps": (
        fn.OnSequence(fn.Flatten()),
        ((5, 3), (5,)),
        "OnSequence: expected the layer to keep the 5 steps of the mask, got (15,); "
        "pool or cut the sequence with a layer that takes the mask",
    ),
    "a lifted layer with a carry": (
        fn.OnSequence(fn.Dense(2)),
        ((5, 3), (4,)),
        "OnSequence: expected a sequence (time, …), or the pair of one and its mask (time,), got ((5, 3), (4,))",
    ),
    "a lifted layer on a dict": (
        fn.OnSequence(fn.Dense(2)),
        {"a": (5, 3)},
        "OnSequence: expected a sequence (time, …), or the pair of one and its mask (time,), got {'a': (5, 3)}",
    ),
}


@pytest.mark.parametrize("name", BAD_SHAPES)
def test_a_shape_that_does_not_fit_is_refused(name: str) -> None:
    layer, in_shape, message = BAD_SHAPES[name]
    with pytest.raises(fn.ShapeError) as caught:
        layer.out_shape(in_shape)
    assert str(caught.value) == message


@pytest.mark.parametrize("kind", KINDS)
def test_integers_are_refused(kind: str) -> None:
    layer = KINDS[kind]
    params = made(layer, (5, 2))
    with pytest.raises(fn.ShapeError) as caught:
        layer.apply(params, {}, np.ones((1, 5, 2), np.int64), fn.EVAL)
    assert str(caught.value) == (
        f"{type(layer).__name__}: expected floating-point input, got int64; give floats, and scale pixels by 1 / 255"
    )


@pytest.mark.parametrize("layer", [fn.LSTM(3), fn.SequencePool(), fn.OnSequence(fn.Dense(3))])
def test_a_mask_of_numbers_is_refused(layer: fn.Layer) -> None:
    params = made(layer, ((5, 2), (5,)))
    with pytest.raises(fn.ShapeError) as caught:
        layer.apply(params, {}, (X, MASKS.astype(np.float64)), fn.EVAL)
    assert str(caught.value) == (
        f"{type(layer).__name__}: expected a boolean mask, True where real, got float64; give booleans"
    )


# ----- what it costs -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_cost_is_that_of_the_products_and_the_sums_of_the_biases(kind: str) -> None:
    """Forward x W and h R; backward xᵀ dz, hᵀ dz, dz Rᵀ and Σ dz, but not dx of the first layer."""
    time, batch, features, units = 4, 5, 2, 3
    wide = {"lstm": 4, "gru": 3, "gru_original": 3}.get(kind, 1) * units
    biases = wide + (units if kind == "gru" else 0)
    (only,) = fn.cost(KINDS[kind], (time, features), batch).layers
    assert only.forward.flops == 2 * time * batch * (features + units) * wide
    assert only.backward.flops == 2 * time * batch * (features + 2 * units) * wide + time * batch * biases
