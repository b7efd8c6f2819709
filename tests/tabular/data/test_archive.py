"""Zip archives: the one table in them is read, and what holds none or several is told."""

import gzip
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from selfnorm.errors import TableError
from selfnorm.tabular.data._provenance import provenance_of
from selfnorm.tabular.data._table import TableFile, read_blocks, read_table

TABLE = "a,b\n1,x\n2,y\n"


def zipped(path: Path, files: Mapping[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"a": [1, 2], "b": ["x", "y"]}), out)
    return out.getvalue()


@pytest.mark.parametrize(
    "files",
    [
        {"t.csv": TABLE},
        {"data/": "", "data/t.csv": TABLE, "__MACOSX/data/._t.csv": "x", "data/.DS_Store": "x"},
        {"t.csv": TABLE, "read me.md": "# Table", "license": "none"},
        {"table": TABLE},
        {"t.csv.gz": gzip.compress(TABLE.encode())},
        {"t.parquet": parquet()},
    ],
)
@pytest.mark.parametrize("name", ["t.zip", "t.csv.zip", "t.csv", "t"])
def test_the_one_table_in_an_archive_is_read(
    name: str, files: Mapping[str, str | bytes], tmp_path: Path
) -> None:
    path = zipped(tmp_path / name, files)
    expected = {"a": [1, 2], "b": ["x", "y"]}
    table = read_table(path)
    assert table.to_pydict() == expected
    assert pa.concat_tables(read_blocks(path)).to_pydict() == expected
    if "t.parquet" not in files:
        (note,) = provenance_of(table).notes
        assert note.startswith(f"'{path}': '")
        assert note.endswith("' in it is read.")


def test_its_text_may_be_in_another_encoding(tmp_path: Path) -> None:
    path = zipped(tmp_path / "t.zip", {"t.csv": "a,b\n1,\u00e9\n".encode("latin-1")})
    assert read_table(TableFile(path, "latin-1"))["b"].to_pylist() == ["\u00e9"]
    with pytest.raises(TableError, match="text must be UTF-8") as error:
        read_table(path)
    assert error.value.options == ("--encoding",)


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"t.csv": TABLE, "u.csv": TABLE}, r"holds 2: 't\.csv', 'u\.csv'\. Unpack it, and name"),
        ({f"{n}.csv": TABLE for n in range(9)}, r"holds 9: .*'4\.csv', \.\.\.\. Unpack it"),
        ({"a.md": "x", "b.md": "x"}, r"holds none among 2 files: 'a\.md', 'b\.md'\. Unpack it"),
        ({}, "holds no file"),
        ({"t.csv": ""}, "is an empty file"),
    ],
)
def test_an_archive_without_a_table_or_with_several_is_told(
    files: Mapping[str, str], told: str, tmp_path: Path
) -> None:
    with pytest.raises(TableError, match=told):
        read_table(zipped(tmp_path / "t.zip", files))


def test_an_archive_that_is_cut_short_or_locked_is_told(tmp_path: Path) -> None:
    path = zipped(tmp_path / "t.zip", {"t.csv": TABLE * 99})
    content = path.read_bytes()
    path.write_bytes(content[:-30])
    with pytest.raises(TableError, match="cannot be read"):
        read_table(path)
    locked = bytearray(content)
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the flag of a password
        locked[locked.index(mark) + place] |= 1
    path.write_bytes(bytes(locked))
    with pytest.raises(TableError, match=r"the archive .* needs one\. Unpack it first"):
        read_table(path)
