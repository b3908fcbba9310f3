"""The experiments that come with funcnet, and where their files are."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from funcnet.errors import Problem, SpecError
from funcnet.files import make_folder, write_bytes
from funcnet.hints import did_you_mean

ABOUT = {
    "cat_classifier": "pictures of 64x64x3, 12288-20-7-5-1, batch gradient descent",
    "cat_classifier_adam": "the same pictures and network, mini-batches of 64, Adam",
    "cat_classifier_momentum": "the same pictures and network, mini-batches of 64, momentum",
    "cat_classifier_sgd": "the same pictures and network, one sample at a time",
    "diabetes": "diabetes progression (regression), 10-16-1 with tanh, inputs and targets scaled",
    "digits_conv": "handwritten digits as 8x8 images, four convolutions",
    "digits_denoise_unet": "noise off handwritten digits, a U-Net as a graph",
    "digits_mlp": "handwritten digits, 64-64-64-10, dropout, AdamW",
    "digits_rows_lstm": "handwritten digits read row by row, an LSTM in both directions",
    "half_plane": "points above or below a line, one sigmoid unit, one sample at a time",
    "half_plane_2_4_3_1": "points above or below a line, 2-4-3-1, all sigmoids",
    "iris_csv": "iris from a CSV file, 4-16-3 with tanh",
    "moons": "two moons, 2-16-16-2, with a picture of the decision boundary",
    "python_text_transformer": "the characters of Python's reference pages, a causal transformer",
    "sine_4_3_3_1": "the mean of four sines, 4-3-3-1 without activations, from published weights",
    "sine_tanh": "the mean of four sines, 4-32-32-1 with tanh",
    "spirals": "three spirals, 2-32-32-3, with a picture of the decision boundary",
    "two_layer_relu": "noise learnt by heart, 1000-100-10, ReLU, summed squares",
    "wine": "wine cultivars, 13-16-3 with tanh, classes weighed as equal",
}
"""Every shipped experiment in a line; a Western console shows each character."""


def folder() -> Path:
    """The folder of the shipped specs: inside an installed package, at the top of a source checkout."""
    package = Path(__file__).parents[1]
    installed = package / "specs"
    return installed if installed.is_dir() else package.parent / "specs"


def shipped(name: str) -> Path | None:
    """The file of a shipped experiment by its bare name, ``digits_mlp``.

    A file of that name in the current folder takes precedence, with or without ``.json``.
    None for anything but a bare name, and for a name that exists as it is.
    Raises   SpecError with the nearest name, and all names, for an unknown bare name
    """
    if not re.fullmatch(r"[A-Za-z_][\w-]*", name):
        return None
    if _exists(name) and not os.path.isdir(name):
        return None
    here = Path(f"{name}.json")
    for file in (here, folder() / here):
        if os.path.isfile(file):
            return file
    if os.path.lexists(name):
        return None
    known = ", ".join(ABOUT)
    message = f"there is no such file, and no experiment of that name comes with funcnet{did_you_mean(name, ABOUT)}"
    raise SpecError([Problem("", f"{message}; there are {known}")], root=name)


def _exists(name: str) -> bool:
    """Whether there is a file of this name, readable or not."""
    try:
        os.stat(name)
    except FileNotFoundError:
        return False
    except OSError:  # opening it will say what is wrong
        return True
    return True


def needs(document: Any) -> list[str]:
    """The files that a shipped spec names, relative to its folder."""
    if isinstance(document, dict):
        own = [document["path"]] if isinstance(document.get("path"), str) else []
        return own + [path for value in document.values() for path in needs(value)]
    return [path for value in document for path in needs(value)] if isinstance(document, list) else []


def copy(file: Path, out: Path) -> list[Path]:
    """Copy a shipped spec and its data files to the user's folder, the spec last; return the files written.

    Raises   CheckpointError for a folder that cannot be written
    """
    text = file.read_bytes()
    copies = {out: text}
    for path in needs(json.loads(text)):
        copies[out.parent / path] = (file.parent / path).read_bytes()
    for target, content in reversed(copies.items()):
        make_folder(target.parent)
        if target == out or not target.exists():
            write_bytes(target, content)
    return list(copies)
