"""Where the paths of a run are looked for: a folder that somebody sends reads no file outside itself."""

import json
import os
import shutil

import pytest

import funcnet as fn
from funcnet.cli import main
from tests.cli import SMALL, funcnet
from tests.folders import change, read_json

ROWS = "a,b,c\n" + "".join(f"{i % 5},{i % 3},k{i % 2}\n" for i in range(20))
DATA = {"type": "csv", "path": "secret/t.csv", "target": "c"}
COMMANDS = {
    "check": ("check", "{run}"),
    "train": ("train", "{run}", "--progress", "none"),
    "train its spec": ("train", "{run}/spec.json", "--progress", "none"),
    "resume": ("train", "{run}", "--resume", "--progress", "none"),
    "evaluate": ("evaluate", "{run}"),
    "explain": ("explain", "{run}", "--repeats", "1"),
    "verify": ("verify", "{run}"),
    "show": ("show", "{run}"),
    "source": ("source", "{run}"),
}
FINISHED = ("evaluate", "explain", "verify")
BASES = ["{home}", "/", ".", "..", "../..", "secret", "{home}/secret", "../share/run/../../", "\x1b[2J"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A user's folder with data, and a run on it, which is whole."""
    home = tmp_path_factory.mktemp("home")
    (home / "secret").mkdir()
    (home / "secret" / "t.csv").write_text(ROWS, encoding="utf-8")
    spec = json.loads(SMALL) | {"data": DATA, "model": {"type": "dense", "units": 2}}
    (home / "mine.json").write_text(json.dumps(spec), encoding="utf-8")
    assert funcnet(home, "train", "mine.json", "--out", "run", "--progress", "none").status == 0
    return home


@pytest.fixture
def sent(home, tmp_path):
    """The run as it comes to another user, who has a file of the same name."""
    shutil.copytree(home, tmp_path / "home")
    (tmp_path / "home" / "share").mkdir()
    shutil.move(tmp_path / "home" / "run", tmp_path / "home" / "share" / "run")
    return tmp_path / "home"


def words(command, run):
    return [word.format(run=run) for word in COMMANDS[command]]


def unfinished(run):
    for path in run.iterdir():
        if path.name not in ("spec.json", "run.json"):
            path.unlink()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("start", [".", "share", "share/run", "secret"])
def test_the_record_of_a_run_that_was_sent_is_not_believed(sent, command, start):
    for base in BASES:
        run = sent / "share" / "run"
        change(run / "run.json", base=base.format(home=sent))
        if command == "resume":
            unfinished(run)
        result = funcnet(sent / start, *words(command, os.path.relpath(run, sent / start)))
        assert result.status == 1, base
        assert result.out == ""
        assert "secret/t.csv: is not in the run's folder" in result.err
        assert "give that folder: --base DIR" in result.err
        assert "\x1b" not in result.err


@pytest.mark.parametrize("command", COMMANDS)
def test_a_base_that_the_user_gives_counts(sent, command):
    run = sent / "share" / "run"
    if command == "resume":
        unfinished(run)
    result = funcnet(sent, *words(command, "share/run"), "--base", ".")
    assert (result.status, result.err) == (0, "")
    assert funcnet(sent, *words("check", "share/run"), "--base", "share").status == 1


def test_a_run_that_brings_its_data_is_used(sent):
    shutil.copytree(sent / "secret", sent / "share" / "run" / "secret")
    result = funcnet(sent, "evaluate", "share/run")
    assert (result.status, result.err) == (0, "")


@pytest.mark.parametrize("stamp", [None, "", "0" * 64])
def test_a_stamp_that_is_made_up(sent, stamp):
    change(sent / "share" / "run" / "run.json", base=str(sent), stamp=stamp)
    assert "is not in the run's folder" in funcnet(sent, "check", "share/run").err


def test_another_base_under_the_same_stamp(home, tmp_path):
    """Even in the folder that the run itself wrote."""
    shutil.copytree(home / "secret", tmp_path / "home" / "secret")
    shutil.copy(home / "mine.json", tmp_path / "home")
    assert funcnet(tmp_path / "home", "train", "mine.json", "--out", "run", "--progress", "none").status == 0
    (tmp_path / "other" / "secret").mkdir(parents=True)
    (tmp_path / "other" / "secret" / "t.csv").write_text(ROWS, encoding="utf-8")
    change(tmp_path / "home" / "run" / "run.json", base=str(tmp_path / "other"))
    assert "is not in the run's folder" in funcnet(tmp_path / "home", "check", "run").err


@pytest.mark.skipif(os.name != "posix", reason="Windows has no owners of this kind")
def test_a_spec_of_another_user(home, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert "is not in the run's folder" in funcnet(home, "check", "run").err


def test_a_link_to_a_spec(sent, home):
    spec = sent / "share" / "run" / "spec.json"
    spec.unlink()
    try:
        spec.symlink_to(home / "run" / "spec.json")
    except OSError:
        pytest.skip("Windows lets only privileged users make symbolic links")
    shutil.copy(home / "run" / "run.json", sent / "share" / "run")
    assert "is not in the run's folder" in funcnet(sent, "check", "share/run").err


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "resume"])
@pytest.mark.parametrize("start", [".", "secret", "run"])
def test_a_run_where_it_was_written_is_one_command_from_anywhere(home, command, start):
    result = funcnet(home / start, *words(command, os.path.relpath(home / "run", home / start)))
    assert (result.status, result.err) == (0, "")
    shutil.rmtree(home / start / "runs", ignore_errors=True)


def test_an_unfinished_run_goes_on_where_it_was_written(home, tmp_path):
    shutil.copytree(home / "secret", tmp_path / "home" / "secret")
    spec = fn.load_spec(home / "mine.json")
    fn.run(spec, tmp_path / "home" / "run", base=tmp_path / "home")
    (tmp_path / "home" / "run" / "metrics.json").unlink()
    result = funcnet(tmp_path, "train", "home/run", "--resume", "--progress", "none")
    assert (result.status, result.err) == (0, "")
    os.rename(tmp_path / "home" / "run", tmp_path / "home" / "moved")  # the same files
    assert funcnet(tmp_path, "evaluate", "home/moved").status == 0


def test_allow_outside_believes_the_record(sent, home):
    change(sent / "share" / "run" / "run.json", base=str(sent))
    assert funcnet(sent, "check", "share/run", "--allow-outside").status == 0


@pytest.mark.parametrize(
    "content", ["[" * 100_000, "[]", '{"base": 3}', '{"base": ["x"]}', "{", "\x00", '{"base": "\\u0000"}']
)
def test_a_record_that_is_none(sent, content, capsys):
    (sent / "share" / "run" / "run.json").write_text(content, encoding="utf-8")
    assert main(["check", str(sent / "share" / "run")]) == 1
    assert "there is no such file" in capsys.readouterr().err or content == '{"base": "\\u0000"}'


def test_the_record_is_of_the_place(home):
    facts = read_json(home / "run" / "run.json")
    assert facts["base"] == str(home)
    assert len(json.dumps(facts["stamp"])) == 66
