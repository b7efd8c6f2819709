"""Weights that stay orthogonal while Keras trains them."""

import math
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from selfnorm._parameters import Whole
from selfnorm.errors import ArgumentError
from selfnorm.keras._untyped import keras
from selfnorm.keras.trace._site import Matrix, weighted
from selfnorm.theory._types import FloatArray

_MOST, _FAR = 60, 0.8


class KeepOrthogonal(keras.callbacks.Callback):
    r"""Keep weights orthogonal while Keras trains them, with any optimizer.

    With singular values s, each matrix A of a layer (units x inputs, at LeCun's scale: `s**2 =
    max(units, inputs) / fan_in`) is brought back after a batch by

        A <- A - A (A^T A / s**2 - I) / 2

    until `|A^T A / s**2 - I|` is within `tolerance`: once, after a usual step. When training begins
    weights of any kind become orthogonal ones.

    Args:
        layers: `layers(layer)`, whether to keep a layer's weights. None keeps those of all `Dense`,
            `EinsumDense` and convolutional layers but the last, whose size is the network's to
            learn.
        tolerance: How far the squares of singular values, relative to `s**2`, may be from 1.
        every: Correct after so many batches, and at the end.

    Raises:
        ArgumentError: `tolerance` is not in (0, .5], or `every` is no whole number from 1; when
            training begins, nothing is kept.

    Source: Björck and Bowie 1971, *An iterative algorithm for computing the best estimate of an
    orthogonal matrix*; Saxe et al. 2014 and Pennington et al. 2017, for what orthogonal weights do.

    Example:
        >>> layers = [keras.layers.Dense(16, activation="selu") for _ in range(2)]
        >>> model = keras.Sequential([keras.Input((16,)), *layers, keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> x = np.ones((32, 16), "float32")
        >>> _ = model.fit(x, x[:, :1], verbose=0, callbacks=[KeepOrthogonal()])
        >>> kernel = keras.ops.convert_to_numpy(model.layers[0].kernel)
        >>> bool(abs(kernel.T @ kernel - np.eye(16)).max() < 0.02)
        True
    """

    def __init__(
        self,
        layers: Callable[[Any], bool] | None = None,
        *,
        tolerance: float = 0.02,
        every: int = 1,
    ) -> None:
        super().__init__()
        if not 0 < tolerance <= 0.5:
            raise ArgumentError(
                "tolerance is how far squares of singular values may be from 1, above 0 and at "
                f"most .5; got {tolerance!r}. Leave it out for .02."
            )
        if not Whole(1).holds(every):
            raise ArgumentError(
                f"every is a whole number of batches from 1; got {every!r}. Choose one."
            )
        self.chosen, self.tolerance, self.every = layers, tolerance, every
        self._kept: list[Matrix] = []
        self._batches = 0

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002 - Keras's
        """Find the weights, and make them orthogonal."""
        sites = {
            id(layer): (layer, site)
            for layer in self.model._flatten_layers()  # noqa: SLF001
            if (site := weighted(layer, layer.name)) is not None and site.role == "linear"
        }
        found = list(sites.values())
        if self.chosen is None:
            found = found[:-1]
        else:
            found = [pair for pair in found if self.chosen(pair[0])]
        self._kept = [
            matrix for _, site in found for matrix in site.matrices if matrix.variable.trainable
        ]
        if not self._kept:
            raise ArgumentError(
                "KeepOrthogonal keeps weights of Dense and convolutional layers; nothing of "
                f"{self.model.name} is left. Let `layers` say True for some."
            )
        self._correct()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's
        """Bring weights back."""
        self._batches += 1
        if self._batches % self.every == 0:
            self._correct()

    def on_train_end(self, logs: Any = None) -> None:  # noqa: ARG002 - Keras's
        """Leave them orthogonal."""
        if self._batches % self.every:
            self._correct()

    def _correct(self) -> None:
        _ = self.model  # which on JAX brings the training's variables into the model first
        for matrix in self._kept:
            values = keras.ops.convert_to_numpy(keras.ops.cast(matrix.variable, "float32"))
            matrix.variable.assign(_corrected(values, matrix, self.tolerance))


def _corrected(kernel: FloatArray, matrix: Matrix, tolerance: float) -> FloatArray:
    """A kernel with each of its matrices orthogonal."""
    places: Any = matrix.arrange(cast("Any", np.arange(kernel.size).reshape(kernel.shape)))
    found = kernel.ravel().copy()
    for part in np.split(places.reshape(len(places), -1), matrix.groups):
        found[part] = _orthogonal(found[part], tolerance)
    return found.reshape(kernel.shape)


def _orthogonal(weight: FloatArray, tolerance: float) -> FloatArray:
    """A matrix with Gram errors within the tolerance, in no more iterations than that takes."""
    units, inputs = weight.shape
    scale = math.sqrt(max(units, inputs) / inputs)
    low = units <= inputs
    a = (weight if low else weight.T) / scale
    eye = np.eye(len(a), dtype=a.dtype)
    for count in range(_MOST):
        error = a @ a.T - eye
        far = _norm(error, tolerance if count else _FAR)
        if count and far <= tolerance:
            break
        if far >= _FAR:  # from far away it is first shrunk into where the iteration converges
            a = a / math.sqrt(1 + far)
            error = a @ a.T - eye
        a = a - 0.5 * (error @ a)
    return (a if low else a.T) * scale


def _norm(error: FloatArray, enough: float) -> float:
    """The spectral norm of a symmetric matrix; Frobenius's, where that is small enough already."""
    bound = float(np.linalg.norm(error))
    return bound if bound <= enough else float(abs(np.linalg.eigvalsh(error)).max())
