"""The charts of predictions beside what is true: confusion, calibration, residuals."""

from collections.abc import Sequence

import numpy as np

from selfnorm.report._axis import Axis, around, counting
from selfnorm.report._chart import Band, Chart, Dots, Line, Mark, Tiles
from selfnorm.theory._types import FloatArray

_TILES = 3000
"""Tiles that are drawn at most; the faintest are left out."""
_FAINTEST = 0.01
_BINS = 10
_POINTS = 1000
_RARE = 0.005
"""The share of residuals at each end that may lie beyond the axis."""


def confusion_chart(names: Sequence[str], counts: FloatArray) -> Chart:
    """What the rows of each class are taken for, as shares of them: right ones on the diagonal.

    Args:
        names: The classes.
        counts: How many rows of each class (first) are taken for each (second).
    """
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    order = np.argsort(-shares, axis=None, kind="stable")[:_TILES]
    true, told = (part.tolist() for part in np.unravel_index(order, shares.shape))
    seen = [(a, b) for a, b in zip(true, told, strict=True) if shares[a, b] >= _FAINTEST]
    tiles = Tiles(
        tuple((b + 1.0, a + 1.0) for a, b in seen),
        tuple(float(shares[a, b]) for a, b in seen),
        tuple(
            f"{names[a]} taken for {names[b]}: {int(counts[a, b])} rows, {shares[a, b]:.0%}"
            for a, b in seen
        ),
    )
    ends = 1, len(names)
    x, y = counting("number of the class told", *ends), counting("of the true class", *ends)
    return Chart("Classes told by true classes", x, y, (tiles,))


def calibration_chart(told: FloatArray, happened: FloatArray, what: str) -> Chart:
    """How often something is so, by how probable it was said to be; on the dashes all is right.

    Args:
        told: The probability of each row.
        happened: Whether it was so, 0 or 1.
        what: What is probable.
    """
    order = np.argsort(told, kind="stable")
    parts = [part for part in np.array_split(order, min(_BINS, len(order))) if len(part)]
    points = [(float(told[part].mean()), float(happened[part].mean())) for part in parts]
    notes = [
        f"{len(part):,} rows: told {x:.3f}, found {y:.3f}"
        for part, (x, y) in zip(parts, points, strict=True)
    ]
    marks = (
        Line(((0.0, 0.0), (1.0, 1.0)), "theory", label="as told"),
        Line(tuple(points), "measured"),
        Dots(tuple(points), 3, notes=tuple(notes), label="found"),
    )
    axes = Axis(what, 0.0, 1.0), Axis("share found", 0.0, 1.0)
    return Chart("Calibration", *axes, marks)


def residual_charts(
    truth: FloatArray, told: FloatArray, name: str, half: float | None
) -> tuple[Chart, Chart]:
    """The true number, and the residual, by the number told.

    Args:
        truth: The number of each row.
        told: What it was told.
        name: What the number is called.
        half: What nine in ten residuals do not exceed; None if that is unknown.
    """
    some = np.linspace(0, len(truth) - 1, min(len(truth), _POINTS)).astype(int)
    true, said = truth[some], told[some]
    both = around("", np.quantile(np.concatenate([true, said]), [_RARE, 1 - _RARE]).tolist())
    x, y = Axis("told", both.low, both.high), Axis(name, both.low, both.high)
    same = Line(((both.low, both.low), (both.high, both.high)), "theory", label="as told")
    cloud = Dots(tuple(zip(said.tolist(), true.tolist(), strict=True)), 1.8, faint=True)
    beside = Chart("True by told", x, y, (cloud, same))
    left = true - said
    ends = np.quantile(np.abs(left), 1 - _RARE)
    values = [-float(ends), float(ends), *((-half, half) if half else ())]
    marks: list[Mark] = []
    if half:
        note = f"nine in ten residuals are within {half:.4g}"
        marks.append(Band(-half, half, label="nine in ten", note=note))
    marks.append(Dots(tuple(zip(said.tolist(), left.tolist(), strict=True)), 1.8, faint=True))
    marks.append(Line(((both.low, 0.0), (both.high, 0.0)), "theory"))
    return beside, Chart("Residual by told", x, around("true - told", values), tuple(marks))


def dependence_chart(column: str, at: Sequence[float], means: Sequence[float], what: str) -> Chart:
    """The mean prediction by a column's number.

    Args:
        column: Its name.
        at: The numbers.
        means: The mean prediction at each.
        what: What is predicted.
    """
    points = tuple(zip(at, means, strict=True))
    marks = (Line(points, "measured"), Dots(points, 3))
    return Chart(f"By {column}", around(column, list(at)), around(what, list(means)), marks)
