"""The baselines of a run: linear models as scikit-learn fits them, the best constants, and what is said of both."""

import json

import attrs
import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge
from sklearn.preprocessing import StandardScaler

import funcnet as fn
import funcnet.experiments.baseline as baseline_module
from funcnet import losses, metrics
from funcnet.cli import main
from funcnet.data import prepare
from funcnet.data.preparation import Dataset
from funcnet.experiments.baseline import baseline, of_members, remarks, some_rows
from funcnet.training.linear import fit_linear
from tests.folders import sign

WINE, CANCER, SUGAR = (load(return_X_y=True) for load in (load_wine, load_breast_cancer, load_diabetes))
EXACT = {"C": 1.0, "tol": 1e-10, "max_iter": 10_000}


def scaled(x):
    return StandardScaler().fit_transform(x)


def test_classes_are_those_of_logistic_regression():
    x, y = WINE
    weight, bias = fit_linear(x, y, None, losses.SoftmaxCrossEntropy(), 3)
    expected = LogisticRegression(**EXACT).fit(scaled(x), y).predict_proba(scaled(x))
    np.testing.assert_allclose(losses.SoftmaxCrossEntropy().link(x @ weight + bias), expected, atol=2e-5)
    x, y = CANCER
    rows = 1.0 + np.arange(len(y)) % 3
    expected = LogisticRegression(**EXACT).fit(scaled(x), y, rows).predict_proba(scaled(x))[:, 1]
    for loss, head in ((losses.SigmoidCrossEntropy(), None), (losses.BinaryCrossEntropy(), fn.Sigmoid())):
        weight, bias = fit_linear(x, y.astype(float), rows, loss, 1, head)
        np.testing.assert_allclose(losses.SigmoidCrossEntropy().link(x @ weight + bias)[:, 0], expected, atol=2e-5)
    for head in (None, fn.LogSoftmax()):  # a unit for each of the two classes
        loss = losses.SoftmaxCrossEntropy() if head is None else losses.NegativeLogLikelihood()
        weight, bias = fit_linear(x, y, rows, loss, 2, head)
        np.testing.assert_allclose(losses.SoftmaxCrossEntropy().link(x @ weight + bias)[:, 1], expected, atol=2e-5)


def test_values_are_those_of_ridge_regression_in_any_unit():
    x, y = SUGAR
    for loss in (losses.MeanSquaredError(), losses.SumSquaredError(), losses.HalfMeanSquaredError()):
        for factor in (1.0, 1e6):
            weight, bias = fit_linear(x, factor * y, None, loss, 1)
            expected = Ridge(alpha=0.5).fit(scaled(x), y).predict(scaled(x))
            np.testing.assert_allclose((x @ weight + bias)[:, 0], factor * expected, rtol=1e-5)
    rows = 1.0 + np.arange(len(y)) % 3
    expected = Ridge(alpha=0.5).fit(scaled(x), y, rows).predict(scaled(x))
    weight, bias = fit_linear(x, y, rows, losses.MeanSquaredError(), 1)
    np.testing.assert_allclose((x @ weight + bias)[:, 0], expected, rtol=1e-5)
    several = np.stack([y, 1e3 * x[:, 2], -y], axis=1)
    expected = Ridge(alpha=0.5).fit(scaled(x)[:, 3:], several, rows).predict(scaled(x)[:, 3:])
    weight, bias = fit_linear(x[:, 3:], several, rows, losses.MeanSquaredError(), 3)
    np.testing.assert_allclose(x[:, 3:] @ weight + bias, expected, atol=1e-3)
    weight, bias = fit_linear(x, y, None, losses.Poisson(), 1)
    poisson = PoissonRegressor(alpha=1.0 / len(y), tol=1e-12, max_iter=1000).fit(scaled(x), y).predict(scaled(x))
    np.testing.assert_allclose(np.exp(x @ weight + bias)[:, 0], poisson, rtol=1e-4)
    weight, bias = fit_linear(x, 1e6 * y, None, losses.MeanAbsoluteError(), 1)
    assert np.abs((x @ weight + bias)[:, 0] / 1e6 - y).mean() < 43.1  # least squares has 43.27


def test_constants_are_shares_means_and_medians():
    none = np.zeros((200, 0))
    y = np.arange(200) % 4 // 3
    _, bias = fit_linear(none, y, None, losses.SoftmaxCrossEntropy(), 2)
    np.testing.assert_allclose(losses.SoftmaxCrossEntropy().link(bias), [0.75, 0.25], atol=1e-6)
    values = np.linspace(0.0, 1.0, 200) ** 2
    for loss, expected in ((losses.MeanSquaredError(), values.mean()), (losses.MeanAbsoluteError(), np.median(values))):
        _, bias = fit_linear(none, values, None, loss, 1)
        assert bias[0] == pytest.approx(expected, abs=0.003)
    _, bias = fit_linear(none, values, None, losses.Poisson(), 1)
    assert np.exp(bias[0]) == pytest.approx(values.mean(), rel=1e-5)


IRIS = fn.Experiment(
    data=fn.data.Iris(split=fn.data.Split(validation=0.2, test=0.2, stratify=True), scale="standard"),
    model=fn.serial(fn.Dense(4), fn.Tanh(), fn.Dense(3)),
    loss=losses.SoftmaxCrossEntropy(),
    metrics=(metrics.Accuracy(), metrics.LogLoss()),
    optimizer=fn.optim.Adam(0.05),
    training=fn.Training(epochs=1),
)
SUGARED = attrs.evolve(
    IRIS,
    data=fn.data.Diabetes(split=fn.data.Split(test=0.3), scale="standard", target_scale="standard"),
    model=fn.serial(fn.Dense(4), fn.Tanh(), fn.Dense(1)),
    loss=losses.MeanSquaredError(),
    metrics=(metrics.R2(), metrics.RMSE()),
)


def found(experiment):
    data = prepare(experiment.data, fn.Key(experiment.seed), None, experiment.dtype)
    return baseline(experiment, data), data


@pytest.mark.parametrize("seed", range(4))
def test_the_constant_answer_is_the_first_of_equal_classes(seed):
    y = np.random.default_rng(seed).permutation(np.repeat([0, 1, 2], [28, 31, 31]))
    table = {"x": np.arange(90.0), "y": np.array(["a", "b", "c"])[y]}
    experiment = attrs.evolve(IRIS, data=fn.data.Columns(target="y"))
    data = prepare(experiment.data, fn.Key(0), None, experiment.dtype, data=table)
    of_b = Dataset(data.train.x[y == 1], data.train.y[y == 1])
    scores = baseline(experiment, data._replace(test=of_b))
    assert scores["constant"]["test"]["accuracy"] == 1.0


def test_the_scores_are_those_of_the_same_parts():
    scores, data = found(IRIS)
    assert (scores["rows"], scores["of"]) == (90, 90)
    assert list(scores["linear"]) == list(scores["constant"]) == ["validation", "test"]
    linear = LogisticRegression(**EXACT).fit(scaled(data.train.x.astype(float)), data.train.y)
    p = linear.predict_proba(StandardScaler().fit(data.train.x.astype(float)).transform(data.test.x))
    for name, metric in (("accuracy", metrics.Accuracy()), ("log_loss", metrics.LogLoss())):
        assert scores["linear"]["test"][name] == pytest.approx(metric(p, data.test.y), rel=1e-4)
    assert scores["linear"]["test"]["loss"] == pytest.approx(scores["linear"]["test"]["log_loss"], rel=1e-6)
    assert scores["constant"]["test"]["loss"] == pytest.approx(np.log(3), rel=1e-6)
    assert scores["constant"]["test"]["accuracy"] == pytest.approx(1 / 3)
    members = attrs.evolve(IRIS, model=fn.Ensemble(IRIS.model, 4), loss=losses.EachMember(IRIS.loss))
    several, _ = found(members)  # four members that answer alike
    assert several["linear"]["test"]["accuracy"] == scores["linear"]["test"]["accuracy"]
    assert several["linear"]["test"]["loss"] == pytest.approx(4 * scores["linear"]["test"]["loss"], rel=1e-6)
    values, data = found(SUGARED)
    ridge = Ridge(alpha=0.5).fit(scaled(data.train.x.astype(float)), data.train.y)
    x = StandardScaler().fit(data.train.x.astype(float)).transform(data.test.x)
    assert values["linear"]["test"]["r2"] == pytest.approx(ridge.score(x, data.test.y), abs=1e-5)
    assert 40.0 < values["linear"]["test"]["rmse"] < 70.0  # in the units of the data
    assert values["constant"]["test"]["r2"] == pytest.approx(0.0, abs=0.1)


def test_a_linear_model_of_many_rows_sees_some_of_them(monkeypatch):
    monkeypatch.setattr(baseline_module, "NUMBERS", 140)
    scores, _ = found(IRIS)
    assert (scores["rows"], scores["of"]) == (20, 90)
    assert list(remarks(scores, IRIS)) == ["the baselines are fitted on 20 of 90 training rows"]
    assert some_rows(90, 4, 3).tolist() == [i * 90 // 20 for i in range(20)]
    assert some_rows(7, 4, 3).tolist() == list(range(7))


OTHERS = {
    "images": attrs.evolve(
        IRIS,
        data=fn.data.Digits(split=fn.data.Split(test=0.2)),
        model=fn.serial(fn.Reshape((8, 8, 1)), fn.Conv2D(2, 3), fn.Relu()),
        loss=losses.MeanSquaredError(),
        metrics=(),
    ),
    "several losses": attrs.evolve(
        IRIS,
        model=fn.serial(fn.Branch((fn.Dense(3), fn.Dense(3)))),
        loss=losses.Multi((IRIS.loss, IRIS.loss)),
        metrics=(),
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_there_is_none_where_it_makes_no_sense(name):
    assert found(OTHERS[name])[0] is None


def test_a_metric_that_refuses_the_linear_model_costs_only_the_baseline(caplog):
    data = fn.data.Arrays(x=[[0.0], [1.0], [2.0], [3.0]], y=[[4.0], [0.1], [0.1], [0.0]])
    experiment = attrs.evolve(SUGARED, data=data, metrics=(metrics.Deviance(),))
    assert found(experiment)[0] is None
    start = "the baseline is left out (DataError: Deviance: expected predicted means of 0 or more, got -"
    assert [message[: len(start)] for message in caplog.messages] == [start]


# ----- the run and the commands -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a spec and its run by the command, and the run itself."""
    folder = tmp_path_factory.mktemp("baseline")
    fn.save_spec(folder / "iris.json", IRIS)
    assert main(["train", str(folder / "iris.json"), "--out", str(folder / "run"), "--progress", "none"]) == 0
    return folder, fn.load_run(folder / "run")


def test_commands_print_what_a_run_keeps(trained, capsys):
    folder, run = trained
    scores, _ = found(IRIS)
    assert run.baseline == scores == json.loads((folder / "run" / "baseline.json").read_text(encoding="utf-8"))
    assert fn.run(IRIS).baseline is None
    assert fn.run(IRIS, baseline=True).baseline == scores
    rows = [
        [f"{part}, {kind}", *(f"{score:.5g}" for score in scores[name][part].values())]
        for part in ("validation", "test")
        for name, kind in (("constant", "constant answer"), ("linear", "linear model"))
    ]
    assert [row[:4] for row in run.table().rows[3:]] == rows
    capsys.readouterr()
    for command in (["evaluate", str(folder / "run")], ["check", str(folder / "iris.json")]):
        assert main(command) == 0
        lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
        assert set(map(" ".join, rows)) <= set(lines)
        assert main([*command, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["baseline"] == scores
    assert main(["evaluate", str(folder / "run"), "--part", "test"]) == 0
    assert "validation" not in capsys.readouterr().out


def test_train_says_where_the_linear_model_is_better(trained, capsys):
    folder, run = trained
    own, linear = run.metrics["test"], run.baseline["linear"]["test"]
    figures = ", ".join(
        f"{name} {linear[name]:.5g} against {own[name]:.5g}" for name in ("loss", "accuracy", "log_loss")
    )
    said = f"the linear model is better than the network in 3 of 3 scores of the test part: {figures}"
    assert list(remarks(run.baseline, IRIS, run.metrics)) == [said]
    assert main(["train", str(folder / "iris.json"), "--out", str(folder / "again"), "--progress", "none"]) == 0
    assert said in capsys.readouterr().out.splitlines()
    best = {"test": {"loss": 0.0, "accuracy": 1.0, "log_loss": 0.0}}
    assert list(remarks(run.baseline, IRIS, best)) == []
    members = attrs.evolve(IRIS, model=fn.Ensemble(IRIS.model, 4), loss=losses.EachMember(IRIS.loss))
    worst = {"test": {"loss": 9.0, "accuracy": 1.0, "log_loss": 0.0}}  # of members, not of their mean answer
    assert list(remarks(run.baseline, members, worst)) == []


def test_the_loss_of_members_is_explained_wherever_it_is_shown(tmp_path, capsys):
    members = attrs.evolve(IRIS, model=fn.Ensemble(IRIS.model, 4), loss=losses.EachMember(IRIS.loss))
    (said,) = of_members(members)
    assert said == "the loss is the sum of the members' losses; the other scores are of their mean answer"
    fn.save_spec(tmp_path / "iris.json", members)
    run = str(tmp_path / "run")
    for command in (["check", str(tmp_path / "iris.json")], ["train", str(tmp_path / "iris.json")], ["evaluate", run]):
        assert main([*command, *(["--out", run, "--progress", "none"] if command[0] == "train" else [])]) == 0
        assert capsys.readouterr().out.splitlines().count(said) == 1
    assert f"{said[:1].upper()}{said[1:]}.".replace("'", "&#x27;") in (tmp_path / "run" / "report.html").read_text(
        encoding="utf-8"
    )
    assert of_members(IRIS) == []


@pytest.mark.parametrize("forged", [{"rows": "many"}, {"linear": {"tests": {}}}, {"constant": {}}, {"more": 1}])
def test_a_forged_baseline_is_refused(trained, tmp_path, forged):
    fn.run(IRIS, tmp_path / "run", baseline=True)
    path = tmp_path / "run" / "baseline.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | forged), encoding="utf-8")
    with pytest.raises(fn.CheckpointError, match=r"baseline\.json has changed since the run wrote it"):
        fn.load_run(tmp_path / "run")
    sign(tmp_path / "run")
    with pytest.raises(fn.CheckpointError, match=r"baseline\.json: cannot be read"):
        fn.load_run(tmp_path / "run")


def test_the_linear_model_has_the_class_weights_of_the_network():
    x, y = CANCER
    table = {**{f"x{i}": x[:, i] for i in range(x.shape[1])}, "y": np.where(y == 0, "ill", "well")}
    experiment = attrs.evolve(
        IRIS,
        data=fn.data.Columns("y", scale="standard"),
        model=fn.Dense(2),
        training=fn.Training(epochs=1, class_weight={"ill": 5.0, "well": 1.0}),
    )
    data = prepare(experiment.data, fn.Key(0), None, experiment.dtype, data=table)
    scores = baseline(experiment, data)
    exact = LogisticRegression(class_weight={0: 5.0, 1: 1.0}, **EXACT).fit(scaled(x), y).predict_proba(scaled(x))
    share = np.mean(y == 0)  # the constant answer has none: it is the best for the loss that is shown
    expected = {
        "linear": -np.log(exact[np.arange(len(y)), y]).mean(),
        "constant": -share * np.log(share) - (1.0 - share) * np.log(1.0 - share),
    }
    for kind, loss in expected.items():
        assert scores[kind]["train"]["loss"] == pytest.approx(loss, rel=1e-4)
