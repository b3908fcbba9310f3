"""How many of ten seeds reach 0.9 in the cat classifier and its siblings: ``python tests/benchmarks/cat_seeds.py``.

A seed changes the images and the first weights. Beside them a logistic regression on the same pixels, the best of
several strengths of regularization on the test part itself; it needs scikit-learn, the extra bench. All of it takes
about five minutes.
"""

import time
import warnings
from pathlib import Path

import numpy as np

import funcnet as fn
from funcnet.spec.base import evolve

SPECS = Path(__file__).parents[2] / "specs"
SEEDS = range(10)
GOAL = 0.9


def linear(seed):
    """The best test accuracy of logistic regressions."""
    from sklearn.linear_model import LogisticRegression

    table = fn.data.CatImages().table(Path(), fn.Key(seed).fold("data"))
    x, train, test = table.x.reshape(len(table.x), -1) / 255.0, table.part == 0, table.part == 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of iterations that did not suffice
        return max(
            LogisticRegression(C=c, max_iter=300).fit(x[train], table.y[train]).score(x[test], table.y[test])
            for c in (1e-6, 1e-4, 1e-2, 1.0, 100.0)
        )


try:
    best = [linear(seed) for seed in SEEDS]
    print(f"logistic regression: {min(best):.3f} to {max(best):.3f}", flush=True)
except ImportError:
    print("logistic regression: left out, for want of scikit-learn", flush=True)

for name in ("cat_classifier", "cat_classifier_momentum", "cat_classifier_adam", "cat_classifier_sgd"):
    experiment = fn.load_spec(SPECS / f"{name}.json")
    scores, seconds = [], []
    for seed in SEEDS:
        began = time.perf_counter()
        scores.append(fn.run(evolve(experiment, seed=seed)).metrics["test"]["accuracy"])
        seconds.append(time.perf_counter() - began)
    print(
        f"{name}: {sum(score >= GOAL for score in scores)} of {len(scores)} reach {GOAL}, "
        f"{min(scores):.3f} to {max(scores):.3f}, {np.median(seconds):.1f} s each",
        flush=True,
    )
