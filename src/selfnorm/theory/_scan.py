"""A second look at a function, between the nodes of its quadrature: for spikes and steep places."""

from typing import NamedTuple

import numpy as np
from numpy.polynomial.legendre import leggauss, legval, legvander
from numpy.typing import NDArray

from selfnorm.theory._types import ArrayFunction, FloatArray

COUNT = 16  # nodes of a panel
NODES, WEIGHTS = leggauss(COUNT)
_GOLDEN = (5**0.5 - 1) / 2  # its multiples modulo 1 are spread evenly, and are no one's nodes
_REACH = 8.0  # phi(8) = 5e-15
_MULTIPLES = np.arange(1, 16385) * _GOLDEN % 1
POINTS = np.asarray(
    np.sort(_REACH * (2 * _MULTIPLES - 1)), dtype=np.float64
)  # a thousand a deviation
_POINT_WEIGHTS = np.exp(-(POINTS**2) / 2) / np.sqrt(2 * np.pi) * 2 * _REACH / len(POINTS)
_POINT_ROOTS = np.exp(-(POINTS**2) / 4)
_POLYNOMIAL = np.linalg.inv(legvander(NODES, COUNT - 1)).T  # from values to coefficients
ENDS = np.array([-1.0, 1.0])
_AT_ENDS = legvander(ENDS, COUNT - 1).T
_SCALES = 2.0 ** -np.arange(6, 34)  # distances from a singular point, 0.016 to 1e-10
_SEEN = 8  # halvings of the distance, the nearest that rounding leaves, that tell the power
_ROUNDINGS = 400 * np.finfo(float).eps
_BOUNDED = 0.55  # share of the integral that halving leaves: 0.5 where the slope is bounded,
_DIVERGES = 0.99  # and 1 where f is a square root; |z|^0.507 is the last power told from it


class Scan(NamedTuple):
    """Points g of a standard normal, by size, with `f(y + s g) - f(y)`, and their weights."""

    g: FloatArray
    values: FloatArray
    weights: FloatArray

    @classmethod
    def of(cls, values: FloatArray) -> "Scan":
        """A scan from the values at `POINTS`."""
        return cls(POINTS, values, _POINT_WEIGHTS)

    def strays(self, low: FloatArray, high: FloatArray, values: FloatArray) -> FloatArray:
        """How far f is from the polynomials through panels' nodes, at the points inside them.

        Args:
            low: Lower ends, (panels,).
            high: Upper ends.
            values: f at the nodes, less `f(y)`, (panels, nodes).

        Returns:
            (3, panels): what the mean and the mean square would change by, and the largest distance
            times the root of the Gaussian's density.
        """
        first, after = np.searchsorted(self.g, low), np.searchsorted(self.g, high)
        count = np.maximum(after - first, 0)
        panel = np.repeat(np.arange(len(low)), count)
        point = np.arange(len(panel)) - np.repeat(np.cumsum(count) - count - first, count)
        found = np.zeros((3, len(low)))
        if not len(panel):
            return found
        t = (2 * self.g[point] - (low + high)[panel]) / (high - low)[panel]
        fitted = legval(t, (values @ _POLYNOMIAL).T[:, panel], tensor=False)
        seen, weight = self.values[point], self.weights[point]
        with np.errstate(over="ignore", invalid="ignore"):
            for row, part in enumerate((seen - fitted, seen**2 - fitted**2)):
                found[row] = np.bincount(panel, weight * part, len(low))
            np.maximum.at(found[2], panel, np.abs(seen - fitted) * _POINT_ROOTS[point])
        return found


def at_ends(values: FloatArray) -> FloatArray:
    """The polynomials through panels' nodes, at both ends: (panels, 2)."""
    return values @ _POLYNOMIAL @ _AT_ENDS


def steep_gain(
    function: ArrayFunction,
    y: FloatArray,
    s: FloatArray,
    low: FloatArray,
    high: FloatArray,
    owner: NDArray[np.intp],
) -> FloatArray:
    """What panels too narrow to halve hold of `E (df/dg)^2`, for each element.

    Beside a kink or a jump the slope is bounded, and they hold nothing. Beside a point where f goes
    like `|z|^b`, halving the distance leaves `2^(1 - 2b)` of the integral from there: with b up to
    one half it is infinite. The share is measured from differences of f at distances that halve.
    """
    missing = np.zeros(len(y))
    if not len(low):
        return missing
    order = np.lexsort((low, owner))
    low, high, owner = low[order], high[order], owner[order]
    begins = np.append(True, (owner[1:] != owner[:-1]) | (low[1:] - high[:-1] > 1e-12))
    ends = np.append(begins[1:], True)
    low, high, owner = low[begins], high[ends], owner[begins]
    middle = (low + high) / 2
    density = np.exp(-(middle**2) / 2) / np.sqrt(2 * np.pi)
    for edge, side in ((low, -1.0), (high, 1.0)):
        z = y[owner, None] + s[owner, None] * (edge[:, None] + side * _SCALES)
        held = _one_side(function(z), z, s[owner], (high - low) / 2)
        np.add.at(missing, owner, held * density)
    return missing


def _one_side(values: FloatArray, z: FloatArray, s: FloatArray, within: FloatArray) -> FloatArray:
    """The integral of the squared slope from a singular point to a distance, by powers of it."""
    step = np.abs(np.diff(values, axis=1))
    sizes = np.abs(values[:, :-1]) * _ROUNDINGS
    told = (step > sizes) & (s[:, None] * _SCALES[:-1] > _ROUNDINGS * np.abs(z[:, :-1]))
    nearest = np.where(told.any(axis=1), told.shape[1] - 1 - told[:, ::-1].argmax(axis=1), -1)
    farther = nearest - _SEEN
    rows = np.flatnonzero(farther >= 0)
    held = np.zeros(len(values))
    if not len(rows):
        return held
    near, far = step[rows, nearest[rows]], step[rows, farther[rows]]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        power = np.log2(far / near) / _SEEN  # b
        share = 2.0 ** (1 - 2 * power)
        distance = _SCALES[nearest[rows]]
        finite = (power * near / (1 - 2.0**-power)) ** 2 / (2 * power - 1)
        finite *= within[rows] ** (2 * power - 1) / distance ** (2 * power)
        held[rows] = np.where(share >= _DIVERGES, np.inf, np.where(share > _BOUNDED, finite, 0.0))
    return held
