"""Metrics: what a whole split scores. They take ``loss.link(prediction)``, so probabilities, not logits."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from funcnet.metrics.base import (
        InUnits as InUnits,
        Metric as Metric,
    )
    from funcnet.metrics.confusion import (
        PerClass as PerClass,
        confusion_matrix as confusion_matrix,
        per_class as per_class,
    )
    from funcnet.metrics.decisions import (
        F1 as F1,
        Accuracy as Accuracy,
        BalancedAccuracy as BalancedAccuracy,
        Precision as Precision,
        Recall as Recall,
        TopKAccuracy as TopKAccuracy,
    )
    from funcnet.metrics.probability import (
        Brier as Brier,
        LogLoss as LogLoss,
        Perplexity as Perplexity,
    )
    from funcnet.metrics.ranking import (
        AveragePrecision as AveragePrecision,
        RocAuc as RocAuc,
    )
    from funcnet.metrics.regression import (
        MAE as MAE,
        R2 as R2,
        RMSE as RMSE,
        ExplainedVariance as ExplainedVariance,
    )
else:
    from funcnet import index

    _PLACES = index.places(index.METRICS) | {
        "InUnits": "funcnet.metrics.base",
        "Metric": "funcnet.metrics.base",
        "PerClass": "funcnet.metrics.confusion",
        "confusion_matrix": "funcnet.metrics.confusion",
        "per_class": "funcnet.metrics.confusion",
    }
    __getattr__, __dir__, __all__ = index.lazily("funcnet.metrics", _PLACES)
