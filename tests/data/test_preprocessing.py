"""Preprocessing: scikit-learn's values, fitted on the training part alone, and undone in what a run answers."""

import csv
import json

import numpy as np
import pytest

import funcnet as fn
from funcnet import data, losses, metrics, optim
from funcnet.data import Frame, prepare
from funcnet.data.preprocess import outside_range, restore_targets, scale_targets, transform
from tests.golden import load_golden

KEY = fn.Key(6)
SPLIT = data.Split(time=True, test=17 / 78)
GOLDEN = load_golden("preprocessing")
ORDER = ("low", "middle", "high")


def save(folder):
    """The recorded rows, training part first, as an archive and as a table."""
    x = np.concatenate([GOLDEN["train"], GOLDEN["test"]])
    words = np.concatenate([GOLDEN["words"]["train"], GOLDEN["words"]["test"]])
    y = np.arange(len(x)) % 2
    np.savez(folder / "a.npz", x=x, y=y)
    with open(folder / "a.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([f"n{i}" for i in range(6)] + ["colour", "size", "y"])
        for row, word, label in zip(x.tolist(), words.tolist(), y.tolist(), strict=True):
            writer.writerow(["" if np.isnan(value) else repr(value) for value in row] + word + [label])


def forms(**fields):
    numbers = [f"n{i}" for i in range(6)]
    return data.Npz(path="a.npz", split=SPLIT, **fields), data.Csv(
        path="a.csv", target="y", inputs=numbers, split=SPLIT, **fields
    )


# ----- scikit-learn's values ------------------------------------------------------------------------------------


@pytest.mark.parametrize("impute", ["mean", "median", "most_frequent"])
def test_imputed_values_are_sklearns(tmp_path, impute):
    save(tmp_path)
    for source in forms(impute=impute):
        found = prepare(source, KEY, tmp_path, np.float64)
        np.testing.assert_allclose(found.train.x, GOLDEN[impute]["train"], rtol=1e-13, atol=1e-13)
        np.testing.assert_allclose(found.test.x, GOLDEN[impute]["test"], rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("scale", ["standard", "minmax", "robust"])
def test_scaled_values_are_sklearns(tmp_path, scale):
    save(tmp_path)
    for source in forms(impute="median", scale=scale):
        found = prepare(source, KEY, tmp_path, np.float64)
        np.testing.assert_allclose(found.train.x, GOLDEN[scale]["train"], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(found.test.x, GOLDEN[scale]["test"], rtol=1e-9, atol=1e-9)


def test_encoded_values_are_sklearns_and_unseen_ones_are_0_or_minus_1(tmp_path):
    save(tmp_path)
    source = data.Csv(
        path="a.csv",
        target="y",
        inputs=("colour", "size"),
        categorical="colour",
        ordinal={"size": ORDER},
        split=SPLIT,
    )
    found = prepare(source, KEY, tmp_path)
    assert found.preprocess["columns"] == [
        {"name": "colour", "kind": "one_hot", "categories": ["blue", "green", "red", "Ärger"], "fill": None},
        {"name": "size", "kind": "ordinal", "categories": ["low", "middle", "high"], "fill": None},
    ]
    assert found.train.x.tolist() == GOLDEN["encoded"]["train"].tolist()
    assert found.test.x.tolist() == GOLDEN["encoded"]["test"].tolist()
    assert found.test.x[3].tolist() == [0, 0, 0, 0, -1]
    assert found.test.x[5, :4].tolist() == [0, 0, 0, 0]
    rows, _ = outside_range(found.preprocess, source.table(tmp_path, KEY).x)
    assert np.flatnonzero(rows).tolist() == [61 + 3, 61 + 5]


def test_several_scalers_beside_categories(tmp_path):
    """Numbers are scaled, ordered categories too, and columns of 0 and 1 are not."""
    (tmp_path / "a.csv").write_text("n,c,s,y\n1,u,low,0\n2,v,high,1\n6,u,high,0\n")
    source = data.Csv(path="a.csv", target="y", categorical="c", ordinal={"s": ORDER}, scale="minmax")
    found = prepare(source, KEY, tmp_path, np.float64)
    assert found.train.x.tolist() == [[0.0, 1, 0, 0.0], [0.2, 0, 1, 1.0], [1.0, 1, 0, 1.0]]
    assert found.preprocess["inputs"] == {
        "scale": "minmax",
        "low": [1.0, 0.0, 0.0, 0.0],
        "width": [5.0, 1.0, 1.0, 2.0],
    }
    assert found.preprocess["range"] == {"low": [1.0, 0.0, 0.0, 0.0], "high": [6.0, 1.0, 1.0, 2.0]}


@pytest.mark.parametrize("scale", ["standard", "robust"])
def test_columns_of_0_and_1_stay_what_they_are(tmp_path, scale):
    (tmp_path / "a.csv").write_text("n,c,y\n1,u,0\n2,v,1\n3,u,0\n6,u,0\n")
    found = prepare(data.Csv(path="a.csv", target="y", categorical="c", scale=scale), KEY, tmp_path)
    assert found.train.x[:, 1:].tolist() == [[1, 0], [0, 1], [1, 0], [1, 0]]
    assert found.train.x[:, 0].tolist() != [1, 2, 3, 6]


def test_steps_come_in_their_order(tmp_path):
    """Filled, flattened, divided, scaled."""
    x = np.array([[[255.0, 0.0]], [[np.nan, 51.0]], [[0.0, 102.0]]])
    np.savez(tmp_path / "a.npz", x=x, y=[0, 1, 0])
    source = data.Npz(path="a.npz", impute=51.0, flatten=True, divide=255.0)
    found = prepare(source, KEY, tmp_path, np.float64)
    assert found.train.x == pytest.approx(np.array([[1.0, 0.0], [0.2, 0.2], [0.0, 0.4]]), abs=1e-15)
    assert found.found["missing"] == 1
    scaled = prepare(fn.spec.evolve(source, scale="minmax"), KEY, tmp_path, np.float64)
    assert scaled.train.x == pytest.approx(np.array([[1.0, 0.0], [0.2, 0.5], [0.0, 1.0]]), abs=1e-15)
    assert scaled.preprocess["range"] == {"low": [0.0, 0.0], "high": [1.0, 0.4]}
    again = json.loads(json.dumps(scaled.preprocess))
    assert np.array_equal(transform(again, x, np.float64), scaled.train.x)


# ----- on the training part alone ----------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", ["standard", "minmax", "robust"])
@pytest.mark.parametrize("impute", ["mean", "median", "most_frequent"])
def test_outliers_that_are_held_out_change_nothing(tmp_path, scale, impute):
    rows = [(f"{i % 7}", "uvw"[i % 3], "low" if i % 2 else "high", f"{i % 5 + 0.5}") for i in range(40)]
    rows[3], rows[8] = ("", "u", "low", "1.5"), ("2", "", "low", "2.5")
    outliers = [("1e9", "never", "middle", "1e9"), ("-1e9", "seen", "low", "-1e9")] * 5
    specs = {"impute": impute, "scale": scale, "target_scale": scale, "categorical": "c", "ordinal": {"s": ORDER}}
    split = data.Split(time=True, test=0.2)
    found = []
    for held_out in (rows[:10], outliers):
        lines = [",".join(row) for row in [("n", "c", "s", "y"), *rows, *held_out]]
        (tmp_path / "a.csv").write_text("\n".join(lines))
        found.append(prepare(data.Csv(path="a.csv", target="y", split=split, **specs), KEY, tmp_path, np.float64))
    assert found[0].preprocess == found[1].preprocess
    assert np.array_equal(found[0].train.x, found[1].train.x)
    assert np.array_equal(found[0].train.y, found[1].train.y)
    assert found[1].preprocess["columns"][1]["categories"] == ["u", "v", "w", ""]
    assert not np.array_equal(found[0].test.x, found[1].test.x)
    assert np.abs(found[1].test.y).min() > 1e6


# ----- targets in their units ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scale", "scaled"),
    [
        ("standard", [[-1.5, 0.0], [-0.5, 0.0], [0.5, 0.0], [1.5, 0.0]]),
        ("minmax", [[0.0, 0.0], [1 / 3, 0.0], [2 / 3, 0.0], [1.0, 0.0]]),
        ("robust", [[-1.0, 0.0], [-1 / 3, 0.0], [1 / 3, 0.0], [1.0, 0.0]]),
        ("mean", [[0.4, 1.0], [0.8, 1.0], [1.2, 1.0], [1.6, 1.0]]),
    ],
)
def test_targets_are_scaled_and_come_back(tmp_path, scale, scaled):
    y = np.array([[10.0, 7.0], [20.0, 7.0], [30.0, 7.0], [40.0, 7.0]])
    np.savez(tmp_path / "a.npz", x=np.eye(4), y=y)
    found = prepare(data.Npz(path="a.npz", target_scale=scale), KEY, tmp_path, np.float64)
    expected = np.array(scaled) * ([1 / np.sqrt(1.25), 1.0] if scale == "standard" else 1.0)
    assert found.train.y == pytest.approx(expected, abs=1e-12)
    assert restore_targets(found.preprocess, found.train.y) == pytest.approx(y, abs=1e-12)
    assert restore_targets(found.preprocess, found.train.y.astype(np.float32)).dtype == np.float32
    np.savez(tmp_path / "a.npz", x=np.eye(4), y=y[:, 0].astype(int))  # whole numbers are numbers here
    one = prepare(data.Npz(path="a.npz", target_scale=scale), KEY, tmp_path, np.float64)
    assert one.train.y == pytest.approx(expected[:, 0], abs=1e-12)
    for shape in ((4,), (4, 1)):
        assert restore_targets(one.preprocess, one.train.y.reshape(shape)) == pytest.approx(y[:, 0].reshape(shape))
    assert scale_targets(one.preprocess, np.array([10.0])) == pytest.approx(expected[0, 0], abs=1e-12)


def test_the_mean_of_sizes_keeps_signs_and_zeros(tmp_path):
    for y, size in ((np.array([0.0, -3.0, 5.0, 0.0]), 2.0), (np.zeros(4), 1.0)):
        np.savez(tmp_path / "a.npz", x=np.eye(4), y=y)
        found = prepare(data.Npz(path="a.npz", target_scale="mean"), KEY, tmp_path, np.float64)
        assert found.preprocess["targets"] == {"scale": "mean", "origin": 0.0, "mean": size}
        assert found.train.y.tolist() == (y / size).tolist()


@pytest.mark.parametrize("scale", ["standard", "minmax", "robust"])
@pytest.mark.parametrize("columns", [1, 2])
def test_predictions_and_metrics_are_in_the_units_of_the_data(tmp_path, scale, columns):
    x = KEY.normal((60, 3)) * [1.0, 50.0, 0.1]
    y = 1000.0 + 300.0 * x @ np.array([[1.0, -2.0], [0.02, 0.01], [5.0, 1.0]])
    lines = [",".join(map(repr, row)) for row in np.concatenate([x, y], axis=1).tolist()]
    (tmp_path / "a.csv").write_text("a,b,c,u,v\n" + "\n".join(lines) + "\n")
    target = ("u", "v")[:columns]
    experiment = fn.Experiment(
        dtype="float64",
        data=data.Csv(
            path="a.csv",
            target=target if columns > 1 else "u",
            inputs=("a", "b", "c"),
            scale=scale,
            target_scale=scale,
            split=data.Split(validation=0.2, test=0.2),
        ),
        model=fn.Dense(columns),
        loss=losses.MeanSquaredError(),
        metrics=(metrics.MAE(), metrics.RMSE(), metrics.R2()),
        optimizer=optim.Adam(0.1),
        training=fn.Training(epochs=300, batch_size="full"),
    )
    run = fn.run(experiment, tmp_path / "run", base=tmp_path)
    table = experiment.data.table(tmp_path, KEY)
    parts = prepare(experiment.data, fn.Key(0), tmp_path).parts
    for name, part in parts._asdict().items():
        frame = Frame({column: values[part] for column, values in table.x.columns.items()}, table.x.lines[part])
        truth = table.y[part].reshape(len(part), columns)
        for held in (run, fn.load_run(tmp_path / "run")):
            answer = held.predict(frame)
            assert answer.shape == (len(part), columns)
            error = answer - truth
            assert np.abs(error).max() < 150.0  # where targets vary by thousands around a thousand
            assert held.metrics[name]["mae"] == pytest.approx(np.abs(error).mean(), rel=1e-9)
            assert held.metrics[name]["rmse"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-9)
            total = ((truth - truth.mean(axis=0)) ** 2).sum(axis=0)
            r2 = np.mean(1 - (error**2).sum(axis=0) / total)
            assert held.metrics[name]["r2"] == pytest.approx(r2, rel=1e-9)
    last = run.history[-1]["validation/mae"]
    assert last == pytest.approx(run.metrics["validation"]["mae"], rel=1e-12)


def test_labels_come_back_by_name(tmp_path):
    lines = [f"{(i % 3) * 10 + i / 100},{('ant', 'bee', 'cat')[i % 3]}" for i in range(60)]
    (tmp_path / "a.csv").write_text("a,animal\n" + "\n".join(lines) + "\n")
    experiment = fn.Experiment(
        data=data.Csv(path="a.csv", target="animal", scale="standard", split=data.Split(test=0.2, stratify=True)),
        model=fn.serial(fn.Dense(8), fn.Tanh(), fn.Dense(3)),
        loss=losses.SoftmaxCrossEntropy(),
        optimizer=optim.Adam(0.05),
        training=fn.Training(epochs=60, class_weight={"ant": 1.0, "bee": 2.0, "cat": 1.0}),
    )
    fn.run(experiment, tmp_path / "run", base=tmp_path)
    run = fn.load_run(tmp_path / "run")
    frame = Frame({"a": np.array([0.1, 10.3, 20.2])}, np.arange(3))
    assert run.predict_label(frame).tolist() == ["ant", "bee", "cat"]
    assert run.classes == ["ant", "bee", "cat"]
    assert run.predict_proba(frame).shape == (3, 3)


# ----- weights --------------------------------------------------------------------------------------------------


def weighted(folder, form):
    """Rows whose weights differ, from each kind of source that has them."""
    x = np.array([[0.5], [1.0], [2.0], [3.0], [4.0], [5.0]])
    y, w = np.array([0, 0, 0, 0, 1, 1]), np.array([1.0, 2.0, 0.0, 3.0, 0.5, 4.0])
    np.savez(folder / "a.npz", x=x, y=y, w=w)
    for name, array in (("x", x), ("y", y), ("w", w)):
        np.save(folder / f"{name}.npy", array)
    (folder / "a.csv").write_text("a,y,w\n" + "".join(f"{a},{b},{c}\n" for (a,), b, c in zip(x, y, w, strict=True)))
    source = {
        "csv": data.Csv(path="a.csv", target="y", weight="w"),
        "npz": data.Npz(path="a.npz", weight="w"),
        "npy": data.Npy(x="x.npy", y="y.npy", weight="w.npy"),
        "arrays": data.Arrays(x=x, y=y, weight=w),
    }[form]
    return source, x, y, w


@pytest.mark.parametrize("form", ["csv", "npz", "npy", "arrays"])
@pytest.mark.parametrize(
    ("class_weight", "factors"),
    [(None, (1.0, 1.0)), ({"0": 2.0, "1": 5.0}, (2.0, 5.0)), ("balanced", None)],
)
def test_weights_reach_the_loss_the_gradient_and_the_metrics(tmp_path, form, class_weight, factors):
    source, x, y, w = weighted(tmp_path, form)
    experiment = fn.Experiment(
        dtype="float64",
        data=source,
        model=fn.Dense(2, weight_init=fn.initializers.Zeros()),
        loss=losses.SoftmaxCrossEntropy(),
        metrics=(metrics.Accuracy(),),
        optimizer=optim.SGD(1.0),
        training=fn.Training(steps=1, batch_size="full", class_weight=class_weight),
    )
    run = fn.run(experiment, base=tmp_path)
    trained = w * (w.sum() / (2 * np.bincount(y, w)) if factors is None else np.array(factors))[y]
    # at weights of 0 both probabilities are 1/2, and the gradient of a logit is (1/2 - [y = k])
    dz = (0.5 - np.eye(2)[y]) * (trained / trained.sum())[:, None]
    assert run.params["weight"] == pytest.approx(-(x.T @ dz), abs=1e-12)
    assert run.params["bias"] == pytest.approx(-dz.sum(axis=0), abs=1e-12)
    logits = x @ run.params["weight"] + run.params["bias"]
    own = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(6), y]
    assert run.metrics["train"]["loss"] == pytest.approx((own * w).sum() / w.sum(), abs=1e-12)
    right = logits.argmax(axis=1) == y
    assert run.metrics["train"]["accuracy"] == pytest.approx((right * w).sum() / w.sum(), abs=1e-12)
    assert run.history[0]["accuracy"] == run.metrics["train"]["accuracy"]  # without the weights of the classes
    assert run.history[0]["loss"] == pytest.approx(np.log(2.0), abs=1e-12)


def names(**training):
    return fn.Experiment(
        data=data.Iris(),
        model=fn.Dense(3),
        loss=losses.SoftmaxCrossEntropy(),
        optimizer=optim.SGD(0.01),
        training=fn.Training(epochs=1, batch_size="full", **training),
    )


def test_class_weights_by_name_and_by_label_are_the_same():
    by_name = fn.run(names(class_weight={"setosa": 1.0, "versicolor": 2.0, "virginica": 3.0}))
    by_label = fn.run(names(class_weight={"0": 1.0, "1": 2.0, "2": 3.0}))
    assert np.array_equal(by_name.params["weight"], by_label.params["weight"])
    assert not np.array_equal(by_name.params["weight"], fn.run(names()).params["weight"])


@pytest.mark.parametrize(
    ("class_weight", "expected"),
    [
        (
            {"setosa": 1.0, "versicolour": 2.0, "virginica": 3.0},
            "training.class_weight: there is no class 'versicolour', did you mean 'versicolor'?; "
            "there are setosa, versicolor, virginica",
        ),
        (
            {"setosa": 1.0, "versicolor": 2.0, "²": 3.0},  # isdigit, and no number
            "training.class_weight: there is no class '²'; there are setosa, versicolor, virginica",
        ),
        ({"setosa": 1.0, "virginica": 3.0}, "expected a class_weight for every label, got none for [1]"),
        (
            {"setosa": 1.0, "versicolor": -2.0, "virginica": 3.0},
            "expected class weights of 0 or more, at least one above 0, got {0: 1.0, 1: -2.0, 2: 3.0}",
        ),
        (
            {"setosa": 0.0, "versicolor": 0.0, "virginica": 0.0},
            "expected class weights of 0 or more, at least one above 0, got {0: 0.0, 1: 0.0, 2: 0.0}",
        ),
    ],
)
def test_class_weights_that_cannot_be_used(class_weight, expected):
    with pytest.raises(fn.DataError) as error:
        fn.run(names(class_weight=class_weight))
    assert str(error.value) == expected


# ----- classes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("labels", "label"), [("uuuuuvvv", "v"), ("11111222", "2"), ("00000111", "1")])
def test_a_class_that_training_never_saw(tmp_path, labels, label):
    (tmp_path / "a.csv").write_text("a,y\n" + "".join(f"{i},{y}\n" for i, y in enumerate(labels)))
    split = data.Split(time=True, validation=0.375)
    experiment = fn.Experiment(
        data=data.Csv(path="a.csv", target="y", split=split),
        model=fn.Dense(3),
        loss=losses.SoftmaxCrossEntropy(),
        optimizer=optim.SGD(0.1),
        training=fn.Training(epochs=1),
    )
    with pytest.raises(fn.DataError) as error:
        fn.run(experiment, tmp_path / "run", base=tmp_path)
    assert str(error.value) == (
        f"Csv: the validation part has the class {label!r}, which the training part lacks; "
        "stratify the split, or use more rows of it"
    )
    assert not (tmp_path / "run").exists()


def test_values_that_training_never_saw_are_no_classes(tmp_path):
    """Whole numbers to be predicted as numbers may be new."""
    (tmp_path / "a.csv").write_text("a,y\n" + "".join(f"{i},{i}\n" for i in range(8)))
    experiment = fn.Experiment(
        data=data.Csv(path="a.csv", target="y", split=data.Split(time=True, validation=0.25)),
        model=fn.Dense(1),
        loss=losses.MeanSquaredError(),
        optimizer=optim.SGD(0.001),
        training=fn.Training(epochs=1),
    )
    assert list(fn.run(experiment, base=tmp_path).metrics) == ["train", "validation"]


@pytest.mark.parametrize(
    ("label", "advice"),
    [(3, "give the last layer one unit for each class"), (-1, "ignore this one with ignore_label=-1")],
)
def test_labels_out_of_range(tmp_path, label, advice):
    (tmp_path / "a.csv").write_text(f"a,y\n1,0\n2,1\n3,{label}\n")
    experiment = fn.Experiment(
        data=data.Csv(path="a.csv", target="y"),
        model=fn.Dense(3),
        loss=losses.SoftmaxCrossEntropy(),
        optimizer=optim.SGD(0.1),
        training=fn.Training(epochs=1),
    )
    with pytest.raises(fn.DataError) as error:
        fn.run(experiment, base=tmp_path)
    assert str(error.value) == (
        f"SoftmaxCrossEntropy: expected labels from 0 to 2, got {label} at row 2; "
        f"renumber the labels, or {advice} (in the training part)"
    )


# ----- constants up to rounding ---------------------------------------------------------------------------------


NOISY = {  # scaled values are as scikit-learn's: 0 up to rounding
    "filled by the mean": [0.1, 0.1, 0.1, np.nan],
    "computed": [0.3, 0.1 + 0.2, 0.3, 0.3],
    "negative": [-0.3, -0.3, -0.1 - 0.2, -0.3],
    "float32": np.array([0.3, np.float32(0.1) + np.float32(0.2), 0.3, 0.3], np.float32),
    "large": [1e9, 1e9, np.nextafter(1e9, 2e9), 1e9],
    "large float32": np.array([1e9, np.nextafter(np.float32(1e9), np.float32(2e9)), 1e9, 1e9], np.float32),
}


@pytest.mark.parametrize("scale", ["standard", "minmax", "robust"])
@pytest.mark.parametrize("name", NOISY)
def test_rounding_noise_is_not_scaled_up(tmp_path, name, scale):
    column = np.array(NOISY[name])
    np.savez(tmp_path / "a.npz", x=column[:, None], y=np.nan_to_num(column))
    source = data.Npz(path="a.npz", impute="mean", scale=scale, target_scale=None if name[:6] == "filled" else scale)
    found = prepare(source, KEY, tmp_path, np.float64)
    assert np.abs(found.train.x).max() < 2e-7
    if name[:6] != "filled":
        assert np.abs(found.train.y).max() < 2e-7


def test_a_gap_in_a_constant_is_filled_by_the_constant(tmp_path):
    np.savez(tmp_path / "a.npz", x=[[0.1, 7.0], [0.1, 7.0], [0.1, 7.0], [np.nan, np.nan]], y=range(4))
    found = prepare(data.Npz(path="a.npz", impute="mean", scale="standard"), KEY, tmp_path, np.float64)
    assert found.preprocess["fill"] == [0.1, 7.0]
    assert np.array_equal(found.train.x, np.zeros((4, 2)))


def test_the_mean_of_numbers_whose_sum_overflows(tmp_path):
    np.savez(tmp_path / "a.npz", x=[[1.5e308], [1.6e308], [np.nan]], y=range(3))
    found = prepare(data.Npz(path="a.npz", impute="mean"), KEY, tmp_path, np.float64)
    assert found.preprocess["fill"] == pytest.approx([1.55e308], rel=1e-15)


def test_quartiles_that_differ_by_rounding_divide_nothing(tmp_path):
    np.savez(tmp_path / "a.npz", x=[[0.3], [0.3], [0.1 + 0.2], [0.1 + 0.2], [5.0]], y=range(5))
    found = prepare(data.Npz(path="a.npz", scale="robust"), KEY, tmp_path, np.float64)
    assert found.train.x[:, 0] == pytest.approx([0.0, 0.0, 0.0, 0.0, 4.7], abs=1e-15)


@pytest.mark.parametrize(
    "column",
    [
        1e9 + np.arange(4.0) * 1e-5,
        np.array([2021, 2022, 2023, 2024], np.float32),
        np.arange(4.0) * 1e-100,
        np.array([293, 293.25, 293.5, 293.75], np.float16),
    ],
    ids=["seconds", "years", "tiny", "float16"],
)
@pytest.mark.parametrize(("scale", "spread"), [("standard", 1.5 / np.sqrt(1.25) * 2), ("minmax", 1.0), ("robust", 2.0)])
def test_a_narrow_column_is_scaled(tmp_path, column, scale, spread):
    np.savez(tmp_path / "a.npz", x=column[:, None], y=range(4))
    found = prepare(data.Npz(path="a.npz", scale=scale), KEY, tmp_path, np.float64)
    assert np.ptp(found.train.x) == pytest.approx(spread, rel=0.02)


# ----- what is missing in arrays --------------------------------------------------------------------------------


NAN, INF = np.nan, np.inf


@pytest.mark.parametrize(
    ("x", "impute", "expected"),
    [
        ([[1, NAN], [2, 3]], None, "Npz: expected finite inputs, got nan in row 0, column 1; remove or fill it"),
        ([[1, INF], [NAN, 3]], "mean", "Npz: expected finite inputs, got inf in row 0, column 1; remove or fill it"),
        (
            [[1, NAN], [2, NAN]],
            "mean",
            "Npz: feature 1: all values of the training part are missing; leave it out, or impute a number",
        ),
    ],
    ids=["nan", "infinite", "nothing"],
)
def test_gaps_in_arrays(tmp_path, x, impute, expected):
    np.savez(tmp_path / "a.npz", x=x, y=[0, 1])
    with pytest.raises(fn.DataError) as error:
        prepare(data.Npz(path="a.npz", impute=impute), KEY, tmp_path)
    assert str(error.value) == expected
