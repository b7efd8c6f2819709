# pyarrow.compute makes its functions when it is imported, out of the type checker's sight.
# pyright: reportAttributeAccessIssue=false
"""The target: classes or a number, how the network learns it, and how its outputs are read."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from selfnorm.errors import TableError
from selfnorm.tabular._settings import Task
from selfnorm.tabular.data._cells import decoded, holds, is_text, is_usable, not_utf8, numbers, text
from selfnorm.tabular.encoding._prediction import TINY, Prediction, as_array, as_told, softmax
from selfnorm.tabular.encoding._records import are_text, are_whole, is_finite, moments, require
from selfnorm.tabular.encoding._several import LabelsTarget, NumbersTarget

# Torch is imported where it learns: to predict takes NumPy alone, and a second and a half less.
# ruff: noqa: PLC0415
if TYPE_CHECKING:
    from torch import Tensor

_MOST_NUMBERED_CLASSES = 20
_LEAST_SHARE = 1e-12  # of a class that every row says is impossible
_SQUARABLE = 1e150  # squares and their sums stay within float64


@dataclass(frozen=True)
class ClassTarget:
    """Classes, in sorted order, and their shares among the training and validation rows."""

    name: str
    classes: tuple[Any, ...]
    shares: tuple[float, ...]
    task: ClassVar[Task] = "classification"
    score_name: ClassVar[str] = "accuracy"

    def __post_init__(self) -> None:
        require(are_text(self.name), "a target's name is text")
        require(len(self.shares) == len(self.classes) > 0, "each class has its share")
        require(all(is_finite(share) and 0 < share <= 1 for share in self.shares), "shares > 0")
        require(are_whole(self.shares), "the classes' shares sum to 1")

    @classmethod
    def fit(cls, name: str, values: np.ndarray, weights: np.ndarray | None = None) -> "ClassTarget":
        """Learn the classes from the rows to train and to validate with.

        Args:
            name: The target's name.
            values: The class of every row.
            weights: How much each row counts, above 0; None if all count the same.

        Raises:
            TableError: they are text that UTF-8 cannot write.
        """
        classes, codes = np.unique(values, return_inverse=True)
        if classes.dtype.kind == "U" and not are_text(*classes.tolist()):
            raise not_utf8(name)
        counts = np.bincount(codes, weights)
        return cls(name, tuple(classes.tolist()), tuple((counts / counts.sum()).tolist()))

    @classmethod
    def of_shares(
        cls,
        name: str,
        classes: tuple[Any, ...],
        shares: np.ndarray,
        weights: np.ndarray | None = None,
    ) -> "ClassTarget":
        """From the probabilities that each row is told to have, (rows, classes)."""
        found = np.maximum(np.average(shares, axis=0, weights=weights), _LEAST_SHARE)
        return cls(name, classes, tuple((found / found.sum()).tolist()))

    @property
    def outputs(self) -> int:
        """How many outputs the network needs."""
        return len(self.classes)

    def encode(self, values: np.ndarray) -> "Tensor":
        """The number of each row's class, which must be one of them; or the classes' shares."""
        import torch

        if values.ndim == 2:
            return torch.from_numpy(values.astype(np.float32))
        return torch.from_numpy(np.searchsorted(np.asarray(self.classes), values))

    def hard(self, values: np.ndarray) -> np.ndarray:
        """A class for each row: its own, or the one of the largest share."""
        return values if values.ndim == 1 else np.asarray(self.classes)[values.argmax(1)]

    def loss(
        self, outputs: "Tensor", targets: "Tensor", weights: "Tensor | None" = None
    ) -> "Tensor":
        """Mean cross-entropy, in nats, of rows whose weights have a mean of 1."""
        from torch.nn import functional

        targets = targets.to(outputs.dtype) if targets.is_floating_point() else targets
        if weights is None:
            return functional.cross_entropy(outputs, targets)
        return _mean(functional.cross_entropy(outputs, targets, reduction="none"), weights)

    def score(self, outputs: "Tensor", targets: "Tensor", weights: "Tensor | None" = None) -> float:
        """Accuracy."""
        targets = targets.argmax(-1) if targets.is_floating_point() else targets
        return float(_mean((outputs.argmax(-1) == targets).double(), weights))

    def said(self, outputs: "Tensor") -> "Tensor":
        """What several networks can be averaged by: probabilities."""
        return outputs.softmax(-1)

    def heard(self, said: "Tensor") -> "Tensor":
        """Outputs that say the same."""
        return said.clamp(min=TINY).log()

    def said_array(self, outputs: np.ndarray) -> np.ndarray:
        """`said` of arrays."""
        return softmax(outputs)

    def heard_array(self, said: np.ndarray) -> np.ndarray:
        """`heard` of arrays."""
        return np.log(np.maximum(said, TINY))

    def decode(self, outputs: "np.ndarray | Tensor") -> Prediction:
        """The most probable class of each row, and the probabilities of all."""
        probabilities = softmax(as_array(outputs))
        return Prediction(np.asarray(self.classes)[probabilities.argmax(-1)], probabilities)

    def baseline(self, rows: int) -> Prediction:
        """What to beat: the most frequent class, with the classes' shares as probabilities."""
        most = self.classes[int(np.argmax(self.shares))]
        return Prediction(np.full(rows, most), np.tile(self.shares, (rows, 1)))


@dataclass(frozen=True)
class NumberTarget:
    """A number; the network learns it with mean 0 and variance 1.

    Predictions stay within `ends`, the least and the largest number of the rows learned from; in
    older records there are none.
    """

    name: str
    mean: float
    deviation: float
    ends: tuple[float, float] | None = None
    task: ClassVar[Task] = "regression"
    score_name: ClassVar[str] = "RMSE"
    outputs: ClassVar[int] = 1

    def __post_init__(self) -> None:
        require(are_text(self.name), "a target's name is text")
        require(is_finite(self.mean) and is_finite(self.deviation), "moments are finite numbers")
        require(self.deviation > 0, "a deviation is greater than 0")
        largest = 2 * _SQUARABLE  # rounding may bring a deviation above the values
        if self.ends is not None:
            require(len(self.ends) == 2 and all(map(is_finite, self.ends)), "ends are numbers")
            require(self.ends[0] <= self.ends[1], "ends are in order")
        squarable = abs(self.mean) <= largest and 1 / largest <= self.deviation <= largest
        require(squarable, "moments are small enough to be squared, and large enough")

    @classmethod
    def fit(
        cls, name: str, values: np.ndarray, weights: np.ndarray | None = None
    ) -> "NumberTarget":
        """Learn mean and standard deviation from the rows to train and to validate with.

        Args:
            name: The target's name.
            values: The number of every row.
            weights: How much each row counts, above 0; None if all count the same.

        Raises:
            TableError: the values, or how they differ, are too large or small to be squared.
        """
        values = np.asarray(values, np.float64)
        squarable(name, values)
        ends = float(values.min()), float(values.max())
        return cls.of(name, *_moments(values, weights), ends)

    @classmethod
    def of(
        cls, name: str, mean: float, deviation: float, ends: tuple[float, float]
    ) -> "NumberTarget":
        """From the moments of the values, and the least and the largest of them.

        Raises:
            TableError: as `fit`.
        """
        squarable(name, np.array(ends))
        constant = ends[0] == ends[1]
        if not constant and deviation < 1 / _SQUARABLE:
            raise TableError(
                f"A target's squares must be numbers too; the values of '{name}' differ by "
                f"{deviation:.3g} only. Multiply it by a constant first."
            )
        return cls(name, mean, 1.0 if constant else deviation, ends)

    def encode(self, values: np.ndarray) -> "Tensor":
        """Standardized values, shape (rows, 1)."""
        import torch

        scaled = (values - self.mean) / self.deviation
        return torch.from_numpy(scaled.astype(np.float32))[:, None]

    def loss(
        self, outputs: "Tensor", targets: "Tensor", weights: "Tensor | None" = None
    ) -> "Tensor":
        """Mean squared error, in units of the target's variance, of weights with a mean of 1."""
        from torch.nn import functional

        if weights is None:
            return functional.mse_loss(outputs, targets)
        return _mean(functional.mse_loss(outputs, targets, reduction="none")[:, 0], weights)

    def score(self, outputs: "Tensor", targets: "Tensor", weights: "Tensor | None" = None) -> float:
        """Root mean squared error, in the target's own unit."""
        return float(self.loss(outputs, targets, weights)) ** 0.5 * self.deviation

    said = heard = said_array = heard_array = as_told

    def decode(self, outputs: "np.ndarray | Tensor") -> Prediction:
        """The number of each row, in the target's own unit."""
        numbers = as_array(outputs)[:, 0]
        numbers = numbers * self.deviation + self.mean
        if self.ends is not None:  # infinity is not hidden
            numbers = np.where(np.isfinite(numbers), np.clip(numbers, *self.ends), numbers)
        return Prediction(numbers)

    def baseline(self, rows: int) -> Prediction:
        """What to beat: the mean of the training rows."""
        return Prediction(np.full(rows, self.mean))


Target = ClassTarget | NumberTarget | NumbersTarget | LabelsTarget


def target_values(name: str, column: pa.ChunkedArray, task: Task | None) -> tuple[np.ndarray, Task]:
    """The target of every row, and the task: the one given, or the one that fits.

    Text, booleans and whole numbers of at most 20 different values (each, on average, in 5 rows
    or more) are classes; other numbers are for regression.

    Args:
        name: The column's name, for messages.
        column: The column; no value may be missing.
        task: `classification`, `regression`, or None to decide by the values.

    Returns:
        The values (float64 for regression, the column's own kind for classes) and the task.

    Raises:
        TableError: all values are equal, the classes are about as many as the rows, or the values
            cannot be what the task needs.
    """
    column = plain(name, column)
    if not is_text(column.type):
        numbers(name, column)  # refuses what is infinite
    distinct = pc.count_distinct(column).as_py()
    if distinct < 2:
        raise TableError(
            f"A target needs two values or more; '{name}' is '{column[0]}' in all "
            f"{len(column):,} rows. Name another column, or add rows."
        )
    task = task or _task(column, distinct)
    if task == "regression":
        return squarable(name, numbers(name, column)), task
    if distinct > len(column) / 2:
        raise too_many_classes(name, distinct, len(column), text=is_text(column.type))
    return class_values(column), task


def few_classes(distinct: int, rows: int) -> bool:
    """Whether so many different whole numbers in so many rows are classes."""
    return distinct <= min(_MOST_NUMBERED_CLASSES, rows / 5)


def too_many_classes(name: str, distinct: int, rows: int, *, text: bool) -> TableError:
    """What to raise where most rows have a class of their own."""
    return TableError(
        f"A class needs two rows or more on average; '{name}' has {distinct:,} classes in "
        f"{rows:,} rows. Name another column"
        + ("." if text else ", or predict its number: the task is regression."),
        options=() if text else ("--task",),
    )


def class_values(column: pa.ChunkedArray) -> np.ndarray:
    """Class labels as an array: text without outer spaces, or numbers or booleans as they are."""
    if is_text(column.type):
        coded = pc.dictionary_encode(text(column)).combine_chunks()
        return np.asarray(coded.dictionary.to_pylist(), dtype=str)[coded.indices.to_numpy()]
    return column.to_numpy()


def plain(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The target's column as text, booleans, or numbers that JSON can write.

    Raises:
        TableError: it holds something else.
    """
    column = decoded(column) if is_usable(column.type) else column
    kind = column.type
    if not is_text(kind) and holds(kind) not in ("numbers", "booleans"):
        raise TableError(
            f"A target holds classes or numbers; '{name}' holds {holds(kind) or kind}. "
            "Name another column."
        )
    return pc.cast(column, pa.float64(), safe=False) if pa.types.is_decimal(kind) else column


def squarable(name: str, values: np.ndarray) -> np.ndarray:
    """The values of a number target, once they are known to be small enough to be squared.

    Raises:
        TableError: they are not.
    """
    largest = np.abs(values).max(initial=0.0)
    if largest > _SQUARABLE:
        raise TableError(
            f"A target must be small enough to be squared; '{name}' goes up to {largest:.3g}. "
            "Divide it by a constant first, or learn its logarithm."
        )
    return values


def _mean(each: "Tensor", weights: "Tensor | None") -> "Tensor":
    """The mean of rows, (rows,), whose weights have a mean of 1."""
    return (each if weights is None else each * weights).mean()


def _moments(values: np.ndarray, weights: np.ndarray | None) -> tuple[float, float]:
    """Mean and deviation of rows that count by their weights."""
    if weights is None:
        return moments(values, len(values))
    mean = float(np.average(values, weights=weights))
    largest = np.abs(values - mean).max() or 1.0  # squares of small differences would vanish
    square = np.average(np.square((values - mean) / largest), weights=weights)
    return mean, float(largest * np.sqrt(square))


def _task(column: pa.ChunkedArray, distinct: int) -> Task:
    if is_text(column.type) or pa.types.is_boolean(column.type):
        return "classification"
    values = column.to_numpy().astype(float)
    few = few_classes(distinct, len(values))
    return "classification" if few and (values == np.round(values)).all() else "regression"
