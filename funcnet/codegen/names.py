"""Names that are not taken, and when a value is read last, so that its name may be given to another."""

from __future__ import annotations

import re

from funcnet.compiler.graph import Node, NodeGraph
from funcnet.compiler.kinds import CALL, SETTLE, VIEW


def fresh(wanted: str, taken: set[str]) -> str:
    """A name that is not taken yet, which then is: that of a path or a wanted one, or with a number behind it.

    Names in capitals are those of the file's tables.
    """
    base = re.sub(r"\W", "_", wanted.lower() if wanted.isupper() else wanted)
    name, n = base, 2
    while name in taken:
        name, n = f"{base}_{n}", n + 1
    taken.add(name)
    return name


def last_uses(graph: NodeGraph) -> dict[Node, int]:
    """The last read of each value; an expression that may be written inside another is read with it."""
    users: dict[Node, list[Node]] = {}
    for node in graph.nodes:
        for arg in node.args:
            users.setdefault(arg, []).append(node)
    read: dict[Node, int] = {}
    last: dict[Node, int] = {}
    for i, node in reversed(list(enumerate(graph.nodes))):
        alone = node.kind is VIEW or (len(users.get(node, ())) == 1 and node.kind not in (SETTLE, CALL))
        read[node] = max([i, *(read[user] for user in users.get(node, ()) if alone and not node.name)])
        for arg in node.args:
            last[arg] = max(last.get(arg, -1), read[node])
    return last
