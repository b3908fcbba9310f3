"""Archives of recorded values: a script that runs again keeps what agrees, so that another CPU changes no record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

VERSIONS = "versions"
"""The member that names the libraries"""


def same(old: Any, new: Any) -> bool:
    """Whether an array is the recorded one: exact, or floats to 1e-12 of the largest.

    Where all entries cancel to 0, as in the gradient of the bias of attention's keys, 1e-14 is nothing.
    """
    if old.shape != new.shape or old.dtype != new.dtype:
        return False
    if old.dtype.kind != "f":
        return bool(np.array_equal(old, new))
    largest = float(np.max(np.abs(old[np.isfinite(old)]), initial=0.0))
    return bool(np.allclose(new, old, rtol=1e-12, atol=max(1e-12 * largest, 1e-14), equal_nan=True))


def save(path: Path, arrays: Mapping[str, Any], versions: str | None = None) -> None:
    """Write an archive and print which members are new, changed and gone; one without any is left as it is.

    The versions of the libraries are written where some value is.
    """
    made = {name: np.asarray(array) for name, array in arrays.items()}
    recorded: dict[str, Any] = {}
    if path.exists():
        with np.load(path) as archive:
            recorded = {name: archive[name] for name in archive.files if name != VERSIONS}
    kept = {name: recorded[name] for name in made if name in recorded and same(recorded[name], made[name])}
    news = {
        "new": sorted(made.keys() - recorded.keys()),
        "changed": sorted(made.keys() & recorded.keys() - kept.keys()),
        "gone": sorted(recorded.keys() - made.keys()),
    }
    if any(news.values()):
        also = {} if versions is None else {VERSIONS: np.array(versions)}
        np.savez_compressed(path, **also, **(made | kept))
    said = "; ".join(f"{what}: {', '.join(names)}" for what, names in news.items() if names) or "all as recorded"
    print(f"{path.name}: {len(made)} arrays, {said}")
