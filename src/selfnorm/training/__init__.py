"""The training loop, which knows no table: mini-batches, AdamW, the best epoch is kept."""

from selfnorm import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, __file__)
