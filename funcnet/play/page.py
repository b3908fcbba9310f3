"""The page as one HTML file: for the server, with recorded steps, or with the library itself for Pyodide."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import attr
import attrs
import numpy as np

from funcnet.errors import FuncnetError
from funcnet.play.numbers import encoded, packed
from funcnet.play.session import Session
from funcnet.version import __version__

FOLDER = files("funcnet") / "play"
SCRIPTS = ("numbers", "colours", "ask", "graph", "plots", "answers", "panel", "controls", "main")
"""The scripts in the order in which they are joined into one"""
PYODIDE = "https://cdn.jsdelivr.net/pyodide/v0.27.7/full/"
"""Where the page without a server loads Python and NumPy from"""
MOST_BYTES = 990_000
"""Length of a recorded page"""
FRAMES = 60


def read(name: str) -> str:
    """A part of the page."""
    return (FOLDER / name).read_text(encoding="utf-8")


@cache
def script() -> str:
    """The scripts as one."""
    return "\n".join(["'use strict';", *(read(f"{name}.js") for name in SCRIPTS)])


def _policy(connect: str, scripts: str = "") -> str:
    """A content security policy: this script, this style, and requests to ``connect`` alone."""
    script_hash, style_hash = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (script(), read("style.css"))
    )
    return (
        f"default-src 'none'; script-src 'sha256-{script_hash}'{scripts}; style-src 'sha256-{style_hash}'; "
        f"img-src data:; connect-src {connect}; base-uri 'none'; form-action 'none'"
    )


POLICY = {"served": _policy("'self'") + "; frame-ancestors 'none'", "recorded": _policy("'none'")}
"""By mode, what the page may load and ask"""


def page(given: dict[str, Any] | None = None, policy: str | None = None) -> bytes:
    """The page, with what it is given, such as recorded frames; without, it asks its server."""
    data = encoded(given or {"mode": "served"}).decode().replace("<", "\\u003c")
    meta = "" if policy is None else f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    parts = {"<!-- policy -->": meta, "/* style */": read("style.css"), "/* given */": data, "/* script */": script()}
    marks = "|".join(map(re.escape, parts))  # all at once: a name in the data may read like a mark
    text, count = re.subn(marks, lambda mark: parts[mark[0]], read("page.html"))
    assert count == len(parts)
    return text.encode()


def recorded(session: Session, frames: int = FRAMES) -> bytes:
    """The page with up to ``frames`` recorded steps, more of them early; fewer if it would be too long."""
    about = session.about()
    first, total = about.pop("frame"), session.states.study.total
    for each in ("run", "since", "losses"):
        first.pop(each)
    about.pop("run")
    room = MOST_BYTES - len(page({**about, "frames": []}, POLICY["recorded"])) - 12 * total - 10_000
    most = min(frames, room // len(encoded(first)))
    if most < 2:
        size = len(encoded(first))
        raise FuncnetError(
            f"--out: one step has {size} bytes, the losses of all steps {12 * total}, and a page at most {MOST_BYTES}; "
            "make the network or the batch smaller, or the training shorter"
        )
    found = [first]
    for step in shown_steps(total, most)[1:]:
        found.append(session.frame_at(step))
        if found[-1]["step"] != step:  # training has failed before that
            break
    losses = np.array(session.states.losses[: found[-1]["step"]])
    with np.errstate(over="ignore"):  # of a training that diverges
        exact = losses.astype(np.float32)
    given = {
        "mode": "recorded",
        **about,
        "frames": found,
        "losses": packed(exact if (exact == losses).all() else losses),
    }
    return page(given, POLICY["recorded"])


def shown_steps(total: int, most: int) -> list[int]:
    """Up to ``most`` steps from 0 to ``total``: the first few, and then at growing distances."""
    few = min(6, most // 2)
    spread = np.round(total * np.linspace(0.0, 1.0, most - few) ** 1.6).astype(int).tolist()
    found = sorted({*range(min(few, total) + 1), *spread} - {total})
    return [*found[: most - 1], total]


def in_browser(
    spec: str | None,
    table: str | None,
    base: str = PYODIDE,
    files: Mapping[str, bytes] | None = None,
    name: str = "",
) -> bytes:
    """The page that runs this library in the browser, on Pyodide, which it loads from ``base``.

    ``files`` are those that the spec names, by their paths.
    """
    given = {
        "mode": "browser",
        "pyodide": base,
        "version": __version__,
        "spec": spec,
        "table": table,
        "files": json.dumps({path: base64.b64encode(content).decode() for path, content in (files or {}).items()}),
        "name": name,
        "library": base64.b64encode(library()).decode(),
    }
    origin = "/".join(base.split("/")[:3])
    return page(given, _policy(origin, f" {origin} 'wasm-unsafe-eval'"))


def library() -> bytes:
    """The sources of this package and of attrs as a zip archive."""
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for package in (Path(__file__).parents[1], Path(attr.__file__).parent, Path(attrs.__file__).parent):
            for file in sorted(package.rglob("*.py*")):
                inside = file.relative_to(package)
                if file.suffix in (".py", ".pyi") and inside.parts[0] not in ("cli", "laws", "sklearn"):
                    archive.writestr(
                        zipfile.ZipInfo(f"{package.name}/{inside.as_posix()}"), file.read_bytes(), zipfile.ZIP_DEFLATED
                    )
    return found.getvalue()
