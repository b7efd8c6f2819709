"""SELU networks in JAX: functions, initialization, modules, audit. Torch is not needed.

Names load when they are first used; Flax, Equinox and optax are imported by what needs them alone.
"""

from selfnorm import _extras, _lazy

_extras.check_version("jax", (0, 10))

__getattr__, __dir__, __all__ = _lazy.attach(__name__, __file__)
