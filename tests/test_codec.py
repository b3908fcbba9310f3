"""The codec: generated specs of every kind round-trip, mutated documents raise SpecError and nothing else."""

import copy
import functools
import hashlib
import json
import os
import pickle
import random
import re
import sys
import time
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Union, get_args, get_origin

import attrs
import pytest
from hypothesis import HealthCheck, assume, given, reject, settings, strategies as st

import funcnet as fn
from funcnet import SpecError, initializers, losses, metrics, optim
from funcnet.spec.base import Spec, evolve, fields, is_kind, is_spec, tags
from funcnet.spec.codec import encode, to_dict
from funcnet.spec.fields import NAMED
from funcnet.spec.kinds import KINDS as KINDS_OF_SPECS

LAYERS = ", ".join(tag for tag in tags("layer") if "." not in tag)
SPECS = sorted((Path(__file__).parent.parent / "specs").glob("*.json"))
CLASSES = {f"{kind}-{tag}": cls for kind in KINDS_OF_SPECS for tag, cls in tags(kind).items() if "." not in tag}

WITH_FIELDS = {name: cls for name, cls in CLASSES.items() if fields(cls)}

fixed = functools.partial(
    settings,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


def message(call):
    with pytest.raises(SpecError) as caught:
        call()
    return str(caught.value)


def refused(document):
    return message(lambda: fn.from_json(document))


# ----- specs of every kind, generated from the types of their fields

WORDS = st.sampled_from(["x", "y", "stem", "head", "dense_0", "dense_1", "relu_0", "_", "A1"])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(["a.npz", "größe", '"\\\n'])
INTEGERS = st.integers(1, 9) | st.integers(-3, 300) | st.sampled_from([2**53, -(2**53)])
FLOATS = (
    st.sampled_from([0.0, 0.1, 0.5, 1e-8, 1e300, 5e-324, 1.0])
    | st.floats(0, 1, exclude_max=True)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-2, 9)
)


def values(hint, depth):
    """A strategy of values for a field of a type; specs inside nest up to ``depth`` deep."""
    origin, args = get_origin(hint), get_args(hint)
    simple = {int: INTEGERS, float: FLOATS, bool: st.booleans(), str: TEXTS, type(None): st.none()}
    if hint in simple:
        return simple[hint]
    if is_spec(hint):
        return kinds(hint.kind, depth - 1) if is_kind(hint) else specs(hint, depth - 1)
    if origin is Literal:
        return st.sampled_from(args)
    if origin in (Union, types.UnionType):
        return st.one_of([values(arg, depth) for arg in args if depth > 0 or not is_spec(arg)])
    if origin is Annotated and args[1] == NAMED:
        base = get_args(get_args(args[0])[0])[1]
        return st.lists(st.tuples(st.none() | WORDS, kinds(base.kind, depth - 1)), max_size=4).map(tuple)
    if origin is Annotated:
        return st.lists(WORDS, min_size=1, max_size=2) | WORDS
    if origin is tuple and args[-1] is ...:
        return st.lists(values(args[0], depth), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*[values(arg, depth) for arg in args])
    assert issubclass(origin, Mapping), hint
    return st.dictionaries(WORDS, values(args[1], depth), max_size=3)


@functools.cache
def kinds(kind, depth):
    """A strategy of all specs of a kind; at depth 0 of those that need no spec inside."""
    classes = [cls for cls in tags(kind).values() if "." not in cls.tag]
    if depth <= 0:
        classes = [cls for cls in classes if not any(f.default is attrs.NOTHING and nests(f.hint) for f in fields(cls))]
    return st.one_of([specs(cls, depth) for cls in classes])


def nests(hint):
    return is_spec(hint) or any(nests(arg) for arg in get_args(hint) if not isinstance(arg, str))


def between(some, hint, constraint):
    """Values of a field, and those between the ends of its range, which few others hit."""
    limits = getattr(constraint, "keywords", {})
    low, high = (limits.get(end, limits.get(f"exclusive{end.title()}")) for end in ("minimum", "maximum"))
    inside = None not in (low, high) and float in (hint, *get_args(hint))
    return st.floats(low, high) | some if inside else some


@functools.cache
def specs(cls, depth):
    """A strategy of specs of a class: each field its default, where it has one, or any value of its type."""
    if cls is fn.Graph:
        return graphs(depth)
    if cls is fn.data.Arrays:
        return arrays()
    drawn = {}
    for name, hint, default, constraint, *_ in fields(cls):
        some = values(hint, depth) if depth > 0 or default is attrs.NOTHING or not nests(hint) else st.just(default)
        if constraint:
            some = between(some, hint, constraint).filter(
                lambda value, constraint=constraint: not [*constraint.problems("", value)]
            )
        drawn[name] = some if default is attrs.NOTHING else st.just(default) | some

    @st.composite
    def instances(draw):
        chosen = {name: draw(some) for name, some in drawn.items()}
        try:
            return cls(**chosen)
        except SpecError:  # fields that do not go together
            reject()

    return instances()


@st.composite
def graphs(draw, depth):
    """Graphs whose nodes take any values before them; what nothing uses is an output."""
    known = draw(st.lists(WORDS, min_size=1, max_size=2, unique=True))
    inputs, nodes = tuple(known), {}
    for name in draw(st.lists(WORDS.filter(lambda w: w not in inputs), min_size=1, max_size=3, unique=True)):
        sources = draw(st.lists(st.sampled_from(known), min_size=1, max_size=3))
        nodes[name] = (draw(kinds("layer", depth - 1)), sources[0] if len(sources) == 1 else sources)
        known = [*known, name]
    used = {source for _, sources in nodes.values() for source in ([sources] if isinstance(sources, str) else sources)}
    outputs = [name for name in known if name not in used]
    order = draw(st.permutations(list(nodes)))
    return fn.Graph(inputs, {name: nodes[name] for name in order}, outputs)


@st.composite
def arrays(draw):
    rows, columns, outputs = (draw(st.integers(1, 3)) for _ in range(3))

    def column(entries):
        return st.lists(entries, min_size=rows, max_size=rows)

    def table(width):
        return column(st.lists(FLOATS, min_size=width, max_size=width))

    return fn.data.Arrays(
        draw(table(columns)), draw(column(INTEGERS) | column(FLOATS) | table(outputs)), scale=draw(SCALES)
    )


SCALES = st.sampled_from([None, "standard"])


@pytest.mark.parametrize("examples", [1, pytest.param(25, marks=pytest.mark.slow)])
@pytest.mark.parametrize("cls", CLASSES.values(), ids=CLASSES)
def test_every_spec_round_trips(cls, examples):
    seen = set()

    @fixed(max_examples=examples)
    @given(specs(cls, 2))
    def holds(spec):
        seen.add(spec)
        text = fn.to_json(spec)
        again = fn.from_json(text)
        assert type(again) is type(spec)
        assert again == spec
        assert hash(again) == hash(spec)
        assert fn.to_json(again) == text
        assert fn.spec_hash(again) == fn.spec_hash(spec)
        assert fn.from_json(json.loads(text)) == spec
        assert fn.from_json(to_dict(spec, fill=True)) == spec
        assert pickle.loads(pickle.dumps(spec)) == spec
        assert text.endswith("}\n")

    holds()
    assert len(seen) > (1 if fields(cls) and examples > 4 else 0)


@pytest.mark.slow
@pytest.mark.parametrize("cls", WITH_FIELDS.values(), ids=WITH_FIELDS)
def test_hashes_differ_exactly_where_specs_do(cls):
    @fixed(max_examples=10)
    @given(st.data(), specs(cls, 2))
    def holds(data, spec):
        name, hint, _, constraint, *_ = data.draw(st.sampled_from(fields(cls)))
        value = data.draw(between(values(hint, 1), hint, constraint))
        assume(not constraint or not [*constraint.problems("", value)])
        try:
            other = evolve(spec, **{name: value})
        except SpecError:
            reject()
        assert (fn.spec_hash(other) == fn.spec_hash(spec)) is (other == spec)
        assert (fn.to_json(other) == fn.to_json(spec)) is (other == spec)

    holds()


@fixed(max_examples=40)
@given(kinds("layer", 3))
def test_written_nodes_leave_defaults_out(layer):
    def complete(spec, node):
        defaults = {f.name: f.default for f in fields(type(spec))}
        assert list(node) == ["type", *[name for name in defaults if getattr(spec, name) != defaults[name]]]

    complete(layer, encode(layer))
    assert set(encode(layer, fill=True)) == {"type", *[f.name for f in fields(type(layer))]}


# ----- equal specs, equal hashes


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (initializers.Constant(0.0), initializers.Constant(-0.0)),
        (initializers.Normal(mean=0), initializers.Normal(mean=-0.0)),
        (initializers.Constant(1), initializers.Constant(1.0)),
        (fn.serial(fn.Relu()), fn.serial(relu_0=fn.Relu())),
        (fn.Graph("x", {"a": (fn.Relu(), "x")}, "a"), fn.Graph(["x"], {"a": (fn.Relu(), ["x"])}, ["a"])),
        (
            fn.Graph("x", {"a": (fn.Relu(), "x"), "b": (fn.Tanh(), "x")}, ["a", "b"]),
            fn.Graph("x", {"b": (fn.Tanh(), "x"), "a": (fn.Relu(), "x")}, ["a", "b"]),
        ),
    ],
)
def test_equal_specs_have_equal_hashes_and_texts(first, second):
    assert first == second
    assert fn.spec_hash(first) == fn.spec_hash(second)
    assert fn.to_json(first) == fn.to_json(second)


def test_labels_and_numbers_are_different_targets():
    """Integers are class labels, floats are values: a different experiment, so a different spec and hash."""
    labels, numbers = (fn.data.Arrays(x=((1.0,), (2.0,)), y=y) for y in ((0, 1), (0.0, 1.0)))
    assert [type(y) for y in (*labels.y, *numbers.y)] == [int, int, float, float]
    assert (labels == numbers) is (fn.spec_hash(labels) == fn.spec_hash(numbers))


@pytest.mark.parametrize("y", [(0, 1), (0.5, 1.0), ((0.5,), (1.5,)), ((1.0, 2.0), (3.0, 4.0)), ((1, 2), (3, 4))])
def test_arrays_round_trip_with_every_form_of_target(y):
    data = fn.data.Arrays(x=((1.0, 2.0), (3.0, 4.0)), y=y)
    again = fn.from_json(fn.to_json(data))
    assert (again, repr(again)) == (data, repr(data))


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_hash_is_of_the_document_with_every_default():
    assert fn.spec_hash(losses.SumSquaredError()) == sha('{"loss":{"type":"sum_squared_error"},"version":1}')
    assert fn.spec_hash(fn.serial(fn.Dense(3), head=fn.LeakyRelu(1))) == sha(
        '{"model":{"layers":[{"bias_init":{"type":"zeros"},"name":"dense_0","type":"dense","units":3,"use_bias":true,'
        '"weight_init":{"type":"glorot_uniform"}},{"name":"head","slope":1.0,"type":"leaky_relu"}],"type":"serial"},'
        '"version":1}'
    )
    assert fn.spec_hash(fn.data.Npz("ö")) == sha(
        '{"data":{"block":null,"divide":null,"flatten":false,"impute":null,"path":"\\u00f6","scale":null,"split":null,'
        '"target_scale":null,"type":"npz","weight":null,"x":"x","y":"y"},"version":1}'
    )


# ----- what is written


NET = fn.serial(
    fn.Dense(64, weight_init=initializers.HeNormal()),
    fn.Relu(),
    fn.Graph("x", {"b": (fn.Concat(), ("a", "x")), "a": (fn.Dense(2), "x")}, "b"),
    head=fn.Dense(10, False),
)


def test_canonical_text():
    assert fn.to_json(NET) == (
        """{
  "version": 1,
  "model": {
    "type": "serial",
    "layers": [
      {"type": "dense", "units": 64, "weight_init": {"type": "he_normal"}},
      {"type": "relu"},
      {
        "type": "graph",
        "inputs": ["x"],
        "nodes": {"a": [{"type": "dense", "units": 2}, ["x"]], "b": [{"type": "concat"}, ["a", "x"]]},
        "outputs": ["b"]
      },
      {"type": "dense", "name": "head", "units": 10, "use_bias": false}
    ]
  }
}
"""
    )
    assert fn.to_json(metrics.R2()) == '{\n  "version": 1,\n  "metric": {"type": "r2"}\n}\n'
    assert fn.to_json(fn.data.Npz("größe", y="\n")) == (
        '{\n  "version": 1,\n  "data": {"type": "npz", "path": "größe", "y": "\\n"}\n}\n'
    )


def test_type_is_left_out_where_a_field_admits_one_class():
    data = fn.data.Digits(split=fn.data.Split(test=0.2))
    experiment = fn.Experiment(
        data=data,
        model=fn.Dense(10),
        loss=losses.SoftmaxCrossEntropy(),
        optimizer=optim.Adam(),
        training=fn.Training(epochs=1),
    )
    assert encode(experiment)["training"] == {"epochs": 1}
    assert encode(data) == {"type": "digits", "split": {"test": 0.2}}
    assert fn.from_json(fn.to_json(experiment)) == experiment


CONTRACT = """{
  "version": 1, "seed": 7, "dtype": "float32",
  "data": {"type": "digits", "split": {"validation": 0.1, "test": 0.2}, "scale": "standard"},
  "model": {"type": "serial", "layers": [
    {"type": "dense", "units": 64, "name": "stem"}, "relu",
    {"type": "residual", "layer": {"type": "serial", "layers": [{"type": "dense", "units": 64}, "relu"]}},
    {"type": "dense", "units": 10, "name": "head"}]},
  "loss": "softmax_cross_entropy",
  "metrics": ["accuracy"],
  "optimizer": {"type": "chain", "steps": [
    {"type": "clip_by_global_norm", "max_norm": 1.0},
    {"type": "adamw", "learning_rate": {"type": "warmup_cosine", "peak": 0.003, "warmup_steps": 100}}]},
  "training": {"epochs": 40, "batch_size": 32}
}"""


def test_the_example_of_the_contract_loads():
    experiment = fn.from_json(CONTRACT)
    assert experiment == fn.Experiment(
        model=fn.serial(
            ("stem", fn.Dense(64)),
            fn.Relu(),
            fn.Residual(fn.serial(fn.Dense(64), fn.Relu())),
            ("head", fn.Dense(10)),
        ),
        loss=losses.SoftmaxCrossEntropy(),
        optimizer=optim.chain(
            optim.ClipByGlobalNorm(1.0), optim.AdamW(learning_rate=optim.WarmupCosine(peak=0.003, warmup_steps=100))
        ),
        data=fn.data.Digits(split=fn.data.Split(validation=0.1, test=0.2), scale="standard"),
        training=fn.Training(epochs=40, batch_size=32),
        metrics=(metrics.Accuracy(),),
        seed=7,
        dtype="float32",
    )
    assert [name for name, _ in experiment.model.layers] == ["stem", "relu_0", "residual_0", "head"]
    assert fn.from_json(fn.to_json(experiment)) == experiment
    assert list(to_dict(experiment)) == ["version", "seed", "data", "model", "loss", "metrics", "optimizer", "training"]


def test_other_ways_to_say_the_same():
    plain = json.loads(CONTRACT)
    full = copy.deepcopy(plain)
    full["data"]["split"]["type"] = "split"
    full["loss"] = {"type": "softmax_cross_entropy"}
    full["training"]["type"] = "training"
    full["training"]["batch_size"] = 32
    full["model"]["layers"][1] = {"type": "relu", "name": "relu_0"}
    del full["version"], full["dtype"]
    assert fn.from_json(full) == fn.from_json(plain) == fn.from_json(types.MappingProxyType(plain))
    assert fn.from_json("\ufeff" + CONTRACT) == fn.from_json(plain)


def test_full_batches_and_starting_values():
    document = json.loads(CONTRACT)
    document["training"] = {"steps": 5, "batch_size": "full", "initial": {"type": "npz", "path": "start.npz"}}
    experiment = fn.from_json(document)
    assert (experiment.training.steps, experiment.training.batch_size) == (5, "full")
    assert experiment.training.initial.path == "start.npz"
    assert fn.from_json(fn.to_json(experiment)) == experiment


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.name)
def test_shipped_specs_load_and_round_trip(path):
    spec = fn.load_spec(path)
    assert type(spec) is fn.Experiment
    assert fn.from_json(fn.to_json(spec)) == spec
    assert fn.from_json(path.read_text(encoding="utf-8")) == spec


# ----- mutations


def documents():
    """Valid documents, generated and shipped, as JSON text."""
    texts = [CONTRACT, fn.to_json(NET), *[path.read_text(encoding="utf-8") for path in SPECS]]

    @fixed(max_examples=60)
    @given(st.one_of([kinds(kind, 2) for kind in KINDS_OF_SPECS if kind not in ("split", "training", "experiment")]))
    def collect(spec):
        texts.append(fn.to_json(spec))

    collect()
    return texts


@pytest.fixture(scope="module")
def valid():
    return documents()


def read(document, shown):
    """Read a document that may be wrong: a spec that round-trips, or a SpecError, and nothing else."""
    try:
        spec = fn.from_json(document)
    except SpecError as error:
        return not (error.problems and all(problem.startswith("$") for problem in error.problems) and str(error))
    except BaseException as error:
        error.add_note(f"from the document {shown[:2000]}")
        raise
    assert isinstance(spec, Spec)
    assert fn.from_json(fn.to_json(spec)) == spec
    return True


PIECES = [
    *'{}[]",:\\ \n0123456789.-eE', "null", "true", "false", "NaN", "Infinity", "-Infinity", "1e999", "1e-999", "-0",
    "-0.0", "9007199254740993", "1" + "0" * 400, "1" + "0" * 5000, "0x1", "01", "\x00", "\ufeff", "\u2028", "\\ud800",
    "\\u0000", '"type"', '"type": ', '"name": ', '"version": 2', '"version"', "[" * 300, '{"a":' * 300, "é",
    "\U0001f600",    '{"type": "dense"}', '"relu"', '"", ', '"a": 1, "a": 2, ', "/**/", "'",
]  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_mutated_text_raises_nothing_but_spec_errors(valid, seed):
    draw, good = random.Random(seed), 0
    for _ in range(700):
        text = draw.choice(valid)
        for _ in range(draw.choice([1, 1, 1, 2, 4])):
            start = draw.randrange(len(text) + 1)
            end = start + draw.choice([0, 0, 1, 1, 2, 8, 40])
            token = re.compile(r'"[^"]*"|[-+.\w]+').search(text, start)
            if token and draw.random() < 0.3:
                start, end = token.span()
            piece = draw.choice(
                [draw.choice(PIECES), draw.choice(PIECES), "", text[start:end] * 2, chr(draw.randrange(0xD800))]
            )
            text = text[:start] + piece + text[end:]
        good += read(text, text)
    assert 0 < good < 350


def nested(depth, wrap):
    value = "relu"
    for _ in range(depth):
        value = wrap(value)
    return value


ODD = [
    None, True, False, 0, -1, 1, 3.7, -0.0, 1e308, 5e-324, 2**53, 2**53 + 1, -(2**53) - 1, 10**400, 10**5000,
    -(10**5000), float("nan"), float("inf"), "", "x", "dens", "relu", "full", "x" * 3000, "\ud800", "\x00", "a.b",
    "sgd", "digits",
    [], {}, [[]], [{}], {"": 0}, {"type": None}, {"type": 3}, {"type": []}, {"type": "dense"}, {"type": "dens"},
    {"type": "dense", "units": 3, "name": 5}, {"type": "dense", "units": 3, "name": "a b"}, {"name": "a"},
    ["relu"], [["a", "relu"]], {"type": "serial", "layers": {}}, {"type": "serial", "layers": ["relu", 3, None]},
    {"type": "npz"}, {"type": "chain", "steps": [{"type": "sgd"}]}, {1: 2}, {None: None}, (1, 2), {1}, b"x", object(),
    1j,
]  # fmt: skip
DEEP = [
    nested(300, lambda inner: [inner]), nested(300, lambda inner: {"a": inner}),
    nested(100, lambda inner: {"type": "residual", "layer": inner}),
    nested(250, lambda inner: {"type": "residual", "layer": "relu", "projection": inner}),
    nested(100, lambda inner: {"type": "serial", "layers": [inner]}),
    nested(80, lambda inner: {"type": "graph", "inputs": "x", "nodes": {"a": [inner, "x"]}, "outputs": "a"}),
]  # fmt: skip
KEYS = ["type", "name", "units", "layers", "version", "seed", "", "x", "learning_rate", "training", "\ud800", 3, None]


def places(node):
    """Every (container, key) of a document."""
    if isinstance(node, dict | list):
        for key in node if isinstance(node, dict) else range(len(node)):
            yield node, key
            yield from places(node[key])


@pytest.mark.parametrize("seed", range(4))
def test_mutated_trees_raise_nothing_but_spec_errors(valid, seed):
    draw, good = random.Random(100 + seed), 0

    def odd():
        return copy.deepcopy(draw.choice(ODD))

    trees = [json.loads(text.removeprefix("\ufeff")) for text in valid]
    for _ in range(700):
        root = {"root": copy.deepcopy(draw.choice(trees))}
        for _ in range(draw.choice([1, 1, 2, 4])):
            node, key = draw.choice(list(places(root)))
            move = draw.randrange(6)
            if move == 0 and isinstance(node, dict) and node is not root:
                del node[key]
            elif move == 1 and isinstance(node, dict) and node is not root:
                node[draw.choice(KEYS)] = node.pop(key)
            elif move == 2 and isinstance(node, list):
                node.insert(key, draw.choice([node[key], odd()]))
            elif move == 3:
                other, at = draw.choice(list(places(root)))
                node[key] = copy.deepcopy(other[at])
            elif move == 4 and isinstance(node, dict) and node is not root:
                node[draw.choice(KEYS)] = odd()
            else:
                node[key] = odd()
        if draw.random() < 0.05:
            node, key = draw.choice(list(places(root)))
            node[key] = copy.deepcopy(draw.choice(DEEP))
        good += read(root["root"], _shown(root["root"]))
    assert 0 < good < 350


def _shown(value):
    try:
        return repr(value)
    except ValueError:
        return "(with a huge integer)"


@pytest.mark.parametrize("odd", ODD + DEEP, ids=lambda value: type(value).__name__)
def test_an_odd_value_anywhere_raises_nothing_but_spec_errors(odd):
    assert not read({"model": {"type": "dense", "units": odd, "use_bias": 1}}, "units")
    assert not read({"optimizer": {"type": "adam", "learning_rate": odd, "b1": 2}}, "learning_rate")
    assert not read({"model": {"type": "serial", "layers": [odd, 3]}}, "layers")
    assert not read({"model": {"type": odd, "a": 1}}, "type")
    assert not read({"version": odd, "a": 1}, "version")
    assert not read(odd, "document")


# ----- limits


def test_a_document_has_16_megabytes_and_no_more(tmp_path):
    text = fn.to_json(NET)
    whole = text + " " * (2**24 - len(text.encode()))
    assert fn.from_json(whole) == NET
    assert refused(whole + " ") == "$: the document has 16777217 bytes; the limit is 16777216"
    assert refused('"' + "é" * 2**23 + '"') == "$: the document has 16777218 bytes; the limit is 16777216"
    path = tmp_path / "a.json"
    path.write_text(whole + " ", encoding="utf-8")
    assert message(lambda: fn.load_spec(path)) == f"{path}: the file has 16777217 bytes; the limit is 16777216"


@pytest.mark.parametrize(
    "text",
    [
        '{"model": ' + "[" * 100_000 + "]" * 100_000 + "}",
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"model": ' + "[" * 300 + "]" * 300 + "}",
    ],
    ids=["balanced", "open", "objects", "just above"],
)
def test_deep_brackets_are_refused(text):
    assert refused(text) == "$: brackets are nested too deep; the limit is 256"


def test_deep_brackets_in_a_dict_are_refused():
    deep = nested(100_000, lambda inner: {"layer": inner})
    assert refused({"model": deep}) == "$: brackets are nested too deep; the limit is 256"
    while isinstance(deep, dict):  # taken apart here: freeing it in one go would recurse as deep
        deep = deep["layer"]


@pytest.mark.parametrize(
    ("wrap", "start"),
    [
        (lambda inner: {"type": "serial", "layers": [inner]}, "$.model"),
        (lambda inner: {"type": "residual", "layer": inner}, "$.model"),
        (lambda inner: {"type": "graph", "inputs": "x", "nodes": {"a": [inner, "x"]}, "outputs": "a"}, "$.model"),
    ],
    ids=["serial", "residual", "graph"],
)
def test_specs_nest_64_deep_in_a_document(wrap, start):
    assert type(fn.from_json({"model": nested(63, wrap)})).__name__.lower() == wrap("relu")["type"]
    assert refused({"model": nested(64, wrap)}) == f"{start}: specs are nested 65 deep; the limit is 64"


@pytest.mark.parametrize("depth", [64, 100, 150, 200, 250])
def test_no_nesting_within_the_limit_of_brackets_overflows(depth):
    document = {"model": nested(depth, lambda inner: {"type": "residual", "layer": "relu", "projection": inner})}
    assert refused(document).endswith("the limit is 64")
    assert refused(json.dumps(document)).endswith("the limit is 64")


@pytest.mark.slow
def test_a_document_has_100000_objects_and_no_more():
    layers = [{"type": "relu"}] * 99_998
    assert len(fn.from_json({"model": {"type": "serial", "layers": layers}}).layers) == 99_998
    document = {"model": {"type": "serial", "layers": [*layers, {"type": "relu"}]}}
    assert refused(document) == "$: the document has 100001 objects; the limit is 100000"
    names = ["relu"] * 100_000  # no objects, but as many specs
    assert refused({"model": {"type": "serial", "layers": names}}) == (
        "$.model: holds 100001 specs; the limit is 100000"
    )


def test_a_large_document_is_refused_quickly():
    """An object of 20 000 keys, the last one twice: finding it must not take the square of that."""
    text = "{" + ",".join(f'"{i}": 0' for i in [*range(20_000), 19_999]) + "}"
    start = time.process_time()  # others may have the processor meanwhile
    text = refused(text)
    assert time.process_time() - start < 1.0
    assert "'19999' appears twice in one object" in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"seed": 1, "seed": 1}', "$: the key 'seed' appears twice in one object"),
        (
            '{"model": {"type": "dense", "units": 3, "type": "relu", "units": 4}}',
            "$: the key 'type' appears twice in one object",
        ),
        ('{"seed": NaN}', "$: NaN is not JSON; every number must be finite"),
        ('{"seed": [Infinity]}', "$: Infinity is not JSON; every number must be finite"),
        ('{"seed": {"a": -Infinity}}', "$: -Infinity is not JSON; every number must be finite"),
        (
            '{"optimizer": {"type": "sgd", "learning_rate": 1e999}}',
            "$.optimizer.learning_rate: expected a finite number, got inf",
        ),
        ("", "$: not JSON: Expecting value at line 1, column 1; it is empty"),
        ('{"seed": 1,\n "dtype": }', "$: not JSON: Expecting value at line 2, column 11"),
        ('{"seed": 1} x', "$: not JSON: Extra data at line 1, column 13"),
        (
            "{'seed': 1}",
            "$: not JSON: Expecting property name enclosed in double quotes at line 1, column 2"
            '; texts stand in double quotes: "relu"',
        ),
        ("[]", "$: expected an object with the fields of a spec, got []"),
        ("3", "$: expected an object with the fields of a spec, got 3"),
        ("null", "$: expected an object with the fields of a spec, got null"),
        ('"relu"', '$: expected an object with the fields of a spec, got "relu"'),
        ('{"version": 2}', "$.version: expected up to 1, which this funcnet reads, got 2; upgrade funcnet"),
        (
            '{"version": 7, "hologram": {"from": "the future"}}',
            "$.version: expected up to 1, which this funcnet reads, got 7; upgrade funcnet",
        ),
        ('{"version": 0}', "$.version: expected an integer from 1, got 0"),
        ('{"version": -1}', "$.version: expected an integer from 1, got -1"),
        ('{"version": true}', "$.version: expected an integer from 1, got true"),
        ('{"version": 1.0}', "$.version: expected an integer from 1, got 1.0"),
        ('{"version": "1"}', '$.version: expected an integer from 1, got "1"'),
        ('{"version": null}', "$.version: expected an integer from 1, got null"),
        (
            '{"model": {"type": "dense", "units": 9007199254740993}}',
            "$.model.units: integers go up to 2^53, got 9007199254740993",
        ),
        (
            '{"schedule": {"type": "cosine", "peak": 1, "total_steps": -9007199254740993}}',
            "$.schedule.total_steps: integers go up to 2^53, got -9007199254740993",
        ),
    ],
)
def test_documents_that_are_refused_as_a_whole(text, expected):
    assert refused(text) == expected


def test_integers_of_thousands_of_digits():
    assert refused('{"seed": 1' + "0" * 5000 + "}").startswith("$: a number cannot be read: Exceeds the limit (4300")
    for digits in (20, 400, 4000):
        huge = "1" + "0" * digits
        assert refused(f'{{"model": {{"type": "dense", "units": {huge}}}}}').startswith(
            "$.model.units: integers go up to 2^53, got 10000"
        )


@pytest.mark.parametrize("digits", [309, 400, 4000])
def test_integers_beyond_every_float(digits):
    text = f'{{"optimizer": {{"type": "clip_by_global_norm", "max_norm": 1{"0" * digits}}}}}'
    assert refused(text).startswith("$.optimizer.max_norm: ")


# ----- mistakes in documents


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"model": "dens"}, "$.model: unknown layer 'dens', did you mean 'dense'?"),
        ({"model": {"type": "dens"}}, "$.model.type: unknown layer 'dens', did you mean 'dense'?"),
        ({"model": {"type": "qqq"}}, f"$.model.type: unknown layer 'qqq'; there are {LAYERS}"),
        ({"model": {"type": "Dense", "units": 3}}, "$.model.type: unknown layer 'Dense', did you mean 'dense'?"),
        ({"model": {"type": "de_nse", "units": 3}}, "$.model.type: unknown layer 'de_nse', did you mean 'dense'?"),
        ({"model": {"type": "adam"}}, f"$.model.type: unknown layer 'adam'; there are {LAYERS}"),
        ({"model": {"type": 3}}, "$.model.type: expected the tag of a layer, got 3"),
        ({"model": {"type": None}}, "$.model.type: expected the tag of a layer, got null"),
        ({"model": 3}, "$.model: expected a layer, got 3"),
        ({"model": ["relu"]}, '$.model: expected a layer, got ["relu"]'),
        ({"model": None}, "$.model: expected a layer, got null"),
        ({"initial": {}}, "$.initial.type: missing; expected the tag of this initial, one of npz"),
        ({"model": "dense"}, "$.model.units: missing; 'dense' needs an integer"),
        (
            {"model": {"type": "dense", "unit": 3}},
            "$.model.unit: unknown field of 'dense', did you mean 'units'?; "
            "it has units, use_bias, weight_init, bias_init\n"
            "$.model.units: missing; 'dense' needs an integer",
        ),
        ({"model": {"type": "relu", "slope": 1}}, "$.model.slope: unknown field of 'relu'; it has no fields"),
        (
            {"model": {"type": "dense", "units": 3, "name": "a"}},
            "$.model.name: unknown field of 'dense'; only items of a list of layers have names; "
            "it has units, use_bias, weight_init, bias_init",
        ),
        ({"model": {"type": "dense", "units": 3.7}}, "$.model.units: expected an integer, got 3.7"),
        ({"model": {"type": "dense", "units": 3.0}}, "$.model.units: expected an integer, got 3.0"),
        ({"model": {"type": "dense", "units": "3"}}, '$.model.units: expected an integer, got "3"'),
        ({"model": {"type": "dense", "units": True}}, "$.model.units: expected an integer, got true"),
        ({"model": {"type": "dense", "units": 0}}, "$.model.units: must be positive, got 0"),
        ({"model": {"type": "dropout", "rate": 1}}, "$.model.rate: must be at least 0 and below 1, got 1.0"),
        (
            {"model": {"type": "reshape", "shape": [0]}},
            "$.model.shape: expected positive integers, one of them -1 at most, got [0]",
        ),
        (
            {"model": {"type": "serial", "layers": [{"type": "relu", "name": "a"}, {"type": "tanh", "name": "a"}]}},
            "$.model.layers[1].name: 'a' is the name of item 0 too; names must differ",
        ),
        (
            {"model": {"type": "serial", "layers": [{"type": "relu", "name": "a/b"}]}},
            '$.model.layers[0].name: expected a name of letters, digits and _, got "a/b"',
        ),
        ({"model": {"type": "serial", "layers": "relu"}}, '$.model.layers: expected a list of layers, got "relu"'),
        (
            {"optimizer": {"type": "sgd", "learning_rate": {"type": "cosin", "peak": 1}}},
            "$.optimizer.learning_rate.type: unknown schedule 'cosin', did you mean 'cosine'?",
        ),
        (
            {"optimizer": {"type": "sgd", "learning_rate": {"type": "cosine", "peak": "x"}}},
            '$.optimizer.learning_rate.peak: expected a number, got "x"',
        ),
        (
            {"optimizer": {"type": "sgd", "learning_rate": [1]}},
            "$.optimizer.learning_rate: expected a number or a schedule, got [1]",
        ),
        (
            {"optimizer": {"type": "sgd", "learning_rate": -1, "momentum": 1}},
            "$.optimizer.learning_rate: must be zero or more, got -1.0\n"
            "$.optimizer.momentum: must be at least 0 and below 1, got 1.0",
        ),
        (
            {"data": {"type": "digits", "split": {"validation": 0.5, "test": 0.5}}},
            "$.data.split.test: must leave rows to train on, got validation 0.5, test 0.5",
        ),
        (
            {"data": {"type": "digits", "split": {"type": "spit"}}},
            "$.data.split.type: unknown split 'spit', did you mean 'split'?",
        ),
        ({"training": {"epochs": 1, "steps": 1}}, "$.training: expected either epochs or steps, got both"),
        (
            {"model": {"type": "graph", "inputs": ["x"], "nodes": {"a": ["relu", "y"]}, "outputs": "a"}},
            "$.model.nodes.a[1]: nothing is called 'y'; there are x, a\n"
            "$.model.inputs: nothing uses 'x'; connect it or leave it out",
        ),
        (
            {"model": {"type": "graph", "inputs": "x", "nodes": {"a": ["relu"]}, "outputs": "a"}},
            '$.model.nodes.a: expected a list of 2 items, got ["relu"]',
        ),
        ({"layer": "relu"}, None),
        ({"version": 1}, None),
        ({}, None),
        ({"experiment": {"seed": 1}}, None),
    ],
)
def test_whole_messages_of_documents(document, expected):
    if expected is None:
        (surplus,) = [key for key in document if key != "version"] or [None]
        unknown = (
            f"$.{surplus}: unknown field of 'experiment'; it has "
            "seed, dtype, data, model, loss, metrics, optimizer, training\n"
        )
        expected = (unknown if surplus else "") + (
            "$.data: missing; 'experiment' needs a data source\n"
            "$.model: missing; 'experiment' needs a layer\n"
            "$.loss: missing; 'experiment' needs a loss\n"
            "$.optimizer: missing; 'experiment' needs an optimizer\n"
            "$.training: missing; 'experiment' needs a training"
        )
    assert refused(document) == expected
    assert refused(json.dumps(document)) == expected


def test_all_mistakes_of_a_document_are_reported_at_once():
    document = json.loads(CONTRACT)
    document["sed"] = 3
    document["seed"] = -1
    document["dtype"] = "float23"
    document["data"]["split"]["validation"] = "a tenth"
    document["model"]["layers"][0]["type"] = "dens"
    document["model"]["layers"][2]["layer"]["layers"][0]["units"] = 3.7
    document["model"]["layers"][3]["name"] = "a head"
    document["metrics"] = ["acuracy", "rmse", 3]
    document["optimizer"]["steps"][1]["learning_rate"]["warmup_step"] = 5
    del document["loss"], document["optimizer"]["steps"][0]["max_norm"]
    document["training"]["epochs"] = True
    with pytest.raises(SpecError) as caught:
        fn.from_json(document)
    assert str(caught.value) == (
        "$.sed: unknown field of 'experiment', did you mean 'seed'?; it has seed, dtype, data, model, loss, metrics, "
        "optimizer, training\n"
        "$.seed: must be zero or more, got -1\n"
        '$.dtype: expected "float32" or "float64", got "float23", did you mean \'float32\'?\n'
        '$.data.split.validation: expected a number, got "a tenth"\n'
        "$.model.layers[0].type: unknown layer 'dens', did you mean 'dense'?\n"
        "$.model.layers[2].layer.layers[0].units: expected an integer, got 3.7\n"
        '$.model.layers[3].name: expected a name of letters, digits and _, got "a head"\n'
        "$.loss: missing; 'experiment' needs a loss\n"
        "$.metrics[0]: unknown metric 'acuracy', did you mean 'accuracy'?\n"
        "$.metrics[2]: expected a metric, got 3\n"
        "$.optimizer.steps[0].max_norm: missing; 'clip_by_global_norm' needs a number or a schedule\n"
        "$.optimizer.steps[1].learning_rate.warmup_step: unknown field of 'warmup_cosine', "
        "did you mean 'warmup_steps'?; it has peak, warmup_steps, total_steps, end\n"
        "$.training.epochs: expected an integer or null, got true"
    )
    assert caught.value.problems == tuple(str(caught.value).splitlines())
    assert fn.SpecError in type(caught.value).__mro__


def test_many_mistakes_are_counted():
    layers = ["dens"] * 25
    text = refused({"model": {"type": "serial", "layers": layers}})
    lines = [f"$.model.layers[{i}]: unknown layer 'dens', did you mean 'dense'?" for i in range(20)]
    assert text == "\n".join([*lines, "… and 5 more problems"])


def test_the_type_of_a_document_is_checked_like_any_other():
    document = json.loads(CONTRACT)
    assert fn.from_json({**document, "type": "experiment"}) == fn.from_json(document)
    assert refused({**document, "type": "experimint"}).startswith("$.type: ")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (object(), "$.model.units: expected a JSON value, got object"),
        ({1, 2}, "$.model.units: expected a JSON value, got set"),
        (b"3", "$.model.units: expected a JSON value, got bytes"),
        (float("nan"), "$.model.units: expected a finite number, got nan"),
        ({3: 1}, "$.model.units: expected string keys, got 3"),
    ],
)
def test_dicts_hold_what_json_holds(value, text):
    assert refused({"model": {"type": "dense", "units": value}}) == text


# ----- files


def test_specs_are_saved_and_loaded(tmp_path):
    path = tmp_path / "net.json"
    fn.save_spec(path, NET)
    document = json.loads(path.read_bytes())
    assert document == {"version": 1, "funcnet": fn.__version__, **to_dict(NET, fill=True)}
    assert list(document)[:2] == ["version", "funcnet"]
    assert fn.load_spec(path) == fn.load_spec(str(path)) == NET
    assert os.listdir(tmp_path) == ["net.json"]


@pytest.mark.parametrize("value", [3, None, {"model": "relu"}, fn.Dense], ids=str)
def test_what_is_no_spec_is_not_written(value, tmp_path):
    for call in (lambda: fn.to_json(value), lambda: fn.save_spec(tmp_path / "a.json", value)):
        assert message(call).startswith("to_json: expected a spec, such as fn.Dense(3), got ")
    assert os.listdir(tmp_path) == []


def test_text_beyond_ascii_is_saved(tmp_path):
    path, data = tmp_path / "data.json", fn.data.Npz("größe-\U0001f600-ᵀ.npz")
    fn.save_spec(path, data)
    assert fn.load_spec(path) == data


def test_half_a_surrogate_pair_is_refused_or_saved(tmp_path):
    """UTF-8 cannot encode it: better refused when read than when the run folder is written."""
    try:
        spec = fn.from_json('{"data": {"type": "npz", "path": "\\ud800"}}')
    except SpecError as error:
        found = str(error)
    else:
        fn.save_spec(tmp_path / "data.json", spec)
        found = "$.data.path: " if fn.load_spec(tmp_path / "data.json") == spec else "another spec"
    assert found.startswith("$.data.path: ")


def test_a_byte_order_mark_is_tolerated(tmp_path):
    path = tmp_path / "net.json"
    path.write_bytes(b"\xef\xbb\xbf" + fn.to_json(NET).encode())
    assert fn.load_spec(path) == NET


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "not JSON: Expecting value at line 1, column 1; it is empty"),
        (b" \n ", "not JSON: Expecting value at line 2, column 2; it is empty"),
        (b"{", "not JSON: Expecting property name enclosed in double quotes at line 1, column 2"),
        (b"\xff\xfe{\x00}\x00", "the file is not UTF-8 text"),
        (b'{"model": "\xe9"}', "the file is not UTF-8 text"),
        (b"[" * 100_000, "brackets are nested too deep; the limit is 256"),
        (b'{"a": 1, "a": 1}', "the key 'a' appears twice in one object"),
    ],
)
def test_files_that_are_no_documents(tmp_path, content, text):
    path = tmp_path / "net.json"
    path.write_bytes(content)
    assert message(lambda: fn.load_spec(path)) == f"{path}: {text}"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"[]", "$: expected an object with the fields of a spec, got []"),
        (b'{"model": "dens"}', "$.model: unknown layer 'dens', did you mean 'dense'?"),
        (b'{"version": 9}', "$.version: expected up to 1, which this funcnet reads, got 9; upgrade funcnet"),
    ],
)
def test_files_with_mistakes_are_named(tmp_path, content, text):
    path = tmp_path / "net.json"
    path.write_bytes(content)
    assert message(lambda: fn.load_spec(path)) == f"{path}: {text}"


def test_files_that_cannot_be_read(tmp_path):
    missing = tmp_path / "missing.json"
    assert message(lambda: fn.load_spec(missing)) == f"{missing}: there is no such file"
    if sys.platform != "win32":
        assert (
            message(lambda: fn.load_spec(tmp_path))
            == f"{tmp_path}: is a folder; expected a spec, a file of JSON, or the folder of a run"
        )


def graph_of(count: int, source: str) -> dict:
    nodes = {f"n{i}": ["relu", source.format(i, i % (count - 1) + 1) if i else "x"] for i in range(count)}
    return {"model": {"type": "graph", "inputs": ["x"], "outputs": [f"n{count - 1}"], "nodes": nodes}}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("document", "first", "count"),
    [
        (graph_of(20_000, "m{0}"), "$.model.nodes.n1[1]: nothing is called 'm1'; there are x, n0, n1, n2, ", 39_998),
        (graph_of(20_000, "n{1}"), "$.model.nodes.n0: nothing uses 'n0'; connect it or leave it out", 2),
        (
            {"model": {"type": "serial", "layers": [f"dens{i}" for i in range(20_000)]}},
            "$.model.layers[0]: unknown layer 'dens0', did you mean 'dense'?",
            20_000,
        ),
        (
            {"model": {"type": "capture", "layer": "relu", "paths": [f"a{i}" for i in range(20_000)] * 2}},
            "$.model.paths: names 'a0' twice",
            20_000,
        ),
    ],
)
def test_thousands_of_mistakes_are_told_in_seconds(document, first, count):
    began = time.process_time()
    with pytest.raises(fn.SpecError) as caught:
        fn.from_json(document)
    assert time.process_time() - began < 20.0  # comparing each with each would take minutes
    assert str(caught.value).startswith(first)
    assert len(caught.value.problems) == count
