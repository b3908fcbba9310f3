"""Names inside the function of a part of a network: relative to the part, and no longer than they must be."""

from __future__ import annotations

import re
from collections.abc import Collection

from funcnet import tree
from funcnet.compiler.graph import NodeGraph


def short_names(graph: NodeGraph, path: str) -> dict[str, str]:
    """By path inside a part, the shortest names of layers and of their leaves that differ from all others.

    The leaves of one layer are equally long; those of a layer directly in the part have its name in front.
    """
    within = f"{path}/"
    outputs = {n.name.removeprefix(within) for n in graph.nodes if n.name.startswith(within)}
    _, state, grads, *_ = graph.outputs
    found = {at.removeprefix(within) for at in (*tree.flatten(state), *tree.flatten(grads)) if at.startswith(within)}
    every = sorted(outputs | found)
    groups: dict[str, list[str]] = {}
    for at in every:
        groups.setdefault(at.rpartition("/")[0] + "/" if at in found else at, []).append(at)
    short: dict[str, str] = {}
    for owner, group in groups.items():
        most = group[0].count("/")
        for kept in range(most == 1 and owner.endswith("/"), most + 1):
            ends = {at: at.split("/", at.count("/") - kept)[-1] for at in group}
            if all(f"/{other}".endswith(f"/{end}") <= (other == at) for at, end in ends.items() for other in every):
                break
        short |= {at: end.replace("/", "_") for at, end in ends.items()}
    return short


def shorter(name: str, short: dict[str, str]) -> str:
    """A name, or that of a cotangent, with its layer's short name."""
    plain = name.removeprefix("d_")
    return "d_" * (plain != name and plain in short) + short[plain] if plain in short else name


def without(name: str, path: str) -> str:
    """A name or path without that of the part it is in."""
    for begin in ("", "d_"):
        for joined in (path, path.replace("/", "_")):
            for end in ("/", "_"):
                if name.startswith(f"{begin}{joined}{end}"):
                    return begin + name[len(f"{begin}{joined}{end}") :]
            if name == begin + joined:
                return ""
    return name


def function_name(kind: type, taken: Collection[str]) -> str:
    """The name of a function for a class of layers: ``layer_norm`` for ``LayerNorm``; other people's end in _layer."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", kind.__name__).lower()
    name += "" if kind.__module__.startswith("funcnet.") else "_layer"
    while name in taken or f"{name}_vjp" in taken:
        name += "_2"
    return name
