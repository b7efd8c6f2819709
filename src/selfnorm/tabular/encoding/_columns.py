# pyarrow.compute makes its functions when it is imported, out of the type checker's sight.
# pyright: reportAttributeAccessIssue=false
"""One column of a table and how it becomes features of mean 0 and variance 1.

Each kind is a frozen record of plain numbers and strings: it holds all that a model file needs.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from selfnorm.errors import TableError
from selfnorm.tabular.data._cells import Holds, decoded, holds, is_text, numbers, text

OTHER = "(other)"
MISSING = "(missing)"
_MOST_LEVELS = 100  # a feature each; the rarer ones share `(other)`
_FEW = 10
# Features are float32: what is beyond would be infinite there.
_LARGEST = float(np.finfo(np.float32).max)
_BENT = 3.0  # what a number's distance from the middle, in quartiles', is bent toward
_FLATTEST = 0.05  # of a piece: that of a feature that is 1 in a 400th of the rows


@dataclass(frozen=True)
class Piece:
    """How far a number has come from `low` to `high`, in [0, 1], standardized.

    Source: the piecewise linear encoding of Gorishniy et al. 2022 (arXiv 2203.05556, section 3.2).
    """

    low: float
    high: float
    mean: float
    deviation: float

    def __post_init__(self) -> None:
        require(all(map(is_finite, vars(self).values())), "a piece is of finite numbers")
        require(self.low < self.high, "a piece has a length")
        require(0 < self.deviation <= 1, "a piece's deviation is in (0, 1]")

    @classmethod
    def fit(cls, low: float, high: float, values: np.ndarray, rows: int) -> "Piece | None":
        """Learn from the known values of so many rows; None if it tells a few rows apart alone."""
        mean, deviation = moments(np.clip(_position(values, low, high), 0, 1), rows)
        return cls(low, high, mean, deviation) if deviation >= _FLATTEST else None

    def encode(self, values: np.ndarray) -> np.ndarray:
        """The feature: mean 0 and variance 1 on training rows, 0 where the value is nan."""
        part = np.clip(_position(values, self.low, self.high), 0, 1)
        return np.nan_to_num((part - self.mean) / self.deviation, nan=0.0)


@dataclass(frozen=True)
class NumberColumn:
    """A column of numbers, dates or booleans; a missing value is replaced by the mean.

    A number is scaled by quartiles and bent toward a limit, `u / sqrt(1 + (u / 3)^2)` with `u` its
    distance from the quartiles' middle by theirs from each other (Holzmueller et al. 2024, arXiv
    2407.04491, appendix A), so that no outlier outweighs the rest; then it is standardized. Besides
    there are `pieces`, each a feature, by which what happens between two quantiles can be told from
    what happens elsewhere.

    `mean` and `deviation` are those of the bent values after the replacement, so the feature's
    variance is 1 over the training rows also where values are missing. `missing` is the share of
    rows without a value; it is 0 where they are too few to be a feature of their own. `holds` says
    what the numbers are, so that dates are not taken for numbers later. Without quartiles, as in
    models of format 1, numbers are not bent.
    """

    name: str
    mean: float
    deviation: float
    missing: float
    holds: Holds = "numbers"
    quartiles: tuple[float, float] | None = None
    pieces: tuple[Piece, ...] = ()
    kind: ClassVar[str] = "number"

    def __post_init__(self) -> None:
        require(are_text(self.name), "a column's name is text")
        require(is_finite(self.mean) and is_finite(self.deviation), "moments are finite numbers")
        require(self.deviation >= np.finfo(np.float64).tiny, "a deviation is greater than 0")
        require(is_finite(self.missing) and 0 <= self.missing < 1, "a share is in [0, 1)")
        require(not self.missing or _reach(self.missing) <= _LARGEST, "a share is too small")
        require(self.holds in get_args(Holds), "a column holds numbers, booleans, dates or times")
        if self.quartiles is not None:
            require(len(self.quartiles) == 2, "there are two quartiles")
            require(all(map(is_finite, self.quartiles)), "quartiles are finite numbers")
            require(self.quartiles[0] < self.quartiles[1], "quartiles differ")
            require(self.deviation * _LARGEST >= _BENT, "a deviation is too small")

    @property
    def features(self) -> list[str]:
        """Names of the features that `encode` makes: the number, whether it is missing, pieces."""
        pieces = [f"{self.name} from {piece.low:.6g} to {piece.high:.6g}" for piece in self.pieces]
        return [self.name, *([f"{self.name}={MISSING}"] if self.missing else []), *pieces]

    @classmethod
    def fit(
        cls, name: str, column: pa.ChunkedArray, rows: np.ndarray, rare: int, pieces: int = 0
    ) -> "NumberColumn | None":
        """Learn quartiles, moments, pieces, and the share of missing values (in `rare` rows).

        None if the values do not differ as far as float64 can tell.
        """
        kind = decoded(column).type
        found: Holds = "numbers" if is_text(kind) else holds(kind) or "numbers"
        values = numbers(name, column, found)[rows]
        known = values[~np.isnan(values)]
        if moments(known, len(values))[1] < np.finfo(np.float64).tiny:
            return None
        quartiles = _quartiles(known)
        mean, deviation = moments(_bent(known, quartiles), len(values))
        absent = len(values) - len(known)
        missing = absent / len(values) if absent >= rare else 0.0
        parts = _pieces(known, len(values), pieces)
        return cls(name, mean, deviation, missing, found, quartiles, parts)

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> "NumberColumn":
        """From what a model file holds."""
        quartiles = tuple(saved["quartiles"]) if saved.get("quartiles") else None
        pieces = tuple(Piece(**piece) for piece in saved.get("pieces", ()))
        fields: dict[str, Any] = {**saved, "quartiles": quartiles, "pieces": pieces}
        return cls(**fields)

    def encode(self, column: pa.ChunkedArray, out: np.ndarray) -> None:
        """Write the features of this column into `out`: shape (rows, features), float32."""
        values = numbers(self.name, column, self.holds)
        absent = np.isnan(values)
        scaled = self._scaled(values)
        scaled[absent] = 0
        out[:, 0] = scaled
        if self.missing:
            out[:, 1] = (absent - self.missing) / math.sqrt(self.missing * (1 - self.missing))
        for at, piece in enumerate(self.pieces, 2 if self.missing else 1):
            out[:, at] = piece.encode(values)

    def _scaled(self, values: np.ndarray) -> np.ndarray:
        if self.quartiles is not None:
            return (_bent(values, self.quartiles) - self.mean) / self.deviation
        with np.errstate(over="ignore"):
            scaled = (values - self.mean) / self.deviation
        far = np.abs(scaled) > _LARGEST
        if far.any():
            row = int(far.argmax())
            raise TableError(
                f"Numbers must be near those of training (mean {self.mean:.3g}, deviation "
                f"{self.deviation:.3g}); column '{self.name}' holds {values[row]:.3g} in row "
                f"{row + 1}. Mend the cell, or leave it empty if it is unknown."
            )
        return scaled


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
        far = max(_reach(share, self.known) for share in self.shares)
        require(far <= _LARGEST, "a share is too small")

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
        values = text(column.take(rows))
        counted = pc.value_counts(values.drop_null()).to_pylist()
        frequent = sorted(counted, key=lambda pair: (-pair["counts"], pair["values"]))
        if frequent and frequent[0]["counts"] < rare:
            rare = min(rare, _FEW)
        counts = {
            pair["values"]: pair["counts"]
            for pair in sorted(frequent[:_MOST_LEVELS], key=lambda pair: pair["values"])
            if pair["counts"] >= rare
        }
        others = len(values) - values.null_count - sum(counts.values())
        for level, count in ((OTHER, others), (MISSING, values.null_count)):
            if count >= rare:
                counts[level] = counts.get(level, 0) + count
        if len(counts) < 2:
            return None
        total = sum(counts.values())
        shares = tuple(count / total for count in counts.values())
        return cls(name, tuple(counts), shares, total / len(values))

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> "CategoryColumn":
        """From what a model file holds."""
        fields: dict[str, Any] = {name: tuple(saved[name]) for name in ("levels", "shares")}
        return cls(**{**saved, **fields})

    def encode(self, column: pa.ChunkedArray, out: np.ndarray) -> None:
        """Write the features of this column into `out`: shape (rows, features), float32."""
        level = self._levels_of(text(column))
        for at, number in enumerate(range(self._first, len(self.levels))):
            share = self.shares[number]
            by_level = np.zeros(len(self.levels) + 1)  # the last, number -1, is for no level
            by_level[:-1] = -share
            by_level[number] += 1
            by_level /= math.sqrt(share * (1 - share) * self.known)
            out[:, at] = by_level.astype(np.float32)[level]

    def unknown(self, column: pa.ChunkedArray) -> str | None:
        """A sentence on values that have no level, or None if there are none."""
        values = text(column)
        lost = (self._levels_of(values) < 0) & values.is_valid().to_numpy()
        if not lost.any():
            return None
        return (
            f"Column '{self.name}' holds values that training had too seldom or never, such as "
            f"{str(values[int(lost.argmax())])!r}, in {int(lost.sum()):,} of {len(lost):,} rows; "
            "there it counts as in an average row."
        )

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


Column = NumberColumn | CategoryColumn


def moments(known: np.ndarray, rows: int) -> tuple[float, float]:
    """Mean of the known values, and deviation once the mean stands for those missing of `rows`.

    The values are scaled by a power of two first, which rounds nothing, so that no sum or square
    leaves float64's range.
    """
    largest = np.abs(known).max(initial=0.0)
    if largest == 0:
        return 0.0, 0.0
    unit = math.ldexp(1.0, math.frexp(largest)[1] - 1)
    scaled = known / unit
    mean = scaled.mean()
    deviation = np.sqrt(np.square(scaled - mean).sum() / rows)
    return float(mean) * unit, float(deviation) * unit


def _position(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 at `low`, 1 at `high`, linear: without leaving float64's range on the way."""
    unit = math.ldexp(1.0, math.frexp(max(abs(low), abs(high)))[1] - 1)
    with np.errstate(over="ignore"):
        return (values / unit - low / unit) / (high / unit - low / unit)


def _bent(values: np.ndarray, quartiles: tuple[float, float]) -> np.ndarray:
    """Numbers in units of their quartiles' distance, from the middle, bent toward a limit."""
    far = 1e100  # whose square is finite, and beyond which nothing changes
    u = np.clip(_position(values, *quartiles) - 0.5, -far, far)
    return u / np.sqrt(1 + np.square(u / _BENT))


def _quantiles(known: np.ndarray, parts: int) -> np.ndarray:
    """From the least number to the largest in equal shares of the rows: parts + 1 of them."""
    unit = math.ldexp(1.0, math.frexp(float(np.abs(known).max()))[1])
    ordered = np.sort(known) / unit  # a difference of two may leave float64's range
    places = np.linspace(0, len(ordered) - 1, parts + 1)
    return np.interp(places, np.arange(len(ordered)), ordered) * unit


def _quartiles(known: np.ndarray) -> tuple[float, float]:
    """Lower and upper quartile; where they are equal, what lies a quarter from either end."""
    low, lower, _, upper, high = _quantiles(known, 4).tolist()
    if lower < upper:
        return lower, upper
    return 0.75 * low + 0.25 * high, 0.25 * low + 0.75 * high


def _pieces(known: np.ndarray, rows: int, most: int) -> tuple[Piece, ...]:
    """The pieces between quantiles; none where the number itself says what they would."""
    knots = np.unique(_quantiles(known, most)).tolist() if most > 1 else []
    if len(knots) < 3:
        return ()
    found = (Piece.fit(low, high, known, rows) for low, high in pairwise(knots))
    return tuple(piece for piece in found if piece is not None)


def _reach(share: float, known: float = 1.0) -> float:
    """What a feature's values stay below that is 1 in a share of the known rows, else 0."""
    square = share * (1 - share) * known
    return 1 / math.sqrt(square) if square else math.inf


def require(condition: bool, rule: str) -> None:
    """Raise ValueError unless a record keeps a rule, as those read from a file may not."""
    if not condition:
        raise ValueError(rule)


def is_finite(value: Any) -> bool:
    """Whether a value read from a file is a finite number."""
    return type(value) in (int, float) and math.isfinite(value)


def are_text(*values: Any) -> bool:
    """Whether values read from a file are text, which UTF-8 can write."""
    return all(isinstance(value, str) and _is_utf8(value) for value in values)


def are_whole(shares: Iterable[float]) -> bool:
    """Whether shares sum to 1, but for rounding."""
    return abs(math.fsum(shares) - 1) < 1e-9


def _is_utf8(value: str) -> bool:
    """JSON can hold halves of surrogate pairs, which no table has."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
