"""Layers as an audit records them, from the few figures that a test is about."""

from typing import Any, NamedTuple

import numpy as np

from selfnorm.recording import Histogram, Layer, Weights
from selfnorm.recording._sample import Sample
from selfnorm.theory import Moments


class Told(NamedTuple):
    """A theory that expects mean 0 and one variance."""

    variance: float

    def predicted(self, _index: int) -> Moments:
        return Moments(np.array(0.0), np.array(self.variance))

    def local(self, _index: int) -> None:
        return None


def layer(index: int, *, predicted: float | None = None, **more: Any) -> Layer:
    """A layer with mean 0 and variance 1 and nothing special, but for what is given."""
    figures = dict.fromkeys(
        ("dead", "gradient_in", "gradient_norm"),
        0.0,
    )
    shape = Histogram(np.linspace(-1, 3, 5), np.array([1.0, 4.0, 0.0, 16.0]))
    given: dict[str, Any] = {
        "name": str(index), "module": str(index), "kind": "SELU", "role": "activation",
        "activation": "selu", "use": 1, "inputs": (index - 1,), "shape": (8, 4),
        "dtype": "float32", "mean": 0.0, "variance": 1.0, "unit_means": np.zeros(4),
        "unit_variances": np.ones(4), "non_finite": False, "gradient": 1.0,
        "sample": Sample(0.0, 3.0, 0.0, 0.0, shape),
        "theory": None if predicted is None else Told(predicted),
    }  # fmt: skip
    return Layer(index=index, **(figures | given | more))


def weights(omega: object, tau: object) -> Weights:
    """A weight whose units have these sums and sums of squares."""
    sums, squares = np.asarray(omega, float), np.asarray(tau, float)
    return Weights("w", (len(sums), 4), sums, squares, 4, 4, 3.0, frozen=False)
