"""How fast are SELU and alpha dropout on the CPU?"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

import selfnorm
from benchmarks._harness import Budget, Row, budget, compare, in_turns, main, ratios
from benchmarks._rivals import compiled, jax_pair, torch_pair
from selfnorm.theory import alpha_dropout_affine, selu_constants

KI, MI = 1 << 10, 1 << 20
P = 0.1
HALF = (torch.bfloat16, torch.float16)
ALPHA, LAMBDA = selu_constants()


def pair(x: Tensor, p: float = P) -> Tensor:
    """Ours, fused."""
    return selfnorm.selu_alpha_dropout(x, p, training=True)


def measure(quick: bool) -> Iterator[Row]:
    """All rows."""
    within = budget(quick)
    wrong = what_is_wrong()
    million = torch.randn(64 * KI if quick else MI)
    with torch.no_grad():
        yield from compare(
            f"selu forward, {named(million)} float32",
            lambda: selfnorm.selu(million),
            {"torch": lambda: F.selu(million)},
            within,
            {"torch": (4, 8)},
            wrong,
        )
    yield from backward(million, within, wrong)
    with torch.no_grad():
        yield from pairs(million, within, wrong, quick)
    for size in (4 * KI, 256):
        yield from both_ways(size, within, wrong)
    yield from share_of_copy(KI * KI if quick else 16 * MI, within, wrong)


def backward(x: Tensor, within: Budget, wrong: str) -> list[Row]:
    """The backward pass alone, through autograd."""
    leaf, grad = x.clone().requires_grad_(), torch.randn_like(x)
    outputs = {"ours": selfnorm.selu(leaf), "torch": F.selu(leaf)}

    def run(name: str) -> Callable[[], object]:
        return lambda: torch.autograd.grad(outputs[name], leaf, grad, retain_graph=True)

    return compare(
        f"selu backward, {named(x)} float32",
        run("ours"),
        {"torch": run("torch")},
        within,
        {"torch": (3, 6)},
        wrong,
    )


def pairs(x: Tensor, within: Budget, wrong: str, quick: bool) -> Iterator[Row]:
    """SELU and alpha dropout forward: against three rivals, in other dtypes, on one thread."""
    by_compiler = None if quick else compiled(torch_pair)
    rivals = {
        "torch": lambda: torch_pair(x),
        "torch.compile": by_compiler and (lambda: by_compiler(x)),
    }
    by_jax = {"jax.jit": jax_pair(x.numel(), P)}  # by itself, as both have threads that wait busily
    aims = {"torch": (12, 25), "torch.compile": (8, 16), "jax.jit": (4, 8)}
    what = f"selu + alpha dropout forward, {named(x)}"
    for group in (rivals, by_jax):
        yield from compare(f"{what} float32", lambda: pair(x), group, within, aims, wrong)
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        other = x.to(dtype)
        name = str(dtype).removeprefix("torch.")
        rival = {"torch": lambda other=other: torch_pair(other)}
        yield from compare(
            f"{what} {name}", lambda other=other: pair(other), rival, within, wrong=wrong
        )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    rival = {"torch": rivals["torch"]}
    yield from compare(f"{what} float32, one thread", lambda: pair(x), rival, within, wrong=wrong)
    torch.set_num_threads(threads)


def both_ways(size: int, within: Budget, wrong: str) -> Iterator[Row]:
    """Forward and backward of small tensors, where calls cost more than numbers."""
    x, grad = torch.randn(size).requires_grad_(), torch.ones(size)

    def run(function: Callable[[Tensor], Tensor], layers: int) -> Callable[[], object]:
        def call() -> object:
            y = x
            for _ in range(layers):
                y = function(y)
            return torch.autograd.grad(y, x, grad)

        return call

    for layers in (1, 8):
        what = f"the pair forward + backward, {size} elements, {layers} in a row"
        yield from compare(
            what,
            run(pair, layers),
            {"torch": run(torch_pair, layers), "an empty autograd.Function": run(empty, layers)},
            within,
            {"torch": (2.0, 4.0)},
            wrong,
        )


class _Empty(torch.autograd.Function):
    """The least that a derivative in Python costs: two allocations, and nothing computed."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        output = torch.empty_like(x)
        ctx.save_for_backward(output)
        return output

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:  # noqa: ARG004 - nothing is computed
        return torch.empty_like(ctx.saved_tensors[0])


# As selfnorm calls its own: `Function.apply` looks up the signature at every call.
empty: Callable[[Tensor], Tensor] = super(torch.autograd.Function, _Empty).apply


def share_of_copy(size: int, within: Budget, wrong: str) -> Iterator[Row]:
    """Bytes read and written a second, by those of operations that do nothing else."""
    x, other = torch.randn(size), torch.empty(size)
    with torch.no_grad():
        times = in_turns(
            {
                "ours": lambda: selfnorm.selu(x, inplace=True),
                "copy_": lambda: other.copy_(x),
                "mul_(1), in place": lambda: x.mul_(1.0),
            },
            within,
        )
    speeds = {
        name: f"{8 * size / sorted(t)[len(t) // 2] / 1e9:.3g} GB/s" for name, t in times.items()
    }
    for name in list(times)[1:]:
        low, share, high = ratios(times["ours"], times[name])
        what = f"selu in place, {named(x)} float32: share of bandwidth"
        yield Row(what, name, speeds["ours"], speeds[name], share, low, high, 0.5, 0.85, wrong)


def named(x: Tensor) -> str:
    """The size of a tensor in words."""
    return f"{x.numel() // MI} Mi" if x.numel() >= MI else f"{x.numel() // KI} Ki"


def what_is_wrong() -> str:
    """All that the rows time, in every dtype and in place, against formulas in float64."""
    x = torch.randn(MI // 4, dtype=torch.float64)
    found = [one_dtype(x, dtype) for dtype in (torch.float64, torch.float32, *HALF)]
    return "; ".join(filter(None, found))


def one_dtype(x: Tensor, dtype: torch.dtype) -> str:
    """SELU and the pair, their gradients, and both in place."""
    leaf = x.to(dtype).requires_grad_()
    allowed = 8 * torch.finfo(dtype).eps * 4  # values reach 5
    for p in (0.0, P):
        scale, shift = alpha_dropout_affine(round(65536 * p) / 65536)
        function = partial(pair, p=p) if p else selfnorm.selu
        torch.manual_seed(1)
        z = function(leaf)
        (gradient,) = torch.autograd.grad(z.sum(), leaf)
        kept = z.detach() != z.detach().min() if p else torch.ones_like(z, dtype=torch.bool)
        v = leaf.detach().double()
        exact = torch.where(v > 0, LAMBDA * v, LAMBDA * ALPHA * torch.expm1(v))
        slope = torch.where(v > 0, LAMBDA, LAMBDA * ALPHA * torch.exp(v)) * scale
        off = (z.detach().double() - (scale * exact + shift)).abs().where(kept, 0).max()
        # Halves round the smallest positive inputs to the shift, where the slope is that below.
        sloped = kept & (v.abs() > 0.05)
        off_slope = (gradient.double() - slope).abs().where(sloped, 0).max()
        if off > allowed or off_slope > allowed or (gradient[~kept] != 0).any():
            return f"{dtype}, p={p}: off by {off:.2g}, the gradient by {off_slope:.2g}"
        dropped = 1 - kept.double().mean().item()
        if abs(dropped - p) > 0.004:
            return f"{dtype}: {dropped:.4f} dropped, not {p}"
        over = leaf.detach().clone()
        torch.manual_seed(1)
        selfnorm.selu_alpha_dropout(over, p, True, inplace=True)
        if not torch.equal(over, z):
            return f"{dtype}, p={p}: in place differs"
    return ""


if __name__ == "__main__":
    main("ops", measure)
