"""Where everything public stands, so that a name or tag loads only the family it belongs to.

A tag is its class's name in lower case with underscores between the words (``leaky_relu``,
``LeakyRelu``; ``conv_2d``, ``Conv2D``), which is how a tag leads to a module without importing others.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

LAYERS = {
    "funcnet.layers.dense": ("Dense", "Bias", "Scale"),
    "funcnet.layers.activations": (
        "Identity", "Relu", "Relu6", "LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "Gelu", "Silu", "Mish", "Sigmoid",
        "HardSigmoid", "HardSwish", "HardTanh", "LogSigmoid", "Tanh", "Softplus", "Softsign", "Softmax", "LogSoftmax",
        "Glu", "SwiGlu", "GeGlu",
    ),
    "funcnet.layers.convolution": ("Conv1D", "Conv2D", "Conv3D", "ConvTranspose1D", "ConvTranspose2D"),
    "funcnet.layers.pooling": (
        "MaxPool1D", "MaxPool2D", "MaxPool3D", "AveragePool1D", "AveragePool2D", "AveragePool3D", "GlobalMaxPool",
        "GlobalAveragePool", "AdaptiveAveragePool1D", "AdaptiveAveragePool2D", "AdaptiveAveragePool3D", "Upsample",
    ),
    "funcnet.layers.shape": ("Flatten", "Reshape", "Permute", "Pad", "Crop"),
    "funcnet.layers.noise": ("Dropout", "SpatialDropout", "GaussianNoise", "StochasticDepth"),
    "funcnet.layers.normalization": ("BatchNorm", "LayerNorm", "RMSNorm", "GroupNorm", "InstanceNorm"),
    "funcnet.layers.embedding": ("Embedding", "LearnedPositions", "SinusoidalPositions", "RotaryPositions"),
    "funcnet.layers.attention": ("DotProductAttention", "MultiHeadAttention"),
    "funcnet.layers.recurrent": ("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"),
    "funcnet.layers.sequence": ("SequencePool",),
    "funcnet.combinators.serial": ("Serial",),
    "funcnet.combinators.residual": ("Residual",),
    "funcnet.combinators.branch": ("Branch", "Parallel", "Sum", "Multiply", "Concat"),
    "funcnet.combinators.graph": ("Graph",),
    "funcnet.combinators.repeat": ("Repeat",),
    "funcnet.combinators.remat": ("Remat",),
    "funcnet.combinators.tied": ("Tied",),
    "funcnet.combinators.frozen": ("Frozen",),
    "funcnet.combinators.weight_norm": ("WeightNorm",),
    "funcnet.combinators.ensemble": ("Ensemble",),
    "funcnet.combinators.capture": ("Capture",),
    "funcnet.combinators.bidirectional": ("Bidirectional",),
    "funcnet.combinators.on_sequence": ("OnSequence",),
}  # fmt: skip
LOSSES = {
    "funcnet.losses": (
        "SumSquaredError", "HalfSumSquaredError", "MeanSquaredError", "HalfMeanSquaredError",
        "RootMeanSquaredError", "MeanAbsoluteError", "Huber", "BinaryCrossEntropy", "SigmoidCrossEntropy",
        "SoftmaxCrossEntropy", "NegativeLogLikelihood", "Multi", "EachMember",
    ),
}  # fmt: skip
INITIALIZERS = {
    "funcnet.initializers": (
        "Zeros", "Ones", "Constant", "Normal", "Uniform", "TruncatedNormal", "GlorotUniform", "GlorotNormal",
        "HeUniform", "HeNormal", "LecunUniform", "LecunNormal", "Orthogonal",
    ),
}  # fmt: skip
METRICS = {
    "funcnet.metrics.decisions": ("Accuracy", "BalancedAccuracy", "TopKAccuracy", "Precision", "Recall", "F1"),
    "funcnet.metrics.ranking": ("RocAuc", "AveragePrecision"),
    "funcnet.metrics.probability": ("LogLoss", "Perplexity", "Brier"),
    "funcnet.metrics.regression": ("RMSE", "MAE", "R2", "ExplainedVariance"),
}
OPTIMIZERS = {
    "funcnet.optim.rules": ("SGD",),
    "funcnet.optim.adam": ("Adam", "AdamW", "AMSGrad", "Adamax", "NAdam", "RAdam"),
    "funcnet.optim.adaptive": ("RMSprop", "Adagrad", "Adadelta"),
    "funcnet.optim.factored": ("Adafactor",),
    "funcnet.optim.sign": ("Lion",),
    "funcnet.optim.layerwise": ("LAMB", "LARS"),
    "funcnet.optim.matrix": ("Muon",),
    "funcnet.optim.schedule_free": ("ScheduleFreeAdamW",),
    "funcnet.optim.transforms": ("Chain",),
    "funcnet.optim.clipping": ("ClipByValue", "ClipByGlobalNorm", "ClipByBlockNorm", "AdaptiveClip"),
    "funcnet.optim.penalties": ("L2", "DecoupledWeightDecay", "Centralize", "AddNoise"),
    "funcnet.optim.averages": ("EMA", "PolyakAverage", "Lookahead"),
    "funcnet.optim.masks": ("Masked", "Freeze", "Partition"),
    "funcnet.optim.plateau": ("ReduceOnPlateau",),
}
SCHEDULES = {
    "funcnet.optim.schedules": (
        "Constant", "Linear", "Polynomial", "Exponential", "Step", "InverseSquareRoot", "Cosine", "CosineRestarts",
        "WarmupCosine",
    ),
    "funcnet.optim.joined": ("PiecewiseConstant", "PiecewiseLinear", "OneCycle", "Warmup", "Joined"),
}  # fmt: skip
SOURCES = {
    "funcnet.data.bundled": ("Digits", "NoisyDigits", "Iris", "Wine", "BreastCancer", "Diabetes"),
    "funcnet.data.text": ("Text",),
    "funcnet.data.cat_images": ("CatImages",),
    "funcnet.data.sources": ("Arrays",),
    "funcnet.data.array_files": ("Npy", "Npz", "Hdf5", "Idx"),
    "funcnet.data.delimited": ("Csv",),
    "funcnet.data.generators": (
        "HalfPlaneGrid", "Function", "NormalNoise", "Moons", "Circles", "Spirals", "Blobs", "Sine",
    ),
}  # fmt: skip
CALLBACKS = {
    "funcnet.training.callbacks": ("EarlyStopping", "TargetReached", "TimeBudget", "JsonLines", "Norms"),
}
AUGMENTATIONS = {"funcnet.data.augmentation": ("RandomCrop", "RandomShift", "RandomFlip", "Jitter", "Mixup")}
EXPERIMENTS = {"funcnet.training.experiment": ("Experiment",)}

Family = Mapping[str, tuple[str, ...]]
KINDS: dict[str, tuple[str, str, Family]] = {
    "layer": ("funcnet.layer", "Layer", LAYERS),
    "loss": ("funcnet.losses", "Loss", LOSSES),
    "optimizer": ("funcnet.optim.rules", "Optimizer", OPTIMIZERS),
    "schedule": ("funcnet.optim.schedules", "Schedule", SCHEDULES),
    "initializer": ("funcnet.initializers", "Initializer", INITIALIZERS),
    "metric": ("funcnet.metrics.base", "Metric", METRICS),
    "data": ("funcnet.data.sources", "Source", SOURCES),
    "split": ("funcnet.data.split", "Split", {"funcnet.data.split": ("Split",)}),
    "augmentation": ("funcnet.data.augmentation", "Augmentation", AUGMENTATIONS),
    "training": ("funcnet.training.experiment", "Training", {"funcnet.training.experiment": ("Training",)}),
    "callback": ("funcnet.training.callbacks", "Callback", CALLBACKS),
    "checkpoint": ("funcnet.training.callbacks", "Checkpoint", {"funcnet.training.callbacks": ("Checkpoint",)}),
    "initial": ("funcnet.training.experiment", "Initial", {"funcnet.training.experiment": ("Npz",)}),
    "experiment": ("funcnet.training.experiment", "Experiment", EXPERIMENTS),
}
"""Each kind of spec: the module and name of its base class, and the library's own classes by module."""

CORE = {
    "funcnet.errors": (
        "FuncnetError", "ShapeError", "SpecError", "KeyRequired", "PathError", "NonFiniteError", "CheckpointError",
        "DataError", "ExtraRequired", "LawError", "TraceError", "CompileWarning",
    ),
    "funcnet.key": ("Key",),
    "funcnet.layer": ("Layer", "Leaf", "Triple", "Context", "EVAL", "listen"),
    "funcnet.spec": ("register", "frozen"),
    "funcnet.codec": ("to_json", "from_json", "save_spec", "load_spec", "spec_hash"),
    "funcnet.schema": ("json_schema",),
    "funcnet.combinators.serial": ("serial",),
    "funcnet.combinators.branch": ("branch", "parallel"),
    "funcnet.optim.rules": ("apply_updates",),
    "funcnet.compile.cost": ("cost",),
    "funcnet.compile.function": ("compile",),
    "funcnet.compile.source": ("source",),
    "funcnet.training.step": ("TrainState", "predict", "train_state", "train_step", "value_and_grad"),
    "funcnet.training.fit": ("Fit", "evaluate", "fit"),
    "funcnet.training.minimize": ("minimize",),
    "funcnet.training.jacobian": ("Residuals", "jacobian", "residuals"),
    "funcnet.cross_validation": ("CrossValidation", "cross_validate"),
    "funcnet.training.answers": ("predict_label", "predict_proba"),
    "funcnet.training.weights": ("load", "save"),
    "funcnet.training.experiment": ("Experiment", "Training"),
    "funcnet.training.callbacks": (
        "Callback", "Checkpoint", "EarlyStopping", "Event", "JsonLines", "Norms", "Progress", "TargetReached",
        "TimeBudget",
    ),
    "funcnet.surgery": ("diff", "replace", "select", "transfer"),
    "funcnet.blocks": ("conv_block", "resnet_block", "transformer_block"),
    "funcnet.stepping": ("generate", "stepper"),
    "funcnet.run_folder": ("Run", "load_run"),
    "funcnet.runs": ("run",),
    "funcnet.laws.layers": ("check_layer",),
    "funcnet.laws.losses": ("check_loss",),
    "funcnet.laws.optimizers": ("check_optimizer",),
    "funcnet.laws.gradient": ("check_gradient",),
    "funcnet.views.trace": ("backprop_trace",),
    "funcnet.views.summary": ("summary",),
    "funcnet.views.params": ("show",),
    "funcnet.views.diagram": ("diagram",),
}  # fmt: skip

MODULES = ("losses", "metrics", "optim", "initializers", "data", "tree", "ops")


def places(*families: Family) -> dict[str, str]:
    """``{name: module}`` of the names in some families."""
    return {name: module for family in families for module, names in family.items() for name in names}


def find(name: str, known: dict[str, str], module: str) -> Any:
    """The object of a public name, imported on its first use."""
    if name not in known:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    return getattr(importlib.import_module(known[name]), name)


def lazily(module: str, known: dict[str, str]) -> tuple[Any, Any, list[str]]:
    """``__getattr__``, ``__dir__`` and ``__all__`` of a package whose names load on first use."""
    names = sorted(known)
    return (lambda name: find(name, known, module)), (lambda: names), names


def base(kind: str) -> Any:
    """The class that a field of this kind admits."""
    module, name, _ = KINDS[kind]
    return getattr(importlib.import_module(module), name)


def load(kind: str, tag: str | None) -> None:
    """Import the module of a built-in tag, or all modules of a kind for a tag of None."""
    for module, names in KINDS[kind][2].items() if kind in KINDS else ():
        if tag is None or tag.replace("_", "") in [name.lower() for name in names]:
            importlib.import_module(module)
