"""Scales of numbers of any size, with and without weights, and targets that a float type cannot hold."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

import funcnet as fn
from funcnet import data
from funcnet.data import prepare
from funcnet.data.scaling import SCALES, statistics
from funcnet.sklearn import FuncnetRegressor

X = np.random.default_rng(0).normal(size=(60, 3))
ROWS = np.arange(60)


@pytest.mark.parametrize("size", [1.0, 1e150, 1e-150, 1e-160, 1e-300, 1e-306])
@pytest.mark.parametrize("scale", SCALES)
def test_a_scale_does_not_depend_on_the_unit(scale: str, size: float) -> None:
    """Beside a column in another unit; squares of 1e-160 are 0 in float64."""
    _, _, shift, factor = statistics(X * [size, 1.0, 1.0], ROWS, scale, "")
    _, _, expected, wide = statistics(X, ROWS, scale, "")
    assert np.allclose(shift / [size, 1.0, 1.0], expected, rtol=1e-12, atol=0.0)
    assert np.allclose(factor / [size, 1.0, 1.0], wide, rtol=1e-12, atol=0.0)


@pytest.mark.parametrize("constant", [0.0, 1e-310, 1e-160, 0.1, 1e150])
def test_a_constant_has_the_factor_1(constant: float) -> None:
    assert statistics(np.full((60, 1), constant), ROWS, "standard", "")[3].tolist() == [1.0]


WEIGHTS = np.random.default_rng(1).uniform(0.1, 3.0, 60)


@pytest.mark.parametrize("size", [1.0, 1e-160, 1e150])
def test_weighted_scales_are_those_of_scikit_learn(size: float) -> None:
    fitted = FuncnetRegressor(epochs=1, random_state=0).fit(X * [size, 1.0, 1.0], X[:, 0], WEIGHTS)
    scaler = StandardScaler().fit(X, sample_weight=WEIGHTS)
    found = fitted.run_.preprocess["inputs"]
    assert np.allclose(np.array(found["mean"]) / [size, 1.0, 1.0], scaler.mean_)
    assert np.allclose(np.array(found["deviation"]) / [size, 1.0, 1.0], scaler.scale_)


def test_a_column_that_is_constant_where_it_weighs_is_not_divided_by_its_rounding() -> None:
    rows = X.copy()
    rows[:, 2] = 0.1
    rows[:20, 2] = 5.0
    weight = np.where(ROWS < 20, 1e-300, 0.37)
    fitted = FuncnetRegressor(epochs=1, random_state=0).fit(rows, X[:, 0], weight)
    assert fitted.run_.preprocess["inputs"]["deviation"][2] == pytest.approx(rows[:, 2].std())
    assert np.abs(fitted.predict(rows)).max() < 10.0


def of_size(y: Any, target_scale: Any, dtype: Any = "float32") -> fn.Run:
    experiment = fn.Experiment(
        data=data.Columns("y", target_scale=target_scale),
        model=fn.Dense(1),
        loss=fn.losses.MeanSquaredError(),
        optimizer=fn.optim.Adam(0.1),
        training=fn.Training(epochs=1),
        dtype=dtype,
    )
    return fn.run(experiment, data={"a": X[:, 0], "y": y})


@pytest.mark.parametrize("size", [1e45, 1e-50])
def test_targets_that_float32_cannot_hold_are_refused(size: float) -> None:
    """They were learnt as scaled, and predicted as infinity, or as 0."""
    message = (
        rf"expected targets that float32 can hold, 1e-38 to 3e\+38, got {np.abs(X[:, 0]).max() * size:.3g} as the "
    )
    message = message.replace("e+45", r"e\+45") + "largest; give them in another unit, or set dtype to float64$"
    with pytest.raises(fn.DataError, match=message):
        of_size(X[:, 0] * size, "standard")
    with pytest.raises(fn.DataError, match=message):
        FuncnetRegressor(epochs=1).fit(X.astype(np.float32), X[:, 0] * size)
    answer = of_size(X[:, 0] * size, "standard", "float64").predict({"a": [0.5]})
    assert np.isfinite(answer).all()
    assert np.all(answer != 0.0)


def test_targets_that_would_all_be_0_are_refused() -> None:
    with pytest.raises(fn.DataError, match="expected targets that float32 can hold"):
        of_size(X[:, 0] * 1e-50, None)
    with pytest.raises(fn.DataError, match=r"expected targets that float32 can hold, got .* in row 0; scale them"):
        of_size(X[:, 0] * 1e45, None)
    assert np.isfinite(of_size(np.zeros(60), "standard").predict({"a": [0.5]})).all()


@pytest.mark.parametrize("bad", [1e300, -1e39])
def test_other_targets_that_float32_cannot_hold_are_refused_too(bad: float) -> None:
    run = of_size(X[:, 0], None)
    with pytest.raises(fn.DataError, match=r"expected targets that float32 can hold, got .* in row 1; scale them"):
        run.evaluate({"a": [1.0, 2.0], "y": [1.0, bad]})


def test_unsigned_targets_beyond_int64_stay_positive(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.ones((2, 1)), y=np.array([2**63, 5], np.uint64))
    found = prepare(data.Npz("a.npz"), fn.Key(0), tmp_path)
    assert (found.train.y.dtype, found.train.y.tolist()) == (np.float32, [2.0**63, 5.0])
    np.savez(tmp_path / "a.npz", x=np.ones((2, 1)), y=np.array([2**63 - 1, 5], np.uint64))
    assert prepare(data.Npz("a.npz"), fn.Key(0), tmp_path).train.y.tolist() == [2**63 - 1, 5]
