"""Dates in a table: their year, month and weekday are what datetime says, from training to a deployed program."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import funcnet as fn
from funcnet import data
from funcnet.cli import main
from funcnet.data.dates import date_part, day_of
from funcnet.data.in_time import ISO
from funcnet.data.preparation import prepare
from funcnet.data.preprocess import outside_range, transform
from funcnet.data.sources.base import Frame

NAMES = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
FORM = "expected a date like 2024-05-31 or 2024-05-31T09:05, got"
NO_DATES = [
    "", "2024-02-30", "2023-02-29", "1900-02-29", "0000-01-01", "2024-13-01", "2024-00-10", "10000-01-01", "2024-03",
    "2024", "20240301", "2024-3-1", "2024/03/01", "1/3/2024", "01.03.2024", "09:05", "2024-W09-5", "2024-061",
    "-2024-03-01", "2024-03-01T", "2024-03-01T9:05", "2024-03-01T24:00", "2024-03-01T09:60", "2024-03-01T09:05:60",
    "2024-03-01 ", "2024-03-01  09:05", "2024-03-01t09:05", "2024-03-01Z", "2024-03-01T09:05 CET", "２０２４-03-01",
    "NaT", "today",
]  # fmt: skip


# ----- one date ------------------------------------------------------------------------------------------------------


def test_the_parts_are_those_of_datetime() -> None:
    first = date(1, 1, 1).toordinal()
    for ordinal in [*range(first, date(9999, 12, 31).toordinal() + 1, 997), *range(730_000, 740_000, 13)]:
        day = date.fromordinal(ordinal)
        parts = [date_part(day.isoformat(), part) for part in ("year", "month", "weekday")]
        assert parts == [day.year, str(day.month), NAMES[day.weekday()]]
    assert [day_of(text) for text in ("0001-01-01", "9999-12-31")] == [date.min, date.max]
    assert date_part("2024-02-29", "weekday") == "Thursday"


FORMS = [
    "{}", "{}T23:59", "{} 00:00:00", "{}T09:05:00.123456789", "{} 09:05:07,5", "{}T23:30Z", "{}T00:30+14:00",
    "{} 23:30:00.5-0800",
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_a_day_is_the_one_that_is_written(form: str) -> None:
    assert day_of(form.format("2024-02-29")) == date(2024, 2, 29)


@pytest.mark.parametrize("text", NO_DATES)
def test_other_texts_are_no_dates(text: str) -> None:
    assert day_of(text) is None
    assert date_part(text, "year") is None


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text("0123456789-T:Z+., ", max_size=12).map("20{}".format) | st.from_regex(ISO, fullmatch=True))
def test_any_text_is_a_date_that_begins_with_it_or_none(text: str) -> None:
    day = day_of(text)
    assert day is None or str(day) == text[:10]


def test_texts_of_pythons_own_dates_are_read() -> None:
    moment = datetime(2024, 2, 29, 9, 5, 0, 70, UTC)
    for value in (moment, moment.replace(tzinfo=None), moment.date(), np.datetime64("2024-02-29T09:05", "ns")):
        assert day_of(str(value)) == date(2024, 2, 29)


# ----- a column ------------------------------------------------------------------------------------------------------

DAYS = ["2024-02-29", "2023-12-31T23:59", "2024-03-01 09:05:00+05:00", "2023-02-28", "2024-12-01"]
MONTHS, WEEKDAYS = ["2", "3", "12"], ["Friday", "Sunday", "Thursday", "Tuesday"]


def write(folder: Path, days: list[str], name: str = "t.csv", head: str = "day") -> None:
    lines = [f'"{day}",{i},{"no" if i % 2 else "yes"}' for i, day in enumerate(days)]
    (folder / name).write_text("\n".join([f'"{head}",a,y', *lines, ""]), encoding="utf-8")


def features(days: list[str], months: list[str], weekdays: list[str]) -> list[list[float]]:
    """What is expected of ISO dates, by datetime alone."""
    found = []
    for day in (date.fromisoformat(text[:10]) for text in days):
        hot = [str(day.month) == month for month in months] + [NAMES[day.weekday()] == name for name in weekdays]
        found.append([float(day.year), *map(float, hot)])
    return found


def test_year_month_and_weekday(tmp_path: Path) -> None:
    write(tmp_path, DAYS)
    found = prepare(data.Csv("t.csv", "y", inputs=("day",), dates="day"), fn.Key(0), tmp_path, np.float64)
    assert found.preprocess["columns"] == [
        {"name": "day", "part": "year", "kind": "number", "fill": None},
        {"name": "day", "part": "month", "kind": "one_hot", "categories": MONTHS, "fill": None},
        {"name": "day", "part": "weekday", "kind": "one_hot", "categories": WEEKDAYS, "fill": None},
    ]
    assert found.train.x.tolist() == features(DAYS, MONTHS, WEEKDAYS)
    assert found.found["columns"] == ["day"]


def test_the_year_is_scaled_and_the_rest_is_0_and_1(tmp_path: Path) -> None:
    write(tmp_path, DAYS)
    source = data.Csv("t.csv", "y", inputs=("day",), dates="day", scale="minmax")
    found = prepare(source, fn.Key(0), tmp_path, np.float64)
    expected = [[row[0] - 2023, *row[1:]] for row in features(DAYS, MONTHS, WEEKDAYS)]
    assert found.train.x.tolist() == expected
    assert json.loads(json.dumps(found.preprocess)) == found.preprocess


def test_missing_dates(tmp_path: Path) -> None:
    """The year is replaced as a number is, the month and the weekday as a category is."""
    write(tmp_path, [*DAYS, "", "NA"])
    source = data.Csv("t.csv", "y", inputs=("day",), dates="day", impute="median")
    found = prepare(source, fn.Key(0), tmp_path, np.float64)
    assert [column["fill"] for column in found.preprocess["columns"]] == [2024.0, "", ""]
    assert found.train.x[5:].tolist() == [[2024, 0, 0, 0, 1, 0, 0, 0, 0, 1]] * 2
    assert found.found["missing"] == {"day": 2}
    write(tmp_path, DAYS)
    known = prepare(source, fn.Key(0), tmp_path, np.float64).preprocess
    assert [column["fill"] for column in known["columns"]] == [2024.0, "12", "Sunday"]  # of ties the smallest text
    frame = Frame({"day": np.array(["", "2030-05-05"])}, np.arange(2, 4))
    assert transform(known, frame, np.float64).tolist() == [[2024, 0, 0, 1, 0, 1, 0, 0], [2030, 0, 0, 0, 0, 1, 0, 0]]


def test_a_month_is_no_missing_text(tmp_path: Path) -> None:
    write(tmp_path, DAYS)
    source = data.Csv("t.csv", "y", inputs=("day",), dates="day", impute=0.0, missing=("3", "Friday", "2024"))
    assert prepare(source, fn.Key(0), tmp_path, np.float64).train.x.tolist() == features(DAYS, MONTHS, WEEKDAYS)


def test_unknown_months_and_weekdays_are_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, DAYS)
    found = prepare(data.Csv("t.csv", "y", inputs=("day",), dates="day"), fn.Key(0), tmp_path)
    frame = Frame({"day": np.array(["2024-02-29", "2025-04-02", "2022-04-03"])}, np.array([2, 3, 4]))
    assert caplog.records == []
    transform(found.preprocess, frame, np.float64)
    assert [record.getMessage() for record in caplog.records] == [
        "column 'day': 2 of 3 rows have a month that the training part lacks, such as '4' in line 3; it counts as 0 in "
        "every column of its categories",
        "column 'day': 1 of 3 rows have a weekday that the training part lacks, such as 'Wednesday' in line 3; it "
        "counts as 0 in every column of its categories",
    ]
    rows, counts = outside_range(found.preprocess, frame)
    assert rows.tolist() == [False, True, True]
    assert counts == {"day:year": 2, "day:month": 2, "day:weekday": 1}


def test_a_column_that_orders_the_rows_too(tmp_path: Path) -> None:
    days = [str(date(2024, 1, 1) + timedelta(days=i * 37 % 100)) for i in range(20)]
    write(tmp_path, days)
    for inputs in (None, ("a", "day")):
        source = data.Csv("t.csv", "y", inputs=inputs, dates="day", split=data.Split(time="day", test=0.25))
        found = prepare(source, fn.Key(0), tmp_path, np.float64)
        late = sorted(range(20), key=lambda i: days[i])[15:]
        assert found.parts.test.tolist() == late
        assert found.test is not None
        at = 0 if inputs is None else 1
        assert found.test.x[:, at].tolist() == [2024.0] * 5
        assert sorted(found.found["columns"]) == ["a", "day"]
    aside = data.Csv("t.csv", "y", split=data.Split(time="day", test=0.25))
    assert prepare(aside, fn.Key(0), tmp_path).found["columns"] == ["a"]


def test_a_part_from_another_file(tmp_path: Path) -> None:
    write(tmp_path, DAYS)
    write(tmp_path, ["2024-12-06T10:00"], "u.csv")
    source = data.Csv("t.csv", "y", dates="day", split=data.Split(given={"test": {"path": "u.csv"}}))
    test = prepare(source, fn.Key(0), tmp_path, np.float64).test
    assert test is not None
    assert test.x.tolist() == [[2024, 0, 0, 1, 1, 0, 0, 0, 0]]


# ----- from init to a deployed program -------------------------------------------------------------------------------


def test_from_init_to_a_deployed_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    days = [str(date(2019, 1, 1) + timedelta(days=i * 83 % 1500)) for i in range(60)]
    forms = ["{}", "{}T09:05", " {} 23:59:59.5 ", "{}T00:30+02:00"]
    texts = ["n/a" if i % 9 == 4 else forms[i % 4].format(day) for i, day in enumerate(days)]
    write(tmp_path, texts, head="Tag, Größe")
    assert main(["init", "t.csv", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["columns"][0] == {
        "name": "Tag, Größe", "kind": "date", "distinct": 53, "missing": 7, "example": "2019-01-01", "reason": "",
    }  # fmt: skip
    assert main(["init", "t.csv", "--force"]) == 0
    said = "\ndates     'Tag, Größe' becomes its year, month and weekday; its time of the day is not read\n"
    assert said in capsys.readouterr().out
    spec: Any = fn.load_spec("t.json")
    assert (spec.data.dates, spec.data.categorical) == (("Tag, Größe",), ())
    assert main(["check", "t.json"]) == 0
    assert main(["train", "t.json", "--out", "run", "--set", "training.epochs=1", "--progress", "none"]) == 0
    assert main(["diff", "t.json", "run"]) in (0, 1)
    assert main(["show", "run"]) == 0
    capsys.readouterr()
    assert main(["evaluate", "run", "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)["metrics"]
    assert scores == json.loads(Path("run/metrics.json").read_text()) | scores
    assert main(["evaluate", "run", "--data", "t.csv"]) == 0
    assert main(["source", "run", "--inference", "--out", "program.py"]) == 0
    write(tmp_path, [*texts, "2031-07-01"], "new.csv", head="Tag, Größe")
    capsys.readouterr()
    assert main(["predict", "run", "new.csv"]) == 0
    answers = capsys.readouterr().out
    done = subprocess.run([sys.executable, "program.py", "new.csv"], capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stdout.decode(), done.stderr.decode()) == (0, answers, "")
    assert main(["predict", "run", "new.csv", "--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 61
    write(tmp_path, ["2024-02-29", "29/2/2024"], "new.csv", head="Tag, Größe")
    assert main(["predict", "run", "new.csv"]) == 1
    place = "new.csv: line 3{} column 'Tag, Größe': " + f"{FORM} '29/2/2024'"
    assert capsys.readouterr().err == f"funcnet: {place.format(',')}; write it so, or list the text in missing\n"
    done = subprocess.run([sys.executable, "program.py", "new.csv"], capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stdout.decode(), done.stderr.decode()) == (1, "", place.format(":") + "\n")


def test_a_program_without_a_header_says_what_is_unknown(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [f"{date(2024, 1 + i % 6, 3 + i)};{i},5;{i % 2}" for i in range(20)]
    Path("t.csv").write_text("\n".join(lines))
    source = data.Csv(
        "t.csv",
        -1,
        dates="column_0",
        header=False,
        delimiter=";",
        decimal=",",
        scale="standard",
        categorical="column_2",
    )
    experiment = fn.Experiment(
        data=source, model=fn.Dense(2), loss=fn.losses.SoftmaxCrossEntropy(), optimizer=fn.optim.SGD(0.5),
        training=fn.Training(epochs=1),
    )  # fmt: skip
    fn.run(experiment, "run", base=".")
    assert main(["source", "run", "--inference", "--out", "program.py"]) == 0
    Path("new.csv").write_text("2024-12-01;1,5\n2024-01-03 10:00;2\n")
    capsys.readouterr()
    assert main(["predict", "run", "new.csv"]) == 0
    answers = capsys.readouterr().out
    done = subprocess.run([sys.executable, "program.py", "new.csv"], capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stdout.decode()) == (0, answers)
    assert done.stderr.decode() == "column 'column_0': 1 rows of an unknown month, such as '12'\n"
    Path("new.csv").write_text("2024-12-01;1,5\n;2\n")
    assert main(["predict", "run", "new.csv"]) == 1
    done = subprocess.run([sys.executable, "program.py", "new.csv"], capture_output=True, check=False, timeout=60)
    assert done.stderr.decode() == (
        "new.csv: line 2: column 'column_0': the value is missing; the training data had none missing here\n"
    )


# ----- mistakes ------------------------------------------------------------------------------------------------------


def refused(call: Any) -> str:
    with pytest.raises(fn.FuncnetError) as caught:
        call()
    return str(caught.value)


TWO = ["2024-02-29", "2024-03-01"]
GAP = 'the value is missing; choose a replacement, such as "impute": "median"'
REFUSED: dict[str, tuple[list[str], dict[str, Any], str]] = {
    "no such day": (
        ["2024-02-29", "2023-02-29"],
        {},
        f"line 3, column 'day': {FORM} '2023-02-29'; write it so, or list the text in missing",
    ),
    "a gap": (["2024-02-29", ""], {}, f"line 3, column 'day': {GAP}"),
    "no such column": (TWO, {"dates": "dya"}, "has no column 'dya' (dates), did you mean 'day'?; it has day, a, y"),
    "numbers": (
        TWO,
        {"dates": ("day", "a")},
        f"line 2, column 'a': {FORM} '0'; write it so, or list the text in missing",
    ),
    "target": (TWO, {"target": "day"}, "'day' is the target and is listed in dates; dates are inputs alone"),
    "not listed": (
        ["", *TWO],
        {"dates": (), "impute": "median"},
        "line 3, column 'day': expected a number, got '2024-02-29'; list 'day' in dates, which become year, month and "
        "weekday",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_data_that_is_refused(tmp_path: Path, name: str) -> None:
    days, fields, expected = REFUSED[name]
    write(tmp_path, days)
    source = data.Csv(**{"path": "t.csv", "target": "y", "dates": "day"} | fields)
    found = refused(lambda: prepare(source, fn.Key(0), tmp_path))
    assert found.removeprefix(f"{tmp_path / 't.csv'}: ") == expected


@pytest.mark.parametrize("other", [{"categorical": "day"}, {"ordinal": {"day": ["u"]}}, {"marks": {"day": "$"}}])
def test_a_column_of_dates_is_nothing_else(other: dict[str, Any]) -> None:
    expected = f"Csv.dates: 'day' is in {next(iter(other))} too; a column of dates is in dates alone"
    assert refused(lambda: data.Csv("t.csv", "y", dates="day", **other)) == expected


def test_a_frame_with_a_text_that_is_no_date(tmp_path: Path) -> None:
    write(tmp_path, DAYS)
    found = prepare(data.Csv("t.csv", "y", dates="day", inputs=("day",)), fn.Key(0), tmp_path)
    frame = Frame({"day": np.array(["2024-02-29", "soon"])}, np.array([7, 8]))
    assert refused(lambda: transform(found.preprocess, frame, np.float64)) == f"line 8, column 'day': {FORM} 'soon'"


def test_dates_as_a_target_are_named(tmp_path: Path, capsys: Any) -> None:
    write(tmp_path, [str(date(2024, 1, 1) + timedelta(days=i)) for i in range(30)])
    assert main(["init", str(tmp_path / "t.csv"), "--target", "day"]) == 1
    assert capsys.readouterr().err == (
        f"funcnet: {tmp_path / 't.csv'}: 'day' holds dates, which are inputs alone; choose another with --target\n"
    )
