"""SELU in other forms: values, slopes and masks against formulas, and what is kept."""

import math
from collections.abc import Callable

import mpmath
import numpy as np
import pytest
import torch
from torch import Tensor

from selfnorm._spec._constants import BOTTOM, LAMBDA
from selfnorm.errors import ArgumentError
from selfnorm.ops import _cpu, selu, selu_alpha_dropout
from selfnorm.ops._constants import shaped
from selfnorm.theory import SELUForm, alpha_dropout_affine, selu_constants, shaped_selu
from support.compare import assert_close, assert_same, assert_within_ulps
from support.require import require
from support.samples import DTYPES, FULL, HALF, normal
from support.statistics import assert_moments, kurtosis_of
from support.tolerances import HALF_ULPS, SAME_UP_TO_ROUNDING, SHAPED_ULPS

FORMS = {
    "shaped": shaped_selu(1000),
    "little shaped": shaped_selu(12),
    "shifted": selu_constants(gradient_gain=1),
    "all three": SELUForm(0.5, 0.4, -0.1),
}
P = 0.25  # a multiple of 2**-16
each_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def dropped_from(x: Tensor, form: SELUForm, p: float = P, *, inplace: bool = False) -> Tensor:
    return selu_alpha_dropout(x, p, True, inplace, form=form, generator=seeded())


def of_a_form(x: Tensor, form: SELUForm) -> tuple[Tensor, Tensor]:
    """Value and slope in float64, good to a few units of that."""
    x = x.double()
    u = torch.where(x > 0, float(LAMBDA) * x, float(BOTTOM) * torch.expm1(x))
    slope = torch.where(x > 0, float(LAMBDA), float(BOTTOM) * x.exp())
    line = form.linear * x if form.linear else 0.0
    return line + form.factor * u + form.shift, form.linear + form.factor * slope


def value_and_slope(x: Tensor, form: SELUForm) -> tuple[Tensor, Tensor]:
    x = x.detach().clone().requires_grad_()
    y = selu(x, form=form)
    return y.detach(), torch.autograd.grad(y, x, torch.ones_like(y))[0]


@each_form
def test_a_million_float32(form: SELUForm) -> None:
    """Spread over all bit patterns: in units of the result or of the shift, if that is larger."""
    require("cpu", _cpu.why_not())
    bits = torch.arange(-(1 << 31), 1 << 31, (1 << 32) // 1_000_003, dtype=torch.int64)
    x = bits.to(torch.int32).view(torch.float32)
    x = x[x.abs() < torch.finfo(torch.float32).max / 2]
    exact, exact_slope = of_a_form(x, form)
    y, slope = value_and_slope(x, form)
    assert_within_ulps(y, exact, SHAPED_ULPS, of_at_least=abs(form.shift))
    assert_within_ulps(slope, exact_slope, SHAPED_ULPS)


@each_form
def test_float64(form: SELUForm) -> None:
    x = torch.cat((normal(700, dtype=torch.float64) * 3, -torch.linspace(0, 60, 300).double()))
    y, slope = value_and_slope(x, form)
    with mpmath.workdps(40):
        top, bottom = (mpmath.mpf(c.numerator) / c.denominator for c in (LAMBDA, BOTTOM))
        for v, found, found_slope in zip(x.tolist(), y.tolist(), slope.tolist(), strict=True):
            u, du = (top * v, top) if v > 0 else (bottom * mpmath.expm1(v), bottom * mpmath.exp(v))
            exact = form.linear * mpmath.mpf(v) + form.factor * u + form.shift
            unit = math.ulp(max(abs(float(exact)), abs(form.shift)))
            assert abs(found - exact) <= SHAPED_ULPS * unit, v
            exact = form.linear + form.factor * du
            assert abs(found_slope - exact) <= SHAPED_ULPS * math.ulp(float(exact)), v


@each_form
@pytest.mark.parametrize("dtype", HALF, ids=str)
def test_half_precision_is_rounded_once(form: SELUForm, dtype: torch.dtype) -> None:
    x = torch.arange(-(1 << 15), 1 << 15).to(torch.int16).view(dtype)
    x = x[x.abs() < 1e4]
    exact, exact_slope = of_a_form(x, form)
    y, slope = value_and_slope(x, form)
    assert_within_ulps(y, exact, HALF_ULPS, of_at_least=abs(form.shift))
    assert_within_ulps(slope, exact_slope, HALF_ULPS)


@each_form
@each_dtype
def test_special_values(form: SELUForm, dtype: torch.dtype) -> None:
    x = torch.tensor([torch.nan, torch.inf, -torch.inf, -0.0, 0.0], dtype=dtype)
    y, slope = value_and_slope(x, form)
    assert y[0].isnan()
    assert slope[0].isnan()
    assert y[1] == torch.inf
    low = torch.tensor(-torch.inf if form.linear else form.dropped, dtype=dtype)
    assert_close(y[2], low, SAME_UP_TO_ROUNDING[dtype])
    assert (y[3:] == torch.tensor(form.shift, dtype=dtype)).all()
    if not form.shift:
        assert y[3:].signbit().tolist() == [True, False], "the sign of 0 stays"
    assert_same(slope[2], torch.tensor(form.linear, dtype=dtype))
    many = torch.tensor([torch.nan, torch.inf, -torch.inf], dtype=dtype).repeat(200, 1)
    z = dropped_from(many, form)
    low = torch.tensor(shaped(P, *form, dtype).dropped, dtype=dtype)
    assert z[:, 0].isnan().all(), "dropped or not"
    dropped = z == low
    assert 0 < dropped[:, 1].sum() < 200
    assert z[~dropped[:, 1], 1].isposinf().all()
    if form.linear:
        assert 0 < dropped[:, 2].sum() < 200
        assert z[~dropped[:, 2], 2].isneginf().all()


@each_form
@pytest.mark.parametrize("dtype", FULL, ids=str)
def test_dropout_is_the_affine_map_of_the_form(form: SELUForm, dtype: torch.dtype) -> None:
    """The mask is that which the same seed gives SELU."""
    x = normal(4000, dtype=dtype)
    scale, shift = alpha_dropout_affine(P, form.shift, form.variance, dropped=form.dropped)
    plain = selu_alpha_dropout(x, P, True, generator=seeded())
    dropped = plain == plain.min()
    exact, slope = of_a_form(x, form)
    expected = torch.where(dropped, scale * form.dropped + shift, scale * exact + shift)
    x.requires_grad_()
    z = dropped_from(x, form)
    assert_close(z.detach(), expected, SAME_UP_TO_ROUNDING[dtype])
    (gradient,) = torch.autograd.grad(z.sum(), x)
    expected = torch.where(dropped, 0.0, scale * slope)
    assert_close(gradient, expected, SAME_UP_TO_ROUNDING[dtype])
    assert_same(gradient[dropped], torch.zeros_like(gradient[dropped]))
    assert 0.2 < dropped.double().mean() < 0.3


@each_form
@pytest.mark.parametrize("p", [0.05, 0.3])
def test_dropout_keeps_mean_and_variance(p: float, form: SELUForm) -> None:
    x = normal(1 << 20)
    z = dropped_from(x, form, p).double().numpy()
    assert_moments(z, form.shift, form.variance, kurtosis_of(z))


@each_form
@each_dtype
def test_all_dropped_is_the_mean(form: SELUForm, dtype: torch.dtype) -> None:
    x = normal(50, dtype=dtype).requires_grad_()
    z = dropped_from(x, form, 1.0)
    assert_same(z.detach(), torch.full((50,), form.shift, dtype=dtype) + 0.0)
    (gradient,) = torch.autograd.grad(z, x, torch.ones_like(z))
    assert_same(gradient, torch.zeros(50, dtype=dtype))


@each_form
def test_without_dropout_it_is_the_form_alone(form: SELUForm) -> None:
    x = normal(300)
    expected = selu(x, form=form)
    assert_same(selu_alpha_dropout(x, 0.0, True, form=form), expected)
    assert_same(selu_alpha_dropout(x, 0.5, False, form=form), expected)


def test_the_plain_form_is_selu() -> None:
    x = normal(300).requires_grad_()
    plain = SELUForm()
    assert_same(selu(x, form=plain).detach(), selu(x).detach())
    z = dropped_from(x, plain)
    assert_same(z.detach(), selu_alpha_dropout(x, P, True, generator=seeded()).detach())
    assert "KeepsOutput" in type(z.grad_fn).__name__
    assert "KeepsInput" in type(selu(x, form=plain).grad_fn).__name__


@each_form
@pytest.mark.parametrize("p", [0.0, P])
def test_in_place(p: float, form: SELUForm) -> None:
    """The same bits, gradients through a copy of the input, and of every order."""
    x = normal(50, dtype=torch.float64).requires_grad_()
    results = []
    for inplace in (False, True):
        given = x * 1
        z = dropped_from(given, form, p, inplace=inplace)
        assert (z is given) == inplace
        (first,) = torch.autograd.grad(z.pow(2).sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), x)
        results.append((z.detach(), first.detach(), second))
    for one, other in zip(*results, strict=True):
        assert_same(other, one)
    with torch.no_grad():
        given = x * 1
        memory = given.data_ptr()
        assert dropped_from(given, form, p, inplace=True).data_ptr() == memory
        assert_same(given, results[0][0])


def test_input_and_seed_are_kept() -> None:
    kept: list[int] = []

    def pack(t: Tensor) -> Tensor:
        kept.append(t.untyped_storage().nbytes())
        return t

    x = normal(1000).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        selu(x, form=FORMS["shaped"])
        assert kept == [4000]
        dropped_from(x, FORMS["shaped"])
    assert kept == [4000, 4000, 8]


WRONG: dict[str, tuple[object, str]] = {
    "a tuple": ((0.5, 0.5, 0.0), r"a selfnorm.theory.SELUForm, or None.*got \(0.5, 0.5, 0.0\)"),
    "a falling line": (SELUForm(-0.5, 0.5), "a linear part of 0 or more.*linear=-0.5"),
    "no SELU": (SELUForm(0.5, 0.0), "a positive factor.*factor=0.0"),
    "nan": (SELUForm(0.5, 0.5, math.nan), "finite; got SELUForm.*nan"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_form_is_refused(case: str) -> None:
    form, words = WRONG[case]
    calls: list[Callable[..., Tensor]] = [selu, selu_alpha_dropout]
    for function in calls:
        with pytest.raises(ArgumentError, match=words):
            function(torch.zeros(3), form=form)


def test_a_class_of_tensors_sees_the_form() -> None:
    seen: list[object] = []

    class Mine(Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            seen.append((kwargs or {}).get("form"))
            return super().__torch_function__(func, types, args, kwargs or {})

    x = normal(30).as_subclass(Mine)
    form = FORMS["shaped"]
    y = selu(x, form=form)
    assert form in seen
    expected = selu(x.as_subclass(Tensor), form=form)
    assert_close(y.as_subclass(Tensor), expected, SAME_UP_TO_ROUNDING[torch.float32])


def test_the_numbers_of_a_dtype_are_rounded_once() -> None:
    """From the exact products: with the scale rounded first, some would be another number."""
    form = FORMS["all three"]
    for p in np.linspace(0.01, 0.9, 40):
        drawn = round(p * 65536) / 65536
        scale, shift = alpha_dropout_affine(drawn, form.shift, form.variance, dropped=form.dropped)
        found = shaped(float(p), *form, torch.float32)
        with mpmath.workdps(40):
            scale, shift = mpmath.mpf(scale), mpmath.mpf(shift)
            for value, exact in (
                (found.linear, scale * form.linear),
                (found.scale, scale * form.factor),
                (found.shift, scale * form.shift + shift),
                (found.dropped, scale * form.dropped + shift),
            ):
                assert value == float(np.float32(float(exact)))
