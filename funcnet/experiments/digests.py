"""SHA-256 of what a run is made of and what it wrote: arrays, data, files and facts."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import numpy as np

from funcnet import tree
from funcnet.data.lazy_array import Stream, pieces_of
from funcnet.data.preparation import Prepared


def digest(arrays: dict[str, Any]) -> str:
    """SHA-256 over the paths, dtypes, shapes and bytes of a tree's arrays."""
    total = hashlib.sha256()
    for path, leaf in sorted(tree.flatten(arrays).items()):
        if leaf is not None:
            total.update(f"{path} {leaf.dtype.str} {np.shape(leaf)}\n".encode())
            for part in pieces_of(leaf) if isinstance(leaf, Stream) else [leaf]:
                total.update(np.ascontiguousarray(part).tobytes())
    return total.hexdigest()


def data_digest(data: Prepared) -> str:
    """The digest of all preprocessed parts of a data set."""
    return digest({name: part._asdict() for name, part in data.parts_by_name().items()})


def text_digest(name: str, content: bytes) -> str:
    """SHA-256 of a file; of a history without its last column, the clock, which differs in every run."""
    if name == "history.csv":
        head, *lines = content.splitlines() or [b""]
        content = b"\n".join([head, *(line.rpartition(b",")[0] for line in lines)])
    return hashlib.sha256(content).hexdigest()


def facts_digest(facts: dict[str, Any]) -> str:
    """SHA-256 of the fields of ``run.json``, without where the run began and the digests of files."""
    kept = {name: value for name, value in facts.items() if name not in ("base", "stamp", "files")}
    return hashlib.sha256(json.dumps(finite_json(kept), sort_keys=True).encode()).hexdigest()


def json_bytes(value: Any) -> bytes:
    """Plain values as JSON; non-finite numbers, which it cannot hold, become null."""
    return (json.dumps(finite_json(value), indent=2, ensure_ascii=False) + "\n").encode()


def finite_json(value: Any) -> Any:
    """A value with null for every non-finite number."""
    if isinstance(value, dict):
        return {name: finite_json(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
