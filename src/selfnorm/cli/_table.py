"""The table that commands read, and in which encoding."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from selfnorm.tabular import TableFile
    from selfnorm.tabular._settings import Settings

HELP_TABLE = "CSV or Parquet file; - for standard input."
Encoding = Annotated[
    str | None,
    typer.Option(
        help="Of a CSV that is not UTF-8: cp1252, latin-1, utf-16, ...", show_default=False
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the results as one JSON object.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]


def source(table: str, encoding: str | None) -> "str | TableFile":
    """What to read."""
    from selfnorm.tabular import TableFile

    return table if encoding is None else TableFile(table, encoding)


def stem(table: str) -> str:
    """What a table's file is called, without its endings."""
    return Path(table).name.split(".")[0] if table != "-" else "table"


def check_columns(table: str, encoding: str | None, settings: "Settings") -> None:
    """Refuse columns that a table lacks before anything slow is imported, where that can be told.

    Raises:
        TableError: a column that is named is not in the table.
    """
    from selfnorm import _extras

    with _extras.told():
        from selfnorm.tabular.data._names import column_names
        from selfnorm.tabular.data._table import require_column

    names = column_names(table, encoding)
    if names is None:
        return
    named = (settings.target, settings.sample_weight, settings.group, settings.split_by_time)
    for name in (*filter(None, named), *settings.categories, *settings.ignore):
        require_column(name, names)
