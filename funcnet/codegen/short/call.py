"""The call of a short form in place of a kernel.

A kernel of the library has options, and cuts its work into pieces that stay in cache. A call without those options
prints as a few lines for that case. Every product has the same operands in the same layout, so the bits are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from funcnet.codegen.functions import of_library
from funcnet.codegen.short import arrays, attention, convolution, pooling, recurrent
from funcnet.codegen.short.form import Simple
from funcnet.compiler.graph import Node, Ref
from funcnet.compiler.kinds import PART

if TYPE_CHECKING:
    from funcnet.codegen.defined import Defined


def simple_call(node: Node, args: tuple[Any, ...], defined: Defined, users: dict[Node, list[Node]]) -> str | None:
    """The call of a short form; None for a call that needs the library's own function."""
    if not of_library(node.f) or not _own_weights(node, users):
        return None
    _, make = SHORT.get(getattr(node.f, "__name__", ""), ("", None))
    nodes = [node.args[arg.i] if type(arg) is Ref else arg for arg in getattr(node.static, "values", ())]
    found = make(nodes, list(map(repr, args))) if make else None
    if found is None:
        return None
    name, text, number = found.name, found.text.strip(), 1
    while defined.kernels.setdefault(name, text) != text:
        number += 1
        name = f"{found.name}_{number}"
        text = found.text.strip().replace(f"def {found.name}(", f"def {name}(")
    defined.helpers[name] = None
    for other in found.needs:
        inner = other.strip().partition("(")[0].removeprefix("def ")
        defined.kernels[inner] = other.strip()
        defined.helpers[inner] = None
    return f"{name}({', '.join(defined.in_order(found.args))}){found.end}"


def _own_weights(node: Node, users: dict[Node, list[Node]]) -> bool:
    """Whether only the backward pass of an attention reads its softmax, which has another shape in the short form."""
    name = getattr(node.f, "__name__", "")
    if name == "attend_vjp":
        return node.args[5].kind is PART
    weights = [user for user in users.get(node, ()) if user.kind is PART and user.static == (1,)] * (name == "attend")
    return all(getattr(user.f, "__name__", "") == "attend_vjp" for each in weights for user in users.get(each, ()))


def names_of(kernels: Iterable[str]) -> set[str]:
    """The names that the short forms of kernels may have in a file, which nothing else there may have."""
    names = [SHORT[kernel][0] for kernel in kernels if kernel in SHORT]
    names += [name.replace("conv", "conv_strided") for name in names if name.startswith("conv")]
    return {f"{name}{end}" for name in names for end in ("", "_2", "_3", "_4")}


SHORT: dict[str, tuple[str, Callable[[list[Any], list[str]], Simple | None]]] = {
    "attend": ("attention", attention.attend),
    "attend_vjp": ("attention_vjp", attention.attend_vjp),
    "correlate": ("conv", convolution.conv),
    "correlate_weight": ("conv_weight", convolution.conv_weight),
    "correlate_input": ("conv_input", convolution.conv_input),
    "erf": ("erf_32", arrays.erf),
    "gru_scan": ("gru_steps", recurrent.gru),
    "gru_scan_vjp": ("gru_steps_vjp", recurrent.gru_vjp),
    "lstm_scan": ("lstm_steps", recurrent.lstm),
    "lstm_scan_vjp": ("lstm_steps_vjp", recurrent.lstm_vjp),
    "max_pool": ("pool", pooling.max_pool),
    "max_pool_vjp": ("pool_vjp", pooling.max_pool_vjp),
    "norm": ("norm", arrays.norm),
    "rnn_scan": ("rnn_steps", recurrent.rnn),
    "rnn_scan_vjp": ("rnn_steps_vjp", recurrent.rnn_vjp),
    "scatter_add": ("scatter_add", arrays.scatter_add),
}
"""By the name of a kernel, the name of its short form and the function that makes it"""
RESULTS = {"attend_vjp": 3}
"""The number of results, where a short form has fewer"""
