"""Common parts of networks, as plain functions that return specs."""

from __future__ import annotations

from typing import Any

from funcnet.combinators.residual import Residual
from funcnet.combinators.serial import Serial, serial
from funcnet.layers.activations import Gelu, Relu
from funcnet.layers.attention import MultiHeadAttention
from funcnet.layers.base import Layer
from funcnet.layers.convolution import Conv2D
from funcnet.layers.dense import Dense
from funcnet.layers.embedding import RotaryPositions
from funcnet.layers.noise import Dropout
from funcnet.layers.normalization import BatchNorm, LayerNorm


def conv_block(filters: int, kernel_size: Any = 3, strides: Any = 1, padding: Any = "same") -> Serial:
    """Convolution, batch normalization, relu."""
    return serial(Conv2D(filters, kernel_size, strides, padding, use_bias=False), BatchNorm(), Relu())


def resnet_block(filters: int, strides: Any = 1, project: bool | None = None) -> Serial:
    """Two convolutions with a shortcut, then relu. He et al. (2015).

    The shortcut is a 1×1 convolution if the ``strides`` change the shape; ``project``, if given, decides this
    instead, for a block that changes the number of features.
    """
    body = serial(
        Conv2D(filters, 3, strides, use_bias=False),
        BatchNorm(),
        Relu(),
        Conv2D(filters, 3, use_bias=False),
        BatchNorm(),
    )
    shortcut = serial(Conv2D(filters, 1, strides, use_bias=False), BatchNorm())
    changes = (strides not in (1, (1, 1))) if project is None else project
    return serial(Residual(body, shortcut if changes else None), Relu())


def transformer_block(
    width: int,
    heads: int,
    *,
    causal: bool = False,
    hidden: int | None = None,
    dropout: float = 0.0,
    rotary: bool = False,
    activation: Layer | None = None,
) -> Serial:
    """Attention and two dense layers, each part after a layer normalization and with a shortcut.

    ``width`` is the number of input and output features, ``hidden`` the number between the dense layers, by default
    four times as many. Vaswani et al. (2017), with the normalization first as in Xiong et al. (2020).
    """
    drop = [Dropout(dropout)] if dropout else []
    attention = MultiHeadAttention(heads, causal, rotary=RotaryPositions() if rotary else None, dropout=dropout)
    dense = [Dense(4 * width if hidden is None else hidden), activation or Gelu(), Dense(width)]
    return serial(
        attention=Residual(serial(LayerNorm(), attention, *drop)), dense=Residual(serial(LayerNorm(), *dense, *drop))
    )
