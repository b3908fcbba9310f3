"""Functions whose results depend on values in shape or dtype, that write, or that raise by value."""

# Code as users write it, which linters would write otherwise.
# ruff: noqa: C416

from __future__ import annotations

import operator

import numpy as np
import scipy.linalg
import scipy.ndimage
import scipy.signal
import scipy.special

from tests.compiler.user_code.rows import LABELLED, LABELS, NO_LINE, POSITIVE, SQUARE, X, either, falls_back, recorded

falls_back(
    X,
    mask=lambda x: x[x > 0].sum(),
    mask_mean=lambda x: x[x[:, 0] > 0].mean(),
    unique=lambda x: np.unique(np.sign(x)).sum(),
    len_unique=lambda x: x * len(np.unique(np.sign(x))),
    flatnonzero=lambda x: x / max(1, np.flatnonzero(x > 0).size),
    nonzero=lambda x: np.nonzero(x > 0)[0],
    nonzero_method=lambda x: (x > 0).nonzero(),
    argwhere=lambda x: x * len(np.argwhere(x > 0)),
    where_of_one=lambda x: np.where(x > 0),
    index_by_where=lambda x: x[np.where(x > 0)].sum(),
    extract=lambda x: np.extract(x > 0, x).sum(),
    compress=lambda x: np.compress(x[0] > 0, x, axis=1).sum(axis=0),
    compress_mean=lambda x: np.compress(x[:, 0] > 0, x, axis=0).mean(),
    trim_zeros=lambda x: np.trim_zeros(np.maximum(x[0], 0)).sum(),
    histogram=lambda x: np.histogram(x, bins=3)[0],
    emath=lambda x: np.emath.sqrt(x),
    vectorized=lambda x: np.vectorize(lambda v: v if v > 0 else 0.0)(x),
    along_axis=lambda x: np.apply_along_axis(lambda r: r / r.sum(), 1, x),
    piecewise_functions=lambda x: np.piecewise(x, [x < 0, x >= 0], [lambda v: -v, lambda v: v * 2]),
    exp_out=lambda x: np.exp(x, out=np.empty((4, 5))),
    clip_out=lambda x: np.clip(x, 0.0, 1.0, out=np.empty((4, 5))),
    pinv=lambda x: np.linalg.pinv(x),
    lstsq=lambda x: np.linalg.lstsq(x, x[:, 0], rcond=None)[0],
    svd_of_any=lambda x: np.linalg.svd(x)[1],
    qr_factor=lambda x: np.linalg.qr(x).Q,
    singular_values=lambda x: np.linalg.svdvals(x),
)
falls_back(
    X,
    NO_LINE,
    special_logsumexp=lambda x: scipy.special.logsumexp(x, axis=1),
    special_softmax=lambda x: scipy.special.softmax(x, axis=1),
    signal_convolve=lambda x: scipy.signal.convolve(x, x),
    ndimage_filter=lambda x: scipy.ndimage.gaussian_filter(x, 1.0),
    linalg_expm=lambda x: scipy.linalg.expm(x @ x.T * 0.1),
)
falls_back(
    POSITIVE,
    inverse=lambda p: np.linalg.inv(p),
    solve=lambda p: np.linalg.solve(p, p[0]),
    cholesky=lambda p: np.linalg.cholesky(p),
    eigenvalues=lambda p: np.linalg.eigvals(p),
    eigh=lambda p: np.linalg.eigh(p),
    eigh_by_name=lambda p: np.linalg.eigh(p).eigenvalues,
    eigvalsh=lambda p: np.linalg.eigvalsh(p)[0],
    svd=lambda p: np.linalg.svd(p),
    qr=lambda p: np.linalg.qr(p),
    tensor_inverse=lambda p: np.linalg.tensorinv(p.reshape(2, 1, 2)[:, 0], ind=1),
)
either(
    POSITIVE, negative_matrix_power=lambda p: np.linalg.matrix_power(p, -1), real_if_close=lambda p: np.real_if_close(p)
)
either(
    LABELLED,
    repeat_by_counts=lambda x, counts: np.repeat(x, counts, axis=0),
    union=lambda x, labels: np.union1d(labels, [7]).sum(),
)
either(X, object_ufunc=lambda x: np.frompyfunc(lambda v: v if v > 0 else 0.0, 1, 1)(x))
either(X, fixed_histogram=lambda x: np.histogram(x, bins=np.array([-1.0, 0.0, 1.0]))[0])
either(LABELLED, one_hot_of_unique=lambda x, labels: (labels[:, None] == np.arange(np.unique(labels).size)) * 1.0)


@falls_back(POSITIVE)
def inverse_or_pseudoinverse(p):
    try:
        return np.linalg.inv(p)  # at fault
    except np.linalg.LinAlgError:
        return np.linalg.pinv(p)


@falls_back(POSITIVE)
def cholesky_with_jitter(p):
    for jitter in (0.0, 1e-6, 1e-3):
        try:
            return np.linalg.cholesky(p + jitter * np.eye(2))  # at fault
        except np.linalg.LinAlgError:
            continue
    return np.zeros_like(p)


@falls_back(LABELS)
def one_hot_put_along_axis(labels):
    y = np.zeros((len(labels), 4))
    np.put_along_axis(y, labels[:, None], 1.0, axis=1)  # at fault
    return y


@falls_back(LABELS)
def one_hot_assigned(labels):
    y = np.zeros((len(labels), 4))
    y[np.arange(len(labels)), labels] = 1.0  # at fault
    return y


@falls_back(SQUARE)
def without_diagonal(x):
    y = x @ x.T
    np.fill_diagonal(y, 0.0)  # at fault
    return y


@falls_back(X)
def copied_to(x):
    y = np.zeros(x.shape)
    np.copyto(y, x)  # at fault
    return y * 2


@falls_back(X)
def copied_where(x):
    y = np.ones(x.shape)
    np.copyto(y, 0.0, where=x > 0)  # at fault
    return y * 2


@falls_back(X)
def put_mask(x):
    y = np.ones(x.shape)
    np.putmask(y, x > 0, 5.0)  # at fault
    return y


@falls_back(X)
def put_mask_on_own(x):
    y = x * 2
    np.putmask(y, x > 0, 5.0)  # at fault
    return y


@falls_back(X)
def placed(x):
    y = x * 2
    np.place(y, x > 0, [5.0])  # at fault
    return y


@falls_back(X)
def put(x):
    y = x.copy()
    np.put(y, [0, 1], [5.0, 6.0])  # at fault
    return y


@falls_back(X)
def put_into_plain(x):
    y = np.zeros(3)
    np.put(y, [0, 1], x[0, :2])  # at fault
    return y


@falls_back(LABELLED)
def scattered(x, labels):
    y = np.zeros((4, 4))
    np.add.at(y, labels, x)  # at fault
    return y


@falls_back(X)
def winner_mask(x):
    y = np.zeros(x.shape)
    np.put_along_axis(y, np.argmax(x, axis=1)[:, None], 1.0, axis=1)  # at fault
    return x * y


@falls_back(X)
def column_assigned(x):
    y = np.zeros(x.shape)
    y[:, 0] = x[:, 0]  # at fault
    return y


@falls_back(X)
def filled_by_loop(x):
    y = np.zeros(4)
    for i in range(4):
        y[i] = x[i].sum()  # at fault
    return y


@falls_back(X)
def plain_added_in_place(x):
    total = np.zeros(x.shape[1])
    for row in x:
        total += row  # at fault
    return total


@falls_back(X)
def added_in_place(x):
    y = x * 1.0
    y += 1.0  # at fault
    return y


@falls_back(X)
def masked_in_place(x):
    y = x * 1.0
    y[y < 0] = 0  # at fault
    return y


@falls_back(X)
def copy_then_write(x):
    y = x.copy()
    y[0] = 0.0  # at fault
    return y + x


@falls_back(X)
def view_then_write(x):
    y = x * 1.0
    row = y[0]
    row[:] = 7.0  # at fault
    return y


@falls_back(X)
def argument_written(x):
    x[0] = 0.0  # at fault
    return x * 2


@falls_back(X)
def argument_scaled(x):
    x *= 2.0  # at fault
    return x


@falls_back(X)
def own_output(x):
    y = np.empty_like(x)
    np.multiply(x, 2.0, out=y)  # at fault
    return y


@falls_back(X)
def sum_into(x):
    y = np.empty(5)
    np.sum(x, axis=0, out=y)  # at fault
    return y


@falls_back(X)
def running_filter(x):
    y = np.zeros_like(x)
    for t in range(1, 4):
        y[t] = 0.9 * y[t - 1] + 0.1 * x[t]  # at fault
    return y


@either(X)
def in_place_methods(x):
    y = x * 2
    y.sort()
    y.fill(3.0)
    y.partition(1)
    return y


either(
    X,
    sort_method=lambda x: (x.sort(axis=1), x)[1],
    fill_method=lambda x: (x.fill(3.0), x)[1],
    put_method=lambda x: (x.put([0], [9.0]), x)[1],
    resize_method=lambda x: (y := x.copy(), y.resize((2, 2), refcheck=False), y)[2],
    setflags=lambda x: (x.setflags(write=False), x * 2)[1],
    set_shape=lambda x: (y := x * 1, setattr(y, "shape", (5, 4)), y)[2],
    set_dtype=lambda x: (y := x * 1, setattr(y, "real", 3.0), y)[2],
    operator_iadd=lambda x: operator.iadd(x, 1.0),
    operator_setitem=lambda x: (operator.setitem(x, 0, 1.0), x)[1],
    byteswapped=lambda x: x.byteswap(inplace=True) * 0,
    flat_assigned=lambda x: (y := x * 1, setattr(y, "flat", 2.0), y)[2],
    nditer_written=lambda x: [v for v in np.nditer(x * 2)][:1],
    ndenumerate=lambda x: sum(v * i for (i, _), v in np.ndenumerate(x)),
    shuffled=lambda x: np.random.default_rng(0).permuted(x),
    memoryview_of=lambda x: memoryview(x * 2)[0, 0],
    at_method=lambda x: (y := x * 1, np.negative.at(y, 0), y)[2],
)

recorded(X, special_expit=lambda x: scipy.special.expit(x), special_erf=lambda x: scipy.special.erf(x))  # ufuncs, too
