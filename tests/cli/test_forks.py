"""A command in a fork says, byte for byte, what it says in an interpreter of its own."""

import pytest

from tests.cli import environment, forks, split_off, started
from tests.cli.forks import FORKS

pytestmark = pytest.mark.skipif(not FORKS, reason="Windows has no forks, so the tests start interpreters there")


@pytest.mark.parametrize(
    ("encoding", "args"),
    [
        ("utf-8", ("list", "metric")),
        ("gbk", ("guide", "concept.zh")),
        ("ascii", ("guide", "concept.zh")),
        ("cp1252", ("check", "größe→.json")),
        ("utf-8", ("chekc",)),
    ],
)
def test_a_fork_says_what_a_process_says(tmp_path, encoding, args):
    (tmp_path / "größe→.json").write_text('{"größe→": 1}', encoding="utf-8")
    env = environment(PYTHONIOENCODING=encoding)
    assert split_off(tmp_path, args, env) == started(tmp_path, args, env)


def test_a_fork_begins_anew(tmp_path):
    """Modules, the folder and the environment of one command are not those of the next."""
    (tmp_path / "own.py").write_text("import os\nprint(os.getcwd(), os.environ.pop('OWN', None))\n", encoding="utf-8")
    args = ("guide", "concept", "--import", "own")
    for name in ("a", "b", "a"):
        env = environment(OWN=name)
        status, out, err = split_off(tmp_path, args, env)
        assert (status, err) == (0, b"")
        assert out.decode().startswith(f"{tmp_path} {name}\n")


def test_a_command_that_takes_too_long_is_ended(tmp_path, monkeypatch):
    """Its late answer is not taken for that of the next."""
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(600)\n", encoding="utf-8")
    env = environment()
    split_off(tmp_path, ("chekc",), env)  # the interpreter has started
    with monkeypatch.context() as hasty:
        hasty.setattr(forks, "LONG", 1.0)
        with pytest.raises(TimeoutError, match="funcnet list --import slow takes too long"):
            split_off(tmp_path, ("list", "--import", "slow"), env)
    assert split_off(tmp_path, ("guide", "concept"), env)[0] == 0
    assert split_off(tmp_path, ("chekc",), env)[0] == 2
