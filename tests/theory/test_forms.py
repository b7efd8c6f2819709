"""SELU's forms: shaped for a depth, offset for a gradient gain; every function takes them."""

import itertools
import math
from decimal import Decimal

import mpmath
import numpy as np
import pytest

from selfnorm.errors import ArgumentError
from selfnorm.theory import (
    CertifiedForm,
    SELUForm,
    alpha_dropout_affine,
    compare_activations,
    correlation_map,
    depth_budget,
    dropout_budget,
    fixed_point,
    fixed_points,
    gradient_gain,
    jacobian,
    moments,
    neutral_dropout,
    normalize_activation,
    propagate,
    selu_constants,
    shaped_selu,
)
from selfnorm.theory._activations import form_function, statistics
from selfnorm.theory._quadrature import quadrature_statistics
from support.selu_oracle import ALPHA, SCALE, enough_digits, form_moments
from support.statistics import assert_moments, kurtosis_of, mean_bound
from support.tolerances import (
    CLOSED_FORM,
    DERIVATIVE_RELATIVE,
    FIXED_POINT,
    MOMENTS_RELATIVE,
    ROOT_OF_ROUNDINGS,
    SLOPES_RELATIVE,
)

FORMS = [
    SELUForm(),
    SELUForm(shift=-0.25),
    SELUForm(0.99, 0.02),
    SELUForm(0.7, 0.31, -0.1),
    shaped_selu(1000),
    selu_constants(gradient_gain=1),
]
SMALLEST_RESULT = 1e-290
MEANS = [0.0, 1e-4, -0.03, 0.5, -3.0, 20.0, -20.0, 1e3, -100.0]
VARIANCES = [1e-12, 1e-6, 0.01, 0.2499, 1.0, 7.0, 1e3, 1e6]
Real = mpmath.mpf


def by_name(form: SELUForm) -> str:
    return ",".join(f"{number:.2g}" for number in form)


def each_form() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("form", FORMS, ids=by_name)


def own(digits: int) -> tuple[Real, Real]:
    """`E selu'` and `E selu'^2` at `z ~ N(0, 1)`, from the paper's constants (Eq. 14)."""
    c1 = mpmath.erfc(1 / mpmath.sqrt(2)) * mpmath.sqrt(mpmath.e)
    c2 = mpmath.erfc(mpmath.sqrt(2)) * mpmath.e**2
    pi = mpmath.pi
    alpha = mpmath.sqrt(2 / pi) / (1 - c1)
    root = mpmath.sqrt(2 * c2 + pi * c1**2 - 2 * (2 + pi) * c1 + pi + 2)
    scale = (1 - c1) * mpmath.sqrt(2 * pi) / root
    return scale * (1 + alpha * c1) / 2, scale**2 * (1 + alpha**2 * c2) / 2


def assert_digits(ours: Decimal, exact: Real, digits: int) -> None:
    """Raise unless a decimal is the exact number, rounded to so many digits."""
    assert len(ours.as_tuple().digits) <= digits
    assert ours == Decimal(mpmath.nstr(exact, digits, strip_zeros=False).rstrip("."))


@pytest.mark.parametrize("digits", [1, 16, 50, 300])
@pytest.mark.parametrize(("depth", "growth"), [(10, "1.5"), (100, 2), (1000, "1.2"), (10**9, 2)])
def test_every_digit_of_a_shaped_selu_is_right(digits: int, depth: int, growth: object) -> None:
    """By bisection for the blend, where the library solves a quadratic."""
    got = shaped_selu(depth, growth=growth, digits=digits)
    with mpmath.workdps(digits + 40):
        slope, most = own(digits)

        def norm(t: Real) -> Real:
            return (1 - t) ** 2 + 2 * t * (1 - t) * slope + t**2

        def gain(t: Real) -> Real:
            return ((1 - t) ** 2 + 2 * t * (1 - t) * slope + t**2 * most) / norm(t)

        wanted = mpmath.mpf(growth) ** (mpmath.mpf(1) / depth)
        t = mpmath.findroot(lambda t: gain(t) - wanted, (1e-6, 1), solver="anderson")
        s = norm(t) ** -0.5
        for ours, exact in zip(got, (s * (1 - t), s * t, 0, t, s, wanted), strict=True):
            assert_digits(ours, mpmath.mpf(exact), digits)
    floats = shaped_selu(depth, growth=growth)
    if digits > 16:
        assert floats == pytest.approx(tuple(map(float, got[:3])), rel=CLOSED_FORM)
        known = (floats.blend, floats.scale, floats.gradient_gain)
        assert known == pytest.approx(tuple(map(float, got[3:])), rel=CLOSED_FORM)


@pytest.mark.parametrize("digits", [1, 16, 50, 300])
@pytest.mark.parametrize("gain", [1, "0.2", "1.07"])
def test_every_digit_of_an_offset_selu_is_right(digits: int, gain: object) -> None:
    got = selu_constants(gradient_gain=gain, digits=digits)
    with mpmath.workdps(digits + 30):
        square = mpmath.mpf(gain) / own(digits)[1]
        exact = (0, mpmath.sqrt(square), -mpmath.sqrt(1 - square), 1, mpmath.sqrt(square), gain)
        for ours, one in zip(got, exact, strict=True):
            assert_digits(ours, mpmath.mpf(one), digits)
    if digits > 16:
        floats = selu_constants(gradient_gain=gain)
        assert floats == pytest.approx(tuple(map(float, got[:3])), rel=CLOSED_FORM)


@pytest.mark.parametrize("depth", [1, 3, 10, 11, 100, 1000, 10**6])
def test_a_shaped_selu_keeps_the_fixed_point_and_grows_as_told(depth: int) -> None:
    form = shaped_selu(depth)
    assert moments(0.0, 1.0, activation=form) == pytest.approx((0, 1), abs=FIXED_POINT)
    assert form.variance == pytest.approx(1, abs=FIXED_POINT)
    if depth < 11:  # SELU's own gain to the tenth is 1.997
        assert form == SELUForm()
    else:
        grown = depth * math.log(form.gradient_gain)
        assert grown == pytest.approx(math.log(2), abs=depth * CLOSED_FORM)
    assert form.stretch < 1
    assert form.blend >= shaped_selu(2 * depth).blend


def test_what_grows_more_is_blended_less() -> None:
    blends = [shaped_selu(30, growth=growth).blend for growth in ("1.01", 1.2, 2, 5, 7.9)]
    assert blends == sorted(blends)
    assert blends[-1] < 1
    assert shaped_selu(30, growth=8) == SELUForm()
    certified = shaped_selu(30, growth=8, digits=20)
    assert certified[:5] == (0, 1, 0, 1, 1)
    assert float(certified.gradient_gain) == pytest.approx(gradient_gain(), rel=CLOSED_FORM)


@each_form()
def test_the_properties_are_those_of_the_moment_map(form: SELUForm) -> None:
    """Of the mean square `q -> E f(z)^2`, `z ~ N(0, q)`: the variance's where the mean is 0."""
    mean, variance = moments(0.0, 1.0, activation=form)
    assert (mean, variance) == pytest.approx((form.shift, form.variance), abs=CLOSED_FORM)
    (_, by_x), (_, variance_by_x) = jacobian(0.0, 1.0, activation=form)
    slope = variance_by_x + 2 * mean * by_x
    assert form.variance_slope == pytest.approx(slope, abs=CLOSED_FORM)
    assert form.stretch == pytest.approx(math.hypot(slope, by_x), abs=CLOSED_FORM)
    assert form.gradient_gain == pytest.approx(gradient_gain(activation=form), abs=CLOSED_FORM)
    assert form.scale * form.blend == pytest.approx(form.factor, abs=CLOSED_FORM)
    z = np.array([-1e3, -1e-9])
    function = form_function(form)
    assert function(z[:1])[0] - form.linear * z[0] == pytest.approx(form.dropped, rel=CLOSED_FORM)
    rise = (function(np.zeros(1)) - function(z[1:]))[0] / 1e-9
    assert rise == pytest.approx(form.largest_slope, rel=ROOT_OF_ROUNDINGS)


@pytest.mark.parametrize("form", FORMS[2:4], ids=by_name)
def test_twelve_digits_over_the_whole_range(form: SELUForm) -> None:
    for mean, variance in itertools.product(MEANS, VARIANCES):
        ours = moments(mean, variance, omega=1.0, activation=form)
        with mpmath.workdps(enough_digits(mean, variance) + 30):
            exact_mean, exact_variance, size = form_moments(mean, variance, *form)
            assert abs(ours.mean - exact_mean) <= MOMENTS_RELATIVE * size, (mean, variance)
            if exact_variance > SMALLEST_RESULT:
                off = abs(ours.variance - exact_variance)
                assert off <= MOMENTS_RELATIVE * exact_variance, (mean, variance)


@pytest.mark.parametrize("form", [FORMS[2], FORMS[3], FORMS[5]], ids=by_name)
@pytest.mark.parametrize("y", [0.0, -0.7, 2.0, -12.0])
@pytest.mark.parametrize("x", [1e-8, 0.3, 1.0, 40.0, 1e5, 1e9])
def test_the_jacobian_is_the_derivative(form: SELUForm, y: float, x: float) -> None:
    ours = jacobian(y, x, omega=1.0, activation=form)
    with mpmath.workdps(enough_digits(y, x) + 60):
        step = mpmath.mpf(10) ** -25 * mpmath.sqrt(x)
        for column, (dy, dx) in enumerate([(step, 0), (0, step * mpmath.sqrt(x))]):
            high, low = (form_moments(y + sign * dy, x + sign * dx, *form) for sign in (1, -1))
            for row in (0, 1):
                exact = (high[row] - low[row]) / (2 * (dy + dx))
                terms = terms_of(form, y, x)[row][column]
                assert abs(ours[row, column] - exact) <= DERIVATIVE_RELATIVE * terms


def terms_of(form: SELUForm, y: float, x: float) -> list[list[Real]]:
    """The size of what each entry is a sum of: slopes, the density at 0, and products of them."""
    _, variance, size = form_moments(y, x, *form)
    density = mpmath.npdf(y / mpmath.sqrt(x)) / mpmath.sqrt(x)
    slope = form.linear + form.factor * mpmath.mpf(ALPHA) * mpmath.mpf(SCALE)
    return [
        [slope, slope + density],
        [4 * slope * mpmath.sqrt(variance), slope**2 + density * size],
    ]


@each_form()
def test_quadrature_agrees(form: SELUForm) -> None:
    y, x = np.array([0.0, -1.5, 2.0, 0.3]), np.array([1.0, 0.3, 7.0, 40.0])
    closed = statistics(form, y, x)
    seen = quadrature_statistics(form_function(form), (0.0,), y, x)
    for name in ("mean", "variance", "mean_by_y", "variance_by_y", "variance_by_x", "gain"):
        np.testing.assert_allclose(
            getattr(closed, name), getattr(seen, name), rtol=SLOPES_RELATIVE, atol=SLOPES_RELATIVE
        )


def test_fixed_points_of_a_form() -> None:
    form = shaped_selu(100)
    point = fixed_point(activation=form, start=(0.0, 1.4))
    assert (point.mean, point.variance) == pytest.approx((0, 1), abs=FIXED_POINT)
    assert point.largest_singular_value == pytest.approx(form.stretch, abs=FIXED_POINT)
    gone, kept = fixed_points(activation=form)
    assert gone.variance == 0
    assert not gone.stable
    assert kept.variance == pytest.approx(1, abs=FIXED_POINT)


def test_a_form_forgets_by_its_gradient_gain() -> None:
    """The slope of the correlation map at 1 is chi, from which a shape takes its purpose."""
    form = shaped_selu(100)
    step = 1e-5
    slope = (1 - correlation_map(1 - step, activation=form)) / step
    # The kink takes away a share that goes with the root of the step, below .1 of `chi - 1`.
    assert slope == pytest.approx(form.gradient_gain, abs=(form.gradient_gain - 1) / 10)
    depth = 100
    assert propagate(depth, activation=form).gradient[0] ** 2 == pytest.approx(2, rel=FIXED_POINT)


@pytest.mark.parametrize("p", [0.05, 0.5])
@each_form()
def test_dropout_of_a_form_keeps_its_moments(form: SELUForm, p: float) -> None:
    """`propagate` with random weights hands on the mean square; the samples are what nn does."""
    count = 1_000_000
    rng = np.random.default_rng(3)
    scale, shift = alpha_dropout_affine(p, form.shift, form.variance, dropped=form.dropped)
    kept = rng.random(count) >= p
    units = form_function(form)(rng.standard_normal(count))
    behind = scale * np.where(kept, units, form.dropped) + shift
    layers = propagate(1, dropout=p, activation=form)
    assert layers.mean[1] == pytest.approx(form.shift, abs=CLOSED_FORM)
    assert layers.variance[1] == pytest.approx(form.variance, rel=CLOSED_FORM)
    assert_moments(behind, layers.mean[1], layers.variance[1], kurtosis_of(behind))
    z = rng.standard_normal(count)
    slope = form.linear + form.factor * float(SCALE) * np.where(
        z > 0, 1, float(ALPHA) * np.exp(np.minimum(z, 0))
    )
    square = (slope * kept * scale) ** 2
    gain = gradient_gain(p, activation=form)
    assert abs(square.mean() - gain) < mean_bound(count, float(square.var()))
    assert layers.gradient[0] ** 2 == pytest.approx(gain, rel=CLOSED_FORM)


def test_the_budgets_of_a_form() -> None:
    for depth in (30, 100, 1000):
        form = shaped_selu(depth)
        assert neutral_dropout(form) == pytest.approx(neutral_dropout(), rel=1e4 * CLOSED_FORM)
        assert gradient_gain(neutral_dropout(form), activation=form) == pytest.approx(1)
        p = dropout_budget(depth, activation=form)
        assert depth_budget(p - 1e-9, activation=form) == depth
        assert p > dropout_budget(depth)
    assert neutral_dropout(selu_constants(gradient_gain=1)) == pytest.approx(0, abs=CLOSED_FORM)
    assert dropout_budget(10**6, activation=SELUForm(factor=0.5)) == 0.0


def test_forms_are_normalized_and_compared_as_activations() -> None:
    form = shaped_selu(100)
    normalized = normalize_activation(form)
    assert (normalized.factor, normalized.shift) == pytest.approx((1, 0), abs=FIXED_POINT)
    assert normalized.variance_slope == pytest.approx(form.variance_slope, abs=FIXED_POINT)
    table = compare_activations([form, "selu"])
    assert [one.name for one in table] == ["selu", "0.691444 z + 0.311735 selu(z) + 0"]


def test_a_certified_form_serves_as_an_activation_in_floats() -> None:
    certified = shaped_selu(100, digits=40)
    assert isinstance(certified, CertifiedForm)
    form = SELUForm(*map(float, certified[:3]))
    assert form == pytest.approx(shaped_selu(100), rel=CLOSED_FORM)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"depth": 0}, "depth must be a whole number from 1 to 10.9; got 0. Count"),
        ({"depth": True}, "got True"),
        ({"depth": 10.0}, r"got 10\.0"),
        ({"depth": 10**10}, "got 10000000000"),
        ({"growth": 1}, "growth must be above 1.*; got 1. 2 has"),
        ({"growth": 0.5}, r"got 0\.5"),
        ({"growth": math.inf}, "growth must be a finite number; got inf"),
        ({"growth": math.nan}, "growth must be a finite number; got nan"),
        ({"digits": 0}, "digits must be a whole number from 1 to 5000; got 0"),
    ],
)
def test_impossible_shapes(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        shaped_selu(**{"depth": 100} | arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"gradient_gain": 0}, "gradient_gain must be above 0 and at most SELU's own, 1.07157"),
        ({"gradient_gain": -1}, "got -1. 1 keeps"),
        ({"gradient_gain": 1.08}, r"got 1\.08"),
        ({"gradient_gain": "1.0715749924557993", "digits": 20}, "got '1.0715749924557993'"),
        ({"gradient_gain": 1, "mean": 0.1}, r"for mean 0.*; got mean=0\.1, variance=1\.0, tau"),
        ({"gradient_gain": 1, "variance": 2}, "variance=2, tau"),
        ({"gradient_gain": 1, "tau": 0.9}, r"tau=0\.9\. Leave these out"),
    ],
)
def test_impossible_gains(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        selu_constants(**arguments)


@pytest.mark.parametrize(
    "form",
    [
        SELUForm(-0.1),
        SELUForm(0, 0),
        SELUForm(math.inf),
        SELUForm(0, 1e-200),
        SELUForm(shift=math.nan),
    ],
    ids=by_name,
)
def test_what_is_no_form(form: SELUForm) -> None:
    for function in (moments, jacobian, fixed_point, gradient_gain):
        with pytest.raises(ArgumentError, match=r"at least 0 and factor above 0.*; got SELU"):
            function(activation=form)
