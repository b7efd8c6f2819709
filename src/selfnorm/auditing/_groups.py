"""Findings of one rule told once, with all the modules that they are about."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from selfnorm.auditing._finding import SEVERITIES, Finding, Severity
from selfnorm.recording import Layer


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
        return list(dict.fromkeys(finding.module for finding in self.findings))


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


def verdict(counts: dict[str, int]) -> str:
    """In words: how many findings of each severity, and what that means."""
    named = [f"{n} {word}{'s' if n != 1 else ''}" for word, n in counts.items() if n]
    said = ", ".join(named) or "no findings"
    if counts["error"]:
        return f"Not self-normalizing: {said}."
    if counts["warning"]:
        return f"Self-normalization is at risk: {said}."
    return f"Self-normalizing: {said}."


def marks(layers: Sequence[Layer], findings: Sequence[Finding]) -> dict[int, Severity]:
    """The worst severity that is said of each layer."""
    worst: dict[str, Severity] = {}
    for finding in reversed(findings):  # the first is the worst
        if finding.module:
            worst[finding.module] = finding.severity
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
