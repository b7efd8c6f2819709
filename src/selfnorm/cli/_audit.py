"""`selfnorm audit`: is a model self-normalizing, and why not?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from selfnorm.cli._console import fail, output, tell

if TYPE_CHECKING:
    from selfnorm.auditing import Report


def audit(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="package.module:factory, or a folder that `fit` wrote."
        ),
    ],
    inputs: Annotated[
        str | None,
        typer.Option(
            "--input", "-i", help="Shape (256x784), or .npy, .pt or .csv file.", show_default=False
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="TABLE", help="For a folder: CSV or Parquet.", show_default=False),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Print every finding, reason and layer.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option(help="Write the report as one page.", show_default=False)
    ] = None,
    json: Annotated[
        Path | None,
        typer.Option(help="Write it as JSON; '-' prints that alone.", show_default=False),
    ] = None,
    fail_on: Annotated[
        Literal["error", "warning", "note", "never"],
        typer.Option(help="Exit with 1 from this severity on."),
    ] = "warning",
) -> None:
    """Tell whether a network keeps mean 0 and variance 1, and if not, why not.

    The factory is called without arguments and returns the model, or the model and its inputs.

        selfnorm audit my_networks:build --input 256x784 --html report.html
    """
    from selfnorm._files import write_file

    folder = Path(model)
    report = _of_folder(folder, data, inputs) if folder.is_dir() else _of(model, inputs, data)
    printed = json == Path("-")
    if printed:
        typer.echo(report.to_json())
    elif full:
        typer.echo(report.full())
    else:
        output.print(report)
    if html is not None:
        report.to_html(html)
        tell(f"Wrote {html}.")
    if json is not None and not printed:
        write_file(json, report.to_json().encode())
        tell(f"Wrote {json}.")
    severities = ("error", "warning", "note")
    judged = severities[: severities.index(fail_on) + 1] if fail_on != "never" else ()
    if any(finding.severity in judged for finding in report.findings):
        raise typer.Exit(1)


def _of(model: str, inputs: str | None, data: str | None) -> "Report":
    from selfnorm.auditing import audit
    from selfnorm.errors import SelfNormError
    from selfnorm.watch import find_inputs, find_model

    if data is not None:
        fail(f"--data goes with a folder that `fit` wrote; got the code {model!r}. Use --input.")
    given = find_inputs(inputs) if inputs is not None else None
    network, own = find_model(model)
    given = given if given is not None else own
    if given is None:
        fail(
            "an audit needs inputs; got none. Pass --input 256x784 (rows x features) or a file, or "
            "let the factory return (model, inputs)."
        )
    try:
        return audit(network, given)
    except SelfNormError:
        raise
    except Exception as error:
        what = str(error).strip().splitlines()[0] if str(error).strip() else ""
        fail(
            f"the model must run on the inputs; it raised {type(error).__name__}: {what}. "
            "Check the inputs' shape and dtype."
        )


def _of_folder(folder: Path, data: str | None, inputs: str | None) -> "Report":
    import torch

    from selfnorm import tabular
    from selfnorm.auditing import audit

    loaded = tabular.load_model(folder)
    if inputs is not None or data is None:
        fail("a folder that `fit` wrote is audited on a table; pass it as --data TABLE.")
    table = loaded.read(data)
    for note in loaded.notes(table):
        tell(note)
    return audit(loaded.finite[0], torch.from_numpy(loaded.encoder.transform(table)).float())
