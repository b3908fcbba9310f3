"""Record PyTorch's pooling and upsampling: ``python tests/golden/make_pooling.py`` writes ``pooling.npz``.

As ``make_golden.py``, in the same environment. Some inputs hold few values, so that maxima are tied.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch  # type: ignore[import-not-found]
import torch.nn.functional as F  # type: ignore[import-not-found]
from make_golden import normal, run_layer, save, single

MAX = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVERAGE = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
ADAPTIVE = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}


def last(f: Any, *args: Any, **options: Any) -> Any:
    return lambda x, p, s: f(x.movedim(-1, 1), *args, **options).movedim(1, -1)


def main() -> None:
    ties = single(np.random.RandomState(3).randint(0, 3, (2, 5, 6, 3)))
    image, line, volume = normal(7000, 2, 6, 7, 3), normal(7001, 3, 9, 2), normal(7002, 2, 4, 5, 4, 2)
    arrays: dict[str, Any] = {}
    arrays |= run_layer("max_1d", last(MAX[1], 3), line)
    arrays |= run_layer("max_1d_options", last(MAX[1], 3, 2, padding=1, dilation=2, ceil_mode=True), line)
    arrays |= run_layer("max_2d", last(MAX[2], 2), image)
    arrays |= run_layer("max_2d_ties", last(MAX[2], 3, 1, padding=1), ties)
    arrays |= run_layer("max_2d_ties_apart", last(MAX[2], 2), ties)
    arrays |= run_layer("max_2d_ceil", last(MAX[2], (3, 2), (2, 3), padding=(1, 0), ceil_mode=True), image)
    arrays |= run_layer("max_2d_dilation", last(MAX[2], 2, 1, dilation=(2, 3)), image)
    arrays |= run_layer("max_3d", last(MAX[3], 2, 1, padding=1), volume)
    arrays |= run_layer("average_1d", last(AVERAGE[1], 3), line)
    arrays |= run_layer("average_1d_ceil", last(AVERAGE[1], 4, 3, padding=2, ceil_mode=True), line)
    for count in (True, False):
        options = {"padding": (1, 0), "ceil_mode": True, "count_include_pad": count}
        arrays |= run_layer(f"average_2d_{count}", last(AVERAGE[2], (3, 2), (2, 3), **options), image)
    arrays |= run_layer("average_2d", last(AVERAGE[2], 2), image)
    arrays |= run_layer("average_3d", last(AVERAGE[3], 2, 2, padding=1, count_include_pad=False), volume)
    arrays |= run_layer("adaptive_1d", last(ADAPTIVE[1], 4), line)
    arrays |= run_layer("adaptive_2d", last(ADAPTIVE[2], (4, 10)), image)
    arrays |= run_layer("adaptive_3d", last(ADAPTIVE[3], (3, 1, 2)), volume)
    arrays |= run_layer("global_max", lambda x, p, s: x.amax((1, 2)), image)
    arrays |= run_layer("global_average", lambda x, p, s: x.mean((1, 2, 3)), volume)
    arrays |= run_layer("nearest", last(F.interpolate, scale_factor=3, mode="nearest"), image)
    arrays |= run_layer("linear", last(F.interpolate, scale_factor=2, mode="linear", align_corners=False), line)
    arrays |= run_layer(
        "bilinear", last(F.interpolate, scale_factor=(2, 3), mode="bilinear", align_corners=False), image
    )
    arrays |= run_layer("trilinear", last(F.interpolate, scale_factor=2, mode="trilinear", align_corners=False), volume)
    save("pooling", arrays)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
