"""Forge checkpoints, one change at a time, under a digest that is right, and resume.

    python -m tests.fuzz.checkpoints --count 1000 [--seed 0]

Each time the run goes on from the checkpoint before, refuses with one error, or goes on from what it was given.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import random
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

import funcnet as fn
from funcnet.files import npz_bytes, read_npz
from funcnet.training.checkpoint import listed
from tests.fuzz.run_folders import changed


def experiment() -> fn.Experiment:
    """A short run with a state in each callback."""
    return fn.Experiment(
        data=fn.data.Iris(split=fn.data.Split(validation=0.2), scale="standard"),
        model=fn.serial(fn.Dense(3), fn.BatchNorm(), fn.Dense(3)),
        loss=fn.losses.SoftmaxCrossEntropy(),
        optimizer=fn.optim.Adam(0.02),
        training=fn.Training(
            epochs=4,
            batch_size="full",
            checkpoint=fn.Checkpoint(every_steps=1, keep_last=2),
            early_stopping=fn.EarlyStopping(patience=50),
            callbacks=(fn.JsonLines(), fn.TargetReached(1e-9), fn.TimeBudget(1e9)),
        ),
    )


class Crash:
    """Ends a run at its third step, as a crash would."""

    def init(self) -> None:
        """No state."""

    def update(self, state: None, event: Any) -> tuple[None, bool]:
        """Raise at the step."""
        if event.step == 3:
            raise SystemExit(9)
        return None, False


def crashed(folder: Path) -> Path:
    """An unfinished run with two checkpoints."""
    try:
        fn.run(experiment(), folder, callbacks=[Crash()])
    except SystemExit:
        return folder
    raise AssertionError("the run did not crash")


def limits(dtype: Any) -> Any:
    """The least and the greatest number of a dtype."""
    return np.iinfo(dtype) if np.dtype(dtype).kind in "iu" else np.finfo(dtype)


def forge(path: Path, draw: random.Random) -> str:
    """Change one value or array of a checkpoint, and write it under its new digest."""
    members = read_npz(path)
    if draw.random() < 0.6:
        document, what = changed(json.loads(members["meta"].tobytes()), draw)
        members["meta"] = np.frombuffer(json.dumps(document).encode(errors="surrogatepass"), np.uint8)
    else:
        name = draw.choice(list(members))
        array = members.pop(name)
        kinds: dict[str, Any] = {
            "left out": {},
            "text": {name: np.array("x")},
            "flat": {name: array.reshape(-1)},
            "one more axis": {name: array[None]},
            "empty": {name: array.reshape(-1)[:0]},
            "complex": {name: array.astype("c16")},
            "narrow": {name: array.astype("f2")},
            "not finite": {name: np.full(array.shape, np.nan)},
            "least": {name: np.full_like(array, limits(array.dtype).min)},
            "greatest": {name: np.full_like(array, limits(array.dtype).max)},
        }
        kind = draw.choice(list(kinds))
        members |= kinds[kind]
        what = f"{name}: {kind}"
    content = npz_bytes(members)
    path.unlink()
    path.with_name(f"{path.name.partition('-')[0]}-{hashlib.sha256(content).hexdigest()}.npz").write_bytes(content)
    return what


def attempts(folder: Path, count: int, seed: int) -> Counter[str]:
    """Forge ``count`` checkpoints; return how each resumed run ended. An error that is not ours passes through."""
    draw, counts = random.Random(seed), Counter[str]()
    whole = crashed(folder / "whole")
    for _ in range(count):
        place = folder / "run"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(whole, place)
        what = forge(listed(place / "checkpoints")[0], draw)
        try:
            with np.errstate(all="ignore"):
                fn.run(experiment(), place, resume=True)
            counts["went on"] += 1
        except fn.FuncnetError:
            counts["refused"] += 1
        except Exception as error:
            error.add_note(what)
            raise
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.disable()
    with tempfile.TemporaryDirectory() as name:
        print(dict(attempts(Path(name), options.count, options.seed)))


if __name__ == "__main__":
    main()
