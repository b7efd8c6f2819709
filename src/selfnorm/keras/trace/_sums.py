"""What a unit sums: the mean square of the terms, by what a layer reads, and padded zeros."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from selfnorm.keras._untyped import keras
from selfnorm.theory._types import FloatArray

Summed = Callable[[FloatArray], tuple[float, float]]


def plain(read: FloatArray) -> tuple[float, float]:
    """Of a layer whose units read everything."""
    return float(np.mean(np.square(read, dtype=np.float64))), 0.0


def of_convolution(layer: Any) -> Summed:
    """Of a convolution's windows: the layer itself over squares, with taps of one size."""
    transposed = "Transpose" in type(layer).__name__

    def windows(squares: FloatArray) -> FloatArray:
        taps = keras.ops.convert_to_tensor(_taps(layer, transposed))
        dilation = layer.dilation_rate
        how: dict[str, Any] = {"strides": layer.strides, "padding": layer.padding}
        how |= {"data_format": "channels_last", "dilation_rate": dilation}
        if transposed:
            how["output_padding"] = getattr(layer, "output_padding", None)
            found = keras.ops.conv_transpose(squares, taps, **how)
        else:
            if layer.padding == "causal":
                left = dilation[0] * (layer.kernel_size[0] - 1)
                squares = np.pad(squares, ((0, 0), (left, 0), (0, 0)))
                how["padding"] = "valid"
            found = keras.ops.conv(squares, taps, **how)
        return keras.ops.convert_to_numpy(found)  # pyright: ignore[reportReturnType]

    def summed(read: FloatArray) -> tuple[float, float]:
        channels = 1 if layer.data_format == "channels_first" else -1
        squares = np.square(read, dtype=np.float32).mean(channels, keepdims=True)
        squares = np.moveaxis(squares, channels, -1)
        filled = float(windows(np.ones_like(squares[:1])).mean())
        padding = max(1 - filled, 0.0) if abs(1 - filled) > 1e-6 else 0.0
        return float(windows(squares).mean()), padding

    return summed


def steps_of(layer: Any) -> tuple[int, ...]:
    """Of a transposed convolution: every how many taps reach one output, by dimension."""
    pairs = zip(layer.strides, layer.dilation_rate, strict=True)
    return tuple(stride // math.gcd(stride, dilation) for stride, dilation in pairs)


def _taps(layer: Any, transposed: bool) -> FloatArray:
    """A kernel of one channel: each tap by how many of them an output sums."""
    window = tuple(layer.kernel_size)
    steps = steps_of(layer) if transposed else (1,) * len(window)
    taps: Any = np.ones((*window, 1, 1), np.float32)
    for axis, (size, step) in enumerate(zip(window, steps, strict=True)):
        counts = [len(range(k % step, size, step)) for k in range(size)]
        shape = [1] * taps.ndim
        shape[axis] = size
        taps = taps / np.reshape(np.asarray(counts, np.float32), shape)
    return taps


def einsum_matrix(equation: str) -> Callable[[FloatArray], FloatArray] | None:
    """How an `EinsumDense` kernel becomes a matrix of units by inputs; None if it does not."""
    given, out = equation.replace("...", "").split("->")
    inputs, kernel = given.split(",")
    summed = [k for k in kernel if k in inputs and k not in out]
    units = [k for k in kernel if k not in summed]
    if any(k in inputs for k in units) or not summed:
        return None  # a matrix for each place

    def arrange(values: FloatArray) -> FloatArray:
        order = [kernel.index(k) for k in (*units, *summed)]
        count = math.prod(values.shape[kernel.index(k)] for k in units)
        return values.transpose(order).reshape(count, -1)

    return arrange
