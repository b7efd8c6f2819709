"""Figures that may have no value: told by a rule, and not by NumPy's warnings."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import numpy as np

_Given = ParamSpec("_Given")
_Made = TypeVar("_Made")


def quiet(function: Callable[_Given, _Made]) -> Callable[_Given, _Made]:
    """Inside, what overflows or is no number is so without a word: `non-finite` tells of it."""

    @wraps(function)
    def silent(*args: _Given.args, **kwargs: _Given.kwargs) -> _Made:
        with np.errstate(all="ignore"):  # a new one: before NumPy 2 it could not be entered twice
            return function(*args, **kwargs)

    return silent
