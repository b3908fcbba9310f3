"""Embedding, positions and attention."""

from typing import Any

import numpy as np

import funcnet as fn
from funcnet import initializers
from tests.row import Row
from tests.rows.recurrent import PADDED, masked

DRAWN = {"weight_init": initializers.HeNormal(), "bias_init": initializers.Normal(0.5)}


def indices(size: int, *shape: int) -> Any:
    return lambda key, rows: key.integers(size, (rows, *shape))


def masked_indices(key: fn.Key, rows: int) -> Any:
    return key.integers(5, (rows, 3)), masked(3, 2)(key, rows)[1]


def several(*makers: Any) -> Any:
    """A tuple of inputs; a maker is a shape, or a function of key and rows."""

    def x(key: fn.Key, rows: int) -> Any:
        keys = [key.fold(i) for i in range(len(makers))]
        return tuple(m(k, rows) if callable(m) else k.normal((rows, *m)) for k, m in zip(keys, makers, strict=True))

    return x


def mask_of(keys: int) -> Any:
    def x(key: fn.Key, rows: int) -> Any:
        mask = key.bits((rows, keys), np.uint8) % 2 == 1
        mask[:1] = False  # a sample without any key
        return mask

    return x


ROWS: dict[str, Row] = {
    "embedding": Row(fn.Embedding(5, 2), (3,), x=indices(5, 3)),
    "embedding_scalar": Row(fn.Embedding(3, 2, weight_init=initializers.Uniform(-1.0, 1.0)), (), x=indices(3)),
    "embedding_table": Row(fn.Embedding(4, 3, padding_index=1), (2, 2), x=indices(4, 2, 2)),
    "embedding_masked": Row(fn.Embedding(5, 2), ((3,), (3,)), x=masked_indices),
    "embedding_inside": Row(fn.serial(fn.Embedding(5, 3), fn.Flatten(), fn.Dense(2)), (2,), x=indices(5, 2)),
    "learned_positions": Row(fn.LearnedPositions(4), (3, 2)),
    "learned_positions_masked": Row(
        fn.LearnedPositions(3, weight_init=initializers.Normal(1.0)), PADDED, x=masked(3, 2)
    ),
    "sinusoidal_positions": Row(fn.SinusoidalPositions(), (3, 5)),
    "sinusoidal_positions_masked": Row(fn.SinusoidalPositions(), PADDED, x=masked(3, 2)),
    "rotary_positions": Row(fn.RotaryPositions(), (3, 4)),
    "rotary_positions_interleaved": Row(fn.RotaryPositions(base=100.0, interleaved=True), (3, 6)),
    "rotary_positions_part": Row(fn.RotaryPositions(features=2), (3, 4)),
    "rotary_positions_masked": Row(fn.RotaryPositions(), PADDED, x=masked(3, 2)),
    "dot_product_attention": Row(fn.DotProductAttention(), ((2, 3), (4, 3), (4, 2))),
    "dot_product_attention_causal": Row(fn.DotProductAttention(causal=True, scale=0.7), ((3, 2), (3, 2), (3, 2))),
    "dot_product_attention_masked": Row(
        fn.DotProductAttention(), ((2, 3), (4, 3), (4, 2), (4,)), x=several((2, 3), (4, 3), (4, 2), mask_of(4))
    ),
    "dot_product_attention_bias": Row(fn.DotProductAttention(), ((2, 3), (3, 3), (3, 2), (2, 3))),
    "dot_product_attention_heads": Row(fn.DotProductAttention(), ((2, 4, 3), (3, 2, 3), (3, 2, 2), (4, 2, 3))),
    "dot_product_attention_shared_bias": Row(fn.DotProductAttention(), ((2, 2, 3), (3, 2, 3), (3, 2, 2), (2, 3))),
    "multi_head_attention_grouped_dropout": Row(
        fn.MultiHeadAttention(4, key_value_heads=2, head_features=3, dropout=0.4), (3, 2), coupled=True
    ),
    "multi_head_attention": Row(fn.MultiHeadAttention(2), (3, 4)),
    "multi_head_attention_causal": Row(fn.MultiHeadAttention(1, causal=True, use_bias=False), (3, 2)),
    "multi_head_attention_grouped": Row(fn.MultiHeadAttention(4, key_value_heads=2, head_features=1), (3, 2)),
    "multi_head_attention_rotary": Row(
        fn.MultiHeadAttention(2, causal=True, rotary=fn.RotaryPositions(), **DRAWN), (3, 4)
    ),
    "multi_head_attention_masked": Row(fn.MultiHeadAttention(1), PADDED, x=masked(3, 2)),
    "multi_head_attention_dropout": Row(fn.MultiHeadAttention(2, dropout=0.4), (3, 4), coupled=True),
    "multi_head_attention_cross": Row(fn.MultiHeadAttention(2, cross=True), ((2, 4), (3, 3))),
    "multi_head_attention_cross_masked": Row(
        fn.MultiHeadAttention(1, cross=True), ((2, 4), PADDED), x=several((2, 4), masked(3, 2))
    ),
    "multi_head_attention_bias": Row(fn.MultiHeadAttention(2, additive_bias=True), ((2, 4), (2, 2, 2))),
    "multi_head_attention_everything": Row(
        fn.MultiHeadAttention(2, cross=True, additive_bias=True, head_features=2, dropout=0.3),
        (PADDED, ((2, 3), (2,)), (2, 3, 2)),
        coupled=True,
        x=several(masked(3, 2), masked(2, 3), (2, 3, 2)),
    ),
}
