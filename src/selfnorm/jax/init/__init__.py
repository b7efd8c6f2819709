"""Weights of variance 1/fan_in for JAX: initializers, and trees of weights that are mended."""

from selfnorm.jax.init._initialize import initialize as initialize
from selfnorm.jax.init._initializers import lecun_normal as lecun_normal
from selfnorm.jax.init._initializers import lecun_orthogonal as lecun_orthogonal

__all__ = ["initialize", "lecun_normal", "lecun_orthogonal"]
