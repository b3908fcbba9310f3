"""Draws, clocks, files and the environment."""

# Code as users write it, which linters would write otherwise.
# ruff: noqa: NPY002

from __future__ import annotations

import datetime
import os
import random
import time
import types

import numpy as np

import funcnet as fn
from tests.compiler.user_code.rows import EITHER, FALLS_BACK, RECORDED, X, made


@made(FALLS_BACK, X)
def numpy_random():
    return lambda x: x + np.random.normal(size=x.shape)


@made(FALLS_BACK, X)
def numpy_random_mask():
    return lambda x: x * (np.random.rand(*x.shape) > 0.5) / 0.5


@made(FALLS_BACK, X)
def numpy_random_permutation():
    return lambda x: x[np.random.permutation(4)]


@made(FALLS_BACK, X)
def numpy_random_scalar():
    return lambda x: x * np.random.uniform(0.5, 1.5)


@made(FALLS_BACK, X)
def numpy_random_through_a_helper():
    def noise(shape):
        return np.random.standard_normal(shape)

    return lambda x: x + noise(x.shape)


@made(FALLS_BACK, X)
def random_module():
    return lambda x: x * random.random()


@made(FALLS_BACK, X)
def random_choice():
    return lambda x: x if random.choice([True, False]) else -x


@made(FALLS_BACK, X)
def random_generator():
    rng = np.random.default_rng(0)
    return lambda x: x + rng.normal(size=x.shape)


@made(FALLS_BACK, X)
def random_generator_integers():
    rng = np.random.default_rng(0)
    return lambda x: x[rng.integers(4)]


@made(FALLS_BACK, X)
def random_generator_in_an_object():
    holder = types.SimpleNamespace(rng=np.random.default_rng(0))
    return lambda x: x * (holder.rng.random(x.shape) < 0.8)


@made(FALLS_BACK, X)
def random_generator_shuffles_a_list():
    rng = np.random.default_rng(0)
    order = [0, 1, 2, 3]

    def f(x):
        rng.shuffle(order)
        return np.stack([x[i] for i in order])

    return f


@made(FALLS_BACK, X)
def random_generator_bound_method():
    draw = np.random.default_rng(0).normal
    return lambda x: x + draw(size=x.shape)


@made(FALLS_BACK, X)
def random_state():
    state = np.random.RandomState(0)
    return lambda x: x + state.normal(size=x.shape)


@made(FALLS_BACK, X)
def random_instance():
    rng = random.Random(0)
    return lambda x: x * rng.gauss(0.0, 1.0)


@made(FALLS_BACK, X)
def random_sometimes():
    rng = np.random.default_rng(0)
    return lambda x: x + rng.normal(size=x.shape) if x.shape[0] == 4 else x


@made(EITHER, X)
def random_of_a_fixed_seed():
    return lambda x: x + np.random.default_rng(0).normal(size=x.shape)


@made(EITHER, X)
def random_generator_reseeded():
    holder = {"rng": np.random.default_rng(0)}

    def change(i):
        holder["rng"] = np.random.default_rng(i)

    return (lambda x: x + holder["rng"].normal(size=x.shape)), change


@made(RECORDED, X)
def random_of_a_key():
    return lambda x: x + fn.Key(3).normal(x.shape)


@made(EITHER, X)
def fresh_entropy():
    return lambda x: x + 1e-9 * np.random.default_rng().normal(size=x.shape) * 0.0


@made(FALLS_BACK, X)
def clock():
    return lambda x: x + 0.0 * time.time()


@made(FALLS_BACK, X)
def clock_counter():
    def f(x):
        start = time.perf_counter()
        y = x * 2
        return y if time.perf_counter() - start >= 0 else x

    return f


@made(FALLS_BACK, X)
def clock_date():
    return lambda x: x * (datetime.datetime.now().year > 2000)


@made(FALLS_BACK, X)
def environment():
    os.environ["FUNCNET_USER_CODE"] = "1.0"

    def change(i):
        os.environ["FUNCNET_USER_CODE"] = str(1.0 + i)

    return (lambda x: x * float(os.environ["FUNCNET_USER_CODE"])), change


@made(FALLS_BACK, X)
def environment_getenv():
    os.environ["FUNCNET_USER_CODE"] = "1.0"

    def change(i):
        os.environ["FUNCNET_USER_CODE"] = str(1.0 + i)

    return (lambda x: x * float(os.getenv("FUNCNET_USER_CODE"))), change


@made(FALLS_BACK, X)
def process_number():
    return lambda x: x * (os.getpid() > 0)


@made(FALLS_BACK, X)
def file_read():
    def f(x):
        with open(__file__) as file:
            return x * (len(file.read(10)) / 10)

    return f


@made(FALLS_BACK, X)
def stream_read():
    source = iter([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
    return lambda x: next(source) * x
