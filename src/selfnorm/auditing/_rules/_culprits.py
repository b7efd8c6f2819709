"""Which initialization gives weights of this size and shape of distribution?"""

import math
from collections.abc import Iterator
from typing import NamedTuple

from selfnorm.recording import Layer, Weights

_CUT = 0.7737413
"""Variance of a standard normal distribution that is cut at two deviations."""
_KURTOSES = {"uniform": (0.0, 2.08), "cut": (2.08, 2.7), "normal": (2.7, 1e9), "any": (0.0, 1e9)}
_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1, "LSTMCell": 4, "GRUCell": 3, "RNNCell": 1}


class Culprit(NamedTuple):
    """An initialization, the variance that it gives a weight, and the shape of its distribution."""

    name: str
    variance: float
    shape: str


def culprit(weights: Weights, layer: Layer) -> str | None:
    """The name of the likeliest initialization; None if none that is known fits."""
    tau = float(weights.tau.mean())
    if tau == 0:
        return "zeros"
    best: tuple[float, str] | None = None
    for candidate in _candidates(weights, layer):
        expected = candidate.variance * weights.fan_in
        low, high = _KURTOSES[candidate.shape]
        fits = weights.count < 500 or math.isnan(weights.kurtosis) or low < weights.kurtosis < high
        away = abs(math.log(tau / expected))
        allowed = max(5 * math.sqrt(2 / weights.count), 0.01)
        if candidate.shape == "any":
            allowed = 1e-4  # exact by construction
        if fits and away < allowed and (best is None or away < best[0] / 2):
            best = (away, candidate.name)
    return best[1] if best else None


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
    if weights.shape[0] > columns:
        yield Culprit("orthogonal_, of more rows than columns", 1 / weights.shape[0], "any")
    gained = 2 / max(weights.shape[0], columns)
    yield Culprit("orthogonal_ with the gain of ReLU", gained, "any")
    yield from _fixed()


def _fans(weights: Weights) -> tuple[int, int]:
    """fan_out and fan_in as torch counts them, from the shape alone."""
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


def _fixed() -> Iterator[Culprit]:
    """The same deviation or limits for every layer."""
    for deviation, whose in ((0.02, "BERT's and GPT's"), (0.01, "AlexNet's"), (1.0, "randn")):
        name = f"normal of deviation {deviation:g}"
        yield Culprit(f"{name}, {whose}", deviation**2, "normal")
        yield Culprit(f"{name}, cut at two", _CUT * deviation**2, "cut")
    for limit in (0.05, 0.1, 1.0):
        yield Culprit(f"uniform in [-{limit:g}, {limit:g}]", limit**2 / 3, "uniform")
    yield Culprit("uniform in [0, 1]", 1 / 3, "any")
