"""Domains of the theorems: boxes with rational sides in mean, variance and the sums of weights."""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from fractions import Fraction

from selfnorm.errors import ArgumentError
from selfnorm.theory._numbers import Number, exact

Range = tuple[Fraction, Fraction]


@dataclass(frozen=True)
class Domain:
    """Ranges of a layer's input moments and of its weights' sums; each end is exact.

    Attributes:
        mean: Range of the inputs' mean (mu).
        variance: Range of the inputs' variance (nu), positive.
        omega: Range of the sum of a unit's weights (omega).
        tau: Range of the sum of squares of a unit's weights (tau), positive.
    """

    mean: Range
    variance: Range
    omega: Range
    tau: Range

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
        unknown = set(ranges) - {field.name for field in fields(self)}
        if unknown:
            msg = f"A domain has mean, variance, omega and tau; got {sorted(unknown)}."
            raise ArgumentError(msg)
        return replace(self, **{name: _range(value, name) for name, value in ranges.items()})

    def widened(self, name: str, side: int, end: Fraction) -> "Domain":
        """The domain with one end of one range moved; side 0 is the lower end, 1 the upper."""
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
            f"{field.name} in [{_text(getattr(self, field.name)[0])}, "
            f"{_text(getattr(self, field.name)[1])}]"
            for field in fields(self)
        )


def _range(value: Iterable[Number], name: str) -> Range:
    ends = tuple(exact(end, name) for end in value)
    positive = name in ("variance", "tau")
    if len(ends) != 2 or ends[0] > ends[1] or (positive and ends[0] <= 0):
        shown = ", ".join(map(_text, ends))
        msg = (
            f"{name} must be a range (low, high) with low <= high"
            f"{' and low > 0' if positive else ''}; got ({shown}). "
            "Write it as ('0.8', '1.5')."
        )
        raise ArgumentError(msg)
    return ends[0], ends[1]


def _text(value: Fraction) -> str:
    decimal = float(value)
    return f"{decimal:g}" if Fraction(repr(decimal)) == value else str(value)
