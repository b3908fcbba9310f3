"""Fans: bands between quantiles, on a common axis, with gaps where a number is not finite."""

import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from funcnet.views.fans import BOTTOM, DECADES, TOP, Fan, common_axis, fan_svg
from funcnet.views.svg import Axis

SVG = "{http://www.w3.org/2000/svg}"


def fan(rows, title="w"):
    return Fan(title, list(range(len(rows))), np.array(rows, float))


def shapes(found, name, axis=None):
    root = ET.fromstring(fan_svg(found, axis or common_axis([found]), "#0072b2", 10.0))
    return [[tuple(map(float, p.split(","))) for p in one.get("points").split()] for one in root.iter(SVG + name)]


def test_a_fan_has_a_band_for_each_pair_and_a_line_for_the_median():
    found = fan([[-3, -2, -1, 0, 1, 2, 3]] * 4)
    bands, lines = shapes(found, "polygon"), shapes(found, "polyline")
    assert [len(band) for band in bands] == [8, 8, 8]
    assert len(lines) == 1
    assert {y for _, y in lines[0]} == {(TOP + BOTTOM) / 2}
    heights = [max(y for _, y in band) - min(y for _, y in band) for band in bands]
    assert heights == sorted(heights, reverse=True)


def test_numbers_that_are_not_finite_are_gaps():
    rows = [[0.0, 1.0, 2.0], [0.0, math.nan, 2.0], [math.nan] * 3, [0.0, 1.0, 2.0], [0.0, 1.0, 2.0]]
    found = fan(rows)
    assert [len(line) for line in shapes(found, "polyline")] == [1, 2]
    assert [len(band) for band in shapes(found, "polygon")] == [4, 4]


def test_a_common_axis_holds_the_middle_of_all_and_no_outlier():
    small, large = fan([[-1e9, -1, 0, 1, 1e9]], "a"), fan([[-9, -2, 0, 2, 9]], "b")
    axis = common_axis([small, large])
    assert (axis.low, axis.high) == (-3.0, 3.0)


@pytest.mark.parametrize("rows", [[[0.0, 0.0, 0.0]], [[math.nan] * 3], [[5.0] * 3]])
@pytest.mark.parametrize("log", [False, True])
def test_an_axis_without_extent_is_one_all_the_same(rows, log):
    axis = common_axis([fan(rows)], log)
    assert axis.high > axis.low
    ET.fromstring(fan_svg(fan(rows), axis, "#0072b2", 0.0))


def test_a_logarithmic_axis_ends_some_decades_below_the_largest():
    axis = common_axis([fan([[1e-30, 1e-3, 1.0]])], log=True)
    assert axis.log
    assert axis.low >= math.floor(-DECADES - 0.05)
    assert axis.high >= 0.0
    line = shapes(fan([[0.0, 0.0, 1.0], [0.0, 0.1, 1.0]]), "polyline", axis)
    assert line[0][0][1] > BOTTOM  # 0 has no logarithm, and is below the plot
    assert TOP < line[0][1][1] < BOTTOM


def test_titles_are_escaped():
    assert "<script>" not in fan_svg(fan([[0, 1, 2]], "<script>"), common_axis([]), "#0072b2", 1.0)


@pytest.mark.parametrize("high", np.linspace(1.0, 10.0, 19).tolist())
def test_an_axis_has_two_labels_at_least(high):
    drawn = fan_svg(fan([[-1.0, 0.0, 1.0]] * 2), Axis(-high, 0.93 * high, BOTTOM, TOP), "#0072b2", 10.0)
    labels = [one.text for one in ET.fromstring(drawn).iter(SVG + "text")]
    assert len(labels) - 2 >= 2  # without those of the steps
