"""Ensembles against as many separate networks."""

import numpy as np
import pytest

import funcnet as fn
from funcnet import losses, optim, tree
from tests.row import random_like
from tests.rows.ensemble import ROWS


def decide_apply(params, state, x, ctx):
    """An ``if`` on a value, which no vectorization can run."""
    sign = 1.0 if float(np.sum(params["gain"])) > 0.0 else -1.0
    return sign * params["gain"] * x, state, (x, sign)


DECIDES = fn.layer(
    lambda key, in_shape, dtype=np.float32: ({"gain": np.asarray(0.5 + key.uniform(()), dtype)}, {}),
    decide_apply,
    lambda params, residuals, dy: (
        {"gain": np.asarray(np.sum(residuals[0] * dy) * residuals[1], dy.dtype)},
        residuals[1] * params["gain"] * dy,
    ),
    lambda in_shape: in_shape,
)


def separately(row, params, state, x, ctx, dy):
    """What the members give one by one: outputs, states, gradients, cotangents of x."""
    net, outs = row.layer, []
    for m in range(net.members):
        own = fn.Context(ctx.train, ctx.key.fold("member", m))
        pick = lambda part, m=m: tree.map(lambda leaf: leaf[m], part)  # noqa: E731
        given = tree.map(lambda leaf, m=m: leaf[:, m], x) if net.own_inputs else x
        y, new, residuals = net.layer.apply(pick(params), pick(state), given, own)
        member_dy = tree.map(lambda leaf, m=m: leaf[:, m], dy)
        outs.append((y, new, *net.layer.vjp(pick(params), residuals, member_dy)))
    return outs


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("name", [name for name in ROWS if isinstance(ROWS[name].layer, fn.Ensemble)])
def test_members_are_separate_networks(name, train):
    row = ROWS[name]
    params, state = row.layer.init(fn.Key(1), row.in_shape, np.float64)
    x, ctx = row.input(fn.Key(2)), fn.Context(train, fn.Key(3))
    y, new, residuals = row.layer.apply(params, state, x, ctx)
    dy = random_like(y, fn.Key(4))
    dparams, dx = row.layer.vjp(params, residuals, dy)
    outs = separately(row, params, state, x, ctx, dy)
    for m, (own_y, own_new, own_dparams, _) in enumerate(outs):
        tree.map(lambda a, b, m=m: np.testing.assert_allclose(a[:, m], b, rtol=1e-12, atol=1e-14), y, own_y)
        tree.map(lambda a, b, m=m: np.testing.assert_allclose(a[m], b, rtol=1e-12, atol=1e-14), new, own_new)
        tree.map(lambda a, b, m=m: np.testing.assert_allclose(a[m], b, rtol=1e-11, atol=1e-13), dparams, own_dparams)
    if row.layer.own_inputs:
        dxs = [out[3] for out in outs]
        tree.map(lambda dx, *own: dx is None or np.testing.assert_allclose(dx, np.stack(own, 1), 1e-11), dx, *dxs)
    elif dx is not None and not isinstance(dx, tuple):
        np.testing.assert_allclose(dx, sum(out[3] for out in outs), rtol=1e-11, atol=1e-13)


def test_each_member_starts_by_itself():
    net = fn.Ensemble(fn.Dense(2), 3)
    params, _ = net.init(fn.Key(5), (4,))
    for m in range(3):
        own, _ = net.layer.init(fn.Key(5).fold("member", m), (4,))
        np.testing.assert_array_equal(params["weight"][m], own["weight"])


def test_what_decides_by_a_value_runs_member_by_member():
    fn.check_layer(fn.Ensemble(DECIDES, 3), (2,))


def test_members_train_as_if_alone():
    layer = fn.serial(fn.Dense(8), fn.Tanh(), fn.Dense(1))
    x, y = fn.Key(0).normal((16, 2), np.float64), fn.Key(1).normal((16, 1), np.float64)
    net, opt = fn.Ensemble(layer, 3), optim.Adam(0.01)
    step = fn.train_step(net, losses.EachMember(losses.MeanSquaredError()), opt)
    ts = fn.train_state(net, opt, fn.Key(2), (2,), np.float64)
    alone_step = fn.train_step(layer, losses.MeanSquaredError(), opt)
    alone = [
        fn.train_state(layer, opt, fn.Key(2), (2,), np.float64, params=tree.map(lambda leaf, m=m: leaf[m], ts.params))
        for m in range(3)
    ]
    for _ in range(5):
        ts, figures = step(ts, (x, y))
        results = [alone_step(one, (x, y)) for one in alone]
        alone = [one for one, _ in results]
        assert figures["loss"] == pytest.approx(sum(found["loss"] for _, found in results), rel=1e-12)
    for m, one in enumerate(alone):
        tree.map(lambda a, b, m=m: np.testing.assert_allclose(a[m], b, rtol=1e-9, atol=1e-12), ts.params, one.params)


def shuffled(params, state, x, ctx):
    """Rows in an order that each member draws for itself."""
    order = ctx.draw().permutation(len(x)) if ctx.train else np.arange(len(x))
    return x[order], state, order


SHUFFLES = fn.layer(
    lambda key, in_shape, dtype=np.float32: ({}, {}),
    shuffled,
    lambda params, order, dy: ({}, dy[np.argsort(order)]),
    lambda in_shape: in_shape,
)


@pytest.mark.parametrize("inner", [SHUFFLES, fn.serial(SHUFFLES, fn.Dense(3)), fn.serial(fn.Dense(3), SHUFFLES)])
def test_members_index_their_common_input_by_what_they_draw(inner):
    """The input is one array for all members, the index is another for each: compiled, without a warning."""
    net, loss, opt = fn.serial(fn.Ensemble(inner, 2), fn.Dense(1)), losses.MeanSquaredError(), optim.SGD(0.1)
    batch = fn.Key(1).normal((6, 4), np.float32), fn.Key(2).normal((6, 2, 1), np.float32)
    ts = fn.train_state(net, opt, fn.Key(0), (4,))
    compiled, plain = (fn.train_step(net, loss, opt, compile=way)(ts, batch) for way in (True, False))
    assert compiled == plain


PADDED_ROWS = fn.Key(4).normal((5, 4, 2), np.float64), np.arange(4) < np.array([[4], [2], [1], [3], [0]])


@pytest.mark.parametrize(
    "member", [fn.GRU(3), fn.serial(fn.OnSequence(DECIDES), fn.GRU(3))], ids=["at once", "one by one"]
)
def test_members_share_the_mask_of_a_padded_sequence(member):
    """One mask for all, and members after the steps; so layers on steps and losses take the pair."""
    x, mask = PADDED_ROWS
    net = fn.Ensemble(member, 2)
    params, state = net.init(fn.Key(1), ((4, 2), (4,)), np.float64)
    assert net.out_shape(((4, 2), (4,))) == ((4, 2, 3), (4,))
    (values, given), _, residuals = net.apply(params, state, (x, mask), fn.EVAL)
    np.testing.assert_array_equal(given, mask)
    dy = fn.Key(2).normal(values.shape, np.float64)
    dparams, (dx, none) = net.vjp(params, residuals, (dy, None))
    assert none is None
    total = np.zeros_like(x)
    for m in range(2):
        own = tree.map(lambda leaf, m=m: leaf[m], params)
        (alone, _), _, saved = member.apply(own, {}, (x, mask), fn.EVAL)
        np.testing.assert_allclose(values[:, :, m], alone, rtol=1e-12, atol=1e-14)
        own_dparams, (own_dx, _) = member.vjp(own, saved, (dy[:, :, m], None))
        tree.map(lambda a, b, m=m: np.testing.assert_allclose(a[m], b, rtol=1e-11, atol=1e-13), dparams, own_dparams)
        total += own_dx
    np.testing.assert_allclose(dx, total, rtol=1e-11, atol=1e-13)


def test_an_ensemble_learns_and_answers_padded_sequences():
    x, mask = PADDED_ROWS
    y = (x[..., 0] > 0).astype(np.int64)
    member = fn.serial(fn.GRU(3), fn.OnSequence(fn.Dense(2)))
    net, each = fn.Ensemble(member, 2), losses.EachMember(losses.SoftmaxCrossEntropy(), axis=2)
    how = {"optimizer": optim.SGD(0.1), "key": fn.Key(0), "steps": 3}
    done = fn.fit(net, ((x, mask), y), loss=each, metrics=["accuracy"], **how)
    params, own = done.train_state.params, []
    start = fn.train_state(net, optim.SGD(0.1), fn.Key(0), ((4, 2), (4,)))
    for m in range(2):
        at = tree.map(lambda leaf, m=m: leaf[m], start.params)
        alone = fn.fit(member, ((x, mask), y), loss="softmax_cross_entropy", start=(at, {}), **how).train_state.params
        tree.map(lambda a, b, m=m: np.testing.assert_allclose(a[m], b, rtol=1e-5, atol=1e-6), params, alone)
        own.append(fn.predict_proba(member, losses.SoftmaxCrossEntropy(), alone, {}, (x, mask))[0])
    proba, given = fn.predict_proba(net, each, params, {}, (x, mask))
    np.testing.assert_array_equal(given, mask)
    np.testing.assert_allclose(proba, np.mean(own, axis=0), rtol=1e-5)
    right = (np.mean(own, axis=0).argmax(axis=-1) == y)[mask]
    assert done.history[-1]["accuracy"] == pytest.approx(right.mean())


def test_an_ensemble_of_several_labels_answers_with_the_mean_of_its_members():
    x = fn.Key(0).normal((20, 3), np.float32)
    y = (x > 0).astype(np.int64)
    member, loss = fn.Dense(3), losses.SigmoidCrossEntropy()
    net, each = fn.Ensemble(member, 4), losses.EachMember(loss)
    assert (each.probabilities, each.independent) == (True, True)
    assert losses.EachMember(losses.MeanSquaredError()).probabilities is False
    how = {"optimizer": optim.Adam(0.1), "key": 1, "epochs": 3}
    done = fn.fit(net, (x, y), loss=each, metrics=["accuracy", "f1"], **how)
    params = done.train_state.params
    own = [fn.predict_proba(member, loss, tree.map(lambda leaf, m=m: leaf[m], params), {}, x) for m in range(4)]
    mean = np.mean(own, axis=0)
    np.testing.assert_allclose(fn.predict_proba(net, each, params, {}, x), mean, rtol=1e-5)
    np.testing.assert_array_equal(fn.predict_label(net, each, params, {}, x), mean >= 0.5)
    scores = fn.evaluate(net, each, params, {}, (x, y), ["accuracy", "f1", "roc_auc"])
    assert scores["accuracy"] == pytest.approx(fn.metrics.Accuracy().multilabel(mean, y))
    assert scores["f1"] == pytest.approx(fn.metrics.F1().multilabel(mean, y))
    assert scores["roc_auc"] == pytest.approx(fn.metrics.RocAuc().multilabel(mean, y))
    assert done.history[-1]["accuracy"] == pytest.approx(scores["accuracy"])


def test_the_axis_of_members_is_checked():
    with pytest.raises(fn.ShapeError) as caught:
        losses.EachMember(losses.MeanSquaredError(), axis=2).apply(np.ones((3, 2)), np.ones((3, 2)))
    assert str(caught.value) == (
        "EachMember: expected predictions (batch, time, members, …), got shape (3, 2); end the network with an Ensemble"
    )


def test_each_member_obeys_the_laws_with_members_after_steps():
    prediction = fn.Key(5).normal((4, 3, 2, 3))
    fn.check_loss(losses.EachMember(losses.SoftmaxCrossEntropy(), axis=2), prediction, np.arange(12).reshape(4, 3) % 3)


def test_members_with_own_inputs_run_one_by_one_too():
    fn.check_layer(fn.Ensemble(DECIDES, 3, own_inputs=True), (3, 2))


@pytest.mark.parametrize(
    ("shape", "wrong"), [((4, 2), (4, 2)), ((), ()), ({"a": (3, 2), "b": (2,)}, (2,)), (((3, 1), (3,), (4,)), (4,))]
)
def test_own_inputs_need_the_axis_of_members(shape, wrong):
    with pytest.raises(fn.ShapeError) as caught:
        fn.Ensemble(fn.Identity(), 3, own_inputs=True).out_shape(shape)
    assert str(caught.value) == (
        f"Ensemble: expected an input for each member, (3, …), got shape {wrong}; put an Ensemble of 3 members "
        "before it, or leave own_inputs out"
    )


VALUE = 1.4189906636130565
GRADIENTS = {
    "views/scale": [
        -0.02457743369178808,
        0.07491033625656082,
        -0.08517820917346632,
        0.04076764245388159,
        0.012871657969783403,
        -0.05021641261982872,
    ],
    "dense/weight": [
        -0.020446793920822093,
        -0.0009215095814752489,
        0.0,
        0.0,
        -0.06352867894341482,
        -0.004429650841593186,
        0.0,
        0.0,
        0.021556011340580584,
        -0.03248957091690833,
        0.0,
        0.0,
    ],
    "dense/bias": [0.11089389679491944, -0.04360339866309475, 0.0, 0.0],
    "head/weight": [
        -0.014894147001484531,
        0.014894147001484524,
        0.0,
        0.0,
        0.0,
        0.0,
        0.0,
        0.0,
        0.14296186935564364,
        -0.14296186935564364,
        0.01460907521434393,
        -0.014609075214343934,
        0.0,
        0.0,
        0.0,
        0.0,
    ],
    "head/bias": [0.009004016482844324, -0.009004016482844365, -0.005893101264314665, 0.00589310126431454],
}


def test_tabm_mini_has_the_gradients_of_pytorch():
    """Values of PyTorch 2.13 in float64: ``h = relu((x[:, None] * r) @ W + c)``, ``y = einsum("bkh,kho->bko", h, V) + d``,
    and the mean cross-entropy over rows, summed over members.
    """  # noqa: E501
    k, n, h, o = 2, 3, 4, 2

    def wave(*shape, phase):
        return np.sin(np.arange(np.prod(shape)) * 0.7 + phase).reshape(shape)

    net = fn.serial(
        views=fn.Ensemble(fn.Scale(), k), dense=fn.Dense(h), relu=fn.Relu(),
        head=fn.Ensemble(fn.Dense(o), k, own_inputs=True),
    )  # fmt: skip
    params = {
        "views": {"scale": wave(k, n, phase=1.0)},
        "dense": {"weight": wave(n, h, phase=2.0), "bias": wave(h, phase=3.0)},
        "head": {"weight": wave(k, h, o, phase=4.0), "bias": wave(k, o, phase=5.0)},
    }
    x, y = wave(5, n, phase=0.5), np.array([0, 1, 1, 0, 1])
    loss = losses.EachMember(losses.SoftmaxCrossEntropy())
    value, _, grads = fn.value_and_grad(net, loss)(params, {}, x, y, fn.EVAL)
    assert value == pytest.approx(VALUE, rel=1e-13)
    for path, leaf in tree.flatten(grads).items():
        np.testing.assert_allclose(leaf.ravel(), GRADIENTS[path], rtol=1e-11, atol=1e-15, err_msg=path)
