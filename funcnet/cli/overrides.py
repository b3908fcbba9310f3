"""``--set a.b[0].c=VALUE``: one change to a JSON document before it becomes a spec."""

from __future__ import annotations

import json
import re
from typing import Any

from funcnet.errors import Problem, SpecError
from funcnet.hints import did_you_mean

_STEP = re.compile(r"\.?([A-Za-z_]\w*)|\[(\d+)\]")


def apply_setting(document: Any, setting: str) -> None:
    """Change a document in place. VALUE is JSON where it parses as such, else a string.

    Raises   SpecError for a path that does not exist; a new last field is left to the check of the spec
    """

    def refuse(message: str) -> SpecError:
        return SpecError([Problem("", message)], root=f"--set {setting}")

    path, equals, text = setting.partition("=")
    steps: list[str | int] = [int(m[2]) if m[2] else m[1] for m in _STEP.finditer(path)]
    if not equals or not steps or "".join(m[0] for m in _STEP.finditer(path)) != path:
        raise refuse("expected PATH=VALUE, such as optimizer.learning_rate=0.01 or model.layers[0].units=32")
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    except RecursionError:
        raise refuse("brackets are nested too deep") from None
    node = document
    for i, step in enumerate(steps):
        where = "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in steps[:i]) or "the spec"
        if isinstance(step, int):
            if not isinstance(node, list) or step >= len(node):
                size = f"a list of {len(node)}" if isinstance(node, list) else "not a list"
                raise refuse(f"there is no item [{step}] in {where}, which is {size}")
        elif not isinstance(node, dict):
            raise refuse(f"{where} has no fields")
        if i == len(steps) - 1:
            node[step] = value
        else:
            if isinstance(step, str) and step not in node:
                near = did_you_mean(step, node)
                path = path[: len(path) - len("".join(m[0] for m in list(_STEP.finditer(path))[i + 1 :]))]
                whole = "" if near else f"; a new field is given whole: '{path}={{…}}'"
                raise refuse(f"{where} has no field {step!r}{near}; it has {', '.join(node)}{whole}")
            if isinstance(node[step], str) and isinstance(steps[i + 1], str):
                node[step] = {"type": node[step]}  # a bare tag is short for a node with its defaults
            node = node[step]
