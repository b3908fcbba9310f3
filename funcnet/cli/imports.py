"""``--import MODULE``: layers, losses, optimizers and sources of one's own on the command line.

Only what is named on the command line is imported; no spec, run folder or weights file can name a module.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

GROUP = "funcnet"
"""The group of entry points: a package that declares ``[project.entry-points.funcnet] acme = "acme.layers"`` is
imported by ``--import acme``"""


def add_imports(parser: argparse.ArgumentParser) -> None:
    """The option ``--import``, which every command has."""
    parser.add_argument(
        "--import",
        dest="imports",
        metavar="MODULE",
        action="append",
        default=[],
        help="first import a module that registers classes of your own, from this folder or installed, "
        f"or a package's entry point of that name in the group {GROUP!r}",
    )


def import_all(names: Sequence[str]) -> None:
    """Import modules by name; those of the working folder are found too.

    Raises   FuncnetError for an invalid module name, a missing module, or a module that raises an error
    """
    if not names:
        return
    from importlib.metadata import entry_points

    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # last, so that a file here cannot replace a module of Python or funcnet
    declared = {point.name: point.value.partition(":")[0] for point in entry_points(group=GROUP)}
    for name in names:
        import_one(name, declared.get(name, name))


def import_one(name: str, module: str) -> None:
    """Import the module of a name that was given, and see that it is the one in the working folder, if one is there.

    Raises   FuncnetError
    """
    from funcnet.errors import FuncnetError

    option = f"--import {name}"
    if not re.fullmatch(r"\w+(\.\w+)*", module) or module.endswith(".py"):
        stem = re.sub(r"[/\\]", ".", name.removesuffix(".py")).strip(".")
        raise FuncnetError(f"{option}: expected the name of a module, such as {stem or 'my_layers'}")
    try:
        found = importlib.import_module(module)
    except Exception as error:  # whatever the user's module does
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing and f"{module}.".startswith(f"{missing}."):
            raise FuncnetError(
                f"{option}: no module {missing!r} in {os.getcwd()} or among the installed packages"
            ) from None
        raise FuncnetError(f"{option}: {type(error).__name__} at {place_of(error)}: {error}") from error
    here = Path(*module.split("."))
    origin = getattr(found, "__file__", None)
    for file in (here.with_suffix(".py"), here / "__init__.py"):
        if file.is_file() and not (origin and file.samefile(origin)):
            raise FuncnetError(f"{option}: {origin or 'a part of Python'} has the name of ./{file}; rename the file")


def place_of(error: BaseException) -> str:
    """The file and line of an error outside of Python's and funcnet's own files."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{Path(error.filename).name}:{error.lineno}"
    own = (str(Path(importlib.__file__).parent), str(Path(__file__).parents[1]), "<")
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(own)]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "an unknown line"
