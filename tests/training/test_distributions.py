"""Distributions while a network learns: what is written is true, and training does not notice."""

import json

import numpy as np
import pytest

import funcnet as fn
from funcnet import data, losses, optim, tree
from funcnet.training import distributions
from funcnet.training.distributions import LEVELS, MOST_MOMENTS, moment, moments, quantiles
from tests.training.test_resume import StopAt

FILE = "distributions.jsonl"


def experiment(**training):
    return fn.Experiment(
        seed=2,
        data=data.Iris(split=data.Split(validation=0.2, stratify=True), scale="standard"),
        model=fn.serial(fn.Dense(12), fn.BatchNorm(), fn.Relu(), fn.Dropout(0.3), head=fn.Dense(3)),
        loss=losses.SoftmaxCrossEntropy(),
        optimizer=optim.Adam(0.02),
        training=fn.Training(**({"epochs": 40, "batch_size": 16} | training)),
    )


def lines(folder):
    return [json.loads(line) for line in (folder / FILE).read_text(encoding="utf-8").splitlines()]


def equal(a, b):
    return all(np.array_equal(x, y) for x, y in zip(tree.leaves(a), tree.leaves(b), strict=True))


def bits(run):
    return [
        tree.flatten(run.train_state.params),
        tree.flatten(run.train_state.state),
        tree.flatten(run.train_state.opt_state),
        [{name: value for name, value in row.items() if name != "seconds"} for row in run.history],
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    return folder, fn.run(experiment(), folder)


def test_training_does_not_notice(whole):
    *trees, history = bits(whole[1])
    *others, same = bits(fn.run(experiment()))
    assert all(equal(a, b) for a, b in zip(trees, others, strict=True))
    assert history == same


def test_the_lines_are_those_of_the_first_and_the_last_step_and_between(whole):
    found = lines(whole[0])
    assert [line["step"] for line in found] == [0, 80, 160, 240, 320]
    assert whole[1].train_state.step == 320
    paths = ["dense_0/weight", "dense_0/bias", "batch_norm_0/scale", "batch_norm_0/bias", "head/weight", "head/bias"]
    for line in found:
        assert sorted(line["weights"]) == sorted(line["gradients"]) == sorted(paths)
        assert list(line["outputs"]) == ["dense_0", "batch_norm_0", "relu_0", "head"]  # noise is left out
    weight = whole[1].params["head"]["weight"].ravel()
    last = found[-1]["weights"]["head/weight"]
    assert last == pytest.approx(np.sort(weight)[[round(35 * level) for level in LEVELS]], rel=1e-3)


def test_gradients_and_dead_units_are_those_of_the_rows():
    """A unit of relu whose bias is far below 0 is dead, and so is its gradient."""
    net = fn.serial(fn.Dense(4), fn.Relu(), fn.Dense(1))
    params, state = net.init(fn.Key(0), (3,), np.float64)
    params["dense_0"]["bias"] = np.array([-100.0, 0.0, -100.0, 0.0])
    x, y = fn.Key(1).normal((20, 3)), np.ones((20, 1))
    loss = losses.MeanSquaredError()
    found = moment(net, loss, params, state, (x, y, None))
    assert found["outputs"]["relu_0"][-1] == 0.5
    assert found["outputs"]["dense_0"][-1] == 0.0
    grads = fn.value_and_grad(net, loss)(params, state, x, y, fn.EVAL)[2]
    assert found["gradients"]["dense_1/weight"] == pytest.approx(
        np.sort(np.abs(grads["dense_1"]["weight"]).ravel())[[round(3 * level) for level in LEVELS]], rel=1e-3
    )


def test_one_row_that_batch_norm_refuses_is_taken_in_evaluation_mode():
    net = fn.serial(fn.BatchNorm(), fn.Dense(1))
    params, state = net.init(fn.Key(0), (3,))
    x, y = np.ones((1, 3), np.float32), np.ones((1, 1), np.float32)
    found = moment(net, losses.MeanSquaredError(), params, state, (x, y, None))
    assert found["outputs"]["batch_norm_0"][0] == pytest.approx(1.0, rel=1e-4)


def test_quantiles_of_many_numbers_are_of_a_sample_and_the_extremes_of_all():
    values = np.arange(100_001.0)
    values[77_777] = -5.0
    found = quantiles(values)
    assert (found[0], found[-1]) == (-5.0, 100_000.0)
    assert found[3] == pytest.approx(50_000.0, rel=1e-3)


def test_numbers_that_are_not_finite_are_null():
    assert quantiles(np.array([np.nan, 1.0, 2.0]))[-1] is None
    assert quantiles(np.array([-np.inf, 1.0]))[0] is None


@pytest.mark.parametrize(("total", "count"), [(1, 1), (99, 1), (100, 2), (1000, 11), (10**9, MOST_MOMENTS)])
def test_a_short_training_has_few_moments(total, count):
    found = sorted(moments(total))
    assert len(found) == count
    assert found[-1] == total
    assert found[0] > 0


@pytest.mark.parametrize("step", [3, 150, 299])
def test_a_resumed_run_has_the_same_lines(tmp_path, whole, step):
    spec = experiment(checkpoint=fn.Checkpoint(every_steps=20))
    folder = tmp_path / "run"
    with pytest.raises(SystemExit):
        fn.run(spec, folder, callbacks=[StopAt(step)])
    fn.run(spec, folder, resume=True)
    assert (folder / FILE).read_bytes() == (whole[0] / FILE).read_bytes()


def test_one_that_fails_is_logged_once_and_training_goes_on(tmp_path, whole, monkeypatch, caplog):
    calls = []

    def fail(*_):
        calls.append(1)
        raise MemoryError("8 GB\nand more")

    monkeypatch.setattr(distributions, "moment", fail)
    run = fn.run(experiment(), tmp_path / "run")
    assert len(calls) == 1
    assert caplog.messages == [f"{tmp_path / 'run' / FILE}: ends here (MemoryError: 8 GB); training goes on"]
    assert equal(run.params, whole[1].params)
    assert not (tmp_path / "run" / FILE).exists()
    assert (tmp_path / "run" / "report.html").exists()


def test_a_user_s_callback_may_not_write_there(tmp_path):
    spec = experiment(callbacks=(fn.JsonLines(FILE),))
    with pytest.raises(fn.FuncnetError, match="expected a name in the run folder that the run and other callbacks"):
        fn.run(spec, tmp_path / "run")
