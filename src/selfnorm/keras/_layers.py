"""SELU with alpha dropout as a layer, and predictions that keep their dropout."""

# Keras has no types: what is inferred of it is often None.
# pyright: reportOptionalMemberAccess=false, reportOptionalOperand=false
# pyright: reportOptionalIterable=false, reportOptionalSubscript=false, reportGeneralTypeIssues=false
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportReturnType=false

from typing import Any

import keras
import numpy as np

from selfnorm.errors import ArgumentError
from selfnorm.keras._given import check_model, followed, tensors
from selfnorm.keras.trace._pointwise import run
from selfnorm.keras.trace._site import is_dropout
from selfnorm.theory import alpha_dropout_affine, selu_constants
from selfnorm.theory._dropout import check_probability
from selfnorm.theory._types import FloatArray

_SATURATION = selu_constants().saturation


@keras.saving.register_keras_serializable("selfnorm")
class SELUAlphaDropout(keras.layers.Layer):
    """SELU, then alpha dropout, which keeps mean 0 and variance 1.

        z = scale * (selu(x) if kept else -lambda * alpha) + shift

    with `scale` and `shift` of `selfnorm.theory.alpha_dropout_affine`. Without training it is SELU.

    Args:
        rate: Probability that a unit is dropped.
        seed: Of the masks; a random one if None.
        kwargs: As any layer takes: `name`, `dtype`.

    Raises:
        ArgumentError: `rate` is not in [0, 1].

    Source: Klambauer et al. 2017, Eq. 2 and section 2, "New Dropout Technique".

    Example:
        >>> x = np.random.default_rng(0).standard_normal((1000, 100)).astype("float32")
        >>> z = SELUAlphaDropout(0.2, seed=0)(x, training=True)
        >>> z = keras.ops.convert_to_numpy(z)
        >>> bool(abs(z.mean()) < 0.02), bool(abs(z.var() - 1) < 0.03)
        (True, True)
    """

    selfnorm_role = "activation"

    def __init__(self, rate: float, *, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_probability(rate)
        self.rate, self.seed = float(rate), seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """SELU of `inputs`, and a share of its units dropped in training."""
        y = keras.ops.selu(inputs)
        if not training or not self.rate:
            return y
        scale, shift = alpha_dropout_affine(self.rate)
        drawn = keras.random.uniform(keras.ops.shape(y), seed=self.seed_generator)
        return keras.ops.where(drawn < self.rate, _SATURATION, y) * scale + shift

    def compute_output_shape(self, input_shape: Any) -> Any:
        """As the input's."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """What makes it again."""
        return super().get_config() | {"rate": self.rate, "seed": self.seed}


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
