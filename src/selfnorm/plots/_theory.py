"""Figures of the theory: the moment map, variance maps, gradients over depth, SELU itself."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from selfnorm.plots._style import COLORS, DIM, ZONE, figure, plain_axes
from selfnorm.theory import (
    THEOREM_1,
    FixedPoint,
    fixed_point,
    gradient_gain,
    moments,
    neutral_dropout,
    normalize_activation,
    selu_constants,
)
from selfnorm.theory._activations import selu_function


def map_field(point: FixedPoint | None = None, *, omega: float = 0.0, tau: float = 1.0) -> Figure:
    """The way that each mean and variance moves in one layer of SELU, around theorem 1's box.

    Args:
        point: The fixed point to mark; by default the one that iterating finds.
        omega: Sum of a unit's weights.
        tau: Sum of squares of a unit's weights.

    Returns:
        The figure.

    Source: after Klambauer et al. 2017, Figure 2.
    """
    point = point or fixed_point(omega=omega, tau=tau)
    mean, variance = np.meshgrid(np.linspace(-0.15, 0.15, 9), np.linspace(0.65, 1.65, 13))
    after = moments(mean, variance, omega=omega, tau=tau)
    drawn, axes = _new("One layer of SELU", "mean of the inputs", "variance of the inputs")
    axes.quiver(
        mean,
        variance,
        after.mean - mean,
        after.variance - variance,
        angles="xy",
        scale_units="xy",
        scale=5,
        color=COLORS[0],
        width=0.004,
    )
    (left, right), (bottom, top) = THEOREM_1.mean, THEOREM_1.variance
    box = (left, bottom), right - left, top - bottom
    axes.add_patch(
        Rectangle(*box, fill=False, edgecolor=COLORS[1], linewidth=1.6, label="box of theorem 1")
    )
    if point.converged:
        label = f"fixed point ({round(point.mean, 4) + 0.0:g}, {round(point.variance, 4):g})"
        axes.plot(point.mean, point.variance, "o", color=COLORS[6], markersize=7, label=label)
    axes.set_xlim(-0.165, 0.165)
    axes.set_ylim(0.6, 1.7)
    drawn.legend(loc="outside upper center", ncols=2, frameon=False)
    return drawn


def variance_maps(
    activations: Sequence[str] = ("selu", "tanh", "gelu", "relu", "silu"),
) -> Figure:
    """The variance behind one layer over that before it, for normalized activations.

    Each is scaled and shifted to keep mean 0 and variance 1, so all curves meet at 1. A curve
    that falls there pulls the variance back to 1; one that rises pushes it away.

    Args:
        activations: Names, at most six.

    Returns:
        The figure.
    """
    variance = np.geomspace(0.05, 20, 200)
    drawn, axes = _new(
        "What a layer does to the variance",
        "variance before the layer",
        "variance behind it / before it",
    )
    for name, color in zip(activations, COLORS, strict=False):
        factor = normalize_activation(name).factor
        after = factor**2 * moments(0.0, variance, activation=name).variance
        axes.plot(variance, after / variance, color=color, label=name, linewidth=1.8)
    axes.axhline(1, color=DIM, linewidth=1, linestyle=":")
    axes.plot(1, 1, "o", color=COLORS[6], markersize=5)
    axes.set_xscale("log")
    axes.set_xticks([0.1, 1, 10], ["0.1", "1", "10"])
    axes.legend(frameon=False)
    return drawn


def gradient_sizes(
    dropouts: Sequence[float] = (0.0, 0.05, 0.1, 0.2, 0.5), depth: int = 60
) -> Figure:
    """Size of the gradient at the input over the number of layers, for several dropout rates.

    Args:
        dropouts: Probabilities of alpha dropout, at most five.
        depth: The deepest network shown.

    Returns:
        The figure.
    """
    layers = np.arange(depth + 1)
    drawn, axes = _new(
        "Gradients behind SELU and alpha dropout",
        "layers",
        "gradient at the input / at the output",
    )
    for p, color in zip(dropouts, COLORS, strict=False):
        size = gradient_gain(p) ** (layers / 2)
        axes.plot(layers, size, color=color, linewidth=1.8, label=f"p = {p:g}")
    neutral = neutral_dropout()
    axes.plot(
        layers,
        gradient_gain(neutral) ** (layers / 2),
        color=COLORS[6],
        linestyle="--",
        linewidth=1.4,
        label=f"p = {neutral:.4f}",
    )
    axes.axhspan(0.1, 10, color=ZONE, zorder=0)
    axes.annotate("within a factor of 10", (0.98 * depth, 13), ha="right", color=DIM, fontsize=9)
    axes.set_yscale("log")
    axes.set_ylim(1e-7, 100)
    axes.set_xlim(0, depth)
    axes.legend(frameon=False, loc="lower left", fontsize=9)
    return drawn


def selu_shape() -> Figure:
    """SELU and its derivative, which jumps at 0 from `scale * alpha` to `scale`.

    Returns:
        The figure.
    """
    alpha, scale = selu_constants()
    saturation = selu_constants().saturation
    left, right = np.linspace(-4, 0, 200), np.linspace(0, 3, 100)
    selu = selu_function(selu_constants())
    drawn, axes = _new("SELU and its derivative", "x", "")
    x = np.concatenate([left, right])
    axes.plot(x, selu(x), color=COLORS[0], linewidth=2, label="SELU")
    axes.plot(left, scale * alpha * np.exp(left), color=COLORS[1], linewidth=1.8)
    axes.plot(right, np.full_like(right, scale), color=COLORS[1], linewidth=1.8, label="derivative")
    axes.axhline(saturation, color=DIM, linewidth=1, linestyle=":")
    axes.annotate(f"saturation at {saturation:.4g}", (1.2, saturation), (0.2, -1.6), color=DIM)
    axes.set_xlim(-4, 3)
    axes.legend(frameon=False, loc="upper left")
    return drawn


def _new(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    drawn = figure(5, 3.6)
    axes = drawn.subplots()
    plain_axes(axes, title=title, x=x, y=y)
    return drawn, axes
