"""Gradient gains and depth budgets, with the figures that users plan by."""

import math

import numpy as np
import pytest

from selfnorm.errors import ArgumentError
from selfnorm.theory import (
    alpha_dropout_affine,
    depth_budget,
    gradient_gain,
    neutral_dropout,
    selu_constants,
)
from support.statistics import mean_bound
from support.tolerances import printed


def test_the_gain_without_dropout() -> None:
    assert gradient_gain() == pytest.approx(1.0715749925, abs=printed(10))
    assert gradient_gain() ** 32 == pytest.approx(9, rel=0.02)
    assert gradient_gain() ** 100 == pytest.approx(1000, rel=0.01)


@pytest.mark.parametrize(
    ("p", "size"), [(0.05, "0.33"), (0.1, "0.05"), (0.2, "0.0021"), (0.5, "2.3e-06")]
)
def test_gradients_behind_thirty_layers_of_dropout(p: float, size: str) -> None:
    assert f"{gradient_gain(p) ** 15:.2g}" == size


def test_the_closed_form_with_dropout() -> None:
    square = math.prod(selu_constants()) ** 2
    assert square == pytest.approx(3.0909, abs=printed(4))
    for p in (0.01, 0.3, 0.9):
        assert gradient_gain(p) == pytest.approx(gradient_gain() / (1 + p * square), rel=1e-13)


@pytest.mark.parametrize(
    ("p", "scale", "shift"),
    [
        (0.05, 0.954844, 0.083936),
        (0.1, 0.921285, 0.161970),
        (0.2, 0.878904, 0.309040),
        (0.5, 0.886405, 0.779194),
    ],
)
def test_the_affine_map(p: float, scale: float, shift: float) -> None:
    assert alpha_dropout_affine(p) == pytest.approx((scale, shift), abs=2 * printed(6))


def test_samples_agree() -> None:
    count, p = 1_000_000, 0.2
    rng = np.random.default_rng(3)
    alpha, scale = selu_constants()
    z = rng.standard_normal(count)
    slope = scale * np.where(z > 0, 1, alpha * np.exp(np.minimum(z, 0)))
    square = (slope * (rng.random(count) >= p) * alpha_dropout_affine(p).scale) ** 2
    assert abs(square.mean() - gradient_gain(p)) < mean_bound(count, float(square.var()))


@pytest.mark.parametrize("p", [0.0, 0.05, 0.5])
@pytest.mark.parametrize("tolerance", [2.0, 10.0])
def test_a_budget_is_the_last_depth_within_tolerance(p: float, tolerance: float) -> None:
    depth = depth_budget(p, tolerance)
    size = abs(math.log(gradient_gain(p))) / 2
    assert depth * size <= math.log(tolerance) < (depth + 1) * size


def test_the_neutral_dropout_has_no_budget() -> None:
    assert neutral_dropout() == pytest.approx(0.0232, abs=printed(4))
    assert depth_budget(neutral_dropout()) > 1e12
    assert depth_budget(activation="identity") > 1e12


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"p": 1.0}, "p must be below 1"),
        ({"p": -0.1}, r"in \[0, 1\]; got p=-0.1"),
        ({"p": math.nan}, r"in \[0, 1\]; got p=nan"),
    ],
)
def test_refusals(arguments: dict[str, float], words: str) -> None:
    for function in (gradient_gain, depth_budget):
        with pytest.raises(ArgumentError, match=words):
            function(**arguments)


def test_more_refusals() -> None:
    with pytest.raises(ArgumentError, match=r"variance positive; got mean=0\.0 and variance=0"):
        gradient_gain(variance=0)
    with pytest.raises(ArgumentError, match="a finite factor above 1; got 1"):
        depth_budget(tolerance=1)
