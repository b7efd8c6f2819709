"""A report as one HTML page, or as a part of a notebook. All that comes from data is escaped."""

from functools import cache
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from selfnorm import __version__
from selfnorm.audit._figures import (
    gradient_figure,
    histogram_figure,
    variance_figure,
    weights_figure,
)
from selfnorm.audit._groups import groups, marks, verdict
from selfnorm.audit._layer import Features, Layer
from selfnorm.audit._table import short, signed

if TYPE_CHECKING:
    from selfnorm.audit._report import Report


def page(report: "Report") -> str:
    """A whole page."""
    return _template().render(whole=True, **_content(report))


def fragment(report: "Report") -> str:
    """The same without the page around it."""
    return _template().render(whole=False, **_content(report))


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("selfnorm.audit", "."), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("report.html.jinja")


def _content(report: "Report") -> dict[str, Any]:
    counts = report.counts()
    marked = marks(report.layers, report.findings)
    anchors: dict[str, int] = {}
    for layer in report.layers:
        anchors.setdefault(layer.module, layer.index)
    anchors.pop("", None)
    figures = [draw(report.layers) for draw in (variance_figure, gradient_figure, weights_figure)]
    return {
        "model": report.recording.model,
        "version": __version__,
        "verdict": verdict(counts),
        "worst": next((s for s in ("error", "warning") if counts[s]), "fine"),
        "rows": report.recording.rows,
        "groups": groups(report.findings),
        "anchors": anchors,
        "figures": [figure for figure in figures if figure],
        "features": [_feature_cells(f, report.layers) for f in report.features],
        "layers": [
            {
                "index": layer.index,
                "mark": marked.get(layer.index, ""),
                "cells": _cells(layer),
            }
            for layer in report.layers
        ],
    }


def _cells(layer: Layer) -> list[tuple[str, Any]]:
    return [
        ("layer", layer.name or "model"),
        ("kind", layer.kind),
        ("shape", "×".join(map(str, layer.shape))),
        ("mean", signed(layer.mean)),
        ("variance", short(layer.variance)),
        ("theory", short(float(layer.predicted.variance)) if layer.predicted else "-"),
        ("gradient", short(layer.gradient)),
        ("tau", short(layer.tau)),
        ("omega, rms", short(layer.omega_size)),
        ("dead", f"{layer.dead:.0%}" if layer.dead == layer.dead else "-"),
        ("kurtosis", short(layer.kurtosis)),
        ("values", histogram_figure(layer.histogram)),
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
