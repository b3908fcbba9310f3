"""Where a run began: the folder that the paths of its spec are relative to, and when its own record of it is believed.

A run folder may come from anybody, and everything in its files may be forged. ``run.json`` therefore holds a stamp
beside the base: a digest of the base and of the number and the time of change that the file system gave to
``spec.json``. No archive, copy or download can choose these, so the stamp is right only where the run wrote it. A whole
file system that somebody sends can, so base and run must be on one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from pathlib import Path

from funcnet.data.paths import Unproven
from funcnet.errors import FuncnetError
from funcnet.spec.codec import load_document

SPEC, FACTS = "spec.json", "run.json"


def stamp(folder: Path, base: str) -> str | None:
    """The stamp of a base in a folder; None if ``spec.json`` is not a file of this user, or on another file system."""
    try:
        found, there = os.lstat(folder / SPEC), os.stat(base)
    except (OSError, ValueError):
        return None
    mine = os.name != "posix" or found.st_uid == os.getuid()
    if not (mine and stat.S_ISREG(found.st_mode) and found.st_dev == there.st_dev):
        return None
    text = f"{base}\n{found.st_ino}\n{found.st_ctime_ns}"
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def origin(folder: Path, base: Path) -> dict[str, str | None]:
    """The fields of ``run.json`` that say where a run began; ``spec.json`` is written."""
    whole = str(base.resolve())
    return {"base": whole, "stamp": stamp(folder, whole)}


def recorded_base(folder: Path, allow_outside: bool = False) -> Path:
    """The base of a run: the recorded one if the run wrote it there, or if any file is allowed; else its own folder."""
    with contextlib.suppress(FuncnetError):
        facts = load_document(folder / FACTS) if os.path.isfile(folder / FACTS) else None
        if isinstance(facts, dict) and isinstance(facts.get("base"), str):
            recorded = facts["base"]
            if allow_outside or facts.get("stamp", "") == stamp(folder, recorded):
                return Path(recorded)
            return Unproven.of(folder, recorded)
    return folder
