r"""The two halves of SELU under a Gaussian, in float64, with full relative accuracy.

For `z ~ N(y, x)`, `s = sqrt(x)`, `t = y / s` let

    u = max(z, 0)        w = exp(min(z, 0))        d = 1 - w

so that `selu(z) = scale * (u - alpha * d)`. As `u * d = 0`, the covariance of u and d is
`-E u * E d`, and

    mean = scale (E u - alpha E d)
    variance  = scale^2 (Var u + alpha^2 Var d + 2 alpha E u E d)

The variance is a sum of positive terms. So it has full relative accuracy also where the mean is
a thousand times the deviation and `E selu^2 - mean^2` would keep no digit, provided that `Var u`
and `Var d` have it; that is what this module is for.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import erf, erfcx, ndtr

from selfnorm.theory._tails import tail_integrals
from selfnorm.theory._types import FloatArray

_NARROW = 0.5  # below this deviation, differences of the closed forms would cancel
_NOTHING_BELOW = 39.0  # deviations of the mean above 0 where P(z < 0) underflows
_REACH = 9.0  # deviations beyond which a Gaussian's square moments are under 1e-17
_CHUNK = 8192  # elements x 48 nodes: 3 MB, so that it stays in cache
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(48)


class Halves(NamedTuple):
    """Integrals at `z ~ N(y, x)`, each of the shape of y and x.

    Attributes:
        above: P(z > 0).
        below: P(z < 0).
        density: The density of z at 0, where SELU's slope jumps.
        up: E u.
        up_var: Var u.
        down: E d.
        down_var: Var d, which is Var w.
        exp1: E[e^z; z < 0].
        exp2: E[e^2z; z < 0].
    """

    above: FloatArray
    below: FloatArray
    density: FloatArray
    up: FloatArray
    up_var: FloatArray
    down: FloatArray
    down_var: FloatArray
    exp1: FloatArray
    exp2: FloatArray


def halves(y: FloatArray, x: FloatArray) -> Halves:
    """`Halves` for arrays of equal shape, x positive."""
    s = np.sqrt(x)
    t = y / s
    above, below = np.asarray(ndtr(t)), np.asarray(ndtr(-t))
    gauss = np.exp(-(y**2) / (2 * x))
    density = gauss / np.sqrt(2 * np.pi)  # of z / s
    up, up_var = _upper(y, x, t, above, density)
    exp1, exp2 = _exponential(y, x, gauss, 1), _exponential(y, x, gauss, 2)
    down, down_var = _wide_lower(y, above, below, exp1, exp2)
    narrow = (s < _NARROW) & (t < _NOTHING_BELOW)
    if np.any(narrow):
        down[narrow], down_var[narrow] = _narrow_lower(y[narrow], s[narrow])
    return Halves(above, below, density / s, up, up_var, down, down_var, exp1, exp2)


def exponential_by_x(y: FloatArray, x: FloatArray) -> FloatArray:
    """`x d E[e^z; z < 0] / dx`, half of `x exp1 - (x - y) density`.

    Where `u = t + s` is not negative it is taken as

        phi(t) / 2 * (t^2 M_0(u) - (s - t) M_1(u)),

    in which what is large and nearly equal in wide Gaussians has been subtracted.
    """
    s = np.sqrt(x)
    t = y / s
    u = t + s
    m0, m1, _ = tail_integrals(np.maximum(u, 0))
    gauss = np.exp(-(y**2) / (2 * x))
    density = gauss / np.sqrt(2 * np.pi)
    near = (t**2 * m0 - (s - t) * m1) * density
    far = x * _exponential(y, x, gauss, 1) - (s - t) * density
    return np.where(u < 0, far, near) / 2


def _upper(
    y: FloatArray, x: FloatArray, t: FloatArray, above: FloatArray, density: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """`E u` and `Var u`; for t > 0, `Var max(z, 0) = Var z (1 - 2 P(z < 0)) + Var max(-z, 0)`."""
    _, m1, m2 = tail_integrals(np.abs(t))
    small = density * (m2 - density * m1**2)
    s = np.sqrt(x)
    up = np.where(t > 0, s * density + y * above, s * density * m1)
    return up, x * np.where(t > 0, np.asarray(erf(t / np.sqrt(2))) + small, small)


def _exponential(y: FloatArray, x: FloatArray, gauss: FloatArray, k: int) -> FloatArray:
    """`E[e^kz; z < 0]`, by erfcx where `exp * erfc` would be infinity times zero."""
    u = (y + k * x) / np.sqrt(x)
    inner = np.exp(np.minimum(k * y + k * k * x / 2, 0)) * np.asarray(ndtr(-u))
    outer = gauss * np.asarray(erfcx(np.maximum(u, 0) / np.sqrt(2))) / 2
    return np.where(u < 0, inner, outer)


def _wide_lower(
    y: FloatArray, above: FloatArray, below: FloatArray, exp1: FloatArray, exp2: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """`E d` and `Var d` from the closed forms; for wide Gaussians they do not cancel."""
    down = below - exp1
    return down, np.where(
        y > 0,
        below - 2 * exp1 + exp2 - down**2,
        exp2 - exp1**2 + above * (below - 2 * exp1),
    )


def _narrow_lower(y: FloatArray, s: FloatArray) -> tuple[FloatArray, FloatArray]:
    """`E d` and `Var d` for narrow Gaussians, by quadrature of integrands of one sign."""
    parts = [
        _quadrature(y[i : i + _CHUNK, None], s[i : i + _CHUNK, None])
        for i in range(0, len(y), _CHUNK)
    ]
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def _quadrature(y: FloatArray, s: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Gauss-Legendre over `z = y + s g < 0`, where `phi(g)` is above 1e-17 of its maximum there.

    `Var d = Var w` is taken around `w` at `min(y, 0)`, so that no large part is subtracted.
    """
    t = y / s
    high = np.minimum(-t, _REACH)
    low = np.where(t > 0, -t - np.minimum(_REACH, 40 / np.maximum(t, 1)), -_REACH)
    g = (high + low) / 2 + (high - low) / 2 * _NODES
    weight = (high - low) / 2 * _WEIGHTS * np.exp(-(g**2) / 2) / np.sqrt(2 * np.pi)
    down = -(weight * np.expm1(np.minimum(y + s * g, 0))).sum(axis=1)

    center = np.minimum(y, 0)
    above = np.asarray(ndtr(t))
    deviation = np.expm1((y - center) + s * g)
    deviation_above = np.expm1(np.minimum(-center, 2 * _NARROW * _REACH))
    middle = (weight * deviation).sum(axis=1, keepdims=True) + above * deviation_above
    spread = (weight * (deviation - middle) ** 2).sum(axis=1, keepdims=True)
    spread += above * (deviation_above - middle) ** 2
    return down, (np.exp(2 * center) * spread)[:, 0]
