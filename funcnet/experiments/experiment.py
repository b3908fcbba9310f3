"""A whole experiment as one spec: data, model, loss, optimizer, training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Literal

from attrs import field

from funcnet.data.augmentation import Augmentation
from funcnet.data.paths import inside
from funcnet.data.sources.base import Source
from funcnet.errors import NotDefined, Problem
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
    """Base of sources of initial values other than the layers' initializers."""

    kind: ClassVar[str] = "initial"

    def values(self, base: Path) -> tuple[Params, State]:
        """``(params, state)``; paths are relative to ``base``."""
        raise NotDefined(f"{type(self).__name__} does not define values(base)")


@register("npz")
@frozen
class InitialNpz(Initial):
    """Initial values from the members ``params/<path>`` and ``state/<path>`` of an archive."""

    path: str

    def values(self, base: Path) -> tuple[Params, State]:
        return split_members(read_npz(inside(base, self.path)))


@register("training")
@frozen
class Training(Spec):
    """Length and batches of a training: ``epochs`` or ``steps``; ``batch_size`` rows, or ``"full"``.

    Rows that remain at the end of an epoch form a smaller batch, or are left out if ``remainder`` is "drop".
    ``shards`` cuts each batch into that many parts whose gradients are added, for batches larger than memory.

    ``class_weight`` weights the loss of each sample by its class, by name or label: ``{"ill": 5.0, "well": 1.0}``;
    "balanced" gives every class the same total.

    ``early_stopping`` and other ``callbacks`` watch the history and may end the training; ``checkpoint`` writes files
    to resume from.

    With ``calibrate``, a temperature is fitted on the validation part after training, which brings the probabilities
    of answers closer to the shares that are right: ``Run.temperature``. Metrics score these answers; the loss is that
    of the outputs, and the likeliest classes stay as they are.

    ``augment`` lists augmentations of each batch, applied in turn, only in training.

    Every ``log_every`` steps, a line is logged and a row is added to the history. ``threads`` is the number of threads
    of the matrix products, by default FUNCNET_THREADS, else as many as the machine and the container allow.
    """

    kind: ClassVar[str] = "training"

    epochs: int | None = field(default=None, validator=positive)
    steps: int | None = field(default=None, validator=positive)
    batch_size: int | Literal["full"] = field(default=32, validator=positive)
    remainder: Literal["keep", "drop"] = "keep"
    shards: int = field(default=1, validator=positive)
    class_weight: Literal["balanced"] | Mapping[str, float] | None = None
    calibrate: bool = False
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
        if self.batch_size != "full" and self.shards > self.batch_size:
            yield Problem(".shards", f"expected at most one for each of {self.batch_size} rows, got {self.shards}")


@register("experiment")
@frozen
class Experiment(Spec):
    """A whole training for ``run`` and the command line: every part is a spec, and one seed decides all draws.

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
            yield Problem(".metrics", f"expected distinct metrics, got {', '.join(map(str, tags))}")
        if self.training.calibrate and not self.loss.probabilities:
            yield Problem(
                ".training.calibrate",
                f"expected a loss of probabilities, such as softmax_cross_entropy, got {self.loss.tag}; leave it out",
            )
