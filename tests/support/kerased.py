"""Keras, for the tests that need it, without torch: skipped where it is not installed."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from support.require import require


def require_keras() -> None:
    """In a module for all of its tests: Keras, or a skip."""
    require("keras", None if find_spec("keras") else "keras not installed")


def sequential(arrays: Sequence[tuple[np.ndarray, np.ndarray]], activation: str = "selu") -> Any:
    """Dense layers of these weights, with an activation between them."""
    import keras

    import selfnorm.keras as sn

    ops = keras.ops

    def by_hand(x: Any) -> Any:
        below = 1.6732632423543772 * (ops.exp(x) - 1)
        return 1.0507009873554805 * ops.where(x > 0, x, below)

    between = {
        "selu": lambda: keras.layers.Activation("selu"),
        "own selu": lambda: sn.SELUAlphaDropout(0.0),
        "relu": keras.layers.ReLU,
        "tanh": lambda: keras.layers.Activation("tanh"),
        "by hand": lambda: keras.layers.Lambda(by_hand),
    }
    parts: list[Any] = [keras.Input((arrays[0][0].shape[0],))]
    for kernel, bias in arrays:
        dense = keras.layers.Dense(kernel.shape[1])
        dense.build((None, kernel.shape[0]))
        dense.set_weights([kernel, bias])
        parts += [dense, between[activation]()]
    return keras.Sequential(parts[:-1])
