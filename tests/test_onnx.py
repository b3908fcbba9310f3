"""Layers against the ONNX operator suite: every single-node case that a layer can express, compared with its outputs.

The ``onnx`` wheel makes the cases in memory. A function for each operator turns a case, channels first, into a layer
on arrays channels last, and its output back. What is left out stands in ``onnx_left_out.json`` with the reason.
"""

import json
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import funcnet as fn
from funcnet import losses

onnx = pytest.importorskip("onnx", reason="the ONNX operator suite comes with the onnx wheel (extra: test)")

LEFT_OUT = json.loads(Path(__file__).with_name("onnx_left_out.json").read_text(encoding="utf-8"))


def collected():
    """``{name: (operator, attributes, inputs, {output: array}, rtol, atol)}`` of the cases of one node."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = collect_testcases(None)
    found = {}
    for case in cases:
        node, *others = case.model.graph.node
        if others or node.op_type not in OPERATORS or not case.data_sets:
            continue
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        attributes = {name: value.decode() if isinstance(value, bytes) else value for name, value in attributes.items()}
        arrays, outputs = case.data_sets[0]
        names = iter(arrays)
        inputs = [next(names) if name else None for name in node.input]
        wanted = dict(zip([name for name in node.output if name], outputs, strict=True))
        found[case.name] = (node.op_type, attributes, inputs, wanted, case.rtol, case.atol)
    return found


def apply(layer, x, params=None, state=None, train=False):
    y, _, _ = layer.apply(params or {}, state or {}, x, fn.Context(train))
    return y


def last(x):
    return np.moveaxis(x, 1, -1)


def first(y):
    return np.moveaxis(y, -1, 1)


def same_lower(lengths, sizes, strides):
    """Padding that puts the odd entry before, which ours puts after."""
    pads = []
    for n, size, stride in zip(lengths, sizes, strides, strict=True):
        total = max((-(-n // stride) - 1) * stride + size - n, 0)
        pads.append((total - total // 2, total // 2))
    return tuple(pads)


def padding(a, lengths, sizes, strides):
    if a.get("auto_pad") == "SAME_UPPER":
        return "same"
    if a.get("auto_pad") == "SAME_LOWER":
        return same_lower(lengths, sizes, strides)
    pads = a.get("pads", [0] * 2 * len(sizes))
    return tuple(zip(pads[: len(sizes)], pads[len(sizes) :], strict=True))


def window_options(a, x, sizes):
    n = len(sizes)
    strides = tuple(a.get("strides", [1] * n))
    pads = padding(a, x.shape[2:], sizes, strides)
    return {"strides": strides, "padding": pads, "dilation": tuple(a.get("dilations", [1] * n))}


def conv(a, x, w, b=None):
    sizes = w.shape[2:]
    layer = getattr(fn, f"Conv{len(sizes)}D")
    params = {"weight": np.moveaxis(w, (0, 1), (-1, -2))} | ({} if b is None else {"bias": b})
    options = window_options(a, x, sizes) | {"groups": a.get("group", 1), "use_bias": b is not None}
    return first(apply(layer(w.shape[0], sizes, **options), last(x), params))


def conv_transpose(a, x, w):
    sizes, groups = w.shape[2:], a.get("group", 1)
    n = len(sizes)
    strides, extra = a.get("strides", [1] * n), a.get("output_padding", [0] * n)
    dilation = a.get("dilations", [1] * n)
    pads = a.get("pads", [0] * 2 * n)
    before, after = list(pads[:n]), list(pads[n:])
    if "output_shape" in a or "auto_pad" in a:
        wanted = a.get("output_shape", [s * length for s, length in zip(strides, x.shape[2:], strict=True)])
        for i in range(n):
            whole = strides[i] * (x.shape[2 + i] - 1) + extra[i] + (sizes[i] - 1) * dilation[i] + 1 - wanted[i]
            extra = [max(e, -whole) if j == i else e for j, e in enumerate(extra)]
            whole = max(whole, 0)
            before[i], after[i] = whole // 2, whole - whole // 2
            if "output_shape" in a and a.get("auto_pad") != "SAME_UPPER":
                before[i], after[i] = after[i], before[i]
    layer = getattr(fn, f"ConvTranspose{n}D")(
        w.shape[1] * groups, sizes, strides=tuple(strides), padding=tuple(zip(before, after, strict=True)),
        output_padding=tuple(extra), dilation=tuple(dilation), groups=groups, use_bias=False,
    )  # fmt: skip
    return first(apply(layer, last(x), {"weight": np.moveaxis(w, (0, 1), (-2, -1))}))


def pool(kind):
    def run(a, x):
        sizes = tuple(a["kernel_shape"])
        options = window_options(a, x, sizes) | {"ceil_mode": bool(a.get("ceil_mode", 0))}
        if kind == "AveragePool":
            options["count_padding"] = bool(a.get("count_include_pad", 0))
        return first(apply(getattr(fn, f"{kind}{len(sizes)}D")(sizes, **options), last(x)))

    return run


def global_pool(layer):
    return lambda a, x: apply(layer, last(x)).reshape(*x.shape[:2], *(1,) * (x.ndim - 2))


def batch_norm(a, x, scale, bias, mean, var):
    train = bool(a.get("training_mode", 0))
    layer = fn.BatchNorm(momentum=a.get("momentum", 0.9), eps=a.get("epsilon", 1e-5))
    y, state, _ = layer.apply(
        {"scale": scale, "bias": bias}, {"running_mean": mean, "running_var": var}, last(x), fn.Context(train)
    )
    if not train:
        return first(y)
    n = x.size // x.shape[1]  # ONNX moves by the biased variance, ours as PyTorch by the unbiased one
    biased = a.get("momentum", 0.9) * var + (state["running_var"] - a.get("momentum", 0.9) * var) * ((n - 1) / n)
    return first(y), state["running_mean"], biased


def layer_norm(kind):
    def run(a, x, scale, bias=None):
        axes = x.ndim - a.get("axis", -1) % x.ndim
        use = {} if kind is fn.LayerNorm else {"use_bias": False}
        layer = kind(eps=a.get("epsilon", 1e-5), axes=axes, **use)
        batch = x if axes < x.ndim else x[None]  # ours keep a batch axis out of it
        y = apply(layer, batch, {"scale": scale} | ({} if bias is None else {"bias": bias}))
        return y.reshape(x.shape)

    return run


def group_norm(a, x, scale, bias):
    layer = fn.GroupNorm(a["num_groups"], eps=a.get("epsilon", 1e-5))
    return first(apply(layer, last(x), {"scale": scale, "bias": bias}))


def instance_norm(a, x, scale, bias):
    return first(apply(fn.InstanceNorm(eps=a.get("epsilon", 1e-5)), last(x), {"scale": scale, "bias": bias}))


GATES = {"RNN": [0], "LSTM": [0, 2, 3, 1], "GRU": [1, 0, 2]}  # where ours find theirs: LSTM i o f c, GRU z r h
KINDS = {"RNN": fn.RNN, "LSTM": fn.LSTM, "GRU": fn.GRU}


def recurrent(kind):
    def gates(w, units):
        parts = np.split(w, len(GATES[kind]), axis=0)
        return np.concatenate([parts[i] for i in GATES[kind]], axis=0)

    def run(a, x, w, r, b=None, lengths=None, h=None, c=None, p=None):
        units, batchwise = a["hidden_size"], a.get("layout", 0) == 1
        x = x if batchwise else x.swapaxes(0, 1)
        mask = None if lengths is None else np.arange(x.shape[1]) < lengths[:, None]
        ys, ends = [], []
        directions = {"bidirectional": [False, True], "reverse": [True]}.get(a.get("direction"), [False])
        for i, reverse in enumerate(directions):
            options = {"reset_after": bool(a.get("linear_before_reset", 0))} if kind == "GRU" else {}
            layer = KINDS[kind](units, reverse=reverse, carry=True, **options)
            params = {"weight": gates(w[i], units).T, "recurrent_weight": gates(r[i], units).T}
            both = np.zeros(2 * len(w[i]), x.dtype) if b is None else b[i]
            first_bias, second = (gates(part[:, None], units)[:, 0] for part in np.split(both, 2))
            if kind == "GRU" and options["reset_after"]:
                params["recurrent_bias"] = second[2 * units :]
                second = np.concatenate([second[: 2 * units], np.zeros(units, x.dtype)])
            params["bias"] = first_bias + second
            zeros = np.zeros((len(x), units), x.dtype)
            start = [zeros if part is None else part[i] for part in (h, c)]
            carry = tuple(start) if kind == "LSTM" else start[0]
            given = (x, carry) if mask is None else ((x, mask), carry)
            y, end = apply(layer, given, params)
            ys.append(y if mask is None else y[0])
            ends.append(end if kind == "LSTM" else (end,))
        y = np.stack(ys, axis=2 if batchwise else 1)
        y = y if batchwise else np.stack([part.swapaxes(0, 1) for part in ys], axis=1)
        end = [np.stack([one[j] for one in ends], axis=1 if batchwise else 0) for j in range(len(ends[0]))]
        return y, *end

    return run


def attention(a, q, k, v, mask=None, past_key=None, past_value=None, lengths=None):
    flat = q.ndim == 3
    if flat:
        q = q.reshape(*q.shape[:2], a["q_num_heads"], -1)
        k, v = (x.reshape(*x.shape[:2], a["kv_num_heads"], -1) for x in (k, v))
    else:
        q, k, v = (x.swapaxes(1, 2) for x in (q, k, v))
    past = 0
    if past_key is not None:
        past = past_key.shape[2]
        k = np.concatenate([past_key.swapaxes(1, 2), k], axis=1)
        v = np.concatenate([past_value.swapaxes(1, 2), v], axis=1)
    batch, queries, keys = q.shape[0], q.shape[1], k.shape[1]
    bias = np.zeros((batch, 1, queries, keys), q.dtype)
    if mask is not None:
        given = np.where(mask, 0.0, -np.inf) if mask.dtype == bool else mask
        missing = keys - given.shape[-1]
        given = np.pad(given, [(0, 0)] * (given.ndim - 1) + [(0, missing)], constant_values=-np.inf)
        bias = (bias + given).astype(q.dtype)
    at, seen = np.arange(queries)[:, None] + past, np.arange(keys)
    if a.get("left_window_size", -1) >= 0:
        bias = np.where(seen < at - a["left_window_size"], -np.inf, bias).astype(q.dtype)
    if a.get("right_window_size", -1) >= 0:
        bias = np.where(seen > at + a["right_window_size"], -np.inf, bias).astype(q.dtype)
    if lengths is not None:
        bias = np.where(seen < lengths[:, None, None, None], bias, -np.inf).astype(q.dtype)
    causal = bool(a.get("is_causal", 0))
    if causal and past:
        bias, causal = np.where(seen > at, -np.inf, bias).astype(q.dtype), False
    layer = fn.DotProductAttention(causal=causal, scale=a.get("scale"))
    if bias.any():
        bias = np.broadcast_to(bias, (batch, q.shape[2], queries, keys))
        y = apply(layer, (q, k, v, bias))
    else:
        y = apply(layer, (q, k, v))
    return y.reshape(batch, queries, -1) if flat else y.swapaxes(1, 2)


def rotary(a, x, cos, sin, ids=None):
    from funcnet.layers.embedding import rotate

    flat = x.ndim == 3
    heads = x.reshape(*x.shape[:2], a["num_heads"], -1).swapaxes(1, 2) if flat else x
    cos, sin = (table if ids is None else table[ids] for table in (cos, sin))
    y = rotate(heads, cos[:, None], sin[:, None], bool(a.get("interleaved", 0)))
    return y.swapaxes(1, 2).reshape(x.shape) if flat else y


def gather(a, data, indices):
    moved = np.moveaxis(data, a["axis"], 0)
    table = moved.reshape(len(moved), -1)
    y = apply(fn.Embedding(len(table), table.shape[1]), indices, {"weight": table})
    y = y.reshape(*indices.shape, *moved.shape[1:])
    return np.moveaxis(y, tuple(range(indices.ndim)), tuple(range(a["axis"], a["axis"] + indices.ndim)))


def over_axis(layer):
    def run(a, x):
        axis = a.get("axis", -1)
        return np.moveaxis(apply(layer, np.moveaxis(x, axis, -1)), -1, axis)

    return run


def elementwise(make):
    return lambda a, x: apply(make(a), x)


def prelu(a, x, slope):
    wide = np.broadcast_to(slope, x.shape).reshape(1, -1)
    return apply(fn.PRelu(), x.reshape(1, -1), {"slope": wide[0]}).reshape(x.shape)


def clip(a, x, low=None, high=None):
    low = float(np.finfo(np.float32).min) if low is None else float(low)
    high = float(np.finfo(np.float32).max) if high is None else float(high)
    return apply(fn.HardTanh(low, high), x)


def cross_entropy(loss):
    return lambda a, x, target, weight=None: labelled(loss, a, x, target, weight)


def labelled(loss, a, x, target, weight):
    ignored = target == a.get("ignore_index", -(2**40))
    labels = np.where(ignored, 0, target)
    terms = np.ones(target.shape, x.dtype) if weight is None else weight[labels]
    terms = np.where(ignored, 0.0, terms).astype(x.dtype)
    logits = np.moveaxis(x, 1, -1)
    if a.get("reduction", "mean") != "none":
        divisor = None if a.get("reduction", "mean") == "mean" else 1.0
        return loss.apply(logits, labels, terms, divisor)[0]
    flat = zip(logits.reshape(-1, x.shape[1]), labels.ravel(), terms.ravel(), strict=True)
    rows = [loss.apply(row[None], np.array([label]), np.array([w]), 1.0)[0] for row, label, w in flat]
    return np.array(rows, x.dtype).reshape(target.shape)


def flatten(a, x):
    axis = a.get("axis", 1)
    assert axis == 1
    return apply(fn.Flatten(), x)


def transpose(a, x):
    return apply(fn.Permute(tuple(a.get("perm", reversed(range(x.ndim))))), x[None])[0]


def pad(a, x, pads, value=None, axes=None):
    axes = list(range(x.ndim)) if axes is None else [int(axis) % x.ndim for axis in axes]
    around = [(0, 0)] * x.ndim
    for i, axis in enumerate(axes):
        around[axis] = (int(pads[i]), int(pads[len(axes) + i]))
    layer = fn.Pad(tuple(around), value=0.0 if value is None else float(value))
    return apply(layer, x[None, ..., None])[0, ..., 0]


def concat(a, *parts):
    axis = a["axis"] % parts[0].ndim - parts[0].ndim
    return apply(fn.Concat(axis=axis), tuple(part[None] for part in parts))[0]


def joined(layer):
    return lambda a, *parts: apply(layer, tuple(part[None] for part in parts))[0]


OPERATORS = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "MaxPool": pool("MaxPool"),
    "AveragePool": pool("AveragePool"),
    "GlobalMaxPool": global_pool(fn.GlobalMaxPool()),
    "GlobalAveragePool": global_pool(fn.GlobalAveragePool()),
    "BatchNormalization": batch_norm,
    "LayerNormalization": layer_norm(fn.LayerNorm),
    "RMSNormalization": layer_norm(fn.RMSNorm),
    "GroupNormalization": group_norm,
    "InstanceNormalization": instance_norm,
    "RNN": recurrent("RNN"),
    "LSTM": recurrent("LSTM"),
    "GRU": recurrent("GRU"),
    "Attention": attention,
    "RotaryEmbedding": rotary,
    "Gather": gather,
    "Softmax": over_axis(fn.Softmax()),
    "LogSoftmax": over_axis(fn.LogSoftmax()),
    "Relu": elementwise(lambda a: fn.Relu()),
    "LeakyRelu": elementwise(lambda a: fn.LeakyRelu(a.get("alpha", 0.01))),
    "PRelu": prelu,
    "Elu": elementwise(lambda a: fn.Elu(a.get("alpha", 1.0))),
    "Celu": elementwise(lambda a: fn.Celu(a.get("alpha", 1.0))),
    "Selu": elementwise(lambda a: fn.Selu()),
    "Gelu": elementwise(lambda a: fn.Gelu(approximate=a.get("approximate") == "tanh")),
    "Swish": elementwise(lambda a: fn.Silu()),
    "Mish": elementwise(lambda a: fn.Mish()),
    "Sigmoid": elementwise(lambda a: fn.Sigmoid()),
    "HardSigmoid": elementwise(lambda a: fn.HardSigmoid(a.get("alpha", 0.2), a.get("beta", 0.5))),
    "HardSwish": elementwise(lambda a: fn.HardSwish()),
    "Tanh": elementwise(lambda a: fn.Tanh()),
    "Softplus": elementwise(lambda a: fn.Softplus()),
    "Softsign": elementwise(lambda a: fn.Softsign()),
    "Identity": elementwise(lambda a: fn.Identity()),
    "Clip": clip,
    "SoftmaxCrossEntropyLoss": cross_entropy(losses.SoftmaxCrossEntropy()),
    "NegativeLogLikelihoodLoss": cross_entropy(losses.NegativeLogLikelihood()),
    "Flatten": flatten,
    "Transpose": transpose,
    "Pad": pad,
    "Concat": concat,
    "Sum": joined(fn.Sum()),
    "Mul": joined(fn.Multiply()),
    "Dropout": lambda a, x, *rest: apply(fn.Dropout(0.5), x),
}
HOW_MANY = {
    "Attention": 66,
    "AveragePool": 20,
    "BatchNormalization": 4,
    "Celu": 2,
    "Clip": 8,
    "Concat": 12,
    "Conv": 6,
    "ConvTranspose": 10,
    "Dropout": 8,
    "Elu": 3,
    "Flatten": 2,
    "GRU": 6,
    "Gather": 3,
    "Gelu": 4,
    "GlobalAveragePool": 2,
    "GlobalMaxPool": 2,
    "GroupNormalization": 2,
    "HardSigmoid": 3,
    "HardSwish": 1,
    "Identity": 3,
    "InstanceNormalization": 2,
    "LSTM": 5,
    "LayerNormalization": 19,
    "LeakyRelu": 3,
    "LogSoftmax": 7,
    "MaxPool": 18,
    "Mish": 1,
    "Mul": 3,
    "NegativeLogLikelihoodLoss": 18,
    "PRelu": 2,
    "Pad": 3,
    "RMSNormalization": 19,
    "RNN": 6,
    "Relu": 1,
    "RotaryEmbedding": 8,
    "Selu": 1,
    "Sigmoid": 2,
    "Softmax": 7,
    "SoftmaxCrossEntropyLoss": 34,
    "Softplus": 2,
    "Softsign": 2,
    "Sum": 3,
    "Swish": 1,
    "Tanh": 2,
    "Transpose": 7,
}


def test_every_case():
    """One test, since to make the cases takes longer than to run them."""
    cases = collected()
    assert set(LEFT_OUT) <= set(cases)
    run = sorted(set(cases) - set(LEFT_OUT))
    assert dict(Counter(cases[name][0] for name in run)) == HOW_MANY
    assert len(run) == sum(HOW_MANY.values()) == 343
    wrong = {}
    for name in run:
        try:
            check(*cases[name])
        except Exception as error:
            wrong[name] = str(error)
    assert wrong == {}


def check(operator, attributes, inputs, outputs, rtol, atol):
    with np.errstate(all="ignore"):
        found = OPERATORS[operator](attributes, *inputs)
    if operator in ("RNN", "LSTM", "GRU"):
        found = dict(zip(("Y", "Y_h", "Y_c"), found, strict=False))
        found = tuple(found[output] for output in outputs)
    found = found if isinstance(found, tuple) else (found,)
    for got, expected in zip(found, outputs.values(), strict=False):  # attention may give its weights too
        assert np.shape(got) == expected.shape
        np.testing.assert_allclose(got, expected, rtol=max(rtol, 1e-5), atol=max(atol, 1e-6))
