"""npy, npz, HDF5 and IDX files: what they give, and that no file is trusted with what it says of itself."""

import gzip
import zipfile

import h5py
import numpy as np
import pytest

import funcnet as fn
from funcnet import data, files
from funcnet.data import Stream, prepare
from funcnet.data.sources.arrays import npy_piece
from funcnet.data.sources.hdf5 import hdf5_piece
from funcnet.data.sources.idx import read_idx
from tests.data.formats import allocated, idx, npy, npy_of, packed

KEY = fn.Key(3)
X = np.arange(24.0).reshape(4, 3, 2)
Y = np.array([0, 1, 1, 0])


def message(call, error=fn.DataError):
    with pytest.raises(error) as caught:
        call()
    return str(caught.value)


# ----- what they give -----------------------------------------------------------------------------------------------

DTYPES = ("<f8", ">f8", "<f4", "<f2", "|u1", "|i1", ">i2", "<i8", "|b1")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_gives_what_was_saved(tmp_path, dtype, order):
    x = np.asarray(X.astype(dtype), order=order)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", Y)
    np.save(tmp_path / "w.npy", [1.0, 2.0, 0.0, 0.5])
    source = data.Npy(x="x.npy", y="y.npy", weight="w.npy")
    assert source.in_shape(tmp_path) == (3, 2)
    for stream in (None, False, True):
        table = data.Npy(x="x.npy", y="y.npy", weight="w.npy", stream=stream).table(tmp_path, KEY)
        assert isinstance(table.x, Stream if stream else np.ndarray)
        assert table.x.shape == (4, 3, 2)
        assert np.array_equal(table.x[:], x)
        assert table.y.tolist() == Y.tolist()
        assert table.weight.tolist() == [1.0, 2.0, 0.0, 0.5]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("storage", [{}, {"chunks": (2, 2, 2)}, {"chunks": (3, 3, 1), "compression": "gzip"}])
def test_hdf5_gives_what_was_saved(tmp_path, dtype, storage):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("deep/in/x", data=X.astype(dtype), **storage)
        file["y"], file["w"] = Y, [1.0, 2.0, 0.0, 0.5]
        file["names"] = np.array([b"dog", "Hündin".encode()])
    for stream in (None, False, True):
        source = data.Hdf5(path="a.h5", x="deep/in/x", weight="w", classes="names", stream=stream)
        table = source.table(tmp_path, KEY)
        assert source.in_shape(tmp_path) == (3, 2)
        assert isinstance(table.x, Stream if stream else np.ndarray)
        assert np.array_equal(table.x[:], X.astype(dtype))
        assert (table.y.tolist(), table.weight.tolist()) == (Y.tolist(), [1.0, 2.0, 0.0, 0.5])
        assert table.classes == ("dog", "Hündin")


def test_hdf5_labels_may_be_texts_and_links_stay_in_the_file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["set/x"] = X
        file["fixed"] = np.array([b"b", b"a", b"b", b"c"])
        file.create_dataset("text", data=["b", "a", "b", "c"], dtype=h5py.string_dtype())
        file["set/same"] = h5py.SoftLink("x")
        file["whole"] = h5py.SoftLink("/set")
        file["far"] = h5py.SoftLink("whole/same")
        file["hard"] = file["set/x"]
    for x in ("set/x", "/set//x", "set/same", "whole/x", "far", "hard", "./whole/./same"):
        for y in ("fixed", "text"):
            found = prepare(data.Hdf5(path="a.h5", x=x, y=y), KEY, tmp_path)
            assert found.preprocess["classes"] == ["a", "b", "c"]
            assert found.train.y.tolist() == [1, 0, 1, 2]
            assert np.array_equal(found.train.x, X)


IDX = {"|u1": 8, "|i1": 9, ">i2": 11, ">i4": 12, ">f4": 13, ">f8": 14}


@pytest.mark.parametrize("dtype", IDX)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_idx_gives_what_was_saved(tmp_path, dtype, pack):
    (tmp_path / "x").write_bytes(pack(idx(X.astype(dtype), IDX[dtype])))
    (tmp_path / "y").write_bytes(pack(idx(Y.astype("u1"), 8)))
    source = data.Idx(images="x", labels="y")
    table = source.table(tmp_path, KEY)
    assert source.in_shape(tmp_path) == (3, 2)
    assert (table.x.dtype, table.y.dtype) == (np.dtype(dtype).newbyteorder("="), np.uint8)
    assert np.array_equal(table.x, X)
    assert table.y.tolist() == Y.tolist()


def test_columns_of_a_split_are_arrays_beside_the_others(tmp_path):
    groups = np.array([7, 8, 7, 9])
    for name, array in (("x", X), ("y", Y), ("g", groups)):
        np.save(tmp_path / f"{name}.npy", array)
    np.savez(tmp_path / "a.npz", x=X, y=Y, g=groups)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"], file["y"], file["g"] = X, Y, groups
    for name, array in (("x", X), ("y", Y), ("g", groups)):
        (tmp_path / name).write_bytes(idx(array.astype("u1"), 8))
    split, by_path = data.Split(group="g", test=1 / 3), data.Split(group="g.npy", test=1 / 3)
    parts = [
        prepare(source, KEY, tmp_path).parts
        for source in (
            data.Npz(path="a.npz", split=split),
            data.Hdf5(path="a.h5", split=split),
            data.Idx(images="x", labels="y", split=split),
            data.Npy(x="x.npy", y="y.npy", split=by_path),
        )
    ]
    for found in parts:
        train, test = (set(groups[part].tolist()) for part in (found.train, found.test))
        assert (len(train), len(test)) == (2, 1)
        assert train | test == {7, 8, 9}
        assert [part.tolist() for part in found] == [part.tolist() for part in parts[0]]
    ordered = prepare(data.Npz(path="a.npz", split=data.Split(time="g", test=0.25)), KEY, tmp_path).parts
    assert (ordered.train.tolist(), ordered.test.tolist()) == ([0, 2, 1], [3])


@pytest.mark.parametrize(
    ("split", "column", "expected"),
    [
        ({"group": "g"}, [1, 2], "split.group: expected one value for each of 4 rows in 'g', got (2,)"),
        ({"group": "g"}, X, "split.group: expected one value for each of 4 rows in 'g', got (4, 3, 2)"),
        ({"time": "g"}, [1, 2, np.nan, 3], "split.time: expected finite numbers in 'g', got nan in row 2"),
        ({"time": "g"}, [1j, 2, 3, 3], "split.time: expected numbers or texts in 'g', got complex128"),
    ],
)
def test_columns_that_no_split_can_use(tmp_path, split, column, expected):
    np.savez(tmp_path / "a.npz", x=X, y=Y, g=column)
    source = data.Npz(path="a.npz", split=data.Split(**split, test=0.5))
    assert message(lambda: prepare(source, KEY, tmp_path)) == expected


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        ([0, 1, 2, 0], "expected labels from 0 to 1, one for each class, got 2 in row 2"),
        ([0, 1, -1, 0], "expected labels from 0 to 1, one for each class, got -1 in row 2"),
        ([0.0, 1.0, 0.5, 0.0], "expected labels from 0 to 1, one for each class, got 0.5 in row 2"),
        ([0, 1, 0], "Hdf5: expected as many targets as inputs, at least one, got (4, 3, 2) and (3,)"),
    ],
)
def test_labels_that_no_class_has(tmp_path, y, expected):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"], file["y"], file["c"] = X, y, [b"no", b"yes"]
    source = data.Hdf5(path="a.h5", classes="c")
    assert message(lambda: prepare(source, KEY, tmp_path)) == expected


def test_labels_written_as_floats_are_labels_where_classes_have_names(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"], file["y"], file["c"] = X, Y.astype(float), [b"no", b"yes"]
    found = prepare(data.Hdf5(path="a.h5", classes="c"), KEY, tmp_path)
    assert (found.train.y.dtype, found.train.y.tolist()) == (np.int64, Y.tolist())
    assert found.found["classes"] == {"no": 2, "yes": 2}


# ----- npy --------------------------------------------------------------------------------------------------------

WHOLE = npy(X)
OTHER_KIND = "is not an .npy file ({}); np.save makes one"
NPY = {
    "empty": (b"", "is empty"),
    "foreign": (b"1,2\n3,4\n", OTHER_KIND.format("it begins with the bytes 31 2c 32 0a 33 2c 34 0a")),
    "begin": (b"\x93NU", OTHER_KIND.format("it begins with the bytes 93 4e 55")),
    "version": (
        WHOLE[:6] + b"\x09\x00" + WHOLE[8:],
        OTHER_KIND.format("it begins with the bytes 93 4e 55 4d 50 59 09 00"),
    ),
    "cut": (WHOLE[:-1], "is cut short: its header says 320 bytes, the file has 319"),
    "more": (WHOLE + b"\0", "is too long: its header says 320 bytes, the file has 321"),
    "huge": (npy_of((10**15,)), "is cut short: its header says 8000000000000128 bytes, the file has 128"),
    "beyond": (npy_of((10**30,)), OTHER_KIND.format("its header has the shape (1000000000000000000000000000000,)")),
    "negative": (npy_of((-2, -3), bytes(48)), OTHER_KIND.format("its header has the shape (-2, -3)")),
    "true": (npy_of((True, 6), bytes(48)), OTHER_KIND.format("its header has the shape (True, 6)")),
    "axes": (
        npy_of((1,) * 33, bytes(8), length=200),
        OTHER_KIND.format("its header has the shape (" + "1, " * 26 + "1"),
    ),
    "wide": (npy_of((10**12, 0)), "holds nothing: float64 of shape (1000000000000, 0)"),
    "nothing": (npy_of((10**12,), descr="|S0"), "holds nothing: |S0 of shape (1000000000000,)"),
    "single": (npy(np.array(1.0)), "holds a single value, expected rows"),
    "objects": (
        npy_of((4,), bytes(32), "|O"),
        "holds pickled objects, which are never loaded; save an array of numbers",
    ),
    "header-says": (
        b"\x93NUMPY\x02\x00" + b"\xff\xff\xff\xff" + WHOLE[10:],
        OTHER_KIND.format("its header declares a length of 4294967295 bytes"),
    ),
    "long-header": (
        npy_of((4,), bytes(32), version=2, length=20_000),
        OTHER_KIND.format("its header declares a length of 20001 bytes"),
    ),
}


@pytest.mark.parametrize("name", NPY)
def test_an_npy_file_is_not_trusted(tmp_path, name):
    content, expected = NPY[name]
    (tmp_path / "a.npy").write_bytes(content)
    np.save(tmp_path / "y.npy", Y)
    found = []
    for source in (
        data.Npy(x="a.npy", y="y.npy"),
        data.Npy(x="y.npy", y="a.npy"),
        data.Npy(x="a.npy", y="y.npy", stream=True),
    ):
        most = allocated(lambda: found.append(message(lambda: source.table(tmp_path, KEY))))
        assert most < 2**20
    assert found == [f"{tmp_path / 'a.npy'}: {expected}"] * 3


def test_a_file_that_shrinks_after_it_was_looked_at(tmp_path):
    path = tmp_path / "a.npy"
    path.write_bytes(WHOLE)
    piece = npy_piece(path)
    path.write_bytes(WHOLE[:200])
    assert (
        message(lambda: piece.read(0, 4)) == f"{path}: cannot be read any more: mmap length is greater than file size"
    )


# ----- npz --------------------------------------------------------------------------------------------------------


GOOD = ("y.npy", npy(Y))
NPZ = {
    "huge": ([("x.npy", npy_of((10**10,)))], 0, "'x.npy' declares 80000000128 bytes, but has 128"),
    "more": ([("x.npy", WHOLE + b"\0")], 0, "'x.npy' declares 320 bytes, but has 321"),
    "text": ([("x.npy", b"1 2 3")], 0, "'x.npy' is not an array: it begins with the bytes 31 20 32 20 33"),
    "nothing": ([("x.npy", b"")], 0, "'x.npy' is not an array: it is empty"),
    "negative": ([("x.npy", npy_of((-4,)))], 0, "'x.npy' is not an array: its header has the shape (-4,)"),
    "objects": ([("x.npy", npy_of((4,), bytes(32), "|O"))], 0, "'x.npy' holds pickled objects, which are never loaded"),
    "twice": ([("x.npy", WHOLE), ("x", WHOLE)], 0, "two members are called 'x'"),
    "header": (
        [("x.npy", b"\x93NUMPY\x02\x00" + (2**28).to_bytes(4, "little") + b" " * 2**24)],
        zipfile.ZIP_DEFLATED,
        "'x.npy' is not an array: its header declares a length of 268435456 bytes",
    ),
    "lzma": ([("x.npy", WHOLE)], zipfile.ZIP_LZMA, "'x.npy' uses a compression that np.savez does not"),
}


@pytest.mark.parametrize("name", NPZ)
def test_an_npz_member_is_not_trusted(tmp_path, name):
    members, method, reason = NPZ[name]
    path = tmp_path / "a.npz"
    path.write_bytes(packed([*members, GOOD], method))
    source = data.Npz(path="a.npz")
    found = []
    for read in (source.in_shape, lambda base: source.table(base, KEY)):
        assert allocated(lambda: found.append(message(lambda: read(tmp_path)))) < 2**21
    assert found == [f"{path}: not a whole .npz archive of numbers ({reason})"] * 2


def test_an_archive_that_unpacks_to_far_more_than_it_is(tmp_path, monkeypatch):
    """Two megabytes would be a harmless bomb; the limit is lowered to them."""
    monkeypatch.setattr("funcnet.files.HARMLESS", 2**20)
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=np.zeros((2, 2**17)), y=np.zeros(2))
    size = path.stat().st_size
    found = []
    assert allocated(lambda: found.append(message(lambda: data.Npz(path="a.npz").table(tmp_path, KEY)))) < 2**20
    total = 2 * 2**20 + 128 + 16 + 128
    assert found == [
        f"{path}: not a whole .npz archive of numbers ({size} bytes that declare {total} unpacked; "
        "save it uncompressed: np.savez)"
    ]
    np.savez(path, x=np.zeros((2, 2**17)), y=np.zeros(2))
    assert data.Npz(path="a.npz").table(tmp_path, KEY).x.shape == (2, 2**17)


def test_only_what_is_wanted_is_read(tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(packed([("x.npy", WHOLE), GOOD, ("notes.txt", b"of the year 2024"), ("z.npy", npy_of((10**9,)))]))
    assert np.array_equal(data.Npz(path="a.npz").table(tmp_path, KEY).x, X)
    assert message(lambda: data.Npz(path="a.npz", weight="notes").table(tmp_path, KEY)) == (
        f"{path}: has no member 'notes', did you mean 'notes.txt'?; it has x, y, notes.txt, z"
    )


# ----- HDF5 -------------------------------------------------------------------------------------------------------


@pytest.fixture
def hdf5(tmp_path):
    """A file with every way in which a dataset can be elsewhere, or less than it says."""
    path = tmp_path / "a.h5"
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"], file["group/x"] = X, X
    (tmp_path / "raw.bin").write_bytes(X.tobytes())
    with h5py.File(path, "w") as file:
        file["x"], file["y"] = X, Y
        file["group/inner"] = X
        file["external"] = h5py.ExternalLink("other.h5", "/x")
        file["door"] = h5py.ExternalLink("other.h5", "/group")
        file["soft"] = h5py.SoftLink("/external")
        file["softer"] = h5py.SoftLink("group/../soft")
        file["through"] = h5py.SoftLink("/door/x")
        file["dangling"] = h5py.SoftLink("/nowhere")
        file["circle"], file["turn"] = h5py.SoftLink("/turn"), h5py.SoftLink("circle")
        file.create_dataset("stored", (4,), "f8", external=[("raw.bin", 0, 32)])
        layout = h5py.VirtualLayout((4, 3, 2), "f8")
        layout[:] = h5py.VirtualSource("other.h5", "x", (4, 3, 2))
        file.create_virtual_dataset("virtual", layout)
        file["scalar"], file["null"] = 3.0, h5py.Empty("f8")
        file["compound"] = np.zeros(4, [("a", "f8"), ("b", "i4")])
        file["complex"] = np.zeros(4, complex)
        file.create_dataset("ragged", (4,), h5py.vlen_dtype(np.int32))
        file.create_dataset("references", (4,), h5py.ref_dtype)
        file.create_dataset("unwritten", (4,), "f8")
        file.create_dataset("zeros", (10**10,), "u1", chunks=(10**6,), compression="gzip")
        file.create_dataset("chunk", (4,), "u1", chunks=(2**31,), maxshape=(None,), compression="gzip")
        file.create_dataset("wide", (10**12, 0), "f8")
    return path


KNOWN = (
    "chunk, complex, compound, group/inner, null, ragged, references, scalar, stored, unwritten, virtual, wide, x, y, "
    "zeros"
)
OTHER = "{name!r} is a link to another file, 'other.h5'; give that file instead"
FAR = "{name!r} keeps its values in other files; copy them into this one"
HDF5 = {
    "z": "has no dataset 'z'; it has " + KNOWN,
    "grup/inner": "has no dataset 'grup/inner', did you mean 'group/inner'?; it has " + KNOWN,
    "x/inner": "has no dataset 'x/inner', did you mean 'group/inner'?; it has " + KNOWN,
    "group": "'group' is not a dataset; it has " + KNOWN,
    "/": "'/' is not a dataset; it has " + KNOWN,
    "external": OTHER,
    "door/x": OTHER,
    "soft": OTHER,
    "through": OTHER,
    "softer": "has no dataset 'softer'; it has " + KNOWN,
    "dangling": "has no dataset 'dangling'; it has " + KNOWN,
    "circle": "'circle' is a loop of links, or 64 groups deep",
    "stored": FAR,
    "virtual": FAR,
    "scalar": "'scalar' holds a single value, expected rows",
    "null": "'null' holds a single value, expected rows",
    "compound": "'compound' holds [('a', '<f8'), ('b', '<i4')], expected numbers or texts",
    "complex": "'complex' holds complex128, expected numbers or texts",
    "ragged": "'ragged' holds object, expected numbers or texts",
    "references": "'references' holds object, expected numbers or texts",
    "unwritten": "'unwritten' declares 32 bytes, but the file holds 0; it was not written completely",
    "zeros": "'zeros' declares 10000000000 bytes, but the file holds 0; it was not written completely",
    "chunk": "'chunk' declares 4 bytes, but the file holds 0; it was not written completely",
    "wide": "'wide' holds nothing: float64 of shape (1000000000000, 0)",
}


def test_a_dataset_that_grows_too_much_is_refused(tmp_path, monkeypatch):
    """The real limit is 256 MB; here it is a kilobyte."""
    monkeypatch.setattr(files, "HARMLESS", 1000)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=np.zeros((10, 10**5)), chunks=(10, 10**5), compression="gzip")
    size = (tmp_path / "a.h5").stat().st_size
    assert message(lambda: hdf5_piece(tmp_path / "a.h5", "x")) == (
        f"{tmp_path / 'a.h5'}: 'x' declares 8000000 bytes, in a file of {size}; save it uncompressed"
    )


@pytest.mark.parametrize("name", HDF5)
def test_a_dataset_is_not_trusted(tmp_path, hdf5, name):
    expected = f"{hdf5}: {HDF5[name]}".replace("{name!r}", repr(name))
    found = []
    for source in (
        data.Hdf5(path="a.h5", x=name),
        data.Hdf5(path="a.h5", y=name),
        data.Hdf5(path="a.h5", x=name, stream=True),
    ):
        assert allocated(lambda: found.append(message(lambda: source.table(tmp_path, KEY)))) < 2**22
    assert found == [expected] * 3


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b"1,2\n3,4\n" * 100, "is not an HDF5 file"),
        (b"\x89HDF\r\n\x1a\n", "is not a whole HDF5 file"),
        (None, "is not a whole HDF5 file"),
    ],
    ids=["empty", "foreign", "signature", "half"],
)
def test_hdf5_of_other_kinds(tmp_path, hdf5, content, expected):
    whole = hdf5.read_bytes()
    hdf5.write_bytes(whole[: len(whole) // 2] if content is None else content)
    text = message(lambda: data.Hdf5(path="a.h5").table(tmp_path, KEY))
    assert text.startswith(f"{hdf5}: {expected}")
    assert "\n" not in text
    assert message(lambda: hdf5_piece(tmp_path / "none.h5", "x")) == f"{tmp_path / 'none.h5'}: there is no such file"


def test_a_dataset_with_a_damaged_chunk(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=np.arange(4000.0), chunks=(1000,), compression="gzip", fletcher32=True)
        file["y"] = np.zeros(4000)
        at = file["x"].id.get_chunk_info(2).byte_offset
    content = bytearray(path.read_bytes())
    content[at + 20 : at + 40] = bytes(20)
    path.write_bytes(content)
    stream = data.Hdf5(path="a.h5", stream=True).table(tmp_path, KEY).x
    assert stream[:2000].tolist() == list(range(2000))
    for call in (lambda: stream[1990:2010], lambda: data.Hdf5(path="a.h5").table(tmp_path, KEY)):
        assert message(call).startswith(f"{path}: is not a whole HDF5 file (")


# ----- IDX --------------------------------------------------------------------------------------------------------

IMAGES = idx(X.astype("u1"), 8)
ENDED = "is not a whole gzip file (Compressed file ended before the end-of-stream marker was reached)"
SAYS = "its header says 4 x 3 x 2, 24 bytes, but it has "
BAD_IDX = {
    "empty": (b"", "is empty"),
    "foreign": (b"1,2\n3,4\n", "is not an IDX file: it begins with the bytes 31 2c 32 0a"),
    "begin": (b"\0\0\x08", "is not an IDX file: it begins with the bytes 00 00 08"),
    "code": (b"\0\0\x0a\x01\0\0\0\x01a", "is not an IDX file: it begins with the bytes 00 00 0a 01"),
    "no-axes": (b"\0\0\x08\x00a", "is not an IDX file: it begins with the bytes 00 00 08 00"),
    "255-axes": (b"\0\0\x08\xff" + b"\0\0\0\x01" * 255, "is not an IDX file: it begins with the bytes 00 00 08 ff"),
    "header": (IMAGES[:9], "is cut short within its header"),
    "cut": (IMAGES[:-1], SAYS + "23"),
    "nothing": (IMAGES[:16], SAYS + "fewer"),
    "more": (IMAGES + b"\0", SAYS + "more"),
    "wide": (b"\0\0\x08\x02" + b"\0\0\0\x02\0\0\0\0", "holds nothing: uint8 of shape (2, 0)"),
    "no rows, too wide": (
        b"\0\0\x08\x03" + b"\0" * 4 + b"\xff" * 8,
        f"holds nothing: uint8 of shape (0, {2**32 - 1}, {2**32 - 1})",
    ),
    "huge": (
        b"\0\0\x0e\x03" + b"\xff" * 12 + b"abc",
        f"its header says {' x '.join(['4294967295'] * 3)}, {8 * 4294967295**3} bytes, but it has fewer",
    ),
    "packed-cut": (gzip.compress(IMAGES)[:-9], ENDED),
    "packed-header": (gzip.compress(IMAGES)[:5], ENDED),
    "packed-less": (gzip.compress(IMAGES[:-2]), SAYS + "22"),
    "packed-more": (gzip.compress(IMAGES + bytes(100)), SAYS + "more"),
    "packed-foreign": (gzip.compress(b"hello, world"), "is not an IDX file: it begins with the bytes 68 65 6c 6c"),
}


@pytest.mark.parametrize("name", BAD_IDX)
def test_an_idx_file_is_not_trusted(tmp_path, name):
    content, expected = BAD_IDX[name]
    (tmp_path / "x").write_bytes(content)
    found = []
    assert allocated(lambda: found.append(message(lambda: read_idx(tmp_path / "x")))) < 2**20
    assert found == [f"{tmp_path / 'x'}: {expected}"]


@pytest.mark.parametrize("damage", ["checksum", "body"])
def test_a_damaged_gzip_file(tmp_path, damage):
    whole = gzip.compress(idx(np.arange(250, dtype="u1"), 8))
    changed = bytearray(whole)
    for at in range(len(whole) - 8, len(whole) - 4) if damage == "checksum" else range(20, 60):
        changed[at] ^= 255
    (tmp_path / "x").write_bytes(changed)
    assert message(lambda: read_idx(tmp_path / "x")).startswith(f"{tmp_path / 'x'}: is not a whole gzip file (")


def test_a_gzip_file_that_unpacks_to_far_more_than_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr("funcnet.files.HARMLESS", 2**20)
    (tmp_path / "x").write_bytes(gzip.compress(idx(np.zeros((2, 2**20), "u1"), 8)))
    size = (tmp_path / "x").stat().st_size
    found = []
    assert allocated(lambda: found.append(message(lambda: read_idx(tmp_path / "x")))) < 2**20
    assert found == [f"{tmp_path / 'x'}: has {size} bytes and declares {2**21} unpacked; unpack it first"]
    (tmp_path / "x").write_bytes(idx(np.zeros((2, 2**20), "u1"), 8))
    assert read_idx(tmp_path / "x").shape == (2, 2**20)
