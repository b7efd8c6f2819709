"""Charts as SVG for a page, whose style has the colors. All that is written is escaped."""

from collections.abc import Iterator, Sequence

import numpy as np
from markupsafe import Markup

from selfnorm.report._chart import Band, Box, Chart, Dots, Line, Mark, Point, Scale, Tiles
from selfnorm.report._numbers import digits, tick
from selfnorm.theory._types import FloatArray

WIDTH, HEIGHT = 420, 250
_LETTER = 7  # the width of a digit of 11 px, at most
LEFT, RIGHT, TOP, BOTTOM = 46, 412, 24, 216
"""Where the axes lie."""
WORDS = 14
"""Where the line of words above the axes stands."""
_SHADES = (
    *("440154", "48186a", "472d7b", "424086", "3b528b", "33638d", "2c728e", "26828e", "21918c"),
    *("1fa088", "28ae80", "3fbc73", "5ec962", "84d44b", "addc30", "d8e219", "fde725"),
)
"""Seventeen of viridis's colors (van der Walt and Smith), which grow lighter evenly."""
SPARK_WIDTH, SPARK_HEIGHT, SPARK_FLOOR = 96, 27, 26


def figure(chart: Chart) -> Markup:
    """A chart with its title above it."""
    inside = [
        *_ticks(chart),
        *(part for mark in chart.marks for part in _mark(chart, mark)),
        _tag("path", class_="axis", d=f"M{LEFT} {TOP}V{BOTTOM}H{RIGHT}"),
        _text(chart.x.label, (LEFT + RIGHT) / 2, HEIGHT - 4, "middle"),
        _text(chart.y.label, LEFT, WORDS, "start"),
        _legend(chart.legend),
        *([] if chart.scale is None else _scale(chart.scale)),
    ]
    drawn = _tag(
        "svg", *inside, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=chart.title
    )
    return _tag("figure", _tag("figcaption", chart.title), drawn)


def sparkline(edges: FloatArray, counts: FloatArray) -> Markup:
    """A histogram for a table's cell, from the lowest to the highest value; heights by the root."""
    if not counts.sum():
        return Markup()
    step = SPARK_WIDTH / len(counts)
    heights = (SPARK_FLOOR - 2) * np.sqrt(counts / counts.max())
    bars = "".join(
        f"M{k * step:.1f} {SPARK_FLOOR}v-{height:.1f}h{step:.1f}v{height:.1f}z"
        for k, height in enumerate(heights)
        if height > 0
    )
    low, high = float(edges[0]), float(edges[-1])
    parts = [_tag("path", class_="bars", d=bars)]
    if low < 0 < high:
        at = SPARK_WIDTH * -low / (high - low)
        parts.append(_tag("path", class_="zero", d=f"M{at:.1f} 0V{SPARK_FLOOR}"))
    label = f"from {digits(low, 3)} to {digits(high, 3)}"
    return _tag(
        "svg",
        _tag("title", label),
        *parts,
        class_="spark",
        viewBox=f"0 0 {SPARK_WIDTH} {SPARK_HEIGHT}",
        role="img",
        aria_label=f"histogram {label}",
    )


def bar(share: float, label: str) -> Markup:
    """A bar for a table's cell, from 0 to 1; to the left of nothing is nothing."""
    width = round(SPARK_WIDTH * min(max(share, 0.0), 1.0), 1)
    shape = _tag("path", class_="bars", d=f"M0 4h{width}v{SPARK_HEIGHT - 8}H0z")
    return _tag(
        "svg",
        _tag("title", label),
        shape,
        class_="spark",
        viewBox=f"0 0 {SPARK_WIDTH} {SPARK_HEIGHT}",
        role="img",
        aria_label=label,
    )


def _ticks(chart: Chart) -> Iterator[Markup]:
    for value in chart.y.ticks():
        at = _y(chart, value)
        yield _tag("path", class_="grid", d=f"M{LEFT} {at}H{RIGHT}")
        yield _text(tick(value), LEFT - 6, at + 4, "end")
    for value in chart.x.ticks():
        words, at = tick(value), _x(chart, value)
        outside = at + _LETTER * len(words) / 2 > WIDTH  # as 200 at the right end would be cut
        yield _text(words, WIDTH if outside else at, BOTTOM + 15, "end" if outside else "middle")


def _mark(chart: Chart, mark: Mark) -> Iterator[Markup]:
    match mark:
        case Band():
            yield _rectangle(
                chart, "band", (chart.x.low, chart.x.high), (mark.low, mark.high), mark
            )
        case Box():
            yield _rectangle(chart, "box", mark.x, mark.y, mark)
        case Line(points=()):
            return
        case Line(style="shaded"):
            at = _path(chart, mark.points)
            knots = "".join(f"M{point}h0" for point in at)
            color = f"stroke:{_shade(mark.shade)}"
            yield _tag("path", class_="shaded", style=color, d="M" + "L".join(at))
            yield _tag("path", class_="knots", style=color, d=knots)
        case Line():
            kind = "line" if mark.style == "measured" else "theory"
            yield _tag("path", class_=kind, d="M" + "L".join(_path(chart, mark.points)))
        case Dots():
            yield _tag("g", *_dots(chart, mark), class_="cloud" if mark.faint else "dots")
        case Tiles():
            yield _tag("g", *_tiles(chart, mark), class_="tiles")


def _dots(chart: Chart, mark: Dots) -> Iterator[Markup]:
    for number, (x, y) in enumerate(mark.points):
        hollow = bool(mark.hollow) and mark.hollow[number]
        yield _tag(
            "circle",
            *([_tag("title", mark.notes[number])] if mark.notes else []),
            **({"class_": "hollow"} if hollow else {}),
            cx=_x(chart, x),
            cy=_y(chart, y),
            r=mark.radius,
        )


def _tiles(chart: Chart, mark: Tiles) -> Iterator[Markup]:
    for number, ((x, y), share) in enumerate(zip(mark.points, mark.shares, strict=True)):
        left, top = _x(chart, x - 0.5), _y(chart, y + 0.5)
        yield _tag(
            "rect",
            *([_tag("title", mark.notes[number])] if mark.notes else []),
            x=left,
            y=top,
            width=max(round(_x(chart, x + 0.5) - left, 1), 0.8),
            height=max(round(_y(chart, y - 0.5) - top, 1), 0.8),
            opacity=round(share, 2),
        )


def _rectangle(
    chart: Chart, kind: str, x: tuple[float, float], y: tuple[float, float], mark: Band | Box
) -> Markup:
    left, right = _x(chart, x[0]), _x(chart, x[1])
    bottom, top = _y(chart, y[0]), _y(chart, y[1])
    return _tag(
        "rect",
        *([_tag("title", mark.note)] if mark.note else []),
        class_=kind,
        x=left,
        y=top,
        width=max(round(right - left, 1), 1),  # a thin one is seen too
        height=max(round(bottom - top, 1), 1),
    )


def _legend(marks: Sequence[Mark]) -> Markup:
    words: list[Markup] = []
    for mark in marks:
        match mark:
            case Dots():
                sign, kind = "●", "measured"
            case Line(style="theory"):
                sign, kind = "┄", "theory"
            case Line():
                sign, kind = "─", "measured"
            case Tiles():
                sign, kind = "▮", "measured"
            case Band() | Box():
                sign, kind = "▮", "theory"
        apart = {"dx": 8} if words else {}
        words.append(_tag("tspan", f"{sign} {mark.label}", class_=f"of-{kind}", **apart))
    return _tag("text", *words, x=RIGHT, y=WORDS, text_anchor="end") if words else Markup()


def _scale(scale: Scale) -> Iterator[Markup]:
    """The shades from the first to the last, between the numbers that they stand for."""
    yield _text(f"{scale.label} {scale.low}", RIGHT - 90, WORDS, "end")
    for number in range(12):
        color = f"fill:{_shade(number / 11)}"
        yield _tag("rect", style=color, x=RIGHT - 86 + 5 * number, y=WORDS - 8, width=5, height=8)
    yield _text(str(scale.high), RIGHT, WORDS, "end")


def _shade(share: float) -> str:
    """A color between two of these."""
    at = share * (len(_SHADES) - 1)
    before = min(int(at), len(_SHADES) - 2)
    ends = (bytes.fromhex(_SHADES[before]), bytes.fromhex(_SHADES[before + 1]))
    mixed = (round(a + (at - before) * (b - a)) for a, b in zip(*ends, strict=True))
    return f"#{bytes(mixed).hex()}"


def _path(chart: Chart, points: Sequence[Point]) -> list[str]:
    return [f"{_x(chart, x)} {_y(chart, y)}" for x, y in points]


def _x(chart: Chart, value: float) -> float:
    return round(LEFT + chart.x.share(value) * (RIGHT - LEFT), 1)


def _y(chart: Chart, value: float) -> float:
    return round(BOTTOM + chart.y.share(value) * (TOP - BOTTOM), 1)


def _text(words: str, x: float, y: float, anchor: str) -> Markup:
    return _tag("text", words, x=x, y=y, text_anchor=anchor) if words else Markup()


def _tag(name: str, *inside: str, **attributes: object) -> Markup:
    """An element; `class_` and `aria_label` are written as `class` and `aria-label`."""
    written = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), value)
        for key, value in attributes.items()
    )
    return Markup("<{0}{1}>{2}</{0}>").format(name, written, Markup("").join(inside))
