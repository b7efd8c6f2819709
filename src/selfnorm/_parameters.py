"""Parameters declared once: a default, a rule and a sentence, which code, errors and help share.

A frozen dataclass declares each field by `parameter` and calls `check` when it is made. An
estimator or a command that has the same parameter takes default and sentence from there, as
scikit-learn's estimators declare `_parameter_constraints`.
"""

import math
from collections.abc import Collection
from dataclasses import Field, dataclass, field, fields
from numbers import Integral, Real
from typing import Any, Protocol, cast

from selfnorm.errors import ArgumentError


class Rule(Protocol):
    """What a value has to be."""

    def holds(self, value: object) -> bool:
        """Whether a value is as it has to be."""
        ...

    def __str__(self) -> str: ...


@dataclass(frozen=True)
class Whole:
    """A whole number of at least `least` and below `below`."""

    least: int
    below: float = math.inf

    def holds(self, value: object) -> bool:
        """Whether it is one; True and 2.0 are not."""
        if isinstance(value, bool) or not isinstance(value, Integral):
            return False
        return self.least <= int(value) < self.below

    def __str__(self) -> str:
        end = "" if self.below == math.inf else f", and below {self.below:,}"
        return f"a whole number, {self.least} or more{end}"


@dataclass(frozen=True)
class Number:
    """A number in an interval; an open end is not in it, nor is nan."""

    low: float
    high: float
    open_low: bool = False
    open_high: bool = False

    def holds(self, value: object) -> bool:
        """Whether it is one."""
        if isinstance(value, bool) or not isinstance(value, Real):
            return False
        number: Any = value  # as it is: an integer may be larger than any float
        above = number > self.low if self.open_low else number >= self.low
        return above and (number < self.high if self.open_high else number <= self.high)

    def __str__(self) -> str:
        opens, closes = "(" if self.open_low else "[", ")" if self.open_high else "]"
        return f"a number in {opens}{self.low:g}, {self.high:g}{closes}"


@dataclass(frozen=True)
class Choice:
    """One of some names."""

    names: tuple[str, ...]

    def holds(self, value: object) -> bool:
        """Whether it is one of them."""
        return isinstance(value, str) and value in self.names

    def __str__(self) -> str:
        return f"one of {', '.join(map(repr, self.names))}"


@dataclass(frozen=True)
class Flag:
    """True or False."""

    def holds(self, value: object) -> bool:
        """Whether it is one of them; 1 is not."""
        return isinstance(value, bool)

    def __str__(self) -> str:
        return "True or False"


@dataclass(frozen=True)
class Text:
    """Text that is not empty."""

    def holds(self, value: object) -> bool:
        """Whether it is."""
        return isinstance(value, str) and bool(value)

    def __str__(self) -> str:
        return "text"


@dataclass(frozen=True)
class Names:
    """Some names; a single one is not taken for its letters."""

    def holds(self, value: object) -> bool:
        """Whether they are."""
        if isinstance(value, str) or not isinstance(value, Collection):
            return False
        return all(isinstance(name, str) for name in cast("Collection[object]", value))

    def __str__(self) -> str:
        return "a list of names"


@dataclass(frozen=True)
class Words:
    """Some words; each has a letter that is no space."""

    def holds(self, value: object) -> bool:
        """Whether they are."""
        return Names().holds(value) and all(map(str.strip, cast("Collection[str]", value)))

    def __str__(self) -> str:
        return "a list of words, none of them empty"


@dataclass(frozen=True)
class TextOrNames:
    """Text that is not empty, or a list of such texts, each once."""

    def holds(self, value: object) -> bool:
        """Whether it is."""
        if isinstance(value, str) or not isinstance(value, Collection):
            return Text().holds(value)
        names = list(cast("Collection[object]", value))
        return bool(names) and all(map(Text().holds, names)) and len(set(names)) == len(names)

    def __str__(self) -> str:
        return "text, or a list of different ones"


@dataclass(frozen=True)
class OrNone:
    """As another rule says, or None, which stands for something."""

    rule: Rule
    meaning: str

    def holds(self, value: object) -> bool:
        """Whether it is either."""
        return value is None or self.rule.holds(value)

    def __str__(self) -> str:
        return f"{self.rule}, or None for {self.meaning}"


def parameter(default: Any, rule: Rule, text: str, *, try_: object = None) -> Any:
    """A field of a dataclass.

    Args:
        default: Its default.
        rule: What a value has to be.
        text: What it is, for help and documentation.
        try_: What an error proposes; the default if None.
    """
    example = default if try_ is None else try_
    return field(default=default, metadata={"rule": rule, "text": text, "try": example})


def same(holder: type, name: str) -> Any:
    """The field of another dataclass, with its default, rule and text."""
    found = _field(holder, name)
    return field(default=found.default, metadata=found.metadata)


def text_of(holder: type, name: str) -> str:
    """What a parameter is."""
    return _field(holder, name).metadata["text"]


def rule_of(holder: type, name: str) -> Rule:
    """What a parameter has to be."""
    return _field(holder, name).metadata["rule"]


def check(holder: Any) -> None:
    """Raise for the first parameter that breaks its rule.

    Raises:
        ArgumentError: with the rule, what came, and a value to try.
    """
    for declared in fields(holder):
        value = getattr(holder, declared.name)
        rule = declared.metadata.get("rule")
        if rule is not None and not rule.holds(value):
            raise ArgumentError(
                f"{declared.name} must be {rule}; {_shown(value)} came. "
                f"Try {declared.name}={declared.metadata['try']!r}."
            )


def _field(holder: type, name: str) -> "Field[Any]":
    return cast("dict[str, Field[Any]]", getattr(holder, "__dataclass_fields__"))[name]  # noqa: B009 - of any dataclass


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{type(value).__name__} {text[:50]}..."
