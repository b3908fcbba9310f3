"""The time of a training step by layer: the compiled step with a clock between its layers."""

from __future__ import annotations

import math
import time
from itertools import chain, count
from typing import Any, Literal, NamedTuple

import numpy as np

from funcnet import ops, tree
from funcnet.compiler.graph import Node, NodeGraph, Place
from funcnet.compiler.guard import Guard
from funcnet.compiler.kinds import INPUT
from funcnet.compiler.pack import PACKED_SIZE
from funcnet.compiler.plan import Plan
from funcnet.compiler.record import trace
from funcnet.inputs import cast, dtype_of, unpack
from funcnet.layers.base import Layer, reach
from funcnet.layers.calls import Call, listen
from funcnet.losses.base import Loss
from funcnet.optim.base import Optimizer
from funcnet.optim.schedules import LONG, bind
from funcnet.shapes import Shape, shape_of
from funcnet.training.batches import batches
from funcnet.training.programs import training_step
from funcnet.training.state import TrainState

NAMES = ("params", "state", "opt_state", "key", "step", "x", "y", "weight")
WARM_UP = 3
STEPS = 60
SECONDS = 3.0


class Share(NamedTuple):
    """The seconds that a step spends in one layer."""

    path: str
    layer: str
    forward: float
    backward: float
    update: float

    @property
    def seconds(self) -> float:
        """The sum of the three."""
        return self.forward + self.backward + self.update


class Profile(NamedTuple):
    """The seconds of a step: by layer, in the loss, and the rest: taking the batch, keys, checks."""

    batch: int
    steps: int
    layers: list[Share]
    loss: float
    rest: float

    @property
    def seconds(self) -> float:
        """The whole step."""
        return sum(share.seconds for share in self.layers) + self.loss + self.rest


def profile(
    net: Layer,
    loss: Loss,
    optimizer: Optimizer,
    ts: TrainState,
    data: tuple[Any, ...],
    batch_size: int | Literal["full"] = 32,
) -> Profile:
    """Time further steps from ``ts`` with a clock in the plan.

    Means over the faster half of at most 60 steps, or of 3 seconds; the steps are discarded. A loop over blocks of
    rows counts for its first layer. Small params are updated together as one vector, and that time is divided
    among their layers by size.
    """
    x, y, weight = unpack(data)
    dtype = dtype_of(ts.params, ts.state)
    x, y, weight = (None if part is None else cast(part, dtype) for part in (x, y, weight))
    rows = len(tree.leaves(x)[0])
    size = rows if batch_size == "full" else min(batch_size, rows)
    step = training_step(net, loss, bind(optimizer, LONG))
    stream = chain.from_iterable(batches(x, y, weight, size, ts.key.fold("epoch", epoch)) for epoch in count())
    whole = (batch for batch in stream if len(tree.leaves(batch[0])[0]) == size)

    args: tuple[Any, ...] = (ts.params, ts.state, ts.opt_state, ts.key, ts.step)
    first = (*args, *next(whole))
    with ops.quiet():
        layers = layers_of(net, shape_of(x))
        owners = {path: owner_of(path, layers) for path in tree.flatten(ts.params)}
        plan = Plan(by_owner(trace(step, first, NAMES), owners))
        flat = Guard().of(first)
        times = [0.0] * len(plan.lines)
        run = plan.make({"clock": time.perf_counter, "times": times})
        samples: list[tuple[float, float, list[float]]] = []
        ends = math.inf
        while len(samples) < WARM_UP + STEPS and (len(samples) < WARM_UP + 2 or time.perf_counter() < ends):
            if len(samples) == WARM_UP:
                ends = time.perf_counter() + SECONDS
            times[:] = [0.0] * len(times)
            began = time.perf_counter()
            inputs = flat(*args, *next(whole))
            entered = time.perf_counter()
            value, params, state, opt_state, probes = run(*inputs)
            left = time.perf_counter()
            math.isfinite(sum(probes, value))
            args = params, state, opt_state, ts.key, args[-1] + 1
            samples.append((time.perf_counter() - began, left - entered - sum(times), list(times)))
    fast = sorted(samples[WARM_UP:], key=lambda sample: sample[0])[: (len(samples) - WARM_UP + 1) // 2]
    seconds = [sum(column) / len(fast) for column in zip(*(times for _, _, times in fast), strict=True)]
    entire = sum(sample[0] for sample in fast) / len(fast)
    copies = sum(sample[1] for sample in fast) / len(fast)
    found: dict[tuple[str, str, Any], float] = {}
    for line, taken in zip(plan.lines, seconds, strict=True):
        place = line.place.section, line.place.path, line.place.layer
        found[place] = found.get(place, 0.0) + taken
    in_loss = found.get(("loss", "", None), 0.0)
    together = found.pop(("update", "", None), 0.0) + copies  # results are copied out of shared vectors
    update = {path: taken for (section, path, _), taken in found.items() if section == "update"}
    sizes = {path: np.size(leaf) for path, leaf in tree.flatten(ts.params).items()}
    small = {path: n for path, n in sizes.items() if n <= PACKED_SIZE} or sizes
    for path, n in small.items():
        update[owners[path]] = update.get(owners[path], 0.0) + together * n / max(1, sum(small.values()))
    shares = []
    for path, layer in layers:  # an inner layer comes before its wrapper, shares its path and owns the params
        ahead, back = (found.get((section, path, layer), 0.0) for section in ("forward", "backward"))
        share = Share(path, type(layer).__name__, ahead, back, update.pop(path, 0.0))
        if share.seconds:
            shares.append(share)
    return Profile(size, len(fast), shares, in_loss, entire - in_loss - sum(share.seconds for share in shares))


def layers_of(net: Layer, in_shape: Shape) -> list[tuple[str, Layer]]:
    """Every layer with its path, inner ones first."""
    calls: list[Call] = []
    with listen(calls.append):
        reach("", net, "out_shape", in_shape)
    return list(dict.fromkeys((call.path, call.layer) for call in calls))


def owner_of(path: str, layers: list[tuple[str, Layer]]) -> str:
    """The path of the layer that owns a leaf: the longest prefix."""
    return max((own for own, _ in layers if not own or path.startswith(f"{own}/")), key=len)


def by_owner(graph: NodeGraph, owners: dict[str, str]) -> NodeGraph:
    """Assign the update of each large array to the layer that owns it, and that of small ones to none."""
    owner: dict[Node, str] = {}
    for node in graph.nodes:
        if node.kind is INPUT:
            group, _, name = str(node.static).partition("/")
            if group in ("params", "opt_state"):
                node.place = Place("update")  # where many of them become one vector
                steps = name.split("/")  # such as mean/dense_0/weight
                suffixes = ("/".join(steps[i:]) for i in range(len(steps)))
                path = next((suffix for suffix in suffixes if suffix in owners), None)
                if path is not None:
                    owner[node] = owners[path]
        elif node.place.section == "backward":
            owner[node] = node.place.path
        elif node.place.section == "update" and node.size > PACKED_SIZE:
            found = {owner[arg] for arg in node.args if arg in owner}
            if len(found) == 1:
                owner[node] = found.pop()
                node.place = node.place._replace(path=owner[node])
    return graph
