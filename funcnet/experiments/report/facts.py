"""What a run is made of: its data, the layers with shapes and cost, its spec, versions and hashes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from funcnet.data.columns import title, width
from funcnet.errors import FuncnetError
from funcnet.experiments.report.answers import class_name
from funcnet.experiments.result import Run
from funcnet.experiments.stored import read_facts
from funcnet.shapes import ROWS, Shape, shape_text
from funcnet.spec.codec import spec_hash, to_json
from funcnet.views import page
from funcnet.views.diagram import diagram
from funcnet.views.page import Section
from funcnet.views.summary import Summary, summary, unit_text
from funcnet.views.svg import short
from funcnet.views.table import Table

MOST_LAYERS = 300
"""The most layers whose costs are counted"""
MOST_ROWS = 60
"""The most rows of a table of layers or columns"""
LONGEST_SPEC = 20_000
"""The most characters of a spec"""
MOST_BOXES, WIDEST, TALLEST, OPEN = 80, 1400, 2400, 500
"""The most layers of a diagram, and its largest width and height in pixels, and the height of one that is open"""
KINDS = {
    "number": "number",
    "one_hot": "category",
    "frequent": "frequent categories",
    "ordinal": "ordered category",
}
"""The kinds of columns in words"""


def layers_of(run: Run, in_shape: Shape) -> Summary:
    """The table of layers, with the cost of a batch unless there are very many layers."""
    experiment = run.experiment
    found = summary(experiment.model, in_shape, None)
    if len(found) > MOST_LAYERS:
        return found
    try:
        return summary(experiment.model, in_shape, batch_of(run), experiment.dtype)
    except FuncnetError:
        return found


def batch_of(run: Run) -> int:
    """The rows of a batch; 32 for one of all rows."""
    size = run.experiment.training.batch_size
    return ROWS if size == "full" else size


def flops_of_row(run: Run, layers: Summary) -> float | None:
    """The operations of the answer to a row, if they are known."""
    flops = layers[0].forward_flops
    return None if flops is None else flops / batch_of(run)


def network(run: Run, layers: Summary, in_shape: Shape) -> Section:
    """The layers with shapes and cost, and as a diagram if that is small."""
    whole, found = layers[0], layers.table()
    body, total = found.rows[: -found.totals], found.rows[-found.totals :]
    left = len(body) - MOST_ROWS
    shown = found._replace(rows=[*body[:MOST_ROWS], *total])
    about = (
        f"{whole.parameters:,} parameters; an input of {shape_text(in_shape)} becomes {shape_text(whole.out_shape)}."
    )
    if whole.forward_flops is not None and whole.backward_flops is not None:
        flops = unit_text(whole.forward_flops + whole.backward_flops, "FLOP")
        about += f" A batch takes {flops}, forward and backward."
    parts = [page.table(shown, found.title or "The layers")]
    if left > 0:
        parts.append(page.paragraph(f"{left} more layers are left out; funcnet show prints all.", "about"))
    beside = "".join(drawn(run, in_shape)) if len(body) <= MOST_BOXES else ""
    return Section("network", "The network", about, [f'<div class="panels">{beside}<div>{"".join(parts)}</div></div>'])


def drawn(run: Run, in_shape: Shape) -> list[str]:
    """The diagram of the network; a large one opens on demand, and a very large one is left out."""
    found = diagram(run.experiment.model, in_shape)
    block = found.block
    if block.width > WIDEST or block.height > TALLEST:
        return [page.paragraph("The diagram is too large for a page; funcnet show --diagram draws it.", "about")]
    picture = page.picture(found.inside("The network as a diagram"), "Each layer with its output's shape", wide=True)
    return [picture if block.height <= OPEN else page.details("Show the diagram", picture)]


def table_of_columns(run: Run) -> str:
    """The columns of a table, with what became of them and their range in the training part."""
    columns, seen = run.preprocess.get("columns"), run.preprocess.get("range")
    if not columns or seen is None:
        return ""
    rows, begin = [], 0
    for column in columns[:MOST_ROWS]:
        end = begin + width(column)
        if column["kind"] == "number":
            inside = f"{short(seen['low'][begin])} to {short(seen['high'][begin])}"
        else:
            names = [one or "missing" for one in column["categories"]]
            inside = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        rows.append([title(column), KINDS[column["kind"]], str(end - begin), inside])
        begin = end
    left = len(columns) - MOST_ROWS
    more = page.paragraph(f"{left} more columns are left out.", "about") if left > 0 else ""
    return (
        page.table(
            Table(["column", "kind", "features", "range or categories"], rows),
            "The inputs, as the training part has them",
        )
        + more
    )


def data(run: Run, found: Mapping[str, Any]) -> Section | None:
    """The rows of each part, the columns and the classes."""
    parts = []
    rows = found.get("rows") or {}
    about = ", ".join(f"{part} {count:,}" for part, count in rows.items())
    counts = found.get("classes") or found.get("labels") or {}
    if counts:
        most = sorted(counts.items(), key=lambda pair: -pair[1])[:MOST_ROWS]
        whole = sum(counts.values()) if found.get("classes") else sum(rows.values())
        cells = [[class_name(name), f"{count:,}", f"{100.0 * count / max(whole, 1):.1f} %"] for name, count in most]
        one, several = ("class", "classes") if found.get("classes") else ("label", "labels")
        caption = f"The {len(counts):,} {several}, the most frequent first"
        parts.append(page.table(Table([one, "rows", "share"], cells), caption))
    parts.append(table_of_columns(run))
    missing = found.get("missing")
    if isinstance(missing, dict) and missing:
        cells = [[column, f"{count:,}"] for column, count in list(missing.items())[:MOST_ROWS]]
        parts.append(page.table(Table(["column", "missing"], cells), "Missing values"))
    shown = [one for one in parts if one]
    return Section("data", "The data", f"Rows: {about}." if about else "", shown) if shown or about else None


def spec(run: Run) -> Section:
    """The spec as JSON, without defaults."""
    text = to_json(run.experiment)
    about = "The whole experiment, without defaults; funcnet train makes the same run of it."
    if len(text) > LONGEST_SPEC:
        about += f" These are the first {LONGEST_SPEC:,} of its {len(text):,} characters; spec.json has all."
    inside = page.code(text[:LONGEST_SPEC], "The spec in JSON")
    return Section(
        "spec", "The spec", about, [page.details("Show the spec", inside) if text.count("\n") > 60 else inside]
    )


def origin(run: Run, folder: Path) -> Section:
    """Versions, the machine, and hashes."""
    facts = read_facts(folder)
    rows = [[name, version] for name, version in facts.get("versions", {}).items()]
    rows.append(["platform", str(facts.get("platform", "unknown"))])
    blas = facts.get("blas", {})
    rows.append(["BLAS", " ".join(str(blas[name]) for name in ("name", "version") if blas.get(name)) or "unknown"])
    rows.append(["cores", str(facts.get("threads", {}).get("cores", "unknown"))])
    hashes = [["spec", spec_hash(run.experiment)], ["data", facts["data"]], ["weights", facts["weights"]]]
    parts = [
        page.table(Table(["what", "version"], rows), "Versions and machine"),
        page.table(Table(["what", "SHA-256"], hashes), "Hashes"),
    ]
    about = "The same spec and data on such a machine give the same weights, to the bit; funcnet verify tries it."
    return Section("versions", "Versions and hashes", about, parts)
