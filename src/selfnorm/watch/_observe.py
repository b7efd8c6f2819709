"""The layers of one pass in few figures: moments, weights, gradients."""

import math
from collections.abc import Collection, Iterable, Sequence

import numpy as np
import torch
from torch import nn

from selfnorm._parameters import Names
from selfnorm._seeded import devices_of
from selfnorm.errors import ArgumentError, UnsupportedError
from selfnorm.recording import Observation
from selfnorm.recording._layer import INPUT
from selfnorm.recording._quiet import quiet
from selfnorm.recording._recording import WEIGHTED
from selfnorm.watch._batches import batches, check_inputs, tensors_of
from selfnorm.watch._draft import Draft
from selfnorm.watch._trace import Trace
from selfnorm.watch._untouched import untouched
from selfnorm.watch._wrapped import eager, inner

ROLES = frozenset({"linear", "activation", "recurrent", "attention", "embedding", "addition"})
"""What is observed of a model: layers that weigh, bend or join."""


def observe(
    model: nn.Module,
    inputs: object,
    *,
    roles: Collection[str] = ROLES,
    own_random: bool = False,
) -> tuple[Observation, ...]:
    """Mean, variance, omega and tau of each layer in one forward pass, without gradients.

    The pass is in training mode, as training sees the layers. Hooks, modes, buffers (batch
    normalization's statistics) and random numbers are afterwards as before, also after an error.

    Args:
        model: The model; compiled and parallel ones are looked at from inside.
        inputs: What it is called with, as for `selfnorm.audit`; of a loader, the first batch.
        roles: Which layers, as in `Layer.role`: `("activation",)` for activations alone.
        own_random: The model draws random numbers from generators that its modules hold alone, as
            `selfnorm.nn.AlphaDropout(generator=...)`: those of the process are not touched, and
            other threads may draw from them.

    Returns:
        An `Observation` for each use of a layer, in the order in which they run.

    Raises:
        UnsupportedError: `model` is not a module, or `inputs` are of none of the kinds.
        ArgumentError: There is nothing in `inputs`, or `roles` are not names.

    Example:
        >>> import selfnorm
        >>> model = selfnorm.nn.MLP(64, 10, width=256, depth=8)
        >>> layers = observe(model, torch.randn(512, 64), roles=("activation",))
        >>> [layer.layer for layer in layers][:2], all(0.7 < k.variance < 1.4 for k in layers)
        (['selu1', 'selu2'], True)
    """
    if not isinstance(model, nn.Module):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UnsupportedError(
            f"observe runs a torch.nn.Module; got {type(model).__name__}. Pass the network."
        )
    if not Names().holds(roles):
        raise ArgumentError(
            f"roles must be {Names()}; got {roles!r}. Those of layers are {', '.join(ROLES)}."
        )
    check_inputs(inputs)
    watched = inner(model)
    trace = Trace(watched, light=True)
    batch = next(batches(inputs))
    devices = devices_of(watched, tensors_of(inputs))
    with untouched(watched, devices, own_random=own_random), eager(watched), torch.no_grad():
        watched.train()
        trace.feed((batch.args, batch.kwargs))
        with trace.watching():
            watched(*batch.args, **batch.kwargs)
    return tuple(observations(trace, 0, frozenset(roles)))


def observations(trace: Trace, step: int, roles: frozenset[str] = ROLES) -> list[Observation]:
    """What a trace has seen, once gradients, if there are any, have arrived."""
    drafts = list(trace.drafts.values())
    norms = {draft.index: draft.moments.gradient()[1] for draft in drafts}
    hidden = _hidden(drafts)
    return [
        _observation(draft, step, norms, hidden=draft.index in hidden)
        for draft in drafts
        if draft.call.role in roles
    ]


def _hidden(drafts: Sequence[Draft]) -> set[int]:
    """Layers behind which, however far, another has weights."""
    found: set[int] = set()
    for draft in reversed(drafts):
        if draft.call.role in WEIGHTED or draft.index in found:
            found |= set(draft.inputs)
    return found


@quiet
def _observation(draft: Draft, step: int, norms: dict[int, float], *, hidden: bool) -> Observation:
    mean, variance = draft.moments.overall()
    rms, norm = draft.moments.gradient()
    sources = [norms[i] for i in draft.inputs if i != INPUT]
    ratio = sources[0] / norm if len(sources) == 1 and norm > 0 else np.nan
    weights = draft.weights
    return Observation(
        step=step,
        layer=draft.name or "model",
        kind=draft.kind,
        mean=mean,
        variance=variance,
        omega=math.sqrt(_mean(float(w.omega @ w.omega) / w.omega.size for w in weights)),
        tau=_mean(float(w.tau.sum()) / w.tau.size for w in weights),
        gradient=rms,
        gain=ratio * ratio,
        gram_error=_largest(w.gram_error for w in weights) if hidden else math.nan,
    )


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found) if found else math.nan


def _largest(values: Iterable[float]) -> float:
    """The largest; nan if there is none, or one is nan."""
    found = list(values)
    return max(found) if found and not any(map(math.isnan, found)) else math.nan
