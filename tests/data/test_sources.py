"""Sources: the shipped sets against their published figures, files and arrays, and what is drawn or counted out."""

import contextlib
import gc
import math
import zipfile

import numpy as np
import pytest

import funcnet as fn
from funcnet import data
from funcnet.data.sources.generators import mean_sine, sum_of_squares

KEY = fn.Key(11)
SIGMAS = 5.0  # statistical tolerances in standard errors; the keys are fixed, so nothing here is random


# ----- shipped ------------------------------------------------------------------------------------------


def test_digits_are_the_published_ones(tmp_path):
    x, y, classes = data.Digits().table(tmp_path, KEY)[:3]
    assert (x.shape, y.shape) == ((1797, 64), (1797,))
    assert data.Digits().in_shape(tmp_path) == (64,)
    assert (x.min(), x.max()) == (0, 16)
    assert np.array_equal(x, np.round(x))
    assert np.bincount(y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert classes == tuple("0123456789")
    # the first image, a nought, as the repository's file optdigits.tes begins
    assert x[0].reshape(8, 8).tolist() == [
        [0, 0, 5, 13, 9, 1, 0, 0],
        [0, 0, 13, 15, 10, 15, 5, 0],
        [0, 3, 15, 2, 0, 11, 8, 0],
        [0, 4, 12, 0, 0, 8, 8, 0],
        [0, 5, 8, 0, 0, 9, 8, 0],
        [0, 4, 11, 0, 1, 12, 7, 0],
        [0, 2, 14, 5, 10, 12, 0, 0],
        [0, 0, 6, 13, 10, 0, 0, 0],
    ]
    assert y[:10].tolist() == list(range(10))


def test_noisy_digits_are_the_digits_and_normal_noise(tmp_path):
    x, y = data.NoisyDigits(deviation=0.3).table(tmp_path, KEY)[:2]
    assert x.shape == y.shape == (1797, *data.NoisyDigits().in_shape(tmp_path)) == (1797, 8, 8, 1)
    assert np.array_equal(y.reshape(1797, 64) * 16.0, data.Digits().table(tmp_path, KEY).x)
    noise = (x - y) / 0.3
    assert abs(noise.mean()) < SIGMAS / noise.size**0.5
    assert abs(noise.var() - 1.0) < SIGMAS * (2.0 / noise.size) ** 0.5
    assert np.array_equal(data.NoisyDigits(0.0).table(tmp_path, KEY).x, y)
    assert np.array_equal(data.NoisyDigits(0.3).table(tmp_path, KEY).x, x)
    assert not np.array_equal(data.NoisyDigits(0.3).table(tmp_path, KEY.fold(1)).x, x)


def test_iris_is_fishers(tmp_path):
    x, y, classes = data.Iris().table(tmp_path, KEY)[:3]
    assert (x.shape, y.shape) == ((150, 4), (150,))
    assert data.Iris().in_shape(tmp_path) == (4,)
    assert np.bincount(y).tolist() == [50, 50, 50]
    assert classes == ("setosa", "versicolor", "virginica")
    assert x.mean(axis=0) == pytest.approx([5.843333, 3.057333, 3.758, 1.199333], abs=1e-6)
    # the two rows in which the copy of the UCI repository has typing errors, as Fisher printed them
    assert x[34].tolist() == [4.9, 3.1, 1.5, 0.2]
    assert x[37].tolist() == [4.9, 3.6, 1.4, 0.1]


def test_wine_is_the_published_one(tmp_path):
    x, y, classes = data.Wine().table(tmp_path, KEY)[:3]
    assert (x.shape, y.shape) == ((178, 13), (178,))
    assert data.Wine().in_shape(tmp_path) == (13,)
    assert np.bincount(y).tolist() == [59, 71, 48]
    assert classes == ("cultivar_1", "cultivar_2", "cultivar_3")
    # the first and the last row of the file wine.data, and the published table of least, greatest, mean and deviation
    assert x[0].tolist() == [14.23, 1.71, 2.43, 15.6, 127, 2.8, 3.06, 0.28, 2.29, 5.64, 1.04, 3.92, 1065]
    assert x[177].tolist() == [14.13, 4.1, 2.74, 24.5, 96, 2.05, 0.76, 0.56, 1.35, 9.2, 0.61, 1.6, 560]
    low = [11.03, 0.74, 1.36, 10.6, 70, 0.98, 0.34, 0.13, 0.41, 1.28, 0.48, 1.27, 278]
    high = [14.83, 5.8, 3.23, 30, 162, 3.88, 5.08, 0.66, 3.58, 13, 1.71, 4, 1680]
    mean = [13.0, 2.34, 2.37, 19.5, 99.7, 2.30, 2.03, 0.36, 1.59, 5.1, 0.96, 2.61, 746.9]
    deviation = [0.81, 1.12, 0.27, 3.3, 14.3, 0.63, 1.0, 0.12, 0.57, 2.3, 0.23, 0.71, 314.9]
    assert (x.min(axis=0).tolist(), x.max(axis=0).tolist()) == (low, high)
    assert x.mean(axis=0) == pytest.approx(mean, rel=0.01)
    assert x.std(axis=0, ddof=1) == pytest.approx(deviation, rel=0.04)


def test_breast_cancer_is_the_published_one(tmp_path):
    x, y, classes = data.BreastCancer().table(tmp_path, KEY)[:3]
    assert (x.shape, y.shape) == ((569, 30), (569,))
    assert data.BreastCancer().in_shape(tmp_path) == (30,)
    assert np.bincount(y).tolist() == [212, 357]
    assert classes == ("malignant", "benign")
    # the first row of the repository's file wdbc.data, which is malignant, as is the last but one; the last is benign
    assert x[0].tolist() == [
        *(17.99, 10.38, 122.8, 1001, 0.1184, 0.2776, 0.3001, 0.1471, 0.2419, 0.07871),
        *(1.095, 0.9053, 8.589, 153.4, 0.006399, 0.04904, 0.05373, 0.01587, 0.03003, 0.006193),
        *(25.38, 17.33, 184.6, 2019, 0.1622, 0.6656, 0.7119, 0.2654, 0.4601, 0.1189),
    ]
    assert (y[0], y[567], y[568]) == (0, 0, 1)
    # the published least and greatest radius, texture, area of each third
    ends = {"radius": (6.981, 28.11, 0.1115, 2.873, 7.93, 36.04), "texture": (9.71, 39.28, 0.3602, 4.885, 12.02, 49.54)}
    ends["area"] = (143.5, 2501, 6.802, 542.2, 185.2, 4254)
    columns = dict(zip(data.BreastCancer.features, x.T, strict=True))
    for name, published in ends.items():
        found = [columns[f"{of}_{name}"] for of in ("mean", "error", "worst")]
        assert [end for column in found for end in (column.min(), column.max())] == list(published)
    assert x[:, :4].mean(axis=0) == pytest.approx([14.127292, 19.289649, 91.969033, 654.889104], abs=1e-6)


def test_diabetes_is_efrons_in_its_own_units(tmp_path):
    x, y, classes = data.Diabetes().table(tmp_path, KEY)[:3]
    assert (x.shape, y.shape, classes) == ((442, 10), (442,), None)
    assert data.Diabetes().in_shape(tmp_path) == (10,)
    assert y.dtype == np.float64  # a value and not a class
    # the first rows of the authors' file diabetes.tab.txt
    assert x[:2].tolist() == [
        [59, 2, 32.1, 101, 157, 93.2, 38, 4, 4.8598, 87],
        [48, 1, 21.6, 87, 183, 103.2, 70, 3, 3.8918, 69],
    ]
    assert y[:6].tolist() == [151, 75, 141, 206, 135, 97]
    assert x.min(axis=0).tolist() == [19, 1, 18, 62, 97, 41.6, 22, 2, 3.2581, 58]
    assert x.max(axis=0).tolist() == [79, 2, 42.2, 133, 301, 242.4, 99, 9.09, 6.107, 124]
    assert (y.min(), np.median(y), y.max()) == (25, 140.5, 346)
    mean = [48.52, 1.468, 26.38, 94.65, 189.1, 115.44, 49.79, 4.07, 4.641, 91.26]
    assert x.mean(axis=0) == pytest.approx(mean, abs=0.05)
    assert y.mean() == pytest.approx(152.133484, abs=1e-6)


def test_penguins_are_those_of_palmerpenguins():
    """The counts, the means and the gaps that its manual gives."""
    table = data.penguins()
    assert {name: values.count(None) for name, values in table.items() if None in values} == {
        "bill_length": 2, "bill_depth": 2, "flipper_length": 2, "body_mass": 2, "sex": 11,
    }  # fmt: skip
    assert [table["species"].count(name) for name in ("Adelie", "Chinstrap", "Gentoo")] == [152, 68, 124]
    assert [table["island"].count(name) for name in ("Biscoe", "Dream", "Torgersen")] == [168, 124, 52]
    means = {"bill_length": 43.92, "bill_depth": 17.15, "flipper_length": 200.9, "body_mass": 4202, "year": 2008}
    for name, mean in means.items():
        assert np.mean([value for value in table[name] if value is not None]) == pytest.approx(mean, rel=2e-4)


@pytest.mark.parametrize("source", [data.Iris, data.Wine, data.BreastCancer, data.Diabetes])
def test_every_column_has_a_name_of_its_own(source, tmp_path):
    assert len(set(source.features)) == source().table(tmp_path, KEY).x.shape[1]
    assert all(name.isidentifier() for name in source.features)


# ----- given in the spec --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "kind", "shape"),
    [([0, 1, 1], "i", (3,)), ([0.5, 1, 2], "f", (3,)), ([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], "f", (3, 2))],
    ids=["labels", "numbers", "rows"],
)
def test_arrays_hold_what_is_written(tmp_path, y, kind, shape):
    x = [[1, 2], [3, 4], [5.5, 6]]
    source = data.Arrays(x=x, y=y)
    table = source.table(tmp_path, KEY)
    assert source.in_shape(tmp_path) == (2,)
    assert np.array_equal(table.x, x)
    assert np.array_equal(table.y, y)
    assert (table.y.dtype.kind, table.y.shape) == (kind, shape)
    assert fn.from_json(fn.to_json(source)) == source
    assert data.Arrays(x=np.array(x), y=np.array(y)) == source


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ([[1.0, 2.0], [3.0]], [0, 1], "Arrays.x: expected at least one row, and all rows of one length"),
        ([[1.0], [2.0]], [[1.0], [2.0, 3.0]], "Arrays.y: expected at least one row, and all rows of one length"),
        ([[1.0], [2.0]], [0, 1, 1], "Arrays.y: expected as many rows as x has, 2, got 3"),
        ([["a"]], [0], 'Arrays.x[0][0]: expected a number, got "a"'),
        (np.array([[1.0, np.nan]]), [0], "Arrays.x[0][1]: expected a finite number, got nan"),
        (
            [],
            [],
            "Arrays.x: expected at least one row, and all rows of one length\n"
            "Arrays.y: expected at least one row, and all rows of one length",
        ),
    ],
    ids=["ragged-x", "ragged-y", "lengths", "text", "nan", "empty"],
)
def test_arrays_that_are_no_table(x, y, expected):
    with pytest.raises(fn.SpecError) as error:
        data.Arrays(x=x, y=y)
    assert str(error.value) == expected


# ----- npz ----------------------------------------------------------------------------------------------


def archive(folder, **members):
    np.savez(folder / "set.npz", **members)
    return folder / "set.npz"


def test_npz_reads_two_members_relative_to_the_base(tmp_path):
    (tmp_path / "inner").mkdir()
    images, labels = np.arange(24.0).reshape(2, 3, 4), np.array([1, 0])
    archive(tmp_path / "inner", images=images, labels=labels, other=np.zeros(5))
    source = data.Npz(path="inner/set.npz", x="images", y="labels")
    table = source.table(tmp_path, KEY)
    assert source.in_shape(tmp_path) == (3, 4)
    assert np.array_equal(table.x, images)
    assert np.array_equal(table.y, labels)
    assert table.classes is None


def test_the_base_may_be_a_text(tmp_path):
    archive(tmp_path, x=np.arange(8.0).reshape(4, 2), y=np.arange(4.0))
    source = data.Npz(path="set.npz", x="x", y="y")
    texts, paths = (data.prepare(source, KEY, base).train.x for base in (str(tmp_path), tmp_path))
    assert np.array_equal(texts, paths)


def test_npz_shape_comes_from_the_header_alone(tmp_path, monkeypatch):
    archive(tmp_path, x=np.zeros((5, 7)), y=np.zeros(5))
    monkeypatch.setattr(data.Npz, "table", lambda *_: pytest.fail("the data was read"))
    assert data.Npz(path="set.npz").in_shape(tmp_path) == (7,)


def test_npz_missing_member_names_the_nearest(tmp_path):
    path = archive(tmp_path, inputs=np.zeros((2, 3)), labels=np.zeros(2))
    for read in (lambda s: s.table(tmp_path, KEY), lambda s: s.in_shape(tmp_path)):
        with pytest.raises(fn.DataError) as error:
            read(data.Npz(path="set.npz", x="input", y="labels"))
        assert str(error.value) == (f"{path}: has no member 'input', did you mean 'inputs'?; it has inputs, labels")


def test_npz_missing_file(tmp_path):
    for read in (lambda s: s.table(tmp_path, KEY), lambda s: s.in_shape(tmp_path)):
        with pytest.raises(fn.DataError) as error:
            read(data.Npz(path="nowhere.npz"))
        assert str(error.value) == f"{tmp_path / 'nowhere.npz'}: there is no such file"


def test_npz_refuses_object_arrays(tmp_path):
    path = archive(tmp_path, x=np.array([{}, None], dtype=object), y=np.zeros(2))
    with pytest.raises(fn.DataError) as error:
        data.Npz(path="set.npz").table(tmp_path, KEY)
    assert str(error.value) == (
        f"{path}: not a whole .npz archive of numbers ('x.npy' holds pickled objects, which are never loaded)"
    )


def test_npz_flipped_bit_fails_its_checksum(tmp_path):
    x = np.arange(100.0).reshape(20, 5)
    path = archive(tmp_path, x=x, y=np.zeros(20))
    content = path.read_bytes()
    at = content.index(x.tobytes())
    path.write_bytes(content[:at] + b"\x01" + content[at + 1 :])
    with pytest.raises(fn.DataError) as error:
        data.Npz(path="set.npz").table(tmp_path, KEY)
    assert str(error.value) == f"{path}: not a whole .npz archive of numbers (Bad CRC-32 for file 'x.npy')"


def packed(folder, **members):
    """An archive of raw bytes, whatever they are, with checksums that hold."""
    with zipfile.ZipFile(folder / "packed.zip", "w") as file:
        for name, content in members.items():
            file.writestr(name.replace("_npy", ".npy"), content)
    return (folder / "packed.zip").read_bytes()


def damaged(folder):
    """Files that are no whole archive of arrays, each by a name that says why."""
    x, y = np.arange(60.0).reshape(20, 3), np.arange(20)
    whole = archive(folder, x=x, y=y).read_bytes()
    directory = whole.index(b"PK\x01\x02")
    np.savez_compressed(folder / "set.npz", x=np.sin(x), y=y)
    dense = (folder / "set.npz").read_bytes()
    body = dense.index(b"x.npy") + 60
    np.save(folder / "single.npy", x)
    single = (folder / "single.npy").read_bytes()
    locked, method = bytearray(whole), bytearray(whole)
    locked[6] |= 1  # the flag for encryption, at the member and in the directory
    locked[directory + 8] |= 1
    method[8] = method[directory + 10] = 99  # a compression that nobody has
    return {
        "empty": b"",
        "text": b"1,2\n3,4\n",
        "half": whole[: len(whole) // 2],
        "without-directory": whole[:directory],
        "compressed-and-altered": dense[:body] + bytes(b ^ 255 for b in dense[body : body + 40]) + dense[body + 40 :],
        "single-array": single,
        "members-are-text": packed(folder, x="1 2 3", y="1"),
        "header": packed(folder, x_npy=single.replace(b"(20, 3)", b"(20, 3 "), y_npy=single),
        "huge": packed(folder, x_npy=single.replace(b"(20, 3), }        ", b"(20, 30000000000)}"), y_npy=single),
        "encrypted": bytes(locked),
        "unknown-compression": bytes(method),
    }


DAMAGE = (
    "empty",
    "text",
    "half",
    "without-directory",
    "compressed-and-altered",
    "single-array",
    "members-are-text",
    "header",
    "huge",
    "encrypted",
    "unknown-compression",
)


@pytest.mark.parametrize("name", DAMAGE)
def test_npz_damaged_is_one_data_error(tmp_path, name):
    path = tmp_path / "damaged.npz"
    files = damaged(tmp_path)
    assert tuple(files) == DAMAGE
    path.write_bytes(files[name])
    source = data.Npz(path="damaged.npz")
    with contextlib.suppress(fn.DataError):
        source.in_shape(tmp_path)  # which reads less, and may miss the damage
    with pytest.raises(fn.DataError) as error:
        source.table(tmp_path, KEY)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)
    gc.collect()  # an archive left open would be told of here


# ----- counted out or drawn -----------------------------------------------------------------------------


def test_half_plane_grid_is_every_integer_point_once(tmp_path):
    x, y, classes = data.HalfPlaneGrid().table(tmp_path, KEY)[:3]
    assert data.HalfPlaneGrid().in_shape(tmp_path) == (2,)
    assert (x.shape, y.shape) == ((40_000, 2), (40_000,))
    assert {tuple(point) for point in x.astype(int).tolist()} == {
        (a, b) for a in range(-100, 100) for b in range(-100, 100)
    }
    assert np.array_equal(y, (x[:, 1] >= 0.0).astype(int))
    assert np.bincount(y).tolist() == [20_000, 20_000]
    assert (x.dtype.kind, y.dtype.kind) == ("f", "i")
    assert classes == ("below", "above")


def test_half_plane_grid_of_other_limits(tmp_path):
    x, y, _ = data.HalfPlaneGrid(low=-1, high=2).table(tmp_path, KEY)[:3]
    assert x.tolist() == [[a, b] for a in (-1, 0, 1) for b in (-1, 0, 1)]
    assert y.tolist() == [0, 1, 1] * 3
    with pytest.raises(fn.SpecError) as error:
        data.HalfPlaneGrid(low=5, high=5)
    assert str(error.value) == "HalfPlaneGrid.high: must be more than low, 5, got 5"


def test_function_of_named_target(tmp_path):
    source = data.Function(target="mean_sine", inputs=4, rows=2000, low=-2.0, high=3.0)
    x, y, classes = source.table(tmp_path, KEY)[:3]
    assert source.in_shape(tmp_path) == (4,)
    assert (x.shape, y.shape, classes) == ((2000, 4), (2000,), None)
    expected = [sum(math.sin(v) for v in row) / 4 for row in x.tolist()]
    assert y.tolist() == pytest.approx(expected, abs=1e-15)
    assert -2.0 <= x.min() < -1.99
    assert 2.99 < x.max() < 3.0
    error = 5.0 / math.sqrt(12.0 * x.size)
    assert abs(x.mean() - 0.5) < SIGMAS * error


def test_targets_by_hand():
    x = np.array([[1.0, 2.0, 3.0, 2.5], [0.0, 0.0, 0.0, 0.0]])
    assert mean_sine(x) == pytest.approx([0.6225901409, 0.0], abs=1e-10)
    assert sum_of_squares(x).tolist() == [20.25, 0.0]


def test_function_of_unknown_target():
    with pytest.raises(fn.SpecError) as error:
        data.Function(target="mean_sin")
    assert str(error.value) == (
        'Function.target: expected "mean_sine" or "sum_of_squares", got "mean_sin", did you mean \'mean_sine\'?'
    )


def test_normal_noise_has_the_moments_of_independent_normals(tmp_path):
    source = data.NormalNoise(rows=4000, inputs=5, outputs=5)
    x, y, _ = source.table(tmp_path, KEY)[:3]
    assert source.in_shape(tmp_path) == (5,)
    assert (x.shape, y.shape) == ((4000, 5), (4000, 5))
    for part in (x, y):
        n = part.size
        assert abs(part.mean()) < SIGMAS / math.sqrt(n)
        assert abs((part**2).mean() - 1.0) < SIGMAS * math.sqrt(2.0 / n)
        assert abs((part**3).mean()) < SIGMAS * math.sqrt(15.0 / n)
        assert abs((part**4).mean() - 3.0) < SIGMAS * math.sqrt(96.0 / n)
    assert abs((x * y).mean()) < SIGMAS / math.sqrt(x.size)


def test_moons_are_two_half_circles(tmp_path):
    x, y, classes = data.Moons(rows=400, noise=0.0).table(tmp_path, KEY)[:3]
    assert data.Moons().in_shape(tmp_path) == (2,)
    assert (x.shape, classes) == ((400, 2), ("upper", "lower"))
    assert np.bincount(y).tolist() == [200, 200]
    upper, lower = x[y == 0], x[y == 1]
    assert np.hypot(*upper.T) == pytest.approx(1.0, abs=1e-12)
    assert (upper[:, 1] >= 0.0).all()
    assert np.hypot(*(lower - [1.0, 0.5]).T) == pytest.approx(1.0, abs=1e-12)
    assert (lower[:, 1] <= 0.5).all()
    assert (np.ptp(upper[:, 0]), np.ptp(lower[:, 0])) == pytest.approx((2.0, 2.0), abs=0.01)


def noise_of(source, tmp_path, **fields):
    """Inputs, and what the noise adds in deviations: the same key draws the same points without it."""
    name = "deviation" if source is data.Blobs else "noise"
    clean = source(**fields, **{name: 0.0}).table(tmp_path, KEY)
    noisy = source(**fields, **{name: 0.3}).table(tmp_path, KEY)
    inputs = source is not data.Sine
    assert np.array_equal(clean.y, noisy.y) == inputs
    assert np.array_equal(clean.x, noisy.x) != inputs
    noise = (noisy.x - clean.x if inputs else noisy.y - clean.y) / 0.3
    return clean.x, noise.reshape(len(noise), -1)


@pytest.mark.parametrize("source", [data.Moons, data.Circles, data.Spirals, data.Blobs, data.Sine])
def test_noise_is_normal_with_its_deviation_and_independent(tmp_path, source):
    x, noise = noise_of(source, tmp_path, rows=3001)
    n = noise.size
    assert abs(noise.mean()) < SIGMAS / math.sqrt(n)
    assert abs((noise**2).mean() - 1.0) < SIGMAS * math.sqrt(2.0 / n)
    assert abs((noise**4).mean() - 3.0) < SIGMAS * math.sqrt(96.0 / n)
    # noise and inputs have nothing to do with each other; drawn by one key they would have
    k = x.shape[1]
    between = np.corrcoef(np.column_stack([x, noise, noise**2]), rowvar=False)[:k, k:]
    assert np.abs(between).max() < SIGMAS / math.sqrt(len(noise))
    if noise.shape[1] == 2:
        assert abs(np.corrcoef(noise, rowvar=False)[0, 1]) < SIGMAS / math.sqrt(len(noise))


def test_circles_are_two_rings(tmp_path):
    source = data.Circles(rows=4001, noise=0.0, factor=0.3)
    x, y, classes = source.table(tmp_path, KEY)[:3]
    assert source.in_shape(tmp_path) == (2,)
    assert (x.shape, classes) == ((4001, 2), ("outer", "inner"))
    assert np.bincount(y).tolist() == [2001, 2000]
    for label, radius in ((0, 1.0), (1, 0.3)):
        ring = x[y == label]
        assert np.hypot(*ring.T) == pytest.approx(radius, abs=1e-12)
        # uniform angles: the mean of cos, sin, and of their squares over the whole circle
        assert np.abs(ring.mean(axis=0)).max() < SIGMAS * radius * math.sqrt(0.5 / len(ring))
        assert np.abs((ring**2).mean(axis=0) / radius**2 - 0.5).max() < SIGMAS * math.sqrt(0.125 / len(ring))


@pytest.mark.parametrize(("classes", "turns"), [(2, 1.5), (3, 1.0), (5, -0.7)])
def test_spirals_are_arms_that_turn_with_the_radius(tmp_path, classes, turns):
    source = data.Spirals(rows=4000, classes=classes, turns=turns, noise=0.0)
    x, y, names = source.table(tmp_path, KEY)[:3]
    assert source.in_shape(tmp_path) == (2,)
    assert names == ("arm_1", "arm_2", "arm_3", "arm_4", "arm_5")[:classes]
    assert np.bincount(y).tolist() == [len(range(k, 4000, classes)) for k in range(classes)]
    radius = np.hypot(*x.T)
    assert 0.1 <= radius.min() < 0.11
    assert 0.999 < radius.max() < 1.0
    angle = 2.0 * np.pi * (turns * radius + y / classes)
    assert np.arctan2(x[:, 1], x[:, 0]) == pytest.approx(np.arctan2(np.sin(angle), np.cos(angle)), abs=1e-9)
    # equally dense all over the disc: r² is uniform in [0.01, 1)
    spread = 0.99 / math.sqrt(12.0 * len(x))
    assert abs((radius**2).mean() - 0.505) < SIGMAS * spread


def test_blobs_stand_around_centres_of_their_own(tmp_path):
    source = data.Blobs(rows=6001, classes=4, features=3, deviation=0.5)
    x, y, classes = source.table(tmp_path, KEY)[:3]
    assert source.in_shape(tmp_path) == (3,)
    assert (x.shape, classes) == ((6001, 3), ("blob_1", "blob_2", "blob_3", "blob_4"))
    assert np.bincount(y).tolist() == [1501, 1500, 1500, 1500]
    means = np.stack([x[y == k].mean(axis=0) for k in range(4)])
    centres = data.Blobs(rows=4, classes=4, features=3, deviation=0.0).table(tmp_path, KEY).x
    assert np.abs(means - centres).max() < SIGMAS * 0.5 / math.sqrt(1500)
    assert x.std(axis=0) != pytest.approx(0.5, abs=0.5)  # apart, and so not one blob


def test_centres_of_blobs_are_uniform(tmp_path):
    centres = data.Blobs(rows=2000, classes=2000, features=2, deviation=0.0).table(tmp_path, KEY).x
    assert -10.0 <= centres.min() < -9.95
    assert 9.95 < centres.max() < 10.0
    assert abs(centres.mean()) < SIGMAS * 20.0 / math.sqrt(12.0 * centres.size)


def test_sine_is_the_sine_of_its_input(tmp_path):
    source = data.Sine(rows=4000, noise=0.0, low=-1.0, high=5.0)
    x, y, classes = source.table(tmp_path, KEY)[:3]
    assert source.in_shape(tmp_path) == (1,)
    assert (x.shape, y.shape, classes) == ((4000, 1), (4000,), None)
    assert y.tolist() == pytest.approx([math.sin(v) for v in x[:, 0]], abs=1e-15)
    assert -1.0 <= x.min() < -0.99
    assert 4.99 < x.max() < 5.0
    assert abs(x.mean() - 2.0) < SIGMAS * 6.0 / math.sqrt(12.0 * len(x))
    assert (data.Sine().low, data.Sine().high) == (-math.pi, math.pi)


@pytest.mark.parametrize(
    ("source", "fields", "expected"),
    [
        (data.Circles, {"factor": 1.0}, "Circles.factor: must be at least 0 and below 1, got 1.0"),
        (data.Circles, {"rows": 0, "noise": -1.0}, "Circles.rows: must be positive, got 0\n"
         "Circles.noise: must be zero or more, got -1.0"),
        (data.Spirals, {"classes": 1}, "Spirals.classes: must be 2 or more, got 1"),
        (data.Spirals, {"rows": 2}, "Spirals.rows: must be at least the number of classes, 3, got 2"),
        (data.Spirals, {"turns": math.inf}, "Spirals.turns: expected a finite number, got inf"),
        (data.Blobs, {"rows": 4, "classes": 5}, "Blobs.rows: must be at least the number of classes, 5, got 4"),
        (data.Blobs, {"features": 0}, "Blobs.features: must be positive, got 0"),
        (data.Blobs, {"deviation": -0.5}, "Blobs.deviation: must be zero or more, got -0.5"),
        (data.Blobs, {"rows": 2**20, "features": 2**20}, "Blobs.rows: gives 1099511627776 numbers; "
         "the limit is 268435456"),
        (data.Sine, {"low": 1, "high": 1}, "Sine.high: must be more than low, 1.0, got 1.0"),
    ],
)  # fmt: skip
def test_generators_that_cannot_be(source, fields, expected):
    with pytest.raises(fn.SpecError) as error:
        source(**fields)
    assert str(error.value) == expected


DRAWN = {
    "function": data.Function(target="sum_of_squares", inputs=2, rows=20),
    "normal_noise": data.NormalNoise(rows=20, inputs=2, outputs=1),
    "moons": data.Moons(rows=20),
    "circles": data.Circles(rows=20),
    "spirals": data.Spirals(rows=20),
    "blobs": data.Blobs(rows=20),
    "sine": data.Sine(rows=20),
}


@pytest.mark.parametrize("name", DRAWN)
def test_draws_are_a_function_of_the_key(tmp_path, name):
    first, again, other = (DRAWN[name].table(tmp_path, key) for key in (KEY, fn.Key(11), fn.Key(12)))
    assert np.array_equal(first.x, again.x)
    assert np.array_equal(first.y, again.y)
    assert not np.isclose(first.x, other.x).any()


@pytest.mark.parametrize(
    ("source", "fields"),
    [
        (data.NormalNoise, {"rows": 2**40, "inputs": 2**10, "outputs": 1}),
        (data.Function, {"target": "mean_sine", "inputs": 2**10, "rows": 2**40}),
        (data.Moons, {"rows": 2**50}),
        (data.Circles, {"rows": 2**50}),
        (data.Spirals, {"rows": 2**50}),
        (data.Blobs, {"rows": 2**50, "classes": 2**50}),
        (data.Sine, {"rows": 2**50}),
        (data.HalfPlaneGrid, {"low": -(2**40), "high": 2**40}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_sizes_beyond_all_memory_are_an_error_of_ours(tmp_path, source, fields):
    with pytest.raises(fn.FuncnetError):
        source(**fields).table(tmp_path, KEY)
