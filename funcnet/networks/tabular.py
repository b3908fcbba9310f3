"""The default network for a table, and its training: the recipe of ``model="auto"`` and ``funcnet init``."""

from __future__ import annotations

from typing import NamedTuple

from funcnet.combinators.ensemble import Ensemble
from funcnet.combinators.serial import serial
from funcnet.initializers import Normal
from funcnet.layers.activations import Relu
from funcnet.layers.base import Layer
from funcnet.layers.dense import Dense, Scale
from funcnet.optim.adam import AdamW
from funcnet.optim.base import Optimizer
from funcnet.optim.schedules import Cosine
from funcnet.optim.transforms.average import EMA
from funcnet.optim.transforms.chain import chain
from funcnet.training.callbacks import EarlyStopping

FEW = 256
"""The most rows of a table that has no rows to spare for a validation part"""
MANY = 10_000
"""The rows from which on a table needs no validation part"""
BATCH = 128
"""Rows of a batch, of larger tables"""
MEMBERS = 8
STEADY = chain(AdamW(0.005, weight_decay=0.1), EMA(0.99))
"""An optimizer for a training that may end at any step"""


class Recipe(NamedTuple):
    """A network, and how to train it: for ``epochs``, or fewer by ``early_stopping`` on a validation part."""

    model: Layer
    optimizer: Optimizer
    epochs: int
    batch_size: int
    early_stopping: EarlyStopping | None = None


def auto(rows: int, outputs: int, members: int | None = MEMBERS) -> Recipe:
    """The recipe for ``rows`` of standardised numbers: TabM-mini, ``members`` networks that share their layers.

    Its outputs are (members, outputs), for ``losses.EachMember``; with ``members=None`` it is one network. How much a
    network can learn before it learns the noise depends on the table, so training stops by a validation part. The
    training of at most ``FEW`` rows draws nothing but the first weights, and depends on nothing but the form of the
    table: there a weight of 2 has the effect of a row given twice.

    Source   Gorishniy, Kotelnikov and Babenko (2024), TabM: Advancing tabular deep learning with parameter-efficient
             ensembling
    """
    if rows <= FEW:
        return Recipe(network(64, outputs, members), AdamW(Cosine(0.01), weight_decay=1.0), 150, FEW)
    per_epoch = -(-rows // BATCH)
    if rows < MANY:
        steps = min(2500, max(600, rows))
        stop = EarlyStopping(patience=max(4, 150 // per_epoch))
        return Recipe(network(64, outputs, members), STEADY, max(10, steps // per_epoch), BATCH, stop)
    epochs = max(10, 4000 // per_epoch)
    return Recipe(network(128, outputs, members), AdamW(Cosine(0.01), weight_decay=0.3), epochs, BATCH)


def plain(rows: int, model: Layer) -> Recipe:
    """The training of another network on ``rows`` of standardised numbers."""
    epochs = min(200, max(20, round(2000 / -(-rows // 256))))
    return Recipe(model, AdamW(Cosine(0.01), weight_decay=1.0 if rows < MANY else 0.1), epochs, 256)


def network(units: int, outputs: int, members: int | None) -> Layer:
    """Two hidden layers of ``units``, shared by the members."""
    hidden: list[Layer] = [Dense(units), Relu()] * 2
    if members is None:
        return serial(*hidden, head=Dense(outputs))
    views, head = Ensemble(Scale(Normal()), members), Ensemble(Dense(outputs), members, own_inputs=True)
    return serial(("views", views), *hidden, ("head", head))
