"""The theory of self-normalizing networks: NumPy, SciPy and ball arithmetic only, no torch.

The public names are listed in `__init__.pyi` and load when they are first used: SELU's constants,
which everything asks for, do not cost the import of SciPy.
"""

from selfnorm import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, __file__)
