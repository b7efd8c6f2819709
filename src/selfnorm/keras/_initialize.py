"""LeCun's weights for a whole model, and initializers that start them so again."""

import math
import warnings
from collections.abc import Callable
from typing import Any, Literal, TypeVar, cast

import numpy as np

from selfnorm.errors import ArgumentError, SelfNormWarning
from selfnorm.keras._given import check_model
from selfnorm.keras._initializers import LecunNormal, LecunOrthogonal
from selfnorm.keras._untyped import keras
from selfnorm.keras.trace._site import Matrix, weighted
from selfnorm.recording._matrices import phases
from selfnorm.theory._types import FloatArray

M = TypeVar("M")
_NORMS = tuple(
    getattr(keras.layers, f"{name}Normalization")
    for name in ("Batch", "Layer", "Group", "RMS")
    if hasattr(keras.layers, f"{name}Normalization")
)
_LISTED = 8


def initialize(
    model: M,
    *,
    distribution: Literal["normal", "orthogonal"] = "normal",
    exact: bool = False,
    seed: int | None = None,
) -> M:
    """Give a built model weights of variance 1/fan_in, and biases 0, in place.

    Kernels of `Dense`, `EinsumDense`, convolutions and recurrent layers are drawn anew, and
    `kernel_initializer` is set, so that a copy starts like it. Of a transposed convolution the
    fan-in is its taps that reach one output; of a recurrent unit it is input and state together.
    Embeddings get variance 1, norms scale 1, offset 0 and fresh statistics.

    Args:
        model: A built model.
        distribution: "normal", or "orthogonal" for `LecunOrthogonal`.
        exact: Center and scale each unit, as in `selfnorm.keras.LecunNormal`.
        seed: Of the numbers; a random one if None.

    Returns:
        The model.

    Raises:
        UnsupportedError: `model` is no model of Keras.
        ArgumentError: It is not built, `distribution` is neither, or does not go with `exact`.

    Warns:
        SelfNormWarning: Other layers' weights are left as they are.

    Source: LeCun et al. 1998, *Efficient BackProp*, Eq. 16; Klambauer et al. 2017, section 3.

    Example:
        >>> layers = [keras.layers.Dense(32, activation="selu") for _ in range(2)]
        >>> model = initialize(keras.Sequential([keras.Input((96,)), *layers]), exact=True)
        >>> kernel = model.layers[0].kernel
        >>> bool(keras.ops.max(abs(keras.ops.sum(kernel**2, 0) - 1)) < 1e-5)
        True
    """
    check_model(model, "initialize draws the weights of")
    whole: Any = model
    if not whole.built:
        raise ArgumentError(
            f"weights have a shape once a model is built; {whole.name} is not. Begin it with "
            "keras.Input, or call it on a batch."
        )
    draw = _initializer(distribution, exact)
    random = keras.random.SeedGenerator(seed)
    done: set[int] = set()
    for layer in whole._flatten_layers():  # noqa: SLF001
        done |= _mended(layer, draw, random)
    left = [v.path for v in whole.trainable_variables if id(v) not in done]
    if left:
        more = f" and {len(left) - _LISTED} more" if len(left) > _LISTED else ""
        warnings.warn(
            "initialize leaves what it does not know as it is: "
            f"{', '.join(left[:_LISTED])}{more}. Draw these by hand, if they are before a SELU.",
            SelfNormWarning,
            stacklevel=2,
        )
    return model


def _initializer(distribution: str, exact: bool) -> Any:
    if distribution not in ("normal", "orthogonal"):
        raise ArgumentError(
            f"distribution is 'normal' or 'orthogonal'; got {distribution!r}. Choose one."
        )
    if exact and distribution == "orthogonal":
        raise ArgumentError(
            "exact=True centers and scales each unit by itself; got distribution='orthogonal', "
            "whose units would not be orthogonal then. Leave one of the two out."
        )
    if distribution == "orthogonal":
        return LecunOrthogonal
    return LecunNormal if exact else keras.initializers.LecunNormal


def _mended(layer: Any, draw: Any, random: Any) -> set[int]:
    """Variables of one layer that are drawn or set, by `id`."""
    if isinstance(layer, _NORMS):
        for name, value in (("gamma", 1), ("beta", 0), ("moving_mean", 0), ("moving_variance", 1)):
            variable = getattr(layer, name, None)
            if variable is not None:
                variable.assign(keras.ops.full(variable.shape, value, variable.dtype))
        return {id(v) for v in layer.variables}
    if isinstance(layer, keras.layers.Embedding):
        table = layer.embeddings
        table.assign(keras.random.normal(table.shape, dtype=table.dtype, seed=_number(random)))
        return {id(table)}
    site = weighted(layer, layer.name)
    if site is None:
        return set()
    for matrix in site.matrices:
        matrix.variable.assign(_drawn(matrix, lambda: draw(seed=_number(random))))
    if site.bias is not None:
        site.bias.assign(keras.ops.zeros(site.bias.shape, site.bias.dtype))
    if site.role == "linear":
        layer.kernel_initializer = draw(seed=_number(random))
    return {id(v) for v in layer.variables}


def _drawn(matrix: Matrix, start: Callable[[], Any]) -> FloatArray:
    """Numbers for a weight: a draw for each group, and for the taps that reach one output."""
    shape = tuple(matrix.variable.shape)
    places: Any = matrix.arrange(cast("Any", np.arange(math.prod(shape)).reshape(shape)))
    found = np.zeros(places.size)
    for phase in phases(places, matrix.steps):
        for part in np.split(phase, matrix.groups):
            flat: Any = part.reshape(len(part), -1)  # places, whole numbers
            terms = flat.shape[1]
            values = keras.ops.convert_to_numpy(start()((terms, len(flat)), dtype="float32"))
            found[flat] = values.T * (terms / (terms + matrix.others)) ** 0.5
    return found.reshape(shape)


def _number(random: Any) -> int:
    return int(keras.random.randint((), 0, 2**31 - 1, seed=random))
