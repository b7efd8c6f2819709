"""What is asked of a jaxpr's equations, and how one is applied."""

import re
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Jaxpr

from selfnorm.jax.trace._node import Node
from selfnorm.jax.trace._primitives import CALLS, ELEMENTWISE


def bound(equation: Any, given: Sequence[Any]) -> list[Any]:
    """A primitive applied to plain values."""
    bare = [v.value if isinstance(v, Node) else v for v in given]
    given_params: Any = equation.primitive.get_bind_params(equation.params)
    # Until JAX 0.9 functions within came apart from the other parameters.
    parts, params = given_params if isinstance(given_params, tuple) else ((), given_params)
    found = equation.primitive.bind(*parts, *bare, **params)
    return list(found) if equation.primitive.multiple_results else [found]


def is_elementwise(jaxpr: Jaxpr) -> bool:
    """Whether nothing but functions of single numbers stands in it, however deep."""
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        if name in CALLS:
            inner: Any = equation.params[CALLS[name]]
            if not is_elementwise(getattr(inner, "jaxpr", inner)):
                return False
        elif name not in ELEMENTWISE:
            return False
    return bool(jaxpr.eqns)


def is_boolean(equation: Any) -> bool:
    return any(v.aval.dtype == jnp.bool for v in equation.outvars)


def is_uniform(value: Any) -> bool:
    """Whether an array holds one number everywhere; keys of `jax.random` are none."""
    if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        return False
    flat = np.asarray(value).ravel()
    return bool((flat == flat[:1]).all())


def called(inner: Any) -> str:
    """The name of the function that a jaxpr was traced from."""
    about = getattr(getattr(inner, "jaxpr", inner), "debug_info", None)
    return getattr(about, "func_name", "") or "function"


def plain(stack: str) -> str:
    """A stack of names without the transformations around them: `vmap(net)/vmap()` is `net`."""
    parts = [re.sub(r"^(?:\w+\()+(.*?)\)+$", r"\1", part) for part in stack.split("/")]
    return "/".join(part for part in parts if part)


def place(scope: str, name: str) -> str:
    return f"{scope}/{name}()".lstrip("/")
