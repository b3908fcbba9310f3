"""One table of everything that has laws: layers, losses and optimizers in every configuration.

``test_complete.py`` asserts that no registered class and no field is missing, ``test_laws.py`` that every field
matters; it runs the laws, and mutants of every row against them. A new layer starts with a row in ``tests/rows``, a
loss, optimizer or schedule with one here.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pytest

import funcnet as fn
from funcnet import losses, optim
from tests.row import Row
from tests.rows import FAMILIES

Array = np.ndarray[Any, Any]


# ----- layers -----------------------------------------------------------------------------------------

LAYERS: dict[str, Row] = {}
for _family in FAMILIES:
    LAYERS |= importlib.import_module(f"tests.rows.{_family}").ROWS


def shape_of(value: Any) -> str:
    """An array, or a tuple or dict of such, two levels down."""
    if isinstance(value, dict | tuple):
        held = sorted({shape_of(inner).split()[0] for inner in (value.values() if isinstance(value, dict) else value)})
        return f"{type(value).__name__} of {' and '.join(held)}"
    return "array"


def traits(row: Row) -> set[Any]:
    """What tells one kind of row from another: the trees of inputs, outputs, params and state, and the coupling."""
    params, state = row.layer.init(fn.Key(5), row.in_shape)
    x = row.input(fn.Key(5))
    y, _, _ = row.layer.apply(params, state, x, fn.Context(True, fn.Key(5)))
    found: set[Any] = {("x", shape_of(x)), ("y", shape_of(y)), ("coupled", row.coupled)}
    found |= {(of, a.dtype.kind, a.ndim == 1) for of, value in (("x", x), ("y", y)) for a in fn.tree.leaves(value)}
    levels = {of: {path.count("/") for path in fn.tree.flatten(v)} for of, v in (("params", params), ("state", state))}
    return found | {(of, *sorted(deep)) for of, deep in levels.items()}


def of_activations(layer: fn.Layer) -> bool:
    """Whether a layer is an activation: all of their module but the identity, which takes integers too."""
    return type(layer).__module__ == "funcnet.layers.activations" and not isinstance(layer, fn.Identity)


def of_every_kind(rows: dict[str, Row]) -> list[str]:
    """The rows that have some trait which no row before them has."""
    seen: set[Any] = set()
    chosen = []
    for name, row in rows.items():
        new = traits(row) - seen
        seen |= new
        chosen += [name] if new else []
    return chosen


ACTIVATIONS: list[fn.Layer] = list(
    {type(row.layer): row.layer for row in reversed(LAYERS.values()) if of_activations(row.layer)}.values()
)[::-1]
"""Every activation, in the configuration of its first row"""

KINDS = of_every_kind(LAYERS)
"""Rows of every kind: enough for what is a test of the laws, and not of the layers"""

# ----- losses -----------------------------------------------------------------------------------------


class Case(NamedTuple):
    """A loss where it is differentiable."""

    loss: losses.Loss
    prediction: Array
    target: Array


def normal(name: str, *shape: int) -> Array:
    return fn.Key(11).fold(name).normal(shape)


def uniform(name: str, *shape: int) -> Array:
    return 0.05 + 0.9 * fn.Key(12).fold(name).uniform(shape)


def rows_of_probabilities(name: str, *shape: int) -> Array:
    q = uniform(name, *shape)
    return q / q.sum(axis=-1, keepdims=True)


SHAPES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "": ((6, 3), (6, 3)),
    "_vector": ((6,), (6,)),
    "_column": ((6, 1), (6,)),
    "_row": ((6,), (6, 1)),
    "_images": ((4, 2, 3), (4, 2, 3)),
}
"""Prediction and target of the losses whose terms are elements"""

REGRESSION: dict[str, losses.Loss] = {
    "mean_squared_error": losses.MeanSquaredError(),
    "half_mean_squared_error": losses.HalfMeanSquaredError(),
    "sum_squared_error": losses.SumSquaredError(),
    "half_sum_squared_error": losses.HalfSumSquaredError(),
    "root_mean_squared_error": losses.RootMeanSquaredError(),
    "mean_absolute_error": losses.MeanAbsoluteError(),
    "huber": losses.Huber(),
    "huber_delta": losses.Huber(delta=0.3),
}
POSITIVE: dict[str, losses.Loss] = {
    "poisson": losses.Poisson(),
    "gamma": losses.Gamma(),
    "tweedie": losses.Tweedie(),
    "tweedie_power": losses.Tweedie(power=1.2),
}
FOCAL: dict[str, losses.Loss] = {
    "focal": losses.Focal(),
    "focal_fields": losses.Focal(gamma=0.5, alpha=0.6),
}
HINGES: dict[str, losses.Loss] = {
    "hinge": losses.Hinge(),
    "hinge_squared": losses.Hinge(squared=True),
}
SOFTMAX, SMOOTH = losses.SoftmaxCrossEntropy(), losses.SoftmaxCrossEntropy(label_smoothing=0.2)
LIKELIHOOD = losses.NegativeLogLikelihood()

LOSSES: dict[str, Case] = {
    **{
        f"{name}{suffix}": Case(loss, normal("p" + suffix, *p), normal("t" + suffix, *t))
        for name, loss in REGRESSION.items()
        for suffix, (p, t) in SHAPES.items()
    },
    **{
        f"binary_cross_entropy{suffix}": Case(
            losses.BinaryCrossEntropy(), uniform("p" + suffix, *p), uniform("t" + suffix, *t)
        )
        for suffix, (p, t) in SHAPES.items()
    },
    **{
        f"sigmoid_cross_entropy{suffix}": Case(
            losses.SigmoidCrossEntropy(), 3.0 * normal("p" + suffix, *p), uniform("t" + suffix, *t)
        )
        for suffix, (p, t) in SHAPES.items()
    },
    **{
        f"{name}{suffix}": Case(loss, normal("p" + suffix, *p), 3.0 * uniform("t" + suffix, *t))
        for name, loss in POSITIVE.items()
        for suffix, (p, t) in SHAPES.items()
    },
    **{
        f"{name}{suffix}": Case(loss, 2.0 * normal("p" + suffix, *p), (uniform("t" + suffix, *t) > 0.5) * 1.0)
        for name, loss in FOCAL.items()
        for suffix, (p, t) in SHAPES.items()
    },
    **{
        f"{name}{suffix}": Case(loss, 2.0 * normal("p" + suffix, *p), (uniform("t" + suffix, *t) > 0.5) * 1.0)
        for name, loss in HINGES.items()
        for suffix, (p, t) in SHAPES.items()
    },
    **{
        f"categorical_hinge{suffix}{kind}": Case(loss, 2.0 * normal("scores" + kind, *shape), target)
        for suffix, loss in (("", losses.CategoricalHinge()), ("_squared", losses.CategoricalHinge(squared=True)))
        for kind, shape, target in (
            ("_labels", (6, 4), np.array([0, 3, 1, 2, 2, 0])),
            ("_probabilities", (6, 4), rows_of_probabilities("q", 6, 4)),
            ("_label_steps", (4, 2, 3), np.array([[0, 2], [1, 1], [2, 0], [0, 1]])),
        )
    },
    "quantile": Case(losses.Quantile(), normal("quantile", 6, 1), normal("quantile target", 6)),
    "quantile_levels": Case(
        losses.Quantile(levels=(0.1, 0.5, 0.9)), normal("quantiles", 6, 3), normal("quantile target", 6, 1)
    ),
    "quantile_of_targets": Case(
        losses.Quantile(levels=(0.2, 0.7)), normal("quantiles", 4, 3, 6), normal("quantile targets", 4, 3, 3)
    ),
    "kullback_leibler": Case(
        losses.KullbackLeibler(), 2.0 * normal("divergence", 6, 4), rows_of_probabilities("q", 6, 4)
    ),
    "kullback_leibler_steps": Case(
        losses.KullbackLeibler(), normal("divergence steps", 4, 2, 3), rows_of_probabilities("steps", 4, 2, 3)
    ),
    "cosine_distance": Case(losses.CosineDistance(), normal("directions", 6, 3), normal("other directions", 6, 3)),
    "cosine_distance_steps": Case(
        losses.CosineDistance(), normal("directions", 4, 2, 3), normal("other directions", 4, 2, 3)
    ),
    "binary_cross_entropy_labels": Case(
        losses.BinaryCrossEntropy(), uniform("labels", 6, 1), np.array([0, 1, 1, 0, 1, 0])
    ),
    "sigmoid_cross_entropy_labels": Case(
        losses.SigmoidCrossEntropy(), 3.0 * normal("labels", 6), np.array([0, 1, 1, 0, 1, 0])
    ),
    "negative_log_likelihood_labels": Case(LIKELIHOOD, normal("likelihood", 6, 4), np.array([0, 3, 1, 2, 2, 0])),
    "negative_log_likelihood_steps": Case(
        losses.NegativeLogLikelihood(label_smoothing=0.3),
        normal("likelihood steps", 4, 2, 3),
        np.array([[0, 2], [1, 1], [2, 0], [0, 1]]),
    ),
    **{
        f"softmax_cross_entropy{suffix}{kind}": Case(loss, 2.0 * normal("logits" + kind, *shape), target)
        for suffix, loss in (("", SOFTMAX), ("_smoothing", SMOOTH))
        for kind, shape, target in (
            ("_labels", (6, 4), np.array([0, 3, 1, 2, 2, 0])),
            ("_probabilities", (6, 4), rows_of_probabilities("q", 6, 4)),
            ("_not_normalized", (6, 4), uniform("not normalized", 6, 4)),
            ("_label_steps", (4, 2, 3), np.array([[0, 2], [1, 1], [2, 0], [0, 1]])),
            ("_probability_steps", (4, 2, 3), rows_of_probabilities("steps", 4, 2, 3)),
        )
    },
}

# losses of several outputs, or of several members: their weights and shapes are not those of one array
SEVERAL: dict[str, Case] = {
    "multi": Case(
        losses.Multi((losses.MeanSquaredError(), SOFTMAX)),
        (normal("multi", 6, 3), normal("multi labels", 6, 4)),
        (normal("multi target", 6, 3), np.array([0, 3, 1, 2, 2, 0])),
    ),
    "multi_weights": Case(
        losses.Multi((losses.Huber(), losses.SumSquaredError()), weights=(0.5, 2.0)),
        (normal("multi", 6, 3), normal("multi second", 6)),
        (normal("multi target", 6, 3), normal("multi second target", 6, 1)),
    ),
    "dice": Case(losses.Dice(), normal("areas", 4, 3, 2, 3), np.arange(24).reshape(4, 3, 2) % 3),
    "dice_probabilities": Case(losses.Dice(), normal("areas", 6, 5, 4), rows_of_probabilities("areas", 6, 5, 4)),
    "dice_of_one": Case(losses.Dice(smooth=0.1), normal("area", 4, 6, 1), np.arange(24).reshape(4, 6) % 2),
    "triplet": Case(losses.Triplet(), normal("triplet", 6, 3, 4), np.zeros(6)),
    "triplet_parts": Case(
        losses.Triplet(margin=0.4),
        (normal("anchor", 6, 2, 2), normal("positive", 6, 2, 2), normal("negative", 6, 2, 2)),
        np.zeros((6, 1), np.int64),
    ),
    "each_member": Case(losses.EachMember(losses.MeanSquaredError()), normal("each", 6, 4, 3), normal("member", 6, 3)),
    "each_member_of_steps": Case(
        losses.EachMember(SOFTMAX, axis=2), normal("each step", 4, 3, 2, 5), np.arange(12).reshape(4, 3) % 5
    ),
    "each_member_labels": Case(
        losses.EachMember(SOFTMAX), normal("each labels", 6, 2, 4), np.array([0, 3, 1, 2, 2, 0])
    ),
}

# losses with targets to ignore, whose divisors count only the other terms
IGNORED = np.array([0, -100, 1, 2, -100, 0])
IGNORING: dict[str, Case] = {
    "softmax_cross_entropy_ignored": Case(
        losses.SoftmaxCrossEntropy(ignore_label=-100), 2.0 * normal("ignored", 6, 4), IGNORED
    ),
    "softmax_cross_entropy_ignored_maps": Case(
        losses.SoftmaxCrossEntropy(0.2, ignore_label=255),
        2.0 * normal("ignored maps", 2, 3, 2, 4),
        np.array([[[0, 255], [3, 1], [255, 2]], [[255, 255], [2, 1], [0, 0]]], np.uint8),
    ),
    "softmax_cross_entropy_ignored_class": Case(
        losses.SoftmaxCrossEntropy(ignore_label=2), 2.0 * normal("ignored class", 6, 4), np.array([0, 3, 1, 2, 2, 0])
    ),
    "focal_ignored": Case(
        losses.Focal(ignore_label=-1), 2.0 * normal("ignored focal", 6), np.array([0, 1, -1, 1, -1, 0])
    ),
    "hinge_ignored": Case(losses.Hinge(ignore_label=-1), normal("ignored hinge", 6), np.array([0, 1, -1, 1, -1, 0])),
    "categorical_hinge_ignored": Case(
        losses.CategoricalHinge(ignore_label=-100), normal("ignored scores", 6, 4), IGNORED
    ),
    "dice_ignored": Case(
        losses.Dice(ignore_label=255),
        normal("ignored areas", 4, 5, 3),
        np.array([[0, 1, 2, 255, 255], [1, 1, 0, 2, 0], [255] * 5, [0, 1, 255, 2, 1]], np.uint8),
    ),
    "negative_log_likelihood_ignored": Case(
        losses.NegativeLogLikelihood(ignore_label=-100), normal("ignored likelihood", 6, 4), IGNORED
    ),
    "sigmoid_cross_entropy_ignored": Case(
        losses.SigmoidCrossEntropy(ignore_label=-1), normal("ignored column", 6, 1), np.array([0, -1, 1, 1, -1, 0])
    ),
    "binary_cross_entropy_ignored": Case(
        losses.BinaryCrossEntropy(ignore_label=-1),
        uniform("ignored labels", 4, 3),
        np.array([[0.0, -1, 1], [1, 1, -1], [-1, -1, -1], [0, 1, 0]]),
    ),
    "each_member_ignored": Case(
        losses.EachMember(losses.SoftmaxCrossEntropy(ignore_label=-100)), normal("each ignored", 6, 2, 4), IGNORED
    ),
}

# ----- optimizers -------------------------------------------------------------------------------------

CONSTANT, STEP = optim.ConstantRate(0.05), optim.StepDecay(0.1, every=2, factor=0.5)
COSINE, WARMUP = optim.Cosine(0.1, total_steps=3, end=0.02), optim.WarmupCosine(0.1, 2, total_steps=5, end=0.01)

OPTIMIZERS: dict[str, optim.Optimizer] = {
    "sgd": optim.SGD(0.1),
    "sgd_schedule": optim.SGD(STEP),
    "sgd_momentum": optim.SGD(0.1, momentum=0.9),
    "sgd_nesterov": optim.SGD(0.05, momentum=0.9, nesterov=True),
    "sgd_schedules": optim.SGD(CONSTANT, momentum=optim.Cosine(0.9, total_steps=4, end=0.5), nesterov=True),
    "adam": optim.Adam(),
    "adam_unusual": optim.Adam(0.03, b1=0.5, b2=0.9, eps=1e-3),
    "adam_schedules": optim.Adam(
        WARMUP, b1=optim.ConstantRate(0.8), b2=optim.Cosine(0.99, total_steps=4, end=0.9), eps=optim.StepDecay(0.1, 1)
    ),
    "adamw": optim.AdamW(),
    "adamw_unusual": optim.AdamW(0.03, b1=0.5, b2=0.9, eps=1e-3, weight_decay=0.1),
    "adamw_schedules": optim.AdamW(
        COSINE,
        b1=optim.StepDecay(0.9, every=2, factor=0.5),
        b2=optim.ConstantRate(0.95),
        eps=optim.ConstantRate(1e-2),
        weight_decay=optim.WarmupCosine(0.1, warmup_steps=1, total_steps=4),
    ),
    "rmsprop": optim.RMSprop(),
    "rmsprop_unusual": optim.RMSprop(0.02, decay=0.8, eps=1e-3, momentum=0.5, centered=True),
    "rmsprop_centered": optim.RMSprop(centered=True),
    "rmsprop_momentum": optim.RMSprop(momentum=0.9),
    "rmsprop_schedules": optim.RMSprop(
        STEP,
        decay=optim.Cosine(0.99, total_steps=3, end=0.5),
        eps=optim.ConstantRate(1e-2),
        momentum=optim.StepDecay(0.9, every=1, factor=0.9),
        centered=True,
    ),
    "amsgrad": optim.AMSGrad(),
    "amsgrad_unusual": optim.AMSGrad(0.03, b1=0.5, b2=0.6, eps=1e-3),
    "amsgrad_schedules": optim.AMSGrad(WARMUP, b1=STEP, b2=optim.Cosine(0.9, total_steps=4, end=0.5), eps=STEP),
    "adamax": optim.Adamax(),
    "adamax_unusual": optim.Adamax(0.03, b1=0.5, b2=0.9, eps=1e-2),
    "adamax_schedules": optim.Adamax(COSINE, b1=STEP, b2=optim.ConstantRate(0.8), eps=STEP),
    "nadam": optim.NAdam(),
    "nadam_unusual": optim.NAdam(0.03, b1=0.5, b2=0.9, eps=1e-3, momentum_decay=0.5),
    "nadam_schedules": optim.NAdam(WARMUP, b1=STEP, b2=optim.ConstantRate(0.8), eps=STEP, momentum_decay=COSINE),
    "radam": optim.RAdam(),
    "radam_unusual": optim.RAdam(0.03, b1=0.5, b2=0.9, eps=1e-3),
    "radam_never_rectified": optim.RAdam(b2=0.5),
    "radam_schedules": optim.RAdam(WARMUP, b1=STEP, b2=optim.Cosine(0.99, total_steps=4, end=0.95), eps=STEP),
    "adagrad": optim.Adagrad(),
    "adagrad_unusual": optim.Adagrad(0.1, initial=0.1, eps=1e-2),
    "adagrad_schedules": optim.Adagrad(COSINE, initial=1.0, eps=STEP),
    "adadelta": optim.Adadelta(),
    "adadelta_unusual": optim.Adadelta(0.5, decay=0.6, eps=1e-2),
    "adadelta_schedules": optim.Adadelta(STEP, decay=optim.Cosine(0.9, total_steps=4, end=0.5), eps=COSINE),
    "adafactor": optim.Adafactor(),
    "adafactor_unusual": optim.Adafactor(0.5, decay_power=0.3, eps=1e-2, floor=1.5, clip=0.7, weight_decay=0.1),
    "adafactor_schedules": optim.Adafactor(
        WARMUP,
        decay_power=optim.ConstantRate(0.6),
        eps=STEP,
        floor=optim.StepDecay(3.0, 2),
        clip=STEP,
        weight_decay=STEP,
    ),
    "lion": optim.Lion(),
    "lion_unusual": optim.Lion(0.03, b1=0.5, b2=0.7, weight_decay=0.1),
    "lion_schedules": optim.Lion(WARMUP, b1=optim.ConstantRate(0.8), b2=COSINE, weight_decay=STEP),
    "lamb": optim.LAMB(),
    "lamb_unusual": optim.LAMB(0.03, b1=0.5, b2=0.9, eps=1e-2, weight_decay=0.1),
    "lamb_schedules": optim.LAMB(WARMUP, b1=STEP, b2=optim.ConstantRate(0.8), eps=STEP, weight_decay=COSINE),
    "lars": optim.LARS(1.0),
    "lars_unusual": optim.LARS(2.0, momentum=0.5, weight_decay=0.1, trust=0.01, nesterov=True),
    "lars_no_momentum": optim.LARS(2.0, momentum=0.0, trust=0.02),
    "lars_schedules": optim.LARS(WARMUP, momentum=STEP, weight_decay=COSINE, trust=STEP, nesterov=True),
    "muon": optim.Muon(),
    "muon_unusual": optim.Muon(
        0.02, momentum=0.8, nesterov=False, weight_decay=0.3, iterations=3, rest=optim.AdamW(0.1, b1=0.5)
    ),
    "muon_schedules": optim.Muon(WARMUP, momentum=STEP, weight_decay=COSINE, rest=optim.AdamW(STEP)),
    "schedule_free_adamw": optim.ScheduleFreeAdamW(),
    "schedule_free_adamw_unusual": optim.ScheduleFreeAdamW(0.05, b1=0.6, b2=0.9, eps=1e-3, weight_decay=0.1),
    "schedule_free_adamw_schedules": optim.ScheduleFreeAdamW(
        WARMUP, b1=optim.Cosine(0.9, total_steps=4, end=0.5), b2=optim.ConstantRate(0.8), eps=STEP, weight_decay=STEP
    ),
    "clip_by_global_norm": optim.ClipByGlobalNorm(0.5),
    "clip_by_global_norm_high": optim.ClipByGlobalNorm(100.0),
    "chain_of_one": optim.chain(optim.SGD(0.1)),
    "chain": optim.chain(optim.ClipByGlobalNorm(1.0), optim.AdamW(learning_rate=1e-2)),
    "sgd_linear": optim.SGD(optim.Linear(0.1, total_steps=4, end=0.01)),
    "sgd_joined": optim.SGD(
        optim.Joined((optim.Warmup(CONSTANT, 2), optim.PiecewiseLinear((0, 2), (0.1, 0.05))), (3,))
    ),
    "chain_named": optim.chain(clip=optim.ClipByGlobalNorm(0.1), rule=optim.SGD(WARMUP, momentum=0.5)),
    "chain_nested": optim.chain(optim.chain(optim.ClipByGlobalNorm(2.0), optim.ClipByGlobalNorm(1.0)), optim.Adam()),
    "clip_by_value": optim.ClipByValue(0.3),
    "clip_by_value_schedule": optim.chain(optim.ClipByValue(STEP), optim.SGD(0.1)),
    "clip_by_value_high": optim.ClipByValue(50.0),
    "clip_by_block_norm": optim.ClipByBlockNorm(0.5),
    "clip_by_block_norm_high": optim.ClipByBlockNorm(100.0),
    "clip_by_block_norm_adam": optim.chain(optim.ClipByBlockNorm(COSINE), optim.Adam(0.01)),
    "adaptive_clip": optim.AdaptiveClip(0.01),
    "adaptive_clip_eps": optim.AdaptiveClip(0.1, eps=3.0),
    "adaptive_clip_sgd": optim.chain(optim.AdaptiveClip(0.05), optim.SGD(0.5)),
    "l2": optim.L2(0.1),
    "l2_adam": optim.chain(optim.L2(0.5), optim.Adam(0.01)),
    "l2_schedule": optim.L2(WARMUP),
    "decoupled_weight_decay": optim.DecoupledWeightDecay(0.1),
    "decoupled_weight_decay_adam": optim.chain(optim.Adam(0.01), optim.DecoupledWeightDecay(1e-3)),
    "decoupled_weight_decay_schedule": optim.DecoupledWeightDecay(STEP),
    "centralize": optim.Centralize(),
    "centralize_sgd": optim.chain(optim.Centralize(), optim.SGD(0.1)),
    "add_noise": optim.AddNoise(0.01),
    "add_noise_unusual": optim.AddNoise(1e-3, gamma=0.1, seed=7),
    "add_noise_sgd": optim.chain(optim.AddNoise(CONSTANT), optim.SGD(0.1)),
    "ema": optim.EMA(),
    "ema_adam": optim.chain(optim.Adam(0.01), optim.EMA(decay=0.8)),
    "ema_short": optim.EMA(decay=0.5),
    "polyak_average": optim.PolyakAverage(),
    "polyak_average_later": optim.PolyakAverage(start=2),
    "polyak_average_sgd": optim.chain(optim.SGD(0.1, momentum=0.9), optim.PolyakAverage()),
    "lookahead": optim.Lookahead(optim.SGD(0.1)),
    "lookahead_unusual": optim.Lookahead(optim.Adam(0.1), every=2, rate=0.8),
    "lookahead_averaged": optim.chain(optim.Lookahead(optim.Adam(0.1), every=3, rate=STEP), optim.EMA(0.9)),
    "masked_decay": optim.Masked(optim.DecoupledWeightDecay(0.1), "*weight"),
    "masked_clip": optim.Masked(optim.ClipByGlobalNorm(0.1), ("*bias", "*s")),
    "masked_rule": optim.Masked(optim.Adam(0.01), "*weight"),
    "masked_in_chain": optim.chain(optim.Adam(0.01), optim.Masked(optim.DecoupledWeightDecay(0.01), "*weight")),
    "freeze": optim.Freeze(optim.AdamW(0.01), "*bias"),
    "freeze_part": optim.partition({"*bias": optim.Freeze(), "*": optim.AdamW(0.01)}),
    "freeze_several": optim.Freeze(optim.chain(optim.SGD(0.1, momentum=0.9), optim.EMA(0.9)), ("*bias", "*bia?")),
    "partition": optim.Partition((("*bias", optim.SGD(0.1)), ("*", optim.AdamW(0.02)))),
    "partition_several": optim.partition({"*weight": optim.Lookahead(optim.Adam(0.1)), "*": optim.SGD(STEP, 0.9)}),
    "partition_frozen": optim.Partition(
        (("*weight", optim.SGD(0.1)), ("*", optim.chain(optim.Adam(0.1), optim.PolyakAverage())))
    ),
    "reduce_on_plateau": optim.ReduceOnPlateau(),
    "reduce_on_plateau_unusual": optim.ReduceOnPlateau(factor=0.5, patience=1, rtol=0.9, min_scale=0.3),
    "reduce_on_plateau_pause": optim.ReduceOnPlateau(factor=0.5, patience=1, rtol=0.9, cooldown=1),
    "reduce_on_plateau_every": optim.ReduceOnPlateau(factor=0.2, patience=1, rtol=0.9, every=2),
    "reduce_on_plateau_monitor": optim.ReduceOnPlateau(patience=1, every=2, monitor="validation/accuracy"),
    "reduce_on_plateau_mode": optim.ReduceOnPlateau(0.5, 1, cooldown=1, monitor="validation/loss", mode="max"),
    "reduce_on_plateau_adam": optim.chain(optim.Adam(0.01), optim.ReduceOnPlateau(0.9, patience=3, rtol=0.5)),
}

RULES = ("sgd", "sgd_momentum", "adam", "rmsprop_unusual", "adafactor", "muon", "schedule_free_adamw", "chain",
         "clip_by_value", "ema_adam", "lookahead", "masked_rule", "partition", "reduce_on_plateau")  # fmt: skip
"""Rows with states of every kind, likewise"""

TRANSFORMS = tuple(name for name, opt in OPTIMIZERS.items() if not opt.descends)
"""Rows that change gradients and are no rule by themselves: what they give is not a step downhill"""


class Trained(NamedTuple):
    """What the tests need to know of a class of optimizers."""

    rule: optim.Optimizer
    """It, or a chain with it, with rates that train a small network in 200 steps: ``tests/training/test_step.py``"""
    line: Any
    """The JSON with which it trains the digits in three epochs: ``tests/training/test_swap.py``"""
    per_leaf: int | None
    """How many calls more a compiled update makes for a leaf more, 0 for an elementwise one; None is not counted:
    ``tests/compiler/test_packing.py``"""


def before(step: dict[str, Any]) -> dict[str, Any]:
    """A line of Adam with a transform before it."""
    return {"type": "chain", "steps": [step, {"type": "adam", "learning_rate": 0.002}]}


def after(step: dict[str, Any]) -> dict[str, Any]:
    """A line of Adam with a transform after it."""
    return {"type": "chain", "steps": [{"type": "adam", "learning_rate": 0.002}, step]}


def at(tag: str, rate: Any) -> dict[str, Any]:
    """A line of a rule with a learning rate."""
    return {"type": tag, "learning_rate": rate}


DECAY = {"type": "decoupled_weight_decay", "rate": 1e-4}
CLIPPED = optim.chain(optim.ClipByValue(0.5), optim.ClipByBlockNorm(0.5), optim.AdaptiveClip(0.5), optim.SGD(0.3))
PENALISED = optim.chain(optim.L2(1e-4), optim.Centralize(), optim.AddNoise(1e-4), optim.Adam(0.03))
DECAYED = optim.chain(optim.Adam(0.03), optim.Masked(optim.DecoupledWeightDecay(1e-5), "*weight"))
AVERAGED = optim.chain(optim.Lookahead(optim.Adam(0.05)), optim.EMA(0.9))
MEAN = optim.chain(optim.Adam(0.03), optim.ReduceOnPlateau(0.5), optim.PolyakAverage(start=100))
PARTS = optim.partition({"*bias": optim.SGD(0.1), "*": optim.Freeze(optim.Adam(0.03), "dense_0/*")})
GLOBAL = optim.chain(optim.ClipByGlobalNorm(1.0), optim.SGD(optim.ConstantRate(0.1)))

TRAINED: dict[str, Trained] = {
    "sgd": Trained(optim.SGD(0.03, momentum=0.9), at("sgd", 0.05) | {"momentum": 0.9}, 0),
    "adam": Trained(optim.Adam(0.03), "adam", 0),
    "adamw": Trained(
        optim.AdamW(0.03, weight_decay=1e-4),
        at("adamw", {"type": "cosine", "peak": 0.003}),
        0,
    ),
    "rmsprop": Trained(
        optim.RMSprop(0.01, centered=True, momentum=0.5),
        at("rmsprop", {"type": "step_decay", "initial": 0.001, "every": 60}),
        0,
    ),
    "amsgrad": Trained(optim.AMSGrad(0.03), at("amsgrad", 0.005), 0),
    "adamax": Trained(optim.Adamax(0.05), at("adamax", 0.005), 0),
    "nadam": Trained(optim.NAdam(0.03), at("nadam", 0.005), 0),
    "radam": Trained(optim.RAdam(0.03), at("radam", 0.005), 0),
    "adagrad": Trained(optim.Adagrad(0.3), at("adagrad", 0.05), 0),
    "adadelta": Trained(optim.Adadelta(20.0), at("adadelta", 2.0), 0),
    "adafactor": Trained(optim.Adafactor(0.1), at("adafactor", 0.005), None),
    "lion": Trained(optim.Lion(0.01), at("lion", 0.001), 0),
    "lamb": Trained(optim.LAMB(0.03, weight_decay=1e-4), at("lamb", 0.005), 4),
    "lars": Trained(optim.LARS(5.0, trust=0.01), at("lars", 0.3) | {"trust": 0.02}, 4),
    "muon": Trained(optim.Muon(0.03), at("muon", 0.005), None),
    "schedule_free_adamw": Trained(optim.ScheduleFreeAdamW(0.05), at("schedule_free_adamw", 0.005), 0),
    "clip_by_value": Trained(CLIPPED, before({"type": "clip_by_value", "max_value": 0.1}), 0),
    "clip_by_global_norm": Trained(
        GLOBAL, {"type": "chain", "steps": [{"type": "clip_by_global_norm", "max_norm": 1.0}, at("sgd", 0.1)]}, 0
    ),
    "clip_by_block_norm": Trained(CLIPPED, before({"type": "clip_by_block_norm", "max_norm": 0.5}), 4),
    "adaptive_clip": Trained(CLIPPED, before({"type": "adaptive_clip", "clipping": 0.1}), None),
    "l2": Trained(PENALISED, before({"type": "l2", "weight_decay": 1e-4}), 0),
    "centralize": Trained(PENALISED, before({"type": "centralize"}), None),
    "add_noise": Trained(PENALISED, before({"type": "add_noise", "eta": 1e-6, "seed": 3}), None),
    "decoupled_weight_decay": Trained(DECAYED, after(DECAY), 0),
    "masked": Trained(DECAYED, after({"type": "masked", "rule": DECAY, "patterns": ["*/weight"]}), None),
    "lookahead": Trained(AVERAGED, {"type": "lookahead", "rule": at("adam", {"type": "one_cycle", "peak": 0.01})}, 0),
    "ema": Trained(AVERAGED, after({"type": "ema", "decay": 0.9}), 0),
    "polyak_average": Trained(MEAN, after({"type": "polyak_average", "start": 20}), 0),
    "reduce_on_plateau": Trained(MEAN, after({"type": "reduce_on_plateau", "factor": 0.5}), None),
    "chain": Trained(
        GLOBAL,
        {"type": "chain", "steps": [at("adam", {"type": "warmup_cosine", "peak": 0.01, "warmup_steps": 10})]},
        None,
    ),
    "freeze": Trained(PARTS, {"type": "freeze", "rule": at("adam", 0.003), "patterns": "*/bias"}, None),
    "partition": Trained(
        PARTS,
        {
            "type": "partition",
            "parts": [
                [["*/bias", "head/*"], at("sgd", {"type": "linear", "initial": 0.1})],
                ["*", at("adamw", 0.002)],
            ],
        },
        None,
    ),
}
"""Every optimizer by its tag"""

NOT_RECORDED = {"AddNoise": "libraries draw other noise; test_transforms.py tests its mean and its deviation"}
"""Optimizers whose steps are not those of another library in ``tests/golden``, and why"""

SCHEDULES: dict[str, optim.Schedule] = {
    "constant": CONSTANT,
    "constant_zero": optim.ConstantRate(0.0),
    "step": STEP,
    "step_default_factor": optim.StepDecay(1.0, every=1),
    "cosine": COSINE,
    "cosine_of_the_run": optim.Cosine(1.0),
    "linear": optim.Linear(0.5, total_steps=5, end=0.1),
    "linear_of_the_run": optim.Linear(1.0),
    "polynomial": optim.Polynomial(0.5, 2.0, total_steps=5, end=0.1),
    "polynomial_of_the_run": optim.Polynomial(1.0, 0.5),
    "exponential": optim.Exponential(0.5, every=3, factor=0.3, end=0.1),
    "exponential_default": optim.Exponential(1.0, every=2),
    "inverse_square_root": optim.InverseSquareRoot(0.5, shift=3),
    "inverse_square_root_default": optim.InverseSquareRoot(1.0),
    "cosine_restarts": optim.CosineRestarts(0.5, 3),
    "cosine_restarts_unusual": optim.CosineRestarts(1.0, 2, growth=2, factor=0.7, end=0.1),
    "piecewise_constant": optim.PiecewiseConstant((0.1, 0.5, 0.2), (2, 5)),
    "piecewise_constant_of_one": optim.PiecewiseConstant((0.3,), ()),
    "piecewise_linear": optim.PiecewiseLinear((1, 3, 6), (0.1, 0.5, 0.2)),
    "piecewise_linear_of_one": optim.PiecewiseLinear((0,), (0.3,)),
    "one_cycle": optim.OneCycle(0.5, total_steps=6, pct_start=0.5, div_factor=5.0, final_div_factor=10.0),
    "one_cycle_of_the_run": optim.OneCycle(1.0),
    "warmup": optim.Warmup(0.5, 3),
    "warmup_before": optim.Warmup(optim.StepDecay(0.1, every=2), 2, start=0.01),
    "joined": optim.Joined((0.1, optim.Linear(0.5, 3), optim.ConstantRate(0.2)), (2, 5)),
    "joined_of_the_run": optim.Joined((optim.Linear(0.5), optim.Cosine(0.3)), (4,)),
    "warmup_cosine": WARMUP,
    "warmup_cosine_of_the_run": optim.WarmupCosine(1.0, warmup_steps=0),
}

# ----- what every run tries -----------------------------------------------------------------------------


def of_those(names: Iterable[str], every_run: Iterable[str]) -> list[Any]:
    """The names as parameters of a test; those that not every run tries are slow."""
    chosen = set(every_run)
    return [name if name in chosen else pytest.param(name, marks=pytest.mark.slow) for name in names]


# ----- values to try things on ----------------------------------------------------------------------------


def same(a: Any, b: Any) -> bool:
    """Whether two values agree in structure, dtypes and every bit."""
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[name], b[name]) for name in a)
    if isinstance(a, tuple | list):
        return isinstance(b, type(a)) and len(a) == len(b) and all(map(same, a, b))
    if a is None or b is None or isinstance(a, str):
        return bool(a is b or a == b)
    a, b = np.asarray(a), np.asarray(b)
    return a.dtype == b.dtype and np.array_equal(a, b)
