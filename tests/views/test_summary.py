"""The table of a network, from shapes alone: order, depth, shapes, parameters, and what they cost."""

from typing import Any

import attrs
import numpy as np
import pytest

import funcnet as fn
from funcnet import initializers
from funcnet.combinators.wrapper import Wrapper
from funcnet.layers.base import apply_child, vjp_child
from funcnet.views.summary import Line, summary


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


@fn.register("acme.summary_sorted")
@attrs.frozen
class Sorted(fn.Layer):
    """A user's layer by a function that is not looked into."""

    def out_shape(self, in_shape):
        return in_shape

    def apply(self, params, state, x, ctx):
        return np.sort(x), state, None

    def vjp(self, params, residuals, dy):
        return {}, dy


@fn.register("acme.summary_sometimes")
@attrs.frozen
class Sometimes(Wrapper):
    """A user's wrapper that looks at values, which cannot be recorded."""

    def apply(self, params, state, x, ctx):
        if float(x.sum()) < 0:
            return x, state, None
        return apply_child("", self.layer, params, state, x, ctx)

    def vjp(self, params, residuals, dy):
        return vjp_child("", self.layer, params, residuals, dy)


NETS: dict[str, tuple[fn.Layer, Any, list[tuple[Any, ...]]]] = {
    "one layer": (fn.Dense(3), (4,), [("", "Dense", 0, (3,), 15)]),
    "without bias": (fn.Dense(3, use_bias=False), (5, 4), [("", "Dense", 0, (5, 3), 12)]),
    "flat": (
        fn.serial(fn.Flatten(), fn.Dense(10), fn.Relu(), fn.Dropout(0.5), head=fn.Dense(2)),
        (2, 3),
        [
            ("", "Serial", 0, (2,), 92),
            ("flatten_0", "Flatten", 1, (6,), 0),
            ("dense_0", "Dense", 1, (10,), 70),
            ("relu_0", "Relu", 1, (10,), 0),
            ("dropout_0", "Dropout", 1, (10,), 0),
            ("head", "Dense", 1, (2,), 22),
        ],
    ),
    "empty": (fn.serial(), (3,), [("", "Serial", 0, (3,), 0)]),
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
            ("", "Serial", 0, (2,), 279),
            ("stem", "Dense", 1, (10,), 60),
            ("body", "Residual", 1, (10,), 130),
            ("body", "Serial", 2, (10,), 130),
            ("body/dense_0", "Dense", 3, (10,), 110),
            ("body/batch_norm_0", "BatchNorm", 3, (10,), 20),
            ("fork", "Branch", 1, ((3,), (10,)), 33),
            ("fork/serial_0", "Serial", 2, (3,), 33),
            ("fork/serial_0/dense_0", "Dense", 3, (3,), 33),
            ("fork/serial_0/tanh_0", "Tanh", 3, (3,), 0),
            ("fork/identity_0", "Identity", 2, (10,), 0),
            ("join", "Concat", 1, (13,), 0),
            ("tail", "Serial", 1, (2,), 56),
            ("tail/residual_0", "Residual", 2, (2,), 56),
            ("tail/residual_0", "Dense", 3, (2,), 28),
            ("tail/residual_0/projection", "Dense", 3, (2,), 28),
            ("tail/softmax_0", "Softmax", 2, (2,), 0),
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
            ("", "Graph", 0, ((7,), (3,)), 38),
            ("flat", "Serial", 1, (4,), 20),
            ("flat/flatten_0", "Flatten", 2, (4,), 0),
            ("flat/dense_0", "Dense", 2, (4,), 20),
            ("words", "Dense", 1, (3,), 18),
            ("both", "Concat", 1, (7,), 0),
        ],
    ),
    "parallel by name": (
        fn.parallel(a=fn.Dense(2), b=fn.Relu()),
        {"b": (3,), "a": (4,)},
        [
            ("", "Parallel", 0, {"a": (2,), "b": (3,)}, 10),
            ("a", "Dense", 1, (2,), 10),
            ("b", "Relu", 1, (3,), 0),
        ],
    ),
    "unknown cost": (
        fn.serial(fn.Dense(3), fn.serial(Gain(), fn.Relu()), fn.serial(fn.Dense(2), Mean())),
        (4,),
        [
            ("", "Serial", 0, (), 26),
            ("dense_0", "Dense", 1, (3,), 15),
            ("serial_0", "Serial", 1, (3,), 3),
            ("serial_0/summary_gain_0", "Gain", 2, (3,), 3),
            ("serial_0/relu_0", "Relu", 2, (3,), 0),
            ("serial_1", "Serial", 1, (), 8),
            ("serial_1/dense_0", "Dense", 2, (2,), 8),
            ("serial_1/summary_mean_0", "Mean", 2, (), 0),
        ],
    ),
    "more than an int64 holds": (
        fn.serial(fn.Dense(2**33), fn.Dense(2**33, use_bias=False)),
        (1,),
        [
            ("", "Serial", 0, (2**33,), 2**66 + 2**34),
            ("dense_0", "Dense", 1, (2**33,), 2**34),
            ("dense_1", "Dense", 1, (2**33,), 2**66),
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


COSTED = [name for name in NETS if name not in ("more than an int64 holds", "unknown cost")]


@pytest.mark.parametrize("name", COSTED)
def test_the_cost_of_a_batch_adds_up(name):
    net, in_shape, expected = NETS[name]
    lines = summary(net, in_shape, batch=8)
    assert [line[:5] for line in lines] == expected
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
    one, two = fn.summary(net, (3,), 1), fn.summary(net, (3,), batch=2)
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


COPIES = {
    "repeat": (fn.Repeat(fn.Dense(3), 4), 4 * 12),
    "repeat of one set of params": (fn.Repeat(fn.Dense(3), 4, shared=True), 12),
    "ensemble": (fn.Ensemble(fn.Dense(3), 4), 4 * 12),
    "two ensembles": (fn.Ensemble(fn.Ensemble(fn.Dense(3), 2), 2), 4 * 12),
    "one after the other": (fn.Ensemble(fn.serial(fn.Dense(3), Sorted()), 4), 4 * 12),
    "one layer twice": (fn.Repeat(fn.serial(*[fn.Dense(3)] * 2), 2), 4 * 12),
    "tied": (fn.Repeat(fn.Tied(fn.serial(a=fn.Dense(3), b=fn.Dense(3)), {"b/weight": "a/weight"}), 2), 2 * (9 + 3 + 3)),
}


@pytest.mark.parametrize("name", COPIES)
def test_every_run_of_a_layer_counts(name):
    net, parameters = COPIES[name]
    lines = fn.summary(net, (3,), batch=2)
    dense = [line for line in lines if line.layer == "Dense"]
    assert lines[0].parameters == parameters
    assert sum(line.forward_flops for line in dense) == 4 * (2 * 2 * 9 + 2 * 3)  # 4 times x W, + b
    assert sum(line.activation_bytes for line in dense) == 4 * 2 * 3 * 4
    assert lines[0].activation_bytes == sum(
        line.activation_bytes for line in lines if line.layer in ("Dense", "Sorted")
    )


def test_a_layer_inside_a_call_that_is_not_looked_into_counts_once():
    """The combinator decides by values, so its operations are not known; shapes tell what its layer gives."""
    lines = fn.summary(fn.serial(a=fn.Dense(3), b=Sometimes(fn.Dense(3))), (3,), batch=2)
    assert [(line.path, line.layer, line.forward_flops, line.activation_bytes) for line in lines] == [
        ("", "Serial", None, 48),
        ("a", "Dense", 2 * (2 * 9 + 3), 24),
        ("b", "Sometimes", None, 24),
        ("b", "Dense", 0, 24),
    ]
    assert str(lines).split("\n")[-1].split() == ["total", "3", "24", "?", "?", "48", "B"]
