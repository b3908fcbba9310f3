"""Pictures of a classifier's answers: each SVG is read back and compared with the answers that went in."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

import funcnet as fn
from funcnet import losses
from funcnet.metrics import RocAuc
from funcnet.views.confusion import confusion_svg
from funcnet.views.roc import LEFT, SIDE, TOP, Curve, roc_svg
from funcnet.views.scores import Scored, confusion, left_out, pictures, roc
from tests.cli import SMALL, called

SVG = "{http://www.w3.org/2000/svg}"
KEY = fn.Key(21)
CE = losses.SoftmaxCrossEntropy()


def parse(text: str | None) -> ET.Element:
    assert text is not None
    assert text.isascii()
    return ET.fromstring(text)


def texts(root: ET.Element) -> list[str]:
    return [str(text.text) for text in root.iter(f"{SVG}text")]


def cells(root: ET.Element) -> list[tuple[float, ...]]:
    """x, y, side and share of the cells."""
    found = [rect for rect in root.iter(f"{SVG}rect") if rect.get("class") == "cell"]
    names = ("x", "y", "width", "fill-opacity")
    return [tuple(float(str(rect.get(name))) for name in names) for rect in found]


def made(rows: int, classes: int) -> tuple[Any, Any]:
    """Probabilities that are often right, and labels."""
    y = KEY.fold("y").integers(classes, (rows,))
    z = KEY.fold("z").normal((rows, classes)) + 1.5 * (y[:, None] == np.arange(classes))
    return CE.link(z), y


def scored(p: Any, y: Any, classes: list[str] | None = None, loss: Any = CE, **more: Any) -> Scored:
    """In two blocks, as a large part comes."""
    half = len(y) // 2
    blocks = [(p[:half], y[:half], None), (p[half:], y[half:], None)]
    return Scored("test", loss, (), classes, y, lambda: iter(blocks), **more)


def test_the_cells_of_a_confusion_matrix() -> None:
    """Blue and orange by the share of the true class; a cell without rows and a class without any stay empty."""
    matrix = np.array([[6, 2, 0], [1, 0, 3], [0, 0, 0]])
    root = parse(confusion_svg(matrix, ["猫", "a class with a name too long for its place", "c"], "the title"))
    assert texts(root)[:4] == ["the title", "accuracy 0.5 of 12 rows", "predicted", "true"]
    assert [text for text in texts(root) if text.isdigit()] == ["6", "2", "1", "3"]
    assert texts(root).count("猫") == 2
    assert any(text.startswith("a class with") and text.endswith("…") for text in texts(root))
    places = cells(root)
    x, y, side = places[0][:3]
    share = [0.08 + 0.92 * part for part in (6 / 8, 2 / 8, 1 / 4, 3 / 4)]
    assert [place[3] for place in places] == pytest.approx(share, abs=0.005)
    assert [place[:2] for place in places] == [(x, y), (x + side, y), (x, y + side), (x + 2 * side, y + side)]
    fills = [rect.get("fill") for rect in root.iter(f"{SVG}rect") if rect.get("class") == "cell"]
    assert fills == ["#0072b2", "#d55e00", "#d55e00", "#d55e00"]
    weighted = parse(confusion_svg(matrix / 8, list("abc")))
    assert texts(weighted)[:2] == ["confusion matrix", "accuracy 0.5 of 1.5 rows"]
    units = {"steps": "accuracy 0.5 of 12 steps", "weight": "accuracy 0.5 of a weight of 12"}
    assert {u: texts(parse(confusion_svg(matrix, list("abc"), unit=u)))[1] for u in units} == units
    for wrong in (matrix[:2], np.zeros((3, 3)), np.ones((2, 2))):
        with pytest.raises(fn.DataError, match="expected a matrix of 3 × 3 classes with at least one row"):
            confusion_svg(wrong, list("abc"))


@pytest.mark.parametrize(("classes", "named"), [(2, 2), (20, 20), (100, 34), (150, 34)])
def test_a_confusion_matrix_of_many_classes_stays_in_its_frame(classes: int, named: int) -> None:
    matrix = np.eye(classes) + np.diag(np.ones(classes - 1), 1)
    matrix[0, -1] = 5.0
    root = parse(confusion_svg(matrix, [f"class {i}" for i in range(classes)]))
    frame = next(rect for rect in root.iter(f"{SVG}rect") if rect.get("class") == "frame")
    left, top, wide = (float(str(frame.get(name))) for name in ("x", "y", "width"))
    assert wide <= 500
    assert all(left - 0.1 <= x and x + s <= left + wide + 0.1 and top - 0.1 <= y for x, y, s, _ in cells(root))
    assert left + wide <= float(str(root.get("width")))
    assert sum(text.startswith("class ") for text in texts(root)) == 2 * named
    said = "; the 100 of 150 classes most often mistaken" * (classes > 100)
    assert texts(root)[1].endswith(f"rows{said}")
    assert texts(root).count("class 0") == 2  # the class that is mistaken most often


@pytest.mark.parametrize("classes", [2, 4])
def test_the_curve_goes_where_scikit_learn_has_it(classes: int) -> None:
    p, y = made(300, classes)
    p = np.round(p, 1)  # ties
    root = parse(roc(scored(p, y, list("abcd")[:classes])))
    lines = [line for line in root.iter(f"{SVG}polyline") if line.get("class") == "curve"]
    assert len(lines) == (1 if classes == 2 else 4)
    areas = []
    for line, label in zip(lines, [1] if classes == 2 else range(4), strict=True):
        false, true, _ = roc_curve(y == label, p[:, label], drop_intermediate=False)
        places = np.array([point.split(",") for point in str(line.get("points")).split()], float)
        bends = np.stack([(places[:, 0] - LEFT) / SIDE, 1.0 - (places[:, 1] - TOP) / SIDE], axis=1)
        steps = np.linspace(0.0, 1.0, 500)[:, None, None]
        drawn = (bends[:-1] + steps * np.diff(bends, axis=0)).reshape(-1, 2)
        away = np.abs(drawn[:, None] - np.stack([false, true], axis=1)).max(axis=-1)
        assert away.min(axis=0).max() < 0.004  # about a pixel
        areas.append(roc_auc_score(y == label, p[:, label]))
        assert f"{areas[-1]:.3f}" in texts(root)
    said = f"area {areas[0]:.4f}" if classes == 2 else f"mean area {np.mean(areas):.4f}, each against the rest"
    assert texts(root)[:2] == ["ROC curve of test", said]
    assert f"area {RocAuc()(p, y):.4f}" in said


def test_ten_curves_at_most_and_classes_without_rows() -> None:
    p, y = made(400, 12)
    y = np.where(y == 5, 6, y)
    root = parse(roc(scored(p, y)))
    assert len(list(root.iter(f"{SVG}polyline"))) == 10
    area = {i: roc_auc_score(y == i, p[:, i]) for i in range(12) if i != 5}
    assert texts(root)[1] == f"mean area {np.mean(list(area.values())):.4f}, each against the rest"
    assert {"the lowest 10 of 11", "1 not drawn, of no row or every row"} <= set(texts(root))
    assert f"{max(area.values()):.3f}" not in texts(root)
    one = parse(roc(scored(p, np.full(400, 3))))
    assert texts(one)[1] == "no curve: all rows are of one class"
    steep = Curve("steep", np.ones(40000), np.ones(40000), 0.5)
    assert len(roc_svg([steep])) < 5000  # points that no eye can tell apart are left out


def test_only_classifiers_have_pictures_and_several_labels_have_curves() -> None:
    p, y = made(40, 3)
    assert list(pictures(scored(p, y))) >= ["confusion.svg", "roc.svg"]
    assert list(pictures(scored(p[:, 0], y * 1.5, loss=losses.MeanSquaredError()))) == ["predicted.svg"]
    assert pictures(scored(np.stack([p, p], axis=1), y * 1.5, loss=losses.MeanSquaredError())) == {}
    one = scored(p[:, :1], y % 2, ["no", "yes"], losses.SigmoidCrossEntropy())
    assert {"no", "yes"} <= set(texts(parse(confusion(one))))
    assert "yes" in texts(parse(roc(one)))
    held = (KEY.fold("held").uniform((40, 3)) < 0.5).astype(float)
    labels = scored(p, held, ["0", "1"], losses.SigmoidCrossEntropy(), outputs=["sweet", "sour", "salty"])
    assert confusion(labels) is None
    assert {"sweet", "sour", "salty"} <= set(texts(parse(roc(labels))))
    assert roc(scored(np.full((4, 2), np.nan), y[:4] % 2)) is None
    huge = scored(p, y)
    assert roc(evolve_targets(huge, 10**8)) is None
    why = "a ROC curve needs all 300,000,000 answers at once, and more than 67,108,864 are too many"
    assert left_out(evolve_targets(huge, 10**8)) == {"roc.svg": why}
    assert left_out(huge) == {}


def evolve_targets(one: Scored, rows: int) -> Scored:
    """A part that claims a number of rows."""
    return Scored(one.part, one.loss, (), None, np.broadcast_to(one.targets[:1], (rows,)), one.answers)


def test_the_command_draws_them(tmp_path: Path) -> None:
    (tmp_path / "small.json").write_text(SMALL, encoding="utf-8")
    assert called(tmp_path, "train", "small.json", "--out", "run", "--progress", "none").status == 0
    result = called(tmp_path, "evaluate", "run", "--pictures")
    assert (result.status, result.err) == (0, "")
    run = fn.load_run(tmp_path / "run")
    for name in ("confusion", "roc"):
        assert f"picture {Path('run') / name}.svg" in result.out.splitlines()
        shown = texts(parse((tmp_path / "run" / f"{name}.svg").read_text(encoding="utf-8")))
        assert set(run.classes or ()) <= set(shown)
    assert f"accuracy {run.metrics['test']['accuracy']:.4g} of 30 rows" in texts(
        parse((tmp_path / "run" / "confusion.svg").read_text(encoding="utf-8"))
    )
