"""Theorem 1 for SELU and a line: for one blend as for SELU, and for all blends at once."""

import re
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfnorm.errors import ArgumentError
from selfnorm.theory import (
    Certificate,
    Domain,
    SELUForm,
    certify,
    fixed_point,
    jacobian,
    moments,
    shaped_selu,
    theorem_domains,
)
from selfnorm.theory._proof._enclosure import image
from selfnorm.theory._proof._every_blend import at_blend
from selfnorm.theory._proof._exact import lower, upper
from selfnorm.theory._proof._forms import blended, own
from support.selu_oracle import form_moments
from support.tolerances import CLOSED_FORM, MOMENTS_RELATIVE

(BOX,) = theorem_domains("shaped")


@pytest.fixture(scope="module")
def shaped() -> Certificate:
    (certificate,) = certify("shaped")
    return certificate


def form_of(blend: float) -> SELUForm:
    lacking = float(own().lacking)
    scale = (1 - 2 * blend * (1 - blend) * lacking) ** -0.5
    return SELUForm(scale * (1 - blend), scale * blend)


def points_of(domain: Domain, blend: float, count: int = 6) -> np.ndarray:
    """A grid of a blend's domain, corners included, as (n, 4)."""
    at = at_blend(domain, Fraction(blend))
    ranges = np.array([at.mean, at.variance, at.omega, at.tau], dtype=float)
    axes = [np.linspace(low, high, count if high > low else 1) for low, high in ranges]
    return np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 4)


def slacks(domain: Domain, blend: float) -> dict[str, float]:
    """The least slack of each claim over a grid, in floating point; as the margins are given."""
    mean, variance, omega, tau = points_of(domain, blend).T
    form = form_of(blend)
    after = moments(mean, variance, omega=omega, tau=tau, activation=form)
    slopes = jacobian(mean, variance, omega=omega, tau=tau, activation=form)
    low, high = map(float, domain.mean)
    least, most = map(float, domain.variance)
    return {
        "keeps the mean": np.minimum(after.mean - low, high - after.mean).min(),
        "keeps the variance": np.minimum(after.variance - least, most - after.variance).min()
        / blend,
        "contracts": (1 - np.linalg.norm(slopes, 2, axis=(1, 2))).min() / blend,
    }


def test_all_blends_are_proved(shaped: Certificate) -> None:
    assert shaped.verdict == "proved"
    assert set(shaped.margins) == {"keeps the mean", "keeps the variance", "contracts"}
    assert shaped.margins["contracts"] > 0.025  # as the docstring says
    assert shaped.boxes < 30_000


BLENDS = [1e-4, 0.02, 0.1, 0.31, 0.5, 0.75, 0.9, 1.0]


@pytest.mark.parametrize("blend", BLENDS)
def test_no_slack_is_below_its_margin(shaped: Certificate, blend: float) -> None:
    for name, slack in slacks(BOX, blend).items():
        assert shaped.margins[name] <= slack, name


def test_a_margin_is_no_less_than_half_the_least_slack(shaped: Certificate) -> None:
    """Of mean and variance; a bound of `1 - S` counts points that are outside the domain."""
    for name in ("keeps the mean", "keeps the variance"):
        least = min(slacks(BOX, blend)[name] for blend in BLENDS)
        assert shaped.margins[name] >= least / 2, name


@pytest.mark.parametrize("blend", ["0.02", "1/3", "0.9", 1])
def test_one_blend_is_proved_as_selu_is(blend: str | int) -> None:
    domain = at_blend(BOX, Fraction(blend))
    (certificate,) = certify("1", domain=domain, blend=blend)
    assert certificate.proved, certificate.violation
    slack = slacks(BOX, float(Fraction(blend)))
    least = min(slack["keeps the mean"], slack["keeps the variance"] * float(Fraction(blend)))
    assert least / 2 <= certificate.margins["maps into"] <= least
    assert certificate.margins["contracts"] <= slack["contracts"] * float(Fraction(blend))


@pytest.mark.parametrize("blend", ["0.02", "0.1", "0.5"])
def test_the_papers_range_of_tau_is_too_wide_for_less_of_selu(blend: str) -> None:
    """A blend attracts more weakly, so that its weights may miss tau = 1 by less."""
    (certificate,) = certify("1", blend=blend)
    assert certificate.verdict == "refuted"
    point = certificate.counterexample
    assert point is not None
    mean, variance, omega, tau = map(float, point)
    assert tau in {0.95, 1.1}
    after = moments(mean, variance, omega=omega, tau=tau, activation=form_of(float(blend)))
    assert re.fullmatch("variance .* [<>] .*", certificate.violation)
    assert not 0.8 < after.variance < 1.5


@pytest.mark.parametrize(
    ("ranges", "violation"),
    [
        ({"variance": ("0.8", "1.5")}, r"at blend 0\..*: variance 1.5.* > 1.5"),
        ({"tau": ("0.9", "1.1")}, "at blend .*: variance .* < 0.75"),
        ({"mean": ("-0.03", "0.1")}, "at blend .*: mean .* < -0.03"),
        ({"omega": ("-3", "3")}, "at blend"),
    ],
)
def test_what_is_false_for_some_blend_is_refuted_at_one(
    ranges: dict[str, tuple[str, str]], violation: str
) -> None:
    """Theorem 1's own variances fail by a hair: at t near 0, tau may reach 1 + .0984 t only."""
    domain = BOX.with_ranges(**ranges)
    (certificate,) = certify("shaped", domain=domain)
    assert certificate.verdict == "refuted"
    assert re.search(violation, certificate.violation)
    found = re.match(r"at blend ([^:]*)", certificate.violation)
    assert found is not None
    blend = float(found[1])
    point = certificate.counterexample
    assert point is not None
    at = at_blend(domain, Fraction(found[1]))
    for value, (low, high) in zip(point, (at.mean, at.variance, at.omega, at.tau), strict=True):
        assert low <= value <= high
    mean, variance, omega, tau = map(float, point)
    arguments = {"omega": omega, "tau": tau, "activation": form_of(blend)}
    after = moments(mean, variance, **arguments)
    slope = jacobian(mean, variance, **arguments)
    kept = [float(end) for end in (*domain.mean, *domain.variance)]
    inside = kept[0] < after.mean < kept[1] and kept[2] < after.variance < kept[3]
    assert not inside or np.linalg.norm(slope, 2) > 1


def test_with_orthogonal_weights_the_domain_is_wide() -> None:
    """tau = 1 exactly: a mean square from a half to 2 is drawn to 1, whatever the blend."""
    domain = BOX.with_ranges(variance=("0.5", "2"), tau=(1, 1))
    (certificate,) = certify("shaped", domain=domain)
    assert certificate.proved
    for depth in (100, 1000):
        point = fixed_point(activation=shaped_selu(depth), start=(0.05, 1.9), omega=0.1)
        assert point.variance == pytest.approx(1, abs=1000 * CLOSED_FORM)


@settings(max_examples=40, deadline=None)
@given(
    y=st.fractions(-3, 3, max_denominator=1000),
    x=st.fractions(Fraction(2, 100), 20, max_denominator=1000),
    width=st.fractions(0, Fraction(1, 100), max_denominator=1000),
    share=st.floats(0, 1),
    blend=st.fractions(Fraction(1, 1000), 1, max_denominator=1000),
)
def test_enclosures_hold_the_exact_map(
    y: Fraction, x: Fraction, width: Fraction, share: float, blend: Fraction
) -> None:
    curve = blended(blend)()
    got = image(((y, y + width), (x, x + width)), curve)
    with mpmath.workdps(60):
        inner = Fraction(share) * width
        at = [mpmath.mpf(v.numerator) / v.denominator for v in (y + inner, x + inner)]
        form = [mpmath.mpf(part.str(17, radius=False)) for part in (curve.linear, curve.factor)]
        mean, variance, _ = form_moments(*at, *form, 0)
        room = mpmath.mpf(10) ** -14 * (1 + abs(mean) + variance)  # the form is rounded here
        for ball, exact in ((got.mean, mean), (got.variance, variance)):
            low, high = lower(ball), upper(ball)
            assert mpmath.mpf(low.numerator) / low.denominator <= exact + room
            assert exact <= mpmath.mpf(high.numerator) / high.denominator + room


def test_slopes_of_a_blend_are_those_of_its_form() -> None:
    for blend, y, x in (("0.1", "0.3", "1.2"), ("1/2", "-1", "0.3"), ("0.99", "2", "16")):
        at = (Fraction(y), Fraction(x))
        slopes = image(tuple((value, value) for value in at), blended(Fraction(blend))()).slopes
        form = form_of(float(Fraction(blend)))
        ours = jacobian(float(at[0]), float(at[1]), omega=1.0, activation=form)
        exact = [[slopes.mean_by_y, slopes.mean_by_x], [slopes.variance_by_y, slopes.variance_by_x]]
        np.testing.assert_allclose(
            ours, [[float(value) for value in row] for row in exact], rtol=MOMENTS_RELATIVE
        )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"theorem": "1", "blend": 0}, "blend is the share of SELU, above 0 and at most 1; got 0"),
        ({"theorem": "1", "blend": 1.5}, r"at most 1; got 1\.5"),
        ({"theorem": "1", "blend": "much"}, "blend must be a finite number; got 'much'"),
        ({"theorem": "all", "blend": 0.5}, r"one of the paper's theorems; got 0\.5 for all"),
        ({"theorem": "shaped", "blend": 0.5}, r"got 0\.5 for shaped"),
    ],
)
def test_refusals(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        certify(**arguments)


def test_too_few_boxes_are_undecided() -> None:
    (certificate,) = certify("shaped", most_boxes=100)
    assert certificate.verdict == "undecided"
    assert "100 boxes are used up" in certificate.reason
    assert "raise most_boxes" in certificate.reason
