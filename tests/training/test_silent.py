"""Misuse of steps, updates and monitors that once gave wrong numbers in silence."""

import math

import numpy as np
import pytest

import funcnet as fn
from funcnet import losses, metrics, optim, tree
from funcnet.spec.base import tags
from funcnet.spec.fields import frozen
from funcnet.spec.monitors import rises
from funcnet.training.callbacks import Event

NET = fn.serial(fn.Dense(16), fn.Relu(), fn.Dense(1))
LOSS = losses.MeanSquaredError()
KEY = fn.Key(0)
X = KEY.fold("x").normal((60, 3), np.float32)
Y = X[:, :1] ** 2


# ----- weights of both signs ----------------------------------------------------------------------------


SIGNED = np.array([1.0, -1.0, 1.0, -1.001] * 15, np.float32)
ASKS = r"expected weights of 0 or more, got -1\.001: .* need a divisor of your own: divisor=len\(x\)"


@pytest.mark.parametrize("compile", [True, False])
@pytest.mark.parametrize("shards", [1, 4])
def test_a_step_refuses_weights_below_0_and_takes_them_with_a_divisor(compile, shards):
    opt = optim.SGD(0.1)
    step = fn.train_step(NET, LOSS, opt, shards=shards, compile=compile)
    ts = fn.train_state(NET, opt, KEY, (3,))
    with pytest.raises(fn.DataError, match=ASKS):
        step(ts, (X, Y, SIGNED))
    for _ in range(2):  # recorded, and run again
        after, out = step(ts, (X, Y, SIGNED), divisor=60.0)
    y = fn.predict(NET, ts.params, ts.state, X)
    assert out["loss"] == pytest.approx(float(np.mean(SIGNED[:, None] * (y - Y) ** 2)), rel=1e-5, abs=1e-7)
    _, _, grads = fn.value_and_grad(NET, LOSS)(ts.params, {}, X, Y, fn.EVAL, SIGNED, 60.0)
    moved = tree.map(lambda p, g: p - np.float32(0.1) * g, ts.params, grads)
    for path, leaf in tree.flatten(after.params).items():
        np.testing.assert_allclose(leaf, tree.flatten(moved)[path], rtol=1e-5, atol=1e-7)


def test_value_and_grad_and_losses_refuse_weights_below_0():
    params, _ = NET.init(KEY, (3,))
    with pytest.raises(fn.DataError, match=ASKS):
        fn.value_and_grad(NET, LOSS)(params, {}, X, Y, fn.EVAL, SIGNED)
    with pytest.raises(fn.DataError, match=ASKS):
        LOSS.apply(Y, Y, SIGNED)
    value, _ = LOSS.apply(Y + 1, Y, SIGNED, 60.0)
    assert value == pytest.approx(float(np.mean(SIGNED)), abs=1e-7)


# ----- float16 --------------------------------------------------------------------------------------------


def test_flush_keeps_float16():
    x = np.array([0.01, 0.02, 0.1, 0.3, 6e-8], np.float16)
    np.testing.assert_array_equal(fn.ops.flush(x), x)
    logits = KEY.normal((64, 3)).astype(np.float16)
    loss, labels = losses.SoftmaxCrossEntropy(), np.arange(64) % 3
    got, want = (loss.vjp(loss.apply(x, labels)[1]) for x in (logits, logits.astype(np.float64)))
    np.testing.assert_allclose(got, want, atol=2e-5)


def test_drivers_refuse_to_train_in_float16():
    opt = optim.SGD(0.1)
    half = tree.map(lambda leaf: leaf.astype(np.float16), NET.init(KEY, (3,))[0])
    wide = fn.train_state(NET, opt, KEY, (3,))
    for call in (
        lambda: fn.train_state(NET, opt, KEY, (3,), np.float16),
        lambda: fn.value_and_grad(NET, LOSS)(half, {}, X, Y, fn.EVAL),
        lambda: fn.train_step(NET, LOSS, opt)(fn.TrainState(half, {}, wide.opt_state, KEY), (X, Y)),
        lambda: fn.fit(NET, (X, Y), loss=LOSS, optimizer=opt, steps=1, key=KEY, start=half),
    ):
        with pytest.raises(fn.ShapeError, match="expected params of float32 or float64 to train, got float16: steps"):
            call()
    assert fn.predict(NET, half, {}, X).dtype == np.float16


# ----- updates by hand ------------------------------------------------------------------------------------


PARAMS = {"w": np.ones((5, 5), np.float32)}
PUBLIC = [getattr(optim, name) for name in dir(optim)]
RULES = [cls for cls in PUBLIC if isinstance(cls, type) and issubclass(cls, optim.Optimizer) and "update" in vars(cls)]
MADE = [
    optim.SGD(0.1, momentum=0.9), optim.Adam(), optim.AdamW(), optim.RMSprop(0.1), optim.Adagrad(0.1), optim.Lion(0.1),
    optim.chain(optim.ClipByGlobalNorm(1.0), optim.L2(0.1), optim.SGD(0.1)), optim.Freeze(optim.SGD(0.1), "b"),
    optim.partition({"*": optim.Adam()}), optim.Lookahead(optim.SGD(0.1)), optim.chain(optim.Adam(), optim.EMA(0.9)),
]  # fmt: skip


@pytest.mark.parametrize("opt", MADE, ids=lambda opt: type(opt).__name__)
def test_an_update_takes_gradients_of_the_params_shapes_only(opt):
    params = PARAMS | ({"b": np.ones(5, np.float32)} if isinstance(opt, optim.Freeze) else {})
    grads = {name: np.full(leaf.shape, 0.5, np.float32) for name, leaf in params.items()}
    state = opt.init(params)
    right, _ = opt.update(grads, state, params)
    for other in (grads["w"].astype(np.float64), grads["w"].view(np.matrix), grads["w"].tolist()):
        got, _ = opt.update({**grads, "w": other}, state, params)
        assert tree.equal(got, right)
        assert {type(leaf) for leaf in tree.leaves(got)} == {np.ndarray}
    with pytest.raises(fn.ShapeError) as caught:
        opt.update({**grads, "w": grads["w"][0]}, state, params)
    assert str(caught.value) == "the gradients do not have the params' shapes:\n  w: expected (5, 5), got (5,)"
    with pytest.raises(fn.DataError, match="expected an array without masked entries, got 5 of them"):
        opt.update({**grads, "w": np.ma.masked_array(grads["w"], np.eye(5))}, state, params)


def test_every_rule_of_the_library_checks_its_gradients():
    assert len(RULES) > 15
    assert [cls.__name__ for cls in RULES if not hasattr(cls.update, "__wrapped__")] == ["Optimizer"]


def test_updates_are_added_only_in_the_params_shapes_and_dtypes():
    assert fn.apply_updates(PARAMS, {"w": np.ones((5, 5))})["w"].dtype == np.float32
    with pytest.raises(fn.ShapeError, match=r"the updates do not have the params' shapes:\n  w: expected \(5, 5\)"):
        fn.apply_updates(PARAMS, {"w": np.ones(5)})


def test_updates_are_added_only_to_floats():
    for params in ({"w": np.ones(2, int)}, {"w": np.ones(2, bool)}):
        with pytest.raises(fn.ShapeError, match="expected params of floats, got w "):
            fn.apply_updates(params, {"w": np.full(2, 0.5)})
    with pytest.raises(fn.DataError, match="expected an array without masked entries, got 1 of them"):
        fn.apply_updates({"w": np.ma.masked_array([1.0, 2.0], [True, False])}, {"w": np.ones(2)})
    added = fn.apply_updates({"w": np.array([[1.0, 2.0]]).view(np.matrix)}, {"w": np.full((1, 2), 0.5)})["w"]
    assert type(added) is np.ndarray
    assert added.tolist() == [[1.5, 2.5]]


@pytest.mark.parametrize(
    ("scale", "works"), [(1.0, True), (1e-30, True), (1e30, True), (1e-40, False), (1e-60, False), (1e39, False)]
)
def test_a_scale_of_weights_changes_nothing_or_is_refused(scale, works):
    """In float32 weights of 1e-60 are 0: the loss would be 0 and nothing would be learnt."""
    opt = optim.SGD(0.1)
    ts = fn.train_state(NET, opt, KEY, (3,))
    data = X, Y, np.linspace(1.0, 2.0, 60) * scale
    calls = {
        "step": lambda: fn.train_step(NET, LOSS, opt)(ts, data)[1]["loss"],
        "gradient": lambda: fn.value_and_grad(NET, LOSS)(ts.params, {}, X, Y, fn.EVAL, data[2])[0],
        "evaluate": lambda: fn.evaluate(NET, LOSS, ts.params, {}, data)["loss"],
        "fit": lambda: fn.fit(NET, data, loss=LOSS, optimizer=opt, steps=1, batch_size="full", key=KEY).history[0][
            "loss"
        ],
    }
    error = np.linspace(1.0, 2.0, 60)[:, None] * (fn.predict(NET, ts.params, {}, X) - Y) ** 2
    for call in calls.values():
        if works:
            assert call() == pytest.approx(np.sum(error) / 90.0, rel=1e-5)
        else:
            with pytest.raises(
                fn.DataError,
                match=r"expected weights (that float32|with a sum of).*; divide them by their mean",
            ):
                call()


@pytest.mark.parametrize("what", ["inputs", "targets", "weights"])
def test_masked_entries_are_refused_at_the_door(what):
    masked = {
        "inputs": (np.ma.masked_greater(X, 1.0), Y),
        "targets": (X, np.ma.masked_greater(Y, 1.0)),
        "weights": (X, Y, np.ma.masked_greater(np.arange(60.0), 30.0)),
    }[what]
    opt = optim.SGD(0.1)
    ts = fn.train_state(NET, opt, KEY, (3,))
    for call in (
        lambda: fn.fit(NET, masked, loss=LOSS, optimizer=opt, steps=1, key=KEY),
        lambda: fn.train_step(NET, LOSS, opt)(ts, masked),
        lambda: fn.value_and_grad(NET, LOSS)(ts.params, {}, masked[0], masked[1], fn.EVAL, *masked[2:]),
    ):
        with pytest.raises(fn.DataError, match="expected an array without masked entries"):
            call()
    nothing_masked = np.ma.masked_array(X, np.zeros(X.shape, bool))
    assert fn.predict(NET, ts.params, {}, nothing_masked).shape == (60, 1)


# ----- monitors -------------------------------------------------------------------------------------------


def trained(callback, **changes):
    options = {"loss": LOSS, "optimizer": optim.SGD(0.4), "epochs": 60, "batch_size": "full", "key": KEY} | changes
    return fn.fit(NET, (X, Y), callbacks=[callback], **options)


@pytest.mark.parametrize("callback", [fn.EarlyStopping("loss", patience=10), fn.TargetReached(0.9, "loss")])
def test_the_state_of_the_training_loss_is_the_one_that_has_it(callback):
    done = trained(callback)
    ts = done.train_state
    kept = fn.evaluate(NET, LOSS, ts.params, ts.state, (X, Y))["loss"]
    row = min(row["loss"] for row in done.history)
    assert kept == row
    assert done.stopped in (type(callback).__name__, None)


def test_the_best_checkpoint_of_the_training_loss_is_the_one_that_has_it(tmp_path):
    from funcnet.training.checkpoint import listed, read

    experiment = fn.Experiment(
        data=fn.data.Iris(scale="standard"),
        model=fn.serial(fn.Dense(8), fn.Tanh(), fn.Dense(3)),
        loss=losses.SoftmaxCrossEntropy(),
        optimizer=optim.SGD(8.0),
        training=fn.Training(
            epochs=30,
            batch_size="full",
            checkpoint=fn.Checkpoint(every_epochs=1, keep_last=1, keep_best=1, monitor="loss"),
        ),
    )
    run = fn.run(experiment, tmp_path / "run")
    x, y, _ = fn.data.prepare(experiment.data, fn.Key(0)).train
    best = min(row["loss"] for row in run.history)
    saved = [read(path) for path in listed(tmp_path / "run" / "checkpoints")]
    scores = [
        fn.evaluate(experiment.model, experiment.loss, ts.params, ts.state, (x, y))["loss"]
        for ts in (one.snapshot.train_state for one in saved)
    ]
    assert min(scores) == pytest.approx(best, rel=1e-6)
    assert [one.facts["value"] for one in saved] == pytest.approx(scores, rel=1e-6)


BETTER = {
    "accuracy": True, "average_precision": True, "balanced_accuracy": True, "brier": False,
    "calibration_error": False, "coverage": True, "deviance": False, "explained_variance": True, "f1": True,
    "log_loss": False, "mae": False, "perplexity": False, "pinball": False, "precision": True, "r2": True,
    "recall": True, "rmse": False, "roc_auc": True, "top_k_accuracy": True,
}  # fmt: skip


def test_every_metric_says_which_way_is_better():
    """As scikit-learn's scorers say: those it negates are errors."""
    own = {tag: cls for tag, cls in tags("metric").items() if "." not in tag}
    assert {tag: cls.higher_is_better for tag, cls in own.items()} == BETTER
    for tag, better in BETTER.items():
        assert rises(tag) == rises(f"validation/{tag}") == rises(f"{tag}_micro") == better
    assert not rises("loss")
    assert not rises("validation/loss")


@frozen
class Misses(metrics.Metric):
    """A metric that is not registered."""

    higher_is_better = False

    def __call__(self, prediction, target, weight=None):
        return float(np.sum(np.abs(prediction - target) > 1.0))


@pytest.mark.parametrize("metric", [metrics.RMSE(), metrics.MAE(), Misses(), metrics.R2()], ids=lambda m: m.name)
def test_the_state_of_the_best_row_is_kept_for_scores_and_for_errors(metric):
    held_out = X[:20], Y[:20] + np.float32(0.1)
    watch = fn.EarlyStopping(f"validation/{metric.name}", patience=10)
    done = trained(watch, validation=held_out, metrics=[metric])
    values = [row[f"validation/{metric.name}"] for row in done.history]
    ts = done.train_state
    kept = fn.evaluate(NET, LOSS, ts.params, ts.state, held_out, [metric])[metric.name]
    assert kept == (max(values) if metric.higher_is_better else min(values))
    assert len(set(values)) > 3


@pytest.mark.parametrize(
    "callback", [fn.EarlyStopping("validation/roc_auc", patience=3), fn.TargetReached(0.9, "validation/roc_auc")]
)
def test_a_monitor_that_is_not_a_number_is_said_and_counts(callback, caplog):
    net = fn.serial(fn.Dense(1))
    labels = (Y > 1.0).astype(np.float32)
    done = fn.fit(
        net, (X, labels), loss=losses.SigmoidCrossEntropy(), optimizer=optim.SGD(0.1), epochs=20, key=KEY,
        validation=(X[:5], np.zeros((5, 1), np.float32)), metrics=[fn.metrics.RocAuc()], callbacks=[callback],
    )  # fmt: skip
    early = isinstance(callback, fn.EarlyStopping)
    assert len(done.history) == (3 if early else 20)
    assert all(math.isnan(row["validation/roc_auc"]) for row in done.history)
    said = [record.getMessage() for record in caplog.records if "is not a number" in record.getMessage()]
    assert len(said) == 1
    assert said[0].startswith(f"{type(callback).__name__}: validation/roc_auc is not a number at step ")


def test_a_monitor_of_an_error_keeps_its_lowest_value():
    """EarlyStopping("validation/rmse") once kept the worst state."""
    for monitor, best in (("validation/rmse", 1.0), ("validation/r2", 3.0)):
        early = fn.EarlyStopping(monitor, patience=5, restore_best=False)
        state = early.init()
        for step, value in enumerate((2.0, 3.0, 1.0)):
            event = Event(step, 9, float(step), 0.0, None, {monitor: value})
            state, _ = early.update(state, event)
        assert state["best"] == best


# ----- padded sequences, several outputs ------------------------------------------------------------------


@pytest.mark.parametrize("weight", [None, np.arange(1.0, 7.0)], ids=["no weight", "weights"])
@pytest.mark.parametrize("paired", [False, True], ids=["targets alone", "targets with masks"])
def test_the_masks_of_several_outputs_count_in_the_divisors_of_shards(weight, paired):
    """The oracle is the formula, term by term."""
    nodes = {"g": (fn.GRU(4), "x"), "a": (fn.Dense(3), "g"), "p": (fn.SequencePool(), "g"), "b": (fn.Dense(1), "p")}
    net = fn.Graph("x", nodes, ("a", "b"))
    loss = losses.Multi((losses.SoftmaxCrossEntropy(), losses.MeanSquaredError()), (1.0, 0.5))
    mask = np.arange(5) < np.array([5, 3, 2, 4, 1, 5])[:, None]
    x, labels = KEY.normal((6, 5, 3)), KEY.fold("labels").integers(3, (6, 5))
    y = KEY.fold("y").normal((6, 1))
    targets = ((labels, mask), y) if paired else (labels, y)
    params, state = net.init(KEY, ((5, 3), (5,)), np.float64)
    (logits, _), number = fn.predict(net, params, state, (x, mask))
    surprise = -np.take_along_axis(logits - np.log(np.sum(np.exp(logits), -1, keepdims=True)), labels[..., None], -1)
    w = np.ones(6) if weight is None else weight
    steps = w[:, None] * mask
    right = np.sum(steps * surprise[..., 0]) / np.sum(steps) + 0.5 * np.sum(w[:, None] * (number - y) ** 2) / np.sum(w)
    data = ((x, mask), targets) if weight is None else ((x, mask), targets, weight)
    opt = optim.SGD(0.1)
    for shards in (1, 2, 4):
        for compile in (True, False):
            ts = fn.train_state(net, opt, KEY, ((5, 3), (5,)), np.float64, params, state)
            _, out = fn.train_step(net, loss, opt, shards=shards, compile=compile)(ts, data)
            assert out["loss"] == pytest.approx(right, rel=1e-12)
    options = {"loss": loss, "optimizer": opt, "epochs": 1, "batch_size": "full", "key": KEY, "start": (params, state)}
    done = fn.fit(net, data, shards=2, **options)
    assert done.history[0]["loss"] == pytest.approx(right, rel=1e-12)
    assert fn.evaluate(net, loss, params, state, data)["loss"] == pytest.approx(right, rel=1e-12)
