"""Several runs beside one another."""

import html
import re
from pathlib import Path

import numpy as np

from funcnet.experiments.report.comparison import comparison_html
from funcnet.experiments.stored import read_facts
from tests.reports import plain, rows_of


def test_several_runs_are_compared(several):
    text = comparison_html(several)
    scores = [run.metrics["test"]["accuracy"] for _, run, _ in several]
    best = several[int(np.argmax(scores))][0].name
    assert f"{100 * max(scores):.3g} %" in text
    assert f"{best} " in plain(re.search('<p class="answer">.*?</p>', text)[0])
    rows = rows_of(text, "Scores of the test part, the best in bold")
    assert [row[0] for row in rows] == ["run", "a", "b", "<c>"]
    assert [row[2] for row in rows[1:]] == [f"{score:.5g}" for score in scores]
    assert (
        "The runs have different seeds, which choose the rows that are held out, so each may be scored on other rows."
        in text
    )
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
