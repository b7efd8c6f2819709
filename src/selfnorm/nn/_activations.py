"""SELU as a module, alone and with alpha dropout."""

# ruff: noqa: A002 - `input` is what torch calls it

import torch
from torch import Tensor
from torch.jit import is_scripting  # pyright: ignore[reportPrivateImportUsage]
from torch.nn import functional

from selfnorm import ops
from selfnorm.theory._dropout import check_probability


class SELU(torch.nn.SELU):
    """The scaled exponential linear unit, with an exact derivative; in place, that of its output.

    It is a `torch.nn.SELU`, and what looks for one finds it. See `selfnorm.ops.selu`.

    Args:
        inplace: Write the result into the input.

    Example:
        >>> SELU()(torch.tensor([-torch.inf, -0.0, 1.0]))
        tensor([-1.7581, -0.0000,  1.0507])
    """

    def forward(self, input: Tensor) -> Tensor:
        """SELU of `input`."""
        if is_scripting():  # TorchScript compiles this branch alone
            return functional.selu(input, self.inplace)
        return ops.selu(input, self.inplace)


class SELUAlphaDropout(torch.nn.Module):
    """SELU and alpha dropout in one; keeps its output for backward and nothing else.

    The same as SELU followed by AlphaDropout; SELU alone in evaluation mode. See
    `selfnorm.ops.selu_alpha_dropout`.

    Args:
        p: Probability that a unit is dropped.
        inplace: Write the result into the input.
        generator: Where the seeds of the masks come from; torch's default generator if None, and in
            TorchScript.

    Raises:
        ArgumentError: If `p` is not in [0, 1].

    Example:
        >>> module = SELUAlphaDropout(p=0.1).eval()
        >>> x = torch.randn(8)
        >>> torch.equal(module(x), ops.selu(x))
        True
    """

    __jit_ignored_attributes__ = ("generator",)  # TorchScript cannot save one

    def __init__(
        self, p: float = 0.5, inplace: bool = False, *, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        check_probability(p)
        self.p = p
        self.inplace = inplace
        self.generator = generator

    def forward(self, input: Tensor) -> Tensor:
        """SELU of `input`, and in training alpha dropout of that."""
        if is_scripting():
            output = functional.selu(input, self.inplace)
            # Not in place: it would overwrite what selu_ keeps for the backward pass.
            return functional.alpha_dropout(output, float(self.p), self.training)
        return ops.selu_alpha_dropout(
            input, self.p, self.training, self.inplace, generator=self.generator
        )

    def extra_repr(self) -> str:
        """The arguments, as `print(module)` shows them."""
        return f"p={self.p}, inplace={self.inplace}"
