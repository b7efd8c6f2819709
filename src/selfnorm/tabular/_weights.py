"""How much each row counts: weights as users give them, and as a loss takes them."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from selfnorm._parameters import Number
from selfnorm.errors import ArgumentError

if TYPE_CHECKING:
    from torch import Tensor

# Of the mean: what all such rows together add to a sum is lost in float32's rounding.
_LEAST = 1e-9
_FACTOR = Number(0, math.inf, open_high=True)


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


def class_factors(
    class_weight: Mapping[Any, float] | str, learned: np.ndarray, values: np.ndarray
) -> np.ndarray:
    """How much the class of each of `values` counts, by the classes of the rows to learn from.

    Raises:
        ArgumentError: it is neither "balanced" nor numbers of 0 or more; or a class that it names
            is not there.
    """
    if not isinstance(class_weight, Mapping) and class_weight != "balanced":
        raise ArgumentError(
            "class_weight must be 'balanced', a dictionary of class and weight, or None; "
            f"{class_weight!r} came. Try class_weight='balanced'."
        )
    known, counts = np.unique(learned, return_counts=True)
    by_class = dict(zip(known.tolist(), len(learned) / (len(known) * counts), strict=True))
    if isinstance(class_weight, Mapping):
        strange = [one for one in class_weight if one not in by_class]
        if strange:
            raise ArgumentError(
                f"class_weight must name classes of y; {strange[0]!r} is none of "
                f"{', '.join(map(repr, known.tolist()[:5]))}. Mend its name."
            )
        by_class = dict.fromkeys(by_class, 1.0) | dict(class_weight)
    wrong = [one for one in by_class.values() if not _FACTOR.holds(one)]
    if wrong:
        raise ArgumentError(
            f"class_weight must be numbers of 0 or more; {wrong[0]!r} came. Give 0 to leave a "
            "class out."
        )
    classes, codes = np.unique(values, return_inverse=True)
    return np.array([by_class.get(one, 1.0) for one in classes.tolist()], np.float64)[codes]


def of_mean_1(weights: np.ndarray | None) -> "Tensor | None":
    """The weights of some rows, scaled to a mean of 1, in float32; None if all are the same."""
    if weights is None or weights.min() == weights.max():
        return None
    import torch  # noqa: PLC0415 - to predict takes none

    scaled = weights / weights.max()
    return torch.from_numpy((scaled / scaled.mean()).astype(np.float32))
