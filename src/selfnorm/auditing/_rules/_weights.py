"""Weights and biases: are they LeCun's, and if not, whose?"""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np

from selfnorm.auditing._finding import Finding, Severity
from selfnorm.auditing._rules._culprits import (
    is_one_sided,
    is_trained,
    named,
    suspects,
    unknown,
)
from selfnorm.auditing._rules._gains import alignment
from selfnorm.auditing._rules._once import once
from selfnorm.auditing._rules._registry import rule
from selfnorm.auditing._rules._remedies import after_training, mending
from selfnorm.auditing._rules._sizes import uses, weighted, wrong_sizes
from selfnorm.recording import Layer, Recording, Weights
from selfnorm.recording._layer import is_strange
from selfnorm.recording._recording import WEIGHTED
from selfnorm.recording._rightness import KEPT, are_copies, gain_interval, is_wrong
from selfnorm.theory import THEOREM_1, fixed_point
from selfnorm.theory._types import FloatArray

_SMALL = 32
_LARGE, _TOO_LARGE = 0.1, 0.5  # biases
_VANISHED = 1e-6
_NEAR = 1.5
_vanishing = {"tau": 0.0}  # the largest tau that was seen to make the variance vanish

_KEEPING = (
    'selfnorm.init.initialize_(model, distribution="orthogonal"), then '
    "selfnorm.optim.keep_orthogonal(optimizer, model), and train anew."
)
_NARROWING = (
    "They are orthogonal, but have fewer units than inputs, so that the mean square is kept on "
    "average alone. Layers as wide as what they read, or wider, keep that of every input."
)


def _expected(weights: Weights) -> str:
    low, high = gain_interval(weights)
    return f"tau = 1, by chance in [{low:.3g}, {high:.3g}]: weights of variance 1/{weights.fan_in}"


def consequence(tau: float) -> str:
    """Where the variance goes in a deep network of such layers."""
    return _ends_at(float(f"{tau:.3g}"))


@lru_cache(maxsize=1024)
def _ends_at(tau: float) -> str:
    """The same of a tau as it is shown: layers that were drawn alike have few of these.

    To solve for one takes milliseconds. It grows with tau, so that below a tau at which it vanishes
    nothing has to be solved.
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
    wrong = [(layer, w) for layer, w in wrong_sizes(recording) if recording.feeds_selu(layer)]
    if len(pairs) < 2 or 2 * len(wrong) <= len(pairs):
        return
    sizes = [float(w.tau.mean()) for _, w in wrong]
    yield Finding(
        "selu-without-lecun",
        "error",
        "",
        f"{len(wrong)} of {len(pairs)} weights before a SELU have the wrong size: tau is "
        f"{_span(sizes)}{_causes(recording, wrong)}",
        "tau = 1: weights of mean 0 and variance 1/fan_in (LeCun)",
        "SELU's fixed point, mean 0 and variance 1, is that of weights whose squares sum to 1 "
        f"(Klambauer et al. 2017, section 3; pytorch issue 54055 on torch's gain). "
        f"{consequence(float(np.median(sizes))) if _is_one_size(sizes) else ''}".strip(),
        mending([w for _, w in wrong]),
        tuple(dict.fromkeys(layer.module for layer, _ in wrong)),
    )


def _is_one_size(sizes: Sequence[float]) -> bool:
    """Whether one of them speaks for all."""
    return max(sizes) <= _NEAR * min(sizes)


def _span(sizes: Sequence[float]) -> str:
    """Their median, or from where to where they go if they differ."""
    if _is_one_size(sizes):
        return f"{np.median(sizes):.3g}"
    return f"{min(sizes):.3g} to {max(sizes):.3g}"


@once
def _suspected(recording: Recording) -> dict[tuple[str, int], tuple[str, ...]]:
    """Who may have drawn each weight of a wrong size, by its name and fan-in.

    As a model is rarely initialized in many ways, of several that is it which may have drawn most
    of the weights, if that is more than one.
    """
    found = {(w.name, w.fan_in): suspects(w, layer) for layer, w in wrong_sizes(recording)}
    votes = Counter(name for names in found.values() for name in names)
    for weight, names in found.items():
        most = max((votes[name] for name in names), default=0)
        if most > 1:
            found[weight] = tuple(name for name in names if votes[name] == most)
    return found


def _causes(recording: Recording, wrong: Sequence[tuple[Layer, Weights]]) -> str:
    """`, as after He's (4), torch's default (2)`; what is unknown is told as that.

    Where several may have drawn a weight, that which may have drawn most of the others is named.
    """
    left = [_suspected(recording)[w.name, w.fan_in] for _, w in wrong]
    found: dict[str, int] = {}
    while any(left):
        votes = Counter(name for names in left for name in names)
        name, count = votes.most_common(1)[0]
        found[name] = count
        left = [names for names in left if name not in names]
    unnamed = len(left)
    if not found:
        return f"; {unknown(wrong[0][1])}"
    if len(found) == 1 and not unnamed:
        return f", as after {next(iter(found))}"
    told = [f"{name} ({n})" for name, n in [*found.items()][:3]]
    rest = [f"unknown ({unnamed})"] if unnamed else []
    return f", as after {', '.join([*told, *rest])}"


@rule("wrong-init")
def wrong_init(recording: Recording) -> Iterator[Finding]:
    """A weight of the size that another initialization gives."""
    for layer, weights in wrong_sizes(recording):
        whose = _suspected(recording)[weights.name, weights.fan_in]
        if not whose:
            continue
        tau = float(weights.tau.mean())
        after = f" {consequence(tau)}" if recording.feeds_selu(layer) else ""
        yield Finding(
            "wrong-init",
            _severity(recording, layer),
            layer.module,
            f"{_told(weights)}: initialized by {named(whose)}",
            _expected(weights),
            "tau, the sum of squares of a unit's weights, is the factor on the variance "
            f"(Klambauer et al. 2017, Eq. 3; pytorch issue 54055 on torch's gain).{after}",
            mending([weights]),
        )


def _told(weights: Weights) -> str:
    behind = "" if weights.factor == 1 else f" with the factor {weights.factor:.3g} behind it"
    return f"{weights.name} has tau = {float(weights.tau.mean()):.3g}{behind}"


@rule("weight-drift")
def weight_drift(recording: Recording) -> Iterator[Finding]:
    """A weight of a size that no initialization gives: where units differ, training moved it."""
    for layer, weights in wrong_sizes(recording):
        tau = float(weights.tau.mean())
        if _suspected(recording)[weights.name, weights.fan_in]:
            continue
        tau = float(weights.tau.mean())
        far = not 0.5 <= tau <= 2
        severity = _severity(recording, layer)
        if severity == "error" and not far:
            severity = "warning"
        trained = is_trained(weights)
        yield Finding(
            "weight-drift",
            severity,
            layer.module,
            f"{_told(weights)}: {unknown(weights)}",
            _expected(weights),
            "Weight decay pulls tau towards 0 and learning moves it; theorem 1 holds for tau in "
            f"{THEOREM_1.interval('tau')} (Klambauer et al. 2017). {consequence(tau)}".strip(),
            after_training(weights, trained=trained),
        )


@rule("tied-weight")
def tied_weight(recording: Recording) -> Iterator[Finding]:
    """A weight that is used a second time, transposed: it has one size, and two fan-ins."""
    for layer, weights, first in tied_uses(recording):
        tau = float(weights.tau.mean())
        yield Finding(
            "tied-weight",
            _severity(recording, layer),
            layer.module,
            f"{weights.name} is {first[0].name}'s, transposed: there a unit sums "
            f"{first[1].fan_in} terms, in {layer.name} {weights.fan_in}, so that tau is {tau:.3g}",
            "tau = 1 in both uses",
            "tau, the sum of squares of a unit's weights, is the factor on the variance "
            "(Klambauer et al. 2017, Eq. 3); the variance 1/fan_in of a weight serves one fan-in.",
            f"Multiply what {layer.name} reads by {tau**-0.5:.3g}, or give it weights of its own.",
        )


def tied_uses(
    recording: Recording,
) -> Iterator[tuple[Layer, Weights, tuple[Layer, Weights]]]:
    """Layers that use a weight as others do, transposed, and for which it has a wrong size."""
    for layer, weights, first in uses(recording):
        if first is None or not is_wrong(weights) or not recording.hidden(layer):
            continue
        sources = recording.sources(layer)
        made_up = float(weights.tau.mean()) * sources[0].second_moment if len(sources) == 1 else 0.0
        if not 0.8 <= made_up <= 1.25:  # else a factor makes up for it
            yield layer, weights, first


@rule("one-sided-weights")
def one_sided_weights(recording: Recording) -> Iterator[Finding]:
    """Weights with a mean: what their inputs have in common is multiplied by their sum."""
    for layer, weights in weighted(recording):
        if not recording.hidden(layer) or not is_one_sided(weights):
            continue
        omega = float(weights.omega.mean())
        yield Finding(
            "one-sided-weights",
            _severity(recording, layer),
            layer.module,
            f"{weights.name} has mean {omega / weights.fan_in:+.3g}: a unit's weights sum to omega "
            f"= {omega:+.3g}",
            "weights of mean 0: omega near 0, by chance within some deviations of 1",
            "A unit's mean is omega times that of its inputs, and units that share a sign move "
            "together, so that the variance grows with omega^2 (Klambauer et al. 2017, Eq. 3).",
            f"No abs, exp or softplus around the weights; {mending([weights])}",
        )


@rule("repeated-units")
def repeated_units(recording: Recording) -> Iterator[Finding]:
    """Units that are copies of one another."""
    for layer, weights in weighted(recording):
        if not recording.hidden(layer) or not are_copies(weights):
            continue
        yield Finding(
            "repeated-units",
            "error",
            layer.module,
            f"the {len(weights.omega)} units of {layer.name} have the same weights; they correlate "
            f"by {layer.correlation_size:.2f} (root mean square)",
            "units with weights of their own",
            "Units with the same weights are one unit: what they have in common adds up in the "
            "next layer (Klambauer et al. 2017, section 2, take weights as independent).",
            mending([weights]),
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
    kept = all(w.gram_error <= KEPT for layer in layers[:3] for w in layer.weights)
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
        if layer.role not in WEIGHTED or layer.module in seen or not size >= _LARGE:
            continue
        seen.add(layer.module)
        if not recording.hidden(layer) or _opens_a_gate(recording, layer):
            continue
        yield Finding(
            "nonzero-bias",
            "error" if size >= _TOO_LARGE else "warning",
            layer.module,
            f"biases have mean {layer.bias.mean():+.3g} and root mean square {size:.3g}",
            "0 at the start; below 0.1 after training",
            f"A bias b adds b^2 = {size * size:.2g} to the second moment of its units, for which "
            "the fixed point has no room (Klambauer et al. 2017, section 2).",
            "selfnorm.init.initialize_(model, fan_in=report.fan_in), or "
            "torch.nn.init.zeros_(layer.bias); report is what the audit gives."
            if any(map(is_strange, layer.weights))
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


def _opens_a_gate(recording: Recording, layer: Layer) -> bool:
    """Whether what it gives says how much of something else goes on, as a highway's gate does."""
    bends = [f for f in recording.followers(layer) if f.role == "activation"]
    let = [f for bend in bends for f in recording.followers(bend)]
    return bool(let) and all(f.role in {"product", "addition"} for f in let)


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(values**2))) if len(values) else 0.0
