"""The kernels in Triton: one read and one write an element, of contiguous memory.

SELU is computed step by step as on CPU, so that both give the same bits. Half precision is
computed in float32 and rounded once. Offsets are 64 bits wide.
"""

# The parameters of a kernel and of its helpers have no types that a checker would know.
# pyright: basic, reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportCallIssue=false, reportOperatorIssue=false, reportIndexIssue=false
# pyright: reportGeneralTypeIssues=false, reportOptionalMemberAccess=false

import triton
import triton.language as tl

from selfnorm.ops._polynomials import DOUBLE, SINGLE
from selfnorm.ops._random import BLOCK, COUNTERS, KEY_STEPS, MULTIPLIERS, ROUNDS

_BLOCK, _COUNTERS, _ROUNDS = tl.constexpr(BLOCK), tl.constexpr(COUNTERS), tl.constexpr(ROUNDS)
_RUN = tl.constexpr(2 * COUNTERS)  # neighbors whose bits come from the same word
_MULTIPLY_0, _MULTIPLY_1 = (tl.constexpr(m) for m in MULTIPLIERS)
_STEP_0, _STEP_1 = (tl.constexpr(step) for step in KEY_STEPS)
_F, _D = (tuple(tl.constexpr(value) for value in formula[1:]) for formula in (SINGLE, DOUBLE))
_BOTTOM_F, _BOTTOM_TAIL_F, _SLOPE_F, _SLOPE_TAIL_F, _LOG2E_F, _OFFSET_F = _F[:6]
_TO_INTEGER_F, _LOG2_F, _, _LOWEST_F = _F[6:]
_BOTTOM_D, _BOTTOM_TAIL_D, _SLOPE_D, _SLOPE_TAIL_D, _LOG2E_D, _OFFSET_D = _D[:6]
_TO_INTEGER_D, _LOG2_D, _LOG2_TAIL_D, _LOWEST_D = _D[6:]
_Q_F, _Q_D = tl.constexpr(SINGLE.q), tl.constexpr(DOUBLE.q)
_Q_F_LAST, _Q_D_LAST = tl.constexpr(len(SINGLE.q) - 1), tl.constexpr(len(DOUBLE.q) - 1)


@triton.jit
def selu(out, x, count, SIZE: tl.constexpr):
    """SELU of `SIZE` elements a program."""
    at = tl.program_id(0).to(tl.int64) * SIZE + tl.arange(0, SIZE)
    inside = at < count
    _store(out + at, _selu(_wide(tl.load(x + at, mask=inside))), inside)


@triton.jit(do_not_specialize=["slope", "threshold", "floor", "tail"])
def selu_backward(
    out,
    output,
    grad,
    count,
    slope: tl.int64,
    threshold: tl.int64,
    floor: tl.int64,
    tail: tl.int64,
    SIZE: tl.constexpr,
):
    """The gradient from the output."""
    at = tl.program_id(0).to(tl.int64) * SIZE + tl.arange(0, SIZE)
    inside = at < count
    z = _wide(tl.load(output + at, mask=inside))
    above = z - _number(floor, z.dtype)
    above = tl.where(above != 0, above + _number(tail, z.dtype), above)
    factor = tl.where(z > _number(threshold, z.dtype), _number(slope, z.dtype), above)
    result = factor * _wide(tl.load(grad + at, mask=inside))
    _store(out + at, result, inside)


@triton.jit(do_not_specialize=["cut", "scale", "shift", "dropped"])
def by_blocks(
    out,
    x,
    seeds,
    count,
    blocks,
    units,
    cut,
    scale: tl.int64,
    shift: tl.int64,
    dropped: tl.int64,
    SELU: tl.constexpr,
    ONE: tl.constexpr,
    BLOCKS: tl.constexpr,
):
    """Alpha dropout, after SELU or alone; a unit is one of the `blocks` of one seed's elements.

    Each counter is computed once, by one lane, and its four words serve four runs of elements.
    """
    lane = tl.arange(0, BLOCKS * _COUNTERS)
    unit = tl.program_id(0).to(tl.int64) * BLOCKS + lane // _COUNTERS
    sample, block, seed = _place(unit, blocks, units, seeds, ONE)
    words = _philox(seed, block * _COUNTERS + lane % _COUNTERS)

    element = tl.arange(0, BLOCKS * _RUN)
    unit = tl.program_id(0).to(tl.int64) * BLOCKS + element // _RUN
    sample, block, _ = _place(unit, blocks, units, seeds, ONE)
    for word in tl.static_range(4):
        bits = words[word].to(tl.int32, bitcast=True)
        half = tl.interleave((bits << 16) >> 16, bits >> 16)
        position = block * _BLOCK + word * _RUN + element % _RUN
        inside = (position < count) & (unit < units)
        at = sample * count + position
        v = _wide(tl.load(x + at, mask=inside))
        u = _selu(v) if SELU else v
        _store(out + at, _drop(v, u, half > cut, scale, shift, dropped), inside)


@triton.jit(do_not_specialize=["cut", "scale", "shift", "dropped"])
def by_channels(
    out,
    x,
    seeds,
    count,
    channels,
    inner,
    across,
    cut,
    scale: tl.int64,
    shift: tl.int64,
    dropped: tl.int64,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Alpha dropout of channels of `inner` elements, `count` channels to a seed.

    It takes `across` programs to cover a channel; all lie on one axis of the grid, as a second one
    is limited to 65,535.
    """
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
    v = _wide(tl.load(x + at, mask=inside))
    _store(out + at, _drop(v, v, (half > cut)[:, None], scale, shift, dropped), inside)


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
def _drop(v, u, kept, scale, shift, dropped):
    """`scale * (u, or dropped) + shift`; where `v` is nan, `u` is, and stays."""
    u = tl.where(kept | (v != v), u, _number(dropped, u.dtype))  # noqa: PLR0124
    scale, shift = _number(scale, u.dtype), _number(shift, u.dtype)
    return tl.fma(tl.broadcast_to(scale, u.shape), u, tl.broadcast_to(shift, u.shape))


@triton.jit
def _number(bits, dtype):
    """A float64 that came as its bits, as Triton takes Python's numbers for float32."""
    return bits.to(tl.int64).to(tl.float64, bitcast=True).to(dtype)


@triton.jit
def _wide(v):
    return v if v.dtype == tl.float64 else v.to(tl.float32)


@triton.jit
def _store(pointer, value, inside):
    """Rounded to nearest, ties to even, if the elements are halves."""
    element = pointer.dtype.element_ty
    if element.primitive_bitwidth < 32:
        value = value.to(element, fp_downcast_rounding="rtne")
    tl.store(pointer, value, mask=inside)


@triton.jit
def _selu(x):
    return _selu_double(x) if x.dtype == tl.float64 else _selu_single(x)


@triton.jit
def _selu_single(x):
    v = tl.where(x < _LOWEST_F, _LOWEST_F, x)
    t = _fma(v, _LOG2E_F, _OFFSET_F) + _TO_INTEGER_F
    power = ((t.to(tl.int32, bitcast=True) + 127) << 23).to(tl.float32, bitcast=True)
    r = _fma(t - _TO_INTEGER_F, -_LOG2_F, v)
    q = tl.full(x.shape, _Q_F[_Q_F_LAST], tl.float32)
    for i in tl.static_range(1, _Q_F_LAST + 1):
        q = _fma(q, r, _Q_F[_Q_F_LAST - i])
    w = _fma(r, _BOTTOM_F, r * _fma(q, r, _BOTTOM_TAIL_F))
    below = _fma(1.0 - power, -_BOTTOM_F, power * w)
    return tl.where(x > 0, _fma(x, _SLOPE_F, x * _SLOPE_TAIL_F), below)


@triton.jit
def _selu_double(x):
    v = tl.where(x < _LOWEST_D, tl.full(x.shape, _LOWEST_D, tl.float64), x)
    t = _fma(v, _LOG2E_D, _OFFSET_D) + tl.full(x.shape, _TO_INTEGER_D, tl.float64)
    power = ((t.to(tl.int64, bitcast=True) + 1023) << 52).to(tl.float64, bitcast=True)
    k = t - tl.full(x.shape, _TO_INTEGER_D, tl.float64)
    r = _fma(k, -_LOG2_TAIL_D, _fma(k, -_LOG2_D, v))
    q = tl.full(x.shape, _Q_D[_Q_D_LAST], tl.float64)
    for i in tl.static_range(1, _Q_D_LAST + 1):
        q = _fma(q, r, _Q_D[_Q_D_LAST - i])
    w = _fma(r, _BOTTOM_D, r * _fma(q, r, _BOTTOM_TAIL_D))
    below = _fma(1.0 - power, -_BOTTOM_D, power * w)
    slope_tail = tl.full(x.shape, _SLOPE_TAIL_D, tl.float64)
    return tl.where(x > 0, _fma(x, _SLOPE_D, x * slope_tail), below)


@triton.jit
def _fma(a, b, c):
    """`a * b + c`, rounded once; `b` or `c` may be a constant, and has the type of `a` then."""
    b = b if isinstance(b, tl.tensor) else tl.full(a.shape, b, a.dtype)
    c = c if isinstance(c, tl.tensor) else tl.full(a.shape, c, a.dtype)
    return tl.fma(a, b, c)
