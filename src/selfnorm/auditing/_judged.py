"""From what was seen to the report: prediction, rules, and the words of a framework."""

from collections.abc import Sequence
from dataclasses import replace

from selfnorm.auditing._finding import Finding
from selfnorm.auditing._predict import predict, start_of
from selfnorm.auditing._report import Report
from selfnorm.auditing._rules import Rule, judge
from selfnorm.errors import AuditError
from selfnorm.recording import Recording

Words = Sequence[tuple[str, str]]
"""What rules call a thing, and what it is called elsewhere."""


def judged(
    recording: Recording,
    rules: dict[str, Rule],
    *,
    words: Words = (),
    what: str = "model",
    strict: bool = False,
) -> Report:
    """The report of a recording.

    Raises:
        AuditError: With `strict`, if there are errors or warnings.
    """
    layers = predict(recording.layers, start_of(recording.features))
    recording = replace(recording, layers=tuple(layers))
    found = tuple(translated(finding, words) for finding in judge(recording, rules))
    report = Report(recording, found)
    if strict and not report.ok:
        told = [str(finding) for finding in report.findings if finding.severity != "note"]
        raise AuditError(
            "\n".join([f"the {what} is not self-normalizing: {len(told)} findings.", *told]),
            report,
        )
    return report


def translated(finding: Finding, words: Words) -> Finding:
    """With cause and remedy by their names in another framework."""
    seen, fix = finding.seen, finding.fix
    for theirs, ours in words:
        seen, fix = seen.replace(theirs, ours), fix.replace(theirs, ours)
    return replace(finding, seen=seen, fix=fix)
