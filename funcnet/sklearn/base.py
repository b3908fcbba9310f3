"""The base of the estimators: their parameters, their training, and the fitted network."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.callback import CallbackSupportMixin
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from funcnet.codegen.source import source
from funcnet.combinators.ensemble import Ensemble
from funcnet.data.preprocess import Preprocess, prepared_shape
from funcnet.experiments.experiment import Experiment, Training
from funcnet.experiments.result import Run
from funcnet.experiments.stored import load_run
from funcnet.inputs import as_loss, as_optimizer
from funcnet.key import Array, Key
from funcnet.layers.base import Layer, reach
from funcnet.losses.base import Loss
from funcnet.losses.combined import EachMember
from funcnet.networks.tabular import MEMBERS, STEADY, auto, plain
from funcnet.optim.base import Optimizer
from funcnet.optim.schedules import bind
from funcnet.shapes import Shape
from funcnet.sklearn.division import divided, undivided
from funcnet.sklearn.folder import write_run
from funcnet.sklearn.inputs import checked, readable
from funcnet.sklearn.rows import Rows
from funcnet.sklearn.scaling import fitted, source_of
from funcnet.sklearn.suits import check_loss, target_scale, with_head
from funcnet.sklearn.watching import Hooks, Scores
from funcnet.spec.base import evolve
from funcnet.training.callbacks import Callback, EarlyStopping, Row, Watcher
from funcnet.training.fit import fit
from funcnet.training.state import TrainState, swap, train_state

HELD_OUT = 0.15
"""The fraction of the rows by which the number of epochs is found"""


class Estimator(CallbackSupportMixin, BaseEstimator, ABC):
    """What the classifier and the regressor share. Fitted, it holds one ``Run``: a spec, weights, and a history."""

    task: ClassVar[Any]
    scaled_targets: ClassVar[bool] = False
    run_: Run
    """The trained network with its history; the estimator keeps no compiled program"""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "model": [StrOptions({"auto"}), Layer],
        "loss": [None, str, Loss],
        "optimizer": [None, str, Optimizer],
        "epochs": [None, Interval(Integral, 1, None, closed="left")],
        "batch_size": [None, Interval(Integral, 1, None, closed="left")],
        "members": [None, Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean", Interval(Integral, 1, None, closed="left"), EarlyStopping],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "scale": [None, StrOptions({"standard", "minmax", "robust"})],
        "categorical": [None, StrOptions({"from_dtype"}), "array-like"],
        "dtype": [None, StrOptions({"float32", "float64"})],
        "random_state": ["random_state"],
        "warm_start": ["boolean"],
        "callbacks": ["array-like"],
        "verbose": ["verbose"],
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
        scale: Literal["standard", "minmax", "robust"] | None = "standard",
        categorical: Literal["from_dtype"] | Sequence[str] | None = "from_dtype",
        dtype: Literal["float32", "float64"] | None = None,
        random_state: Any = None,
        warm_start: bool = False,
        callbacks: Sequence[Watcher] = (),
        verbose: bool | int = False,
    ) -> None:
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.epochs = epochs
        self.batch_size = batch_size
        self.members = members
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.scale = scale
        self.categorical = categorical
        self.dtype = dtype
        self.random_state = random_state
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.verbose = verbose

    def set_params(self, **params: Any) -> Self:
        """Set parameters, as in scikit-learn; specs are set as a whole, since they are immutable.

        Raises   ValueError for a parameter that there is not, such as a field of a spec
        """
        for name in params:
            if name.startswith(("model__", "loss__", "optimizer__")):
                raise ValueError(
                    f"{name!r}: a field of a spec is not a parameter of {type(self).__name__}; set or search whole "
                    "specs, such as {'optimizer': [fn.optim.Adam(0.01), fn.optim.Adam(0.003)]}"
                )
        return cast(Self, super().set_params(**params))

    # ----- the fitted network -----------------------------------------------------------------------------------------

    @property
    def spec_(self) -> Experiment:
        """The whole training as a spec: data treatment, model, loss, optimizer, length."""
        return self._learnt().experiment

    @property
    def n_iter_(self) -> int:
        """The number of epochs so far."""
        return len(self._learnt().history)

    @property
    def loss_curve_(self) -> list[float]:
        """The mean training loss of each epoch."""
        return [row["loss"] for row in self._learnt().history]

    def _learnt(self) -> Run:
        if not hasattr(self, "run_"):
            raise AttributeError(f"this {type(self).__name__} is not fitted yet; call fit first")
        run: Run = self.run_
        return run

    def source(self) -> str:
        """The training step as one file of plain NumPy, with every gradient written out."""
        check_is_fitted(self)
        spec = self.spec_
        return source(spec.model, _in_shape(self.run_), loss=spec.loss, optimizer=spec.optimizer, dtype=spec.dtype)

    def to_run(self, folder: str | os.PathLike[str]) -> Run:
        """Write a run folder, for ``fn.load_run`` and ``funcnet predict``. The data is not in it.

        Raises   CheckpointError for a folder that is not empty
        """
        check_is_fitted(self)
        write_run(self.run_, folder)
        return self._learnt()

    @classmethod
    def from_run(cls, folder: str | os.PathLike[str]) -> Self:
        """A fitted estimator from a run folder.

        Raises   CheckpointError for a damaged folder; ValueError for a run of another task
        """
        run = load_run(folder)
        spec = run.experiment
        size = spec.training.batch_size
        made = cls(
            model=spec.model,
            loss=spec.loss,
            optimizer=spec.optimizer,
            epochs=spec.training.epochs,
            batch_size=None if size == "full" else size,
            scale=spec.data.scale,
            dtype=spec.dtype,
            random_state=spec.seed,
        )
        made._take_over(run)
        made.run_ = run
        columns = run.preprocess.get("columns")
        names = [] if columns is None else list(dict.fromkeys(one["name"] for one in columns))
        made.n_features_in_ = len(names) or int(np.prod(_in_shape(run)))
        if names:
            made.feature_names_in_ = np.array(names, object)
        return made

    @abstractmethod
    def _take_over(self, run: Run) -> None:
        """Set the fitted attributes of the task from a run."""

    def _answer(self, X: Any) -> Any:
        """What the loss's link gives for raw rows, in the units of the targets."""
        check_is_fitted(self)
        return self.run_.predict(readable(checked(self, X, reset=False)))

    # ----- training --------------------------------------------------------------------------------------------------

    def _train(
        self,
        rows: Rows,
        given: tuple[Any, Any],
        *,
        outputs: int,
        classes: Sequence[str] | None = None,
        several: bool = False,
        again: bool,
        partial: bool = False,
    ) -> Self:
        """Train on checked rows; ``several`` if outputs are labels that do not exclude each other.

        With ``again`` the last training goes on, with ``partial`` for one epoch. Callbacks see X and y as ``given``.
        """
        before: Run | None = self.run_ if again else None
        apart = None
        if self.early_stopping is not False and not partial:
            labels, fraction = self._strata(rows, several), self.validation_fraction
            reason = undivided(len(rows), labels, fraction, () if labels is None else self.classes_.tolist())
            if reason is not None:
                raise ValueError(reason)
            apart = divided(len(rows), labels, fraction, self.random_state)
        rows, held = (rows, None) if apart is None else (rows.take(apart[0]), rows.take(apart[1]))
        if before is None:
            dtype: Any = self.dtype or str(getattr(rows.x, "dtype", "float32"))
            scaled = target_scale(self.loss, self.scale, rows.y) if self.scaled_targets else None
            data = source_of(rows.x, self.scale, scaled)
            preprocess = fitted(data, rows.x, rows.y, rows.weight, classes)
            seed = self.random_state
            if not isinstance(seed, int | np.integer):
                seed = check_random_state(seed).randint(2**31 - 1)
            experiment = self._experiment(
                data, len(rows), prepared_shape(preprocess), outputs, several, dtype, partial, int(seed)
            )
            if self.epochs is None and apart is None and not partial:
                epochs = self._found_epochs(rows, several, experiment, preprocess)
                experiment = evolve(experiment, training=evolve(experiment.training, epochs=epochs))
        else:
            preprocess, experiment = before.preprocess, before.experiment
            training = evolve(experiment.training, epochs=self.epochs or self.n_iter_, calibrate=False)
            experiment = evolve(experiment, training=training)
            if partial and self.optimizer is None:
                experiment = evolve(experiment, optimizer=STEADY)
        if partial and bind(experiment.optimizer, 7) != experiment.optimizer:
            raise ValueError(
                f"{type(experiment.optimizer).__name__}: its schedule lasts as long as the training, and partial_fit "
                "has no end; give the schedule its total_steps, or a constant learning rate"
            )
        name, key = type(self).__name__, Key(experiment.seed).fold("train")
        train = rows.prepared(preprocess, experiment.dtype, name, training=True)
        start: Any = None if before is None else before.train_state
        if before is not None and start.opt_state and experiment.optimizer != before.experiment.optimizer:
            start = swap(start, experiment.optimizer)
        if start is None:
            in_shape = train.x.shape[1:]
            start = train_state(experiment.model, experiment.optimizer, key, in_shape, experiment.dtype)
        done = start.step if start.opt_state else 0
        if not start.opt_state and before is not None:
            start = (before.params, start.state)  # a run from its folder has no optimizer state
        earlier: list[Row] = [] if before is None else list(before.history)

        def reached(ts: TrainState, history: Sequence[Row] = (), stopped: str | None = None) -> Run:
            params = experiment.optimizer.eval_params(ts.params, ts.opt_state)
            return Run(ts, [*earlier, *history], {}, experiment, preprocess, params, stopped)

        epochs = 1 if partial else int(experiment.training.epochs or 1)
        size = min(int(experiment.training.batch_size), len(rows))
        scores: list[float] = []
        watchers: list[Any] = [*self.callbacks]
        if held is not None:
            watchers.append(Scores(lambda ts: self._score(reached(ts), held), scores))
        task, context = {"estimator": self, "X": given[0], "y": given[1]}, self._context(epochs)
        if context is not None:
            context.call_on_fit_task_begin(**task)
            watchers.append(Hooks(context, task, lambda ts: {"run_": reached(ts)}))
        part = None if held is None else held.prepared(preprocess, experiment.dtype, name, training=False)
        result = fit(
            experiment.model,
            train,
            loss=experiment.loss,
            optimizer=experiment.optimizer,
            steps=done + epochs * -(-len(rows) // size),
            batch_size=size,
            key=key,
            start=start,
            validation=part,
            early_stopping=None if part is None else experiment.training.early_stopping,
            callbacks=watchers,
            progress=bool(self.verbose),
        )
        self.run_ = reached(result.train_state, result.history, result.stopped)
        if part is not None:
            self.validation_scores_ = [*(getattr(self, "validation_scores_", ()) if again else ()), *scores]
        elif not again:
            self.__dict__.pop("validation_scores_", None)
        if context is not None:
            context.call_on_fit_task_end(**task, reconstruction_attributes={"run_": self.run_})
        return self

    def _found_epochs(self, rows: Rows, several: bool, experiment: Experiment, preprocess: Preprocess) -> int:
        """The epochs after which a part of the rows, held out from a first training, has its least loss.

        Few rows, many rows, and a model by the user need no search: the recipe has a number.
        """
        training = experiment.training
        stop = auto(len(rows), 1).early_stopping
        if stop is None or not isinstance(self.model, str):
            return int(training.epochs or 1)
        split = divided(len(rows), self._strata(rows, several), HELD_OUT, experiment.seed)
        train, held = (
            rows.take(part).prepared(preprocess, experiment.dtype, type(self).__name__, training=part is split[0])
            for part in split
        )
        found = fit(
            experiment.model,
            train,
            loss=experiment.loss,
            optimizer=experiment.optimizer,
            epochs=training.epochs,
            batch_size=min(int(training.batch_size), len(split[0])),
            key=Key(experiment.seed).fold("search"),
            validation=held,
            early_stopping=stop,
        )
        losses = [row["validation/loss"] for row in found.history]
        return 1 + int(np.argmin(np.nan_to_num(losses, nan=np.inf)))

    def _experiment(
        self,
        data: Any,
        rows: int,
        in_shape: Any,
        outputs: int,
        several: bool,
        dtype: Any,
        partial: bool,
        seed: int,
    ) -> Experiment:
        """The training as a spec: the recipe for tables, with what the parameters say instead."""
        loss = None if self.loss is None else as_loss(self.loss)
        if self.task == "classification" and outputs == 2 and not several and self._one_unit(loss, in_shape):
            outputs = 1
        loss = loss or self._default_loss(outputs, several)
        check_loss(loss, self, outputs, several)
        outputs = len(loss.outputs([""] * outputs))
        members = self.members or (MEMBERS if loss.additive else None)
        if isinstance(self.model, str):
            recipe = auto(rows, outputs, members)
        else:
            model = with_head(self.model, in_shape, outputs)
            recipe = plain(rows, model if self.members is None else Ensemble(model, int(self.members)))
        model = recipe.model
        if reach("", model, "out_shape", in_shape)[1:] == (outputs,) and not isinstance(loss, EachMember):
            loss = EachMember(loss)
        optimizer = as_optimizer(self.optimizer) if self.optimizer is not None else recipe.optimizer
        if partial and self.optimizer is None:
            optimizer = STEADY
        stop: Any = self.early_stopping
        if isinstance(stop, bool | int | np.integer):
            stop = EarlyStopping() if stop is True else EarlyStopping(patience=int(stop)) if stop else None
        return Experiment(
            seed=seed,
            dtype=dtype,
            data=data,
            model=model,
            loss=loss,
            optimizer=optimizer,
            training=Training(
                epochs=int(self.epochs or recipe.epochs),
                batch_size=int(self.batch_size or recipe.batch_size),
                early_stopping=stop,
                callbacks=tuple(one for one in self.callbacks if isinstance(one, Callback)),
            ),
        )

    def _one_unit(self, loss: Loss | None, in_shape: Shape) -> bool:
        """Whether two classes are one probability: for a loss of probabilities, or a model of one unit."""
        if loss is not None:
            return loss.independent
        return isinstance(self.model, Layer) and reach("", self.model, "out_shape", in_shape) == (1,)

    @abstractmethod
    def _default_loss(self, outputs: int, several: bool) -> Loss:
        """The loss of the task if none is given."""

    @abstractmethod
    def _score(self, run: Run, rows: Rows) -> float:
        """The score of some rows."""

    def _strata(self, rows: Rows, several: bool) -> Array | None:
        """What a division of the rows is stratified by."""
        return rows.y if self.task == "classification" and not several else None

    def _context(self, epochs: int) -> Any:
        """The context of scikit-learn's callbacks, if there are any."""
        if not getattr(self, "_skl_callbacks", None) and not hasattr(self, "_parent_callback_ctx"):
            return None
        return self._init_callback_context(max_subtasks=epochs)


def _in_shape(run: Run) -> Shape:
    """The shape of one input of a run."""
    shape = prepared_shape(run.preprocess)
    assert shape is not None
    return shape
