"""The table that commands read, and in which encoding."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from selfnorm.tabular import TableFile

HELP_TABLE = "CSV or Parquet file; - for standard input."
Encoding = Annotated[
    str | None,
    typer.Option(
        help="Of a CSV that is not UTF-8: cp1252, latin-1, utf-16, ...", show_default=False
    ),
]


def source(table: str, encoding: str | None) -> "str | TableFile":
    """What to read."""
    from selfnorm.tabular import TableFile

    return table if encoding is None else TableFile(table, encoding)


def stem(table: str) -> str:
    """What a table's file is called, without its endings."""
    return Path(table).name.split(".")[0] if table != "-" else "table"
