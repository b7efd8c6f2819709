"""The kernels of the infinitely wide networks that join others, in NumPy alone."""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from selfnorm.theory._kernel_table import Table, selu_table

DEPTH = 16
BIAS = 0.2


class Kernel(Protocol):
    """What an infinitely wide network is to kernel regression."""

    @property
    def frequency(self) -> float | None:
        """How often its waves go up and down; None of a network without waves."""
        ...

    def prepared(self, rows: np.ndarray) -> np.ndarray:
        """Encoded rows as they are compared, float64."""
        ...

    def of(self, rows: np.ndarray, others: np.ndarray | None = None) -> np.ndarray:
        """The kernel of prepared rows, 1 for equal ones; symmetric for one argument."""
        ...


@dataclass(frozen=True)
class SELULayers:
    """The tangent kernel of 16 layers of SELU, which read rows with a column of ones behind them.

    See `selfnorm.theory.network_kernel`.
    """

    @property
    def frequency(self) -> None:
        """It has no waves."""
        return

    def prepared(self, rows: np.ndarray) -> np.ndarray:
        """Rows with a column of ones, divided by their norm."""
        ones = np.ones((len(rows), 1))
        rows = np.concatenate([rows.astype(np.float64), ones], axis=1)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def of(self, rows: np.ndarray, others: np.ndarray | None = None) -> np.ndarray:
        """The kernel of rows of norm 1."""
        table = kernel_table()
        found = table.of(rows, rows if others is None else others)
        if others is None:
            found = (found + found.T) / 2  # a product's roundings need not be
            np.fill_diagonal(found, table.of_equal)
        return found / table.of_equal


@dataclass(frozen=True)
class Waves:
    """The kernel of a layer of infinitely many waves, `sqrt(2) cos(w'x + b)`: a Gaussian.

    Over waves, each row has mean 0 and variance 1, whatever it is: `b` is uniform over a whole
    wave, and `w` normal. The covariance of two rows is `exp(-f^2 |x - y|^2 / 2 d)` of d features if
    `w` has the variance `f^2 / d` (Rahimi and Recht 2007, NIPS).

    Attributes:
        frequency: f, the root mean square of a wave's frequency along all features together.
    """

    frequency: float

    def prepared(self, rows: np.ndarray) -> np.ndarray:
        """Rows in units of a wave."""
        return rows.astype(np.float64) * self.unit(rows.shape[1])

    def unit(self, features: int) -> float:
        """The deviation of a wave's frequency along each of so many features."""
        return self.frequency / math.sqrt(features)

    def of(self, rows: np.ndarray, others: np.ndarray | None = None) -> np.ndarray:
        """The kernel of rows in units of a wave."""
        second = rows if others is None else others
        found = rows @ second.T
        found -= np.einsum("ij,ij->i", rows, rows)[:, None] / 2
        found -= np.einsum("ij,ij->i", second, second) / 2
        np.exp(np.minimum(found, 0, out=found), out=found)
        if others is None:
            found = (found + found.T) / 2  # a product's roundings need not be
            np.fill_diagonal(found, 1)
        return found


LAYERS = SELULayers()
WAVES = Waves(0.5), Waves(1.5)
"""Of these one is chosen by what rows are told that it did not learn from."""


def kernel_of(frequency: float | None) -> Kernel:
    """The kernel with such waves, or without."""
    return LAYERS if frequency is None else Waves(frequency)


def kernel_table() -> Table:
    """The kernel of layers as a function of two rows' correlation."""
    return selu_table(DEPTH, "ntk", BIAS)
