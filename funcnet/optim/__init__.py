"""Optimizers: rules, the transforms around them, and schedules of their hyperparameters."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from funcnet.optim.rules import (
        SGD as SGD,
        Adam as Adam,
        AdamW as AdamW,
        Optimizer as Optimizer,
        RMSprop as RMSprop,
        apply_updates as apply_updates,
    )
    from funcnet.optim.schedules import (
        Constant as Constant,
        Cosine as Cosine,
        Schedule as Schedule,
        Step as Step,
        WarmupCosine as WarmupCosine,
    )
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
