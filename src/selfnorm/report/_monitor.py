"""The charts of a monitored training: what each layer does, step by step."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Protocol

from selfnorm.report._axis import counting, logarithmic
from selfnorm.report._chart import Band, Chart, Line, Point, Scale
from selfnorm.theory import THEOREM_1


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

    @property
    def variance(self) -> float:
        """Of its output."""
        ...

    @property
    def tau(self) -> float:
        """Mean sum of squares of its units' weights; nan without weights."""
        ...

    @property
    def gain(self) -> float:
        """Factor on the squared norm of the gradient."""
        ...

    @property
    def gram_error(self) -> float:
        """How far weights are from orthogonal; nan where they are not near."""
        ...


def monitor_charts(records: Sequence[Observed]) -> tuple[Chart, ...]:
    """Variance, tau and gradient gain over the steps, a line a layer.

    If any weights are near orthogonal, how far they are stands between tau and gain.

    Args:
        records: What `selfnorm.monitor` recorded.
    """
    layers: dict[str, list[Observed]] = defaultdict(list)
    for record in records:
        layers[record.layer].append(record)
    steps = [record.step for record in records] or [0]
    ends = min(steps), max(steps)
    apart = _chart("Weights from orthogonal", layers, "gram_error", ends)
    return (
        _chart("Variance", layers, "variance", ends, THEOREM_1.variance),
        _chart("tau of the weights", layers, "tau", ends, THEOREM_1.tau),
        *(() if apart.empty else (apart,)),
        _chart("Gradient gain", layers, "gain", ends, scale=Scale("layer", 1, max(len(layers), 2))),
    )


def _chart(
    title: str,
    layers: Mapping[str, Sequence[Observed]],
    name: str,
    steps: tuple[int, int],
    box: tuple[float, float] | None = None,
    scale: Scale | None = None,
) -> Chart:
    lines: list[Line] = []
    for place, records in enumerate(layers.values()):
        points = tuple(_points(records, name))
        if points:
            lines.append(Line(points, "shaded", shade=place / max(len(layers) - 1, 1)))
    values = [value for line in lines for _, value in line.points]
    note = f"theorem 1: {name} in {THEOREM_1.interval(name)}" if box else ""
    band = (Band(*box, label="theorem 1", note=note),) if box else ()
    return Chart(
        title,
        counting("step", *steps, air=max(0.5, 0.03 * (steps[1] - steps[0]))),
        logarithmic("", [*values, *(box or ())] or [0.5, 2.0]),
        (*band, *lines),
        scale,
    )


def _points(records: Sequence[Observed], name: str) -> list[Point]:
    found = ((record.step, float(getattr(record, name))) for record in records)
    return [(step, value) for step, value in found if 0 < value < math.inf]
