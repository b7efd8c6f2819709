"""Plain networks as programs: the forward pass of linear layers and SELUs, and the backward pass.

The forward pass fills one slab of memory with the layers' outputs, each behind the one before; SELU
in another form keeps its input there, too. The backward pass reads it and writes all gradients into
one piece of memory, in the order of the parameters.

Everything of several members lies as `(members, ...)`.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import torch

from selfnorm.ops._cpu._blas import gemm
from selfnorm.ops._cpu._context import STRIP
from selfnorm.ops._cpu._plans import BLOCKS, ELEMENTS, LOWEST_CUT, Plan, plan_of, shaped_plan
from selfnorm.ops._cpu._pool import address
from selfnorm.ops._cpu._program import FIRST, NOWHERE, Matrix, Place, Program
from selfnorm.ops._spec._philox import BLOCK, dropped_levels
from selfnorm.theory._form import SELUForm

_REMEMBERED = 1 << 7
_LINE = 64  # bytes; outputs begin at a multiple


class Layer(NamedTuple):
    """A linear layer and the SELU behind it, as far as a program depends on them."""

    inputs: int
    outputs: int
    bias: bool
    selu: bool = False
    form: SELUForm | None = None
    p: float = 0.0
    """Of the alpha dropout behind; 0 where none is drawn."""


class Shape(NamedTuple):
    """What a program is made for."""

    rows: int
    dtype: torch.dtype
    layers: tuple[Layer, ...]
    members: int = 1
    shared: bool = False
    """Whether all members read one input."""


class Forward(NamedTuple):
    """The forward pass; registers are x, slab, output, seeds, then each weight and bias."""

    program: Program
    slab: int
    """Its elements."""


class Backward(NamedTuple):
    """The backward pass.

    Registers are x, slab, output, seeds, its gradient, that of x, of the parameters, room, then
    each weight.
    """

    program: Program
    gradients: tuple[tuple[int, int], ...]
    """Of the parameters', in the order of their memory: which one's, and its elements."""
    elements: int
    """All these together."""
    room: int
    """Elements of the room that it needs while it runs."""


_X, _SLAB, _OUTPUT, _SEEDS, *_ = range(FIRST, FIRST + 4)
_GRAD, _GRAD_OF_X, _GRADIENTS, _ROOM = range(FIRST + 4, FIRST + 8)


def can_run(dtype: torch.dtype) -> bool:
    """Whether programs serve for a dtype."""
    return gemm(dtype) is not None and address("program", torch.float32) is not None


@lru_cache(_REMEMBERED)
def forward(shape: Shape, keep: bool) -> Forward | None:
    """The forward pass, which fills a slab or, if nothing is to be kept, uses two pieces by turns.

    None if a kernel cannot be had.
    """
    own = _Network(shape)
    program, slab = Program(shape.dtype, own.runs), _Slab(own, keep)
    x = own.whole(_X, 0 if shape.shared else shape.layers[0].inputs)
    for number, layer in enumerate(shape.layers):
        last = number + 1 == len(shape.layers)
        parameters = FIRST + 4 + 2 * number
        weight = Place(parameters, 0, layer.outputs * layer.inputs * own.size)
        bias = Place(parameters + 1, 0, layer.outputs * own.size)
        output = own.whole(_OUTPUT, layer.outputs) if last else slab.output(layer)
        read = slab.read(layer) if keep and layer.form is not None else output
        for one in own.each():
            into = one(read)
            if layer.bias:
                plan = plan_of("spread", 0.0, shape.dtype)
                if plan.code is None:
                    return None
                grain = max(1, ELEMENTS // layer.outputs)
                program.kernel(
                    plan,
                    (shape.rows, 0),
                    grain,
                    (one(bias), NOWHERE, into, NOWHERE),
                    inner=layer.outputs,
                )
            program.product(
                Matrix(one(weight), layer.inputs, transposed=True),
                Matrix(one(x), layer.inputs),
                Matrix(into, layer.outputs),
                (layer.outputs, shape.rows, layer.inputs),
                add=layer.bias,
            )
        if layer.selu and not own.activate(program, number, (read, NOWHERE, output)):
            return None
        x = output
    return Forward(program.finish(), slab.elements)


@lru_cache(_REMEMBERED)
def backward(shape: Shape, wanted: tuple[bool, ...]) -> Backward | None:
    """The backward pass, for the gradients wanted of x, of each weight and each bias.

    None if a kernel cannot be had.
    """
    own = _Network(shape)
    program, slab = Program(shape.dtype, own.runs), _Slab(own, True)
    kept: list[tuple[Place, Place | None]] = []
    for number, layer in enumerate(shape.layers):
        last = number + 1 == len(shape.layers)
        output = own.whole(_OUTPUT, layer.outputs) if last else slab.output(layer)
        kept.append((output, slab.read(layer) if layer.form is not None else None))
    gradients, sizes = _lie_behind(own, wanted)
    widest = max(layer.outputs for layer in shape.layers)
    room = own.padded(shape.rows * widest) * shape.members
    rooms = [own.whole(_ROOM, widest, turn * room * own.size) for turn in range(2)]
    grad = own.whole(_GRAD, shape.layers[-1].outputs)
    sums = plan_of("column_sums", 0.0, shape.dtype)
    if sums.code is None:
        return None
    first, turn = wanted.index(True), 0
    for number in range(len(shape.layers) - 1, -1, -1):
        layer = shape.layers[number]
        if layer.selu:
            into = own.narrowed(rooms[turn], layer.outputs)
            output, read = kept[number]
            if not own.activate(program, number, (read or output, grad, into), back=True):
                return None
            grad = into
        x = own.whole(_X, 0 if shape.shared else layer.inputs) if not number else kept[number - 1][0]
        weight, bias = (gradients[2 * number + at] for at in range(2))
        for one in own.each():
            if weight is not None:
                program.product(
                    Matrix(one(x), layer.inputs),
                    Matrix(one(grad), layer.outputs, transposed=True),
                    Matrix(one(weight), layer.inputs),
                    (layer.inputs, layer.outputs, shape.rows),
                )
            if bias is not None:
                strips = -(-layer.outputs // STRIP)
                program.kernel(
                    sums,
                    (strips, 0),
                    max(1, ELEMENTS // (shape.rows * STRIP)),
                    (one(grad), NOWHERE, one(bias), NOWHERE),
                    count=shape.rows,
                    inner=layer.outputs,
                )
        if first > 2 * number:
            break
        turn = 1 - turn
        back = own.narrowed(rooms[turn], layer.inputs) if number else own.whole(_GRAD_OF_X, layer.inputs)
        size = layer.outputs * layer.inputs * own.size
        for one in own.each():
            program.product(
                Matrix(one(Place(_ROOM + 1 + number, 0, size)), layer.inputs),
                Matrix(one(grad), layer.outputs),
                Matrix(one(back), layer.inputs),
                (layer.inputs, shape.rows, layer.outputs),
            )
        grad = back
    return Backward(program.finish(), tuple(sizes), sum(size for _, size in sizes), 2 * room)


def _lie_behind(
    own: "_Network", wanted: tuple[bool, ...]
) -> tuple[list[Place | None], list[tuple[int, int]]]:
    """Where each parameter's gradient goes, and which have so many elements."""
    places: list[Place | None] = []
    sizes: list[tuple[int, int]] = []
    begin = 0
    for layer in own.shape.layers:
        for size in (layer.outputs * layer.inputs, layer.outputs):
            number = len(places)
            if not wanted[1 + number]:
                places.append(None)
                continue
            places.append(Place(_GRADIENTS, begin * own.size, size * own.size))
            sizes.append((number, size * own.shape.members))
            begin += size * own.shape.members
    return places, sizes


class _Network:
    """What both passes share.

    Members are runs of a program, each on a thread. But where a member's masks begin within a block
    of random bits, the kernels must run over all members at once; then the calls stand one behind
    the other in one run.
    """

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.size = shape.dtype.itemsize
        in_blocks = all(
            not layer.p or shape.rows * layer.outputs % BLOCK == 0 for layer in shape.layers
        )
        self.runs = shape.members if in_blocks else 1
        self.drawn = [bool(layer.p) for layer in shape.layers]

    def each(self) -> Iterator["_Member"]:
        """For each member of one run, the place of its part."""
        count = self.shape.members if self.runs == 1 else 1
        for number in range(count):
            yield _Member(number, alone=self.runs == 1)

    def whole(self, register: int, width: int, offset: int = 0) -> Place:
        """All members' matrices of that width and one row for each of the input's."""
        return Place(register, offset, self.shape.rows * width * self.size)

    def narrowed(self, place: Place, width: int) -> Place:
        return place._replace(step=self.shape.rows * width * self.size)

    def padded(self, elements: int) -> int:
        """To whole lines of the cache."""
        line = _LINE // self.size
        return -(-elements // line) * line

    def activate(
        self,
        program: Program,
        number: int,
        places: tuple[Place, Place, Place],
        *,
        back: bool = False,
    ) -> bool:
        """Run SELU and its dropout, or their derivative, over all members; False if it cannot be."""
        layer, shape = self.shape.layers[number], self.shape
        plan, drops = _plan(layer, shape.dtype, back)
        if plan.code is None:
            return False
        count = shape.rows * layer.outputs
        alone = self.runs == 1
        if not drops:
            elements = count * shape.members if alone else count
            one = _Member(0, alone=alone)
            x, grad, out = map(one, places)
            program.kernel(plan, (elements, 0), ELEMENTS, (x, grad, out, NOWHERE))
            return True
        seeds = Place(_SEEDS, 8 * sum(self.drawn[:number]))
        elements = count * shape.members
        units = -(-elements // BLOCK) // self.runs if not alone else -(-elements // BLOCK)
        x, grad, out = (place._replace(step=0) for place in places)
        program.kernel(
            plan,
            (units, 0 if alone else units),
            BLOCKS,
            (x, grad, out, seeds),
            count=elements,
            inner=1,
        )
        return True


def _plan(layer: Layer, dtype: torch.dtype, back: bool) -> tuple[Plan, bool]:
    """What a SELU's kernel is told, and whether it draws."""
    end = "_backward" if back else ""
    if layer.form is not None:
        drops = dropped_levels(layer.p) > 0
        dropout = "_alpha_dropout" if drops else ""
        return shaped_plan(f"shaped_selu{dropout}{end}", layer.p, layer.form, dtype), drops
    if back:
        return plan_of("selu_backward", layer.p, dtype), False
    plan = plan_of("selu_alpha_dropout", layer.p, dtype)
    if layer.p and plan.cut >= LOWEST_CUT:
        return plan, True
    return plan_of("selu", 0.0, dtype), False


class _Member(NamedTuple):
    """Finds a member's part: by its number, or by the step of the run."""

    number: int
    alone: bool

    def __call__(self, place: Place) -> Place:
        if not self.alone:
            return place
        return Place(place.register, place.offset + self.number * place.step)


class _Slab:
    """Hands out the slab, a layer's part after the other's."""

    def __init__(self, own: _Network, keep: bool) -> None:
        self._own, self._keep = own, keep
        layers: Sequence[Layer] = own.shape.layers[:-1]
        widest = max((layer.outputs for layer in layers), default=0)
        self._part = own.padded(own.shape.rows * widest * own.shape.members)
        self._turn = 0
        self.elements = 0 if keep else 2 * self._part

    def output(self, layer: Layer) -> Place:
        """Room for a layer's output."""
        return self._take(layer)

    def read(self, layer: Layer) -> Place:
        """Room for what its SELU reads."""
        return self._take(layer)

    def _take(self, layer: Layer) -> Place:
        own = self._own
        if self._keep:
            at = self.elements
            self.elements += own.padded(own.shape.rows * layer.outputs * own.shape.members)
        else:
            at, self._turn = self._turn * self._part, 1 - self._turn
        return own.whole(_SLAB, layer.outputs, at * own.size)
