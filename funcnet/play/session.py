"""Requests of the page and their answers, both JSON. A state is kept for each step, so that going back is exact."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from funcnet.errors import FuncnetError, NonFiniteError
from funcnet.experiments.experiment import Experiment
from funcnet.play.settings import MOST_TABLE, changed, choices, of_file, settings
from funcnet.play.study import Study, study
from funcnet.play.surface import surface
from funcnet.spec.codec import to_json
from funcnet.training.state import TrainState

RECENT = 256
"""How near a state is kept; of those further away every ``EVERY``-th is, from which the others are computed again"""
EVERY = 64
AHEAD = 2000
"""Steps that one request may compute"""
TABLE = "your_table.csv"


class States:
    """The states of a training by step, and the losses of the steps so far."""

    def __init__(self, study: Study) -> None:
        self.study, self.kept, self.losses = study, {0: study.start}, list[float]()

    def at(self, step: int) -> TrainState:
        """The state of a step: one that is kept, or computed from the last one before it.

        If a step on the way fails, as its numbers are not finite, it is the last state before that.
        """
        ts = self.kept[max(known for known in self.kept if known <= step)]
        while ts.step < step:
            try:
                ts, loss = self.study.after(ts)
            except NonFiniteError:
                break
            if ts.step > len(self.losses):
                self.losses.append(loss)
            self.kept[ts.step] = ts
        for old in [known for known in self.kept if known % EVERY and abs(known - step) > RECENT]:
            del self.kept[old]
        return ts


class Session:
    """The other end of one page. Requests are answered one at a time, and refused ones change nothing."""

    def __init__(self, experiment: Experiment, base: Path = Path(), name: str = "") -> None:
        self.lock = threading.Lock()
        self.folder: tempfile.TemporaryDirectory[str] | None = None
        self.opened_folder: tempfile.TemporaryDirectory[str] | None = None
        self.opened, self.run = (experiment, base, name), 0
        self.begin(experiment, base, name)

    def begin(self, experiment: Experiment, base: Path, name: str) -> None:
        """Take an experiment, at its step 0.

        Raises   FuncnetError for one that cannot be shown; the page then stays at the one before
        """
        states = States(study(experiment, base))
        states.study.frame(states.study.start)
        self.experiment, self.base, self.name, self.states = experiment, base, name, states
        self.surface = states.study.surface
        self.run += 1

    def answer(self, request: Any) -> dict[str, Any]:
        """The answer to a request, ``{"do": "about" | "frame" | "plane" | "set" | "table" | "reset", …}``.

        Raises   FuncnetError for a request that cannot be met
        """
        known = isinstance(request, dict) and isinstance(request.get("do"), str) and request["do"] in self.requests
        if not known:
            raise FuncnetError(f"expected a request to do one of {', '.join(self.requests)}, got {request!r:.60}")
        do, given = request["do"], {name: value for name, value in request.items() if name != "do"}
        call, names = self.requests[do]
        if set(given) != set(names):
            got = ", ".join(given) or "nothing"
            raise FuncnetError(f"{do}: expected {', '.join(names) or 'nothing else'}, got {got:.100}")
        with self.lock:
            return call(self, **given)

    def about(self) -> dict[str, Any]:
        """Everything that is the same at each step, and step 0."""
        return {
            "run": self.run,
            "name": self.name,
            "spec": to_json(self.experiment),
            "settings": settings(self.experiment),
            "choices": choices(self.experiment, self.base),
            "ahead": AHEAD,
            **self.states.study.about(self.surface),
            "frame": self.frame(0, 0),
        }

    def frame(self, to: Any, since: Any) -> dict[str, Any]:
        """The frame of a step, and the losses of the steps from ``since`` on.

        ``run`` counts the experiments: another window of the same page may have begun one.
        """
        total, losses = self.states.study.total, self.states.losses
        most = min(total, len(losses) + AHEAD)
        for name, value, limit in (("to", to, most), ("since", since, total)):
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= limit:
                raise FuncnetError(f"{name}: expected a step from 0 to {limit}, got {value!r:.40}")
        found = self.frame_at(to)
        return {**found, "run": self.run, "since": since, "losses": losses[since:]}

    def frame_at(self, step: int) -> dict[str, Any]:
        """The frame of a step, or of the last one before it whose numbers are finite."""
        return self.states.study.frame(self.states.at(step), self.surface)

    def plane(self, across: Any, up: Any, at: Any) -> dict[str, Any]:
        """The frame of a step, drawn on the plane of two other inputs."""
        data = self.states.study.data
        inputs, before = data.train.x.shape[1], self.surface
        for name, value in (("across", across), ("up", up)):
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < inputs:
                raise FuncnetError(f"{name}: expected an input from 0 to {inputs - 1}, got {value!r:.40}")
        if across == up:
            raise FuncnetError("plane: expected two different inputs, got the same one twice")
        self.surface = surface(data, (across, up))
        try:
            return {"surface": self.surface.about(), **self.frame(at, at)}
        except FuncnetError:
            self.surface = before
            raise

    def change(self, name: Any, value: Any) -> dict[str, Any]:
        """Change one control, and begin again with step 0."""
        self.begin(changed(self.experiment, str(name), value, self.base), self.base, "")
        return self.about()

    def table(self, text: Any) -> dict[str, Any]:
        """Begin again with the rows of a table, as text."""
        if not isinstance(text, str) or not 0 < len(text) <= MOST_TABLE:
            raise FuncnetError(f"table: expected a text of up to {MOST_TABLE} characters")
        folder = tempfile.TemporaryDirectory(prefix="funcnet-play-")
        try:
            file = Path(folder.name) / TABLE
            file.write_text(text, encoding="utf-8", errors="replace", newline="")
            self.begin(of_file(file), file.parent, TABLE)
        except FuncnetError as error:
            error.message = error.message.replace(f"{folder.name}{os.sep}", "")
            folder.cleanup()
            raise
        self.close()
        self.folder = folder
        return self.about()

    def open_table(self, text: str) -> None:
        """Begin with the rows of a table, and begin with it again at a reset."""
        self.table(text)
        self.opened = self.experiment, self.base, self.name
        self.opened_folder, self.folder = self.folder, None

    def reset(self) -> dict[str, Any]:
        """Begin again with the experiment that the page was opened with."""
        self.begin(*self.opened)
        return self.about()

    def close(self) -> None:
        """Delete the table of the page; one that it was opened with stays for a reset."""
        if self.folder is not None:
            self.folder.cleanup()
            self.folder = None

    requests: dict[str, tuple[Callable[..., dict[str, Any]], tuple[str, ...]]] = {
        "about": (about, ()),
        "frame": (frame, ("to", "since")),
        "plane": (plane, ("across", "up", "at")),
        "set": (change, ("name", "value")),
        "table": (table, ("text",)),
        "reset": (reset, ()),
    }
