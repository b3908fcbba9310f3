"""Pages in a browser: their width, contrast, colours, print and keyboard."""

import itertools
import re

import pytest

from funcnet.experiments.folder import REPORT
from funcnet.experiments.report.comparison import comparison_html
from tests.browser import NEEDS_BROWSER, browser, visit  # noqa: F401
from tests.reports import KINDS

SMALLEST_CONTRAST = 4.5
"""AA of WCAG for text"""


CONTRAST = """() => {
  const parts = text => text.match(/[0-9.]+/g).map(Number);
  const linear = v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => [r, g, b].map(v => linear(v / 255))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = node => {
    for (let at = node; at; at = at.parentElement) {
      const colour = parts(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  let least = [99, ""];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some(one => one.nodeType === 3 && one.data.trim());
    if (!own || ["title", "desc"].includes(node.tagName) || node.closest("svg [class=cell], .skip")) continue;
    const style = getComputedStyle(node), svg = node.namespaceURI.endsWith("svg");
    if (svg && node.getAttribute("fill") === "#ffffff") continue;  // on a cell
    const [a, b] = [light(parts(svg ? style.fill : style.color)), light(ground(node))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < least[0]) least = [ratio, node.outerHTML.slice(0, 200)];
  }
  return least;
}"""


@NEEDS_BROWSER
@pytest.mark.parametrize("name", [*KINDS, "several"])
def test_a_page_in_a_browser(browser, runs, several, tmp_path, name):  # noqa: F811
    """No errors, no requests, no text beyond the edges, and enough contrast, in both schemes and narrow and wide."""
    page = runs[name][0] / REPORT if name in KINDS else tmp_path / "several.html"
    if name == "several":
        page.write_text(comparison_html(several), encoding="utf-8")
    both = [("dark", 400), ("light", 1600)]
    for scheme, width in [*both, ("light", 400), ("dark", 1600)] if name == "hostile" else both:
        with visit(browser, page, width, scheme) as seen:
            assert (seen.errors, seen.requests) == ([], [])
            assert seen.overflow() <= 0.0
            ground = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(21, 23, 26)"}[scheme]
            least, where = seen.page.evaluate(CONTRAST)
            assert SMALLEST_CONTRAST <= least <= 21.0, where


@NEEDS_BROWSER
def test_a_page_is_printed_on_white_and_read_by_the_keyboard(browser, runs):  # noqa: F811
    with visit(browser, runs["hostile"][0] / REPORT, 1200, "dark") as seen:
        printed = seen.page.pdf(format="A4")
        assert printed[:5] == b"%PDF-"
        assert 2 <= len(re.findall(rb"/Type /Page\b", printed)) <= 12
        seen.page.emulate_media(media="print")
        seen.page.set_viewport_size({"width": 688, "height": 971})  # A4 without its margins
        assert seen.overflow() <= 0.0
        assert seen.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        seen.page.emulate_media(media="screen")
        seen.page.keyboard.press("Tab")
        assert seen.page.evaluate("document.activeElement.textContent") == "To the content"
        reached = set()
        for _ in range(60):
            seen.page.keyboard.press("Tab")
            reached.add(seen.page.evaluate("document.activeElement.getAttribute('aria-label')"))
        assert "Scores by part, the baselines below" in reached  # wide tables scroll by the keyboard too
        levels = seen.page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(one => Number(one.tagName[1]))")
        assert levels[0] == 1
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
        assert seen.page.evaluate("[...document.images].every(one => one.alt && one.naturalWidth > 0)")
        assert seen.page.evaluate("[...document.querySelectorAll('table')].every(one => one.caption.textContent)")
