"""Linear layers and SELUs, one behind the other, as one node of autograd's graph.

Layer by layer each call makes a node, keeps tensors, and is called back, which small layers feel.
Here each pass is one program (`_cpu._network`). The forward pass has the bits of the layers one by
one and keeps each layer's output, from which the backward pass follows (`_autograd`); SELU in
another form keeps its input too.

Where something listens, or a derivative of the derivative is wanted, the layers are run one by one.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional
from torch.overrides import has_torch_function

from selfnorm import _torch_private
from selfnorm._spec import _philox
from selfnorm.ops import _direct, _random
from selfnorm.ops._cpu import _network
from selfnorm.ops._cpu._network import Layer, Shape
from selfnorm.ops._library import OPS
from selfnorm.theory._form import SELUForm

_TENSORS = (Tensor, torch.nn.Parameter)
_DTYPES = (torch.float32, torch.float64)
_REMEMBERED = 1 << 6


class Activation(NamedTuple):
    """SELU and alpha dropout behind a linear layer."""

    form: SELUForm | None = None
    """Another form of SELU; None for SELU itself."""
    p: float = 0.0
    """Probability that a unit is dropped in this call."""
    generator: torch.Generator | None = None
    before: int = 0
    """Members, of more than these, whose masks come before."""


class Link(NamedTuple):
    """A linear layer, and the SELU behind it."""

    weight: Tensor
    """`(outputs, inputs)`, or `(members, outputs, inputs)`."""
    bias: Tensor | None
    """`(outputs,)`, or `(members, outputs)`."""
    activation: Activation | None


def product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A linear layer, or one of several members, which may read one input. TorchScript knows it."""
    if weight.dim() == 2:
        return functional.linear(x, weight, bias)
    if x.dim() == 2:
        x = x.expand(weight.shape[0], x.shape[0], x.shape[1])
    if bias is None:
        return torch.bmm(x, weight.transpose(1, 2))
    return torch.baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2))


def behind(x: Tensor, members: int) -> Tensor:
    """A tensor of members behind as many of zeros, so that its masks are those of later ones."""
    return torch.cat((x.new_zeros(members, *x.shape[1:]), x)) if members else x


class Chain:
    """Links, the one reading what the one before gives; all of them of members, or none.

    What depends on them alone is found once; `holds` says whether it is so still.
    """

    def __init__(self, links: Sequence[Link]) -> None:
        self._parameters = [one for weight, bias, _ in links for one in (weight, bias)]
        first = links[0].weight
        self._dtype, self._several = first.dtype, first.ndim == 3
        self._members = first.shape[0] if self._several else 1
        self._inputs = first.shape[-1]
        self._layers = self._read(links)
        self._facts = [(p.shape, p.dtype, p.is_cpu) for p in self._parameters if p is not None]
        dropping = [
            link.activation.generator for link in links if link.activation and link.activation.p
        ]
        self._drawn, self._generators = len(dropping), dropping if any(dropping) else None
        before = {link.activation.before for link in links if link.activation and link.activation.p}
        self._before = before.pop() if before else 0
        last = links[-1].activation
        if before or (self._before and (not self._several or (last is not None and last.p))):
            self._layers = None
        self._shapes: dict[torch.Size, Shape] = {}

    def _read(self, links: Sequence[Link]) -> tuple[Layer, ...] | None:
        """What programs depend on; None if there are none for these."""
        if self._dtype not in _DTYPES:
            return None
        size, layers = self._inputs, list[Layer]()
        for weight, bias, activation in links:
            outputs = weight.shape[-2]
            matrix = (self._members, outputs, size) if self._several else (outputs, size)
            if weight.shape != matrix or not self._serves(weight):
                return None  # sizes that do not fit are the layer's to refuse
            if bias is not None and (bias.shape != matrix[:-1] or not self._serves(bias)):
                return None
            form, p = (None, 0.0) if activation is None else activation[:2]
            layers.append(Layer(size, outputs, bias is not None, activation is not None, form, p))
            size = outputs
        empty = not all(layer.inputs and layer.outputs for layer in layers)
        return None if empty or not _network.can_run(self._dtype, layers) else tuple(layers)

    def _serves(self, tensor: Tensor) -> bool:
        return (
            tensor.dtype is self._dtype
            and tensor.is_cpu
            and type(tensor) in _TENSORS
            and tensor.layout is torch.strided
            and tensor.is_contiguous()
            and not tensor.is_neg()
        )

    def holds(self) -> bool:
        """Whether the parameters are where, and what, they were when this was made."""
        facts = iter(self._facts)
        for one in self._parameters:
            if one is not None:
                shape, dtype, is_cpu = next(facts)
                if not (
                    one.shape == shape
                    and one.dtype is dtype
                    and one.is_contiguous()
                    and one.is_cpu is is_cpu
                ):
                    return False
        return True

    def shape_for(self, x: Tensor) -> Shape | None:
        """What a program for an input depends on; None if torch must be told of each layer.

        Of tensors in memory on the CPU alone: on a GPU what a node saves has not been measured.
        """
        if self._layers is None or not (x.is_cpu and x.ndim >= 2 and _direct.possible(x)):
            return None
        if x.dtype is not self._dtype:
            return None
        if torch.is_autocast_enabled("cpu") or has_torch_function((x,)):
            return None
        if torch.get_float32_matmul_precision() != "highest":  # BLAS gives all digits
            return None
        if x.ndim > 2 and not self._several and not x.is_contiguous():
            return None
        size = x.shape
        known = self._shapes.get(size)
        if known is None:
            known = self._shape_of(size)
            if len(self._shapes) >= _REMEMBERED:
                self._shapes.clear()
            if known is not None:
                self._shapes[size] = known
        return known

    def _shape_of(self, size: torch.Size) -> Shape | None:
        rows = size[-2] if self._several else size[:-1].numel()
        shared = self._several and len(size) == 2
        fits = not self._several or shared or size[:-2] == (self._members,)
        if not fits or not rows or size[-1] != self._inputs or self._layers is None:
            return None
        return Shape(rows, self._dtype, self._layers, self._members, shared, self._before)

    def __call__(self, x: Tensor, shape: Shape) -> Tensor:
        """Run the links in turn.

        Args:
            x: `(*, inputs)`, two dimensions or more; of members `(members, rows, inputs)`, or
                `(rows, inputs)` for all.
            shape: What `shape_for` says of it.

        Returns:
            `(*, outputs)` of the last link.
        """
        flat = x.ndim > 2 and not self._several
        rows = (x.reshape(-1, x.shape[-1]) if flat else x).contiguous()
        parameters, seeds = self._parameters, self._draw_seeds()
        graph = torch.is_grad_enabled() and (
            x.requires_grad or any(t is not None and t.requires_grad for t in parameters)
        )
        how = shape, self._several
        if graph:
            result = _apply(how, seeds, rows, *parameters)
        else:
            result, _, _ = _forward(how, seeds, rows, parameters, keep=False)
        return result.view(*x.shape[:-1], result.shape[-1]) if flat else result

    def _draw_seeds(self) -> Tensor | None:
        """One for each link that drops, in their order, as one by one they would be drawn."""
        if not self._drawn:
            return None
        if self._generators is None:
            return torch.randint(0, _philox.SEEDS, (self._drawn,), device="cpu")
        seeds = torch.empty(self._drawn, dtype=torch.int64, device="cpu")
        for seed, generator in zip(seeds.unbind(), self._generators, strict=True):
            if generator is not None:
                _random.refuse_again(generator)
            seed.random_(0, _philox.SEEDS, generator=generator)
        return seeds


How = tuple[Shape, bool]
"""The shape of a program, and whether the tensors have a dimension of members."""


class _Saved(NamedTuple):
    """What the backward pass reads."""

    x: Tensor
    slab: Tensor
    """The outputs of all links but the last."""
    output: Tensor | None
    """The last one's, if that is a SELU's; of a product nothing is kept: it may be written over."""
    seeds: Tensor | None
    parameters: tuple[Tensor | None, ...]


def _forward(
    how: How, seeds: Tensor | None, x: Tensor, parameters: Sequence[Tensor | None], *, keep: bool
) -> tuple[Tensor, Tensor, list[int]]:
    """The output, the slab, and where the input, the slab, the seeds and the parameters lie."""
    shape, several = how
    program, elements = _network.forward(shape, keep)
    outputs = shape.layers[-1].outputs
    sizes = (shape.members, shape.rows, outputs) if several else (shape.rows, outputs)
    result, slab = _empty(x.dtype, *sizes), _empty(x.dtype, elements)
    at = [_at(one) for one in (x, slab, result, seeds, *parameters)]
    _direct.labelled("chain", program.run, at)
    return result, slab, at


def _empty(dtype: torch.dtype, *sizes: int) -> Tensor:
    return torch.empty(sizes, dtype=dtype, device="cpu")


def _at(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


class _Chain(Function):
    """The links."""

    @staticmethod
    def forward(
        ctx: Any, how: How, seeds: Tensor | None, x: Tensor, *parameters: Tensor | None
    ) -> Tensor:
        result, slab, at = _forward(how, seeds, x, parameters, keep=True)
        output = result if how[0].layers[-1].selu else None
        at[2] = _at(output)
        ctx.how, ctx.at = how, at
        ctx.save_for_backward(x, slab, output, seeds, *parameters)
        return result

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        kept, wanted = ctx.saved_tensors, ctx.needs_input_grad[2:]
        x, slab, output, seeds, *parameters = kept
        saved = _Saved(x, slab, output, seeds, tuple(parameters))
        at = [_at(one) for one in kept]
        if torch.is_grad_enabled() or not _direct.possible(grad):
            found = _again(grad, ctx.how, saved, wanted)
        elif at == ctx.at or _are_alike(grad, ctx.how[0], saved):
            found = _back(grad, ctx.how, saved, at, wanted)
        else:
            found = _again(grad, ctx.how, saved, wanted)
        return None, None, *found


_apply = _torch_private.quick(_Chain)


def _are_alike(grad: Tensor, shape: Shape, saved: _Saved) -> bool:
    """Whether what a hook, or who changed a parameter's data, put there will do."""
    elements = [shape.layers[0].inputs * shape.rows * (1 if shape.shared else shape.members)]
    elements += [
        _network.forward(shape, True).slab,
        saved.output.numel() if saved.output is not None else 0,
    ]
    for layer in shape.layers:
        elements += [shape.members * layer.outputs * layer.inputs, shape.members * layer.outputs]
    kept = (saved.x, saved.slab, saved.output, *saved.parameters)
    return all(
        one is None
        or (
            type(one) in _TENSORS
            and one.dtype is grad.dtype
            and one.numel() == count
            and one.is_cpu
            and one.is_contiguous()
        )
        for one, count in zip(kept, elements, strict=True)
    )


def _back(
    grad: Tensor, how: How, saved: _Saved, at: list[int], wanted: tuple[bool, ...]
) -> list[Tensor | None]:
    """The backward pass as a program. The parameters' gradients lie one behind the other."""
    shape, _ = how
    program, sizes, elements, room = _network.backward(shape, wanted)
    grad, dtype = grad.contiguous(), grad.dtype
    gradients, scratch = _empty(dtype, elements), _empty(dtype, room)
    x, parameters, of_x = saved.x, saved.parameters, None
    if wanted[0]:
        of_x = _empty(dtype, shape.members, *x.shape) if shape.shared else torch.empty_like(x)
    own = (_at(one) for one in (grad, of_x, gradients, scratch))
    _direct.labelled("chain_backward", program.run, [*at[:4], *own, *at[4::2]])
    found: list[Tensor | None] = [None] * len(wanted)
    if of_x is not None:
        found[0] = of_x.sum(0) if shape.shared else of_x
    parts = gradients.split_with_sizes([size for _, size in sizes])
    for (number, _), part in zip(sizes, parts, strict=True):
        parameter = parameters[number]
        if parameter is not None:
            found[1 + number] = part if parameter.ndim == 1 else part.view(parameter.shape)
    return found


def _again(grad: Tensor, how: How, saved: _Saved, wanted: tuple[bool, ...]) -> list[Tensor | None]:
    """The same by torch, of the links one by one: it has a derivative in turn."""
    graph = torch.is_grad_enabled()
    seeds = iter(() if saved.seeds is None else saved.seeds.unbind())
    with torch.enable_grad():
        # Each under a name of its own, as one tensor may serve twice.
        given: list[Any] = [
            None if one is None else _named(one, want)
            for one, want in zip((saved.x, *saved.parameters), wanted, strict=True)
        ]
        x: Tensor = given[0]
        for number, layer in enumerate(how[0].layers):
            x = product(x, given[2 * number + 1], given[2 * number + 2])
            if not layer.selu:
                continue
            seed = next(seeds) if layer.p else None
            skipped = how[0].before if layer.p else 0
            x = behind(x, skipped)
            if layer.form is None:
                x = OPS.selu_alpha_dropout.default(x, seed, layer.p)
            else:
                x = OPS.shaped_selu.default(x, seed, layer.p, *layer.form)
            x = x[skipped:]
        asked = [one for one, want in zip(given, wanted, strict=True) if want]
        grads = iter(torch.autograd.grad(x, asked, grad, create_graph=graph))
    return [next(grads) if want else None for want in wanted]


def _named(tensor: Tensor, want: bool) -> Tensor:
    if want and not tensor.requires_grad:  # a hook put it there
        return tensor.detach().requires_grad_()
    return tensor.view_as(tensor)
