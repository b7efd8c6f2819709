"""Which initialization gives weights of this size and shape of distribution?"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from selfnorm.recording import Layer, Weights

_CUT = 0.7737413
"""Variance of a standard normal distribution that is cut at two deviations."""
_KURTOSES = {"uniform": (0.0, 2.08), "cut": (2.08, 2.7), "normal": (2.7, 1e9), "any": (0.0, 1e9)}
_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1, "LSTMCell": 4, "GRUCell": 3, "RNNCell": 1}
_GAINS = {
    2**0.5: "the gain of ReLU", 5 / 3: "the gain of tanh", 0.75: "torch's gain for SELU",
    0.01: "a gain of 0.01, as of policy heads", 0.1: "a gain of 0.1", 0.5: "a gain of 0.5",
    2.0: "a gain of 2",
}  # fmt: skip
_BLOCKS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 36, 48)
_PRUNED = 0.02
_COPIES = 0.1  # of LeCun's deviation of omega
_SPREAD = 6.0
_MEANS = 0.05  # of the squares, those of the mean
_EXACT = 1e-5
_FEW = 400
_TORCH = "torch's default"
_FREE = {"WeightNorm"}  # takes any weights
_NORMED = {"WeightNorm", "weight_norm"}


class Culprit(NamedTuple):
    """An initialization, the variance that it gives a weight, and the shape of its distribution."""

    name: str
    variance: float
    shape: str


class Fit(NamedTuple):
    """An initialization that could be a weight's, and how far its size is from the weight's."""

    away: float
    name: str


def culprits(found: Sequence[tuple[Layer, Weights]]) -> list[str | None]:
    """The likeliest initialization of each weight by its name; None where none that is known fits.

    Small weights fit several. As a model is rarely initialized in many ways, of these it is the one
    that fits most of the weights.
    """
    fits = [_fitting(weights, layer) for layer, weights in found]
    votes = Counter(name for several in fits for name in {fit.name for fit in several})
    chosen = [
        _choose(several, votes, few=weights.count < _FEW)
        for (_, weights), several in zip(found, fits, strict=True)
    ]
    return [_told(weights, name) for (_, weights), name in zip(found, chosen, strict=True)]


def _fitting(weights: Weights, layer: Layer) -> list[Fit]:
    """What could have given a weight; likelier ones first."""
    if (named := _evident(weights)) is not None:
        return [Fit(0.0, named)]
    if is_pruned(weights):
        share = 1 - weights.zeros
        weights = replace(weights, tau=weights.tau / share, kurtosis=weights.kurtosis * share)
        allowed = max(5 * math.sqrt(2 / max(weights.count * share, 1)), 0.1)
        if (away := abs(math.log(float(weights.tau.mean())))) < allowed:
            return [Fit(away, "LeCun's")]
    elif (deciding := _deciding(weights)) is not None:
        return [Fit(0.0, deciding)]
    fits = list(_drawn(weights, layer))
    return [fit for fit in fits if fit.away == 0][:1] or fits


def _drawn(weights: Weights, layer: Layer) -> Iterator[Fit]:
    """The initializations that give weights of this size and shape of distribution."""
    tau = float(weights.tau.mean())
    for candidate in _candidates(weights, layer):
        away = abs(math.log(tau / (candidate.variance * weights.mean_fan_in)))
        if candidate.shape == "any":  # of exactly this size
            if away < _EXACT:
                yield Fit(0.0, candidate.name)
            continue
        low, high = _KURTOSES[candidate.shape]
        fits = weights.count < 500 or math.isnan(weights.kurtosis) or low < weights.kurtosis < high
        allowed = max(5 * math.sqrt(2 / weights.count), 0.01)
        if fits and away < allowed:
            yield Fit(away, candidate.name)


def _choose(fits: Sequence[Fit], votes: Mapping[str, int], *, few: bool) -> str | None:
    """What fits most weights; of several such the first that none is twice as near as.

    A few weights have a size that fits something by chance: they alone are no evidence, but for
    what is exact and what torch does if nobody says otherwise.
    """
    if few:
        fits = [f for f in fits if f.away == 0 or votes[f.name] > 1 or f.name.startswith(_TORCH)]
    most = max((votes[fit.name] for fit in fits), default=0)
    best: Fit | None = None
    for fit in fits:
        if votes[fit.name] == most and (best is None or fit.away < best.away / 2):
            best = fit
    return best.name if best else None


def _told(weights: Weights, name: str | None) -> str | None:
    """The name, and how many of the weights were set to 0."""
    if not is_pruned(weights) or _evident(weights) is not None:
        return name
    if has_empty_units(weights):
        empty = int(np.sum(weights.tau == 0))
        return f"{name or 'weights'}, of which those of {empty} of {len(weights.tau)} units are 0"
    share = max(round(weights.zeros * 20), 1) * 5  # so that layers of one kind are told as one
    return f"{name or 'weights'}, of which {share}% were set to 0 (pruned, masked, sparse)"


def _evident(weights: Weights) -> str | None:
    """What the weights themselves show, whatever their size."""
    tau = float(weights.tau.mean())
    if tau == 0:
        return "zeros"
    if np.isnan(weights.kurtosis) and weights.count > 1 and np.ptp(weights.tau) <= 1e-6 * tau:
        return f"one value for all, {float(weights.omega[0]) / weights.fan_in:.3g}"
    uniform = abs(math.log(3 * tau / weights.fan_in)) < 5 / math.sqrt(weights.count)
    if is_one_sided(weights):
        return "uniform in [0, 1]" if uniform else "a mean that is not 0"
    return None


def _deciding(weights: Weights) -> str | None:
    """What computes a weight, if that decides its size."""
    tau = float(weights.tau.mean())
    if weights.computed in _NORMED and np.ptp(weights.tau) <= 1e-5 * tau:
        norm = math.sqrt(tau * weights.terms / weights.fan_in)
        return f"weight normalization with g = {norm:.3g}, which is each unit's norm"
    return f"{weights.computed}, which decides the size" if is_bound(weights) else None


def is_bound(weights: Weights) -> bool:
    """Whether what computes a weight decides its size, so that no initialization does."""
    return bool(weights.computed) and weights.computed not in _FREE


def is_one_sided(weights: Weights) -> bool:
    """Whether the weights' own mean, which LeCun's do not have, is a good part of their size."""
    tau = float(weights.tau.mean())
    units = len(weights.omega) if weights.omega.std() > _COPIES * math.sqrt(tau) else 1
    total = abs(float(weights.omega.mean()))
    return total > 1 + _SPREAD / math.sqrt(units) and total**2 > _MEANS * weights.fan_in * tau


def is_pruned(weights: Weights) -> bool:
    """Whether many weights are 0."""
    return _PRUNED < weights.zeros < 1


def is_trained(weights: Weights) -> bool:
    """Whether units differ more in size than those that are drawn alike: training moved them."""
    terms, units = weights.terms, len(weights.tau)
    tau = float(weights.tau.mean())
    alike = weights.mean_fan_in == weights.fan_in  # else phases differ
    if not alike or units < 8 or terms < 2 or tau <= 0 or not math.isfinite(weights.kurtosis):
        return False
    drawn = max(weights.kurtosis - 1, 0.0) / terms  # variance of a unit's tau by its square
    found = float(weights.tau.var()) / tau**2
    return found > drawn * (1 + _SPREAD * math.sqrt(2 / units)) + 1e-6


def unknown(weights: Weights) -> str:
    """What can be said of a size that no known initialization gives."""
    tau = float(weights.tau.mean())
    if is_trained(weights):
        how = "shrunk, as by weight decay" if tau < 1 else "grown, as by training"
        return f"{how}, if it was trained: its units differ more than those that are drawn alike"
    deviation, gain = math.sqrt(tau / weights.fan_in), math.sqrt(tau)
    return (
        f"its cause is unknown: a deviation of {deviation:.3g} that was chosen, LeCun's weights "
        f"with a gain of {gain:.3g}, weight decay or training"
    )


def has_empty_units(weights: Weights) -> bool:
    """Whether most of the weights that are 0 are all that their units have."""
    return 2 * float(np.mean(weights.tau == 0)) > weights.zeros


def _candidates(weights: Weights, layer: Layer) -> Iterator[Culprit]:
    """Torch's own, then the textbooks', then fixed deviations; likelier ones first."""
    rows, columns = _fans(weights)
    if layer.kind in _GATES:
        hidden = weights.shape[0] // _GATES[layer.kind]
        yield Culprit("torch's default of recurrent layers", 1 / (3 * hidden), "uniform")
    yield Culprit("torch's default, kaiming_uniform_(a=sqrt(5))", 1 / (3 * columns), "uniform")
    yield from _miscounted(weights)
    yield from _kaiming(rows, columns)
    yield from _xavier(rows, columns)
    for name, square in (("LeCun's", 1), ("He's", 2)):
        cut = f"{name}, cut at two deviations without correction"
        yield Culprit(cut, square * _CUT / columns, "cut")
    for name, variance in (("He's", 2 / columns), ("Xavier's", 2 / (rows + columns))):
        yield Culprit(f"{name}, cut at two deviations", variance, "cut")
    yield from _orthogonal(weights)
    yield from _mistaken(weights)
    yield from _fixed()


def _fans(weights: Weights) -> tuple[int, int]:
    """fan_out and fan_in as torch counts them, from the shape alone."""
    if len(weights.shape) < 2:
        return 1, weights.fan_in
    field = math.prod(weights.shape[2:])
    return weights.shape[0] * field, weights.shape[1] * field


def _miscounted(weights: Weights) -> Iterator[Culprit]:
    """LeCun's variance with another number in place of fan_in."""
    rows, columns = _fans(weights)
    for kind in ("normal", "uniform"):
        if weights.fan_in != columns:
            name = f"LeCun's {kind} with the fan-in that torch counts"
            yield Culprit(name, 1 / columns, kind)
        if math.prod(weights.shape[2:]) > 1:
            name = f"LeCun's {kind} with the channels alone as fan-in, without the kernel"
            yield Culprit(name, 1 / weights.shape[1], kind)
        if rows != columns:
            yield Culprit(f"LeCun's {kind} with fan_out for fan_in", 1 / rows, kind)


def _kaiming(rows: int, columns: int) -> Iterator[Culprit]:
    for name, square in (
        ("kaiming_{}_(nonlinearity='selu'), whose gain is 3/4", 9 / 16),
        ("He's, kaiming_{}_ for ReLU", 2.0),
        ("kaiming_{}_(nonlinearity='tanh')", 25 / 9),
    ):
        for kind in ("normal", "uniform"):
            yield Culprit(name.format(kind), square / columns, kind)
            if rows != columns:
                back = name.format(kind) + ", mode='fan_out'"
                yield Culprit(back, square / rows, kind)


def _xavier(rows: int, columns: int) -> Iterator[Culprit]:
    for name, square in (
        ("Xavier's, xavier_{}_", 1.0),
        ("xavier_{}_ with the gain of ReLU", 2.0),
        ("xavier_{}_ with the gain of tanh", 25 / 9),
        ("xavier_{}_ with torch's gain for SELU, 3/4", 9 / 16),
    ):
        for kind in ("uniform", "normal"):
            yield Culprit(name.format(kind), 2 * square / (rows + columns), kind)


def _orthogonal(weights: Weights) -> Iterator[Culprit]:
    """Orthogonal weights have exactly this size."""
    if len(weights.shape) < 2:
        return
    units, columns = weights.shape[0], math.prod(weights.shape[1:])
    if units > columns:
        yield Culprit("orthogonal_, of more rows than columns", 1 / units, "any")
    for gain, name in _GAINS.items():
        yield Culprit(f"orthogonal_ with {name}", gain**2 / max(units, columns), "any")


def _mistaken(weights: Weights) -> Iterator[Culprit]:
    """Formulas that people write themselves, and what is often taken for another."""
    n, (rows, columns) = weights.fan_in, _fans(weights)
    yield Culprit("a deviation of 1/fan_in, which is LeCun's variance", n**-2.0, "normal")
    yield Culprit("limits of 1/fan_in", n**-2.0 / 3, "uniform")
    yield Culprit("a variance of 1/sqrt(fan_in), which is LeCun's deviation", n**-0.5, "normal")
    if n != columns:
        yield Culprit("limits of 1/sqrt(fan_in), as torch's default has", 1 / (3 * n), "uniform")
    if rows not in {n, columns}:
        yield Culprit("limits of 1/sqrt(fan_out)", 1 / (3 * rows), "uniform")
    yield Culprit("a deviation of 1/sqrt(numel)", 1 / weights.count, "normal")
    yield Culprit("a deviation of 0.5/sqrt(numel)", 0.25 / weights.count, "normal")


def _fixed() -> Iterator[Culprit]:
    """The same deviation or limits for every layer."""
    for deviation, whose in ((0.02, "BERT's and GPT's"), (0.01, "AlexNet's"), (1.0, "randn")):
        name = f"normal of deviation {deviation:g}"
        yield Culprit(f"{name}, {whose}", deviation**2, "normal")
        yield Culprit(f"{name}, cut at two", _CUT * deviation**2, "cut")
    for blocks in _BLOCKS:
        name = f"normal of deviation 0.02/sqrt({2 * blocks}), GPT-2's of {blocks} blocks"
        yield Culprit(name, 0.02**2 / (2 * blocks), "normal")
    for deviation in (0.05, 0.1, 0.001):
        yield Culprit(f"normal of deviation {deviation:g}", deviation**2, "normal")
    for limit in (0.05, 0.1, 1.0):
        yield Culprit(f"uniform in [-{limit:g}, {limit:g}]", limit**2 / 3, "uniform")
