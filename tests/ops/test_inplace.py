"""In place is in place: the same memory, and autograd notices every misuse."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from selfnorm.ops import alpha_dropout, feature_alpha_dropout, selu, selu_alpha_dropout
from selfnorm.theory import SELUForm
from support.compare import assert_close, assert_same
from support.samples import DTYPES, LAYOUTS, normal
from support.tolerances import SAME_UP_TO_ROUNDING

FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "selu": selu,
    "alpha_dropout": lambda x, inplace: alpha_dropout(x, 0.5, training=True, inplace=inplace),
    "selu_alpha_dropout": lambda x, inplace: selu_alpha_dropout(
        x, 0.5, training=True, inplace=inplace
    ),
    "feature_alpha_dropout": lambda x, inplace: feature_alpha_dropout(
        x, 0.5, training=True, inplace=inplace, spatial_dims=max(x.ndim - 1, 0)
    ),
    "shaped": lambda x, inplace: selu_alpha_dropout(
        x, 0.5, training=True, inplace=inplace, form=SELUForm(0.5, 0.5)
    ),
}
each_function = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)


@each_function
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name not in ("expanded", "0-d")])
def test_the_input_holds_the_result(
    layout: str, dtype: torch.dtype, function: Callable[..., Tensor]
) -> None:
    x = LAYOUTS[layout](dtype)
    torch.manual_seed(0)
    expected = function(x.clone(), False)
    torch.manual_seed(0)
    result = function(x, True)
    assert result is x
    assert_same(x, expected)


@each_function
def test_a_leaf_that_requires_grad_is_refused(function: Callable[..., Tensor]) -> None:
    leaf = normal(4, 4).requires_grad_()
    with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
        function(leaf, True)
    assert_same(leaf.detach(), normal(4, 4))


class Viewed(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:  # noqa: ARG004 - torch's signature
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:  # noqa: ARG004
        return grad


def viewed_without_a_graph(x: Tensor) -> Tensor:
    with torch.no_grad():
        return x[:2]


@pytest.mark.parametrize(
    "view",
    [lambda x: x.unbind(0)[0], lambda x: x.split(2)[0], Viewed.apply, viewed_without_a_graph],
    ids=["unbind", "split", "of a Function", "without a graph"],
)
@each_function
def test_views_that_torch_refuses_are_not_overwritten(
    view: Callable[[Tensor], Tensor], function: Callable[..., Tensor]
) -> None:
    """In torch's words, and with the numbers as they were."""
    x = normal(4, 4).requires_grad_() * 1
    before = x.detach().clone()
    with pytest.raises(RuntimeError) as theirs:
        torch.nn.functional.selu(view(x), inplace=True)
    with pytest.raises(RuntimeError) as ours:
        function(view(x), True)
    assert str(ours.value) == str(theirs.value)
    assert_same(x.detach(), before)


@each_function
def test_a_tensor_of_inference_mode_is_refused_outside_of_it(
    function: Callable[..., Tensor],
) -> None:
    with torch.inference_mode():
        x = normal(4, 4)
        function(x, True)
    before = x.clone()
    with pytest.raises(RuntimeError, match="Inplace update to inference tensor"):
        function(x, True)
    assert_same(x.clone(), before)


@each_function
def test_an_expanded_input_is_refused(function: Callable[..., Tensor]) -> None:
    with pytest.raises(RuntimeError, match="single memory location"):
        function(normal(3, 1).expand(3, 4), True)


@each_function
def test_overwriting_what_another_operation_keeps_is_noticed(
    function: Callable[..., Tensor],
) -> None:
    x = normal(5, 5).requires_grad_()
    kept = x.exp()
    y = function(kept, True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_overwriting_our_output_is_noticed() -> None:
    y = selu_alpha_dropout(normal(5).requires_grad_(), 0.5, training=True)
    y.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_overwriting_what_plain_selu_keeps_is_noticed() -> None:
    x = normal(5).requires_grad_() * 1
    y = selu(x)
    x.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@each_function
def test_in_place_under_vmap(function: Callable[..., Tensor]) -> None:
    x = normal(3, 5)
    expected = torch.vmap(lambda t: function(t, False), randomness="same")
    torch.manual_seed(0)
    fresh = expected(x)
    torch.manual_seed(0)
    torch.vmap(lambda t: function(t, True), randomness="same")(x)
    assert_same(x, fresh)


@pytest.mark.parametrize("name", ["selu", "selu_alpha_dropout"])
def test_a_linear_layer_needs_no_copy(name: str) -> None:
    """The output of a linear layer is not kept by it, so activation in place is sound."""
    layer = torch.nn.Linear(5, 5, dtype=torch.float64)
    x = normal(4, 5, dtype=torch.float64)
    grads = []
    for inplace in (False, True):
        torch.manual_seed(0)
        loss = FUNCTIONS[name](layer(x), inplace).pow(2).sum()
        grads.append(torch.autograd.grad(loss, layer.weight)[0])
    # Plain SELU has its derivative from the input, in place from the output.
    assert_close(grads[1], grads[0], SAME_UP_TO_ROUNDING[torch.float64])


@each_function
def test_overwriting_without_a_graph_is_noticed_too(function: Callable[..., Tensor]) -> None:
    x = normal(5, 5).requires_grad_()
    kept = x.exp()
    with torch.no_grad():
        function(kept, True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        kept.sum().backward()


@each_function
def test_a_view_changes_its_base(function: Callable[..., Tensor]) -> None:
    """Half of a tensor in place: values and gradients of both halves are right."""
    x = normal(6, 8, dtype=torch.float64).requires_grad_()
    whole = x * 1
    torch.manual_seed(4)
    function(whole[:, 2:6], True)
    (gradient,) = torch.autograd.grad(whole.pow(2).sum(), x)
    part = x.detach()[:, 2:6].clone().requires_grad_()
    torch.manual_seed(4)
    expected = function(part, False)
    assert_same(whole.detach()[:, 2:6], expected.detach())
    assert_same(whole.detach()[:, :2], x.detach()[:, :2])
    expected_gradient = 2 * x.detach()
    (expected_gradient[:, 2:6],) = torch.autograd.grad(expected.pow(2).sum(), part)
    assert_close(gradient, expected_gradient, SAME_UP_TO_ROUNDING[torch.float64])


@each_function
def test_a_view_of_a_leaf_is_refused(function: Callable[..., Tensor]) -> None:
    leaf = normal(4, 4).requires_grad_()
    with pytest.raises(RuntimeError, match="view of a leaf Variable that requires grad"):
        function(leaf[:, :2], True)
    assert_same(leaf.detach(), normal(4, 4))
