"""The folder of a run: what is written into it.

A run folder holds ``spec.json`` (every default filled in), ``run.json`` (base folder, environment, digests),
``weights.npz``, ``preprocess.json``, ``history.csv``, ``baseline.json`` if there is one and, written last,
``metrics.json``: a folder without it belongs to an unfinished run. The pictures, ``curves.svg`` and ``boundary.svg``,
come after it, and ``report.html`` at the end. ``distributions.jsonl`` is written while it trains.
"""

from __future__ import annotations

import csv
import io
import logging
import os
import platform
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from funcnet.data.lazy_array import Stream
from funcnet.data.preparation import Prepared
from funcnet.data.preprocess import restore_inputs
from funcnet.data.sources.base import Frame
from funcnet.experiments.digests import (
    data_digest as data_digest,
    digest as digest,
    facts_digest as facts_digest,
    finite_json as finite_json,
    json_bytes as json_bytes,
    text_digest as text_digest,
)
from funcnet.experiments.origin import FACTS, SPEC, origin
from funcnet.experiments.result import Run as Run
from funcnet.files import read_bytes, write_bytes
from funcnet.training.callbacks import Row
from funcnet.training.probabilities import label_of
from funcnet.training.threads import blas
from funcnet.training.weights import save
from funcnet.version import __version__
from funcnet.views.boundary import boundary_svg, plane
from funcnet.views.curves import curves_svg
from funcnet.views.scores import PICTURES

log = logging.getLogger("funcnet")

LAST = "metrics.json"
BASELINE = "baseline.json"
DISTRIBUTIONS = "distributions.jsonl"
REPORT = "report.html"
RESULTS = (
    "weights.npz",
    "preprocess.json",
    "history.csv",
    BASELINE,
    DISTRIBUTIONS,
    REPORT,
    "curves.svg",
    "boundary.svg",
    *PICTURES,
)
CHECKPOINTS = "checkpoints"
START = "start.npz"
"""The copy of the weights that a run started from"""


def write(folder: Path, finished: Run, data: Prepared | None, base: Path) -> None:
    """Write all files of a run: those it is read from, the scores last of them, and then its pictures.

    A run on arrays of a program has no ``data`` to record.
    """
    ts, experiment, params = finished.train_state, finished.experiment, finished.params
    save(folder / "weights.npz", experiment.model, params, ts.state)
    texts = {
        "preprocess.json": json_bytes(finished.preprocess),
        "history.csv": history_csv(finished.history).encode(),
        **({} if finished.baseline is None else {BASELINE: json_bytes(finished.baseline)}),
        LAST: json_bytes(finished.metrics),
    }
    facts = {
        "step": ts.step,
        "stopped": finished.stopped,
        **({} if finished.temperature is None else {"temperature": finished.temperature}),
        "key": ts.key.digest.hex(),
        "found": {} if data is None else data.found,
        "data": digest({}) if data is None else data_digest(data),
        "weights": digest({"params": params, "state": ts.state}),
        **environment(),
    }
    written = {name: text_digest(name, text) for name, text in texts.items()}
    written[SPEC] = text_digest(SPEC, read_bytes(folder / SPEC))
    written[FACTS] = facts_digest(facts)
    texts[FACTS] = json_bytes({**origin(folder, base), **facts, "files": written})
    for name in sorted(texts, key=lambda name: name == LAST):
        write_bytes(folder / name, texts[name])
    draw(folder, finished, data)


def draw(folder: Path, finished: Run, data: Prepared | None) -> None:
    """Write the pictures of a run, which is whole without them: one that fails is logged."""
    pictures: dict[str, Callable[[], str | None]] = {
        "curves.svg": lambda: curves_svg(finished.history, folder.name),
        "boundary.svg": lambda: boundary(finished, data),
    }
    for name, picture in pictures.items():
        try:
            text = picture()
            if text is not None:
                write_bytes(folder / name, text.encode())
        except Exception as error:
            said = str(error).partition("\n")[0]
            log.warning("%s: is left out (%s: %s); the run is whole", folder / name, type(error).__name__, said)


def boundary(finished: Run, data: Prepared | None) -> str | None:
    """A picture of a two-input classifier's decisions with the training part; None for any other run."""
    preprocess = finished.preprocess
    columns = preprocess.get("columns")
    plain = preprocess.get("shape") == [2] if columns is None else [one["kind"] for one in columns] == ["number"] * 2
    if (
        data is None
        or not plain
        or finished.classes is None
        or data.train.y.ndim != 1
        or isinstance(data.train.x, Stream)
    ):
        return None
    points = restore_inputs(preprocess, data.train.x)
    where = plane(points)
    raw: Any = where.points
    if columns is not None:
        raw = Frame({one["name"]: raw[:, i] for i, one in enumerate(columns)}, np.arange(len(raw)))
    names = ("x1", "x2") if columns is None else (columns[0]["name"], columns[1]["name"])
    with np.errstate(over="ignore"):
        answers = label_of(finished.experiment.loss, finished.predict(raw))
    return boundary_svg(where, answers, points, data.train.y, finished.classes, names=names)


def write_json(path: Path, value: Any) -> None:
    """Write plain values as ``json_bytes`` has them."""
    write_bytes(path, json_bytes(value))


def history_csv(history: list[Row]) -> str:
    """The rows of a history as CSV; missing figures are empty fields."""
    scores = {name: None for row in history for name in row if name not in ("learning_rate", "seconds")}
    first = ["step", "epoch", "loss", "validation/loss"]
    metrics = [name for name in scores if name not in first]
    paired = sorted(metrics, key=lambda name: (metrics.index(name.removeprefix("validation/")), "/" in name))
    columns = [*(name for name in first if name in scores or name != "validation/loss"), *paired]
    text = io.StringIO()
    writer = csv.DictWriter(text, [*columns, "learning_rate", "seconds"], lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()


def environment() -> dict[str, Any]:
    """Versions, threads and BLAS, which affect the last bits of a result."""
    built = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    threads = {name: os.environ[name] for name in os.environ if name.endswith("_NUM_THREADS")}
    return {
        "versions": {
            "funcnet": __version__,
            "numpy": np.__version__,
            "attrs": version("attrs"),
            "python": platform.python_version(),
        },
        "platform": platform.platform(),
        "threads": {"cores": os.cpu_count(), **threads},
        "blas": {name: built[name] for name in ("name", "version", "openblas configuration") if built.get(name)}
        | blas(),
    }
