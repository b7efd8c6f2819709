"""The kernels in Triton: one read and one write an element, of contiguous memory.

Half precision is computed in float32 and rounded once. Offsets are 64 bits wide.
"""

# The parameters of a kernel and of its helpers have no types that a checker would know.
# pyright: basic, reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportCallIssue=false, reportOperatorIssue=false, reportIndexIssue=false
# pyright: reportGeneralTypeIssues=false, reportOptionalMemberAccess=false
# pyright: reportInvalidTypeForm=false

import triton
import triton.language as tl

from selfnorm._spec._philox import BLOCK, COUNTERS, KEY_STEPS, MULTIPLIERS, ROUNDS
from selfnorm.ops._gpu._formula import bend, selu_of

_BLOCK, _COUNTERS, _ROUNDS = tl.constexpr(BLOCK), tl.constexpr(COUNTERS), tl.constexpr(ROUNDS)
_RUN = tl.constexpr(2 * COUNTERS)  # neighbors whose bits come from the same word
_MULTIPLY_0, _MULTIPLY_1 = (tl.constexpr(m) for m in MULTIPLIERS)
_STEP_0, _STEP_1 = (tl.constexpr(step) for step in KEY_STEPS)


def _kernel(function):
    """Compiled once for each dtype: no number that is passed makes a variant of its own."""
    numbers = [name for name, kind in function.__annotations__.items() if kind == tl.int64]
    return triton.jit(do_not_specialize=numbers)(function)


@_kernel
def selu(out, x, count: tl.int64, SIZE: tl.constexpr):
    """SELU of `SIZE` elements a program."""
    first = tl.program_id(0).to(tl.int64) * SIZE
    if first + SIZE <= count:
        _selu_program(out, x, first, count, SIZE, WHOLE=True)
    else:
        _selu_program(out, x, first, count, SIZE, WHOLE=False)


@triton.jit
def _selu_program(out, x, first, count, SIZE: tl.constexpr, WHOLE: tl.constexpr):
    at = first + tl.arange(0, SIZE)
    _store(out + at, selu_of(_load(x + at, at < count, WHOLE)), at < count, WHOLE)


@_kernel
def selu_backward(
    out,
    output,
    grad,
    count: tl.int64,
    slope: tl.int64,
    threshold: tl.int64,
    floor: tl.int64,
    tail: tl.int64,
    SIZE: tl.constexpr,
):
    """The gradient from the output."""
    first = tl.program_id(0).to(tl.int64) * SIZE
    numbers = slope, threshold, floor, tail
    if first + SIZE <= count:
        _backward_program(out, output, grad, first, count, numbers, SIZE, WHOLE=True)
    else:
        _backward_program(out, output, grad, first, count, numbers, SIZE, WHOLE=False)


@triton.jit
def _backward_program(
    out, output, grad, first, count, numbers, SIZE: tl.constexpr, WHOLE: tl.constexpr
):
    at = first + tl.arange(0, SIZE)
    z = _load(output + at, at < count, WHOLE)
    above = z - _number(numbers[2], z.dtype)
    above = tl.where(above != 0, above + _number(numbers[3], z.dtype), above)
    positive = z > _number(numbers[1], z.dtype)
    factor = tl.where(positive, _number(numbers[0], z.dtype), above)
    _store(out + at, factor * _load(grad + at, at < count, WHOLE), at < count, WHOLE)


@_kernel
def selu_backward_from_input(out, x, grad, count: tl.int64, slope: tl.int64, SIZE: tl.constexpr):
    """The gradient from the input."""
    first = tl.program_id(0).to(tl.int64) * SIZE
    if first + SIZE <= count:
        _from_input_program(out, x, grad, first, count, slope, SIZE, WHOLE=True)
    else:
        _from_input_program(out, x, grad, first, count, slope, SIZE, WHOLE=False)


@triton.jit
def _from_input_program(out, x, grad, first, count, slope, SIZE: tl.constexpr, WHOLE: tl.constexpr):
    at = first + tl.arange(0, SIZE)
    v = _load(x + at, at < count, WHOLE)
    factor = tl.where(v > 0, _number(slope, v.dtype), bend(v))
    _store(out + at, factor * _load(grad + at, at < count, WHOLE), at < count, WHOLE)


@_kernel
def by_blocks(
    out,
    x,
    seeds,
    count: tl.int64,
    blocks: tl.int64,
    units: tl.int64,
    cut: tl.int64,
    scale: tl.int64,
    shift: tl.int64,
    dropped: tl.int64,
    SELU: tl.constexpr,
    ONE: tl.constexpr,
    EVEN: tl.constexpr,
    BLOCKS: tl.constexpr,
):
    """Alpha dropout, after SELU or alone; a unit is one of the `blocks` of one seed's elements."""
    if EVEN:  # the same number, as one that the compiler knows to be even
        count = count // 16 * 16
    first = tl.program_id(0).to(tl.int64) * BLOCKS
    sizes, numbers = (count, blocks, units), (cut, scale, shift, dropped)
    if ONE and (first + BLOCKS) * _BLOCK <= count:
        _blocks_program(out, x, seeds, first, sizes, numbers, SELU, ONE, BLOCKS, WHOLE=True)
    else:
        _blocks_program(out, x, seeds, first, sizes, numbers, SELU, ONE, BLOCKS, WHOLE=False)


@triton.jit
def _blocks_program(
    out,
    x,
    seeds,
    first,
    sizes,
    numbers,
    SELU: tl.constexpr,
    ONE: tl.constexpr,
    BLOCKS: tl.constexpr,
    WHOLE: tl.constexpr,
):
    """Each counter is computed once, by one lane; its four words serve four runs of elements."""
    count, blocks, units = sizes
    lane = tl.arange(0, BLOCKS * _COUNTERS)
    unit = first + lane // _COUNTERS
    sample, block, seed = _place(unit, blocks, units, seeds, ONE)
    words = _philox(seed, block * _COUNTERS + lane % _COUNTERS)

    element = tl.arange(0, BLOCKS * _RUN)
    unit = first + element // _RUN
    sample, block, _ = _place(unit, blocks, units, seeds, ONE)
    for word in tl.static_range(4):
        bits = words[word].to(tl.int32, bitcast=True)
        half = tl.interleave((bits << 16) >> 16, bits >> 16)
        position = block * _BLOCK + word * _RUN + element % _RUN
        inside = (position < count) & (unit < units)
        at = sample * count + position
        v = _load(x + at, inside, WHOLE)
        u = selu_of(v) if SELU else v
        _store(out + at, _drop(v, u, half, numbers), inside, WHOLE)


@_kernel
def shaped(
    out,
    x,
    grad,
    seeds,
    count: tl.int64,
    blocks: tl.int64,
    units: tl.int64,
    cut: tl.int64,
    linear: tl.int64,
    scale: tl.int64,
    shift: tl.int64,
    dropped: tl.int64,
    slope: tl.int64,
    BACKWARD: tl.constexpr,
    DROP: tl.constexpr,
    ONE: tl.constexpr,
    EVEN: tl.constexpr,
    BLOCKS: tl.constexpr,
):
    """SELU in another form, with alpha dropout or without; or the gradient of that."""
    if EVEN:
        count = count // 16 * 16
    first = tl.program_id(0).to(tl.int64) * BLOCKS
    tensors, sizes = (out, x, grad, seeds), (count, blocks, units)
    numbers = cut, linear, scale, shift, dropped, slope
    if ONE and (first + BLOCKS) * _BLOCK <= count:
        _shaped_program(tensors, first, sizes, numbers, BACKWARD, DROP, ONE, BLOCKS, WHOLE=True)
    else:
        _shaped_program(tensors, first, sizes, numbers, BACKWARD, DROP, ONE, BLOCKS, WHOLE=False)


@triton.jit
def _shaped_program(
    tensors,
    first,
    sizes,
    numbers,
    BACKWARD: tl.constexpr,
    DROP: tl.constexpr,
    ONE: tl.constexpr,
    BLOCKS: tl.constexpr,
    WHOLE: tl.constexpr,
):
    out, x, grad, seeds = tensors
    count, blocks, units = sizes
    if DROP:
        lane = tl.arange(0, BLOCKS * _COUNTERS)
        sample, block, seed = _place(first + lane // _COUNTERS, blocks, units, seeds, ONE)
        words = _philox(seed, block * _COUNTERS + lane % _COUNTERS)
    element = tl.arange(0, BLOCKS * _RUN)
    unit = first + element // _RUN
    sample = tl.zeros_like(unit) if ONE else unit // blocks
    block = unit if ONE else unit % blocks
    for word in tl.static_range(4):
        position = block * _BLOCK + word * _RUN + element % _RUN
        inside = (position < count) & (unit < units)
        at = sample * count + position
        v = _load(x + at, inside, WHOLE)
        result = _incline(v, numbers) if BACKWARD else _shape(v, numbers)
        if DROP:
            bits = words[word].to(tl.int32, bitcast=True)
            half = tl.interleave((bits << 16) >> 16, bits >> 16)
            kept = (half > numbers[0].to(tl.int32)) | (v != v)  # noqa: PLR0124
            result = tl.where(kept, result, 0.0 if BACKWARD else _number(numbers[4], v.dtype))
        if BACKWARD:
            result *= _load(grad + at, inside, WHOLE)
        _store(out + at, result, inside, WHOLE)


@triton.jit
def _shape(v, numbers):
    """A form of SELU; without a line, 0 times infinity would be nan."""
    linear, scale, shift = _full(v, numbers[1]), _full(v, numbers[2]), _full(v, numbers[3])
    line = tl.where(linear != 0, linear * v, -0.0) + shift
    below = tl.fma(scale, selu_of(v), line)
    return tl.where(v > 0, tl.fma(_full(v, numbers[5]), v, shift), below)


@triton.jit
def _incline(v, numbers):
    """Its slope."""
    below = tl.fma(_full(v, numbers[2]), bend(v), _full(v, numbers[1]))
    return tl.where(v > 0, _full(v, numbers[5]), below)


@triton.jit
def _full(v, bits):
    """A number that came as its bits, as many times as `v` has elements."""
    return tl.broadcast_to(_number(bits, v.dtype), v.shape)


@_kernel
def by_channels(
    out,
    x,
    seeds,
    count: tl.int64,
    channels: tl.int64,
    inner: tl.int64,
    across: tl.int64,
    cut: tl.int64,
    scale: tl.int64,
    shift: tl.int64,
    dropped: tl.int64,
    EVEN: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Alpha dropout of channels of `inner` elements, `count` channels to a seed.

    It takes `across` programs to cover a channel; all lie on one axis of the grid, as a second one
    is limited to 65,535.
    """
    if EVEN:
        inner = inner // 16 * 16
    program = tl.program_id(0).to(tl.int64)
    channel = program // across * ROWS + tl.arange(0, ROWS)
    sample, position = channel // count, channel % count
    there = channel < channels
    seed = tl.load(seeds + sample, mask=there, other=0)
    words = _philox(seed, position // _BLOCK * _COUNTERS + position % _RUN // 2)
    word = position % _BLOCK // _RUN
    bits = tl.where(word == 0, words[0], tl.where(word == 1, words[1], words[2]))
    bits = tl.where(word == 3, words[3], bits).to(tl.int32, bitcast=True)
    half = tl.where(position % 2 == 0, bits << 16, bits) >> 16

    column = program % across * COLUMNS + tl.arange(0, COLUMNS)
    at = channel[:, None] * inner + column[None, :]
    inside = there[:, None] & (column < inner)[None, :]
    v = _load(x + at, inside, WHOLE=False)
    numbers = cut, scale, shift, dropped
    _store(out + at, _drop(v, v, half[:, None], numbers), inside, WHOLE=False)


@triton.jit
def _place(unit, blocks, units, seeds, ONE: tl.constexpr):
    """The sample and the block of a unit, and the seed of the sample."""
    if ONE:
        return tl.zeros_like(unit), unit, tl.load(seeds) + tl.zeros_like(unit)
    sample = unit // blocks
    return sample, unit % blocks, tl.load(seeds + sample, mask=unit < units, other=0)


@triton.jit
def _philox(seed, counter):
    """The four words of each counter, as `_random.philox` has them."""
    key0, key1 = seed.to(tl.uint32), (seed >> 32).to(tl.uint32)
    a = counter.to(tl.uint32)
    b, c, d = tl.zeros_like(a), tl.zeros_like(a), tl.zeros_like(a)
    first = tl.full([1], _MULTIPLY_0, tl.uint32)
    second = tl.full([1], _MULTIPLY_1, tl.uint32)
    for _ in tl.static_range(_ROUNDS):
        low0, low1 = a * first, c * second
        high0, high1 = tl.umulhi(a, first), tl.umulhi(c, second)
        a, b, c, d = high1 ^ b ^ key0, low1, high0 ^ d ^ key1, low0
        key0 += tl.full([1], _STEP_0, tl.uint32)
        key1 += tl.full([1], _STEP_1, tl.uint32)
    return a, b, c, d


@triton.jit
def _drop(v, u, half, numbers):
    """`scale * (u, or dropped) + shift`; where `v` is nan, `u` is, and stays."""
    cut, scale, shift, dropped = numbers
    kept = (half > cut.to(tl.int32)) | (v != v)  # noqa: PLR0124
    u = tl.where(kept, u, _number(dropped, u.dtype))
    scale, shift = _number(scale, u.dtype), _number(shift, u.dtype)
    return tl.fma(tl.broadcast_to(scale, u.shape), u, tl.broadcast_to(shift, u.shape))


@triton.jit
def _number(bits, dtype):
    """A float64 that came as its bits, as Triton takes Python's numbers for float32."""
    return bits.to(tl.int64).to(tl.float64, bitcast=True).to(dtype)


@triton.jit
def _load(pointer, inside, WHOLE: tl.constexpr):
    """In float32 or wider. A mask would make accesses narrow, so a `WHOLE` program has none."""
    v = tl.load(pointer) if WHOLE else tl.load(pointer, mask=inside)
    return v if v.dtype == tl.float64 else v.to(tl.float32)


@triton.jit
def _store(pointer, value, inside, WHOLE: tl.constexpr):
    """Rounded to nearest, ties to even, if the elements are halves."""
    element = pointer.dtype.element_ty
    if element.primitive_bitwidth < 32:
        value = value.to(element, fp_downcast_rounding="rtne")
    if WHOLE:
        tl.store(pointer, value)
    else:
        tl.store(pointer, value, mask=inside)
