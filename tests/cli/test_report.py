"""``funcnet report``: a page of a run, and of several beside one another."""

import json
import shutil

import pytest

from funcnet.views.page import MARK
from tests.cli import funcnet
from tests.reports import hostile, plane


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    whole = tmp_path_factory.mktemp("runs")
    plane(whole / "one")
    plane(whole / "two", units=2)
    hostile(whole / "memory")
    return whole


@pytest.fixture
def folder(runs, tmp_path):
    shutil.copytree(runs, tmp_path / "runs")
    return tmp_path / "runs"


def test_the_page_of_a_run_is_written_again(folder):
    page = folder / "one" / "report.html"
    before = page.read_bytes()
    page.unlink()
    said = funcnet(folder, "report", "one")
    assert said == (0, "report one/report.html\n", "")
    assert page.read_bytes() == before


def test_several_are_compared_in_one_page(folder):
    assert funcnet(folder, "report", "one", "two") == (0, "report comparison.html\n", "")
    text = (folder / "comparison.html").read_text(encoding="utf-8")
    assert "Which of 2 runs answers best?" in text
    assert ".model.layers[dense_0].units" in text
    again = funcnet(folder, "report", "one", "two", "--out", "comparison.html", "--json")
    assert json.loads(again.out) == {"report": "comparison.html"}
    assert (folder / "comparison.html").read_text(encoding="utf-8") == text


def test_runs_of_one_name_are_told_apart_by_their_folders(folder):
    shutil.copytree(folder / "two", folder / "other" / "one")
    assert funcnet(folder, "report", "one", "other/one").status == 0
    text = (folder / "comparison.html").read_text(encoding="utf-8")
    assert "<bdi>other/one</bdi>" in text


def test_the_page_of_a_run_on_rows_in_memory_stays(folder):
    page = folder / "memory" / "report.html"
    before = page.read_bytes()
    said = funcnet(folder, "report", "memory")
    stays = "funcnet: memory: the rows were given in Python and are in no file, so its page stays as it is\n"
    assert said == (0, "report memory/report.html\n", stays)
    assert page.read_bytes() == before
    said = funcnet(folder, "report", "memory", "--out", "new.html")
    assert said.err.endswith("so the page has no answers to them\n")
    text = (folder / "new.html").read_text(encoding="utf-8")
    assert 'id="answers"' not in text
    assert 'id="learning"' in text


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ("one", "--out", "mine.html"),
            "mine.html: is not a page that funcnet wrote; choose another --out, or remove it",
        ),
        (("one", "two", "--out", "one"), "one: cannot be written over (Is a directory); choose another --out"),
        (("one", "one"), "expected different runs to compare, got one twice"),
        (("none",), "none: there is no such run folder"),
    ],
)  # fmt: skip
def test_mistakes_are_one_message_and_change_nothing(folder, args, message):
    (folder / "mine.html").write_text("<p>mine</p>", encoding="utf-8")
    said = funcnet(folder, "report", *args)
    assert (said.status, said.out, said.err) == (1, "", f"funcnet: {message}\n")
    assert (folder / "mine.html").read_text(encoding="utf-8") == "<p>mine</p>"


def test_a_page_tells_that_it_is_one(runs):
    assert MARK in (runs / "one" / "report.html").read_text(encoding="utf-8")[:2000]
