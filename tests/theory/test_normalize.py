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
    jacobian,
    moments,
    normalize_activation,
)
from support.tolerances import FIXED_POINT, MOMENTS_RELATIVE, printed


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
