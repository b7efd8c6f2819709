"""How exact are the results? Every float32 there is, every bfloat16 and float16, 10^7 float64.

Errors are in units in the last place (ulp) of the exact result. Here the backward pass is the one
in place and with alpha dropout, which knows the output alone: ours and torch's in place are judged
by the derivative at that output, `lambda` above 0, `output + lambda * alpha` below, and 0 at the
lowest output, where SELU saturates. `derivatives.py` judges plain SELU's, by the true one. Rivals
are judged on normal numbers alone, without nan, infinity and what JAX flushes to 0; ours on all.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

import selfnorm
from benchmarks._harness import Row, main
from benchmarks._rivals import HAS_JAX
from selfnorm._spec._constants import BOTTOM, LAMBDA
from selfnorm.theory import selu_constants

SLOPE, AMPLITUDE = float(LAMBDA), float(BOTTOM)
CHUNK = 1 << 22
HALF = (torch.bfloat16, torch.float16)
Function = Callable[[Tensor], Tensor]


class Worst:
    """The largest error so far, where it is, and how many results are not the nearest number."""

    def __init__(self, normal_only: bool = False) -> None:
        self.normal_only = normal_only
        self.ulps, self.at, self.inexact, self.count = 0.0, 0.0, 0, 0
        self.ulps_of_normal = 0.0

    def see(self, x: Tensor, actual: Tensor, exact: Tensor) -> None:
        """Take in results; `exact` is in float64. A wrong infinity or nan is an infinite error."""
        if self.normal_only:
            smallest = torch.finfo(actual.dtype).tiny
            normal = x.isfinite() & (x.abs() >= smallest) & ~(exact.abs() < smallest)
            x, actual, exact = x[normal], actual[normal], exact[normal]
        nearest = exact.to(actual.dtype)
        right = (actual == nearest) & (actual.signbit() == nearest.signbit())
        right |= actual.isnan() & exact.isnan()
        self.count += x.numel()
        self.inexact += int((~right).sum())
        if right.all():
            return
        x, actual, exact = x[~right], actual[~right].double(), exact[~right]
        info = torch.finfo(nearest.dtype)
        unit = info.eps * torch.exp2(exact.abs().clamp(min=info.tiny).log2().floor())
        errors = ((actual - exact).abs() / unit).nan_to_num(torch.inf)
        errors = torch.where((actual == 0) & (exact == 0), torch.inf, errors)  # of the wrong sign
        # Rounded to infinity or the largest number: half a unit beyond it, either is near.
        errors = torch.where((exact.abs() >= info.max) & (actual.abs() >= info.max), 0.5, errors)
        normal = errors[exact.abs() >= info.tiny]
        self.ulps_of_normal = max(self.ulps_of_normal, float(normal.max()) if len(normal) else 0.0)
        worst = int(errors.argmax())
        if errors[worst] > self.ulps:
            self.ulps, self.at = float(errors[worst]), float(x[worst])

    def __str__(self) -> str:
        share = self.inexact / max(self.count, 1)
        text = f"{self.ulps:.2f} ulp at {self.at:.6g}, {share:.2%} not nearest"
        if self.ulps_of_normal < self.ulps:
            text += f"; {self.ulps_of_normal:.2f} among normal numbers"
        return text


def measure(quick: bool) -> Iterator[Row]:
    """Rows for each dtype and pass."""
    yield from every_float32(step=4096 if quick else 1)
    for dtype in HALF:
        yield from every_half(dtype)
    yield from many_float64(10_000 if quick else 10_000_000)
    yield zeros()


def every_float32(step: int) -> Iterator[Row]:
    """Bit pattern by bit pattern; each `step`-th if not all."""
    rivals: dict[str, Function] = {"torch": F.selu} | ({"jax": jax_selu()} if HAS_JAX else {})
    forward = {"ours": Worst()} | {name: Worst(normal_only=True) for name in rivals}
    from_output = {"ours": Worst(), "torch in place": Worst(normal_only=True)}
    floor = lowest(torch.float32)
    for start in range(-(1 << 31), 1 << 31, CHUNK):
        bits = torch.arange(start, min(start + CHUNK, 1 << 31), step, dtype=torch.int64)
        x = bits.to(torch.int32).view(torch.float32)
        exact = exact_selu(x)
        forward["ours"].see(x, selfnorm.selu(x), exact)
        for name, function in rivals.items():
            forward[name].see(x, function(x), exact)
        outputs = x[(x >= floor) | x.isnan()]
        if len(outputs):
            exact = slope_at(outputs, floor)
            from_output["ours"].see(outputs, our_slope(outputs), exact)
            from_output["torch in place"].see(outputs, torch_slope(outputs), exact)
    count = f"{forward['ours'].count:,} float32"
    yield from rows(f"selu forward, {count}", forward, least=1.0)
    count = f"{from_output['ours'].count:,} float32"
    yield from rows(f"selu backward from the output, {count}", from_output, least=1.0)


def every_half(dtype: torch.dtype) -> Iterator[Row]:
    """All 65,536."""
    x = torch.arange(-(1 << 15), 1 << 15).to(torch.int16).view(dtype)
    name = str(dtype).removeprefix("torch.")
    forward = {"ours": Worst(), "torch": Worst(normal_only=True)}
    exact = exact_selu(x)
    forward["ours"].see(x, selfnorm.selu(x), exact)
    forward["torch"].see(x, F.selu(x), exact)
    yield from rows(f"selu forward, 65,536 {name}", forward, least=0.5)
    floor = lowest(dtype)
    outputs = x[(x >= floor) | x.isnan()]
    from_output = {"ours": Worst(), "torch in place": Worst(normal_only=True)}
    exact = slope_at(outputs, floor)
    from_output["ours"].see(outputs, our_slope(outputs), exact)
    from_output["torch in place"].see(outputs, torch_slope(outputs), exact)
    count = f"{len(outputs):,} {name}"
    yield from rows(f"selu backward from the output, {count}", from_output, least=0.5)


def many_float64(count: int) -> Iterator[Row]:
    """Against 80-bit long double, which has 11 bits more; half of the sample where SELU bends."""
    if np.finfo(np.longdouble).nmant < 63:
        yield Row("selu, float64", "torch", "no long double here to judge by", "")
        return
    generator = np.random.default_rng(0)
    bent = -(10 ** generator.uniform(-20, 2, count - count // 2))
    sizes = np.concatenate((generator.normal(0, 2, count // 2), bent))
    wide = sizes.astype(np.longdouble)
    alpha, scale = (np.longdouble(str(c)) for c in selu_constants(digits=25))
    exact = np.where(wide > 0, scale * wide, scale * alpha * np.expm1(wide))
    x = torch.from_numpy(sizes)
    yield long_double_row("forward", x, exact, selfnorm.selu, F.selu)
    z = selfnorm.selu(x)
    floor = lowest(torch.float64)
    # Near saturation z and -lambda alpha cancel: exactly, if the constant comes in two parts.
    tail = np.longdouble(float(BOTTOM - Fraction(AMPLITUDE)))
    below = z.numpy().astype(np.longdouble) + np.longdouble(AMPLITUDE) + tail
    exact = np.where(z.numpy() > 0, scale, np.where(z.numpy() == floor, 0, below))
    yield long_double_row("backward from the output", z, exact, our_slope, torch_slope)


def long_double_row(
    way: str, x: Tensor, exact: np.ndarray, ours: Function, theirs: Function
) -> Row:
    """The largest errors of two functions, where the exact result is not 0."""
    some = exact != 0
    unit = np.exp2(np.floor(np.log2(np.abs(exact[some])))) * np.longdouble(2.0) ** -52
    found = []
    for function in (ours, theirs):
        result = function(x).numpy()
        errors = np.abs(result[some] - exact[some]) / unit
        found.append((float(errors.max()), float(x.numpy()[some][errors.argmax()])))
    zero = (ours(x).numpy()[~some] == 0).all()
    wrong = "" if found[0][0] <= 2 and zero else "more than 2 ulp, or not 0 where it should be"
    texts = [f"{error:.2f} ulp at {at:.6g}" for error, at in found]
    return Row(f"selu {way}, {len(x):,} float64", "torch", *texts, wrong=wrong)


def zeros() -> Row:
    """Gradients of saturated and of dropped units, in every dtype."""
    wrong = []
    for dtype in (torch.float64, torch.float32, *HALF):
        for p in (0.0, 0.05, 0.1, 0.5):
            x = torch.cat((torch.randn(10_000), torch.full((10_000,), -1e3))).to(dtype)
            x.requires_grad_()
            z = selfnorm.selu_alpha_dropout(x, p, training=True)
            (gradient,) = torch.autograd.grad(z, x, torch.ones_like(z))
            flat = z.detach() == z.detach().min()
            if (gradient[flat] != 0).any() or not flat[10_000:].all():
                wrong.append(f"{dtype} p={p}")
    x = torch.full((8,), -1e3, dtype=torch.float16, requires_grad=True)
    (theirs,) = torch.autograd.grad(F.selu(x * 1, inplace=True).sum(), x)
    return Row(
        "gradient of saturated and dropped units, four dtypes",
        "torch in place, float16",
        "0",
        f"{float(theirs[0]):.2g}",
        wrong=", ".join(wrong),
    )


def rows(what: str, errors: dict[str, Worst], least: float) -> Iterator[Row]:
    """Ours beside each rival; wrong if further off than `least`."""
    ours = errors.pop("ours")
    wrong = "" if ours.ulps <= least else f"more than {least} ulp"
    for name, theirs in errors.items():
        yield Row(what, name, str(ours), str(theirs), wrong=wrong)


def exact_selu(x: Tensor) -> Tensor:
    """In float64."""
    x = x.double()
    return torch.where(x > 0, SLOPE * x, AMPLITUDE * torch.expm1(x))


def slope_at(output: Tensor, floor: float) -> Tensor:
    """In float64; 0 where saturated."""
    z = output.double()
    return torch.where(z > 0, SLOPE, z + AMPLITUDE).where(z != floor, 0.0)


def lowest(dtype: torch.dtype) -> float:
    """The number of that dtype nearest to -lambda alpha, where SELU saturates."""
    return float(torch.tensor(-AMPLITUDE, dtype=dtype))


def our_slope(output: Tensor) -> Tensor:
    """The gradient that our backward pass makes of that output."""
    return torch.ops.selfnorm.selu_backward(output, torch.ones_like(output), 0.0)


def torch_slope(output: Tensor) -> Tensor:
    """The same by torch, whose backward pass for SELU uses the output too."""
    alpha, scale = selu_constants()
    return torch.ops.aten.elu_backward(torch.ones_like(output), alpha, scale, 1.0, True, output)


def jax_selu() -> Function:
    """JAX's SELU on torch tensors."""
    import jax

    function: Any = jax.jit(jax.nn.selu)
    return lambda x: torch.from_numpy(np.array(function(x.numpy())))


if __name__ == "__main__":
    main("accuracy", measure)
