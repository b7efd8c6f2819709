"""What is kept of a table that is measured on some rows at a time."""

import numpy as np

from selfnorm.tabular._source import Source
from selfnorm.tabular.encoding._encode import Encoder
from selfnorm.tabular.encoding._strange import Strange
from selfnorm.tabular.encoding._target import Prediction, Target


class Measuring:
    """Targets and predictions of the rows so far, and the counts behind notes on their cells.

    Args:
        encoder: Who knows which cells training had nothing like.
        target: What is predicted.
    """

    def __init__(self, encoder: Encoder, target: Target) -> None:
        self._encoder, self._target = encoder, target
        self._truths: list[np.ndarray] = []
        self._told: list[Prediction] = []
        self._weights: list[np.ndarray] = []
        self._strange: list[Strange] | None = None

    def add(self, truth: Source, told: Prediction) -> None:
        """Some more rows."""
        self._truths.append(truth.values)
        self._told.append(told)
        if truth.weights is not None:
            self._weights.append(truth.weights)
        found = self._encoder.strange(truth.table)
        before = self._strange or [Strange(0)] * len(found)
        self._strange = [one + more for one, more in zip(before, found, strict=True)]

    @property
    def notes(self) -> list[str]:
        """What a user should know of the cells."""
        return self._encoder.notes_of(self._strange or [])

    @property
    def of_all(self) -> tuple[np.ndarray, Prediction, np.ndarray | None]:
        """Targets, predictions and weights of all rows."""
        said = [one.probabilities for one in self._told if one.probabilities is not None]
        told = Prediction(
            np.concatenate([one.values for one in self._told]),
            np.concatenate(said) if said else None,
        )
        weights = np.concatenate(self._weights) if self._weights else None
        return np.concatenate(self._truths), told, weights
