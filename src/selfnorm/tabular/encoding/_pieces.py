"""A number's range in pieces, each a feature of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from selfnorm.tabular.encoding._records import (
    is_finite,
    moments,
    position,
    positions,
    quantiles,
    require,
    unit_of,
)

_FLATTEST = 0.05  # of a piece: that of a feature that is 1 in a 400th of the rows


@dataclass(frozen=True)
class Piece:
    """How far a number has come from `low` to `high`, in [0, 1], standardized.

    Source: the piecewise linear encoding of Gorishniy et al. 2022 (arXiv 2203.05556, section 3.2).
    """

    low: float
    high: float
    mean: float
    deviation: float

    def __post_init__(self) -> None:
        require(all(map(is_finite, vars(self).values())), "a piece is of finite numbers")
        require(self.low < self.high, "a piece has a length")
        require(0 < self.deviation <= 1, "a piece's deviation is in (0, 1]")

    @classmethod
    def fit(
        cls,
        low: float,
        high: float,
        values: np.ndarray,
        rows: int,
        counts: np.ndarray | None = None,
    ) -> "Piece | None":
        """Learn from the known values of so many rows; None if it tells a few rows apart alone."""
        mean, deviation = moments(np.clip(position(values, low, high), 0, 1), rows, counts)
        return cls(low, high, mean, deviation) if deviation >= _FLATTEST else None

    def encode(self, values: np.ndarray) -> np.ndarray:
        """The feature: mean 0 and variance 1 on training rows, 0 where the value is nan."""
        return encode_pieces((self,), values)[0]


def encode_pieces(pieces: Sequence[Piece], values: np.ndarray) -> np.ndarray:
    """The features of pieces of one number, (pieces, rows), to the bits that each alone has.

    Together, as a block of a few hundred rows takes no longer than NumPy takes to begin.
    """
    low, high, mean, deviation = np.array(
        [(one.low, one.high, one.mean, one.deviation) for one in pieces]
    ).T[:, :, None]
    units = np.array([unit_of(one.low, one.high) for one in pieces])[:, None]
    found = positions(values, low, high, units)
    np.clip(found, 0, 1, out=found)
    found -= mean
    found /= deviation
    found[np.isnan(found)] = 0
    return found


def pieces_of(
    known: np.ndarray, rows: int, most: int, counts: np.ndarray | None = None
) -> tuple[Piece, ...]:
    """The pieces between quantiles; none where the number itself says what they would."""
    knots = np.unique(quantiles(known, most, counts)).tolist() if most > 1 else []
    if len(knots) < 3:
        return ()
    found = (Piece.fit(low, high, known, rows, counts) for low, high in pairwise(knots))
    return tuple(piece for piece in found if piece is not None)
