"""Recurrent layers and cells, and what goes with sequences."""

from typing import Any

import numpy as np

import funcnet as fn
from funcnet import initializers
from tests.row import Row

DRAWN = {
    "weight_init": initializers.HeNormal(),
    "recurrent_init": initializers.Normal(0.5),
    "bias_init": initializers.Normal(0.5),
}


def masked(*shape: int) -> Any:
    """Sequences with masks of several forms: whole, nothing real, its end missing, its start and middle missing."""

    def x(key: fn.Key, rows: int) -> Any:
        time = shape[0]
        steps = np.arange(time)
        masks = [steps >= 0, steps < 0, steps < time - 1, steps % 2 == 1]
        return key.normal((rows, *shape)), np.array([masks[i % 4] for i in range(rows)], bool).reshape(rows, time)

    return x


def with_carry(x: Any, *units: int) -> Any:
    def both(key: fn.Key, rows: int) -> Any:
        carry = tuple(key.fold("carry", i).normal((rows, n)) for i, n in enumerate(units))
        return x(key, rows), carry if len(units) > 1 else carry[0]

    return both


def plain(*shape: int) -> Any:
    return lambda key, rows: key.normal((rows, *shape))


PADDED = ((3, 2), (3,))

ROWS: dict[str, Row] = {
    "rnn": Row(fn.RNN(2), (3, 2)),
    "rnn_relu": Row(fn.RNN(3, activation="relu", reverse=True), (3, 2)),
    "rnn_last": Row(fn.RNN(2, return_sequences=False, use_bias=False), (3, 2)),
    "rnn_masked": Row(fn.RNN(2, reverse=True), PADDED, x=masked(3, 2)),
    "rnn_options": Row(fn.RNN(2, carry=True, **DRAWN), (PADDED, (2,)), x=with_carry(masked(3, 2), 2)),
    "lstm": Row(fn.LSTM(2), (3, 2)),
    "lstm_narrow": Row(fn.LSTM(1), (2, 3)),
    "lstm_last": Row(fn.LSTM(2, return_sequences=False), (3, 2)),
    "lstm_reverse": Row(fn.LSTM(2, reverse=True, use_bias=False), (3, 2)),
    "lstm_masked": Row(fn.LSTM(2), PADDED, x=masked(3, 2)),
    "lstm_masked_last": Row(fn.LSTM(2, return_sequences=False, reverse=True), PADDED, x=masked(3, 2)),
    "lstm_carry": Row(fn.LSTM(2, carry=True), ((3, 2), ((2,), (2,))), x=with_carry(plain(3, 2), 2, 2)),
    "lstm_options": Row(
        fn.LSTM(2, return_sequences=False, carry=True, **DRAWN),
        (PADDED, ((2,), (2,))),
        x=with_carry(masked(3, 2), 2, 2),
    ),
    "gru": Row(fn.GRU(2), (3, 2)),
    "gru_original": Row(fn.GRU(2, reset_after=False), (3, 2)),
    "gru_original_masked": Row(fn.GRU(2, reset_after=False, reverse=True), PADDED, x=masked(3, 2)),
    "gru_last": Row(fn.GRU(2, return_sequences=False, use_bias=False), (3, 2)),
    "gru_reverse": Row(fn.GRU(2, reverse=True, **DRAWN), (3, 2)),
    "gru_masked": Row(fn.GRU(2, **DRAWN), PADDED, x=masked(3, 2)),
    "gru_carry": Row(fn.GRU(3, carry=True, **DRAWN), ((2, 2), (3,)), x=with_carry(plain(2, 2), 3)),
    "rnn_cell": Row(fn.RNNCell(2), ((3,), (2,))),
    "rnn_cell_options": Row(fn.RNNCell(2, use_bias=False, activation="relu"), ((3,), (2,))),
    "rnn_cell_drawn": Row(fn.RNNCell(1, **DRAWN), ((3,), (1,))),
    "lstm_cell": Row(fn.LSTMCell(2), ((3,), ((2,), (2,)))),
    "lstm_cell_no_bias": Row(fn.LSTMCell(1, use_bias=False), ((2,), ((1,), (1,)))),
    "lstm_cell_drawn": Row(fn.LSTMCell(2, **DRAWN), ((3,), ((2,), (2,)))),
    "gru_cell": Row(fn.GRUCell(2, **DRAWN), ((3,), (2,))),
    "gru_cell_original": Row(fn.GRUCell(2, reset_after=False), ((3,), (2,))),
    "gru_cell_no_bias": Row(fn.GRUCell(1, use_bias=False), ((3,), (1,))),
    "bidirectional": Row(fn.Bidirectional(fn.GRU(2)), (3, 2)),
    "bidirectional_sum": Row(fn.Bidirectional(fn.LSTM(2), merge="sum"), PADDED, x=masked(3, 2)),
    "bidirectional_last": Row(fn.Bidirectional(fn.RNN(2, return_sequences=False)), PADDED, x=masked(3, 2)),
    "bidirectional_masked": Row(fn.serial(fn.Bidirectional(fn.LSTM(1)), fn.SequencePool()), PADDED, x=masked(3, 2)),
    "on_sequence": Row(fn.OnSequence(fn.Dense(3)), PADDED, x=masked(3, 2)),
    "on_sequence_plain": Row(fn.OnSequence(fn.serial(fn.LayerNorm(), fn.Tanh())), (3, 2)),
    "on_sequence_noise": Row(
        fn.OnSequence(fn.serial(fn.Dense(3), fn.BatchNorm(), fn.Dropout(0.5))), PADDED, coupled=True, x=masked(3, 2)
    ),
    "batch_norm_masked": Row(fn.BatchNorm(), PADDED, coupled=True, x=masked(3, 2)),
    "batch_norm_masked_images": Row(
        fn.BatchNorm(use_scale=False, use_bias=False), ((3, 2, 2), (3,)), coupled=True, x=masked(3, 2, 2)
    ),
    "lifted": Row(
        fn.serial(fn.Dropout(0.5), fn.Dense(3), fn.BatchNorm(), fn.Relu(), fn.LayerNorm(), fn.Gelu(), fn.RMSNorm()),
        PADDED,
        coupled=True,
        x=masked(3, 2),
    ),
    "lifted_inside": Row(
        fn.Residual(fn.serial(fn.WeightNorm(fn.Dense(2)), fn.Frozen(fn.Scale()), fn.Remat(fn.Bias()))),
        PADDED,
        x=masked(3, 2),
    ),
    "lifted_several": Row(
        fn.serial(fn.Branch((fn.Dense(2), fn.Identity())), fn.Sum(), fn.Branch((fn.Dense(1), fn.Tanh())), fn.Concat()),
        PADDED,
        x=masked(3, 2),
    ),
    "sequence_pool": Row(fn.SequencePool(), (3, 2)),
    "sequence_pool_masked": Row(fn.SequencePool(), PADDED, x=masked(3, 2)),
    "sequence_pool_last": Row(fn.SequencePool("last"), PADDED, x=masked(3, 2)),
    "sequence_pool_max": Row(fn.SequencePool("max"), PADDED, x=masked(3, 2)),
    "sequence_pool_max_plain": Row(fn.SequencePool(by="max"), (4, 1)),
}
