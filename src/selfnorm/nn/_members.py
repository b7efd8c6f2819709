"""Linear layers of several networks of one shape, as one module."""

# ruff: noqa: A002 - `input` is what torch calls it

from typing import Any

import torch
from torch import Tensor, nn
from torch.jit import (
    is_scripting,  # pyright: ignore[reportPrivateImportUsage]
    is_tracing,  # pyright: ignore[reportPrivateImportUsage]
)

from selfnorm.errors import ArgumentError
from selfnorm.init import initialize_
from selfnorm.init._layers import Constant, Entry, Weight, entries
from selfnorm.nn._widths import check_sizes
from selfnorm.ops._chain import product


class MemberLinear(nn.Module):
    """As many linear layers as there are members, each with weights of its own, in one product.

        output[k] = input[k] @ weight[k].T + bias[k]

    `selfnorm.init.initialize_` and `selfnorm.optim.keep_orthogonal` see a matrix for each member.
    The weights start LeCun-normal, the biases from zero.

    Args:
        members: How many.
        in_features: Number of inputs of each.
        out_features: Number of outputs of each.
        bias: Whether there is one.
        generator: Source of the weights; torch's default generator if None.
        device: Where the parameters are; torch's default device if None.
        dtype: Their dtype; torch's default if None.

    Shape:
        Input (members, rows, in_features), or (rows, in_features) that all members read; output
        (members, rows, out_features). `weight` is (members, out_features, in_features), `bias`
        (members, out_features).

    Raises:
        ArgumentError: a size is no whole number of 1 or more, or, when called, the input has
            another number of dimensions or of members.

    Example:
        >>> layer = MemberLinear(3, 8, 2)
        >>> x = torch.randn(5, 8)
        >>> y = layer(x)
        >>> y.shape, torch.allclose(y[1], x @ layer.weight[1].T + layer.bias[1], atol=1e-6)
        (torch.Size([3, 5, 2]), True)
    """

    bias: nn.Parameter | None

    def __init__(
        self,
        members: int,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        generator: torch.Generator | None = None,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_sizes(members=members, in_features=in_features, out_features=out_features)
        self.members, self.in_features, self.out_features = members, in_features, out_features
        where: dict[str, Any] = {"device": device, "dtype": dtype}
        self.weight = nn.Parameter(torch.empty(members, out_features, in_features, **where))
        if bias:
            self.bias = nn.Parameter(torch.empty(members, out_features, **where))
        else:
            self.register_parameter("bias", None)
        if not self.weight.is_meta:
            initialize_(self, generator=generator)

    def forward(self, input: Tensor) -> Tensor:
        """Each member's outputs."""
        if is_scripting():  # TorchScript compiles this branch alone
            return product(input, self.weight, self.bias)
        shape = input.shape
        fits = len(shape) == 2 or (
            len(shape) == 3 and (is_tracing() or shape[0] == self.members)  # a tensor in a trace
        )
        if not fits:
            raise ArgumentError(
                "Members read (members, rows, features), or (rows, features) that all read; got "
                f"{tuple(shape)} for {self.members} members. Flatten or expand it."
            )
        return product(input, self.weight, self.bias)

    def member(self, number: int) -> nn.Linear:
        """One member's layer, with values of its own."""
        layer = nn.Linear(
            self.in_features, self.out_features, bias=self.bias is not None, device="meta"
        )
        layer.weight = _one(self.weight, number)
        if self.bias is not None:
            layer.bias = _one(self.bias, number)
        return layer

    def extra_repr(self) -> str:
        """The arguments, as `print(module)` shows them."""
        sizes = f"in_features={self.in_features}, out_features={self.out_features}"
        return f"members={self.members}, {sizes}, bias={self.bias is not None}"


@entries.register(MemberLinear)
def _(_module: MemberLinear) -> list[Entry]:
    """A matrix for each member, whose rows are units."""
    return [Weight("weight", views=lambda weight: [weight]), Constant("bias")]


def _one(parameter: nn.Parameter, number: int) -> nn.Parameter:
    values = parameter.detach()[number].clone()
    return nn.Parameter(values, requires_grad=parameter.requires_grad)
