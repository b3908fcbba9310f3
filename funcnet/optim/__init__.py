"""Optimizers: rules, the transforms around them, and schedules of their hyperparameters."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from funcnet.optim.adam import (
        Adam as Adam,
        Adamax as Adamax,
        AdamW as AdamW,
        AMSGrad as AMSGrad,
        NAdam as NAdam,
        RAdam as RAdam,
    )
    from funcnet.optim.adaptive import Adadelta as Adadelta, Adagrad as Adagrad, RMSprop as RMSprop
    from funcnet.optim.averages import EMA as EMA, Lookahead as Lookahead, PolyakAverage as PolyakAverage
    from funcnet.optim.clipping import (
        AdaptiveClip as AdaptiveClip,
        ClipByBlockNorm as ClipByBlockNorm,
        ClipByGlobalNorm as ClipByGlobalNorm,
        ClipByValue as ClipByValue,
    )
    from funcnet.optim.factored import Adafactor as Adafactor
    from funcnet.optim.joined import (
        Joined as Joined,
        OneCycle as OneCycle,
        PiecewiseConstant as PiecewiseConstant,
        PiecewiseLinear as PiecewiseLinear,
        Warmup as Warmup,
    )
    from funcnet.optim.layerwise import LAMB as LAMB, LARS as LARS
    from funcnet.optim.masks import Freeze as Freeze, Masked as Masked, Partition as Partition, partition as partition
    from funcnet.optim.matrix import Muon as Muon
    from funcnet.optim.penalties import (
        L2 as L2,
        AddNoise as AddNoise,
        Centralize as Centralize,
        DecoupledWeightDecay as DecoupledWeightDecay,
    )
    from funcnet.optim.plateau import ReduceOnPlateau as ReduceOnPlateau
    from funcnet.optim.reading import current as current
    from funcnet.optim.rules import SGD as SGD, Optimizer as Optimizer, apply_updates as apply_updates
    from funcnet.optim.schedule_free import ScheduleFreeAdamW as ScheduleFreeAdamW
    from funcnet.optim.schedules import (
        Constant as Constant,
        Cosine as Cosine,
        CosineRestarts as CosineRestarts,
        Exponential as Exponential,
        InverseSquareRoot as InverseSquareRoot,
        Linear as Linear,
        Polynomial as Polynomial,
        Schedule as Schedule,
        Step as Step,
        WarmupCosine as WarmupCosine,
    )
    from funcnet.optim.sign import Lion as Lion
    from funcnet.optim.transforms import Chain as Chain, Transform as Transform, chain as chain
else:
    from funcnet import index

    _PLACES = index.places(index.OPTIMIZERS, index.SCHEDULES) | {
        "Optimizer": "funcnet.optim.rules",
        "apply_updates": "funcnet.optim.rules",
        "Schedule": "funcnet.optim.schedules",
        "Transform": "funcnet.optim.transforms",
        "chain": "funcnet.optim.transforms",
        "partition": "funcnet.optim.masks",
        "current": "funcnet.optim.reading",
    }
    __getattr__, __dir__, __all__ = index.lazily("funcnet.optim", _PLACES)
