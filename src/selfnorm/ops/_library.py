"""The operations as PyTorch sees them: schemas, the reference as fallback, fake tensors.

The dispatcher is the fallback policy: a kernel registered for CPU or CUDA is used there, and the
reference, under CompositeExplicitAutograd, everywhere else. Every operation is a deterministic
function of its arguments, the seed among them, and returns a new tensor laid out like
`empty_like(x)`, but for strides of dimensions of size 1. Who calls one by its name is not known, so
each checks what came: a kernel that trusted a wrong size would read foreign memory. `_autograd`
registers the derivatives. As torch keeps compiled graphs on disk by the names of operations, one
whose values or derivative change between releases gets another name.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from selfnorm.errors import ArgumentError, UnsupportedError
from selfnorm.ops import _cpu, _gpu, _reference
from selfnorm.ops._constants import FORMATS
from selfnorm.theory._dropout import check_probability

LIBRARY = torch.library.Library("selfnorm", "DEF")
OPS = torch.ops.selfnorm
_FORM = "float linear, float factor, float shift"
SCHEMAS = {
    "selu": "Tensor x",
    "selu_backward_from_input": "Tensor x, Tensor grad",
    "selu_alpha_dropout": "Tensor x, Tensor? seed, float p",
    "selu_backward": "Tensor output, Tensor grad, float p",
    "alpha_dropout": "Tensor x, Tensor seed, float p, int shared, bool linear",
    "shaped_selu": f"Tensor x, Tensor? seed, float p, {_FORM}",
    "shaped_selu_backward": f"Tensor x, Tensor grad, Tensor? seed, float p, {_FORM}",
}
"""Without a seed, `selu_alpha_dropout` is SELU alone, whose derivative follows from the output."""


def serving() -> dict[str, str]:
    """What serves the operations on each kind of device: a kernel, or the reference and why."""
    kernels = {"CPU": ("Numba", _cpu.why_not()), "CUDA": ("Triton", _gpu.why_not())}
    return {
        device: name if reason is None else f"plain torch, as {reason}"
        for device, (name, reason) in kernels.items()
    }


def check(
    x: Tensor, *, grad: Tensor | None = None, seed: Tensor | None = None, p: float, shared: int = 0
) -> None:
    """Raise if an operation cannot take these arguments.

    Raises:
        UnsupportedError: `x` is of another dtype, or lies where it is no numbers in memory.
        ArgumentError: another argument does not fit it.
    """
    if x.dtype not in FORMATS:
        raise UnsupportedError(
            f"The operation takes float64, float32, bfloat16 or float16; got {x.dtype}. "
            "Convert the input first."
        )
    if not isinstance(p, torch.SymFloat):  # of a compiler, for which this must hold for any
        check_probability(p)
    if grad is not None and (grad.shape, grad.dtype, grad.device) != (x.shape, x.dtype, x.device):
        raise ArgumentError(
            f"A gradient has the shape, dtype and device of its tensor, {_told(x)}; "
            f"got {_told(grad)}. Expand or convert it first."
        )
    if seed is None:
        if p != 0 and grad is None:
            raise ArgumentError(f"Without a seed nothing is dropped, so p is 0; got p={p}.")
        return
    if seed.dtype != torch.int64 or seed.device != x.device:
        raise ArgumentError(
            f"Seeds are int64 on the input's device, {x.device}; got {seed.dtype} on "
            f"{seed.device}. torch.randint(2**63 - 1, (), device=input.device) makes one."
        )
    samples = x.ndim - shared
    if not (0 <= seed.ndim <= samples <= x.ndim and seed.shape == x.shape[: seed.ndim]):
        raise ArgumentError(
            f"Seeds have the input's first dimensions, none of the last `shared` ones, and shared "
            f"is 0 to {x.ndim}; got seeds {tuple(seed.shape)}, an input {tuple(x.shape)} and "
            f"shared={shared}. A 0-d seed serves the whole input."
        )


def _told(x: Tensor) -> str:
    return f"{tuple(x.shape)} {x.dtype} on {x.device}"


_CHECKS: dict[str, Callable[..., None]] = {
    "selu": lambda x: check(x, p=0.0),
    "selu_backward_from_input": lambda x, grad: check(x, grad=grad, p=0.0),
    "selu_alpha_dropout": lambda x, seed, p: check(x, seed=seed, p=p),
    "selu_backward": lambda output, grad, p: check(output, grad=grad, p=p),
    "alpha_dropout": lambda x, seed, p, shared, _: check(x, seed=seed, p=p, shared=shared),
    "shaped_selu": lambda x, seed, p, *_: check(x, seed=seed, p=p),
    "shaped_selu_backward": lambda x, grad, seed, p, *_: check(x, grad=grad, seed=seed, p=p),
}


def _define(name: str, arguments: str, reference: Callable[..., Tensor]) -> None:
    def checked(x: Tensor, *args: Any) -> Tensor:
        _CHECKS[name](x, *args)
        return reference(x, *args)

    def fake(x: Tensor, *args: Any) -> Tensor:
        _CHECKS[name](x, *args)
        return torch.empty_like(x)

    LIBRARY.define(f"{name}({arguments}) -> Tensor", tags=(torch.Tag.pt2_compliant_tag,))
    LIBRARY.impl(name, checked, "CompositeExplicitAutograd")
    torch.library.register_fake(f"selfnorm::{name}", fake, lib=LIBRARY)


def _register_kernel(device: str, name: str, kernel: Callable[..., None]) -> None:
    def checked(x: Tensor, *args: Any) -> Tensor:
        _CHECKS[name](x, *args)
        out = torch.empty_like(x)
        kernel(out, x, *args)
        return out

    LIBRARY.impl(name, checked, device)


def _register(device: str, kernels: ModuleType) -> None:
    if kernels.why_not() is None:
        for name in SCHEMAS:
            _register_kernel(device, name, getattr(kernels, name))


for _name, _arguments in SCHEMAS.items():
    _define(_name, _arguments, getattr(_reference, _name))
_register("CPU", _cpu)
_register("CUDA", _gpu)
