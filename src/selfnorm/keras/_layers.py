"""SELU in its forms as a layer, alone and with alpha dropout."""

from typing import Any

from selfnorm.keras._untyped import keras
from selfnorm.theory._dropout import affine_of, check_probability
from selfnorm.theory._form import SELUForm
from selfnorm.theory._shaped import GROWTH, form_of


class _Shaped(keras.layers.Layer):
    """A layer with a form of SELU."""

    selfnorm_role = "activation"

    def __init__(
        self, depth: int | None, growth: float, bidirectional: bool, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.form = form_of(depth, growth, bidirectional=bidirectional)
        self.depth, self.growth, self.bidirectional = depth, growth, bidirectional
        self.supports_masking = True
        self.built = True

    def compute_output_shape(self, input_shape: Any) -> Any:
        """As the input's."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """What makes it again."""
        names = ("depth", "growth", "bidirectional")
        return super().get_config() | {name: getattr(self, name) for name in names}


@keras.saving.register_keras_serializable("selfnorm")
class SELU(_Shaped):
    """The scaled exponential linear unit, also shaped for a depth, or bidirectional.

    Behind each layer the second moment of gradients is 1.07 times what it was. Two other forms of
    SELU hold that growth:

    - for a `depth`, SELU with a line mixed in, so that all layers together multiply it by `growth`;
      (0, 1) stays the fixed point of mean and variance. See `selfnorm.theory.shaped_selu`;
    - `bidirectional`, SELU scaled and shifted, which keeps it and a mean square of 1 at any depth;
      the mean is -.26. See `selfnorm.theory.selu_constants`, `gradient_gain=1`.

    Args:
        depth: How many layers of the network have this activation; where they are few, it is SELU.
        growth: With a depth, the factor on the second moment of gradients over all of them, above
            1; infinite for SELU itself.
        bidirectional: Keep the second moment of gradients.
        kwargs: As any layer takes: `name`, `dtype`.

    Attributes:
        form: The form as a `selfnorm.theory.SELUForm`; None where it is SELU itself.

    Raises:
        ArgumentError: If `depth` is no whole number from 1 to 10^9, `growth` is not above 1, or
            both `depth` and `bidirectional` are given.

    Source: Klambauer et al. 2017, Eq. 2; as `shaped_selu` and `selu_constants` for the others.

    Example:
        >>> x = keras.ops.convert_to_tensor([-1.0, 0.0, 1.0])
        >>> bool((SELU()(x) == keras.activations.selu(x)).all())
        True
        >>> round(SELU(depth=1000).form.blend, 4)
        0.0983
    """

    def __init__(
        self,
        *,
        depth: int | None = None,
        growth: float = GROWTH,
        bidirectional: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(depth, growth, bidirectional, **kwargs)

    def call(self, inputs: Any) -> Any:
        """SELU of `inputs`, in the layer's form."""
        return _activated(inputs, self.form)


@keras.saving.register_keras_serializable("selfnorm")
class SELUAlphaDropout(_Shaped):
    """SELU, then alpha dropout, which keeps mean 0 and variance 1.

        z = scale * (selu(x) if kept else -lambda * alpha) + shift

    with `scale` and `shift` of `selfnorm.theory.alpha_dropout_affine`. Without training it is SELU.

    Args:
        rate: Probability that a unit is dropped.
        seed: Of the masks; a random one if None.
        depth: As of `SELU`, and so are the next two.
        growth: Likewise.
        bidirectional: Likewise.
        kwargs: As any layer takes: `name`, `dtype`.

    Attributes:
        form: The form as a `selfnorm.theory.SELUForm`; None where it is SELU itself.

    Raises:
        ArgumentError: `rate` is not in [0, 1], or as `SELU`.

    Source: Klambauer et al. 2017, Eq. 2 and section 2, "New Dropout Technique".

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).standard_normal((1000, 100)).astype("float32")
        >>> z = SELUAlphaDropout(0.2, seed=0)(x, training=True)
        >>> z = keras.ops.convert_to_numpy(z)
        >>> bool(abs(z.mean()) < 0.02), bool(abs(z.var() - 1) < 0.03)
        (True, True)
    """

    def __init__(
        self,
        rate: float,
        *,
        seed: int | None = None,
        depth: int | None = None,
        growth: float = GROWTH,
        bidirectional: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(depth, growth, bidirectional, **kwargs)
        check_probability(rate)
        self.rate, self.seed = float(rate), seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """SELU of `inputs`, and a share of its units dropped in training."""
        y = _activated(inputs, self.form)
        if not training or not self.rate:
            return y
        form = self.form or SELUForm()
        scale, shift = affine_of(form, self.rate)
        drawn = keras.random.uniform(keras.ops.shape(y), seed=self.seed_generator)
        return keras.ops.where(drawn < self.rate, form.dropped, y) * scale + shift

    def get_config(self) -> dict[str, Any]:
        """What makes it again."""
        return super().get_config() | {"rate": self.rate, "seed": self.seed}


def _activated(inputs: Any, form: SELUForm | None) -> Any:
    y = keras.ops.selu(inputs)
    if form is None:
        return y
    linear, factor, shift = form
    y = factor * y + shift
    return y + linear * inputs if linear else y  # 0 times infinity would be nan
