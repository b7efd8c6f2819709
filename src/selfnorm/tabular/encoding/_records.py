"""What a record that is read from a model file has to keep, and moments of numbers.

Each kind of column is a frozen record of plain numbers and strings: all that a model file needs.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

MISSING = "(missing)"
# Features are float32: what is beyond would be infinite there.
LARGEST = float(np.finfo(np.float32).max)


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


def moments(
    known: np.ndarray, rows: float, counts: np.ndarray | None = None
) -> tuple[float, float]:
    """Mean of the known values, and deviation once the mean stands for those missing of `rows`.

    The values are scaled by a power of two first, which rounds nothing, so that no sum or square
    leaves float64's range.
    """
    largest = np.abs(known).max(initial=0.0)
    if largest == 0:
        return 0.0, 0.0
    unit = math.ldexp(1.0, math.frexp(largest)[1] - 1)
    scaled = known / unit
    mean = np.average(scaled, weights=counts)
    squares = np.square(scaled - mean)
    deviation = np.sqrt((squares if counts is None else squares * counts).sum() / rows)
    return float(mean) * unit, float(deviation) * unit


def unit_of(low: float, high: float) -> float:
    """A power of two of the size of the larger."""
    return math.ldexp(1.0, math.frexp(max(abs(low), abs(high)))[1] - 1)


def position(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 at `low`, 1 at `high`, linear: without leaving float64's range on the way."""
    return positions(values, low, high, unit_of(low, high))


def positions(values: np.ndarray, low: Any, high: Any, unit: Any) -> np.ndarray:
    """The same between several ends, whose `unit_of` is known."""
    with np.errstate(over="ignore"):
        found = values / unit
        found -= low / unit
        found /= high / unit - low / unit
    return found


def reach(share: float, known: float = 1.0) -> float:
    """What a feature's values stay below that is 1 in a share of the known rows, else 0."""
    square = share * (1 - share) * known
    return 1 / math.sqrt(square) if square else math.inf


def quantiles(known: np.ndarray, parts: int, counts: np.ndarray | None = None) -> np.ndarray:
    """From the least number to the largest in equal shares of the rows: parts + 1 of them.

    Numbers that stand for several rows each have `counts`.
    """
    unit = math.ldexp(1.0, math.frexp(float(np.abs(known).max()))[1])
    if counts is None:
        ordered, places = np.sort(known), np.arange(len(known))
    else:  # the first and the last of the rows that each stands for
        order = np.argsort(known)
        last = np.cumsum(counts[order]) - 1
        places = np.stack([last - counts[order] + 1, last], axis=1).ravel()
        ordered = np.repeat(known[order], 2)
    shares = np.linspace(0, places[-1], parts + 1)
    # In a unit of their own: a difference of two may leave float64's range.
    return np.interp(shares, places, ordered / unit) * unit
