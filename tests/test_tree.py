"""Trees: structure, order, globs, and the whole text of every error."""

import importlib.util
import itertools
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest

import funcnet as fn
from funcnet import PathError, tree
from tests.cli import ROOT, environment


def params():
    """A network's params in miniature; every number is different."""
    return {
        "stem": {"weight": np.arange(6.0).reshape(2, 3), "bias": np.array([6.0, 7.0, 8.0])},
        "body": {"dense_0": {"weight": np.array([[9.0], [10.0], [11.0]]), "bias": np.array([12.0])}},
        "scale": np.array(13.0),
    }


PATHS = ["stem/weight", "stem/bias", "body/dense_0/weight", "body/dense_0/bias", "scale"]


def same(a, b):
    """Equal structure in equal order, equal leaves of equal dtype."""
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[name], b[name]) for name in a)
    if isinstance(a, tuple):
        return isinstance(b, tuple) and len(a) == len(b) and all(map(same, a, b))
    return np.array_equal(a, b) and np.asarray(a).dtype == np.asarray(b).dtype


def reordered(node):
    return {name: reordered(node[name]) for name in reversed(node)} if isinstance(node, dict) else node


def message(call):
    with pytest.raises(PathError) as caught:
        call()
    return str(caught.value)


# ----- map, leaves


def test_map_applies_leaf_by_leaf():
    assert same(tree.map(lambda leaf: leaf + 1, {"a": {"b": 1, "c": 2}, "d": 3}), {"a": {"b": 2, "c": 3}, "d": 4})
    assert same(tree.map(lambda a, b, c: a * b - c, {"a": 2}, {"a": 3}, {"a": 1}), {"a": 5})
    assert tree.map(lambda leaf: leaf, {}) == {}
    assert tree.map(lambda leaf: leaf + 1, 1) == 2


def test_map_goes_into_tuples():
    value = {"x": (1, (2, 3)), "y": ()}
    assert tree.map(lambda a, b: a + b, value, value) == {"x": (2, (4, 6)), "y": ()}
    assert tree.map(lambda leaf: [leaf], (1, {"a": 2})) == ([1], {"a": [2]})


def test_map_pairs_entries_by_name_in_the_first_order():
    assert list(tree.map(lambda a, b: a - b, {"b": 5, "a": 3}, {"a": 1, "b": 2}).items()) == [("b", 3), ("a", 2)]


def test_map_changes_nothing_it_is_given():
    before, kept = params(), params()
    tree.map(lambda leaf: leaf + 1, before)
    assert same(before, kept)


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        (
            {"a": 1, "b": 2},
            {"a": 1},
            "trees differ at 'the root': expected the entries ['a', 'b'], got ['a']; give trees of equal structure",
        ),
        (
            {"a": {"b": {"c": 1}}},
            {"a": {"b": {"d": 1}}},
            "trees differ at 'a/b': expected the entries ['c'], got ['d']; give trees of equal structure",
        ),
        (
            {"a": {"b": 1}},
            {"a": 1.5},
            "trees differ at 'a': expected the entries ['b'], got float; give trees of equal structure",
        ),
        ({"a": (1, 2)}, {"a": (1, 2, 3)}, "trees differ at 'a': expected a tuple of 2"),
        ((1, 2), 3, "trees differ at 'the root': expected a tuple of 2"),
    ],
)
def test_map_names_the_first_difference(first, second, text):
    assert message(lambda: tree.map(lambda a, b: a, first, second)) == text
    assert message(lambda: tree.map(lambda a, b, c: a, first, first, second)) == text


@pytest.mark.parametrize("other", [{"b": 2.0}, (1.0, 2.0)])
def test_map_refuses_a_subtree_where_the_first_tree_has_a_leaf(other):
    assert message(lambda: tree.map(np.add, {"a": 1.0}, {"a": other})).startswith("trees differ at 'a'")


def test_leaves_are_in_order_without_absent_ones():
    assert tree.leaves({"b": 1, "a": (2, None, {"c": 3}), "d": None}) == [1, 2, 3]
    assert tree.leaves(None) == []
    assert tree.leaves({}) == []
    assert tree.leaves(5) == [5]


# ----- flatten, unflatten


def test_flatten_keeps_the_order_of_the_tree():
    flat = tree.flatten(params())
    assert list(flat) == PATHS
    assert [np.ravel(leaf)[0] for leaf in flat.values()] == [0.0, 6.0, 9.0, 12.0, 13.0]
    assert list(tree.flatten(reordered(params()))) == PATHS[::-1]


def test_flatten_omits_subtrees_without_leaves():
    assert tree.flatten({"a": {}, "b": {"c": {}, "d": 1}}) == {"b/d": 1}


def test_unflatten_is_the_inverse_of_flatten():
    assert same(tree.unflatten(tree.flatten(params())), params())
    assert tree.unflatten({}) == {}
    assert tree.unflatten({"a/b/c": 1, "d": 2, "a/b/e": 3}) == {"a": {"b": {"c": 1, "e": 3}}, "d": 2}


@pytest.mark.parametrize(
    ("flat", "text"),
    [
        ({"a": 1, "a/b": 2}, "'a/b' runs through 'a', which is a leaf"),
        ({"x/a": 1, "x/a/b/c": 2}, "'x/a/b/c' runs through 'a', which is a leaf"),
        ({"a/b": 2, "a": 1}, "'a' is both a leaf and the beginning of other paths"),
    ],
)
def test_a_path_cannot_run_through_a_leaf(flat, text):
    assert message(lambda: tree.unflatten(flat)) == text


# ----- ravel


def test_ravel_orders_leaves_by_path():
    vector, _ = tree.ravel(params())
    assert vector.tolist() == [12, 9, 10, 11, 13, 6, 7, 8, 0, 1, 2, 3, 4, 5]


def test_ravel_does_not_depend_on_how_the_tree_was_built():
    for order in itertools.permutations(PATHS):
        flat = tree.flatten(params())
        built = tree.unflatten({path: flat[path] for path in order})
        vector, unravel = tree.ravel(built)
        np.testing.assert_array_equal(vector, tree.ravel(params()).vector)
        assert same(unravel(vector), built)


def test_unravel_takes_another_vector_of_the_length():
    vector, unravel = tree.ravel(params())
    doubled = unravel(2 * vector)
    assert same(doubled, tree.map(lambda leaf: 2 * leaf, params()))


def test_ravel_of_nothing():
    vector, unravel = tree.ravel({})
    assert vector.shape == (0,)
    assert unravel(vector) == {}


def test_ravel_of_empty_leaves():
    vector, unravel = tree.ravel({"a": np.zeros((2, 0)), "b": np.array(3.0)})
    assert vector.tolist() == [3.0]
    assert same(unravel(vector), {"a": np.zeros((2, 0)), "b": np.array(3.0)})


def test_ravel_keeps_the_dtype():
    half = tree.map(lambda leaf: leaf.astype(np.float32), params())
    vector, unravel = tree.ravel(half)
    assert vector.dtype == np.float32
    assert same(unravel(vector), half)


@pytest.mark.parametrize("shape", [(13,), (15,), (14, 1), ()])
def test_unravel_refuses_another_length(shape):
    assert message(lambda: tree.ravel(params()).unravel(np.zeros(shape))) == (
        f"expected a vector of 14 numbers, got shape {shape}"
    )


def test_unravel_of_nothing_refuses_numbers():
    assert message(lambda: tree.ravel({}).unravel(np.zeros(1))) == "expected a vector of 0 numbers, got shape (1,)"


# ----- select


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*/bias", ["stem/bias", "body/dense_0/bias"]),
        ("*", PATHS),
        ("stem/*", ["stem/weight", "stem/bias"]),
        ("body*", ["body/dense_0/weight", "body/dense_0/bias"]),
        ("*e*", ["stem/weight", "stem/bias", "body/dense_0/weight", "body/dense_0/bias", "scale"]),
        ("scale", ["scale"]),
        ("*/dense_?/bias", ["body/dense_0/bias"]),
        ("body/dense_[01]/*", ["body/dense_0/weight", "body/dense_0/bias"]),
        ("stem/[bw]*", ["stem/weight", "stem/bias"]),
        ("*scale", ["scale"]),
    ],
)
def test_globs_match_whole_paths_and_cross_slashes(pattern, expected):
    flat = tree.flatten(params())
    assert same(tree.select(params(), pattern), tree.unflatten({path: flat[path] for path in expected}))


def test_selected_leaves_are_the_leaves_themselves():
    whole = params()
    assert tree.select(whole, "stem/bias")["stem"]["bias"] is whole["stem"]["bias"]


ALL = "stem/weight, stem/bias, body/dense_0/weight, body/dense_0/bias, scale"


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("stem/wieght", f"'stem/wieght' matches none of: {ALL}, did you mean 'stem/weight'?"),
        ("bias", f"'bias' matches none of: {ALL}, did you mean 'stem/bias'?"),  # part of a path, not a whole one
        ("stem", f"'stem' matches none of: {ALL}, did you mean 'stem/bias'?"),
        ("scal", f"'scal' matches none of: {ALL}, did you mean 'scale'?"),
        ("scale/*", f"'scale/*' matches none of: {ALL}, did you mean 'scale'?"),
        ("", f"'' matches none of: {ALL}"),
        ("dense_0?", f"'dense_0?' matches none of: {ALL}"),
        ("s.ale", f"'s.ale' matches none of: {ALL}, did you mean 'scale'?"),  # a dot is a dot
        ("(scale)", f"'(scale)' matches none of: {ALL}, did you mean 'scale'?"),
        ("scale|stem", f"'scale|stem' matches none of: {ALL}, did you mean 'scale'?"),
    ],
)
def test_a_glob_that_matches_nothing_is_an_error(pattern, text):
    assert message(lambda: tree.select(params(), pattern)) == text
    assert message(lambda: tree.at(params(), pattern)) == text


@pytest.mark.parametrize("pattern", ["[z-a]", "[\\]", "scale[", "[]", "]", "[[a]", "*[9-0]*", "\\", "{scale"])
def test_no_pattern_raises_anything_but_a_path_error(pattern):
    text = message(lambda: tree.select(params(), pattern))
    assert text.startswith(f"{pattern!r} matches none of: {ALL}")


# ----- at


def test_at_reads_a_leaf_or_a_tree_of_them():
    whole = params()
    assert tree.at(whole, "stem/weight").get() is whole["stem"]["weight"]
    assert tree.at(whole, "scale*").get() is whole["scale"]
    assert same(tree.at(whole, "stem/*").get(), {"stem": params()["stem"]})


def test_at_sets_one_leaf_in_a_new_tree():
    whole = params()
    changed = tree.at(whole, "stem/bias").set([1, 2, 3])
    expected = params()
    expected["stem"]["bias"] = np.array([1.0, 2.0, 3.0])
    assert same(changed, expected)
    assert same(whole, params())
    assert changed["stem"]["weight"] is whole["stem"]["weight"]


def test_at_sets_every_leaf_of_a_pattern():
    nets = {"a": {"bias": np.zeros(2, np.float32)}, "b": {"bias": np.ones(2, np.float32), "w": np.ones(1)}}
    changed = tree.at(nets, "*/bias").set(np.array([3.0, 4.0]))
    expected = np.array([3.0, 4.0], np.float32)
    assert same(changed, {"a": {"bias": expected}, "b": {"bias": expected, "w": np.ones(1)}})


def test_at_applies_a_function():
    changed = tree.at(params(), "*/weight").apply(lambda leaf: -leaf)
    expected = params()
    expected["stem"]["weight"] = -expected["stem"]["weight"]
    expected["body"]["dense_0"]["weight"] = -expected["body"]["dense_0"]["weight"]
    assert same(changed, expected)


@pytest.mark.parametrize("value", [[1.0, 2.0], np.zeros((2, 1)), np.zeros((1, 3)), np.zeros(4)])
def test_a_value_of_another_shape_is_refused(value):
    assert message(lambda: tree.at(params(), "stem/bias").set(value)) == (
        f"expected a value of shape (3,), got {np.shape(value)}"
    )


# ----- add, zeros_like


def test_ordered_takes_the_order_of_keys_and_nothing_else():
    like = {"b": {"y": 0, "x": 0}, "a": (0, {"q": 0, "p": 0})}
    tree_ = {"a": (1, {"p": 2, "q": 3}), "b": {"x": 4, "y": 5}}
    ordered = tree.ordered(like, tree_)
    assert ordered == tree_
    assert list(tree.flatten({"b": ordered["b"], "a": ordered["a"][1]})) == ["b/y", "b/x", "a/q", "a/p"]
    assert list(ordered) == ["b", "a"]
    assert list(tree_) == ["a", "b"]


def test_ordered_leaves_a_dict_of_other_keys_as_it_is():
    assert list(tree.ordered({"a": 0, "b": 0}, {"c": 1, "b": 2, "a": 3})) == ["c", "b", "a"]
    assert tree.ordered({"a": {"b": 0}}, {"a": 1}) == {"a": 1}
    assert tree.ordered((0, 0), (1,)) == (1,)


def test_leaves_by_path_do_not_depend_on_how_the_tree_was_built():
    assert tree.by_path({"b": {"y": 1, "x": 2}, "a": 3}) == tree.by_path({"a": 3, "b": {"x": 2, "y": 1}}) == [3, 2, 1]
    assert tree.by_path({"a": {"z": 1}, "a_b": 2}) == [1, 2]


def test_add_sums_values_of_one_structure():
    a = {"x": (np.array([1.0]), np.array([2.0])), "y": np.array(3.0)}
    assert same(tree.add(a, a), {"x": (np.array([2.0]), np.array([4.0])), "y": np.float64(6.0)})


def test_absent_cotangents_count_as_zero():
    one = np.array([1.0])
    assert tree.add(None, None) is None
    assert tree.add(one, None) is one
    assert tree.add(None, one) is one
    assert same(tree.add((one, None, None), (None, one, None)), (one, one, None)) is True
    assert tree.add({"a": None, "b": 1.0}, {"a": 2.0, "b": None}) == {"a": 2.0, "b": 1.0}


def test_add_never_writes_to_what_it_is_given():
    a, b = np.array([1.0]), np.array([2.0])
    a.flags.writeable = b.flags.writeable = False
    assert tree.add(a, b).tolist() == [3.0]


def test_zeros_like_keeps_structure_shapes_and_dtypes():
    zeros = tree.zeros_like({"a": np.ones((2, 3), np.float32), "b": (np.ones(1), np.ones((), np.int64))})
    assert same(zeros, {"a": np.zeros((2, 3), np.float32), "b": (np.zeros(1), np.zeros((), np.int64))})


def test_trees_work_on_the_params_of_a_network():
    net = fn.serial(fn.Dense(3), fn.Relu(), head=fn.serial(fn.Dense(2)))
    made, _ = net.init(fn.Key(0), (4,))
    assert list(tree.flatten(made)) == ["dense_0/weight", "dense_0/bias", "head/dense_0/weight", "head/dense_0/bias"]
    assert same(tree.ravel(made).unravel(tree.ravel(made).vector), made)


def test_a_value_is_broadcast_to_the_leaf():
    changed = tree.at(params(), "*/bias").set(0.0)
    assert [leaf.tolist() for leaf in tree.leaves(tree.select(changed, "*/bias"))] == [[0.0, 0.0, 0.0], [0.0]]
    assert tree.at(params(), "body/dense_0/weight").set([1]).__class__ is dict
    assert tree.at(params(), "stem/weight").set([1, 2, 3])["stem"]["weight"].tolist() == [[1, 2, 3], [1, 2, 3]]
    new = tree.at(params(), "stem/bias").set(np.float32(1.0))["stem"]["bias"]
    assert (new.dtype, new.flags.writeable) == (np.float64, True)


# ----- what other libraries' trees have ----------------------------------------------------------------------------


class Pair(NamedTuple):
    first: object
    second: object


def test_named_tuples_stay_what_they_are():
    value = {"a": Pair(np.array(1.0), (np.array(2.0), None))}
    doubled = tree.map(lambda leaf: None if leaf is None else 2 * leaf, value)
    assert type(doubled["a"]) is Pair
    assert (doubled["a"].first, doubled["a"].second[0]) == (2.0, 4.0)
    assert tree.map_with_path(lambda path, leaf: path, value) == {"a": Pair("a/first", ("a/second/0", "a/second/1"))}


def test_is_leaf():
    value = {"a": (1, 2), "b": {"c": (3, 4)}}
    pair = lambda node: isinstance(node, tuple)  # noqa: E731
    assert tree.map(sum, value, is_leaf=pair) == {"a": 3, "b": {"c": 7}}
    assert tree.map(lambda a, b: (a, b), value, value, is_leaf=pair)["a"] == ((1, 2), (1, 2))
    assert tree.leaves(value, is_leaf=pair) == [(1, 2), (3, 4)]
    assert tree.map_with_path(lambda path, leaf: path, value, is_leaf=pair) == {"a": "a", "b": {"c": "b/c"}}


def test_empty_dicts_survive_where_they_are_asked_for():
    value = {"a": {}, "b": {"c": {}, "d": np.array(1.0)}}
    assert list(tree.flatten(value)) == ["b/d"]
    assert list(tree.flatten(value, keep_empty=True)) == ["a", "b/c", "b/d"]
    assert same(tree.unflatten(tree.flatten(value, keep_empty=True)), value)


def test_unravel_keeps_several_dtypes():
    value = {"n": np.array([1, 2]), "w": np.array([0.5], np.float32), "b": np.array([True])}
    vector, unravel = tree.ravel(value)
    assert vector.dtype == np.float64
    assert same(unravel(vector), value)
    one = {"w": np.array([0.5], np.float32)}
    assert tree.ravel(one).unravel(np.array([0.25]))["w"].dtype == np.float64  # such as a vector of SciPy's


def test_reduce_all_norm():
    value = {"a": np.array([3.0, 0.0]), "b": (np.array([[4.0]]), None)}
    assert tree.reduce(lambda total, leaf: total + leaf.sum(), value, 1.0) == 8.0
    assert tree.norm(value) == 5.0
    assert tree.norm(tree.map(lambda leaf: None if leaf is None else leaf * 1e200, value)) == pytest.approx(5e200)
    assert tree.norm({}) == tree.norm({"a": np.zeros(3)}) == 0.0
    assert np.isnan(tree.norm({"a": np.array([np.nan])}))
    assert np.isinf(tree.norm({"a": np.array([np.inf, 1.0])}))
    assert not tree.all(value)
    assert tree.all({"a": np.array([True]), "b": 1})
    assert tree.all({})


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ({"a": np.array([1.0, np.nan]), "b": (np.array(2),)}, True),
        ({"b": (np.array(2),), "a": np.array([1.0, np.nan])}, True),
        ({"a": np.array([1.0, np.nan], np.float32), "b": (np.array(2),)}, False),
        ({"a": np.array([1.0, 0.0]), "b": (np.array(2),)}, False),
        ({"a": np.array([[1.0, np.nan]]), "b": (np.array(2),)}, False),
        ({"a": np.array([1.0, np.nan]), "b": np.array([2])}, False),
        ({"a": np.array([1.0, np.nan])}, False),
        (3, False),
    ],
)
def test_equal(other, expected):
    assert tree.equal({"a": np.array([1.0, np.nan]), "b": (np.array(2),)}, other) is expected


def test_stack_and_transpose_have_inverses():
    trees = [{"a": np.arange(3.0) + i, "b": (np.array(i),)} for i in range(4)]
    stacked = tree.stack(trees)
    assert stacked["a"].shape == (4, 3)
    assert all(same(one, other) for one, other in zip(tree.unstack(stacked), trees, strict=True))
    by_name = {"mean": trees[0], "std": trees[1]}
    turned = tree.transpose(by_name)
    assert list(turned["a"]) == ["mean", "std"]
    assert same(tree.transpose(tuple(trees))["a"], tuple(one["a"] for one in trees))
    back = tree.map(lambda leaf: leaf["std"], turned, is_leaf=lambda node: isinstance(node, dict) and "std" in node)
    assert same(back, trees[1])


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: tree.stack([]), "expected one tree or more to stack, got none"),
        (lambda: tree.unstack({}), "expected leaves with one leading axis of one length, got no leaves"),
        (
            lambda: tree.unstack({"a": np.zeros(2), "b": np.zeros(3)}),
            "expected leaves with one leading axis of one length, got [(2,), (3,)]",
        ),
        (lambda: tree.unstack({"a": np.array(1.0)}), "expected leaves with one leading axis of one length, got [()]"),
        (lambda: tree.transpose({}), "expected a dict or tuple of trees, got {}"),
        (
            lambda: tree.at({"n": np.array([1, 2])}, "n").set(1.5),
            "expected a value that int64 holds, got float64; round it first",
        ),
    ],
)
def test_trees_that_do_not_fit(call, text):
    assert message(call) == text


def test_the_norm_of_other_numbers():
    assert tree.norm({"a": np.array([3.0 + 4.0j]), "b": np.array([12])}) == pytest.approx(13.0)
    assert tree.norm({"a": np.ones(4, np.float32)}).dtype == np.float32


def test_a_train_state_is_a_tree_and_compares_by_value():
    net, opt = fn.serial(fn.Dense(3), fn.BatchNorm()), fn.optim.Adam(0.1)
    ts, again = (fn.train_state(net, opt, fn.Key(0), (2,)) for _ in range(2))
    assert ts == again
    assert ts != fn.train_state(net, opt, fn.Key(1), (2,))
    assert ts != fn.TrainState(ts.params, ts.state, ts.opt_state, ts.key, 1)
    assert ts != fn.TrainState(tree.map(np.float64, ts.params), ts.state, ts.opt_state, ts.key)
    assert ts != 3
    wide = tree.map(lambda leaf: leaf.astype(np.float64) if leaf.dtype.kind == "f" else leaf, ts)
    assert {leaf.dtype for leaf in tree.leaves(wide)} == {np.dtype(np.float64), np.dtype(np.int64)}
    assert (wide.key, wide.step) == (ts.key, ts.step)
    assert len(tree.leaves(ts)) == len(tree.leaves((ts.params, ts.state, ts.opt_state)))
    assert tree.equal(tree.map(lambda a, b: a - b, ts, again), tree.zeros_like(ts))


OTHERS = """
import importlib, sys
from funcnet import tree
from tests.test_tree import params

doubled = importlib.import_module(sys.argv[1]).tree_map(lambda leaf: 2 * leaf, params())
assert tree.equal(doubled, tree.map(lambda leaf: 2 * leaf, params()))
"""


@pytest.mark.parametrize("module", ["jax.tree_util", "optree", "torch.utils._pytree"])
def test_a_tree_is_one_of_other_libraries_too(module):
    """Plain dicts need no registration there. In a process, since JAX's threads do not go with forks."""
    library = module.partition(".")[0]
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed, and not needed for anything else")
    command = [sys.executable, "-c", OTHERS, module]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
