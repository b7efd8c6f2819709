"""The numbers of `_spec` for tensors of a dtype, remembered: every call asks for them."""

import warnings
from functools import lru_cache

import torch

from selfnorm._spec import _constants
from selfnorm._spec._constants import Affine, Derivative, Shaped
from selfnorm._spec._formats import BFLOAT16, FLOAT16, FLOAT32, FLOAT64
from selfnorm._spec._philox import LEVELS, dropped_levels
from selfnorm.errors import SelfNormWarning
from selfnorm.theory._form import SELUForm

FORMATS = {
    torch.float64: FLOAT64,
    torch.float32: FLOAT32,
    torch.float16: FLOAT16,
    torch.bfloat16: BFLOAT16,
}
PROBABILITIES = 1 << 10
"""How many pairs of a probability and a dtype are remembered: more than a network has layers."""


@lru_cache(PROBABILITIES)
def affine(p: float, dtype: torch.dtype) -> Affine:
    """Alpha dropout in numbers of a dtype."""
    _warn(p)
    return _constants.affine(p, FORMATS[dtype])


@lru_cache(PROBABILITIES)
def derivative(p: float, dtype: torch.dtype) -> Derivative:
    """The derivative for outputs of a dtype."""
    return _constants.derivative(p, FORMATS[dtype])


@lru_cache(PROBABILITIES)
def shaped(p: float, linear: float, factor: float, shift: float, dtype: torch.dtype) -> Shaped:
    """A form of SELU, and its alpha dropout, in numbers of a dtype."""
    _warn(p)
    return _constants.shaped(p, SELUForm(linear, factor, shift), FORMATS[dtype])


def _warn(p: float) -> None:
    """Tell of a p so near to 0 or 1 that it is taken for that."""
    drawn = dropped_levels(p) / LEVELS
    if drawn != p and drawn in (0, 1):
        warnings.warn(
            f"A mask takes 16 random bits an element, so p is a multiple of 2**-16; got p={p!r}, "
            f"which drops {'every' if drawn else 'no'} unit. Pass 0, 1, or a p from 2e-5 to "
            "0.99998.",
            SelfNormWarning,
            stacklevel=3,
        )
