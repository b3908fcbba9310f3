"""Data: sources as specs, and their preparation: splits and preprocessing."""

from funcnet.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)
