"""Theorem 1's box: exact for proofs, in floats for everything that is measured against it."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import cast, overload

import numpy as np
from numpy.typing import NDArray

from selfnorm.errors import ArgumentError
from selfnorm.theory._numbers import shown
from selfnorm.theory._types import FloatArray

EXACT: Mapping[str, tuple[Fraction, Fraction]] = {
    "mean": (Fraction("-0.1"), Fraction("0.1")),
    "variance": (Fraction("0.8"), Fraction("1.5")),
    "omega": (Fraction("-0.1"), Fraction("0.1")),
    "tau": (Fraction("0.95"), Fraction("1.1")),
}
"""The paper's decimals, as they are printed."""


@dataclass(frozen=True)
class Theorem1:
    """The box on which theorem 1 has one fixed point, attracting; its ends in float64.

    Attributes:
        mean: Range of the inputs' mean.
        variance: Range of the inputs' variance.
        omega: Range of the sum of a unit's weights.
        tau: Range of the sum of squares of a unit's weights.
    """

    mean: tuple[float, float]
    variance: tuple[float, float]
    omega: tuple[float, float]
    tau: tuple[float, float]

    @overload
    def holds(self, name: str, values: float) -> bool: ...
    @overload
    def holds(self, name: str, values: FloatArray) -> NDArray[np.bool_]: ...
    def holds(self, name: str, values: float | FloatArray) -> bool | NDArray[np.bool_]:
        """Whether values lie in one of the ranges, both ends included; nan does not.

        Args:
            name: 'mean', 'variance', 'omega' or 'tau'.
            values: A number, or an array of them.

        Returns:
            A truth value, or an array of them.

        Raises:
            ArgumentError: If there is no such range.

        Source: Klambauer et al. 2017, Theorem 1.

        Example:
            >>> THEOREM_1.holds("variance", 1.5), THEOREM_1.holds("variance", 1.6)
            (True, False)
            >>> THEOREM_1.holds("tau", np.array([0.9, 1.0, 1.2])).tolist()
            [False, True, False]
        """
        low, high = self._range(name)
        try:
            numbers = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            msg = f"values must be a number or an array of numbers; got {shown(values)}."
            raise ArgumentError(msg) from None
        inside = (numbers >= low) & (numbers <= high)
        return inside if np.ndim(inside) else bool(inside)

    def interval(self, name: str) -> str:
        """A range as it is written.

        Raises:
            ArgumentError: If there is no such range.

        Example:
            >>> THEOREM_1.interval("tau")
            '[0.95, 1.1]'
        """
        low, high = self._range(name)
        return f"[{low:g}, {high:g}]"

    def _range(self, name: str) -> tuple[float, float]:
        if not isinstance(cast("object", name), str) or name not in EXACT:
            known = ", ".join(EXACT)
            msg = f"Theorem 1 has ranges of {known}; got {shown(name)}. Name one of these."
            raise ArgumentError(msg)
        return getattr(self, name)


THEOREM_1 = Theorem1(**{name: (float(low), float(high)) for name, (low, high) in EXACT.items()})
"""Theorem 1's box: mean and omega within 0.1, variance in [0.8, 1.5], tau in [0.95, 1.1]."""
