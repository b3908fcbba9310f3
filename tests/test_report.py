"""``report.html``: what it says is what the run found, whatever is in it, and it costs the run nothing."""

import html
import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest

import funcnet as fn
from funcnet import data, losses, optim
from funcnet.data.preparation import prepare
from funcnet.experiments.folder import REPORT
from funcnet.experiments.report import answers, report, right
from funcnet.experiments.report.answers import answers_of
from funcnet.experiments.report.comparison import comparison_html
from funcnet.experiments.report.headline import figure
from funcnet.experiments.report.learning import findings, read_lines
from funcnet.experiments.report.report import report_html
from funcnet.experiments.stored import read_facts
from tests.browser import NEEDS_BROWSER, browser, visit  # noqa: F401
from tests.reports import COLUMNS, HOSTILE, KINDS, plane, table

SMALLEST_CONTRAST = 4.5
"""AA of WCAG for text"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of each kind, and its folder."""
    whole = tmp_path_factory.mktemp("runs")
    return {name: (whole / name, make(whole / name)) for name, make in KINDS.items()}


def text_of(folder):
    return (folder / REPORT).read_text(encoding="utf-8")


def plain(text):
    """The text that a reader sees."""
    return html.unescape(re.sub(r"<[^>]*>", "", text))


def rows_of(text, caption):
    """The rows of the table whose caption begins so."""
    found = text[text.index(f"<caption>{html.escape(caption)}") :]
    found = found[: found.index("</table>")]
    return [[plain(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)] for row in found.split("<tr")[1:]]


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


@pytest.mark.parametrize(
    ("name", "question"),
    [
        ("hostile", "Is <i>等级</i> "),
        ("numbers", "How large is the target?"),
        ("plane", "Is it upper or lower?"),
        ("images", "Which 8 x 8 x 1 pixels belong to the input?"),
        ("steps", "Which of 96 classes is it, at each of 6 steps?"),
    ],
)
def test_the_question_comes_first(runs, name, question):
    (h1,) = re.findall("<h1>(.*?)</h1>", text_of(runs[name][0]))
    assert plain(h1).startswith(question)


def test_then_the_answer_beside_the_baselines(runs):
    folder, run = runs["hostile"]
    text = text_of(folder)
    score = run.metrics["test"]["accuracy"]
    (said,) = re.findall('<span class="figure">(.*?)</span>', text)
    assert said == f"{100 * score:.3g} %"
    assert f"of {len(table()['日期']) * 3 // 10} test rows are answered right." in plain(text)
    for kind in ("constant", "linear"):
        assert f"{100 * run.baseline[kind]['test']['accuracy']:.3g} %" in text
    rows = rows_of(text, "Scores by part")
    assert rows[0] == ["part", "loss", "accuracy"]
    assert [row[0] for row in rows[1:]] == [
        "train", "validation", "test", "validation, constant answer", "validation, linear model",
        "test, constant answer", "test, linear model",
    ]  # fmt: skip
    assert rows[3] == ["test", *(f"{value:.5g}" for value in run.metrics["test"].values())]


def test_all_rows_are_said_to_be_right_only_if_they_are():
    shown = {1.0: "100 %", 1.0 - 1e-15: "100 %", 0.99996: "99.996 %", 0.9996: "99.96 %", 0.9994: "99.9 %", 0.0: "0 %"}
    assert {value: figure("accuracy", value) for value in shown} == shown
    assert figure("accuracy", None) == figure("accuracy", float("nan")) == "not defined"


def test_the_same_run_has_the_same_page(runs):
    for name in ("numbers", "plane"):
        folder, _ = runs[name]
        run = fn.load_run(folder)
        again = prepare(run.experiment.data, fn.Key(run.experiment.seed), folder.parent, fitted=run.preprocess)
        assert report_html(folder, run, again) == text_of(folder)


def test_worst_rows_are_those_of_the_largest_losses_in_the_words_of_the_data(runs):
    folder, _ = runs["hostile"]
    rows = rows_of(text_of(folder), "The worst 12 of the test part (36 rows)")
    assert rows[0][:6] == ["row", "loss", "true", "answer", "its probability", "that of the true"]
    assert rows[0][6:9] == COLUMNS
    found, whole = [float(row[1]) for row in rows[1:]], table()
    assert found == sorted(found, reverse=True)
    for row in rows[1:]:
        at = int(row[0])
        assert row[2] == fn.errors.one_line(whole["<i>等级</i>"][at])
        assert row[6] == f"{whole[COLUMNS[0]][at]:.5g}"
        assert row[9:] == [whole["城区"][at], "2020", str(int(whole["日期"][at][5:7])), row[12]]
        if float(row[5]) > 0.02:  # it has three decimals
            assert float(row[1]) == pytest.approx(-np.log(float(row[5])), rel=0.02)


def test_rare_categories_and_rows_without_a_target(tmp_path):
    given = {
        "number": [i / 7 for i in range(120)],
        "street": ["abcd"[i % 4] if i % 5 else f"rare {i}" for i in range(120)],
        "y": ["" if i % 9 == 0 else "up" if i % 4 > 1 else "down" for i in range(120)],
    }
    experiment = fn.Experiment(
        data=data.Columns("y", categorical=("street",), max_categories=3, missing_target="drop"),
        model=fn.Dense(2),
        loss=losses.SoftmaxCrossEntropy(),
        optimizer=optim.SGD(0.01),
        training=fn.Training(epochs=1),
    )
    fn.run(experiment, tmp_path / "run", data=given)
    text = text_of(tmp_path / "run")
    assert "left out (" not in text
    assert rows_of(text, "The inputs")[2] == ["street", "frequent categories", "3", "a, b, c"]
    for row in rows_of(text, "The worst")[1:]:
        at, street = int(row[0]), given["street"][int(row[0])]
        assert row[2] == given["y"][at]
        assert row[-2:] == [f"{given['number'][at]:.5g}", street if street in ("a", "b", "c") else "another"]


def test_labels_that_the_loss_ignores_are_not_counted(tmp_path):
    rng = fn.Key(0)
    np.save(tmp_path / "x.npy", rng.normal((60, 3)))
    np.save(tmp_path / "y.npy", np.where(np.arange(60) % 4 == 3, -1, np.arange(60) % 4))
    experiment = fn.Experiment(
        data=data.Npy(x="x.npy", y="y.npy"),
        model=fn.Dense(3),
        loss=losses.SoftmaxCrossEntropy(ignore_label=-1),
        optimizer=optim.SGD(0.1),
        training=fn.Training(epochs=1),
    )
    fn.run(experiment, tmp_path / "run", base=tmp_path)
    text = text_of(tmp_path / "run")
    assert "of 45 rows" in text[text.index(">What is taken for what<") :]
    assert "-1" not in {row[2] for row in rows_of(text, "The worst 12")[1:]}


def test_predictions_of_numbers_are_in_their_units(runs):
    folder, run = runs["numbers"]
    rows = rows_of(text_of(folder), "The worst 12")
    target = data.Diabetes().table(folder, fn.Key(0)).y.ravel()
    assert rows[0][:5] == ["row", "loss", "true", "answer", "residual"]
    for row in rows[1:]:
        at, true, answer, residual = int(row[0]), *map(float, row[2:5])
        assert true == target[at]
        assert residual == pytest.approx(true - answer, abs=1.0)
    assert f"RMSE {run.metrics['test']['rmse']:.4g} of 88 rows" in text_of(folder)


# ----- what fails costs nothing but itself ---------------------------------------------------------------------------


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
    assert "Training failed (not finite) at step 2; this is the last good state." in text
    assert "These are the rows that it was trained on" in text


def test_parts_that_may_take_long_are_not_begun_late(runs, monkeypatch):
    monkeypatch.setattr(report, "LONGEST", -1.0)
    folder, run = runs["plane"]
    parts = prepare(run.experiment.data, fn.Key(0), folder.parent)
    text = report_html(folder, run, parts)
    assert "the worst rows: left out, since other parts took -1 s" in plain(text)
    assert 'id="spec"' in text


def test_dear_answers_are_few(runs, monkeypatch):
    _, run = runs["plane"]
    parts = prepare(run.experiment.data, fn.Key(0))
    assert answers_of(run, parts, 10.0).rows == len(parts.test.y) == 100
    few = answers_of(run, parts, answers.MOST_FLOPS / 20)
    assert (few.rows, few.said) == (20, "20 of 100 rows, evenly spaced")
    assert np.array_equal(few.y, parts.test.y[::5])
    monkeypatch.setattr(answers, "MOST_NUMBERS", 60)
    assert answers_of(run, parts, None).rows == 30


# ----- while it learnt -----------------------------------------------------------------------------------------------


def line(step, **changes):
    quiet = {"weights": {"w": [-1, -1, 0, 0.5, 1, 1, 1]}, "outputs": {"a": [0, 0, 0, 1, 1, 1, 1, 0.0]}}
    return {"step": step, **quiet, "gradients": {"w": [0, 0, 1, 1, 1, 1, 1], "v": [0, 0, 1, 1, 1, 1, 1]}} | changes


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ({}, []),
        (
            {"outputs": {"a": [0, 0, 0, 0, 0, 1, 1, 0.25]}},
            ["25 % of the units of a are dead at the end: 0 for all rows looked at."],
        ),
        (
            {"gradients": {"w": [0, 0, 0, 1e-9, 0, 0, 1], "v": [0, 0, 1, 2, 1, 1, 1]}},
            ["The gradient of w is 5e-10 times that of v at the end: it has nearly vanished there."],
        ),
        (
            {"weights": {"w": [-1, -1, 0, 0, 0, 1, 2e4]}},
            ["The largest weight of w has grown more than 10,000 times."],
        ),
        (
            {"weights": {"w": [-2e4, -1, 0, 0, 0, 1, 1]}},
            ["The largest weight of w has grown more than 10,000 times."],
        ),
        ({"weights": {"w": [-1, -1, 0, 0, 0, 1, None]}}, ["At step 9, w has numbers that are not finite."]),
    ],
)
def test_where_values_die_vanish_or_explode_is_said(last, said):
    assert findings([line(0), line(9, **last)]) == said


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "[]", "1\n2", "[" * 100_000, '{"step": 1}',
        '{"step": -1, "weights": {}, "outputs": {}, "gradients": {}}',
        '{"step": 1, "weights": {"a": [1]}, "outputs": {}, "gradients": {}}',
        '{"step": 1, "weights": {"a": [0,0,0,0,0,0,"<script>"]}, "outputs": {}, "gradients": {}}',
        '{"step": 1, "weights": {"a": [0,0,0,0,0,0,1%s]}, "outputs": {}, "gradients": {}}' % ("0" * 400),
        '{"step": 1, "weights": {"%s": [0,0,0,0,0,0,1]}, "outputs": {}, "gradients": {}}' % ("a" * 1001),
        '{"step": 1, "weights": {}, "outputs": {}, "gradients": {}}\n' * 101,
    ],
)  # fmt: skip
def test_a_file_of_another_form_is_left_out(tmp_path, content):
    (tmp_path / "distributions.jsonl").write_text(content, encoding="utf-8")
    assert read_lines(tmp_path) == []


def test_lines_with_other_paths_and_huge_numbers_make_a_page(tmp_path, runs):
    folder, run = runs["plane"]
    for name in ("run.json", "boundary.svg"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    odd = {"weights": {HOSTILE[0]: [-1e308, 0, 0, 0, 0, 1e308, 1e308]}, "outputs": {}, "gradients": {"g": [None] * 7}}
    odd["outputs"] = {"o": [-1.7e308] * 3 + [1.7e308] * 4 + [1e300]}
    lines = [line(0), {"step": 2**62, **odd}, {"step": 5, **odd}]
    (tmp_path / "distributions.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    text = report_html(tmp_path, run, None)
    assert text.count('id="inside"') == text.count("Outputs of the layers") == 1
    assert "<script" not in text


# ----- several runs --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    whole = tmp_path_factory.mktemp("several")
    made = {"a": plane(whole / "a"), "b": plane(whole / "b", units=2), "<c>": plane(whole / "<c>", seed=1)}
    return [(whole / name, run, read_facts(whole / name)) for name, run in made.items()]


def test_several_runs_are_compared(several):
    text = comparison_html(several)
    scores = [run.metrics["test"]["accuracy"] for _, run, _ in several]
    best = several[int(np.argmax(scores))][0].name
    assert f"{100 * max(scores):.3g} %" in text
    assert f"{best} " in plain(re.search('<p class="answer">.*?</p>', text)[0])
    rows = rows_of(text, "Scores of the test part, the best in bold")
    assert [row[0] for row in rows] == ["run", "a", "b", "<c>"]
    assert [row[2] for row in rows[1:]] == [f"{score:.5g}" for score in scores]
    assert "The runs have other data, or parts of it, so their scores are of different rows." in text
    assert rows_of(text, "b against a: 1 difference") == [
        ["field", "a", "b"],
        [".model.layers[dense_0].units", "8", "2"],
    ]
    assert rows_of(text, "<c> against a: 1 difference")[1] == [".seed", "0", "1"]
    assert len(re.findall('<svg class="swatch"', text)) == 3


def test_runs_of_different_kinds_are_compared_by_what_they_share(runs):
    text = comparison_html([(runs[name][0], runs[name][1], read_facts(runs[name][0])) for name in ("plane", "numbers")])
    assert "The runs minimise different losses, which do not compare." in text
    assert "They have no score in common." in text
    assert 'class="best"' not in text  # there is no best loss of two losses, and no best accuracy of one run
    assert 'id="curves"' not in text


def test_a_folder_s_name_turns_no_text_around(runs):
    names = {"\u202egnp\n": runs["plane"], "a\x1b[31m": runs["numbers"]}
    text = comparison_html([(Path(name), run, read_facts(folder)) for name, (folder, run) in names.items()])
    assert "Each against the first run, \\u202egnp\\n." in text
    assert not re.search("[\u202e\x1b\ufffd]", html.unescape(text))


# ----- in a browser --------------------------------------------------------------------------------------------------

CONTRAST = """() => {
  const parts = text => text.match(/[0-9.]+/g).map(Number);
  const linear = v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => [r, g, b].map(v => linear(v / 255))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = node => {
    for (let at = node; at; at = at.parentElement) {
      const colour = parts(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  let least = [99, ""];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some(one => one.nodeType === 3 && one.data.trim());
    if (!own || ["title", "desc"].includes(node.tagName) || node.closest("svg [class=cell], .skip")) continue;
    const style = getComputedStyle(node), svg = node.namespaceURI.endsWith("svg");
    if (svg && node.getAttribute("fill") === "#ffffff") continue;  // on a cell
    const [a, b] = [light(parts(svg ? style.fill : style.color)), light(ground(node))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < least[0]) least = [ratio, node.outerHTML.slice(0, 200)];
  }
  return least;
}"""


@NEEDS_BROWSER
@pytest.mark.parametrize("name", [*KINDS, "several"])
def test_a_page_in_a_browser(browser, runs, several, tmp_path, name):  # noqa: F811
    """No errors, no requests, no text beyond the edges, and enough contrast, in both schemes and narrow and wide."""
    page = runs[name][0] / REPORT if name in runs else tmp_path / "several.html"
    if name == "several":
        page.write_text(comparison_html(several), encoding="utf-8")
    both = [("dark", 400), ("light", 1600)]
    for scheme, width in [*both, ("light", 400), ("dark", 1600)] if name == "hostile" else both:
        with visit(browser, page, width, scheme) as seen:
            assert (seen.errors, seen.requests) == ([], [])
            assert seen.overflow() <= 0.0
            ground = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(21, 23, 26)"}[scheme]
            least, where = seen.page.evaluate(CONTRAST)
            assert SMALLEST_CONTRAST <= least <= 21.0, where


@NEEDS_BROWSER
def test_a_page_is_printed_on_white_and_read_by_the_keyboard(browser, runs):  # noqa: F811
    with visit(browser, runs["hostile"][0] / REPORT, 1200, "dark") as seen:
        printed = seen.page.pdf(format="A4")
        assert printed[:5] == b"%PDF-"
        assert 2 <= len(re.findall(rb"/Type /Page\b", printed)) <= 12
        seen.page.emulate_media(media="print")
        seen.page.set_viewport_size({"width": 688, "height": 971})  # A4 without its margins
        assert seen.overflow() <= 0.0
        assert seen.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        seen.page.emulate_media(media="screen")
        seen.page.keyboard.press("Tab")
        assert seen.page.evaluate("document.activeElement.textContent") == "To the content"
        reached = set()
        for _ in range(60):
            seen.page.keyboard.press("Tab")
            reached.add(seen.page.evaluate("document.activeElement.getAttribute('aria-label')"))
        assert "Scores by part, the baselines below" in reached  # wide tables scroll by the keyboard too
        levels = seen.page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(one => Number(one.tagName[1]))")
        assert levels[0] == 1
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
        assert seen.page.evaluate("[...document.images].every(one => one.alt && one.naturalWidth > 0)")
        assert seen.page.evaluate("[...document.querySelectorAll('table')].every(one => one.caption.textContent)")
