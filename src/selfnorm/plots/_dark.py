"""The dark form of a figure, for dark pages."""

from typing import Any, cast

import numpy as np
from matplotlib.collections import Collection
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure, FigureBase
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text

from selfnorm.errors import ArgumentError
from selfnorm.plots._style import COLORS, DIM, GRID, INK, PAPER, ZONE

# Paper, ink and rules are those of a report's page in the dark.
_TWINS = {
    PAPER: "#14171d",
    INK: "#e6e9ef",
    DIM: "#9aa4b5",
    GRID: "#343b48",
    ZONE: "#252a34",
    COLORS[0]: "#5cb3ee",
    COLORS[1]: "#ff8c42",
    COLORS[2]: "#3ccfa3",
    COLORS[3]: "#e9a6d0",
    COLORS[4]: "#f5bc4a",
    COLORS[5]: "#a9ddff",
}
_COLORED = (
    (Text, ("color",)),
    (Line2D, ("color", "markerfacecolor", "markeredgecolor")),
    (Patch, ("facecolor", "edgecolor")),
    (Collection, ("facecolor", "edgecolor")),
)


def darken(drawn: Figure) -> Figure:
    """Give a figure of this package the colors for dark pages: light ink on dark paper.

    What has a color of a scale keeps it. The figure itself is changed; twice is as once.

    Args:
        drawn: The figure, also one of `Report.plot()` or `Monitor.plot()`.

    Returns:
        The same figure.

    Raises:
        ArgumentError: It is no figure.

    Example:
        >>> from matplotlib.colors import to_hex
        >>> from selfnorm import plots
        >>> to_hex(plots.darken(plots.selu_shape()).get_facecolor())
        '#14171d'
    """
    if not isinstance(cast("object", drawn), FigureBase):
        raise ArgumentError(
            f"darken takes a Matplotlib figure; got {type(drawn).__name__}. "
            "Pass what a function of selfnorm.plots returns."
        )
    for artist in drawn.findobj():
        for kind, names in _COLORED:
            if isinstance(artist, kind):
                for name in names:
                    color = getattr(artist, f"get_{name}")()
                    getattr(artist, f"set_{name}")(_twin(color))
    return drawn


def _twin(color: Any) -> Any:
    """A color's dark form, as opaque as it was; of several, each one's."""
    if np.ndim(color) > 1:
        return [_twin(one) for one in color]
    alone, alpha = to_hex(color), to_rgba(color)[3]
    return to_rgba(_TWINS.get(alone, alone), alpha)
