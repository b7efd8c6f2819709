"""Results as tables for a terminal 80 columns wide."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from selfnorm.nn._widths import Weights
from selfnorm.recording import Observation
from selfnorm.report._numbers import digits, short, signed
from selfnorm.tabular import Evaluation, TabularModel
from selfnorm.tabular._ensemble import Ensemble
from selfnorm.tabular._fit import Prepared
from selfnorm.tabular._infinite import DEPTH
from selfnorm.tabular.explaining._understood import understood as what_was_understood
from selfnorm.theory import THEOREM_1

_SHOWN_IGNORED = 3
_DUPLICATED = 0.05  # a share of rows worth a word
_SHOWN_LAYERS = 40
_WEIGHTS: dict[Weights, str] = {"lecun": "LeCun", "orthogonal": "kept orthogonal"}


def understood(where: str, ready: Prepared) -> Table:
    """What was understood of a table: rows, columns by kind, target, and who gets which rows."""
    table = _plain()
    for about, line in what_was_understood(where, ready):
        table.add_row(about, line)
    return table


def metrics(found: Evaluation, what: str) -> Group:
    """Metrics beside the trivial baseline's."""
    table = _titled(f"On {found.rows:,} {'rows, cross-fitted' if found.cross_fitted else what}")
    table.add_column("metric")
    table.add_column("model", justify="right", style="bold")
    table.add_column("trivial baseline", justify="right")
    for name, value in found.metrics.items():
        of_baseline = found.baseline.get(name)
        shown = "-" if of_baseline is None else digits(of_baseline, 4)
        table.add_row(name, digits(value, 4), shown)
    note = "Each row is predicted by networks that did not learn from it."
    return Group(table, *([Text(f"{note}\n", style="dim")] if found.cross_fitted else []))


def networks(model: TabularModel) -> Table | None:
    """The networks of an ensemble by kind, and how much each kind counts; None for a single one."""
    network, blend = model.network, model.blend
    if blend is None or not isinstance(network, Ensemble):
        return None
    table = _titled("Networks that predict together")
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
        table.add_row(str(DEPTH), "infinite", what, "1", digits(share, 2))
    return table


def layers(before: Sequence[Observation], after: Sequence[Observation]) -> Group:
    """Mean and variance of every hidden layer's activations, at the start and at the end."""
    table = _titled("Activations of the hidden layers, on training rows")
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
    return Group(table, Text(note, style="dim"))


def _sampled(depth: int) -> list[int]:
    """The layers to show: all of them, or evenly spread ones with the first and the last."""
    if depth <= _SHOWN_LAYERS:
        return list(range(depth))
    return sorted({round(layer) for layer in np.linspace(0, depth - 1, _SHOWN_LAYERS)})


def _titled(title: str) -> Table:
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )


def _plain() -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    return table
