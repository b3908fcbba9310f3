"""Files that are not regular ones: pipes, devices and folders end in a message, and never block or fill the memory."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

import funcnet as fn
from funcnet.cli import main
from funcnet.data.paths import Trusted
from funcnet.data.sources.csv import Csv, Grid
from funcnet.files import open_file, read_bytes

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows has no pipes and devices among its files")

DEVICE = "it is a device, not a regular file"
COMMANDS = ["play", "show", "check", "train", "source", "diff", "init", "evaluate", "explain", "predict", "verify"]
PIPE = "it is a pipe, not a regular file"


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "pipe.csv")
    return tmp_path / "pipe.csv"


def test_a_pipe_and_a_device_are_no_regular_files(pipe: Path) -> None:
    for path, message in ((pipe, PIPE), ("/dev/zero", DEVICE), ("/dev/null", DEVICE)):
        with pytest.raises(OSError, match="not a regular file") as caught:
            open_file(path)
        assert caught.value.strerror == message
    with pytest.raises(IsADirectoryError):
        open_file(pipe.parent)


def test_no_more_is_read_than_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_bytes(path) == read_bytes(path, 5) == b"12345"
    with pytest.raises(OSError, match="the file has 5 bytes; the limit is 4"):
        read_bytes(path, 4)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("file", ["/dev/zero", "pipe", "folder"])
def test_commands_do_not_wait(
    command: str, file: str, pipe: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pipe.parent)
    name = {"pipe": str(pipe), "folder": str(pipe.parent)}.get(file, file)
    begin = time.monotonic()
    assert main([command, *[name] * (1 + (command in ("diff", "predict")))]) == 1
    assert time.monotonic() - begin < 5
    assert 0 < len(capsys.readouterr().err) < 500


SOURCES: dict[str, dict[str, Any]] = {
    "csv": {"path": "$", "target": -1},
    "npy": {"x": "$", "y": "$"},
    "npz": {"path": "$"},
    "idx": {"images": "$", "labels": "$"},
    "text": {"path": "$"},
    "hdf5": {"path": "$"},
}


@pytest.mark.parametrize("tag", SOURCES)
@pytest.mark.parametrize("file", ["/dev/zero", "pipe.csv"])
def test_sources_do_not_wait(tag: str, file: str, pipe: Path) -> None:
    if tag == "hdf5":
        pytest.importorskip("h5py", reason="HDF5 files need it")
    fields = json.loads(json.dumps(SOURCES[tag]).replace("$", file))
    source: Any = fn.from_json({"version": 1, "data": {"type": tag, **fields}})
    with pytest.raises(fn.DataError, match="not a regular file"):
        source.table(Trusted(pipe.parent), fn.Key(0))


@pytest.mark.parametrize("name", ["preprocess.json", "metrics.json", "run.json", "history.csv", "weights.npz"])
def test_a_run_folder_with_a_pipe_in_it(name: str, tmp_path: Path) -> None:
    experiment = fn.Experiment(
        data=fn.data.Iris(),
        model=fn.serial(fn.Dense(3)),
        loss=fn.losses.SoftmaxCrossEntropy(),
        optimizer=fn.optim.SGD(0.1),
        training=fn.Training(steps=1),
    )
    fn.run(experiment, tmp_path / "run")
    (tmp_path / "run" / name).unlink()
    os.mkfifo(tmp_path / "run" / name)
    with pytest.raises(fn.CheckpointError, match=f"{name}.*not a regular file|holds an unfinished run"):
        fn.load_run(tmp_path / "run")


def test_a_line_without_end(tmp_path: Path) -> None:
    """A file of zeros, which is no table, is not read as one line."""
    with open(tmp_path / "zeros.csv", "wb") as file:
        file.truncate(2**34)
    with pytest.raises(fn.DataError, match=r"line 1: is longer than 16777216 characters; is the file text\?"):
        Grid(tmp_path / "zeros.csv")


def wide(path: Path, columns: int) -> float:
    """The seconds that reading a table with this number of columns takes."""
    names = ",".join(f"c{i}" for i in range(columns))
    rows = "\n".join(f"{i},{'1.5,' * (columns - 2)}{'ab'[i % 2]}" for i in range(4))
    path.write_text(f"{names}\n{rows}\n")
    begin = time.process_time()
    table = Csv(path.name, f"c{columns - 1}").table(path.parent, fn.Key(0))
    assert len(table.x.columns) == columns - 1  # type: ignore[union-attr]
    return time.process_time() - begin


def test_the_time_of_a_table_is_linear_in_its_columns(tmp_path: Path) -> None:
    """Eight times the columns take about eight times as long, not sixty-four."""
    few = min(wide(tmp_path / "few.csv", 2_000) for _ in range(3))
    assert wide(tmp_path / "many.csv", 16_000) < 25 * few
