"""Wrappers and other combinators beyond those of ``core.py``."""

import funcnet as fn
from tests.row import Row
from tests.rows.attention import indices
from tests.rows.recurrent import PADDED, masked

NOISY = fn.serial(fn.Dense(3), fn.BatchNorm(), fn.Dropout(0.5))
LANGUAGE = fn.serial(embed=fn.Embedding(5, 3), body=fn.Tanh(), head=fn.Dense(5))

ROWS: dict[str, Row] = {
    "multiply": Row(fn.Multiply(), ((3,), (3,))),
    "multiply_three": Row(fn.Multiply(), ((2, 2), (2, 2), (2, 2))),
    "repeat": Row(fn.Repeat(fn.serial(fn.Dense(3), fn.Tanh()), 3), (3,)),
    "repeat_shared": Row(fn.Repeat(fn.serial(fn.Dense(3), fn.Tanh()), 2, shared=True), (3,)),
    "repeat_once": Row(fn.Repeat(fn.Dense(2), 1), (3,)),
    "repeat_state_and_noise": Row(fn.Repeat(NOISY, 2), (3,), coupled=True),
    "repeat_shared_state_and_noise": Row(fn.Repeat(NOISY, 3, shared=True), (3,), coupled=True),
    "remat": Row(fn.Remat(fn.serial(fn.Dense(3), fn.Tanh(), fn.Dense(2))), (4,)),
    "remat_state_and_noise": Row(
        fn.serial(fn.Remat(NOISY), fn.Remat(fn.Dropout(0.3)), fn.Dense(2)), (3,), coupled=True
    ),
    "remat_of_remat": Row(fn.Remat(fn.serial(fn.Remat(fn.Dense(3)), fn.Sigmoid())), (2, 3)),
    "remat_masked": Row(fn.Remat(fn.LSTM(2)), PADDED, x=masked(3, 2)),
    "tied": Row(fn.Tied(LANGUAGE, {"head/weight": "embed/weight.T"}), (3,), x=indices(5, 3)),
    "tied_plain": Row(
        fn.Tied(fn.serial(a=fn.Dense(3), b=fn.Tanh(), c=fn.Dense(3)), {"c/weight": "a/weight", "c/bias": "a/bias"}),
        (3,),
    ),
    "tied_three": Row(
        fn.Tied(
            fn.serial(a=fn.Dense(3), b=fn.Dense(3), c=fn.Dense(3)), {"b/weight": "a/weight", "c/weight": "a/weight.T"}
        ),
        (3,),
    ),
    "frozen": Row(fn.Frozen(fn.Dense(3)), (4,)),
    "frozen_inside": Row(fn.serial(fn.Frozen(fn.serial(fn.Dense(3), fn.Tanh())), fn.Dense(2)), (4,)),
    "frozen_state_and_noise": Row(fn.Frozen(NOISY), (3,), coupled=True),
    "weight_norm": Row(fn.WeightNorm(fn.Dense(3)), (4,)),
    "weight_norm_inside": Row(fn.WeightNorm(fn.serial(fn.Conv1D(2, 2), fn.LayerNorm(), fn.Dense(2))), (3, 2)),
    "capture": Row(fn.Capture(fn.serial(fn.Dense(3), fn.Tanh(), fn.Dense(2)), ("dense_0", "tanh_0")), (4,)),
    "capture_last": Row(fn.Capture(fn.serial(a=fn.Residual(fn.Dense(4)), b=fn.Sigmoid()), "b"), (4,)),
    "capture_of_capture": Row(
        fn.Capture(fn.serial(inner=fn.Capture(fn.serial(fn.Dense(2), fn.Tanh()), "tanh_0")), "inner/dense_0"), (3,)
    ),
    "capture_noise": Row(fn.Capture(fn.serial(NOISY, fn.Dense(2)), "serial_0/dropout_0"), (3,), coupled=True),
}
