"""Record training runs of scikit-learn's MLPClassifier.

    python tests/golden/make_training.py

writes ``training.npz`` beside this file, in an environment with scikit-learn 1.9.1, numpy 2.4.6 and funcnet, whose key
gives the order of the rows; the archive names the first two in ``versions``. ``partial_fit`` takes one step on one
batch: 33 epochs of 3 batches, in float64. ``data`` has x, labels y and the order of each epoch, ``start/<case>`` the
weights before the first step. A run has ``<case>/loss``, that before each of the 99 steps with the penalty in it, and
``<case>/params/<path>`` after steps 1, 50 and 99.
"""

from __future__ import annotations

import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import archive
import numpy as np
import sklearn  # type: ignore[import-not-found]
from sklearn.neural_network import MLPClassifier  # type: ignore[import-not-found]

import funcnet as fn

ROWS, EPOCHS, BATCH, ALPHA = 96, 33, 32, 0.5
KEEP = (1, 50, 99)
HIDDEN = (7, 5)
CASES: dict[str, dict[str, Any]] = {
    "adam": {"solver": "adam", "learning_rate_init": 0.01},
    "adam_logistic": {"solver": "adam", "learning_rate_init": 0.03, "beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-3,
                      "activation": "logistic"},
    "sgd": {"solver": "sgd", "learning_rate_init": 0.05, "momentum": 0.0, "nesterovs_momentum": False},
    "sgd_momentum": {"solver": "sgd", "learning_rate_init": 0.02, "momentum": 0.9, "nesterovs_momentum": False,
                     "activation": "tanh"},
    "sgd_nesterov": {"solver": "sgd", "learning_rate_init": 0.02, "momentum": 0.9, "nesterovs_momentum": True},
    "sgd_two_classes": {"solver": "sgd", "learning_rate_init": 0.05, "momentum": 0.5, "nesterovs_momentum": True},
}  # fmt: skip


def trained(options: dict[str, Any], x: Any, y: Any, orders: Any, start: Any) -> dict[str, Any]:
    """The losses and the kept weights of a run from given weights on given batches."""
    classes = np.unique(y)
    model = MLPClassifier(hidden_layer_sizes=HIDDEN, alpha=ALPHA, batch_size=BATCH, shuffle=False, **options)
    given = iter(start)
    model._init_coef = lambda fan_in, fan_out, dtype: tuple(part.copy() for part in next(given))
    losses, kept = [], []
    for order in orders:
        for begin in range(0, ROWS, BATCH):
            chosen = order[begin : begin + BATCH]
            model.partial_fit(x[chosen], y[chosen], classes=classes)
            losses.append(model.loss_)
            if len(losses) in KEEP:
                pairs = zip(model.coefs_, model.intercepts_, strict=True)
                kept.append([array.copy() for pair in pairs for array in pair])
    paths = [f"dense_{i}/{name}" for i in range(3) for name in ("weight", "bias")]
    return {
        "loss": np.array(losses),
        **{f"params/{path}": np.stack(arrays) for path, *arrays in zip(paths, *kept, strict=True)},
    }


def main() -> None:
    draw = np.random.RandomState(0)
    x = draw.standard_normal((ROWS, 4))
    y = (x @ draw.standard_normal((4, 3)) + 0.5 * draw.standard_normal((ROWS, 3))).argmax(axis=1)
    key = fn.Key(0)
    orders = np.stack([key.fold("epoch", epoch).permutation(ROWS) for epoch in range(EPOCHS)])
    arrays: dict[str, Any] = {"data/x": x, "data/y": y, "data/orders": orders}
    for name, options in CASES.items():
        two = name == "sgd_two_classes"
        widths = [4, *HIDDEN, 1 if two else 3]
        start = [(0.4 * draw.standard_normal((a, b)), 0.2 * draw.standard_normal(b)) for a, b in pairwise(widths)]
        for i, (weight, bias) in enumerate(start):
            arrays |= {f"start/{name}/dense_{i}/weight": weight, f"start/{name}/dense_{i}/bias": bias}
        found = trained(options, x, (y > 0).astype(int) if two else y, orders, start)
        arrays |= {f"{name}/{member}": array for member, array in found.items()}
    versions = f"scikit-learn {sklearn.__version__}, numpy {np.__version__}"
    archive.save(Path(__file__).with_name("training.npz"), arrays, versions)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
