"""Ensembles of what layers do in different ways: by NumPy alone, by primitives, by random draws, with state."""

import funcnet as fn
from tests.row import Row
from tests.rows.attention import indices
from tests.rows.recurrent import PADDED, masked

ROWS: dict[str, Row] = {
    "ensemble": Row(fn.Ensemble(fn.serial(fn.Dense(3), fn.Tanh(), fn.Dense(2)), 3), (2,)),
    "ensemble_of_one": Row(fn.Ensemble(fn.Dense(2), 1), (3,)),
    "ensemble_without_params": Row(fn.Ensemble(fn.serial(fn.Flatten(), fn.Softmax()), 2), (2, 2)),
    "ensemble_state_and_noise": Row(
        fn.Ensemble(fn.serial(fn.Dense(3), fn.BatchNorm(), fn.Gelu(), fn.Dropout(0.4)), 2), (2,), coupled=True
    ),
    "ensemble_images": Row(
        fn.Ensemble(fn.serial(fn.Conv2D(2, 2), fn.Relu(), fn.MaxPool2D(2), fn.GlobalAveragePool()), 2), (4, 4, 1)
    ),
    "ensemble_tuple": Row(fn.Ensemble(fn.serial(fn.Concat(), fn.branch(fn.Dense(2), fn.Identity())), 2), ((2,), (1,))),
    "ensemble_indices": Row(fn.Ensemble(fn.serial(fn.Embedding(4, 2), fn.LayerNorm()), 2), (3,), x=indices(4, 3)),
    "ensemble_masked": Row(fn.Ensemble(fn.serial(fn.GRU(2), fn.SequencePool()), 2), PADDED, x=masked(3, 2)),
    "ensemble_attention": Row(fn.Ensemble(fn.Residual(fn.MultiHeadAttention(1, causal=True)), 2), (3, 2)),
    "ensemble_own_inputs": Row(
        fn.Ensemble(fn.serial(fn.Dense(3), fn.Dropout(0.4)), 2, own_inputs=True), (2, 4), coupled=True
    ),
    "ensemble_own_tuple": Row(fn.Ensemble(fn.serial(fn.Concat(), fn.Tanh()), 2, own_inputs=True), ((2, 3), (2, 1))),
    "ensemble_own_indices": Row(fn.Ensemble(fn.Embedding(4, 2), 3, own_inputs=True), (3,), x=indices(4, 3)),
    "tabm_mini": Row(
        fn.serial(fn.Ensemble(fn.Scale(), 3), fn.Dense(4), fn.Tanh(), fn.Ensemble(fn.Dense(2), 3, own_inputs=True)),
        (2,),
    ),
    "ensemble_inside": Row(fn.serial(fn.Dense(3), fn.Ensemble(fn.serial(fn.Dense(2), fn.Glu()), 2), fn.Tanh()), (2,)),
}
