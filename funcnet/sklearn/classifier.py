"""The classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import attrs
import numpy as np
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.callback import with_callbacks
from sklearn.metrics import accuracy_score
from sklearn.utils import compute_class_weight
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_consistent_length

from funcnet.data.preprocess import prepared_shape
from funcnet.experiments.result import Run
from funcnet.inputs import as_loss
from funcnet.key import Array
from funcnet.layers.base import Layer
from funcnet.losses.base import Loss, classifies
from funcnet.losses.classification import SigmoidCrossEntropy, SoftmaxCrossEntropy
from funcnet.losses.wrapped import unwrapped
from funcnet.optim.base import Optimizer
from funcnet.sklearn.base import Estimator
from funcnet.sklearn.inputs import checked, readable, weights
from funcnet.sklearn.rows import Rows
from funcnet.sklearn.targets import labels
from funcnet.training.callbacks import EarlyStopping, Watcher
from funcnet.training.probabilities import label_of, proba_of


def _gives_probabilities(estimator: Any) -> bool:
    """Whether the loss gives probabilities.

    Raises   AttributeError if it gives scores
    """
    loss = estimator._loss()
    if not loss.probabilities:
        name = type(unwrapped(loss)).__name__
        raise AttributeError(
            f"{name} gives scores and no probabilities; use decision_function, or a loss such as SoftmaxCrossEntropy"
        )
    return True


class FuncnetClassifier(ClassifierMixin, Estimator):
    """A network for labels: two or more classes, or several labels for each row, each 0 or 1.

    ``model``           "auto", TabM-mini as large as suits the number of rows; or a network; one whose outputs are not
                        one for each class gets a Dense layer as its head. One unit is enough for two classes
    ``loss``            a loss, or its tag; by default the cross-entropy: of a softmax, and of a sigmoid for several
                        labels, and for one unit. With Hinge or CategoricalHinge there is no ``predict_proba``
    ``optimizer``       an optimizer, or its tag; by default AdamW, with a schedule or an average of the weights
    ``epochs``          by default chosen for the number of rows; between 257 and 9 999 rows, "auto" first holds out
                        15 % of them to find it, then trains on all of them
    ``batch_size``      by default chosen for the number of rows
    ``members``         the number of networks of an ensemble, trained at once; their probabilities are averaged. "auto"
                        has 8, or one network for a loss that is not a sum over rows
    ``early_stopping``  True, a patience in epochs, or an ``fn.EarlyStopping``: hold out ``validation_fraction`` of the
                        rows, stratified, and keep the weights of the epoch with the least validation loss
    ``class_weight``    "balanced", or a weight for each class
    ``scale``           the scale of the inputs: "standard", "minmax", "robust", or None. Sparse inputs are not scaled
    ``categorical``     "from_dtype": columns of a data frame with categories or texts are categories; or their names;
                        or None. A missing category is a category if the training rows have any, else an unknown
                        one: all 0, with a warning. A missing number becomes the median of its column in the training
                        rows
    ``dtype``           "float32", "float64", or None for that of X; a frame with categories has float32
    ``random_state``    an integer is the seed of the spec
    ``warm_start``      whether ``fit`` goes on from the last one, for ``epochs`` more
    ``callbacks``       callbacks of funcnet; ``set_callbacks`` takes those of scikit-learn
    ``verbose``         whether to print the rows of the history

    Attributes   ``classes_``, ``n_features_in_``, ``feature_names_in_`` (of a frame), ``n_iter_``, ``loss_curve_``,
                 ``validation_scores_`` (accuracy after each epoch, with ``early_stopping``), ``spec_`` (the whole
                 training as an ``fn.Experiment``), ``run_`` (the ``fn.Run``)
    """

    task = "classification"
    classes_: Array
    _several: bool
    """Whether each row has several labels"""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **Estimator._parameter_constraints,
        "class_weight": [None, dict, StrOptions({"balanced"})],
    }

    def __init__(
        self,
        model: Layer | Literal["auto"] = "auto",
        *,
        loss: Loss | str | None = None,
        optimizer: Optimizer | str | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        members: int | None = None,
        early_stopping: bool | int | EarlyStopping = False,
        validation_fraction: float = 0.1,
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        scale: Literal["standard", "minmax", "robust"] | None = "standard",
        categorical: Literal["from_dtype"] | Sequence[str] | None = "from_dtype",
        dtype: Literal["float32", "float64"] | None = None,
        random_state: Any = None,
        warm_start: bool = False,
        callbacks: Sequence[Watcher] = (),
        verbose: bool | int = False,
    ) -> None:
        super().__init__(
            model,
            loss=loss,
            optimizer=optimizer,
            epochs=epochs,
            batch_size=batch_size,
            members=members,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            scale=scale,
            categorical=categorical,
            dtype=dtype,
            random_state=random_state,
            warm_start=warm_start,
            callbacks=callbacks,
            verbose=verbose,
        )
        self.class_weight = class_weight

    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on rows X, (rows, features) or a data frame, with labels y, (rows,), or 0 and 1, (rows, labels).

        Raises   ValueError for data that cannot be used
        """
        again = self.warm_start and hasattr(self, "run_")
        rows, several = self._checked(X, y, sample_weight, reset=not again)
        found = np.arange(rows.y.shape[1]) if several else np.unique(rows.y)
        if len(found) < 2 and not several:
            raise ValueError(
                f"{type(self).__name__} needs samples of 2 or more classes, got one class: {found.tolist()[0]!r}"
            )
        if again and (several != self._several or not np.array_equal(found, self.classes_)):
            raise ValueError(f"warm_start needs the classes of the first fit, {self.classes_}, got {found}")
        self.classes_, self._several = found, several
        return self._fit(rows, (X, y), again=again, partial=False)

    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train for one more epoch, on these rows. The first call needs all ``classes``, and fixes the scales."""
        again = hasattr(self, "run_")
        rows, several = self._checked(X, y, sample_weight, reset=not again)
        known: Any = None if classes is None else np.unique(classes)
        if not again:
            if known is None and not several:
                raise ValueError("classes must be passed on the first call to partial_fit.")
            self.classes_, self._several = np.arange(rows.y.shape[1]) if several else known, several
        elif known is not None and not np.array_equal(known, self.classes_):
            raise ValueError(f"expected the classes of the first call, {self.classes_}, got {classes}")
        if several != self._several or (several and rows.y.shape[1] != len(self.classes_)):
            form = f"{len(self.classes_)} labels for each row" if self._several else "one label for each row"
            raise ValueError(f"expected {form}, as in the first call, got y of shape {rows.y.shape}")
        unknown = [] if several else np.setdiff1d(rows.y, self.classes_).tolist()
        if unknown:
            raise ValueError(f"y has the label {unknown[0]!r}, which is not among the classes {self.classes_.tolist()}")
        return self._fit(rows, (X, y), again=again, partial=True)

    def _checked(self, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> tuple[Rows, bool]:
        """The rows with a weight, and whether each has several labels."""
        x = checked(self, X, reset=reset)
        target, several = labels(y, type(self).__name__)
        check_consistent_length(X, target)
        return Rows(x, target, weights(sample_weight, X, x)).weighing(), several

    def _fit(self, rows: Rows, given: tuple[Any, Any], *, again: bool, partial: bool) -> Self:
        if self._several:
            if self.class_weight is not None:
                raise ValueError("class_weight needs one label for each row; give sample_weight for several labels")
            return self._train(rows, given, outputs=len(self.classes_), several=True, again=again, partial=partial)
        at = np.searchsorted(self.classes_, rows.y)
        if self.class_weight is not None:
            present = np.unique(rows.y)
            each = compute_class_weight(self.class_weight, classes=present, y=rows.y, sample_weight=rows.weight)
            dtype = np.float64 if rows.weight is None else rows.weight.dtype
            rows = attrs.evolve(rows, factor=each[np.searchsorted(present, rows.y)].astype(dtype))
        return self._train(
            attrs.evolve(rows, y=at),
            given,
            outputs=len(self.classes_),
            classes=[str(name) for name in self.classes_.tolist()],
            again=again,
            partial=partial,
        )

    def _loss(self) -> Loss:
        """The loss of the run, or the one to train with."""
        if hasattr(self, "run_"):
            return self.run_.experiment.loss
        return SoftmaxCrossEntropy() if self.loss is None else as_loss(self.loss)

    def _default_loss(self, outputs: int, several: bool) -> Loss:
        return SigmoidCrossEntropy() if several or outputs == 1 else SoftmaxCrossEntropy()

    def _score(self, run: Run, rows: Rows) -> float:
        answer = label_of(run.experiment.loss, run.predict(readable(rows.x)))
        return float(accuracy_score(rows.y, answer, sample_weight=rows.weight))

    def _take_over(self, run: Run) -> None:
        loss, shape = run.experiment.loss, prepared_shape(run.preprocess)
        if not classifies(loss):
            raise ValueError(f"the run has a loss of numbers, {type(loss).__name__}; use FuncnetRegressor.from_run")
        units = run.experiment.model.out_shape(shape)[-1]
        self._several = run.classes is None and loss.independent and units > 1
        self.classes_ = np.arange(max(units, 2) if not self._several else units)
        if run.classes is not None:
            names = run.classes
            whole = all(name.removeprefix("-").isdecimal() and str(int(name)) == name for name in names)
            self.classes_ = np.array([int(name) for name in names] if whole else names)

    def predict(self, X: Any) -> Array:
        """The likeliest class of each row, (rows,), or each of its labels as 0 or 1, (rows, labels)."""
        answer = self._answer(X)
        found = label_of(self.run_.experiment.loss, answer)
        chosen: Array = found if self._several else self.classes_[found]
        return chosen

    @available_if(_gives_probabilities)
    def predict_proba(self, X: Any) -> Array:
        """The probability of each class, (rows, classes), or of each label, (rows, labels).

        Raises   AttributeError for a loss of scores, such as Hinge; use ``decision_function``, or calibrate it with
                 CalibratedClassifierCV
        """
        answer = self._answer(X)
        return proba_of(self.run_.experiment.loss, answer)

    def decision_function(self, X: Any) -> Array:
        """Scores above 0 for what is likelier than not: of the second of two classes, (rows,), or of each label,
        (rows, labels), the logarithm of p / (1 - p); with more classes log p, (rows, classes). For a loss of scores,
        such as Hinge, they are its scores, of two classes with two units their difference.
        """
        if not self._loss().probabilities:
            scores = self._answer(X)
            if self._several or len(self.classes_) > 2:
                return scores
            scores = scores.reshape(len(scores), -1)
            return scores[:, -1] - scores[:, 0] if scores.shape[1] == 2 else scores[:, 0]
        p = self.predict_proba(X)
        log = np.log(np.maximum(p, np.finfo(p.dtype).tiny))
        if self._several:
            return log - np.log(np.maximum(1.0 - p, np.finfo(p.dtype).tiny))
        return log[:, 1] - log[:, 0] if p.shape[1] == 2 else log

    @available_if(_gives_probabilities)
    def predict_log_proba(self, X: Any) -> Array:
        """The logarithm of ``predict_proba``."""
        with np.errstate(divide="ignore"):
            logarithm: Array = np.log(self.predict_proba(X))
        return logarithm

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.input_tags.sparse = tags.input_tags.allow_nan = True
        return tags
