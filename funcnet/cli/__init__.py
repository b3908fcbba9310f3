"""The ``funcnet`` command. A command is one file here, with ``arguments(parser)`` and ``run(options)``, and one line in
``COMMANDS``."""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

from funcnet.cli.door import Door, broken_names, doors
from funcnet.cli.imports import add_imports, import_all
from funcnet.errors import one_line
from funcnet.version import __version__

COMMANDS = {
    "init": "write a first spec for a CSV file, or copy a shipped one",
    "train": "train an experiment and write a run folder",
    "check": "validate an experiment down to shapes, the first batch and the laws",
    "evaluate": "print a run's metrics, its confusion matrix and each class",
    "report": "write a run as a page to look at, or compare several",
    "explain": "print how much worse a run scores without each input",
    "predict": "predict for the rows of a file with a trained model",
    "verify": "train a run's spec again and compare weights and scores",
    "show": "print a model's layers, shapes, parameters and FLOPs",
    "source": "print a network as one NumPy file: forward, backward, update",
    "diff": "compare two specs, field by field, and what becomes of the params",
    "play": "watch each step of a training in a browser: values, gradients, program",
    "generate": "continue a text with a model trained on text",
    "list": "list the experiments, and every tag by kind with its fields",
    "guide": "read about backpropagation, layers, losses, specs and errors",
    "schema": "print the JSON Schema of specs, for editors and validators",
}


MEANT = {
    "fit": "train",
    "run": "train",
    "test": "evaluate",
    "score": "evaluate",
    "infer": "predict",
    "new": "init",
    "val": "validation",
    "dev": "validation",
    "regression": "values",
    "classification": "labels",
}
"""Commands and choices of other tools, and those of the same things here"""

SETTINGS = {
    "epochs": "training.epochs",
    "steps": "training.steps",
    "batch_size": "training.batch_size",
    "lr": "optimizer.learning_rate",
    "learning_rate": "optimizer.learning_rate",
    "seed": "seed",
    "optimizer": "optimizer",
    "loss": "loss",
    "dtype": "dtype",
}
"""Options of other tools, and the fields of a spec for the same things"""


class Parser(argparse.ArgumentParser):
    """A parser that says of an unknown command or option what the right one is."""

    def error(self, message: str) -> NoReturn:
        super().error(one_line(message) + self.hint(message))

    def hint(self, message: str) -> str:
        """The known word that an unknown one in a message means."""
        from funcnet.hints import did_you_mean

        choice = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
        if choice:
            known = re.findall(r"[\w.-]+", choice[2])
            return did_you_mean(MEANT.get(choice[1], choice[1]), known)
        option = re.search(r"unrecognized arguments: --([\w-]+)", message)
        field = SETTINGS.get(option[1].replace("-", "_")) if option else None
        if field:
            return f"; fields of the spec are set by --set {field}=VALUE"
        return did_you_mean(option[1], self.known) if option else ""

    known: tuple[str, ...] = ()
    """The options of the command that was named"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is 0 only when it worked.

    A user's mistake is one message on standard error, without a traceback.
    """
    for stream in (sys.stdout, sys.stderr):  # a narrow console must not turn a symbol into a crash
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    with doors() as opened:
        out, _ = opened
        status, ended = 0, None
        try:
            status = _run(argv, opened)
        except SystemExit as error:  # from the parser, which has printed why, or its help
            ended = error
        except KeyboardInterrupt:  # at any moment, also while the command is imported
            print("funcnet: interrupted", file=sys.stderr)
            status = 130
        out.flush()
        if out.error is not None:
            if not isinstance(out.error, BrokenPipeError):  # the reader of a pipe, such as head, has seen enough
                print(f"funcnet: the output cannot be written: {out.error.strerror}", file=sys.stderr)
            if named(argv) != "train" or ended:  # whose result is the run folder
                return status or 1
        if ended is not None:
            raise ended
        return status


def _run(argv: Sequence[str] | None, opened: Sequence[Door]) -> int:
    """Parse the arguments and run the command."""
    argv = sys.argv[1:] if argv is None else argv
    command = named(argv)
    whole = parser(command if command in COMMANDS else None)
    options = whole.parse_args(argv)
    if options.command is None:
        whole.print_help()
        return 0
    from funcnet.errors import FuncnetError

    for door in opened:
        door.names = broken_names(value for name, value in vars(options).items() if name != "prompt")
    try:
        import_all(options.imports)
        return int(importlib.import_module(f"funcnet.cli.{options.command}").run(options))
    except FuncnetError as error:
        if getattr(options, "json", False):
            print(json.dumps({"error": type(error).__name__, "message": str(error)}), file=sys.stderr)
        else:
            print(f"funcnet: {error}", file=sys.stderr)
        return 1
    except MemoryError as error:
        print(f"funcnet: not enough memory: {error}", file=sys.stderr)
        return 1


def named(argv: Sequence[str] | None) -> str | None:
    """The command that some arguments name."""
    return next((word for word in (sys.argv[1:] if argv is None else argv) if not word.startswith("-")), None)


@functools.cache
def parser(command: str | None) -> Parser:
    """The parser for the arguments of a command, or of none; only its module is imported."""
    whole = Parser(prog="funcnet", description="Train and look at neural networks described in JSON.")
    whole.add_argument("--version", action="version", version=f"funcnet {__version__}")
    commands = whole.add_subparsers(dest="command", metavar="COMMAND")
    for name, what in COMMANDS.items():
        own = commands.add_parser(name, help=what)
        if name == command:
            importlib.import_module(f"funcnet.cli.{name}").arguments(own)
            add_imports(own)
            whole.known = tuple(re.findall(r"--([\w-]+)", own.format_usage()))
    return whole
