"""The short way for everyday calls: plain tensors, reverse mode, nobody listening.

At 256 elements a CPU kernel takes less time than one pass through PyTorch's dispatcher, 3 us, and
a GPU waits for the host at most sizes that networks have; so here the kernels are called without
it. Where `possible` says no, `_autograd` takes the long way.
"""

import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from selfnorm import _torch_private
from selfnorm._spec import _philox
from selfnorm.ops import _cpu, _gpu, _random
from selfnorm.theory._form import SELUForm

_ON_CPU, _ON_GPU = _cpu.why_not() is None, _gpu.why_not() is None
_TENSORS = (Tensor, torch.nn.Parameter)
_scratch = threading.local()


def possible(x: Tensor) -> bool:
    """Whether kernels serve, `x` is numbers in memory and no more, and nobody else listens."""
    return (
        not torch.compiler.is_compiling()  # first: the compiler cannot trace what follows
        and type(x) in _TENSORS
        and ((x.is_cpu and _ON_CPU) or (x.is_cuda and _ON_GPU))
        and _torch_private.ways.nobody_listens(x)  # transforms, modes, tracers
    )


def possible_for(saved: Tensor, grad: Tensor) -> bool:
    """The same in a backward pass, where a hook may have put something else for what was saved."""
    return (
        possible(grad)
        and type(saved) in _TENSORS
        and saved.shape == grad.shape
        and saved.dtype == grad.dtype
        and saved.device == grad.device
    )


def torch_serves(x: Tensor, *, masks: bool) -> bool:
    """Whether torch's own operations take the call, as who looks on knows those alone.

    An exported or traced program shall run without this package, and classes of tensors (DTensor,
    nested tensors) have rules for torch's operations. A compiler fuses torch's SELU with what is
    beside it, which is quicker than a kernel of ours; where masks are drawn ours is quicker.
    """
    if torch.compiler.is_compiling():
        return torch.compiler.is_exporting() or not masks
    tracing = torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]
    return tracing or type(x) not in _TENSORS or x.is_nested or x.layout != torch.strided


def draw_seed(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw the seed of a call, on CPU into memory that the thread's next call uses again."""
    if x.is_cuda:  # where a kernel on another stream may still have to read it
        return _random.draw_seed(x.device, generator)
    if generator is not None:
        _random.refuse_again(generator)
    seed = getattr(_scratch, "seed", None)
    if seed is None:
        with torch.inference_mode(mode=False):
            seed = _scratch.seed = torch.empty((), dtype=torch.int64, device="cpu")
    return seed.random_(0, _philox.SEEDS, generator=generator)


def selu(x: Tensor) -> Tensor:
    """SELU by the kernels alone."""
    out = torch.empty_like(x)
    _run("selu", out, x)
    return out


def selu_backward_from_input(x: Tensor, grad: Tensor) -> Tensor:
    """The gradient of SELU by the kernels alone."""
    result = torch.empty_like(x)
    _run("selu_backward_from_input", result, x, grad)
    return result


def selu_alpha_dropout(x: Tensor, seed: Tensor | None, p: float, inplace: bool) -> Tensor:
    """SELU, with alpha dropout if there is a seed, by the kernels alone."""
    out = x if inplace else torch.empty_like(x)
    if seed is None:
        _run("selu", out, x)
    else:
        _run("selu_alpha_dropout", out, x, seed, p)
    return out


def selu_backward(output: Tensor, grad: Tensor, p: float, into: Tensor | None = None) -> Tensor:
    """The gradient of SELU, with or without alpha dropout, by the kernels alone.

    Args:
        output: What the forward pass gave.
        grad: Its gradient.
        p: Of the forward pass.
        into: Where to write; `grad` itself, say.
    """
    result = torch.empty_like(output) if into is None else into
    _run("selu_backward", result, output, grad, p)
    return result


def shaped_selu(
    x: Tensor, seed: Tensor | None, p: float, form: SELUForm, inplace: bool = False
) -> Tensor:
    """SELU in another form, with its alpha dropout if there is a seed, by the kernels alone."""
    out = x if inplace else torch.empty_like(x)
    _run("shaped_selu", out, x, seed, p, *form)
    return out


def shaped_selu_backward(
    x: Tensor,
    grad: Tensor,
    seed: Tensor | None,
    p: float,
    form: SELUForm,
    into: Tensor | None = None,
) -> Tensor:
    """The gradient of the same by the kernels alone."""
    result = torch.empty_like(x) if into is None else into
    _run("shaped_selu_backward", result, x, grad, seed, p, *form)
    return result


def alpha_dropout(
    x: Tensor, seed: Tensor, p: float, shared: int, linear: bool, inplace: bool
) -> Tensor:
    """Alpha dropout by the kernels alone."""
    out = x if inplace else torch.empty_like(x)
    _run("alpha_dropout", out, x, seed, p, shared, linear)
    return out


def note_change(x: Tensor, inplace: bool) -> None:
    """Tell graphs that keep `x` if it is about to change, as no operation will."""
    if inplace and not x.is_inference():
        torch.autograd.graph.increment_version(x)


def labelled(name: str, run: Callable[..., None], *arguments: Any) -> None:
    """Run what torch does not see, under a name of ours if a profiler looks on."""
    if _torch_private.ways.is_profiled():
        with torch.profiler.record_function(f"selfnorm::{name}"):
            return run(*arguments)
    return run(*arguments)


def _run(name: str, out: Tensor, *arguments: Any) -> None:
    kernel: Callable[..., None] = getattr(_gpu if out.is_cuda else _cpu, name)
    labelled(name, kernel, out, *arguments)
