"""Layers found and replaced, params carried over, specs compared."""

import numpy as np
import pytest

import funcnet as fn
from funcnet import tree
from funcnet.cli import main
from funcnet.spec.fields import frozen

NET = fn.serial(
    stem=fn.Dense(4),
    act=fn.Relu(),
    body=fn.Residual(fn.serial(fn.Dense(4), fn.Dropout(0.1), fn.Dense(4)), projection=fn.Dense(4)),
    fork=fn.branch(left=fn.Tanh(), right=fn.serial(fn.Dropout(0.2))),
    join=fn.Concat(),
    graph=fn.Graph("x", {"a": (fn.Dense(3), "x"), "b": (fn.Tanh(), "a")}, "b"),
    head=fn.Dense(2),
)


@pytest.mark.parametrize(
    ("asked", "paths"),
    [
        ({"pattern": "stem"}, ["stem"]),
        ({"pattern": "body/*"}, ["body/dense_0", "body/dropout_0", "body/dense_1", "body/projection"]),
        ({"kind": fn.Dropout}, ["body/dropout_0", "fork/right/dropout_0"]),
        ({"pattern": "f*", "kind": (fn.Tanh, fn.Dropout)}, ["fork/left", "fork/right/dropout_0"]),
        ({"pattern": "graph/?"}, ["graph/a", "graph/b"]),
        ({"kind": fn.BatchNorm}, []),
    ],
)
def test_select(asked, paths):
    found = fn.select(NET, **asked)
    assert list(found) == paths
    assert all(isinstance(layer, asked.get("kind", fn.Layer)) for layer in found.values())


def test_a_wrapper_and_what_it_wraps_share_a_path():
    net = fn.serial(a=fn.Remat(fn.Dense(2)))
    assert fn.select(net, "a") == {"a": fn.Remat(fn.Dense(2))}
    assert fn.select(net, "a", kind=fn.Dense) == {"a": fn.Dense(2)}
    assert fn.replace(net, "a", fn.Dense(5), kind=fn.Dense) == fn.serial(a=fn.Remat(fn.Dense(5)))
    assert fn.replace(net, "a", fn.Dense(5)) == fn.serial(a=fn.Dense(5))


@pytest.mark.parametrize(
    ("pattern", "at"),
    [
        ("head", ["head"]),
        ("body/dense_1", ["body/dense_1"]),
        ("body/projection", ["body/projection"]),
        ("graph/a", ["graph/a"]),
        ("fork/left", ["fork/left"]),
        ("*/dropout_0", ["body/dropout_0", "fork/right/dropout_0"]),
    ],
)
def test_replace_leaves_everything_else(pattern, at):
    new = fn.replace(NET, pattern, fn.Softmax())
    before, after = fn.select(NET), fn.select(new)
    assert list(before) == list(after)
    changed = [path for path in before if before[path] != after[path] and not before[path].children]
    assert changed == at
    assert all(after[path] == fn.Softmax() for path in at)


def test_replace_keeps_names_and_starting_values():
    new = fn.replace(NET, "head", fn.Dense(7))
    old_params, new_params = NET.init(fn.Key(3), (5,))[0], new.init(fn.Key(3), (5,))[0]
    old, found = tree.flatten(old_params), tree.flatten(new_params)
    assert list(old) == list(found)
    assert found["head/weight"].shape == (3, 7)
    assert all(np.array_equal(old[path], found[path]) for path in old if not path.startswith("head"))


def test_equal_layers_at_different_paths_are_different():
    net = fn.serial(a=fn.Dense(3), b=fn.Dense(3))
    assert fn.replace(net, "b", fn.Dense(4)) == fn.serial(a=fn.Dense(3), b=fn.Dense(4))


def test_replace_by_a_function():
    halved = fn.replace(NET, "*", lambda old: fn.Dropout(old.rate / 2), kind=fn.Dropout)
    assert [layer.rate for layer in fn.select(halved, kind=fn.Dropout).values()] == [0.05, 0.1]


def test_a_combinator_that_makes_its_children():
    net = fn.serial(a=fn.Bidirectional(fn.GRU(2)), head=fn.Dense(2))
    assert fn.replace(net, "head", fn.Dense(3)) == fn.serial(a=fn.Bidirectional(fn.GRU(2)), head=fn.Dense(3))
    wider = fn.replace(net, "a/*", lambda old: fn.GRU(3, reverse=old.reverse))
    assert wider == fn.serial(a=fn.Bidirectional(fn.GRU(3)), head=fn.Dense(2))


@fn.register("test.mine")
@frozen
class Mine(fn.Layer):
    """Somebody's combinator, whose children are called what he likes."""

    layers: tuple[fn.Layer, ...]
    last: fn.Layer

    @property
    def children(self):
        return {f"step_{i}": layer for i, layer in enumerate(self.layers)} | {"end": self.last}


@pytest.mark.parametrize(
    ("pattern", "whole"),
    [
        ("m/step_0", lambda new, old: Mine((new, old), old)),
        ("m/step_1", lambda new, old: Mine((old, new), old)),
        ("m/end", lambda new, old: Mine((old, old), new)),
        ("m/*", lambda new, old: Mine((new, new), new)),
    ],
)
def test_replace_in_a_combinator_of_ones_own(pattern, whole):
    old, new = fn.Dense(2), fn.Tanh()
    assert fn.replace(fn.serial(m=Mine((old, old), old)), pattern, new) == fn.serial(m=whole(new, old))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: fn.select(NET, fn.Dropout),
            "expected a pattern of paths, such as 'encoder/*', got the class Dropout",
        ),
        (
            lambda: fn.select(NET, kind="dropout"),
            "expected a class of layers, such as kind=fn.Dropout, got 'dropout'",
        ),
        (
            lambda: fn.transfer(fn.Tanh(), {}),
            "expected params, a dict of arrays, such as net.init(fn.Key(0), in_shape)[0], got Tanh()",
        ),
        (
            lambda: fn.transfer({}, {"body": {"bias": np.zeros(2)}}, {"bodi/*": "a/*"}),
            "'bodi/*' matches none of: body/bias",
        ),
        (
            lambda: fn.select(fn.serial(stem=fn.Dense(2), head=fn.Dense(3)), "haed"),
            "'haed' matches none of: stem, head, did you mean 'head'?",
        ),
        (
            lambda: fn.replace(NET, "head", 7),
            "expected a layer, or a function of the old one, such as fn.Dense(7), got 7",
        ),
        (
            lambda: fn.replace(NET, "head", fn.Dense),
            "expected a layer, or a function of the old one, such as fn.Dense(7), got the class Dense",
        ),
        (
            lambda: fn.replace(NET, "head", lambda old: None),
            "expected a function that gives a layer, such as lambda old: fn.Tanh(), got None",
        ),
        (lambda: fn.replace(NET, "*", fn.Tanh(), kind=fn.LSTM), "'*' matches no layer of the kind asked for"),
        (
            lambda: fn.replace(fn.serial(a=fn.Bidirectional(fn.GRU(2))), "a/forward", fn.GRU(3)),
            "'a/backward' is made by Bidirectional itself; replace 'a' instead",
        ),
        (
            lambda: fn.transfer({}, {}, {"a/*/*": "b/*"}),
            "expected one * in each of 'a/*/*' and 'b/*', or none",
        ),
    ],
)
def test_mistakes(call, message):
    with pytest.raises(fn.FuncnetError) as caught:
        call()
    assert str(caught.value) == message


def test_transfer():
    small, large = fn.serial(body=fn.Dense(3), head=fn.Dense(2)), fn.serial(encoder=fn.Dense(3), head=fn.Dense(5))
    source, target = small.init(fn.Key(0), (4,))[0], large.init(fn.Key(1), (4,), np.float64)[0]
    found = fn.transfer(source, target, {"encoder/*": "body/*"})
    flat = tree.flatten(found.values)
    np.testing.assert_array_equal(flat["encoder/weight"], source["body"]["weight"].astype(np.float64))
    np.testing.assert_array_equal(flat["head/weight"], target["head"]["weight"])
    assert all(leaf.dtype == np.float64 and leaf.base is None for leaf in flat.values())
    assert not any(np.shares_memory(leaf, other) for leaf in flat.values() for other in tree.leaves((source, target)))
    assert str(found) == (
        "taken     encoder/weight  from body/weight\n"
        "taken     encoder/bias  from body/bias\n"
        "reshaped  head/weight  (3, 5), not (3, 2): left\n"
        "reshaped  head/bias  (5,), not (2,): left\n"
        "unused    head/weight\n"
        "unused    head/bias"
    )
    assert fn.transfer({}, target).missing == list(flat)


def test_transfer_takes_params_and_state_together():
    body = {"stem": fn.Dense(3), "norm": fn.BatchNorm()}
    old, new = fn.serial(**body, head=fn.Dense(2)), fn.serial(**body, head=fn.Dense(5))
    params, state = old.init(fn.Key(0), (4,))
    state = tree.map(lambda leaf: leaf + 7, state)
    found = fn.transfer((params, state), new.init(fn.Key(1), (4,)))
    assert tree.equal(found.values[1], state)
    assert tree.equal(found.values[0]["stem"], params["stem"])
    assert list(found.reshaped) == ["head/weight", "head/bias"]
    back = fn.transfer(found.values, (params, state)).values
    assert tree.equal(back, (params, state))
    with pytest.raises(fn.FuncnetError, match=r"expected the pair \(params, state\), such as net.init"):
        fn.transfer(params, (params, state))


def test_diff_of_networks():
    a = fn.serial(stem=fn.Dense(4), act=fn.Relu(), head=fn.Dense(2))
    b = fn.serial(stem=fn.Dense(4), act=fn.Tanh(), drop=fn.Dropout(0.5), head=fn.Dense(3, use_bias=False))
    assert str(fn.diff(a, b, (5,))) == (
        "~ .layers[act]: relu() -> tanh()\n"
        "~ .layers[head].units: 2 -> 3\n"
        "~ .layers[head].use_bias: True -> False\n"
        "+ .layers[drop]: dropout(rate=0.5)\n"
        "params: 2 of 4 survive\n"
        "~ head/weight: (4, 2) -> (4, 3)\n"
        "- head/bias: (2,)"
    )
    assert str(fn.diff(a, a, (5,))) == "no difference"
    assert not fn.diff(a, a)


def test_diff_of_other_specs():
    a, b = fn.optim.chain(fn.optim.SGD(0.1)), fn.optim.chain(fn.optim.ClipByGlobalNorm(1.0), fn.optim.Adam())
    assert [change.what for change in fn.diff(a, b).changes] == ["removed", "added", "added"]
    turned = fn.diff(fn.serial(a=fn.Relu(), b=fn.Tanh()), fn.serial(b=fn.Tanh(), a=fn.Relu()))
    assert str(turned) == "~ .layers: ['a', 'b'] -> ['b', 'a']"


def test_the_command(tmp_path, capsys):
    for name, units in (("a", 2), ("b", 3)):
        fn.save_spec(tmp_path / f"{name}.json", fn.serial(fn.Dense(units)))
    a, b = str(tmp_path / "a.json"), str(tmp_path / "b.json")
    assert main(["diff", a, b, "--input", "4"]) == 0
    assert capsys.readouterr().out == (
        "~ .layers[dense_0].units: 2 -> 3\nparams: 0 of 2 survive\n"
        "~ dense_0/weight: (4, 2) -> (4, 3)\n~ dense_0/bias: (2,) -> (3,)\n"
    )
    assert main(["diff", a, b, "--exit-code"]) == 1
    assert main(["diff", a, a, "--exit-code", "--json"]) == 0
    assert '"changes": []' in capsys.readouterr().out
    assert main(["diff", a, str(tmp_path / "c.json")]) == 1
    assert "c.json" in capsys.readouterr().err


# ----- which layer is which after an edit --------------------------------------------------------------------------

D, R = fn.Dense, fn.Relu
FIVE = fn.serial(D(8), R(), D(6), R(), D(3))
NAMED = fn.serial(D(8), R(), head=D(3))
EDITS = {
    "appended": (NAMED, NAMED >> fn.Softmax(), {}, ["dense_0", "head"]),
    "put first": (
        FIVE,
        fn.serial(D(4), *[layer for _, layer in FIVE.layers]),
        {"dense_1": "dense_0", "dense_2": "dense_1", "dense_3": "dense_2"},
        ["dense_1", "dense_2", "dense_3"],
    ),
    "put between": (
        FIVE,
        fn.serial(D(8), R(), D(7), R(), D(6), R(), D(3)),
        {"dense_2": "dense_1", "dense_3": "dense_2"},
        ["dense_0", "dense_3"],
    ),
    "taken out": (FIVE, fn.serial(D(8), R(), D(3)), {"dense_1": "dense_2"}, ["dense_0"]),
    "another activation": (
        FIVE,
        fn.serial(D(8), fn.Tanh(), D(6), R(), D(3)),
        {},
        ["dense_0", "dense_1", "dense_2"],
    ),
    "another width": (FIVE, fn.serial(D(9), R(), D(6), R(), D(3)), {}, ["dense_2"]),
    "nested": (
        NAMED,
        fn.serial(NAMED, fn.Softmax()),
        {"serial_0/dense_0": "dense_0", "serial_0/head": "head"},
        ["serial_0/dense_0", "serial_0/head"],
    ),
    "unnested": (
        fn.serial(NAMED, fn.Softmax()),
        NAMED,
        {"dense_0": "serial_0/dense_0", "head": "serial_0/head"},
        ["dense_0", "head"],
    ),
    "wrapped": (NAMED, fn.Residual(NAMED, projection=D(3)), {}, ["dense_0", "head"]),
    "in a part": (
        fn.serial(body=fn.serial(D(8), R()), head=D(3)),
        fn.serial(body=fn.serial(fn.BatchNorm(), D(8), R()), head=D(3)),
        {},
        ["body/dense_0", "head"],
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_diff_and_transfer_say_what_moved_and_take_it(name):
    old, new, moved, survive = EDITS[name]
    found = fn.diff(old, new, (4,))
    expected = {f"{path}/{leaf}": f"{was}/{leaf}" for path, was in moved.items() for leaf in ("weight", "bias")}
    assert found.moved == expected
    assert [path for path in found.survive if path.endswith("weight")] == [f"{path}/weight" for path in survive]
    source, target = old.init(fn.Key(0), (4,))[0], new.init(fn.Key(1), (4,))[0]
    done = fn.transfer(source, target, nets=(old, new))
    assert {path: was for path, was in done.taken.items() if path != was} == {
        path: was for path, was in expected.items() if path in found.survive
    }
    flat, given = fn.tree.flatten(done.values), fn.tree.flatten(source)
    for path in found.survive:
        np.testing.assert_array_equal(flat[path], given[expected.get(path, path)])
    assert set(done.taken) == set(found.survive)
    assert set(done.reshaped) == set(found.reshaped)
    assert set(done.missing) == set(found.appear)


def test_an_edit_back_and_forth_gives_the_params_back():
    longer = fn.serial(fn.LayerNorm(), *[layer for _, layer in FIVE.layers])
    params = FIVE.init(fn.Key(0), (4,))[0]
    there = fn.transfer(params, longer.init(fn.Key(1), (4,))[0], nets=(FIVE, longer)).values
    back = fn.transfer(there, FIVE.init(fn.Key(2), (4,))[0], nets=(longer, FIVE)).values
    assert fn.tree.equal(back, params)


@pytest.mark.parametrize(
    ("old", "new"),
    [((D(4), D(5)), (D(5), D(4))), ((D(4), fn.Tanh()), (fn.Tanh(), D(4))), ((D(4), R(), D(4)), (R(), D(4), R()))],
)
def test_the_same_layers_are_paired_in_both_directions(old, new):
    """Of two layers that changed places, either could be the one that stayed."""
    there, back = fn.diff(fn.serial(*old), fn.serial(*new), (4,)), fn.diff(fn.serial(*new), fn.serial(*old), (4,))
    assert {was: path for path, was in there.moved.items()} == back.moved
    assert there.appear == back.vanish
    turned = [(change.old, change.new) for change in there.changes]
    assert sorted(turned, key=repr) == sorted(((change.new, change.old) for change in back.changes), key=repr)


def test_chain_is_associative():
    a, b, c = fn.optim.ClipByGlobalNorm(1.0), fn.optim.L2(0.1), fn.optim.Adam(0.01)
    chain = fn.optim.chain
    assert chain(a, chain(b, c)) == chain(chain(a, b), c) == chain(a, b, c)
    assert chain(chain(a, b, c)) == chain(a, b, c)
    named = chain(a, last=c)
    assert list(chain(b, named).children) == ["l2_0", "clip_by_global_norm_0", "last"]
    assert list(chain(b, inner=chain(a, c)).children) == ["l2_0", "inner"]
