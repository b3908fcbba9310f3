"""The controls of the page: their values for an experiment, and the experiment after a change of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from funcnet.combinators.serial import Serial, serial
from funcnet.data.preparation import labelled
from funcnet.data.sniff import look
from funcnet.data.sources.base import Source
from funcnet.data.sources.generators import Circles, HalfPlaneGrid, Moons, Sine, Spirals
from funcnet.data.split import Split
from funcnet.errors import DataError, FuncnetError
from funcnet.experiments.experiment import Experiment, Training
from funcnet.experiments.starter import source
from funcnet.key import Key
from funcnet.layers.activations import Elu, Gelu, Identity, LeakyRelu, Relu, Sigmoid, Silu, Softplus, Tanh
from funcnet.layers.base import Layer
from funcnet.layers.dense import Dense
from funcnet.losses.base import Loss
from funcnet.losses.classification import SigmoidCrossEntropy, SoftmaxCrossEntropy
from funcnet.losses.margins import CategoricalHinge
from funcnet.losses.regression import Huber, MeanAbsoluteError, MeanSquaredError
from funcnet.metrics.decisions import Accuracy
from funcnet.optim.adagrad import Adagrad, RMSprop
from funcnet.optim.adam import Adam, AdamW
from funcnet.optim.base import Optimizer
from funcnet.optim.lion import Lion
from funcnet.optim.sgd import SGD
from funcnet.play.stages import MOST_INPUTS, MOST_UNITS
from funcnet.spec.base import evolve

SPLIT = Split(test=0.25)
SOURCES: dict[str, Source] = {
    "moons": Moons(rows=300, noise=0.12, split=SPLIT),
    "spirals": Spirals(rows=300, classes=2, turns=1.2, noise=0.02, split=SPLIT, scale="standard"),
    "circles": Circles(rows=300, noise=0.08, split=SPLIT),
    "half_plane_grid": HalfPlaneGrid(low=-9, high=9, split=SPLIT, scale="standard"),
    "sine": Sine(rows=200, noise=0.1, split=SPLIT),
}
ACTIVATIONS: dict[str, Layer] = {
    str(layer.tag): layer
    for layer in (Tanh(), Relu(), Sigmoid(), LeakyRelu(), Elu(), Gelu(), Silu(), Softplus(), Identity())
}
OPTIMIZERS: dict[str, tuple[Callable[[float], Optimizer], float]] = {
    "sgd": (lambda rate: SGD(rate), 0.1),
    "sgd with momentum": (lambda rate: SGD(rate, momentum=0.9), 0.03),
    "sgd with nesterov": (lambda rate: SGD(rate, momentum=0.9, nesterov=True), 0.03),
    "adagrad": (lambda rate: Adagrad(rate), 0.1),
    "rmsprop": (lambda rate: RMSprop(rate), 0.01),
    "adam": (lambda rate: Adam(rate), 0.02),
    "adamw": (lambda rate: AdamW(rate), 0.02),
    "lion": (lambda rate: Lion(rate), 0.003),
}
"""By name, an optimizer for a learning rate, and the rate to begin with"""
LABEL_LOSSES: dict[str, Loss] = {
    "softmax_cross_entropy": SoftmaxCrossEntropy(),
    "sigmoid_cross_entropy": SigmoidCrossEntropy(),
    "categorical_hinge": CategoricalHinge(),
    "mean_squared_error": MeanSquaredError(),
}
ONE_UNIT = ("sigmoid_cross_entropy", "mean_squared_error")
"""Losses of two classes with one output; the second is on probabilities"""
VALUE_LOSSES: dict[str, Loss] = {
    "mean_squared_error": MeanSquaredError(),
    "mean_absolute_error": MeanAbsoluteError(),
    "huber": Huber(),
}
RATES = (0.0003, 0.001, 0.003, 0.01, 0.02, 0.03, 0.1, 0.3, 1.0, 3.0)
BATCHES = (1, 4, 8, 16, 32, 64, 128)
WIDEST, DEEPEST = 16, 6
"""Units of a hidden layer and hidden layers that the controls allow"""
STEPS = 2000
MOST_ROWS = 2000
MOST_TABLE = 200_000
"""Characters of a table"""


def first() -> Experiment:
    """The experiment that the page opens with."""
    return Experiment(
        data=SOURCES["moons"],
        model=network((6, 4), "tanh", 2),
        loss=SoftmaxCrossEntropy(),
        metrics=(Accuracy(),),
        optimizer=Adam(0.02),
        training=Training(steps=STEPS, batch_size=16),
    )


def network(widths: Sequence[int], activation: str, outputs: int, last: Layer | None = None) -> Serial:
    """Dense layers with an activation after each but the last, which is the head."""
    layers: list[Layer | tuple[str, Layer]] = []
    for units in widths:
        layers += [Dense(units), ACTIVATIONS[activation]]
    return serial(*layers, ("head", Dense(outputs)), *([] if last is None else [last]))


def of_file(file: Path) -> Experiment:
    """The first experiment for a table in a file, by its last column.

    Raises   DataError for a table with other inputs than a few columns of numbers
    """
    try:
        found = look(file)
    except DataError as error:  # the page takes the last column
        error.message = error.message.replace("choose another with --target", "put another column last")
        raise
    kinds = [column.kind for column in found.inputs]
    if found.more or not 1 <= len(kinds) <= MOST_INPUTS or set(kinds) != {"number"}:
        others = [column for column in found.inputs if column.kind != "number"] or found.inputs
        read = ", ".join(f"{column.name!r:.40} ({column.kind})" for column in others[:4])
        wanted = f"expected 1 to {MOST_INPUTS} columns of numbers and then the target"
        raise DataError(f"{file.name}: {wanted}, got {len(kinds)} columns before it: {read}")
    data = evolve(source(found, file.name), scale="standard")
    values = found.target.kind == "values"
    classes = 0 if values else _classes(data, file.parent)
    if classes > MOST_UNITS:
        raise DataError(
            f"{file.name}: the target has {classes} classes, and play draws a unit for each, at most {MOST_UNITS}"
        )
    return Experiment(
        data=data,
        model=network((6, 4), "tanh", 1 if values else classes),
        loss=MeanSquaredError() if values else SoftmaxCrossEntropy(),
        metrics=() if values else (Accuracy(),),
        optimizer=Adam(0.02),
        training=Training(steps=STEPS, batch_size=16),
    )


def settings(experiment: Experiment) -> dict[str, Any]:
    """The values of the controls for an experiment; None for a field that a control cannot show."""
    data, model = experiment.data, experiment.model
    assert isinstance(model, Serial)
    dense = [layer for layer in model.children.values() if isinstance(layer, Dense)]
    others = [layer for layer in model.children.values() if not isinstance(layer, Dense)]
    between = {layer.tag for layer in others[: len(dense) - 1]}
    rate = getattr(experiment.optimizer, "learning_rate", None)
    return {
        "data": data.tag,
        "rows": getattr(data, "rows", None),
        "noise": getattr(data, "noise", None),
        "layers": [layer.units for layer in dense[:-1]],
        "activation": between.pop() if len(between) == 1 else None,
        "loss": experiment.loss.tag,
        "optimizer": named_optimizer(experiment.optimizer),
        "rate": rate if isinstance(rate, float) else None,
        "batch": experiment.training.batch_size,
        "seed": experiment.seed,
    }


def named_optimizer(optimizer: Optimizer) -> str:
    """The name of an optimizer among the choices, or its tag."""
    rate = getattr(optimizer, "learning_rate", 0.1)
    for name, (make, _) in OPTIMIZERS.items():
        if make(rate) == optimizer:
            return name
    return str(optimizer.tag)


def choices(experiment: Experiment, base: Path) -> dict[str, Any]:
    """The choices of each control."""
    classes = _classes(experiment.data, base)
    losses = [name for name in LABEL_LOSSES if classes == 2 or name not in ONE_UNIT] if classes else list(VALUE_LOSSES)
    return {
        "data": list(SOURCES),
        "activation": list(ACTIVATIONS),
        "loss": losses,
        "optimizer": list(OPTIMIZERS),
        "rate": list(RATES),
        "batch": list(BATCHES),
        "widest": WIDEST,
        "deepest": DEEPEST,
        "most_rows": MOST_ROWS,
    }


def changed(experiment: Experiment, name: str, value: Any, base: Path) -> Experiment:
    """The experiment after a change of one control.

    Raises   FuncnetError for a control that does not exist, and a value outside its range
    """
    if name not in CHANGES:
        raise FuncnetError(f"set: expected one of {', '.join(CHANGES)}, got {name!r:.40}")
    return CHANGES[name](experiment, value, base)


def _data(experiment: Experiment, value: Any, base: Path) -> Experiment:
    return _suited(evolve(experiment, data=SOURCES[_one_of("data", value, SOURCES)]), base)


def _rows(experiment: Experiment, value: Any, base: Path) -> Experiment:
    rows = _whole("rows", value, 20, MOST_ROWS)
    return evolve(experiment, data=evolve(_with("rows", experiment.data), rows=rows))


def _noise(experiment: Experiment, value: Any, base: Path) -> Experiment:
    noise = _number("noise", value, 0.0, 1.0)
    return evolve(experiment, data=evolve(_with("noise", experiment.data), noise=noise))


def _layers(experiment: Experiment, value: Any, base: Path) -> Experiment:
    if not isinstance(value, list) or len(value) > DEEPEST:
        raise FuncnetError(f"layers: expected a list of up to {DEEPEST} numbers of units, got {value!r:.60}")
    widths = [_whole("layers", units, 1, WIDEST) for units in value]
    return _rebuilt(experiment, widths, settings(experiment)["activation"] or "tanh")


def _activation(experiment: Experiment, value: Any, base: Path) -> Experiment:
    return _rebuilt(experiment, settings(experiment)["layers"], _one_of("activation", value, ACTIVATIONS))


def _rebuilt(experiment: Experiment, widths: Sequence[int], activation: str) -> Experiment:
    """The experiment with other hidden layers, and the head that it has."""
    layers = list(experiment.model.children.values())
    at = max(i for i, layer in enumerate(layers) if isinstance(layer, Dense))
    head = layers[at]
    assert isinstance(head, Dense)
    last = layers[at + 1] if at + 1 < len(layers) else None
    model = network(widths, activation, head.units, last)
    return evolve(experiment, model=model, training=evolve(experiment.training, initial=None))


def _loss(experiment: Experiment, value: Any, base: Path) -> Experiment:
    known = choices(experiment, base)["loss"]
    name = _one_of("loss", value, known)
    return _suited(experiment, base, name)


def _suited(experiment: Experiment, base: Path, name: str | None = None) -> Experiment:
    """The experiment with a loss for its data, by name or its own if that fits, and a head for the loss."""
    classes = _classes(experiment.data, base)
    known = LABEL_LOSSES if classes else VALUE_LOSSES
    tag = name or experiment.loss.tag
    fits = tag in known and (classes in (0, 2) or tag not in ONE_UNIT)
    tag = str(tag) if fits else next(iter(known))
    outputs = 1 if not classes or tag in ONE_UNIT else classes
    shown = settings(experiment)
    last = Sigmoid() if classes and tag == "mean_squared_error" else None
    return evolve(
        experiment,
        loss=known[tag],
        model=network(shown["layers"], shown["activation"] or "tanh", outputs, last),
        metrics=(Accuracy(),) if classes else (),
        training=evolve(experiment.training, initial=None),
    )


def _optimizer(experiment: Experiment, value: Any, base: Path) -> Experiment:
    make, rate = OPTIMIZERS[_one_of("optimizer", value, OPTIMIZERS)]
    return evolve(experiment, optimizer=make(rate))


def _rate(experiment: Experiment, value: Any, base: Path) -> Experiment:
    rate = _number("rate", value, 0.0, 100.0)
    if not hasattr(experiment.optimizer, "learning_rate"):
        name = type(experiment.optimizer).__name__
        raise FuncnetError(f"rate: {name} has no learning rate to change; choose another optimizer")
    return evolve(experiment, optimizer=evolve(experiment.optimizer, learning_rate=rate))


def _batch(experiment: Experiment, value: Any, base: Path) -> Experiment:
    size = _whole("batch", value, 1, 512)
    return evolve(experiment, training=evolve(experiment.training, batch_size=size))


def _seed(experiment: Experiment, value: Any, base: Path) -> Experiment:
    return evolve(experiment, seed=_whole("seed", value, 0, 2**32 - 1))


CHANGES: dict[str, Callable[[Experiment, Any, Path], Experiment]] = {
    "data": _data,
    "rows": _rows,
    "noise": _noise,
    "layers": _layers,
    "activation": _activation,
    "loss": _loss,
    "optimizer": _optimizer,
    "rate": _rate,
    "batch": _batch,
    "seed": _seed,
}


def _classes(data: Source, base: Path) -> int:
    """The number of classes of a source; 0 for values."""
    return len(labelled(data, Key(0), base)[1] or ())


def _with(name: str, data: Source) -> Source:
    if not hasattr(data, name):
        raise FuncnetError(f"{name}: the data {data.tag} has none")
    return data


def _one_of(name: str, value: Any, known: Any) -> str:
    if not isinstance(value, str) or value not in known:
        raise FuncnetError(f"{name}: expected one of {', '.join(known)}, got {value!r:.40}")
    return value


def _whole(name: str, value: Any, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise FuncnetError(f"{name}: expected a whole number from {low} to {high}, got {value!r:.40}")
    return value


def _number(name: str, value: Any, low: float, high: float) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
        raise FuncnetError(f"{name}: expected a number from {low:g} to {high:g}, got {value!r:.40}")
    return float(value)
