"""The paper's theorems as statements that ball arithmetic proves, refutes or leaves undecided."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import cast

from selfnorm._parameters import Whole
from selfnorm.errors import ArgumentError
from selfnorm.theory._domain import Domain
from selfnorm.theory._numbers import Number, exact, shown
from selfnorm.theory._proof._bisection import Outcome, bisect
from selfnorm.theory._proof._claims import Claim, Point, contracts, grows, maps_into, shrinks
from selfnorm.theory._proof._every_blend import bisect_blends
from selfnorm.theory._proof._forms import Curve, blended
from selfnorm.theory._theorem1 import EXACT

Progress = Callable[[str, float], object]

_SMALL = EXACT["mean"]
_BOX = Domain.of(**EXACT)


# Theorem 1: ranges that hold the image of its box, and the paper's for the fixed point.
_IMAGE = ((Fraction("-0.0311"), Fraction("0.0678")), (Fraction("0.80005"), Fraction("1.4863")))
_NARROWER = (
    (Fraction("-0.03106"), Fraction("0.06773")),
    (Fraction("0.80009"), Fraction("1.48617")),
)

_SHAPED = _BOX.with_ranges(variance=("0.75", "1.6"))
_SELU = Fraction(1)

Prover = Callable[[int, Callable[[float], object]], Outcome]  # from the most boxes and who listens


@dataclass(frozen=True)
class Statement:
    """A theorem: a sentence, what there is to prove on a domain at a blend, and where it stands."""

    title: str
    text: str
    parts: Callable[[Domain, Fraction], tuple[Prover, ...]]
    domains: tuple[Domain, ...]


@dataclass(frozen=True)
class Certificate:
    """What ball arithmetic says about a statement on its domains.

    Attributes:
        title: The theorem.
        text: What it states.
        domains: Where; every end is an exact rational.
        proved: Whether it holds on all of them, for certain.
        counterexample: A point of a domain where it fails for certain; None if none was found.
        violation: What is wrong there.
        reason: Why it is undecided: a point where a claim holds with equality, or how far the
            boxes reached. Empty unless undecided.
        margins: For each claim a proved lower bound of its slack, and no less than half the true
            slack: `1 - S` for a contraction, the distance of the image from the range's ends, the
            change of the variance else. Empty unless proved. For every blend at once those of the
            variance and of `1 - S` are per unit of blend, and the latter a lower bound alone.
        boxes: Boxes examined.
        seconds: Time taken.
    """

    title: str
    text: str
    domains: tuple[Domain, ...]
    proved: bool
    counterexample: Point | None
    violation: str
    reason: str
    margins: dict[str, float]
    boxes: int
    seconds: float

    @property
    def verdict(self) -> str:
        """'proved', 'refuted', or 'undecided', for which `reason` says why."""
        if self.proved:
            return "proved"
        return "undecided" if self.counterexample is None else "refuted"

    @property
    def margin(self) -> float:
        """The least of the margins; nan unless proved."""
        return min(self.margins.values()) if self.proved else float("nan")


def _on(domain: Domain, claims: Sequence[Claim], curve: Callable[[], Curve]) -> Prover:
    return lambda most_boxes, report: bisect(domain, claims, most_boxes, report, curve)


def _theorem1(domain: Domain, blend: Fraction) -> tuple[Prover, ...]:
    """Two steps on the paper's own domain, where it also says how far the fixed point may go."""
    into, curve = maps_into(domain, domain.mean, domain.variance), blended(blend)
    if domain != _BOX or blend != _SELU:
        return (_on(domain, (into, contracts(domain)), curve),)
    within = replace(domain, mean=_IMAGE[0], variance=_IMAGE[1])
    image = maps_into(domain, *_IMAGE, name="confines the image")
    fixed = maps_into(within, *_NARROWER, name="confines the fixed point")
    return (_on(domain, (into, image, contracts(domain)), curve), _on(within, (fixed,), curve))


def _one(claim: Callable[[Domain], Claim]) -> Callable[[Domain, Fraction], tuple[Prover, ...]]:
    return lambda domain, blend: (_on(domain, (claim(domain),), blended(blend)),)


def _every_blend(domain: Domain, _blend: Fraction) -> tuple[Prover, ...]:
    return (lambda most_boxes, report: bisect_blends(domain, most_boxes, report),)


def _box(mean: object, variance: tuple[str, str], tau: tuple[str, str]) -> Domain:
    wide = (Fraction(-1), Fraction(1)) if mean == "wide" else _SMALL
    return Domain.of(mean=wide, variance=variance, omega=_SMALL, tau=tau)


THEOREMS: dict[str, Statement] = {
    "1": Statement(
        "Theorem 1",
        "the map contracts the box of means and variances into itself: one fixed point, attracting",
        _theorem1,
        (_BOX,),
    ),
    "2": Statement(
        "Theorem 2",
        "a large variance shrinks in every layer",
        _one(shrinks),
        (_box("wide", ("3", "16"), ("0.8", "1.25")),),
    ),
    "3": Statement(
        "Theorem 3",
        "a small variance grows in every layer",
        _one(grows),
        (
            _box("small", ("0.02", "0.16"), ("0.8", "1.25")),
            _box("small", ("0.02", "0.24"), ("0.9", "1.25")),
        ),
    ),
    "12": Statement(
        "Lemma 12",
        "the map contracts: the largest singular value of its Jacobian is below 1",
        _one(contracts),
        (_BOX.with_ranges(tau=("0.8", "1.25")),),
    ),
    "shaped": Statement(
        "Theorem 1, shaped",
        "the map of every blend t of SELU and a line contracts the box; tau is 1 + t (tau - 1)",
        _every_blend,
        (_SHAPED,),
    ),
}


def silent(_title: str, _done: float) -> None:
    """Report nothing."""


def certify(
    theorem: str | int = "all",
    *,
    domain: Domain | None = None,
    blend: Number = 1,
    most_boxes: int = 100_000,
    progress: Progress = silent,
) -> tuple[Certificate, ...]:
    r"""Prove or refute the paper's theorems in ball arithmetic, with no trust in floating point.

    The domain's ends are rationals, SELU's constants are balls around their exact values, and every
    operation is Arb's, whose balls hold the true result. Each claim is reduced from four variables
    to `(y, x) = (mean * omega, variance * tau)` and the rectangle of these is bisected
    until every box is settled; `selfnorm.theory._proof._claims` argues the reductions.

    1. `mean` and `omega` within 0.1, `variance` in [0.8, 1.5], `tau` in [0.95, 1.1]: the
       image of the box of means and variances lies inside it, and the Jacobian's largest singular
       value is below 1 on it. For fixed weights the map is then a contraction of a closed convex
       set into itself (the singular value, being continuous, has a maximum below 1 there), so
       by Banach's theorem it has exactly one fixed point and every start in the box converges to
       it. The fixed point lies in the image, so also in the image of the image, and that lies in
       means [-0.03106, 0.06773] and variances [0.80009, 1.48617], as the paper says. (The image
       itself reaches to a mean of -0.0310605, past the paper's rounded bound.)
    2. `mean` within 1, `omega` within 0.1, `variance` in [3, 16], `tau` in [0.8, 1.25]: the
       variance of the output is below that of the input.
    3. `mean` and `omega` within 0.1: it is above, for `variance` in [0.02, 0.16] with `tau`
       in [0.8, 1.25], and for `variance` in [0.02, 0.24] with `tau` in [0.9, 1.25].
    12. The Jacobian's largest singular value is below 1 on theorem 1's box with `tau` in
       [0.8, 1.25].

    Beyond the paper, theorem 1 for SELU shaped for a depth (`shaped_selu`), all blends t in (0, 1]
    at once:

    shaped. `mean` and `omega` within 0.1, `variance` in [0.75, 1.6], `tau` in
       [1 - 0.05 t, 1 + 0.1 t]: as theorem 1, and the largest singular value is at most
       1 - 0.025 t. The domain's `tau` is that of t = 1. For fixed weights there is
       again exactly one fixed point, and it attracts; `_proof/_every_blend.py` has the argument.

    Args:
        theorem: '1', '2', '3', '12' (the lemma), 'shaped' or 'all'.
        domain: Another domain for one theorem; for theorem 1 the image must then lie in the
            domain's own ranges of mean and variance.
        blend: The share t of SELU for one of the paper's theorems, above 0 and at most 1; as a
            `SELUForm` has it, but exact. 1 is SELU.
        most_boxes: Boxes after which a statement is left undecided.
        progress: Called with a title and the share of its rectangle that is settled.

    Returns:
        One `Certificate` a theorem. A statement is `proved`, or refuted by a `counterexample`
        at which the opposite inequality holds for certain, or neither, and then `reason` says
        why: a claim that holds with equality at a point, or boxes that ran out.

    Raises:
        ArgumentError: If the theorem is unknown, a domain or a blend is given for all, or a blend
            for every blend.

    Source: Klambauer et al. 2017, Theorems 1-3, Lemma 12; 'shaped' is this library's.

    Example:
        >>> (certificate,) = certify("2")
        >>> certificate.verdict
        'proved'
        >>> certificate = certify("1", blend="0.1")[0]  # tau may miss 1 by a tenth as much
        >>> certificate.verdict, certificate.violation
        ('refuted', 'variance 0.76471124 < 0.8')
    """
    every = str(theorem) == "all"
    chosen = tuple(THEOREMS.values()) if every else (_statement(theorem),)
    if every and domain is not None:
        msg = "A domain is for one theorem; got one for all. Name the theorem, such as '1'."
        raise ArgumentError(msg)
    if domain is not None and not isinstance(cast("object", domain), Domain):
        msg = f"domain must be a Domain; got {shown(domain)}. Make one by Domain.of(mean=...)."
        raise ArgumentError(msg)
    if not Whole(1).holds(most_boxes):
        msg = (
            f"most_boxes must be a whole number, at least 1; got {shown(most_boxes)}. Try 100_000."
        )
        raise ArgumentError(msg)
    share = exact(blend, "blend")
    if not 0 < share <= 1:
        msg = f"blend is the share of SELU, above 0 and at most 1; got {shown(blend)}. 1 is SELU."
        raise ArgumentError(msg)
    if share != 1 and (every or chosen[0] is THEOREMS["shaped"]):
        msg = (
            f"A blend is for one of the paper's theorems; got {shown(blend)} for {theorem}. "
            "Name the theorem, such as '1'."
        )
        raise ArgumentError(msg)
    return tuple(
        decide(
            statement,
            statement.domains if domain is None else (domain,),
            most_boxes,
            progress,
            share,
        )
        for statement in chosen
    )


def theorem_domains(theorem: str | int) -> tuple[Domain, ...]:
    """The domains on which a theorem is stated, to begin from with one's own.

    Args:
        theorem: '1', '2', '3', '12' or 'shaped'.

    Returns:
        One domain, or two for theorem 3.

    Raises:
        ArgumentError: If the theorem is unknown.

    Source: Klambauer et al. 2017, Theorems 1-3, Lemma 12.

    Example:
        >>> print(*theorem_domains(1))
        mean in [-0.1, 0.1], variance in [0.8, 1.5], omega in [-0.1, 0.1], tau in [0.95, 1.1]
    """
    return _statement(theorem).domains


def _statement(theorem: str | int) -> Statement:
    key = str(theorem).lower().removeprefix("lemma").removeprefix("theorem").strip()
    if key not in THEOREMS:
        msg = f"theorem must be one of {', '.join(THEOREMS)} or all; got {shown(theorem)}."
        raise ArgumentError(msg)
    return THEOREMS[key]


def decide(
    statement: Statement,
    domains: tuple[Domain, ...],
    most_boxes: int,
    progress: Progress,
    blend: Fraction,
) -> Certificate:
    """The certificate for one statement on some domains."""
    start = time.perf_counter()
    boxes, margins = 0, {}
    point, violation, reason = None, "", ""
    parts = [part for domain in domains for part in statement.parts(domain, blend)]
    for number, prove in enumerate(parts):

        def report(done: float, number: int = number) -> None:
            progress(statement.title, (number + done) / len(parts))

        outcome = prove(most_boxes, report)
        boxes += outcome.boxes
        reason = reason or outcome.reason
        for name, margin in outcome.margins.items():
            margins[name] = min(margin, margins.get(name, margin))
        if outcome.point is not None:
            point, violation, reason = outcome.point, outcome.violation, ""
            break
    proved = point is None and not reason
    progress(statement.title, 1.0)
    return Certificate(
        title=statement.title,
        text=statement.text,
        domains=domains,
        proved=proved,
        counterexample=point,
        violation=violation,
        reason=reason,
        margins=margins if proved else {},
        boxes=boxes,
        seconds=time.perf_counter() - start,
    )
