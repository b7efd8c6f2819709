"""How fast are SELU and alpha dropout on a GPU, and how near to the speed of a copy?"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

import selfnorm
from benchmarks._harness import Budget, Row, budget, compare, duration, in_turns, main, ratios
from benchmarks._rivals import torch_pair
from selfnorm.ops import _cpu, _gpu
from selfnorm.ops._random import draw_seed

P = 0.1


def measure(quick: bool) -> Iterator[Row]:
    """The pair forward and backward, in float32 and bfloat16."""
    reason = _gpu.why_not()
    if reason is not None:
        print(f"Nothing to measure: {reason}.")
        return
    size = (1 if quick else 64) << 20
    for dtype in (torch.float32, torch.bfloat16):
        yield from both_ways(size, dtype, budget(quick))


def both_ways(size: int, dtype: torch.dtype, within: Budget) -> Iterator[Row]:
    """Against torch's pair, compiled and not, and against copies of as many bytes."""
    x = torch.randn(size, device="cuda").to(dtype).requires_grad_()
    grad, other = torch.ones_like(x), torch.empty_like(x)
    wrong = what_is_wrong(dtype)
    name = f"{size >> 20} Mi {str(dtype).removeprefix('torch.')}"
    by_compiler = torch.compile(torch_pair, fullgraph=True)

    def run(function: Callable[[Tensor], Tensor]) -> Callable[[], object]:
        def call() -> object:
            result = torch.autograd.grad(function(x), x, grad)
            torch.cuda.synchronize()
            return result

        return call

    yield from compare(
        f"the pair forward + backward, {name}",
        run(ours),
        {"torch": run(torch_pair), "torch.compile": run(by_compiler)},
        within,
        {"torch": (3, 5)},
        wrong,
    )

    def copies() -> None:
        """Five passes over memory: x and output, then output, gradient and result."""
        with torch.no_grad():
            other.copy_(x)
            other.copy_(x)
            other[: size // 2].copy_(x[: size // 2])
        torch.cuda.synchronize()

    times = in_turns({"ours": run(ours), "copies": copies}, within)
    low, share, high = ratios(times["ours"], times["copies"])
    texts = [duration(sorted(t)[len(t) // 2]) for t in times.values()]
    what = f"the pair forward + backward, {name}: share of copy bandwidth"
    yield Row(what, "copy_ of as many bytes", *texts, share, low, high, None, 0.9, wrong)


def ours(x: Tensor) -> Tensor:
    """Fused."""
    return selfnorm.selu_alpha_dropout(x, P, training=True)


def what_is_wrong(dtype: torch.dtype) -> str:
    """The same seed gives the same bits on CPU, forward and backward."""
    x, seed = torch.randn(100_000).to(dtype), draw_seed(torch.device("cpu"), None)
    grad = torch.randn(100_000).to(dtype)
    here, there = torch.empty_like(x), torch.empty_like(x, device="cuda")
    _cpu.selu_alpha_dropout(here, x, seed, P)
    _gpu.selu_alpha_dropout(there, x.cuda(), seed.cuda(), P)
    if not torch.equal(here, there.cpu()):
        return "forward differs from CPU"
    _cpu.selu_backward(here, x, grad, P)
    _gpu.selu_backward(there, x.cuda(), grad.cuda(), P)
    return "" if torch.equal(here, there.cpu()) else "backward differs from CPU"


if __name__ == "__main__":
    main("gpu", measure)
