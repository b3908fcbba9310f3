"""The name and the equation of an optimizer's function."""

import attrs
import numpy as np
import pytest

import funcnet as fn
from funcnet import ops, optim, tree
from funcnet.codegen.rule_names import equation_of, rule_name
from tests.compiler.test_source import steps_agree

TAKEN = (
    "norm",
    "step",
    "gradients",
    "each_leaf",
    "np",
    "params",
    "float",
    "print",
    "block",
    "fold",
    "initial",
    "erf_32",
)


def tagged(tag: str) -> optim.Optimizer:
    """A rule of a user's own with a tag, which calls helpers."""

    @fn.register(f"named_{tag}.{tag}")
    @attrs.frozen
    class Rule(optim.Optimizer):
        """Halves of \\ ``p``"""

        def init(self, params):
            return {"step": np.zeros((), np.int64)}

        def update(self, grads, opt_state, params, value=None):
            norm = ops.norm(*tree.leaves(grads))
            return tree.map(lambda g: -0.1 / (1.0 + norm) * g, grads), {"step": opt_state["step"] + 1}

    return Rule()


def test_no_rule_has_the_name_of_another_thing():
    assert [rule_name(tagged(tag)) for tag in TAKEN] == [f"{tag}_rule" for tag in TAKEN]
    assert rule_name(tagged("own")) == "own"
    assert rule_name(tagged("class")) == "class_rule"
    assert rule_name(optim.chain(optim.Adam(), optim.EMA())) == "adam"
    assert rule_name(optim.Adam(), {"adam"}) == "adam_rule"


def test_a_rule_may_have_the_tag_of_a_block_that_the_file_has():
    def part():
        return fn.Residual(fn.serial(fn.LayerNorm(), fn.Dense(4), fn.Tanh(), fn.Dropout(0.2)))

    net = fn.serial(fn.Dense(4), part(), part(), fn.Dense(1))
    x, y = fn.Key(1).normal((4, 3)), fn.Key(2).normal((4, 1))
    steps_agree(net, fn.losses.MeanSquaredError(), tagged("block_vjp"), (3,), 4, x, y, np.float64, False)


@pytest.mark.parametrize(
    ("rule", "equation"),
    [
        (optim.SGD(0.1), "Stochastic gradient descent: w = w - rate g."),
        (
            optim.SGD(0.1, momentum=0.9),
            "Stochastic gradient descent with momentum: v = mu v + g, w = w - rate v.",
        ),
        (
            optim.SGD(0.1, momentum=0.9, nesterov=True),
            "Stochastic gradient descent with Nesterov momentum: v = mu v + g, w = w - rate (g + mu v).",
        ),
        (
            optim.RMSprop(centered=True, momentum=0.5),
            "v = decay * v + (1-decay) g**2, a = decay * a + (1-decay) g, "
            "u = mu u + g / (sqrt max(v - a**2, 0) + eps), w = w - rate u.",
        ),
        (optim.RMSprop(), "v = decay * v + (1-decay) g**2, w = w - rate g / (sqrt v + eps)."),
        (
            optim.LARS(1.0, nesterov=True),
            "Nesterov momentum, scaled leaf by leaf: d = g, v = mu v + rate trust |w|/|d| d, "
            "w = w - (mu v + rate trust |w|/|d| d).",
        ),
        (
            optim.AMSGrad(),
            "Adam with the largest v so far: largest = max(largest, v), "
            "w = w - rate m_hat / (sqrt largest_hat + eps), largest_hat = largest / (1 - beta2^t).",
        ),
        (
            optim.NAdam(),
            "Adam with Nesterov momentum: "
            "w = w - rate (mu' m / (1 - prod mu') + (1-mu) g / (1 - prod)) / (sqrt v_hat + eps).",
        ),
        (optim.AdamW(weight_decay=0.0), "Adam with decoupled weight decay: Adam's update."),
        (tagged("equation"), "Halves of \\\\ p"),
    ],
)
def test_the_equation_is_that_of_the_configuration(rule, equation):
    assert equation_of(rule) == equation
