"""Losses of quantiles, margins, distributions and areas, against scikit-learn and PyTorch (``margins.npz``).

And that runs, estimators and commands decide by scores as they do by probabilities.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import d2_pinball_score

import funcnet as fn
from funcnet import losses, metrics, optim
from funcnet.cli import main
from funcnet.sklearn import FuncnetClassifier, FuncnetRegressor
from tests.compiler.test_inference import called, deployed, identical
from tests.golden import assert_agrees, cast, load_golden
from tests.table import of_those

GOLDEN = load_golden("margins")
SPECS: dict[str, losses.Loss] = {
    "quantile": losses.Quantile((0.05, 0.5, 0.9)),
    "hinge": losses.Hinge(),
    "hinge_squared": losses.Hinge(squared=True),
    "categorical_hinge": losses.CategoricalHinge(),
    "categorical_hinge_squared": losses.CategoricalHinge(squared=True),
    "kullback_leibler": losses.KullbackLeibler(),
    "cosine_distance": losses.CosineDistance(),
    "dice": losses.Dice(smooth=0.5),
    "triplet": losses.Triplet(margin=0.7),
}
CASES = {f"{name}{weight}": loss for name, loss in SPECS.items() for weight in ("", "_weight")}
TOLERANCES: dict[type, tuple[float, float]] = {np.float64: (1e-10, 1e-15), np.float32: (1e-5, 1e-6)}
KEY = fn.Key(3)


def test_every_recorded_loss_is_run() -> None:
    assert sorted(GOLDEN) == sorted(CASES)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("name", CASES)
def test_loss_agrees_with_the_recorded_one(name: str, dtype: type) -> None:
    case, (rtol, atol) = cast(GOLDEN[name], dtype), TOLERANCES[dtype]
    value, residuals = CASES[name].apply(case["prediction"], case["target"], case.get("weight"))
    assert_agrees(value, GOLDEN[name]["value"], rtol=rtol, atol=atol)
    assert_agrees(CASES[name].vjp(residuals, -2.5), -2.5 * GOLDEN[name]["gradient"], rtol=rtol, atol=2.5 * atol)
    assert value.dtype == dtype


# ----- edges ----------------------------------------------------------------------------------------------------------

HUGE = 1e38
EXTREMES: dict[str, tuple[losses.Loss, Any, Any, float, Any]] = {
    "quantile": (losses.Quantile((0.25, 0.75)), [[HUGE, -HUGE]], [0.0], 0.75 * HUGE, [[0.375, -0.375]]),
    "quantile met": (losses.Quantile((0.25,)), [[2.0]], [2.0], 0.0, [[0.0]]),
    "hinge": (losses.Hinge(), [[-HUGE]], [[1.0]], HUGE, [[-1.0]]),
    "hinge at the corner": (losses.Hinge(), [[-1.0]], [[0.0]], 0.0, [[0.0]]),
    "categorical hinge": (losses.CategoricalHinge(), [[HUGE, -HUGE]], [1], 2.0 * HUGE, [[1.0, -1.0]]),
    "divergence": (losses.KullbackLeibler(), [[HUGE, 0.0]], [[0.0, 1.0]], HUGE, [[1.0, -1.0]]),
    "divergence met": (losses.KullbackLeibler(), [[-HUGE, 0.0]], [[0.0, 1.0]], 0.0, [[0.0, 0.0]]),
    "direction": (losses.CosineDistance(), [[HUGE, 0.0]], [[-HUGE, 0.0]], 2.0, [[0.0, 0.0]]),
    "no direction": (losses.CosineDistance(), [[0.0, 0.0]], [[1.0, 0.0]], 1.0, [[0.0, 0.0]]),
    "areas": (losses.Dice(), [[[HUGE], [-HUGE]]], [[0, 1]], 2.0 / 3.0, [[[0.0], [0.0]]]),
    "no areas": (losses.Dice(), [[[-HUGE], [-HUGE]]], [[0, 0]], 0.0, [[[0.0], [0.0]]]),
    "distances": (losses.Triplet(), [[[0.0], [HUGE], [0.0]]], [0.0], HUGE, [[[-1.0], [1.0], [0.0]]]),
    "margin kept": (losses.Triplet(), [[[0.0], [1.0], [2.0]]], [0.0], 0.0, [[[0.0], [0.0], [0.0]]]),
}


@pytest.mark.parametrize("name", EXTREMES)
def test_extreme_outputs_have_their_limits(name: str) -> None:
    loss, prediction, target, value, slope = EXTREMES[name]
    found, residuals = loss.apply(np.array(prediction, np.float32), np.array(target))
    assert float(found) == pytest.approx(value, rel=1e-6)
    np.testing.assert_allclose(loss.vjp(residuals), slope, rtol=1e-6, atol=1e-6)


def test_a_mean_beyond_the_largest_float_is_the_largest() -> None:
    for dtype in (np.float32, np.float64):
        means = losses.Poisson().link(np.array([1e4, 0.0, -1e4], dtype))
        assert means.dtype == dtype
        assert means[0] == pytest.approx(np.finfo(dtype).max, rel=1e-4)
        assert means[1:].tolist() == [1.0, 0.0]
    assert metrics.Deviance()(np.array([np.inf]), np.array([2.0])) == np.inf


def test_soft_labels_have_the_cross_entropy_less_their_entropy() -> None:
    z, q = KEY.normal((5, 3)), np.array([[0.2, 0.3, 0.5]] * 5)
    entropy = -float(np.sum(q[0] * np.log(q[0])))
    pair = losses.KullbackLeibler().apply(z, q), losses.SoftmaxCrossEntropy().apply(z, q)
    assert float(pair[0][0]) == pytest.approx(float(pair[1][0]) - entropy, rel=1e-14)
    slopes = losses.KullbackLeibler().vjp(pair[0][1]), losses.SoftmaxCrossEntropy().vjp(pair[1][1])
    np.testing.assert_allclose(*slopes, rtol=1e-14)


def test_a_padded_map_is_that_without_padding() -> None:
    z, labels, mask = KEY.normal((2, 5, 3)), np.arange(10).reshape(2, 5) % 3, np.arange(5) < np.array([[5], [3]])
    loss = losses.Dice()
    value, residuals = loss.apply((z, mask), labels)
    each = [loss.apply(z[i : i + 1, :n], labels[i : i + 1, :n])[0] for i, n in ((0, 5), (1, 3))]
    assert float(value) == pytest.approx(float(np.mean(each)), rel=1e-14)
    assert not loss.vjp(residuals)[0][1, 3:].any()


MISTAKES: dict[str, tuple[losses.Loss, Any, Any, type[Exception], str]] = {
    "quantiles": (
        losses.Quantile((0.1, 0.9)), np.zeros((4, 3)), np.zeros(4), fn.ShapeError,
        "Quantile: expected 2 predictions for each target, (4, 2) for targets (4,), got (4, 3); give the last layer 2 "
        "units, or change the levels",
    ),
    "quantiles of targets": (
        losses.Quantile((0.1, 0.9)), np.zeros((4, 2)), np.zeros((4, 3)), fn.ShapeError,
        "Quantile: expected 2 predictions for each target, (4, 3, 2) or (4, 6) for targets (4, 3), got (4, 2); give "
        "the last layer 6 units, or change the levels",
    ),
    "signs": (
        losses.Hinge(), np.zeros((2, 1)), np.array([1.0, -1.0]), fn.DataError,
        "Hinge: expected targets 0 and 1, got -1.0 at row 1; for labels of more classes use CategoricalHinge",
    ),
    "label": (
        losses.CategoricalHinge(), np.zeros((2, 3)), np.array([1, 3]), fn.DataError,
        "CategoricalHinge: expected labels from 0 to 2, got 3 at row 1; renumber the labels, or give the last layer "
        "one unit for each class",
    ),
    "distribution": (
        losses.KullbackLeibler(), np.zeros((2, 3)), np.array([[0.5, 0.5, 0.0], [1.0, 1.0, 0.0]]), fn.DataError,
        "KullbackLeibler: expected probabilities that add up to 1 in each row, got [1, 1, 0] at row 1; divide a row by "
        "its sum, or for several labels of a row use SigmoidCrossEntropy",
    ),
    "one class": (
        losses.KullbackLeibler(), np.zeros((2, 1)), np.ones((2, 1)), fn.ShapeError,
        "KullbackLeibler: expected a unit for each class, at least two, got one, whose probability is always 1; make "
        "the last layer wider, or use SigmoidCrossEntropy with one unit",
    ),
    "direction": (
        losses.CosineDistance(), np.zeros((2, 3)), np.zeros(2), fn.ShapeError,
        "CosineDistance: expected a prediction (batch, …, n) and a target of its shape, got (2, 3) and (2,); reshape "
        "one of them, or change the last layer's units",
    ),
    "rows": (
        losses.Dice(), np.zeros((2, 3)), np.zeros(2, int), fn.ShapeError,
        "Dice: expected logits of pixels (batch, …, classes), got (2, 3); for one label of each row use "
        "SoftmaxCrossEntropy",
    ),
    "parts": (
        losses.Triplet(), np.zeros((2, 4)), np.zeros(2), fn.ShapeError,
        "Triplet: expected the embeddings of an anchor, a positive and a negative for each of 2 targets: an output "
        "(batch, 3, …), or three outputs of one shape; got (4,)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_clear_error(name: str) -> None:
    loss, prediction, target, kind, text = MISTAKES[name]
    with pytest.raises(kind) as caught:
        loss.apply(prediction, target)
    assert str(caught.value) == text


def test_levels_are_ascending_probabilities() -> None:
    for levels, text in (
        ((), "expected probabilities above 0 and below 1, at least one, got []"),
        ((0.5, 1.0), "expected probabilities above 0 and below 1, at least one, got [0.5, 1.0]"),
        ((0.9, 0.1), "expected ascending levels, got [0.9, 0.1]"),
    ):
        for cls in (losses.Quantile, metrics.Pinball):
            with pytest.raises(fn.SpecError) as caught:
                cls(levels)
            assert str(caught.value) == f"{cls.__name__}.levels: {text}"


@pytest.mark.parametrize("cls", [losses.Quantile, metrics.Pinball])
def test_one_level_may_be_given_alone(cls: Any) -> None:
    for level in (0.9, np.float64(0.9), np.float32(0.9), np.array([0.9])):
        assert cls(level).levels == pytest.approx((0.9,))
    assert json.loads(fn.to_json(cls(0.9)))[cls.kind]["levels"] == [0.9]
    with pytest.raises(fn.SpecError) as caught:
        cls(True)
    assert str(caught.value) == f"{cls.__name__}.levels: expected a list, each item a number, got true"


# ----- metrics --------------------------------------------------------------------------------------------------------


def test_coverage_counts_targets_from_the_lowest_to_the_highest_quantile() -> None:
    p, t = np.array([[1.0, 2.0, 3.0]] * 4), np.array([1.0, 3.0, 3.5, 0.5])
    assert metrics.Coverage()(p, t) == 0.5
    assert metrics.Coverage()(p, t, np.array([1.0, 1.0, 0.0, 2.0])) == 0.5
    assert metrics.Coverage()(np.hstack([p, p]), np.stack([t, t], axis=1)) == 0.5
    with pytest.raises(fn.ShapeError, match="expected two or more quantiles for each target, got predictions"):
        metrics.Coverage()(t, t)
    assert metrics.Pinball((0.1, 0.9)).name == "pinball_0.1_0.9"


def test_metrics_decide_between_scores_at_the_threshold_of_the_loss() -> None:
    """A score of 0 is the positive class, the greatest below it is not."""
    z = np.array([0.0, -5e-324, 0.3, -0.2])[:, None]
    x, y = np.eye(4), np.array([1, 0, 1, 1])
    params = {"weight": z, "bias": np.zeros(1)}
    scored = (metrics.Accuracy(), metrics.RocAuc())
    found = fn.evaluate(fn.Dense(1), losses.Hinge(), params, {}, (x, y), scored)
    assert found == {"loss": pytest.approx((1.0 + 1.0 + 0.7 + 1.2) / 4), "accuracy": 0.75, "roc_auc": 2.0 / 3.0}
    assert fn.predict_label(fn.Dense(1), losses.Hinge(), params, {}, x).tolist() == [1, 0, 1, 0]
    with pytest.raises(fn.ShapeError) as caught:
        fn.predict_proba(fn.Dense(1), losses.Hinge(), params, {}, x)
    assert str(caught.value).startswith("Hinge gives scores, and no probabilities; train with SoftmaxCrossEntropy")
    with pytest.raises(fn.DataError, match="LogLoss: expected probabilities between 0 and 1"):
        fn.evaluate(fn.Dense(1), losses.Hinge(), {"weight": 4.0 * z, "bias": np.ones(1)}, {}, (x, y), ("log_loss",))


# ----- training -------------------------------------------------------------------------------------------------------


def test_training_finds_quantiles_that_do_not_cross() -> None:
    """With a bias alone the loss is least at the quantiles of the targets."""
    x, y = np.zeros((101, 1), np.float32), np.linspace(0.0, 100.0, 101, dtype=np.float32)
    loss = losses.Quantile((0.105, 0.5, 0.905))
    fit = fn.fit(
        fn.Dense(3), (x, y), loss=loss, optimizer=optim.Adam(optim.Linear(2.0, total_steps=400, end=0.01)), steps=400,
        batch_size=101, key=KEY,
    )  # fmt: skip
    np.testing.assert_allclose(fit.train_state.params["bias"], [10.0, 50.0, 91.0], atol=0.3)
    assert loss.link(np.array([[3.0, 1.0, 2.0, 6.0, 5.0, 4.0]])).tolist() == [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]


def test_a_network_of_embeddings_learns_from_triplets() -> None:
    y = np.arange(60) % 3
    points = np.eye(3)[y] + 0.3 * KEY.normal((60, 3))
    first, other = points[:20], points[np.arange(20) + 1]
    x = np.stack([first, points[np.arange(20) + 3], other], axis=1).astype(np.float32)
    fit = fn.fit(fn.Dense(2), (x, np.zeros(20)), loss="triplet", optimizer=optim.Adam(0.05), epochs=60, key=KEY)
    assert fit.history[-1]["loss"] < 0.2 * fit.history[0]["loss"]


# ----- runs -----------------------------------------------------------------------------------------------------------

ROWS = 40
A, B_ = KEY.fold("a").normal((ROWS,)), KEY.fold("b").normal((ROWS,))


def write_table(folder: Path) -> None:
    mean = np.exp(0.5 * A).round(3)
    q = np.exp(np.stack([A, B_], axis=1))
    q = (q / q.sum(axis=1, keepdims=True)).round(6)
    kinds = np.where(B_ > 0.5, "high", np.where(A > 0.0, "mid", "low"))
    lines = ["a,b,amount,other,kind,two,left,right"]
    for i in range(ROWS):
        two = "yes" if A[i] > 0 else "no"
        lines.append(f"{A[i]:.4f},{B_[i]:.4f},{mean[i]},{3 * B_[i]:.3f},{kinds[i]},{two},{q[i, 0]},{1 - q[i, 0]:.6f}")
    (folder / "t.csv").write_text("\n".join(lines) + "\n")


RUNS: dict[str, tuple[Any, int, losses.Loss, Any, tuple[str, ...]]] = {
    "quantile": ("amount", 3, losses.Quantile((0.1, 0.5, 0.9)), "standard",
                 ("amount_0.1", "amount_0.5", "amount_0.9")),
    "quantile of two": (("amount", "other"), 4, losses.Quantile((0.25, 0.75)), "minmax",
                        ("amount_0.25", "amount_0.75", "other_0.25", "other_0.75")),
    "hinge": ("two", 1, losses.Hinge(), None, ("label", "two")),
    "categorical hinge": ("kind", 3, losses.CategoricalHinge(), None, ("label", "high", "low", "mid")),
    "divergence": (("left", "right"), 2, losses.KullbackLeibler(), None, ("label", "left", "right")),
    "direction": (("amount", "other"), 2, losses.CosineDistance(), None, ("amount", "other")),
    "poisson": ("amount", 1, losses.Poisson(), "mean", ("amount",)),
    "gamma": ("amount", 1, losses.Gamma(), None, ("amount",)),
    "tweedie": ("amount", 1, losses.Tweedie(), "mean", ("amount",)),
    "focal": ("two", 1, losses.Focal(), None, ("label", "no", "yes")),
}  # fmt: skip


@pytest.mark.parametrize("name", of_those(RUNS, ("quantile of two", "hinge", "categorical hinge", "poisson")))
def test_a_run_on_a_table_is_the_program_printed_from_it(name: str, tmp_path: Path, capsys: Any) -> None:
    target, units, loss, scale, head = RUNS[name]
    write_table(tmp_path)
    data = fn.data.Csv("t.csv", target, inputs=("a", "b"), target_scale=scale)
    fn.run(
        fn.Experiment(data=data, model=fn.Dense(units), loss=loss, optimizer=optim.Adam(0.05),
                      training=fn.Training(steps=20)),
        out=tmp_path / "run", base=tmp_path,
    )  # fmt: skip
    run = fn.load_run(tmp_path / "run")
    assert run.experiment.loss == loss
    program = deployed(tmp_path, capsys)
    names: dict[str, Any] = {"__name__": "program", "__file__": str(program)}
    exec(compile(program.read_text(encoding="utf-8"), str(program), "exec"), names)
    table = {"a": A.tolist(), "b": B_.tolist()}
    assert identical(names["predict"](table), run.predict(table))
    if head[0] == "label":
        assert identical(names["labels"](table).astype(str), run.predict_label(table).astype(str))
    assert main(["predict", str(tmp_path / "run"), str(tmp_path / "t.csv")]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[0] == ",".join(head)
    if name in ("quantile of two", "hinge"):
        assert called(program, str(tmp_path / "t.csv")) == (0, printed, "")
    assert main(["evaluate", str(tmp_path / "run"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert ("confusion" in facts) == (head[0] == "label" and name != "divergence")
    assert main(["predict", str(tmp_path / "run"), str(tmp_path / "t.csv"), "--json"]) == 0
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    if name == "categorical hinge":
        assert list(first) == ["label", "scores"]
        assert first["label"] == max(first["scores"], key=first["scores"].get)


MAPS = KEY.fold("maps").normal((12, 6, 5)).astype(np.float32)
PIXELS, LENGTHS = KEY.fold("pixels").integers(3, (12, 6)), np.arange(6) < 1 + np.arange(12)[:, None] % 6
OF_MAPS: dict[str, tuple[losses.Loss, Any, Any]] = {
    "dice": (losses.Dice(), MAPS, PIXELS),
    "dice of one": (losses.Dice(smooth=0.1), MAPS, PIXELS[..., None] > 0),
    "dice, padded": (losses.Dice(ignore_label=2), (MAPS, LENGTHS), PIXELS),
    "quantile, padded": (losses.Quantile((0.2, 0.5, 0.8)), (MAPS, LENGTHS), MAPS[..., 0]),
    "triplet": (losses.Triplet(), MAPS[:, :3], PIXELS[:, 0]),
}


@pytest.mark.parametrize("name", OF_MAPS)
def test_compiled_steps_have_the_bits_of_plain_ones(name: str) -> None:
    loss, x, y = OF_MAPS[name]
    net, opt = fn.Dense(1 if name == "dice of one" else 3), optim.SGD(0.1)
    weight = np.abs(KEY.fold("w").normal((12,))).astype(np.float32) * (np.arange(12) != 3)
    start = fn.train_state(net, opt, KEY, (6, 5))
    ends = []
    for options in ({}, {"shards": 3}):
        for compiled in (False, True):
            step, ts = fn.train_step(net, loss, opt, compile=compiled, **options), start
            for w in (None, weight, None, weight):
                ts, _ = step(ts, (x, y) if w is None else (x, y, w))
            ends.append(fn.tree.ravel(ts.params)[0])
    plain, compiled_, sharded, both = ends
    assert plain.tobytes() == compiled_.tobytes()
    assert sharded.tobytes() == both.tobytes()
    np.testing.assert_allclose(sharded, plain, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["dice", "dice of one", "triplet"])
def test_a_run_on_arrays_is_the_program_printed_from_it(name: str, tmp_path: Path, capsys: Any) -> None:
    loss, x, y = OF_MAPS[name]
    np.savez(tmp_path / "own.npz", x=x, y=np.asarray(y, int))
    fn.run(
        fn.Experiment(data=fn.data.Npz("own.npz"), model=fn.Dense(1 if name == "dice of one" else 3), loss=loss,
                      optimizer=optim.Adam(0.05), training=fn.Training(steps=4)),
        out=tmp_path / "run", base=tmp_path,
    )  # fmt: skip
    run = fn.load_run(tmp_path / "run")
    program = deployed(tmp_path, capsys)
    names: dict[str, Any] = {"__name__": "program", "__file__": str(program)}
    exec(compile(program.read_text(encoding="utf-8"), str(program), "exec"), names)
    assert identical(names["predict"](x), run.predict(x))
    assert ("labels" in names) == (name != "triplet")
    if name != "triplet":
        assert identical(names["labels"](x), run.predict_label(x))


@pytest.mark.parametrize(
    ("target", "units", "loss", "text"),
    [
        ("two", 1, losses.MeanSquaredError(),
         "MeanSquaredError: compares numbers, and the target is texts, 2 classes, 'no', 'yes'; for labels of classes "
         "use SoftmaxCrossEntropy and 2 units, or SigmoidCrossEntropy and one unit"),
        ("kind", 3, losses.Poisson(),
         "Poisson: compares numbers, and the target is texts, 3 classes, 'high', 'low', 'mid'; for labels of "
         "classes use SoftmaxCrossEntropy and 3 units"),
        ("amount", 2, losses.CategoricalHinge(),
         "CategoricalHinge: expected integer labels, got float32; give whole numbers of an integer type, or for values "
         "use another loss, such as MeanSquaredError (in the training part)"),
        ("amount", 1, losses.Hinge(),
         "Hinge: expected targets 0 and 1, got"),
    ],
)  # fmt: skip
def test_a_loss_of_another_kind_than_the_target(target: str, units: int, loss: Any, text: str, tmp_path: Path) -> None:
    write_table(tmp_path)
    experiment = fn.Experiment(
        data=fn.data.Csv("t.csv", target, inputs=("a", "b")), model=fn.Dense(units), loss=loss, optimizer=optim.Adam(),
        training=fn.Training(epochs=1),
    )  # fmt: skip
    with pytest.raises(fn.DataError) as caught:
        fn.run(experiment, base=tmp_path)
    assert str(caught.value).startswith(text)


# ----- estimators -----------------------------------------------------------------------------------------------------


def test_a_regressor_of_quantiles() -> None:
    x = np.stack([A, B_], axis=1)
    loss = losses.Quantile((0.1, 0.5, 0.9))
    net = fn.serial(fn.Dense(8), fn.Relu())
    est = FuncnetRegressor(net, loss=loss, epochs=5, random_state=0).fit(x, 100.0 * A)
    answer = est.predict(x)
    assert answer.shape == (ROWS, 3)
    assert (np.diff(answer, axis=1) >= 0.0).all()
    assert np.ptp(answer[:, 1]) > 20.0  # in the units of the targets
    each = [d2_pinball_score(100.0 * A, answer[:, i], alpha=level) for i, level in enumerate(loss.levels)]
    assert est.score(x, 100.0 * A) == pytest.approx(np.mean(each), rel=1e-12)
    two = FuncnetRegressor(net, loss=loss, epochs=1, random_state=0).fit(x, np.stack([A, 5.0 + B_], axis=1))
    assert two.predict(x).shape == (ROWS, 6)
    assert two.predict(x)[:, 3:].mean() > two.predict(x)[:, :3].mean() + 3.0


@pytest.mark.parametrize("loss", ["hinge", "categorical_hinge"])
@pytest.mark.parametrize("classes", [2, 3])
def test_a_classifier_of_margins(loss: str, classes: int) -> None:
    x, y = np.stack([A, B_], axis=1), np.array(["ant", "bee", "cow"])[(A > 0.0) + (classes - 2) * (B_ > 0.5)]
    est = FuncnetClassifier(loss=loss, epochs=30, random_state=0)
    if (loss, classes) == ("hinge", 3):
        with pytest.raises(ValueError, match="Hinge decides between two classes, and y has 3; use CategoricalHinge"):
            est.fit(x, y)
        return
    est.fit(x, y)
    scores = est.decision_function(x)
    decided = est.classes_[(scores >= 0.0).astype(int) if classes == 2 else scores.argmax(axis=1)]
    assert scores.shape == ((ROWS,) if classes == 2 else (ROWS, 3))
    assert decided.tolist() == est.predict(x).tolist()
    assert est.score(x, y) > 0.7
    assert not hasattr(est, "predict_proba")
    with pytest.raises(AttributeError, match="predict_proba"):
        est.predict_proba(x)


def test_two_labels_are_two_outputs_for_any_loss() -> None:
    x, y = np.stack([A, B_], axis=1), np.stack([A > 0.0, B_ > 0.0], axis=1) * 1
    for loss in ("sigmoid_cross_entropy", "hinge"):
        est = FuncnetClassifier(fn.Dense(2), loss=loss, epochs=40, batch_size=8, random_state=0).fit(x, y)
        assert est.predict(x).shape == est.decision_function(x).shape == (ROWS, 2)
        assert est.score(x, y) > 0.5


def test_estimators_refuse_a_loss_of_the_other_kind() -> None:
    x = np.stack([A, B_], axis=1)
    with pytest.raises(ValueError, match="MeanSquaredError compares numbers, and FuncnetClassifier has labels"):
        FuncnetClassifier(loss="mean_squared_error").fit(x, A > 0.0)
    with pytest.raises(ValueError, match="CategoricalHinge gives each row one class, and y has several labels"):
        FuncnetClassifier(loss="categorical_hinge").fit(x, np.stack([A > 0.0, B_ > 0.0], axis=1) * 1)
    with pytest.raises(ValueError, match="Hinge decides between labels, and the targets are numbers; use Func"):
        FuncnetRegressor(loss="hinge").fit(x, A)
