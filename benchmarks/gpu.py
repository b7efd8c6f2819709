"""How fast are SELU and alpha dropout on a GPU, how near to a copy, and are they the CPU's bits?"""

import warnings
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

import selfnorm
from benchmarks import audit, monitor
from benchmarks._harness import Budget, Row, compare, duration, in_turns, main, ratios
from benchmarks._rivals import torch_pair
from benchmarks.training import P, relu_layers, stack, step_of, torch_layers
from selfnorm.ops import _cpu, _gpu
from selfnorm.ops._random import draw_seed

AHEAD = 10  # calls that are queued before the host waits, as in training


def measure(quick: bool) -> Iterator[Row]:
    """The functions alone, every float32, short calls, training steps, audits."""
    reason = _gpu.why_not()
    if reason is not None:
        print(f"Nothing to measure: {reason}.")
        return
    within = Budget(3, 0.002, AHEAD) if quick else Budget(15, 0.05, AHEAD)
    size = (1 if quick else 64) << 20
    for dtype in (torch.float32, torch.bfloat16):
        yield from alone(size, dtype, within)
        yield from both_ways(size, dtype, within)
        yield bandwidth(size, dtype, within)
        yield from kernels(size, dtype)
    yield every_float(quick)
    yield from short(within)
    for shape in ((64, 32, 2),) if quick else ((1024, 256, 8), (8192, 1024, 16)):
        for dtype in (torch.float32, torch.bfloat16):
            for graphed in (False, True):
                yield from training(*shape, dtype, within, graphed=graphed)
    yield from audits(quick)


def alone(size: int, dtype: torch.dtype, within: Budget) -> Iterator[Row]:
    """Forward, each function by itself."""
    x = torch.randn(size, device="cuda").to(dtype)
    wrong = what_is_wrong(dtype)
    for what, ours, theirs in (
        ("selu", selfnorm.selu, F.selu),
        ("alpha dropout", partial(selfnorm.alpha_dropout, p=P, training=True), alpha_dropout),
        ("the pair", fused, torch_pair),
    ):
        yield from compare(
            f"{what} forward, {named(size, dtype)}",
            waiting(partial(ours, x)),
            {"torch": waiting(partial(theirs, x))},
            within,
            None,
            wrong,
        )


def both_ways(size: int, dtype: torch.dtype, within: Budget) -> Iterator[Row]:
    """The pair, forward and backward, against torch's, compiled and not."""
    yield from compare(
        f"the pair forward + backward, {named(size, dtype)}",
        gradient_of(fused, size, dtype),
        {
            "torch": gradient_of(torch_pair, size, dtype),
            "torch.compile": gradient_of(torch.compile(torch_pair, fullgraph=True), size, dtype),
        },
        within,
        {"torch": (3, 5)},
        what_is_wrong(dtype),
    )


def bandwidth(size: int, dtype: torch.dtype, within: Budget) -> Row:
    """Against copies of as many bytes."""
    x = torch.randn(size, device="cuda").to(dtype)
    other = torch.empty_like(x)

    def copies() -> None:
        """Five passes over memory: x and output, then output, gradient and result."""
        other.copy_(x)
        other.copy_(x)
        other[: size // 2].copy_(x[: size // 2])

    times = in_turns({"ours": gradient_of(fused, size, dtype), "copies": waiting(copies)}, within)
    low, share, high = ratios(times["ours"], times["copies"])
    texts = [duration(sorted(t)[len(t) // 2]) for t in times.values()]
    what = f"the pair forward + backward, {named(size, dtype)}: share of copy bandwidth"
    wrong = what_is_wrong(dtype)
    return Row(what, "copy_ of as many bytes", *texts, share, low, high, 0.9, 0.9, wrong)


def kernels(size: int, dtype: torch.dtype) -> Iterator[Row]:
    """Time on the device alone, whatever the host does meanwhile."""
    from triton.testing import do_bench

    x, grad = (torch.randn(size, device="cuda").to(dtype) for _ in range(2))
    out, seed = torch.empty_like(x), draw_seed(x.device, None)
    wrong = what_is_wrong(dtype)

    def median(call: Callable[[], object]) -> float:
        return do_bench(call, warmup=20, rep=100, return_mode="median") / 1e3

    copy = median(lambda: out.copy_(x))
    for what, call, passes in (
        ("selu", lambda: _gpu.selu(out, x), 2),
        ("alpha dropout", lambda: _gpu.alpha_dropout(out, x, seed, P, 0, False), 2),
        ("the pair", lambda: _gpu.selu_alpha_dropout(out, x, seed, P), 2),
        ("backward", lambda: _gpu.selu_backward(out, x, grad, P), 3),
    ):
        ours, theirs = median(call), copy * passes / 2
        text = f"{duration(theirs)}, so {theirs / ours:.0%} of its bandwidth"
        name = f"{what}, kernel alone, {named(size, dtype)}"
        yield Row(name, "copy_ of as many bytes", duration(ours), text, wrong=wrong)


def short(within: Budget) -> Iterator[Row]:
    """So little work that only the way to the kernel counts."""
    for size in (1 << 12, 1 << 16):
        for what, make in (
            ("forward + backward", gradient_of),
            ("forward", lambda f, n, t: waiting(partial(f, torch.randn(n, device="cuda").to(t)))),
        ):
            yield from compare(
                f"the pair {what}, {size >> 10} Ki float32",
                make(fused, size, torch.float32),
                {"torch": make(torch_pair, size, torch.float32)},
                within,
                None,
                what_is_wrong(torch.float32),
            )


def training(
    batch: int, width: int, depth: int, dtype: torch.dtype, within: Budget, *, graphed: bool
) -> Iterator[Row]:
    """A step of AdamW: launched kernel by kernel, or as one CUDA graph."""
    ours = selfnorm.nn.MLP(width, 10, width=width, depth=depth, dropout=P)
    models = {"ours": ours, "torch SELU + AlphaDropout": stack(width, depth, torch_layers)}
    models["torch ReLU, no dropout"] = stack(width, depth, relu_layers)
    steps: dict[str, Callable[[], None]] = {}
    for name, model in models.items():
        step = step_of(model.to("cuda", dtype), batch, width, capturable=graphed)
        steps[name] = waiting(captured(step) if graphed else step)
    name = str(dtype).removeprefix("torch.") + (", as a CUDA graph" if graphed else "")
    yield from compare(
        f"training step, batch {batch:,} x width {width:,} x depth {depth}, {name}",
        steps.pop("ours"),
        dict(steps),
        within,
        None,
        what_is_wrong(dtype),
    )


def audits(quick: bool) -> Iterator[Row]:
    """What an audit and a monitor cost."""
    sizes = [(2, 64, 256)] if quick else [(16, 512, 1024), (16, 1024, 8192), (16, 4096, 16384)]
    for depth, width, rows in sizes:
        model, x = audit.mlp(depth, width, rows)
        name = f"MLP {width:,} x {depth}, {rows:,} rows"
        yield from audit.time_of(name, model.cuda(), x.cuda(), quick)
    warnings.simplefilter("ignore", selfnorm.errors.SelfNormWarning)
    for depth, width, rows in sizes[:2]:
        yield monitor.overhead(width, depth, rows, 2 if quick else 7, "cuda")


def every_float(quick: bool) -> Row:
    """SELU of each of the 2^32 float32 values, on GPU and CPU."""
    chunk, different = 1 << 24, 0
    chunks = range(2 if quick else 256)
    for k in chunks:
        start = k * chunk - (1 << 31)
        bits = torch.arange(start, start + chunk, dtype=torch.int32)
        here, there = torch.empty(chunk), torch.empty(chunk, device="cuda")
        _cpu.selu(here, bits.view(torch.float32))
        _gpu.selu(there, bits.cuda().view(torch.float32))
        here = here.cuda()
        same = here.view(torch.int32) == there.view(torch.int32)
        different += int((~(same | (here.isnan() & there.isnan()))).sum())
    what = "selu, float32 values that give other bits than on CPU"
    wrong = f"{different} differ" if different else ""
    return Row(what, "", f"{different:,} of {len(chunks) * chunk:,}", "", wrong=wrong)


def waiting(call: Callable[[], object]) -> Callable[[], None]:
    """Some calls in a row, and the device's end of them."""

    def run() -> None:
        for _ in range(AHEAD):
            call()
        torch.cuda.synchronize()

    return run


def captured(step: Callable[[], object]) -> Callable[[], None]:
    """The step as a graph that the device runs without the host."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()

    def replay(_inputs: object = step) -> None:  # which the graph reads where they lie
        graph.replay()

    return replay


def gradient_of(
    function: Callable[[Tensor], Tensor], size: int, dtype: torch.dtype
) -> Callable[[], None]:
    """Forward and backward."""
    x = torch.randn(size, device="cuda").to(dtype).requires_grad_()
    grad = torch.ones_like(x)
    return waiting(lambda: torch.autograd.grad(function(x), x, grad))


def fused(x: Tensor) -> Tensor:
    """Ours."""
    return selfnorm.selu_alpha_dropout(x, P, training=True)


def alpha_dropout(x: Tensor) -> Tensor:
    """Torch's."""
    return F.alpha_dropout(x, P, training=True)


def named(size: int, dtype: torch.dtype) -> str:
    """A size and a dtype in words."""
    return f"{size >> 20} Mi {str(dtype).removeprefix('torch.')}"


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
