"""Record PyTorch's convolutions: ``python tests/golden/make_convolution.py`` writes ``convolution.npz``.

As ``make_golden.py``, in the same environment. Images go in and out channels last; weights are turned inside the
graph, so that gradients come back in our layout.
"""

from __future__ import annotations

from typing import Any

import torch  # type: ignore[import-not-found]
import torch.nn.functional as F  # type: ignore[import-not-found]
from make_golden import normal, run_layer, save

CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d}


def first(x: Any) -> Any:
    return x.movedim(-1, 1)


def last(y: Any) -> Any:
    return y.movedim(1, -1)


def convolve(axes: int, padding: tuple[tuple[int, int], ...], **options: Any) -> Any:
    """Explicit padding by zeros, then PyTorch's convolution without any."""
    flat = [n for pair in reversed(padding) for n in pair]

    def forward(x: Any, p: Any, s: Any) -> Any:
        weight = p["weight"].permute(axes + 1, axes, *range(axes))
        return last(CONV[axes](F.pad(first(x), flat), weight, p.get("bias"), **options))

    return forward


def transposed(axes: int, cut: tuple[tuple[int, int], ...], groups: int = 1, **options: Any) -> Any:
    """PyTorch's transposed convolution without padding, its ends cut off."""

    def forward(x: Any, p: Any, s: Any) -> Any:
        weight = p["weight"].permute(axes, axes + 1, *range(axes))
        y = TRANSPOSED[axes](first(x), weight, p.get("bias"), groups=groups, **options)
        for axis, (before, after) in enumerate(cut):
            y = y.narrow(2 + axis, before, y.shape[2 + axis] - before - after)
        return last(y)

    return forward


def params(seed: int, sizes: tuple[int, ...], bias: int = 0) -> dict[str, Any]:
    weight = {"weight": normal(seed, *sizes, std=0.5)}
    return weight | ({"bias": normal(seed + 1, bias)} if bias else {})


def main() -> None:
    cases = [
        ("conv_1d_same", convolve(1, ((1, 1),)), (3, 7, 2), (3, 2, 4), 4),
        ("conv_1d_causal", convolve(1, ((4, 0),), dilation=2), (2, 6, 3), (3, 3, 2), 2),
        ("conv_1d_groups", convolve(1, ((1, 2),), stride=2, groups=2), (2, 7, 4), (4, 2, 6), 6),
        ("conv_2d_same", convolve(2, ((1, 1), (1, 1))), (3, 5, 4, 2), (3, 3, 2, 3), 3),
        ("conv_2d_same_strides", convolve(2, ((0, 1), (1, 1)), stride=2), (2, 6, 5, 2), (3, 3, 2, 3), 3),
        ("conv_2d_valid_strides", convolve(2, ((0, 0), (0, 0)), stride=(2, 3)), (2, 6, 8, 2), (3, 2, 2, 2), 0),
        ("conv_2d_asymmetric", convolve(2, ((0, 2), (3, 1))), (2, 4, 3, 2), (2, 3, 2, 3), 3),
        ("conv_2d_wide_padding", convolve(2, ((3, 3), (3, 3))), (2, 3, 2, 1), (2, 2, 1, 2), 2),
        ("conv_2d_dilation", convolve(2, ((2, 2), (0, 0)), dilation=(2, 3)), (2, 5, 7, 2), (3, 2, 2, 2), 2),
        ("conv_2d_groups", convolve(2, ((1, 1), (1, 1)), groups=3), (2, 4, 4, 6), (3, 3, 2, 9), 9),
        ("conv_2d_depthwise", convolve(2, ((1, 1), (1, 1)), groups=4), (2, 5, 4, 4), (3, 3, 1, 4), 4),
        ("conv_2d_one_by_one", convolve(2, ((0, 0), (0, 0))), (2, 3, 3, 4), (1, 1, 4, 3), 3),
        ("conv_3d_same", convolve(3, ((1, 1), (1, 1), (1, 1))), (2, 3, 4, 3, 2), (3, 3, 3, 2, 2), 2),
        (
            "conv_3d_options",
            convolve(3, ((1, 0), (0, 0), (0, 2)), stride=(1, 2, 1), dilation=(1, 1, 2), groups=2),
            (2, 3, 5, 3, 4),
            (2, 3, 2, 2, 4),
            4,
        ),
        ("conv_transpose_1d_same", transposed(1, ((1, 1),)), (2, 5, 2), (3, 2, 3), 3),
        ("conv_transpose_1d_strides", transposed(1, ((1, 1),), stride=3, output_padding=1), (2, 4, 2), (4, 2, 3), 3),
        (
            "conv_transpose_1d_groups",
            transposed(1, ((1, 0),), groups=2, stride=2, output_padding=1, dilation=2),
            (2, 4, 4),
            (2, 4, 3),
            6,
        ),
        ("conv_transpose_2d_same", transposed(2, ((0, 0), (0, 0)), stride=2), (2, 3, 2, 2), (2, 2, 2, 3), 3),
        ("conv_transpose_2d_valid", transposed(2, ((0, 0), (0, 0)), stride=2), (2, 3, 2, 3), (3, 2, 3, 2), 0),
        (
            "conv_transpose_2d_options",
            transposed(2, ((1, 0), (2, 1)), groups=2, stride=(2, 1), output_padding=(1, 1), dilation=(1, 2)),
            (2, 3, 4, 4),
            (3, 2, 4, 2),
            4,
        ),
    ]
    arrays: dict[str, Any] = {}
    for seed, (name, forward, x, weight, bias) in enumerate(cases):
        arrays |= run_layer(name, forward, normal(1000 + seed, *x), params(2000 + 10 * seed, weight, bias))
    save("convolution", arrays)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
