"""Training on an iterable of batches: the same bits as on arrays, where epochs end, and what is refused."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import funcnet as fn
from funcnet import losses, optim
from funcnet.data import Jitter
from funcnet.training.batches import batches

KEY = fn.Key(4)
N = 23
X = KEY.fold("x").normal((N, 4))
LABELS = KEY.fold("y").integers(3, (N,))
WEIGHT = KEY.fold("w").uniform((N,)).astype(np.float32)
HELD_OUT = KEY.fold("vx").normal((9, 4)), KEY.fold("vy").integers(3, (9,))
NET = fn.serial(fn.Dense(6), fn.BatchNorm(), fn.Tanh(), fn.Dropout(0.2), fn.Dense(3))
SOFTMAX = losses.SoftmaxCrossEntropy()
SCHEDULED = optim.Adam(optim.Cosine(0.05))
Batch = tuple[Any, ...]


def fit(data: Any, net: fn.Layer = NET, **options: Any) -> fn.Fit:
    return fn.fit(net, data, **{"loss": SOFTMAX, "optimizer": SCHEDULED, "key": KEY, **options})


def on_arrays(**options: Any) -> fn.Fit:
    return fit((X, LABELS, WEIGHT), batch_size=5, **options)


def epoch(number: int) -> list[Batch]:
    """The batches of an epoch as ``fit`` draws them from arrays."""
    return list(batches(X, LABELS, WEIGHT, 5, KEY.fold("epoch", number)))


class Loader:
    """Like a loader of another library: it has a length, shuffles on every pass, and its batches are lists."""

    def __init__(self, sized: bool = True, first: int = 0) -> None:
        self.sized, self.passes = sized, first

    def __len__(self) -> int:
        if not self.sized:
            raise TypeError("the length is not known")
        return 5

    def __iter__(self) -> Iterator[Any]:
        self.passes += 1
        return map(list, epoch(max(self.passes - 1, 0)))


def epochs_of(first: int = 0) -> Callable[[], Iterator[Batch]]:
    """A function whose pass number i gives the batches of epoch i; a counting pass before training is number -1."""
    passes = iter(range(first, 99))

    def one() -> Iterator[Batch]:
        yield from epoch(max(next(passes), 0))

    return one


def endless() -> Iterator[Batch]:
    number = 0
    while True:
        yield from epoch(number)
        number += 1


def without_seconds(history: list[Any]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in history]


# ----- the same bits ------------------------------------------------------------------------------------

EPOCHS: dict[str, Callable[[], Any]] = {
    "a loader with a length": Loader,
    "a loader without, counted first": lambda: Loader(sized=False, first=-1),
    "a function, counted first": lambda: epochs_of(-1),
    "a partial function": lambda: functools.partial(list, Loader()),
}


@pytest.mark.parametrize("name", EPOCHS)
def test_epochs_of_batches_are_those_of_arrays_to_the_bit(name: str) -> None:
    options = {"epochs": 3, "validation": HELD_OUT, "augment": [Jitter(0.1)], "log_every": 2}
    expected, found = on_arrays(**options), fit(EPOCHS[name](), **options)
    assert found.train_state == expected.train_state
    assert without_seconds(found.history) == without_seconds(expected.history)
    assert found.stopped is None


@pytest.mark.parametrize("data", [endless, lambda: endless])
def test_a_stream_without_epochs_has_rows_where_they_are_logged(data: Any) -> None:
    options = {"steps": 13, "log_every": 5, "validation": HELD_OUT}
    expected, found = on_arrays(**options), fit(data(), metrics=["accuracy"], **options)
    assert found.train_state == expected.train_state
    rows = [{name: value for name, value in row.items() if "accuracy" not in name} for row in found.history]
    assert without_seconds(rows) == without_seconds(expected.history)
    assert ["validation/accuracy" in row for row in found.history] == [True] * 3
    assert [row["step"] for row in fit(data(), steps=13).history] == [13]


def test_a_list_is_passed_over_in_every_epoch_and_steps_end_anywhere() -> None:
    ts, step = fn.train_state(NET, optim.Adam(), KEY, (4,)), fn.train_step(NET, SOFTMAX, optim.Adam())
    for batch in [*epoch(0), *epoch(0), *epoch(0)][:12]:
        ts, _ = step(ts, batch)
    found = fit(epoch(0), steps=12, optimizer=optim.Adam())
    assert found.train_state == ts
    assert [row["epoch"] for row in found.history] == [1, 2, 2.4]


def test_class_weights_and_weights_of_0_are_those_of_arrays() -> None:
    weight = np.where(np.arange(N) < 5, 0.0, 1.0)
    options = {"class_weight": {0: 0.0, 1: 2.0, 2: 0.5}, "steps": 23, "optimizer": optim.SGD(0.1)}
    net, (x, y) = fn.Dense(3), (X, LABELS)
    order = KEY.fold("epoch", 0).permutation(N)
    one_by_one = [(x[i : i + 1], y[i : i + 1], weight[i : i + 1]) for i in order]
    expected = fit((x, y, weight), net, batch_size=1, **options)
    assert fit(one_by_one, net, **options).train_state == expected.train_state


def test_lists_of_sequences_are_padded_batch_by_batch() -> None:
    net, loss = fn.serial(fn.Embedding(9, 2), fn.LSTM(3, return_sequences=False), fn.Dense(3)), SOFTMAX
    sequences: list[tuple[Any, Any]] = [([[1, 2, 3], [4]], [0, 2]), ([[5, 6], [7, 8, 1, 2], [3]], [1, 1, 0])]
    padded = [
        ((np.array([[1, 2, 3], [4, 0, 0]]), np.arange(3) < np.array([[3], [1]])), np.array([0, 2])),
        (
            (np.array([[5, 6, 0, 0], [7, 8, 1, 2], [3, 0, 0, 0]]), np.arange(4) < np.array([[2], [4], [1]])),
            np.array([1, 1, 0]),
        ),
    ]
    opt = optim.SGD(0.1)
    ts, step = fn.train_state(net, opt, KEY, ((3,), (3,))), fn.train_step(net, loss, opt)
    for batch in [*padded, *padded]:
        ts, _ = step(ts, batch)
    assert fit(sequences, net, epochs=2, optimizer=opt).train_state == ts


# ----- going on -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [1, 5, 7])
@pytest.mark.parametrize("data", [lambda: epoch(0), lambda: lambda: iter(epoch(0)), lambda: endless])
def test_what_can_be_passed_over_again_is_advanced_to_the_step(data: Any, cut: int) -> None:
    opt = optim.Adam(optim.Cosine(0.05, total_steps=15))
    whole = fit(data(), steps=15, optimizer=opt)
    part = fit(data(), steps=cut, optimizer=opt)
    assert fit(data(), steps=15, optimizer=opt, start=part).train_state == whole.train_state


def test_a_generator_goes_on_where_it_is() -> None:
    opt = optim.Adam(optim.Cosine(0.05, total_steps=15))
    whole, stream = fit(endless(), steps=15, optimizer=opt), endless()
    part = fit(stream, steps=7, optimizer=opt)
    assert fit(stream, steps=15, optimizer=opt, start=part).train_state == whole.train_state


class Keep:
    """Keeps the content of a checkpoint at a step."""

    def __init__(self, at: int) -> None:
        self.at, self.kept = at, None

    def init(self) -> None:
        return None

    def update(self, state: None, event: Any) -> tuple[None, bool]:
        self.kept = event.snapshot() if event.step == self.at else self.kept
        return None, False


def test_a_checkpoint_goes_on_to_the_same_end() -> None:
    early, keep = fn.EarlyStopping(patience=2), Keep(8)
    options = {"validation": HELD_OUT, "epochs": 6, "optimizer": optim.Adam(0.3)}
    whole = fit(epoch(0), callbacks=[early, keep], **options)
    rest = fit(epoch(0), callbacks=[early], start=keep.kept, **options)
    assert whole.stopped == rest.stopped == "EarlyStopping"
    assert rest.train_state == whole.train_state
    assert without_seconds(rest.history) == without_seconds(whole.history)


# ----- ends ---------------------------------------------------------------------------------------------


def test_a_generator_that_ends_early_ends_training_and_is_reported(caplog: Any) -> None:
    result = fit(iter(epoch(0)), steps=12, validation=HELD_OUT, log_every=3)
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        "the iterator of batches ended after step 5 of 12, and training with it"
    ]
    assert (result.train_state.step, result.stopped) == (5, "out of data")
    assert [row["step"] for row in result.history] == [3, 5]
    assert "validation/loss" in result.history[-1]


def test_a_generator_gives_no_more_batches_than_steps() -> None:
    stream = iter(epoch(0))
    assert fit(stream, steps=3).stopped is None
    assert len(list(stream)) == 2


class Short(Loader):
    """Its length is wrong."""

    def __init__(self, passes: list[int]) -> None:
        super().__init__()
        self.sizes = iter(passes)

    def __iter__(self) -> Iterator[Any]:
        return iter((epoch(0) * 2)[: next(self.sizes)])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (lambda: Short([5, 4]), "expected 5 batches in every pass over the data, got 4 in pass 2"),
        (lambda: Short([5, 6]), "expected 5 batches in every pass over the data, got more in pass 2"),
        (
            lambda: functools.partial(iter, iter(epoch(0))),
            "expected at least 1 batch in every pass over the data, got 0 in pass 2",
        ),
    ],
)
def test_a_pass_of_another_length_is_refused(data: Any, message: str) -> None:
    with pytest.raises(fn.DataError) as caught:
        fit(data(), steps=14)
    advice = "each pass must give the same batches: a function must return a new iterator every time"
    assert str(caught.value) == f"{message}; {advice}"
    assert caught.value.fit.train_state.step >= 5  # type: ignore[attr-defined]


# ----- refused ------------------------------------------------------------------------------------------

BEFORE = "an iterable of batches does not go with "
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "batch_size": ({"batch_size": 7}, BEFORE + "batch_size=7: each batch is used as it is"),
    "full": ({"batch_size": "full"}, BEFORE + "batch_size='full': each batch is used as it is"),
    "remainder": ({"remainder": "drop"}, BEFORE + "remainder='drop': leave small batches out where batches are made"),
    "block": ({"block": 8}, BEFORE + "block=8: its order is used as it is"),
    "balanced": ({"class_weight": "balanced"}, BEFORE + "class_weight='balanced': give {label: weight}"),
    "share": ({"validation": 0.1}, BEFORE + "validation=0.1: give the data, validation=(x, y)"),
    "metrics": ({"metrics": ["accuracy"]}, BEFORE + "metrics alone: they are of the validation part; give one"),
    "monitor": (
        {"validation": HELD_OUT, "metrics": ["accuracy"], "early_stopping": fn.EarlyStopping("accuracy")},
        "EarlyStopping: there is no 'accuracy' to monitor; there are loss, validation/loss, validation/accuracy",
    ),
    "validation": (
        {"validation": endless()},
        "expected data as a tuple (x, y) or (x, y, weight), got a generator; "
        "only the training data of fn.fit may be an iterable of batches",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_arguments_that_need_arrays_are_refused(name: str) -> None:
    options, message = REFUSED[name]
    with pytest.raises(fn.FuncnetError) as caught:
        fit(epoch(0), epochs=1, **options)
    assert str(caught.value) == message


X32 = X[:4].astype(np.float32)
BAD: dict[str, tuple[Any, str]] = {
    "no batches": (lambda: iter(()), "expected batches (x, y) or (x, y, weight) from the function, got none"),
    "a sample": (
        [(X32, LABELS[:4]), (X32[0], LABELS[0])],
        "expected x, y (and weight) with the same number of rows, at least 1, got [4, 0]; "
        "a single sample needs a batch axis: x[None], np.array([y]) "
        "(in batch 2 of pass 1 over the data)",
    ),
    "one array": (
        (x for x in X32),
        "expected data as a tuple (x, y) or (x, y, weight), got a ndarray; write (x, y), the inputs and the targets "
        "(in batch 1 of pass 1 over the data)",
    ),
    "rows": (
        [(X32, LABELS[:4]), (X32, LABELS[:3])],
        "expected x, y (and weight) with the same number of rows, at least 1, got [4, 3] "
        "(in batch 2 of pass 1 over the data)",
    ),
    "not a number": (
        [(X32, LABELS[:4]), (X32 * [[1], [np.nan], [1], [1]], LABELS[:4])],
        "expected finite inputs, got nan in row 1, column 0; remove or fill it (in batch 2 of pass 1 over the data)",
    ),
    "integer inputs": (
        [(X32, LABELS[:4]), (np.ones((4, 4), int), LABELS[:4])],
        "dense_0 (Dense): expected floating-point input, got int64; give floats, and scale pixels by 1 / 255 "
        "(in batch 2 of pass 1 over the data)",
    ),
    "float labels": (
        [(X32, LABELS[:4]), (X32, np.array([0.0, 1.0, 2.0, 0.0]))],
        "SoftmaxCrossEntropy: expected integer labels, got float32; give whole numbers of an integer type, or for "
        "values use another loss, such as MeanSquaredError (in batch 2 of pass 1 over the data)",
    ),
    "labels": (
        [(X32, LABELS[:4]), (X32, np.array([0, 1, 2, 7]))],
        "SoftmaxCrossEntropy: expected labels from 0 to 2, got 7 at row 3; renumber the labels, or give the last layer "
        "one unit for each class (in batch 2 of pass 1 over the data)",
    ),
    "width": (
        [(X32, LABELS[:4]), (X32[:, :2], LABELS[:4])],
        "expected inputs of shape (4,), which the params were made for, got (2,); give the same features as in "
        "training (in batch 2 of pass 1 over the data)",
    ),
    "negative weights": (
        [(X32, LABELS[:4]), (X32, LABELS[:4], np.array([1.0, -1.0, 1.0, 1.0]))],
        "expected weights of 0 or more, at least one above 0, got a minimum of -1.0 "
        "(in batch 2 of pass 1 over the data)",
    ),
    "arguments": (
        lambda number: epoch(number),
        "expected a function of batches to have no arguments, got some; give lambda: batches(…)",
    ),
    "arrays": (
        lambda: (X32, LABELS[:4]),
        "expected a function that returns an iterable of batches (x, y), got one of a tuple; "
        "yield each batch, or return a list of them",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_batches_are_refused_with_their_place(name: str) -> None:
    data, message = BAD[name]
    with pytest.raises(fn.FuncnetError) as caught:
        fit(data, fn.serial(fn.Dense(3)), steps=3)
    assert str(caught.value) == message


def test_epochs_of_a_generator_are_refused() -> None:
    with pytest.raises(fn.DataError) as caught:
        fit(endless(), epochs=2)
    assert str(caught.value) == (
        "expected steps in place of epochs for a generator, which can be passed over only once; "
        "for epochs give a list of batches, or the function that makes the iterator"
    )


def test_a_generator_takes_no_targets_beside_it() -> None:
    with pytest.raises(fn.DataError) as caught:
        fn.fit(NET, endless(), LABELS, loss=SOFTMAX, optimizer="adam", steps=3, key=KEY)
    assert str(caught.value) == BEFORE + "more arguments than the data: each batch is (x, y) or (x, y, weight)"
    with pytest.raises(fn.DataError, match=r"^x: expected an array, got a generator; give the rows themselves"):
        fit((endless(), LABELS), steps=3)


def test_only_fit_takes_an_iterator() -> None:
    net, loss = fn.Dense(3), SOFTMAX
    params, state = net.init(KEY, (4,))
    how = {"loss": loss, "optimizer": optim.SGD(0.1), "steps": 1}
    calls: list[Callable[[], Any]] = [
        lambda: fn.evaluate(net, loss, params, state, endless()),  # type: ignore[arg-type]
        lambda: fn.cross_validate(net, endless(), key=KEY, **how),  # type: ignore[arg-type]
        lambda: fn.train_step(net, loss, optim.SGD(0.1))(fn.train_state(net, optim.SGD(0.1), KEY, (4,)), endless()),
    ]
    for call in calls:
        with pytest.raises(fn.ShapeError) as caught:
            call()
        assert str(caught.value) == REFUSED["validation"][1]


def test_minimize_takes_no_iterator() -> None:
    pytest.importorskip("scipy")  # an extra, and the tests run without it too
    with pytest.raises(fn.ShapeError, match=r"may be an iterable of batches$"):
        fn.minimize(fn.Dense(3), SOFTMAX, endless(), key=KEY)  # type: ignore[arg-type]
