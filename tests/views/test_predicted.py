"""The picture of predicted numbers: each SVG is read back and compared with the numbers that went in."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import funcnet as fn
from funcnet import losses
from funcnet.cli import main
from funcnet.views.predicted import MOST_POINTS, Target, predicted_svg
from funcnet.views.scores import Scored, pictures

SVG = "{http://www.w3.org/2000/svg}"
KEY = fn.Key(4)
OBSERVED = KEY.fold("t").normal((50,)) * 10.0 + 3.0
PREDICTED = OBSERVED + KEY.fold("p").normal((50,))


def parse(text: str | None) -> ET.Element:
    assert text is not None
    assert text.isascii()
    return ET.fromstring(text)


def texts(root: ET.Element) -> list[str]:
    return [str(text.text) for text in root.iter(f"{SVG}text")]


def points(root: ET.Element, kind: str) -> Any:
    found = [circle for circle in root.iter(f"{SVG}circle") if circle.get("class") == kind]
    return np.array([[float(str(circle.get(name))) for name in ("cx", "cy")] for circle in found])


def test_the_points_are_the_rows() -> None:
    """Both axes of each panel are linear in the numbers, and y runs upwards."""
    root = parse(predicted_svg([Target("price", PREDICTED, OBSERVED)], "predictions of test"))
    for kind, across, up in (("predicted", OBSERVED, PREDICTED), ("residual", PREDICTED, OBSERVED - PREDICTED)):
        places = points(root, kind)
        for values, pixels, sign in ((across, places[:, 0], 1), (up, places[:, 1], -1)):
            slope, start = np.polyfit(values, pixels, 1)
            assert np.sign(slope) == sign
            np.testing.assert_allclose(start + slope * values, pixels, atol=0.06)
    share = 1.0 - np.mean((OBSERVED - PREDICTED) ** 2) / OBSERVED.var()
    error = np.sqrt(np.mean((OBSERVED - PREDICTED) ** 2))
    assert f"price: R2 {share:.4g}, RMSE {error:.4g} of 50 rows" in texts(root)


def test_many_rows_and_targets_are_some_of_them() -> None:
    many = np.arange(10.0 * MOST_POINTS)
    root = parse(predicted_svg([Target(f"t{i}", many, many + i) for i in range(6)]))
    assert len(points(root, "predicted")) == 4 * MOST_POINTS
    assert "predictions, the first 4 of 6 targets" in texts(root)
    assert any(text.endswith(f"of {len(many):,} rows; {MOST_POINTS:,} of them drawn") for text in texts(root))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("numbers", [[5.0, 5.0], [0.0], [1e-300, 2e-300], [1e300, -1e300], [np.nan, 2.0, np.inf]])
def test_odd_numbers(numbers: list[float]) -> None:
    values = np.array(numbers)
    root = parse(predicted_svg([Target("a & b", values, values)]))
    assert np.isfinite(points(root, "residual")).all()
    assert len(points(root, "predicted")) == np.isfinite(values).sum()


def test_no_finite_number_is_no_picture() -> None:
    assert predicted_svg([Target("t", np.array([np.nan]), np.array([1.0]))]) is None


def test_the_middle_quantile_of_each_target() -> None:
    answers = np.stack([PREDICTED - 1.0, PREDICTED, PREDICTED + 1.0] * 2, axis=1)
    y = np.stack([OBSERVED, -OBSERVED], axis=1)
    blocks = [(answers[:20], y[:20], None), (answers[20:], y[20:], None)]
    loss = losses.Quantile((0.1, 0.5, 0.9))
    given = Scored("test", loss, (), None, y, lambda: iter(blocks), ["u", "v"], lambda values: values * 2.0)
    wanted = [Target("u", 2.0 * PREDICTED, 2.0 * OBSERVED), Target("v", 2.0 * PREDICTED, -2.0 * OBSERVED)]
    assert pictures(given) == {"predicted.svg": predicted_svg(wanted, "predictions of test")}


@pytest.mark.parametrize("whole", [True, False])
def test_whole_numbers_are_drawn_and_rows_count_by_their_weights(whole: bool) -> None:
    y = np.rint(OBSERVED * 10.0).astype(np.int64) if whole else OBSERVED
    weight = np.arange(len(y)) % 3
    blocks = [(PREDICTED[:20, None], y[:20], weight[:20]), (PREDICTED[20:, None], y[20:], weight[20:])]
    drawn = pictures(Scored("test", losses.MeanSquaredError(), (), None, y, lambda: iter(blocks), ["u"]))
    rmse = fn.metrics.RMSE()(PREDICTED[:, None], y[:, None].astype(float), weight)
    r2 = fn.metrics.R2()(PREDICTED[:, None], y[:, None].astype(float), weight)
    said = texts(parse(drawn["predicted.svg"]))
    assert f"u: R2 {r2:.4g}, RMSE {rmse:.4g} of 50 rows" in said


def test_evaluate_draws_it_in_the_units_of_the_data(tmp_path: Path, capsys: Any) -> None:
    table = {"x": OBSERVED.tolist(), "price": (1000.0 + 20.0 * OBSERVED).tolist()}
    lines = [f"{x!r},{y!r}" for x, y in zip(*table.values(), strict=True)]
    (tmp_path / "t.csv").write_text("\n".join(["x,price", *lines]) + "\n", encoding="utf-8")
    experiment = fn.Experiment(
        data=fn.data.Csv("t.csv", "price", scale="standard", target_scale="standard"),
        model=fn.Dense(1),
        loss=losses.MeanSquaredError(),
        metrics=(fn.metrics.RMSE(),),
        optimizer=fn.optim.Adam(0.05),
        training=fn.Training(epochs=5),
    )
    run = fn.run(experiment, tmp_path / "run", base=tmp_path)
    assert main(["evaluate", str(tmp_path / "run"), "--pictures"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"picture {tmp_path / 'run' / 'predicted.svg'}"
    said = texts(parse((tmp_path / "run" / "predicted.svg").read_text(encoding="utf-8")))
    assert any(f"RMSE {run.metrics['train']['rmse']:.4g} of 50 rows" in text for text in said)
