"""Charts as a matplotlib figure, side by side."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import NullLocator

from selfnorm.plots._style import BAND, COLORS, PAPER, figure, plain_axes
from selfnorm.report._axis import Axis
from selfnorm.report._chart import Band, Box, Chart, Dots, Line, Mark, Tiles
from selfnorm.report._numbers import tick

_SHADES = mpl.colormaps["viridis"]
_POINT = 0.7
"""Size in points of what a chart 420 wide calls 1, in a panel of a third of the figure."""


def draw(charts: Sequence[Chart], *, title: str = "") -> Figure:
    """Charts as the panels of one figure.

    Args:
        charts: What to draw, from left to right.
        title: Above the panels.
    """
    drawn = figure(4 * len(charts), 3.6)
    if title:
        drawn.suptitle(title, fontsize=12, parse_math=False)
    panels = drawn.subplots(1, len(charts), squeeze=False)[0]
    for axes, chart in zip(panels, charts, strict=True):
        _chart(axes, chart)
        if chart.scale is not None:
            shades = ScalarMappable(Normalize(chart.scale.low, chart.scale.high), _SHADES)
            drawn.colorbar(shades, ax=axes, label=chart.scale.label)
    return drawn


def _chart(axes: Axes, chart: Chart) -> None:
    plain_axes(axes, title=chart.title, x=chart.x.label, y=chart.y.label)
    _axis(axes, "x", chart.x)
    _axis(axes, "y", chart.y)
    for mark in chart.marks:
        _mark(axes, chart, mark)
    if chart.legend:
        axes.legend(
            [_key(mark) for mark in chart.legend],
            [mark.label for mark in chart.legend],
            loc="lower right",  # beside the title, where it hides nothing
            bbox_to_anchor=(1.0, 0.99),
            borderaxespad=0.0,
            ncols=len(chart.legend),
            columnspacing=0.8,
            handletextpad=0.3,
            handlelength=1.4,
            frameon=False,
            fontsize=7,
        )


def _axis(axes: Axes, name: str, axis: Axis) -> None:
    """The scale, the ends and the ticks that the chart has, and no others."""
    values = axis.ticks()
    side = axes.xaxis if name == "x" else axes.yaxis
    axes.set(**{f"{name}scale": "log" if axis.logarithmic else "linear"})
    axes.set(**{f"{name}lim": (axis.low, axis.high)})
    side.set_ticks(values, [tick(value) for value in values])
    side.set_minor_locator(NullLocator())


def _mark(axes: Axes, chart: Chart, mark: Mark) -> None:
    match mark:
        case Band():
            axes.axhspan(mark.low, mark.high, color=BAND, linewidth=0)
        case Box():
            (left, right), (bottom, top) = mark.x, mark.y
            width, height = right - left, top - bottom
            axes.add_patch(
                Rectangle((left, bottom), width, height, fill=False, color=COLORS[2], lw=1.5)
            )
        case Tiles():
            for (x, y), share in zip(mark.points, mark.shares, strict=True):
                axes.add_patch(
                    Rectangle((x - 0.5, y - 0.5), 1, 1, color=COLORS[0], alpha=share, lw=0)
                )
        case Line():
            axes.plot(*_columns(chart, mark), clip_on=False, **_look(mark))
        case Dots():
            filled = [not (mark.hollow and mark.hollow[k]) for k in range(len(mark.points))]
            axes.scatter(
                *_columns(chart, mark),
                s=(2 * _POINT * mark.radius) ** 2,
                c=[COLORS[0] if full else PAPER for full in filled],
                edgecolors="none" if mark.faint else COLORS[0],
                linewidths=0.8,
                clip_on=False,
                alpha=0.4 if mark.faint else 1,
                zorder=2 if mark.faint else 3,
            )


def _look(line: Line) -> dict[str, Any]:
    match line.style:
        case "measured":
            return {"color": COLORS[0], "linewidth": 1}
        case "theory":
            return {"color": COLORS[2], "linestyle": "--"}
        case "shaded":
            return {"color": _SHADES(line.shade), "linewidth": 1, "marker": "."}


def _key(mark: Mark) -> Artist:
    """What stands for a mark in the legend."""
    match mark:
        case Band():
            return Patch(color=BAND)
        case Tiles():
            return Patch(color=COLORS[0])
        case Box():
            return Patch(fill=False, color=COLORS[2])
        case Line():
            return Line2D([], [], **_look(mark))
        case Dots():
            return Line2D([], [], color=COLORS[0], linestyle="", marker="o", markersize=4)


def _columns(chart: Chart, mark: Line | Dots) -> tuple[list[float], list[float]]:
    points = mark.points
    return [chart.x.held(x) for x, _ in points], [chart.y.held(y) for _, y in points]
