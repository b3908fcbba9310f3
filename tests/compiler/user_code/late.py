"""Hidden inputs that change only once a recording has been trusted: after the first three calls."""

# Code as users write it, which linters would write otherwise.
# ruff: noqa: B024

from __future__ import annotations

import abc
import builtins
import collections
import functools
import json
import operator
import os.path
import pickle
import tempfile
import types
from collections.abc import Callable
from os import listdir, stat
from os.path import exists
from pathlib import Path
from typing import Any

import numpy as np

from tests.compiler.user_code.rows import EITHER, X, made

RATE = SCALE = 1.0


def later(change: Callable[[int], Any]) -> Callable[[int], Any]:
    """The change before calls 3, 4 and 5 alone."""
    return lambda i: change(i) if i > 2 else None


def folder() -> Path:
    """A new folder with one file, which holds a number."""
    path = Path(tempfile.mkdtemp())
    (path / "rate").write_text("1")
    return path


def file_row(name: str, read: Callable[[Path], Callable[[Any], Any]]) -> None:
    """A row of a function that reads a folder, in which a file grows and another one comes."""

    def make() -> Any:
        path = folder()

        def change(i: int) -> None:
            (path / "rate").write_text(str(10**i))
            (path / "flag").touch()

        return read(path), later(change)

    make.__name__ = name
    made(EITHER, X)(make)


def opened_by(opener: Callable[..., Any]) -> Callable[[Path], Callable[[Any], Any]]:
    def read(path: Path) -> Callable[[Any], Any]:
        name = str(path / "rate")

        def f(x):
            with opener(name) as file:
                return x * float(file.read())

        return f

    return read


file_row("late_exists", lambda path: lambda x: x * 2 if exists(str(path) + "/flag") else x)
file_row("late_os_path", lambda path: lambda x: x * os.path.getsize(os.path.join(str(path), "rate")))
file_row("late_path", lambda path: lambda x: x * 2 if (path / "flag").exists() else x)
file_row(
    "late_path_made_inside",
    lambda path, text=None: (lambda text: lambda x: x * 2 if Path(text).exists() else x)(str(path / "flag")),
)
file_row("late_listed", lambda path: (lambda text: lambda x: x * len(listdir(text)))(str(path)))
file_row("late_size", lambda path: (lambda text: lambda x: x * stat(text).st_size)(str(path / "rate")))
file_row("late_open_by_another_name", opened_by(open))
file_row(
    "late_numbers_by_pattern",
    lambda path: (lambda text: lambda x: x * np.fromregex(text, r"(\d+)", [("a", float)])["a"][0])(str(path / "rate")),
)
file_row("late_json", lambda path: lambda x: x * json.loads((path / "rate").read_text()))


@made(EITHER, X)
def late_builtins_open():
    name = str(folder() / "rate")

    def f(x):
        with builtins.open(name) as file:
            return x * float(file.read())

    return f, later(lambda i: Path(name).write_text(str(i)))


@made(EITHER, X)
def late_environment_of_an_inner_import():
    os.environ["FUNCNET_LATE"] = "1"

    def f(x):
        import os

        return x * float(os.environ["FUNCNET_LATE"])

    return f, later(lambda i: os.environ.__setitem__("FUNCNET_LATE", str(i)))


@made(EITHER, X)
def late_environment_in_a_path():
    os.environ["FUNCNET_LATE"] = "1"
    return lambda x: x * float(os.path.expandvars("$FUNCNET_LATE")), later(
        lambda i: os.environ.__setitem__("FUNCNET_LATE", str(i))
    )


@made(EITHER, X)
def late_builtins_eval():
    held = {"rate": 1.0}
    return lambda x: x * builtins.eval("rate", held), later(lambda i: held.update(rate=i))


@made(EITHER, X)
def late_object_ufunc():
    held = {"rate": 1.0}
    scaled = np.frompyfunc(lambda v: v * held["rate"], 1, 1)
    return lambda x: x * scaled(np.arange(5.0)).astype(float), later(lambda i: held.update(rate=i))


@made(EITHER, X)
def late_function_of_a_vectorized_one():
    scaled, table = np.vectorize(lambda v: v * 2.0), np.arange(5.0)
    return lambda x: x * scaled(table), later(lambda i: setattr(scaled, "pyfunc", lambda v: v * i))


@made(EITHER, X)
def late_rate_in_the_place_of_a_function_of_numpy():
    @functools.wraps(np.tanh)
    def tanh(x):
        return np.tanh(x) * SCALE

    globals()["SCALE"] = 1.0
    return lambda x: tanh(x) + 1.0, later(lambda i: globals().update(SCALE=float(i)))


@made(EITHER, tuple((x + 9.0 * (i > 2),) for i, (x,) in enumerate((*X, *X))))
def late_use_of_a_type():
    def f(x):
        kind = type(x)
        x = np.tanh(x) * 0.0 + x
        scale = 2.0 if kind is np.ndarray else 1.0
        return np.where(x > 5.0, x * scale, x)

    return f


@made(EITHER, tuple((x + 9.0 * (i > 2),) for i, (x,) in enumerate((*X, *X))))
def late_use_of_a_type_by_another_name():
    kind_of = type

    def f(x):
        return np.where(x > 5.0, x * (2.0 if kind_of(x) is np.ndarray else 1.0), x)

    return f


@made(EITHER, X)
def late_bound_length():
    rates = [1.0]
    count = rates.__len__
    return lambda x: x * count(), later(rates.append)


@made(EITHER, X)
def late_record():
    table = np.array([(1.0, 2)], dtype=[("rate", float), ("n", int)])
    row = table[0]
    return lambda x: x * row["rate"], later(lambda i: table["rate"].fill(i))


@made(EITHER, X)
def late_method_by_name():
    class Model:
        """Gets a function later."""

    model = Model()
    model.act = np.tanh
    return lambda x: operator.methodcaller("a" + "ct", x)(model), later(lambda i: setattr(model, "act", np.exp))


@made(EITHER, X)
def late_pickle():
    model = types.SimpleNamespace(rate=1)
    return lambda x: x * len(pickle.dumps(model)), later(lambda i: setattr(model, "rate", "r" * i))


@made(EITHER, X)
def late_reduced():
    class Model:
        """Gets a rate later."""

    model = Model()
    model.rate = 1.0
    return lambda x: x * sum(model.__reduce_ex__(4)[2].values()), later(lambda i: setattr(model, "rate", i))


@made(EITHER, X)
def late_dunder_names():
    class Model:
        __gain__ = 1.0

    model = Model()
    model.__shift__ = 0.0

    def change(i):
        Model.__gain__, model.__shift__ = i, -i

    return lambda x: x * Model.__gain__ + model.__shift__, later(change)


@made(EITHER, X)
def late_names_of_functions_and_classes():
    class Model:
        """A class."""

    def act(x):
        """A function."""
        return x

    def change(i):
        if i == 3:
            act.__name__ = "activation"
        elif i == 4:
            Model.__name__ = "Network"
        else:
            act.__doc__ = ""

    return lambda x: act(x) * len(act.__name__) * len(Model.__name__) * len(act.__doc__), later(change)


@made(EITHER, X)
def late_default_factory():
    rates = collections.defaultdict(lambda: 1.0)
    return lambda x: x * rates.default_factory(), later(lambda i: setattr(rates, "default_factory", lambda: i))


@made(EITHER, X)
def late_registration():
    class Scale(metaclass=abc.ABCMeta):
        """A class that others are registered with."""

    class Own:
        """Becomes one of its kind."""

    own = Own()
    return lambda x: x * 2 if isinstance(own, Scale) else x, later(lambda i: Scale.register(Own))


@made(EITHER, X)
def late_subclass():
    class Base:
        """Has subclasses later."""

    kept: list[Any] = []
    return lambda x: x * (1 + len(Base.__subclasses__())), later(lambda i: kept.append(type("Inner", (Base,), {})))


@made(EITHER, X)
def late_global_of_a_function():
    def helper():
        """Reads nothing."""

    def change(i):
        global RATE
        RATE = float(i)

    globals()["RATE"] = 1.0
    return lambda x: x * helper.__globals__["RATE"], later(change)
