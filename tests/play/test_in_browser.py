"""The page in headless Chromium: each control, both widths, the keys, and the library's numbers to the last digit."""

import re
import threading
import time
from pathlib import Path

import attrs
import numpy as np
import pytest

import funcnet as fn
from funcnet.play.page import in_browser, recorded
from funcnet.play.server import Server
from funcnet.play.session import Session
from funcnet.play.settings import first
from tests.browser import NEEDS_BROWSER, browser, visit  # noqa: F401
from tests.play.test_study import experiment

pytestmark = NEEDS_BROWSER


@pytest.fixture(scope="module")
def server():
    with Server(Session(first())) as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield found
        found.shutdown()
        found.session.close()
        thread.join()


@pytest.fixture(scope="module")
def window(browser, server):  # noqa: F811
    """One page for all tests of this server."""
    with visit(browser, server.address) as found:
        ready(found.page)
        yield found


@pytest.fixture
def opened(window, server):
    """The page as it is opened; a test must not leave an error in its console."""
    begin(window.page, server, first())
    window.page.select_option("#pace", "1")
    window.page.evaluate("document.activeElement.blur()")
    yield window
    assert window.errors == []


def begin(page, server, spec):
    """Begin again with an experiment, as the page would be opened with it."""
    server.session.opened = spec, Path(), ""
    do(page, "restart({ do: 'reset' })")


def until(page, condition, seconds=10):
    """Wait until a condition holds in the page, whose policy forbids the waiting of playwright."""
    end = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < end, condition
        time.sleep(0.005)


def ready(page):
    """Wait until the page has its answer."""
    until(page, "S.frame !== null && !S.busy && !S.waiting && !S.walking")


def do(page, script):
    """Run a script that makes a request, and wait for the answer."""
    page.evaluate(script)
    ready(page)


def press(page, key, times=1):
    for _ in range(times):
        page.keyboard.press(key)
        ready(page)


def count(page):
    return page.inner_text("#count")


def shown(number):
    """A number as the page writes it: the shortest text that is this number and no other of its type."""
    return float(np.format_float_positional(number, unique=True))


OUTSIDE = """[
    ...[...document.querySelectorAll("button, select, input, canvas, #net")]
        .filter((e) => e.clientWidth && e.getBoundingClientRect().right > innerWidth).map((e) => e.id),
    ...drawn.units.filter((u) => u.place.x < 0 || u.place.x + u.place.size > $("graph").clientWidth).map((u) => u.unit),
]"""


@pytest.mark.parametrize("width", [400, 800, 1100, 1600])
def test_nothing_overflows_at_any_width(opened, width):
    page = opened.page
    for scheme in ("light", "dark"):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        until(page, "$('net').viewBox.baseVal.width === $('graph').clientWidth")
        assert opened.overflow() == 0.0
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", ground))) < 200) == (scheme == "dark")
        assert page.evaluate(OUTSIDE) == []
    page.set_viewport_size({"width": 1600, "height": 900})
    page.emulate_media(color_scheme="light")


def test_it_asks_its_server_alone(opened):
    assert {request.rpartition("/")[2] for request in opened.requests} == {"ask"}


def test_every_control_has_a_name(opened):
    named = "e.labels?.length || e.ariaLabel || e.textContent.trim()"
    controls = "[...document.querySelectorAll('button, select, input')]"
    assert opened.page.evaluate(f"{controls}.filter((e) => !({named})).map((e) => e.outerHTML)") == []


def test_step_and_back_are_exact(opened):
    page = opened.page
    seen = []
    for _ in range(3):
        seen.append((count(page), page.inner_text("#loss"), page.inner_text("#detail")))
        page.click("#step")
        ready(page)
    assert [step for step, _, _ in seen] == ["0", "1", "2"]
    for before in reversed(seen):
        page.click("#back")
        ready(page)
        assert (count(page), page.inner_text("#loss"), page.inner_text("#detail")) == before
    assert page.is_disabled("#back")


def test_the_keys(opened):
    page = opened.page
    press(page, "ArrowRight", 3)
    press(page, "ArrowLeft")
    assert count(page) == "2"
    page.keyboard.press(" ")
    until(page, "S.frame.step > 8")
    assert page.get_attribute("#play", "aria-label") == "Pause"
    page.keyboard.press(" ")
    ready(page)
    stopped = count(page)
    page.wait_for_timeout(150)
    assert count(page) == stopped
    press(page, "Home")
    assert count(page) == "0"
    page.focus(".unit[tabindex='0']")
    press(page, "ArrowRight", 2)
    press(page, "ArrowDown")
    assert page.inner_text("#detail-title") == "Unit dense_1[1]"
    assert count(page) == "0"  # in the network, arrows move between units
    page.focus("#row")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("S.row") == 1
    assert count(page) == "0"


def enter(page, selector, text):
    """Type a number, or set a slider, as a reader does."""
    if page.get_attribute(selector, "type") == "range":
        page.fill(selector, text)
    else:
        page.click(selector)
        page.keyboard.press("Control+a")
        page.keyboard.type(text)
        page.keyboard.press("Tab")


CONTROLS = {
    "activation": ("#activation", '"relu"', "relu"),
    "loss": ("#loss-name", '"sigmoid_cross_entropy"', "sigmoid_cross_entropy"),
    "optimizer": ("#optimizer", '"sgd with momentum"', "sgd with momentum"),
    "rate": ("#rate", "0.3", 0.3),
    "batch": ("#batch", "4", 4),
    "seed": ("#seed", "7", 7),
    "rows": ("#rows", "100", 100),
    "noise": ("#noise", "0.3", 0.3),
}


def test_every_control_changes_the_experiment(opened, server):
    page = opened.page
    for name, (selector, text, value) in CONTROLS.items():
        if page.evaluate(f"document.querySelector('{selector}').tagName") == "SELECT":
            page.select_option(selector, text)
        else:
            enter(page, selector, text)
        ready(page)
        assert server.session.answer({"do": "about"})["settings"][name] == value
        assert page.input_value(selector) == text
        press(page, "Escape")
    for tile in ("spirals", "circles", "half_plane_grid", "sine"):
        page.click(f"#tiles button[data-name={tile}]")
        ready(page)
        assert server.session.experiment.data.tag == tile
        assert page.get_attribute(f"#tiles button[data-name={tile}]", "aria-pressed") == "true"
        page.evaluate("document.activeElement.blur()")
        press(page, "ArrowRight", 2)
        assert count(page) == "2"
    assert page.inner_text("#surface-title") == "Curve"
    for label, widths in [
        ("Add a hidden layer", [6, 4, 4]),
        ("More units in layer 3", [6, 4, 5]),
        ("Fewer units in layer 1", [5, 4, 5]),
        ("Remove the last hidden layer", [5, 4]),
    ]:
        page.click(f"[aria-label='{label}']")
        ready(page)
        assert server.session.answer({"do": "about"})["settings"]["layers"] == widths
        assert page.evaluate("drawn.units.length") == 1 + sum(widths) + 1
    page.click("summary")
    assert fn.from_json(page.inner_text("#spec")) == server.session.experiment
    page.click("#again")
    ready(page)
    assert server.session.experiment == first()
    assert page.inner_text("#status") == ""


def gradient_of(server, step):
    """The state of a step, its batch, and the library's own gradients."""
    study = server.session.states.study
    ts = server.session.states.at(step)
    _, batch = study.batch(step)
    spec = server.session.experiment
    context = fn.Context(True, ts.key.fold("step", step, "shard", 0))
    _, _, grads = fn.value_and_grad(spec.model, spec.loss)(ts.params, ts.state, *batch, context)
    return ts, fn.tree.flatten(ts.params), fn.tree.flatten(grads), fn.tree.flatten(study.after(ts)[0].params)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_numbers_of_a_weight_are_the_librarys(opened, server, dtype):
    page = opened.page
    begin(page, server, attrs.evolve(first(), dtype=dtype))
    do(page, "go(37)")
    page.evaluate("draw()")
    _, params, grads, after = gradient_of(server, 37)
    for s, layer, source, to in [(1, "dense_0", 1, 3), (2, "dense_1", 5, 0), (3, "head", 2, 1), (2, "dense_1", -1, 2)]:
        page.select_option("#pick-layer", str(s))
        page.select_option("#pick-from", str(source))
        page.select_option("#pick-to", str(to))
        leaf, index = (f"{layer}/weight", (source, to)) if source >= 0 else (f"{layer}/bias", (to,))
        numbers = [float(text) for text in page.locator("#detail b").all_inner_texts()]
        assert numbers == [shown(found[leaf][index]) for found in (params, grads, after)]
        cells = page.locator("#detail tbody tr").all_inner_texts()
        products = [np.dtype(dtype).type(line.split("\t")[-1]) for line in cells]
        assert len(products) == 16
        assert np.sum(products, dtype=np.float64) == pytest.approx(grads[leaf][index], rel=1e-4, abs=1e-7)
        for line in cells if source >= 0 else []:
            x, dy, product = map(np.dtype(dtype).type, line.split("\t")[1:])
            assert x * dy == product


def test_the_numbers_of_a_unit_are_the_librarys(opened, server):
    page = opened.page
    do(page, "go(11)")
    page.click(".unit[data-stage='2'][data-unit='3']")
    page.fill("#row", "5")
    ts, params, _, _ = gradient_of(server, 11)
    values, cotangents, _, _ = server.session.states.study.trace(ts, server.session.states.study.batch(11)[1])
    numbers = [float(text) for text in page.locator("#detail b").all_inner_texts()]
    assert numbers == [shown(found[path][5, 3]) for path in ("dense_1", "tanh_1") for found in (values, cotangents)]
    cells = [line.split("\t") for line in page.locator("#detail tbody tr").all_inner_texts()]
    assert [float(cell[1]) for cell in cells[:-1]] == [shown(x) for x in values["tanh_0"][5]]
    assert [float(cell[2]) for cell in cells[:-1]] == [shown(w) for w in params["dense_1/weight"][:, 3]]
    assert float(cells[-1][3]) == shown(params["dense_1/bias"][3])


def test_the_line_of_the_program_and_the_equation_are_marked(opened):
    page = opened.page
    page.select_option("#pick-layer", "2")
    assert "d_dense_1_weight = " in page.inner_text("#program .here")
    assert page.inner_text("#equation").startswith("dense_1: dweight = ")
    page.select_option("#pick-from", "-1")
    assert "d_dense_1_bias = " in page.inner_text("#program .here")
    page.click(".unit[data-stage='1'][data-unit='0']")
    marked = [text.split("=")[0].strip() for text in page.locator("#program .here").all_inner_texts()]
    assert {"dense_0", "tanh_0"} <= set(marked) <= {"p", "dense_0", "tanh_0"}
    box = page.locator("#program").bounding_box()
    line = page.locator("#program .here").first.bounding_box()
    assert box["y"] <= line["y"] <= box["y"] + box["height"]


WATCH = """window.phases = [];
new MutationObserver(() => phases.push($("phase").textContent)).observe($("phase"), { childList: true });"""


def test_a_step_is_walked_through_unit_by_unit(opened):
    page = opened.page
    page.select_option("#pace", "slow")
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


NUMBERS = [0.0, 1.0, -2.5, 0.1, 1 / 3, 1e-4, 9.9e-5, 2.690212e-06, 1.4e-45, 16777216.0, 3.4e38, 123456.789, -1e-20]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_have_all_their_digits_and_no_more(opened, dtype):
    for number in NUMBERS:
        x = np.dtype(dtype).type(number)
        text = opened.page.evaluate(f"exact({float(x)!r}, {str(dtype == 'float32').lower()})")
        assert np.dtype(dtype).type(text) == x
        assert float(text) == shown(x)
    assert opened.page.evaluate("[exact(NaN), exact('inf'), exact(Infinity, true)]") == ["NaN", "inf", "Infinity"]


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
def test_a_recorded_page_needs_nobody(browser, recording, width):  # noqa: F811
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


def test_the_page_for_pyodide_loads_nothing_before_it_is_told_to(browser, tmp_path):  # noqa: F811
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
