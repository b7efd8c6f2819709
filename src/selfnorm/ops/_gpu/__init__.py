"""The operations on GPU: each takes where to write first, then the arguments of the schema."""

import importlib.util
import struct
from typing import Any

import torch
from torch import Tensor

from selfnorm.ops._constants import affine, derivative, dropped_levels
from selfnorm.ops._layout import in_memory_order, on_copies
from selfnorm.ops._random import BLOCK, cut

_ELEMENTS = 1024  # a program; with four warps, eight a thread


def why_not() -> str | None:
    """Why the reference serves instead, or None if the kernels do."""
    if importlib.util.find_spec("triton") is None:
        return "triton is not installed"
    return None if torch.cuda.is_available() else "torch finds no GPU"


def selu(out: Tensor, x: Tensor) -> None:
    """SELU."""
    if not (x.is_contiguous() and out.is_contiguous()):
        return in_memory_order(selu, out, x)
    return _launch("selu", -(-x.numel() // _ELEMENTS), out, x, x.numel(), SIZE=_ELEMENTS)


def selu_backward(out: Tensor, output: Tensor, grad: Tensor, p: float) -> None:
    """The gradient of SELU, with or without alpha dropout."""
    if not (output.is_contiguous() and grad.is_contiguous() and out.is_contiguous()):
        return in_memory_order(selu_backward, out, output, grad, p)
    arguments = (output, grad, output.numel(), *_bits(*derivative(p, output.dtype)))
    programs = -(-output.numel() // _ELEMENTS)
    return _launch("selu_backward", programs, out, *arguments, SIZE=_ELEMENTS)


def selu_alpha_dropout(out: Tensor, x: Tensor, seed: Tensor, p: float) -> None:
    """SELU, then alpha dropout."""
    levels = dropped_levels(p)
    if levels == 0:
        return selu(out, x)
    if not (x.is_contiguous() and out.is_contiguous()):
        return on_copies(selu_alpha_dropout, out, x, seed, p)
    return _by_blocks(out, x, seed, levels, _bits(*affine(p, x.dtype)), SELU=True)


def alpha_dropout(
    out: Tensor, x: Tensor, seed: Tensor, p: float, shared: int, linear: bool
) -> None:
    """Alpha dropout, of single elements or of the last `shared` dimensions as one."""
    levels = dropped_levels(p)
    if levels == 0:
        out.copy_(x)
        return None
    if not (x.is_contiguous() and out.is_contiguous()):
        return on_copies(alpha_dropout, out, x, seed, p, shared, linear)
    scale, shift, dropped = affine(p, x.dtype)
    if linear:  # adding -0 leaves the sign of a zero alone
        shift, dropped = -0.0, 0.0
    numbers = _bits(scale, shift, dropped)
    inner = x.shape[x.ndim - shared :].numel() if shared else 1
    if inner == 1:
        return _by_blocks(out, x, seed, levels, numbers, SELU=False)
    return _by_channels(out, x, seed, levels, numbers, inner)


def _by_blocks(
    out: Tensor, x: Tensor, seed: Tensor, levels: int, numbers: tuple[int, ...], *, SELU: bool
) -> None:
    if not x.numel():
        return
    seeds = seed.contiguous()
    count = x.numel() // seeds.numel()
    blocks_each = -(-count // BLOCK)
    units = seeds.numel() * blocks_each
    # So that each of a thread's four runs is 16 bytes long or more.
    blocks = 8 if x.element_size() == 2 else 4
    arguments = (out, x, seeds, count, blocks_each, units, cut(levels), *numbers)
    known = {"SELU": SELU, "ONE": seeds.numel() == 1, "BLOCKS": blocks}
    _launch("by_blocks", -(-units // blocks), *arguments, **known)


def _by_channels(
    out: Tensor, x: Tensor, seed: Tensor, levels: int, numbers: tuple[int, ...], inner: int
) -> None:
    if not x.numel():
        return
    seeds = seed.contiguous()
    channels = x.numel() // inner
    columns = min(_ELEMENTS, 1 << (inner - 1).bit_length())
    rows = _ELEMENTS // columns
    across = -(-inner // columns)
    sizes = (channels // seeds.numel(), channels, inner, across)
    arguments = (out, x, seeds, *sizes, cut(levels), *numbers)
    programs = -(-channels // rows) * across
    _launch("by_channels", programs, *arguments, ROWS=rows, COLUMNS=columns)


def _launch(name: str, programs: int, out: Tensor, *arguments: Any, **known: Any) -> None:
    from selfnorm.ops._gpu import _kernels  # noqa: PLC0415 - triton is slow to import

    if not out.numel():
        return
    with torch.cuda.device_of(out):
        kernel = getattr(_kernels, name)[(programs,)]
        # Products and sums that shall be one operation are written as one.
        kernel(out, *arguments, **known, enable_fp_fusion=False)


def _bits(*numbers: float) -> tuple[int, ...]:
    """The bits of float64 numbers, in which form kernels take them."""
    return struct.unpack(f"{len(numbers)}q", struct.pack(f"{len(numbers)}d", *numbers))
