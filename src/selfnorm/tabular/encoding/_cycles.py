"""What returns with a date: the time of the year, the month, the week and the day."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from selfnorm.tabular.encoding._records import is_finite, moments, require

_DAYS = {"year": 366, "month": 31, "week": 7, "day": 1}
_FLATTEST = 0.05  # a sine's deviation, whose largest is 0.7: below, it tells a few rows apart alone


def _of_calendar(days: np.ndarray, unit: Literal["Y", "M"]) -> np.ndarray:
    date = np.floor(days).astype("datetime64[D]")
    start = date.astype(f"datetime64[{unit}]")
    begin, end = start.astype("datetime64[D]"), (start + 1).astype("datetime64[D]")
    return (date - begin) / (end - begin)


def _of_week(days: np.ndarray) -> np.ndarray:
    return (np.floor(days) + 3) % 7 / 7  # 1970-01-01 was a Thursday; the week begins on Monday


def _of_day(days: np.ndarray) -> np.ndarray:
    return days % 1


_PLACE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "year": partial(_of_calendar, unit="Y"),
    "month": partial(_of_calendar, unit="M"),
    "week": _of_week,
    "day": _of_day,
}
_WAVES: dict[str, Callable[[np.ndarray], np.ndarray]] = {"sin": np.sin, "cos": np.cos}


@dataclass(frozen=True)
class Cycle:
    """A sine or cosine of how much of its year, month, week or day a moment has behind it.

    Sine and cosine together tell each place in the period, and its end is next to its beginning.
    The feature is standardized.
    """

    period: str
    wave: str
    mean: float
    deviation: float

    def __post_init__(self) -> None:
        require(self.period in _PLACE and self.wave in _WAVES, "a cycle is of a known period")
        require(is_finite(self.mean) and is_finite(self.deviation), "moments are finite numbers")
        require(0 < self.deviation <= 1, "a cycle's deviation is in (0, 1]")

    @property
    def feature(self) -> str:
        """What the feature is called, behind the column's name."""
        return f"{self.wave} of the {self.period}"

    def encode(self, days: np.ndarray) -> np.ndarray:
        """The feature of moments in days since 1970: 0 where the moment is nan."""
        return np.where(np.isnan(days), 0, (self._turn(days) - self.mean) / self.deviation)

    def _turn(self, days: np.ndarray) -> np.ndarray:
        place = _PLACE[self.period](np.nan_to_num(days, nan=0.0))
        return _WAVES[self.wave](2 * np.pi * place)


def cycles_of(
    known: np.ndarray, rows: int, counts: np.ndarray | None = None, *, dates: bool
) -> tuple[Cycle, ...]:
    """The cycles of some moments, in days, among so many rows.

    Of dates, those that go full circle, for within one the date itself tells the place; of times
    of day the day. A wave that tells few rows apart is left out.
    """
    found: list[Cycle] = []
    span = float(known.max() - known.min())
    for period in [one for one in _DAYS if span > _DAYS[one]] if dates else ["day"]:
        for wave in _WAVES:
            mean, deviation = moments(Cycle(period, wave, 0.0, 1.0).encode(known), rows, counts)
            if deviation >= _FLATTEST:
                found.append(Cycle(period, wave, mean, deviation))
    return tuple(found)
