"""``fit`` takes what people write: tags, seeds, shares, x and y apart."""

import numpy as np
import pytest

import funcnet as fn
from funcnet import losses, metrics, optim

NET = fn.serial(fn.Dense(4), fn.Tanh(), fn.Dense(3))
X = fn.Key(0).normal((40, 3), np.float32)
Y = np.argmax(X, axis=1)
SPECS = {"loss": losses.SoftmaxCrossEntropy(), "optimizer": optim.Adam(), "key": fn.Key(0)}
PLAIN = {"loss": "softmax_cross_entropy", "optimizer": "adam", "key": 0}


def test_tags_and_a_seed_are_their_specs():
    by_spec = fn.fit(NET, (X, Y), epochs=3, metrics=[metrics.Accuracy()], **SPECS)
    by_tag = fn.fit(NET, (X, Y), epochs=3, metrics=["accuracy"], **PLAIN)
    assert by_tag.train_state == by_spec.train_state
    assert by_tag.history[-1]["accuracy"] == by_spec.history[-1]["accuracy"]
    node = {"type": "sgd", "learning_rate": 0.1, "momentum": 0.9}
    by_node = fn.fit(NET, X, Y, epochs=3, **{**PLAIN, "optimizer": node})
    sgd = optim.SGD(0.1, momentum=0.9)
    assert by_node.train_state == fn.fit(NET, (X, Y), epochs=3, **{**SPECS, "optimizer": sgd}).train_state


def test_a_share_of_the_rows_is_held_out():
    done = fn.fit(NET, (X, Y), epochs=2, validation=0.25, batch_size=10, **PLAIN)
    assert done.train_state.step == 2 * 3
    order = fn.Key(0).fold("validation").permutation(40)
    there, here = np.sort(order[:10]), np.sort(order[10:])
    by_hand = fn.fit(NET, (X[here], Y[here]), epochs=2, validation=(X[there], Y[there]), batch_size=10, **SPECS)
    assert by_hand.train_state == done.train_state
    assert by_hand.history[-1]["validation/loss"] == done.history[-1]["validation/loss"]


@pytest.mark.parametrize("early", [3, fn.EarlyStopping(patience=3)])
def test_early_stopping_is_a_patience_or_a_spec(early):
    labels = np.random.default_rng(0).integers(0, 3, 40)  # nothing to learn
    options = {**PLAIN, "optimizer": {"type": "adam", "learning_rate": 0.05}}
    done = fn.fit(NET, X, labels, epochs=500, validation=0.5, early_stopping=early, **options)
    assert done.stopped == "EarlyStopping"
    best = min(range(len(done.history)), key=lambda i: done.history[i]["validation/loss"])
    assert len(done.history) == best + 1 + 3


def test_progress_prints_rows(capsys):
    fn.fit(NET, (X, Y), epochs=3, progress=True, **PLAIN)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["epoch", "loss"]
    assert [line.split()[0] for line in lines[1:]] == ["1", "2", "3"]
