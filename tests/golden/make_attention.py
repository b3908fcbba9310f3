"""Record PyTorch's embedding and attention: ``python tests/golden/make_attention.py`` writes ``attention.npz``.

As ``make_golden.py``, in the same environment. Inputs of several arrays are members ``x/0``, ``x/1``, …
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch  # type: ignore[import-not-found]
import torch.nn.functional as F  # type: ignore[import-not-found]
from make_golden import leaf, normal, save, under


def several(name: str, forward: Callable[..., Any], xs: list[Any], params: dict[str, Any] | None = None) -> Any:
    """A case of a tuple of inputs; those that are not floats have no gradient."""
    params = params or {}
    tensors = [leaf(x) if x.dtype.kind == "f" else torch.tensor(x) for x in xs]
    weights = {path: leaf(value) for path, value in params.items()}
    y = forward(*tensors, weights)
    dy = normal(100, *y.shape)
    y.backward(torch.tensor(dy))
    record: dict[str, Any] = {"y": y.detach().numpy(), "dy": dy}
    for i, (x, tensor) in enumerate(zip(xs, tensors, strict=True)):
        place = f"/{i}" if len(xs) > 1 else ""
        record[f"x{place}"] = x
        record[f"dx{place}"] = tensor.grad.numpy() if x.dtype.kind == "f" else np.array("none")
    if params:
        record |= under("params", params) | under("dparams", {p: t.grad.numpy() for p, t in weights.items()})
    return under(name, record)


def attention(q: Any, k: Any, v: Any, **options: Any) -> Any:
    """Of (batch, time, heads, features), or without heads."""
    if q.dim() == 3:
        return F.scaled_dot_product_attention(q, k, v, **options)
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, enable_gqa=q.shape[1] != k.shape[1], **options).transpose(1, 2)


def heads_of(x: Any, weight: Any, bias: Any, heads: int) -> Any:
    y = x @ weight + (0.0 if bias is None else bias)
    return y.reshape(*x.shape[:2], heads, -1)


def rotate(x: Any, base: float = 10000.0, interleaved: bool = False, features: int | None = None) -> Any:
    """As Su et al. define it, by complex numbers; x is (batch, time, …, features)."""
    n = features or x.shape[-1]
    part, rest = x[..., :n], x[..., n:]
    pairs = torch.stack([part[..., 0::2], part[..., 1::2]] if interleaved else list(part.chunk(2, -1)), -1)
    positions = torch.arange(x.shape[1], dtype=torch.float64)
    angles = positions[:, None] * base ** (-torch.arange(0, n, 2, dtype=torch.float64) / n)
    angles = angles.reshape(x.shape[1], *[1] * (x.dim() - 3), n // 2)
    turned = torch.view_as_real(torch.view_as_complex(pairs.contiguous()) * torch.exp(1j * angles))
    flat = turned.flatten(-2) if interleaved else torch.cat([turned[..., 0], turned[..., 1]], -1)
    return torch.cat([flat, rest], -1)


def multi_head(heads: int, shared: int | None = None, causal: bool = False, rotary: bool = False) -> Any:
    def forward(x: Any, memory: Any, p: Any, **options: Any) -> Any:
        q = heads_of(x, p["query_weight"], p.get("query_bias"), heads)
        k = heads_of(memory, p["key_weight"], p.get("key_bias"), shared or heads)
        v = heads_of(memory, p["value_weight"], p.get("value_bias"), shared or heads)
        if rotary:
            q, k = rotate(q), rotate(k)
        y = attention(q, k, v, is_causal=causal, **options).flatten(-2)
        return y @ p["out_weight"] + p.get("out_bias", 0.0)

    return forward


def weights(seed: int, n: int, m: int, wide: int, shared: int, bias: bool = True) -> dict[str, Any]:
    sizes = {"query": (n, wide), "key": (m, shared), "value": (m, shared), "out": (wide, n)}
    made = {}
    for i, (name, size) in enumerate(sizes.items()):
        made[f"{name}_weight"] = normal(seed + i, *size, std=0.5)
        if bias:
            made[f"{name}_bias"] = normal(seed + 10 + i, size[1])
    return made


def main() -> None:
    rng = np.random.RandomState(7)
    arrays: dict[str, Any] = {}
    ids = rng.randint(0, 5, (3, 7))
    table = {"weight": normal(6000, 5, 4)}
    arrays |= several("embedding", lambda x, p: F.embedding(x, p["weight"]), [ids], table)
    padded = {"weight": np.concatenate([normal(6001, 2, 4), np.zeros((1, 4)), normal(6002, 2, 4)])}
    arrays |= several("embedding_padding", lambda x, p: F.embedding(x, p["weight"], padding_idx=2), [ids], padded)
    x = normal(6003, 2, 5, 8)
    arrays |= several("rotary", lambda x, p: rotate(x), [x])
    arrays |= several("rotary_interleaved", lambda x, p: rotate(x, 100.0, True), [x])
    arrays |= several("rotary_part", lambda x, p: rotate(x, features=4), [x])
    q, k, v = normal(6004, 2, 5, 3), normal(6005, 2, 7, 3), normal(6006, 2, 7, 4)
    mask = rng.rand(2, 7) < 0.6
    mask[:, 0] = True
    bias, each = normal(6007, 2, 5, 7), normal(6008, 2, 4, 5, 7)
    arrays |= several("attention", lambda q, k, v, p: attention(q, k, v), [q, k, v])
    arrays |= several("attention_scale", lambda q, k, v, p: attention(q, k, v, scale=1.7), [q, k, v])
    arrays |= several("attention_mask", lambda q, k, v, m, p: attention(q, k, v, attn_mask=m[:, None]), [q, k, v, mask])
    arrays |= several("attention_bias", lambda q, k, v, b, p: attention(q, k, v, attn_mask=b), [q, k, v, bias])
    square = [normal(6010 + i, 2, 6, 3) for i in range(3)]
    arrays |= several("attention_causal", lambda q, k, v, p: attention(q, k, v, is_causal=True), square)
    large = [40.0 * part for part in square]
    arrays |= several("attention_large", lambda q, k, v, p: attention(q, k, v, is_causal=True), large)
    grouped = [normal(6020, 2, 5, 4, 3), normal(6021, 2, 7, 2, 3), normal(6022, 2, 7, 2, 3)]
    arrays |= several("attention_grouped", lambda q, k, v, p: attention(q, k, v), grouped)
    arrays |= several("attention_grouped_bias", lambda q, k, v, b, p: attention(q, k, v, attn_mask=b), [*grouped, each])
    x, memory = normal(6030, 2, 5, 8), normal(6031, 2, 7, 3)
    real = np.array([[True] * 5, [True, True, False, True, False]])
    own = weights(6100, 8, 8, 8, 8)
    arrays |= several("multi_head", lambda x, p: multi_head(2)(x, x, p), [x], own)
    arrays |= several("multi_head_causal", lambda x, p: multi_head(4, causal=True)(x, x, p), [x], own)
    arrays |= several("multi_head_rotary", lambda x, p: multi_head(2, rotary=True)(x, x, p), [x], own)
    bare = weights(6200, 8, 8, 12, 6, bias=False)
    arrays |= several("multi_head_grouped", lambda x, p: multi_head(4, 2)(x, x, p), [x], bare)
    crossed = weights(6300, 8, 3, 8, 8)
    arrays |= several("multi_head_cross", lambda x, m, p: multi_head(2)(x, m, p), [x, memory], crossed)
    # nn.MultiheadAttention with a mask of padded keys; False counts in ours, True in PyTorch's
    mha = torch.nn.MultiheadAttention(8, 2, batch_first=True, dtype=torch.float64)

    def module(x: Any, mask: Any, p: Any) -> Any:
        joined = {
            "in_proj_weight": torch.cat([p[f"{n}_weight"] for n in ("query", "key", "value")], 1).T,
            "in_proj_bias": torch.cat([p[f"{n}_bias"] for n in ("query", "key", "value")]),
            "out_proj.weight": p["out_weight"].T,
            "out_proj.bias": p["out_bias"],
        }
        return torch.func.functional_call(mha, joined, (x, x, x), {"key_padding_mask": ~mask})[0]

    arrays |= several("multi_head_masked", module, [x, real], own)
    save("attention", arrays)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
