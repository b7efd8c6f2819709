"""Proof or refutation of claims on a rectangle by adaptive bisection."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from heapq import heappop, heappush
from itertools import count, product

from flint import arb

from selfnorm.theory._domain import Domain
from selfnorm.theory._proof._claims import Claim, Point
from selfnorm.theory._proof._constants import constants_in_balls
from selfnorm.theory._proof._enclosure import Box, image

_DEEPEST = 60  # halvings of one box; a claim that needs more holds with equality somewhere
_PROBES = 4  # the first look for counterexamples is on a grid of 5 x 5 points
_SHARP = 0.5  # go on until the proved slack is this share of the likely one


@dataclass
class Outcome:
    """How far bisection has come."""

    margins: dict[str, float] = field(default_factory=dict)
    boxes: int = 0
    done: float = 0.0
    point: Point | None = None
    violation: str = ""
    complete: bool = False


def bisect(
    domain: Domain,
    claims: Sequence[Claim],
    most_boxes: int,
    report: Callable[[float], object],
) -> Outcome:
    """Split the rectangle of `(y, x)` until every claim is proved on every box, or one is refuted.

    The box with the worst lower bound is next, so that a false claim meets its counterexample soon.

    Args:
        domain: Where the claims shall hold.
        claims: What shall hold.
        most_boxes: Boxes after which to give up.
        report: Called now and then with the share of the rectangle that is settled.

    Returns:
        An `Outcome`: `complete` if all is proved, a `point` if a claim is refuted, else neither.
    """
    outcome = Outcome(margins={claim.name: math.inf for claim in claims})
    constants = constants_in_balls()
    whole = domain.products()
    for corner in product(_spread(whole[0]), _spread(whole[1])):
        if _refute(claims, corner, constants, outcome):
            return outcome
    order = count()
    pending = [(0.0, next(order), whole, tuple(claims), 0)]
    while pending and outcome.boxes < most_boxes:
        _, _, box, open_claims, depth = heappop(pending)
        outcome.boxes += 1
        still_open, least = _examine(box, open_claims, constants, outcome)
        if outcome.point is not None or (still_open and depth == _DEEPEST):
            return outcome
        if not still_open:
            outcome.done += 0.5**depth
        else:
            for half in _halves(box):
                heappush(pending, (least, next(order), half, still_open, depth + 1))
        if outcome.boxes % 64 == 0:
            report(outcome.done)
    outcome.complete = not pending
    return outcome


def _examine(
    box: Box, claims: Sequence[Claim], constants: tuple[arb, arb], outcome: Outcome
) -> tuple[tuple[Claim, ...], float]:
    """The claims that the box leaves open, and the worst lower bound of their slack."""
    here = image(box, *constants)
    still_open: list[Claim] = []
    least = math.inf
    for claim in claims:
        slack = claim.slack(box, here)
        low, likely = float(slack.lower()), float(slack.mid())
        if slack > 0 and low >= _SHARP * likely:
            margin = math.nextafter(low, -math.inf)
            outcome.margins[claim.name] = min(outcome.margins[claim.name], margin)
            continue
        if not likely > 0 and _refute([claim], _middle(box), constants, outcome):
            break
        still_open.append(claim)
        least = min(least, low)
    return tuple(still_open), least


def _refute(
    claims: Sequence[Claim],
    at: tuple[Fraction, Fraction],
    constants: tuple[arb, arb],
    outcome: Outcome,
) -> bool:
    """Whether a claim fails for certain at the worst point above `(y, x)`."""
    y, x = at
    there = image(((y, y), (x, x)), *constants)
    for claim in claims:
        point = claim.worst(y, x)
        violation = claim.violation(point, there) if point is not None else None
        if violation is not None:
            outcome.point, outcome.violation = point, violation
            return True
    return False


def _spread(limits: tuple[Fraction, Fraction]) -> list[Fraction]:
    low, high = limits
    if low == high:
        return [low]
    return [low + (high - low) * Fraction(i, _PROBES) for i in range(_PROBES + 1)]


def _middle(box: Box) -> tuple[Fraction, Fraction]:
    return (box[0][0] + box[0][1]) / 2, (box[1][0] + box[1][1]) / 2


def _halves(box: Box) -> tuple[Box, Box]:
    """Halve the side that is longer as the Gaussian sees it: y in deviations, x in itself."""
    (y_low, y_high), (x_low, x_high) = box
    y, x = _middle(box)
    if float(y_high - y_low) / math.sqrt(x) > float(x_high - x_low) / (2 * float(x)):
        return ((y_low, y), (x_low, x_high)), ((y, y_high), (x_low, x_high))
    return ((y_low, y_high), (x_low, x)), ((y_low, y_high), (x, x_high))
