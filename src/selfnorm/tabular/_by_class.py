"""Class by class: how many rows of each are found, and what they are taken for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class ByClass:
    """What rows of each class are taken for.

    Attributes:
        classes: The classes that the model knows, then those that only the table has.
        known: How many of them the model knows.
        counts: How many rows of each class (first) are taken for each (second).
    """

    classes: tuple[Any, ...]
    known: int
    counts: np.ndarray

    @classmethod
    def of(cls, classes: Sequence[Any], truth: np.ndarray, told: np.ndarray) -> "ByClass":
        """Count rows.

        Args:
            classes: The classes that the model knows, sorted.
            truth: The class of each row.
            told: What it is taken for.
        """
        strange = np.setdiff1d(truth, np.asarray(classes)).tolist()
        every = [*classes, *strange]
        number = {one: at for at, one in enumerate(every)}
        codes = [np.array([number[one] for one in part.tolist()], int) for part in (truth, told)]
        counts = np.zeros((len(every), len(every)), np.int64)
        np.add.at(counts, (codes[0], codes[1]), 1)
        return cls(tuple(every), len(classes), counts)

    @property
    def rows(self) -> np.ndarray:
        """How many rows of each class there are."""
        return self.counts.sum(1)

    @property
    def recall(self) -> np.ndarray:
        """The share of each class's rows that are found; nan where there are none."""
        return _shares(self.counts.diagonal(), self.rows)

    @property
    def precision(self) -> np.ndarray:
        """The share that is right of what is taken for each class; nan where nothing is."""
        return _shares(self.counts.diagonal(), self.counts.sum(0))

    @property
    def confusions(self) -> list[tuple[Any, Any, int]]:
        """Which class is taken for which other, and how often, the most frequent first."""
        wrong = self.counts - np.diag(self.counts.diagonal())
        order = np.argsort(-wrong, axis=None, kind="stable")[: np.count_nonzero(wrong)]
        pairs = zip(*np.unravel_index(order, wrong.shape), strict=True)
        return [(self.classes[a], self.classes[b], int(wrong[a, b])) for a, b in pairs]


def _shares(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
