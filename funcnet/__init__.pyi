from funcnet import (
    data as data,
    initializers as initializers,
    losses as losses,
    metrics as metrics,
    ops as ops,
    optim as optim,
    tree as tree,
)
from funcnet.codegen.source import source as source
from funcnet.combinators.bidirectional import Bidirectional as Bidirectional
from funcnet.combinators.branch import (
    Branch as Branch,
    Concat as Concat,
    Multiply as Multiply,
    Parallel as Parallel,
    Sum as Sum,
    branch as branch,
    parallel as parallel,
)
from funcnet.combinators.capture import Capture as Capture
from funcnet.combinators.ensemble import Ensemble as Ensemble
from funcnet.combinators.frozen import Frozen as Frozen
from funcnet.combinators.functions import combinator as combinator
from funcnet.combinators.graph import Graph as Graph
from funcnet.combinators.on_sequence import OnSequence as OnSequence
from funcnet.combinators.remat import Remat as Remat
from funcnet.combinators.repeat import Repeat as Repeat
from funcnet.combinators.residual import Residual as Residual
from funcnet.combinators.serial import Serial as Serial, serial as serial
from funcnet.combinators.tied import Tied as Tied
from funcnet.combinators.weight_norm import WeightNorm as WeightNorm
from funcnet.combinators.wrapper import Wrapper as Wrapper
from funcnet.compiler.function import compile as compile
from funcnet.errors import (
    CheckpointError as CheckpointError,
    CompileWarning as CompileWarning,
    DataError as DataError,
    ExtraRequired as ExtraRequired,
    FuncnetError as FuncnetError,
    KeyRequired as KeyRequired,
    LawError as LawError,
    NonFiniteError as NonFiniteError,
    PathError as PathError,
    ShapeError as ShapeError,
    SpecError as SpecError,
    TraceError as TraceError,
)
from funcnet.experiments.cross_validation import CrossValidation as CrossValidation, cross_validate as cross_validate
from funcnet.experiments.experiment import Experiment as Experiment, Training as Training
from funcnet.experiments.importance import Importance as Importance, importance as importance
from funcnet.experiments.report.again import report as report
from funcnet.experiments.result import Run as Run
from funcnet.experiments.run import run as run
from funcnet.experiments.starter import suggest as suggest
from funcnet.experiments.stored import load_run as load_run
from funcnet.key import Key as Key
from funcnet.laws.combinators import check_combinator as check_combinator
from funcnet.laws.gradient import check_gradient as check_gradient
from funcnet.laws.layers import check_layer as check_layer
from funcnet.laws.losses import check_loss as check_loss
from funcnet.laws.optimizers import check_optimizer as check_optimizer
from funcnet.laws.schedules import check_schedule as check_schedule
from funcnet.layers.activations import (
    Celu as Celu,
    Elu as Elu,
    GeGlu as GeGlu,
    Gelu as Gelu,
    Glu as Glu,
    HardSigmoid as HardSigmoid,
    HardSwish as HardSwish,
    HardTanh as HardTanh,
    Identity as Identity,
    LeakyRelu as LeakyRelu,
    LogSigmoid as LogSigmoid,
    LogSoftmax as LogSoftmax,
    Mish as Mish,
    PRelu as PRelu,
    Relu as Relu,
    Relu6 as Relu6,
    Selu as Selu,
    Sigmoid as Sigmoid,
    Silu as Silu,
    Softmax as Softmax,
    Softplus as Softplus,
    Softsign as Softsign,
    SwiGlu as SwiGlu,
    Tanh as Tanh,
)
from funcnet.layers.attention import (
    DotProductAttention as DotProductAttention,
    MultiHeadAttention as MultiHeadAttention,
)
from funcnet.layers.base import (
    EVAL as EVAL,
    Combinator as Combinator,
    Context as Context,
    Layer as Layer,
    Leaf as Leaf,
    Triple as Triple,
    apply_child as apply_child,
    init_child as init_child,
    layer as layer,
    nest as nest,
    out_shape_child as out_shape_child,
    vjp_child as vjp_child,
)
from funcnet.layers.calls import listen as listen
from funcnet.layers.convolution import (
    Conv1D as Conv1D,
    Conv2D as Conv2D,
    Conv3D as Conv3D,
    ConvTranspose1D as ConvTranspose1D,
    ConvTranspose2D as ConvTranspose2D,
)
from funcnet.layers.dense import Bias as Bias, Dense as Dense, Scale as Scale
from funcnet.layers.embedding import (
    Embedding as Embedding,
    LearnedPositions as LearnedPositions,
    RotaryPositions as RotaryPositions,
    SinusoidalPositions as SinusoidalPositions,
)
from funcnet.layers.noise import (
    Dropout as Dropout,
    GaussianNoise as GaussianNoise,
    SpatialDropout as SpatialDropout,
    StochasticDepth as StochasticDepth,
)
from funcnet.layers.normalization import (
    BatchNorm as BatchNorm,
    GroupNorm as GroupNorm,
    InstanceNorm as InstanceNorm,
    LayerNorm as LayerNorm,
    RMSNorm as RMSNorm,
)
from funcnet.layers.pooling import (
    AveragePool1D as AveragePool1D,
    AveragePool2D as AveragePool2D,
    AveragePool3D as AveragePool3D,
    GlobalAveragePool as GlobalAveragePool,
    GlobalMaxPool as GlobalMaxPool,
    MaxPool1D as MaxPool1D,
    MaxPool2D as MaxPool2D,
    MaxPool3D as MaxPool3D,
)
from funcnet.layers.recurrent import (
    GRU as GRU,
    LSTM as LSTM,
    RNN as RNN,
    GRUCell as GRUCell,
    LSTMCell as LSTMCell,
    RNNCell as RNNCell,
)
from funcnet.layers.resampling import (
    AdaptiveAveragePool1D as AdaptiveAveragePool1D,
    AdaptiveAveragePool2D as AdaptiveAveragePool2D,
    AdaptiveAveragePool3D as AdaptiveAveragePool3D,
    Upsample as Upsample,
)
from funcnet.layers.sequence import SequencePool as SequencePool
from funcnet.layers.shape import (
    Crop as Crop,
    Flatten as Flatten,
    Pad as Pad,
    Permute as Permute,
    Reshape as Reshape,
)
from funcnet.losses.functions import loss as loss
from funcnet.networks.blocks import (
    conv_block as conv_block,
    resnet_block as resnet_block,
    transformer_block as transformer_block,
)
from funcnet.networks.compare import diff as diff, transfer as transfer
from funcnet.networks.cost import cost as cost
from funcnet.networks.decoding import generate as generate, stepper as stepper
from funcnet.networks.surgery import replace as replace, select as select
from funcnet.optim.base import apply_updates as apply_updates
from funcnet.spec.base import register as register
from funcnet.spec.codec import (
    from_json as from_json,
    load_spec as load_spec,
    save_spec as save_spec,
    spec_hash as spec_hash,
    to_json as to_json,
)
from funcnet.spec.json_schema import json_schema as json_schema
from funcnet.training.callbacks import (
    Callback as Callback,
    Checkpoint as Checkpoint,
    EarlyStopping as EarlyStopping,
    Event as Event,
    JsonLines as JsonLines,
    Norms as Norms,
    Snapshot as Snapshot,
    TargetReached as TargetReached,
    TimeBudget as TimeBudget,
)
from funcnet.training.evaluate import evaluate as evaluate
from funcnet.training.fit import Fit as Fit, fit as fit
from funcnet.training.jacobian import LeastSquares as LeastSquares, jacobian as jacobian, least_squares as least_squares
from funcnet.training.minimize import minimize as minimize
from funcnet.training.probabilities import predict_label as predict_label, predict_proba as predict_proba
from funcnet.training.state import (
    TrainState as TrainState,
    swap as swap,
    train_state as train_state,
)
from funcnet.training.step import (
    predict as predict,
    train_step as train_step,
    value_and_grad as value_and_grad,
)
from funcnet.training.weights import load as load, save as save
from funcnet.views.arrays import describe as describe
from funcnet.views.backprop import backprop_trace as backprop_trace
from funcnet.views.diagram import diagram as diagram
from funcnet.views.summary import summary as summary

__version__: str
__all__: list[str]
