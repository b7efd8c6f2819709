"""Where a model keeps what is initialized: parameters, buffers, and what each starts from."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from selfnorm.errors import ArgumentError
from selfnorm.init._layers import Entry, entries
from selfnorm.init._memory import Sharing, is_plain
from selfnorm.init._parametrized import held, parametrizations_of
from selfnorm.init._tensors import are_codes, outline


@dataclass(frozen=True, eq=False)
class Place:
    """One parameter or buffer of one module, and the tensors that store it."""

    path: str
    module: nn.Module
    name: str
    stored: tuple[Tensor, ...]

    @property
    def qualified(self) -> str:
        """The name that `named_parameters` would give it."""
        return f"{self.path}.{self.name}" if self.path else self.name

    @cached_property
    def parametrization(self) -> parametrize.ParametrizationList | None:
        """What computes it, if it is parametrized."""
        return parametrizations_of(self.module).get(self.name)

    @cached_property
    def outline(self) -> Tensor:
        """What has its whole shape and its dtype."""
        first, parametrization = self.stored[0], self.parametrization
        if parametrization is not None:
            return outline(held(parametrization))
        return first if is_plain(first) else outline(first)

    def __str__(self) -> str:
        return f"{self.qualified!r} ({type(self.module).__name__})"


@dataclass(frozen=True, eq=False)
class Slot:
    """A place, and what goes there."""

    place: Place
    entry: Entry

    @property
    def variance(self) -> float:
        """The mean square that the entry gives the place."""
        return self.entry.mean_square(self.place.outline)


def find(root: nn.Module) -> tuple[list[Slot], list[Place], list[Place]]:
    """Every place that is known, with its entry; every parameter that is not; quantized weights.

    The last are those of modules that torch's layers do not know and that have no parameters:
    weights packed by torch's quantized layers, or kept as integer codes in buffers.
    """
    slots: list[Slot] = []
    unknown: list[Place] = []
    quantized: list[Place] = []
    for path, module in root.named_modules():
        stored = _stored(module)
        known = {
            entry.name: entry
            for entry in entries(module)
            if entry.name in stored or getattr(module, entry.name, None) is not None
        }
        slots += [
            Slot(Place(path, module, name, stored.get(name, ())), entry)
            for name, entry in known.items()
        ]
        strange = [
            Place(path, module, name, tensors)
            for name, tensors in stored.items()
            if name not in known and any(isinstance(tensor, nn.Parameter) for tensor in tensors)
        ]
        unknown += strange
        if not known and not strange:
            quantized += [Place(path, module, name, ()) for name in _packed(module)]
            quantized += [
                Place(path, module, name, tensors)
                for name, tensors in stored.items()
                if any(map(are_codes, tensors))
            ]
    return slots, unknown, quantized


def named(
    names: str | Iterable[str],
    root: nn.Module,
    places: Sequence[Place],
    sharing: Sharing,
    argument: str = "skip",
) -> Callable[[Place], bool]:
    """Whether names mean a place: itself, a module around it, or what shares its memory.

    Raises:
        ArgumentError: there are others than names, or one is none of the model's; `argument` is
            what the caller calls them.
    """
    given = cast("object", (names,) if isinstance(names, str) else names)
    wanted = tuple(cast("Iterable[object]", given)) if isinstance(given, Iterable) else (given,)
    if not all(isinstance(name, str) for name in wanted):
        raise ArgumentError(
            f"{argument} holds names of the model's modules and parameters; got {given!r}. "
            "named_modules() and named_parameters() list them."
        )
    wanted = cast("tuple[str, ...]", wanted)
    tensors = list(_tensors(root))
    present = {name for name, _ in root.named_modules(remove_duplicate=False)} - {""}
    present |= {name for name, _ in root.named_parameters(remove_duplicate=False)}
    present |= {place.qualified for place in places}
    absent = [name for name in wanted if name not in present]
    if absent:
        raise ArgumentError(
            f"{argument} holds names of the model's modules and parameters; it has none called "
            f"{', '.join(map(repr, absent))}. named_modules() and named_parameters() list them."
        )

    def is_meant(name: str) -> bool:
        return any(name == one or name.startswith(f"{one}.") for one in wanted)

    shared = sharing.partners(tensor for name, tensor in tensors if is_meant(name))
    return lambda place: is_meant(place.qualified) or any(id(t) in shared for t in place.stored)


def sharing_of(root: nn.Module) -> Sharing:
    """Which of a model's parameters and buffers share memory."""
    return Sharing(tensor for _, tensor in _tensors(root))


def _tensors(root: nn.Module) -> Iterable[tuple[str, Tensor]]:
    yield from root.named_parameters(remove_duplicate=False)
    yield from root.named_buffers(remove_duplicate=False)


def _stored(module: nn.Module) -> dict[str, tuple[Tensor, ...]]:
    """The tensors in which the module itself stores each of its parameters and buffers."""
    own = dict(module.named_buffers(recurse=False, remove_duplicate=False))
    parameters = module.named_parameters(recurse=False, remove_duplicate=False)
    if isinstance(module, parametrize.ParametrizationList):
        # Its originals are the parametrized module's, found under the name that they stand for.
        parameters = ((n, p) for n, p in parameters if not n.startswith("original"))
    own |= dict(parameters)
    return {name: (tensor,) for name, tensor in own.items()} | {
        name: (*parametrization.parameters(False), *parametrization.buffers(False))
        for name, parametrization in parametrizations_of(module).items()
    }


def _packed(module: nn.Module) -> list[str]:
    """Attributes that torch keeps outside of tensors, as its quantized layers do their weights."""
    if isinstance(module, torch.jit.ScriptModule):  # is one altogether; its parameters are seen
        return []
    return [name for name, value in vars(module).items() if isinstance(value, torch.ScriptObject)]
