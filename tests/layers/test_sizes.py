"""Sizes that no memory has room for: an error before work, by what a layer makes, not only by its parameters."""

import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import funcnet as fn
from funcnet.cli import main
from funcnet.layers import base
from funcnet.spec.base import evolve, fields
from tests.table import LAYERS

HUGE = 10**9


def enlarged(layer: fn.Layer) -> Iterator[tuple[str, Callable[[], fn.Layer]]]:
    """The layer with one of its whole numbers after another made huge, and those of the layers inside it."""
    for name, *_ in fields(type(layer)):
        value = getattr(layer, name)
        given: list[Any] = []
        if isinstance(value, fn.Layer):
            for inner, make in enlarged(value):
                yield f"{name}.{inner}", lambda name=name, make=make: evolve(layer, **{name: make()})
        elif (isinstance(value, int) and not isinstance(value, bool)) or value is None:
            given = [HUGE]
        elif isinstance(value, tuple) and value and all(isinstance(n, int) for n in value):
            given = [(HUGE,) * len(value), (HUGE, *value[1:])]
        if name in ("padding", "cropping"):
            given.append(HUGE)
        for i, huge in enumerate(given):
            yield f"{name}{i}", lambda name=name, huge=huge: evolve(layer, **{name: huge})


@pytest.mark.parametrize("tag", LAYERS)
def test_a_huge_number_in_any_field_is_an_error_or_harmless(tag: str) -> None:
    """Parameters up to 8 GB are allowed, so leaves that large are not made here."""
    row, begin = LAYERS[tag], time.process_time()
    for _, make in enlarged(row.layer):
        with contextlib.suppress(fn.FuncnetError):
            net = fn.serial(make())
            net.out_shape(row.in_shape)
            if sum(map(np.prod, [leaf.shape for leaf in fn.tree.flatten(net.leaves(row.in_shape)).values()])) < 10**7:
                params, state = net.init(fn.Key(0), row.in_shape)
                fn.predict(net, params, state, row.input(fn.Key(1), 2, np.float32))
    assert time.process_time() - begin < 5


MADE = {
    "upsample": (
        fn.Upsample(HUGE, "linear"),
        (4, 1),
        "upsample_0 (Upsample): makes a matrix of 4000000000 x 4 for each row, 16000000000 numbers; "
        "the limit is 536870912; make scale (1000000000) smaller",
    ),
    "adaptive": (
        fn.AdaptiveAveragePool2D((2, HUGE)),
        (3, 1, 1),
        "adaptive_average_pool_2d_0 (AdaptiveAveragePool2D): makes a matrix of 1000000000 x 1 for each row, "
        "1000000000 numbers; the limit is 536870912; make out_size (1000000000) smaller",
    ),
    "dilation": (
        fn.Conv2D(2, 3, dilation=HUGE),
        (8, 8, 1),
        "conv_2d_0 (Conv2D): makes a padded input of 2000000008 x 2000000008 for each row, 4000000032000000064 "
        "numbers; the limit is 536870912; make dilation (1000000000) smaller",
    ),
    "transposed": (
        fn.ConvTranspose1D(2, 3, dilation=HUGE),
        (8, 1),
        "conv_transpose_1d_0 (ConvTranspose1D): makes a padded output of 2000000008 for each row, 2000000008 numbers; "
        "the limit is 536870912; make dilation (1000000000) smaller",
    ),
    "pad": (
        fn.Pad(HUGE),
        (8, 1),
        "pad_0 (Pad): makes an output of 2000000008 x 1 for each row, 2000000008 numbers; the limit is 536870912; "
        "make padding (1000000000) smaller",
    ),
    "window": (
        fn.MaxPool1D(HUGE, padding="same"),
        (8, 1),
        "max_pool_1d_0 (MaxPool1D): expected windows of up to 1048576 entries, got pool_size 1000000000, which has "
        "1000000000; for all positions use GlobalMaxPool()",
    ),
    "input": (
        fn.Relu(),
        (2**30,),
        "relu_0 (Relu): makes an output of 1073741824 for each row, 1073741824 numbers; the limit is 536870912; "
        "make the input smaller",
    ),
}


@pytest.mark.parametrize("name", MADE)
def test_what_a_layer_makes(name: str) -> None:
    layer, in_shape, message = MADE[name]
    net = fn.serial(layer)
    init, source = (lambda shape: net.init(fn.Key(0), shape)), (lambda shape: fn.source(net, shape))
    for call in (init, source, lambda shape: fn.summary(net, shape)):
        with pytest.raises(fn.ShapeError) as caught:
            call(in_shape)
        assert str(caught.value) == message
    with pytest.raises(fn.ShapeError):
        layer.init(fn.Key(0), in_shape)


def times(n: int, layer: fn.Layer) -> fn.Layer:
    return fn.Repeat(layer, n)


COPIES: dict[str, tuple[Callable[[], fn.Layer], str]] = {
    "repeat": (
        lambda: times(HUGE, fn.Relu()),
        "Repeat.times: holds 1000000001 specs, 1000000000 times the 1 inside; the limit is 100000",
    ),
    "shared": (
        lambda: fn.Repeat(fn.Relu(), HUGE, shared=True),
        "Repeat.times: holds 1000000001 specs, 1000000000 times the 1 inside; the limit is 100000",
    ),
    "nested": (
        lambda: times(1000, times(1000, times(1000, fn.Relu()))),
        "Repeat.times: holds 1001001 specs, 1000 times the 1001 inside; the limit is 100000",
    ),
    "several": (
        lambda: fn.serial(times(60_000, fn.Relu()), times(60_000, fn.Tanh())),
        "Serial: holds 120003 specs; the limit is 100000",
    ),
    "members": (
        lambda: fn.Ensemble(times(1000, fn.Relu()), 1000),
        "Ensemble.members: holds 1001001 specs, 1000 times the 1001 inside; the limit is 100000",
    ),
}


@pytest.mark.parametrize("name", COPIES)
def test_copies_count_without_being_made(name: str) -> None:
    make, message = COPIES[name]
    begin = time.process_time()
    with pytest.raises(fn.SpecError) as caught:
        make()
    assert str(caught.value) == message
    assert time.process_time() - begin < 1


def test_the_size_of_each_layer_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However deep it is: each level checking all below it would take the square of the depth."""
    seen: Counter[str] = Counter()
    monkeypatch.setattr(base, "check_made", lambda layer, shape: seen.update([type(layer).__name__]))
    inner = fn.serial(fn.Residual(fn.serial(fn.Dense(3), fn.Relu())), fn.Repeat(fn.LayerNorm(), 2))
    fn.serial(inner, fn.Ensemble(fn.Tanh(), 2)).init(fn.Key(0), (3,))
    once = dict.fromkeys(("Residual", "Dense", "Relu", "Repeat", "LayerNorm", "Ensemble", "Tanh"), 1)
    assert seen == {"Serial": 3, **once}


def test_honest_sizes_are_allowed() -> None:
    allowed: list[tuple[fn.Layer, Any]] = [
        (fn.Dense(10_000), (10_000,)),
        (fn.Embedding(50_000, 512) >> fn.Dense(50_000), (8192,)),
        (fn.MultiHeadAttention(8), (8192, 64)),
        (fn.Conv2D(32, 3), (4096, 4096, 3)),
        (fn.MaxPool2D(2), (4096, 4096, 3)),
        (fn.Conv1D(4, 1000, padding="causal", dilation=1000), (8192, 4)),
        (fn.Upsample(2), (2048, 2048, 3)),
        (fn.AdaptiveAveragePool2D(1), (4096, 4096, 3)),
        (times(500, fn.serial(fn.Dense(64), fn.Relu())), (64,)),
        (fn.serial(*[fn.Dense(8)] * 1000), (8,)),
        (fn.Ensemble(fn.serial(fn.Dense(8), fn.Relu(), fn.Dense(1)), 1000), (8,)),
    ]
    for layer, in_shape in allowed:
        assert fn.shapes.entries(layer.out_shape(in_shape)) > 0
        assert layer.leaves(in_shape) is not None


BASE: dict[str, Any] = {
    "version": 1,
    "data": {"type": "digits"},
    "loss": "softmax_cross_entropy",
    "optimizer": "adam",
    "training": {"epochs": 1},
}
HOSTILE: dict[str, dict[str, Any]] = {
    "dilation": {"model": [{"type": "conv_2d", "filters": 1, "kernel_size": 3, "dilation": HUGE}]},
    "adaptive": {"model": [{"type": "adaptive_average_pool_2d", "out_size": HUGE}]},
    "upsample": {"model": [{"type": "upsample", "scale": HUGE}]},
    "pad": {"model": [{"type": "pad", "padding": HUGE}]},
    "crop": {"model": [{"type": "crop", "cropping": HUGE}]},
    "repeat": {"model": [{"type": "repeat", "times": HUGE, "layer": "relu"}]},
    "members": {"model": [{"type": "ensemble", "members": HUGE, "layer": "relu"}]},
    "shards": {"training": {"epochs": 1, "shards": HUGE}},
    "bootstrap": {"data": {"type": "digits", "split": {"bootstrap": HUGE}}},
    "rounds": {"optimizer": {"type": "muon", "iterations": HUGE}},
    "mixup": {"training": {"epochs": 1, "augment": [{"type": "mixup", "classes": HUGE}]}},
    "length": {"data": {"type": "text", "length": HUGE}},
    "rows": {"data": {"type": "moons", "rows": HUGE}},
}


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (command, name)
        for command in ("check", "train", "source")
        for name in HOSTILE
        if command != "source" or name != "bootstrap"
    ],
)
def test_commands_refuse_a_hostile_spec_before_work(
    command: str, name: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The source of a network does not depend on its split."""
    resource = pytest.importorskip("resource", reason="Windows does not count a process's memory this way")
    monkeypatch.chdir(tmp_path)
    layers = HOSTILE[name].get("model", ["flatten", {"type": "dense", "units": 10}])
    spec = BASE | HOSTILE[name] | {"model": {"type": "serial", "layers": layers}}
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    begin, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert main([command, "spec.json"]) == 1
    assert time.process_time() - begin < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000
    assert len(capsys.readouterr().err) < 400
    assert [path.name for path in tmp_path.iterdir() if path.name != "runs"] == ["spec.json"]


def test_shards_beyond_the_rows_cost_nothing() -> None:
    """Empty parts are not visited: as many as there are rows have one each."""
    net, rule = fn.serial(fn.Dense(2)), fn.optim.SGD(0.1)
    x, y = np.ones((4, 3), np.float32), np.zeros((4, 2), np.float32)
    ts = fn.train_state(net, rule, fn.Key(0), (3,))
    one, _ = fn.train_step(net, fn.losses.MeanSquaredError(), rule, shards=4)(ts, (x, y))
    many, _ = fn.train_step(net, fn.losses.MeanSquaredError(), rule, shards=HUGE)(ts, (x, y))
    assert fn.tree.flatten(one.params).keys() == fn.tree.flatten(many.params).keys()
    for a, b in zip(fn.tree.leaves(one.params), fn.tree.leaves(many.params), strict=True):
        assert np.array_equal(a, b)
