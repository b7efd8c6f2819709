"""The moments of what a model is given, where a layer with weights reads it."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from selfnorm.recording import Features
from selfnorm.recording._quiet import quiet
from selfnorm.theory._types import FloatArray
from selfnorm.watch._calls import is_float
from selfnorm.watch._draft import Draft
from selfnorm.watch._moments import Accumulator, correlations, to_double

_ROWS, _UNITS = 2048, 64


@dataclass
class _Reading:
    """The model's input as one layer reads it."""

    moments: Accumulator
    low: float
    high: float
    correlation: float
    correlation_size: float
    row_spread: float
    rarity: float
    computed: bool


class Readings:
    """The model's input as each layer reads it.

    Attributes:
        given: The tensors that the model is given in this pass.
    """

    def __init__(self) -> None:
        self._found: dict[int, _Reading] = {}
        self.given: list[Tensor] = []

    def read(self, value: Tensor, draft: Draft) -> None:
        """Add what a layer reads in one batch."""
        if not is_float(value) or not value.numel():
            return
        dim = 1 if draft.call.channels_second and value.ndim > 2 else value.ndim - 1
        reading = self._found.get(draft.index)
        if reading is None:
            rows = value.detach().movedim(dim, -1).reshape(-1, value.shape[dim])
            step = max(1, len(rows) // _ROWS)
            some = to_double(rows[::step, :: max(1, rows.shape[1] // _UNITS)]).numpy()
            of_images = draft.call.channels_second and value.ndim > 2
            spread = np.nan if of_images else _spread(rows[::step])
            reading = _Reading(
                Accumulator(),
                np.inf,
                -np.inf,
                *correlations(some),
                spread,
                _rarity(some),
                not any(_are_numbers_of(value, given) for given in self.given),
            )
            self._found[draft.index] = reading
        reading.moments.update(value, dim)
        low, high = value.detach().aminmax()
        reading.low = min(reading.low, float(low))
        reading.high = max(reading.high, float(high))

    def features(self) -> tuple[Features, ...]:
        """What was read."""
        found: list[Features] = []
        for index, reading in self._found.items():
            mean, variance = reading.moments.overall()
            means, variances = reading.moments.units()
            found.append(
                Features(
                    index, mean, variance, means, variances, reading.low, reading.high,
                    reading.moments.rows, reading.correlation, reading.correlation_size,
                    reading.row_spread, reading.rarity, reading.computed,
                )
            )  # fmt: skip
        return tuple(found)


def _are_numbers_of(value: Tensor, given: Tensor) -> bool:
    """Whether a tensor has another's numbers, in any order, form and precision."""
    if value is given:
        return True
    if given.layout != torch.strided or value.numel() != given.numel():
        return False
    ends = zip(value.detach().aminmax(), given.detach().aminmax(), strict=True)
    return all(float(one) == float(other) for one, other in ends)


def _spread(rows: Tensor) -> float:
    """Deviation of the rows' mean squares by their mean."""
    sizes = to_double(rows).square().mean(1)
    return float(sizes.std(correction=0) / sizes.mean()) if len(sizes) > 1 else np.nan


@quiet
def _rarity(some: FloatArray) -> float:
    """Median kurtosis of the columns that vary."""
    squares = np.square(some - some.mean(0))
    variance = squares.mean(0)
    found = np.square(squares).mean(0)[variance > 0] / np.square(variance[variance > 0])
    return float(np.median(found)) if len(found) else np.nan
