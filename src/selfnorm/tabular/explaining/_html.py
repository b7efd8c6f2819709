"""Pages: about a training, and about what a model makes of a table."""

import math
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from markupsafe import Markup

from selfnorm.report._chart import Chart
from selfnorm.report._layers import layer_charts, loss_chart
from selfnorm.report._numbers import digits, signed
from selfnorm.report._page import Row, render
from selfnorm.report._right import calibration_chart, confusion_chart, residual_charts
from selfnorm.report._svg import bar, figure, sparkline
from selfnorm.tabular._by_class import ByClass
from selfnorm.tabular._evaluation import Evaluation
from selfnorm.tabular._interval import Errors, errors_of
from selfnorm.tabular._model import TabularModel
from selfnorm.tabular._settings import Settings
from selfnorm.tabular.encoding._target import ClassTarget
from selfnorm.tabular.explaining._html_of_several import charts_of, rows_of
from selfnorm.tabular.explaining._importance import Importance
from selfnorm.tabular.explaining._said import loss_name
from selfnorm.tabular.explaining._seen import Seen
from selfnorm.training import History

_ROOM, _PAGE = "tabular.explaining", "fit.html.jinja"
_MATRIX = 12  # classes that a table of numbers shows
_FEWEST_ERRORS = 19
_WORST = 20  # classes, and confusions, that are listed of more
_PACKAGES = ("selfnorm", "torch", "numpy", "scikit-learn", "pyarrow")


def page(
    name: str,
    seen: Seen,
    model: TabularModel,
    history: History,
    evaluation: Evaluation,
    settings: Settings,
    layers: tuple[Sequence[tuple[float, float]], Sequence[tuple[float, float]]],
) -> str:
    """A page about a training.

    Args:
        name: What to call the table.
        seen: What was seen of it, and of the predictions.
        model: What was learned.
        history: How.
        evaluation: How good it is.
        settings: What was asked for, with what the rows decided.
        layers: Mean and variance of each hidden layer, at the start and at the end.
    """
    measured = f"{evaluation.rows:,} rows" + (", cross-fitted" if evaluation.cross_fitted else "")
    return render(
        _ROOM,
        _PAGE,
        whole=True,
        name=name,
        target=model.target.name,
        version=version("selfnorm"),
        headline=_headline(evaluation),
        understood=seen.understood,
        doubts=seen.doubts,
        measured=measured if evaluation.metrics else "",
        metrics=_metrics(evaluation),
        whose=seen.whose,
        right=_drawn(_right(seen, model)),
        targets=rows_of(evaluation.by_output),
        classes=_classes(seen, model),
        matrix=_matrix(seen, model),
        confusions=_confusions(seen, model),
        columns=_columns(seen, seen.importances(model)),
        loss=loss_name(model.target),
        learning=_drawn(
            [
                loss_chart(
                    [epoch.loss for epoch in history.epochs],
                    [epoch.validation_loss for epoch in history.epochs],
                    history.best.number,
                ),
                *layer_charts(*layers),
            ]
        ),
        stopped=_stopped(history),
        settings=[Row([("setting", n), ("value", v)]) for n, v in _settings(settings).items()],
        versions=", ".join(f"{package} {version(package)}" for package in _PACKAGES),
    )


def _drawn(charts: Sequence[Chart]) -> list[Markup]:
    return [figure(chart) for chart in charts if not chart.empty]


def _headline(found: Evaluation) -> str:
    if not found.metrics:
        return ""
    name, value = next(iter(found.metrics.items()))
    beside = found.baseline.get(name)
    trivial = "" if beside is None else f", {digits(beside, 3)} by the trivial baseline"
    return f"{name} {digits(value, 3)}{trivial}"


def _metrics(found: Evaluation) -> list[Row]:
    return [
        Row(
            [
                ("metric", name),
                ("", ""),
                ("model", digits(value, 4)),
                ("trivial baseline", digits(found.baseline.get(name, math.nan), 4)),
            ]
        )
        for name, value in found.metrics.items()
    ]


def _right(seen: Seen, model: TabularModel) -> list[Chart]:
    """The charts of predictions beside what is true."""
    target, told = model.target, seen.told
    halves = [_within(errors) for errors in errors_of(model.about)]
    if seen.truth.ndim == 2:
        return charts_of(model, seen.truth, told, halves)
    if not isinstance(target, ClassTarget) or told.probabilities is None:
        half = next(iter(halves), None)
        return list(residual_charts(seen.truth.astype(float), told.values, target.name, half))
    right = (told.values == seen.truth).astype(float)
    if target.outputs == 2:
        second = target.classes[1]
        happened = (seen.truth == second).astype(float)
        chart = calibration_chart(told.probabilities[:, 1], happened, f"probability of {second}")
    else:
        chart = calibration_chart(
            told.probabilities.max(1), right, "probability of the class that is told"
        )
    if target.outputs <= _MATRIX:
        return [chart]
    by_class = _by_class(seen, target)
    return [chart, confusion_chart([str(one) for one in by_class.classes], by_class.counts)]


def _within(errors: Errors | None) -> float | None:
    """What nine in ten errors do not exceed; None of too few."""
    if errors is None or errors.levels < _FEWEST_ERRORS:
        return None
    level = math.ceil(0.9 * (errors.levels + 1) - 1e-9)
    return errors.sizes[level - 1] if level <= len(errors.sizes) else None


def _by_class(seen: Seen, target: ClassTarget) -> ByClass:
    return ByClass.of(target.classes, seen.truth, seen.told.values)


def _classes(seen: Seen, model: TabularModel) -> list[Row]:
    """Recall and precision of each class, of many the worst."""
    if not isinstance(model.target, ClassTarget):
        return []
    found = _by_class(seen, model.target)
    recall, precision = found.recall, found.precision
    order = range(len(found.classes))
    if len(found.classes) > _MATRIX:
        order = np.argsort(np.nan_to_num(recall, nan=2.0), kind="stable")[:_WORST].tolist()
    return [
        Row(
            [
                ("class", str(found.classes[at])),
                ("number", str(at + 1)),
                ("rows", f"{found.rows[at]:,}"),
                ("found (recall)", _percent(recall[at])),
                ("right if told (precision)", _percent(precision[at])),
            ]
        )
        for at in order
    ]


def _matrix(seen: Seen, model: TabularModel) -> list[Row]:
    """The confusion matrix, of few classes."""
    if not isinstance(model.target, ClassTarget) or model.target.outputs > _MATRIX:
        return []
    found = _by_class(seen, model.target)
    return [
        Row(
            [("true class", str(one)), ("rows", f"{found.rows[at]:,}")]
            + [
                (f"told {other}", f"{found.counts[at, to]:,}")
                for to, other in enumerate(found.classes)
            ]
        )
        for at, one in enumerate(found.classes)
    ]


def _confusions(seen: Seen, model: TabularModel) -> list[Row]:
    """What is taken for what most often, of many classes."""
    if not isinstance(model.target, ClassTarget) or model.target.outputs <= _MATRIX:
        return []
    found = _by_class(seen, model.target).confusions[:_WORST]
    return [
        Row([("true class", str(one)), ("taken for", str(other)), ("rows", f"{count:,}")])
        for one, other, count in found
    ]


def _columns(seen: Seen, found: Sequence[Importance]) -> list[Row]:
    """The columns in short, the most important first."""
    most = max((one.loss for one in found), default=0.0) or 1.0
    by_name = {one.column: one for one in found}
    order = sorted(
        seen.columns, key=lambda one: -by_name[one.name].loss if one.name in by_name else math.inf
    )
    rows: list[Row] = []
    for one in order:
        important = by_name.get(one.name)
        shown: Any = sparkline(one.edges, one.counts) if len(one.edges) else one.levels
        rows.append(
            Row(
                [
                    ("column", one.name),
                    ("what it is", one.what),
                    ("missing", _percent(one.missing)),
                    ("values", shown),
                    ("importance", "" if important is None else signed(important.loss)),
                    (
                        "share",
                        ""
                        if important is None
                        else bar(
                            important.loss / most, f"of the greatest {important.loss / most:.0%}"
                        ),
                    ),
                ]
            )
        )
    return rows


def _stopped(history: History) -> str:
    why = {
        "epochs": "it had all its epochs",
        "patience": "no epoch was better for long",
        "time": "the time was up",
        "interrupted": "Ctrl-C came",
        "diverged": "the loss was not finite",
    }[history.stop]
    epochs = len(history.epochs)
    return f"Epoch {history.best.number} of {epochs} is kept; it ended as {why}."


def _settings(settings: Settings) -> Mapping[str, str]:
    """Settings as text, those that say something."""
    return {
        name: ", ".join(value) if isinstance(value, tuple | list) else str(value)
        for name, value in vars(settings).items()
        if value not in (None, (), [])
    }


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{share:.1%}" if 0 < share < 0.1 else f"{share:.0%}"
