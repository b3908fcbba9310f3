"""Kill training again and again: ``python tests/benchmarks/kills.py [--rounds 200] [--seed 0]``.

Each round starts the same command, ``funcnet train … --resume``, kills it with SIGKILL after a random time, and looks
at the folder: every checkpoint in it must be whole. A run that ends before it is killed must have the weights, scores
and history of one that was never disturbed, and no temporary file; then the next one begins.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import funcnet as fn
from funcnet.training.checkpoint import listed, read

TOP = Path(__file__).parents[2]


def spec():
    """Some two seconds of training in which everything that has a state is in play."""
    return fn.Experiment(
        seed=4,
        data=fn.data.Iris(split=fn.data.Split(validation=0.2, test=0.2, stratify=True), scale="standard"),
        model=fn.serial(fn.Dense(12), fn.BatchNorm(), fn.Relu(), fn.Dropout(0.3), fn.Dense(3)),
        loss=fn.losses.SoftmaxCrossEntropy(),
        metrics=(fn.metrics.Accuracy(),),
        optimizer=fn.optim.chain(
            fn.optim.ClipByGlobalNorm(1.0), fn.optim.AdamW(fn.optim.WarmupCosine(0.02, warmup_steps=50))
        ),
        training=fn.Training(
            epochs=300,
            batch_size=16,
            early_stopping=fn.EarlyStopping(patience=200),
            checkpoint=fn.Checkpoint(every_steps=11),
        ),
    )


def outcome(folder):
    """What depends on the arithmetic alone."""
    facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    lines = [line.rpartition(",")[0] for line in (folder / "history.csv").read_text(encoding="utf-8").splitlines()]
    return facts["weights"], facts["step"], (folder / "metrics.json").read_text(encoding="utf-8"), lines


def rounds(folder, count, seed):
    """Kill a run ``rounds`` times; return how many runs ended in the meantime, the last of them undisturbed."""
    draw = random.Random(seed)
    fn.save_spec(folder / "spec.json", spec())
    began = time.monotonic()
    command = [sys.executable, "-m", "funcnet", "train", "spec.json", "--resume", "--progress", "none", "--out"]
    env = os.environ | {"PYTHONPATH": str(TOP), "OPENBLAS_NUM_THREADS": "1"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder, "env": env}
    subprocess.run([*command, "whole"], check=True, **quiet)
    length, expected = time.monotonic() - began, outcome(folder / "whole")
    killed = 0
    while killed < count:
        process = subprocess.Popen([*command, "run"], **quiet)
        try:
            process.wait(timeout=draw.uniform(0.1, 1.1) * length)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed += 1
        else:
            assert process.returncode == 0, process.returncode
            check_end(folder / "run", expected)
        for path in listed(folder / "run" / "checkpoints"):
            read(path)
    subprocess.run([*command, "run"], check=True, **quiet)
    check_end(folder / "run", expected)
    return killed


def check_end(run, expected):
    """The end is that of a run that was never disturbed, and nothing half-written stays."""
    assert outcome(run) == expected
    left = [path.name for path in run.rglob("*") if path.name.startswith(".")]
    assert left == [], left
    shutil.rmtree(run)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        killed = rounds(Path(name), options.rounds, options.seed)
    print(f"{killed} kills; every checkpoint whole, every end the same to the last bit, nothing left behind")


if __name__ == "__main__":
    main()
