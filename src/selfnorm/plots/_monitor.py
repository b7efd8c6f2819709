"""The figure of a monitored training."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from selfnorm.plots._draw import draw
from selfnorm.report._monitor import Observed, monitor_charts


def plot_monitor(records: Sequence[Observed], *, title: str = "") -> Figure:
    """Panels over the steps, a line a layer: variance, tau, and gradient gain.

    A fourth, how far weights are from orthogonal, stands there if any are near.

    Args:
        records: What `selfnorm.monitor` recorded.
        title: Above the panels.
    """
    return draw(monitor_charts(records), title=title)
