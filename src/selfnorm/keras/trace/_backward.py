"""Gradients of a function of tensors, on whichever backend Keras runs."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from selfnorm.keras._untyped import keras
from selfnorm.theory._types import FloatArray

Function = Callable[[list[Any]], list[Any]]


def gradients(
    function: Function, at: Sequence[Any], starts: Callable[[Any], Any]
) -> list[FloatArray]:
    """The gradients by each of a function's arguments, zeros where none arrives.

    Args:
        function: Of a list of tensors, which gives one.
        at: The arguments.
        starts: The gradient by an output, in NumPy.
    """

    def start(end: Any) -> Any:
        return keras.ops.convert_to_tensor(starts(end), dtype=end.dtype)

    found = _BACKENDS[keras.backend.backend()](function, list(at), start)
    return [
        np.zeros(tuple(value.shape)) if gradient is None else _array(gradient)
        for value, gradient in zip(at, found, strict=True)
    ]


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Where one program compiles sooner than each of its operations alone."""
    return sys.modules["jax"].jit(function) if keras.backend.backend() == "jax" else function


def _array(tensor: Any) -> Any:
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")), np.float64)


def _in_jax(function: Function, at: list[Any], start: Callable[[Any], Any]) -> Sequence[Any]:
    ends, backward = sys.modules["jax"].vjp(compiled(function), at)
    return backward([start(end) for end in ends])[0]


def _in_torch(function: Function, at: list[Any], start: Callable[[Any], Any]) -> Sequence[Any]:
    torch = sys.modules["torch"]
    with torch.enable_grad():
        leaves = [value.detach().requires_grad_() for value in at]
        ends = [end for end in function(leaves) if end.requires_grad]
    if not ends:
        return [None] * len(at)
    return torch.autograd.grad(ends, leaves, [start(end) for end in ends], allow_unused=True)


def _in_tensorflow(function: Function, at: list[Any], start: Callable[[Any], Any]) -> Sequence[Any]:
    with sys.modules["tensorflow"].GradientTape() as tape:
        for value in at:
            tape.watch(value)
        ends = function(at)
    return tape.gradient(ends, at, [start(end) for end in ends])


_BACKENDS = {"jax": _in_jax, "torch": _in_torch, "tensorflow": _in_tensorflow}
