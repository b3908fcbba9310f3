"""What reaches a terminal, a pipe or a full disk: no control characters, one line for a failure, bounded messages."""

import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

import funcnet as fn
from funcnet.cli import main
from funcnet.cli.door import Door, doors
from funcnet.errors import bounded, visible
from funcnet.views.table import Table
from tests.cli import environment
from tests.cli.forks import forked

SPEC: dict[str, Any] = {
    "version": 1,
    "data": {"type": "iris"},
    "model": {"type": "serial", "layers": [{"type": "dense", "units": 3}]},
    "loss": "softmax_cross_entropy",
    "metrics": ["accuracy"],
    "optimizer": "adam",
    "training": {"epochs": 2},
}
FULL = "funcnet: the output cannot be written: No space left on device\n"
needs_full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a disk that is always full")


def full_disk(folder: Path, *argv: str, silent: bool = False) -> tuple[int, str]:
    """The exit status of a command whose output, and with ``silent`` its errors too, go to a full disk; its errors."""
    full = Path("/dev/full")
    with tempfile.NamedTemporaryFile() as err:
        status = forked(folder, argv, environment(), full, full if silent else Path(err.name))
        return status, err.read().decode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "iris.json").write_text(json.dumps(SPEC))
    return tmp_path


# ----- full disks and closed pipes ----------------------------------------------------------------------------------


@needs_full
@pytest.mark.parametrize("command", ["list", "schema", "guide", "--help", "check iris.json", "show iris.json --json"])
def test_a_full_disk_is_one_line(command: str, folder: Path) -> None:
    assert full_disk(folder, *command.split()) == (1, FULL)


@needs_full
def test_a_full_disk_is_one_line_of_a_process(folder: Path) -> None:
    """The forks of the other tests write into streams that they open themselves; those of a process are Python's."""
    for call in (["list"], ["train", "iris.json", "--out", "run", "--json"]):
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [sys.executable, "-m", "funcnet", *call],
                cwd=folder, stdout=full, stderr=subprocess.PIPE, text=True, env=environment(), check=False, timeout=120,
            )  # fmt: skip
        assert (done.returncode, done.stderr) == (int(call == ["list"]), FULL)
    assert fn.load_run(folder / "run").params is not None


@needs_full
@pytest.mark.parametrize("options", [[], ["--progress", "rich"], ["--set", "training.log_every=1"], ["--json"]])
def test_a_training_ends_with_its_files_on_a_full_disk(options: list[str], folder: Path) -> None:
    if "rich" in options:
        pytest.importorskip("rich", reason="the bar needs it")
    status, said = full_disk(folder, "train", "iris.json", "--out", "run", *options)
    silent, _ = full_disk(folder, "train", "iris.json", "--out", "silent", *options, silent=True)
    assert status == silent == 0
    assert said in (FULL, "")
    assert fn.load_run(folder / "run").params is not None
    assert (folder / "run" / "weights.npz").read_bytes() == (folder / "silent" / "weights.npz").read_bytes()


@needs_full
def test_progress_in_python_survives_a_full_disk(folder: Path) -> None:
    program = (
        "import funcnet as fn, sys; import numpy as np; x = np.ones((8, 2)); "
        "f = fn.fit(fn.serial(fn.Dense(1)), (x, x[:, :1]), loss=fn.losses.MeanSquaredError(), "
        "optimizer=fn.optim.SGD(0.1), epochs=3, key=fn.Key(0), progress=True); "
        "print(f.train_state.step, file=sys.stderr)"
    )
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", program],
            stdout=full, stderr=subprocess.PIPE, text=True, env=environment(), check=False, timeout=120,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "3\n")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no broken pipes of this kind")
@pytest.mark.parametrize("command", ["schema", "check iris.json"])
def test_a_closed_pipe_is_silent(command: str, folder: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    whole = [sys.executable, "-m", "funcnet", *command.split()]
    done = subprocess.run(
        whole, cwd=folder, stdout=writer, stderr=subprocess.PIPE, text=True, env=environment(), check=False, timeout=120
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.skipif(sys.platform == "win32", reason="a shell of POSIX closes them")
@pytest.mark.parametrize(("closed", "expected"), [(">&-", "0\n1\n"), ("2>&-", "1\n")])
def test_closed_streams_end_no_command(closed: str, expected: str, folder: Path) -> None:
    """Nor does an error go to standard output in place of a closed standard error."""
    calls = (f"{sys.executable} -m funcnet {command} {closed}; echo $?; " for command in ("list", "show nothing"))
    done = subprocess.run(
        ["sh", "-c", "".join(calls)],
        cwd=folder, capture_output=True, text=True, env=environment(), check=False, timeout=120,
    )  # fmt: skip
    assert done.stdout.endswith(expected)
    assert "Traceback" not in done.stderr
    assert "funcnet: " not in done.stdout


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_door_that_failed_takes_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    door = Door(Broken())
    assert [door.write("abc"), door.write("d")] == [3, 1]
    assert door.error is not None
    assert door.error.errno == 28
    before = sys.stdout
    with doors() as made:
        assert all(isinstance(one, Door) for one in made)
    assert sys.stdout is before


# ----- control characters -------------------------------------------------------------------------------------------

EVIL = "\x1b]0;owned\x07\x1b[31m\u202egnp\x9b2J"
SHOWN = r"\x1b]0;owned\x07\x1b[31m\u202egnp\x9b2J"


def test_ctrl_c_while_a_command_is_imported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("importlib.import_module", interrupted)
    assert main(["list"]) == 130
    assert capsys.readouterr().err == "funcnet: interrupted\n"


def test_visible() -> None:
    assert visible(EVIL) == SHOWN
    assert visible("a\tb\nc é 中文 👩\u200d🔬") == "a\tb\nc é 中文 👩\u200d🔬"
    assert visible("\r\x7f\u2028") == r"\r\x7f\u2028"
    assert visible("".join(map(chr, range(32)))).count("\n") == 1


def test_errors_and_tables_show_control_characters() -> None:
    assert str(fn.FuncnetError(f"bad {EVIL}")) == f"bad {SHOWN}"
    assert SHOWN in Table(["class"], [[EVIL]], EVIL).visible().text()


def safe(text: str) -> bool:
    return visible(text) == text


def test_names_with_control_characters_are_escaped_on_the_console(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The names of a column, of classes and of files, in everything that the commands print."""
    monkeypatch.chdir(tmp_path)
    evil, name = EVIL.replace("\x07", ""), "a\x1b[2J"
    rows = "".join(f"{i / 7},{(i * i) % 5},{('ok', evil)[i % 2]}\n" for i in range(40))
    Path(f"{name}.csv").write_text(f"x\x1b[1m,z,y\u202e\n{rows}", encoding="utf-8")
    calls = [
        ["init", f"{name}.csv"],
        ["check", f"{name}.json"],
        ["show", f"{name}.json"],
        ["train", f"{name}.json", "--out", "run\x1b", "--set", "training.epochs=2"],
        ["evaluate", "run\x1b"],
        ["verify", "run\x1b"],
        ["diff", f"{name}.json", f"{name}.json"],
        ["predict", "run\x1b", f"{name}.csv", "--check-range", "-o", "out\x1b.csv"],
    ]
    for call in calls:
        assert main(call) == 0, call
        printed = capsys.readouterr()
        assert safe(printed.out), (call, printed.out)
        assert safe(printed.err), (call, printed.err)
    assert evil in Path("out\x1b.csv").read_text(encoding="utf-8")
    for call in (
        ["show", "no\x1b[31m"],
        ["check", EVIL],
        ["predict", "run\x1b", "no\x1b.csv"],
        ["generate", "run\x1b"],
    ):
        assert main(call) == 1, call
        printed = capsys.readouterr()
        assert printed.err, call
        assert safe(printed.err), call
    assert main(["predict", "run\x1b", f"{name}.csv"]) == 0
    assert evil in capsys.readouterr().out  # data for a program, as in a file
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda self: True)
    assert main(["predict", "run\x1b", f"{name}.csv"]) == 0
    assert safe(capsys.readouterr().out)


FORGED = "a\nfuncnet: forged\tb"


def test_names_with_line_breaks_are_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The names of columns, classes, files, keys and fields: none begins a line that another could be taken for."""
    monkeypatch.chdir(tmp_path)
    rows = "".join(f'{i / 7},{(i * i) % 5},"{("ok", FORGED)[i % 2]}"\n' for i in range(40))
    Path("a.csv").write_text(f'"{FORGED}",z,"{FORGED}{FORGED}"\n{rows}', encoding="utf-8")
    spec = f"{FORGED}.json"
    assert main(["init", "a.csv", "--out", spec]) == 0
    content = json.loads(Path(spec).read_text(encoding="utf-8"))
    wrong = {
        "key": content | {FORGED: 1},
        "field": content | {"loss": {"type": "softmax_cross_entropy", FORGED: 1}},
        "column": content | {"data": content["data"] | {"target": "no"}},
        "path": content | {"data": content["data"] | {"path": FORGED}},
        "class": content | {"training": {"epochs": 1, "class_weight": {FORGED * 2: 1.0}}},
    }
    for name, document in wrong.items():
        Path(f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
    calls = [
        (0, ["check", spec]),
        (0, ["train", spec, "--out", FORGED, "--set", "training.epochs=1"]),
        (0, ["evaluate", FORGED]),
        (0, ["verify", FORGED]),
        (0, ["predict", FORGED, "a.csv", "-o", "out.csv"]),
        (1, ["show", f"no{FORGED}"]),
        (1, ["check", spec, "--set", f"{FORGED}=3"]),
        *((1, ["check", f"{name}.json"]) for name in wrong),
    ]
    printed = capsys.readouterr()
    for status, call in calls:
        assert main(call) == status, call
        printed = capsys.readouterr()
        assert not [line for line in (printed.out + printed.err).split("\n") if line.startswith("funcnet: forged")], (
            call
        )


# ----- bounded messages ---------------------------------------------------------------------------------------------


def test_bounded() -> None:
    assert bounded("a" * 3000) == "a" * 3000
    assert bounded("a" * 10_000 + "\nb") == "a" * 2500 + " … 7000 characters … " + "a" * 500 + "\nb"


LONG = "k" * 70_000
HUGE: dict[str, Any] = {
    "unknown key": SPEC | {LONG: 1},
    "unknown field": SPEC | {"loss": {"type": "softmax_cross_entropy", LONG: 1}},
    "unknown tag": SPEC | {"loss": LONG},
    "name": SPEC | {"model": {"type": "serial", "layers": [{"type": "relu", "name": "é" + LONG}]}},
    "path": SPEC | {"data": {"type": "csv", "path": LONG, "target": LONG}},
    "many": SPEC | {f"k{i}" + "k" * 3000: i for i in range(100)},
    "tags": SPEC | {"model": {"type": "serial", "layers": [f"nolayer{i}" for i in range(3000)]}},
}


@pytest.mark.parametrize("name", HUGE)
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_messages_are_bounded(
    name: str, options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(HUGE[name]))
    assert main(["check", str(tmp_path / "spec.json"), *options]) == 1
    most = 25_000 if name == "tags" else 6_000  # twenty problems, each with the tags that there are
    assert 0 < len(capsys.readouterr().err) < most


def test_lists_of_columns_are_bounded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"c{i}" for i in range(3000)]
    rows = "".join(",".join([*(str((i * j) % 7) for j in range(2999)), "ab"[i % 2]]) + "\n" for i in range(6))
    (tmp_path / "wide.csv").write_text(",".join(names) + "\n" + rows)
    data = {"type": "csv", "path": "wide.csv", "target": "c2999"}
    model = {"type": "serial", "layers": [{"type": "dense", "units": 2}]}
    (tmp_path / "spec.json").write_text(json.dumps(SPEC | {"data": data, "model": model}))
    assert main(["check", str(tmp_path / "spec.json")]) == 0
    assert len(capsys.readouterr().out) < 2000
    (tmp_path / "spec.json").write_text(json.dumps(SPEC | {"data": data | {"target": "nothing"}, "model": model}))
    assert main(["check", str(tmp_path / "spec.json")]) == 1
    assert len(capsys.readouterr().err) < 1000
