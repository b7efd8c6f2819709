"""Do weights multiply the mean square of this data by more than their size tells?

Where weights are independent of what they read, the gain on the data is tau, within chance. Trained
ones align with the directions in which units vary together; the gain is what the variance follows.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from selfnorm.auditing._predict import predict, start_of
from selfnorm.auditing._rules._once import once
from selfnorm.recording import Features, Layer, Recording
from selfnorm.theory import THEOREM_1

# Calibrated on right networks of benchmarks/false_alarms.py: 320 of up to 256 units, half of them
# on inputs of rank 4, lay within 2.9 deviations; of 1,200 of width 16 and 32 chance took 162 out
# of theorem 1's box, and none was named. LeCun networks of 8 and 32 layers that training took out
# of it (digits, breast cancer; rates 3e-4 to 3e-3) lay at 5.8 to 47, and gains explained .6 to 1
# of the departure's logarithm.
_CHANCE = 5.0
_SHARE = 0.5


@dataclass(frozen=True)
class Alignment:
    """Layers whose weights are aligned with their inputs, and what that makes of the variance.

    Attributes:
        worst: The hidden SELU layer of the largest variance.
        layers: The linear layers before it, the most aligned first.
        excess: Gain on the data by what the theory expects of omega and tau: of every hidden linear
            layer where there are both.
        mean: Geometric mean of the excess of `layers`.
    """

    worst: Layer
    layers: tuple[Layer, ...]
    excess: dict[int, float]
    mean: float


@once
def alignment(recording: Recording) -> Alignment | None:
    """Whether it is alignment that drives the variance out of theorem 1's box.

    The excess must be beyond chance, and the theory, given the gains on the data in place of tau,
    must expect at least half of the departure that omega, tau and biases do not explain.
    """
    worst = _largest(recording)
    if worst is None:
        return None
    linear = [layer for layer in recording.of("linear") if recording.hidden(layer)]
    found = {layer.index: _excess(recording, layer) for layer in linear}
    excess = {index: value for index, value in found.items() if 0 < value < math.inf}
    layers = [layer for layer in recording.before(worst) if layer.index in excess]
    if not layers:
        return None
    logs = [math.log(excess[layer.index]) for layer in layers]
    noise = math.sqrt(sum(_noise(recording, layer) for layer in layers))
    if sum(logs) <= _CHANCE * noise or not _explains(recording, worst, excess):
        return None
    layers.sort(key=lambda layer: -excess[layer.index])
    return Alignment(worst, tuple(layers), excess, math.exp(sum(logs) / len(logs)))


def _largest(recording: Recording) -> Layer | None:
    """The hidden SELU layer with the largest variance above theorem 1's."""
    found = [
        layer
        for layer in recording.selus
        if recording.hidden(layer) and THEOREM_1.variance[1] < layer.variance < math.inf
    ]
    return max(found, key=lambda layer: layer.variance, default=None)


def _excess(recording: Recording, layer: Layer) -> float:
    """Gain on the data by what theory expects: that of omega and tau is nobody's alignment.

    `(nu (1 - rho) tau + (nu rho + mu^2) omega^2) / (nu + mu^2)`, with the mean correlation rho.
    """
    if len(layer.weights) != 1:
        return math.nan
    read = _read(recording, layer)
    tau, omega = layer.tau, layer.omega_size
    if read is not None and read.variance > 0:
        shared = read.variance * max(read.correlation, 0.0) + read.mean**2
        size = read.variance + read.mean**2
        if math.isfinite(shared):  # of less than four rows no correlation is known
            tau = ((size - shared) * tau + shared * omega**2) / size
    return layer.data_gain / tau if tau > 0 else math.nan


def _noise(recording: Recording, layer: Layer) -> float:
    """Variance of the excess' logarithm where weights are independent of the data.

    `w^T C w / tr C` has variance `2 tr C^2 / (tr C)^2` for normal weights; the mean over m units
    an m-th of it. C is known by its diagonal, means and root mean square correlation; over the
    window of a convolution it is not, and taken to be of rank 1.
    """
    m = len(layer.weights[0].tau)
    read = _read(recording, layer)
    if read is None or len(layer.weights[0].shape) > 2:
        return 2 / m
    means, variances = (
        (read.means, read.variances)
        if isinstance(read, Features)
        else (read.unit_means, read.unit_variances)
    )
    squares = variances + means**2
    size = max(float(squares.mean()), 1e-30)
    shared = float(np.mean(squares**2)) / size**2 / len(squares)
    shared += read.correlation_size**2 + (float(np.mean(means**2)) / size) ** 2
    return 2 / m * (min(shared, 1.0) if math.isfinite(shared) else 1.0)


def _read(recording: Recording, layer: Layer) -> Layer | Features | None:
    sources = recording.sources(layer)
    if len(sources) == 1 and not recording.reads_input(layer):
        return sources[0]
    return next((f for f in recording.features if f.reader == layer.index), None)


def _explains(recording: Recording, worst: Layer, excess: dict[int, float]) -> bool:
    """Whether theory expects half of the departure of the gains, beyond what it does of tau."""
    gained = predict(_with_gains(recording.layers, excess), start_of(recording.features))
    expected, with_gains = worst.predicted, gained[worst.index].predicted
    if expected is None or with_gains is None:
        return False
    low, high = float(expected.variance), float(with_gains.variance)
    if not (0 < low < math.inf and high > 0):
        return False
    return math.log(high) - math.log(low) >= _SHARE * math.log(worst.variance)


def _with_gains(layers: Sequence[Layer], excess: dict[int, float]) -> list[Layer]:
    """The layers, as if tau were the gain on the data."""
    changed: list[Layer] = []
    for layer in layers:
        factor = excess.get(layer.index)
        if factor is not None:
            (weights,) = layer.weights
            scaled = replace(weights, tau=weights.tau * factor)
            changed.append(replace(layer, weights=(scaled,)))
        else:
            changed.append(layer)
    return changed
