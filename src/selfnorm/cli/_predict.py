"""`selfnorm predict`: a model folder and a table in, predictions out."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from selfnorm.cli._console import hush, problems, tell
from selfnorm.cli._interrupt import interruptible
from selfnorm.cli._table import HELP_TABLE, Encoding, Quiet, check_apart, source


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="What `fit` wrote.")],
    table: Annotated[list[str], typer.Argument(metavar="TABLE", help=HELP_TABLE)],
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
    from selfnorm.tabular._output import check_prediction_file, csv_bytes, write_predictions
    from selfnorm.tabular._predictor import Predictions

    if out:
        check_apart(out, table)
        check_prediction_file(out, force=force)
    predictions = Predictions(model, source(table, encoding))
    if out:
        with interruptible():
            rows = write_predictions(predictions, out)
        problems.print(f"Wrote {out}: {rows:,} predictions")
    else:
        for block in predictions:
            first = predictions.rows == block.num_rows
            sys.stdout.write(csv_bytes(block, header=first).decode())
    for note in predictions.notes:
        tell(note)
