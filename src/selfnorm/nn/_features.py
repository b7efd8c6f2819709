"""Numbers as waves of mean 0 and variance 1: time, position, coordinates."""

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
from selfnorm.nn._widths import check_sizes


class PeriodicFeatures(nn.Module):
    """Each input as whole numbers of waves: time for a flow, the hour of a day, an angle.

        output = sqrt(2) [sin(2 pi k input / period), cos(2 pi k input / period)], k = 1 to waves

    For an input that is uniform over the period each feature has mean 0 and variance 1, exactly,
    and no two correlate. (Without the root the variance is 1/2; a raw time in [0, 1] has 1/12.)

    What is 0 and what is `period` look the same. Where they must not, as with time in flow
    matching, pass twice the range as the period; the cosines' mean is then still 0, but that of odd
    sines is not.

    Args:
        in_features: Number of inputs.
        waves: How many for each.
        period: After how much all features are as before, above 0.

    Shape:
        Input (..., in_features), output (..., 2 * waves * in_features): of each input its sines,
        then its cosines.

    Raises:
        ArgumentError: a size is no whole number of 1 or more, `period` is not above 0 and finite,
            or, when called, the input has another last dimension.

    Source: Tancik et al. 2020 (arXiv 2006.10739), with variance 1.

    Example:
        >>> time = torch.arange(100).unsqueeze(1) / 100
        >>> features = PeriodicFeatures(1, waves=8)(time)
        >>> features.shape, bool((features.square().mean(0) - 1).abs().max() < 1e-5)
        (torch.Size([100, 16]), True)
    """

    def __init__(self, in_features: int, waves: int, *, period: float = 1.0) -> None:
        super().__init__()
        check_sizes(in_features=in_features, waves=waves)
        if not 0 < period < math.inf:
            raise ArgumentError(
                f"period must be above 0 and finite; got {period!r}. It is how long a wave of the "
                "first sine is."
            )
        self.in_features, self.waves, self.period = in_features, waves, period

    @property
    def out_features(self) -> int:
        """How many features come out."""
        return 2 * self.waves * self.in_features

    def forward(self, input: Tensor) -> Tensor:
        """The features."""
        if not (is_scripting() or is_tracing()):
            _check_last(input, self.in_features)
        counts = torch.arange(1, self.waves + 1, device=input.device, dtype=input.dtype)
        phases = input.unsqueeze(-1) * (2 * math.pi / self.period * counts)
        return _waves(phases).flatten(-2)

    def extra_repr(self) -> str:
        """The arguments, as `print(module)` shows them."""
        return f"in_features={self.in_features}, waves={self.waves}, period={self.period:g}"


class FourierFeatures(nn.Module):
    """Random Fourier features of variance 1: sines and cosines of random directions of the input.

        output = sqrt(2) [sin(2 pi B input), cos(2 pi B input)],  B ~ N(0, deviation^2)

    `B` is drawn once, not trained. A sine and its cosine have mean square 1; a cosine's mean over
    n standard normal inputs is `sqrt(2) (1 + (2 pi deviation)^2)^(-n/2)`: .22 for one and a
    deviation of 1, .006 for three. A large deviation lets fine detail be learned, and noise.

    Args:
        in_features: Number of inputs.
        out_features: Number of features, even.
        deviation: Standard deviation of the frequencies, above 0.
        generator: Source of the frequencies; torch's default generator if None.
        device: Where they are; torch's default device if None.
        dtype: Their dtype; torch's default if None.

    Attributes:
        frequencies: B, a buffer (out_features / 2, in_features).

    Shape:
        Input (..., in_features), output (..., out_features): the sines, then the cosines.

    Raises:
        ArgumentError: a size is no whole number of 1 or more, `out_features` is odd, `deviation`
            is not above 0 and finite, or, when called, the input has another last dimension.

    Source: Rahimi and Recht 2007; Tancik et al. 2020 (arXiv 2006.10739). With the root of 2 each
    feature has variance 1 instead of 1/2.

    Example:
        >>> layer = FourierFeatures(3, 64, generator=torch.Generator().manual_seed(0))
        >>> features = layer(torch.randn(5, 3))
        >>> features.shape, bool(((features.square().sum(1) / 64 - 1).abs() < 1e-5).all())
        (torch.Size([5, 64]), True)
    """

    frequencies: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        deviation: float = 1.0,
        generator: torch.Generator | None = None,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_sizes(in_features=in_features, out_features=out_features)
        if out_features % 2:
            raise ArgumentError(
                f"out_features must be even, sines and cosines; got {out_features}. "
                f"{out_features + 1} is."
            )
        if not 0 < deviation < math.inf:
            raise ArgumentError(
                f"deviation must be above 0 and finite; got {deviation!r}. 1 suits standardized "
                "inputs."
            )
        self.in_features, self.out_features, self.deviation = in_features, out_features, deviation
        where: dict[str, Any] = {"device": device, "dtype": dtype}
        frequencies = torch.empty(out_features // 2, in_features, **where)
        if not frequencies.is_meta:
            frequencies.normal_(0, deviation, generator=generator)
        self.register_buffer("frequencies", frequencies)

    def forward(self, input: Tensor) -> Tensor:
        """The features."""
        if not (is_scripting() or is_tracing()):
            _check_last(input, self.in_features)
        return _waves(2 * math.pi * nn.functional.linear(input, self.frequencies))

    def extra_repr(self) -> str:
        """The arguments, as `print(module)` shows them."""
        sizes = f"in_features={self.in_features}, out_features={self.out_features}"
        return f"{sizes}, deviation={self.deviation:g}"


def _waves(phases: Tensor) -> Tensor:
    return math.sqrt(2) * torch.cat([phases.sin(), phases.cos()], -1)


def _check_last(input: Tensor, features: int) -> None:
    if not input.dim() or input.shape[-1] != features:
        raise ArgumentError(
            f"The input must have {features} features in its last dimension; got shape "
            f"{tuple(input.shape)}. `unsqueeze(-1)` makes one of a single number a row."
        )
