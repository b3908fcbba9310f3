"""The published 4-3-3-1 network in the page: its digits at step 0, and its steps are those of the library."""

import base64
from pathlib import Path

import attrs
import numpy as np
import pytest

import funcnet as fn
from funcnet.play.page import MOST_BYTES, recorded
from funcnet.play.session import Session
from funcnet.play.settings import changed
from tests.browser import NEEDS_BROWSER, browser, visit  # noqa: F401
from tests.play.test_page import given
from tests.play.windows import ready

SPECS = Path(__file__).parents[2] / "specs"
ROW = (1.0, 2.0, 3.0, 2.5)
TARGET = float(np.mean(np.sin(ROW)))
TABULAR = ("sine_4_3_3_1", "iris_csv", "diabetes")
"""Shipped experiments of more than two inputs"""


def floats(packed):
    """An array of the page as the library's own."""
    kind = {"f4": "<f4", "f8": "<f8", "i4": "<i4"}[packed["type"]]
    return np.frombuffer(base64.b64decode(packed["data"]), kind).reshape(packed["shape"])


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The published network and its weights on the published row, the only one of a table."""
    folder = tmp_path_factory.mktemp("published")
    (folder / "row.csv").write_text("a,b,c,d,y\n" + ",".join(map(repr, (*ROW, TARGET))) + "\n")
    (folder / "sine_4_3_3_1.npz").write_bytes((SPECS / "sine_4_3_3_1.npz").read_bytes())
    spec = fn.load_spec(SPECS / "sine_4_3_3_1.json")
    return Session(attrs.evolve(spec, data=fn.data.Csv(path="row.csv", target="y"), metrics=()), folder, "published")


def test_step_0_has_the_published_digits(published):
    frame = published.answer({"do": "frame", "to": 0, "since": 0})
    for layer, expected in {
        "dense_0": [[4.8, 1.21, 2.385]],
        "dense_1": [[0.5031, -1.04185, -2.03875]],
        "dense_2": [[3.176794]],
    }.items():
        np.testing.assert_allclose(floats(frame["values"][layer]), expected, atol=1e-6)
    assert f"{frame['loss']:.6f}" == "6.523957"
    gradient = floats(frame["grads"]["dense_2/weight"])[:, 0]
    np.testing.assert_allclose(gradient, [2.570040, -5.322195, -10.414766], atol=1e-6)


@NEEDS_BROWSER
def test_the_page_shows_them_to_the_last_digit(published, browser, tmp_path):  # noqa: F811
    ts, spec = published.states.at(0), published.experiment
    answer, _, _ = spec.model.apply(ts.params, ts.state, np.array([ROW]), fn.EVAL)
    file = tmp_path / "page.html"
    file.write_bytes(recorded(published, 2))
    with visit(browser, file) as found:
        ready(found.page)
        found.page.focus(".unit[data-stage='3'][data-unit='0']")
        found.page.keyboard.press("Enter")
        y, dy = map(float, found.page.locator("#detail b").all_inner_texts())
        assert (y, f"{y:.6f}") == (answer[0, 0], "3.176794")
        assert dy == 2.0 * (answer[0, 0] - TARGET)
        assert f"{float(found.page.inner_text('#loss')):.6f}" == "6.523957"
        assert (found.errors, found.requests) == ([], [])


@pytest.mark.parametrize("name", TABULAR)
def test_frames_of_many_inputs_are_those_of_train_step(name):
    """Params, values, loss and gradients, bit for bit, of the compiled step and of ``value_and_grad``."""
    spec = fn.load_spec(SPECS / f"{name}.json")
    session = Session(spec, SPECS)
    study, ts = session.states.study, session.states.at(0)
    step = fn.train_step(spec.model, spec.loss, study.optimizer)
    for at in range(4):
        frame = session.answer({"do": "frame", "to": at, "since": 0})
        batch = floats(frame["x"]), floats(frame["y"])
        context = fn.Context(True, ts.key.fold("step", at, "shard", 0))
        _, _, grads = fn.value_and_grad(spec.model, spec.loss)(ts.params, ts.state, *batch, context)
        before = ts
        ts, found = step(ts, batch)
        assert frame["loss"] == found["loss"]
        for part, tree in (("params", before.params), ("grads", grads), ("after", ts.params)):
            for path, leaf in fn.tree.flatten(tree).items():
                assert floats(frame[part][path]).tobytes() == leaf.tobytes(), (at, part, path)


@pytest.mark.parametrize("name", TABULAR)
def test_a_recording_of_many_inputs_is_shorter_than_a_megabyte(name):
    spec = fn.load_spec(SPECS / f"{name}.json")
    short = attrs.evolve(spec, training=attrs.evolve(spec.training, epochs=None, steps=300))
    session = Session(short, SPECS, name)
    text = recorded(session, 60)
    found = given(text)
    assert len(text) <= MOST_BYTES
    assert len(found["frames"]) >= 12
    assert found["frames"][-1]["step"] == 300
    assert found["frames"][1] == {
        key: value
        for key, value in session.answer({"do": "frame", "to": 1, "since": 0}).items()
        if key not in ("run", "since", "losses")
    }


@pytest.mark.parametrize(("name", "value"), [("layers", []), ("layers", [16] * 6), ("activation", "relu"), ("seed", 7)])
def test_a_change_of_the_published_network_keeps_its_data(name, value):
    spec = fn.load_spec(SPECS / "sine_4_3_3_1.json")
    session = Session(changed(spec, name, value, SPECS), SPECS)
    assert session.experiment.data == spec.data
    assert session.answer({"do": "frame", "to": 2, "since": 0})["problem"] is None
