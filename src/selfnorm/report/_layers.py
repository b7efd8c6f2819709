"""The charts of a training: its loss, and what its layers did at the start and at the end."""

import math
from collections.abc import Sequence

from selfnorm.report._axis import around, counting, logarithmic
from selfnorm.report._chart import Band, Chart, Dots, Line, Mark, Point
from selfnorm.theory import THEOREM_1

_MANY_LAYERS = 40


def loss_chart(loss: Sequence[float], left_out: Sequence[float], best: int) -> Chart:
    """Loss by epoch: of the rows learned from, and of those left out, with the epoch kept.

    Args:
        loss: The training loss of each epoch.
        left_out: That of rows not learned from; nan where there are none.
        best: Number of the epoch kept, from 1.
    """
    learned, judged = _by_epoch(loss), _by_epoch(left_out)
    kept = [point for point in judged or learned if point[0] == best]
    marks: list[Mark] = [Line(learned, "theory", label="learned from")]
    if judged:
        marks.append(Line(judged, "measured", label="left out"))
    if kept:
        note = f"epoch {best}, which is kept: {kept[0][1]:.4g}"
        marks.append(Dots(tuple(kept), 3.5, notes=(note,)))
    values = [value for _, value in (*learned, *judged)]
    positive = [value for value in values if value > 0]
    wide = len(positive) == len(values) > 0 and max(positive) > 20 * min(positive)
    y = logarithmic("", positive) if wide else around("", values or [0.0, 1.0])
    return Chart("Loss by epoch", counting("epoch", 1, max(len(loss), 2)), y, tuple(marks))


def layer_charts(
    before: Sequence[tuple[float, float]], after: Sequence[tuple[float, float]]
) -> tuple[Chart, Chart]:
    """Variance and mean by layer, at the start and at the end of a training.

    Args:
        before: Mean and variance of each layer at the start.
        after: The same at the end.
    """
    axis = counting("layer", 1, max(len(before), 1))
    start, end = (
        [(k, v) for k, (_, v) in enumerate(one, 1) if 0 < v < math.inf] for one in (before, after)
    )
    note = f"theorem 1: variance in {THEOREM_1.interval('variance')}"
    band = Band(*THEOREM_1.variance, label="theorem 1", note=note)
    values = [value for _, value in (*start, *end)]
    variance = Chart(
        "Variance by layer",
        axis,
        logarithmic("", [*values, 0.5, 2.0]),
        (band, *_marks(start, end)),
    )
    start, end = (
        [(k, m) for k, (m, _) in enumerate(one, 1) if math.isfinite(m)] for one in (before, after)
    )
    values = [value for _, value in (*start, *end)]
    low, high = THEOREM_1.mean
    note = f"theorem 1: mean in {THEOREM_1.interval('mean')}"
    band = Band(low, high, label="theorem 1", note=note)
    mean = Chart(
        "Mean by layer", axis, around("", [*values, low, high]), (band, *_marks(start, end))
    )
    return variance, mean


def _marks(start: Sequence[Point], end: Sequence[Point]) -> list[Mark]:
    """Rings at the start, joined by dashes, and dots at the end."""
    size = 3.0 if len(start) <= _MANY_LAYERS else 1.8
    return [
        Line(tuple(start), "theory", label="start"),
        Line(tuple(end), "measured"),
        Dots(tuple(end), size, notes=tuple(f"layer {k}: {v:.3g}" for k, v in end), label="end"),
    ]


def _by_epoch(values: Sequence[float]) -> tuple[Point, ...]:
    return tuple((k, value) for k, value in enumerate(values, 1) if math.isfinite(value))
