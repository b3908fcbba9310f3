"""Code as scientists write it, and the fate of each piece under ``fn.compile`` and in a compiled training step.

A row is a function, two or three sets of arguments of the same shapes, and a fate:

    recorded     it is recorded; no warning; every call gives what the plain function gives, to the bit
    falls_back   it runs as it is after one warning that names the line, and raises a TraceError with ``strict``
    either       both are fine; a wrong number, a lost write or another error never is

The line that a warning must name is marked ``# at fault``; in a function without a mark it is any of its lines,
and with NO_LINE none need be named. A row that is ``made`` has hidden inputs: the maker gives the function, and
perhaps a second one that changes what it reads, called between calls.

A row of a training step makes a layer, loss, optimizer, schedule or network anew; five compiled steps on changing
batches give what plain steps give, to the bit. A warning starts with the row's ``what``.
"""

import importlib

from tests.compiler.user_code.rows import ROWS
from tests.compiler.user_code.trained import TRAINED

FUNCTIONS = (
    "known",
    "values",
    "python_numbers",
    "elementwise",
    "reductions",
    "refused",
    "views",
    "binding",
    "layouts",
    "other_arrays",
    "structures",
    "results",
    "library",
    "hidden",
    "late",
    "state",
    "impure",
    "errors",
)
TRAINING = ("layers", "hidden_in_layers", "losses", "optimizers", "combinators", "grid")

for part in (*FUNCTIONS, *TRAINING):
    importlib.import_module(f"{__name__}.{part}")

__all__ = ["ROWS", "TRAINED"]
