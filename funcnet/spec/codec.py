"""Specs as JSON: strict when read, canonical when written, addressed by a hash.

A document is flat and tagged. All its problems are reported at once, each with its JSON path; its size and
depth are bounded before it is decoded.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import types
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, overload

import attrs

from funcnet.errors import Problem, SpecError
from funcnet.files import read_bytes, write_bytes
from funcnet.hints import explained
from funcnet.spec.base import MAX_DEPTH, MAX_NODES, Spec
from funcnet.spec.class_fields import fields
from funcnet.spec.convert import admits
from funcnet.spec.decode import decode_fields, decode_value
from funcnet.spec.equality import exact
from funcnet.spec.fields import NAMED, FrozenDict
from funcnet.spec.kinds import KINDS, base_of
from funcnet.spec.names import automatic_names
from funcnet.spec.registry import is_kind, own_tag
from funcnet.spec.wording import quote
from funcnet.version import __version__

STEPS: tuple[Callable[[dict[str, Any]], dict[str, Any]], ...] = ()
"""Step i turns a document of version i + 1 into one of version i + 2"""
VERSION = 1 + len(STEPS)
MAX_BYTES = 2**24
ALONE = 'put a single spec under its kind: {"version": 1, "model": {…}}'
MAX_BRACKETS = 4 * MAX_DEPTH  # nested JSON brackets, a few for each spec at most

KEYS = {"layer": "model"}  # the key of a kind, if it is not the kind's name


def encode(spec: Spec, *, fill: bool = False, tagged: bool = True) -> dict[str, Any]:
    """The JSON node of a spec, without defaults, or with all of them if ``fill``.

    Raises   SpecError for a spec that cannot be written: an unregistered class, bare functions
    """
    cls = type(spec)
    if own_tag(cls) is None:
        values = [getattr(spec, field.name) for field in fields(cls)]
        bare = any(callable(value) and not isinstance(value, Spec) for value in values)
        message = f"{cls.__name__} has no tag, so it cannot be written; give it one: @fn.register('your.tag')"
        if bare:
            message = "is made of bare functions, which JSON cannot hold; write a class with @fn.register('your.tag')"
        raise SpecError([Problem("", message)], root=cls.__name__)
    node: dict[str, Any] = {"type": cls.tag} if tagged else {}
    for name, hint, default, *_ in fields(cls):
        value = getattr(spec, name)
        if fill or default is attrs.NOTHING or exact(value) != exact(default):
            node[name] = encode_value(hint, value, fill)
    return node


def encode_value(hint: Any, value: Any, fill: bool = False) -> Any:
    """The JSON of a field's value, given the field's type."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if isinstance(value, Spec | tuple | FrozenDict):
            return encode_value(next(arg for arg in args if admits(arg, value)), value, fill)
        return value
    if isinstance(value, Spec):
        return encode(value, fill=fill, tagged=type(value) is not hint or is_kind(hint))
    if origin is Annotated and args[1] == NAMED:
        nodes = []
        for (name, item), automatic in zip(value, automatic_names(value), strict=True):
            node = encode(item, fill=fill)
            if fill or name != automatic:
                node = {"type": node.pop("type"), "name": name, **node}
            nodes.append(node)
        return nodes
    if isinstance(value, tuple):
        inner = get_args(args[0]) if origin is Annotated else args
        each = [inner[0]] * len(value) if inner[-1] is ... else inner
        return [encode_value(hint, item, fill) for hint, item in zip(each, value, strict=True)]
    if isinstance(value, FrozenDict):
        return {name: encode_value(args[1], value[name], fill) for name in sorted(value)}
    return value


def to_dict(spec: Spec, *, fill: bool = False) -> dict[str, Any]:
    """The whole document of a spec: an experiment flat, any other spec under the key of its kind.

    Raises   SpecError for anything else
    """
    if not isinstance(spec, Spec):
        raise SpecError([Problem("", f"expected a spec, such as fn.Dense(3), got {quote(spec)}")], root="to_json")
    if spec.kind == "experiment":
        return {"version": VERSION, **encode(spec, fill=fill, tagged=False)}
    return {"version": VERSION, KEYS.get(spec.kind, spec.kind): encode(spec, fill=fill)}


def filed(spec: Spec) -> str:
    """The JSON text of a spec for a file: every default written out, and the version of funcnet that wrote it."""
    document = to_dict(spec, fill=True)
    return layout({"version": document.pop("version"), "funcnet": __version__, **document}) + "\n"


def to_json(spec: Spec) -> str:
    """The canonical JSON text of any spec: fixed key order, defaults omitted.

    >>> print(fn.to_json(fn.Dense(3)))
    {
      "version": 1,
      "model": {"type": "dense", "units": 3}
    }
    <BLANKLINE>
    """
    return layout(to_dict(spec)) + "\n"


def layout(node: Any, indent: str = "", width: int = 110) -> str:
    """JSON text with a node on one line if it fits."""
    line = json.dumps(node, ensure_ascii=False)
    if not isinstance(node, dict | list) or (len(indent) + len(line) <= width and indent):
        return line
    deeper = indent + "  "
    if isinstance(node, dict):
        parts = [
            f"{json.dumps(key, ensure_ascii=False)}: {layout(value, deeper, width)}" for key, value in node.items()
        ]
        opening, closing = "{", "}"
    else:
        parts = [layout(value, deeper, width) for value in node]
        opening, closing = "[", "]"
    return f"{opening}\n{deeper}" + f",\n{deeper}".join(parts) + f"\n{indent}{closing}"


def spec_hash(spec: Spec) -> str:
    """SHA-256 of the document with every default filled in: equal specs have equal hashes.

    >>> fn.spec_hash(fn.Dropout(0)) == fn.spec_hash(fn.Dropout(0.0))
    True
    """
    text = json.dumps(to_dict(spec, fill=True), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


S = TypeVar("S", bound=Spec)


@overload
def from_json(document: str | Mapping[str, Any]) -> Spec: ...
@overload
def from_json(document: str | Mapping[str, Any], expected: type[S]) -> S: ...
def from_json(document: str | Mapping[str, Any], expected: type[Spec] = Spec) -> Spec:
    """The spec from a JSON text, or from the dict parsed from one; a ``$schema`` in it is for editors.

    ``expected`` is its class or a base class, such as ``Experiment`` or ``Layer``.
    Raises   SpecError with every problem: its JSON path, the value found, and the allowed ones

    >>> fn.from_json('{"version": 1, "model": {"type": "dense", "units": 3}}') == fn.Dense(3)
    True
    """
    spec = _decoded(document)
    if not isinstance(spec, expected):
        raise SpecError(
            [Problem("", f"expected {expected.__name__}, got {type(spec).__name__}, a spec of the kind {spec.kind}")]
        )
    return spec


def _decoded(document: str | Mapping[str, Any]) -> Spec:
    if isinstance(document, str):
        document = parse_json(document)
    problems: list[Problem] = []
    _check_document(document, problems)
    if problems:
        raise SpecError(problems)
    assert isinstance(document, Mapping)
    version = document.get("version", VERSION)
    if type(version) is not int or version < 1:
        raise SpecError([Problem(".version", f"expected an integer from 1, got {quote(version)}")])
    if version > VERSION:
        message = f"expected up to {VERSION}, which this funcnet reads, got {quote(version)}; upgrade funcnet"
        raise SpecError([Problem(".version", message)])
    for key in ("$schema", "funcnet"):
        if not isinstance(document.get(key, ""), str):
            raise SpecError([Problem(f".{key}", f"expected a string, got {quote(document[key])}")])
    for step in STEPS[version - 1 :]:
        document = step(dict(document))
    body = {key: value for key, value in document.items() if key not in ("$schema", "version", "funcnet")}
    if body.pop("type", "experiment") != "experiment":
        raise SpecError([Problem(".type", f"expected 'experiment' or nothing, got {quote(document['type'])}; {ALONE}")])
    kinds = {KEYS.get(kind, kind): kind for kind in KINDS}
    (only,) = body if len(body) == 1 else (None,)
    try:
        if only in kinds and kinds[only] != "experiment":
            spec: Any = decode_value(base_of(kinds[only]), body[only], f".{only}", problems)
        else:
            spec = decode_fields(base_of("experiment"), body, "", problems)
    except RecursionError:
        raise SpecError([Problem("", f"specs are nested too deep; the limit is {MAX_DEPTH}")]) from None
    if problems:
        raise SpecError(_by_newer(document.get("funcnet", ""), problems))
    found: Spec = spec
    return found


def _by_newer(writer: str, problems: list[Problem]) -> list[Problem]:
    """The problems; if a newer funcnet wrote the document, it is the likely reason for what is unknown."""

    def numbers(version: str) -> list[int]:
        return [int(part) for part in re.findall(r"\d+", version)]

    if numbers(writer) <= numbers(__version__):
        return problems
    reason = f"; written by a newer funcnet ({writer}), while this is {__version__}; upgrade funcnet"
    return [Problem(path, said + reason * said.startswith("unknown ")) for path, said in problems]


def parse_json(text: str, most: int | None = MAX_BYTES) -> Any:
    """The value of a JSON text: no key twice, only finite numbers, at most ``most`` bytes.

    Raises   SpecError
    """

    def refuse(message: str) -> SpecError:
        return SpecError([Problem("", message)])

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        node = dict(items)
        if len(node) < len(items):
            twice = next(key for key, count in Counter(key for key, _ in items).items() if count > 1)
            raise refuse(f"the key {twice!r} appears twice in one object")
        return node

    def constant(word: str) -> Any:
        raise refuse(f"{word} is not JSON; every number must be finite")

    size = len(text.encode(errors="surrogatepass"))
    if most is not None and size > most:
        raise refuse(f"the document has {size} bytes; the limit is {most}")
    try:
        return json.loads(text.removeprefix("\ufeff"), object_pairs_hook=pairs, parse_constant=constant)
    except json.JSONDecodeError as error:
        place = f"at line {error.lineno}, column {error.colno}"
        raise refuse(f"not JSON: {error.msg} {place}{_slip(text, error.pos)}") from None
    except SpecError:
        raise
    except RecursionError:
        raise refuse(f"brackets are nested too deep; the limit is {MAX_BRACKETS}") from None
    except ValueError as error:  # an integer of more digits than Python converts
        raise refuse(f"a number cannot be read: {error}") from None


def _slip(text: str, at: int) -> str:
    """What is likely wrong with a text where it ceases to be JSON: a comma too many, a comment, another language."""
    rest, before = text[at:].lstrip(), text[:at].rstrip()
    word = next(iter(re.findall(r"^\w+", rest)), "")
    if not text.strip():
        return "; it is empty"
    if text.strip().endswith(".json"):
        return "; to read a file use load_spec(path)"
    if re.match(r",\s*[}\]]", rest) or (before.endswith(",") and rest[:1] in ("}", "]")):
        return "; leave out the comma before the closing bracket"
    if rest.startswith(("//", "/*", "#")):
        return "; JSON has no comments, leave them out"
    if rest.startswith("'"):
        return '; texts stand in double quotes: "relu"'
    if word in ("True", "False", "None"):
        return f"; write {'null' if word == 'None' else word.lower()}"
    if not before:
        return '; a spec begins with {, such as {"version": 1, …'
    if before.endswith("}") and rest[:1] in ("{", "["):
        return "; a file holds one spec"
    return "; names stand in double quotes" if word and before.endswith(("{", ",")) else ""


def _check_document(document: Any, problems: list[Problem]) -> None:
    """Check the limits of any document; without recursion, since it may be deep."""
    if not isinstance(document, Mapping):
        problems.append(Problem("", f"expected an object with the fields of a spec, got {quote(document)}"))
        return
    stack: list[tuple[str, Any, int]] = [("", document, 1)]
    nodes = 0
    while stack:
        path, node, depth = stack.pop()
        if depth > MAX_BRACKETS:
            problems.append(Problem("", f"brackets are nested too deep; the limit is {MAX_BRACKETS}"))
            return
        if isinstance(node, Mapping):
            nodes += 1
            for key, value in node.items():
                if not isinstance(key, str):
                    problems.append(Problem(path, f"expected string keys, got {key!r}"))
                stack.append((f"{path}.{key}", value, depth + 1))
        elif isinstance(node, list | tuple):
            stack.extend((f"{path}[{i}]", value, depth + 1) for i, value in enumerate(node))
        elif isinstance(node, float) and not math.isfinite(node):
            problems.append(Problem(path, f"expected a finite number, got {node}"))
        elif not isinstance(node, str | bool | int | float | None):
            problems.append(Problem(path, f"expected a JSON value, got {type(node).__name__}"))
    if nodes > MAX_NODES:
        problems.append(Problem("", f"the document has {nodes} objects; the limit is {MAX_NODES}"))


@explained
def save_spec(path: str | os.PathLike[str], spec: Spec) -> None:
    """Write a spec as JSON to a file, atomically.

    Every default is written out, so the file means the same to a later funcnet with other defaults.

    >>> fn.save_spec("net.json", fn.serial(fn.Dense(3)))
    >>> fn.load_spec("net.json") == fn.serial(fn.Dense(3))
    True
    """
    if isinstance(path, Spec) and not isinstance(spec, Spec):
        path, spec = spec, path  # the other way round, which means the same
    write_bytes(Path(path), filed(spec).encode())


def load_document(path: str | os.PathLike[str]) -> Any:
    """The JSON value in a file (UTF-8, a byte-order mark tolerated), within the limits of a spec.

    Raises   SpecError whose problems begin with the file's name
    """
    if not isinstance(path, str | os.PathLike):
        raise SpecError([Problem("", f"expected a path, such as 'net.json', got {quote(path)}")], root="load_spec")
    path = Path(path)

    def refuse(message: str) -> SpecError:
        return SpecError([Problem("", message)], root=str(path))

    try:
        text = read_bytes(path, MAX_BYTES).decode("utf-8-sig")
    except FileNotFoundError:
        raise refuse("there is no such file") from None
    except IsADirectoryError:
        raise refuse("is a folder; expected a spec, a file of JSON, or the folder of a run") from None
    except UnicodeDecodeError:
        raise refuse("the file is not UTF-8 text") from None
    except OSError as error:
        large = error.errno == errno.EFBIG
        raise refuse(str(error.strerror) if large else f"the file cannot be read: {error.strerror}") from None
    try:
        return parse_json(text)
    except SpecError as error:
        raise SpecError(error.found, root=str(path)) from None


@overload
def load_spec(path: str | os.PathLike[str]) -> Spec: ...
@overload
def load_spec(path: str | os.PathLike[str], expected: type[S]) -> S: ...
def load_spec(path: str | os.PathLike[str], expected: type[Spec] = Spec) -> Spec:
    """The spec in a JSON file; ``expected`` is its class or a base class.

    Raises   SpecError whose problems begin with the file's name
    """
    document = load_document(path)
    try:
        return from_json(document, expected)
    except SpecError as error:
        raise SpecError(error.found, root=f"{path}: $") from None
