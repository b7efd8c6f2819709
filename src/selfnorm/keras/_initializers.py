"""Initializers for SELU: exact ones, and orthogonal ones at LeCun's scale."""

import math
import secrets
from collections.abc import Sequence
from typing import Any

from selfnorm.errors import ArgumentError, UnsupportedError
from selfnorm.keras._untyped import keras


class _Seeded(keras.initializers.Initializer):
    """An initializer with a seed; the same seed gives the same numbers at every call."""

    def __init__(self, seed: int | None = None) -> None:
        self.seed = secrets.randbits(31) if seed is None else seed

    def get_config(self) -> dict[str, Any]:
        """What makes it again."""
        return {"seed": self.seed}

    def clone(self) -> "_Seeded":
        """One of its own for each layer, with other numbers, as Keras's do."""
        return type(self)()


def _weight(matrix: Any, shape: Sequence[int], dtype: str) -> Any:
    """A matrix of a unit a row in the shape of its weight."""
    return keras.ops.cast(keras.ops.reshape(keras.ops.transpose(matrix), tuple(shape)), dtype)


@keras.saving.register_keras_serializable("selfnorm")
class LecunNormal(_Seeded):
    """Normal weights of which each unit's sum is 0 and sum of squares 1: omega = 0, tau = 1.

    `keras.initializers.LecunNormal` has that on average over units; here it holds for each, up to
    rounding. Kernels are `(*window, inputs, units)`.

    Args:
        seed: A whole number; a random one if None.

    Raises:
        ArgumentError: At the call, the shape has less than two axes, or a unit one weight.
        UnsupportedError: At the call, a dtype that is not of real floating-point numbers.

    Source: LeCun et al. 1998, *Efficient BackProp*, Eq. 16; Klambauer et al. 2017, section 3.

    Example:
        >>> kernel = LecunNormal(seed=0)((3, 3, 16, 64))
        >>> tau = keras.ops.sum(kernel**2, (0, 1, 2))
        >>> bool(keras.ops.max(abs(tau - 1)) < 1e-5)
        True
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """A weight of that shape."""
        matrix, name = _normal(self.seed, shape, dtype)
        if matrix.shape[1] < 2:
            raise ArgumentError(
                "each unit's weights get mean 0 and sum of squares 1, for which it needs two or "
                f"more; got shape {tuple(shape)}. Take keras.initializers.LecunNormal."
            )
        ops = keras.ops
        matrix = matrix - ops.mean(matrix, 1, keepdims=True)
        matrix = matrix / ops.sqrt(ops.sum(ops.square(matrix), 1, keepdims=True))
        # Where a unit's draws are nearly equal, scaling magnifies the rounding of the centering.
        return _weight(matrix - ops.mean(matrix, 1, keepdims=True), shape, name)


@keras.saving.register_keras_serializable("selfnorm")
class LecunOrthogonal(_Seeded):
    """Random semi-orthogonal weights of mean square 1/fan_in.

    With m units of n weights all singular values are `sqrt(max(m, n) / n)`, so that, where m is not
    below n, the mean of `(W x)**2` over units is the mean of `x**2` for *every* input x.
    `keras.initializers.Orthogonal` leaves them at 1, with which m > n units have variance n/m.

    Args:
        seed: A whole number; a random one if None.

    Raises:
        ArgumentError: At the call, the shape has less than two axes.
        UnsupportedError: At the call, a dtype that is not of real floating-point numbers.

    Source: Mezzadri 2007, section 5; Saxe, McClelland, Ganguli 2014, for orthogonal starts.

    Example:
        >>> kernel = LecunOrthogonal(seed=0)((16, 48))
        >>> x = keras.ops.arange(16.0)
        >>> gain = keras.ops.mean((x @ kernel) ** 2) / keras.ops.mean(x**2)
        >>> bool(abs(gain - 1) < 1e-5)
        True
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """A weight of that shape."""
        matrix, name = _normal(self.seed, shape, dtype)
        units, inputs = matrix.shape
        wide = units < inputs
        q, r = keras.ops.qr(keras.ops.transpose(matrix) if wide else matrix)
        q = q * keras.ops.where(keras.ops.diagonal(r) < 0, -1.0, 1.0)
        q = keras.ops.transpose(q) if wide else q
        return _weight(q * math.sqrt(max(units, inputs) / inputs), shape, name)


def _normal(seed: Any, shape: Sequence[int], dtype: Any) -> tuple[Any, str]:
    """A matrix of a unit a row, and the dtype of the weight."""
    name = keras.backend.standardize_dtype(dtype or keras.config.floatx())
    if not keras.backend.is_float_dtype(name):
        raise UnsupportedError(
            f"weights are real floating-point numbers; got dtype {name}. Give one such as "
            "'float32'."
        )
    if len(shape) < 2:
        raise ArgumentError(
            f"a weight has an axis of inputs and one of units; got shape {tuple(shape)}. "
            "Biases start from zeros."
        )
    wide = name if name == "float64" else "float32"
    size = (shape[-1], math.prod(shape[:-1]))
    return keras.random.normal(size, dtype=wide, seed=seed), name
