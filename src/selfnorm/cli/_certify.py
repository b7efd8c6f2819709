"""`selfnorm certify`: the theorems, proved in ball arithmetic while you watch."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from selfnorm.cli._console import output, problems
from selfnorm.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfnorm.theory import Certificate

Ends = tuple[str, str] | None


def certify(
    *,
    theorem: Annotated[str, typer.Option(help="1, 2, 3, 12 (the lemma), shaped or all.")] = "all",
    mean: Annotated[Ends, typer.Option(help="Another range of means.")] = None,
    variance: Annotated[Ends, typer.Option(help="Another range of variances.")] = None,
    omega: Annotated[Ends, typer.Option(help="Another range of sums of weights.")] = None,
    tau: Annotated[Ends, typer.Option(help="Another range of sums of squares.")] = None,
    blend: Annotated[
        str | None,
        typer.Option(help="Share of SELU in a blend with a line. [default: 1; shaped: every one]"),
    ] = None,
    largest: Annotated[
        bool, typer.Option("--largest", help="Widen theorem 1's ranges until it fails (a minute).")
    ] = False,
) -> None:
    """Prove the theorems of self-normalization in ball arithmetic; exit code 1 if one is not."""
    ranges = {"mean": mean, "variance": variance, "omega": omega, "tau": tau}
    given = {name: ends for name, ends in ranges.items() if ends is not None}
    if largest and (given or blend is not None or theorem not in {"all", "1"}):
        msg = (
            "--largest is about theorem 1 for SELU on its own domain. Leave --theorem, --blend and "
            "ranges out."
        )
        raise ArgumentError(msg)
    if given and theorem == "all":
        msg = f"A range is for one theorem; got --{next(iter(given))} for all. Add --theorem."
        raise ArgumentError(msg)
    bar = Progress(
        TextColumn("{task.description:<16}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        console=problems,
        transient=True,
        disable=not problems.is_terminal,
    )
    with bar:
        task = bar.add_task("", total=1.0)

        def show(title: str, done: float) -> None:
            bar.update(task, description=title, completed=done)

        if largest:
            table = _extensions(show)
            proved = True
        else:
            certificates = _certificates(theorem, given, blend or "1", show)
            table = _table(certificates)
            proved = all(certificate.proved for certificate in certificates)
    output.print(table)
    if not proved:
        raise typer.Exit(1)


def _certificates(
    theorem: str,
    given: dict[str, tuple[str, str]],
    blend: str,
    show: Callable[[str, float], None],
) -> "Sequence[Certificate]":
    from selfnorm.theory import certify as prove
    from selfnorm.theory import theorem_domains

    if not given:
        return prove(theorem, blend=blend, progress=show)
    domains = theorem_domains(theorem)
    return [
        prove(theorem, domain=domain.with_ranges(**given), blend=blend, progress=show)[0]
        for domain in domains
    ]


def _table(certificates: "Sequence[Certificate]") -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("", "statement", "", "boxes", "margin", "seconds"):
        table.add_column(
            column, justify="right" if column in {"boxes", "margin", "seconds"} else "left"
        )
    for one in certificates:
        said = Text(one.text)
        for domain in one.domains:
            said.append(f"\n{domain}", "dim")
        color = {"proved": "green", "refuted": "red", "undecided": "yellow"}[one.verdict]
        if one.counterexample is not None:
            at = ", ".join(
                f"{name} {float(value):.6g}" for name, value in one.counterexample._asdict().items()
            )
            said.append(f"\n{one.violation}", "red").append(f" at {at}")
        if one.reason:
            said.append(f"\n{one.reason}", "yellow")
        table.add_row(
            one.title,
            said,
            Text(one.verdict, color),
            f"{one.boxes:,}",
            f"{one.margin:.2g}" if one.proved else "-",
            f"{one.seconds:.2f}",
        )
    return table


def _extensions(show: Callable[[str, float], None]) -> Table:
    from selfnorm.theory import largest_domain

    table = Table(title="Theorem 1 with one end of one range moved", title_justify="left", box=None)
    for column in ("range", "end", "paper", "proved to", "fails at", "because"):
        table.add_column(column, justify="left" if column in {"range", "because"} else "right")
    for one in largest_domain(progress=show):
        ends = (f"{float(value):g}" for value in (one.paper, one.proved, one.failed))
        table.add_row(one.name, one.side, *ends, one.violation)
    return table
