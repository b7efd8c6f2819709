"""Is this network self-normalizing, and why not? `selfnorm.audit` asks; here is what it answers."""

from selfnorm import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, __file__)
