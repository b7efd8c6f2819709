"""What calls of kernels need besides tensors, remembered by probability and dtype."""

import math
from functools import lru_cache
from typing import Any, NamedTuple

import torch

from selfnorm._spec._philox import cut, dropped_levels
from selfnorm.ops._constants import PROBABILITIES, affine, derivative, shaped
from selfnorm.ops._cpu._context import NUMBERS, numbers
from selfnorm.ops._cpu._pool import address, parallel_for

# Units of work below which one thread is quicker than two: about five microseconds of it. What
# both sides of the border cost stands in benchmarks/ops.py, from 256 elements to 16 Mi.
ELEMENTS, BLOCKS = 1 << 14, 1 << 4
LOWEST_CUT = cut(1)
NOT_READ = (math.nan,) * len(NUMBERS)
"""Nan, so that a kernel which did read them would show it."""


class Plan(NamedTuple):
    """What a call needs besides tensors."""

    run: Any
    """`torch_parallel_for`."""
    code: int | None
    """The kernel; None if the reference must serve."""
    cut: int
    constants: bytes


@lru_cache(PROBABILITIES)
def plan_of(name: str, p: float, dtype: torch.dtype, linear: bool = False) -> Plan:
    code = address(name, dtype)
    if name.startswith("selu_backward"):  # the others have no use for what takes longest
        constants = numbers(*NOT_READ[:3], *derivative(p, dtype), math.nan)
    else:
        scale, shift, dropped = affine(p, dtype)
        if linear:  # adding -0 leaves the sign of a zero alone
            shift, dropped = -0.0, 0.0
        constants = numbers(scale, shift, dropped, *NOT_READ[3:])
    run = None if code is None else parallel_for()
    return Plan(run, code, cut(dropped_levels(p)), constants)


@lru_cache(PROBABILITIES)
def shaped_plan(name: str, p: float, form: tuple[float, float, float], dtype: torch.dtype) -> Plan:
    code = address(name, dtype)
    linear, scale, shift, dropped, slope = shaped(p, *form, dtype)
    constants = numbers(scale, shift, dropped, slope, *NOT_READ[4:-1], linear)
    run = None if code is None else parallel_for()
    return Plan(run, code, cut(dropped_levels(p)), constants)
