"""``start=``: training goes on from what it is given, all of it."""

import numpy as np
import pytest

import funcnet as fn
from funcnet import losses, optim, tree

NET = fn.serial(fn.Dense(8), fn.BatchNorm(), fn.Tanh(), fn.Dense(3))
LOSS = losses.SoftmaxCrossEntropy()
KEY = fn.Key(0)
X = 5.0 + 2.0 * KEY.fold("x").normal((120, 4), np.float32)
Y = np.argmax(X[:, :3], axis=1)
HOW = {"loss": LOSS, "key": KEY}


@pytest.fixture(scope="module")
def done():
    """A training of 20 epochs."""
    return fn.fit(NET, (X, Y), epochs=20, optimizer=optim.Adam(0.02), **HOW)


def accuracy(params, state):
    return fn.evaluate(NET, LOSS, params, state, (X, Y), [fn.metrics.Accuracy()])["accuracy"]


def test_the_state_comes_along(done, tmp_path):
    """One more step from a loaded network leaves it as good as it was; from params alone its statistics were lost."""
    ts = done.train_state
    before = accuracy(ts.params, ts.state)
    assert before > 0.95
    fn.save(tmp_path / "net.npz", NET, ts.params, ts.state)
    _, params, state = fn.load(tmp_path / "net.npz")
    for start in ((params, state), done, ts, fn.swap(ts, optim.Adam(0.02), keep_step=False)):
        total = 1 if (isinstance(start, tuple) and len(start) == 2) or getattr(start, "step", 1) == 0 else ts.step + 1
        after = fn.fit(NET, (X, Y), steps=total, optimizer=optim.Adam(0.02), start=start, **HOW).train_state
        assert after.step == total
        assert accuracy(after.params, after.state) > before - 0.03


def test_minimize_takes_the_state_too(done):
    pytest.importorskip("scipy")  # an extra
    ts = done.train_state
    for start in (done, ts, (ts.params, ts.state)):
        after = fn.minimize(NET, LOSS, (X, Y), start=start, options={"maxiter": 1}, key=KEY).train_state
        old, new = (one.state["batch_norm_0"]["running_mean"] for one in (ts, after))
        assert np.max(np.abs(new - old)) < 1.0 < np.max(np.abs(old))  # one part in ten moves to the batch's mean


def test_params_alone_of_a_network_with_state_are_refused(done):
    for call in (
        lambda start: fn.fit(NET, (X, Y), steps=1, optimizer=optim.SGD(0.1), start=start, **HOW),
        lambda start: fn.minimize(NET, LOSS, (X, Y), start=start, key=KEY),
    ):
        with pytest.raises(fn.ShapeError) as caught:
            call(done.train_state.params)
        assert str(caught.value) == (
            "start has params alone, and the network keeps a state too (batch_norm_0/running_mean, "
            "batch_norm_0/running_var), which would start over; give start=(params, state), a Fit or a Run"
        )


def test_params_alone_of_a_network_without_state_are_taken():
    net = fn.serial(fn.Dense(4), fn.Tanh(), fn.Dense(3))
    params, _ = net.init(fn.Key(3), (4,))
    after = fn.fit(net, (X, Y), steps=0, optimizer=optim.SGD(0.1), start=params, **HOW).train_state
    assert tree.equal(after.params, params)


def test_a_run_is_continued():
    experiment = fn.Experiment(
        data=fn.data.Iris(scale="standard"),
        model=fn.serial(fn.Dense(8), fn.BatchNorm(), fn.Relu(), fn.Dense(3)),
        loss=LOSS,
        optimizer=optim.SGD(0.1),
        training=fn.Training(epochs=2),
    )
    run = fn.run(experiment)
    data = fn.data.prepare(experiment.data, fn.Key(0)).train
    onward = fn.fit(experiment.model, data, epochs=3, optimizer=experiment.optimizer, start=run, **HOW)
    assert [row["epoch"] for row in onward.history] == [3]


@pytest.mark.parametrize("start", [3, "run", (1, 2), [{}, {}], ({},), NET], ids=str)
def test_anything_else_is_refused(start):
    with pytest.raises(fn.FuncnetError, match=r"^expected start as a Fit, a Run, a TrainState, \(params, state\), or"):
        fn.fit(NET, (X, Y), steps=1, optimizer=optim.SGD(0.1), start=start, **HOW)
