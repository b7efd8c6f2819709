"""From the outputs of several networks to one calibrated prediction."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from selfnorm.tabular.encoding._records import is_finite, require
from selfnorm.tabular.encoding._target import Target

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Blend:
    """How much each network counts, and how sharp the probabilities of all together are.

    Attributes:
        weights: One a network; they sum to 1.
        sharpness: Probabilities are raised to this power and sum to 1 again: the inverse of the
            temperature (Guo et al. 2017, arXiv 1706.04599).
    """

    weights: tuple[float, ...]
    sharpness: float = 1.0

    def __post_init__(self) -> None:
        require(len(self.weights) > 0, "there is a weight or more")
        require(all(is_finite(one) and one >= 0 for one in self.weights), "weights are 0 or more")
        require(abs(sum(self.weights) - 1) < 1e-6, "weights sum to 1")
        require(is_finite(self.sharpness) and self.sharpness > 0, "sharpness is above 0")

    @classmethod
    def equal(cls, networks: int) -> "Blend":
        """All count the same."""
        return cls((1 / networks,) * networks)

    def __call__(self, target: Target, outputs: "Tensor") -> "Tensor":
        """One output for every row, (rows, outputs), of those of all, (rows, networks, outputs)."""
        wide = outputs.double()
        weights = wide.new_tensor(self.weights)
        mixed = (target.said(wide) * weights[:, None]).sum(1)
        return self.sharpness * target.heard(mixed)

    def of_arrays(self, target: Target, outputs: np.ndarray) -> np.ndarray:
        """The same of arrays, in float64."""
        mixed = np.einsum("k,rko->ro", np.asarray(self.weights), target.said_array(outputs))
        return self.sharpness * target.heard_array(mixed)
