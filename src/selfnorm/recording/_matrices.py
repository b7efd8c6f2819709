"""Moments of what a layer puts out, and of its weights, in NumPy."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from selfnorm.recording import Weights
from selfnorm.recording._quiet import quiet
from selfnorm.recording._sample import kurtosis
from selfnorm.theory._types import FloatArray

_UNITS, _ROWS, _WEIGHTS = 64, 1024, 1 << 16
_FAR, _PROBES, _STEPS = 0.5, 4, 16


def units_last(value: NDArray[np.generic], dims: Sequence[int] | None) -> FloatArray:
    """A matrix of rows by units, float64."""
    wide = np.asarray(value, np.float64)
    if wide.ndim < 2:
        return wide.reshape(1, -1)
    places = sorted(d % wide.ndim for d in (dims or (-1,)))
    rest = [d for d in range(wide.ndim) if d not in places]
    width = math.prod(wide.shape[d] for d in places)
    return wide.transpose(*rest, *places).reshape(-1, width)


def thinned(rows: FloatArray) -> FloatArray:
    """At most 64 units and some thousand rows, spread evenly."""
    units = rows[:, :: max(1, -(-rows.shape[1] // _UNITS))]
    return units[:: max(1, len(units) // _ROWS)]


@quiet
def weights_of(
    name: str, matrix: NDArray[np.generic], groups: int, steps: Sequence[int]
) -> Weights:
    """Of a weight `(units, inputs, *window)`.

    Args:
        name: Its qualified name.
        matrix: Its values.
        groups: How many matrices lie below each other.
        steps: Of a transposed convolution: every how many taps reach one output.
    """
    wide = np.asarray(matrix, np.float64)
    parts = list(phases(wide, steps))
    flat = [part.reshape(len(part), -1) for part in parts]
    some = wide.ravel()
    return Weights(
        name=name,
        shape=tuple(wide.shape),
        omega=np.concatenate([part.sum(1) for part in flat]),
        tau=np.concatenate([np.square(part).sum(1) for part in flat]),
        fan_in=max(part.shape[1] for part in flat),
        terms=max(part.shape[1] for part in flat),
        kurtosis=kurtosis(some[:: max(1, some.size // _WEIGHTS)]),
        frozen=False,
        gram_error=_gram_error([m for part in flat for m in np.split(part, groups)]),
    )


def phases(weight: FloatArray, steps: Sequence[int]) -> list[FloatArray]:
    """Of a transposed convolution's weight: the taps that reach one output, phase by phase."""
    parts = [weight]
    for axis, step in enumerate(steps, 2):
        starts = range(min(step, weight.shape[axis]))
        parts = [
            part[(slice(None),) * axis + (slice(start, None, step),)]
            for part in parts
            for start in starts
        ]
    return parts


def _gram_error(matrices: Sequence[FloatArray]) -> float:
    """The spectral norm of `A^T A / s**2 - I`, the largest; nan if above .5."""
    worst = -math.inf
    for matrix in matrices:
        rows, columns = matrix.shape
        a = matrix / math.sqrt(max(rows, columns) / columns)
        a = a if rows <= columns else a.T
        v = np.random.default_rng(0).standard_normal((len(a), _PROBES))
        size = _growth(a, v)
        if not size <= _FAR:
            return math.nan
        for _ in range(_STEPS):
            v = a @ (a.T @ v) - v
            v /= max(float(np.linalg.norm(v)), 1e-300)
        worst = max(worst, _growth(a, v))
    return worst if 0 <= worst <= _FAR else math.nan


def _growth(a: FloatArray, v: FloatArray) -> float:
    """What the norm of `a a^T - 1` is at least."""
    lengths = np.maximum(np.linalg.norm(v, axis=0), 1e-300)
    return float((np.linalg.norm(a @ (a.T @ v) - v, axis=0) / lengths).max())
