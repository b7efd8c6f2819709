"""Docstrings of what needs JAX are run where it is installed."""

from importlib.util import find_spec

collect_ignore = (
    [] if all(map(find_spec, ("jax", "equinox", "flax", "optax"))) else ["selfnorm/jax"]
)
