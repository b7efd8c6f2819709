# scikit-learn has no annotations; what is inferred from its defaults is too narrow.
# pyright: reportArgumentType=false
"""A regressor that behaves like scikit-learn's own, over deep self-normalizing networks."""

from pathlib import Path
from typing import Any, ClassVar, Literal, Self, overload

import numpy as np
from sklearn.base import RegressorMixin

from selfnorm.tabular._callbacks import with_callbacks
from selfnorm.tabular._estimator import Estimator
from selfnorm.tabular._settings import Task
from selfnorm.tabular._target_columns import Columns, number_columns
from selfnorm.training import Checkpoint, Progress
from selfnorm.training._progress import SILENT


class SelfNormRegressor(RegressorMixin, Estimator):
    """Self-normalizing networks (SELU, LeCun-normal, alpha dropout) for numbers.

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
        model_: The trained model: encoder, target, network (`selfnorm.nn.MLP`; of several an
            `Ensemble` of one with members a shape), and how they are blended.
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
            y: The number of each row, (rows,).
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

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """One pass over some rows, after those that came before: tables in parts, or new rows.

        Columns are encoded as the first rows tell, so let these be many and of all kinds. All
        networks learn from all rows; none is of infinite width, nothing is left out to weigh or
        calibrate, and the learning rate stays as it is. After `fit` or `load` the networks of
        finite width go on.

        Args:
            X: The table.
            y: The number of each row, or several, (rows, outputs).
            sample_weight: How much each row counts among these.

        Returns:
            The estimator.

        Raises:
            ArgumentError: A parameter, weight or target breaks its rule.
            SelfNormError: The loss was not finite; nothing was learned of these rows.

        Example:
            >>> from sklearn.datasets import load_diabetes
            >>> X, y = load_diabetes(return_X_y=True)
            >>> model = SelfNormRegressor(random_state=0)
            >>> for _ in range(20):
            ...     for rows in (slice(0, None, 2), slice(1, None, 2)):
            ...         _ = model.partial_fit(X[rows], y[rows])
            >>> bool(model.score(X, y) > 0.4)
            True
        """
        self._partial_fit(X, y, sample_weight)
        return self

    def _columns(self, y: Any, name: str) -> Columns:
        return number_columns(y, name)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    @overload
    def predict(self, X: Any, *, return_std: Literal[False] = False, mc: int = 0) -> np.ndarray: ...
    @overload
    def predict(
        self, X: Any, *, return_std: Literal[True], mc: int = 0
    ) -> tuple[np.ndarray, np.ndarray]: ...
    def predict(
        self, X: Any, *, return_std: bool = False, mc: int = 0
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """The number of every row, shape (rows,); of several outputs (rows, outputs).

        Args:
            X: The table.
            return_std: Whether to return the standard deviation, too: between networks, and between
                masks if there are some. It tells where the model has not seen enough, and nothing
                of the target's noise, which `predict_interval` counts besides;
                `selfnorm.tabular.TabularModel.predict_spread` has the rest.
            mc: Under how many masks of alpha dropout each network is asked (Monte Carlo dropout);
                the number is then the mean over masks. The same masks each time.

        Returns:
            The numbers; with `return_std` these and their deviations, of the same shape.

        Raises:
            ArgumentError: `mc` is no whole number of 0 or more, or the model has no dropout.
        """
        if not return_std and not mc:
            return self._predict(X).values
        found = self.model_.predict_spread(self._read(X), mc)
        told = found.prediction.values
        return (told, found.deviation) if return_std else told

    def predict_interval(self, X: Any, coverage: float = 0.9) -> np.ndarray:
        """An interval for the number of every row, shape (rows, 2): from where to where.

        As wide for all rows, by the errors of what left-out rows were told; how far that holds, and
        by whom it is, `selfnorm.tabular.TabularModel.predict_interval` says.

        Args:
            X: The table.
            coverage: The share of rows whose number is to be inside, in (0, 1).

        Raises:
            ArgumentError: `coverage` breaks its rule; or no rows, or too few, were left out.

        Example:
            >>> from sklearn.datasets import load_diabetes
            >>> X, y = load_diabetes(return_X_y=True)
            >>> model = SelfNormRegressor(preset="fast", random_state=0).fit(X[:300], y[:300])
            >>> low, high = model.predict_interval(X[300:], coverage=0.8).T
            >>> bool(0.7 < ((low <= y[300:]) & (y[300:] <= high)).mean() < 0.9)
            True
        """
        table = self._read(X)
        return self.model_.predict_interval(table, coverage)
