"""The picture of decisions: every test reads the SVG back and compares it with the answers and points that went in."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

import funcnet as fn
from funcnet.data import prepare
from funcnet.views.boundary import COLOURS, HATCHES, MARKERS, MOST_POINTS, Plane, boundary_svg, plane

SVG = "{http://www.w3.org/2000/svg}"
SPECS = Path(__file__).parents[2] / "specs"
UNIT = Plane(0.0, 7.0, 0.0, 5.0, 7, 5)  # cells of 60 pixels
NOWHERE = np.zeros((0, 2)), np.zeros(0, int)
RANDOM = fn.Key(3).fold("answers")


def parse(*arguments, **options):
    text = boundary_svg(*arguments, **options)
    assert text.isascii()
    return ET.fromstring(text)


def plot(root):
    """The inner picture, whose origin is the upper left corner of the frame."""
    return root.find(f"{SVG}svg")


def texts(root):
    return [text.text for text in root.iter(f"{SVG}text")]


def regions(root):
    """{label: [(left, top, width, height), …]} in pixels."""
    found = {}
    for path in plot(root).iter(f"{SVG}path"):
        if (path.get("class") or "").startswith("region"):
            runs = re.findall(r"M(\d+) (\d+)h(\d+)v(\d+)h-(\d+)z", path.get("d"))
            assert "".join("M{} {}h{}v{}h-{}z".format(*run) for run in runs) == path.get("d")
            assert all(run[2] == run[4] for run in runs)
            found[int(path.get("class")[6:])] = [tuple(map(int, run[:4])) for run in runs]
    return found


def pixels(root):
    """The label at every pixel of the plot, -1 where there is none."""
    inner = plot(root)
    grid = np.full((int(inner.get("height")), int(inner.get("width"))), -1)
    for label, runs in regions(root).items():
        for left, top, width, height in runs:
            part = grid[top : top + height, left : left + width]
            assert part.shape == (height, width)
            assert (part == -1).all()
            part[:] = label
    return grid


def points(element):
    """(label, x, y) of every marker directly inside an element."""
    uses = element.findall(f"{SVG}use")
    return [(int(use.get("href")[len("#fn-marker") :]), float(use.get("x")), float(use.get("y"))) for use in uses]


# ----- the plane -------------------------------------------------------------------------------------------


def test_points_of_a_plane_are_the_centres_of_its_cells_from_the_lowest_row():
    assert Plane(0.0, 3.0, 10.0, 14.0, 3, 2).points.tolist() == [
        [0.5, 11.0], [1.5, 11.0], [2.5, 11.0], [0.5, 13.0], [1.5, 13.0], [2.5, 13.0],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("corners", "expected"),
    [
        ([[0, 0], [10, 10]], Plane(-0.5, 10.5, -0.5, 10.5, 70, 70)),
        ([[0, 0], [10, 8]], Plane(-0.5, 10.5, -0.4, 8.4, 70, 56)),
        ([[0, 0], [8, 10]], Plane(-0.4, 8.4, -0.5, 10.5, 56, 70)),
        ([[0, 0], [10, 3]], Plane(-0.5, 10.5, -1.25, 4.25, 70, 35)),  # as high as half its width, on one scale
        ([[0, 0], [100, 1]], Plane(-5.0, 105.0, -0.05, 1.05, 70, 70)),  # a scale for each axis
        ([[0, 0], [1, 100]], Plane(-0.05, 1.05, -5.0, 105.0, 70, 70)),
        ([[3, 0]], Plane(2.5, 3.5, -1.0, 1.0, 35, 70)),  # a tenth of 3, then one scale with the 1 around 0
        ([[0, 0]], Plane(-1.0, 1.0, -1.0, 1.0, 70, 70)),
        ([[1e-160, 0], [0, 2]], Plane(-1.1 * 64 / 70, 1.1 * 64 / 70, -0.1, 2.1, 64, 70)),
    ],
)
def test_planes_lie_around_their_points(corners, expected):
    found = plane(np.array(corners))
    sides = ("left", "right", "bottom", "top")
    assert (found.columns, found.rows) == (expected.columns, expected.rows)
    assert [getattr(found, side) for side in sides] == pytest.approx([getattr(expected, side) for side in sides])
    assert len(found.points) == found.columns * found.rows


def test_a_plane_of_few_cells_has_some_on_both_sides():
    assert (plane(np.array([[0, 0], [10, 4]]), 1).columns, plane(np.array([[0, 0], [10, 4]]), 1).rows) == (1, 1)


# ----- the picture -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(35,), (5, 7)])
def test_every_cell_has_the_colour_of_its_answer(shape):
    answers = RANDOM.integers(3, (5, 7))
    grid = pixels(parse(UNIT, answers.reshape(shape), *NOWHERE))
    assert np.array_equal(grid, np.kron(answers[::-1], np.ones((60, 60), int)))


def test_cells_in_a_row_are_one_piece():
    answers = np.array([[0, 0, 0, 1, 1, 0, 0]] * 5)
    assert regions(parse(UNIT, answers, *NOWHERE)) == {
        0: [(left, 60 * row, width, 60) for row in range(5) for left, width in ((0, 180), (300, 120))],
        1: [(180, 60 * row, 120, 60) for row in range(5)],
    }


def test_edges_stand_where_answers_change():
    answers = RANDOM.integers(3, (5, 7))
    (edges,) = [
        path for path in plot(parse(UNIT, answers, *NOWHERE)).iter(f"{SVG}path") if path.get("class") == "edges"
    ]
    drawn = set()
    for left, top, way, length in re.findall(r"M(\d+) (\d+)([hv])(\d+)", edges.get("d")):
        assert int(length) % 60 == 0
        for i in range(int(length) // 60):
            drawn.add((int(left) // 60 + i * (way == "h"), int(top) // 60 + i * (way == "v"), way))
    grid = answers[::-1]
    upright = {(c + 1, r, "v") for r in range(5) for c in range(6) if grid[r, c] != grid[r, c + 1]}
    level = {(c, r + 1, "h") for r in range(4) for c in range(7) if grid[r, c] != grid[r + 1, c]}
    assert drawn == upright | level


def test_points_stand_where_they_are_with_the_marker_of_their_label():
    x, y = np.array([[0.0, 0.0], [7.0, 5.0], [3.5, 1.0]]), np.array([2, 0, 1])
    root = parse(UNIT, np.zeros(35, int), x, y, ("a", "b", "c"))
    assert points(plot(root)) == [(2, 0.0, 300.0), (0, 420.0, 0.0), (1, 210.0, 240.0)]
    shapes = {path.get("id"): path for path in root.find(f"{SVG}defs")}
    for label, marker in enumerate(MARKERS[:3]):
        drawn = shapes[f"fn-marker{label}"]
        assert (drawn.get("d"), drawn.get("fill"), drawn.get("stroke")) == (marker, COLOURS[label], "#1a1a1a")


def test_points_and_answers_share_one_plane():
    """A point lies on the answer for its place, whichever way an axis runs."""
    x = fn.Key(1).normal((200, 2)) * [3.0, 1.0] + [5.0, -2.0]
    around = plane(x)

    def classify(at):
        return (at[:, 0] > 5.0) + 2 * (at[:, 1] > -2.0)

    away = (abs(x - [5.0, -2.0]) > 0.3).all(axis=1)
    root = parse(around, classify(around.points), x, classify(x))
    grid = pixels(root)
    found = points(plot(root))
    assert len(found) == 200
    assert all(grid[int(y), int(x)] == label for (label, x, y), far in zip(found, away, strict=True) if far)


def test_ticks_agree_with_the_plane():
    root = parse(UNIT, np.zeros(35, int), *NOWHERE, names=("petal <length>", "sepal width"))
    labels = [text for text in root.findall(f"{SVG}text") if text.get("font-size") == "10"]
    across = {t.text: float(t.get("x")) for t in labels if t.get("text-anchor") == "middle"}
    up = {t.text: float(t.get("y")) - 3.5 for t in labels if t.get("text-anchor") == "end"}
    left, top = float(plot(root).get("x")), float(plot(root).get("y"))
    assert across == {str(i): left + 60 * i for i in range(8)}
    assert up == {str(i): top + 60 * (5 - i) for i in range(6)}
    assert {"petal <length>", "sepal width"} <= set(texts(root))


def test_the_legend_names_the_classes():
    root = parse(UNIT, np.zeros(35, int), *NOWHERE, ("ham", "spam & <eggs> of the longest kind"), "a run")
    assert [text for text in texts(root) if "am" in text] == ["ham", "spam & <eggs> o…"]
    assert [label for label, _, _ in points(root)] == [0, 1]
    assert root.find(f"{SVG}title").text == texts(root)[0] == "a run"


def test_classes_without_names_have_their_numbers():
    root = parse(UNIT, np.full(35, 2), np.array([[1.0, 1.0]]), np.array([True]))
    assert [text.text for text in root.findall(f"{SVG}text") if text.get("font-size") == "11"][-3:] == ["0", "1", "2"]
    assert root.find(f"{SVG}title").text == "decision regions"
    assert points(plot(root)) == [(1, 60.0, 240.0)]


def test_many_classes_are_counted_where_the_legend_ends():
    root = parse(UNIT, np.zeros(35, int), *NOWHERE, [f"class {i}" for i in range(30)])
    assert [text for text in texts(root) if "class" in text] == [f"class {i}" for i in range(11)]
    assert texts(root)[-1] == "… and 19 more"


@pytest.mark.parametrize(
    ("classes", "legend"),
    [
        (sorted(map(str, range(12))), [str(i) for i in range(12)]),
        (sorted(f"c{i}" for i in range(12)), [f"c{i}" for i in range(12)]),
        (("1", "-1", "0.5"), ["-1", "0.5", "1"]),
        (("low", "middle", "high"), ["low", "middle", "high"]),  # words stay in the order of the labels
        (("v2 b", "v10 a", "v2 a"), ["v2 a", "v2 b", "v10 a"]),
    ],
)
def test_the_legend_sorts_numbers_as_numbers(classes, legend):
    """Each name with the marker of its label."""
    root = parse(UNIT, np.zeros(35, int), *NOWHERE, classes)
    names = [text.text for text in root.findall(f"{SVG}text") if text.get("font-size") == "11"]
    assert names[-len(legend) :] == legend
    assert [label for label, _, _ in points(root)] == [list(classes).index(name) for name in legend]


def test_classes_differ_in_colour_and_without_it():
    assert len(set(COLOURS)) == 7
    assert len(set(HATCHES)) == len(set(MARKERS)) == 8
    root = parse(UNIT, np.arange(35) % 8, *NOWHERE)
    hatched = [path.get("fill") for path in plot(root).iter(f"{SVG}path") if "url" in (path.get("fill") or "")]
    assert hatched == [f"url(#fn-hatch{k})" for k in range(1, 8)]
    looks = {(path.get("d"), path.get("fill")) for path in root.find(f"{SVG}defs").findall(f"{SVG}path")}
    assert len(looks) == 8
    patterns = {pattern.get("id"): pattern[0].get("d") for pattern in root.iter(f"{SVG}pattern")}
    assert patterns == {f"fn-hatch{k}": HATCHES[k] for k in range(8)}


def test_one_name_means_one_thing_in_all_pictures_of_a_page():
    few, many = (parse(UNIT, np.arange(35) % n, *NOWHERE).find(f"{SVG}defs") for n in (3, 9))
    definitions = [{part.get("id"): ET.tostring(part) for part in found} for found in (few, many)]
    assert definitions[0].items() < definitions[1].items()


def test_of_thousands_of_points_some_are_drawn_of_every_class():
    n = 4 * MOST_POINTS
    x = fn.Key(2).uniform((n, 2), high=5.0)
    root = parse(UNIT, np.zeros(35, int), x, np.arange(n) % 4)
    drawn = points(plot(root))
    assert len(drawn) == MOST_POINTS
    assert np.bincount([label for label, _, _ in drawn]) == pytest.approx(MOST_POINTS / 4, rel=0.2)
    assert texts(root)[-1] == f"{MOST_POINTS} of {n} points"
    assert "points" not in texts(parse(UNIT, np.zeros(35, int), x[:MOST_POINTS], np.zeros(MOST_POINTS, int)))[-1]


def test_answers_by_tossed_coins_stay_small():
    x = fn.Key(2).uniform((5000, 2))
    around = plane(x)
    text = boundary_svg(around, RANDOM.integers(2, (len(around.points),)), x, RANDOM.integers(2, (5000,)))
    assert len(text) < 150_000


@pytest.mark.parametrize("name", ["moons", "spirals"])
def test_trained_networks_separate_their_points(name):
    experiment = fn.load_spec(SPECS / f"{name}.json")
    run = fn.run(experiment)
    assert run.metrics["test"]["accuracy"] >= 0.97
    key = fn.Key(experiment.seed)
    table = experiment.data.table(SPECS, key.fold("data"))
    rows = prepare(experiment.data, key).parts.train
    x, y = table.x[rows], table.y[rows]
    around = plane(x)
    text = boundary_svg(around, run.predict(around.points).argmax(axis=1), x, y, table.classes, name)
    assert len(text) < 60_000
    grid = pixels(ET.fromstring(text))
    assert (grid >= 0).all()
    right = [grid[int(at), int(across)] == label for label, across, at in points(plot(ET.fromstring(text)))]
    assert np.mean(right) > 0.97


# ----- what cannot be drawn --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (np.zeros((0, 2)), "plane: expected at least one point, got none"),
        (
            np.zeros((3, 4)),
            "plane: expected points of two numbers, an array (n, 2), got float64 of shape (3, 4)",
        ),
        ([["a", "b"]], "plane: expected points of two numbers, an array (n, 2), got <U1 of shape (1, 2)"),
        ([[0.0, 1.0], [2.0, np.nan]], "plane: expected finite points below 1e150, got [2.0, nan] in row 1"),
        ([[0.0, 1.0], [1e200, 0.0]], "plane: expected finite points below 1e150, got [1e+200, 0.0] in row 1"),
    ],
    ids=["none", "columns", "text", "nan", "huge"],
)
def test_points_without_a_plane(x, expected):
    with pytest.raises(fn.DataError) as error:
        plane(np.array(x))
    assert str(error.value) == expected


def test_a_plane_without_cells():
    with pytest.raises(fn.DataError) as error:
        plane(np.zeros((1, 2)), 0)
    assert str(error.value) == "plane: expected at least one cell, got 0"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"answers": np.zeros(34, int)},
            "boundary_svg: expected a label for each of 5 rows of 7 cells, got (34,); predict for plane.points",
        ),
        (
            {"answers": np.zeros((7, 5), int)},
            "boundary_svg: expected a label for each of 5 rows of 7 cells, got (7, 5); predict for plane.points",
        ),
        (
            {"answers": np.zeros((35, 2))},
            "boundary_svg: expected integer answers, got float64; take the argmax first",
        ),
        ({"y": np.zeros(3, int)}, "boundary_svg: expected a label for each of 2 points, got (3,)"),
        ({"y": np.array([0, -1])}, "boundary_svg: expected labels of 0 to 999, got -1 to 0"),
        ({"y": np.array([0, 10**12])}, "boundary_svg: expected labels of 0 to 999, got 0 to 1000000000000"),
        ({"y": np.array([0, 2])}, "boundary_svg: expected labels below 2, one for each class, got 2"),
        ({"x": np.full((2, 2), np.inf)}, "boundary_svg: expected finite points below 1e150, got [inf, inf] in row 0"),
    ],
    ids=["few", "turned", "scores", "labels", "negative", "large", "unnamed", "infinite"],
)
def test_arrays_that_do_not_fit(changes, expected):
    arguments = {"answers": np.zeros(35, int), "x": np.ones((2, 2)), "y": np.array([0, 1]), "classes": ("a", "b")}
    with pytest.raises(fn.DataError) as error:
        boundary_svg(UNIT, **arguments | changes)
    assert str(error.value) == expected
