"""Figures of a training: what the layers do, the learning curve, and networks side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import AutoLocator, LogLocator, MaxNLocator, NullFormatter

from selfnorm.errors import ArgumentError
from selfnorm.plots._style import BAND, COLORS, DIM, figure, plain_axes
from selfnorm.theory import THEOREM_1

_LOWEST, _HIGHEST = 1e-6, 1e6
_COLUMNS = 5
_DECADES = 30
"""Below this ratio of its ends, a logarithmic axis of decades alone has one label or two."""


@dataclass(frozen=True)
class Curve:
    """A network's activation variance by layer, before and after training, and its score.

    Attributes:
        name: What it is called.
        before: Variance of each layer's activations before training.
        after: The same after it.
        score: What it reached.
        losses: The training loss of each epoch, if it is to be drawn.
    """

    name: str
    before: Sequence[float]
    after: Sequence[float]
    score: float
    losses: Sequence[float] = ()


def depth_figure(curves: Sequence[Curve], *, title: str, score: str) -> Figure:
    """Variance by layer of several networks, before and after training, their losses and scores.

    Where the networks are of several depths, a layer's place is its share of the depth.

    Args:
        curves: One a network.
        title: What was trained on what.
        score: Name of the score, such as `accuracy on 360 held-out rows`.
    """
    with_losses = any(len(curve.losses) for curve in curves)
    drawn = figure(14 if with_losses else 11, 4.2 if len(curves) > _COLUMNS else 4)
    drawn.suptitle(title, fontsize=12, parse_math=False)
    widths = (1, 1, *((0.8,) if with_losses else ()), 0.8)
    before, after, *rest, bars = drawn.subplots(1, len(widths), width_ratios=widths)
    after.sharey(before)
    of_depth = len({len(curve.before) for curve in curves}) > 1
    looks = [_look(number) for number in range(len(curves))]
    for axes, moment, heading in (
        (before, "before", "Variance at the start"),
        (after, "after", "Variance after training"),
    ):
        for look, curve in zip(looks, curves, strict=True):
            _variance_line(axes, getattr(curve, moment), curve.name, look, of_depth=of_depth)
        _variance_axes(axes, heading)
        if of_depth:
            axes.set_xlabel("share of the depth")
            axes.xaxis.set_major_locator(AutoLocator())
    for axes in rest:
        for look, curve in zip(looks, curves, strict=True):
            axes.plot(range(1, len(curve.losses) + 1), curve.losses, **look)
        plain_axes(axes, title="Training loss", x="epoch", y="")
        axes.set_yscale("log")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    lines, names = before.get_legend_handles_labels()
    columns = min(len(names), _COLUMNS)
    drawn.legend(lines, names, loc="outside lower center", ncols=columns, frameon=False)
    _score_bars(bars, curves, looks, score)
    return drawn


def layers_figure(
    networks: Mapping[str, Sequence[float]], *, title: str, panels: Sequence[str]
) -> tuple[Figure, list[Axes]]:
    """Variance by layer of several networks, at the right of panels that are yours to draw in.

    Panels have this package's colors in the order of the networks, so that the k-th line that is
    drawn in one has the color of the k-th network, and `darken` knows it.

    Args:
        networks: Name and variance of each layer's activations, one a network.
        title: Above all panels.
        panels: The heading of each free panel, from left to right.

    Returns:
        The figure, and its free panels.

    Raises:
        ArgumentError: There is no network, or no free panel.

    Example:
        >>> networks = {"SELU": [1.0, 1.1], "ReLU": [0.6, 0.4]}
        >>> figure, (losses,) = layers_figure(networks, title="digits", panels=["Training loss"])
        >>> lines = losses.plot([3, 2, 1]) + losses.plot([3, 3, 2])
        >>> colors = [line.get_color() for line in figure.axes[1].lines]
        >>> [line.get_color() for line in lines] == colors
        True
    """
    if not networks or not panels:
        raise ArgumentError(
            "layers_figure draws one network or more beside one panel or more; "
            f"{len(networks)} and {len(panels)} came. Use depth_figure without panels."
        )
    width = 3.6 * (len(panels) + 1)
    drawn = figure(width, 3.9)
    drawn.suptitle(title, fontsize=12, parse_math=False)
    *free, layers = drawn.subplots(1, len(panels) + 1)
    for number, (name, variances) in enumerate(networks.items()):
        _variance_line(layers, variances, name, _look(number))
    _variance_axes(layers, "Variance after training")
    low, high = layers.get_ylim()
    if high < _DECADES * low:
        layers.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    for axes, heading in zip(free, panels, strict=True):
        plain_axes(axes, title=heading, x="", y="")
        axes.set_prop_cycle(color=COLORS[:-1])
    lines, names = layers.get_legend_handles_labels()
    of_one = 0.6 + 0.075 * max(map(len, names))  # in inches, at this size
    columns = max(1, min(len(names), int(width / of_one)))
    look = {"ncols": columns, "frameon": False, "fontsize": 9, "columnspacing": 1.2}
    drawn.legend(lines, names, loc="outside lower center", **look)
    return drawn, free


def _score_bars(
    axes: Axes, curves: Sequence[Curve], looks: Sequence[dict[str, Any]], score: str
) -> None:
    heights = [curve.score for curve in curves]
    rows = np.arange(len(curves))[::-1]
    for row, curve, look in zip(rows, curves, looks, strict=True):
        later = look["linestyle"] != "-"
        axes.barh(row, curve.score, color=look["color"], height=0.5, alpha=0.6 if later else 1)
        axes.text(0, row + 0.26, f" {curve.name}", fontsize=8, va="bottom")
        axes.text(curve.score, row, f" {curve.score:.3g}", fontsize=9, va="center")
    plain_axes(axes, title=score, x="", y="")
    axes.set_xlim(0, 1.2 * max(heights))
    axes.set_ylim(-0.5, len(curves) - 0.3)
    axes.set_yticks([])


def _look(number: int) -> dict[str, Any]:
    """A color of its own for each line; where colors end, they begin again dashed."""
    colors = COLORS[:-1]  # the last is ink
    styles = ("-", "--", ":")
    style = styles[min(number // len(colors), len(styles) - 1)]
    return {"color": colors[number % len(colors)], "linestyle": style}


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
    _variance_line(layers, before, "at the start", _look(1))
    _variance_line(layers, after, "after training", _look(0))
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


def _variance_line(
    axes: Axes,
    variances: Sequence[float],
    name: str,
    look: dict[str, Any],
    *,
    of_depth: bool = False,
) -> None:
    values = np.nan_to_num(np.asarray(variances, float), nan=np.inf).clip(_LOWEST, _HIGHEST)
    layers = np.arange(1, len(values) + 1) / (len(values) if of_depth else 1)
    mark = "o" if len(values) <= 16 else None
    axes.plot(layers, values, label=name, marker=mark, markersize=3, **look)


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
