"""The equations of the guide's algebra page, on random networks of every combinator and on every pair of optimizers."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import funcnet as fn
from funcnet import initializers, tree
from funcnet.networks.surgery import join_path, walk
from funcnet.spec.codec import to_dict
from tests.classes import CLASSES
from tests.cli import ROOT, environment
from tests.pages import python_blocks, tags_end
from tests.table import TRAINED

PAGE = Path(fn.__file__).parent / "guide" / "algebra.md"
SEEDS = range(60)
ROWS, WIDTH = 6, 4
OWN = ("ReZero", "Gated", "Router", "Recurse", "MixUp")
"""Combinators that the page defines"""
MSE, ADAM = fn.losses.MeanSquaredError(), fn.optim.Adam(0.01)


@pytest.fixture(scope="module", autouse=True)
def page() -> Iterator[dict[str, Any]]:
    """The names of the page's program, whose tags end with this file."""
    space: dict[str, Any] = {"__name__": "guide_algebra"}
    with tags_end():
        for block in python_blocks(PAGE):
            block.run(space)
        yield space


# ----- random networks ---------------------------------------------------------------------------------------------


class Maker:
    """Random layers from vectors to vectors; ``own`` are the classes of the page."""

    def __init__(self, seed: int, own: dict[str, Any]) -> None:
        self.random, self.own, self.names = random.Random(seed), own, 0
        self.noisy, self.normed = seed % 2 == 0, False

    def name(self) -> str:
        """A given name that no other layer has."""
        self.names += 1
        return f"n{self.names}"

    def named(self, *layers: fn.Layer) -> list[Any]:
        """Layers, some with given names."""
        return [layer if self.random.random() < 0.6 else (self.name(), layer) for layer in layers]

    def serial(self, *layers: fn.Layer) -> fn.Layer:
        return fn.serial(*self.named(*layers))

    def leaf(self) -> fn.Layer:
        dense = fn.Dense(self.random.randint(2, 5), self.random.random() < 0.8)
        plain = [fn.Tanh(), fn.Sigmoid(), fn.LayerNorm(), fn.Softplus(), fn.Bias(), fn.Scale(), fn.PRelu()]
        coupled = [fn.BatchNorm(), fn.Dropout(0.3), fn.GaussianNoise(0.1)] if self.noisy else []
        return dense if self.random.random() < 0.5 else self.random.choice(plain + coupled)

    def layer(self, width: int, depth: int) -> fn.Layer:
        """Any layer: a combinator of layers of less depth, or a leaf at depth 0."""
        return self.random.choice([*COMBINATORS.values()])(self, width, depth - 1) if depth else self.leaf()

    def to(self, width: int, out: int, depth: int) -> fn.Layer:
        """Any layer with an output of a width."""
        layer = self.layer(width, depth)
        return layer if layer.out_shape((width,)) == (out,) else self.serial(layer, fn.Dense(out))

    def keeping(self, width: int, depth: int) -> fn.Layer:
        return self.to(width, width, depth)

    def graph(self, width: int, depth: int) -> fn.Layer:
        left, right, last = self.layer(width, depth), self.layer(width, depth), self.layer(width, 0)
        nodes = {"z": (left, "x"), "a": (right, "x"), "b": (last, "x"), "join": (fn.Concat(), ("z", "b", "a", "x"))}
        return fn.Graph("x", nodes, "join")

    def parallel(self, width: int, depth: int) -> fn.Layer:
        f, g = self.to(width, 3, depth), self.to(width, 3, depth)
        return self.serial(fn.branch(fn.Identity(), fn.Tanh()), fn.parallel(*self.named(f, g)), fn.Multiply())

    def capture(self, width: int, depth: int) -> fn.Layer:
        first = self.layer(width, depth)
        inner = fn.serial(a=first, b=self.layer(first.out_shape((width,))[0], 0))
        used = fn.parallel(fn.Identity(), fn.Graph("a", {"out": (fn.Dense(2), "a")}, "out"))
        return self.serial(fn.Capture(inner, "a"), used, fn.Concat())

    def tied(self, width: int, depth: int) -> fn.Layer:
        inner = fn.serial(a=fn.Dense(width), b=self.keeping(width, depth), c=fn.Dense(width))
        return fn.Tied(inner, {"c/weight": self.random.choice(("a/weight", "a/weight.T"))})

    def bidirectional(self, width: int, depth: int) -> fn.Layer:
        cell = self.random.choice((fn.GRU, fn.LSTM, fn.RNN))(2)
        both = fn.Bidirectional(cell, self.random.choice(("concat", "sum")))
        return self.serial(fn.Reshape((width, 1)), both, fn.Flatten())

    def weight_norm(self, width: int, depth: int) -> fn.Layer:
        if self.normed:  # inside another one it is refused
            return self.layer(width, depth)
        self.normed = True
        layer = fn.WeightNorm(self.serial(fn.Dense(3), self.layer(3, depth)))
        self.normed = False
        return layer

    def residual(self, width: int, depth: int) -> fn.Layer:
        if self.random.random() < 0.5:
            return fn.Residual(self.keeping(width, depth))
        layer = fn.serial(self.layer(width, depth))  # a Residual inside could have a projection too
        return fn.Residual(layer, self.to(width, layer.out_shape((width,))[0], 0))

    def gated(self, width: int, depth: int) -> fn.Layer:
        value, gate = self.to(width, 3, depth), fn.serial(self.to(width, 3, depth), fn.Sigmoid())
        return self.own["Gated"]((("value", value), ("gate", gate)))

    def router(self, width: int, depth: int) -> fn.Layer:
        weights = fn.serial(self.to(width, 2, depth), fn.Softmax())
        experts = self.named(self.to(width, 3, depth), self.to(width, 3, depth))
        return self.own["Router"]((("weights", weights), *experts))


COMBINATORS: dict[str, Callable[[Maker, int, int], fn.Layer]] = {
    "Serial": lambda m, n, d: m.serial(first := m.layer(n, d), m.layer(first.out_shape((n,))[0], d)),
    "Branch": lambda m, n, d: m.serial(fn.branch(*m.named(m.layer(n, d), m.layer(n, d))), fn.Concat()),
    "Parallel": Maker.parallel,
    "Graph": Maker.graph,
    "Residual": Maker.residual,
    "Repeat": lambda m, n, d: fn.Repeat(m.keeping(n, d), m.random.randint(1, 3), m.random.random() < 0.5),
    "Remat": lambda m, n, d: fn.Remat(m.layer(n, d)),
    "Frozen": lambda m, n, d: fn.Frozen(m.layer(n, d)),
    "WeightNorm": Maker.weight_norm,
    "Tied": Maker.tied,
    "Capture": Maker.capture,
    "Ensemble": lambda m, n, d: m.serial(fn.Ensemble(m.layer(n, d), 2), fn.Flatten()),
    "OnSequence": lambda m, n, d: fn.OnSequence(m.layer(n, d)),
    "Bidirectional": Maker.bidirectional,
    "ReZero": lambda m, n, d: m.own["ReZero"](m.keeping(n, d)),
    "Gated": Maker.gated,
    "Router": Maker.router,
    "Recurse": lambda m, n, d: m.own["Recurse"](m.keeping(n, d), 2),
    "MixUp": lambda m, n, d: m.own["MixUp"](m.layer(n, d)),
}


def net_of(seed: int, page: dict[str, Any]) -> fn.Layer:
    """A network two or three combinators deep; consecutive seeds begin with consecutive combinators."""
    maker = Maker(seed, page)
    outer = [*COMBINATORS][seed % len(COMBINATORS)]
    return maker.serial(COMBINATORS[outer](maker, WIDTH, 1 + (seed % 3 == 0)), fn.Dense(2))


@pytest.fixture(scope="module")
def nets(page: dict[str, Any]) -> list[fn.Layer]:
    return [net_of(seed, page) for seed in SEEDS]


def by_functions(seed: int, page: dict[str, Any]) -> fn.Layer:
    """A random gate made of the page's bare functions, which has no JSON."""
    maker = Maker(seed, page)
    parts = {"value": maker.to(WIDTH, 3, 2), "gate": fn.serial(maker.to(WIDTH, 3, 1), fn.Sigmoid())}
    return fn.serial(fn.combinator(parts, page["wire"], page["apply"], page["vjp"]), fn.Dense(2))


def chain_of(seed: int, page: dict[str, Any]) -> tuple[fn.Layer, fn.Layer, fn.Layer]:
    """Three random layers of which each takes the output of the one before."""
    maker, layers, width = Maker(seed, page), [], WIDTH
    for depth in (2, 1, 1):
        layers.append(maker.layer(width, depth))
        (width,) = layers[-1].out_shape((width,))
    return layers[0], layers[1], layers[2]


def rows(seed: int) -> Any:
    return fn.Key(seed).fold("x").normal((ROWS, WIDTH), np.float32)


seeds = pytest.mark.parametrize("seed", SEEDS)


def test_every_combinator_is_tried(nets):
    library = {cls.__name__ for cls in CLASSES if cls.__module__.startswith("funcnet.combinators.")}
    assert {name for name in library if issubclass(getattr(fn, name), fn.Combinator)} | set(OWN) == set(COMBINATORS)
    times = Counter(type(layer).__name__ for net in nets for _, layer in walk(net))
    assert min(times[name] for name in COMBINATORS) >= 5, times


# ----- composition -------------------------------------------------------------------------------------------------


@seeds
def test_composition_is_associative_and_the_empty_network_its_identity(seed, page):
    a, b, c = chain_of(seed, page)
    assert (a >> b) >> c == a >> (b >> c)
    assert fn.serial() >> a == a >> fn.serial() == (a if type(a) is fn.Serial else fn.serial(a))
    assert fn.serial(fn.Remat(a), fn.Remat(b)) >> c == fn.Remat(a) >> (fn.Remat(b) >> c)


@seeds
def test_composition_is_that_of_functions(seed, page):
    """The params of the parts, under the names of the parts, are those of the whole."""
    a, b, _ = chain_of(seed, page)
    x, one = rows(seed), a.init(fn.Key(1), (WIDTH,))
    two = b.init(fn.Key(2), a.out_shape((WIDTH,)))
    whole = (fn.nest({"a": p, "b": q}) for p, q in zip(one, two, strict=True))
    in_turn = fn.predict(b, *two, fn.predict(a, *one, x))
    np.testing.assert_array_equal(fn.predict(fn.serial(a=a, b=b), *whole, x), in_turn)


# ----- specs -------------------------------------------------------------------------------------------------------


@seeds
def test_json_and_the_repr_hold_the_whole_spec(seed, nets, page):
    net = nets[seed]
    names = vars(initializers) | {name: getattr(fn, name) for name in dir(fn)} | {name: page[name] for name in OWN}
    filled = to_dict(net, fill=True)
    for copy in (fn.from_json(fn.to_json(net)), fn.from_json(filled), eval(repr(net), names)):
        assert copy == net
        assert hash(copy) == hash(net)
        assert fn.spec_hash(copy) == fn.spec_hash(net)
        assert to_dict(copy, fill=True) == filled


# ----- edits -------------------------------------------------------------------------------------------------------


def within(path: str, other: str) -> bool:
    """Whether a path is another one, or below it."""
    return not other or path == other or path.startswith(f"{other}/")


MADE = {"Bidirectional": ("forward", "backward"), "ReZero": ("alpha",)}
"""Layers that a combinator makes itself, which nobody replaces alone"""


def made_inside(net: fn.Layer) -> set[str]:
    """The paths of such layers."""
    return {join_path(path, name) for path, layer in walk(net) for name in MADE.get(type(layer).__name__, ())}


def check_edits(net: fn.Layer) -> None:
    """A layer put back is the same network, an edit undone is none, and an edit changes one place alone."""
    new, made, layers = fn.serial(fn.Dense(7), inside=fn.Tanh()), made_inside(net), fn.select(net)
    assert fn.replace(net, "*", lambda layer: layer) == net
    for path, layer in layers.items():
        assert fn.replace(net, path, layer) == net
        if path in made:
            with pytest.raises(fn.FuncnetError, match=r"is made by|expected RNN, LSTM or GRU"):
                fn.replace(net, path, new)
            continue
        edited = fn.replace(net, path, new)
        found = fn.select(edited)
        assert found[path] == new != layer
        assert fn.replace(edited, path, layer) == net
        assert [at for at in found if not within(at, path)] == [at for at in layers if not within(at, path)]
        assert all(found[at] == layers[at] for at in layers if not within(at, path) and not within(path, at))


@seeds
def test_an_edit_undone_is_no_edit(seed, nets):
    check_edits(nets[seed])


@seeds
def test_a_wrapped_layer_is_replaced_by_its_kind(seed, nets):
    """A wrapper and its inner layer share a path."""
    net = nets[seed]
    outer, made, at = fn.select(net), made_inside(net), Counter((path, type(layer)) for path, layer in walk(net))
    for path, layer in walk(net):
        if path in made or layer == outer[path] or at[path, type(layer)] > 1:
            continue
        edited = fn.replace(net, path, fn.Identity(), kind=type(layer))
        assert edited != net
        assert fn.replace(edited, path, layer, kind=fn.Identity) == net


# ----- what an edit does to params ---------------------------------------------------------------------------------

EDITS: dict[str, Callable[[fn.Layer], fn.Layer]] = {
    "appended": lambda net: net >> fn.Dense(3),
    "put first": lambda net: fn.LayerNorm() >> net,
    "nested": lambda net: fn.serial(net, fn.Tanh()),
    "wrapped": fn.Remat,
    "with a shortcut": lambda net: fn.Residual(net, projection=fn.Dense(2)),
}


def deepened(net: fn.Layer, most: int = 4) -> Iterator[tuple[str, fn.Layer]]:
    """The network with a Tanh after one leaf, for a few leaves that are free to change."""
    fixed = [path for path, layer in walk(net) if isinstance(layer, fn.Bidirectional | fn.Tied)]  # these name leaves
    fixed += made_inside(net)
    leaves = fn.select(net, kind=(fn.Dense, fn.LayerNorm, fn.BatchNorm, fn.PRelu))
    free = [path for path in leaves if not any(within(path, other) for other in fixed)]
    for path in free[:: max(1, -(-len(free) // most))]:
        yield path, fn.replace(net, path, fn.serial(leaves[path], fn.Tanh()), kind=type(leaves[path]))


def check_there_and_back(net: fn.Layer, values: Any, edited: fn.Layer, fresh: Any) -> None:
    """An edited network takes every leaf of params and state, and gives it back."""
    for old, new in zip(values, fresh, strict=True):
        there = fn.transfer(old, tree.zeros_like(new), nets=(net, edited))
        assert there.unused == []
        back = fn.transfer(there.values, tree.zeros_like(old), nets=(edited, net))
        assert tree.equal(back.values, old)


def check_params(net: fn.Layer) -> None:
    """Params survive an edit and its undoing; with the same key other weights start as they did before."""
    values = net.init(fn.Key(0), (WIDTH,))
    for edit in EDITS.values():
        edited = edit(net)
        check_there_and_back(net, values, edited, edited.init(fn.Key(0), (WIDTH,)))
    for path, edited in deepened(net):
        fresh = edited.init(fn.Key(0), (WIDTH,))
        check_there_and_back(net, values, edited, fresh)
        for old, new in zip(map(tree.flatten, values), map(tree.flatten, fresh), strict=True):
            assert all(np.array_equal(old[at], new[at]) for at in old if not within(at, path))


@seeds
def test_params_survive_an_edit_and_its_undoing(seed, nets):
    check_params(nets[seed])


def check_no_difference(net: fn.Layer) -> None:
    params = [path for path, leaf in tree.flatten(net.leaves((WIDTH,))).items() if leaf.kind == "param"]
    assert fn.diff(net, net, (WIDTH,)) == ([], params, {}, {}, {}, {})


def check_mirrored(a: fn.Layer, b: fn.Layer, in_shape: Any = (WIDTH,)) -> None:
    """One difference is the other with its sides exchanged."""
    there, back = fn.diff(a, b, in_shape), fn.diff(b, a, in_shape)
    other = {"added": "removed", "removed": "added", "changed": "changed"}
    assert Counter((change.what, repr(change.old), repr(change.new)) for change in there.changes) == Counter(
        (other[change.what], repr(change.new), repr(change.old)) for change in back.changes
    )
    origin = {path: there.moved.get(path, path) for path in (*there.survive, *there.reshaped)}
    assert {was: path for path, was in there.moved.items()} == back.moved
    assert {origin[path] for path in there.survive} == set(back.survive)
    assert {origin[path]: shapes[::-1] for path, shapes in there.reshaped.items()} == back.reshaped
    assert (there.appear, there.vanish) == (back.vanish, back.appear)


def rearranged(net: fn.Layer, chance: random.Random) -> fn.Layer:
    """The network with the layers of one Serial in another order, one of them twice, or one left out."""
    made = made_inside(net)
    inner = [(path, layer) for path, layer in walk(net) if type(layer) is fn.Serial and path not in made]
    path, serial = chance.choice(inner)
    layers = [layer for _, layer in serial.layers]
    place = chance.randrange(len(layers))
    changed = (layers[::-1], [*layers[:place], *layers[place + 1 :]], [*layers, layers[place]])
    return fn.replace(net, path, fn.serial(*chance.choice(changed)), kind=fn.Serial)


@seeds
def test_a_difference_has_two_sides(seed, nets):
    net, chance = nets[seed], random.Random(seed)
    check_no_difference(net)
    check_mirrored(net, nets[seed - 1])
    for edit in EDITS.values():
        check_mirrored(net, edit(net))
    for _ in range(4):  # layers that may no longer fit, so that specs alone are compared
        check_mirrored(net, rearranged(net, chance), None)


# ----- training ----------------------------------------------------------------------------------------------------


def check_compiled(net: fn.Layer, seed: int) -> None:
    """Two compiled steps give the bits of the plain ones."""
    batch = rows(seed), fn.Key(seed).fold("y").normal((ROWS, 2), np.float32)
    ts = fn.train_state(net, ADAM, fn.Key(seed), (WIDTH,))
    compiled, plain = (fn.train_step(net, MSE, ADAM, compile=way) for way in (True, False))
    for _ in range(2):
        one = compiled(ts, batch)
        assert one == plain(ts, batch)
        ts = one[0]


@seeds
def test_a_compiled_step_gives_the_bits_of_the_plain_one(seed, nets):
    check_compiled(nets[seed], seed)


@pytest.mark.parametrize("seed", SEEDS[:3])
def test_a_combinator_of_bare_functions_obeys_too(seed, page):
    net = by_functions(seed, page)
    check_edits(net)
    check_params(net)
    check_no_difference(net)
    check_mirrored(net, by_functions(seed + 1, page))
    check_compiled(net, seed)


# ----- optimizers --------------------------------------------------------------------------------------------------

SMALL = fn.serial(fn.Dense(3), fn.BatchNorm(), fn.Tanh(), fn.Dense(2))
BATCH = rows(0), fn.Key(1).normal((ROWS, 2), np.float32)
RULES = {trained.rule: tag for tag, trained in reversed(TRAINED.items())}
"""A rule for every class of optimizers; chains have several"""


@cache
def step_of(opt: fn.optim.Optimizer, compile: bool) -> Any:
    return fn.train_step(SMALL, MSE, opt, compile=compile)


@pytest.mark.parametrize("first", RULES, ids=RULES.values())
def test_any_optimizer_takes_over_from_any(first):
    ts, _ = step_of(first, True)(fn.train_state(SMALL, first, fn.Key(0), (WIDTH,)), BATCH)
    for then in RULES:
        taken = fn.swap(ts, then)
        assert taken.params is ts.params
        assert taken.state is ts.state
        assert (taken.key, taken.step) == (ts.key, 1)
        assert fn.swap(ts, then, keep_step=False).step == 0
        after, metrics = step_of(then, True)(taken, BATCH)
        assert (after, metrics) == step_of(then, False)(taken, BATCH)
        assert after.step == 2
        assert not tree.equal(after.params, ts.params)


# ----- the same in JAX ---------------------------------------------------------------------------------------------

JAX = """
import sys
from pathlib import Path

import jax, jax.numpy as jnp, numpy as np, optax
from funcnet import tree
from tests.pages import blocks, python_blocks

page, ours = Path(sys.argv[1]), {"__name__": "guide_algebra"}
for block in python_blocks(page):
    if block.heading != "Combinators of your own":
        block.run(ours)
x, y = ours["x"], ours["y"]
params, _ = ours["net"].init(ours["fn"].Key(0), (4,))
theirs = {"jax": jax, "jnp": jnp, "optax": optax, "params": params, "x": x, "y": y}
for block in blocks(page, "text"):
    block.run(theirs)

accumulated = tree.map(lambda p, g: p - 0.1 * g, params, ours["whole"])
for a, b in (
    (ours["sam"](params, x, y), theirs["sam"](params, x, y)),
    (ours["maml"](params, x, y), theirs["maml"](params, x, y)),
    (accumulated, theirs["params"]),
):
    for path, leaf in tree.flatten(a).items():
        np.testing.assert_allclose(leaf, tree.flatten(b)[path], rtol=2e-5, atol=2e-6)
"""


@pytest.mark.skipif(importlib.util.find_spec("optax") is None, reason="optax is an extra of the benchmarks")
def test_the_lines_in_jax_compute_the_same():
    """In a process, since JAX's threads do not go with the forks of other tests."""
    done = subprocess.run(
        [sys.executable, "-c", JAX, str(PAGE)], cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
