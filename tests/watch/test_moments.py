"""Moments that are gathered batch by batch and piece by piece are those of everything at once."""

import numpy as np
import pytest
import torch

from selfnorm.watch import _moments
from selfnorm.watch._moments import Accumulator
from support.samples import normal
from support.tolerances import EXACT_MOMENTS


def drifting() -> torch.Tensor:
    """Rows whose mean moves: batches differ, so what is between them counts."""
    return normal(60, 5) + torch.arange(60)[:, None] / 10


@pytest.mark.parametrize("sizes", [[60], [20, 20, 20], [1, 58, 1], [7, 53]])
def test_batches_of_any_size_give_the_moments_of_all_rows(sizes: list[int]) -> None:
    values, found = drifting(), Accumulator()
    for batch in values.split(sizes):
        found.update(batch, -1)
    means, variances = found.units()
    wide = values.double().numpy()
    np.testing.assert_allclose(means, wide.mean(0), rtol=EXACT_MOMENTS)
    np.testing.assert_allclose(variances, wide.var(0), rtol=EXACT_MOMENTS)
    assert found.rows == 60
    mean, variance = found.overall()
    assert mean == pytest.approx(wide.mean(), rel=EXACT_MOMENTS)
    assert variance == pytest.approx(wide.var(), rel=EXACT_MOMENTS)


def test_pieces_that_a_cache_holds_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_moments, "_PART", 35)
    values, found = drifting(), Accumulator()
    found.update(values, -1)
    np.testing.assert_allclose(found.units()[1], values.double().numpy().var(0), rtol=EXACT_MOMENTS)


@pytest.mark.parametrize("dim", [1, -1, 2])
def test_the_units_may_lie_in_any_dimension(dim: int) -> None:
    values, found = normal(6, 4, 5), Accumulator()
    found.update(values, dim)
    moved = values.movedim(dim, -1).flatten(0, -2).double().numpy()
    np.testing.assert_allclose(found.units()[1], moved.var(0), rtol=EXACT_MOMENTS)


def test_gradients_by_batch() -> None:
    found = Accumulator()
    for value in (1.0, 3.0):
        found.add_gradient(torch.full((4, 2), value))
    assert found.gradient() == pytest.approx((5**0.5, 10**0.5))


@pytest.mark.parametrize("size", [1e-28, 1e-19, 1e25])
def test_gradients_whose_squares_are_no_numbers_of_float32(size: float) -> None:
    found = Accumulator()
    found.add_gradient(torch.full((8, 4), size))
    assert found.gradient() == pytest.approx((size, 2 * size), rel=EXACT_MOMENTS)
