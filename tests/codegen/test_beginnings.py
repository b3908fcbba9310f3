"""The state that an optimizer begins with, in the demonstration of a printed file."""

import ast

import attrs
import numpy as np
import pytest

import funcnet as fn
from funcnet import optim, tree
from tests.table import same

MSE = fn.losses.MeanSquaredError()


@attrs.frozen
class Begun(optim.Optimizer):
    """Gradient descent whose state begins as a function gives it."""

    begin: object = None

    def init(self, params):
        return {"step": np.zeros((), np.int64), "kept": self.begin(params)}

    def update(self, grads, opt_state, params, value=None):
        return tree.map(lambda g: -0.1 * g, grads), opt_state | {"step": opt_state["step"] + 1}


def each(f):
    return lambda params: tree.map(f, params)


@pytest.mark.parametrize("net", [fn.Dense(1), fn.serial(a=fn.Dense(3), c=fn.Dense(1))], ids=["one", "two"])
@pytest.mark.parametrize(
    "begin",
    [
        each(lambda p: np.zeros(p.shape, np.float64)),
        each(lambda p: p.astype(np.float64)),
        each(lambda p: np.zeros(p.shape, np.int64)),
        each(lambda p: np.full_like(p, np.nan)),
        each(lambda p: np.full_like(p, -0.0)),
        each(lambda p: 0.5 * np.abs(p)),
        each(lambda p: p.T.copy()),
        lambda params: np.array([np.inf, 1.0, np.nan, -0.0]),
    ],
    ids=["float64", "copies", "counts", "nan", "minus_zero", "computed", "turned", "numbers"],
)
def test_the_state_begins_as_init_gives_it(net, begin):
    opt = Begun(begin)
    script = ast.parse(fn.source(net, (2,), 4, MSE, opt))
    whole = script.body.pop()
    assert isinstance(whole, ast.If)
    script.body += [statement for statement in whole.body if not isinstance(statement, ast.For)]
    names: dict[str, object] = {}
    exec(compile(script, "printed", "exec"), names)
    expected, given = opt.init(names["params"]), tree.map(np.asarray, names["opt_state"])
    assert tree.map(lambda x: x.dtype, given) == tree.map(lambda x: x.dtype, expected)
    assert same(tree.map(lambda x: x.tobytes().hex(), given), tree.map(lambda x: x.tobytes().hex(), expected))


def test_a_state_that_cannot_be_recorded_is_refused():
    opt = Begun(lambda params: np.asarray(float(np.sum(params["weight"]))))
    with pytest.raises(fn.FuncnetError, match="cannot print the state that Begun begins with: "):
        fn.source(fn.Dense(1), (2,), 4, MSE, opt)
