"""The theory's mean and variance of every layer, beside what was measured.

From layer to layer, unit by unit: a linear unit with weights of sum omega and sum of squares tau
over inputs of mean mu and variance nu has `z ~ N(mu omega + b, nu tau)` (Klambauer et al. 2017,
section 2), less the share of a convolution's terms that are padded zeros; an activation's moments
follow by `theory.moments`, dropout's by its definition. Where the theory has nothing to say
(pooling, attention, ...) it goes on from what was measured.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, cast

import numpy as np

from selfnorm.recording import Features, Layer
from selfnorm.recording._layer import CURVE, INPUT, Theory
from selfnorm.recording._quiet import quiet
from selfnorm.theory import ACTIVATIONS, Moments, SELUForm, moments
from selfnorm.theory._dropout import alpha_dropout_moments
from selfnorm.theory._types import FloatArray

_UNITS = 256
_ALIASES = {"swish": "silu", "logsigmoid": ""}
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(96)  # which sum to sqrt(2 pi)


class Units(NamedTuple):
    """Mean and variance of each of some units."""

    mean: FloatArray
    variance: FloatArray

    @property
    def overall(self) -> Moments:
        """Of all units together."""
        variance = self.variance.mean() + self.mean.var()
        return Moments(*cast("list[FloatArray]", [self.mean.mean(), variance]))


STANDARD = Units(np.zeros(1), np.ones(1))
"""What the input of a self-normalizing network is to be."""


def start_of(features: Sequence[Features]) -> Units:
    """The moments that predictions start from: those of the input as the first layer reads it."""
    for reading in features:
        return Units(np.array([reading.mean]), np.array([reading.variance]))
    return Units(np.array([np.nan]), np.array([np.nan]))


def predict(layers: Sequence[Layer], inputs: Units) -> list[Layer]:
    """The layers, of which each knows what the theory makes of it.

    Args:
        layers: As recorded.
        inputs: The moments of what the model is given.
    """
    theory = Predictions(tuple(layers), inputs)
    return [_with(layer, theory) for layer in layers]


def _with(layer: Layer, theory: Theory) -> Layer:
    """As `replace` would, in a fifth of its time: there are many layers."""
    new = copy(layer)
    object.__setattr__(new, "theory", theory)
    return new


@dataclass(frozen=True)
class Predictions:
    """What the theory makes of layers: a fifth of an audit, so only once someone asks.

    And of no more layers than it takes: rules ask of what stands near the input.

    Attributes:
        layers: As recorded.
        inputs: The moments of what the model is given.
    """

    layers: tuple[Layer, ...]
    inputs: Units

    def predicted(self, index: int) -> Moments | None:
        """From the input on; see `selfnorm.recording.Layer`."""
        if index not in self._found:
            self._follow(index)
        return self._found[index]

    def local(self, index: int) -> Moments | None:
        """From what was measured of the layers that it reads."""
        if index not in self._locals:
            self._locals[index] = self._from_measured(self.layers[index])
        return self._locals[index]

    @cached_property
    def _found(self) -> dict[int, Moments | None]:
        return {}

    @cached_property
    def _locals(self) -> dict[int, Moments | None]:
        return {}

    @cached_property
    def _chain(self) -> dict[int, Units]:
        return {INPUT: self.inputs}

    @quiet
    def _follow(self, index: int) -> None:
        """Predict the layers up to this one."""
        chain = self._chain
        for layer in self.layers[len(self._found) : index + 1]:
            predicted = _step(layer, [chain[i] for i in layer.inputs])
            chain[layer.index] = _measured(layer) if predicted is None else predicted
            self._found[layer.index] = _overall(predicted)

    @quiet
    def _from_measured(self, layer: Layer) -> Moments | None:
        before = [
            self.inputs if i == INPUT else _spread(self.layers[i], layer) for i in layer.inputs
        ]
        return _overall(_step(layer, before))


def _measured(layer: Layer) -> Units:
    return Units(np.array([layer.mean]), np.array([layer.variance]))


def _overall(units: Units | None) -> Moments | None:
    return None if units is None else units.overall


def _spread(source: Layer, layer: Layer) -> Units:
    """For an activation the measured moments unit by unit, as its curve is not a straight line."""
    if layer.role != "activation":
        return _measured(source)
    return _thin(Units(source.unit_means, source.unit_variances))


def _step(layer: Layer, before: Sequence[Units]) -> Units | None:
    """What the theory expects behind one layer; None if it does not say."""
    if not before or any(not np.isfinite(u.mean).all() for u in before):
        return None
    if layer.role == "addition":
        parts = [u.overall for u in before]
        return _units(sum(float(m.mean) for m in parts), sum(float(m.variance) for m in parts))
    step = _STEPS.get(layer.role)
    return step(layer, before[0]) if step is not None and len(before) == 1 else None


def _linear(layer: Layer, before: Units) -> Units | None:
    if len(layer.weights) != 1:
        return None
    mean, variance = (float(value) for value in before.overall)
    weights = layer.weights[0]
    omega, tau = _thin(Units(weights.omega, weights.tau))
    bias = layer.bias if len(layer.bias) == len(weights.omega) else np.zeros(len(weights.omega))
    bias = _thin(Units(bias, bias)).mean
    valid = 1 - float(layer.settings.get("padding", 0.0))
    return Units(mean * omega * valid + bias, variance * tau * valid)


def _activation(layer: Layer, before: Units) -> Units | None:
    name, curve = _ALIASES.get(layer.activation, layer.activation), layer.settings.get(CURVE)
    if name not in ACTIVATIONS and curve is None:
        return None
    before = _thin(before)
    if not ((before.variance < 1e12) & (np.abs(before.mean) < 1e6)).all():
        return None
    if curve is not None:
        return _by_curve(before, *curve)
    # As a layer of unit weights: z ~ N(mean, variance).
    how = layer.settings.get("form") or name
    found = moments(before.mean, before.variance, omega=1.0, activation=how)
    after = Units(np.asarray(found.mean), np.asarray(found.variance))
    return _alpha_dropout(layer, after) if layer.settings.get("p") else after


def _by_curve(before: Units, places: FloatArray, values: FloatArray) -> Units:
    """Moments of a function that is linear between places, by Gauss-Hermite quadrature."""
    z = before.mean[:, None] + np.sqrt(np.maximum(before.variance, 0))[:, None] * _NODES
    y = np.interp(z, places, values)
    weights = _WEIGHTS / _WEIGHTS.sum()
    mean = y @ weights
    return Units(mean, np.square(y - mean[:, None]) @ weights)


def _dropout(layer: Layer, before: Units) -> Units:
    p = float(layer.settings["p"])
    if p >= 1:
        return Units(0 * before.mean, 0 * before.variance)
    return Units(before.mean, (before.variance + p * before.mean**2) / (1 - p))


def _alpha_dropout(layer: Layer, before: Units) -> Units:
    p, form = float(layer.settings["p"]), layer.settings.get("form") or SELUForm()
    return Units(*alpha_dropout_moments(before.mean, before.variance, p, form))


def _scale(layer: Layer, before: Units) -> Units | None:
    factor = layer.settings.get("factor")
    if factor is None:
        return None
    return Units(factor * before.mean, factor * factor * before.variance)


_STEPS: Mapping[str, Callable[[Layer, Units], Units | None]] = {
    "linear": _linear,
    "activation": _activation,
    "dropout": _dropout,
    "alpha dropout": _alpha_dropout,
    "scale": _scale,
}


def _units(mean: float, variance: float) -> Units:
    return Units(np.array([mean]), np.array([variance]))


def _thin(units: Units) -> Units:
    """At most 256 of the units, spread evenly: enough for a mean over them."""
    step = max(1, -(-len(units.mean) // _UNITS))
    return Units(units.mean[::step], units.variance[::step])
