"""Files as this version writes them, and what it answers from them: ``python tests/golden/make_files.py FOLDER``.

Written once for each version that is released, into ``tests/golden/files/<version>``; later versions must read them and
give the same answers. Never write a folder again.
"""

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

import funcnet as fn
from funcnet import losses, optim

NETS = {
    "mlp": (fn.serial(fn.Dense(5), fn.BatchNorm(), fn.Relu(), fn.Dropout(0.3), head=fn.Dense(3)), (4,)),
    "convolution": (fn.serial(fn.Conv2D(3, 3), fn.Gelu(), fn.MaxPool2D(2), fn.Flatten(), fn.Dense(2)), (6, 6, 1)),
    "sequence": (fn.serial(fn.Embedding(9, 4), fn.LSTM(4), fn.transformer_block(4, 2, causal=True), fn.Dense(9)), (5,)),
    "graph": (
        fn.Graph("x", {"a": (fn.Dense(3), "x"), "b": (fn.Tanh(), "a"), "c": (fn.Sum(), ("a", "b"))}, "c"),
        (4,),
    ),
}


ROWS = np.array([[5.1, 3.5, 1.4, 0.2], [6.0, 3.0, 4.8, 1.8]])


def batch(name: str) -> np.ndarray:
    """A batch of two inputs of a network."""
    _, in_shape = NETS[name]
    if name == "sequence":
        return (fn.Key(1).uniform((2, *in_shape)) * 9).astype(np.int64)
    return fn.Key(1).normal((2, *in_shape), np.float32)


def experiment() -> fn.Experiment:
    """A small run with everything that a run folder holds."""
    return fn.Experiment(
        seed=3,
        data=fn.data.Iris(split=fn.data.Split(validation=0.2, test=0.2, stratify=True), scale="standard"),
        model=fn.serial(fn.Dense(6), fn.Tanh(), fn.Dense(3)),
        loss=losses.SoftmaxCrossEntropy(),
        metrics=(fn.metrics.Accuracy(),),
        optimizer=optim.chain(optim.ClipByGlobalNorm(1.0), optim.AdamW(optim.WarmupCosine(0.02, 5))),
        training=fn.Training(epochs=4, batch_size=32, checkpoint=fn.Checkpoint(every_epochs=1, keep_last=1)),
    )


class StopAt:
    """Ends a run at a step, as a crash would."""

    def __init__(self, step: int) -> None:
        self.step = step

    def init(self) -> None:
        """No state."""

    def update(self, state: None, event: Any) -> tuple[None, bool]:
        """Raise at the step."""
        if event.step == self.step:
            raise SystemExit(9)
        return None, False


def anonymous(folder: Path) -> None:
    """Leave out where and on what machine a run was made."""
    path = folder / "run.json"
    facts = json.loads(path.read_text(encoding="utf-8")) | {"base": "."}
    facts = {name: value for name, value in facts.items() if name not in ("platform", "threads", "blas")}
    path.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def main(folder: Path) -> None:
    """Write everything into a new folder."""
    folder.mkdir(parents=True)
    answers = {}
    for name, (net, in_shape) in NETS.items():
        params, state = net.init(fn.Key(0), in_shape)
        fn.save(folder / f"{name}.npz", net, params, state)
        answers[name] = fn.predict(net, params, state, batch(name))
    for path in sorted(Path("specs").glob("*.json")):
        (folder / "specs").mkdir(exist_ok=True)
        fn.save_spec(folder / "specs" / path.name, fn.load_spec(path))
    run = fn.run(experiment(), folder / "run")
    with contextlib.suppress(SystemExit):
        fn.run(experiment(), folder / "unfinished", callbacks=[StopAt(7)])
    answers["run"] = run.predict_proba(ROWS)
    np.savez(folder / "answers.npz", **answers)
    for name in ("run", "unfinished"):
        anonymous(folder / name)
        for spare in ("curves.svg", "report.html", "distributions.jsonl"):
            (folder / name / spare).unlink(missing_ok=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
