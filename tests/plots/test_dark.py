"""A dark figure is the same figure in colors that are told apart on dark paper."""

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from matplotlib.artist import Artist
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from selfnorm import plots
from selfnorm.plots import _dark
from selfnorm.plots._draw import draw
from selfnorm.plots._style import INK, PAPER, rendered
from selfnorm.report._axis import Axis, counting
from selfnorm.report._chart import Band, Chart, Dots, Line, Scale

POINTS = ((1.0, 0.5), (2.0, 3.0), (4.0, 0.7))
CHARTS = (
    Chart(
        "Dots",
        counting("layer", 1, 4),
        Axis("variance", 0.1, 20, logarithmic=True),
        (Band(0.8, 1.5, label="a band"), Dots(POINTS, 3, hollow=(True, False, True), label="seen")),
    ),
    Chart(
        "Steps",
        counting("step", 0, 10),
        Axis("", 0.5, 8, logarithmic=True),
        (Line(((0, 1.0), (10, 2.0)), "shaded", shade=0.5),),
        Scale("layer", 1, 7),
    ),
)
CURVES = [plots.Curve("one", [1.0, 1.1], [2.0, 3.0], 0.9)]
FIGURES = {
    "map_field": plots.map_field,
    "variance_maps": plots.variance_maps,
    "gradient_sizes": plots.gradient_sizes,
    "selu_shape": plots.selu_shape,
    "depth_figure": lambda: plots.depth_figure(CURVES, title="t", score="s"),
    "charts": lambda: draw(CHARTS, title="t"),
}


def luminance(color: object) -> float:
    """The relative luminance of WCAG 2.2."""
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def contrast(one: object, other: object) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def texts(figure: Figure) -> list[Text]:
    return [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]


@pytest.mark.parametrize("name", FIGURES)
def test_all_words_are_light_on_dark(name: str) -> None:
    figure = plots.darken(FIGURES[name]())
    rendered(figure, "png")  # which makes the ticks
    assert to_hex(figure.get_facecolor()) == _dark._TWINS[PAPER]
    assert len(texts(figure)) > 8
    for text in texts(figure):
        assert contrast(text.get_color(), figure.get_facecolor()) > 4.5, text
    for axes in figure.axes:
        assert to_hex(axes.get_facecolor()) == _dark._TWINS[PAPER]
        for line in (*axes.xaxis.get_ticklines(), *axes.yaxis.get_ticklines()):
            assert to_hex(line.get_markeredgecolor()) == _dark._TWINS[INK]


def shades(artists: list[Artist]) -> list[tuple[float, ...]]:
    return [tuple(np.ravel(artist.get_facecolor())) for artist in artists]


def test_colors_of_a_scale_and_opacity_stay() -> None:
    light, dark = draw(CHARTS), plots.darken(draw(CHARTS))
    for figure in (light, dark):
        rendered(figure, "png")
    line, lighter = (figure.axes[1].lines[0].get_color() for figure in (light, dark))
    assert to_hex(line) == to_hex(lighter)
    (band,), (lit,) = (shades(figure.axes[0].patches) for figure in (light, dark))
    assert band[:3] != lit[:3]
    assert band[3] == lit[3] < 1
    (bar,), (kept,) = (shades(figure.axes[2].collections[1:2]) for figure in (light, dark))
    assert bar == kept


@pytest.mark.parametrize("draw_one", FIGURES.values(), ids=FIGURES)
def test_twice_is_as_once(draw_one: Callable[[], Figure]) -> None:
    once, twice = plots.darken(draw_one()), plots.darken(plots.darken(draw_one()))
    assert rendered(once, "png") == rendered(twice, "png")


def test_dark_colors_are_told_apart() -> None:
    """3 to 1 is what WCAG 2.2 asks of graphics, 4.5 of words."""
    paper, ink, dim = list(_dark._TWINS.values())[:3]
    lines = list(_dark._TWINS.values())[5:]
    assert min(contrast(line, paper) for line in (ink, dim, *lines)) > 4.5
    assert all(
        np.abs(np.subtract(to_rgb(a), to_rgb(b))).max() > 0.15 for a, b in combinations(lines, 2)
    )
