"""One network under every optimizer, by one line of JSON: nothing else of the experiment changes."""

import json
from pathlib import Path

import pytest

import funcnet as fn
from funcnet.spec.base import evolve
from tests.table import TRAINED, of_those

SPEC = Path(__file__).parents[2] / "specs" / "digits_mlp.json"

LINES = {tag: trained.line for tag, trained in TRAINED.items()}
SOME = ("sgd", "adamw", "partition")
"""Every run tries these; that each optimizer trains a network is in test_step"""


@pytest.mark.parametrize("tag", LINES)
def test_a_line_names_its_optimizer(tag):
    assert f'"{tag}"' in json.dumps(LINES[tag])


@pytest.mark.parametrize("tag", of_those(LINES, SOME))
def test_one_line_of_json(tag):
    document = json.loads(SPEC.read_text(encoding="utf-8"))
    document["training"]["epochs"] = 3
    original = fn.from_json(document)
    document["optimizer"] = LINES[tag]
    experiment = fn.from_json(document)
    assert evolve(experiment, optimizer=original.optimizer) == original
    run = fn.run(experiment)
    assert [row["loss"] for row in run.history] == sorted((row["loss"] for row in run.history), reverse=True)
    assert run.metrics["test"]["accuracy"] > 0.85
