"""The one setting of threads: given, by environment, by a container's limit, or one inside a pool."""

import json
import multiprocessing
import os

import attrs
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
