"""Inputs of mean 0 and variance 1: standardized by data, or as waves."""

import io
import math

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from selfnorm import nn
from selfnorm.errors import ArgumentError, UnsupportedError
from support.compare import assert_close, assert_same
from support.samples import normal
from support.statistics import assert_moments
from support.tolerances import EXACT_MOMENTS, MATRIX_MOMENTS, SAME_UP_TO_ROUNDING

ROUNDING = SAME_UP_TO_ROUNDING[torch.float32]
SCALES = torch.tensor([1e-6, 1.0, 1e4])


def columns(rows: int = 500, seed: int = 0) -> torch.Tensor:
    """Columns in units of their own."""
    return (normal(rows, 3, seed=seed) + torch.tensor([0.0, 5.0, -3.0])) * SCALES


# --- standardizing ---------------------------------------------------------------------------


def test_every_feature_has_mean_0_and_variance_1() -> None:
    out = nn.Standardize(3).fit(columns())(columns()).double()
    assert_close(out.mean(0), torch.zeros(3), EXACT_MOMENTS)
    assert_close(out.var(0, correction=0), torch.ones(3), EXACT_MOMENTS)


@pytest.mark.parametrize("sizes", [[500], [1, 499], [250, 250], [0, 500], [100] * 5, [1] * 500])
def test_batches_give_what_all_rows_give(sizes: list[int]) -> None:
    whole = nn.Standardize(3).fit(columns())
    parts = nn.Standardize(3).fit(list(columns().split(sizes)))
    assert int(parts.rows) == int(whole.rows) == 500
    assert_close(parts.mean / SCALES, whole.mean / SCALES, ROUNDING)
    assert_close(parts.variance / SCALES**2, whole.variance / SCALES**2, ROUNDING)


def test_a_loader_gives_inputs_and_targets() -> None:
    data = TensorDataset(columns(), torch.arange(500))
    layer = nn.Standardize(3).fit(DataLoader(data, batch_size=64))
    assert_close(layer(columns()), nn.Standardize(3).fit(columns())(columns()), ROUNDING)


def test_channels_of_images() -> None:
    images = normal(20, 3, 8, 8) * torch.tensor([1.0, 10, 100]).view(3, 1, 1) + 7
    out = nn.Standardize(3, dim=1).fit(images)(images).double()
    assert_close(out.mean((0, 2, 3)), torch.zeros(3), EXACT_MOMENTS)
    assert_close(out.var((0, 2, 3), correction=0), torch.ones(3), EXACT_MOMENTS)


def test_sequences_and_single_rows_have_features_last() -> None:
    layer = nn.Standardize(3).fit(columns())
    whole = layer(columns())
    assert_same(layer(columns().view(50, 10, 3)), whole.view(50, 10, 3))
    assert_same(layer(columns()[7]), whole[7])


@pytest.mark.parametrize("value", [0.0, 0.1, -1e30, 1.7e9])
def test_a_constant_becomes_0(value: float) -> None:
    x = torch.stack([torch.full((90,), value), normal(90)], 1)
    out = nn.Standardize(2).fit(x.split(7))(x)
    assert not out[:, 0].any()
    assert out[:, 1].any()


def test_what_is_nearly_constant_is_not_lost_in_float64() -> None:
    x = (1.7e9 + normal(500, 1, dtype=torch.float64)).double()  # seconds since 1970
    out = nn.Standardize(1, dtype=torch.float64).fit(x)(x)
    assert_close(out.var(correction=0), torch.tensor(1.0), MATRIX_MOMENTS)


def test_whole_numbers() -> None:
    x = torch.tensor([[0, 7], [255, 7]], dtype=torch.uint8)
    assert_same(nn.Standardize(2).fit(x)(x), torch.tensor([[-1.0, 0.0], [1.0, 0.0]]))


def test_before_it_has_seen_data_it_changes_nothing() -> None:
    assert_same(nn.Standardize(3)(columns()), columns())


def test_running_statistics_are_those_of_all_that_came_by_in_training() -> None:
    layer = nn.Standardize(3, running=True)
    for batch in columns().split(60):
        last = layer(batch)
    assert int(layer.rows) == 500
    expected = nn.Standardize(3).fit(columns())
    assert_close(layer.variance / SCALES**2, expected.variance / SCALES**2, 10 * ROUNDING)
    assert_close(last, expected(columns().split(60)[-1]), 10 * ROUNDING)
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    layer.eval()(100 * columns())
    for name, value in layer.state_dict().items():
        assert_same(value, before[name])


def test_fitting_forgets_and_a_failure_loses_nothing() -> None:
    layer = nn.Standardize(3).fit(10 * columns(seed=1)).fit(columns())
    assert_same(layer.mean, nn.Standardize(3).fit(columns()).mean)
    before = layer.mean.clone()
    with pytest.raises(ArgumentError, match="finite values; nan or infinity came"):
        layer.fit([columns(), columns() * torch.nan])
    with pytest.raises(ArgumentError, match="at least one row; none came"):
        layer.fit([])
    assert_same(layer.mean, before)


def test_gradients_pass_scaled() -> None:
    x = columns().requires_grad_()
    layer = nn.Standardize(3, running=True)
    layer(x).sum().backward()
    assert x.grad is not None
    assert_close(x.grad * SCALES, torch.ones(500, 3) * (SCALES / layer.variance.sqrt()), ROUNDING)


def test_the_statistics_are_saved_and_move() -> None:
    layer = nn.Standardize(3).fit(columns())
    other = nn.Standardize(3)
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert_same(other(columns()), layer(columns()))
    assert other.double()(columns().double()).dtype == torch.float64
    assert int(other.half().rows) == 500


@pytest.mark.parametrize("shape", [(), (2,), (500, 2), (3, 500)])
def test_another_number_of_features_is_refused(shape: tuple[int, ...]) -> None:
    for call in (nn.Standardize(3), nn.Standardize(3).fit):
        with pytest.raises(ArgumentError, match=r"3 features along dimension -1; got shape"):
            call(torch.zeros(shape))


@pytest.mark.parametrize("wrong", [3.0, "rows", [[1.0, 2.0]], [{"x": 1}]])
def test_what_is_no_tensor_is_refused(wrong: object) -> None:
    with pytest.raises(UnsupportedError, match="fitted to a tensor, or to batches"):
        nn.Standardize(3).fit(wrong)


# --- waves -----------------------------------------------------------------------------------


@pytest.mark.parametrize("period", [1.0, 24.0])
def test_waves_over_a_period_are_orthonormal(period: float) -> None:
    layer = nn.PeriodicFeatures(1, 8, period=period)
    x = torch.arange(100, dtype=torch.float64).unsqueeze(1) / 100 * period
    out = layer(x)
    assert out.shape == (100, layer.out_features)
    tolerance = 100 * SAME_UP_TO_ROUNDING[torch.float64]
    assert_close(out.mean(0), torch.zeros(16, dtype=torch.float64), tolerance)
    assert_close(out.T @ out / 100, torch.eye(16, dtype=torch.float64), tolerance)
    assert_close(out[:, 8], math.sqrt(2) * torch.cos(2 * math.pi * x[:, 0] / period), tolerance)


def test_each_input_has_waves_of_its_own() -> None:
    layer = nn.PeriodicFeatures(2, 4)
    x = normal(7, 5, 2)
    assert layer(x).shape == (7, 5, 16)
    assert_same(layer(x)[..., 8:], nn.PeriodicFeatures(1, 4)(x[..., 1:]))


def test_random_features_have_mean_0_and_variance_1() -> None:
    """Over frequencies each is sqrt(2) cos(u), u nearly uniform: of E z^4 = 4 * 3 / 8."""
    generator = torch.Generator().manual_seed(0)
    layer = nn.FourierFeatures(3, 20_000, deviation=2.0, generator=generator)
    out = layer(normal(1, 3))[0]
    for part in out.split(10_000):
        assert_moments(part.numpy(), kurtosis=1.5)
    one = nn.FourierFeatures(1, 200_000, generator=generator)
    cosines = one(normal(1, 1, seed=4))[0, 100_000:]
    expected = math.sqrt(2) * math.exp(-2 * (math.pi * float(normal(1, 1, seed=4))) ** 2)
    assert_moments(cosines.numpy(), expected, 1 - expected**2, kurtosis=1.5)
    assert_close(out.square().mean(), torch.tensor(1.0), MATRIX_MOMENTS)
    assert_moments(layer.frequencies.numpy(), variance=4.0)


def test_frequencies_are_saved_and_not_trained() -> None:
    layer, other = nn.FourierFeatures(3, 8), nn.FourierFeatures(3, 8)
    assert not list(layer.parameters())
    other.load_state_dict(layer.state_dict())
    assert_same(other(normal(4, 3)), layer(normal(4, 3)))
    assert nn.FourierFeatures(3, 8, device="meta").frequencies.is_meta


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.FourierFeatures(3, 7), "out_features must be even.*got 7. 8 is"),
        (lambda: nn.FourierFeatures(3, 8, deviation=0), "deviation must be above 0"),
        (lambda: nn.PeriodicFeatures(1, 8, period=math.inf), "period must be above 0 and finite"),
        (lambda: nn.PeriodicFeatures(1, 0), "waves must be"),
        (lambda: nn.PeriodicFeatures(1, 8)(torch.zeros(5)), r"1 features in its last dim.*\(5,\)"),
        (lambda: nn.FourierFeatures(3, 8)(torch.zeros(3, 2)), r"3 features in its last dim"),
        (lambda: nn.Standardize(0), "features must be"),
    ],
)
def test_wrong_settings_are_refused(make, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        make()


# --- ways out --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "layer",
    [nn.Standardize(3).fit(columns()), nn.PeriodicFeatures(3, 4), nn.FourierFeatures(3, 8)],
    ids=lambda layer: type(layer).__name__,
)
def test_export_trace_and_script(layer: torch.nn.Module) -> None:
    x = columns()
    expected = layer.eval()(x)
    assert_close(torch.export.export(layer, (x,)).module()(x), expected, ROUNDING)
    assert_close(torch.jit.trace(layer, (x,))(x), expected, ROUNDING)
    assert_close(torch.jit.script(layer)(x), expected, ROUNDING)
