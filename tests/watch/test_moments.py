"""Moments that are gathered batch by batch and piece by piece are those of everything at once."""

import numpy as np
import pytest
import torch

from selfnorm.recording._sample import LaterSample, Sample, sample_of
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


def sampled(rows: torch.Tensor, activation: str) -> list[Sample | LaterSample]:
    """The same sample, worked out at once and when it is asked for."""
    doubles = rows.double().numpy()
    return [
        sample_of(doubles, activation, product=_moments._product),
        _moments.sample(rows, -1, activation),
    ]


@pytest.mark.parametrize("activation", ["selu", "relu", "tanh", "sigmoid", ""])
@pytest.mark.parametrize("broken", [False, True])
def test_a_sample_that_waits_has_the_same_figures(activation: str, *, broken: bool) -> None:
    rows = normal(64, 16).float()
    if broken:
        rows[3, 4], rows[5] = torch.inf, torch.nan
    at_once, later = sampled(rows, activation)
    assert isinstance(later, LaterSample)
    for name in ("saturated", "kurtosis", "correlation", "correlation_size"):
        np.testing.assert_equal(getattr(later, name), getattr(at_once, name))
    assert list(later.histogram.counts) == list(at_once.histogram.counts)
    assert later.with_saturated(0.5).saturated == 0.5
    assert later.with_saturated(0.5).kurtosis == at_once.kurtosis


def test_a_sample_that_waits_keeps_what_was_there() -> None:
    rows = normal(64, 16).float()
    later, copy = _moments.sample(rows, -1, "selu"), _moments.sample(rows.clone(), -1, "selu")
    rows.zero_()
    assert later.kurtosis == copy.kurtosis > 1
    assert isinstance(_moments.sample(normal(4096, 64), -1, ""), Sample)  # large ones are not kept


def test_nothing_finite_has_no_figures() -> None:
    later = _moments.sample(torch.full((8, 4), torch.nan), -1, "selu")
    assert np.isnan([later.saturated, later.kurtosis, later.correlation]).all()
    assert not later.histogram.counts.any()
