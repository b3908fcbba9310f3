"""The kinds of specs, and the modules of the library's classes of each kind."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from funcnet.lazy import public


class Kind(NamedTuple):
    """The base class of a kind as ``module`` and ``name``; its classes are the public names of ``package`` from
    ``rooms``, which are modules or packages."""

    module: str
    name: str
    package: str = "funcnet"
    rooms: tuple[str, ...] = ()


KINDS = {
    "layer": Kind("funcnet.layers.base", "Layer", "funcnet", ("funcnet.layers", "funcnet.combinators")),
    "loss": Kind("funcnet.losses.base", "Loss", "funcnet.losses", ("funcnet.losses",)),
    "optimizer": Kind("funcnet.optim.base", "Optimizer", "funcnet.optim", ("funcnet.optim",)),
    "schedule": Kind(
        "funcnet.optim.schedules",
        "Schedule",
        "funcnet.optim",
        ("funcnet.optim.schedules", "funcnet.optim.joined_schedules"),
    ),
    "initializer": Kind("funcnet.initializers", "Initializer"),
    "metric": Kind("funcnet.metrics.base", "Metric", "funcnet.metrics", ("funcnet.metrics",)),
    "data": Kind("funcnet.data.sources.base", "Source", "funcnet.data", ("funcnet.data.sources",)),
    "split": Kind("funcnet.data.split", "Split"),
    "augmentation": Kind("funcnet.data.augmentation", "Augmentation"),
    "training": Kind("funcnet.experiments.experiment", "Training"),
    "callback": Kind("funcnet.training.callbacks", "Callback"),
    "checkpoint": Kind("funcnet.training.callbacks", "Checkpoint"),
    "initial": Kind("funcnet.experiments.experiment", "Initial"),
    "experiment": Kind("funcnet.experiments.experiment", "Experiment"),
}
"""All classes of a kind without rooms are in the module of its base"""


def base_of(kind: str) -> Any:
    """The base class of a kind, the type of fields of that kind."""
    return getattr(importlib.import_module(KINDS[kind].module), KINDS[kind].name)


@functools.cache
def _places(kind: str) -> tuple[tuple[str, str], ...]:
    """The library's classes of a kind: each public name in small letters, and its module."""
    _, _, package, rooms = KINDS[kind]
    return tuple(
        (name.lower(), module)
        for name, module in public(package).items()
        if any(module == room or module.startswith(f"{room}.") for room in rooms)
    )


def modules(kind: str, tag: str | None = None) -> Iterator[str]:
    """The modules with the library's classes of a kind, or only those that may define ``tag``."""
    yield KINDS[kind].module
    for name, module in _places(kind):
        if tag is None or tag.replace("_", "") == name:
            yield module


def load(kind: str, tag: str | None) -> None:
    """Import the module of a built-in tag, or all modules of a kind if the tag is None."""
    if kind not in KINDS:
        return
    if tag is None:
        _load_all(kind)
        return
    for module in modules(kind, tag):
        importlib.import_module(module)


@functools.cache
def _load_all(kind: str) -> None:
    """Import all modules of a kind, once: a document may have thousands of unknown tags."""
    for module in modules(kind):
        importlib.import_module(module)
