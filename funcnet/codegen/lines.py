"""The lines of a printed program: names of variables, structures as code, wrapped calls and aligned comments."""

from __future__ import annotations

import ast
import re
import textwrap
from typing import Any

from funcnet.codegen.names import fresh, quoted
from funcnet.codegen.printer import LONGEST

WIDTH = 72
"""The rightmost column of the aligned shape comments"""
DEEPEST = 40
"""The deepest indentation of a dict"""
BEFORE = ("for ", "if ", "else ", "+ ", "- ", "* ", "/ ", "@ ")
"""Words that a divided line may begin with"""


def variables(paths: list[str], taken: set[str]) -> dict[str, str]:
    """Variable names of the inputs: their paths, without ``params`` and ``state``, but for names that are taken.

    An argument keeps its name.
    """
    names = {path: path for path in paths if "/" not in path}
    taken |= names.keys()
    for path in paths:
        root, _, rest = path.partition("/")
        if rest:
            names[path] = fresh((rest if root in ("params", "state") else path).replace("/", "_"), taken)
    return names


def tree_text(value: Any, indent: int = 4, used: int = 22) -> str:
    """A structure as code, with one entry per line where it is too long."""
    if isinstance(value, dict):
        indent = min(indent, DEEPEST)
        inside = [
            f"{text}: {tree_text(inner, indent + 4, len(text) + 4)}"
            for text, inner in ((quoted(name), inner) for name, inner in value.items())
        ]
        whole = "{" + ", ".join(inside) + "}"
        if len(whole) + indent + used <= LONGEST and "\n" not in whole:
            return whole
        margin = " " * (indent + 4)
        if not any("\n" in entry for entry in inside):
            inside = filled(inside, LONGEST - indent - 4)
        return "{\n" + "".join(f"{margin}{entry},\n" for entry in inside) + " " * indent + "}"
    if isinstance(value, tuple):
        return "(" + "".join(f"{tree_text(inner, indent)}, " for inner in value) + ")"
    return repr(value)


def filled(entries: list[str], width: int) -> list[str]:
    """Entries joined by commas into lines."""
    lines = [entries[0]]
    for entry in entries[1:]:
        if len(lines[-1]) + len(entry) + 3 <= width:
            lines[-1] += f", {entry}"
        else:
            lines.append(entry)
    return lines


def margins(body: list[tuple[str, str]], indent: int = 4) -> list[str]:
    """Indented lines with their shape comments aligned."""
    column = max((len(text) for text, shape in body if shape and len(text) <= WIDTH), default=0)
    lines = []
    for text, shape in body:
        comment = f"  # {shape}" if shape else ""
        if indent + len(text) + len(comment) > LONGEST and "\n" not in text:
            text = fitted(text, indent)
        first, *more = text.split("\n")
        apart = [row for line in (" " * indent + first, *more) for row in rows_apart(line)]
        parts = [part for line in apart for part in divided(line)]
        text = "\n".join(parts)[indent:]
        last = text.rpartition("\n")[2]
        if len(last) + indent * ("\n" not in text) + len(comment) > LONGEST:
            comment = ""  # the statement takes the whole line
        aligned = f"{text.ljust(column) if comment else text}{comment}"
        if indent + len(aligned) > LONGEST:
            aligned = text + comment
        lines.append(f"{' ' * indent}{aligned}".rstrip())
    return lines


def fitted(text: str, indent: int) -> str:
    """A long statement on several lines: divided in its call, its targets, or in parentheses around its value."""
    made = broken(text, indent)
    if indent + len(made.partition("\n")[0]) <= LONGEST:
        return made
    targets, equals, rest = made.partition(" = ")
    if equals and ", " in targets and not targets.startswith("def "):
        inner = textwrap.fill(f"{targets},", LONGEST - indent - 4)
        rest = broken(rest, indent) if indent + len(rest) + 4 > LONGEST else rest
        return f"(\n{textwrap.indent(inner, ' ' * (indent + 4))}\n{' ' * indent}) = {rest}"
    head = "return " if text.startswith("return ") else f"{targets} = " if equals else ""
    inside = f"{head}({text.removeprefix(head)})" if head and not text.startswith("def ") else text
    made = broken(inside, indent)
    if head == "return " and made != inside:
        return made
    if equals and all(len(line) > LONGEST for line in divided(" " * indent + inside)[:1]):
        return f"{head}(\n{' ' * (indent + 4)}{rest}\n{' ' * indent})"
    return inside


def broken(text: str, indent: int = 4) -> str:
    """A long statement with the arguments of its outermost call on wrapped lines; any other text unchanged."""
    start, end = re.search(r"[(\[{]", text), ":" * text.endswith("):")
    text = text.removesuffix(":") if end else text
    bare = without_strings(text)
    if start is None or not text.endswith((")", "]", "}")):
        return text + end
    parts, depth, last = [], 0, start.end()
    for i in range(start.start(), len(text)):
        depth += (bare[i] in "([{") - (bare[i] in ")]}")
        if depth == 0 and i + 1 < len(text):
            return text + end  # it ends before the statement does
        if (depth == 1 and bare[i] == ",") or depth == 0:
            parts.append(text[last:i].strip())
            last = i + 1
    parts = [part.replace(" ", "\0") for part in parts if part]
    inner = textwrap.fill(
        f"{', '.join(parts)},", LONGEST - indent - 4, break_long_words=False, break_on_hyphens=False
    ).replace("\0", " ")
    made = f"{text[: start.end()]}\n{textwrap.indent(inner, ' ' * (indent + 4))}\n{' ' * indent}{text[-1]}"
    body = " pass" if end else ""
    return made + end if _same(made + end + body, text + end + body) else text + end


def without_strings(line: str) -> str:
    """A line of code with each letter inside its strings replaced by another."""
    return re.sub(r'"(?:[^"\\]|\\.)*"', lambda found: f'"{"_" * (len(found[0]) - 2)}"', line)


def _same(made: str, text: str) -> bool:
    """Whether two statements are the same code."""
    try:
        trees = [ast.dump(ast.parse(f"def f():\n    {code}")) for code in (made, text)]
    except SyntaxError:
        return False
    return trees[0] == trees[1]


def narrow(text: str) -> str:
    """The source of functions with no line longer than a page: docstrings and comments wrapped, code divided."""
    lines: list[str] = []
    inside = False  # a docstring
    for line in text.split("\n"):
        margin, words = line[: len(line) - len(line.lstrip())], line.strip()
        marks = words.count('"""')
        if len(line) <= LONGEST:
            lines.append(line)
        elif inside or marks:
            lines += textwrap.wrap(words, LONGEST, initial_indent=margin, subsequent_indent=margin)
        elif words.startswith("#"):
            lines += textwrap.wrap(words[2:], LONGEST, initial_indent=f"{margin}# ", subsequent_indent=f"{margin}# ")
        else:
            code, mark, comment = words.rpartition("  # ")
            lines += [f"{margin}# {comment}"] * bool(mark)
            lines += (margin + broken(code or words, len(margin))).split("\n")
        inside ^= marks % 2 == 1
    return "\n".join(part for line in lines for part in divided(line))


def divided(line: str) -> list[str]:
    """A long line of code in two or more, divided inside its brackets; a line without a place for that is unchanged."""
    found: list[tuple[int, int]] = []
    bare = without_strings(line)
    depths = [0]
    for letter in bare:
        depths.append(depths[-1] + (letter in "([{") - (letter in ")]}"))
    depth = -min(depths) + line.endswith(",")  # of brackets that an earlier line opens
    for i, letter in enumerate(bare[:LONGEST]):
        depth += (letter in "([{") - (letter in ")]}")
        if letter == " " and depth and i > 40 and (bare[i - 1] in ",:" or bare[i + 1 :].startswith(BEFORE)):
            found.append((-depth, i))
    if len(line) <= LONGEST or line.lstrip().startswith(("#", '"""')):
        return [line]
    indent = len(line) - len(line.lstrip()) + (8 if line.endswith(":") else 4)
    inside = bare.rfind("][", 24, LONGEST - 1) + 2  # a place in a long lookup
    if not found and inside < 24:
        return [line]
    end, begin = (max(found)[1], max(found)[1] + 1) if found else (inside, inside)
    return [line[:end], *divided(" " * indent + line[begin:])]


def rows_apart(line: str) -> list[str]:
    """A line of code, or if it is too long and has an array, the lines with each row of the array in its own."""
    start = line.find("np.array([")
    if len(line) <= LONGEST or start < 0:
        return [line]
    margin, stop = " " * (len(line) - len(line.lstrip())), line.rindex("]")
    lines = [line[: start + 10]]
    for row in line[start + 10 : stop].replace("], [", "],\n[").split("\n"):
        inner = margin + " " * (4 + row.startswith("["))
        lines += textwrap.wrap(row, LONGEST - 1, initial_indent=margin + "    ", subsequent_indent=inner)
    lines[-1] += ","
    return [*lines, margin + line[stop:]]
