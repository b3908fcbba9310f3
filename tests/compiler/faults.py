"""Plant one realistic fault at a time in the compiler and see that its tests catch it.

    python -m tests.compiler.faults              # every fault
    python -m tests.compiler.faults --only 3 17  # some of them
    python -m tests.compiler.faults --file memory.py

A fault is a piece of text that is replaced. Each is planted in a copy of the library, where a fast selection of tests
runs up to the first failure, in a process of its own. What escapes is printed, and is the exit status.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from tests.mutation import SECONDS, TESTS

QUICK = ("memory", "layout", "hidden", "fallback", "numpy_table", "packing")
SLOW = ("function", "programs", "user_code", "standins", "networks", "agreement")
OF_FILE = {
    "standins.py": "standins",
    "numpy_table.py": "numpy_table",
    "tracer.py": "standins",
    "function.py": "function",
    "guard.py": "function",
    "compared.py": "function",
}
"""The tests that run, in a process for each stage: those of the file, the quick ones, the rest"""
SKIPPED = "not signal_handler and not (test_agreement and (without or layers or is))"
"""Tests that depend on timing, and most ways of the slowest file, are left out"""


class Fault(NamedTuple):
    """A file of the compiler, what is in it, what is put there, and what that breaks."""

    file: str
    old: str
    new: str
    what: str


FAULTS = [
    # ----- memory
    Fault(
        "memory.py",
        "for arg in node.kind.aliases(node):",
        "for arg in ():",
        "what a call returns may lie in its arguments, which are given away",
    ),
    Fault(
        "memory.py",
        "begins[node], ends[node] = first_at, last_at",
        "begins[node], ends[node] = self.position[node], self.position[node]",
        "what a chain reads is given away before its last block, to what it writes",
    ),
    Fault(
        "memory.py",
        "last[root] = max(last.get(root, end), end)",
        "last[root] = max(last.get(root, end), end - 1)",
        "a span one too short",
    ),
    Fault("memory.py", "spans[root][1] == i:", "spans[root][1] <= i + 1:", "memory is taken over one call too early"),
    Fault(
        "memory.py",
        "last[root] = len(self.nodes)",
        "last[root] = max(last[root], 0)",
        "scratch memory of an output is given away before the result is made",
    ),
    Fault(
        "memory.py",
        "own = often[arg] == 1 and arg not in placed",
        "own = arg not in placed",
        "what a vector holds twice is written once",
    ),
    Fault(
        "memory.py",
        "alone = len(self.users[x]) == 1 and x not in self.leaving",
        "alone = len(self.users[x]) == 1",
        "an average that leaves is settled in place",
    ),
    Fault(
        "memory.py",
        "alone = len(self.users[x]) == 1 and x not in self.leaving",
        "alone = x not in self.leaving",
        "an average that others read is settled in place",
    ),
    Fault(
        "memory.py",
        "all(user in inside for user in self._all_users(root))",
        "all(user in inside or user.kind is VIEW for user in self.users[root])",
        "what a view of it shows outside the chain has one block alone",
    ),
    Fault(
        "memory.py",
        "exposed.update(*(self.held[arg] for arg in node.args))",
        "exposed.update(node.args)",
        "what code keeps a view of is written over",
    ),
    Fault(
        "memory.py",
        "if not is_elementwise(node) or node.kind is WHERE:",
        "if not is_elementwise(node):",
        "np.where writes over its own operand in a chain",
    ),
    Fault(
        "memory.py",
        "self._add(start + length, found - length)",
        "self._add(start, found - length)",
        "the free rest of a range is its wrong end",
    ),
    Fault(
        "memory.py",
        'if owner[self.buffers[node]] is node and "reuse"',
        'if "reuse"',
        "memory that was taken over is given back by its first owner, too",
    ),
    Fault("memory.py", " or arg in self.taken:", ":", "two calls of a chain take over the same memory"),
    Fault(
        "memory.py",
        "self.read_until[arg] <= at",
        "self.read_until[arg] <= end",
        "a chain takes over memory that a later call of it reads",
    ),
    # ----- chains
    Fault(
        "chains.py",
        "chain.anchor.place.section == here.section and self._ready(node, chain):",
        "chain.anchor.place.section == here.section:",
        "a call joins a chain that runs before its arguments are there",
    ),
    Fault(
        "chains.py",
        "and arg.shape == chain.anchor.shape and self.after[arg] < begins)",
        "and arg.shape == chain.anchor.shape)",
        "a call that waits runs before the number that it needs",
    ),
    Fault(
        "chains.py",
        "if node.kind is PROBE else node.shape == shape",
        "if node.kind is PROBE else node.shape[0] == shape[0]",
        "a chain of arrays with as many rows and other columns",
    ),
    # ----- plan
    Fault(
        "block.py",
        "len(node.shape) == len(self.shape) and node.shape[0] == self.shape[0]",
        "node.shape and node.shape[0] == self.shape[0]",
        "an operand of fewer axes is cut into blocks",
    ),
    Fault(
        "block.py",
        "self.lies[name] == 1 and self.last.get(arg) == i",
        "self.lies[name] == 1",
        "memory for a block is taken over while a later call reads it",
    ),
    Fault(
        "block.py",
        "                if out in self.lies:\n                    self.lies[out] += 1\n",
        "",
        "what is settled in place counts once where two look at it",
    ),
    Fault(
        "plan.py",
        "range(0, rows, block.rows))",
        "range(0, rows - block.rows + 1, block.rows))",
        "the last rows fill no block and are left out",
    ),
    Fault(
        "block.py",
        'self.body.append(f"{name} += {self.constant(np.vdot)}',
        'self.body.append(f"{name} = {self.constant(np.vdot)}',
        "a probe looks at the last block alone",
    ),
    Fault(
        "plan.py",
        'return f"{self.constant(np.array)}({text})"',
        "return text",
        "a result is not owned: it is a view, or scratch memory",
    ),
    Fault(
        "plan.py",
        "root.kind is not CONST and node.row_major:",
        "root.kind is not CONST:",
        "a result that lies transposed is copied to C order",
    ),
    Fault("plan.py", "wanted.append(wanted[-1] | piece)", "wanted.append(piece)", "a piece of a program loses a name"),
    Fault(
        "plan.py",
        "back = tuple(int(i) for i in np.argsort(order))",
        "back = tuple(order)",
        "scratch memory of three axes lies in the inverse order",
    ),
    Fault(
        "plan.py",
        '                found.append((self.remember(slot, "p"), arg))\n            start += arg.size',
        '                found.append((self.remember(slot, "p"), arg))\n                start += arg.size',
        "pieces of a vector are copied to where others lie",
    ),
    Fault(
        "program.py",
        "array = unused(self.kept, UNUSED)",
        "array = unused(self.kept, UNUSED + 1)",
        "memory of a result is used again while the caller holds it",
    ),
    Fault(
        "program.py",
        "array = layout.empty(self.shape, self.dtype, self.strides)",
        "array = np.empty(self.shape, self.dtype)",
        "memory that is used again forgets its strides",
    ),
    Fault("plan.py", "key = arg, dtype\n", "key = arg\n", "a number in two dtypes has one cell"),
    Fault("plan.py", 'holds = f"{ok}.all()"', 'holds = f"{ok}.any()"', "a check passes if one entry does"),
    # ----- passes
    Fault(
        "simplify.py",
        "is_one(other) and x.dtype == node.dtype and",
        "is_one(other) and",
        "a product with 1.0 leaves an integer array as it is",
    ),
    Fault("simplify.py", "is_one(other) and x.dtype is node.dtype", "is_one(other)", "an integer times 1.0 stays one"),
    Fault(
        "simplify.py",
        "            node.dtype,\n            node.effect,",
        "            node.effect,",
        "two casts are shared",
    ),
    Fault(
        "simplify.py",
        "static = None if node.static is None else repr(node.static)",
        "static = None",
        "calls on the same arguments are shared whatever else they take",
    ),
    Fault(
        "simplify.py",
        "if node.f is np.add:  # a sum",
        "if node.f is np.multiply:  # a sum",
        "a sum over an axis of length 1 keeps -0",
    ),
    Fault(
        "simplify.py",
        "if memory_of(a) is memory_of(b) and",
        "if a is b and",
        "BLAS is given one array where NumPy has two",
    ),
    Fault(
        "pack.py",
        "shared = arg is model and arg.shape == ()",
        "shared = arg.shape == ()",
        "leaves updated by different numbers are packed",
    ),
    Fault(
        "pack.py",
        "home.setdefault(node, (flat, start))\n                start += node.size",
        "home.setdefault(node, (flat, start))",
        "every piece starts where the first does",
    ),
    Fault(
        "pack.py",
        "and place[home[arg][0]] < at else",
        "and place[home[arg][0]] <= at else",
        "a piece is taken before its vector",
    ),
    Fault(
        "order.py",
        "for arg in node.args if arg not in done]",
        "for arg in node.args if arg not in done and arg not in lazy]",
        "what an update asks for is not computed before it",
    ),
    # ----- layout
    Fault(
        "layout.py",
        "        return packed(shape, axes[::-1], itemsize)",
        "        return row_major(shape, itemsize)",
        "wrong strides of a transposed copy",
    ),
    Fault("layout.py", "else (theirs <= mine)", "else (theirs < mine)", "axes of equal strides change places"),
    Fault(
        "layout.py",
        "return packed(shape, [kept.index(axis) for axis in _kept([form], ndim) if axis in kept], itemsize)",
        "return row_major(shape, itemsize)",
        "a reduction gives C order whatever its argument's",
    ),
    Fault(
        "layout.py",
        "            if stride != step:",
        "            if stride < step:",
        "rows with gaps count as contiguous, so their reshape as a view",
    ),
    Fault(
        "layout.py",
        "all(map(contiguous, forms))",
        "any(map(contiguous, forms))",
        "joined arrays lie as the first in C order",
    ),
    Fault(
        "layout.py",
        "if batch < 2 or (contiguous(a)",
        "if batch < 3 or (contiguous(a)",
        "batches of a product keep no order",
    ),
    # ----- kinds
    Fault(
        "kinds.py",
        "return plain and min(a.size, b.size) > 1 and",
        "return plain and",
        "dot where matmul is needed: of one entry",
    ),
    Fault(
        "kinds.py",
        "and (arg.row_major or (arg.strides == layout.packed(arg.shape, (1, 0), arg.dtype.itemsize)))",
        "and arg.strides is not None",
        "dot where matmul is needed: of matrices with gaps",
    ),
    Fault(
        "kinds.py",
        "[*map(item_text, how), '...']",
        "[*map(item_text, how)]",
        "an entry is a copy, made once for all calls",
    ),
    Fault(
        "kinds.py",
        "lines = [] if out == w.ref(x) else [",
        "lines = [] if out else [",
        "an average that is not settled in place is not copied",
    ),
    Fault(
        "kinds.py",
        "return () if node.static.fresh else node.args",
        "return ()",
        "a call that gives a view counts as new memory",
    ),
    Fault(
        "kinds.py",
        '[f"({text})" if text.startswith("-") else text for',
        "[text for",
        "a negative base is raised to a power before its sign",
    ),
    # ----- stand-ins
    Fault(
        "standins.py",
        "- own - BASICS - BUFFERS:",
        '- own - BASICS - BUFFERS - {"__eq__"}:',
        "numbers that are not known are compared",
    ),
    Fault(
        "standins.py",
        "        return self.node.dtype\n\n    def _apply",
        "        return float\n\n    def _apply",
        "an integer says that it is a float",
    ),
    Fault(
        "standins.py",
        "return self.node.dtype.type if self.scalar else np.ndarray",
        "return np.ndarray",
        "a scalar says that it is an array",
    ),
    Fault(
        "standins.py", "if self.scalar and number:", "if self.scalar and not number:", "a scalar's power is an array's"
    ),
    Fault("standins.py", "and f is not operator.truediv", "", "a quotient of integers is an integer"),
    Fault(
        "standins.py",
        'not copy and (order == "K" or self.node.row_major)',
        "not copy",
        "a copy in C order stays transposed",
    ),
    Fault(
        "standins.py",
        "tuple(map(plain_item, full)), scalar=not dots)",
        "tuple(map(plain_item, full)), scalar=True)",
        "x[0, ...] is a scalar",
    ),
    # ----- NumPy's functions
    Fault(
        "numpy_table.py", "or a.dtype.itemsize < 4:", "or a.dtype.itemsize < 2:", "a mean in float16 sums in float16"
    ),
    Fault("numpy_table.py", 'if "out" in kwargs or method == "at":', 'if method == "at":', "out= is not refused"),
    Fault(
        "numpy_table.py",
        "len(values) == f.nin and not whole:",
        "len(values) == f.nin:",
        "integers that a dtype cannot hold are not compared",
    ),
    Fault(
        "numpy_table.py", "**_named(VIEWS, False)", "**_named(VIEWS, True)", "functions that give views count as copies"
    ),
    Fault(
        "numpy_table.py",
        '    "sum prod max min any all',
        '    "unique sum prod max min any all',
        "a shape that depends on values is not refused",
    ),
    Fault(
        "numpy_table.py",
        "in sorted(zip(places, sources, strict=True)):",
        "in zip(places, sources, strict=True):",
        "axes are moved in the order given",
    ),
    # ----- hidden inputs
    Fault(
        "hidden.py",
        "functools.partial(contents_of, cell), functools.partial(set",
        "functools.partial(id, cell), functools.partial(set",
        "a closure is not watched",
    ),
    Fault(
        "hidden.py",
        "for part in (*(f.__defaults__ or ()), *(f.__kwdefaults__ or {}).values()):",
        "for part in ():",
        "a list that is a default is not watched",
    ),
    Fault("watched.py", "holder[:] = self.was", "holder.extend(self.was)", "a list is restored twice as long"),
    Fault(
        "watched.py",
        "                holder[...] = np.frombuffer(self.was[3], holder.dtype).reshape(holder.shape)",
        "                pass",
        "an array is not restored",
    ),
    Fault(
        "hidden.py",
        "        if frozen and array.nbytes > LARGE:",
        "        if not array.flags.writeable:",
        "a read-only view of an array that changes is not watched",
    ),
    Fault(
        "hidden.py",
        "                if inner in slots:\n                    self._attribute(value, name, inner)\n",
        "                if inner in slots:\n                    continue\n",
        "an object's slots are not watched",
    ),
    Fault(
        "hidden.py",
        '        "time", "os", "datetime"',
        '        "os", "datetime"',
        "a clock is recorded",
    ),
    Fault(
        "watched.py",
        "    if type(a) is not type(b):\n        return False\n    if type(a) is tuple:",
        "    if type(a) is tuple:",
        "1 counts as 1.0 and as True",
    ),
    # ----- what cannot be recorded
    Fault(
        "fallback.py",
        "value.shape == like.shape and value.dtype == like.dtype",
        "value.shape == like.shape",
        "a call may give another dtype",
    ),
    Fault("fallback.py", "        set_random_states(before)", "        pass", "a layer that is tried draws twice"),
    Fault("fallback.py", "        _warned.add(text)\n", "", "the same warning again and again"),
    Fault(
        "tracer.py",
        "        else:\n            if self.refusal is not None:\n                raise self.refusal\n",
        "",
        "a refusal that code catches is forgotten",
    ),
    # ----- functions
    Fault(
        "guard.py",
        'lies = f" or {here}.strides != {strides}" if value.ndim else ""',
        'lies = "" if strides else ""',
        "the guard takes any strides",
    ),
    Fault(
        "guard.py",
        '                f"or ({here}.dtype is not {dtype} and {here}.dtype != {dtype}): return None"',
        '                f"or {dtype} is None: return None"',
        "the guard takes any dtype",
    ),
    Fault(
        "guard.py",
        " or {here}.train is not {value.train}",
        "",
        "the guard takes training for evaluation",
    ),
    Fault(
        "function.py",
        "        if recorded.recording is not None:\n            with self.plans.lock:",
        "        if False:\n            with self.plans.lock:",
        "the first call is not compared",
    ),
    Fault(
        "function.py",
        "self._carefully(last, args, flat) if last.hidden.unchanged() else MISS",
        "self._carefully(last, args, flat)",
        "what code reads is looked at before the first call alone",
    ),
    Fault(
        "function.py",
        "                array[...] = was\n",
        "                pass\n",
        "arguments that a plan has written to are not put back",
    ),
    Fault(
        "function.py",
        "        hidden.restore()\n        for array, was in given:",
        "        for array, was in given:",
        "what the first call changes is changed twice",
    ),
    Fault(
        "compared.py",
        'signs = b.dtype.kind == "f" and np.any(',
        'signs = b.dtype.kind == "V" and np.any(',
        "-0 counts as 0 in the first comparison",
    ),
    Fault(
        "function.py",
        "        self.last = None\n        self.plans.known.clear()",
        "        self.plans.known.clear()",
        "a plan that was given up runs on",
    ),
    Fault(
        "function.py",
        "                del self.known[form]\n            self.hidden",
        "                pass\n            self.hidden",
        "a plan outlives a global that has changed",
    ),
    Fault(
        "function.py",
        "would take as long as a small array's product\n            space = self.idle.pop()",
        "would take as long as a small array's product\n            space = self.idle[-1]",
        "two threads share scratch memory",
    ),
]


def caught(fault: Fault, folder: Path) -> str:
    """By which test a fault in a copy of the library is caught; empty if by none."""
    path = folder / "funcnet" / "compile" / fault.file
    text = path.read_text(encoding="utf-8")
    if text.count(fault.old) != 1:
        raise SystemExit(f"{fault.file} holds {text.count(fault.old)} times {fault.old!r}")
    surroundings = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        path.write_text(text.replace(fault.old, fault.new), encoding="utf-8")
        own = OF_FILE.get(fault.file)
        for names in ((own,) if own else (), QUICK, SLOW):
            if not names:
                continue
            files = [f"tests/compiler/test_{name}.py" for name in names]
            options = ["-x", "-q", "-p", "no:cacheprovider", "-m", "", "-k", SKIPPED]
            command = [sys.executable, "-m", "pytest", *options, *files]
            found = subprocess.run(
                command, cwd=folder, env=surroundings, capture_output=True, text=True, timeout=SECONDS, check=False
            )
            if found.returncode:
                lines = found.stdout.splitlines()
                failed = [line.split(" - ")[0] for line in lines if line.startswith(("FAILED", "ERROR"))]
                return failed[0] if failed else f"exit status {found.returncode}"
    except subprocess.TimeoutExpired:
        return f"no end after {SECONDS} s"
    finally:
        path.write_text(text, encoding="utf-8")
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=int, nargs="+", metavar="N", help="these faults, counted from 1")
    parser.add_argument("--file", help="the faults of one file, such as memory.py")
    options = parser.parse_args()
    chosen = [
        (n, fault)
        for n, fault in enumerate(FAULTS, 1)
        if (not options.only or n in options.only) and options.file in (None, fault.file)
    ]
    tally: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("funcnet", "tests"):
            shutil.copytree(TESTS.parent / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(TESTS.parent / "pyproject.toml", folder)
        for n, fault in chosen:
            start = time.perf_counter()
            by = caught(fault, folder)
            tally["caught" if by else "escaped"] += 1
            verdict = f"caught by {by.removeprefix('FAILED tests/compiler/')}" if by else "ESCAPED"
            print(
                f"{n:3} {fault.file:15} {fault.what}\n    {verdict} ({time.perf_counter() - start:.0f} s)", flush=True
            )
    print(", ".join(f"{count} {verdict}" for verdict, count in sorted(tally.items())))
    return int(bool(tally["escaped"]))


if __name__ == "__main__":
    sys.exit(main())
