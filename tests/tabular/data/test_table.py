"""Reading tables: what real files hold, and what each broken one is told."""

import bz2
import gzip
import io
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from selfnorm.errors import TableError, UnsupportedError
from selfnorm.tabular._output import check_prediction_file, write_predictions
from selfnorm.tabular.data._datasets import NAMES, target_of
from selfnorm.tabular.data._provenance import provenance_of
from selfnorm.tabular.data._table import TableFile, as_table, read_table, require_column


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


GOOD = {
    "comma.csv": ("a,b\n1,x\n2,y\n", {"a": [1, 2], "b": ["x", "y"]}),
    "tab.tsv": ("a\tb\n1\tx\n", {"a": [1], "b": ["x"]}),
    "bar.txt": ("a|b\n1|x\n", {"a": [1], "b": ["x"]}),
    "decimal_comma.csv": ("a;b\n1,5;x\n2,25;y\n", {"a": [1.5, 2.25], "b": ["x", "y"]}),
    "semicolon_point.csv": ("a;b\n1.5;x\n", {"a": [1.5], "b": ["x"]}),
    "byte_order_mark.csv": ("\ufeffa,b\n1,2\n", {"a": [1], "b": [2]}),
    "windows_lines.csv": ("a,b\r\n1,2\r\n", {"a": [1], "b": [2]}),
    "quoted_newline.csv": ('a,b\n"x\ny",2\n', {"a": ["x\ny"], "b": [2]}),
    "holes.csv": ("a,b\n1,\n?,NA\n3, ?\n", {"a": [1, None, 3], "b": [None, None, None]}),
    "no_name.csv": (",b\n7,2\n", {"unnamed_1": [7], "b": [2]}),
    "spaces.csv": (" a , b\n1,2\n", {"a": [1], "b": [2]}),
    "late_comma.csv": (
        "a;b\n" + "1;x\n" * 200 + '"2,5";x\n 3,5;x\n',
        {"a": [1.0] * 200 + [2.5, 3.5], "b": ["x"] * 202},
    ),
    "text_with_comma.csv": (
        "a;b\n1,5;x\nWest 2,5;y\n",
        {"a": ["1,5", "West 2,5"], "b": ["x", "y"]},
    ),
    "quoted_delimiters.csv": ('"a;b;c",d\n1,2\n', {"a;b;c": [1], "d": [2]}),
    "name_of_two_lines.csv": ('"a\nb",c\n1,2\n', {"a b": [1], "c": [2]}),
    "blanks.csv": ("a,b\n  ,1\n x ,2\n", {"a": [None, "x"], "b": [1, 2]}),
    "no_packed.csv.gz": ("a,b\n1,2\n", {"a": [1], "b": [2]}),
    "packed.csv": (gzip.compress(b"a,b\n1,2\n"), {"a": [1], "b": [2]}),
    "packed.csv.bz2": (bz2.compress(b"a,b\n1,2\n"), {"a": [1], "b": [2]}),
    "utf16.csv": ("a,b\n1,ä\n".encode("utf-16"), {"a": [1], "b": ["ä"]}),
    "blank_lines_first.csv": ("\n\na,b\n1,2\n", {"a": [1], "b": [2]}),
    "title.csv": (
        "Sales of 2015\n\na,b,c\n1,2,3\n4,5,6\n",
        {"a": [1, 4], "b": [2, 5], "c": [3, 6]},
    ),
    "title_with_commas.csv": (
        "Sales, of 2015\na,b,c\n1,2,3\n4,5,6\n",
        {"a": [1, 4], "b": [2, 5], "c": [3, 6]},
    ),
    "comments.csv": ("# made by hand\na,b\n1,2\n# and more\n3,4\n", {"a": [1, 3], "b": [2, 4]}),
    "names_in_a_comment.tsv": ("# by\n#a\tb\n1\t2\n", {"#a": [1], "b": [2]}),
    "spaces.txt": (
        "a   b c\n1 2.5   x\n 10  3 y\n",
        {"a": [1, 10], "b": [2.5, 3], "c": ["x", "y"]},
    ),
    "row_names_of_r.txt": (
        'a b\n"1" 5 x\n"2" 6 y\n',
        {"unnamed_1": [1, 2], "a": [5, 6], "b": ["x", "y"]},
    ),
    "quoted_row_names_of_r.txt": (
        '"mpg" "cyl"\n"Mazda RX4" 21 6\n"Datsun 710" 22.8 4\n',
        {"unnamed_1": ["Mazda RX4", "Datsun 710"], "mpg": [21, 22.8], "cyl": [6, 4]},
    ),
    "two_titles.csv": (
        "Bericht 2015\nvon: heute\na;b;c\n1,5;2;x\n2,5;3;y\n",
        {"a": [1.5, 2.5], "b": [2, 3], "c": ["x", "y"]},
    ),
    "one_column.csv": ("name\nJohn Smith\nMary Jones\n", {"name": ["John Smith", "Mary Jones"]}),
    "years.csv": ("land,2015,2016\nx,1,2\n", {"land": ["x"], "2015": [1], "2016": [2]}),
    "codes.csv": (
        "zip,n,m\n02139,1,0\n10001,0,10\n,3,5\n",
        {"zip": ["02139", "10001", None], "n": [1, 0, 3], "m": [0, 10, 5]},
    ),
    "one_of_a_name.csv": ("a,b,a\n1,2,3\n", {"b": [2]}),
    "packed.csv.gz": (gzip.compress(b"a,b\n1,2\n"), {"a": [1], "b": [2]}),
}


@pytest.mark.parametrize("name", GOOD)
def test_reads(name: str, tmp_path: Path) -> None:
    content, expected = GOOD[name]
    assert read_table(written(tmp_path, name, content)).to_pydict() == expected


BAD = {
    "empty.csv": ("", "is an empty file"),
    "blank.csv": ("\n\n# a\n", "holds none"),
    "header_only.csv": ("a,b\n", "has 2 columns and none"),
    "ragged.csv": ("a,b\n1,2\n3\n", "row 3 has 1 where the header has 2"),
    "twice.csv": ("a,a\n1,2\n", "'a' stands 2 times. Rename all but one"),
    "latin.csv": (b"a,b\n\xe9t\xe9,2\n", "Save it as UTF-8, or say what it is"),
    "late_latin.csv": (b"a,b\n" + b"x,1\n" * 2000 + b"\xe9,2\n", "Save it as UTF-8"),
    "cut.csv.gz": (gzip.compress(b"a,b\n1,2\n" * 999)[:30], "cannot be read"),
    "open_quote.csv": ('a,b\n1,"2\n3,4\n', "one is not, and its cell holds lines that follow"),
    "quote_to_the_end.csv": ('a,b,c\n1,"2,3\n4,5,6\n7,8,9\n', "A quote that opens a cell is not"),
    "no_header.csv": ("1,2\n3,4\n", "must name the columns; it holds values"),
    "no_header_but_text.csv": ("5.1,Iris\n4.9,Iris\n", "it holds values (5.1,Iris)"),
    "no_header_of_text.csv": ("usual,great\nusual,bad\nodd,great\n", "it holds values"),
    "not_parquet.parquet": ("junk", "cannot be read"),
    "workbook.csv": (b"PK\x03\x04\0\0", "is an Excel workbook"),
    "page.csv": ("<html>", "is HTML or XML"),
    "json.csv": ('[{"a": 1}]', "is JSON"),
    "zeros.csv": (bytes(99), "holds bytes that are zero"),
    "utf16.csv": ("a,b\n1,2\n".encode("utf-16-le"), "say that it is utf-16-le"),
    "not_a_workbook.xlsx": ("junk", "it does not begin as a workbook does"),
    "table.docx": ("junk", "Parquet (.parquet) or Excel (.xlsx) file"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_broken_file_is_told_in_one_line(name: str, tmp_path: Path) -> None:
    content, words = BAD[name]
    with pytest.raises(TableError) as error:
        read_table(written(tmp_path, name, content))
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_another_encoding_can_be_said(tmp_path: Path) -> None:
    path = written(tmp_path, "t.csv", "naïve,b\n1,é\n".encode("cp1252"))
    assert read_table(TableFile(path, "cp1252")).to_pydict() == {"naïve": [1], "b": ["é"]}
    for encoding, words in (("klingon", "that Python knows"), ("ascii", "is not in ascii")):
        with pytest.raises(TableError, match=words):
            read_table(TableFile(path, encoding))


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a,b\n1,2\n")))
    assert read_table("-").to_pydict() == {"a": [1], "b": [2]}


def test_a_name_tells_nothing_where_the_content_does(tmp_path: Path) -> None:
    table = pa.table({"a": [1.5, None], "b": ["x", "y"]})
    pq.write_table(table, tmp_path / "parquet.csv")
    feather.write_feather(table, tmp_path / "arrow.csv")
    for name in ("parquet.csv", "arrow.csv"):
        assert read_table(tmp_path / name).equals(table)


def test_the_index_that_pandas_saves_is_known(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1.5, 2.5]}, index=pd.Index([7, 9], name="patient"))
    frame.to_parquet(tmp_path / "t.parquet")
    assert provenance_of(read_table(tmp_path / "t.parquet")).indexes == ("patient",)


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"There is no file .*Built-in data sets: digits"):
        read_table(tmp_path / "nothing.csv")
    with pytest.raises(TableError, match=r"is a folder"):
        read_table(tmp_path)


def test_parquet_holds_what_was_written(tmp_path: Path) -> None:
    table = pa.table({"a": [1.5, None], "b": ["x", "y"]})
    pq.write_table(table, tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet").equals(table)


def test_text_columns_keep_leading_zeros(tmp_path: Path) -> None:
    path = written(tmp_path, "zip.csv", "zip,n\n007,1\n010,2\n")
    assert read_table(path, text_columns=["zip"])["zip"].to_pylist() == ["007", "010"]
    assert read_table(path)["zip"].to_pylist() == ["007", "010"]
    assert provenance_of(read_table(path)).guessed == ("zip",)
    assert provenance_of(read_table(path, text_columns=["zip"])).guessed == ()


def test_text_columns_go_by_their_clean_names(tmp_path: Path) -> None:
    path = written(tmp_path, "zip.csv", 'a, zip ,"x\ny"\n1,007,08\n')
    table = read_table(path, text_columns=["zip", "x y"])
    assert table.to_pydict() == {"a": [1], "zip": ["007"], "x y": ["08"]}
    path = written(tmp_path, "comma.csv", "code;n\n1,50;2\n")
    assert read_table(path, text_columns=["code"])["code"].to_pylist() == ["1,50"]


def test_a_name_that_no_file_can_have_is_told() -> None:
    for name in ("x" * 5000 + ".csv", "a\0b.csv"):
        with pytest.raises(TableError, match=r"cannot be read|There is no file") as error:
            read_table(name)
        assert "\n" not in str(error.value)


def test_a_file_that_may_not_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = written(tmp_path, "t.csv", "a\n1\n")
    monkeypatch.setattr("selfnorm.tabular.data._table.read_csv", refuse)
    with pytest.raises(TableError, match=r"t.csv' cannot be read: Permission denied\.$"):
        read_table(path)


HOLES = pa.table(
    {
        "float": pa.array([1.5, float("nan")]),
        "half": pa.array(np.array([1.5, np.nan], np.float16)),
        "text": ["a ", "  "],
        "coded": pa.array(["a", " "]).dictionary_encode(),
        "coded_float": pa.array([1.5, float("nan")]).dictionary_encode(),
    }
)


def test_nan_and_blank_text_are_missing_wherever_a_table_comes_from(tmp_path: Path) -> None:
    pq.write_table(HOLES, tmp_path / "t.parquet")
    polars = pl.from_arrow(HOLES.drop_columns(["half"]))
    for table in (read_table(tmp_path / "t.parquet"), as_table(HOLES), as_table(polars)):
        for name in table.column_names:
            first, last = table[name].to_pylist()
            assert first in (1.5, "a")
            assert last is None, name
    assert pa.types.is_dictionary(as_table(HOLES)["coded"].type)


@pytest.mark.parametrize("name", NAMES)
def test_built_in_data_sets_end_in_their_target(name: str) -> None:
    table = read_table(name)
    assert table.num_rows > 100
    assert table.column_names[-1] == target_of(name)


def test_a_file_comes_before_a_built_in_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, "wine", "a,b\n1,2\n")
    assert read_table("wine").to_pydict() == {"a": [1], "b": [2]}


COLUMNS = {"n": [1.0, 2.0], "s": ["a", "b"]}


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_frames_become_tables(make: type) -> None:
    assert as_table(make(COLUMNS)).to_pydict() == COLUMNS


def test_arrays_become_tables() -> None:
    table = as_table(np.array([[1.0, np.nan], [3.0, 4.0]]))
    assert table.to_pydict() == {"x0": [1.0, 3.0], "x1": [None, 4.0]}
    mixed = as_table(np.array([[1, "a"], [None, "b"]], dtype=object))
    assert mixed["x0"].to_pylist() == [1.0, None]
    assert mixed["x1"].to_pylist() == ["a", "b"]


def test_pandas_columns_may_be_numbered() -> None:
    assert as_table(pd.DataFrame([[1, 2]])).column_names == ["0", "1"]


def test_what_is_no_table_is_told() -> None:
    with pytest.raises(UnsupportedError, match=r"an array of shape \(3,\) came"):
        as_table(np.zeros(3))


def test_columns_of_a_frame_that_arrow_cannot_hold() -> None:
    mixed = {"a": [1, "x", None], "b": [{}, "x", None], "c": [1, 2, 3]}
    table = as_table(pd.DataFrame(mixed, dtype=object))
    assert table.to_pydict() == {"a": ["1", "x", None], "c": [1, 2, 3]}
    known = provenance_of(table)
    assert known.guessed == ("a",)
    assert known.left_out == {"b": "its values are of type dict, str"}


def test_a_wrong_name_is_told_with_the_nearest() -> None:
    require_column("age", ["age", "sex"])
    with pytest.raises(TableError, match=r"there is no 'agee'. Did you mean 'age'?"):
        require_column("agee", ["age", "sex"])
    with pytest.raises(TableError, match=r"The columns are: age, sex"):
        require_column("zzz", ["age", "sex"])


@pytest.mark.parametrize("name", ["A.CSV", "A.Tsv", "a.csv.GZ", "A.CSV.GZ", "a.Parquet", "A.PQ"])
def test_endings_count_in_any_case(tmp_path: Path, name: str) -> None:
    path, table = tmp_path / name, pa.table({"a": [1, 2], "b": ["x", "y"]})
    if name.lower().endswith(("parquet", "pq")):
        pq.write_table(table, path)
    else:
        content = b"a,b\n1,x\n2,y\n"
        path.write_bytes(gzip.compress(content) if name.endswith("GZ") else content)
    assert read_table(path).to_pydict() == table.to_pydict()


@pytest.mark.parametrize("name", ["p.CSV", "p.Parquet"])
def test_predictions_are_written_under_endings_of_any_case(tmp_path: Path, name: str) -> None:
    check_prediction_file(tmp_path / name, force=False)
    table = pa.table({"a": [1, 2], "b": ["x", "y"]})
    write_predictions(table, tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(b'"a"' if name == "p.CSV" else b"PAR1")


def test_what_is_no_table_is_told_by_its_kind() -> None:
    with pytest.raises(UnsupportedError, match="str came"):
        as_table("data.csv")
    with pytest.raises(TableError, match="rows are of different length"):
        as_table([[1, 2], [3]])
    with pytest.raises(TableError, match="holds something else"):
        as_table(np.array([[1, {}], [2, {}]], dtype=object))


HALF = "\ud800"  # of a surrogate pair


def arrow_bytes() -> pa.Table:
    size, letters = pa.py_buffer(np.array([0, 3], np.int32)), pa.py_buffer(b"\xed\xa0\x80")
    return pa.table({"kind": pa.StringArray.from_buffers(1, size, letters)})


@pytest.mark.parametrize(
    ("make", "column"),
    [
        (lambda: pd.DataFrame({"kind": np.array(["a", HALF], object)}, dtype=object), "kind"),
        (lambda: pd.DataFrame([[1]], columns=pd.Index([HALF], dtype=object)), r"\\ud800"),
        (lambda: np.array([[1, "a"], [2, HALF]], object), "x1"),
        (lambda: np.array([["1", "a"], ["2", HALF]]), "x1"),
        (arrow_bytes, "kind"),
    ],
)
def test_text_that_utf8_cannot_write_is_told_with_its_column(make, column: str) -> None:
    with pytest.raises(TableError, match=f"column '{column}' has some that it cannot"):
        as_table(make())


def test_bytes_of_a_file_that_are_not_utf8_are_told(tmp_path: Path) -> None:
    pq.write_table(arrow_bytes(), tmp_path / "bytes.parquet")
    with pytest.raises(TableError, match="column 'kind' has some"):
        read_table(tmp_path / "bytes.parquet")


def test_types_of_pandas_alone_are_dates_and_categories() -> None:
    days = pd.period_range("2020-01-30", periods=3, freq="D")
    cut = pd.Series(pd.cut([1.0, 5.0, np.nan], [0, 2, 6]))
    frame = pd.DataFrame({"day": days, "cut": cut, "same": cut.astype(object)})
    frame["wide"] = pd.array(cut, dtype=pd.IntervalDtype("float64"))
    table = as_table(frame)
    assert pa.types.is_timestamp(table["day"].type)
    assert str(table["day"][0].as_py().date()) == "2020-01-30"
    for name in ("cut", "wide"):
        assert pa.types.is_dictionary(table[name].type)
        assert [one and one[0] for one in table[name].to_pylist()] == ["(", "(", None]
        assert len(set(table[name].to_pylist())) == 3
    assert provenance_of(table).left_out == {"same": "its values are of type Interval"}
    assert list(frame.columns) == ["day", "cut", "same", "wide"]


def test_a_table_without_rows_is_one_only_where_it_may_be() -> None:
    frame = pd.DataFrame({"a": [1.0]}).head(0)
    assert as_table(frame, empty=True).num_rows == 0
    with pytest.raises(TableError, match="the table has 1 columns and none"):
        as_table(frame)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_names_that_stand_again_are_passed_over(tmp_path: Path, end: str) -> None:
    one = end.join(["id, size,kind", *(f"{at},{at}.5,{'ab'[at % 2]}" for at in range(20))])
    path = tmp_path / "together.csv"
    path.write_text(end.join([one, one, "id, size,kind"]), newline="")
    table = read_table(path)
    assert table.num_rows == 40
    assert table["size"].to_pylist() == [at + 0.5 for at in range(20)] * 2
    [note] = provenance_of(table).notes
    assert "2 rows hold the names again" in note


def test_text_that_is_the_name_of_its_column_stays(tmp_path: Path) -> None:
    path = tmp_path / "words.csv"
    path.write_text("word,kind\nword,noun\nkind,noun\nrun,verb\n")
    table = read_table(path)
    assert table["word"].to_pylist() == ["word", "kind", "run"]
    assert not provenance_of(table).notes
