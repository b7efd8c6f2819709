"""What does an audit cost, beside the forward and backward pass that it looks at?"""

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

import selfnorm
from benchmarks._harness import Row, budget, compare, duration, main
from selfnorm.init import initialize_

Case = tuple[nn.Module, Tensor]


def mlp(depth: int, width: int, rows: int) -> Case:
    """A plain deep network."""
    return selfnorm.nn.MLP(width, 10, width=width, depth=depth), torch.randn(rows, width)


def convolutional(images: int) -> Case:
    """Eight convolutions on 32 x 32."""
    layers: list[nn.Module] = []
    channels = 3
    for _ in range(8):
        layers += [nn.Conv2d(channels, 64, 3, padding=1), selfnorm.nn.SELU()]
        channels = 64
    head = [nn.Conv2d(64, 10, 8, stride=8), selfnorm.nn.SELU(), nn.Flatten(), nn.Linear(160, 10)]
    model = nn.Sequential(*layers, *head)
    return initialize_(model), torch.randn(images, 3, 32, 32)


def wrong(depth: int, width: int, rows: int) -> Case:
    """The same with torch's own weights, which vanish."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(width, width), nn.SELU()]
    return nn.Sequential(*layers, nn.Linear(width, 10)), torch.randn(rows, width)


def measure(quick: bool) -> Iterator[Row]:
    """Time against the pass alone, then processor time of small networks, then memory."""
    torch.manual_seed(0)
    cases: dict[str, Callable[[], Case]] = {
        "MLP 512 x 16, 1,024 rows": lambda: mlp(16, 512, 1024),
        "MLP 1,024 x 8, 4,096 rows": lambda: mlp(8, 1024, 4096),
        "8 convolutions of 64, 32 images": lambda: convolutional(32),
        "MLP 64 x 8, 256 rows": lambda: mlp(8, 64, 256),
    }
    for name, make in list(cases.items())[-1:] if quick else cases.items():
        yield from time_of(name, *make(), quick)
    for depth in (8,) if quick else (8, 64):
        yield processor_time(depth, *(mlp(depth, 64, 256), wrong(depth, 64, 256)), quick=quick)
    yield memory(*((4, 64, 256) if quick else (16, 1024, 8192)))


def time_of(name: str, model: nn.Module, x: Tensor, quick: bool) -> Iterator[Row]:
    """The audit against a forward and a backward pass."""

    def plain() -> None:
        model.zero_grad(set_to_none=True)
        model(x).sum().backward()
        if x.is_cuda:
            torch.cuda.synchronize()

    report = selfnorm.audit(model, x)
    wrong = "" if report.ok else f"findings in a right network: {report.findings[0]}"
    yield from compare(
        f"audit, {name}",
        lambda: selfnorm.audit(model, x),
        {"forward + backward": plain},
        budget(quick),
        {"forward + backward": (1 / 3, 1 / 3)},
        wrong,
    )


def processor_time(depth: int, right: Case, bad: Case, *, quick: bool) -> Row:
    """What is fixed, of one thread, and whether a wrong network is dearer; others do not disturb.

    Each has a turn after the other; the medians of their turns.
    """
    cases = {"right": right, "wrong": bad}
    times: dict[str, list[float]] = {name: [] for name in cases}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for turn in range(4 if quick else 41):
        for name, case in cases.items():
            start = time.process_time()
            selfnorm.audit(*case)
            if turn:  # the first is to warm up
                times[name].append(time.process_time() - start)
    torch.set_num_threads(threads)
    ours, theirs = (statistics.median(times[name]) for name in cases)
    return Row(
        f"processor time of an audit, 64 wide, {depth} deep, 256 rows",
        "of a wrong network",
        duration(ours),
        f"{duration(theirs)}, {theirs / ours:.2f} times that of a right one",
    )


def memory(depth: int, width: int, rows: int) -> Row:
    """Peak resident memory of each in a process of its own, above what was there before."""
    plain, audited = (peak(what, depth, width, rows) for what in ("plain", "audit"))
    more = audited / plain - 1
    return Row(
        f"peak memory, MLP {width:,} x {depth}, {rows:,} rows",
        "forward + backward",
        f"{audited / 2**20:.0f} MiB",
        f"{plain / 2**20:.0f} MiB, so {more:+.1%}",
    )


def peak(what: str, depth: int, width: int, rows: int) -> int:
    """Bytes."""
    code = f"from benchmarks.audit import run; run({what!r}, {depth}, {width}, {rows})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout)


def run(what: str, depth: int, width: int, rows: int) -> None:
    """In the new process: warm up on a small model, then print by how much the peak rises."""
    small, few = mlp(2, 16, 64)
    selfnorm.audit(small, few)
    model, x = mlp(depth, width, rows)
    before = resident()
    if what == "audit":
        selfnorm.audit(model, x)
    else:
        model(x).sum().backward()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before)


def resident() -> int:
    """Bytes of memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    main("audit", measure)
