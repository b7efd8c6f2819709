"""Which of a model's weights are kept orthogonal, and why the others are not."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn

from selfnorm.errors import ArgumentError, UnsupportedError
from selfnorm.init._layers import Weight
from selfnorm.init._matrices import Kernels, Matrices
from selfnorm.init._memory import is_plain
from selfnorm.init._places import Place, Slot, find, named, sharing_of

Names = str | Iterable[str]


@dataclass(frozen=True, eq=False)
class Chosen:
    """A weight, and how it consists of matrices."""

    name: str
    parameter: Tensor
    entry: Weight
    operator: bool = False  # a kernel, to be orthogonal as a convolution of the image

    def matrices(self) -> list[Matrices]:
        """Its matrices, or kernels, as views of where it lies now."""
        found = self.entry.matrices(self.parameter.detach())
        return [Kernels(m.view, m.fan_in) for m in found] if self.operator else found


@dataclass(frozen=True)
class Choice:
    """The weights to keep, and what is left out: names by reason."""

    weights: Sequence[Chosen]
    left: dict[str, list[str]]

    def __str__(self) -> str:
        return "; ".join(f"{', '.join(names)} ({reason})" for reason, names in self.left.items())


def hidden_weights(model: nn.Module) -> list[Tensor]:
    """The weights that an optimizer of all of a model's parameters keeps; none may be left."""
    held = {id(parameter) for parameter in model.parameters()}
    return [weight.parameter for weight in _sorted_out(model, held, None, None).weights]


def choose(
    optimizer: torch.optim.Optimizer,
    model: nn.Module,
    include: Names | None,
    exclude: Names | None,
    *,
    operators: bool = False,
) -> Choice:
    """Every weight that the optimizer changes, but the output's.

    The output's is the last of `named_modules` that has one: its size is the network's to learn.
    With `operators`, kernels whose windows overlap are kept as such.

    Raises:
        ArgumentError: a name is none of the model's, or nothing is left to keep.
        UnsupportedError: there is no model or no optimizer.
    """
    _check_types(optimizer, model)
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    choice = _sorted_out(model, held, include, exclude)
    if not choice.weights:
        raise ArgumentError(_nothing(model, choice, held))
    if operators:
        weights = [replace(w, operator=w.entry.overlaps) for w in choice.weights]
        return replace(choice, weights=weights)
    return choice


def _sorted_out(
    model: nn.Module, held: set[int], include: Names | None, exclude: Names | None
) -> Choice:
    slots, *_ = find(model)
    sharing = sharing_of(model)
    places = [slot.place for slot in slots]
    excluded = named(exclude or (), model, places, sharing, "exclude")
    included = None if include is None else named(include, model, places, sharing, "include")
    slots = [slot for slot in slots if isinstance(slot.entry, Weight) and slot.place.stored]
    multiplied = [slot for slot in slots if _multiplies(slot)]
    looked_up = sharing.partners(
        tensor for slot in slots if not _multiplies(slot) for tensor in slot.place.stored
    )
    output = multiplied[-1].place.module if multiplied and included is None else None
    weights: list[Chosen] = []
    left: dict[str, list[str]] = {}
    taken: set[int] = set()
    for slot in multiplied:
        place = slot.place
        unwanted = place.module is output if included is None else not included(place)
        if excluded(place) or unwanted or any(id(t) in taken for t in place.stored):
            continue
        if not any(id(t) in held and t.requires_grad for t in place.stored):
            continue  # another optimizer's, or frozen
        reason = _why_not(place, looked_up)
        if reason is not None:
            left.setdefault(reason, []).append(place.qualified)
            continue
        (parameter,) = place.stored
        weights.append(Chosen(place.qualified, parameter, cast("Weight", slot.entry)))
        taken |= sharing.partners([parameter])
    return Choice(weights, left)


def _multiplies(slot: Slot) -> bool:
    """Whether inputs are multiplied with the weight; else it is looked up, or added."""
    outline = slot.place.outline
    if outline.ndim < 2:
        return True  # a piece of one
    return bool(cast("Weight", slot.entry).matrices(outline))


def _why_not(place: Place, looked_up: set[int]) -> str | None:
    first = place.stored[0]
    reasons = {
        "parametrized: computed from others": place.parametrization is not None,
        "tied to a table of embeddings, whose rows have another size": id(first) in looked_up,
        "sharded: no process holds all of it": not is_plain(first) or first.ndim < 2,
        "complex: what is asked for would be unitary": first.is_complex(),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _nothing(model: nn.Module, choice: Choice, held: set[int]) -> str:
    if not any(id(p) in held for p in model.parameters()):
        return (
            "keep_orthogonal takes an optimizer and the model that it trains; this optimizer holds "
            "none of the model's parameters. Make it with model.parameters()."
        )
    found = f"left are {choice}" if choice.left else "it has one layer with weights, or none"
    return (
        "keep_orthogonal keeps the weights of all layers but the output's, the last; in this model "
        f"{found}. Name the weights in include."
    )


def _check_types(optimizer: object, model: object) -> None:
    if not isinstance(optimizer, torch.optim.Optimizer) or not isinstance(model, nn.Module):
        raise UnsupportedError(
            "keep_orthogonal takes a torch.optim.Optimizer and a torch.nn.Module, in this order; "
            f"got {type(optimizer).__name__} and {type(model).__name__}."
        )
