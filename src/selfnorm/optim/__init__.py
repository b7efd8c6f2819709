"""Weights kept orthogonal, after each step of any of torch's optimizers."""

from selfnorm import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, __file__)
