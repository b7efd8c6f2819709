"""Lightning, under either of its names."""

import importlib
from typing import Any

from selfnorm.errors import UnsupportedError


def callback_class() -> Any:
    """`Callback` of `lightning` or of `pytorch_lightning`, whichever is installed.

    Raises:
        UnsupportedError: Neither is.
    """
    for package in ("lightning.pytorch", "pytorch_lightning"):
        try:
            return importlib.import_module(package).Callback
        except ImportError:
            continue
    raise UnsupportedError(
        "lightning_callback makes a callback for Lightning, and neither lightning nor "
        "pytorch_lightning is installed. Install one, or use what it wraps in your own loop: "
        "selfnorm.monitor, selfnorm.optim.keep_orthogonal."
    )
