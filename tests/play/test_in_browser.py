"""The page in headless Chromium: each control, all widths, the keys, and the library's numbers to the last digit."""

import re

import attrs
import numpy as np
import pytest

import funcnet as fn
from funcnet.play.settings import first
from tests.browser import NEEDS_BROWSER
from tests.play.windows import begin, count, do, enter, press, ready, shown, until

pytestmark = NEEDS_BROWSER


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
    places = "[...document.querySelectorAll('[tabindex=\"0\"]')].filter((e) => !e.role || !e.ariaLabel)"
    for choice in (
        "choose({ kind: 'unit', stage: 1, unit: 0 })",
        "choose({ kind: 'weight', stage: 1, from: 0, to: 0 })",
    ):
        opened.page.evaluate(choice)
        assert opened.page.evaluate(f"{places}.map((e) => e.outerHTML)") == []


FOCUSED = "document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent"


@pytest.mark.parametrize(
    ("focus", "keys", "after"),
    [
        ("#layers [aria-label='Add a hidden layer']", ["Enter"] * 4, "Remove the last hidden layer"),
        ("#layers [aria-label='More units in layer 2']", ["Enter"], "More units in layer 2"),
        ("#layers [aria-label='More units in layer 1']", ["Enter"] * 10, "Fewer units in layer 1"),
        ("#tiles button[data-name=circles]", ["Enter"], "circles"),
        ("#step", ["Enter"], "One step"),
        ("#back", ["ArrowRight", "Enter", "Enter"], "One step back"),
        ("#reset", ["ArrowRight", "Enter"], "Back to step 0"),
        ("#again", ["Enter"], "As it was opened"),
        ("#detail .scroll", ["ArrowRight", "ArrowRight"], "The gradient, row by row"),
    ],
)
def test_the_focus_stays_where_the_keyboard_put_it(opened, focus, keys, after):
    page = opened.page
    page.focus(focus)
    for key in keys:
        press(page, key)
    assert page.evaluate(FOCUSED) == after


def test_a_unit_has_the_focus_also_when_the_window_changes(opened):
    page = opened.page
    page.focus("#net .unit[data-stage='1'][data-unit='2']")
    page.set_viewport_size({"width": 900, "height": 900})
    until(page, "$('net').getAttribute('viewBox').split(' ')[2] == $('graph').clientWidth")
    assert page.evaluate("[document.activeElement.dataset.stage, document.activeElement.dataset.unit]") == ["1", "2"]
    page.set_viewport_size({"width": 1600, "height": 900})


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
    assert {"dense_0", "tanh_0"} <= set(marked) <= {"w", "dense_0", "tanh_0"}
    box = page.locator("#program").bounding_box()
    line = page.locator("#program .here").first.bounding_box()
    assert box["y"] <= line["y"] <= box["y"] + box["height"]


NUMBERS = [0.0, 1.0, -2.5, 0.1, 1 / 3, 1e-4, 9.9e-5, 2.690212e-06, 1.4e-45, 16777216.0, 3.4e38, 123456.789, -1e-20]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_have_all_their_digits_and_no_more(opened, dtype):
    for number in NUMBERS:
        x = np.dtype(dtype).type(number)
        text = opened.page.evaluate(f"exact({float(x)!r}, {str(dtype == 'float32').lower()})")
        assert np.dtype(dtype).type(text) == x
        assert float(text) == shown(x)
    assert opened.page.evaluate("[exact(NaN), exact('inf'), exact(Infinity, true)]") == ["NaN", "inf", "Infinity"]


def test_the_plane_of_two_of_several_inputs(opened, server):
    page = opened.page
    assert page.is_hidden("#across")
    iris = fn.Experiment(
        data=fn.data.Iris(split=fn.data.Split(test=0.25), scale="standard"),
        model=fn.serial(fn.Dense(5), fn.Tanh(), fn.Dense(3)),
        loss=fn.losses.SoftmaxCrossEntropy(),
        optimizer=fn.optim.SGD(0.1),
        training=fn.Training(steps=50, batch_size=8),
    )
    begin(page, server, iris)
    page.click("#step")
    ready(page)
    assert [page.input_value(f"#{name}") for name in ("across", "up")] == ["2", "3"]
    assert "other inputs: at their means" in page.inner_text("#legend")
    before = page.inner_text("#loss"), page.evaluate("Array.from(S.frame.picture.labels)")
    page.select_option("#across", "1")
    ready(page)
    assert "→ sepal_width" in page.inner_text("#legend")
    assert (page.inner_text("#loss"), count(page)) == (before[0], "1")
    assert page.evaluate("Array.from(S.frame.picture.labels)") != before[1]
    page.select_option("#up", "1")  # the one across goes up, and the other takes its place
    ready(page)
    assert [page.input_value(f"#{name}") for name in ("across", "up")] == ["3", "1"]
    assert page.evaluate("S.about.surface.axes") == [3, 1]
    assert opened.overflow() == 0.0
    begin(page, server, first())
    assert page.is_hidden("#up")
