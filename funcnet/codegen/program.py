"""The programs that a printed file is made from, recorded on zeros: the gradients, the update, the whole step."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from functools import cached_property
from types import FrameType
from typing import Any

import numpy as np

from funcnet import tree
from funcnet.codegen.defined import places
from funcnet.compiler.graph import NodeGraph
from funcnet.compiler.hidden import Hidden
from funcnet.compiler.record import section, trace
from funcnet.compiler.simplify import share, simplify
from funcnet.compiler.standins import CLASSES
from funcnet.key import Key
from funcnet.layers.base import EVAL, Context, Layer, apply_child, vjp_child, zeros_for
from funcnet.losses.base import Loss
from funcnet.losses.classification import SoftmaxCrossEntropy
from funcnet.losses.combined import EachMember
from funcnet.losses.wrapped import unwrapped
from funcnet.optim.base import Optimizer, apply_updates
from funcnet.optim.blanks import blanks
from funcnet.padding import compared_shape
from funcnet.shapes import Shape, batched, zeros_of
from funcnet.training.programs import gradients, training_step

PLACES = tuple(f"funcnet/{folder}/" for folder in ("layers", "losses", "optim", "combinators", "ops"))


class Program:
    """A network, its loss and its optimizer, with arguments on which they are recorded."""

    def __init__(
        self,
        net: Layer,
        in_shape: Shape,
        batch: int,
        loss: Loss | None,
        optimizer: Optimizer | None,
        dtype: Any,
        train: bool,
        target: Any,
    ) -> None:
        self.net, self.in_shape, self.batch, self.loss, self.optimizer = net, in_shape, batch, loss, optimizer
        self.plain_loss, self.dtype, self.train = None if loss is None else unwrapped(loss), dtype, train
        params, state = _zeros(net, in_shape, dtype)
        self.out_shape = net.out_shape(in_shape) if loss is None else compared_shape(loss, net.out_shape(in_shape))
        x, y = zeros_for(net, in_shape, batch, dtype), zeros_of(batched(self.out_shape, batch), dtype)
        self.args: dict[str, Any] = {"params": params, "state": state}
        if loss is None:
            self.args |= {"x": x, "dy": y, "key": Key(0)}
            self.results: tuple[str, ...] = ("y", "state", "d_params", "dx")
            return
        y = target if target is not None else _target(loss, y)
        if optimizer is None:
            self.args |= {"key": Key(0), "x": x, "y": y}
            self.results = ("loss", "state", "d_params")
        else:
            self.args |= {"opt_state": optimizer.init(params), "key": Key(0), "step": 0, "x": x, "y": y}
            self.results = ("loss", "state", "params", "opt_state")

    @cached_property
    def places(self) -> dict[str, str]:
        """The code that reads each leaf of the arguments, by its path."""
        return {path: code for name, value in self.args.items() for path, code in places(name, value).items()}

    @property
    def title(self) -> str:
        """The name of the file's main function."""
        return "step" if self.optimizer else "gradients" if self.loss else "forward_backward"

    @cached_property
    def gradients(self) -> NodeGraph:
        """The output with its gradients, or the loss, the new state and the gradients; of a step, with its key."""
        net, loss, train = self.net, self.loss, self.train
        names = [name for name in self.args if name != "opt_state"]

        def program(*values: Any) -> Any:
            given = dict(zip(names, values, strict=True))
            params, state, key, x = (given[name] for name in ("params", "state", "key", "x"))
            if loss is None:
                y, state, residuals = apply_child("", net, params, state, x, Context(train, key if train else None))
                dparams, dx = vjp_child("", net, params, residuals, given["dy"])
                return y, state, dparams, dx
            if self.optimizer is not None:
                key = key.fold("step", given["step"]).fold("shard", 0)
            context = Context(train, key if train else None)
            value, state, grads = gradients(net, loss)(params, state, x, given["y"], context, None, None)
            return value, self.held(given["state"], state), grads

        return recorded(program, tuple(self.args[name] for name in names), tuple(names))

    def prediction(self) -> NodeGraph:
        """The output in evaluation mode."""
        net = self.net

        def program(params: Any, state: Any, x: Any) -> Any:
            return apply_child("", net, params, state, x, EVAL)[0]

        return recorded(program, tuple(self.args[name] for name in ("params", "state", "x")), ("params", "state", "x"))

    def held(self, old: Any, new: Any) -> Any:
        """The new state, with the old values that the optimizer keeps."""
        kept = self.optimizer.held(tuple(tree.flatten(old))) if self.optimizer is not None else ()
        before = tree.flatten(old)
        return tree.map_with_path(lambda path, leaf: before[path] if path in kept else leaf, new) if kept else new

    def update(self) -> tuple[NodeGraph, list[tuple[str, Any]]]:
        """The new params and the next state of the optimizer, and the hyperparameters that are blanks in it."""
        assert self.optimizer is not None
        if Hidden(self.optimizer).foreign:
            return self._update(self.optimizer), []  # a user's rule, which may look at its numbers
        blank, given = blanks(self.optimizer)
        return self._update(blank), list(given)

    def _update(self, optimizer: Optimizer) -> NodeGraph:
        params = self.args["params"]

        def program(params: Any, grads: Any, opt_state: Any, loss: float) -> Any:
            with section("update"):
                updates, new = optimizer.update(grads, opt_state, params, loss)
                return apply_updates(params, updates), tree.ordered(opt_state, new)

        grads = tree.map(lambda node: np.zeros(node.shape, node.dtype), self.gradients.outputs[2])
        args = params, grads, self.args["opt_state"], 0.0
        return recorded(program, args, ("params", "grads", "opt_state", "loss"))

    def whole(self) -> NodeGraph:
        """The program as it runs."""
        if self.optimizer is None:
            return self.gradients
        assert self.loss is not None
        step = training_step(self.net, self.loss, self.optimizer)

        def program(*args: Any) -> Any:
            value, params, state, opt_state, _ = step(*args, None)
            return value, state, params, opt_state

        return trace(program, tuple(self.args.values()), tuple(self.args)).used()


def recorded(program: Any, args: tuple[Any, ...], names: tuple[str, ...]) -> NodeGraph:
    """A program as a graph, its values named after the variables that hold them."""
    with _variables():
        graph = trace(program, args, names).used()
    return share(simplify(graph).used()).used()


@contextlib.contextmanager
def _variables() -> Iterator[None]:
    """Give recorded values the names of the variables that hold them where a function of the library returns."""

    def note(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event != "return" or not any(place in code.co_filename.replace("\\", "/") for place in PLACES):
            return
        first = code.co_argcount + code.co_kwonlyargcount
        for name in code.co_varnames[first:]:
            value: Any = frame.f_locals.get(name)
            if type(value) in CLASSES and not value.node.hint and not name.startswith("_"):
                value.node.hint = name

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(before)


def _target(loss: Loss, y: Any) -> Any:
    """An example of the targets, for zeros in the form of the output."""
    if isinstance(loss, EachMember):
        return _target(loss.loss, tree.map(lambda leaf: np.take(leaf, 0, loss.axis), y))
    return np.zeros(y.shape[:-1], np.int64) if isinstance(loss, SoftmaxCrossEntropy) else y


def _zeros(net: Layer, in_shape: Shape, dtype: Any) -> tuple[Any, Any]:
    """Params and state of zeros."""
    flat = tree.flatten(net.leaves(in_shape))
    made = {
        kind: {path: np.zeros(leaf.shape, dtype) for path, leaf in flat.items() if leaf.kind == kind}
        for kind in ("param", "state")
    }
    return tree.unflatten(made["param"]), tree.unflatten(made["state"])
