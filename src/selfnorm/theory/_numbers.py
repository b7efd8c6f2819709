"""From what a user writes to exact rationals."""

from decimal import Decimal
from fractions import Fraction

from selfnorm.errors import ArgumentError

Number = int | float | str | Decimal | Fraction


def exact(value: Number, name: str) -> Fraction:
    """The rational that a number names; a float is read as the decimal that Python prints for it.

    So `0.1` is one tenth, as its author means, and not the binary neighbor of one tenth.
    """
    try:
        return Fraction(repr(float(value)) if isinstance(value, float) else value)
    except (ValueError, OverflowError, TypeError, ZeroDivisionError):
        msg = f"{name} must be a finite number; got {value!r}. Give a number such as 0.1 or '1/3'."
        raise ArgumentError(msg) from None
