"""A subclass that computes something else is never treated as its base, by any view or tool."""

import types

import attrs
import numpy as np
import pytest

import funcnet as fn
from funcnet import losses, optim
from funcnet.codegen.schedules import schedule_text
from funcnet.layers.base import range_of
from funcnet.networks.decoding import one_step, rule_for
from funcnet.views.diagram_entries import form
from tests.table import LAYERS, SCHEDULES


def derived(cls, **methods):
    """A subclass with other methods."""
    return attrs.frozen(types.new_class(f"Other{cls.__name__}", (cls,), exec_body=lambda body: body.update(methods)))


def again(spec, **methods):
    """The same fields, of a subclass with other methods."""
    cls = derived(type(spec), **methods)
    return cls(**{f.name: getattr(spec, f.name) for f in attrs.fields(type(spec)) if f.init})


@pytest.mark.filterwarnings("ignore::funcnet.errors.CompileWarning")  # the class is made by a function
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_is_not_printed_as_its_base(name):
    schedule = SCHEDULES[name].over(20)
    other = again(schedule, __call__=lambda self, step: 0.5 * type(schedule).__call__(self, step))
    assert other(3) == 0.5 * schedule(3)
    schedule_text(schedule, "step")
    with pytest.raises(fn.FuncnetError, match="cannot print the schedule Other"):
        schedule_text(other, "step")
    net, loss, x, y = fn.Dense(1), losses.MeanSquaredError(), np.ones((4, 2)), np.ones((4, 1))
    steps = []
    for rate in (schedule, other):  # trained with what it says, compiled or not
        rule = optim.SGD(rate)
        ts = fn.train_state(net, rule, fn.Key(0), (2,), dtype=np.float64)
        one, two = (fn.train_step(net, loss, rule, compile=compile)(ts, (x, y))[0] for compile in (True, False))
        np.testing.assert_array_equal(one.params["weight"], two.params["weight"])
        steps.append(one.params["weight"] - ts.params["weight"])
    np.testing.assert_allclose(steps[1], 0.5 * steps[0], rtol=1e-12)


def doubled(cls):
    def apply(self, params, state, x, ctx):
        y, state, residuals = cls.apply(self, params, state, x, ctx)
        return fn.tree.map(lambda leaf: 2.0 * leaf, y), state, residuals

    return apply


STEPPED = {}
for _name, _row in LAYERS.items():
    _cls = type(_row.layer)
    try:
        rule_for(_row.layer)
    except fn.ShapeError:
        continue
    STEPPED.setdefault(_cls, _name)


def test_every_rule_of_decoding_is_here():
    classes = {cls for cls in one_step.registry if cls is not object}
    assert all(any(issubclass(there, cls) for there in STEPPED) for cls in classes)


@pytest.mark.parametrize("name", STEPPED.values())
def test_a_layer_does_not_run_step_by_step_as_its_base(name):
    layer = LAYERS[name].layer
    other = again(layer, apply=doubled(type(layer)))
    with pytest.raises(fn.ShapeError, match="it may look at other steps"):
        rule_for(other)
    declared = again(layer, apply=doubled(type(layer)), stepwise=True)
    assert rule_for(declared) is None


@pytest.mark.parametrize("name", [name for name, row in LAYERS.items() if row.layer.children])
def test_a_combinator_is_not_drawn_as_its_base(name):
    layer = LAYERS[name].layer
    assert form(again(layer, apply=doubled(type(layer)))).kind == "stack"


@pytest.mark.parametrize("name", [name for name, row in LAYERS.items() if range_of(row.layer) is not None])
def test_a_layer_does_not_inherit_the_range_of_its_base(name):
    layer = LAYERS[name].layer
    assert range_of(again(layer, apply=doubled(type(layer)))) is None
