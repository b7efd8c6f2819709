"""Results as tables for a terminal 80 columns wide."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from selfnorm.nn._widths import Weights
from selfnorm.recording import Observation
from selfnorm.report._numbers import digits, short, signed
from selfnorm.tabular import Evaluation, TabularModel
from selfnorm.tabular._ensemble import Ensemble
from selfnorm.tabular._fit import Prepared
from selfnorm.tabular._kernel import DEPTH
from selfnorm.tabular._metrics_of_several import OfOutput
from selfnorm.tabular._search import Trial
from selfnorm.tabular._validate import CrossValidation
from selfnorm.tabular.explaining._understood import understood as what_was_understood
from selfnorm.theory import THEOREM_1

_SHOWN_LAYERS = 40
_SHOWN_CLASSES = 20
_SHOWN_CONFUSED = 8  # classes of a confusion matrix
_SHOWN_TRIALS = 5
_SHOWN_OUTPUTS = 20
_OF_LABELS = ("log loss", "accuracy", "AUC", "recall", "precision")
_OF_NUMBERS = ("RMSE", "MAE", "R2")
_WEIGHTS: dict[Weights, str] = {"lecun": "LeCun", "orthogonal": "kept orthogonal"}


def understood(where: str, ready: Prepared) -> Table:
    """What was understood of a table: rows, columns by kind, target, and who gets which rows."""
    table = _plain()
    for about, line in what_was_understood(where, ready):
        table.add_row(about, line)
    return table


def metrics(found: Evaluation, what: str) -> Group:
    """Metrics beside the trivial baseline's."""
    title = f"On {found.rows:,} {'rows, cross-fitted' if found.cross_fitted else what}"
    table = plain_table()
    table.add_column("metric")
    table.add_column("model", justify="right", style="bold")
    table.add_column("trivial baseline", justify="right")
    for name, value in found.metrics.items():
        of_baseline = found.baseline.get(name)
        shown = "-" if of_baseline is None else digits(of_baseline, 4)
        table.add_row(name, digits(value, 4), shown)
    note = "Each row is predicted by networks that did not learn from it."
    notes = [Text(f"{note}\n", style="dim")] if found.cross_fitted else []
    return titled(title, table, *notes)


def by_class(found: Evaluation) -> list[Group]:
    """Recall and precision of each class, of many those found least; and the confusion matrix."""
    if (each := found.by_class) is None:
        return []
    recall, precision, count = each.recall, each.precision, len(each.classes)
    present = np.flatnonzero(each.rows)
    shown = present
    if len(present) > _SHOWN_CLASSES:
        shown = present[np.argsort(recall[present], kind="stable")][:_SHOWN_CLASSES]
    table = plain_table()
    for head in ("class", "rows", "found (recall)", "right if told (precision)"):
        table.add_column(head, justify="left" if head == "class" else "right")
    for at in shown.tolist():
        unknown = " (unknown to the model)" if at >= each.known else ""
        figures = (digits(one[at], 3) for one in (recall, precision))
        table.add_row(f"{each.classes[at]}{unknown}", f"{each.rows[at]:,}", *figures)
    title = "Class by class"
    if len(present) > len(shown):
        title = f"The {len(shown)} of {len(present)} classes that are found least"
    tables = [titled(title, table)]
    if count <= _SHOWN_CONFUSED:
        matrix = plain_table()
        matrix.add_column("true class")
        for one in each.classes[: each.known]:
            matrix.add_column(f"told {one}", justify="right")
        for at, one in enumerate(each.classes):
            matrix.add_row(str(one), *(f"{n:,}" for n in each.counts[at, : each.known]))
        tables.append(titled("Rows by true class and class told", matrix))
    return tables


def by_output(found: Evaluation) -> list[Group]:
    """Metrics of each of several targets beside the trivial baseline's, of many the worst."""
    each = found.by_output
    if not each:
        return []
    labels = any("accuracy" in one.metrics for one in each)
    names = _OF_LABELS if labels else _OF_NUMBERS
    shown = each
    if len(each) > _SHOWN_OUTPUTS:
        shown = sorted(each, key=_gain)[:_SHOWN_OUTPUTS]
    table = plain_table("target", ">rows")
    for at, name in enumerate(names):
        table.add_column(name, justify="right", style="" if at else "bold")
        if not at:
            table.add_column("trivial", justify="right")
    for one in shown:
        figures = [digits(one.metrics.get(name, math.nan), 3) for name in names]
        beside = digits(one.baseline.get(names[0], math.nan), 3)
        table.add_row(one.called, f"{one.rows:,}", figures[0], beside, *figures[1:])
    title = "Target by target"
    if len(shown) < len(each):
        title = f"The {len(shown)} of {len(each)} targets that gain least on the trivial baseline"
    return [titled(title, table)]


def _gain(one: OfOutput) -> float:
    """How much less is lost than by the trivial baseline, as a share."""
    name = "log loss" if "log loss" in one.metrics else "RMSE"
    lost, beside = one.metrics.get(name, math.nan), one.baseline.get(name, math.nan)
    return 1 - lost / beside if beside else -math.inf


def folds(found: CrossValidation) -> Group:
    """Metrics of each fold, their mean, and how far they are apart."""
    table = plain_table()
    names = list(found.metrics)
    table.add_column("fold")
    table.add_column("rows", justify="right")
    for name in names:
        table.add_column(name, justify="right")
    for number, one in enumerate(found.folds, 1):
        figures = (digits(one.metrics[name], 4) for name in names)
        table.add_row(str(number), f"{one.rows:,}", *figures)
    table.add_section()
    for at, what in enumerate(("mean", "deviation")):
        table.add_row(what, "", *(digits(found.metrics[name][at], 4) for name in names))
    return titled(f"Cross-validation, {len(found.folds)} folds", table)


def tried(trials: Sequence[Trial], loss: str) -> Group:
    """The best settings that were tried by a loss, and those that would be taken without."""
    table = plain_table()
    table.add_column("trial", justify="right")
    table.add_column(loss, justify="right")
    table.add_column("settings")
    order = sorted(range(len(trials)), key=lambda at: trials[at].loss)
    for at in dict.fromkeys((*order[:_SHOWN_TRIALS], 0)):
        changes = trials[at].changes
        said = ", ".join(f"{name} {value}" for name, value in changes.items()) or "as without"
        table.add_row(str(at + 1), digits(trials[at].loss, 4), said)
    note = "By rows left out, which chose among them: figures on them are too good now."
    title = f"Of {len(trials)} settings that were tried"
    return titled(title, table, Text(f"{note}\n", style="dim"))


def evaluation_as_json(found: Evaluation) -> dict[str, Any]:
    """How good a model is, for programs."""
    content: dict[str, Any] = {
        "rows": found.rows,
        "metrics": dict(found.metrics),
        "baseline": dict(found.baseline),
        "cross_fitted": found.cross_fitted,
        "notes": list(found.notes),
    }
    if (each := found.by_class) is not None:
        figures = zip(
            each.rows.tolist(), each.recall.tolist(), each.precision.tolist(), strict=True
        )
        content["classes"] = [
            {"class": one, "rows": rows, "recall": recall, "precision": precision}
            for one, (rows, recall, precision) in zip(each.classes, figures, strict=True)
        ]
        content["confusion"] = each.counts.tolist()
    if found.by_output:
        content["targets"] = [
            {
                "target": one.name,
                "rows": one.rows,
                "metrics": dict(one.metrics),
                "baseline": dict(one.baseline),
            }
            for one in found.by_output
        ]
    return content


def networks(model: TabularModel) -> Group | None:
    """The networks of an ensemble by kind, and how much each kind counts; None for a single one."""
    network, blend = model.network, model.blend
    if blend is None or not isinstance(network, Ensemble):
        return None
    table = plain_table()
    for head in ("hidden layers", "units", "weights"):
        table.add_column(head)
    for head in ("networks", "share"):
        table.add_column(head, justify="right")
    at = 0
    for one in model.architectures:
        share = sum(blend.weights[at : (at := at + one.n_estimators)])
        units = f"{one.width}" if one.shape == "rectangular" else f"{one.width}, conic"
        table.add_row(
            str(one.depth), units, _WEIGHTS[one.weights], str(one.n_estimators), digits(share, 2)
        )
    for one, share in zip(network.joined, blend.weights[at:], strict=True):
        smooth = torch.equal(one.reads, torch.from_numpy(model.encoder.views[0]))
        what = "numbers bent" if smooth else "numbers in pieces"
        waves = one.kernel.frequency is not None
        depth, what = ("1", "waves of numbers") if waves else (str(DEPTH), what)
        table.add_row(depth, "infinite", what, "1", digits(share, 2))
    return titled("Networks that predict together", table)


def layers(before: Sequence[Observation], after: Sequence[Observation]) -> Group:
    """Mean and variance of every hidden layer's activations, at the start and at the end."""
    table = plain_table()
    table.add_column("layer", justify="right")
    for when in ("start", "end"):
        table.add_column(f"mean, {when}", justify="right")
        table.add_column(f"variance, {when}", justify="right")
    kept = any(math.isfinite(layer.gram_error) for layer in after)
    if kept:
        table.add_column("|W'W - I|", justify="right")
    for number in _sampled(len(before)):
        start, end = before[number], after[number]
        table.add_row(
            str(number + 1),
            signed(start.mean),
            short(start.variance),
            signed(end.mean),
            short(end.variance),
            *([short(end.gram_error)] if kept else []),
        )
    inside = sum(THEOREM_1.holds("variance", layer.variance) for layer in before)
    note = (
        f"At the start {inside} of {len(before)} layers have a variance in theorem 1's range, "
        f"{THEOREM_1.interval('variance')}."
    )
    if inside < len(before):
        note += (
            "\nFew or correlated columns make the first layers start outside; SELU pulls the "
            "next ones\ntoward 1."
        )
    title = "Activations of the hidden layers, on training rows"
    return titled(title, table, Text(note, style="dim"))


def _sampled(depth: int) -> list[int]:
    """The layers to show: all of them, or evenly spread ones with the first and the last."""
    if depth <= _SHOWN_LAYERS:
        return list(range(depth))
    return sorted({round(layer) for layer in np.linspace(0, depth - 1, _SHOWN_LAYERS)})


def titled(title: str, *parts: RenderableType) -> Group:
    """Parts below a title, which is as long as it is; a table's own is folded to its width."""
    return Group(Text(title, style="bold"), *parts)


def plain_table(*heads: str) -> Table:
    """A table of these columns; `>` before a name puts its cells to the right."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for head in heads:
        table.add_column(head.removeprefix(">"), justify="right" if head[:1] == ">" else "left")
    return table


def _plain() -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    return table
