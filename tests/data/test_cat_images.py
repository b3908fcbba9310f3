"""Cat images: what is drawn, what is read from two HDF5 files, and what is wrong with other files."""

import sys

import h5py
import numpy as np
import pytest

import funcnet as fn
from funcnet import data
from funcnet.cli import main
from funcnet.data.preparation import prepare
from funcnet.data.sources.ring_images import picture

KEY = fn.Key(3)
SOURCE = data.CatImages(folder="cats")


# ----- drawn --------------------------------------------------------------------------------------------


def test_drawn_images_have_the_layout_of_the_files(tmp_path):
    source = data.CatImages()
    table = source.table(tmp_path, KEY)
    assert source.in_shape(tmp_path) == (64, 64, 3)
    assert (table.x.shape, table.x.dtype) == ((600, 64, 64, 3), np.uint8)
    assert (table.y.shape, table.y.dtype) == ((600,), np.int64)
    assert table.classes == ("non-ring", "ring")
    assert table.part.dtype == np.int8
    assert table.part.tolist() == [0] * 400 + [2] * 200
    assert np.bincount(table.y[:400]).tolist() == [200, 200]
    assert np.bincount(table.y[400:]).tolist() == [100, 100]
    assert fn.from_json(fn.to_json(source)) == source


def test_drawn_images_are_a_function_of_the_key(tmp_path):
    source = data.CatImages(train=8, test=3)
    first, again, other = (source.table(tmp_path, key) for key in (KEY, fn.Key(3), fn.Key(4)))
    assert np.array_equal(first.x, again.x)
    assert np.array_equal(first.y, again.y)
    assert len(np.unique(np.concatenate([first.x, other.x]), axis=0)) == 22
    assert first.part.tolist() == [0] * 8 + [2] * 3
    longer = data.CatImages(train=8, test=30).table(tmp_path, KEY)
    assert np.array_equal(longer.x[:8], first.x[:8])  # the training part does not depend on the test part


def test_middle_and_ground_are_alike_in_rings_alone():
    for i in range(60):
        for ring in (True, False):
            image = picture(KEY.fold(i), ring).astype(float).mean(axis=2)
            middle, ground = image[29:35, 29:35].mean(), image[np.ix_([0, 1, 62, 63], [0, 1, 62, 63])].mean()
            assert (abs(middle - ground) < 25.0) == ring  # the least contrast is 0.3 of 255, less tints and light


def test_both_classes_have_the_same_mean_image():
    for ring in (True, False):
        mean = np.mean([picture(KEY.fold("ring" if ring else "solid", i), ring) for i in range(600)], axis=0)
        assert np.abs(mean - 127.5).max() < 5.0 * 64.0 / np.sqrt(600)  # no pixel's deviation is above 64


def test_more_images_than_memory_are_refused():
    with pytest.raises(fn.SpecError) as error:
        data.CatImages(train=10**6, test=10**7)
    assert str(error.value) == (
        "CatImages.train: gives 12288000000 numbers; the limit is 268435456\n"
        "CatImages.test: gives 122880000000 numbers; the limit is 268435456"
    )


# ----- read ---------------------------------------------------------------------------------------------

X = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), np.uint8)
Y = np.array([0, 1, 1, 0, 1])
NAMES = np.array([b"non-cat", b"cat"])


def write(folder, part, **changes):
    """One file as it should be, but for some datasets; None leaves one out, a function makes it."""
    (folder / "cats").mkdir(exist_ok=True)
    path = folder / "cats" / f"{part}_catvnoncat.h5"
    members = {f"{part}_set_x": X, f"{part}_set_y": Y, "list_classes": NAMES} | changes
    with h5py.File(path, "w") as file:
        for name, member in members.items():
            if callable(member):
                member(file, name)
            elif member is not None:
                file[name] = member
    return path


def refused(folder, source=SOURCE):
    with pytest.raises(fn.DataError) as error:
        source.table(folder, KEY)
    return str(error.value)


@pytest.mark.parametrize(
    "names",
    [NAMES, np.array(["non-cat", "cat"], h5py.string_dtype()), np.array([b"non-cat", b"cat"], object)],
    ids=["fixed", "text", "bytes"],
)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_the_two_files_are_read(tmp_path, names, packed):
    how = {"chunks": True, "compression": "gzip"} if packed else {}
    write(tmp_path, "train", train_set_x=lambda f, n: f.create_dataset(n, data=X, **how), list_classes=names)
    write(tmp_path, "test", test_set_x=X[:2], test_set_y=Y[:2].astype(np.uint8))
    table = SOURCE.table(tmp_path, KEY)
    assert table.x.dtype == np.uint8
    assert np.array_equal(table.x, np.concatenate([X, X[:2]]))
    assert table.y.dtype == np.int64
    assert table.y.tolist() == [0, 1, 1, 0, 1, 0, 1]
    assert table.part.dtype == np.int8
    assert table.part.tolist() == [0, 0, 0, 0, 0, 2, 2]
    assert table.classes == ("non-cat", "cat")
    assert SOURCE.in_shape(tmp_path) == (64, 64, 3)


def test_names_of_classes_are_utf_8(tmp_path):
    for part in ("train", "test"):
        write(tmp_path, part, list_classes=np.array(["rien", "pâté"], h5py.string_dtype()))
    assert SOURCE.table(tmp_path, KEY).classes == ("rien", "pâté")


def test_black_images_pack_well_and_are_no_lie(tmp_path):
    black = np.zeros((50, 64, 64, 3), np.uint8)
    pack = {"chunks": black.shape, "compression": "gzip", "compression_opts": 9}
    for part in ("train", "test"):
        made = lambda f, n: f.create_dataset(n, data=black, **pack)  # noqa: E731
        write(tmp_path, part, **{f"{part}_set_x": made, f"{part}_set_y": np.zeros(50, int)})
    assert not SOURCE.table(tmp_path, KEY).x.any()


def test_without_h5py_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(fn.ExtraRequired) as error:
        SOURCE.table(tmp_path, KEY)
    assert str(error.value) == (
        "reading train_catvnoncat.h5 needs h5py, which is not installed; "
        'install it with: python -m pip install "funcnet[hdf5]"'
    )
    assert data.CatImages(train=1, test=1).table(tmp_path, KEY).x.shape == (2, 64, 64, 3)  # drawing needs none


def test_the_files_are_the_parts_of_an_experiment(tmp_path):
    write(tmp_path, "train")
    write(tmp_path, "test", test_set_x=X[:2], test_set_y=Y[:2])
    prepared = prepare(data.CatImages(folder="cats", flatten=True, divide=255.0), KEY, tmp_path, np.float64)
    assert prepared.validation is None
    assert np.array_equal(prepared.train.x, X.reshape(5, -1) / 255.0)
    assert prepared.train.y.tolist() == Y.tolist()
    assert np.array_equal(prepared.test.x, X[:2].reshape(2, -1) / 255.0)
    assert prepared.test.y.tolist() == Y[:2].tolist()
    assert prepared.preprocess["classes"] == ["non-cat", "cat"]


def test_a_split_takes_its_validation_part_from_the_training_file(tmp_path):
    write(tmp_path, "train")
    write(tmp_path, "test", test_set_x=X[:2], test_set_y=Y[:2])
    prepared = prepare(data.CatImages(folder="cats", split=data.Split(validation=0.2)), KEY, tmp_path)
    assert [len(part.y) for part in (prepared.train, prepared.validation, prepared.test)] == [4, 1, 2]
    assert prepared.parts.test.tolist() == [5, 6]


def test_a_folder_outside_the_specs_own_is_refused(tmp_path):
    (tmp_path / "inner").mkdir()
    expected = (
        f"../cats/train_catvnoncat.h5: lies outside the spec's folder {tmp_path / 'inner'}; copy it there, "
        "or allow it if you trust the spec: --allow-outside, in Python allow_outside=True"
    )
    assert refused(tmp_path / "inner", data.CatImages(folder="../cats")) == expected


# ----- files that are not what they should be -----------------------------------------------------------


def test_missing_files(tmp_path):
    assert refused(tmp_path) == f"{tmp_path / 'cats' / 'train_catvnoncat.h5'}: there is no such file"
    write(tmp_path, "train")
    assert refused(tmp_path) == f"{tmp_path / 'cats' / 'test_catvnoncat.h5'}: there is no such file"


def test_a_folder_in_the_place_of_a_file(tmp_path):
    path = tmp_path / "cats" / "train_catvnoncat.h5"
    path.mkdir(parents=True)
    assert refused(tmp_path) == f"{path}: cannot be read: Is a directory"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b"a,b\n1,2\n", "is not an HDF5 file"),
        (b"PK\x03\x04" + bytes(100), "is not an HDF5 file"),
        (b"\x89HDF\r\n\x1a", "is not an HDF5 file"),
    ],
    ids=["empty", "text", "zip", "half-signature"],
)
def test_other_kinds_of_files(tmp_path, content, expected):
    path = write(tmp_path, "train")
    path.write_bytes(content)
    assert refused(tmp_path) == f"{path}: {expected}"


@pytest.mark.parametrize("left", [0.99, 0.5, 0.01])
def test_truncated_files(tmp_path, left):
    path = write(tmp_path, "train")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(left * len(whole))])
    with pytest.raises(OSError) as reason:
        h5py.File(path)
    assert refused(tmp_path) == f"{path}: is not a whole HDF5 file ({reason.value}); copy it again"


def test_damage_within_a_file_is_one_data_error(tmp_path):
    path = write(
        tmp_path, "train", train_set_x=lambda f, n: f.create_dataset(n, data=X, compression="gzip", fletcher32=True)
    )
    write(tmp_path, "test")
    whole = path.read_bytes()
    messages = []
    for at in range(0, len(whole), 1009):
        path.write_bytes(whole[:at] + bytes(b ^ 255 for b in whole[at : at + 40]) + whole[at + 40 :])
        try:
            SOURCE.table(tmp_path, KEY)
        except fn.DataError as error:
            messages.append(str(error))
    assert len(messages) > 20  # the rest lies where nothing is
    assert all(message.startswith(f"{path}: ") and "\n" not in message for message in messages)


def values_elsewhere(file, name):
    file.create_dataset(name, X.shape, np.uint8, external=[("elsewhere.raw", 0, X.nbytes)])


def values_virtual(file, name):
    layout = h5py.VirtualLayout(X.shape, np.uint8)
    layout[:] = h5py.VirtualSource("elsewhere.h5", "x", X.shape)
    file.create_virtual_dataset(name, layout)


def linked(file, name):
    file[name] = h5py.ExternalLink("/etc/elsewhere.h5", "x")


def linked_twice(file, name):
    file["inner"] = h5py.ExternalLink("elsewhere.h5", "x")
    file[name] = h5py.SoftLink("/inner")


def lists(file, name):
    file.create_dataset(name, (1,), h5py.vlen_dtype(np.int64))[0] = [99, 97, 116]


def never_filled(file, name):
    file.create_dataset(name, (10**9, 64, 64, 3), np.uint8, chunks=(1, 64, 64, 3), compression="gzip")


def hardly_filled(file, name):
    file.create_dataset(name, (50, 64, 64, 3), np.uint8, chunks=(1, 64, 64, 3))[3] = 1


def never_written(file, name):
    file.create_dataset(name, X.shape, np.uint8)


WRONG = {
    "no images": (
        {"train_set_x": None},
        "has no dataset 'train_set_x', did you mean 'train_set_y'?; it has list_classes, train_set_y",
    ),
    "another spelling": (
        {"train_set_y": None, "train_set_Y": Y},
        "has no dataset 'train_set_y', did you mean 'train_set_Y'?; it has list_classes, train_set_Y, train_set_x",
    ),
    "nothing near": (
        {"train_set_x": None, "train_set_y": None, "list_classes": None, "z": Y},
        "has no dataset 'list_classes'; it has z",
    ),
    "nothing at all": (
        {"train_set_x": None, "train_set_y": None, "list_classes": None},
        "has no dataset 'list_classes'; it has none",
    ),
    "a group": (
        {"train_set_x": lambda f, n: f.create_group(n)},
        "'train_set_x' is not a dataset; it has list_classes, train_set_y",
    ),
    "external link": (
        {"train_set_x": linked},
        "'train_set_x' is a link to another file, '/etc/elsewhere.h5'; give that file instead",
    ),
    "link to an external link": (
        {"train_set_y": linked_twice},
        "'train_set_y' is a link to another file, 'elsewhere.h5'; give that file instead",
    ),
    "external values": (
        {"train_set_x": values_elsewhere},
        "'train_set_x' keeps its values in other files; copy them into this one",
    ),
    "virtual values": (
        {"train_set_x": values_virtual},
        "'train_set_x' keeps its values in other files; copy them into this one",
    ),
    "never filled": (
        {"train_set_x": never_filled},
        "'train_set_x' declares 12288000000000 bytes, but the file holds 0; it was not written completely",
    ),
    "hardly filled": (
        {"train_set_x": hardly_filled},
        "'train_set_x' declares 614400 bytes, but the file holds 12288; it was not written completely",
    ),
    "never written": (
        {"train_set_x": never_written},
        "'train_set_x' declares 61440 bytes, but the file holds 0; it was not written completely",
    ),
    "floats": (
        {"train_set_x": X / 255.0},
        "train_set_x: expected uint8 images of shape (m, 64, 64, 3), got float64 of (5, 64, 64, 3)",
    ),
    "flat images": (
        {"train_set_x": X.reshape(5, -1)},
        "train_set_x: expected uint8 images of shape (m, 64, 64, 3), got uint8 of (5, 12288)",
    ),
    "small images": (
        {"train_set_x": X[:, :32]},
        "train_set_x: expected uint8 images of shape (m, 64, 64, 3), got uint8 of (5, 32, 64, 3)",
    ),
    "no rows": (
        {"train_set_x": X[:0], "train_set_y": Y[:0]},
        "train_set_x: expected uint8 images of shape (m, 64, 64, 3), got uint8 of (0, 64, 64, 3)",
    ),
    "one number": (
        {"train_set_x": np.uint8(3)},
        "'train_set_x' holds a single value, expected rows",
    ),
    "fewer labels": (
        {"train_set_y": Y[:4]},
        "train_set_y: expected integer labels of shape (5,), one for each image, got int64 of (4,)",
    ),
    "labels in a row": (
        {"train_set_y": Y[None]},
        "train_set_y: expected integer labels of shape (5,), one for each image, got int64 of (1, 5)",
    ),
    "labels as floats": (
        {"train_set_y": Y / 1.0},
        "train_set_y: expected integer labels of shape (5,), one for each image, got float64 of (5,)",
    ),
    "label too large": (
        {"train_set_y": np.array([0, 1, 1, 2, 5])},
        "train_set_y: expected labels from 0 to 1, got 2 at row 3",
    ),
    "label below 0": (
        {"train_set_y": np.array([0, -1, 1, 0, 1])},
        "train_set_y: expected labels from 0 to 1, got -1 at row 1",
    ),
    "names as numbers": (
        {"list_classes": np.arange(2)},
        "list_classes: expected names as bytes of shape (classes,), got int64 of (2,)",
    ),
    "one name": (
        {"list_classes": np.bytes_(b"cat")},
        "'list_classes' holds a single value, expected rows",
    ),
    "no names": (
        {"list_classes": NAMES[:0]},
        "list_classes: expected names as bytes of shape (classes,), got |S7 of (0,)",
    ),
    "names in Latin-1": (
        {"list_classes": np.array([b"rien", b"p\xe2t\xe9"])},
        "list_classes: expected names in UTF-8, got b'p\\xe2t\\xe9'",
    ),
    "names as lists": (
        {"list_classes": lists},
        "'list_classes' holds object, expected numbers or texts",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_in_a_file(tmp_path, case):
    changes, expected = WRONG[case]
    path = write(tmp_path, "train", **changes)
    write(tmp_path, "test")
    assert refused(tmp_path) == f"{path}: {expected}"


def test_the_test_file_is_checked_too(tmp_path):
    write(tmp_path, "train")
    path = write(tmp_path, "test", test_set_x=None, train_set_x=X)
    assert refused(tmp_path) == (
        f"{path}: has no dataset 'test_set_x', did you mean 'test_set_y'?; it has list_classes, test_set_y, train_set_x"
    )


def test_both_files_name_the_same_classes(tmp_path):
    write(tmp_path, "train")
    write(tmp_path, "test", list_classes=NAMES[::-1])
    assert refused(tmp_path) == (
        f"{tmp_path / 'cats'}: expected the same list_classes in both files, "
        "got non-cat, cat for training and cat, non-cat for testing"
    )


def test_predict_answers_a_file_with_the_names_of_the_classes(tmp_path, capsys):
    write(tmp_path, "train")
    write(tmp_path, "test", test_set_x=X[:2], test_set_y=Y[:2])
    experiment = fn.Experiment(
        data=data.CatImages(folder="cats", flatten=True, divide=255.0),
        model=fn.serial(fn.Dense(1), fn.Sigmoid()),
        loss=fn.losses.BinaryCrossEntropy(),
        optimizer=fn.optim.SGD(0.0),
        training=fn.Training(steps=1),
    )
    run = fn.run(experiment, tmp_path / "run", base=tmp_path)
    assert main(["predict", str(tmp_path / "run"), str(tmp_path / "cats" / "test_catvnoncat.h5")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "label,non-cat,cat"
    assert [line.split(",")[0] for line in lines[1:]] == run.predict_label(X[:2]).tolist()
    assert set(run.predict_label(X).tolist()) <= {"non-cat", "cat"}
