"""Is a weight what a report says that it is? By its numbers, and by how it was drawn."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from tests.zoo._origins import Origin
from torch import Tensor, nn

_CUT = 0.7737413  # variance of a normal distribution, cut at two deviations
_GAINS = {"of ReLU": 2.0, "of tanh": 25 / 9, "gain for SELU, 3/4": 9 / 16}
_NUMBER = r"(\d+\.?\d*(?:e[+-]?\d+)?)"


@dataclass(frozen=True)
class _Case:
    """A weight, and the words that name how it was drawn; `found` is their match."""

    weight: Tensor
    fan_in: int
    module: Any
    found: "re.Match[str]"

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.weight.shape)

    @property
    def rows(self) -> int:
        """fan_out, as torch counts it."""
        return self.shape[0] * math.prod(self.shape[2:]) if len(self.shape) > 1 else 1

    @property
    def columns(self) -> int:
        """fan_in, as torch counts it."""
        return math.prod(self.shape[1:]) if len(self.shape) > 1 else self.fan_in

    def number(self, place: int = 1) -> float:
        return float(self.found[place])


def is_so(
    claim: str, weight: Tensor, fan_in: int, origin: Origin | None, module: nn.Module
) -> bool:
    """Whether a claim of the form "initialized by ..." holds of a weight.

    Args:
        claim: What is named.
        weight: Its numbers.
        fan_in: How many terms a unit sums, as the report says.
        origin: How it was drawn, if that was seen.
        module: That it belongs to.
    """
    own = weight.detach().double()
    for pattern, holds in _SHOWN.items():
        if found := re.match(pattern, claim):
            return holds(_Case(own, fan_in, module, found))
    for pattern, variance in _DRAWN.items():
        if found := re.fullmatch(pattern, claim):
            return _is_drawn(claim, own, variance(_Case(own, fan_in, module, found)), origin)
    return False  # words that nobody knows


def _is_drawn(claim: str, own: Tensor, expected: float, origin: Origin | None) -> bool:
    """Whether numbers are of this variance and kind: by the draw itself, or within chance."""
    if origin is None or origin.kind in {"constant", "orthogonal"}:
        size = float(own.square().mean())
        return abs(math.log(size / expected)) < max(6 * math.sqrt(2 / own.numel()), 0.02)
    uniform = any(word in claim for word in ("uniform", "limits", "recurrent"))
    same = origin.kind == ("uniform" if uniform else "normal")
    if origin.kind == "cut":
        return "cut" in claim
    return same and abs(math.log(origin.deviation**2 / expected)) < 0.01


def _gain(claim: str) -> float:
    return next((square for words, square in _GAINS.items() if words in claim), 1.0)


def _is_one_value(case: _Case) -> bool:
    first = float(case.weight.flatten()[0])
    same = bool((case.weight == first).all())
    return same and math.isclose(first, case.number(), rel_tol=0.01)


def _is_computed(case: _Case) -> bool:
    left = any(hasattr(case.module, f"weight_{end}") for end in ("g", "orig", "u"))
    return left or bool(getattr(case.module, "parametrizations", None))


def _is_orthogonal(case: _Case) -> bool:
    matrix = case.weight.flatten(1)
    matrix = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    gram = matrix @ matrix.T
    away = gram / gram.diagonal().mean() - torch.eye(len(gram), dtype=gram.dtype)
    return bool(away.abs().max() < 1e-3)


_SHOWN: dict[str, Callable[[_Case], bool]] = {
    r"zeros$": lambda c: not bool(c.weight.any()),
    rf"one value for all, (-?{_NUMBER[1:-1]})": _is_one_value,
    r".*?(\d+)% were set to 0": lambda c: (
        abs(float((c.weight == 0).double().mean()) - c.number() / 100) < 0.006
    ),
    r"a mean that is not 0": lambda c: bool(
        c.weight.mean().abs() > 0.1 * c.weight.square().mean().sqrt()
    ),
    r"uniform in \[0, 1\]": lambda c: bool(c.weight.min() >= 0 and c.weight.max() <= 1),
    r".*, which decides the size": _is_computed,
    r"orthogonal_": _is_orthogonal,
    r"LeCun's$": lambda c: abs(math.log(float(c.weight.square().mean()) * c.fan_in)) < 0.2,
}
"""What the numbers themselves show."""

_DRAWN: dict[str, Callable[[_Case], float]] = {
    r"torch's default of recurrent layers": lambda c: 1 / (3 * c.module.hidden_size),
    r"torch's default, kaiming_uniform_\(a=sqrt\(5\)\)": lambda c: 1 / (3 * c.columns),
    r"LeCun's .* with the fan-in that torch counts": lambda c: 1 / c.columns,
    r"LeCun's .* with the channels alone as fan-in, without the kernel": lambda c: 1 / c.shape[1],
    r"LeCun's .* with fan_out for fan_in": lambda c: 1 / c.rows,
    r"He's, kaiming_.*_ for ReLU": lambda c: 2 / c.columns,
    r"He's, kaiming_.*_ for ReLU, mode='fan_out'": lambda c: 2 / c.rows,
    r"kaiming_.*_\(nonlinearity='selu'\), whose gain is 3/4": lambda c: 9 / 16 / c.columns,
    r"kaiming_.*_\(nonlinearity='selu'\), whose gain is 3/4, mode='fan_out'": lambda c: (
        9 / 16 / c.rows
    ),
    r"kaiming_.*_\(nonlinearity='tanh'\)": lambda c: 25 / 9 / c.columns,
    r"kaiming_.*_\(nonlinearity='tanh'\), mode='fan_out'": lambda c: 25 / 9 / c.rows,
    r"(?:Xavier's, )?xavier_.*": lambda c: 2 * _gain(c.found[0]) / (c.rows + c.columns),
    r"LeCun's, cut at two deviations without correction": lambda c: _CUT / c.columns,
    r"He's, cut at two deviations without correction": lambda c: 2 * _CUT / c.columns,
    r"He's, cut at two deviations": lambda c: 2 / c.columns,
    r"Xavier's, cut at two deviations": lambda c: 2 / (c.rows + c.columns),
    r"a deviation of 1/fan_in, which is LeCun's variance": lambda c: c.fan_in**-2.0,
    r"limits of 1/fan_in": lambda c: c.fan_in**-2.0 / 3,
    r"a variance of 1/sqrt\(fan_in\), which is LeCun's deviation": lambda c: c.fan_in**-0.5,
    r"limits of 1/sqrt\(fan_in\), as torch's default has": lambda c: 1 / (3 * c.fan_in),
    r"limits of 1/sqrt\(fan_out\)": lambda c: 1 / (3 * c.rows),
    r"a deviation of 1/sqrt\(numel\)": lambda c: 1 / c.weight.numel(),
    r"a deviation of 0.5/sqrt\(numel\)": lambda c: 0.25 / c.weight.numel(),
    r"normal of deviation 0.02/sqrt\((\d+)\), GPT-2's of \d+ blocks": lambda c: 4e-4 / c.number(),
    rf"normal of deviation {_NUMBER}, .*(?<!cut at two)": lambda c: c.number() ** 2,
    rf"normal of deviation {_NUMBER}": lambda c: c.number() ** 2,
    rf"normal of deviation {_NUMBER}, .*cut at two": lambda c: _CUT * c.number() ** 2,
    rf"uniform in \[-{_NUMBER}, {_NUMBER}\]": lambda c: c.number() ** 2 / 3,
}
"""Variances of distributions, in torch's or the textbooks' own terms."""
