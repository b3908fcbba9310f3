"""Requests and answers of the page; going back is exact; a refused request changes nothing."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import funcnet as fn
from funcnet.play.numbers import encoded
from funcnet.play.session import AHEAD, EVERY, RECENT, Session
from funcnet.play.settings import MOST_TABLE, first
from tests.play.test_study import experiment


def ask(session, **request):
    """The answer as the page gets it."""
    return json.loads(encoded(session.answer(request)))


@pytest.fixture
def session():
    found = Session(experiment(training=fn.Training(steps=700, batch_size=8)), Path(), "mine")
    yield found
    found.close()


def test_about_has_the_spec_the_settings_and_step_0(session):
    about = ask(session, do="about")
    assert fn.from_json(about["spec"]) == session.experiment
    assert (about["name"], about["total"], about["frame"]["step"]) == ("mine", 700, 0)
    assert about["settings"]["layers"] == [3]


def test_back_is_exact_also_where_states_were_dropped(session):
    steps = [1, 2, EVERY - 1, 100, RECENT + 100, 650]
    seen = {step: ask(session, do="frame", to=step, since=0) for step in steps}
    assert len(session.states.kept) < 2 * RECENT + 700 // EVERY + 5
    for step in reversed(steps):
        again = ask(session, do="frame", to=step, since=0)
        for name in ("params", "after", "grads", "values", "loss", "scores"):
            assert again[name] == seen[step][name]
        assert again["losses"][: len(seen[step]["losses"])] == seen[step]["losses"]


def test_losses_are_those_since_a_step(session):
    ask(session, do="frame", to=20, since=0)
    losses = ask(session, do="frame", to=20, since=0)["losses"]
    assert len(losses) == 20
    assert ask(session, do="frame", to=20, since=17)["losses"] == losses[17:]
    assert ask(session, do="frame", to=3, since=0)["loss"] == losses[3]


def test_a_change_begins_again_and_reset_returns_to_the_spec(session):
    ask(session, do="frame", to=5, since=0)
    about = ask(session, do="set", name="layers", value=[2, 2])
    assert (about["settings"]["layers"], about["frame"]["step"], about["frame"]["losses"]) == ([2, 2], 0, [])
    assert ask(session, do="reset")["settings"]["layers"] == [3]


WRONG = [
    ([], "expected a request to do one of about, frame, plane, set, table, reset, got []"),
    ({}, "expected a request to do one of"),
    ({"do": "__init__"}, "got {'do': '__init__'}"),
    ({"do": ["frame"]}, "got {'do': ['frame']}"),
    ({"do": "about", "x": 1}, "about: expected nothing else, got x"),
    ({"do": "frame", "to": 1}, "frame: expected to, since, got to"),
    ({"do": "frame", "to": -1, "since": 0}, "to: expected a step from 0 to 700, got -1"),
    ({"do": "frame", "to": 701, "since": 0}, "to: expected a step from 0 to 700, got 701"),
    ({"do": "frame", "to": True, "since": 0}, "got True"),
    ({"do": "frame", "to": 1.0, "since": 0}, "got 1.0"),
    ({"do": "frame", "to": 1, "since": None}, "since: expected a step from 0 to 700, got None"),
    ({"do": "plane", "across": 0, "up": 2, "at": 0}, "up: expected an input from 0 to 1, got 2"),
    ({"do": "plane", "across": True, "up": 1, "at": 0}, "across: expected an input from 0 to 1, got True"),
    ({"do": "plane", "across": 1, "up": 1, "at": 0}, "plane: expected two different inputs, got the same one twice"),
    ({"do": "plane", "across": 1, "up": 0, "at": -1}, "to: expected a step from 0 to 700, got -1"),
    ({"do": "set", "name": "rate", "value": -1}, "rate: expected a number from 0 to 100, got -1"),
    ({"do": "set", "name": {}, "value": 1}, "set: expected one of data"),
    ({"do": "set", "name": "noise", "value": 1e999}, "noise: expected a number from 0 to 1, got inf"),
    ({"do": "table", "text": 3}, "table: expected a text"),
    ({"do": "table", "text": "x" * (MOST_TABLE + 1)}, f"table: expected a text of up to {MOST_TABLE} characters"),
    ({"do": "table", "text": "\0\0\0"}, "your_table.csv"),
    ({"do": "table", "text": "a,b\n1,2\n"}, "your_table.csv"),
]


@pytest.mark.parametrize(("request_", "message"), WRONG)
def test_wrong_requests_are_one_clear_error_and_change_nothing(session, request_, message):
    before = session.experiment, session.states, session.surface
    with pytest.raises(fn.FuncnetError, match=re.escape(message)) as caught:
        session.answer(request_)
    assert "/" not in str(caught.value).split(":")[0]  # the folder of the table is nobody's business
    assert (session.experiment, session.states, session.surface) == before


def test_no_request_computes_without_end():
    session = Session(experiment(training=fn.Training(steps=10**9)))
    with pytest.raises(fn.FuncnetError, match=f"to: expected a step from 0 to {AHEAD}, got {AHEAD + 1}"):
        session.answer({"do": "frame", "to": AHEAD + 1, "since": 0})


def test_a_step_that_fails_ends_at_the_last_good_state():
    session = Session(experiment(optimizer=fn.optim.SGD(1e38)))
    frame = ask(session, do="frame", to=9, since=0)
    assert frame["step"] < 9
    assert frame["after"] is None
    assert "is not finite" in frame["problem"]


TABLE = "\n".join(["<script>alert(1)</script>,b,y", *(f"{i / 3:.3f},{i % 7},{'ab'[i % 2]}" for i in range(50))])


def test_a_table_of_the_reader(session):
    about = ask(session, do="table", text=TABLE)
    assert about["inputs"] == ["<script>alert(1)</script>", "b"]
    assert about["classes"] == ["a", "b"]
    folder = Path(session.folder.name)
    assert about["settings"]["data"] == "csv"
    assert ask(session, do="set", name="batch", value=4)["size"] == 4  # the table is still there
    assert ask(session, do="set", name="data", value="circles")["inputs"] == ["x1", "x2"]
    session.close()
    assert not folder.exists()


def test_all_that_a_page_opens_with_is_strict_json():
    about = ask(Session(first()), do="about")
    assert np.isfinite(about["frame"]["loss"])
    json.dumps(about, allow_nan=False)
