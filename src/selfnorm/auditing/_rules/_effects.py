"""What has no effect, or can have none: outputs that nobody reads, gradients that do not arrive."""

import math
from collections.abc import Iterator

from selfnorm.auditing._finding import Finding, Severity
from selfnorm.auditing._rules._registry import rule
from selfnorm.recording import Layer, Recording
from selfnorm.recording._recording import WEIGHTED
from selfnorm.theory import selu_constants

_FLOOR = -selu_constants().saturation
_FEW = 16
_NARROWS = 2
_LISTED = 4
_FADED = 0.5  # of the units: what comes of these fades on, whatever reads them


@rule("idle-dropout")
def idle_dropout(recording: Recording) -> Iterator[Finding]:
    """Alpha dropout that is off while the model trains."""
    if not recording.idle:
        return
    named = ", ".join(list(recording.idle)[:_LISTED])
    p = max(recording.idle.values())
    yield Finding(
        "idle-dropout",
        "warning",
        next(iter(recording.idle)).rpartition(".")[0],
        f"{named} with p = {p:g} is off in training: it was called without training=True",
        "dropout that acts in training and not in evaluation",
        "torch.nn.functional.alpha_dropout has training=False by default, other than "
        "torch.nn.functional.dropout, so that it passes everything on.",
        "Pass training=self.training, or take selfnorm.nn.AlphaDropout(p).",
    )


@rule("unread-layer")
def unread_layer(recording: Recording) -> Iterator[Finding]:
    """A layer whose output nothing reads."""
    for index in recording.unread:
        layer = recording.layers[index]
        if layer.role != "activation" and layer.role not in WEIGHTED:
            continue
        yield Finding(
            "unread-layer",
            "warning",
            layer.module,
            f"nothing reads what {layer.name} puts out, and the model does not return it",
            "each layer's output is read",
            "A layer that nothing reads has no effect: its result was dropped or overwritten.",
            f"Use its result, as in x = {layer.activation or 'layer'}(x), or take it out.",
        )


@rule("constant-output")
def constant_output(recording: Recording) -> Iterator[Finding]:
    """A layer that gives one value, whatever it reads."""
    for layer in constants(recording):
        units = len(layer.unit_means)
        yield Finding(
            "constant-output",
            "error",
            layer.module,
            f"{layer.name} ({layer.kind}) gives "
            f"{f'each of its {units} units' if units > 1 else 'its'} "
            f"one value in all {recording.rows} rows",
            "values that vary with what it reads",
            "What never changes passes no information and no gradient: a normalization or a "
            "softmax over one number gives the same whatever that is.",
            f"Take {layer.name} out, or let it go over more than one number.",
        )
        return  # what lies behind follows from it


def constants(recording: Recording) -> Iterator[Layer]:
    """Layers that give one value, though what they read varies, and that are not meant to."""
    for layer in recording.layers:
        sources = recording.sources(layer)
        varies = [s for s in sources if s.variance > 0] or (
            recording.reads_input(layer) and any(f.variance > 0 for f in recording.features)
        )
        by_zeros = layer.role in {*WEIGHTED, "embedding", "scale"}  # of which zeros are often meant
        if not layer.dead >= 1 or not varies or by_zeros:
            continue
        if sources and all(source.dead > _FADED for source in sources):
            continue  # as behind many layers of small weights
        if layer.silent or _is_of_data(recording, layer):
            continue  # as the last normalization of a branch that starts at nothing
        if not math.isfinite(layer.variance):
            continue
        yield layer


@rule("no-gradient")
def no_gradient(recording: Recording) -> Iterator[Finding]:
    """Layers that could learn, and that no gradient reaches."""
    could = [layer for layer in recording.layers if _could_learn(layer)]
    without = [layer for layer in could if math.isnan(layer.gradient)]
    if not could or recording.failure or any(layer.non_finite for layer in could):
        return  # what is no number has no gradient either
    if len(without) == len(could):
        yield Finding(
            "no-gradient",
            "warning",
            "",
            "no gradient arrived at any layer, so that gradients were not judged",
            "an output that depends on the weights",
            "Gradients are followed from the floating-point tensors that the model returns, or "
            "from the loss.",
            "Return tensors (in tuples, lists, dictionaries or dataclasses), or pass loss=...",
        )
        return
    outputs = [recording.layers[index] for index in recording.outputs]
    useful = {layer.index for end in outputs for layer in recording.before(end)}
    cut = [layer for layer in without if layer.index in useful]
    if not cut:
        return
    last = cut[-1]
    yield Finding(
        "no-gradient",
        "warning",
        last.module,
        f"no gradient reaches {last.name}"
        + (f" and {len(cut) - 1} layers before it" if len(cut) > 1 else "")
        + ", though their weights may learn",
        "gradients in all layers that learn",
        "Something behind it cuts the graph: detach(), torch.no_grad(), .data, argmax or a round "
        "trip through NumPy.",
        f"Take out what cuts it behind {last.name}; or freeze these weights by "
        "requires_grad_(False), if it is meant.",
    )


@rule("bounded-output")
def bounded_output(recording: Recording) -> Iterator[Finding]:
    """SELU on what the model predicts, which ends at -1.758."""
    for index in recording.outputs:
        layer = recording.layers[index]
        origin = layer if layer.activation == "selu" else recording.origin(layer)
        if origin is None or origin.activation != "selu" or recording.hidden(origin):
            continue
        units, lowest = len(origin.unit_means), recording.lowest_target
        narrowed = _narrows(recording, origin)
        below = lowest < _FLOOR
        if not below and not (units <= _FEW and narrowed):
            continue
        severity: Severity = "error" if below else "warning" if units == 1 else "note"
        yield Finding(
            "bounded-output",
            severity,
            origin.module,
            f"SELU ({origin.name}) is the last layer of the model's {units} "
            f"output{'s' if units != 1 else ''}"
            + (f", and targets go down to {lowest:.3g}" if below else ""),
            "a linear last layer",
            f"SELU gives nothing below {_FLOOR:.4g}, so that lower targets cannot be reached "
            "(Klambauer et al. 2017, Eq. 2).",
            f"Take {origin.name} out, if these are predictions.",
        )


def _is_of_data(recording: Recording, layer: Layer) -> bool:
    """Whether one value is the data's doing, as degrees of a regular graph are.

    A normalization or an activation that gives one value, whatever it reads, is not.
    """
    if layer.role in {"normalization", "activation"}:
        return False
    return not any(one.weights for one in recording.before(layer))


def _could_learn(layer: Layer) -> bool:
    return layer.role in WEIGHTED and any(not weights.frozen for weights in layer.weights)


def _narrows(recording: Recording, layer: Layer) -> bool:
    """Whether the weights before it have fewer units than inputs, as those of a last layer."""
    before = recording.origin(layer)
    if before is None or not before.weights:
        return False
    return len(layer.unit_means) * _NARROWS <= before.weights[0].fan_in
