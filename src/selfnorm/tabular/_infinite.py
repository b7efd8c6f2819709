"""Infinitely wide networks as members of an ensemble: kernel ridge regression."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from selfnorm.tabular._kernel import LAYERS, Kernel, kernel_of
from selfnorm.tabular._ridge import SOME, Told, solved, some_of
from selfnorm.tabular.encoding._several import LabelsTarget
from selfnorm.tabular.encoding._target import Target

MOST_ROWS = 5000
_ROWS = 1024  # of a kernel at a time


class InfiniteNetwork(nn.Module):
    """What a self-normalizing network of infinite width would have learned from some rows.

    Trained by gradient descent on squared errors, an infinitely wide network predicts as kernel
    regression does with its tangent kernel (Jacot et al. 2018, arXiv 1806.07572); a penalty takes
    the place of early stopping. It reads some of the features: by layers of SELU, with a column of
    ones behind them, so that how long a row is counts too; or by one layer of waves, of which only
    the outputs' weights are learned, so that its kernel is the waves' covariance.

    Args:
        reads: Which features it reads, (features,), booleans.
        rows: How many rows it learns from.
        outputs: How many outputs it has.
        kernel: What it is to kernel regression.

    Shape:
        Input (rows, features), output (rows, outputs), on any device; the work is done on CPU in
        float64, a product of all rows with those learned from.
    """

    reads: Tensor
    rows: Tensor
    coefficients: Tensor
    offset: Tensor

    def __init__(self, reads: Tensor, rows: int, outputs: int, kernel: Kernel = LAYERS) -> None:
        super().__init__()
        self.kernel = kernel
        inputs = int(reads.sum())
        self.register_buffer("reads", reads.bool().cpu(), persistent=False)
        self.register_buffer("rows", torch.zeros(rows, inputs, dtype=torch.float32))
        self.register_buffer("coefficients", torch.zeros(rows, outputs, dtype=torch.float64))
        self.register_buffer("offset", torch.zeros(outputs, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        """The outputs of rows, in their dtype."""
        prepared, kernel = self.kernel.prepared, self.kernel.of
        learned = prepared(_numpy(self.rows))
        parts = [
            kernel(prepared(_numpy(part[:, self.reads])), learned) @ _numpy(self.coefficients)
            for part in x.split(_ROWS)
        ]
        outputs = np.concatenate(parts) if parts else np.zeros((0, len(self.offset)))
        return torch.from_numpy(outputs + _numpy(self.offset)).to(x)

    @property
    def record(self) -> dict[str, Any]:
        """What a model file says of it besides what it reads."""
        frequency = self.kernel.frequency
        waves = {} if frequency is None else {"frequency": frequency}
        return {"rows": len(self.rows), **waves}

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
        kernel = kernel_of(float(tensors["frequency"]) or None)
        network = InfiniteNetwork(tensors["reads"], len(rows), coefficients.shape[1], kernel)
        network.load_state_dict({name: tensors[name] for name in network.state_dict()})
        return cls(network, tensors["left_out"])

    @property
    def tensors(self) -> dict[str, Tensor]:
        """All of it as tensors, as a checkpoint keeps it."""
        frequency = torch.tensor(self.network.kernel.frequency or 0.0, dtype=torch.float64)
        more = {"reads": self.network.reads, "left_out": self.left_out, "frequency": frequency}
        return {**self.network.state_dict(), **more}


def fit_infinite(
    inputs: Tensor,
    targets: Tensor,
    target: Target,
    reads: np.ndarray,
    weights: Tensor | None = None,
    together: Tensor | None = None,
    kernels: Sequence[Kernel] = (LAYERS,),
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
        kernels: Of several the one with the least loss of each row left out; of many rows some
            tell which that is.

    Raises:
        MemoryError: three matrices of rows x rows do not fit into memory.
    """
    if len(kernels) > 1:
        return _fit_best(inputs, targets, target, reads, weights, together, kernels)
    kernel = kernels[0]
    learned = inputs[:, torch.from_numpy(reads)].float().cpu()
    targets = _wide(targets)
    wanted = _indicators(targets, target)
    counts = None if weights is None else _wide(weights)
    if wanted.isnan().any():
        return _fit_by_output(learned, targets, wanted, target, reads, counts, together, kernel)
    offset = wanted.mean(0) if counts is None else counts @ wanted / counts.sum()
    told = Told(targets, wanted - offset, counts, torch.arange(len(targets)))
    if together is not None:
        learned, told = told.merged(learned, together)
    found = _of_rows(kernel, learned)
    best = solved(found, told, offset, target)
    network = InfiniteNetwork(torch.from_numpy(reads), len(learned), wanted.shape[1], kernel)
    network.rows.copy_(learned)
    network.coefficients.copy_(best.coefficients * best.factor)
    network.offset.copy_(offset * best.factor)
    return Fitted(network, best.left_out * best.factor)


def _fit_best(
    inputs: Tensor,
    targets: Tensor,
    target: Target,
    reads: np.ndarray,
    weights: Tensor | None,
    together: Tensor | None,
    kernels: Sequence[Kernel],
) -> Fitted:
    """The same with the kernel that suits the rows best."""
    if len(inputs) > SOME:
        some = some_of(len(inputs))
        some_weights, some_together = (
            None if one is None else one[some] for one in (weights, together)
        )
        known = inputs[some], targets[some], target, reads, some_weights, some_together
        chosen = _fit_best(*known, kernels).network.kernel
        return fit_infinite(inputs, targets, target, reads, weights, together, (chosen,))
    fits = [
        fit_infinite(inputs, targets, target, reads, weights, together, (kernel,))
        for kernel in kernels
    ]
    known = [_wide(one) for one in (targets, weights) if one is not None]
    return min(fits, key=lambda fit: float(target.loss(fit.left_out, *known)))


def _of_rows(kernel: Kernel, rows: Tensor) -> Tensor:
    """The kernel of rows with each other."""
    return torch.from_numpy(kernel.of(kernel.prepared(_numpy(rows))))


def _fit_by_output(
    learned: Tensor,
    targets: Tensor,
    wanted: Tensor,
    target: Target,
    reads: np.ndarray,
    counts: Tensor | None,
    together: Tensor | None,
    kernel: Kernel,
) -> Fitted:
    """The same where some outputs of some rows are missing: outputs known in the same rows at once.

    Each such part learns from the rows in which it is known; its coefficients of all others are 0,
    and these are told what all of them say.
    """
    told = Told(targets, wanted, counts, torch.arange(len(targets)))
    if together is not None:
        learned, told = told.merged(learned, together)
    kernels = _of_rows(kernel, learned)
    network = InfiniteNetwork(torch.from_numpy(reads), len(learned), wanted.shape[1], kernel)
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
        best = solved(kernels[used][:, used], part, offset, target)
        network.coefficients[used[:, None], outputs] = best.coefficients * best.factor
        network.offset[outputs] = offset * best.factor
        said = (kernels[:, used] @ best.coefficients + offset) * best.factor
        left_out[:, outputs] = said[told.place]
        left_out[rows[:, None], outputs] = best.left_out * best.factor
    return Fitted(network, left_out)


def _indicators(targets: Tensor, target: Target) -> Tensor:
    if isinstance(target, LabelsTarget):
        return 2 * targets - 1  # 0 is a probability of a half
    if targets.is_floating_point():
        return targets
    return nn.functional.one_hot(targets, target.outputs).double()


def _wide(numbers: Tensor) -> Tensor:
    """On CPU, and in float64 unless they are whole."""
    return numbers.cpu().double() if numbers.is_floating_point() else numbers.cpu()


def _numpy(numbers: Tensor) -> np.ndarray:
    return numbers.detach().cpu().double().numpy()
