"""The kernel of the infinitely wide networks that join others, in NumPy alone."""

import numpy as np

from selfnorm.theory._kernel_table import Table, selu_table

DEPTH = 16
BIAS = 0.2


def with_ones(rows: np.ndarray) -> np.ndarray:
    """Rows in float64, a column of ones behind them, divided by their norm."""
    ones = np.ones((len(rows), 1))
    rows = np.concatenate([rows.astype(np.float64), ones], axis=1)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def kernel(rows: np.ndarray, others: np.ndarray | None = None) -> np.ndarray:
    """The tangent kernel of rows of norm 1, which is 1 for equal ones; symmetric for one argument.

    See `selfnorm.theory.network_kernel`.
    """
    table = kernel_table()
    found = table.of(rows, rows if others is None else others)
    if others is None:
        found = (found + found.T) / 2  # a product's roundings need not be
        np.fill_diagonal(found, table.of_equal)
    return found / table.of_equal


def kernel_table() -> Table:
    """The kernel as a function of two rows' correlation."""
    return selu_table(DEPTH, "ntk", BIAS)
