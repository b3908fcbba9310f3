"""The printed file: self-contained, readable, and the library's numbers to the last bit."""

import ast
import hashlib
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

import funcnet as fn
from funcnet import tree
from funcnet.cli import main
from funcnet.codegen.printed_helpers import HELPERS
from funcnet.data.preparation import input_shape
from funcnet.optim.schedules import bind
from tests.row import Row, random_like
from tests.table import IGNORING, KINDS, LAYERS, LOSSES, OPTIMIZERS, RULES, TRANSFORMS, of_those, same

SPECS = sorted((Path(__file__).parents[2] / "specs").glob("*.json"))
EVERY_RUN = [path for path in SPECS if path.stem in ("digits_mlp", "sine_tanh", "two_layer_relu")]
"""Specs that every run of the tests prints"""
TEACHER = fn.serial(fn.Dense(100, use_bias=False), fn.Relu(), fn.Dense(10, use_bias=False))


def loaded(text: str) -> dict[str, Any]:
    """The names that a printed file defines; it may import nothing but NumPy."""
    assert text.isascii()
    imports = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [ast.unparse(node) for node in imports] == ["import numpy as np"]
    names: dict[str, Any] = {"__name__": "printed"}
    exec(text, names)
    return names


def called(function: Any, values: dict[str, Any]) -> tuple[Any, ...]:
    """The printed function's results for the arguments that it asks for."""
    return function(*(values[name] for name in inspect.signature(function).parameters))


def steps_agree(net, loss, opt, in_shape, batch, x, y, dtype, planned, steps=3):
    """A few steps of the printed function beside the library's, compiled and plain."""
    step = loaded(fn.source(net, in_shape, batch, loss, opt, dtype=dtype, target=y, planned=planned))["step"]
    fast, plain = fn.train_step(net, loss, opt), fn.train_step(net, loss, opt, compile=False)
    ts = fn.train_state(net, opt, fn.Key(0), in_shape, dtype)
    for _ in range(steps):
        values = {"params": ts.params, "state": ts.state, "opt_state": ts.opt_state, "x": x, "y": y}
        values |= {"key": ts.key.digest, "step": ts.step}
        printed = called(step, values)
        (new, figures), (other, _) = fast(ts, (x, y)), plain(ts, (x, y))
        expected = [figures["loss"], *([new.state] if new.state else []), new.params, new.opt_state]
        assert printed[0] == expected[0]
        assert all(same(tree.map(np.asarray, a), b) for a, b in zip(printed[1:], expected[1:], strict=True))
        assert same((other.params, other.state, other.opt_state), (new.params, new.state, new.opt_state))
        ts = new


@pytest.mark.parametrize("planned", [False, True])
@pytest.mark.parametrize("path", of_those(SPECS, EVERY_RUN), ids=lambda path: path.stem)
def test_every_spec(path, planned):
    e = fn.load_spec(path)
    in_shape, dtype = input_shape(e.data, fn.Key(e.seed), path.parent), np.dtype(e.dtype)
    batch = 16 if e.training.batch_size == "full" else e.training.batch_size
    out = e.model.out_shape(in_shape)
    x, y = Row(e.model, in_shape).input(fn.Key(1), batch, dtype), fn.Key(2).uniform((batch, *out), dtype)
    if isinstance(e.loss, fn.losses.SoftmaxCrossEntropy):
        y = fn.Key(2).integers(out[-1], (batch, *out[:-1]))
    steps_agree(e.model, e.loss, bind(e.optimizer, 1000), in_shape, batch, x, y, dtype, planned)


@pytest.mark.parametrize("planned", [[], ["--planned"]])
@pytest.mark.parametrize("path", of_those(SPECS, EVERY_RUN), ids=lambda path: path.stem)
def test_every_file_runs(path, planned, tmp_path, capsys):
    file = tmp_path / "model.py"
    assert main(["source", str(path), "--out", str(file), *planned]) == 0
    assert capsys.readouterr().out == f"written to {file}\n"
    run = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, check=True)
    losses = [float(line.split()[1]) for line in run.stdout.splitlines()]
    assert len(losses) == 20
    assert losses[-1] < losses[0]


def test_a_teacher_would_write_it_so():
    text = fn.source(TEACHER, (1000,), 64, fn.losses.SumSquaredError(), fn.optim.SGD(1e-6))
    functions = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    assert [function.name for function in functions] == ["gradients", "sgd", "step", "each_leaf"]  # helpers stand last
    statements = [node for node in ast.walk(functions[0]) if isinstance(node, ast.stmt)]
    assert len(statements) - 2 <= 16  # but for the function itself and its docstring
    lines = [line.strip() for line in text.splitlines()]
    start = next(i for i, line in enumerate(lines) if line.startswith("# ----- backward"))
    end = next(i for i, line in enumerate(lines) if line.startswith("return loss"))
    backward = [line.split("  #")[0].rstrip() for line in lines[start + 1 : end] if line and not line.startswith("#")]
    assert backward == [
        "d_dense_1 = 2 * error",
        "d_dense_1_weight = relu_0.T @ d_dense_1",
        'd_relu_0 = d_dense_1 @ params["dense_1"]["weight"].T',
        "d_dense_0 = (relu_0 != 0) * d_relu_0",
        "d_dense_0_weight = x.T @ d_dense_0",
    ]
    assert "def sgd(w, g, rate=1e-06):" in lines
    assert "return w - rate * g" in lines
    assert "params = each_leaf(sgd, params, grads)" in lines
    assert "# dense_0 (Dense): y = x @ weight" in lines
    assert "# dense_0 (Dense): dweight = x.T dy, dx = dy weight.T" in lines
    assert "# relu_0 (Relu): y = max(x, 0)" in lines
    assert "# relu_0 (Relu): dx = dy where x > 0, else 0" in lines
    assert "# loss = sum (p - y)**2" in lines
    assert "# dp = 2 (p - y)" in lines


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize(
    "name", of_those([name for name, row in LAYERS.items() if isinstance(row.in_shape, tuple)], KINDS)
)
def test_every_layer(name, train):
    row = LAYERS[name]
    params, state = row.layer.init(fn.Key(0), row.in_shape, np.float64)
    x = row.input(fn.Key(1), 4)
    ctx = fn.Context(train, fn.Key(7))
    y, new_state, residuals = row.layer.apply(params, state, x, ctx)
    dy = random_like(y, fn.Key(3))
    dparams, dx = row.layer.vjp(params, residuals, dy)
    for planned in (False, True):
        text = fn.source(row.layer, row.in_shape, 4, dtype=np.float64, train=train, planned=planned)
        values = {"params": params, "state": state, "x": x, "dy": dy, "key": fn.Key(7).digest}
        printed = called(loaded(text)["forward_backward"], values)
        expected = [y, *([new_state] if new_state else []), dparams, dx]
        arrays = [tree.map(np.asarray, value) for value in printed]
        assert all(same(a, tree.map(np.asarray, b)) for a, b in zip(arrays, expected, strict=True)), planned


@pytest.mark.parametrize("name", LOSSES | IGNORING)
def test_every_loss(name):
    case = (LOSSES | IGNORING)[name]
    x, y = case.prediction, case.target
    net = fn.Identity()
    value, _ = case.loss.apply(x, y)
    text = fn.source(net, x.shape[1:], len(x), case.loss, dtype=x.dtype, target=y)
    printed = called(loaded(text)["gradients"], {"params": {}, "x": x, "y": y, "state": {}})
    assert printed[0] == value


@pytest.mark.parametrize("planned", [False, True])
@pytest.mark.parametrize("name", of_those([name for name in OPTIMIZERS if name not in TRANSFORMS], RULES))
def test_every_optimizer(name, planned):
    net, x, y = fn.serial(fn.Dense(3), fn.Tanh(), fn.Dense(1)), fn.Key(1).normal((6, 2)), fn.Key(2).normal((6, 1))
    steps_agree(net, fn.losses.MeanSquaredError(), OPTIMIZERS[name], (2,), 6, x, y, np.float64, planned, steps=8)


@attrs.frozen
class Trailing(fn.optim.Optimizer):
    """Its update reads the old state inside an expression that is printed after the new state."""

    def init(self, params):
        return {"step": np.zeros((), np.int64), "trail": tree.map(np.array, params)}

    def update(self, grads, opt_state, params, value=None):
        old = tree.map(lambda p, z: p - 0.5 * z, params, opt_state["trail"])
        trail = tree.map(lambda z, g: z - 0.1 * g, opt_state["trail"], grads)
        updates = tree.map(lambda x, z: x * z, old, trail)
        return updates, {"step": opt_state["step"] + 1, "trail": trail}


def test_a_name_is_not_used_again_while_the_old_value_is_wanted():
    net, x, y = fn.serial(a=fn.Dense(1)), fn.Key(1).normal((6, 2)), fn.Key(2).normal((6, 1))
    steps_agree(net, fn.losses.MeanSquaredError(), Trailing(), (2,), 6, x, y, np.float64, False)


def test_the_printed_hash_is_blake2b():
    names: dict[str, Any] = {"np": np}
    exec(HELPERS["fold"][1], names)
    key = fn.Key(3)
    assert names["fold"](key.digest, "step", 12, "ü" * 200) == key.fold("step", 12, "ü" * 200).digest
    for n in (0, 1, 127, 128, 129, 300):
        message = bytes(range(256))[:n] + bytes(max(0, n - 256))
        expected = hashlib.blake2b(message, digest_size=24, key=key.digest).digest()
        assert names["blake2b"](message, key.digest) == expected


def branching_apply(params, state, x, ctx):
    return (x if x.sum() > 0 else -x), state, None


BRANCHING = fn.layer(
    lambda key, shape, dtype: ({}, {}), branching_apply, lambda p, r, dy: ({}, dy), lambda shape: shape
)


@fn.register("test_source.own")
@attrs.frozen
class Own(fn.optim.Schedule):
    """A schedule of a user's own"""

    def __call__(self, step):
        return 0.1


@pytest.mark.filterwarnings("ignore::funcnet.CompileWarning")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: fn.source(BRANCHING, (3,)),
            "cannot print FunctionLayer: it cannot be recorded; "
            "write it with NumPy functions, without branches on the values of arrays",
        ),
        (
            lambda: fn.source(fn.Dense(1), (3,), 8, fn.losses.MeanSquaredError(), fn.optim.SGD(Own())),
            "cannot print the schedule Own: only the library's own schedules can be printed; use one, or a number",
        ),
        (
            lambda: fn.source(fn.Dense(1), (3,), optimizer=fn.optim.SGD(0.1)),
            "expected a loss with the optimizer, got none; give loss=fn.losses.MeanSquaredError()",
        ),
    ],
)
def test_what_cannot_be_printed(make, message):
    with pytest.raises(fn.FuncnetError) as error:
        make()
    assert str(error.value) == message


def test_the_command(tmp_path, capsys):
    model = tmp_path / "model.json"
    fn.save_spec(model, TEACHER)
    assert main(["source", str(model), "--input", "20", "--batch", "4"]) == 0
    assert capsys.readouterr().out == fn.source(TEACHER, (20,), 4)
    assert main(["source", str(model)]) == 1
    expected = "a model alone does not say what its input is; give the shape, such as --input 28,28,1"
    assert capsys.readouterr().err == f"funcnet: {expected}\n"
    assert main(["source", str(SPECS[0]), "--batch", "0"]) == 1
    assert capsys.readouterr().err == "funcnet: --batch: expected a whole number of 1 or more, got '0'\n"


def test_attention_in_tiles_is_printed():
    net = fn.serial(fn.MultiHeadAttention(2, causal=True, dropout=0.1), fn.SequencePool())
    x, y = fn.Key(1).normal((2, 600, 4), np.float32), fn.Key(2).normal((2, 4), np.float32)
    steps_agree(net, fn.losses.MeanSquaredError(), fn.optim.SGD(0.1), (600, 4), 2, x, y, np.float32, planned=False)
