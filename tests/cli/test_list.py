"""``funcnet list``: what there is, complete and in whole lines."""

import inspect
import json
import shutil
from functools import partial

import pytest

from funcnet.spec import base as spec
from funcnet.spec.kinds import KINDS as KINDS_OF_SPECS
from tests.cli import ROOT, SMALL, funcnet, together

KINDS = ", ".join(KINDS_OF_SPECS)


@pytest.fixture(scope="module")
def listed(tmp_path_factory):
    bare, full = tmp_path_factory.mktemp("bare"), tmp_path_factory.mktemp("full")
    (full / "specs").mkdir()
    shutil.copy(ROOT / "specs" / "digits_mlp.json", full / "specs")
    for name, content in (("iris", SMALL), ("broken", "{"), ("model", '{"model": "relu"}'), ("größe→", SMALL)):
        (full / "specs" / f"{name}.json").write_text(content, encoding="utf-8")
    calls = {
        "all": partial(funcnet, bare, "list"),
        "all json": partial(funcnet, bare, "list", "--json"),
        "specs": partial(funcnet, full, "list"),
        "specs json": partial(funcnet, full, "list", "--json"),
        "shipped": partial(funcnet, ROOT, "list", "--json"),
        "unknown": partial(funcnet, bare, "list", "lyer"),
        "unknown json": partial(funcnet, bare, "list", "zzz", "--json"),
    }
    calls |= {kind: partial(funcnet, full, "list", kind) for kind in ("layer", "metric")}
    for encoding in ("gbk", "cp1252", "ascii"):
        calls[f"specs {encoding}"] = partial(funcnet, full, "list", encoding=encoding)
    return together(calls)


def own(kind):
    """The library's own tags of a kind; those with a dot are other tests'."""
    return [tag for tag in spec.tags(kind) if "." not in tag]


def test_list_contains_every_registered_tag_by_kind(listed):
    assert (listed["all"].status, listed["all"].err) == (0, "")
    found, kind = {}, ""
    for line in listed["all"].out.rstrip("\n").split("\n"):
        if line.startswith("      "):
            assert ": " in line
        elif line.startswith("  "):
            tag, _, about = line[2:].partition(": ")
            found[kind].append(tag)
            assert about
        else:
            kind = line
            found[kind] = []
    assert list(found) == list(KINDS_OF_SPECS)
    assert found == {kind: own(kind) for kind in KINDS_OF_SPECS}
    assert {"dense", "batch_norm", "serial", "residual", "graph"} <= set(found["layer"])


def part(listed, kind):
    """The lines of one kind in the whole list."""
    kinds = [*KINDS_OF_SPECS, None]
    begin, end = f"{kind}\n", kinds[kinds.index(kind) + 1]
    rest = "\n" + listed["all"].out
    rest = rest[rest.index("\n" + begin) + 1 :]
    return rest if end is None else rest[: rest.index(f"\n{end}\n") + 1]


@pytest.mark.parametrize("kind", ["layer", "metric"])
def test_list_of_one_kind_is_its_part_of_the_whole(listed, kind):
    assert listed[kind] == (0, part(listed, kind), "")


def test_list_says_what_the_docstring_says(listed):
    lines = part(listed, "metric").split("\n")
    for tag in own("metric"):
        doc = " ".join(inspect.getdoc(spec.tags("metric")[tag]).split()).replace("``", "")
        [about] = [line.removeprefix(f"  {tag}: ") for line in lines if line.startswith(f"  {tag}: ")]
        assert doc.startswith(about), tag
    assert '      average: "micro" or "macro" or "weighted" = "macro"' in lines


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        (
            "layer",
            """\
  dense: Affine map of the last axis: y = x @ weight + bias
      units: an integer
      use_bias: true or false = true
      weight_init: an initializer = glorot_uniform
      bias_init: an initializer = zeros
""",
        ),
        ("layer", "      layer: a layer\n      projection: a layer or null = null\n"),
        ("optimizer", "      learning_rate: a number or a schedule\n      momentum: a number or a schedule = 0.0\n"),
        ("schedule", "      peak: a number\n      total_steps: an integer or null = null\n      end: a number = 0.0\n"),
        ("training", '      batch_size: an integer or "full" = 32\n'),
        ("data", '      scale: "standard" or "minmax" or "robust" or null = null\n'),
    ],
)
def test_list_shows_fields_and_defaults(listed, kind, lines):
    assert lines in part(listed, kind)


def test_list_json_says_the_same(listed):
    assert (listed["all json"].status, listed["all json"].err) == (0, "")
    table = json.loads(listed["all json"].out)
    assert table["specs"] == []
    lines = []
    for kind, tags in table["kinds"].items():
        lines.append(kind)
        for tag, of in tags.items():
            lines += [f"  {tag}: {of['about']}", *(f"      {field}" for field in of["fields"])]
    assert lines == listed["all"].out.rstrip("\n").split("\n")


def test_list_begins_with_the_specs_at_hand(listed):
    assert (listed["specs"].status, listed["specs"].err) == (0, "")
    begin = [
        "specs",
        "  specs/broken.json  not an experiment that can be read",
        "  specs/digits_mlp.json  digits, serial, softmax_cross_entropy, adamw",
        "  specs/größe→.json  iris, serial, softmax_cross_entropy, sgd",
        "  specs/iris.json  iris, serial, softmax_cross_entropy, sgd",
        "  specs/model.json  not an experiment that can be read",
    ]
    assert listed["specs"].out.replace("\\", "/").split("\n")[: len(begin)] == begin
    assert listed["specs"].out.endswith(listed["all"].out)
    table = json.loads(listed["specs json"].out)["specs"]
    assert [f"  {one['path']}  {one['about']}".replace("\\", "/") for one in table] == begin[1:]


def test_list_can_read_every_shipped_spec(listed):
    specs = json.loads(listed["shipped"].out)["specs"]
    assert [one["path"] for one in specs] == sorted(str(p.relative_to(ROOT)) for p in (ROOT / "specs").glob("*.json"))
    assert not [one["path"] for one in specs if one["about"] == "not an experiment that can be read"]


@pytest.mark.parametrize("encoding", ["gbk", "cp1252", "ascii"])
def test_list_on_a_narrow_console(listed, encoding):
    expected = listed["specs"].out.encode(encoding, "replace").decode(encoding)
    assert listed[f"specs {encoding}"] == (0, expected, "")


def test_list_of_an_unknown_kind(listed):
    expected = f"funcnet: list: unknown kind 'lyer', did you mean 'layer'?; there are {KINDS}\n"
    assert listed["unknown"] == (1, "", expected)
    result = listed["unknown json"]
    assert (result.status, result.out) == (1, "")
    assert json.loads(result.err) == {"error": "SpecError", "message": f"list: unknown kind 'zzz'; there are {KINDS}"}
