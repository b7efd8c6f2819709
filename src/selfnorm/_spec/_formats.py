"""Floating-point formats, as far as rounding asks for them."""

from typing import NamedTuple


class Format(NamedTuple):
    """A binary format.

    Attributes:
        name: What it is called.
        digits: Binary digits of a number, the first one included.
        lowest: Exponent of its smallest positive number, `2**lowest`.
    """

    name: str
    digits: int
    lowest: int

    @property
    def eps(self) -> float:
        """From 1 to the next number."""
        return 2.0 ** (1 - self.digits)

    @property
    def wide(self) -> "Format":
        """What it is computed in: itself, or float32 if it is of half precision."""
        return self if self.digits >= FLOAT32.digits else FLOAT32


FLOAT64 = Format("float64", 53, -1074)
FLOAT32 = Format("float32", 24, -149)
FLOAT16 = Format("float16", 11, -24)
BFLOAT16 = Format("bfloat16", 8, -133)
