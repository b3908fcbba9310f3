"""Which code of Python's own modules, NumPy and SciPy gives the same at every call.

A module that is not listed may read a clock, a file, the environment or the state of the process, so code that
uses it is not recorded.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from functools import cache
from typing import Any

from funcnet.compiler.foreign import is_trusted

PURE = frozenset(
    (
        "numpy", "scipy", "attr", "attrs", "funcnet", "builtins", "math", "cmath", "operator", "functools", "itertools",
        "collections", "typing", "types", "enum", "dataclasses", "abc", "copy", "copyreg", "numbers", "fractions",
        "statistics", "string", "re", "textwrap", "struct", "array", "bisect", "heapq", "contextlib", "json", "pickle",
        "hashlib", "base64", "binascii", "zlib", "random", "pprint", "reprlib", "keyword", "difflib", "unicodedata",
        "html", "graphlib", "colorsys", "calendar", "opcode", "dis", "__future__", "_operator", "_functools",
        "_collections", "_collections_abc", "_struct", "_bisect", "_heapq", "_json", "_pickle", "_abc", "_statistics",
        "_hashlib", "_md5", "_sha1", "_sha2", "_sha3", "_blake2", "_typing", "_random", "_sre", "_string",
        "_weakrefset",
    )
)  # fmt: skip
"""Trusted modules whose functions depend on their arguments only"""
IMPURE = ("numpy.random", "scipy.io", "scipy.datasets", "scipy.stats", "numpy.ctypeslib", "numpy.testing")
"""Parts of them that do not"""
IMPURE_NAMES = frozenset(
    ("open", "input", "id", "globals", "locals", "eval", "exec", "__import__", "compile", "breakpoint")
)
"""Built-in functions that are impure, too"""
FILES = frozenset(
    (
        "read_text", "read_bytes", "loadtxt", "genfromtxt", "fromfile", "fromregex", "memmap", "load", "open_memmap",
        "DataSource", "load_spec", "load_run",
    )
)  # fmt: skip
"""Names of functions that read files"""
NOW = frozenset(("now", "today"))
"""Texts that NumPy turns into the present time"""
BY_NAME = frozenset(
    (
        "getattr", "setattr", "delattr", "hasattr", "vars", "dir", "__dict__", "attrgetter", "methodcaller", "asdict",
        "astuple", "format", "format_map", "dumps", "__getattribute__", "__setattr__", "__reduce__", "__reduce_ex__",
        "__getstate__",
    )
)  # fmt: skip
"""Names of functions that access attributes the code does not name"""
GENERATORS = frozenset(
    (
        "default_rng", "Generator", "RandomState", "SeedSequence", "SystemRandom", "Random", "BitGenerator", "PCG64",
        "PCG64DXSM", "Philox", "MT19937", "SFC64",
    )
)  # fmt: skip
"""Names that construct random generators, which may take their seed from the system"""
SETTINGS = frozenset(
    (
        "errstate", "seterr", "geterr", "seterrcall", "geterrcall", "catch_warnings", "printoptions",
        "set_printoptions", "get_printoptions", "localcontext", "getcontext", "setcontext",
    )
)  # fmt: skip
"""Names of functions that read or change the settings of error handling or printing"""
INTERPRETER = frozenset(("__globals__", "__subclasses__", "__annotations__", "__builtins__", "cell_contents"))
"""Names that lead to variables and classes which the code does not name"""
NAMED = (
    (FILES, "reads a file"),
    (GENERATORS, "makes a random generator"),
    (SETTINGS, "reads or changes settings"),
    (INTERPRETER, "looks into the interpreter"),
)
"""Names that code which is recorded does not use, and what it would do with them"""


def is_pure(module: str, file: str | None = None) -> bool:
    """Whether a module's functions give the same at every call."""
    inside = any(module == name or module.startswith(f"{name}.") for name in IMPURE)
    return module.partition(".")[0] in PURE and is_trusted(module, file) and not inside


def home_of(value: Any) -> str:
    """The module of a function or class; that of a built-in function is the one that it is bound to."""
    name = getattr(value, "__module__", None)
    owner = getattr(value, "__self__", None)
    return name or (owner.__name__ if isinstance(owner, types.ModuleType) else "") or ""


def names_in(code: types.CodeType) -> Iterator[str]:
    """All names that a function and the functions inside it look up."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from names_in(constant)


def reads_clock(code: types.CodeType) -> bool:
    """Whether code has a text that NumPy turns into the present time."""
    return any(isinstance(text, str) and text.strip().lower() in NOW for text in code.co_consts)


@cache
def on_objects(f: Any) -> bool:
    """Whether a ufunc computes with Python objects only, as those of ``np.frompyfunc`` do."""
    return all("O" in kind for kind in f.types)
