"""The command in a process, or in this one: what the tests of the command line share."""

import contextlib
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from funcnet.cli import main
from tests.cli.forks import FORKS, forked

ROOT = Path(__file__).resolve().parents[2]

SMALL = """{
  "version": 1, "seed": 3,
  "data": {"type": "iris", "split": {"validation": 0.2, "test": 0.2, "stratify": true}, "scale": "standard"},
  "model": {"type": "serial", "layers": [
    {"type": "dense", "units": 8}, "relu", {"type": "dense", "units": 3, "name": "head"}]},
  "loss": "softmax_cross_entropy",
  "metrics": ["accuracy"],
  "optimizer": {"type": "sgd", "learning_rate": 0.1},
  "training": {"epochs": 3}
}
"""


SHOWN = {"COLUMNS": "80", "LANGUAGE": "en"}
"""How wide and in which language the commands print, whatever a developer's shell says"""


class Result(NamedTuple):
    """What a process left: its exit status, and both streams as text."""

    status: int
    out: str
    err: str


def environment(**changes: str) -> dict[str, str]:
    """The environment of a process, without what a developer's shell may have set."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COLUMNS"))}
    return env | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"} | SHOWN | changes


def command(*args: str) -> list[str]:
    """``funcnet …`` under the Python that runs the tests."""
    return [sys.executable, "-m", "funcnet", *args]


def funcnet(cwd: Path, *args: str, encoding: str | None = None, **changes: str) -> Result:
    """Run the command to its end: in a process on a console of an encoding or in a changed environment, else here.

    Here takes a tenth of the time; ``.ci/readme.py`` runs the commands of the guide in processes.
    """
    if encoding is None and not changes:
        return called(cwd, *args)
    encoding = encoding or "utf-8"
    env = environment(PYTHONIOENCODING=encoding, **changes)
    begun = any(name.startswith("PYTHON") for name in changes)  # what an interpreter reads when it starts
    status, *streams = (started if begun or not FORKS else split_off)(cwd, args, env)
    return Result(status, *(text.decode(encoding).replace("\r\n", "\n") for text in streams))


def started(cwd: Path, args: tuple[str, ...], env: dict[str, str]) -> tuple[int, bytes, bytes]:
    """The exit status and both streams of the command in an interpreter of its own."""
    done = subprocess.run(
        command(*args), cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False
    )
    return done.returncode, done.stdout, done.stderr


def split_off(cwd: Path, args: tuple[str, ...], env: dict[str, str]) -> tuple[int, bytes, bytes]:
    """The same in a fork."""
    with tempfile.NamedTemporaryFile() as out, tempfile.NamedTemporaryFile() as err:
        status = forked(cwd, args, env, Path(out.name), Path(err.name))
        return status, out.read(), err.read()


def together(calls: Mapping[str, Callable[[], Result]]) -> dict[str, Result]:
    """The results of commands."""
    return {name: call() for name, call in calls.items()}


def called(cwd: Path, *args: str) -> Result:
    """Run the command in this process."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.chdir(cwd))
        stack.enter_context(mock.patch.dict(os.environ, SHOWN))
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        try:
            status = main(args)
        except SystemExit as end:
            status = int(end.code or 0)
    return Result(status, *(stream.buffer.getvalue().decode() for stream in (out, err)))
