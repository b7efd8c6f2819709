"""The kernel of an infinitely wide network as a table, in NumPy alone: what a prediction needs."""

from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np

from selfnorm.theory._types import FloatArray

Kind = Literal["ntk", "nngp"]
_PIECES = 1 << 12  # of each half of the table
_END = 0.5**0.25  # the place where rows are orthogonal
_CHUNK = 1 << 13  # elements looked up at a time: what a processor's caches hold
_BLOCK = 1 << 22  # elements of a kernel at a time, 32 MiB


class Dual(NamedTuple):
    """c and c' of an activation of mean square 1, as Chebyshev series in the angle.

    `(1 - c(r)) / (1 - r)` instead of c: where rows are nearly equal, `1 - c` has all its digits.
    """

    ratio: np.polynomial.Chebyshev
    slope: np.polynomial.Chebyshev


class Table(NamedTuple):
    """A function of two rows' correlation r: parabolas in `s = ((1 - |r|) / 2)^(1/4)`.

    s is the root of the sine of half the angle between the rows, or between one and the other's
    opposite; so there are two halves, r above 0 and below. Places lie closer where angles are
    small, and what has a kink at 0 in the angle has none here. To look a value up takes two roots,
    and no arc cosine.

    Attributes:
        parabolas: Coefficients of each piece, from the second power down, (3, 2 pieces); those for
            r below 0 come last.
        of_equal: The value for equal rows.
    """

    parabolas: FloatArray
    of_equal: float

    @property
    def pieces(self) -> int:
        """How many each half has, of even length in s, from 0 to `(1/2)^(1/4)`."""
        return self.parabolas.shape[1] // 2

    @property
    def factor(self) -> float:
        """Pieces in a unit of s."""
        return self.pieces / _END

    def look_up(self, cosines: FloatArray) -> None:
        """Write the values into where their cosines are, (elements,)."""
        pieces, factor = self.pieces, self.factor
        for begin in range(0, len(cosines), _CHUNK):
            part = cosines[begin : begin + _CHUNK]
            place = np.abs(part)
            np.subtract(0.5, 0.5 * place, out=place)
            np.maximum(place, 0, out=place)  # roundings may leave [-1, 1]
            np.sqrt(np.sqrt(place, out=place), out=place)
            place *= factor
            piece = np.minimum(place.astype(np.int32), np.int32(pieces - 1))
            place -= piece
            piece += np.signbit(part) * np.int32(pieces)
            value = self.parabolas[0].take(piece)
            for coefficient in self.parabolas[1:]:
                value *= place
                value += coefficient.take(piece)
            part[:] = value

    def of(self, rows: FloatArray, others: FloatArray) -> FloatArray:
        """The kernel of rows of norm 1, (n, columns) and (m, columns): (n, m)."""
        result = np.empty((len(rows), len(others)))
        step = max(1, _BLOCK // max(1, len(others)))
        for begin in range(0, len(rows), step):
            part = result[begin : begin + step]
            np.matmul(rows[begin : begin + step], others.T, out=part)
            self.look_up(part.reshape(-1))
        return result


def make_table(dual: Dual, depth: int, kind: Kind, bias: float) -> Table:
    """All layers as one function of the correlation; `network_kernel` has the recursion."""
    places = _END * np.linspace(0, 1, 2 * _PIECES + 1)  # ends and middles of the pieces
    halves = np.concatenate([places**4, 1 - places**4])  # (1 - r) / 2
    gap = (1 - bias) * 2 * halves  # 1 - K
    tangent = 1 - gap
    for _ in range(depth):
        own = 2 * np.arcsin(np.sqrt(np.clip(gap / 2, 0, 1)))
        gap = (1 - bias) * dual.ratio(own) * gap
        tangent = 1 - gap + (1 - bias) * dual.slope(own) * tangent
    values = (tangent if kind == "ntk" else 1 - gap).reshape(2, -1)
    begin, middle, end = values[:, :-1:2], values[:, 1::2], values[:, 2::2]
    parabolas = 2 * (begin + end - 2 * middle), 4 * middle - 3 * begin - end, begin
    return Table(np.stack(parabolas).reshape(3, -1), float(values[0, 0]))


@lru_cache(64)
def selu_table(depth: int, kind: Kind, bias: float) -> Table:
    """That of SELU, by the numbers on record."""
    return make_table(SELU_DUAL, depth, kind, bias)


def _series(*coefficients: float) -> np.polynomial.Chebyshev:
    return np.polynomial.Chebyshev(coefficients, domain=[0, np.pi])


# By the quadrature of `_network_kernel`, which a test holds them against: further coefficients are
# its roundings. They stand here so that a prediction imports no SciPy, half a second.
SELU_DUAL = Dual(
    ratio=_series(
        *(1.0145021889371306, -0.04447604845666701, 0.013711251951215638, 0.0003347557519015524),
        *(-0.0008173796653148795, -8.115323178061883e-05, -1.92177600783921e-05),
        *(2.9071250239963025e-05, 8.14065705843585e-06, 4.125445901076696e-06),
        *(9.687065479889256e-07, 2.5793104981321137e-07, 5.433909260935127e-08),
        *(7.097576792679305e-09, 1.3529514072073078e-09, -1.3534578458140948e-10),
        *(-1.3197541169922546e-11, -2.7393640603140197e-11),
    ),
    slope=_series(
        *(0.9991678494701685, -0.0482330043710776, 0.024920097247384625, -0.002291445155336071),
        *(-0.004281389679262717, -0.0018821960238400988, -0.0007667496204478547),
        *(-0.0001777212606433942, -5.412102591071902e-05, -6.33613875305703e-06),
        *(-1.2727236835685384e-06, 2.0131290024510228e-07, 9.743577956255778e-08),
        *(2.9073569673093214e-08, 9.150389740635285e-09, 5.487934118797095e-10),
        *(1.3228901628359886e-10, -7.432486606161767e-11, -2.263415260420258e-11),
        *(-4.439094931818609e-12,),
    ),
)
