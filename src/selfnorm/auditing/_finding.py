"""What an audit has to say, one sentence at a time."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One departure from what self-normalization asks for, or something to know.

    Attributes:
        rule: Name of the rule that found it, as in the documentation: `wrong-init`.
        severity: "error": mean and variance are not kept. "warning": they are at risk, or the
            theory's conditions do not hold. "note": true and worth knowing, no reason to act.
        module: Qualified name of the module, as `named_modules` gives it; "" for the model.
        seen: What was found, with figures.
        expected: What self-normalization asks for instead.
        why: Why it matters, in one sentence with its source.
        fix: What to do.
        covers: Modules that a finding about the whole model speaks of.
    """

    rule: str
    severity: Severity
    module: str
    seen: str
    expected: str
    why: str
    fix: str
    covers: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = self.module or "model"
        return f"{self.severity}: {where}: {self.seen} ({self.rule}). {self.fix}"
