"""Whose a folder is: free for a run, begun by the same run, or another's.

A run that fails before its first checkpoint removes what it wrote, ``spec.json`` last. If it cannot, as on a read-only
disk, ``--resume`` starts again over what is left. Any other file is the user's, and the folder is refused.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from funcnet.errors import CheckpointError, FuncnetError
from funcnet.experiments.experiment import Experiment
from funcnet.experiments.folder import CHECKPOINTS, DISTRIBUTIONS, LAST, RESULTS, START, write_json
from funcnet.experiments.origin import FACTS, SPEC, origin
from funcnet.experiments.result import Run
from funcnet.experiments.stored import load_run
from funcnet.files import is_inside, read_bytes, reason, write_bytes
from funcnet.networks.compare import diff
from funcnet.spec.codec import filed, load_spec, spec_hash
from funcnet.training.callbacks import Lines
from funcnet.training.checkpoint import LOCK, TEMPORARY, Saved, listed, locked, sweep

log = logging.getLogger("funcnet")


def check_own(folder: Path, experiment: Experiment) -> None:
    """Refuse a folder whose checkpoints would be written, and removed, in another one; and callbacks that would
    write into a file of the run, or of one another.

    Raises   CheckpointError; FuncnetError for a callback
    """
    root = Path(os.path.abspath(folder))
    taken = {".", SPEC, FACTS, LAST, CHECKPOINTS, START, LOCK, *RESULTS}
    for callback in experiment.training.callbacks:
        if not isinstance(callback, Lines):
            continue
        whole = Path(os.path.abspath(root / callback.path))
        if whole.is_relative_to(root):  # Lines.at refuses any other
            name = str(whole.relative_to(root)).casefold()
            if name in taken or os.path.dirname(name):
                raise FuncnetError(
                    f"{type(callback).__name__}: path: expected a name in the run folder that the run and other "
                    f"callbacks do not use, got {callback.path!r}"
                )
            taken.add(name)
    path = folder / CHECKPOINTS
    if os.path.islink(path) and not is_inside(folder, path):
        raise CheckpointError(f"{path}: is a link that leaves the run folder; put the checkpoints themselves there")


def check_free(folder: Path, lines: list[str] | None = None) -> None:
    """Refuse a folder that is not empty, before any work is done.

    With the names of the files that callbacks write, ``lines``, the leftovers of a run that failed are no obstacle.
    Raises   CheckpointError that tells a finished run, an unfinished run, leftovers and other contents apart
    """
    if not os.path.exists(folder):  # False also if the folder cannot be accessed; making it will tell
        return
    if not os.path.isdir(folder):
        raise CheckpointError(f"{folder}: expected a folder, got a file; choose another --out")
    try:
        inside = {path.name for path in folder.iterdir()}
        others = [name for name in sorted(inside) if not is_leftover(folder / name, lines or [])]
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be read ({error.strerror}); choose another --out") from None
    if LAST in others:
        raise CheckpointError(f"{folder}: holds a finished run already; choose another --out, or delete it first")
    if SPEC in inside and lines is None:
        raise CheckpointError(f"{folder}: holds an unfinished run; continue with --resume, or choose another --out")
    if SPEC in others and os.path.exists(folder / SPEC):  # there was none before
        raise CheckpointError(
            f"{folder}: another process has just begun a run in it; wait for it, or choose another --out"
        )
    if others:
        raise CheckpointError(f"{folder}: is not empty; choose a new folder for --out")
    if inside - {LOCK} and lines is None:
        raise CheckpointError(
            f"{folder}: holds what a run left that failed; train it again with --resume, or choose another --out"
        )


def is_leftover(path: Path, lines: list[str]) -> bool:
    """Whether a run may leave this file if it fails, or is killed, before its spec is whole or after it is removed."""
    if path.name == CHECKPOINTS:
        return path.is_dir() and all(TEMPORARY.fullmatch(one.name) for one in path.iterdir())
    if path.name == SPEC:  # written whole or not at all, once it has its name
        return path.is_file() and path.stat().st_size == 0
    return path.is_file() and (
        path.name in (FACTS, START, LOCK, DISTRIBUTIONS, *lines) or bool(TEMPORARY.fullmatch(path.name))
    )


def lines_of(experiment: Experiment) -> list[str]:
    """The names of the files that the callbacks of an experiment write into the folder."""
    return [callback.path for callback in experiment.training.callbacks if isinstance(callback, Lines)]


def begun(folder: Path, experiment: Experiment) -> bool:
    """Whether a folder holds a run of this experiment, which goes on; False if there is no spec.

    Raises   CheckpointError for another spec, with every difference, and for one that cannot be read
    """
    path = folder / SPEC
    if not os.path.exists(path) or (is_leftover(path, []) and not listed(folder / CHECKPOINTS)):
        return False
    try:
        there = load_spec(path)
    except FuncnetError as error:
        raise CheckpointError(f"{folder}: cannot be resumed, because its spec cannot be read: {error}") from None
    if spec_hash(there) != spec_hash(experiment):
        raise CheckpointError(
            f"{folder}: holds a run of another spec, with these differences:\n{diff(there, experiment)}\n"
            "continue with that spec, or choose another --out"
        )
    return True


def ended(folder: Path) -> Run | None:
    """The run of a folder if it came to its end, be it by Ctrl-C; one that an error ended is done again.

    Raises   CheckpointError for a run that cannot be read
    """
    found = load_run(folder) if os.path.exists(folder / LAST) else None
    return None if found is None or found.stopped == "an error" else found


@contextlib.contextmanager
def claimed(folder: Path, lines: list[str] | None) -> Iterator[None]:
    """Make the folder and lock it; one that is not writable, and one that was taken meanwhile, fail now."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder}: cannot be created ({reason(error)}); choose another --out") from None
    check_free(folder, lines)
    with locked(folder):
        check_free(folder, lines)  # again: another run may have taken it in the meantime
        yield


def begin(folder: Path, experiment: Experiment, base: Path, start: Path | None) -> None:
    """Write the spec, its base and the weights to start from into a locked folder, over what a run left that failed."""
    sweep(folder)
    sweep(folder / CHECKPOINTS)
    for name in (LAST, DISTRIBUTIONS):
        (folder / name).unlink(missing_ok=True)
    write_json(folder / SPEC, json.loads(filed(experiment)))
    write_json(folder / FACTS, origin(folder, base))
    if start is None:
        (folder / START).unlink(missing_ok=True)
    elif start != folder / START:
        write_bytes(folder / START, read_bytes(start))


def release(folder: Path, experiment: Experiment) -> None:
    """Remove what a run wrote that failed before it had results to keep, the spec last."""
    with contextlib.suppress(OSError):
        for place in (folder, folder / CHECKPOINTS):
            sweep(place)
        if (folder / CHECKPOINTS).is_dir():
            (folder / CHECKPOINTS).rmdir()
        for name in (*lines_of(experiment), DISTRIBUTIONS, START, FACTS, LOCK, SPEC):
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()


def next_folder(runs: Path, name: str) -> Path:
    """``runs/<name>-<n>`` with the next free number, claimed by creating the empty folder."""
    n = 1
    while True:
        folder = runs / f"{name}-{n}"
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            n += 1
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{folder}: cannot be created ({reason(error)}); choose another --out") from None


def check_facts(saved: Saved, facts: dict[str, Any], folder: Path) -> None:
    """Refuse to resume with other data or a changed spec; warn if another machine may change the last bits.

    Raises   CheckpointError
    """
    if saved.facts.get("data") != facts["data"]:
        raise CheckpointError(f"{folder}: the data has changed since the run began")
    if saved.facts.get("document", facts["document"]) != facts["document"]:
        raise CheckpointError(f"{folder.parent / SPEC}: has changed since the run began")
    same = json.loads(json.dumps(facts))
    differ = [name for name in ("versions", "platform", "threads", "blas") if saved.facts.get(name) != same[name]]
    if differ:
        log.warning("%s: resuming with other %s than before; the last bits may differ", folder, ", ".join(differ))
