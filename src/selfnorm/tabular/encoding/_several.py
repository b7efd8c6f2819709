"""Targets of several outputs: numbers, or labels that a row has or has not; some may be missing.

What is missing is nan, and counts in no loss: a row teaches by those of its outputs that are known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np

from selfnorm.tabular._settings import Task
from selfnorm.tabular.encoding._prediction import TINY, Prediction, as_array, as_told
from selfnorm.tabular.encoding._records import are_text, is_finite, require

# Torch is imported where it learns, as in `_target`.
# ruff: noqa: PLC0415
if TYPE_CHECKING:
    from torch import Tensor


Words = tuple[Any, Any]
"""What a table has for a label that a row has not, and for one that it has."""
_WORDS = (
    *(("0", "1"), ("false", "true"), ("f", "t"), ("no", "yes"), ("n", "y"), ("off", "on")),
    *(("absent", "present"), ("negative", "positive"), ("nein", "ja"), ("non", "oui")),
)


def listed(names: Sequence[str], most: int) -> str:
    """The first names, in quotes where one holds a comma."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(f"'{name}'" if "," in name else name for name in names[:most]) + more


def in_order(values: Sequence[Any]) -> Words:
    """Two values of a label in their order: no before yes, and what says neither as it sorts."""
    first, second = sorted(values)
    return (second, first) if _is_yes(second, first) else (first, second)


def _is_yes(negative: Any, positive: Any) -> bool:
    return (str(negative).casefold(), str(positive).casefold()) in _WORDS


class Several(NamedTuple):
    """What several columns of a target are.

    Attributes:
        kind: `numbers`; `labels`, each 1 or 0; or `shares`, probabilities of the classes of one
            target, which sum to 1 in each row.
        names: A name for each; of shares the classes, sorted.
        words: Of each label, what stands in the table; None for 0 and 1.
    """

    kind: Literal["numbers", "labels", "shares"]
    names: tuple[Any, ...]
    words: tuple[Words, ...] | None = None

    def strata(self, values: np.ndarray) -> np.ndarray:
        """A number for each row, by which rows are dealt evenly.

        Of shares the class of the largest; of labels the rarest that the row has (the first step of
        Sechidis et al. 2011); numbers are dealt at random.
        """
        if self.kind == "shares":
            return values.argmax(1)
        if self.kind == "numbers":
            return np.zeros(len(values), np.int64)
        has = values == 1
        rank = np.where(has, has.sum(0), len(values) + 1)
        return np.where(has.any(1), rank.argmin(1), len(self.names))


@dataclass(frozen=True)
class NumbersTarget:
    """Several numbers; the network learns each with mean 0 and variance 1.

    Each stays within its ends, the least and the largest of the rows learned from.
    """

    name: str
    names: tuple[str, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    ends: tuple[tuple[float, float], ...]
    task: ClassVar[Task] = "regression"
    score_name: ClassVar[str] = "RMSE in deviations"

    def __post_init__(self) -> None:
        _check_names(self.name, self.names)
        for each in (self.means, self.deviations, self.ends):
            require(len(each) == len(self.names), "each output has its moments and ends")
        require(all(map(is_finite, (*self.means, *self.deviations))), "moments are finite numbers")
        require(all(one > 0 for one in self.deviations), "deviations are greater than 0")
        for ends in self.ends:
            require(len(ends) == 2 and all(map(is_finite, ends)), "ends are numbers")
            require(ends[0] <= ends[1], "ends are in order")

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> "NumbersTarget":
        """From what a model file tells."""
        names, means, deviations = (tuple(saved[n]) for n in ("names", "means", "deviations"))
        ends = tuple((low, high) for low, high in saved["ends"])
        return cls(saved["name"], names, means, deviations, ends)

    @property
    def outputs(self) -> int:
        """How many outputs the network needs."""
        return len(self.names)

    def encode(self, values: np.ndarray) -> "Tensor":
        """Standardized values, shape (rows, outputs); nan where missing."""
        import torch

        scaled = (values - np.asarray(self.means)) / np.asarray(self.deviations)
        return torch.from_numpy(scaled.astype(np.float32))

    def loss(
        self, outputs: "Tensor", targets: "Tensor", weights: "Tensor | None" = None
    ) -> "Tensor":
        """Mean squared error of what is known, in units of each output's variance."""
        known = ~targets.isnan()
        error = (outputs - targets).where(known, outputs.new_zeros(()))
        return _mean_of_known(error.square(), known, weights)

    def score(self, outputs: "Tensor", targets: "Tensor", weights: "Tensor | None" = None) -> float:
        """Root mean squared error, in each output's deviations."""
        return float(self.loss(outputs, targets, weights)) ** 0.5

    said = heard = said_array = heard_array = as_told

    def decode(self, outputs: "np.ndarray | Tensor") -> Prediction:
        """The numbers of each row, (rows, outputs), in their own units."""
        numbers = as_array(outputs) * np.asarray(self.deviations) + np.asarray(self.means)
        low, high = np.asarray(self.ends).T
        return Prediction(np.where(np.isfinite(numbers), np.clip(numbers, low, high), numbers))

    def baseline(self, rows: int) -> Prediction:
        """What to beat: the means of the training rows."""
        return Prediction(np.tile(self.means, (rows, 1)))


@dataclass(frozen=True)
class LabelsTarget:
    """Labels that each row has or has not, and the share of rows that have each.

    `words` are those of a table, where it has others than 0 and 1.
    """

    name: str
    names: tuple[str, ...]
    shares: tuple[float, ...]
    words: tuple[Words, ...] | None = None
    task: ClassVar[Task] = "classification"
    score_name: ClassVar[str] = "accuracy of labels"

    def __post_init__(self) -> None:
        _check_names(self.name, self.names)
        require(len(self.shares) == len(self.names), "each label has its share")
        require(all(is_finite(one) and 0 <= one <= 1 for one in self.shares), "shares are of 1")
        if self.words is not None:
            require(len(self.words) == len(self.names), "each label has its words")
            require(all(map(_are_words, self.words)), "words are two values of one kind")

    @classmethod
    def fit(
        cls,
        name: str,
        names: tuple[str, ...],
        values: np.ndarray,
        weights: np.ndarray | None = None,
        words: tuple[Words, ...] | None = None,
    ) -> "LabelsTarget":
        """Learn the shares from the rows to train and to validate with, where they are known."""
        counts = np.ones(len(values)) if weights is None else weights
        known = ~np.isnan(values)
        total = counts @ known
        has = counts @ np.where(known, values, 0)
        shares = np.divide(has, total, out=np.zeros(len(names)), where=total > 0)
        return cls(name, names, tuple(np.clip(shares, 0, 1).tolist()), words)

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> "LabelsTarget":
        """From what a model file tells."""
        words = saved["words"]
        if words is not None:
            require(isinstance(words, list | tuple), "words are a list")
            words = tuple(tuple(one) for one in words)
        return cls(saved["name"], tuple(saved["names"]), tuple(saved["shares"]), words)

    @property
    def called(self) -> tuple[str, ...]:
        """What each probability is of: the label, or `LABEL=WORD` where neither word says yes."""
        if self.words is None:
            return self.names
        pairs = zip(self.names, self.words, strict=True)
        return tuple(name if _is_yes(*both) else f"{name}={both[1]}" for name, both in pairs)

    def in_words(self, values: np.ndarray) -> list[np.ndarray]:
        """Labels of 0 and 1, (rows, labels), as the table has them: (rows,) of each."""
        if self.words is None:
            return list(values.T)
        pairs = zip(values.T, self.words, strict=True)
        return [np.asarray(both)[each.astype(np.int64)] for each, both in pairs]

    @property
    def outputs(self) -> int:
        """How many outputs the network needs."""
        return len(self.names)

    def encode(self, values: np.ndarray) -> "Tensor":
        """1 for each label that a row has, else 0, (rows, labels); nan where missing."""
        import torch

        return torch.from_numpy(values.astype(np.float32))

    def loss(
        self, outputs: "Tensor", targets: "Tensor", weights: "Tensor | None" = None
    ) -> "Tensor":
        """Mean binary cross-entropy of what is known, in nats."""
        from torch.nn import functional

        known = ~targets.isnan()
        told = targets.where(known, targets.new_zeros(())).to(outputs.dtype)
        each = functional.binary_cross_entropy_with_logits(outputs, told, reduction="none")
        return _mean_of_known(each.where(known, each.new_zeros(())), known, weights)

    def score(self, outputs: "Tensor", targets: "Tensor", weights: "Tensor | None" = None) -> float:
        """The share of what is known that is right, label by label."""
        known = ~targets.isnan()
        right = ((outputs > 0) == (targets > 0)) & known
        return float(_mean_of_known(right.double(), known, weights))

    def said(self, outputs: "Tensor") -> "Tensor":
        """What several networks can be averaged by: probabilities."""
        return outputs.sigmoid()

    def heard(self, said: "Tensor") -> "Tensor":
        """Outputs that say the same."""
        return said.clamp(min=TINY).log() - (1 - said).clamp(min=TINY).log()

    def said_array(self, outputs: np.ndarray) -> np.ndarray:
        """`said` of arrays."""
        return _sigmoid(outputs)

    def heard_array(self, said: np.ndarray) -> np.ndarray:
        """`heard` of arrays."""
        return np.log(np.maximum(said, TINY)) - np.log(np.maximum(1 - said, TINY))

    def decode(self, outputs: "np.ndarray | Tensor") -> Prediction:
        """1 for each label of a probability above a half, and the probability of each."""
        probabilities = _sigmoid(as_array(outputs))
        return Prediction((probabilities > 0.5).astype(np.int64), probabilities)

    def baseline(self, rows: int) -> Prediction:
        """What to beat: each label's share."""
        shares = np.tile(self.shares, (rows, 1))
        return Prediction((shares > 0.5).astype(np.int64), shares)


def _sigmoid(outputs: np.ndarray) -> np.ndarray:
    powers = np.exp(-np.abs(outputs))
    return np.where(outputs < 0, powers, 1) / (1 + powers)


def _are_words(both: Any) -> bool:
    if not isinstance(both, tuple) or len(both) != 2 or both[0] == both[1]:
        return False
    if are_text(*both):
        return True
    return all(map(is_finite, both)) or all(isinstance(one, bool) for one in both)


def _check_names(name: str, names: tuple[str, ...]) -> None:
    require(are_text(name, *names), "a target's names are text")
    require(len(names) > 0 and len(set(names)) == len(names), "each output has a name of its own")


def _mean_of_known(each: "Tensor", known: "Tensor", weights: "Tensor | None") -> "Tensor":
    """The mean over what is known, (rows, outputs), of rows whose weights have a mean of 1."""
    total = (each if weights is None else each * weights[:, None]).sum()
    return total / known.sum().clamp(min=1)
