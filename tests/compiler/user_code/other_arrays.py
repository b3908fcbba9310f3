"""Arrays of other kinds: empty, half, complex, masked, subclasses, what only looks like an array."""

from __future__ import annotations

import numpy as np

from tests.compiler.user_code.rows import POSITIVE, X, either, recorded, sets

recorded(
    sets((0, 3)),
    empty_rows=lambda x: (x.sum(axis=0), x * 2, np.concatenate([x, x])),
    empty_matmul=lambda x: x.T @ x,
)
either(sets((0, 3)), empty_mean=lambda x: x.mean(axis=0), empty_max=lambda x: x.max(axis=1))
either(sets((4, 5), dtype=np.float16), half=lambda x: x * 2 + x.sum(axis=0), half_mean=lambda x: x.mean() + x.var())
either(sets((4, 5), dtype=np.longdouble), long_double=lambda x: x * 2 + np.exp(x))
either(
    sets((4, 5), dtype=">f8"),
    big_endian=lambda x: x * 2,
    big_endian_itself=lambda x: x[::-1],
    big_endian_sum=lambda x: x.sum(0),
)
either(
    sets((4, 5), dtype=complex), complex_arrays=lambda z: z * 2j + np.abs(z), complex_parts=lambda z: z.real - z.imag
)
either(sets((4, 5), dtype=complex), complex_sorted=lambda z: np.sort(z), complex_matmul=lambda z: z @ z.conj().T)
either(
    tuple((np.array(words),) for words in (["a", "b"], ["c", "a"], ["b", "b"])),
    text_array=lambda s: (s == "a").sum(),
    text_joined=lambda s: np.char.add(s, "!"),
)
either(
    tuple((np.array([a, None, 2.0], dtype=object),) for a in (1, 2, 3)),
    objects=lambda o: o[::2] * 2,
    objects_itself=lambda o: o,
)
either(
    tuple((np.array([day, "2024-01-05"], "M8[D]"),) for day in ("2024-01-01", "2024-02-01", "2023-01-01")),
    dates=lambda d: d[1] - d[0],
    dates_as_floats=lambda d: (d - d[0]).astype(float),
)
either(
    tuple((np.array([(a, 2.0)], [("x", int), ("y", float)]),) for a in (1, 2, 3)),
    structured=lambda s: s["x"] * s["y"],
    structured_rows=lambda s: s[0]["x"],
)
either(
    tuple(lambda x=x: (np.ma.masked_array(x.copy(), x > 0.5),) for (x,) in X),
    masked_sum=lambda m: m.sum(axis=0) * 1.0,
    masked_mean=lambda m: m - m.mean(),
    masked_filled=lambda m: m.filled(0.0),
)
either(
    tuple(lambda p=p: (np.matrix(p),) for (p,) in POSITIVE), matrix_times=lambda m: m * m, matrix_squared=lambda m: m**2
)
either(tuple(lambda x=x: (np.rec.array([(1.0, 2.0)], names="a,b"),) for (x,) in X[:2]), record=lambda r: r.a + r.b)


class Units(np.ndarray):
    """An array whose sums count twice."""

    def sum(self, *args, **keywords):
        return 2.0 * np.asarray(self).sum(*args, **keywords)


either(
    tuple(lambda x=x: (x.copy().view(Units),) for (x,) in X),
    subclass_sum=lambda u: u.sum(axis=0),
    subclass_times=lambda u: u * 2,
)


class Duck:
    """An array of a library that speaks NumPy's protocols."""

    def __init__(self, values):
        self.values = values

    def __array_ufunc__(self, f, method, *inputs, **keywords):
        return getattr(f, method)(*(x.values if isinstance(x, Duck) else x for x in inputs), **keywords)


either(tuple(lambda x=x: (Duck(x.copy()),) for (x,) in X), duck_argument=lambda d: np.exp(d))


@either(X)
def duck_inside(x):
    return np.add(Duck(np.ones((4, 5))), x)
