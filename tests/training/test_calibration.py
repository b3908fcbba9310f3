"""The temperature of a run: the least log loss of its validation part, in every answer of the run, and in no label."""

import importlib.util
import json
import math

import attrs
import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar

import funcnet as fn
from funcnet import losses, metrics
from funcnet.cli import main
from funcnet.experiments import cross_validation
from funcnet.experiments.run import temperature_of
from funcnet.losses.tempered import Tempered
from funcnet.sklearn import FuncnetClassifier
from funcnet.training.calibration import fit_temperature
from tests.folders import change, sign

RNG = np.random.default_rng(0)
LOGITS = 3.0 * RNG.normal(size=(80, 3))
LABELS = np.where(RNG.uniform(size=80) < 0.6, LOGITS.argmax(axis=1), RNG.integers(3, size=80))
SOFT = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
WEIGHT = RNG.uniform(size=80)
SEVERAL = (LOGITS + 2.0 * RNG.normal(size=(80, 3)) > 0.0).astype(float)
MEMBERS = np.stack([LOGITS + RNG.normal(size=(80, 3)), 2.0 * LOGITS], axis=1)
SIGMOID, SOFTMAX = losses.SigmoidCrossEntropy(), losses.SoftmaxCrossEntropy()

CASES = {
    "classes": (SOFTMAX, LOGITS, LABELS, None),
    "classes weighted": (SOFTMAX, LOGITS, LABELS, WEIGHT),
    "classes smoothed": (losses.SoftmaxCrossEntropy(label_smoothing=0.1), LOGITS, LABELS, None),
    "target probabilities": (SOFTMAX, LOGITS, 0.5 * SOFT + 0.5 * np.eye(3)[LABELS], None),
    "log-probabilities": (losses.NegativeLogLikelihood(), np.log(SOFT), LABELS, None),
    "one logit": (SIGMOID, LOGITS[:, :1], SEVERAL[:, 0], WEIGHT),
    "one focal logit": (losses.Focal(), LOGITS[:, 0], SEVERAL[:, 0], None),
    "several labels": (SIGMOID, LOGITS, SEVERAL, None),
    "one probability": (losses.BinaryCrossEntropy(), SOFT[:, 0], (LABELS == 0).astype(float), None),
    "members": (losses.EachMember(SOFTMAX), MEMBERS, LABELS, None),
    "members of one logit": (losses.EachMember(SIGMOID), MEMBERS[..., :1], SEVERAL[:, :1], None),
}


@pytest.mark.parametrize("name", CASES)
def test_the_temperature_has_the_least_log_loss(name):
    """The minimum that SciPy finds for the log loss of the answers, and the order of the classes stays."""
    loss, z, y, weight = CASES[name]
    log_loss = metrics.LogLoss().multilabel if name == "several labels" else metrics.LogLoss()

    def score(log):
        return log_loss(Tempered(loss, math.exp(log)).answer(z), y, weight)

    found = fit_temperature(fn.Identity(), loss, {}, {}, (z, y, weight))
    expected = minimize_scalar(score, bounds=(-4, 4), method="bounded", options={"xatol": 1e-9})
    assert math.log(found) == pytest.approx(expected.x, abs=2e-6)
    assert abs(math.log(found)) > 0.02
    before, after = loss.answer(z), Tempered(loss, found).answer(z)
    assert before.shape == after.shape
    if z.ndim > 1 and before.shape[-1] == 3:
        assert np.array_equal(np.argsort(before, axis=-1), np.argsort(after, axis=-1))
    assert np.array_equal(before >= 0.5, after >= 0.5) or not loss.independent
    np.testing.assert_allclose(Tempered(loss, 1.0).answer(z), before, rtol=1e-12)
    assert loss.apply(z, y, weight)[0] == Tempered(loss, found).apply(z, y, weight)[0]


def test_the_temperature_of_three_right_in_four_is_known():
    """σ(2 / T) = 3 / 4"""
    z, y = np.array([2.0, 2.0, -2.0, 2.0]), np.array([1.0, 1.0, 0.0, 0.0])
    assert fit_temperature(fn.Identity(), SIGMOID, {}, {}, (z, y, None)) == pytest.approx(2.0 / math.log(3), rel=1e-12)
    ignoring = losses.SigmoidCrossEntropy(ignore_label=-1)
    more = (np.append(z, [50.0]), np.append(y, [-1.0]), None)
    assert fit_temperature(fn.Identity(), ignoring, {}, {}, more) == pytest.approx(2.0 / math.log(3), rel=1e-12)


def test_padded_steps_of_sequences_do_not_count():
    z, y, mask = LOGITS.reshape(20, 4, 3), LABELS.reshape(20, 4), np.arange(4) < 1 + np.arange(20)[:, None] % 4
    padded = np.where(mask[..., None], z, 50.0)
    found = fit_temperature(fn.Identity(), SOFTMAX, {}, {}, ((padded, mask), y, None))
    assert found == fit_temperature(fn.Identity(), SOFTMAX, {}, {}, (z[mask], y[mask], None))


@pytest.mark.parametrize(
    ("z", "y", "why"),
    [
        ([[3.0, 1.0], [0.0, 2.0]], [0, 1], "every row of it is right"),
        ([[3.0, 1.0], [0.0, 2.0]], [1, 0], "the outputs do not tell its classes apart"),
        ([[0.0, 0.0], [0.0, 0.0]], [1, 0], "the outputs do not tell its classes apart"),
        ([[-np.inf, 0.0], [1.0, 0.0]], [1, 0], "every row of it is right"),
    ],
)
def test_where_no_temperature_is_best_it_is_one(z, y, why, caplog):
    assert fit_temperature(fn.Identity(), SOFTMAX, {}, {}, (np.array(z), np.array(y), None)) == 1.0
    said = f"the validation part fits no temperature, because {why}; probabilities are left as they are"
    assert caplog.messages == [said]


# ----- runs ---------------------------------------------------------------------------------------------------------

ROWS = 240
TABLE = {
    "size": RNG.normal(size=ROWS).tolist(),
    "colour": RNG.choice(["red", "grün", "蓝"], size=ROWS).tolist(),
}
TABLE["outcome"] = np.where(np.array(TABLE["size"]) + RNG.normal(size=ROWS) > 0.0, "yes", "no").tolist()
SPEC = fn.Experiment(
    data=fn.data.Columns(
        "outcome", categorical=("colour",), scale="standard", split=fn.data.Split(validation=0.25, test=0.25)
    ),
    model=fn.serial(fn.Dense(32), fn.Tanh(), fn.Dense(2)),
    loss=SOFTMAX,
    metrics=(metrics.Accuracy(), metrics.LogLoss()),
    optimizer=fn.optim.Adam(0.03),
    training=fn.Training(epochs=30, calibrate=True, checkpoint=fn.Checkpoint(every_epochs=10)),
)


def changed(**fields):
    return attrs.evolve(SPEC, training=attrs.evolve(SPEC.training, **fields))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("calibrated") / "run"
    return folder, fn.run(SPEC, folder, data=TABLE)


def test_every_answer_of_a_run_has_its_temperature(run, tmp_path):
    folder, found = run
    plain = fn.run(changed(calibrate=False), data=TABLE)
    assert plain.temperature is None
    assert found.temperature > 1.1
    assert found.metrics["validation"]["log_loss"] < plain.metrics["validation"]["log_loss"]
    for part, scores in found.metrics.items():
        for name in ("loss", "accuracy"):  # of the outputs, and of labels that stay
            assert scores[name] == plain.metrics[part][name]
    p, before = found.predict_proba(TABLE), plain.predict_proba(TABLE)
    z = np.log(before.astype(float)) / found.temperature
    np.testing.assert_allclose(p, np.exp(z) / np.exp(z).sum(axis=1, keepdims=True), rtol=1e-4)
    assert found.predict_label(TABLE).tolist() == plain.predict_label(TABLE).tolist()
    again = fn.load_run(folder)
    assert again.temperature == found.temperature
    for one in (again, fn.run(SPEC, folder, resume=True)):
        assert one.predict(TABLE).tobytes() == p.tobytes()
        assert one.evaluate(TABLE) == found.evaluate(TABLE)
    estimator = FuncnetClassifier.from_run(folder)
    rows = {name: TABLE[name] for name in ("size", "colour")}
    frame = pd.DataFrame(rows)
    assert estimator.predict_proba(frame).tobytes() == p.tobytes()
    copy = estimator.to_run(tmp_path / "copy")
    assert fn.load_run(tmp_path / "copy").temperature == copy.temperature == found.temperature
    estimator.partial_fit(frame, TABLE["outcome"])  # the network is another one then
    assert estimator.run_.temperature is None
    assert not estimator.spec_.training.calibrate


def test_the_printed_program_has_the_temperature(run, tmp_path):
    folder, found = run
    assert main(["source", str(folder), "--inference", "--out", str(tmp_path / "calibrated_program.py")]) == 0
    spec = importlib.util.spec_from_file_location("calibrated_program", tmp_path / "calibrated_program.py")
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    assert f"data with {SPEC.loss.tag};" in program.__doc__.replace("\n", " ")
    assert program.predict(TABLE).tobytes() == found.predict(TABLE).tobytes()
    assert program.labels(TABLE).tolist() == found.predict_label(TABLE).tolist()


def test_a_run_that_goes_on_has_the_same_temperature(run, tmp_path):
    class Cut:
        def init(self):
            return None

        def update(self, state, event):
            if event.step == 80:
                raise RuntimeError
            return None, False

    with pytest.raises(RuntimeError):
        fn.run(SPEC, tmp_path / "run", data=TABLE, callbacks=[Cut()])
    assert fn.run(SPEC, tmp_path / "run", data=TABLE, resume=True).temperature == run[1].temperature


def test_folds_are_calibrated_on_their_own_validation_part(monkeypatch):
    found = []

    def watched(experiment, data, params, state):
        found.append((len(data.validation.y), temperature_of(experiment, data, params, state)))
        return found[-1][1]

    monkeypatch.setattr(cross_validation, "temperature_of", watched)
    plain, calibrated = (fn.cross_validate(changed(calibrate=c, epochs=9), TABLE, folds=2) for c in (False, True))
    assert [rows for rows, _ in found] == [30] * 4  # a quarter of the 120 training rows of each fold
    assert [heat for _, heat in found[:2]] == [None, None]
    for one, other, (_, heat) in zip(plain.scores, calibrated.scores, found[2:], strict=True):
        assert one["accuracy"] == other["accuracy"]
        assert heat != 1.0
        assert one["log_loss"] != other["log_loss"]


def test_commands_say_the_temperature(tmp_path, capsys):
    fn.save_spec(
        tmp_path / "moons.json",
        attrs.evolve(changed(epochs=3), data=fn.data.Moons(noise=0.5, split=fn.data.Split(validation=0.3))),
    )
    assert main(["train", str(tmp_path / "moons.json"), "--out", str(tmp_path / "run"), "--progress", "none"]) == 0
    found = fn.load_run(tmp_path / "run").temperature
    said = f"probabilities have the temperature {found:.5g}, fitted on the validation part"
    assert said in capsys.readouterr().out.splitlines()
    assert main(["train", str(tmp_path / "moons.json"), "--out", str(tmp_path / "again"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["temperature"] == found


def test_what_cannot_be_calibrated_is_refused_before_training(run, tmp_path):
    source = attrs.evolve(SPEC.data, split=fn.data.Split(test=0.2))
    with pytest.raises(fn.DataError) as refused:
        fn.run(attrs.evolve(SPEC, data=source), tmp_path / "run", data=TABLE)
    assert str(refused.value) == (
        "training.calibrate: expected a validation part, on which the temperature is fitted; give one with "
        "data.split.validation=0.2, or leave calibrate out"
    )
    assert not (tmp_path / "run").exists()
    with pytest.raises(fn.SpecError) as wrong:
        attrs.evolve(SPEC, loss=losses.MeanSquaredError(), metrics=())
    assert str(wrong.value).endswith(
        "training.calibrate: expected a loss of probabilities, such as softmax_cross_entropy, got mean_squared_error; "
        "leave it out"
    )


@pytest.mark.parametrize("forged", [0, -1.0, 1e400, "warm"])
def test_a_forged_temperature_is_refused(run, tmp_path, forged):
    folder, found = run
    copy = FuncnetClassifier.from_run(folder).to_run(tmp_path / "run")
    assert copy.temperature == found.temperature
    change(tmp_path / "run" / "run.json", temperature=forged)
    sign(tmp_path / "run")
    with pytest.raises(fn.CheckpointError, match=r"temperature|run\.json"):
        fn.load_run(tmp_path / "run")
