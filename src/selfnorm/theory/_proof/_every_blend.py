r"""Theorem 1 for every blend at once of a line and SELU: `S ((1 - t) z + t selu(z))`, t in (0, 1].

The less there is of SELU, the weaker the attraction: the variance's error shrinks by a share of
order t in a layer. So weights may miss their sum of squares only in proportion, and a domain's
`tau` is read as that of t = 1: at t it is `1 + t (tau - 1)`, `omega` as it stands. No number of
boxes proves as it stands what holds with equality at t = 0. But every slack can be divided by t in
closed form, and what is left is bounded away from 0 on all of [0, 1].

With m, v and p for `E selu`, `Var selu` and `E selu'` at `z ~ N(y, x)`, `k = 1 - p(0, 1)` and
`S^2 = 1 / (1 - 2 t (1 - t) k)`, let `x = nu tau` and `tau = 1 + t sigma`:

* **keeps the mean**: `S ((1 - t) y + t m)` lies inside the range of means. Nothing is divided.
* **keeps the variance**: as `Cov(z, selu) = x p`, the new variance less an end nu of its range is
  `t S^2` times `(1 - t)^2 nu sigma + 2 (1 - t) (x p - nu p(0, 1)) + t (v - nu)`. The variance rises
  with x (the next claim shows it), so the lower end need only be compared at the least x, which is
  that of this end nu and the least sigma, and the upper end at the greatest.
* **contracts**: for fixed `(y, x)` the singular value does not fall in `|omega|` and tau (see
  `_claims`), so omega is the largest, tau the largest at t, and all x between the ends of
  `nu tau` are considered, whether such a nu is in the domain or not. The Jacobian is

      [[omega a, tau t beta], [omega t gamma, 1 - t e]],    a = S (1 - t + t p),
      beta = S dm/dx,   gamma = S^2 (4 (1 - t) x dm/dx + t dv/dy),   e = g tau - sigma,
      g = S^2 (2 (1 - t) (p(0, 1) - p - x dp/dx) + t (1 - dv/dx))

  With its singular values S1 >= S2, `(1 - S1^2) (1 - S2^2)` is 1 less the sum of squares of its
  entries plus the square of its determinant D, which is t times

      P = e (2 - t e) (1 - omega^2 a^2)
          - t (tau^2 beta^2 + omega^2 gamma^2 + 2 omega^2 a (1 - t e) tau beta gamma
               - omega^2 tau^2 t^2 beta^2 gamma^2)

  If P is positive and `|D| < 1`, both are below 1, and `1 - S1 > t P / 2`. Besides, `1 - t e`, the
  derivative of the variance by x times tau, is positive.

What fails at a point of a box is handed to the proof for one blend, which finds the counterexample.
"""

import math
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple

from flint import arb

from selfnorm.theory._domain import Domain, Range
from selfnorm.theory._proof._bisection import Outcome, bisect
from selfnorm.theory._proof._claims import contracts, maps_into
from selfnorm.theory._proof._enclosure import Image, selu_image, slope_by_x
from selfnorm.theory._proof._exact import ball, hull, precision
from selfnorm.theory._proof._forms import blended, norm, own, plain

Cube = tuple[Range, ...]  # of y and t, or of y, x and t

_BITS = 64
_SHARP = 0.5  # go on until the proved slack is this share of the least slack at a point
_DEEPEST = 60
_LESS = 12  # by which t may be wider than y and x, whose enclosures it costs less
_BLENDS: Range = (Fraction(0), Fraction(1))


class _Claim(NamedTuple):
    """A slack to be positive on a cube, from a smaller cube to a ball around it there."""

    name: str
    whole: Cube
    slack: Callable[[Cube], arb]


def bisect_blends(domain: Domain, most_boxes: int, report: Callable[[float], object]) -> Outcome:
    """Prove theorem 1 on a domain for every blend, or refute it for one; as `bisect`."""
    claims = _claims(domain)
    names = {claim.name: math.inf for claim in claims}
    outcome = Outcome(dict(names), dict(names))
    with precision(_BITS):
        for number, claim in enumerate(claims):
            blend = _settle(claim, most_boxes, outcome)
            if blend is not None:
                _refute(domain, blend, most_boxes, outcome)
            if outcome.settled:
                return outcome
            report((number + 1) / len(claims))
    outcome.complete = True
    return outcome


def at_blend(domain: Domain, blend: Fraction) -> Domain:
    """The domain for one blend."""
    low, high = (1 + blend * (end - 1) for end in domain.tau)
    return domain.with_ranges(tau=(low, high))


def _claims(domain: Domain) -> tuple[_Claim, ...]:
    ys, _ = domain.products()
    low, high = domain.variance
    xs = low * min(domain.tau[0], Fraction(1)), high * max(domain.tau[1], Fraction(1))
    below, above = domain.tau[0] - 1, domain.tau[1] - 1
    name = "keeps the variance"
    return (
        _Claim("keeps the mean", (ys, xs, _BLENDS), lambda cube: _mean_slack(cube, domain.mean)),
        _Claim(name, (ys, _BLENDS), lambda cube: _variance_rise(cube, low, below)),
        _Claim(name, (ys, _BLENDS), lambda cube: -_variance_rise(cube, high, above)),
        _Claim("contracts", (ys, xs, _BLENDS), lambda cube: _contraction(cube, domain)),
    )


def _mean_slack(cube: Cube, limits: Range) -> arb:
    ys, xs, blends = cube
    t = hull(*blends)
    mean = norm(t, own().lacking) * ((1 - t) * hull(*ys) + t * _selu((ys, xs))[0].mean)
    return (mean - ball(limits[0])).min(ball(limits[1]) - mean)


def _variance_rise(cube: Cube, end: Fraction, sigma: Fraction) -> arb:
    """How far the variance is above an end of its range, over t; the end is met with this sigma."""
    ys, blends = cube
    ends = sorted(end * (1 + sigma * blend) for blend in blends)
    t, x, nu = hull(*blends), hull(*ends), ball(end)
    of, _ = _selu((ys, (ends[0], ends[1])))
    lacking = own().lacking
    left = 1 - t
    rise = left * left * nu * ball(sigma)
    rise += 2 * left * (x * of.slopes.mean_by_y - nu * (1 - lacking)) + t * (of.variance - nu)
    return rise / (1 - 2 * t * left * lacking)


def _contraction(cube: Cube, domain: Domain) -> arb:
    """P / 2, or what else has to be positive."""
    ys, xs, blends = cube
    t, x = hull(*blends), hull(*xs)
    omega = ball(max(map(abs, domain.omega)))
    sigma = ball(domain.tau[1] - 1)
    tau = 1 + t * sigma
    (_, _, of), rise = _selu((ys, xs))
    lacking = own().lacking
    left = 1 - t
    s2 = 1 / (1 - 2 * t * left * lacking)
    s = s2.sqrt()
    a = s * (left + t * of.mean_by_y)
    beta = s * of.mean_by_x
    gamma = s2 * (4 * left * x * of.mean_by_x + t * of.variance_by_y)
    g = s2 * (2 * left * (1 - lacking - of.mean_by_y - rise) + t * (1 - of.variance_by_x))
    e = g * tau - sigma
    kept = 1 - t * e
    square, cross = omega * omega, tau * t * beta * gamma
    determinant = omega * (a * kept - t * cross)
    lost = tau * tau * beta * beta * t + square * gamma * gamma * t
    lost += square * cross * (2 * a * kept - t * cross)
    p = e * (1 + kept) * (1 - square * a * a) - lost
    return (p / 2).min(kept).min(1 - abs(determinant))


@lru_cache(4096)  # halving t asks again
def _selu(box: tuple[Range, Range]) -> tuple[Image, arb]:
    """SELU's image, and `x dp/dx`."""
    alpha, scale, *_ = plain()
    return selu_image(box, alpha, scale), slope_by_x(box, alpha, scale)


def _settle(claim: _Claim, most_boxes: int, outcome: Outcome) -> Fraction | None:
    """Halve cubes until the slack is positive on each; a blend where it is not, if one is met."""
    order = count()
    pending = [(-math.inf, next(order), claim.whole, 0)]
    while pending:
        least, _, cube, depth = heappop(pending)
        if outcome.boxes == most_boxes or depth == _DEEPEST:
            outcome.reason = (
                f"{claim.name}: {outcome.boxes:,} boxes are used up, and near {_text(cube)} the "
                f"slack is only known to be above {least:.2g}; raise most_boxes"
            )
            return None
        outcome.boxes += 1
        slack = claim.slack(cube)
        low = float(slack.lower()) if slack.is_finite() else -math.inf
        if slack > 0 and low >= _SHARP * outcome.attained[claim.name]:
            margin = math.nextafter(low, -math.inf)
            outcome.margins[claim.name] = min(outcome.margins[claim.name], margin)
            continue
        middle = _middle(cube)
        there = claim.slack(tuple((value, value) for value in middle))
        if not there > 0:
            return middle[-1]
        outcome.attained[claim.name] = min(outcome.attained[claim.name], float(there.upper()))
        for half in _halves(cube):
            heappush(pending, (low, next(order), half, depth + 1))
    return None


def _refute(domain: Domain, blend: Fraction, most_boxes: int, outcome: Outcome) -> None:
    """Look for a counterexample at one blend; what is only too hard to prove has none."""
    at = at_blend(domain, blend)
    claims = (maps_into(at, at.mean, at.variance), contracts(at))
    found = bisect(at, claims, most_boxes, lambda _: None, blended(blend))
    outcome.boxes += found.boxes
    outcome.point = found.point
    said = f"at blend {float(blend):g}"
    if found.point is not None:
        outcome.violation = f"{said}: {found.violation}"
    else:
        outcome.reason = f"{said}: no slack is left over all blends; {found.reason or 'proved'}"


def _middle(cube: Cube) -> tuple[Fraction, ...]:
    return tuple((low + high) / 2 for low, high in cube)


def _halves(cube: Cube) -> tuple[Cube, Cube]:
    """Halve the longest side; y, x and t are all of the size of 1."""
    widths = [(high - low) * _LESS for low, high in cube[:-1]]
    widths.append(cube[-1][1] - cube[-1][0])
    longest = widths.index(max(widths))
    low, high = cube[longest]
    middle = (low + high) / 2
    before, after = cube[:longest], cube[longest + 1 :]
    return (*before, (low, middle), *after), (*before, (middle, high), *after)


def _text(cube: Cube) -> str:
    middle = _middle(cube)
    return f"mean * omega = {float(middle[0]):.6g} and blend {float(middle[-1]):.6g}"
