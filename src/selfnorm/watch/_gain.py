"""What the units of a linear layer or a convolution sum: the mean square of these terms."""

import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from selfnorm.watch._products import PRODUCTS

_PRODUCTS = PRODUCTS | {"linear"}
_CONVOLUTION = re.compile(r"conv(_transpose)?[123]d")
_GEOMETRY = ("stride", "padding", "output_padding", "dilation")


@torch.no_grad()
def terms_square(name: str, given: Mapping[str, Any], value: Tensor) -> float:
    """Mean square of the terms that a unit sums, over all outputs; nan if it cannot be had.

    Of a convolution: the mean square over channels, convolved with a kernel that takes the mean
    over a window, so that edges, strides and padding count as often as they do.

    Args:
        name: The function's plain name.
        given: Its arguments by name.
        value: What it reads, if `given` does not say.
    """
    value = given.get("input", value)
    wide = torch.promote_types(value.dtype, torch.float32)
    if name in _PRODUCTS and given.get("beta", 1) == 1:
        size = float(torch.linalg.vector_norm(value, dtype=wide))
        return size * size / value.numel()
    if not _CONVOLUTION.fullmatch(name):
        return math.nan
    taps = _mean_of_taps(name, given).to(value.device, wide)
    channels = -taps.ndim + 1
    squares = torch.linalg.vector_norm(value, dim=channels, keepdim=True, dtype=wide).square_()
    squares /= value.shape[channels]
    geometry = {key: given[key] for key in _GEOMETRY if key in given}
    return float(getattr(functional, name)(squares, taps, **geometry).double().mean())


def _mean_of_taps(name: str, given: Mapping[str, Any]) -> Tensor:
    """A kernel of one channel: each tap by how many of them an output sums."""
    kernel = given["weight"].shape[2:]
    stride, dilation = (
        (value,) * len(kernel)
        if isinstance(value, int)
        else tuple(value) * (len(kernel) // len(value))
        for value in (given.get("stride", 1), given.get("dilation", 1))
    )
    taps = torch.ones(1, 1, *kernel, dtype=torch.float64, device="cpu")
    for dim, (size, step, apart) in enumerate(zip(kernel, stride, dilation, strict=True), 2):
        period = step // math.gcd(step, apart) if "transpose" in name else 1
        counts = [len(range(k % period, size, period)) for k in range(size)]
        shape = [1] * taps.ndim
        shape[dim] = size
        taps /= torch.tensor(counts, dtype=torch.float64, device="cpu").view(shape)
    return taps
