"""A last layer that does not suit its loss, or cannot reach the targets, is said before training."""

from __future__ import annotations

import logging
import types
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

import funcnet as fn
from funcnet import losses, optim
from funcnet.cli import main
from funcnet.layers.base import range_of
from funcnet.ranges import Range
from tests.folders import sign

X = fn.Key(0).normal((12, 4), np.float32)
LABELS = np.arange(12) % 3
ONE = (LABELS[:, None] > 0).astype(np.float32)
WIDE = np.linspace(-3.0, 3.0, 12, dtype=np.float32)[:, None]
SOFTMAX, SIGMOID, MSE = losses.SoftmaxCrossEntropy(), losses.SigmoidCrossEntropy(), losses.MeanSquaredError()
NLL, BINARY = losses.NegativeLogLikelihood(), losses.BinaryCrossEntropy()


def ending(units: int, *layers: fn.Layer) -> fn.Layer:
    return fn.serial(fn.Dense(units), *layers)


TWO = "the last layer, {}, gives {}, and {} takes logits, any numbers: leave {} out, "
RELU = TWO.format("Relu", "no number below 0", "SoftmaxCrossEntropy", "Relu") + "or put a Dense layer after it"
SOFT = TWO.format("Softmax", "numbers from 0 to 1", "SoftmaxCrossEntropy", "Softmax") + (
    "the loss applies a softmax; or use LogSoftmax and NegativeLogLikelihood"
)
TWICE = TWO.format("Sigmoid", "numbers from 0 to 1", "SigmoidCrossEntropy", "Sigmoid") + (
    "the loss applies a sigmoid; or use BinaryCrossEntropy"
)
REACH = "the last layer, {}, gives {}, and the targets are numbers from -3 to 3, which it cannot reach: leave {} out, or scale the targets into it"  # noqa: E501

ZERO_ONE = ("Sigmoid", "numbers from 0 to 1", "Sigmoid")

DOUBTED: dict[str, tuple[Any, Any, Any, str]] = {
    "sigmoid twice": (ending(1, fn.Sigmoid()), SIGMOID, ONE, TWICE),
    "softmax twice": (ending(3, fn.Softmax()), SOFTMAX, LABELS, SOFT),
    "relu": (ending(3, fn.Relu()), SOFTMAX, LABELS, RELU),
    "in a serial": (ending(3, fn.serial(fn.Relu())), SOFTMAX, LABELS, RELU),
    "before a dropout": (ending(3, fn.Relu(), fn.Dropout(0.1)), SOFTMAX, LABELS, RELU),
    "in a wrapper": (fn.Remat(ending(3, fn.Relu())), SOFTMAX, LABELS, RELU),
    "in a graph": (fn.Graph("x", {"a": (fn.Dense(3), "x"), "b": (fn.Relu(), "a")}, "b"), SOFTMAX, LABELS, RELU),
    "in members": (fn.Ensemble(ending(3, fn.Relu()), 2), losses.EachMember(SOFTMAX), LABELS, RELU),
    "in one of several": (
        fn.branch(ending(3, fn.Relu()), fn.Dense(1)), losses.Multi((SOFTMAX, MSE)), (LABELS, WIDE), RELU,
    ),
    "a sigmoid and targets": (ending(1, fn.Sigmoid()), MSE, WIDE, REACH.format(*ZERO_ONE)),
    "a tanh and targets": (ending(1, fn.Tanh()), MSE, WIDE, REACH.format("Tanh", "numbers from -1 to 1", "Tanh")),
    "a relu and targets": (ending(1, fn.Relu()), MSE, WIDE, REACH.format("Relu", "no number below 0", "Relu")),
}  # fmt: skip

FITTING: dict[str, tuple[Any, Any, Any]] = {
    "logits": (ending(3), SOFTMAX, LABELS),
    "log-probabilities": (ending(3, fn.LogSoftmax()), NLL, LABELS),
    "log-probabilities are logits": (ending(3, fn.LogSoftmax()), SOFTMAX, LABELS),
    "probabilities": (ending(1, fn.Sigmoid()), BINARY, ONE),
    "values within": (ending(1, fn.Sigmoid()), MSE, ONE),
    "a residual": (fn.Residual(ending(4, fn.Relu())), MSE, X),
    "wide limits": (ending(3, fn.HardTanh(-8.0, 8.0)), SOFTMAX, LABELS),
}


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def fit(net: Any, loss: Any, y: Any) -> fn.Fit:
    return fn.fit(net, (X, y), loss=loss, optimizer=optim.SGD(0.01), epochs=1, key=fn.Key(1))


@pytest.mark.parametrize("name", DOUBTED)
def test_a_warning_before_training(name: str, caplog: pytest.LogCaptureFixture) -> None:
    net, loss, y, sentence = DOUBTED[name]
    fit(net, loss, y)
    assert said(caplog) == [sentence]


@pytest.mark.parametrize("name", FITTING)
def test_no_warning(name: str, caplog: pytest.LogCaptureFixture) -> None:
    fit(*FITTING[name])
    assert said(caplog) == []


def test_minimize_warns_too(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("scipy")
    fn.minimize(ending(3, fn.Softmax()), SOFTMAX, (X, LABELS), key=fn.Key(1), options={"maxiter": 1})
    assert said(caplog) == [SOFT]


def test_raw_outputs_are_no_log_probabilities() -> None:
    with pytest.raises(fn.DataError) as caught:
        fit(ending(3), NLL, LABELS)
    assert str(caught.value) == (
        "NegativeLogLikelihood: expected log-probabilities, 0 or less, but the last layer, Dense, gives any number; "
        "end the network with LogSoftmax, or use SoftmaxCrossEntropy"
    )


@pytest.mark.parametrize("loss", [SOFTMAX, NLL])
def test_one_class_leaves_nothing_to_learn(loss: fn.losses.Loss) -> None:
    with pytest.raises(fn.ShapeError) as caught:
        fit(ending(1, fn.LogSoftmax()), loss, np.zeros(12, int))
    assert str(caught.value) == (
        f"{type(loss).__name__}: expected a unit for each class, at least two, got predictions of shape (12, 1), whose "
        "only class always has probability 1; make the last layer wider, or use SigmoidCrossEntropy with one unit"
    )


def test_probabilities_of_a_dense_layer(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(fn.DataError, match="expected probabilities between 0 and 1, got"):
        fit(ending(1), BINARY, ONE)
    assert said(caplog) == [
        "the last layer, Dense, gives any number, and BinaryCrossEntropy takes probabilities: end with Sigmoid, or "
        "use SigmoidCrossEntropy"
    ]


@attrs.frozen
class Logits(fn.Sigmoid):
    def function(self, x: Any) -> Any:
        return x

    def derivative(self, x: Any, y: Any) -> Any:
        return np.ones_like(x)


@attrs.frozen
class Own(losses.NegativeLogLikelihood):
    def log_probabilities(self, prediction: Any) -> Any:
        return -prediction * prediction


@attrs.frozen
class Said(Logits):
    def out_range(self, given: Any) -> Any:
        return Range(-1.0, 1.0)


def test_a_class_of_ones_own_is_not_taken_for_its_base(caplog: pytest.LogCaptureFixture) -> None:
    assert range_of(Logits()) is None
    fit(ending(1, Logits()), SIGMOID, ONE)
    fit(ending(3), Own(), LABELS)
    assert said(caplog) == []
    fit(ending(1, Said()), SIGMOID, ONE)
    assert said(caplog)[0].startswith("the last layer, Said, gives numbers from -1 to 1, and SigmoidCrossEntropy takes")


def test_a_wrong_range_breaks_a_law() -> None:
    with pytest.raises(fn.LawError, match="'outputs lie in out_range': out_range gives numbers from -1 to 1, apply"):
        fn.check_layer(Said(), (40,))


def derived(cls: Any) -> Any:
    return attrs.frozen(types.new_class(f"Other{cls.__name__}", (cls,), exec_body=lambda body: body.update({})))


def test_a_subclass_that_changes_nothing_keeps_the_range() -> None:
    assert range_of(derived(fn.Sigmoid)()) == Range(0.0, 1.0, of="OtherSigmoid")


def spec(folder: Path, last: list[Any], loss: str) -> str:
    document = {
        "data": {"type": "arrays", "x": X[:, :2].tolist(), "y": LABELS.tolist()},
        "model": {"type": "serial", "layers": [{"type": "dense", "units": 3}, *last]},
        "loss": loss, "optimizer": "adam", "training": {"epochs": 1},
    }  # fmt: skip
    path = folder / "spec.json"
    fn.save_spec(path, fn.from_json(document))
    return str(path)


@pytest.fixture(autouse=True)
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("command", ["check", "train"])
def test_the_commands_say_it(command: str, tmp_path: Path, caplog: Any, capsys: Any) -> None:
    out = ["--out", "run"] if command == "train" else []
    assert main([command, spec(tmp_path, ["softmax"], "softmax_cross_entropy"), *out]) == 0
    assert said(caplog) == [SOFT]
    capsys.readouterr()
    assert main([command, spec(tmp_path, [], "negative_log_likelihood")]) == 1
    assert "expected log-probabilities, 0 or less, but the last layer, Dense" in capsys.readouterr().err


# ----- units and classes --------------------------------------------------------------------------------------------


def table_spec(folder: Path, units: int, **changes: Any) -> str:
    rows = [f"{i % 7},{(i * i) % 5},k{i % 2}" for i in range(40)]
    (folder / "t.csv").write_text("\n".join(["a,b,y", *rows]), encoding="utf-8")
    document = {
        "data": {"type": "csv", "path": "t.csv", "target": "y"},
        "model": {"type": "serial", "layers": [{"type": "dense", "units": units}]},
        "loss": "softmax_cross_entropy", "optimizer": "adam", "training": {"epochs": 1}, **changes,
    }  # fmt: skip
    path = folder / "table.json"
    fn.save_spec(path, fn.from_json(document))
    return str(path)


UNITS = (
    "funcnet: SoftmaxCrossEntropy: expected 2 units, one for each class, got 5; the data has 2 classes, 'k0', 'k1': "
    "change the units of the last layer\n"
)


@pytest.mark.parametrize("command", ["check", "train"])
def test_more_units_than_classes(command: str, tmp_path: Path, capsys: Any) -> None:
    assert main([command, table_spec(tmp_path, 5)]) == 1
    assert capsys.readouterr().err == UNITS
    assert main([command, table_spec(tmp_path, 2)]) == 0


def test_a_run_with_more_units_than_classes_is_not_read(tmp_path: Path, capsys: Any) -> None:
    assert main(["train", table_spec(tmp_path, 2), "--out", "run"]) == 0
    preprocess = (tmp_path / "run" / "preprocess.json").read_text(encoding="utf-8")
    (tmp_path / "run" / "preprocess.json").write_text(preprocess.replace('"k1"', '"k1", "k2"'), encoding="utf-8")
    sign(tmp_path / "run")
    capsys.readouterr()
    for command in (["predict", "run", "t.csv"], ["evaluate", "run"], ["source", "run", "--inference"]):
        assert main(command) == 1
        assert "expected 3 units, one for each class, got 2" in capsys.readouterr().err


def test_an_alphabet_is_counted(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "t.txt").write_text("to be or not to be, " * 20, encoding="utf-8")
    embedding = {"type": "embedding", "size": 96, "features": 4}
    layers = {"model": {"type": "serial", "layers": [embedding, {"type": "dense", "units": 128}]}}
    path = table_spec(tmp_path, 1, data={"type": "text", "path": "t.txt", "length": 8}, **layers)
    assert main(["train", path]) == 1
    assert "expected 96 units, one for each class, got 128; the data has 96 classes" in capsys.readouterr().err


def test_bare_labels_are_not_counted() -> None:
    fit(ending(5), SOFTMAX, LABELS)


def test_one_number_tells_two_classes_apart() -> None:
    experiment = fn.Experiment(
        data=fn.data.Iris(), model=fn.Dense(1), loss=MSE, optimizer=optim.SGD(0.1), training=fn.Training(epochs=1)
    )
    with pytest.raises(fn.ShapeError) as caught:
        fn.run(experiment)
    assert str(caught.value) == (
        "MeanSquaredError: expected two classes for one unit, got 3 classes, 'setosa', 'versicolor', 'virginica'; "
        "use SoftmaxCrossEntropy and 3 units"
    )


def test_class_names_differ(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["x"], file["y"], file["c"] = X, LABELS, np.array([b"a", b"a", b"b"])
    source = fn.data.Hdf5(path="t.h5", x="x", y="y", classes="c")
    experiment = fn.Experiment(
        data=source, model=fn.Dense(3), loss=SOFTMAX, optimizer=optim.SGD(0.1), training=fn.Training(epochs=1)
    )
    with pytest.raises(fn.DataError, match="expected distinct class names, got 'a' twice; rename one"):
        fn.run(experiment)
