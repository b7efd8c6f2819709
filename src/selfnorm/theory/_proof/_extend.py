"""How far each range of Theorem 1 can be widened, alone, before the theorem fails."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from selfnorm._parameters import Names
from selfnorm.errors import ArgumentError
from selfnorm.theory._domain import Domain
from selfnorm.theory._numbers import Number, exact, shown
from selfnorm.theory._proof._certify import THEOREMS, Certificate, Progress, certify, silent

NAMES = ("mean", "variance", "omega", "tau")
_LEAST_STEP = Fraction(1, 10**6)  # nearer to where it fails, proofs take hours
_MOST_BOXES = 60_000  # enough to within 0.001 of where the theorem fails


@dataclass(frozen=True)
class Extension:
    """How far one end of one range can go while the others stay the paper's.

    Attributes:
        name: The range.
        side: 'low' or 'high'.
        paper: The paper's end.
        proved: The farthest end tried for which theorem 1 was proved.
        failed: The nearest end tried for which it was not.
        violation: What is wrong there, or why it is undecided.
    """

    name: str
    side: str
    paper: Fraction
    proved: Fraction
    failed: Fraction
    violation: str


def largest_domain(
    *,
    ranges: Sequence[str] = NAMES,
    resolution: Number = "0.001",
    progress: Progress = silent,
) -> tuple[Extension, ...]:
    r"""Widen each range of Theorem 1, alone and at each end, until the theorem fails.

    The statement widens with the domain: the image must lie in the widened box, and
    the Jacobian's largest singular value be below 1 on all of it. Each end is moved in steps that
    double until one is not proved, and the last step is bisected to the resolution. The proved
    and the refuted end are each certified; that nothing between the paper's end and the proved one
    fails follows where proofs nest, for the contraction, but not for the image.

    Args:
        ranges: Which to widen: of 'mean', 'variance', 'omega', 'tau'.
        resolution: Distance at which a proved and a failed end are near enough.
        progress: Called with a range's name and the share of the work done.

    Returns:
        Two `Extension`s a range: its low and its high end.

    Raises:
        ArgumentError: If a range is unknown or the resolution not from 1e-6 to 1.

    Source: Klambauer et al. 2017, Theorem 1; the extensions are this library's.

    Example:
        >>> extensions = largest_domain(ranges=["tau"], resolution="0.01")
        >>> [str(extension.proved) for extension in extensions]
        ['19/20', '111/100']
    """
    step = exact(resolution, "resolution")
    if not _LEAST_STEP <= step <= 1:
        msg = (
            f"resolution must be positive, from 1e-6 to 1; got {shown(resolution)}. "
            "The standard is 0.001."
        )
        raise ArgumentError(msg)
    if not Names().holds(ranges):
        msg = f"ranges must be {Names()}; got {shown(ranges)}. Try ranges=['tau']."
        raise ArgumentError(msg)
    unknown = set(ranges) - set(NAMES)
    if unknown:
        msg = f"A range must be one of {', '.join(NAMES)}; got {', '.join(sorted(unknown))}."
        raise ArgumentError(msg)
    found: list[Extension] = []
    for name in ranges:
        for side in (0, 1):
            progress(f"{name} {'low' if side == 0 else 'high'}", len(found) / (2 * len(ranges)))
            found.append(_extend(THEOREMS["1"].domains[0], name, side, step))
    progress("done", 1.0)
    return tuple(found)


def _extend(domain: Domain, name: str, side: int, step: Fraction) -> Extension:
    paper: Fraction = getattr(domain, name)[side]
    outward = -1 if side == 0 else 1

    def attempt(steps: int) -> Certificate | None:
        end = paper + outward * steps * step
        if name in ("variance", "tau") and end <= 0:
            return None
        moved = domain.widened(name, side, end)
        return certify("1", domain=moved, most_boxes=_MOST_BOXES)[0]

    good, bad = 0, 1
    failure = attempt(bad)
    while failure is not None and failure.proved:
        good, bad = bad, 2 * bad
        failure = attempt(bad)
    while bad - good > 1:
        middle = (good + bad) // 2
        certificate = attempt(middle)
        if certificate is not None and certificate.proved:
            good = middle
        else:
            bad, failure = middle, certificate
    return Extension(
        name=name,
        side="low" if side == 0 else "high",
        paper=paper,
        proved=paper + outward * good * step,
        failed=paper + outward * bad * step,
        violation=(failure.violation or failure.reason)
        if failure is not None
        else "no longer positive",
    )
