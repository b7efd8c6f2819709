"""How much each network is to count, by what rows say that it did not learn from."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from selfnorm.tabular.encoding._several import LabelsTarget
from selfnorm.tabular.encoding._target import Target

_STEPS = 16  # of the greedy selection: weights are multiples of a sixteenth
_SHARPEST = 5.0  # logarithm to base e
_DULLEST = -3.0
_UNSEEN = 0.5  # rows
_ASKED = 10_000  # rows that tell what an unknown one would lose
_STEEPEST = 2.0  # of numbers, as few rows tell little of a network that hardly learned


def weigh(target: Target, kinds: Sequence[Tensor], *known: Tensor) -> tuple[float, ...]:
    """Weights of kinds of networks, by what they say of rows that they did not learn from.

    Greedy selection with replacement (Caruana et al. 2004, ICML): again and again the kind joins
    that makes the mean of all that have joined best.

    Args:
        target: What outputs stand for.
        kinds: The outputs of each kind, (rows, outputs).
        known: The rows' targets, as encoded; and their weights, if there are some.
    """
    said = [target.said(outputs.double()) for outputs in kinds]
    joined = [0] * len(kinds)
    total = torch.zeros_like(said[0])
    for step in range(1, _STEPS + 1):
        losses = [float(target.loss(target.heard((total + one) / step), *known)) for one in said]
        best = losses.index(min(losses))
        joined[best] += 1
        total = total + said[best]
    return tuple(count / _STEPS for count in joined)


def sharpness_of_all(one: float, two: float, members: int) -> float:
    """The sharpness that fits the mean of all members, from those of one's and of two's.

    The more members are averaged, the less sure of itself their mean is. Its logarithm goes with
    the inverse of their number here, as the variance of a mean does.
    """
    return two * (two / one) ** (1 - 2 / members)


def sharpness(target: Target, outputs: Tensor, *known: Tensor) -> float:
    """The factor on outputs with which their loss is least; 1 for numbers, which have `factors`.

    Where all rows are told right no factor is too large for them. So half a row more is counted, of
    which each class is as likely.

    Args:
        target: What outputs stand for.
        outputs: Those of rows, (rows, outputs).
        known: The rows' targets, as encoded; and their weights, if there are some.
    """
    if target.task == "regression":
        return 1.0
    from scipy.optimize import minimize_scalar  # noqa: PLC0415 - a prediction need not wait for it

    some = outputs[:: -(-len(outputs) // _ASKED)]
    unknown, share = _unknown(target, some), _UNSEEN / _known_rows(target, outputs, known[0])

    def loss(power: float) -> float:
        factor = math.exp(power)
        seen = float(target.loss(outputs * factor, *known))
        return seen + share * float(target.loss(some * factor, unknown))

    found = minimize_scalar(
        loss, bounds=(_DULLEST, _SHARPEST), method="bounded", options={"xatol": 0.02}
    )
    return math.exp(found.x)


def _unknown(target: Target, outputs: Tensor) -> Tensor:
    """The targets of rows of which nothing is known."""
    share = 0.5 if isinstance(target, LabelsTarget) else 1 / outputs.shape[1]
    return torch.full_like(outputs, share)


def _known_rows(target: Target, outputs: Tensor, targets: Tensor) -> float:
    """How many rows' targets are known; of several labels on average."""
    if not isinstance(target, LabelsTarget):
        return len(outputs)
    return max(float((~targets.isnan()).sum()) / outputs.shape[1], 1.0)


def factors(target: Target, outputs: Tensor, *known: Tensor) -> Tensor:
    """Those on the outputs of one kind, (outputs,), with which their loss is least.

    Classes share one, their sharpness; each number has its own.
    """
    if target.task == "regression":
        return _slopes(outputs, *known)
    return outputs.new_full((outputs.shape[1],), sharpness(target, outputs, *known))


def _slopes(outputs: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """The slope of least squares through 0 from outputs to numbers, which have a mean of 0."""
    outputs, known = outputs.detach(), ~targets.isnan()
    targets = targets.to(outputs).where(known, outputs.new_zeros(()))
    counts = known.to(outputs) * (1.0 if weights is None else weights.to(outputs)[:, None])
    both = counts * outputs * targets
    own = counts * outputs.square()
    both, own = both.sum(0), own.sum(0)
    slopes = (both / own).clamp(math.exp(_DULLEST), _STEEPEST)
    return slopes.where(own > 0, own.new_ones(()))
