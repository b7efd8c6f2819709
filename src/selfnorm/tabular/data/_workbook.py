"""Workbooks (.xlsx, .xls, .xlsb, .ods), read as the delimited text that their sheet would be."""

import csv
import io
from datetime import date, datetime, time, timedelta
from itertools import chain
from typing import Any

import pyarrow as pa

from selfnorm.errors import TableError

WORKBOOKS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
_WHOLE = 2.0**53
_SECONDS = 86_400


def as_text(content: pa.Buffer, where: str) -> tuple[pa.Buffer, tuple[str, ...]]:
    """The first sheet that holds cells as UTF-8, and what a user should know of that.

    What follows is that of any delimited text, so a sheet may have a title above its names, and
    codes stay codes. Formulas are read as the values that were saved with them.

    Raises:
        TableError: python-calamine is not installed, or cannot read it.
    """
    try:
        from python_calamine import (  # noqa: PLC0415 - an extra
            CalamineError,
            CalamineWorkbook,
        )
    except ModuleNotFoundError as error:
        raise TableError(
            f"A table is delimited text or Parquet; {where} is an Excel workbook or another "
            "archive. Save its sheet as CSV, or install what reads it: pip install "
            "'selfnorm[excel]'."
        ) from error
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(content.to_pybytes()))
        names = book.sheet_names
        sheets = ((name, book.get_sheet_by_name(name).to_python()) for name in names)
        name, rows = next(((name, rows) for name, rows in sheets if rows), ("", []))
    except (CalamineError, OSError, ValueError) as error:
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TableError(
            f"A table is delimited text or Parquet; {where} is an Excel workbook or another "
            f"archive, and cannot be read ({told}). Save its sheet as CSV."
        ) from error
    written = io.StringIO()
    above = next((at for at, row in enumerate(rows) if sum(cell != "" for cell in row) > 1), 0)
    titles = (
        [cell for cell in row if cell != ""] for row in rows[:above]
    )  # of one cell, as in text
    csv.writer(written).writerows(
        [_cell(value) for value in row] for row in chain(titles, rows[above:])
    )
    notes = (f"{where}: of {len(names)} sheets '{name}' is read.",) if len(names) > 1 else ()
    return pa.py_buffer(written.getvalue().encode()), notes


def _cell(value: Any) -> str:
    """A cell as text says it: whole numbers without a point, dates as ISO 8601."""
    match value:
        case bool():
            return str(value).lower()
        case float() if value.is_integer() and abs(value) < _WHOLE:
            return str(int(value))
        case datetime():
            at_midnight = value.time() == time()
            return value.date().isoformat() if at_midnight else value.isoformat(sep=" ")
        case date() | time():
            return value.isoformat()
        case timedelta():
            return str(value.total_seconds() / _SECONDS)
        case _:
            return str(value)
