"""The experiments that come with funcnet, by name, from any folder."""

import errno
import json
import os
import shutil
from functools import partial

import pytest

import funcnet as fn
from funcnet.cli import main, shipped
from tests.cli import ROOT, SMALL, funcnet, together

NAMES = sorted(path.stem for path in (ROOT / "specs").glob("*.json"))
KNOWN = ", ".join(NAMES)
UNKNOWN = "there is no such file, and no experiment of that name comes with funcnet"
QUICK = ("--progress", "none", "--set", "training.epochs=1")


@pytest.fixture(scope="module")
def called(tmp_path_factory):
    empty, own, copied = (tmp_path_factory.mktemp(name) for name in ("empty", "own", "copied"))
    (own / "wine.json").write_text(SMALL, encoding="utf-8")
    (own / "moons").mkdir()
    fn.run(fn.from_json(SMALL), own / "spirals")
    calls = {
        "nothing": partial(funcnet, empty),
        "help": partial(funcnet, empty, "--help"),
        "list": partial(funcnet, empty, "train"),
        "list json": partial(funcnet, empty, "train", "--json"),
        "train": partial(funcnet, empty, "train", "iris_csv", *QUICK),
        "train npz": partial(funcnet, empty, "train", "sine_4_3_3_1", *QUICK, "--json"),
        "show": partial(funcnet, empty, "show", "digits_mlp"),
        "show file": partial(funcnet, ROOT, "show", "specs/digits_mlp.json"),
        "check": partial(funcnet, empty, "check", "iris_csv", "--json"),
        "source": partial(funcnet, empty, "source", "iris_csv"),
        "diff": partial(funcnet, empty, "diff", "cat_classifier", "cat_classifier_adam", "--json"),
        "own": partial(funcnet, own, "show", "wine", "--json"),
        "folder": partial(funcnet, own, "show", "moons", "--json"),
        "run": partial(funcnet, own, "show", "spirals", "--json"),
        "init": partial(funcnet, copied, "init", "iris_csv"),
        "init json": partial(funcnet, copied, "init", "moons", "--out", "mine.json", "--json"),
        "near": partial(funcnet, empty, "train", "digits_mpl"),
        "far": partial(funcnet, empty, "show", "zzz"),
        "init near": partial(funcnet, empty, "init", "wyne"),
    }
    results = together(calls)
    results["again"] = funcnet(copied, "init", "iris_csv")
    results["copy"] = funcnet(copied, "train", "iris_csv", *QUICK)
    results["copied"] = sorted(str(file.relative_to(copied)) for file in copied.rglob("*") if file.is_file())
    return results


def test_every_shipped_spec_has_a_line():
    assert list(shipped.ABOUT) == NAMES
    assert max(map(len, shipped.ABOUT.values())) < 90
    for about in shipped.ABOUT.values():
        about.encode("ascii")


def test_every_file_that_a_spec_names_is_shipped():
    named = {
        path for name in NAMES for path in shipped.needs(json.loads((ROOT / "specs" / f"{name}.json").read_bytes()))
    }
    assert named == {"data/iris.csv", "sine_4_3_3_1.npz"}
    assert all((ROOT / "specs" / path).is_file() for path in named)


def test_funcnet_alone_prints_help(called):
    assert called["nothing"] == called["help"]
    assert called["nothing"].status == 0


def test_train_alone_lists_what_can_be_trained(called):
    width = max(map(len, NAMES))
    lines = [f"{name:{width}}  {about}\n" for name, about in shipped.ABOUT.items()]
    after = "\nfuncnet train NAME trains one; a file of your own goes in the same place\n"
    assert called["list"] == (0, "".join(lines) + after, "")
    assert json.loads(called["list json"].out) == {"specs": shipped.ABOUT}


@pytest.mark.parametrize("name", ["train", "train npz", "check", "source", "diff"])
def test_commands_take_a_name(called, name):
    assert (called[name].status, called[name].err) == (0, "")
    assert called[name].out


def test_a_name_is_the_file(called):
    assert called["show"] == called["show file"]


def test_a_file_or_run_of_that_name_wins(called):
    for name, shape in {"own": [4], "folder": [2], "run": [4]}.items():
        assert json.loads(called[name].out)["input"] == shape


def test_a_copy_that_fails_keeps_the_old_spec(tmp_path, monkeypatch, capsys):
    mine = tmp_path / "mine.json"
    mine.write_text("old", encoding="utf-8")

    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert main(["init", "digits_mlp", "--force", "--out", str(mine)]) == 1
    assert capsys.readouterr().err == (
        f"funcnet: {mine}: cannot be written (No space left on device); choose a writable folder, or free some space\n"
    )
    assert mine.read_text(encoding="utf-8") == "old"
    assert main(["init", "digits_mlp", "--out", str(mine / "below" / "a.json")]) == 1
    assert "below: this folder cannot be made (" in capsys.readouterr().err


def test_init_copies_a_shipped_spec_and_its_data(called):
    assert called["init"].out.replace("\\", "/") == (
        "written   iris_csv.json, data/iris.csv\nnext      funcnet train iris_csv.json\n"
    )
    assert json.loads(called["init json"].out) == {
        "spec": "mine.json",
        "files": ["mine.json"],
        "next": "funcnet train mine.json",
    }
    message = "iris_csv.json: already exists; --force overwrites it, --out writes elsewhere"
    assert called["again"] == (1, "", f"funcnet: {message}\n")
    assert called["copy"].status == 0
    assert {"iris_csv.json", "mine.json"} < set(called["copied"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("near", f"digits_mpl: {UNKNOWN}, did you mean 'digits_mlp'?; there are {KNOWN}"),
        ("far", f"zzz: {UNKNOWN}; there are {KNOWN}"),
        ("init near", f"wyne: {UNKNOWN}, did you mean 'wine'?; there are {KNOWN}"),
    ],
)
def test_unknown_name(called, call, message):
    assert called[call] == (1, "", f"funcnet: {message}\n")


def test_an_installed_package_has_them_inside(tmp_path, monkeypatch):
    package = tmp_path / "funcnet"
    monkeypatch.setattr(shipped, "__file__", str(package / "cli" / "shipped.py"))
    assert shipped.folder() == tmp_path / "specs"
    shutil.copytree(ROOT / "specs", package / "specs")
    assert shipped.folder() == package / "specs"
