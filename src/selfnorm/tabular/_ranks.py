"""Area under the ROC curve of rows that come some at a time: exact of some, by steps of more."""

import math
from collections.abc import Mapping

import numpy as np

from selfnorm.tabular._auc import area_under_curve

MOST = 1 << 20  # scores that are kept as they are
_STEPS, _CELLS = 1 << 16, 1 << 22  # of a class's log odds; of all counts
_FEWEST = 64  # steps, below which nothing is told
_END = 20.0  # log odds from which on all are one step


class Ranks:
    """What is kept to rank rows by the probability of each class.

    Up to so many scores it is the scores, and the area is exact. Of more it is how many rows of
    each class have log odds in each of up to 65,536 equal steps, and those within a step count as
    ties:

        |error| <= mean over pairs of classes i != j of sum over steps of p_i p_j / 2

    with p_i and p_j the shares of the two classes' rows in a step. As ties are counted half, the
    curve is a line within a step, and the error is far below that wherever shares change little
    from one step to the next.

    Args:
        classes: How many there are, two or more; of more than 256 more scores tell nothing.
        most: Scores that are kept as they are.
    """

    def __init__(self, classes: int, most: float = MOST) -> None:
        self._classes, self._most = classes, most
        self._asked = [1] if classes == 2 else list(range(classes))
        self._steps = min(_STEPS, _CELLS // classes**2)
        self._held: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._counts: np.ndarray | None = None  # (asked, classes, steps)

    def add(self, codes: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> None:
        """Some more rows: the numbers of their classes, probabilities of all, and weights."""
        self._held.append((codes, scores[:, self._asked], weights))
        held = len(self._asked) * sum(len(one) for one, _, _ in self._held)
        if self._counts is None and held > self._most:
            self._counts = np.zeros((len(self._asked), self._classes, self._steps))
        if self._counts is not None:
            for one in self._held:
                _count(self._counts, *one)
            self._held = []

    @property
    def area(self) -> float | None:
        """The area, once a row of each class has come; None of too many classes."""
        if self._counts is None:
            codes, asked, weights = (np.concatenate(each) for each in zip(*self._held, strict=True))
            scores = np.zeros((len(codes), self._classes))
            scores[:, self._asked] = asked
            return area_under_curve(codes, scores, weights)
        if self._steps < _FEWEST:
            return None
        return float(np.mean([_areas(*one) for one in zip(self._asked, self._counts, strict=True)]))

    @property
    def bound(self) -> float:
        """How far the area may be off at the most; infinity if it is not told."""
        if self._counts is None:
            return 0.0
        if self._steps < _FEWEST:
            return math.inf
        return float(np.mean([_ties(*one) for one in zip(self._asked, self._counts, strict=True)]))

    @property
    def state(self) -> dict[str, np.ndarray]:
        """All of it, as arrays."""
        if self._counts is not None:
            return {"counts": self._counts}
        if not self._held:
            return {}
        each = zip(("codes", "scores", "weights"), zip(*self._held, strict=True), strict=True)
        return {name: np.concatenate(parts) for name, parts in each}

    def take(self, state: Mapping[str, np.ndarray]) -> None:
        """The inverse of `state`."""
        self._counts = state.get("counts")
        held = tuple(state[name] for name in ("codes", "scores", "weights") if name in state)
        self._held = [(held[0], held[1], held[2])] if held else []


def _count(counts: np.ndarray, codes: np.ndarray, asked: np.ndarray, weights: np.ndarray) -> None:
    """Count rows in place: (asked, classes, steps)."""
    _, classes, steps = counts.shape
    for number, scores in enumerate(asked.T):
        at = codes * steps + _step(scores, steps)
        counts[number] += np.bincount(at, weights, classes * steps).reshape(classes, steps)


def _step(scores: np.ndarray, steps: int) -> np.ndarray:
    """Which step of the log odds a probability is in."""
    with np.errstate(divide="ignore"):
        odds = np.log(scores) - np.log1p(-scores)
    share = (odds.clip(-_END, _END) + _END) / (2 * _END)
    return np.minimum((share * steps).astype(np.int64), steps - 1)


def _areas(one: int, counts: np.ndarray) -> np.ndarray:
    """A(one|j) for every other class j, of rows of each class (first) by step (second)."""
    own, rows = counts[one], counts.sum(1)
    below = np.cumsum(own) - own / 2
    return np.delete(1 - counts @ below / (rows * rows[one]), one)


def _ties(one: int, counts: np.ndarray) -> np.ndarray:
    """Half the chance that a row of the class and one of another are in one step."""
    rows = counts.sum(1)
    return np.delete(counts @ counts[one] / (2 * rows * rows[one]), one)
