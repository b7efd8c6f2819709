"""The matrices of each layer's weights: which there are, and that reading and writing reach all."""

import math

import pytest
import torch
from torch import Tensor, nn

from selfnorm.init._layers import Weight, entries

# layer, parameter, and of each kind of matrix: how many, rows, columns, squared singular value
CASES = [
    (nn.Linear(5, 3), "weight", [(1, 3, 5, 1)]),
    (nn.Linear(3, 5), "weight", [(1, 5, 3, 5 / 3)]),
    (nn.Linear(1, 4), "weight", [(1, 4, 1, 4)]),
    (nn.Linear(4, 1), "weight", [(1, 1, 4, 1)]),
    (nn.Bilinear(2, 3, 7), "weight", [(1, 7, 6, 7 / 6)]),
    (nn.Conv1d(4, 6, 5), "weight", [(1, 6, 20, 1)]),
    (nn.Conv2d(4, 6, (3, 2), groups=2), "weight", [(2, 3, 12, 1)]),
    (nn.Conv2d(2, 64, 3, groups=2), "weight", [(2, 32, 9, 32 / 9)]),
    (nn.Conv3d(4, 4, 3, groups=4), "weight", [(4, 1, 27, 1)]),
    (nn.ConvTranspose1d(4, 6, 4, stride=2), "weight", [(1, 6, 8, 1)] * 2),
    (nn.ConvTranspose1d(4, 6, 3, stride=2), "weight", [(1, 6, 8, 1), (1, 6, 4, 1.5)]),
    (nn.ConvTranspose2d(4, 6, 3, groups=2), "weight", [(2, 3, 18, 1)]),
    (nn.ConvTranspose1d(1, 2, 2, stride=3), "weight", [(1, 2, 1, 2)] * 2),
    (nn.RNN(4, 6), "weight_ih_l0", [(1, 6, 4, 6 / 10)]),
    (nn.GRU(4, 6), "weight_ih_l0", [(3, 6, 4, 6 / 10)]),
    (nn.LSTM(4, 6, 2, bidirectional=True), "weight_ih_l1", [(4, 6, 12, 12 / 18)]),
    (nn.LSTM(4, 6, 2, bidirectional=True), "weight_hh_l1_reverse", [(4, 6, 6, 6 / 18)]),
    (nn.LSTM(4, 6, proj_size=2), "weight_hh_l0", [(4, 6, 2, 6 / 6)]),
    (nn.LSTM(4, 6, proj_size=2), "weight_hr_l0", [(1, 2, 6, 1)]),
    (nn.LSTMCell(4, 6), "weight_ih", [(4, 6, 4, 6 / 10)]),
    (nn.MultiheadAttention(6, 2), "in_proj_weight", [(3, 6, 6, 1)]),
    (nn.MultiheadAttention(6, 2, kdim=4), "k_proj_weight", [(1, 6, 4, 1.5)]),
    (nn.MultiheadAttention(6, 2, add_bias_kv=True), "bias_k", []),
    (nn.Embedding(9, 4), "weight", []),
]


def weight_of(layer: nn.Module, name: str) -> tuple[Weight, Tensor]:
    (entry,) = (e for e in entries(layer) if e.name == name)
    assert isinstance(entry, Weight)
    return entry, getattr(layer, name).detach()


def each() -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("layer", "name", "expected"), CASES, ids=str)


@each()
def test_sizes_and_scale(layer, name, expected) -> None:
    entry, tensor = weight_of(layer, name)
    found = entry.matrices(tensor)
    assert [tuple(m.read().shape) for m in found] == [case[:3] for case in expected]
    for matrices, (_, rows, columns, square) in zip(found, expected, strict=True):
        assert matrices.terms == columns
        assert math.isclose(matrices.scale**2, square)
        # Singular values of that size make the mean square what the layer wants.
        total = square * min(rows, columns)
        assert math.isclose(total / (rows * columns), 1 / matrices.fan_in)


@each()
def test_what_is_written_is_in_the_weight_once(layer, name, expected) -> None:
    entry, tensor = weight_of(layer, name)
    tensor.zero_()
    start = 1
    for matrices in entry.matrices(tensor):
        size = matrices.view.numel()
        values = torch.arange(start, start + size, dtype=torch.float64)
        matrices.write_(values.reshape(matrices.read().shape))
        assert torch.equal(matrices.read().double().flatten(), values)
        start += size
    if expected:
        numbers = torch.arange(1, tensor.numel() + 1, dtype=tensor.dtype)
        assert torch.equal(tensor.flatten().sort().values, numbers)


@pytest.mark.parametrize(
    "layer",
    [nn.Linear(5, 3), nn.Conv2d(4, 6, 3, groups=2), nn.GRU(4, 6), nn.MultiheadAttention(6, 2)],
    ids=str,
)
def test_most_are_read_without_a_copy(layer: nn.Module) -> None:
    for entry in entries(layer):
        if isinstance(entry, Weight) and getattr(layer, entry.name, None) is not None:
            tensor = getattr(layer, entry.name).detach()
            (matrices,) = entry.matrices(tensor)
            assert matrices.read().data_ptr() == tensor.data_ptr()


def test_channels_last_is_read_by_a_copy_and_written_through() -> None:
    layer = nn.Conv2d(4, 6, 3, groups=2).to(memory_format=torch.channels_last)
    entry, tensor = weight_of(layer, "weight")
    (matrices,) = entry.matrices(tensor)
    values = torch.arange(108.0).reshape(2, 3, 18)
    matrices.write_(values)
    assert torch.equal(tensor, values.reshape(6, 2, 3, 3))
    assert torch.equal(matrices.read(), values)


def test_gates_projections_and_groups_lie_below_each_other() -> None:
    layers = [
        (nn.LSTMCell(4, 6), "weight_ih", 4),
        (nn.MultiheadAttention(6, 2), "in_proj_weight", 3),
        (nn.Conv1d(4, 6, 5, groups=2), "weight", 2),
    ]
    for layer, name, count in layers:
        entry, tensor = weight_of(layer, name)
        (matrices,) = entry.matrices(tensor)
        parts = [part.flatten(1) for part in tensor.chunk(count)]
        assert torch.equal(matrices.read(), torch.stack(parts))


@pytest.mark.parametrize("groups", [1, 2])
def test_rows_of_a_phase_are_what_one_position_sums(groups: int) -> None:
    layer = nn.ConvTranspose1d(4, 6, 3, stride=2, groups=groups, bias=False).double()
    entry, tensor = weight_of(layer, "weight")
    inputs = torch.randn(4, 5, generator=torch.Generator().manual_seed(0)).double()
    output = layer(inputs).detach()
    # Position 4 = 2 * 2 + 0 = 2 * 1 + 2: taps 0 and 2 of inputs 2 and 1. Position 5: tap 1 of 2.
    read = [inputs[:, [2, 1]], inputs[:, [2]]]
    for position, matrices, values in zip([4, 5], entry.matrices(tensor), read, strict=True):
        columns = values.reshape(groups, -1, 1)
        torch.testing.assert_close((matrices.read() @ columns).flatten(), output[:, position])


def test_a_piece_of_a_weight_has_its_rows() -> None:
    """Wrappers leave pieces of a weight in its place; an audit reads them."""
    entry, tensor = weight_of(nn.LSTMCell(4, 6), "weight_ih")
    (matrices,) = entry.matrices(tensor[:7])
    assert matrices.view.shape == (1, 7, 4)


@pytest.mark.parametrize("shape", [(0, 4), (24, 0)])
def test_without_elements_there_are_no_matrices(shape) -> None:
    for layer, name in [(nn.LSTMCell(4, 6), "weight_ih"), (nn.Linear(4, 24), "weight")]:
        assert weight_of(layer, name)[0].matrices(torch.empty(shape)) == []
