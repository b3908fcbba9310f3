"""Commands in forks of one interpreter that has imported what they need, because its start takes longer than they do.

This file is also the program of that interpreter. It answers each request with the exit status of a command.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib.util
import json
import os
import runpy
import select
import signal
import subprocess
import sys
from pathlib import Path

FORKS = hasattr(os, "fork")
LONG = 120.0
"""Seconds after which a command takes too long"""
BESIDE = ("console", "live", "markdown", "progress", "table")
"""Modules of ``rich`` that the commands import on use"""


def forked(cwd: Path, args: tuple[str, ...], env: dict[str, str], out: Path, err: Path) -> int:
    """The exit status of ``python -m funcnet …`` in a folder, whose streams go to files that are there."""
    process = _interpreter(env["PYTHONPATH"])
    assert process.stdin is not None
    assert process.stdout is not None
    request = {"cwd": str(cwd), "args": args, "env": env, "out": str(out), "err": str(err)}
    process.stdin.write(json.dumps(request) + "\n")
    process.stdin.flush()
    if not select.select([process.stdout], [], [], LONG)[0]:
        os.killpg(process.pid, signal.SIGKILL)  # the command too; its late answer would be taken for that of the next
        _interpreter.cache_clear()
        raise TimeoutError(f"funcnet {' '.join(args)} takes too long")
    return int(process.stdout.readline())


@functools.cache
def _interpreter(path: str) -> subprocess.Popen[str]:
    """The interpreter with a ``PYTHONPATH``, started at the first command."""
    from tests.cli import environment

    process = subprocess.Popen(
        [sys.executable, __file__],
        cwd=path,
        env=environment(),
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    atexit.register(process.communicate)
    return process


def serve() -> bool:
    """Answer requests; True in the process of a command, False in this one when there are no more."""
    from funcnet.cli import COMMANDS
    from funcnet.spec.kinds import KINDS, load

    for command in COMMANDS:
        importlib.import_module(f"funcnet.cli.{command}")
    for kind in KINDS:
        load(kind, None)
    for name in BESIDE if importlib.util.find_spec("rich") else ():
        importlib.import_module(f"rich.{name}")
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if not child:
            become(**request)
            return True
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    return False


def become(cwd: str, args: list[str], env: dict[str, str], out: str, err: str) -> None:
    """Make this process that of a command: its folder, its arguments, its environment and its streams."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv[1:] = args
    sys.path[0] = cwd
    for number, (path, flags) in enumerate(((os.devnull, os.O_RDONLY), (out, os.O_WRONLY), (err, os.O_WRONLY))):
        opened = os.open(path, flags)
        os.dup2(opened, number)
        os.close(opened)
    encoding = env.get("PYTHONIOENCODING", "utf-8")
    sys.stdin = sys.__stdin__ = open(0, encoding=encoding, closefd=False)  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w", encoding=encoding, closefd=False)  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(2, "w", 1, encoding=encoding, errors="backslashreplace", closefd=False)  # noqa: SIM115


if __name__ == "__main__" and serve():
    runpy.run_module("funcnet", run_name="__main__", alter_sys=True)
