"""An axis: from values to positions, and the round numbers on the way."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

_LEAST, _MOST = 1e-250, 1e250  # so that air and factors stay within float64


@dataclass(frozen=True)
class Axis:
    """One side of a chart.

    Attributes:
        label: What is measured.
        low: Value where it begins; positive if logarithmic.
        high: Value where it ends; greater than `low`.
        logarithmic: Whether equal factors are equal distances.
        whole: Whether only whole numbers are marked.
    """

    label: str
    low: float
    high: float
    logarithmic: bool = False
    whole: bool = False

    def held(self, value: float) -> float:
        """The value, or the end that it lies beyond."""
        return min(max(value, self.low), self.high)

    def share(self, value: float) -> float:
        """How far along the axis a value lies, from 0 to 1; what is beyond an end lies there."""
        low, high, at = (self._bent(x) for x in (self.low, self.high, self.held(value)))
        return (at - low) / (high - low)

    def ticks(self) -> tuple[float, ...]:
        """A few round numbers between the ends; each is the float that is nearest to a decimal."""
        if not self.logarithmic:
            return _steps(self.low, self.high, least=1.0 if self.whole else 0.0)
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        decades = [k for k in range(first, last + 1) if self.low <= _decimal(1, k) <= self.high]
        if len(decades) >= 3:
            step = -(-(len(decades) - 1) // 5)
            return tuple(_decimal(1, k) for k in decades if k % step == 0)
        between = [_decimal(m, k) for k in range(first, last + 1) for m in (1, 2, 5)]
        marks = tuple(mark for mark in between if self.low <= mark <= self.high)
        return marks if len(marks) >= 3 else _steps(self.low, self.high)

    def _bent(self, value: float) -> float:
        return math.log10(value) if self.logarithmic else value


def counting(label: str, first: float, last: float, air: float = 0.5) -> Axis:
    """An axis of whole numbers, with air at each end."""
    return Axis(label, first - air, last + air, whole=True)


def around(label: str, values: Sequence[float]) -> Axis:
    """An axis around values, with air."""
    low, high = (min(max(end, -_MOST), _MOST) for end in (min(values), max(values)))
    air = 0.04 * (high - low) or 0.04 * abs(high) or 1.0
    return Axis(label, low - air, high + air)


def logarithmic(label: str, values: Sequence[float]) -> Axis:
    """A logarithmic axis around positive values, with air."""
    low, high = (math.log10(min(max(end, _LEAST), _MOST)) for end in (min(values), max(values)))
    air = max(0.01, 0.04 * (high - low))
    return Axis(label, 10.0 ** (low - air), 10.0 ** (high + air), logarithmic=True)


def _steps(low: float, high: float, least: float = 0.0) -> tuple[float, ...]:
    """Up to seven multiples of 1, 2 or 5 times a power of ten."""
    raw = max((high - low) / 6, least)
    power = math.floor(math.log10(raw))
    factor = next((m for m in (1, 2, 5) if _decimal(m, power) >= raw), 10)
    step = _decimal(factor, power)
    numbers = range(math.floor(low / step), math.ceil(high / step) + 1)
    marks = (_decimal(factor * number, power) for number in numbers)
    return tuple(mark for mark in marks if low <= mark <= high)


def _decimal(digits: int, power: int) -> float:
    """`digits * 10**power`, correctly rounded, which a product of floats is not."""
    return float(f"{digits}e{power}")
