"""Derivatives of every order, forward and reverse, and what is kept for them."""

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad, gradcheck, gradgradcheck
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vmap

from selfnorm.ops import _reference, alpha_dropout, selu, selu_alpha_dropout
from selfnorm.ops._constants import derivative
from selfnorm.ops._library import OPS
from selfnorm.theory import SELUForm
from support.compare import assert_close, assert_same
from support.samples import DTYPES, normal
from support.tolerances import SAME_UP_TO_ROUNDING

SEED = torch.tensor(12)
P = 0.4
SHAPED, SHIFTED = SELUForm(0.5, 0.5), SELUForm(0.0, 0.966, -0.258)
# torch's forward mode scripts its own decompositions when it is first used.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")


def in_place(operation: Callable[..., Tensor], *arguments: object) -> Callable[[Tensor], Tensor]:
    """An operation written over its input, as where somebody listens."""

    def run(x: Tensor) -> Tensor:
        x = x.clone()
        return x.copy_(operation(x, *arguments))

    return run


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "selu": selu,
    "selu_": lambda x: selu(x.clone(), inplace=True),
    "selu operation": OPS.selu,
    "selu without dropout": lambda x: OPS.selu_alpha_dropout(x, None, 0.0),
    "selu_alpha_dropout": lambda x: OPS.selu_alpha_dropout(x, SEED, P),
    "selu_alpha_dropout_": in_place(OPS.selu_alpha_dropout, SEED, P),
    "alpha_dropout": lambda x: OPS.alpha_dropout(x, SEED, P, 0, False),
    "alpha_dropout_": in_place(OPS.alpha_dropout, SEED, P, 0, False),
    "feature_alpha_dropout": lambda x: OPS.alpha_dropout(x, SEED, P, 1, False),
    "shaped_selu": lambda x: OPS.shaped_selu(x, None, 0.0, *SHAPED),
    "shaped_selu dropped": lambda x: OPS.shaped_selu(x, SEED, P, *SHIFTED),
}
each_function = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)


def seeded(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The short way, with the same mask in every call."""
    return lambda x, **more: function(
        x, P, True, generator=torch.Generator().manual_seed(12), **more
    )


EVERYDAY: dict[str, Callable[[Tensor], Tensor]] = {
    "selu_alpha_dropout": seeded(selu_alpha_dropout),
    "selu_alpha_dropout_": lambda x: seeded(selu_alpha_dropout)(x.clone(), inplace=True),
    "alpha_dropout": seeded(alpha_dropout),
    "alpha_dropout_": lambda x: seeded(alpha_dropout)(x.clone(), inplace=True),
    "shaped": lambda x: selu(x, form=SHAPED),
    "shaped dropped": lambda x: seeded(selu_alpha_dropout)(x, form=SHAPED),
    "shaped dropped_": lambda x: seeded(selu_alpha_dropout)(x.clone(), inplace=True, form=SHAPED),
}
each_in_reverse = pytest.mark.parametrize(
    "function",
    [*FUNCTIONS.values(), *EVERYDAY.values()],
    ids=[*FUNCTIONS, *(f"everyday {name}" for name in EVERYDAY)],
)


def sample() -> Tensor:
    """Away from 0, where the derivative jumps."""
    x = normal(6, 5, dtype=torch.float64)
    return (x + 0.1 * x.sign()).requires_grad_()


@each_in_reverse
def test_first_and_second_order(function: Callable[[Tensor], Tensor]) -> None:
    x = sample()
    assert gradcheck(function, x, check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(function, x, check_fwd_over_rev=True, check_rev_over_rev=True)


@each_in_reverse
def test_third_order(function: Callable[[Tensor], Tensor]) -> None:
    def gradient(x: Tensor) -> Tensor:
        return torch.autograd.grad(function(x).pow(2).sum(), x, create_graph=True)[0]

    assert gradgradcheck(gradient, sample())


@each_function
def test_function_transforms_agree(function: Callable[[Tensor], Tensor]) -> None:
    x = sample().detach()[:, :2]

    def loss(t: Tensor) -> Tensor:
        return function(t).pow(3).sum()

    expected = torch.autograd.functional.hessian(loss, x)
    for transform in (hessian, lambda f: jacfwd(jacfwd(f)), lambda f: jacrev(jacrev(f))):
        assert_close(transform(loss)(x), expected, SAME_UP_TO_ROUNDING[torch.float64])
    tangent = normal(6, 2, dtype=torch.float64, seed=9)
    by_jvp = jvp(loss, (x,), (tangent,))[1]
    by_grad = (grad(loss)(x) * tangent).sum()
    assert_close(by_jvp, by_grad, SAME_UP_TO_ROUNDING[torch.float64])


@each_function
@pytest.mark.parametrize("modes", list(itertools.product("fr", repeat=3)), ids="".join)
def test_third_order_by_nested_transforms(
    function: Callable[[Tensor], Tensor], modes: tuple[str, ...]
) -> None:
    """Forward and reverse mode in any order, outermost first."""
    x = sample().detach()[:2, :2]

    def loss(t: Tensor) -> Tensor:
        return function(t).pow(4).sum()

    def nested(*transforms: Callable[..., Callable[[Tensor], Tensor]]) -> Tensor:
        found: Callable[[Tensor], Tensor] = loss
        for transform in reversed(transforms):
            found = transform(found)
        return found(x)

    expected = nested(jacrev, jacrev, jacrev)
    assert expected.any()
    result = nested(*({"f": jacfwd, "r": jacrev}[mode] for mode in modes))
    assert_close(result, expected, SAME_UP_TO_ROUNDING[torch.float64])


@each_function
@pytest.mark.parametrize("dim", [0, 1])
def test_per_sample_gradients(function: Callable[[Tensor], Tensor], dim: int) -> None:
    x = sample().detach().view(3, 5, 2)

    def loss(t: Tensor) -> Tensor:
        return function(t).pow(2).sum()

    batched = vmap(grad(loss), in_dims=dim)(x)
    alone = torch.stack([grad(loss)(t) for t in x.unbind(dim)])
    assert_close(batched, alone, SAME_UP_TO_ROUNDING[torch.float64])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("p", [0.0, 0.05, 0.1, 0.5])
def test_saturated_and_dropped_units_have_gradient_zero(p: float, dtype: torch.dtype) -> None:
    x = torch.cat((normal(4000, dtype=dtype), torch.full((4000,), -1000.0, dtype=dtype)))
    x.requires_grad_()
    z = selu_alpha_dropout(x, p, training=True, generator=torch.Generator().manual_seed(1))
    (gradient,) = torch.autograd.grad(z, x, torch.ones_like(z))
    at_floor = z.detach() == derivative(p, dtype).floor
    assert at_floor[4000:].all()
    assert at_floor[:4000].any() or p == 0
    assert_same(gradient[at_floor], torch.zeros(int(at_floor.sum()), dtype=dtype))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("p", [0.0, 0.05, 0.1, 0.5])
def test_the_reference_too_is_exactly_zero_at_the_floor(p: float, dtype: torch.dtype) -> None:
    """Its tail, what the floor lost in rounding, is far below every tolerance."""
    output = torch.full((3,), derivative(p, dtype).floor, dtype=dtype)
    assert not _reference.selu_backward(output, torch.ones_like(output), p).any()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("p", [0.0, 0.1])
def test_the_output_is_enough(p: float, dtype: torch.dtype) -> None:
    """Against the derivative computed from the input, in float64.

    It differs by what the output lost in rounding: nothing where SELU is linear, one unit of the
    output's rounding below.
    """
    x = normal(4000, dtype=dtype)
    x = x[x.abs() > 0.05].requires_grad_()
    z = selu_alpha_dropout(x, p, training=True, generator=torch.Generator().manual_seed(1))
    (gradient,) = torch.autograd.grad(z.sum(), x)
    slope = derivative(p, dtype).slope
    wide = x.detach().double()
    exact = torch.where(wide > 0, slope, slope * 1.6732632423543772 * wide.exp())
    exact[z.detach() == derivative(p, dtype).floor] = 0.0
    assert_close(gradient, exact, SAME_UP_TO_ROUNDING[dtype])


def test_nan_reaches_the_gradient() -> None:
    x = torch.tensor([torch.nan, 1.0], requires_grad=True)
    for function in (selu, lambda t: selu_alpha_dropout(t, 0.5, training=True)):
        (gradient,) = torch.autograd.grad(function(x).sum(), x)
        assert gradient.isnan().tolist() == [True, False]


def test_a_kept_value_that_looks_dropped_passes_its_gradient() -> None:
    """A saturated input equals the dropped value; the mask says that it was kept."""
    x = torch.full((1000,), -1.7580993408473766, requires_grad=True)
    z = alpha_dropout(x, 0.5, training=True, generator=torch.Generator().manual_seed(1))
    assert len(z.unique()) == 1
    (gradient,) = torch.autograd.grad(z.sum(), x)
    assert len(gradient.unique()) == 2


def kept_bytes(function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[int, set[int]]:
    """Bytes that a call keeps for backward, and where they lie."""
    kept: dict[int, int] = {}

    def pack(t: Tensor) -> Tensor:
        kept[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        y = function(x)
    kept.pop(y.untyped_storage().data_ptr(), None)
    return sum(kept.values()), set(kept)


@pytest.mark.parametrize("p", [0.0, 0.5])
def test_nothing_but_the_output_is_kept(p: float) -> None:
    x = normal(1000).requires_grad_()
    assert kept_bytes(lambda t: selu_alpha_dropout(t, p, training=True), x)[0] == 0
    seed_bytes = 8 if p else 0
    assert kept_bytes(lambda t: alpha_dropout(t * 1, p, training=True), x)[0] == seed_bytes


def test_forward_mode_in_place() -> None:
    x, tangent = normal(50, dtype=torch.float64), normal(50, dtype=torch.float64, seed=1)
    with forward_ad.dual_level():
        fresh = forward_ad.unpack_dual(selu(forward_ad.make_dual(x, tangent))).tangent
        dual = forward_ad.make_dual(x.clone(), tangent.clone())
        in_place = forward_ad.unpack_dual(selu(dual, inplace=True)).tangent
    assert_same(in_place, fresh)
