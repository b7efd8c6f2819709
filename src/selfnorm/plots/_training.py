"""Figures of a training: what the layers do, the learning curve, and networks side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from selfnorm.plots._style import BAND, COLORS, DIM, figure, plain_axes
from selfnorm.theory import THEOREM_1

_LOWEST, _HIGHEST = 1e-6, 1e6


@dataclass(frozen=True)
class Curve:
    """A network's activation variance by layer, before and after training, and its score."""

    name: str
    before: Sequence[float]
    after: Sequence[float]
    score: float


def depth_figure(curves: Sequence[Curve], *, title: str, score: str) -> Figure:
    """Variance by layer of several networks, before and after training, and their scores.

    Args:
        curves: One a network.
        title: What was trained on what.
        score: Name of the score, such as `accuracy on 360 held-out rows`.
    """
    drawn = figure(11, 4)
    drawn.suptitle(title, fontsize=12, parse_math=False)
    before, after, bars = drawn.subplots(1, 3, width_ratios=(1, 1, 0.8))
    after.sharey(before)
    for axes, moment, heading in (
        (before, "before", "Variance at the start"),
        (after, "after", "Variance after training"),
    ):
        for color, curve in zip(COLORS, curves, strict=False):
            _variance_line(axes, getattr(curve, moment), color, curve.name)
        _variance_axes(axes, heading)
    lines, names = before.get_legend_handles_labels()
    drawn.legend(lines, names, loc="outside lower center", ncols=len(names), frameon=False)
    heights = [curve.score for curve in curves]
    rows = np.arange(len(curves))[::-1]
    bars.barh(rows, heights, color=COLORS[: len(curves)], height=0.6)
    for row, curve in zip(rows, curves, strict=True):
        bars.text(0, row + 0.36, f" {curve.name}", fontsize=8, va="bottom")
        bars.text(curve.score, row, f" {curve.score:.3g}", fontsize=9, va="center")
    plain_axes(bars, title=score, x="", y="")
    bars.set_xlim(0, 1.2 * max(heights))
    bars.set_ylim(-0.5, len(curves) - 0.3)
    bars.set_yticks([])
    return drawn


def training_figure(
    before: Sequence[float],
    after: Sequence[float],
    *,
    loss: Sequence[float],
    validation_loss: Sequence[float],
    best: int,
    title: str,
) -> Figure:
    """One training: variance by layer at the start and at the end, and the learning curve.

    Args:
        before: Variance of each hidden layer's activations before training.
        after: The same after it.
        loss: Training loss of each epoch.
        validation_loss: Validation loss of each epoch; nan where there is none.
        best: Number of the epoch that was kept, from 1.
        title: What was trained on what.
    """
    drawn = figure(9, 3.6)
    drawn.suptitle(title, fontsize=12, parse_math=False)
    layers, epochs = drawn.subplots(1, 2)
    _variance_line(layers, before, COLORS[1], "at the start")
    _variance_line(layers, after, COLORS[0], "after training")
    _variance_axes(layers, "Variance of the activations")
    layers.legend(frameon=False, fontsize=8)
    numbers = np.arange(1, len(loss) + 1)
    epochs.plot(numbers, loss, color=COLORS[1], label="training (with dropout)")
    if np.isfinite(validation_loss).any():
        epochs.plot(numbers, validation_loss, color=COLORS[0], label="validation")
    epochs.axvline(best, color=DIM, linestyle=":", label=f"kept: epoch {best}")
    plain_axes(epochs, title="Loss", x="epoch", y="")
    epochs.set_ylim(bottom=0)
    epochs.xaxis.set_major_locator(MaxNLocator(integer=True))
    epochs.legend(frameon=False, fontsize=8)
    return drawn


def _variance_line(axes: Axes, variances: Sequence[float], color: str, name: str) -> None:
    values = np.nan_to_num(np.asarray(variances, float), nan=np.inf)
    layers = np.arange(1, len(values) + 1)
    mark = "o" if len(values) <= 16 else None
    axes.plot(
        layers, values.clip(_LOWEST, _HIGHEST), color=color, label=name, marker=mark, markersize=3
    )


def _variance_axes(axes: Axes, heading: str) -> None:
    """A logarithmic axis with theorem 1's box; values beyond the ends are drawn at the end."""
    plain_axes(axes, title=heading, x="hidden layer", y="")
    axes.axhspan(*THEOREM_1.variance, color=BAND, linewidth=0, label="theorem 1's box")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.autoscale(axis="y")
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0.3), max(high, 4))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
