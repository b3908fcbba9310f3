"""Pictures of networks: every layer in a box of its own, no box on another, lines from box to box."""

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


def test_long_edges_of_a_graph_run_around_the_boxes():
    drawn = fn.diagram(*NETS["unet"])
    boxes = [box[:4] for box in drawn.block.parts[0][2].boxes()]
    lines = [mark for mark in drawn.block.parts[0][2].marks if "polyline" in mark]
    assert len(lines) == 15  # an edge each, the output's among them
    for mark in lines:
        points = [tuple(map(float, point.split(","))) for point in mark.split('"')[3].split()]
        for (ax, ay), (bx, by) in pairwise(points):
            for t in (0.02, 0.25, 0.5, 0.75, 0.98):
                x, y = ax + t * (bx - ax), ay + t * (by - ay)
                assert not any(left < x < left + w and top < y < top + h for left, top, w, h in boxes)


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
        "  n5 --> n4\n"
        "  n4 --> n6\n"
        "  n5 --> n6\n"
        "  n1 --> n5\n"
        "  n6 --> n7\n"
        "  input --> n1\n"
    )


def test_saved_by_extension(tmp_path, capsys):
    drawn = fn.diagram(*NETS["siamese"])
    drawn.save(tmp_path / "net.svg")
    drawn.save(tmp_path / "net.mmd")
    assert (tmp_path / "net.svg").read_text(encoding="utf-8") == drawn.svg
    assert (tmp_path / "net.mmd").read_text(encoding="utf-8") == drawn.mermaid == str(drawn)
    with pytest.raises(fn.FuncnetError) as caught:
        drawn.save(tmp_path / "net.png")
    assert str(caught.value) == "expected a file called .svg or .mmd, got 'net.png'"
    assert main(["show", str(SPECS / "digits_conv.json"), "--diagram", str(tmp_path / "conv.svg")]) == 0
    assert "Conv2D" in (tmp_path / "conv.svg").read_text(encoding="utf-8")
    assert "conv_2d_0" in capsys.readouterr().out
