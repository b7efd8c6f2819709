"""Flax NNX modules: SELU, AlphaDropout, MLP."""

from itertools import pairwise

from flax import nnx
from jax import Array

from selfnorm.errors import ArgumentError
from selfnorm.jax._functional import alpha_dropout, selu, selu_alpha_dropout
from selfnorm.jax.init import lecun_normal, lecun_orthogonal
from selfnorm.jax.init._weight import Distribution, Draw
from selfnorm.theory._dropout import check_probability


class SELU(nnx.Module):
    """`selfnorm.jax.selu` as a module.

    Example:
        >>> float(SELU()(1.0))
        1.05070...
    """

    def __call__(self, x: Array) -> Array:
        """SELU of `x`."""
        return selu(x)


class AlphaDropout(nnx.Module):
    """`selfnorm.jax.alpha_dropout` as a module, which `model.eval()` turns off.

    Args:
        p: Probability that an element is dropped.
        deterministic: Do nothing.
        rngs: Where keys come from: its stream `dropout`.

    Raises:
        ArgumentError: `p` is not in [0, 1]; at a call, there is nothing to draw a key from.

    Example:
        >>> drop = AlphaDropout(0.1, rngs=nnx.Rngs(0))
        >>> drop.eval()
        >>> float(drop(2.0))
        2.0
    """

    def __init__(
        self, p: float = 0.5, *, deterministic: bool = False, rngs: nnx.Rngs | None = None
    ) -> None:
        check_probability(p)
        self.p = p
        self.deterministic = deterministic
        self.rngs = rngs.dropout.fork() if rngs is not None else None

    def __call__(self, x: Array) -> Array:
        """`x` with a share of its elements dropped."""
        if self.deterministic or not self.p:
            return x
        return alpha_dropout(self._key(), x, self.p)

    def of_selu(self, x: Array) -> Array:
        """The same of SELU of `x`, in one."""
        if self.deterministic or not self.p:
            return selu(x)
        return selu_alpha_dropout(self._key(), x, self.p)

    def _key(self) -> Array:
        if self.rngs is None:
            raise ArgumentError(
                "dropout draws its mask by a key; got no rngs. Pass rngs=nnx.Rngs(0), or call "
                "model.eval()."
            )
        return self.rngs()


class MLP(nnx.Module):
    """A plain SELU network whose activations keep mean 0 and variance 1.

    Args:
        in_features: Features of a sample.
        out_features: Outputs.
        width: Units of a hidden layer.
        depth: Hidden layers.
        dropout: Probability of alpha dropout behind each.
        weights: "normal", or "orthogonal", which `selfnorm.jax.keep_orthogonal` keeps so.
        rngs: Where weights and masks come from.

    Attributes:
        layers: The linear layers.
        drop: The dropout behind the hidden ones.

    Example:
        >>> import jax
        >>> model = MLP(64, 10, width=64, depth=20, rngs=nnx.Rngs(0))
        >>> hidden = model.hidden(jax.random.normal(jax.random.key(0), (256, 64)))
        >>> 0.5 < float(hidden.var()) < 2
        True
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        width: int,
        depth: int,
        dropout: float = 0.0,
        weights: Distribution = "normal",
        rngs: nnx.Rngs,
    ) -> None:
        Draw(weights)  # checks the name
        start = lecun_orthogonal() if weights == "orthogonal" else lecun_normal()
        sizes = [in_features, *[width] * depth, out_features]
        self.layers = nnx.List(
            [nnx.Linear(a, b, kernel_init=start, rngs=rngs) for a, b in pairwise(sizes)]
        )
        self.drop = AlphaDropout(dropout, rngs=rngs)

    def hidden(self, x: Array) -> Array:
        """What the last hidden layer puts out."""
        for layer in list(self.layers)[:-1]:
            x = self.drop.of_selu(layer(x))
        return x

    def __call__(self, x: Array) -> Array:
        """The outputs, `(..., out_features)`."""
        return self.layers[-1](self.hidden(x))
