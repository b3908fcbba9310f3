"""What is found in tables that nobody has described."""

import gzip

import numpy as np
import pytest

import funcnet as fn
from funcnet.data.sniff import form, look


def rows(count, *columns, header=None, delimiter=","):
    """A text of ``count`` lines; each column is a function of the line's number."""
    lines = [] if header is None else [delimiter.join(header)]
    lines += [delimiter.join(str(column(i)) for column in columns) for i in range(count)]
    return "\n".join(lines) + "\n"


def put(folder, text, name="mine.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


NUMBER = lambda i: i * i % 37 / 8  # noqa: E731
OTHER = lambda i: (i * 7 + 3) % 101 / 4  # noqa: E731
CLASS = lambda i: "red" if i % 3 else "blue"  # noqa: E731

FORMS = {  # text to delimiter and header
    "commas": ("a,b,c\n1,2,x\n3,4,y\n", ",", True),
    "semicolons": ("a;b;c\n1;2;x\n3;4;y\n", ";", True),
    "tabs": ("a\tb\tc\n1\t2\tx\n", "\t", True),
    "bars": ("1|2|x\n3|4|y\n", "|", False),
    "no header": ("1,2,x\n3,4,y\n", ",", False),
    "a missing value in the first row": ("?,2,x\n3,4,y\n5,6,x\n", ",", False),
    "a missing value in the only numbers": ("?,z\n3,y\n5,x\n", ",", False),
    "words, no header": ("red,big,yes\nblue,big,no\nred,small,no\n", ",", False),
    "words below names": ("colour,size,good\nred,big,yes\nblue,big,no\n", ",", True),
    "one number among words, no header": ("red,1\nblue,-\nred,3\n", ",", False),
    "numbers as names, but one": (",0,1,y\n0,5.5,6.5,2\n1,7.5,8.5,3\n", ",", True),
    "numbers in numbers": ("2019,2020\n1.5,2.5\n3.5,4.5\n", ",", False),
    "a comma inside every text": ("name;age;ok\nLee, Ann;30;y\nPark, Bo;40;n\n", ";", True),
    "a semicolon inside every text": ("ab;cd,3,4\nef;gh,5,6\n", ",", False),
    "decimal commas, no header": ("5,1;3,5;1,4\n4,9;3,1;1,5\n", ";", False),
    "quoted delimiters": ('a,b\n"1;2;3",5\n"4;5;6",7\n', ",", True),
    "a line that is ragged": ("a,b,c\n" + "1,2,x\n" * 30 + "1,2\n", ",", True),
    "dates among words, no header": ("2024-03-01,red\n2024-03-02,blue\n2024-03-04,red\n", ",", False),
    "dates below a name": ("day,red\n2024-03-01,red\n2024-03-02,blue\n", ",", True),
    "dates above numbers": ("2024-01-01,2024-02-01\n1,2.5\n3,4.5\n", ",", True),
    "a byte-order mark and empty lines": ("\ufeffa,b\n\n1,2\n\n3,4\n", ",", True),
}


@pytest.mark.parametrize("name", FORMS)
def test_delimiter_and_header(tmp_path, name):
    text, delimiter, header = FORMS[name]
    assert form(put(tmp_path, text)) == (delimiter, header)


NAMES = ["Ann Lee", "Bo Park", "Cleo Ueda", "Dina Roy"]
UNCLEAR = (
    "has numbers with {}, such as {!r} in line {}, and whether it is decimal is not clear in this file; "
    "use a decimal point alone, or give decimal and thousands in the spec"
)
UNITS = "has numbers of several units, such as {!r} in line {} and {!r} in line {}; give them one unit"
UNREAD = "holds dates that are not read, such as {!r} in line {}; write a date like 2024-05-31 or 2024-05-31T09:05"
INPUTS = {  # a column by the line's number, to its kind, distinct values, missing ones, example and reason
    "price": (lambda i: i / 2, ("number", 40, 0, "0.0", "")),
    "rooms": (lambda i: i % 4 + 1, ("number", 4, 0, "1", "")),
    "with gaps": (lambda i: "" if i % 4 == 0 else i, ("number", 30, 10, "1", "")),
    "with odd gaps": (lambda i: "n/a" if i % 4 == 0 else i, ("number", 30, 10, "1", "")),
    "mostly none": (
        lambda i: "none" if i % 4 else i,
        ("left out", 11, 0, "0", "has 11 different texts; at most 10 are taken as categories"),
    ),
    "colour": (lambda i: "red" if i % 3 else "blue", ("category", 2, 0, "blue", "")),
    "up to ten": (lambda i: f"c{i % 10}", ("category", 10, 0, "c0", "")),
    "dependents": (lambda i: ["0", "1", "3+"][i % 7 % 3], ("category", 3, 0, "0", "")),
    "eleven": (
        lambda i: f"c{i % 11}",
        ("left out", 11, 0, "c0", "has 11 different texts; at most 10 are taken as categories"),
    ),
    "name": (
        lambda i: f"{NAMES[i % 4]} {i}",
        ("left out", 40, 0, "Ann Lee 0", "holds texts that nearly all differ, such as names or ids"),
    ),
    "row": (lambda i: i, ("left out", 40, 0, "0", "numbers the rows")),
    "from one": (lambda i: i + 1, ("left out", 40, 0, "1", "numbers the rows")),
    "year": (lambda i: 1950 + i, ("number", 40, 0, "1950", "")),
    "customer_id": (
        lambda i: 500 + i * i,
        ("left out", 40, 0, "500", "is an id: whole numbers that all differ"),
    ),
    "grid": (lambda i: 500 + i * i, ("number", 40, 0, "500", "")),
    "always": (lambda i: "EUR", ("left out", 1, 0, "EUR", "is always 'EUR'")),
    "once": (lambda i: "" if i % 2 else 7, ("left out", 1, 20, "7", "is always '7' or missing")),
    "empty": (lambda i: "", ("left out", 0, 40, "", "is empty")),
    "rare": (lambda i: i if i in (3, 9) else "NA", ("left out", 2, 38, "3", "is missing in 38 of 40 rows")),
    "date": (
        lambda i: f"2024-03-{i % 28 + 1:02d}",
        ("date", 28, 0, "2024-03-01", ""),
    ),
    "date and time": (
        lambda i: f"20{i:02d}-02-{'28T' if i % 4 else '29 '}{i % 24:02d}:05{':59.5+02:00' if i % 3 else ''}",
        ("date", 40, 0, "2000-02-29 00:05", ""),
    ),
    "date and gaps": (
        lambda i: f"2024-03-{i % 28 + 1:02d}" if i % 4 else "0000-00-00",
        ("date", 21, 10, "2024-03-02", ""),
    ),
    "one day": (
        lambda i: f"2024-03-01 {i % 24:02d}:00",
        ("left out", 24, 0, "2024-03-01 00:00", "is always the day 2024-03-01, and times of the day are not read"),
    ),
    "day month year": (
        lambda i: f"{i % 28 + 1}/{i % 12 + 1}/2024",
        ("left out", 40, 0, "1/1/2024", UNREAD.format("1/1/2024", 2)),
    ),
    "no such day": (
        lambda i: f"2024-02-{i % 30 + 1:02d}",
        ("left out", 30, 0, "2024-02-01", UNREAD.format("2024-02-30", 31)),
    ),
    "two forms": (
        lambda i: f"2024-03-{i % 28 + 1:02d}" if i % 5 else f"{i % 28 + 1}.3.2024",
        ("left out", 33, 0, "1.3.2024", UNREAD.format("1.3.2024", 2)),
    ),
    "half a date": (
        lambda i: f"2024-03-{i % 28 + 1:02d}" if i % 2 else f"day {i}",
        (
            "left out",
            34,
            0,
            "day 0",
            "holds dates except for 'day 0' in line 2 and 19 more; correct it, or list it in missing",
        ),
    ),
    "clock": (
        lambda i: f"{i % 24}:30",
        ("left out", 24, 0, "0:30", "holds times of the day, which are not read; convert them to numbers"),
    ),
    "comma": (
        lambda i: f'"{i},5"',
        ("left out", 40, 0, "0,5", UNCLEAR.format("a comma", "0,5", 2)),
    ),
    "thousands or decimals": (
        lambda i: f'"{i + 1},{i + 100}"',
        ("left out", 40, 0, "1,100", UNCLEAR.format("a comma", "1,100", 2)),
    ),
    "thousands": (lambda i: f'"{i + 1},000,{i + 100}"', ("number", 40, 0, "1,000,100", "")),
    "spaces": (lambda i: f"{i + 1} {i + 100}", ("number", 40, 0, "1 100", "")),
    "dollars": (lambda i: f"${i}.25", ("number", 40, 0, "$0.25", "")),
    "some dollars": (lambda i: f"${i}.25" if i % 2 else i, ("number", 40, 0, "0", "")),
    "percent": (lambda i: f"{i % 7}%", ("number", 7, 0, "0%", "")),
    "percent and gaps": (
        lambda i: f"{i}%" if i % 4 else ["NAN", "nil", "None", "N.A."][i // 4 % 4],
        ("number", 30, 10, "1%", ""),
    ),
    "some percent": (
        lambda i: f"{i}%" if i % 2 else i / 100,
        ("left out", 40, 0, "0.0", UNITS.format("1%", 3, "0.0", 2)),
    ),
    "two currencies": (
        lambda i: f"{'$€'[i % 2]}{i}",
        ("left out", 40, 0, "$0", UNITS.format("€1", 3, "$0", 2)),
    ),
    "codes": (lambda i: f"E{i % 9}", ("category", 9, 0, "E0", "")),
    "typing error": (
        lambda i: "12a" if i in (20, 30) else i / 4,
        (
            "left out",
            39,
            0,
            "0.0",
            "is numeric except for '12a' in line 22 and 1 more; correct it, or list it in missing",
        ),
    ),
    "twin": (
        lambda i: "warm" if CLASS(i) == "red" else "cold",
        ("left out", 2, 0, "cold", "is equivalent to the target"),
    ),
}


@pytest.mark.parametrize("name", INPUTS)
def test_columns(tmp_path, name):
    column, expected = INPUTS[name]
    target = CLASS if name == "twin" else lambda i: "yes" if i * 7 % 5 < 2 else "no"
    text = rows(40, NUMBER, column, target, header=["size", name, "class"])
    found = look(put(tmp_path, text)).columns[1]
    assert found == (name, *expected)


TARGETS = {  # a column, the task asked for, to the kind and the counts
    "words": (CLASS, None, "labels", {"red": 26, "blue": 14}),
    "two numbers": (lambda i: 1.5 if i % 3 else 0.5, None, "labels", {"1.5": 26, "0.5": 14}),
    "few whole numbers": (lambda i: i % 4, None, "labels", {"0": 10, "1": 10, "2": 10, "3": 10}),
    "few whole numbers, as values": (lambda i: i % 4, "values", "values", {}),
    "whole numbers that are rare": (lambda i: i % 9, None, "values", {}),
    "many whole numbers": (lambda i: i % 13, None, "values", {}),
    "many whole numbers, as labels": (lambda i: i % 13, "labels", "labels", 13),
    "one number in two forms": (lambda i: ["1", "1.0", "2"][i % 3], None, "values", {}),
    "few fractions": (lambda i: i % 4 / 2, None, "values", {}),
    "numbers": (NUMBER, None, "values", {}),
    "numbers and a word": (
        lambda i: ["1", "2", "3", "more"][i % 13 % 4],
        None,
        "labels",
        {"1": 13, "2": 9, "3": 9, "more": 9},
    ),
}


@pytest.mark.parametrize("name", TARGETS)
def test_targets(tmp_path, name):
    column, task, kind, counts = TARGETS[name]
    found = look(put(tmp_path, rows(40, NUMBER, column, header=["size", "t"])), task=task)
    assert (found.target.name, found.target.kind) == ("t", kind)
    assert (len(found.counts) if isinstance(counts, int) else found.counts) == counts
    assert list(found.counts.values()) == sorted(found.counts.values(), reverse=True)


@pytest.mark.parametrize(
    ("count", "distinct", "kind"), [(50, 10, "labels"), (49, 10, "values"), (99, 11, "values"), (15, 3, "labels")]
)
def test_whole_numbers_are_labels_where_they_are_few_and_repeated(tmp_path, count, distinct, kind):
    found = look(put(tmp_path, rows(count, NUMBER, lambda i: i % distinct, header=["size", "t"])))
    assert found.target.kind == kind


def test_odd_gaps_are_missing_everywhere_but_in_the_target(tmp_path):
    text = rows(40, lambda i: "-" if i % 5 == 0 else i, lambda i: "-" if i % 2 else "b", NUMBER, header=["a", "b", "t"])
    found = look(put(tmp_path, text))
    assert found.missing == ("-",)
    assert [column.missing for column in found.columns] == [8, 20, 0]
    labels = rows(40, lambda i: "-" if i % 5 == 0 else i / 4, NUMBER, lambda i: "-+"[i % 2], header=["a", "b", "t"])
    found = look(put(tmp_path, labels))
    assert found.missing == ()
    assert found.counts == {"-": 20, "+": 20}
    assert [column.kind for column in found.columns] == ["left out", "number", "labels"]


def test_a_target_is_named_or_numbered(tmp_path):
    path = put(tmp_path, rows(40, NUMBER, CLASS, OTHER, header=["a", "b", "c"]))
    assert [look(path, target).target.name for target in (None, "b", "1", "-2", "a")] == ["c", "b", "b", "b", "a"]
    path = put(tmp_path, rows(40, NUMBER, CLASS, OTHER, header=["a", "1", "c"]))
    assert look(path, "1").target.name == "1"


def test_a_delimiter_at_the_end_of_each_line_is_no_target(tmp_path):
    found = look(put(tmp_path, rows(40, NUMBER, CLASS, lambda i: "", header=["a", "b", ""])))
    assert found.target.name == "b"
    assert found.left_out[0].reason == "is empty"


def test_a_number_of_the_row_is_learnt_from_where_nothing_else_is(tmp_path):
    found = look(put(tmp_path, rows(40, lambda i: i, NUMBER, header=["day", "t"])))
    assert [(column.name, column.kind, column.reason) for column in found.inputs] == [("day", "number", "")]


OTHERWISE = "choose another with --target"
MISTAKES = {  # text, target and task to the message
    "empty": ("", None, None, "is empty"),
    "blank": ("\n \n", None, None, "has no rows"),
    "header alone": ("a,b\n", None, None, "has no rows below its header"),
    "ragged": ("a,b,c\n1,2,x\n1,2\n3,4,y\n", None, None, "line 3: expected 3 values, got 2"),
    "twice": ("a,a,t\n1,2,x\n3,4,y\n", None, None, "two columns are called 'a'; rename one"),
    "workbook": (b"PK\x03\x04....", None, None, "is a workbook or an archive, not text; save the sheet as CSV"),
    "gzip": (gzip.compress(b"a,b\n1,2\n"), None, None, "is compressed with gzip; unpack it first, as with gunzip"),
    "Latin-1": (
        "a,b\n1,é\n".encode("latin-1"),
        None,
        None,
        "line 2: is not UTF-8 text (in Latin-1 the byte 0xe9 would be 'é'); save the file as UTF-8",
    ),
    "one column": (
        "price\n1\n2\n",
        None,
        None,
        "has only one column, 'price'; expected at least one to learn from and one to predict, "
        "separated by a comma, semicolon, tab or bar",
    ),
    "no such target": (
        "a,b,species\n1,2,x\n3,4,y\n",
        "specie",
        None,
        "has no column 'specie' (target), did you mean 'species'?; it has a, b, species",
    ),
    "no such number": ("a,b\n1,2\n3,4\n", "7", None, "has no column 7 (target); it has 2, from 0"),
    "missing target": (
        "a,b,t\n1,2,x\n2,5,\n3,4,y\n4,9,?\n",
        None,
        None,
        f"line 3, column 't': the target is missing here and in 1 more rows; remove these rows, or {OTHERWISE}",
    ),
    "one target": (
        "a,b,t\n1,2,x\n2,5,x\n",
        None,
        None,
        f"the last column 't' is always 'x', which leaves nothing to predict; {OTHERWISE}",
    ),
    "names": (
        "t,a,b\nAnn,2,3\nBo,5,6\nCleo,1,1\n",
        "t",
        None,
        f"'t' has 3 different values in 3 rows, too many for classes; {OTHERWISE}",
    ),
    "words as values": (
        "a,t\n1.5,x\n2.5,y\n",
        None,
        "values",
        f"line 2, column 't': expected a number to predict, got 'x'; correct it, or {OTHERWISE}",
    ),
    "a typing error in the target": (
        rows(40, NUMBER, lambda i: "1o" if i == 20 else i, header=["a", "t"]),
        None,
        None,
        f"line 22, column 't': expected a number to predict, got '1o'; correct it, or {OTHERWISE}",
    ),
    "decimal commas in the target": (
        "a;t\n1.5;1,5\n2.5;2,5\n3.5;7,5\n",
        None,
        None,
        "line 2, column 't': expected a number to predict, got '1,5'; use a decimal point",
    ),
    "nothing to learn from": (
        rows(40, lambda i: "EUR", lambda i: f"{NAMES[i % 4]} {i}", NUMBER, header=["unit", "name", "t"]),
        None,
        None,
        "has no column to learn from besides the target 't' "
        "('unit': is always 'EUR'; 'name': holds texts that nearly all differ, such as names or ids)",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(tmp_path, name):
    text, target, task, message = MISTAKES[name]
    path = put(tmp_path, text)
    with pytest.raises(fn.DataError) as caught:
        look(path, target, task)
    assert str(caught.value) == f"{path}: {message}"


def test_missing_file_and_folder(tmp_path):
    for path, message in ((tmp_path / "no.csv", "there is no such file"), (tmp_path, "cannot be read: Is a directory")):
        with pytest.raises(fn.DataError) as caught:
            look(path)
        assert str(caught.value) == f"{path}: {message}"


def test_what_is_found_is_what_the_source_reads(tmp_path):
    """The missing texts that are found are enough for the source, and no more are read as missing."""
    text = rows(40, lambda i: "none" if i % 5 == 0 else i, NUMBER, header=["a", "t"])
    found = look(put(tmp_path, text))
    values = found.grid.numbers("a", found.missing, "")
    assert np.isnan(values).sum() == found.columns[0].missing == 8
