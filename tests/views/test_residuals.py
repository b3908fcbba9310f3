"""Predictions beside their targets, and the histogram of the errors."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from funcnet.views.residuals import BINS, LEFT, MOST_POINTS, SIDE, TALL, TOP, errors_svg, predicted_svg

SVG = "{http://www.w3.org/2000/svg}"


def points(text):
    (path,) = [one for one in ET.fromstring(text).iter(SVG + "path") if one.get("class") == "points"]
    return [tuple(map(float, pair)) for pair in re.findall(r"M([-0-9.]+) ([-0-9.]+)h0", path.get("d"))]


def bars(text):
    return [one for one in ET.fromstring(text).iter(SVG + "rect") if one.get("class") == "bar"]


def test_equal_values_lie_on_the_diagonal():
    values = np.array([1.0, 2.0, 5.0])
    for x, y in points(predicted_svg(values, values, "y")):
        assert x - LEFT == pytest.approx(TOP + SIDE - y, abs=0.11)


def test_many_points_are_thinned_out_and_others_left_out():
    values = np.arange(10_000.0)
    assert len(points(predicted_svg(values, values, ""))) == MOST_POINTS
    assert len(points(predicted_svg(np.array([1.0, np.nan, 2.0]), np.array([1.0, 1.0, np.inf]), ""))) == 1
    assert points(predicted_svg(np.zeros(0), np.zeros(0), "")) == []


def test_bars_are_as_high_as_their_rows():
    found = bars(errors_svg(np.array([-1.0] * 3 + [1.0]), ""))
    heights = [float(one.get("height")) for one in found]
    assert heights == pytest.approx([TALL / 1.08, TALL / 1.08 / 3], abs=0.2)
    assert float(found[1].get("x")) - float(found[0].get("x")) == pytest.approx(SIDE * (BINS - 1) / BINS, abs=0.2)


@pytest.mark.parametrize("errors", [np.zeros(5), np.zeros(0), np.full(3, np.nan)])
def test_no_spread_and_no_rows_are_pictures_too(errors):
    assert len(bars(errors_svg(errors, "<b>"))) == (len(errors) == 5)
