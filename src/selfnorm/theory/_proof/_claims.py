r"""The four kinds of claim that the theorems make, reduced from four variables to two.

The map depends on its arguments through `y = mean * omega` and `x = variance * tau` alone,
and over a domain (a product of intervals) `(y, x)` takes every value of a rectangle and no other.
So a claim on the domain is one on the rectangle once the rest of its variables is replaced by its
worst value there:

* **maps into** a range of means and variances: nothing but y and x occurs. Equivalent.
* **shrinks**, `variance' < variance`: for one x, `variance = x / tau` is least at
  `max(variance_low, x / tau_high)`, and variance' does not change. Equivalent.
* **grows**, `variance' > variance`: for one x, variance is greatest at
  `min(variance_high, x / tau_low)`.
  Equivalent.
* **contracts**, largest singular value S of the Jacobian below 1: the Jacobian is
  `M(y, x) diag(omega, tau)`. If `|a| <= |a'|` and `|b| <= |b'|` then
  `diag(a, b) = diag(a', b') D` with `|D| <= 1`, so S does not decrease in `|omega|` and
  `tau`, and is greatest at the largest `|omega|` with which some mean makes y and, as
  `variance >= variance_low`, at `tau = min(tau_high, x / variance_low)`. Equivalent.

This needs neither the paper's assumption `0 < 2y` (Eq. 31) nor its grid.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

from flint import arb

from selfnorm.theory._domain import Domain, Range
from selfnorm.theory._proof._enclosure import Box, Image, largest_stretch
from selfnorm.theory._proof._exact import ball


class Point(NamedTuple):
    """A point of the four-dimensional domain."""

    mean: Fraction
    variance: Fraction
    omega: Fraction
    tau: Fraction


class Claim(NamedTuple):
    """One inequality on a domain.

    Attributes:
        name: What it says, in a word or two.
        slack: From a box and its image to a ball around the slack: the claim holds on the box if
            the ball is positive.
        slack_at: The slack at one point, given its image: none of the domain is smaller than the
            least of all points.
        worst: From a `(y, x)` in the rectangle to the worst point of the domain above it, or None.
        violation: What is wrong at such a point, given its image; None if nothing is for certain.
    """

    name: str
    slack: Callable[[Box, Image], arb]
    slack_at: Callable[[Point, Image], arb]
    worst: Callable[[Fraction, Fraction], Point | None]
    violation: Callable[[Point, Image], str | None]


def contracts(domain: Domain) -> Claim:
    """The largest singular value of the Jacobian is below 1."""

    def slack(box: Box, image: Image) -> arb:
        omega = _largest_sum(domain, box[0])
        tau = min(domain.tau[1], box[1][1] / domain.variance[0])
        return 1 - largest_stretch(image.slopes, ball(omega), ball(tau))

    def slack_at(point: Point, image: Image) -> arb:
        return 1 - largest_stretch(image.slopes, ball(point.omega), ball(point.tau))

    def worst(y: Fraction, x: Fraction) -> Point | None:
        tau = min(domain.tau[1], x / domain.variance[0])
        return _lift(domain, y, x / tau, tau)

    def violation(point: Point, image: Image) -> str | None:
        stretch = largest_stretch(image.slopes, ball(point.omega), ball(point.tau))
        return f"singular value {_show(stretch)} > 1" if stretch > 1 else None

    return Claim("contracts", slack, slack_at, worst, violation)


def maps_into(domain: Domain, mean: Range, variance: Range, *, name: str = "maps into") -> Claim:
    """Mean and variance of the output lie in the ranges, ends excluded."""

    def gaps(image: Image) -> tuple[tuple[arb, str, arb], ...]:
        return (
            (image.mean - ball(mean[0]), f"mean {{}} < {float(mean[0]):g}", image.mean),
            (ball(mean[1]) - image.mean, f"mean {{}} > {float(mean[1]):g}", image.mean),
            (
                image.variance - ball(variance[0]),
                f"variance {{}} < {float(variance[0]):g}",
                image.variance,
            ),
            (
                ball(variance[1]) - image.variance,
                f"variance {{}} > {float(variance[1]):g}",
                image.variance,
            ),
        )

    def slack(_: object, image: Image) -> arb:
        values = [gap for gap, _, _ in gaps(image)]
        least = values[0]
        for value in values[1:]:
            least = least.min(value)
        return least

    def worst(y: Fraction, x: Fraction) -> Point | None:
        tau = max(domain.tau[0], x / domain.variance[1])
        return _lift(domain, y, x / tau, tau)

    def violation(_point: Point, image: Image) -> str | None:
        found = [text.format(_show(value)) for gap, text, value in gaps(image) if gap < 0]
        return found[0] if found else None

    return Claim(name, slack, slack, worst, violation)


def shrinks(domain: Domain) -> Claim:
    """The variance of the output is below that of the input."""

    def least(x: Fraction) -> Fraction:
        return max(domain.variance[0], x / domain.tau[1])

    def slack(box: Box, image: Image) -> arb:
        return ball(least(box[1][0])) - image.variance

    def slack_at(point: Point, image: Image) -> arb:
        return ball(point.variance) - image.variance

    def worst(y: Fraction, x: Fraction) -> Point | None:
        return _lift(domain, y, least(x), x / least(x))

    def violation(point: Point, image: Image) -> str | None:
        rises = image.variance > ball(point.variance)
        return (
            f"variance rises from {float(point.variance):g} to {_show(image.variance)}"
            if rises
            else None
        )

    return Claim("shrinks the variance", slack, slack_at, worst, violation)


def grows(domain: Domain) -> Claim:
    """The variance of the output is above that of the input."""

    def most(x: Fraction) -> Fraction:
        return min(domain.variance[1], x / domain.tau[0])

    def slack(box: Box, image: Image) -> arb:
        return image.variance - ball(most(box[1][1]))

    def slack_at(point: Point, image: Image) -> arb:
        return image.variance - ball(point.variance)

    def worst(y: Fraction, x: Fraction) -> Point | None:
        return _lift(domain, y, most(x), x / most(x))

    def violation(point: Point, image: Image) -> str | None:
        falls = image.variance < ball(point.variance)
        return (
            f"variance falls from {float(point.variance):g} to {_show(image.variance)}"
            if falls
            else None
        )

    return Claim("grows the variance", slack, slack_at, worst, violation)


def _lift(domain: Domain, y: Fraction, variance: Fraction, tau: Fraction) -> Point | None:
    """The point of the domain with this y and the largest |omega|; None if there is none.

    The level curve `mean * omega = y` leaves a rectangle through an edge, so one of the two
    may be taken at an end of its range.
    """
    pairs = [(y / end, end) for end in domain.omega if end != 0]
    pairs += [(end, y / end) for end in domain.mean if end != 0]
    pairs += [(mean, end) for mean in domain.mean for end in domain.omega if mean * end == y]
    inside = [
        pair for pair in pairs if _within(pair[0], domain.mean) and _within(pair[1], domain.omega)
    ]
    if not inside:
        return None
    mean, omega = max(inside, key=lambda pair: abs(pair[1]))
    return Point(mean, variance, omega, tau)


def _largest_sum(domain: Domain, y: Range) -> Fraction:
    """The largest |omega| with which some mean of the domain makes a product within a range.

    For omega of either sign, `|omega| m` for m from `mean_low` to `mean_high`, with that sign, must
    meet the range: two linear conditions on `|omega|`.
    """
    found = Fraction(0)
    for sign in (1, -1):
        mean_low, mean_high = sorted(sign * end for end in domain.mean)
        low, high = sorted(sign * end for end in domain.omega)
        if mean_low > 0:
            high = min(high, y[1] / mean_low)
        if mean_high < 0:
            high = min(high, y[0] / mean_high)
        if high >= max(low, 0) and high * mean_low <= y[1] and high * mean_high >= y[0]:
            found = max(found, high)
    return found


def _within(value: Fraction, limits: Range) -> bool:
    return limits[0] <= value <= limits[1]


def _show(value: arb) -> str:
    return value.str(8, radius=False)
