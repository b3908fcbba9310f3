"""Short forms of the library's kernels, for the calls of a printed program that they cover.

A kernel of the library has options, and cuts its work into pieces that stay in cache. A call without those options
prints as a few lines for that case. Every product has the same operands in the same layout, so the bits are the same.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from funcnet.codegen.functions import of_library
from funcnet.compiler.graph import Node, Ref
from funcnet.compiler.kinds import PART
from funcnet.layers.attention_kernels import BLOCK, in_tiles
from funcnet.layers.convolution_kernels import blocks
from funcnet.ops import PRIMITIVES

if TYPE_CHECKING:
    from funcnet.codegen.defined import Defined


class Simple(NamedTuple):
    """A short form: a name, its arguments, and its text by that name."""

    name: str
    args: list[str]
    text: str


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
ERF = '''
def erf_32(x):
    """The error function in float32: x times a ratio of polynomials in x**2; beyond 4 it is 1."""
    x = np.clip(x, -4, 4)
    return x * np.polyval(ABOVE, x * x) / np.polyval(BELOW, x * x)


{above}
{below}
'''
WINDOWS = '''
def some_images(x, taps):
    """Slices of the images whose windows, of this many taps, fit into the cache as one matrix."""
    images = max(max(2**18, 256 * taps) // (x.shape[1] * x.shape[2] * taps), 1)
    return [slice(i, i + images) for i in range(0, len(x), images)]


def windows(x, size, before):
    """The windows of padded images as the rows of a matrix: (windows, entries)."""
    pads = [(n, m - 1 - n) for n, m in zip(before, size)]
    x = np.pad(x, [(0, 0), *pads, (0, 0)])
    found = np.lib.stride_tricks.sliding_window_view(x, size, axis=(1, 2))
    return found.transpose(0, 1, 2, 4, 5, 3).reshape(-1, size[0] * size[1] * x.shape[3])
'''
CONV = '''
def conv(x, weight, before):
    """y[i, j] = sum_kl x[i - p + k, j - p + l] @ weight[k, l]"""
    matrix = weight.reshape(-1, weight.shape[3])
    parts = [windows(x[some], weight.shape[:2], before) for some in some_images(x, len(matrix))]
    return np.concatenate([part @ matrix for part in parts]).reshape(*x.shape[:3], -1)
'''
CONV_WEIGHT = '''
def conv_weight(x, dy, size, before):
    """dweight[k, l] = sum_ij x[i - p + k, j - p + l].T dy[i, j]"""
    total = 0
    for some in some_images(x, size[0] * size[1] * x.shape[3]):
        total = total + windows(x[some], size, before).T @ dy[some].reshape(-1, dy.shape[3])
    return total.reshape(*size, x.shape[3], dy.shape[3])
'''
CONV_INPUT = '''
def conv_input(dy, weight, before):
    """dx[i, j] = sum_kl dy[i + p - k, j + p - l] @ weight[k, l].T"""
    turned = np.ascontiguousarray(weight[::-1, ::-1].swapaxes(2, 3))
    return conv(dy, turned, [n - 1 - m for n, m in zip(weight.shape, before)])
'''
NORM = '''
def norm(*arrays):
    """The Euclidean norm of all arrays together, summed in float64."""
    squares = [float(np.sum(np.square(x, dtype=np.float64))) for x in arrays]
    return float(np.sqrt(sum(squares)))
'''
SCATTER_ADD = '''
def scatter_add(values, indices, size):
    """The sums of the rows of values that have each index, the adjoint of a table's lookup."""
    rows, order = values.reshape(indices.size, -1), np.argsort(indices, axis=None, kind="stable")
    found = indices.reshape(-1)[order]
    starts = np.flatnonzero(np.concatenate([[True], found[1:] != found[:-1]]))
    table = np.zeros((size, rows.shape[1]), values.dtype)
    table[found[starts]] = np.add.reduceat(rows[order], starts, axis=0)
    return table
'''
MAX_POOL = '''
def pool(x, size):
    """The largest of each square of entries, and the first position that has it."""
    n, rows, columns, channels = x.shape
    squares = x.reshape(n, rows // size, size, columns // size, size, channels).swapaxes(2, 3)
    squares = squares.reshape(n, rows // size, columns // size, size * size, channels)
    return np.max(squares, axis=3), np.argmax(squares, axis=3)
'''
MAX_POOL_VJP = '''
def pool_vjp(dy, position, size):
    """dy at the position of the largest, 0 elsewhere."""
    n, rows, columns, channels = dy.shape
    squares = dy[:, :, :, None] * (position[:, :, :, None] == np.arange(size * size)[:, None])
    squares = squares.reshape(n, rows, columns, size, size, channels).swapaxes(2, 3)
    return squares.reshape(n, rows * size, columns * size, channels)
'''


def simple_call(node: Node, args: tuple[Any, ...], defined: Defined, users: dict[Node, list[Node]]) -> str | None:
    """The call of a short form; None for a call that needs the library's own function."""
    if not of_library(node.f) or not _own_weights(node, users):
        return None
    _, make = SHORT.get(getattr(node.f, "__name__", ""), ("", None))
    nodes = [node.args[arg.i] if type(arg) is Ref else arg for arg in getattr(node.static, "values", ())]
    found = make(nodes, [str(arg) if not isinstance(arg, str) else arg for arg in map(repr, args)]) if make else None
    if found is None:
        return None
    name, text, number = found.name, found.text.strip(), 1
    while defined.kernels.setdefault(name, text) != text:
        number += 1
        name = f"{found.name}_{number}"
        text = found.text.strip().replace(f"def {found.name}(", f"def {name}(")
    defined.helpers[name] = None
    for other in (CONV, WINDOWS) if name.startswith("conv") else ():
        inner = other.strip().partition("(")[0].removeprefix("def ")
        if inner != "conv" or name == "conv_input":
            inner = "windows" if inner == "some_images" else inner
            defined.kernels[inner] = other.strip()
            defined.helpers[inner] = None
    return f"{name}({', '.join(defined.in_order(found.args))})"


def _own_weights(node: Node, users: dict[Node, list[Node]]) -> bool:
    """Whether only the backward pass of an attention reads its softmax, which has another shape in the short form."""
    name = getattr(node.f, "__name__", "")
    if name == "attend_vjp":
        return node.args[5].kind is PART
    weights = [user for user in users.get(node, ()) if user.kind is PART and user.static == (1,)] * (name == "attend")
    return all(getattr(user.f, "__name__", "") == "attend_vjp" for each in weights for user in users.get(each, ()))


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


def _attend(nodes: list[Any], args: list[str]) -> Simple | None:
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


def _attend_vjp(nodes: list[Any], args: list[str]) -> Simple | None:
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


def _erf(nodes: list[Any], args: list[str]) -> Simple | None:
    if nodes[0].dtype != np.float32 or not nodes[0].row_major or not nodes[0].shape:
        return None
    names, coefficients = ("ABOVE", "BELOW"), PRIMITIVES["erf"].function.__globals__["_ERF_SINGLE"]
    above, below = (_numbers(name, numbers) for name, numbers in zip(names, coefficients, strict=True))
    return Simple("erf_32", args, ERF.format(above=above, below=below))


def _numbers(name: str, numbers: tuple[float, ...]) -> str:
    """The statement of a table of coefficients in float32, the highest power first."""
    text = ", ".join(str(np.float32(number)) for number in reversed(numbers))
    begin = f"{name} = np.float32(["
    return textwrap.fill(f"{begin}{text}])", 100, subsequent_indent=" " * len(begin), break_on_hyphens=False)


def _images(shape: tuple[int, ...], axes: Any, entries: int) -> bool:
    """Whether the blocks of a convolution are whole images."""
    counts = [axis[4] for axis in axes]
    found = blocks(shape[0], counts[0], int(np.prod(counts[1:])), entries)
    return all(rows == slice(0, counts[0]) for _, rows in found)


def _plain(axes: Any, groups: int, lengths: Any) -> list[int] | None:
    """The padding before each of two axes, for windows at every entry; None for other windows."""
    plain = len(axes) == 2 and groups == 1 and all(a[1] == a[2] == 1 for a in axes)
    same = plain and all(a[4] == n and 0 <= a[3] < a[0] for a, n in zip(axes, lengths, strict=True))
    return [a[3] for a in axes] if same else None


def _conv(nodes: list[Any], args: list[str]) -> Simple | None:
    x, weight, axes, groups = nodes
    before = _plain(axes, groups, x.shape[1:-1])
    images = _images(x.shape, axes, int(np.prod(weight.shape[:-1])))
    if before is None or not images:
        return None
    return Simple("conv", [*args[:2], str(tuple(before))], CONV)


def _conv_weight(nodes: list[Any], args: list[str]) -> Simple | None:
    x, _, sizes, axes, groups = nodes
    before = _plain(axes, groups, x.shape[1:-1])
    images = _images(x.shape, axes, int(np.prod(sizes[:-1])))
    if before is None or not images:
        return None
    return Simple("conv_weight", [*args[:2], str(sizes[:2]), str(tuple(before))], CONV_WEIGHT)


def _conv_input(nodes: list[Any], args: list[str]) -> Simple | None:
    dy, weight, lengths, axes, groups = nodes
    before = _plain(axes, groups, lengths)
    back = [(a[0], 1, 1, a[0] - 1 - a[3], n) for a, n in zip(axes, lengths, strict=True)]
    images = _images(dy.shape, back, int(np.prod(weight.shape[:2])) * weight.shape[-1])
    if before is None or not images:
        return None
    return Simple("conv_input", [*args[:2], str(tuple(before))], CONV_INPUT)


def _squares(axes: Any, lengths: Any) -> int | None:
    """The side of squares side by side that cover an image; None for other windows."""
    size = axes[0][0]
    fits = len(axes) == 2 and all(
        a[:4] == (size, size, 1, 0) and a[4] * size == n for a, n in zip(axes, lengths, strict=True)
    )
    return size if fits else None


def _max_pool(nodes: list[Any], args: list[str]) -> Simple | None:
    size = _squares(nodes[1], nodes[0].shape[1:-1])
    return None if size is None else Simple("pool", [args[0], str(size)], MAX_POOL)


def _max_pool_vjp(nodes: list[Any], args: list[str]) -> Simple | None:
    size = _squares(nodes[3], nodes[2])
    return None if size is None else Simple("pool_vjp", [*args[:2], str(size)], MAX_POOL_VJP)


def _norm(nodes: list[Any], args: list[str]) -> Simple | None:
    """The squares of float32 do not overflow in float64."""
    return Simple("norm", args, NORM) if all(node.dtype == np.float32 for node in nodes) else None


def _scatter_add(nodes: list[Any], args: list[str]) -> Simple | None:
    return Simple("scatter_add", args, SCATTER_ADD) if nodes[1].size and nodes[0].size else None


SHORT: dict[str, tuple[str, Callable[[list[Any], list[str]], Simple | None]]] = {
    "attend": ("attention", _attend),
    "attend_vjp": ("attention_vjp", _attend_vjp),
    "erf": ("erf_32", _erf),
    "norm": ("norm", _norm),
    "scatter_add": ("scatter_add", _scatter_add),
    "correlate": ("conv", _conv),
    "correlate_weight": ("conv_weight", _conv_weight),
    "correlate_input": ("conv_input", _conv_input),
    "max_pool": ("pool", _max_pool),
    "max_pool_vjp": ("pool_vjp", _max_pool_vjp),
}
"""By the name of a kernel, the name of its short form and the function that makes it"""
RESULTS = {"attend_vjp": 3}
"""The number of results, where a short form has fewer"""
