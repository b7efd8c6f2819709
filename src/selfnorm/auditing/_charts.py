"""What the charts of an audit show, from its layers alone: once for the page and the figure."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from selfnorm.recording import Layer
from selfnorm.recording._recording import WEIGHTED
from selfnorm.report._axis import Axis, counting, logarithmic
from selfnorm.report._chart import Band, Box, Chart, Dots, Line, Mark
from selfnorm.report._numbers import digits
from selfnorm.theory import THEOREM_1
from selfnorm.theory._types import FloatArray

_UNITS = 2000
"""Units that are drawn, at most: more hide each other, and make a page slow."""
_MANY_LAYERS = 40
_RARE = 0.005
"""The share of units at each end that may lie beyond the axes, and are drawn at their ends."""
_WIDE = 20
"""Largest tau by smallest from which on the axis is logarithmic."""


def audit_charts(layers: Sequence[Layer]) -> tuple[Chart, Chart, Chart]:
    """Variance by layer, gradient by layer, and tau by omega of every unit."""
    return variance_chart(layers), gradient_chart(layers), weights_chart(layers)


def variance_chart(layers: Sequence[Layer]) -> Chart:
    """Variance by layer, measured and expected, with theorem 1's range."""
    shown = [layer for layer in layers if 0 < layer.variance < math.inf]
    theory = [
        (layer.index + 1.0, float(layer.predicted.variance))
        for layer in shown
        if layer.predicted is not None and 0 < layer.predicted.variance < math.inf
    ]
    note = f"theorem 1: variance in {THEOREM_1.interval('variance')}"
    marks: list[Mark] = [Band(*THEOREM_1.variance, label="theorem 1", note=note)]
    if theory:
        marks.append(Line(tuple(theory), "theory", label="theory"))
    marks += _measured(shown, lambda layer: layer.variance, label="measured")
    values = [*(layer.variance for layer in shown), *(value for _, value in theory), 0.5, 2.0]
    return Chart("Variance by layer", _by_layer(layers), logarithmic("", values), tuple(marks))


def gradient_chart(layers: Sequence[Layer]) -> Chart:
    """Size of the gradient by layer; at least a factor of 5 from end to end."""
    shown = [layer for layer in layers if 0 < layer.gradient < math.inf]
    values = [layer.gradient for layer in shown] or [1.0]
    return Chart(
        "Gradient by layer",
        _by_layer(layers),
        logarithmic("", [*values, max(values) / 5]),
        tuple(_measured(shown, lambda layer: layer.gradient)),
    )


def weights_chart(layers: Sequence[Layer]) -> Chart:
    """Sum and sum of squares of the units' weights, with theorem 1's box."""
    found = [weights for layer in layers if layer.role in WEIGHTED for weights in layer.weights]
    none = np.zeros(0)
    omega = np.concatenate([none, *(weights.omega for weights in found)])
    tau = np.concatenate([none, *(weights.tau for weights in found)])
    finite = np.isfinite(omega) & np.isfinite(tau)
    omega, tau = _thinned(omega[finite]), _thinned(tau[finite])
    x, y = _omega_axis(omega), _tau_axis(tau)
    cloud = tuple(zip(omega.tolist(), tau.tolist(), strict=True))
    note = "theorem 1: " + ", ".join(f"{n} in {THEOREM_1.interval(n)}" for n in ("omega", "tau"))
    box = Box(THEOREM_1.omega, THEOREM_1.tau, label="theorem 1", note=note)
    return Chart("Units: tau by omega", x, y, (Dots(cloud, 1.6, faint=True), box))


def _measured(
    layers: Sequence[Layer], value: Callable[[Layer], float], label: str = ""
) -> list[Mark]:
    """A line through the layers and a dot for each, a ring where it is no activation."""
    points = tuple((layer.index + 1.0, float(value(layer))) for layer in layers)
    if not points:
        return []
    dots = Dots(
        points,
        radius=3 if len(points) <= _MANY_LAYERS else 1.8,
        hollow=tuple(layer.role != "activation" for layer in layers),
        notes=tuple(
            f"{layer.name or 'model'} ({layer.kind}): {digits(value(layer), 3)}" for layer in layers
        ),
        label=label,
    )
    return [Line(points, "measured"), dots]


def _by_layer(layers: Sequence[Layer]) -> Axis:
    return counting("layer", 1, max(len(layers), 1))


def _omega_axis(omega: FloatArray) -> Axis:
    """Around 0, and around theorem 1's box."""
    usual = float(np.quantile(np.abs(omega), 1 - _RARE)) if len(omega) else 0.0
    end = 1.05 * max(usual, 0.5)
    return Axis("omega", -end, end)


def _tau_axis(tau: FloatArray) -> Axis:
    """Logarithmic if the units differ much; always around theorem 1's range."""
    positive = tau[tau > 0]
    if len(positive) and positive.max() > _WIDE * positive.min():
        return logarithmic("tau", [float(positive.min()), float(positive.max()), 0.5, 2.0])
    usual = np.quantile(tau, [_RARE, 1 - _RARE]) if len(tau) else np.ones(2)
    low, high = min(0.85, float(usual[0])), max(1.2, float(usual[1]))
    air = 0.05 * (high - low)
    return Axis("tau", low - air, high + air)


def _thinned(values: FloatArray) -> FloatArray:
    """At most so many as are drawn, spread evenly."""
    if len(values) <= _UNITS:
        return values
    return values[np.linspace(0, len(values) - 1, _UNITS).round().astype(int)]
