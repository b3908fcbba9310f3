"""Repeat, Remat, Tied, Frozen, WeightNorm, Capture, Multiply and Multi: what they promise beyond the laws."""

import numpy as np
import pytest

import funcnet as fn
from funcnet import losses, optim, tree
from tests.table import same

X = fn.Key(1).normal((6, 3))
TRAIN = fn.Context(True, fn.Key(9))
FROZEN = fn.serial(a=fn.Frozen(fn.Dense(3)), b=fn.Dense(3))
LANGUAGE = fn.serial(embed=fn.Embedding(5, 3), head=fn.Dense(5))


def both(net, params, state, x, ctx, dy=None):
    """Output, new state, gradients and cotangent."""
    y, new, residuals = net.apply(params, state, x, ctx)
    return (y, new, *net.vjp(params, residuals, np.ones_like(y) if dy is None else dy))


# ----- Repeat --------------------------------------------------------------------------------------------------


def test_copies_in_sequence():
    layer = fn.serial(fn.Dense(3), fn.Tanh())
    net = fn.Repeat(layer, 3)
    params, state = net.init(fn.Key(0), (3,), np.float64)
    written = fn.serial(layer, layer, layer)
    names = [name for name, _ in written.layers]
    apart = {name: tree.map(lambda leaf, i=i: leaf[i], params) for i, name in enumerate(names)}
    y, _, dparams, dx = both(net, params, state, X, TRAIN)
    other_y, _, other, other_dx = both(written, apart, {}, X, TRAIN)
    np.testing.assert_array_equal(y, other_y)
    np.testing.assert_array_equal(dx, other_dx)
    for i, name in enumerate(names):
        assert same(tree.map(lambda leaf, i=i: leaf[i], dparams), other[name])
    assert not np.array_equal(params["dense_0"]["weight"][0], params["dense_0"]["weight"][1])


def test_each_copy_draws_by_itself():
    net = fn.Repeat(fn.Dropout(0.5), 2)
    y, *_ = net.apply({}, {}, np.ones((1, 4000)), TRAIN)
    assert abs(np.mean(y == 0.0) - 0.75) < 0.05  # with one mask twice it would be a half


def test_a_layer_that_changes_the_shape_cannot_be_repeated():
    with pytest.raises(fn.ShapeError) as caught:
        fn.Repeat(fn.Dense(4), 2).out_shape((3,))
    assert str(caught.value) == (
        "Repeat: expected a layer that keeps its input's shape (3,), got (4,); repeat only such layers"
    )


# ----- Remat ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compiled", [False, True])
def test_remat_changes_no_bit(compiled):
    body = fn.serial(*[layer for _ in range(6) for layer in (fn.Dense(64), fn.Tanh(), fn.Dropout(0.3))])
    nets = [fn.serial(a=wrap(body), b=wrap(body), c=fn.Dense(1)) for wrap in (lambda layer: layer, fn.Remat)]
    x, y = fn.Key(2).normal((128, 64), np.float32), fn.Key(3).normal((128, 1), np.float32)
    results = []
    for net in nets:
        step = fn.train_step(net, losses.MeanSquaredError(), optim.Adam(0.01), compile=compiled)
        ts = fn.train_state(net, optim.Adam(0.01), fn.Key(0), (64,))
        for _ in range(3):
            ts, metrics = step(ts, (x, y))
        results.append((ts.params, metrics["loss"]))
    assert same(results[0][0], results[1][0])
    assert results[0][1] == results[1][1]


def test_remat_needs_less_memory():
    body = fn.serial(*[layer for _ in range(6) for layer in (fn.Dense(64), fn.Tanh())])
    nets = [fn.serial(*[wrap(body) for _ in range(8)]) for wrap in (lambda layer: layer, fn.Remat)]
    peaks = [fn.cost(net, (64,), 512).backward.peak for net in nets]
    assert peaks[1] < 0.5 * peaks[0]


# ----- Tied ----------------------------------------------------------------------------------------------------


def test_a_tied_leaf_is_one_array():
    net = fn.Tied(LANGUAGE, {"head/weight": "embed/weight.T"})
    params, state = net.init(fn.Key(0), (2,), np.float64)
    assert list(tree.flatten(params)) == ["embed/weight", "head/bias"]
    x = np.array([[0, 3], [4, 4]])
    y, _, dparams, _ = both(net, params, state, x, fn.EVAL)
    whole = {"embed": params["embed"], "head": {"weight": params["embed"]["weight"].T, "bias": params["head"]["bias"]}}
    other_y, _, other, _ = both(LANGUAGE, whole, {}, x, fn.EVAL)
    np.testing.assert_array_equal(y, other_y)
    np.testing.assert_allclose(dparams["embed"]["weight"], other["embed"]["weight"] + other["head"]["weight"].T)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: fn.Tied(LANGUAGE, {"head/weight": "head/weight.T"}),
            fn.SpecError,
            "Tied.ties['head/weight']: ties a leaf to itself; leave it out",
        ),
        (
            lambda: fn.Tied(LANGUAGE, {"head/weight": "embed/weight", "embed/weight": "head/bias"}),
            fn.SpecError,
            "Tied.ties['head/weight']: ties to 'embed/weight', which is tied too; tie both to one leaf",
        ),
        (
            lambda: fn.Tied(LANGUAGE, {"head/wieght": "embed/weight"}).out_shape((2,)),
            fn.PathError,
            "Tied: expected the path of a trained leaf, 'head/wieght' does not exist, did you mean 'head/weight'?; "
            "there are embed/weight, head/weight, head/bias",
        ),
        (
            lambda: fn.Tied(FROZEN, {"b/weight": "a/weight"}).out_shape((3,)),
            fn.PathError,
            "Tied: expected the path of a trained leaf, 'a/weight' is in state, which is not trained, "
            "did you mean 'b/weight'?; there are b/weight, b/bias",
        ),
        (
            lambda: fn.Tied(LANGUAGE, {"head/weight": "embed/weight"}).out_shape((2,)),
            fn.ShapeError,
            "Tied: expected 'head/weight' of shape (3, 5), got 'embed/weight' of (5, 3); "
            "did you mean 'embed/weight.T'?",
        ),
    ],
)
def test_ties_that_cannot_be(make, error, message):
    with pytest.raises(error) as caught:
        make()
    assert message in str(caught.value)


# ----- Frozen --------------------------------------------------------------------------------------------------


def test_what_is_frozen_stays():
    net = fn.serial(base=fn.Frozen(fn.serial(fn.Dense(4), fn.BatchNorm(), fn.Relu())), head=fn.Dense(1))
    opt = optim.Adam(0.1)
    ts = fn.train_state(net, opt, fn.Key(0), (3,))
    assert list(tree.flatten(ts.params)) == ["head/weight", "head/bias"]
    assert not any("base" in path for path in tree.flatten(ts.opt_state))
    step = fn.train_step(net, losses.MeanSquaredError(), opt)
    after = ts
    for _ in range(3):
        after, _ = step(after, (X.astype(np.float32), X[:, :1].astype(np.float32)))
    before, now = tree.flatten(ts.state), tree.flatten(after.state)
    moved = [path for path in before if not np.array_equal(before[path], now[path])]
    assert moved == ["base/batch_norm_0/running_mean", "base/batch_norm_0/running_var"]


def test_frozen_hands_the_cotangent_on():
    layer = fn.Dense(2)
    params, _ = layer.init(fn.Key(0), (3,), np.float64)
    _, _, dparams, dx = both(fn.Frozen(layer), {}, params, X, fn.EVAL)
    assert dparams == {}
    np.testing.assert_array_equal(dx, both(layer, params, {}, X, fn.EVAL)[3])


# ----- WeightNorm ----------------------------------------------------------------------------------------------


def test_weight_norm_starts_as_the_layer_and_its_length_is_its_own():
    layer, net = fn.Dense(2), fn.WeightNorm(fn.Dense(2))
    params, _ = net.init(fn.Key(0), (3,), np.float64)
    plain, _ = layer.init(fn.Key(0), (3,), np.float64)
    np.testing.assert_allclose(net.apply(params, {}, X, fn.EVAL)[0], layer.apply(plain, {}, X, fn.EVAL)[0], rtol=1e-13)
    longer = {**params, "weight": 7.0 * params["weight"]}
    np.testing.assert_allclose(net.apply(longer, {}, X, fn.EVAL)[0], net.apply(params, {}, X, fn.EVAL)[0], rtol=1e-13)


def test_a_direction_of_zero_has_no_gradient():
    net = fn.WeightNorm(fn.Dense(2))
    params = {"weight": np.array([[0.0, 1.0], [0.0, 2.0]]), "bias": np.zeros(2), "weight_norm": np.ones(2)}
    y, _, dparams, dx = both(net, params, {}, np.ones((4, 2)), fn.EVAL)
    np.testing.assert_array_equal(y[:, 0], 0.0)
    assert all(np.isfinite(leaf).all() for leaf in tree.leaves((dparams, dx)))
    np.testing.assert_array_equal(dparams["weight"][:, 0], 0.0)


def test_a_layer_without_weights_is_refused():
    with pytest.raises(fn.ShapeError) as caught:
        fn.WeightNorm(fn.LayerNorm()).out_shape((3,))
    assert str(caught.value) == (
        "WeightNorm: expected a layer with a trained weight of two axes or more, got scale, bias; leave WeightNorm out"
    )


def test_weight_norm_inside_weight_norm():
    net = fn.WeightNorm(fn.serial(fn.WeightNorm(fn.Dense(2)), fn.Dense(2)))
    with pytest.raises(fn.ShapeError) as caught:
        net.init(fn.Key(0), (3,))
    assert str(caught.value) == (
        "WeightNorm: expected weights without lengths, a WeightNorm inside has given lengths to weight_norm_0/weight; "
        "leave one of the two out"
    )


# ----- Capture -------------------------------------------------------------------------------------------------


def test_captured_values_are_those_inside_and_their_cotangents_count():
    net = fn.serial(stem=fn.Dense(4), act=fn.Tanh(), head=fn.Dense(2))
    params, _ = net.init(fn.Key(0), (3,), np.float64)
    caught = fn.Capture(net, ("stem", "act"))
    (y, values), _, residuals = caught.apply(params, {}, X, fn.EVAL)
    stem = X @ params["stem"]["weight"] + params["stem"]["bias"]
    np.testing.assert_array_equal(values["stem"], stem)
    np.testing.assert_array_equal(values["act"], np.tanh(stem))
    alone, _ = caught.vjp(params, residuals, (None, {"stem": np.ones_like(stem), "act": None}))
    np.testing.assert_allclose(alone["stem"]["weight"], X.T @ np.ones_like(stem))
    assert not alone["head"]["weight"].any()
    whole, _ = caught.vjp(params, residuals, (np.ones_like(y), {"stem": np.ones_like(stem), "act": None}))
    plain = both(net, params, {}, X, fn.EVAL)[2]
    np.testing.assert_allclose(whole["stem"]["weight"], plain["stem"]["weight"] + alone["stem"]["weight"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: fn.Capture(fn.serial(stem=fn.Dense(2)), "stme").out_shape((3,)),
            "Capture: no layer has the path 'stme', did you mean 'stem'?; there are stem",
        ),
        (lambda: fn.Capture(fn.Dense(2), ()), "Capture.paths: expected at least one path"),
        (lambda: fn.Capture(fn.Dense(2), ("a", "a")), "Capture.paths: names 'a' twice"),
        (
            lambda: fn.Capture(fn.Dense(2), ("a", "a/b")),
            "Capture.paths: names 'a' and 'a/b' inside it; use a Capture for each",
        ),
    ],
)
def test_paths_that_cannot_be_captured(make, message):
    with pytest.raises(fn.FuncnetError) as caught:
        make()
    assert message in str(caught.value)


def test_views_hear_of_what_is_wrapped():
    net = fn.serial(a=fn.Remat(fn.Dense(3)), b=fn.Capture(fn.serial(c=fn.Repeat(fn.Dense(3), 2)), "c"), d=fn.Identity())
    params, state = net.init(fn.Key(0), (3,), np.float64)
    assert [line.path for line in fn.summary(net, (3,))] == ["", "a", "a", "b", "b", "b/c", "b/c", "d"]
    dy = (np.ones((6, 3)), {"c": np.ones((6, 3))})
    traced = fn.backprop_trace(net, params, state, X, dy)
    assert {"a", "b/c", "d"} <= set(traced)


# ----- several inputs, several outputs -----------------------------------------------------------------------------


def test_multiply_is_right_at_zero():
    a, b, c = np.zeros((1, 2)), np.array([[2.0, 0.0]]), np.array([[5.0, 7.0]])
    y, _, residuals = fn.Multiply().apply({}, {}, (a, b, c), fn.EVAL)
    _, dx = fn.Multiply().vjp({}, residuals, np.ones((1, 2)))
    np.testing.assert_array_equal(y, 0.0)
    assert [part.tolist() for part in dx] == [[[10.0, 0.0]], [[0.0, 0.0]], [[0.0, 0.0]]]
    with pytest.raises(fn.ShapeError) as caught:
        fn.Multiply().out_shape(((2,), (3,)))
    assert str(caught.value) == "Multiply: expected arrays of one shape, got (2,), (3,); project them to one first"


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("compiled", [False, True])
def test_a_network_of_two_outputs_trains(shards, compiled):
    net = fn.serial(fn.Dense(8), fn.Tanh(), fn.branch(value=fn.Dense(1), kind=fn.Dense(4)))
    loss = losses.Multi((losses.MeanSquaredError(), losses.SoftmaxCrossEntropy()), weights=(2.0, 1.0))
    x, y = X, (X[:, :1] * X[:, 1:2], np.array([0, 3, 1, 1, 2, 0]))
    opt = optim.SGD(0.1)
    ts = fn.train_state(net, opt, fn.Key(0), (3,), np.float64)
    new, metrics = fn.train_step(net, loss, opt, shards=shards, compile=compiled)(ts, (x, y))
    (p, z), _, _ = net.apply(ts.params, {}, x, fn.EVAL)
    parts = [losses.MeanSquaredError().apply(p, y[0])[0], losses.SoftmaxCrossEntropy().apply(z, y[1])[0]]
    assert metrics["loss"] == pytest.approx(2.0 * parts[0] + parts[1], rel=1e-12)
    fitted = fn.fit(net, (x, y), loss=loss, optimizer=optim.Adam(0.05), epochs=60, batch_size=3, key=fn.Key(1))
    assert fitted.history[-1]["loss"] < 0.2 * fitted.history[0]["loss"]
    assert new.step == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: losses.Multi(()), "Multi.losses: expected at least one loss"),
        (
            lambda: losses.Multi((losses.MeanSquaredError(),), weights=(1.0, 2.0)),
            "Multi.weights: expected 1, one for each loss, got 2",
        ),
        (
            lambda: losses.Multi((losses.RootMeanSquaredError(),)),
            "Multi.losses[0]: RootMeanSquaredError of a batch is not a sum over its parts",
        ),
        (
            lambda: losses.Multi((losses.MeanSquaredError(),) * 2).apply(np.ones((2, 1)), np.ones((2, 1))),
            "Multi: expected a tuple of 2 outputs, one for each loss, got (1,)",
        ),
        (
            lambda: losses.EachMember(losses.MeanSquaredError()).apply(np.ones(3), np.ones(3)),
            "EachMember: expected predictions (batch, members, …), got shape (3,); end the network with an Ensemble",
        ),
    ],
)
def test_losses_of_several_that_cannot_be(make, message):
    with pytest.raises(fn.FuncnetError) as caught:
        make()
    assert message in str(caught.value)


# ----- blocks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("block", "in_shape", "out"),
    [
        (fn.conv_block(4), (6, 5, 2), (6, 5, 4)),
        (fn.conv_block(4, (3, 1), strides=2, padding="valid"), (6, 5, 2), (2, 3, 4)),
        (fn.resnet_block(2), (6, 5, 2), (6, 5, 2)),
        (fn.resnet_block(4, project=True), (6, 5, 2), (6, 5, 4)),
        (fn.resnet_block(4, strides=2), (6, 5, 2), (3, 3, 4)),
        (fn.transformer_block(4, 2, causal=True, rotary=True, dropout=0.1), (5, 4), (5, 4)),
        (fn.transformer_block(4, 1, hidden=6, activation=fn.Silu()), (5, 4), (5, 4)),
    ],
)
def test_blocks_are_specs(block, in_shape, out):
    assert block.out_shape(in_shape) == out
    assert fn.from_json(fn.to_json(block)) == block
    fn.check_layer(block, in_shape, batch_coupled=bool(fn.select(block, kind=(fn.BatchNorm, fn.Dropout))))


def test_a_network_of_blocks_trains_and_is_printed(tmp_path):
    net = fn.serial(fn.conv_block(4), fn.resnet_block(4), fn.GlobalAveragePool(), head=fn.Dense(2))
    x = fn.Key(0).normal((8, 6, 6, 1), np.float32)
    y = (x.mean(axis=(1, 2, 3)) > 0).astype(int)
    opt, loss = optim.Adam(0.01), losses.SoftmaxCrossEntropy()
    result = fn.fit(net, (x, y), loss=loss, optimizer=opt, epochs=30, batch_size="full", key=fn.Key(0))
    assert result.history[-1]["loss"] < 0.3 * result.history[0]["loss"]
    ts = result.train_state
    fn.save(tmp_path / "net.npz", net, ts.params, ts.state)
    again = fn.load(tmp_path / "net.npz")
    np.testing.assert_array_equal(fn.predict(*again, x), fn.predict(net, ts.params, ts.state, x))


def test_an_output_that_nothing_comes_back_to():
    net = fn.Graph(
        "x",
        {"a": (fn.Dense(2), "x"), "b": (fn.Dense(2), "x"), "both": (fn.Concat(), ("a", "b"))},
        ("both", "a"),
    )
    params, _ = net.init(fn.Key(0), (3,), np.float64)
    _, _, residuals = net.apply(params, {}, X, fn.EVAL)
    dparams, dx = net.vjp(params, residuals, (None, np.ones((6, 2))))
    np.testing.assert_allclose(dparams["a"]["weight"], X.T @ np.ones((6, 2)))
    assert not dparams["b"]["weight"].any()
    np.testing.assert_allclose(dx, np.ones((6, 2)) @ params["a"]["weight"].T)
