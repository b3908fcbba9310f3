"""Hints: the right name for a wrong one, for an argument, a field, a method or a public name of another library."""

from __future__ import annotations

import contextlib
import difflib
import functools
import inspect
import itertools
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

from funcnet.errors import ArgumentError

P = ParamSpec("P")
R = TypeVar("R")

MOST_KNOWN, LONGEST = 1000, 200
"""Limits of the search for the nearest word: the number of known words, the length of the word"""

NAMES = {
    "acc": "accuracy", "adamwoptimizer": "adamw", "affine": "dense", "alpha": "slope", "auc": "rocauc",
    "averageprecisionscore": "averageprecision", "avgpool1d": "averagepool1d", "avgpool2d": "averagepool2d",
    "batchsizes": "batchsize", "bce": "binarycrossentropy", "bceloss": "binarycrossentropy",
    "bcewithlogits": "sigmoidcrossentropy", "bcewithlogitsloss": "sigmoidcrossentropy", "beta1": "b1", "beta2": "b2",
    "betainitializer": "biasinit", "bias": "usebias", "biasinitializer": "biasinit",
    "binarycrossentropywithlogits": "sigmoidcrossentropy", "categoricalcrossentropy": "softmaxcrossentropy",
    "classes": "units", "cosineannealing": "cosine", "cosineannealinglr": "cosine", "cosinedecay": "cosine",
    "crossentropy": "softmaxcrossentropy", "crossentropyloss": "softmaxcrossentropy", "dim": "axis",
    "dropoutrate": "rate", "embeddingdim": "features", "epsilon": "eps", "exponentialdecay": "exponential",
    "exponentiallr": "exponential", "f1score": "f1", "fc": "dense", "foldin": "fold", "fullyconnected": "dense",
    "gammainitializer": "scaleinit", "hiddensize": "units", "hiddenunits": "units", "inputdim": "size",
    "kernelinitializer": "weightinit", "kernelinit": "weightinit", "l1": "meanabsoluteerror",
    "l1loss": "meanabsoluteerror", "linear": "dense", "logistic": "sigmoid", "lr": "learningrate",
    "mae": "meanabsoluteerror", "meanabsoluteerror": "mae", "meansquarederror": "rmse", "mse": "meansquarederror rmse",
    "mseloss": "meansquarederror", "multiheadedattention": "multiheadattention", "negativeslope": "slope",
    "nepochs": "epochs", "nhead": "heads", "nheads": "heads", "nrepeats": "repeats", "nll": "negativeloglikelihood",
    "nllloss": "negativeloglikelihood", "numchannels": "filters", "numembeddings": "size", "numepochs": "epochs",
    "numheads": "heads", "numunits": "units", "outchannels": "filters", "outfeatures": "units",
    "outputdim": "features units", "p": "rate", "prelu": "leakyrelu", "r2score": "r2",
    "reducelronplateau": "reduceonplateau", "rocaucscore": "rocauc", "sequential": "serial", "smoothl1": "huber",
    "smoothl1loss": "huber", "sparsecategoricalaccuracy": "accuracy", "categoricalaccuracy": "accuracy",
    "binaryaccuracy": "accuracy", "sparsecategoricalcrossentropy": "softmaxcrossentropy", "steplr": "stepdecay",
    "swish": "silu", "valloss": "validationloss", "vallosses": "validationloss", "valaccuracy": "validationaccuracy",
    "valacc": "validationaccuracy", "vocabsize": "size", "weight": "weightinit",
    "weightinitializer": "weightinit", "width": "units",
}  # fmt: skip
"""Names of other libraries, and those of the same things here, in plain letters: the first that is known is meant"""


def plain(word: str) -> str:
    """The letters and digits of a name, in lower case: ``conv2d`` for Conv2D, conv_2d and conv-2d."""
    return re.sub(r"[\W_]+", "", word).lower()


def same_thing(word: str, known: Iterable[str]) -> str | None:
    """The known name that differs only in case and signs, or that means what another library's name does."""
    names = {plain(name): name for name in known}
    letters = plain(word)
    for meant in (
        letters,
        *NAMES.get(letters, "").split(),
        letters.removesuffix("layer"),
        letters.removesuffix("loss"),
    ):
        if meant in names:
            return names[meant]
    return None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``", did you mean 'dense'?"`` if a similar word is known, else an empty string."""
    some = list(itertools.islice(known, MOST_KNOWN))
    alike = None if word.isascii() else next((name for name in some if composed(name) == composed(word)), None)
    if alike is not None:  # which look the same
        return f", did you mean {alike!a}, of other code points than {word!a}?"
    same = same_thing(word[:LONGEST], some)
    near = [same] if same else difflib.get_close_matches(word[:LONGEST], some, n=1, cutoff=0.6)
    return f", did you mean {near[0]!r}?" if near else ""


def composed(word: str) -> str:
    """A name whose accents are parts of its letters, as most programs write them."""
    return unicodedata.normalize("NFC", word)


# ----- arguments and fields --------------------------------------------------------------------------------

INPUT = "the shape of the input is given to init", "the shape of the input is that of the data"
OWN_LAYER = "it is a separate layer: fn.serial(fn.Dense(64), fn.Relu())", "it is a separate layer after this one"
DECAY = "decay of weights is a field of AdamW, weight_decay, or the transform DecoupledWeightDecay in a chain"
CLIP = "clipping is a transform before the rule: ClipByGlobalNorm in a chain"
SCHEDULE = "a rate that changes is a schedule, such as Cosine, in place of the learning rate"
FLAT = "funcnet computes in NumPy, on the CPU"
PARTS = "it is part of the data: (x, y)"
WEIGHTS = (
    "weights of classes are class_weight of the training, weights of samples a part of the data: (x, y, weight)",
    "weights of classes are training.class_weight, weights of samples a column or array of the data",
)

ARGUMENTS: dict[str, str | tuple[str, str]] = {
    "activation": OWN_LAYER,
    "affine": "its parts are use_scale and use_bias",
    "alpha": DECAY,
    "amsgrad": "AMSGrad is a separate rule",
    "batch_first": "it is always so: sequences are (batch, time, features)",
    "betas": "it is b1 and b2",
    "bidirectional": "it is a layer around this one, Bidirectional",
    "callback": ("it is callbacks=[…]", "it is training.early_stopping, training.checkpoint or training.callbacks"),
    "class_weights": "it is class_weight",
    "clipnorm": CLIP,
    "clipvalue": CLIP,
    "criterion": "it is loss",
    "cv": "cross-validation is fn.cross_validate(net, (x, y), folds=5, …)",
    "data_format": "images are always (height, width, channels)",
    "decay": SCHEDULE,
    "device": FLAT,
    "dim": "it is always the last axis",
    "dropout": ("it is a separate layer: fn.Dropout(0.5)", "it is a separate layer, such as dropout"),
    "dtype": ("another type is that of start: fn.train_state(…, dtype=np.float64)", "it is dtype of the spec"),
    "embed_dim": "the number of features is that of the input",
    "from_logits": "each loss says whether it takes logits: SoftmaxCrossEntropy and SigmoidCrossEntropy do",
    "gradient_clip": CLIP,
    "hidden_layer_sizes": ("they are the layers of the network: fn.serial(fn.Dense(64), …)", "they are model.layers"),
    "in_channels": INPUT,
    "in_features": INPUT,
    "initial_epoch": "training goes on from a start, whose steps count",
    "inplace": "nothing is changed in place here; leave it out",
    "input_dim": INPUT,
    "input_shape": INPUT,
    "input_size": INPUT,
    "kernel_regularizer": DECAY,
    "l2": DECAY,
    "learning_rate": ("it belongs to the optimizer: fn.optim.Adam(1e-3)", "it is optimizer.learning_rate"),
    "learning_rate_init": ("it is the optimizer's: fn.optim.Adam(1e-3)", "it is optimizer.learning_rate"),
    "lr": ("it is learning_rate, of an optimizer: fn.optim.Adam(learning_rate=1e-3)", "it is optimizer.learning_rate"),
    "max_epochs": "it is epochs",
    "max_iter": 'it is epochs or steps; of minimize options={"maxiter": 500}',
    "model": "it is net, the first argument",
    "n_iter_no_change": ("it is early_stopping=10", "it is training.early_stopping.patience"),
    "n_jobs": FLAT + "; how many cores is up to the environment, such as OPENBLAS_NUM_THREADS",
    "name": (
        "names are given where layers are joined: fn.serial(head=fn.Dense(10))",
        "only items of a list of layers have names",
    ),
    "num_features": INPUT,
    "num_layers": ("write each layer: fn.serial(fn.LSTM(8), fn.LSTM(8))", "write each layer, one after the other"),
    "opt": "it is optimizer",
    "out_channels": "it is filters",
    "params": "it is start=(params, state)",
    "patience": ("it is early_stopping=10", "it is early_stopping.patience"),
    "pos_weight": WEIGHTS,
    "random_state": ("it is key", "it is seed"),
    "recurrent_dropout": "there is none; put Dropout before or after the layer",
    "reduction": "the name of a loss says it: MeanSquaredError, SumSquaredError",
    "return_state": "it is carry=True",
    "rngs": "random draws come from the key of the context: fn.Context(train=True, key=fn.Key(0))",
    "sample_weight": (
        "it is part of the data: (x, y, weight)",
        "it is a column or array of the data, named by data.weight",
    ),
    "scheduler": SCHEDULE,
    "scoring": "it is metrics, of importance metric",
    "seed": "it is key",
    "shuffle": "it is not needed: rows are shuffled in every epoch",
    "solver": "it is optimizer",
    "start_dim": "the first axis, of samples, is never flattened",
    "stateful": "a state that goes on is carry=True",
    "steps_per_epoch": "an epoch is all rows; training that ends earlier has steps in place of epochs",
    "test_size": ("it is validation=0.1", "it is data.split.test"),
    "tol": "training ends early by early_stopping, with min_delta",
    "train": "how a pass runs is the context: fn.Context(train=True, key=fn.Key(0)), or fn.EVAL",
    "training": "how a pass runs is train=True",
    "validation_data": ("it is validation=(x, y)", "it is data.split.validation"),
    "validation_fraction": ("it is validation=0.1", "it is data.split.validation"),
    "validation_freq": "the validation part is scored in every epoch",
    "validation_split": ("it is validation=0.1", "it is data.split.validation"),
    "validation_steps": "the whole validation part is scored",
    "verbose": ("it is progress=True", "it is --progress"),
    "warm_start": "training goes on from start=(params, state), a Fit or a Run",
    "weight": WEIGHTS,
    "weight_decay": DECAY,
    "x": PARTS,
    "y": PARTS,
}  # fmt: skip
"""Arguments of other libraries, and what they are here, or (in Python, in JSON)"""


def argument_hint(name: str, known: Sequence[str], in_json: bool = False) -> str:
    """``", did you mean 'units'?"``, or ``"; it is …"``, for an argument or field that something does not have."""
    same = same_thing(name, known)
    if same is None and name in ARGUMENTS:
        said = ARGUMENTS[name]
        return f"; {said if isinstance(said, str) else said[in_json]}"
    return did_you_mean(name, known)


def no_argument(owner: str, name: str, known: Sequence[str]) -> ArgumentError:
    """The error for an argument that a function or a spec does not have, with the right one."""
    return ArgumentError(
        f"{owner} has no argument {name!r}{argument_hint(name, known)} (it has {', '.join(known) or 'none'})"
    )


def explained(function: Callable[P, R]) -> Callable[P, R]:
    """A function that says of a wrong call which argument is missing, too many or unknown, and what is right."""
    signature = inspect.signature(function)
    known = [name for name in signature.parameters if name != "self"]

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except TypeError:
            name = function.__qualname__.rpartition("<locals>.")[2].removesuffix(".__init__")
            wrong = _wrong_call(name, signature, known, args, kwargs)
            if wrong is None:
                raise
            raise wrong from None

    return call


def _wrong_call(
    name: str, signature: inspect.Signature, known: list[str], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> ArgumentError | None:
    """The error of a call that does not fit a signature; None for one that does."""
    with contextlib.suppress(TypeError):
        signature.bind(*args, **kwargs)
        return None
    for word in kwargs.keys() - set(known):
        return no_argument(name, word, known)
    method = "self" in signature.parameters
    parameters, args = list(signature.parameters.values())[method:], args[method:]
    places = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    given = {one.name for one in places[: len(args)]} | set(kwargs)
    lacking = [
        one.name
        for one in parameters
        if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD) and one.name not in given
    ]
    what = (
        f"it lacks {', '.join(lacking)}"
        if lacking
        else f"it got {len(args)} values and {', '.join(kwargs) or 'no'} names"
    )
    hints = [f"{one}: {LACKING[one]}" for one in lacking if one in LACKING]
    return ArgumentError(f"{name}({_written(parameters)}): {what}" + "".join(f"; {hint}" for hint in hints))


def _written(parameters: Sequence[inspect.Parameter]) -> str:
    """The parameters of a call, those that may be left out as ``…``."""
    needed = [
        one.name if one.kind is not one.KEYWORD_ONLY else f"{one.name}=…"
        for one in parameters
        if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
    return ", ".join([*needed, *(["…"] if len(needed) < len(parameters) else [])])


LACKING = {
    "ctx": "fn.EVAL, or fn.Context(train=True, key=fn.Key(0)) in training",
    "data": "the pair (x, y)",
    "in_shape": "the shape of one sample without the batch axis, such as (784,)",
    "key": "the seed of all random draws, such as 0",
    "loss": 'such as "softmax_cross_entropy"',
    "optimizer": 'such as "adam"',
    "state": "what net.init(key, in_shape) gives beside the params",
}
"""What to give for an argument that a call lacks"""


# ----- attributes and calls --------------------------------------------------------------------------------

_TRAIN = 'train with fn.fit(net, (x, y), loss="softmax_cross_entropy", optimizer="adam", epochs=10, key=0)'
_PREDICT = "write fn.predict(net, params, state, x)"
_SCORE = "write fn.evaluate(net, loss, params, state, (x, y), metrics)"
_VALUES = "a network holds no weights: params, state = net.init(fn.Key(0), in_shape), or those of done = fn.fit(…)"
_MODE = "how it runs is the context: fn.Context(train=True, key=fn.Key(0)), or fn.EVAL"
_BACKWARD = "write net.vjp(params, residuals, dy), or fn.value_and_grad(net, loss) for both directions"
_SAVE = "write fn.save(path, net, params, state)"
_LOSS = "write value, residuals = loss.apply(prediction, target)"
_STEP = "write updates, opt_state = opt.update(grads, opt_state, params), or fn.train_step(net, loss, opt)"
_STATE = "it is of the train state: done.train_state.params, done.train_state.state"
_FIT_ANSWERS = "write fn.predict(net, done.train_state.params, done.train_state.state, x)"


def several(names: str, hint: str) -> dict[str, str]:
    """The same hint for several names."""
    return dict.fromkeys(names.split(), hint)


ATTRIBUTES: dict[str, dict[str, str]] = {
    "layer": {
        **several("fit compile train_on_batch fit_generator partial_fit", _TRAIN),
        **several("predict forward call __call__ predict_on_batch transform", _PREDICT),
        "predict_proba": "write fn.predict_proba(net, loss, params, state, x)",
        "predict_classes": "write fn.predict_label(net, loss, params, state, x)",
        **several("evaluate score", _SCORE),
        "summary": "write fn.summary(net, in_shape)",
        **several("add append pop", "networks never change: write net >> layer"),
        **several("save save_weights state_dict", _SAVE),
        **several("load load_weights load_state_dict", "write net, params, state = fn.load(path)"),
        **several("params parameters named_parameters weights get_weights set_weights variables coefs_", _VALUES),
        **several("trainable_weights trainable_variables weight bias requires_grad_ get_params", _VALUES),
        **several("train eval training", _MODE),
        **several("backward zero_grad grad", _BACKWARD),
        **several("to cuda cpu", FLAT),
        **several("modules named_modules get_layer", "its layers are net.children, a dict by name"),
        "trainable": "write fn.Frozen(layer) for a layer that is not trained",
    },
    "loss": {
        **several("__call__ forward call", _LOSS),
        **several("backward grad", "write dprediction = loss.vjp(residuals)"),
        "item": "write value, residuals = loss.apply(prediction, target); float(value)",
    },
    "optimizer": {
        **several("step apply_gradients minimize apply __call__", _STEP),
        "zero_grad": "gradients are values, and nothing is summed up in them; leave it out",
        "param_groups": "params by pattern are fn.optim.partition({'*/bias': …, '*': …})",
        "lr": "it is learning_rate",
        "state_dict": "its state is the value opt_state, in the train state",
    },
    "metric": several("update compute result forward reset_state", "write score = metric(prediction, target)"),
    "Fit": {
        **several("params state opt_state weights coefs_ key step best_params", _STATE),
        **several("predict predict_label predict_proba __call__", _FIT_ANSWERS),
        **several("score evaluate", _SCORE),
        "save": _SAVE,
        "loss": 'it is in the history: done.history[-1]["loss"]',
    },
    "Key": {
        "split": 'keys are folded, never split: key.fold("a"), key.fold("b")',
        "fold_in": "it is fold",
        **several("random rand", "it is uniform(shape)"),
        **several("randn standard_normal", "it is normal(shape)"),
        "choice": "take rows[key.permutation(len(rows))[:n]]",
        "shuffle": "take rows[key.permutation(len(rows))]",
    },
}
"""Methods of other libraries by the kind of the value, and what one writes here"""


def no_attribute(kind: str) -> Callable[[Any, str], Any]:
    """``__getattr__`` of a class: an AttributeError with what one writes here for another library's name."""

    def getattribute(self: Any, name: str) -> Any:
        hint = ATTRIBUTES.get(getattr(type(self), "kind", kind), {}).get(name)
        said = f"{type(self).__name__!r} object has no attribute {name!r}" + (f"; {hint}" if hint else "")
        raise AttributeError(said, name=name, obj=self)

    return getattribute


def not_called(value: Any) -> ArgumentError:
    """The error for a spec that is called like a function."""
    hint = ATTRIBUTES.get(value.kind, {}).get("__call__", "it is data, without a function to call")
    return ArgumentError(f"{type(value).__name__} is not called; {hint}")


# ----- public names ------------------------------------------------------------------------------------------

_ARRAYS = "arrays are NumPy's"
_TABLES = "an experiment in JSON scales, splits and encodes its data: funcnet guide data"
ELSEWHERE = {
    "activation": "write the layer itself, such as fn.Relu()",
    **several("add multiply average maximum", "inputs are added by fn.Sum(), joined by fn.Concat()"),
    "callbacks": "they are at the top, such as fn.EarlyStopping(patience=10)",
    **several("models nn module model", "a network is fn.serial(fn.Dense(64), fn.Relu(), …)"),
    **several("dataloader dataset tensordataset", "data are arrays: fn.fit(net, (x, y), batch_size=32, …)"),
    **several("countparameters countparams numparams", "fn.summary(net, in_shape) counts them"),
    "crossvalpredict": "it is fn.cross_validate(…, predictions=True)",
    "depthwiseconv2d": "it is fn.Conv2D with as many groups as channels",
    "grad": "gradients are written by hand: layer.vjp, or fn.value_and_grad(net, loss)",
    **several("input inputlayer", "the shape of the input is given to init: net.init(key, in_shape)"),
    "jit": "it is fn.compile; train_step, fit and predict compile by themselves",
    "kldivloss": "a target of probabilities goes into SoftmaxCrossEntropy",
    "lambda": "write a layer of functions: fn.layer(init, apply, vjp, out_shape)",
    "lbfgs": "it is fn.minimize(net, (x, y), …)",
    **several("manualseed seed prngkey random", "randomness is a value: fn.Key(0)"),
    "masking": "a padded sequence is the pair (x, mask)",
    **several("mlpclassifier mlpregressor", "write fn.fit(fn.serial(fn.Dense(100), fn.Relu(), …), (x, y), …)"),
    "nograd": "nothing is recorded: fn.predict(net, params, state, x) runs forward only",
    "optimizers": "it is fn.optim",
    "permutationimportance": "it is fn.importance(run, table)",
    "separableconv2d": "write fn.Conv2D with as many groups as channels, then one of kernel size 1",
    **several("tensor array numpy variable parameter", _ARRAYS),
    "timedistributed": "write fn.OnSequence(layer); most layers take sequences as they are",
    **several("traintestsplit standardscaler minmaxscaler onehotencoder", _TABLES),
    "treemap": "it is fn.tree.map",
    "zeropadding2d": "it is padding of the layer after it: fn.Conv2D(…, padding=1)",
}  # fmt: skip
"""Public names of other libraries, in plain letters, for which there is no other name here"""
