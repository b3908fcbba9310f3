"""Random pure programs in plain NumPy, made from a seed, and a run of many: ``python -m tests.compiler.programs``.

A program is text, so that one that fails can be read: its inputs, lines of one operation, and a result. ``smaller``
takes lines away while the failure stays.
"""

from __future__ import annotations

import argparse
import math
import random
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import funcnet as fn
from tests.compiler.comparison import (
    SMALL,
    Difference,
    arrays,
    clone,
    compare,
    options,
    repeats_itself,
    report,
    thresholds,
)
from tests.compiler.inputs import arguments, named
from tests.compiler.operations import ERRORS, NUMBERS, OPERATIONS, gap

NAME = re.compile(r"\b[xnkv]\d+\b")


class Pair(NamedTuple):
    """A result with names."""

    first: Any
    second: Any


NAMES = {"np": np, "fn": fn, "math": math, "Pair": Pair}


class Line(NamedTuple):
    """One operation: the name of its result, its text, and what kind it is."""

    name: str
    text: str
    kind: str


class Program(NamedTuple):
    """A function as text, several lists of arguments for it, and how it is compiled."""

    lines: tuple[Line, ...]
    result: str
    args: tuple[dict[str, Any], ...]
    sizes: dict[str, int]
    without: frozenset[str]

    def text(self) -> str:
        """The function's definition."""
        body = "".join(f"    {line.name} = {line.text}\n" for line in self.lines)
        return f"def f({', '.join(self.args[0])}):\n{body}    return {self.result}\n"

    def function(self) -> Callable[..., Any]:
        names = dict(NAMES)
        exec(self.text(), names)
        return names["f"]

    def check(self) -> str:
        """Raise a Difference if compiled and plain differ, a TraceError if it cannot be recorded."""
        f, args_list = self.function(), [tuple(args.values()) for args in self.args]
        with thresholds(self.sizes):
            try:
                compare(f, args_list, self.without)
            except Difference:
                if repeats_itself(f, args_list):
                    raise
                return "plain differs from plain"
        return "equal"

    def __str__(self) -> str:
        """The program, and what its inputs look like."""
        rows = [f"    {name}: {described([args[name] for args in self.args])}" for name in self.args[0]]
        how = f"  # {self.sizes or 'as it is'}{' without ' + ', '.join(sorted(self.without)) if self.without else ''}"
        return "\n".join([self.text().rstrip() + how, *rows])


def described(values: list[Any]) -> str:
    """An input in a line: its layout, and its values if they are few."""
    x = values[0]
    if not isinstance(x, np.ndarray):
        return ", ".join(map(repr, values)) if not isinstance(x, fn.Key) else "a key"
    layouts = dict.fromkeys(f"{v.dtype} {v.shape} strides {tuple(s // v.itemsize for s in v.strides)}" for v in values)
    return " | ".join(layouts) + (f" = {x.tolist()}" if x.size <= 6 else "")


# ----- programs ------------------------------------------------------------------------------------------------------


def is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray | np.generic)


class Maker:
    """What is known while a program is made: every name and its value for the first arguments."""

    def __init__(self, r: random.Random, known: dict[str, Any], large: bool) -> None:
        self.r, self.known = r, known
        self.most = 1 << 21 if large else 1500  # bytes of an array
        self.operand = ""

    def pick(self, test: Callable[[Any], bool]) -> str | None:
        """The name of a value that passes a test, more often a recent one."""
        names = [name for name, value in self.known.items() if test(value)]
        if not names:
            return None
        return (
            names[-1 - min(int(self.r.expovariate(0.35)), len(names) - 1)]
            if self.r.random() < 0.7
            else self.r.choice(names)
        )

    def fits(self, value: Any) -> bool:
        """Whether a value broadcasts with the operand, to something of a size that is allowed."""
        try:
            shape = np.broadcast_shapes(np.shape(self.known[self.operand]), np.shape(value))
        except ValueError:
            return False
        return math.prod(shape) * 8 <= self.most

    def behind(self, value: Any) -> bool:
        """Whether the operand @ value is defined."""
        a, b = np.shape(self.known[self.operand]), np.shape(value)
        return bool(a and b) and a[-1] == (b[-2] if len(b) > 1 else b[0])

    def filled(self, name: str) -> str:
        """The text for a gap."""
        r, known = self.r, self.known
        found: str | None
        if name in ("b", "c"):
            found = self.pick(lambda v: is_array(v) and self.fits(v))
        elif name == "mm":
            found = self.pick(lambda v: is_array(v) and self.behind(v))
            turned = self.pick(lambda v: is_array(v) and np.ndim(v) == 2 and self.behind(np.transpose(v)))
            found = f"{turned}.T" if turned and (found is None or r.random() < 0.3) else found
        elif name == "mask":
            found = self.pick(lambda v: is_array(v) and v.dtype == np.bool_ and self.fits(v))
            found = found if found and r.random() < 0.7 else f"({self.operand} > 0)"
        elif name == "int":
            found = self.pick(lambda v: is_array(v) and v.dtype.kind in "iu")
        elif name == "key":
            found = self.pick(lambda v: isinstance(v, fn.Key))
        elif name == "number":
            found = self.pick(lambda v: type(v) in (int, float))
        elif name == "whole":
            found = self.pick(lambda v: type(v) is int)
        elif name == "num":
            found = (
                self.filled("number")
                if r.random() < 0.2 and any(type(v) in (int, float) for v in known.values())
                else r.choice(NUMBERS)
            )
        elif name == "a":
            found = self.operand
        else:
            return gap(name, r, known[self.operand])
        if found is None:
            raise LookupError(name)
        return found

    def expression(self, template: str) -> str:
        """A template with its gaps filled; text may bring gaps of its own."""
        while "{" in template:
            template = re.sub(r"\{(\w+)\}", lambda m: self.filled(m[1]), template)
        return template

    def tried(self, text: str) -> Any:
        """What a text gives for the first arguments; it raises for what no program should have."""
        with np.errstate(all="ignore"):
            value = eval(text, NAMES, self.known)
        for leaf in arrays(value):
            if leaf.nbytes > self.most or leaf.dtype.kind not in "fiub" or leaf.dtype.itemsize > 8:
                raise ValueError("too large, or of another kind")
        return value


WEIGHTS = [weight for weight, _ in OPERATIONS.values()]
HEAVY = {"matmul": 4, "reduce": 3, "transpose": 2, "einsum": 2}
LARGE_WEIGHTS = [weight * HEAVY.get(kind, 1) for kind, (weight, _) in OPERATIONS.items()]
REFUSED = (
    fn.FuncnetError,
    ValueError,
    TypeError,
    IndexError,
    LookupError,
    AttributeError,
    ArithmeticError,
    SyntaxError,
)


def program(seed: int, large: bool = False) -> Program:
    """The program of a seed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return made(seed, large)


def made(seed: int, large: bool) -> Program:
    r, rng = random.Random(seed), np.random.default_rng(seed)
    makers = arguments(r, large)
    elsewhere = r.random() < 0.15  # later arguments have other layouts
    calls = r.choice((3, 3, 4, 5)) if not large else 2
    args = [named(make(rng, elsewhere and i > 0) for make in makers) for i in range(calls)]
    maker = Maker(r, dict(args[0]), large)
    lines: list[Line] = []
    wanted = r.randint(3, 8) if large or r.random() < 0.6 else r.randint(8, 40)
    for _ in range(wanted * 6):
        if len(lines) >= wanted:
            break
        (kind,) = r.choices(list(OPERATIONS), LARGE_WEIGHTS if large else WEIGHTS)
        template = r.choice(OPERATIONS[kind][1])
        maker.operand = maker.pick(is_array) or ""
        try:
            text = maker.expression(template)
            value = maker.tried(text)
        except REFUSED:
            continue
        lines.append(Line(f"v{len(lines)}", text, template))
        maker.known[lines[-1].name] = value
    if r.random() < 0.05 and all(runs(lines, one) for one in args):
        lines += error(maker, len(lines))
    sizes = {} if r.random() < 0.3 else r.choice(SMALL)
    choice = options()
    without = frozenset(r.sample(choice, r.choice((0, 0, 0, 1, 2))))
    return pruned(Program(tuple(lines), result(r, maker.known, lines), tuple(args), sizes, without))


def runs(lines: list[Line], args: dict[str, Any]) -> bool:
    """Whether the lines raise nothing: which of two errors comes first is not promised."""
    try:
        with np.errstate(all="ignore"):
            exec("\n".join(f"{line.name} = {line.text}" for line in lines), dict(NAMES), clone(args))
    except Exception:
        return False
    return True


def error(maker: Maker, count: int) -> list[Line]:
    """A line that raises."""
    template = maker.r.choice(ERRORS)
    maker.operand = maker.pick(is_array) or ""
    text = maker.expression(template)
    try:
        maker.tried(text)
    except REFUSED:
        return [Line(f"v{count}", text, template)]
    return []


def result(r: random.Random, known: dict[str, Any], lines: list[Line]) -> str:
    """A structure of names: the last one, some others, some twice, and inputs among them."""
    used = {name for line in lines for name in NAME.findall(line.text)}
    names = [name for name in known if name not in used or r.random() < 0.15]
    names = r.sample(names, min(len(names), 6)) or list(known)[-1:]
    names += [r.choice(names) for _ in range(r.choice((0, 0, 1)))]
    if lines and lines[-1].name not in names and lines[-1].name in known:
        names.append(lines[-1].name)
    parts = list(names)
    while len(parts) > 1:
        n = r.randint(2, min(len(parts), 4))
        group, parts = parts[:n], parts[n:]
        form = r.randrange(5)
        if form == 0:
            text = "{" + ", ".join(f'"{"abcd"[i]}": {one}' for i, one in enumerate(group)) + "}"
        elif form == 1:
            text = f"[{', '.join(group)}]"
        elif form == 2 and n == 2:
            text = f"Pair({', '.join(group)})"
        elif form == 3:
            text = f"({', '.join(group)}, None)"
        else:
            text = f"({', '.join(group)})"
        parts.append(text)
    return parts[0]


# ----- smaller programs ---------------------------------------------------------------------------------------------


def pruned(p: Program) -> Program:
    """Without lines and arguments that the result does not need."""
    needed = set(NAME.findall(p.result))
    lines: list[Line] = []
    for line in reversed(p.lines):
        if line.name in needed or line.kind in ERRORS or "ops.check" in line.text:
            lines.insert(0, line)
            needed |= set(NAME.findall(line.text))
    keep = [name for name in p.args[0] if name in needed] or list(p.args[0])[:1]
    return p._replace(lines=tuple(lines), args=tuple({name: args[name] for name in keep} for args in p.args))


def failure(p: Program) -> tuple[str, str] | None:
    """The kind and the details of what is wrong with a program; ``refused`` for what cannot be recorded."""
    try:
        how = p.check()
    except Difference as difference:
        return difference.kind, difference.detail
    except fn.TraceError as refused:
        return "refused", str(refused).split("; ")[0]
    return None if how == "equal" else (how, "")


def smaller(p: Program) -> Program:
    """A program of fewer lines that fails in the same way."""
    found = failure(p)
    if found is None:
        return p
    kind = found[0]

    def still(q: Program) -> bool:
        try:
            again = failure(q)
        except Exception:
            return False
        return again is not None and again[0] == kind

    for name in [*(line.name for line in p.lines), *p.args[0]]:
        q = pruned(p._replace(result=f"({name},)"))
        if still(q):
            p = q
            break
    for settings in ({"without": frozenset()}, {"sizes": {}}):
        q = p._replace(**settings)
        p = q if still(q) else p
    p = cut(p, still)
    for name in names_of(p.result):
        rest = ", ".join(other for other in names_of(p.result) if other != name)
        q = pruned(p._replace(result=f"({rest},)"))
        p = q if rest and still(q) else p
    for i in range(len(p.args) - 1, -1, -1):
        if len(p.args) > 1:
            q = p._replace(args=p.args[:i] + p.args[i + 1 :])
            p = q if still(q) else p
    return p


def names_of(text: str) -> list[str]:
    return list(dict.fromkeys(NAME.findall(text)))


def cut(p: Program, still: Callable[[Program], bool]) -> Program:
    """Lines become arguments that hold their values, from the last to the first, where the failure stays."""
    done: set[str] = set()
    while True:
        names = [line.name for line in reversed(p.lines) if line.name not in done and f"({line.name},)" != p.result]
        if not names:
            return p
        done.add(names[0])
        q = with_argument(p, names[0])
        if q is not None and still(q):
            p = q


def with_argument(p: Program, name: str) -> Program | None:
    """The program with a line's values as an argument."""
    at = next(i for i, line in enumerate(p.lines) if line.name == name)
    before = p._replace(lines=p.lines[: at + 1], result=name).function()
    new = []
    for args in p.args:
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                value = before(*clone(tuple(args.values())))
        except Exception:
            return None
        if not isinstance(value, np.ndarray | np.generic | fn.Key) and type(value) not in (int, float):
            return None
        new.append({**args, name: np.asarray(value) if isinstance(value, np.generic) else value})
    return pruned(p._replace(lines=p.lines[:at] + p.lines[at + 1 :], args=tuple(new)))


def is_refused(p: Program) -> bool:
    found = failure(p._replace(args=p.args[:1]))
    return found is not None and found[0] == "refused"


def without_refusals(p: Program) -> tuple[Program, list[str]]:
    """The program without the lines that cannot be recorded, and the kinds of these."""
    refused: list[str] = []
    while p.lines and is_refused(p):
        low, high = 0, len(p.lines)  # the number of first lines that can be recorded, and that cannot
        while high - low > 1:
            middle = (low + high) // 2
            names = ", ".join(line.name for line in p.lines[:middle])
            cannot = is_refused(p._replace(lines=p.lines[:middle], result=f"({names},)"))
            low, high = (low, middle) if cannot else (middle, high)
        gone, kept = {p.lines[low].name}, list(p.lines[:low])
        refused.append(p.lines[low].kind)
        for line in p.lines[low + 1 :]:
            if gone & set(NAME.findall(line.text)):
                gone.add(line.name)
            else:
                kept.append(line)
        last = [line.name for line in kept[-3:]] or list(p.args[0])[:1]
        p = pruned(p._replace(lines=tuple(kept), result=f"({', '.join(last)},)"))
    return p, refused


# ----- by hand ------------------------------------------------------------------------------------------


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0:1000", help="first:past, or one seed")
    parser.add_argument("--large", action="store_true", help="sizes at which BLAS and reductions take their real paths")
    parser.add_argument("--whole", action="store_true", help="print programs as they are, not made smaller")
    options = parser.parse_args(argv)
    first, _, past = options.seeds.partition(":")
    tally: Counter[str] = Counter()
    refusals: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for seed in range(int(first), int(past or int(first) + 1)):
        p = program(seed, options.large)
        found = failure(p)
        if found is not None and found[0] == "refused":
            tally["refused"] += 1
            p, refused = without_refusals(p)
            refusals.update(refused)
            found = failure(p)
        tally["equal" if found is None else found[0]] += 1
        if found is None or found[0].startswith("plain"):
            continue
        p = p if options.whole else smaller(p)
        found = failure(p) or found
        what = f"{found[0]} | {' | '.join(sorted({line.kind for line in p.lines}))}"
        seen[what] += 1
        if seen[what] == 1:
            print(f"seed {seed}: {found[0]}: {found[1]}\n{p}\n", flush=True)
    report(programs=tally, differences=seen, refused=refusals)
    return 1 if seen else 0


if __name__ == "__main__":
    sys.exit(main())
