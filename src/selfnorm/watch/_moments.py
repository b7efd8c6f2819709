"""Moments of what a layer puts out: of everything, batch by batch, and of a sample."""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from selfnorm.recording import _sample
from selfnorm.recording._sample import LaterSample, Sample, sample_of
from selfnorm.theory import SELUForm
from selfnorm.theory._types import FloatArray

_PART, _GPU_PARTS = 1 << 18, 16
_WIDE = (torch.float32, torch.float64)
_UNITS, _ROWS = 64, 1024
_KEPT = 1 << 14  # numbers of a sample that may wait for somebody to ask: 64 KB a layer
_SQUARED = 1e-15  # from here up the squares of most of 10^8 numbers are normal ones of float32


def units_last(name: str, ndim: int, before: int | None = None) -> int:
    """The dimension of the units when nothing says: as before, of channels, or the last."""
    if before is not None and -ndim <= before < ndim:
        return before
    return 1 if ndim >= 4 or (ndim == 3 and "conv" in name) else -1


@dataclass
class Accumulator:
    """Mean and variance of each unit over all batches seen; no value is kept."""

    rows: int = 0
    mean: Tensor | None = None
    squares: Tensor | None = None  # sum of squared distances from the mean
    gradient_sum: float = 0.0
    gradient_count: int = 0
    gradient_samples: int = 0

    @torch.no_grad()
    def update(self, values: Tensor, dim: int) -> None:
        """Add a batch; `dim` is the dimension of the units."""
        if not values.numel():
            return
        if values.ndim < 2:
            values, dim = values.reshape(1, -1), 1
        dim %= values.ndim
        others = [d for d in range(values.ndim) if d != dim]
        for part in _parts(values):
            wide = part if part.dtype in _WIDE else part.float()
            mean = wide.mean(others, keepdim=True)
            apart = wide - mean
            variance = apart.mul_(apart).mean(others)
            rows = part.numel() // part.shape[dim]
            self._merge(rows, to_double(mean.flatten()), to_double(variance))

    def _merge(self, rows: int, mean: Tensor, variance: Tensor) -> None:
        if self.mean is None or self.squares is None or self.mean.shape != mean.shape:
            self.rows, self.mean, self.squares = rows, mean, variance * rows
            return
        total = self.rows + rows
        apart = mean - self.mean
        self.squares += variance * rows + apart**2 * (self.rows * rows / total)
        self.mean += apart * (rows / total)
        self.rows = total

    @torch.no_grad()
    def add_gradient(self, gradient: Tensor) -> None:
        """Add the gradient of one batch by this output."""
        wide = torch.promote_types(gradient.dtype, torch.float32)
        size = float(torch.linalg.vector_norm(gradient, dtype=wide))
        if not _SQUARED < size < math.inf:  # its squares may be too small or too large for float32
            size = float(torch.linalg.vector_norm(to_double(gradient)))
        self.gradient_sum += size * size  # a power would raise where this is inf
        self.gradient_count += gradient.numel()
        self.gradient_samples += gradient.shape[0] if gradient.ndim > 1 else 1

    def units(self) -> tuple[FloatArray, FloatArray]:
        """Means and variances of the units."""
        if self.mean is None or self.squares is None:
            return np.zeros(0), np.zeros(0)
        return self.mean.numpy(), (self.squares / self.rows).numpy()

    def overall(self) -> tuple[float, float]:
        """Mean and variance over all units together."""
        if self.mean is None or self.squares is None:
            return np.nan, np.nan
        spread, mean = torch.var_mean(self.mean, correction=0)
        return mean.item(), (self.squares.mean() / self.rows + spread).item()

    def dead(self, means: FloatArray, variances: FloatArray) -> float:
        """Share of the units that never change; nan where there is one row only."""
        if self.rows < 2 or not len(means):
            return np.nan
        with np.errstate(invalid="ignore", over="ignore"):
            scale = float(variances.mean() + (means**2).mean())
            return np.count_nonzero(variances <= 1e-12 * scale) / len(means)

    def gradient(self) -> tuple[float, float]:
        """Root mean square of the gradient, and its norm in one sample; nan if there was none."""
        if not self.gradient_count:
            return np.nan, np.nan
        return (
            float(np.sqrt(self.gradient_sum / self.gradient_count)),
            float(np.sqrt(self.gradient_sum / self.gradient_samples)),
        )


def _parts(values: Tensor) -> tuple[Tensor, ...]:
    """Some rows at a time: as many as a cache holds; on a GPU, few enough to take little memory."""
    rows = max(1, _PART * values.shape[0] // values.numel())
    if not values.is_cpu:
        rows = max(rows, values.shape[0] // _GPU_PARTS)
    return (values,) if rows >= values.shape[0] else values.split(rows)


@torch.no_grad()
def sample(
    values: Tensor, dim: int, activation: str, form: SELUForm | None = None
) -> Sample | LaterSample:
    """Shape of the distribution, from at most 64 units and 1,024 rows spread evenly."""
    rows = _rows(values, dim)
    if rows.numel() <= _KEPT:
        return LaterSample(partial(_doubled, rows.clone().cpu()), activation, form, _product)
    return sample_of(_doubled(rows), activation, form, _product)


def _doubled(rows: Tensor) -> FloatArray:
    return to_double(rows).numpy()


def correlations(rows: FloatArray) -> tuple[float, float]:
    """Mean correlation between two columns, and root mean square without what chance gives."""
    return _sample.correlations(rows, _product)


def _product(left: FloatArray, right: FloatArray) -> FloatArray:
    """By torch: NumPy's own threads would compete with torch's."""
    return (torch.from_numpy(left) @ torch.from_numpy(right)).numpy()


def _rows(values: Tensor, dim: int) -> Tensor:
    """A matrix of rows by units."""
    if values.ndim < 2:
        values, dim = values.reshape(1, -1), 1
    values = values.detach().movedim(dim, -1)
    values = values[..., :: max(1, -(-values.shape[-1] // _UNITS))]
    for place in range(values.ndim - 1):  # thin out the batch last: its rows are independent
        axis = values.ndim - 2 - place
        count = values.numel() // max(values.shape[-1], 1)
        if count > _ROWS:
            step = min(values.shape[axis], -(-count // _ROWS))
            values = values[(slice(None),) * axis + (slice(None, None, step),)]
    return values.reshape(-1, values.shape[-1])


def to_double(values: Tensor) -> Tensor:
    """In float64, on the CPU, as not every device has it."""
    return values.detach().cpu().double()
