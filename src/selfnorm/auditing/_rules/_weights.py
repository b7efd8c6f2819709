"""Weights and biases: are they LeCun's, and if not, whose?"""

from collections.abc import Iterator

import numpy as np
from scipy.stats import chi2

from selfnorm.auditing._finding import Finding, Severity
from selfnorm.auditing._rules._culprits import culprit
from selfnorm.auditing._rules._gains import alignment
from selfnorm.auditing._rules._registry import rule
from selfnorm.recording import Layer, Recording, Weights
from selfnorm.recording._recording import WEIGHTED
from selfnorm.theory import THEOREM_1, fixed_point
from selfnorm.theory._types import FloatArray

_LEVEL = 1e-6
"""How often chance alone puts a LeCun-normal layer outside the interval.

An audit of a thousand layers asks a thousand times; so it is wrong once in a thousand such audits.
"""
_SMALL = 32
_KEPT = 0.25
"""The largest tolerance that `selfnorm.optim.keep_orthogonal` chooses; tau is as near to 1."""

_VANISHED = 1e-6
_vanishing = {"tau": 0.0}  # the largest tau that was seen to make the variance vanish

_KEEPING = (
    'selfnorm.init.initialize_(model, distribution="orthogonal"), then '
    "selfnorm.optim.keep_orthogonal(optimizer, model), and train anew."
)
_NARROWING = (
    "They are orthogonal, but have fewer units than inputs, so that the mean square is kept on "
    "average alone. Layers as wide as what they read, or wider, keep that of every input."
)


def gain_interval(weights: Weights) -> tuple[float, float]:
    """Where the mean sum of squares lies for LeCun-normal weights: chi-square, at level 1e-6."""
    low, high = chi2.ppf([_LEVEL / 2, 1 - _LEVEL / 2], weights.count) / weights.count
    return float(low), float(high)


def weighted(recording: Recording) -> Iterator[tuple[Layer, Weights]]:
    """Every weight once, with the first layer that uses it."""
    seen: set[str] = set()
    for layer in recording.layers:
        if layer.role in WEIGHTED:
            for weights in layer.weights:
                if weights.name not in seen:
                    seen.add(weights.name)
                    yield layer, weights


def is_wrong(weights: Weights) -> bool:
    """Whether their size is neither LeCun's by chance, nor theorem 1's, nor orthogonal ones'."""
    tau = float(weights.tau.mean())
    if not np.isfinite(tau) or THEOREM_1.holds("tau", tau):
        return False  # `non-finite` tells of the others
    if weights.gram_error <= _KEPT:
        return False
    low, high = gain_interval(weights)
    return not low <= tau <= high


def _wrong(recording: Recording) -> Iterator[tuple[Layer, Weights]]:
    """Weights of a wrong size, but for those that grew as they became aligned with their inputs."""
    wrong = [(layer, w) for layer, w in weighted(recording) if is_wrong(w)]
    aligned = alignment(recording) if wrong else None
    excess = aligned.excess if aligned is not None else {}
    for layer, weights in wrong:
        if not excess.get(layer.index, 0.0) > layer.tau > 1:
            yield layer, weights


def _expected(weights: Weights) -> str:
    low, high = gain_interval(weights)
    return f"tau = 1, by chance in [{low:.3g}, {high:.3g}]: weights of variance 1/{weights.fan_in}"


def _consequence(tau: float) -> str:
    """Where the variance goes in a deep network of such layers.

    It grows with tau. So below a tau at which it vanishes nothing has to be solved, which would
    take milliseconds a layer.
    """
    variance = float(fixed_point(tau=tau).variance) if tau > _vanishing["tau"] else 0.0
    if variance < _VANISHED:
        _vanishing["tau"] = max(_vanishing["tau"], tau)
        return "In a deep network of such layers the variance goes to 0."
    return f"In a deep network of such layers the variance goes to {variance:.3g}."


def _severity(recording: Recording, layer: Layer) -> Severity:
    if not recording.hidden(layer):
        return "note"
    return "error" if recording.feeds_selu(layer) else "warning"


@rule("selu-without-lecun")
def selu_without_lecun(recording: Recording) -> Iterator[Finding]:
    """SELU layers whose weights, most of them, were never initialized for SELU."""
    pairs = [(layer, w) for layer, w in weighted(recording) if recording.feeds_selu(layer)]
    wrong = [(layer, w) for layer, w in _wrong(recording) if recording.feeds_selu(layer)]
    if len(pairs) < 2 or 2 * len(wrong) <= len(pairs):
        return
    tau = float(np.median([w.tau.mean() for _, w in wrong]))
    named = {name for layer, w in wrong if (name := culprit(w, layer))}
    whose = f", as after {named.pop()}" if len(named) == 1 else ""
    yield Finding(
        "selu-without-lecun",
        "error",
        "",
        f"{len(wrong)} of {len(pairs)} weights before a SELU have the wrong size: tau is "
        f"{tau:.3g}{whose}",
        "tau = 1: weights of mean 0 and variance 1/fan_in (LeCun)",
        "SELU's fixed point, mean 0 and variance 1, is that of weights whose squares sum to 1 "
        f"(Klambauer et al. 2017, section 3). {_consequence(tau)}".strip(),
        "selfnorm.init.initialize_(model), before training.",
    )


@rule("wrong-init")
def wrong_init(recording: Recording) -> Iterator[Finding]:
    """A weight of the size that another initialization gives."""
    for layer, weights in _wrong(recording):
        whose = culprit(weights, layer)
        if whose is None:
            continue
        tau = float(weights.tau.mean())
        after = f" {_consequence(tau)}" if recording.feeds_selu(layer) else ""
        yield Finding(
            "wrong-init",
            _severity(recording, layer),
            layer.module,
            f"{weights.name} has tau = {tau:.3g}: initialized by {whose}",
            _expected(weights),
            "tau, the sum of squares of a unit's weights, is the factor on the variance "
            f"(Klambauer et al. 2017, Eq. 3; pytorch issue 54055 on torch's gain).{after}",
            "selfnorm.init.initialize_(model), or selfnorm.init.lecun_normal_ for this weight.",
        )


@rule("weight-drift")
def weight_drift(recording: Recording) -> Iterator[Finding]:
    """A weight of a size that no initialization gives: training or decay moved it."""
    for layer, weights in _wrong(recording):
        tau = float(weights.tau.mean())
        if culprit(weights, layer) is not None:
            continue
        far = not 0.5 <= tau <= 2
        severity = _severity(recording, layer)
        if severity == "error" and not far:
            severity = "warning"
        shrunk = tau < 1
        yield Finding(
            "weight-drift",
            severity,
            layer.module,
            f"{weights.name} has tau = {tau:.3g}, which no known initialization gives"
            + (": shrunk, as by weight decay" if shrunk else ": grown, as by training"),
            _expected(weights),
            "Weight decay pulls tau towards 0 and learning moves it; theorem 1 holds for tau in "
            f"{THEOREM_1.interval('tau')} (Klambauer et al. 2017). {_consequence(tau)}".strip(),
            "Lower the weight decay of hidden layers, or the learning rate; before training, "
            "selfnorm.init.initialize_(model).",
        )


@rule("aligned-weights")
def aligned_weights(recording: Recording) -> Iterator[Finding]:
    """Weights of the right size that amplify the directions in which their inputs vary together."""
    found = alignment(recording)
    if found is None:
        return
    worst, layers = found.worst, found.layers
    named = ", ".join(
        f"{layer.name} ({layer.data_gain:.3g} at tau = {layer.tau:.3g})" for layer in layers[:3]
    )
    many = f"the {len(layers)} layers before it multiply"
    kept = all(w.gram_error <= _KEPT for layer in layers[:3] for w in layer.weights)
    severity: Severity = "note" if kept else "error" if worst.variance > 4 else "warning"
    yield Finding(
        "aligned-weights",
        severity,
        layers[0].module,
        f"variance {worst.variance:.3g} behind {worst.name}, where omega and tau make the theory "
        f"expect {float(worst.predicted.variance) if worst.predicted else np.nan:.3g}: "
        f"{many if layers[1:] else 'the layer before it multiplies'} the mean square of this data "
        f"by {found.mean:.3g} times what their size tells (geometric mean); most {named}",
        "a gain on the data, |Wx|^2/|x|^2 * fan_in/fan_out, near tau: weights independent of the "
        "directions in which their inputs vary together",
        "Training aligns weights with these directions, and the variance follows the gain, not "
        "tau. Orthogonal weights amplify no direction (Klambauer et al. 2017, section 2, take "
        "inputs as independent; Pennington et al. 2017 on isometry).",
        _NARROWING if kept else _KEEPING,
    )


@rule("nonzero-bias")
def nonzero_bias(recording: Recording) -> Iterator[Finding]:
    """Biases move the mean, and their spread adds to the variance."""
    seen: set[str] = set()
    for layer in recording.layers:
        size = _rms(layer.bias)
        if layer.role not in WEIGHTED or layer.module in seen or size <= 1e-6:
            continue
        seen.add(layer.module)
        severity: Severity = "error" if size >= 0.5 else "warning" if size >= 0.1 else "note"
        if not recording.hidden(layer):
            severity = "note"
        yield Finding(
            "nonzero-bias",
            severity,
            layer.module,
            f"biases have mean {layer.bias.mean():+.3g} and root mean square {size:.3g}",
            "0 at the start; below 0.1 after training",
            f"A bias b adds b^2 = {size * size:.2g} to the second moment of its units, for which "
            "the fixed point has no room (Klambauer et al. 2017, section 2).",
            "Nothing to do after training; before it, selfnorm.init.initialize_(model)."
            if severity == "note"
            else "selfnorm.init.initialize_(model), or torch.nn.init.zeros_(layer.bias).",
        )


@rule("small-fan-in")
def small_fan_in(recording: Recording) -> Iterator[Finding]:
    """Few terms a sum: tau scatters from unit to unit, and sums are not normal."""
    found = [
        (layer, w)
        for layer, w in weighted(recording)
        if recording.feeds_selu(layer) and w.fan_in < _SMALL
    ]
    if not found:
        return
    layer, least = min(found, key=lambda pair: pair[1].fan_in)
    more = f", and {len(found) - 1} more below {_SMALL}" if len(found) > 1 else ""
    yield Finding(
        "small-fan-in",
        "note",
        layer.module,
        f"a unit sums {least.fan_in} terms{more}",
        f"{_SMALL} or more",
        f"tau of a unit scatters by sqrt(2/fan_in) = {np.sqrt(2 / least.fan_in):.2g} around 1, and "
        "sums of few terms are not normal (Klambauer et al. 2017, section 2).",
        "Widen the layer before it, or initialize_(model, exact=True) for tau = 1 in each unit.",
    )


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(values**2))) if len(values) else 0.0
