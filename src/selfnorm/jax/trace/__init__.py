"""A function of arrays watched while it is evaluated, primitive by primitive."""

from selfnorm.jax.trace._record import record as record

__all__ = ["record"]
