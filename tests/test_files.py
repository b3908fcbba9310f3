"""Files that are whole or as they were, whatever happens, and archives that are trusted with nothing."""

import errno
import io
import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

import funcnet as fn
from funcnet import CheckpointError
from funcnet.errors import visible
from funcnet.files import npz_bytes, read_bytes, read_npz, write_bytes

posix = pytest.mark.skipif(os.name != "posix", reason="signals and permissions as POSIX has them")

MEMBERS = {
    "params/head/weight": np.arange(12.0).reshape(3, 4),
    "params/head/bias": np.array([0.5, -0.5], np.float32),
    "state/count": np.array(7, np.int64),
    "spec": np.array('{"version": 1}'),
    "empty": np.zeros((0, 3)),
}


SMALL = fn.Experiment(
    data=fn.data.Arrays(x=[[0.0], [1.0]], y=[0.0, 1.0]),
    model=fn.Dense(1),
    loss=fn.losses.MeanSquaredError(),
    optimizer=fn.optim.SGD(0.1),
    training=fn.Training(epochs=1),
)


def message(call):
    with pytest.raises(CheckpointError) as caught:
        call()
    return str(caught.value)


def equal(found, expected):
    return found.keys() == expected.keys() and all(
        found[name].dtype == expected[name].dtype and np.array_equal(found[name], expected[name]) for name in expected
    )


# ----- writing


def test_a_file_is_written_and_replaced(tmp_path):
    path = tmp_path / "a.bin"
    write_bytes(path, b"first")
    assert path.read_bytes() == b"first"
    write_bytes(path, b"")
    assert path.read_bytes() == b""
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_relative_path_stays_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_bytes(Path("a.bin"), b"x")
    assert os.listdir(tmp_path) == ["a.bin"]


@posix
@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_a_file_has_the_permissions_of_any_other(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        write_bytes(tmp_path / "a.bin", b"x")
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    assert (tmp_path / "a.bin").stat().st_mode & 0o777 == mode


@posix
@pytest.mark.parametrize(
    ("name", "reason"),
    [("missing/a.bin", "No such file or directory"), ("file/a.bin", "Not a directory"), ("folder", None)],
)
def test_a_path_that_cannot_be_written(tmp_path, name, reason):
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "folder").mkdir()
    path = tmp_path / name
    said = f"{path}: cannot be written ({reason}); choose a writable folder, or free some space"
    said = said if reason else f"{path}: is a folder; expected the name of a file to write"
    assert message(lambda: write_bytes(path, b"new")) == said
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]
    assert (tmp_path / "file").read_bytes() == b"old"


@posix
@pytest.mark.parametrize("link", [False, True])
def test_a_pipe_or_a_device_is_not_replaced(tmp_path, link):
    """As root, a file put in the place of /dev/null would harm every program."""
    path = there = tmp_path / "pipe"
    os.mkfifo(there)
    if link:  # as /dev/stdout is one
        path = tmp_path / "link"
        path.symlink_to(there)
    assert message(lambda: write_bytes(path, b"new")) == f"{path}: is a pipe; expected the name of a file to write"
    assert there.is_fifo()
    assert path.is_symlink() == link


@posix
def test_impossible_names(tmp_path):
    for path, reason in ((tmp_path / ("a" * 300), "File name too long"), (tmp_path / "a\0", "embedded null byte")):
        assert message(lambda path=path: write_bytes(path, b"new")) == (
            f"{visible(str(path))}: cannot be written ({reason}); choose a writable folder, or free some space"
        )
        with pytest.raises(OSError, match=reason):
            read_bytes(path)
        with pytest.raises(CheckpointError, match=reason):
            fn.run(SMALL, path)
        with pytest.raises(CheckpointError, match="is not there"):
            fn.run(SMALL, start=path)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("header", ["-" * 9000 + "1", "(" * 9000, "[" * 300 + "]" * 300, "{'descr': '<f4'"])
def test_a_header_that_no_array_has(tmp_path, header):
    """Python's parser runs out of its own memory, which is no lack of the machine's."""
    npy = b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header.encode()
    (tmp_path / "a.npy").write_bytes(npy)
    archive(tmp_path / "a.npz", {"x.npy": npy})
    assert message(lambda: read_npz(tmp_path / "a.npz")).startswith(
        f"{tmp_path / 'a.npz'}: not a whole .npz archive of numbers ('x.npy' is not an array: "
    )
    with pytest.raises(fn.DataError):
        fn.data.Npy("a.npy", "a.npy").table(tmp_path, fn.Key(0))


def test_a_text_of_codes_that_are_no_characters(tmp_path):
    for code in (0x110000, 0xD800):
        np.savez(tmp_path / "a.npz", spec=np.array([code], np.uint32).view("U1")[0:1].reshape(()))
        assert message(lambda: fn.load(tmp_path / "a.npz")) == (
            f"{tmp_path / 'a.npz'}: expected a member 'spec' with the network's JSON; was it written by fn.save?"
        )


def test_members_in_more_folders_than_a_network_has(tmp_path):
    params, state = fn.Dense(1).init(fn.Key(0), (1,))
    fn.save(tmp_path / "a.npz", fn.Dense(1), params, state)
    members = read_npz(tmp_path / "a.npz") | {f"params/{'a/' * 2000}b": np.zeros(1)}
    (tmp_path / "a.npz").write_bytes(npz_bytes(members))
    for call in (lambda: fn.load(tmp_path / "a.npz"), lambda: fn.run(SMALL, start=tmp_path / "a.npz")):
        with pytest.raises(fn.FuncnetError, match=r"has more than 256 parts"):
            call()


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch, function):
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, function, full)
    assert message(lambda: write_bytes(path, b"new")) == (
        f"{path}: cannot be written (No space left on device); choose a writable folder, or free some space"
    )
    assert os.listdir(tmp_path) == ["a.bin"]
    assert path.read_bytes() == b"old"


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")

    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_bytes(path, b"new")
    assert os.listdir(tmp_path) == ["a.bin"]
    assert path.read_bytes() == b"old"


WRITER = """
import itertools, pathlib, sys
from funcnet.files import write_bytes
path = pathlib.Path(sys.argv[1])
for i in itertools.count():
    write_bytes(path, bytes([i % 256]) * (2_000_000 + i % 256))
    print(i, flush=True)
"""


@posix
def test_a_writer_that_is_killed_leaves_a_whole_file(tmp_path):
    path, draw, seen = tmp_path / "a.bin", random.Random(0), set()
    for _ in range(15):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
        with writer.stdout:
            for i in range(draw.randrange(1, 5)):  # files that are whole before the one that the kill falls on
                assert writer.stdout.readline() == b"%d\n" % i
            time.sleep(draw.uniform(0.0, 0.02))
            writer.kill()
        assert writer.wait() == -signal.SIGKILL
        content = path.read_bytes()
        whole = content == content[:1] * (2_000_000 + content[0])
        assert whole, f"{len(content)} bytes beginning with {content[:1]}"
        seen.add(content[0])
    assert len(seen) > 1
    assert all(name == "a.bin" or (name[:7], name[-4:]) == (".a.bin.", ".tmp") for name in os.listdir(tmp_path))


# ----- reading


def test_arrays_come_back_as_they_were(tmp_path):
    path = tmp_path / "a.npz"
    write_bytes(path, npz_bytes(MEMBERS))
    found = read_npz(path)
    assert list(found) == list(MEMBERS)
    assert equal(found, MEMBERS)


def test_no_members_come_back_as_none(tmp_path):
    path = tmp_path / "a.npz"
    write_bytes(path, npz_bytes({}))
    assert read_npz(path) == {}


def test_any_memory_layout_comes_back(tmp_path):
    path = tmp_path / "a.npz"
    members = {"t": np.arange(12.0).reshape(3, 4).T, "s": np.arange(12.0)[::-2]}
    write_bytes(path, npz_bytes(members))
    assert equal(read_npz(path), members)


def test_a_missing_file(tmp_path):
    path = tmp_path / "a.npz"
    assert message(lambda: read_npz(path)) == f"{path}: there is no such file"


@posix
def test_a_folder_is_no_archive(tmp_path):
    assert message(lambda: read_npz(tmp_path)) == (
        f"{tmp_path}: not a whole .npz archive of numbers ([Errno 21] Is a directory: '{tmp_path}')"
    )


class Dangerous:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_pickles_are_refused_and_never_run(tmp_path):
    path, mark = tmp_path / "a.npz", tmp_path / "ran"
    np.savez(path, allow_pickle=True, fine=np.ones(2), bad=np.array([Dangerous(mark)], object))
    assert message(lambda: read_npz(path)) == (
        f"{path}: not a whole .npz archive of numbers ('bad.npy' holds pickled objects, which are never loaded)"
    )
    assert not mark.exists()


@pytest.mark.parametrize(
    "content", [b"", b"P", b"PK\x03\x04", b"hello, world", b"\x80\x04]\x94.", b"\x93NUMPY", bytes(99)]
)
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    text = message(lambda: read_npz(path))
    assert text.startswith(f"{path}: not a whole .npz archive of numbers (")
    assert text.endswith(")")


def test_a_single_array_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    buffer = io.BytesIO()
    np.save(buffer, np.ones(3))
    path.write_bytes(buffer.getvalue())
    assert message(lambda: read_npz(path)) == f"{path}: expected an .npz archive, got a single array"


def archive(path, members):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)


@pytest.mark.parametrize("name", ["spec", "notes.txt", "params/weight.npy"])
def test_members_that_are_no_arrays_are_refused(tmp_path, name):
    path = tmp_path / "a.npz"
    archive(path, {name: "{}"})
    assert message(lambda: read_npz(path)).startswith(f"{path}: ")
    assert message(lambda: fn.load(path)).startswith(f"{path}: ")


@pytest.mark.parametrize("shape", [(10**15,), (10**30,), (-1,), (2**31, 2**31), ("a",)])
def test_a_member_cannot_claim_any_size(tmp_path, shape):
    header = repr({"descr": "<f8", "fortran_order": False, "shape": shape}).encode().ljust(117) + b"\n"
    path = tmp_path / "a.npz"
    archive(path, {"a.npy": b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header})
    assert message(lambda: read_npz(path)).startswith(f"{path}: not a whole .npz archive of numbers (")


def test_a_truncated_archive_is_refused_at_every_length(tmp_path):
    path, whole = tmp_path / "a.npz", npz_bytes(MEMBERS)
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        assert message(lambda: read_npz(path)).startswith(f"{path}: not a whole .npz archive of numbers (")


def compressed(members):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **members)
    return buffer.getvalue()


@pytest.mark.parametrize("form", [npz_bytes, compressed])
def test_an_altered_archive_is_refused_or_unharmed(tmp_path, form):
    """Some bytes of a zip file mean nothing (dates), some hide whole members; no change alters a number."""
    path, whole, draw = tmp_path / "a.npz", form(MEMBERS), random.Random(0)
    refused = 0
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1 << draw.randrange(8)
        path.write_bytes(changed)
        try:
            found = read_npz(path)
        except CheckpointError:
            refused += 1
            continue
        assert equal(found, {name: MEMBERS[name] for name in found}), f"byte {place}"
    assert refused > len(whole) // 2


@posix
@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts open files in /proc")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_damaged_archive_is_closed(tmp_path):
    """Windows can neither replace nor delete a file that stays open."""
    path = tmp_path / "a.npz"
    path.write_bytes(npz_bytes(MEMBERS)[:-1])
    for _ in range(3):
        with pytest.raises(CheckpointError) as caught:
            read_npz(path)
        held = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _links(fd)]
        assert str(path) not in held
        del caught


def _links(fd):
    return os.path.islink(f"/proc/self/fd/{fd}")
