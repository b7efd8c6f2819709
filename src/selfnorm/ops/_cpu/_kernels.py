"""The loops, compiled by Numba: each is one pass over contiguous memory, in vector registers.

A kernel is a C function `(begin, end, context)`, as torch's thread pool calls it: it works on the
units `begin` to `end`, and the context says where the data lie. The element type of the context is
that of the tensors, so one Python function serves every dtype. Half precision is widened when it
is read and rounded once when it is written; bfloat16 goes by as `uint16`, float16 as `int16`.
"""

# Numba fills in the first argument of an intrinsic.
# pyright: reportCallIssue=false, reportArgumentType=false, reportUntypedFunctionDecorator=false

from typing import Any

import numpy as np
from numba import cfunc, from_dtype, njit, types
from numba.np.numpy_support import carray

from selfnorm._spec._philox import BLOCK, COUNTERS, KEY_STEPS, MULTIPLIERS, ROUNDS
from selfnorm.ops._cpu._context import CALL, HEAD, NUMBERS, STRIP
from selfnorm.ops._cpu._intrinsics import (
    buffer,
    call5,
    call13,
    constant,
    fma,
    load,
    offset,
    pointer,
    store,
    widen,
)
from selfnorm.ops._cpu._scalar import bend, selu  # pyright: ignore[reportUnusedImport] - in loops


def compile_kernel(name: str, element: str) -> Any:
    """The kernel of that name for elements of that NumPy type, compiled for this processor."""
    fields = [*((f, "i8") for f in HEAD), *((f, "f8") for f in NUMBERS), ("element", element)]
    context = from_dtype(np.dtype(fields, align=True))
    signature = types.void(types.int64, types.int64, types.CPointer(context))
    return cfunc(signature, error_model="numpy")(_KERNELS[name])


# --- kernels ---------------------------------------------------------------------------------


def _selu_kernel(begin: Any, end: Any, context: Any) -> None:
    c = carray(context, 1)[0]
    x, out = pointer(c.x, c.element), pointer(c.out, c.element)
    # LLVM enters its vector loop only if the arrays do not overlap, which it checks when it runs
    # (https://llvm.org/docs/Vectorizers.html#runtime-checks-of-pointers); so that arrays which are
    # one get vector code too, it must be told.
    if c.x == c.out:
        _selu_loop(begin, end, out, out)
    else:
        _selu_loop(begin, end, x, out)


def _selu_backward_kernel(begin: Any, end: Any, context: Any) -> None:
    _each_pair(begin, end, carray(context, 1)[0], _backward_loop)


def _selu_backward_from_input_kernel(begin: Any, end: Any, context: Any) -> None:
    _each_pair(begin, end, carray(context, 1)[0], _from_input_loop)


def _selu_alpha_dropout_kernel(begin: Any, end: Any, context: Any) -> None:
    _each_block(begin, end, carray(context, 1)[0], _selu_dropout_loop)


def _alpha_dropout_kernel(begin: Any, end: Any, context: Any) -> None:
    _each_block(begin, end, carray(context, 1)[0], _dropout_loop)


def _shaped_kernel(begin: Any, end: Any, context: Any) -> None:
    _each_pair(begin, end, carray(context, 1)[0], _shaped_loop)


def _shaped_backward_kernel(begin: Any, end: Any, context: Any) -> None:
    _each_pair(begin, end, carray(context, 1)[0], _shaped_backward_loop)


def _shaped_dropout_kernel(begin: Any, end: Any, context: Any) -> None:
    _each_block(begin, end, carray(context, 1)[0], _shaped_dropout_loop)


def _shaped_dropout_backward_kernel(begin: Any, end: Any, context: Any) -> None:
    _each_block(begin, end, carray(context, 1)[0], _shaped_dropout_backward_loop)


def _feature_alpha_dropout_kernel(begin: Any, end: Any, context: Any) -> None:
    """A unit is one channel: `inner` elements that are kept or dropped as one."""
    c = carray(context, 1)[0]
    x, out, bits = pointer(c.x, c.element), pointer(c.out, c.element), buffer()
    seeds, drawn = pointer(c.seeds, np.int64(0)), np.int64(-1)
    for channel in range(begin, end):
        sample, position = divmod(channel, c.count)
        block = channel - position + position // BLOCK  # differs wherever the bits do
        if block != drawn:
            _draw(bits, load(seeds, sample), position // BLOCK)
            drawn = block
        kept = load(pointer(bits, np.int16(0)), position % BLOCK) > np.int16(c.cut)
        first = channel * c.inner
        if c.x == c.out:
            _channel_loop(c.inner, kept, offset(out, first), offset(out, first), c)
        else:
            _channel_loop(c.inner, kept, offset(x, first), offset(out, first), c)


def _spread_kernel(begin: Any, end: Any, context: Any) -> None:
    """A unit is a row of `inner` elements, each written with the same."""
    c = carray(context, 1)[0]
    x, out = pointer(c.x, c.element), pointer(c.out, c.element)
    for row in range(begin, end):
        _copy_loop(c.inner, x, offset(out, row * c.inner))


def _column_sums_kernel(begin: Any, end: Any, context: Any) -> None:
    """A unit is a strip of columns of a matrix `(count, inner)`.

    Eight rows are added pair by pair, and their sums as float64: the error does not grow with the
    rows.
    """
    c = carray(context, 1)[0]
    x, out, sums = pointer(c.x, c.element), pointer(c.out, c.element), pointer(buffer(), 0.0)
    for strip in range(begin, end):
        first = strip * STRIP
        size, row = min(STRIP, c.inner - first), np.int64(0)
        _clear_loop(size, sums)
        while row + 8 <= c.count:
            _eight_rows_loop(size, c.inner, offset(x, row * c.inner + first), sums)
            row += 8
        while row < c.count:
            _row_loop(size, offset(x, row * c.inner + first), sums)
            row += 1
        _round_loop(size, sums, offset(out, first))


def _program_kernel(begin: Any, end: Any, context: Any) -> None:
    """A unit is a run of a program for one member; `_program` says what the tables hold.

    `x` is the address of three rows of `inner` words: values, numbers of registers, steps a unit;
    `seeds` that of the registers; `out` that of room for the words of each unit.
    """
    c = carray(context, 1)[0]
    values, bases = pointer(c.x, np.int64(0)), pointer(c.seeds, np.int64(0))
    which, steps = offset(values, c.inner), offset(values, 2 * c.inner)
    for unit in range(begin, end):
        words = offset(pointer(c.out, np.int64(0)), unit * c.inner)
        for i in range(c.inner):
            base = load(bases, load(which, i))
            store(words, i, load(values, i) + base + unit * load(steps, i))
        for i in range(c.count):
            at = offset(words, i * CALL)
            if load(at, CALL - 1):
                call13(at)
            else:
                call5(at)


_KERNELS = {
    "selu": _selu_kernel,
    "selu_backward": _selu_backward_kernel,
    "selu_backward_from_input": _selu_backward_from_input_kernel,
    "selu_alpha_dropout": _selu_alpha_dropout_kernel,
    "alpha_dropout": _alpha_dropout_kernel,
    "feature_alpha_dropout": _feature_alpha_dropout_kernel,
    "shaped_selu": _shaped_kernel,
    "shaped_selu_backward": _shaped_backward_kernel,
    "shaped_selu_alpha_dropout": _shaped_dropout_kernel,
    "shaped_selu_alpha_dropout_backward": _shaped_dropout_backward_kernel,
    "spread": _spread_kernel,
    "column_sums": _column_sums_kernel,
    "program": _program_kernel,
}

# --- loops -----------------------------------------------------------------------------------


@njit(inline="always")
def _each_block(begin: Any, end: Any, c: Any, loop: Any) -> Any:
    """Draw the bits of block after block of the samples, and run the loop over its elements."""
    x, out, bits = pointer(c.x, c.element), pointer(c.out, c.element), buffer()
    grad = pointer(c.grad, c.element)
    seeds, blocks = pointer(c.seeds, np.int64(0)), (c.count + BLOCK - 1) // BLOCK
    for unit in range(begin, end):
        sample, block = divmod(unit, blocks)
        _draw(bits, load(seeds, sample), block)
        first = sample * c.count + block * BLOCK
        size = min(BLOCK, c.count - block * BLOCK)
        if c.x == c.out:
            loop(size, bits, offset(out, first), offset(grad, first), offset(out, first), c)
        else:
            loop(size, bits, offset(x, first), offset(grad, first), offset(out, first), c)


@njit(inline="always")
def _each_pair(begin: Any, end: Any, c: Any, loop: Any) -> Any:
    """Run the loop over a tensor and a gradient, if it has one; either may be written over."""
    x, out = pointer(c.x, c.element), pointer(c.out, c.element)
    grad = pointer(c.grad, c.element)
    if c.grad == c.out:
        loop(begin, end, x, out, out, c)
    elif c.x == c.out:
        loop(begin, end, out, grad, out, c)
    else:
        loop(begin, end, x, grad, out, c)


@njit(inline="always")
def _selu_loop(begin: Any, end: Any, x: Any, out: Any) -> Any:
    for i in range(begin, end):
        store(out, i, selu(widen(load(x, i))))


@njit(inline="always")
def _backward_loop(begin: Any, end: Any, x: Any, grad: Any, out: Any, c: Any) -> Any:
    zero = constant(0.0, out)
    slope, threshold = constant(c.slope, out), constant(c.threshold, out)
    floor, tail = constant(c.floor, out), constant(c.tail, out)
    for i in range(begin, end):
        z = widen(load(x, i))
        above = z - floor
        above += tail if above != zero else zero
        store(out, i, (slope if z > threshold else above) * widen(load(grad, i)))


@njit(inline="always")
def _from_input_loop(begin: Any, end: Any, x: Any, grad: Any, out: Any, c: Any) -> Any:
    zero, slope = constant(0.0, out), constant(c.slope, out)
    for i in range(begin, end):
        v = widen(load(x, i))
        store(out, i, (slope if v > zero else bend(v)) * widen(load(grad, i)))


@njit(inline="always")
def _selu_dropout_loop(size: Any, bits: Any, x: Any, _grad: Any, out: Any, c: Any) -> Any:
    """A dropped unit is SELU at -inf; a nan is not above the limit, and so it is kept."""
    scale, shift = constant(c.scale, out), constant(c.shift, out)
    low, high = constant(-np.inf, out), constant(np.inf, out)
    cut, halves = np.int16(c.cut), pointer(bits, np.int16(0))
    for i in range(size):
        limit = high if load(halves, i) > cut else low
        v = widen(load(x, i))
        v = limit if limit < v else v
        store(out, i, fma(scale, selu(v), shift))


@njit(inline="always")
def _dropout_loop(size: Any, bits: Any, x: Any, _grad: Any, out: Any, c: Any) -> Any:
    scale, shift = constant(c.scale, out), constant(c.shift, out)
    dropped, cut = constant(c.dropped, out), np.int16(c.cut)
    halves = pointer(bits, np.int16(0))
    for i in range(size):
        v = widen(load(x, i))
        kept = (load(halves, i) > cut) | (v != v)  # noqa: PLR0124 - nan stays nan
        store(out, i, fma(scale, v if kept else dropped, shift))


@njit(inline="always")
def _channel_loop(size: Any, kept: Any, x: Any, out: Any, c: Any) -> Any:
    scale, shift = constant(c.scale, out), constant(c.shift, out)
    dropped = constant(c.dropped, out)
    for i in range(size):
        v = widen(load(x, i))
        stays = kept | (v != v)  # noqa: PLR0124
        store(out, i, fma(scale, v if stays else dropped, shift))


@njit(inline="always")
def _shaped_loop(begin: Any, end: Any, x: Any, _grad: Any, out: Any, c: Any) -> Any:
    none, linear, scale = constant(-0.0, out), constant(c.linear, out), constant(c.scale, out)
    shift, slope = constant(c.shift, out), constant(c.slope, out)
    for i in range(begin, end):
        store(out, i, _shape(widen(load(x, i)), linear, scale, shift, slope, none))


@njit(inline="always")
def _shaped_backward_loop(begin: Any, end: Any, x: Any, grad: Any, out: Any, c: Any) -> Any:
    none, linear, scale = constant(-0.0, out), constant(c.linear, out), constant(c.scale, out)
    slope = constant(c.slope, out)
    for i in range(begin, end):
        v = widen(load(x, i))
        incline = slope if v > none else fma(scale, bend(v), linear)
        store(out, i, incline * widen(load(grad, i)))


@njit(inline="always")
def _shaped_dropout_loop(size: Any, bits: Any, x: Any, _grad: Any, out: Any, c: Any) -> Any:
    none, linear, scale = constant(-0.0, out), constant(c.linear, out), constant(c.scale, out)
    shift, slope = constant(c.shift, out), constant(c.slope, out)
    dropped, cut = constant(c.dropped, out), np.int16(c.cut)
    halves = pointer(bits, np.int16(0))
    for i in range(size):
        v = widen(load(x, i))
        kept = (load(halves, i) > cut) | (v != v)  # noqa: PLR0124 - nan stays nan
        store(out, i, _shape(v, linear, scale, shift, slope, none) if kept else dropped)


@njit(inline="always")
def _shaped_dropout_backward_loop(size: Any, bits: Any, x: Any, grad: Any, out: Any, c: Any) -> Any:
    none, linear, scale = constant(-0.0, out), constant(c.linear, out), constant(c.scale, out)
    slope, cut, halves = constant(c.slope, out), np.int16(c.cut), pointer(bits, np.int16(0))
    zero = constant(0.0, out)
    for i in range(size):
        v = widen(load(x, i))
        kept = (load(halves, i) > cut) | (v != v)  # noqa: PLR0124
        incline = slope if v > none else fma(scale, bend(v), linear)
        store(out, i, (incline if kept else zero) * widen(load(grad, i)))


@njit(inline="always")
def _copy_loop(size: Any, x: Any, out: Any) -> Any:
    for i in range(size):
        store(out, i, load(x, i))


@njit(inline="always")
def _eight_rows_loop(size: Any, step: Any, x: Any, sums: Any) -> Any:
    for i in range(size):
        four = (_at(x, i, 0, step) + _at(x, i, 1, step)) + (_at(x, i, 2, step) + _at(x, i, 3, step))
        others = (_at(x, i, 4, step) + _at(x, i, 5, step)) + (
            _at(x, i, 6, step) + _at(x, i, 7, step)
        )
        store(sums, i, load(sums, i) + np.float64(four + others))


@njit(inline="always")
def _at(x: Any, i: Any, row: Any, step: Any) -> Any:
    return widen(load(x, i + row * step))


@njit(inline="always")
def _row_loop(size: Any, x: Any, sums: Any) -> Any:
    for i in range(size):
        store(sums, i, load(sums, i) + np.float64(widen(load(x, i))))


@njit(inline="always")
def _round_loop(size: Any, sums: Any, out: Any) -> Any:
    for i in range(size):
        store(out, i, constant(load(sums, i), out))


@njit(inline="always")
def _clear_loop(size: Any, sums: Any) -> Any:
    for i in range(size):
        store(sums, i, np.float64(0.0))


@njit(inline="always")
def _shape(v: Any, linear: Any, scale: Any, shift: Any, slope: Any, none: Any) -> Any:
    """A form of SELU; without a line, 0 times infinity would be nan."""
    line = linear * v if linear != none else none
    return fma(slope, v, shift) if v > none else fma(scale, selu(v), line + shift)


# --- random bits -----------------------------------------------------------------------------


_WORD, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_MULTIPLY = tuple(np.uint64(multiplier) for multiplier in MULTIPLIERS)
_STEPS = tuple(np.uint64(step) for step in KEY_STEPS)


@njit(inline="always")
def _draw(bits: Any, seed: Any, block: Any) -> Any:
    """Philox4x32 on 64-bit lanes that hold 32-bit words: a product is one `vpmuludq`."""
    low, high = np.uint64(seed) & _WORD, np.uint64(seed) >> _HALF
    first, words = np.uint64(block) * np.uint64(COUNTERS), pointer(bits, np.uint32(0))
    for counter in range(COUNTERS):
        a, b, c, d = (first + np.uint64(counter)) & _WORD, np.uint64(0), np.uint64(0), np.uint64(0)
        for turn in range(ROUNDS):
            key0 = (low + np.uint64(turn) * _STEPS[0]) & _WORD
            key1 = (high + np.uint64(turn) * _STEPS[1]) & _WORD
            p, q = a * _MULTIPLY[0], c * _MULTIPLY[1]
            a, b, c, d = (q >> _HALF) ^ b ^ key0, q & _WORD, (p >> _HALF) ^ d ^ key1, p & _WORD
        store(words, counter, np.uint32(a))
        store(words, counter + COUNTERS, np.uint32(b))
        store(words, counter + 2 * COUNTERS, np.uint32(c))
        store(words, counter + 3 * COUNTERS, np.uint32(d))
