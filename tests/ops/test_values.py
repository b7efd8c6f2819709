"""What the operations compute: accuracy, special values, layouts."""

import math
from types import ModuleType

import mpmath
import pytest
import torch

from selfnorm._spec._constants import BOTTOM
from selfnorm.ops import alpha_dropout, selu, selu_alpha_dropout
from selfnorm.ops._constants import derivative
from selfnorm.theory import alpha_dropout_affine, selu_constants
from support.compare import assert_close, assert_same, assert_within_ulps
from support.samples import DTYPES, FULL, HALF, LAYOUTS, normal, special, sweep
from support.tolerances import RIVAL_FACTOR, SAME_UP_TO_ROUNDING, SELU_ULPS

ALPHA, LAMBDA = selu_constants()
SEED = torch.tensor(7)


def oracle(x: torch.Tensor) -> torch.Tensor:
    """SELU in float64, exact enough to judge float32 and half precision."""
    x = x.double()
    return torch.where(x > 0, LAMBDA * x, LAMBDA * ALPHA * torch.expm1(x))


def test_selu_float64_against_mpmath(implementation: ModuleType) -> None:
    x = sweep(torch.float64)[::40]
    with mpmath.workdps(40):
        exact = [mpmath.mpf(v) if v > 0 else ALPHA * mpmath.expm1(v) for v in x.tolist()]
        scaled = [LAMBDA * v for v in exact]
        y = implementation.selu(x)
        ulps = [
            float(abs(mpmath.mpf(a) - e)) / math.ulp(float(e))
            for a, e in zip(y.tolist(), scaled, strict=True)
        ]
    assert max(ulps) <= SELU_ULPS[torch.float64], f"{max(ulps)} ulp at {x[ulps.index(max(ulps))]}"


def test_selu_float32_against_float64(implementation: ModuleType) -> None:
    x = sweep(torch.float32)
    assert_within_ulps(implementation.selu(x), oracle(x), SELU_ULPS[torch.float32])


@pytest.mark.parametrize("dtype", HALF, ids=str)
def test_half_precision_no_further_off_than_twice_torch(
    implementation: ModuleType, dtype: torch.dtype
) -> None:
    x = sweep(dtype)
    ours = (implementation.selu(x).double() - oracle(x)).abs()
    rival = (torch.nn.functional.selu(x).double() - oracle(x)).abs()
    assert (ours <= RIVAL_FACTOR * rival).all()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_selu_of_special_values(dtype: torch.dtype) -> None:
    x = special(dtype)
    y = selu(x)
    floor = torch.tensor(-float(BOTTOM), dtype=dtype)
    expected = torch.nn.functional.selu(x)
    expected[3] = floor
    assert_same(y[:5], expected[:5])
    assert_same(y[1], torch.tensor(-0.0, dtype=dtype))
    assert_same(y[6], floor)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("p", [0.05, 0.5, 1.0])
def test_special_values_where_dropped_and_kept(p: float, dtype: torch.dtype) -> None:
    x = special(dtype).repeat(64, 1)
    generator = torch.Generator().manual_seed(3)
    z = selu_alpha_dropout(x, p, training=True, generator=generator)
    floor = derivative(p, dtype).floor
    dropped = z[:, 2] == floor
    assert dropped.any(), "the sample must hold dropped infinities"
    assert z[:, 4].isnan().all(), "nan stays nan where it is dropped"
    assert z[~dropped, 2].isposinf().all()
    assert_same(z[:, 3], torch.full_like(z[:, 3], floor))

    z = alpha_dropout(x, p, training=True, generator=torch.Generator().manual_seed(3))
    assert z[:, 4].isnan().all()
    assert z[dropped, 2].isfinite().all(), "a dropped infinity is finite"
    assert z[~dropped, 2].isposinf().all()
    assert (z[:, 3].isneginf() | z[:, 3].isfinite()).all()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shared", [0, 1])
def test_nan_stays_nan_where_it_is_dropped(
    implementation: ModuleType, shared: int, dtype: torch.dtype
) -> None:
    x = torch.full((40, 20), torch.nan, dtype=dtype)
    assert implementation.selu_alpha_dropout(x, SEED, 0.5).isnan().all()
    for linear in (False, True):
        assert implementation.alpha_dropout(x, SEED, 0.5, shared, linear).isnan().all()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_all_dropped_is_zero(dtype: torch.dtype) -> None:
    x = normal(50, dtype=dtype)
    for function in (alpha_dropout, selu_alpha_dropout):
        x.requires_grad_()
        z = function(x, 1.0, training=True)
        assert_same(z.detach(), torch.zeros(50, dtype=dtype))
        (grad,) = torch.autograd.grad(z.sum(), x)
        assert_same(grad, torch.zeros(50, dtype=dtype))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("p", [0.05, 0.3])
def test_fused_equals_composed(implementation: ModuleType, p: float, dtype: torch.dtype) -> None:
    x = normal(2000, dtype=dtype, seed=1)
    fused = implementation.selu_alpha_dropout(x, SEED, p)
    composed = implementation.alpha_dropout(implementation.selu(x), SEED, p, 0, False)
    assert_close(fused, composed, SAME_UP_TO_ROUNDING[dtype])


def test_alpha_dropout_is_the_affine_map() -> None:
    """The formula of the paper, with the mask read off the result."""
    x = normal(4000, dtype=torch.float64)
    p = 0.25  # a multiple of 2**-16
    scale, shift = alpha_dropout_affine(p)
    z = alpha_dropout(x, p, training=True, generator=torch.Generator().manual_seed(0))
    dropped = scale * -LAMBDA * ALPHA + shift
    is_dropped = (z - dropped).abs() < SAME_UP_TO_ROUNDING[torch.float64]
    expected = torch.where(is_dropped, dropped, scale * x + shift)
    assert_close(z, expected, SAME_UP_TO_ROUNDING[torch.float64])
    assert 0 < is_dropped.sum() < 4000


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout: str, dtype: torch.dtype) -> None:
    """Values do not depend on the layout, which is kept as torch's own operations keep it."""
    x = LAYOUTS[layout](dtype)
    flat = x.clone(memory_format=torch.contiguous_format)
    for function in (
        selu,
        lambda t: alpha_dropout(t, 0.4, training=True, generator=torch.Generator().manual_seed(2)),
        lambda t: selu_alpha_dropout(
            t, 0.4, training=True, generator=torch.Generator().manual_seed(2)
        ),
    ):
        y = function(x)
        assert y.stride() == torch.nn.functional.selu(x).stride()
        assert_close(y, function(flat), SAME_UP_TO_ROUNDING[dtype])


@pytest.mark.parametrize("dtype", FULL, ids=str)
def test_the_floor_is_where_the_forward_pass_saturates(dtype: torch.dtype) -> None:
    x = torch.full((40,), -torch.inf, dtype=dtype)
    for p in (0.0, 1e-4, 0.05, 0.1, 0.37, 0.5, 0.9):
        z = selu_alpha_dropout(x, p, training=True)
        assert_same(z, torch.full_like(z, derivative(p, dtype).floor))
