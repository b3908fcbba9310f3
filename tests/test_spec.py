"""Specs as values: what constructors refuse and normalise, names of children, the registry, public names."""

import ast
import copy
import importlib
import inspect
import itertools
import math
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import attrs
import numpy as np
import pytest
from attrs import field

import funcnet as fn
from funcnet import SpecError, initializers, losses, metrics, optim, tree
from funcnet.spec import kinds
from funcnet.spec.base import Spec, evolve, fields, rebuild, tags
from funcnet.spec.fields import FrozenDict, positive

BIG = 2**53


def message(call):
    with pytest.raises(SpecError) as caught:
        call()
    assert str(caught.value) == "\n".join(caught.value.problems[:20]) + (
        f"\n… and {len(caught.value.problems) - 20} more problems" if len(caught.value.problems) > 20 else ""
    )
    return str(caught.value)


# ----- types and ranges of fields


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3.7, "expected an integer, got 3.7"),
        (3.0, "expected an integer, got 3.0"),
        ("3", 'expected an integer, got "3"'),
        (True, "expected an integer, got true"),
        (None, "expected an integer, got null"),
        ([3], "expected an integer, got [3]"),
        ({"a": 1}, 'expected an integer, got {"a": 1}'),
        (np.float64(3.0), "expected an integer, got np.float64(3.0)"),
        (np.True_, "expected an integer, got np.True_"),
        (BIG + 1, "integers go up to 2^53, got 9007199254740993"),
        (-BIG - 1, "integers go up to 2^53, got -9007199254740993"),
        (0, "must be positive, got 0"),
        (-3, "must be positive, got -3"),
        ("x" * 90, 'expected an integer, got "' + "x" * 56 + "…"),
    ],
)
def test_integer_fields_take_integers_alone(value, text):
    assert message(lambda: fn.Dense(value)) == f"Dense.units: {text}"


@pytest.mark.parametrize("value", [1, BIG, np.int8(7), np.uint64(7), np.int64(BIG)])
def test_integers_become_python_integers(value):
    units = fn.Dense(value).units
    assert type(units) is int
    assert units == int(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("2", 'expected a number, got "2"'),
        (True, "expected a number, got true"),
        (None, "expected a number, got null"),
        (math.nan, "expected a finite number, got nan"),
        (math.inf, "expected a finite number, got inf"),
        (-math.inf, "expected a finite number, got -inf"),
        (np.float32("nan"), "expected a finite number, got nan"),
        (1j, "expected a number, got 1j"),
        (0, "must be positive, got 0.0"),
        (-0.5, "must be positive, got -0.5"),
    ],
)
def test_float_fields_take_finite_numbers_alone(value, text):
    assert message(lambda: losses.Huber(value)) == f"Huber.delta: {text}"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(2, 2.0), (0.1, 0.1), (np.float64(0.1), 0.1), (np.float32(0.5), 0.5), (np.int16(3), 3.0), (BIG, float(BIG))],
)
def test_numbers_become_python_floats(value, expected):
    delta = losses.Huber(value).delta
    assert type(delta) is float
    assert delta == expected
    assert losses.Huber(value) == losses.Huber(expected)


@pytest.mark.parametrize("call", [lambda: losses.Huber(10**400), lambda: fn.Dense(10**400), lambda: fn.Dense(10**5000)])
def test_numbers_too_large_for_a_float_are_refused(call):
    assert message(call).startswith(("Huber.delta: ", "Dense.units: integers go up to 2^53"))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: fn.Dense(3, use_bias=1), "Dense.use_bias: expected true or false, got 1"),
        (lambda: fn.Dense(3, use_bias="no"), 'Dense.use_bias: expected true or false, got "no"'),
        (
            lambda: fn.Dense(3, weight_init="zeros"),
            'Dense.weight_init: expected an initializer, got "zeros"; write fn.Zeros()',
        ),
        (lambda: fn.Dense(3, weight_init=fn.Relu()), "Dense.weight_init: expected an initializer, got Relu()"),
        (lambda: fn.Dropout(1.0), "Dropout.rate: must be at least 0 and below 1, got 1.0"),
        (lambda: fn.Dropout(-0.1), "Dropout.rate: must be at least 0 and below 1, got -0.1"),
        (lambda: fn.LeakyRelu(-1), "LeakyRelu.slope: must be zero or more, got -1.0"),
        (lambda: fn.BatchNorm(momentum=1.01), "BatchNorm.momentum: must be between 0 and 1, got 1.01"),
        (lambda: optim.Adam("x"), 'Adam.learning_rate: expected a number or a schedule, got "x"'),
        (lambda: optim.Adam(fn.Relu()), "Adam.learning_rate: expected a number or a schedule, got Relu()"),
        (lambda: optim.Adam(math.nan), "Adam.learning_rate: expected a number or a schedule, got nan"),
        (
            lambda: optim.Cosine(1.0, total_steps=BIG + 1),
            "Cosine.total_steps: integers go up to 2^53, got 9007199254740993",
        ),
        (
            lambda: optim.Cosine(1.0, total_steps=2.0),
            "Cosine.total_steps: expected an integer or null, got 2.0",
        ),
        (lambda: optim.Cosine(1.0, total_steps=0), "Cosine.total_steps: must be positive, got 0"),
        (lambda: fn.Reshape(3), "Reshape.shape: expected a list, each item an integer, got 3"),
        (lambda: fn.Reshape((3, 2.5)), "Reshape.shape[1]: expected an integer, got 2.5"),
        (
            lambda: fn.Reshape((-1, -1)),
            "Reshape.shape: expected positive integers, one of them -1 at most, got [-1, -1]",
        ),
        (
            lambda: fn.Training(epochs=1, batch_size="all"),
            'Training.batch_size: expected an integer or "full", got "all"',
        ),
        (lambda: fn.Training(), "Training: expected either epochs or steps, got none"),
        (lambda: fn.Training(epochs=1, steps=1), "Training: expected either epochs or steps, got both"),
        (
            lambda: fn.data.Digits(scale="max"),
            'Digits.scale: expected "standard" or "minmax" or "robust" or null, got "max"',
        ),
        (
            lambda: fn.data.Function("mean_sin"),
            'Function.target: expected "mean_sine" or "sum_of_squares", got "mean_sin", did you mean \'mean_sine\'?',
        ),
        (lambda: fn.data.Npz(path=3), "Npz.path: expected a string, got 3"),
        (lambda: fn.serial(3), "Serial.layers[0]: expected a layer, got 3"),
        (lambda: fn.serial(fn.Relu(), losses.Huber()), "Serial.layers[1]: expected a layer, got Huber(delta=1.0)"),
        (lambda: fn.Serial(3), "Serial.layers: expected a list of layers, got 3"),
        (lambda: fn.Graph(1, {}, "x"), "Graph.inputs: expected a name or a list of names, got 1"),
        (
            lambda: fn.Graph("x", 3, "x"),
            "Graph.nodes: expected a mapping, got 3; the order is Graph(inputs, nodes, outputs)",
        ),
        (lambda: fn.Graph("x", {"a": fn.Relu()}, "a"), "Graph.nodes.a: expected a list of 2 items, got Relu()"),
        (
            lambda: fn.Graph("x", {"a": (fn.Relu(), 3)}, "a"),
            "Graph.nodes.a[1]: expected a name or a list of names, got 3",
        ),
        (lambda: fn.branch(), "Branch.layers: expected at least one layer"),
    ],
)
def test_whole_messages_of_constructors(call, text):
    assert message(call) == text


def test_one_bare_string_stands_for_a_tuple_of_names():
    graph = fn.Graph("x", {"a": (fn.Relu(), "x")}, "a")
    assert (graph.inputs, graph.nodes["a"], graph.outputs) == (("x",), (fn.Relu(), ("x",)), ("a",))
    assert graph == fn.Graph(["x"], {"a": [fn.Relu(), ["x"]]}, ("a",))


def test_arrays_become_tuples_of_numbers():
    data = fn.data.Arrays(x=np.eye(2, dtype=np.float32), y=np.array([0, 1]))
    assert (data.x, data.y) == (((1.0, 0.0), (0.0, 1.0)), (0, 1))
    assert [type(n) for n in (data.x[0][0], data.y[0])] == [float, int]
    assert fn.Reshape(np.array([2, 3])).shape == (2, 3)


def test_all_mistakes_are_reported_at_once():
    assert message(lambda: fn.Dense(3.7, use_bias=1, bias_init=0)) == (
        "Dense.units: expected an integer, got 3.7\n"
        "Dense.use_bias: expected true or false, got 1\n"
        "Dense.bias_init: expected an initializer, got 0"
    )


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: optim.Adam(learning_rate=-1, b1=2, eps=0),
            "Adam.learning_rate: must be zero or more, got -1.0\n"
            "Adam.b1: must be at least 0 and below 1, got 2.0\n"
            "Adam.eps: must be positive, got 0.0",
        ),
        (
            lambda: optim.Adam(learning_rate="x", b1=2),
            'Adam.learning_rate: expected a number or a schedule, got "x"\n'
            "Adam.b1: must be at least 0 and below 1, got 2.0",
        ),
    ],
)
def test_ranges_are_reported_with_all_else(call, text):
    assert message(call) == text


@pytest.mark.parametrize(
    ("call", "start"),
    [
        (
            lambda: fn.serial([fn.Dense(3), fn.Relu()]),
            "serial: expected layers one by one, got a list; write serial(*layers)",
        ),
        (lambda: fn.serial(fn.Relu(), ["head", fn.Dense(3)]), "Serial.layers[1]: expected a layer, got ["),
        (lambda: fn.Dense({"units": np.int64(3)}), "Dense.units: expected an integer, got {"),
        (lambda: fn.Dense({(1, 2): 3}), "Dense.units: expected an integer, got {"),
        (lambda: fn.Graph("x", {1: (fn.Relu(), "x")}, "x"), "Graph.nodes: expected a mapping, got {"),
    ],
)
def test_values_that_json_cannot_hold_are_refused_like_others(call, start):
    assert message(call).startswith(start)


def test_problems_beyond_twenty_are_counted():
    with pytest.raises(SpecError) as caught:
        fn.Reshape(("x",) * 23)
    error = caught.value
    assert len(error.problems) == 23
    assert error.problems[22] == 'Reshape.shape[22]: expected an integer, got "x"'
    assert str(error).splitlines()[19:] == [error.problems[19], "… and 3 more problems"]


def test_a_spec_error_is_a_value_error_and_pickles():
    with pytest.raises(ValueError, match="units") as caught:
        fn.Dense(0)
    error = caught.value
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.problems, str(again)) == (
        SpecError,
        error.problems,
        "Dense.units: must be positive, got 0",
    )


# ----- values


NET = fn.serial(
    fn.Dense(4, weight_init=initializers.Normal(std=0.5)),
    fn.Relu(),
    fn.Residual(fn.serial(fn.Dropout(0.5)), projection=fn.Identity()),
    fn.Graph("x", {"a": (fn.Dense(2), "x"), "b": (fn.Concat(), ("x", "a"))}, "b"),
    head=fn.Dense(1, False),
)
VALUES = [
    NET,
    optim.chain(optim.ClipByGlobalNorm(1), optim.AdamW(optim.WarmupCosine(0.1, 10))),
    losses.SoftmaxCrossEntropy(0.1),
    fn.data.Digits(split=fn.data.Split(validation=0.1), scale="standard"),
    fn.Training(steps=3, batch_size="full"),
    metrics.R2(),
    FrozenDict({"a": (1, 2)}),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("copied", [lambda v: pickle.loads(pickle.dumps(v)), copy.deepcopy, copy.copy])
def test_copies_are_equal_and_hash_alike(value, copied):
    again = copied(value)
    assert again == value
    assert type(again) is type(value)
    assert hash(again) == hash(value)
    assert repr(again) == repr(value)
    assert {value: 1}[again] == 1


def test_specs_differ_by_class_and_by_every_field():
    specs = [
        fn.Dense(3),
        fn.Dense(4),
        fn.Dense(3, False),
        fn.Dense(3, bias_init=initializers.Ones()),
        fn.Relu(),
        fn.Tanh(),
        fn.serial(fn.Dense(3)),
        fn.serial(head=fn.Dense(3)),
        fn.Branch((fn.Dense(3),)),
        optim.Adam(),
        optim.AdamW(),
        optim.ConstantRate(1.0),
        initializers.Constant(1.0),
        losses.MeanSquaredError(),
        losses.SumSquaredError(),
    ]
    for a, b in itertools.combinations(specs, 2):
        assert a != b
    assert len(set(specs)) == len(specs)


def test_a_spec_never_changes():
    layer = fn.Dense(3)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        layer.units = 4
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        del layer.units
    graph = fn.Graph("x", {"a": (fn.Relu(), "x")}, "a")
    with pytest.raises(TypeError):
        graph.nodes["b"] = (fn.Relu(), ("x",))


def test_a_spec_does_not_share_what_it_was_given():
    nodes = {"a": (fn.Relu(), "x")}
    graph = fn.Graph("x", nodes, "a")
    before = hash(graph)
    nodes["b"] = (fn.Relu(), "x")
    assert (list(graph.nodes), hash(graph)) == (["a"], before)


@pytest.mark.parametrize("change", [evolve, attrs.evolve])
def test_evolve_makes_a_changed_copy(change):
    layer = fn.Dense(3, False)
    assert change(layer, units=4) == fn.Dense(4, False)
    assert layer == fn.Dense(3, False)
    assert change(NET) == NET
    assert message(lambda: change(layer, units=0)) == "Dense.units: must be positive, got 0"


def test_rebuild_changes_every_spec_inside():
    def wider(spec):
        return evolve(spec, units=2 * spec.units) if isinstance(spec, fn.Dense) else spec

    expected = fn.serial(
        fn.Dense(8, weight_init=initializers.Normal(std=0.5)),
        fn.Relu(),
        fn.Residual(fn.serial(fn.Dropout(0.5)), projection=fn.Identity()),
        fn.Graph("x", {"a": (fn.Dense(4), "x"), "b": (fn.Concat(), ("x", "a"))}, "b"),
        head=fn.Dense(2, False),
    )
    assert rebuild(NET, wider) == expected
    assert rebuild(NET, lambda spec: spec) == NET


def test_frozen_dicts_compare_and_hash_without_order():
    a, b = FrozenDict({"x": 1, "y": 2}), FrozenDict({"y": 2, "x": 1})
    assert a == b
    assert hash(a) == hash(b)
    assert a != FrozenDict({"x": 1})
    assert (len(a), list(b), a["y"], repr(a)) == (2, ["y", "x"], 2, "{'x': 1, 'y': 2}")


@attrs.frozen
class Scaled(fn.Dense):
    factor: float = 1.0


def test_a_subclass_has_the_fields_of_both():
    assert [f.name for f in fields(Scaled)] == ["units", "use_bias", "weight_init", "bias_init", "factor"]
    assert Scaled(3) != fn.Dense(3)
    assert Scaled(3, factor=2) != Scaled(3)
    assert message(lambda: Scaled(3, factor="2")) == 'Scaled.factor: expected a number, got "2"'


def test_a_subclass_without_a_tag_of_its_own_is_not_written_as_its_base():
    """Read back, it would be another network."""
    assert message(lambda: fn.to_json(Scaled(3, factor=2.0))) == (
        "Scaled: Scaled has no tag, so it cannot be written; give it one: @fn.register('your.tag')"
    )


def test_a_subclass_without_its_own_decorator_is_refused():
    class Bare(fn.Dense):
        extra: int = 3

    assert message(lambda: Bare(3)) == (
        "Bare: decorate the class with @frozen; without it new fields are ignored by == and JSON"
    )


@pytest.mark.parametrize("decorator", [attrs.frozen, attrs.frozen(slots=False)])
def test_any_frozen_decorator_will_do(decorator):
    Own = decorator(type("Own", (fn.Dense,), {"__annotations__": {"extra": int}, "extra": 3, "__module__": __name__}))
    assert Own(2) == Own(2, extra=3)
    assert Own(2, extra=4) != Own(2)
    assert hash(Own(2)) == hash(Own(2, extra=np.int64(3)))
    assert message(lambda: Own(2, extra=3.5)) == "Own.extra: expected an integer, got 3.5"


# ----- limits


def _nest(depth, wrap):
    layer = fn.Relu()
    for _ in range(depth - 1):
        layer = wrap(layer)
    return layer


WRAPS = {
    "residual": fn.Residual,
    "projection": lambda inner: fn.Residual(fn.Relu(), projection=inner),
    "serial": fn.serial,
    "graph": lambda inner: fn.Graph("x", {"a": (inner, "x")}, "a"),
}


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
def test_specs_nest_64_deep_and_no_deeper(wrap):
    deepest = _nest(64, wrap)
    assert deepest == pickle.loads(pickle.dumps(deepest))
    assert hash(deepest) == hash(_nest(64, wrap))
    assert repr(deepest) == repr(_nest(64, wrap))
    assert fn.from_json(fn.to_json(deepest)) == deepest
    assert fn.spec_hash(deepest) == fn.spec_hash(_nest(64, wrap))
    assert deepest.init(fn.Key(0), (3,)) == ({}, {})
    name = type(deepest).__name__
    assert message(lambda: wrap(deepest)) == f"{name}: specs are nested 65 deep; the limit is 64"


def test_a_spec_holds_100000_specs_and_no_more():
    assert len(fn.serial(*[fn.Relu()] * 99_999).layers) == 99_999
    assert message(lambda: fn.serial(*[fn.Relu()] * 100_000)) == "Serial: holds 100001 specs; the limit is 100000"


def test_a_network_of_6000_layers_is_built_written_and_trained():
    net = fn.serial(*[layer for _ in range(3000) for layer in (fn.Dense(4), fn.Relu())])
    assert fn.from_json(fn.to_json(net)) == net
    assert fn.spec_hash(net) == fn.spec_hash(fn.serial(*[child for _, child in net.layers]))
    assert fn.summary(net, (4,), batch=None)[0].parameters == 3000 * 20
    ts = fn.train_state(net, fn.optim.Adam(), fn.Key(0), (4,))
    x = np.ones((2, 4), np.float32)
    new, out = fn.train_step(net, fn.losses.MeanSquaredError(), fn.optim.Adam(), compile=False)(ts, (x, x))
    assert new.step == 1
    assert np.isfinite(out["loss"])


def test_specs_that_share_a_part_count_it_each_time():
    layer = fn.Relu()
    for _ in range(15):  # 2^16 - 1 specs, and 2^17 - 1 with one more
        layer = fn.branch(layer, layer)
    assert message(lambda: fn.branch(layer, layer)) == "Branch: holds 131071 specs; the limit is 100000"


# ----- names of children


def names(net):
    return list(net.children)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ((fn.Dense(1), fn.Relu(), fn.Dense(1)), ["dense_0", "relu_0", "dense_1"]),
        ((fn.LeakyRelu(), fn.serial(), fn.BatchNorm()), ["leaky_relu_0", "serial_0", "batch_norm_0"]),
        ((("stem", fn.Dense(1)), fn.Dense(1)), ["stem", "dense_0"]),
        ((fn.Dense(1), ("mid", fn.Dense(1)), fn.Dense(1)), ["dense_0", "mid", "dense_1"]),
        ((("dense_0", fn.Dense(1)), fn.Dense(1)), ["dense_0", "dense_1"]),
        ((("dense_5", fn.Dense(1)), fn.Dense(1)), ["dense_5", "dense_0"]),
        (((None, fn.Dense(1)), fn.Dense(1)), ["dense_0", "dense_1"]),
        ((("_a1", fn.Dense(1)), ("A_", fn.Relu())), ["_a1", "A_"]),
        ((fn.layer(*[lambda *args: None] * 4),), ["layer_0"]),
        ((), []),
    ],
)
def test_children_are_named_or_counted(layers, expected):
    assert names(fn.serial(*layers)) == expected
    assert names(fn.Serial(layers)) == expected
    assert names(fn.parallel(*layers)) == expected


def test_keywords_name_children():
    assert names(fn.serial(fn.Dense(1), body=fn.Dense(2), head=fn.Dense(3))) == ["dense_0", "body", "head"]
    assert fn.serial(a=fn.Relu()) == fn.serial(("a", fn.Relu()))
    assert [name for name, _ in optim.chain(optim.ClipByGlobalNorm(1), rule=optim.SGD(1)).steps] == [
        "clip_by_global_norm_0",
        "rule",
    ]


@pytest.mark.parametrize(
    ("layers", "text"),
    [
        (
            (("a", fn.Relu()), ("a", fn.Tanh())),
            "Serial.layers[1].name: 'a' is the name of item 0 too; names must differ",
        ),
        (
            (("dense_1", fn.Dense(1)), fn.Dense(1), fn.Dense(1)),
            "Serial.layers[2].name: 'dense_1' is the name of item 0 too; names must differ",
        ),
        ((("a b", fn.Relu()),), 'Serial.layers[0].name: expected a name of letters, digits and _, got "a b"'),
        ((("a/b", fn.Relu()),), 'Serial.layers[0].name: expected a name of letters, digits and _, got "a/b"'),
        ((("1a", fn.Relu()),), 'Serial.layers[0].name: expected a name of letters, digits and _, got "1a"'),
        ((("", fn.Relu()),), 'Serial.layers[0].name: expected a name of letters, digits and _, got ""'),
        ((("é", fn.Relu()),), 'Serial.layers[0].name: expected a name of letters, digits and _, got "\\u00e9"'),
        (((3, fn.Relu()),), "Serial.layers[0].name: expected a name of letters, digits and _, got 3"),
        (
            (("a", fn.Relu()), ("b", fn.Tanh()), ("b", fn.Relu()), ("a", fn.Relu())),
            "Serial.layers[2].name: 'b' is the name of item 1 too; names must differ\n"
            "Serial.layers[3].name: 'a' is the name of item 0 too; names must differ",
        ),
    ],
)
def test_names_are_unique_and_well_formed(layers, text):
    assert message(lambda: fn.Serial(layers)) == text


def weights(net, in_shape=(5,)):
    return tree.flatten(net.init(fn.Key(3), in_shape)[0])


def agree(changed, base):
    """Every leaf of ``base`` is in ``changed`` with the same bits."""
    return all(changed[path].tobytes() == leaf.tobytes() for path, leaf in base.items())


@pytest.mark.parametrize("combine", [fn.serial, lambda *layers: fn.serial(inner=fn.serial(*layers))])
@pytest.mark.parametrize("place", [0, 1, 2, 3])
@pytest.mark.parametrize("inserted", [fn.Tanh(), fn.BatchNorm(), ("extra", fn.Dense(5)), fn.serial(fn.Dense(5))])
def test_an_inserted_layer_leaves_the_weights_of_all_others(combine, place, inserted):
    layers = [fn.Dense(5), fn.Relu(), fn.Dense(5)]
    base = weights(combine(*layers))
    assert len(base) == 4
    assert agree(weights(combine(*layers[:place], inserted, *layers[place:])), base)


def test_an_inserted_branch_or_node_leaves_the_weights_of_all_others():
    base = fn.branch(fn.Dense(2), fn.Dense(3))
    assert agree(weights(fn.branch(fn.Relu(), fn.Dense(2), ("new", fn.Dense(9)), fn.Dense(3))), weights(base))
    graph = fn.Graph("x", {"a": (fn.Dense(2), "x"), "b": (fn.Dense(3), "a")}, "b")
    larger = fn.Graph("x", {"b": (fn.Dense(3), "a"), "c": (fn.Dense(2), "x"), "a": (fn.Dense(2), "x")}, ("b", "c"))
    assert agree(weights(larger), weights(graph))


def test_changed_fields_leave_the_weights_of_all_others():
    base = weights(fn.serial(fn.Dense(5), fn.Dense(4), fn.Dense(3)))
    other = weights(fn.serial(fn.Dense(5, use_bias=False), fn.Dense(4, bias_init=initializers.Ones()), fn.Dense(3)))
    assert agree(other, {path: leaf for path, leaf in base.items() if not path.endswith("bias")})
    assert other["dense_1/bias"].tolist() == [1.0] * 4


def test_layers_of_one_class_start_differently():
    made = weights(fn.serial(fn.Dense(5), fn.Dense(5), fn.serial(fn.Dense(5))))
    assert len({leaf.tobytes() for path, leaf in made.items() if path.endswith("weight")}) == 3


# ----- >>


@attrs.frozen
class Doubled(fn.Serial):
    def apply(self, params, state, x, ctx):
        y, state, residuals = super().apply(params, state, x, ctx)
        return 2.0 * y, state, residuals

    def vjp(self, params, residuals, dy):
        return super().vjp(params, residuals, 2.0 * dy)


POOL = [
    fn.Dense(1),
    fn.Relu(),
    fn.serial(),
    fn.serial(fn.Dense(2), fn.Relu()),
    fn.serial(fn.Dense(2), fn.Dense(3)),
    fn.serial(head=fn.Dense(2)),
    fn.serial(stem=fn.Dense(2), other=fn.Relu()),
    Doubled((fn.Dense(2),)),
    fn.serial(fn.Relu(), dense_0=fn.Dense(2)),
    fn.serial(fn.serial(fn.Relu())),
    fn.Residual(fn.Relu()),
]


def test_arrows_keep_given_names_and_count_automatic_ones_anew():
    a, b, named = fn.Dense(1), fn.Relu(), fn.serial(fn.Dense(2), fn.Relu(), head=fn.Dense(2))
    assert a >> b == fn.serial(a, b)
    assert a >> b >> a == fn.serial(a, b, a)
    assert names(a >> b >> a) == ["dense_0", "relu_0", "dense_1"]
    assert names(named >> fn.Softmax()) == ["dense_0", "relu_0", "head", "softmax_0"]
    assert names(fn.serial(stem=a) >> named >> a) == ["stem", "dense_0", "relu_0", "head", "dense_1"]
    assert fn.serial(dense_0=a) >> b == fn.serial(a, b)
    assert fn.serial(fn.serial(a)) >> b == fn.serial(fn.serial(a), b)
    assert message(lambda: named >> named) == (
        "a >> b: both sides have a layer named 'head'; rename one, or nest them: fn.serial(a, b)"
    )


def test_arrows_leave_subclasses_of_serial_whole():
    net = Doubled((fn.Dense(3),)) >> fn.Identity()
    assert net == fn.serial(Doubled((fn.Dense(3),)), fn.Identity())
    params, state = net.init(fn.Key(0), (2,))
    x = np.ones((1, 2), np.float32)
    right = 2.0 * (x @ params["serial_0"]["dense_0"]["weight"])
    np.testing.assert_array_equal(fn.predict(net, params, state, x), right)


def test_arrows_have_an_identity():
    for layer in POOL:
        parts = fn.serial() >> layer
        assert parts == layer >> fn.serial()
        assert parts == layer or parts == fn.serial(layer)


def test_arrows_are_associative():
    def joined(f):
        try:
            return f()
        except fn.SpecError as error:
            return str(error)

    for a, b, c in itertools.product(POOL, repeat=3):
        assert joined(lambda: (a >> b) >> c) == joined(lambda: a >> (b >> c)), (a, b, c)


def test_arrows_take_layers_alone():
    assert message(lambda: fn.Dense(1) >> 3) == "Serial.layers[1]: expected a layer, got 3"


# ----- the registry


@pytest.mark.parametrize("tag", ["gated", "", ".", "a.", ".a", "a b.c", "a.1", "a-b.c", "a..b"])
def test_tags_of_users_have_a_dot_between_names(tag):
    text = f"register({tag!r}): expected a tag with a dot between two names, such as 'acme.gated'"
    assert message(lambda: fn.register(tag)(Scaled)) == text
    assert tag not in tags("layer")


def test_only_frozen_specs_are_registered():
    class Plain:
        """Not derived from any kind of spec."""

    class Bare(fn.Dense):
        extra: int = 3

    text = "expected a class derived from fn.Layer, fn.losses.Loss, fn.optim.Optimizer, …"
    assert message(lambda: fn.register("test_spec.x")(Plain)) == f"register('test_spec.x'): {text}"
    assert message(lambda: fn.register("test_spec.x")(3)) == f"register('test_spec.x'): {text}"
    assert message(lambda: fn.register("test_spec.x")(Bare)) == (
        "register('test_spec.x'): Bare needs @attrs.frozen below @fn.register; without it new fields are ignored"
    )
    assert "test_spec.x" not in tags("layer")


@pytest.mark.parametrize("name", ["type", "name"])
def test_no_field_is_called_like_a_key_of_json(name):
    Bad = attrs.frozen(type("Bad", (fn.Layer,), {"__annotations__": {name: int}, name: 3}))
    assert message(lambda: fn.register("test_spec.bad")(Bad)) == (
        f"register('test_spec.bad'): a field cannot be called {name!r}: specs in JSON use that key"
    )
    assert "test_spec.bad" not in tags("layer")
    assert Bad.tag is None


@fn.register("test_spec.gain")
@attrs.frozen
class Gain(fn.Layer):
    """y = gain · x + offset, each feature with a gain of its own."""

    offset: float = 0.0
    start: initializers.Initializer = initializers.Ones()  # noqa: RUF009  specs never change

    def leaves(self, in_shape):
        return {"gain": fn.Leaf(in_shape, self.start)}

    def out_shape(self, in_shape):
        return in_shape

    def apply(self, params, state, x, ctx):
        return params["gain"] * x + self.offset, state, x

    def vjp(self, params, residuals, dy):
        return {"gain": np.sum(residuals * dy, axis=0)}, params["gain"] * dy


@fn.register("test_spec.log_cosh")
@attrs.frozen
class LogCosh(losses.Loss):
    """mean of log cosh(sharpness · (p - t)) / sharpness; the derivative is tanh(sharpness · (p - t))."""

    sharpness: float = field(default=1.0, validator=positive)

    def divisor(self, target, weight=None):
        return float(target.size if weight is None else weight.sum())

    def apply(self, prediction, target, weight=None, divisor=None):
        error = self.sharpness * (prediction - target)
        weight = 1.0 if weight is None else weight
        share = 1.0 / (self.divisor(target) if divisor is None else divisor)
        return np.sum(weight * np.log(np.cosh(error))) * (share / self.sharpness), (error, weight * share)

    def vjp(self, residuals, dy=1.0):
        error, share = residuals
        return np.tanh(error) * (dy * share)


@fn.register("test_spec.sign_descent")
@attrs.frozen
class SignDescent(optim.Optimizer):
    """p ← p - η sign(m), m ← decay · m + (1 - decay) · g"""

    learning_rate: float | optim.Schedule = field(default=0.01, validator=positive)
    decay: float = 0.9

    def init(self, params):
        return {"step": np.zeros((), np.int64), "mean": tree.zeros_like(params)}

    def update(self, grads, opt_state, params, value=None):
        step, rate = int(opt_state["step"]), self.learning_rate
        rate = rate(step) if isinstance(rate, optim.Schedule) else rate
        mean = tree.map(
            lambda m, g: fn.ops.settle(self.decay * m + (1 - self.decay) * g, step), opt_state["mean"], grads
        )
        return tree.map(lambda m: -rate * np.sign(m), mean), {"step": np.asarray(step + 1), "mean": mean}


USERS = [
    (Gain(2.0, initializers.Constant(0.5)), "layer", "test_spec.gain"),
    (LogCosh(3), "loss", "test_spec.log_cosh"),
    (SignDescent(optim.StepDecay(0.1, 100)), "optimizer", "test_spec.sign_descent"),
]


@pytest.mark.parametrize(("spec", "kind", "tag"), USERS)
def test_specs_of_users_round_trip(spec, kind, tag):
    assert tags(kind)[tag] is type(spec)
    text = fn.to_json(spec)
    assert f'"type": "{tag}"' in text
    assert fn.from_json(text) == spec
    assert fn.spec_hash(fn.from_json(text)) == fn.spec_hash(spec)
    assert pickle.loads(pickle.dumps(spec)) == spec


def test_specs_of_users_train_and_are_saved(tmp_path):
    draw = fn.Key(5)
    x = draw.fold("x").normal((64, 3))
    y = x @ np.array([[1.0], [-2.0], [0.5]]) + 1.0
    net = fn.serial(Gain(), fn.Dense(1), Gain(0.25))
    assert names(net) == ["gain_0", "dense_0", "gain_1"]
    loss, opt = LogCosh(2.0), optim.chain(optim.ClipByGlobalNorm(10), SignDescent(optim.Cosine(0.05, 300)))
    net, loss, opt = (fn.from_json(fn.to_json(spec)) for spec in (net, loss, opt))
    ts = fn.train_state(net, opt, fn.Key(0), (3,), np.float64)
    step, values = fn.train_step(net, loss, opt), []
    with pytest.warns(fn.CompileWarning, match=r"^update of Chain is not compiled and runs slower: test_spec"):
        ts, _ = step(ts, (x, y))  # its int(step) has no value while it is recorded
    for _ in range(300):
        ts, found = step(ts, (x, y))
        values.append(found["loss"])
    assert values[0] > 1.0
    assert values[-1] < 0.01
    fn.save(tmp_path / "net.npz", net, ts.params, ts.state)
    again, params, state = fn.load(tmp_path / "net.npz")
    assert again == net
    np.testing.assert_array_equal(fn.predict(again, params, state, x), fn.predict(net, ts.params, ts.state, x))


@pytest.mark.parametrize("check", [lambda: fn.check_layer(Gain(0.5), (3,)), lambda: fn.check_optimizer(SignDescent())])
def test_specs_of_users_keep_the_laws(check):
    assert check() is None


def test_a_tag_is_unique_within_its_kind():
    Other = attrs.frozen(type("Other", (fn.Layer,), {"__module__": __name__}))
    assert message(lambda: fn.register("test_spec.gain")(Other)) == (
        f"register('test_spec.gain'): this layer tag is taken by {__name__}.Gain"
    )
    assert tags("layer")["test_spec.gain"] is Gain
    assert Other.tag is None
    assert fn.register("test_spec.gain")(Gain) is Gain  # a reloaded module may register again


def test_kinds_have_tags_of_their_own():
    Same = attrs.frozen(type("Same", (optim.Schedule,), {"__module__": __name__}))
    fn.register("test_spec.gain")(Same)
    assert (tags("schedule")["test_spec.gain"], tags("layer")["test_spec.gain"]) == (Same, Gain)


def test_three_bare_functions_compose_and_refuse_to_serialise():
    double = fn.layer(
        lambda key, in_shape, dtype: ({}, {}),
        lambda params, state, x, ctx: (2.0 * x, state, None),
        lambda params, residuals, dy: ({}, 2.0 * dy),
        lambda in_shape: in_shape,
    )
    net = double >> fn.Relu()
    assert fn.predict(net, {}, {}, np.array([[-1.0, 3.0]])).tolist() == [[0.0, 6.0]]
    text = "is made of bare functions, which JSON cannot hold; write a class with @fn.register('your.tag')"
    assert message(lambda: fn.to_json(double)) == f"FunctionLayer: {text}"
    assert message(lambda: fn.to_json(net)) == f"FunctionLayer: {text}"
    assert message(lambda: fn.spec_hash(net)) == f"FunctionLayer: {text}"


# ----- public names


PACKAGES = ("funcnet", "funcnet.optim", "funcnet.data", "funcnet.metrics", "funcnet.losses")


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_of_a_stub_is_there_once(package):
    module = importlib.import_module(package)
    stub = Path(inspect.getsourcefile(module)).with_suffix(".pyi").read_text(encoding="utf-8")
    seen = {}
    for node in ast.parse(stub).body:
        if not isinstance(node, ast.ImportFrom):
            continue
        for alias in node.names:
            assert alias.asname == alias.name, f"{alias.name} is not re-exported"
            assert alias.name not in seen
            seen[alias.name] = node.module
    assert sorted(seen) == module.__all__ == dir(module)
    for name, source in seen.items():
        place = importlib.import_module(f"{source}.{name}" if source == package else source)
        assert getattr(module, name) is (place if source == package else getattr(place, name))


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_a_tag_is_the_name_of_its_class_in_lower_case(kind):
    assert kinds.base_of(kind) is getattr(importlib.import_module(kinds.KINDS[kind].module), kinds.KINDS[kind].name)
    assert kinds.base_of(kind).kind == kind
    own = {tag: cls for tag, cls in tags(kind).items() if "." not in tag}
    for tag, cls in own.items():
        assert cls.tag == tag
        assert tag.replace("_", "") == cls.__name__.lower().removeprefix("initial")  # which leaves Npz to data
        assert tag == tag.lower()
    assert {cls.__module__ for cls in own.values()} <= set(kinds.modules(kind))


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_a_tag_loads_the_module_of_its_class_alone(kind, monkeypatch):
    own = {tag: cls for tag, cls in tags(kind).items() if "." not in tag}
    loaded = []
    monkeypatch.setattr(kinds.importlib, "import_module", loaded.append)
    for tag in [*own, "unknown", "os", "acme.dense"]:
        kinds.load(kind, tag)
    base = kinds.KINDS[kind].module
    assert {*loaded, base} == {base, *(cls.__module__ for cls in own.values())}


@pytest.mark.parametrize("package", PACKAGES)
def test_an_unknown_name_is_an_attribute_error(package):
    with pytest.raises(AttributeError) as caught:
        _ = importlib.import_module(package).Dens
    near = ", did you mean 'Dense'?" if package == "funcnet" else ""
    assert str(caught.value) == f"module {package!r} has no attribute 'Dens'{near}"


def python(code):
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_layer_is_the_function_whatever_is_imported():
    code = """
import funcnet as fn
print(fn.layer.__name__, fn.layer.__module__)
import funcnet.layers.base
print(fn.layer.__name__)
from funcnet.layers.base import Layer, layer
print(layer is fn.layer, Layer is fn.Layer)
from funcnet import layer as again
print(again is fn.layer)
"""
    assert python(code) == ["layer", "funcnet.layers.base", "layer", "True", "True", "True"]
    importlib.import_module("funcnet.layers.base")
    assert inspect.isfunction(fn.layer)
    assert fn.layer is sys.modules["funcnet.layers.base"].layer


def test_the_package_goes_to_workers_by_name():
    """joblib, Dask and Ray send functions by cloudpickle, and with them the modules that they mention."""
    cloudpickle = pytest.importorskip("cloudpickle")  # what the workers use; the tests run without it, too
    assert pickle.loads(cloudpickle.dumps(fn)) is fn
    assert pickle.loads(cloudpickle.dumps(lambda: fn.Dense(3)))() == fn.Dense(3)
    assert pickle.loads(cloudpickle.dumps(optim)) is optim


def test_prepare_is_the_function_whatever_is_imported():
    code = """
from funcnet import data
print(type(data.prepare).__name__, type(data.prepare).__name__)
import funcnet.experiments.run
print(type(data.prepare).__name__)
"""
    assert python(code) == ["function"] * 3


def test_importing_loads_little_and_a_layer_its_family():
    code = """
import sys, funcnet as fn
print(*sorted(name for name in sys.modules if name.partition(".")[0] in ("funcnet", "numpy", "attrs")))
print("|")
fn.Dense
print(*sorted(name for name in sys.modules if name.startswith("funcnet.")))
"""
    found = " ".join(python(code)).split(" | ")
    assert found[0].split() == ["funcnet", "funcnet.lazy", "funcnet.version"]
    families = {
        "funcnet.training",
        "funcnet.optim",
        "funcnet.losses.base",
        "funcnet.data",
        "funcnet.cli",
        "funcnet.metrics",
    }
    assert not families & set(found[1].split())
    assert "funcnet.layers.dense" in found[1].split()


def test_a_tag_is_never_imported():
    tags = ["antigravity", "this", "funcnet.laws", "tests.test_spec", "wsgiref.util"]
    code = f"""
import sys, funcnet as fn
for tag in {tags}:
    try:
        fn.from_json({{"model": tag}})
    except fn.SpecError as error:
        print(error.problems[0].split("'")[1])
print(*set({tags}) & set(sys.modules))
"""
    assert python(code) == [f"{tag}" for tag in tags]


def test_every_kind_of_the_library_has_specs():
    found = {cls.kind for module in (fn, losses, metrics, optim, initializers, fn.data) for cls in _specs(module)}
    assert found == set(kinds.KINDS) - {"initial"}


def _specs(module):
    named = [getattr(module, name) for name in dir(module) if not name.startswith("_")]
    return [cls for cls in named if isinstance(cls, type) and issubclass(cls, Spec) and cls.tag]


# ----- classes whose objects are not values -----------------------------------------------------------------------

JSON = "expected numbers, texts, booleans, None, a Literal, specs, or tuples and mappings of these"


@pytest.mark.parametrize(
    ("hint", "reason"),
    [
        (Any, f"JSON cannot hold a field of the type Any; {JSON}"),
        (object, f"JSON cannot hold a field of the type object; {JSON}"),
        (list, f"JSON cannot hold a field of the type list; {JSON}, such as tuple[float, ...]"),
        (list[float], f"JSON cannot hold a field of the type list[float]; {JSON}, such as tuple[float, ...]"),
        (tuple, f"JSON cannot hold a field of the type tuple; {JSON}, such as tuple[float, ...]"),
        (tuple[list[int], ...], f"JSON cannot hold a field of the type list[int]; {JSON}, such as tuple[float, ...]"),
        (dict, f"JSON cannot hold a field of the type dict; {JSON}, such as Mapping[str, float]"),
        (Mapping[int, str], "JSON cannot hold a field of the type collections.abc.Mapping[int, str]; " + JSON),
        (int | complex, f"JSON cannot hold a field of the type complex; {JSON}"),
        (np.ndarray, f"JSON cannot hold a field of the type ndarray; {JSON}, such as tuple[float, ...]"),
        (Callable, f"JSON cannot hold a field of the type Callable; {JSON}"),
        (set[str], f"JSON cannot hold a field of the type set[str]; {JSON}"),
    ],
    ids=str,
)
def test_a_registered_class_has_fields_that_json_holds(hint, reason):
    def made():
        namespace = {"__annotations__": {"f": hint}, "f": None}
        fn.register("spec_test.odd")(attrs.frozen(type("Odd", (fn.Layer,), namespace)))

    assert message(made) == f"Odd.f: {reason}"


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ({"eq": False}, ".f: leave out eq=False; specs that differ in a field must not be equal"),
        (
            {"init": False},
            ".f: expected a field that the constructor takes by its name; make it a property otherwise",
        ),
    ],
    ids=str,
)
def test_a_class_whose_fields_do_not_count_is_refused(field, reason):
    namespace = {"__annotations__": {"f": float}, "f": attrs.field(default=1.0, **field)}
    cls = attrs.frozen(type("Odd", (fn.Layer,), namespace))
    assert message(lambda: fn.register("spec_test.odd")(cls)) == f"Odd{reason}"


def test_a_class_without_equality_is_not_registered_and_compares_all_the_same():
    cls = attrs.frozen(eq=False)(type("Odd", (fn.Layer,), {"__annotations__": {"f": float}}))
    assert (cls(1.0) == cls(1.0), cls(1.0) == cls(2.0), len({cls(1.0), cls(1.0), cls(2.0)})) == (True, False, 2)
    expected = "Odd: leave out eq=False; specs are equal if all their fields are"
    other = attrs.frozen(eq=False)(type("Odd", (fn.Layer,), {"__annotations__": {"f": float}}))
    assert message(lambda: fn.register("spec_test.odd")(other)) == expected


@fn.register("spec_test.number")
@attrs.frozen
class Numeric(fn.Layer):
    """A layer whose code may look at the type of a number."""

    f: int | float | bool = 1
    g: tuple[int, ...] | tuple[float, ...] = ()
    h: Literal[0, False, "a"] = 0


@attrs.frozen
class Anything(fn.Layer):
    """A layer that JSON cannot hold."""

    f: Any = 1

    def out_shape(self, in_shape):
        return in_shape

    def apply(self, params, state, x, ctx):
        return x * self.factor, state, None

    def vjp(self, params, residuals, dy):
        return {}, dy * self.factor

    @property
    def factor(self):
        return 3.0 if self.f is True else 1.0


@pytest.mark.parametrize(
    ("make", "numbers"),
    [
        (lambda f: Numeric(f=f), (1, 1.0, True)),
        (lambda f: fn.serial(Numeric(f=f)), (1, 1.0, True)),
        (lambda f: Numeric(g=(f,)), (1, 1.5)),
        (Anything, (1, 1.0, True)),
        (Anything, (0.0, -0.0)),
        (Anything, ((1, 2), (1.0, 2))),
    ],
)
def test_numbers_of_different_types_are_different(make, numbers):
    values = [make(number) for number in numbers]
    assert len({*values}) == len(values)
    assert values == [make(number) for number in numbers]
    for a, b in itertools.combinations(values, 2):
        assert a != b
    if make is not Anything:
        assert len({fn.spec_hash(value) for value in values}) == len(values)
        for value in values:
            again = fn.from_json(fn.to_json(value))
            assert (again, repr(again)) == (value, repr(value))


def test_zero_and_false_of_a_literal_are_different():
    assert Numeric(h=0) != Numeric(h=False)
    assert fn.from_json(fn.to_json(Numeric(h=False))).h is False
    assert fn.from_json(fn.to_json(Numeric(h=0))).h == 0


def test_specs_that_differ_in_a_type_do_not_share_a_program():
    x, y = np.array([[2.0]]), np.array([[0.5]])
    for f, right in ((1, (2.0 - 0.5) ** 2), (True, (6.0 - 0.5) ** 2), (1.0, (2.0 - 0.5) ** 2)):
        net = Anything(f)
        assert fn.value_and_grad(net, fn.losses.MeanSquaredError())({}, {}, x, y, fn.EVAL)[0] == right
        step = fn.train_step(net, fn.losses.MeanSquaredError(), fn.optim.SGD(0.1))
        ts = fn.train_state(net, fn.optim.SGD(0.1), fn.Key(0), (1,), dtype=np.float64)
        assert step(ts, (x, y))[1]["loss"] == right


@pytest.mark.parametrize("value", [[1.0], np.ones(2), {"a": 1}, {1}], ids=lambda value: type(value).__name__)
def test_a_spec_does_not_hold_what_changes(value):
    instead = "a tuple of numbers" if isinstance(value, list | np.ndarray) else "an immutable value"
    assert message(lambda: Anything(value)) == (
        f"Anything.f: specs never change: expected {instead}, got a {type(value).__name__}"
    )


@fn.register("spec_test.tree")
@attrs.frozen
class Tree(fn.Layer):
    """A class with a field of its own type."""

    left: "Tree | None" = None


def test_a_class_may_hold_itself():
    assert fn.from_json(fn.to_json(Tree(Tree()))) == Tree(Tree())


def test_the_repr_of_a_spec_is_its_constructor():
    """For every configuration in the tables; of bare functions there is no text."""
    from tests.table import LAYERS, LOSSES, OPTIMIZERS, SCHEDULES

    names: dict[str, type] = {}
    for kind in kinds.KINDS:
        for tag, cls in tags(kind).items():
            if "." not in tag:
                assert names.setdefault(cls.__name__, cls) is cls, f"two classes are called {cls.__name__}"
    layers = {name: row.layer for name, row in LAYERS.items() if not name.startswith("function")}
    every = layers | OPTIMIZERS | SCHEDULES | {name: case.loss for name, case in LOSSES.items()}
    assert [name for name, spec in every.items() if eval(repr(spec), dict(names)) != spec] == []
