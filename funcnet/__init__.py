"""funcnet: neural networks as immutable specs of pure functions, in NumPy.

A layer is a triple (init, apply, vjp); a combinator of layers is a layer; parameters are nested plain
dicts of arrays; training is a pure step. Public names load on first use, so importing costs little.
"""

from funcnet.lazy import attach
from funcnet.version import __version__ as __version__

__getattr__, __dir__, __all__ = attach(__name__)
