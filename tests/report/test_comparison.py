"""Several runs beside one another."""

import html
import re
from pathlib import Path

import attrs
import numpy as np
import pytest

import funcnet as fn
from funcnet import data, losses, metrics, optim
from funcnet.experiments.report.comparison import comparison_html
from funcnet.experiments.stored import read_facts
from tests.reports import plain, rows_of

SEEDS = "The runs have different seeds, which choose the rows that are held out, so each may be scored on other rows."


def test_several_runs_are_compared(several):
    text = comparison_html(several)
    scores = [run.metrics["test"]["accuracy"] for _, run, _ in several]
    best = several[int(np.argmax(scores))][0].name
    assert f"{100 * max(scores):.3g} %" in text
    assert f"{best} " in plain(re.search('<p class="answer">.*?</p>', text)[0])
    rows = rows_of(text, "Scores of the test part, the best in bold")
    assert [row[0] for row in rows] == ["run", "a", "b", "<c>"]
    assert [row[2] for row in rows[1:]] == [f"{score:.5g}" for score in scores]
    assert SEEDS in plain(text)
    assert rows_of(text, "b against a: 1 difference") == [
        ["field", "a", "b"],
        [".model.layers[dense_0].units", "8", "2"],
    ]
    assert rows_of(text, "<c> against a: 1 difference")[1] == [".seed", "0", "1"]
    assert len(re.findall('<svg class="swatch"', text)) == 3


def test_runs_of_different_kinds_are_compared_by_what_they_share(runs):
    text = comparison_html([(runs[name][0], runs[name][1], read_facts(runs[name][0])) for name in ("plane", "numbers")])
    assert "The runs minimise different losses, which do not compare." in text
    assert "The runs answer different questions, so no score says which is best." in text
    assert "<h1>2 runs with different questions</h1>" in text
    assert rows_of(text, "What each run answers")[1:] == [
        ["plane", "Is it upper or lower?"],
        ["numbers", "How large is the target?"],
    ]
    assert "They have no score in common." in text
    assert 'class="best"' not in text  # there is no best loss of two losses, and no best accuracy of one run
    assert 'id="curves"' not in text


def test_a_folder_s_name_turns_no_text_around(runs):
    names = {"\u202egnp\n": runs["plane"], "a\x1b[31m": runs["numbers"]}
    text = comparison_html([(Path(name), run, read_facts(folder)) for name, (folder, run) in names.items()])
    assert "Each against the first run, \\u202egnp\\n." in text
    assert not re.search("[\u202e\x1b\ufffd]", html.unescape(text))


BASE = fn.Experiment(
    data=data.Diabetes(split=data.Split(test=0.2), scale="standard"),
    model=fn.Dense(1),
    loss=losses.MeanSquaredError(),
    metrics=(metrics.RMSE(),),
    optimizer=optim.Adam(0.1),
    training=fn.Training(epochs=1),
)


def evolved(spec, **changes):
    return attrs.evolve(spec, **changes)


CHANGES = {
    "nothing": (BASE, []),
    "the seed": (evolved(BASE, seed=1), [SEEDS]),
    "the split": (
        evolved(BASE, data=evolved(BASE.data, split=data.Split(test=0.3))),
        ["The runs differ in their data (split.test), so each may be scored on other rows."],
    ),
    "the scale": (
        evolved(BASE, data=evolved(BASE.data, scale="minmax")),
        ["The runs prepare the same rows in different ways (scale)."],
    ),
    "the scale of the target": (
        evolved(BASE, data=evolved(BASE.data, target_scale="standard")),
        [
            "The runs prepare the same rows in different ways (target_scale).",
            "The runs scale their targets differently, so their losses do not compare.",
        ],
    ),
    "the float type": (evolved(BASE, dtype="float64"), ["The runs compute the same rows in different float types."]),
    "the loss": (evolved(BASE, loss=losses.Huber()), ["The runs minimise different losses, which do not compare."]),
}
BEST = {"nothing": 2, "the loss": 0, "the scale of the target": 0}
"""How many of the losses are in bold"""


@pytest.mark.parametrize("change", CHANGES)
def test_what_differs_is_said_plainly(tmp_path, change):
    other, said = CHANGES[change]
    pairs = [(tmp_path / name, fn.run(spec, tmp_path / name)) for name, spec in (("a", BASE), ("b", other))]
    text = comparison_html([(folder, run, read_facts(folder)) for folder, run in pairs])
    assert [plain(one) for one in re.findall('<p class="note">(.*?)</p>', text)] == said
    scores = text[text.index("<caption>Scores of the test part") :]
    rows = [row.split("</td>") for row in scores[: scores.index("</table>")].split("<tr>")[2:]]
    assert [row[0].count('class="best"') for row in rows].count(1) == BEST.get(change, 1)  # of the losses
    assert "Which of 2 runs answers best?" in text
    assert re.search('<p class="answer">.*rmse of the test part', text)
