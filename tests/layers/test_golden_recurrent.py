"""Recurrent layers against PyTorch: outputs and gradients recorded in ``tests/golden/recurrent.npz``."""

import numpy as np
import pytest

import funcnet as fn
from funcnet.layers import recurrent_kernels
from funcnet.spec import evolve
from tests.golden import TOLERANCES, assert_agrees, cast, in_order, load_golden

GOLDEN = load_golden("recurrent")
LAYERS = {
    "rnn": fn.RNN(3),
    "rnn_relu": fn.RNN(3, activation="relu"),
    "lstm": fn.LSTM(3),
    "gru": fn.GRU(3),
}
HOW = (
    "plain", "last", "two_layers", "masked", "masked_last", "carry", "masked_carry", "both", "both_masked", "both_last",
)  # fmt: skip


def built(kind: str, how: str) -> tuple[fn.Layer, tuple[str, ...]]:
    """The layer of a case, and where the params of its parts stand."""
    layer = evolve(LAYERS[kind], return_sequences="last" not in how, carry="carry" in how)
    if how == "two_layers":
        return fn.serial(a=layer, b=layer), ("a", "b")
    return (fn.Bidirectional(layer), ("forward", "backward")) if "both" in how else (layer, ())


def test_every_recorded_case_is_run():
    assert sorted(GOLDEN) == sorted(f"{kind}_{how}" for kind in LAYERS for how in HOW)


def parts(value: dict[str, object], names: tuple[str, ...]) -> object:
    listed = in_order(value)
    return dict(zip(names, listed, strict=True)) if names else listed[0]


@pytest.mark.parametrize("numbers", [recurrent_kernels.NUMBERS, 100, 1])  # all steps in a block, a few, one
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("kind", LAYERS)
def test_layer_agrees_with_pytorch(kind, how, dtype, numbers, monkeypatch):
    monkeypatch.setattr(recurrent_kernels, "NUMBERS", numbers)
    layer, names = built(kind, how)
    case = cast(GOLDEN[f"{kind}_{how}"], dtype)
    params, x, dy = parts(case["params"], names), case["x"], case["dy"]
    masked, whole = "mask" in case, "last" not in how
    expected = {"y": case["y"], "dx": case["dx"], "dparams": parts(case["dparams"], names)}
    x = (x, case["mask"]) if masked else x
    dy = (dy, None) if masked and whole else dy
    if "carry" in how:
        pair = kind == "lstm"
        start, dend = (in_order(case[name]) if pair else case[name]["0"] for name in ("carry", "dend"))
        x, dy = (x, start), (dy, dend)
        expected |= {"end": case["end"], "dcarry": case["dcarry"]}
    y, _, residuals = layer.apply(params, {}, x, fn.EVAL)
    dparams, dx = layer.vjp(params, residuals, dy)
    actual = {"dparams": dparams}
    if "carry" in how:
        y, end = y
        dx, dstart = dx
        as_dict = lambda value: {str(i): a for i, a in enumerate(value if pair else (value,))}  # noqa: E731
        actual |= {"end": as_dict(end), "dcarry": as_dict(dstart)}
    actual |= {"y": y[0] if masked and whole else y, "dx": dx[0] if masked else dx}
    rtol, atol = TOLERANCES[dtype]
    assert_agrees(actual, expected, rtol=rtol, atol=atol)
    assert {array.dtype for array in fn.tree.leaves(actual)} == {np.dtype(dtype)}
