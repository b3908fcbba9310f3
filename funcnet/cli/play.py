"""``funcnet play``"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import threading
import webbrowser
from collections.abc import Iterator
from pathlib import Path

from funcnet.cli.arguments import add_base, base_of, spec_file
from funcnet.errors import DataError, FuncnetError, Problem, SpecError
from funcnet.experiments.experiment import Experiment
from funcnet.files import read_bytes, write_bytes
from funcnet.play.page import FRAMES, in_browser, recorded
from funcnet.play.server import Server
from funcnet.play.session import Session
from funcnet.play.settings import MOST_TABLE, first, of_file
from funcnet.spec.codec import load_spec, to_json
from funcnet.views.page import check_page

TABLES = (".csv", ".tsv", ".txt")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``funcnet play``."""
    parser.add_argument(
        "spec",
        nargs="?",
        help="an experiment in JSON, a shipped one's name, a run folder, or a table with up to 16 columns of numbers "
        "and the target (default: two moons)",
    )
    parser.add_argument("--port", type=int, default=0, help="the port on this machine (default: a free one)")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    parser.add_argument("--out", metavar="FILE", help="write one recorded page, which needs no server, and end")
    parser.add_argument(
        "--frames", type=int, metavar="N", help=f"with --out: the most steps it has (default: {FRAMES})"
    )
    parser.add_argument(
        "--pyodide",
        action="store_true",
        help="with --out: a page that runs the library itself, on Python and NumPy loaded from Pyodide's address",
    )
    add_base(parser)


def run(options: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C, or write it."""
    if options.out is None:
        for name in ("frames", "pyodide"):
            if getattr(options, name):
                raise FuncnetError(f"--{name}: goes with --out FILE, the page to write")
    else:
        check_page(Path(options.out))
    experiment, base, name = chosen(options)
    if options.pyodide:
        return _write(Path(options.out), _for_pyodide(experiment, base, name))
    session = Session(experiment, base, name)
    if options.out is not None:
        frames = FRAMES if options.frames is None else options.frames
        if frames < 2:
            raise FuncnetError(f"--frames: expected 2 or more, got {frames}")
        return _write(Path(options.out), recorded(session, frames))
    return serve(session, options.port, not options.no_browser)


def chosen(options: argparse.Namespace) -> tuple[Experiment, Path, str]:
    """The experiment that the arguments name, the folder of its data, and its name."""
    if options.spec is None:
        return first(), Path(), ""
    given = Path(options.spec)
    if given.suffix.lower() in TABLES:
        return of_file(given), given.parent, given.name
    file = spec_file(given)
    spec = load_spec(file)
    if not isinstance(spec, Experiment):
        raise SpecError([Problem("", f"expected an experiment, got a {spec.kind}")], root=str(file))
    return spec, base_of(file, options), file.parent.name if given.is_dir() else file.stem


def serve(session: Session, port: int, browser: bool) -> int:
    """Answer until Ctrl-C, or until the terminal is closed."""
    with Server(session, port) as server, _ended_by_signals():
        print(server.address)
        print("Only this machine can open the page, and only at this address. Ctrl-C ends it.")
        sys.stdout.flush()
        if browser and _has_display():
            webbrowser.open(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
        finally:
            session.close()
    return 0


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Inside the block, other signals that end a program do it as Ctrl-C does, so that no table of a reader is left."""
    names = ("SIGTERM", "SIGHUP") if threading.current_thread() is threading.main_thread() else ()
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    numbers = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]  # nohup ignores SIGHUP
    for number in numbers:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def _has_display() -> bool:
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _for_pyodide(experiment: Experiment, base: Path, name: str) -> bytes:
    """The page for Pyodide; a table goes along as text, other files do not."""
    if Path(name).suffix.lower() in TABLES:
        text = read_bytes(base / name).decode("utf-8-sig", "replace")
        if len(text) > MOST_TABLE:
            raise DataError(f"{name}: has {len(text)} characters, and a table of the page at most {MOST_TABLE}")
        return in_browser(None, text)
    if getattr(experiment.data, "path", None) is not None or experiment.training.initial is not None:
        raise FuncnetError("--pyodide: files that a spec names do not go into the page; give the table itself")
    Session(experiment, base)  # or the error that it would show
    return in_browser(to_json(experiment), None)


def _write(out: Path, page: bytes) -> int:
    write_bytes(out, page)
    print(f"written to {out}, {len(page):,} bytes")
    return 0
