"""Mean and variance of numbers that come in parts, without cancellation."""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Moments:
    """How much some numbers weigh, their mean, and the sum of their squares about it.

    Two of them are one by

        mean = mean_1 + delta w_2 / w,   squares = squares_1 + squares_2 + delta^2 w_1 w_2 / w

    with delta the difference of the means and w the sum of the weights: nothing large is
    subtracted from something large.

    Source: Chan, Golub and LeVeque 1983 (The American Statistician 37).
    """

    weight: float = 0.0
    mean: float = 0.0
    squares: float = 0.0
    least: float = math.inf
    largest: float = -math.inf

    @classmethod
    def of(cls, numbers: np.ndarray, weights: np.ndarray | None = None) -> "Moments":
        """Of numbers, float64, none of them nan, each of weight 1 or of its own."""
        if not len(numbers):
            return cls()
        mean = float(np.average(numbers, weights=weights))
        squares = np.square(numbers - mean)
        total = float(len(numbers) if weights is None else weights.sum())
        spread = float((squares if weights is None else squares * weights).sum())
        return cls(total, mean, spread, float(numbers.min()), float(numbers.max()))

    def __add__(self, other: "Moments") -> "Moments":
        total = self.weight + other.weight
        if not self.weight or not other.weight:
            return self if self.weight else other
        delta = other.mean - self.mean
        return Moments(
            total,
            self.mean + delta * other.weight / total,
            self.squares + other.squares + delta**2 * self.weight * other.weight / total,
            min(self.least, other.least),
            max(self.largest, other.largest),
        )

    @property
    def deviation(self) -> float:
        """The square root of the variance; 0 of no numbers."""
        return math.sqrt(self.squares / self.weight) if self.weight else 0.0
