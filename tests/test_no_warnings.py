"""Numbers at the edge of floats: a command says in words what is wrong, or computes; NumPy's warnings reach nobody."""

import contextlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import funcnet as fn
from funcnet import ops
from funcnet.cli import main
from funcnet.inputs import cast
from funcnet.networks.decoding import draw
from funcnet.spec.fields import frozen

pytestmark = pytest.mark.filterwarnings("error")
ROWS = "".join(f"{i / 7},{(i * i) % 5},{1e308 if i % 2 else 1},{'ab'[i % 2]}\n" for i in range(40))
SPEC: dict[str, Any] = {
    "version": 1,
    "data": {"type": "csv", "path": "a.csv", "target": "y", "inputs": ["x", "z"]},
    "model": {"type": "serial", "layers": [{"type": "dense", "units": 2}]},
    "loss": "softmax_cross_entropy",
    "metrics": ["accuracy"],
    "optimizer": {"type": "sgd", "learning_rate": 0.1},
    "training": {"epochs": 2},
}
TOO_HEAVY = "expected weights with a sum of at most 3.4e+38, got a maximum of 1e+308; divide them by their mean"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text(f"x,z,w,y\n{ROWS}")
    return tmp_path


def command(spec: dict[str, Any], *argv: str) -> int:
    Path("spec.json").write_text(json.dumps(spec))
    return main(list(argv))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("argv", [("check", "spec.json"), ("train", "spec.json", "--out", "run")])
def test_weights_too_large(folder: Path, argv: Any, dtype: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(SPEC | {"data": SPEC["data"] | {"weight": "w"}, "dtype": dtype}, *argv) == 1
    assert capsys.readouterr().err == f"funcnet: Csv: {TOO_HEAVY}\n"


def test_weights_too_large_in_python() -> None:
    x, y, w = np.ones((4, 2)), np.ones((4, 1)), np.full(4, 1e308)
    net, loss = fn.serial(fn.Dense(1)), fn.losses.MeanSquaredError()
    with pytest.raises(fn.DataError, match="expected weights with a sum of at most"):
        fn.fit(net, (x, y, w), loss=loss, optimizer=fn.optim.SGD(0.1), epochs=1, key=fn.Key(0))
    params, state = net.init(fn.Key(0), (2,))
    with pytest.raises(fn.DataError, match="expected weights with a sum of at most"):
        fn.evaluate(net, loss, params, state, (x, y, w))


def test_targets_too_large(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    large = SPEC | {
        "data": SPEC["data"] | {"target": "w"},
        "model": {"type": "serial", "layers": [{"type": "dense", "units": 1}]},
        "loss": "mean_squared_error",
        "metrics": ["r2"],
        "dtype": "float64",
    }
    assert command(large, "check", "spec.json") == 1
    assert "the first batch has a loss of inf" in capsys.readouterr().err
    assert command(large, "train", "spec.json", "--out", "run") == 1
    assert "a loss or gradient is not finite" in capsys.readouterr().err


@pytest.mark.parametrize("deviation", [0.0, 1e-320])
def test_a_deviation_of_almost_nothing(folder: Path, deviation: float, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(SPEC | {"data": SPEC["data"] | {"scale": "standard"}}, "train", "spec.json", "--out", "run") == 0
    file = folder / "run" / "preprocess.json"
    preprocess = json.loads(file.read_text())
    preprocess["inputs"]["deviation"] = [deviation, 1.0]
    file.write_text(json.dumps(preprocess))
    capsys.readouterr()
    assert main(["predict", "run", "a.csv"]) == 1
    assert capsys.readouterr().err.startswith("funcnet: ")


def test_inputs_too_large_for_the_dtype(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(SPEC | {"data": SPEC["data"] | {"scale": "standard"}}, "train", "spec.json", "--out", "run") == 0
    Path("rows.csv").write_text("x,z\n1e308,-1e308\n1e300,1\n")
    capsys.readouterr()
    assert main(["predict", "run", "rows.csv"]) == 1
    assert "expected inputs that float32 can hold" in capsys.readouterr().err


@pytest.mark.parametrize("temperature", [5e-324, 1e-320, 1e-300, 1e300])
def test_a_temperature_near_0_takes_the_largest(temperature: float) -> None:
    logits = np.array([[1.0, 3.0, 2.0], [-5.0, -4.0, -1e300]])
    drawn = draw(logits, fn.Key(0), temperature, None)
    assert temperature > 1 or drawn.tolist() == [1, 1]
    assert draw(logits, fn.Key(0), temperature, 1).tolist() == [1, 1]


def test_weights_in_half_precision() -> None:
    fn.fit(
        fn.serial(fn.Dense(1)),
        (np.ones((4, 2)), np.ones((4, 1)), np.ones(4, np.float16)),
        loss=fn.losses.MeanSquaredError(),
        optimizer=fn.optim.SGD(0.1),
        epochs=1,
        key=fn.Key(0),
    )


# ----- every function that computes with a network ------------------------------------------------------------------

STEEP = fn.serial(fn.Dense(4), fn.LeakyRelu(1e300), fn.BatchNorm(eps=1e300), fn.Dense(2))
FAR = np.array([[1.0, 1.0], [1e300, -1e300], [np.inf, np.nan], [5e-324, 3e38]])
SQUARED = fn.losses.MeanSquaredError()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("params", ["drawn", "huge"])
def test_no_function_warns_of_numbers_at_the_edge(params: str, dtype: Any) -> None:
    values, state = STEEP.init(fn.Key(0), (2,), dtype)
    if params == "huge":
        values = fn.tree.map(lambda leaf: np.full_like(leaf, 3e38), values)
    calls = [
        lambda: fn.predict(STEEP, values, state, FAR),
        lambda: fn.predict(STEEP, values, state, FAR),  # the recorded program
        lambda: fn.value_and_grad(STEEP, SQUARED)(values, state, FAR, FAR, fn.EVAL),
        lambda: fn.evaluate(STEEP, SQUARED, values, state, (FAR, FAR), [fn.metrics.R2(), fn.metrics.RMSE()]),
        lambda: fn.jacobian(STEEP, values, state, FAR),
        lambda: fn.backprop_trace(STEEP, values, state, cast(FAR, dtype), cast(FAR, dtype)),
        lambda: fn.fit(STEEP, (FAR, FAR), loss=SQUARED, optimizer="adam", steps=1, key=0, metrics=["r2"]),
        lambda: fn.train_state(STEEP, fn.optim.Adagrad(0.1, initial=1e300), 0, (2,), dtype),
        lambda: fn.check_loss(SQUARED, FAR, FAR),
        lambda: fn.check_layer(STEEP, (2,), batch_coupled=True),
        lambda: fn.summary(STEEP, (2,)),
        lambda: fn.cost(STEEP, (2,)),
        lambda: fn.source(STEEP, (2,)),
        lambda: fn.metrics.R2()(FAR, FAR),
    ]
    for call in calls:
        with contextlib.suppress(fn.FuncnetError):
            call()


TOO_LARGE: dict[str, fn.initializers.Initializer] = {
    "constant": fn.initializers.Constant(1e300),
    "normal": fn.initializers.Normal(1e300),
    "uniform": fn.initializers.Uniform(-1e300, 1e300),
    "truncated": fn.initializers.TruncatedNormal(1e300),
    "orthogonal": fn.initializers.Orthogonal(1e300),
}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_initial_values_too_large(name: str) -> None:
    net = fn.serial(fn.Dense(3, weight_init=TOO_LARGE[name]))
    with pytest.raises(fn.NonFiniteError) as caught:
        net.init(fn.Key(0), (2,))
    expected = f"the initial values are too large for float32, got {TOO_LARGE[name]!r}; make them smaller"
    assert str(caught.value) == f"dense_0 (Dense): weight: {expected}"
    params, _ = net.init(fn.Key(0), (2,), np.float64)
    assert np.isfinite(params["dense_0"]["weight"]).all()


@frozen
class Far(fn.initializers.Initializer):
    """The sigmoid of -1000, by a number that is too large."""

    def __call__(self, key: fn.Key, shape: Any, dtype: Any = np.float32) -> Any:
        return 1.0 / (1.0 + np.exp(np.full(shape, 1000.0, dtype)))


def test_initial_values_that_are_too_large_only_on_the_way() -> None:
    params, _ = fn.Dense(3, weight_init=Far()).init(fn.Key(0), (2,))
    assert np.array_equal(params["weight"], np.zeros((2, 3)))


# ----- the block without warnings -------------------------------------------------------------------------------------


def overflow() -> None:
    np.array([1e300]) * 1e300


@pytest.mark.parametrize("kept", ["in a context variable", "elsewhere"])
def test_a_quiet_block_leaves_what_the_user_set(kept: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kept == "elsewhere":
        monkeypatch.setattr(ops, "copy_context", dict)
        begin, end = ops.silencer()
        monkeypatch.setattr(ops, "silence", begin)
        monkeypatch.setattr(ops, "unsilence", end)
    mine = {"divide": "raise", "over": "raise", "under": "raise", "invalid": "warn"}
    with np.errstate(all="raise", invalid="warn"):
        with ops.quiet():
            overflow()
            with contextlib.suppress(ZeroDivisionError), ops.quiet():
                raise ZeroDivisionError
            overflow()
        assert np.geterr() == mine

        @ops.quiet()
        def again(depth: int) -> None:
            """It is called inside itself, and in threads at once."""
            if depth:
                again(depth - 1)
            overflow()

        again(3)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(again, [3] * 40))
        assert np.geterr() == mine
        with pytest.raises(FloatingPointError):
            overflow()


def test_predictions_and_gradients_under_a_users_errors() -> None:
    """Where NumPy's errors raise, they do so neither for numbers too large nor for those too small."""
    net = fn.serial(fn.LeakyRelu(1e-300), fn.Dense(2))
    params, state = net.init(fn.Key(0), (2,), np.float64)
    far = np.array([[-1e-300, -1e-308], [1e300, -1e300], [np.inf, np.nan]])
    with np.errstate(all="raise"):
        for _ in range(2):  # the second time the recorded program
            fn.predict(net, params, state, far)
            fn.value_and_grad(net, SQUARED)(params, state, far, far, fn.EVAL)
            with pytest.raises(fn.FuncnetError):
                fn.predict(net, params, state, far[:, :1])
        assert set(np.geterr().values()) == {"raise"}
