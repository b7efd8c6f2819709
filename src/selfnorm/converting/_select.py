"""Which modules a caller wants converted."""

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import cast

from torch import nn

from selfnorm.errors import ArgumentError

Predicate = Callable[[str, nn.Module], bool]
Choice = str | type[nn.Module] | Predicate
Choices = Choice | Iterable[Choice] | None


def selector(model: nn.Module, include: Choices, exclude: Choices) -> Callable[[str], bool]:
    """Whether the module of a qualified name is to be converted.

    A choice is a name or a pattern (`blocks.*.act`), a class, or `f(name, module)`; it covers all
    that a module contains.

    Raises:
        ArgumentError: A name or a pattern fits no module.
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    wanted = _names(modules, include, "include")
    unwanted = _names(modules, exclude, "exclude") or set()

    def chosen(name: str) -> bool:
        around = _around(name)
        return (wanted is None or bool(wanted & around)) and not unwanted & around

    return chosen


def _around(name: str) -> set[str]:
    """The name, and those of all modules that contain it."""
    parts = name.split(".")
    return {"", *(".".join(parts[:k]) for k in range(1, len(parts) + 1))}


def _names(modules: dict[str, nn.Module], choices: Choices, argument: str) -> set[str] | None:
    if choices is None:
        return None
    single = isinstance(choices, str | type) or callable(choices)
    several = tuple(choices) if isinstance(choices, Iterable) and not single else (choices,)
    if not all(map(_is_choice, several)):
        raise ArgumentError(
            f"{argument} holds names of modules or patterns of them, classes, or functions of name "
            f"and module; got {choices!r}. named_modules() lists them."
        )
    found: set[str] = set()
    for choice in cast("tuple[Choice, ...]", several):
        fits = _matcher(choice)
        names = {name for name, module in modules.items() if fits(name, module)}
        if not names and isinstance(choice, str):
            raise ArgumentError(
                f"{argument} holds names of modules or patterns of them, classes, or functions of "
                f"name and module; {choice!r} fits none. named_modules() lists them."
            )
        found |= names
    return found


def _is_choice(choice: object) -> bool:
    return isinstance(choice, str | type) or callable(choice)


def _matcher(choice: Choice) -> Predicate:
    if isinstance(choice, str):
        return lambda name, _: fnmatchcase(name, choice)
    if isinstance(choice, type):
        return lambda _, module: isinstance(module, choice)
    return choice
