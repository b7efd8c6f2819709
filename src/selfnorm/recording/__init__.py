"""What was seen of a model's layers: figures alone, in NumPy arrays.

A rule of your own, `selfnorm.auditing.rule`, gets a `Recording`.
"""

from selfnorm import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, __file__)
