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
    from funcnet.optim.factored import Adafactor as Adafactor
    from funcnet.optim.layerwise import LAMB as LAMB, LARS as LARS
    from funcnet.optim.matrix import Muon as Muon
    from funcnet.optim.rules import SGD as SGD, Optimizer as Optimizer, apply_updates as apply_updates
    from funcnet.optim.schedule_free import ScheduleFreeAdamW as ScheduleFreeAdamW
    from funcnet.optim.schedules import (
        Constant as Constant,
        Cosine as Cosine,
        Schedule as Schedule,
        Step as Step,
        WarmupCosine as WarmupCosine,
    )
    from funcnet.optim.sign import Lion as Lion
    from funcnet.optim.transforms import (
        Chain as Chain,
        ClipByGlobalNorm as ClipByGlobalNorm,
        chain as chain,
    )
else:
    from funcnet import index

    _PLACES = index.places(index.OPTIMIZERS, index.SCHEDULES) | {
        "Optimizer": "funcnet.optim.rules",
        "apply_updates": "funcnet.optim.rules",
        "Schedule": "funcnet.optim.schedules",
        "chain": "funcnet.optim.transforms",
    }
    __getattr__, __dir__, __all__ = index.lazily("funcnet.optim", _PLACES)
