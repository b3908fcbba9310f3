"""``funcnet guide``: every page, whole, on wide consoles and narrow ones."""

import json
from functools import partial

import pytest

from tests.cli import ROOT, called, funcnet, together

LIST = """\
concept     Why three functions make a layer, and two layers make one
loops       Your loop here, the same in funcnet there
layer       Writing a layer
loss        Writing a loss
spec        The spec format
errors      Errors by their text
"""
CHINESE = """\
concept.zh  一个层为什么只需三个函数，两个层又怎样合成一个层
loops.zh    你手写的循环，用 funcnet 怎么写
"""
NARROW = """\
concept.zh  in the language 'zh'
loops.zh    in the language 'zh'
"""
PAGES = [line.split()[0] for line in (LIST + CHINESE).splitlines()]
KNOWN = ", ".join(PAGES)
ENCODINGS = ("ascii", "cp1252", "gbk")


def page(name):
    return (ROOT / "funcnet" / "guide" / f"{name}.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def guide(tmp_path_factory):
    empty = tmp_path_factory.mktemp("empty")  # pages are found wherever the command runs
    guide = partial(called, empty, "guide")
    results = {name: guide(name) for name in PAGES} | {
        "zh": guide("--lang", "zh"),
        "fr": guide("--lang", "fr"),
        "concept zh": guide("concept", "--lang", "zh"),
        "concept en": guide("concept", "--lang", "en"),
        "concept.zh zh": guide("concept.zh", "--lang", "zh"),
        "layer zh": guide("layer", "--lang", "zh"),
        "unknown": guide("lops"),
        "unknown json": guide("../data/ORIGIN", "--json"),
    }
    calls = {
        "": partial(funcnet, empty, "guide"),
        "json": partial(funcnet, empty, "guide", "--json"),
        "page json": partial(funcnet, empty, "guide", "loops.zh", "--json", encoding="ascii"),
    }
    for encoding in ENCODINGS:
        calls[encoding] = partial(funcnet, empty, "guide", encoding=encoding)
        calls[f"errors {encoding}"] = partial(funcnet, empty, "guide", "errors", encoding=encoding)
        calls[f"concept.zh {encoding}"] = partial(funcnet, empty, "guide", "concept.zh", encoding=encoding)
    return results | together(calls)


def test_list_has_a_line_for_each_page(guide):
    assert guide[""] == (0, LIST + CHINESE, "")
    assert guide["zh"] == (0, CHINESE, "")
    lines = (LIST + CHINESE).splitlines()
    assert json.loads(guide["json"].out) == {"pages": dict(line.split(maxsplit=1) for line in lines)}


@pytest.mark.parametrize("name", PAGES)
def test_page_is_printed_whole(guide, name):
    assert guide[name] == (0, page(name), "")


def test_language(guide):
    assert guide["concept zh"] == guide["concept.zh zh"] == guide["concept.zh"]
    assert guide["concept en"] == guide["concept"]
    assert json.loads(guide["page json"].out) == {"page": "loops.zh", "text": page("loops.zh")}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_narrow_console(guide, encoding):
    """What is missing of an English page are three dots; a Chinese one without its characters is refused."""
    assert guide[encoding] == (0, LIST + (CHINESE if encoding == "gbk" else NARROW), "")
    assert guide[f"errors {encoding}"] == (0, page("errors").encode(encoding, "replace").decode(encoding), "")
    result = guide[f"concept.zh {encoding}"]
    if encoding == "gbk":
        assert result == (0, page("concept.zh"), "")
        return
    file = ROOT / "funcnet" / "guide" / "concept.zh.md"
    cannot = f"the output's encoding, {encoding}, cannot show the page 'concept.zh'"
    assert result == (1, "", f"funcnet: guide: {cannot}; set PYTHONIOENCODING=utf-8, or read {file}\n")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("unknown", f"unknown page 'lops', did you mean 'loops'?; there are {KNOWN}"),
        ("layer zh", f"unknown page 'layer.zh', did you mean 'layer'?; there are {KNOWN}"),
        ("fr", "no page is written in 'fr'; there are en, zh"),
    ],
)
def test_unknown_page(guide, call, message):
    assert guide[call] == (1, "", f"funcnet: guide: {message}\n")


def test_unknown_page_as_json(guide):
    result = guide["unknown json"]
    message = f"guide: unknown page '../data/ORIGIN'; there are {KNOWN}"
    assert (result.status, result.out) == (1, "")
    assert json.loads(result.err) == {"error": "SpecError", "message": message}
