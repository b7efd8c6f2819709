"""Weights of ones, eyes and zeros, for which every moment is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import selfnorm
from selfnorm.auditing._rules._drift import _off
from selfnorm.recording import Layer
from support.tolerances import EXACT_MOMENTS, MOMENTS_RELATIVE, SAME_UP_TO_ROUNDING

LAMBDA, ALPHA = 1.0507009873554805, 1.6732632423543772


def columns(rows: int = 64, width: int = 4) -> torch.Tensor:
    """Every column is +1 and -1 in turn, each at its own pace: mean 0, variance 1, independent."""
    steps = torch.arange(rows)
    return torch.stack([1.0 - 2.0 * ((steps >> k) & 1) for k in range(width)], 1)


def linear(weight: torch.Tensor, bias: float | None = None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    with torch.no_grad():
        layer.weight.copy_(weight)
        if bias is not None:
            layer.bias.fill_(bias)
    return layer


def recorded(model: nn.Module, inputs: object) -> tuple[Layer, ...]:
    return selfnorm.audit(model, inputs, rules=[]).layers


def test_an_eye_keeps_what_it_gets() -> None:
    (layer,) = recorded(linear(torch.eye(4)), columns())
    assert layer.mean == pytest.approx(0, abs=EXACT_MOMENTS)
    assert layer.unit_variances == pytest.approx(np.ones(4), rel=EXACT_MOMENTS)
    assert layer.variance == pytest.approx(1, rel=EXACT_MOMENTS)
    assert (layer.weights[0].omega == 1).all()
    assert (layer.weights[0].tau == 1).all()
    assert layer.weights[0].fan_in == 4
    assert layer.dead == 0


def test_ones_add_up_variances() -> None:
    """A sum of four independent columns has variance 4; its units are copies of each other."""
    (layer,) = recorded(linear(torch.ones(3, 4), bias=0.5), columns())
    assert layer.mean == 0.5
    assert layer.variance == 4.0
    assert layer.correlation == pytest.approx(1, rel=MOMENTS_RELATIVE)
    assert layer.weights[0].omega.tolist() == [4.0] * 3
    assert layer.weights[0].tau.tolist() == pytest.approx([4.0] * 3)
    assert layer.bias.tolist() == [0.5] * 3
    assert layer.predicted is not None
    assert float(layer.predicted.variance) == pytest.approx(4.0, rel=MOMENTS_RELATIVE)
    assert float(layer.predicted.mean) == pytest.approx(0.5, rel=MOMENTS_RELATIVE)


def test_zeros_die() -> None:
    first, act, _ = recorded(
        nn.Sequential(linear(torch.zeros(4, 4)), nn.SELU(), linear(torch.eye(4))), columns()
    )
    assert (first.variance, first.dead, act.dead) == (0.0, 1.0, 1.0)
    assert first.gradient_in == 0.0


def test_selu_of_plus_and_minus_one() -> None:
    _, act = recorded(nn.Sequential(linear(torch.eye(4)), nn.SELU()), columns())
    low = LAMBDA * ALPHA * np.expm1(-1)
    assert act.mean == pytest.approx((LAMBDA + low) / 2, rel=EXACT_MOMENTS)
    assert act.variance == pytest.approx(((LAMBDA - low) / 2) ** 2, rel=EXACT_MOMENTS)
    assert act.kurtosis == pytest.approx(1, rel=EXACT_MOMENTS)
    assert act.saturated == 0


def test_a_variance_over_units_counts_the_spread_of_their_means() -> None:
    shifted = columns() + torch.tensor([3.0, -3.0, 3.0, -3.0])
    (layer,) = recorded(linear(torch.eye(4)), shifted)
    assert layer.mean == 0
    assert layer.variance == 10.0  # 1 within each, 9 among their means
    assert layer.unit_means.tolist() == [3.0, -3.0, 3.0, -3.0]


def test_gradients_in_and_out() -> None:
    """With the sum as loss the gradient by the last output is 1, through 2 * eye it is 2."""
    layers = selfnorm.audit(
        nn.Sequential(linear(2 * torch.eye(4)), linear(2 * torch.eye(4))),
        columns(),
        loss=lambda output: output.sum(),
        rules=[],
    ).layers
    assert [layer.gradient for layer in layers] == [2.0, 1.0]
    assert [layer.gradient_in for layer in layers] == [4.0, 2.0]
    assert layers[1].gradient_norm == 2.0  # four ones


def test_units_of_images_are_channels() -> None:
    conv = nn.Conv2d(4, 2, 1, bias=False)
    with torch.no_grad():
        conv.weight.fill_(1.0)
    images = columns()[:, :, None, None].expand(-1, -1, 3, 5).contiguous()
    (layer,) = recorded(conv, images)
    assert layer.unit_variances.tolist() == [4.0, 4.0]
    assert layer.shape == (64, 2, 3, 5)
    assert layer.weights[0].fan_in == 4


def test_padding_is_counted() -> None:
    """3 x 3 on 2 x 2 with padding 1: each position sums 4 of 9 terms."""
    conv = nn.Conv2d(1, 8, 3, padding=1)
    (layer,) = recorded(conv, torch.randn(8, 1, 2, 2))
    assert layer.settings["padding"] == pytest.approx(5 / 9)
    (layer,) = recorded(
        nn.Conv2d(1, 8, 3, padding=1, padding_mode="circular"), torch.randn(8, 1, 2, 2)
    )
    assert layer.settings["padding"] == 0


def test_the_edge_of_a_transposed_convolution_is_counted() -> None:
    """4 taps, stride 2, padding 1: two taps an output, of which the outermost have one."""
    (layer,) = recorded(nn.ConvTranspose1d(1, 8, 4, 2, 1), torch.randn(8, 1, 3))
    assert layer.shape[-1] == 6
    assert layer.settings["padding"] == pytest.approx(1 - (0.5 + 4 + 0.5) / 6)
    ones = nn.ConvTranspose2d(1, 1, 4, bias=False)
    with torch.no_grad():
        ones.weight.fill_(0.25)  # tau = 1, and each output has one term of 16
    (layer,) = recorded(ones, torch.ones(8, 1, 1, 1))
    assert layer.settings["padding"] == pytest.approx(15 / 16)
    assert layer.mean == 0.25


def test_batches_are_merged() -> None:
    """Four batches of a loader, of different means, give the moments of all rows together."""
    rows = torch.cat([columns(16) + k for k in range(4)])
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(rows), batch_size=16)
    (layer,) = recorded(linear(torch.eye(4)), loader)
    assert layer.mean == pytest.approx(1.5)
    assert layer.variance == pytest.approx(1 + 1.25, rel=EXACT_MOMENTS)


@pytest.mark.parametrize("shape", [(9001, 64), (7, 64, 40, 40), (1, 64, 200, 200)])
def test_batches_that_are_taken_in_pieces(shape: tuple[int, ...]) -> None:
    """More values than are taken at a time, rows that drift: the moments are those of all."""
    torch.manual_seed(0)
    x = torch.randn(shape) + torch.linspace(0, 3, shape[0]).view(-1, *[1] * (len(shape) - 1))
    layer = recorded(nn.SELU(), x)[0]
    values = nn.functional.selu(x.double()).movedim(1, 0).flatten(1)
    assert layer.unit_means == pytest.approx(values.mean(1).numpy(), abs=EXACT_MOMENTS)
    expected = values.var(1, correction=0).numpy()
    assert layer.unit_variances == pytest.approx(expected, rel=EXACT_MOMENTS)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_precisions(dtype: torch.dtype) -> None:
    (layer,) = recorded(linear(torch.ones(3, 4)).to(dtype), columns().to(dtype))
    assert layer.variance == pytest.approx(4, rel=EXACT_MOMENTS)
    assert layer.dtype == str(dtype).removeprefix("torch.")


def test_half_precision_is_summed_in_float32() -> None:
    """20,000 ones: float16 counts no further than 2,048."""
    (layer,) = recorded(linear(torch.eye(2)).half(), torch.ones(10_000, 2).half())
    assert (layer.mean, layer.variance) == (1.0, 0.0)


def test_a_scaled_sum_is_followed() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = linear(torch.eye(4)), linear(torch.eye(4).roll(1, 0))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 0.5**0.5 * (self.one(x) + self.two(x))

    _, _, total, scaled = recorded(Block(), columns())
    assert (total.role, scaled.role) == ("addition", "scale")
    assert total.inputs == (0, 1)
    assert scaled.variance == pytest.approx(1, rel=SAME_UP_TO_ROUNDING[torch.float32])
    assert scaled.predicted is not None
    assert float(scaled.predicted.variance) == pytest.approx(1, rel=MOMENTS_RELATIVE)


def test_prediction_meets_measurement_in_a_wide_network() -> None:
    torch.manual_seed(0)
    model = selfnorm.nn.MLP(512, 10, width=512, depth=4, dropout=0.1)
    for layer in recorded(model, torch.randn(1024, 512)):
        assert layer.predicted is not None
        assert layer.local is not None
        if layer.name != "output":
            assert float(layer.predicted.variance) == pytest.approx(layer.variance, rel=0.05)
            assert float(layer.local.variance) == pytest.approx(layer.variance, rel=0.05)


def test_plain_dropout_is_predicted() -> None:
    class Dropped(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return functional.dropout(x, 0.5)

    model = nn.Sequential(linear(torch.eye(4)), Dropped())
    _, layer = recorded(model, columns(4096))
    assert layer.predicted is not None
    assert float(layer.predicted.variance) == 2.0


def test_plain_dropout_spreads_the_mean_too() -> None:
    """Kept or dropped is a coin of its own: a mean of 1 adds `p / (1 - p)` to the variance."""
    model = nn.Sequential(linear(torch.eye(4), bias=1.0), nn.Dropout(0.5))
    _, layer = recorded(model, columns(4096))
    assert layer.predicted is not None
    assert float(layer.predicted.mean) == 1.0
    assert float(layer.predicted.variance) == 3.0


@pytest.mark.parametrize(
    ("mean", "variance", "off"),
    [
        (0.3, 1.0, False),
        (0.4, 1.0, True),
        (-0.4, 1.0, True),
        (0.4, 1.9, False),  # in deviations it is less
        (0.0, 1.9, False),
        (0.0, 2.3, True),
        (0.0, 0.53, False),
        (0.0, 0.43, True),
        (0.0, 0.0, True),
    ],
)
def test_how_far_a_wide_layer_of_many_rows_may_drift(
    mean: float, variance: float, off: bool
) -> None:
    (layer,) = recorded(nn.SELU(), torch.randn(4, 10_000))
    assert _off(replace(layer, mean=mean, variance=variance), 10_000) == off
