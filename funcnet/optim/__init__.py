"""Optimizers: update rules, the transforms around them, and schedules for their hyperparameters."""

from funcnet.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)
