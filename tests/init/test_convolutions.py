"""Orthogonal convolutions: every singular value of the whole image's map what it should be."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from selfnorm.errors import ArgumentError, UnsupportedError
from selfnorm.init import initialize_, lecun_orthogonal_, orthogonal_convolution_
from support.rounding import singular_bound

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
Shape = tuple[int, ...]
LAYERS: list[tuple[Shape, dict[str, int]]] = [
    ((6, 6, 3), {}),
    ((4, 7, 5), {}),
    ((7, 4, 2), {}),
    ((8, 8, 3, 3), {}),
    ((5, 8, 3, 3), {}),
    ((8, 5, 2, 5), {}),
    ((8, 1, 3, 3), {}),
    ((1, 8, 3, 3), {}),
    ((1, 1, 3, 3), {}),
    ((7, 7, 3, 3), {"dilation": 2}),
    ((12, 4, 3, 3), {"groups": 3}),
    ((4, 4, 3, 1), {}),
    ((6, 2, 3, 2), {"groups": 2, "dilation": 2}),
    ((3, 4, 2, 2, 3), {}),
    ((4, 3, 3, 2, 1), {}),
]
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def made(shape: Shape, **options: int) -> nn.Conv2d:
    """A layer for a kernel `(out, in / groups, *kernel)` whose image is a torus."""
    out, inputs, *kernel = shape
    layer = CONVOLUTIONS[len(kernel) - 1](
        inputs * options.get("groups", 1),
        out,
        kernel,  # type: ignore[arg-type]
        padding="same",
        padding_mode="circular",
        bias=False,
        **options,  # type: ignore[arg-type]
    )
    return layer.double()  # type: ignore[return-value]


def operator(layer: nn.Module, channels: int, image: Sequence[int]) -> Tensor:
    """What the layer does, as one matrix: `(channels * places, outputs)`."""
    units = torch.eye(channels * math.prod(image), dtype=torch.float64)
    return layer(units.view(-1, channels, *image)).detach().flatten(1)


def bound(shape: Shape, dtype: torch.dtype, scale: float, places: int) -> float:
    """Of one factor `singular_bound`, at each frequency a sum over taps; and so many factors.

    The matrix of all places is decomposed in float64, off by a small number times its side.
    """
    units, inputs, *kernel = shape
    factors = 1 + sum(taps - 1 for taps in kernel)
    one = singular_bound(units, inputs, dtype, scale)
    side = max(units, inputs) * places
    return factors * math.sqrt(math.prod(kernel)) * one + 4 * side * 2.0**-53 * scale


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("shape", "options"), LAYERS, ids=str)
def test_all_singular_values_of_the_whole_map_are_equal(shape, options, dtype) -> None:
    layer, groups = made(shape, **options), options.get("groups", 1)
    kernel = torch.empty(shape, dtype=dtype)
    assert orthogonal_convolution_(kernel, groups=groups, generator=seeded()) is kernel
    layer.weight.data = kernel.double()
    image = (5, 4, 4)[: len(shape) - 2]
    found = torch.linalg.svdvals(operator(layer, groups * shape[1], image))
    units = shape[0] // groups
    scale = math.sqrt(max(units, shape[1]) / shape[1])
    off = (found - scale).abs().max().item()
    assert off <= bound((units, *shape[1:]), dtype, scale, groups * math.prod(image))


def test_on_one_window_alone_they_are_not() -> None:
    """`lecun_orthogonal_` leaves singular values far apart."""
    layer = made((8, 8, 3, 3))
    lecun_orthogonal_(layer.weight.data, generator=seeded())
    found = torch.linalg.svdvals(operator(layer, 8, (5, 5)))
    assert found.max() > 1.5
    assert found.min() < 0.5


@pytest.mark.parametrize("out", [3, 8])
def test_the_squares_of_weights_and_of_every_image_are_kept(out) -> None:
    layer = made((out, 3, 3, 3))
    initialize_(layer, distribution="isometric", generator=seeded())
    x = torch.randn(9, 3, 6, 7, generator=seeded(1)).double().cumsum(-1) + 3.0
    x[4] = 1.0
    ratio = layer(x).detach().square().mean((1, 2, 3)) / x.square().mean((1, 2, 3))
    near = 2 * bound((out, 3, 3, 3), torch.float64, 1.0, 42)
    assert (ratio - 1).abs().max() <= near
    assert layer.weight.square().sum().item() == pytest.approx(out, abs=out * near)


def test_of_fewer_units_than_inputs_each_has_squares_that_sum_to_one() -> None:
    weight = orthogonal_convolution_(torch.empty(4, 9, 3, 3).double(), generator=seeded())
    torch.testing.assert_close(weight.square().sum((1, 2, 3)), torch.ones(4).double())


def test_kernels_are_as_large_as_they_look() -> None:
    """Half of the squares are in the middle of three taps, a quarter in that of 3 x 3."""
    weight = orthogonal_convolution_(torch.empty(64, 64, 3, 3).double(), generator=seeded())
    shares = weight.square().sum((0, 1)) / 64
    expected = torch.tensor([0.25, 0.5, 0.25]).double()
    torch.testing.assert_close(shares, expected.outer(expected), rtol=0, atol=0.03)


def test_a_single_channel_stays_where_it_is() -> None:
    weight = orthogonal_convolution_(torch.empty(6, 1, 3, 5), groups=6, generator=seeded())
    assert weight[:, 0, 1, 2].abs().eq(1).all()
    assert weight.count_nonzero() == 6


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Linear(5, 7),
        lambda: nn.GRU(5, 7),
        lambda: nn.Conv2d(4, 8, 3, stride=2),
        lambda: nn.Conv2d(4, 8, 3, stride=(1, 2), groups=2),
        lambda: nn.Conv2d(4, 8, 1),
        lambda: nn.ConvTranspose2d(4, 8, 3),
        lambda: nn.Embedding(5, 4),
    ],
)
def test_all_else_is_as_orthogonal_weights_are(make) -> None:
    layer = make()
    isometric, orthogonal = (
        {
            name: value.clone()
            for name, value in initialize_(layer, distribution=kind, generator=seeded())
            .state_dict()
            .items()
        }
        for kind in ("isometric", "orthogonal")
    )
    assert all(torch.equal(value, orthogonal[name]) for name, value in isometric.items())


def test_a_layers_seed_gives_the_weights_of_the_function_in_every_dtype_and_format() -> None:
    layer = nn.Conv2d(6, 8, 3, groups=2)
    initialize_(layer, distribution="isometric", generator=seeded())
    kernel = torch.empty(8, 3, 3, 3, dtype=torch.float64)
    orthogonal_convolution_(kernel, groups=np.int64(2), generator=seeded())
    assert torch.equal(layer.weight, kernel.float())
    for dtype in DTYPES:
        again = torch.empty(8, 3, 3, 3, dtype=dtype).to(memory_format=torch.channels_last)
        orthogonal_convolution_(again, groups=2, generator=seeded())
        assert torch.equal(again, kernel.to(dtype))
    other = orthogonal_convolution_(torch.empty(8, 3, 3, 3), groups=2, generator=seeded(1))
    assert not torch.allclose(other, kernel.float())
    matrix = orthogonal_convolution_(torch.empty(7, 4), generator=seeded())
    assert torch.equal(matrix, lecun_orthogonal_(torch.empty(7, 4), generator=seeded()))


@pytest.mark.parametrize("groups", [0, 1.0, True, 3, None])
def test_groups_divide_the_units(groups) -> None:
    with pytest.raises(ArgumentError, match=rf"got {groups} for .* \(8, 2, 3\)\. Leave it out"):
        orthogonal_convolution_(torch.empty(8, 2, 3), groups=groups)


def test_what_cannot_be_filled_is_told() -> None:
    assert not orthogonal_convolution_(torch.empty(4, 0, 3)).numel()
    assert orthogonal_convolution_(torch.empty(4, 4, 3, device="meta")).is_meta
    with pytest.raises(ArgumentError, match="a dimension of units"):
        orthogonal_convolution_(torch.empty(4))
    with pytest.raises(UnsupportedError, match="before it is quantized"):
        orthogonal_convolution_(torch.empty(4, 4, 3, dtype=torch.int8))
    with pytest.raises(ArgumentError, match=r"got distribution='isometric', whose units"):
        initialize_(nn.Conv1d(3, 3, 3), distribution="isometric", exact=True)
