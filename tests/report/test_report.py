"""``report.html``: its parts, and those that fail cost nothing but themselves."""

import json
import re

import pytest

import funcnet as fn
from funcnet import data, losses, optim
from funcnet.data.preparation import prepare
from funcnet.experiments.folder import REPORT
from funcnet.experiments.report import report, right
from funcnet.experiments.report.report import report_html
from tests.folders import change, sign
from tests.reports import KINDS, plain, plane, text_of

SECTIONS = {
    "hostile": ["answers", "worst-rows", "learning", "inside", "network", "data", "spec", "versions"],
    "plane": ["answers", "worst-rows", "learning", "network", "data", "spec", "versions"],
}


@pytest.mark.parametrize("name", KINDS)
def test_a_page_is_small_and_has_its_parts(runs, name):
    text = text_of(runs[name][0])
    assert len(text.encode()) < 500_000
    expected = SECTIONS.get(name, SECTIONS["hostile"])
    found = re.findall(r'<section id="([a-z-]+)"', text)
    assert [key for key in found if key != "inside"] == [key for key in expected if key != "inside"]
    assert text.count("<h1>") == 1
    assert "left out (" not in text
    for drawn in re.findall(r"<svg [^>]*role=\"img\".*?</desc>", text):
        assert re.search(r"<title>[^<]+</title><desc>[^<]+</desc>$", drawn)


def test_the_same_run_has_the_same_page(runs):
    for name in ("numbers", "plane"):
        folder, _ = runs[name]
        run = fn.load_run(folder)
        again = prepare(run.experiment.data, fn.Key(run.experiment.seed), folder.parent, fitted=run.preprocess)
        assert report_html(folder, run, again) == text_of(folder)


def failing(error):
    def fail(*_, **__):
        raise error

    return fail


@pytest.mark.parametrize("error", [fn.DataError("two\nlines"), MemoryError("two"), ZeroDivisionError("two")])
def test_a_part_that_fails_is_left_out(tmp_path, monkeypatch, caplog, error):
    monkeypatch.setattr(right, "worst", failing(error))
    run = plane(tmp_path / "run")
    said = f"the worst rows: left out ({type(error).__name__}: two)"
    assert caplog.messages == [f"{tmp_path / 'run' / REPORT}: {said}; the run is whole"]
    assert said in plain(text_of(tmp_path / "run"))
    assert 'id="answers"' in text_of(tmp_path / "run")
    assert fn.load_run(tmp_path / "run").metrics == run.metrics


def test_a_page_that_fails_is_logged_and_the_run_is_whole(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(report, "report_html", failing(RecursionError("deep")))
    run = plane(tmp_path / "run")
    assert caplog.messages == [f"{tmp_path / 'run' / REPORT}: is left out (RecursionError: deep); the run is whole"]
    assert fn.load_run(tmp_path / "run").metrics == run.metrics
    assert not (tmp_path / "run" / REPORT).exists()


def test_a_run_that_fails_has_a_page_that_says_so(tmp_path):
    experiment = fn.Experiment(
        data=data.Arrays(x=[[1.0, 2.0], [3.0, 5.0], [2.0, -1.0]], y=[1.0, 2.0, 3.0]),
        model=fn.Dense(1),
        loss=losses.MeanSquaredError(),
        optimizer=optim.SGD(1e25),
        training=fn.Training(epochs=9),
    )
    with pytest.raises(fn.NonFiniteError):
        fn.run(experiment, tmp_path / "run")
    text = plain(text_of(tmp_path / "run"))
    assert "Training failed (not finite) after step 1; this is the last good state." in text
    assert "These are the rows that it was trained on" in text


def test_parts_that_may_take_long_are_not_begun_late(runs, monkeypatch):
    monkeypatch.setattr(report, "LONGEST", -1.0)
    folder, run = runs["plane"]
    parts = prepare(run.experiment.data, fn.Key(0), folder.parent)
    text = report_html(folder, run, parts)
    assert "the worst rows: left out, since other parts took -1 s" in plain(text)
    assert 'id="spec"' in text


def test_a_page_of_huge_texts_stays_small(tmp_path):
    """Names, versions and a history that nobody writes, with the right digests."""
    folder, huge = tmp_path / "run", "<'&\"☃" * 3000
    plane(folder)
    counts = {f"{i}{huge[:3000]}": i for i in range(200)}
    found = {"rows": dict.fromkeys(list(counts)[:20], 3), "classes": counts, "missing": counts}
    versions = {f"{i}{huge[:3000]}": huge for i in range(20)}
    blas = {"name": huge, "version": huge}
    change(folder / "run.json", versions=versions, platform=huge, stopped=huge, blas=blas, found=found)
    names = [f"m{i}{'x' * 300}" for i in range(60)]
    lines = [",".join(["step", "epoch", "loss", *names])]
    lines += [",".join([str(i), str(i), "1.5", *["0.25"] * len(names)]) for i in range(1, 300)]
    (folder / "history.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    path = {f"{i}{'w' * 900}": [0, 0, 0, 1, 1, 1, 1] for i in range(24)}
    some = {"weights": path, "gradients": path, "outputs": {key: [*row, 0.5] for key, row in path.items()}}
    text = "\n".join(json.dumps({"step": i, **some}) for i in range(100))
    (folder / "distributions.jsonl").write_text(text, encoding="utf-8")
    sign(folder)
    page = fn.report(folder, out=tmp_path / "page.html").read_bytes()
    assert len(page) <= 500_000
    left_out = re.findall(rb'<section id="([a-z-]+)"(?:(?!<section).)*?Left out, since', page, re.S)
    assert left_out == [b"inside"]
    assert b"These are the first 24 of 61 curves; history.csv has all." in page
