"""Views, each used after much other work has gone through the memory beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.compiler.user_code.rows import EITHER, IMAGES, NO_LINE, RECORDED, Row, X, add, recorded


def after_work(view: Callable[..., Any]) -> Callable[..., Any]:
    def viewed(x):
        a = x * 2.0
        b = view(a)
        c = (x + 1.0) * 3.0
        d = (c - 2.0) * x
        e = (d + c) * 0.5
        return b, e.sum(), d * e

    return viewed


VIEWS = {
    "transposed": lambda a: a.T,
    "transpose_function": lambda a: np.transpose(a, (1, 0)),
    "permute_dims": lambda a: np.permute_dims(a, (1, 0)),
    "matrix_transpose": lambda a: np.matrix_transpose(a),
    "swapaxes": lambda a: np.swapaxes(a, 0, 1),
    "moveaxis": lambda a: np.moveaxis(a, 0, 1),
    "rollaxis": lambda a: np.rollaxis(a, 1),
    "flip": lambda a: np.flip(a, 0),
    "flip_all": lambda a: np.flip(a),
    "fliplr": lambda a: np.fliplr(a),
    "flipud": lambda a: np.flipud(a),
    "rot90": lambda a: np.rot90(a, 2),
    "rot90_once": lambda a: np.rot90(a),
    "diagonal": lambda a: np.diagonal(a),
    "diagonal_offset": lambda a: np.diagonal(a, 1),
    "split": lambda a: np.split(a, 2)[0],
    "split_all": lambda a: np.split(a, 2),
    "split_points": lambda a: np.split(a, [1, 3]),
    "array_split": lambda a: np.array_split(a, 3)[1],
    "hsplit": lambda a: np.hsplit(a, 5)[2],
    "vsplit": lambda a: np.vsplit(a, 2)[1],
    "sliding_windows": lambda a: np.lib.stride_tricks.sliding_window_view(a, 2, axis=1),
    "sliding_sums": lambda a: np.lib.stride_tricks.sliding_window_view(a, 2, axis=1).sum(axis=-1),
    "real": lambda a: np.real(a),
    "einsum_transposed": lambda a: np.einsum("ij->ji", a),
    "einsum_diagonal": lambda a: np.einsum("ii->i", a[:, :4]),
    "broadcast_arrays": lambda a: np.broadcast_arrays(a, a[0])[0],
    "broadcast_to": lambda a: np.broadcast_to(a[0], (4, 5)),
    "reshaped": lambda a: a.reshape(2, 10),
    "reshaped_back": lambda a: a.T.reshape(4, 5),
    "ravelled": lambda a: a.ravel(),
    "np_ravelled": lambda a: np.ravel(a),
    "flattened": lambda a: a.flatten(),
    "squeezed": lambda a: np.squeeze(a[:1]),
    "expanded": lambda a: np.expand_dims(a, (0, 2)),
    "new_axis": lambda a: a[:, None],
    "sliced": lambda a: a[1:3, ::2],
    "reversed": lambda a: a[::-1],
    "row": lambda a: a[1],
    "itself": lambda a: a,
    "copied": lambda a: a.copy(),
    "np_copied": lambda a: np.copy(a),
    "same_dtype": lambda a: a.astype(np.float64, copy=False),
    "rows": lambda a: list(a),
    "rows_of_transposed": lambda a: list(a.T),
    "twice": lambda a: (a, a),
    "part_and_whole": lambda a: (a[0], a, a.T),
}
ODD_VIEWS = {
    "np_astype": lambda a: np.astype(a, np.float64, copy=False),
    "nan_to_num_in_place": lambda a: np.nan_to_num(a, copy=False),
    "atleast": lambda a: (np.atleast_1d(a), np.atleast_2d(a[0]), np.atleast_3d(a)),
    "unstacked": lambda a: np.unstack(a)[0],
    "diagonal_method": lambda a: a.diagonal(),
    "real_attribute": lambda a: a.real,
    "imag_attribute": lambda a: a.imag,
    "matrix_transpose_attribute": lambda a: a.mT,
    "bytes_seen_as_integers": lambda a: a.view(np.int64),
    "view_of_itself": lambda a: a.view(),
    "strided_by_hand": lambda a: np.lib.stride_tricks.as_strided(a, (2, 2), (8, 8)),
    "any_array": lambda a: np.asanyarray(a),
    "required": lambda a: np.require(a, np.float64, ["C"]),
    "flat_list": lambda a: list(a.flat)[:3],
    "swapaxes_method": lambda a: a.swapaxes(0, 1),
    "squeeze_method": lambda a: a[None].squeeze(axis=0),
    "transposed_method": lambda a: a.transpose(1, 0),
    "resized": lambda a: np.resize(a, (4, 5)),
    "row_slices_joined": lambda a: np.concatenate([a[:2], a[2:]]),
    "trace": lambda a: np.trace(a),
    "read_only": lambda a: np.broadcast_to(a, (2, 4, 5)),
    "imag_of_complex": lambda a: (a * 1j).imag,
    "conjugate": lambda a: np.conj(a),
    "iterated_slices": lambda a: [a[i, i] for i in range(4)],
    "bits_order": lambda a: a.astype(">f8"),
    "window_of_window": lambda a: np.lib.stride_tricks.sliding_window_view(a[:, ::-1].T, 3, axis=0)[::2],
}
for _name, _view in VIEWS.items():
    add(f"view_{_name}", Row(RECORDED, lambda view=_view: after_work(view), X))
for _name, _view in ODD_VIEWS.items():
    add(f"view_{_name}", Row(EITHER, lambda view=_view: after_work(view), X, NO_LINE))


@recorded(IMAGES)
def patches(x):
    h = np.tanh(x) * 2.0
    windows = np.lib.stride_tricks.sliding_window_view(h, (2, 2), axis=(1, 2))
    edge = np.pad(h, ((0, 0), (1, 1), (1, 1)))
    energy = (edge * edge).sum(axis=(1, 2))
    return np.einsum("nhwij,ij->nhw", windows, np.ones((2, 2))) / energy[:, None, None]


@recorded(X)
def views_kept_over_a_loop(x):
    parts = []
    for i in range(4):
        x = np.tanh(x) + 0.1 * i
        parts.append(np.flip(x, 1)[:, ::2])
    return np.concatenate(parts, axis=1)


@recorded(X)
def split_and_gate(x):
    h = x @ np.ones((5, 6))
    a, b, c = np.split(h, 3, axis=1)
    return np.tanh(a) * b + c, np.array_split(h * 2.0, 4, axis=1)
