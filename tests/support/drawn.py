"""What a drawn chart shows, read from the drawing alone: positions against the ticks' own texts."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET

import numpy as np
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.patches import Patch

from selfnorm.plots._draw import draw
from selfnorm.report._chart import Chart
from selfnorm.report._svg import BOTTOM, HEIGHT, WORDS, figure
from support.tolerances import PIXELS

Place = tuple[float, float]


@dataclass
class Drawn:
    """Texts and positions in pixels, whoever drew them."""

    title: str
    labels: list[str]
    ticks: tuple[dict[str, float], dict[str, float]]
    lines: list[list[Place]] = field(default_factory=list)
    dashed: list[bool] = field(default_factory=list)
    colors: list[str] = field(default_factory=list)
    dots: list[Place] = field(default_factory=list)
    hollow: list[bool] = field(default_factory=list)
    boxes: list[tuple[Place, Place]] = field(default_factory=list)
    bands: list[tuple[float, float]] = field(default_factory=list)
    legend: list[str] = field(default_factory=list)
    frame: tuple[Place, Place] = ((0.0, 0.0), (0.0, 0.0))

    def check(self, side: int, value: float, position: float, *, logarithmic: bool) -> None:
        """Raise unless a value stands where the ticks of its axis (0 is x, 1 is y) say."""

        def bent(number: float) -> float:
            return math.log10(number) if logarithmic else number

        marks = [(bent(float(text)), at) for text, at in self.ticks[side].items()]
        (low, start), (high, end) = min(marks), max(marks)
        expected = start + (bent(value) - low) / (high - low) * (end - start)
        said = f"{value} of axis {side} stands at {position}, not at {expected}"
        assert abs(position - expected) <= PIXELS, said


def by_svg(chart: Chart) -> Drawn:
    """The page's."""
    root = ET.fromstring(str(figure(chart)))  # noqa: S314 - our own
    caption, svg = root
    title = caption.text or ""
    assert svg.get("aria-label") == title
    labels, ticks = _words(svg)
    found = Drawn(title, labels, ticks)
    for path in svg.iter("path"):
        kind, numbers = path.get("class"), _numbers(path)
        if kind in {"line", "theory", "shaded"}:
            found.lines.append(list(zip(numbers[::2], numbers[1::2], strict=True)))
            found.dashed.append(kind == "theory")
            found.colors.append((path.get("style") or "").removeprefix("stroke:"))
    (axis,) = (_numbers(path) for path in svg.iter("path") if path.get("class") == "axis")
    left, top, bottom, right = axis
    found.frame = (left, bottom), (right, top)
    for dot in svg.iter("circle"):
        found.dots.append((float(dot.get("cx", "")), float(dot.get("cy", ""))))
        found.hollow.append(dot.get("class") == "hollow")
    for box in svg.iter("rect"):
        x, y, wide, high = (float(box.get(name, "")) for name in ("x", "y", "width", "height"))
        if box.get("class") == "band":
            assert (x, round(x + wide, 1)) == (left, right), "a band is as wide as the chart"
            found.bands.append((y + high, y))
        elif box.get("class") == "box":
            found.boxes.append(((x, y + high), (x + wide, y)))
    found.legend = [span.text or "" for span in svg.iter("tspan")]
    return found


def by_matplotlib(chart: Chart) -> Drawn:
    """The figure's."""
    drawn = draw([chart])
    drawn.draw_without_rendering()
    axes = drawn.axes[0]

    def places(points: object) -> list[Place]:
        return [(x, y) for x, y in axes.transData.transform(np.asarray(points, float))]

    inside = axes.get_xlim()[0], axes.get_ylim()[0]
    x_texts = [t.get_text() for t in axes.get_xticklabels()]
    y_texts = [t.get_text() for t in axes.get_yticklabels()]
    x_ticks = [x for x, _ in places([(x, inside[1]) for x in axes.get_xticks()])]
    y_ticks = [y for _, y in places([(inside[0], y) for y in axes.get_yticks()])]
    found = Drawn(
        axes.get_title(loc="left"),
        [text for text in (axes.get_xlabel(), axes.get_ylabel()) if text],
        (dict(zip(x_texts, x_ticks, strict=True)), dict(zip(y_texts, y_ticks, strict=True))),
    )
    (left, bottom), (right, top) = axes.bbox.get_points()
    found.frame = (left, bottom), (right, top)
    for line in axes.lines:
        found.lines.append(places(line.get_xydata()))
        found.dashed.append(line.get_linestyle() == "--")
        found.colors.append(to_hex(line.get_color()))
    for cloud in axes.collections:
        assert isinstance(cloud, PathCollection)
        found.dots += places(cloud.get_offsets())
        found.hollow += [to_hex(color) == "#ffffff" for color in cloud.get_facecolors()]
    for patch in axes.patches:
        (left, bottom), (right, top) = ends(patch)
        if (left, right) == (0.0, 1.0) and patch.get_fill():
            (_, low), (_, high) = places([(inside[0], bottom), (inside[0], top)])
            found.bands.append((low, high))
        else:
            first, last = places([(left, bottom), (right, top)])
            found.boxes.append((first, last))
    legend = axes.get_legend()
    found.legend = [text.get_text() for text in legend.get_texts()] if legend else []
    return found


def ends(patch: Patch) -> np.ndarray:
    """Lower left and upper right of a rectangle; before Matplotlib 3.9 a band is a polygon."""
    corners = patch.get_patch_transform().transform_path(patch.get_path()).vertices
    return np.stack([corners.min(0), corners.max(0)])


DRAWERS = (by_svg, by_matplotlib)


def bars(path: str) -> Iterator[tuple[float, float, float]]:
    """Left end, width and height of each bar of a sparkline."""
    for bar in re.findall(r"M([\d.]+) 26v-([\d.]+)h([\d.]+)v([\d.]+)z", path):
        left, up, width, down = map(float, bar)
        assert up == down
        yield left, width, up


def _words(svg: ET.Element) -> tuple[list[str], tuple[dict[str, float], dict[str, float]]]:
    """The labels of the axes, and the ticks' texts with the positions that they stand for."""
    grid = {_numbers(path)[1] for path in svg.iter("path") if path.get("class") == "grid"}
    labels: list[str] = []
    x_ticks: dict[str, float] = {}
    y_ticks: dict[str, float] = {}
    for text in svg.iter("text"):
        words, x, y = text.text or "", float(text.get("x", "")), float(text.get("y", ""))
        number = re.fullmatch(r"-?[\d.]+(e-?\d+)?", words)
        if number and round(y - 4, 1) in grid:
            y_ticks[words] = round(y - 4, 1)
        elif number and y > BOTTOM:
            x_ticks[words] = x
        elif words and y in {WORDS, HEIGHT - 4} and text.get("text-anchor") != "end":
            labels.append(words)
    return labels, (x_ticks, y_ticks)


def _numbers(path: ET.Element) -> Sequence[float]:
    return [float(number) for number in re.findall(r"-?[\d.]+", path.get("d", ""))]
