"""A network and its training for a table of numbers that nobody has described."""

from __future__ import annotations

from typing import Literal, NamedTuple

from funcnet.combinators.serial import serial
from funcnet.layers.activations import Relu
from funcnet.layers.base import Layer
from funcnet.layers.dense import Dense
from funcnet.optim.adam import AdamW
from funcnet.optim.base import Optimizer
from funcnet.optim.schedules import Cosine
from funcnet.shapes import Shape

BATCH = 256
"""Rows of a batch"""
STEPS = 2000
"""Training steps, as far as ``EPOCHS`` allow"""
EPOCHS = (20, 200)
"""The fewest and the most epochs"""


class Recipe(NamedTuple):
    """A network, and how to train it."""

    model: Layer
    optimizer: Optimizer
    epochs: int
    batch_size: int


def auto(
    rows: int, in_shape: Shape, outputs: int, task: Literal["classification", "regression"], seed: int = 0
) -> Recipe:
    """A network for ``rows`` of standardised numbers, with its optimizer, epochs and batch size.

    Tables of at most ``BATCH`` rows have one recipe, which draws nothing but the first weights: there a weight of 2
    has the effect of a row given twice.
    """
    few, most = EPOCHS
    epochs = min(most, max(few, round(STEPS / -(-rows // BATCH))))
    sizes = (32,) if rows < 1000 else (64, 64) if rows < 10_000 else (128, 128)
    hidden: list[Layer] = [layer for units in sizes for layer in (Dense(units), Relu())]
    optimizer = AdamW(Cosine(0.01), weight_decay=1.0 if rows < 10_000 else 0.1)
    return Recipe(serial(*hidden, head=Dense(outputs)), optimizer, epochs, BATCH)
