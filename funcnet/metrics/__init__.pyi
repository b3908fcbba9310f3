from funcnet.metrics.base import (
    InUnits as InUnits,
    Metric as Metric,
)
from funcnet.metrics.calibration import (
    CalibrationError as CalibrationError,
)
from funcnet.metrics.confusion import (
    PerClass as PerClass,
    confusion_matrix as confusion_matrix,
    per_class as per_class,
    per_label as per_label,
)
from funcnet.metrics.decisions import (
    F1 as F1,
    Accuracy as Accuracy,
    BalancedAccuracy as BalancedAccuracy,
    Precision as Precision,
    Recall as Recall,
    TopKAccuracy as TopKAccuracy,
)
from funcnet.metrics.deviance import (
    Deviance as Deviance,
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
