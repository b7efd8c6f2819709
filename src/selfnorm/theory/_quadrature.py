r"""Gaussian integrals of any activation, by adaptive quadrature that needs no derivative.

For `z = y + s g` with g standard normal, integration by parts moves every derivative from the
activation f onto the Gaussian, so f may have kinks:

    d/dy E F(z) = E[F(z) g] / s            d/dx E F(z) = E[F(z) (g^2 - 1)] / (2 s^2)

Each panel is compared with its two halves and is halved until they agree, so a kink that nobody
told of is found by bisection; nor may f leave a panel's polynomial between the last node and the
end, where a jump would go unseen. Where a function of a user's own is integrated for one Gaussian,
its panels must besides agree with it at 16,384 further points (`Scan`), so a spike between the
nodes is found if it is wider than about a thousandth of the deviation. What is narrower may be
missed: no number of points can exclude it.

The error stated is the sum of three parts: the differences between panels and their halves, what
the scan would correct, and roundings. It is an estimate that errs on the large side of these, not
a bound. At a point where bisection does not end, `steep_gain` tells a kink or a jump from a slope
that grows without end, and whether its square has an integral.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from selfnorm.errors import ArgumentError
from selfnorm.theory._scan import COUNT, ENDS, NODES, POINTS, WEIGHTS, Scan, at_ends, steep_gain
from selfnorm.theory._statistics import Statistics
from selfnorm.theory._types import ArrayFunction, FloatArray

Entry = TypeVar("Entry", bound=np.generic)

_REACH = 14.0  # phi(14) = 1e-43: ample unless f grows exponentially, which is noticed
_FAR_REACH = 38.0  # beyond it phi underflows
# Of the integral of the absolute value: a few roundings; more for E f'^2, the last one, whose
# slopes are those of the polynomial through the nodes.
_TOLERANCE = np.array([3e-15] * 6 + [1e-13])
_OUTSIDE = 1e-15  # share of E f^2 that the two outermost panels may hold
_NOTHING = 1e-250  # an E f^2 that is none
_NARROWEST = 1e-13  # a kink's last panel
_CHUNK = 2048  # elements at a time, about 64 MB
_CUTS = (-16.0, -4.0, -1.0, 0.0, 1.0, 4.0, 16.0)  # where a wide Gaussian would miss what f does
_MOST_PANELS = 100_000  # about 200 MB
_STRAYS = 1e-9  # of the root mean square: how far panels may be from f between their nodes


def _differentiation_matrix() -> FloatArray:
    """From values at the nodes to the derivatives there of the polynomial through them."""
    gaps = NODES[:, None] - NODES + np.eye(COUNT)
    barycentric = 1 / gaps.prod(axis=1)
    matrix = barycentric / barycentric[:, None] / gaps
    np.fill_diagonal(matrix, 0)
    np.fill_diagonal(matrix, -matrix.sum(axis=1))
    return matrix


_DERIVATIVE = _differentiation_matrix()


class _TooManyPanelsError(Exception):
    """More panels than memory is meant to hold."""


class _Problem(NamedTuple):
    """The activation f, where its slope jumps, `z = y + s g` for each element, `f(y)`, a scan."""

    function: ArrayFunction
    kinks: tuple[float, ...]
    y: FloatArray
    s: FloatArray
    base: FloatArray
    scan: Scan | None


class _Panels(NamedTuple):
    """Seven integrals over each panel, and what else is known of it.

    The integrands are `d, d g, d (g^2 - 1)` for `d = f(z) - f(y)`, the same for `d^2`, and
    `(df/dg)^2`, all under the Gaussian of g.

    Attributes:
        sums: The integrals.
        sizes: Those of absolute values.
        noise: What rounding may change of them.
        values: f at the nodes, less `f(y)`.
        rounding: What it may change of these.
        off: How far f is at the panel's ends from the polynomial, times the density's root.
        unseen: What a jump between the last node and the end, and no larger, would change of the
            mean and of the mean square.
    """

    sums: FloatArray
    sizes: FloatArray
    noise: FloatArray
    values: FloatArray
    rounding: FloatArray
    off: FloatArray
    unseen: FloatArray


def quadrature_statistics(
    function: ArrayFunction,
    kinks: tuple[float, ...],
    y: FloatArray,
    x: FloatArray,
    *,
    known: bool = False,
) -> Statistics:
    """`Statistics` of any activation; `kinks` are where its slope jumps, if known.

    A `known` function has no spikes that a scan would have to look for.
    """
    scan = len(y) == 1 and not known
    parts = [
        _chunk(function, kinks, y[i : i + _CHUNK], x[i : i + _CHUNK], scan=scan)
        for i in range(0, max(len(y), 1), _CHUNK)
    ]
    return Statistics(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _chunk(
    function: ArrayFunction,
    kinks: tuple[float, ...],
    y: FloatArray,
    x: FloatArray,
    *,
    scan: bool,
) -> Statistics:
    s = np.sqrt(x)
    base = evaluate(function, y)
    scanned = Scan.of(evaluate(function, y + s * POINTS) - base) if scan else None
    problem = _Problem(function, kinks, y, s, base, scanned)
    try:
        sums, error, outside = _integrate(problem, _REACH)
        if not np.all(outside <= _OUTSIDE):
            sums, error, outside = _integrate(problem, _FAR_REACH)
    except _TooManyPanelsError:
        return _halved(function, kinks, y, x)
    if not np.all(outside <= _OUTSIDE):
        worst = int(np.argmin(outside <= _OUTSIDE))
        msg = (
            "An activation's square must have a mean under a Gaussian; this one grows too fast "
            f"at mean {y[worst]:g} and variance {x[worst]:g}. Bound it, or ask for a smaller "
            "variance."
        )
        raise ArgumentError(msg)
    d, dg, dh, dd, ddg, ddh, slopes = sums
    with np.errstate(all="ignore"):  # who asked refuses what is not finite
        return Statistics(
            mean=base + d,
            variance=dd - d**2,
            mean_by_y=dg / s,
            mean_by_x=dh / (2 * x),
            variance_by_y=(ddg - 2 * d * dg) / s,
            variance_by_x=(ddh - 2 * d * dh) / (2 * x),
            gain=slopes / x,
            error=error[3] + 2 * np.abs(d) * error[0],
        )


def _halved(
    function: ArrayFunction, kinks: tuple[float, ...], y: FloatArray, x: FloatArray
) -> Statistics:
    """The same for each half of the elements, as all at once need too much memory."""
    if len(y) == 1:
        msg = (
            "An activation must not vary too fast; at mean "
            f"{y[0]:g} and variance {x[0]:g} this one needs more than {_MOST_PANELS} panels. "
            "Ask for a smaller variance."
        )
        raise ArgumentError(msg)
    cut = len(y) // 2
    halves = (
        _chunk(function, kinks, y[:cut], x[:cut], scan=False),
        _chunk(function, kinks, y[cut:], x[cut:], scan=False),
    )
    return Statistics(*map(np.concatenate, zip(*halves, strict=True)))


def _integrate(problem: _Problem, reach: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Seven integrals, their errors, and the outermost panels' share; a column for each element."""
    low, high, owner = _first_panels(problem, reach)
    outermost = (high >= reach) | (low <= -reach)
    total, size, ends, error = np.zeros((4, 7, len(problem.y)))

    first = _panels(problem, low, high, owner)
    coarse = first.sums
    _add(size, first.sizes, owner)
    _add(ends, first.sizes[:, outermost], owner[outermost])
    if not np.all(np.isfinite(size)):
        if reach > _REACH:
            return total, error, np.full_like(problem.y, np.inf)
        return np.full_like(total, np.nan), error, np.zeros_like(problem.y)  # refused by who asked
    outside = ends[3] / (size[3] + _NOTHING)
    if not np.all(outside <= _OUTSIDE):
        return total, error, outside
    settled = np.zeros_like(size)
    narrow: list[tuple[FloatArray, FloatArray, NDArray[np.intp]]] = []
    while True:
        middle = (low + high) / 2
        left, right = _panels(problem, low, middle, owner), _panels(problem, middle, high, owner)
        fine = left.sums + right.sums
        gap = np.abs(fine - coarse)
        sizes = left.sizes + right.sizes
        slopes = np.maximum(size[6], settled[6])  # at a jump they grow as panels narrow
        size = settled.copy()  # anew, as finer panels may see what the first ones did not
        _add(size, sizes, owner)
        size[6] = slopes
        allowed = _TOLERANCE[:, None] * size + np.finfo(float).tiny
        allowed[6] += _TOLERANCE[6] * size[3]  # where f is made of steps, E f'^2 is 0
        done = np.all(gap <= allowed[:, owner] + left.noise + right.noise, axis=0)
        done &= np.maximum(left.off, right.off) <= _STRAYS * np.sqrt(size[3, owner])
        last = high - low < _NARROWEST
        if problem.scan is not None:
            off = _off(problem.scan, ((low, middle, left), (middle, high, right)), done & ~last)
            done &= off[2] <= _STRAYS * np.sqrt(size[3])
            error[[0, 3]] += np.abs(off[:2, done]).sum(axis=1, keepdims=True)
        gap[[0, 3]] += np.where(last, 2 * sizes[[0, 3]], left.unseen + right.unseen)
        done |= last
        fine[6, last] = sizes[6, last] = 0  # what is missing, `steep_gain` adds
        narrow.append((low[last], high[last], owner[last]))
        _add(total, fine[:, done], owner[done])
        _add(settled, sizes[:, done], owner[done])
        _add(error, gap[:, done], owner[done])
        again = ~done
        if not np.any(again):
            break
        if 2 * np.count_nonzero(again) > _MOST_PANELS:
            raise _TooManyPanelsError
        low, high = _concat(low, middle, again), _concat(middle, high, again)
        coarse = np.concatenate([left.sums[:, again], right.sums[:, again]], axis=1)
        owner = _concat(owner, owner, again)
    error += 4 * np.finfo(float).eps * settled
    total[6] += steep_gain(
        lambda z: evaluate(problem.function, z),
        problem.y,
        problem.s,
        *map(np.concatenate, zip(*narrow, strict=True)),
    )
    return total, error, outside


def _off(
    scan: Scan, halves: Sequence[tuple[FloatArray, FloatArray, _Panels]], chosen: NDArray[np.bool_]
) -> FloatArray:
    """`Scan.strays` of both halves of the chosen panels, the last row less what is rounding."""
    found = np.zeros((3, len(chosen)))
    for low, high, panels in halves:
        strays = scan.strays(low[chosen], high[chosen], panels.values[chosen])
        found[:2, chosen] += strays[:2]
        beyond = strays[2] - 16 * panels.rounding[chosen]
        found[2, chosen] = np.maximum(found[2, chosen], beyond)
    return found


def _first_panels(
    problem: _Problem, reach: float
) -> tuple[FloatArray, FloatArray, NDArray[np.intp]]:
    """Panels 2 wide, cut at the kinks and around 0: both ends, and whose panel it is."""
    grid = np.linspace(-reach, reach, int(reach) + 1)
    y = problem.y
    own = (np.array((*_CUTS, *problem.kinks)) - y[:, None]) / problem.s[:, None]
    cuts = np.sort(
        np.concatenate(
            [np.broadcast_to(grid, (len(y), len(grid))), np.clip(own, -reach, reach)], axis=1
        ),
        axis=1,
    )
    wide = cuts[:, 1:] - cuts[:, :-1] > _NARROWEST
    owner = np.broadcast_to(np.arange(len(y))[:, None], wide.shape)
    return cuts[:, :-1][wide], cuts[:, 1:][wide], owner[wide]


def _panels(
    problem: _Problem, low: FloatArray, high: FloatArray, owner: NDArray[np.intp]
) -> _Panels:
    """Integrate over each panel, for the element that owns it."""
    y, s, base = problem.y[owner], problem.s[owner], problem.base[owner]
    half = (high - low)[:, None] / 2
    g = (low + high)[:, None] / 2 + half * NODES
    ends = (low + high)[:, None] / 2 + half * ENDS
    at = y[:, None] + s[:, None] * np.concatenate([g, ends], axis=1)
    values, beyond = np.split(evaluate(problem.function, at) - base[:, None], [COUNT], axis=1)
    weight = half * WEIGHTS * np.exp(-(g**2) / 2) / np.sqrt(2 * np.pi)
    slope = values @ _DERIVATIVE.T / half
    with np.errstate(over="ignore", invalid="ignore"):
        rows = [
            weighted * factor
            for weighted in (weight * values, weight * values * values)
            for factor in (1, g, g**2 - 1)
        ]
        rows.append(weight * slope**2)
        sums = np.stack([row.sum(axis=1) for row in rows])
        sizes = np.stack([np.abs(row).sum(axis=1) for row in rows])
        largest, steepest = np.abs(values).max(axis=1), np.abs(slope).max(axis=1)
        argument = np.abs(y) / s + np.abs(g).max(axis=1)
        rounding = 4 * np.finfo(float).eps * (np.abs(base) + largest + argument * steepest)
        first = rounding * (weight * (1 + g**2)).sum(axis=1)
        slopes = 2 * steepest * rounding * COUNT**2 / half[:, 0] * weight.sum(axis=1)
        slopes = np.minimum(slopes, sizes[6] / 1000)  # at a jump all would pass for rounding
        noise = np.stack([first] * 3 + [2 * largest * first] * 3 + [slopes])
        off = np.maximum(np.abs(beyond - at_ends(values)).max(axis=1) - 16 * rounding, 0.0)
        bulge = np.exp(-(np.minimum(np.abs(ends[:, 0]), np.abs(ends[:, 1])) ** 2) / 4)
        unseen = off * bulge**2 * half[:, 0] * (1 - NODES[-1])
    return _Panels(
        sums, sizes, noise, values, rounding, off * bulge, np.stack([unseen, 2 * largest * unseen])
    )


def evaluate(function: ArrayFunction, z: FloatArray) -> FloatArray:
    """An activation's values, or an error that says what is wrong with them."""
    try:
        with np.errstate(all="ignore"):
            values = np.asarray(function(z))
    except (TypeError, ValueError, AttributeError, ArithmeticError, LookupError) as problem:
        msg = (
            f"An activation must take a NumPy array and return one; this one raised {problem!r}. "
            "Write it with NumPy functions, or wrap it in numpy.vectorize."
        )
        raise ArgumentError(msg) from problem
    if values.shape != z.shape or values.dtype.kind not in "fiu":
        msg = (
            f"An activation must return real numbers of its argument's shape {z.shape}; got "
            f"{values.dtype} of shape {values.shape}. Write it with NumPy functions, elementwise."
        )
        raise ArgumentError(msg)
    values = values.astype(np.float64)
    broken = ~np.isfinite(values)
    if np.any(broken):
        where = z[broken][np.argmin(np.abs(z[broken]))]
        msg = (
            f"An activation must be finite and must not grow too fast; f({where:g}) is "
            f"{values[broken][np.argmin(np.abs(z[broken]))]}. Bound it, or ask for a smaller "
            "variance."
        )
        raise ArgumentError(msg)
    return values


def _add(total: FloatArray, rows: FloatArray, owner: NDArray[np.intp]) -> None:
    for i, values in enumerate(rows):
        total[i] += np.bincount(owner, weights=values, minlength=total.shape[1])


def _concat(
    first: NDArray[Entry], second: NDArray[Entry], chosen: NDArray[np.bool_]
) -> NDArray[Entry]:
    return np.concatenate([first[chosen], second[chosen]])
