"""The training loop, which knows no table: mini-batches, AdamW, the best epoch is kept."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
