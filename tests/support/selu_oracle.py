"""SELU's moments in mpmath, straight from the paper's integrals, with digits to spare."""

from typing import Any

import mpmath

ALPHA = "1.67326324235437728481704299167165203846115534828"
SCALE = "1.05070098735548049341933498529460635195898120438"


def enough_digits(y: float, x: float) -> int:
    """Digits that survive the closed forms' cancellations, which the library avoids."""
    tail = min(y * y / x, 4000) / 4.6
    return int(80 + tail + max(0.0, -y) * 0.9)


def selu_moments(y: Any, x: Any, alpha: Any = ALPHA, scale: Any = SCALE) -> tuple[Any, Any, Any]:
    """Mean, variance, and the sum of the mean's positive and negative part, for z ~ N(y, x)."""
    y, x, alpha, scale = (mpmath.mpf(value) for value in (y, x, alpha, scale))
    s = mpmath.sqrt(x)
    t = y / s

    def phi(v: Any) -> Any:
        return mpmath.erfc(-v / mpmath.sqrt(2)) / 2

    above, below, density = phi(t), phi(-t), mpmath.npdf(t)
    exp1 = mpmath.exp(y + x / 2) * phi(-t - s)
    exp2 = mpmath.exp(2 * (y + x)) * phi(-t - 2 * s)
    up = s * density + y * above
    down = below - exp1
    second = (y * y + x) * above + y * s * density
    second += alpha**2 * (below - 2 * exp1 + exp2)
    mean = scale * (up - alpha * down)
    return mean, scale**2 * second - mean**2, scale * (up + alpha * down)


def form_moments(y: Any, x: Any, linear: Any, factor: Any, shift: Any) -> tuple[Any, Any, Any]:
    """The same for `linear z + factor selu(z) + shift`; the covariance from E z selu(z) itself."""
    mean, variance, size = selu_moments(y, x)
    y, x, linear, factor, shift = (mpmath.mpf(value) for value in (y, x, linear, factor, shift))
    alpha, scale = mpmath.mpf(ALPHA), mpmath.mpf(SCALE)
    s = mpmath.sqrt(x)

    def first_below(center: Any) -> Any:
        """`E[z; z < 0]` for `z ~ N(center, x)`."""
        u = center / s
        return center * mpmath.erfc(u / mpmath.sqrt(2)) / 2 - s * mpmath.npdf(u)

    below = first_below(y)
    with_exp = mpmath.exp(y + x / 2) * first_below(y + x)
    square_above = (y * y + x) * mpmath.erfc(-y / s / mpmath.sqrt(2)) / 2 + y * s * mpmath.npdf(
        y / s
    )
    product = scale * (square_above - alpha * (below - with_exp))
    covariance = product - y * mean
    return (
        linear * y + factor * mean + shift,
        linear**2 * x + 2 * linear * factor * covariance + factor**2 * variance,
        linear * abs(y) + factor * size + abs(shift),
    )
