"""Linear layers and SELUs, one behind the other, as one node of autograd's graph.

Layer by layer each call makes a node, keeps tensors, and is called back, which small layers feel.
Here the forward pass runs product and kernel in turn and keeps
each layer's output, from which the backward pass follows (`_autograd`); SELU in another form keeps
its input too. The forward pass has the bits of the layers one by one.

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
from selfnorm.ops._library import OPS
from selfnorm.ops._spec import _philox
from selfnorm.theory._form import SELUForm

_TENSORS = (Tensor, torch.nn.Parameter)


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


def possible(x: Tensor, links: Sequence[Link]) -> bool:
    """Whether products and kernels may be called without telling anyone.

    Of tensors in memory on the CPU alone: on a GPU what a node saves has not been measured.
    """
    if not (x.is_cpu and x.ndim >= 2 and _direct.possible(x)):
        return False
    if torch.is_autocast_enabled("cpu") or has_torch_function((x,)):
        return False
    first = links[0].weight
    if first.ndim == 3:
        if x.ndim > 2 and (x.ndim, x.shape[0]) != (3, first.shape[0]):
            return False  # the layer says what is wrong
    elif x.ndim > 2 and not x.is_contiguous():
        return False
    # Sizes that do not fit are torch's to refuse, at the product.
    return all(
        _fits(weight, x.dtype) and (bias is None or _fits(bias, x.dtype))
        for weight, bias, _ in links
    )


def _fits(tensor: Tensor, dtype: torch.dtype) -> bool:
    return (
        tensor.dtype is dtype
        and tensor.is_cpu
        and type(tensor) in _TENSORS
        and tensor.layout is torch.strided
    )


def chain(x: Tensor, links: Sequence[Link]) -> Tensor:
    """Run the links in turn, `possible` being true.

    Args:
        x: `(*, inputs)`, two dimensions or more; of members `(members, rows, inputs)`, or
            `(rows, inputs)` for all.
        links: Each reads what the one before gives; all of them of members, or none.

    Returns:
        `(*, outputs)` of the last link.
    """
    tensors = [tensor for weight, bias, _ in links for tensor in (weight, bias)]
    activations = [link.activation for link in links]
    seeds = _draw_seeds(activations)
    flat = x.ndim > 2 and links[0].weight.ndim == 2
    rows = x.reshape(-1, x.shape[-1]) if flat else x
    graph = torch.is_grad_enabled() and (
        x.requires_grad or any(t is not None and t.requires_grad for t in tensors)
    )
    how = activations, seeds
    result = _apply(rows, how, *tensors) if graph else _run(rows, how, tensors, None)
    return result.view(*x.shape[:-1], result.shape[-1]) if flat else result


How = tuple[list[Activation | None], Tensor | None]


class _Kept(NamedTuple):
    """What the backward pass reads."""

    inputs: list[Tensor]
    """Of each link; behind them the last one's output, if that is a SELU's."""
    read: list[Tensor]
    """What SELUs in another form read, from the first to the last."""


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


def _each_seed(how: How) -> list[Tensor | None]:
    """Of each link, None where none is dropped."""
    activations, seeds = how
    drawn = iter(() if seeds is None else seeds.unbind())
    return [next(drawn) if a is not None and a.p else None for a in activations]


def _run(x: Tensor, how: How, tensors: Sequence[Any], kept: _Kept | None) -> Tensor:
    """The forward pass."""
    for number, (activation, seed) in enumerate(zip(how[0], _each_seed(how), strict=True)):
        weight, bias = tensors[2 * number : 2 * number + 2]
        if kept is not None:
            kept.inputs.append(x)
        x = product(x, weight, bias)
        if activation is None:
            continue
        if activation.form is None:
            x = _direct.selu_alpha_dropout(x, seed, activation.p, inplace=True)
            continue
        if kept is not None:
            kept.read.append(x)
        x = _direct.shaped_selu(x, seed, activation.p, activation.form, inplace=kept is None)
    return x


class _Chain(Function):
    """The links; `how` is `(activations, seeds)`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, how: How, *tensors: Tensor | None) -> Tensor:
        kept = _Kept([], [])
        result = _run(x, how, tensors, kept)
        ctx.activations = how[0]
        if how[0][-1] is not None:  # of a product nothing is kept, and it may be written over
            kept.inputs.append(result)
        ctx.inputs = len(kept.inputs)
        ctx.save_for_backward(how[1], *tensors, *kept.inputs, *kept.read)
        return result

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        seeds, *saved = ctx.saved_tensors
        split = 2 * len(ctx.activations)
        read = split + ctx.inputs
        tensors, kept = saved[:split], _Kept(saved[split:read], saved[read:])
        wanted = [ctx.needs_input_grad[0], *ctx.needs_input_grad[2:]]
        back = _again if torch.is_grad_enabled() or not _as_it_was(grad, saved) else _back
        first, *others = back(grad, (ctx.activations, seeds), tensors, kept, wanted)
        return first, None, *others


_apply = _torch_private.quick(_Chain)


def _as_it_was(grad: Tensor, saved: list[Tensor | None]) -> bool:
    """Whether no hook has put something else for what was saved."""
    return _direct.possible(grad) and all(
        one is None or (type(one) in _TENSORS and one.dtype is grad.dtype) for one in saved
    )


def _back(
    grad: Tensor, how: How, tensors: list[Any], kept: _Kept, wanted: list[bool]
) -> list[Tensor | None]:
    """The backward pass, from the last link to the first that has a gradient to give."""
    found: list[Tensor | None] = [None] * len(wanted)
    first = wanted.index(True)  # of x, weight, bias, weight, ...
    read, seeds = list(kept.read), _each_seed(how)
    own = False  # whether `grad` may be written over
    for number in range(len(how[0]) - 1, -1, -1):
        activation, at = how[0][number], 2 * number + 1
        if activation is not None:
            into = grad if own else torch.empty(grad.shape, dtype=grad.dtype)
            if activation.form is None:
                _direct.selu_backward(kept.inputs[number + 1], grad, activation.p, into)
            else:
                _direct.shaped_selu_backward(
                    read.pop(), grad, seeds[number], activation.p, activation.form, into
                )
            grad = into
        if wanted[at]:
            found[at] = torch.matmul(grad.mT, kept.inputs[number])  # an input of all members' too
        if wanted[at + 1]:
            found[at + 1] = grad.sum(-2)
        if first >= at:
            break
        grad, own = torch.matmul(grad, tensors[2 * number]), True
    else:
        found[0] = grad.sum(0) if grad.ndim > kept.inputs[0].ndim else grad
    return found


def _again(
    grad: Tensor, how: How, tensors: list[Any], kept: _Kept, wanted: list[bool]
) -> list[Tensor | None]:
    """The same by torch, of the links one by one: it has a derivative in turn."""
    graph = torch.is_grad_enabled()
    with torch.enable_grad():
        # Each under a name of its own, as one tensor may serve twice.
        given: list[Any] = [
            None if one is None else _named(one, want)
            for one, want in zip((kept.inputs[0], *tensors), wanted, strict=True)
        ]
        x: Tensor = given[0]
        for number, (activation, seed) in enumerate(zip(how[0], _each_seed(how), strict=True)):
            x = product(x, given[2 * number + 1], given[2 * number + 2])
            if activation is None:
                continue
            if activation.form is None:
                x = OPS.selu_alpha_dropout.default(x, seed, activation.p)
            else:
                x = OPS.shaped_selu.default(x, seed, activation.p, *activation.form)
        asked = [one for one, want in zip(given, wanted, strict=True) if want]
        grads = iter(torch.autograd.grad(x, asked, grad, create_graph=graph))
    return [next(grads) if want else None for want in wanted]


def _named(tensor: Tensor, want: bool) -> Tensor:
    if want and not tensor.requires_grad:  # a hook put it there
        return tensor.detach().requires_grad_()
    return tensor.view_as(tensor)
