"""Damaged and hostile data files of every format: a table, or a DataError with a bounded message, in time.

By hand: ``python -m tests.fuzz.data_files --count 20000 --seed 1``
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import io
import random
import struct
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

import funcnet as fn
from funcnet.data.preparation import prepare
from funcnet.data.sniff import look
from funcnet.errors import visible

SLOW = 10.0
"""Seconds that no file may take; each is of a few kilobytes"""
CELLS = [
    "", "1", "-1", "1.5", "1e308", "1e400", "nan", "inf", "-inf", "1_000", "0x10", "a", "a b", '"a,b"', '"', "''", "\0",
    "\x1b[2J", "é", "中", "\ufeff", "=1+1", "NA", "?", "1,5", "$1", "5%", "9" * 400, "k" * 2000, "\r", "\n",
    "2024-01-01", "1 ",
]  # fmt: skip


def csv(draw: random.Random) -> bytes:
    """A table, mostly regular."""
    columns, rows = draw.randint(1, 6), draw.randint(0, 30)
    delimiter = draw.choice([",", ",", ",", ";", "\t", "|"])
    wild = draw.choice([0.0, 0.02, 0.3])
    kinds = [draw.choice(["number", "label", "whole"]) for _ in range(columns)]

    def cell(kind: str) -> str:
        if draw.random() < wild:
            return draw.choice(CELLS)
        return {"number": f"{draw.gauss(0, 1):.3f}", "label": draw.choice("abc"), "whole": str(draw.randint(0, 2))}[
            kind
        ]

    lines = [delimiter.join(f"c{i}" if draw.random() > wild else draw.choice(CELLS) for i in range(columns))]
    lines += [delimiter.join(map(cell, kinds)) for _ in range(rows)]
    text = draw.choice(["\n", "\n", "\r\n"]).join(lines) + draw.choice(["", "\n", "\n\n"])
    return text.encode(draw.choice(["utf-8", "utf-8", "utf-8", "utf-16", "latin-1", "cp1252"]), errors="replace")


def array(draw: random.Random) -> Any:
    """An array of inputs or targets, mostly of eight rows."""
    if draw.random() < 0.6:
        shape, dtype = draw.choice([((8, 3), "f4"), ((8,), "i8"), ((8, 1), "f8")])
        return np.array([draw.randint(0, 2) for _ in range(int(np.prod(shape)))]).reshape(shape).astype(dtype)
    shape = draw.choice([(8, 3), (8,), (8, 2, 2), (0, 3), (8, 0), (), (1, 1)])
    dtype = draw.choice(["f4", "f8", "i8", "u1", "b1", ">f8", "U3", "c8", "f2", "M8[s]"])
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = np.array([draw.choice([0, 1, 2, 3.5, np.nan, 1e300]) for _ in range(int(np.prod(shape)))])
        return np.nan_to_num(values).reshape(shape).astype("i8" if dtype[0] == "M" else "f8").astype(dtype)


def npy(draw: random.Random) -> bytes:
    """One array."""
    file = io.BytesIO()
    np.save(file, np.asfortranarray(array(draw)) if draw.random() < 0.2 else array(draw))
    return file.getvalue()


def npz(draw: random.Random) -> bytes:
    """An archive of arrays."""
    file = io.BytesIO()
    names = ["x", "y", "weight", *draw.sample(["\x1b", "x/y", "../x"], draw.randint(0, 2))][draw.choice([0, 0, 0, 1]) :]
    (np.savez_compressed if draw.random() < 0.5 else np.savez)(file, **{name: array(draw) for name in names})
    return file.getvalue()


def idx(draw: random.Random) -> bytes:
    """Images or labels, sometimes gzipped."""
    axes = [8, *draw.choice([[], [2, 2], [3]])]
    if draw.random() < 0.2:
        axes = [draw.choice([0, 1, 8, 8, 8, 2**31]) for _ in range(draw.randint(0, 3))]
    size = int(np.prod(axes, dtype=object)) if axes else 1
    head = bytes([0, 0, draw.choice([8, 8, 8, 8, 9, 13, 14, 7]), len(axes)]) + b"".join(
        struct.pack(">I", n) for n in axes
    )
    content = head + draw.randbytes(min(size, 3000))
    return gzip.compress(content) if draw.random() < 0.3 else content


def text(draw: random.Random) -> bytes:
    """Characters."""
    return "".join(draw.choice(["word ", "\n", "é", "\0", "x"]) for _ in range(draw.randint(0, 400))).encode()


def hdf5(draw: random.Random) -> bytes:
    """A file of datasets, packed or not."""
    import h5py

    file = io.BytesIO()
    with h5py.File(file, "w") as store:
        for name in ("x", "y", *draw.sample(["g/x", "classes"], draw.randint(0, 2)))[draw.choice([0, 0, 0, 1]) :]:
            values = array(draw)
            if values.dtype.kind not in "UM":
                packed = {"compression": "gzip", "chunks": True} if values.ndim and draw.random() < 0.4 else {}
                if values.size:
                    store.create_dataset(name, data=values, **packed)
        if draw.random() < 0.2:
            store["link"] = h5py.SoftLink(draw.choice(["/x", "/link", "/g/x"]))
    return file.getvalue()


def damaged(content: bytes, draw: random.Random) -> bytes:
    """Some bytes flipped, cut, doubled or filled."""
    data = bytearray(content)
    for _ in range(draw.choice([0, 0, 0, 0, 1, 2, 8])):
        at = draw.randrange(len(data) + 1)
        kind = draw.randrange(5)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del data[at:]
        elif kind == 2:
            data[at:at] = data[max(0, at - draw.randrange(200)) : at]
        elif kind == 3:
            data[at : at + 4] = draw.choice([b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"])
        else:
            data[at : at + draw.randrange(20)] = draw.randbytes(draw.randrange(20))
    return bytes(data)


FORMATS: dict[str, Any] = {"csv": csv, "npy": npy, "npz": npz, "idx": idx, "text": text, "hdf5": hdf5}


def source(tag: str, file: str, other: str, draw: random.Random) -> Any:
    """A source that reads the file."""
    common: dict[str, Any] = {
        "scale": draw.choice([None, "standard", "minmax", "robust"]),
        "impute": draw.choice([None, "mean", "median", "most_frequent", 0.0]),
    }
    if tag == "csv":
        return fn.data.Csv(
            file,
            draw.choice([-1, 0, "c0", "c1"]),
            delimiter=draw.choice([",", ",", ";"]),
            header=draw.random() < 0.9,
            categorical=draw.choice([(), (), ("c1",)]),
            decimal=draw.choice([".", ".", ","]),
            **common,
        )
    if tag == "npy":
        return fn.data.Npy(file, other, stream=draw.choice([None, True]), **common)
    if tag == "npz":
        return fn.data.Npz(file, weight=draw.choice([None, None, "weight"]), **common)
    if tag == "idx":
        return fn.data.Idx(file, other, divide=255.0)
    if tag == "text":
        return fn.data.Text(file, length=draw.choice([1, 8, 10_000]))
    return fn.data.Hdf5(
        file, draw.choice(["x", "x", "x", "g/x", "link"]), "y", classes=draw.choice([None, None, "classes"]), **common
    )


def read(tag: str, folder: Path, draw: random.Random) -> str:
    """What becomes of one file: ``read``, or ``refused`` with a message that is bounded and safe to print."""
    names = [f"{name}.{'h5' if tag == 'hdf5' else tag}" for name in ("a", "b")]
    for name in names:
        (folder / name).write_bytes(damaged(FORMATS[tag](draw), draw))
    try:
        if tag == "csv" and draw.random() < 0.3:
            look(folder / names[0])
        else:
            prepare(source(tag, *names, draw), fn.Key(0), folder)
    except fn.FuncnetError as error:
        message = str(error)
        assert 0 < len(message) < 10_000, len(message)
        assert visible(message) == message
        return "refused"
    return "read"


def fuzz(count: int, seed: int, formats: tuple[str, ...] = tuple(FORMATS)) -> Counter[str]:
    """Counts of what became of ``count`` files of each format; NumPy's warnings are errors, too."""
    found = Counter[str]()
    if importlib.util.find_spec("h5py") is None:  # an extra
        formats = tuple(tag for tag in formats if tag != "hdf5")
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        for tag in formats:
            for i in range(count):
                draw, begin = random.Random(f"{seed} {tag} {i}"), time.process_time()
                try:
                    found[f"{tag} {read(tag, Path(folder), draw)}"] += 1
                except BaseException as error:
                    error.add_note(f"case {i} of seed {seed}: {tag}")
                    raise
                assert time.process_time() - begin < SLOW, (tag, i, seed)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="files of each format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--formats", nargs="*", default=list(FORMATS))
    options = parser.parse_args()
    print(dict(fuzz(options.count, options.seed, tuple(options.formats))))
