"""How numbers are written, in tables for terminals, on pages and on axes."""

import math
from decimal import Decimal


def short(value: float) -> str:
    """Three digits or more in at most nine characters; a dash where there is no number."""
    if not math.isfinite(value):
        return digits(value, 3)
    size = abs(value)
    if value and not 0.01 <= size < 1e4:
        return f"{value:.1e}"
    return f"{value:.{3 if size < 100 else 2 if size < 1000 else 0}f}"


def signed(value: float) -> str:
    """Three decimals with the sign: what matters of a mean is how near to 0 it is."""
    return f"{value:+.3f}" if abs(value) < 1e4 else short(value)


def digits(value: float, count: int) -> str:
    """So many significant digits, without zeros at the end; a dash where there is no number."""
    return "-" if math.isnan(value) else f"{value + 0.0:.{count}g}"


def tick(value: float) -> str:
    """The number itself, no digit more and none less: `float(tick(x)) == x`."""
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e4:
        return repr(float(value)).removesuffix(".0")
    sign, places, exponent = Decimal(repr(float(value))).normalize().as_tuple()
    first, rest = str(places[0]), "".join(map(str, places[1:]))
    mantissa = f"{'-' if sign else ''}{first}{'.' if rest else ''}{rest}"
    return f"{mantissa}e{int(exponent) + len(places) - 1}"
