"""``funcnet init``"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from funcnet.cli.console import table
from funcnet.cli.shipped import copy, shipped
from funcnet.data.number_texts import to_number
from funcnet.data.preparation import Prepared, left_out, prepare
from funcnet.data.sniff import Column, Findings, look
from funcnet.data.sources.arrays import opened
from funcnet.data.sources.csv import Csv
from funcnet.data.sources.grid import DELIMITERS
from funcnet.data.sources.rows import is_json
from funcnet.errors import CheckpointError, DataError
from funcnet.experiments.experiment import Experiment
from funcnet.experiments.starter import LEAST, experiment, source
from funcnet.files import write_bytes
from funcnet.key import Key
from funcnet.layers.dense import Dense
from funcnet.metrics.decisions import BalancedAccuracy
from funcnet.spec.codec import to_json

SHOWN = 40
"""Columns, and reasons, that are printed"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``funcnet init``."""
    parser.add_argument(
        "file", metavar="FILE", help="a table as text, or the name of a shipped experiment to copy here"
    )
    parser.add_argument(
        "--target",
        metavar="NAME",
        action="append",
        help="the column to predict, by name or number (default: the last); repeated, several columns",
    )
    parser.add_argument(
        "--task", choices=("labels", "values"), help="what the target is (default: by its values, which is printed)"
    )
    parser.add_argument("--out", metavar="SPEC", help="the spec to write (default: FILE with the ending .json)")
    parser.add_argument("--force", action="store_true", help="overwrite an existing spec")
    parser.add_argument("--json", action="store_true", help="print what was found, or the error, as JSON")


def run(options: argparse.Namespace) -> int:
    """Inspect a data file, write a first spec for it, and print the findings and decisions.

    Raises   DataError for a file that cannot be used, CheckpointError for a spec that already exists
    """
    path = Path(options.file)
    example = shipped(options.file)
    if example is not None and not options.target and not options.task:
        return _copy(example, Path(example.name) if options.out is None else Path(options.out), options)
    opened(path).close()
    out = path.with_suffix(".json") if options.out is None else Path(options.out)
    inside = _relative(path, out)
    if os.path.lexists(out) and not options.force:
        raise CheckpointError(f"{out}: already exists; --force overwrites it, --out writes elsewhere")
    found = look(path, options.target, options.task)
    data = source(found, inside)
    prepared = prepare(data, Key(0), out.parent)  # the same data as in training, or the same error
    spec = experiment(found, data, len(prepared.train.x))
    write_bytes(out, to_json(spec).encode())  # short, to be read and changed
    follow = f'funcnet train "{out}"' if " " in str(out) else f"funcnet train {out}"
    if options.json:
        print(json.dumps(_facts(found, prepared, out) | {"next": follow}))
    else:
        decisions = _decisions(found, spec, data, prepared)
        _report(path, found, options.target is None, options.task is None, _without_target(found, prepared), decisions)
        print(f"\nwritten   {out}\nnext      {follow}")
    return 0


def _copy(example: Path, out: Path, options: argparse.Namespace) -> int:
    """Copy a shipped experiment and the files that it names."""
    if os.path.lexists(out) and not options.force:
        raise CheckpointError(f"{out}: already exists; --force overwrites it, --out writes elsewhere")
    written = [str(file) for file in copy(example, out)]
    if options.json:
        print(json.dumps({"spec": str(out), "files": written, "next": f"funcnet train {out}"}))
    else:
        print(f"written   {', '.join(written)}\nnext      funcnet train {out}")
    return 0


def _relative(path: Path, out: Path) -> str:
    """The data file as the spec will name it.

    Raises   DataError unless the data is in the spec's folder or below it
    """
    whole, spec = Path(os.path.abspath(path)), Path(os.path.abspath(out))
    if whole == spec:
        raise DataError(f"{out}: is the data itself; give the spec another name with --out")
    if not whole.is_relative_to(spec.parent):
        raise DataError(
            f"{out}: a spec names files in its own folder or below, and {path} is not there; "
            "put the spec beside the data, or the data beside the spec"
        )
    return whole.relative_to(spec.parent).as_posix()


# ----- what is printed -----------------------------------------------------------------------------------------------


def _report(
    path: Path,
    found: Findings,
    last: bool,
    guessed: bool,
    gone: list[tuple[str, str]],
    decisions: list[tuple[str, str]],
) -> None:
    rows, header = found.rows + sum(found.gaps.values()), "a header" if found.header else "no header"
    columns = len(found.columns)
    how = "in JSON lines" if is_json(path, None) else f"separated by {DELIMITERS[found.delimiter]}, with {header}"
    print(f"{path}: {rows:,} rows, {columns:,} columns, {how}\n")
    shown = [column for i, column in enumerate(found.columns) if i < SHOWN or column in found.targets]
    table(["column", "kind", "distinct", "missing", "example"], [_row(column) for column in shown])
    if columns > len(shown):
        print(f"and {columns - len(shown):,} more columns; --json prints all")
    print()
    lines = [("target", _target(found, last, guessed)), *gone]
    lines += [("left out", f"{column.name!r} {column.reason}") for column in found.left_out[:SHOWN]]
    if len(found.left_out) > SHOWN:
        lines.append(("left out", f"and {len(found.left_out) - SHOWN:,} more columns; --json prints all"))
    before = ""
    for label, text in [*lines, *decisions]:
        print(f"{'' if label == before else label:8}  {text}")
        before = label


def _row(column: Column) -> list[str]:
    kind = f"target, {column.kind}" if column.kind in ("labels", "values") else column.kind
    return [_short(column.name), kind, f"{column.distinct:,}", f"{column.missing:,}", _short(column.example)]


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 32 else text[:31] + "…"


def _target(found: Findings, last: bool, guessed: bool) -> str:
    target = found.target
    if found.more:
        names = ", ".join(repr(column.name) for column in found.targets)
        if target.kind == "values":
            return f"{names}: values"
        present = ", ".join(f"{_short(name)} ({count:,})" for name, count in found.counts.items())
        return f"labels, each present or absent: {present}"
    which = f"{target.name!r}" + (", the last column; --target NAME takes another" if last else "")
    if target.kind == "values":
        return f"{which}: values"
    several = [f"{_short(label)} ({count:,})" for label, count in found.counts.items()]
    listed = ", ".join(several[:8]) + (f" and {len(several) - 8} more" if len(several) > 8 else "")
    numeric = guessed and all(to_number(label) is not None for label in found.counts)
    return f"{which}: labels, {listed}" + ("; --task values takes them as numbers" if numeric else "")


def _without_target(found: Findings, prepared: Prepared) -> list[tuple[str, str]]:
    """The rows that are left out, and the texts that are read as missing targets."""
    texts = ", ".join(repr(text) for text in found.gaps if text)
    why = f" ({texts} counts as missing; if it is a label, write it in another way)" if texts else ""
    return [("target", sentence + why) for sentence in left_out(prepared.found)]


def _decisions(found: Findings, spec: Experiment, data: Csv, prepared: Prepared) -> list[tuple[str, str]]:
    """The choices that the spec makes."""
    lines = []
    written = [f"{mark!r} beside {name!r}" for name, mark in data.marks.items()]
    written += [f"{data.thousands!r} between thousands"] if data.thousands else []
    written += ["a decimal comma"] if data.decimal == "," else []
    if written:
        lines.append(("numbers", f"written with {', '.join(written)}"))
    for name in data.dates[:SHOWN]:
        ignored = "; its time of the day is not read" if name in found.timed else ""
        lines.append(("dates", f"{name!r} becomes its year, month and weekday{ignored}"))
    for column in found.inputs:
        if column.kind == "category" and column.distinct > (data.max_categories or column.distinct):
            how = f"the {data.max_categories} most frequent ones are told apart"
            lines.append(("category", f"{column.name!r}: of {column.distinct:,} texts {how}"))
    missing = prepared.found.get("missing", {})
    if data.impute is not None and not missing:
        how = "filled with the median or the most frequent value if they are predicted"
        lines.append(("missing", f"only in rows that are left out: {how}"))
    elif data.impute is not None:
        count = sum(missing.values())
        lines.append(
            ("missing", f"{count:,} values, which become the median of their column, or a category of their own")
        )
        for name in (name for name in missing if name in data.categorical):
            texts = [text for text in prepared.found["missing_texts"].get(name, {}) if text]
            if texts:
                listing = ", ".join(map(repr, texts))
                lines.append(("missing", f'{name!r}: {listing}; take it out of the list "missing" if it is a value'))
    sizes = ", ".join(f"{name} {rows:,}" for name, rows in prepared.found["rows"].items())
    if data.split is None:
        rows = len(prepared.train.y)
        few = f"{rows} rows are" if rows < LEAST else "the classes have"
        lines.append(("split", f"none: {few} too few {'' if rows < LEAST else 'rows '}to hold any out"))
    else:
        lines.append(("split", f"{sizes} rows" + (", all classes in proportion" if data.split.stratify else "")))
        rare = [label for label, counts in _per_part(prepared).items() if not all(counts)]
        if rare:
            lines.append(("", f"{', '.join(map(_short, rare[:8]))}: too few rows to be in every part"))
    if any(isinstance(metric, BalancedAccuracy) for metric in spec.metrics):
        lines.append(
            ("classes", 'very unequal; for a better balanced_accuracy and worse probabilities: class_weight "balanced"')
        )
    features = prepared.train.x.shape[1]
    widths = [layer.units for layer in spec.model.children.values() if isinstance(layer, Dense)]
    members, outputs = spec.model.out_shape((features,))
    arrows = " -> ".join([f"{features} feature" + "s" * (features > 1), *map(str, [*widths, outputs])])
    training = spec.training
    size = "all rows" if training.batch_size == "full" else training.batch_size
    length = f"{training.epochs} epochs in batches of {size}"
    if training.early_stopping is not None:
        length += ", or fewer by the loss of the validation part"
    lines.append(
        ("model", f"{arrows} unit{'s' * (outputs > 1)}, {members} members that share the hidden layers; {length}")
    )
    return lines


def _per_part(prepared: Prepared) -> dict[str, list[bool]]:
    """Whether each class is in each part."""
    classes = prepared.preprocess["classes"]
    if classes is None:
        return {}
    parts = [set(part.y.tolist()) for part in prepared.parts_by_name().values()]
    return {label: [i in part for part in parts] for i, label in enumerate(classes)}


def _facts(found: Findings, prepared: Prepared, out: Path) -> dict[str, Any]:
    return {
        "spec": str(out),
        "rows": prepared.found["rows"],
        "delimiter": found.delimiter,
        "header": found.header,
        "target": [column.name for column in found.targets] if found.more else found.target.name,
        "classes": None if found.more else found.counts or None,
        "columns": [column._asdict() for column in found.columns],
        "features": prepared.train.x.shape[1],
        **({"left_out": prepared.found["left_out"]} if found.gaps else {}),
    }
