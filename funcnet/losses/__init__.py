"""Losses, which training minimises: a pure ``apply``, its ``vjp``, and ``link``, from outputs to predictions."""

from funcnet.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)
