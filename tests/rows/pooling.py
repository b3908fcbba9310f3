"""Pooling and upsampling."""

import funcnet as fn
from tests.row import Row

ROWS: dict[str, Row] = {
    "max_pool_1d": Row(fn.MaxPool1D(2), (5, 2)),
    "max_pool_1d_options": Row(fn.MaxPool1D(2, strides=1, padding="causal", dilation=2), (4, 2)),
    "max_pool_1d_ceil": Row(fn.MaxPool1D(3, strides=2, ceil_mode=True), (4, 1)),
    "max_pool_2d": Row(fn.MaxPool2D(2), (4, 5, 2)),
    "max_pool_2d_options": Row(fn.MaxPool2D((2, 3), strides=(1, 2), padding=((1, 0), 1)), (3, 4, 2)),
    "max_pool_2d_ceil": Row(fn.MaxPool2D(2, dilation=(1, 2), strides=(2, 1), ceil_mode=True), (3, 4, 1)),
    "max_pool_3d": Row(fn.MaxPool3D(2, strides=1), (2, 3, 2, 2)),
    "max_pool_3d_apart": Row(fn.MaxPool3D((1, 2, 1)), (2, 3, 2, 1)),
    "max_pool_3d_options": Row(
        fn.MaxPool3D((1, 2, 2), strides=2, padding=(0, 1, 0), dilation=(1, 1, 2), ceil_mode=True), (3, 2, 4, 1)
    ),
    "average_pool_1d": Row(fn.AveragePool1D(3), (7, 2)),
    "average_pool_1d_options": Row(
        fn.AveragePool1D(2, strides=1, padding="same", dilation=2, count_padding=False), (4, 2)
    ),
    "average_pool_1d_ceil": Row(fn.AveragePool1D(3, strides=2, padding=1, ceil_mode=True), (4, 1)),
    "average_pool_2d": Row(fn.AveragePool2D(2), (4, 5, 2)),
    "average_pool_2d_options": Row(
        fn.AveragePool2D((2, 3), strides=(1, 2), padding=((1, 0), 1), count_padding=False), (3, 4, 2)
    ),
    "average_pool_2d_ceil": Row(fn.AveragePool2D(2, strides=(2, 1), dilation=(1, 2), ceil_mode=True), (3, 4, 1)),
    "average_pool_3d": Row(fn.AveragePool3D(2, strides=1), (2, 3, 2, 2)),
    "average_pool_3d_apart": Row(fn.AveragePool3D((1, 2, 1)), (2, 3, 2, 1)),
    "average_pool_3d_options": Row(
        fn.AveragePool3D(2, padding=1, dilation=(1, 1, 2), ceil_mode=True, count_padding=False), (3, 2, 4, 1)
    ),
    "global_max_pool": Row(fn.GlobalMaxPool(), (2, 3, 2)),
    "global_average_pool": Row(fn.GlobalAveragePool(), (4, 2)),
    "adaptive_average_pool_1d": Row(fn.AdaptiveAveragePool1D(2), (5, 2)),
    "adaptive_average_pool_1d_more": Row(fn.AdaptiveAveragePool1D((3,)), (2, 1)),
    "adaptive_average_pool_2d": Row(fn.AdaptiveAveragePool2D((2, 3)), (3, 4, 2)),
    "adaptive_average_pool_2d_one": Row(fn.AdaptiveAveragePool2D(1), (3, 2, 2)),
    "adaptive_average_pool_3d": Row(fn.AdaptiveAveragePool3D(2), (3, 2, 2, 1)),
    "adaptive_average_pool_3d_parts": Row(fn.AdaptiveAveragePool3D((1, 2, 1)), (2, 3, 2, 1)),
    "upsample": Row(fn.Upsample(2), (2, 3, 2)),
    "upsample_linear": Row(fn.Upsample((2, 3), mode="linear"), (3, 2, 2)),
    "upsample_time": Row(fn.Upsample(3, mode="linear"), (4, 1)),
}
