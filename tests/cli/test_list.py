"""``funcnet list``: what there is, complete and in whole lines."""

import json
import re
import shutil
from functools import partial

import pytest

from funcnet.spec import base as spec
from funcnet.spec.kinds import KINDS as KINDS_OF_SPECS
from tests.cli import ROOT, SMALL, funcnet, together

METRIC = """\
metric              what it is                     fields
------------------  -----------------------------  ---------------------------
accuracy            The fraction of rows whose
                      predicted class is right
average_precision   Area under the
                      precision-recall steps: Σ_i
                      (R_i - R_{i-1}) P_i,
                      highest threshold first
balanced_accuracy   Mean recall of the classes,
                      so that a rare class counts
                      as much as a common one
brier               Mean squared error of the
                      probabilities, (p - t)² for
                      one per row and Σ_k (p_k -
                      t_k)² for classes
calibration_error   Mean distance between          bins: an integer = 15
                      confidence and accuracy:
                      Σ_b w_b / w |accuracy_b -
                      confidence_b|
deviance            Mean deviance of means μ from  power: a number = 1.0
                      targets t of a Tweedie
                      distribution, whose
                      variance grows as μ^power
explained_variance  1 - Var(t - p) / Var(t),
                      averaged over output
                      columns: R2 that ignores a
                      constant error
f1                  Harmonic mean of precision     average: "micro" or "macro"
                      and recall: 2 TP / (2 TP +     or "weighted" = "macro"
                      FP + FN), where 0 / 0 is 0
log_loss            Mean negative log-probability
                      of the right class
mae                 Mean absolute error, in the
                      target's units
perplexity          exp of the mean negative
                      log-probability of the
                      right class: the equivalent
                      number of equal choices
precision           The fraction of the rows       average: "micro" or "macro"
                      predicted as a class that      or "weighted" = "macro"
                      belong to it: TP / (TP +
                      FP), where 0 / 0 is 0
r2                  Coefficient of determination,
                      1 - Σ (t - p)² / Σ (t -
                      mean t)², averaged over
                      output columns
recall              The fraction of the rows of a  average: "micro" or "macro"
                      class that are predicted as    or "weighted" = "macro"
                      it: TP / (TP + FN), where 0
                      / 0 is 0
rmse                Root of the mean squared
                      error, in the target's
                      units
roc_auc             Area under the ROC curve: the
                      probability that a row of
                      the class scores above
                      another row, ties counting
                      half
top_k_accuracy      The fraction of rows whose     k: an integer = 2
                      class is among the k
                      likeliest
"""
KINDS = ", ".join(KINDS_OF_SPECS)


@pytest.fixture(scope="module")
def listed(tmp_path_factory):
    bare, full = tmp_path_factory.mktemp("bare"), tmp_path_factory.mktemp("full")
    (full / "specs").mkdir()
    shutil.copy(ROOT / "specs" / "digits_mlp.json", full / "specs")
    for name, content in (("iris", SMALL), ("broken", "{"), ("model", '{"model": "relu"}'), ("größe→", SMALL)):
        (full / "specs" / f"{name}.json").write_text(content, encoding="utf-8")
    run = partial(funcnet, encoding="utf-8")  # in processes, since other tests register classes of their own
    calls = {
        "all": partial(run, bare, "list"),
        "all json": partial(run, bare, "list", "--json"),
        "specs": partial(run, full, "list"),
        "specs json": partial(run, full, "list", "--json"),
        "shipped": partial(run, ROOT, "list", "--json"),
        "unknown": partial(run, bare, "list", "lyer"),
        "unknown json": partial(run, bare, "list", "zzz", "--json"),
        "metric": partial(run, full, "list", "metric"),
        "layer": partial(run, full, "list", "layer"),
    }
    for encoding in ("gbk", "cp1252", "ascii"):
        calls[f"specs {encoding}"] = partial(funcnet, full, "list", encoding=encoding)
    return together(calls)


def own(kind):
    """The library's own tags of a kind; those with a dot are other tests'."""
    return [tag for tag in spec.tags(kind) if "." not in tag]


def tables(text):
    """The rows of every table by its first header, each a list of cells whose lines are joined again."""
    found = {}
    for part in text.rstrip("\n").split("\n\n"):
        head, rule, *lines = part.split("\n")
        assert set(rule) == {"-", " "}
        ends = [match.span() for match in re.finditer("-+", rule)]
        rows = found[head.split()[0]] = []
        for line in lines:
            cells = [line[start:end].rstrip() for start, end in ends]
            if cells[0] and not cells[0].startswith("  "):
                rows.append([[cell] if cell else [] for cell in cells])
                continue
            for row, cell in zip(rows[-1], cells, strict=True):
                if cell.startswith("  "):
                    row[-1] += ("" if row[-1][-1] in "_/" else " ") + cell.strip()
                elif cell:
                    row.append(cell)
    return found


def test_list_contains_every_registered_tag_by_kind(listed):
    assert (listed["all"].status, listed["all"].err) == (0, "")
    assert max(map(len, listed["all"].out.split("\n"))) <= 80
    found = tables(listed["all"].out)
    assert list(found) == list(KINDS_OF_SPECS)
    assert {kind: [row[0][0] for row in rows] for kind, rows in found.items()} == {
        kind: own(kind) for kind in KINDS_OF_SPECS
    }
    assert all(
        len(about) == 1 and all(": " in one for one in fields) for rows in found.values() for _, about, fields in rows
    )
    assert {"dense", "batch_norm", "serial", "residual", "graph"} <= {row[0][0] for row in found["layer"]}


def test_list_of_one_kind_is_its_part_of_the_whole(listed):
    assert listed["metric"] == (0, METRIC, "")
    assert tables(listed["layer"].out) == {"layer": tables(listed["all"].out)["layer"]}
    assert (listed["layer"].status, listed["layer"].err) == (0, "")


@pytest.mark.parametrize(
    ("kind", "tag", "fields"),
    [
        (
            "layer",
            "dense",
            [
                "units: an integer",
                "use_bias: true or false = true",
                "weight_init: an initializer = glorot_uniform",
                "bias_init: an initializer = zeros",
            ],
        ),
        ("layer", "residual", ["layer: a layer", "projection: a layer or null = null"]),
        ("optimizer", "sgd", ["learning_rate: a number or a schedule", "momentum: a number or a schedule = 0.0"]),
        ("schedule", "one_cycle", ["peak: a number", "total_steps: an integer or null = null"]),
        ("training", "training", ['batch_size: an integer or "full" = 32']),
        ("data", "iris", ['scale: "standard" or "minmax" or "robust" or null = null']),
    ],
)
def test_list_shows_fields_and_defaults(listed, kind, tag, fields):
    (row,) = [row for row in tables(listed["all"].out)[kind] if row[0] == [tag]]
    assert set(fields) <= set(row[2])


def test_list_json_says_the_same(listed):
    assert (listed["all json"].status, listed["all json"].err) == (0, "")
    table = json.loads(listed["all json"].out)
    assert table["specs"] == []

    def unwrapped(cells):
        return ["".join(cell.split()) for cell in cells]

    for kind, tags in table["kinds"].items():
        expected = [[[tag], [of["about"]], of["fields"]] for tag, of in tags.items()]
        found = tables(listed["all"].out)[kind]
        assert [list(map(unwrapped, row)) for row in found] == [list(map(unwrapped, row)) for row in expected]


def test_list_begins_with_the_specs_at_hand(listed):
    assert (listed["specs"].status, listed["specs"].err) == (0, "")
    begin = [
        "spec                   what it is",
        "---------------------  --------------------------------------------",
        "specs/broken.json      not an experiment that can be read",
        "specs/digits_mlp.json  digits, serial, softmax_cross_entropy, adamw",
        "specs/größe→.json      iris, serial, softmax_cross_entropy, sgd",
        "specs/iris.json        iris, serial, softmax_cross_entropy, sgd",
        "specs/model.json       not an experiment that can be read",
    ]
    assert listed["specs"].out.replace("\\", "/").split("\n")[: len(begin)] == begin
    assert listed["specs"].out.endswith(listed["all"].out)
    table = json.loads(listed["specs json"].out)["specs"]
    assert [[one["path"].replace("\\", "/"), one["about"]] for one in table] == [
        line.split(None, 1) for line in begin[2:]
    ]


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
