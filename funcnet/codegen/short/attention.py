"""Attention of a batch that is one block, without a mask or a bias."""

from __future__ import annotations

from typing import Any

from funcnet.codegen.short.form import Simple
from funcnet.layers.attention_kernels import BLOCK, in_tiles

ATTEND = '''
def attention(q, k, v{keep}):
    """softmax(q k.T / sqrt(d)) v of every head, and the softmax."""
    q, k, v = (each.swapaxes(1, 2) for each in (q * {scale}, k, v))  # heads first
    scores = q @ k.swapaxes(2, 3){later}
    weights = np.exp(scores - np.max(scores, axis=-1, keepdims=True))
    weights *= 1 / (weights @ np.ones((weights.shape[-1], 1), weights.dtype))
    y = {left} @ v
    return np.ascontiguousarray(y.swapaxes(1, 2)), weights
'''
LATER = """
    scores[:, :, ~np.tri(*scores.shape[2:], dtype=bool)] = -np.inf  # a query sees no later key"""
ATTEND_VJP = '''
def attention_vjp(dy, y, q, k, v, weights{keep}):
    """dv = p.T dy, dq = ds k, dk = ds.T q, with ds = p (dy v.T - sum y dy), p the weights."""
    inner = np.sum(dy * y, axis=-1, keepdims=True).swapaxes(1, 2)
    q, k, v, dy = (each.swapaxes(1, 2) for each in (q * {scale}, k, v, dy))
{left}    dv = {kept_weights}.swapaxes(2, 3) @ dy
    ds = (dy @ v.swapaxes(2, 3){times_left} - inner) * weights
    dq, dk = ds @ k, ds.swapaxes(2, 3) @ q
    dq, dk, dv = (np.ascontiguousarray(each.swapaxes(1, 2)) for each in (dq, dk, dv))
    return dq * {scale}, dk, dv
'''


def _attention(nodes: list[Any], first: int) -> tuple[str, bool] | None:
    """The factor of the scores of an attention, and whether it is causal; None for one with other options."""
    q, k = nodes[first : first + 2]
    mask, bias, _, scale, causal, _ = nodes[-6:]
    (_, time, heads, features), (_, keys, shared, _) = q.shape, k.shape
    whole = heads * time * keys <= BLOCK and not in_tiles(time, keys) and heads == shared
    if mask is not None or bias is not None or not whole or (causal and time != keys):
        return None
    root = f"(1 / {features} ** 0.5)"
    return (root if 1 / features**0.5 == scale and scale != round(scale, 4) else repr(scale)), causal


def attend(nodes: list[Any], args: list[str]) -> Simple | None:
    """``attend``."""
    found = _attention(nodes, 0)
    if found is None:
        return None
    keep, kept = nodes[5], nodes[8]
    left = "weights" if keep is None else f"(np.where(keep, weights, 0) * {_kept(kept)})"
    text = ATTEND.format(scale=found[0], later=LATER * found[1], left=left, keep="" if keep is None else ", keep")
    return Simple("attention", [*args[:3], *([] if keep is None else [args[5]])], text)


def _kept(kept: float) -> str:
    rate = next((rate for rate in (round(1 - 1 / kept, n) for n in range(1, 5)) if 1 / (1 - rate) == kept), None)
    return repr(kept) if rate is None else f"(1 / (1 - {rate}))"


def attend_vjp(nodes: list[Any], args: list[str]) -> Simple | None:
    """``attend_vjp``."""
    found = _attention(nodes, 2)
    if found is None:
        return None
    keep, kept = nodes[8], nodes[11]
    left = "" if keep is None else f"    left = np.where(keep, {_kept(kept)}, 0).astype(dy.dtype)\n"
    text = ATTEND_VJP.format(
        scale=found[0],
        keep="" if keep is None else ", keep",
        left=left,
        kept_weights="weights" if keep is None else "(weights * left)",
        times_left="" if keep is None else " * left",
    )
    return Simple("attention_vjp", [*args[:6], *([] if keep is None else [args[8]])], text)
