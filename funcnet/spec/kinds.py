"""The kinds of specs, and where the library's own classes of each kind are."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from funcnet.lazy import public


class Kind(NamedTuple):
    """The base class of a kind as ``module`` and ``name``; its classes are the names that ``package`` publishes from
    ``rooms``: modules, or packages of them."""

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
"""A kind without rooms has all its classes in the module of its base"""


def base_of(kind: str) -> Any:
    """The class that a field of this kind admits."""
    return getattr(importlib.import_module(KINDS[kind].module), KINDS[kind].name)


def modules(kind: str, tag: str | None = None) -> Iterator[str]:
    """The modules with the library's classes of a kind; those that may have a tag, if one is given."""
    found = KINDS[kind]
    yield found.module
    for name, module in public(found.package).items():
        inside = any(module == room or module.startswith(f"{room}.") for room in found.rooms)
        if inside and (tag is None or tag.replace("_", "") == name.lower()):
            yield module


def load(kind: str, tag: str | None) -> None:
    """Import the module of a built-in tag, or all modules of a kind for a tag of None."""
    for module in modules(kind, tag) if kind in KINDS else ():
        importlib.import_module(module)
