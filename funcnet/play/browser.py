"""A session without a server, for the page that runs the library in the browser: texts in, texts out."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from funcnet.data.paths import inside
from funcnet.errors import FuncnetError, one_line
from funcnet.experiments.experiment import Experiment
from funcnet.play.numbers import encoded
from funcnet.play.session import Session
from funcnet.play.settings import first
from funcnet.spec.codec import from_json


def opened(
    spec: str | None = None, table: str | None = None, files: str | None = None, name: str = ""
) -> Callable[[str], str]:
    """``ask(request) -> answer`` of a new session, both JSON, for an experiment or the rows of a table.

    ``files`` are those that the experiment names, as JSON: ``{path: content in base64}``.
    """
    found = first() if spec is None else from_json(spec)
    assert isinstance(found, Experiment)
    base = Path()
    if files is not None:
        base = Path(tempfile.mkdtemp(prefix="funcnet-play-"))  # stays until the browser's window is closed
        for path, content in json.loads(files).items():
            file = inside(base, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(base64.b64decode(content))
    session = Session(found, base, name)
    if table is not None:
        session.open_table(table)

    def ask(request: str) -> str:
        try:
            return encoded(session.answer(json.loads(request))).decode()
        except FuncnetError as error:
            return encoded({"error": one_line(str(error))}).decode()

    return ask
