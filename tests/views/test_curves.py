"""The picture of a history: every test reads the SVG back and compares places on it with numbers."""

import csv
import io
import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from funcnet.views.curves import MOST_POINTS, TRAINING, VALIDATION, curve_panels, curves_svg, overlaid_panels

SVG = "{http://www.w3.org/2000/svg}"


def parse(history, title=""):
    text = curves_svg(history, title)
    assert text.isascii()
    return ET.fromstring(text)


def panels(root):
    return {group.find(f"{SVG}title").text: group for group in root.findall(f"{SVG}g")}


def texts(element):
    return [text.text for text in element.iter(f"{SVG}text")]


def lines(panel, colour=TRAINING):
    """The curves of one colour, each a list of (x, y) pixels."""
    return [
        [tuple(map(float, place.split(","))) for place in line.get("points").split()]
        for line in panel.iter(f"{SVG}polyline")
        if line.get("stroke") == colour
    ]


def circles(panel, kind):
    found = [circle for circle in panel.iter(f"{SVG}circle") if circle.get("class") == kind]
    return [(float(c.get("cx")), float(c.get("cy")), c.get("stroke") or c.get("fill")) for c in found]


def ticks(panel, anchor):
    """{label: pixel} of the y axis (anchor "end") or the x axis ("middle")."""
    labels = [text for text in panel.iter(f"{SVG}text") if text.get("text-anchor") == anchor]
    if anchor == "end":
        return {t.text: float(t.get("y")) - 3.5 for t in labels if t.get("x") == "54.0"}
    return {t.text: float(t.get("x")) for t in labels if t.get("y") == "230.0"}


def flat(pixels):
    return [number for pixel in pixels for number in pixel]


def by_epoch(name, values):
    return [{"step": 10 * i, "epoch": i, name: value} for i, value in enumerate(values, 1)]


def test_points_stand_where_the_values_say():
    # x: 0 to 4 on 60 to 340, 70 pixels an epoch. y: 1 to 3 and a margin of 0.1 on 216 up to 74.
    (line,) = lines(panels(parse(by_epoch("loss", [3.0, 2.0, 1.5, 1.0])))["loss"])
    y = {value: 216 - (value - 0.9) / 2.2 * 142 for value in (3.0, 2.0, 1.5, 1.0)}
    assert flat(line) == pytest.approx([130, y[3.0], 200, y[2.0], 270, y[1.5], 340, y[1.0]], abs=0.051)


def test_ticks_are_round_and_agree_with_the_points():
    panel = panels(parse(by_epoch("loss", [3.0, 2.0, 1.5, 1.0])))["loss"]
    assert list(ticks(panel, "middle")) == ["0", "1", "2", "3", "4"]
    assert list(ticks(panel, "end")) == ["1.0", "1.5", "2.0", "2.5", "3.0"]
    (line,) = lines(panel)
    expected = [
        (ticks(panel, "middle")[x], ticks(panel, "end")[y])
        for x, y in zip("1234", ("3.0", "2.0", "1.5", "1.0"), strict=True)
    ]
    assert flat(line) == pytest.approx(flat(expected), abs=0.11)


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0.0, 1.0], ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        ([-2.0, 3.0], ["-2", "-1", "0", "1", "2", "3"]),
        ([0.971, 0.974], ["0.9710", "0.9715", "0.9720", "0.9725", "0.9730", "0.9735", "0.9740"]),
        ([1e-5, 3e-5], ["1.0e-5", "1.5e-5", "2.0e-5", "2.5e-5", "3.0e-5"]),
        ([2e7, 8e7], ["2e7", "3e7", "4e7", "5e7", "6e7", "7e7", "8e7"]),
        ([150000.0, 400000.0], ["150000", "200000", "250000", "300000", "350000", "400000"]),
    ],
)
def test_tick_labels(values, labels):
    assert list(ticks(panels(parse(by_epoch("acme.gain", values)))["acme.gain"], "end")) == labels


@pytest.mark.parametrize(
    ("name", "values", "log"),
    [
        ("loss", [1.0, 0.1, 0.01], True),
        ("loss", [1.0, 0.1, 0.03], True),  # 1.52 decades
        ("loss", [1.0, 0.1, 0.04], False),  # 1.40
        ("loss", [1.0, 0.01, 0.0], False),
        ("loss", [1.0, 0.01, -0.01], False),
        ("loss", [1e-200, 1.0, 1e200], True),
        ("validation/loss", [1.0, 0.01], True),
        ("mean_absolute_error", [10.0, 0.01], True),
        ("rmse", [10.0, 0.01], True),
        ("accuracy", [0.01, 0.9], False),  # more is better: what counts is near 1
        ("acme.gain", [0.01, 0.9], False),
    ],
)
def test_log_axis_when_less_is_better_and_values_span_decades(name, values, log):
    panel = panels(parse(by_epoch(name, values)))[name.removeprefix("validation/")]
    assert texts(panel)[0] == name.removeprefix("validation/") + " (log scale)" * log


def test_log_axis_has_a_decade_everywhere_equally_high():
    panel = panels(parse(by_epoch("loss", [100.0, 10.0, 1.0, 0.1, 0.01])))["loss"]
    # 4 decades and 0.2 on either side
    decades = [216 - (power + 2.2) / 4.4 * 142 for power in (2, 1, 0, -1, -2)]
    assert [y for _, y in lines(panel)[0]] == pytest.approx(decades, abs=0.051)
    assert ticks(panel, "end") == pytest.approx(
        dict(zip(["100", "10", "1", "0.1", "0.01"], decades, strict=True)), abs=0.051
    )


def test_log_axis_of_few_decades_also_names_2_and_5():
    panel = panels(parse(by_epoch("loss", [1.0, 0.02])))["loss"]
    assert list(ticks(panel, "end")) == ["0.02", "0.05", "0.1", "0.2", "0.5", "1"]


@pytest.mark.parametrize("hole", [math.nan, math.inf, -math.inf, 1e301])
def test_values_that_are_not_finite_leave_a_gap(hole):
    panel = panels(parse(by_epoch("loss", [5.0, 4.0, hole, 2.0, hole, 2.0, 1.0])))["loss"]
    first, last = lines(panel)
    assert [x for x, _ in first] == pytest.approx([100, 140])
    assert [x for x, _ in last] == pytest.approx([300, 340])
    ((x, _, colour),) = circles(panel, "point")  # alone between two gaps
    assert (x, colour) == (220, TRAINING)
    assert "2 not finite" in texts(panel)


def test_missing_values_leave_no_gap():
    history = [
        {"step": 5, "epoch": 0.5, "loss": 3.0},
        {"step": 10, "epoch": 1, "loss": 2.0, "validation/loss": 2.5},
        {"step": 15, "epoch": 1.5, "loss": 1.5, "validation/loss": None},
        {"step": 20, "epoch": 2, "loss": 1.0, "validation/loss": 1.5},
    ]
    panel = panels(parse(history))["loss"]
    assert [x for x, _ in lines(panel)[0]] == [130, 200, 270, 340]
    assert [x for x, _ in lines(panel, VALIDATION)[0]] == [200, 340]
    assert not any("not finite" in text for text in texts(panel))


@pytest.mark.parametrize(
    ("steps", "labels"),
    [
        ((20, 40, 60, 100), {"0": 60, "0.2": 116, "0.4": 172, "0.6": 228, "0.8": 284, "1.0": 340}),
        ((5, 10, 20), {"0": 60, "0.05": 130, "0.10": 200, "0.15": 270, "0.20": 340}),
        ((40,), {"0": 60, "0.2": 130, "0.4": 200, "0.6": 270, "0.8": 340}),
        ((100,), {"1": 200}),
        ((100, 200), {"0": 60, "1": 200, "2": 340}),
    ],
)
def test_rows_stand_by_epoch_even_within_one(steps, labels):
    history = [{"step": step, "epoch": step / 100, "loss": 1.0 / step} for step in steps]
    panel = panels(parse(history))["loss"]
    assert "epoch" in texts(panel)
    assert "step" not in texts(panel)
    assert ticks(panel, "middle") == labels
    places = [x for line in lines(panel) for x, _ in line] or [x for x, _, _ in circles(panel, "point")]
    high = max(float(label) for label in labels) if len(steps) > 1 else 0.8
    assert places == pytest.approx([60 + 280 * step / 100 / high for step in steps] if steps != (100,) else [200])


def test_rows_without_epochs_stand_by_step():
    panel = panels(parse([{"step": step, "loss": 1.0 / step} for step in (20, 40, 60, 100)]))["loss"]
    assert "step" in texts(panel)
    assert [x for x, _ in lines(panel)[0]] == [116, 172, 228, 340]


def test_a_single_row_is_a_point():
    panel = panels(parse([{"step": 100, "epoch": 1, "loss": 0.5, "validation/loss": 0.5}]))["loss"]
    assert lines(panel) == lines(panel, VALIDATION) == circles(panel, "best") == []
    assert circles(panel, "point") == [(200, 145, TRAINING), (200, 145, VALIDATION)]
    assert ticks(panel, "middle") == {"1": 200}


@pytest.mark.parametrize("value", [0.0, 0.25, -3.0, 1e-12, -1e200])
def test_a_constant_lies_in_the_middle(value):
    (line,) = lines(panels(parse(by_epoch("loss", [value, value])))["loss"])
    assert line == [(200, 145), (340, 145)]


@pytest.mark.parametrize(
    ("name", "values", "best", "epoch"),
    [
        ("loss", [3.0, 1.0, 2.0], "1", 2),
        ("log_loss", [3.0, 1.0, 2.0], "1", 2),
        ("cross_entropy", [3.0, 1.0, 1.0], "1", 2),  # the first of equals
        ("negative_log_likelihood", [3.0, math.nan, 2.0], "2", 3),
        ("mae", [-1.0, -math.inf, 2.0], "-1", 1),
        ("accuracy", [0.3, 0.9, 0.8], "0.9", 2),
        ("r2", [-5.0, 0.25, 0.5], "0.5", 3),
    ],
)
def test_best_validation_value_is_written_and_ringed(name, values, best, epoch):
    panel = panels(parse(by_epoch(f"validation/{name}", values)))[name]
    assert f"validation {values[-1]:.4g}, best {best} at epoch {epoch}" in texts(panel)
    ((x, y, colour),) = circles(panel, "best")
    assert colour == VALIDATION
    assert x == pytest.approx(60 + 280 / 3 * epoch, abs=0.051)
    drawn = [point for line in lines(panel, VALIDATION) for point in line]
    assert (x, y) in drawn + [(x, y) for x, y, _ in circles(panel, "point")]


def test_no_best_where_the_name_does_not_tell():
    panel = panels(parse(by_epoch("validation/acme.gain", [3.0, 1.0, 2.0])))["acme.gain"]
    assert "validation 2" in texts(panel)
    assert circles(panel, "best") == []


def test_far_outliers_are_cut_off_and_said():
    values = [-500.0, -20.0, 0.0, 0.5, 0.6, 0.7, 0.8, 0.85, 0.88, 0.9]
    panel = panels(parse(by_epoch("r2", values)))["r2"]
    assert "cut off: down to -500" in texts(panel)
    (line,) = lines(panel)
    assert line[0][1] > line[1][1] > 216  # below the plot, where the inner svg hides it
    assert line[-1][1] - 74 < 10
    assert line[3][1] - line[-1][1] > 10
    inner = panel.find(f"{SVG}svg")
    assert inner.get("viewBox") == "54 74 292 142"
    assert (inner.get("y"), inner.get("height")) == ("74", "142")


@pytest.mark.parametrize("values", [[-1e299, 1e299], [1e-299, 2e-299, 0.0], [-1.0, -1e250, -1.1, -1.0, -1.2]])
def test_coordinates_stay_numbers_that_viewers_can_draw(values):
    for line in lines(panels(parse(by_epoch("loss", values)))["loss"]):
        assert all(abs(number) <= 5000 for number in flat(line))


@pytest.mark.parametrize("holes", [0, 40])
def test_thousands_of_rows_are_thinned_and_keep_extremes(holes):
    values = 2.0 + np.sin(np.arange(6000) / 50.0)
    values[1234], values[4321] = 9.0, -7.0
    values[3000 : 3000 + holes] = np.nan
    panel = panels(parse([{"step": i, "loss": v} for i, v in enumerate(values)]))["loss"]
    found = lines(panel)
    points = [point for line in found for point in line]
    assert len(found) == (2 if holes else 1)
    assert MOST_POINTS // 2 < len(points) <= MOST_POINTS
    assert points == sorted(points, key=lambda point: point[0])
    y = {value: 216 - (value + 7.8) / 17.6 * 142 for value in (9.0, -7.0)}
    x = [60 + i / 5999 * 280 for i in (1234, 4321)]
    assert min(points, key=lambda p: p[1]) == pytest.approx((x[0], y[9.0]), abs=0.051)
    assert max(points, key=lambda p: p[1]) == pytest.approx((x[1], y[-7.0]), abs=0.051)
    assert (points[0][0], points[-1][0]) == (60, 340)


def test_learning_rate_has_a_panel_only_if_it_changes():
    history = by_epoch("loss", [3.0, 2.0])
    for row in history:
        row["learning_rate"] = 0.1
    assert list(panels(parse(history))) == ["loss"]
    history[1]["learning_rate"] = 0.05
    root = parse(history)
    assert list(panels(root)) == ["loss", "learning rate"]
    assert texts(panels(root)["learning rate"])[:2] == ["learning rate", "final 0.05"]
    assert root.get("width") == "600"


def test_panels_stand_three_in_a_row():
    names = ["loss", "accuracy", "validation/accuracy", "r2", "validation/mae", "f1"]
    root = parse([dict.fromkeys(names, 0.5) | {"step": 1, "seconds": 2.0}], "a run")
    assert list(panels(root)) == ["loss", "accuracy", "r2", "mae", "f1"]
    places = [group.get("transform") for group in root.findall(f"{SVG}g")]
    assert places == [f"translate({place})" for place in ("0 34", "360 34", "720 34", "0 290", "360 290")]
    assert root.get("viewBox") == "0 0 1080 546"
    background = root.find(f"{SVG}rect")
    assert [background.get(key) for key in ("width", "height", "fill")] == ["1080", "546", "#ffffff"]


@pytest.mark.parametrize("history", [[], [{}], [{"step": 1, "epoch": 1, "loss": None, "seconds": 0.1}]])
def test_an_empty_history_says_so(history):
    assert texts(parse(history)) == ["nothing to draw yet"]
    assert texts(parse(history, "run-1")) == ["run-1", "nothing to draw yet"]


def test_a_history_without_a_finite_value_still_has_a_picture():
    panel = panels(parse(by_epoch("loss", [math.nan, math.inf])))["loss"]
    assert lines(panel) == circles(panel, "point") == []
    assert "training nan" in texts(panel)
    assert "2 not finite" in texts(panel)


def test_names_and_titles_are_escaped():
    name, title = "a<b> & \"c\" ≤ 'd'", "<run> & \x00\ud800"
    root = parse(by_epoch(name, [1.0, 2.0]), title)
    assert texts(root)[0] == root.find(f"{SVG}title").text == "<run> & \ufffd\ufffd"
    assert texts(panels(root)[name])[0] == name


def test_long_names_are_cut_and_whole_in_the_tooltip():
    name = "validated_" * 10
    panel = panels(parse(by_epoch(name, [1.0, 2.0])))[name]
    assert texts(panel)[0] == name[:29] + "…"


def test_rows_read_back_from_csv_give_the_same_picture():
    history = [{"step": 1, "epoch": 1, "loss": 0.5, "accuracy": math.nan}, {"step": 2, "epoch": 2, "loss": 0.25}]
    file = io.StringIO()
    writer = csv.DictWriter(file, list(history[0]), restval="")
    writer.writeheader()
    writer.writerows(history)
    file.seek(0)
    assert curves_svg(list(csv.DictReader(file))) == curves_svg(history)
    arrays = [{key: np.float32(value) for key, value in row.items()} for row in history]
    assert curves_svg(arrays) == curves_svg(history)


# ----- panels on a page ----------------------------------------------------------------------------------------------


def test_each_panel_is_a_document_for_a_page():
    history = [{"epoch": i, "loss": 1.0 / i, "accuracy": 0.5, "validation/loss": 2.0 / i} for i in (1, 2, 3)]
    titles = [ET.fromstring(one).find(f"{SVG}title").text for one in curve_panels(history)]
    assert titles == ["loss by epoch", "accuracy by epoch"]
    assert curve_panels([]) == []


def test_curves_of_several_trainings_lie_over_one_another():
    first = [{"epoch": i, "loss": 1.0 / i, "validation/loss": 2.0 / i, "accuracy": 0.1 * i} for i in (1, 2, 3)]
    other = [{"epoch": i, "loss": 9.0 / i, "validation/loss": 1.0 / i, "rmse": 1.0} for i in (1, 2)]
    (panel,) = overlaid_panels({"a": first, "<b>": other}, [("#0072b2", ""), ("#d55e00", ' stroke-dasharray="5 3"')])
    root = ET.fromstring(panel)
    assert root.find(f"{SVG}title").text == "loss, validation by epoch"
    lines = list(root.iter(f"{SVG}polyline"))
    assert [len(one.get("points").split()) for one in lines] == [3, 2]
    assert [one.get("stroke-dasharray") for one in lines] == [None, "5 3"]
    assert "best 0.5 by <b>" in [one.text for one in root.iter(f"{SVG}text")]
    (train,) = overlaid_panels({"a": first, "b": [{"epoch": 1, "loss": 3.0}]}, [("#0072b2", "")] * 2)
    assert "<title>loss, training by epoch</title>" in train
