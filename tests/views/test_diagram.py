"""Pictures of networks: every layer in a box of its own, no box on another, lines from box to box."""

import re
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import pytest

import funcnet as fn
from funcnet.cli import main
from funcnet.networks.surgery import walk

SPECS = Path(__file__).parents[2] / "specs"
NETS = {
    "dense": (fn.Dense(3), (4,)),
    "forty": (fn.serial(*[layer for _ in range(20) for layer in (fn.Dense(8), fn.Relu())]), (8,)),
    "unet": (fn.load_spec(SPECS / "digits_denoise_unet.json").model, (8, 8, 1)),
    "transformer": (fn.serial(fn.Embedding(9, 8), fn.transformer_block(8, 2), fn.Dense(9)), (5,)),
    "resnet": (fn.serial(fn.conv_block(4), fn.resnet_block(4), fn.resnet_block(8, strides=2)), (8, 8, 1)),
    "inception": (fn.serial(fn.branch(a=fn.Conv2D(2, 1), b=fn.serial(fn.Conv2D(2, 3))), fn.Concat()), (4, 4, 1)),
    "siamese": (
        fn.Graph(
            ("left", "right"),
            {"a": (fn.Dense(2), "left"), "b": (fn.Dense(2), "right"), "join": (fn.Concat(), ("a", "b", "left"))},
            "join",
        ),
        ((3,), (3,)),
    ),
    "two outputs": (
        fn.Graph(
            inputs=("image", "text"),
            nodes={
                "flat": (fn.serial(fn.Flatten(), fn.Dense(4)), "image"),
                "words": (fn.Dense(3), "text"),
                "both": (fn.Concat(), ("flat", "words")),
            },
            outputs=("both", "words"),
        ),
        ((2, 2), (5,)),
    ),
    "long titles": (fn.serial(a_name_longer_than_its_layers=fn.Residual(fn.Residual(fn.Relu()))), (2,)),
    "wrappers": (fn.serial(fn.Remat(fn.Frozen(fn.Dense(2))), fn.Bidirectional(fn.GRU(2))), (3, 2)),
}


@pytest.mark.parametrize("name", NETS)
def test_every_layer_has_a_box_and_no_box_lies_on_another(name):
    net, in_shape = NETS[name]
    drawn = fn.diagram(net, in_shape)
    boxes = list(drawn.block.boxes())
    leaves = [path for path, layer in walk(net) if not layer.children]
    assert sorted(entry.path for *_, entry in boxes) == sorted(leaves)
    for i, (x, y, width, height, _) in enumerate(boxes):
        assert x >= 0
        assert y >= 0
        assert x + width <= drawn.block.width + 1e-6
        assert y + height <= drawn.block.height + 1e-6
        for left, top, wide, tall, _ in boxes[i + 1 :]:
            assert x + width <= left or left + wide <= x or y + height <= top or top + tall <= y


@pytest.mark.parametrize("name", NETS)
def test_the_picture_is_valid_and_says_every_shape(name):
    net, in_shape = NETS[name]
    drawn = fn.diagram(net, in_shape)
    root = ET.fromstring(drawn.svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    texts = ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]
    for *_, entry in drawn.block.boxes():
        assert all(line in texts for line in entry.label())
    assert drawn._repr_svg_() == drawn.svg
    inside = ET.fromstring(drawn.inside("<A>"))  # its styles are those of the page
    assert inside.get("aria-label") == inside[0].text == "<A>"
    assert not list(inside.iter("{http://www.w3.org/2000/svg}style"))
    assert len(list(inside.iter())) == len(list(root.iter()))


def test_a_long_sequence_goes_on_in_another_column():
    drawn = fn.diagram(*NETS["forty"]).block
    assert drawn.height < 1000
    assert drawn.width < 1000


def test_a_deep_net_of_blocks_is_about_as_wide_as_tall():
    blocks = [fn.resnet_block(8) for _ in range(16)]
    drawn = fn.diagram(fn.serial(fn.conv_block(8), *blocks, fn.Dense(10)), (8, 8, 1)).block
    assert 0.5 < drawn.width / drawn.height < 2


def test_what_a_combinator_is_set_to_stands_on_its_frame():
    repeated = fn.Repeat(fn.Residual(fn.Dense(3)), times=4)
    assert "Repeat(times=4)" in fn.diagram(repeated, (3,)).svg
    assert "many: Ensemble(members=5)" in fn.diagram(fn.serial(many=fn.Ensemble(fn.Dense(2), 5)), (3,)).svg
    assert '["Repeat(times=4)"]' in fn.diagram(repeated, (3,)).mermaid


def test_two_directions_stand_side_by_side():
    drawn = fn.diagram(fn.serial(fn.Bidirectional(fn.GRU(2))), (3, 2))
    (left, *_), (right, *_) = boxes = list(drawn.block.boxes())
    assert boxes[0][1] == boxes[1][1]
    assert left < right
    assert drawn.mermaid.count("input -->") == 2


class Picture:
    """What stands in an SVG, in its own coordinates: lines as points close together, boxes, and texts."""

    def __init__(self, svg):
        self.lines, self.tips, self.solid, self.frames, self.texts = [], [], [], [], []
        self.read(ET.fromstring(svg), 0.0, 0.0)

    def read(self, element, x, y):
        for node in element:
            tag, get = node.tag.rpartition("}")[2], lambda name, node=node: float(node.get(name))
            if tag == "g":
                left, top = map(float, re.findall(r"[-\d.]+", node.get("transform")))
                self.read(node, x + left, y + top)
            elif tag in ("polyline", "path") and node.get("class") == "e":
                points = [(x + a, y + b) for a, b in (polyline(node) if tag == "polyline" else path(node))]
                self.lines.append(points)
                if node.get("marker-end"):
                    self.tips.append(points[-1])
            elif tag == "rect" and node.get("class"):
                box = x + get("x"), y + get("y"), get("width"), get("height")
                pill = node.get("style") is not None
                (self.solid if node.get("class") == "b" or pill else self.frames).append(box)
            elif tag == "circle":
                self.solid.append((x + get("cx") - 8, y + get("cy") - 8, 16.0, 16.0))
            elif tag == "text":
                wide = 6.6 * len(node.text)
                left = x + get("x") - (wide / 2 if node.get("text-anchor") == "middle" else 0)
                self.texts.append((left, y + get("y") - 9, wide, 10.0, node.text))


def between(points):
    """Points on the straight lines through some points, at most 2 apart."""
    for (ax, ay), (bx, by) in pairwise(points):
        n = 1 + int(max(abs(bx - ax), abs(by - ay)) / 2)
        yield from ((ax + i / n * (bx - ax), ay + i / n * (by - ay)) for i in range(n))
    yield points[-1]


def polyline(node):
    return list(between([tuple(map(float, point.split(","))) for point in node.get("points").split()]))


def path(node):
    points = []
    for command, numbers in re.findall(r"([MVC])([^MVC]+)", node.get("d")):
        n = list(map(float, re.split("[ ,]", numbers)))
        if command == "M":
            points.append((n[0], n[1]))
        elif command == "V":
            points.append((points[-1][0], n[0]))
        else:
            (x, y), steps = points[-1], [i / 20 for i in range(1, 21)]
            for t in steps:
                f = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
                points.append(
                    tuple(sum(w * v for w, v in zip(f, (s, *n[i::2]), strict=True)) for i, s in ((0, x), (1, y)))
                )
    return list(between(points))


def inside(x, y, box, margin=0.5):
    left, top, width, height = box[:4]
    return left + margin < x < left + width - margin and top + margin < y < top + height - margin


@pytest.mark.parametrize("name", NETS)
def test_lines_run_around_the_boxes_and_the_words(name):
    drawn = Picture(fn.diagram(*NETS[name]).svg)
    assert drawn.lines
    for points in drawn.lines:
        for x, y in points:
            assert not any(inside(x, y, box) for box in drawn.solid)
            assert not [text for *text, words in drawn.texts if inside(x, y, text) and words != "+"]


@pytest.mark.parametrize("name", NETS)
def test_an_arrow_ends_at_a_box_and_not_at_a_frame(name):
    """On the top of a box or a name, at the side of the circle of a sum, or above the word output."""
    drawn = Picture(fn.diagram(*NETS[name]).svg)
    words = [(left, top - 4, wide, 10.0) for left, top, wide, _, text in drawn.texts if text.startswith("output ")]
    for x, y in drawn.tips:
        tops = [box for box in [*drawn.solid, *words] if abs(box[1] - y) < 1.5 and box[0] <= x <= box[0] + box[2]]
        sides = [box for box in drawn.solid if box[2] == 16.0 and abs(box[0] + 17 - x) < 1.5]
        assert tops or sides
    assert len(set(drawn.tips)) == len(drawn.tips)  # two lines into one box end beside one another


def test_frames_of_graphs_say_no_more_than_their_class():
    graph = fn.diagram(*NETS["siamese"])
    assert ">Graph<" in graph.svg
    assert "inputs=" not in graph.svg


def test_every_output_of_a_graph_is_named():
    nodes = {"one": (fn.Dense(2), "x"), "two": (fn.Dense(3), "one")}
    drawn = fn.diagram(fn.Graph(inputs="x", nodes=nodes, outputs=("two", "one")), (4,))
    texts = [text for *_, text in Picture(drawn.svg).texts]
    assert {"x", "output: one", "output: two", "output (3, 2)"} <= set(texts)
    assert drawn.mermaid.count("output: ") == 2
    assert '  output["output (3, 2)"]' in drawn.mermaid


def test_the_main_column_of_a_unet_and_its_skips_are_upright():
    drawn = Picture(fn.diagram(*NETS["unet"]).svg)
    middles = [left + width / 2 for left, _, width, _ in drawn.solid]
    assert max(middles) - min(middles) < 1.5
    skips = [points for points in drawn.lines if max(x for x, _ in points) > max(middles) + 50]
    assert len(skips) == 2
    for points in skips:
        far = max(x for x, _ in points)
        ways = [y for x, y in points if x > far - 0.2]
        assert max(ways) - min(ways) > 400


def test_long_settings_are_wrapped_and_not_cut():
    (box,) = fn.diagram(fn.Conv2D(16, 3, use_bias=False, padding="valid", strides=2), (9, 9, 1)).block.boxes()
    assert box[-1].label() == [
        "Conv2D",
        "filters=16, kernel_size=3, strides=2,",
        "padding=valid, use_bias=False",
        "4 x 4 x 16, 144 params",
    ]


def test_mermaid():
    net = fn.serial(stem=fn.Dense(3), body=fn.Residual(fn.serial(fn.Tanh())), head=fn.Dense(1))
    assert fn.diagram(net, (2,)).mermaid == (
        "flowchart TD\n"
        '  input["input 2"]\n'
        '  n1["stem: Dense(units=3)<br/>3, 9 params"]\n'
        '  subgraph sn2 ["body: Residual"]\n'
        '    subgraph sn3 ["Serial"]\n'
        '      n4["tanh_0: Tanh()<br/>3"]\n'
        "    end\n"
        "    n5(( ))\n"
        '    n6(("+"))\n'
        "  end\n"
        '  n7["head: Dense(units=1)<br/>1, 4 params"]\n'
        '  output["output 1"]\n'
        "  n5 --> n4\n"
        "  n4 --> n6\n"
        "  n5 --> n6\n"
        "  n1 --> n5\n"
        "  n6 --> n7\n"
        "  input --> n1\n"
        "  n7 --> output\n"
    )


def test_saved_by_extension(tmp_path, capsys):
    drawn = fn.diagram(*NETS["siamese"])
    drawn.save(tmp_path / "net.svg")
    drawn.save(tmp_path / "net.mmd")
    assert (tmp_path / "net.svg").read_text(encoding="utf-8") == drawn.svg
    assert (tmp_path / "net.mmd").read_text(encoding="utf-8") == drawn.mermaid == str(drawn)
    with pytest.raises(fn.FuncnetError) as caught:
        drawn.save(tmp_path / "net.png")
    assert str(caught.value) == "expected a file that ends in .svg or .mmd, got 'net.png'"
    assert main(["show", str(SPECS / "digits_conv.json"), "--diagram", str(tmp_path / "conv.svg")]) == 0
    assert "Conv2D" in (tmp_path / "conv.svg").read_text(encoding="utf-8")
    assert "conv_2d_0" in capsys.readouterr().out
