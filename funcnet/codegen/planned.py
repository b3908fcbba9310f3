"""The printed file of a program as it runs, with its memory."""

from __future__ import annotations

from funcnet.codegen.defined import Defined
from funcnet.codegen.demonstration import Demonstration
from funcnet.codegen.functions import constant_text, helper_text
from funcnet.codegen.library_source import ascii_text
from funcnet.codegen.program import Program
from funcnet.codegen.readable import Readable
from funcnet.compiler.graph import leaves
from funcnet.compiler.memory import ALIGNMENT
from funcnet.compiler.plan import Plan


def planned(program: Program) -> str:
    """The statements of the plan, and a function with the arguments of the readable form around them."""
    plan = Plan(program.whole(), frozenset({"recycle"}))
    helpers = dict[str, None]()
    constants = [f"{name} = {constant_text(value, helpers)}" for name, value in plan.constants.items()]
    used = {arg for node in plan.graph.nodes for arg in node.args} | set(leaves(plan.graph.outputs))
    roots = {str(node.static).split("/")[0] for node in plan.graph.inputs if node in used}
    given = [name for name in program.args if name in roots]
    flat = [program.places[str(node.static)] if node in used else "None" for node in plan.graph.inputs]
    results = [name for name, part in zip(program.results, plan.graph.outputs, strict=False) if name != "state" or part]
    every = ", ".join([*program.results, *["_"] * (len(plan.graph.outputs) - len(program.results))])
    page, defined = Readable(program), Defined()
    page.kept = results
    wrapper = [
        f"def {program.title}({', '.join(given)}):",
        f'    """{page.purpose(program.title)}"""',
        f"    {every} = run({', '.join(flat)})",
        f"    return {', '.join(results)}",
    ]
    demonstration = Demonstration(program, program.title, given, results, defined, {}).text()
    parts = [
        page.header(given, results) + "\nimport numpy as np",
        *(helper_text(name) for name in {**helpers, **defined.helpers}),
        escaped("\n".join(constants)),
        f"arena = np.empty({plan.scratch_bytes + ALIGNMENT}, np.uint8)\n"
        f"arena = arena[-arena.ctypes.data % {ALIGNMENT} :]",
        *(escaped(part.rstrip()) for part in plan.source),
        "\n".join(wrapper),
        demonstration,
    ]
    return ascii_text("\n\n\n".join(parts)) + "\n"


def escaped(code: str) -> str:
    """Code in ASCII: only strings have other letters."""
    return code.encode("ascii", "backslashreplace").decode()
