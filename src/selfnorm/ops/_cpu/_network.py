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

from selfnorm._spec._philox import BLOCK, dropped_levels
from selfnorm.ops._cpu._blas import gemm
from selfnorm.ops._cpu._context import STRIP
from selfnorm.ops._cpu._plans import BLOCKS, ELEMENTS, LOWEST_CUT, Plan, plan_of, shaped_plan
from selfnorm.ops._cpu._pool import address, why_not
from selfnorm.ops._cpu._program import FIRST, NOWHERE, Matrix, Place, Program
from selfnorm.theory._form import SELUForm

_REMEMBERED = 1 << 6
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
    before: int = 0
    """Members whose masks come before these ones'."""


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


def can_run(dtype: torch.dtype, layers: Sequence[Layer]) -> bool:
    """Whether all that programs for these layers call can be had."""
    if why_not() is not None or gemm(dtype) is None or address("program", torch.float32) is None:
        return False
    plans = [plan_of(name, 0.0, dtype) for name in ("spread", "column_sums")]
    for layer in layers:
        if layer.selu:
            plans += [_plan(layer, dtype, back)[0] for back in (False, True)]
    return all(plan.code is not None for plan in plans)


@lru_cache(_REMEMBERED)
def forward(shape: Shape, keep: bool) -> Forward:
    """The forward pass, which fills a slab or, if nothing is to be kept, uses two pieces by turns.

    `can_run` has said that it can be had, as of the backward pass.
    """
    own = _Network(shape)
    slab = _Slab(own, keep)
    x = own.input_of(shape.layers[0])
    for number, layer in enumerate(shape.layers):
        last = number + 1 == len(shape.layers)
        output = own.whole(_OUTPUT, layer.outputs) if last else slab.take(layer)
        read = slab.take(layer) if keep and layer.form is not None else output
        own.multiply(number, FIRST + 4 + 2 * number, x, read)
        if layer.selu:
            own.activate(number, (read, NOWHERE, output))
        x = output
    return Forward(own.program.finish(), slab.elements)


@lru_cache(_REMEMBERED)
def backward(shape: Shape, wanted: tuple[bool, ...]) -> Backward:
    """The backward pass, for the gradients wanted of x, of each weight and each bias."""
    own, layers = _Network(shape), shape.layers
    slab = _Slab(own, keep=True)
    inputs, reads = [own.input_of(layers[0])], list[Place | None]()
    for number, layer in enumerate(layers):
        last = number + 1 == len(layers)
        inputs.append(own.whole(_OUTPUT, layer.outputs) if last else slab.take(layer))
        reads.append(slab.take(layer) if layer.form is not None else None)
    gradients, sizes = _lie_behind(own, wanted)
    widest = max(layer.outputs for layer in layers)
    room = own.front + own.padded(shape.rows * widest * shape.members)
    turn, first, grad = 0, wanted.index(True), own.whole(_GRAD, layers[-1].outputs)
    for number in range(len(layers) - 1, -1, -1):
        layer = layers[number]
        if layer.selu:
            into = own.whole(_ROOM, layer.outputs, turn * room + own.front)
            own.activate(number, (reads[number] or inputs[number + 1], grad, into), back=True)
            grad = into
        own.differentiate(number, inputs[number], grad, gradients[2 * number : 2 * number + 2])
        if first > 2 * number:
            break
        turn = 1 - turn
        of_x = own.whole(
            *(
                (_ROOM, layer.inputs, turn * room + own.front)
                if number
                else (_GRAD_OF_X, layer.inputs)
            )
        )
        own.multiply_back(number, _ROOM + 1 + number, grad, of_x)
        grad = of_x
    program = own.program.finish()
    return Backward(program, tuple(sizes), sum(size for _, size in sizes), 2 * room)


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
    """What both passes are written with.

    Members are runs of a program, each on a thread. But where a member's masks begin within a block
    of random bits, the kernels must run over all members at once; then the calls stand one behind
    the other in one run.
    """

    def __init__(self, shape: Shape) -> None:
        self.shape, self.size = shape, shape.dtype.itemsize
        in_blocks = all(
            not layer.p or shape.rows * layer.outputs % BLOCK == 0 for layer in shape.layers
        )
        self._runs = shape.members if in_blocks else 1
        # Masks that begin within a block: what it holds before them is written, too.
        self.front = 0 if in_blocks or not shape.before else BLOCK
        self.program = Program(shape.dtype, self._runs)

    def whole(self, register: int, width: int, offset: int = 0) -> Place:
        """All members' matrices of that width, so many elements behind a register."""
        return Place(register, offset * self.size, self.shape.rows * width * self.size)

    def input_of(self, layer: Layer) -> Place:
        """The network's input."""
        return self.whole(_X, 0 if self.shape.shared else layer.inputs)

    def padded(self, elements: int) -> int:
        """To whole lines of the cache."""
        line = _LINE // self.size
        return -(-elements // line) * line

    def _each(self) -> Iterator["_Member"]:
        """For each member of one run, what finds its part."""
        count = self.shape.members if self._runs == 1 else 1
        for number in range(count):
            yield _Member(number, alone=self._runs == 1)

    def multiply(self, number: int, register: int, x: Place, out: Place) -> None:
        """A layer's product, and its bias, of which the register behind the weight's is."""
        layer, rows = self.shape.layers[number], self.shape.rows
        weight = Place(register, 0, layer.outputs * layer.inputs * self.size)
        bias = Place(register + 1, 0, layer.outputs * self.size)
        for one in self._each():
            if layer.bias:
                self.program.kernel(
                    plan_of("spread", 0.0, self.shape.dtype),
                    (rows, 0),
                    max(1, ELEMENTS // layer.outputs),
                    (one(bias), NOWHERE, one(out), NOWHERE),
                    inner=layer.outputs,
                )
            self.program.product(
                Matrix(one(weight), layer.inputs, transposed=True),
                Matrix(one(x), layer.inputs),
                Matrix(one(out), layer.outputs),
                (layer.outputs, rows, layer.inputs),
                add=layer.bias,
            )

    def multiply_back(self, number: int, register: int, grad: Place, out: Place) -> None:
        """The gradient of a layer's input."""
        layer = self.shape.layers[number]
        weight = Place(register, 0, layer.outputs * layer.inputs * self.size)
        for one in self._each():
            self.program.product(
                Matrix(one(weight), layer.inputs),
                Matrix(one(grad), layer.outputs),
                Matrix(one(out), layer.inputs),
                (layer.inputs, self.shape.rows, layer.outputs),
            )

    def differentiate(
        self, number: int, x: Place, grad: Place, gradients: Sequence[Place | None]
    ) -> None:
        """The gradients of a layer's weight and bias, of those that have a place."""
        layer, rows = self.shape.layers[number], self.shape.rows
        weight, bias = gradients
        for one in self._each():
            if weight is not None:
                self.program.product(
                    Matrix(one(x), layer.inputs),
                    Matrix(one(grad), layer.outputs, transposed=True),
                    Matrix(one(weight), layer.inputs),
                    (layer.inputs, layer.outputs, rows),
                )
            if bias is not None:
                self.program.kernel(
                    plan_of("column_sums", 0.0, self.shape.dtype),
                    (-(-layer.outputs // STRIP), 0),
                    max(1, ELEMENTS // (rows * STRIP)),
                    (one(grad), NOWHERE, one(bias), NOWHERE),
                    count=rows,
                    inner=layer.outputs,
                )

    def activate(
        self, number: int, places: tuple[Place, Place, Place], *, back: bool = False
    ) -> None:
        """SELU and its dropout, or their derivative, of all members."""
        layer, shape = self.shape.layers[number], self.shape
        plan, drops = _plan(layer, shape.dtype, back)
        count, alone = shape.rows * layer.outputs, self._runs == 1
        elements = count * shape.members
        if not drops:
            x, grad, out = map(_Member(0, alone=alone), places)
            units = elements if alone else count
            self.program.kernel(plan, (units, 0), ELEMENTS, (x, grad, out, NOWHERE))
            return
        # A mask goes by the position among all members' elements, those before as well, so each
        # has its blocks. Places are those that the first of all would have.
        skipped = shape.before * count
        first, elements = skipped // BLOCK, skipped + elements
        blocks = (-(-elements // BLOCK) - first) // self._runs
        x, grad, out = (
            place if place == NOWHERE else Place(place.register, place.offset - skipped * self.size)
            for place in places
        )
        drawn = sum(bool(before.p) for before in shape.layers[:number])
        self.program.kernel(
            plan,
            (blocks, 0 if alone else blocks),
            BLOCKS,
            (x, grad, out, Place(_SEEDS, 8 * drawn)),
            count=elements,
            inner=1,
            begin=first,
        )


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
    """Hands out the slab, a layer's part after the other's, or two parts by turns."""

    def __init__(self, own: _Network, keep: bool) -> None:
        self._own, self._keep = own, keep
        layers = own.shape.layers[:-1]
        self._part = own.front + max((self._size(layer) for layer in layers), default=0)
        self._turn = 0
        self.elements = 0 if keep else 2 * self._part

    def take(self, layer: Layer) -> Place:
        """Room for what a layer gives."""
        if self._keep:
            at = self.elements
            self.elements += self._own.front + self._size(layer)
        else:
            at, self._turn = self._turn * self._part, 1 - self._turn
        return self._own.whole(_SLAB, layer.outputs, at + self._own.front)

    def _size(self, layer: Layer) -> int:
        shape = self._own.shape
        return self._own.padded(shape.rows * layer.outputs * shape.members)
