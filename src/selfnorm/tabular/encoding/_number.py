"""A column of numbers, dates or booleans, and how it becomes features of mean 0 and variance 1."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, get_args

import numpy as np
import pyarrow as pa

from selfnorm.errors import TableError
from selfnorm.tabular.data._cells import Holds, count_words, is_way, numbers
from selfnorm.tabular.encoding._cycles import Cycle, cycles_of
from selfnorm.tabular.encoding._pieces import Piece, encode_pieces, pieces_of
from selfnorm.tabular.encoding._records import (
    LARGEST,
    MISSING,
    are_text,
    is_finite,
    moments,
    position,
    quantiles,
    reach,
    require,
)
from selfnorm.tabular.encoding._strange import Strange

# By how many times the range of training rows a number is beyond it to be told. Once is too few: in
# two-fold cross-validation of breast-cancer a column has such a number. A wrong unit is by more.
_BEYOND = 3.0
FAR = 1e100  # whose square is finite, and beyond which nothing changes
BENT = 3.0  # what a number's distance from the middle, in quartiles', is bent toward


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
    what the numbers are, so that dates are not taken for numbers later; `written`, how text writes
    them. Dates have `cycles` besides: what returns with year, month, week and day. `ends` are the
    least and the largest number of the training rows. Without quartiles, as in models of format 1,
    numbers are not bent.
    """

    name: str
    mean: float
    deviation: float
    missing: float
    holds: Holds = "numbers"
    quartiles: tuple[float, float] | None = None
    pieces: tuple[Piece, ...] = ()
    cycles: tuple[Cycle, ...] = ()
    written: str | None = None
    ends: tuple[float, float] | None = None
    kind: ClassVar[str] = "number"

    def __post_init__(self) -> None:
        require(are_text(self.name), "a column's name is text")
        require(is_finite(self.mean) and is_finite(self.deviation), "moments are finite numbers")
        require(self.deviation >= np.finfo(np.float64).tiny, "a deviation is greater than 0")
        require(is_finite(self.missing) and 0 <= self.missing < 1, "a share is in [0, 1)")
        require(not self.missing or reach(self.missing) <= LARGEST, "a share is too small")
        require(self.holds in get_args(Holds), "a column holds numbers, booleans, dates or times")
        require(self.written is None or is_way(self.holds, self.written), "a known way of writing")
        if self.ends is not None:
            require(len(self.ends) == 2 and all(map(is_finite, self.ends)), "ends are numbers")
        if self.quartiles is not None:
            require(len(self.quartiles) == 2, "there are two quartiles")
            require(all(map(is_finite, self.quartiles)), "quartiles are finite numbers")
            require(self.quartiles[0] < self.quartiles[1], "quartiles differ")
            require(self.deviation * LARGEST >= BENT, "a deviation is too small")

    @property
    def reads_text(self) -> bool:
        """Whether a file's cells are to come as text, as they stand there."""
        return self.written is not None

    @property
    def features(self) -> list[str]:
        """Names of the features: the number, whether it is missing, cycles, pieces."""
        missing = [f"{self.name}={MISSING}"] if self.missing else []
        cycles = [f"{self.name}, {cycle.feature}" for cycle in self.cycles]
        pieces = [f"{self.name} from {piece.low:.6g} to {piece.high:.6g}" for piece in self.pieces]
        return [self.name, *missing, *cycles, *pieces]

    @classmethod
    def fit(
        cls,
        name: str,
        column: pa.ChunkedArray,
        rows: np.ndarray,
        rare: int,
        pieces: int = 0,
        *,
        holds: Holds = "numbers",
        written: str | None = None,
    ) -> "NumberColumn | None":
        """Learn quartiles, moments, pieces, cycles, and the share missing (in `rare` rows).

        None if the values do not differ as far as float64 can tell.
        """
        values = numbers(name, column, holds, written)[rows]
        known = values[~np.isnan(values)]
        return cls.of(name, known, len(values), rare, pieces, holds=holds, written=written)

    @classmethod
    def of(
        cls,
        name: str,
        known: np.ndarray,
        rows: int,
        rare: int,
        pieces: int = 0,
        counts: np.ndarray | None = None,
        *,
        holds: Holds = "numbers",
        written: str | None = None,
    ) -> "NumberColumn | None":
        """The same from the values of so many rows that have one, in any order.

        Values that stand for several rows each have `counts`, as those of a sketch.
        """
        if moments(known, rows, counts)[1] < np.finfo(np.float64).tiny:
            return None
        quartiles = _quartiles(known, counts)
        mean, deviation = moments(_bent(known, quartiles), rows, counts)
        absent = rows - (len(known) if counts is None else int(counts.sum()))
        missing = absent / rows if absent >= rare else 0.0
        turns = holds in ("dates", "times of day")
        return cls(
            name,
            mean,
            deviation,
            missing,
            holds,
            quartiles,
            pieces_of(known, rows, pieces, counts),
            cycles_of(known, rows, counts, dates=holds == "dates") if turns else (),
            written,
            (float(known.min()), float(known.max())),
        )

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> "NumberColumn":
        """From what a model file holds."""
        fields: dict[str, Any] = {
            **saved,
            "quartiles": tuple(saved["quartiles"]) if saved.get("quartiles") else None,
            "ends": tuple(saved["ends"]) if saved.get("ends") else None,
            "pieces": tuple(Piece(**piece) for piece in saved.get("pieces", ())),
            "cycles": tuple(Cycle(**cycle) for cycle in saved.get("cycles", ())),
        }
        return cls(**fields)

    def encode(self, column: pa.ChunkedArray, out: np.ndarray) -> None:
        """Write the features of this column into `out`: shape (rows, features), float32."""
        values = numbers(self.name, column, self.holds, self.written)
        absent = np.isnan(values)
        scaled = self._scaled(values)
        scaled[absent] = 0
        out[:, 0] = scaled
        if self.missing:
            out[:, 1] = (absent - self.missing) / math.sqrt(self.missing * (1 - self.missing))
        at = 2 if self.missing else 1
        for cycle in self.cycles:
            out[:, at] = cycle.encode(values)
            at += 1
        if self.pieces:
            out[:, at : at + len(self.pieces)] = encode_pieces(self.pieces, values).T

    def strange(self, column: pa.ChunkedArray) -> Strange:
        """Numbers far outside those of training, and words for missing values."""
        values = numbers(self.name, column, self.holds, self.written)
        low, high = self.ends or (-np.inf, np.inf)
        with np.errstate(over="ignore"):
            beyond = _BEYOND * (high - low)
            far = (values < low - beyond) | (values > high + beyond)
        example = self._shown(values[far][0]) if far.any() else None
        return Strange(len(far), int(far.sum()), example, count_words(column))

    def note(self, strange: Strange) -> str | None:
        """A sentence on them; None if there are none."""
        found: list[str] = []
        if strange.cells and self.ends is not None:
            least, largest = map(self._shown, self.ends)
            found.append(
                f"values far outside those of training, {least} to {largest}, such as "
                f"{strange.example}, in {strange.cells:,} of {strange.rows:,} rows; they count as "
                "hardly more than the outermost"
            )
        if strange.words:
            found.append(f"words for missing values in {strange.words:,} of {strange.rows:,} rows")
        return f"Column '{self.name}' holds {'; and '.join(found)}." if found else None

    def _shown(self, value: float) -> str:
        return str(np.datetime64(math.floor(value), "D")) if self.holds == "dates" else f"{value:g}"

    def _scaled(self, values: np.ndarray) -> np.ndarray:
        if self.quartiles is not None:
            scaled = _bent(values, self.quartiles)
            scaled -= self.mean
            scaled /= self.deviation
            return scaled
        with np.errstate(over="ignore"):
            scaled = (values - self.mean) / self.deviation
        far = np.abs(scaled) > LARGEST
        if far.any():
            row = int(far.argmax())
            raise TableError(
                f"Numbers must be near those of training (mean {self.mean:.3g}, deviation "
                f"{self.deviation:.3g}); column '{self.name}' holds {values[row]:.3g} in row "
                f"{row + 1}. Mend the cell, or leave it empty if it is unknown."
            )
        return scaled


def _bent(values: np.ndarray, quartiles: tuple[float, float]) -> np.ndarray:
    """Numbers in units of their quartiles' distance, from the middle, bent toward a limit."""
    u = position(values, *quartiles)
    u -= 0.5
    np.clip(u, -FAR, FAR, out=u)
    bend = u / BENT
    np.square(bend, out=bend)
    bend += 1
    u /= np.sqrt(bend, out=bend)
    return u


def _quartiles(known: np.ndarray, counts: np.ndarray | None) -> tuple[float, float]:
    """Lower and upper quartile; where they are equal, what lies a quarter from either end."""
    low, lower, _, upper, high = quantiles(known, 4, counts).tolist()
    if lower < upper:
        return lower, upper
    return 0.75 * low + 0.25 * high, 0.25 * low + 0.75 * high
