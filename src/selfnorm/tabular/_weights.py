"""How much each row counts: weights as users give them, and as a loss takes them."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from selfnorm.errors import ArgumentError

# Of the mean: what all such rows together add to a sum is lost in float32's rounding.
_LEAST = 1e-9


def row_weights(given: Any, rows: int, name: str = "sample_weight") -> np.ndarray:
    """The weights of so many rows, in float64, checked; they may have any mean.

    Raises:
        ArgumentError: they are not one number of 0 or more a row, or all are 0.
    """
    try:
        weights = np.asarray(given, np.float64)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{name} must be numbers; {error}. Give one a row.") from error
    if weights.shape != (rows,):
        raise ArgumentError(
            f"{name} must be one number a row, of shape ({rows},); shape {weights.shape} came. "
            "Give one number for each row of X."
        )
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(wrong):
        raise ArgumentError(
            f"{name} must be finite and 0 or more; row {wrong[0] + 1} has "
            f"{weights[wrong[0]]:g}. Give 0 to leave a row out."
        )
    if not weights.any():
        raise ArgumentError(
            f"{name} must be above zero in some rows; all {rows:,} are zero. Give rows to learn "
            "from a weight."
        )
    return weights


def counting(weights: np.ndarray) -> np.ndarray:
    """The numbers of the rows that count for something: their weight is not 0, nor next to it."""
    return np.flatnonzero(weights > _LEAST * (weights / len(weights)).sum())


def of_mean_1(weights: np.ndarray | None) -> Tensor | None:
    """The weights of some rows, scaled to a mean of 1, in float32; None if all are the same."""
    if weights is None or weights.min() == weights.max():
        return None
    scaled = weights / weights.max()
    return torch.from_numpy((scaled / scaled.mean()).astype(np.float32))
