"""Which initialization gives weights of this size and shape of distribution?"""

import math
from collections.abc import Sequence

import numpy as np

from selfnorm.auditing._rules._candidates import candidates
from selfnorm.recording import Layer, Weights

_SHAPES = {"uniform": (1.8, 1.31, 0.81), "cut": (2.366, 3.74, 1.36), "normal": (3.0, 24.0, 2.0)}
"""Kurtosis; and the variances of it and of log tau, times the count. By simulation, 2,000 each."""
_SAMPLE = 1 << 16  # what kurtosis is taken over, at most
_ALLOWED = 3.5  # deviations
_ROUGH = 0.002, 0.05  # deviations of log tau and of kurtosis, at least
_LIKELY = 6.0  # in squares of deviations: a likelihood of 1/20 of the best
_FEW = 200  # numbers, of which any deviation that is allowed is as likely
_NAMED = 3
_PRUNED = 0.02
_COPIES = 0.1  # of LeCun's deviation of omega
_SPREAD = 6.0
_MEANS = 0.05  # of the squares, those of the mean
_EXACT = 1e-5
_FREE = {"WeightNorm"}  # takes any weights
_NORMED = {"WeightNorm", "weight_norm"}


def named(suspects: Sequence[str]) -> str:
    """Initializations in words: at most three; where there are more, none is known."""
    more = ["another: its numbers are too few to tell"] if len(suspects) > _NAMED else []
    return ", or by ".join([*suspects[:_NAMED], *more])


def suspects(weights: Weights, layer: Layer) -> tuple[str, ...]:
    """Names of the initializations that may have given weights their size, likeliest first.

    Sizes of few weights scatter, so that several may have drawn them. None is known of some.
    """
    if (evident := _evident(weights)) is not None:
        return (evident,)
    left = 1 - weights.zeros if is_pruned(weights) else 1.0
    size = math.log(float(weights.tau.mean()) / weights.factor**2 / weights.mean_fan_in / left)
    count, found = max(int(weights.count * left), 1), dict[str, float]()
    kurtosis = weights.kurtosis if left == 1 else math.nan
    for candidate in candidates(weights, layer):
        apart = abs(size - math.log(candidate.variance))
        if candidate.shape == "any":  # exact by construction
            if apart < _EXACT:
                return (candidate.name,)
            continue
        away = _away(apart, kurtosis, count, candidate.shape)
        if away is not None:
            found.setdefault(candidate.name, away)
    best = min(found.values(), default=0.0)
    likely = [n for n, away in found.items() if away < best + _LIKELY or count < _FEW]
    names = sorted(likely, key=found.__getitem__)
    if left < 1:
        names = [f"{name}, {_cut_out(weights)}" for name in names]
    return tuple(names)


def _away(size: float, kurtosis: float, count: int, kind: str) -> float | None:
    """How far from what is drawn so, in squares of deviations; None if that is no chance.

    Tails heavier than normal ones count as normal: parts of a weight may have several sizes.

    Args:
        size: By how much log tau is off.
        kurtosis: Of the weights.
        count: How many there are.
        kind: Of the distribution.
    """
    expected, of_kurtosis, of_size = _SHAPES[kind]
    size /= max(math.sqrt(of_size / count), _ROUGH[0])
    if size >= _ALLOWED:
        return None
    shape = kurtosis - expected
    if math.isnan(shape) or (kind == "normal" and shape > 0):
        shape = 0.0
    shape /= max(math.sqrt(of_kurtosis / min(count, _SAMPLE)), _ROUGH[1])
    return size**2 + shape**2 if abs(shape) < _ALLOWED else None


def _evident(weights: Weights) -> str | None:
    """What the weights themselves show, whatever their size."""
    tau = float(weights.tau.mean())
    if tau == 0:
        return "zeros"
    if np.isnan(weights.kurtosis) and weights.count > 1 and np.ptp(weights.tau) <= 1e-6 * tau:
        return f"one value for all, {float(weights.omega[0]) / weights.factor / weights.fan_in:.3g}"
    square = 3 * tau / weights.factor**2 / weights.fan_in
    uniform = abs(math.log(square)) < 5 / math.sqrt(weights.count)
    if is_one_sided(weights):
        return "uniform in [0, 1]" if uniform else "a mean that is not 0"
    if is_pruned(weights) and (pruned := _pruned(weights, tau)):
        return pruned
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
    # Phases differ, and so do units of which a mask leaves more or less.
    alike = weights.mean_fan_in == weights.fan_in and not is_pruned(weights)
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
    left = 1 - weights.zeros if is_pruned(weights) else 1.0
    gain = math.sqrt(tau / left)
    deviation = gain / math.sqrt(weights.fan_in) / abs(weights.factor)
    if left < 1:
        others = f"the others of a deviation of {deviation:.3g}"
        return f"its cause is unknown: weights, {_cut_out(weights)}, {others}"
    return (
        f"its cause is unknown: a deviation of {deviation:.3g} that was chosen, LeCun's weights "
        f"with a gain of {gain:.3g}, weight decay or training"
    )


def _pruned(weights: Weights, tau: float) -> str | None:
    """Weights of which some were set to 0: are the others LeCun's?"""
    left = tau / (1 - weights.zeros) if weights.zeros < 1 else math.nan
    allowed = 5 * math.sqrt(2 / max(weights.count * (1 - weights.zeros), 1))
    if not abs(math.log(left)) < max(allowed, 0.1):
        return None
    return f"LeCun's, {_cut_out(weights)}"


def has_empty_units(weights: Weights) -> bool:
    """Whether most of the weights that are 0 are all that their units have."""
    return 2 * float(np.mean(weights.tau == 0)) > weights.zeros


def _cut_out(weights: Weights) -> str:
    if has_empty_units(weights):
        return (
            f"of which those of {int(np.sum(weights.tau == 0))} of {len(weights.tau)} units are 0"
        )
    share = max(round(weights.zeros * 20), 1) * 5  # so that layers of one kind are told as one
    return f"of which {share}% were set to 0 (pruned, masked, sparse)"
