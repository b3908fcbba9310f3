"""The page in headless Chromium: the walk through a step, what is touched, what is refused, pages without a server."""

from pathlib import Path

import pytest

import funcnet as fn
from funcnet.play.page import in_browser, recorded
from funcnet.play.session import Session
from tests.browser import NEEDS_BROWSER, visit
from tests.play.test_study import experiment
from tests.play.windows import begin, count, enter, press, ready, until

pytestmark = NEEDS_BROWSER


WATCH = """window.phases = [];
new MutationObserver(() => phases.push($("phase").textContent)).observe($("phase"), { childList: true });"""


def test_a_step_is_walked_through_unit_by_unit(opened):
    page = opened.page
    page.select_option("#pace", "slow")
    page.evaluate("S.beat = 20")
    page.evaluate(WATCH)
    page.click("#step")
    until(page, "S.frame.step === 1 && !S.walking")
    phases = page.evaluate("phases")
    forward = ["x1", "x2", *(f"dense_0[{k}]" for k in range(6)), *(f"dense_1[{k}]" for k in range(4)), "upper", "lower"]
    assert phases[0] == "the weights are updated"
    assert phases[1 : len(forward) + 1] == [f"forward: {name}" for name in forward]
    assert phases[len(forward) + 1].startswith("the loss: 0.")
    backward = [phase for phase in phases if phase.startswith("backward: ")]
    assert backward[:3] == ["backward: upper", "backward: lower", "backward: dense_1[0]"]
    assert backward[-1] == "backward: gradients of dense_0"
    assert phases[-1] == "forward and backward done"
    page.fill("#tick", "3")
    page.click("#step")  # from within a step as well
    until(page, "S.frame.step === 2 && S.tick > 4")
    page.click(".unit[data-stage='1'][data-unit='0']")
    until(page, "!S.walking")
    page.evaluate("S.beat = 130")
    assert page.inner_text("#detail-title") == "Unit dense_0[0]"


def test_within_a_step_values_appear_in_order(opened):
    page = opened.page

    def at(tick):
        page.fill("#tick", str(tick))
        return [page.evaluate(f"drawn.units.filter((u) => u.{name}.textContent).length") for name in ("value", "back")]

    assert at(0) == [0, 0]
    assert page.inner_text("#phase") == "before the step"
    assert at(2) == [2, 0]
    assert at(14) == [14, 0]
    assert at(16) == [14, 1]
    assert page.inner_text("#equation").startswith(("dz = ", "from the loss: SoftmaxCrossEntropy"))
    assert at(27) == [14, 12]
    before = page.evaluate("drawn.links.map((l) => l.line.getAttribute('stroke-width'))")
    assert at(int(page.get_attribute("#tick", "max"))) == [14, 12]
    assert page.evaluate("drawn.links.map((l) => l.line.getAttribute('stroke-width'))") != before
    page.keyboard.press("Tab")
    page.evaluate("document.activeElement.blur()")
    press(page, "ArrowRight")
    assert count(page) == "1"


ON_A_LINK = """(() => {
    const line = drawn.links[3].line, point = line.getPointAtLength(line.getTotalLength() / 5), m = line.getScreenCTM();
    return [point.x + m.e, point.y + m.f];
})()"""
ROW_9 = """(() => {
    const canvas = $("data");
    return placed(S.about, axes(S.about, canvas.clientWidth, canvas.clientHeight), S.frame.x, S.frame.y, 9);
})()"""


def test_a_weight_and_a_row_are_touched(opened):
    page = opened.page
    link = page.evaluate(ON_A_LINK)
    page.mouse.click(*link)
    assert page.inner_text("#detail-title").startswith("Weight dense_0/weight[")
    page.click(".unit[data-stage='1'] .bias >> nth=2")
    assert page.inner_text("#detail-title") == "Bias dense_0/bias[2]"
    x, y = page.evaluate(ROW_9)
    page.click("#data", position={"x": x, "y": y})
    assert page.evaluate("S.row") == 9
    assert page.inner_text("#row-shown").startswith("9: ")


def test_two_windows_show_the_same_experiment(opened, server):
    page = opened.page
    server.session.answer({"do": "set", "name": "data", "value": "sine"})
    page.click("#step")
    until(page, "S.about.settings.data === 'sine'")
    ready(page)
    assert page.inner_text("#status").startswith("another window has begun this experiment")
    press(page, "ArrowRight", 2)
    assert (count(page), page.inner_text("#status")) == ("2", "")


DRAWN = """[...$("tiles").querySelectorAll("canvas")].every(
    (canvas) => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some(Boolean)
)"""


def test_what_is_refused_is_said_and_the_controls_are_as_before(opened):
    page = opened.page
    enter(page, "#seed", "-3")
    until(page, "$('status').textContent")
    assert page.inner_text("#status") == "seed: expected a whole number from 0 to 4294967295, got -3"
    until(page, "$('seed').value === '0'")
    assert page.evaluate(DRAWN)
    press(page, "ArrowRight")
    page.evaluate("document.activeElement.blur()")
    press(page, "ArrowRight")
    assert page.inner_text("#status") == ""
    assert [text for text in opened.errors if "400" not in text] == []
    opened.errors.clear()  # the browser itself logs an answer of 400


def test_a_training_that_fails_says_so_and_stops(opened, server):
    page = opened.page
    begin(page, server, experiment(optimizer=fn.optim.SGD(1e38)))
    page.click("#play")
    until(page, "!S.playing && !S.busy")
    assert "is not finite" in page.inner_text("#status")
    assert "this step fails" in page.inner_text("#detail")


def test_a_table_of_the_reader_with_hostile_names(opened):
    page = opened.page
    name = "<img src=x onerror=alert(1)>"
    rows = "".join(f"{i / 3:.3f},{i % 7 / 2},{'ab'[i % 2]}</b>\n" for i in range(60))
    table = {"name": "mine.csv", "mimeType": "text/csv", "buffer": f"{name},b,y\n{rows}".encode()}
    page.set_input_files("#table", table)
    until(page, "S.about.inputs[1] === 'b'")
    ready(page)
    assert name[:20] in page.inner_text("#legend")
    assert "a</b>" in page.inner_text("#legend")
    assert page.locator("#legend img, #legend b, #detail img").count() == 0
    page.select_option("#pick-layer", "1")
    assert name in page.inner_text("#detail")
    press(page, "ArrowRight")


def test_a_page_whose_server_has_ended_says_so(opened):
    page = opened.page
    page.route("**/ask", lambda route: route.abort())
    page.click("#step")
    until(page, "$('status').textContent")
    page.unroute("**/ask")
    assert page.inner_text("#status").startswith("funcnet play has ended; start it again")
    assert [text for text in opened.errors if "ERR_FAILED" not in text] == []
    opened.errors.clear()


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    file = tmp_path_factory.mktemp("page") / "page.html"
    file.write_bytes(recorded(Session(experiment(), Path(), "recorded"), 12))
    return file


@pytest.mark.parametrize("width", [400, 1600])
def test_a_recorded_page_needs_nobody(browser, recording, width):
    with visit(browser, recording, width=width) as found:
        page = found.page
        ready(page)
        assert page.title() == "recorded – funcnet play"
        before = page.inner_text("#detail")
        press(page, "ArrowRight")
        assert count(page) == "1"
        press(page, "ArrowLeft")
        assert page.inner_text("#detail") == before
        page.click("#play")
        until(page, "S.frame.step === S.about.total && !S.playing")
        assert page.evaluate("S.losses.length") == 18
        assert page.locator("fieldset:disabled").count() == 2
        assert page.inner_text("#why").startswith("This page is a recording.")
        assert page.locator("#pace option").all_inner_texts() == ["unit by unit", "recorded steps"]
        assert (found.errors, found.requests, found.overflow()) == ([], [], 0.0)


def test_the_page_for_pyodide_loads_nothing_before_it_is_told_to(browser, tmp_path):
    nowhere = "http://127.0.0.1:9/pyodide/"
    file = tmp_path / "live.html"
    file.write_bytes(in_browser(None, None, nowhere))
    with visit(browser, file, width=400) as found:
        page = found.page
        assert nowhere in page.inner_text("dialog")
        assert f"funcnet {fn.__version__} in this browser" in page.inner_text("dialog")
        page.keyboard.press("Escape")
        assert page.is_visible("dialog")
        assert (found.requests, found.errors, found.overflow()) == ([], [], 0.0)
        page.click("dialog button")
        until(page, "document.querySelector('dialog').textContent.includes('It could not be loaded')")
        assert page.is_enabled("dialog button")
        assert set(found.requests) == {f"{nowhere}pyodide.mjs"}


def test_less_motion_is_respected(opened):
    page = opened.page
    page.emulate_media(reduced_motion="reduce")
    page.select_option("#pace", "slow")
    page.evaluate(WATCH)
    page.click("#step")
    until(page, "S.frame.step === 1 && !S.walking")
    page.emulate_media(reduced_motion="no-preference")
    assert not any(phase.startswith("forward: ") for phase in page.evaluate("phases"))
