"""Names that are not taken, and when a value is read last, so that its name may be given to another."""

from __future__ import annotations

import keyword
import re

from funcnet.codegen.library_source import ascii_text
from funcnet.compiler.graph import Node, NodeGraph
from funcnet.compiler.kinds import SETTLE, VIEW

READ = frozenset(("np", "float", "int", "bool", "len", "bytes", "max", "min", "ValueError"))
"""Names that any statement may read, which no variable may have"""


LONG = 44
"""The most letters of a name, but for a number behind it"""


def identifier(wanted: str) -> str:
    """A text as a name in ASCII."""
    base = re.sub(r"\W", "_", ascii_text(wanted))
    return f"_{base}" if base[:1].isdigit() else base if base.strip("_") else "value"


def end_of(name: str) -> str:
    """The last words of a long name, with what is in front of the path: ``d_`` of a cotangent."""
    begin = re.match(r"(?:(?:d|grads|saved|state|new)_)*", name)[0]  # type: ignore[index]
    ends = [name[i.end() :] for i in re.finditer(r"_(?=[a-zA-Z])", name)]
    return name if len(name) <= LONG else begin + next((end for end in ends if len(begin + end) <= LONG), name[-LONG:])


def fresh(wanted: str, taken: set[str]) -> str:
    """A name that is not taken yet, which then is: that of a path or a wanted one, or with a number behind it.

    Names in capitals are those of the file's tables.
    """
    base = end_of(identifier(wanted.lower() if wanted.isupper() else wanted))
    name, n = base, 2
    while name in taken or name in READ or keyword.iskeyword(name):
        name, n = f"{base}_{n}", n + 1
    taken.add(name)
    return name


def quoted(text: str) -> str:
    """A text as a string literal in ASCII."""
    return '"' + text.encode("unicode_escape").decode("ascii").replace('"', '\\"') + '"'


def in_docstring(text: str) -> str:
    """A text as a part of a docstring."""
    return text.replace("\\", "\\\\").replace('"', "'")


def last_uses(graph: NodeGraph) -> dict[Node, int]:
    """The last read of each value; an expression that may be written inside another is read with it."""
    users: dict[Node, list[Node]] = {}
    for node in graph.nodes:
        for arg in node.args:
            users.setdefault(arg, []).append(node)
    read: dict[Node, int] = {}
    last: dict[Node, int] = {}
    for i, node in reversed(list(enumerate(graph.nodes))):
        alone = node.kind is VIEW or (len(users.get(node, ())) == 1 and node.kind is not SETTLE)
        read[node] = max([i, *(read[user] for user in users.get(node, ()) if alone and not node.name)])
        for arg in node.args:
            last[arg] = max(last.get(arg, -1), read[node])
    return last
