"""Where do the kernels' coefficients come from? Finds them anew, and compares.

Remez's exchange in 60 digits finds the polynomial Q of degree n that keeps the largest error of
r^2 Q(r), in parts of the result of `_polynomials`, smallest. For float32 one coefficient after the
other is rounded and the rest are found again, so that the later ones mend what rounding did. For
float64, rounding the coefficients is most of the error that is left, and little beside the
roundings of the computation.
"""

import math
from collections.abc import Iterator

import mpmath as mp
import torch

from benchmarks._harness import Row, main
from selfnorm._spec._constants import BOTTOM, rounded
from selfnorm._spec._polynomials import DOUBLE, LOWEST_R, SINGLE
from selfnorm.ops._constants import FORMATS

A = mp.mpf(BOTTOM.numerator) / BOTTOM.denominator
LOW, HIGH = mp.mpf(LOWEST_R) * mp.mpf("1.001"), (math.log(2) + LOWEST_R) * mp.mpf("1.001")
Grid = list[mp.mpf]


def measure(quick: bool) -> Iterator[Row]:
    """One row a dtype; float64 takes half a minute."""
    cases = (
        ("float32", SINGLE, torch.float32, mp.mpf(2) ** -24),
        ("float64", DOUBLE, torch.float64, mp.mpf(2) ** -53),
    )
    steps = 150 if quick else 1500
    with mp.workdps(60):
        grid = [LOW + (HIGH - LOW) * i / steps for i in range(steps + 1)]
        for name, formula, dtype, unit in cases[: 1 if quick else 2]:
            found = find(len(formula.q), dtype, grid)
            used, best = (worst([mp.mpf(q) for q in c], grid) / unit for c in (formula.q, found))
            yield Row(
                f"largest error of the {name} polynomial, in halves of a unit in the last place",
                "found anew",
                mp.nstr(used, 3),
                mp.nstr(best, 3),
                wrong="" if used < 0.5 else "more than a quarter of a unit",
            )


def find(count: int, dtype: torch.dtype, grid: Grid) -> list[float]:
    """Coefficients in that dtype, the constant term first."""
    if dtype == torch.float64:
        return [float(c) for c in remez([], count, grid)]
    fixed: list[mp.mpf] = []
    while len(fixed) < count:
        free = remez(fixed, count - len(fixed), grid)
        fixed.append(mp.mpf(rounded(float(free[0]), FORMATS[dtype])))
    return [float(c) for c in fixed]


def remez(fixed: list[mp.mpf], count: int, grid: Grid) -> list[mp.mpf]:
    """The best `count` coefficients behind the fixed ones."""
    points = [
        (LOW + HIGH) / 2 - (HIGH - LOW) / 2 * mp.cos(mp.pi * (2 * i + 1) / (2 * count + 2))
        for i in range(count + 1)
    ]
    free: list[mp.mpf] = []
    for _ in range(8):
        system = mp.matrix(count + 1, count + 1)
        target = mp.matrix(count + 1, 1)
        for row, r in enumerate(points):
            for column in range(count):
                system[row, column] = r ** (len(fixed) + column)
            system[row, count] = (-1) ** row / weight(r)
            target[row] = wanted(r) - mp.polyval(fixed[::-1], r)
        solved = mp.lu_solve(system, target)
        free = [solved[i] for i in range(count)]
        extrema = alternating(fixed + free, grid)
        if len(extrema) < count + 1:
            break
        while len(extrema) > count + 1:
            ends = extrema[0], extrema[-1]
            extrema.remove(min(ends, key=lambda r: abs(error(fixed + free, r))))
        points = extrema
    return free


def alternating(coefficients: list[mp.mpf], grid: Grid) -> list[mp.mpf]:
    """Where the error is largest between its changes of sign."""
    extrema: list[mp.mpf] = []
    for r in grid:
        here = error(coefficients, r)
        if not extrema or here * error(coefficients, extrema[-1]) < 0:
            extrema.append(r)
        elif abs(here) > abs(error(coefficients, extrema[-1])):
            extrema[-1] = r
    return extrema


def worst(coefficients: list[mp.mpf], grid: Grid) -> mp.mpf:
    """The largest error on the grid."""
    return max(abs(error(coefficients, r)) for r in grid)


def error(coefficients: list[mp.mpf], r: mp.mpf) -> mp.mpf:
    """The error of r^2 Q(r) as a part of the result."""
    return (mp.polyval(coefficients[::-1], r) - wanted(r)) * weight(r)


def wanted(r: mp.mpf) -> mp.mpf:
    """(A (exp(r) - 1) - A r) / r^2."""
    return A * (mp.expm1(r) - r) / r**2 if r else A / 2


def weight(r: mp.mpf) -> mp.mpf:
    """r^2 by the result: A (exp(r) - 1) where k = 0, and at least three quarters elsewhere."""
    result = abs(A * mp.expm1(r))
    if r > 0:
        result = max(result, mp.mpf("0.75"))
    return r * r / result if r else mp.mpf(10) ** -9


if __name__ == "__main__":
    main("polynomials", measure)
