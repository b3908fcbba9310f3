"""A run that fails or is interrupted at any moment ends with ``--resume`` as one that never failed."""

import builtins
import errno
import os
from pathlib import Path

import attrs
import pytest

import funcnet as fn
from funcnet.cli import main
from funcnet.experiments import claim
from funcnet.experiments.folder import START
from funcnet.training import checkpoint
from tests.training.test_resume import StopAt, crashed, outcome

SPEC = fn.Experiment(
    data=fn.data.Arrays(x=[[0.0], [1.0], [2.0], [3.0]], y=[0.0, 1.0, 0.0, 1.0]),
    model=fn.Dense(1),
    loss=fn.losses.MeanSquaredError(),
    optimizer=fn.optim.Adam(0.1),
    training=fn.Training(
        epochs=4,
        batch_size=2,
        log_every=1,
        checkpoint=fn.Checkpoint(every_steps=3),
        callbacks=(fn.JsonLines(), fn.Norms(every=3)),
    ),
)
WITHOUT = attrs.evolve(SPEC, training=attrs.evolve(SPEC.training, checkpoint=None))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The outcomes of the two specs, undisturbed, and the weights that a third run starts from."""
    folder = tmp_path_factory.mktemp("whole")
    for name, spec, start in (("with", SPEC, None), ("without", WITHOUT, None), ("started", SPEC, folder / "with")):
        fn.run(spec, folder / name, start=start)
    return folder


CASES = {"with": (SPEC, None), "without": (WITHOUT, None), "started": (SPEC, "with")}


class Disk:
    """Stands for the file system under a folder: its ``at``-th change fails, or all that exceed its bytes."""

    def __init__(self, monkeypatch, folder, at=None, error=None, room=None):
        self.folder, self.at, self.error, self.room, self.count = str(folder), at, error, room, 0
        for name in ("replace", "unlink", "rmdir", "mkdir", "fsync"):
            monkeypatch.setattr(os, name, self.watched(getattr(os, name)))
        monkeypatch.setattr(builtins, "open", self.opened(builtins.open))

    def change(self, path):
        if self.at is not None and (isinstance(path, int) or str(path).startswith(self.folder)):
            self.count += 1
            if self.count == self.at:
                raise self.error

    def watched(self, real):
        def call(path, *args, **kwargs):
            self.change(path)
            return real(path, *args, **kwargs)

        return call

    def opened(self, real):
        def call(path, mode="r", *args, **kwargs):
            file = real(path, mode, *args, **kwargs)
            if not isinstance(path, int) and str(path).startswith(self.folder) and "b" in mode and mode != "rb":
                try:
                    self.change(path)
                except BaseException:
                    file.close()
                    raise
                return Limited(file, self) if self.room is not None else file
            return file

        return call

    def used(self):
        return sum(path.stat().st_size for path in Path(self.folder).rglob("*") if path.is_file())


class Limited:
    """A file of a disk that has only so much room."""

    def __init__(self, file, disk):
        self.file, self.disk = file, disk

    def write(self, content):
        left = self.disk.room - self.disk.used()
        if len(content) > left:
            self.file.write(content[: max(left, 0)])
            self.file.flush()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.file.write(content)
        self.file.flush()

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()


def run(name, folder, whole, resume=True):
    spec, start = CASES[name]
    return fn.run(spec, folder, resume=resume, start=None if start is None else whole / start)


def check(name, folder, whole, message):
    """What is left of a failure is no obstacle, and the end is that of a run that never failed."""
    try:
        run(name, folder, whole)
    except fn.FuncnetError as error:
        pytest.fail(f"{message}: {error}")
    if fn.load_run(folder).stopped != "interrupted":  # by Ctrl-C in training: what was learnt until then is kept
        assert outcome(folder) == outcome(whole / name), message
        left = {path.name for path in folder.rglob("*") if path.name.startswith(".")}
        assert left <= {".lock"}, message  # a finished run keeps the lock whose removal failed; nobody holds it


def needed(folder):
    """The sizes of the files of a run, without those that it may lack."""
    spare = {"report.html", "distributions.jsonl"}
    return [path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.name not in spare]


def sizes(count, most):
    return [round(most * i / count) for i in range(count)]


@pytest.mark.parametrize("name", ["with", *(pytest.param(name, marks=pytest.mark.slow) for name in list(CASES)[1:])])
def test_a_disk_that_is_full_at_forty_sizes(tmp_path, whole, monkeypatch, name):
    failed = 0
    total = sum(needed(whole / name))
    for size in sizes(40, total):
        folder = tmp_path / f"run{size}"
        with monkeypatch.context() as patch:
            Disk(patch, folder, room=size)
            try:
                run(name, folder, whole, resume=size % 2 == 0)
            except fn.FuncnetError as error:
                failed += "cannot be written (No space left on device)" in str(error)
        check(name, folder, whole, f"room for {size} bytes")
    assert failed >= 25  # with more room only pictures are missing, which is no failure


@pytest.mark.skipif(os.name != "posix", reason="Windows has no limit on the size of a file")
def test_files_that_are_limited_to_forty_sizes(tmp_path, whole):
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    most = max(needed(whole / "with"))
    for size in sizes(40, most):
        folder = tmp_path / f"run{size}"
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            with pytest.raises(fn.FuncnetError, match="cannot be written \\(File too large\\)"):
                run("with", folder, whole)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        check("with", folder, whole, f"files of at most {size} bytes")


def failures(name, folder, whole, monkeypatch, error, step):
    """Fail at every ``step``-th change of the file system in turn; the number of failures."""
    at = 1
    while True:
        place = folder / f"{name}{at}"
        with monkeypatch.context() as patch:
            disk = Disk(patch, place, at, error)
            try:
                run(name, place, whole, resume=at % 2 == 0)
            except (fn.FuncnetError, type(error)):
                pass
        if disk.count < at:
            return at // step
        check(name, place, whole, f"{name}, change {at}")
        at += step


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.slow), 5])
def test_ctrl_c_at_every_change_of_the_disk(tmp_path, whole, monkeypatch, name, step):
    assert failures(name, tmp_path, whole, monkeypatch, KeyboardInterrupt(), step) >= 20 // step


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.slow), 5])
def test_an_error_at_every_change_of_the_disk(tmp_path, whole, monkeypatch, name, step):
    error = OSError(errno.EIO, os.strerror(errno.EIO))
    assert failures(name, tmp_path, whole, monkeypatch, error, step) >= 20 // step


def leave(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


LEFT = [
    ("checkpoints/.x.0123456789ab.tmp",),
    ("run.json",),
    (".lock",),
    ("history.jsonl", "norms.jsonl"),
    (START,),
    ("spec.json", "run.json", ".spec.json.0123456789ab.tmp"),
    ("checkpoints/.x.0123456789ab.tmp", "run.json", ".lock", "history.jsonl", START, "spec.json"),
]


@pytest.mark.parametrize("names", LEFT, ids=str)
def test_what_a_failure_left_is_no_obstacle(tmp_path, whole, names):
    leave(tmp_path / "run", *names)
    check("with", tmp_path / "run", whole, names)
    assert not (tmp_path / "run" / START).exists()


def test_half_written_files_beside_a_checkpoint_are_removed(tmp_path, whole):
    folder = crashed(SPEC, tmp_path / "run", 4)
    leave(folder, "checkpoints/.x.0123456789ab.tmp", ".x.0123456789ab.tmp")
    check("with", folder, whole, "beside a checkpoint")


@pytest.mark.parametrize("name", ["notes.txt", "weights.npz", "other.jsonl", "checkpoints/mine.npz", "sub/run.json"])
@pytest.mark.parametrize("beside", [(), ("run.json", ".lock")], ids=["alone", "beside leftovers"])
def test_any_other_file_is_refused_and_kept(tmp_path, name, beside):
    folder = tmp_path / "run"
    leave(folder, name, *beside)
    before = sorted(folder.rglob("*"))
    with pytest.raises(fn.CheckpointError) as error:
        fn.run(SPEC, folder, resume=True)
    assert str(error.value) == f"{folder}: is not empty; choose a new folder for --out"
    assert sorted(folder.rglob("*")) == before


def test_a_spec_of_something_else_is_kept(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "spec.json").write_text('{"openapi": "3.0.0"}', encoding="utf-8")
    with pytest.raises(fn.CheckpointError) as error:
        fn.run(SPEC, tmp_path / "run", resume=True)
    assert str(error.value).startswith(f"{tmp_path / 'run'}: cannot be resumed, because its spec cannot be read: ")
    assert (tmp_path / "run" / "spec.json").read_text(encoding="utf-8") == '{"openapi": "3.0.0"}'


def test_without_resume_leftovers_are_told_of(tmp_path):
    leave(tmp_path / "run", "run.json", "checkpoints/.x.0123456789ab.tmp")
    with pytest.raises(fn.CheckpointError) as error:
        fn.run(SPEC, tmp_path / "run")
    assert str(error.value) == (
        f"{tmp_path / 'run'}: holds what a run left that failed; train it again with --resume, or choose another --out"
    )


def test_a_run_that_an_error_ended_is_done_again(tmp_path, whole, capsys, monkeypatch):
    class Broken:
        def init(self):
            return None

        def update(self, state, event):
            if event.step == 5:
                raise ValueError("broken")
            return None, False

    with pytest.raises(ValueError):
        fn.run(WITHOUT, tmp_path / "run", callbacks=[Broken()])
    assert fn.load_run(tmp_path / "run").stopped == "an error"
    fn.save_spec(tmp_path / "spec.json", WITHOUT)
    monkeypatch.chdir(tmp_path)
    assert main(["train", "spec.json", "--out", "run", "--resume", "--progress", "none"]) == 0
    assert "finished before" not in capsys.readouterr().err
    assert outcome(tmp_path / "run") == outcome(whole / "without")


@pytest.mark.parametrize("path", ["../mine.jsonl", "{tmp}/mine.jsonl", "link.jsonl"])
def test_lines_stay_in_the_folder(tmp_path, path):
    mine = tmp_path / "mine.jsonl"
    mine.write_text("mine", encoding="utf-8")
    (tmp_path / "run").mkdir()
    path = path.replace("{tmp}", str(tmp_path))
    if path == "link.jsonl":
        try:
            (tmp_path / "run" / path).symlink_to(mine)
        except OSError:
            pytest.skip("Windows lets only privileged users make symbolic links")
    spec = attrs.evolve(SPEC, training=attrs.evolve(SPEC.training, callbacks=(fn.JsonLines(path),)))
    with pytest.raises(fn.FuncnetError) as error:
        fn.run(spec, tmp_path / "run", resume=True)
    assert str(error.value) == f"JsonLines: path: expected a file in the run folder, got {path!r}"
    assert mine.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    "path", ["spec.json", "./run.json", "Weights.npz", "checkpoints", "checkpoints/a", "sub/a.jsonl", "", "norms.jsonl"]
)
def test_lines_have_a_file_of_their_own(tmp_path, path):
    callbacks = fn.Norms(), fn.JsonLines(path)
    spec = attrs.evolve(SPEC, training=attrs.evolve(SPEC.training, callbacks=callbacks))
    for resume in (False, True):
        with pytest.raises(fn.FuncnetError) as error:
            fn.run(spec, tmp_path / "run", resume=resume)
        assert str(error.value) == (
            "JsonLines: path: expected a name in the run folder that the run and other callbacks do not use, "
            f"got {path!r}"
        )
    assert not (tmp_path / "run").exists()


def test_damaged_checkpoints_take_no_place_of_whole_ones(tmp_path):
    """Or those of a run that began anew would be removed as soon as they are written, until it has gone as far."""
    policy = fn.Checkpoint(every_steps=1, keep_last=2)
    spec = attrs.evolve(SPEC, training=attrs.evolve(SPEC.training, checkpoint=policy))
    folder = crashed(spec, tmp_path / "run", 6)
    damaged = checkpoint.listed(folder / "checkpoints")
    for path in damaged:
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SystemExit):
        fn.run(spec, folder, resume=True, callbacks=[StopAt(4)])
    left = [path for path in checkpoint.listed(folder / "checkpoints") if path not in damaged]
    assert [checkpoint.read(path).snapshot.train_state.step for path in left] == [3, 2]
    fn.run(spec, folder, resume=True)
    fn.run(spec, tmp_path / "whole")
    assert outcome(folder) == outcome(tmp_path / "whole")


def linked(path, target):
    try:
        path.symlink_to(target)
    except OSError:
        pytest.skip("Windows lets only privileged users make symbolic links")


def test_checkpoints_stay_in_the_folder(tmp_path):
    """A link would have the checkpoints of another run replaced by those of this one."""
    folder, other = crashed(SPEC, tmp_path / "run", 4), tmp_path / "other"
    (folder / "checkpoints").rename(other)
    leave(other, ".x.0123456789ab.tmp")
    before = sorted(other.iterdir())
    linked(folder / "checkpoints", other)
    with pytest.raises(fn.CheckpointError) as error:
        fn.run(SPEC, folder, resume=True)
    assert str(error.value) == (
        f"{folder / 'checkpoints'}: is a link that leaves the run folder; put the checkpoints themselves there"
    )
    assert sorted(other.iterdir()) == before


def test_a_lock_that_leads_elsewhere(tmp_path):
    folder = crashed(SPEC, tmp_path / "run", 4)
    linked(folder / ".lock", tmp_path / "new")
    if not hasattr(os, "O_NOFOLLOW"):
        pytest.skip("this system opens what a link leads to")
    with pytest.raises(fn.CheckpointError, match=r"run: cannot be locked \(.*\); choose another --out$"):
        fn.run(SPEC, folder, resume=True)
    assert not (tmp_path / "new").exists()


def test_a_copy_by_hard_links_keeps_its_lines(tmp_path, whole):
    folder = crashed(SPEC, tmp_path / "run", 4)
    lines, copy = folder / "history.jsonl", tmp_path / "copy.jsonl"
    os.link(lines, copy)
    before = copy.read_bytes()
    check("with", folder, whole, "hard links")
    assert copy.read_bytes() == before
    assert len(lines.read_bytes()) > len(before)


def test_a_file_in_the_place_of_the_checkpoints(tmp_path):
    folder = crashed(SPEC, tmp_path / "run", 4)
    (folder / "checkpoints").rename(tmp_path / "moved")
    leave(folder, "checkpoints")
    with pytest.raises(fn.CheckpointError) as error:
        fn.run(SPEC, folder, resume=True)
    assert str(error.value).startswith(f"{folder / 'checkpoints'}: this folder cannot be made (")


def test_two_processes_that_begin_one_run(tmp_path, monkeypatch):
    """The second one finds the spec of the first where there was none when it started."""
    real = checkpoint.locked

    def late(folder):
        fn.save_spec(folder / "spec.json", SPEC)
        return real(folder)

    monkeypatch.setattr(claim, "locked", late)
    with pytest.raises(fn.CheckpointError) as error:
        fn.run(SPEC, tmp_path / "run", resume=True)
    assert str(error.value) == (
        f"{tmp_path / 'run'}: another process has just begun a run in it; wait for it, or choose another --out"
    )


def test_a_run_killed_after_its_scores_were_written_is_completed_not_trained_again(tmp_path):
    """Its lock is there still, and its pictures are not."""
    spec = attrs.evolve(WITHOUT, data=fn.data.Moons(10), model=fn.Dense(2), loss=fn.losses.SoftmaxCrossEntropy())
    run = tmp_path / "run"
    fn.run(spec, run)
    files = {path.name: path.read_bytes() for path in run.iterdir()}
    (run / "curves.svg").unlink()
    (run / "boundary.svg").unlink()
    (run / ".lock").touch()
    (run / ".curves.svg.0123456789ab.tmp").write_bytes(b"<svg")
    before = (run / "metrics.json").stat().st_mtime_ns
    assert fn.run(spec, run, resume=True).stopped is None
    assert {path.name: path.read_bytes() for path in run.iterdir()} == files
    assert (run / "metrics.json").stat().st_mtime_ns == before
