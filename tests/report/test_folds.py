"""The folds of a cross-validation: their scores, mean and deviation, from a file that may be anybody's."""

import numpy as np
import pytest

import funcnet as fn
from funcnet.experiments.report.folds import read_folds
from tests.cli import SMALL, funcnet
from tests.reports import rows_of, text_of


def test_the_page_has_the_scores_of_the_folds(tmp_path):
    (tmp_path / "small.json").write_text(SMALL, encoding="utf-8")
    said = funcnet(tmp_path, "train", "small.json", "--folds", "3", "--out", "run", "--progress", "none")
    assert said.status == 0
    found = fn.cross_validate(fn.load_spec(tmp_path / "small.json"), folds=3)
    names = list(found.scores[0])
    head, *rows = rows_of(text_of(tmp_path / "run"), "Scores of the folds")
    assert head == ["fold", "rows", *names]
    assert [row[:2] for row in rows[:-2]] == [[str(i + 1), str(len(held))] for i, held in enumerate(found.held_out)]
    for row, scores in zip(rows, [*found.scores, found.mean, found.deviation], strict=True):
        assert [float(cell) for cell in row[2:]] == pytest.approx([scores[name] for name in names], rel=1e-4)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\xff", b"fold,rows\n1,2\n", b"fold,rows,loss\n", b"fold,rows,loss\n1,2\n", b"a,b,c\n1,2,3\n",
        b"fold,rows,loss\n1,2,x\n", b"fold,rows,loss\n1,2,0.5\n2,2,0.5,7\n", b"fold,rows,loss\n1,2,0.5\n" * 100_000,
    ],
)  # fmt: skip
def test_another_file_of_that_name_is_left_out(tmp_path, content):
    (tmp_path / "folds.csv").write_bytes(content)
    assert read_folds(tmp_path) is None


def test_scores_that_are_not_finite_are_read(tmp_path):
    (tmp_path / "folds.csv").write_text("fold,rows,loss\n1,9,nan\n2,9,inf\n", encoding="utf-8")
    names, rows, scores = read_folds(tmp_path)
    assert (names, rows) == (["loss"], [9, 9])
    np.testing.assert_array_equal(scores, [[np.nan], [np.inf]])
