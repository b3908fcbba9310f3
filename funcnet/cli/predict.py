"""``funcnet predict``"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from funcnet.cli.door import raw_output
from funcnet.data.lazy_array import Stream
from funcnet.data.preprocess import outside_range
from funcnet.errors import DataError, listed
from funcnet.experiments.folder import Run
from funcnet.experiments.stored import load_run
from funcnet.files import write_bytes
from funcnet.key import Array
from funcnet.losses.base import classifies
from funcnet.training.probabilities import is_multilabel, is_one, label_of, proba_of


def arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``funcnet predict``."""
    parser.add_argument("spec", metavar="RUN", help="the folder of a run")
    parser.add_argument("input", metavar="FILE", help="rows in the form of the training data, targets not needed")
    parser.add_argument("-o", "--out", metavar="OUT", help="write the predictions to a file instead of printing them")
    parser.add_argument("--json", action="store_true", help="print JSON lines instead of CSV")
    parser.add_argument("--check-range", action="store_true", help="count rows outside the range of the training data")


def run(options: argparse.Namespace) -> int:
    """Predict for raw rows, as CSV or JSON lines.

    Labels are written as they are, since programs read them: a spreadsheet may take one that begins with = for a
    formula. On a terminal their control characters are escaped.
    """
    run = load_run(options.spec)
    raw = run.experiment.data.new_inputs(Path(options.input), run.preprocess)
    answer = run.predict(raw)
    head, rows = answers(run, answer)
    text = _json_lines(run, head, rows) if options.json else _csv(head, rows)
    if options.check_range:
        print(range_report(run, raw), file=sys.stderr)
    if options.out is None:
        encoding = sys.stdout.encoding or "utf-8"
        try:
            text.encode(encoding)
        except UnicodeEncodeError as error:  # a question mark in a label would be a wrong answer
            raise DataError(
                f"the console's encoding {encoding} has no {text[error.start]!r}; write a file with -o OUT, "
                "or set PYTHONIOENCODING=utf-8"
            ) from None
        with contextlib.nullcontext() if sys.stdout.isatty() else raw_output():  # elsewhere it is data for a program
            sys.stdout.write(text)
    else:
        write_bytes(Path(options.out), text.encode())
        print(f"written to {options.out}", file=sys.stderr)
    return 0


def answers(run: Run, answer: Any) -> tuple[list[str], list[list[Any]]]:
    """The columns and rows of the predictions: the label and the classes' probabilities or scores, or values in units.

    Several labels come first, ``label_<name>`` each, and then their probabilities, ``<name>``.
    """
    if not isinstance(answer, np.ndarray):
        raise DataError("expected a network of one output, got several; use Run.predict in Python")
    loss, classes = run.experiment.loss, run.classes
    values: Array = answer.reshape(len(answer), -1)
    names = output_names(run, values.shape[1])
    if is_multilabel(loss, answer):
        labels = label_of(loss, values).astype(int).tolist()
        words = [[classes[i] for i in row] for row in labels] if classes else [[str(i) for i in row] for row in labels]
        head = [f"label_{name}" for name in names]
        return [*head, *names], [[*row, *p] for row, p in zip(words, values, strict=True)]
    if (is_one(answer) or answer.ndim == 2) and (classifies(loss) or (classes is not None and is_one(answer))):
        known = class_names(run, max(values.shape[1], 2))
        chosen = [known[i] for i in label_of(loss, answer).tolist()]
        if loss.probabilities:
            values = proba_of(loss, answer)
        scored = known if loss.probabilities or not is_one(answer) else names
        return ["label", *scored], [[label, *row] for label, row in zip(chosen, values, strict=True)]
    return names, [list(row) for row in values]


def class_names(run: Run, count: int) -> list[str]:
    """The names of the classes; those of the target columns, if each is the probability of one; or else numbers."""
    named = run.classes or run.preprocess.get("outputs") or []
    return list(named) if len(named) == count else [str(i) for i in range(count)]


def output_names(run: Run, count: int) -> list[str]:
    """The names of the outputs, from those of the target columns, or else numbers."""
    named = run.experiment.loss.outputs(run.preprocess.get("outputs") or ["prediction"])
    return named if len(named) == count else [f"prediction_{i}" for i in range(count)]


def _csv(head: list[str], rows: list[list[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([[str(cell) for cell in row] for row in rows])  # the shortest digits of the dtype
    return text.getvalue()


def _json_lines(run: Run, head: list[str], rows: list[list[Any]]) -> str:
    lines = []
    what = "probabilities" if run.experiment.loss.probabilities else "scores"
    for row in rows:
        cells = [cell if isinstance(cell, str) else float(str(cell)) for cell in row]
        several = sum(isinstance(cell, str) for cell in row)
        if head[0].startswith("label_") and several:
            labels = [label if run.classes else int(label) for label in cells[:several]]
            node: dict[str, Any] = {
                "labels": dict(zip(head[several:], labels, strict=True)),
                what: dict(zip(head[several:], cells[several:], strict=True)),
            }
        elif head[0] == "label" and len(head) > 2:
            node = {"label": cells[0], what: dict(zip(head[1:], cells[1:], strict=True))}
        else:
            node = dict(zip(head, cells, strict=True))
        lines.append(json.dumps(node, ensure_ascii=False) + "\n")
    return "".join(lines)


def range_report(run: Run, raw: Any) -> str:
    """How many rows lie outside the range of the training data, and in which columns."""
    pieces = [raw] if not isinstance(raw, Stream) else (raw[i : i + 1024] for i in range(0, len(raw), 1024))
    found = [outside_range(run.preprocess, piece) for piece in pieces]
    flags = np.concatenate([rows for rows, _ in found])
    count = int(flags.sum())
    columns = listed((f"{name} {n}" for name, n in found[0][1].items()), 100) if found[0][1] else ""
    where = f"; the first is row {int(np.flatnonzero(flags)[0])}, counted from 0" if count else ""
    return f"{count} of {len(flags)} rows are outside the range of the training data{where}" + (
        f" ({columns})" if columns else ""
    )
