"""SELU as a module, alone and with alpha dropout, and in other forms."""

# ruff: noqa: A002 - `input` is what torch calls it

import torch
from torch import Tensor
from torch.jit import is_scripting  # pyright: ignore[reportPrivateImportUsage]
from torch.nn import functional

from selfnorm import ops
from selfnorm.ops._chain import behind
from selfnorm.theory._dropout import check_probability
from selfnorm.theory._shaped import GROWTH, form_of


class SELU(torch.nn.SELU):
    """The scaled exponential linear unit, with an exact derivative; in place, that of its output.

    It is a `torch.nn.SELU`, and what looks for one finds it. See `selfnorm.ops.selu`.

    Behind each layer the second moment of gradients is 1.07 times what it was. Two other forms of
    SELU hold that growth:

    - for a `depth`, SELU with a line mixed in, so that all layers together multiply it by `growth`;
      (0, 1) stays the fixed point of mean and variance. See `selfnorm.theory.shaped_selu`;
    - `bidirectional`, SELU scaled and shifted, which keeps it and a mean square of 1 at any depth;
      the mean is -.26. See `selfnorm.theory.selu_constants`, `gradient_gain=1`.

    In place, they work on a copy of the input where a gradient is wanted.

    Args:
        inplace: Write the result into the input.
        depth: How many layers of the network have this activation; where they are few, it is SELU.
        growth: With a depth, the factor on the second moment of gradients over all of them, above
            1; infinite for SELU itself.
        bidirectional: Keep the second moment of gradients.

    Attributes:
        form: The form as a `selfnorm.theory.SELUForm`; None where it is SELU itself.

    Raises:
        ArgumentError: If `depth` is no whole number from 1 to 10^9, `growth` is not above 1, or
            both `depth` and `bidirectional` are given.

    Source: Klambauer et al. 2017, Eq. 2; as `shaped_selu` and `selu_constants` for the others.

    Example:
        >>> SELU()(torch.tensor([-torch.inf, -0.0, 1.0]))
        tensor([-1.7581, -0.0000,  1.0507])
        >>> SELU(depth=1000)
        SELU(depth=1000, blend=0.0983)
    """

    def __init__(
        self,
        inplace: bool = False,
        *,
        depth: int | None = None,
        growth: float = GROWTH,
        bidirectional: bool = False,
    ) -> None:
        super().__init__(inplace)
        self.depth, self.growth = depth, growth
        self.form = form_of(depth, growth, bidirectional=bidirectional)

    def forward(self, input: Tensor) -> Tensor:
        """SELU of `input`, in the module's form."""
        if is_scripting():  # TorchScript compiles this branch alone
            if self.form is not None:
                if self.inplace:
                    return input.copy_(_shaped(input.clone(), self.form))
                return _shaped(input, self.form)
            return functional.selu(input, self.inplace)
        return ops.selu(input, self.inplace, form=self.form)

    def extra_repr(self) -> str:
        """The arguments, as `print(module)` shows them."""
        inplace = super().extra_repr()
        return ", ".join([*([inplace] if inplace else []), *_told(self)])


class SELUAlphaDropout(torch.nn.Module):
    """SELU and alpha dropout in one; keeps its output for backward and nothing else.

    The same as SELU followed by AlphaDropout; SELU alone in evaluation mode. See
    `selfnorm.ops.selu_alpha_dropout`. In another form it keeps its input and a seed.

    Args:
        p: Probability that a unit is dropped.
        inplace: Write the result into the input.
        depth: As of `SELU`, and so are the next two.
        growth: Likewise.
        bidirectional: Likewise.
        generator: Where the seeds of the masks come from; torch's default generator if None, and in
            TorchScript.

    Attributes:
        form: The form as a `selfnorm.theory.SELUForm`; None where it is SELU itself.

    Raises:
        ArgumentError: If `p` is not in [0, 1], or as `SELU`.

    Example:
        >>> module = SELUAlphaDropout(p=0.1).eval()
        >>> x = torch.randn(8)
        >>> torch.equal(module(x), ops.selu(x))
        True
    """

    __jit_ignored_attributes__ = ("generator",)  # TorchScript cannot save one

    def __init__(
        self,
        p: float = 0.5,
        inplace: bool = False,
        *,
        depth: int | None = None,
        growth: float = GROWTH,
        bidirectional: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        check_probability(p)
        self.p = p
        self.inplace = inplace
        self.depth, self.growth = depth, growth
        self.form = form_of(depth, growth, bidirectional=bidirectional)
        self.generator = generator

    def forward(self, input: Tensor) -> Tensor:
        """SELU of `input` in the module's form, and in training alpha dropout of that."""
        if is_scripting():
            if self.form is not None:
                x = input.clone() if self.inplace else input
                z = _shaped_dropout(x, float(self.p), self.training, self.form)
                return input.copy_(z) if self.inplace else z
            output = functional.selu(input, self.inplace)
            # Not in place: it would overwrite what selu_ keeps for the backward pass.
            return functional.alpha_dropout(output, float(self.p), self.training)
        before = vars(self).get("members_before", 0) if self.training else 0
        if before:  # of more members than are here, as processes that spread them have
            x = behind(input, before)
            form, generator = self.form, self.generator
            return ops.selu_alpha_dropout(x, self.p, True, form=form, generator=generator)[before:]
        return ops.selu_alpha_dropout(
            input, self.p, self.training, self.inplace, form=self.form, generator=self.generator
        )

    def extra_repr(self) -> str:
        """The arguments, as `print(module)` shows them."""
        return ", ".join([f"p={self.p}", f"inplace={self.inplace}", *_told(self)])


def _told(module: SELU | SELUAlphaDropout) -> list[str]:
    """The form's arguments, and how much of it is SELU."""
    form, told = module.form, list[str]()
    if module.depth is not None:
        told.append(f"depth={module.depth}")
        told += [f"growth={module.growth:g}"] if module.growth != GROWTH else []
    if form is not None and form.linear:
        told.append(f"blend={form.blend:.3g}")
    return told + (["bidirectional=True"] if form is not None and not form.linear else [])


def _shaped(x: Tensor, form: tuple[float, float, float]) -> Tensor:
    """A form of SELU in torch's operations, which TorchScript compiles."""
    linear, factor, shift = form
    z = functional.selu(x) * factor + shift
    return z + x * linear if linear > 0 else z  # 0 times infinity would be nan


def _shaped_dropout(
    x: Tensor, p: float, training: bool, form: tuple[float, float, float]
) -> Tensor:
    """The same with torch's alpha dropout, where mean and variance are 0 and 1."""
    linear, factor, shift = form
    if linear > 0:
        return functional.alpha_dropout(_shaped(x, form), p, training)
    return functional.alpha_dropout(functional.selu(x), p, training) * factor + shift
