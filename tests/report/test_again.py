"""``fn.report``: the page again, with the rows if they are there, and a word about why if they are not."""

import re
import shutil

import pytest

import funcnet as fn
from funcnet import data, losses, metrics, optim
from tests.cli import funcnet
from tests.reports import hostile, plain, plane, rows_of, text_of

ROWS = "a,b,y\n" + "".join(f"{i % 7},{i % 5},{'no' if i % 3 else 'yes'}\n" for i in range(60))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A place with a file and a run on it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text(ROWS, encoding="utf-8")
    experiment = fn.Experiment(
        data=data.Csv(path="t.csv", target="y", scale="standard", split=data.Split(test=0.25)),
        model=fn.serial(fn.Dense(4), fn.Relu(), fn.Dense(2)),
        loss=losses.SoftmaxCrossEntropy(),
        metrics=(metrics.Accuracy(),),
        optimizer=optim.Adam(0.01),
        training=fn.Training(epochs=2),
    )
    fn.run(experiment, "run")
    return tmp_path


def sections(page):
    return re.findall(r'<section id="([a-z-]+)"', page)


def test_the_page_is_the_one_that_the_run_wrote(folder):
    before = text_of(folder / "run")
    assert fn.report("run") == fn.report(folder / "run", out="run/report.html").relative_to("")
    assert text_of(folder / "run") == before
    assert {"answers", "worst-rows"} < set(sections(before))


def test_without_the_file_the_page_says_what_is_missing_and_why(folder, caplog):
    before = text_of(folder / "run")
    (folder / "t.csv").unlink()
    said = f"run: {folder / 't.csv'}: there is no such file"
    assert fn.report("run").name == "report.html"
    assert caplog.messages == [f"{said}, so its page stays as it is"]
    assert text_of(folder / "run") == before
    page = fn.report("run", out="new.html").read_text(encoding="utf-8")
    assert caplog.messages[1:] == [f"{said}, so the page has no answers"]
    assert f"{folder / 't.csv'}: there is no such file." in plain(page)
    missing = "The page is without the parts that need the rows: the answers, and those that are most wrong."
    assert missing in plain(page)
    assert sections(page) == [name for name in sections(before) if name not in ("answers", "worst-rows")]
    rows = "input 2, batch of 32, float32"
    assert rows_of(page, rows) == rows_of(before, rows)
    (folder / "run" / "report.html").unlink()
    assert funcnet(folder, "report", "run") == (0, "report run/report.html\n", f"funcnet: {caplog.messages[1]}\n")
    assert text_of(folder / "run") == page


def test_a_base_that_somebody_names_has_the_file_or_is_an_error(folder):
    (folder / "moved").mkdir()
    shutil.move("t.csv", "moved/t.csv")
    before = text_of(folder / "run")
    assert fn.report("run", base="moved").read_text(encoding="utf-8") == before
    with pytest.raises(fn.DataError, match="there is no such file"):
        fn.report("run", base="run")
    assert text_of(folder / "run") == before


def test_rows_that_have_changed_are_told(folder, caplog):
    (folder / "t.csv").write_text(ROWS.replace("6,4,", "9,9,"), encoding="utf-8")
    page = fn.report("run").read_text(encoding="utf-8")
    changed = "the data is not what the run was trained on; it has changed since"
    assert caplog.messages == [f"run: {changed}"]
    assert f"T{changed[1:]}." in plain(page)
    assert {"answers", "worst-rows"} < set(sections(page))


def test_rows_from_python_are_in_no_file(tmp_path, caplog):
    hostile(tmp_path / "run")
    page = fn.report(tmp_path / "run", out=tmp_path / "new.html").read_text(encoding="utf-8")
    assert "The rows were given in Python and are in no file." in plain(page)
    assert caplog.messages == [
        f"{tmp_path / 'run'}: the rows were given in Python and are in no file, so the page has no answers to them"
    ]


def test_several_runs_have_one_page(folder):
    plane(folder / "b")
    plane(folder / "c", units=2)
    page = fn.report("b", folder / "c")
    assert str(page) == "comparison.html"
    assert "Which of 2 runs answers best?" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("runs", "error", "message"),
    [
        ((), fn.DataError, "expected the folder of a run, got none; write fn.report('runs/moons-1')"),
        (("run", "run"), fn.DataError, "expected different runs to compare, got run twice"),
        (("none",), fn.CheckpointError, "none: there is no such run folder"),
        ((3,), fn.FuncnetError, "expected the folder of a run, such as 'runs/digits_mlp-1', got 3"),
    ],
)
def test_mistakes(folder, runs, error, message):
    with pytest.raises(error) as raised:
        fn.report(*runs)
    assert str(raised.value) == message
