"""Orthogonal weights: every singular value what it should be, no direction more likely."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from selfnorm.errors import ArgumentError, UnsupportedError
from selfnorm.init import initialize_, lecun_orthogonal_
from selfnorm.init._distributions import Draw
from selfnorm.init._layers import Weight, entries
from support.rounding import singular_bound
from support.statistics import NORMAL_KURTOSIS, assert_moments, mean_bound

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
SHAPES = [(8, 30), (30, 8), (16, 16), (1, 9), (9, 1), (1, 1), (6, 2, 5), (40, 2, 3, 3)]
LAYERS = [
    lambda: nn.Linear(7, 5),
    lambda: nn.Linear(5, 7),
    lambda: nn.Bilinear(3, 4, 5),
    lambda: nn.Conv1d(4, 8, 5),
    lambda: nn.Conv2d(4, 8, 3, groups=2, dilation=2),
    lambda: nn.Conv3d(4, 80, 2, groups=4),
    lambda: nn.ConvTranspose1d(4, 6, 3, stride=2),
    lambda: nn.ConvTranspose2d(4, 6, (3, 5), stride=(2, 1), groups=2),
    lambda: nn.RNN(5, 7),
    lambda: nn.GRU(9, 4, num_layers=2, bidirectional=True),
    lambda: nn.LSTM(5, 7, proj_size=3),
    lambda: nn.LSTMCell(5, 7),
    lambda: nn.MultiheadAttention(12, 4),
    lambda: nn.MultiheadAttention(12, 4, kdim=5, vdim=15),
]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def assert_singular_values(matrices: Tensor, scale: float) -> None:
    """Raise unless all singular values of `(..., m, n)` are `scale`, up to the dtype's rounding."""
    bound = singular_bound(*matrices.shape[-2:], matrices.dtype, scale)
    found = torch.linalg.svdvals(matrices.double())
    off = (found - scale).abs().max().item()
    assert off <= bound, f"{found} are to be {scale} +- {bound:.2g}; off by {off:.2g}"


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_all_singular_values_are_one_and_the_mean_square_is_1_over_fan_in(shape, dtype) -> None:
    weight = torch.empty(shape, dtype=dtype)
    units, terms = shape[0], math.prod(shape[1:])
    for fan_in in (None, 7.5):
        assert lecun_orthogonal_(weight, fan_in=fan_in, generator=seeded()) is weight
        scale = math.sqrt(max(units, terms) / (terms if fan_in is None else fan_in))
        assert_singular_values(weight.flatten(1), scale)


@pytest.mark.parametrize("make", LAYERS)
def test_every_matrix_of_every_layer_is_orthogonal(make) -> None:
    model = nn.ModuleList([make()]).double()
    initialize_(model, distribution="orthogonal", generator=seeded())
    count = 0
    for module in model.modules():
        for entry in entries(module):
            tensor = getattr(module, entry.name, None)
            if isinstance(entry, Weight) and tensor is not None:
                for matrices in entry.matrices(tensor.detach()):
                    assert_singular_values(matrices.read(), matrices.scale)
                    count += 1
    assert count


def test_a_narrow_layer_has_tau_1_for_each_unit_a_wide_one_keeps_every_inputs_mean_square() -> None:
    inputs = torch.randn(20, 12, generator=seeded(1)).double()
    inputs[:10] = inputs[:10].cumsum(1) + 3  # however they are correlated, whatever their mean
    for units in (5, 12, 31):
        layer = nn.Linear(12, units).double()
        initialize_(layer, distribution="orthogonal", generator=seeded())
        if units <= 12:
            tau = layer.weight.detach().square().sum(1)
            assert_singular_values(tau.sqrt().diag(), 1.0)
        if units >= 12:
            ratio = layer(inputs).detach().norm(dim=1) / inputs.norm(dim=1)
            assert_singular_values(ratio.diag(), math.sqrt(units / 12))


def test_input_and_state_together_have_orthonormal_rows() -> None:
    cell = initialize_(nn.LSTMCell(9, 6).double(), distribution="orthogonal", generator=seeded())
    joint = torch.cat([cell.weight_ih, cell.weight_hh], 1).detach()
    assert_singular_values(joint.unflatten(0, (4, 6)), 1.0)


def test_each_phase_of_a_transposed_convolution_keeps_its_windows_mean_square() -> None:
    layer = nn.ConvTranspose1d(3, 60, 3, stride=2, bias=False).double()
    initialize_(layer, distribution="orthogonal", generator=seeded())
    inputs = torch.randn(1, 3, 6, generator=seeded(1)).double()
    output = layer(inputs).detach()[0]
    # Position 4 reads inputs 2 and 1, position 5 input 2.
    for position, read in [(4, inputs[0, :, [1, 2]]), (5, inputs[0, :, [2]])]:
        ratio = (output[:, position].square().mean() / read.square().mean()).sqrt()
        assert_singular_values(ratio.reshape(1, 1), 1.0)


def test_rows_that_are_looked_up_are_independent() -> None:
    for layer in (nn.Embedding(900, 20, padding_idx=3), nn.EmbeddingBag(900, 20)):
        initialize_(layer, distribution="orthogonal", generator=seeded())
        orthogonal = layer.weight.detach().clone()
        initialize_(layer, generator=seeded())
        assert torch.equal(layer.weight, orthogonal)
    for entry in entries(nn.MultiheadAttention(4, 1, add_bias_kv=True)):
        if entry.name in ("bias_k", "bias_v"):  # a row whose norm is no constant
            token, normal = torch.empty(2, 1, 1, 2000)
            entry.write_(token, Draw("orthogonal", generator=seeded()))
            entry.write_(normal, Draw("normal", generator=seeded()))
            assert torch.equal(token, normal)


def test_an_embedding_tied_to_its_decoder_is_orthogonal_as_the_decoder() -> None:
    model = nn.ModuleDict({"tokens": nn.Embedding(9, 4), "decoder": nn.Linear(4, 9)}).double()
    model["decoder"].weight = model["tokens"].weight
    with pytest.warns(UserWarning, match=r"tokens\.weight"):
        initialize_(model, distribution="orthogonal", generator=seeded())
    assert_singular_values(model["tokens"].weight.detach(), 1.5)


@pytest.mark.parametrize("shape", [(9, 9), (4, 9), (9, 4)], ids=str)
def test_draws_are_haar_distributed(shape) -> None:
    """Moments of the uniform distribution on the sphere: 1/n, 3/(n(n+2)); and no sign preferred."""
    count, n = 20_000, max(shape)
    weight = torch.empty(count, *shape, dtype=torch.float64)
    lecun_orthogonal_(weight, fan_in=n, batch_dims=1, generator=seeded())
    square, fourth = 1 / n, 3 / (n * (n + 2))
    eighth = 105 / (n * (n + 2) * (n + 4) * (n + 6))
    for row in range(shape[0]):
        for column in range(shape[1]):
            entries_ = weight[:, row, column]  # one of each matrix: independent
            assert_moments(entries_, variance=square, kurtosis=fourth / square**2)
            # An entry to the fourth has no normal tails: its mean by its own variance.
            bound = mean_bound(count, eighth - fourth**2)
            assert abs(entries_.pow(4).mean().item() - fourth) <= bound
    # Two entries of a row, and of the diagonal, are uncorrelated; E (v w)^2 <= E w^4.
    for pair in (weight[:, 0, 0] * weight[:, 0, 1], weight[:, 0, 0] * weight[:, 1, 1]):
        assert abs(pair.mean().item()) <= mean_bound(count, fourth)
    if shape[0] == shape[1]:
        signs = torch.linalg.det(weight).sign()
        assert_moments(signs, kurtosis=1.0)


def test_turned_draws_have_the_same_distribution() -> None:
    """The trace of a turned matrix is distributed as the matrix's own: variance 1, mean 0."""
    weight = torch.empty(20_000, 6, 6, dtype=torch.float64)
    lecun_orthogonal_(weight, batch_dims=1, generator=seeded())
    turn = torch.linalg.qr(torch.randn(6, 6, generator=seeded(1)).double()).Q
    for matrix in (torch.eye(6).double(), turn):
        # Diaconis and Shahshahani 1994: the first moments of a trace are a normal number's.
        assert_moments((weight * matrix).sum((1, 2)), kurtosis=NORMAL_KURTOSIS)


def test_matrices_of_a_batch_are_drawn_one_by_one() -> None:
    weight = torch.empty(2, 3, 6, 4)
    lecun_orthogonal_(weight, batch_dims=np.int64(2), generator=seeded())
    assert_singular_values(weight, math.sqrt(6 / 4))
    assert len({float(w[0, 0]) for w in weight.flatten(0, 1)}) == 6
    as_kernel = lecun_orthogonal_(torch.empty(2, 3, 6, 4), generator=seeded())
    assert_singular_values(as_kernel.flatten(1), 1.0)


def test_same_seed_same_weights_in_every_dtype_and_memory_format() -> None:
    def draw(weight: Tensor, **named) -> Tensor:
        return lecun_orthogonal_(weight, generator=seeded(3), **named)

    double = draw(torch.empty(8, 4, 3, 3).double())
    assert torch.equal(draw(torch.empty(8, 4, 3, 3).double()), double)
    for dtype in DTYPES:
        assert torch.equal(draw(torch.empty(8, 4, 3, 3, dtype=dtype)), double.to(dtype))
    last = torch.empty(8, 4, 3, 3).to(memory_format=torch.channels_last)
    assert torch.equal(draw(last), double.float())
    assert torch.equal(draw(torch.empty(36, 8).t()), double.float().flatten(1))
    one = draw(torch.empty(1, 8, 36), batch_dims=1)
    assert torch.equal(one[0], double.float().flatten(1))
    state = torch.get_rng_state()
    draw(torch.empty(4, 4))
    assert torch.equal(state, torch.get_rng_state())


def test_a_layers_seed_gives_the_weights_of_the_function() -> None:
    layer = initialize_(nn.Linear(6, 4), distribution="orthogonal", generator=seeded())
    assert torch.equal(layer.weight, lecun_orthogonal_(torch.empty(4, 6), generator=seeded()))
    gates = initialize_(nn.GRUCell(6, 4), distribution="orthogonal", generator=seeded())
    expected = torch.empty(3, 4, 6)
    lecun_orthogonal_(expected, fan_in=10, batch_dims=1, generator=seeded())
    assert torch.equal(gates.weight_ih, expected.flatten(0, 1))


@pytest.mark.parametrize("units", [6, 4])
def test_a_parametrization_that_keeps_orthogonal_matrices_holds_them(units: int) -> None:
    layer = parametrizations.orthogonal(nn.Linear(6, units).double())
    initialize_(layer, distribution="orthogonal", generator=seeded())
    expected = lecun_orthogonal_(torch.empty(units, 6).double(), generator=seeded())
    torch.testing.assert_close(layer.weight.detach(), expected)


def test_one_that_keeps_singular_values_of_1_does_not_hold_those_of_a_wide_layer() -> None:
    layer = parametrizations.orthogonal(nn.Linear(4, 6))
    before = layer.weight.detach().clone()
    with pytest.warns(UserWarning, match=r"do not keep what they are given.*'weight'"):
        initialize_(layer, distribution="orthogonal", generator=seeded())
    assert torch.equal(layer.weight, before)


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (2, 0, 3), (0, 3, 3)])
@pytest.mark.parametrize("batch_dims", [0, 1])
def test_without_elements_there_is_nothing_to_fill(shape, batch_dims) -> None:
    if len(shape) - batch_dims >= 2:
        weight = torch.empty(shape)
        assert lecun_orthogonal_(weight, batch_dims=batch_dims) is weight


def test_what_orthogonal_weights_cannot_be_is_told() -> None:
    with pytest.raises(ArgumentError, match=r"exact=True centers .* Leave one of the two out\."):
        initialize_(nn.Linear(3, 3), distribution="orthogonal", exact=True)
    with pytest.raises(ArgumentError, match=r"distribution='orthogonal', which has none\. Leave"):
        initialize_(nn.Linear(3, 3), distribution="orthogonal", truncated=True)
    with pytest.raises(UnsupportedError, match=r"dtype torch.int8. .* before it is quantized"):
        lecun_orthogonal_(torch.empty(3, 3, dtype=torch.int8))


@pytest.mark.parametrize("batch_dims", [-1, 1.0, True, None])
def test_batch_dims_are_counted(batch_dims) -> None:
    with pytest.raises(ArgumentError, match=rf"number of dimensions .*; got {batch_dims}\. Leave"):
        lecun_orthogonal_(torch.empty(3, 3), batch_dims=batch_dims)


def test_batch_dims_leave_units_and_inputs() -> None:
    with pytest.raises(ArgumentError, match=r"shape \(3, 3\) of which batch_dims counts 1\. For"):
        lecun_orthogonal_(torch.empty(3, 3), batch_dims=1)


@pytest.mark.parametrize(("shape", "fan_in"), [((2, 3), 2.5e-77), ((300, 1), 2.5e-75)])
def test_a_fan_in_of_weights_beyond_the_dtype_is_told(shape, fan_in) -> None:
    weight = torch.zeros(shape)
    with pytest.raises(
        ArgumentError, match=f"numbers that torch.float32 holds; got fan_in={fan_in}"
    ):
        lecun_orthogonal_(weight, fan_in=fan_in)
    assert not weight.any()
    assert lecun_orthogonal_(weight, fan_in=1.08 * fan_in).isfinite().all()
