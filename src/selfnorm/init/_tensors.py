"""Which tensors can be written with weights, and how: in memory, sharded, or of a class of its own.

Everything that a write could fail of is asked, or tried on a copy, before the first one.
"""

import sys
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from selfnorm.errors import ArgumentError, UnsupportedError
from selfnorm.init._memory import is_plain, overlaps_itself

_HALF = 16  # bits; with fewer a dtype holds numbers that a scale elsewhere gives their size


def check_writable(tensor: Tensor, what: str) -> None:
    """Raise unless weights can be written into a tensor.

    Raises:
        ArgumentError: it is lazy.
        UnsupportedError: it is not dense, or not to be written here and now.
    """
    if is_lazy(tensor):
        raise ArgumentError(
            f"a weight needs its shape before it is drawn; {what} is lazy and has none yet. "
            "Run one batch through the model first."
        )
    if tensor.is_meta:  # holds no values, and is not written
        return
    if tensor.is_nested or tensor.is_quantized or tensor.layout != torch.strided:
        form = "nested" if tensor.is_nested else str(tensor.layout)
        form = "quantized" if tensor.is_quantized else form
        raise UnsupportedError(
            f"weights are dense numbers; {what} is {form}. Initialize it before it is made so."
        )
    if tensor.is_inference() and not torch.is_inference_mode_enabled():
        raise UnsupportedError(
            "what torch.inference_mode() made can be written inside of it alone; "
            f"{what} was made there. Make the model outside, or call this inside."
        )
    if overlaps_itself(tensor):
        raise UnsupportedError(
            f"each element of a weight has memory of its own; {what}, of shape "
            f"{tuple(tensor.shape)} and strides {tensor.stride()}, has elements that share theirs. "
            "Clone it first."
        )


def check_dtype(dtype: torch.dtype, what: str) -> None:
    """Raise unless a dtype is of real floating-point numbers, not of codes for them.

    Raises:
        UnsupportedError: it is not.
    """
    if not isinstance(cast("object", dtype), torch.dtype):
        raise UnsupportedError(
            f"weights are real floating-point numbers; {what} was to have dtype {dtype!r}, which "
            "is no torch.dtype. Give one, such as torch.float32."
        )
    if dtype.is_floating_point and not _is_small(dtype):
        return
    hint = (
        "Draw its real and imaginary parts, each of variance 1 / (2 fan_in), yourself."
        if dtype.is_complex
        else "Initialize the floating-point model before it is quantized."
    )
    raise UnsupportedError(
        f"weights are real floating-point numbers; {what} has dtype {dtype}. {hint}"
    )


def are_codes(tensor: Tensor) -> bool:
    """Whether a buffer looks like quantized weights: no indices (int64), masks (bool) or floats.

    Nor a sparse matrix, which is a graph; weights of MKL-DNN's layout are packed.
    """
    if is_lazy(tensor):
        return False
    if tensor.is_quantized or tensor.is_mkldnn:
        return True
    dtype = tensor.dtype
    whole = not dtype.is_floating_point and not dtype.is_complex
    codes = dtype not in (torch.int64, torch.bool) if whole else _is_small(dtype)
    return codes and tensor.ndim > 1


def outline(tensor: Tensor) -> Tensor:
    """A tensor's whole shape and its dtype, without values; of a sharded one, too."""
    return torch.empty(tuple(tensor.shape), dtype=tensor.dtype, device="meta")


def blank(tensor: Tensor, device: torch.device) -> Tensor:
    """Room for a tensor's values, whole and contiguous."""
    return torch.empty(tuple(tensor.shape), dtype=tensor.dtype, device=device)


def as_stored(values: Tensor, tensor: Tensor, what: str) -> Tensor:
    """Values as a tensor stores them, for it to copy.

    A `DTensor` gets those of its mesh's first process, so that all processes hold parts of one
    weight whatever their own random numbers.

    Raises:
        UnsupportedError: the tensor's class cannot take them.
    """
    if is_plain(tensor):
        return values
    if is_sharded(tensor):
        from torch.distributed.tensor import distribute_tensor  # noqa: PLC0415 - slow, rarely there

        sharded: Any = tensor
        return distribute_tensor(values, sharded.device_mesh, sharded.placements)
    try:
        return torch.empty_like(tensor).copy_(values)
    except Exception as error:
        said = (str(error).splitlines() or [""])[0][:200].rstrip(".")
        raise UnsupportedError(
            f"weights are numbers that can be written; {what} is of class "
            f"{type(tensor).__name__}, which does not take them ({type(error).__name__}: {said}). "
            "Initialize the floating-point model before it is quantized or wrapped."
        ) from error


def is_sharded(tensor: Tensor) -> bool:
    """Whether a tensor is a `torch.distributed.tensor.DTensor`."""
    module = sys.modules.get("torch.distributed.tensor")  # without it there is none
    return module is not None and isinstance(tensor, module.DTensor)


def reshard(model: nn.Module) -> None:
    """Let FSDP2's modules hold their own parts: what is written into gathered weights is lost."""
    module = sys.modules.get("torch.distributed.fsdp")
    if module is not None:
        sharded: list[Any] = [p for p in model.modules() if isinstance(p, module.FSDPModule)]
        for part in sharded:
            part.reshard()


def _is_small(dtype: torch.dtype) -> bool:
    return dtype.is_floating_point and torch.finfo(dtype).bits < _HALF
