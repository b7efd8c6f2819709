"""Extreme arguments: an answer, or an error that is ours and true; never a warning, nan or hang."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from selfnorm import theory
from selfnorm.errors import SelfNormError

SIZES = [0.0, 1e-320, 1e-160, 1e-20, 0.5, 1.38, 40.0, 1e8, 1e100, 1e155, 1e200, 1e308]
SIGNED = [*SIZES, *(-size for size in SIZES[1:]), 10**400]
SHARES = [0.0, 1e-320, 1e-16, 0.3, 1 - 1e-16, 1.0]
CURVES = ["selu", "relu"]
CALLS: Mapping[str, tuple[Callable[..., Any], Mapping[str, Sequence[object]]]] = {
    "moments": (
        theory.moments,
        {"mean": SIGNED, "variance": SIZES, "omega": SIGNED, "tau": SIZES, "activation": CURVES},
    ),
    "jacobian": (
        theory.jacobian,
        {"mean": SIGNED, "variance": SIZES, "omega": SIGNED, "tau": SIZES, "activation": CURVES},
    ),
    "moments by quadrature": (
        theory.moments,
        {"mean": SIGNED, "variance": SIZES, "omega": [1.0], "activation": ["tanh", "gelu"]},
    ),
    "fixed_point": (
        theory.fixed_point,
        {
            "omega": SIGNED,
            "tau": SIZES,
            "activation": CURVES,
            "start": [(0, 1), (1e100, 1), (-1e200, 1e-320), (3, 1e308)],
        },
    ),
    "gradient_gain": (
        theory.gradient_gain,
        {"p": SHARES, "mean": SIGNED, "variance": SIZES, "activation": CURVES},
    ),
    "depth_budget": (
        theory.depth_budget,
        {"p": SHARES, "tolerance": SIGNED, "activation": [*CURVES, np.sign]},
    ),
    "dropout_budget": (theory.dropout_budget, {"depth": SIGNED, "tolerance": SIGNED}),
    "alpha_dropout_affine": (
        theory.alpha_dropout_affine,
        {"p": SHARES, "mean": SIGNED, "variance": SIZES, "dropped": SIGNED},
    ),
    "correlation_map": (
        theory.correlation_map,
        {"correlation": SHARES, "mean": SIGNED, "variance": SIZES, "activation": CURVES},
    ),
    "propagate": (
        theory.propagate,
        {
            "depth": [0, 2, 40],
            "mean": SIGNED,
            "variance": SIZES,
            "omega": [*SIGNED, "random"],
            "tau": SIZES,
            "dropout": SHARES,
            "correlation": [0.0, 0.0, 1e-320, 1e-16, 0.3],
        },
    ),
    "selu_constants": (
        theory.selu_constants,
        {
            "mean": [0, "0.1", 1.38, -0.5, 1e-200, "1e-100000000", 1e155, 1e308],
            "variance": [1, "0.01", 40, 1e-160, 1e155, Decimal("1e100000000")],
            "omega": [0, 1, -1, 1000, 1e200],
            "tau": [1, 0.3, 1e-200],
            "digits": [None, 5],
        },
    ),
    "shaped_selu": (
        theory.shaped_selu,
        {
            "depth": [1, 2, 1000, 10**9, 10**10, 10**400, -3],
            "growth": [1, "1.0000000000000000000001", 1.5, 1e8, 1e155, 1e308, "1e-100000000"],
            "digits": [None, 5],
        },
    ),
    "offset SELU": (
        theory.selu_constants,
        {"gradient_gain": [*SIGNED[:-1], "1e-300", 1, "1.07"], "digits": [None, 5]},
    ),
    "normalize_activation": (
        theory.normalize_activation,
        {"activation": ["tanh", "relu", np.sign], "gradient_gain": SIGNED},
    ),
    "worst_mean_square": (
        theory.worst_mean_square,
        {
            "mean_square": SIZES,
            "depth": [1, 1000],
            "activation": ["selu", theory.SELUForm(1e-99, 1e-99), theory.SELUForm(1e100, 1e-20)],
        },
    ),
    "SELUForm": (
        lambda p, mean, variance, **numbers: (
            theory.moments(mean, variance, omega=1.0, activation=theory.SELUForm(**numbers)),
            theory.gradient_gain(p, activation=theory.SELUForm(**numbers)),
        ),
        {
            "p": SHARES[:-1],
            "mean": SIGNED,
            "variance": SIZES,
            "linear": SIZES,
            "factor": SIZES,
            "shift": [*SIGNED[:-1], math.nan],
        },
    ),
    "SELUConstants": (
        lambda alpha, scale: theory.normalize_activation(theory.SELUConstants(alpha, scale)),
        {"alpha": [*SIGNED[:-1], math.nan], "scale": [*SIGNED[:-1], math.inf]},
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_an_answer_or_a_true_error(name: str) -> None:
    """One in a thousand of the combinations, but at least a hundred, the same ones every time."""
    function, choices = CALLS[name]
    count = math.prod(map(len, choices.values()))
    picked = range(0, count, max(1, count // 150) | 1)
    every = itertools.product(*choices.values())
    for number, values in enumerate(every):
        if number not in picked:
            continue
        given = dict(zip(choices, values, strict=True))
        answer, problem = outcome(function, given)
        assert "nan" not in problem or "nan" in repr(given), (given, problem)
        for part in answer if isinstance(answer, tuple) else (answer,):
            if isinstance(part, float | np.ndarray):
                assert not np.isnan(part).any(), given


def outcome(function: Callable[..., object], given: dict[str, object]) -> tuple[object, str]:
    """What a call gives, and what an error of ours says."""
    try:
        return function(**given), ""
    except SelfNormError as error:
        return None, str(error)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: theory.moments(1e200, 1.0, omega=1.0), "must stay within what float64 holds"),
        (lambda: theory.moments(1e200, 1.0, omega=1e200), "of mean inf and variance 1 do not"),
        (lambda: theory.propagate(900, tau=9.0), "or for fewer layers"),
        (lambda: theory.selu_constants(1.38, omega=1000), "alpha is larger"),
        (lambda: theory.selu_constants("1e100000000"), "of a size from 1e-300 to 1e300"),
        (lambda: theory.selu_constants(Decimal("1e-999999")), "of a size from 1e-300 to 1e300"),
        (lambda: theory.selu_constants(10**5000), "got int. Rescale it"),
        (lambda: theory.fixed_points(omega=1e200), "must be of moderate size"),
        (lambda: theory.fixed_point(start=3), "start must be a mean and a variance; got 3"),
        (lambda: theory.fixed_point(start="ab"), "start must be a number or an array"),
        (lambda: theory.alpha_dropout_affine(0.1, 1e200), r"below 1e\+150 in size"),
        (lambda: theory.dropout_budget(10**400), "a number that float64 holds; got int"),
        (
            lambda: theory.normalize_activation(np.tanh, kinks=3),
            r"a list of numbers; got shape \(\)",
        ),
        (lambda: theory.normalize_activation(np.tanh, kinks="a"), "kinks must be a number or an"),
        (lambda: theory.normalize_activation(lambda z: z + 1 // 0), "raised ZeroDivisionError"),
        (lambda: theory.normalize_activation(lambda z: 1e200 * z), "within what float64 holds"),
        (lambda: theory.compare_activations("selu"), r"Write \['selu'\]"),
        (lambda: theory.normalize_activation("tanh")("a"), "x must be a number"),
        (lambda: theory.THEOREM_1.holds("mean", "a"), "values must be a number or an array"),
    ],
)
def test_what_is_wrong_is_said(call: Callable[[], object], words: str) -> None:
    with pytest.raises(SelfNormError, match=words):
        call()


def test_what_diverges_is_no_mistake_of_the_user() -> None:
    for omega, tau in ((1.38, 1.0), (1e60, 1.0), (1e200, 1.0), (0.0, 1e300)):
        point = theory.fixed_point(omega=omega, tau=tau, start=(0.5, 1.0))
        assert (point.converged, point.reason) == (False, "mean and variance diverge")


def test_a_mean_far_from_a_narrow_gaussian_is_exact() -> None:
    scale = theory.selu_constants().scale
    for mean, variance in ((1e100, 1e-320), (1e140, 1e-300), (40.0, 1e-320)):
        got = theory.moments(mean, variance, omega=1.0)
        assert got.mean == pytest.approx(scale * mean, rel=1e-15)
        assert got.variance == pytest.approx(scale**2 * variance, rel=1e-3)  # few bits are left
