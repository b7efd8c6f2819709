"""Initializations that people use, with the variance and the distribution that each gives."""

import math
from collections.abc import Iterator
from typing import NamedTuple

from selfnorm.recording import Layer, Weights

_CUT = 0.7737413
"""Variance of a standard normal distribution that is cut at two deviations."""
_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1, "LSTMCell": 4, "GRUCell": 3, "RNNCell": 1}
_GAINS = {
    2**0.5: "the gain of ReLU", 5 / 3: "the gain of tanh", 0.75: "torch's gain for SELU",
    0.01: "a gain of 0.01, as of policy heads", 0.1: "a gain of 0.1", 0.5: "a gain of 0.5",
    2.0: "a gain of 2",
}  # fmt: skip
_BLOCKS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 36, 48)


class Culprit(NamedTuple):
    """An initialization, the variance that it gives a weight, and the shape of its distribution."""

    name: str
    variance: float
    shape: str


def candidates(weights: Weights, layer: Layer) -> Iterator[Culprit]:
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
