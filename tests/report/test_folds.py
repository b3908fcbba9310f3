"""The scores of folds in a page, from the file that ``funcnet train --folds`` writes."""

import pytest

from funcnet.experiments.report.folds import section
from tests.reports import rows_of

TEXT = "fold,rows,loss,accuracy\n1,50,0.5,1.0\n2,1450,0.25,0.96\n"


def test_folds_have_their_mean_and_deviation(tmp_path):
    assert section(tmp_path) is None
    (tmp_path / "folds.csv").write_text(TEXT, encoding="utf-8")
    assert rows_of(section(tmp_path).parts[0], "Scores of 2 folds") == [
        ["fold", "rows", "loss", "accuracy"],
        ["1", "50", "0.5", "1"],
        ["2", "1,450", "0.25", "0.96"],
        ["mean", "", "0.375", "0.98"],
        ["deviation", "", "0.125", "0.02"],
    ]


def test_of_many_folds_the_first_are_shown(tmp_path):
    (tmp_path / "folds.csv").write_text("fold,rows,loss\n" + "1,2,3.5\n" * 200, encoding="utf-8")
    rows = rows_of(section(tmp_path).parts[0], "Scores of 200 folds, the first 60 of them")
    assert len(rows) == 63
    assert rows[-2] == ["mean", "", "3.5"]


@pytest.mark.parametrize(
    "content",
    ["", "a,b,c\n1,2,3", "fold,rows\n1,2", "fold,rows,loss\n", "fold,rows,loss\n1,2", "fold,rows,loss\n1,2,<b>", "\0"],
)
def test_a_file_of_another_form_is_left_out(tmp_path, content):
    (tmp_path / "folds.csv").write_text(content, encoding="utf-8")
    assert section(tmp_path) is None
