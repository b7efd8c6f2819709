"""Zip archives that hold one table, as portals and mail hand it out."""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from selfnorm.errors import TableError
from selfnorm.tabular.data._bytes import unpacked
from selfnorm.tabular.data._files import is_table
from selfnorm.tabular.data._workbook import WORKBOOKS

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # with files, and without
_OF_WORKBOOKS = {"[Content_Types].xml", "mimetype", "content.xml"}
_SHOWN = 5


def of_archive(content: pa.Buffer, where: str) -> tuple[pa.Buffer, tuple[str, ...]]:
    """What a zip archive holds, and what a user should know of that; any other content as it is.

    One file is read whatever it is called; of several the one whose name is that of a table.
    Workbooks are such archives, too, and stay as they are.

    Raises:
        TableError: it holds no table, or several; or needs a password.
    """
    if not content.slice(0, min(content.size, 4)).to_pybytes().startswith(_ZIP):
        return content, ()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
            if _OF_WORKBOOKS & set(names):
                return content, ()
            name = _only(names, where)
            inside = archive.read(name)
    except zipfile.BadZipFile:
        return content, ()  # as a workbook that is damaged is told
    except NotImplementedError as error:
        raise TableError(
            f"An archive is packed as zip files usually are; {where} is not ({error}). Unpack it "
            "first."
        ) from error
    except RuntimeError as error:
        raise TableError(
            f"A table is read without a password; the archive {where} needs one. Unpack it first."
        ) from error
    return unpacked(pa.py_buffer(inside)), (f"{where}: '{name}' in it is read.",)


def _only(names: Sequence[str], where: str) -> str:
    """The file that is the table."""
    files = [name for name in names if not name.endswith("/") and _is_visible(Path(name))]
    tables = [name for name in files if _is_named_so(Path(name))]
    if len(tables) == 1 or len(files) == 1:
        return (tables or files)[0]
    told = ", ".join(f"'{name}'" for name in (tables or files)[:_SHOWN])
    more = ", ..." if len(tables or files) > _SHOWN else ""
    if tables:
        raise TableError(
            f"An archive holds one table; {where} holds {len(tables)}: {told}{more}. Unpack it, "
            "and name the file, or the folder if they are parts of one table."
        )
    raise TableError(
        f"An archive holds one table; {where} holds "
        + (f"none among {len(files)} files: {told}{more}. " if files else "no file. ")
        + "Unpack it, and name the file."
    )


def _is_visible(name: Path) -> bool:
    """Whether a file is one of the user's, and not what a file system keeps beside them."""
    return name.parts[0] != "__MACOSX" and not name.name.startswith(".")


def _is_named_so(name: Path) -> bool:
    return is_table(name) or name.suffix.lower() in WORKBOOKS
