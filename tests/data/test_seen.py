"""What ``init`` finds in a table does not depend on its blocks, nor on how many different texts are counted."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

import funcnet as fn
from funcnet.cli import main
from funcnet.data import seen
from funcnet.data.number_texts import Form
from funcnet.data.seen import Seen, nature_of
from funcnet.data.sniff import describe, look
from funcnet.data.sources import grid
from funcnet.data.sources.grid import Grid

MAKERS: list[Any] = [
    lambda draw, row: f"{draw.gauss(0, 1):.3f}",
    lambda draw, row: str(draw.randint(0, 3)),
    lambda draw, row: str(row),
    lambda draw, row: str(row + 1),
    lambda draw, row: draw.choice("abc"),
    lambda draw, row: f"${draw.randint(1, 9999)}",
    lambda draw, row: f"{draw.randint(1, 99)}%",
    lambda draw, row: f"{draw.randint(0, 9)},{draw.randint(0, 99)}",
    lambda draw, row: f"{draw.randint(1, 9)}.{draw.randint(100, 999)},{draw.randint(10, 99)}",
    lambda draw, row: f"20{draw.randint(10, 24)}-0{draw.randint(1, 9)}-1{draw.randint(0, 9)}",
    lambda draw, row: f"2020-01-0{draw.randint(1, 9)}T10:{draw.randint(10, 59)}",
    lambda draw, row: f"2020-01-01T10:{draw.randint(10, 59)}",
    lambda draw, row: f"{draw.randint(1, 28)}/{draw.randint(1, 12)}/2020",
    lambda draw, row: f"{draw.randint(10, 23)}:30",
    lambda draw, row: f"name {draw.randint(0, 10**6)}",
    lambda draw, row: draw.choice(["yes", "no"]),
    lambda draw, row: f"w{draw.randint(0, 60)}",
    lambda draw, row: str(10**17 + row),
    lambda draw, row: "x",
]
ODD = ["", "NA", "-", "n/a", "?", "oops", "0000-00-00", "none", "5", "3,5", "€5"]


def table(seed: int) -> str:
    """A table of random columns, some with odd texts."""
    draw = random.Random(seed)
    columns = range(draw.randint(2, 6))
    makers, shares = [draw.choice(MAKERS) for _ in columns], [draw.choice([0, 0, 0, 0.02, 0.1]) for _ in columns]
    odd = [draw.choice(ODD) for _ in columns]
    lines = [";".join(draw.choice(["a", "userID"]) + str(i) for i in columns)]
    for row in range(draw.choice([3, 8, 25, 60, 120])):
        cells = [odd[i] if draw.random() < shares[i] else makers[i](draw, row) for i in columns]
        lines.append(";".join([*cells[:-1], cells[0] if seed % 7 == 0 else cells[-1]]))
    return "\n".join(lines) + "\n"


def found(path: Path, whole: bool, target: Any) -> Any:
    try:
        findings = describe(Grid(path, ";"), target) if whole else look(path, target)
    except fn.DataError as error:
        return str(error)
    return findings._replace(table=None, delimiter=";")  # type: ignore[arg-type]


def test_findings_do_not_depend_on_blocks(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "t.csv"
    described = 0
    for seed in range(70):
        path.write_text(table(seed))
        target: Any = (None, None, "0", ["0", "1"])[seed % 4]
        expected = found(path, True, target)
        with monkeypatch.context() as patch:
            patch.setattr(grid, "AT_ONCE", 300)
            patch.setattr(seen, "MANY", 12)
            patch.setattr(seen, "HELD", 20)
            assert found(path, False, target) == expected, seed
        described += not isinstance(expected, str)
    assert described > 20


@pytest.mark.parametrize("many", [1000, 12])
def test_a_column_in_blocks(monkeypatch: Any, many: int) -> None:
    monkeypatch.setattr(seen, "MANY", many)
    monkeypatch.setattr(seen, "HELD", 20)
    texts = [f"{i % 40}.5" if i % 10 else "n/a" for i in range(100)]
    column = Seen(Form(), target=False)
    for begin in range(0, 100, 7):
        rows = range(begin, min(100, begin + 7))
        column.add([texts[row] for row in rows], [row + 2 for row in rows], rows)
    assert (column.rows, column.distinct, column.one_day, column.numbers_rows) == (100, 37, None, [False] * 4)
    assert column.counts == (None if many == 12 else {text: texts.count(text) for text in texts})
    assert [(some.text, some.rows, some.line, some.first, some.last) for some in column.natures] == [
        ("n/a", 10, 2, 0, 90),
        ("1.5", 90, 3, 1, 99),
    ]


def test_natures() -> None:
    number, price = nature_of("12", Form()), nature_of("€1.234,5", Form(",", ".", "€"))
    assert (number.gap, number.number, number.plain, number.whole, number.mark) == (None, True, True, True, "")
    assert (price.number, price.plain, price.mark, price.decimal, price.thousands) == (True, False, "€", True, True)
    moment, clock = nature_of("2024-05-31T09:05", Form()), nature_of("09:05", Form())
    assert (moment.day, moment.date, moment.timed, moment.number) == (True, True, True, False)
    assert (clock.clock, clock.day, clock.timed, nature_of("n.a.", Form()).gap) == (True, False, False, "n.a.")


def test_json_lines(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    """Of JSON lines ``init`` writes the spec of the same table as CSV, and it trains to the same bits."""
    draw = random.Random(0)
    rows = [
        {"size": draw.gauss(0, 1), "city": draw.choice(["Oslo", "Rome", None]), "rooms": i % 5 or None, "ok": i % 3 > 0}
        for i in range(90)
    ]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines = [",".join("" if value is None else str(value) for value in row.values()) for row in rows]
    (tmp_path / "t.csv").write_text("\n".join([",".join(rows[0]), *lines]) + "\n")
    monkeypatch.chdir(tmp_path)
    specs = {}
    for name in ("t.csv", "t.jsonl"):
        assert main(["init", name, "--out", f"{name}.json"]) == 0
        specs[name] = json.loads((tmp_path / f"{name}.json").read_text())
    out = capsys.readouterr().out
    assert "t.jsonl: 90 rows, 4 columns, in JSON lines\n" in out
    assert specs["t.jsonl"] == specs["t.csv"] | {"data": specs["t.csv"]["data"] | {"path": "t.jsonl"}}
    runs = {}
    for name in specs:
        assert main(["train", f"{name}.json", "--set", "training.epochs=1", "--out", f"run {name}"]) == 0
        runs[name] = json.loads((tmp_path / f"run {name}" / "run.json").read_text())
    assert runs["t.jsonl"]["data"] == runs["t.csv"]["data"]
    assert runs["t.jsonl"]["weights"] == runs["t.csv"]["weights"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "line 1: expected a row as JSON; Expecting value at character 1"),
        ('{"a": 1, "b": 2}\n{"a": 1}\n', "line 2, column 'b': this row has no such value; write null where one is"),
        ('{"a": 1}\n{"a": 2}\n', "has only one column, 'a'; expected at least one to learn from and one to predict"),
        ('{"a": [1], "b": 2}\n', "line 1, column 'a': expected a number, a text, a date or null, got a list; turn it"),
    ],
)
def test_json_lines_that_are_no_table(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.jsonl").write_text(text)
    with pytest.raises(fn.DataError) as caught:
        look(tmp_path / "t.jsonl")
    assert str(caught.value).startswith(f"{tmp_path / 't.jsonl'}: {message}")
