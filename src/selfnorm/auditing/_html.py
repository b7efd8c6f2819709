"""A report as one HTML page, or as a part of a notebook. All that comes from data is escaped."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from selfnorm import __version__
from selfnorm.auditing._figures import (
    gradient_figure,
    histogram_figure,
    variance_figure,
    weights_figure,
)
from selfnorm.auditing._finding import Finding
from selfnorm.auditing._groups import count, groups, marks, verdict
from selfnorm.auditing._table import short, signed
from selfnorm.recording import Features, Layer, Recording


def page(recording: Recording, findings: Sequence[Finding]) -> str:
    """A whole page."""
    return _template().render(whole=True, **_content(recording, findings))


def fragment(recording: Recording, findings: Sequence[Finding]) -> str:
    """The same without the page around it."""
    return _template().render(whole=False, **_content(recording, findings))


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("selfnorm.auditing", "."), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("report.html.jinja")


def _content(recording: Recording, findings: Sequence[Finding]) -> dict[str, Any]:
    counts = count(findings)
    marked = marks(recording.layers, findings)
    anchors: dict[str, int] = {}
    for layer in recording.layers:
        anchors.setdefault(layer.module, layer.index)
    anchors.pop("", None)
    figures = [
        draw(recording.layers) for draw in (variance_figure, gradient_figure, weights_figure)
    ]
    return {
        "model": recording.model,
        "version": __version__,
        "verdict": verdict(counts),
        "worst": next((s for s in ("error", "warning") if counts[s]), "fine"),
        "rows": recording.rows,
        "groups": groups(findings),
        "anchors": anchors,
        "figures": [figure for figure in figures if figure],
        "features": [_feature_cells(f, recording.layers) for f in recording.features],
        "layers": [
            {
                "index": layer.index,
                "mark": marked.get(layer.index, ""),
                "cells": _cells(layer),
            }
            for layer in recording.layers
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
