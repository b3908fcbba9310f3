"""Convolutions and their transposes."""

import funcnet as fn
from funcnet import initializers
from tests.row import Row

DRAWN = {"weight_init": initializers.HeNormal(), "bias_init": initializers.Normal(0.5)}

ROWS: dict[str, Row] = {
    "conv_1d": Row(fn.Conv1D(3, 3), (5, 2)),
    "conv_1d_strides": Row(fn.Conv1D(2, 2, strides=2, padding="valid"), (5, 2)),  # leaves a remainder
    "conv_1d_causal": Row(fn.Conv1D(2, 3, padding="causal", dilation=2), (5, 2)),
    "conv_1d_groups": Row(fn.Conv1D(4, 3, padding=((2, 0),), groups=2), (4, 4)),
    "conv_1d_bare": Row(fn.Conv1D(2, 1, use_bias=False, weight_init=initializers.HeNormal()), (3, 2)),
    "conv_1d_bias": Row(fn.Conv1D(2, (2,), bias_init=initializers.Normal(0.5)), (4, 1)),
    "conv_2d": Row(fn.Conv2D(2, 3), (4, 3, 2)),
    "conv_2d_strides": Row(fn.Conv2D(2, (3, 2), strides=2, padding="same"), (4, 5, 2)),
    "conv_2d_rows": Row(fn.Conv2D(2, 2, strides=(2, 1), padding="valid"), (5, 3, 1)),
    "conv_2d_asymmetric": Row(fn.Conv2D(2, (2, 3), padding=((0, 2), (1, 0))), (3, 3, 2)),
    "conv_2d_wide_padding": Row(fn.Conv2D(1, 2, padding=2), (2, 3, 2)),  # whole windows in the padding
    "conv_2d_dilation": Row(fn.Conv2D(2, 2, dilation=(2, 1), padding=1), (3, 3, 1)),
    "conv_2d_groups": Row(fn.Conv2D(4, 2, groups=2, strides=2), (3, 3, 4)),
    "conv_2d_depthwise": Row(fn.Conv2D(3, 3, groups=3, use_bias=False), (3, 4, 3)),
    "conv_2d_one_by_one": Row(fn.Conv2D(2, 1, **DRAWN), (2, 2, 3)),
    "conv_3d": Row(fn.Conv3D(2, 2), (2, 3, 2, 2)),
    "conv_3d_options": Row(
        fn.Conv3D(2, (2, 1, 2), strides=(1, 2, 1), padding=((1, 0), 0, (0, 1)), dilation=(1, 1, 2), groups=2, **DRAWN),
        (2, 3, 2, 2),
    ),
    "conv_3d_bare": Row(fn.Conv3D(1, 2, padding="valid", use_bias=False), (2, 2, 2, 1)),
    "conv_transpose_1d": Row(fn.ConvTranspose1D(2, 3), (3, 2)),
    "conv_transpose_1d_strides": Row(fn.ConvTranspose1D(2, 3, strides=2), (3, 2)),
    "conv_transpose_1d_short": Row(fn.ConvTranspose1D(2, 1, strides=2), (3, 2)),  # outputs that no input reaches
    "conv_transpose_1d_options": Row(
        fn.ConvTranspose1D(4, 2, strides=2, padding=((1, 0),), output_padding=1, dilation=2, groups=2, **DRAWN),
        (3, 2),
    ),
    "conv_transpose_1d_bare": Row(fn.ConvTranspose1D(2, 2, padding="valid", use_bias=False), (3, 2)),
    "conv_transpose_2d": Row(fn.ConvTranspose2D(2, 2), (2, 3, 2)),
    "conv_transpose_2d_strides": Row(fn.ConvTranspose2D(2, 3, strides=2, padding="valid"), (2, 2, 2)),
    "conv_transpose_2d_options": Row(
        fn.ConvTranspose2D(
            2, (3, 2), strides=(2, 3), padding=(1, (0, 1)), output_padding=(1, 2), dilation=(1, 2), groups=2, **DRAWN
        ),
        (2, 2, 2),
    ),
    "conv_transpose_2d_bare": Row(fn.ConvTranspose2D(1, 3, padding=((1, 0), 0), use_bias=False), (3, 2, 1)),
}
