"""The reliability diagram: bars, gaps and points on their places, and where the command draws it."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

import funcnet as fn
from funcnet.cli import main
from funcnet.metrics import CalibrationError
from funcnet.views.reliability import LEFT, SIDE, reliability_svg

SVG = "{http://www.w3.org/2000/svg}"


def parse(text):
    assert text.isascii()
    return ET.fromstring(text)


def bars(root, kind):
    found = [rect for rect in root.iter(f"{SVG}rect") if rect.get("class") == kind]
    return [[float(rect.get(name)) for name in ("x", "y", "width", "height")] for rect in found]


def test_bars_points_and_figures_stand_where_the_rows_say():
    """Four bins: none, one answer of 0.5 that is wrong, two of 0.7 of which one is right, five of 0.9, all right."""
    root = parse(reliability_svg([0, 1, 2, 5], [0, 0.5, 1.4, 4.5], [0, 0, 1, 5], "reliability of test"))
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert texts[:4] == [
        "reliability of test",
        "accuracy 0.75",
        "mean confidence 0.8",
        "where both are equal; expected calibration error 0.175",  # (0.5 + 0.4 + 0.5) / 8
    ]
    frame = next(rect for rect in root.iter(f"{SVG}rect") if rect.get("class") == "frame")
    top, quarter = float(frame.get("y")), SIDE / 4
    assert bars(root, "accuracy") == [
        [LEFT + 2 * quarter + 0.5, top + SIDE / 2, quarter - 1, SIDE / 2],
        [LEFT + 3 * quarter + 0.5, top, quarter - 1, SIDE],
    ]
    gaps = [(y - top, height) for _, y, _, height in bars(root, "gap")]
    assert gaps == [pytest.approx(gap) for gap in [(0.5 * SIDE, 0.5 * SIDE), (0.3 * SIDE, 0.2 * SIDE), (0, 0.1 * SIDE)]]
    points = [(float(c.get("cx")) - LEFT, float(c.get("cy")) - top) for c in root.iter(f"{SVG}circle")]
    assert points == [pytest.approx(p) for p in [(0.5 * SIDE, SIDE), (0.7 * SIDE, SIDE / 2), (0.9 * SIDE, 0.0)]]
    heights = [height for *_, height in bars(root, "rows")]
    assert heights == pytest.approx([heights[-1] / 5, heights[-1] * 2 / 5, heights[-1]], abs=0.06)
    with pytest.raises(fn.DataError, match="expected three sums for each bin, of at least one row"):
        reliability_svg([0, 0], [0, 0], [0, 0])


def test_evaluate_draws_the_answers_of_a_classifier(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    metric = CalibrationError(5)
    split = fn.data.Split(test=0.5)
    rest = {"optimizer": fn.optim.Adam(0.02), "training": fn.Training(epochs=2)}
    moons = fn.Experiment(
        data=fn.data.Moons(noise=0.4, split=split),
        model=fn.serial(fn.Dense(8), fn.Tanh(), fn.Dense(2)),
        loss=fn.losses.SoftmaxCrossEntropy(),
        metrics=(metric,),
        **rest,
    )
    fn.run(moons, "moons")
    assert main(["evaluate", "moons", "--pictures"]) == 0
    assert f"picture {Path('moons') / 'reliability.svg'}" in capsys.readouterr().out.splitlines()
    root = parse((tmp_path / "moons" / "reliability.svg").read_text(encoding="utf-8"))
    score = fn.load_run("moons").metrics["test"][metric.name]
    assert f"where both are equal; expected calibration error {score:.4g}" in [t.text for t in root.iter(f"{SVG}text")]
    assert np.ptp([x for x, *_ in bars(root, "rows")]) < SIDE
    assert main(["evaluate", "moons", "--pictures", "--part", "train", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pictures"][0] == str(Path("moons") / "reliability.svg")
    text = (tmp_path / "moons" / "reliability.svg").read_text(encoding="utf-8")
    assert "<title>reliability of train</title>" in text
    loss = fn.losses.MeanSquaredError()
    fn.run(fn.Experiment(data=fn.data.Sine(split=split), model=fn.Dense(1), loss=loss, **rest), "sine")
    assert main(["evaluate", "sine", "--pictures"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"picture {Path('sine') / 'predicted.svg'}"
    assert not list((tmp_path / "sine").glob("rel*"))
