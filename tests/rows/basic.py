"""Rearranging, affine layers, normalizations and noise beyond those of ``core.py``."""

import funcnet as fn
from funcnet import initializers
from tests.row import Row

DRAWN = {"scale_init": initializers.Uniform(0.5, 2.0), "bias_init": initializers.Normal(0.5)}

ROWS: dict[str, Row] = {
    "permute": Row(fn.Permute((1, 0)), (2, 3)),
    "permute_three": Row(fn.Permute((2, 0, 1)), (2, 3, 4)),
    "pad": Row(fn.Pad(1), (2, 3, 2)),
    "pad_value": Row(fn.Pad((0, (2, 1)), value=0.5), (2, 3, 1)),
    "crop": Row(fn.Crop(1), (3, 4, 2)),
    "crop_sides": Row(fn.Crop(((1, 0), 0)), (2, 3, 2)),
    "bias": Row(fn.Bias(), (2, 3)),
    "bias_init": Row(fn.Bias(bias_init=initializers.Normal(0.5)), (3,)),
    "scale": Row(fn.Scale(), (2, 3)),
    "scale_init": Row(fn.Scale(scale_init=initializers.Normal(0.5)), (3,)),
    "batch_norm_frozen": Row(fn.BatchNorm(frozen=True), (2, 3)),
    "layer_norm": Row(fn.LayerNorm(), (2, 3)),
    "layer_norm_options": Row(fn.LayerNorm(eps=0.1, axes=2, **DRAWN), (2, 3)),
    "layer_norm_no_scale": Row(fn.LayerNorm(use_scale=False), (4,)),
    "layer_norm_no_bias": Row(fn.LayerNorm(use_bias=False, axes=3), (2, 2, 2)),
    "rms_norm": Row(fn.RMSNorm(), (2, 3)),
    "rms_norm_options": Row(fn.RMSNorm(eps=0.1, use_bias=True, axes=2, **DRAWN), (2, 3)),
    "rms_norm_no_scale": Row(fn.RMSNorm(use_scale=False), (4,)),
    "group_norm": Row(fn.GroupNorm(2), (3, 4)),
    "group_norm_options": Row(fn.GroupNorm(1, eps=0.1, **DRAWN), (2, 2, 3)),
    "group_norm_no_scale": Row(fn.GroupNorm(3, use_scale=False), (2, 6)),
    "group_norm_no_bias": Row(fn.GroupNorm(2, use_bias=False), (4,)),
    "group_norm_32": Row(fn.GroupNorm(), (64,)),
    "instance_norm": Row(fn.InstanceNorm(), (3, 2)),
    "instance_norm_options": Row(fn.InstanceNorm(eps=0.1, **DRAWN), (2, 2, 3)),
    "instance_norm_no_scale": Row(fn.InstanceNorm(use_scale=False), (4, 2)),
    "instance_norm_no_bias": Row(fn.InstanceNorm(use_bias=False), (4, 2)),
    "spatial_dropout": Row(fn.SpatialDropout(0.5), (2, 3), coupled=True),
    "spatial_dropout_rare": Row(fn.SpatialDropout(0.2), (2, 2, 3), coupled=True),
    "gaussian_noise": Row(fn.GaussianNoise(0.5), (3,), coupled=True),
    "gaussian_noise_small": Row(fn.GaussianNoise(0.1), (2, 3), coupled=True),
    "stochastic_depth": Row(fn.StochasticDepth(0.5), (2, 3), coupled=True),
    "stochastic_depth_often": Row(fn.StochasticDepth(0.6), (3,), coupled=True),
    "stochastic_depth_residual": Row(fn.Residual(fn.serial(fn.Dense(3), fn.StochasticDepth(0.4))), (3,), coupled=True),
}
