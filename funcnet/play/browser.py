"""A session without a server, for the page that runs the library in the browser: texts in, texts out."""

from __future__ import annotations

import json
from collections.abc import Callable

from funcnet.errors import FuncnetError, one_line
from funcnet.experiments.experiment import Experiment
from funcnet.play.numbers import encoded
from funcnet.play.session import Session
from funcnet.play.settings import first
from funcnet.spec.codec import from_json


def opened(spec: str | None = None, table: str | None = None) -> Callable[[str], str]:
    """``ask(request) -> answer`` of a new session, both JSON, for an experiment or the rows of a table."""
    found = first() if spec is None else from_json(spec)
    assert isinstance(found, Experiment)
    session = Session(found)
    if table is not None:
        session.open_table(table)

    def ask(request: str) -> str:
        try:
            return encoded(session.answer(json.loads(request))).decode()
        except FuncnetError as error:
            return encoded({"error": one_line(str(error))}).decode()

    return ask
