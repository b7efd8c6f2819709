"""selfnorm: deep plain networks that train without normalization layers.

The public names are listed in `__init__.pyi` and load when they are first used, so that importing
selfnorm, or asking its command line for help, does not import torch.
"""

from importlib import import_module as _import
from importlib.metadata import version as _version

import lazy_loader as _lazy

_load, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    """A public name; `audit` and `convert` are packages that are functions too."""
    return _import(f"selfnorm.{name}") if name in {"audit", "convert"} else _load(name)


__version__ = _version("selfnorm")
