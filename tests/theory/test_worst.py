"""The worst mean square over units: above every distribution's, and approached by some."""

import itertools
import math

import numpy as np
import pytest
from scipy.optimize import linprog

from selfnorm.errors import ArgumentError
from selfnorm.theory import (
    SELUForm,
    propagate,
    selu_constants,
    shaped_selu,
    worst_mean_square,
)
from selfnorm.theory._activations import form_function
from support.tolerances import CLOSED_FORM, FINE_GRID

FORMS = [
    SELUForm(),
    shaped_selu(100),
    shaped_selu(1000),
    selu_constants(gradient_gain=1),
    SELUForm(0.0, 0.5, -2.0),
]
SQUARES = [1e-4, 0.3, 0.49, 0.6, 1.0, 4.0, 50.0]


@pytest.mark.parametrize("square", SQUARES)
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_it_is_the_optimum_over_distributions(form: SELUForm, square: float) -> None:
    """A linear program over distributions on a grid that reaches far out, where mass is tiny."""
    r = np.concatenate([np.linspace(0, 3, 3001), np.geomspace(3, 1e6, 1500)[1:]])
    r = np.append(r, math.sqrt(square))
    z = np.concatenate([r, -r])
    values = form_function(form)(z) ** 2
    size = 1 + z**2  # columns of one size
    found = linprog(
        -values / size,
        A_eq=np.stack([1 / size, z**2 / size]),
        b_eq=[1, square],
    )
    assert found.success
    bound = worst_mean_square(square, activation=form)
    assert -found.fun <= bound * (1 + FINE_GRID)
    assert -found.fun >= bound * (1 - FINE_GRID)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_no_distribution_is_above_it(form: SELUForm) -> None:
    rng = np.random.default_rng(5)
    function = form_function(form)
    for shape, square in itertools.product((0.1, 0.5, 1.0, 3.0), SQUARES):
        z = rng.standard_normal((20, 64)) * rng.gamma(shape, size=(20, 64))
        z += rng.standard_normal((20, 1))
        z *= np.sqrt(square / (z**2).mean(axis=1, keepdims=True))
        after = (function(z) ** 2).mean(axis=1).max()
        assert after <= worst_mean_square(square, activation=form) * (1 + CLOSED_FORM)


@pytest.mark.parametrize("depth", [1, 5, 40])
@pytest.mark.parametrize("form", FORMS[:3], ids=str)
def test_over_layers_nothing_passes_it(form: SELUForm, depth: int) -> None:
    """Orthogonal weights, drawn and then turned against the network: to one direction's gain."""
    rng = np.random.default_rng(depth)
    function = form_function(form)
    x = rng.standard_normal((200, 32))
    x /= np.sqrt((x**2).mean(axis=1, keepdims=True))
    for _ in range(depth):
        worst = x[np.argmax((x**2).sum(axis=1))]
        target = -np.ones(32) / math.sqrt(32)  # all of its units the same, and negative
        v = worst / np.linalg.norm(worst) - target
        x = function(x - 2 * np.outer(x @ v, v) / (v @ v))
    bound = worst_mean_square(depth=depth, activation=form)
    assert (x**2).mean(axis=1).max() <= bound * (1 + CLOSED_FORM)
    assert bound >= propagate(depth, omega="random", activation=form).variance[-1]


def test_selu_in_closed_form() -> None:
    """Up to u = 0.49 all units alike are the worst; from there on the bound is `1.104 x + .242`."""
    alpha, scale = selu_constants()
    assert worst_mean_square(0.4) == pytest.approx(
        (scale * alpha * (1 - math.exp(-math.sqrt(0.4)))) ** 2, rel=CLOSED_FORM
    )
    rise = worst_mean_square(3.0) - worst_mean_square(2.0)
    assert rise == pytest.approx(scale**2, rel=CLOSED_FORM)
    assert worst_mean_square(depth=2) == worst_mean_square(worst_mean_square())
    assert worst_mean_square(depth=10**6) == math.inf


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"mean_square": 0}, "mean_square must be positive and finite; got 0"),
        ({"mean_square": math.nan}, "got nan"),
        ({"depth": 0}, "depth must be a whole number from 1 to 10.6; got 0"),
        ({"activation": "relu"}, "must be 'selu' or a SELUForm with a shift of at most 0; got 'r"),
        ({"activation": SELUForm(shift=0.1)}, r"got SELUForm.*shift=0\.1"),
    ],
)
def test_refusals(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        worst_mean_square(**arguments)
