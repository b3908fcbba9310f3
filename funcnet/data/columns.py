"""The columns of a table as numbers: their encodings, fitted on the training part, as plain JSON values.

A number stays as it is, a category becomes one column of 0 and 1 for each category of the training part (all 0 if
unknown), and an ordered category its position (-1 if unknown). An encoding has the column's ``name``, its ``kind``
"number", "one_hot", "frequent" or "ordinal", the ``categories`` of the latter three, and ``fill``, which replaces
missing values. "frequent" is "one_hot" for the most frequent categories: all 0 stands for any other, known or not.
A column of dates has three encodings: with the ``part`` "year" as a number, "month" and "weekday" as categories.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from funcnet.data.categories import distinct, positions, shortest
from funcnet.data.dates import DATE_PARTS, FORM, date_part, days_of, part_of_days
from funcnet.data.shelf import Column as Codes, Texts
from funcnet.data.sources.base import Frame, Source
from funcnet.errors import DataError
from funcnet.hints import did_you_mean
from funcnet.key import Array

Column = dict[str, Any]

HOT = ("one_hot", "frequent")
"""The kinds of columns that become columns of 0 and 1"""
HUGE = 1e292
"""Numbers whose sum may overflow float64, though their mean does not"""
MOST_HOT = 2**27
"""Maximum numbers of one encoded column, rows times categories: a gigabyte"""


def column_names(columns: Sequence[Column]) -> list[str]:
    """The columns of a table that are encoded, once each."""
    return list(dict.fromkeys(column["name"] for column in columns))


def title(column: Column) -> str:
    """The name of a column, with the part of its dates, as in "born:month"."""
    return f"{column['name']}:{column['part']}" if "part" in column else str(column["name"])


def width(column: Column) -> int:
    """The number of features of a column."""
    return len(column["categories"]) if column["kind"] in HOT else 1


def one_hot(columns: Sequence[Column]) -> list[bool]:
    """Whether each feature is a column of 0 and 1."""
    return [column["kind"] in HOT for column in columns for _ in range(width(column))]


def feature_places(columns: Sequence[Column]) -> dict[str, slice]:
    """By the name of a column, the features that it becomes; those of a date follow one another."""
    places: dict[str, slice] = {}
    end = 0
    for column in columns:
        begin, end = end, end + width(column)
        places[column["name"]] = slice(places.get(column["name"], slice(begin, end)).start, end)
    return places


# ----- fitting -------------------------------------------------------------------------------------------------------


def fit_columns(source: Source, x: Frame, rows: Array) -> list[Column]:
    """The encodings of a table's columns, fitted on some rows.

    Raises   DataError for missing values without ``impute``, a column without values, an unknown ordered category, and
             too many categories
    """
    columns: list[Column] = []
    dates = getattr(source, "dates", ())
    for name in x.columns:
        columns += [{"name": name, "part": part} for part in DATE_PARTS] if name in dates else [{"name": name}]
    return [column | _fit_column(source, column, rows, x) for column in columns]


def _fit_column(source: Source, column: Column, rows: Array, x: Frame) -> Column:
    """The kind of a column, its categories, and the replacement of its missing values."""
    layer, name = type(source).__name__, column["name"]
    values, at = _values(column, x)
    absent = _absent(values)
    if source.impute is None and absent.any():
        where = x.place(int(np.argmax(absent if at is None else absent[at[:]])))
        raise DataError(
            f'{where}, column {name!r}: the value is missing; choose a replacement, such as "impute": "median"',
            layer=layer,
        )
    places = rows if at is None else at[:][rows]
    fill: Any = None
    if values.dtype.kind != "U":
        values = values[places]  # of many rows two copies are as large as all else
        if np.isnan(values).all():
            raise _all_missing(name, layer)
        fill = None if source.impute is None else fill_of(source.impute, values, f"column {name!r}", layer)
        return {"kind": "number", "fill": fill}
    counts = _counted(values, at, places)
    gaps = counts.pop("", 0)
    if not counts:
        raise _all_missing(name, layer)
    order = getattr(source, "ordinal", {}).get(name)
    if order is not None:
        fill = None if source.impute is None else _most_frequent(counts)
        unknown = sorted(set(counts) - set(order))
        if unknown:
            raise DataError(
                f"column {name!r}: {unknown[0]!r} is not in its ordinal categories{did_you_mean(unknown[0], order)}; "
                f"they are {', '.join(order)}",
                layer=layer,
            )
        return {"kind": "ordinal", "categories": list(order), "fill": fill}
    categories, kind = distinct(counts), "one_hot"
    counts = _by_category(counts, categories)
    fill = None if source.impute is None else _most_frequent(counts)
    most = None if "part" in column else getattr(source, "max_categories", None)
    if most is not None and len(categories) > most:
        fill = None if fill is None else max(categories, key=counts.__getitem__)
        categories, kind = _frequent(counts, categories, most), "frequent"
    if gaps:  # in training too, so it may mean something
        categories, fill = [*categories, ""], ""
    if len(categories) * x.rows > MOST_HOT:
        raise DataError(
            f"column {name!r}: {len(categories)} categories in {x.rows} rows are too many columns of 0 and 1; "
            "leave it out, or merge the rare ones",
            layer=layer,
        )
    return {"kind": kind, "categories": categories, "fill": fill}


def _by_category(counts: Counter[str], categories: list[str]) -> Counter[str]:
    """How often there is each category, of which several texts may be one: 1, 1.0 and +1."""
    whole: Counter[str] = Counter()
    for at, count in zip(positions(list(counts), categories).tolist(), counts.values(), strict=True):
        whole[categories[at]] += count
    return whole


def _frequent(counts: Counter[str], categories: list[str], most: int) -> list[str]:
    """The most frequent categories, in their order; of those that are as frequent the first.

    Versions such as 3.1 and 3.10 are kept together: rows of one that is not kept would count as the other.
    """
    kept = set(map(shortest, sorted(categories, key=lambda text: -counts[text])[:most]))
    return [text for text in categories if shortest(text) in kept]


def _all_missing(name: str, layer: str) -> DataError:
    return DataError(f"column {name!r}: all values of the training part are missing; leave it out", layer=layer)


def _counted(texts: Array, at: Codes | None, places: Array) -> Counter[str]:
    """How often there is each of some texts, as their places say; ``at`` if each is there once."""
    if at is None:
        return Counter(texts[places].tolist())
    counts: Counter[str] = Counter()
    for text, count in zip(texts.tolist(), np.bincount(places, minlength=len(texts)).tolist(), strict=True):
        counts[text] += count
    return +counts


def _values(column: Column, frame: Frame) -> tuple[Array, Codes | None]:
    """The values of a column, or a part of each of its dates: by row, or of texts on a shelf once, and where each is.

    Raises   DataError for a text that is not a date
    """
    values = frame.columns[column["name"]]
    if not isinstance(values, Texts):
        return _parts(column, frame, values[:]), None
    return _parts(column, frame, values.known), values.codes


def _parts(column: Column, frame: Frame, values: Array, known: dict[str, Any] | None = None) -> Array:
    """The values of a column, or a part of each of its dates; ``known`` keeps the days of a column for its other parts.

    Raises   DataError for a text that is not a date
    """
    if "part" not in column:
        return values
    known = {} if known is None else known
    if column["name"] not in known:
        known[column["name"]] = days_of(values)
    days = known[column["name"]]
    if days is not None:
        parts_: Array = part_of_days(days, column["part"])
        return parts_
    texts = values.tolist()
    empty: Any = math.nan if column["part"] == "year" else ""
    parts = {text: date_part(text, column["part"]) if text else empty for text in set(texts)}
    wrong = next((i for i, text in enumerate(texts) if parts[text] is None), None)
    if wrong is not None:
        raise DataError(f"{frame.place(wrong)}, column {column['name']!r}: expected {FORM}, got {texts[wrong]!r}")
    return np.array([parts[text] for text in texts], np.float64 if column["part"] == "year" else str)


def _absent(values: Array) -> Array:
    """The missing values of a column."""
    missing: Array = values == "" if values.dtype.kind == "U" else np.isnan(values)
    return missing


def fill_of(impute: str | float, values: Array, where: str, layer: str) -> float:
    """The replacement of missing numbers, by the values of the training part.

    Raises   DataError if all of them are missing
    """
    known = values[~np.isnan(values)]
    if not isinstance(impute, str):
        return float(impute)
    if len(known) == 0:
        message = f"{where}: all values of the training part are missing; leave it out, or impute a number"
        raise DataError(message, layer=layer)
    if impute == "most_frequent":
        return float(_most_frequent(Counter(known.tolist())))
    if impute == "median":
        return float(np.median(known, overwrite_input=True))  # a copy of the values
    mean = np.mean(known / len(known)) * len(known) if float(np.abs(known).max()) > HUGE else np.mean(known)
    return float(np.clip(mean, known.min(), known.max()))  # rounding may lead out of a narrow range


def _most_frequent(counts: Counter[Any]) -> Any:
    """The most frequent value; ties go to the smallest."""
    return min(counts, key=lambda value: (-counts[value], value))


# ----- applying it ---------------------------------------------------------------------------------------------------


class Unknown:
    """The categories of some rows that the training part lacks, counted by column; its sentences say so once."""

    def __init__(self) -> None:
        self.rows = 0
        self.found: dict[str, tuple[Column, int, str, str]] = {}
        """By the title of a column: itself, the number of its unknown texts, the first of them and where that is"""

    def add(self, column: Column, unknown: Array, texts: Array, frame: Frame) -> None:
        """Count the texts of a column that are ``unknown``."""
        first = int(np.argmax(unknown))
        known = self.found.get(title(column), (column, 0, str(texts[first]), frame.place(first)))
        self.found[title(column)] = (column, known[1] + int(unknown.sum()), *known[2:])

    def sentences(self) -> Iterator[str]:
        """A sentence for each column with such categories."""
        for column, count, first, place in self.found.values():
            as_what = "0 in every column of its categories" if column["kind"] == "one_hot" else "-1"
            what = column.get("part", "category")
            near = did_you_mean(first, column["categories"]) if what == "category" and first else ""
            such = repr(first) if first else "a missing one"
            yield (
                f"column {column['name']!r}: {count} of {self.rows} rows have a {what} that the training part "
                f"lacks, such as {such} in {place}{near}; it counts as {as_what}"
            )


def encode(columns: Sequence[Column], frame: Frame, unknown: Unknown | None = None) -> Array:
    """A table's columns as one array of numbers, (rows, features); categories that training lacks are counted.

    Raises   DataError for a missing value in a column without ``impute``, and a text that is not a date
    """
    x = np.zeros((frame.rows, len(one_hot(columns))))
    rows, end, days = np.arange(frame.rows), 0, dict[str, Any]()
    if unknown is not None:
        unknown.rows += frame.rows
    for column in columns:
        name, fill, begin = column["name"], column["fill"], end
        end = begin + width(column)
        values = _parts(column, frame, frame.columns[name], days)
        absent = _absent(values)
        if absent.any():
            if fill is None:
                where = frame.place(int(np.flatnonzero(absent)[0]))
                raise DataError(f"{where}, column {name!r}: the value is missing, and nothing replaces it; fill it in")
            values = np.where(absent, fill, values)
        if column["kind"] == "number":
            x[:, begin] = values
            continue
        at = positions(values.tolist(), column["categories"])
        known = at >= 0
        if unknown is not None and column["kind"] != "frequent" and not known.all():
            unknown.add(column, ~known, values, frame)
        if column["kind"] in HOT:
            x[rows[known], begin + at[known]] = 1.0
        else:
            x[:, begin] = at
    return x


def _unknown(column: Column, texts: Array) -> Array:
    """The texts that are categories which the training part lacks; with the rare ones merged, none."""
    if column["kind"] == "frequent":
        return np.zeros(len(texts), bool)
    unknown: Array = (texts != "") & (positions(texts.tolist(), column["categories"]) < 0)
    return unknown


def outside_by_column(columns: Sequence[Column], frame: Frame, outside: Array) -> dict[str, Array]:
    """Per column, the rows outside the training part: with a number out of its range, or a category that it lacks.

    ``outside`` says which features are out of their range, (rows, features).
    """
    ends = np.cumsum([width(column) for column in columns]).tolist()
    return {
        title(column): outside[:, end - 1]
        if column["kind"] == "number"
        else _unknown(column, _parts(column, frame, frame.columns[column["name"]]))
        for column, end in zip(columns, ends, strict=True)
    }  # fmt: skip
