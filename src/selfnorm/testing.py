"""Assertions for the tests of your own networks."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from torch import Tensor, nn

from selfnorm.auditing import Report, audit
from selfnorm.auditing._rules import select

__all__ = ["assert_self_normalizing"]


def assert_self_normalizing(
    model: nn.Module,
    inputs: object,
    *,
    loss: Callable[..., Tensor] | None = None,
    allow: Iterable[str] = (),
) -> Report:
    """Fail with the audit's report unless a network is self-normalizing.

    For pytest or any other runner. Notes do not fail; the model is left as it was.

    Args:
        model: As for `selfnorm.audit`.
        inputs: What the model is called with, as for `selfnorm.audit`; some hundred rows.
        loss: As for `selfnorm.audit`.
        allow: Names of rules whose findings are accepted, each with its reason in your test.

    Returns:
        The report.

    Raises:
        AssertionError: With the report as its message: the verdict, what to do, the findings, and
            what every layer does.
        ArgumentError: `allow` has a name that no rule has, or `inputs` are none.

    Example:
        >>> import selfnorm, torch
        >>> model = selfnorm.nn.MLP(64, 10, width=256, depth=8)
        >>> report = assert_self_normalizing(model, torch.randn(512, 64))
        >>> _ = nn.init.kaiming_normal_(model.linear3.weight)
        >>> assert_self_normalizing(model, torch.randn(512, 64))
        Traceback (most recent call last):
        ...
        AssertionError: Audit of MLP: 17 layers, 512 rows
        ...
    """
    __tracebackhide__ = True  # pytest shows the caller's line
    allowed = select(allow)
    report = audit(model, inputs, loss=loss)
    held = tuple(found for found in report.findings if found.rule not in allowed)
    report = replace(report, findings=held)
    if not report.ok:
        raise AssertionError(str(report))
    return report
