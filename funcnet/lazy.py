"""Public names that load on first use. A package's stub, ``__init__.pyi``, lists each name once, for the type checker
and for ``attach``; so importing funcnet costs little more than importing NumPy."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

_IMPORT = re.compile(r"^from (funcnet[\w.]*) import (?:\(([^)]*)\)|(.*))$", re.MULTILINE)


@functools.cache
def public(package: str) -> dict[str, str]:
    """``{name: module}`` of a package's public names, from its stub."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    stub = Path(spec.origin).with_suffix(".pyi").read_text(encoding="utf-8")
    places = {}
    for module, several, one in _IMPORT.findall(stub):
        for name in filter(None, (part.strip() for part in (several or one).split(","))):
            places[name.partition(" as ")[0]] = module
    return places


def attach(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """``__getattr__``, ``__dir__`` and ``__all__`` of a package with a stub.

    Raises   AttributeError, with the nearest name, for a name that the stub does not list
    """
    places = public(package)

    def getattribute(name: str) -> Any:
        if name not in places:
            near = "" if name.startswith("__") else nearest(package, name)
            raise AttributeError(f"module {package!r} has no attribute {name!r}{near}")
        module = importlib.import_module(places[name])
        value = importlib.import_module(f"{package}.{name}") if places[name] == package else getattr(module, name)
        setattr(importlib.import_module(package), name, value)
        return value

    return getattribute, lambda: sorted(places), sorted(places)


def nearest(package: str, name: str) -> str:
    """A suggestion for an unknown name: a similar one in the package or in its subpackages."""
    from funcnet.hints import ELSEWHERE, did_you_mean, plain, same_thing  # only imported for a mistake

    places = public(package)
    inside = [
        f"{package}.{one}" for one, place in places.items() if place == package and _is_package(f"{package}.{one}")
    ]
    for other in [] if same_thing(name, places) else inside:
        same = same_thing(name, public(other))
        if same:
            return f", did you mean {other.replace('funcnet', 'fn')}.{same}?"
    if not same_thing(name, places) and plain(name) in ELSEWHERE:
        return f"; {ELSEWHERE[plain(name)]}"
    return did_you_mean(name, places)


def _is_package(name: str) -> bool:
    """Whether a module has a stub file."""
    spec = importlib.util.find_spec(name)
    return spec is not None and spec.origin is not None and Path(spec.origin).with_suffix(".pyi").is_file()
