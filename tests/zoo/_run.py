"""Run a model: on copies of its inputs, with a seed, and what it gives as one list of tensors."""

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

SEED = 0


def run(model: nn.Module, inputs: Any) -> list[Tensor]:
    """The tensors that a model gives, in their order; with the same random numbers each time."""
    args, kwargs = split(inputs)
    torch.manual_seed(SEED)
    return list(_tensors(model(*args, **kwargs)))


def split(inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments by place and by name; copies, as models write into what they are given."""
    inputs = copy.deepcopy(inputs)
    if isinstance(inputs, dict):
        return (), inputs
    return (inputs if isinstance(inputs, tuple) else (inputs,)), {}


def loss_of(outputs: list[Tensor]) -> Tensor:
    """The mean square of all that is given."""
    given = [t for t in outputs if t.is_floating_point() and t.requires_grad]
    return torch.stack([t.square().mean() for t in given]).sum()


def finite(outputs: list[Tensor]) -> bool:
    return all(bool(t.isfinite().all()) for t in outputs if t.is_floating_point())


def evaluated(model: nn.Module, inputs: Any) -> list[Tensor]:
    """What it gives in evaluation mode, without gradients; the mode is put back."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        with torch.no_grad():
            return run(model.eval(), inputs)
    finally:
        for module, mode in modes:
            module.training = mode


def copied(model: nn.Module) -> nn.Module:
    """A copy; the model itself where it keeps what `copy` refuses."""
    try:
        return copy.deepcopy(model)
    except RuntimeError:
        return model


def same(one: list[Tensor], other: list[Tensor], *, tolerance: float = 0.0) -> bool:
    """Whether the tensors are the same, up to a share of the largest number."""
    return len(one) == len(other) and all(
        a.shape == b.shape and bool(((a - b).abs() <= tolerance * b.abs().max().clamp(min=1)).all())
        for a, b in zip((t.double() for t in one), (t.double() for t in other), strict=True)
        if a.numel()
    )


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)
    elif hasattr(value, "__dict__"):
        yield from _tensors(vars(value))
