"""Metrics: scores of a whole split. They take ``loss.link(prediction)``, so probabilities rather than logits."""

from funcnet.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)
