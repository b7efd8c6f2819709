"""Is this model self-normalizing, and why not?"""

from collections.abc import Callable, Iterable

from torch import Tensor, nn

from selfnorm.auditing._judged import judged
from selfnorm.auditing._report import Report
from selfnorm.auditing._rules import Rule, select
from selfnorm.errors import ArgumentError, UnsupportedError
from selfnorm.watch import record

Loss = Callable[..., Tensor]


def audit(
    model: nn.Module,
    inputs: object,
    *,
    loss: Loss | None = None,
    strict: bool = False,
    rules: Iterable[str | Rule] | None = None,
) -> Report:
    r"""Is this model self-normalizing, and if not, why not and what to do?

    One forward and one backward pass, in training mode, record of every layer (module or function
    called in a `forward`) what arrives and what comes out; the theory says what its weights should
    make of that; rules compare, and name causes.

    **The model is left as it was**: hooks, modes, gradients, buffers, random numbers and devices,
    also after an error. Other people's hooks run. No parameter's gradient is computed.

    Compiled models and `DataParallel` are looked at from inside: what they wrap is audited.

    Args:
        model: Any `torch.nn.Module`. Its parameters may be frozen, shared, or of half precision.
        inputs: What the model is called with: a tensor, a tuple of arguments, a dictionary of
            keyword arguments, or a `DataLoader`, of which four batches are taken; a loader's batch
            `(x, ..., y)` ends with the target, which goes to `loss`. Some hundred rows of **real**
            data say most; random numbers of mean 0 and variance 1 say whether the model is right
            but nothing of the data.
        loss: `loss(output)`, or `loss(output, target)` with a loader that has targets: a scalar to
            differentiate. Without it gradients start from random numbers.
        strict: Raise `AuditError` if there are errors or warnings.
        rules: Names of rules, or functions, to judge by; all that are registered if None.

    Returns:
        A `Report`. `print` shows it, `to_html` writes it as a page, `ok` says whether all is well.

    Raises:
        UnsupportedError: `model` is not a module, or `inputs` are of none of the kinds.
        ArgumentError: There is nothing in `inputs`, the model has lazy or meta parameters, the loss
            is not a scalar, or a rule does not exist.
        AuditError: With `strict`; its `report` holds the report.

    Source: Klambauer et al. 2017, Eq. 4, 5 and theorem 1, and for gradients Schoenholz et al. 2017.

    Example:
        >>> import selfnorm, torch
        >>> model = selfnorm.nn.MLP(64, 10, width=256, depth=8)
        >>> audit(model, torch.randn(512, 64)).ok
        True
        >>> _ = nn.init.kaiming_normal_(model.linear3.weight)
        >>> audit(model, torch.randn(512, 64)).findings[0].rule
        'wrong-init'
    """
    chosen = select(rules)
    if not isinstance(model, nn.Module):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UnsupportedError(
            f"audit looks at a torch.nn.Module; got {type(model).__name__}. "
            "Of an estimator or a model folder pass the network, or use `selfnorm audit`."
        )
    if loss is not None and not callable(loss):
        raise ArgumentError(
            f"loss is a function of the output, and of the target of a loader; got {loss!r}. Pass "
            "for example torch.nn.functional.cross_entropy."
        )
    return judged(record(model, inputs, loss), chosen, strict=strict)
