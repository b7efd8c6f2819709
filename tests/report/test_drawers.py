"""Both drawers put every mark where its values lie on the axes that they write."""

from collections.abc import Callable
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from selfnorm.plots._draw import draw
from selfnorm.report._axis import Axis, counting
from selfnorm.report._chart import Band, Box, Chart, Dots, Line, Scale
from selfnorm.report._svg import SPARK_WIDTH, figure, sparkline
from support.drawn import DRAWERS, Drawn, bars, by_svg
from support.tolerances import BARS, PIXELS, SHADES

POINTS = ((1.0, 2e-4), (2.0, 3.0), (4.0, 0.7))
LOGARITHMIC = Chart(
    "A < title",
    counting("layer", 1, 4),
    Axis("variance", 1e-4, 20, logarithmic=True),
    (
        Band(0.8, 1.5, label="a band", note="its note"),
        Line(POINTS[:2], "theory", label="expected"),
        Line(POINTS, "measured"),
        Dots(POINTS, 3, hollow=(True, False, True), notes=("a & b", "two", "3"), label="seen"),
    ),
)
LINEAR = Chart(
    "Units",
    Axis("omega", -2.5, 2.5),
    Axis("tau", 0.2, 1.3),
    (
        Dots(((-1.2, 0.3), (0.0, 1.0), (2.0, 1.25)), 1.6, faint=True),
        Box((-0.1, 0.1), (0.95, 1.1), label="a box"),
    ),
)
SHADED = Chart(
    "Steps",
    counting("step", 0, 10),
    Axis("", 0.5, 8, logarithmic=True),
    (
        Line(((0, 1.0), (10, 2.0)), "shaded", shade=0.0),
        Line(((0, 3.0), (10, 4.0)), "shaded", shade=1.0),
    ),
    Scale("layer", 1, 7),
)
by_both = pytest.mark.parametrize("read", DRAWERS)
Read = Callable[[Chart], Drawn]


@by_both
@pytest.mark.parametrize("chart", [LOGARITHMIC, LINEAR, SHADED])
def test_ticks_and_words(read: Read, chart: Chart) -> None:
    drawn = read(chart)
    assert drawn.title == chart.title
    assert sorted(drawn.labels) == sorted(a.label for a in (chart.x, chart.y) if a.label)
    for side, axis in enumerate((chart.x, chart.y)):
        assert [float(text) for text in drawn.ticks[side]] == list(axis.ticks())
        for value in axis.ticks():  # evenly by the axis' own scale, not only in the right order
            drawn.check(side, value, at(drawn, side, value), logarithmic=axis.logarithmic)


def at(drawn: Drawn, side: int, value: float) -> float:
    return next(place for text, place in drawn.ticks[side].items() if float(text) == value)


@by_both
def test_lines_and_dots_stand_at_their_values(read: Read) -> None:
    drawn = read(LOGARITHMIC)
    theory, measured = drawn.lines
    assert drawn.dashed == [True, False]
    assert drawn.hollow == [True, False, True]
    for places, points in ((theory, POINTS[:2]), (measured, POINTS), (drawn.dots, POINTS)):
        assert len(places) == len(points)
        for (x, y), (across, up) in zip(places, points, strict=True):
            drawn.check(0, across, x, logarithmic=False)
            drawn.check(1, up, y, logarithmic=True)


@by_both
def test_a_cloud_and_the_corners_of_a_box(read: Read) -> None:
    drawn = read(LINEAR)
    ((first, last),) = drawn.boxes
    places = [*drawn.dots, first, last]
    points = [(-1.2, 0.3), (0.0, 1.0), (2.0, 1.25), (-0.1, 0.95), (0.1, 1.1)]
    for (x, y), (across, up) in zip(places, points, strict=True):
        drawn.check(0, across, x, logarithmic=False)
        drawn.check(1, up, y, logarithmic=False)


@by_both
def test_the_ends_of_a_band(read: Read) -> None:
    drawn = read(LOGARITHMIC)
    ((low, high),) = drawn.bands
    drawn.check(1, 0.8, low, logarithmic=True)
    drawn.check(1, 1.5, high, logarithmic=True)


@by_both
def test_the_legend_says_what_has_a_label(read: Read) -> None:
    words = [text.lstrip("●┄▮─ ") for text in read(LOGARITHMIC).legend]
    assert words == ["seen", "expected", "a band"]
    assert [text.lstrip("▮ ") for text in read(LINEAR).legend] == ["a box"]
    assert read(SHADED).legend == []


@by_both
def test_what_lies_beyond_an_axis_is_drawn_at_its_end(read: Read) -> None:
    ends = ((-9.0, 0.0), (9.0, 5.0))
    chart = Chart("", LINEAR.x, LINEAR.y, (Dots(ends, 1.6), Line(ends, "measured")))
    drawn = read(chart)
    for left, right in (drawn.dots, drawn.lines[0]):
        for place, corner in zip((left, right), drawn.frame, strict=True):
            assert place == pytest.approx(corner, abs=PIXELS)
        drawn.check(0, -2.5, left[0], logarithmic=False)
        drawn.check(0, 2.5, right[0], logarithmic=False)
        drawn.check(1, 0.2, left[1], logarithmic=False)
        drawn.check(1, 1.3, right[1], logarithmic=False)


@by_both
def test_shades_run_from_the_first_color_to_the_last(read: Read) -> None:
    drawn = read(SHADED)
    assert drawn.colors == ["#440154", "#fde725"]
    for places, values in zip(drawn.lines, ((1.0, 2.0), (3.0, 4.0)), strict=True):
        for (x, y), step, value in zip(places, (0, 10), values, strict=True):
            drawn.check(0, step, x, logarithmic=False)
            drawn.check(1, value, y, logarithmic=True)


def test_the_scale_of_shades() -> None:
    bar = draw([LINEAR, SHADED]).axes[-1]
    assert bar.get_ylabel() == "layer"
    assert bar.get_ylim() == (1, 7)
    svg = ET.fromstring(str(figure(SHADED)))  # noqa: S314 - our own
    texts = [text.text for text in svg.iter("text")]
    assert "layer 1" in texts
    assert "7" in texts
    colors = [r.get("style") for r in svg.iter("rect")]
    assert (colors[0], colors[-1]) == ("fill:#440154", "fill:#fde725")


def test_shades_between_are_those_of_matplotlib() -> None:
    import matplotlib as mpl
    from matplotlib.colors import to_rgb

    from selfnorm.report._svg import _shade

    for share in np.linspace(0, 1, 33):
        ours, theirs = to_rgb(_shade(float(share))), mpl.colormaps["viridis"](share)[:3]
        assert ours == pytest.approx(theirs, abs=SHADES), share


def test_a_pointer_is_told_what_it_is_on() -> None:
    svg = ET.fromstring(str(figure(LOGARITHMIC)))  # noqa: S314 - our own
    assert [title.text for title in svg.iter("title")] == ["its note", "a & b", "two", "3"]


def test_a_thin_band_is_still_seen() -> None:
    chart = Chart("", LINEAR.x, Axis("", 0, 1e6), (Band(0.8, 1.5),))
    ((low, high),) = by_svg(chart).bands
    assert low - high == 1


def test_a_chart_without_points_is_empty_and_can_be_drawn() -> None:
    chart = Chart("", LINEAR.x, LINEAR.y, (Band(0.8, 1.5), Line((), "measured"), Dots((), 3)))
    assert chart.empty
    assert not LINEAR.empty
    for read in DRAWERS:
        assert len(read(chart).bands) == 1


def test_the_bars_of_a_sparkline_are_roots_of_the_counts() -> None:
    drawn = ET.fromstring(  # noqa: S314 - our own
        str(sparkline(np.linspace(-1, 3, 5), np.array([1.0, 4.0, 0.0, 16.0])))
    )
    shown = {path.get("class"): path.get("d") or "" for path in drawn.iter("path")}
    expected = [(0, 24, 6), (24, 24, 12), (72, 24, 24)]
    found = list(bars(shown["bars"]))
    assert len(found) == 3
    for bar, wanted in zip(found, expected, strict=True):
        assert bar == pytest.approx(wanted, abs=BARS)
    assert shown["zero"] == f"M{SPARK_WIDTH / 4:.1f} 0V26"
    assert drawn.get("aria-label") == "histogram from -1 to 3"
    assert not sparkline(np.linspace(0, 1, 5), np.zeros(4))
    positive = str(sparkline(np.linspace(1, 2, 3), np.ones(2)))
    assert "zero" not in positive
