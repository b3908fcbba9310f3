"""Record PyTorch's activations and normalizations: ``python tests/golden/make_basic.py`` writes ``basic.npz``.

As ``make_golden.py``, in the same environment.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch  # type: ignore[import-not-found]
import torch.nn.functional as F  # type: ignore[import-not-found]
from make_golden import normal, run_layer, save, single

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "relu6": F.relu6,
    "elu": F.elu,
    "elu_alpha": lambda x: F.elu(x, 0.5),
    "selu": F.selu,
    "celu": F.celu,
    "celu_alpha": lambda x: F.celu(x, 2.0),
    "silu": F.silu,
    "mish": F.mish,
    "hard_sigmoid": lambda x: F.relu6(x + 3.0) / 6.0,  # F.hardsigmoid rounds its slope to float32
    "hard_swish": F.hardswish,
    "hard_tanh": F.hardtanh,
    "hard_tanh_options": lambda x: F.hardtanh(x, -0.5, 2.0),
    "log_sigmoid": F.logsigmoid,
    "softplus": lambda x: F.softplus(x, threshold=1e9),
    "softsign": F.softsign,
    "glu": F.glu,
    "swiglu": lambda x: x.chunk(2, -1)[0] * F.silu(x.chunk(2, -1)[1]),
    "geglu": lambda x: x.chunk(2, -1)[0] * F.gelu(x.chunk(2, -1)[1]),
}


def rms_norm(x: Any, weight: Any, bias: Any, eps: float) -> Any:
    y = F.rms_norm(x, weight.shape, weight, eps)
    return y if bias is None else y + bias


def channels_first(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, p, s: f(x.movedim(-1, 1), p).movedim(1, -1)


def main() -> None:
    # kinks, tails, and values between; 32 entries in rows of 4
    edges = single([0.0, 1e-6, -1e-6, 3.0, -3.0, 6.0, -0.5, 2.0, 1.0, -1.0, 30.0, -30.0, 100.0, -100.0, 8.5, -8.5])
    x = np.concatenate([edges, normal(3000, 16, std=2.0)]).reshape(2, 4, 4)
    arrays: dict[str, Any] = {}
    for name, function in ACTIVATIONS.items():
        arrays |= run_layer(name, lambda x, p, s, f=function: f(x), x)
    rows = normal(3001, 3, 4, 5)
    arrays |= run_layer("prelu", channels_first(lambda x, p: F.prelu(x, p["slope"])), rows, {"slope": normal(3002, 5)})
    arrays |= run_layer("prelu_shared", lambda x, p, s: F.prelu(x, p["slope"][None]), rows, {"slope": single(0.3)})
    x = normal(3003, 3, 4, 6, mean=2.0, std=3.0)
    image = normal(3004, 2, 3, 5, 6, mean=-1.0)
    affine = {"scale": normal(3005, 6, mean=1.0, std=0.3), "bias": normal(3006, 6)}
    wide = {"scale": normal(3007, 4, 6, mean=1.0, std=0.3), "bias": normal(3008, 4, 6)}
    arrays |= run_layer("layer_norm", lambda x, p, s: F.layer_norm(x, (6,), p["scale"], p["bias"], 1e-5), x, affine)
    arrays |= run_layer("layer_norm_axes", lambda x, p, s: F.layer_norm(x, (4, 6), p["scale"], p["bias"], 0.1), x, wide)
    arrays |= run_layer("layer_norm_bare", lambda x, p, s: F.layer_norm(x, (6,)), image)
    arrays |= run_layer(
        "rms_norm", lambda x, p, s: rms_norm(x, p["scale"], None, 1e-6), image, {"scale": affine["scale"]}
    )
    arrays |= run_layer("rms_norm_axes", lambda x, p, s: rms_norm(x, p["scale"], p["bias"], 0.1), x, wide)
    for groups in (1, 2, 3, 6):
        grouped = channels_first(lambda x, p, g=groups: F.group_norm(x, g, p["scale"], p["bias"], 1e-3))
        arrays |= run_layer(f"group_norm_{groups}", grouped, image, affine)
    arrays |= run_layer("group_norm_flat", lambda x, p, s: F.group_norm(x, 2), normal(3009, 4, 6))
    instance = channels_first(lambda x, p: F.instance_norm(x, weight=p["scale"], bias=p["bias"], eps=1e-3))
    arrays |= run_layer("instance_norm", instance, image, affine)
    arrays |= run_layer("instance_norm_bare", channels_first(lambda x, p: F.instance_norm(x)), x)
    save("basic", arrays)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
