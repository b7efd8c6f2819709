"""From what a user writes to exact rationals."""

import re
from contextlib import suppress
from decimal import Decimal
from fractions import Fraction
from numbers import Rational, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from selfnorm.errors import ArgumentError
from selfnorm.theory._types import FloatArray

Number = int | float | str | Decimal | Fraction


_SMALLEST, _LARGEST = Fraction(1, 10**300), Fraction(10**300)
_EXPONENTS = 700  # of text: its other digits may bring it back
_EXPONENT = re.compile(r"[eE]([+-]?\d+)\s*$")


def exact(value: Number, name: str) -> Fraction:
    """The rational that a number names; a float is read as the decimal that Python prints for it.

    So `0.1` is one tenth, as its author means, and not the binary neighbor of one tenth. NumPy's
    numbers, and tensors and arrays without dimensions, are numbers too.

    Raises:
        ArgumentError: If it is no number, or none that float64 holds with room to spare.
    """
    given = _without_wrapping(value)
    if not _is_extreme(given):
        try:
            number = Fraction(repr(float(given)) if _is_float(given) else given)
        except (ValueError, OverflowError, TypeError, ZeroDivisionError):
            came = shown(value)
            msg = f"{name} must be a finite number; got {came}. Give one such as 0.1 or '1/3'."
            raise ArgumentError(msg) from None
        if number == 0 or _SMALLEST <= abs(number) <= _LARGEST:
            # A Fraction of another library's integers keeps them, and computes with their range.
            return Fraction(int(number.numerator), int(number.denominator))
    msg = f"{name} must be 0 or of a size from 1e-300 to 1e300; got {shown(value)}. Rescale it."
    raise ArgumentError(msg)


def _without_wrapping(value: object) -> Any:
    """The number in a tensor or array without dimensions; a plain 0 for one with an exponent."""
    number: Any = value
    if getattr(value, "ndim", None) == 0:
        with suppress(RuntimeError, TypeError, ValueError):  # a tensor may hold no value
            number = number.item()
    if isinstance(number, Decimal) and number.is_zero():
        return 0
    if isinstance(number, str) and (found := _EXPONENT.search(number)) is not None:
        with suppress(ValueError):
            if Fraction(f"{number[: found.start()]}e0") == 0:
                return 0
    return number


def _is_extreme(value: object) -> bool:
    """Whether an exponent alone says so; to write out a number of that size may take forever."""
    if isinstance(value, Decimal):
        return value.is_finite() and abs(value.adjusted()) > _EXPONENTS
    if not isinstance(value, str) or (found := _EXPONENT.search(value)) is None:
        return False
    digits = found[1].lstrip("+-").lstrip("0")
    return len(digits) > 4 or int(digits or 0) > _EXPONENTS


def _is_float(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, Rational)


def shown(value: object) -> str:
    """A value as an error repeats it; Python refuses to write integers beyond 4300 digits."""
    with suppress(ValueError):
        if len(text := repr(value)) < 60:
            return text
    return type(value).__name__


def scalar(value: object, name: str) -> float:
    """A single number as a float; tensors and arrays without dimensions are numbers, text is none.

    Raises:
        ArgumentError: If it is none.
    """
    if type(value) is float:  # isinstance of what is abstract takes 90 us
        return value
    number: Any = value
    if isinstance(value, Real) or getattr(value, "ndim", None) == 0:
        try:
            return float(number)
        except OverflowError:
            msg = f"{name} must be a number that float64 holds; got {shown(value)}. Rescale it."
            raise ArgumentError(msg) from None
        except (TypeError, ValueError, RuntimeError):  # the last of tensors that hold none
            pass
    raise ArgumentError(f"{name} must be a number; got {shown(value)}. Give one such as 0.1.")


def finite_array(value: ArrayLike, name: str) -> FloatArray:
    """A float64 array of finite numbers, or an error that names the argument."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        msg = f"{name} must be a number or an array of numbers; got {shown(value)}. Give numbers."
        raise ArgumentError(msg) from None
    if not np.all(np.isfinite(array)):
        msg = f"{name} must be finite; got {array[~np.isfinite(array)][0]}. Remove nan and inf."
        raise ArgumentError(msg)
    return array
