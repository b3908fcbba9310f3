"""Disks that are full and folders that are read-only: a clear error, and the checkpoint before stays whole."""

import json
import os
import subprocess
import sys

import pytest

import funcnet as fn
from funcnet.experiments.origin import stamp
from funcnet.training import checkpoint
from tests.cli import environment
from tests.training.test_resume import crashed, experiment, outcome

LIMITED = """
import resource, sys
from pathlib import Path
import funcnet as fn
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    fn.run(fn.load_spec(sys.argv[1] + "/spec.json"), Path(sys.argv[1]) / "run", resume=True)
except fn.CheckpointError as error:
    print(error)
    sys.exit(7)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of a file")
def test_a_disk_that_fills_up_leaves_the_last_checkpoint_whole(tmp_path):
    """A limit on the size of files stands for the disk: the history grows until a checkpoint no longer fits."""
    spec = experiment(log_every=1, epochs=40, checkpoint=fn.Checkpoint(every_steps=5))
    fn.save_spec(tmp_path / "spec.json", spec)
    crashed(spec, tmp_path / "run", 11)
    size = checkpoint.listed(tmp_path / "run" / "checkpoints")[0].stat().st_size
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path), str(size + 4000)],
        env=environment(PYTHONDONTWRITEBYTECODE="1"), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 7, done.stderr
    assert "cannot be written (File too large); choose a writable folder, or free some space" in done.stdout
    assert done.stdout.endswith(f"The checkpoints are in {tmp_path / 'run' / 'checkpoints'}; continue with --resume\n")
    kept = checkpoint.listed(tmp_path / "run" / "checkpoints")
    step = checkpoint.read(kept[0]).snapshot.train_state.step
    assert step > 10
    assert not list((tmp_path / "run").rglob("*.tmp"))
    fn.run(spec, tmp_path / "run", resume=True)
    fn.run(spec, tmp_path / "whole")
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


@pytest.mark.skipif(sys.platform == "win32", reason="folders of Windows have no such permission")
def test_a_folder_that_became_read_only(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write into any folder")
    folder = crashed(experiment(), tmp_path / "run", 9)
    (folder / "checkpoints").chmod(0o500)
    try:
        with pytest.raises(fn.CheckpointError, match="cannot be written \\(Permission denied\\)"):
            fn.run(experiment(), folder, resume=True)
        assert checkpoint.newest(folder / "checkpoints").snapshot.train_state.step == 8
    finally:
        (folder / "checkpoints").chmod(0o700)


def test_the_error_names_the_folder_and_the_run_can_go_on(tmp_path):
    folder = crashed(experiment(), tmp_path / "run", 9)
    assert json.loads((folder / "run.json").read_text(encoding="utf-8")) == {
        "base": str(os.getcwd()),
        "stamp": stamp(folder, os.getcwd()),
    }
    fn.run(experiment(), folder, resume=True)
    assert (folder / "metrics.json").exists()
