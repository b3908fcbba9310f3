"""``fn.check_combinator``: every combinator of the library passes, and planted faults are named."""

import attrs
import numpy as np
import pytest

import funcnet as fn

RIGHT = {
    "Bidirectional": None,  # takes a recurrent layer alone
    "Branch": lambda a, b: fn.serial(fn.Branch((a, b)), fn.Sum()),
    "Capture": lambda a: fn.Capture(fn.serial(inner=a), ("inner",)),
    "Ensemble": lambda a: fn.Ensemble(a, 3),
    "Frozen": fn.Frozen,
    "Graph": lambda a, b: fn.Graph(inputs=("x",), nodes={"a": (a, "x"), "b": (b, "a")}, outputs="b"),
    "OnSequence": fn.OnSequence,
    "Parallel": None,  # takes several inputs
    "Remat": fn.Remat,
    "Repeat": lambda a: fn.Repeat(a, 3),
    "Repeat shared": lambda a: fn.Repeat(a, 2, shared=True),
    "Residual": fn.Residual,
    "Serial": fn.serial,
    "Tied": None,  # takes layers with leaves to tie
    "WeightNorm": None,  # takes a layer with a weight of two axes
}


@pytest.mark.parametrize("name", [name for name, make in RIGHT.items() if make])
def test_the_combinators_of_the_library_pass(name):
    fn.check_combinator(RIGHT[name])


def test_no_combinator_of_the_library_is_left_out():
    classes = {name for name in dir(fn) if isinstance(getattr(fn, name), type)}
    combinators = {name for name in classes if issubclass(getattr(fn, name), fn.Combinator)} - {"Combinator", "Wrapper"}
    assert combinators == {name.partition(" ")[0] for name in RIGHT}


@fn.register("law_test.average")
@attrs.frozen
class Average(fn.Combinator):
    """``y = (f(x) + g(x)) / 2``; right, and the base of the wrong ones."""

    f: fn.Layer
    g: fn.Layer

    @property
    def children(self):
        return {"f": self.f, "g": self.g}

    def wire(self, in_shape):
        return {"f": in_shape, "g": in_shape}, fn.out_shape_child("f", self.f, in_shape)

    def apply(self, params, state, x, ctx):
        a, s, r = fn.apply_child("f", self.f, params, state, x, ctx)
        b, t, q = fn.apply_child("g", self.g, params, state, x, ctx)
        return 0.5 * (a + b), fn.nest({"f": s, "g": t}), (r, q)

    def vjp(self, params, residuals, dy):
        r, q = residuals
        df, dx = fn.vjp_child("f", self.f, params, r, 0.5 * dy)
        dg, dz = fn.vjp_child("g", self.g, params, q, 0.5 * dy)
        return fn.nest({"f": df, "g": dg}), dx + dz


class Directly(Average):
    def apply(self, params, state, x, ctx):
        a, s, r = self.f.apply(params.get("f", {}), state.get("f", {}), x, ctx.child("f"))
        b, t, q = fn.apply_child("g", self.g, params, state, x, ctx)
        return 0.5 * (a + b), fn.nest({"f": s, "g": t}), (r, q)


class DirectlyBack(Average):
    def vjp(self, params, residuals, dy):
        r, q = residuals
        df, dx = self.f.vjp(params.get("f", {}), r, 0.5 * dy)
        dg, dz = fn.vjp_child("g", self.g, params, q, 0.5 * dy)
        return fn.nest({"f": df, "g": dg}), dx + dz


class StateLost(Average):
    def apply(self, params, state, x, ctx):
        y, _, r = super().apply(params, state, x, ctx)
        return y, state, r


class FirstTwice(Average):
    def apply(self, params, state, x, ctx):
        a, s, r = fn.apply_child("f", self.f, params, state, x, ctx)
        b, _, q = fn.apply_child("f", self.f, params, state, x, ctx)
        return 0.5 * (a + b), fn.nest({"f": s, "g": state.get("g", {})}), (r, q)


class WrongShape(Average):
    def wire(self, in_shape):
        return {"f": in_shape, "g": (2, *in_shape)}, in_shape


class NoShape(Average):
    def wire(self, in_shape):
        return {"f": in_shape}, in_shape


class SwallowsPaths(Average):
    def apply(self, params, state, x, ctx):
        try:
            return super().apply(params, state, x, ctx)
        except fn.FuncnetError as error:
            raise fn.FuncnetError(error.message) from None


class WrongGradient(Average):
    def vjp(self, params, residuals, dy):
        dparams, dx = super().vjp(params, residuals, dy)
        return {**dparams, "g": dparams["f"]} if "g" in dparams else dparams, dx


class Swapped(Average):
    def vjp(self, params, residuals, dy):
        return super().vjp(params, residuals[::-1], dy)


class TimeMixed(Average):
    stepwise = True

    def apply(self, params, state, x, ctx):
        y, state, r = super().apply(params, state, x, ctx)
        return (y + np.mean(y, 1, keepdims=True), state, r) if x.ndim == 3 else (y, state, r)

    def vjp(self, params, residuals, dy):
        return super().vjp(params, residuals, dy + np.mean(dy, 1, keepdims=True) if dy.ndim == 3 else dy)


class Forgetful(Average):
    count = [0]

    def apply(self, params, state, x, ctx):
        self.count[0] += 1
        y, state, r = super().apply(params, state, x, ctx)
        return y * (1 + 1e-3 * self.count[0]), state, r


WRONG = {
    Directly: "every layer is called through fn.apply_child, in evaluation or training",
    DirectlyBack: "vjp calls through fn.vjp_child what apply called",
    StateLost: "the state that a layer returns is kept under its name",
    FirstTwice: "every layer is called through fn.apply_child, in evaluation or training",
    WrongShape: "wire gives the shape that a layer receives",
    SwallowsPaths: "an error in a layer starts with its path",
    WrongGradient: "adjoint",
    Swapped: "adjoint",
    TimeMixed: "a step equals that of the whole sequence",
    Forgetful: "the same call gives the same bits",
}


def test_a_combinator_of_ones_own_passes():
    fn.check_combinator(Average)
    fn.check_combinator(Average, (5, 3))


@pytest.mark.parametrize("wrong", WRONG)
def test_a_planted_fault_is_named(wrong):
    with pytest.raises(fn.LawError) as caught:
        fn.check_combinator(attrs.frozen(wrong))
    assert f"breaks the law {WRONG[wrong]!r}" in str(caught.value), caught.value


def test_a_layer_that_is_left_out_is_named():
    with pytest.raises(fn.FuncnetError) as caught:
        fn.check_combinator(attrs.frozen(NoShape))
    assert str(caught.value) == (
        "expected wire to return the input shape of every layer, got none for 'g'; return ({name: in_shape}, out_shape)"
    )

    class Left(Average):
        @property
        def children(self):
            return {"f": self.f}

    with pytest.raises(fn.SpecError) as caught:
        attrs.frozen(Left)(fn.Dense(3), fn.Tanh())
    assert str(caught.value) == (
        "Left.children: leaves out the layer in the field 'g'; return every layer, such as {'f': self.f, 'g': self.g}"
    )

    class Unnamed(Average):
        @property
        def children(self):
            return [self.f, self.g]

    with pytest.raises(fn.SpecError) as caught:
        attrs.frozen(Unnamed)(fn.Dense(3), fn.Tanh())
    assert str(caught.value).startswith("Unnamed.children: expected a dict of layers by name, got [Dense(units=3")
