"""The files of one table: a folder, a pattern, or several names."""

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from selfnorm.errors import TableError

DELIMITED = (".csv", ".tsv", ".tab", ".txt", ".dat", ".data")
PARQUET = (".parquet", ".pq", ".feather", ".arrow")
PACKED = (".gz", ".bz2", ".xz")


def files_of(path: Any) -> tuple[Path, ...] | None:
    """The files of a table that may be in parts, in the order of their names; None for one file.

    A folder stands for the files with the ending of a table in it and in its folders, but for those
    whose names begin with `.` or `_`. What names no file and holds `*`, `?` or `[` is a pattern.

    Args:
        path: A path, or several.

    Raises:
        TableError: there is no such file.
    """
    if isinstance(path, Sequence) and not isinstance(path, str):
        found = [part for one in path for part in files_of(one) or (Path(one),)]
        return tuple(dict.fromkeys(found))
    path = Path(path)
    if path.is_dir():
        inside = (one for one in path.rglob("*") if one.is_file() and _is_part(one, path))
        if not (files := tuple(sorted(inside))):
            raise TableError(
                f"A folder of a table holds .parquet or .csv files; '{path}' holds none. Name "
                "another folder, or the files."
            )
        return files
    if path.exists() or not glob.has_magic(str(path)):
        return None
    matching = glob.glob(str(path), recursive=True)  # noqa: PTH207 - a Path's takes no absolute one
    files = tuple(sorted(one for one in map(Path, matching) if one.is_file()))
    if not files:
        raise TableError(
            f"A pattern has to match a file; '{path}' matches none. Check the path, and quote it."
        )
    return files


def is_table(path: Path) -> bool:
    """Whether a file's name ends as that of a table does."""
    name = path.name.lower()
    for packed in PACKED:
        name = name.removesuffix(packed)
    return name.endswith((*DELIMITED, *PARQUET))


def _is_part(path: Path, folder: Path) -> bool:
    hidden = any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
    return not hidden and is_table(path)
