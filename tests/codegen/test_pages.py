"""The printed files as pages: their lines, their numbers, what they begin with, and the form for learners."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import funcnet as fn
from funcnet import ops, tree
from funcnet.cli import main
from funcnet.codegen.block_names import function_name
from funcnet.codegen.functions import PLAIN, helper_text
from funcnet.codegen.lines import narrow
from funcnet.codegen.printed_helpers import HELPERS
from funcnet.codegen.short.call import SHORT
from tests.compiler.test_source import called, loaded, steps_agree
from tests.table import OPTIMIZERS, same

SPECS = sorted((Path(__file__).parents[2] / "specs").glob("*.json"))
MSE = fn.losses.MeanSquaredError()


def page(path: Path, *options: str) -> str:
    """A printed file, from the command line."""
    return subprocess.run(
        [sys.executable, "-m", "funcnet", "source", str(path), *options], capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize("options", [[], ["--teach"]], ids=["default", "teach"])
@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_page_can_be_read(path, options, capsys):
    assert main(["source", str(path), *options]) == 0
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert [line for line in lines if len(line) > 100] == []
    names = [node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    assert len(names) == len(set(names))
    starts = [i for i, line in enumerate(lines) if line.startswith("def ")]
    assert lines[starts[0]].startswith(("def gradients(", "def block(", "def layer_norm(", "def batch_norm("))
    rules = [name for name in names if re.fullmatch(r"(sgd|adamw?)(_\d+)?", name)]
    assert len(rules) == 1  # the rule of the optimizer stands once
    assert not any(long in text for long in ("0.09999999999999998", "0.0010000000000000009", "0.03125", "13107"))
    if path.stem == "python_text_transformer":
        assert len(lines) <= LINES[bool(options)]
    if options:
        assert not any(word in text for word in ("flush(", "settle(", "blake2b(", "fold(", "bits("))


LINES = {False: 400, True: 336}
"""The most lines of the transformer, in the default form and for learners"""


def test_the_published_network_prints_its_published_output(tmp_path):
    (tmp_path / "sine.py").write_text(page(SPECS[0].parent / "sine_4_3_3_1.json"), encoding="utf-8")
    run = subprocess.run([sys.executable, "sine.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[0] == "0 6.52395735358923 [[3.176794]]"


@pytest.mark.parametrize(
    "name", ["adam", "adagrad", "adagrad_unusual", "schedule_free_adamw", "lookahead", "adafactor", "freeze_several"]
)
def test_the_state_of_the_optimizer_begins_as_init_gives_it(name):
    net, opt = fn.serial(fn.Dense(3), fn.Tanh(), fn.Dense(1)), OPTIMIZERS[name]
    script = ast.parse(fn.source(net, (2,), 6, MSE, opt, dtype=np.float64))
    whole = script.body.pop()
    assert isinstance(whole, ast.If)
    script.body += [statement for statement in whole.body if not isinstance(statement, ast.For)]
    names: dict[str, object] = {}
    exec(compile(script, "printed", "exec"), names)
    assert same(tree.map(np.asarray, names["opt_state"]), opt.init(names["params"]))


def test_learners_get_the_same_numbers_but_for_the_draws():
    net = fn.serial(fn.Dense(5), fn.LayerNorm(), fn.Tanh(), fn.Dense(3))
    loss, opt = fn.losses.SoftmaxCrossEntropy(label_smoothing=0.1), fn.optim.AdamW(0.1)
    x, y = fn.Key(1).normal((6, 4), np.float32), fn.Key(2).integers(3, (6,))
    steps = [loaded(fn.source(net, (4,), 6, loss, opt, teach=teach))["step"] for teach in (False, True)]
    begun = fn.train_state(net, opt, fn.Key(0), (4,))
    values = [{"params": begun.params, "opt_state": begun.opt_state, "x": x, "y": y} for _ in steps]
    for _ in range(3):
        for step, given in zip(steps, values, strict=True):
            loss_value, given["params"], given["opt_state"] = called(step, given)
        assert all(map(np.array_equal, *(tree.leaves(given["params"]) for given in values)))
    assert loss_value < 1.2


def test_learners_draw_with_a_generator():
    net = fn.serial(fn.Dense(50), fn.Dropout(0.25), fn.GaussianNoise(0.5), fn.Dense(1))
    text = fn.source(net, (4,), 6, MSE, fn.optim.SGD(0.1), teach=True)
    assert "mask = rng.random((6, 50)) >= 0.25" in text
    assert "rng.standard_normal((6, 50), np.float32)" in text
    gradients, rng = loaded(text)["gradients"], np.random.default_rng(0)
    begun = fn.train_state(net, fn.optim.SGD(0.1), fn.Key(0), (4,))
    x, y = np.ones((6, 4), np.float32), np.ones((6, 1), np.float32)
    first, second = (gradients(begun.params, x, y, rng)[0] for _ in range(2))
    assert first != second


def test_short_forms_of_kernels_give_the_same_bits():
    """Convolutions of whole images, squares of a pool, one attention, erf in float32."""
    image = fn.serial(fn.Conv2D(4, 3), fn.Gelu(), fn.MaxPool2D(2), fn.Conv2D(3, (3, 5)), fn.GlobalAveragePool())
    causal = fn.MultiHeadAttention(2, causal=True, rotary=fn.RotaryPositions(), dropout=0.1)
    words = fn.serial(causal, fn.MultiHeadAttention(2), fn.SequencePool("last"))
    forms = ("conv", "conv_weight", "conv_input", "windows", "pool", "pool_vjp", "erf_32"), (
        "attention", "attention_vjp", "attention_2", "attention_vjp_2"
    )  # fmt: skip
    for net, in_shape, names in zip((image, words), ((8, 6, 2), (7, 8)), forms, strict=True):
        x, y = (
            fn.Key(1).normal((5, *in_shape), np.float32),
            fn.Key(2).normal((5, net.out_shape(in_shape)[0]), np.float32),
        )
        text = fn.source(net, in_shape, 5, MSE, fn.optim.SGD(0.1))
        assert all(f"def {name}(" in text for name in names)
        steps_agree(net, MSE, fn.optim.SGD(0.1), in_shape, 5, x, y, np.float32, planned=False)


def test_a_repeated_part_is_one_function():
    def part():
        return fn.Residual(fn.serial(fn.LayerNorm(), fn.Dense(6), fn.Tanh(), fn.Dropout(0.3), fn.Dense(4)))

    net = fn.serial(fn.Dense(4), part(), part(), fn.serial(fn.BatchNorm(), part()), fn.Dense(1))
    text = fn.source(net, (3,), 6, MSE, fn.optim.Adam())
    assert text.count("def block(") == text.count("def block_vjp(") == 1
    assert text.count(" = block(") == text.count(" = block_vjp(") == 3
    assert "for part in" not in text
    x, y = fn.Key(1).normal((6, 3)), fn.Key(2).normal((6, 1))
    steps_agree(net, MSE, fn.optim.Adam(), (3,), 6, x, y, np.float64, planned=False)


@pytest.mark.parametrize(
    "names",
    [
        ("params", "state", "np", "w"),
        ("rng", "x", "step", "lambda"),
        ("attention", "conv", "block", "saved"),
        ("pool", "float", "ValueError", "conv_weight"),
        ("attention_2", "adamw", "key", "block_vjp"),
        ("sgd", "each_leaf", "COS", "SIN"),
    ],
)
def test_layers_may_have_the_names_of_other_things(names):
    first, second, third, fourth = names
    net = fn.serial(
        ("reshape", fn.Reshape((4, 4, 2))),
        (first, fn.Conv2D(2, 3)),
        (second, fn.MaxPool2D(2)),
        ("rows", fn.Reshape((4, 2))),
        (third, fn.MultiHeadAttention(1, rotary=fn.RotaryPositions())),
        (fourth, fn.BatchNorm()),
        ("all", fn.SequencePool("last")),
    )
    x, y = fn.Key(1).normal((5, 32), np.float32), fn.Key(2).normal((5, 2), np.float32)
    assert "rng" not in fn.source(net, (32,), 5, MSE, fn.optim.AdamW()).split("return loss")[0].split("def ")[-1][:50]
    steps_agree(net, MSE, fn.optim.AdamW(), (32,), 5, x, y, np.float32, planned=False)


def test_a_layer_that_is_written_often_is_one_function():
    def part():
        return fn.serial(
            fn.Residual(fn.serial(fn.LayerNorm(), fn.Dense(6), fn.Tanh(), fn.Dense(4))),
            fn.Residual(fn.serial(fn.LayerNorm(), fn.Dense(4), fn.Dropout(0.3))),
        )

    net = fn.serial(fn.Dense(4), part(), part(), fn.LayerNorm(), fn.Dense(1))
    text = fn.source(net, (3,), 6, MSE, fn.optim.Adam(), dtype=np.float64)
    assert "def layer_norm(params, x):" in text
    assert "def layer_norm_vjp(params, dy, saved):" in text
    assert text.count("= layer_norm(") == text.count("= layer_norm_vjp(") == 3  # two in the block, and the last
    assert text.count("def block(") == text.count("def block_vjp(") == 1
    other = fn.serial(fn.Dense(4), part(), fn.Dense(1))
    assert "layer_norm(" not in fn.source(other, (3,), 6, MSE, fn.optim.Adam())
    x, y = fn.Key(1).normal((6, 3)), fn.Key(2).normal((6, 1))
    steps_agree(net, MSE, fn.optim.Adam(), (3,), 6, x, y, np.float64, planned=False)
    often = fn.serial(*([fn.LayerNorm(), fn.Tanh()] * 4), fn.LayerNorm(eps=1e-3), fn.Dense(1))
    assert fn.source(often, (3,), 6, MSE, fn.optim.Adam()).count("= layer_norm(") == 3  # the first needs no dx
    steps_agree(often, MSE, fn.optim.Adam(), (3,), 6, x, y, np.float64, planned=False)


def test_no_layer_has_the_name_of_a_helper():
    kinds = [kind for kind in vars_of(fn) if issubclass(kind, fn.Layer)]
    others = {*ops.PRIMITIVES, *PLAIN, *HELPERS, *(name for name, _ in SHORT.values()), "block", "step", "gradients"}
    assert len(kinds) > 60
    assert {function_name(kind, ()) for kind in kinds}.isdisjoint(others)
    assert function_name(fn.LayerNorm, ()) == "layer_norm"
    assert function_name(fn.LSTM, {"lstm_vjp"}) == "lstm_2"
    own = type("Step", (fn.Layer,), {"__module__": "acme"})
    assert function_name(own, ()) == "step_layer"


def vars_of(package) -> list[type]:
    """The classes of a package."""
    return [value for name in dir(package) if isinstance(value := getattr(package, name), type)]


def test_names_in_a_block_are_short_and_differ():
    def part():
        return fn.serial(
            a=fn.serial(params=fn.LayerNorm(), key=fn.Dense(4)), b=fn.serial(params=fn.LayerNorm(), np=fn.Dense(4))
        )

    net = fn.serial(fn.Dense(4), part(), part(), fn.Dense(1))
    text = fn.source(net, (4,), 3, MSE, fn.optim.SGD(0.1), dtype=np.float64)
    assert '"key": {"weight": d_key_weight, "bias": d_key_bias}' in text
    assert '"params": {"scale": d_b_params_scale, "bias": d_b_params_bias}' in text
    x, y = fn.Key(1).normal((3, 4)), fn.Key(2).normal((3, 1))
    steps_agree(net, MSE, fn.optim.SGD(0.1), (4,), 3, x, y, np.float64, planned=False)


def test_filled_arrays_have_the_memory_order_of_the_program():
    """The order of a sum follows the layout of its array, here that of the recurrent layer's output."""
    net = fn.serial(fn.GRU(4), fn.LayerNorm(), fn.SequencePool("mean"), fn.Dense(3))
    text = fn.source(net, (5, 4), 2, MSE, fn.optim.SGD(0.1), dtype=np.float64)
    assert "real = np.ones((5, 2, 1), np.float64).transpose(1, 0, 2)" in text
    x, y = fn.Key(1).normal((2, 5, 4)), fn.Key(2).normal((2, 3))
    steps_agree(net, MSE, fn.optim.SGD(0.1), (5, 4), 2, x, y, np.float64, planned=False)


def test_lines_are_short_in_deep_networks_and_long_chains():
    def part(layer):
        return fn.serial(layer, fn.LayerNorm(), fn.Dense(4), fn.LayerNorm(), fn.Tanh())

    net = fn.serial(fn.serial(part(fn.LogSoftmax()), fn.serial(part(fn.LogSoftmax()), part(fn.LayerNorm()))))
    opt = fn.optim.chain(fn.optim.ClipByValue(0.5), fn.optim.Centralize(), fn.optim.AdamW(), fn.optim.PolyakAverage())
    text = fn.source(net, (4,), 3, MSE, opt)
    assert [line for line in text.splitlines() if len(line) > 100] == []


def test_helpers_keep_their_meaning_in_narrow_lines():
    for name in [*ops.PRIMITIVES, *PLAIN, *HELPERS]:
        text = helper_text(name)
        made = narrow(text)
        assert max(map(len, made.splitlines())) <= 100, name
        assert [ast.dump(a) for a in code(text)] == [ast.dump(b) for b in code(made)], name


def code(text: str) -> list[ast.stmt]:
    """The statements of functions, but for docstrings."""
    return [
        statement
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.For | ast.If)
        for statement in node.body
        if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
    ]


def test_planned_and_for_learners_do_not_go_together(capsys):
    assert main(["source", "digits_mlp", "--planned", "--teach"]) == 1
    said = "--teach: does not go with --planned, which prints the program as it runs; leave one out"
    assert capsys.readouterr().err == f"funcnet: {said}\n"
    with pytest.raises(fn.FuncnetError, match="planned=True prints the program as it runs, which teach=True changes"):
        fn.source(fn.Dense(1), (2,), planned=True, teach=True)
