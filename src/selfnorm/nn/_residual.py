"""Residual branches whose sum keeps the variance."""

# ruff: noqa: A002 - `input` is what torch calls it

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.jit import (
    is_scripting,  # pyright: ignore[reportPrivateImportUsage]
    is_tracing,  # pyright: ignore[reportPrivateImportUsage]
)

from selfnorm.errors import ArgumentError
from selfnorm.init._layers import Constant, Entry, entries


class Residual(nn.Module):
    """The sum of a shortcut and a branch, weighed so that it has the variance of either.

        output = sqrt(1 - share) * shortcut(input) + sqrt(share) * branch(input)

    Of two independent parts of variance 1 the plain sum has variance 2, and after ten blocks 1,024.
    This one has 1 for any share. A small share makes a deep stack nearly the identity at first,
    which trains the more easily the deeper it is.

    A learnable share is that of an angle, sin(angle)^2, so that whatever training makes of it, the
    sum keeps the variance.

    Args:
        branch: What is added; it should end with SELU or another part of mean 0 and variance 1.
        shortcut: What the input passes beside it, for example a linear layer where widths differ;
            the input itself if None.
        share: The branch's part of the variance, in [0, 1]. Of L blocks in a row, 1 / L leaves the
            input about e^-1 of the variance at the end.
        learnable: Whether the share is trained.

    Attributes:
        initial_share: What it was made with, and what `selfnorm.init.initialize_` goes back to.
        angle: The share's, a parameter of shape () if it is learnable, else a buffer
            that is not saved.

    Shape:
        Any that `branch` and `shortcut` take; both must give the same.

    Raises:
        ArgumentError: `share` is not in [0, 1], or, when called, branch and shortcut give different
            shapes.

    Source: Hoedt, Hochreiter and Klambauer 2022, "Normalization is dead, long live normalization!"
    (ICLR blog track), for the scaled sum.

    Example:
        >>> block = Residual(nn.Identity(), nn.Identity(), share=0.36)
        >>> block(torch.ones(2))
        tensor([1.4000, 1.4000])
    """

    angle: Tensor

    def __init__(
        self,
        branch: nn.Module,
        shortcut: nn.Module | None = None,
        *,
        share: float = 0.5,
        learnable: bool = False,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= share <= 1:
            raise ArgumentError(
                f"share must be in [0, 1], the branch's part of the variance; got {share!r}. "
                "0.5 weighs both alike."
            )
        self.branch = branch
        self.shortcut = nn.Identity() if shortcut is None else shortcut
        where: dict[str, Any] = {"device": device, "dtype": dtype}
        self.initial_share = share
        angle = torch.tensor(_angle(share), **where)
        if learnable:
            self.angle = nn.Parameter(angle)
        else:
            self.register_buffer("angle", angle, persistent=False)  # an argument, like a rate

    @property
    def share(self) -> float:
        """The branch's part of the variance, as it is now."""
        return math.sin(float(self.angle.detach())) ** 2

    def forward(self, input: Tensor) -> Tensor:
        """The weighed sum."""
        kept, added = self.shortcut(input), self.branch(input)
        if is_scripting() or is_tracing():  # shapes are tensors in a trace
            return self.angle.cos() * kept + self.angle.sin() * added
        if kept.shape != added.shape:
            raise ArgumentError(
                f"Branch and shortcut must give one shape; got {tuple(added.shape)} and "
                f"{tuple(kept.shape)}. Pass a `shortcut` that changes the width, too."
            )
        return self.angle.cos() * kept + self.angle.sin() * added

    def extra_repr(self) -> str:
        """The arguments, as `print(module)` shows them."""
        return f"share={self.share:.3g}, learnable={isinstance(self.angle, nn.Parameter)}"


@entries.register(Residual)
def _(module: Residual) -> list[Entry]:
    """The share that it was made with."""
    return [Constant("angle", _angle(module.initial_share))]


def _angle(share: float) -> float:
    return math.asin(math.sqrt(share))
