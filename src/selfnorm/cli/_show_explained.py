"""An explanation as tables for a terminal 80 columns wide."""

from rich.console import Group
from rich.text import Text

from selfnorm.cli._show import plain_table, titled
from selfnorm.report._numbers import digits, signed
from selfnorm.tabular.explaining._explain import Explanation, OfRow

_SHOWN = 20
_BAR = 20  # characters


def explained(found: Explanation) -> list[Group]:
    """Contributions of a row if there is one, importances, and dependences."""
    parts = [_row(one, several=len(found.own) > 1) for one in found.own]
    table = plain_table("column", ">importance", ">deviation", "")
    most = max((one.loss for one in found.importances), default=0.0) or 1.0
    for one in found.importances[:_SHOWN]:
        length = round(_BAR * max(one.loss, 0.0) / most)
        table.add_row(one.column, signed(one.loss), digits(one.spread, 2), "█" * length)
    more = len(found.importances) - _SHOWN
    notes = [Text(f"and {more} more", style="dim")] if more > 0 else []
    title = f"Importance on {found.rows:,} rows, by the {found.measure}"
    parts.append(titled(title, table, *notes))
    for one in found.dependences:
        name = found.outputs[one.output]
        table = plain_table(one.column, f">mean {name}", "")
        means = one.means[:, one.output].tolist()
        low, high = min(means), max(means)
        for value, mean in zip(one.cells, means, strict=True):
            share = (mean - low) / ((high - low) or 1.0)
            table.add_row(value, digits(mean, 4), "█" * round(_BAR * share))
        parts.append(titled(f"If all rows had the same {one.column}", table))
    return parts


def _row(own: OfRow, *, several: bool) -> Group:
    table = plain_table("column", "value", ">adds", ">standard error")
    found = own.contributions
    order = sorted(found.added, key=lambda name: -abs(found.added[name]))
    for name in order[:_SHOWN]:
        figures = signed(found.added[name]), digits(found.errors[name], 2)
        table.add_row(name, own.cells[name], *figures)
    rest = sum(found.added[name] for name in order[_SHOWN:])
    if len(order) > _SHOWN:
        table.add_row(f"{len(order) - _SHOWN} others", "", signed(rest), "")
    said = (
        f"Predicted: {own.told}. {own.output}: {digits(found.end, 4)}, "
        f"{digits(found.start, 4)} in the mean over rows."
    )
    title = f"Row {own.row}" + (f", {own.output}" if several else "")
    return titled(title, Text(said), table)
