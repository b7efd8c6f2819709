"""What a column is, told by all its cells; the same for a file and a frame, but for codes."""

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from selfnorm.errors import TableError
from selfnorm.tabular.data._provenance import Provenance, with_provenance
from selfnorm.tabular.data._table import as_table, read_table
from selfnorm.tabular.encoding._columns import Column
from selfnorm.tabular.encoding._encode import Encoder
from selfnorm.tabular.encoding._number import NumberColumn
from selfnorm.tabular.encoding._presence import PresenceColumn
from support.tolerances import MATRIX_MOMENTS

RNG = np.random.default_rng(0)
ROWS = 120
OTHER = np.arange(float(ROWS)) ** 2


def understood(values: object, name: str = "it", *, guessed: bool = False) -> Encoder:
    """An encoder of a column beside one that is always usable."""
    table = pa.table({name: values, "other": OTHER})
    known = Provenance(guessed=(name,) if guessed else ())
    return Encoder.fit(with_provenance(table, known))


def only(encoder: Encoder) -> Column:
    found = [column for column in encoder.columns if column.name == "it"]
    assert len(found) == 1, encoder.ignored
    return found[0]


def mixed(usual: list[str], other: str | None, every: int = 5) -> list[str | None]:
    return [other if row % every == 0 else usual[row % len(usual)] for row in range(ROWS)]


DIGITS = [str(number) for number in RNG.integers(100, 110, ROWS)]
ZIPS = [f"{number:05}" for number in RNG.integers(2139, 2150, ROWS)]
DECIMALS = [f"{number:.2f}" for number in RNG.normal(size=ROWS)]


@pytest.mark.parametrize("guessed", [True, False])
def test_codes_are_categories(guessed: bool) -> None:
    assert only(understood(ZIPS, guessed=guessed)).kind == "category"
    assert only(understood(DIGITS, guessed=guessed)).kind == ("number" if guessed else "category")
    assert only(understood(DECIMALS, guessed=guessed)).kind == "number"
    told = [remark.text for remark in understood(ZIPS, guessed=guessed).remarks]
    assert told == (
        [f"Column 'it' is a category, since numbers do not begin with 0: {ZIPS[0]}."]
        if guessed
        else []
    )


def test_many_numbers_as_text_are_told() -> None:
    many = [f"{number}" for number in RNG.permutation(150)] * 6
    encoder = Encoder.fit(pa.table({"it": many, "other": np.arange(900.0) ** 2}))
    (remark,) = encoder.remarks
    assert "is text, so numbers such as" in remark.text
    assert "Convert it to numbers" in remark.text
    assert encoder.told == [remark.text]


@pytest.mark.parametrize("word", ["Unknown", "-", "?", "n/a", "NA", "#DIV/0!", "missing"])
def test_words_among_numbers_are_missing(word: str) -> None:
    encoder = understood(mixed(DECIMALS, word))
    column = only(encoder)
    assert column.features == ["it", "it=(missing)"]
    (remark,) = encoder.remarks
    assert f"24 of 120 cells hold {word!r}; taken as missing." in remark.text
    empty = understood(mixed(DECIMALS, None))
    again = pa.table({"it": [word, "1.5"], "other": [1.0, 2.0]})
    np.testing.assert_array_equal(encoder.transform(again), empty.transform(again))
    assert encoder.notes(again) == ["Column 'it' holds words for missing values in 1 of 2 rows."]


def test_a_question_mark_is_no_category() -> None:
    encoder = understood(mixed(["a", "b"], "?"))
    assert only(encoder).features == ["it=a", "it=b", "it=(missing)"]
    new = pa.table({"it": ["?", None], "other": [1.0, 1.0]})
    matrix = encoder.transform(new)
    np.testing.assert_array_equal(matrix[0], matrix[1])
    old = {"kind": "category", "name": "it", "levels": ["?", "a"], "shares": [0.5, 0.5], "known": 1}
    kept = Encoder.from_dict({"columns": [old], "ignored": {}})
    assert kept.transform(new.slice(0, 1))[0, 0] < 0


ONE_VALUE = {
    "number": [1.0, None],
    "boolean": [True, None],
    "date": [dt.date(2015, 1, 31), None],
    "text": ["1", None],
    "amount": ["$5", None],
    "word": ["1.5", "-"],
}


@pytest.mark.parametrize("kind", ONE_VALUE)
@pytest.mark.parametrize("guessed", [True, False])
def test_one_value_and_blanks_say_whether_it_is_missing(kind: str, guessed: bool) -> None:
    value, blank = ONE_VALUE[kind]
    missing = np.arange(ROWS) % 3 == 0
    encoder = understood([blank if gone else value for gone in missing], guessed=guessed)
    matrix = encoder.transform(pa.table({"it": [value, blank], "other": [1.0, 1.0]}))
    at = encoder.features.index("it=(missing)")
    share = missing.mean()
    deviation = np.sqrt(share * (1 - share))
    expected = np.array([-share, 1 - share]) / deviation
    np.testing.assert_allclose(matrix[:, at], expected, rtol=MATRIX_MOMENTS)
    assert Encoder.from_dict(encoder.to_dict()) == encoder


def test_one_value_and_hardly_a_blank_say_nothing() -> None:
    for gone in (1, ROWS - 1):
        values = [None] * gone + [1.0] * (ROWS - gone)
        assert understood(values).ignored == {"it": "one value in all rows that have one"}


def test_other_dates_of_a_table_tell_day_from_month() -> None:
    open_order = [f"{RNG.integers(1, 12):02}/{RNG.integers(1, 12):02}/2015" for _ in range(ROWS)]
    (remark,) = understood(open_order).remarks
    assert "do not tell day from month; read as month before day (%m/%d/%Y)" in remark.text
    clear = [f"{row % 28 + 1:02}.{row % 12 + 1:02}.2015" for row in range(ROWS)]
    encoder = Encoder.fit(pa.table({"it": open_order, "clear": clear}))
    assert encoder.remarks == ()
    column = only(encoder)
    assert isinstance(column, NumberColumn)
    assert column.written == "%d/%m/%Y"


def test_predictions_read_dates_as_the_fit_did() -> None:
    texts = [f"{row % 28 + 1:02}/{row % 12 + 1:02}/2015" for row in range(ROWS)]
    encoder = understood(texts)
    rows = pa.table({"it": ["01/02/2015", "2015-02-01"], "other": [1.0, 1.0]})
    matrix = encoder.transform(rows)
    np.testing.assert_array_equal(matrix[0], matrix[1])
    with pytest.raises(TableError, match=r"row 1 holds '02/13/2015'. Write it as 31/01/2020"):
        encoder.transform(rows.set_column(0, "it", pa.array(["02/13/2015", None])))


def test_dates_return() -> None:
    moments = np.datetime64("1960-01-01T00:00", "m") + RNG.integers(0, 60 * 24 * 1500, 4 * ROWS)
    table = pa.table({"it": moments.astype("datetime64[s]")})
    encoder = Encoder.fit(table)
    parts = [
        f"it, {wave} of the {part}"
        for part in ("year", "month", "week", "day")
        for wave in ("sin", "cos")
    ]
    assert encoder.features == ["it", *parts]
    matrix = encoder.transform(table).astype(np.float64)
    assert np.abs(matrix.mean(0)).max() < MATRIX_MOMENTS
    assert np.abs(matrix.var(0) - 1).max() < MATRIX_MOMENTS
    week = encoder.features.index("it, sin of the week")
    days = np.array(["2015-06-01", "2015-06-08", "1955-06-06", "2015-06-02"], "datetime64[s]")
    monday, next_one, old_one, tuesday = encoder.transform(pa.table({"it": days}))[:, week]
    assert monday == next_one == old_one != tuesday
    noon = np.array(["2015-06-01T12:00", "1999-01-07T12:00"], "datetime64[s]")
    at = [encoder.features.index(f"it, {wave} of the day") for wave in ("sin", "cos")]
    one, other = encoder.transform(pa.table({"it": noon}))[:, at]
    np.testing.assert_array_equal(one, other)
    assert not encoder.transform(pa.table({"it": pa.nulls(1)})).any()


def test_only_what_goes_round_returns() -> None:
    within_a_month = np.datetime64("2015-06-01") + RNG.integers(0, 20, ROWS)
    waves = ["it, sin of the week", "it, cos of the week"]
    assert only(understood(within_a_month)).features == ["it", *waves]
    mondays = np.datetime64("2015-06-01") + 7 * RNG.integers(0, 4, ROWS)
    assert only(understood(mondays)).features == ["it"]
    times = [f"{row % 24}:30" for row in range(ROWS)]
    assert only(understood(times)).features == ["it", "it, sin of the day", "it, cos of the day"]


IDS = RNG.permutation(5 * ROWS)[:ROWS]
NUMBERS_OF_ROWS = {
    "Unnamed: 0": (RNG.integers(0, 9, ROWS), "a saved row index"),
    "__index_level_0__": (IDS * 1000, "a saved row index"),
    "unnamed_1": (IDS * 1000, "a saved row index"),
    "n": (RNG.permutation(ROWS) + 1000, "it counts the rows"),
    "cust_id": (IDS * 1000, "it is another whole number in each row, as an id is"),
    "PassengerId": (IDS * 1000, "it is another whole number in each row, as an id is"),
}


@pytest.mark.parametrize("name", NUMBERS_OF_ROWS)
def test_numbers_of_rows_are_no_features(name: str) -> None:
    values, reason = NUMBERS_OF_ROWS[name]
    assert understood(values, name).ignored == {name: reason}


def test_distinct_numbers_that_chance_would_repeat_are_ids() -> None:
    sparse = RNG.permutation(20_000)[:2000]
    table = pa.table({"it": sparse, "other": np.arange(2000.0) ** 2})
    assert "as an id is" in Encoder.fit(table).ignored["it"]
    on_a_grid = pa.table({"it": 10 * RNG.permutation(2000), "other": np.arange(2000.0) ** 2})
    assert "it" not in Encoder.fit(on_a_grid).ignored
    repeated = np.r_[sparse[:-1], sparse[0]]
    assert "it" not in Encoder.fit(table.set_column(0, "it", pa.array(repeated))).ignored


def test_an_index_that_a_frame_saved_is_left_out(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": OTHER}, index=pd.Index(IDS * 1000, name="patient"))
    frame.to_parquet(tmp_path / "t.parquet")
    encoder = Encoder.fit(read_table(tmp_path / "t.parquet"))
    assert encoder.ignored == {"patient": "a saved row index"}


def test_columns_that_share_a_name_are_left_out() -> None:
    table = pa.Table.from_arrays([pa.array(OTHER)] * 3, names=["a", "a", "b"])
    encoder = Encoder.fit(as_table(table))
    assert encoder.ignored == {"a": "2 columns have this name"}
    needed = Encoder.fit(pa.table({"a": OTHER}))
    with pytest.raises(TableError, match=r"'a' \(2 columns have this name\) is missing"):
        needed.transform(as_table(table))


def test_amounts_are_numbers_and_told() -> None:
    encoder = understood([f"${number:,.2f}" for number in RNG.lognormal(7, 1, ROWS)])
    column = only(encoder)
    assert isinstance(column, NumberColumn)
    assert column.written == "1,234.5 $"
    assert "is read as the number" in encoder.remarks[0].text
    new = pa.table({"it": ["$1,000.00", "1000"], "other": [1.0, 1.0]})
    matrix = encoder.transform(new)
    np.testing.assert_array_equal(matrix[0], matrix[1])
    with pytest.raises(TableError, match=r"row 2 holds '5 EUR'. Write it as 1,234.5 \$"):
        encoder.transform(new.set_column(0, "it", pa.array(["$5", "5 EUR"])))


def test_numbers_far_outside_are_counted() -> None:
    encoder = understood(RNG.normal(size=ROWS))
    new = pa.table({"it": [1e12, 0.0, -50.0], "other": [0.0, 1.0, 2.0]})
    (note,) = encoder.notes(new)
    assert "Column 'it' holds values far outside those of training" in note
    assert "such as 1e+12, in 2 of 3 rows" in note
    assert np.abs(encoder.transform(new)).max() < 5
    day = np.datetime64("2015-01-01") + RNG.integers(0, 90, ROWS)
    (note,) = understood(day).notes(pa.table({"it": [dt.date(2100, 1, 1)], "other": [1.0]}))
    assert "such as 2100-01-01, in 1 of 1 rows" in note


def test_a_column_that_is_one_of_presence_keeps_its_kind() -> None:
    encoder = understood(mixed(["$5"], None))
    column = only(encoder)
    assert column == PresenceColumn("it", 0.2, "numbers", "1,234.5 $")
    assert encoder.transform(pa.table({"it": ["$9", None], "other": [1.0, 1.0]})).shape == (2, 2)
    with pytest.raises(ValueError, match="a known way of writing"):
        PresenceColumn("it", 0.2, "dates", "1,234.5 $")


def test_records_without_what_is_new_are_read() -> None:
    encoder = understood(np.datetime64("2015-01-01") + RNG.integers(0, 20, ROWS))
    saved = encoder.to_dict()
    del saved["remarks"]
    for column in saved["columns"]:
        for name in ("cycles", "written", "ends"):
            del column[name]
    old = Encoder.from_dict(saved)
    assert old.features == ["it", "other"]
    table = pa.table({"it": [dt.date(2015, 1, 3)], "other": [1.0]})
    assert old.transform(table)[0, 0] == encoder.transform(table)[0, 0]
    assert old.notes(pa.table({"it": [dt.date(2115, 1, 3)], "other": [1.0]})) == []


def test_a_damaged_cycle_or_way_of_writing_is_refused() -> None:
    saved = understood(np.datetime64("2015-01-01") + RNG.integers(0, 20, ROWS)).to_dict()
    column = saved["columns"][0]

    def load(**changes: object) -> None:
        Encoder.from_dict({"columns": [column | changes], "ignored": {}})

    for key, value in (("period", "eon"), ("wave", "tan"), ("deviation", 0.0)):
        with pytest.raises(ValueError, match="a cycle"):
            load(cycles=[column["cycles"][0] | {key: value}])
    for written in ("%H", "1,234.5 kg", ""):
        with pytest.raises(ValueError, match="way of writing"):
            load(written=written)


def test_whole_numbers_that_all_are_days() -> None:
    days = [int(f"20{row % 20:02}01{row % 28 + 1:02}") for row in range(ROWS)]
    encoder = understood(days)
    column = only(encoder)
    assert isinstance(column, NumberColumn)
    assert (column.holds, column.written) == ("dates", "%Y%m%d")
    new = pa.table({"it": [20150131], "other": [1.0]})
    as_text = pa.table({"it": ["2015-01-31"], "other": [1.0]})
    np.testing.assert_array_equal(encoder.transform(new), encoder.transform(as_text))
    for values in ([*days[1:], 20150230], [*days[1:], 7]):
        column = only(understood(values))
        assert isinstance(column, NumberColumn)
        assert column.holds == "numbers"
