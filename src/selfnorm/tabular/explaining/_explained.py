"""An explanation as a page."""

from importlib.metadata import version

from selfnorm.report._numbers import digits, signed
from selfnorm.report._page import Row, render
from selfnorm.report._right import dependence_chart
from selfnorm.report._svg import bar, figure
from selfnorm.tabular.explaining._dependence import Dependence
from selfnorm.tabular.explaining._explain import Explanation, OfRow


def explained_page(name: str, found: Explanation) -> str:
    """A page about what a model makes of a table.

    Args:
        name: What to call the table.
        found: The explanation.
    """
    most = max((one.loss for one in found.importances), default=0.0) or 1.0
    return render(
        "tabular.explaining",
        "explain.html.jinja",
        whole=True,
        name=name,
        version=version("selfnorm"),
        rows=f"{found.rows:,}",
        measure=found.measure,
        notes=found.notes,
        importances=[
            Row(
                [
                    ("column", one.column),
                    ("", bar(one.loss / most, f"of the greatest {one.loss / most:.0%}")),
                    ("importance", signed(one.loss)),
                    ("deviation of shuffles", digits(one.spread, 2)),
                ]
            )
            for one in found.importances
        ],
        drawn=[
            figure(
                dependence_chart(
                    one.column, one.at, one.means[:, one.output].tolist(), found.outputs[one.output]
                )
            )
            for one in found.dependences
            if one.at is not None and len(one.at) > 1
        ],
        levels=[
            (f"By {one.column}: {found.outputs[one.output]}", _levels(one))
            for one in found.dependences
            if one.at is None
        ],
        own=[(one, _added(one)) for one in found.own],
    )


def _levels(one: Dependence) -> list[Row]:
    means = one.means[:, one.output].tolist()
    most = max(map(abs, means)) or 1.0
    return [
        Row(
            [
                ("value", value),
                ("", bar(abs(mean) / most, digits(mean, 4))),
                ("mean prediction", digits(mean, 4)),
            ]
        )
        for value, mean in zip(one.cells, means, strict=True)
    ]


def _added(own: OfRow) -> list[Row]:
    added = own.contributions.added
    return [
        Row(
            [
                ("column", name),
                ("value", own.cells[name]),
                ("adds", signed(added[name])),
                ("standard error", digits(own.contributions.errors[name], 2)),
            ]
        )
        for name in sorted(added, key=lambda name: -abs(added[name]))
    ]
