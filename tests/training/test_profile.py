"""Where the time of a step goes: every layer has its share, large arrays their own update, nothing is changed."""

import numpy as np
import pytest

import funcnet as fn
from funcnet import losses, optim, tree
from funcnet.networks.profile import profile

NET = fn.serial(
    fn.Dense(80),
    fn.Residual(fn.serial(fn.Dense(80), fn.BatchNorm(), fn.Relu())),
    fn.Dropout(0.5),
    fn.layer(*fn.Dense(3).triple, fn.Dense(3).out_shape),
)
PATHS = {  # every layer, those first that are inside others, and whether its params are updated
    "dense_0": True,
    "residual_0/dense_0": True,
    "residual_0/batch_norm_0": True,
    "residual_0/relu_0": False,
    "residual_0": False,
    "dropout_0": False,
    "layer_0": True,
}
OPTIMIZERS = [
    optim.SGD(0.1),
    optim.AdamW(optim.schedules.Cosine(0.01)),
    optim.chain(optim.ClipByGlobalNorm(1.0), optim.SGD(0.1, momentum=0.9)),
]


def measured(optimizer, batch_size, rows=70, net=NET):
    x = np.linspace(-1, 1, rows * 100, dtype=np.float32).reshape(rows, 100)
    ts = fn.train_state(net, optim.schedules.bind(optimizer, 10), fn.Key(0), (100,))
    before = tree.map(np.copy, ts.params)
    found = profile(net, losses.SoftmaxCrossEntropy(), optimizer, ts, (x, np.arange(rows) % 3), batch_size)
    for path, leaf in tree.flatten(ts.params).items():
        assert np.array_equal(leaf, tree.flatten(before)[path])
    return found


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda one: one.tag)
def test_every_layer_has_its_share(optimizer):
    found = measured(optimizer, 32)
    shares = {share.path: share for share in found.layers if share.path}
    assert list(shares) == list(PATHS)
    for path, owns in PATHS.items():
        assert shares[path].backward > 0
        assert (shares[path].update > 0) == owns
    assert found.loss > 0
    assert found.rest > 0
    assert found.seconds == pytest.approx(sum(share.seconds for share in found.layers) + found.loss + found.rest)


@pytest.mark.parametrize(("batch_size", "rows"), [("full", 70), (1000, 70), (32, 32), (2, 2)])
def test_batches_are_whole(batch_size, rows):
    assert measured(optim.SGD(0.1), batch_size).batch == rows


def test_a_network_of_one_layer():
    found = measured(optim.Adam(), 32, net=fn.Dense(3))
    (share,) = found.layers
    assert (share.path, share.layer) == ("", "Dense")
    assert min(share.forward, share.backward, share.update) > 0
