"""Arguments that several commands share: a spec or a run, its model, the shape of an input, a count."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import Any

import attrs

from funcnet.cli.shipped import shipped
from funcnet.data.paths import base_folder
from funcnet.data.preparation import Prepared, input_shape, prepare
from funcnet.data.preprocess import Preprocess
from funcnet.errors import DataError, Problem, ShapeError, SpecError
from funcnet.experiments.experiment import Experiment
from funcnet.experiments.origin import SPEC, recorded_base
from funcnet.experiments.stored import keeps_rows, recorded_shape
from funcnet.key import Key
from funcnet.layers.base import Layer
from funcnet.shapes import Shape
from funcnet.spec.codec import load_spec


@attrs.frozen
class Given:
    """A spec from a file or a run folder. ``shape`` is that of ``--input``."""

    file: Path
    spec: Any
    base: Path
    shape: Shape | None

    @property
    def model(self) -> Layer:
        """The model itself, or that of the experiment.

        Raises   SpecError for a spec that has none
        """
        model = self.spec.model if isinstance(self.spec, Experiment) else self.spec
        if not isinstance(model, Layer):
            problem = Problem("", f"expected an experiment or a model, got a {self.spec.kind}")
            raise SpecError([problem], root=str(self.file))
        return model

    def in_shape(self) -> Shape:
        """The shape of one input: ``--input``, or as a run recorded it, or that of data, which may have to be read.

        Raises   ShapeError for a model alone without ``--input``
        """
        if self.shape is not None:
            return self.shape
        if not isinstance(self.spec, Experiment):
            raise ShapeError("a model alone does not say what its input is; give the shape, such as --input 28,28,1")
        recorded = None if _keeps_rows(self.file, self.spec) else recorded_shape(self.file.parent, self.spec)
        return input_shape(self.spec.data, Key(self.spec.seed), self.base) if recorded is None else recorded


def data_of(file: Path, experiment: Experiment, base: Path, fitted: Preprocess | None = None) -> Prepared:
    """The data that a spec or a run names, as ``prepare`` reads it.

    Raises   DataError for a run on rows that were given in Python
    """
    if not _keeps_rows(file, experiment):
        run = file.parent
        raise DataError(
            f"{run}: the rows of this run were given in Python and are in no file; give others with "
            f"funcnet evaluate {run} --data FILE, or print its predictions as a program with "
            f"funcnet source {run} --inference"
        )
    return prepare(experiment.data, Key(experiment.seed), base, experiment.dtype, fitted)


def _keeps_rows(file: Path, experiment: Experiment) -> bool:
    return file.name != SPEC or keeps_rows(file.parent, experiment)


def given(name: str, options: argparse.Namespace) -> Given:
    """The spec that an argument names, with ``--input``, ``--base`` and ``--allow-outside``."""
    file = spec_file(Path(name))
    shape = None if options.input is None else parse_shape(options.input)
    return Given(file, load_spec(file), base_of(file, options), shape)


def spec_file(path: Path) -> Path:
    """The spec itself, that of a run folder, or the shipped experiment of that name.

    Raises   SpecError for a bare name that is none of these
    """
    inside = path / SPEC
    return inside if os.path.isfile(inside) else shipped(str(path)) or path


def add_base(parser: argparse.ArgumentParser) -> None:
    """Add ``--base`` and ``--allow-outside``."""
    parser.add_argument(
        "--base",
        metavar="DIR",
        help="the folder that paths in the spec are relative to (default: the spec's own; for a run, where it began)",
    )
    parser.add_argument("--allow-outside", action="store_true", help="allow data files outside that folder")


def base_of(file: Path, options: argparse.Namespace) -> Path:
    """The folder that paths in a spec are relative to: ``--base``, or for a run where it began, or the spec's own."""
    if options.base is not None:
        return base_folder(options.base, options.allow_outside)
    own = recorded_base(file.parent, options.allow_outside) if file.name == SPEC else file.parent
    return base_folder(own, options.allow_outside)


def parse_shape(text: str) -> tuple[int, ...]:
    """``28,28,1`` or ``28x28x1``; an empty text is one number per sample.

    Raises   ShapeError for anything else
    """
    inside = text.strip("() ").removesuffix(",")
    parts = re.split(r"[,x]", inside) if inside else []
    if not all(re.fullmatch(r" *[0-9]{1,18} *", part) and int(part) > 0 for part in parts):
        raise ShapeError(f"--input: expected a shape such as 28,28,1, got {text!r}")
    return tuple(int(part) for part in parts)


def parse_count(text: str, option: str) -> int:
    """A whole number of 1 or more.

    Raises   ShapeError for anything else
    """
    if not re.fullmatch(r"[0-9]{1,18}", text) or int(text) < 1:
        raise ShapeError(f"{option}: expected a whole number of 1 or more, got {text!r}")
    return int(text)
