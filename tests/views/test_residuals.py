"""The histogram of residuals."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from funcnet.views.residuals import BINS, LEFT, SIDE, TALL, residuals_svg

SVG = "{http://www.w3.org/2000/svg}"


def bars(text):
    return [one for one in ET.fromstring(text).iter(SVG + "rect") if one.get("class") == "bar"]


def test_bars_are_as_high_as_their_rows():
    found = bars(residuals_svg(np.array([-1.0] * 3 + [1.0]), ""))
    heights = [float(one.get("height")) for one in found]
    assert heights == pytest.approx([TALL / 1.08, TALL / 1.08 / 3], abs=0.2)
    assert float(found[1].get("x")) - float(found[0].get("x")) == pytest.approx(SIDE * (BINS - 1) / BINS, abs=0.2)


@pytest.mark.parametrize("errors", [np.zeros(5), np.zeros(0), np.full(3, np.nan)])
def test_no_spread_and_no_rows_are_pictures_too(errors):
    assert len(bars(residuals_svg(errors, "<b>"))) == (len(errors) == 5)


def labels(text):
    """The numbers of the axis of rows."""
    found = [one.text for one in ET.fromstring(text).iter(SVG + "text") if one.get("text-anchor") == "end"]
    return [label for label in found if label != "0"]


def test_rows_are_counted_in_whole_numbers():
    assert labels(residuals_svg(np.array([-1.0, 1.0]), "")) == ["1"]
    assert labels(residuals_svg(np.array([-1.0, 1.0]), "", np.array([0.5, 0.2]))) == ["0.1", "0.2", "0.3", "0.4", "0.5"]


def test_bars_and_mean_have_the_weights_of_the_rows():
    drawn = residuals_svg(np.array([-1.0, 1.0, np.inf, 1.0]), "", np.array([1.0, 2.0, 9.0, 1.0]))
    heights = [float(one.get("height")) for one in bars(drawn)]
    assert heights == pytest.approx([TALL / 1.08 / 3, TALL / 1.08], abs=0.2)
    dashed = next(one for one in ET.fromstring(drawn).iter(SVG + "path") if one.get("stroke-dasharray"))
    assert float(dashed.get("d").split()[0][1:]) == pytest.approx(LEFT + SIDE * (1 + 0.5 / 1.001) / 2, abs=0.1)
    assert "weight" in [one.text for one in ET.fromstring(drawn).iter(SVG + "text")]
