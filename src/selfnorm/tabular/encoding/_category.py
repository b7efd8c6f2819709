# pyarrow.compute makes its functions when it is imported, out of the type checker's sight.
# pyright: reportAttributeAccessIssue=false
"""A column of categories, and how it becomes features of mean 0 and variance 1."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from selfnorm.tabular.data._cells import text
from selfnorm.tabular.data._words import NULLS, without_nulls
from selfnorm.tabular.encoding._records import (
    LARGEST,
    MISSING,
    are_text,
    are_whole,
    is_finite,
    reach,
    require,
)
from selfnorm.tabular.encoding._strange import Strange

OTHER = "(other)"
_MOST_LEVELS = 100  # a feature each; the rarer ones share `(other)`
_FEW = 10
_ROUNDING = 1e-6  # of the known share, in cells


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

    def __post_init__(self) -> None:
        require(are_text(self.name), "a column's name is text")
        require(are_text(*self.levels), "levels are text")
        require(len(set(self.levels)) == len(self.levels) >= 2, "there are two levels or more")
        require(len(self.shares) == len(self.levels), "each level has its share")
        require(all(is_finite(share) and 0 < share < 1 for share in self.shares), "shares in (0,1)")
        require(are_whole(self.shares), "the levels' shares sum to 1")
        require(is_finite(self.known) and 0 < self.known <= 1, "the known share is in (0, 1]")
        far = max(reach(share, self.known) for share in self.shares)
        require(far <= LARGEST, "a share is too small")

    @property
    def reads_text(self) -> bool:
        """Whether a file's cells are to come as text, as they stand there."""
        return True

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
    ) -> "CategoryColumn | None":
        """Learn the levels that `rare` rows or more have, the 100 most frequent at the most.

        Where every level is rarer than that, those in 10 rows or more count: their features reach
        far, but they may be all that the column says. None if there are no two levels.
        """
        values = without_nulls(text(column.take(rows)))
        counted = pc.value_counts(values.drop_null()).to_pylist()
        counts = {pair["values"]: pair["counts"] for pair in counted}
        return cls.of(name, counts, len(values), values.null_count, rare)

    @classmethod
    def of(
        cls, name: str, counted: Mapping[str, int], rows: int, absent: int, rare: int
    ) -> "CategoryColumn | None":
        """The same from how many of so many rows have each level, and how many have none."""
        frequent = sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))
        if frequent and frequent[0][1] < rare:
            rare = min(rare, _FEW)
        counts = {level: count for level, count in sorted(frequent[:_MOST_LEVELS]) if count >= rare}
        others = rows - absent - sum(counts.values())
        for level, count in ((OTHER, others), (MISSING, absent)):
            if count >= rare:
                counts[level] = counts.get(level, 0) + count
        if len(counts) < 2:
            return None
        total = sum(counts.values())
        shares = tuple(count / total for count in counts.values())
        return cls(name, tuple(counts), shares, total / rows)

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> "CategoryColumn":
        """From what a model file holds."""
        fields: dict[str, Any] = {name: tuple(saved[name]) for name in ("levels", "shares")}
        return cls(**{**saved, **fields})

    def encode(self, column: pa.ChunkedArray, out: np.ndarray) -> None:
        """Write the features of this column into `out`: shape (rows, features), float32."""
        level, by_level = self._levels_of(self._values(column)), self.by_level
        for at in range(by_level.shape[1]):
            out[:, at] = by_level[:, at][level]

    @property
    def by_level(self) -> np.ndarray:
        """The features of each level, (levels + 1, features), float32; the last is for none."""
        shares = np.asarray(self.shares)
        found = np.zeros((len(shares) + 1, len(shares)))
        found[:-1] = np.eye(len(shares)) - shares
        found /= np.sqrt(shares * (1 - shares) * self.known)
        return found[:, self._first :].astype(np.float32)

    def strange(self, column: pa.ChunkedArray) -> Strange:
        """The values that have no level."""
        values = self._values(column)
        lost = (self._levels_of(values) < 0) & values.is_valid().to_numpy()
        example = str(values[int(lost.argmax())]) if lost.any() else None
        return Strange(len(lost), int(lost.sum()), example)

    def note(self, strange: Strange) -> str | None:
        """A sentence on them; None if there are no more than among the training rows."""
        if strange.cells <= (1 - self.known) * strange.rows + _ROUNDING:
            return None
        return (
            f"Column '{self.name}' holds values that training had too seldom or never, such as "
            f"{strange.example!r}, in {strange.cells:,} of {strange.rows:,} rows; there it counts "
            "as in an average row."
        )

    def _values(self, column: pa.ChunkedArray) -> pa.ChunkedArray:
        """The cells as text; `NA` and the like are missing, unless training had it for a level."""
        values = text(column)
        return values if set(NULLS) & set(self.levels) else without_nulls(values)

    def _levels_of(self, values: pa.ChunkedArray) -> np.ndarray:
        """The number of each row's level, -1 where it has none."""
        codes = pc.index_in(values, value_set=pa.array(self.levels, values.type))
        level = codes.fill_null(-1).to_numpy().copy()
        for special, rows in (
            (OTHER, (level < 0) & values.is_valid().to_numpy()),
            (MISSING, values.is_null().to_numpy()),
        ):
            if special in self.levels:
                level[rows] = self.levels.index(special)
        return level
