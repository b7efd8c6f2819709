"""A conversion under way: the model, what is to be changed of it, and what was."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from torch import nn

from selfnorm.converting._changes import Change, Kind


@dataclass
class Work:
    """A conversion under way."""

    model: nn.Module
    chosen: Callable[[str], bool]
    kinds: tuple[type[nn.Module], ...]
    order: dict[str, int]
    weighted: int  # place of the last layer with weights
    changes: list[Change] = field(default_factory=list[Change])

    def modules(self) -> Iterator[tuple[str, nn.Module]]:
        """Every name of every module that is to be converted."""
        for name, module in list(self.model.named_modules(remove_duplicate=False)):
            if self.chosen(name):
                yield name, module

    def hidden(self, name: str) -> bool:
        """Whether a layer with weights runs after the module."""
        return self.order.get(name, len(self.order)) < self.weighted

    def names(self, module: nn.Module) -> list[str]:
        """All names that a module has now."""
        return self._named.get(id(module), (module, []))[1]

    @cached_property
    def last(self) -> dict[str, int]:
        """Of each module, the place at which it or a part of it runs last."""
        found: dict[str, int] = {}
        for name, place in self.order.items():
            parts = name.split(".")
            for outer in (".".join(parts[:k]) for k in range(1, len(parts) + 1)):
                found[outer] = max(found.get(outer, place), place)
        return found

    def say(self, module: str, kind: Kind, before: object, after: object, why: str) -> None:
        """Note a change."""
        self.changes.append(Change(module, kind, str(before), str(after), why))

    def put(self, new: nn.Module, old: nn.Module) -> None:
        """Exchange a module, under all of its names."""
        new.train(old.training)
        names = self.names(old)
        self._named.pop(id(old), None)
        self._named.setdefault(id(new), (new, []))[1].extend(names)
        for name in names:
            self._set(name, new)

    @cached_property
    def _named(self) -> dict[int, tuple[nn.Module, list[str]]]:
        """Kept with the modules, so that no other one gets the `id` of one that is gone."""
        found: dict[int, tuple[nn.Module, list[str]]] = {}
        for name, module in self.model.named_modules(remove_duplicate=False):
            found.setdefault(id(module), (module, []))[1].append(name)
        return found

    def _set(self, name: str, new: nn.Module) -> None:
        if not name:
            self.model = new
            return
        parent, _, child = name.rpartition(".")
        setattr(self.model.get_submodule(parent), child, new)
