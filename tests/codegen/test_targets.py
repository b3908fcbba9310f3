"""The demonstration of a printed file draws targets that the loss takes."""

import numpy as np
import pytest

import funcnet as fn
from funcnet import losses

LABELS, MASK = np.zeros((4, 6), np.int64), np.ones((4, 6), bool)


@pytest.mark.parametrize(
    ("loss", "target"),
    [
        (losses.Gamma(), None),
        (losses.Poisson(), None),
        (losses.Hinge(), None),
        (losses.Focal(), None),
        (losses.KullbackLeibler(), None),
        (losses.CategoricalHinge(), LABELS),
        (losses.SoftmaxCrossEntropy(), LABELS.astype(np.uint8)),
        (losses.SoftmaxCrossEntropy(), (LABELS, MASK)),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("planned", [False, True])
def test_the_script_runs(loss, target, planned, capsys):
    masked = isinstance(target, tuple)
    shape = ((6, 2), (6,)) if masked else (6, 2)
    net = fn.serial(fn.Dense(3), fn.LSTM(3)) if masked else fn.Dense(3)
    text = fn.source(net, shape, 4, loss, fn.optim.SGD(0.01), target=target, planned=planned)
    exec(text, {"__name__": "__main__"})
    losses_shown = [float(line.split()[1]) for line in capsys.readouterr().out.splitlines()]
    assert len(losses_shown) == 20
    assert np.all(np.isfinite(losses_shown))


def test_several_outputs_have_their_own_targets(capsys):
    net = fn.branch(fn.Dense(3), fn.Dense(1))
    loss = losses.Multi((losses.SoftmaxCrossEntropy(), losses.Poisson()))
    target = np.zeros(4, np.int64), np.ones((4, 1), np.float32)
    text = fn.source(net, (2,), 4, loss, fn.optim.SGD(0.01), target=target)
    assert "rng.integers(3, size=(4,))" in text
    exec(text, {"__name__": "__main__"})
    assert len(capsys.readouterr().out.splitlines()) == 20
