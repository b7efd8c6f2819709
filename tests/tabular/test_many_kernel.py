"""Infinitely wide networks asked about many rows: float32 where it is as good as float64."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from torch import Tensor
from torch.nn import functional

from selfnorm.tabular import _many_kernel
from selfnorm.tabular._forward import Wide, regressed
from selfnorm.tabular._kernel import LAYERS, Kernel, Waves
from selfnorm.tabular._many_kernel import of_many, parts
from support.tolerances import IN_FLOAT32, KERNEL_PARTS

ROWS, COLUMNS = 300, 6


def product(weight: Tensor, _: int) -> Callable[[Tensor], Tensor]:
    return partial(functional.linear, weight=weight)


def wide(columns: int, of: Kernel = LAYERS) -> Wide:
    """Kernel regression of a function of the first column, which reads all but the last."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(ROWS, columns)).astype(np.float32)
    penalty = 1e-2 if of is LAYERS else 1.0  # of what is smooth coefficients grow more
    ridge = of.of(of.prepared(rows)) + penalty * np.eye(ROWS)
    wanted = np.stack([np.sin(2 * rows[:, 0]), rng.normal(size=ROWS)], 1)
    reads = np.arange(columns + 1) < columns
    return Wide.of(reads, rows, np.linalg.solve(ridge, wanted), np.array([0.5, -1.0]), of)


def given(network: Wide, rows: int) -> np.ndarray:
    """Rows from afar, rows that it has learned from, and rows next to these."""
    rng = np.random.default_rng(1)
    far = rng.normal(size=(rows, len(network.reads)))
    learned = learned_by(network)[:rows]
    near = learned + 1e-3 * rng.normal(size=learned.shape)
    far[rows // 3 : 2 * rows // 3, :-1] = learned[rows // 3 : 2 * rows // 3]
    far[2 * rows // 3 :, :-1] = near[2 * rows // 3 :]
    return far.astype(np.float32)


def learned_by(network: Wide) -> np.ndarray:
    """The encoded rows that it has learned from."""
    if isinstance(network.kernel, Waves):
        return network.learned / network.kernel.unit(network.learned.shape[1])
    return network.learned[:, :-1] / network.learned[:, -1:]


def test_the_kernel_is_its_parts() -> None:
    constant, slope, rest = parts()
    angles = np.linspace(np.arccos(0.98), np.pi, 1001)
    rows = np.stack([np.cos(angles), np.sin(angles)], 1)
    r = rows[:, 0]
    u = np.sqrt((1 - r) / 2)
    found = constant + slope * r + r**2 * np.polynomial.polynomial.polyval(u, rest)
    expected = LAYERS.of(rows, np.array([[1.0, 0.0]]))[:, 0]
    assert np.abs(found - expected).max() < KERNEL_PARTS


@pytest.mark.parametrize("columns", [30, COLUMNS, 1])  # few pairs are nearly equal; some; most
@pytest.mark.parametrize("elements", [1 << 17, 1000])
@pytest.mark.parametrize("of", [LAYERS, Waves(0.5), Waves(1.5)], ids=["layers", "long", "short"])
def test_float32_is_as_good_as_float64(
    columns: int, elements: int, of: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_many_kernel, "_ELEMENTS", elements)
    monkeypatch.setattr(_many_kernel, "regressed", None)  # not asked
    network = wide(columns, of)
    rows = given(network, 100)
    expected = regressed(network, rows)
    found = of_many(network, product)(rows)
    assert not np.array_equal(found, expected)
    assert np.abs(found - expected).max() < IN_FLOAT32 * np.abs(expected).max()


@pytest.mark.parametrize("of", [LAYERS, Waves(1.5)], ids=["layers", "waves"])
def test_where_float32_is_not_right_float64_serves(
    of: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = wide(COLUMNS, of)
    rows = given(network, 100)
    monkeypatch.setattr(_many_kernel, "_BOUND", 1e-12)
    assert np.array_equal(of_many(network, product)(rows), regressed(network, rows))


@pytest.mark.parametrize("times", [30, 3000])
def test_one_row_far_away_costs_no_digits(times: float) -> None:
    """A row that is not among those that are tried, but for its length; and rows near it."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(301, 20))
    rows[7] *= times
    of = Waves(1.5)
    ridge = of.of(of.prepared(rows)) + np.eye(301)
    coefficients = np.linalg.solve(ridge, rng.normal(size=(301, 1)))
    network = Wide.of(np.ones(20, bool), rows, coefficients, np.zeros(1), of)
    near = (rows[7] + 0.3 * rng.normal(size=(50, 20))).astype(np.float32)
    expected = regressed(network, near)
    found = of_many(network, product)(near)
    assert np.abs(found - expected).max() < IN_FLOAT32 * np.abs(coefficients).max()


@pytest.mark.parametrize("of", [LAYERS, Waves(1.5)], ids=["layers", "waves"])
def test_no_rows_have_no_outputs(of: Kernel) -> None:
    network = wide(COLUMNS, of)
    assert of_many(network, product)(np.zeros((0, COLUMNS + 1), np.float32)).shape == (0, 2)
