"""The JSON Schema and the codec accept and refuse the same documents, as far as JSON Schema can say."""

import contextlib
import copy
import json
import random
from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import ClassVar, Literal
from urllib.parse import unquote

import attrs
import jsonschema_rs
import pytest
from hypothesis import given, strategies as st
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

import funcnet as fn
from funcnet import SpecError
from funcnet.layers.normalization import momentum_range
from funcnet.optim.schedules import Schedule
from funcnet.spec import base as spec
from funcnet.spec.base import Spec, tags
from funcnet.spec.codec import to_dict
from funcnet.spec.fields import Named, Range, Words, fraction, non_negative, positive
from funcnet.spec.kinds import KINDS as KINDS_OF_SPECS
from tests.test_codec import CLASSES, CONTRACT, NET, SPECS, fixed, nested, specs

SCHEMA = fn.json_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
FAST = jsonschema_rs.Draft202012Validator(SCHEMA)  # another implementation, for documents by the thousand


def valid(document):
    return FAST.is_valid(document)


@cache
def validating():
    """The classes with checks of several fields together."""
    classes = {base for cls in spec._REGISTRY.values() for base in cls.__mro__} - {Spec}
    return [cls for cls in classes if "validate" in cls.__dict__]


@contextlib.contextmanager
def without_validate():
    """The codec's checks of types, ranges of numbers, tags and names alone."""
    classes = {base for cls in spec._REGISTRY.values() for base in cls.__mro__} - {Spec}
    samples = Schedule.samples  # its values, which a schema does not know
    kept = {cls: cls.__dict__["validate"] for cls in classes if "validate" in cls.__dict__}
    try:
        for cls in kept:
            cls.validate = Spec.validate
        Schedule.samples = lambda self: iter(())
        yield
    finally:
        Schedule.samples = samples
        for cls, validate in kept.items():
            cls.validate = validate


def verdict(document):
    """What the codec says: "accepted", "refused", or "beyond" for what a schema cannot tell: what only ``validate``,
    a schedule's value or a shared name refuses.
    """
    with contextlib.suppress(SpecError):
        fn.from_json(document)
        return "accepted"
    with without_validate():
        try:
            fn.from_json(document)
        except SpecError as error:
            return "beyond" if all(problem.endswith("names must differ") for problem in error.problems) else "refused"
    return "beyond"


# ----- agreement


def places(node):
    """Every (container, key) of a document."""
    if isinstance(node, dict | list):
        for key in node if isinstance(node, dict) else range(len(node)):
            yield node, key
            yield from places(node[key])


def whole(node):
    """A document whose numbers have no fraction of zero: JSON Schema cannot tell 3.0 from 3, the codec does."""
    if isinstance(node, dict):
        return {key: whole(value) for key, value in node.items()}
    if isinstance(node, list):
        return [whole(value) for value in node]
    return int(node) if isinstance(node, float) and node.is_integer() else node


ODD = [
    None, True, False, -1, 0, 1, 2, 0.5, 3.7, 2**53, 2**53 + 1, -(2**53) - 1, 10**308, 10**309, 10**400, "", "3", "x",
    "full", "same", [], [1], [0.5], [[1, 2]], [[1, 2, 3]], ["x"], {}, {"a": 1}, {"a": "x"}, "relu", "dense", "dens",
    "adam", "zeros", "split", "training", "cosine", "huber", {"type": "relu"}, {"type": "dense"}, {"type": "dens"},
    {"type": "dense", "units": 3}, {"type": 3}, {"type": None}, {"type": "zeros"}, {"type": "split", "test": 0.1},
    {"type": "constant", "value": 1}, {"type": "relu", "name": "a"}, [{"type": "relu", "name": "a b"}], ["relu", None],
    ["relu", "x"], ["relu", ["x"]], {"epochs": 1}, {"test": 1},
]  # fmt: skip
NAMES = ["a", "_1", "a b", "", "1a", "ä", "a/b", 3, None, True, ["a"]]
KEYS = ["type", "name", "units", "seed", "version", "$schema", "unit", "", "x", "model", "schedule", "loss"]
EVERY_TAG = sorted({tag for kind in KINDS_OF_SPECS for tag in tags(kind) if "." not in tag})


def number(value):
    return isinstance(value, int | float) and not isinstance(value, bool)


# Each names the places that it can change, and changes one in place.
MUTATIONS = {
    "unknown field": (
        lambda node, key: isinstance(node[key], dict),
        lambda draw, node, key: node[key].update({draw.choice(KEYS): draw.choice(ODD)}),
    ),
    "missing field": (lambda node, key: isinstance(node, dict), lambda draw, node, key: node.pop(key)),
    "another value": (
        lambda node, key: True,
        lambda draw, node, key: node.__setitem__(key, draw.choice(ODD)),
    ),
    "another tag": (
        lambda node, key: key == "type",
        lambda draw, node, key: node.__setitem__(key, draw.choice([*EVERY_TAG, "dens"])),
    ),
    "a name": (
        lambda node, key: isinstance(node[key], dict),
        lambda draw, node, key: node[key].update({"name": draw.choice(NAMES)}),
    ),
    "a bare tag": (
        lambda node, key: isinstance(node[key], dict) and "type" in node[key],
        lambda draw, node, key: node.__setitem__(key, node[key]["type"]),
    ),
    "a fraction": (
        lambda node, key: isinstance(node[key], int),
        lambda draw, node, key: node.__setitem__(key, node[key] + 0.7),
    ),
    "a number as text": (
        lambda node, key: number(node[key]),
        lambda draw, node, key: node.__setitem__(key, str(node[key])),
    ),
    "true for a number": (
        lambda node, key: number(node[key]),
        lambda draw, node, key: node.__setitem__(key, True),
    ),
    "out of range": (
        lambda node, key: number(node[key]),
        lambda draw, node, key: node.__setitem__(key, draw.choice([-node[key], 1 - node[key], node[key] * 2**60])),
    ),
    "an item more": (
        lambda node, key: isinstance(node, list),
        lambda draw, node, key: node.insert(key, copy.deepcopy(node[key])),
    ),
    "an item less": (lambda node, key: isinstance(node, list), lambda draw, node, key: node.pop(key)),
}


def mutated(document, name, draw):
    """A copy with one mutation somewhere, or None where there is no place for it."""
    may, change = MUTATIONS[name]
    root = {"root": copy.deepcopy(document)}
    found = [(node, key) for node, key in places(root) if may(node, key) and (node is not root or name[0] == "u")]
    if not found:
        return None
    change(draw, *draw.choice(found))
    return whole(root["root"])


@pytest.mark.slow
@pytest.mark.parametrize("cls", CLASSES.values(), ids=CLASSES)
def test_schema_and_codec_agree(cls):
    @fixed(max_examples=4)
    @given(specs(cls, 2), st.randoms(use_true_random=False))
    def holds(found, draw):
        document = to_dict(found)
        assert valid(document)
        assert valid(to_dict(found, fill=True))
        for name in MUTATIONS:
            other = mutated(document, name, draw)
            if other is not None and (said := verdict(other)) != "beyond":
                assert valid(other) is (said == "accepted"), (name, said, other)

    holds()


@pytest.mark.parametrize("cls", CLASSES.values(), ids=CLASSES)
def test_every_range_is_in_the_schema_too(cls):
    assert [field.name for field in spec.fields(cls) if field.range is not None and not field.range.keywords] == []


SOME = [path for path in SPECS if path.stem in ("digits_mlp", "digits_conv", "sine_4_3_3_1", "two_layer_relu")]
DOCUMENTS = [json.loads(CONTRACT), to_dict(NET), *[json.loads(path.read_text(encoding="utf-8")) for path in SOME]]


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTATIONS)
def test_mutations_are_mostly_decided(name):
    """The agreement above is not an empty one."""
    draw, verdicts = random.Random(1), Counter()
    for _ in range(120):
        other = mutated(draw.choice(DOCUMENTS), name, draw)
        said = verdict(other)
        verdicts[said] += 1
        assert said == "beyond" or valid(other) is (said == "accepted"), (said, other)
    assert verdicts["beyond"] < 50
    assert verdicts["refused"] > 0
    assert verdicts["accepted"] > 0 or name not in ACCEPTED_TOO


ACCEPTED_TOO = [
    "missing field",
    "another value",
    "another tag",
    "a name",
    "a bare tag",
    "out of range",
    "an item more",
    "an item less",
]


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.name)
def test_shipped_specs_are_valid(path):
    assert [error.message for error in VALIDATOR.iter_errors(json.loads(path.read_text(encoding="utf-8")))] == []


# ----- what is said of a mistake


EXPERIMENT = json.loads(CONTRACT)


@pytest.mark.parametrize(
    ("document", "where", "message"),
    [
        ({"model": {"type": "dense"}}, "$.model", "'units' is a required property"),
        ({"model": {"type": "dense", "units": 0}}, "$.model.units", "0 is less than or equal to the minimum of 0"),
        ({"model": {"type": "dense", "units": 3.7}}, "$.model.units", "3.7 is not of type 'integer'"),
        ({"model": {"type": "dense", "units": "3"}}, "$.model.units", "'3' is not of type 'integer'"),
        ({"model": {"type": "dense", "units": True}}, "$.model.units", "True is not of type 'integer'"),
        (
            {"model": {"type": "dense", "units": 2**53 + 1}},
            "$.model.units",
            "9007199254740993 is greater than the maximum of 9007199254740992",
        ),
        (
            {"initializer": {"type": "constant", "value": -(10**400)}},
            "$.initializer.value",
            f"-1{'0' * 400} is less than the minimum of -1.7976931348623157e+308",
        ),
        (
            {"model": {"type": "dense", "units": 3, "use_bais": True}},
            "$.model",
            "Additional properties are not allowed ('use_bais' was unexpected)",
        ),
        (
            {"model": {"type": "serial", "layers": [{"type": "dense", "units": 3, "name": "a b"}]}},
            "$.model.layers[0].name",
            "'a b' does not match '^[A-Za-z_][A-Za-z0-9_]*$'",
        ),
        (
            {"model": {"type": "relu", "name": "a"}},
            "$.model",
            "False schema does not allow 'a'",
        ),
        (
            {"schedule": {"type": "cosin"}},
            "$.schedule.type",
            f"'cosin' is not one of {sorted(tags('schedule'))}",
        ),
        ({"schedule": {"peak": 1}}, "$.schedule", "'type' is a required property"),
        (
            {"data": {"type": "digits", "split": {"test": 1}}},
            "$.data.split.test",
            "1 is greater than or equal to the maximum of 1",
        ),
        ({"version": 2, "model": "relu"}, "$.version", "2 is greater than the maximum of 1"),
        ({"type": "training", "training": {"epochs": 1}}, "$.type", "'experiment' was expected"),
        (
            {"model": "relu", "loss": "huber", "optimizer": "adam", "data": "iris"},
            "$",
            "'training' is a required property",
        ),
        ([], "$", "[] is not of type 'object'"),
    ],
)
def test_a_mistake_is_one_error_at_its_place(document, where, message):
    assert verdict(document) == "refused"
    errors = [best_match([error]) for error in VALIDATOR.iter_errors(document)]
    assert [(error.json_path, error.message) for error in errors] == [(where, message)]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"model": {"type": "dense", "units": 3.0}}, "$.model.units: expected an integer, got 3.0"),
        ({"version": 1.0, "model": "relu"}, "$.version: expected an integer from 1, got 1.0"),
        ({"training": {}}, "$.training: expected either epochs or steps, got none"),
        (
            {"model": {"type": "serial", "layers": [{"type": "relu", "name": "a"}, {"type": "tanh", "name": "a"}]}},
            "$.model.layers[1].name: 'a' is the name of item 0 too; names must differ",
        ),
        (
            {"data": {"type": "npz", "path": "\ud800"}},
            '$.data.path: expected text that UTF-8 can encode, got "\\ud800"',
        ),
        pytest.param(
            {"model": {"type": "serial", "layers": ["relu"] * 100_000}},
            "$.model: holds 100001 specs; the limit is 100000",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_json_schema_cannot_say(document, message):
    assert valid(document)
    with pytest.raises(SpecError) as caught:
        fn.from_json(document)
    assert str(caught.value) == message


def test_a_bare_tag_is_of_a_class_that_needs_no_fields():
    """All fields of a training have defaults, but not all of them may keep theirs."""
    assert valid({"split": "split"})
    assert not valid({"training": "training"})
    with pytest.raises(SpecError, match="expected either epochs or steps, got none"):
        fn.from_json({"training": "training"})


def test_where_a_schema_is_may_stand_in_a_document():
    document = {"$schema": "../funcnet.schema.json", **EXPERIMENT}
    assert valid(document)
    assert fn.from_json(document) == fn.from_json(EXPERIMENT)
    assert fn.from_json({"$schema": "s.json", "model": "relu"}) == fn.Relu()
    assert not valid({"$schema": 3, "model": "relu"})
    with pytest.raises(SpecError) as caught:
        fn.from_json({"$schema": 3, "model": "relu"})
    assert str(caught.value) == "$.$schema: expected a string, got 3"


def test_nesting_costs_no_more_than_its_length():
    """Alternatives tried twice at each level would take 2^30 steps."""
    deep = nested(30, lambda inner: {"type": "residual", "layer": "relu", "projection": inner})
    assert valid({"model": deep})
    assert not valid({"model": nested(30, lambda inner: {"type": "residual", "projection": inner})})


# ----- the schema itself


def inside(node):
    yield node
    if isinstance(node, dict | list):
        for inner in node.values() if isinstance(node, dict) else node:
            yield from inside(inner)


def test_the_schema_is_one_and_complete():
    Draft202012Validator.check_schema(SCHEMA)
    assert [*SCHEMA] == ["$schema", "$id", "title", "description", "type", "if", "then", "else", "$defs"]
    used = {node["$ref"] for node in inside(SCHEMA) if isinstance(node, dict) and "$ref" in node}
    assert {unquote(reference) for reference in used} == {f"#/$defs/{label}" for label in SCHEMA["$defs"]}
    assert all(definition.get("description") or "$ref" in definition for definition in SCHEMA["$defs"].values())
    classes = {f"{cls.kind}.{cls.tag}" for cls in CLASSES.values()} - {"experiment.experiment"}
    assert classes <= set(SCHEMA["$defs"])
    assert not any("oneOf" in node for node in inside(SCHEMA) if isinstance(node, dict))


def test_every_default_is_valid():
    found = Counter()
    for label, definition in {**SCHEMA["$defs"], "experiment": SCHEMA["else"]}.items():
        for field in definition.get("properties", {}).values():
            if isinstance(field, dict) and "default" in field:
                found[label] += 1
                VALIDATOR.evolve(schema={**field, "$defs": SCHEMA["$defs"]}).validate(field["default"])
    assert len(found) > 70
    assert (found["layer.dense"], found["experiment"]) == (3, 3)


def test_a_class_reads_like_its_constructor():
    assert SCHEMA["$defs"]["layer.dense"] == {
        "title": "Dense",
        "description": "Affine map of the last axis: y = x @ weight + bias",
        "type": "object",
        "properties": {
            "type": {"const": "dense"},
            "name": {"$ref": "#/$defs/name"},
            "units": {"$ref": "#/$defs/integer", "exclusiveMinimum": 0},
            "use_bias": {"type": "boolean", "default": True},
            "weight_init": {"$ref": "#/$defs/initializer", "default": "glorot_uniform"},
            "bias_init": {"$ref": "#/$defs/initializer", "default": "zeros"},
        },
        "required": ["units"],
        "additionalProperties": False,
    }
    assert SCHEMA["$defs"]["layer"] == {"$ref": "#/$defs/named-layer", "properties": {"name": False}}
    assert SCHEMA["$defs"]["optimizer.adam"]["properties"]["b1"] == {
        "anyOf": [{"$ref": "#/$defs/number", "minimum": 0, "exclusiveMaximum": 1}, {"$ref": "#/$defs/schedule"}],
        "default": 0.9,
    }


@pytest.mark.parametrize("limits", [positive, non_negative, fraction, momentum_range])
def test_ranges_say_the_same_in_both_languages(limits):
    for value in (-1, -5e-324, 0, 5e-324, 0.5, 1 - 2**-53, 1, 1 + 2**-52, 2, 1e300):
        assert Draft202012Validator(limits.keywords).is_valid(value) is limits.holds(value), value


# ----- classes of users


@fn.register("schema_test.gate")
@attrs.frozen
class Gate(Spec):
    """Not a kind of the library."""

    kind: ClassVar[str] = "gate"

    level: float = attrs.field(default=0.5, validator=fraction)


@fn.register("schema_test.steep")
@attrs.frozen
class Steep(Gate):
    """A gate that is steep."""

    slope: int = attrs.field(kw_only=True)


@attrs.frozen
class Marked(fn.Layer):
    """A base between the kind's and the tagged classes."""

    def out_shape(self, in_shape):
        return in_shape


@fn.register("schema_test.größe")
@attrs.frozen
class Größe(Marked):
    """``Tag`` with letters beyond ASCII.

    The rest is left out.
    """


small = Range("below 10", lambda value: value < 10, exclusiveMaximum=10)
even = Range("even", lambda value: value % 2 == 0)


@fn.register("schema_test.all")
@attrs.frozen
class All(fn.Layer):
    """Every type of field."""

    gate: Gate
    marked: Marked
    mapping: Mapping[str, tuple[Literal[1, "one"], Words]] = attrs.field(factory=dict)
    gates: Named[Gate] = ()
    sizes: int | tuple[int, ...] | None = attrs.field(default=3, validator=small)
    counts: Mapping[str, int] = attrs.field(factory=dict, validator=small)
    pairs: int = attrs.field(default=2, validator=even)
    unset: int | None = "never given"


BOTH = {"type": "schema_test.all", "gate": {}, "marked": "schema_test.größe", "unset": 0}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "accepted"),
        ({"gate": "schema_test.gate"}, "accepted"),
        ({"gate": "schema_test.steep"}, "refused"),
        ({"gate": {"level": 1}}, "refused"),
        ({"gate": {"level": 0, "type": "schema_test.gate"}}, "accepted"),
        ({"gate": {"slope": 1}}, "refused"),
        ({"gate": {"slope": 1, "type": "schema_test.steep"}}, "accepted"),
        ({"gate": {"type": "schema_test.steep"}}, "refused"),
        ({"gate": {"name": "a"}}, "refused"),
        ({"marked": {"type": "schema_test.größe"}}, "accepted"),
        ({"marked": {}}, "refused"),
        ({"marked": "relu"}, "refused"),
        ({"marked": {"type": "relu"}}, "refused"),
        ({"marked": {"type": "schema_test.größe", "name": "a"}}, "refused"),
        ({"mapping": {"any key": [1, "a"], "": ["one", ["a", "b"]]}}, "accepted"),
        ({"mapping": {"a": [True, "a"]}}, "refused"),
        ({"mapping": {"a": [1, "a", "b"]}}, "refused"),
        ({"mapping": {"a": [1]}}, "refused"),
        ({"mapping": [[1, "a"]]}, "refused"),
        ({"counts": {"a": 20}}, "accepted"),
        ({"counts": {"a": "20"}}, "refused"),
        ({"gates": [{"name": "a"}, "schema_test.gate", {"type": "schema_test.steep", "slope": 1}]}, "accepted"),
        ({"gates": [{"name": "a b"}]}, "refused"),
        ({"gates": "schema_test.gate"}, "refused"),
        ({"sizes": [9, -9]}, "accepted"),
        ({"sizes": None}, "accepted"),
        ({"sizes": 10}, "refused"),
        ({"sizes": [9, 10]}, "refused"),
    ],
    ids=str,
)
def test_the_schema_knows_classes_of_users(fields, said):
    with_users = Draft202012Validator(fn.json_schema())
    for document in (
        {"model": BOTH | fields},
        {"model": {"type": "serial", "layers": ["relu", BOTH | fields | {"name": "here"}]}},
    ):
        assert verdict(document) == said
        assert with_users.is_valid(document) is (said == "accepted")


def test_what_a_user_does_not_say_the_schema_does_not_either():
    definitions = fn.json_schema()["$defs"]
    properties = definitions["layer.schema_test.all"]["properties"]
    assert properties["pairs"] == {"$ref": "#/$defs/integer", "default": 2}
    assert properties["unset"] == {"anyOf": [{"$ref": "#/$defs/integer"}, {"type": "null"}]}
    assert {"$ref": "#/$defs/layer.schema_test.gr%C3%B6%C3%9Fe"} in [
        case["then"] for case in definitions["named-layer"]["then"]["allOf"]
    ]
    assert definitions["layer.schema_test.größe"]["description"] == "Tag with letters beyond ASCII"
    assert properties["marked"] == {"$ref": f"#/$defs/only-layer.{__name__}.Marked"}
