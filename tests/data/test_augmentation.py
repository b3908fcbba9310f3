"""Augmentation: what becomes of a batch by hand, what is drawn, and that training alone sees it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcnet as fn
from funcnet import data, losses, metrics, optim
from funcnet.data.augmentation import augmented, beta, log_gamma_draws, shifted
from tests.table import same

KEY = fn.Key(6)
IMAGES = np.arange(1, 2 * 4 * 5 * 3 + 1, dtype=np.float32).reshape(2, 4, 5, 3)
MANY = KEY.fold("many").normal((600, 6, 5, 2), np.float32)
SEQUENCES = KEY.fold("sequences").normal((50, 7, 2))
FEATURES = KEY.fold("features").normal((40, 3), np.float32)
LABELS = KEY.fold("labels").integers(4, (600,))
ROW = np.arange(1.0, 6.0)


# ----- shifting


@pytest.mark.parametrize(
    ("fill", "offset", "expected"),
    [
        ("zero", 2, [0, 0, 1, 2, 3]),
        ("zero", -1, [2, 3, 4, 5, 0]),
        ("zero", 9, [0, 0, 0, 0, 0]),
        ("edge", 2, [1, 1, 1, 2, 3]),
        ("edge", -2, [3, 4, 5, 5, 5]),
        ("reflect", 2, [3, 2, 1, 2, 3]),
        ("reflect", -2, [3, 4, 5, 4, 3]),
        ("reflect", 6, [3, 4, 5, 4, 3]),
        ("wrap", 2, [4, 5, 1, 2, 3]),
        ("wrap", -7, [3, 4, 5, 1, 2]),
        ("edge", 0, [1, 2, 3, 4, 5]),
    ],
)
def test_what_comes_in_at_the_end(fill: Any, offset: int, expected: list[int]) -> None:
    np.testing.assert_array_equal(shifted(ROW[None, :, None], 1, np.array([offset]), fill)[0, :, 0], expected)


@pytest.mark.parametrize("fill", ["zero", "edge", "reflect", "wrap"])
def test_a_crop_is_a_part_of_the_padded_image(fill: str) -> None:
    """Every image is found in itself padded by NumPy, and over many images every place comes up."""
    mode = {"zero": "constant", "edge": "edge", "reflect": "reflect", "wrap": "wrap"}[fill]
    x, y, weight = data.RandomCrop(2, fill=fill)((MANY, LABELS, None), KEY)
    padded = np.pad(MANY, ((0, 0), (2, 2), (2, 2), (0, 0)), mode)  # type: ignore[call-overload]
    places = []
    for own, whole in zip(x, padded, strict=True):
        at = [(i, j) for i in range(5) for j in range(5) if np.array_equal(own, whole[i : i + 6, j : j + 5])]
        assert at
        places.append(at[0])
    counts = np.unique(places, axis=0, return_counts=True)[1]
    assert len(counts) == 25
    assert counts.max() < 3 * counts.min()
    assert (y is LABELS, weight, x.dtype) == (True, None, np.float32)


def test_a_shift_has_a_limit_for_each_axis() -> None:
    x, _, _ = data.RandomShift((0, 1))((MANY, LABELS, None), KEY)
    seen = set()
    for own, image in zip(x, MANY, strict=True):
        wide = np.pad(image, ((0, 0), (1, 1), (0, 0)), "edge")
        seen.add(next(j for j in range(3) if np.array_equal(own, wide[:, j : j + 5])))
    assert seen == {0, 1, 2}
    moved, _, _ = data.RandomShift(3, fill="wrap")((SEQUENCES, LABELS[:50], None), KEY)
    offsets = [next(k for k in range(-3, 4) if np.array_equal(own, np.roll(one, k, 0))) for own, one in
               zip(moved, SEQUENCES, strict=True)]  # fmt: skip
    assert set(offsets) == set(range(-3, 4))
    assert same(data.RandomShift(0)((IMAGES, LABELS[:2], None), KEY)[0], IMAGES)


@pytest.mark.parametrize(("direction", "axes"), [("horizontal", (2,)), ("vertical", (1,)), ("both", (1, 2))])
def test_a_flip_turns_some_images_over(direction: Any, axes: tuple[int, ...]) -> None:
    always, _, _ = data.RandomFlip(direction, probability=1.0)((IMAGES, LABELS[:2], None), KEY)
    np.testing.assert_array_equal(always, np.flip(IMAGES, axes))
    never, _, _ = data.RandomFlip(direction, probability=0.0)((IMAGES, LABELS[:2], None), KEY)
    np.testing.assert_array_equal(never, IMAGES)
    some, _, _ = data.RandomFlip(direction, probability=0.25)((MANY, LABELS, None), KEY)
    left = np.mean([np.array_equal(own, one) for own, one in zip(some, MANY, strict=True)])
    assert left == pytest.approx(0.75 ** len(axes), abs=0.06)


@pytest.mark.parametrize("step", [data.RandomCrop(1, targets=True), data.RandomFlip("both", targets=True)])
def test_targets_that_are_images_move_alike(step: Any) -> None:
    targets = 10.0 * MANY[..., :1]
    x, y, _ = step((MANY, targets, None), KEY)
    np.testing.assert_array_equal(y, 10.0 * x[..., :1])
    assert not np.array_equal(x, MANY)
    assert type(step)(**{**tree_of(step), "targets": False})((MANY, targets, None), KEY)[1] is targets


def tree_of(spec: Any) -> dict[str, Any]:
    return {name: getattr(spec, name) for name in (field.name for field in spec.__attrs_attrs__)}


# ----- any features


def test_jitter_is_normal_noise_of_its_deviation() -> None:
    x, y, _ = data.Jitter(0.3)((MANY, LABELS, None), KEY)
    noise = x - MANY
    assert x.dtype == np.float32
    assert y is LABELS
    assert abs(noise.mean()) < 0.01
    assert noise.std() == pytest.approx(0.3, rel=0.02)
    assert np.mean(np.abs(noise) < 0.3) == pytest.approx(0.6827, abs=0.01)


@pytest.mark.parametrize("alpha", [0.05, 0.2, 1.0, 4.0])
def test_shares_have_the_moments_of_beta(alpha: float) -> None:
    """Mean ½, variance ``1 / 4 (2α + 1)``, fourth central moment ``3 / 16 (2α + 1) (2α + 3)``; nothing outside."""
    share = beta(alpha, 40_000, KEY)
    assert ((share >= 0.0) & (share <= 1.0)).all()
    assert share.mean() == pytest.approx(0.5, abs=0.01)
    assert share.var() == pytest.approx(0.25 / (2 * alpha + 1), rel=0.03)
    fourth = np.mean((share - 0.5) ** 4)
    assert fourth == pytest.approx(3 / 16 / (2 * alpha + 1) / (2 * alpha + 3), rel=0.05)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_gamma_draws_have_its_mean_and_variance(alpha: float) -> None:
    draws = np.exp(log_gamma_draws(alpha, 200_000, KEY))
    assert draws.mean() == pytest.approx(alpha, rel=0.015)
    assert draws.var() == pytest.approx(alpha, rel=0.04)


def test_mixup_mixes_inputs_targets_and_weights_by_one_share() -> None:
    """Of inputs that are powers of two, the mixture says which two it is of, and by how much."""
    x = np.stack([np.arange(8.0), np.arange(8.0) ** 2], axis=1)
    y = np.stack([3.0 * x[:, 0] + 1.0, -x[:, 1]], axis=1)
    weight = 1 + np.arange(8)
    mixed, targets, weights = data.Mixup(1.0)((x, y, weight), KEY)
    order = KEY.fold("order").permutation(8)
    share = beta(1.0, 8, KEY.fold("share"))[:, None]
    np.testing.assert_allclose(mixed, share * x + (1 - share) * x[order], rtol=1e-14)
    np.testing.assert_allclose(targets, np.stack([3.0 * mixed[:, 0] + 1.0, -mixed[:, 1]], axis=1), rtol=1e-13)
    assert weights is not None
    np.testing.assert_allclose(weights, 1.0 + mixed[:, 0], rtol=1e-13)
    assert not np.array_equal(order, np.arange(8))


def test_labels_become_one_hot_rows_by_their_number_of_classes() -> None:
    labels = LABELS[:40]
    x, y, _ = data.Mixup(0.5, classes=5)((FEATURES, labels, None), KEY)
    assert (y.shape, y.dtype, x.dtype) == ((40, 5), np.float32, np.float32)
    np.testing.assert_allclose(y.sum(axis=1), 1.0, rtol=1e-6)
    one_hot = np.eye(5, dtype=np.float32)[labels]
    assert same(y, data.Mixup(0.5)((FEATURES, one_hot, None), KEY)[1])
    binary = data.Mixup(0.5, classes=1)((FEATURES, labels % 2, None), KEY)[1]
    assert same(binary, data.Mixup(0.5)((FEATURES, (labels % 2).astype(np.float32), None), KEY)[1])


def test_sequences_of_labels_and_images_mix_too() -> None:
    labels = KEY.integers(3, (50, 7))
    _, y, _ = data.Mixup(0.5, classes=3)((SEQUENCES, labels, None), KEY)
    assert y.shape == (50, 7, 3)
    x, _, _ = data.Mixup(0.5, classes=4)((MANY, LABELS, None), KEY)
    assert x.shape == MANY.shape


# ----- pure functions


STEPS: dict[str, Any] = {
    "crop": data.RandomCrop(1),
    "shift": data.RandomShift(1, fill="reflect"),
    "flip": data.RandomFlip(),
    "jitter": data.Jitter(0.1),
    "mixup": data.Mixup(classes=4),
}


def frozen_batch() -> Any:
    batch = MANY.copy(), LABELS.copy(), np.ones(600)
    for part in batch:
        part.flags.writeable = False
    return batch


@pytest.mark.parametrize("name", STEPS)
def test_a_key_decides_and_nothing_is_written_to(name: str) -> None:
    step, batch = STEPS[name], frozen_batch()
    first, again, other = step(batch, KEY), step(batch, KEY), step(batch, fn.Key(7))
    assert same(first, again)
    assert not same(first[0], other[0])
    assert first[0].shape == batch[0].shape
    assert first[0].dtype == np.float32
    assert same(batch, (MANY, LABELS, np.ones(600)))


@pytest.mark.parametrize("name", STEPS)
def test_a_row_alone_and_no_rows_are_batches(name: str) -> None:
    for rows in (0, 1):
        x, y, _ = STEPS[name]((MANY[:rows], LABELS[:rows], None), KEY)
        assert (len(x), len(y)) == (rows, rows)


def test_one_after_the_other_each_with_its_own_key() -> None:
    steps = [data.Jitter(0.1), data.Jitter(0.1), data.RandomFlip()]
    batch = MANY, LABELS, None
    by_hand: Any = batch
    for i, step in enumerate(steps):
        by_hand = step(by_hand, KEY.fold(i))
    assert same(augmented(steps, batch, KEY), by_hand)
    assert not same(augmented(steps[:2], batch, KEY)[0] - MANY, 2.0 * (augmented(steps[:1], batch, KEY)[0] - MANY))


# ----- in training


NET = fn.serial(fn.Dense(8), fn.Tanh(), fn.Dense(4))
CE = losses.SoftmaxCrossEntropy()
TRAIN = FEATURES, LABELS[:40]
AUGMENT = [data.Jitter(0.2), data.Mixup(0.4, classes=4)]


def fit(**options: Any) -> fn.Fit:
    options = {"loss": CE, "optimizer": optim.Adam(0.01), "batch_size": 16, "epochs": 3, "key": KEY, **options}
    return fn.fit(NET, TRAIN, **{"augment": AUGMENT, **options})


def test_the_number_of_the_step_alone_decides() -> None:
    """The documented loop by hand, and a run in two halves, give the same bits."""
    opt = optim.Adam(0.01)
    ts, step = fn.train_state(NET, opt, KEY, (3,)), fn.train_step(NET, CE, opt)
    values = []
    for epoch in range(3):
        order = KEY.fold("epoch", epoch).permutation(40)
        for begin in range(0, 40, 16):
            chosen = order[begin : begin + 16]
            batch = augmented(AUGMENT, (FEATURES[chosen], TRAIN[1][chosen], None), KEY.fold("augment", ts.step))
            ts, out = step(ts, batch)
            values.append((out["loss"], len(chosen)))
    whole = fit()
    assert same(whole.train_state.params, ts.params)
    assert whole.history[-1]["loss"] == pytest.approx(sum(v * n for v, n in values[-3:]) / 40, rel=1e-12)
    half = fit(epochs=None, steps=4)
    assert same(fit(start=half.train_state).train_state.params, ts.params)
    assert not same(fit(augment=()).train_state.params, ts.params)


def test_evaluation_never_sees_it() -> None:
    result = fit(metrics=[metrics.Accuracy()], validation=TRAIN)
    ts = result.train_state
    scores = fn.evaluate(NET, CE, ts.params, ts.state, TRAIN, [metrics.Accuracy()])
    last = result.history[-1]
    assert (last["validation/loss"], last["validation/accuracy"]) == (scores["loss"], scores["accuracy"])
    assert last["accuracy"] == scores["accuracy"]


def test_a_function_of_ones_own() -> None:
    heard = []

    def negate(batch: Any, key: fn.Key) -> Any:
        heard.append(key)
        return -batch[0], *batch[1:]

    result = fit(augment=[negate], batch_size="full", optimizer=optim.SGD(0.1), steps=2, epochs=None)
    mirrored = fn.fit(
        NET, (-FEATURES, TRAIN[1]), loss=CE, optimizer=optim.SGD(0.1), batch_size="full", steps=2, key=KEY
    )
    assert same(result.train_state.params, mirrored.train_state.params)
    assert heard[1:] == [KEY.fold("augment", i, 0) for i in (0, 1)]


def test_an_experiment_trains_with_it() -> None:
    document = {
        "version": 1,
        "data": {"type": "digits", "split": {"test": 0.5}, "divide": 16},
        "model": {"type": "serial", "layers": [
            {"type": "reshape", "shape": [8, 8, 1]}, "flatten", {"type": "dense", "units": 10}]},
        "loss": "softmax_cross_entropy",
        "optimizer": "adam",
        "training": {"steps": 3, "augment": [
            {"type": "jitter", "deviation": 0.1}, {"type": "mixup", "alpha": 0.3, "classes": 10}]},
    }  # fmt: skip
    experiment = fn.from_json(document)
    assert experiment.training.augment == (data.Jitter(0.1), data.Mixup(0.3, classes=10))
    assert fn.from_json(fn.to_json(experiment)) == experiment
    first, again = fn.run(experiment), fn.run(experiment)
    assert same(first.params, again.params)
    del document["training"]["augment"]  # type: ignore[attr-defined]
    assert not same(first.params, fn.run(fn.from_json(document)).params)


# ----- mistakes


@pytest.mark.parametrize(
    ("step", "batch", "error", "message"),
    [
        (data.RandomCrop(1), (FEATURES, LABELS[:40], None), fn.ShapeError,
         "RandomCrop: expected images (height, width, channels) or sequences (time, features), got shape (3,); "
         "for plain features use Jitter or Mixup"),
        (data.RandomFlip(), (MANY[..., 0], LABELS, None), fn.ShapeError,
         "RandomFlip: expected images (height, width, channels), got shape (6, 5); "
         "a single channel needs an axis, of length 1"),
        (data.RandomShift((1, 2, 3)), (MANY, LABELS, None), fn.ShapeError,
         "RandomShift: expected inputs of 3 axes and features, got shape (6, 5, 2); "
         "a single channel needs an axis, of length 1"),
        (data.Jitter(0.1), (LABELS, LABELS, None), fn.DataError,
         "Jitter: expected inputs as floats, got int64; give floats, and scale pixels by 1 / 255"),
        (data.Jitter(0.1), ((FEATURES, FEATURES), LABELS[:40], None), fn.ShapeError,
         "Jitter: expected one array of inputs, got the shapes ((3,), (3,)); augment them apart"),
        (data.RandomFlip(targets=True), (MANY, MANY[:, 1:], None), fn.ShapeError,
         "RandomFlip: expected targets with the inputs' axes (6, 5), got (5, 5); leave out targets"),
        (data.RandomFlip(targets=True), (MANY, LABELS, None), fn.DataError,
         "RandomFlip: expected targets as floats, got int64; give floats, and scale pixels by 1 / 255"),
        (data.Mixup(), (FEATURES, LABELS[:40], None), fn.DataError,
         "Mixup: expected targets as floats, got labels of int64, which cannot be mixed; give the classes, "
         "Mixup(classes=10), or one-hot rows"),
        (data.Mixup(classes=2), (FEATURES, LABELS[:40], None), fn.DataError,
         "Mixup: expected labels from 0 to 1, got 2; give more classes"),
        (data.Mixup(classes=1), (FEATURES, -LABELS[:40], None), fn.DataError,
         "Mixup: expected labels from 0 to 1, got -2; leave out the rows whose label is ignored"),
    ],
)  # fmt: skip
def test_mistakes(step: Any, batch: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        step(batch, KEY)
    assert str(caught.value) == message


def test_mistakes_are_found_before_training() -> None:
    with pytest.raises(fn.ShapeError) as caught:
        fit(augment=[data.Mixup(classes=7)])
    assert str(caught.value) == (
        "SoftmaxCrossEntropy: expected labels of shape (16,) or probabilities of shape (16, 4), got (16, 7); "
        "reshape the target, or change the last layer's units (in an augmented batch)"
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: data.RandomCrop(0), "RandomCrop.padding: must be positive, got 0"),
        (lambda: data.RandomShift((1, -1)), "RandomShift.most[1]: must be zero or more, got -1"),
        (lambda: data.RandomFlip("left"),
         'RandomFlip.direction: expected "horizontal" or "vertical" or "both", got "left"'),
        (lambda: data.RandomFlip(probability=1.5), "RandomFlip.probability: must be from 0 to 1, got 1.5"),
        (lambda: data.Jitter(-0.1), "Jitter.deviation: must be zero or more, got -0.1"),
        (lambda: data.Mixup(0.0), "Mixup.alpha: must be positive, got 0.0"),
        (lambda: fn.Training(epochs=1, augment=(fn.Dropout(0.1),)),
         "Training.augment[0]: expected an augmentation, got Dropout(rate=0.1)"),
    ],
)  # fmt: skip
def test_specs_that_are_refused(make: Any, message: str) -> None:
    with pytest.raises(fn.SpecError) as caught:
        make()
    assert str(caught.value) == message
