"""Run folders whose files are changed: as by accident, or by somebody who knows the digests and writes them anew."""

import json
from pathlib import Path
from typing import Any

import funcnet as fn
from funcnet.experiments.digests import digest, facts_digest, text_digest


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def change(path: Path, **changes: Any) -> None:
    """Change fields of a JSON object."""
    path.write_text(json.dumps(read_json(path) | changes), encoding="utf-8")


def sign(folder: Path) -> None:
    """Write the digests of the files as they are now into ``run.json``, as a forger would."""
    facts = read_json(folder / "run.json")
    _, params, state = fn.load(folder / "weights.npz")
    facts["weights"] = digest({"params": params, "state": state})
    names = ("spec.json", "preprocess.json", "history.csv", "metrics.json", "baseline.json")
    there = [name for name in names if (folder / name).exists()]
    facts["files"] = {name: text_digest(name, (folder / name).read_bytes()) for name in there}
    facts["files"]["run.json"] = facts_digest(facts)
    (folder / "run.json").write_text(json.dumps(facts), encoding="utf-8")
