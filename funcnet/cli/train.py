"""``funcnet train``"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import math
import sys
from pathlib import Path
from typing import Any, TextIO

from funcnet.cli.arguments import add_base, base_of, parse_count, spec_file
from funcnet.cli.console import Bar, Plain, has_rich, number, table
from funcnet.cli.folds import facts as folds_facts, report as folds_report, write as write_folds
from funcnet.cli.overrides import apply_setting
from funcnet.cli.shipped import ABOUT
from funcnet.data.preparation import left_out
from funcnet.errors import DataError, FuncnetError, Problem, SpecError
from funcnet.experiments.baseline import of_members, remarks
from funcnet.experiments.claim import ended, next_folder
from funcnet.experiments.cross_validation import check_folds, cross_validate
from funcnet.experiments.digests import finite_json
from funcnet.experiments.experiment import Experiment
from funcnet.experiments.folder import CHECKPOINTS, REPORT
from funcnet.experiments.origin import SPEC
from funcnet.experiments.result import Run
from funcnet.experiments.run import Terminated, profiled, run as run_experiment
from funcnet.experiments.stored import read_facts
from funcnet.networks.profile import Profile
from funcnet.spec.codec import from_json, load_document
from funcnet.training.callbacks import EarlyStopping
from funcnet.training.checkpoint import listed


def load_experiment(path: Path, settings: list[str]) -> Experiment:
    """The experiment in a file, with the changes of ``--set``.

    Raises   SpecError with every problem
    """
    if path.suffix.lower() in (".csv", ".tsv"):
        raise SpecError(
            [Problem("", f"is a table, not a spec; funcnet init {path} writes a spec for it")], root=str(path)
        )
    document = load_document(path)
    for setting in settings:
        apply_setting(document, setting)
    try:
        experiment = from_json(document)
    except SpecError as error:
        raise SpecError(error.found, root=f"{path}: $") from None
    if not isinstance(experiment, Experiment):
        raise SpecError(
            [Problem("", f"expected an experiment (data, model, loss, optimizer, training), got a {experiment.kind}")],
            root=f"{path}: $",
        )
    return experiment


def arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``funcnet train``."""
    parser.add_argument(
        "spec",
        nargs="?",
        help="the experiment: a JSON file, a shipped one's name, or a run folder to train again "
        "(default: list the shipped ones)",
    )
    parser.add_argument("--out", metavar="DIR", help="the run folder to make (default: runs/NAME-N, the next free N)")
    parser.add_argument(
        "--set",
        metavar="PATH=VALUE",
        action="append",
        default=[],
        help="change the spec first, such as optimizer.learning_rate=0.01 or model.layers[0].units=32",
    )
    parser.add_argument(
        "--progress",
        choices=("auto", "rich", "plain", "none"),
        default="auto",
        help="how to show progress (default: rich if it is installed and the output is a terminal)",
    )
    parser.add_argument(
        "--resume", action="store_true", help="continue from the newest checkpoint; start from scratch if there is none"
    )
    parser.add_argument(
        "--start", metavar="RUN", help="start from the weights of a finished run, or of a file of fn.save, at step 0"
    )
    parser.add_argument(
        "--folds",
        metavar="K",
        help="then cross-validate: K networks, each scored on the rows that it held out; folds.csv, out_of_fold.csv",
    )
    parser.add_argument("--profile", action="store_true", help="print the time of a step, layer by layer")
    parser.add_argument("--json", action="store_true", help="print the result, or the error, as JSON")
    add_base(parser)


def run(options: argparse.Namespace) -> int:
    """Train, show progress, and end with the scores and the run's folder; without a spec, list the shipped ones."""
    if options.spec is None:
        return print_shipped(options.json)
    path = spec_file(Path(options.spec))
    name = path.resolve().parent.name if path.name == SPEC else path.stem
    experiment = load_experiment(path, options.set)
    folds = None if options.folds is None else parse_count(options.folds, "--folds")
    if folds is not None:
        _check_folds(experiment, folds, path, options)
    quiet = options.json or options.progress == "none"
    progress = None if quiet else _progress(options.progress, experiment)
    logged = experiment.training.log_every and (options.json or not quiet)
    lines = _log_lines(sys.stderr if options.json else sys.stdout) if logged else []
    folder = folder_of(options, path, name)
    if options.resume and ended(folder):
        print(
            f"{folder}: has finished before, so nothing is trained; to train on from its weights, write\n"
            f"funcnet train {options.spec} --start {folder} --set training.epochs=N",
            file=sys.stderr,
        )
    try:
        result = run_experiment(
            experiment,
            folder,
            options.resume,
            base_of(path, options),
            start=options.start,
            callbacks=[] if progress is None else [progress],
            baseline=True,
        )
    except Terminated:
        found, does = ("a", "goes on") if listed(folder / CHECKPOINTS) else ("no", "starts again")
        print(
            f"funcnet: SIGTERM: {found} checkpoint is in {folder}; the same command with --resume {does}",
            file=sys.stderr,
        )
        return 143
    finally:
        if isinstance(progress, Bar):
            progress.close()
        for handler in lines:
            logging.getLogger("funcnet").removeHandler(handler)
        if not options.out:
            with contextlib.suppress(OSError):
                folder.rmdir()  # the reserved folder, if it is still empty
    whole = result.stopped != "interrupted"
    wanted = options.profile and whole
    if options.json:
        facts = {
            "run": str(folder),
            "step": result.train_state.step,
            "metrics": result.metrics,
            "stopped": result.stopped,
        }
        if result.temperature is not None:
            facts["temperature"] = result.temperature
        if result.baseline is not None:
            facts["baseline"] = result.baseline
        if wanted:
            facts["profile"] = profile_json(profiled(result, base_of(path, options)))
        if folds is not None and whole:
            folded = cross_validate(experiment, folds=folds, predictions=True, base=base_of(path, options))
            write_folds(folder, folded, result)
            _report_again(folder, path, options)
            facts["folds"] = folds_facts(folded)
        print(json.dumps(finite_json(facts)))
    else:
        report(result, folder)
        if wanted:
            report_profile(profiled(result, base_of(path, options)))
        if folds is not None and whole:
            _cross_validate(experiment, folds, path, options, folder, result)
    return 130 if result.stopped == "interrupted" else 0


def _check_folds(experiment: Experiment, folds: int, path: Path, options: argparse.Namespace) -> None:
    """Refuse folds that cannot be made, before anything is trained.

    Raises   DataError for fewer than two, more than the rows allow, and networks that start from trained weights
    """
    if folds < 2:
        raise DataError(f"--folds: expected 2 or more, got {folds}")
    if options.start:
        raise DataError("--folds: its networks start from scratch, and --start gives trained weights; leave one out")
    check_folds(experiment, folds, base_of(path, options))


def _cross_validate(
    experiment: Experiment, folds: int, path: Path, options: argparse.Namespace, folder: Path, result: Run
) -> None:
    """Cross-validate after the run, print the scores and write the files; a line for each fold shows progress."""
    print()
    lines = [] if options.progress == "none" else _log_lines(sys.stdout)
    try:
        found = cross_validate(experiment, folds=folds, predictions=True, base=base_of(path, options))
    finally:
        for handler in lines:
            logging.getLogger("funcnet").removeHandler(handler)
    if lines:
        print()
    folds_report(found)
    print()
    for file in write_folds(folder, found, result):
        print(f"folds   {file}")
    _report_again(folder, path, options)


def _report_again(folder: Path, path: Path, options: argparse.Namespace) -> None:
    """Write the page of the run again, with the scores of the folds; if that fails it stays as it was."""
    from funcnet.experiments.report.again import write as write_report

    with contextlib.suppress(FuncnetError, OSError):
        write_report([folder], None, base_of(path, options), options.allow_outside)


def print_shipped(as_json: bool) -> int:
    """Print the experiments that come with funcnet, a line each."""
    if as_json:
        print(json.dumps({"specs": ABOUT}))
        return 0
    width = max(map(len, ABOUT))
    for name, about in ABOUT.items():
        print(f"{name:{width}}  {about}")
    print("\nfuncnet train NAME trains one; a file of your own goes in the same place")
    return 0


def folder_of(options: argparse.Namespace, path: Path, name: str) -> Path:
    """The run folder: ``--out``, or the next free number; with ``--resume`` the given or the latest run."""
    if options.out:
        return Path(options.out)
    if options.resume and path.name == SPEC:
        return path.parent
    numbers = [int(one.name.removeprefix(f"{name}-")) for one in Path("runs").glob(f"{name}-*") if _numbered(one, name)]
    if options.resume and numbers:
        return Path("runs") / f"{name}-{max(numbers)}"
    return next_folder(Path("runs"), name)


def _numbered(folder: Path, name: str) -> bool:
    return folder.name.removeprefix(f"{name}-").isdigit()


def _progress(choice: str, experiment: Experiment) -> Plain | Bar | None:
    if choice == "rich" or (choice == "auto" and has_rich() and sys.stdout.isatty()):
        return Bar()
    return None if experiment.training.log_every else Plain()  # the log's own lines are progress enough


def _log_lines(stream: TextIO) -> list[logging.Handler]:
    """Handlers that write the lines of the log to a stream, and warnings to standard error."""
    figures: logging.Handler = logging.StreamHandler(stream)
    warnings: logging.Handler = logging.StreamHandler(sys.stderr)
    figures.addFilter(lambda record: record.levelno < logging.WARNING)
    warnings.setLevel(logging.WARNING)
    logger = logging.getLogger("funcnet")
    logger.setLevel(logging.INFO)
    for handler in (figures, warnings):
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
    return [figures, warnings]


def report(result: Run, folder: Path) -> None:
    """The table of results, and the files to look at."""
    print()
    if result.stopped:
        print(f"stopped at step {result.train_state.step}: {result.stopped}; {_kept(result)} are kept")
    found = result.table()
    table(found.columns, found.rows)
    said = left_out(read_facts(folder)["found"])
    said += of_members(result.experiment)
    said += remarks(result.baseline, result.experiment, result.metrics)
    if result.temperature is not None:
        said.append(f"probabilities have the temperature {number(result.temperature)}, fitted on the validation part")
    if said:
        print("", *said, sep="\n")
    print(f"\nrun     {folder}")
    for what, name in (("report", REPORT), ("curves", "curves.svg"), ("plane", "boundary.svg")):
        if (folder / name).is_file():
            print(f"{what:7} {folder / name}")


def _kept(result: Run) -> str:
    """Which params a run that was stopped has: the trained ones, or those of its best row, as its spec asks."""
    training = result.experiment.training
    for callback in (training.early_stopping, *training.callbacks):
        if isinstance(callback, EarlyStopping) and callback.restore_best:
            values = [row.get(callback.monitor) for row in result.history]
            if any(value is not None and not math.isnan(value) for value in values):
                return f"the params with the best {callback.monitor}"
    return "the trained params"


def profile_json(found: Profile) -> dict[str, Any]:
    """The profile with its figures in microseconds."""
    micro = 1e6
    layers = [
        {
            "path": share.path,
            "layer": share.layer,
            "forward": share.forward * micro,
            "backward": share.backward * micro,
            "update": share.update * micro,
        }
        for share in found.layers
    ]
    whole = {"loss": found.loss * micro, "rest": found.rest * micro, "step": found.seconds * micro}
    return {"batch": found.batch, "steps": found.steps, "unit": "us", "layers": layers, **whole}


def report_profile(found: Profile) -> None:
    """The table of where the time of a step went, in microseconds and percent."""

    def row(name: str, kind: str, whole: float, *parts: float) -> list[str]:
        texts = [f"{part * 1e6:.1f}" for part in parts] or [""] * 3
        return [name, kind, *texts, f"{whole * 1e6:.1f}", f"{100 * whole / found.seconds:.1f}"]

    rows = [
        row(share.path or "network", share.layer, share.seconds, share.forward, share.backward, share.update)
        for share in found.layers
    ]
    rows.append(row("loss", "", found.loss))
    rows.append(row("rest", "", found.rest))
    sums = [sum(getattr(share, part) for share in found.layers) for part in ("forward", "backward", "update")]
    rows.append(row("step", "", found.seconds, *sums))
    print()
    title = f"microseconds of a step, batch of {found.batch:,}, mean of {found.steps} steps"
    table(["layer", "type", "forward", "backward", "update", "total", "%"], rows, title, total=True)
