"""Weights in one ``.npz`` file: members ``params/<path>``, ``state/<path>``, and the spec as JSON text."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from funcnet import tree
from funcnet.errors import CheckpointError, FuncnetError, PathError
from funcnet.files import npz_bytes, read_npz, text_of, write_bytes
from funcnet.hints import explained
from funcnet.inputs import instance
from funcnet.layers.base import Layer, Params, State
from funcnet.spec.codec import MAX_BRACKETS, filed, from_json


@explained
def save(path: str | os.PathLike[str], net: Layer, params: Params, state: State) -> None:
    """Write a network, its params and its state to one ``.npz`` file, atomically.

    Raises   SpecError for a network that has no JSON, CheckpointError for an unwritable path

    >>> net = fn.serial(fn.Dense(8), fn.Relu(), fn.Dense(3))
    >>> params, state = net.init(fn.Key(0), (4,))
    >>> fn.save("net.npz", net, params, state)
    >>> again, params, state = fn.load("net.npz")
    >>> again == net
    True
    """
    members: dict[str, Any] = {"spec": np.array(filed(net))}
    for kind, part in (("params", params), ("state", state)):
        members |= {f"{kind}/{path}": leaf for path, leaf in tree.flatten(part).items()}
    write_bytes(Path(path), npz_bytes(members))


@explained
def load(path: str | os.PathLike[str]) -> tuple[Layer, Params, State]:
    """``(net, params, state)`` from a file that ``save`` wrote.

    Raises   CheckpointError for a file that is missing, damaged or of another kind

    >>> params, state = fn.Dense(3).init(fn.Key(0), (4,))
    >>> fn.save("dense.npz", fn.Dense(3), params, state)
    >>> net, params, state = fn.load("dense.npz")
    >>> net == fn.Dense(3), params["weight"].shape
    (True, (4, 3))
    """
    instance(path, (str, os.PathLike), "a path", "'net.npz'")
    members = read_npz(Path(path))
    try:
        text = text_of(members["spec"])
    except (KeyError, ValueError):
        raise CheckpointError(
            f"{path}: expected a member 'spec' with the network's JSON; was it written by fn.save?"
        ) from None
    try:
        net = from_json(text)
    except FuncnetError as error:
        raise CheckpointError(f"{path}: its spec cannot be read: {error}") from None
    if not isinstance(net, Layer):
        raise CheckpointError(f"{path}: expected the spec of a network, got one of {net.kind}")
    try:
        params, state = split_members(members)
    except FuncnetError as error:
        raise CheckpointError(f"{path}: {error}") from None
    return net, params, state


def split_members(members: dict[str, Any]) -> tuple[Params, State]:
    """``(params, state)`` from the members of an archive; other members are ignored.

    Raises   PathError for names that are no paths of one tree, or deeper than any network
    """
    deep = next((name for name in members if name.count("/") > MAX_BRACKETS), None)
    if deep is not None:
        raise PathError(f"{deep[:40]!r}… has more than {MAX_BRACKETS} parts")
    params, state = (
        tree.unflatten({name.removeprefix(start): leaf for name, leaf in members.items() if name.startswith(start)})
        for start in ("params/", "state/")
    )
    return params, state
