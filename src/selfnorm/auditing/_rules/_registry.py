"""Which rules there are, which were asked for, and what they find."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import get_close_matches
from types import ModuleType

import numpy as np

from selfnorm.auditing._finding import SEVERITIES, Finding
from selfnorm.errors import ArgumentError
from selfnorm.recording import Recording

Rule = Callable[[Recording], Iterable[Finding]]
_RULES: dict[str, Rule] = {}
_TELLS, _TOLD = {"selu-without-lecun"}, {"wrong-init", "weight-drift"}
"""One cause is told once: of the whole model, and not of each weight again."""


def rule(name: str) -> Callable[[Rule], Rule]:
    """Register a function as a rule, so that every later audit judges by it.

    The function takes a `Recording` and yields `Finding`s. A name that is taken is replaced, so a
    built-in rule can be made stricter or silent.

    Args:
        name: Lower-case words joined by hyphens; also the `rule` of its findings.

    Raises:
        ArgumentError: If the name has another form.

    Example:
        >>> @rule("no-bias")
        ... def no_bias(recording):
        ...     for layer in recording.layers:
        ...         if len(layer.bias):
        ...             yield Finding("no-bias", "note", layer.module, "has a bias", "none",
        ...                           "Our models have none.", "Pass bias=False.")
        >>> "no-bias" in rule_names()
        True
        >>> forget("no-bias")
    """
    known = isinstance(name, str)  # pyright: ignore[reportUnnecessaryIsInstance]
    words = name.replace("-", "") if known else ""
    if not words.isalnum() or name != name.lower():
        raise ArgumentError(
            f"a rule's name is lower-case words joined by hyphens; got {name!r}. "
            "For example 'wrong-init'."
        )

    def register(function: Rule) -> Rule:
        _RULES[name] = function
        return function

    return register


def arrange(modules: Sequence[ModuleType]) -> None:
    """Put the registered rules into the order of the modules that define them."""
    places = {module.__name__: place for place, module in enumerate(modules)}
    arranged = sorted(_RULES.items(), key=lambda item: places[item[1].__module__])
    _RULES.clear()
    _RULES.update(arranged)


def forget(name: str) -> None:
    """Take a registered rule out again."""
    _RULES.pop(name, None)


def rule_names() -> tuple[str, ...]:
    """The names of all rules that are registered, causes before effects."""
    return tuple(_RULES)


def select(rules: Iterable[str | Rule] | str | Rule | None) -> dict[str, Rule]:
    """The rules that were asked for, by name; a function without a name goes by its own."""
    if rules is None:
        return dict(_RULES)
    asked: tuple[object, ...] = (rules,)
    if isinstance(rules, Iterable) and not isinstance(rules, str):
        asked = tuple(rules)
    chosen: dict[str, Rule] = {}
    for wanted in asked:
        if callable(wanted):
            chosen[getattr(wanted, "__name__", "rule")] = wanted
        elif isinstance(wanted, str) and wanted in _RULES:
            chosen[wanted] = _RULES[wanted]
        else:
            near = get_close_matches(str(wanted), _RULES, 1)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            raise ArgumentError(
                f"rules are names of registered rules, or functions; got {wanted!r}. {hint}"
                f"There are {', '.join(_RULES)}."
            )
    return chosen


def judge(recording: Recording, rules: dict[str, Rule]) -> Iterator[Finding]:
    """All findings: errors first, and causes before their effects."""
    with np.errstate(all="ignore"):  # what is judged may be infinite, or no number
        found = [finding for function in rules.values() for finding in function(recording)]
    told = {name for finding in found for name in finding.covers if finding.rule in _TELLS}
    found = [f for f in found if not (f.rule in _TOLD and f.module in told and _is_bad(f))]
    for severity in SEVERITIES:
        yield from (finding for finding in found if finding.severity == severity)


def _is_bad(finding: Finding) -> bool:
    return finding.severity != "note"
