"""A training whose numbers are not finite: the page says so, and draws them as neither high nor low."""

import base64
import json

import numpy as np
import pytest

import funcnet as fn
from funcnet.play.numbers import encoded
from funcnet.play.page import recorded
from funcnet.play.session import Session
from tests.browser import NEEDS_BROWSER, browser, visit  # noqa: F401
from tests.play.test_page import given
from tests.play.test_study import experiment
from tests.play.windows import ready, until


@pytest.fixture(scope="module")
def diverging():
    """A linear network of three inputs, at a rate at which its weights overflow in a few steps."""
    made = fn.data.Function(target="mean_sine", inputs=3, rows=40)
    return Session(
        experiment(
            data=made,
            model=fn.serial(fn.Dense(3), fn.Dense(3), fn.Dense(1)),
            loss=fn.losses.MeanSquaredError(),
            metrics=(),
            optimizer=fn.optim.SGD(1e6),
            training=fn.Training(steps=90, batch_size=1),
            dtype="float64",
        )
    )


@pytest.mark.filterwarnings("error")
def test_frames_and_recordings_of_it_come_without_a_warning(diverging):
    frame = json.loads(encoded(diverging.answer({"do": "frame", "to": 90, "since": 0})))
    assert frame["step"] < 90
    assert frame["loss"] in ("nan", "inf")
    assert "is not finite" in frame["problem"]
    assert all(np.isfinite(column["scale"]) for column in frame["units"])
    assert given(recorded(diverging))["frames"][-1]["loss"] == frame["loss"]


def test_nan_is_drawn_as_neither_high_nor_low(diverging):
    study = diverging.states.study
    y = np.zeros((len(study.surface.points), 1))
    y[:3, 0] = np.nan, np.inf, -np.inf
    cells = base64.b64decode(study.surface.answers(study.experiment.loss, y, study.data)["cells"])
    assert list(cells[:3]) == [128, 255, 0]


@NEEDS_BROWSER
@pytest.mark.parametrize("width", [400, 1000])
def test_the_page_shows_where_it_ended(diverging, browser, tmp_path, width):  # noqa: F811
    file = tmp_path / "page.html"
    file.write_bytes(recorded(diverging))
    with visit(browser, file, width=width) as found:
        page = found.page
        ready(page)
        page.click("#play")
        until(page, "!S.playing && !S.busy")
        assert page.inner_text("#loss") in ("nan", "inf")
        assert "is not finite; it arose first in" in page.inner_text("#status")
        assert "this step fails: its numbers are not finite" in page.inner_text("#detail")
        page.keyboard.press("ArrowLeft")
        until(page, "!S.busy && S.frame.problem === null")
        assert page.inner_text("#status") == ""
        assert (found.errors, found.requests, found.overflow()) == ([], [], 0.0)


@NEEDS_BROWSER
def test_the_scores_of_four_metrics_stay_in_their_card(browser, tmp_path):  # noqa: F811
    metrics = (fn.metrics.RMSE(), fn.metrics.MAE(), fn.metrics.R2())
    spec = experiment(
        data=fn.data.Diabetes(split=fn.data.Split(0.1, 0.2), scale="standard", target_scale="standard"),
        model=fn.serial(fn.Dense(2), fn.Tanh(), fn.Dense(1)),
        loss=fn.losses.MeanSquaredError(),
        metrics=metrics,
    )
    file = tmp_path / "page.html"
    file.write_bytes(recorded(Session(spec), 2))
    for width in (400, 1000, 1600):
        with visit(browser, file, width=width) as found:
            ready(found.page)
            card = "document.querySelector('.card.loss').getBoundingClientRect().right"
            assert found.page.evaluate(f"{card} - $('scores').getBoundingClientRect().right") > 0
