"""The ``funcnet`` command."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Callable, Sequence

import funcnet


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is 0 only when it worked.

    A user's mistake is one message on standard error, without a traceback.
    """
    for stream in (sys.stdout, sys.stderr):  # a narrow console must not turn a symbol into a crash
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    whole = parser()
    options = whole.parse_args(argv)
    if options.command is None:
        whole.print_help()
        return 0
    from funcnet.errors import FuncnetError

    try:
        if getattr(options, "allow_outside", False):
            from funcnet.data.paths import outside

            with outside():
                return int(options.run(options))
        return int(options.run(options))
    except FuncnetError as error:
        if getattr(options, "json", False):
            print(json.dumps({"error": type(error).__name__, "message": str(error)}), file=sys.stderr)
        else:
            print(f"funcnet: {error}", file=sys.stderr)
        return 1
    except MemoryError as error:
        print(f"funcnet: not enough memory: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("funcnet: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, such as head, has seen enough
        sys.stderr.close()
        return 1


def parser() -> argparse.ArgumentParser:
    """The command's arguments; nothing heavier than argparse is imported for its help."""
    whole = argparse.ArgumentParser(prog="funcnet", description="Train and look at neural networks described in JSON.")
    whole.add_argument("--version", action="version", version=f"funcnet {funcnet.__version__}")
    commands = whole.add_subparsers(dest="command", metavar="COMMAND")

    init = commands.add_parser("init", help="write a spec to begin with: for a CSV file, or a copy of a shipped one")
    init.add_argument("file", metavar="FILE", help="a table in text, or the name of a shipped experiment to copy here")
    init.add_argument("--target", metavar="NAME", help="the column to predict, by name or number (default: the last)")
    init.add_argument(
        "--task", choices=("labels", "values"), help="what the target is (default: by its values, which is printed)"
    )
    init.add_argument("--out", metavar="SPEC", help="the spec to write (default: FILE with .json at its end)")
    init.add_argument("--force", action="store_true", help="write over a spec that is there already")
    init.add_argument("--json", action="store_true", help="print what was found, or the error, as JSON")
    init.set_defaults(run=command("init", "init"))

    train = commands.add_parser("train", help="train an experiment and leave a run folder")
    train.add_argument(
        "spec",
        nargs="?",
        help="the experiment: a JSON file, a shipped one's name, or a run folder to train again "
        "(default: list the shipped ones)",
    )
    train.add_argument("--out", metavar="DIR", help="the run folder to make (default: runs/NAME-N, the next free N)")
    train.add_argument(
        "--set",
        metavar="PATH=VALUE",
        action="append",
        default=[],
        help="change the spec first, such as optimizer.learning_rate=0.01 or model.layers[0].units=32",
    )
    train.add_argument(
        "--progress",
        choices=("auto", "rich", "plain", "none"),
        default="auto",
        help="how to show progress (default: rich where it is installed and the output is a terminal)",
    )
    train.add_argument("--resume", action="store_true", help="go on where a run stopped; begin where there is none")
    train.add_argument("--profile", action="store_true", help="print where the time of a step went, layer by layer")
    train.add_argument("--json", action="store_true", help="print the result, or the error, as JSON")
    train.set_defaults(run=command("train", "train"))

    check = commands.add_parser("check", help="validate an experiment down to shapes, the first batch and the laws")
    check.add_argument("spec", help="the experiment: a JSON file, a shipped one's name, or a run folder")
    check.add_argument("--set", metavar="PATH=VALUE", action="append", default=[], help="change the spec first")
    check.add_argument("--json", action="store_true", help="print what was found, or the error, as JSON")
    check.set_defaults(run=command("check", "check"))

    evaluate = commands.add_parser("evaluate", help="print a run's metrics, its confusion matrix and each class")
    evaluate.add_argument("spec", metavar="RUN", help="the folder of a run")
    evaluate.add_argument("--data", metavar="FILE", help="another file in the form of the training data")
    evaluate.add_argument("--part", choices=("train", "validation", "test"), help="one part alone (default: all)")
    evaluate.add_argument("--json", action="store_true", help="print the figures as JSON")
    evaluate.set_defaults(run=command("evaluate", "print_scores"))

    predict = commands.add_parser("predict", help="answer the raw rows of a file by what a run has learnt")
    predict.add_argument("spec", metavar="RUN", help="the folder of a run")
    predict.add_argument("input", metavar="FILE", help="rows in the form of the training data, targets not needed")
    predict.add_argument("-o", "--out", metavar="OUT", help="write the answers instead of printing them")
    predict.add_argument("--json", action="store_true", help="answer in JSON lines instead of CSV")
    predict.add_argument("--check-range", action="store_true", help="count rows outside what training saw")
    predict.set_defaults(run=command("predict", "print_predictions"))

    verify = commands.add_parser("verify", help="train a run's spec again and compare weights and scores")
    verify.add_argument("spec", metavar="RUN", help="the folder of a run")
    verify.add_argument("--json", action="store_true", help="print the comparison as JSON")
    verify.set_defaults(run=command("verify", "verify"))

    show = commands.add_parser("show", help="print a model's layers, shapes, parameters and multiply-adds")
    show.add_argument("spec", help="an experiment or model in JSON, a shipped one's name, or a run folder")
    show.add_argument("--input", metavar="SHAPE", help="the shape of one input, such as 28,28,1")
    show.add_argument("--cost", action="store_true", help="print FLOPs, bytes moved and memory of a batch instead")
    show.add_argument("--batch", metavar="N", help="the rows of that batch (default: the experiment's, or 32)")
    show.add_argument("--diagram", metavar="FILE", help="write a picture too: .svg, or .mmd for Mermaid")
    show.add_argument("--json", action="store_true", help="print the table as JSON")
    show.set_defaults(run=command("show", "show"))

    source = commands.add_parser("source", help="print a network as one NumPy file: forward, backward, update")
    source.add_argument("spec", help="an experiment or model in JSON, a shipped one's name, or a run folder")
    source.add_argument("--input", metavar="SHAPE", help="the shape of one input, such as 28,28,1")
    source.add_argument("--batch", metavar="N", help="the rows of a batch (default: the experiment's)")
    source.add_argument("--planned", action="store_true", help="the program that really runs, with its memory")
    source.add_argument(
        "--inference",
        action="store_true",
        help="write a run as a program that answers raw rows, and its weights beside it (default: RUN/inference.py)",
    )
    source.add_argument("--out", metavar="FILE", help="write the file instead of printing it")
    source.set_defaults(run=command("source", "print_source"))

    diff = commands.add_parser("diff", help="compare two specs, field by field, and what becomes of the params")
    diff.add_argument("first", metavar="A", help="an experiment or model, a shipped one's name, or a run folder")
    diff.add_argument("second", metavar="B", help="another")
    diff.add_argument("--input", metavar="SHAPE", help="the shape of one input, such as 28,28,1 (default: the data's)")
    diff.add_argument("--exit-code", action="store_true", help="exit with 1 if they differ")
    diff.add_argument("--json", action="store_true", help="print the difference as JSON")
    diff.set_defaults(run=command("diff", "print_difference"))

    generate = commands.add_parser("generate", help="continue a text by what a run has learnt")
    generate.add_argument("spec", metavar="RUN", help="the folder of a run trained on text")
    generate.add_argument("--prompt", default="\n", help="what the text begins with (default: a new line)")
    generate.add_argument("--length", type=int, default=400, metavar="N", help="the characters to add (default: 400)")
    generate.add_argument("--temperature", type=float, default=0.8, metavar="T", help="0: the likeliest (default: 0.8)")
    generate.add_argument("--top-k", type=int, metavar="K", help="draw from the K likeliest characters alone")
    generate.add_argument("--seed", type=int, default=0, help="the seed of the draws (default: 0)")
    generate.add_argument("--json", action="store_true", help="print the text as JSON")
    generate.set_defaults(run=command("generate", "print_text"))

    listing = commands.add_parser("list", help="list the specs at hand, and every tag by kind with its fields")
    listing.add_argument("kind", nargs="?", help="one kind alone, such as layer or optimizer")
    listing.add_argument("--json", action="store_true", help="print the list as JSON")
    listing.set_defaults(run=command("listing", "listing"))

    guide = commands.add_parser("guide", help="read about backpropagation, layers, losses, specs and errors")
    guide.add_argument("topic", nargs="?", help="a page, such as concept (default: the list of pages)")
    guide.add_argument("--lang", metavar="LANG", help="the page's language: en, or zh where it is translated")
    guide.add_argument("--json", action="store_true", help="print the page, or the list, as JSON")
    guide.set_defaults(run=command("guide", "print_guide"))

    schema = commands.add_parser("schema", help="print the JSON Schema of specs, for editors and validators")
    schema.add_argument("--out", metavar="FILE", help="write the schema instead of printing it")
    schema.set_defaults(run=command("schema", "print_schema"))
    for reads in (train, check, evaluate, verify, show, source, diff):
        reads.add_argument("--allow-outside", action="store_true", help="allow data files outside the spec's folder")
    return whole


def command(module: str, name: str) -> Callable[[argparse.Namespace], int]:
    """What runs a command; its module, and what that needs, is imported when it runs."""

    def run(options: argparse.Namespace) -> int:
        status: int = getattr(importlib.import_module(f"funcnet.cli.{module}"), name)(options)
        return status

    return run
