# scikit-learn has no annotations.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
"""A score of scikit-learn's in place of the loss: it chooses the epoch by rows left out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import check_scoring
from torch import Tensor

from selfnorm.errors import ArgumentError
from selfnorm.tabular.encoding._prediction import Prediction
from selfnorm.tabular.encoding._several import LabelsTarget, NumbersTarget
from selfnorm.tabular.encoding._target import ClassTarget, Target


@dataclass(frozen=True)
class Scoring:
    """The negative of a score, of outputs and encoded targets as a loss has them.

    Attributes:
        target: What outputs stand for.
        scorer: As scikit-learn's `make_scorer` makes one, greater is better.
        weighed: Whether it takes weights.
    """

    target: Target
    scorer: Callable[..., float]
    weighed: bool

    @classmethod
    def of(cls, scoring: Any, estimator: Any, target: Target) -> "Scoring":
        """From what `scoring` of an estimator may be: a name, or a callable.

        Raises:
            ArgumentError: scikit-learn knows no such score.
        """
        try:
            scorer: Any = check_scoring(estimator, scoring)
        except ValueError as error:
            came = repr(scoring) if isinstance(scoring, str) else f"a {type(scoring).__name__}"
            raise ArgumentError(
                f"scoring names a score of scikit-learn's, or is a callable; {came} came. Try "
                "'accuracy' or 'r2'; sklearn.metrics.get_scorer_names() lists all."
            ) from error
        return cls(target, scorer, hasattr(scorer, "_score_func"))

    def __call__(self, outputs: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """What is least where the score is greatest; rows with missing outputs are left out."""
        known = np.flatnonzero(_known(targets))
        rows = outputs[known], targets[known]
        told = self.target.decode(rows[0].double())
        weighed = (
            {}
            if weights is None or not self.weighed
            else {"sample_weight": weights[known].numpy(force=True)}
        )
        said = (_Numbers if self.target.task == "regression" else _Classes)(self.target, told)
        truth = _truth(self.target, rows[1].numpy(force=True))
        return outputs.new_tensor(-self.scorer(said, np.arange(len(known)), truth, **weighed))


class _Classes(ClassifierMixin, BaseEstimator):
    """A classifier that has said already what it is asked; rows are asked for by their numbers."""

    def __init__(self, target: Target, told: Prediction) -> None:
        self.target, self.told = target, told
        several = isinstance(target, LabelsTarget)
        self.classes_: Any = np.tile([0, 1], (target.outputs, 1)) if several else None
        if isinstance(target, ClassTarget):
            self.classes_ = np.asarray(target.classes)

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """The classes of rows."""
        return self.told.values[rows]

    def predict_proba(self, rows: np.ndarray) -> np.ndarray:
        """Their probabilities."""
        return self.told.numbers[rows]


class _Numbers(RegressorMixin, BaseEstimator):
    """The same of numbers."""

    def __init__(self, target: Target, told: Prediction) -> None:
        self.target, self.told = target, told

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """The numbers of rows."""
        return self.told.values[rows]


def _known(targets: Tensor) -> np.ndarray:
    """Which rows have all outputs."""
    return ~targets.reshape(len(targets), -1).isnan().any(1).numpy(force=True)


def _truth(target: Target, encoded: np.ndarray) -> np.ndarray:
    """Targets as they came; of shares the class of the largest."""
    if isinstance(target, ClassTarget):
        return np.asarray(target.classes)[encoded.argmax(1) if encoded.ndim == 2 else encoded]
    if isinstance(target, LabelsTarget):
        return encoded.astype(np.int64)
    numbers = encoded.astype(np.float64)
    if isinstance(target, NumbersTarget):
        return numbers * np.asarray(target.deviations) + np.asarray(target.means)
    return numbers[:, 0] * target.deviation + target.mean
