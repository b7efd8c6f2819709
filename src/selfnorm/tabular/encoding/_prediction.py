"""What a model says of rows, and outputs as arrays."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

Numbers = TypeVar("Numbers")
TINY = 1e-30  # a probability whose logarithm float32 can hold


@dataclass(frozen=True)
class Prediction:
    """What a model says of rows.

    Attributes:
        values: A class or number for each, (rows,); of several outputs (rows, outputs).
        probabilities: Of classes those of all, (rows, classes); of labels that of each, (rows,
            labels); None of numbers.
    """

    values: np.ndarray
    probabilities: np.ndarray | None = None

    @property
    def numbers(self) -> np.ndarray:
        """Probabilities where there are some, else the values."""
        return self.values if self.probabilities is None else self.probabilities


def softmax(outputs: np.ndarray) -> np.ndarray:
    """Probabilities of outputs, (..., classes)."""
    with np.errstate(invalid="ignore"):  # what is infinite becomes nan, and is told
        powers = outputs - outputs.max(-1, keepdims=True)
        np.exp(powers, out=powers)
        powers /= powers.sum(-1, keepdims=True)
        return powers


def as_array(outputs: "np.ndarray | Tensor") -> np.ndarray:
    """Outputs in float64, in memory that NumPy can read."""
    found = outputs if isinstance(outputs, np.ndarray) else outputs.numpy(force=True)
    return found.astype(np.float64)


def as_told(_: object, outputs: Numbers, /) -> Numbers:
    """`said` and `heard` of targets of numbers: outputs are averaged as they are."""
    return outputs
