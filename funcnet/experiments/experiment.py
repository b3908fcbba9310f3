"""A whole experiment as one spec: data, model, loss, optimizer, training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Literal

from attrs import field

from funcnet.data.augmentation import Augmentation
from funcnet.data.paths import inside
from funcnet.data.sources.base import Source
from funcnet.errors import Problem
from funcnet.files import read_npz
from funcnet.layers.base import Layer, Params, State
from funcnet.losses.base import Loss
from funcnet.metrics import Metric
from funcnet.optim.base import Optimizer
from funcnet.spec.base import Spec, register
from funcnet.spec.fields import frozen, non_negative, positive
from funcnet.training.callbacks import Callback, Checkpoint, EarlyStopping
from funcnet.training.weights import split_members


@frozen
class Initial(Spec):
    """Base of what gives starting values other than the layers' own initializers."""

    kind: ClassVar[str] = "initial"

    def values(self, base: Path) -> tuple[Params, State]:
        """``(params, state)``; paths are relative to ``base``."""
        raise TypeError(f"{type(self).__name__} does not define values(base)")


@register("npz")
@frozen
class InitialNpz(Initial):
    """Starting values from the members ``params/<path>`` and ``state/<path>`` of an archive."""

    path: str

    def values(self, base: Path) -> tuple[Params, State]:
        return split_members(read_npz(inside(base, self.path)))


@register("training")
@frozen
class Training(Spec):
    """How long and in what batches: ``epochs`` or ``steps``; ``batch_size`` rows, or ``"full"``.

    Rows that remain at the end of an epoch make a smaller batch, or with a ``remainder`` of "drop" wait for the next.
    ``shards`` cuts each batch into so many parts whose gradients are added, for batches larger than memory.

    ``class_weight`` weighs the loss of each sample by its class, by name or label: ``{"ill": 5.0, "well": 1.0}``;
    "balanced" gives every class the same total.

    ``early_stopping`` and other ``callbacks`` watch the history and may end the training; ``checkpoint`` writes files
    to go on from.

    ``augment`` are augmentations of each batch, one after the other, in training alone.

    ``log_every`` logs a line and keeps a row of the history at every so many steps. ``threads`` is how many
    the matrix products use: FUNCNET_THREADS, or what the machine and the container allow, unless given.
    """

    kind: ClassVar[str] = "training"

    epochs: int | None = field(default=None, validator=positive)
    steps: int | None = field(default=None, validator=positive)
    batch_size: int | Literal["full"] = field(default=32, validator=positive)
    remainder: Literal["keep", "drop"] = "keep"
    shards: int = field(default=1, validator=positive)
    class_weight: Literal["balanced"] | Mapping[str, float] | None = None
    augment: tuple[Augmentation, ...] = ()
    log_every: int | None = field(default=None, validator=positive)
    early_stopping: EarlyStopping | None = None
    checkpoint: Checkpoint | None = None
    callbacks: tuple[Callback, ...] = ()
    initial: Initial | None = None
    threads: int | None = field(default=None, validator=positive)

    def validate(self) -> Iterator[Problem]:
        if (self.epochs is None) == (self.steps is None):
            yield Problem("", f"expected either epochs or steps, got {'none' if self.epochs is None else 'both'}")


@register("experiment")
@frozen
class Experiment(Spec):
    """What ``run`` and the command line train: every part a spec, and a seed for all that is random.

    >>> experiment = fn.Experiment(
    ...     data=fn.data.Iris(split=fn.data.Split(test=0.2, stratify=True), scale="standard"),
    ...     model=fn.serial(fn.Dense(16), fn.Relu(), fn.Dense(3)),
    ...     loss=fn.losses.SoftmaxCrossEntropy(),
    ...     metrics=(fn.metrics.Accuracy(),),
    ...     optimizer=fn.optim.Adam(0.01),
    ...     training=fn.Training(epochs=60),
    ... )
    >>> fn.from_json(fn.to_json(experiment)) == experiment
    True
    """

    kind: ClassVar[str] = "experiment"

    seed: int = field(default=0, validator=non_negative)
    dtype: Literal["float32", "float64"] = "float32"
    data: Source = field(kw_only=True)
    model: Layer = field(kw_only=True)
    loss: Loss = field(kw_only=True)
    metrics: tuple[Metric, ...] = ()
    optimizer: Optimizer = field(kw_only=True)
    training: Training = field(kw_only=True)

    def validate(self) -> Iterator[Problem]:
        tags = [metric.name for metric in self.metrics]
        if len(set(tags)) < len(tags) or "loss" in tags:
            yield Problem(".metrics", f"expected metrics that differ, got {', '.join(map(str, tags))}")
