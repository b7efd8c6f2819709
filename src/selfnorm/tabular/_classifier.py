# scikit-learn has no annotations; what is inferred from its defaults is too narrow.
# pyright: reportArgumentType=false
"""A classifier that behaves like scikit-learn's own, over deep self-normalizing networks."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, cast, overload

import numpy as np
from sklearn.base import ClassifierMixin

from selfnorm.errors import ArgumentError
from selfnorm.nn import Shape
from selfnorm.nn._widths import Weights
from selfnorm.tabular._callbacks import with_callbacks
from selfnorm.tabular._estimator import Estimator
from selfnorm.tabular._settings import Preset, Settings, Task
from selfnorm.tabular._source import Source
from selfnorm.tabular._target_columns import Columns, class_columns
from selfnorm.tabular._weights import class_factors
from selfnorm.training import Checkpoint, Progress
from selfnorm.training._progress import SILENT


class SelfNormClassifier(ClassifierMixin, Estimator):
    """Self-normalizing networks (SELU, LeCun-normal, alpha dropout) that classify.

    Tables are pandas, polars or Arrow tables or arrays of shape (rows, columns). Numbers are
    scaled by quartiles, bent so that no outlier outweighs the rest, standardized, and read in eight
    pieces besides; text and categorical columns become one standardized feature a category; missing
    values need no care.

    Eight networks are trained as one, each without a part of the rows. What is said of each row by
    those that left it out stops the training, weighs the networks against those of infinite width,
    which join in two forms up to 5,000 rows, and calibrates: all rows serve.

    Args:
        preset: How much is spent where nothing else is said: `default`; `fast`, four networks, half
            the steps, none of infinite width; or `best`, sixteen networks of each of three
            kinds, which differ in weights, width and depth: some five times the work.
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
            held out, and joined by none of infinite width. None for 8, 4 if `fast`, 16 if `best`.
        infinite: Whether infinitely wide networks join; the model then holds the encoded training
            rows. None for True, or False if `preset` is `fast`.
        epochs: Most passes over the training rows; None for 600 mini-batches, 30 passes or more.
        patience: Epochs without a better validation loss before training stops.
        time_limit: Seconds after which no epoch begins; None for no limit.
        batch_size: Rows of a mini-batch; `auto` or None takes a 32nd of the rows, from 16 to 256.
        learning_rate: AdamW's step size at the start; it falls to 0 along a half cosine. None for
            .004, .008 from 1,000 rows, and .0005 in more than 4 layers.
        weight_decay: AdamW's decoupled weight decay, of weights and biases.
        validation: Share of rows held out to choose a single network's best epoch; 0 for none. Of
            several it says only whether they leave out rows.
        categories: Columns to take as categories although they hold numbers: names, numbers from 0,
            or a boolean for each column. None, or `from_dtype`, takes those alone that hold text or
            are of a categorical type, which are categories in any case.
        ignore: Columns to leave out, likewise.
        missing: Words of your own for missing cells, such as `["-999", "not given"]`, in every
            column of X; None for none.
        device: `auto` (GPU if there is one), or a torch device such as `cpu`.
        class_weight: How much more a row of each class counts: a dictionary of class and weight, 1
            for those not in it, or `balanced`, for the same weight of all classes together; None
            for 1. It multiplies `sample_weight`. Probabilities are then those of rows so weighed.
        scoring: What chooses the epoch by rows left out: the name of a score of scikit-learn's, or
            a callable `scorer(estimator, X, y)`; None for the loss. Networks still minimize the
            loss, which weighs and calibrates them; `history_` tells the negative score as the
            validation loss.
        warm_start: Whether `fit` goes on from the networks of the fit before, with its encoding,
            target and sizes, and not from fresh ones. Rows that change between fits may be learned
            by networks that are to leave them out, so figures and calibration may flatter.
        verbose: Print a line every so many epochs; 0 for none.
        random_state: Seed of all that is random: same seed, machine and threads, same model.

    Attributes:
        classes_: The classes, sorted.
        model_: The trained model: encoder, target, network (`selfnorm.nn.MLP`; of several an
            `Ensemble` of one with members a shape), and how they are blended.
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
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        scoring: str | Callable[..., float] | None = None,
        warm_start: bool = False,
        verbose: int = 0,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        super().__init__(
            preset=preset,
            depth=depth,
            width=width,
            shape=shape,
            dropout=dropout,
            weights=weights,
            n_estimators=n_estimators,
            infinite=infinite,
            epochs=epochs,
            patience=patience,
            time_limit=time_limit,
            batch_size=batch_size,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            validation=validation,
            categories=categories,
            ignore=ignore,
            missing=missing,
            device=device,
            scoring=scoring,
            warm_start=warm_start,
            verbose=verbose,
            random_state=random_state,
        )
        self.class_weight = class_weight

    @with_callbacks
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
        groups: Any = None,
        progress: Progress = SILENT,
        checkpoint: Checkpoint | str | Path | None = None,
    ) -> Self:
        """Train on a table.

        Args:
            X: The table, (rows, columns).
            y: The class of each row, (rows,).
            sample_weight: How much each row counts, 0 or more, (rows,); None for the same. Only
                their proportions matter. A row of weight 0 is as if it were not there.
            X_val: Rows to validate with. They stop the training, weigh the networks and
                calibrate, and all networks learn from all of X; None to leave out some of X.
            y_val: Their targets.
            sample_weight_val: How much each of them counts.
            groups: A label of every row, (rows,): rows of one, such as those of one patient, are
                left out together. None if each row stands for itself.
            progress: Who is told of the training.
            checkpoint: Where to keep what is needed to go on after the process has died, as
                `selfnorm.tabular.fit` has it.

        Returns:
            The estimator.

        Raises:
            ArgumentError: A parameter, weight or target breaks its rule, or too few rows count.
            TableError: No column can be learned from, or X_val lacks one.
        """
        self._fit(
            X, y, sample_weight, (X_val, y_val, sample_weight_val), groups, progress, checkpoint
        )
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """One pass over some rows, after those that came before: tables in parts, or new rows.

        Columns are encoded as the first rows tell, so let these be many and of all kinds. All
        networks learn from all rows; none is of infinite width, nothing is left out to weigh or
        calibrate, and the learning rate stays as it is. After `fit` or `load` the networks of
        finite width go on.

        Args:
            X: The table.
            y: The class of each row, or labels.
            classes: All classes, in the first call; in others they may be left out.
            sample_weight: How much each row counts among these.

        Returns:
            The estimator.

        Raises:
            ArgumentError: A parameter, weight or target breaks its rule, or classes are lacking.
            SelfNormError: The loss was not finite; nothing was learned of these rows.

        Example:
            >>> from sklearn.datasets import load_iris
            >>> X, y = load_iris(return_X_y=True)
            >>> model = SelfNormClassifier(random_state=0)
            >>> for _ in range(20):
            ...     for rows in (slice(0, None, 2), slice(1, None, 2)):
            ...         _ = model.partial_fit(X[rows], y[rows], classes=[0, 1, 2])
            >>> bool(model.score(X, y) > 0.9)
            True
        """
        several = len(getattr(y, "shape", (0,))) > 1
        if classes is None and not hasattr(self, "model_") and not several:
            raise ArgumentError(
                "The first call of partial_fit must be told all classes, as later rows may have "
                "others; classes is None. Give classes=np.unique(y) of all y."
            )
        if self.class_weight is not None:
            raise ArgumentError(
                "class_weight is told by all rows, which partial_fit has not; it is "
                f"{self.class_weight!r}. Give rows weights by sample_weight."
            )
        self._partial_fit(X, y, sample_weight, classes)
        return self

    def _columns(self, y: Any, name: str) -> Columns:
        return class_columns(y, name)

    def _balanced(self, source: Source, learned: np.ndarray) -> Source:
        if self.class_weight is None:
            return source
        if source.several is not None:
            raise ArgumentError(
                "class_weight is one of the classes of a column; y has several. Give rows weights "
                "by sample_weight."
            )
        factors = class_factors(self.class_weight, learned, source.values)
        return replace(
            source, weights=factors if source.weights is None else factors * source.weights
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of every row, (rows,); of labels 0 or 1 each, (rows, labels)."""
        return self._predict(X).values

    @overload
    def predict_proba(
        self, X: Any, *, return_std: Literal[False] = False, mc: int = 0
    ) -> np.ndarray: ...
    @overload
    def predict_proba(
        self, X: Any, *, return_std: Literal[True], mc: int = 0
    ) -> tuple[np.ndarray, np.ndarray]: ...
    def predict_proba(
        self, X: Any, *, return_std: bool = False, mc: int = 0
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """The probability of every class, shape (rows, classes), in the order of `classes_`.

        Of labels it is that of each, (rows, labels).

        Args:
            X: The table.
            return_std: Whether to return the standard deviation of each probability, too: between
                networks, and between masks if there are some. It tells where the model has not
                seen enough; `selfnorm.tabular.TabularModel.predict_spread` has the rest.
            mc: Under how many masks of alpha dropout each network is asked (Monte Carlo dropout);
                the probabilities are then the mean over masks. The same masks each time.

        Returns:
            The probabilities; with `return_std` these and their deviations, of the same shape.

        Raises:
            ArgumentError: `mc` is no whole number of 0 or more, or the model has no dropout.

        Example:
            >>> from sklearn.datasets import load_iris
            >>> X, y = load_iris(return_X_y=True)
            >>> model = SelfNormClassifier(preset="fast", random_state=0).fit(X, y)
            >>> probability, std = model.predict_proba(X, return_std=True, mc=10)
            >>> unsure = std.max(1).argmax()
            >>> bool(probability[unsure].max() < probability.max(1).mean())
            True
        """
        if not return_std and not mc:
            return cast("np.ndarray", self._predict(X).probabilities)
        found = self.model_.predict_spread(self._read(X), mc)
        told = cast("np.ndarray", found.prediction.probabilities)
        return (told, found.deviation) if return_std else told
