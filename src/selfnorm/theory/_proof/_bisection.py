"""Proof or refutation of claims on a rectangle by adaptive bisection."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from heapq import heappop, heappush
from itertools import count, product

from selfnorm.theory._domain import Domain
from selfnorm.theory._proof._claims import Claim, Point
from selfnorm.theory._proof._enclosure import Box, image
from selfnorm.theory._proof._exact import precision
from selfnorm.theory._proof._forms import Curve, plain

Curves = Callable[[], Curve]

_DEEPEST = 60  # halvings of one box; a claim that needs more holds with equality somewhere
_PROBES = 4  # the first look for counterexamples is on a grid of 5 x 5 points
_SHARP = 0.5  # go on until the proved slack is this share of the least slack at a point
_BITS = 64  # of a slack as small as the variance at least half of them are its own
_MANY_BITS = 1024  # for single points; a slack of 0 to 300 digits is taken for equality


@dataclass
class Outcome:
    """How far bisection has come.

    Attributes:
        margins: For each claim the least proved slack of all boxes.
        attained: For each claim the least slack seen at a point of the domain.
        boxes: Boxes examined.
        done: Share of the rectangle that is settled.
        point: Where a claim fails for certain.
        violation: What is wrong there.
        reason: Why a claim cannot be settled.
        complete: Whether all is proved.
    """

    margins: dict[str, float]
    attained: dict[str, float]
    boxes: int = 0
    done: float = 0.0
    point: Point | None = None
    violation: str = ""
    reason: str = ""
    complete: bool = False

    @property
    def settled(self) -> bool:
        """Whether there is nothing more to find."""
        return self.complete or self.point is not None or bool(self.reason)


def bisect(
    domain: Domain,
    claims: Sequence[Claim],
    most_boxes: int,
    report: Callable[[float], object],
    curve: Curves = plain,
) -> Outcome:
    """Split the rectangle of `(y, x)` until every claim is proved on every box, or one is refuted.

    The box with the worst lower bound is next, so that a false claim meets its counterexample soon.
    A box is proved when its slack is, for certain, half of what the slack is at some point of
    the domain. No point's slack is below the true one, so neither is twice the margin.

    Args:
        domain: Where the claims shall hold.
        claims: What shall hold.
        most_boxes: Boxes after which to give up.
        report: Called now and then with the share of the rectangle that is settled.
        curve: The activation, at the precision in force.

    Returns:
        An `Outcome`: `complete` if all is proved, a `point` if a claim is refuted, else a `reason`.
    """
    whole = domain.products()
    with precision(_MANY_BITS if _is_point(whole) else _bits(whole)):
        return _bisect(whole, claims, most_boxes, report, curve)


def _probe(claims: Sequence[Claim], whole: Box, curve: Curves, outcome: Outcome) -> None:
    """A first look, on a grid."""
    for corner in product(_spread(whole[0]), _spread(whole[1])):
        _look(claims, corner, curve, outcome)
        if outcome.point is not None:
            return


def _bisect(
    whole: Box,
    claims: Sequence[Claim],
    most_boxes: int,
    report: Callable[[float], object],
    curve: Curves,
) -> Outcome:
    names = [claim.name for claim in claims]
    outcome = Outcome(dict.fromkeys(names, math.inf), dict.fromkeys(names, math.inf))
    _probe(claims, whole, curve, outcome)
    if outcome.settled:
        return outcome
    order = count()
    pending = [(-math.inf, next(order), whole, tuple(claims), 0)]
    while pending and outcome.boxes < most_boxes:
        least, _, box, open_claims, depth = heappop(pending)
        outcome.boxes += 1
        still_open, least = _examine(box, open_claims, curve, outcome)
        if still_open and (depth == _DEEPEST or _is_point(box)):
            outcome.reason = (
                f"{open_claims[0].name}: no slack is left near {_text(_middle(box))}, and no "
                "boxes prove what holds with equality"
            )
        if outcome.settled:
            return outcome
        if not still_open:
            outcome.done += 0.5**depth
        else:
            for half in _halves(box):
                heappush(pending, (least, next(order), half, still_open, depth + 1))
        if outcome.boxes % 64 == 0:
            report(outcome.done)
    outcome.complete = not pending
    if pending:
        least, _, box, open_claims, _ = pending[0]
        outcome.reason = (
            f"{open_claims[0].name}: {most_boxes:,} boxes are used up, and near "
            f"{_text(_middle(box))} the slack is only known to be above {least:.2g}; "
            "raise most_boxes"
        )
    return outcome


def _examine(
    box: Box, claims: Sequence[Claim], curve: Curves, outcome: Outcome
) -> tuple[tuple[Claim, ...], float]:
    """The claims that the box leaves open, and the worst lower bound of their slack."""
    here = image(box, curve())
    still_open: list[Claim] = []
    least = math.inf
    for claim in claims:
        slack = claim.slack(box, here)
        low = float(slack.lower()) if slack.is_finite() else -math.inf
        if slack > 0 and low >= _SHARP * outcome.attained[claim.name]:
            margin = math.nextafter(low, -math.inf)
            outcome.margins[claim.name] = min(outcome.margins[claim.name], margin)
            continue
        if not float(slack.mid()) >= outcome.attained[claim.name]:
            _look([claim], _middle(box), curve, outcome)
            if outcome.settled:
                break
        still_open.append(claim)
        least = min(least, low)
    return tuple(still_open), least


def _look(
    claims: Sequence[Claim],
    at: tuple[Fraction, Fraction],
    curve: Curves,
    outcome: Outcome,
) -> None:
    """See how much slack is left at the worst point above `(y, x)`, or that a claim fails there."""
    y, x = at
    there = image(((y, y), (x, x)), curve())
    for claim in claims:
        point = claim.worst(y, x)
        if point is None:
            continue
        slack = claim.slack_at(point, there)
        seen = there
        if not (slack > 0 or slack < 0):
            with precision(_MANY_BITS):
                seen = image(((y, y), (x, x)), curve())
                slack = claim.slack_at(point, seen)
        violation = claim.violation(point, seen)
        if violation is not None:
            outcome.point, outcome.violation, outcome.reason = point, violation, ""
            return
        if not slack > 0:
            outcome.reason = (
                f"{claim.name}: the slack at {_text(at)} is 0 to 300 digits, and no boxes prove "
                "what holds with equality"
                if slack.is_finite()
                else f"{claim.name}: at {_text(at)} the numbers are too large for balls"
            )
            continue
        outcome.attained[claim.name] = min(outcome.attained[claim.name], float(slack.upper()))


def _bits(whole: Box) -> int:
    """As many as tell a slack from 0: near a variance of 0 all slacks are of its size.

    Without them no halving would help, as the balls' radii stay near `2**-bits`.
    """
    least = whole[1][0]
    size = least.denominator.bit_length() - least.numerator.bit_length()
    return min(max(_BITS, 2 * size), _MANY_BITS)


def _spread(limits: tuple[Fraction, Fraction]) -> list[Fraction]:
    low, high = limits
    if low == high:
        return [low]
    return [low + (high - low) * Fraction(i, _PROBES) for i in range(_PROBES + 1)]


def _is_point(box: Box) -> bool:
    return all(low == high for low, high in box)


def _middle(box: Box) -> tuple[Fraction, Fraction]:
    return (box[0][0] + box[0][1]) / 2, (box[1][0] + box[1][1]) / 2


def _halves(box: Box) -> tuple[Box, Box]:
    """Halve the side that is longer as the Gaussian sees it: y in deviations, x in itself."""
    (y_low, y_high), (x_low, x_high) = box
    y, x = _middle(box)
    if (y_high - y_low) ** 2 * 4 * x > (x_high - x_low) ** 2:
        return ((y_low, y), (x_low, x_high)), ((y, y_high), (x_low, x_high))
    return ((y_low, y_high), (x_low, x)), ((y_low, y_high), (x, x_high))


def _text(at: tuple[Fraction, Fraction]) -> str:
    return f"mean * omega = {float(at[0]):.6g} and variance * tau = {float(at[1]):.6g}"
