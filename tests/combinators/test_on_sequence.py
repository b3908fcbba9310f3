"""Masked sequences through layers that act on each step alone: values of the real steps, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcnet as fn
from funcnet.spec.fields import frozen
from tests.table import same

SHAPE = ((5, 2), (5,))
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 0, 0]], bool)
X = fn.Key(1).normal((4, 5, 2))
POISON = np.where(MASK[..., None], X, np.nan)
DY = fn.Key(2).normal((4, 5, 2))
TRAIN = fn.Context(True, fn.Key(3))


def both(layer: fn.Layer, x: Any, dy: Any, ctx: fn.Context = TRAIN) -> Any:
    """Output, new state, gradients and cotangent, with params of float64."""
    params, state = layer.init(fn.Key(0), (x[0].shape[1:], x[1].shape[1:]) if isinstance(x, tuple) else x.shape[1:])
    params, state = (fn.tree.map(lambda leaf: leaf.astype(np.float64), part) for part in (params, state))
    y, new, residuals = layer.apply(params, state, x, ctx)
    return y, new, *layer.vjp(params, residuals, dy)


@pytest.mark.parametrize("ctx", [TRAIN, fn.EVAL], ids=["train", "eval"])
@pytest.mark.parametrize(
    "layer",
    [fn.serial(fn.BatchNorm()), fn.serial(fn.OnSequence(fn.BatchNorm())), fn.serial(fn.Dense(2), fn.BatchNorm())],
)
def test_padding_is_not_in_the_statistics(layer: fn.Layer, ctx: fn.Context) -> None:
    """Everything is as for the real steps alone, as rows of a batch."""
    (y, mask), state, dparams, (dx, none) = both(layer, (POISON, MASK), (DY, None), ctx)
    rows, rows_state, rows_dparams, rows_dx = both(layer, X[MASK], DY[MASK], ctx)
    assert mask is MASK
    assert none is None
    np.testing.assert_allclose(y[MASK], rows, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(dx[MASK], rows_dx, rtol=1e-11, atol=1e-14)
    for got, expected in ((state, rows_state), (dparams, rows_dparams)):
        fn.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14), got, expected)
    assert not np.any(y[~MASK])
    assert not np.any(dx[~MASK])


def test_a_batch_with_one_real_step_has_no_statistics() -> None:
    mask = np.zeros((4, 5), bool)
    mask[1, 2] = True
    with pytest.raises(fn.ShapeError) as caught:
        both(fn.BatchNorm(), (X, mask), (DY, None))
    assert str(caught.value) == (
        "BatchNorm: expected at least 2 values per feature in a training batch, got 1; "
        "use a larger batch, or a batch size that leaves no remainder of one"
    )


def test_a_combinator_lifts_its_layers() -> None:
    body = [fn.LSTM(4), fn.Dropout(0.2), fn.Relu(), fn.Dense(3), fn.LayerNorm(), fn.SpatialDropout(0.2)]
    written = [layer if isinstance(layer, fn.LSTM) else fn.OnSequence(layer) for layer in body]
    names = [f"layer_{i}" for i in range(len(body))]
    dy = (fn.Key(2).normal((4, 5, 3)), None)
    nets = [fn.serial(*zip(names, layers, strict=True)) for layers in (body, written)]
    assert nets[0].out_shape(SHAPE) == ((5, 3), (5,))
    assert same(*(both(net, (POISON, MASK), dy) for net in nets))


def test_several_masked_sequences_meet() -> None:
    other = np.array([[1, 1, 1, 1, 0], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1]], bool)
    every = MASK & other
    for layer, expected in ((fn.Sum(), 3.0 * X), (fn.Multiply(), 2.0 * X * X), (fn.Concat(), np.dstack([X, 2.0 * X]))):
        graph = fn.Graph(("a", "b"), {"c": (layer, ("a", "b"))}, "c")
        y, _, residuals = graph.apply({}, {}, ((POISON, MASK), (2.0 * X, other)), fn.EVAL)
        assert same(y, (np.where(every[..., None], expected, 0.0), every))
        _, ((dx, _), (other_dx, _)) = graph.vjp({}, residuals, (np.full(expected.shape, np.nan), None))
        for part in (dx, other_dx):
            assert np.isnan(part[every]).all()
            assert not np.any(part[~every])


def test_the_first_layer_says_that_it_takes_a_mask() -> None:
    assert fn.serial(fn.Dropout(0.1), fn.LSTM(2)).in_kinds(SHAPE) == ("f", "b")
    assert fn.serial(fn.Concat(), fn.LSTM(2)).in_kinds((SHAPE, SHAPE)) == (("f", "b"), ("f", "b"))
    assert fn.serial(fn.Sum()).in_kinds(((5,), (5,))) == ("f", "f")


# ----- a user's layers -------------------------------------------------------------------------------------------


@frozen
class Halved(fn.Layer):
    """Half of any value; it knows nothing of masks, and checks nothing."""

    stepwise = True

    def out_shape(self, in_shape: Any) -> Any:
        return in_shape

    def apply(self, params: Any, state: Any, x: Any, ctx: Any) -> Any:
        return 0.5 * x, state, None

    def vjp(self, params: Any, residuals: Any, dy: Any) -> Any:
        return {}, 0.5 * dy


@frozen
class Modulated(fn.Layer):
    """``x · (1 + s)`` of a pair (x, s), s one number for each step: a pair in the form of a padded sequence."""

    stepwise = True

    def out_shape(self, in_shape: Any) -> Any:
        x, _ = in_shape
        return x

    def apply(self, params: Any, state: Any, x: Any, ctx: Any) -> Any:
        x, s = x
        return x * (1.0 + s[..., None]), state, (x, s)

    def vjp(self, params: Any, residuals: Any, dy: Any) -> Any:
        x, s = residuals
        return {}, (dy * (1.0 + s[..., None]), np.sum(dy * x, axis=-1))


def test_a_stepwise_layer_of_a_user_gets_no_mask() -> None:
    y, _, _, (dx, _) = both(fn.serial(Halved()), (POISON, MASK), (DY, None))
    assert same(y, (np.where(MASK[..., None], 0.5 * X, 0.0), MASK))
    assert same(dx, np.where(MASK[..., None], 0.5 * DY, 0.0))
    assert same(fn.predict(Halved(), {}, {}, (POISON, MASK)), y)


def test_a_pair_of_floats_is_no_padded_sequence() -> None:
    fn.check_layer(fn.serial(Modulated()), SHAPE)
    s = X[..., 0]
    assert same(fn.predict(fn.serial(Modulated()), {}, {}, (X, s)), X * (1.0 + s[..., None]))


# ----- what is refused -------------------------------------------------------------------------------------------

ADVICE = "for a sequence and its mask write OnSequence({0}(…)), or pool the sequence with SequencePool"


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (
            fn.serial(fn.Conv1D(2, 3)),
            "conv_1d_0 (Conv1D): expected one array, got the shapes ((5, 2), (5,)); " + ADVICE.format("Conv1D"),
        ),
        (fn.Dense(2), "Dense: expected one array, got the shapes ((5, 2), (5,)); " + ADVICE.format("Dense")),
        (
            fn.OnSequence(fn.serial(fn.Conv1D(2, 3), fn.BatchNorm())),
            "conv_1d_0 (Conv1D): expected one array, got the shapes ((5, 2), (5,)); " + ADVICE.format("Conv1D"),
        ),
    ],
    ids=["a convolution", "a layer by itself", "statistics behind a convolution"],
)
def test_a_layer_that_looks_at_other_steps_gets_no_mask(layer: fn.Layer, message: str) -> None:
    with pytest.raises(fn.ShapeError) as caught:
        layer.out_shape(SHAPE)
    assert str(caught.value) == message


@pytest.mark.parametrize("layer", [fn.GroupNorm(2), fn.InstanceNorm(), fn.LayerNorm(axes=2), fn.RMSNorm(axes=2)])
def test_statistics_over_padded_steps_are_refused(layer: fn.Layer) -> None:
    for net in (fn.OnSequence(layer), fn.OnSequence(fn.Residual(fn.serial(fn.Dense(2), layer)))):
        with pytest.raises(fn.ShapeError) as caught:
            net.out_shape(SHAPE)
        assert str(caught.value) == (
            f"{type(layer).__name__}: normalizes over all steps of a sequence, padded ones too; normalize each step, "
            "with LayerNorm or RMSNorm, or all real steps of the batch, with BatchNorm"
        )
        assert net.out_shape(SHAPE[0]) == SHAPE[0]
    assert fn.OnSequence(fn.LayerNorm(axes=2)).out_shape(((5, 3, 2), (5,))) == ((5, 3, 2), (5,))


# ----- layers that look at other steps ----------------------------------------------------------------------

LENGTHS = (5, 3, 1, 2)
RIGHT = np.arange(5) < np.array(LENGTHS)[:, None]
SAME = {"padding": "same", "strides": 1}
CONV = fn.Conv1D(2, 3, padding="same")
NEIGHBOURS = {
    "convolution": CONV,
    "convolution first": fn.serial(CONV, fn.Relu(), fn.Dense(2)),
    "convolutions side by side": fn.serial(fn.branch(CONV, fn.Conv1D(2, 5, padding="same")), fn.Sum(), fn.Dense(2)),
    "a shortcut": fn.Residual(CONV),
    "a wrapper": fn.WeightNorm(CONV),
    "one repetition": fn.Repeat(CONV, 1),
    "mean": fn.AveragePool1D(3, **SAME),
    "maximum": fn.MaxPool1D(3, **SAME),
    "maximum in a wrapper": fn.Frozen(fn.MaxPool1D(2, strides=1, padding="causal")),
}


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_each_sequence_gets_what_it_gets_without_padding(name: str) -> None:
    """The oracle is each sequence alone, cut to its length, all negative so that 0 would be a maximum."""
    layer = NEIGHBOURS[name]
    x = -1.0 - np.abs(X)
    params, _ = layer.init(fn.Key(0), (5, 2), np.float64)
    params = fn.tree.map(lambda leaf: leaf + fn.Key(7).normal(leaf.shape), params)
    (y, _), _, saved = fn.OnSequence(layer).apply(params, {}, (np.where(RIGHT[..., None], x, np.nan), RIGHT), TRAIN)
    _, (dx, _) = fn.OnSequence(layer).vjp(params, saved, (DY, None))
    for i, length in enumerate(LENGTHS):
        one, _, residuals = layer.apply(params, {}, x[i : i + 1, :length], TRAIN)
        _, dx_one = layer.vjp(params, residuals, DY[i : i + 1, :length])
        np.testing.assert_allclose(y[i, :length], one[0], atol=1e-13)
        np.testing.assert_allclose(dx[i, :length], dx_one[0], atol=1e-13)
        assert not y[i, length:].any()
        assert not dx[i, length:].any()


MUST_KNOW = (
    "{0}: looks at other steps, so it must know itself which are padded; write OnSequence({0}(…)) in its place, "
    "and leave the outer OnSequence out"
)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (fn.serial(fn.Dense(2), CONV), MUST_KNOW.format("Conv1D")),
        (fn.serial(CONV, fn.Relu(), CONV), MUST_KNOW.format("Conv1D")),
        (fn.Residual(fn.serial(fn.LayerNorm(), CONV)), MUST_KNOW.format("Conv1D")),
        (fn.Repeat(CONV, 2), MUST_KNOW.format("Conv1D")),
        (fn.Graph("x", {"a": (fn.Dense(2), "x"), "b": (CONV, "a")}, "b"), MUST_KNOW.format("Conv1D")),
        (fn.serial(fn.MaxPool1D(3, **SAME), fn.Dense(2)), MUST_KNOW.format("MaxPool1D")),
        (fn.Residual(fn.MaxPool1D(3, **SAME)), MUST_KNOW.format("MaxPool1D")),
        (
            fn.AveragePool1D(3, count_padding=False, **SAME),
            "AveragePool1D: counts the padded steps of a sequence as entries of its windows; give count_padding=True",
        ),
    ],
)
def test_a_layer_that_would_read_what_others_give_in_padding_is_refused(layer: fn.Layer, message: str) -> None:
    with pytest.raises(fn.ShapeError) as caught:
        fn.OnSequence(layer).out_shape(SHAPE)
    assert str(caught.value) == message
    assert fn.OnSequence(layer).out_shape(SHAPE[0]) == SHAPE[0]  # without a mask all steps are real
