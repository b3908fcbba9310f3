"""Record scikit-learn's quantile and hinge losses, and PyTorch's losses of distributions, directions and distances.

    python tests/golden/make_margins.py

writes ``margins.npz`` beside this file, in an environment with scikit-learn 1.9.1, torch 2.13.0 (CPU) and numpy; the
archive names them in ``versions``. Members are called ``<case>/<what>``; they are float64. Inputs are numbers that
float32 holds exactly, so that a run in float32 starts from the same values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import archive
import numpy as np
import numpy.typing as npt
import sklearn
import torch  # type: ignore[import-not-found]
import torch.nn.functional as F  # type: ignore[import-not-found]
from sklearn.metrics import hinge_loss, mean_pinball_loss

Array = npt.NDArray[Any]
VERSIONS = ", ".join(f"{library.__name__} {library.__version__}" for library in (sklearn, torch, np))
LEVELS = (0.05, 0.5, 0.9)


def single(values: Any) -> Array:
    """float64 numbers that float32 holds exactly"""
    return np.asarray(values, np.float32).astype(np.float64)


def of_rows(name: str, p: Array, t: Array, terms_of: Callable[[Any], Any]) -> Iterator[tuple[str, Array]]:
    """The mean of a term for each row, and the weighted mean, with a weight of 0 for the third row."""
    random = np.random.RandomState(9)
    given = single(random.uniform(size=len(p)))
    given[2] = 0.0
    for suffix, weight in {"": None, "_weight": given}.items():
        prediction = torch.tensor(p, requires_grad=True)
        w = torch.ones(len(p), dtype=torch.float64) if weight is None else torch.tensor(weight)
        value = (w * terms_of(prediction)).sum() / w.sum()
        value.backward()
        arrays = {"prediction": p, "target": t, "value": value.detach().numpy(), "gradient": prediction.grad.numpy()}
        if weight is not None:
            arrays["weight"] = weight
        for what, array in arrays.items():
            yield f"{name}{suffix}/{what}", np.asarray(array)


def margins() -> Iterator[tuple[str, Array]]:
    random = np.random.RandomState(5)
    z, other = single(2.0 * random.standard_normal((6, 4))), single(random.standard_normal((6, 4)))
    labels, target = random.randint(4, size=6), single(random.standard_normal(6))
    q = single(random.dirichlet(np.ones(4), 6))
    q[1] = [0.0, 1.0, 0.0, 0.0]
    q /= q.sum(axis=1, keepdims=True)

    def pinball(p: Any) -> Any:
        error, levels = torch.tensor(target)[:, None] - p[:, :3], torch.tensor(LEVELS, dtype=torch.float64)
        return torch.maximum(levels * error, (levels - 1.0) * error).mean(dim=1)

    each = [mean_pinball_loss(target, z[:, i], alpha=level) for i, level in enumerate(LEVELS)]
    assert np.isclose(pinball(torch.tensor(z)).mean().item(), np.mean(each), rtol=1e-14)
    yield from of_rows("quantile", z[:, :3], target, pinball)

    signs = 2.0 * (labels > 1) - 1.0
    assert np.isclose(F.relu(1.0 - torch.tensor(signs * z[:, 0])).mean().item(), hinge_loss(signs, z[:, 0]))
    for name, power in (("hinge", 1), ("hinge_squared", 2)):
        yield from of_rows(
            name, z[:, 0], (labels > 1) * 1.0, lambda p, power=power: F.relu(1.0 - torch.tensor(signs) * p) ** power
        )

    def crammer_singer(p: Any) -> Any:
        hot = torch.nn.functional.one_hot(torch.tensor(labels), 4).bool()
        best = p.masked_fill(hot, -torch.inf).max(dim=1).values
        return F.relu(1.0 + best - p[hot])

    own = crammer_singer(torch.tensor(z)).mean().item()
    assert np.isclose(own, hinge_loss(labels, z, labels=np.arange(4)), rtol=1e-14)
    for name, power in (("categorical_hinge", 1), ("categorical_hinge_squared", 2)):
        yield from of_rows(name, z, labels, lambda p, power=power: crammer_singer(p) ** power)

    def divergence(p: Any) -> Any:
        return F.kl_div(F.log_softmax(p, dim=1), torch.tensor(q), reduction="none").sum(dim=1)

    yield from of_rows("kullback_leibler", z, q, divergence)
    yield from of_rows(
        "cosine_distance", z, other, lambda p: 1.0 - F.cosine_similarity(p, torch.tensor(other), dim=1, eps=0.0)
    )

    maps = single(random.standard_normal((6, 5, 2, 3)))
    classes = random.randint(3, size=(6, 5, 2))
    classes[0] = 1

    def dice(p: Any) -> Any:
        area = F.softmax(p, dim=-1)
        hot = F.one_hot(torch.tensor(classes), 3)
        both, sums = (area * hot).sum(dim=(1, 2)), (area + hot).sum(dim=(1, 2))
        return (1.0 - (2.0 * both + 0.5) / (sums + 0.5)).mean(dim=1)

    yield from of_rows("dice", maps, classes, dice)
    three = single(random.standard_normal((6, 3, 4)))

    def triplet(p: Any) -> Any:
        distance = torch.nn.PairwiseDistance(eps=0.0)
        parts = {"distance_function": distance, "margin": 0.7, "reduction": "none"}
        return F.triplet_margin_with_distance_loss(p[:, 0], p[:, 1], p[:, 2], **parts)

    yield from of_rows("triplet", three, np.zeros(6), triplet)


if __name__ == "__main__":
    archive.save(Path(__file__).with_name("margins.npz"), dict(margins()), VERSIONS)
