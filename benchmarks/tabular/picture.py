"""Mean rank beside the time that fitting took, a labelled point for each method."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import LogLocator, NullFormatter

from benchmarks.tabular.standings import OURS, Judgement
from selfnorm.plots._style import COLORS, DIM, INK, figure, plain_axes

# Where a label may stand beside its point: offset in points, and which side of it is there.
_PLACES = (
    ((8, 0), "left", "center"),
    ((-8, 0), "right", "center"),
    ((0, 8), "center", "bottom"),
    ((0, -8), "center", "top"),
)
_MARK = 10.0  # half a mark's width and a little, in pixels


def ranks_by_time(judged: Judgement) -> Figure:
    """Up is better and left is faster; ours in color and bold."""
    drawn = figure(7.0, 4.4)
    axes = drawn.subplots()
    unit = "accuracy" if judged.score == "accuracy" else "R2"
    plain_axes(
        axes,
        title=f"{judged.group.capitalize()} tasks ({len(judged.splits)})",
        x="Seconds to fit a split of each, log scale",
        y=f"Mean rank of {unit} (1 is best)",
    )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.invert_yaxis()
    axes.margins(0.12)
    for one in judged.standings:
        ours = one.method.startswith(OURS)
        axes.scatter(
            one.seconds,
            one.rank,
            s=60 if ours else 36,
            color=COLORS[1] if ours else COLORS[0],
            zorder=3,
        )
    drawn.draw_without_rendering()
    _label(axes, [(one.method, one.seconds, one.rank) for one in judged.standings])
    return drawn


def _label(axes: Axes, points: list[tuple[str, float, float]]) -> None:
    """Write each name on that side of its point where it covers least of what is there."""
    marks = [axes.transData.transform((x, y)) for _, x, y in points]
    taken: list[Text] = []
    for name, x, y in points:
        ours = name.startswith(OURS)
        tried = [
            axes.annotate(
                name,
                (x, y),
                offset,
                textcoords="offset points",
                ha=ha,
                va=va,
                fontsize=9,
                color=INK if ours else DIM,
                fontweight="bold" if name == OURS else "normal",
            )
            for offset, ha, va in _PLACES
        ]
        boxes = [one.get_window_extent() for one in tried]
        cost = [
            sum(box.overlaps(other.get_window_extent()) for other in taken)
            + sum(box.padded(_MARK).contains(*mark) for mark in marks)
            + (not axes.bbox.containsx(box.x0) or not axes.bbox.containsx(box.x1))
            for box in boxes
        ]
        chosen = tried[cost.index(min(cost))]
        for one in tried:
            if one is not chosen:
                one.remove()
        taken.append(chosen)
