"""Two reports of one network, of itself and of its conversion, and what is false in them."""

import time
import warnings
from dataclasses import dataclass, field
from typing import Any

import torch
from tests.zoo._advice import Advice
from tests.zoo._network import Network
from tests.zoo._origins import Origin, Origins
from tests.zoo._run import finite, run
from tests.zoo._statements import Statements
from tests.zoo._witness import witness
from torch import nn

import selfnorm


@dataclass
class Judged:
    """What is false in the reports of one network.

    Attributes:
        package: Of the network.
        name: Of the network.
        skipped: Why it was not judged; else "".
        false: By report, "before" or "after" a conversion with example: statements that are false.
        failing: The same of fixes that do not mend what they are about.
        findings: How many findings each has.
        followed: How many of their fixes could be followed by a machine.
        unheld: How many findings no check knows.
        texts: The reports.
        crashed: What an audit, a conversion or a check raised.
        seconds: What all took.
    """

    package: str
    name: str
    skipped: str = ""
    false: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    failing: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    findings: dict[str, int] = field(default_factory=dict[str, int])
    followed: int = 0
    unheld: int = 0
    texts: dict[str, str] = field(default_factory=dict[str, str])
    crashed: str = ""
    seconds: float = 0.0

    @property
    def wrong(self) -> list[str]:
        """The reports that say something false, or give a fix that does not work."""
        return [when for when in self.findings if self.false[when] or self.failing[when]]


def judge(network: Network) -> Judged:
    """Both reports of one network."""
    start, result = time.perf_counter(), Judged(network.package, network.name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        try:
            origins = Origins()
            with origins:
                model, inputs = network.make()
            model.train()
            result.skipped = "" if finite(run(model, inputs)) else "it gives infinities or nan"
        except Exception as error:
            result.skipped = f"{type(error).__name__}: {str(error)[:160]}"
        if not result.skipped:
            try:
                _report(result, "before", model, inputs, origins.of(model))
                torch.manual_seed(0)
                new, _ = selfnorm.convert(model, example=inputs)
                _report(result, "after", new, inputs, {})
            except Exception as error:
                result.crashed = f"{type(error).__name__}: {str(error)[:160]}"
    result.seconds = time.perf_counter() - start
    return result


def _report(
    result: Judged, when: str, model: nn.Module, inputs: Any, origins: dict[str, Origin]
) -> None:
    report = selfnorm.audit(model, inputs)
    statements = Statements(model, inputs, report, witness(model, inputs), origins)
    advice = Advice(model, inputs, report)
    result.false[when] = list(dict.fromkeys(statements.false()))
    result.failing[when] = list(dict.fromkeys(advice.failing()))
    result.findings[when] = len(report.findings)
    result.followed += advice.done
    result.unheld += statements.unheld
    result.texts[when] = str(report)
