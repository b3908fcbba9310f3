"""Estimators of scikit-learn; the extra ``sklearn``."""

from funcnet.errors import require
from funcnet.lazy import attach

require("sklearn", "sklearn", "funcnet.sklearn")

__getattr__, __dir__, __all__ = attach(__name__)
