import math

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from selfnorm.errors import ArgumentError, UnsupportedError
from selfnorm.init import lecun_normal_, lecun_uniform_
from support.rounding import unit_bounds
from support.statistics import (
    NORMAL_KURTOSIS,
    TRUNCATED_KURTOSIS,
    UNIFORM_KURTOSIS,
    assert_moments,
)

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
SHAPES = [(512, 300), (256, 16, 7), (128, 8, 5, 5), (64, 4, 3, 3, 3)]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(
    ("fill", "kurtosis"),
    [
        (lecun_normal_, NORMAL_KURTOSIS),
        (lambda t, **k: lecun_normal_(t, truncated=True, **k), TRUNCATED_KURTOSIS),
        (lecun_uniform_, UNIFORM_KURTOSIS),
    ],
    ids=["normal", "truncated", "uniform"],
)
def test_weights_have_mean_0_and_variance_1_over_fan_in(fill, kurtosis, shape, dtype) -> None:
    weight = torch.empty(shape, dtype=dtype)
    assert fill(weight, generator=seeded()) is weight
    fan_in = math.prod(shape[1:])
    assert_moments(weight.double() * math.sqrt(fan_in), kurtosis=kurtosis)
    fill(weight, fan_in=7.5, generator=seeded())
    assert_moments(weight.double() * math.sqrt(7.5), kurtosis=kurtosis)


def test_truncation_is_at_two_standard_deviations_of_the_wider_normal() -> None:
    weight = lecun_normal_(torch.empty(1000, 400).double(), truncated=True, generator=seeded())
    # The factor is found by integrating the density, not from the formula that is under test.
    grid = torch.linspace(-2, 2, 200_001, dtype=torch.float64)
    density = torch.exp(-grid.square() / 2)
    std = (torch.trapezoid(grid.square() * density) / torch.trapezoid(density)).sqrt().item()
    bound = 2 / std / math.sqrt(400)
    largest = weight.abs().max().item()
    assert largest <= bound
    # 400 000 draws come within .01 % of the edge: P(none there) = (1 - 1.1e-5 * 2)^400000 = 1e-4.
    assert largest > bound * (1 - 1e-4)


def test_uniform_bound() -> None:
    weight = lecun_uniform_(torch.empty(1000, 400), generator=seeded())
    assert 0.9999 * math.sqrt(3 / 400) < weight.abs().max() <= math.sqrt(3 / 400)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(40, 2), (40, 3), *SHAPES], ids=str)
@pytest.mark.parametrize("fill", [lecun_normal_, lecun_uniform_])
def test_exact_units_have_omega_0_and_tau_1_up_to_rounding(fill, shape, dtype) -> None:
    terms = math.prod(shape[1:])
    for fan_in in (None, 2.5 * terms):
        weight = fill(
            torch.empty(shape, dtype=dtype), fan_in=fan_in, exact=True, generator=seeded()
        )
        tau = 1.0 if fan_in is None else 1 / 2.5
        omega_bound, tau_bound = unit_bounds(terms, dtype, tau)
        for unit in weight.flatten(1).double().tolist():
            assert abs(math.fsum(unit)) <= omega_bound
            assert abs(math.fsum(w * w for w in unit) - tau) <= tau_bound


def test_exact_is_what_the_theorem_asks_and_random_weights_miss() -> None:
    weight = lecun_normal_(torch.empty(20_000, 64), generator=seeded()).double()
    inside = (weight.sum(1).abs() <= 0.1).double()
    share = math.erf(0.1 / math.sqrt(2))  # omega ~ N(0, 1): 8 %
    variance = share * (1 - share)
    kurtosis = 1 / variance - 3  # of a Bernoulli variable
    assert_moments(inside, mean=share, variance=variance, kurtosis=kurtosis)


def test_exact_of_two_weights_is_their_difference() -> None:
    weight = lecun_normal_(torch.empty(50, 2).double(), exact=True, generator=seeded())
    torch.testing.assert_close(weight.abs(), torch.full_like(weight, 0.5).sqrt())
    assert (weight[:, 0] == -weight[:, 1]).all()


@pytest.mark.parametrize("exact", [False, True])
def test_same_seed_same_weights_in_every_dtype_and_memory_format(exact: bool) -> None:
    def draw(weight: torch.Tensor) -> torch.Tensor:
        return lecun_normal_(weight, exact=exact, generator=seeded(3))

    double = draw(torch.empty(8, 4, 3, 3).double())
    for dtype in DTYPES:
        assert torch.equal(draw(torch.empty(8, 4, 3, 3, dtype=dtype)), double.to(dtype))
    last = torch.empty(8, 4, 3, 3).to(memory_format=torch.channels_last)
    assert torch.equal(draw(last), double.float())
    assert last.is_contiguous(memory_format=torch.channels_last)
    transposed = torch.empty(36, 8).t()
    assert torch.equal(draw(transposed), double.float().flatten(1))
    assert not torch.equal(lecun_normal_(torch.empty(8, 36), generator=seeded(4)), transposed)


def test_without_a_generator_torchs_seed_holds() -> None:
    draws = []
    for _ in range(2):
        torch.manual_seed(5)
        draws.append(lecun_normal_(torch.empty(4, 4)))
    assert torch.equal(*draws)
    state = torch.get_rng_state()
    lecun_normal_(torch.empty(4, 4), generator=seeded())
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("requires_grad", [True, False])
def test_parameters_stay_what_they_are(requires_grad: bool) -> None:
    weight = nn.Parameter(torch.zeros(3, 4), requires_grad=requires_grad)
    version, pointer = weight._version, weight.data_ptr()
    lecun_normal_(weight)
    assert weight._version > version
    assert weight.data_ptr() == pointer
    assert (weight.requires_grad, weight.grad_fn, weight.is_leaf) == (requires_grad, None, True)


def test_filling_a_weight_that_a_graph_saved_is_noticed() -> None:
    weight = nn.Parameter(torch.ones(3, 3))
    loss = weight.square().sum()
    lecun_uniform_(weight)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (2, 0, 3)])
def test_without_elements_there_is_nothing_to_fill(shape) -> None:
    assert lecun_normal_(torch.empty(shape), exact=True).shape == shape


def test_on_the_meta_device_there_is_nothing_to_fill() -> None:
    weight = torch.empty(4, 4, device="meta")
    assert lecun_uniform_(weight, generator=seeded()) is weight


@pytest.mark.parametrize("shape", [(), (5,)])
def test_a_tensor_without_units_is_refused(shape) -> None:
    with pytest.raises(ArgumentError, match=r"one or more of inputs; .* has shape \(.*reshape\(1"):
        lecun_normal_(torch.empty(shape))


def test_one_unit_is_filled_through_its_view() -> None:
    vector = torch.zeros(1000)
    lecun_uniform_(vector.reshape(1, -1), exact=True, generator=seeded())
    assert vector.abs().min() > 0


@pytest.mark.parametrize("fan_in", [0, -1, math.nan, math.inf])
def test_fan_in_is_positive(fan_in: float) -> None:
    with pytest.raises(ArgumentError, match=f"so positive; got {fan_in}. Leave it out"):
        lecun_normal_(torch.empty(3, 3), fan_in=fan_in)


def test_exact_needs_two_weights() -> None:
    with pytest.raises(ArgumentError, match="needs two or more; the tensor has one a unit"):
        lecun_normal_(torch.empty(3, 1, 1), exact=True)


def test_dtypes_that_hold_no_weights_are_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"dtype torch.complex64. Draw its real and imag"):
        lecun_normal_(torch.empty(3, 3, dtype=torch.complex64))
    with pytest.raises(UnsupportedError, match=r"dtype torch.int8. .* before it is quantized"):
        lecun_normal_(torch.empty(3, 3, dtype=torch.int8))


def test_a_lazy_weight_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"the tensor is lazy .* Run one batch"):
        lecun_normal_(nn.LazyLinear(3).weight)


def test_a_generator_draws_on_the_tensors_device() -> None:
    with FakeTensorMode():  # a tensor of a device that this machine need not have
        weight = torch.empty(3, 3, device="cuda")
    with pytest.raises(ArgumentError, match=r"on cpu and the tensor on cuda:0. Pass torch.Gen"):
        lecun_normal_(weight, generator=seeded())


@pytest.mark.parametrize("fill", [lecun_normal_, lecun_uniform_])
@pytest.mark.parametrize(
    ("dtype", "fan_in", "exact"),
    [
        (torch.float32, 1e-300, False),
        (torch.float32, 1e-300, True),
        (torch.float16, 1e-9, False),
        (torch.bfloat16, 1e-80, True),
    ],
)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_fan_in_of_weights_beyond_the_dtype_is_told(fill, dtype, fan_in, exact, device) -> None:
    weight = torch.zeros(2, 3, dtype=dtype, device=device)
    with pytest.raises(ArgumentError, match=f"numbers that {dtype} holds; got fan_in={fan_in}"):
        fill(weight, fan_in=fan_in, exact=exact)
    assert device == "meta" or not weight.any()


def test_a_small_fan_in_of_weights_that_the_dtype_holds_is_taken() -> None:
    assert lecun_normal_(torch.empty(64, 64), fan_in=1e-74).isfinite().all()
    assert lecun_normal_(torch.empty(64, 64, dtype=torch.float64), fan_in=1e-300).isfinite().all()
