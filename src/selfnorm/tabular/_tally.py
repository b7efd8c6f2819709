"""Figures of predictions as sums over rows, which come some at a time: what is kept stays small."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from selfnorm.tabular._by_class import ByClass
from selfnorm.tabular._ranks import MOST, Ranks
from selfnorm.tabular.encoding._target import ClassTarget, NumberTarget, Prediction
from selfnorm.tabular.stream._moments import Moments

_SHOWN = 5
_TINY = 1e-15
_EPS = float(np.finfo(np.float64).eps)
_ROUGH = 5e-4  # from which on it is told how far an area may be off


class ClassTally:
    """What is counted of rows of classes.

    Args:
        target: The model's.
        most: Scores that are kept as they are, as `Ranks` has it.
    """

    def __init__(self, target: ClassTarget, most: float = MOST) -> None:
        classes = len(target.classes)
        self._target, self._classes = target, np.asarray(target.classes)
        self._order = np.argsort(self._classes, kind="stable")  # shares may come in any
        self._strange: list[Any] = []  # classes that the model does not know, as they came
        self._counts = np.zeros((classes, classes), np.int64)  # by true class and class told
        self._right, self._weight = np.zeros(classes), np.zeros(classes)  # by true class
        self._mass = np.zeros(classes)  # weights by class; of shares by each of a row's
        self._loss = 0.0
        self._says, self._soft = True, False  # probabilities; of shares
        self._ranks = Ranks(classes, most) if classes > 1 else None

    @property
    def rows(self) -> int:
        """How many rows there were."""
        return int(self._counts.sum())

    @property
    def strange(self) -> list[Any]:
        """Classes that the model does not know, in the order in which they came."""
        return self._strange

    @property
    def knows_none(self) -> bool:
        """Whether no row is of a class that the model knows."""
        return not self._counts[: len(self._classes)].any()

    def add(self, truth: np.ndarray, told: Prediction, weights: np.ndarray | None = None) -> None:
        """Some more rows: their classes, or the shares of classes, and what they are told."""
        hard = self._target.hard(truth)
        codes, said = self._codes(hard), self._nearest(told.values)
        count = np.ones(len(hard)) if weights is None else weights
        np.add.at(self._counts, (codes, said), 1)
        self._weight += np.bincount(codes, count, len(self._weight))
        self._right += np.bincount(codes, (codes == said) * count, len(self._right))
        chances = told.probabilities
        self._says &= chances is not None
        if chances is None or self._strange:
            self._ranks = None  # no figure of probabilities is defined any longer
            return
        self._soft |= truth.ndim == 2
        if truth.ndim == 2:
            self._mass += count @ truth
            self._loss -= float(count @ (truth * _log(chances, soft=True)).sum(1))
        else:
            self._mass += np.bincount(codes, count, len(self._mass))
            of_truth = np.take_along_axis(chances, codes[:, None], 1)[:, 0]
            self._loss -= float(count @ _log(of_truth))
        if self._ranks is not None:
            self._ranks.add(codes, chances, count)

    @property
    def metrics(self) -> dict[str, float]:
        """The model's."""
        found = self._of(self._right)
        if self._strange or not self._says:
            return found
        found["log loss"] = self._loss / float(self._weight.sum())
        if (area := self._area) is not None:
            found["AUC"] = area
        return found

    @property
    def baseline(self) -> dict[str, float]:
        """Those of the most frequent class and the classes' shares, on the same rows."""
        shares = np.asarray(self._target.shares)
        found = self._of(np.where(np.arange(len(self._weight)) == shares.argmax(), self._weight, 0))
        if self._strange:
            return found
        lost = -float(self._mass @ _log(shares, soft=self._soft))
        found["log loss"] = lost / float(self._weight.sum())
        if self._ranked:
            found["AUC"] = 0.5
        return found

    @property
    def notes(self) -> list[str]:
        """Which figures are left out or rough, and why."""
        rows = self._counts.sum(1)
        if self._strange:
            told = (
                f"{rows[len(self._classes) :].sum():,} of {rows.sum():,} rows are of classes that "
                f"the model does not know ({_listed(sorted(self._strange))}): they count as wrong, "
                "and log loss and AUC are left out."
            )
            return [told]
        absent = self._classes[rows == 0].tolist()
        if absent:
            return [f"No row is of the class {_listed(absent)}, so AUC is left out."]
        if self._ranks is None or self._ranks.bound < _ROUGH:
            return []
        if self._area is None:
            return ["AUC is left out, as there are too many rows and classes to rank them."]
        return [f"Rows are ranked in steps: AUC is right to {self._ranks.bound:.1g}."]

    @property
    def by_class(self) -> ByClass:
        """What the rows of each class are taken for."""
        known, order = len(self._classes), np.argsort(np.asarray(self._strange), kind="stable")
        every = (*self._target.classes, *(self._strange[at] for at in order))
        counts = np.zeros((len(every), len(every)), np.int64)
        counts[:known, :known] = self._counts[:known]
        counts[known:, :known] = self._counts[known:][order]
        return ByClass(every, known, counts)

    @property
    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """All of it: arrays, and plain JSON."""
        arrays = {name: getattr(self, f"_{name}") for name in _ARRAYS}
        if self._ranks is not None:
            arrays |= {f"ranks/{name}": one for name, one in self._ranks.state.items()}
        record = {name: getattr(self, f"_{name}") for name in _PLAIN}
        return arrays, {**record, "ranked": self._ranks is not None}

    def take(self, arrays: Mapping[str, np.ndarray], record: Mapping[str, Any]) -> None:
        """The inverse of `state`."""
        for name in _ARRAYS:
            setattr(self, f"_{name}", arrays[name])
        for name in _PLAIN:
            setattr(self, f"_{name}", record[name])
        if not record["ranked"]:
            self._ranks = None
        elif self._ranks is not None:
            ranks = {one: arrays[f"ranks/{one}"] for one in _RANKS if f"ranks/{one}" in arrays}
            self._ranks.take(ranks)

    @property
    def _ranked(self) -> bool:
        """Whether an area is defined."""
        known = self._counts[: len(self._classes)]
        return self._ranks is not None and bool(known.any(1).all())

    @property
    def _area(self) -> float | None:
        return self._ranks.area if self._ranks is not None and self._ranked else None

    def _of(self, right: np.ndarray) -> dict[str, float]:
        """Accuracies, by the weights of rows that are right."""
        come = self._weight > 0
        return {
            "accuracy": float(right.sum() / self._weight.sum()),
            "balanced accuracy": float(np.mean(right[come] / self._weight[come])),
        }

    def _codes(self, truth: np.ndarray) -> np.ndarray:
        """The number of each row's class; those that the model does not know come behind."""
        codes = self._nearest(truth)
        others = np.flatnonzero(self._classes[codes] != truth)
        if not len(others):
            return codes
        each, which = np.unique(truth[others], return_inverse=True)
        for one in each.tolist():
            if one not in self._strange:
                self._strange.append(one)
                self._counts = np.pad(self._counts, ((0, 1), (0, 0)))
                self._right, self._weight = (np.pad(x, (0, 1)) for x in (self._right, self._weight))
        numbers = [len(self._classes) + self._strange.index(one) for one in each.tolist()]
        codes[others] = np.array(numbers)[which]
        return codes

    def _nearest(self, labels: np.ndarray) -> np.ndarray:
        """The number of each label's class, if the model knows it; else any."""
        at = np.searchsorted(self._classes, labels, sorter=self._order)
        return self._order[at.clip(max=len(self._order) - 1)]


class NumberTally:
    """What is summed of rows of numbers.

    Args:
        target: The model's.
    """

    def __init__(self, target: NumberTarget) -> None:
        self._target, self._count, self._moments = target, 0, Moments()
        self._sums = np.zeros((2, 2))  # of errors' squares and sizes: the model's, the baseline's

    @property
    def rows(self) -> int:
        """How many rows there were."""
        return self._count

    def add(self, truth: np.ndarray, told: Prediction, weights: np.ndarray | None = None) -> None:
        """Some more rows: their numbers, and what they are told."""
        count = np.ones(len(truth)) if weights is None else weights
        self._count += len(truth)
        self._moments += Moments.of(truth.astype(np.float64), weights)
        for at, values in enumerate((told.values, self._target.mean)):
            errors = values - truth
            self._sums[at] += count @ np.square(errors), count @ np.abs(errors)

    @property
    def metrics(self) -> dict[str, float]:
        """The model's."""
        return self._of(*self._sums[0].tolist())

    @property
    def baseline(self) -> dict[str, float]:
        """Those of the mean of the training rows, on the same rows."""
        return self._of(*self._sums[1].tolist())

    @property
    def notes(self) -> list[str]:
        """None: all figures of numbers are defined."""
        return []

    @property
    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """All of it: arrays, and plain JSON."""
        return {"sums": self._sums}, {"rows": self._count, "moments": vars(self._moments)}

    def take(self, arrays: Mapping[str, np.ndarray], record: Mapping[str, Any]) -> None:
        """The inverse of `state`."""
        self._sums, self._count = arrays["sums"], record["rows"]
        self._moments = Moments(**record["moments"])

    def _of(self, squares: float, sizes: float) -> dict[str, float]:
        moments = self._moments
        found = {
            "RMSE": float(np.sqrt(squares / moments.weight)),
            "MAE": sizes / moments.weight,
        }
        if moments.largest > moments.least:
            found["R2"] = 1 - squares / moments.squares
        return found


Tally = ClassTally | NumberTally
_ARRAYS = ("counts", "right", "weight", "mass")
_PLAIN = ("strange", "loss", "says", "soft")
_RANKS = ("counts", "codes", "scores", "weights")


def _log(chances: np.ndarray, *, soft: bool = False) -> np.ndarray:
    """Logarithms of probabilities, of which none is infinite."""
    return np.log(chances.clip(_TINY) if soft else chances.clip(_EPS, 1 - _EPS))


def _listed(classes: list[Any]) -> str:
    more = f" and {len(classes) - _SHOWN} more" if len(classes) > _SHOWN else ""
    return ", ".join(map(repr, classes[:_SHOWN])) + more
