"""Values that are computed, number by number, from one tensor: a function, whatever it is called.

SELU may be written as `scale * where(x > 0, x, alpha * exp(x) - alpha)`, and a normalization as
`(x - mean) / std`. What such a run of operations does is seen in some of its values, beside those
of the tensor that all of them are computed from, its root.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from selfnorm._given import leaves
from selfnorm.watch._bends import OWN, function_of, line_of
from selfnorm.watch._calls import Call
from selfnorm.watch._flow import Expression, Flow
from selfnorm.watch._kinds import CHOOSING, MOVING, POINTWISE, STATISTICS

_VALUES = 256
_NEAR = 0.01
_numbers = itertools.count()


def operands(
    name: str, given: Sequence[Tensor], tracked: Sequence[Tensor], flow: Flow
) -> list[Expression] | None:
    """The tensors that a call reads, as functions of one root; None if they are not.

    To be asked before the call, which may write into them.
    """
    if name not in POINTWISE | STATISTICS | MOVING:
        return None
    if any(v.numel() != 1 for v in given if not any(v is t for t in tracked)):
        return None
    found = [flow.expression(value) for value in tracked]
    known = [one for one in found if one is not None]
    if len(known) < len(found):
        if known or len(found) > 1 or name in MOVING:
            return None
        (value,) = tracked
        if not value.is_floating_point() or value.numel() < 2:
            return None
        places = some(value)
        known = [Expression(next(_numbers), value.shape, places, places)]
        flow.express(value, known[0])
    return known if len({one.root for one in known}) == 1 else None


def result(name: str, read: Sequence[Expression], output: Tensor) -> Expression | None:
    """What a call gives, as a function of the root of all that it reads."""
    first = read[0]
    by_number = all(one.values is not None for one in read)
    if name in MOVING:
        return None if by_number else first
    if name in POINTWISE and output.shape == first.shape:
        return replace(first, values=some(output) if by_number else None)
    return replace(first, values=None)


def by_hand(
    name: str,
    call: Call | None,
    expression: Expression,
    tracked: Sequence[Tensor],
    output: Tensor,
) -> Call | None:
    """What a call is where others before it tell more than its name."""
    if call is None:
        whole = expression.values is not None and output.is_floating_point()
        return Call(name, "unknown") if name in CHOOSING and whole else None
    if expression.values is not None or output.shape != expression.shape:
        return call
    statistics = [v for v in tracked if v.shape != expression.shape]
    if call.role == "addition":
        return replace(call, role="scale", settings={**call.settings, "by": "statistic"})
    kind = _normalized(expression, output, statistics) if call.role == "product" else None
    if kind is None:
        return call
    settings = {**call.settings, "by_hand": True}
    if kind == "softmax":
        return Call("softmax", "activation", "softmax", settings)
    return replace(call, role=kind, settings=settings)


def same_function(args: object, output: Tensor) -> str:
    """Which activation a module is that nothing is seen of, but what it reads and gives; or ""."""
    read = [v for v in leaves(args) if isinstance(v, Tensor)]
    if len(read) != 1 or read[0].shape != output.shape or not read[0].is_floating_point():
        return ""
    places, values = some(read[0]), some(output)
    if line_of(places, values) is not None:
        return ""
    found = function_of(places, values)
    return "" if found == OWN else found


def _normalized(
    expression: Expression, output: Tensor, statistics: Sequence[Tensor]
) -> Literal["normalization", "softmax"] | None:
    """Whether a tensor, divided by statistics of itself, has the same size in each group.

    A group is what one statistic is of. Of a softmax the sums are 1.
    """
    if output.shape != expression.shape or not statistics:
        return None
    of = statistics[0]
    lead = (1,) * (output.ndim - of.ndim)
    dims = [d for d, size in enumerate((*lead, *of.shape)) if size == 1 < output.shape[d]]
    if not dims or of.ndim > output.ndim:
        return None
    wide = output.detach().float()
    if bool((wide >= 0).all()) and _same(wide.sum(dims), 1.0):
        return "softmax"
    squares = wide.square().mean(dims)
    size = float(squares.mean())
    # A constant that is added to the variance shows in groups that hardly vary.
    return "normalization" if size > 0 and _same(squares.sort().values, size) else None


def _same(values: Tensor, expected: float) -> bool:
    away = (values - expected).abs().flatten()
    return away.numel() > 1 and bool(away.quantile(0.9) <= _NEAR * abs(expected))


@torch.no_grad()
def some(value: Tensor) -> Tensor:
    """Some of a tensor's values, spread evenly, and over all units."""
    flat = value.detach().flatten()
    step = max(1, flat.numel() // _VALUES)
    while step > 1 and math.gcd(step, math.prod(value.shape[1:])) > 1:
        step -= 1
    return flat[::step][: 2 * _VALUES].clone()
