"""Make a model self-normalizing: `selfnorm.convert`, and what it changed. And back: `deploy`."""

from selfnorm import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, __file__)
