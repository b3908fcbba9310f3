"""The same step from threads, from forked and spawned processes, and cut into shards."""

import multiprocessing
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import funcnet as fn
from funcnet import losses, optim, tree
from funcnet.experiments.digests import digest
from tests.training.workers import LOSS, NET, OPT, WEIGHT, X, Y, shard_gradients, trained


def test_eight_threads_at_once_give_the_bits_of_one():
    expected = trained()
    with ThreadPoolExecutor(8) as pool:
        found = [future.result() for future in [pool.submit(trained) for _ in range(8)]]
    assert found == [expected] * 8


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_processes_give_the_bits_of_this_one(method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system does not {method}")
    expected = trained()
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert [result.get(timeout=120) for result in [pool.apply_async(trained) for _ in range(3)]] == [expected] * 3


@pytest.mark.parametrize("shards", [2, 3, 8])
def test_shards_differ_from_the_whole_by_rounding_alone(shards):
    net = fn.serial(fn.Dense(24), fn.LayerNorm(), fn.Gelu(), fn.Dense(5))  # noise has a key for each shard
    ts = fn.train_state(net, OPT, fn.Key(7), (10,), np.float64)
    one, many = (fn.train_step(net, LOSS, OPT, shards=count)(ts, (X, Y, WEIGHT)) for count in (1, shards))
    assert one[1]["loss"] == pytest.approx(many[1]["loss"], rel=1e-14)
    for path, leaf in tree.flatten(one[0].opt_state).items():
        np.testing.assert_allclose(tree.flatten(many[0].opt_state)[path], leaf, rtol=1e-10, atol=1e-16)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_same_shards_in_any_number_of_processes_give_the_same_bits(workers):
    params, state = NET.init(fn.Key(7), (10,))
    jobs = [(params, state, shard, 3) for shard in range(3)]
    here = [shard_gradients(job) for job in jobs]
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        there = pool.map(shard_gradients, jobs, chunksize=1)
    whole = [tree.map(lambda a, b, c: a + b + c, *grads) for grads in (here, there)]
    assert digest(whole[0]) == digest(whole[1])


def test_ten_thousand_steps_leave_nothing_behind():
    """A reduced form of tests/benchmarks/million.py."""
    resource = pytest.importorskip("resource", reason="Windows does not tell a process's memory this way")
    net, opt = fn.serial(fn.Dense(3), fn.Tanh(), fn.Dense(1)), optim.Adam(1e-3)
    ts = fn.train_state(net, opt, fn.Key(0), (2,))
    step = fn.train_step(net, losses.MeanSquaredError(), opt)
    batch = X[:8, :2], X[:8, :1]

    def files():
        return len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0

    for _ in range(1000):
        ts, _ = step(ts, batch)
    before, opened = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, files()
    for _ in range(9000):
        ts, _ = step(ts, batch)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2000
    assert files() == opened
    assert ts.step == int(ts.opt_state["step"]) == 10_000
