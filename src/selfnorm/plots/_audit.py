"""The figure of an audit: variance and gradients by layer, and the weights of each unit."""

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from selfnorm.plots._style import BAND, COLORS, figure, plain_axes
from selfnorm.theory import theorem_domains

_DOMAIN = theorem_domains("1")[0]
_POINTS = 4000


class Audited(Protocol):
    """What of a report is drawn; `selfnorm.auditing.Report` has it."""

    @property
    def layers(self) -> Sequence[Any]:
        """The layers, with the attributes of `selfnorm.recording.Layer`."""
        ...


def plot_audit(report: Audited, *, title: str = "") -> Figure:
    """Three panels: variance by layer beside the theory's, gradient by layer, omega and tau.

    Args:
        report: What `selfnorm.audit` returned.
        title: Above the panels.
    """
    drawn = figure(12, 3.6)
    if title:
        drawn.suptitle(title, fontsize=12, parse_math=False)
    first, second, third = drawn.subplots(1, 3)
    _variances(first, report.layers)
    _gradients(second, report.layers)
    _weights(third, report.layers)
    return drawn


def _variances(axes: Axes, layers: Sequence[Any]) -> None:
    low, high = (float(end) for end in _DOMAIN.variance)
    axes.axhspan(low, high, color=BAND, label="theorem 1")
    theory = [(k.index + 1, float(k.predicted.variance)) for k in layers if k.predicted is not None]
    measured = [(k.index + 1, k.variance) for k in layers if _drawable(k.variance)]
    if theory:
        axes.plot(*zip(*theory, strict=True), "--", color=COLORS[2], label="theory")
    if measured:
        axes.plot(*zip(*measured, strict=True), "o-", color=COLORS[0], ms=3, lw=1, label="measured")
    axes.set_yscale("log")
    plain_axes(axes, title="Variance by layer", x="layer", y="")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=8)


def _gradients(axes: Axes, layers: Sequence[Any]) -> None:
    sizes = [(k.index + 1, k.gradient) for k in layers if _drawable(k.gradient)]
    if sizes:
        axes.plot(*zip(*sizes, strict=True), "o-", color=COLORS[0], ms=3, lw=1)
        axes.set_yscale("log")
    plain_axes(axes, title="Gradient by layer", x="layer", y="")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _weights(axes: Axes, layers: Sequence[Any]) -> None:
    found = [w for k in layers if k.role != "embedding" for w in k.weights]
    if found:
        omega, tau = (np.concatenate([getattr(w, n) for w in found]) for n in ("omega", "tau"))
        step = max(1, len(omega) // _POINTS)
        axes.plot(omega[::step], tau[::step], ".", ms=2, alpha=0.4, color=COLORS[0])
        if tau.min() > 0 and tau.max() > 20 * tau.min():
            axes.set_yscale("log")
    (left, right), (bottom, top) = (
        [float(end) for end in limits] for limits in (_DOMAIN.omega, _DOMAIN.tau)
    )
    corner, width, height = (left, bottom), right - left, top - bottom
    axes.add_patch(Rectangle(corner, width, height, fill=False, color=COLORS[2], lw=1.5))
    plain_axes(axes, title="Units: tau by omega", x="omega", y="tau")


def _drawable(value: float) -> bool:
    return value > 0 and math.isfinite(value)
