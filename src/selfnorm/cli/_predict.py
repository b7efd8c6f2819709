"""`selfnorm predict`: a model folder and a table in, predictions out."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from selfnorm.cli._console import fail, hush, problems, tell
from selfnorm.cli._counting import counting_rows
from selfnorm.cli._interrupt import held, interruptible
from selfnorm.cli._table import HELP_TABLE, Encoding, Quiet, check_apart, source
from selfnorm.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from selfnorm.tabular import TableFile
    from selfnorm.tabular._prediction_checkpoint import PredictionCheckpoint
    from selfnorm.tabular._predictor import Predictions


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
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Keep rows in OUT.csv.checkpoint/ meanwhile; go on from those there."
        ),
    ] = False,
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
    if resume:
        if out is None:
            fail("Rows that are kept go into a file in the end; none is named. Add -o OUT.csv.")
        _note(_resumed(model, source(table, encoding), out, force=force))
        return
    if out:
        check_prediction_file(out, force=force)
    predictions = Predictions(model, source(table, encoding))
    if out:
        with interruptible():
            rows = write_predictions(_counted(predictions), out)
        problems.print(f"Wrote {out}: {rows:,} predictions")
    else:
        for block in predictions:
            first = predictions.rows == block.num_rows
            sys.stdout.write(csv_bytes(block, header=first).decode())
    _note(predictions)


def _counted(predictions: "Predictions") -> "Iterator[pa.Table]":
    with counting_rows() as told:
        for block in predictions:
            told(predictions.rows)
            yield block


def _note(predictions: "Predictions") -> None:
    for note in predictions.notes:
        tell(note)


def _resumed(model: Path, table: "str | TableFile", out: Path, *, force: bool) -> "Predictions":
    """Predict what is left, and write all; what ends it before is told, with how to go on."""
    from selfnorm.tabular._output import check_prediction_file
    from selfnorm.tabular._prediction_checkpoint import PredictionCheckpoint

    checkpoint = PredictionCheckpoint(out, model, table)
    check_prediction_file(out, force=force or checkpoint.exists)
    with checkpoint, held(checkpoint.leave):
        if checkpoint.rows:
            tell(f"{checkpoint.rows:,} rows are predicted already; those behind them follow.")
        try:
            return _through(checkpoint, out)
        except KeyboardInterrupt:
            fail(f"Stopped by Ctrl-C; {_kept(checkpoint)}")
        except CheckpointError:
            raise
        except OSError as error:  # mostly a full disk
            fail(f"{error.strerror or error}: '{error.filename or out}'; {_kept(checkpoint)}")


def _through(checkpoint: "PredictionCheckpoint", out: Path) -> "Predictions":
    with interruptible():
        with counting_rows(checkpoint.rows) as told:
            predictions = checkpoint.predict(told)
        rows = checkpoint.finish()
    problems.print(f"Wrote {out}: {rows:,} predictions")
    return predictions


def _kept(checkpoint: "PredictionCheckpoint") -> str:
    return f"{checkpoint.rows:,} rows are in '{checkpoint.folder}'. Go on from them with --resume."
