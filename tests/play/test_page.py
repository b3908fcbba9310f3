"""The page as one file: what it may load, what is in it, and how long it is."""

import base64
import hashlib
import io
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import funcnet as fn
from funcnet.play.page import MOST_BYTES, PYODIDE, SCRIPTS, in_browser, page, read, recorded, shown_steps
from funcnet.play.session import Session
from funcnet.play.settings import first, of_file
from funcnet.spec.codec import load_spec, to_json
from tests.play.test_study import experiment, sine

SPECS = Path(__file__).parents[2] / "specs"


def given(text):
    """What a page is given."""
    found = re.search(r'<script type="application/json" id="given">(.*?)</script>', text.decode(), re.S)
    return json.loads(found[1])


def policy(text):
    found = re.search(r'Content-Security-Policy" content="([^"]*)"', text.decode())
    return found[1]


SHOWN = {
    "first": first(),
    "small": experiment(),
    "sine": sine(),
    **{name: load_spec(SPECS / f"{name}.json") for name in ("moons", "spirals")},
}


@pytest.mark.parametrize("name", SHOWN)
def test_a_recorded_page_is_shorter_than_a_megabyte(name):
    text = recorded(Session(SHOWN[name], Path(), "a name"))
    found = given(text)
    steps = [frame["step"] for frame in found["frames"]]
    assert len(text) <= MOST_BYTES < 1_000_000
    assert steps[:2] == [0, 1]
    assert steps[-1] == found["total"]
    assert steps == sorted(set(steps))
    assert found["losses"]["shape"] == [found["total"]]


def test_recorded_frames_are_those_of_a_session():
    session = Session(experiment())
    found = given(recorded(session, 8))
    assert len(found["frames"]) <= 9
    for frame in found["frames"]:
        again = session.answer({"do": "frame", "to": frame["step"], "since": 0})
        assert all(again[name] == value for name, value in frame.items())


def test_a_recording_of_a_training_that_fails_ends_before_it():
    frames = given(recorded(Session(experiment(optimizer=fn.optim.SGD(1e38)))))["frames"]
    assert "is not finite" in frames[-1]["problem"]


def test_a_step_that_is_too_long_for_a_page():
    units = fn.serial(fn.Dense(64), fn.Tanh(), fn.Dense(64), fn.Tanh(), fn.Dense(2))
    spec = experiment(
        model=units, data=fn.data.Moons(rows=512), training=fn.Training(steps=1, batch_size="full"), dtype="float64"
    )
    with pytest.raises(
        fn.FuncnetError, match=r"--out: one step has \d+ bytes, .*; make the network or the batch smaller"
    ):
        recorded(Session(spec))


def test_a_training_that_is_too_long_for_a_page():
    with pytest.raises(fn.FuncnetError, match=r"losses of all steps 1200000, .*, or the training shorter"):
        recorded(Session(experiment(training=fn.Training(steps=100_000))))


@pytest.mark.parametrize(("total", "most"), [(1, 2), (1, 60), (5, 60), (100, 2), (100, 7), (2000, 40), (10**6, 60)])
def test_shown_steps(total, most):
    steps = shown_steps(total, most)
    assert steps == sorted(set(steps))
    assert (steps[0], steps[-1]) == (0, total)
    assert len(steps) <= most
    assert total > 5 or steps == list(range(total + 1))


HOSTILE = '</script><script>alert(1)</script>,"<!--/* script */",y\n' + "".join(
    f"{i / 3:.3f},{i % 7},{'ab'[i % 2]}\n" for i in range(50)
)


def test_names_do_not_leave_their_place(tmp_path):
    (tmp_path / "mine.csv").write_text(HOSTILE)
    text = recorded(Session(of_file(tmp_path / "mine.csv"), tmp_path, "</title><b>"), 2)
    assert given(text)["inputs"] == ["</script><script>alert(1)</script>", "<!--/* script */"]
    assert text.decode().count("<script") == 2
    assert b"</title><b>" not in text


def hash_of(text):
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_only_its_own_script_and_style_run():
    text = recorded(Session(experiment()), 2)
    allowed = policy(text)
    script = re.findall(r"<script>(.*?)</script>", text.decode(), re.S)
    style = re.findall(r"<style>(.*?)</style>", text.decode(), re.S)
    assert f"script-src '{hash_of(script[0])}'; style-src '{hash_of(style[0])}'" in allowed
    assert "connect-src 'none'" in allowed
    assert "unsafe" not in allowed
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text.decode())


def test_no_script_writes_markup():
    """Names come from files of others: they are texts of elements, and never parsed."""
    for name in SCRIPTS:
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", read(f"{name}.js")
        )


def test_the_page_of_the_server_has_nothing_in_it():
    assert given(page()) == {"mode": "served"}


def test_the_page_for_pyodide_names_where_it_loads_from():
    text = in_browser(to_json(first()), None)
    found = given(text)
    assert (found["pyodide"], found["version"]) == (PYODIDE, fn.__version__)
    assert "script-src 'sha256-" in policy(text)
    assert "connect-src https://cdn.jsdelivr.net;" in policy(text)
    assert len(text) < 1_500_000
    names = zipfile.ZipFile(io.BytesIO(base64.b64decode(found["library"]))).namelist()
    assert {"funcnet/__init__.pyi", "funcnet/play/browser.py", "attr/__init__.py", "attrs/__init__.py"} < set(names)


ALONE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from funcnet.play.browser import opened
import funcnet
assert funcnet.__file__.startswith(sys.argv[1]), funcnet.__file__
ask = opened(None, sys.argv[2])
print(json.loads(ask('{"do": "about"}'))["inputs"], json.loads(ask('{"do": "frame", "to": 3, "since": 0}'))["step"])
print(json.loads(ask('{"do": "exit"}')).keys())
other = json.dumps({"do": "table", "text": sys.argv[2].replace("p,q", "r,s")})
print(*(json.loads(ask(request))["inputs"] for request in (other, '{"do": "reset"}')))
assert "http.server" not in sys.modules
"""


def test_the_library_in_the_page_is_enough(tmp_path):
    """As Pyodide has it: the files of the page alone, and NumPy."""
    found = given(in_browser(None, None))
    zipfile.ZipFile(io.BytesIO(base64.b64decode(found["library"]))).extractall(tmp_path / "lib")
    table = "p,q,y\n" + "".join(f"{i / 3:.3f},{i % 7},{'ab'[i % 2]}\n" for i in range(50))
    run = [sys.executable, "-P", "-c", ALONE, str(tmp_path / "lib"), table]
    done = subprocess.run(run, capture_output=True, text=True, check=False, cwd=tmp_path, env={})
    assert (done.stdout, done.stderr) == ("['p', 'q'] 3\ndict_keys(['error'])\n['r', 's'] ['p', 'q']\n", "")
