"""``funcnet schema``: the library's schema, whole, on any console and in a file."""

import json
from functools import partial

import pytest
from jsonschema import Draft202012Validator

from funcnet.spec.base import tags
from funcnet.spec.kinds import KINDS as KINDS_OF_SPECS
from tests.cli import SMALL, funcnet, together


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("schema")
    calls = {encoding: partial(funcnet, folder, "schema", encoding=encoding) for encoding in ("utf-8", "gbk", "ascii")}
    calls["out"] = partial(funcnet, folder, "schema", "--out", "größe.json", encoding="utf-8")
    calls["nowhere"] = partial(funcnet, folder, "schema", "--out", "missing/a.json")
    return folder, together(calls)


def test_the_schema_is_printed(printed):
    status, out, err = printed[1]["utf-8"]
    assert (status, err) == (0, "")
    schema = json.loads(out)
    Draft202012Validator.check_schema(schema)
    own = {f"{kind}.{tag}" for kind in KINDS_OF_SPECS for tag in tags(kind) if "." not in tag}
    assert {label for label in schema["$defs"] if "." in label and "-" not in label} == own - {"experiment.experiment"}
    validator = Draft202012Validator(schema)
    assert validator.is_valid(json.loads(SMALL))
    assert not validator.is_valid(json.loads(SMALL.replace('"dense"', '"dens"')))


def test_what_fits_on_a_line_stays_on_it(printed):
    lines = printed[1]["utf-8"].out.split("\n")
    assert lines[:4] == [
        "{",
        '  "$schema": "https://json-schema.org/draft/2020-12/schema",',
        '  "$id": "urn:funcnet:spec:1",',
        '  "title": "funcnet spec, version 1",',
    ]
    assert '        "units": {"$ref": "#/$defs/integer", "exclusiveMinimum": 0},' in lines
    assert (
        '          {"if": {"required": ["type"], "properties": {"type": {"const": "dense"}}}, '
        '"then": {"$ref": "#/$defs/layer.dense"}},'
    ) in lines
    assert max(map(len, lines)) < 200


@pytest.mark.parametrize("encoding", ["gbk", "ascii"])
def test_a_narrow_console_gets_escapes(printed, encoding):
    """What is sent to a file there is still the same JSON."""
    status, out, err = printed[1][encoding]
    assert (status, err) == (0, "")
    assert out.isascii()
    assert not printed[1]["utf-8"].out.isascii()
    assert json.loads(out) == json.loads(printed[1]["utf-8"].out)


def test_the_schema_is_written(printed):
    folder, results = printed
    assert results["out"] == (0, "written to größe.json\n", "")
    assert (folder / "größe.json").read_text(encoding="utf-8") == results["utf-8"].out


def test_a_schema_that_cannot_be_written(printed):
    expected = (
        "missing/a.json: cannot be written (No such file or directory); choose a writable folder, or free some space"
    )
    assert printed[1]["nowhere"] == (1, "", f"funcnet: {expected}\n")
