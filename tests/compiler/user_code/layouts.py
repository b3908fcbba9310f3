"""Layouts, which decide the order of a sum, and so its last bits."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from tests.compiler.user_code.rows import LARGE, X, either


def strided(i: int) -> Any:
    return (np.repeat(np.repeat(LARGE[i][0], 2, axis=0), 2, axis=1)[::2, ::-2],)


FORTRAN = tuple(lambda i=i: (np.asfortranarray(LARGE[i][0]),) for i in range(3))
STRIDED = tuple(lambda i=i: strided(i) for i in range(3))
READ_ONLY = tuple(lambda i=i: (np.broadcast_to(X[i][0], (2, 4, 5)),) for i in range(3))
either(
    LARGE,
    layout_sum_of_transposed=lambda x: (x * 2).T.sum(axis=0) + x.T.sum(axis=0),
    layout_sum_of_transposed_work=lambda x: (x.T * 2.0).sum(axis=1),
    layout_total_of_transposed=lambda x: (x.T + 1).sum() + (x.T * 2.0).mean(),
    layout_exp_of_transposed=lambda x: np.exp(x.T).sum(axis=0),
    layout_variance_of_transposed=lambda x: np.var(x.T * 1.0, axis=0),
    layout_gram=lambda x: x @ x.T,
    layout_gram_of_work=lambda x: (2 * x) @ (2 * x).T,
    layout_gram_of_sum=lambda x: (x + x).T @ (x + x),
    layout_matmul_of_slices=lambda x: x[:, ::2] @ x[:, 1::2].T,
    layout_matmul_backwards=lambda x: x[::-1] @ x.T,
    layout_vector=lambda x: x @ x[0] + np.dot(x.reshape(6, 8, 64), x[0]).sum(),
    layout_dot_strided=lambda x: x[0, ::2] @ x[1, ::2],
    layout_mixed_sum=lambda x: (x.T[:48, :48] + x[:48, :48]).sum(axis=1),
    layout_moved=lambda x: np.moveaxis(x.reshape(4, 12, 64), 0, -1).mean(axis=(0, 1)),
    layout_flipped=lambda x: np.cumsum(x[:, ::-1], axis=1)[:, -1] + x[::-1].sum(axis=0)[:48],
    layout_copied_transposed=lambda x: x.T.copy().sum(axis=0),
    layout_reshaped_transposed=lambda x: x.T.reshape(-1).sum(),
    layout_broadcast=lambda x: (x[:, :, None] * x[:, None, :]).sum(axis=0),
)
either(
    FORTRAN,
    fortran_sum=lambda x: x.sum() + (2 * x).sum(),
    fortran_sums=lambda x: np.exp(x).mean(axis=0) + x.std(axis=0),
    fortran_ravel=lambda x: x.ravel() + x.reshape(-1),
    fortran_matmul=lambda x: x @ x.T,
)
either(
    STRIDED,
    strided_sum=lambda x: x.sum() + (2 * x).sum(),
    strided_ufuncs=lambda x: np.exp(x) + np.sqrt(np.abs(x)) + np.tanh(x) + np.sin(x),
    strided_matmul=lambda x: x @ x.T,
    strided_in_place=lambda x: operator.imul(x, 2.0),
)
either(
    READ_ONLY,
    read_only_sum=lambda x: x.sum(axis=0),
    read_only_itself=lambda x: x,
    read_only_written=lambda x: operator.iadd(x, 1),
)
