"""Kernel ridge regression: the penalty by what each row is told that is left out."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from selfnorm.tabular._weighing import sharpness
from selfnorm.tabular.encoding._several import NumbersTarget
from selfnorm.tabular.encoding._target import Target

SOME = 1000
"""So many of many rows tell what suits all."""
_START = -1.0  # the penalty's logarithm to base 10, of a kernel whose diagonal is 1
_RANGE = (-5.0, 2.0)
_STRIDES = (1.0, 0.5)


@dataclass(frozen=True)
class Told:
    """What rows tell a regression; some may be learned as one, and left out together.

    Attributes:
        targets: The target of each row.
        wanted: The outputs that it asks for, (rows, outputs).
        weights: How much it counts; None if all count the same.
        place: Which row of the kernel stands for it.
        groups: Rows of the kernel that are left out together, two or more.
    """

    targets: Tensor
    wanted: Tensor
    weights: Tensor | None
    place: Tensor
    groups: tuple[Tensor, ...] = ()

    @property
    def known(self) -> tuple[Tensor, ...]:
        """What a loss is told besides outputs."""
        return (self.targets,) if self.weights is None else (self.targets, self.weights)

    def merged(self, rows: Tensor, together: Tensor) -> tuple[Tensor, "Told"]:
        """The different rows of each group, and the same with copies learned as one."""
        numbers = together.cpu().unique(return_inverse=True)[1]
        keyed = torch.cat([numbers[:, None].double(), rows.double()], 1)
        apart, place = keyed.unique(dim=0, return_inverse=True)
        of_row = apart[:, 0].long()
        sizes = of_row.bincount()
        several = of_row.argsort(stable=True).split(sizes.tolist())
        groups = tuple(group for group in several if len(group) > 1)
        return apart[:, 1:].float(), replace(self, place=place, groups=groups)

    def of(self, some: Tensor) -> "Told":
        """The same of some rows of the kernel."""
        new = torch.full((int(self.place.max()) + 1,), -1)
        new[some] = torch.arange(len(some))
        rows = torch.nonzero(new[self.place] >= 0)[:, 0]
        kept = (numbers[numbers >= 0] for numbers in (new[group] for group in self.groups))
        return Told(
            self.targets[rows],
            self.wanted[rows],
            None if self.weights is None else self.weights[rows],
            new[self.place[rows]],
            tuple(group for group in kept if len(group) > 1),
        )

    def known_in(self, rows: Tensor, outputs: Tensor, offset: Tensor) -> tuple[Tensor, "Told"]:
        """The kernel's rows of some rows alone, and the same of some outputs of these rows."""
        used, place = self.place[rows].unique(return_inverse=True)
        new = torch.full((int(self.place.max()) + 1,), -1)
        new[used] = torch.arange(len(used))
        kept = (numbers[numbers >= 0] for numbers in (new[group] for group in self.groups))
        part = Told(
            self.targets[rows][:, outputs],
            self.wanted[rows][:, outputs] - offset,
            None if self.weights is None else self.weights[rows],
            place,
            tuple(group for group in kept if len(group) > 1),
        )
        return used, part

    def averaged(self) -> tuple[Tensor, Tensor]:
        """What each row of the kernel asks for, and how much it counts."""
        weights = torch.ones(len(self.place)).double() if self.weights is None else self.weights
        rows = int(self.place.max()) + 1
        counts = torch.zeros(rows).double().index_add_(0, self.place, weights)
        sums = torch.zeros(rows, self.wanted.shape[1]).double()
        sums.index_add_(0, self.place, weights[:, None] * self.wanted)
        return sums / counts[:, None], counts


class Solved(NamedTuple):
    """A kernel regression: the penalty's power of 10, and the factor that makes its outputs fit."""

    loss: float
    power: float
    factor: float
    coefficients: Tensor
    left_out: Tensor


def solved(kernels: Tensor, told: Told, offset: Tensor, target: Target) -> Solved:
    """The regression of least loss; of many rows some tell what its penalty is."""
    if len(kernels) <= SOME:
        return _best(kernels, told, offset, target)
    some = some_of(len(kernels))
    at = _best(kernels[some][:, some], told.of(some), offset, target).power
    strides = _STRIDES[-1:] if isinstance(target, NumbersTarget) else ()  # of each number its own
    return _best(kernels, told, offset, target, start=at, strides=strides)


def some_of(rows: int) -> Tensor:
    """Some of many rows, always the same."""
    return torch.randperm(rows, generator=torch.Generator().manual_seed(0))[:SOME]


def _best(
    kernel: Tensor,
    told: Told,
    offset: Tensor,
    target: Target,
    *,
    start: float = _START,
    strides: tuple[float, ...] = _STRIDES,
) -> Solved:
    """The regression with the penalty of least loss of rows left out."""
    tried: dict[float, Solved] = {}
    wanted, counts = told.averaged()

    def loss(power: float) -> float:
        if not _RANGE[0] <= power <= _RANGE[1]:
            return math.inf
        if power not in tried:
            solved = solve(kernel, wanted, 10**power, counts, told.groups)
            if solved is None:
                return math.inf
            coefficients, left_out = solved[0], (solved[1] + offset)[told.place]
            factor = sharpness(target, left_out, *told.known)
            value = float(target.loss(left_out * factor, *told.known))
            tried[power] = Solved(value, power, factor, coefficients, left_out)
        return tried[power].loss

    best = tried[_least(loss, start, strides)]
    return _best_of_each(tried.values(), told) if isinstance(target, NumbersTarget) else best


def _best_of_each(tried: Iterable[Solved], told: Told) -> Solved:
    """Of several numbers each with the penalty that suits it best, of those that were tried."""
    found = list(tried)
    counts = torch.ones(len(told.targets)).double() if told.weights is None else told.weights
    losses = torch.stack([counts @ (one.left_out - told.targets).square() for one in found])
    best = losses.argmin(0)[None, None]
    coefficients, left_out = (
        torch.stack(each).take_along_dim(best, 0)[0]
        for each in zip(*((one.coefficients, one.left_out) for one in found), strict=True)
    )
    return found[0]._replace(coefficients=coefficients, left_out=left_out)


def _least(loss: Callable[[float], float], start: float, strides: tuple[float, ...]) -> float:
    """Where a loss is least, by steps from the start as long as it falls, then by shorter ones."""
    at = start
    while loss(at) == math.inf and at < _RANGE[1]:  # roundings prevail where there are more rows
        at += _STRIDES[-1]
    for stride in strides:
        way = stride if loss(at + stride) < loss(at - stride) else -stride
        while loss(at + way) < loss(at):
            at += way
    return at


def solve(
    kernel: Tensor,
    wanted: Tensor,
    penalty: float,
    counts: Tensor | None = None,
    groups: Iterable[Tensor] = (),
) -> tuple[Tensor, Tensor] | None:
    """Coefficients, and what each row is told by all that are not left out with it.

    None if roundings prevail: equal rows have an angle of some 1e-8, which adds up where they are
    many.
    """
    ridge = kernel.clone()
    ridge.diagonal().add_(penalty if counts is None else penalty / counts)
    factor, failed = torch.linalg.cholesky_ex(ridge)
    if failed:
        return None
    inverse = torch.cholesky_inverse(factor)
    coefficients = inverse @ wanted
    errors = coefficients / inverse.diagonal()[:, None]
    for group in groups:
        errors[group] = torch.linalg.solve(inverse[group][:, group], coefficients[group])
    return coefficients, wanted - errors
