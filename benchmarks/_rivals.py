"""SELU and alpha dropout as others have them: torch eager, torch.compile, jax.jit."""

import importlib.util
import shutil
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

HAS_JAX = importlib.util.find_spec("jax") is not None
HAS_COMPILER = any(shutil.which(name) for name in ("c++", "g++", "clang++"))


def torch_pair(x: Tensor, p: float = 0.1) -> Tensor:
    """Torch's own SELU, then its own alpha dropout."""
    return F.alpha_dropout(F.selu(x), p, training=True)


def compiled(function: Callable[..., Tensor]) -> Callable[..., Tensor] | None:
    """By torch.compile, or None where there is no C++ compiler for it."""
    return torch.compile(function, fullgraph=True, dynamic=False) if HAS_COMPILER else None


def jax_pair(size: int, p: float = 0.1) -> Callable[[], Any] | None:
    """jax.jit of SELU and alpha dropout on `size` normal numbers, or None without JAX."""
    if not HAS_JAX:
        return None
    import jax
    from jax import numpy as jnp

    x = jax.random.normal(jax.random.key(0), (size,), jnp.float32)
    key = jax.random.key(1)

    @jax.jit
    def pair(x: Any, key: Any) -> Any:
        return jax_alpha_dropout(jax.nn.selu(x), key, p)

    return lambda: pair(x, key).block_until_ready()


def jax_alpha_dropout(u: Any, key: Any, p: float) -> Any:
    """Alpha dropout in JAX, which has none of its own."""
    import jax
    from jax import numpy as jnp

    from selfnorm.theory import alpha_dropout_affine

    scale, shift = alpha_dropout_affine(p)
    kept = jax.random.bernoulli(key, 1 - p, u.shape)
    return jnp.where(kept, u, -1.7580993408473766) * scale + shift
