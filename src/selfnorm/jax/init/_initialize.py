"""Initialize a whole model, whichever library it is of; name what is left."""

import sys
import warnings
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, TypeVar

import jax
from jax import Array
from jax import numpy as jnp

from selfnorm.errors import SelfNormWarning, UnsupportedError
from selfnorm.jax.init._weight import Distribution, Draw, Entry

M = TypeVar("M")
_LISTED = 8


def initialize(
    module: M,
    key: Array,
    *,
    distribution: Distribution = "normal",
    exact: bool = False,
    skip: str | Iterable[str] = (),
) -> M:
    """A model whose pre-activations have variance 1 for unit inputs: LeCun's weights, biases 0.

    Weights get mean 0 and variance 1/fan_in, with the fan-in of each layer's own sum:

    | layer | fan-in of a unit |
    |---|---|
    | Linear, LinearGeneral, Dense | in |
    | Conv | in/groups * prod(kernel) |
    | ConvTranspose | in/groups * taps of the output's phase |
    | Embedding, Embed | 1: variance 1 |
    | LSTM, GRU and simple cells | input + state, the two being one sum |
    | norms | scale 1, offset 0, statistics reset |

    Equinox's default is uniform with a third of that variance, with which a deep SELU network's
    signal dies out. Of attention, MLPs and containers it is the layers inside that count.

    The kinds of layers are told by the modules of Flax NNX and Equinox. Parameters of Flax Linen
    and Haiku are dictionaries, where a leaf's name and shape tell (`kernel` and `w` are `(...,
    in, out)`); kernels of transposed convolutions, attention and cells are left and named.

    Args:
        module: A Flax NNX or Equinox module, or any tree of Equinox's; or a dictionary of
            parameters. It is left as it is.
        key: One of `jax.random`'s keys. A parameter's numbers depend on it and on the parameter's
            name alone.
        distribution: "normal", or "orthogonal" for `lecun_orthogonal`'s, matrix by matrix.
        exact: Center and scale each unit, as in `lecun_normal`.
        skip: Names of parameters to leave without a word; `*` stands for any part.

    Returns:
        A copy with other weights, of the same shapes and dtypes.

    Raises:
        UnsupportedError: `module` is of none of the kinds, or a weight is complex.
        ArgumentError: `distribution` is neither, or does not go with `exact`.

    Warns:
        SelfNormWarning: Parameters of unknown layers are left as they are.

    Source: LeCun et al. 1998, *Efficient BackProp*, Eq. 16; Klambauer et al. 2017, section 3.

    Example:
        >>> params = {"Dense_0": {"kernel": jnp.ones((64, 256)), "bias": jnp.ones(256)}}
        >>> params = initialize(params, jax.random.key(0), exact=True)
        >>> dense = params["Dense_0"]
        >>> bool(abs((dense["kernel"] ** 2).sum(0) - 1).max() < 1e-5), bool(dense["bias"].any())
        (True, False)
    """
    draw = Draw(distribution, exact)
    patterns = (skip,) if isinstance(skip, str) else tuple(skip)

    def skipped(name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in patterns)

    def value(name: str, entry: Entry, held: Any) -> Any:
        if skipped(name):
            return held
        if not jnp.issubdtype(held.dtype, jnp.floating):
            raise UnsupportedError(
                f"weights are real floating-point numbers; {name} has dtype {held.dtype}. Name it "
                "in skip."
            )
        return entry.value(jax.random.fold_in(key, _number(name)), held, draw)

    found, left = _mended(module, value)
    left = [name for name in left if not skipped(name)]
    if left:
        more = f" and {len(left) - _LISTED} more" if len(left) > _LISTED else ""
        warnings.warn(
            f"initialize leaves what it does not know as it is: {', '.join(left[:_LISTED])}{more}. "
            "Name them in skip if this is wanted.",
            SelfNormWarning,
            stacklevel=2,
        )
    return found


def _mended(module: Any, value: Any) -> tuple[Any, list[str]]:
    """By the library that a model is of, among those that are loaded."""
    nnx = sys.modules.get("flax.nnx")
    if nnx is not None and isinstance(module, nnx.Module):
        from selfnorm.jax.init import _nnx  # noqa: PLC0415 - Flax is there, and only then

        return _nnx.mended(module, value)
    if isinstance(module, Mapping) and module and _holds_arrays(module):
        from selfnorm.jax.init import _params  # noqa: PLC0415

        return _params.mended(module, value)  # pyright: ignore[reportUnknownArgumentType]
    equinox = sys.modules.get("equinox")
    if equinox is not None and any(
        isinstance(node, equinox.Module)
        for node in jax.tree.leaves(module, is_leaf=lambda n: isinstance(n, equinox.Module))
    ):
        from selfnorm.jax.init import _equinox  # noqa: PLC0415 - as for Flax

        return _equinox.mended(module, value)
    raise UnsupportedError(
        "initialize takes a module of Flax NNX or Equinox, or a dictionary of parameters; got "
        f"{type(module).__name__}. Of a Linen or Haiku module pass the parameters."
    )


def _holds_arrays(tree: Any) -> bool:
    """Whether a dictionary holds dictionaries and arrays alone."""
    if isinstance(tree, Mapping):
        return all(map(_holds_arrays, tree.values()))  # pyright: ignore[reportUnknownArgumentType]
    return hasattr(tree, "dtype")


def _number(name: str) -> int:
    """Of a name, the same in every process: FNV-1a."""
    found = 2166136261
    for byte in name.encode():
        found = (found ^ byte) * 16777619 % 2**32
    return found
