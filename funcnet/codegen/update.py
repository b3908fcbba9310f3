"""The update of a printed step: the rule of one array as a function, and a loop over the arrays.

A value of the recorded update that depends on the arrays of one param alone belongs to that param's rule. One that
depends on several, such as the norm of all gradients, is computed between two rules. Params whose rules print alike
share one function; if all do, one loop calls it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any, NamedTuple

from funcnet import ops, tree
from funcnet.codegen.defined import Defined, Quoted, lookup
from funcnet.codegen.lines import margins, tree_text
from funcnet.codegen.names import fresh, last_uses
from funcnet.codegen.numerals import number_text
from funcnet.codegen.printed_helpers import EACH_LEAF, HELPERS
from funcnet.codegen.printer import FUNCTIONS, LONGEST, Printer, called_functions
from funcnet.codegen.program import Program
from funcnet.codegen.rule_names import FIELDS, ROLES, equation_of, rule_name
from funcnet.compiler.graph import Node, NodeGraph, leaves
from funcnet.compiler.kinds import CONST, INPUT, NUMBER, PROBE
from funcnet.optim.schedules import Schedule


class Owner(NamedTuple):
    """The tree and the path of an array: ``("opt_state/mean", "dense_0/weight")``."""

    tree: str
    path: str


class Rule(NamedTuple):
    """The part of one param's update between two values that depend on several params."""

    path: str
    args: tuple[Node, ...]
    results: tuple[Node, ...]
    parameters: tuple[str, ...]
    returned: tuple[str, ...]
    body: tuple[str, ...]


class Update:
    """The texts of an update: functions, statements, and the new params and state."""

    def __init__(
        self,
        program: Program,
        graph: NodeGraph,
        given: list[tuple[str, Any]],
        defined: Defined,
        others: Iterable[str] = (),
    ) -> None:
        """``others`` are the names of the file's functions so far, which no rule may have."""
        assert program.optimizer is not None
        self.graph, self.defined = graph, defined
        self.paths = list(tree.flatten(program.args["params"]))
        self.given = given
        self.opt_paths = set(tree.flatten({"opt_state": program.args["opt_state"]}))
        self.functions: list[str] = []
        self.names: dict[tuple[Any, ...], str] = {}
        self.base, self.equation = rule_name(program.optimizer, others), equation_of(program.optimizer)
        self.owners = {node: owner for node in graph.inputs if (owner := self.owner(str(node.static))) is not None}
        self.params, self.state = graph.outputs
        self.roles: dict[Node, str] = {}
        for name, part in (("params", self.params), ("opt_state", self.state)):
            for path, node in tree.flatten({name: part}).items():
                self.roles.setdefault(node, path)
        self.users: dict[Node, list[Node]] = {}
        for node in graph.nodes:
            for arg in node.args:
                self.users.setdefault(arg, []).append(node)
        self.outputs = set(leaves(graph.outputs))
        self.mark()
        self.rules = {(path, level): self.rule(path, level) for level in range(self.levels) for path in self.paths}
        self.trees: dict[str, dict[str, Node]] = {}
        self.results: tuple[str, str] = ("", "")

    def owner(self, static: str) -> Owner | None:
        """The tree and the path of an input that belongs to a param."""
        steps = static.split("/")
        for i in range(1, len(steps)):
            path = "/".join(steps[i:])
            if path in self.paths and (i == 1) == (steps[0] != "opt_state"):
                return Owner("/".join(steps[:i]), path)
        return None

    def mark(self) -> None:
        """Find the param that each value belongs to, "" for none, and after how many joint values it is known."""
        self.home: dict[Node, str] = {}
        self.level: dict[Node, int] = {}
        for node in self.graph.nodes:
            if node in self.owners:
                homes, level = {self.owners[node].path}, 0
            else:
                homes = {self.home[arg] for arg in node.args} - {""}
                level = max((self.level[arg] for arg in node.args), default=0)
            joint = len(homes) > 1
            self.home[node] = "" if joint or not homes else next(iter(homes))
            self.level[node] = level + joint
        for node in reversed(self.graph.nodes):  # as late as its users, so that a rule has few results
            users = self.users.get(node, [])
            inner = users and all(self.home[user] == self.home[node] != "" for user in users)
            if inner and node not in self.outputs and node not in self.owners:
                self.level[node] = min(self.level[user] for user in users)
        self.levels = 1 + max(self.level.values(), default=0)

    def repeated(self, node: Node) -> bool:
        """Whether a number depends on the step alone, so that every rule may compute it."""
        if node.kind is CONST:
            return True
        alone = node.kind is NUMBER and node.f is not ops.number and not self.home[node] and not self.level[node]
        return alone and all(arg.kind is CONST or is_count(arg) or self.repeated(arg) for arg in node.args)

    def rule(self, path: str, level: int) -> Rule | None:
        """The part of a param's rule at a level; None without any."""
        own = {n for n in self.graph.nodes if self.home[n] == path and self.level[n] == level}
        own = {node for node in own if node.kind not in (INPUT, CONST, PROBE)}
        if not own:
            return None
        stack, inside = list(own), set(own)
        while stack:
            for arg in stack.pop().args:
                if arg not in inside and self.repeated(arg):
                    inside.add(arg)
                    stack.append(arg)
        nodes = [node for node in self.graph.nodes if node in inside]
        args = dict.fromkeys(arg for node in nodes for arg in node.args if arg not in inside)
        order = {node: i for i, node in enumerate(self.graph.nodes)}
        args = dict.fromkeys(sorted(args, key=lambda arg: (self.rank(arg), order[arg])))
        results = [
            node for node in nodes if node in own and (node in self.outputs or set(self.users.get(node, ())) - inside)
        ]
        results.sort(key=lambda node: (self.rank_of_result(node), order[node]))
        return self.printed(path, nodes, tuple(args), tuple(results))

    def rank(self, arg: Node) -> int:
        """The place of an argument: param, gradient, state, earlier results, numbers."""
        if arg in self.owners:
            return ("params", "grads").index(self.owners[arg].tree) if self.owners[arg].tree in ROLES else 2
        return 3 if self.home[arg] else 4 + (not is_count(arg))

    def rank_of_result(self, node: Node) -> int:
        role = self.roles.get(node, "")
        return 0 if role.startswith("params/") else 1 if role else 2

    def called(self, node: Node) -> str:
        """The name of an argument or a result inside a rule."""
        if node in self.owners:
            root = self.owners[node].tree
            return ROLES.get(root) or root.split("/")[-1]
        if node in self.roles:
            owner = self.owner(self.roles[node])
            if owner is not None:
                return ROLES.get(owner.tree) or owner.tree.split("/")[-1]
        if is_count(node):
            return str(node.args[0].static).split("/")[-1]
        return node.hint or ("update" if node.is_array else "factor")

    def printed(self, path: str, nodes: list[Node], args: tuple[Node, ...], results: tuple[Node, ...]) -> Rule:
        """A rule as text."""
        inner = NodeGraph(nodes, [], results)
        taken = {name for name, value in self.hyperparameters() if not isinstance(value, Schedule)}
        taken |= FUNCTIONS | called_functions(inner)
        parameters = [fresh(self.called(arg), taken) for arg in args]
        names = dict(zip(args, parameters, strict=True))
        last, position = last_uses(inner), {node: i for i, node in enumerate(nodes)}
        finals: dict[Node, str] = {}
        for node in results:
            owner = self.owner(self.roles.get(node, ""))
            old = next((arg for arg in args if owner is not None and self.owners.get(arg) == owner), None)
            if old is None:
                finals[node] = fresh(self.called(node), taken)
            else:
                free = last.get(old, -1) <= position[node]
                finals[node] = names[old] if free else fresh(f"new_{names[old]}", taken)
        self.defined.hyperparameters = [
            value if isinstance(value, Schedule) else name
            for (name, _), (_, value) in zip(self.hyperparameters(), self.given, strict=True)
        ]
        for node in nodes:
            if node.kind is NUMBER and isinstance(node.f, ops.Blank):
                node.hint = self.hyperparameters()[node.f.index][0]
        printer = Printer(inner, {}, finals, given=names, defined=self.defined, shapes=False)
        printer.taken |= taken
        printer.here = ("update", "")
        printer.run()
        steady = {node.f.index for node in nodes if isinstance(node.f, ops.Blank) and node.f.steady}
        for index in sorted(steady):
            name, value = self.hyperparameters()[index]
            parameters.append(f"{name}={value!r}")
        body = [text for text, _ in printer.lines if text]
        return Rule(path, args, results, tuple(parameters), tuple(finals[node] for node in results), tuple(body))

    def hyperparameters(self) -> list[tuple[str, Any]]:
        """The printed names of the blanks, and their values."""
        taken: set[str] = set()
        return [(fresh(FIELDS.get(name, name), taken), value) for name, value in self.given]

    def name_of(self, rule: Rule) -> str:
        """The name of a rule's function, which is written once."""
        identity = rule[3:]
        if identity not in self.names:
            name = self.base if not self.names else f"{self.base}_{len(self.names) + 1}"
            self.names[identity] = name
            lines = [*rule.body, f"return {', '.join(rule.returned)}"]
            if len(rule.body) == 1 and len(rule.returned) == 1 and rule.body[0].startswith(f"{rule.returned[0]} = "):
                lines = [f"return {rule.body[0].partition(' = ')[2]}"]
            head = margins([(f"def {name}({', '.join(rule.parameters)}):", "")], 0)
            said = [] if self.functions or not self.equation else textwrap.wrap(f'"""{self.equation}"""', LONGEST - 4)
            self.functions.append("\n".join([*head, *margins([(line, "") for line in [*said, *lines]])]))
        return self.names[identity]

    # statements

    def write(self) -> list[tuple[str, str]]:
        """The statements of the update; ``results`` are the new params and the new state."""
        found = [rule for rule in self.rules.values() if rule is not None]
        wanted = {arg for rule in found for arg in rule.args} | self.outputs
        stack = [node for node in wanted if not self.home[node]]
        stack += [arg for node in self.graph.nodes if node.effect for arg in (node,)]
        shared: set[Node] = set()
        while stack:
            node = stack.pop()
            if node not in shared and not self.home[node] and node.kind not in (INPUT, CONST):
                shared.add(node)
                stack.extend(node.args)
        self.defined.hyperparameters = [value for _, value in self.given]
        nodes = [node for node in self.graph.nodes if node in shared]
        outputs = [*(arg for rule in unlike(found) for arg in rule.args), *leaves(self.graph.outputs)]
        given = {node: lookup(str(node.static)) for node in self.graph.inputs}
        self.printer = Printer(NodeGraph(nodes, [], outputs), {}, {}, given=given, defined=self.defined, shapes=False)
        for level in range(self.levels):
            for rule in self.at(level):
                self.name_of(rule)
        self.printer.taken |= {"params", "grads", "opt_state", "loss", "step", "state", "x", "y", "gradients"}
        self.printer.taken |= set(self.names.values())
        for root in ("params", "grads"):
            self.know(root, {path: lookup(f"{root}/{path}") for path in self.paths})
        for level in range(self.levels):
            for node in nodes:
                if self.level[node] == level and not self.printer.inlined(node):
                    self.printer.statement(node)
            self.call_rules(self.at(level))
        self.results = self.shown(self.params, "params"), self.shown(self.state, "opt_state")
        return self.printer.lines

    def at(self, level: int) -> list[Rule]:
        """The rules of one level."""
        return [rule for (_, at), rule in self.rules.items() if at == level and rule is not None]

    def know(self, name: str, texts: dict[str, str]) -> None:
        """A tree by the expressions of its leaves."""
        if len(self.paths) > 1:
            self.defined.trees[tuple(texts[path] for path in sorted(texts))] = name

    def call_rules(self, rules: list[Rule]) -> None:
        """The calls of the rules of one level: a loop if they are the same rule, for all params."""
        trees = self.loop(rules)
        names = [self.name_of(rule) for rule in rules]
        if trees is not None:
            self.need_loop(len(rules[0].results) > 1 or any(not self.home[arg] for arg in rules[0].args))
            results = [self.tree_name(node) for node in rules[0].results]
            for i, name in enumerate(results):
                self.trees[name] = {rule.path: rule.results[i] for rule in rules}
                texts = {rule.path: lookup(f"{name}/{rule.path}") for rule in rules}
                self.printer.texts |= {rule.results[i]: _atom(texts[rule.path]) for rule in rules}
                self.know(name, texts)
            self.printer.lines.append((f"{', '.join(results)} = each_leaf({', '.join([names[0], *trees])})", ""))
            return
        for rule, name in zip(rules, names, strict=True):
            results = [self.leaf_name(node, rule.path) for node in rule.results]
            args = [self.printer.text(arg).text for arg in rule.args]
            self.printer.texts |= {node: _atom(text) for node, text in zip(rule.results, results, strict=True)}
            self.printer.lines.append((f"{', '.join(results)} = {name}({', '.join(args)})", ""))

    def need_loop(self, whole: bool) -> None:
        """Define the loop, for several results and numbers if needed."""
        self.printer.need("each_leaf")
        if whole:
            self.defined.kernels["each_leaf"] = HELPERS["each_leaf"][1].strip()
        self.defined.kernels.setdefault("each_leaf", EACH_LEAF.strip())

    def loop(self, rules: list[Rule]) -> list[str] | None:
        """The arguments of a loop over all params, trees and numbers; None if their rules differ."""
        if len({rule[3:] for rule in rules}) != 1 or {rule.path for rule in rules} != set(self.paths):
            return None
        if len(self.paths) == 1 and "/" not in self.paths[0]:
            return None
        found: list[str] = []
        for column in zip(*(rule.args for rule in rules), strict=True):
            first, texts = column[0], {self.whole(arg) for arg in column}
            if len(texts) != 1 or not next(iter(texts)):
                return None
            if self.home[first] == "" and len(set(column)) > 1:
                return None
            found.append(next(iter(texts)))
        return found

    def whole(self, arg: Node) -> str:
        """The tree that an argument is a leaf of, or the expression of a shared one; "" without a tree."""
        if arg in self.owners:
            root = self.owners[arg].tree
            complete = root in ROLES or all(f"{root}/{path}" in self.opt_paths for path in self.paths)
            return lookup(root) if complete else ""
        if self.home[arg]:
            home = self.home[arg]
            return next((name for name, nodes in self.trees.items() if nodes.get(home) is arg), "")
        return self.printer.text(arg).text

    def tree_name(self, node: Node) -> str:
        """The variable of a tree of results."""
        owner = self.owner(self.roles[node]) if node in self.roles else None
        if owner is None:
            return self.printer.unique(f"{self.called(node)}s")
        if owner.tree == "params":
            return self.printer.unique("new_params") if self.wanted_later(node) else "params"
        return self.printer.unique(owner.tree.split("/")[-1])

    def wanted_later(self, node: Node) -> bool:
        """Whether the old params are read after the level that gives a new one."""
        old = [arg for arg, owner in self.owners.items() if owner.tree == "params"]
        users = [user for arg in old for user in self.users.get(arg, ())]
        late = (
            self.level[user] > self.level[node] if self.home[user] else self.printer.inlined(user) for user in users
        )
        return not set(leaves(self.state)).isdisjoint(old) or any(late)

    def leaf_name(self, node: Node, path: str) -> str:
        """The variable of one result."""
        owner = self.owner(self.roles[node]) if node in self.roles else None
        begin = "" if owner and owner.tree == "params" else (owner.tree.split("/")[-1] if owner else self.called(node))
        return self.printer.unique("_".join(filter(None, [begin, *path.split("/")])))

    def shown(self, part: Any, path: str) -> str:
        """A part of the results as code."""
        return tree_text(self.quoted(part, path))

    def quoted(self, part: Any, path: str) -> Any:
        if not isinstance(part, dict):
            return Quoted(self.printer.text(part).text if isinstance(part, Node) else repr(part))
        flat = tree.flatten(part)
        if flat and all(isinstance(n, Node) and n.static == f"{path}/{at}" for at, n in flat.items()):
            return Quoted(lookup(path))  # as it was
        for name, nodes in self.trees.items():
            if flat and flat == nodes:
                return Quoted(name)
        for root in ROLES:
            same = all(isinstance(n, Node) and n.static == f"{root}/{at}" for at, n in flat.items())
            if same and list(flat) == self.paths:
                return Quoted(root)
        return {name: self.quoted(inner, f"{path}/{name}") for name, inner in part.items()}


def unlike(rules: Iterable[Rule]) -> list[Rule]:
    """One rule for each text: a loop names its arguments once."""
    return list({rule[3:]: rule for rule in rules}.values())


def is_count(node: Node) -> bool:
    """Whether a node is a number in the state, such as the step."""
    return node.kind is NUMBER and node.f is ops.number and node.args[0].kind is INPUT


def _atom(text: str) -> Any:
    return number_text(0)._replace(text=text)
