"""The guide: its code runs, its errors are the real ones, its translations have the same code."""

import os
import re
import shlex
from pathlib import Path

import pytest

import funcnet as fn
from funcnet.cli.guide import pages
from funcnet.cli.shipped import ABOUT
from funcnet.spec import base as spec
from funcnet.spec.kinds import KINDS
from tests.cli import called
from tests.pages import blocks, python_blocks, tags_end

GUIDE = Path(fn.__file__).parent / "guide"
PAGES = {name: GUIDE / f"{name}.md" for name in pages()}
README = GUIDE.parents[1] / "README.md"
ENGLISH = [name for name in PAGES if "." not in name]
"""Pages whose blocks run; those of translations are the same"""
TRANSLATIONS = {name: PAGES.get(name.partition(".")[0], README) for name in PAGES if "." in name}
"""The translated pages, each with its original"""


@pytest.fixture(autouse=True)
def no_tags_are_left():
    """The tags that a page registers end with it; later tests in this process do not meet them."""
    with tags_end():
        yield


def text(name):
    return PAGES[name].read_text(encoding="utf-8")


def test_pages_in_reading_order():
    course = ["course", *(f"course_{i}" for i in range(1, 9))]
    loops = ["loops", "loops_half_plane", "loops_relu", "loops_cat", "play"]
    assert list(PAGES) == [
        *("concept", *course, *loops, "algebra", "tables", "data", "networks", "training", "recipes", "sklearn"),
        *("optimizers", "layer", "loss", "spec", "deploy", "speed", "trust", "experiments", "reference", "errors"),
        *(f"{name}.zh" for name in ["README", "concept", *course, *loops, "algebra", "tables", "data", "networks"]),
        *("training.zh", "recipes.zh", "sklearn.zh", "optimizers.zh", "layer.zh", "loss.zh", "spec.zh", "deploy.zh"),
        *("speed.zh", "trust.zh", "experiments.zh", "reference.zh", "errors.zh"),
    ]
    assert sorted(PAGES.values()) == sorted(GUIDE.glob("*.md"))


@pytest.mark.parametrize("name", [name for name in ENGLISH if name not in ("errors", "reference")])
def test_blocks_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = python_blocks(PAGES[name])
    assert found
    space = {"__name__": f"guide_{name}"}
    for block in found:
        block.prints(space)


@pytest.mark.parametrize(
    ("printed", "similar"),
    [
        ("part    loss  rows\n------  ----  ----\ntrain  0.101    10\ntest    0.22    10 ##\n", True),
        ("part  loss  rows\n----  ----  ----\ntest   0.2    10 #\ntrain  0.1    10\n", True),
        ("part  loss  rows\n----  ----  ----\ntest   0.1    10 #\ntrain  0.3    10\n", False),
        ("part  loss  rows\n----  ----  ----\ntest   0.2    10 #\n", False),
        ("part  mean  rows\n----  ----  ----\ntest   0.2    10 #\ntrain  0.1    10\n", False),
    ],
)
def test_figures_of_trainings_are_compared_roughly(tmp_path, printed, similar):
    page = tmp_path / "page.md"
    shown = "part   loss  rows\n-----  ----  ----\ntrain  0.1     10\ntest   0.2     10 #\n"
    page.write_text(f"```python\nprint(text)\n```\n\n```output\n{shown}```\n")
    (block,) = python_blocks(page)
    if similar:
        block.prints({"text": printed})
    else:
        with pytest.raises(AssertionError, match=r"page\.md:1 prints:"):
            block.prints({"text": printed})


@pytest.mark.parametrize(
    ("printed", "same"),
    [
        ("[[ 0. 1.5]]\nwrong at (0, 1): 2.0000000001\n", True),
        ("[[-0. 1.5]]\nwrong at (0, 1): 1.9999999999\n", True),
        ("[[ 0. 1.5]]\nwrong at (0, 1): 2.001\n", False),
        ("[[ 0. 1.5]]\nwrong at (1, 1): 2.0\n", False),
        ("", False),
    ],
)
def test_outputs_that_a_page_shows_are_compared(tmp_path, printed, same):
    page = tmp_path / "page.md"
    page.write_text("```python\nprint(text)\n```\n\n```\n[[0. 1.5]]\nwrong at (0, 1): 2.0\n```\n")
    (block,) = python_blocks(page)
    if same:
        block.prints({"text": printed})
    else:
        with pytest.raises(AssertionError, match=r"page\.md:1 prints:"):
            block.prints({"text": printed})


def test_commands_of_the_tables_page_print_what_it_shows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = blocks(PAGES["tables"], "bash")
    for block in found:
        made = re.match(r"mkdir -p (\S+)\npython - <<'PY'\n(.*?)^PY\n", block.code, re.M | re.S)
        if made:
            os.makedirs(made[1])
            exec(made[2], {})
        printed = ""
        for line in block.code[made.end() if made else 0 :].splitlines():
            command, *args = shlex.split(line)
            result = called(tmp_path, *args)
            assert (command, result.status) == ("funcnet", 0), result.err
            printed += result.out + result.err
        block.compare(printed)
    assert len(found) == 6


def test_errors_are_the_ones_that_the_code_raises(tmp_path, monkeypatch):
    """The first block of a section raises the text above it, the others run."""
    monkeypatch.chdir(tmp_path)
    space = {"__name__": "guide_errors"}
    raised = set()
    for block in python_blocks(PAGES["errors"]):
        if not block.heading or block.heading in raised:
            block.run(space)
            continue
        with pytest.raises(fn.FuncnetError) as caught:
            block.run(space)
        message, said = block.heading.strip("`"), str(caught.value)
        place = r"errors\.md:\d+ `.*`: "  # an error in the user's own code begins with the line
        assert said == message or re.fullmatch(place + re.escape(message), said), f"line {block.line} raises: {said}"
        raised.add(block.heading)
    headings = re.findall(r"^## (`.*`)$", text("errors"), re.M)
    assert len(headings) == len(set(headings)) >= 30
    assert raised == set(headings)


@pytest.mark.parametrize("name", TRANSLATIONS)
def test_translations_have_the_same_code(name):
    """And as many headings, table rows and items, and every name, command and path that the original mentions."""
    original, page = TRANSLATIONS[name], PAGES[name]
    for kind in ("python", "py", "text", "bash"):
        found, expected = ([(b.code, b.output) for b in blocks(path, kind)] for path in (page, original))
        assert found == expected
    texts = [path.read_text(encoding="utf-8") for path in (page, original)]
    found, expected = (re.findall(r"^\$\$.*", text, re.M) for text in texts)
    assert found == expected
    for form in (r"^#+ ", r"^ *\|", r"^ *- ", r"^ *\d\. ", "<img "):
        found, expected = (len(re.findall(form, text, re.M)) for text in texts)
        assert found == expected, form
    found, expected = map(mentioned, texts)
    assert not expected - found


def mentioned(text):
    """What a page sets between backticks outside its blocks, such as names and commands."""
    parts = re.split(r"\n\n|\n(?=[|-])", prose(text).replace(" --lang zh", ""))
    return {re.sub(r"\s+", " ", code) for part in parts for code in re.findall(r"`([^`]+)`", part)}


def prose(text):
    """A page without its blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)


@pytest.mark.parametrize("name", PAGES)
def test_pages_fit_a_console(name):
    """Every page shows on a Chinese console, English ones on a Western one too."""
    text(name).encode("gbk")
    if "." not in name:
        text(name).encode("cp1252")


@pytest.mark.parametrize("name", PAGES)
def test_pages_name_only_what_there_is(name):
    for page, _, language in re.findall(r"funcnet guide\s+([a-z_0-9]+)( --lang ([a-z]+))?", text(name)):
        assert (f"{page}.{language}" if language not in ("", "en") else page) in PAGES
    root = GUIDE.parents[1]
    for path in re.findall(r"`(?:funcnet [a-z]+ )?((?:funcnet|specs)/[\w./]+)`", text(name)):
        assert (root / path).is_file(), path
    for shipped in re.findall(r"funcnet (?:train|show|source|diff|init) ([a-z]\w+)\b(?![/.])", text(name)):
        assert shipped in ABOUT, shipped
    assert_public_names(text(name))


def assert_public_names(text):
    """Every ``fn.…`` of a text exists."""
    for path in re.findall(r"\bfn((?:\.[A-Za-z_]\w*)+)", text):
        found = fn
        for part in path[1:].split("."):
            found = getattr(found, part)


def test_readme_names_only_what_there_is():
    assert_public_names(README.read_text(encoding="utf-8"))
    for path in re.findall(r"(?:\]\(|src=\")([^)\"]+)[)\"]", README.read_text(encoding="utf-8")):
        assert (README.parent / path).is_file(), path


def test_experiments_has_every_shipped_spec():
    rows = re.findall(r"^\| `funcnet train (\w+)` \|", text("experiments"), re.M)
    assert sorted(rows) == sorted(ABOUT)
    run = re.findall(r"^funcnet train (\w+) --progress none$", text("experiments"), re.M)
    assert sorted([*run, "digits_mlp", "python_text_transformer"]) == sorted(ABOUT)


def links(path):
    """The files that a Markdown file links or shows, outside of code."""
    words = re.sub(r"`[^`\n]*`", "", prose(path.read_text(encoding="utf-8")))
    found = re.findall(r"(?:\]\(|src=\")(?!https?:)([^)\"#]+)[)\"]", words)
    return {(path.parent / file).resolve() for file in found}


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_to_files(name):
    assert [file for file in links(PAGES[name]) if not file.is_file()] == []


def test_links_lead_from_the_readme_to_every_page():
    reached, new = set(), {README}
    while new:
        reached |= new
        new = {file for page in new if page.suffix == ".md" for file in links(page)} - reached
    assert [name for name, path in PAGES.items() if path.resolve() not in reached] == []


def test_no_tags_are_left():
    """Whatever ran before: the pages register tags with these prefixes."""
    prefixes = {
        tag.partition(".")[0] for name in PAGES for tag in re.findall(r'^@fn.register\("(.*)"\)', text(name), re.M)
    }
    assert prefixes == {"guide", "example"}
    left = [tag for kind in KINDS for tag in spec.tags(kind) if tag.partition(".")[0] in prefixes]
    assert not left, f"tags of the guide in the registry: {', '.join(left)}"
