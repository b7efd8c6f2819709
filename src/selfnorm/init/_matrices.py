"""The matrices of which a weight consists: by group, phase, gate or projection."""

import math
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Matrices:
    """Equally large matrices within one weight: a unit a row, one of its weights a column.

    Args:
        view: `(matrices, units, *terms)`, a view of the weight's memory.
        fan_in: Number of terms in a pre-activation: as many as a unit has weights, or other.
    """

    view: Tensor
    fan_in: int

    @property
    def dims(self) -> tuple[int, ...]:
        """The view's dimensions that run over the weights of one unit."""
        return tuple(range(2, self.view.ndim))

    @property
    def size(self) -> tuple[int, ...]:
        """Of one matrix."""
        return self.view.shape[1], self.terms

    @property
    def terms(self) -> int:
        """How many weights a unit has: the number of columns."""
        return math.prod(self.view.shape[2:])

    @property
    def scale(self) -> float:
        """The singular value that all have if the weight is orthogonal, of variance 1/fan_in.

        `W W^T = scale**2 I` where there are no more rows than columns, else `W^T W = scale**2 I`.
        Singular values s give an m x n matrix the mean square `s**2 min(m, n) / (m n)`, which is
        to be 1/fan_in. With fan_in = n that is s = 1 up to m = n, and sqrt(m / n) above.
        """
        return math.sqrt(max(self.view.shape[1], self.terms) / self.fan_in)

    def read(self) -> Tensor:
        """`(matrices, units, terms)`: a view too where the strides allow one, else a copy.

        A copy is what it gives of a transposed convolution, and of weights in `channels_last`.
        """
        return self.view.flatten(2)

    def write_(self, values: Tensor) -> None:
        """Put matrices of the shape that `read` gives into the weight, in its dtype."""
        self.view.copy_(values.reshape(self.view.shape))


class Kernels(Matrices):
    """Equally large kernels of convolutions with stride 1: `(groups, units, inputs, *kernel)`.

    Each stands for the matrices by which it multiplies waves, `units x inputs` at each frequency.
    """

    @property
    def size(self) -> tuple[int, ...]:
        """Of one kernel."""
        return tuple(self.view.shape[1:])

    @property
    def scale(self) -> float:
        """The singular value that all frequencies have if the operator is orthogonal.

        The squares of a unit's weights sum to 1, or do so on average: variance 1/fan_in again.
        """
        units, inputs = self.view.shape[1:3]
        return math.sqrt(max(units, inputs) / inputs)

    def read(self) -> Tensor:
        """The view."""
        return self.view
