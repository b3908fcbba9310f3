"""What a network costs: counts derived by hand, and the memory that a real step is seen to take."""

import gc
import tracemalloc

import attrs
import numpy as np
import pytest

import funcnet as fn
from funcnet import losses, optim
from funcnet.networks.cost import ROWS, Cost, Figures, Work, total
from tests.table import LAYERS

B, N, M, K = 5, 7, 3, 2  # rows, features, units of the first layer and of the second
DENSE = fn.serial(fn.Dense(M), fn.Dense(K))


def by_path(cost):
    return {one.path: (one.forward, one.backward) for one in cost.layers}


# ----- counts by hand -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_dense_layer_costs_its_products(dtype):
    """Forward x W and + b; backward xᵀ dy, Σ dy, and but for the first layer dy Wᵀ."""
    width = np.dtype(dtype).itemsize
    layers = by_path(fn.cost(DENSE, (N,), B, dtype=dtype))
    assert layers["dense_0"] == (
        Work(2 * B * N * M + B * M, width * ((B * N + N * M + B * M) + (B * M + M + B * M))),
        Work(2 * B * N * M + B * M, width * ((B * N + B * M + N * M) + (B * M + M))),
    )
    assert layers["dense_1"] == (
        Work(2 * B * M * K + B * K, width * ((B * M + M * K + B * K) + (B * K + K + B * K))),
        Work(2 * 2 * B * M * K + B * K, width * (2 * (B * M + B * K + M * K) + (B * K + K))),
    )
    assert layers[""] == (Work(0, 0), Work(0, 0))


def test_the_whole_is_the_sum_of_its_layers():
    net = fn.serial(fn.Dense(6), fn.Tanh(), fn.Residual(fn.serial(fn.Dense(6), fn.Relu())), fn.Dense(3))
    cost = fn.cost(net, (4,), 8)
    assert total(one.forward for one in cost.layers) == Work(cost.forward.flops, cost.forward.bytes)
    assert total(one.backward for one in cost.layers) == Work(cost.backward.flops, cost.backward.bytes)
    assert [one.path for one in cost.layers] == [
        *("dense_0", "tanh_0", "residual_0/dense_0", "residual_0/relu_0", "residual_0", "residual_0", "dense_1", ""),
    ]


ELEMENTWISE = {  # layer to (forward FLOPs, backward FLOPs) an entry, and what the code does
    "relu": (fn.Relu(), 1, 2),  # max(x, 0); dy times (x > 0)
    "tanh": (fn.Tanh(), 1, 3),  # tanh; dy (1 - y y)
    "dropout": (fn.Dropout(0.5), 0, 1),  # nothing in evaluation; dy scaled
}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_an_elementwise_layer_costs_one_operation_for_each_call(name):
    layer, forward, backward = ELEMENTWISE[name]
    net = fn.serial(fn.Dense(M), layer)
    found = by_path(fn.cost(net, (N,), B))[f"{name}_0"]
    assert (found[0].flops, found[1].flops) == (forward * B * M, backward * B * M)


def step_flops(optimizer, net=DENSE):
    return fn.cost(net, (N,), B, losses.MeanSquaredError(), optimizer).step.flops


def test_an_update_costs_its_passes_over_the_params():
    """Each of them, with + for the params, and the probe's product and sum."""
    size = (N + 1) * M + (M + 1) * K
    base = step_flops(optim.SGD(0.1))
    passes = {
        optim.SGD(0.1, momentum=0.9): 2,  # m v, + g
        optim.SGD(0.1, momentum=0.9, nesterov=True): 4,  # also m v, + g
        optim.RMSprop(): 7,  # decay v, g g, (1 - decay), +; sqrt, + eps, /
        optim.Adam(): 10,  # b1 m, (1 - b1) g, +; b2 v, g g, (1 - b2), +; sqrt, + shift, /
        optim.AdamW(): 12,  # also decay p, -
    }
    for optimizer, count in passes.items():
        assert step_flops(optimizer) - base == count * size, optimizer
    gradients = fn.cost(DENSE, (N,), B, losses.MeanSquaredError())
    loss = base - gradients.forward.flops - gradients.backward.flops - (2 + 2) * size - 1  # -rate g, +, probe; step + 1
    assert loss == 3 * B * K + 1  # p - t, its square, the sum, the mean of it


def test_more_rows_cost_in_proportion():
    one, ten = (fn.cost(DENSE, (N,), rows) for rows in (100, 1000))
    assert ten.forward.flops == 10 * one.forward.flops
    assert ten.backward.flops == 10 * one.backward.flops


def test_what_a_loop_over_blocks_keeps_in_cache_is_not_moved():
    """The way back reads y and dy and writes dx; ``y y`` stays in cache."""
    rows, units = 4096, 64
    net = fn.serial(fn.Dense(units), fn.Tanh(), fn.Dense(1))
    assert by_path(fn.cost(net, (3,), rows))["tanh_0"][1] == Work(3 * rows * units, 3 * 4 * rows * units)


# ----- what is not known ----------------------------------------------------------------------------------


@fn.register("acme.cost_sort")
@attrs.frozen
class Sort(fn.Layer):
    """A user's layer by a function that is not looked into."""

    def out_shape(self, in_shape):
        return in_shape

    def apply(self, params, state, x, ctx):
        return np.sort(x), state, None

    def vjp(self, params, residuals, dy):
        return {}, dy


def test_a_function_that_is_not_looked_into_has_unknown_cost():
    cost = fn.cost(fn.serial(fn.Dense(M), Sort(), fn.Dense(K)), (N,), B)
    assert by_path(cost)["cost_sort_0"] == (Work(None, 2 * 4 * B * M), Work(0, 0))
    assert cost.forward.flops is None
    assert cost.backward.flops == fn.cost(DENSE, (N,), B).backward.flops


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_of_the_library_has_a_known_cost(name):
    row = LAYERS[name]
    cost = fn.cost(row.layer, row.in_shape, 2)
    assert None not in [work.flops for one in cost.layers for work in (one.forward, one.backward)]


@pytest.mark.parametrize(
    ("by", "steps", "entries"),
    [
        ("last", 4, 2),  # of the mask: cumsum, == 1, times itself, > 0; of the input: times its share, sum
        ("max", 0, 6),  # of the input: argmax, == its step, as a number, > 0, times it, sum
    ],
)
def test_scans_and_searches_cost_one_operation_for_each_entry(by, steps, entries):
    time, n = 6, 3
    assert fn.cost(fn.SequencePool(by), (time, n), 2).forward.flops == 2 * time * (steps + n * entries)


# ----- memory ----------------------------------------------------------------------------------------------


def test_a_network_larger_than_memory_costs_nothing_to_look_at():
    n = 40_000
    tracemalloc.start()
    cost = fn.cost(fn.serial(fn.Dense(n), fn.Relu()), (n,), 1, losses.MeanSquaredError(), optim.Adam())
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert cost.forward.flops == 2 * n * n + 2 * n
    assert cost.step.peak > 6 * 4 * n * n  # params, mean and square, before and after
    assert most < 50e6


STEPS = {
    "adam": (fn.serial(fn.Dense(512), fn.Relu(), fn.Dense(512), fn.Tanh(), fn.Dense(10)), optim.Adam(), 300, 256),
    "many rows": (
        fn.serial(fn.Dense(64), fn.BatchNorm(), fn.Dropout(0.2), fn.Relu(), fn.Dense(10)),
        optim.SGD(0.1),
        64,
        4096,
    ),
}


def most_memory(again, times=4):
    """The most that is allocated while a function runs again, from what it holds by then on."""
    tracemalloc.start()
    held = None
    for _ in range(times):
        held = again(held)
    gc.collect()
    tracemalloc.reset_peak()
    for _ in range(times):
        held = again(held)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


@pytest.mark.parametrize("name", STEPS)
def test_peak_memory_is_what_a_step_takes(name):
    """To 8 percent, which is Python's own objects."""
    net, optimizer, features, rows = STEPS[name]
    loss = losses.SoftmaxCrossEntropy()
    cost = fn.cost(net, (features,), rows, loss, optimizer)
    step = fn.train_step(net, loss, optimizer)

    def again(held):
        if held is None:
            x = np.zeros((rows, features), np.float32)
            held = fn.train_state(net, optimizer, fn.Key(0), (features,)), (x, np.zeros(rows, np.int64))
        ts, batch = held
        return step(ts, batch)[0], batch

    def answer(held):
        if held is None:
            held = *net.init(fn.Key(1), (features,)), np.zeros((rows, features), np.float32)
        fn.predict(net, *held)
        return held

    assert most_memory(again) == pytest.approx(cost.step.peak, rel=0.08)
    assert most_memory(answer) == pytest.approx(cost.forward.peak, rel=0.08)


# ----- arguments ---------------------------------------------------------------------------------------------


def test_a_step_needs_a_loss_and_an_optimizer():
    cost = fn.cost(DENSE, (N,))
    assert isinstance(cost, Cost)
    assert isinstance(cost.forward, Figures)
    assert (cost.batch, cost.step) == (ROWS, None)
    assert fn.cost(DENSE, (N,), loss=losses.Huber()).step is None


@pytest.mark.parametrize("name", ["branch", "dict"])
def test_inputs_may_nest(name):
    net, in_shape = {
        "branch": (fn.serial(fn.branch(fn.Dense(2), fn.Dense(3)), fn.Concat()), (4,)),
        "dict": (fn.serial(fn.parallel(a=fn.Dense(2), b=fn.Dense(3))), {"a": (4,), "b": (4,)}),
    }[name]
    assert fn.cost(net, in_shape, B).forward.flops == 2 * B * 4 * 5 + B * 5


ERRORS = {
    "a class": (
        lambda: fn.cost(fn.Dense, (3,)),
        "expected a network, such as fn.serial(fn.Dense(10)), got the class Dense",
    ),
    "no loss": (
        lambda: fn.cost(DENSE, (3,), optimizer=optim.Adam()),
        "a step needs a loss; give loss=… with optimizer=…",
    ),
    "no rows": (lambda: fn.cost(DENSE, (3,), 0), "expected a batch of 1 or more rows, got 0"),
    "integers": (lambda: fn.cost(DENSE, (3,), dtype=int), "expected a float dtype, such as np.float32, got int64"),
    "unfit": (
        lambda: fn.cost(fn.serial(fn.Reshape((2,)), fn.Dense(3)), (3,)),
        "reshape_0 (Reshape): expected an input of 2 entries for shape (2,), got shape (3,) of 3; change one of them",
    ),
    "too large": (
        lambda: fn.cost(fn.Dense(2**33), (3,)),
        "the network: needs 34359738368 parameters; the limit is 2147483648: make some size in the spec smaller",
    ),
    "a loss that does not fit": (
        lambda: fn.cost(fn.branch(fn.Dense(1), fn.Dense(1)), (3,), B, losses.MeanSquaredError()),
        "MeanSquaredError: expected one target to compare, got the shapes ((1,), (1,)); "
        "join outputs with Concat or Sum, or give each its loss with Multi",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    call, message = ERRORS[name]
    with pytest.raises(fn.FuncnetError) as error:
        call()
    assert str(error.value) == message
