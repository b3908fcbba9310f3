"""One network under every optimizer, by one line of JSON: nothing else of the experiment changes."""

import json
from pathlib import Path

import pytest

import funcnet as fn
from funcnet.spec.base import evolve, tags

SPEC = Path(__file__).parents[2] / "specs" / "digits_mlp.json"

LINES = {
    "sgd": {"type": "sgd", "learning_rate": 0.05, "momentum": 0.9},
    "adam": "adam",
    "adamw": {"type": "adamw", "learning_rate": {"type": "cosine", "peak": 0.003}},
    "rmsprop": {"type": "rmsprop", "learning_rate": {"type": "step_decay", "initial": 0.001, "every": 60}},
    "clip_by_global_norm": {
        "type": "chain",
        "steps": [{"type": "clip_by_global_norm", "max_norm": 1.0}, {"type": "sgd", "learning_rate": 0.1}],
    },
    "chain": {
        "type": "chain",
        "steps": [{"type": "adam", "learning_rate": {"type": "warmup_cosine", "peak": 0.01, "warmup_steps": 10}}],
    },
    **{
        step["type"]: {"type": "chain", "steps": [step, {"type": "adam", "learning_rate": 0.002}]}
        for step in (
            {"type": "clip_by_value", "max_value": 0.1},
            {"type": "clip_by_block_norm", "max_norm": 0.5},
            {"type": "adaptive_clip", "clipping": 0.1},
            {"type": "l2", "weight_decay": 1e-4},
            {"type": "centralize"},
            {"type": "add_noise", "eta": 1e-6, "seed": 3},
        )
    },
    **{
        step["type"]: {"type": "chain", "steps": [{"type": "adam", "learning_rate": 0.002}, step]}
        for step in (
            {"type": "decoupled_weight_decay", "rate": 1e-4},
            {"type": "ema", "decay": 0.9},
            {"type": "polyak_average", "start": 20},
            {"type": "reduce_on_plateau", "factor": 0.5},
            {"type": "masked", "rule": {"type": "decoupled_weight_decay", "rate": 1e-4}, "patterns": ["*/weight"]},
        )
    },
    **{
        tag: {"type": tag, "learning_rate": 0.005}
        for tag in ("amsgrad", "adamax", "nadam", "radam", "adafactor", "lamb", "muon", "schedule_free_adamw")
    },
    "adagrad": {"type": "adagrad", "learning_rate": 0.05},
    "adadelta": {"type": "adadelta", "learning_rate": 2.0},
    "lion": {"type": "lion", "learning_rate": 0.001},
    "lars": {"type": "lars", "learning_rate": 0.3, "trust": 0.02},
    "lookahead": {"type": "lookahead", "rule": {"type": "adam", "learning_rate": {"type": "one_cycle", "peak": 0.01}}},
    "freeze": {"type": "freeze", "rule": {"type": "adam", "learning_rate": 0.003}, "patterns": "*/bias"},
    "partition": {
        "type": "partition",
        "parts": [
            [["*/bias", "head/*"], {"type": "sgd", "learning_rate": {"type": "linear", "initial": 0.1}}],
            ["*", {"type": "adamw", "learning_rate": 0.002}],
        ],
    },
}


def test_every_optimizer_has_a_line():
    assert LINES.keys() == {tag for tag in tags("optimizer") if "." not in tag}  # other tests register their own


SOME = ("sgd", "adamw", "partition")
"""Every run tries these; that each optimizer trains a network is in test_step"""


@pytest.mark.parametrize("tag", [tag if tag in SOME else pytest.param(tag, marks=pytest.mark.slow) for tag in LINES])
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
