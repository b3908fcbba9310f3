"""Where a command finds its spec, and what the paths in it are relative to."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from funcnet.cli.shipped import shipped
from funcnet.data.paths import base_folder


def spec_file(path: Path) -> Path:
    """The spec itself, that of a run folder, or the shipped experiment of that name.

    Raises   SpecError for a bare name that is none of these
    """
    inside = path / "spec.json"
    return inside if os.path.isfile(inside) else shipped(str(path)) or path


def base_of(file: Path, allow_outside: bool = False) -> Path:
    """The folder that paths in a spec are relative to: its own, or for a run the one that the run began from."""
    return base_folder(_base(file), allow_outside)


def _base(file: Path) -> Path:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        if file.name == "spec.json":
            return Path(json.loads((file.parent / "run.json").read_text(encoding="utf-8"))["base"])
    return file.parent
