"""``funcnet predict``"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from funcnet.cli.door import raw_output
from funcnet.data.answer_texts import csv_text, json_text, number_columns
from funcnet.data.columns import title
from funcnet.data.lazy_array import Stream
from funcnet.data.preprocess import outside_range
from funcnet.errors import DataError, listed
from funcnet.experiments.result import Run
from funcnet.experiments.stored import load_run
from funcnet.files import replacing
from funcnet.key import Array
from funcnet.losses.base import classifies
from funcnet.training.probabilities import is_multilabel, is_one, label_of, proba_of

STANDARD_INPUT = "standard input"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``funcnet predict``."""
    parser.add_argument("spec", metavar="RUN", help="the folder of a run")
    parser.add_argument(
        "input",
        metavar="FILE",
        help="rows in the form of the training data, targets not needed; - reads CSV or JSON lines from a pipe",
    )
    parser.add_argument(
        "-o",
        "--out",
        metavar="OUT",
        help="write the predictions to a file, all or none, instead of printing them as they come",
    )
    parser.add_argument("--json", action="store_true", help="print JSON lines instead of CSV")
    parser.add_argument("--check-range", action="store_true", help="count rows outside the range of the training data")


def run(options: argparse.Namespace) -> int:
    """Predict for raw rows, as CSV or JSON lines, a block at a time; rows of a pipe are answered as they come.

    An error ends the command with status 1. Predictions for the rows before it are then printed already; a file is only
    written once all rows have been read.

    Labels are written as they are, since programs read them: a spreadsheet may take one that begins with = for a
    formula. On a terminal their control characters are escaped.
    """
    run = load_run(options.spec)
    path, file = _rows(options.input)
    blocks = run.experiment.data.input_blocks(path, run.preprocess, file)
    ranges = Ranges(run.preprocess)
    if options.check_range:
        blocks = map(ranges.counted, blocks)
    texts = _texts(run, run.predict_blocks(blocks, as_they_come=file is not None), options.json)
    if options.out is None:
        _print(texts)
    else:
        with replacing(Path(options.out)) as file:
            for text in texts:
                file.write(text.encode())
        print(f"written to {options.out}", file=sys.stderr)
    if options.check_range:
        print(ranges, file=sys.stderr)
    return 0


def _print(texts: Iterator[str]) -> None:
    """Print texts as they come, until the reader of a pipe closes it."""
    encoding = sys.stdout.encoding or "utf-8"
    with contextlib.nullcontext() if sys.stdout.isatty() else raw_output():  # elsewhere it is data for a program
        for text in texts:
            try:
                text.encode(encoding)
            except UnicodeEncodeError as error:  # a question mark in a label would be a wrong answer
                raise DataError(
                    f"the console's encoding {encoding} has no {text[error.start]!r}; write a file with -o OUT, "
                    "or set PYTHONIOENCODING=utf-8"
                ) from None
            sys.stdout.write(text)
            sys.stdout.flush()
            if getattr(sys.stdout, "error", None) is not None:
                return


def _texts(run: Run, predictions: Iterator[Any], as_json: bool) -> Iterator[str]:
    """The predictions as text, block by block."""
    for i, answer in enumerate(predictions):
        head, labels, numbers = answers(run, answer)
        if as_json:
            several = head[: len(labels)] not in ([], ["label"])
            form = "labels" if several else "label" if labels and len(numbers) > 1 else "values"
            what = "probabilities" if run.experiment.loss.probabilities else "scores"
            yield json_text(head[len(labels) :], labels, numbers, form, what, not several or bool(run.classes))
        else:
            yield csv_text([] if i else head, labels + numbers)


def answers(run: Run, answer: Any) -> tuple[list[str], list[list[str]], list[list[str]]]:
    """The columns of predictions: their names, those of labels, and those of numbers, all as texts.

    A label comes before the probabilities or scores of the classes, several of them, ``label_<name>`` each, before
    those of the labels, ``<name>``. Other predictions are values in their units.
    """
    if not isinstance(answer, np.ndarray):
        raise DataError("expected a network of one output, got several; use Run.predict in Python")
    loss, classes = run.experiment.loss, run.classes
    values: Array = answer.reshape(len(answer), -1)
    names = output_names(run, values.shape[1])
    if is_multilabel(loss, answer):
        labels = label_of(loss, values).astype(int)
        words = [[classes[i] if classes else str(i) for i in column] for column in labels.T.tolist()]
        return [*(f"label_{name}" for name in names), *names], words, number_columns(values)
    if (is_one(answer) or answer.ndim == 2) and (classifies(loss) or (classes is not None and is_one(answer))):
        known = class_names(run, max(values.shape[1], 2))
        chosen = [known[i] for i in label_of(loss, answer).tolist()]
        if loss.probabilities:
            values = proba_of(loss, answer)
        scored = known if loss.probabilities or not is_one(answer) else names
        return ["label", *scored], [chosen], number_columns(values)
    return names, [], number_columns(values)


def class_names(run: Run, count: int) -> list[str]:
    """The names of the classes; those of the target columns, if each is the probability of one; or else numbers."""
    named = run.classes or run.preprocess.get("outputs") or []
    return list(named) if len(named) == count else [str(i) for i in range(count)]


def output_names(run: Run, count: int) -> list[str]:
    """The names of the outputs, from those of the target columns, or else numbers."""
    named = run.experiment.loss.outputs(run.preprocess.get("outputs") or ["prediction"])
    return named if len(named) == count else [f"prediction_{i}" for i in range(count)]


def _rows(name: str) -> tuple[Path | str, Any]:
    """The path of a file of rows, or for ``-`` the name of the standard input in messages, and the input itself.

    Raises   DataError for a standard input that is closed
    """
    if name != "-":
        return Path(name), None
    if sys.stdin is None or sys.stdin.closed:
        raise DataError("the standard input is closed; give the rows by a pipe, or name a file")
    return STANDARD_INPUT, sys.stdin.buffer


class Ranges:
    """How many rows lie outside the range of the training data, and in which columns."""

    def __init__(self, preprocess: Mapping[str, Any]) -> None:
        self.preprocess = dict(preprocess)
        self.rows = self.outside = 0
        self.first: int | None = None
        self.columns: Counter[str] = Counter()

    def counted(self, raw: Any) -> Any:
        """Raw inputs, whose rows are now counted."""
        for begin in range(0, len(raw), 1024) if isinstance(raw, Stream) else (0,):
            piece = raw[begin : begin + 1024] if isinstance(raw, Stream) else raw
            flags, columns = outside_range(self.preprocess, piece)
            if self.first is None and flags.any():
                self.first = self.rows + int(np.argmax(flags))
            self.rows, self.outside = self.rows + len(flags), self.outside + int(flags.sum())
            self.columns.update(columns)
        return raw

    def __str__(self) -> str:
        where = "" if self.first is None else f"; the first is row {self.first}, counted from 0"
        order = {title(column): i for i, column in enumerate(self.preprocess.get("columns") or ())}
        found = sorted(self.columns.items(), key=lambda item: order[item[0]])
        columns = f" ({listed((f'{name} {n}' for name, n in found), 100)})" if found else ""
        return f"{self.outside} of {self.rows} rows are outside the range of the training data{where}{columns}"
