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
from selfnorm.ops import _direct, _random
from selfnorm.ops._cpu import _network
from selfnorm.ops._cpu._network import Layer, Shape
from selfnorm.ops._library import OPS
from selfnorm.ops._spec import _philox
from selfnorm.theory._form import SELUForm

_TENSORS = (Tensor, torch.nn.Parameter)
_DTYPES = (torch.float32, torch.float64)


class Activation(NamedTuple):
    """SELU and alpha dropout behind a linear layer."""

    form: SELUForm | None = None
    """Another form of SELU; None for SELU itself."""
    p: float = 0.0
    """Probability that a unit is dropped in this call."""
    generator: torch.Generator | None = None


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


def read(x: Tensor, links: Sequence[Link]) -> Shape | None:
    """What a program for these depends on, or None if products and kernels must be told of.

    Of tensors in memory on the CPU alone: on a GPU what a node saves has not been measured. Sizes
    that do not fit are left to the layers, which say what is wrong.
    """
    dtype, first = x.dtype, links[0].weight
    if not (x.is_cpu and x.ndim >= 2 and _direct.possible(x) and x.numel()):
        return None
    if dtype not in _DTYPES or not _network.can_run(dtype) or _torch_private.ways.is_profiled():
        return None
    if torch.is_autocast_enabled("cpu") or has_torch_function((x,)) or not _products_are_exact():
        return None
    members = first.shape[0] if first.ndim == 3 else 0
    if x.ndim > 2 and (members or not x.is_contiguous()) and (x.ndim, x.shape[0]) != (3, members):
        return None
    size = x.shape[-1]
    layers: list[Layer] = []
    for weight, bias, activation in links:
        outputs = weight.shape[-2]
        matrix = (members, outputs, size) if members else (outputs, size)
        if weight.shape != matrix or not _serves(weight, dtype):
            return None
        if bias is not None and (bias.shape != matrix[:-1] or not _serves(bias, dtype)):
            return None
        form, p = (None, 0.0) if activation is None else activation[:2]
        layers.append(Layer(size, outputs, bias is not None, activation is not None, form, p))
        size = outputs
    alike = members and x.ndim == 2
    rows = x.shape[-2] if members else x.numel() // x.shape[-1]
    return Shape(rows, dtype, tuple(layers), members or 1, bool(alike)) if size else None


def _serves(tensor: Tensor, dtype: torch.dtype) -> bool:
    return (
        tensor.dtype is dtype
        and tensor.is_cpu
        and type(tensor) in _TENSORS
        and tensor.layout is torch.strided
        and tensor.is_contiguous()
        and not tensor.is_neg()
    )


def _products_are_exact() -> bool:
    """Whether torch's products of float32 are what BLAS gives."""
    return torch.get_float32_matmul_precision() == "highest"


def chain(x: Tensor, links: Sequence[Link], shape: Shape) -> Tensor:
    """Run the links in turn.

    Args:
        x: `(*, inputs)`, two dimensions or more; of members `(members, rows, inputs)`, or
            `(rows, inputs)` for all.
        links: Each reads what the one before gives; all of them of members, or none.
        shape: What `read` says of them.

    Returns:
        `(*, outputs)` of the last link.
    """
    parameters = [tensor for weight, bias, _ in links for tensor in (weight, bias)]
    seeds = _draw_seeds([link.activation for link in links])
    several = links[0].weight.ndim == 3
    flat = x.ndim > 2 and not several
    rows = (x.reshape(-1, x.shape[-1]) if flat else x).contiguous()
    graph = torch.is_grad_enabled() and (
        x.requires_grad or any(t is not None and t.requires_grad for t in parameters)
    )
    how = shape, several
    if graph:
        result = _apply(how, seeds, rows, *parameters)
    else:
        result, _ = _forward(how, seeds, rows, parameters, keep=False)
    return result.view(*x.shape[:-1], result.shape[-1]) if flat else result


How = tuple[Shape, bool]
"""The shape of a program, and whether the tensors have a dimension of members."""


class _Saved(NamedTuple):
    """What the backward pass reads."""

    seeds: Tensor | None
    x: Tensor
    slab: Tensor
    """The outputs of all links but the last."""
    output: Tensor | None
    """The last one's, if that is a SELU's; of a product nothing is kept: it may be written over."""
    parameters: tuple[Tensor | None, ...]


def _draw_seeds(activations: list[Activation | None]) -> Tensor | None:
    """One for each link that drops, in their order, as one by one they would be drawn."""
    dropping = [a.generator for a in activations if a is not None and a.p]
    if not dropping:
        return None
    seeds = torch.empty(len(dropping), dtype=torch.int64, device="cpu")
    if all(generator is None for generator in dropping):
        return seeds.random_(0, _philox.SEEDS)
    for seed, generator in zip(seeds.unbind(), dropping, strict=True):
        if generator is not None:
            _random.refuse_again(generator)
        seed.random_(0, _philox.SEEDS, generator=generator)
    return seeds


def _forward(
    how: How, seeds: Tensor | None, x: Tensor, parameters: Sequence[Tensor | None], *, keep: bool
) -> tuple[Tensor, Tensor]:
    """The output, and the slab."""
    shape, several = how
    program, elements = _network.forward(shape, keep)
    outputs = shape.layers[-1].outputs
    sizes = (shape.members, shape.rows, outputs) if several else (shape.rows, outputs)
    result, slab = _empty(x.dtype, *sizes), _empty(x.dtype, elements)
    program.run([_at(one) for one in (x, slab, result, seeds, *parameters)])
    return result, slab


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
        result, slab = _forward(how, seeds, x, parameters, keep=True)
        output = result if how[0].layers[-1].selu else None
        kept = seeds, x, slab, output, *parameters
        ctx.how, ctx.shapes = how, [None if one is None else one.shape for one in kept]
        ctx.save_for_backward(*kept)
        return result

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        kept = ctx.saved_tensors
        saved, wanted = _Saved(*kept[:4], kept[4:]), ctx.needs_input_grad[2:]
        simple = not torch.is_grad_enabled() and _as_it_was(grad, kept, ctx.shapes)
        back = _back if simple else _again
        return None, None, *back(grad, ctx.how, saved, wanted)


_apply = _torch_private.quick(_Chain)


def _as_it_was(grad: Tensor, kept: Sequence[Tensor | None], shapes: list[Any]) -> bool:
    """Whether no hook, and no exchange of a parameter's data, has put something else there."""
    return _direct.possible(grad) and all(
        one is None
        or (
            type(one) in _TENSORS
            and one.dtype is (grad.dtype if one.is_floating_point() else torch.int64)
            and one.shape == shape
            and one.is_cpu
            and one.is_contiguous()
        )
        for one, shape in zip(kept, shapes, strict=True)
    )


def _back(grad: Tensor, how: How, saved: _Saved, wanted: tuple[bool, ...]) -> list[Tensor | None]:
    """The backward pass as a program. The parameters' gradients lie one behind the other."""
    shape, _ = how
    program, elements, room = _network.backward(shape, wanted)
    grad, dtype = grad.contiguous(), grad.dtype
    gradients, scratch = _empty(dtype, elements), _empty(dtype, room)
    of_x = None
    if wanted[0]:
        x = saved.x
        of_x = _empty(dtype, shape.members, *x.shape) if shape.shared else torch.empty_like(x)
    tensors = (*saved[1:4], saved.seeds, grad, of_x, gradients, scratch, *saved.parameters[::2])
    program.run([_at(one) for one in tensors])
    found: list[Tensor | None] = [of_x.sum(0) if of_x is not None and shape.shared else of_x]
    asked = [one for one, want in zip(saved.parameters, wanted[1:], strict=True) if want]
    parts = iter(gradients.split_with_sizes([one.numel() for one in asked if one is not None]))
    for one, want in zip(saved.parameters, wanted[1:], strict=True):
        part = next(parts) if want and one is not None else None
        found.append(part if part is None or one is None or one.ndim == 1 else part.view(one.shape))
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
            if layer.form is None:
                x = OPS.selu_alpha_dropout.default(x, seed, layer.p)
            else:
                x = OPS.shaped_selu.default(x, seed, layer.p, *layer.form)
        asked = [one for one, want in zip(given, wanted, strict=True) if want]
        grads = iter(torch.autograd.grad(x, asked, grad, create_graph=graph))
    return [next(grads) if want else None for want in wanted]


def _named(tensor: Tensor, want: bool) -> Tensor:
    if want and not tensor.requires_grad:  # a hook put it there
        return tensor.detach().requires_grad_()
    return tensor.view_as(tensor)
