"""An activation as it was called, with the parameters that it was given: its values on a grid."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from selfnorm.theory._types import FloatArray

_FAR = 1e4
_POINTS = 1001
_MOVED = 7.0  # so that the grid is finest around 0
_NAMES = {"inplace", "input"}


def curve_of(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[FloatArray, FloatArray] | None:
    """Places and values of an activation that was called with parameters; None without any.

    None, too, if it is random, or not a function of each number by itself.
    """
    given = [_plain(value) for value in args[1:]]
    named = {name: _plain(value) for name, value in kwargs.items() if name not in _NAMES}
    flags = all(isinstance(value, bool) for value in given)  # whether to work in place
    if (flags and not named) or any(value is _UNKNOWN for value in (*given, *named.values())):
        return None
    places = np.sinh(np.linspace(-_MOVED, _MOVED, _POINTS)) * (_FAR / np.sinh(_MOVED))
    grid = torch.from_numpy(places)
    try:
        with torch.no_grad():
            found = function(grid.clone(), *given, **named)
            other = function(grid.flip(0), *given, **named)
    except (TypeError, ValueError, RuntimeError, IndexError):  # a dimension that a grid has not
        return None
    if not isinstance(found, Tensor) or found.shape != grid.shape:
        return None
    same = torch.equal(found, other.flip(0)) and bool(found.isfinite().all())
    return (places, found.double().numpy()) if same else None


_UNKNOWN = object()


def _plain(value: Any) -> Any:
    """A parameter on the CPU; of tensors those of one number."""
    if not isinstance(value, Tensor):
        return value
    return value.detach().double().cpu().flatten() if value.numel() == 1 else _UNKNOWN
