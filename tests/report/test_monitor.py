"""The charts of a monitor hold each layer's figures, in the order of its records."""

from dataclasses import replace

import pytest

from selfnorm.recording import Observation
from selfnorm.report._chart import Band, Line
from selfnorm.report._monitor import monitor_charts
from selfnorm.theory import THEOREM_1

NAN = float("nan")
FIRST = Observation(0, "a", "Linear", 0.0, 1.0, 0.0, 1.02, 1.0, NAN)
RECORDS = [
    FIRST,
    replace(FIRST, layer="b", variance=2.0, tau=NAN, gain=1.1),
    replace(FIRST, step=10, variance=0.5, tau=0.9),
    replace(FIRST, step=10, layer="b", variance=-1.0, tau=NAN, gain=float("inf")),
    replace(FIRST, step=20, layer="c", variance=3.0, gain=0.7),
]


def test_each_layer_is_a_line() -> None:
    variance, tau, gain = monitor_charts(RECORDS)
    assert [chart.title for chart in (variance, tau, gain)] == [
        *("Variance", "tau of the weights", "Gradient gain"),
    ]
    lines = [[m for m in chart.marks if isinstance(m, Line)] for chart in (variance, tau, gain)]
    assert [line.points for line in lines[0]] == [((0, 1.0), (10, 0.5)), ((0, 2.0),), ((20, 3.0),)]
    assert [line.points for line in lines[1]] == [((0, 1.02), (10, 0.9)), ((20, 1.02),)]
    assert [line.points for line in lines[2]] == [((0, 1.1),), ((20, 0.7),)]
    assert [line.shade for line in lines[0]] == [0, 0.5, 1]
    assert [line.shade for line in lines[2]] == [0.5, 1]
    assert variance.x.ticks() == (0, 5, 10, 15, 20)
    assert gain.scale is not None
    assert (gain.scale.label, gain.scale.low, gain.scale.high) == ("layer", 1, 3)


def test_theorem_1_is_a_band_where_it_speaks() -> None:
    variance, tau, gain = monitor_charts(RECORDS)
    bands = [[m for m in chart.marks if isinstance(m, Band)] for chart in (variance, tau, gain)]
    assert [(band.low, band.high) for (band,) in bands[:2]] == [THEOREM_1.variance, THEOREM_1.tau]
    assert bands[2] == []
    for chart, (low, high) in ((variance, THEOREM_1.variance), (tau, THEOREM_1.tau)):
        assert chart.y.low < low < high < chart.y.high


@pytest.mark.parametrize("records", [[], [replace(FIRST, variance=NAN, tau=0.0)]])
def test_without_figures_there_are_axes(records: list[Observation]) -> None:
    for chart in monitor_charts(records):
        assert chart.empty
        assert chart.y.ticks()


def test_many_records_take_time_in_proportion() -> None:
    """Each record is looked at a fixed number of times, whatever the number of layers."""

    class Counted:
        looks = 0

        def __init__(self, step: int, layer: str) -> None:
            self.step, self.name = step, layer
            self.variance = self.tau = self.gain = self.gram_error = 1.0

        @property
        def layer(self) -> str:
            Counted.looks += 1
            return self.name

    records = [Counted(step, str(layer)) for step in range(20) for layer in range(50)]
    monitor_charts(records)
    assert Counted.looks == len(records)
