"""The equations beside the statements of a printed program, those of a layer's or a loss's own configuration.

Most are the equations of the docstring. Those that depend on a field, or that the docstring gives in words, are here.
"""

from __future__ import annotations

import re
from typing import Any

from funcnet.codegen.library_source import ascii_text
from funcnet.layers.base import Layer
from funcnet.losses.base import Loss
from funcnet.losses.wrapped import unwrapped

Caption = tuple[str, str]
"""The equation of the forward and of the backward pass"""

LINEAR = {
    "LeakyRelu": ("slope * x", "slope * dy"),
    "PRelu": ("slope * x", "slope * dy"),
    "Elu": ("alpha (exp(x) - 1)", "alpha exp(x) dy"),
    "Celu": ("alpha (exp(x / alpha) - 1)", "exp(x / alpha) dy"),
}
"""The other branches of activations that are ``y = x`` where x > 0"""

NORMAL = "y = scale * (x - mean) / sqrt(var + eps) + bias"
NORMAL_VJP = "dx = r (g - mean(g) - x_hat mean(x_hat g)), g = scale * dy"
GATES = "h @ recurrent_weight"
POOLS = {
    "last": ("y = x at the last real step", "dx = dy at the last real step, else 0"),
    "mean": ("y = sum x / steps, over the real steps", "dx = dy / steps at every real step"),
    "max": ("y = max x over the real steps", "dx = dy at the first maximum of each feature, else 0"),
}
GELU = (
    "y = x (1 + t) / 2, with t = tanh(sqrt(2 / pi) (x + 0.044715 x**3))",
    "dx = (1 + t + x (1 - t**2) u') / 2 dy, with u' = sqrt(2 / pi) (1 + 0.134145 x**2)",
)
DRAWN = ("y = mask * x / (1 - rate)", "dx = mask * dy / (1 - rate)")
WORDS: dict[str, Caption] = {
    "Selu": ("y = s x where x > 0, else s alpha (exp(x) - 1)", "dx = s dy where x > 0, else s alpha exp(x) dy"),
    "Flatten": ("y = x as one vector", "dx = dy in the shape of x"),
    "Reshape": ("y = x in another shape", "dx = dy in the shape of x"),
    "Permute": ("y = x with its axes in another order", "dx = dy with the axes in the old order"),
    "Pad": ("y = x, padded", "dx = dy without the padding"),
    "Crop": ("y = a part of x", "dx = dy, padded with zeros"),
    "Dropout": DRAWN,
    "SpatialDropout": DRAWN,
    "StochasticDepth": DRAWN,
    "GroupNorm": (NORMAL, NORMAL_VJP),
    "InstanceNorm": (NORMAL, NORMAL_VJP),
    "GlobalMaxPool": ("y = max x over the positions", "dx = dy at the first maximum, else 0"),
    "GlobalAveragePool": ("y = sum x / positions", "dx = dy / positions"),
    "Glu": ("y = a sigma(b), with a, b = x", "da = sigma(b) dy, db = a sigma(b) (1 - sigma(b)) dy"),
    "SwiGlu": ("y = a silu(b), with a, b = x", "da = silu(b) dy, db = a silu'(b) dy"),
    "GeGlu": ("y = a gelu(b), with a, b = x", "da = gelu(b) dy, db = a gelu'(b) dy"),
    "RotaryPositions": (
        "(a, b) = (a cos - b sin, b cos + a sin), for pairs of features turned by their position",
        "(da, db) = (da cos + db sin, db cos - da sin)",
    ),
    "LSTM": (
        f"z = x @ weight + {GATES} + bias; c' = f c + i g, h' = o tanh(c') "
        "with i, f, g, o = sigma(z_i), sigma(z_f), tanh(z_g), sigma(z_o)",
        "do = tanh(c') dh', dc += o (1 - tanh(c')**2) dh', di = g dc, df = c dc, dg = i dc",
    ),
    "GRU": (
        "h' = (1 - z) n + z h, with r, z = sigma(x_r + h_r), sigma(x_z + h_z), n = tanh(x_n + r h_n)",
        "dn = (1 - z) dh', dz = (h - n) dh', dr = h_n d(r h_n)",
    ),
    "RNN": (f"h' = tanh(x @ weight + {GATES} + bias)", "dz = (1 - h'**2) dh'"),
    "MultiHeadAttention": (
        "y = softmax(q k.T / sqrt(d)) v W_o + b_o",
        "ds = p (dy v.T - sum y dy), p the softmax",
    ),
    "Residual": ("y = x + f(x)", "dx = dy + df(x)"),
}
WINDOWS = {
    "Max": ("y = max x over each window", "dx = dy at the first maximum of each window, else 0"),
    "Average": ("y = sum x / count over each window", "dx = dy / count in each window"),
    "AdaptiveAverage": ("y = sum x / count over each part", "dx = dy / count in each part"),
}

LOSSES: dict[str, Caption] = {
    "BinaryCrossEntropy": ("-sum(y log p + (1 - y) log(1 - p)) / n", "dp = (p - y) / (p (1 - p)) / n"),
    "SigmoidCrossEntropy": ("sum(max(z, 0) - z y + log(1 + exp(-|z|))) / n", "dz = (sigma(z) - y) / n"),
    "SumSquaredError": ("sum (p - y)**2", "dp = 2 (p - y)"),
    "HalfSumSquaredError": ("sum (p - y)**2 / 2", "dp = p - y"),
    "MeanSquaredError": ("sum (p - y)**2 / n", "dp = 2 (p - y) / n"),
    "HalfMeanSquaredError": ("sum (p - y)**2 / (2 n)", "dp = (p - y) / n"),
    "RootMeanSquaredError": ("sqrt(sum (p - y)**2 / n)", "dp = (p - y) / (n loss)"),
    "MeanAbsoluteError": ("sum |p - y| / n", "dp = sign(p - y) / n"),
    "Huber": (
        "sum(e**2 / 2 where |e| <= delta, else delta (|e| - delta / 2)) / n, with e = p - y",
        "dp = min(max(e, -delta), delta) / n",
    ),
    "Poisson": ("sum(exp(z) - y z) / n", "dz = (exp(z) - y) / n"),
    "Gamma": ("sum(z + y exp(-z)) / n", "dz = (1 - y exp(-z)) / n"),
    "Hinge": ("sum max(0, 1 - s z) / n, with s = 1 for the target 1 and -1 for 0", "dz = -s / n where s z < 1"),
    "Tweedie": (
        "sum(exp((2 - r) z) / (2 - r) + y exp((1 - r) z) / (r - 1)) / n, with r the power",
        "dz = (exp((2 - r) z) - y exp((1 - r) z)) / n",
    ),
    "Focal": (
        "sum -a (1 - q)**gamma log q / n, with q = sigma(s) and s = z for the target 1, -z for 0",
        "ds = a (1 - q)**gamma (gamma q log q - (1 - q)) / n",
    ),
    "Quantile": (
        "sum max(a e, (a - 1) e) / n, with e = y - p, for each of the levels a",
        "dp = 1 - a where p > y, -a where p < y, over n",
    ),
    "CosineDistance": ("sum(1 - c) / n, with c = p . y / (|p| |y|)", "dp = (c p / |p| - y / |y|) / |p| / n"),
    "Triplet": (
        "sum max(0, |a - p| - |a - n| + margin) / rows, for an anchor a, p of its class, n of another",
        "da = (u - v) / rows, dp = -u / rows, dn = v / rows where the margin is not kept, with u, v the directions",
    ),
    "Dice": (
        "the mean over rows and classes of 1 - (2 sum p q + smooth) / (sum p + sum q + smooth), q the target",
        "dp = -(2 q t - 2 sum p q - smooth) / t**2, over rows and classes, with t = sum p + sum q + smooth",
    ),
    "KullbackLeibler": ("sum_k q_k log(q_k / softmax(z)_k) / n", "dz = (softmax(z) - q) / n"),
}


def layer_caption(layer: Layer, train: bool = True) -> Caption:
    """The equations of a layer, of the forward and the backward pass."""
    kind = known_as(type(layer), "apply", "vjp")
    if kind is None:
        return of_docstring(type(layer))
    name = kind.__name__
    if name in LINEAR:
        y, dx = LINEAR[name]
        return f"y = x where x > 0, else {y}", f"dx = dy where x > 0, else {dx}"
    if name == "SequencePool":
        return POOLS[getattr(layer, "by")]  # noqa: B009
    if name == "Upsample":
        linear = getattr(layer, "mode") == "linear"  # noqa: B009
        return (
            f"y = x, {'with values between neighbours' if linear else 'each entry repeated'}",
            "dx = M.T dy, for y = M x",
        )
    if name == "Gelu" and getattr(layer, "approximate"):  # noqa: B009
        return GELU
    if name == "Residual" and getattr(layer, "projection") is not None:  # noqa: B009
        return "y = g(x) + f(x), with g the projection", "dx = dg(x) + df(x)"
    if name in ("BatchNorm", "LayerNorm"):
        batch = train and not getattr(layer, "frozen", False)
        found = NORMAL, NORMAL_VJP if batch or name == "LayerNorm" else "dx = r g, g = scale * dy"
    elif pool := re.match(r"(\w+)Pool\dD", name):
        found = WINDOWS[pool[1]]
    elif name in ("Conv3D", "ConvTranspose2D"):
        how = "transposed " * (name == "ConvTranspose2D")
        found = (
            f"y = the {how}convolution of x with weight + bias",
            f"dweight, dx = those of a {how}convolution, dbias = sum dy",
        )
    else:
        found = WORDS.get(name) or of_docstring(kind)
    if getattr(layer, "strides", 0) in (1, (1, 1)):
        found = re.sub(r"\b([ij]) s\b", r"\1", found[0]), re.sub(r"\b([ij]) s\b", r"\1", found[1])
    if getattr(layer, "dilation", 0) in (1, (1, 1)):
        found = re.sub(r"\b([kl]) d\b", r"\1", found[0]), re.sub(r"\b([kl]) d\b", r"\1", found[1])
    return without(found, layer)


def without(caption: Caption, layer: Layer) -> Caption:
    """The equations without the leaves that a layer does not have."""
    forward, backward = caption
    name = type(layer).__name__
    if getattr(layer, "activation", "") == "relu":
        forward = forward.replace("tanh(x", "relu(x")
        backward = backward.replace("(1 - h'**2) dh'", "dh' where h' > 0, else 0")
    if getattr(layer, "causal", False):
        forward += ", causal"
    if getattr(layer, "padding_index", None) is not None:
        backward += ", but 0 for the padding index"
    if name == "RMSNorm":
        forward, backward = f"{forward} + bias", f"{backward}, dbias = sum dy"
    if name == "ConvTranspose1D":
        forward += ", + bias once" * getattr(layer, "use_bias", True)
    if getattr(layer, "groups", 1) != 1 and "Conv" in name:
        forward += ", for each group of channels"
    if not getattr(layer, "use_bias", True):
        forward = re.sub(r" \+ b(ias|_[qkvo])\b", "", forward)
        backward = re.sub(r",? *dbias = sum dy", "", backward).strip(", ")
    if not getattr(layer, "use_scale", True):
        forward = forward.replace("scale * (x", "(x").replace("scale * x", "x")
        backward = backward.replace("g = scale * dy", "g = dy")
        backward = re.sub(r",? *dscale = sum x_hat dy", "", backward)
    if not getattr(layer, "cross", True):
        forward = forward.replace("m W", "x W")
    if not getattr(layer, "reset_after", True):
        forward = forward.replace("r h_n", "((r h) @ recurrent_weight)_n")
        backward = backward.replace("h_n d(r h_n)", "h d(r h)")
    return forward, backward


def of_docstring(owner: type) -> Caption:
    """The equations in a docstring: the first in the text, and the first of the VJP."""
    text = ascii_text(owner.__doc__ or "")
    forward = next(iter(re.findall(r"``([^`]*=[^`]*)``", text)), "")
    backward = re.search(r"VJP +((?:.|\n)*?)(?:\n\s*\n|\n *[A-Z][a-z]+ {2,}|\n *\"|\Z)", text)
    parts = re.split(r",\s+from |;|\n", backward.group(1)) if backward else [""]
    return " ".join(forward.split()), " ".join(parts[0].split()).rstrip(",.")


def known_as(kind: type, *methods: str) -> type | None:
    """The class of the library that a class is, or inherits these methods from unchanged; else None."""
    for base in kind.__mro__:
        if base.__module__.partition(".")[0] == "funcnet":
            return base
        if not vars(base).keys().isdisjoint(methods):
            return None
    return None


def loss_caption(loss: Loss, labels: bool = True) -> Caption:
    """The equation of a loss for predictions p, or scores z, and targets y, and its derivative.

    ``labels`` says that the targets of a loss of classes are labels, not probabilities.
    """
    plain = unwrapped(loss)
    kind = known_as(type(plain), "apply", "vjp", "term", "slope", "terms", "slopes")
    name, squared = "" if kind is None else kind.__name__, getattr(plain, "squared", False)
    smooth, y = getattr(plain, "label_smoothing", 0.0), "one_hot(y)" if labels else "y"
    q = f"q = {1 - smooth:g} {y} + {smooth:g} / classes" if smooth else f"q = {y}"
    if name == "SoftmaxCrossEntropy":
        return f"-sum_k q_k log softmax(z)_k / n, with {q}", "dz = (softmax(z) - q) / n"
    if name == "NegativeLogLikelihood":
        return f"-sum_k q_k z_k / n, with {q}", "dz = -q / n"
    if name == "CategoricalHinge":
        short = "max(0, 1 + max_{k != y} z_k - z_y)" if labels else "(max_k (z_k + 1 - q_k) - sum_k q_k z_k)"
        forward = f"sum {short}{'**2' * squared} / n, with {q}"
        return forward, f"dz = {'2 root(term) ' * squared}(e - q) / n, with e = 1 at the maximum, shared by equal ones"
    if name == "Hinge" and squared:
        return LOSSES[name][0].replace("z) / n", "z)**2 / n"), "dz = -2 s max(0, 1 - s z) / n"
    if name in LOSSES:
        return LOSSES[name]
    text = ascii_text(type(plain).__doc__ or "")
    forward = next(iter(re.findall(r"``([^`]*)``", text)), "")
    derivative = re.search(r"derivative (?:by \w+ )?is ``([^`]*)``", text)
    return " ".join(forward.split()), " ".join(derivative[1].split()) if derivative else ""


def title(layer: Any, path: str, caption: str) -> str:
    """The comment above the statements of a layer."""
    return f"# {path or 'the layer'} ({type(layer).__name__}){': ' + caption if caption else ''}"
