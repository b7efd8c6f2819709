"""The operations on GPU: each takes where to write first, then the arguments of the schema."""

import importlib.util
import struct
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from selfnorm._spec._philox import BLOCK, cut, dropped_levels
from selfnorm.ops._constants import PROBABILITIES, affine, derivative, shaped
from selfnorm.ops._layout import in_memory_order, on_copies

_ELEMENTS = 1024  # a program; with four warps, eight a thread
_compiled: dict[tuple[Any, ...], Any] = {}  # in the interpreter, None


def why_not() -> str | None:
    """Why the reference serves instead, or None if the kernels do."""
    if importlib.util.find_spec("triton") is None:
        return "triton is not installed"
    return None if torch.cuda.is_available() else "torch finds no GPU"


def selu(out: Tensor, x: Tensor) -> None:
    """SELU."""
    if not (x.is_contiguous() and out.is_contiguous()):
        return in_memory_order(selu, out, x)
    count = x.numel()
    return _launch("selu", -(-count // _ELEMENTS), (out, x), (count,), (_ELEMENTS,))


def selu_backward(out: Tensor, output: Tensor, grad: Tensor, p: float) -> None:
    """The gradient of SELU, with or without alpha dropout."""
    if not (output.is_contiguous() and grad.is_contiguous() and out.is_contiguous()):
        return in_memory_order(selu_backward, out, output, grad, p)
    count = output.numel()
    tensors, numbers = (out, output, grad), (count, *_slopes(p, output.dtype))
    return _launch("selu_backward", -(-count // _ELEMENTS), tensors, numbers, (_ELEMENTS,))


def selu_backward_from_input(out: Tensor, x: Tensor, grad: Tensor) -> None:
    """The gradient of SELU."""
    if not (x.is_contiguous() and grad.is_contiguous() and out.is_contiguous()):
        return in_memory_order(selu_backward_from_input, out, x, grad)
    count = x.numel()
    numbers = (count, _slopes(0.0, x.dtype)[0])
    programs = -(-count // _ELEMENTS)
    return _launch("selu_backward_from_input", programs, (out, x, grad), numbers, (_ELEMENTS,))


def selu_alpha_dropout(out: Tensor, x: Tensor, seed: Tensor | None, p: float) -> None:
    """SELU, then alpha dropout; without a seed, SELU alone."""
    numbers = _mask(p, x.dtype)
    if seed is None or numbers is None:
        return selu(out, x)
    if not (x.is_contiguous() and out.is_contiguous()):
        return on_copies(selu_alpha_dropout, out, x, seed, p)
    return _by_blocks(out, x, seed, numbers, SELU=True)


def alpha_dropout(
    out: Tensor, x: Tensor, seed: Tensor, p: float, shared: int, linear: bool
) -> None:
    """Alpha dropout, of single elements or of the last `shared` dimensions as one."""
    numbers = _mask(p, x.dtype, linear=linear)
    if numbers is None:
        out.copy_(x)
        return None
    if not (x.is_contiguous() and out.is_contiguous()):
        return on_copies(alpha_dropout, out, x, seed, p, shared, linear)
    inner = x.shape[x.ndim - shared :].numel() if shared else 1
    if inner == 1:
        return _by_blocks(out, x, seed, numbers, SELU=False)
    return _by_channels(out, x, seed, numbers, inner)


def shaped_selu(
    out: Tensor,
    x: Tensor,
    seed: Tensor | None,
    p: float,
    linear: float,
    factor: float,
    shift: float,
) -> None:
    """SELU in another form, then its alpha dropout if there is a seed."""
    form = linear, factor, shift
    if not (x.is_contiguous() and out.is_contiguous()):
        run = in_memory_order if seed is None else on_copies
        return run(shaped_selu, out, x, seed, p, *form)
    return _shaped(out, x, None, seed, _form(p, form, x.dtype))


def shaped_selu_backward(
    out: Tensor,
    x: Tensor,
    grad: Tensor,
    seed: Tensor | None,
    p: float,
    linear: float,
    factor: float,
    shift: float,
) -> None:
    """The gradient of the same."""
    form = linear, factor, shift
    if not (x.is_contiguous() and grad.is_contiguous() and out.is_contiguous()):
        run = in_memory_order if seed is None else on_copies
        return run(shaped_selu_backward, out, x, grad, seed, p, *form)
    return _shaped(out, x, grad, seed, _form(p, form, x.dtype))


def _shaped(
    out: Tensor, x: Tensor, grad: Tensor | None, seed: Tensor | None, numbers: tuple[int, ...]
) -> None:
    """What is not there has another in its place, which is not read."""
    drops = seed is not None and numbers[0] >= cut(1)
    seeds = seed.contiguous() if seed is not None and drops else None
    sizes, one, even, blocks = _in_blocks(x, 1 if seeds is None else seeds.numel())
    tensors = (out, x, x if grad is None else grad, x if seeds is None else seeds)
    known = (grad is not None, drops, one, even, blocks)
    _launch("shaped", -(-sizes[2] // blocks), tensors, (*sizes, *numbers), known)


def _by_blocks(
    out: Tensor, x: Tensor, seed: Tensor, numbers: tuple[int, ...], *, SELU: bool
) -> None:
    if not x.numel():
        return
    seeds = seed.contiguous()
    sizes, one, even, blocks = _in_blocks(x, seeds.numel())
    known = (SELU, one, even, blocks)
    _launch("by_blocks", -(-sizes[2] // blocks), (out, x, seeds), (*sizes, *numbers), known)


def _in_blocks(x: Tensor, samples: int) -> tuple[tuple[int, int, int], bool, bool, int]:
    """Elements and blocks of a sample, blocks of all; what is known of them; blocks a program."""
    count = x.numel() // max(samples, 1)
    blocks_each = -(-count // BLOCK)
    one = samples == 1
    # So that each of a thread's four runs is 16 bytes long or more.
    blocks = 8 if x.element_size() == 2 else 4
    sizes = (count, blocks_each, samples * blocks_each)
    return sizes, one, not one and count % 16 == 0, blocks


def _by_channels(
    out: Tensor, x: Tensor, seed: Tensor, numbers: tuple[int, ...], inner: int
) -> None:
    if not x.numel():
        return
    seeds = seed.contiguous()
    channels = x.numel() // inner
    columns = min(_ELEMENTS, 1 << (inner - 1).bit_length())
    rows = _ELEMENTS // columns
    across = -(-inner // columns)
    sizes = (channels // seeds.numel(), channels, inner, across)
    known = (inner % 16 == 0, rows, columns)
    programs = -(-channels // rows) * across
    _launch("by_channels", programs, (out, x, seeds), (*sizes, *numbers), known)


def _launch(
    name: str,
    programs: int,
    tensors: tuple[Tensor, ...],
    numbers: tuple[int, ...],
    known: tuple[int, ...],
) -> None:
    """Run a kernel on so many programs; `known` are the arguments that it is compiled for.

    What Triton does to find the compiled kernel takes longer than the kernel, so it is asked once
    for each kind of arguments that it would tell apart.
    """
    out = tensors[0]
    if not programs:
        return
    if out.is_cuda and out.get_device() != torch.cuda.current_device():
        with torch.cuda.device_of(out):
            _launch(name, programs, tensors, numbers, known)
        return
    kind = (name, out.device, *[(t.dtype, t.data_ptr() % 16 == 0) for t in tensors], known)
    compiled = _compiled.get(kind)
    if compiled is not None:
        compiled[programs, 1, 1](*tensors, *numbers, *known)
        return
    from selfnorm.ops._gpu import _kernels  # noqa: PLC0415 - triton is slow to import

    kernel = getattr(_kernels, name)[(programs,)]
    # Products and sums that shall be one operation are written as one.
    _compiled[kind] = kernel(*tensors, *numbers, *known, enable_fp_fusion=False)


@lru_cache(PROBABILITIES)
def _mask(p: float, dtype: torch.dtype, *, linear: bool = False) -> tuple[int, ...] | None:
    """Cut, scale, shift and dropped value; None where nothing is dropped."""
    levels = dropped_levels(p)
    if levels == 0:
        return None
    scale, shift, dropped = affine(p, dtype)
    if linear:  # adding -0 leaves the sign of a zero alone
        shift, dropped = -0.0, 0.0
    return cut(levels), *_bits(scale, shift, dropped)


@lru_cache(PROBABILITIES)
def _slopes(p: float, dtype: torch.dtype) -> tuple[int, ...]:
    """Slope, threshold, floor and tail."""
    return _bits(*derivative(p, dtype))


@lru_cache(PROBABILITIES)
def _form(p: float, form: tuple[float, float, float], dtype: torch.dtype) -> tuple[int, ...]:
    """Cut, linear part, scale, shift, dropped value and slope."""
    return cut(dropped_levels(p)), *_bits(*shaped(p, *form, dtype))


def _bits(*numbers: float) -> tuple[int, ...]:
    """The bits of float64 numbers: as such, Triton would take them for float32."""
    return struct.unpack(f"{len(numbers)}q", struct.pack(f"{len(numbers)}d", *numbers))
