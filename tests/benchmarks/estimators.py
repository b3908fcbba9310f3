"""Seconds of ``fit`` beside scikit-learn's networks: ``OPENBLAS_NUM_THREADS=1 python tests/benchmarks/estimators.py``.

Both train 100 units of relu with Adam for 100 epochs of at most 200 rows, on standardised inputs, in one process on
one thread: the least of five fits each, by turns, after a first fit that is shown apart because it records the program.
CPU seconds, so that other processes count little. It needs scikit-learn, and takes about a minute.
"""

import os
import time
import warnings

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler

import funcnet as fn
from funcnet.sklearn import FuncnetClassifier, FuncnetRegressor

SETS = (load_iris, load_wine, load_diabetes, load_breast_cancer, load_digits)
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def seconds(estimator, x, y):
    """The CPU time of a fit."""
    begun = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of epochs that did not suffice
        estimator.fit(x, y)
    return time.process_time() - begun


print("| data | dtype | first fit, ms | funcnet, ms | scikit-learn, ms | ratio |\n|---|---|---|---|---|---|")
slower = []
for load in SETS:
    x, y = load(return_X_y=True)
    values = load is load_diabetes
    for dtype in (np.float32, np.float64):
        z = StandardScaler().fit_transform(x).astype(dtype)
        target = (y - y.mean()) / y.std() if values else y
        net = fn.serial(fn.Dense(100), fn.Relu())
        how = {"epochs": 100, "batch_size": 200, "optimizer": fn.optim.Adam(), "random_state": 0}
        ours = (FuncnetRegressor if values else FuncnetClassifier)(net, **how)
        theirs = (MLPRegressor if values else MLPClassifier)(max_iter=100, n_iter_no_change=1000, random_state=0)
        first = seconds(ours, z, target)
        pairs = [(seconds(ours, z, target), seconds(theirs, z, target)) for _ in range(5)]
        mine, other = (1000 * min(times) for times in zip(*pairs, strict=True))
        name = load.__name__.removeprefix("load_").replace("_", " ")
        print(
            f"| {name} | {np.dtype(dtype)} | {1000 * first:.0f} | {mine:.0f} | {other:.0f} | {other / mine:.2f} |",
            flush=True,
        )
        if mine > other:
            slower.append(f"{name} {np.dtype(dtype)}")
if slower:
    raise SystemExit(f"slower than scikit-learn: {', '.join(slower)}")
