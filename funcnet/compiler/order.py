"""The order of calls: each update right after its gradient."""

from __future__ import annotations

from funcnet.compiler.graph import Node, NodeGraph
from funcnet.compiler.kinds import CONST, INPUT


def ordered(graph: NodeGraph) -> NodeGraph:
    """Each update right after its gradient, while that is in cache; all other calls in the order recorded.

    The other arguments of an update are computed just before it.
    """
    users: dict[Node, list[Node]] = {node: [] for node in graph.nodes}
    lazy: set[Node] = set()
    for node in graph.nodes:
        for arg in dict.fromkeys(node.args):
            users[arg].append(node)
        free = all(arg in lazy or arg.kind is INPUT or arg.kind is CONST for arg in node.args)
        if node.place.section == "update" and free and not node.effect:
            lazy.add(node)
    done: set[Node] = set()
    order: list[Node] = []

    def ready(node: Node) -> bool:
        return all(arg in done or arg in lazy for arg in node.args)

    def emit(first: Node) -> None:
        """Emit a call, after its lazy arguments and before the updates that it makes ready."""
        stack = [first]
        while stack:
            node = stack[-1]
            waiting = [arg for arg in node.args if arg not in done]
            if node in done or waiting:
                if node in done:
                    stack.pop()
                stack += [] if node in done else reversed(waiting)
                continue
            stack.pop()
            done.add(node)
            order.append(node)
            following = [user for user in users[node] if user.place.section == "update" and user not in lazy]
            stack += [user for user in reversed(following) if user not in done and ready(user)]

    for node in graph.nodes:
        if node not in lazy and (node in done or ready(node)):
            emit(node)
    for node in graph.nodes:
        emit(node)
    return NodeGraph(order, graph.inputs, graph.outputs)
