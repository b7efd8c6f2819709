"""Docstrings of what needs JAX are run where it is installed."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("jax") else ["selfnorm/jax"]
