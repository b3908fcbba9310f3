"""Where the files of a spec may be: in its own folder, unless the user allows others."""

from __future__ import annotations

import os
from pathlib import Path

from funcnet.errors import DataError


class Trusted(type(Path())):  # type: ignore[misc]
    """The folder of a spec that may name files outside it."""


class Unproven(type(Path())):  # type: ignore[misc]
    """The folder of a run whose record of another base, ``recorded``, is not believed."""

    recorded = ""

    @classmethod
    def of(cls, folder: Path, recorded: str) -> Path:
        """The folder of a run, with its record."""
        path = cls(folder)
        path.recorded = recorded
        return path


def base_folder(base: str | os.PathLike[str] | None, allow_outside: bool = False) -> Path:
    """The folder that a spec's paths are relative to, the current one by default."""
    if isinstance(base, Unproven) and not allow_outside:
        return base
    return (Trusted if allow_outside or isinstance(base, Trusted) else Path)(base or ".")


def inside(base: Path, path: str) -> Path:
    """A path of a spec, which is relative to ``base`` and must stay inside it, symlinks included.

    Raises   DataError for a path outside, unless ``base`` is ``Trusted``, for one that an ``Unproven`` base lacks, and
             for line breaks
    """
    if "\n" in path or "\r" in path:
        raise DataError(f"{path!r:.200}: expected the name of a file without line breaks; rename it")
    whole = base / path
    if not isinstance(base, Trusted):
        try:
            real = whole.resolve()
        except (OSError, RuntimeError, ValueError) as error:  # a loop of links, or an impossible file name
            raise DataError(f"{whole}: cannot be a file: {error}") from None
        if not real.is_relative_to(base.resolve()):
            raise DataError(
                f"{path}: lies outside the spec's folder {base.resolve()}; copy it there, or allow it if you trust the "
                "spec: --allow-outside, in Python allow_outside=True"
            )
    if isinstance(base, Unproven) and not os.path.exists(whole):
        raise DataError(
            f"{path}: is not in the run's folder {base}; run.json says that paths are relative to {base.recorded!r}, "
            "which is believed only where the run was written; if you trust it, give that folder: --base DIR"
        )
    return whole
