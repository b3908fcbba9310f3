"""The regressor."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.callback import with_callbacks
from sklearn.metrics import d2_pinball_score, r2_score
from sklearn.utils.validation import check_consistent_length

from funcnet.data.preprocess import prepared_shape
from funcnet.experiments.result import Run
from funcnet.key import Array
from funcnet.losses.base import Loss, classifies
from funcnet.losses.quantile import Quantile
from funcnet.losses.regression import MeanSquaredError
from funcnet.losses.wrapped import unwrapped
from funcnet.sklearn.base import Estimator
from funcnet.sklearn.inputs import checked, readable, weights
from funcnet.sklearn.rows import Rows
from funcnet.sklearn.targets import values


def explained_share(loss: Loss, y: Any, answer: Any, weight: Any) -> float:
    """R², or the mean over several quantiles of the part of the pinball loss that they explain."""
    loss = unwrapped(loss)
    if not isinstance(loss, Quantile) or len(loss.levels) == 1:
        return float(r2_score(y, answer.reshape(y.shape), sample_weight=weight))
    columns = answer.reshape(len(y), -1, len(loss.levels))
    each = [
        d2_pinball_score(y.reshape(len(y), -1), columns[..., i], alpha=level, sample_weight=weight)
        for i, level in enumerate(loss.levels)
    ]
    return float(np.mean(each))


class FuncnetRegressor(RegressorMixin, Estimator):
    """A network for targets that are numbers, one or several for each row.

    The parameters are those of ``FuncnetClassifier``, without ``class_weight``. The targets are scaled as the inputs
    are, for a loss that compares numbers as they are, and divided by their mean for ``Poisson``, ``Gamma`` and
    ``Tweedie``; with ``scale=None`` they are not. Predictions are in their units, ``loss_curve_`` is not. The default
    loss is the mean squared error. With ``loss=Quantile((0.05, 0.5, 0.95))`` it predicts three quantiles of
    each output.

    Attributes   those of ``FuncnetClassifier``, without ``classes_``; ``validation_scores_`` are R²
    """

    task = "regression"
    scaled_targets: ClassVar[bool] = True
    n_outputs_: int
    _one: bool
    """Whether y is one number per row, (rows,)"""

    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on rows X, (rows, features) or a data frame, with targets y, (rows,) or (rows, outputs).

        Raises   ValueError for data that cannot be used
        """
        again = self.warm_start and hasattr(self, "run_")
        return self._fit(X, y, sample_weight, again=again, partial=False)

    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one more epoch, on these rows. The first call fixes the scales of inputs and targets."""
        return self._fit(X, y, sample_weight, again=hasattr(self, "run_"), partial=True)

    def _fit(self, X: Any, y: Any, sample_weight: Any, *, again: bool, partial: bool) -> Self:
        rows, one = self._checked(X, y, sample_weight, reset=not again)
        outputs = 1 if one else rows.y.shape[1]
        if again and outputs != self.n_outputs_:
            raise ValueError(f"y has {outputs} outputs, but {type(self).__name__} was fitted with {self.n_outputs_}")
        self.n_outputs_, self._one = outputs, one
        return self._train(rows, (X, y), outputs=outputs, again=again, partial=partial)

    def _checked(self, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> tuple[Rows, bool]:
        """The rows with a weight, and whether y is one number per row."""
        x = checked(self, X, reset=reset)
        target = values(y, self)
        check_consistent_length(X, target)
        return Rows(x, target, weights(sample_weight, X, x)).weighing(), target.ndim == 1

    def _default_loss(self, outputs: int, several: bool) -> Loss:
        return MeanSquaredError()

    def _score(self, run: Run, rows: Rows) -> float:
        return explained_share(run.experiment.loss, rows.y, run.predict(readable(rows.x)), rows.weight)

    def _take_over(self, run: Run) -> None:
        loss = run.experiment.loss
        if classifies(loss):
            what = "probabilities" if loss.probabilities else "scores"
            raise ValueError(f"the run has a loss of {what}, {type(loss).__name__}; use FuncnetClassifier.from_run")
        units = run.experiment.model.out_shape(prepared_shape(run.preprocess))[-1]
        self.n_outputs_ = units // len(loss.outputs([""]))
        self._one = self.n_outputs_ == 1

    def predict(self, X: Any) -> Array:
        """The predictions, in the form of y and its units; of several quantiles (rows, outputs · quantiles)."""
        answer = self._answer(X)
        several: Array = answer.reshape(len(answer), -1)
        return several[:, 0] if several.shape[1] == 1 and self._one else several

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R² of the predictions; of several quantiles the mean over them of d2_pinball_score, which is 1 at best."""
        return explained_share(self.spec_.loss, np.asarray(y), self.predict(X), sample_weight)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.input_tags.sparse = tags.input_tags.allow_nan = True
        return tags
