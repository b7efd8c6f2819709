"""The table of layers in a terminal 80 columns wide."""

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from selfnorm.auditing._finding import Finding
from selfnorm.auditing._groups import marks, shorten
from selfnorm.recording import Layer
from selfnorm.report._numbers import short, signed

WIDTH = 80
COLORS = {"error": "bold red", "warning": "bold yellow", "note": "bold blue"}
_SIGNS = {"error": "!!", "warning": "!"}
_NUMBERS = ("mean", "variance", "theory", "gradient", "tau", "gain")
_NAME, _KIND = 24, 11  # at most
_FRAME = 10  # gaps and signs


def table_of(shown: Sequence[Layer], layers: Sequence[Layer], findings: Sequence[Finding]) -> Table:
    """A row for each of the layers shown, those marked that errors and warnings are about."""
    table = Table(
        title="mean and variance of what each layer puts out",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=0,
    )
    marked = marks(layers, findings)
    numbers = [_numbers(layer) for layer in shown]
    widths = [max(map(len, column)) for column in zip(_NUMBERS, *numbers, strict=True)]
    kinds = min(max((len(layer.kind) for layer in shown), default=4), _KIND)
    room = min(WIDTH - _FRAME - sum(widths) - max(kinds, 4), _NAME)
    for name in ("layer", "kind"):
        table.add_column(name, no_wrap=True)
    for name, width in zip(_NUMBERS, widths, strict=True):
        table.add_column(name, justify="right", no_wrap=True, min_width=width)
    table.add_column("", no_wrap=True, min_width=2)
    for layer, cells in zip(shown, numbers, strict=True):
        severity = marked.get(layer.index)
        table.add_row(
            Text(shorten(layer.name or "model", room)),
            Text(shorten(layer.kind, kinds)),
            *cells,
            Text(_SIGNS.get(severity or "", ""), style=COLORS.get(severity or "", "")),
        )
    return table


def chosen(layers: Sequence[Layer], findings: Sequence[Finding], most: int) -> list[Layer]:
    """All, or the first and the last and, evenly spread, those that findings are about."""
    if len(layers) <= most:
        return list(layers)
    marked = marks(layers, findings)
    between = [layer for layer in layers[1:-1] if layer.index in marked] or list(layers[1:-1])
    step = max((len(between) - 1) / max(most - 3, 1), 1.0)
    places = dict.fromkeys(min(round(k * step), len(between) - 1) for k in range(most - 2))
    return [layers[0], *(between[place] for place in places), layers[-1]]


def _numbers(layer: Layer) -> list[str]:
    theory = short(float(layer.predicted.variance)) if layer.predicted is not None else "-"
    return [
        signed(layer.mean), short(layer.variance), theory, short(layer.gradient), short(layer.tau),
        short(layer.data_gain),
    ]  # fmt: skip
