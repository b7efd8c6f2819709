"""Predictions that keep their dropout."""

from typing import Any

import numpy as np

from selfnorm.errors import ArgumentError
from selfnorm.keras._given import check_model, followed, tensors
from selfnorm.keras._untyped import keras
from selfnorm.keras.trace._pointwise import run
from selfnorm.keras.trace._site import is_dropout
from selfnorm.theory._types import FloatArray


def monte_carlo(model: Any, x: Any, samples: int = 100) -> FloatArray:
    """Predictions under so many masks of dropout, everything else as in evaluation.

    Their mean is a prediction, their spread what the model does not know. Unlike `model(x,
    training=True)` it leaves norms on what they learned, and their statistics as they are.

    Args:
        model: A model with layers of dropout: alpha dropout, `SELUAlphaDropout`, or Keras's others.
        x: What it is called with.
        samples: How many masks.

    Returns:
        `(samples, rows, ...)`, of a model with one output.

    Raises:
        UnsupportedError: `model` is no model of Keras.
        ArgumentError: It has no dropout, or `samples` is not a whole number from 1.

    Source: Gal and Ghahramani 2016, *Dropout as a Bayesian approximation*.

    Example:
        >>> from selfnorm.keras import SELUAlphaDropout
        >>> model = keras.Sequential([keras.Input((8,)), SELUAlphaDropout(0.2, seed=0)])
        >>> drawn = monte_carlo(model, np.ones((4, 8), "float32"), samples=50)
        >>> drawn.shape, bool((drawn.std(0) > 0).all())
        ((50, 4, 8), True)
    """
    check_model(model, "monte_carlo asks")
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ArgumentError(f"samples is a whole number from 1; got {samples!r}. 100 are usual.")
    inputs, given = tensors(model, x)
    found = followed(model, given)
    dropping = {id(e.operation) for e in found.events if not isinstance(e, int) and is_dropout(e)}
    if not dropping:
        raise ArgumentError(
            f"Monte Carlo predictions differ by their dropout; got {model.name}, which has none. "
            "Put selfnorm.keras.SELUAlphaDropout into it."
        )
    if len(keras.tree.flatten(found.outputs)) != 1:
        raise ArgumentError(
            f"Monte Carlo predictions are of one output; {model.name} has more. Pass "
            "keras.Model(model.inputs, model.outputs[0])."
        )

    def once() -> FloatArray:
        known: dict[Any, Any] = dict(zip(found.inputs, inputs, strict=True))
        for event in found.events:
            if not isinstance(event, int):
                run(event, known, training=id(event.operation) in dropping)
        return keras.ops.convert_to_numpy(known[keras.tree.flatten(found.outputs)[0]])  # pyright: ignore[reportReturnType]

    return np.stack([once() for _ in range(samples)])
