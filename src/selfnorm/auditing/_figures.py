"""The figures of the page: SVG that takes its colors from the page's style."""

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

from selfnorm.recording import WEIGHTED, Histogram, Layer
from selfnorm.theory import theorem_domains

_WIDTH, _HEIGHT = 420, 236
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 8, 10, 34
_POINTS = 1500
_DOMAIN = theorem_domains("1")[0]


@dataclass(frozen=True)
class _Axis:
    """A scale from values to positions."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        a, b, v = (self._bent(x) for x in (self.low, self.high, value))
        share = min(max((v - a) / (b - a), 0.0), 1.0)
        return round(self.start + share * (self.end - self.start), 1)

    def _bent(self, value: float) -> float:
        return math.log10(max(value, 5e-324)) if self.logarithmic else value

    def ticks(self) -> list[float]:
        """Up to six round numbers."""
        if not self.logarithmic:
            return _round_steps(self.low, self.high)
        first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
        if last - first >= 2:
            step = max(1, -(-(last - first) // 5))
            return [_decimal(1, k) for k in range(first, last + 1, step)]
        marks = [_decimal(m, k) for k in range(first - 1, last + 1) for m in (1, 2, 5)]
        return [m for m in marks if self.low <= m <= self.high]


def variance_figure(layers: Sequence[Layer]) -> Markup:
    """Variance by layer, measured and expected, with theorem 1's range."""
    shown = [layer for layer in layers if layer.variance > 0 and math.isfinite(layer.variance)]
    expected = [(layer, float(layer.predicted.variance)) for layer in shown if layer.predicted]
    expected = [(layer, variance) for layer, variance in expected if 0 < variance < math.inf]
    if not shown:
        return Markup()
    x = _layer_axis(layers)
    y = _log_axis([*(layer.variance for layer in shown), *(v for _, v in expected), 0.5, 2.0])
    low, high = (float(end) for end in _DOMAIN.variance)
    parts = [
        _band(y(high), y(low), "theorem 1's range"),
        _path([(x(layer.index + 1), y(variance)) for layer, variance in expected], "theory"),
        _path([(x(layer.index + 1), y(layer.variance)) for layer in shown], "line"),
        *_dots(shown, x, y, lambda layer: layer.variance),
    ]
    legend = (
        '<text class="key" x="412" y="22" text-anchor="end"><tspan class="k1">● measured</tspan> '
        '<tspan class="k2">┄ theory</tspan> <tspan class="k3">▮ theorem 1</tspan></text>'
    )
    return _frame("Variance by layer", x, y, "layer", [*parts, legend])


def gradient_figure(layers: Sequence[Layer]) -> Markup:
    """Size of the gradient by layer."""
    shown = [layer for layer in layers if layer.gradient > 0 and math.isfinite(layer.gradient)]
    if not shown:
        return Markup()
    x = _layer_axis(layers)
    sizes = [layer.gradient for layer in shown]
    y = _log_axis([*sizes, max(sizes) / 5])
    parts = [
        _path([(x(layer.index + 1), y(layer.gradient)) for layer in shown], "line"),
        *_dots(shown, x, y, lambda layer: layer.gradient),
    ]
    return _frame("Gradient by layer", x, y, "layer", parts)


def weights_figure(layers: Sequence[Layer]) -> Markup:
    """Sum and sum of squares of the units' weights, with theorem 1's box."""
    found = [w for layer in layers if layer.role in WEIGHTED for w in layer.weights]
    if not found:
        return Markup()
    omega = np.concatenate([w.omega for w in found])
    tau = np.concatenate([w.tau for w in found])
    keep = np.isfinite(omega) & np.isfinite(tau)
    omega, tau = omega[keep], tau[keep]
    step = max(1, len(omega) // _POINTS)
    omega, tau = omega[::step], tau[::step]
    wide = float(np.quantile(np.abs(omega), 0.995)) if len(omega) else 0.0
    x = _Axis(-max(wide, 0.5) * 1.05, max(wide, 0.5) * 1.05, _LEFT, _WIDTH - _RIGHT)
    positive = tau[tau > 0]
    spread = len(positive) and positive.max() > 20 * positive.min()
    ends = (float(np.quantile(tau, 0.995)), float(np.quantile(tau, 0.005))) if len(tau) else (1, 1)
    if spread:
        y = _log_axis([float(positive.min()), float(positive.max()), 0.5, 2.0])
    else:
        low, high = min(0.85, ends[1]), max(1.2, ends[0])
        y = _Axis(low - 0.05 * (high - low), high, _HEIGHT - _BOTTOM, _TOP)
    (left, right), (bottom, top) = (
        [float(end) for end in limits] for limits in (_DOMAIN.omega, _DOMAIN.tau)
    )
    dots = "".join(
        f'<circle cx="{x(float(o))}" cy="{y(float(t))}" r="1.6"/>'
        for o, t in zip(omega, tau, strict=True)
    )
    box = (
        f'<rect class="box" x="{x(left)}" y="{y(top)}" width="{round(x(right) - x(left), 1)}" '
        f'height="{round(y(bottom) - y(top), 1)}"><title>theorem 1: omega in [-0.1, 0.1], tau in '
        "[0.95, 1.1]</title></rect>"
    )
    return _frame(
        "Units: tau by omega",
        x,
        y,
        "omega",
        [f'<g class="cloud">{dots}</g>', box],
    )


def histogram_figure(histogram: Histogram) -> Markup:
    """A small histogram for a table's row, from the lowest to the highest value."""
    counts = histogram.counts
    if not counts.sum():
        return Markup()
    heights = 24 * np.sqrt(counts / counts.max())
    step = 96 / len(counts)
    bars = "".join(
        f"M{k * step:.1f} 26v-{height:.1f}h{step:.1f}v{height:.1f}z"
        for k, height in enumerate(heights)
        if height > 0
    )
    low, high = histogram.edges[0], histogram.edges[-1]
    zero = ""
    if low < 0 < high:
        at = 96 * -low / (high - low)
        zero = f'<path class="zero" d="M{at:.1f} 0V26"/>'
    label = f"from {low:.3g} to {high:.3g}"
    return Markup(  # noqa: S704 - numbers only
        f'<svg class="spark" viewBox="0 0 96 27" role="img" aria-label="histogram {label}">'
        f'<title>{label}</title><path class="bars" d="{bars}"/>{zero}</svg>'
    )


def _layer_axis(layers: Sequence[Layer]) -> _Axis:
    return _Axis(0.5, len(layers) + 0.5, _LEFT, _WIDTH - _RIGHT)


def _log_axis(values: Sequence[float]) -> _Axis:
    low, high = min(values), max(values)
    return _Axis(
        low / 1.25, min(high * 1.25, sys.float_info.max), _HEIGHT - _BOTTOM, _TOP, logarithmic=True
    )


def _band(top: float, bottom: float, label: str) -> str:
    return (
        f'<rect class="band" x="{_LEFT}" y="{top}" width="{_WIDTH - _LEFT - _RIGHT}" '
        f'height="{max(round(bottom - top, 1), 1)}"><title>{label}</title></rect>'
    )


def _path(points: Sequence[tuple[float, float]], kind: str) -> str:
    drawn = "L".join(f"{x} {y}" for x, y in points)
    return f'<path class="{kind}" d="M{drawn}"/>' if drawn else ""


def _dots(
    layers: Sequence[Layer], x: _Axis, y: _Axis, value: Callable[[Layer], float]
) -> list[str]:
    radius = 3 if len(layers) <= 40 else 1.8
    return [
        f'<circle class="{"dot" if layer.role == "activation" else "dot other"}" '
        f'cx="{x(layer.index + 1)}" cy="{y(value(layer))}" r="{radius}"><title>'
        f"{escape(layer.name or 'model')} ({escape(layer.kind)}): {value(layer):.3g}"
        "</title></circle>"
        for layer in layers
    ]


def _frame(title: str, x: _Axis, y: _Axis, below: str, parts: Sequence[str]) -> Markup:
    """Axes, ticks and a title around what is drawn."""
    floor, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    ticks = [
        f'<path class="grid" d="M{_LEFT} {y(t)}H{right}"/>'
        f'<text x="{_LEFT - 6}" y="{y(t) + 4}" text-anchor="end">{_number(t)}</text>'
        for t in y.ticks()
    ]
    marks = x.ticks()
    if below == "layer":
        marks = [t for t in marks if t == int(t) and t >= 1]
    ticks += [
        f'<text x="{x(t)}" y="{floor + 15}" text-anchor="middle">{_number(t)}</text>' for t in marks
    ]
    label = f'<text x="{(_LEFT + right) / 2}" y="{_HEIGHT - 4}" text-anchor="middle">{below}</text>'
    axis = f'<path class="axis" d="M{_LEFT} {_TOP}V{floor}H{right}"/>'
    body = "".join([*ticks, *parts, axis, label])
    return Markup(  # noqa: S704 - what comes from the model is escaped above
        f'<figure><figcaption>{title}</figcaption><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{title}">{body}</svg></figure>'
    )


def _number(value: float) -> str:
    """What a tick stands at, in as few digits as tell it from any other number."""
    if value and not 1e-3 <= abs(value) < 1e4:
        return np.format_float_scientific(value, trim="-", exp_digits=1).replace("e+", "e")
    return np.format_float_positional(value, trim="-")


def _decimal(digits: int, exponent: int) -> float:
    """`digits` times a power of ten, as it is written: 5 * 10.0**-5 would be another number."""
    return float(f"{digits}e{exponent}")


def _round_steps(low: float, high: float) -> list[float]:
    raw = (high - low) / 5
    exponent = math.floor(math.log10(raw))
    digits = next(m for m in (1, 2, 5, 10) if m == 10 or _decimal(m, exponent) >= raw)
    step = _decimal(digits, exponent)
    ticks = range(math.ceil(low / step), math.floor(high / step) + 1)
    return [_decimal(k * digits, exponent) for k in ticks]
