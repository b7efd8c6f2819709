"""The shape of a distribution, from a sample of rows and units, without torch."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from selfnorm.recording._layer import Histogram
from selfnorm.recording._quiet import quiet
from selfnorm.theory import SELUForm, selu_constants
from selfnorm.theory._types import FloatArray

_BINS = 48
_SELU_FLOOR = selu_constants().saturation
_FLAT = 0.01


@dataclass(frozen=True)
class Sample:
    """What some rows of some units show."""

    saturated: float
    kurtosis: float
    correlation: float
    correlation_size: float
    histogram: Histogram

    def with_saturated(self, share: float) -> Self:
        """The same, but for one figure."""
        return replace(self, saturated=share)


NO_SAMPLE = Sample(np.nan, np.nan, np.nan, np.nan, Histogram(np.array([0.0, 1.0]), np.zeros(1)))


class LaterSample:
    """The same of rows that are kept, each figure worked out when someone asks for it.

    Most reports are asked for few of them, and of a small network they cost more than its pass.

    Args:
        rows: Gives a matrix of rows by units.
        activation: As in `Layer`.
        form: Of a SELU in another form.
        product: Of two matrices.
    """

    def __init__(
        self,
        rows: Callable[[], FloatArray],
        activation: str,
        form: SELUForm | None = None,
        product: Callable[[FloatArray, FloatArray], FloatArray] = np.matmul,
    ) -> None:
        self._rows, self._product = rows, product
        self._activation, self._form = activation, form

    def with_saturated(self, share: float) -> "LaterSample":
        """The same, but for one figure."""
        other = LaterSample(self._rows, self._activation, self._form, self._product)
        other.__dict__["_saturated"] = share
        return other

    @property
    def saturated(self) -> float:
        """As in `Layer`, and so are all others."""
        return self._saturated

    @property
    def kurtosis(self) -> float:
        return self._kurtosis

    @property
    def correlation(self) -> float:
        return self._correlations[0]

    @property
    def correlation_size(self) -> float:
        return self._correlations[1]

    @property
    def histogram(self) -> Histogram:
        return self._histogram

    @cached_property
    @quiet
    def _saturated(self) -> float:
        flat = self._finite().ravel()
        return saturated(flat, self._activation, self._form) if flat.size else np.nan

    @cached_property
    def _kurtosis(self) -> float:
        flat = self._finite().ravel()
        return kurtosis(flat) if flat.size else np.nan

    @cached_property
    @quiet
    def _histogram(self) -> Histogram:
        flat = self._finite().ravel()
        return _histogram(flat) if flat.size else NO_SAMPLE.histogram

    @cached_property
    def _correlations(self) -> tuple[float, float]:
        return correlations(self._finite(), self._product)

    def _finite(self) -> FloatArray:
        return _finite(self._rows())


@quiet
def sample_of(
    rows: FloatArray,
    activation: str,
    form: SELUForm | None = None,
    product: Callable[[FloatArray, FloatArray], FloatArray] = np.matmul,
) -> Sample:
    """Shape of the distribution of a matrix of rows by units, those with infinities left out."""
    rows = _finite(rows)
    flat = rows.ravel()
    if not flat.size:
        return NO_SAMPLE
    correlation, size = correlations(rows, product)
    shape = _histogram(flat)
    return Sample(saturated(flat, activation, form), kurtosis(flat), correlation, size, shape)


@quiet
def kurtosis(values: FloatArray) -> float:
    """Fourth moment by squared variance; nan where nothing varies."""
    squares = np.square(values - values.mean())
    variance = float(squares.mean())
    return float((squares * squares).mean()) / (variance * variance) if variance > 1e-30 else np.nan


@quiet
def correlations(
    rows: FloatArray, product: Callable[[FloatArray, FloatArray], FloatArray] = np.matmul
) -> tuple[float, float]:
    """Mean correlation between two columns, and root mean square without what chance gives."""
    rows = _finite(rows)
    count = len(rows)
    if count < 4:
        return np.nan, np.nan
    mean = rows.mean(0)
    apart = rows - mean
    variance = np.square(apart).mean(0)
    moving = variance > 1e-12 * max(float(variance.mean() + np.square(mean).mean()), 1e-30)
    width = int(moving.sum())
    if width < 2:
        return np.nan, np.nan
    standard = apart[:, moving] / np.sqrt(variance[moving])
    table = product(standard.T, standard) / count
    apart = table[~np.eye(width, dtype=bool)]
    return float(apart.mean()), float(np.sqrt(max(np.mean(apart**2) - 1 / count, 0.0)))


def _finite(rows: FloatArray) -> FloatArray:
    """Those without infinities and nan."""
    whole = np.isfinite(rows)
    return rows if whole.all() else rows[whole.all(1)]


def _histogram(flat: FloatArray) -> Histogram:
    """Values nearer to each other than bins can be stand in the middle of wider ones."""
    low, high = float(flat.min()), float(flat.max())
    if high == low or high - low < 1e-9 * max(abs(low), abs(high)):
        room = max(1e-6 * max(abs(low), abs(high)), 0.5)
        low, high = low - room, high + room
    if not math.isfinite(high - low):
        return NO_SAMPLE.histogram
    places = ((flat - low) * (_BINS / (high - low))).astype(np.int64)  # np.histogram is slower
    counts = np.bincount(np.minimum(places, _BINS - 1), minlength=_BINS)
    return Histogram(np.linspace(low, high, _BINS + 1), counts.astype(np.float64))


def saturated(flat: FloatArray, activation: str, form: SELUForm | None = None) -> float:
    """Share of an activation's values where its slope is below 1 % of its largest."""
    if form is not None:
        if form.linear:
            return 0.0  # a line nowhere does
        flat = (flat - form.shift) / form.factor
    if activation == "selu":
        return float(np.mean((flat < _SELU_FLOOR * (1 - _FLAT)) & (flat > _SELU_FLOOR * 1.001)))
    if activation in {"relu", "relu6"}:
        return float(np.mean(flat <= 0))
    if activation == "tanh":
        return float(np.mean(1 - flat**2 < _FLAT))
    if activation == "sigmoid":
        return float(np.mean(4 * flat * (1 - flat) < _FLAT))
    return np.nan
