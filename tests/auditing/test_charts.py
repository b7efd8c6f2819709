"""What the charts of an audit show is what was recorded."""

from collections.abc import Callable

import numpy as np
import pytest

from selfnorm.auditing._charts import audit_charts, gradient_chart, variance_chart, weights_chart
from selfnorm.report._chart import Band, Box, Chart, Dots, Line
from selfnorm.theory import THEOREM_1
from support.drawn import DRAWERS, Drawn
from support.layers import layer, weights

LAYERS = [
    layer(0, variance=0.9, predicted=1.0, role="linear", kind="Linear", gradient=0.02),
    layer(1, variance=30.0, predicted=None, gradient=0.3, name=""),
    layer(2, variance=np.inf, predicted=2.0, gradient=np.nan),
    layer(3, variance=2e-4, predicted=3e-4, gradient=0.0),
]


def only(chart: Chart, kind: type) -> list:  # pyright: ignore
    return [mark for mark in chart.marks if isinstance(mark, kind)]


def test_variance_by_layer() -> None:
    chart = variance_chart(LAYERS)
    theory, measured = only(chart, Line)
    assert theory.style == "theory"
    assert theory.points == ((1, 1.0), (4, 3e-4))
    assert measured.points == ((1, 0.9), (2, 30.0), (4, 2e-4))
    (dots,) = only(chart, Dots)
    assert dots.points == measured.points
    assert dots.hollow == (True, False, False)
    assert dots.notes == ("0 (Linear): 0.9", "model (SELU): 30", "3 (SELU): 0.0002")
    (band,) = only(chart, Band)
    assert (band.low, band.high) == THEOREM_1.variance
    assert band.note == "theorem 1: variance in [0.8, 1.5]"
    assert [mark.label for mark in chart.legend] == ["measured", "theory", "theorem 1"]
    assert chart.y.logarithmic
    assert chart.y.low < 2e-4
    assert chart.y.high > 30
    assert (chart.x.low, chart.x.high) == (0.5, 4.5)


def test_theorem_1s_range_is_always_in_sight() -> None:
    for variance in (1e-9, 1.0, 1e9):
        axis = variance_chart([layer(0, variance=variance)]).y
        assert axis.low < 0.5
        assert axis.high > 2


def test_gradient_by_layer() -> None:
    chart = gradient_chart(LAYERS)
    (line,) = only(chart, Line)
    assert line.points == ((1, 0.02), (2, 0.3))
    assert only(chart, Dots)[0].notes == ("0 (Linear): 0.02", "model (SELU): 0.3")
    assert chart.legend == ()
    flat = gradient_chart([layer(0, gradient=1.0), layer(1, gradient=0.99)]).y
    assert flat.high / flat.low > 5


def test_dots_are_smaller_where_there_are_many() -> None:
    assert only(gradient_chart([layer(k) for k in range(40)]), Dots)[0].radius == 3
    assert only(gradient_chart([layer(k) for k in range(41)]), Dots)[0].radius < 2


def test_units_by_omega_and_tau() -> None:
    layers = [
        layer(0, role="linear", weights=(weights([-0.4, 0.2], [0.9, 1.1]),)),
        layer(1, role="embedding", weights=(weights([50.0], [50.0]),)),
        layer(2, role="linear", weights=(weights([0.1, np.nan, 0.3], [1.0, 1.0, np.inf]),)),
    ]
    chart = weights_chart(layers)
    assert only(chart, Dots)[0].points == ((-0.4, 0.9), (0.2, 1.1), (0.1, 1.0))
    (box,) = only(chart, Box)
    assert (box.x, box.y) == (THEOREM_1.omega, THEOREM_1.tau)
    assert box.note == "theorem 1: omega in [-0.1, 0.1], tau in [0.95, 1.1]"
    assert (chart.x.label, chart.y.label) == ("omega", "tau")
    assert not chart.y.logarithmic
    assert chart.y.low < 0.85
    assert chart.y.high > 1.2
    assert chart.x.high == -chart.x.low == pytest.approx(1.05 * 0.5)


@pytest.mark.parametrize(("most", "logarithmic"), [(19.0, False), (21.0, True)])
def test_tau_is_logarithmic_if_the_units_differ_much(most: float, *, logarithmic: bool) -> None:
    layers = [layer(0, role="linear", weights=(weights([0, 0, 0], [0.0, 1.0, most]),))]
    chart = weights_chart(layers)
    assert chart.y.logarithmic == logarithmic
    assert chart.y.high > 15
    for read in DRAWERS:
        drawn = read(chart)
        lowest = chart.y.low if logarithmic else 0.0
        for tau, (_, y) in zip((lowest, 1.0), drawn.dots, strict=False):
            drawn.check(1, tau, y, logarithmic=logarithmic)


def test_few_of_many_units_are_drawn_and_the_first_and_last_with_them() -> None:
    omega = np.linspace(-1, 1, 9001)
    layers = [layer(0, role="linear", weights=(weights(omega, np.ones(9001)),))]
    points = only(weights_chart(layers), Dots)[0].points
    assert len(points) == 2000
    assert (points[0][0], points[-1][0]) == (-1, 1)
    steps = np.diff([x for x, _ in points])
    assert steps.max() < 2 * steps.min()
    few = [layer(0, role="linear", weights=(weights(omega[:2000], np.ones(2000)),))]
    assert len(only(weights_chart(few), Dots)[0].points) == 2000


def test_a_rare_unit_does_not_stretch_the_axes() -> None:
    sums, squares = np.r_[np.zeros(999), 80.0], np.r_[np.ones(999), 15.0]
    chart = weights_chart([layer(0, role="linear", weights=(weights(sums, squares),))])
    assert chart.x.high < 1
    assert chart.y.high < 2


def test_without_layers_there_is_nothing_to_show() -> None:
    for chart in audit_charts([]):
        assert chart.empty
        for read in DRAWERS:
            assert read(chart).title == chart.title


@pytest.mark.parametrize("read", DRAWERS)
def test_what_is_drawn_is_what_was_recorded(read: Callable[[Chart], Drawn]) -> None:
    drawn = read(variance_chart(LAYERS))
    seen = [(1, 0.9), (2, 30.0), (4, 2e-4)]
    for (x, y), (number, variance) in zip(drawn.dots, seen, strict=True):
        drawn.check(0, number, x, logarithmic=False)
        drawn.check(1, variance, y, logarithmic=True)
    ((low, high),) = drawn.bands
    drawn.check(1, 0.8, low, logarithmic=True)
    drawn.check(1, 1.5, high, logarithmic=True)
