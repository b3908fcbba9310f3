"""The name and the equation of the function that a printed file has for an optimizer."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Callable, Iterable
from typing import Any

from funcnet.codegen.captions import known_as
from funcnet.codegen.functions import PLAIN
from funcnet.codegen.library_source import ascii_text
from funcnet.codegen.names import NAMES, identifier, in_docstring
from funcnet.codegen.printed_helpers import HELPERS
from funcnet.codegen.short.call import SHORT, names_of
from funcnet.ops import PRIMITIVES
from funcnet.optim.base import Optimizer
from funcnet.optim.transforms.chain import Chain

FIELDS = {"learning_rate": "rate", "b1": "beta1", "b2": "beta2", "momentum": "mu"}
"""The printed names of hyperparameters, where they differ from those of the fields"""
ROLES = {"params": "w", "grads": "g"}
"""The names of a param and its gradient in a rule"""


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
    taken = {*others, *NAMES, *dir(builtins), *HELPERS, *PLAIN, *PRIMITIVES, *names_of(SHORT)}
    return f"{tag}_rule" if tag in taken or keyword.iskeyword(tag) or tag.startswith("begin_") else tag


def equation_of(optimizer: Optimizer) -> str:
    """The first paragraph of an optimizer's docstring, or the equation of a configuration that it does not show."""
    rule = rule_of(optimizer)
    known = known_as(type(rule), "update")
    paragraph = (type(rule).__doc__ or "").strip().partition("\n\n")[0]
    if known is None:
        return in_docstring(" ".join(ascii_text(paragraph).replace("``", "").split()))
    text = EQUATIONS.get(known.__name__, lambda _: "")(rule)
    if not text:
        text = " ".join(ascii_text(paragraph.replace("μ", "mu")).replace("``", "").replace("prod )", "prod)").split())
        text = text.replace("in addition to Adam's update,", "Adam's update and")
        for old, new in (("b1", FIELDS["b1"]), ("b2", FIELDS["b2"]), ("w", "largest"), ("w_hat", "largest_hat")):
            text = re.sub(rf"\b{old}\b", new, text)
        text = re.sub(r"\bp\b", ROLES["params"], text)
    if getattr(rule, "weight_decay", None) == 0.0:
        text = re.sub(r"( and w = w -|,? [+-])( rate \*)? weight_decay \* w", "", text)
    return in_docstring(text)


def _sgd(rule: Any) -> str:
    if rule.momentum == 0.0:
        return "Stochastic gradient descent: w = w - rate g."
    change = "(g + mu v)" if rule.nesterov else "v"
    return f"Stochastic gradient descent with {momentum(rule)}: v = mu v + g, w = w - rate {change}."


def _lars(rule: Any) -> str:
    pace = "rate trust |w|/|d| d"
    change = f"(mu v + {pace})" if rule.nesterov else "v"
    return (
        f"{momentum(rule).capitalize()}, scaled leaf by leaf: d = g + weight_decay * w, v = mu v + {pace}, "
        f"w = w - {change}."
    )


def _rmsprop(rule: Any) -> str:
    centred = "a = decay * a + (1-decay) g, " * rule.centered
    scaled = f"g / (sqrt {'max(v - a**2, 0)' if rule.centered else 'v'} + eps)"
    last = f"w = w - rate {scaled}" if rule.momentum == 0.0 else f"u = mu u + {scaled}, w = w - rate u"
    return f"v = decay * v + (1-decay) g**2, {centred}{last}."


def momentum(rule: Any) -> str:
    """The name of a rule's momentum."""
    return "Nesterov momentum" if rule.nesterov else "momentum"


EQUATIONS: dict[str, Callable[[Any], str]] = {"SGD": _sgd, "LARS": _lars, "RMSprop": _rmsprop}
"""The equations of rules that depend on their fields"""
