"""JAX, for the tests that need it: skipped where it is not installed, on the CPU elsewhere."""

import os
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

from support.require import require


def require_jax(*more: str) -> None:
    """In a module for all of its tests: JAX and other packages, or a skip."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    missing = [name for name in ("jax", *more) if find_spec(name) is None]
    require("jax", f"{', '.join(missing)} not installed" if missing else None)


def to_torch(array: Any) -> torch.Tensor:
    """The same numbers in torch; NumPy alone knows no bfloat16."""
    values = np.asarray(array)
    if values.dtype.name == "bfloat16":
        return torch.from_numpy(values.astype(np.float32)).to(torch.bfloat16)
    return torch.from_numpy(np.array(values))
