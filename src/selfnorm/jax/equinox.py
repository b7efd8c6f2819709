"""Equinox modules: SELU, AlphaDropout, MLP. As Equinox's own, they take one sample; `jax.vmap`."""

from itertools import pairwise
from typing import Any

import equinox as eqx
import jax
from jax import Array

from selfnorm.errors import ArgumentError
from selfnorm.jax._functional import alpha_dropout, selu, selu_alpha_dropout
from selfnorm.jax.init import initialize
from selfnorm.jax.init._weight import Distribution
from selfnorm.theory._dropout import check_probability


class SELU(eqx.Module):
    """`selfnorm.jax.selu` as a module.

    Example:
        >>> float(SELU()(jax.numpy.ones(())))
        1.05070...
    """

    def __call__(self, x: Array, *, key: Array | None = None) -> Array:  # noqa: ARG002 - as all have
        """SELU of `x`."""
        return selu(x)


class AlphaDropout(eqx.Module):
    """`selfnorm.jax.alpha_dropout` as a module.

    Attributes:
        p: Probability that an element is dropped.
        inference: Do nothing; `equinox.nn.inference_mode(model)` sets it.

    Raises:
        ArgumentError: `p` is not in [0, 1]; at a call, no key came.

    Example:
        >>> x = jax.random.normal(jax.random.key(0), (1000,))
        >>> bool((AlphaDropout(0.1, inference=True)(x) == x).all())
        True
    """

    p: float = eqx.field(static=True, default=0.5)
    inference: bool = False

    def __check_init__(self) -> None:
        check_probability(self.p)

    def __call__(
        self, x: Array, *, key: Array | None = None, inference: bool | None = None
    ) -> Array:
        """`x` with a share of its elements dropped."""
        if (self.inference if inference is None else inference) or not self.p:
            return x
        return alpha_dropout(_needed(key), x, self.p)


class MLP(eqx.Module):
    """A plain SELU network whose activations keep mean 0 and variance 1.

    Args:
        in_size: Features of a sample.
        out_size: Outputs.
        width: Units of a hidden layer.
        depth: Hidden layers.
        dropout: Probability of alpha dropout behind each.
        weights: "normal", or "orthogonal", which `selfnorm.jax.keep_orthogonal` keeps so.
        key: One of `jax.random`'s keys.

    Attributes:
        layers: The linear layers.

    Example:
        >>> model = MLP(64, 10, width=64, depth=100, key=jax.random.key(0))
        >>> x = jax.random.normal(jax.random.key(1), (64,))
        >>> 0.2 < float(model.hidden(x).var()) < 5
        True
    """

    layers: tuple[eqx.nn.Linear, ...]
    dropout: float = eqx.field(static=True)
    inference: bool

    def __init__(
        self,
        in_size: int,
        out_size: int,
        *,
        width: int,
        depth: int,
        dropout: float = 0.0,
        weights: Distribution = "normal",
        key: Array,
    ) -> None:
        check_probability(dropout)
        sizes = [in_size, *[width] * depth, out_size]
        made = tuple(eqx.nn.Linear(a, b, key=key) for a, b in pairwise(sizes))
        self.layers = initialize(made, key, distribution=weights)
        self.dropout = dropout
        self.inference = False

    def hidden(self, x: Array, *, key: Array | None = None) -> Array:
        """What the last hidden layer puts out."""
        drops = bool(self.dropout) and not self.inference
        keys: Any = jax.random.split(_needed(key), len(self.layers)) if drops else self.layers
        for layer, own in zip(self.layers[:-1], keys, strict=False):
            x = layer(x)
            x = selu_alpha_dropout(own, x, self.dropout) if drops else selu(x)
        return x

    def __call__(self, x: Array, *, key: Array | None = None) -> Array:
        """The outputs of one sample; with dropout and outside of inference it needs a key."""
        return self.layers[-1](self.hidden(x, key=key))


def _needed(key: Array | None) -> Array:
    if key is None:
        raise ArgumentError(
            "dropout draws its mask by a key; got none. Pass key=, or set "
            "equinox.nn.inference_mode(model)."
        )
    return key
