from funcnet.optim.adafactor import Adafactor as Adafactor
from funcnet.optim.adagrad import Adadelta as Adadelta, Adagrad as Adagrad, RMSprop as RMSprop
from funcnet.optim.adam import (
    Adam as Adam,
    Adamax as Adamax,
    AdamW as AdamW,
    AMSGrad as AMSGrad,
    NAdam as NAdam,
    RAdam as RAdam,
)
from funcnet.optim.base import Optimizer as Optimizer, apply_updates as apply_updates
from funcnet.optim.functions import rule as rule, schedule as schedule
from funcnet.optim.hyperparameters import current as current
from funcnet.optim.joined_schedules import (
    Joined as Joined,
    OneCycle as OneCycle,
    PiecewiseConstant as PiecewiseConstant,
    PiecewiseLinear as PiecewiseLinear,
    Warmup as Warmup,
)
from funcnet.optim.layerwise import LAMB as LAMB, LARS as LARS
from funcnet.optim.lion import Lion as Lion
from funcnet.optim.muon import Muon as Muon
from funcnet.optim.schedule_free import ScheduleFreeAdamW as ScheduleFreeAdamW
from funcnet.optim.schedules import (
    ConstantRate as ConstantRate,
    Cosine as Cosine,
    CosineRestarts as CosineRestarts,
    Exponential as Exponential,
    InverseSquareRoot as InverseSquareRoot,
    Linear as Linear,
    Polynomial as Polynomial,
    Schedule as Schedule,
    StepDecay as StepDecay,
    WarmupCosine as WarmupCosine,
)
from funcnet.optim.sgd import SGD as SGD
from funcnet.optim.transforms.average import EMA as EMA, Lookahead as Lookahead, PolyakAverage as PolyakAverage
from funcnet.optim.transforms.chain import Chain as Chain, Transform as Transform, chain as chain
from funcnet.optim.transforms.clip import (
    AdaptiveClip as AdaptiveClip,
    ClipByBlockNorm as ClipByBlockNorm,
    ClipByGlobalNorm as ClipByGlobalNorm,
    ClipByValue as ClipByValue,
)
from funcnet.optim.transforms.decay import (
    L2 as L2,
    AddNoise as AddNoise,
    Centralize as Centralize,
    DecoupledWeightDecay as DecoupledWeightDecay,
)
from funcnet.optim.transforms.mask import (
    Freeze as Freeze,
    Masked as Masked,
    Partition as Partition,
    partition as partition,
)
from funcnet.optim.transforms.plateau import ReduceOnPlateau as ReduceOnPlateau
