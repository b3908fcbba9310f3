"""Losses of counts and amounts against scikit-learn, and the focal loss against PyTorch, recorded in ``scored.npz``."""

from __future__ import annotations

import math

import numpy as np
import pytest

import funcnet as fn
from funcnet import losses, metrics
from tests.golden import assert_agrees, cast, load_golden

GOLDEN = load_golden("scored")
SPECS: dict[str, losses.Loss] = {
    "poisson": losses.Poisson(),
    "gamma": losses.Gamma(),
    "tweedie": losses.Tweedie(),
    "tweedie_power": losses.Tweedie(power=1.2),
    "focal": losses.Focal(),
    "focal_fields": losses.Focal(gamma=0.5, alpha=0.6),
    "focal_plain": losses.Focal(gamma=0.0, alpha=0.5),
}
CASES = {f"{name}{weight}": loss for name, loss in SPECS.items() for weight in ("", "_sample_weight", "_term_weight")}
TOLERANCES: dict[type, tuple[float, float]] = {np.float64: (1e-10, 1e-15), np.float32: (1e-5, 1e-7)}
LOG_MEANS = {name: SPECS[name] for name in ("poisson", "gamma", "tweedie")}


def test_every_recorded_score_is_run() -> None:
    assert sorted(GOLDEN) == sorted(CASES)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("name", CASES)
def test_loss_agrees_with_the_recorded_one(name: str, dtype: type) -> None:
    case, (rtol, atol) = cast(GOLDEN[name], dtype), TOLERANCES[dtype]
    value, residuals = CASES[name].apply(case["prediction"], case["target"], case.get("weight"))
    assert_agrees(value, GOLDEN[name]["value"], rtol=rtol, atol=atol)
    assert_agrees(CASES[name].vjp(residuals, -2.5), -2.5 * GOLDEN[name]["gradient"], rtol=rtol, atol=atol)
    assert value.dtype == dtype


@pytest.mark.parametrize(
    ("loss", "z", "target", "value", "slope"),
    [
        (losses.Poisson(), -1000.0, 0.0, 0.0, 0.0),
        (losses.Poisson(), -1000.0, 2.0, 2000.0, -2.0),
        (losses.Poisson(), math.log(1e-30), 1.0, 69.07755278982137, -1.0),
        (losses.Gamma(), 1000.0, 3.0, 1000.0, 1.0),
        (losses.Gamma(), math.log(1e-30), 1e-30, 1.0 + math.log(1e-30), 0.0),
        (losses.Tweedie(), -1000.0, 0.0, 2.0 * math.exp(-500.0), math.exp(-500.0)),
        (losses.Focal(), 1000.0, 1.0, 0.0, 0.0),
        (losses.Focal(), -1000.0, 1.0, 250.0, -0.25),
        (losses.Focal(), 1000.0, 0.0, 750.0, 0.75),
        (losses.Focal(gamma=0.5), -1000.0, 0.0, 0.0, 0.0),
    ],
)
def test_extreme_outputs_have_their_limits(
    loss: losses.Loss, z: float, target: float, value: float, slope: float
) -> None:
    found, residuals = loss.apply(np.array([z]), np.array([target]))
    assert found == pytest.approx(value, rel=1e-12, abs=1e-300)
    assert loss.vjp(residuals)[0] == pytest.approx(slope, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(
    ("loss", "bad", "text"),
    [
        (
            losses.Poisson(),
            -1.0,
            "Poisson: expected targets of 0 or more, got -1.0 at row 1; counts are not scaled; "
            "for other values use MeanSquaredError",
        ),
        (
            losses.Gamma(),
            0.0,
            "Gamma: expected targets above 0, got 0.0 at row 1; amounts are not scaled; if some are 0 use Tweedie",
        ),
        (
            losses.Tweedie(),
            -2.0,
            "Tweedie: expected targets of 0 or more, got -2.0 at row 1; amounts are not scaled; "
            "for other values use MeanSquaredError",
        ),
        (
            losses.Focal(),
            -1.0,
            "Focal: expected targets 0 and 1, got -1.0 at row 1; for probabilities use SigmoidCrossEntropy",
        ),
    ],
)
def test_a_target_out_of_the_domain_is_named_unless_its_weight_is_0(loss: losses.Loss, bad: float, text: str) -> None:
    z, target = np.zeros((3, 1)), np.array([1.0, bad, 1.0])
    with pytest.raises(fn.DataError) as caught:
        loss.apply(z, target)
    assert str(caught.value) == text
    value, residuals = loss.apply(z, target, np.array([1.0, 0.0, 1.0]))
    assert value == loss.apply(z[:2], np.ones(2))[0]
    assert loss.vjp(residuals)[1] == 0.0


@pytest.mark.parametrize("name", LOG_MEANS)
def test_training_finds_the_mean_of_the_targets(name: str) -> None:
    """With a bias alone every loss is least at the mean."""
    loss, x, y = LOG_MEANS[name], np.zeros((4, 1), np.float32), np.array([1.0, 2.0, 3.0, 6.0], np.float32)
    fit = fn.fit(
        fn.Dense(1), (x, y), loss=loss, optimizer=fn.optim.Adam(0.05), epochs=300, batch_size=4, key=fn.Key(0),
        metrics=(metrics.Deviance(2.0),),
    )  # fmt: skip
    assert loss.link(fit.train_state.params["bias"]) == pytest.approx(3.0, rel=1e-3)


@pytest.mark.parametrize(
    ("mean", "target", "power", "value"),
    [
        (0.0, 0.0, 1.0, 0.0), (0.0, 1.0, 1.0, math.inf), (0.0, 0.0, 1.5, 0.0), (0.0, 1.0, 1.5, math.inf),
        (0.0, 1.0, 2.0, math.inf), (1e-30, 1e-30, 2.0, 0.0),
    ],
)  # fmt: skip
def test_deviance_of_a_mean_of_0(mean: float, target: float, power: float, value: float) -> None:
    assert metrics.Deviance(power)(np.array([mean]), np.array([target])) == value


@pytest.mark.parametrize(
    ("mean", "target", "power", "text"),
    [
        (-1.0, 1.0, 1.0, "predicted means of 0 or more, got -1.0 at row 1; for other values use RMSE, MAE or R2"),
        (1.0, -1.0, 1.0, "targets of 0 or more, got -1.0 at row 1; for other values use RMSE, MAE or R2"),
        (1.0, 0.0, 2.0, "targets above 0, got 0.0 at row 1; if some are 0 use a power below 2"),
    ],
)
def test_deviance_names_values_out_of_its_domain(mean: float, target: float, power: float, text: str) -> None:
    given = np.array([1.0, mean]), np.array([1.0, target])
    with pytest.raises(fn.DataError) as caught:
        metrics.Deviance(power)(*given)
    assert str(caught.value) == f"Deviance: expected {text}"
    assert metrics.Deviance(power)(*given, np.array([1.0, 0.0])) == 0.0
