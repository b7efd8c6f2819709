"""Kernels of infinitely wide networks, beside closed forms, layer by layer, and wide networks."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import PairwiseKernel
from sklearn.svm import SVC

from selfnorm.errors import ArgumentError
from selfnorm.theory import (
    SELUConstants,
    correlation_map,
    gradient_gain,
    moments,
    network_kernel,
    selu_constants,
    shaped_selu,
)
from selfnorm.theory._activations import shape_of

EXACT = 1e-9  # of the table in the angle
WIDTH = 400


def pair(correlation: float) -> tuple[np.ndarray, np.ndarray]:
    """Two rows of that correlation."""
    return np.array([[1.0, 0.0]]), np.array(
        [[correlation, math.sqrt(max(0.0, 1 - correlation**2))]]
    )


CORRELATIONS = (-1.0, -0.7, -1e-3, 0.0, 0.3, 0.9, 0.999, 1 - 1e-8, 1.0)


@pytest.mark.parametrize("correlation", CORRELATIONS)
@pytest.mark.parametrize("depth", [1, 2, 5])
def test_relus_are_arc_cosine_kernels(depth: int, correlation: float) -> None:
    """Cho and Saul 2009, and the tangent kernel as Arora et al. 2019 have it."""
    covariance = tangent = correlation
    for _ in range(depth):
        angle = math.acos(covariance)
        value = (math.sin(angle) + (math.pi - angle) * math.cos(angle)) / math.pi
        tangent = value + tangent * (math.pi - angle) / math.pi
        covariance = min(value, 1.0)
    x, y = pair(correlation)
    # Of an angle near 0 a product of rows knows some 1e-8.
    assert network_kernel(x, y, depth=depth, kind="nngp", activation="relu") == pytest.approx(
        covariance, abs=EXACT
    )
    assert network_kernel(x, y, depth=depth, activation="relu") == pytest.approx(tangent, abs=1e-7)


@pytest.mark.parametrize(
    "activation",
    ["selu", shaped_selu(16), "tanh", "leaky_relu", "gelu", np.tanh],
    ids=str,
)
@pytest.mark.parametrize("correlation", [-0.9, 0.2, 0.95])
def test_a_layer_is_the_correlation_map(activation: Any, correlation: float) -> None:
    own = moments(0, 1, omega=0, activation=activation)
    shared = correlation_map(correlation, activation=activation) * own.variance
    expected = (own.mean**2 + shared) / (own.mean**2 + own.variance)
    found = network_kernel(*pair(correlation), depth=1, kind="nngp", activation=activation)
    assert found == pytest.approx(float(expected), abs=EXACT)


def test_selu_layer_by_layer() -> None:
    """The mean is 0 and the variance 1 in every layer, so the maps follow each other."""
    for correlation in (-0.8, 0.1, 0.7):
        covariance = correlation
        for depth in range(1, 5):
            covariance = correlation_map(covariance)
            found = network_kernel(*pair(correlation), depth=depth, kind="nngp")
            assert found == pytest.approx(covariance, abs=EXACT)


def test_equal_rows_have_the_gradient_gain() -> None:
    chi = gradient_gain()
    expected = sum(chi**power for power in range(4))
    assert network_kernel([[3.0, 4.0]], depth=3) == pytest.approx(expected, abs=EXACT)
    assert network_kernel([[3.0, 4.0]], depth=3, kind="nngp") == pytest.approx(1, abs=EXACT)


def test_biases_take_their_share() -> None:
    x, y = pair(0.2)
    first = 0.75 * 0.2 + 0.25
    expected = 0.75 * correlation_map(first) + 0.25
    assert network_kernel(x, y, depth=1, kind="nngp", bias=0.25) == pytest.approx(
        expected, abs=EXACT
    )


def outputs_of(rng: np.random.Generator, x: np.ndarray, depth: int, bias: float) -> np.ndarray:
    """Of one network of SELUs with weights at random."""
    h = x.T / np.sqrt(x.shape[1])
    for _ in range(depth):
        weight = rng.standard_normal((WIDTH, len(h)))
        z = np.sqrt(1 - bias) * weight @ h + np.sqrt(bias) * rng.standard_normal((WIDTH, 1))
        h = shape_of("selu").function(z) / np.sqrt(WIDTH)
    return (
        np.sqrt(1 - bias) * rng.standard_normal(WIDTH) @ h + np.sqrt(bias) * rng.standard_normal()
    )


@pytest.mark.parametrize("bias", [0.0, 0.2])
def test_wide_networks_outputs_have_that_covariance(bias: float) -> None:
    """200 draws: means within 4 standard errors, covariances too, which for Gaussians vary by
    `K_ii K_jj + K_ij^2`."""
    rng, draws, depth = np.random.default_rng(0), 200, 2
    x = rng.standard_normal((4, 6))
    x *= np.sqrt(6) / np.linalg.norm(x, axis=1, keepdims=True)
    found = np.array([outputs_of(rng, x, depth, bias) for _ in range(draws)])
    kernel = network_kernel(x, depth=depth, kind="nngp", bias=bias)
    assert (np.abs(found.mean(0)) < 4 * np.sqrt(np.diag(kernel) / draws)).all()
    error = np.sqrt((np.outer(np.diag(kernel), np.diag(kernel)) + kernel**2) / draws)
    # Finite widths change fourth moments, not these, but for what so many units leave open.
    assert (np.abs(found.T @ found / draws - kernel) < 4 * error + 4 / WIDTH).all()


def tangent_of(rng: np.random.Generator, x: np.ndarray, depth: int) -> np.ndarray:
    """Products of gradients of one network in all weights, by hand."""
    selu = shape_of("selu").function
    h, kept = x.T / np.sqrt(x.shape[1]), []
    for _ in range(depth):
        weight = rng.standard_normal((WIDTH, len(h)))
        z = weight @ h
        kept.append((weight, h, z))
        h = selu(z) / np.sqrt(WIDTH)
    last = rng.standard_normal(WIDTH)
    result, back = h.T @ h, np.repeat(last[:, None], len(x), axis=1)
    for weight, before, z in reversed(kept):
        back = back * (selu(z + 1e-6) - selu(z - 1e-6)) / 2e-6 / np.sqrt(WIDTH)
        result += (back.T @ back) * (before.T @ before)
        back = weight.T @ back
    return result


def test_wide_networks_gradients_have_those_products() -> None:
    """Within 4 standard errors of 30 draws, whose spread is measured, and some thousandths."""
    rng, draws, depth = np.random.default_rng(1), 30, 2
    x = rng.standard_normal((4, 6))
    x *= np.sqrt(6) / np.linalg.norm(x, axis=1, keepdims=True)
    found = np.array([tangent_of(rng, x, depth) for _ in range(draws)])
    kernel = network_kernel(x, depth=depth)
    error = found.std(0, ddof=1) / np.sqrt(draws)
    assert (np.abs(found.mean(0) - kernel) < 4 * error + 8 / WIDTH).all()
    assert error.max() < 0.05


@pytest.mark.parametrize("kind", ["ntk", "nngp"])
@pytest.mark.parametrize("depth", [1, 3, 100])
def test_it_is_symmetric_and_positive(kind: Any, depth: int) -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.standard_normal((150, 5)), 1e-9 + rng.standard_normal((1, 5))])
    x = np.concatenate([x, x[:20], 3 * x[20:30]])  # equal ones, and of equal direction
    kernel = network_kernel(x, depth=depth, kind=kind)
    assert (kernel == kernel.T).all()
    assert np.linalg.eigvalsh(kernel)[0] > -1e-6 * kernel[0, 0]
    # Of equal rows a product knows the angle to 3e-8, and each layer adds its slope to T's.
    again = network_kernel(x, x, depth=depth, kind=kind)
    assert again == pytest.approx(kernel, rel=max(3e-8 * depth, 1e-7), abs=1e-7)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).standard_normal((30, 4))
    before = network_kernel(x, x[:7], depth=2)
    monkeypatch.setattr("selfnorm.theory._network_kernel._BLOCK", 20)
    # Products of other shapes are rounded in other ways.
    assert network_kernel(x, x[:7], depth=2) == pytest.approx(before, abs=1e-9)


def test_lengths_of_any_size() -> None:
    x = np.random.default_rng(0).standard_normal((5, 4))
    scaled = x * np.array([[1e-200], [1.0], [1e200], [1e-8], [1e8]])
    assert network_kernel(scaled, depth=2) == pytest.approx(network_kernel(x, depth=2), abs=1e-9)


def test_scikit_learns_machines_take_it() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((80, 3))
    y = (x[:, 0] * x[:, 1] > 0).astype(int)

    def kernel(a: Any, b: Any) -> np.ndarray:
        return network_kernel(a, b, depth=2)

    assert SVC(kernel=kernel, C=10).fit(x, y).score(x, y) > 0.95
    one: Callable[..., float] = lambda a, b, gamma: float(kernel([a], [b])[0, 0])  # noqa: ARG005, E731
    process = GaussianProcessRegressor(PairwiseKernel(metric=one), alpha=0.1, optimizer=None)
    assert process.fit(x[:20], y[:20]).score(x[:20], y[:20]) > 0.5


def test_constants_and_functions_of_a_users_own() -> None:
    x, y = pair(0.4)
    standard = network_kernel(x, y, depth=2)
    assert network_kernel(x, y, depth=2, activation=selu_constants()) == pytest.approx(standard)
    one = network_kernel(x, y, depth=2, activation=SELUConstants(1.0, 1.0))
    assert one == pytest.approx(network_kernel(x, y, depth=2, activation="elu"))
    assert network_kernel(x, y, depth=1, activation=lambda z: 3 * z) == pytest.approx(
        2 * 0.4, abs=1e-6
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"X": [1.0, 2.0]}, "X must be rows, \\(n, columns\\); got shape \\(2,\\)"),
        ({"X": [[0.0, 0.0], [1.0, 0.0]]}, "row 0 is all zeros. Append a column of ones"),
        ({"X": [[np.nan, 0.0]]}, "X"),
        ({"Y": [[1.0, 2.0, 3.0]]}, "same columns; got 2 and 3"),
        ({"depth": 0}, "depth must be a whole number from 1 to 10,000; got 0"),
        ({"depth": 1.5}, "depth must be a whole number"),
        ({"depth": "2"}, "depth must be a whole number"),
        ({"kind": "rbf"}, "kind must be 'ntk' or 'nngp'; got 'rbf'"),
        ({"bias": 1.0}, "bias must be in \\[0, 1\\)"),
        ({"bias": -0.1}, "bias must be"),
        ({"activation": "selo"}, "Did you mean 'selu'"),
        ({"activation": lambda z: 0 * z}, "must not be 0 everywhere"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(ArgumentError, match=told):
        network_kernel(**{"X": [[1.0, 2.0]], "depth": 1, **arguments})
