"""The figure of a monitored training: what each layer does, step by step."""

from collections.abc import Sequence
from typing import Any, Protocol

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from selfnorm.plots._style import BAND, figure, plain_axes
from selfnorm.theory import theorem_domains

_DOMAIN = theorem_domains("1")[0]


class Observed(Protocol):
    """What of a record is drawn; `selfnorm.recording.Observation` has it."""

    @property
    def step(self) -> int:
        """Number of the step."""
        ...

    @property
    def layer(self) -> str:
        """Name of the layer."""
        ...


def plot_monitor(records: Sequence[Observed], *, title: str = "") -> Figure:
    """Three panels over the steps, a line a layer: variance, tau, and gradient gain.

    Args:
        records: What `selfnorm.monitor` recorded.
        title: Above the panels.
    """
    drawn = figure(12, 3.6)
    if title:
        drawn.suptitle(title, fontsize=12, parse_math=False)
    panels = drawn.subplots(1, 3)
    variance = tuple(float(end) for end in _DOMAIN.variance)
    tau = tuple(float(end) for end in _DOMAIN.tau)
    layers: dict[str, list[Observed]] = {}
    for record in records:
        layers.setdefault(record.layer, []).append(record)
    colors = mpl.colormaps["viridis"]
    for axes, name, heading, band in (
        (panels[0], "variance", "Variance", variance),
        (panels[1], "tau", "tau of the weights", tau),
        (panels[2], "gain", "Gradient gain", None),
    ):
        _lines(axes, list(layers.values()), name, colors)
        if band is not None:
            axes.axhspan(*band, color=BAND, linewidth=0)
        plain_axes(axes, title=heading, x="step", y="")
    scale = ScalarMappable(Normalize(1, max(len(layers), 2)), colors)
    drawn.colorbar(scale, ax=panels[-1], label="layer")
    return drawn


def _lines(axes: Axes, layers: Sequence[Sequence[Observed]], name: str, colors: Any) -> None:
    for place, records in enumerate(layers):
        points = [(record.step, getattr(record, name)) for record in records]
        points = [(step, value) for step, value in points if np.isfinite(value) and value > 0]
        if points:
            color = colors(place / max(len(layers) - 1, 1))
            axes.plot(*zip(*points, strict=True), "-", marker=".", color=color, lw=1)
    if axes.lines:
        axes.set_yscale("log")
