# pyarrow.compute makes its functions when it is imported, out of the type checker's sight.
# pyright: reportAttributeAccessIssue=false
"""The target of a table in parts: what it is, told by all its values, and how blocks of it read."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from selfnorm.errors import TableError
from selfnorm.tabular._settings import Task
from selfnorm.tabular.data._cells import decoded, numbers, text
from selfnorm.tabular.encoding._target import (
    ClassTarget,
    NumberTarget,
    Target,
    class_values,
    few_classes,
    plain,
    too_many_classes,
)
from selfnorm.tabular.encoding._understand import Understood, understand, understand_text
from selfnorm.tabular.stream._columns import TargetColumn
from selfnorm.tabular.stream._moments import Moments

_FEW = 20  # different values, which can be classes


@dataclass(frozen=True)
class TargetReader:
    """How cells of the target are read.

    Attributes:
        name: The target's name.
        worded: Whether they are classes that are told apart by their text.
        written: How text writes numbers; None for plain ones.
        kind: What class labels are that are no text; float for numbers to predict.
    """

    name: str
    worded: bool
    written: str | None = None
    kind: type = float

    def __call__(self, column: pa.ChunkedArray) -> np.ndarray:
        """The values of cells, of which none is missing; nan where a word says that it is."""
        if self.worded:
            return np.asarray(text(column).to_pylist(), dtype=str)
        if self.kind is bool:
            return class_values(decoded(column))
        return numbers(self.name, decoded(column), "numbers", self.written)

    def known(self, values: np.ndarray) -> np.ndarray:
        """Which values are known."""
        return np.ones(len(values), bool) if values.dtype.kind in "Ub" else ~np.isnan(values)

    def labels(self, values: np.ndarray) -> np.ndarray:
        """Known values as a target takes them."""
        return values.astype(np.int64) if self.kind is int else values


def learn_target(
    column: TargetColumn, sample: pa.ChunkedArray, task: Task | None, *, guessed: bool
) -> tuple[TargetReader, Target, tuple[str, ...]]:
    """What the target is, by the same rules as in memory; and what a user should know of it.

    Args:
        column: What was counted of it.
        sample: Its cells in some rows.
        task: `classification`, `regression`, or None to decide by the values.
        guessed: Whether nobody chose its type, as in delimited text.

    Raises:
        TableError: it cannot be learned.
    """
    name, rows = column.name, column.rows
    if rows < 2:
        raise TableError(
            f"Learning needs rows with a known target; '{name}' is known in {rows} rows to train "
            "with. Fill it in."
        )
    if not column.is_text:
        plain(name, sample)  # refuses what is neither classes nor numbers
    found = _understood(column, sample, guessed=guessed) if column.is_text else None
    if found is not None and not _are_numbers(column, found, task, guessed=guessed):
        return TargetReader(name, worded=True), _classes(column, str), ()
    notes = tuple(remark.text for remark in found.remarks) if found else ()
    written = found.written if found and found.holds == "numbers" else None
    moments = column.moments
    if written is not None:
        values = numbers(name, sample, "numbers", written)
        moments = Moments.of(values[~np.isnan(values)])
    kind = _kind(column)
    if task is None:
        few = written is None and not column.levels.lost and _are_few(column, kind)
        task = "classification" if few or kind is bool else "regression"
    if task == "classification":
        return TargetReader(name, False, written, kind), _classes(column, kind), notes
    _check_differ(name, 1 if moments.least == moments.largest else 2, moments.least, rows)
    ends = moments.least, moments.largest
    target = NumberTarget.of(name, moments.mean, moments.deviation, ends)
    return TargetReader(name, False, written), target, notes


def _understood(column: TargetColumn, sample: pa.ChunkedArray, *, guessed: bool) -> Understood:
    if column.levels.lost:
        return understand(column.name, sample, guessed=guessed)
    cells = pa.array(list(column.levels.counts), pa.large_string())
    counts = np.array(list(column.levels.counts.values()))
    return understand_text(column.name, cells, counts, column.rows, guessed=guessed)


def _are_numbers(
    column: TargetColumn, found: Understood, task: Task | None, *, guessed: bool
) -> bool:
    """Whether text is numbers, and no classes.

    Raises:
        TableError: some cells are no numbers where all others are.
    """
    if column.category or (task == "classification" and not guessed):
        return False
    distinct = np.inf if column.levels.lost else len(column.levels.counts)
    if found.holds is None:
        return guessed and distinct > column.rows / 2 and column.numbers == column.rows
    slip = found.slip or (column.slip if found.written is None else None)
    if found.holds != "numbers" or (slip is not None and distinct <= _FEW):
        return False
    if found.slip is not None:
        raise TableError(
            f"Column '{column.name}' must hold numbers; it holds {found.slip[:80]!r}. Mend the "
            "cell, or leave it empty if it is unknown."
        )
    return True


def _kind(column: TargetColumn) -> type:
    """What the values are that are no text: booleans, whole numbers, or others."""
    if pa.types.is_boolean(column.kind):
        return bool
    values = [value for value in column.levels.counts if value is not None]
    if column.levels.lost:
        return float
    parsed = _parsed(values)
    return int if all(number == round(number) for number in parsed) else float


def _parsed(values: list[Any]) -> list[float]:
    """Distinct values as numbers, without words for missing ones."""
    found: list[float] = []
    for value in values:
        try:
            found.append(float(value))
        except ValueError:
            continue
    return found


def _are_few(column: TargetColumn, kind: type) -> bool:
    """Whether numbers are so few that they are classes."""
    distinct = len(set(_parsed(list(column.levels.counts))))
    return kind is int and few_classes(distinct, column.rows)


def _classes(column: TargetColumn, kind: type) -> ClassTarget:
    """The classes of a column and their shares."""
    weighed: Counter[Any] = Counter()
    for value, weight in column.weighed.counts.items():
        try:
            weighed[value if kind in (str, bool) else kind(float(str(value)))] += weight
        except ValueError:  # a word for a missing value
            continue
    _check_differ(column.name, len(weighed), next(iter(weighed), None), column.rows)
    distinct = len(weighed)
    if column.levels.lost or distinct > column.rows / 2:
        raise too_many_classes(column.name, distinct, column.rows, text=kind is str)
    total = sum(weighed.values())
    classes = sorted(weighed)
    return ClassTarget(column.name, tuple(classes), tuple(weighed[one] / total for one in classes))


def _check_differ(name: str, distinct: int, value: Any, rows: int) -> None:
    if distinct < 2:
        raise TableError(
            f"A target needs two values or more; '{name}' is '{value}' in all {rows:,} rows. Name "
            "another column, or add rows."
        )
