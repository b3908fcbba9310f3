"""Checkpoints: files from which a run resumes and ends, bit for bit, as if it had never stopped.

A file is an ``.npz`` archive of the arrays of a ``Snapshot``, the history among them, and one member, ``meta``, with
everything else as JSON in UTF-8. Its name is the step and the SHA-256 of its bytes, so that altered, truncated or
renamed files are detected before reading. A file may be forged, digest and all, so its content is checked too.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from funcnet.errors import CheckpointError, FuncnetError
from funcnet.files import make_folder, npz_bytes, open_file, read_npz, reason, text_of, write_bytes
from funcnet.key import Key
from funcnet.spec.codec import MAX_BRACKETS, parse_json
from funcnet.spec.monitors import is_better
from funcnet.training.callbacks import Checkpoint, Event, Snapshot, is_count
from funcnet.training.history import Columns, unpacked
from funcnet.training.state import TrainState

log = logging.getLogger("funcnet")
NAME = re.compile(r"(\d{10,})-([0-9a-f]{64})\.npz")
LOCK = ".lock"
FORMAT = 2
"""The form of ``meta``; in the first it was a text with the history in it"""
TEMPORARY = re.compile(r"\..+\.[0-9a-f]{12}\.tmp")


class Saved(NamedTuple):
    """The content of a checkpoint file: the Snapshot, and facts about the run that wrote it."""

    snapshot: Snapshot
    facts: dict[str, Any]


# ----- plain values and arrays ---------------------------------------------------------------------------------


def pack(value: Any, arrays: dict[str, Any], path: str) -> Any:
    """A value as JSON, with its arrays stored separately in ``arrays`` under their paths.

    Raises   CheckpointError for a value that is neither an array nor JSON
    """
    if isinstance(value, np.ndarray):
        arrays[path] = value
        return {"array": path}
    if isinstance(value, dict):
        if not all(isinstance(name, str) for name in value):
            raise CheckpointError(f"{path}: expected names as keys, got {list(value)[:3]}")
        return {"dict": {name: pack(inner, arrays, f"{path}/{name}") for name, inner in value.items()}}
    if isinstance(value, list | tuple):
        items = [pack(inner, arrays, f"{path}/{i}") for i, inner in enumerate(value)]
        return {"tuple": items} if isinstance(value, tuple) else {"list": items}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise CheckpointError(
        f"{path}: expected a value that a checkpoint can hold (dict, list, number, text or array), got a "
        f"{type(value).__name__}"
    )


def unpack(node: Any, arrays: dict[str, Any], depth: int = 0) -> Any:
    """The value that ``pack`` was given.

    Raises   ValueError, TypeError, KeyError, AttributeError for a node that it would not have made
    """
    if not isinstance(node, dict):
        return node
    if depth > MAX_BRACKETS:
        raise ValueError(f"values are nested too deep; the limit is {MAX_BRACKETS}")
    ((kind, inner),) = node.items()
    if kind == "array":
        return arrays[inner]
    if kind == "dict":
        return {name: unpack(item, arrays, depth + 1) for name, item in inner.items()}
    if kind == "float":
        return float(inner)
    if kind not in ("list", "tuple") or not isinstance(inner, list):
        raise ValueError(f"unknown kind of value {kind!r}")
    items = [unpack(item, arrays, depth + 1) for item in inner]
    return tuple(items) if kind == "tuple" else items


def content(saved: Saved, columns: Columns | None = None) -> bytes:
    """The bytes of a checkpoint; ``columns`` may know the beginning of the history already."""
    snapshot, arrays = saved.snapshot, {}  # type: Snapshot, dict[str, Any]
    ts = snapshot.train_state
    whole = {
        "params": ts.params,
        "state": ts.state,
        "opt_state": ts.opt_state,
        "key": ts.key.digest.hex(),
        "step": ts.step,
        "history": (columns or Columns()).packed(snapshot.history),
        "callbacks": snapshot.callbacks,
        "recent": snapshot.recent,
        "seconds": snapshot.seconds,
        "facts": saved.facts,
    }
    meta = json.dumps({"format": FORMAT} | {name: pack(value, arrays, name) for name, value in whole.items()})
    return npz_bytes({"meta": np.frombuffer(meta.encode(), np.uint8), **arrays})


def read(path: Path) -> Saved:
    """The checkpoint in a file.

    Raises   CheckpointError for a file that is missing, altered or truncated, or not as ``write`` makes it
    """
    named = NAME.fullmatch(path.name)
    if named is None:
        raise CheckpointError(f"{path}: is not a checkpoint; expected a name made of the step and a SHA-256")
    try:
        with open_file(path) as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {reason(error)}") from None
    if found != named[2]:
        raise CheckpointError(f"{path}: was altered or cut short since it was written")
    try:
        saved = _decoded(read_npz(path))
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError, RecursionError, FuncnetError) as error:
        raise CheckpointError(f"{path}: is not a checkpoint of this funcnet ({error})") from None
    step = saved.snapshot.train_state.step
    if int(named[1]) != step:
        raise CheckpointError(f"{path}: is named for step {int(named[1])}, but holds step {step}")
    return saved


def _decoded(arrays: dict[str, Any]) -> Saved:
    """The checkpoint of some arrays; an error of any kind for those that ``content`` would not have made."""
    meta = arrays.pop("meta")
    if meta.dtype.kind == "U":
        nodes = json.loads(text_of(meta))
        form = 1
    else:
        nodes = parse_json(meta.tobytes().decode(), None)
        form = nodes.pop("format")
    if form not in (1, FORMAT):
        raise ValueError(f"its format is {form!r}, and this funcnet reads up to {FORMAT}")
    whole = {name: unpack(node, arrays) for name, node in nodes.items()}
    if form == FORMAT:
        whole["history"] = unpacked(**whole["history"])
    for name, right in FORMS.items():
        if not right(whole[name]):
            raise ValueError(f"{name} is not as a run writes it")
    ts = TrainState(
        whole["params"], whole["state"], whole["opt_state"], Key(bytes.fromhex(whole["key"])), whole["step"]
    )
    return Saved(Snapshot(ts, whole["history"], whole["callbacks"], whole["recent"], whole["seconds"]), whole["facts"])


def is_tree(value: Any) -> bool:
    """Whether a value is a dict of arrays of numbers, which may nest."""
    if isinstance(value, dict):
        return all(map(is_tree, value.values()))
    return isinstance(value, np.ndarray) and value.dtype.kind in "fiubc"


def is_number(value: Any) -> bool:
    """Whether a value is a float, or an integer of at most 64 bits."""
    return isinstance(value, float) or (type(value) is int and -(2**63) <= value < 2**63)


def is_plain(value: Any) -> bool:
    """Whether a value is JSON, without arrays."""
    if isinstance(value, dict | list):
        return all(map(is_plain, value.values() if isinstance(value, dict) else value))
    return value is None or isinstance(value, bool | int | float | str)


def is_row(value: Any) -> bool:
    """Whether a value is a row of a history."""
    return isinstance(value, dict) and all(one is None or is_number(one) for one in value.values())


FORMS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("params", "state", "opt_state"), lambda value: isinstance(value, dict) and is_tree(value)),
    "key": lambda value: isinstance(value, str),
    "step": is_count,
    "history": lambda value: isinstance(value, list) and all(map(is_row, value)),
    "callbacks": lambda value: (
        isinstance(value, list)
        and all(isinstance(one, tuple) and len(one) == 2 and isinstance(one[0], str) for one in value)
    ),
    "recent": lambda value: isinstance(value, tuple) and len(value) == 2 and all(map(is_number, value)),
    "seconds": lambda value: is_number(value) and value >= 0,
    "facts": lambda value: (
        isinstance(value, dict) and is_plain(value) and (value.get("value") is None or is_number(value["value"]))
    ),
}
"""What each part of a checkpoint must be"""


# ----- a folder of them ------------------------------------------------------------------------------------------


def write(folder: Path, saved: Saved, columns: Columns | None = None) -> Path:
    """Write a checkpoint, whole or not at all.

    Raises   CheckpointError for a folder that cannot be made or written
    """
    written = content(saved, columns)
    path = folder / f"{saved.snapshot.train_state.step:010d}-{hashlib.sha256(written).hexdigest()}.npz"
    make_folder(folder)
    write_bytes(path, written)
    return path


def names_in(folder: Path) -> list[str]:
    """The names in a folder; none if it is not there.

    Raises   CheckpointError for a folder that cannot be read
    """
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be read ({reason(error)}); give yourself the right to") from None


def listed(folder: Path) -> list[Path]:
    """The checkpoints of a folder, the newest first."""
    return [folder / name for name in sorted(names_in(folder), reverse=True) if NAME.fullmatch(name)]


def newest(folder: Path) -> Saved | None:
    """The newest valid checkpoint; damaged ones are logged and left in place."""
    for path in listed(folder):
        try:
            return read(path)
        except CheckpointError as error:
            log.warning("%s; trying the checkpoint before it", error)
    return None


def sweep(folder: Path) -> None:
    """Remove the half-written files of a killed process."""
    for name in names_in(folder):
        if TEMPORARY.fullmatch(name):
            with contextlib.suppress(OSError):
                (folder / name).unlink()


class Saver:
    """The callback that writes the checkpoints of a run, the last of all callbacks, and prunes old ones."""

    def __init__(self, folder: Path, policy: Checkpoint | None, facts: dict[str, Any]) -> None:
        self.folder, self.policy, self.facts = folder, policy, facts
        self.terminate = False
        """Whether to write a checkpoint after this step, and stop"""
        self.running: bool | None = None
        """None before training, True during it, False after"""
        self.columns = Columns()
        """The history so far, of which a checkpoint adds only the new rows"""
        self.values: dict[Path, float | None] = {}
        """The monitored value of each checkpoint that was written or read"""
        self.damaged: set[Path] = set()

    def init(self) -> None:
        """None: the checkpoints are in the folder."""
        return None

    def update(self, state: None, event: Event) -> tuple[None, bool]:
        """Write a checkpoint if it is due."""
        if self.terminate or self._due(event):
            assert event.snapshot is not None
            value = None if event.row is None or self.policy is None else event.row.get(self.policy.monitor)
            taken = event.snapshot()
            if value is not None and self.policy is not None and self.policy.keep_best:
                before = event.before if self.policy.monitor == "loss" else None
                taken = taken if before is None or self.terminate else before()
            path = write(self.folder, Saved(taken, {**self.facts, "value": value}), self.columns)
            self.values[path] = value
            self._prune()
        return None, self.terminate

    def _due(self, event: Event) -> bool:
        if self.policy is None:
            return False
        if self.policy.every_steps is not None:
            return event.step % self.policy.every_steps == 0
        assert self.policy.every_epochs is not None
        return event.epoch == int(event.epoch) and int(event.epoch) % self.policy.every_epochs == 0

    def _prune(self) -> None:
        """Remove all but the last and the best; damaged ones take no place of theirs and stay."""
        policy = self.policy or Checkpoint(every_steps=1)
        paths = [path for path in listed(self.folder) if self._is_whole(path)]
        kept = set(paths[: policy.keep_last])
        if policy.keep_best:
            kept.update(self._best(paths, policy))
        for path in paths:
            if path not in kept:
                with contextlib.suppress(OSError):
                    path.unlink()

    def _is_whole(self, path: Path) -> bool:
        if path not in self.values and path not in self.damaged:
            try:
                self.values[path] = read(path).facts.get("value")
            except CheckpointError:
                self.damaged.add(path)
        return path in self.values

    def _best(self, paths: list[Path], policy: Checkpoint) -> list[Path]:
        scored = [(value, path) for path in paths if (value := self.values[path]) is not None]
        best: list[Path] = []
        for value, path in scored:  # few of them
            ahead = sum(is_better(policy.monitor, policy.mode, other, value) for other, _ in scored)
            if ahead < policy.keep_best:
                best.append(path)
        return best[: policy.keep_best]


# ----- one process at a time -------------------------------------------------------------------------------------


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a folder for this process; the system releases the lock when the process ends, however it ends.

    Raises   CheckpointError if another process holds the lock
    """
    path = folder / LOCK
    try:
        file = _claimed(path)
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be locked ({reason(error)}); choose another --out") from None
    if file is None:
        raise CheckpointError(
            f"{folder}: another process is writing a run into it; wait for it, or choose another --out"
        )
    try:
        yield
    finally:
        with file, contextlib.suppress(OSError):
            path.unlink()


def _claimed(path: Path) -> IO[Any] | None:
    """The open lock file, or None if another process holds it."""
    while True:
        file = open(path, "a+b", opener=_not_by_a_link)  # noqa: SIM115 - held as long as the run
        try:
            _lock(file)
            if os.path.exists(path) and os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                return file
            file.close()  # the previous process removed it between opening and locking
        except BlockingIOError:
            file.close()
            return None
        except BaseException:
            file.close()
            raise


def _not_by_a_link(path: str, flags: int) -> int:
    """Open a file itself: a link might lead to another folder, a pipe nowhere."""
    own = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    return os.open(path, flags | own, 0o666)


def _lock(file: IO[Any]) -> None:
    if os.name == "posix":
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    else:
        import msvcrt

        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        except OSError:
            raise BlockingIOError from None
