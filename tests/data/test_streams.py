"""Rows that stay in files: the same batches, statistics and weights, bit for bit, as from memory."""

import itertools

import h5py
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import funcnet as fn
from funcnet import data, losses, optim, tree
from funcnet.data import Stream, prepare
from funcnet.data.lazy_array import Piece, order_of, pieces_of
from funcnet.data.sources import arrays
from funcnet.data.sources.arrays import npy_piece
from funcnet.training.batches import batches

KEY = fn.Key(4)
ROWS = 103
X = (fn.Key(1).normal((ROWS, 3, 2)) * [[1.0, 9.0]] + 5.0).astype(np.float32)
Y = (X[:, 0, 0] > 5.0).astype(np.int64)
W = fn.Key(2).uniform((ROWS,)) + 0.5


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("streams")
    for name, x in (("c", X), ("f", np.asfortranarray(X)), ("big", X.astype(">f4")), ("bytes", (X * 5).astype("u1"))):
        np.save(folder / f"{name}.npy", x)
    np.save(folder / "y.npy", Y)
    np.save(folder / "w.npy", W)
    with h5py.File(folder / "a.h5", "w") as file:
        file["c"], file["y"], file["w"] = X, Y, W
        file.create_dataset("chunked", data=X, chunks=(10, 2, 2), compression="gzip")
        file["bytes"] = (X * 5).astype("u1")
    return folder


def all_sources(**fields):
    """The same data from memory, from npy files and from HDF5 files; the first is the one to compare with."""
    yield data.Npy(x="c.npy", y="y.npy", weight="w.npy", stream=False, **fields)
    for name in ("c", "f", "big"):
        yield data.Npy(x=f"{name}.npy", y="y.npy", weight="w.npy", stream=True, **fields)
    yield data.Npy(x="f.npy", y="y.npy", weight="w.npy", stream=False, **fields)
    yield data.Hdf5(path="a.h5", x="c", weight="w", stream=False, **fields)
    for name in ("c", "chunked"):
        yield data.Hdf5(path="a.h5", x=name, weight="w", stream=True, **fields)


def same(one, other):
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


# ----- reading ------------------------------------------------------------------------------------------------------

KEYS = [
    slice(None),
    slice(10, 20),
    slice(-5, None),
    slice(90, 300),
    slice(50, 10, -7),
    slice(5, 5),
    3,
    -1,
    [7, 7, 0, 102, 7],
    [],
    np.arange(ROWS)[::-1],
]


@pytest.mark.parametrize("name", ["c", "f", "big"])
@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_rows_are_those_of_the_array(folder, name, key):
    stream = Stream([npy_piece(folder / f"{name}.npy")])
    key = np.array(key, int) if isinstance(key, list) else key
    assert (len(stream), stream.shape, stream.ndim) == (ROWS, X.shape, 3)
    assert np.array_equal(stream[key], X[np.atleast_1d(key)] if isinstance(key, int) else X[key])
    chosen = np.array([5, 90, 4, 5, 77])
    if not isinstance(key, np.ndarray) and key != -1:
        some = stream.select(chosen)
        assert np.array_equal(some[key], X[chosen][np.atleast_1d(key)] if isinstance(key, int) else X[chosen][key])


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    st.lists(st.integers(0, 7), min_size=1, max_size=5),
    st.lists(st.integers(0, 10**6), max_size=20),
    st.integers(1, 2**17),
)
def test_rows_of_several_files_in_any_order(lengths, rows, width):
    """Wide rows are skipped where they lie between others, narrow ones read along; nothing else is read twice."""
    total = sum(lengths)
    rows = np.array([row % total for row in rows] if total else [], int)
    reads = []

    def piece(begin, count):
        values = np.arange(begin, begin + count, dtype=np.float64)

        def read(low, high):
            assert 0 <= low < high <= count
            reads.append((begin + low, begin + high))
            return np.broadcast_to(values[low:high, None], (high - low, width))

        return Piece(count, (width,), np.dtype(np.float64), read)

    starts = np.cumsum([0, *lengths[:-1]])
    found = Stream([piece(int(begin), count) for begin, count in zip(starts, lengths, strict=True)])[rows]
    assert np.array_equal(found[:, 0], rows)
    for low, high in reads:
        inner = np.unique(rows[(rows >= low) & (rows < high)])
        assert low in inner
        assert high - 1 in inner
        assert np.diff(inner).max(initial=0) * width * 8 <= 2**18 or len(inner) == 1
    assert sorted(reads) == reads
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(reads))


def test_files_of_other_numbers_are_read_in_a_type_that_holds_both(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[1], [2]], np.uint8))
    np.save(tmp_path / "b.npy", np.array([[0.5], [300.0]]))
    np.save(tmp_path / "y.npy", [0, 1])
    split = data.Split(given={"test": {"x": "b.npy"}})
    for stream in (False, True):
        found = prepare(data.Npy(x="a.npy", y="y.npy", stream=stream, split=split), KEY, tmp_path)
        assert found.train.x[:].ravel().tolist() in ([1.0, 2.0], [2.0, 1.0])
        assert found.test.x[:].tolist() == [[0.5], [300.0]]


def test_a_function_of_the_rows_is_applied_when_they_are_read(folder, monkeypatch):
    monkeypatch.setattr("funcnet.data.lazy_array.NUMBERS", 12)  # two rows at a time
    calls = []

    def change(x):
        calls.append(len(x))
        return x.reshape(len(x), -1).astype(np.float64) * 2

    stream = Stream([npy_piece(folder / "c.npy")]).map(change)
    assert (stream.shape, stream.dtype, calls) == ((ROWS, 6), np.float64, [1])
    assert same(stream[3:8], X[3:8].reshape(5, 6).astype(np.float64) * 2)
    assert calls == [1, 2, 2, 1]
    assert same(stream.map(np.negative).select(np.array([4, 1]))[:], -2 * X[[4, 1]].reshape(2, 6).astype(np.float64))


def test_a_number_that_is_not_finite_is_told_by_its_row_in_the_file(tmp_path):
    x = np.ones((20, 2))
    x[13, 1] = np.nan
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", np.arange(20) % 2)
    stream = Stream([npy_piece(tmp_path / "x.npy")])
    assert np.array_equal(stream[:13], x[:13])
    for read in (lambda: stream[5:], lambda: stream.select(np.array([2, 13]))[1:]):
        with pytest.raises(fn.DataError) as error:
            read()
        assert str(error.value) == "expected finite inputs, got nan in row 13, column 1; remove or fill it"
    for split in (None, data.Split(time=True, test=0.5)):  # in the training part, and in one that is held out
        with pytest.raises(fn.DataError) as error:
            prepare(data.Npy(x="x.npy", y="y.npy", stream=True, split=split), KEY, tmp_path)
        assert str(error.value) == "expected finite inputs, got nan in row 13, column 1; remove or fill it"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"impute": "mean"}, "Npy: impute"),
        ({"scale": "robust"}, "Npy: scale 'robust'"),
    ],
)
def test_what_a_stream_cannot_give(folder, fields, expected):
    with pytest.raises(fn.DataError) as error:
        prepare(data.Npy(x="c.npy", y="y.npy", stream=True, **fields), KEY, folder)
    assert str(error.value) == (
        f"{expected}: needs all rows at once, and these are read in blocks; use scale 'standard'"
    )


# ----- order --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [None, 1, 7, 16, 103, 1000])
@pytest.mark.parametrize("rows", [1, 2, 16, 103])
def test_an_order_visits_every_row_once(rows, block):
    order = order_of(rows, KEY, block)
    assert sorted(order.tolist()) == list(range(rows))
    assert np.array_equal(order, order_of(rows, KEY, block))


def test_an_order_reads_eight_blocks_at_a_time_and_mixes_them():
    rows, block = 4096, 16
    order = order_of(rows, KEY, block)
    window = 8 * block
    seen = []
    for begin in range(0, rows, window):
        held = order[begin : begin + window]
        blocks = sorted(set((held // block).tolist()))
        assert len(blocks) == 8  # whole blocks, all that is read for these rows
        assert sorted(held.tolist()) == [row for b in blocks for row in range(b * block, b * block + block)]
        assert abs(np.corrcoef(held, np.arange(window))[0, 1]) < 0.35
        seen += blocks
    assert sorted(seen) == list(range(rows // block))
    assert abs(np.corrcoef(seen, np.arange(len(seen)))[0, 1]) < 0.3  # the blocks change places
    assert abs(np.corrcoef(order, np.arange(rows))[0, 1]) < 0.2
    assert not np.array_equal(order, order_of(rows, KEY.fold(1), block))


# ----- the same as from memory ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [None, "standard", "minmax"])
@pytest.mark.parametrize("split", [None, data.Split(validation=0.2, test=0.1), data.Split(time=True, test=0.5)])
def test_statistics_and_rows_are_the_same_bits(folder, scale, split, monkeypatch):
    monkeypatch.setattr("funcnet.data.lazy_array.NUMBERS", 60)  # several pieces
    first = None
    for source in all_sources(scale=scale, split=split, block=8, flatten=True):
        found = prepare(source, KEY, folder)
        first = first or found
        assert found.preprocess == first.preprocess
        assert found.found == first.found
        for part, expected in zip(found[:3], first[:3], strict=True):
            if expected is None:
                assert part is None
                continue
            assert isinstance(part.x, Stream) == source.stream
            assert part.x.shape == expected.x.shape
            assert same(part.x[:], expected.x[:])
            assert same(part.y, expected.y)
            assert same(part.weight, expected.weight)
    assert any(isinstance(prepare(source, KEY, folder).train.x, Stream) for source in all_sources(block=8))


@pytest.mark.parametrize("size", [1, 7, 16, 50, 103, 200])
@pytest.mark.parametrize("block", [None, 1, 5, 16, 200])
@pytest.mark.parametrize("drop", [False, True])
def test_batches_are_the_same_bits(folder, size, block, drop):
    stream = Stream([npy_piece(folder / "c.npy")])
    for skip in (0, 2):
        pairs = zip(
            batches(stream, Y, W, size, KEY, skip, drop, block),
            batches(X, Y, W, size, KEY, skip, drop, block),
            strict=True,
        )
        for found, expected in pairs:
            assert all(same(one, other) for one, other in zip(found, expected, strict=True))


def experiment(source, **training):
    return fn.Experiment(
        data=source,
        model=fn.serial(fn.Flatten(), fn.Dense(4), fn.Tanh(), fn.Dropout(0.1), fn.Dense(2)),
        loss=losses.SoftmaxCrossEntropy(),
        metrics=(fn.metrics.Accuracy(),),
        optimizer=optim.Adam(0.01),
        training=fn.Training(**training),
    )


@pytest.mark.parametrize(
    ("block", "training"),
    [
        (8, {"epochs": 3, "batch_size": 16}),
        (8, {"epochs": 2, "batch_size": 7, "remainder": "drop"}),
        (3, {"epochs": 2, "batch_size": 50}),
        (1000, {"epochs": 2, "batch_size": 16}),
        (8, {"epochs": 2, "batch_size": "full"}),
        (8, {"steps": 7, "batch_size": 16, "class_weight": "balanced"}),
    ],
    ids=["epochs", "drop", "batch-above-window", "block-above-data", "full", "steps"],
)
def test_training_gives_the_same_bits(folder, block, training):
    fields = {"scale": "standard", "split": data.Split(validation=0.2, test=0.1)}
    runs = [fn.run(experiment(source, **training), base=folder) for source in all_sources(block=block, **fields)]
    first = tree.flatten(runs[0].params)
    for run in runs[1:]:
        assert run.metrics == runs[0].metrics
        assert [row["loss"] for row in run.history] == [row["loss"] for row in runs[0].history]
        assert all(same(leaf, first[path]) for path, leaf in tree.flatten(run.params).items())
    plain = data.Npy(x="c.npy", y="y.npy", weight="w.npy", **fields)  # without blocks: other batches
    assert not same(
        tree.flatten(fn.run(experiment(plain, **training), base=folder).params)["dense_0/weight"],
        first["dense_0/weight"],
    )


def test_bytes_divided_and_the_run_folder_alike(folder, tmp_path):
    runs = []
    for i, source in enumerate(
        (
            data.Npy(x="bytes.npy", y="y.npy", stream=False, divide=255, flatten=True, block=16),
            data.Npy(x="bytes.npy", y="y.npy", stream=True, divide=255, flatten=True, block=16),
            data.Hdf5(path="a.h5", x="bytes", stream=True, divide=255, flatten=True, block=16),
        )
    ):
        spec = experiment(source, epochs=2, batch_size=20)
        fn.run(spec, tmp_path / str(i), base=folder)
        runs.append(tmp_path / str(i))
    assert len({(run / "preprocess.json").read_bytes() for run in runs}) == 1
    assert len({(run / "metrics.json").read_bytes() for run in runs}) == 1
    loaded = [fn.load_run(run) for run in runs]
    raw = (X * 5).astype("u1")
    answers = [run.predict(raw) for run in loaded]
    assert all(same(answer, answers[0]) for answer in answers)
    stream = Stream([npy_piece(folder / "bytes.npy")])
    assert same(loaded[0].predict(stream), answers[0])


def test_fit_takes_a_stream_of_the_users_own(folder):
    net = fn.serial(fn.Flatten(), fn.Dense(2))
    stream = Stream([npy_piece(folder / "c.npy")])
    parts = {"loss": losses.SoftmaxCrossEntropy(), "optimizer": optim.SGD(0.1), "key": KEY}
    found = [
        fn.fit(net, (x, Y), epochs=2, batch_size=10, block=block, **parts)
        for x, block in ((X, None), (stream, None), (X, 5), (stream, 5))
    ]
    weights = [tree.flatten(result.train_state.params)["dense_0/weight"] for result in found]
    assert same(weights[0], weights[1])
    assert same(weights[2], weights[3])
    assert not same(weights[0], weights[2])


def test_large_arrays_are_streamed_by_themselves(folder, monkeypatch):
    monkeypatch.setattr("funcnet.data.sources.arrays.LARGE", 100)
    monkeypatch.setattr("funcnet.data.preparation.LARGE", 100)
    found = prepare(data.Npy(x="c.npy", y="y.npy"), KEY, folder)
    assert isinstance(found.train.x, Stream)
    assert found.block == 1024
    assert prepare(data.Npy(x="c.npy", y="y.npy", stream=False), KEY, folder).block == 1024  # and so the same batches
    assert prepare(data.Npy(x="c.npy", y="y.npy", block=10), KEY, folder).block == 10


def test_pieces_do_not_depend_on_where_rows_are(folder, monkeypatch):
    monkeypatch.setattr("funcnet.data.lazy_array.NUMBERS", 60)
    rows = np.array([1, 5, 90] * 9)
    for x in (X, np.asfortranarray(X), Stream([npy_piece(folder / "f.npy")])):
        for chosen in (None, rows):
            found = list(pieces_of(x, chosen))
            assert {len(piece) for piece in found[:-1]} == {10}
            assert all(piece.flags.c_contiguous for piece in found)
            assert np.array_equal(np.concatenate(found), X if chosen is None else X[rows])


def test_a_number_that_is_too_large_is_told_by_its_row_in_the_file(folder, tmp_path, monkeypatch):
    source = data.Hdf5("a.h5", x="c", y="y", scale="standard", stream=True)
    training = fn.Training(epochs=1, batch_size=32)
    loss, optimizer = losses.SoftmaxCrossEntropy(), optim.Adam(0.01)
    net = fn.serial(fn.Flatten(), fn.Dense(2))
    run = fn.run(fn.Experiment(model=net, loss=loss, optimizer=optimizer, data=source, training=training), base=folder)
    large = np.ones((2_600, 3, 2))
    large[2_345, 1, 0] = 1e300
    with h5py.File(tmp_path / "new.h5", "w") as file:
        file["c"] = large
    monkeypatch.setattr(arrays, "LARGE", 0)  # so that the rows stay in the file
    message = r"expected inputs that float32 can hold, got .* in row 2345, column 1, column 0; scale them"
    with pytest.raises(fn.DataError, match=message):
        run.predict(tmp_path / "new.h5")
    stream = prepare(source, KEY, folder).train.x
    assert isinstance(stream, Stream)
    rows = stream.map_numbered(lambda x, numbers: np.stack([numbers, numbers], axis=1)).select(np.array([7, 3]))
    assert rows[:].tolist() == [[7, 7], [3, 3]]
