"""SELU networks in Keras 3: audit, lint, conversion, weights, layers, callbacks; on any backend.

Names load when they are first used. Torch is not needed where Keras runs on another backend.
"""

from selfnorm import _extras, _lazy

_extras.check_version("keras", (3, 12))

__getattr__, __dir__, __all__ = _lazy.attach(__name__, __file__)
