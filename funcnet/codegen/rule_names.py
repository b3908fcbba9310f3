"""The name and the equation of the function that a printed file has for an optimizer."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterable

from funcnet.codegen.functions import PLAIN
from funcnet.codegen.library_source import ascii_text
from funcnet.codegen.names import identifier, in_docstring
from funcnet.codegen.printed_helpers import HELPERS
from funcnet.codegen.short.call import SHORT
from funcnet.ops import PRIMITIVES
from funcnet.optim.base import Optimizer
from funcnet.optim.transforms.chain import Chain

FIELDS = {"learning_rate": "rate", "b1": "beta1", "b2": "beta2", "momentum": "mu"}
"""The printed names of hyperparameters, where they differ from those of the fields"""
ROLES = {"params": "w", "grads": "g"}
"""The names of a param and its gradient in a rule"""
NAMES = frozenset((
    "np", "params", "state", "opt_state", "key", "step", "x", "y", "rng", "loss", "grads", "w", "g", "saved", "number",
    "gradients", "predict", "prediction", "initial", "block", "blake2b",
))  # fmt: skip
"""Names of a file's functions and arguments"""


def rule_of(optimizer: Optimizer) -> Optimizer:
    """The rule of a chain; any other optimizer itself."""
    if not isinstance(optimizer, Chain) or not optimizer.steps:
        return optimizer
    steps = [step for _, step in optimizer.steps]
    return rule_of(next((step for step in steps if step.descends), steps[-1]))


def rule_name(optimizer: Optimizer, others: Iterable[str] = ()) -> str:
    """The name of an optimizer's function: its tag, unless the file has another thing of that name."""
    kind = type(rule_of(optimizer))
    tag = identifier(str(getattr(kind, "tag", None) or kind.__name__.lower()).rpartition(".")[2]).lower()
    short = {f"{name}{end}" for name, _ in SHORT.values() for end in ("", "_2", "_3", "_4")}
    taken = {*others, *NAMES, *dir(builtins), *HELPERS, *PLAIN, *PRIMITIVES, *short}
    return f"{tag}_rule" if tag in taken or keyword.iskeyword(tag) or tag.startswith("begin_") else tag


def equation_of(optimizer: Optimizer) -> str:
    """The first paragraph of an optimizer's docstring."""
    rule = rule_of(optimizer)
    paragraph = (type(rule).__doc__ or "").strip().partition("\n\n")[0]
    text = " ".join(ascii_text(paragraph).replace("``", "").split())
    text = text.replace("in addition to Adam's update,", "Adam's update and")
    if getattr(rule, "momentum", None) == 0.0:
        text = re.sub(r"; with momentum.*", ".", text)
    for field in ("b1", "b2"):
        text = re.sub(rf"\b{field}\b", FIELDS[field], text)
    return in_docstring(re.sub(r"\bp\b", ROLES["params"], text))
