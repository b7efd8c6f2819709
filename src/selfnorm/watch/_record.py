"""One pass of a model over what it is given, forward and backward, as a `Recording`."""

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from selfnorm._given import generators_of, leaves
from selfnorm._seeded import devices_of, seeded
from selfnorm.errors import ArgumentError
from selfnorm.recording import Layer, Recording
from selfnorm.recording._layer import INPUT
from selfnorm.recording._quiet import quiet
from selfnorm.theory._types import FloatArray
from selfnorm.watch._batches import Batch, batches, check_inputs, tensors_of
from selfnorm.watch._calls import is_float
from selfnorm.watch._draft import Draft
from selfnorm.watch._merging import merged
from selfnorm.watch._scaled import scaled
from selfnorm.watch._trace import Trace
from selfnorm.watch._untouched import own_attributes, untouched
from selfnorm.watch._wrapped import eager, inner

Loss = Callable[..., Tensor]
_SEED = 0
_TURN = threading.RLock()
"""Audits take turns: hooks of two would see the calls of both, and both seed the process."""


def record(model: nn.Module, inputs: object, loss: Loss | None = None) -> Recording:
    """What every layer does, in training mode, to what the model is given; see `selfnorm.audit`.

    Compiled and parallel models are looked at from inside. The model is left as it was.

    Args:
        model: The model.
        inputs: What it is called with, or a `DataLoader`.
        loss: What to differentiate; random numbers if None.

    Raises:
        UnsupportedError: `inputs` are of none of the kinds.
        ArgumentError: There is nothing in `inputs`, the model has lazy or meta parameters, or the
            loss is not a scalar.
    """
    check_inputs(inputs)
    wrapped = inner(model)
    _check(wrapped)
    with _TURN:
        return _record(wrapped, inputs, loss)


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
    given = tensors_of(inputs)
    devices = devices_of(model, given)
    held = next(iter((*model.parameters(), *model.buffers())), None)
    device = held.device if held is not None else (given[0].device if given else "cpu")
    own = generators_of(inputs)
    with untouched(model, devices, generators=own), eager(model), torch.inference_mode(False):
        model.train()
        with torch.enable_grad():
            found = _run_all(model, inputs, torch.device(device), devices, loss)
            trace, rows, outputs, failure, lowest = found
    if not rows:
        raise ArgumentError(
            "inputs must hold at least one row; the loader gave none. Check its length."
        )
    drafts = scaled(merged(list(trace.drafts.values()), outputs), outputs)
    places = {INPUT: INPUT} | {
        index: place
        for place, draft in enumerate(drafts)
        for index in (draft.index, *draft.stands_for)
    }
    return Recording(
        model=type(model).__name__,
        layers=tuple(_layers(trace, drafts, places)),
        features=tuple(
            replace(f, reader=places[f.reader])
            for f in trace.readings.features()
            if f.reader in places
        ),
        outputs=tuple(places[index] for index in outputs if index != INPUT),
        unused={
            name: type(module).__name__
            for name, module in model.named_modules()
            if name not in trace.ran
            and not any(module.children())
            and name
            and not any(id(parameter) in trace.used for parameter in module.parameters())
        },
        rows=rows,
        failure=failure,
        idle=trace.idle,
        unread=tuple(
            places[draft.index]
            for draft in drafts
            if draft.index in trace.unread - {*outputs} and not draft.moments.gradient_count
        ),
        lowest_target=lowest,
    )


def _run_all(
    model: nn.Module,
    inputs: object,
    device: torch.device,
    devices: set[torch.device],
    loss: Loss | None,
) -> tuple[Trace, int, tuple[int, ...], str, float]:
    """All batches; on copies of the inputs only if the model writes into them."""
    for copied in (False, True):
        trace, rows, outputs, failure = Trace(model), 0, (), ""
        lowest = math.nan
        try:
            with seeded(_SEED, devices):
                for found in batches(inputs):
                    batch = found.prepared(device, copied=copied)
                    rows += batch.rows
                    lowest = _lowest(batch.target, lowest)
                    outputs, broken = _run(model, trace, batch, loss)
                    failure = failure or broken  # of any batch
        except RuntimeError as error:
            if copied or "leaf Variable that requires grad" not in str(error):
                raise
            continue
        break
    return trace, rows, outputs, failure, lowest  # pyright: ignore[reportPossiblyUnboundVariable]


def _lowest(target: object, before: float) -> float:
    """The smallest number of targets that are floating-point."""
    found = [float(v.min()) for v in leaves(target) if is_float(v) and v.numel()]
    return min([*found] if math.isnan(before) else [before, *found], default=before)


def _run(
    model: nn.Module, trace: Trace, batch: Batch, loss: Loss | None
) -> tuple[tuple[int, ...], str]:
    """Forward and backward; the layers of the output, and what broke the backward pass."""
    trace.feed((batch.args, batch.kwargs))
    with trace.watching():
        output = model(*batch.args, **batch.kwargs)
    sources = trace.flow.sources(output)
    if trace.unread - {*sources}:
        trace.read.update(trace.flow.sources([own_attributes(m) for m in model.modules()]))
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


@quiet
def _layers(trace: Trace, drafts: Sequence[Draft], places: Mapping[int, int]) -> list[Layer]:
    """The layers, counted anew."""
    gradients = [draft.moments.gradient() for draft in drafts]
    arriving, _ = trace.input_gradient.gradient()
    by_index = {INPUT: arriving} | {d.index: g for d, (g, _) in zip(drafts, gradients, strict=True)}
    return [
        _layer(draft, *gradient, by_index, places)
        for draft, gradient in zip(drafts, gradients, strict=True)
    ]


def _layer(
    draft: Draft,
    gradient: float,
    norm: float,
    by_index: Mapping[int, float],
    places: Mapping[int, int],
) -> Layer:
    mean, variance = draft.moments.overall()
    means, variances = draft.moments.units()
    arriving = [by_index[index] for index in draft.inputs]
    settings = dict(draft.call.settings)
    if draft.overwritten_by is not None and draft.overwritten_by in places:
        settings["overwritten_by"] = places[draft.overwritten_by]
    return Layer(
        index=places[draft.index],
        name=draft.name,
        module=draft.module,
        kind=draft.kind,
        role=draft.call.role,
        activation=draft.call.activation,
        use=draft.use,
        inputs=tuple(places[index] for index in draft.inputs),
        shape=draft.shape,
        dtype=draft.dtype,
        mean=mean,
        variance=variance,
        unit_means=means,
        unit_variances=variances,
        dead=draft.moments.dead(means, variances),
        non_finite=draft.moments.mean is not None and not math.isfinite(mean + variance),
        gradient=gradient,
        gradient_in=_root_mean_square(arriving),
        gradient_norm=norm,
        sample=draft.sample,
        data_gain=_data_gain(draft, means, variances),
        weights=draft.weights,
        bias=draft.bias,
        settings=settings,
    )


def _root_mean_square(values: Sequence[float]) -> float:
    if len(values) == 1:
        return math.sqrt(values[0] * values[0])
    return float(np.sqrt(np.mean(np.square(values)))) if values else np.nan


def _data_gain(draft: Draft, means: FloatArray, variances: FloatArray) -> float:
    """From the moments of each unit, so that the output need not be gone through once more."""
    if draft.call.role != "linear":
        return np.nan
    bias = draft.bias if len(draft.bias) == len(means) else np.zeros(len(means))
    terms = np.float64(draft.terms) / (draft.moments.rows * len(means))
    return float(np.mean(variances + (means - bias) ** 2) / terms)
