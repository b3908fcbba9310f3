"""The estimators under scikit-learn's own checks, and what these do not ask."""

import logging
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars
import pytest
import scipy.sparse as sp
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.callback import ScoringMonitor
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_iris, make_multilabel_classification
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import funcnet as fn
from funcnet.cli import main
from funcnet.networks.tabular import FEW, auto
from funcnet.sklearn import FuncnetClassifier, FuncnetRegressor
from funcnet.sklearn.base import HELD_OUT
from funcnet.sklearn.division import divided
from tests.pages import blocks

GUIDE = Path(fn.__file__).parent / "guide" / "sklearn.md"
X, Y = load_iris(return_X_y=True)
V = X[:, 3]
ADAM = fn.optim.Adam(0.02)
SHORT = {"epochs": 6, "optimizer": ADAM, "random_state": 0}
CHECKS = """
import sys
from sklearn.utils.estimator_checks import check_estimator
from funcnet import sklearn
for name, count in (("FuncnetClassifier", 67), ("FuncnetRegressor", 60)):  # there is none for NaN that are allowed
    results = check_estimator(getattr(sklearn, name)(), on_fail=None, on_skip=None)
    wrong = [(one["check_name"], one["status"], one["exception"]) for one in results if one["status"] != "passed"]
    assert not wrong, (name, wrong)
    assert len(results) >= count, (name, len(results))
"""


@pytest.mark.slow
def test_every_check_of_scikit_learn_passes():
    """With pandas and the array API, so that none is skipped."""
    env = os.environ | {"SCIPY_ARRAY_API": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", CHECKS], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def frame():
    """Numbers, categories with a gap, texts and booleans."""
    table = pd.DataFrame(
        {
            "width": X[:, 3],
            "kind": pd.Categorical(np.array(["u", "v", "w"])[Y]),
            "side": np.array(["left", "right"])[np.arange(len(Y)) % 2],
            "large": X[:, 0] > 6,
        }
    )
    table.loc[3, "kind"] = None
    return table


# ----- weights and classes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_of_weight_0_is_as_if_it_were_not_there(dtype):
    x, weight = X.astype(dtype), np.ones(len(X))
    weight[::3] = 0
    for make, y in ((FuncnetClassifier, Y), (FuncnetRegressor, V)):
        some, all_ = make(**SHORT).fit(x[weight > 0], y[weight > 0]), make(**SHORT).fit(x, y, weight)
        assert np.array_equal(some.predict(x), all_.predict(x))
        assert all_.run_.params["head"]["weight"].dtype == dtype


def test_a_weight_of_2_is_a_row_given_twice():
    weight = 1 + np.arange(len(X)) % 2
    twice = np.repeat(np.arange(len(X)), weight)
    for make, y, answer in ((FuncnetClassifier, Y, "predict_proba"), (FuncnetRegressor, V, "predict")):
        how = {**SHORT, "batch_size": 1000}
        first, second = make(**how).fit(X, y, weight), make(**how).fit(X[twice], y[twice])
        np.testing.assert_allclose(getattr(first, answer)(X), getattr(second, answer)(X), rtol=1e-9)


def test_a_weight_of_2_is_a_row_given_twice_in_a_frame():
    """The scales of its columns are of the weighted rows; categories have none."""
    weight = 1 + 2 * (np.arange(len(X)) % 2)
    more = np.repeat(np.arange(len(X)), weight)
    how = {"model": fn.Dense(3), "batch_size": 1000, "dtype": "float64", **SHORT}
    first, second = (
        FuncnetClassifier(**how).fit(*data) for data in ((frame(), Y, weight), (frame().iloc[more], Y[more]))
    )
    assert first.run_.preprocess["inputs"]["mean"][0] == pytest.approx(X[more, 3].mean(), rel=1e-12)
    np.testing.assert_allclose(first.predict_proba(frame()), second.predict_proba(frame()), rtol=1e-9)


def test_targets_are_scaled_before_they_are_narrow():
    """1e8 and 1e8 + 1 are one number in float32."""
    y = 1e8 + V
    estimator = FuncnetRegressor(**SHORT).fit(X.astype(np.float32), y)
    scale = estimator.run_.preprocess["targets"]
    assert scale["mean"] == pytest.approx(y.mean(), rel=1e-14)
    assert scale["deviation"] == pytest.approx(V.std(), rel=1e-6)
    near = FuncnetRegressor(**SHORT).fit(X.astype(np.float32), V)
    np.testing.assert_allclose(estimator.loss_curve_, near.loss_curve_, rtol=1e-4)


def test_class_weights_multiply_sample_weights():
    each = {0: 1.0, 1: 2.0, 2: 0.5}
    weight = np.array([each[label] for label in Y])
    how = {**SHORT, "scale": None}
    one = FuncnetClassifier(class_weight=each, **how).fit(X, Y)
    assert np.array_equal(one.predict_proba(X), FuncnetClassifier(**how).fit(X, Y, weight).predict_proba(X))
    part = np.r_[0:60, 100:110]  # 50, 10 and 10
    balanced = FuncnetClassifier(class_weight="balanced", **how).fit(X[part], Y[part])
    weight = np.array([70 / (3 * 50), 70 / (3 * 10), 70 / (3 * 10)])[Y[part]]
    assert np.array_equal(
        balanced.predict_proba(X), FuncnetClassifier(**how).fit(X[part], Y[part], weight).predict_proba(X)
    )


def test_all_weights_0():
    with pytest.raises(ValueError, match=r"^Sample weights must contain at least one non-zero number"):
        FuncnetClassifier().fit(X, Y, np.zeros(len(X)))


def test_weights_are_routed():
    with sklearn.config_context(enable_metadata_routing=True):
        estimator = FuncnetClassifier(**SHORT).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        weight = (np.arange(len(Y)) % 2).astype(float)
        found = cross_validate(
            estimator, X, Y, cv=[(np.arange(150), np.arange(150))], params={"sample_weight": weight},
            return_estimator=True, error_score="raise",
        )  # fmt: skip
    alone = clone(estimator).fit(X[1::2], Y[1::2])
    assert np.array_equal(found["estimator"][0].predict(X), alone.predict(X))


# ----- forms of targets ----------------------------------------------------------------------------------------------


def test_labels_of_any_kind():
    for labels in (["no", "yes", "maybe"], [3, 1, -2], [2.0, 1.0, 7.0]):
        names = np.array(labels)
        estimator = FuncnetClassifier(epochs=30, optimizer=ADAM, random_state=0).fit(X, names[Y])
        assert estimator.classes_.tolist() == sorted(labels)
        assert np.mean(estimator.predict(X) == names[Y]) > 0.9


def test_whole_numbers_among_objects_are_labels():
    """As in a column of a frame that once had gaps."""
    assert FuncnetClassifier(**SHORT).fit(X, Y.astype(object)).classes_.tolist() == [0, 1, 2]


def test_one_class():
    with pytest.raises(ValueError) as caught:
        FuncnetClassifier().fit(X, np.full(len(X), "a"))
    assert str(caught.value) == "FuncnetClassifier needs samples of 2 or more classes, got one class: 'a'"


def test_one_unit_for_two_classes():
    """A network of one unit gives the probability of the second class, under a sigmoid."""
    two, net = Y < 2, fn.serial(fn.Dense(8), fn.Relu(), fn.Dense(1))
    estimator = FuncnetClassifier(net, epochs=30, optimizer=ADAM, random_state=0).fit(X[two], Y[two])
    assert estimator.spec_.model == net
    assert estimator.spec_.loss == fn.losses.SigmoidCrossEntropy()
    p = estimator.predict_proba(X[two])
    assert p.shape == (100, 2)
    np.testing.assert_allclose(p.sum(axis=1), 1.0)
    assert estimator.score(X[two], Y[two]) == 1.0
    np.testing.assert_allclose(estimator.decision_function(X[two]), np.log(p[:, 1] / p[:, 0]), rtol=1e-6)


def test_several_labels():
    x, y = make_multilabel_classification(200, random_state=0)
    estimator = FuncnetClassifier(epochs=40, optimizer=ADAM, random_state=0).fit(x, y)
    assert estimator.predict_proba(x).shape == estimator.predict(x).shape == y.shape
    assert np.array_equal(estimator.predict(x), estimator.predict_proba(x) >= 0.5)
    assert np.mean(estimator.predict(x) == y) > 0.85
    again = FuncnetClassifier(epochs=40, optimizer=ADAM, random_state=0).fit(sp.csr_array(x), sp.csr_array(y))
    assert again.predict(sp.csr_array(x)).shape == y.shape
    with pytest.raises(ValueError, match="class_weight needs one label for each row"):
        FuncnetClassifier(class_weight="balanced").fit(x, y)


def test_targets_are_scaled_and_predictions_are_not():
    """Far from 0, on another scale, in several columns."""
    y = np.c_[1e6 + 1e4 * V, -V]
    one = FuncnetRegressor(epochs=60, random_state=0).fit(X, y)
    assert one.predict(X).shape == (150, 2)
    assert one.score(X, y) > 0.9
    raw = FuncnetRegressor(loss="half_mean_squared_error", scale=None, **SHORT).fit(X, V)
    assert "targets" not in raw.run_.preprocess


@pytest.mark.parametrize("loss", [fn.losses.Poisson(), fn.losses.Gamma(), fn.losses.Tweedie()])
def test_counts_and_amounts_are_divided_by_their_mean(loss):
    """So the first network, whose outputs are near 0, predicts near the mean, not near 1."""
    y = np.exp(X[:, 0])
    weight = np.arange(len(y)) % 3.0
    model = FuncnetRegressor(loss=loss, epochs=1, random_state=0)
    assert model.fit(X, y).run_.preprocess["targets"] == {"scale": "mean", "origin": 0.0, "mean": np.mean(y)}
    assert 0.3 < model.predict(X).mean() / y.mean() < 3.0
    found = model.fit(X, y, weight).run_.preprocess["targets"]["mean"]
    assert found == pytest.approx(np.average(y, weights=weight))
    assert "targets" not in FuncnetRegressor(loss=loss, epochs=1, scale=None).fit(X, y).run_.preprocess
    with pytest.raises(ValueError, match=r"got -3\.0 at row"):
        model.fit(X, np.where(np.arange(len(y)) == 7, -3.0, y))


# ----- length of training --------------------------------------------------------------------------------------------


def test_warm_start_goes_on():
    half = FuncnetRegressor(epochs=3, warm_start=True, optimizer=ADAM, random_state=0).fit(X, V)
    half.fit(X, V)
    whole = FuncnetRegressor(epochs=6, optimizer=ADAM, random_state=0).fit(X, V)
    assert half.n_iter_ == whole.n_iter_ == len(half.loss_curve_) == 6
    assert np.array_equal(half.predict(X), whole.predict(X))
    assert half.loss_curve_ == whole.loss_curve_


def test_partial_fit_is_an_epoch():
    parts = FuncnetClassifier(optimizer=ADAM, random_state=0)
    for _ in range(6):
        parts.partial_fit(X, Y, classes=[0, 1, 2])
    whole = FuncnetClassifier(epochs=6, optimizer=ADAM, random_state=0).fit(X, Y)
    assert np.array_equal(parts.predict_proba(X), whole.predict_proba(X))
    for label, match in ((5, "y has the label 5, which is not among the classes"), (1.5, "Unknown label type|1.5")):
        with pytest.raises(ValueError, match=match):
            parts.partial_fit(X, np.full(len(X), label))
    schedule = FuncnetClassifier(optimizer=fn.optim.Adam(fn.optim.Cosine(0.1)))
    with pytest.raises(
        ValueError, match="Adam: its schedule lasts as long as the training, and partial_fit has no end"
    ):
        schedule.partial_fit(X, Y, classes=[0, 1, 2])


def test_early_stopping_keeps_the_best_epoch():
    estimator = FuncnetClassifier(epochs=300, optimizer=fn.optim.Adam(0.1), early_stopping=5, random_state=0).fit(X, Y)
    assert estimator.run_.stopped == "EarlyStopping"
    assert estimator.n_iter_ == len(estimator.validation_scores_) < 300
    losses = [row["validation/loss"] for row in estimator.run_.history]
    assert losses.index(min(losses)) == len(losses) - 6
    assert all(0 <= score <= 1 and abs(score * 15 - round(score * 15)) < 1e-9 for score in estimator.validation_scores_)
    assert FuncnetRegressor(early_stopping=True, **SHORT).fit(X, V).validation_scores_[-1] <= 1


def test_callbacks_of_scikit_learn():
    class Stop:
        begun = ended = 0

        def setup(self, estimator, context): ...

        def teardown(self, estimator, context): ...

        def on_fit_task_begin(self, estimator, context, *, X=None):
            self.begun += 1

        def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
            self.ended += 1
            self.score = fitted_estimator.score(X, y)
            return self.ended >= 4

    stop, monitor = Stop(), ScoringMonitor(scoring="accuracy")
    estimator = FuncnetClassifier(**SHORT).set_callbacks(stop, monitor).fit(X, Y)
    assert estimator.n_iter_ == 4
    assert stop.begun == stop.ended == 5  # four epochs and the fit
    assert stop.score == estimator.score(X, Y)
    assert len(monitor.get_logs().data) >= 4


def test_callbacks_of_funcnet():
    class Rows:
        def __init__(self):
            self.steps = []

        def init(self):
            return None

        def update(self, state, event):
            self.steps.append(event.step)
            return state, len(self.steps) == 3

    rows = Rows()
    assert FuncnetRegressor(callbacks=(rows,), **SHORT).fit(X, V).n_iter_ == 3
    assert rows.steps == [1, 2, 3]


# ----- models --------------------------------------------------------------------------------------------------------


def test_a_model_without_its_head_gets_one():
    body = fn.serial(fn.Dense(5), fn.Tanh())
    assert FuncnetClassifier(body, **SHORT).fit(X, Y).spec_.model == fn.serial(body, head=fn.Dense(3))
    whole = fn.serial(body, fn.Dense(3))
    assert FuncnetClassifier(whole, **SHORT).fit(X, Y).spec_.model == whole


def test_members_are_averaged():
    estimator = FuncnetClassifier(fn.serial(fn.Dense(5), fn.Tanh()), members=3, **SHORT).fit(X, Y)
    run = estimator.run_
    assert run.experiment.loss == fn.losses.EachMember(fn.losses.SoftmaxCrossEntropy())
    z = fn.predict(run.experiment.model, run.params, {}, (X - X.mean(0)) / X.std(0))
    each = np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(estimator.predict_proba(X), each.mean(axis=1), rtol=1e-6)


def test_the_recipe_for_small_tables_depends_on_nothing_but_their_form():
    assert auto(10, 3) == auto(FEW, 3)
    assert auto(500_000, 3).epochs == 10


def test_the_length_of_a_training_is_found_by_rows_held_out():
    """Labels without a pattern are not learnt by heart. In the end all rows are trained on."""
    x, y = fn.Key(0).normal((300, 5), np.float32), np.arange(300) // 7 % 2
    estimator = FuncnetClassifier(members=2, random_state=0).fit(x, y)
    training = estimator.spec_.training
    assert training.early_stopping is None
    assert training.epochs == estimator.n_iter_ < auto(300, 2).epochs / 4
    given = FuncnetClassifier(members=2, random_state=0, epochs=estimator.n_iter_).fit(x, y, np.ones(300))
    assert np.array_equal(given.predict_proba(x), estimator.predict_proba(x))


@pytest.mark.parametrize("value", [None, "once"])
def test_the_length_is_found_with_what_only_the_rows_held_out_have(value, caplog):
    """A class of one row; and for some row, whichever is held out, a category or a gap that no other row has."""
    y, kinds = np.arange(300) % 2, np.array(["u", "v"], object)[np.arange(300) // 2 % 2]
    y[7], (train, held) = 2, divided(300, y, HELD_OUT, 0)
    assert len(held) == 45
    assert sorted([*train, *held]) == list(range(300))
    kinds[held[0]] = value
    estimator = FuncnetClassifier(members=1, random_state=0).fit(pd.DataFrame({"kind": kinds}), y)
    assert estimator.classes_.tolist() == [0, 1, 2]
    assert not caplog.records


def test_a_category_that_only_the_validation_part_has_is_named_with_its_row(caplog):
    y, kinds = np.arange(60) % 2, np.array(["u", "v"], object)[np.arange(60) // 2 % 2]
    row = divided(60, y, 0.1, 0)[1][0]
    kinds[row] = "once"
    FuncnetClassifier(early_stopping=True, epochs=1, random_state=0).fit(pd.DataFrame({"kind": kinds}), y)
    assert f"such as 'once' in row {row}" in caplog.text


def test_a_loss_that_is_not_a_sum_has_one_network():
    estimator = FuncnetRegressor(loss="root_mean_squared_error", random_state=0).fit(X, V)
    assert estimator.spec_.model.out_shape((4,)) == (1,)
    assert estimator.score(X, V) > 0.9
    assert FuncnetRegressor(members=3, epochs=2, random_state=0).fit(X, V).spec_.model.out_shape((4,)) == (3, 1)


# ----- data frames ---------------------------------------------------------------------------------------------------


def test_a_frame_with_categories(caplog):
    table = frame()
    estimator = FuncnetClassifier(epochs=30, random_state=0).fit(table, Y)
    assert estimator.feature_names_in_.tolist() == ["width", "kind", "side", "large"]
    assert [len(one["categories"]) for one in estimator.run_.preprocess["columns"] if one["kind"] == "one_hot"] == [
        4,
        2,
    ]
    assert estimator.score(table, Y) > 0.98
    with caplog.at_level(logging.WARNING, "funcnet"):
        estimator.predict(table.assign(side="up")[:3])
    assert "column 'side': 3 of 3 rows have a category that the training part lacks, such as 'up'" in caplog.text
    other = polars.DataFrame({name: table[name].astype(object).where(table[name].notna(), None).tolist()
                              for name in table.columns})  # fmt: skip
    assert np.array_equal(estimator.predict_proba(other), estimator.predict_proba(table))


def test_the_gaps_of_every_kind_of_frame_are_one():
    """None, NaN, and the NA of the newer dtypes of pandas, in fit and in predict."""
    table = frame().assign(kind=lambda t: t["kind"].astype(object))
    table.loc[5, "side"] = None
    whole = FuncnetClassifier(categorical=["kind", "side", "large"], **SHORT)
    expected = clone(whole).fit(table, Y).predict_proba(table)
    newer = table.convert_dtypes()
    assert newer.loc[3, "kind"] is pd.NA
    other = clone(whole).fit(newer, Y)
    assert np.array_equal(other.predict_proba(newer), expected)
    assert np.array_equal(other.predict_proba(table), expected)
    assert np.array_equal(
        other.predict_proba(newer.assign(width=lambda t: t["width"].where(t["width"] > 1))),
        other.predict_proba(table.assign(width=np.where(V > 1, V, np.median(V)))),
    )


@pytest.mark.parametrize(
    ("change", "how", "message"),
    [
        (lambda t: t.set_axis(["a", "b", "b", "c"], axis=1), {}, "column 'b' is there more than once"),
        (lambda t: t, {"categorical": ["knd"]}, "categorical: X has no column 'knd', did you mean 'kind'?"),
        (lambda t: t, {"categorical": None}, "column 'side' has texts; give categorical='from_dtype', or leave it out"),
        (lambda t: t.assign(width=np.nan), {}, "column 'width': all values of the training part are missing; leave it"),
        (lambda t: t.set_axis([0, 1, 2, 3], axis=1), {}, "expected texts as the names of columns, got 0; rename"),
        (lambda t: t.to_dict("records"), {}, "expected an array of numbers or a data frame, got a table of dicts"),
        (lambda t: t.assign(width=np.datetime64("2024-05-31")), {}, "column 'width': expected numbers or categories"),
        (lambda t: t.assign(width=[[1]] * 150), {}, "column 'width': expected numbers or categories, got Object"),
        (lambda t: t[:0], {}, "Found array with 0 sample(s)"),
    ],
)
def test_frames_that_cannot_be_used(change, how, message):
    with pytest.raises(ValueError) as caught:
        FuncnetClassifier(**how).fit(change(frame()), Y)
    assert str(caught.value).startswith(message), caught.value


STOP = {"early_stopping": True}
WORDS = "expected numbers as targets, got the text 'a'; use FuncnetClassifier for labels, or convert texts of numbers"
HELD = "early_stopping holds out validation_fraction=0.1 of the rows"


@pytest.mark.parametrize(
    ("kind", "y", "how", "message"),
    [
        (FuncnetRegressor, ["a", "b"] * 75, {}, f"FuncnetRegressor: {WORDS}"),
        (FuncnetRegressor, [1.0, "a", None] * 50, {}, f"FuncnetRegressor: {WORDS}"),
        (FuncnetRegressor, pd.date_range("2024-01-01", periods=150), {},
         "FuncnetRegressor: expected numbers as targets, got datetime64[us]; turn times into numbers, such as days"),
        (FuncnetRegressor, pd.date_range("2024-01-01", periods=150, tz="UTC").astype(object), {},
         "FuncnetRegressor: expected numbers as targets, got Timestamp('2024-01-01 00:00:00+0000', tz='UTC'); turn"),
        (FuncnetRegressor, [1.0, None, 2.0] * 50, {}, "Input y contains NaN"),
        (FuncnetRegressor, [10**400] * 150, {}, "FuncnetRegressor: expected targets below 1.8e308, got a larger"),
        (FuncnetClassifier, ["a", None] * 75, {}, "Input y contains NaN: the label of row 1 is None; leave"),
        (FuncnetClassifier, pd.array(["a", None] * 75, "string"), {}, "Input y contains NaN: the label of row 1 is "),
        (FuncnetClassifier, np.array(["a", 1] * 75, object), {},
         "expected labels of one type, got 'a' in row 0 and 1 in row 1; turn them all into texts, such as by y"),
        (FuncnetClassifier, V + 0.01, {}, "Unknown label type: continuous"),
        (FuncnetClassifier, ["c", *"ab" * 74, "a"], STOP,
         f"{HELD} and needs two of each class or more, got one of 'c'; merge it, or leave it out"),
        (FuncnetClassifier, [*range(75)] * 2, STOP,
         f"{HELD}, 15 of 150, and needs one of each of the 75 classes on both sides; give another fraction, or more"),
        (FuncnetRegressor, V, STOP | {"validation_fraction": 0.999},
         "early_stopping holds out validation_fraction=0.999 of the rows, 150 of 150, which leaves none to train on;"),
    ],
)  # fmt: skip
def test_targets_that_cannot_be_used(kind, y, how, message):
    with pytest.raises(ValueError) as caught:
        kind(**SHORT, **how).fit(X, y)
    assert str(caught.value).startswith(message), caught.value


def test_in_pipelines_and_searches():
    steps = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["kind", "side"]), (StandardScaler(), ["width"])
    )
    pipe = make_pipeline(steps.set_output(transform="default"), FuncnetClassifier(epochs=30, random_state=0))
    assert pipe.fit(frame(), Y).score(frame(), Y) > 0.98
    assert "FuncnetClassifier" in pipe._repr_html_()
    grid = {"funcnetclassifier__optimizer": [fn.optim.Adam(1e-5), ADAM]}
    search = GridSearchCV(pipe, grid, cv=2, error_score="raise").fit(frame(), Y)
    assert search.best_params_["funcnetclassifier__optimizer"] == ADAM
    assert CalibratedClassifierCV(FuncnetClassifier(**SHORT), cv=2).fit(X, Y).predict_proba(X).shape == (150, 3)
    with pytest.raises(ValueError) as caught:
        pipe.set_params(funcnetclassifier__optimizer__learning_rate=0.1)
    assert str(caught.value) == (
        "'optimizer__learning_rate': a field of a spec is not a parameter of FuncnetClassifier; set or search whole "
        "specs, such as {'optimizer': [fn.optim.Adam(0.01), fn.optim.Adam(0.003)]}"
    )


@pytest.mark.slow
def test_a_search_in_processes():
    search = GridSearchCV(FuncnetClassifier(**SHORT), {"epochs": [1, 30]}, cv=2, n_jobs=2, error_score="raise").fit(
        X, Y
    )
    assert search.best_params_ == {"epochs": 30}


# ----- what is kept --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_search_on_a_dask_cluster_of_two_workers():
    """The code of the guide; the scores are those of one process."""
    pytest.importorskip("distributed", reason="needs distributed, which the extra dask installs")
    (code,) = blocks(GUIDE, "text")
    grid = {"optimizer": [fn.optim.Adam(0.1), fn.optim.Adam(0.001)]}
    search = GridSearchCV(FuncnetClassifier(epochs=2, random_state=0), grid, cv=2)
    alone = clone(search).fit(X, Y)
    exec(code.code, {"search": search, "train": X, "y_train": Y})
    assert np.array_equal(search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"])
    assert search.best_params_ == alone.best_params_


def test_several_columns_of_classes_are_several_networks():
    both = np.c_[Y, np.arange(len(Y)) % 3]
    with pytest.raises(
        ValueError, match=r"^FuncnetClassifier learns one column of classes, got 2; write sklearn\.mult"
    ):
        FuncnetClassifier(**SHORT).fit(X, both)
    several = MultiOutputClassifier(FuncnetClassifier(**SHORT)).fit(X, both)
    assert several.predict(X).shape == both.shape
    assert [p.shape for p in several.predict_proba(X)] == [(150, 3), (150, 3)]
    assert np.array_equal(several.predict(X)[:, 0], FuncnetClassifier(**SHORT).fit(X, Y).predict(X))


def test_pickled_it_predicts_the_same():
    estimator = FuncnetRegressor(fn.serial(fn.Dense(32), fn.Relu()), **SHORT).fit(X, V)
    written = pickle.dumps(estimator)
    assert np.array_equal(pickle.loads(written).predict(X), estimator.predict(X))
    assert len(written) < 60_000  # nothing compiled
    estimator.predict(X)
    assert len(pickle.dumps(estimator)) == len(written)
    assert repr(clone(estimator)) == repr(estimator)


def test_between_a_run_folder_and_an_estimator(tmp_path):
    table = frame()
    for name, estimator, rows in (
        ("numbers", FuncnetClassifier(**SHORT).fit(X, Y), X),
        ("table", FuncnetClassifier(**SHORT).fit(table, np.array(["a", "b", "c"])[Y]), table),
        ("values", FuncnetRegressor(**SHORT).fit(X, V), X),
        ("two", FuncnetRegressor(**SHORT).fit(X, np.c_[V, V]), X),
    ):
        estimator.to_run(tmp_path / name)
        read = type(estimator).from_run(tmp_path / name)
        assert np.array_equal(read.predict(rows), estimator.predict(rows))
        assert read.n_features_in_ == estimator.n_features_in_
        assert read.spec_ == fn.load_run(tmp_path / name).experiment == estimator.spec_
        y = V if name == "values" else np.c_[V, V] if name == "two" else estimator.predict(rows)
        assert read.set_params(warm_start=True).fit(rows, y).n_iter_ == 12
    with pytest.raises(ValueError, match=r"^the run has a loss of probabilities, EachMember; use FuncnetC"):
        FuncnetRegressor.from_run(tmp_path / "numbers")
    with pytest.raises(ValueError, match=r"^the run has a loss of numbers, EachMember; use FuncnetRegressor"):
        FuncnetClassifier.from_run(tmp_path / "values")
    with pytest.raises(fn.CheckpointError, match="holds a finished run already"):
        estimator.to_run(tmp_path / "two")


CATEGORIES = {
    "texts for a missing value": np.array(["NA", "null", "?"])[Y],
    "spaces": np.array([" a", "a", "b "])[Y],
    "float32": np.array([0.1, 0.2, 0.3], np.float32)[Y],
    "gaps": pd.array([None, 0, 1], "Int64")[Y],
    "days": pd.to_datetime(["2024-05-31 00:00", "2024-06-01 09:05", "2024-06-02 10:00"])[Y],
    "booleans": pd.array(Y == 1, "boolean"),
}


@pytest.mark.parametrize("kind", CATEGORIES)
def test_the_run_of_an_estimator_reads_a_frame_as_it_does(kind, tmp_path):
    table = pd.DataFrame({"width": X[:, 3], "kind": CATEGORIES[kind]})
    estimator = FuncnetClassifier(categorical=["kind"], **SHORT).fit(table, Y)
    expected = estimator.predict_proba(table)
    estimator.to_run(tmp_path / "run")
    assert np.array_equal(fn.load_run(tmp_path / "run").predict_proba(table), expected)
    assert np.array_equal(FuncnetClassifier.from_run(tmp_path / "run").predict_proba(table), expected)
    table.to_csv(tmp_path / "rows.csv", index=False, date_format="%Y-%m-%dT%H:%M:%S")
    assert np.array_equal(fn.load_run(tmp_path / "run").predict_proba(tmp_path / "rows.csv"), expected)


def test_a_run_on_a_table_and_its_estimator_know_the_same_gaps(tmp_path):
    table = pd.DataFrame({"width": X[:, 3], "kind": np.array(["u", "v", "w"])[Y]})
    table = table.assign(target=np.array(["a", "b"])[Y % 2])
    table.loc[::7, "kind"] = "none"
    experiment = fn.Experiment(
        data=fn.data.Columns(target="target", categorical="kind", missing=("none",), impute="most_frequent"),
        model=fn.Dense(2),
        loss=fn.losses.SoftmaxCrossEntropy(),
        optimizer=ADAM,
        training=fn.Training(epochs=2),
    )
    run = fn.run(experiment, out=tmp_path / "run", data=table)
    rows = table[["width", "kind"]]
    assert np.array_equal(FuncnetClassifier.from_run(tmp_path / "run").predict_proba(rows), run.predict_proba(rows))


def test_categories_that_no_file_has_are_their_texts():
    table = pd.DataFrame({"width": X[:, 3], "kind": pd.cut(X[:, 0], 3)})
    told = table.assign(kind=table["kind"].astype(str))
    first, second = (FuncnetClassifier(**SHORT).fit(rows, Y) for rows in (table, told))
    assert np.array_equal(first.predict_proba(table), second.predict_proba(table))


def test_an_estimator_of_a_run_on_a_table(tmp_path, monkeypatch):
    """A column of whole numbers that the spec calls categories, and one of numbers."""
    monkeypatch.chdir(tmp_path)
    table = pd.DataFrame({"width": X[:, 3], "kind": Y % 2})
    table.assign(target=np.array(["a", "b", "c"])[Y]).to_csv("rows.csv", index=False)
    for categorical in ((), ("kind",)):
        experiment = fn.Experiment(
            data=fn.data.Csv(path="rows.csv", target="target", categorical=categorical, scale="standard"),
            model=fn.serial(fn.Dense(3)),
            loss=fn.losses.SoftmaxCrossEntropy(),
            metrics=(fn.metrics.Accuracy(),),
            optimizer=ADAM,
            training=fn.Training(epochs=2),
        )
        run = fn.run(experiment, out=f"run{len(categorical)}")
        estimator = FuncnetClassifier.from_run(f"run{len(categorical)}")
        assert estimator.feature_names_in_.tolist() == ["width", "kind"]
        assert estimator.classes_.tolist() == ["a", "b", "c"]
        assert estimator.score(table, np.array(["a", "b", "c"])[Y]) == run.metrics["train"]["accuracy"]
        with pytest.raises(ValueError, match=r"^expected a data frame, as in fit, with the columns width, kind$"):
            estimator.predict(table.to_numpy())


def test_the_form_of_a_frame_is_that_of_fit():
    table = frame()
    estimator = FuncnetClassifier(**SHORT).fit(table, Y)
    with pytest.raises(ValueError, match=r"^column 'width': expected numbers or categories, got String"):
        estimator.predict(table.assign(width="wide"))
    plain = FuncnetClassifier(**SHORT).fit(table[["width", "large"]], Y)
    with pytest.raises(ValueError, match=r"^column 'width': expected numbers or categories, got String; turn it into"):
        plain.predict(table[["width", "large"]].assign(width="wide"))


def test_the_training_step_as_a_file():
    text = FuncnetClassifier(**SHORT).fit(X, Y).source()
    compile(text, "step.py", "exec")
    assert "SoftmaxCrossEntropy" in text
    with pytest.raises(sklearn.exceptions.NotFittedError):
        FuncnetClassifier().source()


def test_what_is_not_fitted_has_no_attributes():
    for name in ("spec_", "n_iter_", "loss_curve_", "classes_", "validation_scores_"):
        assert not hasattr(FuncnetClassifier(), name)


def test_diabetes_without_scaling_by_hand():
    """MLPRegressor with its defaults is below 0 here."""
    x, y = load_diabetes(return_X_y=True)
    assert FuncnetRegressor(random_state=0).fit(x[::2], y[::2]).score(x[1::2], y[1::2]) > 0.4


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_missing_number_is_the_median_of_the_training_rows(dtype, tmp_path):
    """In arrays and frames, in fit and in predict, and whether or not the training rows have gaps."""
    gaps = X.astype(dtype)
    gaps[::7, 1] = gaps[3, 2] = np.nan
    filled = np.where(np.isnan(gaps), np.nanmedian(gaps, axis=0), gaps)
    for train, rows in ((gaps, gaps), (X.astype(dtype), np.where(np.isnan(gaps), np.nan, X).astype(dtype))):
        estimator = FuncnetClassifier(**SHORT).fit(train, Y)
        whole = np.where(np.isnan(rows), np.nanmedian(train, axis=0), rows)
        assert np.array_equal(estimator.predict_proba(rows), estimator.predict_proba(whole))
    assert np.array_equal(FuncnetClassifier(**SHORT).fit(gaps, Y).predict_proba(filled),
                          FuncnetClassifier(**SHORT).fit(filled, Y).predict_proba(filled))  # fmt: skip
    table = pd.DataFrame(gaps, columns=list("abcd")).assign(kind=np.array(["u", "v"])[Y % 2])
    estimator = FuncnetRegressor(**SHORT).fit(table, V)
    answers = estimator.predict(table)
    assert np.array_equal(answers, estimator.predict(table.assign(b=filled[:, 1], c=filled[:, 2])))
    estimator.to_run(tmp_path / "run")
    assert np.array_equal(FuncnetRegressor.from_run(tmp_path / "run").predict(table), answers)
    assert np.array_equal(fn.load_run(tmp_path / "run").predict(table).reshape(-1), answers)
    with pytest.raises(ValueError, match=r"^feature 2: all values of the training part are missing; leave it out"):
        FuncnetClassifier(**SHORT).fit(np.where([0, 0, 1, 0], np.nan, X), Y)
    with pytest.raises(ValueError, match=r"^Input X contains NaN: sparse rows have no missing numbers; fill them in"):
        FuncnetClassifier(**SHORT).fit(sp.csr_array(gaps), Y)


def test_texts_where_numbers_are_expected_are_refused():
    with pytest.raises(ValueError, match=r"^column 'side': .*; list it in categorical, or leave it out$"):
        FuncnetClassifier(epochs=1, categorical=["kind"]).fit(frame(), Y)
    estimator = FuncnetClassifier(epochs=1, random_state=0).fit(frame(), Y)
    with pytest.raises(ValueError, match=r"^column 'width': .*; the training rows had numbers there$"):
        estimator.predict(frame().assign(width="wide"))


def test_infinity_is_refused(tmp_path):
    estimator = FuncnetClassifier(epochs=1, random_state=0).fit(frame(), Y)
    estimator.to_run(tmp_path / "run")
    infinite = frame().assign(width=-np.inf)
    with pytest.raises(ValueError, match=r"^Input column 'width' contains infinity, first in row 0"):
        estimator.predict(infinite)
    with pytest.raises(fn.DataError):
        fn.load_run(tmp_path / "run").predict(infinite)


def test_a_category_that_was_never_missing_in_training_is_unknown_if_it_is(tmp_path, caplog, capsys):
    """As OneHotEncoder(handle_unknown="ignore") has it, and in the printed program too."""
    estimator = FuncnetClassifier(epochs=3, random_state=0).fit(frame(), Y)
    unknown = estimator.predict_proba(frame().assign(side="nowhere"))
    gaps = frame().assign(side=None)
    caplog.clear()
    assert np.array_equal(estimator.predict_proba(gaps), unknown)
    assert [record.message for record in caplog.records] == [
        "column 'side': 150 of 150 rows have a category that the training part lacks, such as a missing one in row 0; "
        "it counts as 0 in every column of its categories"
    ]
    assert not np.array_equal(estimator.predict_proba(frame()), unknown)
    run = estimator.to_run(tmp_path / "run")
    again = fn.load_run(tmp_path / "run")
    assert again.preprocess == run.preprocess
    assert np.array_equal(again.predict(gaps), unknown)
    assert main(["source", str(tmp_path / "run"), "--inference", "--out", str(tmp_path / "program.py")]) == 0
    capsys.readouterr()
    gaps.assign(large=gaps["large"].astype(int)).to_csv(tmp_path / "gaps.csv", index=False)
    said = subprocess.run(
        [sys.executable, "program.py", "gaps.csv"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    printed = np.array([row.split(",")[-unknown.shape[1] :] for row in said.stdout.splitlines()[1:]], unknown.dtype)
    assert np.array_equal(printed, unknown)
    assert said.stderr == "column 'side': 150 rows of an unknown category, such as ''\n"
