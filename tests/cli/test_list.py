"""``funcnet list``: what there is, complete and in whole lines."""

import json
import shutil
from functools import partial

import pytest

from funcnet.spec import base as spec
from funcnet.spec.kinds import KINDS as KINDS_OF_SPECS
from tests.cli import ROOT, SMALL, funcnet, together

AVERAGE = '      average: "micro" or "macro" or "weighted" = "macro"'
METRIC = f"""\
metric
  accuracy: The fraction of right answers
  average_precision: Area under the steps of precision over recall: Σ_i (R_i - R_{{i-1}}) P_i, \
the highest threshold first
  balanced_accuracy: Mean recall of the classes, so that a rare one counts as much as a common one
  brier: Mean squared error of the probabilities, (p - t)² for one a row and Σ_k (p_k - t_k)² for classes
  explained_variance: 1 - Var(t - p) / Var(t), averaged over output columns: R2 but for a constant error, \
which is forgiven
  f1: Harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN), 0 where there are none
{AVERAGE}
  log_loss: Mean negative log-probability of the right class; probabilities are clipped to [ε, 1 - ε], \
ε the spacing of their dtype at 1, as in scikit-learn
  mae: Mean absolute error, in the target's units
  perplexity: exp of the mean negative log-probability of the right class: among how many equal choices it guesses
  precision: Of the rows decided to be of a class, the fraction that are: TP / (TP + FP), 0 where there are none
{AVERAGE}
  r2: Coefficient of determination, 1 - Σ (t - p)² / Σ (t - mean t)², averaged over output columns
  recall: Of the rows of a class, the fraction decided to be: TP / (TP + FN), 0 where there are none
{AVERAGE}
  rmse: Root of the mean squared error, in the target's units
  roc_auc: The probability that a row of the class scores above another, ties counting half: \
the area under the ROC curve
  top_k_accuracy: The fraction of rows whose class is among the k likeliest
      k: an integer = 2
"""
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
    calls |= {kind: partial(funcnet, full, "list", kind) for kind in KINDS_OF_SPECS}
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


def test_list_of_one_kind_is_its_part_of_the_whole(listed):
    assert listed["metric"] == (0, METRIC, "")
    assert "".join(listed[kind].out for kind in KINDS_OF_SPECS) == listed["all"].out
    assert {(listed[kind].status, listed[kind].err) for kind in KINDS_OF_SPECS} == {(0, "")}


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
    assert lines in listed[kind].out


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
