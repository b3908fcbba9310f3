"""``funcnet play``"""

import functools
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from functools import partial
from pathlib import Path

import pytest

from funcnet.cli import main, play
from funcnet.play.browser import opened


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent to one child there")
def test_the_server_prints_its_address_and_ends_quietly_with_ctrl_c(tmp_path):
    command = [sys.executable, "-m", "funcnet", "play", "--no-browser"]
    options = {"text": True, "cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}}
    options["preexec_fn"] = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # shells ignore it in the background
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


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a process is ended without a signal")
@pytest.mark.parametrize("number", ["SIGTERM", "SIGHUP"])
def test_a_table_of_the_reader_is_deleted_when_the_terminal_is_closed(tmp_path, number):
    command = [sys.executable, "-m", "funcnet", "play", "--no-browser"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TMPDIR": str(tmp_path)}
    heard = functools.partial(signal.signal, getattr(signal, number), signal.SIG_DFL)  # also below nohup
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, preexec_fn=heard) as process:
        try:
            address = process.stdout.readline().strip()
            text = "a,b\n" + "".join(f"{i},{i * 7 % 13 + 0.5}\n" for i in range(60))
            body = json.dumps({"do": "table", "text": text}).encode()
            request = urllib.request.Request(f"{address}ask", body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=10) as answer:
                assert json.load(answer)["name"] == "your_table.csv"
            assert list(tmp_path.glob("*/your_table.csv"))
            process.send_signal(getattr(signal, number))
            process.wait(10)
        finally:
            process.kill()
    assert process.returncode == 0
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{i / 7:.3f},{(i * 5) % 11},{'yes' if i % 3 else 'no'}\n" for i in range(60))
    Path("mine.csv").write_text(f"a,b,answer\n{rows}")
    return Path("mine.csv")


@pytest.mark.parametrize("spec", [[], ["moons"], ["iris_csv"], ["wine"], ["mine.csv"]])
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


@pytest.mark.parametrize(("name", "files"), [("sine_4_3_3_1", ["sine_4_3_3_1.npz"]), ("iris_csv", ["data/iris.csv"])])
def test_a_page_for_pyodide_has_the_files_that_a_spec_names(name, files, table):
    assert main(["play", name, "--pyodide", "--out", "page.html"]) == 0
    found = json.loads(re.search(r'id="given">(.*?)</script>', Path("page.html").read_text("utf-8"), re.S)[1])
    assert list(json.loads(found["files"])) == files
    ask = opened(found["spec"], found["table"], found["files"], found["name"])
    about = json.loads(ask('{"do": "about"}'))
    assert (about["name"], len(about["inputs"]), about["frame"]["step"]) == (name, 4, 0)


WRONG = [
    ("mine.csv --out mine.csv", "mine.csv: is not a page that funcnet wrote; choose another --out, or remove it"),
    ("--frames 3", "--frames: goes with --out FILE, the page to write"),
    ("--pyodide", "--pyodide: goes with --out FILE, the page to write"),
    ("--out page.html --frames 1", "--frames: expected 2 or more, got 1"),
    (
        "digits_mlp",
        "expected 1 to 16 inputs for each row, so that each has a place in the page, got the shape (64,); see a larger "
        "network with funcnet report",
    ),
    ("cat_classifier", "got the shape (64, 64, 3); see a larger network with funcnet report"),
    ("nothing_like_it", "there is no such file, and no experiment of that name comes with funcnet"),
    ("none.csv", "none.csv"),
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


def test_files_too_long_for_a_page_are_refused(table, monkeypatch, capsys):
    monkeypatch.setattr(play, "MOST_FILES", 1000)
    assert main(["play", "iris_csv", "--pyodide", "--out", "page.html"]) == 1
    assert re.fullmatch(
        r"funcnet: --pyodide: data/iris\.csv: [\d,]+ bytes in all, and a page takes at most 1,000 along; use fewer "
        r"rows, or play it without --pyodide\n",
        capsys.readouterr().err,
    )
