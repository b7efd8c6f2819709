"""Is this model self-normalizing, and why not?"""

import warnings
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, contextmanager
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from selfnorm._given import leaves
from selfnorm._seeded import devices_of, seeded
from selfnorm.audit._batches import Batch, batches, check_inputs, generators_of
from selfnorm.audit._calls import is_float
from selfnorm.audit._layer import INPUT, Layer
from selfnorm.audit._moments import QUIET
from selfnorm.audit._predict import Units, predict
from selfnorm.audit._recording import Recording
from selfnorm.audit._report import Report
from selfnorm.audit._rules import Rule, judge, select
from selfnorm.audit._trace import Draft, Trace, inner
from selfnorm.audit._untouched import untouched
from selfnorm.errors import ArgumentError, AuditError, UnsupportedError

Loss = Callable[..., Tensor]
_SEED = 0


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
        >>> import selfnorm
        >>> model = selfnorm.nn.MLP(64, 10, width=256, depth=8)
        >>> audit(model, torch.randn(512, 64)).ok
        True
        >>> _ = nn.init.kaiming_normal_(model.linear3.weight)
        >>> audit(model, torch.randn(512, 64)).findings[0].rule
        'wrong-init'
    """
    chosen = select(rules)
    check_inputs(inputs)
    if not isinstance(model, nn.Module):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UnsupportedError(
            f"audit looks at a torch.nn.Module; got {type(model).__name__}. "
            "Of an estimator or a model folder pass the network, or use `selfnorm audit`."
        )
    wrapped = inner(model)
    _check(wrapped)
    recording = _record(wrapped, inputs, loss)
    report = Report(recording, tuple(judge(recording, chosen)))
    if strict and not report.ok:
        found = [str(finding) for finding in report.findings if finding.severity != "note"]
        raise AuditError(
            "\n".join([f"the model is not self-normalizing: {len(found)} findings.", *found]),
            report,
        )
    return report


def _check(model: nn.Module) -> None:
    tensors = dict(model.named_parameters()) | dict(model.named_buffers())
    lazy = [name for name, tensor in tensors.items() if is_lazy(tensor)]
    meta = [name for name, tensor in tensors.items() if name not in lazy and tensor.is_meta]
    if lazy:
        raise ArgumentError(
            f"an audit leaves the model as it is, and lazy parameters have no shape yet: "
            f"{', '.join(lazy)}. Run one batch through the model first."
        )
    if meta:
        raise ArgumentError(
            f"an audit computes, and parameters on the meta device hold no numbers: "
            f"{', '.join(meta[:5])}. Call to_empty and initialize them first."
        )


def _record(model: nn.Module, inputs: object, loss: Loss | None) -> Recording:
    """Run the batches and put together what was seen."""
    given = [v for v in leaves(inputs) if isinstance(v, Tensor)]
    devices = devices_of(model, given)
    held = next(iter((*model.parameters(), *model.buffers())), None)
    device = held.device if held is not None else (given[0].device if given else "cpu")
    own = generators_of(inputs)
    with untouched(model, devices, generators=own), _eager(model), torch.inference_mode(False):
        model.train()
        with torch.enable_grad():
            found = _run_all(model, inputs, torch.device(device), devices, loss)
            trace, rows, outputs, failure = found
    if not rows:
        raise ArgumentError(
            "inputs must hold at least one row; the loader gave none. Check its length."
        )
    layers = _layers(trace)
    features = trace.features()
    start = _start(trace)
    return Recording(
        model=type(model).__name__,
        layers=tuple(predict(layers, start)),
        features=features,
        outputs=tuple(index for index in outputs if index != INPUT),
        unused={
            name: type(module).__name__
            for name, module in model.named_modules()
            if name not in trace.ran and not any(module.children()) and name
        },
        rows=rows,
        failure=failure,
    )


def _run_all(
    model: nn.Module,
    inputs: object,
    device: torch.device,
    devices: set[torch.device],
    loss: Loss | None,
) -> tuple[Trace, int, tuple[int, ...], str]:
    """All batches; on copies of the inputs only if the model writes into them."""
    for copied in (False, True):
        trace, rows, outputs, failure = Trace(model), 0, (), ""
        try:
            with seeded(_SEED, devices):
                for found in batches(inputs):
                    batch = found.prepared(device, copied=copied)
                    rows += batch.rows
                    outputs, failure = _run(model, trace, batch, loss)
        except RuntimeError as error:
            if copied or "leaf Variable that requires grad" not in str(error):
                raise
            continue
        break
    return trace, rows, outputs, failure  # pyright: ignore[reportPossiblyUnboundVariable]


def _run(
    model: nn.Module, trace: Trace, batch: Batch, loss: Loss | None
) -> tuple[tuple[int, ...], str]:
    """Forward and backward; the layers of the output, and what broke the backward pass."""
    trace.feed((batch.args, batch.kwargs))
    with trace.watching():
        output = model(*batch.args, **batch.kwargs)
    sources = trace.sources(output)
    if loss is None:
        ends = [v for v in leaves(output) if is_float(v) and v.requires_grad]
        starts = [torch.randn_like(end) for end in ends]
    else:
        value = loss(output) if batch.target is None else loss(output, batch.target)
        ends, starts = [_checked(value)], None
    targets = [*batch.leaves, *trace.anchors]
    targets = targets or [p for p in model.parameters() if p.requires_grad]
    if not ends or not targets:
        return sources, ""
    try:
        given = torch.autograd.grad(ends, targets, starts, allow_unused=True)
        found = cast("tuple[Tensor | None, ...]", given)
    except RuntimeError as error:
        if "modified by an inplace operation" not in str(error):
            raise
        return sources, str(error).split(". Hint", maxsplit=1)[0]
    for leaf, gradient in zip(batch.leaves, found, strict=False):
        if gradient is not None and leaf.numel():
            trace.input_gradient.add_gradient(gradient)
    return sources, ""


def _checked(value: Any) -> Tensor:
    if not isinstance(value, Tensor) or value.numel() != 1 or not value.requires_grad:
        came = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise ArgumentError(
            f"loss must give a scalar tensor that depends on the model's output; got {came}. "
            "Reduce it, as with .mean()."
        )
    return value


def _start(trace: Trace) -> Units:
    """The moments that predictions start from: those of the input as the first layer reads it."""
    for reading in trace.features():
        return Units(np.array([reading.mean]), np.array([reading.variance]))
    return Units(np.array([np.nan]), np.array([np.nan]))


@QUIET
def _layers(trace: Trace) -> list[Layer]:
    drafts = list(trace.drafts.values())
    gradients = [draft.moments.gradient() for draft in drafts]
    arriving, _ = trace.input_gradient.gradient()
    by_index = {INPUT: arriving} | {d.index: g for d, (g, _) in zip(drafts, gradients, strict=True)}
    return [
        _layer(draft, *gradient, by_index)
        for draft, gradient in zip(drafts, gradients, strict=True)
    ]


def _layer(draft: Draft, gradient: float, norm: float, by_index: dict[int, float]) -> Layer:
    mean, variance = draft.moments.overall()
    means, variances = draft.moments.units()
    arriving = [by_index[index] for index in draft.inputs]
    settings = dict(draft.call.settings)
    if draft.overwritten_by is not None:
        settings["overwritten_by"] = draft.overwritten_by
    return Layer(
        index=draft.index,
        name=draft.name,
        module=draft.module,
        kind=draft.kind,
        role=draft.call.role,
        activation=draft.call.activation,
        use=draft.use,
        inputs=draft.inputs,
        shape=draft.shape,
        dtype=draft.dtype,
        mean=mean,
        variance=variance,
        unit_means=means,
        unit_variances=variances,
        dead=draft.moments.dead(),
        saturated=draft.sample.saturated,
        kurtosis=draft.sample.kurtosis,
        correlation=draft.sample.correlation,
        correlation_size=draft.sample.correlation_size,
        non_finite=draft.moments.non_finite,
        gradient=gradient,
        gradient_in=float(np.sqrt(np.mean(np.square(arriving)))) if arriving else np.nan,
        gradient_norm=norm,
        histogram=draft.sample.histogram,
        weights=draft.weights,
        bias=draft.bias,
        settings=settings,
    )


@contextmanager
def _eager(model: nn.Module) -> Generator[None]:
    """Compiled parts run as they were written, so that hooks and functions are seen."""
    compiled = any(
        hasattr(module, "_orig_mod") or vars(module).get("_compiled_call_impl") is not None
        for module in model.modules()
    )
    with ExitStack() as stack:
        if compiled:
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(warnings.catch_warnings())
        # torch warns of full backward hooks of others that see no gradient by the inputs.
        warnings.filterwarnings("ignore", message="Full backward hook is firing")
        yield
