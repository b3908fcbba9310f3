"""Losses: what training minimises. Each is a pure ``apply`` and a ``vjp``, and ``link`` turns outputs into answers."""

from funcnet.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)
