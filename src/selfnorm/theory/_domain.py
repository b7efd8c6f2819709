"""Domains of the theorems: boxes with rational sides in mean, variance and the sums of weights."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import cast

from selfnorm._parameters import Whole
from selfnorm.errors import ArgumentError
from selfnorm.theory._numbers import Number, exact, shown

Range = tuple[Fraction, Fraction]
_NAMES = ("mean", "variance", "omega", "tau")


@dataclass(frozen=True)
class Domain:
    """Ranges of a layer's input moments and of its weights' sums; each end is exact.

    Attributes:
        mean: Range of the inputs' mean (mu).
        variance: Range of the inputs' variance (nu), positive.
        omega: Range of the sum of a unit's weights (omega).
        tau: Range of the sum of squares of a unit's weights (tau), positive.

    Raises:
        ArgumentError: If a range is not two increasing numbers, or not positive where it must.
    """

    mean: Range
    variance: Range
    omega: Range
    tau: Range

    def __post_init__(self) -> None:
        for name in _NAMES:
            object.__setattr__(self, name, _range(getattr(self, name), name))

    @classmethod
    def of(
        cls,
        *,
        mean: Iterable[Number],
        variance: Iterable[Number],
        omega: Iterable[Number],
        tau: Iterable[Number],
    ) -> "Domain":
        """A domain from numbers as they are written: `0.1` and `'0.1'` are one tenth, exactly.

        Raises:
            ArgumentError: If a range is not two increasing numbers, or not positive where it must.

        Example:
            >>> box = Domain.of(mean=(0, 0), variance=(0.8, "3/2"), omega=(0, 0), tau=(1, 1))
            >>> box.variance
            (Fraction(4, 5), Fraction(3, 2))
        """
        given = {"mean": mean, "variance": variance, "omega": omega, "tau": tau}
        return cls(**{name: _range(value, name) for name, value in given.items()})

    def with_ranges(self, **ranges: Iterable[Number]) -> "Domain":
        """The domain with some of its ranges replaced.

        Example:
            >>> box = Domain.of(mean=(0, 0), variance=(1, 1), omega=(0, 0), tau=(1, 1))
            >>> print(box.with_ranges(variance=("0.8", "1.5")))
            mean in [0, 0], variance in [0.8, 1.5], omega in [0, 0], tau in [1, 1]
        """
        _check_names(ranges)
        return replace(self, **{name: _range(value, name) for name, value in ranges.items()})

    def widened(self, name: str, side: int, end: Number) -> "Domain":
        """The domain with one end of one range moved; side 0 is the lower end, 1 the upper.

        Raises:
            ArgumentError: If there is no such range or side, or what is left is no range.
        """
        _check_names([name])
        if not Whole(0, 2).holds(side):
            msg = f"side must be 0, the lower end, or 1, the upper; got {shown(side)}. Give one."
            raise ArgumentError(msg)
        end = exact(end, name)
        low, high = getattr(self, name)
        return replace(self, **{name: (end, high) if side == 0 else (low, end)})

    def products(self) -> tuple[Range, Range]:
        """Ranges of `y = mean * omega` and `x = variance * tau`: their images, exactly."""
        ends = [mean * weight for mean in self.mean for weight in self.omega]
        return (min(ends), max(ends)), (
            self.variance[0] * self.tau[0],
            self.variance[1] * self.tau[1],
        )

    def __str__(self) -> str:
        return ", ".join(
            f"{name} in [{_text(getattr(self, name)[0])}, {_text(getattr(self, name)[1])}]"
            for name in _NAMES
        )


def _check_names(names: Iterable[object]) -> None:
    unknown = [name for name in names if not isinstance(name, str) or name not in _NAMES]
    if unknown:
        msg = (
            f"A domain has mean, variance, omega and tau; got {shown(unknown)}. Name one of these."
        )
        raise ArgumentError(msg)


def _range(value: object, name: str) -> Range:
    """Both ends; text is not taken for its letters, nor a set for an order."""
    several = isinstance(value, Iterable) and not isinstance(value, (str, bytes, Set, Mapping))
    ends = tuple(exact(end, name) for end in cast("Iterable[Number]", value)) if several else ()
    positive = name in ("variance", "tau")
    if len(ends) != 2 or ends[0] > ends[1] or (positive and ends[0] <= 0):
        came = f"({', '.join(map(_text, ends))})" if several else shown(value)
        msg = (
            f"{name} must be a range (low, high) with low <= high"
            f"{' and low > 0' if positive else ''}; got {came}. "
            "Write it as ('0.8', '1.5')."
        )
        raise ArgumentError(msg)
    return ends[0], ends[1]


def _text(value: Fraction) -> str:
    decimal = float(value)
    return f"{decimal:g}" if Fraction(repr(decimal)) == value else str(value)
