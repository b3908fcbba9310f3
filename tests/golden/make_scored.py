"""Record scikit-learn's losses of counts and amounts, and the focal loss, for tests that need neither library.

    python tests/golden/make_scored.py

writes ``scored.npz`` beside this file, in an environment with scikit-learn 1.9.1, torch 2.13.0 (CPU) and numpy; the
archive names them in ``versions``. Members are called ``<case>/<what>``; they are float64. Inputs are numbers that
float32 holds exactly, so that a run in float32 starts from the same values.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import archive
import numpy as np
import numpy.typing as npt
import sklearn
import torch  # type: ignore[import-not-found]
import torch.nn.functional as F  # type: ignore[import-not-found]
from sklearn._loss.loss import HalfGammaLoss, HalfPoissonLoss, HalfTweedieLoss

Array = npt.NDArray[Any]
VERSIONS = ", ".join(f"{library.__name__} {library.__version__}" for library in (sklearn, torch, np))


def single(values: Any) -> Array:
    """float64 numbers that float32 holds exactly"""
    return np.asarray(values, np.float32).astype(np.float64)


def of_terms(name: str, z: Array, t: Array, terms: Array, slopes: Array) -> Iterator[tuple[str, Array]]:
    """The mean of terms, and weighted means, with a weight of 0 for the third sample."""
    random = np.random.RandomState(9)
    sample, term = single(random.uniform(size=6)), single(random.uniform(size=(6, 4)))
    sample[2] = 0.0
    for suffix, weight in {"": None, "_sample_weight": sample, "_term_weight": term}.items():
        w = np.ones((6, 4)) if weight is None else np.broadcast_to(weight.reshape(6, -1), (6, 4))
        arrays = {"prediction": z, "target": t, "value": (w * terms).sum() / w.sum(), "gradient": w * slopes / w.sum()}
        if weight is not None:
            arrays["weight"] = weight
        for what, array in arrays.items():
            yield f"{name}{suffix}/{what}", np.asarray(array)


def scored() -> Iterator[tuple[str, Array]]:
    random = np.random.RandomState(3)
    z, counts = single(2.0 * random.standard_normal((6, 4))), single(random.poisson(2.0, (6, 4)))
    amounts = single(random.gamma(2.0, 1.5, (6, 4)))
    z[0], z[1, :2] = single([-20.0, 15.0, 0.0, -0.0]), single([-1.0, 1.0])
    for name, loss, t in (
        ("poisson", HalfPoissonLoss(), counts),
        ("gamma", HalfGammaLoss(), amounts),
        ("tweedie", HalfTweedieLoss(power=1.5), np.where(counts < 2.0, 0.0, amounts)),
        ("tweedie_power", HalfTweedieLoss(power=1.2), np.where(counts < 2.0, 0.0, amounts)),
    ):
        flat = {"y_true": t.ravel(), "raw_prediction": z.ravel()}
        terms, slopes = loss.loss(**flat), loss.gradient(**flat)
        yield from of_terms(name, z, t, terms.reshape(6, 4), slopes.reshape(6, 4))
    p, y = torch.tensor(counts), torch.tensor(z)
    own = F.poisson_nll_loss(y, p, reduction="none").numpy()
    assert np.allclose(own, HalfPoissonLoss().loss(y_true=counts.ravel(), raw_prediction=z.ravel()).reshape(6, 4))
    labels = single(random.uniform(size=(6, 4)) > 0.5)
    for name, gamma, alpha in (("focal", 2.0, 0.25), ("focal_fields", 0.5, 0.6), ("focal_plain", 0.0, 0.5)):
        logits = torch.tensor(z, requires_grad=True)
        target = torch.tensor(labels)
        terms = focal(logits, target, gamma, alpha)
        terms.sum().backward()
        yield from of_terms(name, z, labels, terms.detach().numpy(), logits.grad.numpy())


def focal(z: Any, t: Any, gamma: float, alpha: float) -> Any:
    """Terms as in sigmoid_focal_loss of torchvision, with 1 - q as a sigmoid, which loses no digits."""
    entropy = F.binary_cross_entropy_with_logits(z, t, reduction="none")
    wrong = torch.sigmoid(z) * (1.0 - t) + torch.sigmoid(-z) * t
    return (alpha * t + (1.0 - alpha) * (1.0 - t)) * wrong**gamma * entropy


if __name__ == "__main__":
    archive.save(Path(__file__).with_name("scored.npz"), dict(scored()), VERSIONS)
