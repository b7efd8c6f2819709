"""The short way for everyday calls: plain CPU tensors, reverse mode, nobody listening.

At 256 elements a kernel takes less time than one pass through PyTorch's dispatcher, 3 us, so here
the kernels are called without it. Where `possible` says no, `_autograd` takes the long way.
"""

import threading
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from selfnorm.ops import _cpu
from selfnorm.ops._random import SEEDS

_HAS_KERNELS = _cpu.why_not() is None
_TENSORS = (Tensor, torch.nn.Parameter)
_torch: Any = torch._C  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - no public way to ask
_forward_ad: Any = forward_ad
with torch.inference_mode(mode=False):
    _PLAIN = _torch._dispatch_keys(torch.empty(0, device="cpu")).raw_repr()  # noqa: SLF001
_scratch = threading.local()


def possible(x: Tensor) -> bool:
    """Whether kernels serve, and no transform, mode, tracer or profiler wants to see the call."""
    return (
        _HAS_KERNELS
        and type(x) in _TENSORS
        and _torch._dispatch_keys(x).raw_repr() == _PLAIN  # noqa: SLF001
        and _forward_ad._current_level < 0  # noqa: SLF001
        and not _torch._are_functorch_transforms_active()  # noqa: SLF001
        and not _torch._len_torch_dispatch_stack()  # noqa: SLF001
        and not _torch._is_tracing()  # noqa: SLF001
        and not _torch._autograd._profiler_enabled()  # noqa: SLF001
    )


def draw_seed(generator: torch.Generator | None) -> Tensor:
    """Draw the seed of a call into memory that the thread's next call uses again."""
    seed = getattr(_scratch, "seed", None)
    if seed is None:
        with torch.inference_mode(mode=False):
            seed = _scratch.seed = torch.empty((), dtype=torch.int64, device="cpu")
    return seed.random_(0, SEEDS, generator=generator)


def selu(x: Tensor, seed: Tensor | None, p: float, inplace: bool) -> Tensor:
    """SELU, with alpha dropout if there is a seed; without a graph, but told to other graphs."""
    if inplace:
        torch.autograd.graph.increment_version(x)
    return run(x, seed, p, inplace)


def run(x: Tensor, seed: Tensor | None, p: float, inplace: bool) -> Tensor:
    """The kernels alone."""
    out = x if inplace else torch.empty_like(x)
    if seed is None:
        _cpu.selu(out, x)
    else:
        _cpu.selu_alpha_dropout(out, x, seed, p)
    return out
