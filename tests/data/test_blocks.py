"""Tables that are read, predicted and written by blocks: the same texts, numbers and errors whatever their size."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import funcnet as fn
from funcnet.cli import main
from funcnet.data.dates import date_part, day_of, days_of, part_of_days
from funcnet.data.number_texts import plain_numbers, read_number
from funcnet.data.sources import grid, rows as row_blocks
from funcnet.data.sources.grid import Grid
from funcnet.data.sources.rows import blocks_of, tall
from tests.benchmarks.follows import peak

SIZES = (1, 2, 5, 64)
TEXTS = {  # a file, to its rows and their lines, or what is wrong
    "plain": ("a,b\n1,2\n3,4\n", ([["1", "2"], ["3", "4"]], [2, 3])),
    "no end of line": ("a,b\n1,2\n3,4", ([["1", "2"], ["3", "4"]], [2, 3])),
    "spaces and empty lines": ("\n a , b\n\n1 ,\t2\n \n3,\u20034\n", ([["1", "2"], ["3", "4"]], [4, 6])),
    "quoted lines": ('a,b\n"1\n\r\n0",2\n3,"4,"\n5,6\n', ([["1\n\r\n0", "2"], ["3", "4,"], ["5", "6"]], [2, 5, 6])),
    "quotes inside": ('a,b\n"say ""x""",2\n3,4\n', ([['say "x"', "2"], ["3", "4"]], [2, 3])),
    "CR": ("a,b\r1,2\r3,4\r", ([["1", "2"], ["3", "4"]], [2, 3])),
    "CR LF": ("a,b\r\n1,2\r\n\r\n3,4\r\n", ([["1", "2"], ["3", "4"]], [2, 4])),
    "mixed ends": ("a,b\n1,2\r3,4\r\n5,6", ([["1", "2"], ["3", "4"], ["5", "6"]], [2, 3, 4])),
    "other line breaks": ("a,b\n1\x0b\x0c\x1c2,\x85\n3\u2028,4\n", ([["1\x0b\x0c\x1c2", ""], ["3", "4"]], [2, 3])),
    "a mark": ("\ufeffa,b\n1,2\n", ([["1", "2"]], [2])),
    "NUL": ("a,b\n1\0,2\n", ([["1\0", "2"]], [2])),
    "UTF-16": ("a,b\nö,2\n3,4\n".encode("utf-16"), ([["ö", "2"], ["3", "4"]], [2, 3])),
    "four bytes": ("a,b\n🐱,2\nđ,4\n", ([["🐱", "2"], ["đ", "4"]], [2, 3])),
    "a line too short": ("a,b\n1,2\n3\n", "line 3: expected 2 values, got 1; is the delimiter right?"),
    "lines that make up for each other": (
        "a,b\n1,2\n3\n4,5,6\n",
        "line 3: expected 2 values, got 1; is the delimiter right?",
    ),
    "a line too long": ('a,b\n"1\n",2\n3,4\n5,6,7\n', "line 5: expected 2 values, got 3"),
    "an open quote": ('a,b\n1,2\n"3,4\n5,6\n', "line 3: cannot be read: unexpected end of data"),
    "a quote amid": ('a,b\n1,2\n"3"x,4\n', "line 3: cannot be read: ',' expected after '\"'"),
    "a long value": (
        f"a,b\n1,2\n{'x' * 140_000},4\n",
        "line 3: cannot be read: field larger than field limit (131072)",
    ),
    "two of a name": ("a,a\n1,2\n", "two columns are called 'a'; rename one"),
    "a header alone": ("a,b\n\n", "has no rows below its header"),
    "nothing": ("\n\n", "has no rows"),
    "Latin-1": (
        b"a,b\n1,2\n\xe9,4\n",
        "line 3: is not UTF-8 text (in Latin-1 the byte 0xe9 would be 'é'); save the file as UTF-8",
    ),
    "a cut character": (
        b"a,b\n1,2\n3,\xc3",
        "line 3: is not UTF-8 text (in Latin-1 the byte 0xc3 would be 'Ã'); save the file as UTF-8",
    ),
}


def read(path: Path, size: int, monkeypatch: Any) -> Any:
    """The rows of a file and their lines, or the error."""
    monkeypatch.setattr(grid, "AT_ONCE", size)
    try:
        whole = Grid(path)
    except fn.DataError as error:
        return str(error).removeprefix(f"{path}: ")
    return [list(row) for row in zip(*whole.columns, strict=True)], whole.lines


@pytest.mark.parametrize("name", TEXTS)
def test_rows_and_errors_are_those_of_the_whole_file(tmp_path: Path, monkeypatch: Any, name: str) -> None:
    text, expected = TEXTS[name]
    path = tmp_path / "t.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    for size in (2**16,) if len(text) > 1000 else (*SIZES, 2**16):
        assert read(path, size, monkeypatch) == expected


def test_texts_of_any_kind_are_read_as_the_csv_module_reads_them(tmp_path: Path, monkeypatch: Any) -> None:
    rng, path = np.random.default_rng(0), tmp_path / "t.csv"
    for _ in range(150):
        text = "a,b\n" + "".join(rng.choice(list('12,,\n\n\r" x'), size=rng.integers(1, 30)))
        path.write_bytes(text.encode())
        try:
            rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text, newline=""), strict=True)]
            rows = [row for row in rows[1:] if row not in ([], [""])]
            right = bool(rows) and all(len(row) == 2 for row in rows)
        except csv.Error:
            rows, right = [], False
        whole = read(path, 2**16, monkeypatch)
        assert (whole[0] == rows) if right else isinstance(whole, str), text
        assert all(read(path, size, monkeypatch) == whole for size in SIZES), text


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
@pytest.mark.parametrize("cells", [2**20, 1000])
def test_blocks_of_a_few_rows_are_joined(tmp_path: Path, monkeypatch: Any, ending: str, cells: int) -> None:
    path = tmp_path / f"wide.{ending}"
    table = [{f"c{i}": str(row * i) for i in range(50)} for row in range(150)]
    lines = map(json.dumps, table) if ending == "jsonl" else [",".join(row.values()) for row in table]
    path.write_text("\n".join([*([] if ending == "jsonl" else [",".join(table[0])]), *lines, ""]), encoding="utf-8")
    monkeypatch.setattr(grid, "AT_ONCE", 500)
    monkeypatch.setattr(row_blocks, "CELLS", cells)
    small, joined = list(blocks_of(path, ",", True)), list(tall(blocks_of(path, ",", True)))
    assert max(len(one.lines) for one in small) < 10
    assert min(len(one.lines) for one in joined[:-1]) >= min(row_blocks.TALL, cells // 50)
    assert len(joined) < len(small)
    for name in table[0]:
        assert [text for one in joined for text in one.texts(name)] == [row[name] for row in table]
    assert [line for one in joined for line in one.lines] == [line for one in small for line in one.lines]


def test_numbers_and_dates_of_a_column_are_those_of_each_text() -> None:
    texts = [
        "1",
        "-2.5",
        "+.5",
        "1e3",
        "5.",
        " 7 ",
        "٣",
        "1_0",
        "inf",
        "nan",
        "x",
        "",
        "0x1",
        "1e999",
        "NA",
        "1,5",
        "1\0",
    ]
    for text in texts:
        expected = read_number(text)
        found = plain_numbers(["1", text], ("NA",))
        if text == "NA":
            assert np.array_equal(found, [1.0, np.nan], equal_nan=True)
        else:
            assert (found is None) if expected is None else found.tolist() == [1.0, expected]
    days = (
        "2024-02-29 2023-02-29 0000-01-01 0001-01-01 9999-12-31 2024-13-01 2024-00-10 2024-01-00 2024-1-011 20240131 "
        "2024/01/31 -024-01-01 2024-01-3٣ 1900-02-29 2000-02-29 1969-12-31 2024-01-01T10:00 today NaT 2024-01"
    )
    for text in days.split():
        found = days_of(np.array(["2024-05-31", text]))
        plain = day_of(text) is not None and len(text) == 10
        assert (found is not None) == plain, text
        for part in ("year", "month", "weekday") if plain else ():
            assert part_of_days(found, part)[1] == date_part(text, part)
    assert part_of_days(days_of(np.array(["2024-05-31", ""])), "month").tolist() == ["5", ""]


# ----- from a trained run to texts -----------------------------------------------------------------------------------

COLORS = ("red", "green", 'blue, "dark"')


def rows_of(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows with gaps, categories and dates."""
    rng = np.random.default_rng(seed)
    return [
        {
            "size": None if rng.random() < 0.1 else round(float(rng.normal()), 3),
            "color": None if rng.random() < 0.1 else COLORS[rng.integers(3)],
            "day": f"20{rng.integers(10, 30)}-{rng.integers(1, 13):02d}-11",
            "kind": "big" if rng.random() < 0.5 else "small",
        }
        for _ in range(count)
    ]


def write_table(path: Path, rows: list[dict[str, Any]]) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def place(tmp_path_factory: Any) -> Path:
    """A folder with a run, the program printed from it, and new rows as CSV and as JSON lines."""
    folder: Path = tmp_path_factory.mktemp("blocks")
    write_table(folder / "t.csv", rows_of(200))
    fn.run(
        fn.Experiment(
            data=fn.data.Csv("t.csv", "kind", categorical="color", dates="day", impute="median", scale="standard"),
            model=fn.serial(fn.Dense(8), fn.Relu(), fn.Dense(2)),
            loss=fn.losses.SoftmaxCrossEntropy(),
            optimizer=fn.optim.Adam(0.01),
            training=fn.Training(epochs=1),
        ),
        folder / "run",
        base=folder,
    )
    assert main(["source", str(folder / "run"), "--inference", "--out", str(folder / "program.py")]) == 0
    new = rows_of(2500, seed=1)
    new[700]["color"] = new[1900]["color"] = "pink"
    write_table(folder / "new.csv", new)
    (folder / "new.jsonl").write_text("".join(json.dumps(row) + "\n" for row in new), encoding="utf-8")
    return folder


def said(folder: Path, command: list[str], given: bytes = b"") -> tuple[int, str, str]:
    """The status and the texts of a command in a process of its own."""
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(fn.__file__).parents[1]), *sys.path])}
    done = subprocess.run([sys.executable, *command], cwd=folder, env=env, input=given, capture_output=True)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_predictions_are_the_same_for_blocks_of_any_size(
    place: Path, monkeypatch: Any, capsys: Any, caplog: Any
) -> None:
    run = fn.load_run(place / "run")
    whole = run.predict(run.experiment.data.read(place / "new.csv", ["size", "color", "day"]))
    caplog.clear()
    texts = []
    for size in (100, 2**16, 2**24):
        monkeypatch.setattr(grid, "AT_ONCE", size)
        assert np.array_equal(run.predict(place / "new.csv"), whole)
        assert np.array_equal(np.concatenate(list(run.predict_blocks(place / "new.csv"))), whole)
        for options in ([], ["--json"]):
            assert main(["predict", str(place / "run"), str(place / "new.csv"), *options]) == 0
            texts.append(capsys.readouterr().out)
    assert len(set(texts)) == 2
    assert [line.split(",")[1:] for line in texts[0].splitlines()[1:]] == whole.astype(str).tolist()
    sentence = (
        "column 'color': 2 of 2500 rows have a category that the training part lacks, such as 'pink' in line 702; "
        "it counts as 0 in every column of its categories"
    )
    assert {record.getMessage() for record in caplog.records} == {sentence}
    assert len(caplog.records) == len(texts) * 2  # once for each prediction of the file


def test_the_command_and_the_program_take_csv_and_json_lines_and_pipes(
    place: Path, monkeypatch: Any, capsys: Any
) -> None:
    unknown = "column 'color': 2 rows of an unknown category, such as 'pink'\n"
    answers = {}
    for name, options in (("new.csv", []), ("new.jsonl", ["--json"])):
        assert main(["predict", str(place / "run"), str(place / name), *options]) == 0
        answers[name] = capsys.readouterr().out
        assert said(place, ["program.py", name, *options]) == (0, answers[name], unknown)
    rows = [json.loads(line) for line in answers["new.jsonl"].splitlines()]
    table = list(csv.DictReader(io.StringIO(answers["new.csv"])))
    assert [row["label"] for row in rows] == [row["label"] for row in table]
    assert [row["probabilities"] for row in rows] == [{k: float(row[k]) for k in ("big", "small")} for row in table]
    for name in ("new.csv", "new.jsonl"):
        given(monkeypatch, (place / name).read_bytes())
        assert main(["predict", str(place / "run"), "-", "--json"]) == 0
        piped = capsys.readouterr().out
        alike(piped, rows)
    status, piped, err = said(place, ["program.py", "-", "--json"], (place / "new.jsonl").read_bytes())
    assert (status, err) == (0, unknown)
    alike(piped, rows)


def alike(text: str, rows: list[Any]) -> None:
    """JSON lines with the probabilities of these rows, up to the rounding of other batches."""
    for found, right in zip(map(json.loads, text.splitlines()), rows, strict=True):
        assert found["probabilities"] == pytest.approx(right["probabilities"], abs=1e-6)


def given(monkeypatch: Any, content: bytes) -> None:
    """Let the standard input have this content."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(content))))  # type: ignore[arg-type]


PIPES = {"command": ["-m", "funcnet", "predict", "run", "-"], "program": ["program.py", "-"]}


@pytest.mark.parametrize("command", PIPES.values(), ids=PIPES)
def test_rows_of_a_pipe_are_answered_as_they_come(place: Path, command: list[str]) -> None:
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(fn.__file__).parents[1]), *sys.path])}
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, *command], cwd=place, env=env, stdin=pipe, stdout=pipe) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"size,color,day\n")
        for i in range(3):
            process.stdin.write(f"{i},red,2024-05-3{i % 2}\n".encode())
            process.stdin.flush()
            if i == 0:
                assert process.stdout.readline() == b"label,big,small\n"
            assert process.stdout.readline().startswith((b"big,0.", b"small,0."))
        process.stdin.close()
        assert process.stdout.read() == b""
    assert process.returncode == 0


MISTAKES = {  # the rows of a pipe, to what the command and the program say
    "no rows": (b"size,color,day\n", "has no rows below its header"),
    "nothing": (b"", "has no rows"),
    "no column": (b'{"size": 1, "day": "2024-05-31"}\n', "has no column 'color'; it has size, day"),
    "no JSON": (b'{"size": 1 \n', "line 1: expected a row as JSON; Expecting ',' delimiter at character 11"),
    "a name twice": (b'{"size": 1, "size": 2}\n', "line 1: expected a row as JSON; the name 'size' is there twice"),
    "a list among objects": (
        b'{"size": 1, "color": "red", "day": null}\n[1]\n',
        'line 2: expected an object, such as {"age": 33}, got [1]',
    ),
    "lists": (b"[1, 2]\n[3]\n", "line 2: expected 2 values, got 1"),
    "compressed": (b"\x1f\x8b\x08", "is compressed with gzip; unpack it first, as with gunzip"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_in_a_pipe(place: Path, monkeypatch: Any, capsys: Any, name: str) -> None:
    content, message = MISTAKES[name]
    given(monkeypatch, content)
    assert main(["predict", str(place / "run"), "-"]) == 1
    assert capsys.readouterr() == ("", f"funcnet: standard input: {message}\n")


VALUES = {  # an object after a right one, to the messages of the command and the program
    '{"size": 1, "color": "red"}': (
        "column 'day': this row has no such value; write null where one is missing",
        "has no value for 'day'; write null where one is missing",
    ),
    '{"size": "x", "color": "red", "day": null}': (
        "column 'size': expected a number, got 'x'; the training data had numbers here; correct the file",
        "column 'size': expected a number, got 'x'",
    ),
    '{"size": 1, "color": ["red"], "day": null}': (
        "column 'color': expected a number, a text, a date or null, got a list; turn it into one of them, "
        "or leave the column out",
        "column 'color': expected a number, a text or null, got ['red']",
    ),
    '{"size": 1, "color": "red", "day": "31.5.2024"}': (
        "column 'day': expected a date like 2024-05-31 or 2024-05-31T09:05, got '31.5.2024'; write it so, or list the "
        "text in missing",
        "column 'day': expected a date like 2024-05-31 or 2024-05-31T09:05, got '31.5.2024'",
    ),
}


def test_mistakes_in_json_lines_name_their_line(place: Path, capsys: Any) -> None:
    path = place / "bad.ndjson"
    for text, (library, program) in VALUES.items():
        path.write_text(f'{{"size": 1, "color": "red", "day": "2024-05-31"}}\n\n{text}\n', encoding="utf-8")
        assert main(["predict", str(place / "run"), str(path)]) == 1
        between = ", " if library.startswith("column") else ": "
        assert capsys.readouterr() == ("", f"funcnet: {path}: line 3{between}{library}\n")
        assert said(place, ["program.py", "bad.ndjson"]) == (1, "", f"bad.ndjson: line 3: {program}\n")


def test_a_number_too_large_is_told_by_its_line_or_row_in_any_block(place: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(grid, "AT_ONCE", 64)
    rows = rows_of(40)
    rows[30] |= {"size": 1e300}
    write_table(place / "large.csv", rows)
    run = fn.load_run(place / "run")
    for given, where in ((place / "large.csv", "line 32"), (rows, "row 30")):
        with pytest.raises(fn.DataError, match=f"float32 can hold, got .* in {where}, column 'size'; scale them"):
            run.predict(given)
    data = fn.data.Arrays(x=((0.0, 1.0), (1.0, 2.0)), y=(0.0, 1.0))
    loss, optimizer, training = fn.losses.MeanSquaredError(), fn.optim.SGD(0.1), fn.Training(epochs=1)
    arrays = fn.run(fn.Experiment(model=fn.Dense(1), loss=loss, optimizer=optimizer, data=data, training=training))
    blocks = [np.ones((3, 2)), np.array([[1.0, 1.0], [1.0, 1e300]])]
    with pytest.raises(fn.DataError, match=r"got 1e[+]300 in row 4, column 1; scale them"):
        list(arrays.predict_blocks(blocks))


def test_a_program_names_a_missing_column_of_dates_once(place: Path) -> None:
    (place / "lost.csv").write_text("size,color\n1,red\n", encoding="utf-8")
    message = "lost.csv: has no column 'day'; it has size, color\n"
    assert said(place, ["program.py", "lost.csv"]) == (1, "", message)


def test_a_file_to_write_is_whole_or_untouched(place: Path, capsys: Any) -> None:
    rows = (place / "new.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (place / "end.csv").write_text("".join(rows) * 2 + "x\n", encoding="utf-8")
    (place / "out.csv").write_text("before", encoding="utf-8")
    assert main(["predict", str(place / "run"), str(place / "end.csv"), "-o", str(place / "out.csv")]) == 1
    assert capsys.readouterr().out == ""
    assert (place / "out.csv").read_text(encoding="utf-8") == "before"
    message = "end.csv: line 5003: expected 4 values, got 1; is the delimiter right?\n"
    assert said(place, ["program.py", "end.csv", "--out", "out.csv"]) == (1, "", message)
    assert (place / "out.csv").read_text(encoding="utf-8") == "before"
    assert said(place, ["program.py", "new.csv", "--out", "out.csv"])[:2] == (0, "")
    assert len((place / "out.csv").read_text(encoding="utf-8").splitlines()) == len(rows)
    assert said(place, ["program.py", "new.csv", "--out", "no/out.csv"])[:2] == (1, "")
    assert not list(place.glob(".*.tmp"))


def test_the_memory_of_predictions_does_not_follow_the_rows(place: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(grid, "AT_ONCE", 2**14)  # a fifth of the smaller file
    rows = (place / "new.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    run = fn.load_run(place / "run")
    used = []
    for times in (1, 4):
        (place / "many.csv").write_text(rows[0] + "".join(rows[1:]) * times, encoding="utf-8")
        used.append(peak(lambda: sum(len(answer) for answer in run.predict_blocks(place / "many.csv"))))
    assert used[1] < 1.3 * used[0] < 10.0
