"""Findings of one rule told once, with all the modules that they are about."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from selfnorm.auditing._finding import SEVERITIES, Finding, Severity
from selfnorm.auditing._rules._functions import is_torchs_block
from selfnorm.recording import Layer, Recording

_CONVERSION = re.compile(r"selfnorm\.(?:keras\.)?convert\(model\)")


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
    if not judged and (other := _other_network(recording, findings, said)):
        return other
    if counts["error"]:
        return f"Not self-normalizing: {said}."
    if not judged:
        return f"Nothing here that the theory covers: no SELU between layers with weights; {said}."
    if counts["warning"]:
        return f"Self-normalization is at risk: {said}."
    return f"Self-normalizing: {said}."


def _other_network(recording: Recording, findings: Sequence[Finding], said: str) -> str:
    """That a network of other activations is none of SELU, and what makes it one; else ""."""
    found = [finding for finding in findings if finding.rule == "wrong-activation"]
    wrong = {finding.module for finding in found}
    made = [layer for layer in recording.of("activation") if layer.module in wrong]
    if not made:
        return ""
    kinds = Counter(layer.activation for layer in made).most_common(3)
    said = f"Not a SELU network: it has {', '.join(f'{n} {name}' for name, n in kinds)}; {said}."
    if all(map(is_torchs_block, made)):
        return f"{said} selfnorm.convert leaves torch's own Transformer layers as they are."
    lines = (line[0] for finding in found if (line := _CONVERSION.match(finding.fix)))
    line = next(lines, "")
    if not line:
        return f"{said} SELU in their place makes it one."
    traced = "keras" not in line and any(layer.kind.endswith("()") for layer in made)
    return f"{said} {line} makes it one{', where it can trace the forward' if traced else ''}."


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
