"""What Numba has no word for: fused products, pointers from addresses, half precision.

Numba fills in the first argument of an intrinsic.
"""

# pyright: reportCallIssue=false, reportArgumentType=false, reportUntypedFunctionDecorator=false

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from selfnorm._spec._philox import BLOCK

# On Intel LLVM prefers half of AVX-512's width, which costs the kernels up to 40 %; processors
# without it take no notice. A function says so itself, as Clang's `-mprefer-vector-width` has it
# (https://clang.llvm.org/docs/ClangCommandLineReference.html); Numba has no word for that.
WIDEST = '"prefer-vector-width"="512"'
_I16, _I32, _FLOAT = ir.IntType(16), ir.IntType(32), ir.FloatType()


@intrinsic
def fma(_typing: Any, a: Any, b: Any, c: Any) -> Any:
    """`a * b + c`, rounded once."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return a(a, b, c), generate


@intrinsic
def power_of_two(_typing: Any, t: Any) -> Any:
    """`2**k` for the integer k in the low bits of `t`: the exponent is made from them."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        bits, bias, mantissa = (32, 127, 23) if t == types.float32 else (64, 1023, 52)
        integer = ir.IntType(bits)
        k, t_type = builder.bitcast(arguments[0], integer), arguments[0].type
        power = builder.shl(builder.add(k, integer(bias)), integer(mantissa))
        return builder.bitcast(power, t_type)

    return t(t), generate


@intrinsic
def pointer(_typing: Any, address: Any, element: Any) -> Any:
    """An address as a pointer to values of the type of `element`."""
    pointer = types.CPointer(element)

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(pointer))

    return pointer(address, element), generate


@intrinsic
def offset(_typing: Any, pointer: Any, index: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.gep(arguments[0], [arguments[1]], inbounds=True)

    return pointer(pointer, index), generate


@intrinsic
def load(_typing: Any, pointer: Any, index: Any) -> Any:
    """`pointer[index]`, without Numba's check for indices below 0, which costs the vector code.

    There is no option to leave it out: https://github.com/numba/numba/issues/3205.
    """

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.load(builder.gep(arguments[0], [arguments[1]], inbounds=True))

    return pointer.dtype(pointer, index), generate


@intrinsic
def store(_typing: Any, pointer: Any, index: Any, value: Any) -> Any:
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
def widen(_typing: Any, value: Any) -> Any:
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
def constant(_typing: Any, value: Any, pointer: Any) -> Any:
    """A float64 as the type in which elements of `pointer` are computed."""
    wide = types.float64 if pointer.dtype == types.float64 else types.float32

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return arguments[0] if wide == value else builder.fptrunc(arguments[0], _FLOAT)

    return wide(types.float64, pointer), generate


@intrinsic
def buffer(_typing: Any) -> Any:
    """The address of room on the stack for the bits of one block."""

    def generate(_context: Any, builder: Any, _signature: Any, _arguments: Any) -> Any:
        with builder.goto_entry_block():
            room = builder.alloca(ir.ArrayType(_I16, BLOCK))
            room.align = 64
        return builder.ptrtoint(room, ir.IntType(64))

    return types.int64(), generate


def _caller(count: int) -> Any:
    """Call a C function of so many integers or pointers: `words` hold its address, then these."""

    @intrinsic
    def call(_typing: Any, words: Any) -> Any:
        def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> None:
            integer, (first,) = ir.IntType(64), arguments
            place = [builder.gep(first, [integer(at)], inbounds=True) for at in range(count + 1)]
            address, *values = [builder.load(one) for one in place]
            kind = ir.FunctionType(ir.VoidType(), [integer] * count)
            builder.call(builder.inttoptr(address, kind.as_pointer()), values)

        return types.void(words), generate

    return call


call5, call13 = _caller(5), _caller(13)
