"""The regressor."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from sklearn.base import RegressorMixin, _fit_context
from sklearn.callback import with_callbacks
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_consistent_length

from funcnet.data.preprocess import prepared_shape
from funcnet.experiments.folder import Run
from funcnet.key import Array
from funcnet.losses.base import Loss
from funcnet.losses.regression import MeanSquaredError
from funcnet.sklearn.base import Estimator
from funcnet.sklearn.inputs import checked, readable, weights
from funcnet.sklearn.rows import Rows
from funcnet.sklearn.targets import values


class FuncnetRegressor(RegressorMixin, Estimator):
    """A network for targets that are numbers, one or several for each row.

    The parameters are those of ``FuncnetClassifier``, without ``class_weight``. The targets are scaled as the inputs
    are, for a loss that compares numbers as they are; predictions are in their units, ``loss_curve_`` is not. The
    default loss is the mean squared error.

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

    def _own_loss(self, outputs: int, several: bool) -> Loss:
        return MeanSquaredError()

    def _score(self, run: Run, rows: Rows) -> float:
        answer: Any = run.predict(readable(rows.x))
        return float(r2_score(rows.y, answer.reshape(rows.y.shape), sample_weight=rows.weight))

    def _take_over(self, run: Run) -> None:
        if run.experiment.loss.probabilities:
            raise ValueError(
                f"the run has a loss of probabilities, {type(run.experiment.loss).__name__}; "
                "use FuncnetClassifier.from_run"
            )
        self.n_outputs_ = run.experiment.model.out_shape(prepared_shape(run.preprocess))[-1]
        self._one = self.n_outputs_ == 1

    def predict(self, X: Any) -> Array:
        """The predictions, in the form of y and its units."""
        answer = self._answer(X)
        several: Array = answer.reshape(len(answer), -1)
        return several[:, 0] if self._one else several

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.input_tags.sparse = tags.input_tags.allow_nan = True
        return tags
