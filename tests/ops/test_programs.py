"""Passes of networks as one call: what they need, what they leave alone, and their kernels."""

import ctypes
from collections.abc import Iterator
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from selfnorm.nn import MLP
from selfnorm.ops._cpu import _blas, _network
from selfnorm.ops._cpu._context import STRIP, head
from selfnorm.ops._cpu._plans import plan_of
from support.compare import assert_close

if _blas.gemm(torch.float32) is None:
    pytest.skip("torch has another BLAS here", allow_module_level=True)
EPS = torch.finfo(torch.float32).eps


def is_one(output: Tensor) -> bool:
    return "Chain" in type(output.grad_fn).__name__


def network(members: int | None = None) -> MLP:
    torch.manual_seed(0)
    return MLP(5, 3, width=16, depth=3, dropout=0.2, members=members)


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", _blas.NAMES, ids=str)
def test_torchs_blas_is_found(dtype: torch.dtype) -> None:
    assert _blas.gemm(dtype)
    assert _blas.gemm(torch.bfloat16) is None


def test_one_with_other_bits_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    linear = _blas.functional.linear
    monkeypatch.setattr(_blas.functional, "linear", lambda *x: linear(*x) * (1 + 2**-20))
    assert _blas.gemm.__wrapped__(torch.float32) is None
    monkeypatch.setattr(_blas, "library", object)
    assert _blas.gemm.__wrapped__(torch.float64) is None


def test_without_blas_layers_are_run_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    x, model = torch.randn(4, 5), network()
    torch.manual_seed(1)
    expected = model(x)
    assert is_one(expected)
    monkeypatch.setattr(_network, "gemm", lambda _: None)
    model = network()
    torch.manual_seed(1)
    output = model(x)
    assert not is_one(output)
    assert torch.equal(output, expected)


def test_products_of_fewer_digits_are_torchs() -> None:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        assert not is_one(network()(torch.randn(4, 5)))
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("rows", [3, 32, 64])
@pytest.mark.parametrize("members", [None, 2, 5])
def test_threads_change_nothing(members: int | None, rows: int) -> None:
    """Masks of 32 rows of 16 fill blocks, those of 3 do not: members are run in other ways then."""
    model = network(members)
    x = torch.randn(rows, 5, requires_grad=True)
    found: list[list[Tensor]] = []
    for count in (1, 2, 4):
        torch.set_num_threads(count)
        torch.manual_seed(1)
        output = model(x)
        assert is_one(output)
        gradients = torch.autograd.grad(output.square().sum(), [x, *model.parameters()])
        found.append([output.detach(), *gradients])
    for others in found[1:]:
        for one, other in zip(found[0], others, strict=True):
            assert_close(other / one.abs().max(), one / one.abs().max(), 16 * EPS)


def test_members_masks_are_those_of_all_at_once() -> None:
    model = network(members=4)
    layers = torch.nn.Sequential(*model)
    for rows in (3, 32):
        x = torch.randn(rows, 5)
        torch.manual_seed(1)
        output = model(x)
        torch.manual_seed(1)
        assert_close(output, layers(x), 64 * EPS)


def test_data_that_was_exchanged_since() -> None:
    model, x = network(), torch.randn(4, 5)
    output = model(x)
    expected = torch.autograd.grad(output.sum(), list(model.parameters()), retain_graph=True)
    weight = model.linear2.weight
    kept = weight.data
    weight.data = kept.clone()
    found = torch.autograd.grad(output.sum(), list(model.parameters()), retain_graph=True)
    for one, other in zip(found, expected, strict=True):
        assert_close(one, other, 64 * EPS)
    weight.data = kept[:8].clone()
    with pytest.raises(RuntimeError):
        torch.autograd.grad(output.sum(), list(model.parameters()))
    weight.data = kept
    before = model.eval()(x)
    weight.data = kept.t()  # the same memory, read another way
    assert torch.equal(model(x), torch.nn.Sequential(*model)(x))
    assert not torch.equal(model(x), before)


def test_a_profile_names_them() -> None:
    model = network()
    with torch.profiler.profile() as profile:
        model(torch.randn(4, 5)).sum().backward()
    names = {event.key for event in profile.key_averages()}
    assert {"selfnorm::chain", "selfnorm::chain_backward"} <= names


def test_gradients_lie_one_behind_the_other() -> None:
    model = network()
    model(torch.randn(4, 5)).sum().backward()
    gradients = [one.grad for one in model.parameters() if one.grad is not None]
    for one, after in pairwise(gradients):
        assert after.data_ptr() == one.data_ptr() + one.numel() * one.element_size()


# --- the kernels that only programs have -------------------------------------------------------


def run(name: str, units: int, x: Tensor, out: Tensor, count: int, inner: int) -> None:
    plan = plan_of(name, 0.0, x.dtype)
    call = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_char_p)(plan.code or 0)
    places = head(x.data_ptr(), 0, out.data_ptr(), 0, count, inner, 0)
    call(0, units, places + plan.constants)


@pytest.mark.parametrize("dtype", _blas.NAMES, ids=str)
@pytest.mark.parametrize("size", [(1, 1), (7, 3), (8, 128), (9, 129), (1000, 300), (40, 17)])
def test_sums_of_columns(size: tuple[int, int], dtype: torch.dtype) -> None:
    rows, width = size
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, width, dtype=dtype, generator=generator)
    out = torch.full((width,), torch.nan, dtype=dtype)
    run("column_sums", -(-width // STRIP), x, out, rows, width)
    # Three additions in the elements' precision, float64 for the rest, and one rounding.
    bound = 3 * torch.finfo(dtype).eps / 2 * x.double().abs().sum(0)
    exact = x.double().sum(0)
    rounding = torch.finfo(dtype).eps / 2 * exact.abs() + 2**-52 * rows * x.double().abs().sum(0)
    assert ((out.double() - exact).abs() <= bound + rounding).all()


@pytest.mark.parametrize("dtype", _blas.NAMES, ids=str)
def test_a_bias_in_every_row(dtype: torch.dtype) -> None:
    bias, out = torch.randn(37, dtype=dtype), torch.full((5, 37), torch.nan, dtype=dtype)
    run("spread", 5, bias, out, 0, 37)
    assert torch.equal(out, bias.expand(5, 37))
