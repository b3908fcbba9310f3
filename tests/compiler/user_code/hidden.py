"""Hidden inputs: globals, closures, attributes and what they hold, which change between calls."""

# Code as users write it, which linters would write otherwise.
# ruff: noqa: B006, B009, E731

from __future__ import annotations

import collections
import contextvars
import enum
import functools
import math
import operator
import threading
import types
import weakref
from typing import Any

import attrs
import numpy as np

import funcnet as fn
from tests.compiler.user_code.rows import EITHER, X, made
from tests.compiler.user_code.structures import Config, Holder

ALPHA, TABLE, LAYERS, FLAGS, SETTINGS, DEBUG = 2.0, np.arange(5.0), [1.0], {"relu"}, {"rate": 1.0}, False
MODE = "relu"
BEST: Any = None
CALLS = 0


class Settings:
    """A class whose attributes are settings."""

    rate = 1.0
    table = np.arange(5.0)


class Model:
    """A model of the kind that keeps its weights."""

    def __init__(self):
        self.w, self.calls, self.options = np.arange(5.0), 0, {"scale": 1.0}

    def forward(self, x):
        return x * self.w * self.options["scale"]

    def counted(self, x):
        self.calls += 1
        return x * self.calls

    def __call__(self, x):
        return self.forward(x) + 1.0

    @property
    def scale(self):
        return self.options["scale"] * 2.0

    def scaled(self, x):
        return x * self.scale

    @functools.cached_property
    def once(self):
        return self.w * 2.0

    def cached(self, x):
        return x * self.once


class Slots:
    """An object without a dict."""

    __slots__ = ("rate",)


class Dynamic:
    """Attributes that are made as they are asked for."""

    def __init__(self):
        self.__dict__["values"] = {"rate": 1.0}

    def __getattr__(self, name):
        return self.__dict__["values"][name]


def helper(x):
    return x * ALPHA


def set_global(name: str, value: Any) -> None:
    globals()[name] = value


@made(EITHER, X)
def global_number():
    set_global("ALPHA", 2.0)
    return (lambda x: x * ALPHA), lambda i: set_global("ALPHA", 2.0 + i)


@made(EITHER, X)
def global_number_in_a_helper():
    set_global("ALPHA", 2.0)
    return (lambda x: helper(x) + 1.0), lambda i: set_global("ALPHA", 2.0 + i)


@made(EITHER, X)
def global_array_rebound():
    set_global("TABLE", np.arange(5.0))
    return (lambda x: x * TABLE), lambda i: set_global("TABLE", np.arange(5.0) + i)


@made(EITHER, X)
def global_array_filled():
    set_global("TABLE", np.arange(5.0))
    return (lambda x: x * TABLE), lambda i: TABLE.fill(i)


@made(EITHER, X)
def global_list_appended():
    set_global("LAYERS", [1.0])
    return (lambda x: x * sum(LAYERS)), lambda i: LAYERS.append(float(i))


@made(EITHER, X)
def global_list_entry():
    set_global("LAYERS", [1.0])
    return (lambda x: x * LAYERS[0]), lambda i: operator.setitem(LAYERS, 0, 1.0 + i)


@made(EITHER, X)
def global_list_length():
    set_global("LAYERS", [1.0])
    return (lambda x: x * len(LAYERS)), lambda i: LAYERS.append(1.0)


@made(EITHER, X)
def global_dict_entry():
    set_global("SETTINGS", {"rate": 1.0})
    return (lambda x: x * SETTINGS["rate"]), lambda i: SETTINGS.update(rate=1.0 + i)


@made(EITHER, X)
def global_dict_get():
    set_global("SETTINGS", {"rate": 1.0})
    return (lambda x: x * SETTINGS.get("warm", 1.0)), lambda i: SETTINGS.update(warm=1.0 + i)


@made(EITHER, X)
def global_set_member():
    set_global("FLAGS", {"relu"})
    return (lambda x: np.maximum(x, 0) if "relu" in FLAGS else x), lambda i: FLAGS.symmetric_difference_update({"relu"})


@made(EITHER, X)
def global_flag():
    set_global("DEBUG", False)
    return (lambda x: -x if DEBUG else x), lambda i: set_global("DEBUG", not DEBUG)


@made(EITHER, X)
def global_mode():
    set_global("MODE", "relu")
    return (lambda x: np.maximum(x, 0) if MODE == "relu" else x), lambda i: set_global(
        "MODE", "relu" if i % 2 else "none"
    )


@made(EITHER, X)
def global_function_rebound():
    def double(x):
        return x * 2

    set_global("BEST", double)
    return (lambda x: BEST(x) + 1), lambda i: set_global("BEST", np.tanh if i % 2 else double)


@made(EITHER, X)
def global_that_appears():
    globals().pop("LATER", None)

    def f(x):
        return x * globals().get("LATER", 1.0)

    return f, lambda i: set_global("LATER", 1.0 + i)


@made(EITHER, X)
def builtin_shadowed():
    globals().pop("abs", None)

    def f(x):
        return abs(x)

    def change(i):
        if i == 3:
            set_global("abs", np.negative)
        elif i == 4:
            del globals()["abs"]

    return f, change


@made(EITHER, X)
def global_by_name():
    set_global("ALPHA", 2.0)
    return (lambda x: x * globals()["ALPHA"]), lambda i: set_global("ALPHA", 2.0 + i)


@made(EITHER, X)
def global_by_eval():
    set_global("ALPHA", 2.0)
    return (lambda x: x * eval("ALPHA")), lambda i: set_global("ALPHA", 2.0 + i)


@made(EITHER, X)
def closure_rebound():
    scale = 1.0

    def f(x):
        return x * scale

    def change(i):
        nonlocal scale
        scale = 1.0 + i

    return f, change


@made(EITHER, X)
def closure_to_another_type():
    scale: Any = 1.0

    def f(x):
        return x * scale

    def change(i):
        nonlocal scale
        scale = (2, np.arange(5.0), np.float32(3), True)[i % 4]

    return f, change


@made(EITHER, X)
def closure_array_filled():
    table = np.arange(5.0)
    return (lambda x: x * table), lambda i: table.fill(i)


@made(EITHER, X)
def closure_array_through_a_view():
    base = np.arange(10.0)
    table = base[::2]
    return (lambda x: x * table), lambda i: base.fill(i)


@made(EITHER, X)
def closure_array_returned():
    table = np.arange(5.0)
    table.flags.writeable = False
    return (lambda x: (x * 2, table)), None


@made(EITHER, X)
def closure_mask_changed():
    mask = np.array([True, False, True, False, True])
    return (lambda x: x[:, mask]), lambda i: operator.setitem(mask, i % 5, not mask[i % 5])


@made(EITHER, X)
def closure_index_changed():
    order = [0, 1, 2, 3]
    return (lambda x: x[order]), lambda i: order.reverse()


@made(EITHER, X)
def closure_large_array():
    table = np.zeros(100_000)
    return (lambda x: x + table[::20_000]), lambda i: operator.setitem(table, 60_000, i)


@made(EITHER, X)
def closure_nested():
    store = {"layers": [{"w": np.ones(5), "scale": 1.0}]}

    def change(i):
        if i % 2:
            store["layers"][0]["w"][:] = i
        else:
            store["layers"][0]["scale"] = i

    return (lambda x: x * store["layers"][0]["w"] * store["layers"][0]["scale"]), change


@made(EITHER, X)
def closure_list_of_arrays():
    weights = [np.ones(5), np.ones(5)]

    def f(x):
        for w in weights:
            x = np.tanh(x * w)
        return x

    return f, lambda i: weights.append(np.full(5, 0.1 * i)) if i % 2 else weights[0].fill(i)


@made(EITHER, X)
def closure_function_rebound():
    scale = 1.0
    act = lambda x: x * scale

    def f(x):
        return act(x)

    def change(i):
        nonlocal scale, act
        scale = 1.0 + i
        act = np.tanh if i % 3 == 0 else lambda x: x * scale

    return f, change


@made(EITHER, X)
def default_list_changed():
    def f(x, weights=[1.0]):
        return x * sum(weights)

    return f, lambda i: f.__defaults__[0].append(float(i))


@made(EITHER, X)
def defaults_replaced():
    def f(x, scale=1.0):
        return x * scale

    return f, lambda i: setattr(f, "__defaults__", (1.0 + i,))


@made(EITHER, X)
def code_replaced():
    def f(x):
        return x * 2

    def other(x):
        return x * 5

    return f, lambda i: setattr(f, "__code__", other.__code__) if i == 3 else None


@made(EITHER, X)
def function_attribute():
    def f(x):
        return x * f.scale

    f.scale = 1.0
    return f, lambda i: setattr(f, "scale", 1.0 + i)


@made(EITHER, X)
def class_attribute():
    Settings.rate = 1.0
    return (lambda x: x * Settings.rate), lambda i: setattr(Settings, "rate", 1.0 + i)


@made(EITHER, X)
def class_array():
    Settings.table = np.arange(5.0)
    return (lambda x: x * Settings.table), lambda i: Settings.table.fill(i)


@made(EITHER, X)
def instance_over_class_attribute():
    Settings.rate, settings = 1.0, Settings()
    return (lambda x: x * settings.rate), lambda i: setattr(settings if i % 2 else Settings, "rate", 1.0 + i)


@made(EITHER, X)
def object_attribute():
    config = types.SimpleNamespace(rate=1.0)
    return (lambda x: x * config.rate), lambda i: setattr(config, "rate", 1.0 + i)


@made(EITHER, X)
def object_attribute_by_name():
    config = types.SimpleNamespace(rate=1.0)
    return (lambda x: x * vars(config)["rate"] * getattr(config, "rate")), lambda i: setattr(config, "rate", 1.0 + i)


@made(EITHER, X)
def slot_attribute():
    slots = Slots()
    slots.rate = 1.0
    return (lambda x: x * slots.rate), lambda i: setattr(slots, "rate", 1.0 + i)


@made(EITHER, X)
def dataclass_attribute():
    config = Config(1.0, np.ones(5))

    def change(i):
        config.rate = 1.0 + i
        config.table[i % 5] = 7.0

    return (lambda x: x * config.rate * config.table), change


@made(EITHER, X)
def dynamic_attribute():
    dynamic = Dynamic()
    return (lambda x: x * dynamic.rate), lambda i: dynamic.values.update(rate=1.0 + i)


@made(EITHER, X)
def property_of_an_object():
    model = Model()
    return model.scaled, lambda i: model.options.update(scale=float(i))


@made(EITHER, X)
def bound_method():
    model = Model()

    def change(i):
        if i % 2:
            model.w = model.w + i
        else:
            model.w *= 2.0

    return model.forward, change


@made(EITHER, X)
def bound_method_nested_dict():
    model = Model()
    return model.forward, lambda i: model.options.update(scale=1.0 + i)


@made(EITHER, X)
def callable_object():
    model = Model()
    return model, lambda i: model.w.fill(i)


@made(EITHER, X)
def method_replaced():
    model = Model()
    return (lambda x: model.forward(x)), lambda i: setattr(model, "forward", np.tanh if i % 2 else np.exp)


@made(EITHER, X)
def class_method_replaced():
    class Own:
        def scale(self, x):
            return x * 2

    own = Own()
    return (lambda x: own.scale(x)), lambda i: setattr(Own, "scale", lambda self, x: x * i)


@made(EITHER, X)
def class_of_an_object_changed():
    class One:
        rate = 1.0

    class Two:
        rate = 2.0

    own = One()
    return (lambda x: x * own.rate), lambda i: setattr(own, "__class__", Two if i % 2 else One)


@made(EITHER, X)
def partial_with_an_array():
    table = np.arange(5.0)
    return functools.partial(lambda table, x: x * table, table), lambda i: table.fill(i)


@made(EITHER, X)
def partial_with_keywords():
    options = {"scale": 2.0}
    return functools.partial(lambda x, options: x * options["scale"], options=options), lambda i: options.update(
        scale=i
    )


@made(EITHER, X)
def module_variable():
    module = types.ModuleType("settings")
    module.rate = 1.0
    return (lambda x: x * module.rate), lambda i: setattr(module, "rate", 1.0 + i)


@made(EITHER, X)
def numpy_polynomial_object():
    polynomial = np.polynomial.Polynomial([1.0, 2.0])
    return (lambda x: x * polynomial(0.5)), lambda i: operator.setitem(polynomial.coef, 0, i)


@made(EITHER, X)
def weak_value():
    holder = Holder(np.arange(5.0))
    reference = weakref.ref(holder)
    return (lambda x: x * reference().array), lambda i: setattr(holder, "array", np.arange(5.0) * i)


@made(EITHER, X)
def context_variable():
    rate = contextvars.ContextVar("rate", default=1.0)
    return (lambda x: x * rate.get()), lambda i: rate.set(1.0 + i)


@made(EITHER, X)
def thread_local():
    local = threading.local()
    local.rate = 1.0
    return (lambda x: x * local.rate), lambda i: setattr(local, "rate", 1.0 + i)


@made(EITHER, X)
def enum_setting():
    class Mode(enum.Enum):
        RELU = 1
        NONE = 2

    mode = Mode.RELU

    def f(x):
        return np.maximum(x, 0) if mode is Mode.RELU else x

    def change(i):
        nonlocal mode
        mode = Mode.NONE if i % 2 else Mode.RELU

    return f, change


@made(EITHER, X)
def deque_of_arrays():
    recent = collections.deque([np.ones(5)], maxlen=2)
    return (lambda x: x * sum(recent)), lambda i: recent.append(np.full(5, i))


@made(EITHER, X)
def object_with_items():
    class Store:
        def __init__(self):
            self.values = [1.0]

        def __getitem__(self, i):
            return self.values[i]

        def __len__(self):
            return len(self.values)

    store = Store()
    return (lambda x: x * store[-1] * len(store)), lambda i: store.values.append(float(i))


@made(EITHER, X)
def dict_iterated():
    weights = {"a": np.ones(5)}
    return (lambda x: sum(x * w for w in weights.values())), lambda i: weights.__setitem__(f"w{i}", np.full(5, i))


@made(EITHER, X)
def cell_not_yet_bound():
    def f(x):
        try:
            return x * scale
        except NameError:
            return x

    def change(i):
        nonlocal scale
        scale = 1.0 + i

    if f is None:
        scale = 0.0
    return f, change


@made(EITHER, X)
def array_dtype_changed():
    store = {"w": np.ones(5)}
    return (lambda x: x * store["w"]), lambda i: store.update(w=np.full(5, i, np.float32 if i % 2 else np.int64))


@made(EITHER, X)
def array_shape_changed():
    store = {"w": np.ones(5)}
    return (lambda x: x * store["w"]), lambda i: store.update(w=np.full((4, 1) if i % 2 else (5,), i, float))


@made(EITHER, X)
def generator_function_inside():
    weights = [1.0, 2.0]

    def parts(x):
        for w in weights:
            yield x * w

    return (lambda x: sum(parts(x))), lambda i: weights.append(float(i))


@made(EITHER, X)
def numpy_error_state():
    return (lambda x: x / (x - x)), None


@made(EITHER, X)
def print_options():
    return (lambda x: x * np.get_printoptions()["precision"]), None


# Classes, writes, and what the library's own objects hold.


@made(EITHER, X)
def class_attribute_none():
    class Config:
        scale = None
        act = np.tanh
        gain = np.float32(1)

    def change(i):
        Config.scale, Config.act, Config.gain = (None, 2.0)[i % 2], (np.tanh, np.sin)[i // 2 % 2], np.float32(i)

    return lambda x: Config.act(x) * Config.gain * (1.0 if Config.scale is None else Config.scale), change


@made(EITHER, X)
def class_attribute_counted():
    class Count:
        n = None

    def f(x):
        Count.n = 1 if Count.n is None else Count.n + 1
        return x * Count.n

    return f


@made(EITHER, X)
def attribute_that_comes_to_a_class():
    class Base:
        rate = 1.0

    class Inner(Base):
        pass

    inner = Inner()

    def change(i):
        if i == 4:
            Inner.rate = 5.0

    return lambda x: x * inner.rate * getattr(Inner, "gain", 1.0), change


LAST = None


@made(EITHER, X)
def global_only_written():
    def f(x):
        global LAST
        LAST = x.sum()
        return x * 2

    def check(x):
        y = f(x)
        return y, LAST

    return check


@made(EITHER, X)
def params_of_a_train_state():
    net = fn.Dense(5)
    ts = fn.train_state(net, fn.optim.SGD(0.1), fn.Key(0), (5,), np.float64)

    def change(i):
        ts.params["weight"][0] = float(i)

    return lambda x: x.sum() * ts.params["weight"].sum(), change


@made(EITHER, X)
def attrs_object_compared():
    @attrs.define
    class Options:
        rate: float = 1.0

    options, usual = Options(), Options()

    def change(i):
        options.rate = 1.0 + i // 3

    return lambda x: x if options == usual else x * 9.0, change


@made(EITHER, X)
def namespace_printed():
    options = types.SimpleNamespace(rate=1.0)

    def change(i):
        options.rate = 1.0 + i // 3

    return lambda x: x * len(repr(options)) if repr(options) == "namespace(rate=1.0)" else x, change


@made(EITHER, X)
def keywords_of_a_partial():
    part = functools.partial(lambda x, k: x * k, k=1.0)
    return lambda x: part(x), lambda i: part.keywords.update(k=float(i))


@made(EITHER, X)
def attribute_of_an_enum_member():
    class Mode(enum.Enum):
        A = 1

    Mode.A.scale = 1.0
    return lambda x: x * Mode.A.scale, lambda i: setattr(Mode.A, "scale", float(i))


@made(EITHER, X)
def getattr_by_another_name():
    get, model = getattr, types.SimpleNamespace(rate=1.0)
    return lambda x: x * get(model, "ra" + "te"), lambda i: setattr(model, "rate", float(i))


@made(EITHER, X)
def class_made_by_exec():
    names: dict[str, Any] = {"__name__": "builtins"}
    exec("class C: k = 1.0", names)
    kind = names["C"]
    return lambda x: x * kind.k, lambda i: setattr(kind, "k", float(i))


@made(EITHER, X)
def user_dict():
    class Options(collections.UserDict):
        pass

    options = Options(rate=1.0)
    return lambda x: x * options["rate"], lambda i: options.update(rate=float(i))


@made(EITHER, X)
def complex_zero():
    held = {"c": complex(1, 0.0)}

    def change(i):
        held["c"] = complex(1, -0.0 if i % 2 else 0.0)

    return lambda x: x * math.copysign(1.0, held["c"].imag), change


@made(EITHER, X)
def time_units():
    held = {"dt": np.timedelta64(1, "h")}

    def change(i):
        held["dt"] = np.timedelta64(1, "hD"[i % 2])

    return lambda x: x * (held["dt"] / np.timedelta64(1, "s")), change


@made(EITHER, X)
def large_array_unlocked():
    w = np.ones((400, 400))
    view = w[:]
    w.flags.writeable = False

    def change(i):
        view[...] = i

    return lambda x: x * w[:5, 0], change


@made(EITHER, X)
def a_rare_draw():
    drawn = []

    def f(x):
        return x * (0.0 if np.random.default_rng(len(drawn)).random() < 0.5 else 1.0)

    return f, lambda i: drawn.append(i)
