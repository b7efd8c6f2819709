# scikit-learn has no annotations; what is inferred from its defaults is too narrow.
# pyright: reportArgumentType=false
"""Estimators that behave like scikit-learn's own, over deep self-normalizing networks."""

import warnings
from abc import ABCMeta, abstractmethod
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
import pyarrow as pa
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_array, check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from selfnorm.errors import ArgumentError, ModelFolderError, SelfNormWarning
from selfnorm.nn import Shape
from selfnorm.nn._widths import Weights
from selfnorm.recording import Observation
from selfnorm.tabular._about import history_of, layers_of, parameters_of, plain
from selfnorm.tabular._fit import fit_prepared, prepare
from selfnorm.tabular._model import TabularModel
from selfnorm.tabular._settings import Settings, Task
from selfnorm.tabular._source import Source
from selfnorm.tabular._storage import load_model, save_model
from selfnorm.tabular.data._table import as_table
from selfnorm.tabular.encoding._target import ClassTarget, Prediction
from selfnorm.training import History, Progress
from selfnorm.training._progress import SILENT


class _Estimator(BaseEstimator, metaclass=ABCMeta):
    """What the two estimators share: parameters, tables in, training."""

    _task: ClassVar[Task]
    n_features_in_: int
    feature_names_in_: np.ndarray

    def __init__(
        self,
        *,
        depth: int | None = Settings.depth,
        width: int | None = Settings.width,
        shape: Shape = Settings.shape,
        dropout: float | None = Settings.dropout,
        weights: Weights | None = Settings.weights,
        n_estimators: int = Settings.n_estimators,
        infinite: bool = Settings.infinite,
        epochs: int | None = Settings.epochs,
        patience: int = Settings.patience,
        time_limit: float | None = Settings.time_limit,
        batch_size: int | Literal["auto"] = "auto",
        learning_rate: float | None = Settings.learning_rate,
        weight_decay: float = Settings.weight_decay,
        validation: float = Settings.validation,
        categories: Collection[str] | None = None,
        ignore: Collection[str] | None = None,
        device: str = Settings.device,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
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
        self.device = device
        self.random_state = random_state

    @abstractmethod
    def fit(self, X: Any, y: Any) -> Self:
        """Train on a table."""

    @abstractmethod
    def _values(self, y: Any) -> np.ndarray:
        """The target, checked: shape (rows,)."""

    @abstractmethod
    def predict(self, X: Any) -> np.ndarray:
        """Predict every row of a table."""

    def _fit(self, X: Any, y: Any, progress: Progress) -> None:
        if y is None:
            raise ArgumentError(
                f"{type(self).__name__} requires y to be passed, but the target y is None. Call "
                "fit(X, y)."
            )
        table = self._table(X, reset=True)
        values = self._values(y)
        check_consistent_length(X, values)
        if len(values) < 2:
            raise ArgumentError("Training needs two rows or more; n_samples = 1. Add rows.")
        settings = self._settings()
        ready = prepare(Source(table, values, "y", self._task, dropped=0), settings)
        result = fit_prepared(ready, settings, progress)
        self._take(result.model, result.history, result.before, result.after)
        if (told := result.told) is not None:
            classes = told.probabilities is not None
            self.oof_prediction_ = told.probabilities if classes else told.values
        if self.history_.stop == "interrupted":
            warnings.warn("Training was stopped by Ctrl-C.", SelfNormWarning, stacklevel=3)

    def _take(
        self,
        model: TabularModel,
        history: History,
        before: tuple[Observation, ...],
        after: tuple[Observation, ...],
    ) -> None:
        """What an estimator knows once it is fitted."""
        self.model_ = model
        self.history_ = history
        self.layers_before_ = before
        self.layers_after_ = after
        self.n_iter_ = len(history.epochs)
        if isinstance(model.target, ClassTarget):
            self.classes_ = np.asarray(model.target.classes)

    def save(self, folder: str | Path, *, force: bool = False) -> None:
        """Write the fitted estimator as a model folder, which the command line can use too.

        The parameters are recorded, but a `random_state` that is a generator.

        Args:
            folder: Where to; it is made if needed.
            force: Write over a model that is there.

        Raises:
            ModelFolderError: The folder cannot be written to, or is not empty.
            sklearn.exceptions.NotFittedError: There is nothing to save yet.
        """
        check_is_fitted(self)
        names = getattr(self, "feature_names_in_", None)
        own = {
            "parameters": {name: plain(value) for name, value in self.get_params().items()},
            "named": names is not None,
        }
        model = replace(self.model_, about={**self.model_.about, "estimator": own})
        save_model(model, folder, force=force)

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
        estimator = cls(**(own["parameters"] if own else parameters_of(model)))
        estimator.n_features_in_ = len(columns)
        if own is None or own["named"]:
            estimator.feature_names_in_ = np.asarray(columns, dtype=object)
        before, after = (layers_of(model.about, when) for when in ("before", "after"))
        estimator._take(model, history_of(model.about), before, after)
        return estimator

    def _predict(self, X: Any) -> Prediction:
        check_is_fitted(self)
        table = self._table(X, reset=False)
        for note in self.model_.encoder.notes(table):
            warnings.warn(note, SelfNormWarning, stacklevel=3)
        return self.model_.predict(table)

    def _table(self, X: Any, *, reset: bool) -> pa.Table:
        """X as a table; sets, or checks against, the number and names of its columns."""
        if hasattr(X, "__arrow_c_stream__") or hasattr(X, "iloc"):
            validate_data(self, X, skip_check_array=True, reset=reset)
            return as_table(X)
        array = check_array(X, dtype=None, ensure_all_finite="allow-nan", estimator=self)
        validate_data(self, array, skip_check_array=True, reset=reset)
        return as_table(array)

    def _settings(self) -> Settings:
        return Settings(
            depth=self.depth,
            width=self.width,
            shape=self.shape,
            dropout=self.dropout,
            weights=self.weights,
            n_estimators=self.n_estimators,
            infinite=self.infinite,
            epochs=self.epochs,
            patience=self.patience,
            time_limit=self.time_limit,
            batch_size=None if self.batch_size == "auto" else self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            validation=self.validation,
            test=0.0,
            categories=self.categories or (),
            ignore=self.ignore or (),
            device=self.device,
            seed=int(check_random_state(self.random_state).randint(2**31)),
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags


class SelfNormClassifier(ClassifierMixin, _Estimator):
    """Self-normalizing networks (SELU, LeCun-normal, alpha dropout) that classify.

    Tables are pandas, polars or Arrow tables or arrays of shape (rows, columns). Numbers are
    scaled by quartiles, bent so that no outlier outweighs the rest, standardized, and read in eight
    pieces besides; text and categorical columns become one standardized feature a category; missing
    values need no care.

    Eight networks are trained as one, each without a part of the rows. What is said of each row by
    those that left it out stops the training, weighs the networks against those of infinite width,
    which join in two forms up to 5,000 rows, and calibrates: all rows serve.

    Args:
        depth: Number of hidden layers; None for 2, or 3 from 1,000 rows.
        width: Units of a hidden layer (of the first one, if `shape` is `conic`); None for 64, or
            128 from 1,000 rows.
        shape: `rectangular` or `conic` (widths fall geometrically toward the outputs).
        dropout: Rate of alpha dropout; None for .1, .05 from 1,000 rows, and .02 in more than 4
            layers: near .0232 gradients keep their size at any depth.
        weights: `lecun`, LeCun-normal at the start; or `orthogonal`, and kept orthogonal in
            training, with SELU shaped for the depth. None for `lecun` from 1,000 rows in up to 4
            layers, else `orthogonal`.
        n_estimators: Networks that are trained as one and averaged. A single one is stopped by rows
            held out, and joined by none of infinite width.
        infinite: Whether infinitely wide networks join; the model then holds the encoded training
            rows.
        epochs: Most passes over the training rows; None for 600 mini-batches, 30 passes or more.
        patience: Epochs without a better validation loss before training stops.
        time_limit: Seconds after which no epoch begins; None for no limit.
        batch_size: Rows of a mini-batch; `auto` or None takes a 32nd of the rows, from 16 to 256.
        learning_rate: AdamW's step size at the start; it falls to 0 along a half cosine. None for
            .004, .008 from 1,000 rows, and .0005 in more than 4 layers.
        weight_decay: AdamW's decoupled weight decay, of weights and biases.
        validation: Share of rows held out to choose a single network's best epoch; 0 for none. Of
            several it says only whether they leave out rows.
        categories: Names of columns to take as categories although they hold numbers.
        ignore: Names of columns to leave out.
        device: `auto` (GPU if there is one), or a torch device such as `cpu`.
        random_state: Seed of all that is random: same seed, machine and threads, same model.

    Attributes:
        classes_: The classes, sorted.
        model_: The trained model: encoder, target, network (`selfnorm.nn.MLP`; of several an
            `Ensemble` of one with members), and how they are blended.
        oof_prediction_: What each training row is told by networks that did not learn from it,
            (rows, classes); only after `fit`, of several networks that leave out rows.
        history_: The epochs, the best of them, and why training stopped.
        layers_before_, layers_after_: Mean and variance of every hidden layer's activations on
            training rows, before and after training.
        n_iter_: Number of epochs trained.
        n_features_in_, feature_names_in_: As scikit-learn defines them.

    Source: Klambauer et al. 2017; the cross-entropy is minimized. Infinite width: Jacot et al. 2018
    (arXiv 1806.07572); weights: Caruana et al. 2004; calibration: Guo et al. 2017 (1706.04599).

    Example:
        >>> from sklearn.datasets import load_iris
        >>> X, y = load_iris(return_X_y=True)
        >>> model = SelfNormClassifier(random_state=0).fit(X, y)
        >>> bool(model.score(X, y) > 0.9)
        True
    """

    _task: ClassVar[Task] = "classification"

    def fit(self, X: Any, y: Any, *, progress: Progress = SILENT) -> Self:
        """Train on a table X of shape (rows, columns) and class labels y of shape (rows,)."""
        self._fit(X, y, progress)
        return self

    def _values(self, y: Any) -> np.ndarray:
        values = column_or_1d(y, warn=True)
        check_classification_targets(values)
        if len(np.unique(values)) < 2:
            raise ArgumentError(
                f"A classifier needs two classes or more; y holds one class, {values[0]!r}. Add "
                "rows of another class."
            )
        return values

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of every row, shape (rows,)."""
        return self._predict(X).values

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of every class, shape (rows, classes), in the order of `classes_`."""
        return cast("np.ndarray", self._predict(X).probabilities)


class SelfNormRegressor(RegressorMixin, _Estimator):
    """Self-normalizing networks (SELU, LeCun-normal, alpha dropout) for numbers.

    Tables are pandas, polars or Arrow tables or arrays of shape (rows, columns). Numbers are
    scaled by quartiles, bent so that no outlier outweighs the rest, standardized, and read in eight
    pieces besides; text and categorical columns become one standardized feature a category; missing
    values need no care.

    Eight networks are trained as one, each without a part of the rows. What is said of each row by
    those that left it out stops the training, weighs the networks against those of infinite width,
    which join in two forms up to 5,000 rows, and calibrates: all rows serve.

    Args:
        depth: Number of hidden layers; None for 2, or 3 from 1,000 rows.
        width: Units of a hidden layer (of the first one, if `shape` is `conic`); None for 64, or
            128 from 1,000 rows.
        shape: `rectangular` or `conic` (widths fall geometrically toward the outputs).
        dropout: Rate of alpha dropout; None for .1, .05 from 1,000 rows, and .02 in more than 4
            layers: near .0232 gradients keep their size at any depth.
        weights: `lecun`, LeCun-normal at the start; or `orthogonal`, and kept orthogonal in
            training, with SELU shaped for the depth. None for `lecun` from 1,000 rows in up to 4
            layers, else `orthogonal`.
        n_estimators: Networks that are trained as one and averaged. A single one is stopped by rows
            held out, and joined by none of infinite width.
        infinite: Whether infinitely wide networks join; the model then holds the encoded training
            rows.
        epochs: Most passes over the training rows; None for 600 mini-batches, 30 passes or more.
        patience: Epochs without a better validation loss before training stops.
        time_limit: Seconds after which no epoch begins; None for no limit.
        batch_size: Rows of a mini-batch; `auto` or None takes a 32nd of the rows, from 16 to 256.
        learning_rate: AdamW's step size at the start; it falls to 0 along a half cosine. None for
            .004, .008 from 1,000 rows, and .0005 in more than 4 layers.
        weight_decay: AdamW's decoupled weight decay, of weights and biases.
        validation: Share of rows held out to choose a single network's best epoch; 0 for none. Of
            several it says only whether they leave out rows.
        categories: Names of columns to take as categories although they hold numbers.
        ignore: Names of columns to leave out.
        device: `auto` (GPU if there is one), or a torch device such as `cpu`.
        random_state: Seed of all that is random: same seed, machine and threads, same model.

    Attributes:
        model_: The trained model: encoder, target, network (`selfnorm.nn.MLP`; of several an
            `Ensemble` of one with members), and how they are blended.
        oof_prediction_: What each training row is told by networks that did not learn from it,
            (rows,); only after `fit`, of several networks that leave out rows.
        history_: The epochs, the best of them, and why training stopped.
        layers_before_, layers_after_: Mean and variance of every hidden layer's activations on
            training rows, before and after training.
        n_iter_: Number of epochs trained.
        n_features_in_, feature_names_in_: As scikit-learn defines them.

    Source: Klambauer et al. 2017; the squared error of the standardized target is minimized.
    Infinite width: Jacot et al. 2018 (arXiv 1806.07572); weights: Caruana et al. 2004.

    Example:
        >>> from sklearn.datasets import load_diabetes
        >>> X, y = load_diabetes(return_X_y=True)
        >>> model = SelfNormRegressor(random_state=0).fit(X, y)
        >>> bool(model.score(X, y) > 0.4)
        True
    """

    _task: ClassVar[Task] = "regression"

    def fit(self, X: Any, y: Any, *, progress: Progress = SILENT) -> Self:
        """Train on a table X of shape (rows, columns) and numbers y of shape (rows,)."""
        self._fit(X, y, progress)
        return self

    def _values(self, y: Any) -> np.ndarray:
        values = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
        return column_or_1d(values, warn=True)

    def predict(self, X: Any) -> np.ndarray:
        """The number of every row, shape (rows,)."""
        return self._predict(X).values
