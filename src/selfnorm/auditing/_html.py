"""A report as one HTML page, or as a part of a notebook. All that comes from data is escaped."""

import re
from collections.abc import Sequence
from typing import Any

from selfnorm import __version__
from selfnorm.auditing._charts import audit_charts
from selfnorm.auditing._finding import Finding
from selfnorm.auditing._groups import Group, count, groups, marks, verdict
from selfnorm.auditing._rules._drift import within_theorem_1
from selfnorm.auditing._steps import Step, number_of, steps
from selfnorm.recording import Features, Layer, Recording
from selfnorm.report._numbers import short, signed
from selfnorm.report._page import Row, render
from selfnorm.report._svg import figure, sparkline

_CALL = r"[\w.]+\((?:[^()]|\([^()]*\))*\)"
_NAME = r"(?:selfnorm|torch)"
_CODE = re.compile(rf"((?:model, changes = )?{_NAME}\.{_CALL}|{_NAME}(?:\.\w+)+|print\(\w+\))")


def page(recording: Recording, findings: Sequence[Finding]) -> str:
    """A whole page."""
    return _render(recording, findings, whole=True)


def fragment(recording: Recording, findings: Sequence[Finding]) -> str:
    """The same without the page around it."""
    return _render(recording, findings, whole=False)


def _render(recording: Recording, findings: Sequence[Finding], *, whole: bool) -> str:
    content = _content(recording, findings)
    return render("auditing", "report.html.jinja", whole=whole, **content)


def _content(recording: Recording, findings: Sequence[Finding]) -> dict[str, Any]:
    counts, told, done = count(findings), groups(findings), steps(findings)
    marked = marks(recording.layers, findings)
    anchors: dict[str, int] = {}
    for layer in recording.layers:
        anchors.setdefault(layer.module, layer.index)
    anchors.pop("", None)
    return {
        "model": recording.model,
        "version": __version__,
        "verdict": verdict(recording, findings),
        "steps": [(_parts(step.text), _mended(step)) for step in done],
        "numbers": {_key(group): number_of(group, done) for group in told},
        "worst": next((s for s in ("error", "warning") if counts[s]), "fine"),
        "rows": recording.rows,
        "groups": told,
        "anchors": anchors,
        "box": within_theorem_1(recording),
        "drawn": [figure(chart) for chart in audit_charts(recording.layers) if not chart.empty],
        "features": [Row(_feature_cells(f, recording.layers)) for f in recording.features],
        "layers": [
            Row(_cells(layer), anchor=f"layer-{layer.index}", mark=marked.get(layer.index, ""))
            for layer in recording.layers
        ],
    }


def _parts(text: str) -> list[tuple[str, bool]]:
    """Words, and code among them: each with whether it is code."""
    return [(part, bool(number % 2)) for number, part in enumerate(_CODE.split(text)) if part]


def _mended(step: Step) -> list[tuple[str, str]]:
    """Severity and rule of what a step mends, each once."""
    return list(dict.fromkeys(_key(group) for group in step.mended))


def _key(group: Group) -> tuple[str, str]:
    return group.first.severity, group.first.rule


def _cells(layer: Layer) -> list[tuple[str, str]]:
    return [
        ("layer", layer.name or "model"),
        ("kind", layer.kind),
        ("shape", "×".join(map(str, layer.shape))),
        ("mean", signed(layer.mean)),
        ("variance", short(layer.variance)),
        ("theory", short(float(layer.predicted.variance)) if layer.predicted else "-"),
        ("gradient", short(layer.gradient)),
        ("tau", short(layer.tau)),
        ("gain", short(layer.data_gain)),
        ("omega, rms", short(layer.omega_size)),
        ("dead", f"{layer.dead:.0%}" if layer.dead == layer.dead else "-"),
        ("kurtosis", short(layer.kurtosis)),
        ("values", sparkline(layer.histogram.edges, layer.histogram.counts)),
    ]


def _feature_cells(found: Features, layers: tuple[Layer, ...]) -> list[tuple[str, str]]:
    return [
        ("read by", layers[found.reader].name or "model"),
        ("features", str(len(found.means))),
        ("mean", signed(found.mean)),
        ("variance", short(found.variance)),
        ("lowest", short(found.low)),
        ("highest", short(found.high)),
        ("correlation", short(found.correlation_size)),
    ]
