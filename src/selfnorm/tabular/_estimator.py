# scikit-learn has no annotations; what is inferred from its defaults is too narrow.
# pyright: reportArgumentType=false
"""What both estimators are: parameters, tables in, training, folders."""

import warnings
from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
import pyarrow as pa
from sklearn.base import BaseEstimator
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.validation import check_is_fitted

from selfnorm.errors import ArgumentError, ModelFolderError, SelfNormWarning
from selfnorm.nn import Shape
from selfnorm.nn._widths import Weights
from selfnorm.recording import Observation
from selfnorm.tabular._about import (
    history_of,
    layers_of,
    parameter_from,
    parameters_of,
    plain,
)
from selfnorm.tabular._callbacks import FRAMES, CallbackSupport, Told
from selfnorm.tabular._chosen_columns import chosen_columns
from selfnorm.tabular._fit import Prepared, fit_prepared, prepare
from selfnorm.tabular._fit_checkpoint import fit_checkpoint
from selfnorm.tabular._given import check_dense, table_of
from selfnorm.tabular._increments import Increments
from selfnorm.tabular._model import TabularModel, fitted_attributes
from selfnorm.tabular._scoring import Scoring
from selfnorm.tabular._settings import Preset, Settings, Task
from selfnorm.tabular._source import Source, check_known
from selfnorm.tabular._storage import load_model, save_model
from selfnorm.tabular._target_columns import Columns, as_learned, with_classes
from selfnorm.tabular._together import group_labels
from selfnorm.tabular._weights import counting, row_weights
from selfnorm.tabular.encoding._several import Several
from selfnorm.tabular.encoding._target import Prediction
from selfnorm.tabular.explaining._understood import doubts
from selfnorm.training import Checkpoint, History, Progress
from selfnorm.training._progress import SILENT, Lines


class Estimator(CallbackSupport, BaseEstimator, metaclass=ABCMeta):
    """What the two estimators share."""

    _task: ClassVar[Task]
    n_features_in_: int
    model_: TabularModel
    feature_names_in_: np.ndarray

    def __init__(
        self,
        *,
        preset: Preset = Settings.preset,
        depth: int | None = Settings.depth,
        width: int | None = Settings.width,
        shape: Shape = Settings.shape,
        dropout: float | None = Settings.dropout,
        weights: Weights | None = Settings.weights,
        n_estimators: int | None = Settings.n_estimators,
        infinite: bool | None = Settings.infinite,
        epochs: int | None = Settings.epochs,
        patience: int = Settings.patience,
        time_limit: float | None = Settings.time_limit,
        batch_size: int | Literal["auto"] = "auto",
        learning_rate: float | None = Settings.learning_rate,
        weight_decay: float = Settings.weight_decay,
        validation: float = Settings.validation,
        categories: Collection[str | int] | Literal["from_dtype"] | None = None,
        ignore: Collection[str | int] | None = None,
        missing: Collection[str] | None = None,
        device: str = Settings.device,
        scoring: str | Callable[..., float] | None = None,
        warm_start: bool = False,
        verbose: int = 0,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.preset: Preset = preset
        self.depth = depth
        self.width = width
        self.shape = shape
        self.dropout = dropout
        self.weights = weights
        self.n_estimators = n_estimators
        self.infinite = infinite
        self.epochs = epochs
        self.patience = patience
        self.time_limit = time_limit
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.validation = validation
        self.categories = categories
        self.ignore = ignore
        self.missing = missing
        self.device = device
        self.scoring = scoring
        self.warm_start = warm_start
        self.verbose = verbose
        self.random_state = random_state

    @abstractmethod
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on a table."""

    @abstractmethod
    def _columns(self, y: Any, name: str) -> Columns:
        """The target, checked: a column, or several."""

    @abstractmethod
    def predict(self, X: Any) -> np.ndarray:
        """Predict every row of a table."""

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        validation: tuple[Any, Any, Any],
        groups: Any,
        progress: Progress,
        checkpoint: Checkpoint | str | Path | None,
    ) -> None:
        if y is None:
            raise ArgumentError(
                f"{type(self).__name__} requires y to be passed, but the target y is None. Call "
                "fit(X, y)."
            )
        if progress is SILENT:
            progress = Lines(+self.verbose)  # True is every epoch
        known = self.model_ if self.warm_start and hasattr(self, "model_") else None
        given = self._source(X, y, sample_weight)
        given = replace(given, together=group_labels(groups, len(given.values)))
        learned = given.counting().values
        given = self._balanced(given, learned)
        if (apart := self._validation(validation, given.several)) is not None:
            apart = self._balanced(apart, learned).counting()
        settings, ready = self._ready(given.counting(), apart, known)
        for note in doubts(ready, shown=False, copies=False):
            warnings.warn(note, SelfNormWarning, stacklevel=FRAMES)
        told = None
        if self._has_callbacks:
            rows = {"X": X, "y": y}
            told = progress = Told(self, progress, ready, settings, rows, fitted_attributes)
        with fit_checkpoint(checkpoint) as kept:
            kept.begin(ready, settings)
            result = fit_prepared(ready, settings, progress, kept.section("fit"), known)
            kept.end(interrupted=result.history.stop == "interrupted")
        self._take(result.model, result.history, result.before, result.after)
        for name in ("oof_prediction_", "_increments"):  # of an earlier fit
            self.__dict__.pop(name, None)
        if result.told is not None:
            self.oof_prediction_ = self._told(given, result.told)
        if told is not None:
            told.end(fitted_attributes(self.model_))
        if self.history_.stop == "interrupted" and not (told and told.stopped):
            warnings.warn("Training was stopped by Ctrl-C.", SelfNormWarning, stacklevel=FRAMES)

    def _ready(
        self, source: Source, apart: Source | None, known: TabularModel | None
    ) -> tuple[Settings, Prepared]:
        """The rows that count made ready; of a model that goes on as it knows them."""
        settings, classes = self._settings(), self._task == "classification"
        if len(source.values) < 2:
            raise ArgumentError(
                "Training needs two rows or more that count; n_samples = "
                f"{len(source.values)}. Add rows."
            )
        if known is not None:  # of this seed each network leaves out the same rows
            check_known(source, known.target)
            settings = settings.continued(known.architectures)
            settings = replace(settings, seed=known.about["training"]["seed"])
        elif classes and source.several is None and len(np.unique(source.values)) < 2:
            raise ArgumentError(
                "A classifier needs two classes or more; y holds one class, "
                f"{source.values.tolist()[0]!r}. Add rows of another class."
            )
        ready = prepare(source, settings, apart, known)
        if self.scoring is None:
            return settings, ready
        return settings, replace(ready, scoring=Scoring.of(self.scoring, self, ready.target))

    def _partial_fit(self, X: Any, y: Any, sample_weight: Any, classes: Any = None) -> None:
        going = cast("Increments | None", getattr(self, "_increments", None))
        first = going is None and not hasattr(self, "model_")
        check_dense(X, "partial_fit", "fit it on all rows at once")
        source = self._source(X, y, sample_weight, reset=first).counting()
        if first:
            settings = replace(self._settings(), validation=0.0, infinite=False)
            ready = prepare(source, settings)
            for note in doubts(ready, shown=False, copies=False):
                warnings.warn(note, SelfNormWarning, stacklevel=3)
            target = ready.target if classes is None else with_classes(source, classes)
            going = Increments.start(ready.encoder, target, settings, len(source.values))
        elif going is None:
            going = Increments.resumed(self.model_, self._settings())
        going.learn(source)
        self.__dict__.pop("oof_prediction_", None)
        self._take(going.model, going.history, going.before, going.after)
        self._increments = going

    def __getstate__(self) -> Any:
        """What is pickled: optimizers are not, so `partial_fit` goes on from the weights."""
        state = cast("dict[str, Any]", super().__getstate__())
        return {name: value for name, value in state.items() if name != "_increments"}

    def _source(
        self, X: Any, y: Any, weights: Any, *, of: str = "", reset: bool | None = None
    ) -> Source:
        """The rows as given; `of` ends the names of those that are not to be learned from."""
        table = self._table(X, reset=not of if reset is None else reset)
        columns = self._columns(y, f"y{of}")
        values, known = columns.values, columns.known
        check_consistent_length(X, values)
        if weights is not None:
            weights = row_weights(weights, len(values), f"sample_weight{of}")
        if known is not None:
            weights = known if weights is None else weights * known
        return Source(table, values, "y", self._task, 0, weights, several=columns.several)

    def _validation(self, given: tuple[Any, Any, Any], several: Several | None) -> Source | None:
        """The rows to validate with, whose target is as that of the others; None if none came."""
        X, y, weights = given
        if X is None and y is None and weights is None:
            return None
        if X is None or y is None:
            raise ArgumentError(
                "Rows to validate with are X_val and y_val together; "
                f"{'X_val' if X is None else 'y_val'} is None. Pass both, or none."
            )
        found = self._source(X, y, weights, of="_val")
        return replace(
            found, values=as_learned(found.values, found.several, several, "y_val"), several=several
        )

    def _balanced(self, source: Source, learned: np.ndarray) -> Source:  # noqa: ARG002 - for all
        """The rows, which may count more by their class among those to learn from."""
        return source

    def _told(self, given: Source, told: Prediction) -> np.ndarray:
        """What each row is told by who did not learn from it: of those that do not count, all."""
        found = told.numbers
        if len(found) == len(given.values) or given.weights is None:
            return found
        every = np.empty((len(given.values), *found.shape[1:]))
        counts = np.isin(np.arange(len(every)), counting(given.weights))
        every[counts] = found
        every[~counts] = self.model_.predict(given.table.filter(pa.array(~counts))).numbers
        return every

    def _take(
        self,
        model: TabularModel,
        history: History,
        before: tuple[Observation, ...],
        after: tuple[Observation, ...],
    ) -> None:
        """What an estimator knows once it is fitted."""
        for name, value in fitted_attributes(model).items():
            setattr(self, name, value)
        self.history_ = history
        self.layers_before_ = before
        self.layers_after_ = after
        self.n_iter_ = len(history.epochs)

    def save(self, folder: str | Path, *, force: bool = False, rows: bool = True) -> None:
        """Write the fitted estimator as a model folder, which the command line can use too.

        The parameters are recorded, but a `random_state` that is a generator, or `scoring` that is
        a function.

        Args:
            folder: Where to; it is made if needed. A path that ends in `.snn` is one file.
            force: Write over a model that is there.
            rows: Whether networks of infinite width stay, which hold the encoded training rows;
                `selfnorm.tabular.TabularModel.without_rows` tells of the others.

        Raises:
            ModelFolderError: The folder cannot be written to, or is not empty.
            sklearn.exceptions.NotFittedError: There is nothing to save yet.
        """
        check_is_fitted(self, "model_")
        names = getattr(self, "feature_names_in_", None)
        own = {
            "parameters": {name: plain(value) for name, value in self.get_params().items()},
            "named": names is not None,
        }
        model = replace(self.model_, about={**self.model_.about, "estimator": own})
        save_model(model, folder, force=force, rows=rows)

    def to_onnx(self, path: str | Path, X: Any = None, *, force: bool = False) -> None:
        """Write the fitted model as one ONNX file, its encoding inside: served without Python.

        As `selfnorm.tabular.TabularModel.to_onnx`, which says what goes in and what comes out.

        Args:
            path: The file, which ends in `.onnx`.
            X: Rows to compare on, where onnxruntime is installed; None makes some.
            force: Write over a file that is there.

        Raises:
            MissingPackageError: onnx is not installed.
            ModelFolderError: The file cannot be written.
            SelfNormError: Its answers are further than 1e-5 from the model's.
            sklearn.exceptions.NotFittedError: There is nothing to write yet.
        """
        check_is_fitted(self, "model_")
        self.model_.to_onnx(path, None if X is None else self._table(X, reset=False), force=force)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """A fitted estimator from a model folder, of `save` or of `selfnorm fit`; no code is run.

        Raises:
            ModelFolderError: The folder is missing or damaged.
            ArgumentError: It holds a model of the other task.
        """
        model = load_model(folder)
        if model.target.task != cls._task:
            raise ArgumentError(
                f"{cls.__name__} loads models of {cls._task}; '{folder}' holds one of "
                f"{model.target.task}. Use the other estimator."
            )
        try:
            return cls._of(model)
        except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
            raise ModelFolderError(
                f"An estimator is restored from what its folder tells of its training; "
                f"'{folder}' does not tell ({type(error).__name__}: {error}). Use "
                "selfnorm.tabular.load_model, or fit it again."
            ) from error

    @classmethod
    def _of(cls, model: TabularModel) -> Self:
        """The fitted estimator of a model, by what is recorded about it."""
        own, columns = model.about.get("estimator"), model.about["columns"]
        saved = own["parameters"] if own else parameters_of(model)
        estimator = cls(**{name: parameter_from(value) for name, value in saved.items()})
        sparse = model.encoder.sparse
        estimator.n_features_in_ = len(columns) if sparse is None else sparse.width
        if own is None or own["named"]:
            estimator.feature_names_in_ = np.asarray(columns, dtype=object)
        before, after = (layers_of(model.about, when) for when in ("before", "after"))
        estimator._take(model, history_of(model.about), before, after)
        return estimator

    def _predict(self, X: Any) -> Prediction:
        table = self._read(X)
        return self.model_.predict(table)

    def _read(self, X: Any) -> pa.Table:
        """X as a table to predict, with a warning of what training had not."""
        check_is_fitted(self, "model_")
        table = self._table(X, reset=False)
        named, learned = hasattr(self, "feature_names_in_"), self._learned()
        if not (named and hasattr(X, "columns")) and table.num_columns == len(learned):
            table = table.rename_columns(learned)  # their order tells, as in all of scikit-learn
        for note in self.model_.encoder.notes(table):
            warnings.warn(note, SelfNormWarning, stacklevel=4)
        return table

    def _learned(self) -> list[str]:
        """Of the columns it learned from, of which a model that is being fitted has not told."""
        return self.model_.about.get("columns") or self._names

    def _table(self, X: Any, *, reset: bool) -> pa.Table:
        """X as a table; sets, or checks against, the number and names of its columns."""
        return table_of(self, X, reset=reset)

    @property
    def _names(self) -> list[str]:
        """Of the columns of X."""
        named = getattr(self, "feature_names_in_", None)
        return [f"x{at}" for at in range(self.n_features_in_)] if named is None else list(named)

    def _settings(self) -> Settings:
        own = {n: one for n, one in vars(self).items() if n in Settings.__dataclass_fields__}
        seed = int(check_random_state(self.random_state).randint(2**31))
        changed = {
            "batch_size": None if self.batch_size == "auto" else self.batch_size,
            "categories": chosen_columns("categories", self.categories, self._names),
            "ignore": chosen_columns("ignore", self.ignore, self._names),
            "missing": () if self.missing is None else self.missing,
        }
        return Settings(**own | changed, test=0.0, seed=seed)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags
