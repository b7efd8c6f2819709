"""A conversion under way: the model, what is to be changed of it, and what was."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

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

    def say(self, module: str, kind: Kind, before: object, after: object, why: str) -> None:
        """Note a change."""
        self.changes.append(Change(module, kind, str(before), str(after), why))

    def put(self, new: nn.Module, old: nn.Module) -> None:
        """Exchange a module, under all of its names."""
        new.train(old.training)
        for other, module in list(self.model.named_modules(remove_duplicate=False)):
            if module is old:
                self._set(other, new)

    def _set(self, name: str, new: nn.Module) -> None:
        if not name:
            self.model = new
            return
        parent, _, child = name.rpartition(".")
        setattr(self.model.get_submodule(parent), child, new)
