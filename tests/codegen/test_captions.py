"""The equations beside printed statements are those of the configuration."""

import attrs
import pytest

import funcnet as fn
from funcnet.codegen.captions import layer_caption, loss_caption

NORMAL = "y = scale * (x - mean) / sqrt(var + eps) + bias"


@attrs.frozen
class Dropout(fn.Layer):
    """Somebody's layer: ``y = x + 1``."""


@attrs.frozen
class Wider(fn.Dense):
    """A field more."""

    more: int = 0


@attrs.frozen
class Doubled(fn.Dense):
    """``y = 2 (x @ weight)``"""

    def apply(self, params, state, x, ctx):
        return super().apply(params, state, x, ctx)


@pytest.mark.parametrize(
    ("layer", "forward", "backward"),
    [
        (fn.Gelu(approximate=True), "tanh(sqrt(2 / pi) (x + 0.044715 x**3))", "1 - t**2"),
        (fn.Gelu(), "y = x Phi(x)", "(Phi(x) + x Phi'(x)) dy"),
        (fn.BatchNorm(frozen=True), NORMAL, "dx = r g, g = scale * dy"),
        (fn.BatchNorm(), NORMAL, "mean(x_hat g)"),
        (fn.Residual(fn.Dense(3), fn.Dense(3)), "y = g(x) + f(x)", "dx = dg(x) + df(x)"),
        (fn.Residual(fn.Dense(3)), "y = x + f(x)", "dx = dy + df(x)"),
        (fn.RMSNorm(use_bias=True), "y = scale * x / sqrt(mean(x**2) + eps) + bias", "dbias = sum dy"),
        (fn.RMSNorm(use_scale=False), "y = x / sqrt(mean(x**2) + eps)", "with g = dy: dx"),
        (fn.RNN(3, activation="relu"), "h' = relu(x @ weight", "dz = dh' where h' > 0, else 0"),
        (fn.GRU(3, reset_after=False), "((r h) @ recurrent_weight)_n", "dr = h d(r h)"),
        (fn.Embedding(4, 3, padding_index=0), "y = weight[x]", "but 0 for the padding index"),
        (fn.Conv1D(4, 3, groups=2), "+ bias, for each group of channels", "dbias = sum dy"),
        (fn.ConvTranspose1D(4, 3), "@ weight[k], + bias once", "dbias = sum dy"),
        (fn.ConvTranspose2D(4, 3), "y = the transposed convolution of x", "of a transposed convolution"),
        (fn.MultiHeadAttention(2, causal=True), "+ b_o, causal", "p the softmax"),
        (Dropout(), "y = x + 1", ""),
        (Wider(3), "y = x @ weight + bias", "dx = dy weight.T"),
        (Doubled(3), "y = 2 (x @ weight)", ""),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, fn.Layer) else "",
)
def test_the_equations_of_a_layer(layer, forward, backward):
    found = layer_caption(layer)
    assert forward in found[0]
    assert backward in found[1]


@pytest.mark.parametrize(
    ("loss", "labels", "forward", "backward"),
    [
        (fn.losses.Hinge(squared=True), False, "max(0, 1 - s z)**2 / n", "dz = -2 s max(0, 1 - s z) / n"),
        (fn.losses.CategoricalHinge(), True, "sum max(0, 1 + max_{k != y} z_k - z_y) / n", "dz = (e - q) / n"),
        (fn.losses.CategoricalHinge(squared=True), False, "sum_k q_k z_k)**2 / n, with q = y", "dz = 2 root(term)"),
        (fn.losses.SoftmaxCrossEntropy(), False, "with q = y", "dz = (softmax(z) - q) / n"),
        (fn.losses.SoftmaxCrossEntropy(0.2), True, "q = 0.8 one_hot(y) + 0.2 / classes", "softmax(z) - q"),
        (fn.losses.NegativeLogLikelihood(0.3), True, "q = 0.7 one_hot(y) + 0.3 / classes", "dz = -q / n"),
        (fn.losses.Tweedie(), False, "/ n, with r the power", "/ n"),
        (fn.losses.Focal(), False, "/ n, with q = sigma(s)", "/ n"),
    ],
)
def test_the_equations_of_a_loss(loss, labels, forward, backward):
    found = loss_caption(loss, labels)
    assert forward in found[0]
    assert backward in found[1]


def test_the_page_knows_labels_from_probabilities():
    net, loss = fn.Dense(3), fn.losses.SoftmaxCrossEntropy()
    labels = fn.source(net, (2,), 4, loss, target=fn.Key(1).integers(3, (4,)))
    shares = fn.source(net, (2,), 4, loss, target=fn.Key(1).uniform((4, 3)))
    assert "with q = one_hot(y)\n" in labels
    assert "with q = y\n" in shares
