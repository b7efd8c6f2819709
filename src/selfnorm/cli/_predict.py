"""`selfnorm predict`: a model folder and a table in, predictions out."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from selfnorm.cli._console import fail, hush, problems, tell
from selfnorm.cli._interrupt import undisturbed
from selfnorm.cli._table import HELP_TABLE, Encoding, Quiet, source


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder that `fit` wrote.")],
    table: Annotated[str, typer.Argument(metavar="TABLE", help=HELP_TABLE)],
    out: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="OUT.csv", help="File to write. Default: stdout."),
    ] = None,
    encoding: Encoding = None,
    quiet: Quiet = False,
    force: Annotated[bool, typer.Option("--force", help="Write over OUT.csv.")] = False,
) -> None:
    """Predict every row of a table, with the probability of every class.

    Columns may stand in any order; the output has a row for every row, in the same order.

        selfnorm predict patients-model new.csv -o predictions.csv
    """
    hush(quiet=quiet)
    from selfnorm.tabular import load_model
    from selfnorm.tabular._output import check_prediction_file, csv_bytes, write_predictions

    if out and out.exists() and Path(table).exists() and out.samefile(table):
        fail(f"Predictions are written beside a table; '{out}' is the table. Name another file.")
    if out:
        check_prediction_file(out, force=force)
    loaded = load_model(model)
    rows = loaded.read(source(table, encoding))
    for note in loaded.notes(rows):
        tell(note)
    predicted = loaded.predict_table(rows)
    if out:
        with undisturbed():
            write_predictions(predicted, out)
        problems.print(f"Wrote {out}: {predicted.num_rows:,} predictions")
    else:
        sys.stdout.write(csv_bytes(predicted).decode())
