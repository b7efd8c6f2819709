"""Workbooks are read as the delimited text that their first sheet would be."""

import sys
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest

from selfnorm.errors import TableError
from selfnorm.tabular.data._provenance import provenance_of
from selfnorm.tabular.data._table import read_blocks, read_table

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_DAY = 14  # the style of a date among those that every workbook has
ROWS = [
    ["when", "amount", "count", "code", "open", "note"],
    [("d", 43861.0), 1.5, 3, "0123", True, "a, b"],
    [("d", 43862.25), None, 4, "0456", False, "c"],
]


def cell(value: object) -> str:
    match value:
        case None:
            return "<c/>"
        case bool():
            return f'<c t="b"><v>{int(value)}</v></c>'
        case str():
            return f'<c t="inlineStr"><is><t>{value}</t></is></c>'
        case ("d", number):
            return f'<c s="1"><v>{number}</v></c>'
        case _:
            return f"<c><v>{value}</v></c>"


def workbook(path: Path, *sheets: list[list[object]]) -> Path:
    """A workbook of sheets, without a package that writes such."""
    numbers = range(1, len(sheets) + 1)
    named = "".join(f'<sheet name="S{n}" sheetId="{n}" r:id="r{n}"/>' for n in numbers)
    related = "".join(
        f'<Relationship Id="r{n}" Type="{_OFFICE}/worksheet" Target="worksheets/sheet{n}.xml"/>'
        for n in numbers
    )
    styles = f'<Relationship Id="r0" Type="{_OFFICE}/styles" Target="styles.xml"/>'
    opened = f'<Relationship Id="r1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/>'
    of_package = f'<Relationships xmlns="{_PACKAGE}/relationships">'
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("[Content_Types].xml", f'<Types xmlns="{_PACKAGE}/content-types"/>')
        file.writestr("_rels/.rels", f"{of_package}{opened}</Relationships>")
        file.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>{named}</sheets></workbook>',
        )
        file.writestr(
            "xl/_rels/workbook.xml.rels", f"{of_package}{related}{styles}</Relationships>"
        )
        formats = f'<cellXfs><xf numFmtId="0"/><xf numFmtId="{_DAY}"/></cellXfs>'
        file.writestr("xl/styles.xml", f'<styleSheet xmlns="{_MAIN}">{formats}</styleSheet>')
        for number, rows in zip(numbers, sheets, strict=True):
            written = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
            content = f'<worksheet xmlns="{_MAIN}"><sheetData>{written}</sheetData></worksheet>'
            file.writestr(f"xl/worksheets/sheet{number}.xml", content)
    return path


@pytest.mark.parametrize("name", ["t.xlsx", "misnamed.csv"])
def test_cells_are_what_a_text_would_say(name: str, tmp_path: Path) -> None:
    pytest.importorskip("python_calamine")
    path = workbook(tmp_path / name, ROWS)
    table = read_table(path)
    assert table.column_names == ROWS[0]
    assert pa.types.is_timestamp(table["when"].type)
    assert [str(value) for value in table["when"]] == ["2020-01-31 00:00:00", "2020-02-01 06:00:00"]
    assert table.drop_columns(["when"]).to_pydict() == {
        "amount": [1.5, None],
        "count": [3, 4],
        "code": ["0123", "0456"],
        "open": [True, False],
        "note": ["a, b", "c"],
    }
    assert pa.concat_tables(read_blocks(path)).equals(table)


def test_the_first_sheet_that_holds_cells_is_read_and_told(tmp_path: Path) -> None:
    pytest.importorskip("python_calamine")
    titled = [["Sales 2020"], [], *ROWS]
    table = read_table(workbook(tmp_path / "t.xlsx", [], titled, ROWS[:1]))
    assert table["count"].to_pylist() == [3, 4]
    assert any("of 3 sheets 'S2' is read" in note for note in provenance_of(table).notes)


def test_without_the_reader_a_line_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(TableError, match=r"Save its sheet as CSV, .*pip install 'selfnorm\[excel"):
        read_table(workbook(tmp_path / "t.xlsx", ROWS))
