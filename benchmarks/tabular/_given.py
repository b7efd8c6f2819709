"""What every method gets to learn from."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.tabular.tasks import Kind


@dataclass(frozen=True)
class Given:
    """Training rows, which of them validate where a method asks, threads, and a seed.

    Those that validate are training rows too: a method that has no use for them learns from them.
    """

    X: Any
    y: np.ndarray
    validation: np.ndarray
    kind: Kind
    threads: int
    seed: int

    def either(self, classifier: Any, regressor: Any) -> Any:
        """That one of two which the task asks for."""
        return classifier if self.kind == "classification" else regressor
