"""The infinitely wide SELU network as a member of an ensemble: kernel ridge regression."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from selfnorm.tabular._kernel import kernel, with_ones
from selfnorm.tabular._weighing import sharpness
from selfnorm.tabular.encoding._several import LabelsTarget, NumbersTarget
from selfnorm.tabular.encoding._target import Target

MOST_ROWS = 5000
_ROWS = 1024  # of a kernel at a time
_START = -1.0  # the penalty's logarithm to base 10, of a kernel whose diagonal is 1
_RANGE = (-5.0, 2.0)
_STRIDES = (1.0, 0.5)
_MANY, _SOME = 2000, 1500  # rows


class InfiniteNetwork(nn.Module):
    """What a self-normalizing network of infinite width would have learned from some rows.

    Trained by gradient descent on squared errors, an infinitely wide network predicts as kernel
    regression does with its tangent kernel (Jacot et al. 2018, arXiv 1806.07572); a penalty takes
    the place of early stopping. It reads some of the features, with a column of ones behind them,
    so that how long a row is counts too.

    Args:
        reads: Which features it reads, (features,), booleans.
        rows: How many rows it learns from.
        outputs: How many outputs it has.

    Shape:
        Input (rows, features), output (rows, outputs), on any device; the work is done on CPU in
        float64, a product of all rows with those learned from.
    """

    reads: Tensor
    rows: Tensor
    coefficients: Tensor
    offset: Tensor

    def __init__(self, reads: Tensor, rows: int, outputs: int) -> None:
        super().__init__()
        inputs = int(reads.sum())
        self.register_buffer("reads", reads.bool().cpu(), persistent=False)
        self.register_buffer("rows", torch.zeros(rows, inputs, dtype=torch.float32))
        self.register_buffer("coefficients", torch.zeros(rows, outputs, dtype=torch.float64))
        self.register_buffer("offset", torch.zeros(outputs, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        """The outputs of rows, in their dtype."""
        learned = with_ones(_numpy(self.rows))
        parts = [
            kernel(with_ones(_numpy(part[:, self.reads])), learned) @ _numpy(self.coefficients)
            for part in x.split(_ROWS)
        ]
        outputs = np.concatenate(parts) if parts else np.zeros((0, len(self.offset)))
        return torch.from_numpy(outputs + _numpy(self.offset)).to(x)

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """What it reads, its rows, coefficients and offset."""
        reads, rows = self.reads.numpy(force=True), self.rows.numpy(force=True)
        return reads, rows, _numpy(self.coefficients), _numpy(self.offset)


class Fitted(NamedTuple):
    """An infinitely wide network, and what it says of each row had it not learned from it."""

    network: InfiniteNetwork
    left_out: Tensor

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> "Fitted":
        """The inverse of `tensors`."""
        rows, coefficients = tensors["rows"], tensors["coefficients"]
        network = InfiniteNetwork(tensors["reads"], len(rows), coefficients.shape[1])
        network.load_state_dict({name: tensors[name] for name in network.state_dict()})
        return cls(network, tensors["left_out"])

    @property
    def tensors(self) -> dict[str, Tensor]:
        """All of it as tensors, as a checkpoint keeps it."""
        reads = self.network.reads
        return {**self.network.state_dict(), "reads": reads, "left_out": self.left_out}


def fit_infinite(
    inputs: Tensor,
    targets: Tensor,
    target: Target,
    reads: np.ndarray,
    weights: Tensor | None = None,
    together: Tensor | None = None,
) -> Fitted:
    """Learn from rows; the penalty is the one with the least loss of each row left out.

    For classes each output learns a class's indicator; all are scaled by one factor to be logits.
    What a row is told by all others follows from the inverse that the fit needs anyway: the
    residual is divided by `1 - h`, h the row's own share in its prediction (Golub, Heath and Wahba
    1979). The work is one inverse, rows^3 operations, for each of about six penalties; of many rows
    for one alone, where some of them have the least loss. A row that counts w times has its
    penalty divided by w: at the same penalty it is as if it stood there w times, and all of these
    are left out at once. So copies of a row are learned as one, and rows that stay together are
    left out together.

    Args:
        inputs: Encoded rows, (rows, features).
        targets: What the target encodes: classes (rows,), or numbers (rows, outputs), nan where
            missing.
        target: What they stand for.
        reads: Which features to read, (features,), booleans.
        weights: How much each row counts, (rows,), above 0, of mean 1; None if all count the same.
        together: A number for each row, (rows,), the same for those that stay together; None if
            each row stands by itself.

    Raises:
        MemoryError: three matrices of rows x rows do not fit into memory.
    """
    learned = inputs[:, torch.from_numpy(reads)].float().cpu()
    targets = targets.cpu().double() if targets.is_floating_point() else targets.cpu()
    wanted = _indicators(targets, target)
    counts = None if weights is None else weights.cpu().double()
    if wanted.isnan().any():
        return _fit_by_output(learned, targets, wanted, target, reads, counts, together)
    offset = wanted.mean(0) if counts is None else counts @ wanted / counts.sum()
    told = _Told(targets, wanted - offset, counts, torch.arange(len(targets)))
    if together is not None:
        learned, told = told.merged(learned, together)
    kernels = torch.from_numpy(kernel(with_ones(_numpy(learned))))
    best = _solved(kernels, told, offset, target)
    network = InfiniteNetwork(torch.from_numpy(reads), len(learned), wanted.shape[1])
    network.rows.copy_(learned)
    network.coefficients.copy_(best.coefficients * best.factor)
    network.offset.copy_(offset * best.factor)
    return Fitted(network, best.left_out * best.factor)


def _solved(kernels: Tensor, told: "_Told", offset: Tensor, target: Target) -> "_Solved":
    """The regression of least loss; of many rows some tell what its penalty is."""
    if len(kernels) <= _MANY:
        return _best(kernels, told, offset, target)
    drawn = torch.Generator().manual_seed(0)
    some = torch.randperm(len(kernels), generator=drawn)[:_SOME]
    at = _best(kernels[some][:, some], told.of(some), offset, target).power
    strides = _STRIDES[-1:] if isinstance(target, NumbersTarget) else ()  # of each number its own
    return _best(kernels, told, offset, target, start=at, strides=strides)


def _fit_by_output(
    learned: Tensor,
    targets: Tensor,
    wanted: Tensor,
    target: Target,
    reads: np.ndarray,
    counts: Tensor | None,
    together: Tensor | None,
) -> Fitted:
    """The same where some outputs of some rows are missing: outputs known in the same rows at once.

    Each such part learns from the rows in which it is known; its coefficients of all others are 0,
    and these are told what all of them say.
    """
    told = _Told(targets, wanted, counts, torch.arange(len(targets)))
    if together is not None:
        learned, told = told.merged(learned, together)
    kernels = torch.from_numpy(kernel(with_ones(_numpy(learned))))
    network = InfiniteNetwork(torch.from_numpy(reads), len(learned), wanted.shape[1])
    network.rows.copy_(learned)
    left_out = torch.zeros_like(wanted)
    known = ~wanted.isnan()
    for pattern in known.unique(dim=1).T:
        outputs = torch.nonzero((known == pattern[:, None]).all(0))[:, 0]
        rows = torch.nonzero(pattern)[:, 0]
        if not len(rows):
            continue
        weights = None if counts is None else counts[rows]
        offset = wanted[rows][:, outputs].mean(0)
        if weights is not None:
            offset = weights @ wanted[rows][:, outputs] / weights.sum()
        used, part = told.known_in(rows, outputs, offset)
        best = _solved(kernels[used][:, used], part, offset, target)
        network.coefficients[used[:, None], outputs] = best.coefficients * best.factor
        network.offset[outputs] = offset * best.factor
        said = (kernels[:, used] @ best.coefficients + offset) * best.factor
        left_out[:, outputs] = said[told.place]
        left_out[rows[:, None], outputs] = best.left_out * best.factor
    return Fitted(network, left_out)


@dataclass(frozen=True)
class _Told:
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

    def merged(self, rows: Tensor, together: Tensor) -> tuple[Tensor, "_Told"]:
        """The different rows of each group, and the same with copies learned as one."""
        numbers = together.cpu().unique(return_inverse=True)[1]
        keyed = torch.cat([numbers[:, None].double(), rows.double()], 1)
        apart, place = keyed.unique(dim=0, return_inverse=True)
        of_row = apart[:, 0].long()
        sizes = of_row.bincount()
        several = of_row.argsort(stable=True).split(sizes.tolist())
        groups = tuple(group for group in several if len(group) > 1)
        return apart[:, 1:].float(), replace(self, place=place, groups=groups)

    def of(self, some: Tensor) -> "_Told":
        """The same of some rows of the kernel."""
        new = torch.full((int(self.place.max()) + 1,), -1)
        new[some] = torch.arange(len(some))
        rows = torch.nonzero(new[self.place] >= 0)[:, 0]
        kept = (numbers[numbers >= 0] for numbers in (new[group] for group in self.groups))
        return _Told(
            self.targets[rows],
            self.wanted[rows],
            None if self.weights is None else self.weights[rows],
            new[self.place[rows]],
            tuple(group for group in kept if len(group) > 1),
        )

    def known_in(self, rows: Tensor, outputs: Tensor, offset: Tensor) -> tuple[Tensor, "_Told"]:
        """The kernel's rows of some rows alone, and the same of some outputs of these rows."""
        used, place = self.place[rows].unique(return_inverse=True)
        new = torch.full((int(self.place.max()) + 1,), -1)
        new[used] = torch.arange(len(used))
        kept = (numbers[numbers >= 0] for numbers in (new[group] for group in self.groups))
        part = _Told(
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


class _Solved(NamedTuple):
    """A kernel regression: the penalty's power of 10, and the factor that makes its outputs fit."""

    loss: float
    power: float
    factor: float
    coefficients: Tensor
    left_out: Tensor


def _best(
    kernel: Tensor,
    told: _Told,
    offset: Tensor,
    target: Target,
    *,
    start: float = _START,
    strides: tuple[float, ...] = _STRIDES,
) -> _Solved:
    """The regression with the penalty of least loss of rows left out."""
    tried: dict[float, _Solved] = {}
    wanted, counts = told.averaged()

    def loss(power: float) -> float:
        if not _RANGE[0] <= power <= _RANGE[1]:
            return math.inf
        if power not in tried:
            solved = _solve(kernel, wanted, 10**power, counts, told.groups)
            if solved is None:
                return math.inf
            coefficients, left_out = solved[0], (solved[1] + offset)[told.place]
            factor = sharpness(target, left_out, *told.known)
            value = float(target.loss(left_out * factor, *told.known))
            tried[power] = _Solved(value, power, factor, coefficients, left_out)
        return tried[power].loss

    best = tried[_least(loss, start, strides)]
    return _best_of_each(tried.values(), told) if isinstance(target, NumbersTarget) else best


def _best_of_each(tried: Iterable[_Solved], told: _Told) -> _Solved:
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


def _solve(
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


def _indicators(targets: Tensor, target: Target) -> Tensor:
    if isinstance(target, LabelsTarget):
        return 2 * targets - 1  # 0 is a probability of a half
    if targets.is_floating_point():
        return targets
    return nn.functional.one_hot(targets, target.outputs).double()


def _numpy(numbers: Tensor) -> np.ndarray:
    return numbers.detach().cpu().double().numpy()
