# pyarrow.compute makes its functions when it is imported, out of the type checker's sight.
# pyright: reportAttributeAccessIssue=false
"""One column of a table and how it becomes features of mean 0 and variance 1.

Each kind is a frozen record of plain numbers and strings: it holds all that a model file needs.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from selfnorm.errors import TableError

OTHER = "(other)"
MISSING = "(missing)"
_MOST_LEVELS = 100


@dataclass(frozen=True)
class NumberColumn:
    """A column of numbers, dates or booleans; a missing value is replaced by the mean.

    `deviation` is that of the column after the replacement, so the feature's variance is 1 over
    the training rows also where values are missing. `missing` is the share of rows without a
    value; it is 0 where they are too few to be a feature of their own.
    """

    name: str
    mean: float
    deviation: float
    missing: float
    kind: ClassVar[str] = "number"

    @property
    def features(self) -> list[str]:
        """Names of the features that `encode` makes."""
        return [self.name] + ([f"{self.name}={MISSING}"] if self.missing else [])

    @classmethod
    def fit(cls, name: str, column: pa.ChunkedArray, rows: np.ndarray, rare: int) -> "NumberColumn":
        """Learn mean, deviation and the share of missing values (if in `rare` rows or more)."""
        values = numbers(name, column)[rows]
        known = values[~np.isnan(values)]
        mean = float(known.mean())
        with np.errstate(over="ignore"):
            deviation = float(np.sqrt(np.square(known - mean).sum() / len(values)))
        if not np.isfinite(deviation):
            raise TableError(
                f"Numbers must be small enough to be squared; column '{name}' goes up to "
                f"{np.abs(known).max():.3g}. Leave such cells empty, or ignore the column."
            )
        absent = len(values) - len(known)
        return cls(name, mean, deviation, absent / len(values) if absent >= rare else 0.0)

    def encode(self, column: pa.ChunkedArray) -> np.ndarray:
        """The features of this column: shape (rows, 1), or (rows, 2) with the missing share."""
        values = numbers(self.name, column)
        absent = np.isnan(values)
        scaled = np.where(absent, 0.0, (values - self.mean) / self.deviation)
        if not self.missing:
            return scaled[:, None]
        return np.column_stack([scaled, _standardized(absent, self.missing)])


@dataclass(frozen=True)
class CategoryColumn:
    """A column of categories, one feature a level; with two levels one feature says it all.

    Levels that are rare in training share the level `(other)`, and missing values are the level
    `(missing)`, each where there are enough of them. A row without a level is encoded as the
    average row: every feature 0. `shares` are the levels' shares among the rows with a level,
    and `known` is the share of those rows: with both, each feature has mean 0 and variance 1.
    """

    name: str
    levels: tuple[str, ...]
    shares: tuple[float, ...]
    known: float
    kind: ClassVar[str] = "category"

    @property
    def features(self) -> list[str]:
        """Names of the features that `encode` makes."""
        return [f"{self.name}={level}" for level in self.levels[self._first :]]

    @property
    def _first(self) -> int:
        return 1 if len(self.levels) == 2 else 0

    @classmethod
    def fit(
        cls, name: str, column: pa.ChunkedArray, rows: np.ndarray, rare: int
    ) -> "CategoryColumn":
        """Learn the levels that `rare` rows or more have, the 100 most frequent at the most."""
        values = text(column.take(rows))
        counted = pc.value_counts(values.drop_null()).to_pylist()
        frequent = sorted(counted, key=lambda pair: (-pair["counts"], pair["values"]))
        counts = {
            pair["values"]: pair["counts"]
            for pair in sorted(frequent[:_MOST_LEVELS], key=lambda pair: pair["values"])
            if pair["counts"] >= rare
        }
        others = len(values) - values.null_count - sum(counts.values())
        for level, count in ((OTHER, others), (MISSING, values.null_count)):
            if count >= rare:
                counts[level] = counts.get(level, 0) + count
        total = sum(counts.values())
        shares = tuple(count / total for count in counts.values())
        return cls(name, tuple(counts), shares, total / len(values))

    def encode(self, column: pa.ChunkedArray) -> np.ndarray:
        """The features of this column: shape (rows, levels), or (rows, 1) for two levels."""
        level = self._levels_of(column)
        encoded = np.empty((len(column), len(self.levels) - self._first))
        for at, number in enumerate(range(self._first, len(self.levels))):
            feature = _standardized(level == number, self.shares[number])
            encoded[:, at] = np.where(level < 0, 0.0, feature / np.sqrt(self.known))
        return encoded

    def unknown(self, column: pa.ChunkedArray) -> str | None:
        """A sentence on values that have no level, or None if there are none."""
        lost = (self._levels_of(column) < 0) & column.is_valid().to_numpy()
        if not lost.any():
            return None
        return (
            f"Column '{self.name}' holds values that training had too seldom or never, such as "
            f"'{column[int(lost.argmax())]}', in {int(lost.sum()):,} of {len(lost):,} rows; there "
            "it counts as in an average row."
        )

    def _levels_of(self, column: pa.ChunkedArray) -> np.ndarray:
        """The number of each row's level, -1 where it has none."""
        values = text(column)
        codes = pc.index_in(values, value_set=pa.array(self.levels, values.type))
        level = codes.fill_null(-1).to_numpy().astype(np.int64)
        for special, rows in (
            (OTHER, (level < 0) & values.is_valid().to_numpy()),
            (MISSING, values.is_null().to_numpy()),
        ):
            if special in self.levels:
                level[rows] = self.levels.index(special)
        return level


Column = NumberColumn | CategoryColumn


def numbers(name: str, column: pa.ChunkedArray) -> np.ndarray:
    """A column as float64 with nan for missing: also from booleans, dates (in days) and text."""
    kind = column.type
    if pa.types.is_temporal(kind):
        column = _days(column)
    elif is_text(kind):
        column = pc.utf8_trim_whitespace(column)
    try:
        values = pc.cast(column, pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise TableError(_not_numbers(name, column)) from error
    array = values.to_numpy().astype(np.float64)
    if np.isinf(array).any():
        raise TableError(
            f"Numbers must be finite; column '{name}' is infinite in row "
            f"{int(np.isinf(array).argmax()) + 1}. Leave the cell empty if it is unknown."
        )
    return array


def text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column as text without outer spaces; the number 7.0 is `7`."""
    if pa.types.is_dictionary(column.type):
        column = pc.cast(column, column.type.value_type)
    return pc.utf8_trim_whitespace(pc.cast(column, pa.large_string()))


def is_text(kind: pa.DataType) -> bool:
    """Whether an Arrow type is text, in any of its layouts."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def first_text(column: pa.ChunkedArray) -> tuple[int, str] | None:
    """Row (from 1) and value of the first cell of a text column that is not a number."""
    for row, cell in enumerate(column.to_pylist(), 1):
        if cell is not None and not looks_like_number(cell):
            return row, cell
    return None


def looks_like_number(cell: str) -> bool:
    """Whether a cell's text is a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _not_numbers(name: str, column: pa.ChunkedArray) -> str:
    found = first_text(column) if is_text(column.type) else None
    came = f"row {found[0]} holds '{found[1]}'" if found else f"it holds {column.type}"
    return (
        f"Column '{name}' must hold numbers, as it did in training; {came}. Mend the cell, or "
        "leave it empty if it is unknown."
    )


def _days(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Dates and times as days, counted from 1970-01-01; durations and times of day as days too."""
    if pa.types.is_date(column.type):
        return pc.cast(pc.cast(column, pa.date32()), pa.int32())
    per_day = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
    ticks = pc.cast(column, pa.int32() if pa.types.is_time32(column.type) else pa.int64())
    return pc.divide(pc.cast(ticks, pa.float64(), safe=False), float(per_day[column.type.unit]))


def _standardized(indicator: np.ndarray, share: float) -> np.ndarray:
    """A 0/1 feature that is 1 in `share` of the rows, with mean 0 and variance 1."""
    return (indicator - share) / np.sqrt(share * (1 - share))
