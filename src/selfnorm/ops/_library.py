"""The operations as PyTorch sees them: schemas, the reference as fallback, fake tensors.

The dispatcher is the fallback policy: a kernel registered for CPU or CUDA is used there, and the
reference, under CompositeExplicitAutograd, everywhere else. Every operation is a deterministic
function of its arguments, the seed among them, and exists twice: `name` returns a new tensor laid
out like `empty_like(x)`, `name_` writes into its first argument.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from selfnorm.ops import _cpu, _gpu, _reference

LIBRARY = torch.library.Library("selfnorm", "DEF")
OPS = torch.ops.selfnorm
_ARGUMENTS = {
    "selu": "",
    "selu_alpha_dropout": ", Tensor seed, float p",
    "selu_backward": ", Tensor grad, float p",
    "alpha_dropout": ", Tensor seed, float p, int shared, bool linear",
}


def serving() -> dict[str, str]:
    """What serves the operations on each kind of device: a kernel, or the reference and why."""
    kernels = {"CPU": ("Numba", _cpu.why_not()), "CUDA": ("Triton", _gpu.why_not())}
    return {
        device: name if reason is None else f"plain torch, as {reason}"
        for device, (name, reason) in kernels.items()
    }


def _register(name: str, arguments: str, reference: Callable[..., Tensor]) -> None:
    def in_place(x: Tensor, *args: Any) -> None:
        x.copy_(reference(x, *args))

    def fake(x: Tensor, *_: Any) -> Tensor:
        return torch.empty_like(x)

    def fake_in_place(*_: Any) -> None: ...

    _define(f"{name}(Tensor x{arguments}) -> Tensor", reference, fake)
    _define(f"{name}_(Tensor(a!) x{arguments}) -> ()", in_place, fake_in_place)


def _define(schema: str, reference: Callable[..., Any], fake: Callable[..., Any]) -> None:
    name = LIBRARY.define(schema, tags=(torch.Tag.pt2_compliant_tag,)).partition("(")[0]
    LIBRARY.impl(name, reference, "CompositeExplicitAutograd")
    torch.library.register_fake(f"selfnorm::{name}", fake, lib=LIBRARY)


for _name, _arguments in _ARGUMENTS.items():
    _register(_name, _arguments, getattr(_reference, _name))


def _register_kernels(device: str, kernels: ModuleType) -> None:
    for name in _ARGUMENTS:
        _register_kernel(device, name, getattr(kernels, name))


def _register_kernel(device: str, name: str, kernel: Callable[..., None]) -> None:
    def new(x: Tensor, *args: Any) -> Tensor:
        out = torch.empty_like(x)
        kernel(out, x, *args)
        return out

    def in_place(x: Tensor, *args: Any) -> None:
        kernel(x, x, *args)

    LIBRARY.impl(name, new, device)
    LIBRARY.impl(f"{name}_", in_place, device)


if _cpu.why_not() is None:
    _register_kernels("CPU", _cpu)
if _gpu.why_not() is None:
    _register_kernels("CUDA", _gpu)
