"""Which initializers start a weight before a SELU right."""

import math
from collections.abc import Sequence
from typing import Any

from selfnorm.keras._initializers import LecunNormal, LecunOrthogonal
from selfnorm.keras._untyped import keras

_RIGHT = (
    keras.initializers.LecunNormal,
    keras.initializers.LecunUniform,
    LecunNormal,
    LecunOrthogonal,
)


def starts_right(initializer: Any, shape: Sequence[int]) -> bool:
    """Whether weights of that shape, units last, get variance 1/fan_in."""
    if isinstance(initializer, _RIGHT):
        return True
    config = initializer.get_config() if hasattr(initializer, "get_config") else {}
    if isinstance(initializer, keras.initializers.Orthogonal):
        return config["gain"] == 1 and shape[-1] <= math.prod(shape[:-1])
    plain = type(initializer) is keras.initializers.VarianceScaling
    return plain and config["scale"] == 1 and config["mode"] == "fan_in"
