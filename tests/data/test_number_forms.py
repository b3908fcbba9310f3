"""Numbers with marks and separators: what ``init`` finds is what training, prediction and a deployed program read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import funcnet as fn
from funcnet.cli import main
from funcnet.data.preparation import prepare

PLAIN = [(i * 37 % 4000 + 1000, i % 90 + 0.5, i * i % 70 / 4, "ab"[i * 7 % 5 % 2]) for i in range(60)]


def american(i: int) -> list[str]:
    n, share, price, label = PLAIN[i]
    return [f'"{n:,}.0"', "NAN" if i % 9 == 4 else f"{share}%", f"${price}", label]


def german(i: int) -> list[str]:
    n, share, price, label = PLAIN[i]
    texts = [f"{n:,}".replace(",", ".") + ",0", "nil" if i % 9 == 4 else f"{share} %", f"{price} €", label]
    return [texts[0], *(text.replace(".", ",") for text in texts[1:])]


def swiss(i: int) -> list[str]:
    n, share, price, label = PLAIN[i]
    return [f"{n:,}".replace(",", "'"), "" if i % 9 == 4 else f"{share}%", f"CHF {price}", label]


FILES: dict[str, tuple[Any, str, str, dict[str, Any]]] = {
    "american": (american, ",", "utf-8", {"thousands": ",", "marks": {"share": "%", "price": "$"}}),
    "german": (german, ";", "utf-8", {"decimal": ",", "thousands": ".", "marks": {"share": "%", "price": "€"}}),
    "german in UTF-16": (
        german, ";", "utf-16", {"decimal": ",", "thousands": ".", "marks": {"share": "%", "price": "€"}},
    ),
    "swiss": (swiss, ";", "utf-8", {"thousands": "'", "marks": {"share": "%", "price": "CHF"}}),
}  # fmt: skip


def written(path: Path, rows: list[list[str]], delimiter: str, encoding: str) -> None:
    lines = [delimiter.join(row) for row in [["n", "share", "price", "y"], *rows]]
    path.write_text("\n".join(lines) + "\n", encoding=encoding)


@pytest.mark.parametrize("name", FILES)
def test_from_init_to_a_deployed_program(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    row, delimiter, encoding, expected = FILES[name]
    written(tmp_path / "t.csv", [row(i) for i in range(60)], delimiter, encoding)
    assert main(["init", "t.csv"]) == 0
    assert "\nnumbers   written with '%' beside 'share', " in capsys.readouterr().out
    spec: Any = fn.load_spec("t.json")
    assert {field: getattr(spec.data, field) for field in expected} == expected
    x = prepare(fn.spec.evolve(spec.data, split=None, scale=None), fn.Key(0), tmp_path, np.float64).train.x
    share = [s for i, (_, s, _, _) in enumerate(PLAIN) if i % 9 != 4]
    gaps = [float(np.median(share)) if i % 9 == 4 else s for i, (_, s, _, _) in enumerate(PLAIN)]
    np.testing.assert_array_equal(x, [[n, s, p] for (n, _, p, _), s in zip(PLAIN, gaps, strict=True)])
    assert main(["train", "t.json", "--out", "run", "--set", "training.epochs=1", "--progress", "none"]) == 0
    assert main(["source", "run", "--inference", "--out", "program.py"]) == 0
    capsys.readouterr()
    assert main(["predict", "run", "t.csv"]) == 0
    answers = capsys.readouterr().out
    done = subprocess.run([sys.executable, "program.py", "t.csv"], capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stdout.decode(), done.stderr.decode()) == (0, answers, "")
    cells = row(0)
    cells[1] = "0" + spec.data.decimal + "5"  # a fraction in a column of percentages
    written(tmp_path / "new.csv", [cells], delimiter, encoding)
    assert main(["predict", "run", "new.csv"]) == 1
    assert capsys.readouterr().err == (
        f"funcnet: new.csv: line 2, column 'share': expected a number, got {cells[1]!r}; the spec says that numbers of "
        "this column have the mark '%'\n"
    )


def test_an_unpacked_program_says_what_a_file_is(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "t.csv", [swiss(i) for i in range(60)], ";", "utf-8")
    assert main(["init", "t.csv"]) == 0
    assert main(["train", "t.json", "--out", "run", "--set", "training.epochs=1", "--progress", "none"]) == 0
    (tmp_path / "t.csv.csv").write_bytes(b"\x1f\x8b\x08")
    capsys.readouterr()
    assert main(["predict", "run", "t.csv.csv"]) == 1
    assert capsys.readouterr().err == "funcnet: t.csv.csv: is compressed with gzip; unpack it first, as with gunzip\n"


def test_a_label_with_a_separator_is_a_label(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [f"{i},5;{'1,5' if i % 3 else '2,5'}" for i in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["a;y", *lines]), encoding="utf-8")
    assert main(["init", "t.csv"]) == 0
    spec: Any = fn.load_spec("t.json")
    assert spec.data.categorical == ("y",)
    assert prepare(spec.data, fn.Key(0), tmp_path).preprocess["classes"] == ["1,5", "2,5"]
