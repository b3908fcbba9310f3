"""Tables in text files: what is read, and the one message for each way in which one cannot be."""

import gzip

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import funcnet as fn
from funcnet import data
from funcnet.data import prepare
from funcnet.data.paths import Trusted
from funcnet.data.sources.csv import read_number

KEY = fn.Key(3)


def write(folder, content, name="a.csv"):
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder / name


def table(folder, content, **fields):
    write(folder, content)
    return data.Csv(**{"path": "a.csv", "target": "y"} | fields).table(folder, KEY)


NUMBERS = {  # a text, decimal, thousands and mark to the number
    ("1,234.50", ".", ",", ""): 1234.5,
    ("1,234", ".", "", ""): None,
    ("1,23", ".", ",", ""): None,
    ("1234,567", ".", ",", ""): None,
    (",234", ".", ",", ""): None,
    ("1.234,5", ",", ".", ""): 1234.5,
    ("1.5", ",", "", ""): None,
    ("1.5", ",", ".", ""): None,
    ("1,5.5", ",", "", ""): None,
    ("-1\u00a0234\u202f567", ".", " ", ""): -1234567.0,
    ("1 23", ".", " ", ""): None,
    ("1'000", ".", "'", ""): 1000.0,
    ("$10.94", ".", "", "$"): 10.94,
    ("-$10.94", ".", "", "$"): -10.94,
    ("$-10.94", ".", "", "$"): -10.94,
    ("10.94 €", ".", "", "€"): 10.94,
    ("10.94", ".", "", "€"): 10.94,
    ("€10.94", ".", "", "$"): None,
    ("$ $1", ".", "", "$"): None,
    ("51.8%", ".", "", "%"): 51.8,
    ("51.8 %", ".", "", "%"): 51.8,
    ("0.518", ".", "", "%"): None,
    ("--5%", ".", "", "%"): None,
    ("%", ".", "", "%"): None,
    ("1e3", ",", "", ""): 1000.0,
    ("1_0", ",", "", ""): None,
    ("inf%", ".", "", "%"): None,
}


@pytest.mark.parametrize("case", NUMBERS, ids=str)
def test_numbers_in_many_forms(case):
    assert read_number(*case) == NUMBERS[case]


def test_a_number_that_is_no_text_has_no_percent():
    assert read_number(0.5, mark="%") is None
    assert read_number(0.5, mark="$", decimal=",") == 0.5


TOKEN = '. {!r} counts as missing; if it is a value, give a list "missing" without it'


def prepared(folder, content, **fields):
    write(folder, content)
    return prepare(data.Csv(**{"path": "a.csv", "target": "y"} | fields), KEY, folder, np.float64)


def message(call, error=fn.DataError):
    with pytest.raises(error) as caught:
        call()
    return str(caught.value)


# ----- what is read -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        ("a,b,y\n1,2.5,0\n3,-4,1\n", {}),
        ("a,b,y\r\n1,2.5,0\r\n3,-4,1\r\n", {}),
        ("a,b,y\r1,2.5,0\r3,-4,1\r", {}),
        ("a,b,y\n1,2.5,0\n3,-4,1", {}),
        ("\ufeffa,b,y\n1,2.5,0\n3,-4,1\n", {}),
        ("\n\na,b,y\n\n1,2.5,0\n   \n3,-4,1\n\n", {}),
        (" a , b ,y \n 1, 2.5 ,0\n3 ,-4, 1\n", {}),
        ('"a","b","y"\n"1","2.5","0"\n3,-4,1\n', {}),
        ("a;b;y\n1;2.5;0\n3;-4;1\n", {"delimiter": ";"}),
        ("a\tb\ty\n1\t2.5\t0\n3\t-4\t1\n", {"delimiter": "\t"}),
        ("a|b|y\n1|2.5|0\n3|-4|1\n", {"delimiter": "|"}),
        ("a b y\n1 2.5 0\n3 -4 1\n", {"delimiter": " "}),
        ("a,b,y\n1e0,25E-1,0\n.3e+1,-4.,1\n", {}),
        ("a,b,y\n+1,2.50,+0\n3,-4.0,1\n", {}),
        ("a,b,y\n1,2.5,0\n3,-4,1\n".encode("utf-16"), {}),
        ("a;b;y\n1,0;2,5;0\n3;-4,0;1\n", {"delimiter": ";", "decimal": ","}),
        ("a,b,y\n$1,2.5 %,0\n3 $,-4%,1\n", {"marks": {"a": "$", "b": "%"}}),
    ],
    ids=[
        *("plain", "crlf", "cr", "no-end", "mark", "empty-lines", "spaces", "quoted", "semicolon", "tab", "bar"),
        *("space", "exponents", "signs", "utf-16", "decimal-comma", "marks"),
    ],
)
def test_one_table_in_many_forms(tmp_path, content, fields):
    found = table(tmp_path, content, **fields)
    assert list(found.x.columns) == ["a", "b"]
    assert found.x.columns["a"].tolist() == [1.0, 3.0]
    assert found.x.columns["b"].tolist() == [2.5, -4.0]
    assert (found.y.tolist(), found.y.dtype) == ([0, 1], np.int64)
    assert found.outputs == ("y",)


def test_quoted_values_hold_delimiters_quotes_and_line_ends(tmp_path):
    content = 'a,"the ""b"", here",y\n1,"x, y",no\n2,"two\nlines",yes\n3,"x, y",no\n'
    found = table(tmp_path, content, categorical='the "b", here')
    assert found.x.columns['the "b", here'].tolist() == ["x, y", "two\nlines", "x, y"]
    assert found.x.lines.tolist() == [2, 3, 5]  # where each row begins
    assert found.y.tolist() == ["no", "yes", "no"]


def test_without_a_header_columns_are_numbered(tmp_path):
    found = table(tmp_path, "1,2,0\n3,4,1\n", header=False, target=-1)
    assert {name: column.tolist() for name, column in found.x.columns.items()} == {
        "column_0": [1.0, 3.0],
        "column_1": [2.0, 4.0],
    }
    assert (found.outputs, found.y.tolist()) == (("column_2",), [0, 1])
    assert table(tmp_path, "1,2,0\n3,4,1\n", header=False, target=0).outputs == ("column_0",)


@pytest.mark.parametrize(
    ("values", "fields", "y"),
    [
        (["2", "0", "1"], {}, np.array([2, 0, 1])),
        (["2", "0.5", "1"], {}, np.array([2.0, 0.5, 1.0])),
        (["2.0", "0.0", "1.0"], {}, np.array([2.0, 0.0, 1.0])),
        (["b", "a", "b"], {}, np.array(["b", "a", "b"])),
        (["2", "10", "2"], {"categorical": "y"}, np.array(["2", "10", "2"])),
        (["9007199254740991", "-1", "0"], {}, np.array([2**53 - 1, -1, 0])),
        (["99999999999999999999", "1", "0"], {}, np.array([1e20, 1.0, 0.0])),  # no 64-bit integer
    ],
    ids=["whole", "numbers", "points", "texts", "categorical", "large", "too-large"],
)
def test_the_kind_of_a_target(tmp_path, values, fields, y):
    found = table(tmp_path, "a,y\n" + "".join(f"{i},{value}\n" for i, value in enumerate(values)), **fields).y
    assert found.dtype == y.dtype
    assert found.tolist() == y.tolist()


def test_labels_that_are_numbers_are_ordered_as_numbers(tmp_path):
    found = prepared(tmp_path, "a,y\n1,10\n2,9\n3,2\n", categorical="y")
    assert found.preprocess["classes"] == ["2", "9", "10"]
    assert found.train.y.tolist() == [2, 1, 0]


def test_labels_that_are_not_all_numbers_are_ordered_as_text(tmp_path):
    found = prepared(tmp_path, "a,y\n1,c10\n2,c9\n3,c2\n4,b\n5,c02\n", categorical="y")
    assert found.preprocess["classes"] == ["b", "c02", "c10", "c2", "c9"]


def test_several_targets_and_a_weight(tmp_path):
    found = table(tmp_path, "a,u,v,w\n1,2,3,0.5\n4,5,6,2\n", target=["v", "u"], weight="w")
    assert list(found.x.columns) == ["a"]
    assert (found.y.tolist(), found.y.dtype) == ([[3.0, 2.0], [6.0, 5.0]], np.float64)
    assert found.outputs == ("v", "u")
    assert found.weight.tolist() == [0.5, 2.0]
    assert table(tmp_path, "a,u,v,w\n1,2,3,0.5\n", target=[-2]).y.tolist() == [3]


def test_inputs_are_taken_by_name_in_the_order_given(tmp_path):
    found = table(tmp_path, "a,note,b,y\n1,hello,2,0\n", inputs=["b", "a"])
    assert [(name, column.tolist()) for name, column in found.x.columns.items()] == [("b", [2.0]), ("a", [1.0])]


@pytest.mark.parametrize("text", ["", "NA", "N/A", "na", "NaN", "nan", "null", "NULL", "?"])
def test_missing_values_become_what_the_spec_says(tmp_path, text):
    content = f"a,c,y\n1,u,0\n{text},v,1\n4,{text},0\n7,v,1\n"
    found = prepared(tmp_path, content, categorical="c", impute="median")
    assert found.train.x.tolist() == [[1, 1, 0, 0], [4, 0, 1, 0], [4, 0, 0, 1], [7, 0, 1, 0]]  # u, v, and missing
    assert found.found == {
        "rows": {"train": 4},
        "columns": ["a", "c"],
        "missing": {"a": 1, "c": 1},
        "missing_texts": {"a": {text: 1}, "c": {text: 1}},
        "targets": ["y"],
    }


def test_missing_texts_are_those_of_the_spec(tmp_path):
    found = prepared(tmp_path, "a,y\n1,0\n-99,1\n3,0\n", missing=["-"], impute=0)
    assert found.train.x.tolist() == [[1.0], [-99.0], [3.0]]
    found = prepared(tmp_path, "a,y\n1,0\n-,1\n3,0\n", missing=["-"], impute="mean")
    assert found.train.x.tolist() == [[1.0], [2.0], [3.0]]
    found = prepared(tmp_path, "a,y\nNA,0\nDE,1\n", categorical="a", missing=[])  # Namibia is no gap
    assert found.train.x.tolist() == [[0.0, 1.0], [1.0, 0.0]]


def test_columns_of_a_split_are_no_inputs(tmp_path):
    content = "a,g,y\n" + "".join(f"{i},{'abcde'[i % 5]},{i % 2}\n" for i in range(10))
    found = prepared(tmp_path, content, split=data.Split(group="g", test=0.4))
    assert found.found["columns"] == ["a"]
    assert (len(found.parts.train), len(found.parts.test)) == (6, 4)
    groups = [{i % 5 for i in part.tolist()} for part in (found.parts.train, found.parts.test)]
    assert not groups[0] & groups[1]


def test_groups_are_told_apart_by_every_digit(tmp_path):
    """As floats these numbers would be one."""
    content = "a,g,y\n1,9007199254740992,0\n2,9007199254740993,1\n"
    found = prepared(tmp_path, content, split=data.Split(group="g", test=0.5))
    assert (len(found.parts.train), len(found.parts.test)) == (1, 1)


@pytest.mark.parametrize(
    ("times", "order"),
    [
        (["10", "9", "100", "8"], [3, 1, 0, 2]),  # numbers, not texts
        (["2024-05-31", "2023-12-01", "2024-06-01", "2024-05-30"], [1, 3, 0, 2]),
    ],
)
def test_rows_are_ordered_by_time(tmp_path, times, order):
    content = "t,a,y\n" + "".join(f"{time},{i},0\n" for i, time in enumerate(times))
    parts = prepared(tmp_path, content, split=data.Split(time="t", validation=0.25, test=0.25)).parts
    assert [row for part in parts for row in part.tolist()] == order


# ----- parts in files of their own ----------------------------------------------------------------------------------


def test_a_given_file_is_matched_by_names(tmp_path):
    write(tmp_path, "y,note,b,a\n1,some text,20,2\n0,more,10,1\n", "test.csv")
    found = prepared(
        tmp_path, "a,b,y\n1,10,0\n3,30,1\n", target=-1, split=data.Split(given={"test": {"path": "test.csv"}})
    )
    assert sorted(found.train.x.tolist()) == [[1.0, 10.0], [3.0, 30.0]]
    assert found.test.x.tolist() == [[2.0, 20.0], [1.0, 10.0]]
    assert found.test.y.tolist() == [1, 0]
    assert (sorted(found.parts.train.tolist()), found.parts.test.tolist()) == ([0, 1], [2, 3])


def test_a_given_file_beside_groups(tmp_path):
    content = "a,g,y\n" + "".join(f"{i},{'abcde'[i % 5]},{i % 2}\n" for i in range(10))
    write(tmp_path, "a,g,y\n99,f,1\n", "test.csv")
    found = prepared(
        tmp_path, content, split=data.Split(group="g", validation=0.2, given={"test": {"path": "test.csv"}})
    )
    assert found.found["rows"] == {"train": 8, "validation": 2, "test": 1}
    assert found.test.x.tolist() == [[99.0]]


@pytest.mark.parametrize(
    ("test", "given", "expected"),
    [
        ("a,y\n1,0\n", {"path": "test.csv"}, "{folder}/test.csv: has no column 'b' (inputs); it has a, y"),
        (
            "a,b,y\n1,2,0\n3,?,1\n",
            {"path": "test.csv"},
            "{folder}/test.csv: line 3, column 'b': the value is missing; choose a replacement, "
            'such as "impute": "median"' + TOKEN.format("?"),
        ),
        ("a,b,y\n1,2,2\n", {"path": "none.csv"}, "{folder}/none.csv: there is no such file"),
        ("", {"path": "test.csv"}, "{folder}/test.csv: is empty"),
        ("", {"paht": "test.csv"}, "$.data.split.given.test.paht: unknown field of 'csv', did you mean 'path'?"),
    ],
    ids=["lost", "missing", "no-file", "empty", "field"],
)
def test_given_files_that_cannot_be_used(tmp_path, test, given, expected):
    write(tmp_path, test, "test.csv")
    fields = {"split": data.Split(given={"test": given})}
    text = message(lambda: prepared(tmp_path, "a,b,y\n1,10,0\n3,30,1\n", **fields), fn.FuncnetError)
    assert text == expected.format(folder=tmp_path)


# ----- what cannot be read ------------------------------------------------------------------------------------------

BAD = {
    "empty": ("", {}, "is empty"),
    "blank": ("\n  \n\n", {}, "has no rows"),
    "mark-alone": (b"\xef\xbb\xbf", {}, "has no rows"),
    "header-alone": ("a,y\n", {}, "has no rows below its header"),
    "short": ("a,b,y\n1,2,0\n3,1\n", {}, "line 3: expected 3 values, got 2"),
    "long": ("a,y\n1,2\n\n3,1,4\n", {}, "line 4: expected 2 values, got 3"),
    "delimiter": ("a,y\n1;2\n", {}, "line 2: expected 2 values, got 1; is the delimiter right?"),
    "short-after-lines": ('a,y\n"1\n\n2",2\n3,1,4\n', {}, "line 5: expected 2 values, got 3"),
    "text": (
        "a,y\n1,0\nmany,1\n",
        {},
        "line 3, column 'a': expected a number, got 'many'; list 'a' in categorical if it is a category, or the text "
        "in missing",
    ),
    "underscore": (
        "a,y\n1_000,0\n",
        {},
        "line 2, column 'a': expected a number, got '1_000'; list 'a' in categorical if it is a category, or the text "
        "in missing",
    ),
    "infinite": (
        "a,y\n1,0\n2,1\n-inf,1\n",
        {},
        "line 4, column 'a': expected a number, got '-inf'; list 'a' in categorical if it is a category, or the text "
        "in missing",
    ),
    "too-large": (
        "a,y\n1e999,0\n",
        {},
        "line 2, column 'a': expected a number, got '1e999'; list 'a' in categorical if it is a category, or the text "
        "in missing",
    ),
    "nan": (
        "a,y\nnan,0\n",
        {"missing": []},
        "line 2, column 'a': expected a number, got 'nan'; list 'a' in categorical if it is a category, or the text "
        "in missing",
    ),
    "comma": (
        "a;y\n1,5;0\n",
        {"delimiter": ";"},
        "line 2, column 'a': expected a number, got '1,5'; list 'a' in categorical if it is a category, or the text "
        "in missing",
    ),
    "missing": (
        "a,y\n1,0\n,1\n",
        {},
        'line 3, column \'a\': the value is missing; choose a replacement, such as "impute": "median"',
    ),
    "fraction": (
        "a,y\n51.8%,0\n0.518,1\n",
        {"marks": {"a": "%"}},
        "line 3, column 'a': expected a number, got '0.518'; the spec says that numbers of this column have the mark "
        "'%'",
    ),
    "point": (
        "a;y\n1,5;0\n1.5;1\n",
        {"delimiter": ";", "decimal": ","},
        "line 3, column 'a': expected a number, got '1.5'; the spec says decimal ',' and thousands ''",
    ),
    "mark": ("a,y\n1,0\n", {"marks": {"b": "$"}}, "has no column 'b' (marks); it has a, y"),
    "missing-category": (
        "a,y\nu,0\nNA,1\n",
        {"categorical": "a"},
        'line 3, column \'a\': the value is missing; choose a replacement, such as "impute": "median"'
        + TOKEN.format("NA"),
    ),
    "missing-target": (
        "a,y\n1,0\n2,?\n",
        {},
        "line 3, column 'y': the target is missing; leave the row out"
        + TOKEN.format("?")
        + '; "missing_target": "drop" leaves out all such rows',
    ),
    "mixed-target": (
        "a,y\n1,0\n2,one\n",
        {},
        "line 3, column 'y': expected a number, got 'one'; list 'y' in categorical if it holds labels",
    ),
    "target": (
        "age,label\n1,0\n",
        {"target": "lable"},
        "has no column 'lable' (target), did you mean 'label'?; it has age, label",
    ),
    "target-number": ("a,y\n1,0\n", {"target": 2}, "has no column 2 (target); it has 2, from 0"),
    "target-negative": ("a,y\n1,0\n", {"target": -3}, "has no column -3 (target); it has 2, from 0"),
    "target-twice": ("a,y\n1,0\n", {"target": [-1, 1]}, "the column 'y' is named twice as a target"),
    "target-alone": ("y\n1\n2\n", {}, "no column is left as an input besides the target y"),
    "target-input": ("a,y\n1,0\n", {"inputs": ["a", "y"]}, "the column 'y' is both an input and the target"),
    "target-ordinal": (
        "a,y\n1,0\n",
        {"ordinal": {"y": ["0", "1"]}},
        "'y' is the target and is listed in ordinal; list it in categorical",
    ),
    "label-targets": (
        "a,u,v\n1,p,q\n",
        {"target": ["u", "v"]},
        "line 2, column 'u': expected several targets to be numbers, or labels that are present or absent (yes or no, "
        "true or false, 1 or 0), got 'p'; give one target, or a column of 1 and 0 for each label",
    ),
    "inputs": ("ab,y\n1,0\n", {"inputs": ["abc"]}, "has no column 'abc' (inputs), did you mean 'ab'?; it has ab, y"),
    "categorical": ("a,y\n1,0\n", {"categorical": "b"}, "has no column 'b' (categorical); it has a, y"),
    "weight": ("a,y\n1,0\n", {"weight": "w"}, "has no column 'w' (weight); it has a, y"),
    "weight-missing": (
        "a,y,w\n1,0,\n",
        {"weight": "w"},
        "line 2, column 'w': expected a number, got ''; weights must not be missing",
    ),
    "split": ("a,y\n1,0\n", {"split": data.Split(group="g", test=0.5)}, "has no column 'g' (split); it has a, y"),
    "group-missing": (
        "a,g,y\n1,u,0\n1,,0\n",
        {"split": data.Split(group="g", test=0.5)},
        "line 3, column 'g': the value is missing, and the split needs it",
    ),
    "times": (
        "a,t,y\n1,1999,0\n1,2001-01-01,0\n",
        {"split": data.Split(time="t", test=0.5)},
        "line 3, column 't': expected a number, got '2001-01-01'; use only numbers to order rows, or only texts "
        "such as 2024-05-31",
    ),
    "days first": (
        "a,t,y\n1,31/5/2024,0\n1,1/6/2024,0\n",
        {"split": data.Split(time="t", test=0.5)},
        "line 2, column 't': expected a number, or an ISO date or time, got '31/5/2024'; write all rows like "
        "2024-05-31, 2024-05-31T09:05 or 09:05, or put them in order and set split.time to true",
    ),
    "twice": ("a,a,y\n1,2,0\n", {}, "two columns are called 'a'; rename one"),
    "open-quote": ('a,y\n1,0\n"2,1\n3,0\n', {}, "line 3: cannot be read: unexpected end of data"),
    "after-quote": ('a,y\n"1"2,0\n', {}, "line 2: cannot be read: ',' expected after '\"'"),
    "long-value": (
        "a,y\n1,0\n" + "2" * 200_000 + ",0\n",
        {},
        "line 3: cannot be read: field larger than field limit (131072)",
    ),
    "long-category": (
        "a,y\nu,0\n" + "v" * 1001 + ",0\n",
        {"categorical": "a"},
        "line 3, column 'a': expected a label of at most 1000 characters, got one of 1001; leave the column out",
    ),
    "latin": (
        b"a,y\n" + b"1,2\n" * 5000 + b"\xe9,3\n",
        {},
        "line 5002: is not UTF-8 text (in Latin-1 the byte 0xe9 would be 'é'); save the file as UTF-8",
    ),
    "gzip": (gzip.compress(b"a,y\n1,2\n"), {}, "is compressed with gzip; unpack it first, as with gunzip"),
    "many": (
        ",".join(f"c{i}" for i in range(25)) + "\n" + ",".join("0" * 25) + "\n",
        {},
        "has no column 'y' (target); it has " + ", ".join(f"c{i}" for i in range(20)) + " and 5 more",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_table_is_one_clear_error(tmp_path, name):
    content, fields, expected = BAD[name]
    path = tmp_path / "a.csv"
    assert message(lambda: prepared(tmp_path, content, **fields)) == f"{path}: {expected}"


@pytest.mark.parametrize(
    ("content", "fields", "expected"),
    [
        (
            "a,y\n1,0\n2,0\n3,1\n",
            {"ordinal": {"a": ["1", "2"]}},
            "Csv: column 'a': '3' is not in its ordinal categories; they are 1, 2",
        ),
        (
            "a,y\nsmall,0\nlarg,0\n",
            {"ordinal": {"a": ["small", "large"]}},
            "Csv: column 'a': 'larg' is not in its ordinal categories, did you mean 'large'?; they are small, large",
        ),
        (
            "a,b,y\n,1,0\n,2,1\n",
            {"impute": "mean"},
            "Csv: column 'a': all values of the training part are missing; leave it out",
        ),
        (
            "a,y\n1,u\n2,v\n",
            {"target_scale": "standard"},
            "Csv: target_scale: the targets are labels, which have no scale; leave it out",
        ),
        (
            "a,y,w\n1,0,-1\n",
            {"weight": "w"},
            "Csv: expected weights of 0 or more, at least one above 0, got a minimum of -1.0",
        ),
        (
            "a,y\n1e300,0\n-1e300,1\n",
            {"scale": "standard"},
            "Csv: the numbers are too large for scale 'standard'; divide them first",
        ),
    ],
    ids=["ordinal", "ordinal-near", "nothing", "labels", "weight", "overflow"],
)
def test_values_that_cannot_be_prepared(tmp_path, content, fields, expected):
    assert message(lambda: prepared(tmp_path, content, **fields)) == expected


def test_too_many_categories_are_refused_before_they_become_columns(tmp_path):
    content = "id,a,y\n" + "".join(f"n{i},1,0\n" for i in range(12_000))
    assert message(lambda: prepared(tmp_path, content, categorical="id")) == (
        "Csv: column 'id': 12000 categories in 12000 rows are too many columns of 0 and 1; "
        "leave it out, or merge the rare ones"
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"delimiter": ""}, "Csv.delimiter: expected one character, such as ',' or '\\t', got ''"),
        ({"delimiter": "\n"}, "Csv.delimiter: expected one character, such as ',' or '\\t', got '\\n'"),
        ({"delimiter": '"'}, "Csv.delimiter: expected one character, such as ',' or '\\t', got '\"'"),
        ({"target": ()}, "Csv.target: expected a column to predict, got none"),
        ({"inputs": ()}, "Csv.inputs: expected distinct columns, at least one"),
        ({"inputs": ("a", "a")}, "Csv.inputs: expected distinct columns, at least one"),
        (
            {"categorical": "a", "ordinal": {"a": ["u"]}},
            "Csv.ordinal: 'a' is in categorical too; a column is one or the other",
        ),
        ({"ordinal": {"a": ["u", "u"]}}, "Csv.ordinal.a: expected distinct categories, at least one"),
        ({"thousands": "."}, "Csv.thousands: expected another character than decimal, got '.' for both"),
        ({"marks": {"a": "1"}}, "Csv.marks.a: expected a text beside a number, such as '%' or '$', got '1'"),
        ({"missing": [1]}, "Csv.missing[0]: expected a string, got 1"),
    ],
)
def test_specs_that_are_refused(fields, expected):
    assert message(lambda: data.Csv(**{"path": "a.csv", "target": "y"} | fields), fn.SpecError) == expected


# ----- where files may lie -------------------------------------------------------------------------------------------


def test_a_file_of_the_specs_folder_by_any_way(tmp_path):
    folder = tmp_path / "specs"
    (folder / "data").mkdir(parents=True)
    write(folder / "data", "a,y\n1,0\n2,1\n")
    (folder / "link.csv").symlink_to(folder / "data" / "a.csv")
    (tmp_path / "elsewhere").symlink_to(folder)
    paths = ("data/a.csv", "./data/../data/a.csv", str(folder / "data/a.csv"), "link.csv", "../specs/data/a.csv")
    for base in (folder, tmp_path / "elsewhere"):
        for path in paths[: 5 if base == folder else 4]:
            assert data.Csv(path=path, target="y").table(base, KEY).y.tolist() == [0, 1], path


def test_a_file_outside_needs_a_permission(tmp_path):
    folder = tmp_path / "specs"
    folder.mkdir()
    secret = write(tmp_path, "a,y\n1,0\n2,1\n", "secret.csv")
    (folder / "link.csv").symlink_to(secret)
    (folder / "up").symlink_to(tmp_path)
    for path in ("../secret.csv", str(secret), "link.csv", "up/secret.csv", "x/../../secret.csv"):
        source = data.Csv(path=path, target="y")
        assert message(lambda: source.table(folder, KEY)) == (
            f"{path}: lies outside the spec's folder {folder}; copy it there, or allow it if you trust the spec: "
            "--allow-outside, in Python allow_outside=True"
        )
        if not path.startswith("x/"):
            assert source.table(Trusted(folder), KEY).y.tolist() == [0, 1]
            assert prepare(source, KEY, Trusted(folder)).train.y.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("loop", "cannot be"),
        ("a\0b.csv", "cannot be"),
        ("n" * 300, "cannot be read: File name too long"),
        (".", "cannot be read: Is a directory"),
        ("none.csv", "there is no such file"),
        ("a.csv/b.csv", "cannot be read: Not a directory"),
    ],
    ids=["loop", "nul", "long", "folder", "none", "below-a-file"],
)
def test_paths_that_no_file_has(tmp_path, path, reason):
    write(tmp_path, "a,y\n1,0\n")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    source = data.Csv(path=path, target="y")
    assert reason in message(lambda: source.table(tmp_path, KEY))
    assert "cannot be" in message(lambda: source.table(Trusted(tmp_path), KEY)) or path == "none.csv"


# ----- whatever the bytes --------------------------------------------------------------------------------------------

VALID = 'a,c,g,y\n1,u,p,0\n-2.5e3,"v,w",q,1\n3,u,p,1\n"4",v,q,0\n'
SOURCES = (
    data.Csv(path="a.csv", target="y", categorical="c", impute="mean", scale="standard"),
    data.Csv(path="a.csv", target=-1, inputs=["a"], split=data.Split(group="g", test=0.5)),
    data.Csv(path="a.csv", target=0, header=False, categorical=["column_1", "column_2"], scale="robust"),
    data.Csv(path="a.csv", target="y", inputs=["a", "c"], ordinal={"c": ["u", "v"]}, target_scale="minmax"),
)


def attack(folder, content):
    (folder / "a.csv").write_bytes(content)
    for source in SOURCES:
        try:
            found = prepare(source, KEY, folder)
        except fn.DataError:
            continue
        for part in (found.train, found.test):
            assert part is None or (np.isfinite(part.x).all() and len(part.x) == len(part.y))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.lists(st.text("01.5e-+_,;\"'\n\r\t na?é²\0", max_size=6), max_size=4), max_size=6))
def test_any_cells_are_a_table_or_an_error_of_the_data(tmp_path_factory, rows):
    folder = tmp_path_factory.getbasetemp()
    attack(folder, ("a,c,g,y\n" + "\n".join(",".join(row) for row in rows)).encode())
    attack(folder, "\n".join(",".join(row) for row in rows).encode())


@settings(max_examples=120, deadline=None, derandomize=True)
@given(st.data())
def test_any_change_of_a_table_is_a_table_or_an_error_of_the_data(tmp_path_factory, draw):
    content = bytearray(VALID.encode())
    for _ in range(draw.draw(st.integers(1, 4))):
        at = draw.draw(st.integers(0, len(content)))
        content[at : at + draw.draw(st.integers(0, 3))] = draw.draw(st.binary(max_size=3))
    attack(tmp_path_factory.getbasetemp(), bytes(content))
