"""One table of the sources that read files: what ``test_formats.py`` and ``tests/cli/test_predict.py`` try on each."""

from __future__ import annotations

import csv
import gzip
import io
import json
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from funcnet import data
from funcnet.data.sources.text import encode

OUTSIDE = "../a.npy"
"""A path outside the folder of a spec in ``folder_of``"""
X, Y = np.arange(8.0, dtype=np.float32).reshape(4, 2), np.array([0, 1, 1, 0])
LABELS = (0, 1, 1, 0)


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def npy_of(shape, content=b"", descr="<f8", version=1, length=None, order=False):  # type: ignore[no-untyped-def]
    """An npy file that says so."""
    header = repr({"descr": descr, "fortran_order": order, "shape": shape}).encode()
    header = header.ljust(117 if length is None else length) + b"\n"
    size = len(header).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + size + header + content


def idx(array: Any, code: int) -> bytes:
    return b"\0\0" + bytes([code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def packed(members: Any, method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for name, content in members:
            file.writestr(name, content)
    return buffer.getvalue()


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def hdf5(**arrays: Any) -> bytes:
    """Contiguous arrays, those of labels in packed chunks."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array, **({"chunks": (2,), "compression": "gzip"} if name == "y" else {}))
    return buffer.getvalue()


def cats() -> bytes:
    """Both files of ``CatImages`` in one."""
    images = {f"{part}_set_x": np.zeros((3, 64, 64, 3), np.uint8) for part in ("train", "test")}
    labels = {f"{part}_set_y": np.array([0, 1, 1]) for part in ("train", "test")}
    return hdf5(**images, **labels, list_classes=np.array([b"other", b"cat"]))


# ----- new rows, as predict takes them ------------------------------------------------------------------------------


def write_csv(path: Path, x: Any, names: tuple[str, ...]) -> None:
    if path.suffix in (".jsonl", ".ndjson"):
        path.write_text("".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in x.tolist()))
        return
    """A table with its columns in another order."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",")
        rows.writerows([names[::-1], *x[:, ::-1].tolist()])


def write_idx(path: Path, x: Any, names: tuple[str, ...]) -> None:
    whole = idx(x.astype(">f8"), 14)
    path.write_bytes(gzip.compress(whole) if path.suffix == ".gz" else whole)


# ----- the table ------------------------------------------------------------------------------------------------------


class Format(NamedTuple):
    """A source that reads files, or has fields of text."""

    outside: tuple[data.Source, ...]
    """The source with ``OUTSIDE`` in place of each path; ``a.npy``, ``a.csv`` and ``a.idx`` are in the folder"""
    texts: tuple[str, ...]
    """Its fields of text that are no paths"""
    reads: tuple[data.Source, ...]
    """The source of a file ``x``, in several configurations; beside it is ``y``, an npy file of four labels"""
    whole: tuple[bytes, ...]
    """Whole small files, in several forms"""
    targets: tuple[int, ...]
    """What the first of ``reads`` finds in each of ``whole``"""
    begins: bytes
    """The first bytes of a file"""
    names: tuple[str, ...] = ("x",)
    """The files that have the content"""
    write: Callable[[Path, Any, tuple[str, ...]], None] | None = None
    """``write(path, x, names)`` makes a file of new rows, for a source with ``endings``"""


HELD_OUT = data.Split(given={"test": {"path": OUTSIDE}})
TABLE = 'a,c,g,y\n1,u,p,0\n-2.5e3,"v,w",q,1\n3,u,p,1\n"4",v,q,0\n'

FORMATS: dict[str, Format] = {
    "csv": Format(
        outside=(data.Csv(path=OUTSIDE, target="y"), data.Csv(path="a.csv", target="y", split=HELD_OUT)),
        texts=("target", "inputs", "categorical", "ordinal", "weight", "missing", "delimiter", "marks", "dates"),
        reads=(
            data.Csv(path="x", target="y", categorical="c", impute="mean", scale="standard"),
            data.Csv(path="x", target=-1, inputs=["a"], split=data.Split(group="g", test=0.5)),
        ),
        whole=(TABLE.encode(), TABLE.replace("\n", "\r\n").encode("utf-8-sig")),
        targets=LABELS,
        begins=b"a,c,g,y\n",
        write=write_csv,
    ),
    "columns": Format(  # in no file
        outside=(),
        texts=("target", "inputs", "categorical", "ordinal", "weight", "missing", "marks", "dates"),
        reads=(),
        whole=(),
        targets=(),
        begins=b"",
    ),
    "npy": Format(
        outside=(
            data.Npy(x=OUTSIDE, y="a.npy"),
            data.Npy(x="a.npy", y=OUTSIDE),
            data.Npy(x="a.npy", y="a.npy", weight=OUTSIDE),
            data.Npy(x="a.npy", y="a.npy", split=data.Split(group=OUTSIDE, test=0.5)),
        ),
        texts=(),
        reads=(data.Npy(x="x", y="y"), data.Npy(x="x", y="x"), data.Npy(x="x", y="y", stream=True)),
        whole=(npy(X), npy(np.asfortranarray(X)), npy_of((4,), bytes(32), version=2)),
        targets=LABELS,
        begins=b"\x93NUMPY\x01\x00",
        write=lambda path, x, names: path.write_bytes(npy(x)),
    ),
    "npz": Format(
        outside=(data.Npz(path=OUTSIDE),),
        texts=("x", "y", "weight"),
        reads=(data.Npz(path="x"), data.Npz(path="x", split=data.Split(time="y", test=0.5))),
        whole=(packed([("x.npy", npy(X)), ("y.npy", npy(Y))]), npz(x=X, y=Y)),
        targets=LABELS,
        begins=b"PK\x03\x04",
        write=lambda path, x, names: path.write_bytes(npz(x=x)),
    ),
    "hdf5": Format(
        outside=(data.Hdf5(path=OUTSIDE),),
        texts=("x", "y", "weight", "classes"),
        reads=(data.Hdf5(path="x"), data.Hdf5(path="x", stream=True, weight="y")),
        whole=(hdf5(x=X, y=Y),),
        targets=LABELS,
        begins=b"\x89HDF\r\n\x1a\n",
        write=lambda path, x, names: path.write_bytes(hdf5(x=x)),
    ),
    "idx": Format(
        outside=(
            data.Idx(images=OUTSIDE, labels="a.idx"),
            data.Idx(images="a.idx", labels=OUTSIDE),
            data.Idx(images="a.idx", labels="a.idx", split=data.Split(group=OUTSIDE, test=0.5)),
        ),
        texts=(),
        reads=(data.Idx(images="x", labels="x"),),
        whole=(idx(Y.astype("u1"), 8), gzip.compress(idx(Y.astype("u1"), 8))),
        targets=LABELS,
        begins=b"\0\0\x08\x01",
        write=write_idx,
    ),
    "text": Format(
        outside=(data.Text(path=OUTSIDE),),
        texts=(),
        reads=(data.Text(path="x", length=2),),
        whole=(b"The quick brown fox.\n", "Thåe quick½ brown\t fox.\r\n".encode("utf-8-sig")),
        targets=tuple(encode("he quick brown fox.\n").tolist()),
        begins=b"\xef\xbb\xbf",
    ),
    "cat_images": Format(
        outside=(data.CatImages(folder=OUTSIDE),),
        texts=(),
        reads=(data.CatImages(folder="."),),
        whole=(cats(),),
        targets=(0, 1, 1, 0, 1, 1),
        begins=b"\x89HDF\r\n\x1a\n",
        names=("train_catvnoncat.h5", "test_catvnoncat.h5"),
    ),
}
"""Every source with a field of text, by its tag"""


def folder_of(place: Path) -> Path:
    """A folder for a spec with files in it, and ``OUTSIDE`` outside it."""
    folder = place / "specs"
    folder.mkdir()
    np.save(place / "a.npy", np.ones((2, 2)))
    np.save(folder / "a.npy", np.ones(2))
    (folder / "a.csv").write_text("a,y\n1,0\n2,1\n", encoding="utf-8")
    (folder / "a.idx").write_bytes(idx(np.ones(2, "u1"), 8))
    return folder


def allocated(call: Callable[[], Any]) -> int:
    """The most memory that was held at a time."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
