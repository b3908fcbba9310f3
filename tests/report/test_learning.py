"""Distributions: findings in sentences, and files that are damaged."""

import json

import pytest

from funcnet.experiments.report.learning import findings, read_lines
from funcnet.experiments.report.report import report_html
from tests.reports import HOSTILE


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
