"""``funcnet play``"""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from funcnet.cli import main


def test_the_server_prints_its_address_and_ends_quietly_with_ctrl_c(tmp_path):
    command = [sys.executable, "-m", "funcnet", "play", "--no-browser"]
    options = {"text": True, "cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options) as process:
        try:
            address = process.stdout.readline().strip()
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{32}/", address)
            with urllib.request.urlopen(address, timeout=10) as page:
                assert b"<title>funcnet play</title>" in page.read()
            process.send_signal(signal.SIGINT)
            process.wait(10)
            out, err = process.stdout.read(), process.stderr.read()
        finally:
            process.kill()
    assert (process.returncode, err) == (0, "")
    assert out == "Only this machine can open the page, and only at this address. Ctrl-C ends it.\n\n"


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{i / 7:.3f},{(i * 5) % 11},{'yes' if i % 3 else 'no'}\n" for i in range(60))
    Path("mine.csv").write_text(f"a,b,answer\n{rows}")
    return Path("mine.csv")


@pytest.mark.parametrize("spec", [[], ["moons"], ["mine.csv"]])
def test_a_page_is_written(spec, table, capsys):
    assert main(["play", *spec, "--out", "page.html", "--frames", "5"]) == 0
    text = Path("page.html").read_text(encoding="utf-8")
    assert capsys.readouterr().out == f"written to page.html, {len(text.encode()):,} bytes\n"
    found = json.loads(re.search(r'id="given">(.*?)</script>', text, re.S)[1])
    assert (found["mode"], len(found["frames"])) == ("recorded", 5)
    assert found["name"] == "".join(spec)


def test_a_page_for_pyodide_has_the_table_in_it(table, capsys):
    assert main(["play", "mine.csv", "--pyodide", "--out", "page.html"]) == 0
    found = json.loads(re.search(r'id="given">(.*?)</script>', Path("page.html").read_text("utf-8"), re.S)[1])
    assert (found["mode"], found["table"], found["spec"]) == ("browser", table.read_text(), None)


WRONG = [
    ("--frames 3", "--frames: goes with --out FILE, the page to write"),
    ("--pyodide", "--pyodide: goes with --out FILE, the page to write"),
    ("--out page.html --frames 1", "--frames: expected 2 or more, got 1"),
    ("iris_csv", "expected one or two inputs for each row, got the shape (4,)"),
    ("digits_mlp", "expected one or two inputs for each row, got the shape (64,)"),
    ("nothing_like_it", "there is no such file, and no experiment of that name comes with funcnet"),
    ("none.csv", "none.csv"),
    ("iris_csv --pyodide --out page.html", "--pyodide: files that a spec names do not go into the page"),
    (
        "wine --pyodide --out page.html",
        "training.class_weight: play shows a training without it; leave class_weight out",
    ),
    ("--port 70000 --no-browser", "--port 70000: cannot be used"),
    ("model.json", "model.json: expected an experiment, got a layer"),
    ("moons --out no/page.html", "no/page.html"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_mistakes_are_one_clear_error(arguments, message, table, capsys):
    Path("model.json").write_text('{"version": 1, "model": {"type": "dense", "units": 3}}')
    assert main(["play", *arguments.split()]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert not Path("page.html").exists()
