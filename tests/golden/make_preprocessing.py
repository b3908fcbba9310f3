"""Record scikit-learn's preprocessing: ``python tests/golden/make_preprocessing.py`` writes ``preprocessing.npz``.

In an environment with scikit-learn 1.9.1 and numpy 2.4.6, which ``versions`` names. ``train`` and ``test`` are numbers
with gaps, ``words/train`` and ``words/test`` two columns of categories. Members ``<scaler>/train`` and ``/test`` are
what a scaler fitted on the filled training rows makes of both, ``<strategy>/…`` what an imputer does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import archive
import numpy as np
import sklearn  # type: ignore[import-not-found]
from sklearn.impute import SimpleImputer  # type: ignore[import-not-found]
from sklearn.preprocessing import (  # type: ignore[import-not-found]
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
)

ORDER = ("low", "middle", "high")


def numbers(draw: Any, rows: int) -> Any:
    """Columns of several sizes, a constant, one of few values, one whose quartiles are equal."""
    return np.stack(
        [
            draw.normal(size=rows),
            1e6 + 1e3 * draw.normal(size=rows),
            np.full(rows, 0.1),
            draw.integers(0, 4, rows).astype(float),
            np.where(draw.random(rows) < 0.1, 5.0, 2.0),
            np.exp(3 * draw.normal(size=rows)),
        ],
        axis=1,
    )


def main() -> None:
    draw = np.random.default_rng(0)
    train, test = numbers(draw, 61), numbers(draw, 17)
    test[0] *= 1e4  # an outlier that nothing may be fitted on
    members: dict[str, Any] = {}
    for array in (train, test):
        array[draw.random(array.shape) < 0.1] = np.nan
    members["train"], members["test"] = train, test
    for strategy in ("mean", "median", "most_frequent"):
        imputer = SimpleImputer(strategy=strategy).fit(train)
        members[f"{strategy}/train"], members[f"{strategy}/test"] = imputer.transform(train), imputer.transform(test)
    filled = SimpleImputer(strategy="median").fit(train)
    scalers = {"standard": StandardScaler(), "minmax": MinMaxScaler(), "robust": RobustScaler()}
    for name, scaler in scalers.items():
        fitted = scaler.fit(filled.transform(train))
        members[f"{name}/train"] = fitted.transform(filled.transform(train))
        members[f"{name}/test"] = fitted.transform(filled.transform(test))
    words = [
        np.stack([draw.choice(["red", "green", "blue", "Ärger"], rows), draw.choice(ORDER, rows)], axis=1)
        for rows in (61, 17)
    ]
    words[1][3], words[1][5, 0] = ("violet", "huge"), "re"  # never seen in training
    members["words/train"], members["words/test"] = words
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(words[0][:, :1])
    ordinal = OrdinalEncoder(categories=[list(ORDER)], handle_unknown="use_encoded_value", unknown_value=-1)
    ordinal.fit(words[0][:, 1:])
    for i, part in enumerate(("train", "test")):
        encoded = [one_hot.transform(words[i][:, :1]), ordinal.transform(words[i][:, 1:])]
        members[f"encoded/{part}"] = np.concatenate(encoded, axis=1)
    versions = f"scikit-learn {sklearn.__version__}, numpy {np.__version__}"
    archive.save(Path(__file__).with_name("preprocessing.npz"), members, versions)


if __name__ == "__main__":
    main()
