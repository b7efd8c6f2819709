"""From what a user writes to exact rationals."""

from contextlib import suppress
from decimal import Decimal
from fractions import Fraction
from numbers import Real
from typing import Any

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


def scalar(value: object, name: str) -> float:
    """A single number as a float; tensors and arrays without dimensions are numbers, text is none.

    Raises:
        ArgumentError: If it is none.
    """
    if type(value) is float:  # isinstance of what is abstract takes 90 us
        return value
    number: Any = value
    if isinstance(value, Real) or getattr(value, "ndim", None) == 0:
        with suppress(TypeError, ValueError, OverflowError):
            return float(number)
    shown = repr(value) if len(repr(value)) < 60 else type(value).__name__
    raise ArgumentError(f"{name} must be a number; got {shown}. Give one such as 0.1.")
