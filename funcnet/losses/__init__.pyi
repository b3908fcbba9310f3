from funcnet.losses.base import (
    ElementwiseLoss as ElementwiseLoss,
    Loss as Loss,
    present as present,
    share as share,
    spread as spread,
    total_weight as total_weight,
)
from funcnet.losses.classes import ClassLoss as ClassLoss
from funcnet.losses.classification import (
    BinaryCrossEntropy as BinaryCrossEntropy,
    Focal as Focal,
    NegativeLogLikelihood as NegativeLogLikelihood,
    SigmoidCrossEntropy as SigmoidCrossEntropy,
    SoftmaxCrossEntropy as SoftmaxCrossEntropy,
)
from funcnet.losses.combined import EachMember as EachMember, Multi as Multi
from funcnet.losses.dice import Dice as Dice
from funcnet.losses.margins import (
    CategoricalHinge as CategoricalHinge,
    Hinge as Hinge,
    Triplet as Triplet,
)
from funcnet.losses.positive import (
    Gamma as Gamma,
    Poisson as Poisson,
    Tweedie as Tweedie,
)
from funcnet.losses.quantile import Quantile as Quantile
from funcnet.losses.regression import (
    HalfMeanSquaredError as HalfMeanSquaredError,
    HalfSumSquaredError as HalfSumSquaredError,
    Huber as Huber,
    MeanAbsoluteError as MeanAbsoluteError,
    MeanSquaredError as MeanSquaredError,
    RootMeanSquaredError as RootMeanSquaredError,
    SumSquaredError as SumSquaredError,
)
from funcnet.losses.rows import (
    CosineDistance as CosineDistance,
    KullbackLeibler as KullbackLeibler,
    RowLoss as RowLoss,
)
