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
from llvmlite import ir
from numba import cfunc, from_dtype, njit, types
from numba.extending import intrinsic, overload
from numba.np.numpy_support import carray

from selfnorm.ops._cpu._context import HEAD, NUMBERS
from selfnorm.ops._spec._philox import BLOCK, COUNTERS, KEY_STEPS, MULTIPLIERS, ROUNDS
from selfnorm.ops._spec._polynomials import DOUBLE, SINGLE, Formula

# On Intel LLVM prefers half of AVX-512's width, which costs the kernels up to 40 %; processors
# without it take no notice. A function says so itself, as Clang's `-mprefer-vector-width` has it
# (https://clang.llvm.org/docs/ClangCommandLineReference.html); Numba has no word for that.
WIDEST = '"prefer-vector-width"="512"'


def compile_kernel(name: str, element: str) -> Any:
    """The kernel of that name for elements of that NumPy type, compiled for this processor."""
    fields = [*((f, "i8") for f in HEAD), *((f, "f8") for f in NUMBERS), ("element", element)]
    context = from_dtype(np.dtype(fields, align=True))
    signature = types.void(types.int64, types.int64, types.CPointer(context))
    return cfunc(signature, error_model="numpy")(_KERNELS[name])


# --- kernels ---------------------------------------------------------------------------------


def _selu_kernel(begin: Any, end: Any, context: Any) -> None:
    c = carray(context, 1)[0]
    x, out = _pointer(c.x, c.element), _pointer(c.out, c.element)
    # LLVM enters its vector loop only if the arrays do not overlap, which it checks when it runs
    # (https://llvm.org/docs/Vectorizers.html#runtime-checks-of-pointers); so that arrays which are
    # one get vector code too, it must be told.
    if c.x == c.out:
        _selu_loop(begin, end, out, out)
    else:
        _selu_loop(begin, end, x, out)


def _selu_backward_kernel(begin: Any, end: Any, context: Any) -> None:
    c = carray(context, 1)[0]
    x, out = _pointer(c.x, c.element), _pointer(c.out, c.element)
    grad = _pointer(c.grad, c.element)
    if c.grad == c.out:
        _backward_loop(begin, end, x, out, out, c)
    elif c.x == c.out:
        _backward_loop(begin, end, out, grad, out, c)
    else:
        _backward_loop(begin, end, x, grad, out, c)


def _selu_alpha_dropout_kernel(begin: Any, end: Any, context: Any) -> None:
    _each_block(begin, end, carray(context, 1)[0], _selu_dropout_loop)


def _alpha_dropout_kernel(begin: Any, end: Any, context: Any) -> None:
    _each_block(begin, end, carray(context, 1)[0], _dropout_loop)


def _feature_alpha_dropout_kernel(begin: Any, end: Any, context: Any) -> None:
    """A unit is one channel: `inner` elements that are kept or dropped as one."""
    c = carray(context, 1)[0]
    x, out, bits = _pointer(c.x, c.element), _pointer(c.out, c.element), _buffer()
    seeds, drawn = _pointer(c.seeds, np.int64(0)), np.int64(-1)
    for channel in range(begin, end):
        sample, position = divmod(channel, c.count)
        block = channel - position + position // BLOCK  # differs wherever the bits do
        if block != drawn:
            _draw(bits, _load(seeds, sample), position // BLOCK)
            drawn = block
        kept = _load(_pointer(bits, np.int16(0)), position % BLOCK) > np.int16(c.cut)
        first = channel * c.inner
        if c.x == c.out:
            _channel_loop(c.inner, kept, _offset(out, first), _offset(out, first), c)
        else:
            _channel_loop(c.inner, kept, _offset(x, first), _offset(out, first), c)


_KERNELS = {
    "selu": _selu_kernel,
    "selu_backward": _selu_backward_kernel,
    "selu_alpha_dropout": _selu_alpha_dropout_kernel,
    "alpha_dropout": _alpha_dropout_kernel,
    "feature_alpha_dropout": _feature_alpha_dropout_kernel,
}

# --- loops -----------------------------------------------------------------------------------


@njit(inline="always")
def _each_block(begin: Any, end: Any, c: Any, loop: Any) -> Any:
    """Draw the bits of block after block of the samples, and run the loop over its elements."""
    x, out, bits = _pointer(c.x, c.element), _pointer(c.out, c.element), _buffer()
    seeds, blocks = _pointer(c.seeds, np.int64(0)), (c.count + BLOCK - 1) // BLOCK
    for unit in range(begin, end):
        sample, block = divmod(unit, blocks)
        _draw(bits, _load(seeds, sample), block)
        first = sample * c.count + block * BLOCK
        size = min(BLOCK, c.count - block * BLOCK)
        if c.x == c.out:
            loop(size, bits, _offset(out, first), _offset(out, first), c)
        else:
            loop(size, bits, _offset(x, first), _offset(out, first), c)


@njit(inline="always")
def _selu_loop(begin: Any, end: Any, x: Any, out: Any) -> Any:
    for i in range(begin, end):
        _store(out, i, _selu(_widen(_load(x, i))))


@njit(inline="always")
def _backward_loop(begin: Any, end: Any, x: Any, grad: Any, out: Any, c: Any) -> Any:
    zero = _constant(0.0, out)
    slope, threshold = _constant(c.slope, out), _constant(c.threshold, out)
    floor, tail = _constant(c.floor, out), _constant(c.tail, out)
    for i in range(begin, end):
        z = _widen(_load(x, i))
        above = z - floor
        above += tail if above != zero else zero
        _store(out, i, (slope if z > threshold else above) * _widen(_load(grad, i)))


@njit(inline="always")
def _selu_dropout_loop(size: Any, bits: Any, x: Any, out: Any, c: Any) -> Any:
    """A dropped unit is SELU at -inf; a nan is not above the limit, and so it is kept."""
    scale, shift = _constant(c.scale, out), _constant(c.shift, out)
    low, high = _constant(-np.inf, out), _constant(np.inf, out)
    cut, halves = np.int16(c.cut), _pointer(bits, np.int16(0))
    for i in range(size):
        limit = high if _load(halves, i) > cut else low
        v = _widen(_load(x, i))
        v = limit if limit < v else v
        _store(out, i, _fma(scale, _selu(v), shift))


@njit(inline="always")
def _dropout_loop(size: Any, bits: Any, x: Any, out: Any, c: Any) -> Any:
    scale, shift = _constant(c.scale, out), _constant(c.shift, out)
    dropped, cut = _constant(c.dropped, out), np.int16(c.cut)
    halves = _pointer(bits, np.int16(0))
    for i in range(size):
        v = _widen(_load(x, i))
        kept = (_load(halves, i) > cut) | (v != v)  # noqa: PLR0124 - nan stays nan
        _store(out, i, _fma(scale, v if kept else dropped, shift))


@njit(inline="always")
def _channel_loop(size: Any, kept: Any, x: Any, out: Any, c: Any) -> Any:
    scale, shift = _constant(c.scale, out), _constant(c.shift, out)
    dropped = _constant(c.dropped, out)
    for i in range(size):
        v = _widen(_load(x, i))
        stays = kept | (v != v)  # noqa: PLR0124
        _store(out, i, _fma(scale, v if stays else dropped, shift))


# --- random bits -----------------------------------------------------------------------------


_WORD, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_MULTIPLY = tuple(np.uint64(multiplier) for multiplier in MULTIPLIERS)
_STEPS = tuple(np.uint64(step) for step in KEY_STEPS)


@njit(inline="always")
def _draw(bits: Any, seed: Any, block: Any) -> Any:
    """Philox4x32 on 64-bit lanes that hold 32-bit words: a product is one `vpmuludq`."""
    low, high = np.uint64(seed) & _WORD, np.uint64(seed) >> _HALF
    first, words = np.uint64(block) * np.uint64(COUNTERS), _pointer(bits, np.uint32(0))
    for counter in range(COUNTERS):
        a, b, c, d = (first + np.uint64(counter)) & _WORD, np.uint64(0), np.uint64(0), np.uint64(0)
        for turn in range(ROUNDS):
            key0 = (low + np.uint64(turn) * _STEPS[0]) & _WORD
            key1 = (high + np.uint64(turn) * _STEPS[1]) & _WORD
            p, q = a * _MULTIPLY[0], c * _MULTIPLY[1]
            a, b, c, d = (q >> _HALF) ^ b ^ key0, q & _WORD, (p >> _HALF) ^ d ^ key1, p & _WORD
        _store(words, counter, np.uint32(a))
        _store(words, counter + COUNTERS, np.uint32(b))
        _store(words, counter + 2 * COUNTERS, np.uint32(c))
        _store(words, counter + 3 * COUNTERS, np.uint32(d))


# --- SELU of one number: the formula of _polynomials ------------------------------------------


def _selu(x: Any) -> Any:
    """SELU of a float32 or float64: the name that Numba fills, never called by Python."""
    raise NotImplementedError(x)


@overload(_selu)
def _overload_selu(x: Any) -> Any:
    return _selu_single if x == types.float32 else _selu_double


_F, _D = (
    Formula(*(tuple(map(number, v)) if isinstance(v, tuple) else number(v) for v in formula))
    for number, formula in ((np.float32, SINGLE), (np.float64, DOUBLE))
)
_ZERO, _ONE = np.float32(0), np.float32(1)


def _selu_single(x: Any) -> Any:
    v = _F.lowest if x < _F.lowest else x
    t = _fma(v, _F.log2e, _F.offset) + _F.to_integer
    power = _power_of_two(t)
    r = _fma(t - _F.to_integer, -_F.log2, v)  # the tail of log 2 is lost in what k < 0 adds
    q = _fma(_fma(_fma(_fma(_F.q[4], r, _F.q[3]), r, _F.q[2]), r, _F.q[1]), r, _F.q[0])
    w = _fma(_F.bottom, r, r * _fma(q, r, _F.bottom_tail))
    below = _fma(-_F.bottom, _ONE - power, power * w)  # so ordered that -0 stays -0
    return _fma(x, _F.slope, x * _F.slope_tail) if x > _ZERO else below


def _selu_double(x: Any) -> Any:
    v = _D.lowest if x < _D.lowest else x
    t = _fma(v, _D.log2e, _D.offset) + _D.to_integer
    power, k = _power_of_two(t), t - _D.to_integer
    r = _fma(k, -_D.log2_tail, _fma(k, -_D.log2, v))
    q = _fma(_fma(_fma(_D.q[10], r, _D.q[9]), r, _D.q[8]), r, _D.q[7])
    q = _fma(_fma(_fma(_fma(q, r, _D.q[6]), r, _D.q[5]), r, _D.q[4]), r, _D.q[3])
    q = _fma(_fma(_fma(q, r, _D.q[2]), r, _D.q[1]), r, _D.q[0])
    w = _fma(_D.bottom, r, r * _fma(q, r, _D.bottom_tail))
    below = _fma(-_D.bottom, 1.0 - power, power * w)
    return _fma(x, _D.slope, x * _D.slope_tail) if x > 0.0 else below


# --- what Numba has no word for --------------------------------------------------------------

_I16, _I32, _FLOAT = ir.IntType(16), ir.IntType(32), ir.FloatType()


@intrinsic
def _fma(_typing: Any, a: Any, b: Any, c: Any) -> Any:
    """`a * b + c`, rounded once."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return a(a, b, c), generate


@intrinsic
def _power_of_two(_typing: Any, t: Any) -> Any:
    """`2**k` for the integer k in the low bits of `t`: the exponent is made from them."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        bits, bias, mantissa = (32, 127, 23) if t == types.float32 else (64, 1023, 52)
        integer = ir.IntType(bits)
        k, t_type = builder.bitcast(arguments[0], integer), arguments[0].type
        power = builder.shl(builder.add(k, integer(bias)), integer(mantissa))
        return builder.bitcast(power, t_type)

    return t(t), generate


@intrinsic
def _pointer(_typing: Any, address: Any, element: Any) -> Any:
    """An address as a pointer to values of the type of `element`."""
    pointer = types.CPointer(element)

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(pointer))

    return pointer(address, element), generate


@intrinsic
def _offset(_typing: Any, pointer: Any, index: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.gep(arguments[0], [arguments[1]], inbounds=True)

    return pointer(pointer, index), generate


@intrinsic
def _load(_typing: Any, pointer: Any, index: Any) -> Any:
    """`pointer[index]`, without Numba's check for indices below 0, which costs the vector code.

    There is no option to leave it out: https://github.com/numba/numba/issues/3205.
    """

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.load(builder.gep(arguments[0], [arguments[1]], inbounds=True))

    return pointer.dtype(pointer, index), generate


@intrinsic
def _store(_typing: Any, pointer: Any, index: Any, value: Any) -> Any:
    """`pointer[index] = value`, rounded to nearest, ties to even, if the elements are halves."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> None:
        target, number, stored = arguments
        if value == types.float32 and pointer.dtype == types.uint16:
            stored = _to_bfloat16(builder, stored)
        elif value == types.float32 and pointer.dtype == types.int16:
            stored = builder.bitcast(builder.fptrunc(stored, ir.HalfType()), _I16)
        builder.store(stored, builder.gep(target, [number], inbounds=True))

    return types.void(pointer, index, value), generate


def _to_bfloat16(builder: Any, value: Any) -> Any:
    bits = builder.bitcast(value, _I32)
    odd = builder.and_(builder.lshr(bits, _I32(16)), _I32(1))
    rounded = builder.add(bits, builder.add(odd, _I32(0x7FFF)))
    is_nan = builder.fcmp_unordered("uno", value, value)
    chosen = builder.select(is_nan, _I32(0x7FC00000), rounded)
    return builder.trunc(builder.lshr(chosen, _I32(16)), _I16)


@intrinsic
def _widen(_typing: Any, value: Any) -> Any:
    """An element as the float32 or float64 to compute with.

    Every loop comes by here, so here its function is told to take the widest vectors; for float16
    they are no faster forward, and slower backward.
    """
    wide = types.float32 if value in (types.uint16, types.int16) else value

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        if value != types.int16:
            set.add(builder.function.attributes, WIDEST)  # its own `add` takes enumerated ones only
        if value == types.uint16:
            high = builder.shl(builder.zext(arguments[0], _I32), _I32(16))
            return builder.bitcast(high, _FLOAT)
        if value == types.int16:
            return builder.fpext(builder.bitcast(arguments[0], ir.HalfType()), _FLOAT)
        return arguments[0]

    return wide(value), generate


@intrinsic
def _constant(_typing: Any, value: Any, pointer: Any) -> Any:
    """A float64 as the type in which elements of `pointer` are computed."""
    wide = types.float64 if pointer.dtype == types.float64 else types.float32

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return arguments[0] if wide == value else builder.fptrunc(arguments[0], _FLOAT)

    return wide(types.float64, pointer), generate


@intrinsic
def _buffer(_typing: Any) -> Any:
    """The address of room on the stack for the bits of one block."""

    def generate(_context: Any, builder: Any, _signature: Any, _arguments: Any) -> Any:
        with builder.goto_entry_block():
            room = builder.alloca(ir.ArrayType(_I16, BLOCK))
            room.align = 64
        return builder.ptrtoint(room, ir.IntType(64))

    return types.int64(), generate
