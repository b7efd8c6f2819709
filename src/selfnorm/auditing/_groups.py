"""Findings of one rule told once, with all the modules that they are about."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from selfnorm.auditing._finding import SEVERITIES, Finding, Severity
from selfnorm.recording import Layer, Recording

_CONVERT, _INITIALIZE = "selfnorm.convert(model", "selfnorm.init.initialize_(model"
_ONE = "selfnorm.init.lecun_normal_(model.get_parameter"
_LISTED = 6
_POINTING = ("See the ", "Mend ", "Look at ")  # words of a fix that is another finding's


@dataclass(frozen=True)
class Group:
    """Findings of one rule and severity.

    Attributes:
        findings: At least one; the first speaks for all.
    """

    findings: tuple[Finding, ...]

    @property
    def first(self) -> Finding:
        """The one that speaks for all."""
        return self.findings[0]

    @property
    def modules(self) -> list[str]:
        """Their modules, each once."""
        return list(
            dict.fromkeys(name for f in self.findings for name in (f.covers or (f.module,)))
        )


def groups(findings: Sequence[Finding]) -> list[Group]:
    """Findings by severity and rule, in the order in which each rule first appears."""
    found: dict[tuple[Severity, str], list[Finding]] = {}
    for finding in findings:
        found.setdefault((finding.severity, finding.rule), []).append(finding)
    return [
        Group(tuple(members))
        for severity in SEVERITIES
        for (of, _), members in found.items()
        if of == severity
    ]


def count(findings: Sequence[Finding]) -> dict[str, int]:
    """How many there are of each severity."""
    found = Counter(finding.severity for finding in findings)
    return {severity: found[severity] for severity in SEVERITIES}


def verdict(recording: Recording, findings: Sequence[Finding]) -> str:
    """In words: how many findings of each severity, and what that means.

    A network without SELU is none that normalizes itself, whatever else is right of it.
    """
    counts = count(findings)
    named = [f"{n} {word}{'s' if n != 1 else ''}" for word, n in counts.items() if n]
    said = ", ".join(named) or "no findings"
    judged = [layer for layer in recording.selus if recording.hidden(layer)]
    wrong = {finding.module for finding in findings if finding.rule == "wrong-activation"}
    others = Counter(one.activation for one in recording.of("activation") if one.module in wrong)
    if others and not judged:
        kinds = ", ".join(f"{n} {name}" for name, n in others.most_common(3))
        made = [o for o in recording.of("activation") if o.module in wrong]
        if all(o.settings.get("by_hand") for o in made):
            return f"Not a SELU network: it has {kinds}; {said}. SELU in their place makes it one."
        called = any(o.kind.endswith("()") for o in made)
        how = "makes it one, where it can trace the forward" if called else "makes it one"
        return f"Not a SELU network: it has {kinds}; {said}. selfnorm.convert(model) {how}."
    if counts["error"]:
        return f"Not self-normalizing: {said}."
    if not judged:
        return f"Nothing here that the theory covers: no SELU between layers with weights; {said}."
    if counts["warning"]:
        return f"Self-normalization is at risk: {said}."
    return f"Self-normalizing: {said}."


def actions(findings: Sequence[Finding]) -> list[str]:
    """What to do about errors and warnings, each once, in the order of causes before effects.

    What only points to another finding is left out where there is one.
    """
    fixes: dict[str, str] = {}
    for group in groups(findings):
        fix = group.first.fix
        if group.first.severity != "note":
            fixes.setdefault(fix.split(")")[0], _for_all(group))
    by_name = any(call.startswith(f"{_INITIALIZE}, fan_in") for call in fixes)
    if by_name or any(call.startswith(_CONVERT) and "init=None" not in call for call in fixes):
        fixes.pop(_INITIALIZE, None)
    if by_name:  # which draws each of them
        fixes = {call: fix for call, fix in fixes.items() if not call.startswith(_ONE)}
    said = list(fixes.values())
    parts = {one for one in said for other in said if one != other and one.rstrip(".") in other}
    direct = [fix for fix in said if not fix.startswith(_POINTING) and fix not in parts]
    return direct or list(fixes.values())


def _for_all(group: Group) -> str:
    """The first finding's fix, and of which others it is true, if it names the first's module."""
    first, (_, *others) = group.first, group.modules
    if not others or not first.module or first.module not in re.split(r"[ ,;:]", first.fix):
        return first.fix
    more = f" and {len(others) - _LISTED} more" if len(others) > _LISTED else ""
    return f"{first.fix} Likewise {', '.join(others[:_LISTED])}{more}."


def marks(layers: Sequence[Layer], findings: Sequence[Finding]) -> dict[int, Severity]:
    """The worst severity that is said of each layer."""
    worst: dict[str, Severity] = {}
    for finding in reversed(findings):  # the first is the worst
        for module in finding.covers or (finding.module,):
            worst[module] = finding.severity
    worst.pop("", None)
    return {
        layer.index: worst[layer.module]
        for layer in layers
        if layer.module in worst and worst[layer.module] != "note"
    }


def shorten(name: str, width: int) -> str:
    """A long name with its middle left out."""
    if len(name) <= width:
        return name
    head = (width - 1) // 2
    return f"{name[:head]}…{name[-(width - 1 - head) :]}"
