"""Dropout: which one, where, and how much of it a depth can take."""

import math
from collections.abc import Iterator

from selfnorm.auditing._finding import Finding
from selfnorm.auditing._rules._registry import rule
from selfnorm.recording import Recording
from selfnorm.theory import alpha_dropout_affine, gradient_gain, selu_constants
from selfnorm.theory import dropout_budget as dropout_budget_of

_FAR, _TOO_FAR = 10.0, 100.0
_SATURATION = selu_constants().saturation


@rule("plain-dropout")
def plain_dropout(recording: Recording) -> Iterator[Finding]:
    """Dropout that sets units to 0 behind a SELU, or in front of one."""
    for layer in recording.of("dropout"):
        origin = recording.origin(layer)
        behind = origin is not None and origin.activation == "selu"
        before = origin is not None and origin.role == "linear" and recording.feeds_selu(layer)
        if not (behind or before):  # on attention's weights, sums, inputs: alpha dropout fits none
            continue
        p = float(layer.settings["p"])
        growth = 1 / (1 - p) if p < 1 else math.inf
        yield Finding(
            "plain-dropout",
            "error",
            layer.module,
            f"{layer.kind} with p = {p:g} {'behind' if behind else 'in front of'} a SELU: variance "
            f"{layer.variance:.3g}",
            "AlphaDropout directly behind SELU, which keeps mean 0 and variance 1",
            f"Dropout multiplies the second moment by 1/(1-p) = {growth:.3g} in training "
            "(Klambauer et al. 2017, section 2, new dropout technique).",
            f"selfnorm.nn.SELUAlphaDropout({p:g}) in place of the two, or AlphaDropout behind "
            "SELU.",
        )


@rule("alpha-dropout-misplaced")
def alpha_dropout_misplaced(recording: Recording) -> Iterator[Finding]:
    """Alpha dropout where its value for dropped units is not the activation's lowest."""
    for layer in recording.of("alpha dropout"):
        origin = recording.origin(layer)
        if origin is None or origin.activation == "selu":
            continue
        if origin.role == "activation":
            what = f"after {origin.activation}, whose lowest value is not {_SATURATION:.4g}"
        elif origin.role == "linear" and recording.feeds_selu(layer):
            what = f"between {origin.name} and its SELU"
        else:
            continue
        yield Finding(
            "alpha-dropout-misplaced",
            "error" if origin.role == "activation" else "warning",
            layer.module,
            f"{layer.kind} stands {what}; mean {layer.mean:+.3g}, variance {layer.variance:.3g}",
            "AlphaDropout directly behind SELU",
            "Alpha dropout sets units to SELU's saturation, -lambda alpha, and corrects for inputs "
            "of mean 0 and variance 1 (Klambauer et al. 2017, new dropout technique).",
            "selfnorm.nn.SELUAlphaDropout(p) in place of the two, or plain Dropout after "
            "another activation.",
        )


@rule("dropout-budget")
def dropout_budget(recording: Recording) -> Iterator[Finding]:
    """More alpha dropout than the gradients of so deep a network survive."""
    drops = [
        float(layer.settings["p"])
        for layer in recording.layers
        if layer.settings.get("p", 0.0) > 0
        and (layer.role == "alpha dropout" or layer.activation == "selu")
        and (layer.activation == "selu" or recording.origin(layer) is not None)
        and recording.hidden(layer)
    ]
    depth, selus = recording.depth, len(recording.selus)
    if not drops or depth < 1:
        return
    share = depth / max(selus, 1)  # of the layers that one path passes
    change = depth * math.log(gradient_gain())
    change += share * sum(_log_loss(p) for p in drops)
    factor = math.exp(change / 2)
    if factor > 1 / _FAR:
        return
    worst = max(drops)
    yield Finding(
        "dropout-budget",
        "error" if factor < 1 / _TOO_FAR else "warning",
        "",
        f"p = {worst:g} over {depth} layers leaves {factor:.2g} of the gradient's size",
        f"p <= {affordable(depth):.2g} for {depth} layers: no less than a tenth",
        f"A layer multiplies the gradient's second moment by "
        f"{gradient_gain():.5g}/(1 + {_SATURATION**2:.5g} p): by "
        f"{gradient_gain(min(worst, 0.999)):.3g} for p = {worst:g} (mean-field theory, Schoenholz "
        "et al. 2017, with the slope of SELU).",
        f"Lower p to {affordable(depth):.2g}, or use dropout in some of the layers only.",
    )


def affordable(depth: int) -> float:
    """The most dropout for so many layers, in full hundredths."""
    return math.floor(100 * dropout_budget_of(depth, _FAR)) / 100


def _log_loss(p: float) -> float:
    """Logarithm of what alpha dropout does to the gradient's second moment."""
    if p >= 1:
        return -math.inf
    return math.log((1 - p) * alpha_dropout_affine(p).scale ** 2)
