"""How exact is the derivative? Plain SELU's by the true one; then what keeping the output costs.

Every float32 from -106 to 0 is tried, where SELU bends and its derivative is more than 0; above it
is `lambda`, below 0. All bfloat16 and float16, and 10^6 float64, by 80-bit long double.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

import selfnorm
from benchmarks._harness import Row, main
from benchmarks.accuracy import AMPLITUDE, CHUNK, HALF, SLOPE, Worst, long_double_row, rows
from selfnorm.theory import selu_constants

Function = Callable[[Tensor], Tensor]
NEGATIVE = -(1 << 31)
"""The bits of -0, the first of the negative numbers."""


def measure(quick: bool) -> Iterator[Row]:
    """Rows for each dtype; what the output costs; the gradient of a network."""
    yield from every_float32_that_bends(step=512 if quick else 1)
    for dtype in HALF:
        x = torch.arange(-(1 << 15), 1 << 15).to(torch.int16).view(dtype)
        name = str(dtype).removeprefix("torch.")
        errors = {"ours": Worst(), "torch": Worst(normal_only=True)}
        see(errors, x)
        yield from rows(f"derivative of selu, 65,536 {name}", errors, least=0.5)
    yield from many_float64(10_000 if quick else 1_000_000)
    yield from what_the_output_costs()
    yield from of_a_network()


def every_float32_that_bends(step: int) -> Iterator[Row]:
    """Bit pattern by bit pattern; each `step`-th if not all."""
    errors = {"ours": Worst(), "torch": Worst(normal_only=True)}
    end = int(torch.tensor(106.0).view(torch.int32)) + 1
    for start in range(0, end, CHUNK):
        bits = torch.arange(start, min(start + CHUNK, end), step, dtype=torch.int64) + NEGATIVE
        see(errors, bits.to(torch.int32).view(torch.float32))
    count = f"{errors['ours'].count:,} float32 from -106 to 0"
    yield from rows(f"derivative of selu, {count}", errors, least=1.0)


def see(errors: dict[str, Worst], x: Tensor) -> None:
    """Take in both derivatives."""
    exact = true_slope(x)
    errors["ours"].see(x, slope_of(selfnorm.selu, x), exact)
    errors["torch"].see(x, slope_of(F.selu, x), exact)


def many_float64(count: int) -> Iterator[Row]:
    """Against long double; down to where the derivative is the smallest number of all."""
    if np.finfo(np.longdouble).nmant < 63:
        yield Row("derivative of selu, float64", "torch", "no long double here to judge by", "")
        return
    generator = np.random.default_rng(0)
    deep = -generator.uniform(0, 700, count - count // 2)
    x = np.concatenate((generator.normal(0, 2, count // 2), deep))
    alpha, scale = (np.longdouble(str(c)) for c in selu_constants(digits=25))
    exact = np.where(x > 0, scale, scale * alpha * np.exp(x.astype(np.longdouble)))
    ours, theirs = (partial(slope_of, function) for function in (selfnorm.selu, F.selu))
    yield long_double_row("derivative", torch.from_numpy(x), exact, ours, theirs)


def what_the_output_costs() -> Iterator[Row]:
    """How far from the true derivative the one at the rounded output is, in parts of it."""
    for dtype in (torch.float64, torch.float32, *HALF):
        for at in (-2.0, -6.0, -15.0):
            x = torch.linspace(at * 1.02, at * 0.98, 4001, dtype=torch.float64).to(dtype)
            exact = true_slope(x)
            off = [
                float(((slope_of(function, x) - exact).abs() / exact).max())
                for function in (selfnorm.selu, partial(selfnorm.selu, inplace=True), F.selu)
            ]
            plain, in_place, theirs = (f"{error:.1e}" for error in off)
            name = str(dtype).removeprefix("torch.")
            wrong = "" if off[0] <= off[2] * 2 else "further off than twice torch"
            what = f"derivative near x = {at:g}, {name}, off by"
            yield Row(what, "torch", plain, theirs, wrong=wrong)
            yield Row(what, "ours in place", plain, in_place)


def of_a_network(width: int = 256, depth: int = 8) -> Iterator[Row]:
    """How far the norm of a network's gradient is from float64's, in parts of it."""
    for dtype in (torch.float32, torch.bfloat16):
        torch.manual_seed(0)
        layers = [selfnorm.init.initialize_(torch.nn.Linear(width, width)) for _ in range(depth)]
        layers = [layer.to(dtype) for layer in layers]
        x = torch.randn(512, width).to(dtype)
        norms = []
        for function, kind in (
            (F.selu, torch.float64),
            (selfnorm.selu, dtype),
            (partial(selfnorm.selu, inplace=True), dtype),
            (F.selu, dtype),
        ):
            parameters = [p.detach().to(kind).requires_grad_() for m in layers for p in (m.weight,)]
            hidden = x.to(kind)
            for weight in parameters:
                hidden = function(F.linear(hidden, weight))
            gradients = torch.autograd.grad(hidden.to(torch.float64).pow(2).mean(), parameters)
            norms.append(torch.cat([g.flatten().double() for g in gradients]).norm())
        off = [float((norm / norms[0] - 1).abs()) for norm in norms[1:]]
        plain, in_place, theirs = (f"{error:.1e}" for error in off)
        name = str(dtype).removeprefix("torch.")
        what = f"norm of the gradient of {depth} layers of {width}, {name}, off by"
        yield Row(what, "torch", plain, theirs)
        yield Row(what, "ours in place", plain, in_place)


def true_slope(x: Tensor) -> Tensor:
    """The derivative, in float64."""
    x = x.double()
    return torch.where(x > 0, SLOPE, AMPLITUDE * torch.exp(x)).where(~x.isnan(), torch.nan)


def slope_of(function: Function, x: Tensor) -> Tensor:
    """The derivative that autograd finds; from a copy, as `function` may write over it."""
    x = x.detach().requires_grad_()
    y = function(x * 1)
    return torch.autograd.grad(y, x, torch.ones_like(y))[0]


if __name__ == "__main__":
    main("derivatives", measure)
