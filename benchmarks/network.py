"""Where does a training step's time go, and what do predictions and memory cost?

A step takes about as long as its matrix products alone, its bytes at the speed at which memory of
that size is copied, and its calls, which are timed on the same network with next to no numbers.
"""

import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from torch import nn

from benchmarks._harness import Row, budget, compare, duration, in_turns, main
from benchmarks.training import (
    CLASSES,
    PAIR,
    QUICK,
    RELU,
    SHAPES,
    P,
    relu_layers,
    stack,
    step_of,
    torch_layers,
)
from selfnorm.nn import MLP
from selfnorm.optim import AdamW

OURS = "selfnorm"
FLOAT = 4  # bytes
# Of a hidden layer's output, bytes an element that a step reads or writes beside the products:
# bias, activation, its derivative, the bias's gradient; torch's pair draws noise and multiplies.
BYTES = {OURS: 4 + 8 + 12 + 4, RELU: 4 + 8 + 12 + 4, PAIR: 4 + 8 + 12 + 4 + 36}
ADAMW = 7 * FLOAT  # bytes a parameter: four are read, three written
DEEP, WIDE = 8, 128
PREDICTIONS = {1: (1.0, 1.5), 8192: (1.0, 1.5)}
MEMORY = (4096, 512, 16)


def measure(quick: bool) -> Iterator[Row]:
    """What a step's time is made of; predictions; memory."""
    for shape in QUICK if quick else SHAPES:
        yield from parts(shape, quick=quick)
    all_threads = torch.get_num_threads()
    for threads in (all_threads,) if quick else (all_threads, 1):
        torch.set_num_threads(threads)
        for rows, aims in PREDICTIONS.items():
            yield from predictions(rows, aims, threads, quick=quick)
    torch.set_num_threads(all_threads)
    yield from memory(quick=quick)


def parts(shape: tuple[int, int, int], *, quick: bool) -> Iterator[Row]:
    """What is predicted for a step beside what it takes, all timed in the same turns."""
    rows, width, depth = shape
    size = rows * width * depth
    makers = contestants()
    run, count = products_of(shape)
    x, y = torch.zeros(size), torch.zeros(size)
    one, result = torch.ones(1, 1), torch.empty(1, 1)
    timed = {
        **{name: make(shape) for name, make in makers.items()},
        **{f"calls of {name}": make((1, 2, depth)) for name, make in makers.items()},
        "products": run,
        "copy": lambda: y.copy_(x),
        "call": lambda: torch.mm(one, one, out=result),
    }
    taken = {
        name: statistics.median(times) for name, times in in_turns(timed, budget(quick)).items()
    }
    products = taken["products"] - count * taken["call"]
    parameters = depth * width * (width + 1) + CLASSES * (width + 1)
    for name in makers:
        moved = size * BYTES[name] + parameters * ADAMW
        copied = moved * taken["copy"] / (2 * FLOAT * size)
        calls = taken[f"calls of {name}"]
        yield Row(
            f"training step, {rows} x {width} x {depth}, {name}",
            f"predicted {duration(products + copied + calls)} of products {duration(products)}, "
            f"bytes {duration(copied)} and calls {duration(calls)}",
            duration(taken[name]),
            f"products at {products / taken[name]:.2f} of their speed alone",
        )


def contestants() -> dict[str, Callable[[tuple[int, int, int]], Callable[[], object]]]:
    """For a shape each one's step."""

    def ours(shape: tuple[int, int, int]) -> Callable[[], object]:
        rows, width, depth = shape
        model = MLP(width, CLASSES, width=width, depth=depth, dropout=P)
        return step_of(model, rows, width, optimizer=AdamW)

    def theirs(
        layers: Callable[[int], list[nn.Module]], shape: tuple[int, int, int]
    ) -> Callable[[], object]:
        rows, width, depth = shape
        return step_of(stack(width, depth, layers), rows, width)

    return {OURS: ours, RELU: partial(theirs, relu_layers), PAIR: partial(theirs, torch_layers)}


def products_of(shape: tuple[int, int, int]) -> tuple[Callable[[], object], int]:
    """A step's products, into memory that is there, of matrices of their own; how many they are."""
    rows, width, depth = shape
    sizes = [*[(width, width)] * depth, (width, CLASSES)]
    work: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    for number, (inputs, outputs) in enumerate(sizes):
        x, weight = torch.randn(rows, inputs), torch.randn(outputs, inputs)
        grad = torch.randn(rows, outputs)
        work += [(x, weight.t(), torch.empty(rows, outputs))]
        work += [(grad.t(), x, torch.empty(outputs, inputs))]
        work += [(grad, weight, torch.empty(rows, inputs))] if number else []

    def run() -> None:
        for left, right, out in work:
            torch.mm(left, right, out=out)

    return run, len(work)


def predictions(
    rows: int, aims: tuple[float, float], threads: int, *, quick: bool
) -> Iterator[Row]:
    """Networks of one size beside each other, in inference mode."""
    x = torch.randn(rows, WIDE)
    ours = MLP(WIDE, CLASSES, width=WIDE, depth=DEEP, dropout=P).eval()
    theirs = stack(WIDE, DEEP, relu_layers).eval()
    layers = nn.Sequential(*ours)
    wrong = "" if torch.equal(ours(x), layers(x)) else "not what the layers give"

    def predict(model: nn.Module) -> Callable[[], object]:
        def run() -> object:
            with torch.inference_mode():
                return model(x)

        return run

    what = f"prediction, {rows:,} x {WIDE} x {DEEP}" + (", one thread" if threads == 1 else "")
    rivals: dict[str, Callable[[], object] | None] = {RELU: predict(theirs)}
    yield from compare(what, predict(ours), rivals, budget(quick), {RELU: aims}, wrong)


def memory(*, quick: bool) -> Iterator[Row]:
    """The most memory that a process has while it trains, beyond what it had before."""
    rows, width, depth = (1024, 128, 4) if quick else MEMORY
    rivals = (RELU,) if quick else (RELU, PAIR)
    taken = {name: peak(name, rows, width, depth) for name in (OURS, *rivals)}
    for name in rivals:
        outputs = rows * width * depth * FLOAT / 2**20
        ratio = taken[name] / max(taken[OURS], 1.0)
        yield Row(
            f"memory of a step, {rows:,} x {width} x {depth}, whose outputs take {outputs:.0f} MiB",
            name,
            f"{taken[OURS]:.0f} MiB",
            f"{taken[name]:.0f} MiB",
            *((None,) * 5 if quick else (ratio, ratio, ratio, 1.0, None)),
        )


def peak(name: str, rows: int, width: int, depth: int) -> float:
    """MiB by which some steps exceed what a process of its own had with the model."""
    code = f"from benchmarks.network import grow; print(grow({name!r}, {rows}, {width}, {depth}))"
    command = [sys.executable, "-c", code]
    outcome = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(outcome.stdout.split()[-1])


def grow(name: str, rows: int, width: int, depth: int) -> float:
    """The same, in this process; gradients and the optimizer's averages are among it."""
    make = contestants()[name]
    make((1, 8, depth))()  # what is loaded and compiled once
    step = make((rows, width, depth))
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = in_kib("VmRSS")
    for _ in range(3):
        step()
    return (in_kib("VmHWM") - before) / 2**10


def in_kib(name: str) -> int:
    """What the kernel says of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


if __name__ == "__main__":
    main("network", measure)
