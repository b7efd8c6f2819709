"""Kernels of convolutions that are orthogonal as operators: on the whole image, not on one window.

A convolution multiplies a wave of frequency w by the matrix `F(w) = sum_t K_t e^{-i w t}`, so it is
an isometry if each F(w) is one: K is *paraunitary*. Products of such are such, and the factor
`P + (I - P) z` of an orthogonal projection P is one of two taps (Vaidyanathan 1993, *Multirate
Systems and Filter Banks*, section 14). An orthogonal matrix and, along each dimension, one factor
for each further tap give a kernel of any size. In turn along two dimensions they are the blocks
`[[PQ, P(I-Q)], [(I-P)Q, (I-P)(I-Q)]]` of Xiao et al. 2018, section 2.4.
"""

import math
from numbers import Integral
from typing import cast

import torch
from torch import Tensor

from selfnorm.errors import ArgumentError
from selfnorm.init._distributions import Draw, check_dims, check_drawable, standard
from selfnorm.init._orthogonal import orthogonal
from selfnorm.init._tensors import as_stored, blank


def orthogonal_convolution_(
    tensor: Tensor, *, groups: int = 1, generator: torch.Generator | None = None
) -> Tensor:
    """Fill the kernel of a convolution in place, so that it is orthogonal as an operator.

    `lecun_orthogonal_` makes the map of one window orthogonal; but windows overlap, and a pattern
    that repeats may be amplified all the same. Here the convolution of the whole image has equal
    singular values: with stride 1 and circular padding, of any image and with any dilation,

    * `out <= in`: all are 1, `W W^T = I`. `tau = 1` for each unit, up to rounding.
    * `out > in`: all are `sqrt(out / in)`. The mean of `(W x)**2` over units and places is that of
      `x**2`, for *every* input x; tau is 1 on average over the units.

    So weights have mean square 1/fan_in, as all of LeCun's have. With zeros as padding, or none,
    nothing is amplified, and what leaves over the border is lost. With a larger stride or
    transposed it is not orthogonal.

    Along each dimension of three taps the middle one holds about half of the squares. One channel
    alone can only be shifted, so a depthwise convolution has one weight a channel, in the middle.

    Args:
        tensor: Kernel of shape `(out, in / groups, *kernel)`, as in `torch.nn.Conv1d`, `Conv2d` and
            `Conv3d`; see `lecun_normal_`. Drawn in float64; see `lecun_orthogonal_`. Without
            dimensions of a kernel, or with a kernel of 1, it is an orthogonal matrix.
        groups: Number of kernels below each other.
        generator: Source of random numbers, on the tensor's device; torch's default if None.

    Returns:
        The same tensor.

    Raises:
        ArgumentError: As for `lecun_normal_`; or `groups` is no whole number of 1 or more, or does
            not divide `out`.
        UnsupportedError: As for `lecun_normal_`.

    Source: Xiao et al. 2018, *Dynamical isometry and a mean field theory of CNNs*, section 2.4
    (arXiv 1806.05393); Li et al. 2019, *Preventing gradient attenuation in Lipschitz constrained
    convolutional networks*, for all kernels that arise so (arXiv 1911.00937).

    Example:
        >>> layer = torch.nn.Conv2d(3, 12, 3, padding=1, padding_mode="circular", bias=False)
        >>> _ = orthogonal_convolution_(layer.weight)
        >>> x = torch.arange(300.0).view(1, 3, 10, 10)
        >>> mean_square = layer(x).square().mean()
        >>> bool((mean_square / x.square().mean() - 1).abs() < 1e-5)
        True
    """
    what, draw = "the tensor", Draw("isometric", generator=generator)
    check_drawable(tensor, draw, what)
    check_dims(tensor, 0)
    _check_groups(tensor, groups)
    if tensor.is_meta or tensor.numel() == 0:
        return tensor
    with torch.no_grad():
        values = blank(tensor, tensor.device)
        fill_operators_(values.unflatten(0, (int(groups), -1)), draw)
        tensor.copy_(as_stored(values, tensor, what))
    return tensor


def fill_operators_(weight: Tensor, draw: Draw) -> None:
    """Draw kernels `(kernels, units, inputs, *kernel)` in place."""
    count, units, inputs, *kernel = weight.shape
    size = max(units, inputs)
    if units < inputs:  # its transposed has orthonormal columns
        weight = weight.transpose(1, 2)

    def isometry(columns: int) -> Tensor:
        shape = torch.Size((count, size, columns))
        return orthogonal(standard(shape, weight.device, draw))

    first = isometry(min(units, inputs))
    values = first.new_zeros(weight.shape)
    values[(..., *(0 for _ in kernel))] = first
    for turn in range(max(kernel, default=1) - 1):
        for dim, taps in enumerate(kernel, start=3):
            if turn < taps - 1:
                basis = isometry((size + turn % 2) // 2)
                stays = (basis @ (basis.mT @ values.flatten(2))).view_as(values)
                values = stays + (values - stays).roll(1, dim)
    weight.copy_(values.mul_(math.sqrt(size / inputs)))


def _check_groups(tensor: Tensor, groups: int) -> None:
    given = cast("object", groups)
    wrong = isinstance(given, bool) or not isinstance(given, Integral) or given < 1
    if wrong or tensor.shape[0] % groups:
        raise ArgumentError(
            f"groups is the number of kernels below each other, which divides the units; got "
            f"{given!r} for a tensor of shape {tuple(tensor.shape)}. Leave it out for one."
        )
