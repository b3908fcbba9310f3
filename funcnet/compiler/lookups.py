"""What code looks up, and what it does with the result, read from its instructions."""

from __future__ import annotations

import dis
import types

GLOBALS = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS", "STORE_GLOBAL", "DELETE_GLOBAL")
CELLS = ("LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF")


def loaded(code: types.CodeType, closure: bool = False) -> dict[str, set[str]]:
    """The globals that code reads or writes, or its closure variables, each with the attributes read directly from it.

    The attribute "" means any other use.
    """
    found: dict[str, set[str]] = {}
    wanted = CELLS if closure else GLOBALS
    steps = list(dis.get_instructions(code))
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        if step.opname in wanted:
            read = following is not None and following.opname in ("LOAD_ATTR", "LOAD_METHOD")
            found.setdefault(step.argval, set()).add(following.argval if following is not None and read else "")
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            for name, attributes in loaded(constant, closure).items():
                found.setdefault(name, set()).update(attributes)
    return found


def is_kept(steps: list[dis.Instruction]) -> bool:
    """Whether code assigns the result of a call to a variable, but for that of ``type(self)``."""
    names = [step.opname for step in steps]
    call = names.index("CALL") if "CALL" in names[:-1] else -1
    own = any(step.argval == "self" for step in steps[:call])
    return call > 0 and names[call + 1].startswith("STORE_") and not own
