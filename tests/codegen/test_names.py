"""Names of a printed file: whatever layers, leaves, inputs and states are called."""

import attrs
import numpy as np
import pytest

import funcnet as fn
from funcnet import ops, tree
from funcnet.codegen.names import fresh, in_docstring, quoted
from tests.compiler.test_source import steps_agree

MSE, SGD = fn.losses.MeanSquaredError(), fn.optim.SGD(0.1)
ODD = (
    "größe",
    "σ",
    "β",
    'we"ight',
    "back\\slash",
    "my weight",
    "a-b",
    "1st",
    "lambda",
    "np",
    "x",
    "params",
    "gradients",
)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("dense_0", "dense_0_2"),
        ("lambda", "lambda_2"),
        ("np", "np_2"),
        ("größe", "groe"),
        ("σ", "sigma"),
        ("β", "value"),
        ("1st", "_1st"),
        ("a b", "a_b"),
        ("COS", "cos"),
        ("d_" + "layer_" * 12 + "end", "d_" + "layer_" * 6 + "end"),
    ],
)
def test_a_name_is_new_and_valid(wanted, expected):
    assert fresh(wanted, {"dense_0"}) == expected


@pytest.mark.parametrize("text", ["plain", 'a "b" c', "it's", "back\\slash", "new\nline", "größe", "\U0001f600"])
def test_a_string_is_written_in_ascii(text):
    assert quoted(text).isascii()
    assert eval(quoted(text)) == text
    assert eval(f'"""{in_docstring(text)}"""') == text.replace('"', "'")


@attrs.frozen
class Odd(fn.Layer):
    """Leaves with ``odd`` names \\ ``y = x * sum of params``"""

    def leaves(self, in_shape):
        one = fn.initializers.Normal(0.5)
        kinds = {name: "state" if i % 3 == 0 else "param" for i, name in enumerate(ODD)}
        return {name: fn.Leaf(in_shape, one, kind) for name, kind in kinds.items()}

    def out_shape(self, in_shape):
        return in_shape

    def apply(self, params, state, x, ctx):
        y = x * sum(params.values()) + sum(state.values())
        return y, {name: 0.5 * old + np.mean(y, axis=0) for name, old in state.items()}, (x, params)

    def vjp(self, params, residuals, dy):
        x, _ = residuals
        return {name: np.sum(dy * x, axis=0) for name in params}, dy * sum(params.values())


@pytest.mark.parametrize("planned", [False, True])
@pytest.mark.parametrize("net", [Odd(), fn.serial(fn.Dense(3), x=Odd(), w=fn.Dense(3))], ids=["alone", "inside"])
def test_leaves_may_have_any_name(net, planned):
    x, y = fn.Key(1).normal((4, 3)), fn.Key(2).normal((4, 3))
    opt = fn.optim.chain(fn.optim.ClipByGlobalNorm(0.1), fn.optim.Adam())
    steps_agree(net, MSE, opt, (3,), 4, x, y, np.float64, planned)


def joined(*names):
    """A layer that joins a dict of inputs."""
    return fn.layer(
        lambda key, shape, dtype: ({}, {}),
        lambda params, state, x, ctx: (np.concatenate([x[name] for name in names], axis=1), state, None),
        lambda params, residuals, dy: ({}, {name: dy[:, 2 * i : 2 * i + 2] for i, name in enumerate(names)}),
        lambda shape: (2 * len(names),),
    )


@pytest.mark.parametrize("planned", [False, True])
@pytest.mark.parametrize(
    "names",
    [
        ("0", "1", "x"),
        ("a/b", "a"),
        ("größe", 'in"put', "new\nline"),
        ("a name, so long [that", "it) is {divided " * 4),
    ],
)
def test_inputs_may_have_any_key(names, planned):
    x = {name: fn.Key(1).fold(name).normal((4, 2)) for name in names}
    net = fn.serial(joined(*names), fn.Dense(1))
    y = fn.Key(2).normal((4, 1))
    steps_agree(net, MSE, SGD, dict.fromkeys(names, (2,)), 4, x, y, np.float64, planned)


def test_two_inputs_of_one_path_are_refused():
    with pytest.raises(fn.FuncnetError) as error:
        fn.source(fn.Identity(), {"a": {"b": (2,)}, "a/b": (2,)})
    assert str(error.value) == "cannot print x: two of its arrays have the path 'x/a/b'; rename one"


def test_a_layer_may_have_the_name_of_a_tuple_input():
    net = fn.serial(x=fn.parallel(x=fn.Dense(3), y=fn.Dense(3)), w=fn.Sum(), dy=fn.Dense(1))
    x = fn.Key(1).normal((4, 3)), fn.Key(2).normal((4, 2))
    steps_agree(net, MSE, SGD, ((3,), (2,)), 4, x, fn.Key(3).normal((4, 1)), np.float64, False)


@attrs.frozen
class Remembering(fn.optim.Optimizer):
    """Its state has odd names; ``p "minus" g \\ rate``"""

    def init(self, params):
        return {name: tree.map(np.zeros_like, params) for name in ("settle", "np", "σ", "my mean", 'q"')} | {
            "step": np.zeros((), np.int64)
        }

    def update(self, grads, opt_state, params, value=None):
        count = ops.number(opt_state["step"])
        key = ops.fold(fn.Key(7), 'größe "x"', count)
        new = {
            name: tree.map(lambda old, g: ops.settle(0.9 * old + g, count), old, grads)
            for name, old in opt_state.items()
            if name != "step"
        }
        norm = ops.norm(*tree.leaves(grads)) + ops.norm(key.normal((2,)))
        return tree.map(lambda *all: -0.01 / (1.0 + norm) * sum(all[1:], all[0]), *new.values()), {
            **new,
            "step": opt_state["step"] + 1,
        }


@pytest.mark.parametrize("planned", [False, True])
def test_states_and_keys_may_have_any_name(planned):
    net, x, y = fn.serial(a=fn.Dense(2), c=fn.Dense(1)), fn.Key(1).normal((4, 3)), fn.Key(2).normal((4, 1))
    steps_agree(net, MSE, Remembering(), (3,), 4, x, y, np.float64, planned)
