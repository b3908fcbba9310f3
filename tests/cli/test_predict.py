"""From a table in a file to answers, by commands alone: ``check``, ``train``, ``evaluate``, ``predict``."""

import csv
import io
import json

import numpy as np
import pytest

import funcnet as fn
from funcnet.metrics import confusion_matrix, per_class
from funcnet.spec.base import tags
from tests.cli import ROOT, called, funcnet
from tests.data.formats import FORMATS

CITIES = ("Bern", "Köln", "Ōsaka")


def people(rows=300, seed=0):
    """Rows whose answer depends on age, city and grade together; some ages are missing."""
    rng = np.random.default_rng(seed)
    for _ in range(rows):
        age, city, grade = int(rng.integers(18, 80)), CITIES[rng.integers(3)], ("low", "mid", "high")[rng.integers(3)]
        bought = "yes" if (age < 45) == (city == "Ōsaka") or grade == "high" else "no"
        yield ["" if rng.random() < 0.05 else str(age), city, grade, f"{rng.normal(50.0, 15.0):.2f}", bought]


HEAD = ["age", "city", "grade", "income", "bought"]


def write_csv(path, head, rows):
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([head, *rows])


SPEC = {
    "version": 1,
    "seed": 1,
    "data": {
        "type": "csv",
        "path": "people.csv",
        "target": "bought",
        "categorical": ["city"],
        "ordinal": {"grade": ["low", "mid", "high"]},
        "impute": "median",
        "scale": "standard",
        "split": {"validation": 0.1, "test": 0.2, "stratify": True},
    },
    "model": {"type": "serial", "layers": [{"type": "dense", "units": 24}, "relu", {"type": "dense", "units": 2}]},
    "loss": "softmax_cross_entropy",
    "metrics": ["accuracy", "roc_auc"],
    "optimizer": {"type": "adam", "learning_rate": 0.01},
    "training": {"epochs": 60, "class_weight": {"yes": 1.0, "no": 2.0}},
}
NEW = [["33", "Ōsaka", "mid", "48.0"], ["", "Bern", "high", "51.5"], ["70", "Paris", "low", "900"]]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the table, its spec, a run of it, and new rows in another order of columns."""
    folder = tmp_path_factory.mktemp("people")
    write_csv(folder / "people.csv", HEAD, people())
    (folder / "people.json").write_text(json.dumps(SPEC), encoding="utf-8")
    order = [3, 1, 0, 2]
    write_csv(folder / "new.csv", ["note", *(HEAD[i] for i in order)], [["x", *(row[i] for i in order)] for row in NEW])
    trained = funcnet(folder, "train", "people.json", "--out", "run", "--progress", "none")
    assert (trained.status, trained.err) == (0, "")
    return folder


@pytest.fixture(scope="module")
def results(place):
    """What each command says of the run."""
    write_csv(place / "other.csv", HEAD, people(200, seed=9))
    write_csv(place / "short.csv", ["age", "grade"], [["1", "low"]])
    write_csv(place / "unknown.csv", HEAD, [["30", "Bern", "low", "40", "perhaps"]])
    calls = {
        "check": ("check", "people.json"),
        "check json": ("check", "people.json", "--json"),
        "evaluate": ("evaluate", "run"),
        "evaluate json": ("evaluate", "run", "--json", "--part", "test"),
        "evaluate file": ("evaluate", "run", "--data", "other.csv", "--json"),
        "evaluate class": ("evaluate", "run", "--data", "unknown.csv"),
        "predict": ("predict", "run", "new.csv", "--check-range"),
        "predict json": ("predict", "run", "new.csv", "--json"),
        "predict out": ("predict", "run", "new.csv", "-o", "answers.csv"),
        "predict short": ("predict", "run", "short.csv"),
        "predict none": ("predict", "run", "nothing.csv"),
    }
    real = ("predict", "predict out")
    return {name: (funcnet if name in real else called)(place, *args) for name, args in calls.items()}


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_predict_answers_raw_rows_by_the_names_of_their_columns(place, results):
    assert results["predict"].status == 0
    answers = rows_of(results["predict"].out)
    assert list(answers[0]) == ["label", "no", "yes"]
    run = fn.load_run(place / "run")
    names = [column["name"] for column in run.preprocess["columns"]]
    assert names == HEAD[:4]
    frame = run.experiment.data.read(place / "new.csv", names)
    expected = run.predict_proba(frame)
    np.testing.assert_allclose([[float(row["no"]), float(row["yes"])] for row in answers], expected, atol=1e-7)
    assert [row["label"] for row in answers] == run.predict_label(frame).tolist()
    assert answers[0]["label"] == "yes"  # young and from Ōsaka


def test_predict_prepares_as_training_did(place):
    run = fn.load_run(place / "run")
    columns = {one["name"]: one for one in run.preprocess["columns"]}
    assert columns["city"]["categories"] == ["Bern", "Köln", "Ōsaka"]
    ages = [float(row[0]) for row in people() if row[0]]
    assert 40.0 < columns["age"]["fill"] < 56.0
    frame = run.experiment.data.read(place / "new.csv", HEAD[:4])
    mean, deviation = (np.array(run.preprocess["inputs"][name]) for name in ("mean", "deviation"))
    raw = np.array([[33, 0, 0, 1, 1, 48.0], [columns["age"]["fill"], 1, 0, 0, 2, 51.5], [70, 0, 0, 0, 0, 900.0]])
    net, x = run.experiment.model, ((raw - mean) / deviation).astype(np.float32)
    logits = fn.predict(net, run.params, run.train_state.state, x)
    assert run.predict(frame) == pytest.approx(run.experiment.loss.link(logits), abs=1e-7)
    assert min(ages) >= 18.0


def test_check_range_counts_what_training_never_saw(results):
    rows = "1 of 3 rows are outside the range of the training data"
    expected = f"{rows}; the first is row 2, counted from 0 (city 1, income 1)\n"
    assert results["predict"].err == expected


def test_json_lines_and_files_say_the_same(place, results):
    table = rows_of(results["predict"].out)
    lines = [json.loads(line) for line in results["predict json"].out.splitlines()]
    assert [line["label"] for line in lines] == [row["label"] for row in table]
    assert [line["probabilities"] for line in lines] == [{k: float(row[k]) for k in ("no", "yes")} for row in table]
    assert (results["predict out"].out, results["predict out"].err) == ("", "written to answers.csv\n")
    assert (place / "answers.csv").read_text(encoding="utf-8") == results["predict"].out


def test_evaluate_scores_every_part_as_training_did(place, results):
    lines = results["evaluate"].out.splitlines()
    metrics = json.loads((place / "run" / "metrics.json").read_text(encoding="utf-8"))
    for i, (part, scores) in enumerate(metrics.items()):
        assert lines[2 + i].split() == [part, *(f"{score:.5g}" for score in scores.values())]
    assert metrics["test"]["accuracy"] > 0.9
    assert [line.split("  ")[0] for line in lines[5:9]] == [
        f"{part}, {kind}" for part in ("validation", "test") for kind in ("constant answer", "linear model")
    ]
    assert lines[10] == "classes of test"
    assert "confusion matrix of test" in lines


def test_evaluate_tells_who_was_taken_for_whom(place, results):
    run = fn.load_run(place / "run")
    for name, path in (("evaluate file", place / "other.csv"),):
        facts = json.loads(results[name].out)
        frame = run.experiment.data.read(path, HEAD[:4])
        with open(path, encoding="utf-8", newline="") as file:
            truth = np.array([run.classes.index(row["bought"]) for row in csv.DictReader(file)])
        matrix = confusion_matrix(run.predict(frame), truth, 2)
        assert facts["confusion"] == matrix.tolist()
        assert facts["classes"] == ["no", "yes"]
        assert facts["per_class"]["recall"] == per_class(matrix).recall.tolist()
        assert facts["metrics"]["other.csv"]["accuracy"] == pytest.approx(np.trace(matrix) / matrix.sum(), abs=1e-12)
    assert list(json.loads(results["evaluate json"].out)["metrics"]) == ["test"]


def test_check_says_what_it_found(results):
    lines = results["check"].out.splitlines()
    assert lines[0] == "data    csv: 300 rows (train 210, validation 30, test 60)"
    assert lines[1] == "inputs  4 columns: age, city, grade, income"
    missing = sum(not row[0] for row in people())
    assert lines[2] == f"missing age {missing}"
    assert "model   6 to 2, 218 parameters" in lines
    assert lines[-1] == "people.json: ready to train"
    facts = json.loads(results["check json"].out)
    assert facts["found"]["rows"] == {"train": 210, "validation": 30, "test": 60}
    assert facts["found"]["missing"] == {"age": missing}
    assert (facts["input"], facts["parameters"], facts["laws"]) == ([6], 218, "hold")


MISTAKES = {
    "predict short": "funcnet: short.csv: has no column 'city', 'income'; it has age, grade\n",
    "predict none": "funcnet: nothing.csv: there is no such file\n",
    "evaluate class": "funcnet: {place}/unknown.csv: has the class 'perhaps', which the training data lacks; "
    "it has no, yes\n",
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(place, results, name):
    assert results[name].status == 1
    assert results[name].out == ""
    assert results[name].err.replace(f"{place}/", "").replace("{place}/", "") == MISTAKES[name].replace("{place}/", "")


def test_data_that_has_changed_is_said(place, tmp_path):
    for name in ("people.csv", "people.json"):
        (tmp_path / name).write_bytes((place / name).read_bytes())
    assert funcnet(tmp_path, "train", "people.json", "--out", "run", "--json").status == 0
    write_csv(tmp_path / "people.csv", HEAD, people(300, seed=5))
    said = funcnet(tmp_path, "evaluate", "run")
    assert said.status == 0
    assert said.err == "funcnet: run: the data is not what the run was trained on; it has changed since\n"


def test_a_console_that_cannot_show_a_label(tmp_path):
    write_csv(tmp_path / "t.csv", ["x", "label"], [[str(i), "Ōsaka" if i % 2 else "Bern"] for i in range(20)])
    write_csv(tmp_path / "new.csv", ["x"], [["1"], ["2"]])
    spec = SPEC | {
        "data": {"type": "csv", "path": "t.csv", "target": "label"},
        "training": {"epochs": 1},
        "metrics": [],
    }
    (tmp_path / "t.json").write_text(json.dumps(spec), encoding="utf-8")
    assert funcnet(tmp_path, "train", "t.json", "--out", "run", "--progress", "none").status == 0
    said = funcnet(tmp_path, "predict", "run", "new.csv", encoding="cp1252")
    expected = (
        "funcnet: the console's encoding cp1252 has no 'O'; write a file with -o OUT, or set PYTHONIOENCODING=utf-8\n"
    )
    assert (said.status, said.out, said.err.replace("?", "O").replace("\\u014c", "O")) == (1, "", expected)


def test_values_come_in_their_units(tmp_path):
    x = np.arange(60.0)
    write_csv(tmp_path / "t.csv", ["x", "price"], [[f"{v}", f"{1000.0 + 30.0 * v + 4.0 * (v % 2)}"] for v in x])
    write_csv(tmp_path / "new.csv", ["x"], [["10"], ["20"]])
    data = {"type": "csv", "path": "t.csv", "target": "price", "scale": "standard", "target_scale": "standard"}
    spec = {
        "version": 1,
        "data": data | {"split": {"test": 0.2}},
        "model": {"type": "dense", "units": 1},
        "loss": "mean_squared_error",
        "metrics": ["rmse", "r2"],
        "optimizer": {"type": "adam", "learning_rate": 0.05},
        "training": {"epochs": 200},
    }
    (tmp_path / "t.json").write_text(json.dumps(spec), encoding="utf-8")
    trained = funcnet(tmp_path, "train", "t.json", "--out", "run", "--json")
    scores = json.loads(trained.out)["metrics"]["test"]
    assert scores["r2"] > 0.9999
    assert 1.5 < scores["rmse"] < 3.0  # in the units of the price, whose deviation is 520
    answers = rows_of(funcnet(tmp_path, "predict", "run", "new.csv").out)
    assert list(answers[0]) == ["price"]
    assert [float(row["price"]) for row in answers] == pytest.approx([1300.0, 1600.0], abs=10.0)


def test_several_labels_are_answered_one_by_one(tmp_path):
    x = fn.Key(1).normal((80, 2))
    held = np.stack([x[:, 0] > 0, x[:, 1] > 0, x[:, 0] > x[:, 1]], axis=1).astype(int)
    write_csv(tmp_path / "t.csv", ["a", "b", "right", "up", "below"], np.hstack([x, held]).astype(str).tolist())
    spec = {
        "version": 1,
        "data": {"type": "csv", "path": "t.csv", "target": ["right", "up", "below"], "split": {"test": 0.25}},
        "model": {"type": "dense", "units": 3},
        "loss": "sigmoid_cross_entropy",
        "metrics": ["accuracy", {"type": "f1", "average": "micro"}, "roc_auc"],
        "optimizer": {"type": "adam", "learning_rate": 0.1},
        "training": {"epochs": 30},
    }
    (tmp_path / "t.json").write_text(json.dumps(spec), encoding="utf-8")
    scores = json.loads(funcnet(tmp_path, "train", "t.json", "--out", "run", "--json").out)["metrics"]["test"]
    run = fn.load_run(tmp_path / "run")
    raw = run.experiment.data.read(tmp_path / "t.csv", ["a", "b"])
    p, labels = run.predict(raw), run.predict_label(raw)
    np.testing.assert_array_equal(labels, (p >= 0.5).astype(int))
    np.testing.assert_array_equal(run.predict_proba(raw), p)
    assert scores["accuracy"] > 0.7

    answers = rows_of(funcnet(tmp_path, "predict", "run", "t.csv").out)
    assert list(answers[0]) == ["label_right", "label_up", "label_below", "right", "up", "below"]
    assert [[int(row[f"label_{name}"]) for name in ("right", "up", "below")] for row in answers] == labels.tolist()
    assert [float(row["below"]) for row in answers] == pytest.approx(p[:, 2].tolist(), rel=1e-6)
    first = json.loads(funcnet(tmp_path, "predict", "run", "t.csv", "--json").out.splitlines()[0])
    assert first["labels"] == dict(zip(("right", "up", "below"), labels[0].tolist(), strict=True))
    assert first["probabilities"] == pytest.approx(dict(zip(("right", "up", "below"), p[0].tolist(), strict=True)))

    facts = json.loads(funcnet(tmp_path, "evaluate", "run", "--data", "t.csv", "--json").out)
    assert facts["metrics"]["t.csv"]["accuracy"] == pytest.approx(np.mean(np.all(labels == held, axis=1)), abs=1e-12)
    assert facts["labels"] == ["right", "up", "below"]
    right = labels & held
    expected = (2 * right.sum(axis=0) / (labels.sum(axis=0) + held.sum(axis=0))).tolist()
    assert facts["per_label"]["f1"] == pytest.approx(expected, rel=1e-12)
    shown = funcnet(tmp_path, "evaluate", "run", "--part", "test").out.splitlines()
    assert shown[6] == "labels of test"
    assert shown[7].split() == ["label", "precision", "recall", "f1", "support"]
    assert [line.split()[0] for line in shown[9:12]] == ["right", "up", "below"]


ENDINGS = [(tag, ending) for tag, cls in tags("data").items() if "." not in tag for ending in cls.endings]
NAMES = ("sepal_length", "sepal_width", "petal_length", "petal_width")


@pytest.mark.parametrize(("tag", "ending"), ENDINGS, ids=[f"{tag}{ending}" for tag, ending in ENDINGS])
def test_rows_are_read_from_files_of_any_kind(tmp_path, iris_run, tag, ending):
    write = FORMATS[tag].write if tag in FORMATS else None
    assert write, f"{tag} reads files called {ending}: give it write in FORMATS of tests/data/formats.py"
    x = np.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]])
    write(tmp_path / f"new{ending}", x, NAMES)
    said = funcnet(tmp_path, "predict", str(iris_run), f"new{ending}")
    assert (said.status, said.err) == (0, "")
    assert [row["label"] for row in rows_of(said.out)] == ["setosa", "virginica"]


def test_a_file_that_no_source_reads(tmp_path, iris_run):
    (tmp_path / "new.xls").write_bytes(b"?")
    said = funcnet(tmp_path, "predict", str(iris_run), "new.xls")
    endings = ", ".join(ending for _, ending in ENDINGS if ending)
    assert (said.status, said.err) == (1, f"funcnet: new.xls: expected a file called {endings}, got '.xls'\n")
    assert {".csv", ".npy", ".npz", ".h5", ".gz"} <= {ending for _, ending in ENDINGS}


@pytest.mark.parametrize("ending", sorted({ending for tag, ending in ENDINGS if tag != "csv" and ending}))
def test_a_run_on_a_table_takes_tables_alone(place, ending):
    path = place / f"array{ending}"
    path.write_bytes(b"?")
    for command in (("predict", "run", path.name), ("evaluate", "run", "--data", path.name)):
        said = funcnet(place, *command)
        message = "the run was trained on a CSV file, whose columns are matched by name; give a .csv file"
        assert (said.status, said.err) == (1, f"funcnet: {path.name}: {message}\n")


def test_a_table_may_have_any_other_ending(place):
    (place / "new.data").write_bytes((place / "new.csv").read_bytes())
    (place / "new").write_bytes((place / "new.csv").read_bytes())
    expected = funcnet(place, "predict", "run", "new.csv").out
    assert expected == funcnet(place, "predict", "run", "new.data").out == funcnet(place, "predict", "run", "new").out


@pytest.fixture(scope="module")
def iris_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("iris") / "run"
    experiment = fn.Experiment(
        data=fn.data.Iris(split=fn.data.Split(test=0.2, stratify=True), scale="standard"),
        model=fn.serial(fn.Dense(16), fn.Relu(), fn.Dense(3)),
        loss=fn.losses.SoftmaxCrossEntropy(),
        optimizer=fn.optim.Adam(0.01),
        training=fn.Training(epochs=60),
    )
    fn.run(experiment, folder)
    return folder


def test_rows_without_a_header_and_of_another_width(tmp_path, iris_run):
    (tmp_path / "plain.csv").write_text("5.1,3.5,1.4,0.2\n6.7,3.0,5.2,2.3\n", encoding="utf-8")
    (tmp_path / "wide.csv").write_text("5.1,3.5,1.4,0.2,0\n5.1,3.5,1.4,0.2,0\n", encoding="utf-8")
    (tmp_path / "text.csv").write_text("5.1,3.5,1.4,0.2\n5.1,3.5,long,0.2\n", encoding="utf-8")
    said = funcnet(tmp_path, "predict", str(iris_run), "plain.csv")
    assert [row["label"] for row in rows_of(said.out)] == ["setosa", "virginica"]
    wide = funcnet(tmp_path, "predict", str(iris_run), "wide.csv")
    assert wide.err == "funcnet: wide.csv: expected 4 columns of inputs, as in training, got 5\n"
    text = funcnet(tmp_path, "predict", str(iris_run), "text.csv")
    assert text.err == (
        "funcnet: text.csv: line 2, column 'column_2': expected a number, got 'long'; all inputs must be numbers\n"
    )


def test_a_header_without_rows(tmp_path, iris_run):
    head = ",".join(NAMES) + "\n"
    (tmp_path / "head.csv").write_text(head, encoding="utf-8")
    said = funcnet(tmp_path, "predict", str(iris_run), "head.csv")
    assert (said.status, said.err) == (1, "funcnet: head.csv: has no rows below its header\n")


def test_the_plane_of_two_inputs_is_a_picture(tmp_path):
    said = funcnet(tmp_path, "train", str(ROOT / "specs" / "moons.json"), "--out", "run", "--progress", "none")
    assert said.out.splitlines()[-1].split() == ["plane", "run/boundary.svg"]
    picture = (tmp_path / "run" / "boundary.svg").read_text(encoding="utf-8")
    assert picture.startswith("<svg")
    assert "upper" in picture
    assert funcnet(tmp_path, "check", str(ROOT / "specs" / "moons.json")).status == 0


def test_blobs_whose_field_is_called_features(tmp_path):
    """``features`` is a number there; columns of new rows are taken in their order."""
    experiment = fn.Experiment(
        data=fn.data.Blobs(rows=60, classes=3, features=2),
        model=fn.Dense(3),
        loss=fn.losses.SoftmaxCrossEntropy(),
        optimizer=fn.optim.Adam(0.1),
        training=fn.Training(epochs=2),
    )
    run = fn.run(experiment, out=tmp_path / "run")
    (tmp_path / "new.csv").write_text("a,b\n1,2\n-3,4\n", encoding="utf-8")
    done = funcnet(tmp_path, "predict", "run", "new.csv")
    assert (done.status, done.err) == (0, "")
    labels = [line.split(",")[0] for line in done.out.splitlines()[1:]]
    assert labels == [str(label) for label in run.predict_label(np.array([[1.0, 2.0], [-3.0, 4.0]]))]
    assert funcnet(tmp_path, "source", "run", "--inference").status == 0
