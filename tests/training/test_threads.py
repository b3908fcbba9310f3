"""The one setting of threads: given, by environment, by a container's limit, or one inside a pool."""

import json
import multiprocessing
import os
import threading

import attrs
import numpy as np
import pytest

import funcnet as fn
from funcnet.training import threads


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "20000 100000\n"}, 1),
        ({"cpu.max": "not a number"}, None),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
    ],
)
def test_a_containers_limit_in_whole_cores(tmp_path, files, expected):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert threads.quota(tmp_path) == expected


def test_what_is_given_comes_before_the_environment_before_the_limit(monkeypatch):
    monkeypatch.setattr(threads, "quota", lambda: 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.delenv("FUNCNET_THREADS", raising=False)
    assert threads.chosen() == 1
    monkeypatch.setattr(threads, "quota", lambda: 8)
    assert threads.chosen() is None
    monkeypatch.setenv("FUNCNET_THREADS", "3")
    assert threads.chosen() == 3
    assert threads.chosen(5) == 5


@pytest.mark.parametrize("text", ["two", "0", "-1", "1.5"])
def test_a_variable_that_is_no_number(monkeypatch, text):
    monkeypatch.setenv("FUNCNET_THREADS", text)
    with pytest.raises(fn.FuncnetError) as error:
        threads.chosen()
    assert str(error.value) == f"FUNCNET_THREADS: expected a number of threads, such as 2, got {text!r}"


def test_one_inside_a_pool_of_processes(monkeypatch):
    monkeypatch.delenv("FUNCNET_THREADS", raising=False)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(threads.chosen) == 1


@pytest.mark.skipif(not threads.blas(), reason="NumPy is built with another library than OpenBLAS")
def test_the_library_is_limited_and_left_as_it_was():
    before = threads.blas()["threads"]
    with threads.limited(1):
        assert threads.blas()["threads"] == 1
    assert threads.blas()["threads"] == before


@pytest.mark.skipif(not threads.blas(), reason="NumPy is built with another library than OpenBLAS")
def test_a_run_uses_and_records_its_threads(tmp_path):
    seen = []

    @attrs.frozen
    class Watch:
        def init(self):
            return None

        def update(self, state, event):
            seen.append(threads.blas()["threads"])
            return None, False

    experiment = fn.Experiment(
        data=fn.data.Iris(),
        model=fn.serial(fn.Dense(3)),
        loss=fn.losses.SoftmaxCrossEntropy(),
        optimizer=fn.optim.SGD(0.1),
        training=fn.Training(steps=2, threads=1),
    )
    fn.run(experiment, out=tmp_path / "run", callbacks=[Watch()])
    assert set(seen) == {1}
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["blas"]["threads"] == 1
    assert facts["blas"]["kernel"] == threads.blas()["kernel"]


# ----- every driver, small products, threads of the process


pytestmark = pytest.mark.filterwarnings("ignore::funcnet.errors.CompileWarning")  # of a layer that notes what it sees
BLAS = pytest.mark.skipif(not threads.blas(), reason="NumPy is built with another library than OpenBLAS")
NET, LOSS, OPT = fn.serial(fn.Dense(3)), fn.losses.MeanSquaredError(), fn.optim.SGD(0.1)
X, Y = np.ones((4, 2), np.float32), np.zeros((4, 3), np.float32)


@pytest.fixture
def two(monkeypatch):
    """Two threads outside of the library, whatever the environment says, and a container without a limit."""
    monkeypatch.delenv("FUNCNET_THREADS", raising=False)
    monkeypatch.setattr(threads, "quota", lambda: None)
    library = threads._library()
    before = library["get_num_threads"]()
    library["set_num_threads"](2)
    monkeypatch.setattr("funcnet.training.step._recent", [])
    yield lambda: library["get_num_threads"]()
    library["set_num_threads"](before)


def watched(seen):
    """A network whose forward pass notes the number of threads, each time it runs."""

    def apply(params, state, x, ctx):
        seen.append(threads.blas()["threads"])
        return x * params["w"], state, x

    init = lambda key, in_shape, dtype: ({"w": np.ones(in_shape, dtype)}, {})  # noqa: E731
    vjp = lambda params, x, dy: ({"w": (x * dy).sum(0)}, dy * params["w"])  # noqa: E731
    return fn.layer(init, apply, vjp, lambda in_shape: in_shape)


def drivers(net):
    ts = fn.train_state(net, OPT, fn.Key(0), (2,))
    target = np.zeros((4, 2), np.float32)
    how = {"loss": LOSS, "optimizer": OPT, "key": 0, "steps": 2}
    return {
        "fit": lambda: fn.fit(net, (X, target), **how),
        "minimize": lambda: fn.minimize(net, LOSS, (X, target), key=fn.Key(0), options={"maxiter": 2}),
        "evaluate": lambda: fn.evaluate(net, LOSS, ts.params, ts.state, (X, target)),
        "predict": lambda: fn.predict(net, ts.params, ts.state, X),
        "train_step": lambda: fn.train_step(net, LOSS, OPT)(ts, (X, target)),
        "train_step, plain": lambda: fn.train_step(net, LOSS, OPT, compile=False)(ts, (X, target)),
        "value_and_grad": lambda: fn.value_and_grad(net, LOSS)(ts.params, ts.state, X, target, fn.EVAL),
    }


DRIVERS = ["fit", "minimize", "evaluate", "predict", "train_step", "train_step, plain", "value_and_grad"]


@BLAS
@pytest.mark.parametrize("name", DRIVERS)
@pytest.mark.parametrize("by", ["variable", "container"])
def test_every_driver_obeys_and_leaves_the_setting(two, monkeypatch, name, by):
    if by == "variable":
        monkeypatch.setenv("FUNCNET_THREADS", "1")
    else:
        monkeypatch.setattr(threads, "quota", lambda: 1)
        monkeypatch.setattr(os, "cpu_count", lambda: 8)
    seen = []
    run = drivers(watched(seen))[name]
    seen.clear()
    run()
    assert seen
    assert set(seen) == {1}
    assert two() == 2


@BLAS
@pytest.mark.parametrize("name", ["fit", "minimize", "evaluate"])
def test_small_products_use_one_thread_and_large_ones_all(two, monkeypatch, name):
    for least, expected in ((threads.SMALL, 1), (0, 2)):
        monkeypatch.setattr(threads, "SMALL", least)
        seen = []
        run = drivers(watched(seen))[name]
        seen.clear()
        run()
        assert expected in seen
        assert two() == 2


@BLAS
def test_a_number_that_is_given_holds_for_small_products_too(two, monkeypatch):
    monkeypatch.setenv("FUNCNET_THREADS", "1")
    seen = []
    with threads.limited(2):
        run = drivers(watched(seen))["fit"]
        seen.clear()
        run()
    assert set(seen) == {2}


def test_the_largest_product_counts_rows_and_positions():
    params = {"a": {"weight": np.zeros((3, 5))}, "b": {"weight": np.zeros((2, 4)), "bias": np.zeros(4)}}
    assert threads.largest_product(params, np.zeros((7, 3)), 7) == 7 * 15
    assert threads.largest_product(params, np.zeros((7, 6, 3)), 2) == 2 * 6 * 15
    assert threads.largest_product(params, np.zeros((7, 9), np.int64), 7) == 7 * 9 * 15  # tokens
    assert threads.largest_product({}, np.zeros((7, 3)), 7) == 7


@BLAS
def test_a_step_without_a_limit_costs_nothing(two):
    step = fn.train_step(NET, LOSS, OPT)
    assert step.func.__name__ == "step"
    assert not hasattr(step.func.__wrapped__, "__wrapped__")  # only the one that explains wrong arguments


@BLAS
def test_an_error_leaves_the_setting(two, monkeypatch):
    monkeypatch.setenv("FUNCNET_THREADS", "1")
    with pytest.raises(fn.ShapeError):
        fn.train_step(NET, LOSS, OPT)(fn.train_state(NET, OPT, fn.Key(0), (2,)), (X[:, :1], Y))
    assert two() == 2


@BLAS
def test_blocks_of_many_threads_leave_the_setting(two):
    """They end in any order; the latest that was entered counts, and the first setting comes back."""
    entered, leave = threading.Barrier(3), [threading.Event() for _ in range(2)]

    def inside(i):
        with threads.limited(i + 3):
            entered.wait()
            leave[i].wait()

    both = [threading.Thread(target=inside, args=(i,)) for i in range(2)]
    for one in both:
        one.start()
    entered.wait()
    assert two() in (3, 4)
    leave[0].set()
    both[0].join()
    assert two() == 4
    leave[1].set()
    both[1].join()
    assert two() == 2


@BLAS
def test_fits_in_many_threads_leave_the_setting(two):
    results = []

    def work(seed):
        results.append(fn.fit(NET, (X, Y), loss=LOSS, optimizer=OPT, key=seed, steps=30).train_state.step)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert results == [30] * 6
    assert two() == 2
