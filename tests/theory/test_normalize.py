"""Normalized activations keep (0, 1); who attracts and who does not."""

import math

import numpy as np
import pytest

from selfnorm.errors import ArgumentError
from selfnorm.theory import (
    ACTIVATIONS,
    SELUConstants,
    compare_activations,
    fixed_point,
    gradient_gain,
    jacobian,
    moments,
    normalize_activation,
    selu_constants,
)
from support.tolerances import (
    CLOSED_FORM,
    FIXED_POINT,
    MOMENTS_RELATIVE,
    ROOT_OF_ROUNDINGS,
    printed,
)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_normalized_version_keeps_mean_and_variance(name: str) -> None:
    normalized = normalize_activation(name)
    got = moments(0.0, 1.0, activation=normalized)
    assert got == pytest.approx((0, 1), abs=FIXED_POINT)
    slopes = jacobian(0.0, 1.0, activation=normalized)
    assert slopes[1, 1] == pytest.approx(normalized.variance_slope, abs=FIXED_POINT)
    assert np.linalg.norm(slopes, 2) == pytest.approx(normalized.stretch, abs=FIXED_POINT)
    assert normalized.error < 1e-14


def test_selu_needs_no_help() -> None:
    selu = normalize_activation("selu")
    assert (selu.factor, selu.shift) == pytest.approx((1, 0), abs=FIXED_POINT)
    assert selu.variance_slope == pytest.approx(0.7826478832, abs=printed(10))
    assert selu.attracting


def test_the_sine_in_closed_form() -> None:
    """`E sin^2 = (1 - e^-2) / 2`, `E cos^2 = (1 + e^-2) / 2` under N(0, 1)."""
    sine = normalize_activation("sin")
    square = (1 - math.exp(-2)) / 2
    assert sine.factor == pytest.approx(square**-0.5, rel=MOMENTS_RELATIVE)
    assert sine.gradient_gain == pytest.approx((1 - square) / square, rel=MOMENTS_RELATIVE)
    assert sine.variance_slope == pytest.approx(math.exp(-2) / square, rel=MOMENTS_RELATIVE)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "identity"])
def test_homogeneous_activations_are_marginal(name: str) -> None:
    normalized = normalize_activation(name)
    assert normalized.variance_slope == pytest.approx(1, abs=FIXED_POINT)
    assert not normalized.stable


def test_who_can_be_self_normalizing() -> None:
    table = compare_activations()
    assert {one.name for one in table} == set(ACTIVATIONS)
    stable = {one.name for one in table if one.attracting}
    assert {"selu", "elu", "tanh", "erf", "sin", "sigmoid"} <= stable
    assert not stable & {"relu", "gelu", "silu", "mish", "softplus", "hardswish", "leaky_relu"}
    slopes = [abs(one.variance_slope) for one in table]
    assert slopes == sorted(slopes)


def test_iterating_leads_there_where_it_attracts() -> None:
    for name in ("tanh", "sigmoid"):
        point = fixed_point(activation=normalize_activation(name), start=(0.0, 1.5))
        assert (point.mean, point.variance) == pytest.approx((0, 1), abs=FIXED_POINT)


def test_functions_and_constants_are_accepted() -> None:
    assert normalize_activation(np.tanh).name == "tanh"
    assert normalize_activation(SELUConstants(1.0, 1.0)).factor == pytest.approx(
        normalize_activation("elu").factor
    )
    shape = normalize_activation(lambda z: np.maximum(z, -0.5), kinks=(-0.5,))
    np.testing.assert_allclose(
        shape([-1.0, 0.0]), shape.factor * np.array([-0.5, 0.0]) + shape.shift
    )


def test_a_constant_is_refused() -> None:
    with pytest.raises(ArgumentError, match="must not be constant"):
        normalize_activation(np.zeros_like)


@pytest.mark.parametrize("wanted", [1.0, 0.3])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_sizes_are_kept_both_ways(name: str, wanted: float) -> None:
    normalized = normalize_activation(name, wanted)
    got = moments(0.0, 1.0, activation=normalized)
    assert got.mean == pytest.approx(normalized.mean, abs=FIXED_POINT)
    assert got.variance + got.mean**2 == pytest.approx(1, abs=FIXED_POINT)
    assert normalized.mean <= FIXED_POINT
    gain = gradient_gain(activation=normalized)
    assert (gain, normalized.gradient_gain) == pytest.approx((wanted, wanted), abs=FIXED_POINT)
    # The map of the mean square, `q -> E f(z)^2` for `z ~ N(0, q)`, and what it does to the mean.
    (_, by_x), (_, variance_by_x) = jacobian(0.0, 1.0, activation=normalized)
    slope = variance_by_x + 2 * got.mean * by_x
    assert normalized.variance_slope == pytest.approx(slope, abs=FIXED_POINT)
    assert normalized.stretch == pytest.approx(math.hypot(slope, by_x), abs=FIXED_POINT)


def test_what_random_weights_hand_on_is_drawn_to_a_mean_square_of_1() -> None:
    """The mean is not 0 then, and the variance not 1."""
    normalized = normalize_activation("tanh", 1.0)
    square = 1.3
    for _ in range(30):
        got = moments(0.0, square, activation=normalized)
        square = got.variance + got.mean**2
    assert square == pytest.approx(1, abs=FIXED_POINT)
    assert got.variance == pytest.approx(1 - normalized.mean**2, abs=FIXED_POINT)


def test_selu_is_offset_as_its_constants_say() -> None:
    """Lu, Gould and Ajanthan 2020: a = chi^-1/2, b = -sqrt(1 - 1 / chi)."""
    normalized, form = normalize_activation("selu", 1), selu_constants(gradient_gain=1)
    chi = gradient_gain()
    assert (normalized.factor, normalized.shift) == pytest.approx(form[1:], abs=FIXED_POINT)
    assert form[1:] == pytest.approx((chi**-0.5, -((1 - 1 / chi) ** 0.5)), abs=CLOSED_FORM)
    assert normalized.variance_slope == pytest.approx(form.variance_slope, abs=FIXED_POINT)


def test_a_line_has_nothing_to_offset() -> None:
    identity = normalize_activation(lambda z: 3 * z + 2, 1)
    assert identity.factor == pytest.approx(1 / 3, abs=FIXED_POINT)
    assert (identity.shift, identity.mean) == pytest.approx((-2 / 3, 0), abs=ROOT_OF_ROUNDINGS)


@pytest.mark.parametrize(
    ("activation", "wanted", "words"),
    [
        (np.sign, 1, "got 1. Below 1 that says that f jumps; choose a continuous"),
        (lambda z: z + 3 * np.sign(z), 1, "variance 1, 0.0676256; got 1. Below 1 that says"),
        (lambda z: np.sqrt(np.abs(z)), 1, "whose square has a mean .*; got E f'.2 = inf. Jumps"),
        ("selu", 1.1, r"at most what .*, 1.07157; got 1\.1\. 1 keeps the size"),
        ("selu", 0, "must be above 0 .*; got 0"),
        ("selu", math.nan, "got nan"),
        ("selu", "one", "gradient_gain must be a number; got 'one'"),
    ],
)
def test_what_has_no_such_offset(activation: object, wanted: object, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        normalize_activation(activation, wanted)
