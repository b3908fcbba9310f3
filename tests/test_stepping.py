"""Step by step equals the whole sequence; text is drawn as asked."""

import numpy as np
import pytest
from attrs import frozen

import funcnet as fn
from funcnet.cli import main
from funcnet.combinators.residual import Residual
from funcnet.data.sources.text import ALPHABET, decode, encode
from funcnet.laws.layers import check_steps
from funcnet.networks.decoding import draw

VECTORS = {
    "rnn": fn.serial(fn.RNN(4, activation="relu"), fn.Dense(2)),
    "lstm": fn.serial(fn.LayerNorm(), fn.LSTM(4), fn.Residual(fn.LSTM(4)), fn.Softmax()),
    "gru": fn.serial(fn.GRU(3, reset_after=False), fn.Dropout(0.5), fn.BatchNorm(), fn.GRU(2), fn.Glu()),
    "attention": fn.serial(fn.MultiHeadAttention(1, causal=True), fn.transformer_block(3, 3, causal=True)),
    "positions": fn.serial(fn.LearnedPositions(9), fn.SinusoidalPositions(), fn.MultiHeadAttention(1, causal=True)),
    "rotary": fn.serial(fn.Dense(8), fn.MultiHeadAttention(4, True, 2, rotary=fn.RotaryPositions(base=50.0))),
    "convolution": fn.serial(
        fn.Conv1D(4, 3, padding="causal", dilation=2), fn.Relu(), fn.Conv1D(2, 1, padding="causal")
    ),
    "graph": fn.Graph(
        "x",
        {"a": (fn.LSTM(3), "x"), "b": (fn.GRU(3), "x"), "c": (fn.Sum(), ("a", "b", "x")), "d": (fn.Dense(1), "c")},
        "d",
    ),
    "wrappers": fn.serial(fn.Remat(fn.GRU(3)), fn.Repeat(fn.serial(fn.Dense(3)), 2), fn.WeightNorm(fn.LSTM(3))),
    "branch": fn.serial(fn.branch(fn.LSTM(2), fn.Identity()), fn.Concat(), fn.Dense(2)),
    "copies": fn.serial(fn.Repeat(fn.GRU(3), 2), fn.Repeat(fn.serial(fn.LSTM(3), fn.Dense(3)), 2, shared=True)),
}


@pytest.mark.parametrize("name", VECTORS)
def test_every_step_equals_the_whole_sequence(name):
    net, x = VECTORS[name], fn.Key(1).normal((2, 7, 3))
    params, state = net.init(fn.Key(0), (7, 3), np.float64)
    whole = fn.predict(net, params, state, x)
    start, step = fn.stepper(net)
    carry = start(2, 7)
    for t in range(7):
        before = carry
        y, carry = step(params, state, carry, x[:, t])
        np.testing.assert_allclose(y, whole[:, t], rtol=1e-10, atol=1e-12)
        again, _ = step(params, state, before, x[:, t])  # the carry is a value
        np.testing.assert_array_equal(y, again)
    with pytest.raises(fn.ShapeError) as caught:
        step(params, state, carry, x[:, 0])
    assert str(caught.value) == "expected at most 7 steps; start anew, or with a larger max_length"


def last(layer):
    return layer(3, return_sequences=False)


POOLED = {
    "last": fn.serial(fn.GRU(3), fn.SequencePool("last"), fn.Dense(2)),
    "mean": fn.serial(fn.GRU(3), fn.SequencePool("mean"), fn.Dense(2)),
    "max": fn.serial(fn.GRU(3), fn.SequencePool("max"), fn.Dense(2)),
    "recurrent": fn.serial(last(fn.GRU), fn.Residual(fn.Dense(3)), fn.Dense(2)),
    "two": fn.serial(fn.branch(last(fn.LSTM), last(fn.GRU)), fn.Concat(), fn.Dense(2)),
    "in copies": fn.serial(fn.Repeat(fn.GRU(3), 2), last(fn.LSTM)),
    "steps of its result": fn.serial(last(fn.GRU), fn.Reshape((3, 1)), fn.GRU(2), fn.Flatten()),
}


@pytest.mark.parametrize("name", POOLED)
def test_pooling_gives_what_it_gives_for_the_sequence_so_far(name):
    net = POOLED[name]
    x = fn.Key(1).normal((2, 5, 3))
    params, state = net.init(fn.Key(0), (5, 3), np.float64)
    start, step = fn.stepper(net)
    carry = start(2)
    for t in range(5):
        y, carry = step(params, state, carry, x[:, t])
        np.testing.assert_allclose(y, fn.predict(net, params, state, x[:, : t + 1]), rtol=1e-10, atol=1e-12)


def test_a_pooled_value_beside_a_sequence():
    net = fn.branch(fn.SequencePool("max"), fn.GRU(2))
    params, state = net.init(fn.Key(0), (5, 3), np.float64)
    x = fn.Key(1).normal((2, 5, 3))
    start, step = fn.stepper(net)
    carry = start(2)
    for t in range(5):
        y, carry = step(params, state, carry, x[:, t])
    pooled, sequence = fn.predict(net, params, state, x)
    np.testing.assert_allclose(y[0], pooled, rtol=1e-10)
    np.testing.assert_allclose(y[1], sequence[:, -1], rtol=1e-10)


def test_a_captured_sequence_before_a_pooled_output():
    net = fn.Capture(fn.serial(fn.GRU(3), pool=fn.SequencePool("mean"), head=fn.Dense(2)), ("gru_0", "pool"))
    params, state = net.init(fn.Key(0), (5, 3), np.float64)
    x = fn.Key(1).normal((2, 5, 3))
    start, step = fn.stepper(net)
    carry, sequence = start(2), []
    for t in range(5):
        (y, values), carry = step(params, state, carry, x[:, t])
        sequence.append(values["gru_0"])
    expected, captured = fn.predict(net, params, state, x)
    np.testing.assert_allclose(y, expected, rtol=1e-10)
    np.testing.assert_allclose(values["pool"], captured["pool"], rtol=1e-10)
    np.testing.assert_allclose(np.stack(sequence, axis=1), captured["gru_0"], rtol=1e-10)


@frozen
class Mean(Residual):
    """A combinator of a user that looks at all steps, derived from one that does not."""

    def apply(self, params, state, x, ctx):
        y, state, residuals = super().apply(params, state, x, ctx)
        return y - y.mean(axis=1, keepdims=True), state, residuals


@frozen
class MeanRelu(fn.Relu):
    def apply(self, params, state, x, ctx):
        return super().apply(params, state, x - x.mean(axis=1, keepdims=True), ctx)


@frozen
class MeanGru(fn.GRU):
    def apply(self, params, state, x, ctx):
        return super().apply(params, state, x - x.mean(axis=1, keepdims=True), ctx)


@frozen
class Claims(MeanRelu):
    stepwise = True


@frozen
class Doubled(MeanRelu):
    """Not the same steps, but a step for each."""

    stepwise = True

    def apply(self, params, state, x, ctx):
        return fn.Relu.apply(self, params, state, 2.0 * x, ctx)

    def vjp(self, params, residuals, dy):
        return {}, 2.0 * fn.Relu.vjp(self, params, residuals, dy)[1]


def test_a_layer_of_a_user_declares_that_it_is_stepwise():
    """The laws check the declaration."""
    fn.check_layer(Doubled(), (4, 3))
    x = fn.Key(0).normal((2, 4, 3))
    start, step = fn.stepper(Doubled())
    np.testing.assert_array_equal(step({}, {}, start(2), x[:, 0])[0], np.maximum(2.0 * x[:, 0], 0.0))
    with pytest.raises(fn.LawError) as caught:
        check_steps(Claims(), {}, {}, x)
    assert str(caught.value) == (
        "Claims: breaks the law 'a step equals that of the whole sequence': stepwise is not true of it"
    )


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (fn.Bidirectional(fn.LSTM(2)), "runs from the end, so it cannot run step by step"),
        (
            fn.MultiHeadAttention(1),
            "looks at steps to come; make it causal, without additive_bias, to run step by step",
        ),
        (fn.Conv1D(2, 3), "sees steps to come; give padding='causal' and strides=1 to run step by step"),
        (fn.LayerNorm(axes=2), "normalizes over time; give axes=1 to run step by step"),
        (
            fn.Flatten(),
            "Flatten cannot run step by step: it may look at other steps; if it never does, write stepwise = True in",
        ),
        (fn.Ensemble(fn.GRU(2), 2), "Ensemble cannot run step by step: it may look at other steps"),
        (Mean(fn.GRU(3)), "Mean cannot run step by step: it may look at other steps"),
        (MeanRelu(), "MeanRelu cannot run step by step: it may look at other steps"),
        (MeanGru(2), "MeanGru cannot run step by step: it may look at other steps"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_needs_steps_to_come_is_refused(net, message):
    params, state = net.init(fn.Key(0), (4, 3))
    start, step = fn.stepper(net)
    with pytest.raises(fn.ShapeError) as caught:
        step(params, state, start(2), np.zeros((2, 3), np.float32))
    assert message in str(caught.value)


def test_another_batch_is_refused():
    net = fn.LSTM(2)
    params, state = net.init(fn.Key(0), (4, 3))
    start, step = fn.stepper(net)
    with pytest.raises(fn.ShapeError) as caught:
        step(params, state, start(2), np.zeros((3, 3), np.float32))
    assert str(caught.value) == "expected a step of the 2 rows that it started with, got 3"


# ----- sampling ------------------------------------------------------------------------------------------------

PROMPT = "expected a prompt of indices (batch, time), time at least 1"
COUNTER = fn.serial(fn.Embedding(5, 5), fn.Dense(5, use_bias=False))
"""Set so that after i comes i + 1"""


def counting():
    return {"embedding_0": {"weight": 9.0 * np.eye(5)}, "dense_0": {"weight": np.roll(np.eye(5), 1, axis=1)}}, {}


def test_generate_goes_on_from_the_prompt():
    params, state = counting()
    for options in ({"temperature": 0.0}, {"top_k": 1}, {"temperature": 0.0, "context": 2}):
        drawn = fn.generate(COUNTER, params, state, np.array([[0, 1], [2, 3]]), 6, fn.Key(1), **options)
        assert drawn.tolist() == [[2, 3, 4, 0, 1, 2], [4, 0, 1, 2, 3, 4]]
    assert fn.generate(COUNTER, params, state, np.array([[0]]), 0, fn.Key(1)).shape == (1, 0)


def test_draws_follow_their_probabilities():
    logits = np.log(np.tile([0.5, 0.3, 0.2], (20_000, 1)))
    shares = np.bincount(draw(logits, fn.Key(0), 1.0, None), minlength=3) / 20_000
    np.testing.assert_allclose(shares, [0.5, 0.3, 0.2], atol=0.015)
    shares = np.bincount(draw(logits, fn.Key(1), 1.0, 2), minlength=3) / 20_000
    np.testing.assert_allclose(shares, [0.625, 0.375, 0.0], atol=0.015)
    np.testing.assert_array_equal(draw(logits, fn.Key(2), 0.0, None), 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"prompt": np.zeros((1, 2))},
            "expected a prompt of indices (batch, time), time at least 1, got float64 of shape (1, 2)",
        ),
        (
            {"prompt": np.zeros((1, 0), int)},
            "expected a prompt of indices (batch, time), time at least 1, got int64 of shape (1, 0)",
        ),
        ({"length": -1}, "expected a length of 0 or more, got -1"),
        ({"top_k": 0}, "expected top_k of 1 or more, got 0"),
        ({"temperature": -0.5}, "expected a temperature of 0 or more, got -0.5"),
        ({"context": 1}, "expected a context of 2 steps or more, got 1"),
    ],
)
def test_sampling_mistakes(change, message):
    params, state = counting()
    given = {"prompt": np.zeros((1, 1), int), "length": 3, "key": fn.Key(0)} | change
    with pytest.raises(fn.FuncnetError) as caught:
        fn.generate(COUNTER, params, state, given.pop("prompt"), given.pop("length"), given.pop("key"), **given)
    assert str(caught.value) == message


def test_text_there_and_back():
    assert decode(encode("def f(x):\n    return x  # é")) == "def f(x):\n    return x  # "
    assert len(ALPHABET) == len(set(ALPHABET)) == 96


def test_the_command(tmp_path, capsys):
    (tmp_path / "text.txt").write_text("abcabcabcabc" * 30, encoding="utf-8")
    e = fn.Experiment(
        model=fn.serial(fn.Embedding(96, 8), fn.GRU(16), fn.Dense(96)),
        loss=fn.losses.SoftmaxCrossEntropy(),
        optimizer=fn.optim.Adam(0.02),
        data=fn.data.Text("text.txt", length=12),
        training=fn.Training(epochs=20, batch_size=8),
    )
    fn.save_spec(tmp_path / "abc.json", e)
    assert main(["train", str(tmp_path / "abc.json"), "--out", str(tmp_path / "run"), "--progress", "none"]) == 0
    capsys.readouterr()
    run = str(tmp_path / "run")
    assert main(["generate", run, "--prompt", "ab", "--length", "10", "--temperature", "0"]) == 0
    assert capsys.readouterr().out == "abcabcabcabc\n"
    assert main(["generate", run, "--prompt", "é"]) == 1
    assert capsys.readouterr().err == ("funcnet: --prompt: expected at least one character of the alphabet, got 'é'\n")
