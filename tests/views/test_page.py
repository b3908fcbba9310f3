"""Pages: every text is escaped, tables and pictures say what they are, and nothing is asked for."""

import html.parser
import re

from funcnet.views import page, svg
from funcnet.views.page import Best, Html, Section
from funcnet.views.table import Table

HOSTILE = ["<script>alert(1)</script>", "]]>\"'&amp;", "\u202egnp", "a\nb\0", "\ud800", "</style></title>", "{}%s$"]


class Seen(html.parser.HTMLParser):
    """The tags of a page, with their attributes, and its text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)


def test_hostile_names_are_text_everywhere():
    table = page.table(Table(HOSTILE, [HOSTILE, HOSTILE]), HOSTILE[0])
    drawn = svg.document(10, 10, HOSTILE[0], [])
    parts = [
        table,
        page.picture(drawn, HOSTILE[0], page.name(HOSTILE[5]), wide=True),
        page.bars([(name, 1.0, name, False) for name in HOSTILE], HOSTILE[1]),
        page.details(HOSTILE[0], page.code(HOSTILE[5], HOSTILE[1])),
        *map(page.paragraph, HOSTILE),
    ]
    whole = page.page(HOSTILE[5], page.name(HOSTILE[0]), [Section("one", HOSTILE[0], HOSTILE[1], parts)])
    whole.encode()  # no half of a surrogate pair is left
    found = Seen(whole)
    known = (
        "html head meta title style body a header nav ul li main section h2 p div table caption thead tbody tr th td "
        "bdi figure figcaption svg desc rect span i details summary pre code footer"
    )
    assert {tag for tag, _ in found.tags} <= set(known.split())
    assert not any(name.startswith("on") for _, attributes in found.tags for name in attributes)
    assert "<script>alert(1)</script>" in found.words
    assert "\\u202egnp" in found.words  # a name does not turn the line around


def test_a_page_forbids_scripts_and_requests():
    whole = page.page("A", "<h1>A</h1>", [Section("one", "One", "", [])])
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in whole
    assert not re.search(r"(?:src|href)=\"(?!#|data:)|url\(|@import", whole)
    assert whole.count("<h1>") == 1
    assert '<a href="#one">One</a>' in whole
    assert '<section id="one" aria-labelledby="one-title"><h2 id="one-title">One</h2>' in whole


def test_a_table_has_headers_and_a_caption():
    found = page.table(Table(["part", "loss"], [["train", "0.5"], ["all", "1"]], totals=1), "Scores")
    assert "<caption>Scores</caption>" in found
    assert '<th scope="col"><bdi>part</bdi></th><th scope="col" class="number"><bdi>loss</bdi></th>' in found
    assert '<tr><th scope="row"><bdi>train</bdi></th><td class="number"><bdi>0.5</bdi></td></tr>' in found
    assert '<tr class="total">' in found
    assert found.startswith('<div class="scroll" role="region" tabindex="0" aria-label="Scores">')


def test_cells_may_be_bold_or_html():
    found = page.table(Table(["a", "b", "c"], [["x", Best("2"), Html("<br>")]]), "", ["aside"])
    assert '<tr class="aside">' in found
    assert '<td class="number"><b class="best"><bdi>2</bdi></b></td><td><br></td>' in found


def test_names_have_the_language_of_their_letters():
    assert page.name("价格") == '<bdi lang="zh">价格</bdi>'
    assert page.name("価格は") == '<bdi lang="ja">価格は</bdi>'
    assert page.name("가격") == '<bdi lang="ko">가격</bdi>'
    assert page.name("a/b", breaks=True) == "<bdi>a/<wbr>b</bdi>"


def test_the_end_of_a_very_long_name_is_cut():
    assert page.name("x" * 240) == f"<bdi>{'x' * 240}</bdi>"
    assert page.name("x" * 100_000) == f"<bdi>{'x' * 239}…</bdi>"


def test_a_picture_has_a_description_beside_its_title():
    found = page.picture(svg.document(300, 10, "curves", []), "What it shows", wide=True)
    assert '<svg style="min-width:min(255px,30rem)" xmlns=' in found
    assert "<title>curves</title><desc>What it shows</desc>" in found
    assert found.startswith('<figure style="width:300px"><div class="scroll" role="region" tabindex="0"')


def test_bars_are_shares_of_the_largest():
    found = page.bars([("own", 2.0, "2", True), ("other", 1.0, "1", False), ("below", -1.0, "-1", False)], "loss")
    assert re.findall(r"width:([0-9.]+)%", found) == ["100.0", "50.0", "0.0"]
    assert page.bars([], "") == '<div class="bars" role="group" aria-label=""></div>'


def test_a_section_without_room_is_left_out_and_says_so():
    small, large = [Section(key, key, "", ["<p>" + "x" * size + "</p>"]) for key, size in (("a", 10), ("b", 499_000))]
    whole = page.page("A", "<h1>A</h1>", [small, large])
    assert len(whole.encode()) < page.MOST_BYTES
    assert "<p>xxxxxxxxxx</p>" in whole
    left_out = whole[whole.index('<section id="b"') :]
    assert "Left out, since the page would have more than 500 kB." in left_out
    assert "xxx" not in left_out
    several = page.page("A", "<h1>A</h1>", [small, *[large] * 3])
    assert several.count("Left out, since") == 3


def test_texts_and_tables_are_bounded():
    assert len(page.paragraph("<" * 10_000)) <= 4 * page.LONGEST_TEXT + 10
    assert len(page.page("&" * 10_000, "", [])) <= len(page.page("", "", [])) + 5 * page.LONGEST
    table = Table([f"c{i}" for i in range(50)], [["1"] * 50] * 130)
    drawn = page.table(table, "of one")
    assert "<caption>of one; 30 more rows and 10 more columns are left out</caption>" in drawn
    assert drawn.count("<tr") == 1 + page.MOST_ROWS
    assert drawn.count("<th ") == page.MOST_COLUMNS + page.MOST_ROWS
