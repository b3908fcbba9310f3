"""A network of several outputs has a table of them, and its worst rows."""

import attrs
import numpy as np
import pytest

import funcnet as fn
from funcnet import data, losses, optim
from funcnet.experiments.report.outputs import named
from tests.pages import tags_end
from tests.reports import rows_of, text_of


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A network that predicts a mean and the logarithm of a variance."""
    folder = tmp_path_factory.mktemp("several") / "run"
    with tags_end():

        @fn.register("test.normal")
        @attrs.frozen
        class Normal(losses.Loss):
            additive = True

            def divisor(self, target, weight=None):
                return float(np.size(target))

            def apply(self, prediction, target, weight=None, divisor=None):
                (mean, spread), divisor = prediction, divisor or self.divisor(target)
                error = mean - target.reshape(mean.shape)
                value = np.sum(0.5 * (spread + error**2 * np.exp(-spread))) / divisor
                return value, (error, spread, divisor)

            def vjp(self, residuals, dy=1.0):
                error, spread, divisor = residuals
                share = dy / divisor
                return share * error * np.exp(-spread), share * 0.5 * (1.0 - error**2 * np.exp(-spread))

        experiment = fn.Experiment(
            data=data.Diabetes(split=data.Split(test=0.2), scale="standard", target_scale="standard"),
            model=fn.branch(mean=fn.Dense(1), spread=fn.Dense(1)),
            loss=Normal(),
            optimizer=optim.Adam(0.01),
            training=fn.Training(epochs=1),
        )
        yield folder, fn.run(experiment, folder)


def test_each_output_has_its_range(run):
    folder, run = run
    rows = rows_of(text_of(folder), "The 2 outputs of the network")
    table = data.Diabetes().table(folder, fn.Key(0))
    worst = rows_of(text_of(folder), "The worst 12 of the test part (88 rows)")
    assert worst[0][:3] == ["row", "loss", "true"]
    for row in worst[1:]:
        assert float(row[2]) == table.y.ravel()[int(row[0])]
    assert [row[:2] for row in rows[1:]] == [["0", "1"], ["1", "1"]]
    least, median, largest = (float(rows[1][i]) for i in (2, 4, 6))
    assert least <= median <= largest
    assert "left out (" not in text_of(folder)


def test_nested_outputs_have_paths():
    value = {"a": (np.zeros(1), np.ones(1)), "b": np.zeros(2)}
    assert [path for path, _ in named(value)] == ["a/0", "a/1", "b"]
