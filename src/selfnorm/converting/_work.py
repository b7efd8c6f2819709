"""A conversion under way: the model, what is to be changed of it, and what was."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from torch import nn

from selfnorm.converting._changes import Change, Kind
from selfnorm.converting._context import Context, Source
from selfnorm.converting._flow import children_of, pairs
from selfnorm.converting._looking import lacking
from selfnorm.converting._modules import PASSING, SELU_FUNCTIONS, SELUS


@dataclass
class Work:
    """A conversion under way."""

    model: nn.Module
    chosen: Callable[[str], bool]
    kinds: tuple[type[nn.Module], ...]
    context: Context
    becoming: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    """Paths of modules, and functions in their `forward` of which every call becomes SELU."""
    closed: set[str] = field(default_factory=set[str])  # names of blocks that stay as they are
    silent: dict[str, str] = field(default_factory=dict[str, str])
    """Names of layers whose weights are near zero by design, and how near."""
    summed: dict[str, str] = field(default_factory=dict[str, str])
    """Names of layers before sums that stay as they are, and why these keep their weights."""
    kept: set[str] = field(default_factory=set[str])  # names of what is not drawn
    changes: list[Change] = field(default_factory=list[Change])

    def modules(self) -> Iterator[tuple[str, nn.Module]]:
        """Every name of every module that is to be converted."""
        for name, module in list(self.model.named_modules(remove_duplicate=False)):
            if self.chosen(name):
                yield name, module

    def open_modules(self) -> Iterator[tuple[str, nn.Module]]:
        """Those of them that do not stand in a block that stays."""
        return ((name, module) for name, module in self.modules() if not self.is_in_closed(name))

    def is_in_closed(self, name: str) -> bool:
        """Whether a module stands in a block that stays as it is."""
        parts = name.split(".") if name else []
        return any(".".join(parts[:size]) in self.closed for size in range(len(parts)))

    def module(self, name: str) -> nn.Module | None:
        """What stands under a name now; None if nothing does."""
        found: nn.Module | None = self.model
        for part in name.split(".") if name else ():
            found = None if found is None else children_of(found).get(part)
        return found

    def source(self, name: str) -> Source:
        """What a module reads, past what only moves it."""
        source = self.context.source(name)
        if source.kind == "module" and isinstance(self.module(source.name), PASSING):
            return self.source(source.name)
        return source

    def is_selu(self, source: Source) -> bool:
        """Whether it is what a SELU gives."""
        if source.kind == "function":
            return source.name in SELU_FUNCTIONS or (source.path, source.name) in self.becoming
        found = self.module(source.name) if source.kind == "module" else None
        while isinstance(found, nn.Sequential) and len(found):
            found = found[-1]
        return isinstance(found, SELUS)

    def names(self, module: nn.Module) -> list[str]:
        """All names that a module has now."""
        return self._named.get(id(module), (module, []))[1]

    def say(self, module: str, kind: Kind, before: object, after: object, why: str) -> None:
        """Note a change."""
        self.changes.append(Change(module, kind, str(before), str(after), why))

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Names of modules of which the second alone reads the first, and reads nothing else."""
        return pairs(self.model, self.context.traces)

    def lacks(self, new: nn.Module, old: nn.Module) -> str:
        """What code around a module reads of it and would not find, in a sentence; or ""."""
        for name in self.names(old):
            path, _, child = name.rpartition(".")
            parent = self.module(path)
            if name and parent is not None and (found := lacking(parent, child, new)):
                return f"the code of {type(parent).__name__} reads its {found}"
        return ""

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
        if (holder := self.module(parent)) is not None:
            children_of(holder)[child] = new
