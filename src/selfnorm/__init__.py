"""selfnorm: deep plain networks that train without normalization layers.

The public names are listed in `__init__.pyi` and load when they are first used, so that importing
selfnorm, or asking its command line for help, does not import torch.
"""

from importlib.metadata import version as _version

from selfnorm import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, __file__)

__version__ = _version("selfnorm")
