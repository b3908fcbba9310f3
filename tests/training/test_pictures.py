"""Pictures come after everything that a run is read from: one that fails costs nothing but itself."""

import errno

import pytest

import funcnet as fn
from funcnet.cli import main
from funcnet.experiments import folder as folder_module

MOONS = fn.Experiment(
    data=fn.data.Moons(split=fn.data.Split(test=0.2)),
    model=fn.serial(fn.Dense(4), fn.Tanh(), fn.Dense(2)),
    loss=fn.losses.SoftmaxCrossEntropy(),
    optimizer=fn.optim.Adam(0.02),
    training=fn.Training(epochs=1),
)


def failing(error):
    def fail(*_, **__):
        raise error

    return fail


ERRORS = [
    (fn.DataError("two\nlines"), "DataError: two"),
    (IndexError("list index out of range"), "IndexError: list index out of range"),
    (MemoryError("8 GB"), "MemoryError: 8 GB"),
]


@pytest.mark.parametrize(("error", "said"), ERRORS, ids=[type(error).__name__ for error, _ in ERRORS])
@pytest.mark.parametrize(("name", "function"), [("curves.svg", "curves_svg"), ("boundary.svg", "boundary_svg")])
def test_a_picture_that_fails_is_logged_and_the_run_is_whole(
    tmp_path, monkeypatch, caplog, capsys, name, function, error, said
):
    monkeypatch.setattr(folder_module, function, failing(error))
    fn.save_spec(tmp_path / "moons.json", MOONS)
    run = str(tmp_path / "run")
    assert main(["train", str(tmp_path / "moons.json"), "--out", run, "--progress", "none"]) == 0
    assert caplog.messages == [f"{tmp_path / 'run' / name}: is left out ({said}); the run is whole"]
    assert name not in capsys.readouterr().out
    pictures = {path.name for path in (tmp_path / "run").glob("*.svg")}
    assert pictures == {"curves.svg", "boundary.svg"} - {name}
    assert main(["evaluate", run]) == 0
    assert fn.run(MOONS, run, resume=True).train_state.step == 13


def test_a_disk_that_is_full_of_the_run_has_no_room_for_its_pictures(tmp_path, monkeypatch, caplog):
    write_bytes = folder_module.write_bytes

    def full(path, content):
        if path.suffix == ".svg":
            raise fn.CheckpointError(f"{path}: cannot be written ({errno.errorcode[errno.ENOSPC]})")
        write_bytes(path, content)

    monkeypatch.setattr(folder_module, "write_bytes", full)
    run = fn.run(MOONS, tmp_path / "run")
    assert len(caplog.messages) == 2
    assert fn.load_run(tmp_path / "run").metrics == run.metrics


def test_ctrl_c_at_a_picture_leaves_a_whole_run(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_module, "boundary_svg", failing(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        fn.run(MOONS, tmp_path / "run")
    assert fn.load_run(tmp_path / "run").train_state.step == 13
