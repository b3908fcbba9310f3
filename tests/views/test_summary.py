"""The table of a network, from shapes alone: order, depth, shapes, parameters, multiply-adds."""

from typing import Any

import attrs
import numpy as np
import pytest

import funcnet as fn
from funcnet import initializers
from funcnet.views.summary import Line, multiply_adds, summary


@fn.register("acme.summary_gain")
@attrs.frozen
class Gain(fn.Layer):
    """A user's layer, of whose cost nobody has said anything."""

    def leaves(self, in_shape):
        return {"gain": fn.Leaf(in_shape[-1:], initializers.Ones())}

    def out_shape(self, in_shape):
        return in_shape


@fn.register("acme.summary_mean")
@attrs.frozen
class Mean(fn.Layer):
    """A user's layer without parameters."""

    def out_shape(self, in_shape):
        return in_shape[:-1]


@fn.register("acme.summary_table")
@attrs.frozen
class Table(fn.Layer):
    """A user's layer whose cost is told."""

    def leaves(self, in_shape):
        return {"table": fn.Leaf((7, 3), initializers.Zeros()), "seen": fn.Leaf((7,), initializers.Zeros(), "state")}

    def out_shape(self, in_shape):
        return (*in_shape, 3)


@multiply_adds.register
def _(layer: Table, in_shape: Any) -> int | None:
    return 42


NETS: dict[str, tuple[fn.Layer, Any, list[tuple[Any, ...]]]] = {
    "one layer": (fn.Dense(3), (4,), [("", "Dense", 0, (3,), 15, 12)]),
    "without bias": (fn.Dense(3, use_bias=False), (5, 4), [("", "Dense", 0, (5, 3), 12, 60)]),
    "flat": (
        fn.serial(fn.Flatten(), fn.Dense(10), fn.Relu(), fn.Dropout(0.5), head=fn.Dense(2)),
        (2, 3),
        [
            ("", "Serial", 0, (2,), 92, 80),
            ("flatten_0", "Flatten", 1, (6,), 0, 0),
            ("dense_0", "Dense", 1, (10,), 70, 60),
            ("relu_0", "Relu", 1, (10,), 0, 0),
            ("dropout_0", "Dropout", 1, (10,), 0, 0),
            ("head", "Dense", 1, (2,), 22, 20),
        ],
    ),
    "empty": (fn.serial(), (3,), [("", "Serial", 0, (3,), 0, 0)]),
    "siblings of different depth": (
        fn.serial(
            stem=fn.Dense(10),
            body=fn.Residual(fn.serial(fn.Dense(10), fn.BatchNorm())),
            fork=fn.branch(fn.serial(fn.Dense(3), fn.Tanh()), fn.Identity()),
            join=fn.Concat(),
            tail=fn.serial(fn.Residual(fn.Dense(2), projection=fn.Dense(2)), fn.Softmax()),
        ),
        (5,),
        [
            ("", "Serial", 0, (2,), 279, 242),
            ("stem", "Dense", 1, (10,), 60, 50),
            ("body", "Residual", 1, (10,), 130, 110),
            ("body", "Serial", 2, (10,), 130, 110),
            ("body/dense_0", "Dense", 3, (10,), 110, 100),
            ("body/batch_norm_0", "BatchNorm", 3, (10,), 20, 10),
            ("fork", "Branch", 1, ((3,), (10,)), 33, 30),
            ("fork/serial_0", "Serial", 2, (3,), 33, 30),
            ("fork/serial_0/dense_0", "Dense", 3, (3,), 33, 30),
            ("fork/serial_0/tanh_0", "Tanh", 3, (3,), 0, 0),
            ("fork/identity_0", "Identity", 2, (10,), 0, 0),
            ("join", "Concat", 1, (13,), 0, 0),
            ("tail", "Serial", 1, (2,), 56, 52),
            ("tail/residual_0", "Residual", 2, (2,), 56, 52),
            ("tail/residual_0", "Dense", 3, (2,), 28, 26),
            ("tail/residual_0/projection", "Dense", 3, (2,), 28, 26),
            ("tail/softmax_0", "Softmax", 2, (2,), 0, 0),
        ],
    ),
    "graph": (
        fn.Graph(
            inputs=("image", "text"),
            nodes={
                "both": (fn.Concat(), ("flat", "words")),
                "flat": (fn.serial(fn.Flatten(), fn.Dense(4)), "image"),
                "words": (fn.Dense(3), "text"),
            },
            outputs=("both", "words"),
        ),
        ((2, 2), (5,)),
        [
            ("", "Graph", 0, ((7,), (3,)), 38, 31),
            ("flat", "Serial", 1, (4,), 20, 16),
            ("flat/flatten_0", "Flatten", 2, (4,), 0, 0),
            ("flat/dense_0", "Dense", 2, (4,), 20, 16),
            ("words", "Dense", 1, (3,), 18, 15),
            ("both", "Concat", 1, (7,), 0, 0),
        ],
    ),
    "parallel by name": (
        fn.parallel(a=fn.Dense(2), b=fn.Relu()),
        {"b": (3,), "a": (4,)},
        [
            ("", "Parallel", 0, {"a": (2,), "b": (3,)}, 10, 8),
            ("a", "Dense", 1, (2,), 10, 8),
            ("b", "Relu", 1, (3,), 0, 0),
        ],
    ),
    "unknown cost": (
        fn.serial(fn.Dense(3), fn.serial(Gain(), fn.Relu()), fn.serial(fn.Dense(2), Mean())),
        (4,),
        [
            ("", "Serial", 0, (), 26, None),
            ("dense_0", "Dense", 1, (3,), 15, 12),
            ("serial_0", "Serial", 1, (3,), 3, None),
            ("serial_0/summary_gain_0", "Gain", 2, (3,), 3, None),
            ("serial_0/relu_0", "Relu", 2, (3,), 0, 0),
            ("serial_1", "Serial", 1, (), 8, 6),
            ("serial_1/dense_0", "Dense", 2, (2,), 8, 6),
            ("serial_1/summary_mean_0", "Mean", 2, (), 0, 0),
        ],
    ),
    "told cost": (
        fn.serial(Table(), fn.Dense(2)),
        (5,),
        [
            ("", "Serial", 0, (5, 2), 29, 72),
            ("summary_table_0", "Table", 1, (5, 3), 21, 42),
            ("dense_0", "Dense", 1, (5, 2), 8, 30),
        ],
    ),
    "more than an int64 holds": (
        fn.serial(fn.Dense(2**33), fn.Dense(2**33, use_bias=False)),
        (1,),
        [
            ("", "Serial", 0, (2**33,), 2**66 + 2**34, 2**66 + 2**33),
            ("dense_0", "Dense", 1, (2**33,), 2**34, 2**33),
            ("dense_1", "Dense", 1, (2**33,), 2**66, 2**66),
        ],
    ),
}


@pytest.mark.parametrize("name", NETS)
def test_lines(name):
    net, in_shape, expected = NETS[name]
    assert summary(net, in_shape, None) == [Line(*line) for line in expected]


def size(tree):
    return sum(leaf.size for leaf in fn.tree.leaves(tree))


@pytest.mark.parametrize("name", [name for name in NETS if name != "more than an int64 holds"])
def test_parameters_are_the_sizes_in_the_tree(name):
    net, in_shape, _ = NETS[name]
    params, _ = net.init(fn.Key(0), in_shape)
    lines = summary(net, in_shape, None)
    assert lines[0].parameters == size(params)
    for line in lines:
        shared = [other for other in lines if other.path == line.path]  # a wrapper and what is inside it
        if line.path and line is shared[0]:
            part = params
            for step in line.path.split("/"):
                part = part.get(step, {})
            assert line.parameters == size(part)


def test_every_line_counts_what_is_inside_it():
    lines = summary(*NETS["siblings of different depth"][:2], None)
    for i, line in enumerate(lines):
        inside = []
        for other in lines[i + 1 :]:
            if other.depth <= line.depth:
                break
            if other.depth == line.depth + 1:
                inside.append(other)
        if inside:
            assert line.parameters == sum(other.parameters for other in inside)
            assert line.multiply_adds == sum(other.multiply_adds for other in inside)


COSTED = [name for name in NETS if name not in ("more than an int64 holds", "told cost", "unknown cost")]


@pytest.mark.parametrize("name", COSTED)
def test_the_cost_of_a_batch_adds_up(name):
    net, in_shape, expected = NETS[name]
    lines = summary(net, in_shape, batch=8)
    assert [line[:6] for line in lines] == [line[:6] for line in map(tuple, expected)]
    cost = fn.cost(net, in_shape, 8)
    assert lines[0].forward_flops == cost.forward.flops
    assert lines[0].backward_flops == cost.backward.flops
    assert lines[0].backward_bytes == cost.backward.bytes
    assert sum(one.forward.bytes for one in cost.layers) == lines[0].forward_bytes
    for i, line in enumerate(lines):
        inside = []
        for other in lines[i + 1 :]:
            if other.depth <= line.depth:
                break
            if other.depth == line.depth + 1:
                inside.append(other)
        own = next(one for one in cost.layers if (one.path, type(one.layer).__name__) == (line.path, line.layer))
        for figure, alone in zip(("forward_flops", "backward_bytes"), (own.forward[0], own.backward[1]), strict=True):
            assert getattr(line, figure) == alone + sum(getattr(other, figure) for other in inside)


def test_the_cost_of_a_batch_by_layer():
    """The second of two equal wrappers costs as much as the first; in both, the inner layer costs most."""
    net = fn.serial(fn.Residual(fn.Dense(3)), fn.Residual(fn.Dense(3)))
    product, bias = 2 * 4 * 3 * 3, 4 * 3
    assert [(line.path, line.layer, line.forward_flops, line.backward_flops) for line in summary(net, (3,), 4)] == [
        ("", "Serial", 2 * (product + 2 * bias), 3 * product + 2 * bias + bias),
        ("residual_0", "Residual", product + 2 * bias, product + bias),
        ("residual_0", "Dense", product + bias, product + bias),
        ("residual_1", "Residual", product + 2 * bias, 2 * product + 2 * bias),
        ("residual_1", "Dense", product + bias, 2 * product + bias),
    ]


def test_shapes_are_those_of_the_forward_pass():
    net, in_shape, _ = NETS["siblings of different depth"]
    params, state = net.init(fn.Key(0), in_shape)
    heard = {}

    def notice(event):
        if event.method == "apply":
            heard.setdefault((event.path, type(event.layer).__name__), event.result[0])

    def shape(value):
        return tuple(map(shape, value)) if isinstance(value, tuple) else value.shape[1:]

    with fn.listen(notice):
        fn.predict(net, params, state, np.ones((2, *in_shape)))
    lines = summary(net, in_shape, None)
    assert {(line.path, line.layer): line.out_shape for line in lines[1:]} == {
        place: shape(value) for place, value in heard.items() if place[0]
    }


def test_a_layer_that_does_not_fit_is_named_by_its_path():
    net = fn.serial(body=fn.serial(fn.Dense(3), fn.Reshape((2,))), head=fn.Dense(2))
    with pytest.raises(fn.ShapeError) as error:
        summary(net, (4,))
    assert str(error.value) == (
        "body/reshape_0 (Reshape): expected an input of 2 entries for shape (2,), got shape (3,) of 3; "
        "change one of them"
    )


def test_a_batch_of_one_that_cannot_be_trained_is_counted_in_evaluation_mode():
    net = fn.serial(fn.Dense(4), fn.BatchNorm())
    one, two = fn.summary(net, (3,)), fn.summary(net, (3,), batch=2)
    assert one[0].forward_flops * 2 == two[0].forward_flops + 4 * 3  # once a batch: the factor of each feature
    assert 0 < one[-1].backward_flops < two[-1].backward_flops
    with pytest.raises(fn.ShapeError, match="at least 2 values"):
        fn.cost(net, (3,), 1, fn.losses.MeanSquaredError())


@pytest.mark.parametrize(
    ("net", "paths"),
    [
        (
            fn.Tied(fn.serial(a=fn.Dense(3, use_bias=False), b=fn.Dense(3, use_bias=False)), {"b/weight": "a/weight"}),
            ["", "", "a", "b"],
        ),
        (fn.serial(a=fn.WeightNorm(fn.Dense(3))), ["", "a", "a"]),
        (fn.Repeat(fn.Dense(3), 4), ["", ""]),
    ],
)
def test_every_layer_stands_there_once(net, paths):
    assert [line.path for line in fn.summary(net, (3,))] == paths


@pytest.mark.parametrize("several", [fn.Repeat(fn.Dense(3), 4), fn.Ensemble(fn.Dense(3), 4)])
def test_copies_count_as_many(several):
    whole, inside = fn.summary(several, (3,), batch=2)
    assert whole.multiply_adds == inside.multiply_adds == 4 * 9
    assert whole.activation_bytes == inside.activation_bytes == 4 * 2 * 3 * 4
    assert whole.parameters == 4 * inside.parameters == 4 * 12
