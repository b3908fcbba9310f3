"""Scores beside scikit-learn's MLP on the same folds: ``python tests/benchmarks/against_mlp.py``.

Five folds three times over, stratified where the targets are labels, inputs (and the targets of diabetes) standardised
by the training rows of each fold: accuracy, or R² for diabetes, as mean ± standard deviation of the 15. Its
``MLPClassifier`` and ``MLPRegressor`` have their defaults; ours is one recipe for all five. It needs scikit-learn, the
extra bench, and takes about a minute.
"""

import warnings

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import funcnet as fn
from funcnet import data, losses, metrics, optim

SETS = {
    "digits": (data.Digits, 10),
    "breast cancer": (data.BreastCancer, 2),
    "wine": (data.Wine, 3),
    "iris": (data.Iris, 3),
    "diabetes": (data.Diabetes, None),
}


def recipe(source, classes):
    """A hidden layer of 100 units as theirs, half of them dropped in training, AdamW for 1000 steps of 32 rows."""
    return fn.Experiment(
        data=source(scale="standard", target_scale=None if classes else "standard"),
        model=fn.serial(fn.Dense(100), fn.Relu(), fn.Dropout(0.5), fn.Dense(classes or 1)),
        loss=losses.SoftmaxCrossEntropy() if classes else losses.MeanSquaredError(),
        metrics=(metrics.Accuracy() if classes else metrics.R2(),),
        optimizer=optim.AdamW(optim.Cosine(0.003)),
        training=fn.Training(steps=1000),
    )


def theirs(source, classes, folds):
    """The scores of scikit-learn's network on each fold."""
    table = source().table(None, fn.Key(0))
    scores = []
    for i, test in enumerate(folds):
        train = np.setdiff1d(np.arange(len(table.y)), test)
        model = make_pipeline(StandardScaler(), (MLPClassifier if classes else MLPRegressor)(random_state=i))
        if not classes:
            model = TransformedTargetRegressor(model, transformer=StandardScaler())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of epochs that did not suffice
            model.fit(table.x[train], table.y[train])
        scores.append(model.score(table.x[test], table.y[test]))
    return scores


print("| data | funcnet | scikit-learn |\n|---|---|---|")
behind = []
for name, (source, classes) in SETS.items():
    ours = fn.cross_validate(recipe(source, classes), folds=5, repeats=3)
    other = theirs(source, classes, ours.held_out)
    score = "accuracy" if classes else "r2"
    mean, deviation = ours.mean[score], ours.deviation[score]
    print(
        f"| {name}, {'accuracy' if classes else 'R²'} | {mean:.3f} ± {deviation:.3f} "
        f"| {np.mean(other):.3f} ± {np.std(other):.3f} |",
        flush=True,
    )
    if mean < np.mean(other) - np.std(other):
        behind.append(name)
if behind:
    raise SystemExit(f"more than one standard deviation below scikit-learn: {', '.join(behind)}")
