"""Metrics: what a whole split scores. They take ``loss.link(prediction)``, so probabilities, not logits."""

from funcnet.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)
