"""Certificates: what is true is proved, what is false is refuted at a point of the domain."""

import math
import re
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from fractions import Fraction
from itertools import chain

import mpmath
import numpy as np
import pytest
import torch
from flint import arb, ctx
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from selfnorm.errors import ArgumentError
from selfnorm.theory import (
    Certificate,
    Domain,
    certify,
    fixed_point,
    jacobian,
    largest_domain,
    moments,
    selu_constants,
    theorem_domains,
)
from selfnorm.theory._proof._claims import contracts
from selfnorm.theory._proof._constants import constants_in_balls
from selfnorm.theory._proof._enclosure import image, largest_stretch
from selfnorm.theory._proof._exact import hull, lower, precision, settle, upper
from selfnorm.theory._proof._forms import plain
from support.selu_oracle import selu_moments
from support.tolerances import MOMENTS_RELATIVE

BOX = theorem_domains("1")[0]
Ends = tuple[float, float]


@pytest.fixture(scope="module")
def theorems() -> dict[str, Certificate]:
    return {certificate.title: certificate for certificate in certify("all")}


def test_all_are_proved(theorems: dict[str, Certificate]) -> None:
    titles = ["Theorem 1", "Theorem 2", "Theorem 3", "Lemma 12", "Theorem 1, shaped"]
    assert list(theorems) == titles
    for certificate in theorems.values():
        assert certificate.verdict == "proved"
        assert certificate.counterexample is None
        assert certificate.margin > 0
        assert certificate.boxes > 10


def box(mean: Ends, variance: Ends, omega: Ends, tau: Ends) -> Domain:
    return Domain.of(mean=mean, variance=variance, omega=omega, tau=tau)


# Domains on which |omega| is, for some y, out of reach; thin ones; and the paper's.
TRUE = {
    "1": [("1", BOX), ("1", box((-0.1, 0.2), (0.7, 1.6), (-0.1, 0.1), (0.97, 1.05)))],
    "2": [("2", theorem_domains("2")[0]), ("2", box((0, 0), (3, 4), (0, 0), (1, 1)))],
    "3": [("3", domain) for domain in theorem_domains("3")],
    "12": [
        ("12", theorem_domains("12")[0]),
        ("12", box((0.3, 0.4), (1, 1.2), (-0.7, 0.1), (1, 1))),
        ("12", box((2, 3), (1, 1.2), (-0.5, 0.05), (1, 1))),
        ("12", box((0, 1), (1, 1.2), (0, 0.3), (0.9, 1))),
        ("12", box((-1, 0), (1, 1.2), (-0.3, 0), (0.9, 1))),
    ],
}


def slacks(theorem: str, domain: Domain) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Every claim's slack at points (n, 4) of the domain, in floating point."""

    def after(points: np.ndarray) -> np.ndarray:
        mean, variance, omega, tau = points.T
        return np.stack(moments(mean, variance, omega=omega, tau=tau), axis=1)

    def contracts(points: np.ndarray) -> np.ndarray:
        mean, variance, omega, tau = points.T
        slopes = jacobian(mean, variance, omega=omega, tau=tau)
        return 1 - np.linalg.norm(slopes, 2, axis=(1, 2))

    def maps_into(points: np.ndarray) -> np.ndarray:
        ends = np.array([domain.mean, domain.variance], dtype=float)
        return np.minimum(after(points) - ends[:, 0], ends[:, 1] - after(points)).min(axis=1)

    return {
        "1": {"maps into": maps_into, "contracts": contracts},
        "2": {"shrinks the variance": lambda p: p[:, 1] - after(p)[:, 1]},
        "3": {"grows the variance": lambda p: after(p)[:, 1] - p[:, 1]},
        "12": {"contracts": contracts},
    }[theorem]


@pytest.mark.parametrize(("theorem", "domain"), [case for cases in TRUE.values() for case in cases])
def test_a_margin_is_between_half_the_true_slack_and_it(theorem: str, domain: Domain) -> None:
    (certificate,) = certify(theorem, domain=domain)
    assert certificate.proved
    limits = np.array([domain.mean, domain.variance, domain.omega, domain.tau], dtype=float)
    axes = [np.linspace(low, high, 9 if high > low else 1) for low, high in limits]
    grid = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 4)
    for name, slack in slacks(theorem, domain).items():
        start = grid[np.argmin(slack(grid))]
        found = optimize.minimize(
            lambda p, slack=slack: float(slack(np.clip(p, *limits.T)[None])[0]),
            start,
            method="Nelder-Mead",
        )
        true = min(found.fun, float(slack(grid).min()))
        assert certificate.margins[name] <= true
        assert certificate.margins[name] >= true / 2, certificate.margins[name] / true


@pytest.mark.parametrize(
    ("mean", "variance", "omega"),
    [
        ((1.6, 2.9), 1.4, (-1.19, 0.08)),
        ((-2.2, -1.3), 1.2, (-0.2, 1.2)),
        ((1.3, 1.3), 0.9, (-1.19, -0.2)),
    ],
)
def test_a_sum_of_weights_that_no_mean_reaches_hinders_no_proof(
    mean: Ends, variance: float, omega: Ends
) -> None:
    """With the largest |omega| at every y, S would be 1.28 and more; it is .89 and less."""
    domain = box(mean, (variance, variance), omega, (1, 1))
    (certificate,) = certify("12", domain=domain)
    assert certificate.proved, certificate.reason


def test_what_holds_with_equality_is_said_at_once() -> None:
    """At (0, 1) the map stands still, so its image is not inside a domain that ends there."""
    for mean, variance in (((0, 0), (1, 1)), ((-0.1, 0.1), (1, 1.2)), ((-0.1, 0.1), (0.9, 1))):
        domain = box(mean, variance, (0, 0), (1, 1))
        (certificate,) = certify("1", domain=domain)
        assert certificate.verdict == "undecided"
        assert certificate.boxes == 0
        assert "maps into: the slack at mean * omega = 0 and variance" in certificate.reason
        assert "what holds with equality" in certificate.reason
        assert certify("12", domain=domain)[0].proved
    touching = box((0, 0), (0.9, 1), (0, 0), (1, 1))
    assert certify("1", domain=touching)[0].verdict == "refuted"  # the mean leaves before


def test_a_slack_of_one_rounding_is_told_from_none() -> None:
    """The image reaches to where the variance stands still, and the domain one rounding further."""
    still = fixed_point(tau=1.03).variance
    for end, verdict in ((still * (1 - 1e-14), "refuted"), (still * (1 + 1e-14), "proved")):
        domain = box((-0.1, 0.1), (0.85, end), (0, 0), (0.97, 1.03))
        (certificate,) = certify("1", domain=domain)
        assert certificate.verdict == verdict, certificate.reason
        assert certificate.boxes < 1000


def test_a_point_is_decided_in_one_box() -> None:
    point = box((0.1, 0.1), (1.1, 1.1), (0.1, 0.1), (1, 1))
    for theorem, proved in (("12", True), ("2", False), ("3", False)):
        (certificate,) = certify(theorem, domain=point)
        assert (certificate.proved, certificate.boxes <= 1) == (proved or theorem == "2", True)


def test_the_largest_stretch_of_lemma_12_is_bracketed() -> None:
    domain = theorem_domains("12")[0]
    claim = contracts(domain)
    least = min(
        float(claim.slack(box, image(box, plain()))) for box in points_of(domain.products(), 24)
    )
    assert 1 - least == pytest.approx(0.98903, abs=2e-4)


def points_of(
    rectangle: tuple[tuple[Fraction, Fraction], tuple[Fraction, Fraction]], count: int
) -> list[tuple[tuple[Fraction, Fraction], tuple[Fraction, Fraction]]]:
    axes = [[a + (b - a) * Fraction(i, count) for i in range(count + 1)] for a, b in rectangle]
    return [((y, y), (x, x)) for y in axes[0] for x in axes[1]]


def holds(point: tuple[Fraction, ...], domain: Domain) -> bool:
    ranges = (domain.mean, domain.variance, domain.omega, domain.tau)
    return all(low <= value <= high for value, (low, high) in zip(point, ranges, strict=True))


@pytest.mark.parametrize(
    ("theorem", "ranges", "violation"),
    [
        ("1", {"tau": ("0.9", "1.1")}, "variance .* < 0.8"),
        ("1", {"tau": ("0.95", "1.13")}, "variance .* > 1.5"),
        ("1", {"mean": ("-0.3", "0.1")}, "variance .* < 0.8"),
        ("1", {"variance": ("0.8", "1.9")}, "mean .* > 0.1"),
        ("1", {"variance": ("0.5", "1.5")}, "singular value 1.00.* > 1"),
        ("1", {"omega": ("-0.1", "0.6")}, "mean|variance"),
        ("2", {"variance": ("2", "16")}, "variance rises from"),
        ("2", {"tau": ("0.8", "2")}, "variance rises from"),
        ("3", {"variance": ("0.02", "0.42")}, "variance falls from"),
        ("3", {"tau": ("0.5", "1.25")}, "variance falls from"),
        ("12", {"variance": ("0.4", "1.5")}, "singular value"),
        ("12", {"tau": ("0.8", "1.3")}, "singular value"),
    ],
)
def test_what_is_false_is_refuted_at_a_point_of_the_domain(
    theorem: str, ranges: dict[str, tuple[str, str]], violation: str
) -> None:
    domain = theorem_domains(theorem)[0].with_ranges(**ranges)
    (certificate,) = certify(theorem, domain=domain)
    assert certificate.verdict == "refuted"
    assert not certificate.proved
    assert certificate.margins == {}
    point = certificate.counterexample
    assert point is not None
    assert holds(point, domain)
    assert re.search(violation, certificate.violation)
    check_in_floats(theorem, point, domain)


def check_in_floats(theorem: str, point: tuple[Fraction, ...], domain: Domain) -> None:
    """The counterexample, met again by the floating-point map."""
    mean, variance, omega, tau = map(float, point)
    after = moments(mean, variance, omega=omega, tau=tau)
    slope = jacobian(mean, variance, omega=omega, tau=tau)
    stretch = mpmath.norm(mpmath.matrix(slope.tolist()), 2)  # Frobenius: at least S
    wrong = {
        "1": not float(domain.mean[0]) < after.mean < float(domain.mean[1])
        or not float(domain.variance[0]) < after.variance < float(domain.variance[1])
        or stretch > 1,
        "2": after.variance > variance,
        "3": after.variance < variance,
        "12": stretch > 1,
    }
    assert wrong[theorem]


def test_theorem_3_holds_from_002_and_below() -> None:
    """The paper's appendix proves it from .05 only."""
    for low in ("0.02", "0.001"):
        domain = theorem_domains("3")[0].with_ranges(variance=(low, "0.16"))
        assert certify("3", domain=domain)[0].proved


def test_the_image_itself_passes_the_papers_rounded_bound() -> None:
    """The image's lowest mean is -.0310605; the fixed point still keeps above -.03106."""
    corner = moments(0.1, 0.8, omega=-0.1, tau=0.95)
    assert corner.mean < -0.03106
    certificate = certify("1")[0]
    assert set(certificate.margins) == {
        "maps into",
        "confines the image",
        "contracts",
        "confines the fixed point",
    }


def test_too_few_boxes_are_undecided() -> None:
    (certificate,) = certify("12", most_boxes=10)
    assert certificate.verdict == "undecided"
    assert not certificate.proved
    assert certificate.counterexample is None
    assert certificate.margin != certificate.margin
    assert "contracts: 10 boxes are used up, and near mean * omega = " in certificate.reason
    assert "raise most_boxes" in certificate.reason


def test_progress_ends_at_one() -> None:
    seen: list[tuple[str, float]] = []
    certify("3", progress=lambda title, done: seen.append((title, done)))
    shares = [done for _, done in seen]
    assert shares == sorted(shares)
    assert seen[-1] == ("Theorem 3", 1.0)


@settings(max_examples=60, deadline=None)
@given(
    y=st.fractions(-3, 3, max_denominator=1000),
    x=st.fractions(Fraction(2, 100), 20, max_denominator=1000),
    width=st.fractions(0, Fraction(1, 100), max_denominator=1000),
    share=st.floats(0, 1),
)
def test_enclosures_hold_the_exact_map(
    y: Fraction, x: Fraction, width: Fraction, share: float
) -> None:
    box = ((y, y + width), (x, x + width))
    got = image(box, plain())
    with mpmath.workdps(60):
        inner = Fraction(share) * width
        at_y, at_x = (mpmath.mpf(v.numerator) / v.denominator for v in (y + inner, x + inner))
        mean, variance, _ = selu_moments(at_y, at_x)
        for ball, exact in ((got.mean, mean), (got.variance, variance)):
            low, high = lower(ball), upper(ball)
            assert mpmath.mpf(low.numerator) / low.denominator <= exact
            assert exact <= mpmath.mpf(high.numerator) / high.denominator


@pytest.mark.parametrize("y", [Fraction(-1), Fraction(1, 10), Fraction(2)])
@pytest.mark.parametrize("x", [Fraction(1, 50), Fraction(1), Fraction(16)])
def test_slopes_are_the_derivatives_and_their_stretch_the_singular_value(
    y: Fraction, x: Fraction
) -> None:
    with ctx.workprec(300):
        alpha, scale = constants_in_balls()
        slopes = image(((y, y), (x, x)), plain()).slopes
        exact: list[list[mpmath.mpf]] = [[], []]
        with mpmath.workdps(80):
            constants = [mpmath.mpf(value.str(75, radius=False)) for value in (alpha, scale)]
            at = [mpmath.mpf(v.numerator) / v.denominator for v in (y, x)]
            step = mpmath.mpf(10) ** -20
            for dy, dx in ((step, 0), (0, step)):
                high = selu_moments(at[0] + dy, at[1] + dx, *constants)
                low = selu_moments(at[0] - dy, at[1] - dx, *constants)
                for row in (0, 1):
                    exact[row].append((high[row] - low[row]) / (2 * step))
        ours = [[slopes.mean_by_y, slopes.mean_by_x], [slopes.variance_by_y, slopes.variance_by_x]]
        for ball, value in zip(chain(*ours), chain(*exact), strict=True):
            assert float(ball) == pytest.approx(float(value), rel=MOMENTS_RELATIVE)
        stretch = largest_stretch(slopes, arb("0.3"), arb("1.2"))
        matrix = np.array([[float(value) for value in row] for row in exact]) * [0.3, 1.2]
        assert float(stretch) == pytest.approx(np.linalg.norm(matrix, 2), rel=MOMENTS_RELATIVE)


@pytest.mark.parametrize(
    "ends",
    [
        np.array([0, 1]),
        np.array([0.0, 1.0], np.float32),
        (np.array(0), np.float64(1)),
        torch.tensor([0, 1]),
        (torch.tensor(0.0, requires_grad=True), torch.tensor(1.0, dtype=torch.bfloat16)),
        ("0e99999", Decimal("1.0")),
        (Decimal("0e99999"), "1"),
        (" -0.00e-9999999999", "1"),
    ],
)
def test_an_end_is_a_rational_of_pythons_integers(ends) -> None:
    domain = Domain.of(mean=ends, variance=(1, 1), omega=(0, 0), tau=(1, 1))
    assert domain.mean == (0, 1)
    assert all(type(end.numerator) is type(end.denominator) is int for end in domain.mean)
    assert BOX.widened("mean", np.int64(1), ends[1]).mean[1] == 1


@pytest.mark.parametrize("end", ["1e99999", "0/1e9", "e99999", "0 e9", torch.tensor(0j)])
def test_what_only_looks_like_0_is_none(end) -> None:
    with pytest.raises(ArgumentError, match="mean must be"):
        Domain.of(mean=(end, 1), variance=(1, 1), omega=(0, 0), tau=(1, 1))


@pytest.mark.parametrize("variance", [("1e-20", "1e-19"), ("1e-300", "1e-299")])
def test_a_slack_as_small_as_the_variance_gets_the_bits_that_show_it(
    variance: tuple[str, str],
) -> None:
    """In 64 bits no halving would help, and 100,000 boxes would be used up."""
    (certificate,) = certify("3", domain=box((0, 0), variance, (0, 0), (1, 1)), most_boxes=50)
    assert certificate.verdict == "proved", certificate.reason


def test_a_decimal_end_is_a_rational() -> None:
    domain = Domain.of(mean=(-0.1, 0.1), variance=("0.8", 1.5), omega=(0, 0), tau=(1, 1))
    assert domain.mean == (Fraction(-1, 10), Fraction(1, 10))
    assert domain.variance == (Fraction(4, 5), Fraction(3, 2))
    assert hull(*domain.mean).contains(arb("0.1"))


def test_settling_needs_both_ends_to_agree() -> None:
    with pytest.raises(ArgumentError, match="32768 bits do not prove these"):
        settle(lambda: (arb(1, 1e-9),), float)


def test_precision_nests_and_is_restored() -> None:
    before = ctx.prec
    with precision(100), precision(7):
        assert ctx.prec == 7
    with pytest.raises(KeyboardInterrupt), precision(100):
        raise KeyboardInterrupt
    assert ctx.prec == before


def test_a_callback_may_ask_for_another_proof() -> None:
    def ask(*_: object) -> None:
        found.append(selu_constants(mean="0.1", digits=40).alpha)

    found: list[Decimal] = []
    (certificate,) = certify("2", progress=ask)
    assert certificate.proved
    assert set(found) == {selu_constants(mean="0.1", digits=40).alpha}


def test_proofs_at_once_do_not_meet() -> None:
    """flint's precision is the process's: in threads each proof still has its own bits."""

    def digits(count: int) -> Decimal:
        return selu_constants(mean="0.1", variance=2, digits=count).scale

    def margins(theorem: str) -> dict[str, float]:
        return certify(theorem)[0].margins

    jobs = [(digits, 30), (digits, 3000), (margins, "2"), (digits, 700), (margins, "2")]
    alone = [work(argument) for work, argument in jobs]
    bits, interval = ctx.prec, sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(len(jobs)) as pool:
            for _ in range(3):
                waiting = [pool.submit(work, argument) for work, argument in jobs]
                assert [job.result() for job in waiting] == alone
    finally:
        sys.setswitchinterval(interval)
    assert ctx.prec == bits


def test_largest_domain_extends_each_end() -> None:
    found = {
        (one.name, one.side): one
        for one in largest_domain(ranges=["mean", "tau"], resolution="0.02")
    }
    assert len(found) == 4
    for one in found.values():
        assert abs(one.failed - one.proved) == Fraction(1, 50)
        outward = -1 if one.side == "low" else 1
        assert (one.proved - one.paper) * outward >= 0
        assert one.violation
    assert found["mean", "high"].proved == Fraction("0.24")
    assert found["tau", "high"].proved == Fraction("1.1")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"theorem": "4"}, "one of 1, 2, 3, 12, shaped or all; got '4'"),
        ({"theorem": "all", "domain": BOX}, "A domain is for one theorem"),
        ({"most_boxes": 0}, "most_boxes must be a whole number, at least 1; got 0"),
        ({"most_boxes": "many"}, "at least 1; got 'many'"),
        ({"theorem": "1", "domain": "small"}, "domain must be a Domain; got 'small'"),
        ({"theorem": None}, "one of 1, 2, 3, 12, shaped or all; got None"),
    ],
)
def test_refusals(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        certify(**arguments)


@pytest.mark.parametrize(
    ("ranges", "words"),
    [
        ({"mean": (1, 0)}, r"mean must be a range .*; got \(1, 0\)"),
        ({"mean": (1,)}, r"got \(1\)"),
        ({"variance": (0, 1)}, r"low > 0; got \(0, 1\)"),
        ({"variance": ("a", 1)}, "variance must be a finite number; got 'a'"),
        ({"mean": 3}, r"mean must be a range \(low, high\).*; got 3"),
        ({"mean": "12"}, "got '12'"),
        ({"mean": {1, 2}}, r"got \{1, 2\}"),
        ({"mean": None}, "got None"),
        ({"mean": (math.nan, 1)}, "mean must be a finite number; got nan"),
        ({"tau": (1, math.inf)}, "tau must be a finite number; got inf"),
        ({"variance": (-1, 1)}, r"low > 0; got \(-1, 1\)"),
        ({"tau": (1, "1e100000000")}, "tau must be 0 or of a size from 1e-300 to 1e300; got '1e"),
    ],
)
def test_impossible_domains(ranges: dict[str, object], words: str) -> None:
    whole = {"mean": BOX.mean, "variance": BOX.variance, "omega": BOX.omega, "tau": BOX.tau}
    for make in (
        BOX.with_ranges,
        lambda **some: Domain(**whole | some),
        lambda **some: Domain.of(**whole | some),
    ):
        with pytest.raises(ArgumentError, match=words):
            make(**ranges)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("var", 0, 1), r"got \['var'\]"),
        (("mean", 2, 1), "side must be 0, the lower end, or 1, the upper; got 2"),
        (("mean", np.array([0, 1]), 1), r"or 1, the upper; got array"),
        (("mean", 0, 1), r"low <= high; got \(1, 0.1\)"),
        (("tau", 0, Fraction(-1)), r"low > 0; got \(-1, 1.1\)"),
        (("tau", 1, math.nan), "tau must be a finite number; got nan"),
    ],
)
def test_impossible_widenings(arguments: tuple[str, int, float], words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        BOX.widened(*arguments)


def test_a_domain_of_floats_is_one_of_decimals() -> None:
    made = Domain(mean=(-0.1, 0.1), variance=(0.8, 1.5), omega=(-0.1, 0.1), tau=(0.95, 1.1))
    assert made == BOX
    with pytest.raises(ArgumentError, match=r"got \['var'\]"):
        BOX.with_ranges(var=(1, 2))


def test_a_resolution_of_nothing() -> None:
    with pytest.raises(ArgumentError, match="resolution must be positive"):
        largest_domain(resolution=0)
    with pytest.raises(ArgumentError, match="one of mean, variance, omega, tau; got nu"):
        largest_domain(ranges=["nu"])
    with pytest.raises(ArgumentError, match="ranges must be a list of names; got 'mean'"):
        largest_domain(ranges="mean")
    with pytest.raises(ArgumentError, match="from 1e-6 to 1; got '1e-9'"):
        largest_domain(resolution="1e-9")
