"""The files of one table: a folder, a pattern, or several names."""

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from selfnorm.errors import TableError
from selfnorm.tabular.data._remote import is_uri, matching, path_of

DELIMITED = (".csv", ".tsv", ".tab", ".txt", ".dat", ".data")
PARQUET = (".parquet", ".pq", ".feather", ".arrow")
PACKED = (".gz", ".bz2", ".xz")


def files_of(path: Any) -> tuple[Path, ...] | None:
    """The files of a table that may be in parts, in the order of their names; None for one file.

    A folder stands for the files with the ending of a table in it and in its folders, but for those
    whose names begin with `.` or `_`. A link that leads nowhere is one of them, and so
    is missed. What names no file and holds `*`, `?` or `[` is a pattern; of a URI it is `*`.

    Args:
        path: A path, or several.

    Raises:
        TableError: there is no such file.
    """
    if isinstance(path, Sequence) and not isinstance(path, str):
        found = [part for one in path for part in files_of(one) or (path_of(one),)]
        return tuple(dict.fromkeys(found))
    if is_uri(path):
        return _of_uri(path)
    path = Path(path)
    if path.is_dir():
        inside = (one for one in path.rglob("*") if not one.is_dir() and _is_part(one, path))
        if not (files := tuple(sorted(inside))):
            raise TableError(
                f"A folder of a table holds .parquet or .csv files; '{path}' holds none. Name "
                "another folder, or the files."
            )
        return files
    if path.exists() or not glob.has_magic(str(path)):
        return None
    matching = glob.glob(str(path), recursive=True)  # noqa: PTH207 - a Path's takes no absolute one
    files = tuple(sorted(one for one in map(Path, matching) if not one.is_dir()))
    if not files:
        raise TableError(
            f"A pattern has to match a file; '{path}' matches none. Check the path, and quote it."
        )
    return files


def _of_uri(uri: str) -> tuple[Path, ...] | None:
    """The files of a folder or pattern in another file system; None for one file."""
    pattern = "*" in uri
    if not pattern and not path_of(uri).is_dir():
        return None
    found = matching(uri)
    files = tuple(one for one, names in found if pattern or _is_visible(names, one))
    if not files:
        raise TableError(
            f"A folder or pattern of a table has files, .parquet or .csv; '{uri}' has none. Check "
            "it, and quote it."
        )
    return files


def is_table(path: Path) -> bool:
    """Whether a file's name ends as that of a table does."""
    name = path.name.lower()
    for packed in PACKED:
        name = name.removesuffix(packed)
    return name.endswith((*DELIMITED, *PARQUET))


def _is_part(path: Path, folder: Path) -> bool:
    return _is_visible(path.relative_to(folder).parts, path)


def _is_visible(names: Sequence[str], path: Path) -> bool:
    return not any(name.startswith((".", "_")) for name in names) and is_table(path)
