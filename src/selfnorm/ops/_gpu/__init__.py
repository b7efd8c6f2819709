"""The operations on GPU: each takes where to write first, then the arguments of the schema."""

import importlib.util
from functools import lru_cache
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
    numbers = _numbers(derivative(p, output.dtype), output.device)
    count = output.numel()
    programs = -(-count // _ELEMENTS)
    return _launch("selu_backward", programs, out, output, grad, numbers, count, SIZE=_ELEMENTS)


def selu_alpha_dropout(out: Tensor, x: Tensor, seed: Tensor, p: float) -> None:
    """SELU, then alpha dropout."""
    levels = dropped_levels(p)
    if levels == 0:
        return selu(out, x)
    if not (x.is_contiguous() and out.is_contiguous()):
        return on_copies(selu_alpha_dropout, out, x, seed, p)
    numbers = _numbers(affine(p, x.dtype), x.device)
    return _by_blocks(out, x, seed, numbers, levels, SELU=True)


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
    numbers = _numbers((scale, shift, dropped), x.device)
    inner = x.shape[x.ndim - shared :].numel() if shared else 1
    if inner == 1:
        return _by_blocks(out, x, seed, numbers, levels, SELU=False)
    return _by_channels(out, x, seed, numbers, levels, inner)


def _by_blocks(
    out: Tensor, x: Tensor, seed: Tensor, numbers: Tensor, levels: int, *, SELU: bool
) -> None:
    if not x.numel():
        return
    seeds = seed.contiguous()
    count = x.numel() // seeds.numel()
    blocks_each = -(-count // BLOCK)
    units = seeds.numel() * blocks_each
    # So that each of a thread's four runs is 16 bytes long or more.
    blocks = 8 if x.element_size() == 2 else 4
    arguments = (out, x, seeds, numbers, count, blocks_each, units, cut(levels))
    known = {"SELU": SELU, "ONE": seeds.numel() == 1, "BLOCKS": blocks}
    _launch("by_blocks", -(-units // blocks), *arguments, **known)


def _by_channels(
    out: Tensor, x: Tensor, seed: Tensor, numbers: Tensor, levels: int, inner: int
) -> None:
    if not x.numel():
        return
    seeds = seed.contiguous()
    channels = x.numel() // inner
    columns = min(_ELEMENTS, 1 << (inner - 1).bit_length())
    rows = _ELEMENTS // columns
    across = -(-inner // columns)
    pointers = (out, x, seeds, numbers)
    sizes = (channels // seeds.numel(), channels, inner, across, cut(levels))
    programs = -(-channels // rows) * across
    _launch("by_channels", programs, *pointers, *sizes, ROWS=rows, COLUMNS=columns)


def _launch(name: str, programs: int, out: Tensor, *arguments: Any, **known: Any) -> None:
    from selfnorm.ops._gpu import _kernels  # noqa: PLC0415 - triton is slow to import

    if not out.numel():
        return
    with torch.cuda.device_of(out):
        kernel = getattr(_kernels, name)[(programs,)]
        # Products and sums that shall be one operation are written as one.
        kernel(out, *arguments, **known, enable_fp_fusion=False)


@lru_cache
def _numbers(numbers: tuple[float, ...], device: torch.device) -> Tensor:
    """Constants where the kernels can read them: as arguments Triton would make them float32."""
    return torch.tensor(numbers, dtype=torch.float64, device=device)
