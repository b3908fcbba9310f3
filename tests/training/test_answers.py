"""Probabilities and labels from what a network gives, by the loss's link."""

import numpy as np
import pytest

import funcnet as fn
from funcnet import losses
from funcnet.training.probabilities import label_of, proba_of

IDENTITY = fn.Identity()
LOGITS = np.array([[2.0, -1.0, 0.5], [0.0, 0.0, 0.0], [-3.0, 4.0, 4.0]])


def test_softmax_gives_a_probability_to_each_class():
    p = fn.predict_proba(IDENTITY, losses.SoftmaxCrossEntropy(), {}, {}, LOGITS)
    e = np.exp(LOGITS)
    np.testing.assert_allclose(p, e / e.sum(axis=1, keepdims=True), rtol=1e-15)
    labels = fn.predict_label(IDENTITY, losses.SoftmaxCrossEntropy(), {}, {}, LOGITS)
    assert labels.tolist() == [0, 0, 1]  # the first of equals


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_one_probability_becomes_two(shape):
    x = np.array([-2.0, 0.0, 3.0]).reshape(shape)
    one = 1.0 / (1.0 + np.exp(-x.reshape(-1)))
    p = fn.predict_proba(IDENTITY, losses.SigmoidCrossEntropy(), {}, {}, x)
    np.testing.assert_allclose(p, np.stack([1.0 - one, one], axis=1), rtol=1e-14)
    assert fn.predict_label(IDENTITY, losses.SigmoidCrossEntropy(), {}, {}, x).tolist() == [0, 1, 1]
    again = fn.predict_proba(IDENTITY, losses.BinaryCrossEntropy(), {}, {}, one.reshape(shape))
    np.testing.assert_allclose(again, p, rtol=1e-14)


@pytest.mark.parametrize("shape", [(4, 3), (2, 2, 3)])
def test_several_labels_are_0_or_1_each(shape):
    x = np.array([-2.0, 0.0, 3.0, 1.0, 2.0, -1.0, -1.0, -1.0, -1.0, 5.0, 5.0, 5.0]).reshape(shape)
    expected = (x >= 0.0).astype(np.int64)
    p = 1.0 / (1.0 + np.exp(-x))
    for loss, given in ((losses.SigmoidCrossEntropy(), x), (losses.BinaryCrossEntropy(), p)):
        np.testing.assert_allclose(fn.predict_proba(IDENTITY, loss, {}, {}, given), p, rtol=1e-14)
        labels = fn.predict_label(IDENTITY, loss, {}, {}, given)
        assert labels.dtype == np.int64
        np.testing.assert_array_equal(labels, expected)
    squared = fn.predict_label(IDENTITY, losses.MeanSquaredError(), {}, {}, x)  # one-hot targets, one class per row
    np.testing.assert_array_equal(squared, np.argmax(x, axis=-1))


def test_several_labels_of_each_member():
    x = np.array([-2.0, 0.0, 3.0, 1.0, 2.0, -1.0, -1.0, -1.0, -1.0, 5.0, 5.0, 5.0]).reshape(2, 2, 3)
    labels = fn.predict_label(IDENTITY, losses.EachMember(losses.SigmoidCrossEntropy()), {}, {}, x)
    np.testing.assert_array_equal(labels, (np.mean(1.0 / (1.0 + np.exp(-x)), axis=1) >= 0.5).astype(np.int64))
    assert labels.tolist() == [[0, 1, 1], [1, 1, 1]]
    classes = fn.predict_label(IDENTITY, losses.EachMember(losses.SoftmaxCrossEntropy()), {}, {}, x)
    np.testing.assert_array_equal(classes, np.argmax(np.mean(fn.ops.softmax(x), axis=1), axis=-1))


def test_the_loss_comes_second_and_its_earlier_place_is_understood():
    loss = losses.SoftmaxCrossEntropy()
    for f in (fn.predict_proba, fn.predict_label):
        np.testing.assert_array_equal(f(IDENTITY, {}, {}, LOGITS, loss), f(IDENTITY, loss, {}, {}, LOGITS))
    with pytest.raises(fn.FuncnetError) as caught:
        fn.predict_proba(IDENTITY, {}, {}, LOGITS, LOGITS)
    assert str(caught.value).startswith("expected a loss after the network: (net, loss, params, state, x)")


def test_many_rows_go_in_batches():
    x = np.linspace(-4.0, 4.0, 60).reshape(20, 3)
    whole = fn.predict_proba(IDENTITY, losses.SoftmaxCrossEntropy(), {}, {}, x)
    np.testing.assert_array_equal(
        fn.predict_proba(IDENTITY, losses.SoftmaxCrossEntropy(), {}, {}, x, batch_size=7), whole
    )


def test_a_loss_without_probabilities():
    with pytest.raises(fn.ShapeError) as error:
        fn.predict_proba(IDENTITY, losses.MeanSquaredError(), {}, {}, LOGITS)
    assert str(error.value) == (
        "MeanSquaredError gives no probabilities; train with SoftmaxCrossEntropy, SigmoidCrossEntropy or "
        "BinaryCrossEntropy, or use the values of predict"
    )
    assert fn.predict_label(IDENTITY, losses.MeanSquaredError(), {}, {}, LOGITS).tolist() == [0, 0, 1]


def test_several_outputs():
    for call in (
        lambda: label_of(losses.SoftmaxCrossEntropy(), (LOGITS, LOGITS)),
        lambda: proba_of(losses.SigmoidCrossEntropy(), (LOGITS,)),
    ):
        with pytest.raises(fn.ShapeError) as error:
            call()
        assert str(error.value) == "expected one output, got several; use predict and take the output with classes"
